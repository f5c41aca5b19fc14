/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/parties.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "verdict/changes.h"
#include "verdict/resolve.h"

static void parties_free(struct party *parties, size_t n)
{
	for (size_t i = 0; parties && i < n; i++) {
		free(parties[i].names);
		free(parties[i].twice);
		free(parties[i].shared);
		free(parties[i].own);
	}
	free(parties);
}

void side_clear(struct side *side)
{
	if (!side->model)
		return;
	parties_free(side->classes, side->model->n_classes);
	parties_free(side->fronts, side->model->n_fronts);
	free(side->members.items);
	free(side->members.first);
	free(side->members.others);
	lines_clear(&side->made);
}

static int add_other(struct members *members, const struct location *location)
{
	const struct location **slot = ARRAY_ADD(members->others, members->n_others);

	if (!slot)
		return -ENOMEM;
	*slot = location;
	return 0;
}

/* Locations are many and large: they are gone through once. */
static int members_find(const struct model *model, struct members *ret)
{
	_cleanup_free_ const struct container **all = calloc(model->n_locations + 1, sizeof(struct container *));
	_cleanup_free_ uint32_t *classes = calloc(model->n_locations + 1, sizeof(*classes));
	size_t n = 0;

	ret->items = calloc(model->n_locations + 1, sizeof(struct container *));
	ret->first = calloc(model->n_classes + 2, sizeof(*ret->first));
	if (!all || !classes || !ret->items || !ret->first)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];

		if (!location->container && add_other(ret, location) < 0)
			return -ENOMEM;
		if (!location->container)
			continue;
		ret->first[location->class + 2]++;
		all[n] = location->container;
		classes[n++] = location->class;
	}
	for (size_t i = 1; i < model->n_classes + 2; i++)
		ret->first[i] += ret->first[i - 1];
	for (size_t i = 0; i < n; i++)
		ret->items[ret->first[classes[i] + 1]++] = all[i];
	return 0;
}

static int side_init(struct side *side)
{
	const struct model *model = side->model;

	if (!model)
		return 0;
	side->classes = calloc(model->n_classes + 1, sizeof(*side->classes));
	side->fronts = calloc(model->n_fronts + 1, sizeof(*side->fronts));
	if (!side->classes || !side->fronts)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_classes; i++)
		side->classes[i].number = model->classes[i].number;
	for (size_t i = 0; i < model->n_fronts; i++)
		side->fronts[i].number = model->fronts[i].number;
	return members_find(model, &side->members);
}

static int number_compare(const void *a, const void *b)
{
	uint32_t left = (*(struct party *const *)a)->number, right = (*(struct party *const *)b)->number;

	return left < right ? -1 : left > right;
}

static struct party **parties_sorted(struct party *parties, size_t n)
{
	struct party **sorted = calloc(n + 1, sizeof(struct party *));

	for (size_t i = 0; sorted && i < n; i++)
		sorted[i] = &parties[i];
	if (sorted && n)
		qsort(sorted, n, sizeof(struct party *), number_compare);
	return sorted;
}

/* Who is in both, under the same number. */
static int find_twins(struct party *from, size_t n_from, struct party *to, size_t n_to)
{
	_cleanup_free_ struct party **left = parties_sorted(from, n_from), **right = parties_sorted(to, n_to);
	size_t i = 0, k = 0;

	if (!left || !right)
		return -ENOMEM;
	while (i < n_from && k < n_to) {
		int order = number_compare(&left[i], &right[k]);

		if (order == 0) {
			left[i]->twin = right[k];
			right[k]->twin = left[i];
		}
		i += order <= 0;
		k += order >= 0;
	}
	return 0;
}

static bool same_right(const struct right *a, const struct right *b)
{
	return a->deny == b->deny && a->all == b->all && a->but_dns == b->but_dns && a->proto == b->proto &&
	       a->any_port == b->any_port && a->first == b->first && a->last == b->last &&
	       (a->cause.kind == CAUSE_PUBLISH) == (b->cause.kind == CAUSE_PUBLISH);
}

size_t rights_end(const struct right *rights, size_t n, size_t first)
{
	size_t end = first + 1;

	while (end < n && rights[end].target == rights[first].target)
		end++;
	return end;
}

/* Whether all rights to a target are those of the class's twin to the target's. */
static bool same_rights(const struct right *rights, size_t n, const struct right *others, size_t n_others,
			uint32_t target)
{
	size_t low = 0, high = n_others;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (others[middle].target < target)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == n_others || others[low].target != target || rights_end(others, n_others, low) - low != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!same_right(&rights[i], &others[low + i]))
			return false;
	return true;
}

bool rights_are_the_same(const struct range_of_rights *range, size_t first, size_t end)
{
	const struct party *target = &range->targets[range->rights[first].target];

	return range->others && target->twin &&
	       same_rights(&range->rights[first], end - first, range->others, range->n_others,
			   (uint32_t)(target->twin - range->other_targets));
}

void rights_of(const struct side *side, const struct side *other, size_t at, bool fronts, struct range_of_rights *ret)
{
	const struct party *twin = side->classes[at].twin;
	const struct class *class = &side->model->classes[at];
	const struct class *others = twin ? &other->model->classes[twin - other->classes] : NULL;

	*ret = (struct range_of_rights){
		.rights = fronts ? class->front_rights : class->rights,
		.n = fronts ? class->n_front_rights : class->n_rights,
		.targets = fronts ? side->fronts : side->classes,
		.other_targets = fronts ? other->fronts : other->classes,
	};
	if (!others)
		return;
	ret->others = fronts ? others->front_rights : others->rights;
	ret->n_others = fronts ? others->n_front_rights : others->n_rights;
}

static int add_name(struct party *party, const char *name)
{
	const char **slot = ARRAY_ADD(party->names, party->n_names);

	if (!slot)
		return -ENOMEM;
	*slot = name;
	return 0;
}

/* Takes the name over. */
static int add_made(struct side *side, struct party *party, char *name)
{
	return lines_add(&side->made, name) < 0 ? -ENOMEM : add_name(party, name);
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_names(struct party *party)
{
	size_t kept = 0;

	if (party->n_names == 0)
		return;
	qsort(party->names, party->n_names, sizeof(*party->names), name_compare);
	for (size_t i = 1; i < party->n_names; i++)
		if (strcmp(party->names[kept], party->names[i]) != 0)
			party->names[++kept] = party->names[i];
	party->n_names = kept + 1;
}

static int name_members(struct party *party, const struct members *members, size_t class)
{
	for (size_t i = members->first[class]; i < members->first[class + 1]; i++) {
		if (i > members->first[class] && members->items[i] == members->items[i - 1])
			continue;
		if (add_name(party, members->items[i]->name) < 0)
			return -ENOMEM;
	}
	return 0;
}

int side_name_classes(struct side *side)
{
	const struct members *members = &side->members;
	size_t n = side->model->n_classes;

	for (size_t i = 0; i < members->n_others; i++) {
		struct party *party = &side->classes[members->others[i]->class];

		if (party->told && !party->named && add_made(side, party, location_label(members->others[i])) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		struct party *party = &side->classes[i];

		if (!party->told || party->named)
			continue;
		if (name_members(party, members, i) < 0)
			return -ENOMEM;
		sort_names(party);
		party->named = true;
	}
	return 0;
}

/* "web: 8096/tcp as published" for each port of each front. */
static int name_fronts(struct side *side)
{
	const struct model *model = side->model;

	for (size_t i = 0; i < model->n_publishing; i++) {
		const struct location *location = &model->locations[model->publishing[i]];

		for (size_t k = 0; k < location->n_published; k++) {
			const struct published_port *published = &model->published[location->first_published + k];
			char proto[16], *name;

			proto_name(published->binding.proto, proto);
			if (asprintf(&name, "%s: %u/%s as published", location->container->name,
				     published->binding.host_port, proto) < 0)
				return -ENOMEM;
			if (add_made(side, &side->fronts[published->front], name) < 0)
				return -ENOMEM;
		}
	}
	for (size_t i = 0; i < model->n_fronts; i++)
		sort_names(&side->fronts[i]);
	return 0;
}

struct known_name {
	const char *name; /* a party's: from here on that of all of this name */
	bool *twice[2]; /* in each model, the mark of the first that has it, or NULL */
	UT_hash_handle hh;
};

static int know_name(struct known_name **table, struct known_name *room, int model, const char **name, bool *twice)
{
	struct known_name *known;
	size_t length = strlen(*name);
	unsigned hash;

	HASH_VALUE(*name, length, hash);
	HASH_FIND_BYHASHVALUE(hh, *table, *name, length, hash, known);
	if (!known) {
		known = room;
		known->name = *name;
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, *table, known->name, length, hash, known);
		if (!known->hh.tbl)
			return -ENOMEM;
	}
	*name = known->name;
	if (known->twice[model])
		*known->twice[model] = *twice = true;
	else
		known->twice[model] = twice;
	return 0;
}

static int marks_init(struct party *party)
{
	party->twice = calloc(party->n_names + 1, sizeof(bool));
	party->shared = calloc(party->n_names + 1, sizeof(bool));
	party->own = calloc(party->n_names + 1, sizeof(*party->own));
	return party->twice && party->shared && party->own ? 0 : -ENOMEM;
}

static size_t count_names(const struct party *parties, size_t n)
{
	size_t n_names = 0;

	for (size_t i = 0; i < n; i++)
		n_names += parties[i].n_names;
	return n_names;
}

/* What one of two parties of one name may open says nothing alone. And one name is one pointer, in both models. */
static int find_namesakes(struct party *const parties[2], const size_t n[2])
{
	size_t n_names = count_names(parties[0], n[0]) + count_names(parties[1], n[1]), at = 0;
	_cleanup_free_ struct known_name *all = calloc(n_names + 1, sizeof(*all));
	struct known_name *table = NULL;
	int r = all ? 0 : -ENOMEM;

	for (int model = 0; model < 2; model++)
		for (size_t i = 0; i < n[model] && r >= 0; i++) {
			struct party *party = &parties[model][i];

			r = marks_init(party);
			for (size_t k = 0; k < party->n_names && r >= 0; k++)
				r = know_name(&table, &all[at++], model, &party->names[k], &party->twice[k]);
		}
	HASH_CLEAR(hh, table);
	return r;
}

static void mark_shared(struct party *one, struct party *other)
{
	size_t i = 0, k = 0;

	while (i < one->n_names && k < other->n_names) {
		int order = strcmp(one->names[i], other->names[k]);

		if (order == 0)
			one->shared[i] = other->shared[k] = !one->twice[i] && !other->twice[k];
		i += order <= 0;
		k += order >= 0;
	}
}

static void find_own(struct party *parties, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < parties[i].n_names; k++)
			if (!parties[i].shared[k])
				parties[i].own[parties[i].n_own++] = k;
}

static int pair_names(struct party *from, size_t n_from, struct party *to, size_t n_to)
{
	if (find_namesakes((struct party *[]){ from, to }, (size_t[]){ n_from, n_to }) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n_from; i++)
		if (from[i].twin)
			mark_shared(&from[i], from[i].twin);
	find_own(from, n_from);
	find_own(to, n_to);
	return 0;
}

static void tell_all(struct side *side)
{
	for (size_t i = 0; side->model && i < side->model->n_classes; i++)
		side->classes[i].told = true;
}

int sides_pair(struct side *from, struct side *to)
{
	const struct model *a = from->model, *b = to->model;
	bool both = a && b;
	int r = side_init(from) < 0 || side_init(to) < 0 ? -ENOMEM : 0;

	if (r >= 0 && both)
		r = find_twins(from->classes, a->n_classes, to->classes, b->n_classes);
	if (r >= 0 && both)
		r = find_twins(from->fronts, a->n_fronts, to->fronts, b->n_fronts);
	if (r >= 0 && a)
		r = name_fronts(from);
	if (r >= 0 && b)
		r = name_fronts(to);
	if (r >= 0 && both)
		r = pair_names(from->fronts, a->n_fronts, to->fronts, b->n_fronts);
	if (r < 0)
		return r;
	if (both && a->inventory == b->inventory) {
		r = sides_tell(from, to);
	} else {
		tell_all(from);
		tell_all(to);
	}
	if (r >= 0 && a)
		r = side_name_classes(from);
	if (r >= 0 && b)
		r = side_name_classes(to);
	if (r >= 0 && both)
		r = pair_names(from->classes, a->n_classes, to->classes, b->n_classes);
	return r;
}
