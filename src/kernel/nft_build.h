/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NFT_BUILD_H
#define SPR_KERNEL_NFT_BUILD_H

#include <sys/types.h>

#include "base/cleanup.h"
#include "ruleset/ruleset.h"

/*
 * A ruleset's parts as libnftnl's objects: the expressions, registers and user data are those of nft 1.0.6 for the same
 * text, so that `nft list ruleset` shows it as written.
 */
struct nftnl_rule;
struct nftnl_chain;
struct nftnl_set;
struct nftnl_set_elem;

/* Names of a ruleset's chains or sets in order, to find them. */
struct nft_index {
	struct nft_index_entry {
		const char *name;
		size_t at; /* its place in the array */
	} * entries;
	size_t n;
};

/* -ENOMEM; -EEXIST when two have one name. The names stay the caller's. */
int nft_index_chains(const struct ruleset *ruleset, struct nft_index *ret);
int nft_index_sets(const struct ruleset *ruleset, struct nft_index *ret);
void nft_index_clear(struct nft_index *index);
#define _cleanup_index_ _cleanup_(nft_index_clear)
/* -ENOENT, or the place. */
ssize_t nft_index_find(const struct nft_index *index, const char *name);

/* The results are the caller's to free. -ENOMEM; -EINVAL: it cannot be written. */
int nft_build_chain(const char *table, const struct chain *chain, struct nftnl_chain **ret);
int nft_build_rule(const char *table, const char *chain, const struct rule *rule, const struct ruleset *ruleset,
		   const struct nft_index *sets, struct nftnl_rule **ret);
int nft_build_set(const char *table, const struct set *set, uint32_t id, struct nftnl_set **ret);
/* Fills in an element, over what it held of the same set. Without its data it names the element to delete. */
int nft_build_element(struct nftnl_set_elem *elem, const struct set *set, const struct element *element, bool data);

/*
 * A rule in words that are the same for a rule that was built and for the one that the kernel made of it; counters'
 * values do not matter. Defaults are filled in: the rule is not for sending afterwards. -ENOMEM.
 */
int nft_rule_text(struct nftnl_rule *rule, char **ret);

uint32_t nft_set_flags(const struct set *set);
uint32_t nft_set_key_type(const struct set *set);
uint32_t nft_set_data_type(const struct set *set); /* of a map */
/* Bytes of each field, as the kernel wants them told for sets with intervals; returns how many. */
size_t nft_set_field_sizes(const struct set *set, uint8_t ret[STMT_FIELDS_MAX]);
/* NF_INET_* of a hook. */
uint32_t nft_hook_number(enum hook hook);

#endif
