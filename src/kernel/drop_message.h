/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_DROP_MESSAGE_H
#define SPR_KERNEL_DROP_MESSAGE_H

#include <linux/netlink.h>
#include <stdbool.h>

struct drop;

/*
 * A packet message of nfnetlink_log. Any bytes may be in it (its length must be right); false for what is none, or
 * carries no IPv4 or IPv6. ret->payload points into the message.
 */
bool drop_message_parse(const struct nlmsghdr *message, struct drop *ret);

#endif
