/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan, and its parts, as messages. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "kernel/nft_plan.h"

/* An attribute's length has 16 bits; an element needs a few hundred bytes at most. */
#define ELEMENTS_BYTES_MAX 60000

int nft_write_table(struct nft_batch *batch, const char *table, uint32_t table_flags, int flags, struct error *error)
{
	const struct nft_note note = { .what = "table", .name = table, .table = table };
	struct nlmsghdr *message = nft_batch_begin(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | flags, &note);

	if (!message)
		return error_memory(error);
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
	mnl_attr_put_u32(message, NFTA_TABLE_FLAGS, htonl(table_flags));
	nft_batch_end(batch, message);
	return 0;
}

/* A message that names one thing of a table: every kind has the table's name and its own in the same two attributes. */
static int write_name(struct nft_batch *batch, int type, const struct nft_note *note, int attr, struct error *error)
{
	struct nlmsghdr *message = nft_batch_begin(batch, type, 0, note);

	if (!message)
		return error_memory(error);
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, note->table);
	if (attr)
		mnl_attr_put_strz(message, (uint16_t)attr, note->name);
	nft_batch_end(batch, message);
	return 0;
}

int nft_write_table_gone(struct nft_batch *batch, const char *table, struct error *error)
{
	const struct nft_note note = { .what = "table", .name = table, .table = table };

	return write_name(batch, NFT_MSG_DELTABLE, &note, 0, error);
}

int nft_write_flush(struct nft_batch *batch, const char *table, const char *set, struct error *error)
{
	const struct nft_note note = { .what = "elements of set", .name = set, .table = table };

	return write_name(batch, NFT_MSG_DELSETELEM, &note, NFTA_SET_ELEM_LIST_SET, error);
}

/* Writes elements one by one, as many into a message as fit. */
struct element_writer {
	struct nft_batch *batch;
	const char *table;
	const struct set *set;
	struct nftnl_set_elem *elem;
	struct nlmsghdr *message;
	struct nlattr *list;
	bool add; /* else delete */
	unsigned seconds;
	int n;
};

static void writer_flush(struct element_writer *writer)
{
	if (!writer->message)
		return;
	mnl_attr_nest_end(writer->message, writer->list);
	nft_batch_end(writer->batch, writer->message);
	writer->message = NULL;
	writer->n = 0;
}

static int writer_begin(struct element_writer *writer)
{
	const struct nft_note note = { .what = "elements of set", .name = writer->set->name, .table = writer->table };

	writer->message = nft_batch_begin(writer->batch, writer->add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
					  writer->add ? NLM_F_CREATE : 0, &note);
	if (!writer->message)
		return -ENOMEM;
	mnl_attr_put_strz(writer->message, NFTA_SET_ELEM_LIST_TABLE, writer->table);
	mnl_attr_put_strz(writer->message, NFTA_SET_ELEM_LIST_SET, writer->set->name);
	writer->list = mnl_attr_nest_start(writer->message, NFTA_SET_ELEM_LIST_ELEMENTS);
	return 0;
}

static int writer_put(struct element_writer *writer, const struct element *element)
{
	int r = writer->message ? 0 : writer_begin(writer);

	if (r == 0)
		r = nft_build_element(writer->elem, writer->set, element, writer->add);
	if (r < 0)
		return r;
	if (writer->seconds)
		nftnl_set_elem_set_u64(writer->elem, NFTNL_SET_ELEM_TIMEOUT, writer->seconds * 1000ull);
	nftnl_set_elem_nlmsg_build(writer->message, writer->elem, ++writer->n);
	if (writer->message->nlmsg_len > ELEMENTS_BYTES_MAX)
		writer_flush(writer);
	return 0;
}

int nft_write_elements(struct nft_batch *batch, const char *table, const struct set *set,
		       const struct nft_elements *elements, bool add, unsigned seconds, struct error *error)
{
	struct element_writer writer = { .batch = batch,
					 .table = table,
					 .set = set,
					 .add = add,
					 .seconds = seconds,
					 .elem = nftnl_set_elem_alloc() };
	int r = 0;

	if (!writer.elem)
		return error_memory(error);
	for (size_t i = 0; i < elements->n && r == 0; i++)
		r = writer_put(&writer, elements->items[i]);
	writer_flush(&writer);
	nftnl_set_elem_free(writer.elem);
	return r < 0 ? error_memory(error) : 0;
}

static int write_chain(struct nft_batch *batch, const char *table, const struct chain *chain, struct error *error)
{
	const struct nft_note note = { .what = "chain", .name = chain->name, .table = table };
	struct nftnl_chain *built;
	struct nlmsghdr *message;
	int r = nft_build_chain(table, chain, &built);

	if (r < 0)
		return error_memory(error);
	message = nft_batch_begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, &note);
	if (message) {
		nftnl_chain_nlmsg_build_payload(message, built);
		nft_batch_end(batch, message);
	}
	nftnl_chain_free(built);
	return message ? 0 : error_memory(error);
}

static int write_set(struct nft_batch *batch, const char *table, const struct set *set, struct error *error)
{
	const struct nft_note note = { .what = "set", .name = set->name, .table = table };
	struct nlmsghdr *message;
	struct nftnl_set *built;
	int r = nft_build_set(table, set, nft_batch_set_id(batch), &built);

	if (r < 0)
		return error_set(error, -r, "table inet %s, set %s cannot be made: %s", table, set->name, strerror(-r));
	message = nft_batch_begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE, &note);
	if (message) {
		nftnl_set_nlmsg_build_payload(message, built);
		nft_batch_end(batch, message);
	}
	nftnl_set_free(built);
	return message ? 0 : error_memory(error);
}

static int write_rules(const struct nft_plan *plan, const char *table, const struct chain *chain,
		       struct nft_batch *batch, struct error *error)
{
	struct nft_note note = { .what = "rule", .name = chain->name, .table = table };

	for (size_t i = 0; i < chain->n_rules; i++) {
		struct nlmsghdr *message;
		struct nftnl_rule *built;
		int r = nft_build_rule(table, chain->name, &chain->rules[i], plan->to, &plan->set_names, &built);

		note.number++;
		if (r < 0)
			return error_set(error, -r, "table inet %s, rule %u of %s cannot be made: %s", table,
					 note.number, chain->name, strerror(-r));
		message = nft_batch_begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, &note);
		if (message) {
			nftnl_rule_nlmsg_build_payload(message, built);
			nft_batch_end(batch, message);
		}
		nftnl_rule_free(built);
		if (!message)
			return error_memory(error);
	}
	return 0;
}

static int write_set_gone(struct nft_batch *batch, const char *table, const char *name, bool flush, struct error *error)
{
	const struct nft_note note = { .what = "set", .name = name, .table = table };
	int r = flush ? nft_write_flush(batch, table, name, error) : 0;

	return r < 0 ? r : write_name(batch, NFT_MSG_DELSET, &note, NFTA_SET_NAME, error);
}

/* What goes: rules first, then elements, then the sets. Chains have to wait for those that lead to them. */
static int write_removals(const struct nft_plan *plan, const char *table, struct nft_batch *batch, struct error *error)
{
	const struct ruleset *to = plan->to;
	int r = 0;

	for (size_t i = 0; i < to->n_chains && r == 0; i++) {
		const struct nft_note note = { .what = "rules of chain", .name = to->chains[i].name, .table = table };

		if (plan->chains[i].rules && !plan->chains[i].make)
			r = write_name(batch, NFT_MSG_DELRULE, &note, NFTA_RULE_CHAIN, error);
	}
	for (size_t i = 0; i < plan->n_gone_chains && r == 0; i++) {
		const struct nft_note note = { .what = "rules of chain",
					       .name = plan->gone_chains[i].name,
					       .table = table };

		r = write_name(batch, NFT_MSG_DELRULE, &note, NFTA_RULE_CHAIN, error);
	}
	for (size_t i = 0; i < to->n_sets && r == 0; i++) {
		const struct nft_plan_set *set = &plan->sets[i];

		if (set->drop)
			r = write_set_gone(batch, table, to->sets[i].name, set->flush, error);
		else
			r = nft_write_elements(batch, table, &to->sets[i], &set->take, false, 0, error);
	}
	for (size_t i = 0; i < plan->n_gone_sets && r == 0; i++)
		r = write_set_gone(batch, table, plan->gone_sets[i].name, plan->gone_sets[i].flush, error);
	return r;
}

/* New chains of one kind, and new policies. */
static int write_chains(const struct nft_plan *plan, const char *table, bool base, struct nft_batch *batch,
			struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < plan->to->n_chains && r == 0; i++) {
		const struct chain *chain = &plan->to->chains[i];

		if ((plan->chains[i].make || plan->chains[i].policy) && base == (chain->hook != HOOK_NONE))
			r = write_chain(batch, table, chain, error);
	}
	return r;
}

static int write_sets(const struct nft_plan *plan, const char *table, struct nft_batch *batch, struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < plan->to->n_sets && r == 0; i++)
		if (plan->sets[i].make)
			r = write_set(batch, table, &plan->to->sets[i], error);
	return r;
}

static int write_elements(const struct nft_plan *plan, const char *table, struct nft_batch *batch, struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < plan->to->n_sets && r == 0; i++)
		r = nft_write_elements(batch, table, &plan->to->sets[i], &plan->sets[i].put, true, 0, error);
	return r;
}

/* The rules of chains of one kind. */
static int write_all_rules(const struct nft_plan *plan, const char *table, bool base, struct nft_batch *batch,
			   struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < plan->to->n_chains && r == 0; i++)
		if (plan->chains[i].rules && base == (plan->to->chains[i].hook != HOOK_NONE))
			r = write_rules(plan, table, &plan->to->chains[i], batch, error);
	return r;
}

static bool is_new_tree(const struct nft_plan *plan, size_t i)
{
	return plan->sets[i].make && !plan->sets[i].drop && set_is_tree(&plan->to->sets[i]);
}

bool nft_plan_has_trees(const struct nft_plan *plan)
{
	for (size_t i = 0; i < plan->to->n_sets; i++)
		if (is_new_tree(plan, i))
			return true;
	return false;
}

int nft_plan_write_trees(const struct nft_plan *plan, const char *table, struct nft_batch *batch, struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < plan->to->n_sets && r == 0; i++) {
		const struct set *set = &plan->to->sets[i];

		if (!is_new_tree(plan, i))
			continue;
		r = write_set(batch, table, set, error);
		if (r == 0)
			r = nft_write_elements(batch, table, set, &plan->sets[i].put, true, 0, error);
	}
	return r;
}

int nft_plan_write_trees_gone(const struct nft_plan *plan, const char *table, struct nft_batch *batch,
			      struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < plan->to->n_sets && r == 0; i++)
		if (is_new_tree(plan, i))
			r = write_set_gone(batch, table, plan->to->sets[i].name, false, error);
	return r;
}

void nft_plan_trees_made(struct nft_plan *plan)
{
	for (size_t i = 0; i < plan->to->n_sets; i++) {
		if (!is_new_tree(plan, i))
			continue;
		plan->sets[i].make = false;
		plan->sets[i].put.n = 0;
	}
}

/*
 * The order lets every reference find what it names, both ways. A rule that looks into a map makes the kernel go through all
 * of it: so maps are filled when the rules are there. A new base chain takes packets as soon as the kernel sees its message,
 * and until the commit has no more than its policy: so it comes when all else is there.
 */
int nft_plan_write(const struct nft_plan *plan, const char *table, struct nft_batch *batch, struct error *error)
{
	int r = write_chains(plan, table, false, batch, error);

	if (r == 0)
		r = write_removals(plan, table, batch, error);
	if (r == 0)
		r = write_sets(plan, table, batch, error);
	if (r == 0)
		r = write_all_rules(plan, table, false, batch, error);
	if (r == 0)
		r = write_elements(plan, table, batch, error);
	if (r == 0)
		r = write_chains(plan, table, true, batch, error);
	if (r == 0)
		r = write_all_rules(plan, table, true, batch, error);
	for (size_t i = 0; i < plan->n_gone_chains && r == 0; i++) {
		const struct nft_note note = { .what = "chain", .name = plan->gone_chains[i].name, .table = table };

		r = write_name(batch, NFT_MSG_DELCHAIN, &note, NFTA_CHAIN_NAME, error);
	}
	return r;
}
