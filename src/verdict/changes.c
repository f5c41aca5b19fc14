/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/changes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/lines.h"
#include "verdict/parties.h"

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

/*
 * Which names of a target are told for a name of a source; `same`: the other model has the right too, so what both share
 * is not. Most of what there is is shared: the rest is gone through by itself.
 */
struct told_of {
	const struct party *target;
	bool own;
};

static struct told_of told_of(const struct party *source, size_t name, const struct party *target, bool same)
{
	return (struct told_of){ target, same && source->shared[name] };
}

static size_t told_count(const struct told_of *of)
{
	return of->own ? of->target->n_own : of->target->n_names;
}

static const char *told_name(const struct told_of *of, size_t i)
{
	return of->target->names[of->own ? of->target->own[i] : i];
}

static int add_right(struct told *told, const struct party *one, const struct party *other, const struct right *right,
		     bool same)
{
	_cleanup_free_ char *what = right_text(right);

	if (!what)
		return -ENOMEM;
	for (size_t i = 0; i < one->n_names; i++) {
		struct told_of of = told_of(one, i, other, same);

		for (size_t k = 0; k < told_count(&of); k++) {
			const char *to = told_name(&of, k);
			char *text;

			if (strcmp(one->names[i], to) == 0)
				continue;
			if (told->lines.n >= CHANGES_MAX) {
				told->too_many = true;
				return 0;
			}
			/* blocks sort apart, so that they can be told apart: a new one closes */
			if (asprintf(&text, "%s%s -> %s: %s", right->deny ? "!" : "", one->names[i], to, what) < 0 ||
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

static int add_published(struct told *told, const struct party *one, const struct party *other, bool same)
{
	for (size_t i = 0; i < one->n_names; i++) {
		struct told_of of = told_of(one, i, other, same);
		size_t length = strlen(one->names[i]);

		for (size_t k = 0; k < told_count(&of); k++) {
			const char *to = told_name(&of, k);
			char *text;

			if (strncmp(one->names[i], to, length) == 0 && to[length] == ':')
				continue;
			if (told->lines.n >= CHANGES_MAX) {
				told->too_many = true;
				return 0;
			}
			if (asprintf(&text, "%s -> %s", one->names[i], to) < 0 || lines_add(&told->lines, text) < 0)
				return -ENOMEM;
		}
	}
	return 0;
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
		same = rights_are_the_same(range, i, end);
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
	int r = 0;

	for (int fronts = 0; fronts < 2 && r >= 0; fronts++) {
		struct range_of_rights rights;

		rights_of(side, other, at, fronts, &rights);
		r = range_lines(&rights, &side->model->classes[at], &side->classes[at], fronts, ret);
	}
	return r;
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
	struct side sides[2] = { { .model = from }, { .model = to } };
	int r = sides_pair(&sides[0], &sides[1]);

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
