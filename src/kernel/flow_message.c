/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/flow_message.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>

/* One direction of a flow. */
struct tuple {
	uint8_t proto;
	struct addr from, to;
	uint16_t from_port, to_port, zone;
	uint16_t icmp_id;
	uint8_t icmp_type, icmp_code;
};

#define FILTER_SOURCE 1u /* CTA_FILTER_F_CTA_IP_SRC of the kernel, which has no header for it */

#define MESSAGE(subsystem, type) ((uint16_t)((subsystem) << 8 | (type)))

/* Notes where each attribute of a nest is. */
static void nested(const struct nlattr *nest, const struct nlattr **table, size_t n)
{
	const struct nlattr *attribute;

	if (nest)
		mnl_attr_for_each_nested(attribute, nest)
			if (mnl_attr_get_type(attribute) < n)
				table[mnl_attr_get_type(attribute)] = attribute;
}

static uint8_t attribute_u8(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= 1 ? mnl_attr_get_u8(attribute) : 0;
}

static uint16_t attribute_u16(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= 2 ? ntohs(mnl_attr_get_u16(attribute)) : 0;
}

static uint32_t attribute_u32(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= 4 ? ntohl(mnl_attr_get_u32(attribute)) : 0;
}

static bool attribute_addr(const struct nlattr *attribute, uint8_t family, struct addr *ret)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != addr_size(family))
		return false;
	*ret = (struct addr){ .family = family };
	memcpy(ret->bytes, mnl_attr_get_payload(attribute), addr_size(family));
	return true;
}

static void tuple_parse_proto(const struct nlattr *nest, struct tuple *tuple)
{
	const struct nlattr *table[CTA_PROTO_MAX + 1] = { NULL };
	bool v6;

	nested(nest, table, ELEMENTSOF(table));
	tuple->proto = attribute_u8(table[CTA_PROTO_NUM]);
	tuple->from_port = attribute_u16(table[CTA_PROTO_SRC_PORT]);
	tuple->to_port = attribute_u16(table[CTA_PROTO_DST_PORT]);
	v6 = tuple->proto == IPPROTO_ICMPV6;
	tuple->icmp_id = attribute_u16(table[v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID]);
	tuple->icmp_type = attribute_u8(table[v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE]);
	tuple->icmp_code = attribute_u8(table[v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE]);
}

static bool tuple_parse(const struct nlattr *nest, uint8_t family, struct tuple *ret)
{
	const struct nlattr *table[CTA_TUPLE_MAX + 1] = { NULL }, *ip[CTA_IP_MAX + 1] = { NULL };
	bool v6 = family == AF_INET6;
	struct tuple tuple = { 0 };

	nested(nest, table, ELEMENTSOF(table));
	nested(table[CTA_TUPLE_IP], ip, ELEMENTSOF(ip));
	if (!attribute_addr(ip[v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC], family, &tuple.from) ||
	    !attribute_addr(ip[v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST], family, &tuple.to))
		return false;
	tuple_parse_proto(table[CTA_TUPLE_PROTO], &tuple);
	tuple.zone = attribute_u16(table[CTA_TUPLE_ZONE]);
	*ret = tuple;
	return true;
}

static uint8_t tcp_state(const struct nlattr *protoinfo)
{
	const struct nlattr *info[CTA_PROTOINFO_MAX + 1] = { NULL }, *tcp[CTA_PROTOINFO_TCP_MAX + 1] = { NULL };

	nested(protoinfo, info, ELEMENTSOF(info));
	nested(info[CTA_PROTOINFO_TCP], tcp, ELEMENTSOF(tcp));
	return attribute_u8(tcp[CTA_PROTOINFO_TCP_STATE]);
}

bool flow_message_parse(const struct nlmsghdr *message, struct flow *ret)
{
	const struct nfgenmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[CTA_MAX + 1] = { NULL }, *attribute;
	struct tuple original, reply;

	if (message->nlmsg_type != MESSAGE(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW) ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info) ||
	    (info->nfgen_family != AF_INET && info->nfgen_family != AF_INET6))
		return false;
	mnl_attr_for_each(attribute, message, sizeof(*info))
		if (mnl_attr_get_type(attribute) < ELEMENTSOF(table))
			table[mnl_attr_get_type(attribute)] = attribute;
	if (!tuple_parse(table[CTA_TUPLE_ORIG], info->nfgen_family, &original) ||
	    !tuple_parse(table[CTA_TUPLE_REPLY], info->nfgen_family, &reply))
		return false;

	*ret = (struct flow){
		.proto = original.proto,
		.from = original.from,
		.to = original.to,
		.from_port = original.from_port,
		.to_port = original.to_port,
		.icmp_id = original.icmp_id,
		.icmp_type = original.icmp_type,
		.icmp_code = original.icmp_code,
		.reply_from = reply.from,
		.reply_to = reply.to,
		.reply_from_port = reply.from_port,
		.reply_to_port = reply.to_port,
		.status = attribute_u32(table[CTA_STATUS]),
		.id = attribute_u32(table[CTA_ID]),
		.zone = table[CTA_ZONE] ? attribute_u16(table[CTA_ZONE]) : original.zone,
		.tcp_state = tcp_state(table[CTA_PROTOINFO]),
	};
	return true;
}

static struct nlmsghdr *request(void *buffer, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *info = mnl_nlmsg_put_extra_header(header, sizeof(*info));

	header->nlmsg_type = MESSAGE(NFNL_SUBSYS_CTNETLINK, type);
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	info->nfgen_family = family;
	info->version = NFNETLINK_V0;
	return header;
}

struct nlmsghdr *flow_message_count(void *buffer)
{
	return request(buffer, IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC);
}

bool flow_message_parse_count(const struct nlmsghdr *message, uint32_t *ret)
{
	const struct nlattr *attribute;

	if (message->nlmsg_type != MESSAGE(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET_STATS) ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return false;
	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attribute) == CTA_STATS_GLOBAL_ENTRIES &&
		    mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0) {
			*ret = ntohl(mnl_attr_get_u32(attribute));
			return true;
		}
	return false;
}

struct nlmsghdr *flow_message_list(void *buffer, uint8_t family)
{
	return request(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
}

struct nlmsghdr *flow_message_delete_all(void *buffer)
{
	return request(buffer, IPCTNL_MSG_CT_DELETE, 0, AF_UNSPEC);
}

/*
 * CTA_FILTER says which fields of the tuples count (ctnetlink_alloc_filter() in nf_conntrack_netlink.c). A kernel that
 * does not know it sends all flows. Only for IPv4: of IPv6 addresses, Linux (6.18 at least) picks the others.
 */
struct nlmsghdr *flow_message_list_of(void *buffer, const struct addr *source, bool reply)
{
	struct nlmsghdr *header = request(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_INET);
	struct nlattr *tuple = mnl_attr_nest_start(header, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG), *nest;

	nest = mnl_attr_nest_start(header, CTA_TUPLE_IP);
	mnl_attr_put(header, CTA_IP_V4_SRC, 4, source->bytes);
	mnl_attr_nest_end(header, nest);
	mnl_attr_nest_end(header, tuple);
	nest = mnl_attr_nest_start(header, CTA_FILTER);
	mnl_attr_put_u32(header, CTA_FILTER_ORIG_FLAGS, reply ? 0 : FILTER_SOURCE);
	mnl_attr_put_u32(header, CTA_FILTER_REPLY_FLAGS, reply ? FILTER_SOURCE : 0);
	mnl_attr_nest_end(header, nest);
	return header;
}

static void put_proto(struct nlmsghdr *header, const struct flow *flow)
{
	mnl_attr_put_u8(header, CTA_PROTO_NUM, flow->proto);
	switch (flow->proto) {
	case IPPROTO_ICMP:
		mnl_attr_put_u16(header, CTA_PROTO_ICMP_ID, htons(flow->icmp_id));
		mnl_attr_put_u8(header, CTA_PROTO_ICMP_TYPE, flow->icmp_type);
		mnl_attr_put_u8(header, CTA_PROTO_ICMP_CODE, flow->icmp_code);
		return;
	case IPPROTO_ICMPV6:
		mnl_attr_put_u16(header, CTA_PROTO_ICMPV6_ID, htons(flow->icmp_id));
		mnl_attr_put_u8(header, CTA_PROTO_ICMPV6_TYPE, flow->icmp_type);
		mnl_attr_put_u8(header, CTA_PROTO_ICMPV6_CODE, flow->icmp_code);
		return;
	default: /* protocols without ports pass over them */
		mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(flow->from_port));
		mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(flow->to_port));
		return;
	}
}

/* One direction, `type` CTA_TUPLE_ORIG or CTA_TUPLE_REPLY. */
static void put_tuple(struct nlmsghdr *header, uint16_t type, const struct flow *flow)
{
	bool v6 = flow->from.family == AF_INET6;
	struct nlattr *tuple = mnl_attr_nest_start(header, type), *nest;

	nest = mnl_attr_nest_start(header, CTA_TUPLE_IP);
	mnl_attr_put(header, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, addr_size(flow->from.family), flow->from.bytes);
	mnl_attr_put(header, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, addr_size(flow->to.family), flow->to.bytes);
	mnl_attr_nest_end(header, nest);
	nest = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
	put_proto(header, flow);
	mnl_attr_nest_end(header, nest);
	mnl_attr_nest_end(header, tuple);
}

size_t flow_message_delete(void *buffer, const struct flow *flow)
{
	struct nlmsghdr *header = request(buffer, IPCTNL_MSG_CT_DELETE, 0, flow->from.family);

	put_tuple(header, CTA_TUPLE_ORIG, flow);
	if (flow->zone)
		mnl_attr_put_u16(header, CTA_ZONE, htons(flow->zone));
	mnl_attr_put_u32(header, CTA_ID, htonl(flow->id));
	return NLMSG_ALIGN(header->nlmsg_len);
}

/* TCP's part; `state` 0: as it is. */
static void put_liberal(struct nlmsghdr *header, uint8_t state)
{
	static const struct nf_ct_tcp_flags liberal = { IP_CT_TCP_FLAG_BE_LIBERAL, IP_CT_TCP_FLAG_BE_LIBERAL };
	struct nlattr *info = mnl_attr_nest_start(header, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(header, CTA_PROTOINFO_TCP);

	if (state)
		mnl_attr_put_u8(header, CTA_PROTOINFO_TCP_STATE, state);
	mnl_attr_put(header, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(liberal), &liberal);
	mnl_attr_put(header, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(liberal), &liberal);
	mnl_attr_nest_end(header, tcp);
	mnl_attr_nest_end(header, info);
}

/* Nobody knows the windows of a connection whose beginning was not seen: they are not checked. */
size_t flow_message_create(void *buffer, const struct flow *flow, uint32_t seconds)
{
	struct nlmsghdr *header = request(buffer, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, flow->from.family);
	struct flow back = *flow;

	back.from = flow->to;
	back.to = flow->from;
	back.from_port = flow->to_port;
	back.to_port = flow->from_port;
	put_tuple(header, CTA_TUPLE_ORIG, flow);
	put_tuple(header, CTA_TUPLE_REPLY, &back);
	mnl_attr_put_u32(header, CTA_STATUS, htonl(IPS_CONFIRMED));
	mnl_attr_put_u32(header, CTA_TIMEOUT, htonl(seconds));
	put_liberal(header, TCP_CONNTRACK_ESTABLISHED);
	return NLMSG_ALIGN(header->nlmsg_len);
}

size_t flow_message_liberal(void *buffer, const struct flow *flow)
{
	struct nlmsghdr *header = request(buffer, IPCTNL_MSG_CT_NEW, 0, flow->from.family);

	put_tuple(header, CTA_TUPLE_ORIG, flow);
	put_liberal(header, 0);
	return NLMSG_ALIGN(header->nlmsg_len);
}
