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

/* Write a request to a buffer: all flows (64 bytes); the end of one (256 bytes), whose length is returned. */
struct nlmsghdr *flow_message_list(void *buffer);
size_t flow_message_delete(void *buffer, const struct flow *flow);

#endif
