/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "verdict/parties.h"

/*
 * Which classes something has to be told of.
 *
 * Most of a large machine is as it was: classes that have the same containers in both models, and the same rights to and from
 * others of which that is true too. Of these nothing is told, and they need no names.
 */

static void tell(struct party *party)
{
	party->told = true;
	if (party->twin)
		party->twin->told = true;
}

static bool same_members(const struct members *a, size_t i, const struct members *b, size_t k)
{
	size_t n = a->first[i + 1] - a->first[i];

	return b->first[k + 1] - b->first[k] == n &&
	       memcmp(&a->items[a->first[i]], &b->items[b->first[k]], n * sizeof(struct container *)) == 0;
}

static bool same_names(const struct party *a, const struct party *b)
{
	if (a->n_names != b->n_names)
		return false;
	for (size_t i = 0; i < a->n_names; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return true;
}

/* Whoever has no twin yet, by the first of who is in it. */
struct single {
	struct party *party;
	const void *key; /* a container, or a name */
	size_t class;
};

static int single_compare(const void *one, const void *other)
{
	const struct single *a = one, *b = other;

	if (a->party->named != b->party->named)
		return a->party->named ? 1 : -1;
	if (a->party->named)
		return strcmp(a->key, b->key);
	return a->key < b->key ? -1 : a->key > b->key;
}

static size_t singles_find(const struct side *side, struct single *ret)
{
	const struct members *members = &side->members;
	size_t n = 0;

	for (size_t i = 0; i < side->model->n_classes; i++) {
		struct party *party = &side->classes[i];

		if (party->twin || (party->named && !party->n_names))
			continue;
		ret[n++] = (struct single){
			party, party->named ? (const void *)party->names[0] : members->items[members->first[i]], i
		};
	}
	if (n)
		qsort(ret, n, sizeof(*ret), single_compare);
	return n;
}

/*
 * Those in whom the same are, whatever number they have: a new number says that they may open something else to somebody,
 * which is most often one or two of all the others.
 */
static int find_twins_by_members(struct side *from, struct side *to)
{
	_cleanup_free_ struct single *left = calloc(from->model->n_classes + 1, sizeof(*left));
	_cleanup_free_ struct single *right = calloc(to->model->n_classes + 1, sizeof(*right));
	size_t n_left, n_right, k = 0;

	if (!left || !right)
		return -ENOMEM;
	n_left = singles_find(from, left);
	n_right = singles_find(to, right);
	for (size_t i = 0; i < n_left; i++) {
		while (k < n_right && single_compare(&right[k], &left[i]) < 0)
			k++;
		for (size_t m = k; m < n_right && single_compare(&right[m], &left[i]) == 0; m++) {
			struct party *one = left[i].party, *other = right[m].party;

			if (one->twin || other->twin ||
			    !(one->named ? same_names(one, other) :
					   same_members(&from->members, left[i].class, &to->members, right[m].class)))
				continue;
			one->twin = other;
			other->twin = one;
		}
	}
	return 0;
}

static void tell_others(struct side *side)
{
	for (size_t i = 0; i < side->members.n_others; i++)
		tell(&side->classes[side->members.others[i]->class]);
}

/* Where somebody came or went. */
static void tell_loud(struct side *side, const struct side *other)
{
	for (size_t i = 0; i < side->model->n_classes; i++) {
		struct party *party = &side->classes[i], *twin = party->twin;

		party->loud = !twin || (party->named ? !same_names(party, twin) :
						       !same_members(&side->members, i, &other->members,
								     (size_t)(twin - other->classes)));
		if (party->loud)
			tell(party);
	}
}

/* Who may open something else than before, and to whom. */
static void tell_changed_rights(struct side *side, const struct side *other, bool fronts)
{
	for (size_t i = 0; i < side->model->n_classes; i++) {
		struct range_of_rights range;

		rights_of(side, other, i, fronts, &range);
		for (size_t first = 0, end; first < range.n; first = end) {
			end = rights_end(range.rights, range.n, first);
			if (rights_are_the_same(&range, first, end))
				continue;
			tell(&side->classes[i]);
			if (!fronts)
				tell(&side->classes[range.rights[first].target]);
		}
	}
}

/* Who may open something to somebody loud, or the other way round. */
static void tell_neighbours(struct side *side)
{
	for (size_t i = 0; i < side->model->n_classes; i++) {
		const struct class *class = &side->model->classes[i];
		struct party *party = &side->classes[i];

		for (size_t k = 0; k < class->n_rights; k++) {
			struct party *target = &side->classes[class->rights[k].target];

			if (party->loud)
				tell(target);
			if (target->loud)
				tell(party);
		}
		for (size_t k = 0; k < class->n_front_rights; k++)
			if (side->fronts[class->front_rights[k].target].n_own)
				tell(party);
	}
}

/* Of a container with two places what the one opens says nothing alone. (Two of one name may have more said than is.) */
static void note_told(const struct side *side, bool *told)
{
	const struct members *members = &side->members;

	for (size_t i = 0; i < side->model->n_classes; i++)
		for (size_t k = members->first[i]; side->classes[i].told && k < members->first[i + 1]; k++)
			told[members->items[k] - side->model->inventory->containers] = true;
}

static void tell_other_places(struct side *side, const bool *told)
{
	const struct members *members = &side->members;

	for (size_t i = 0; i < side->model->n_classes; i++)
		for (size_t k = members->first[i]; k < members->first[i + 1]; k++)
			if (told[members->items[k] - side->model->inventory->containers]) {
				tell(&side->classes[i]);
				break;
			}
}

int sides_tell(struct side *from, struct side *to)
{
	_cleanup_free_ bool *told = calloc(from->model->inventory->n_containers + 1, sizeof(bool));

	if (!told)
		return -ENOMEM;
	tell_others(from);
	tell_others(to);
	if (side_name_classes(from) < 0 || side_name_classes(to) < 0)
		return -ENOMEM;
	if (find_twins_by_members(from, to) < 0)
		return -ENOMEM;
	for (int fronts = 0; fronts < 2; fronts++) {
		tell_changed_rights(from, to, fronts);
		tell_changed_rights(to, from, fronts);
	}
	tell_loud(from, to);
	tell_loud(to, from);
	tell_neighbours(from);
	tell_neighbours(to);
	note_told(from, told);
	note_told(to, told);
	tell_other_places(from, told);
	tell_other_places(to, told);
	return 0;
}
