/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/changes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/lines.h"
#include "verdict/resolve.h"

/* What one model says, as far as the other may not. */
struct told {
	struct lines lines;
	bool too_many;
};

static char *zones_label(unsigned zones)
{
	for (int zone = 0; zone < _ZONE_MAX; zone++)
		if (zones == 1u << zone)
			return strdup(zone_name((enum zone)zone));
	return strdup(zones & 1u << ZONE_LAN ? "lan" : "nothing known");
}

char *location_label(const struct location *location)
{
	char *label = NULL;
	int r;

	if (location->container)
		return strdup(location->container->name);
	if (location->network)
		r = asprintf(&label, "network:%s", location->network->name);
	else if (location->entry)
		r = asprintf(&label, "rule:%s", location->entry->name);
	else if (location->zones & 1u << ZONE_HOST)
		return strdup("host");
	else if (location->resolver)
		return strdup("resolver");
	else
		return zones_label(location->zones);
	return r < 0 ? NULL : label;
}

char *right_text(const struct right *right)
{
	char proto[16], *text = NULL;
	int r;

	if (right->all)
		return strdup(right->but_dns ? "everything but port 53" : "everything");
	proto_name(right->proto, proto);
	if (right->any_port)
		r = asprintf(&text, "%s", proto);
	else if (right->first == right->last)
		r = asprintf(&text, "%u/%s", right->first, proto);
	else
		r = asprintf(&text, "%u-%u/%s", right->first, right->last, proto);
	return r < 0 ? NULL : text;
}

/* A class or front, as people see it. */
struct party {
	uint32_t number;
	struct lines labels;
	bool *twice; /* of each label: another party of this model has it too */
	bool *shared; /* of each label: the twin has it too, and nobody else */
	size_t *own; /* which labels are not shared */
	size_t n_own;
	struct party *twin; /* in the other model, of the same number, or NULL */
};

/* One of the two models. */
struct side {
	const struct model *model;
	struct party *classes, *fronts;
};

static void parties_free(struct party *parties, size_t n)
{
	for (size_t i = 0; parties && i < n; i++) {
		lines_clear(&parties[i].labels);
		free(parties[i].twice);
		free(parties[i].shared);
		free(parties[i].own);
	}
	free(parties);
}

static void side_clear(struct side *side)
{
	if (!side->model)
		return;
	parties_free(side->classes, side->model->n_classes);
	parties_free(side->fronts, side->model->n_fronts);
}

/* The names of what is in each class. */
static int label_classes(const struct model *model, struct party *classes)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];

		if (lines_add(&classes[location->class].labels, location_label(location)) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < model->n_classes; i++) {
		classes[i].number = model->classes[i].number;
		lines_sort(&classes[i].labels);
	}
	return 0;
}

/*
 * Which labels of a target are told for a label of a source; `same`: the other model has the right too, so what both share
 * is not. Most of what there is is shared: the rest is gone through by itself.
 */
struct told_of {
	const struct party *target;
	bool own;
};

static struct told_of told_of(const struct party *source, size_t label, const struct party *target, bool same)
{
	return (struct told_of){ target, same && source->shared[label] };
}

static size_t told_count(const struct told_of *of)
{
	return of->own ? of->target->n_own : of->target->labels.n;
}

static const char *told_label(const struct told_of *of, size_t i)
{
	return of->target->labels.text[of->own ? of->target->own[i] : i];
}

static int add_right(struct told *told, const struct party *one, const struct party *other, const struct right *right,
		     bool same)
{
	const struct lines *from = &one->labels;
	_cleanup_free_ char *what = right_text(right);

	if (!what)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++) {
		struct told_of of = told_of(one, i, other, same);

		for (size_t k = 0; k < told_count(&of); k++) {
			const char *to = told_label(&of, k);
			char *text;

			if (strcmp(from->text[i], to) == 0)
				continue;
			if (told->lines.n >= CHANGES_MAX) {
				told->too_many = true;
				return 0;
			}
			/* blocks sort apart, so that they can be told apart: a new one closes */
			if (asprintf(&text, "%s%s -> %s: %s", right->deny ? "!" : "", from->text[i], to, what) < 0 ||
			    lines_add(&told->lines, text) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* Whether a block of everything stands before the right: the rights of a target are sorted, blocks first. */
static bool is_blocked(const struct class *class, size_t i)
{
	if (class->rights[i].deny)
		return false;
	for (size_t k = i; k-- > 0 && class->rights[k].target == class->rights[i].target;)
		if (class->rights[k].deny && class->rights[k].all)
			return true;
	return false;
}

/* "web: 8096/tcp as published" for each port of each front. */
static int label_fronts(const struct model *model, struct party *fronts)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];

		for (size_t k = 0; k < location->n_published; k++) {
			const struct published_port *published = &model->published[location->first_published + k];
			_cleanup_free_ char *label = location_label(location);
			char proto[16], *text;

			proto_name(published->binding.proto, proto);
			if (!label ||
			    asprintf(&text, "%s: %u/%s as published", label, published->binding.host_port, proto) < 0)
				return -ENOMEM;
			if (lines_add(&fronts[published->front].labels, text) < 0)
				return -ENOMEM;
		}
	}
	for (size_t i = 0; i < model->n_fronts; i++) {
		fronts[i].number = model->fronts[i].number;
		lines_sort(&fronts[i].labels);
	}
	return 0;
}

static int add_published(struct told *told, const struct party *one, const struct party *other, bool same)
{
	const struct lines *from = &one->labels;

	for (size_t i = 0; i < from->n; i++) {
		struct told_of of = told_of(one, i, other, same);
		size_t length = strlen(from->text[i]);

		for (size_t k = 0; k < told_count(&of); k++) {
			const char *to = told_label(&of, k);
			char *text;

			if (strncmp(from->text[i], to, length) == 0 && to[length] == ':')
				continue;
			if (told->lines.n >= CHANGES_MAX) {
				told->too_many = true;
				return 0;
			}
			if (asprintf(&text, "%s -> %s", from->text[i], to) < 0 || lines_add(&told->lines, text) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int side_init(struct side *side, const struct model *model)
{
	*side = (struct side){ .model = model };
	if (!model)
		return 0;
	side->classes = calloc(model->n_classes + 1, sizeof(*side->classes));
	side->fronts = calloc(model->n_fronts + 1, sizeof(*side->fronts));
	if (!side->classes || !side->fronts || label_classes(model, side->classes) < 0 ||
	    label_fronts(model, side->fronts) < 0)
		return -ENOMEM;
	return 0;
}

struct label {
	const char *text; /* a party's, as is the mark */
	bool *twice;
	UT_hash_handle hh;
};

static int note_label(struct label **table, struct label *label)
{
	struct label *found;

	HASH_FIND_STR(*table, label->text, found);
	if (found) {
		*found->twice = *label->twice = true;
		return 0;
	}
	HASH_ADD_KEYPTR(hh, *table, label->text, strlen(label->text), label);
	return label->hh.tbl ? 0 : -ENOMEM;
}

/* What one of two parties of one name may open says nothing alone. */
static int find_namesakes(struct party *parties, size_t n)
{
	_cleanup_free_ struct label *labels = NULL;
	struct label *table = NULL;
	size_t n_labels = 0, at = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		n_labels += parties[i].labels.n;
	labels = calloc(n_labels + 1, sizeof(*labels));
	for (size_t i = 0; i < n && labels && r >= 0; i++) {
		struct party *party = &parties[i];

		party->twice = calloc(party->labels.n + 1, sizeof(bool));
		party->shared = calloc(party->labels.n + 1, sizeof(bool));
		r = party->twice && party->shared ? 0 : -ENOMEM;
		for (size_t k = 0; k < party->labels.n && r >= 0; k++, at++) {
			labels[at] = (struct label){ .text = party->labels.text[k], .twice = &party->twice[k] };
			r = note_label(&table, &labels[at]);
		}
	}
	HASH_CLEAR(hh, table);
	return labels ? r : -ENOMEM;
}

static int number_compare(const void *a, const void *b)
{
	uint32_t left = (*(struct party *const *)a)->number, right = (*(struct party *const *)b)->number;

	return left < right ? -1 : left > right;
}

static void mark_shared(struct party *one, struct party *other)
{
	size_t i = 0, k = 0;

	while (i < one->labels.n && k < other->labels.n) {
		int order = strcmp(one->labels.text[i], other->labels.text[k]);

		if (order == 0)
			one->shared[i] = other->shared[k] = !one->twice[i] && !other->twice[k];
		i += order <= 0;
		k += order >= 0;
	}
}

/* When nothing more will be shared. -ENOMEM. */
static int find_own(struct party *parties, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct party *party = &parties[i];

		party->own = calloc(party->labels.n + 1, sizeof(*party->own));
		if (!party->own)
			return -ENOMEM;
		for (size_t k = 0; k < party->labels.n; k++)
			if (!party->shared[k])
				party->own[party->n_own++] = k;
	}
	return 0;
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

/* Who is in both, under the same number, and which names. */
static int parties_pair(struct party *from, size_t n_from, struct party *to, size_t n_to)
{
	_cleanup_free_ struct party **left = parties_sorted(from, n_from), **right = parties_sorted(to, n_to);
	size_t i = 0, k = 0;

	if (!left || !right || find_namesakes(from, n_from) < 0 || find_namesakes(to, n_to) < 0)
		return -ENOMEM;
	while (i < n_from && k < n_to) {
		int order = number_compare(&left[i], &right[k]);

		if (order == 0) {
			left[i]->twin = right[k];
			right[k]->twin = left[i];
			mark_shared(left[i], right[k]);
		}
		i += order <= 0;
		k += order >= 0;
	}
	return find_own(from, n_from) < 0 ? -ENOMEM : find_own(to, n_to);
}

static int sides_pair(struct side *from, struct side *to)
{
	const struct model *a = from->model, *b = to->model;

	if (!a || !b)
		return 0;
	if (parties_pair(from->classes, a->n_classes, to->classes, b->n_classes) < 0)
		return -ENOMEM;
	return parties_pair(from->fronts, a->n_fronts, to->fronts, b->n_fronts);
}

static bool same_right(const struct right *a, const struct right *b)
{
	return a->deny == b->deny && a->all == b->all && a->but_dns == b->but_dns && a->proto == b->proto &&
	       a->any_port == b->any_port && a->first == b->first && a->last == b->last &&
	       (a->cause.kind == CAUSE_PUBLISH) == (b->cause.kind == CAUSE_PUBLISH);
}

static size_t rights_end(const struct right *rights, size_t n, size_t first)
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

/* Rights to classes, or to fronts, one target after the other. */
struct range_of_rights {
	const struct right *rights;
	size_t n;
	const struct right *others; /* of the class's twin; NULL without one */
	size_t n_others;
	const struct party *targets, *other_targets;
};

/* Then what they let through between names that both models have is the same, and is told by neither. */
static bool is_the_same(const struct range_of_rights *range, size_t first, size_t end)
{
	const struct party *target = &range->targets[range->rights[first].target];

	return range->others && target->twin &&
	       same_rights(&range->rights[first], end - first, range->others, range->n_others,
			   (uint32_t)(target->twin - range->other_targets));
}

/* To classes: `fronts` false. Of the rights to fronts only what is published says anything new. */
static int range_lines(const struct range_of_rights *range, const struct class *class, const struct party *party,
		       bool fronts, struct told *ret)
{
	int r = 0;

	for (size_t i = 0, end; i < range->n && r >= 0; i = end) {
		const struct party *target = &range->targets[range->rights[i].target];
		bool same;

		end = rights_end(range->rights, range->n, i);
		same = is_the_same(range, i, end);
		for (size_t k = i; k < end && r >= 0; k++)
			if (!fronts && !is_blocked(class, k))
				r = add_right(ret, party, target, &range->rights[k], same);
			else if (fronts && range->rights[k].cause.kind == CAUSE_PUBLISH)
				r = add_published(ret, party, target, same);
	}
	return r;
}

static int class_lines(const struct side *side, const struct side *other, size_t at, struct told *ret)
{
	const struct class *class = &side->model->classes[at];
	const struct party *party = &side->classes[at];
	const struct class *twin = party->twin ? &other->model->classes[party->twin - other->classes] : NULL;
	const struct range_of_rights plain = {
		class->rights, class->n_rights, twin ? twin->rights : NULL, twin ? twin->n_rights : 0,
		side->classes, other->classes
	};
	const struct range_of_rights front = { class->front_rights,
					       class->n_front_rights,
					       twin ? twin->front_rights : NULL,
					       twin ? twin->n_front_rights : 0,
					       side->fronts,
					       other->fronts };
	int r = range_lines(&plain, class, party, false, ret);

	return r < 0 ? r : range_lines(&front, class, party, true, ret);
}

/* What one of the models says and the other may not. */
static int side_lines(const struct side *side, const struct side *other, struct told *ret)
{
	int r = 0;

	if (!side->model)
		return 0;
	for (size_t i = 0; i < side->model->n_classes && r >= 0; i++)
		r = class_lines(side, other, i, ret);
	if (r >= 0 && side->model->policy->settings.local_users == LOCAL_USERS_ALL) /* root may in any case */
		r = lines_add(&ret->lines, strdup("users of this machine -> containers: everything"));
	lines_sort(&ret->lines);
	return r;
}

static int changes_add(struct changes *changes, bool appeared, const char *line)
{
	bool deny = line[0] == '!';
	bool opens = appeared != deny;
	char *text = strdup(line + deny), **slot;

	if (!text)
		return -ENOMEM;
	slot = opens ? ARRAY_ADD(changes->opens, changes->n_opens) : ARRAY_ADD(changes->closes, changes->n_closes);
	if (!slot) {
		free(text);
		return -ENOMEM;
	}
	*slot = text;
	return 0;
}

static int compare_lines(const struct lines *from, const struct lines *to, struct changes *ret)
{
	size_t i = 0, k = 0;
	int r = 0;

	while (r >= 0 && (i < from->n || k < to->n)) {
		int order = i == from->n ? 1 : k == to->n ? -1 : strcmp(from->text[i], to->text[k]);

		if (order == 0)
			i++, k++;
		else if (order < 0)
			r = changes_add(ret, false, from->text[i++]);
		else
			r = changes_add(ret, true, to->text[k++]);
	}
	return r;
}

int model_changes(const struct model *from, const struct model *to, struct changes *ret)
{
	struct told before = { 0 }, after = { 0 };
	struct changes changes = { 0 };
	struct side sides[2] = { 0 };
	int r = side_init(&sides[0], from);

	if (r >= 0)
		r = side_init(&sides[1], to);
	if (r >= 0)
		r = sides_pair(&sides[0], &sides[1]);
	if (r >= 0)
		r = side_lines(&sides[0], &sides[1], &before);
	if (r >= 0)
		r = side_lines(&sides[1], &sides[0], &after);
	side_clear(&sides[0]);
	side_clear(&sides[1]);
	changes.too_many = before.too_many || after.too_many;
	if (r >= 0 && !changes.too_many)
		r = compare_lines(&before.lines, &after.lines, &changes);
	lines_clear(&before.lines);
	lines_clear(&after.lines);
	if (r < 0) {
		changes_clear(&changes);
		return r;
	}
	*ret = changes;
	return 0;
}

void changes_clear(struct changes *changes)
{
	lines_clear(&(struct lines){ .text = changes->opens, .n = changes->n_opens });
	lines_clear(&(struct lines){ .text = changes->closes, .n = changes->n_closes });
	*changes = (struct changes){ 0 };
}
