/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/mirror_message.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* Flags of an address that are its maker's wish. */
#define ADDRESS_FLAGS (IFA_F_NOPREFIXROUTE | IFA_F_HOMEADDRESS | IFA_F_MCAUTOJOIN)
#define BIT(attribute) (1ull << (attribute))

static bool keep_address(struct nlmsghdr *request)
{
	struct ifaddrmsg *info = mnl_nlmsg_get_payload(request);

	info->ifa_flags = 0;
	return info->ifa_family == AF_INET || info->ifa_family == AF_INET6;
}

static bool keep_route(struct nlmsghdr *request)
{
	struct rtmsg *info = mnl_nlmsg_get_payload(request);
	bool cloned = info->rtm_flags & RTM_F_CLONED;

	info->rtm_flags &= RTNH_F_ONLINK;
	return !cloned && (info->rtm_family == AF_INET || info->rtm_family == AF_INET6);
}

static bool keep_rule(struct nlmsghdr *request)
{
	struct fib_rule_hdr *info = mnl_nlmsg_get_payload(request);

	info->flags &= FIB_RULE_INVERT;
	return info->family == AF_INET || info->family == AF_INET6;
}

static bool keep_neighbour(struct nlmsghdr *request)
{
	struct ndmsg *info = mnl_nlmsg_get_payload(request);
	bool known = info->ndm_state & (NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE);

	info->ndm_state = NUD_PERMANENT;
	info->ndm_flags &= NTF_ROUTER;
	return known && (info->ndm_family == AF_INET || info->ndm_family == AF_INET6);
}

/* A bridge's own addresses are permanent ones, and made by itself. */
static bool keep_port(struct nlmsghdr *request)
{
	struct ndmsg *info = mnl_nlmsg_get_payload(request);
	bool own = (info->ndm_state & NUD_PERMANENT) || (info->ndm_flags & NTF_SELF);

	info->ndm_state = NUD_NOARP;
	info->ndm_flags = NTF_MASTER;
	return !own && info->ndm_family == AF_BRIDGE;
}

/* The kernel sorts of each part: what is left out, and what else has to be so. Links are not made like this. */
static const struct {
	uint16_t type;
	size_t header;
	uint64_t without; /* BIT()s */
	bool (*keep)(struct nlmsghdr *request);
} parts[_MIRROR_PART_MAX] = {
	[MIRROR_ADDRESSES] = { RTM_NEWADDR, sizeof(struct ifaddrmsg), BIT(IFA_CACHEINFO), keep_address },
	[MIRROR_ROUTES] = { RTM_NEWROUTE, sizeof(struct rtmsg),
			    BIT(RTA_CACHEINFO) | BIT(RTA_NH_ID) | BIT(RTA_EXPIRES) | BIT(RTA_IIF), keep_route },
	[MIRROR_RULES] = { RTM_NEWRULE, sizeof(struct fib_rule_hdr), 0, keep_rule },
	[MIRROR_NEIGHBOURS] = { RTM_NEWNEIGH, sizeof(struct ndmsg),
				BIT(NDA_CACHEINFO) | BIT(NDA_PROBES) | BIT(NDA_FLAGS_EXT), keep_neighbour },
	[MIRROR_PORTS] = { RTM_NEWNEIGH, sizeof(struct ndmsg),
			   BIT(NDA_CACHEINFO) | BIT(NDA_MASTER) | BIT(NDA_VLAN) | BIT(NDA_FLAGS_EXT), keep_port },
};

/* The next hops without what the kernel found out about them. */
static void put_hops(struct nlmsghdr *request, const struct nlattr *attribute)
{
	struct nlattr *copy = mnl_nlmsg_get_payload_tail(request);
	struct rtnexthop *hop;
	int left = mnl_attr_get_payload_len(attribute);

	mnl_attr_put(request, RTA_MULTIPATH, (size_t)left, mnl_attr_get_payload(attribute));
	for (hop = mnl_attr_get_payload(copy); left >= (int)sizeof(*hop) && RTNH_OK(hop, left);) {
		hop->rtnh_flags &= RTNH_F_ONLINK;
		left -= (int)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
}

/* An address is there at once, without asking the network whether it is somebody else's. */
static void put_address_flags(struct nlmsghdr *request, const struct nlattr *attribute)
{
	uint32_t flags;

	if (mnl_attr_get_payload_len(attribute) < sizeof(flags))
		return; /* what is made is never longer than what was told */
	memcpy(&flags, mnl_attr_get_payload(attribute), sizeof(flags));
	mnl_attr_put_u32(request, IFA_FLAGS, (flags & ADDRESS_FLAGS) | IFA_F_PERMANENT | IFA_F_NODAD);
}

bool mirror_message_make(enum mirror_part part, const struct nlmsghdr *message, struct nlmsghdr *buffer)
{
	size_t header = parts[part].header;
	const struct nlattr *attribute;
	struct nlmsghdr *request;

	if (!header || message->nlmsg_type != parts[part].type || mnl_nlmsg_get_payload_len(message) < header ||
	    message->nlmsg_len > MIRROR_MESSAGE_MAX - 64)
		return false;
	memset(buffer, 0, message->nlmsg_len + 64); /* not every libmnl writes what fills attributes up */
	request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = message->nlmsg_type;
	memcpy(mnl_nlmsg_put_extra_header(request, header), mnl_nlmsg_get_payload(message), header);
	if (!parts[part].keep(request))
		return false;
	mnl_attr_for_each(attribute, message, header) {
		uint16_t type = mnl_attr_get_type(attribute);

		if (type < 64 && (parts[part].without & BIT(type)))
			continue;
		if (part == MIRROR_ROUTES && type == RTA_MULTIPATH)
			put_hops(request, attribute);
		else if (part == MIRROR_ADDRESSES && type == IFA_FLAGS)
			put_address_flags(request, attribute);
		else
			mnl_attr_put(request, attribute->nla_type, mnl_attr_get_payload_len(attribute),
				     mnl_attr_get_payload(attribute));
	}
	return true;
}

static uint32_t u32_of(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= 4 ? mnl_attr_get_u32(attribute) : 0;
}

static bool take_text(const struct nlattr *attribute, char *text, size_t size)
{
	size_t length = attribute ? strnlen(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute)) : 0;

	if (length == 0 || length >= size)
		return false;
	memcpy(text, mnl_attr_get_payload(attribute), length);
	text[length] = '\0';
	return true;
}

static void take_info(const struct nlattr *info, struct mirror_link *link)
{
	const struct nlattr *attribute;
	char kind[16] = "";

	mnl_attr_for_each_nested(attribute, info) {
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_INFO_KIND:
			take_text(attribute, link->kind, sizeof(link->kind));
			break;
		case IFLA_INFO_DATA:
			link->settings = attribute;
			break;
		case IFLA_INFO_SLAVE_KIND:
			take_text(attribute, kind, sizeof(kind));
			break;
		case IFLA_INFO_SLAVE_DATA:
			link->port = attribute;
			break;
		}
	}
	if (strcmp(link->kind, "bridge") != 0)
		link->settings = NULL;
	if (strcmp(kind, "bridge") != 0)
		link->port = NULL;
}

static bool has_program(const struct nlattr *xdp)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, xdp)
		if (mnl_attr_get_type(attribute) == IFLA_XDP_ATTACHED && mnl_attr_get_payload_len(attribute) >= 1)
			return mnl_attr_get_u8(attribute) != 0;
	return false;
}

bool mirror_qdisc_parse(const struct nlmsghdr *message, unsigned *ret)
{
	const struct tcmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	char kind[16] = "";

	if (message->nlmsg_type != RTM_NEWQDISC || mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return false;
	mnl_attr_for_each(attribute, message, sizeof(*info))
		if (mnl_attr_get_type(attribute) == TCA_KIND)
			take_text(attribute, kind, sizeof(kind));
	*ret = (unsigned)info->tcm_ifindex;
	return strcmp(kind, "clsact") == 0 || strcmp(kind, "ingress") == 0;
}

bool mirror_link_parse(const struct nlmsghdr *message, struct mirror_link *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[IFLA_MAX + 1] = { NULL }, *attribute;
	struct mirror_link link = { 0 };

	if (message->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(message) < sizeof(*info) ||
	    info->ifi_family != AF_UNSPEC || info->ifi_index <= 0)
		return false;
	mnl_attr_for_each(attribute, message, sizeof(*info))
		if (mnl_attr_get_type(attribute) <= IFLA_MAX)
			table[mnl_attr_get_type(attribute)] = attribute;
	if (!take_text(table[IFLA_IFNAME], link.name, sizeof(link.name)))
		return false;
	link.index = (unsigned)info->ifi_index;
	link.up = info->ifi_flags & IFF_UP;
	link.carrier = info->ifi_flags & IFF_LOWER_UP;
	link.loopback = info->ifi_flags & IFF_LOOPBACK;
	link.ethernet = info->ifi_type == ARPHRD_ETHER;
	link.master = u32_of(table[IFLA_MASTER]);
	link.xdp = table[IFLA_XDP] && has_program(table[IFLA_XDP]);
	link.mtu = u32_of(table[IFLA_MTU]);
	if (table[IFLA_ADDRESS] && mnl_attr_get_payload_len(table[IFLA_ADDRESS]) == sizeof(link.mac))
		memcpy(link.mac, mnl_attr_get_payload(table[IFLA_ADDRESS]), sizeof(link.mac));
	if (table[IFLA_LINKINFO])
		take_info(table[IFLA_LINKINFO], &link);
	*ret = link;
	return true;
}
