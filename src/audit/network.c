/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <string.h>

#include "audit/audit_private.h"

/* What a setting of the network undoes: its isolation, by frames that rules do not see; and source routes. */

#define FIX_ISOLATED                                                                                                    \
	"modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1; " \
	"or a network for each of them"
#define FIX_SOURCE_ROUTED "sysctl -w net.ipv4.conf.all.accept_source_route=0; or spr up"
#define PORT_ANY 9999

/* Whether the packet left to the network of a container, for the container. */
static bool goes_to(struct audit *audit, const struct origin *origin, const struct probe *probe,
		    const struct network *network, const struct addr *to)
{
	struct answer answer;

	return probe_try(audit, origin, probe, &answer) && answer.out &&
	       strcmp(answer.out->name, network->bridge) == 0 && addr_compare(&answer.packet.to, to) == 0;
}

/* Containers of a network that its engine is told to keep apart. */
void check_neighbours(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "isolated-network", SEVERITY_WARNING, FIX_ISOLATED };

	if (origin->kind != ORIGIN_CONTAINER || origin->network->icc)
		return;
	for (size_t i = 0; i < audit->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = audit->endpoints[i];
		const struct addr *to[] = { &endpoint->ip4, &endpoint->ip6 };

		if (inventory_network(audit->inventory, endpoint->network) != origin->network)
			continue;
		for (int family = 0; family < FAMILIES; family++) {
			struct probe probe = { *to[family], IPPROTO_TCP, PORT_ANY, .to_mac = endpoint->mac };

			if (!probe.to.family || addr_compare(&probe.to, &origin->at[family]) == 0)
				continue;
			if (goes_to(audit, origin, &probe, origin->network, &probe.to))
				hole_proof(&hole, &probe, endpoint->name);
		}
	}
	hole_end(&hole, "%s reaches its neighbours, although they are to be kept apart (enable_icc: false)",
		 origin->name);
}

/* By way of this machine, which the source of the packet decides. One container of a network is enough. */
static void try_source_route(struct hole *hole, const struct own *own)
{
	const struct network *last = NULL;

	for (size_t i = 0; i < hole->audit->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = hole->audit->endpoints[i];
		const struct network *network = inventory_network(hole->audit->inventory, endpoint->network);
		struct probe probe = { own->addr, IPPROTO_UDP, PORT_ANY, .hop = &endpoint->ip4,
				       .note = "a source route" };

		if (!network || network == hole->origin->network || network == last || !endpoint->ip4.family)
			continue;
		if (!goes_to(hole->audit, hole->origin, &probe, network, &endpoint->ip4))
			continue;
		hole_proof(hole, &probe, endpoint->name);
		last = network;
	}
}

void check_source_routed(struct audit *audit, const struct origin *origin)
{
	struct hole hole = { audit, origin, "source-routed",
			     from_outside(origin) ? SEVERITY_CRITICAL : SEVERITY_WARNING, FIX_SOURCE_ROUTED };

	for (size_t i = 0; i < audit->n_owns && origin->kind != ORIGIN_INTERNET; i++)
		if (audit->owns[i].interface == origin->interface && audit->owns[i].addr.family == AF_INET)
			try_source_route(&hole, &audit->owns[i]);
	hole_end(&hole, "%s reaches containers by source routes through this machine", origin->name);
}
