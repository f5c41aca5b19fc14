/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "classed.h"

#include <stdlib.h>
#include <string.h>

static bool any_fits(const struct model *model, const struct selector *selectors, size_t n,
		     const struct location *location, bool block)
{
	for (size_t i = 0; i < n; i++)
		if (selector_fits(model, &selectors[i], location, block))
			return true;
	return false;
}

static bool same_sides(const struct model *model, const struct class *class, const struct location *location)
{
	for (size_t i = 0; i < model->n_clauses; i++) {
		const struct clause *clause = &model->clauses[i];
		bool publish = clause->kind == CAUSE_PUBLISH, block = clause->kind == CAUSE_BLOCK;
		bool from = publish ? any_fits(model, clause->publish->to, clause->publish->n_to, location, false) :
				      any_fits(model, &clause->grant->from, 1, location, block);
		bool to = !publish && any_fits(model, &clause->grant->to, 1, location, block);

		if (class->selected[i] != ((from ? CLAUSE_FROM : 0) | (to ? CLAUSE_TO : 0)))
			return false;
	}
	return true;
}

static bool same_groups(const struct model *model, const struct class *class, const struct location *location)
{
	const char **groups = NULL;
	size_t n = 0;
	bool same = location_groups(model, location, &groups, &n) >= 0 && n == class->n_groups;

	for (size_t i = 0; same && i < n; i++)
		same = strcmp(groups[i], class->groups[i]) == 0;
	free(groups);
	return same;
}

static bool isolates(const struct model *model, const struct network *network)
{
	const struct member *entry = network ? model_entry(model, MEMBER_NETWORK, network->name) : NULL;

	return network && (entry && entry->isolate >= 0 ? entry->isolate : !network->icc);
}

const struct location *misclassed(const struct model *model)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];
		const struct class *class = &model->classes[location->class];

		if (class->policies != location_policies(model, location) || class->zones != location->zones ||
		    class->resolver != location->resolver || class->container != (location->network != NULL) ||
		    class->internal != (location->network && location->network->internal) ||
		    class->isolate != isolates(model, location->network) ||
		    strcmp(class->network, location->network ? location->network->bridge : "") != 0 ||
		    !same_groups(model, class, location) || !same_sides(model, class, location))
			return location;
	}
	return NULL;
}

/* By going through all places: of single addresses the last one, before any range. */
static const struct location *place_of(const struct model *model, const char *interface, const struct addr *addr)
{
	const struct location *found = NULL;

	for (size_t i = 0; i < model->n_locations && (i < model->n_singles || !found); i++) {
		const struct location *location = &model->locations[i];

		if (range_contains(&location->range, addr) && strcmp(location->interface, interface) == 0)
			found = location;
	}
	return found;
}

static bool is_found(const struct model *model, const char *interface, struct addr addr)
{
	return model_location(model, interface, &addr) == place_of(model, interface, &addr);
}

const struct location *misplaced(const struct model *model)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];
		struct addr before = location->range.first, after = location->range.last;

		addr_previous(&before);
		addr_next(&after);
		if (!is_found(model, location->interface, location->range.first) ||
		    !is_found(model, location->interface, location->range.last) ||
		    !is_found(model, location->interface, before) || !is_found(model, location->interface, after) ||
		    !is_found(model, "absent", location->range.first))
			return location;
	}
	return NULL;
}
