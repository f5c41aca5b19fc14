/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NFT_PLAN_H
#define SPR_KERNEL_NFT_PLAN_H

#include "kernel/nft_batch.h"
#include "kernel/nft_build.h"
#include "kernel/nft_read.h"

/*
 * What has to be done to one table to make it hold a ruleset. Chains and sets that stay keep their identity: rules are
 * replaced chain by chain, sets are changed element by element.
 */

struct nft_plan_chain {
	bool make, policy, rules; /* make it, set its policy, write its rules */
};

/* Elements, wherever they are kept. */
struct nft_elements {
	const struct element **items;
	size_t n;
};

struct nft_plan_set {
	bool make, drop; /* both: one of another type is there */
	bool flush; /* before it is dropped: its elements may lead to chains */
	struct nft_elements take, put; /* what to take out, what to put in; all is put into one that is made */
};

struct nft_plan_gone {
	const char *name;
	bool flush; /* sets: likewise */
};

struct nft_plan {
	const struct ruleset *to;
	struct nft_index chain_names, set_names; /* of `to` */
	struct nft_plan_chain *chains; /* of each chain of `to` */
	struct nft_plan_set *sets; /* of each set of `to` */
	struct nft_plan_gone *gone_chains, *gone_sets;
	size_t n_gone_chains, n_gone_sets;
	bool rebuild; /* a base chain is there with another hook, type or priority: the table must be made anew */
	char difference[160]; /* the first one, "" without any */
};

void nft_plan_clear(struct nft_plan *plan);
#define _cleanup_plan_ _cleanup_(nft_plan_clear)

/* From nothing, from what was applied before, from what was read. What they are made from must outlive them. */
int nft_plan_new(const struct ruleset *to, struct nft_plan *ret, struct error *error);
int nft_plan_change(const struct ruleset *from, const struct ruleset *to, struct nft_plan *ret, struct error *error);
int nft_plan_repair(const struct nft_have *have, const struct ruleset *to, struct nft_plan *ret, struct error *error);

/* Writes its messages to a batch, for a table that is there by then. */
int nft_plan_write(const struct nft_plan *plan, const char *table, struct nft_batch *batch, struct error *error);

/*
 * Trees that are new, with what is in them. The kernel shows what is in one a moment after the transaction that made it: a
 * packet that is led to it earlier finds nothing. So they are made before the transaction that leads to them;
 * nft_plan_trees_made() says that they are there.
 */
bool nft_plan_has_trees(const struct nft_plan *plan);
int nft_plan_write_trees(const struct nft_plan *plan, const char *table, struct nft_batch *batch, struct error *error);
int nft_plan_write_trees_gone(const struct nft_plan *plan, const char *table, struct nft_batch *batch,
			      struct error *error);
void nft_plan_trees_made(struct nft_plan *plan);

/* The table itself. `flags` of nlmsghdr: NLM_F_EXCL to insist on a new one. */
int nft_write_table(struct nft_batch *batch, const char *table, uint32_t table_flags, int flags, struct error *error);
int nft_write_table_gone(struct nft_batch *batch, const char *table, struct error *error);

/* Elements of a set; seconds 0: for good. */
int nft_write_elements(struct nft_batch *batch, const char *table, const struct set *set,
		       const struct nft_elements *elements, bool add, unsigned seconds, struct error *error);
int nft_write_flush(struct nft_batch *batch, const char *table, const char *set, struct error *error);

#endif
