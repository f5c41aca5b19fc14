/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/model.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/spots.h"
#include "verdict/resolve.h"
#include "verdict/zones.h"

/* Ranges of an interface stand together in model->locations, in the order of their addresses. */
struct named {
	char name[IFNAMSIZ];
	enum role role;
	const struct network *network;
	size_t first_range, n_ranges; /* places in model->locations */
	UT_hash_handle hh;
};

struct location_index {
	struct named *interfaces;
	bool scattered; /* the ranges of an interface do not stand so, as of two of one name: they are searched in turn */
	struct spots singles; /* made when it is first asked for: most models are only compiled */
	bool has_singles;
};

static void index_free(struct location_index *index)
{
	struct named *named, *next_named;

	if (!index)
		return;
	spots_clear(&index->singles);
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

/* Whether a range is the first of its interface, or right behind the one before it. */
static bool follows(const struct model *model, const struct named *named, size_t i)
{
	const struct range *before = &model->locations[i - (named->n_ranges > 0)].range;

	return !named->n_ranges || (named->first_range + named->n_ranges == i &&
				    addr_compare(&before->last, &model->locations[i].range.first) < 0);
}

static int index_ranges(const struct model *model)
{
	struct named *named = NULL;

	for (size_t i = model->n_singles; i < model->n_locations; i++) {
		if (!named || strcmp(named->name, model->locations[i].interface) != 0)
			named = named_add(model, model->locations[i].interface);
		if (!named)
			return -ENOMEM;
		if (!named->n_ranges)
			named->first_range = i;
		model->index->scattered = model->index->scattered || !follows(model, named, i);
		named->n_ranges++;
	}
	return 0;
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
	return index_interfaces(model) < 0 || index_ranges(model) < 0 ? -ENOMEM : 0;
}

static uint32_t single_hash(const char *interface, const struct addr *addr)
{
	struct {
		char interface[IFNAMSIZ];
		struct addr addr;
	} key = { 0 };

	memccpy(key.interface, interface, '\0', sizeof(key.interface) - 1);
	key.addr = *addr;
	return spots_hash(&key, sizeof(key));
}

/* False without memory. */
static bool index_singles(const struct model *model)
{
	struct location_index *index = model->index;

	if (index->has_singles)
		return true;
	for (size_t i = 0; i < model->n_singles; i++) {
		const struct location *location = &model->locations[i];

		if (!spots_add(&index->singles, single_hash(location->interface, &location->range.first),
			       (uint32_t)i)) {
			spots_clear(&index->singles);
			return false;
		}
	}
	index->has_singles = true;
	return true;
}

static bool is_single_at(const struct location *location, const char *interface, const struct addr *addr)
{
	return addr_compare(&location->range.first, addr) == 0 && strcmp(location->interface, interface) == 0;
}

/* Of two at one address the later one counts. */
static const struct location *single_location(const struct model *model, const char *interface, const struct addr *addr)
{
	const struct location *found = NULL;
	const struct spot *spot = NULL;
	uint32_t hash;

	if (!index_singles(model)) {
		for (size_t i = model->n_singles; i-- > 0;)
			if (is_single_at(&model->locations[i], interface, addr))
				return &model->locations[i];
		return NULL;
	}
	hash = single_hash(interface, addr);
	while ((spot = spots_find(&model->index->singles, hash, spot))) {
		const struct location *location = &model->locations[spot->slot];

		if (location > found && is_single_at(location, interface, addr))
			found = location;
	}
	return found;
}

static const struct location *scattered_range(const struct model *model, const char *interface, const struct addr *addr)
{
	for (size_t i = model->n_singles; i < model->n_locations; i++)
		if (range_contains(&model->locations[i].range, addr) &&
		    strcmp(model->locations[i].interface, interface) == 0)
			return &model->locations[i];
	return NULL;
}

static const struct location *range_location(const struct model *model, const char *interface, const struct addr *addr)
{
	const struct named *named = named_at(model, interface);
	size_t first = named ? named->first_range : 0, end = named ? first + named->n_ranges : 0;

	while (first < end) {
		size_t middle = first + (end - first) / 2;
		const struct location *location = &model->locations[middle];

		if (range_contains(&location->range, addr))
			return location;
		if (addr_compare(&location->range.last, addr) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

const struct location *model_location(const struct model *model, const char *interface, const struct addr *addr)
{
	const struct location *location = single_location(model, interface, addr);

	if (location || !model->locations)
		return location;
	return model->index->scattered ? scattered_range(model, interface, addr) :
					 range_location(model, interface, addr);
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
