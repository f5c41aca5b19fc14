/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/rule.h>

#include "base/array.h"

void nft_plan_clear(struct nft_plan *plan)
{
	nft_index_clear(&plan->chain_names);
	nft_index_clear(&plan->set_names);
	for (size_t i = 0; plan->sets && i < plan->to->n_sets; i++) {
		free(plan->sets[i].take.items);
		free(plan->sets[i].put.items);
	}
	free(plan->chains);
	free(plan->sets);
	free(plan->gone_chains);
	free(plan->gone_sets);
	*plan = (struct nft_plan){ 0 };
}

/* Keeps the first difference that is found. */
static void plan_differs(struct nft_plan *plan, const char *format, ...) _printf_(2, 3);
static void plan_differs(struct nft_plan *plan, const char *format, ...)
{
	va_list args;

	if (plan->difference[0])
		return;
	va_start(args, format);
	vsnprintf(plan->difference, sizeof(plan->difference), format, args);
	va_end(args);
}

static int plan_begin(const struct ruleset *to, struct nft_plan *plan, struct error *error)
{
	int r = nft_index_chains(to, &plan->chain_names);

	if (r == 0)
		r = nft_index_sets(to, &plan->set_names);
	plan->to = to;
	if (r < 0)
		return error_set(error, -r, "a ruleset has two chains or two sets of one name");
	plan->chains = calloc(to->n_chains + 1, sizeof(*plan->chains));
	plan->sets = calloc(to->n_sets + 1, sizeof(*plan->sets));
	return plan->chains && plan->sets ? 0 : error_memory(error);
}

static int plan_gone(struct nft_plan_gone **names, size_t *n, const char *name, bool flush)
{
	struct nft_plan_gone *gone = array_grow((void **)names, n, sizeof(*gone));

	if (!gone)
		return -ENOMEM;
	gone->name = name;
	gone->flush = flush;
	return 0;
}

static int keep_change(bool add, const struct element *element, void *data)
{
	struct nft_plan_set *set = data;
	struct nft_elements *changed = add ? &set->put : &set->take;
	const struct element **slot = ARRAY_ADD(changed->items, changed->n);

	if (!slot)
		return -ENOMEM;
	*slot = element;
	return 0;
}

/* What to change in a set that holds what `from` does, or nothing. */
static int plan_elements(struct nft_plan *plan, size_t i, const struct set *from)
{
	const struct set *to = &plan->to->sets[i];

	return to->timeout || to->dynamic ? 0 : set_diff(from, to, keep_change, &plan->sets[i]);
}

/* Rules that name a set which is made anew have to let go of it. */
static void plan_release_sets(struct nft_plan *plan)
{
	const struct ruleset *to = plan->to;

	for (size_t i = 0; i < to->n_chains; i++)
		for (size_t k = 0; k < to->chains[i].n_rules && !plan->chains[i].rules; k++) {
			const struct rule *rule = &to->chains[i].rules[k];

			for (size_t m = 0; m < rule->n_stmts; m++) {
				ssize_t at = rule->stmts[m].n_fields ?
						     nft_index_find(&plan->set_names, rule->stmts[m].name) :
						     -ENOENT;

				plan->chains[i].rules |= at >= 0 && plan->sets[at].drop;
			}
		}
}

int nft_plan_new(const struct ruleset *to, struct nft_plan *ret, struct error *error)
{
	_cleanup_plan_ struct nft_plan plan = { 0 };
	int r = plan_begin(to, &plan, error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < to->n_chains; i++)
		plan.chains[i] = (struct nft_plan_chain){ .make = true, .rules = true };
	for (size_t i = 0; i < to->n_sets; i++) {
		plan.sets[i].make = true;
		if (plan_elements(&plan, i, NULL) < 0)
			return error_memory(error);
	}
	plan_differs(&plan, "nothing is there");
	*ret = plan;
	plan = (struct nft_plan){ 0 };
	return 0;
}

static int change_chains(struct nft_plan *plan, const struct ruleset *from, struct error *error)
{
	_cleanup_index_ struct nft_index had = { 0 };

	if (nft_index_chains(from, &had) < 0)
		return error_memory(error);
	for (size_t i = 0; i < plan->to->n_chains; i++) {
		const struct chain *new = &plan->to->chains[i];
		ssize_t at = nft_index_find(&had, new->name);
		const struct chain *old = at < 0 ? NULL : &from->chains[at];

		if (old && (old->hook != new->hook ||
			    (old->hook != HOOK_NONE && (old->priority != new->priority || old->nat != new->nat))))
			return error_set(
				error, EEXIST,
				"chain %s is there with another type, hook or priority: 'spr down', then 'spr up'",
				new->name);
		plan->chains[i].make = !old;
		plan->chains[i].policy = old && old->policy_drop != new->policy_drop;
		plan->chains[i].rules = !old || !chain_equal_rules(old, new);
		if (plan->chains[i].rules || plan->chains[i].policy)
			plan_differs(plan, "chain %s", new->name);
	}
	for (size_t i = 0; i < from->n_chains; i++) {
		if (nft_index_find(&plan->chain_names, from->chains[i].name) >= 0)
			continue;
		plan_differs(plan, "chain %s", from->chains[i].name);
		if (plan_gone(&plan->gone_chains, &plan->n_gone_chains, from->chains[i].name, false) < 0)
			return error_memory(error);
	}
	return 0;
}

static bool plan_changes_set(const struct nft_plan_set *set)
{
	return set->make || set->take.n || set->put.n;
}

static int change_sets(struct nft_plan *plan, const struct ruleset *from, struct error *error)
{
	_cleanup_index_ struct nft_index had = { 0 };

	if (nft_index_sets(from, &had) < 0)
		return error_memory(error);
	for (size_t i = 0; i < plan->to->n_sets; i++) {
		const struct set *new = &plan->to->sets[i];
		ssize_t at = nft_index_find(&had, new->name);
		const struct set *old = at < 0 ? NULL : &from->sets[at];
		bool other = old && !set_equal_type(old, new);

		plan->sets[i] = (struct nft_plan_set){ .make = !old || other,
						       .drop = other,
						       .flush = other && old->data == DATA_VERDICT };
		if (plan_elements(plan, i, other ? NULL : old) < 0)
			return error_memory(error);
		if (plan_changes_set(&plan->sets[i]))
			plan_differs(plan, "set %s", new->name);
	}
	for (size_t i = 0; i < from->n_sets; i++) {
		if (nft_index_find(&plan->set_names, from->sets[i].name) >= 0)
			continue;
		plan_differs(plan, "set %s", from->sets[i].name);
		if (plan_gone(&plan->gone_sets, &plan->n_gone_sets, from->sets[i].name,
			      from->sets[i].data == DATA_VERDICT) < 0)
			return error_memory(error);
	}
	return 0;
}

int nft_plan_change(const struct ruleset *from, const struct ruleset *to, struct nft_plan *ret, struct error *error)
{
	_cleanup_plan_ struct nft_plan plan = { 0 };
	int r = plan_begin(to, &plan, error);

	if (r == 0)
		r = change_chains(&plan, from, error);
	if (r == 0)
		r = change_sets(&plan, from, error);
	if (r < 0)
		return r;
	plan_release_sets(&plan);
	*ret = plan;
	plan = (struct nft_plan){ 0 };
	return 0;
}

/* The first rule that is not as wanted, from 1; 0: all are. -ENOMEM, -EINVAL. */
static int first_odd_rule(const struct nft_plan *plan, const struct nft_have_chain *have, const struct chain *wanted)
{
	size_t n = have->n_rules > wanted->n_rules ? have->n_rules : wanted->n_rules;

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *text = NULL;
		struct nftnl_rule *rule;
		int r;

		if (i >= have->n_rules || i >= wanted->n_rules)
			return (int)i + 1;
		r = nft_build_rule("", wanted->name, &wanted->rules[i], plan->to, &plan->set_names, &rule);
		if (r < 0)
			return r;
		r = nft_rule_text(rule, &text);
		nftnl_rule_free(rule);
		if (r < 0)
			return r;
		if (strcmp(text, have->rules[i]) != 0)
			return (int)i + 1;
	}
	return 0;
}

static const struct nft_have_chain *have_chain(const struct nft_have *have, const char *name)
{
	size_t low = 0, high = have->n_chains;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(have->chains[middle].name, name);

		if (order == 0)
			return &have->chains[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const struct nft_have_set *have_set(const struct nft_have *have, const char *name)
{
	size_t low = 0, high = have->n_sets;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(have->sets[middle].name, name);

		if (order == 0)
			return &have->sets[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool chain_is_same(const struct nft_have_chain *have, const struct chain *wanted)
{
	if (wanted->hook == HOOK_NONE)
		return !have->base;
	return have->base && (wanted->nat ? have->nat : have->filter) && have->hook == nft_hook_number(wanted->hook) &&
	       have->priority == wanted->priority;
}

static int repair_chain(struct nft_plan *plan, const struct nft_have *have, size_t i, struct error *error)
{
	const struct chain *wanted = &plan->to->chains[i];
	const struct nft_have_chain *there = have_chain(have, wanted->name);
	int odd;

	if (!there) {
		plan_differs(plan, "chain %s is gone", wanted->name);
		plan->chains[i] = (struct nft_plan_chain){ .make = true, .rules = true };
		return 0;
	}
	if (!chain_is_same(there, wanted)) {
		plan_differs(plan, "chain %s has another type, hook or priority", wanted->name);
		plan->rebuild = true;
		return 0;
	}
	if (wanted->hook != HOOK_NONE && there->policy_drop != wanted->policy_drop) {
		plan_differs(plan, "chain %s has another policy", wanted->name);
		plan->chains[i].policy = true;
	}
	odd = there->unread ? 0 : first_odd_rule(plan, there, wanted);
	if (odd < 0)
		return error_set(error, -odd, "a rule of chain %s cannot be made: %s", wanted->name, strerror(-odd));
	if (odd > 0) {
		plan_differs(plan, "rule %d of chain %s is not as it should be", odd, wanted->name);
		plan->chains[i].rules = true;
	}
	return 0;
}

static int repair_chains(struct nft_plan *plan, const struct nft_have *have, struct error *error)
{
	for (size_t i = 0; i < plan->to->n_chains; i++) {
		int r = repair_chain(plan, have, i, error);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < have->n_chains; i++) {
		if (nft_index_find(&plan->chain_names, have->chains[i].name) >= 0)
			continue;
		plan_differs(plan, "there is a chain %s", have->chains[i].name);
		if (plan_gone(&plan->gone_chains, &plan->n_gone_chains, have->chains[i].name, false) < 0)
			return error_memory(error);
	}
	return 0;
}

static int repair_set(struct nft_plan *plan, const struct nft_have *have, size_t i)
{
	const struct set *wanted = &plan->to->sets[i];
	const struct nft_have_set *there = have_set(have, wanted->name);
	bool same = there && there->same;
	int r;

	plan->sets[i] = (struct nft_plan_set){ .make = !same, .drop = there && !same, .flush = there && there->flush };
	r = same && there->unread ? 0 : plan_elements(plan, i, same ? &there->set : NULL);
	if (!same)
		plan_differs(plan, there ? "set %s is of another kind" : "set %s is gone", wanted->name);
	else if (plan_changes_set(&plan->sets[i]))
		plan_differs(plan, "set %s has not the elements it should have", wanted->name);
	return r;
}

static int repair_sets(struct nft_plan *plan, const struct nft_have *have, struct error *error)
{
	for (size_t i = 0; i < plan->to->n_sets; i++)
		if (repair_set(plan, have, i) < 0)
			return error_memory(error);
	for (size_t i = 0; i < have->n_sets; i++) {
		if (have->sets[i].anonymous || nft_index_find(&plan->set_names, have->sets[i].name) >= 0)
			continue;
		plan_differs(plan, "there is a set %s", have->sets[i].name);
		if (plan_gone(&plan->gone_sets, &plan->n_gone_sets, have->sets[i].name, have->sets[i].flush) < 0)
			return error_memory(error);
	}
	return 0;
}

int nft_plan_repair(const struct nft_have *have, const struct ruleset *to, struct nft_plan *ret, struct error *error)
{
	_cleanup_plan_ struct nft_plan plan = { 0 };
	int r;

	if (!have->there)
		return nft_plan_new(to, ret, error);
	r = plan_begin(to, &plan, error);
	if (r == 0)
		r = repair_chains(&plan, have, error);
	if (r == 0)
		r = repair_sets(&plan, have, error);
	if (r < 0)
		return r;
	plan_release_sets(&plan);
	*ret = plan;
	plan = (struct nft_plan){ 0 };
	return 0;
}
