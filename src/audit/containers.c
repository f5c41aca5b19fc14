/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_private.h"

/* Containers by their own addresses. */

#define CLOSED_FIX                                                                                                     \
	"spr up; or, by hand, rules in raw that drop what is for a container and comes by another interface than its bridge (Docker makes them since version 28)"
#define FORGED_FIX "spr up; for IPv4 also: sysctl net.ipv4.conf.all.rp_filter=1"

static const char *name_of(const struct audit *audit, const struct endpoint *endpoint)
{
	const struct container *container = inventory_container(audit->inventory, endpoint->container);

	return container ? container->name : *endpoint->name ? endpoint->name : "a container";
}

static const struct addr *address_of(const struct endpoint *endpoint, int family)
{
	return family == SIX ? &endpoint->ip6 : &endpoint->ip4;
}

/* Whether the packet went to the very container. */
static bool reaches(struct audit *audit, const struct origin *origin, const struct probe *probe,
		    const struct endpoint *endpoint)
{
	const struct network *network = inventory_network(audit->inventory, endpoint->network);
	struct answer answer;

	return probe_try(audit, origin, probe, &answer) && answer.out && network &&
	       strcmp(answer.out->name, network->bridge) == 0 && addr_compare(&answer.packet.to, &probe->to) == 0;
}

static bool publishes(const struct container *container, uint8_t proto, uint16_t port)
{
	for (size_t i = 0; container && i < container->n_ports; i++)
		if (container->ports[i].proto == proto && container->ports[i].container_port == port)
			return true;
	return false;
}

/* A port that the container does not publish: who reaches it reaches all. */
static uint16_t unpublished(const struct container *container, uint8_t proto)
{
	uint16_t port = 9999;

	while (publishes(container, proto, port))
		port--;
	return port;
}

static void try_container(struct hole *hole, const struct endpoint *endpoint, const struct addr *to)
{
	struct audit *audit = hole->audit;
	const char *name = name_of(audit, endpoint);
	const struct container *container = inventory_container(audit->inventory, endpoint->container);
	bool six = to->family == AF_INET6;
	struct probe probes[] = {
		{ *to, IPPROTO_TCP, unpublished(container, IPPROTO_TCP), .note = "any port, published or not" },
		{ *to, IPPROTO_UDP, unpublished(container, IPPROTO_UDP), .note = "any port, published or not" },
		{ *to, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, .note = "ping" },
		{ *to, IPPROTO_TCP, unpublished(container, IPPROTO_TCP), .stray = true,
		  .note = "without a connection" },
	};

	for (size_t i = 0; i < ELEMENTSOF(probes); i++)
		if (reaches(audit, hole->origin, &probes[i], endpoint))
			hole_proof(hole, &probes[i], name);
	for (size_t i = 0; container && i < container->n_ports; i++) {
		const struct port_binding *binding = &container->ports[i];
		struct probe probe = { *to, binding->proto, binding->container_port, .note = "its own port" };

		if (binding->host.family == to->family && reaches(audit, hole->origin, &probe, endpoint))
			hole_proof(hole, &probe, name);
	}
}

static enum severity severity_of(const struct origin *origin)
{
	return from_outside(origin) ? SEVERITY_CRITICAL : SEVERITY_WARNING;
}

void check_containers(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "container-direct", severity_of(origin), CLOSED_FIX };

	for (size_t i = 0; i < audit->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = audit->endpoints[i];
		const struct network *network = inventory_network(audit->inventory, endpoint->network);

		for (int family = 0; family < FAMILIES && network && network != origin->network; family++) {
			const struct addr *to = address_of(endpoint, family);

			if (to->family && origin->at[family].family &&
			    !(origin->kind == ORIGIN_INTERNET && is_special(to)))
				try_container(&hole, endpoint, to);
		}
	}
	hole_end(&hole, "%s reaches containers by their own addresses, past what they publish", origin->name);
}

/* A container, or else a service of this machine, that takes what says to come from there: the first one. */
static void try_forged(struct hole *hole, const struct addr *from, const struct interface *home)
{
	struct audit *audit = hole->audit;
	struct probe service = { .from = from, .note = "a forged source" };

	for (size_t i = 0; i < audit->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = audit->endpoints[i];
		const struct network *network = inventory_network(audit->inventory, endpoint->network);
		struct probe probe = { *address_of(endpoint, from->family == AF_INET6 ? SIX : FOUR), IPPROTO_UDP,
				       unpublished(NULL, IPPROTO_UDP), .from = from, .note = "a forged source" };

		if (!network || network == hole->origin->network || !probe.to.family ||
		    addr_compare(&probe.to, from) == 0)
			continue;
		if (!reaches(audit, hole->origin, &probe, endpoint))
			continue;
		hole_proof(hole, &probe, home->name);
		return;
	}
	if (reaches_service(audit, hole->origin, &service))
		hole_proof(hole, &service, home->name);
}

/* Sources that are at home elsewhere on this machine. */
void check_forged(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "forged-source", severity_of(origin), FORGED_FIX };

	if (origin->kind == ORIGIN_INTERNET)
		return;
	for (size_t i = 0; i < audit->n_origins; i++) {
		const struct origin *other = &audit->origins[i];

		if (other->interface == origin->interface || from_outside(other))
			continue;
		for (int family = 0; family < FAMILIES; family++) {
			struct addr from = other->at[family];

			if (from.family)
				try_forged(&hole, &from, other->interface);
		}
	}
	hole_end(&hole, "%s is believed to be elsewhere: packets of it pass with sources of", origin->name);
}
