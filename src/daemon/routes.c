/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "daemon/daemon.h"

static bool same_route(const struct made_route *a, const struct made_route *b)
{
	return a->interface == b->interface && a->destination.length == b->destination.length &&
	       addr_compare(&a->destination.addr, &b->destination.addr) == 0 &&
	       addr_compare(&a->gateway, &b->gateway) == 0;
}

static bool has_route(const struct made_route *routes, size_t n, const struct made_route *route)
{
	for (size_t i = 0; i < n; i++)
		if (same_route(&routes[i], route))
			return true;
	return false;
}

static void make_route(struct daemon *daemon, const struct made_route *route, struct made_route **kept, size_t *n_kept)
{
	struct error error = { 0 };
	struct made_route *slot;

	if (!has_route(daemon->routes, daemon->n_routes, route)) {
		int r = links_route_add(daemon->links, &route->destination, &route->gateway, route->interface, &error);

		if (r == -EEXIST)
			return; /* somebody's route leads there already */
		if (r < 0) {
			log_warning("routes", "%s", error.text);
			return;
		}
	}
	slot = ARRAY_ADD(*kept, *n_kept);
	if (slot)
		*slot = *route;
}

static void remove_route(struct daemon *daemon, const struct made_route *route)
{
	struct error error = { 0 };

	if (!inventory_interface(daemon->inventory, route->interface))
		return; /* it went with its interface */
	if (links_route_remove(daemon->links, &route->destination, &route->gateway, route->interface, &error) < 0)
		log_warning("routes", "%s", error.text);
}

void routes_update(struct daemon *daemon)
{
	struct made_route *kept = NULL;
	size_t n_kept = 0;

	for (size_t i = 0; i < daemon->policy->n_members; i++) {
		const struct member *member = &daemon->policy->members[i];
		const struct interface *interface;

		if (member->kind != MEMBER_RULE || !member->route_dst.family)
			continue;
		interface = inventory_interface_named(daemon->inventory, member->interface);
		for (size_t k = 0; interface && interface->up && k < member->n_source; k++)
			make_route(daemon,
				   &(struct made_route){ member->source[k], member->route_dst, interface->index },
				   &kept, &n_kept);
	}
	for (size_t i = 0; i < daemon->n_routes; i++)
		if (!has_route(kept, n_kept, &daemon->routes[i]))
			remove_route(daemon, &daemon->routes[i]);
	free(daemon->routes);
	daemon->routes = kept;
	daemon->n_routes = n_kept;
}

void routes_remove(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->n_routes; i++)
		remove_route(daemon, &daemon->routes[i]);
	free(daemon->routes);
	daemon->routes = NULL;
	daemon->n_routes = 0;
}
