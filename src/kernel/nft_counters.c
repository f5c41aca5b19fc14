/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

#include "base/array.h"
#include "kernel/nft_read.h"

#define TRIES 20

/* A chain's count, over the copies of its table: a packet is counted in the one that ends its way. */
struct count {
	char *chain;
	uint64_t packets, bytes;
	bool taken; /* in this table */
};

struct counts {
	const char *prefix;
	struct count *counts;
	size_t n;
};

static void counts_clear(struct counts *counts)
{
	for (size_t i = 0; i < counts->n; i++)
		free(counts->counts[i].chain);
	free(counts->counts);
	counts->counts = NULL;
	counts->n = 0;
}

/* The first counter of a rule, or NULL. */
static struct nftnl_expr *rule_counter(const struct nftnl_rule *rule)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	struct nftnl_expr *expr;

	if (!iter)
		return NULL;
	for (expr = nftnl_expr_iter_next(iter); expr; expr = nftnl_expr_iter_next(iter))
		if (strcmp(nftnl_expr_get_str(expr, NFTNL_EXPR_NAME), "counter") == 0)
			break;
	nftnl_expr_iter_destroy(iter);
	return expr;
}

static struct count *count_of(struct counts *counts, const char *chain)
{
	struct count *count;

	for (size_t i = counts->n; i-- > 0;) /* rules come chain by chain: mostly it is the last */
		if (strcmp(counts->counts[i].chain, chain) == 0)
			return &counts->counts[i];
	count = ARRAY_ADD(counts->counts, counts->n);
	if (!count)
		return NULL;
	count->chain = strdup(chain);
	if (!count->chain) {
		counts->n--;
		return NULL;
	}
	return count;
}

static int take_count(struct nftnl_rule *rule, void *data)
{
	const char *chain = nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN);
	struct counts *counts = data;
	struct nftnl_expr *counter;
	struct count *count;

	if (!chain || strncmp(chain, counts->prefix, strlen(counts->prefix)) != 0)
		return 0;
	counter = rule_counter(rule);
	if (!counter)
		return 0;
	count = count_of(counts, chain);
	if (!count)
		return -ENOMEM;
	if (count->taken)
		return 0;
	count->taken = true;
	count->packets += nftnl_expr_get_u64(counter, NFTNL_EXPR_CTR_PACKETS);
	count->bytes += nftnl_expr_get_u64(counter, NFTNL_EXPR_CTR_BYTES);
	return 0;
}

static int read_counts(struct nft *nft, struct counts *counts)
{
	const struct nft_table *tables;
	size_t n = nft_tables(nft, &tables);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		for (size_t k = 0; k < counts->n; k++)
			counts->counts[k].taken = false;
		r = nft_read_rules(nft, tables[i].name, NULL, take_count, counts);
	}
	return r;
}

int nft_counters(struct nft *nft, const char *prefix,
		 void (*each)(const char *chain, uint64_t packets, uint64_t bytes, void *data), void *data,
		 struct error *error)
{
	_cleanup_(counts_clear) struct counts counts = { .prefix = prefix };
	int r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR; i++) {
		counts_clear(&counts);
		r = read_counts(nft, &counts);
	}
	if (r < 0)
		return error_set(error, -r, "cannot read nftables' counters: %s", strerror(-r));
	for (size_t i = 0; i < counts.n; i++)
		each(counts.counts[i].chain, counts.counts[i].packets, counts.counts[i].bytes, data);
	return 0;
}
