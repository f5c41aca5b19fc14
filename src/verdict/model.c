/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/model.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"
#include "verdict/zones.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Look-up of single addresses; ranges of an interface stand together in model->locations and are searched in turn. */
struct spot {
	struct {
		char interface[IFNAMSIZ];
		struct addr addr;
	} key;
	size_t location;
	UT_hash_handle hh;
};

struct location_index {
	struct spot *spots;
	size_t first_range; /* locations from here on are ranges */
};

static void index_free(struct location_index *index)
{
	struct spot *spot, *next;

	if (!index)
		return;
	HASH_ITER(hh, index->spots, spot, next) {
		HASH_DEL(index->spots, spot);
		free(spot);
	}
	free(index);
}

int model_index(struct model *model)
{
	struct location_index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	model->index = index;
	while (index->first_range < model->n_locations && model->locations[index->first_range].single) {
		const struct location *location = &model->locations[index->first_range];
		struct spot *spot = calloc(1, sizeof(*spot)), *old;

		if (!spot)
			return -ENOMEM;
		memcpy(spot->key.interface, location->interface, IFNAMSIZ);
		spot->key.addr = location->range.first;
		spot->location = index->first_range++;
		HASH_REPLACE(hh, index->spots, key, sizeof(spot->key), spot, old);
		free(old);
		if (!spot->hh.tbl) {
			free(spot);
			return -ENOMEM;
		}
	}
	return 0;
}

const struct location *model_location(const struct model *model, const char *interface, const struct addr *addr)
{
	const struct location_index *index = model->index;
	struct spot key = { 0 }, *spot;

	snprintf(key.key.interface, IFNAMSIZ, "%s", interface);
	key.key.addr = *addr;
	HASH_FIND(hh, index->spots, &key.key, sizeof(key.key), spot);
	if (spot)
		return &model->locations[spot->location];
	for (size_t i = index->first_range; i < model->n_locations; i++)
		if (range_contains(&model->locations[i].range, addr) &&
		    strcmp(model->locations[i].interface, interface) == 0)
			return &model->locations[i];
	return NULL;
}

enum role model_role(const struct model *model, const char *interface)
{
	for (size_t i = 0; i < model->n_roles; i++)
		if (strcmp(model->roles[i].interface->name, interface) == 0)
			return model->roles[i].role;
	return ROLE_NONE;
}

char *location_name(const struct model *model, const struct location *location, const struct addr *addr)
{
	char *name = NULL, text[ADDR_TEXT_MAX];
	int r;

	addr_text(addr, text);
	if (!location)
		return strdup(text);
	if (location->container)
		return strdup(location->container->name);
	if (location->network)
		r = asprintf(&name, "network:%s", location->network->name);
	else if (location->entry)
		r = asprintf(&name, "rule:%s", location->entry->name);
	else if (location->zones & 1u << ZONE_HOST)
		r = asprintf(&name, "host");
	else
		r = asprintf(&name, "%s", text);
	return r < 0 ? NULL : name;
}

struct model *model_free(struct model *model)
{
	if (!model)
		return NULL;
	index_free(model->index);
	for (size_t i = 0; i < model->n_classes; i++) {
		free(model->classes[i].groups);
		free(model->classes[i].ports);
		free(model->classes[i].selected);
		free(model->classes[i].rights);
	}
	for (size_t i = 0; i < model->n_clauses; i++)
		free(model->clauses[i].meaning);
	for (size_t i = 0; i < model->n_notes; i++)
		free(model->notes[i]);
	for (size_t i = 0; i < model->n_labelled; i++)
		asked_clear(&model->labelled[i].asked);
	free(model->labelled);
	free(model->roles);
	free(model->classes);
	free(model->locations);
	free(model->clauses);
	free(model->fronts);
	free(model->notes);
	free(model);
	return NULL;
}
