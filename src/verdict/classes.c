/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "verdict/resolve.h"

/*
 * A meaning is whole or not there: one that lacks a part, for want of memory, could be somebody else's, and give one the
 * number and with it the rights of the other.
 */
static void meaning_of_selector(struct text *out, const struct selector *selector)
{
	_cleanup_free_ char *text = selector_print(selector);

	if (text)
		text_add(out, " %s", text);
	else
		out->failed = true;
}

static void meaning_of_grant(struct text *out, const char *word, const struct grant *grant)
{
	char port[32];

	text_add(out, "%s", word);
	meaning_of_selector(out, &grant->from);
	meaning_of_selector(out, &grant->to);
	for (size_t i = 0; i < grant->n_ports; i++)
		text_add(out, " %s", port_range_print(&grant->ports[i], port));
}

char *publish_meaning(const struct publish *publish)
{
	struct text out = { 0 };

	text_add(&out, "publish");
	for (size_t i = 0; i < publish->n_to; i++)
		meaning_of_selector(&out, &publish->to[i]);
	return text_take(&out);
}

/* Takes the meaning over. */
static int clause_add(struct model *model, const struct clause *from, char *meaning)
{
	struct clause *clause = meaning ? ARRAY_ADD(model->clauses, model->n_clauses) : NULL;

	if (!clause) {
		free(meaning);
		return -ENOMEM;
	}
	*clause = *from;
	clause->meaning = meaning;
	return 0;
}

static int add_grant(struct model *model, enum cause_kind kind, const struct grant *grant, size_t index)
{
	struct text out = { 0 };

	meaning_of_grant(&out, kind == CAUSE_ALLOW ? "allow" : "block", grant);
	if (names_select(model, &grant->from) < 0 || names_select(model, &grant->to) < 0)
		out.failed = true;
	return clause_add(model, &(struct clause){ .kind = kind, .grant = grant, .index = index }, text_take(&out));
}

static int add_grants(struct model *model, enum cause_kind kind, const struct grant *grants, size_t n, time_t now)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		if (!grants[i].expires || grants[i].expires > now)
			r = add_grant(model, kind, &grants[i], i);
	return r;
}

static int add_publish(struct model *model, const struct publish *publish, bool labelled)
{
	_cleanup_free_ char *meaning = publish_meaning(publish);

	if (!meaning)
		return -ENOMEM;
	if (clause_of_publish(model, meaning) < model->n_clauses)
		return 0;
	for (size_t i = 0; i < publish->n_to; i++)
		if (names_select(model, &publish->to[i]) < 0)
			return -ENOMEM;
	return clause_add(model, &(struct clause){ .kind = CAUSE_PUBLISH, .publish = publish, .labelled = labelled },
			  TAKE_PTR(meaning));
}

static int add_publishes(struct model *model, const struct member *member, bool labelled)
{
	int r = 0;

	for (size_t i = 0; i < member->n_publish && r >= 0; i++)
		r = add_publish(model, &member->publish[i], labelled);
	return r;
}

/* Those that publish come last. */
int clauses_fill(struct model *model, time_t now)
{
	const struct policy *policy = model->policy;
	int r = add_grants(model, CAUSE_BLOCK, policy->block, policy->n_block, now);

	if (r >= 0)
		r = add_grants(model, CAUSE_ALLOW, policy->allow, policy->n_allow, now);
	for (size_t i = 0; i < policy->n_members && r >= 0; i++)
		r = add_publishes(model, &policy->members[i], false);
	for (size_t i = 0; i < model->n_labelled && r >= 0; i++)
		r = add_publishes(model, &model->labelled[i].asked.entry, true);
	return r;
}

size_t clause_of_publish(const struct model *model, const char *meaning)
{
	for (size_t i = model->n_clauses; i-- > 0 && model->clauses[i].kind == CAUSE_PUBLISH;)
		if (strcmp(model->clauses[i].meaning, meaning) == 0)
			return i;
	return SIZE_MAX;
}

/* Which side of a clause a location is on. */
static uint8_t clause_sides(const struct model *model, const struct clause *clause, const struct location *location)
{
	bool block = clause->kind == CAUSE_BLOCK;
	uint8_t sides = 0;

	if (clause->kind == CAUSE_PUBLISH) {
		for (size_t i = 0; i < clause->publish->n_to; i++)
			if (selector_fits(model, &clause->publish->to[i], location, false))
				sides |= CLAUSE_FROM;
		return sides;
	}
	if (selector_fits(model, &clause->grant->from, location, block))
		sides |= CLAUSE_FROM;
	if (selector_fits(model, &clause->grant->to, location, block))
		sides |= CLAUSE_TO;
	return sides;
}

static int class_describe(struct class *class, const struct model *model, const struct location *location)
{
	class->policies = location_policies(model, location);
	class->zones = location->zones;
	class->resolver = location->resolver;
	class->container = location->network != NULL;
	class->internal = location->network && location->network->internal;
	class->network = location->network ? location->network->bridge : "";
	if (location->network) {
		const struct member *entry = names_of_network(model, location->network);

		class->isolate = entry && entry->isolate >= 0 ? entry->isolate : !location->network->icc;
	}
	if (location_groups(model, location, &class->groups, &class->n_groups) < 0)
		return -ENOMEM;
	class->selected = calloc(model->n_clauses + 1, 1);
	if (!class->selected)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_clauses; i++)
		class->selected[i] = clause_sides(model, &model->clauses[i], location);
	return 0;
}

/* Everything that rights are made from: two locations with the same text have the same rights, now and later. */
static char *class_meaning(const struct class *class, const struct model *model)
{
	struct text out = { 0 };

	text_add(&out, "%x %x %d%d%d%d %s", class->policies, class->zones, class->resolver, class->container,
		 class->internal, class->isolate, class->network);
	for (size_t i = 0; i < class->n_groups; i++)
		text_add(&out, "\ngroup %s", class->groups[i]);
	for (size_t i = 0; i < model->n_clauses; i++)
		if (class->selected[i])
			text_add(&out, "\n%u %s", class->selected[i], model->clauses[i].meaning);
	return text_take(&out);
}

static void class_clear(struct class *class)
{
	free(class->groups);
	free(class->selected);
}

/* Classes of this model by their number. */
struct known {
	uint32_t number;
	uint32_t index;
	UT_hash_handle hh;
};

/* All that a class is made from, where no clause speaks of the container itself: most containers are like many others. */
struct like {
	struct {
		const struct network *network;
		const struct member *entry;
		const struct labelled *labelled;
		unsigned zones;
		bool resolver, image_labels;
	} key;
	uint32_t index;
	UT_hash_handle hh;
};

struct classing {
	struct model *model;
	const struct member **alike; /* for each entry of the policy the first that says the same */
	struct class_book *book;
	struct known *known;
	struct like *likes;
	const struct like **last; /* of each network, and of what is in none: most are like the one before */
};

static int class_new(struct classing *classing, struct class *class, uint32_t *ret_index)
{
	struct known *known = calloc(1, sizeof(*known));
	struct class *slot = known ? ARRAY_ADD(classing->model->classes, classing->model->n_classes) : NULL;

	if (!slot) {
		free(known);
		return -ENOMEM;
	}
	*slot = *class;
	*class = (struct class){ 0 };
	known->number = slot->number;
	known->index = (uint32_t)(classing->model->n_classes - 1);
	HASH_ADD(hh, classing->known, number, sizeof(known->number), known);
	if (!known->hh.tbl) {
		free(known);
		return -ENOMEM;
	}
	*ret_index = known->index;
	return 0;
}

static int class_of(struct classing *classing, const struct location *location, uint32_t *ret_index)
{
	struct class class = { 0 };
	_cleanup_free_ char *meaning = NULL;
	struct known *known;
	int r = class_describe(&class, classing->model, location);

	meaning = r < 0 ? NULL : class_meaning(&class, classing->model);
	class.number = meaning ? class_book_number(classing->book, meaning) : 0;
	r = class.number ? 0 : -ENOMEM;
	if (r >= 0) {
		HASH_FIND(hh, classing->known, &class.number, sizeof(class.number), known);
		if (known)
			*ret_index = known->index;
		else
			r = class_new(classing, &class, ret_index);
	}
	class_clear(&class);
	return r;
}

static bool is_like(const struct like *a, const struct like *b)
{
	return a->key.network == b->key.network && a->key.entry == b->key.entry && a->key.labelled == b->key.labelled &&
	       a->key.zones == b->key.zones && a->key.resolver == b->key.resolver &&
	       a->key.image_labels == b->key.image_labels;
}

static int class_of_like(struct classing *classing, struct location *location)
{
	const struct inventory *inventory = classing->model->inventory;
	const struct like **last =
		&classing->last[location->network ? location->network - inventory->networks : inventory->n_networks];
	struct like key = { 0 }, *like;
	int r;

	key.key.network = location->network;
	key.key.entry = location->entry;
	if (location->network && location->entry && !location->labelled)
		key.key.entry = classing->alike[location->entry - classing->model->policy->members];
	key.key.labelled = location->labelled;
	key.key.zones = location->zones;
	key.key.resolver = location->resolver;
	key.key.image_labels = location->image_labels;
	if (*last && is_like(*last, &key)) {
		location->class = (*last)->index;
		return 0;
	}
	HASH_FIND(hh, classing->likes, &key.key, sizeof(key.key), like);
	if (like) {
		*last = like;
		location->class = like->index;
		return 0;
	}
	r = class_of(classing, location, &location->class);
	like = r < 0 ? NULL : malloc(sizeof(*like));
	if (!like)
		return -ENOMEM;
	*like = key;
	like->index = location->class;
	HASH_ADD(hh, classing->likes, key, sizeof(like->key), like);
	if (!like->hh.tbl) {
		free(like);
		return -ENOMEM;
	}
	return 0;
}

static int words_compare(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	int order = n_a < n_b ? -1 : n_a > n_b;

	for (size_t i = 0; i < n_a && order == 0; i++)
		order = strcmp(a[i], b[i]);
	return order;
}

/* By what makes the class of a place in a container network that no clause names; see class_describe(). */
static int entry_compare(const void *one, const void *other)
{
	const struct member *a = *(const struct member *const *)one, *b = *(const struct member *const *)other;
	int order = (a->kind > b->kind) - (a->kind < b->kind);

	if (order == 0)
		order = (a->policies > b->policies) - (a->policies < b->policies);
	if (order == 0)
		order = a->has_groups - b->has_groups;
	if (order == 0)
		order = words_compare(a->groups, a->n_groups, b->groups, b->n_groups);
	return order ? order : words_compare(a->tags, a->n_tags, b->tags, b->n_tags);
}

/* The caller's to free; NULL without memory. */
static const struct member **entries_alike(const struct policy *policy)
{
	const struct member **alike = calloc(policy->n_members + 1, sizeof(*alike));
	_cleanup_free_ const struct member **sorted = calloc(policy->n_members + 1, sizeof(*sorted));
	const struct member *first = NULL;

	if (!alike || !sorted) {
		free(alike);
		return NULL;
	}
	for (size_t i = 0; i < policy->n_members; i++)
		sorted[i] = &policy->members[i];
	if (policy->n_members)
		qsort(sorted, policy->n_members, sizeof(*sorted), entry_compare);
	for (size_t i = 0; i < policy->n_members; i++) {
		if (!first || entry_compare(&first, &sorted[i]) != 0)
			first = sorted[i];
		alike[sorted[i] - policy->members] = first;
	}
	return alike;
}

int classes_fill(struct model *model, struct class_book *book)
{
	_cleanup_free_ const struct member **alike = entries_alike(model->policy);
	_cleanup_free_ const struct like **last = calloc(model->inventory->n_networks + 1, sizeof(*last));
	struct classing classing = { .model = model, .alike = alike, .book = book, .last = last };
	struct known *known, *next_known;
	struct like *like, *next_like;
	int r = alike && last ? 0 : -ENOMEM;

	for (size_t i = 0; i < model->n_locations && r >= 0; i++) {
		struct location *location = &model->locations[i];

		if (location->selected)
			r = class_of(&classing, location, &location->class);
		else
			r = class_of_like(&classing, location);
		if (r >= 0 && !location->interface[0] && !location->single)
			model->host = location->class;
	}
	HASH_ITER(hh, classing.known, known, next_known) {
		HASH_DEL(classing.known, known);
		free(known);
	}
	HASH_ITER(hh, classing.likes, like, next_like) {
		HASH_DEL(classing.likes, like);
		free(like);
	}
	return r;
}
