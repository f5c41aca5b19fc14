/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include "kernel/nft_batch.h"
#include "kernel/nft_plan.h"
#include "kernel/nft_read.h"

#define TABLE_PROBE "spr-probe"
#define TABLE_NOWHERE "spr-nowhere"

size_t nft_tables(const struct nft *nft, const struct nft_table **ret)
{
	static const struct nft_table persist[] = { { NFT_TABLE, NFT_FLAG_OWNER | NFT_FLAG_PERSIST } };
	static const struct nft_table copies[] = { { NFT_TABLE, 0 }, { NFT_TABLE_OWNED, NFT_FLAG_OWNER } };
	static const struct nft_table plain[] = { { NFT_TABLE, 0 } };

	*ret = nft->protection == NFT_PERSIST ? persist : nft->protection == NFT_COPIES ? copies : plain;
	return nft->protection == NFT_COPIES ? ELEMENTSOF(copies) : 1;
}

/*
 * Whether the kernel makes tables with these flags: a transaction that has to fail at its second message tells by where
 * it fails, and leaves nothing behind.
 */
static int probe_flags(struct nft *nft, uint32_t flags, struct error *error)
{
	_cleanup_(nft_batch_freep) struct nft_batch *batch = nft_batch_new(nft, 0);
	struct error failed = { 0 };
	int r;

	if (!batch)
		return error_memory(error);
	r = nft_write_table(batch, TABLE_PROBE, flags, NLM_F_EXCL, error);
	if (r == 0)
		r = nft_write_table_gone(batch, TABLE_NOWHERE, error);
	if (r < 0)
		return r;
	r = nft_batch_send(batch, &failed);
	if (r == -ENOENT)
		return 0;
	return error_set(error, r < 0 ? -r : EIO, "%s", failed.text);
}

static int probe(struct nft *nft, enum nft_protection at_most, struct error *error)
{
	static const uint32_t flags[] = {
		[NFT_PERSIST] = NFT_FLAG_OWNER | NFT_FLAG_PERSIST, [NFT_COPIES] = NFT_FLAG_OWNER, [NFT_PLAIN] = 0
	};
	int r = -EOPNOTSUPP;

	for (enum nft_protection i = at_most; i <= NFT_PLAIN; i++) {
		r = probe_flags(nft, flags[i], error);
		nft->protection = i;
		if (r != -EOPNOTSUPP && r != -EINVAL)
			break;
	}
	if (r == -EPERM)
		return error_set(error, EPERM, "no right to change nftables: sprd needs root or CAP_NET_ADMIN");
	if (r == -EOPNOTSUPP || r == -EPROTONOSUPPORT)
		return error_set(error, EOPNOTSUPP, "this kernel has no nftables: load the module nf_tables");
	return r;
}

int nft_open(enum nft_protection at_most, struct nft **ret, struct error *error)
{
	struct nft *nft = calloc(1, sizeof(*nft));
	struct sockaddr_nl name = { 0 };
	socklen_t length = sizeof(name);
	int r;

	if (!nft)
		return error_memory(error);
	r = nlsocket_open(NETLINK_NETFILTER, &nft->socket);
	if (r == 0 && getsockname(nlsocket_fd(nft->socket), (struct sockaddr *)&name, &length) < 0)
		r = -errno;
	if (r < 0) {
		error_set(error, -r, "no netlink socket to nftables: %s", strerror(-r));
	} else {
		nft->port = name.nl_pid;
		nft->written.all = true;
		nlsocket_room(nft->socket, 4 << 20);
		r = probe(nft, at_most, error);
	}
	if (r < 0) {
		nft_close(nft);
		return r;
	}
	*ret = nft;
	return 0;
}

struct nft *nft_close(struct nft *nft)
{
	if (!nft)
		return NULL;
	nlsocket_close(nft->socket);
	nft_written_clear(&nft->written, false);
	free(nft);
	return NULL;
}

enum nft_protection nft_protection(const struct nft *nft)
{
	return nft->protection;
}

/* All is written before anything is sent: what fails then is the kernel's refusal. */
static int apply_after_trees(struct nft *nft, struct nft_plan *plan, struct error *error)
{
	_cleanup_(nft_batch_freep) struct nft_batch *trees = nft_batch_new(nft, 0), *change = nft_batch_new(nft, 0);
	_cleanup_(nft_batch_freep) struct nft_batch *undo = nft_batch_new(nft, 0);
	const struct nft_table *tables;
	size_t n = nft_tables(nft, &tables);
	struct error second;
	int r = 0;

	if (!trees || !change || !undo)
		return error_memory(error);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = nft_plan_write_trees(plan, tables[i].name, trees, error);
		if (r == 0)
			r = nft_plan_write_trees_gone(plan, tables[i].name, undo, error);
	}
	nft_plan_trees_made(plan);
	for (size_t i = 0; i < n && r == 0; i++)
		r = nft_plan_write(plan, tables[i].name, change, error);
	if (r == 0)
		r = nft_batch_send(trees, error);
	if (r < 0)
		return r;
	r = nft_batch_send(change, error);
	if (r < 0)
		nft_batch_send(undo, &second);
	return r;
}

int nft_apply(struct nft *nft, const struct ruleset *from, const struct ruleset *to, struct error *error)
{
	_cleanup_(nft_batch_freep) struct nft_batch *batch = nft_batch_new(nft, 0);
	_cleanup_plan_ struct nft_plan plan = { 0 };
	const struct nft_table *tables;
	size_t n = nft_tables(nft, &tables);
	int r;

	if (!batch)
		return error_memory(error);
	r = from ? nft_plan_change(from, to, &plan, error) : nft_plan_new(to, &plan, error);
	if (r == 0)
		nft_written_add(&nft->written, &plan);
	if (r == 0 && from && nft_plan_has_trees(&plan))
		return apply_after_trees(nft, &plan, error);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (!from)
			r = nft_write_table(batch, tables[i].name, tables[i].flags, NLM_F_EXCL, error);
		if (r == 0)
			r = nft_plan_write(&plan, tables[i].name, batch, error);
	}
	return r < 0 ? r : nft_batch_send(batch, error);
}

int nft_remove(struct nft *nft, struct error *error)
{
	static const char *const names[] = { NFT_TABLE, NFT_TABLE_OWNED, NFT_TABLE_STANDIN };
	struct nft_have haves[ELEMENTSOF(names)] = { { .table = names[0] },
						     { .table = names[1] },
						     { .table = names[2] } };
	_cleanup_(nft_batch_freep) struct nft_batch *batch = nft_batch_new(nft, 0);
	uint32_t generation;
	int r;

	if (!batch)
		return error_memory(error);
	nft_written_clear(&nft->written, true);
	r = nft_read(nft, NULL, NULL, haves, ELEMENTSOF(haves), &generation, error);
	for (size_t i = 0; i < ELEMENTSOF(haves) && r == 0; i++)
		if (haves[i].there)
			r = nft_write_table_gone(batch, haves[i].table, error);
	return r < 0 ? r : nft_batch_send(batch, error);
}

/* All that a set holds. */
static int elements_of(const struct set *set, struct nft_elements *ret)
{
	*ret = (struct nft_elements){ calloc(set->n_elements + 1, sizeof(*ret->items)), set->n_elements };
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_elements; i++)
		ret->items[i] = set_element(set, i);
	return 0;
}

/*
 * An element that is there keeps its time when it is added again, and taking out one that is not there is an error: so
 * each is put in, taken out and put in with its new time. No packet sees the steps.
 */
static int write_renewed(struct nft_batch *batch, const char *table, const struct set *set,
			 const struct nft_elements *elements, unsigned seconds, struct error *error)
{
	int r = nft_write_elements(batch, table, set, elements, true, seconds, error);

	if (r == 0)
		r = nft_write_elements(batch, table, set, elements, false, 0, error);
	return r < 0 ? r : nft_write_elements(batch, table, set, elements, true, seconds, error);
}

int nft_set_add(struct nft *nft, struct set *set, unsigned seconds, struct error *error)
{
	_cleanup_(nft_batch_freep) struct nft_batch *batch = nft_batch_new(nft, 0);
	const struct nft_table *tables;
	size_t n_tables = nft_tables(nft, &tables);
	struct nft_elements elements;
	int r = 0;

	if (!set->timeout)
		return error_set(error, EINVAL, "elements of set %s have no time limit", set->name);
	set_sort(set);
	if (!batch || elements_of(set, &elements) < 0)
		return error_memory(error);
	for (size_t i = 0; i < n_tables && r == 0; i++)
		r = write_renewed(batch, tables[i].name, set, &elements, seconds, error);
	free(elements.items);
	return r < 0 ? r : nft_batch_send(batch, error);
}

int nft_set_flush(struct nft *nft, const struct set *set, struct error *error)
{
	_cleanup_(nft_batch_freep) struct nft_batch *batch = nft_batch_new(nft, 0);
	const struct nft_table *tables;
	size_t n_tables = nft_tables(nft, &tables);
	int r = 0;

	if (!batch)
		return error_memory(error);
	for (size_t i = 0; i < n_tables && r == 0; i++)
		r = nft_write_flush(batch, tables[i].name, set->name, error);
	return r < 0 ? r : nft_batch_send(batch, error);
}
