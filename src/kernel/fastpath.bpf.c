/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast path, two programs at each Ethernet interface. `fastpath_out`, where packets leave, notes what the whole of the
 * firewall just let through: as it arrived, and as it leaves. `fastpath_in`, where they arrive, sends what is known so on its
 * way itself. It decides nothing. What was seen to pass counts for a second; then a packet goes the long way again, by
 * which the connection table, the neighbours and everybody's rules hear of the connection.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel/fastpath_maps.h"

#define LIFE 1000000000ULL /* how long what was seen to pass counts */
#define ASK_AFTER 1000000000ULL /* a TCP connection is worth asking for when it is as old as that */
#define SENT 0x5350 /* skb->tc_index between our two programs: sent by the first */

#define AF_INET 2
#define AF_INET6 10
#define FRAGMENT 0x3fff /* offset, and more to come */
#define CURRENT_NETNS (-1)

/* How packets of a direction leave. */
struct flow {
	__u64 learned; /* 0: not yet */
	__u64 asked; /* when it was first seen, or user space was last asked to make it liberal */
	__u32 interface, mark, priority, mtu;
	__u16 source_port, target_port;
	__u32 source[4], target[4]; /* after NAT; those of a key and these lie alike */
	__u8 ethernet[2 * ETH_ALEN];
	__u8 translated;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fastpath_lease);
} lease SEC(".maps");

/* As many as there are processors: fastpath.c says. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fastpath_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FASTPATH_FLOWS);
	__type(key, struct fastpath_key);
	__type(value, struct flow);
} flows SEC(".maps");

/* TCP connections that user space is to make liberal, in the opener's direction. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, FASTPATH_ASKS);
} asks SEC(".maps");

/* Of the kernel's own types, the parts that are read here; where they are it says itself. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
union nf_inet_addr {
	__u32 all[4];
};
struct nf_conntrack_man {
	union nf_inet_addr u3;
	union {
		__be16 all;
	} u;
};
struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
};
struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};
struct ip_ct_tcp_state {
	__u8 flags;
};
struct ip_ct_tcp {
	struct ip_ct_tcp_state seen[2];
	__u8 state;
};
union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
};
struct netns_xfrm {
	unsigned policy_count[6]; /* those of a direction: in, out, forward */
	__u8 policy_default[3];
};
struct net {
	struct netns_xfrm xfrm;
};
typedef struct {
	struct net *net;
} possible_net_t;
struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	possible_net_t ct_net;
	union nf_conntrack_proto proto;
};
#pragma clang attribute pop

#define ORIGINAL 0
#define REPLY 1
#define SEEN_REPLY (1UL << 1)
/*
 * With sequence numbers to correct (a SYN proxy), dying, with a time that is fixed, a template, with a helper that reads what
 * is said, offloaded otherwise: IPS_* of <linux/netfilter/nf_conntrack_common.h>.
 */
#define PASSED_OVER (1UL << 6 | 1UL << 9 | 1UL << 10 | 1UL << 11 | 1UL << 13 | 1UL << 14)
#define XFRM_BLOCK 1 /* of policy_default: what no policy is about */
#define TCP_ESTABLISHED 3
#define TCP_BE_LIBERAL 0x08

struct bpf_ct_opts___short {
	__s32 netns_id, error;
	__u8 l4proto, dir, reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts___short *options, __u32 options_size) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

#define L3 ETH_HLEN

#define FRAME_MIN 60 /* shorter ones are filled up */

enum packet_kind {
	PACKET_OTHER, /* it goes the long way */
	PACKET_ENDS, /* it begins or ends a TCP connection, and goes the long way */
	PACKET_DATA,
};

/*
 * TCP or UDP without options, fragments, tags or anything behind its end: its addresses and ports, and the bytes of its
 * headers after Ethernet's.
 */
static __always_inline enum packet_kind packet_parse(struct __sk_buff *skb, struct fastpath_key *key, __u32 *headers)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *ethernet = data;
	struct ipv6hdr *ip6 = data + L3;
	struct iphdr *ip = data + L3;
	struct udphdr *udp;
	struct tcphdr *tcp;
	__u32 length;
	void *l4;

	if (skb->vlan_present || data + L3 + sizeof(*ip6) > end)
		return PACKET_OTHER;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		if (ip->version != 4 || ip->ihl != 5 || ip->frag_off & bpf_htons(FRAGMENT) || ip->ttl < 2)
			return PACKET_OTHER;
		length = bpf_ntohs(ip->tot_len);
		key->family = 4;
		key->proto = ip->protocol;
		key->source[0] = ip->saddr;
		key->target[0] = ip->daddr;
		l4 = ip + 1;
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		if (ip6->version != 6 || ip6->hop_limit < 2)
			return PACKET_OTHER;
		length = bpf_ntohs(ip6->payload_len) + sizeof(*ip6);
		key->family = 6;
		key->proto = ip6->nexthdr;
		__builtin_memcpy(key->source, &ip6->saddr, 2 * sizeof(key->source));
		l4 = ip6 + 1;
	} else {
		return PACKET_OTHER;
	}
	/* several that were put together have one length, or none; inside a tunnel they would be longer than they look */
	if (skb->gso_size ? key->proto != IPPROTO_TCP : skb->len > FRAME_MIN && skb->len - L3 != length)
		return PACKET_OTHER;
	udp = l4;
	tcp = l4;
	if (key->proto == IPPROTO_UDP && l4 + sizeof(*udp) <= end) {
		key->source_port = udp->source;
		key->target_port = udp->dest;
		*headers = l4 + sizeof(*udp) - data - L3;
		return PACKET_DATA;
	}
	if (key->proto != IPPROTO_TCP || l4 + sizeof(*tcp) > end)
		return PACKET_OTHER;
	key->source_port = tcp->source;
	key->target_port = tcp->dest;
	*headers = l4 - data - L3 + tcp->doff * 4;
	if (tcp->syn || tcp->fin || tcp->rst)
		return PACKET_ENDS;
	return tcp->ack ? PACKET_DATA : PACKET_OTHER;
}

/* What NAT did, by IPv4: checksums follow the difference. False when it is done in part. */
static __always_inline _Bool packet_translate(struct __sk_buff *skb, const struct fastpath_key *key, struct flow *flow)
{
	__u32 l4 = L3 + sizeof(struct iphdr);
	__u32 sum = l4 + (key->proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check));
	__u64 flags = key->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0; /* without a sum it stays so */
	__s64 difference =
		bpf_csum_diff((void *)key->source, 2 * sizeof(key->source), flow->source, 2 * sizeof(flow->source), 0);
	__u32 addresses[2] = { flow->source[0], flow->target[0] };
	__u16 ports[2] = { flow->source_port, flow->target_port };

	return bpf_l4_csum_replace(skb, sum, 0, difference, BPF_F_PSEUDO_HDR | flags) == 0 &&
	       bpf_l4_csum_replace(skb, sum, key->source_port, ports[0], sizeof(ports[0]) | flags) == 0 &&
	       bpf_l4_csum_replace(skb, sum, key->target_port, ports[1], sizeof(ports[1]) | flags) == 0 &&
	       bpf_skb_store_bytes(skb, l4, ports, sizeof(ports), 0) == 0 &&
	       bpf_l3_csum_replace(skb, L3 + offsetof(struct iphdr, check), 0, difference, 0) == 0 &&
	       bpf_skb_store_bytes(skb, L3 + offsetof(struct iphdr, saddr), addresses, sizeof(addresses), 0) == 0;
}

/* One hop less to live, and the next hop's address. The sum of a packet that the card made has the hops of IPv6 in it. */
static __always_inline _Bool packet_address(struct __sk_buff *skb, const struct fastpath_key *key,
					    const struct flow *flow)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip6 = data + L3;
	struct iphdr *ip = data + L3;
	__u32 sum;
	__u8 hops;

	if (data + L3 + sizeof(*ip6) > end)
		return 0;
	if (key->family == 4) {
		sum = ip->check + bpf_htons(0x0100);
		ip->check = sum + (sum >= 0xffff);
		ip->ttl--;
		__builtin_memcpy(data, flow->ethernet, sizeof(flow->ethernet));
		return 1;
	}
	hops = ip6->hop_limit - 1;
	__builtin_memcpy(data, flow->ethernet, sizeof(flow->ethernet));
	return bpf_skb_store_bytes(skb, L3 + offsetof(struct ipv6hdr, hop_limit), &hops, sizeof(hops),
				   BPF_F_RECOMPUTE_CSUM) == 0;
}

static __always_inline struct fastpath_count *count(void)
{
	__u32 processor = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counts, &processor);
}

static __always_inline struct fastpath_lease *lease_held(__u64 now)
{
	struct fastpath_lease *held = bpf_map_lookup_elem(&lease, &(__u32){ 0 });

	return held && now < held->until ? held : NULL;
}

/*
 * A copy of what is known of a direction. The kernel gives an element that was replaced to another one at once: what was copied
 * is ours if it still stands in its place.
 */
static __always_inline _Bool flow_copy(const struct fastpath_key *key, struct flow *ret)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow)
		return 0;
	*ret = *flow;
	barrier();
	return bpf_map_lookup_elem(&flows, key) == flow;
}

SEC("tc")
int fastpath_in(struct __sk_buff *skb)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct fastpath_lease *held = lease_held(now);
	struct fastpath_key key = {};
	struct fastpath_count *counted;
	enum packet_kind kind;
	__u32 headers = 0;
	struct flow flow;

	if (!held || skb->pkt_type != PACKET_HOST)
		return TC_ACT_UNSPEC;
	kind = packet_parse(skb, &key, &headers);
	key.interface = skb->ifindex;
	if (kind == PACKET_ENDS) /* the next connection may have the same ports */
		bpf_map_delete_elem(&flows, &key);
	if (kind != PACKET_DATA || !flow_copy(&key, &flow) || flow.learned < held->since || now - flow.learned > LIFE ||
	    (skb->gso_size ? headers + skb->gso_size : skb->len - L3) > flow.mtu)
		return TC_ACT_UNSPEC;
	if ((flow.translated && !packet_translate(skb, &key, &flow)) || !packet_address(skb, &key, &flow))
		return TC_ACT_SHOT;
	skb->mark = flow.mark;
	skb->priority = flow.priority;
	skb->tc_index = SENT;
	counted = count();
	if (counted)
		counted->packets++;
	return bpf_redirect(flow.interface, 0);
}

#define TUPLE_COPY(key, from)                                                                                          \
	do {                                                                                                           \
		(key)->source_port = (from).src.u.all;                                                                 \
		(key)->target_port = (from).dst.u.all;                                                                 \
		(key)->source[0] = (from).src.u3.all[0];                                                               \
		(key)->source[1] = (from).src.u3.all[1];                                                               \
		(key)->source[2] = (from).src.u3.all[2];                                                               \
		(key)->source[3] = (from).src.u3.all[3];                                                               \
		(key)->target[0] = (from).dst.u3.all[0];                                                               \
		(key)->target[1] = (from).dst.u3.all[1];                                                               \
		(key)->target[2] = (from).dst.u3.all[2];                                                               \
		(key)->target[3] = (from).dst.u3.all[3];                                                               \
	} while (0)

/* What the connection table says of a packet that leaves. */
struct known {
	__u8 direction;
	__u8 strict; /* TCP whose windows are checked: packets that were not seen would make others invalid */
};

/* Whether packets are looked at by what they came out of, as IPsec does: nothing here knows of that. */
static __always_inline _Bool has_xfrm_policies(const struct nf_conn *connection)
{
	const struct netns_xfrm *xfrm = &connection->ct_net.net->xfrm;

	if (!bpf_core_field_exists(xfrm->policy_count))
		return 0;
	if (xfrm->policy_count[0] || xfrm->policy_count[1] || xfrm->policy_count[2])
		return 1;
	return bpf_core_field_exists(xfrm->policy_default) &&
	       (xfrm->policy_default[0] == XFRM_BLOCK || xfrm->policy_default[1] == XFRM_BLOCK ||
		xfrm->policy_default[2] == XFRM_BLOCK);
}

/* As the packet arrived, by the connection table; false for one that has to go the long way. */
static __always_inline _Bool packet_before(struct __sk_buff *skb, const struct fastpath_key *leaving,
					   struct fastpath_key *arrived, struct known *known)
{
	struct bpf_ct_opts___short options = { .netns_id = CURRENT_NETNS, .l4proto = leaving->proto };
	_Bool tcp = leaving->proto == IPPROTO_TCP, fit;
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *connection;
	__u32 size;

	/* asked for by what its answer would be: that has the addresses of after NAT */
	if (leaving->family == 4) {
		size = sizeof(tuple.ipv4);
		tuple.ipv4.saddr = leaving->target[0];
		tuple.ipv4.daddr = leaving->source[0];
		tuple.ipv4.sport = leaving->target_port;
		tuple.ipv4.dport = leaving->source_port;
	} else {
		size = sizeof(tuple.ipv6);
		__builtin_memcpy(tuple.ipv6.saddr, leaving->target, sizeof(leaving->target));
		__builtin_memcpy(tuple.ipv6.daddr, leaving->source, sizeof(leaving->source));
		tuple.ipv6.sport = leaving->target_port;
		tuple.ipv6.dport = leaving->source_port;
	}
	connection = bpf_skb_ct_lookup(skb, &tuple, size, &options, sizeof(options));
	if (!connection)
		return 0;
	fit = (connection->status & SEEN_REPLY) && !(connection->status & PASSED_OVER) &&
	      (!tcp || connection->proto.tcp.state == TCP_ESTABLISHED) && !has_xfrm_policies(connection);
	known->strict = tcp && !(connection->proto.tcp.seen[ORIGINAL].flags & connection->proto.tcp.seen[REPLY].flags &
				 TCP_BE_LIBERAL);
	if (options.dir == REPLY) {
		known->direction = ORIGINAL;
		TUPLE_COPY(arrived, connection->tuplehash[ORIGINAL].tuple);
	} else {
		known->direction = REPLY;
		TUPLE_COPY(arrived, connection->tuplehash[REPLY].tuple);
	}
	bpf_ct_release(connection);
	arrived->interface = skb->ingress_ifindex;
	arrived->family = leaving->family;
	arrived->proto = leaving->proto;
	return fit;
}

static __always_inline void route_question(struct bpf_fib_lookup *route, const struct fastpath_key *key,
					   const __u32 source[4], const __u32 target[4], __u16 source_port,
					   __u16 target_port)
{
	route->l4_protocol = key->proto;
	route->sport = source_port;
	route->dport = target_port;
	route->ifindex = key->interface;
	route->tot_len = 1; /* any number asks for the MTU of the route */
	if (key->family == 4) {
		route->family = AF_INET;
		route->ipv4_src = source[0];
		route->ipv4_dst = target[0];
	} else {
		route->family = AF_INET6;
		__builtin_memcpy(route->ipv6_src, source, sizeof(route->ipv6_src));
		__builtin_memcpy(route->ipv6_dst, target, sizeof(route->ipv6_dst));
	}
}

/*
 * Whether it was forwarded, not sent by this machine or a tunnel of it: nobody else has the address it came from. And the next
 * hop is the one that the routes say, by whichever way it got here: a copy for somebody else, or what a mark of other rules
 * sent another way, is not noted.
 */
static __always_inline _Bool is_routed(struct __sk_buff *skb, const struct fastpath_key *arrived, struct flow *flow)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct bpf_fib_lookup back = {}, on = {};
	__u8 differ = 0, *leaving = data;
	long r;

	route_question(&back, arrived, arrived->target, arrived->source, arrived->target_port, arrived->source_port);
	r = bpf_fib_lookup(skb, &back, sizeof(back), 0);
	if (r != BPF_FIB_LKUP_RET_SUCCESS && r != BPF_FIB_LKUP_RET_NO_NEIGH)
		return 0;
	route_question(&on, arrived, arrived->source, flow->target, arrived->source_port, flow->target_port);
	if (bpf_fib_lookup(skb, &on, sizeof(on), 0) != BPF_FIB_LKUP_RET_SUCCESS || on.ifindex != flow->interface ||
	    data + sizeof(flow->ethernet) > end)
		return 0;
	flow->mtu = on.mtu_result;
	__builtin_memcpy(flow->ethernet, on.dmac, ETH_ALEN);
	__builtin_memcpy(flow->ethernet + ETH_ALEN, on.smac, ETH_ALEN);
#pragma unroll
	for (unsigned k = 0; k < sizeof(flow->ethernet); k++)
		differ |= flow->ethernet[k] ^ leaving[k];
	return !differ;
}

static __always_inline _Bool is_translated(const struct fastpath_key *arrived, const struct flow *flow)
{
	__u32 differ = (arrived->source_port ^ flow->source_port) | (arrived->target_port ^ flow->target_port);

#pragma unroll
	for (int i = 0; i < 4; i++)
		differ |= (arrived->source[i] ^ flow->source[i]) | (arrived->target[i] ^ flow->target[i]);
	return differ != 0;
}

/* Once a second, for a connection that has lived so long. */
static __always_inline void ask(const struct fastpath_key *arrived, __u64 now)
{
	struct flow *seen = bpf_map_lookup_elem(&flows, arrived), first = { .asked = now };

	if (!seen)
		bpf_map_update_elem(&flows, arrived, &first, BPF_ANY);
	else if (now - seen->asked > ASK_AFTER && bpf_ringbuf_output(&asks, (void *)arrived, sizeof(*arrived), 0) == 0)
		seen->asked = now;
}

SEC("tc")
int fastpath_out(struct __sk_buff *skb)
{
	struct fastpath_key leaving = {}, arrived = {};
	struct flow flow = { .interface = skb->ifindex, .mark = skb->mark, .priority = skb->priority };
	__u64 now = bpf_ktime_get_coarse_ns();
	struct fastpath_count *counted;
	struct known known = {};
	__u32 headers;

	if (skb->tc_index == SENT) {
		skb->tc_index = 0;
		return TC_ACT_UNSPEC;
	}
	if (!skb->ingress_ifindex || skb->ingress_ifindex == skb->ifindex || !lease_held(now) ||
	    packet_parse(skb, &leaving, &headers) != PACKET_DATA || !packet_before(skb, &leaving, &arrived, &known))
		return TC_ACT_UNSPEC;
	if (known.strict) {
		if (known.direction == ORIGINAL)
			ask(&arrived, now);
		return TC_ACT_UNSPEC;
	}
	flow.source_port = leaving.source_port;
	flow.target_port = leaving.target_port;
	__builtin_memcpy(flow.source, leaving.source, 2 * sizeof(flow.source));
	if (!is_routed(skb, &arrived, &flow))
		return TC_ACT_UNSPEC;
	flow.translated = is_translated(&arrived, &flow);
	if (flow.translated &&
	    leaving.family == 6) /* kernels before 6.16 cannot correct such a sum where the card made it */
		return TC_ACT_UNSPEC;
	flow.learned = now;
	bpf_map_update_elem(&flows, &arrived, &flow, BPF_ANY);
	counted = count();
	if (counted)
		counted->learned++;
	return TC_ACT_UNSPEC;
}

char gpl[] SEC("license") = "GPL";
