/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "ruleset/ruleset.h"

/* What a change of the ruleset takes away, and from whom. */

/* The last element that begins at a key or before it, or NULL. */
static const struct element *element_before(const struct set *set, const uint8_t *key, size_t size)
{
	size_t low = 0, high = set->n_elements;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(set_element(set, middle)->key, key, size) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? set_element(set, low - 1) : NULL;
}

/*
 * Whether a new element of id4 or id6 takes an address out of a range behind the same interface: it had the rights of the
 * range, and has its own now.
 */
static bool had_range(const struct ruleset *from, const struct set *set, const struct element *element)
{
	bool six = set->fields[1] == FIELD_IP6_SADDR;
	const struct set *sources = ruleset_set(from, "sources"), *ranges;
	const struct element *found = sources ? element_before(sources, element->key, IFNAMSIZ) : NULL;
	char name[sizeof(set->name)];

	if (!found || memcmp(found->key, element->key, IFNAMSIZ) != 0)
		return false;
	snprintf(name, sizeof(name), "range%d-%.24s", six ? 6 : 4, element_chain(sources, found) + strlen("source-"));
	ranges = ruleset_set(from, name);
	found = ranges ? element_before(ranges, element->key + key_offset(set, 1), six ? 16 : 4) : NULL;
	return found && !element_is_end(ranges, found);
}

static bool is_identities(const struct set *set)
{
	return strcmp(set->name, "id4") == 0 || strcmp(set->name, "id6") == 0;
}

struct taking {
	const struct ruleset *from;
	const struct set *set;
	bool any;
};

static int take(bool add, const struct element *element, void *data)
{
	struct taking *taking = data;

	taking->any = taking->any || !add ||
		      (is_identities(taking->set) && had_range(taking->from, taking->set, element));
	return 0;
}

static bool set_denies(const char *name)
{
	/* a newly published port takes what a service of this machine may have had */
	return strncmp(name, "no-", 3) == 0 || strncmp(name, "wild", 4) == 0 || strncmp(name, "bound", 5) == 0 ||
	       strcmp(name, "muted") == 0;
}

bool ruleset_tightens(const struct ruleset *from, const struct ruleset *to)
{
	for (size_t i = 0; i < from->n_sets; i++) {
		const struct set *now = ruleset_set(to, from->sets[i].name);
		struct taking taking = { from, &from->sets[i], false };

		if (!now || (set_denies(now->name) && now->n_elements != from->sets[i].n_elements))
			return true;
		set_diff(&from->sets[i], now, take, &taking);
		if (taking.any)
			return true;
	}
	for (size_t i = 0; i < to->n_sets; i++)
		if (set_denies(to->sets[i].name) && !ruleset_set(from, to->sets[i].name))
			return true;
	for (size_t i = 0; i < from->n_chains; i++) {
		const struct chain *now = ruleset_chain(to, from->chains[i].name);

		if (from->chains[i].nat)
			continue; /* it chooses ports and judges nothing */
		if (!now || !chain_equal_rules(&from->chains[i], now))
			return true;
	}
	return false;
}

/* Numbers of classes and fronts that an address leads to. */
struct numbers {
	uint32_t *items;
	size_t n;
};

struct losers {
	const struct ruleset *from, *to;
	struct numbers had, has;
	struct addr *addrs;
	size_t n_addrs;
	bool anybody;
	const struct set *set; /* that is looked at */
};

static int number_compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

/* Of some maps, or of all. */
static int numbers_of(const struct ruleset *ruleset, bool single_only, struct numbers *ret)
{
	for (size_t i = 0; i < ruleset->n_sets; i++) {
		const struct set *set = &ruleset->sets[i];

		if (set->data != DATA_PRIORITY || (single_only && strncmp(set->name, "id", 2) != 0))
			continue;
		for (size_t k = 0; k < set->n_elements; k++) {
			uint32_t number = set_element(set, k)->data, *slot;

			if (ret->n && ret->items[ret->n - 1] == number)
				continue;
			slot = ARRAY_ADD(ret->items, ret->n);
			if (!slot)
				return -ENOMEM;
			*slot = number;
		}
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), number_compare);
	return 0;
}

static bool has_number(const struct numbers *numbers, uint32_t number)
{
	return numbers->n && bsearch(&number, numbers->items, numbers->n, sizeof(number), number_compare);
}

/* Everything of this number was a single address, and has another number now or is gone: it is on the list. */
static bool is_listed(const struct losers *losers, uint32_t number)
{
	return has_number(&losers->had, number) && !has_number(&losers->has, number);
}

static uint32_t number_at(const struct set *set, const struct element *element)
{
	uint32_t number;

	memcpy(&number, element->key, sizeof(number));
	return set->interval ? ntohl(number) : number;
}

static int lose_address(bool add, const struct element *element, void *data)
{
	struct losers *losers = data;
	size_t at = key_offset(losers->set, 1);
	struct addr *addr;

	if (add && !(is_identities(losers->set) && had_range(losers->from, losers->set, element)))
		return 0;
	addr = ARRAY_ADD(losers->addrs, losers->n_addrs);
	if (!addr)
		return -ENOMEM;
	addr->family = losers->set->fields[1] == FIELD_IP6_SADDR || losers->set->fields[1] == FIELD_IP6_DADDR ?
			       AF_INET6 :
			       AF_INET;
	memcpy(addr->bytes, element->key + at, addr_size(addr->family));
	return 0;
}

static int lose_number(bool add, const struct element *element, void *data)
{
	struct losers *losers = data;

	losers->anybody = losers->anybody || (!add && !is_listed(losers, number_at(losers->set, element)));
	return 0;
}

static int gain_denial(bool add, const struct element *element, void *data)
{
	((struct losers *)data)->anybody |= add;
	return 0;
}

static int lose_anything(bool add, const struct element *element, void *data)
{
	((struct losers *)data)->anybody |= !add;
	return 0;
}

static bool has_class(const struct ruleset *ruleset, uint32_t number)
{
	char name[32];

	snprintf(name, sizeof(name), "from-%u", number);
	return ruleset_chain(ruleset, name);
}

/* A class that came, came with its addresses. */
static int gain_number(bool add, const struct element *element, void *data)
{
	struct losers *losers = data;

	losers->anybody |= add && has_class(losers->from, number_at(losers->set, element));
	return 0;
}

/* The class that a set or chain belongs to by its name, 0 without one. */
static uint32_t class_in_name(const char *name)
{
	const char *dash = strrchr(name, '-');

	return dash ? (uint32_t)strtoul(dash + 1, NULL, 10) : 0;
}

static const struct {
	const char *prefix;
	bool of_class;
	int (*lose)(bool add, const struct element *element, void *data);
} kinds[] = {
	{ "id4", false, lose_address },	     { "id6", false, lose_address },	{ "dialled4", false, lose_address },
	{ "dialled6", false, lose_address }, { "classes", false, lose_number }, { "no-", true, gain_denial },
	{ "all-", true, lose_number },	     { "protos-", true, lose_number },	{ "ports-", true, lose_number },
	{ "zones-", true, lose_number },     { "muted", false, gain_number },
};

static int look_at_set(struct losers *losers, const struct set *from, const struct set *to)
{
	static const struct set nothing;
	int (*lose)(bool add, const struct element *element, void *data) = lose_anything;
	bool of_class = false;

	losers->set = from ? from : to;
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		if (strncmp(losers->set->name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0) {
			lose = kinds[i].lose;
			of_class = kinds[i].of_class;
			break;
		}
	/* a class that went, or came, went or came with its addresses */
	if (of_class && (is_listed(losers, class_in_name(losers->set->name)) ||
			 !has_class(losers->from, class_in_name(losers->set->name))))
		return 0;
	return set_diff(from, to ? to : &nothing, lose, losers);
}

static int look_at_sets(struct losers *losers)
{
	int r = 0;

	for (size_t i = 0; i < losers->from->n_sets && r >= 0; i++) {
		const struct set *from = &losers->from->sets[i], *to = ruleset_set(losers->to, from->name);

		if (to && (strncmp(to->name, "wild", 4) == 0 || strncmp(to->name, "bound", 5) == 0) &&
		    to->n_elements > from->n_elements)
			losers->anybody = true;
		r = look_at_set(losers, from, to);
	}
	for (size_t i = 0; i < losers->to->n_sets && r >= 0; i++)
		if (!ruleset_set(losers->from, losers->to->sets[i].name))
			r = look_at_set(losers, NULL, &losers->to->sets[i]);
	return r;
}

/* The chain of a class says no more than which sets it has. */
static void look_at_chains(struct losers *losers)
{
	for (size_t i = 0; i < losers->from->n_chains; i++) {
		const struct chain *from = &losers->from->chains[i], *to = ruleset_chain(losers->to, from->name);
		bool of_class = strncmp(from->name, "from-", 5) == 0;

		if (from->nat || (of_class && to) || (of_class && is_listed(losers, class_in_name(from->name))))
			continue;
		losers->anybody = losers->anybody || !to || !chain_equal_rules(from, to);
	}
}

int ruleset_losers(const struct ruleset *from, const struct ruleset *to, struct addr **ret, size_t *ret_n)
{
	struct losers losers = { .from = from, .to = to };
	int r = numbers_of(from, true, &losers.had);

	if (r >= 0)
		r = numbers_of(to, false, &losers.has);
	if (r >= 0)
		r = look_at_sets(&losers);
	if (r >= 0)
		look_at_chains(&losers);
	free(losers.had.items);
	free(losers.has.items);
	if (r < 0 || losers.anybody) {
		free(losers.addrs);
		return r < 0 ? r : 0;
	}
	*ret = losers.addrs;
	*ret_n = losers.n_addrs;
	return 1;
}
