/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_CONNTRACK_H
#define SPR_KERNEL_CONNTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

struct conntrack;

/* A flow of the connection table. In the original direction from -> to is what the opener sent, before any NAT. */
struct flow {
	uint8_t proto;
	struct addr from, to;
	uint16_t from_port, to_port; /* host order; the keys of GRE; 0 where the protocol has none */
	uint16_t icmp_id; /* of ICMP and ICMPv6, with the opener's type and code */
	uint8_t icmp_type, icmp_code;
	struct addr reply_from, reply_to; /* the reply's addresses: reply_from is `to` after DNAT */
	uint16_t reply_from_port, reply_to_port;
	uint32_t status; /* IPS_* of <linux/netfilter/nf_conntrack_common.h> */
	uint32_t id;
	uint16_t zone;
	uint8_t tcp_state; /* TCP_CONNTRACK_*, 0 for others */
};

int conntrack_open(struct conntrack **ret, struct error *error);
struct conntrack *conntrack_close(struct conntrack *conntrack);

/*
 * Calls `each` for every flow of both families; it may call conntrack_delete() (deletions are sent after the dump).
 * A negative return of `each` ends it and is returned.
 */
int conntrack_each(struct conntrack *conntrack, int (*each)(const struct flow *flow, void *data), void *data,
		   struct error *error);

/*
 * As conntrack_each() for the flows that one of n addresses opened, or answers (after DNAT); one may be seen more than once.
 * Where there are many flows the kernel picks those of IPv4 out (since Linux 5.8), in two walks for each address.
 */
int conntrack_each_of(struct conntrack *conntrack, const struct addr *addresses, size_t n,
		      int (*each)(const struct flow *flow, void *data), void *data, struct error *error);

/*
 * Makes a TCP connection known that was open before connection tracking was, from `from` to `to`, without NAT. That it is
 * known already is no error.
 */
int conntrack_create_tcp(struct conntrack *conntrack, const struct flow *flow, struct error *error);

/*
 * Lets the kernel take every packet of a TCP connection for one of its, whatever the window: for one of which it does not see
 * all packets. The flow's opener and its target tell which. That it is gone already is no error.
 */
int conntrack_make_liberal(struct conntrack *conntrack, const struct flow *flow, struct error *error);

/* Ends all of them. */
int conntrack_delete_all(struct conntrack *conntrack, struct error *error);

/* Ends one flow. That it is gone already is no error. */
int conntrack_delete(struct conntrack *conntrack, const struct flow *flow, struct error *error);

#endif
