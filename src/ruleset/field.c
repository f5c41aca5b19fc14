/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/ruleset.h"

#include <netinet/in.h>

#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#define NO_DIRECTION UINT32_MAX

/* nft's numbers of its data types, from the kernel's point of view an opaque number (nftables: include/datatype.h). */
enum nft_type {
	TYPE_NFPROTO = 2,
	TYPE_INTEGER = 4,
	TYPE_IPADDR = 7,
	TYPE_IP6ADDR = 8,
	TYPE_INET_PROTO = 12,
	TYPE_INET_SERVICE = 13,
	TYPE_ICMP_TYPE = 14,
	TYPE_TCP_FLAG = 15,
	TYPE_MARK = 19,
	TYPE_IFINDEX = 20,
	TYPE_CLASSID = 23,
	TYPE_UID = 24,
	TYPE_CT_STATE = 26,
	TYPE_CT_DIR = 27,
	TYPE_CT_STATUS = 28,
	TYPE_ICMPV6_TYPE = 29,
	TYPE_FIB_ADDR = 38,
	TYPE_BOOLEAN = 39,
	TYPE_IFNAME = 41,
};

#define META(key) LOAD_META, NFT_META_##key, 0, 0
#define NETWORK(offset) LOAD_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, offset, 0
#define TRANSPORT(offset) LOAD_PAYLOAD, NFT_PAYLOAD_TRANSPORT_HEADER, offset, 0
#define CT(key, direction) LOAD_CT, NFT_CT_##key, direction, 0
#define FIB(flags, result) LOAD_FIB, flags, result, 0
#define FIB_SADDR NFTA_FIB_F_SADDR
#define FIB_DADDR NFTA_FIB_F_DADDR
#define FIB_IIF NFTA_FIB_F_IIF
#define FIB_PRESENT NFTA_FIB_F_PRESENT
#define IPOPT_PRESENT NFT_EXTHDR_F_PRESENT
#define IPOPT_LSRR_NUMBER 131 /* RFC 791, 3.1 */
#define IPOPT_SSRR_NUMBER 137

static const struct field_info fields[_FIELD_MAX] = {
	[FIELD_NFPROTO] = { "meta nfproto", "nf_proto", TYPE_NFPROTO, 1, false, META(NFPROTO) },
	[FIELD_L4PROTO] = { "meta l4proto", "inet_proto", TYPE_INET_PROTO, 1, false, META(L4PROTO) },
	[FIELD_IIFNAME] = { "iifname", "ifname", TYPE_IFNAME, IFNAMSIZ, false, META(IIFNAME) },
	[FIELD_OIFNAME] = { "oifname", "ifname", TYPE_IFNAME, IFNAMSIZ, false, META(OIFNAME) },
	[FIELD_OIF] = { "oif", "iface_index", TYPE_IFINDEX, 4, true, META(OIF) },
	[FIELD_PRIORITY] = { "meta priority", "classid", TYPE_CLASSID, 4, true, META(PRIORITY) },
	[FIELD_MARK] = { "meta mark", "mark", TYPE_MARK, 4, true, META(MARK) },
	[FIELD_SKUID] = { "meta skuid", "uid", TYPE_UID, 4, true, META(SKUID) },
	[FIELD_IP_SADDR] = { "ip saddr", "ipv4_addr", TYPE_IPADDR, 4, false, NETWORK(12) },
	[FIELD_IP_DADDR] = { "ip daddr", "ipv4_addr", TYPE_IPADDR, 4, false, NETWORK(16) },
	[FIELD_IP6_SADDR] = { "ip6 saddr", "ipv6_addr", TYPE_IP6ADDR, 16, false, NETWORK(8) },
	[FIELD_IP6_DADDR] = { "ip6 daddr", "ipv6_addr", TYPE_IP6ADDR, 16, false, NETWORK(24) },
	[FIELD_IP_VIHL] = { "@nh,0,8", NULL, 0, 1, false, NETWORK(0) },
	[FIELD_IP_DS] = { "@nh,8,8", NULL, 0, 1, false, NETWORK(1) },
	[FIELD_IP6_HOPLIMIT] = { "ip6 hoplimit", NULL, 0, 1, false, NETWORK(7) },
	[FIELD_TH_SPORT] = { "th sport", "inet_service", TYPE_INET_SERVICE, 2, false, TRANSPORT(0) },
	[FIELD_TH_DPORT] = { "th dport", "inet_service", TYPE_INET_SERVICE, 2, false, TRANSPORT(2) },
	[FIELD_TCP_FLAGS] = { "tcp flags", "tcp_flag", TYPE_TCP_FLAG, 1, false, TRANSPORT(13) },
	[FIELD_ICMP_TYPE] = { "icmp type", "icmp_type", TYPE_ICMP_TYPE, 1, false, TRANSPORT(0) },
	[FIELD_ICMPV6_TYPE] = { "icmpv6 type", "icmpv6_type", TYPE_ICMPV6_TYPE, 1, false, TRANSPORT(0) },
	[FIELD_CT_STATE] = { "ct state", "ct_state", TYPE_CT_STATE, 4, true, CT(STATE, NO_DIRECTION) },
	[FIELD_CT_DIRECTION] = { "ct direction", "ct_dir", TYPE_CT_DIR, 1, false, CT(DIRECTION, NO_DIRECTION) },
	[FIELD_CT_STATUS] = { "ct status", "ct_status", TYPE_CT_STATUS, 4, true, CT(STATUS, NO_DIRECTION) },
	[FIELD_CT_PROTO_DST] = { "ct original proto-dst", "inet_service", TYPE_INET_SERVICE, 2, false,
				 CT(PROTO_DST, IP_CT_DIR_ORIGINAL) },
	[FIELD_CT_ID] = { "ct id", NULL, TYPE_INTEGER, 4, false, CT(ID, NO_DIRECTION) },
	[FIELD_FIB_SADDR_OIF] = { "fib saddr oif", "iface_index", TYPE_IFINDEX, 4, true,
				  FIB(FIB_SADDR, NFT_FIB_RESULT_OIF) },
	[FIELD_FIB_SADDR_IIF_OIF] = { "fib saddr . iif oif", "boolean", TYPE_BOOLEAN, 1, true,
				      FIB(FIB_SADDR | FIB_IIF | FIB_PRESENT, NFT_FIB_RESULT_OIF) },
	[FIELD_FIB_SADDR_TYPE] = { "fib saddr type", "fib_addrtype", TYPE_FIB_ADDR, 4, true,
				   FIB(FIB_SADDR, NFT_FIB_RESULT_ADDRTYPE) },
	[FIELD_FIB_DADDR_TYPE] = { "fib daddr type", "fib_addrtype", TYPE_FIB_ADDR, 4, true,
				   FIB(FIB_DADDR, NFT_FIB_RESULT_ADDRTYPE) },
	[FIELD_FIB_DADDR_IIF_TYPE] = { "fib daddr . iif type", "fib_addrtype", TYPE_FIB_ADDR, 4, true,
				       FIB(FIB_DADDR | FIB_IIF, NFT_FIB_RESULT_ADDRTYPE) },
	[FIELD_IP_LSRR] = { "ip option lsrr", "boolean", TYPE_BOOLEAN, 1, false, LOAD_EXTHDR, IPOPT_LSRR_NUMBER,
			    NFT_EXTHDR_OP_IPV4, IPOPT_PRESENT },
	[FIELD_IP_SSRR] = { "ip option ssrr", "boolean", TYPE_BOOLEAN, 1, false, LOAD_EXTHDR, IPOPT_SSRR_NUMBER,
			    NFT_EXTHDR_OP_IPV4, IPOPT_PRESENT },
	[FIELD_RT_TYPE] = { "rt type", NULL, 0, 1, false, LOAD_EXTHDR, IPPROTO_ROUTING, NFT_EXTHDR_OP_IPV6, 2u << 16 },
};

const struct field_info *field_info(enum field field)
{
	return &fields[field];
}
