/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "compose/compose.h"

#define CHOSEN_FIRST 32768 /* where the engine chooses a port itself */

/* Docker's own choice of subnets, in its order. */
static const struct {
	uint8_t first, second, length;
	unsigned n;
} pools[] = { { 172, 17, 16, 15 }, { 192, 168, 20, 16 } };

struct placing {
	struct compose *compose;
	struct inventory *inventory;
	unsigned n_bridges; /* so far */
	uint16_t chosen;
};

static bool overlap(const struct prefix *one, const struct prefix *other)
{
	return prefix_contains(one, &other->addr) || prefix_contains(other, &one->addr);
}

static bool is_taken(const struct inventory *inventory, const struct prefix *subnet)
{
	for (size_t i = 0; i < inventory->n_routes; i++)
		if (inventory->routes[i].destination.length && overlap(&inventory->routes[i].destination, subnet))
			return true;
	for (size_t i = 0; i < inventory->n_interfaces; i++)
		for (size_t k = 0; k < inventory->interfaces[i].n_addresses; k++)
			if (overlap(&inventory->interfaces[i].addresses[k], subnet))
				return true;
	for (size_t i = 0; i < inventory->n_networks; i++)
		for (size_t k = 0; k < inventory->networks[i].n_subnets; k++)
			if (overlap(&inventory->networks[i].subnets[k], subnet))
				return true;
	return false;
}

/* One that nobody has; where there is none any more, the engine would find none either. */
static int choose_subnet(const struct inventory *inventory, struct prefix *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(pools); i++)
		for (unsigned k = 0; k < pools[i].n; k++) {
			struct prefix subnet = { .addr.family = AF_INET, .length = pools[i].length };

			subnet.addr.bytes[0] = pools[i].first;
			subnet.addr.bytes[1] = (uint8_t)(pools[i].second + (pools[i].length == 16 ? k : 0));
			subnet.addr.bytes[2] = (uint8_t)(pools[i].length == 16 ? 0 : k * 16);
			if (is_taken(inventory, &subnet))
				continue;
			*ret = subnet;
			return 0;
		}
	return -ENOSPC;
}

static unsigned free_index(const struct inventory *inventory)
{
	unsigned highest = 0;

	for (size_t i = 0; i < inventory->n_interfaces; i++)
		if (inventory->interfaces[i].index > highest)
			highest = inventory->interfaces[i].index;
	return highest + 1;
}

/* Its bridge, with the first address of each subnet, and the routes that come of that. */
static int make_bridge(struct inventory *inventory, const struct network *network)
{
	struct interface bridge = { .index = free_index(inventory), .kind = "bridge", .up = true };

	snprintf(bridge.name, sizeof(bridge.name), "%s", network->bridge);
	for (size_t i = 0; i < network->n_subnets; i++) {
		struct route *route = ARRAY_ADD(inventory->routes, inventory->n_routes);
		struct prefix *address;

		if (!route)
			return -ENOMEM;
		*route = (struct route){ .destination = network->subnets[i], .interface = bridge.index, .table = 254 };
		address = ARRAY_ADD(bridge.addresses, bridge.n_addresses);
		if (!address) {
			interface_clear(&bridge);
			return -ENOMEM;
		}
		*address = (struct prefix){ network->gateways[i], network->subnets[i].length };
	}
	return inventory_put_interface(inventory, &bridge);
}

static int add_subnet(struct network *network, const struct prefix *subnet)
{
	struct prefix *slot = ARRAY_ADD(network->subnets, network->n_subnets);
	struct addr *gateway = slot ? ARRAY_ADD(network->gateways, network->n_gateways) : NULL;

	if (!gateway)
		return -ENOMEM;
	*slot = *subnet;
	*gateway = subnet->addr;
	addr_next(gateway);
	return 0;
}

static int fill_network(const struct placing *placing, const struct compose_network *like, struct network *ret)
{
	struct prefix subnet;
	int r = 0;

	ret->engine = "docker";
	ret->name = strdup(like->name);
	ret->driver = strdup(like->driver && *like->driver ? like->driver : "bridge");
	if (asprintf(&ret->id, COMPOSE_ID "network-%u", placing->n_bridges) < 0)
		ret->id = NULL;
	if (!ret->name || !ret->driver || !ret->id)
		return -ENOMEM;
	ret->internal = like->internal;
	ret->icc = like->icc;
	ret->masquerade = !like->internal;
	for (size_t i = 0; i < like->n_subnets && r >= 0; i++)
		r = add_subnet(ret, &like->subnets[i]);
	if (like->n_subnets == 0)
		r = choose_subnet(placing->inventory, &subnet);
	if (like->n_subnets == 0 && r >= 0)
		r = add_subnet(ret, &subnet);
	return r;
}

/* What an engine calls a bridge; and none of those that are there. */
static void name_bridge(const struct placing *placing, struct network *network)
{
	unsigned n = placing->n_bridges;

	do
		snprintf(network->bridge, sizeof(network->bridge), "br-would-%u", n++);
	while (inventory_interface_named(placing->inventory, network->bridge));
}

static int make_network(struct placing *placing, const struct compose_network *like)
{
	struct network network = { 0 };
	int r;

	placing->n_bridges++;
	r = fill_network(placing, like, &network);
	if (r >= 0 && strcmp(network.driver, "bridge") != 0)
		r = compose_note(placing->compose,
				 "network %s is %s: its traffic does not pass this machine's rules as a bridge's does",
				 like->name, network.driver);
	if (r >= 0 && strcmp(network.driver, "bridge") == 0) {
		name_bridge(placing, &network);
		r = make_bridge(placing->inventory, &network);
	}
	if (r >= 0)
		return inventory_put_network(placing->inventory, &network);
	network_clear(&network);
	return r;
}

static int place_network(struct placing *placing, const struct compose_network *like)
{
	const struct network *there = inventory_network_named(placing->inventory, like->name);
	int r = 0;

	if (like->external && !there)
		r = compose_note(
			placing->compose,
			"network %s is external, and not here: it has to be made first; taken as an ordinary one",
			like->name);
	if (there && !like->external && there->internal != like->internal)
		r = compose_note(placing->compose, "network %s is here, and %s: it stays so until it is made anew",
				 like->name, there->internal ? "internal" : "not internal");
	return r < 0 || there ? r : make_network(placing, like);
}

/* An address of the subnet that nobody has. */
static bool choose_address(const struct inventory *inventory, const struct network *network,
			   const struct prefix *subnet, struct addr *ret)
{
	struct addr addr = subnet->addr;

	for (unsigned i = 0; i < 65536 && addr_next(&addr) && prefix_contains(subnet, &addr); i++) {
		bool taken = inventory_endpoint(inventory, network->id, &addr) ||
			     inventory_interface_with(inventory, &addr);

		for (size_t k = 0; k < network->n_gateways; k++)
			taken = taken || addr_compare(&network->gateways[k], &addr) == 0;
		if (taken)
			continue;
		*ret = addr;
		return true;
	}
	return false;
}

static int place_endpoint(struct placing *placing, const struct container *container, const char *network_name)
{
	const struct network *network = inventory_network_named(placing->inventory, network_name);
	struct endpoint endpoint = { 0 };

	if (!network || !network->bridge[0])
		return 0;
	for (size_t i = 0; i < network->n_subnets; i++) {
		const struct prefix *subnet = &network->subnets[i];
		struct addr *slot = subnet->addr.family == AF_INET6 ? &endpoint.ip6 : &endpoint.ip4;

		if (!slot->family && !choose_address(placing->inventory, network, subnet, slot) &&
		    compose_note(placing->compose, "network %s has no address left", network->name) < 0)
			return -ENOMEM;
	}
	if (!endpoint.ip4.family && !endpoint.ip6.family)
		return 0;
	endpoint.network = strdup(network->id);
	endpoint.container = strdup(container->id);
	endpoint.name = strdup(container->name);
	if (!endpoint.network || !endpoint.container || !endpoint.name) {
		endpoint_clear(&endpoint);
		return -ENOMEM;
	}
	return inventory_put_endpoint(placing->inventory, &endpoint);
}

static int add_binding(struct container *container, const struct compose_port *port, uint16_t host_port, uint8_t family)
{
	struct port_binding *slot = ARRAY_ADD(container->ports, container->n_ports);

	if (!slot)
		return -ENOMEM;
	*slot = (struct port_binding){
		.proto = port->proto, .host = port->host, .host_port = host_port, .container_port = port->container_port
	};
	if (!slot->host.family)
		slot->host.family = family; /* the wildcard of it */
	return 0;
}

/* Without an address it is every one, of both families. */
static int add_bindings(struct placing *placing, struct container *container, const struct compose_port *port)
{
	uint16_t host_port = port->host_port ? port->host_port : (uint16_t)(CHOSEN_FIRST + placing->chosen++);
	int r = add_binding(container, port, host_port, AF_INET);

	return r < 0 || port->host.family ? r : add_binding(container, port, host_port, AF_INET6);
}

static int fill_container(struct placing *placing, size_t i, struct container *ret)
{
	struct compose_service *service = &placing->compose->services[i];
	int r = 0;

	ret->engine = "docker";
	ret->name = strdup(service->container);
	ret->project = strdup(placing->compose->project);
	ret->service = strdup(service->name);
	if (asprintf(&ret->id, COMPOSE_ID "%zu", i) < 0)
		ret->id = NULL;
	if (!ret->name || !ret->project || !ret->service || !ret->id)
		return -ENOMEM;
	ret->running = true;
	ret->host_network = service->mode && strcmp(service->mode, "host") == 0;
	for (size_t k = 0; k < service->n_ports && r >= 0; k++)
		r = add_bindings(placing, ret, &service->ports[k]);
	ret->requests = TAKE_PTR(service->requests); /* the inventory's from here on */
	ret->n_requests = service->n_requests;
	service->n_requests = 0;
	return r;
}

/* What has the name now would be made anew. */
static void drop_named(struct inventory *inventory, const char *name)
{
	for (size_t i = inventory->n_containers; i-- > 0;) {
		const struct container *container = &inventory->containers[i];

		if (strcmp(container->name, name) != 0)
			continue;
		inventory_drop_endpoints(inventory, NULL, container->id);
		inventory_drop_container(inventory, container->engine, container->id);
	}
}

/* Ports of the machine that somebody has: the engine will refuse to start it. */
static int say_conflicts(struct placing *placing, const struct compose_service *service)
{
	const struct inventory *inventory = placing->inventory;
	int r = 0;

	for (size_t i = 0; i < service->n_ports && r >= 0; i++) {
		const struct compose_port *port = &service->ports[i];
		const struct container *holder = NULL;

		for (size_t k = 0; port->host_port && !holder && k < inventory->n_containers; k++)
			for (size_t p = 0; !holder && p < inventory->containers[k].n_ports; p++) {
				const struct port_binding *there = &inventory->containers[k].ports[p];

				if (there->proto == port->proto && there->host_port == port->host_port &&
				    (!port->host.family || addr_is_any(&there->host) || addr_is_any(&port->host) ||
				     addr_compare(&there->host, &port->host) == 0))
					holder = &inventory->containers[k];
			}
		if (holder && port->host_last <= port->host_port)
			r = compose_note(placing->compose, "line %u: %s: port %u is published by %s: it will not start",
					 port->place.line, service->name, port->host_port, holder->name);
	}
	return r;
}

static int say_mode(struct placing *placing, const struct compose_service *service)
{
	if (!service->mode)
		return 0;
	if (strcmp(service->mode, "host") == 0)
		return compose_note(
			placing->compose,
			"%s: network_mode host: its ports are this machine's own, whatever it listens on; spr "
			"cannot tell it from the machine",
			service->name);
	if (strcmp(service->mode, "none") == 0 || strcmp(service->mode, "bridge") == 0)
		return 0;
	return compose_note(placing->compose,
			    "%s: network_mode %s: it is reached as that one is, which is not looked at", service->name,
			    service->mode);
}

static int place_service(struct placing *placing, size_t i)
{
	const struct compose_service *service = &placing->compose->services[i];
	struct container container = { 0 };
	_cleanup_free_ char *id = NULL;
	int r = say_mode(placing, service);

	drop_named(placing->inventory, service->container);
	if (r >= 0)
		r = say_conflicts(placing, service);
	if (r >= 0)
		r = fill_container(placing, i, &container);
	if (r >= 0 && !(id = strdup(container.id)))
		r = -ENOMEM;
	if (r < 0) {
		container_clear(&container);
		return r;
	}
	r = inventory_put_container(placing->inventory, &container);
	for (size_t k = 0; k < service->n_networks && r >= 0; k++)
		r = place_endpoint(placing, inventory_container(placing->inventory, id),
				   placing->compose->networks[service->networks[k]].name);
	if (r >= 0 && service->mode && strcmp(service->mode, "bridge") == 0)
		r = place_endpoint(placing, inventory_container(placing->inventory, id), "bridge");
	return r;
}

int compose_place(struct compose *compose, struct inventory *inventory)
{
	struct placing placing = { .compose = compose, .inventory = inventory };
	int r = 0;

	for (size_t i = 0; i < compose->n_networks && r >= 0; i++) {
		r = place_network(&placing, &compose->networks[i]);
		if (r == -ENOSPC)
			r = compose_note(compose, "network %s: no subnet is left", compose->networks[i].name);
	}
	for (size_t i = 0; i < compose->n_services && r >= 0; i++)
		if (!compose->services[i].off)
			r = place_service(&placing, i);
	return r < 0 ? r : 0;
}
