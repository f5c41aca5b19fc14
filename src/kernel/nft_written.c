/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft_written.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "kernel/nft_plan.h"

/* To read more by name, or by element, takes longer than to read all. */
#define NAMES_MAX 64
#define ELEMENTS_MAX 32

void nft_written_clear(struct nft_written *written, bool all)
{
	for (size_t i = 0; i < written->n_sets; i++)
		free(written->sets[i].set.elements);
	free(written->sets);
	free(written->chains);
	*written = (struct nft_written){ .all = all };
}

bool nft_written_chain(const struct nft_written *written, const char *name)
{
	for (size_t i = 0; i < written->n_chains; i++)
		if (strcmp(written->chains[i], name) == 0)
			return true;
	return false;
}

struct nft_written_set *nft_written_set(const struct nft_written *written, const char *name)
{
	for (size_t i = 0; i < written->n_sets; i++)
		if (strcmp(written->sets[i].set.name, name) == 0)
			return &written->sets[i];
	return NULL;
}

static bool add_chain(struct nft_written *written, const char *name)
{
	char(*chain)[CHAIN_MAX];

	if (nft_written_chain(written, name))
		return true;
	chain = written->n_chains < NAMES_MAX ? ARRAY_ADD(written->chains, written->n_chains) : NULL;
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
	struct nft_written_set *slot = nft_written_set(written, set->name);

	if (!slot) {
		slot = written->n_sets < NAMES_MAX ? ARRAY_ADD(written->sets, written->n_sets) : NULL;
		if (!slot)
			return false;
		slot->set = set_like(set);
	}
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
