/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/verdict.h"

#include <netinet/in.h>
#include <string.h>

#include "verdict/zones.h"

/* The steps stand in the order of the kernel's chains: see ruleset/chains.c, which says the same with rules. */

#define TCP_FIN_SYN_RST_ACK 0x17
#define TCP_SYN 0x02

static bool drop(struct decision *decision, enum reason reason)
{
	decision->accept = false;
	decision->reason = reason;
	return true;
}

static bool pass(struct decision *decision)
{
	decision->accept = true;
	decision->reason = REASON_NONE;
	return true;
}

static bool leave_alone(struct decision *decision)
{
	decision->left_alone = true;
	return pass(decision);
}

static bool has_role(const struct model *model, const char *interface, enum role role)
{
	return model_role(model, interface) == role;
}

static bool is_kept(const struct model *model, const char *interface)
{
	enum role role = model_role(model, interface);

	return !model->router && (role == ROLE_UPLINK || role == ROLE_OTHER);
}

static bool owns(const struct inventory *inventory, unsigned index, const struct addr *addr)
{
	const struct interface *interface = inventory_interface(inventory, index);

	for (size_t i = 0; interface && i < interface->n_addresses; i++)
		if (addr_compare(&interface->addresses[i].addr, addr) == 0)
			return true;
	return false;
}

/*
 * The best route back to who sent the packet. Of equal ones the first, but for a link-local address that was dialled the
 * one by the interface that has it (rt6_device_match() in net/ipv6/route.c).
 */
static const struct route *route_back(const struct inventory *inventory, const struct packet *packet)
{
	bool near = packet->dialled.family == AF_INET6 && addr_is_link_local(&packet->dialled);
	const struct route *best = NULL;

	for (size_t i = 0; i < inventory->n_routes; i++) {
		const struct route *route = &inventory->routes[i];

		if (!prefix_contains(&route->destination, &packet->from))
			continue;
		if (!best || route->destination.length > best->destination.length)
			best = route;
		else if (route->destination.length == best->destination.length && near &&
			 owns(inventory, route->interface, &packet->dialled) &&
			 !owns(inventory, best->interface, &packet->dialled))
			best = route;
	}
	return best;
}

/* In IPv6 the one that all routers of a network share (RFC 4291, 2.6.1). */
static bool is_all_routers(const struct prefix *prefix, const struct addr *addr)
{
	struct range range;

	if (addr->family != AF_INET6 || prefix->length >= 127 || !prefix_contains(prefix, addr))
		return false;
	range = prefix_range(prefix);
	return addr_compare(&range.first, addr) == 0;
}

/* An address of this machine, or one that it shares with all routers. */
static bool is_own(const struct inventory *inventory, const struct addr *addr)
{
	for (size_t i = 0; i < inventory->n_interfaces; i++)
		for (size_t k = 0; k < inventory->interfaces[i].n_addresses; k++) {
			const struct prefix *prefix = &inventory->interfaces[i].addresses[k];

			if (prefix->addr.family != addr->family)
				continue;
			if (addr_compare(&prefix->addr, addr) == 0 || is_all_routers(prefix, addr))
				return true;
		}
	return false;
}

/* From no address yet, to this link only: the kernel takes the way back for granted. */
static bool is_first_word(const struct packet *packet)
{
	const uint8_t *to = packet->dialled.bytes;

	if (!addr_is_any(&packet->from))
		return false;
	if (packet->from.family == AF_INET6)
		return packet->proto == IPPROTO_ICMPV6 && (to[0] == 0xff || addr_is_link_local(&packet->dialled));
	return (to[0] == 224 && to[1] == 0 && to[2] == 0) || (to[0] & to[1] & to[2] & to[3]) == 255;
}

/* The best route leads back by the interface (net/ipv{4,6}/netfilter/nft_fib_ipv*.c). */
static bool leads_back(const struct inventory *inventory, const struct packet *packet)
{
	const struct interface *interface = inventory_interface_named(inventory, packet->in);
	const struct route *route;

	if (is_first_word(packet))
		return true;
	if (!interface || is_own(inventory, &packet->from))
		return false;
	route = route_back(inventory, packet);
	return route && route->interface == interface->index;
}

static bool leads_to_uplink(const struct model *model, const struct packet *packet)
{
	const struct route *route;

	if (is_first_word(packet))
		return true;
	if (is_own(model->inventory, &packet->from))
		return false;
	route = route_back(model->inventory, packet);
	for (size_t i = 0; route && i < model->n_roles; i++)
		if (model->roles[i].interface->index == route->interface)
			return model->roles[i].role == ROLE_UPLINK;
	return false;
}

static bool is_broadcast_of(const struct interface *interface, const struct addr *addr)
{
	for (size_t i = 0; i < interface->n_addresses; i++) {
		const struct prefix *prefix = &interface->addresses[i];
		struct range range;

		if (prefix->addr.family != AF_INET || prefix->length >= 31 || !prefix_contains(prefix, addr))
			continue;
		range = prefix_range(prefix);
		if (addr_compare(&range.last, addr) == 0)
			return true;
	}
	return false;
}

/* A broadcast of some interface, but not of the one it came in by. */
static bool is_foreign_broadcast(const struct inventory *inventory, const struct packet *packet)
{
	bool foreign = false;

	if (packet->dialled.family != AF_INET)
		return false;
	for (size_t i = 0; i < inventory->n_interfaces; i++) {
		if (!is_broadcast_of(&inventory->interfaces[i], &packet->dialled))
			continue;
		if (strcmp(inventory->interfaces[i].name, packet->in) == 0)
			return false;
		foreign = true;
	}
	return foreign;
}

static bool is_dns_to_resolver(const struct model *model, const struct packet *packet)
{
	return model->resolver.family && addr_compare(&packet->dialled, &model->resolver) == 0 &&
	       (packet->proto == IPPROTO_TCP || packet->proto == IPPROTO_UDP) && packet->dialled_port == 53;
}

static bool one_of(uint8_t type, const uint8_t *types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (types[i] == type)
			return true;
	return false;
}
#define ONE_OF(type, ...) one_of(type, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* What a host sends before it has an address, and what never leaves its link. */
static bool is_unaddressed(const struct packet *packet)
{
	if (packet->from.family == AF_INET)
		return addr_is_any(&packet->from) && packet->proto == IPPROTO_UDP && packet->from_port == 68 &&
		       packet->dialled_port == 67;
	return addr_is_link_local(&packet->from) || (addr_is_any(&packet->from) && packet->proto == IPPROTO_ICMPV6 &&
						     ONE_OF(packet->icmp_type, 131, 133, 135, 143));
}

static bool is_muted(const struct model *model, const struct packet *packet, struct decision *ret)
{
	unsigned policies = ret->from ? model->classes[ret->from->class].policies : 0;

	if (policies & POLICY_DISABLED)
		return drop(ret, REASON_DISABLED);
	if (policies & POLICY_QUARANTINE && !is_dns_to_resolver(model, packet))
		return drop(ret, REASON_DISABLED);
	return false;
}

/* Chain guard: true when it decided. */
static bool guard(const struct model *model, const struct packet *packet, struct decision *ret)
{
	bool container = model_network(model, packet->in);

	if (addr_is_loopback(&packet->dialled) || addr_is_loopback(&packet->from))
		return drop(ret, REASON_LOOPBACK);
	if (packet->source_routed)
		return drop(ret, REASON_SOURCE_ROUTE);
	if (is_unaddressed(packet) && (!container || packet->from.family == AF_INET6))
		return false;
	if (is_muted(model, packet, ret))
		return true;
	if (container)
		return ret->from ? false : drop(ret, REASON_UNKNOWN_SOURCE);
	if (has_role(model, packet->in, ROLE_UPLINK))
		return leads_to_uplink(model, packet) ? false : drop(ret, REASON_SPOOFED);
	return leads_back(model->inventory, packet) ? false : drop(ret, REASON_SPOOFED);
}

static bool is_published_wild(const struct model *model, const struct packet *packet)
{
	const struct addr any = { .family = packet->dialled.family };
	const struct port_front *front = model_port_front(model, &any, packet->proto, packet->dialled_port);

	return front && front->front != FRONT_NOBODY;
}

/* Answers, and those ICMP errors about a flow that nobody opens anything with (not redirects, not source quench). */
static bool is_answer(const struct packet *packet)
{
	if (packet->flow == FLOW_REPLY)
		return true;
	if (packet->flow != FLOW_ERROR)
		return false;
	return packet->proto == IPPROTO_ICMP ? ONE_OF(packet->icmp_type, 3, 11, 12) :
					       ONE_OF(packet->icmp_type, 1, 2, 3, 4);
}

/* Chain arrival: a broadcast belongs to its own link, and an address to its own interface: the strong host. */
static bool arrival(const struct model *model, const struct packet *packet, struct decision *ret)
{
	const struct interface *owner = inventory_interface_with(model->inventory, &packet->dialled);

	if (packet->flow == FLOW_REPLY)
		return false;
	if (is_foreign_broadcast(model->inventory, packet))
		return drop(ret, REASON_BROADCAST);
	if (is_answer(packet) || !owner || strcmp(owner->name, packet->in) == 0)
		return false;
	if (packet->dialled.family == AF_INET6 && addr_is_link_local(&packet->dialled))
		return false; /* on this link it is somebody else's */
	if ((is_dns_to_resolver(model, packet) && !has_role(model, packet->in, ROLE_UPLINK)) ||
	    is_published_wild(model, packet))
		return false;
	return drop(ret, REASON_OTHER_INTERFACE);
}

/* The published port that the engine's proxy listens on at the packet's target, or NULL. */
static const struct port_front *front_at(const struct model *model, const struct packet *packet)
{
	return model_port_front(model, &packet->to, packet->proto, packet->to_port);
}

static bool may_talk(const struct model *model, const char *bridge)
{
	const struct network *network = model_network(model, bridge);
	const struct member *entry;

	if (!network)
		return false;
	entry = model_entry(model, MEMBER_NETWORK, network->name);
	return entry && entry->isolate >= 0 ? !entry->isolate : network->icc;
}

/* The right that the packet's sender has to its target, *ret_known: there is such a target. */
static const struct right *right_to(const struct model *model, const struct packet *packet, struct decision *ret,
				    bool *ret_known)
{
	const struct port_front *front = packet->out[0] ? NULL : front_at(model, packet);

	*ret_known = true;
	if (front) {
		ret->publisher = front->location ? front->location->entry : NULL;
		return front_right(model, ret->from->class, front->front);
	}
	ret->to = model_location(model, packet->out, &packet->to);
	*ret_known = ret->to || !packet->out[0];
	if (!*ret_known)
		return NULL;
	return class_right(model, ret->from->class, ret->to ? ret->to->class : model->host, packet->proto,
			   packet->to_port);
}

static bool is_dnat(const struct packet *packet)
{
	return packet->dialled_port != packet->to_port || addr_compare(&packet->dialled, &packet->to) != 0;
}

/* The right to the published port that NAT led to the container's own. */
static const struct right *right_to_dialled(const struct model *model, const struct packet *packet,
					    struct decision *ret)
{
	for (size_t i = 0; ret->to && i < ret->to->n_published; i++) {
		const struct published_port *published = &model->published[ret->to->first_published + i];

		if (published->binding.proto != packet->proto || published->binding.host_port != packet->dialled_port ||
		    published->binding.container_port != packet->to_port)
			continue;
		ret->publisher = ret->to->entry;
		return front_right(model, ret->from->class, published->front);
	}
	return NULL;
}

/* Chains judge and from-N. */
static bool judge(const struct model *model, const struct packet *packet, struct decision *ret)
{
	bool same = packet->out[0] && strcmp(packet->in, packet->out) == 0 && may_talk(model, packet->in);
	bool known;

	if (packet->flow == FLOW_INVALID)
		return drop(ret, REASON_INVALID);
	if (packet->flow == FLOW_NONE && packet->proto == IPPROTO_TCP &&
	    (packet->tcp_flags & TCP_FIN_SYN_RST_ACK) != TCP_SYN)
		return drop(ret, REASON_NO_FLOW);
	if (!ret->from)
		return drop(ret, REASON_UNKNOWN_SOURCE);
	ret->right = right_to(model, packet, ret, &known);
	if (ret->right && ret->right->deny)
		return drop(ret, REASON_BLOCKED);
	if (same || ret->right)
		return pass(ret);
	if (!known)
		return drop(ret, REASON_UNKNOWN_TARGET);
	if (is_dnat(packet) && packet->out[0])
		ret->right = right_to_dialled(model, packet, ret);
	if (!ret->right || ret->right->deny)
		return drop(ret, REASON_NO_GRANT);
	return pass(ret);
}

/* What an input chain of ours lets in whatever the policy says: neighbours, listeners, leases. */
static bool is_service(const struct model *model, const struct packet *packet)
{
	bool six = packet->from.family == AF_INET6, near = packet->hop_limit == 255;
	bool icmpv6 = six && packet->proto == IPPROTO_ICMPV6, udp = packet->proto == IPPROTO_UDP;

	if (icmpv6 && ((near && ONE_OF(packet->icmp_type, 135, 136)) || ONE_OF(packet->icmp_type, 130, 131, 132, 143)))
		return true;
	if (has_role(model, packet->in, ROLE_UPLINK))
		return (icmpv6 && near && packet->icmp_type == 134) ||
		       (udp && !six && packet->from_port == 67 && packet->to_port == 68) ||
		       (udp && six && addr_is_link_local(&packet->from) && packet->from_port == 547 &&
			packet->to_port == 546);
	if (!has_role(model, packet->in, ROLE_LAN))
		return false;
	return (udp && (packet->to_port == 67 || packet->to_port == 547)) ||
	       (packet->proto == IPPROTO_ICMP && packet->icmp_type == 8) ||
	       (icmpv6 && (packet->icmp_type == 128 || (near && packet->icmp_type == 133))) ||
	       packet->proto == IPPROTO_IGMP;
}

static bool is_bridge(const struct model *model, const char *name)
{
	const struct interface *interface = inventory_interface_named(model->inventory, name);
	enum role role = model_role(model, name);

	return interface && strcmp(interface->kind, "bridge") == 0 && role != ROLE_NONE && role != ROLE_CONTAINER;
}

/* Chains forward-back and from-N: what comes back is judged as what it answers, by what is granted now. */
static bool forward_back(const struct model *model, const struct packet *packet, struct decision *ret)
{
	const struct packet opener = {
		.in = packet->out,
		.out = packet->in,
		.from = packet->to,
		.dialled = packet->opened,
		.to = packet->from,
		.proto = packet->proto,
		.from_port = packet->to_port,
		.dialled_port = packet->opened_port,
		.to_port = packet->from_port,
		.flow = FLOW_ORIGINAL,
	};

	ret->from = model_location(model, opener.in, &opener.from);
	judge(model, &opener, ret);
	return ret->accept ? true : drop(ret, REASON_ENDED);
}

static bool forward(const struct model *model, const struct packet *packet, struct decision *ret)
{
	bool same = strcmp(packet->in, packet->out) == 0;

	if (packet->flow == FLOW_ERROR && is_answer(packet))
		return pass(ret);
	if (is_kept(model, packet->in) && is_kept(model, packet->out))
		return leave_alone(ret);
	if (same && is_bridge(model, packet->in))
		return leave_alone(ret);
	if (packet->flow == FLOW_REPLY)
		return forward_back(model, packet, ret);
	if (same && packet->from.family == AF_INET6 && packet->proto == IPPROTO_ICMPV6 && may_talk(model, packet->in) &&
	    ONE_OF(packet->icmp_type, 130, 131, 132, 135, 136, 143))
		return pass(ret);
	return judge(model, packet, ret);
}

static bool input(const struct model *model, const struct packet *packet, struct decision *ret)
{
	if (is_answer(packet))
		return pass(ret);
	if (is_kept(model, packet->in) && !front_at(model, packet))
		return leave_alone(ret);
	if (is_service(model, packet))
		return pass(ret);
	return judge(model, packet, ret);
}

void verdict(const struct model *model, const struct packet *packet, struct decision *ret)
{
	*ret = (struct decision){ .from = model_location(model, packet->in, &packet->from) };
	if (strcmp(packet->in, "lo") == 0) {
		leave_alone(ret);
		return;
	}
	if (guard(model, packet, ret) || arrival(model, packet, ret))
		return;
	if (packet->out[0])
		forward(model, packet, ret);
	else
		input(model, packet, ret);
}
