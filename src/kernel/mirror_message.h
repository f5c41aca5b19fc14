/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_MIRROR_MESSAGE_H
#define SPR_KERNEL_MIRROR_MESSAGE_H

#include <linux/netlink.h>
#include <stdbool.h>

#include "kernel/mirror.h"

/* What is told about the machine's network, in the order in which it can be made again. */
enum mirror_part {
	MIRROR_LINKS,
	MIRROR_ADDRESSES,
	MIRROR_ROUTES,
	MIRROR_RULES,
	MIRROR_NEIGHBOURS,
	MIRROR_PORTS, /* which MAC is behind which port of a bridge */
	_MIRROR_PART_MAX,
};

#define MIRROR_MESSAGE_MAX 8192

/*
 * Turns what the kernel told of a thing into the request that makes such a one: without what the kernel counts or finds out
 * by itself, so that the same things are the same bytes. `buffer` has MIRROR_MESSAGE_MAX bytes. Any bytes may be in the
 * message (its length must be right). False for one that is not of its part, too long, or not to be made.
 */
bool mirror_message_make(enum mirror_part part, const struct nlmsghdr *message, struct nlmsghdr *buffer);

/* RTM_NEWLINK; the data point into the message. */
bool mirror_link_parse(const struct nlmsghdr *message, struct mirror_link *ret);

/* RTM_NEWQDISC: whether filters and programs of tc may stand at an interface by it, and which one. */
bool mirror_qdisc_parse(const struct nlmsghdr *message, unsigned *ret);

#endif
