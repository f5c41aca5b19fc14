/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/changes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/lines.h"
#include "verdict/parties.h"

/* A sentence without its text, which is made of those only that one model says and the other does not. */
struct saying {
	const char *one, *to; /* names of the side's parties: of two models one name is one pointer */
	const struct right *right; /* of the model; NULL: what is published may be reached */
	uint64_t key; /* of the right */
	bool known; /* it has been said already, by the same model or the other */
};

/* What one model says, as far as the other may not. */
struct sayings {
	struct saying *items;
	size_t n;
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

/* Rights of which the same is told have the same key. */
static uint64_t right_key(const struct right *right)
{
	uint64_t key;

	if (!right)
		return 0;
	key = right->deny | right->all << 1;
	if (right->all)
		return key | right->but_dns << 2;
	key |= right->any_port << 2 | right->proto << 8;
	return right->any_port ? key : key | (uint64_t)right->first << 16 | (uint64_t)right->last << 32;
}

static int add_saying(struct sayings *sayings, const char *one, const char *to, const struct right *right, uint64_t key)
{
	struct saying *slot = ARRAY_ADD(sayings->items, sayings->n);

	if (!slot)
		return -ENOMEM;
	*slot = (struct saying){ one, to, right, key };
	return 0;
}

/* Of itself, and of its own published port, a container is told nothing. */
static bool is_itself(const char *one, const char *to, const struct right *right)
{
	size_t length;

	if (right)
		return strcmp(one, to) == 0;
	length = strlen(one);
	return strncmp(one, to, length) == 0 && to[length] == ':';
}

/* -E2BIG: more than CHANGES_MAX. */
static int add_sayings(struct sayings *sayings, const struct party *one, const struct party *other,
		       const struct right *right, bool same)
{
	uint64_t key = right_key(right);

	for (size_t i = 0; i < one->n_names; i++) {
		struct told_of of = told_of(one, i, other, same);

		for (size_t k = 0; k < told_count(&of); k++) {
			const char *to = told_name(&of, k);

			if (is_itself(one->names[i], to, right))
				continue;
			if (sayings->n >= CHANGES_MAX)
				return -E2BIG;
			if (add_saying(sayings, one->names[i], to, right, key) < 0)
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

/* To classes: `fronts` false. Of the rights to fronts only what is published says anything new. */
static int range_sayings(const struct range_of_rights *range, const struct class *class, const struct party *party,
			 bool fronts, struct sayings *ret)
{
	int r = 0;

	for (size_t i = 0, end; i < range->n && r >= 0; i = end) {
		const struct party *target = &range->targets[range->rights[i].target];
		bool same;

		end = rights_end(range->rights, range->n, i);
		same = rights_are_the_same(range, i, end);
		for (size_t k = i; k < end && r >= 0; k++)
			if (!fronts && !is_blocked(class, k))
				r = add_sayings(ret, party, target, &range->rights[k], same);
			else if (fronts && range->rights[k].cause.kind == CAUSE_PUBLISH)
				r = add_sayings(ret, party, target, NULL, same);
	}
	return r;
}

static int class_sayings(const struct side *side, const struct side *other, size_t at, struct sayings *ret)
{
	int r = 0;

	for (int fronts = 0; fronts < 2 && r >= 0; fronts++) {
		struct range_of_rights rights;

		rights_of(side, other, at, fronts, &rights);
		r = range_sayings(&rights, &side->model->classes[at], &side->classes[at], fronts, ret);
	}
	return r;
}

/* What one of the models says and the other may not. */
static int side_sayings(const struct side *side, const struct side *other, struct sayings *ret)
{
	static const char users[] = "users of this machine", containers[] = "containers";
	static const struct right everything = { .all = true };
	int r = 0;

	if (!side->model)
		return 0;
	for (size_t i = 0; i < side->model->n_classes && r >= 0; i++)
		r = class_sayings(side, other, i, ret);
	if (r >= 0 && side->model->policy->settings.local_users == LOCAL_USERS_ALL) /* root may in any case */
		r = add_saying(ret, users, containers, &everything, right_key(&everything));
	return r;
}

/* What a change opens and closes, blocks marked until it is sorted: they come first. */
struct told {
	struct lines opens, closes;
};

static int saying_tell(const struct saying *saying, bool appeared, struct told *told)
{
	const struct right *right = saying->right;
	_cleanup_free_ char *what = right ? right_text(right) : strdup("");
	bool deny = right && right->deny;
	char *text;
	int r;

	if (!what)
		return -ENOMEM;
	r = asprintf(&text, "%s%s -> %s%s%s", deny ? "!" : "", saying->one, saying->to, right ? ": " : "", what);
	if (r < 0)
		return -ENOMEM;
	return lines_add(appeared != deny ? &told->opens : &told->closes, text);
}

/* Where a saying is in a table of 1 << bits places, or a free place for it. */
static struct saying **find_place(struct saying **table, unsigned bits, const struct saying *saying)
{
	const uint64_t odd = 0x9e3779b97f4a7c15; /* Knuth's multiplicative hashing: the upper bits are mixed best */
	uint64_t hash = (((uintptr_t)saying->one * odd + (uintptr_t)saying->to) * odd + saying->key) * odd;

	for (size_t at = hash >> (64 - bits);; at = (at + 1) & (((size_t)1 << bits) - 1)) {
		const struct saying *other = table[at];

		if (!other || (other->one == saying->one && other->to == saying->to && other->key == saying->key))
			return &table[at];
	}
}

static int compare_sayings(const struct sayings *from, const struct sayings *to, struct told *ret)
{
	_cleanup_free_ struct saying **table = NULL;
	unsigned bits = 4;
	int r = 0;

	while ((size_t)1 << bits < 2 * from->n)
		bits++;
	table = calloc((size_t)1 << bits, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++) {
		struct saying **place = find_place(table, bits, &from->items[i]);

		if (*place)
			from->items[i].known = true;
		else
			*place = &from->items[i];
	}
	for (size_t i = 0; i < to->n && r >= 0; i++) {
		struct saying *other = *find_place(table, bits, &to->items[i]);

		if (other)
			other->known = true;
		else
			r = saying_tell(&to->items[i], true, ret);
	}
	for (size_t i = 0; i < from->n && r >= 0; i++)
		if (!from->items[i].known)
			r = saying_tell(&from->items[i], false, ret);
	return r;
}

/* Sorts, and takes the marks of blocks away. */
static void finish(struct lines *lines)
{
	lines_sort(lines);
	for (size_t i = 0; i < lines->n && lines->text[i][0] == '!'; i++)
		memmove(lines->text[i], lines->text[i] + 1, strlen(lines->text[i]));
}

static int sides_compare(const struct side *from, const struct side *to, struct told *ret)
{
	struct sayings before = { 0 }, after = { 0 };
	int r = side_sayings(from, to, &before);

	if (r >= 0)
		r = side_sayings(to, from, &after);
	if (r >= 0)
		r = compare_sayings(&before, &after, ret);
	free(before.items);
	free(after.items);
	finish(&ret->opens);
	finish(&ret->closes);
	return r;
}

int model_changes(const struct model *from, const struct model *to, struct changes *ret)
{
	struct side sides[2] = { { .model = from }, { .model = to } };
	struct told told = { 0 };
	int r = sides_pair(&sides[0], &sides[1]);

	if (r >= 0)
		r = sides_compare(&sides[0], &sides[1], &told);
	side_clear(&sides[0]);
	side_clear(&sides[1]);
	if (r < 0 && r != -E2BIG) {
		lines_clear(&told.opens);
		lines_clear(&told.closes);
		return r;
	}
	*ret = (struct changes){ told.opens.text, told.closes.text, told.opens.n, told.closes.n, r == -E2BIG };
	return 0;
}

void changes_clear(struct changes *changes)
{
	lines_clear(&(struct lines){ .text = changes->opens, .n = changes->n_opens });
	lines_clear(&(struct lines){ .text = changes->closes, .n = changes->n_closes });
	*changes = (struct changes){ 0 };
}
