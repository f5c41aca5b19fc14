/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_private.h"
#include "policy/policy.h"

/* What this machine offers by its own addresses: published ports of containers, and its own services. */

#define PORT_DNS 53
#define FIX_ALL "spr up, then `spr publish` to those who need it; or publish it on one address: -p ADDRESS:PORT:PORT"
#define FIX_PROXY                                                                                                          \
	"spr up, then `spr publish` to those who need it; or publish it for IPv4 alone: -p 0.0.0.0:PORT:PORT, or \"ip\": " \
	"\"0.0.0.0\" in Docker's settings"
#define FIX_BOUND "spr up: a port is then reached by the interface of its address only"
#define FIX_SERVICE "spr up, then `spr allow` to those who need it; or let it listen on the address that it is for"
#define FIX_LOOPBACK "sysctl net.ipv4.conf.all.route_localnet=0, and of the interface; or spr up"

static bool listens(const struct audit *audit, uint8_t proto, const struct addr *addr, uint16_t port)
{
	for (size_t i = 0; i < audit->n_listeners; i++) {
		const struct listener *listener = &audit->listeners[i];
		bool all = addr_is_any(&listener->addr) &&
			   (listener->addr.family == AF_INET6 || addr->family == AF_INET);

		if (listener->proto == proto && listener->port == port &&
		    (all || addr_compare(&listener->addr, addr) == 0))
			return true;
	}
	return false;
}

static bool is_endpoint_of(const struct audit *audit, const struct container *container, const struct addr *addr)
{
	for (size_t i = 0; i < audit->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = &audit->inventory->endpoints[i];

		if (strcmp(endpoint->container, container->id) == 0 &&
		    (addr_compare(&endpoint->ip4, addr) == 0 || addr_compare(&endpoint->ip6, addr) == 0))
			return true;
	}
	return false;
}

static bool has_six(const struct audit *audit, const struct container *container)
{
	for (size_t i = 0; i < audit->inventory->n_endpoints; i++)
		if (strcmp(audit->endpoints[i]->container, container->id) == 0 && audit->endpoints[i]->ip6.family)
			return true;
	return false;
}

/* By Docker's NAT, or by its proxy, which is a process of this machine. */
static bool reaches_published(struct audit *audit, const struct origin *origin, const struct probe *probe,
			      const struct container *container, const struct port_binding *binding)
{
	struct answer answer;

	if (!probe_try(audit, origin, probe, &answer))
		return false;
	if (answer.out && answer.packet.to_port == binding->container_port && probe->proto == answer.packet.proto &&
	    is_endpoint_of(audit, container, &answer.packet.to))
		return true;
	return answer.local && listens(audit, probe->proto, &binding->host, probe->port);
}

static bool same_network(const struct audit *audit, const struct origin *origin, const struct container *container)
{
	for (size_t i = 0; origin->network && i < audit->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = &audit->inventory->endpoints[i];

		if (strcmp(endpoint->container, container->id) == 0 &&
		    strcmp(endpoint->network, origin->network->id) == 0)
			return true;
	}
	return false;
}

/* Whether somebody there can dial the address at all. */
static bool can_dial(const struct origin *origin, const struct own *own)
{
	if (addr_is_link_local(&own->addr))
		return own->interface == origin->interface && origin->kind != ORIGIN_INTERNET;
	return origin->kind != ORIGIN_INTERNET || own->interface == origin->interface || !is_special(&own->addr);
}

/* The broadcast of an address's network, where somebody could send to it. */
static bool broadcast_of(const struct origin *origin, const struct own *own, struct addr *ret)
{
	if (own->addr.family != AF_INET || own->prefix.length > 30 || origin->kind == ORIGIN_INTERNET)
		return false;
	*ret = prefix_range(&own->prefix).last;
	return true;
}

static const char *broadcast_note(const struct origin *origin, const struct own *own)
{
	return own->interface == origin->interface ? "a broadcast" : "a broadcast on another network";
}

/* A port on all addresses of a family; broadcasts are heard too. */
static void try_open_port(struct hole *hole, const struct container *container, const struct port_binding *binding)
{
	struct audit *audit = hole->audit;
	const struct origin *origin = hole->origin;

	for (size_t i = 0; i < audit->n_owns; i++) {
		const struct own *own = &audit->owns[i];
		struct probe probe = { own->addr, binding->proto, binding->host_port };

		if (own->addr.family != binding->host.family || !can_dial(origin, own))
			continue;
		if (reaches_published(audit, origin, &probe, container, binding))
			hole_proof(hole, &probe, container->name);
		if (binding->proto != IPPROTO_UDP || !broadcast_of(origin, own, &probe.to))
			continue;
		probe.note = broadcast_note(origin, own);
		if (reaches_published(audit, origin, &probe, container, binding))
			hole_proof(hole, &probe, container->name);
	}
}

static const struct own *own_of(const struct audit *audit, const struct addr *addr)
{
	for (size_t i = 0; i < audit->n_owns; i++)
		if (addr_compare(&audit->owns[i].addr, addr) == 0)
			return &audit->owns[i];
	return NULL;
}

/* A port on one address is for those on its network. */
static void try_bound_port(struct hole *hole, const struct container *container, const struct port_binding *binding)
{
	const struct own *own = own_of(hole->audit, &binding->host);
	struct probe probe = { binding->host, binding->proto, binding->host_port,
			       .note = "published on this address only" };

	if (own ? own->interface == hole->origin->interface || !can_dial(hole->origin, own) :
		  hole->origin->kind == ORIGIN_INTERNET)
		return;
	if (reaches_published(hole->audit, hole->origin, &probe, container, binding))
		hole_proof(hole, &probe, container->name);
}

void check_published(struct audit *audit, const struct origin *origin)
{
	enum severity severity = origin->kind == ORIGIN_LAN ? SEVERITY_NOTICE : SEVERITY_WARNING;
	struct hole open = { audit, origin, "published-open", severity, FIX_ALL };
	struct hole proxy = { audit, origin, "published-proxy", severity, FIX_PROXY };
	struct hole bound = { audit, origin, "published-elsewhere",
			      from_outside(origin) ? SEVERITY_CRITICAL : SEVERITY_WARNING, FIX_BOUND };

	for (size_t i = 0; i < audit->inventory->n_containers; i++) {
		const struct container *container = audit->containers[i];
		size_t n = same_network(audit, origin, container) ? 0 : container->n_ports;

		for (size_t k = 0; k < n; k++) {
			const struct port_binding *binding = &container->ports[k];

			if (!addr_is_any(&binding->host))
				try_bound_port(&bound, container, binding);
			else if (binding->host.family == AF_INET6 && !has_six(audit, container))
				try_open_port(&proxy, container, binding);
			else
				try_open_port(&open, container, binding);
		}
	}
	hole_end(&open, "%s reaches ports that are published on all addresses", origin->name);
	hole_end(&proxy,
		 "%s reaches by IPv6, through docker-proxy on [::], containers that have IPv4 only, and that see the "
		 "proxy's address in place of the client's",
		 origin->name);
	hole_end(&bound, "%s reaches ports that are published on an address elsewhere only", origin->name);
}

static bool is_published(const struct audit *audit, uint8_t proto, uint16_t port)
{
	for (size_t i = 0; i < audit->inventory->n_containers; i++)
		for (size_t k = 0; k < audit->inventory->containers[i].n_ports; k++)
			if (audit->inventory->containers[i].ports[k].proto == proto &&
			    audit->inventory->containers[i].ports[k].host_port == port)
				return true;
	return false;
}

/*
 * A machine serves the devices of its own networks by its addresses there, and is the resolver of all that are behind it
 * if it says so: those are no findings.
 */
static bool is_meant(const struct audit *audit, const struct origin *origin, const struct own *own, uint16_t port)
{
	if (port == PORT_DNS && !from_outside(origin) && addr_compare(&own->addr, &audit->inventory->resolver) == 0)
		return true;
	return (origin->kind == ORIGIN_LAN || origin->kind == ORIGIN_OVERLAY) && own->interface == origin->interface;
}

static void try_service(struct hole *hole, uint8_t proto, uint16_t port)
{
	struct audit *audit = hole->audit;
	char name[12], thing[24];

	snprintf(thing, sizeof(thing), "%u/%s", port, proto_name(proto, name));
	for (size_t i = 0; i < audit->n_owns; i++) {
		const struct own *own = &audit->owns[i];
		struct probe probe = { own->addr, proto, port };
		struct answer answer;

		if (is_meant(audit, hole->origin, own, port) || !can_dial(hole->origin, own) ||
		    !listens(audit, proto, &own->addr, port))
			continue;
		if (own->interface != hole->origin->interface)
			probe.note = "the address of another interface";
		if (probe_try(audit, hole->origin, &probe, &answer) && answer.local)
			hole_proof(hole, &probe, thing);
		if (proto != IPPROTO_UDP || !broadcast_of(hole->origin, own, &probe.to) ||
		    !listens(audit, proto, &probe.to, port))
			continue;
		probe.note = broadcast_note(hole->origin, own);
		if (probe_try(audit, hole->origin, &probe, &answer) && answer.local)
			hole_proof(hole, &probe, thing);
	}
}

bool reaches_service(struct audit *audit, const struct origin *origin, struct probe *probe)
{
	struct answer answer;

	for (size_t i = 0; i < audit->n_owns; i++) {
		const struct own *own = &audit->owns[i];

		if (own->interface != origin->interface || own->addr.family != probe->from->family ||
		    addr_is_link_local(&own->addr))
			continue;
		for (size_t k = 0; k < audit->n_listeners; k++) {
			probe->to = own->addr;
			probe->proto = audit->listeners[k].proto;
			probe->port = audit->listeners[k].port;
			if (listens(audit, probe->proto, &probe->to, probe->port) &&
			    probe_try(audit, origin, probe, &answer) && answer.local)
				return true;
		}
	}
	return false;
}

static bool seen_before(const struct audit *audit, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (audit->listeners[k].proto == audit->listeners[i].proto &&
		    audit->listeners[k].port == audit->listeners[i].port)
			return true;
	return false;
}

void check_services(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "host-service", SEVERITY_WARNING, FIX_SERVICE };

	for (size_t i = 0; i < audit->n_listeners; i++) {
		const struct listener *listener = &audit->listeners[i];

		if (!seen_before(audit, i) && !is_published(audit, listener->proto, listener->port))
			try_service(&hole, listener->proto, listener->port);
	}
	hole_end(&hole, "%s reaches services of this machine", origin->name);
}

void check_loopback(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "host-loopback", SEVERITY_CRITICAL, FIX_LOOPBACK };

	if (origin->kind == ORIGIN_INTERNET)
		return;
	for (size_t i = 0; i < audit->n_listeners; i++) {
		const struct listener *listener = &audit->listeners[i];
		struct probe probe = { .proto = listener->proto, .port = listener->port };
		struct answer answer;

		if (seen_before(audit, i) || is_published(audit, listener->proto, listener->port))
			continue;
		addr_parse(listener->addr.family == AF_INET6 && !addr_is_any(&listener->addr) ? "::1" : "127.0.0.1",
			   &probe.to);
		if (listens(audit, probe.proto, &probe.to, probe.port) && probe_try(audit, origin, &probe, &answer) &&
		    answer.local)
			hole_proof(&hole, &probe, NULL);
	}
	hole_end(&hole, "%s reaches services that are for this machine alone, by 127.0.0.1", origin->name);
}
