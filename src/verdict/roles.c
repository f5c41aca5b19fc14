/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"
#include "verdict/zones.h"

static const struct network *network_of(const struct inventory *inventory, const struct interface *interface)
{
	for (size_t i = 0; i < inventory->n_networks; i++)
		if (strcmp(inventory->networks[i].bridge, interface->name) == 0)
			return &inventory->networks[i];
	return NULL;
}

static enum role role_said(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_interfaces; i++)
		if (strcmp(policy->interfaces[i].name, name) == 0)
			return policy->interfaces[i].role;
	return ROLE_NONE;
}

static bool has_default_route(const struct inventory *inventory, const struct interface *interface)
{
	for (size_t i = 0; i < inventory->n_routes; i++)
		if (inventory->routes[i].interface == interface->index &&
		    inventory->routes[i].destination.length <= ROUTE_DEFAULT_MAX)
			return true;
	return false;
}

static bool is_overlay(const struct interface *interface)
{
	static const char *const prefixes[] = { "tailscale", "nebula", "zt", "wt" };

	if (strcmp(interface->kind, "wireguard") == 0)
		return true;
	for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
		if (strcmp(interface->kind, "tun") == 0 &&
		    strncmp(interface->name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* An engine's bridge is its containers', whatever else is said; then the policy's word; then what it looks like. */
static enum role role_of(const struct model *model, const struct interface *interface, const struct network *network)
{
	enum role said = role_said(model->policy, interface->name);

	if (network)
		return ROLE_CONTAINER;
	if (said != ROLE_NONE)
		return said;
	if (is_overlay(interface))
		return ROLE_OVERLAY;
	if (has_default_route(model->inventory, interface))
		return ROLE_UPLINK;
	return ROLE_NONE;
}

int roles_fill(struct model *model)
{
	for (size_t i = 0; i < model->inventory->n_interfaces; i++) {
		const struct interface *interface = &model->inventory->interfaces[i];
		struct interface_role *role;

		if (interface->loopback || interface->master)
			continue;
		role = ARRAY_ADD(model->roles, model->n_roles);
		if (!role)
			return -ENOMEM;
		role->interface = interface;
		role->network = network_of(model->inventory, interface);
		role->role = role_of(model, interface, role->network);
		if (role->role == ROLE_LAN)
			model->router = true;
	}
	return 0;
}
