/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_private.h"
#include "policy/policy.h"

/* What leaves: to the devices of this machine's networks, to what is private behind an uplink. */

#define FIX_DEVICES "spr up; or a rule in DOCKER-USER or FORWARD that drops it"
#define FIX_UPSTREAM                                                                                                   \
	"spr up: wan is the internet alone; or rules in DOCKER-USER that drop private destinations by the uplink"
#define FIX_UPSTREAM_LAN                                                                                               \
	"spr up, with the role lan for their network; or rules in FORWARD that drop private destinations"
#define FIX_EXIT "spr up; or a rule in FORWARD that drops what comes from the overlay and leaves by the uplink"
#define FIX_SHADOW "spr up: what leaves a container network gets source ports that no service has"
#define FIX_SHADOW_LAN                                                                                                 \
	"a masquerade to ports that no service has: `masquerade to :32768-60999` in nft, --to-ports 32768-60999 in "   \
	"iptables"
#define FIX_FLOOD "spr up: its setting `connections` limits each member"
#define FLOOD 5001 /* connections of one */

/* Three protocols: rules that know TCP and UDP only let the rest pass. */
static void try_destination(struct hole *hole, const struct addr *to, const struct interface *out, const char *note)
{
	const struct probe probes[] = {
		{ *to, IPPROTO_TCP, 80, .note = note },
		{ *to, to->family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, .note = note },
		{ *to, IPPROTO_GRE, .note = note },
	};

	for (size_t i = 0; i < ELEMENTSOF(probes); i++) {
		struct answer answer;

		if (probe_try(hole->audit, hole->origin, &probes[i], &answer) && answer.out == out)
			hole_proof(hole, &probes[i], out->name);
	}
}

void check_devices(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "other-network",
			     from_outside(origin) ? SEVERITY_CRITICAL : SEVERITY_WARNING, FIX_DEVICES };

	for (size_t i = 0; i < audit->n_origins; i++) {
		const struct origin *other = &audit->origins[i];

		if (other->interface == origin->interface ||
		    (other->kind != ORIGIN_LAN && other->kind != ORIGIN_OVERLAY))
			continue;
		for (int family = 0; family < FAMILIES; family++)
			if (other->at[family].family &&
			    !(origin->kind == ORIGIN_INTERNET && is_special(&other->at[family])))
				try_destination(&hole, &other->at[family], other->interface, NULL);
	}
	hole_end(&hole, "%s reaches the devices of other networks", origin->name);
}

/* Private addresses that no interface here is near to: the way to them is the uplink. */
static void try_private(struct hole *hole, const struct interface *uplink)
{
	static const char *const places[] = { "192.168.50.10",	"10.255.253.10", "172.31.253.10",     "198.18.0.10",
					      "100.127.253.10", "fd50::10",	 "64:ff9b::c0a8:320a" };

	for (size_t i = 0; i < ELEMENTSOF(places); i++) {
		struct addr to;

		if (addr_parse(places[i], &to) == 0)
			try_destination(hole, &to, uplink, "private, behind the uplink");
	}
}

static void try_gateways(struct hole *hole, const struct interface *uplink)
{
	const struct inventory *inventory = hole->audit->inventory;

	for (size_t i = 0; i < inventory->n_routes; i++)
		if (inventory->routes[i].interface == uplink->index && inventory->routes[i].gateway.family &&
		    inventory->routes[i].destination.length == 0)
			try_destination(hole, &inventory->routes[i].gateway, uplink, "the gateway");
}

/* The internet, for those who are not meant to have it by this machine. */
static void check_internet(struct audit *audit, const struct origin *origin, const struct interface *uplink)
{
	bool overlay = origin->kind == ORIGIN_OVERLAY;
	struct hole hole = { audit, origin, overlay ? "overlay-exit" : "internal-leaks",
			     overlay ? SEVERITY_WARNING : SEVERITY_CRITICAL, overlay ? FIX_EXIT : FIX_DEVICES };

	if (!overlay && (!origin->network || !origin->network->internal))
		return;
	for (int family = 0; family < FAMILIES; family++) {
		struct addr to = far_away(family);

		try_destination(&hole, &to, uplink, NULL);
	}
	hole_end(&hole, "%s%s reaches the internet by", origin->name,
		 overlay ? ", for whom this machine is an exit," : ", which is an internal network,");
}

void check_upstream(struct audit *audit, const struct origin *origin)
{
	bool lan = origin->kind == ORIGIN_LAN;

	for (size_t i = 0; i < audit->n_origins && !from_outside(origin); i++) {
		const struct origin *other = &audit->origins[i];
		struct hole hole = { audit, origin, "upstream", lan ? SEVERITY_NOTICE : SEVERITY_WARNING,
				     origin->kind == ORIGIN_CONTAINER ? FIX_UPSTREAM : FIX_UPSTREAM_LAN };

		if (other->kind != ORIGIN_NEIGHBOUR)
			continue;
		for (int family = 0; family < FAMILIES; family++)
			if (other->at[family].family)
				try_destination(&hole, &other->at[family], other->interface,
						"a neighbour of the uplink");
		try_gateways(&hole, other->interface);
		try_private(&hole, other->interface);
		hole_end(&hole, "%s reaches what is private upstream: other machines there, pages of the router, by",
			 origin->name);
		check_internet(audit, origin, other->interface);
	}
}

static const struct origin *internet_of(const struct audit *audit)
{
	for (size_t i = 0; i < audit->n_origins; i++)
		if (audit->origins[i].kind == ORIGIN_INTERNET)
			return &audit->origins[i];
	return NULL;
}

/* Whether a packet from far away goes to the container. */
static bool comes_back(struct hole *hole, const struct origin *internet, const struct probe *back)
{
	const struct addr *own = &hole->origin->at[family_index(&back->to)];
	struct answer answer;

	return addr_compare(&back->to, own) != 0 && probe_try(hole->audit, internet, back, &answer) &&
	       answer.out == hole->origin->interface && addr_compare(&answer.packet.to, own) == 0;
}

/* What the container publishes itself is its own. */
static bool answers_anyway(struct hole *hole, const struct origin *internet, const struct addr *far, uint16_t port)
{
	struct audit *audit = hole->audit;
	struct probe back = { .proto = IPPROTO_UDP, .port = port, .from_port = port };
	bool comes = false;

	for (size_t i = 0; i < audit->n_owns; i++) {
		back.to = audit->owns[i].addr;
		if (audit->owns[i].interface == internet->interface && back.to.family == far->family)
			comes |= comes_back(hole, internet, &back);
	}
	twin_forget(audit->twin, NULL);
	return comes;
}

/* A flow from a service's port; what its far end then sends to that service must not go to the container. */
static void try_shadow(struct hole *hole, const struct origin *internet, const struct addr *far, uint16_t port)
{
	struct audit *audit = hole->audit;
	struct probe there = { *far, IPPROTO_UDP, port, .from_port = port, .note = "takes a service's port" };
	struct probe back = { .proto = IPPROTO_UDP, .port = port, .from_port = port };
	struct answer answer;
	char thing[16];

	snprintf(thing, sizeof(thing), "%u/udp", port);
	if (answers_anyway(hole, internet, far, port))
		return;
	if (probe_try(audit, hole->origin, &there, &answer) && answer.out == internet->interface) {
		back.to = answer.packet.from;
		if (comes_back(hole, internet, &back))
			hole_proof(hole, &there, thing);
	}
	twin_forget(audit->twin, NULL);
}

/* Whether the socket is the first one that takes UDP at all addresses of the family. The sockets are in order. */
static bool serves_all(const struct audit *audit, size_t i, int family)
{
	const struct listener *listener = &audit->listeners[i], *before = i > 0 ? listener - 1 : NULL;
	bool again = before && before->proto == listener->proto && before->port == listener->port &&
		     addr_is_any(&before->addr);

	if (listener->proto != IPPROTO_UDP || !addr_is_any(&listener->addr))
		return false;
	if (listener->addr.family == AF_INET)
		return family == FOUR && !again;
	return family == SIX || !again;
}

void check_shadow(struct audit *audit, const struct origin *origin)
{
	const struct origin *internet = internet_of(audit);
	bool container = origin->kind == ORIGIN_CONTAINER;
	struct hole hole = { audit,
			     origin,
			     "port-shadow",
			     container ? SEVERITY_WARNING : SEVERITY_NOTICE,
			     container ? FIX_SHADOW : FIX_SHADOW_LAN,
			     .story = true };

	for (size_t i = 0; internet && i < audit->n_listeners && !from_outside(origin); i++)
		for (int family = 0; family < FAMILIES; family++)
			if (origin->at[family].family && serves_all(audit, i, family))
				try_shadow(&hole, internet, &internet->at[family], audit->listeners[i].port);
	hole_end(&hole, "%s takes ports of services for itself, and what others send to those services goes there",
		 origin->name);
}

static bool may_flood(const struct origin *origin)
{
	return origin->kind == ORIGIN_CONTAINER && !origin->network->internal &&
	       (origin->at[FOUR].family || origin->at[SIX].family);
}

/* One network stands for all: it takes a second. */
void check_flood(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "connection-limit", SEVERITY_NOTICE, FIX_FLOOD, .story = true };
	struct addr to = far_away(origin->at[FOUR].family ? FOUR : SIX);
	struct probe probe = { to, IPPROTO_UDP, 0, .note = "the last of 5001 connections" };
	struct answer answer;
	bool passes = true;

	if (!may_flood(origin))
		return;
	for (size_t i = 0; i < (size_t)(origin - audit->origins); i++)
		if (may_flood(&audit->origins[i]))
			return;
	twin_forget(audit->twin, NULL);
	for (int i = 0; i < FLOOD && passes; i++) {
		probe.port = (uint16_t)(1000 + i);
		probe.from_port = (uint16_t)(30000 + i);
		passes = probe_try(audit, origin, &probe, &answer) && answer.out;
	}
	twin_forget(audit->twin, NULL);
	if (passes)
		hole_proof(&hole, &probe, NULL);
	hole_end(&hole, "%s may fill this machine's table of connections", origin->name);
}
