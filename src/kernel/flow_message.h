/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_FLOW_MESSAGE_H
#define SPR_KERNEL_FLOW_MESSAGE_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/conntrack.h"

/*
 * The connection table's messages (nf_conntrack_netlink). Pure. The parser takes any bytes in a message, whose length
 * must be right; false for what is no flow of IPv4 or IPv6.
 */
bool flow_message_parse(const struct nlmsghdr *message, struct flow *ret);

/*
 * Write a request to a buffer of 256 bytes: all flows of a family (AF_UNSPEC: both); those of IPv4 with this source in
 * the original direction, or that of replies; the end of all; the end of one, whose length is returned; one of TCP that is established
 * already and has no NAT, for so many seconds without a packet; one of TCP whose windows are no longer checked.
 */
struct nlmsghdr *flow_message_count(void *buffer); /* how many there are; flow_message_parse_count() reads the answer */
bool flow_message_parse_count(const struct nlmsghdr *message, uint32_t *ret);
struct nlmsghdr *flow_message_list(void *buffer, uint8_t family);
struct nlmsghdr *flow_message_list_of(void *buffer, const struct addr *source, bool reply);
struct nlmsghdr *flow_message_delete_all(void *buffer);
size_t flow_message_delete(void *buffer, const struct flow *flow);
size_t flow_message_create(void *buffer, const struct flow *flow, uint32_t seconds);
size_t flow_message_liberal(void *buffer, const struct flow *flow);

#endif
