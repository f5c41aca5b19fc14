/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"

bool container_named(const struct container *container, const char *name)
{
	const char *slash = strchr(name, '/');

	if (strcmp(container->name, name) == 0)
		return true;
	return slash && container->project && container->service &&
	       strlen(container->project) == (size_t)(slash - name) &&
	       strncmp(container->project, name, (size_t)(slash - name)) == 0 &&
	       strcmp(container->service, slash + 1) == 0;
}

/* Whose labels claim an entry but prove nothing is closed, as an entry without anything would make it. */
static bool is_doubtful(const struct location *location)
{
	return location->image_labels && !location->entry;
}

unsigned location_policies(const struct model *model, const struct location *location)
{
	const struct member *entry = location->entry, *network = NULL;

	if (location->labelled)
		network = names_of_network(model, location->network);
	/* No label opens a network that was closed as a whole. */
	if (location->labelled && (!location->labelled->asked.has_policies ||
				   (network && network->policies & (POLICY_DISABLED | POLICY_QUARANTINE))))
		entry = network;
	if (entry)
		return entry->policies;
	return location->network && !location->network->internal && !is_doubtful(location) ? POLICY_WAN | POLICY_DNS :
											     0;
}

static int text_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int location_groups(const struct model *model, const struct location *location, const char ***ret, size_t *ret_n)
{
	const struct member *entry = location->entry;
	const char **groups = NULL;
	size_t n = 0;

	if (location->network && entry && entry->kind == MEMBER_CONTAINER && !entry->has_groups)
		entry = names_of_network(model, location->network);
	for (size_t i = 0; entry && i < entry->n_groups; i++) {
		const char **slot = ARRAY_ADD(groups, n);

		if (!slot) {
			free(groups);
			return -ENOMEM;
		}
		*slot = entry->groups[i];
	}
	if (n > 1)
		qsort(groups, n, sizeof(*groups), text_compare);
	*ret = groups;
	*ret_n = n;
	return 0;
}

static bool entry_in_group(const struct member *entry, const char *name)
{
	for (size_t i = 0; entry && i < entry->n_groups; i++)
		if (strcmp(entry->groups[i], name) == 0)
			return true;
	return false;
}

/* A label may leave a group of its network, but not get away from a block that hangs on it. */
static bool in_group(const struct model *model, const struct location *location, const char *name, bool block)
{
	const struct member *entry = location->entry, *network = NULL;

	if (location->network)
		network = names_of_network(model, location->network);
	if (entry && entry->kind == MEMBER_CONTAINER && !entry->has_groups)
		entry = network;
	return entry_in_group(entry, name) || (block && location->labelled && entry_in_group(network, name));
}

static bool entry_has_tag(const struct member *entry, const char *name)
{
	for (size_t i = 0; entry && i < entry->n_tags; i++)
		if (strcmp(entry->tags[i], name) == 0)
			return true;
	return false;
}

/* No label takes off a tag of its network: a block may hang on it. */
static bool has_tag(const struct model *model, const struct location *location, const char *name)
{
	return entry_has_tag(location->entry, name) ||
	       (location->labelled && entry_has_tag(names_of_network(model, location->network), name));
}

/*
 * A grant to a network is part of its containers' default, which an entry of their own replaces; a block of a network
 * holds for everything in it. Either way the narrower reading opens less.
 */
static bool is_member(const struct location *location, enum member_kind kind, const char *name, bool block)
{
	switch (kind) {
	case MEMBER_CONTAINER:
		return (location->container && container_named(location->container, name)) ||
		       (location->network && location->entry && location->entry->kind == MEMBER_CONTAINER &&
			strcmp(location->entry->name, name) == 0);
	case MEMBER_NETWORK:
		return location->network && strcmp(location->network->name, name) == 0 &&
		       (block || (location->entry ? location->entry->kind == MEMBER_NETWORK : !is_doubtful(location)));
	case MEMBER_RULE:
		return !location->network && location->entry && strcmp(location->entry->name, name) == 0;
	default:
		return false;
	}
}

/* What a bare name can mean, as a set of 1 << enum member_kind. */
static unsigned kinds_named(const struct model *model, const char *name)
{
	const struct name *known = names_find(model, name);
	unsigned kinds = 0;

	if (known)
		return known->kinds;
	for (size_t i = 0; i < model->inventory->n_networks; i++)
		if (strcmp(model->inventory->networks[i].name, name) == 0)
			kinds |= 1u << MEMBER_NETWORK;
	for (size_t i = 0; i < model->inventory->n_containers; i++)
		if (container_named(&model->inventory->containers[i], name))
			kinds |= 1u << MEMBER_CONTAINER;
	return kinds;
}

int selector_ambiguous(const struct model *model, const struct selector *selector, struct error *error)
{
	enum member_kind first = _MEMBER_KIND_MAX;
	unsigned kinds;

	if (selector->kind != SELECT_NAME)
		return 0;
	kinds = kinds_named(model, selector->name);
	for (int kind = 0; kind < _MEMBER_KIND_MAX; kind++) {
		if (!(kinds & 1u << kind))
			continue;
		if (first != _MEMBER_KIND_MAX)
			return error_set(error, ENOTUNIQ, "'%s' is a %s and a %s: write %s:%s or %s:%s", selector->name,
					 member_kind_name(first), member_kind_name((enum member_kind)kind),
					 member_kind_name(first), selector->name,
					 member_kind_name((enum member_kind)kind), selector->name);
		first = (enum member_kind)kind;
	}
	return 0;
}

bool selector_fits(const struct model *model, const struct selector *selector, const struct location *location,
		   bool block)
{
	switch (selector->kind) {
	case SELECT_ZONE:
		return location->zones & 1u << selector->zone;
	case SELECT_GROUP:
		return in_group(model, location, selector->name, block);
	case SELECT_TAG:
		return has_tag(model, location, selector->name);
	case SELECT_MEMBER:
		return is_member(location, selector->member_kind, selector->name, block);
	case SELECT_NAME:
		/* A name that came to fit two members after it was accepted opens nothing, and blocks both. */
		if (!block && selector_ambiguous(model, selector, NULL) < 0)
			return false;
		for (int kind = 0; kind < _MEMBER_KIND_MAX; kind++)
			if (is_member(location, (enum member_kind)kind, selector->name, block))
				return true;
		return false;
	default:
		return false;
	}
}
