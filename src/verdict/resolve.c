/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/resolve.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "verdict/zones.h"

static struct location *location_add(struct model *model, const char *interface, const struct range *range)
{
	struct location *location = ARRAY_ADD(model->locations, model->n_locations);

	if (!location)
		return NULL;
	memccpy(location->interface, interface, '\0', sizeof(location->interface) - 1);
	location->range = *range;
	return location;
}

/* Fills in what the locations of an endpoint have in common. */
static void describe_endpoint(const struct model *model, const struct endpoint *endpoint, struct location *ret)
{
	const struct container *container = ret->container;

	if (container) {
		ret->entry = names_of_container(model, container, &ret->selected);
		ret->labelled = labelled_of(model, container);
		ret->image_labels = container->image_labels;
	} else {
		const struct name *name = names_find(model, endpoint->name);

		ret->entry = name ? name->entries[MEMBER_CONTAINER] : NULL;
		ret->selected = name && name->selected;
	}
	if (!ret->entry && ret->labelled)
		ret->entry = &ret->labelled->asked.entry;
	if (!ret->entry && !ret->image_labels)
		ret->entry = names_of_network(model, ret->network);
}

static int note_publishing(struct model *model, size_t location)
{
	size_t *slot = ARRAY_ADD(model->publishing, model->n_publishing);

	if (!slot)
		return -ENOMEM;
	*slot = location;
	return 0;
}

static int add_endpoint(struct model *model, struct endpoint *endpoint)
{
	const struct addr *addrs[] = { &endpoint->ip4, &endpoint->ip6 };
	struct location common = { .single = true, .network = inventory_network_of(model->inventory, endpoint) };

	if (!common.network || !common.network->bridge[0])
		return 0;
	common.container = inventory_container_of(model->inventory, endpoint);
	describe_endpoint(model, endpoint, &common);
	memcpy(common.interface, common.network->bridge, sizeof(common.interface));
	for (size_t i = 0; i < ELEMENTSOF(addrs); i++) {
		struct location *location;

		if (!addrs[i]->family)
			continue;
		if (common.container && container_publishes(common.container) &&
		    note_publishing(model, model->n_locations) < 0)
			return -ENOMEM;
		location = ARRAY_ADD(model->locations, model->n_locations);
		if (!location)
			return -ENOMEM;
		*location = common;
		location->range = (struct range){ *addrs[i], *addrs[i] };
		location->resolver = addr_compare(addrs[i], &model->resolver) == 0;
	}
	return 0;
}

/* This machine: interface "". */
static int add_host(struct model *model)
{
	static const struct prefix everywhere[] = { { { AF_INET, { 0 } }, 0 }, { { AF_INET6, { 0 } }, 0 } };
	struct location *location;

	for (size_t i = 0; i < ELEMENTSOF(everywhere); i++) {
		struct range range = prefix_range(&everywhere[i]);

		location = location_add(model, "", &range);
		if (!location)
			return -ENOMEM;
		location->zones = 1u << ZONE_HOST;
	}
	return 0;
}

static int add_host_resolver(struct model *model)
{
	struct location *location;

	model->resolver = model->inventory->resolver;
	model->resolver_local = model->resolver.family && inventory_interface_with(model->inventory, &model->resolver);
	if (!model->resolver_local)
		return 0;
	location = location_add(model, "", &(struct range){ model->resolver, model->resolver });
	if (!location)
		return -ENOMEM;
	location->single = true;
	location->zones = 1u << ZONE_HOST;
	location->resolver = true;
	return 0;
}

static int add_rule_layers(const struct model *model, const char *interface, struct layer **layers, size_t *n)
{
	for (size_t i = 0; i < model->policy->n_members; i++) {
		const struct member *member = &model->policy->members[i];

		if (member->kind != MEMBER_RULE || strcmp(member->interface, interface) != 0)
			continue;
		for (size_t k = 0; k < member->n_source; k++) {
			struct layer *layer = ARRAY_ADD(*layers, *n);

			if (!layer)
				return -ENOMEM;
			layer->kind = LAYER_MEMBER;
			layer->prefix = member->source[k];
			layer->member = member;
		}
	}
	return 0;
}

static int add_resolver_layer(const struct model *model, struct layer **layers, size_t *n)
{
	struct layer *layer;

	if (!model->resolver.family || model->resolver_local)
		return 0;
	layer = ARRAY_ADD(*layers, *n);
	if (!layer)
		return -ENOMEM;
	layer->kind = LAYER_RESOLVER;
	layer->prefix = (struct prefix){ model->resolver, addr_bits(model->resolver.family) };
	return 0;
}

static int add_slices(struct model *model, const char *interface, struct layer *layers, size_t n_layers)
{
	_cleanup_free_ struct slice *slices = NULL;
	size_t n = 0;
	int r = layers_slice(layers, n_layers, &slices, &n);

	for (size_t i = 0; i < n && r >= 0; i++) {
		struct location *location;

		if (!slices[i].zones && !slices[i].member && !slices[i].resolver)
			continue;
		location = location_add(model, interface, &slices[i].range);
		if (!location)
			return -ENOMEM;
		location->zones = slices[i].zones;
		location->entry = slices[i].member;
		location->resolver = slices[i].resolver;
	}
	return r;
}

static int add_interface(struct model *model, const char *name, const struct interface_role *role)
{
	_cleanup_free_ struct layer *layers = NULL;
	size_t n = 0;
	int r = 0;

	if (role && role->role == ROLE_UPLINK)
		r = zones_of_uplink(model->inventory, role->interface, !model->router, &layers, &n);
	else if (role && role->role == ROLE_LAN)
		r = zones_of_lan(model->inventory, role->interface, &layers, &n);
	if (r >= 0 && n > 0)
		r = add_resolver_layer(model, &layers, &n);
	if (r >= 0)
		r = add_rule_layers(model, name, &layers, &n);
	return r < 0 ? r : add_slices(model, name, layers, n);
}

static bool interface_done(const struct model *model, size_t rule)
{
	const char *name = model->policy->members[rule].interface;

	for (size_t i = 0; i < model->n_roles; i++)
		if (strcmp(model->roles[i].interface->name, name) == 0)
			return true;
	for (size_t i = 0; i < rule; i++)
		if (model->policy->members[i].kind == MEMBER_RULE &&
		    strcmp(model->policy->members[i].interface, name) == 0)
			return true;
	return false;
}

int locations_fill(struct model *model)
{
	int r = add_host_resolver(model);

	for (size_t i = 0; i < model->inventory->n_endpoints && r >= 0; i++)
		r = add_endpoint(model, &model->inventory->endpoints[i]);
	model->n_singles = model->n_locations;
	if (r >= 0)
		r = add_host(model);
	for (size_t i = 0; i < model->n_roles && r >= 0; i++)
		r = add_interface(model, model->roles[i].interface->name, &model->roles[i]);
	for (size_t i = 0; i < model->policy->n_members && r >= 0; i++)
		if (model->policy->members[i].kind == MEMBER_RULE && !interface_done(model, i))
			r = add_interface(model, model->policy->members[i].interface, NULL);
	return r;
}

int model_new(const struct policy *policy, const struct inventory *inventory, struct class_book *book, time_t now,
	      struct model **ret, struct error *error)
{
	_cleanup_(model_freep) struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return error_memory(error);
	model->policy = policy;
	model->inventory = inventory;
	if (roles_fill(model) < 0 || names_fill(model) < 0 || labelled_fill(model) < 0 || clauses_fill(model, now) < 0)
		return error_memory(error);
	if (names_meet(model) < 0 || locations_fill(model) < 0 || classes_fill(model, book) < 0 ||
	    model_index(model) < 0 || fronts_fill(model, book) < 0 || rights_fill(model) < 0)
		return error_memory(error);
	nat_ports_fill(model);
	*ret = TAKE_PTR(model);
	return 0;
}
