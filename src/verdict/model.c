/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/model.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"
#include "verdict/zones.h"

/*
 * Look-up of single addresses, made when it is first asked for: most models are only compiled. Ranges of an interface
 * stand together in model->locations and are searched in turn.
 */
struct spot {
	struct {
		char interface[IFNAMSIZ];
		struct addr addr;
	} key;
	size_t location;
	UT_hash_handle hh;
};

struct named {
	char name[IFNAMSIZ];
	enum role role;
	const struct network *network;
	UT_hash_handle hh;
};

struct location_index {
	struct spot *spots; /* what the table is made of, one for each single location */
	struct spot *table;
	struct named *interfaces;
};

static void index_free(struct location_index *index)
{
	struct named *named, *next_named;

	if (!index)
		return;
	HASH_CLEAR(hh, index->table);
	free(index->spots);
	HASH_ITER(hh, index->interfaces, named, next_named) {
		HASH_DEL(index->interfaces, named);
		free(named);
	}
	free(index);
}

static struct named *named_at(const struct model *model, const char *interface)
{
	struct named *named;

	HASH_FIND_STR(model->index->interfaces, interface, named);
	return named;
}

static struct named *named_add(const struct model *model, const char *interface)
{
	struct named *named = named_at(model, interface);

	if (named)
		return named;
	named = calloc(1, sizeof(*named));
	if (!named)
		return NULL;
	snprintf(named->name, sizeof(named->name), "%s", interface);
	HASH_ADD_STR(model->index->interfaces, name, named);
	if (!named->hh.tbl) {
		free(named);
		return NULL;
	}
	return named;
}

/* A bridge may be gone, and its network still be there. */
static int index_interfaces(const struct model *model)
{
	for (size_t i = model->n_roles; i-- > 0;) {
		struct named *named = named_add(model, model->roles[i].interface->name);

		if (!named)
			return -ENOMEM;
		named->role = model->roles[i].role;
	}
	for (size_t i = model->inventory->n_networks; i-- > 0;) {
		const struct network *network = &model->inventory->networks[i];
		struct named *named = network->bridge[0] ? named_add(model, network->bridge) : NULL;

		if (network->bridge[0] && !named)
			return -ENOMEM;
		if (named)
			named->network = network;
	}
	return 0;
}

int model_index(struct model *model)
{
	struct location_index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	model->index = index;
	return index_interfaces(model);
}

/* False without memory. Of two at one address the later one counts. */
static bool index_locations(const struct model *model)
{
	struct location_index *index = model->index;
	struct spot *spots = index->spots ? index->spots : calloc(model->n_singles + 1, sizeof(*spots));

	if (!spots || index->spots)
		return spots;
	for (size_t i = 0; i < model->n_singles; i++) {
		struct spot *spot = &spots[i], *old;

		memcpy(spot->key.interface, model->locations[i].interface, IFNAMSIZ);
		spot->key.addr = model->locations[i].range.first;
		spot->location = i;
		HASH_REPLACE(hh, index->table, key, sizeof(spot->key), spot, old);
		if (!spot->hh.tbl) {
			HASH_CLEAR(hh, index->table);
			free(spots);
			return false;
		}
	}
	index->spots = spots;
	return true;
}

static const struct location *single_location(const struct model *model, const char *interface, const struct addr *addr)
{
	struct spot key = { 0 }, *spot;

	if (!index_locations(model)) {
		for (size_t i = model->n_singles; i-- > 0;)
			if (addr_compare(&model->locations[i].range.first, addr) == 0 &&
			    strcmp(model->locations[i].interface, interface) == 0)
				return &model->locations[i];
		return NULL;
	}
	snprintf(key.key.interface, IFNAMSIZ, "%s", interface);
	key.key.addr = *addr;
	HASH_FIND(hh, model->index->table, &key.key, sizeof(key.key), spot);
	return spot ? &model->locations[spot->location] : NULL;
}

const struct location *model_location(const struct model *model, const char *interface, const struct addr *addr)
{
	const struct location *location = single_location(model, interface, addr);

	if (location || !model->locations)
		return location;
	for (size_t i = model->n_singles; i < model->n_locations; i++)
		if (range_contains(&model->locations[i].range, addr) &&
		    strcmp(model->locations[i].interface, interface) == 0)
			return &model->locations[i];
	return NULL;
}

enum role model_role(const struct model *model, const char *interface)
{
	const struct named *named = named_at(model, interface);

	return named ? named->role : ROLE_NONE;
}

const struct network *model_network(const struct model *model, const char *interface)
{
	const struct named *named = named_at(model, interface);

	return named ? named->network : NULL;
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
		free(model->classes[i].selected);
		free(model->classes[i].rights);
		free(model->classes[i].front_rights);
	}
	for (size_t i = 0; i < model->n_fronts; i++)
		free(model->fronts[i].published);
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
	free(model->publishing);
	free(model->clauses);
	free(model->fronts);
	free(model->published);
	free(model->port_fronts);
	taken_free(model->taken);
	names_free(model->names);
	free(model->notes);
	free(model);
	return NULL;
}
