/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "verdict/resolve.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

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

static void meaning_of_publish(struct text *out, const struct clause *clause)
{
	char port[32];

	text_add(out, "publish %s %s", clause->publisher->name, port_range_print(&clause->publish->port, port));
	for (size_t i = 0; i < clause->publish->n_to; i++)
		meaning_of_selector(out, &clause->publish->to[i]);
}

static int clause_add(struct model *model, const struct clause *from)
{
	struct clause *clause = ARRAY_ADD(model->clauses, model->n_clauses);
	struct text out = { 0 };

	if (!clause)
		return -ENOMEM;
	*clause = *from;
	if (clause->kind == CAUSE_PUBLISH)
		meaning_of_publish(&out, clause);
	else
		meaning_of_grant(&out, clause->kind == CAUSE_ALLOW ? "allow" : "block", clause->grant);
	clause->meaning = text_take(&out);
	return clause->meaning ? 0 : -ENOMEM;
}

static int add_grants(struct model *model, enum cause_kind kind, const struct grant *grants, size_t n, time_t now)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		if (!grants[i].expires || grants[i].expires > now)
			r = clause_add(model, &(struct clause){ .kind = kind, .grant = &grants[i], .index = i });
	return r;
}

static int add_publish(struct model *model, const struct member *member, bool labelled)
{
	int r = 0;

	for (size_t i = 0; i < member->n_publish && r >= 0; i++)
		r = clause_add(model, &(struct clause){ .kind = CAUSE_PUBLISH,
							.publisher = member,
							.publish = &member->publish[i],
							.labelled = labelled,
							.index = i });
	return r;
}

int clauses_fill(struct model *model, time_t now, struct error *error)
{
	const struct policy *policy = model->policy;
	int r = add_grants(model, CAUSE_BLOCK, policy->block, policy->n_block, now);

	if (r >= 0)
		r = add_grants(model, CAUSE_ALLOW, policy->allow, policy->n_allow, now);
	for (size_t i = 0; i < policy->n_members && r >= 0; i++)
		r = add_publish(model, &policy->members[i], false);
	for (size_t i = 0; i < model->n_labelled && r >= 0; i++)
		r = add_publish(model, &model->labelled[i].asked.entry, true);
	return r < 0 ? error_memory(error) : 0;
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
		if (location->network && location->entry == clause->publisher)
			sides |= CLAUSE_TO;
		return sides;
	}
	if (selector_fits(model, &clause->grant->from, location, block))
		sides |= CLAUSE_FROM;
	if (selector_fits(model, &clause->grant->to, location, block))
		sides |= CLAUSE_TO;
	return sides;
}

static int port_compare(const void *a, const void *b)
{
	const struct port_binding *left = a, *right = b;

	if (left->proto != right->proto)
		return left->proto - right->proto;
	if (left->host_port != right->host_port)
		return left->host_port - right->host_port;
	return left->container_port - right->container_port;
}

/* What it publishes and what it is to publish, each once: the same before and after its start. */
static int class_ports(struct class *class, const struct container *container)
{
	size_t n = container->n_ports + container->n_bindings, kept = 0;

	if (n == 0)
		return 0;
	class->ports = malloc(n * sizeof(*class->ports));
	if (!class->ports)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		class->ports[i] = i < container->n_ports ? container->ports[i] :
							   container->bindings[i - container->n_ports];
	qsort(class->ports, n, sizeof(*class->ports), port_compare);
	for (size_t i = 1; i < n; i++)
		if (port_compare(&class->ports[kept], &class->ports[i]) != 0)
			class->ports[++kept] = class->ports[i];
	class->n_ports = kept + 1;
	return 0;
}

static int class_describe(struct class *class, const struct model *model, const struct location *location)
{
	const struct container *container = location->container;

	class->policies = location_policies(location, model->policy);
	class->zones = location->zones;
	class->resolver = location->resolver;
	class->container = location->network != NULL;
	class->internal = location->network && location->network->internal;
	class->network = location->network ? location->network->bridge : "";
	if (location->network) {
		const struct member *entry = policy_member(model->policy, MEMBER_NETWORK, location->network->name);

		class->isolate = entry && entry->isolate >= 0 ? entry->isolate : !location->network->icc;
	}
	if (location_groups(location, model->policy, &class->groups, &class->n_groups) < 0)
		return -ENOMEM;
	class->selected = calloc(model->n_clauses + 1, 1);
	if (!class->selected)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_clauses; i++)
		class->selected[i] = clause_sides(model, &model->clauses[i], location);
	return container ? class_ports(class, container) : 0;
}

/* Everything that rights are made from: two locations with the same text have the same rights, now and later. */
static char *class_meaning(const struct class *class, const struct model *model)
{
	struct text out = { 0 };

	text_add(&out, "%x %x %d%d%d%d %s", class->policies, class->zones, class->resolver, class->container,
		 class->internal, class->isolate, class->network);
	for (size_t i = 0; i < class->n_groups; i++)
		text_add(&out, "\ngroup %s", class->groups[i]);
	for (size_t i = 0; i < class->n_ports; i++)
		text_add(&out, "\nport %u %u %u", class->ports[i].proto, class->ports[i].host_port,
			 class->ports[i].container_port);
	for (size_t i = 0; i < model->n_clauses; i++)
		if (class->selected[i])
			text_add(&out, "\n%u %s", class->selected[i], model->clauses[i].meaning);
	return text_take(&out);
}

static void class_clear(struct class *class)
{
	free(class->groups);
	free(class->ports);
	free(class->selected);
}

struct known {
	uint32_t number;
	uint32_t index;
	UT_hash_handle hh;
};

static int class_of(struct model *model, struct class_book *book, struct known **known, struct location *location)
{
	struct class class = { 0 };
	_cleanup_free_ char *meaning = NULL;
	struct known *seen;
	struct class *slot;
	int r = class_describe(&class, model, location);

	meaning = r < 0 ? NULL : class_meaning(&class, model);
	class.number = meaning ? class_book_number(book, meaning) : 0;
	if (!class.number)
		goto failed;
	HASH_FIND(hh, *known, &class.number, sizeof(class.number), seen);
	if (seen) {
		location->class = seen->index;
		class_clear(&class);
		return 0;
	}
	seen = calloc(1, sizeof(*seen));
	slot = seen ? ARRAY_ADD(model->classes, model->n_classes) : NULL;
	if (!slot) {
		free(seen);
		goto failed;
	}
	class.front = class.n_ports ? class.number + 1 : 0;
	*slot = class;
	seen->number = class.number;
	seen->index = (uint32_t)(model->n_classes - 1);
	location->class = seen->index;
	HASH_ADD(hh, *known, number, sizeof(seen->number), seen);
	if (!seen->hh.tbl) { /* the class is the model's by now */
		free(seen);
		return -ENOMEM;
	}
	return 0;
failed:
	class_clear(&class);
	return -ENOMEM;
}

int classes_fill(struct model *model, struct class_book *book)
{
	struct known *known = NULL, *item, *next;
	int r = 0;

	for (size_t i = 0; i < model->n_locations && r >= 0; i++) {
		r = class_of(model, book, &known, &model->locations[i]);
		if (r >= 0 && !model->locations[i].interface[0] && !model->locations[i].single)
			model->host = model->locations[i].class;
	}
	HASH_ITER(hh, known, item, next) {
		HASH_DEL(known, item);
		free(item);
	}
	return r;
}
