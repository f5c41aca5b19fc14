/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "ruleset/compile.h"
#include "ruleset/stmt.h"
#include "verdict/model.h"

/*
 * Ranges behind an interface: a map for each family, and two chains that look it up, by source and by target. Interfaces
 * lead to their chains by the verdict maps "sources" and "targets".
 *
 * The kernel changes such a map element by element, and a packet may see a part of it. So none is ever changed: the names
 * have a hash of all that is in it, and a change is a new map, new chains, and one element that leads to them.
 */

struct part {
	const struct model *model;
	size_t first, end; /* locations */
	char name[25]; /* of the interface, and the hash */
};

static uint32_t hash(uint32_t value, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		value = (value ^ ((const uint8_t *)bytes)[i]) * 0x01000193u; /* FNV-1a */
	return value;
}

/* What nft can write as a name. */
static bool is_plain(const char *interface)
{
	for (; *interface; interface++)
		if (!isalnum((unsigned char)*interface) && !strchr("_.-", *interface))
			return false;
	return true;
}

static void part_name(struct part *part)
{
	const char *interface = part->model->locations[part->first].interface;
	uint32_t value = hash(0x811c9dc5u, interface, strlen(interface));

	for (size_t i = part->first; i < part->end; i++) {
		const struct location *location = &part->model->locations[i];
		const struct addr *ends[] = { &location->range.first, &location->range.last };

		for (size_t k = 0; k < ELEMENTSOF(ends); k++)
			value = hash(value, ends[k]->bytes, addr_size(ends[k]->family));
		value = hash(value, &part->model->classes[location->class].number, sizeof(uint32_t));
	}
	snprintf(part->name, sizeof(part->name), "%s-%08x", is_plain(interface) ? interface : "odd", value);
}

/* The map of a family, as the kernel names it; *ret_name stays NULL where there is nothing of that family. */
static int put_map(struct ruleset *ruleset, const struct part *part, uint8_t family, const char **ret_name)
{
	const char *name = ruleset_string(ruleset, "range%d-%s", family == AF_INET ? 4 : 6, part->name);
	const enum field field = family == AF_INET ? FIELD_IP_SADDR : FIELD_IP6_SADDR;
	struct set *set = NULL;

	for (size_t i = part->first; i < part->end && name; i++) {
		const struct location *location = &part->model->locations[i];

		if (location->range.first.family != family)
			continue;
		if (!set) {
			set = ruleset_add_set(ruleset, name, DATA_PRIORITY, &field, 1);
			if (!set)
				return -ENOMEM;
			set->interval = true;
		}
		if (set_add_range(set, &location->range, part->model->classes[location->class].number) < 0)
			return -ENOMEM;
	}
	if (!name)
		return -ENOMEM;
	if (set)
		*ret_name = name;
	return 0;
}

#define RULE(...) (struct stmt[]){ __VA_ARGS__ }, sizeof((struct stmt[]){ __VA_ARGS__ }) / sizeof(struct stmt)

static int put_chain(struct ruleset *ruleset, const struct part *part, bool target, const char *const maps[2])
{
	const char *interface = part->model->locations[part->first].interface;
	const char *name = ruleset_string(ruleset, "%s-%s", target ? "target" : "source", part->name);
	struct chain *chain = name ? ruleset_add_chain(ruleset, name, HOOK_NONE, 0, false) : NULL;
	struct set *set = ruleset_set(ruleset, target ? "targets" : "sources");
	struct element *element;
	int r = chain ? 0 : -ENOMEM;

	if (maps[0] && r >= 0)
		r = target ? chain_add_rule(chain, RULE(IPV4, PRIORITY_MAP(maps[0], IP_DADDR))) :
			     chain_add_rule(chain, RULE(IPV4, PRIORITY_MAP(maps[0], IP_SADDR)));
	if (maps[1] && r >= 0)
		r = target ? chain_add_rule(chain, RULE(IPV6, PRIORITY_MAP(maps[1], IP6_DADDR))) :
			     chain_add_rule(chain, RULE(IPV6, PRIORITY_MAP(maps[1], IP6_SADDR)));
	element = r < 0 ? NULL : set_add(set);
	if (!element)
		return -ENOMEM;
	key_put_name(set, element->key, 0, interface);
	snprintf(element_chain(set, element), CHAIN_MAX, "%s", name);
	return 0;
}

static bool is_muted(const struct part *part)
{
	for (size_t i = part->first; i < part->end; i++)
		if (part->model->classes[part->model->locations[i].class].policies &
		    (POLICY_DISABLED | POLICY_QUARANTINE))
			return true;
	return false;
}

/* Who is muted is asked for before the way back; a container's bridge asks by itself. */
static int put_muted(struct ruleset *ruleset, const struct part *part)
{
	const char *interface = part->model->locations[part->first].interface;
	struct set *entrances = ruleset_set(ruleset, "entrances");
	struct element *element = NULL;

	if (!is_muted(part) || model_network(part->model, interface))
		return 0;
	for (size_t i = 0; i < entrances->n_elements && !element; i++)
		if (strncmp((const char *)set_element(entrances, i)->key, interface, IFNAMSIZ) == 0)
			element = set_element(entrances, i);
	if (!element)
		element = set_add(entrances);
	if (!element)
		return -ENOMEM;
	key_put_name(entrances, element->key, 0, interface);
	snprintf(element_chain(entrances, element), CHAIN_MAX, "guard-muted");
	return 0;
}

static int put_part(struct ruleset *ruleset, struct part *part)
{
	const char *maps[2] = { NULL, NULL };

	if (put_muted(ruleset, part) < 0)
		return -ENOMEM;
	part_name(part);
	if (put_map(ruleset, part, AF_INET, &maps[0]) < 0 || put_map(ruleset, part, AF_INET6, &maps[1]) < 0)
		return -ENOMEM;
	if (put_chain(ruleset, part, false, maps) < 0)
		return -ENOMEM;
	return put_chain(ruleset, part, true, maps);
}

int put_ranges(struct ruleset *ruleset, const struct model *model)
{
	struct part part = { .model = model, .first = model->n_singles };
	int r = 0;

	for (; part.first < model->n_locations && r >= 0; part.first = part.end) {
		const struct location *location = &model->locations[part.first];

		part.end = part.first + 1;
		if (!location->interface[0])
			continue;
		while (part.end < model->n_locations &&
		       strcmp(model->locations[part.end].interface, location->interface) == 0)
			part.end++;
		r = put_part(ruleset, &part);
	}
	return r;
}
