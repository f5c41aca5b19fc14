/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/rtmessage.h"

#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* Notes where each attribute is. The message has at least `offset` bytes of payload. */
static void attributes(const struct nlmsghdr *message, size_t offset, const struct nlattr **table, size_t n)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, offset)
		if (mnl_attr_get_type(attribute) < n)
			table[mnl_attr_get_type(attribute)] = attribute;
}

static uint32_t attribute_u32(const struct nlattr *attribute, uint32_t otherwise)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) < sizeof(uint32_t))
		return otherwise;
	return mnl_attr_get_u32(attribute);
}

static bool attribute_addr(const struct nlattr *attribute, uint8_t family, struct addr *ret)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != addr_size(family))
		return false;
	*ret = (struct addr){ .family = family };
	memcpy(ret->bytes, mnl_attr_get_payload(attribute), addr_size(family));
	return true;
}

/* Text that ends at its NUL or with the attribute; false when it does not fit. */
static bool attribute_text(const struct nlattr *attribute, char *buffer, size_t size)
{
	size_t length;

	if (!attribute)
		return false;
	length = strnlen(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
	if (length == 0 || length >= size)
		return false;
	memcpy(buffer, mnl_attr_get_payload(attribute), length);
	memset(buffer + length, 0, size - length);
	return true;
}

static bool family_known(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* What a bridge says of itself. */
static bool has_bridge_rules(const struct nlattr *data)
{
	const struct nlattr *attribute;
	bool any = false;

	mnl_attr_for_each_nested(attribute, data) {
		uint16_t type = mnl_attr_get_type(attribute);

		if ((type == IFLA_BR_NF_CALL_IPTABLES || type == IFLA_BR_NF_CALL_IP6TABLES) &&
		    mnl_attr_get_payload_len(attribute) >= 1)
			any = any || mnl_attr_get_u8(attribute);
	}
	return any;
}

bool rtmessage_interface(const struct nlmsghdr *message, struct interface *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[IFLA_MAX + 1] = { NULL }, *attribute, *info_data = NULL;
	struct interface interface = { 0 };

	if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK)
		return false;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->ifi_family != AF_UNSPEC || info->ifi_index <= 0)
		return false;
	attributes(message, sizeof(*info), table, ELEMENTSOF(table));
	if (table[IFLA_WIRELESS]) /* a wireless event: it does not carry the interface's state */
		return false;
	if (!attribute_text(table[IFLA_IFNAME], interface.name, sizeof(interface.name)))
		return false;

	interface.index = (unsigned)info->ifi_index;
	interface.master = attribute_u32(table[IFLA_MASTER], 0);
	interface.up = info->ifi_flags & IFF_UP;
	interface.loopback = info->ifi_flags & IFF_LOOPBACK;
	interface.ethernet = info->ifi_type == ARPHRD_ETHER;
	if (table[IFLA_LINKINFO])
		mnl_attr_for_each_nested(attribute, table[IFLA_LINKINFO]) {
			if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
				attribute_text(attribute, interface.kind, sizeof(interface.kind));
			else if (mnl_attr_get_type(attribute) == IFLA_INFO_DATA)
				info_data = attribute;
		}
	interface.bridge_rules = info_data && strcmp(interface.kind, "bridge") == 0 && has_bridge_rules(info_data);
	*ret = interface;
	return true;
}

bool rtmessage_address(const struct nlmsghdr *message, struct interface_address *ret)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[IFA_MAX + 1] = { NULL };
	struct interface_address address = { 0 };
	struct prefix *prefix = &address.prefix, peer = { 0 };
	bool has_local, has_peer;

	if (message->nlmsg_type != RTM_NEWADDR && message->nlmsg_type != RTM_DELADDR)
		return false;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || !family_known(info->ifa_family) ||
	    info->ifa_prefixlen > addr_bits(info->ifa_family) || info->ifa_index == 0)
		return false;
	attributes(message, sizeof(*info), table, ELEMENTSOF(table));
	has_local = attribute_addr(table[IFA_LOCAL], info->ifa_family, &prefix->addr);
	has_peer = attribute_addr(table[IFA_ADDRESS], info->ifa_family, &peer.addr);
	if (!has_local && !has_peer)
		return false;

	if (!has_local)
		prefix->addr = peer.addr;
	prefix->length = peer.length = info->ifa_prefixlen;
	if (has_local && has_peer && !prefix_contains(&peer, &prefix->addr))
		prefix->length = addr_bits(info->ifa_family);
	address.interface = info->ifa_index;
	*ret = address;
	return true;
}

/* A gateway of the other family comes as RTA_VIA. */
static void route_gateway(const struct nlattr *gateway, const struct nlattr *via, struct route *route)
{
	struct addr addr = { 0 };
	uint16_t family;

	if (!attribute_addr(gateway, route->destination.addr.family, &addr) && via &&
	    mnl_attr_get_payload_len(via) >= sizeof(family)) {
		const char *bytes = mnl_attr_get_payload(via);

		memcpy(&family, bytes, sizeof(family));
		if ((family == AF_INET || family == AF_INET6) &&
		    mnl_attr_get_payload_len(via) == sizeof(family) + addr_size((uint8_t)family)) {
			addr.family = (uint8_t)family;
			memcpy(addr.bytes, bytes + sizeof(family), addr_size(addr.family));
		}
	}
	route->gateway = addr_is_any(&addr) ? (struct addr){ 0 } : addr;
}

bool rtmessage_route(const struct nlmsghdr *message, struct route_message *ret)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[RTA_MAX + 1] = { NULL };
	struct route_message result = { 0 };
	struct route *route = &result.route;

	if (message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE)
		return false;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || !family_known(info->rtm_family) ||
	    info->rtm_flags & RTM_F_CLONED || info->rtm_dst_len > addr_bits(info->rtm_family))
		return false;
	attributes(message, sizeof(*info), table, ELEMENTSOF(table));
	route->table = attribute_u32(table[RTA_TABLE], info->rtm_table);
	route->destination.addr.family = info->rtm_family;
	route->destination.length = info->rtm_dst_len;
	if (!attribute_addr(table[RTA_DST], info->rtm_family, &route->destination.addr) && info->rtm_dst_len != 0)
		return false;
	route->destination.addr = prefix_range(&route->destination).first;
	route->interface = attribute_u32(table[RTA_OIF], 0);
	route_gateway(table[RTA_GATEWAY], table[RTA_VIA], route);
	result.type = info->rtm_type;
	result.protocol = info->rtm_protocol;
	result.hops = table[RTA_MULTIPATH];
	*ret = result;
	return true;
}

bool rtmessage_route_counts(const struct route_message *route)
{
	return route->type == RTN_UNICAST && route->route.table != RT_TABLE_LOCAL;
}

int rtmessage_hops(const struct route_message *message, int (*each)(const struct route *route, void *data), void *data)
{
	const struct rtnexthop *hop;
	int left, r;

	if (!message->hops)
		return each(&message->route, data);
	hop = mnl_attr_get_payload(message->hops);
	left = mnl_attr_get_payload_len(message->hops);
	while (left >= (int)sizeof(*hop) && RTNH_OK(hop, left)) {
		const struct nlattr *attr, *gateway = NULL, *via = NULL;
		struct route route = message->route;

		mnl_attr_for_each_payload((const void *)RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop)) {
			if (mnl_attr_get_type(attr) == RTA_GATEWAY)
				gateway = attr;
			else if (mnl_attr_get_type(attr) == RTA_VIA)
				via = attr;
		}
		route.interface = (unsigned)hop->rtnh_ifindex;
		route_gateway(gateway, via, &route);
		r = each(&route, data);
		if (r < 0)
			return r;
		left -= (int)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return 0;
}
