/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft_written.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "kernel/nft_plan.h"

/* To read more by name, or by element, may take longer than to read all. */
#define NAMES_MAX 1024
#define ELEMENTS_MAX 32

void nft_written_clear(struct nft_written *written, bool all)
{
	for (size_t i = 0; i < written->n_sets; i++)
		free(written->sets[i].set.elements);
	free(written->sets);
	free(written->chains);
	*written = (struct nft_written){ .all = all };
}

/* Rows with a name in each, in the order of the names. */
struct rows {
	const void *items;
	size_t n, size, offset;
};

/* Where the row with a name is, or belongs. */
static size_t row_at(const struct rows *rows, const char *name, bool *ret_there)
{
	size_t first = 0, end = rows->n;

	*ret_there = false;
	while (first < end && !*ret_there) {
		size_t middle = first + (end - first) / 2;
		int order = strcmp((const char *)rows->items + middle * rows->size + rows->offset, name);

		*ret_there = order == 0;
		if (order < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return end;
}

static struct rows chain_rows(const struct nft_written *written)
{
	return (struct rows){ written->chains, written->n_chains, sizeof(*written->chains), 0 };
}

static struct rows set_rows(const struct nft_written *written)
{
	return (struct rows){ written->sets, written->n_sets, sizeof(*written->sets),
			      offsetof(struct nft_written_set, set.name) };
}

bool nft_written_chain(const struct nft_written *written, const char *name)
{
	const struct rows rows = chain_rows(written);
	bool there;

	row_at(&rows, name, &there);
	return there;
}

struct nft_written_set *nft_written_set(const struct nft_written *written, const char *name)
{
	const struct rows rows = set_rows(written);
	bool there;
	size_t at = row_at(&rows, name, &there);

	return there ? &written->sets[at] : NULL;
}

/* An empty row at its place, or NULL. */
static void *row_add(void **items, size_t *n, size_t size, size_t at)
{
	char *first = *n < NAMES_MAX && array_grow(items, n, size) ? *items : NULL;

	if (!first)
		return NULL;
	memmove(first + (at + 1) * size, first + at * size, (*n - 1 - at) * size);
	return memset(first + at * size, 0, size);
}

static bool add_chain(struct nft_written *written, const char *name)
{
	const struct rows rows = chain_rows(written);
	char(*chain)[CHAIN_MAX];
	bool there;
	size_t at = row_at(&rows, name, &there);

	if (there)
		return true;
	chain = row_add((void **)&written->chains, &written->n_chains, sizeof(*chain), at);
	if (chain)
		memccpy(*chain, name, '\0', sizeof(*chain) - 1);
	return chain;
}

static void add_elements(struct nft_written_set *written, const struct nft_elements *elements)
{
	struct set *set = &written->set;

	for (size_t i = 0; i < elements->n && !written->all; i++) {
		struct element *slot = set->n_elements < ELEMENTS_MAX ? set_add(set) : NULL;

		if (slot)
			memcpy(slot, elements->items[i], set_stride(set));
		else
			written->all = true;
	}
}

static bool add_set(struct nft_written *written, const struct set *set, const struct nft_plan_set *plan)
{
	const struct rows rows = set_rows(written);
	struct nft_written_set *slot;
	bool there;
	size_t at = row_at(&rows, set->name, &there);

	slot = there ? &written->sets[at] : row_add((void **)&written->sets, &written->n_sets, sizeof(*slot), at);
	if (!slot)
		return false;
	if (!there)
		slot->set = set_like(set);
	slot->all = slot->all || plan->make || set->interval; /* of ranges the kernel shows one only by its whole */
	add_elements(slot, &plan->take);
	add_elements(slot, &plan->put);
	return true;
}

void nft_written_add(struct nft_written *written, const struct nft_plan *plan)
{
	const struct ruleset *to = plan->to;
	bool whole = true;

	for (size_t i = 0; i < to->n_chains && !written->all && whole; i++)
		if (plan->chains[i].rules)
			whole = add_chain(written, to->chains[i].name);
	for (size_t i = 0; i < to->n_sets && !written->all && whole; i++)
		if (plan->sets[i].make || plan->sets[i].take.n || plan->sets[i].put.n)
			whole = add_set(written, &to->sets[i], &plan->sets[i]);
	if (!whole)
		nft_written_clear(written, true);
}
