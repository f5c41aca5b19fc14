/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NFT_WRITTEN_H
#define SPR_KERNEL_NFT_WRITTEN_H

#include "ruleset/ruleset.h"

struct nft_plan;

/*
 * What transactions have written and nobody has read back yet. Where nobody else can change the tables, that is all that
 * may differ from what should be there.
 */
struct nft_written {
	bool all; /* more than is told below, or nobody knows */
	char (*chains)[CHAIN_MAX]; /* names: of these the rules */
	size_t n_chains;
	struct nft_written_set *sets; /* of these the elements */
	size_t n_sets;
};

struct nft_written_set {
	bool all; /* whatever is in it; else what follows, which may have been put in or taken out */
	struct set set;
};

/* Adds what a plan writes. Without memory it is `all`. */
void nft_written_add(struct nft_written *written, const struct nft_plan *plan);
/* Nothing is left to be read back; or `all` is. */
void nft_written_clear(struct nft_written *written, bool all);

bool nft_written_chain(const struct nft_written *written, const char *name);
/* The one of that name, or NULL. */
struct nft_written_set *nft_written_set(const struct nft_written *written, const char *name);

#endif
