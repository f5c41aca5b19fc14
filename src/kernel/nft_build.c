/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft_build.h"

#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "base/text.h"

#define TYPE_BITS 6 /* of a data type's number, in that of a concatenation */
#define TYPE_VERDICT 0xffffff00u
/* nft's numbers of kinds of expressions, and of what it says of them, in user data */
#define EXPR_META 9
#define EXPR_CT 12
#define EXPR_CONCAT 13
#define UDATA_META_KEY 0
#define UDATA_CT_KEY 0
#define UDATA_CT_DIRECTION 1

/* nft's numbers of the byte orders, in user data. */
enum byte_order { ORDER_NONE, ORDER_HOST, ORDER_NETWORK };

static int entry_compare(const void *a, const void *b)
{
	const struct nft_index_entry *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static int index_finish(struct nft_index *index, struct nft_index *ret)
{
	qsort(index->entries, index->n, sizeof(*index->entries), entry_compare);
	for (size_t i = 1; i < index->n; i++)
		if (strcmp(index->entries[i - 1].name, index->entries[i].name) == 0) {
			nft_index_clear(index);
			return -EEXIST;
		}
	*ret = *index;
	return 0;
}

int nft_index_chains(const struct ruleset *ruleset, struct nft_index *ret)
{
	struct nft_index index = { calloc(ruleset->n_chains + 1, sizeof(*index.entries)), ruleset->n_chains };

	if (!index.entries)
		return -ENOMEM;
	for (size_t i = 0; i < index.n; i++)
		index.entries[i] = (struct nft_index_entry){ ruleset->chains[i].name, i };
	return index_finish(&index, ret);
}

int nft_index_sets(const struct ruleset *ruleset, struct nft_index *ret)
{
	struct nft_index index = { calloc(ruleset->n_sets + 1, sizeof(*index.entries)), ruleset->n_sets };

	if (!index.entries)
		return -ENOMEM;
	for (size_t i = 0; i < index.n; i++)
		index.entries[i] = (struct nft_index_entry){ ruleset->sets[i].name, i };
	return index_finish(&index, ret);
}

void nft_index_clear(struct nft_index *index)
{
	free(index->entries);
	*index = (struct nft_index){ 0 };
}

ssize_t nft_index_find(const struct nft_index *index, const char *name)
{
	struct nft_index_entry wanted = { .name = name }, *found = NULL;

	if (name && index->n)
		found = bsearch(&wanted, index->entries, index->n, sizeof(wanted), entry_compare);
	return found ? (ssize_t)found->at : -ENOENT;
}

uint32_t nft_hook_number(enum hook hook)
{
	static const uint32_t numbers[] = {
		[HOOK_PREROUTING] = NF_INET_PRE_ROUTING,   [HOOK_INPUT] = NF_INET_LOCAL_IN,
		[HOOK_FORWARD] = NF_INET_FORWARD,	   [HOOK_OUTPUT] = NF_INET_LOCAL_OUT,
		[HOOK_POSTROUTING] = NF_INET_POST_ROUTING,
	};

	return numbers[hook];
}

int nft_build_chain(const char *table, const struct chain *chain, struct nftnl_chain **ret)
{
	struct nftnl_chain *built = nftnl_chain_alloc();
	int r = 0;

	if (!built)
		return -ENOMEM;
	r |= nftnl_chain_set_str(built, NFTNL_CHAIN_TABLE, table);
	r |= nftnl_chain_set_str(built, NFTNL_CHAIN_NAME, chain->name);
	if (chain->hook != HOOK_NONE) {
		r |= nftnl_chain_set_str(built, NFTNL_CHAIN_TYPE, chain->nat ? "nat" : "filter");
		nftnl_chain_set_u32(built, NFTNL_CHAIN_HOOKNUM, nft_hook_number(chain->hook));
		nftnl_chain_set_s32(built, NFTNL_CHAIN_PRIO, chain->priority);
		nftnl_chain_set_u32(built, NFTNL_CHAIN_POLICY, chain->policy_drop ? NF_DROP : NF_ACCEPT);
	}
	if (r < 0) {
		nftnl_chain_free(built);
		return -ENOMEM;
	}
	*ret = built;
	return 0;
}

uint32_t nft_set_flags(const struct set *set)
{
	uint32_t flags = 0;

	if (set->interval)
		flags |= NFT_SET_INTERVAL | (set_is_tree(set) ? 0 : NFT_SET_CONCAT);
	if (set->data != DATA_NONE)
		flags |= NFT_SET_MAP;
	if (set->timeout)
		flags |= NFT_SET_TIMEOUT;
	if (set->dynamic)
		flags |= NFT_SET_EVAL;
	return flags;
}

uint32_t nft_set_key_type(const struct set *set)
{
	uint32_t type = 0;

	for (size_t i = 0; i < set->n_fields; i++)
		type = type << TYPE_BITS | field_info(set->fields[i])->type_id;
	return type;
}

uint32_t nft_set_data_type(const struct set *set)
{
	return set->data == DATA_VERDICT ? TYPE_VERDICT : field_info(FIELD_PRIORITY)->type_id;
}

size_t nft_set_field_sizes(const struct set *set, uint8_t ret[STMT_FIELDS_MAX])
{
	for (size_t i = 0; i < set->n_fields; i++)
		ret[i] = field_info(set->fields[i])->size;
	return set->n_fields;
}

/* As nft tells it: protocols have no order of their own. */
static enum byte_order key_order(const struct set *set)
{
	const struct field_info *info = field_info(set->fields[0]);

	if (set->n_fields > 1 || info->type_id == field_info(FIELD_L4PROTO)->type_id)
		return ORDER_NONE;
	if (info->host_order || info->type_id == field_info(FIELD_IIFNAME)->type_id)
		return ORDER_HOST;
	return ORDER_NETWORK;
}

/* A part of a key, for nft to print where its type has no name. */
static bool put_typeof(struct nftnl_udata_buf *buffer, uint8_t number, enum field field)
{
	const struct field_info *info = field_info(field);
	struct nftnl_udata *outer = nftnl_udata_nest_start(buffer, number), *inner;
	bool ct = info->load == LOAD_CT, fits;

	if (!ct && info->load != LOAD_META)
		return false;
	fits = nftnl_udata_put_u32(buffer, NFTNL_UDATA_SET_TYPEOF_EXPR, ct ? EXPR_CT : EXPR_META);
	inner = nftnl_udata_nest_start(buffer, NFTNL_UDATA_SET_TYPEOF_DATA);
	fits = fits && nftnl_udata_put_u32(buffer, ct ? UDATA_CT_KEY : UDATA_META_KEY, info->a);
	if (ct)
		fits = fits && nftnl_udata_put_u32(buffer, UDATA_CT_DIRECTION, info->b);
	nftnl_udata_nest_end(buffer, inner);
	nftnl_udata_nest_end(buffer, outer);
	return fits;
}

/* What nft keeps with a set to print its elements. */
static int set_user_data(struct nftnl_set *built, const struct set *set)
{
	struct nftnl_udata_buf *buffer = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	bool fits;
	int r;

	if (!buffer)
		return -ENOMEM;
	fits = nftnl_udata_put_u32(buffer, NFTNL_UDATA_SET_KEYBYTEORDER, key_order(set));
	if (set->data != DATA_NONE)
		fits = fits && nftnl_udata_put_u32(buffer, NFTNL_UDATA_SET_DATABYTEORDER,
						   set->data == DATA_PRIORITY ? ORDER_HOST : ORDER_NONE);
	if (set->n_fields > 1) {
		struct nftnl_udata *outer = nftnl_udata_nest_start(buffer, NFTNL_UDATA_SET_KEY_TYPEOF), *inner;

		fits = fits && nftnl_udata_put_u32(buffer, NFTNL_UDATA_SET_TYPEOF_EXPR, EXPR_CONCAT);
		inner = nftnl_udata_nest_start(buffer, NFTNL_UDATA_SET_TYPEOF_DATA);
		for (size_t i = 0; i < set->n_fields && !set_has_types(set); i++)
			fits = fits && put_typeof(buffer, (uint8_t)i, set->fields[i]);
		nftnl_udata_nest_end(buffer, inner);
		nftnl_udata_nest_end(buffer, outer);
	}
	if (set->data != DATA_NONE)
		fits = fits && nftnl_udata_put_u32(buffer, NFTNL_UDATA_SET_DATA_INTERVAL, 0);
	r = fits ? nftnl_set_set_data(built, NFTNL_SET_USERDATA, nftnl_udata_buf_data(buffer),
				      nftnl_udata_buf_len(buffer)) :
		   -1;
	nftnl_udata_buf_free(buffer);
	return r < 0 ? -ENOMEM : 0;
}

static bool set_is_possible(const struct set *set)
{
	if (set->n_fields == 0 || set->n_fields > STMT_FIELDS_MAX || set->key_size > KEY_MAX)
		return false;
	for (size_t i = 0; i < set->n_fields; i++)
		if (!field_info(set->fields[i])->type_id)
			return false;
	return true;
}

int nft_build_set(const char *table, const struct set *set, uint32_t id, struct nftnl_set **ret)
{
	struct nftnl_set *built;
	uint8_t sizes[STMT_FIELDS_MAX];
	int r = 0;

	if (!set_is_possible(set))
		return -EINVAL;
	built = nftnl_set_alloc();
	if (!built)
		return -ENOMEM;
	r |= nftnl_set_set_str(built, NFTNL_SET_TABLE, table);
	r |= nftnl_set_set_str(built, NFTNL_SET_NAME, set->name);
	nftnl_set_set_u32(built, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_u32(built, NFTNL_SET_ID, id);
	nftnl_set_set_u32(built, NFTNL_SET_FLAGS, nft_set_flags(set));
	nftnl_set_set_u32(built, NFTNL_SET_KEY_TYPE, nft_set_key_type(set));
	nftnl_set_set_u32(built, NFTNL_SET_KEY_LEN, set->key_size);
	if (set->data != DATA_NONE) {
		nftnl_set_set_u32(built, NFTNL_SET_DATA_TYPE, nft_set_data_type(set));
		nftnl_set_set_u32(built, NFTNL_SET_DATA_LEN, set->data == DATA_VERDICT ? 0 : sizeof(uint32_t));
	}
	if (set->size)
		nftnl_set_set_u32(built, NFTNL_SET_DESC_SIZE, set->size);
	if (set_has_key_ends(set))
		r |= nftnl_set_set_data(built, NFTNL_SET_DESC_CONCAT, sizes, (uint32_t)nft_set_field_sizes(set, sizes));
	r |= set_user_data(built, set);
	if (r < 0) {
		nftnl_set_free(built);
		return -ENOMEM;
	}
	*ret = built;
	return 0;
}

int nft_build_element(struct nftnl_set_elem *elem, const struct set *set, const struct element *element, bool data)
{
	int r = nftnl_set_elem_set(elem, NFTNL_SET_ELEM_KEY, element->key, set->key_size);

	nftnl_set_elem_unset(elem, NFTNL_SET_ELEM_FLAGS);
	if (element_is_end(set, element)) { /* the last one's data is not this one's */
		nftnl_set_elem_unset(elem, NFTNL_SET_ELEM_DATA);
		nftnl_set_elem_set_u32(elem, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
		return r < 0 ? -ENOMEM : 0;
	}
	if (set_has_key_ends(set))
		r |= nftnl_set_elem_set(elem, NFTNL_SET_ELEM_KEY_END, element_key_end(set, element), set->key_size);
	if (data && set->data == DATA_PRIORITY)
		r |= nftnl_set_elem_set(elem, NFTNL_SET_ELEM_DATA, &element->data, sizeof(element->data));
	if (data && set->data == DATA_VERDICT) {
		nftnl_set_elem_set_u32(elem, NFTNL_SET_ELEM_VERDICT, (uint32_t)NFT_GOTO);
		r |= nftnl_set_elem_set_str(elem, NFTNL_SET_ELEM_CHAIN, element_chain(set, element));
	}
	return r < 0 ? -ENOMEM : 0;
}

/* What the kernel says of an expression though it was not told, as it is the default. */
static void fill_defaults(struct nftnl_expr *expr, const char *kind)
{
	if (strcmp(kind, "lookup") == 0 && !nftnl_expr_is_set(expr, NFTNL_EXPR_LOOKUP_FLAGS))
		nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, 0);
	if (strcmp(kind, "dynset") == 0 && !nftnl_expr_is_set(expr, NFTNL_EXPR_DYNSET_TIMEOUT))
		nftnl_expr_set_u64(expr, NFTNL_EXPR_DYNSET_TIMEOUT, 0);
}

static void print_expr(struct text *out, struct nftnl_expr *expr)
{
	const char *kind = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
	char text[1024] = "";

	fill_defaults(expr, kind);
	if (strcmp(kind, "counter") != 0)
		nftnl_expr_snprintf(text, sizeof(text), expr, NFTNL_OUTPUT_DEFAULT, 0);
	text_add(out, "%s %s; ", kind, text);
}

int nft_rule_text(struct nftnl_rule *rule, char **ret)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	struct nftnl_expr *expr;
	char *text;
	struct text out = { 0 };

	if (!iter)
		return -ENOMEM;
	text_add(&out, "%s", ""); /* a rule may have no expressions */
	for (expr = nftnl_expr_iter_next(iter); expr; expr = nftnl_expr_iter_next(iter))
		print_expr(&out, expr);
	nftnl_expr_iter_destroy(iter);
	text = text_take(&out);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}
