/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NFT_READ_H
#define SPR_KERNEL_NFT_READ_H

#include "kernel/nft_batch.h"
#include "kernel/nft_build.h"
#include "kernel/nft_written.h"

/* What the kernel holds in one table. */

struct nft_have_chain {
	char *name;
	bool base, filter, nat; /* its type */
	uint32_t hook;
	int32_t priority;
	bool policy_drop;
	bool unread; /* the rules were not read: they are taken for what is wanted */
	char **rules; /* as nft_rule_text() has them */
	size_t n_rules;
};

struct nft_have_set {
	char *name;
	bool anonymous; /* belongs to a rule and goes with it */
	bool flush; /* a map, which may lead to chains, and can be emptied */
	bool same; /* of the type that is wanted, and `set` says what is in it */
	bool unread; /* what is in it was not read, or only where it was written, and is as wanted */
	struct set set;
};

struct nft_have {
	const char *table;
	bool there;
	uint32_t flags;
	uint32_t owner; /* port of the owner's socket, 0: nobody */
	struct nft_have_chain *chains; /* by name */
	size_t n_chains;
	struct nft_have_set *sets; /* by name */
	size_t n_sets;
};

void nft_have_clear(struct nft_have *have);

/*
 * Reads n tables, those that `table` names in each, all of one moment. *ret_generation is for nft_batch_new(): 0 where
 * nobody but us can change what is there. Sets' elements are read where the set is wanted with just that type; with
 * `wanted` NULL only the tables themselves are. `only`, NULL for all: of rules and elements only these, where nobody but us can
 * change what is there. The results are to be cleared in every case.
 */
int nft_read(struct nft *nft, const struct ruleset *wanted, const struct nft_written *only, struct nft_have *haves,
	     size_t n, uint32_t *ret_generation, struct error *error);

/* The number of the last transaction that the kernel took, whoever made it. */
int nft_generation(struct nft *nft, uint32_t *ret);

/* Calls `each` with every rule of a table, or of a chain in it. */
int nft_read_rules(struct nft *nft, const char *table, const char *chain,
		   int (*each)(struct nftnl_rule *rule, void *data), void *data);

#endif
