/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft_read.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/gen.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "base/array.h"

#define REQUEST_ROOM 512
#define TRIES 20
#define SETTLE_TRIES 100

/* What a walk through the kernel's answers needs. */
struct walk {
	struct nft_have *haves;
	size_t n;
	const struct ruleset *wanted;
	const struct nft_index *wanted_sets;
	const struct nft_written *only; /* NULL: all */
	struct nft_have *have; /* the one being filled in */
	struct nft_have_set *set; /* likewise */
	bool owned; /* all that is there of ours: nobody else can change it */
};

static void have_chain_clear(struct nft_have_chain *chain)
{
	for (size_t i = 0; i < chain->n_rules; i++)
		free(chain->rules[i]);
	free(chain->rules);
	free(chain->name);
}

void nft_have_clear(struct nft_have *have)
{
	for (size_t i = 0; i < have->n_chains; i++)
		have_chain_clear(&have->chains[i]);
	for (size_t i = 0; i < have->n_sets; i++) {
		free(have->sets[i].set.elements);
		free(have->sets[i].name);
	}
	free(have->chains);
	free(have->sets);
	*have = (struct nft_have){ .table = have->table };
}

/*
 * libnftnl does not tell no memory from a message that it does not know. What was not read for want of memory must not
 * count as absent: it would stay as it is, with everything in it.
 */
struct listing {
	int (*each)(const struct nlmsghdr *message, void *data);
	void *data;
};

static int take_message(const struct nlmsghdr *message, void *data)
{
	const struct listing *listing = data;
	int r;

	errno = 0;
	r = listing->each(message, listing->data);
	return r == 0 && errno == ENOMEM ? -ENOMEM : r;
}

/* A dump of one kind of object, of one table, and of one thing in it, or of all. The attributes of all kinds have the same numbers. */
static int dump(struct nft *nft, int type, const char *table, const char *name,
		int (*each)(const struct nlmsghdr *message, void *data), void *data)
{
	char buffer[REQUEST_ROOM] __attribute__((aligned(8)));
	struct nlmsghdr *request = nftnl_nlmsg_build_hdr(buffer, (uint16_t)type, NFPROTO_INET, NLM_F_DUMP, 0);
	struct listing listing = { each, data };

	if (table)
		mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_TABLE, table);
	if (name)
		mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, name);
	return nlsocket_query(nft->socket, request, take_message, &listing);
}

static int take_generation(const struct nlmsghdr *message, void *data)
{
	struct nftnl_gen *gen = nftnl_gen_alloc();
	uint32_t *ret = data;

	if (!gen)
		return -ENOMEM;
	if (nftnl_gen_nlmsg_parse(message, gen) == 0)
		*ret = nftnl_gen_get_u32(gen, NFTNL_GEN_ID);
	nftnl_gen_free(gen);
	return 0;
}

int nft_generation(struct nft *nft, uint32_t *ret)
{
	char buffer[REQUEST_ROOM] __attribute__((aligned(8)));
	struct nlmsghdr *request = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETGEN, NFPROTO_UNSPEC, 0, 0);

	*ret = 0;
	return nlsocket_query(nft->socket, request, take_generation, ret);
}

static struct nft_have *walk_table(struct walk *walk, const char *table)
{
	for (size_t i = 0; table && i < walk->n; i++)
		if (strcmp(walk->haves[i].table, table) == 0)
			return &walk->haves[i];
	return NULL;
}

static int take_table(const struct nlmsghdr *message, void *data)
{
	struct nftnl_table *table = nftnl_table_alloc();
	struct walk *walk = data;
	struct nft_have *have;

	if (!table)
		return -ENOMEM;
	if (nftnl_table_nlmsg_parse(message, table) == 0 &&
	    nftnl_table_get_u32(table, NFTNL_TABLE_FAMILY) == NFPROTO_INET) {
		have = walk_table(walk, nftnl_table_get_str(table, NFTNL_TABLE_NAME));
		if (have) {
			have->there = true;
			have->flags = nftnl_table_get_u32(table, NFTNL_TABLE_FLAGS);
			have->owner = nftnl_table_get_u32(table, NFTNL_TABLE_OWNER);
		}
	}
	nftnl_table_free(table);
	return 0;
}

static int keep_chain(struct nft_have *have, const struct nftnl_chain *chain)
{
	struct nft_have_chain *kept = ARRAY_ADD(have->chains, have->n_chains);
	const char *type = nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE);

	if (!kept)
		return -ENOMEM;
	kept->base = nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM);
	kept->filter = type && strcmp(type, "filter") == 0;
	kept->nat = type && strcmp(type, "nat") == 0;
	kept->hook = nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM);
	kept->priority = nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO);
	kept->policy_drop = kept->base && nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP;
	kept->name = strdup(nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME));
	if (!kept->name) {
		have->n_chains--;
		return -ENOMEM;
	}
	return 0;
}

static int take_chain(const struct nlmsghdr *message, void *data)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct walk *walk = data;
	int r = 0;

	if (!chain)
		return -ENOMEM;
	if (nftnl_chain_nlmsg_parse(message, chain) == 0 &&
	    nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY) == NFPROTO_INET) {
		struct nft_have *have = walk_table(walk, nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE));

		if (have && nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME))
			r = keep_chain(have, chain);
	}
	nftnl_chain_free(chain);
	return r;
}

/* Chains and sets are sorted and searched by their first member. */
static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct rule_call {
	int (*each)(struct nftnl_rule *rule, void *data);
	void *data;
};

static int take_rule(const struct nlmsghdr *message, void *data)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct rule_call *call = data;
	int r = 0;

	if (!rule)
		return -ENOMEM;
	/* One with an expression that the library does not know ends in one that no rule of ours has. */
	if (nftnl_rule_nlmsg_parse(message, rule) < 0) {
		struct nftnl_expr *unknown = nftnl_expr_alloc("notrack");

		if (unknown)
			nftnl_rule_add_expr(rule, unknown);
		else
			r = -ENOMEM;
	}
	if (r == 0)
		r = call->each(rule, call->data);
	nftnl_rule_free(rule);
	return r;
}

int nft_read_rules(struct nft *nft, const char *table, const char *chain,
		   int (*each)(struct nftnl_rule *rule, void *data), void *data)
{
	struct rule_call call = { each, data };

	return dump(nft, NFT_MSG_GETRULE, table, chain, take_rule, &call);
}

static int keep_rule(struct nftnl_rule *rule, void *data)
{
	struct walk *walk = data;
	const char *name = nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN);
	struct nft_have_chain *chain = NULL;
	char **slot;
	int r;

	if (name && walk->have->n_chains)
		chain = bsearch(&name, walk->have->chains, walk->have->n_chains, sizeof(*chain), name_compare);
	if (!chain)
		return -EAGAIN; /* of a chain that came later */
	slot = ARRAY_ADD(chain->rules, chain->n_rules);
	if (!slot)
		return -ENOMEM;
	r = nft_rule_text(rule, slot);
	if (r < 0)
		chain->n_rules--;
	return r;
}

/* An earlier run may have had more in it. */
static bool size_is_wanted(uint32_t size, const struct set *wanted)
{
	return size == wanted->size || (set_has_room(wanted) && size > wanted->size);
}

static bool set_is_wanted(const struct nftnl_set *set, const struct set *wanted)
{
	uint8_t sizes[STMT_FIELDS_MAX];
	size_t n_sizes = nft_set_field_sizes(wanted, sizes);
	uint32_t length = 0;
	const void *told = nftnl_set_get_data(set, NFTNL_SET_DESC_CONCAT, &length);

	if (nftnl_set_get_u32(set, NFTNL_SET_FLAGS) != nft_set_flags(wanted) ||
	    nftnl_set_get_u32(set, NFTNL_SET_KEY_TYPE) != nft_set_key_type(wanted) ||
	    nftnl_set_get_u32(set, NFTNL_SET_KEY_LEN) != wanted->key_size ||
	    !size_is_wanted(nftnl_set_get_u32(set, NFTNL_SET_DESC_SIZE), wanted) ||
	    nftnl_set_is_set(set, NFTNL_SET_TIMEOUT) || nftnl_set_is_set(set, NFTNL_SET_EXPR) ||
	    nftnl_set_is_set(set, NFTNL_SET_OBJ_TYPE))
		return false;
	if (set_has_key_ends(wanted) && (!told || length < n_sizes || memcmp(told, sizes, n_sizes) != 0))
		return false;
	return wanted->data == DATA_NONE || nftnl_set_get_u32(set, NFTNL_SET_DATA_TYPE) == nft_set_data_type(wanted);
}

static int keep_set(struct walk *walk, const struct nftnl_set *set)
{
	struct nft_have_set *kept = ARRAY_ADD(walk->have->sets, walk->have->n_sets);
	const char *name = nftnl_set_get_str(set, NFTNL_SET_NAME);
	uint32_t flags = nftnl_set_get_u32(set, NFTNL_SET_FLAGS);
	ssize_t at = nft_index_find(walk->wanted_sets, name);

	if (!kept)
		return -ENOMEM;
	kept->name = strdup(name);
	if (!kept->name) {
		walk->have->n_sets--;
		return -ENOMEM;
	}
	kept->anonymous = flags & NFT_SET_ANONYMOUS;
	kept->flush = flags & NFT_SET_MAP && !(flags & NFT_SET_CONSTANT);
	kept->same = at >= 0 && set_is_wanted(set, &walk->wanted->sets[at]);
	if (kept->same) {
		kept->set = set_like(&walk->wanted->sets[at]);
	}
	return 0;
}

static int take_set(const struct nlmsghdr *message, void *data)
{
	struct nftnl_set *set = nftnl_set_alloc();
	int r = 0;

	if (!set)
		return -ENOMEM;
	if (nftnl_set_nlmsg_parse(message, set) == 0 && nftnl_set_get_str(set, NFTNL_SET_NAME))
		r = keep_set(data, set);
	nftnl_set_free(set);
	return r;
}

/* An element as ours; false: it is of a kind that ours never are. */
static bool read_element(struct nftnl_set_elem *elem, const struct set *set, struct element *ret)
{
	uint32_t length = 0, end_length = 0, data_length = 0;
	const void *key = nftnl_set_elem_get(elem, NFTNL_SET_ELEM_KEY, &length);
	const void *end = nftnl_set_elem_get(elem, NFTNL_SET_ELEM_KEY_END, &end_length);
	const void *data = nftnl_set_elem_get(elem, NFTNL_SET_ELEM_DATA, &data_length);
	const char *chain = nftnl_set_elem_get_str(elem, NFTNL_SET_ELEM_CHAIN);
	bool range = set_has_key_ends(set), ends;

	if (!key || length != set->key_size || range != (end && end_length == set->key_size) ||
	    nftnl_set_elem_is_set(elem, NFTNL_SET_ELEM_EXPR) || nftnl_set_elem_is_set(elem, NFTNL_SET_ELEM_OBJREF) ||
	    nftnl_set_elem_is_set(elem, NFTNL_SET_ELEM_TIMEOUT))
		return false;
	memcpy(ret->key, key, length);
	if (range)
		memcpy(element_key_end(set, ret), end, length);
	ends = set_is_tree(set) && nftnl_set_elem_is_set(elem, NFTNL_SET_ELEM_FLAGS) &&
	       nftnl_set_elem_get_u32(elem, NFTNL_SET_ELEM_FLAGS) & NFT_SET_ELEM_INTERVAL_END;
	if (ends) {
		*element_end(set, ret) = true;
		return !data;
	}
	if (set->data == DATA_PRIORITY && (!data || data_length != sizeof(ret->data)))
		return false;
	if (set->data == DATA_PRIORITY)
		memcpy(&ret->data, data, sizeof(ret->data));
	/* Any verdict but a goto stays without a name, which no element of ours has. */
	if (set->data == DATA_VERDICT && chain &&
	    nftnl_set_elem_get_u32(elem, NFTNL_SET_ELEM_VERDICT) == (uint32_t)NFT_GOTO)
		snprintf(element_chain(set, ret), CHAIN_MAX, "%s", chain);
	return true;
}

static int keep_element(struct nftnl_set_elem *elem, void *data)
{
	struct nft_have_set *kept = data;
	struct element *element = set_add(&kept->set);

	if (!element)
		return -ENOMEM;
	if (!read_element(elem, &kept->set, element))
		kept->same = false;
	return 0;
}

static int take_elements(const struct nlmsghdr *message, void *data)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct walk *walk = data;
	int r = 0;

	if (!set)
		return -ENOMEM;
	if (nftnl_set_elems_nlmsg_parse(message, set) < 0)
		walk->set->same = false;
	else
		r = nftnl_set_elem_foreach(set, keep_element, walk->set);
	nftnl_set_free(set);
	return r;
}

static int stop_at_first(bool add, const struct element *element, void *data)
{
	return -EEXIST;
}

static bool same_elements(const struct set *a, const struct set *b)
{
	return set_diff(a, b, stop_at_first, NULL) == 0;
}

static int read_set_once(struct nft *nft, struct walk *walk)
{
	struct set *set = &walk->set->set;
	int r;

	*set = set_like(set);
	r = dump(nft, NFT_MSG_GETSETELEM, walk->have->table, walk->set->name, take_elements, walk);
	if (r == -EINTR && walk->owned) /* others changed something, which is not this */
		r = 0;
	if (r == 0)
		set_sort(set);
	return r;
}

/*
 * While the kernel enlarges a hash table, which it does for a while after it has grown, a dump misses elements or tells
 * some twice, without a sign of it. So what is not as wanted is read again until it is the same twice.
 */
static int read_set(struct nft *nft, struct walk *walk)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	const struct set *wanted = ruleset_set(walk->wanted, walk->set->name);
	struct set *set = &walk->set->set, before;
	int r = read_set_once(nft, walk);

	for (int i = 0; i < SETTLE_TRIES && r == 0 && walk->set->same && !same_elements(set, wanted); i++) {
		bool settled;

		before = *set;
		nanosleep(&pause, NULL);
		r = read_set_once(nft, walk);
		settled = r == 0 && same_elements(&before, set);
		free(before.elements);
		if (settled)
			break;
	}
	return r;
}

static int ask_element(struct nft *nft, struct walk *walk, const struct element *element)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct nftnl_set_elem *elem = nftnl_set_elem_alloc();
	char buffer[REQUEST_ROOM] __attribute__((aligned(8)));
	struct nlmsghdr *request = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSETELEM, NFPROTO_INET, 0, 0);
	struct listing listing = { take_elements, walk };
	int r = set && elem ? nft_build_element(elem, &walk->set->set, element, false) : -ENOMEM;

	if (r == 0) {
		nftnl_set_set_str(set, NFTNL_SET_TABLE, walk->have->table);
		nftnl_set_set_str(set, NFTNL_SET_NAME, walk->set->name);
		nftnl_set_elem_add(set, elem);
		elem = NULL;
		nftnl_set_elems_nlmsg_build_payload(request, set);
		r = nlsocket_query(nft->socket, request, take_message, &listing);
	}
	if (elem)
		nftnl_set_elem_free(elem);
	if (set)
		nftnl_set_free(set);
	return r == -ENOENT ? 0 : r;
}

/* Whether an element is in a set just where it is wanted; *ret false also where nobody can tell. */
static int compare_element(struct nft *nft, struct walk *walk, const struct element *element, bool *ret)
{
	const struct set *wanted = ruleset_set(walk->wanted, walk->set->name);
	const struct element *found = set_find(wanted, element);
	struct set *set = &walk->set->set, one = set_like(wanted);
	int r;

	*set = set_like(set);
	r = ask_element(nft, walk, element);
	one.elements = (void *)found;
	one.n_elements = found ? 1 : 0;
	*ret = r == 0 && walk->set->same && same_elements(set, &one);
	free(set->elements);
	*set = set_like(set);
	return r;
}

/* Reads what was written of a set, and all of it only where that is not as wanted. */
static int read_written(struct nft *nft, struct walk *walk, const struct nft_written_set *written)
{
	bool as_wanted = true;
	int r = 0;

	for (size_t i = 0; i < written->set.n_elements && r == 0 && as_wanted; i++)
		r = compare_element(nft, walk, set_element(&written->set, i), &as_wanted);
	walk->set->unread = as_wanted;
	return r < 0 || as_wanted ? r : read_set(nft, walk);
}

static int read_elements(struct nft *nft, struct walk *walk)
{
	int r = 0;

	for (size_t i = 0; i < walk->have->n_sets && r == 0; i++) {
		const struct nft_written_set *written;

		walk->set = &walk->have->sets[i];
		if (!walk->set->same || walk->set->set.timeout || walk->set->set.dynamic)
			continue;
		written = walk->only ? nft_written_set(walk->only, walk->set->name) : NULL;
		if (walk->only && !written)
			walk->set->unread = true;
		else if (written && !written->all)
			r = read_written(nft, walk, written);
		else
			r = read_set(nft, walk);
	}
	return r;
}

static int read_rules(struct nft *nft, struct walk *walk)
{
	struct nft_have *have = walk->have;
	int r = 0;

	if (!walk->only)
		return nft_read_rules(nft, have->table, NULL, keep_rule, walk);
	for (size_t i = 0; i < have->n_chains && r == 0; i++) {
		have->chains[i].unread = !nft_written_chain(walk->only, have->chains[i].name);
		if (!have->chains[i].unread)
			r = nft_read_rules(nft, have->table, have->chains[i].name, keep_rule, walk);
	}
	return r;
}

static int read_inside(struct nft *nft, struct walk *walk)
{
	int r;

	if (walk->have->n_chains)
		qsort(walk->have->chains, walk->have->n_chains, sizeof(*walk->have->chains), name_compare);
	r = read_rules(nft, walk);
	if (r == 0)
		r = dump(nft, NFT_MSG_GETSET, walk->have->table, NULL, take_set, walk);
	if (r < 0)
		return r;
	if (walk->have->n_sets)
		qsort(walk->have->sets, walk->have->n_sets, sizeof(*walk->have->sets), name_compare);
	return read_elements(nft, walk);
}

static bool all_owned(const struct nft *nft, const struct walk *walk)
{
	size_t n_there = 0;

	for (size_t i = 0; i < walk->n; i++) {
		const struct nft_have *have = &walk->haves[i];

		n_there += have->there;
		if (have->there && (!(have->flags & NFT_FLAG_OWNER) || have->owner != nft->port))
			return false;
	}
	return n_there > 0;
}

static int read_once(struct nft *nft, struct walk *walk, uint32_t *ret_generation)
{
	uint32_t before, after;
	int r;

	for (size_t i = 0; i < walk->n; i++)
		nft_have_clear(&walk->haves[i]);
	r = nft_generation(nft, &before);
	if (r == 0)
		r = dump(nft, NFT_MSG_GETTABLE, NULL, NULL, take_table, walk);
	walk->owned = all_owned(nft, walk);
	if (!walk->owned)
		walk->only = NULL;
	if (r == 0 && walk->wanted)
		r = dump(nft, NFT_MSG_GETCHAIN, NULL, NULL, take_chain, walk);
	for (size_t i = 0; i < walk->n && r == 0 && walk->wanted; i++) {
		walk->have = &walk->haves[i];
		if (walk->have->there)
			r = read_inside(nft, walk);
	}
	if (r == 0)
		r = nft_generation(nft, &after);
	if (r < 0)
		return r;
	*ret_generation = walk->owned ? 0 : after;
	return walk->owned || before == after ? 0 : -EAGAIN;
}

int nft_read(struct nft *nft, const struct ruleset *wanted, const struct nft_written *only, struct nft_have *haves,
	     size_t n, uint32_t *ret_generation, struct error *error)
{
	_cleanup_index_ struct nft_index sets = { 0 };
	struct walk walk = { .haves = haves, .n = n, .wanted = wanted, .wanted_sets = &sets, .only = only };
	int r = wanted ? nft_index_sets(wanted, &sets) : 0;

	if (r < 0)
		return error_set(error, -r, "a ruleset has two sets of one name");
	for (int i = 0; i < TRIES; i++) {
		r = read_once(nft, &walk, ret_generation);
		/* Others changed something meanwhile, or took away what was being listed. */
		if (r != -EAGAIN && r != -EINTR && r != -ENOENT && r != -ENOBUFS)
			break;
	}
	if (r == -ENOMEM)
		return error_memory(error);
	return r < 0 ? error_set(error, -r, "cannot read nftables: %s", strerror(-r)) : 0;
}
