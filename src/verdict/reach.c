/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/reach.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "verdict/changes.h"

/* What was found for those who stand alike: the same class by the same interface, in one family. */
struct found {
	uint32_t class;
	const char *interface;
	uint8_t family;
	bool accept;
};

struct search {
	const struct model *model;
	struct end to;
	const struct port_binding *port;
	struct found *found;
	size_t n_found;
};

static int look(struct search *search, const struct end *from, bool *ret)
{
	struct found found = { from->location->class, from->location->interface, from->addr.family, false };
	struct decision decision;
	struct packet packet;
	struct found *slot;

	for (size_t i = 0; i < search->n_found; i++)
		if (search->found[i].class == found.class && search->found[i].family == found.family &&
		    strcmp(search->found[i].interface, found.interface) == 0) {
			*ret = search->found[i].accept;
			return 0;
		}
	if (question_published(search->model, from, &search->to, search->port, &packet)) {
		verdict(search->model, &packet, &decision);
		found.accept = decision.accept;
	}
	slot = ARRAY_ADD(search->found, search->n_found);
	if (!slot)
		return -ENOMEM;
	*slot = found;
	*ret = found.accept;
	return 0;
}

static int add_name(struct reachers *reachers, const struct location *location)
{
	char *name = location_label(location), **slot = name ? ARRAY_ADD(reachers->names, reachers->n) : NULL;

	if (!slot) {
		free(name);
		return -ENOMEM;
	}
	*slot = name;
	return 0;
}

static int name_order(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

static void sort(struct reachers *reachers)
{
	size_t kept = 0;

	if (reachers->n == 0)
		return;
	qsort(reachers->names, reachers->n, sizeof(*reachers->names), name_order);
	for (size_t i = 1; i < reachers->n; i++) {
		if (strcmp(reachers->names[kept], reachers->names[i]) == 0)
			free(reachers->names[i]);
		else
			reachers->names[++kept] = reachers->names[i];
	}
	reachers->n = kept + 1;
}

int port_reachers(const struct model *model, const struct location *container, const struct port_binding *port,
		  struct reachers *ret)
{
	struct search search = { .model = model, .port = port };
	int r = 0;

	if (!location_end(model, container, &search.to))
		return 0;
	for (size_t i = 0; i < model->n_locations && r >= 0; i++) {
		const struct location *location = &model->locations[i];
		bool accept = false;
		struct end from;

		/* the resolver is in one of the zones, and has their name */
		if (!location->interface[0] || location->resolver ||
		    strcmp(location->interface, container->interface) == 0 || !location_end(model, location, &from))
			continue;
		r = look(&search, &from, &accept);
		if (r >= 0 && accept)
			r = add_name(ret, location);
	}
	free(search.found);
	sort(ret);
	return r;
}

void reachers_clear(struct reachers *reachers)
{
	for (size_t i = 0; i < reachers->n; i++)
		free(reachers->names[i]);
	free(reachers->names);
	*reachers = (struct reachers){ 0 };
}
