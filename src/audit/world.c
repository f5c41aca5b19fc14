/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "audit/audit_private.h"
#include "base/array.h"
#include "engine/engine.h"
#include "kernel/links.h"
#include "kernel/resolv.h"
#include "policy/policy.h"

#define SOMEBODY4 13 /* from the end of a network */

bool is_special(const struct addr *addr)
{
	static const char *const prefixes[] = {
		"0.0.0.0/8",	 "10.0.0.0/8",	 "100.64.0.0/10",  "127.0.0.0/8",   "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
		"fc00::/7",	 "fe80::/10",	 "64:ff9b::/96",   "::/16",
	};

	for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
		struct prefix prefix;

		if (prefix_parse(prefixes[i], &prefix) == 0 && prefix_contains(&prefix, addr))
			return true;
	}
	return false;
}

struct addr far_away(int family)
{
	struct addr addr = { 0 };

	addr_parse(family == SIX ? "2606:4700:4700::1111" : "1.1.1.1", &addr);
	return addr;
}

struct addr somebody_on(const struct audit *audit, const struct prefix *prefix)
{
	uint8_t bits = addr_bits(prefix->addr.family);
	struct addr addr = prefix_range(prefix).last;

	if (prefix->length > bits - 2 || addr_is_link_local(&prefix->addr))
		return (struct addr){ 0 };
	for (int i = 0; i < SOMEBODY4; i++) {
		addr_previous(&addr);
		if (!prefix_contains(prefix, &addr))
			return (struct addr){ 0 };
		if (i + 3 >= (prefix->length > bits - 5 ? 3 : SOMEBODY4) && addr_compare(&addr, &prefix->addr) != 0)
			return addr;
	}
	return (struct addr){ 0 };
}

static int add_owns(struct audit *audit)
{
	for (size_t i = 0; i < audit->inventory->n_interfaces; i++) {
		const struct interface *interface = audit->interfaces[i];

		for (size_t k = 0; k < interface->n_addresses && !interface->loopback; k++) {
			struct own *own = ARRAY_ADD(audit->owns, audit->n_owns);

			if (!own)
				return -ENOMEM;
			*own = (struct own){ interface->addresses[k].addr, interface->addresses[k], interface };
		}
	}
	return 0;
}

/* Where Tailscale's own resolver is: no peer. */
static bool is_service(const struct addr *addr)
{
	struct addr resolver;

	return addr_parse("100.100.100.100", &resolver) == 0 && addr_compare(addr, &resolver) == 0;
}

static bool is_own(const struct audit *audit, const struct addr *addr)
{
	for (size_t i = 0; i < audit->n_owns; i++)
		if (addr_compare(&audit->owns[i].addr, addr) == 0)
			return true;
	return false;
}

static struct origin *add_origin(struct audit *audit, enum origin_kind kind, const struct interface *interface,
				 const char *format)
{
	struct origin *origin = ARRAY_ADD(audit->origins, audit->n_origins);

	if (!origin)
		return NULL;
	*origin = (struct origin){ .kind = kind,
				   .interface = interface,
				   .mac = { 0x02, 0x53, 0, (uint8_t)kind, (uint8_t)(interface->index >> 8),
					    (uint8_t)interface->index } };
	snprintf(origin->name, sizeof(origin->name), format, interface->name);
	return origin;
}

/* Who is at the other end of an interface whose address has no network beside it: those that a route leads to. */
static struct addr somebody_behind(const struct audit *audit, const struct interface *interface, uint8_t family)
{
	const struct inventory *inventory = audit->inventory;

	for (size_t i = 0; i < inventory->n_routes; i++) {
		const struct route *route = &inventory->routes[i];
		struct addr addr = route->destination.addr;

		if (route->interface != interface->index || addr.family != family || route->destination.length == 0 ||
		    addr_is_link_local(&addr) || is_service(&addr))
			continue;
		if (route->destination.length < addr_bits(family))
			addr = somebody_on(audit, &route->destination);
		if (addr.family && !is_own(audit, &addr))
			return addr;
	}
	return (struct addr){ 0 };
}

/* Somebody on its network, of each family that it has. */
static int add_on_link(struct audit *audit, enum origin_kind kind, const struct interface *interface,
		       const char *format)
{
	struct origin *origin = add_origin(audit, kind, interface, format);

	if (!origin)
		return -ENOMEM;
	for (size_t i = 0; i < interface->n_addresses; i++) {
		struct addr addr = somebody_on(audit, &interface->addresses[i]);

		if (addr.family && !origin->at[family_index(&addr)].family)
			origin->at[family_index(&addr)] = addr;
	}
	for (int family = 0; family < FAMILIES; family++)
		if (!origin->at[family].family)
			origin->at[family] = somebody_behind(audit, interface, family == SIX ? AF_INET6 : AF_INET);
	return 0;
}

static int add_uplink(struct audit *audit, const struct interface *interface)
{
	int r = add_on_link(audit, ORIGIN_NEIGHBOUR, interface, "a neighbour on %s");
	struct origin *origin = r < 0 ? NULL : add_origin(audit, ORIGIN_INTERNET, interface, "the internet, by %s");

	if (!origin)
		return -ENOMEM;
	for (int family = 0; family < FAMILIES; family++)
		origin->at[family] = far_away(family);
	return 0;
}

/* A container that is there speaks for its network. */
static int add_network(struct audit *audit, const struct interface *interface)
{
	const struct inventory *inventory = audit->inventory;

	for (size_t i = 0; i < inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = audit->endpoints[i];
		const struct network *network = inventory_network(inventory, endpoint->network);
		struct origin *origin;

		if (!network || strcmp(network->bridge, interface->name) != 0)
			continue;
		origin = add_origin(audit, ORIGIN_CONTAINER, interface, "a container on %s");
		if (!origin)
			return -ENOMEM;
		origin->network = network;
		origin->at[FOUR] = endpoint->ip4;
		origin->at[SIX] = endpoint->ip6;
		memcpy(origin->mac, endpoint->mac, 6);
		return 0;
	}
	return 0;
}

static int add_origins(struct audit *audit)
{
	int r = 0;

	for (size_t i = 0; i < audit->inventory->n_interfaces && r >= 0; i++) {
		const struct interface *interface = audit->interfaces[i];

		if (interface->loopback || interface->master || !interface->up)
			continue;
		switch (model_role(audit->model, interface->name)) {
		case ROLE_UPLINK:
			r = add_uplink(audit, interface);
			break;
		case ROLE_CONTAINER:
			r = add_network(audit, interface);
			break;
		case ROLE_OVERLAY:
			r = add_on_link(audit, ORIGIN_OVERLAY, interface, "a peer on %s");
			break;
		default:
			r = add_on_link(audit, ORIGIN_LAN, interface, "a device on %s");
		}
	}
	return r;
}

/* Sockets that were opened to ask something, and wait for the answer only, are nobody's service. */
static int add_listener(const struct listener *listener, void *data)
{
	struct audit *audit = data;
	bool asks = listener->proto == IPPROTO_UDP && listener->port >= audit->inventory->own_first;
	struct listener *slot = asks ? NULL : ARRAY_ADD(audit->listeners, audit->n_listeners);

	if (slot)
		*slot = *listener;
	return asks || slot ? 0 : -ENOMEM;
}

static int listener_order(const void *one, const void *other)
{
	const struct listener *a = one, *b = other;

	if (a->proto != b->proto)
		return a->proto - b->proto;
	return a->port != b->port ? a->port - b->port : addr_compare(&a->addr, &b->addr);
}

static int port_order(const void *one, const void *other)
{
	const struct port_binding *a = one, *b = other;
	int r = addr_compare(&a->host, &b->host);

	if (r == 0)
		r = a->proto - b->proto;
	if (r == 0)
		r = a->host_port - b->host_port;
	return r ? r : a->container_port - b->container_port;
}

/* The same machine shall have the same report each time. */
static int sort_world(struct audit *audit)
{
	struct inventory *inventory = audit->inventory;

	for (size_t i = 0; i < inventory->n_containers; i++)
		if (inventory->containers[i].n_ports > 1)
			qsort(inventory->containers[i].ports, inventory->containers[i].n_ports,
			      sizeof(*inventory->containers[i].ports), port_order);
	if (audit->n_listeners > 1)
		qsort(audit->listeners, audit->n_listeners, sizeof(*audit->listeners), listener_order);
	audit->interfaces = inventory_interfaces_sorted(inventory);
	audit->networks = inventory_networks_sorted(inventory);
	audit->endpoints = inventory_endpoints_sorted(inventory);
	audit->containers = inventory_containers_sorted(inventory);
	return audit->interfaces && audit->networks && audit->endpoints && audit->containers ? 0 : -ENOMEM;
}

static int ask_docker(struct audit *audit, const char *socket, struct error *error)
{
	int r;

	if (access(socket, F_OK) < 0) {
		audit_note(audit,
			   "there is no Docker at %s: no names of containers, and their networks count as others",
			   socket);
		return 0;
	}
	r = engine_list(&docker_engine, socket, audit->inventory, &audit->docker_whole, error);
	if (r >= 0 && !audit->docker_whole)
		audit_note(
			audit,
			"Docker at %s did not answer all in time: names, networks and published ports may be missing",
			socket);
	return r;
}

/* What this machine's network never sees, or not as it would be. */
static void note_limits(struct audit *audit)
{
	for (size_t i = 0; i < audit->n_origins; i++)
		if (audit->origins[i].kind == ORIGIN_OVERLAY)
			audit_note(
				audit,
				"what the program behind %s stops by itself, by access rules of the overlay, is not in the twin",
				audit->origins[i].interface->name);
	for (size_t i = 0; i < audit->inventory->n_networks; i++) {
		const struct network *network = audit->networks[i];

		if (!*network->bridge && strcmp(network->driver, "host") != 0 && strcmp(network->driver, "null") != 0)
			audit_note(
				audit,
				"the network %s (%s) has no bridge on this machine: who reaches its containers, and whom "
				"they reach, is not looked at",
				network->name, network->driver);
	}
}

int world_read(struct audit *audit, const struct audit_options *options, struct error *error)
{
	struct links *links = NULL;
	int r;

	audit->inventory = inventory_new();
	audit->policy = policy_new();
	audit->book = class_book_new(0);
	if (!audit->inventory || !audit->policy || !audit->book)
		return error_memory(error);
	r = links_open(audit->inventory, &links, error);
	links_close(links);
	if (r >= 0)
		r = ask_docker(audit, options->docker ? options->docker : docker_engine.socket, error);
	if (r < 0)
		return r;
	if (resolv_read("/etc/resolv.conf", &audit->inventory->resolver) < 0)
		audit->inventory->resolver = (struct addr){ 0 };
	sessions_own_ports(&audit->inventory->own_first, &audit->inventory->own_last);
	r = model_new(audit->policy, audit->inventory, audit->book, time(NULL), &audit->model, error);
	if (r >= 0)
		r = sessions_listeners(add_listener, audit, error);
	if (r < 0)
		return r;
	if (sort_world(audit) < 0 || add_owns(audit) < 0 || add_origins(audit) < 0)
		return error_memory(error);
	note_limits(audit);
	return 0;
}

void world_clear(struct audit *audit)
{
	model_free(audit->model);
	class_book_free(audit->book);
	policy_free(audit->policy);
	inventory_free(audit->inventory);
	free(audit->interfaces);
	free(audit->networks);
	free(audit->endpoints);
	free(audit->containers);
	free(audit->origins);
	free(audit->owns);
	free(audit->listeners);
}
