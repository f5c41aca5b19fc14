/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_RTMESSAGE_H
#define SPR_KERNEL_RTMESSAGE_H

#include <linux/netlink.h>
#include <stdbool.h>

#include "inventory/inventory.h"

/*
 * What rtnetlink messages say, in the inventory's words. Pure: nothing but the message is looked at, and any bytes may
 * be in it (its length must be right). Each returns false for a message that is not of its kind, is malformed, or is to
 * be passed over.
 */

/* RTM_NEWLINK, RTM_DELLINK; wireless events and what bridges say about their ports are passed over. */
bool rtmessage_interface(const struct nlmsghdr *message, struct interface *ret);

struct interface_address {
	unsigned interface;
	struct prefix prefix; /* length of the subnet; of the address alone where the peer is outside it */
};

/* RTM_NEWADDR, RTM_DELADDR. */
bool rtmessage_address(const struct nlmsghdr *message, struct interface_address *ret);

struct route_message {
	struct route route; /* without its next hop where there are several */
	uint8_t type, protocol; /* RTN_*, RTPROT_* */
	const struct nlattr *hops; /* RTA_MULTIPATH or NULL; points into the message */
};

/* RTM_NEWROUTE, RTM_DELROUTE, of every type; cached clones are passed over. */
bool rtmessage_route(const struct nlmsghdr *message, struct route_message *ret);

/* Whether the inventory lists it: unicast, and not of table local. */
bool rtmessage_route_counts(const struct route_message *route);

/* Calls `each` for every next hop. A negative return of it ends and is returned. */
int rtmessage_hops(const struct route_message *route, int (*each)(const struct route *route, void *data), void *data);

#endif
