/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_TRACE_MESSAGE_H
#define SPR_KERNEL_TRACE_MESSAGE_H

#include <linux/netlink.h>
#include <stdbool.h>

struct trace_step;

/*
 * One step of a packet: a trace message of nf_tables, or what the kernel's own iptables ("legacy") logs of a traced packet
 * by nfnetlink_log. Any bytes may be in it (its length must be right); false for what is neither.
 */
bool trace_message_parse(const struct nlmsghdr *message, struct trace_step *ret);

#endif
