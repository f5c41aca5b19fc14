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

int senders_find(const struct model *model, struct senders *ret)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];
		struct end end, *slot;

		/* the resolver is in one of the zones, and has their name */
		if (!location->interface[0] || location->resolver || !location_end(model, location, &end))
			continue;
		slot = ARRAY_ADD(ret->ends, ret->n);
		if (!slot) {
			senders_clear(ret);
			return -ENOMEM;
		}
		*slot = end;
	}
	return 0;
}

void senders_clear(struct senders *senders)
{
	free(senders->ends);
	*senders = (struct senders){ 0 };
}

int port_reachers(const struct model *model, const struct senders *senders, const struct location *container,
		  const struct port_binding *port, struct lines *ret)
{
	struct search search = { .model = model, .port = port };
	int r = 0;

	if (!location_end(model, container, &search.to))
		return 0;
	for (size_t i = 0; i < senders->n && r >= 0; i++) {
		const struct end *from = &senders->ends[i];
		bool accept = false;

		if (strcmp(from->location->interface, container->interface) == 0)
			continue;
		r = look(&search, from, &accept);
		if (r >= 0 && accept)
			r = lines_add(ret, location_label(from->location));
	}
	free(search.found);
	lines_sort(ret);
	return r;
}
