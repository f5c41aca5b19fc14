/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/drop_message.h"
#include "kernel/droplog.h"
#include "kernel/flow_message.h"
#include "kernel/mirror_message.h"
#include "kernel/nlsocket.h"
#include "kernel/rtmessage.h"
#include "kernel/trace.h"
#include "kernel/trace_message.h"

/* Netlink messages of every kind that is read, one after the other. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
	if (!condition)
		abort();
}

static void check_prefix(const struct prefix *prefix)
{
	must(prefix->addr.family == AF_INET || prefix->addr.family == AF_INET6);
	must(prefix->length <= addr_bits(prefix->addr.family));
}

static int check_route(const struct route *route, void *data)
{
	struct addr first;

	(void)data;
	check_prefix(&route->destination);
	first = prefix_range(&route->destination).first;
	must(addr_compare(&first, &route->destination.addr) == 0);
	must(!route->gateway.family || route->gateway.family == AF_INET || route->gateway.family == AF_INET6);
	return 0;
}

static void check_flow(const struct flow *flow)
{
	char buffer[256] __attribute__((aligned(8)));

	must(flow->from.family == flow->to.family && flow->reply_from.family == flow->reply_to.family);
	must(flow_message_delete(buffer, flow) <= sizeof(buffer));
}

static void check_trace(const struct nlmsghdr *message)
{
	struct trace_step step;

	if (trace_message_parse(message, &step))
		must(strnlen(step.table, TRACE_NAME_MAX) < TRACE_NAME_MAX &&
		     strnlen(step.chain, TRACE_NAME_MAX) < TRACE_NAME_MAX && step.kind <= TRACE_POLICY);
}

/* What was made of a message makes the same again. */
static void check_mirror(const struct nlmsghdr *message)
{
	static char made[MIRROR_MESSAGE_MAX] __attribute__((aligned(8))),
		again[MIRROR_MESSAGE_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *one = (struct nlmsghdr *)made, *other = (struct nlmsghdr *)again;
	struct mirror_link link;
	unsigned interface;

	mirror_qdisc_parse(message, &interface);
	if (mirror_link_parse(message, &link))
		must(link.index && *link.name && strnlen(link.name, IFNAMSIZ) < IFNAMSIZ);
	for (enum mirror_part part = 0; part < _MIRROR_PART_MAX; part++) {
		if (!mirror_message_make(part, message, one))
			continue;
		must(one->nlmsg_len <= MIRROR_MESSAGE_MAX);
		if (part == MIRROR_NEIGHBOURS && mirror_message_make(part, one, other))
			must(one->nlmsg_len == other->nlmsg_len && memcmp(one, other, one->nlmsg_len) == 0);
	}
}

static void check_message(const struct nlmsghdr *message)
{
	struct interface interface;
	struct interface_address address;
	struct route_message route;
	struct flow flow;
	struct drop drop;

	check_trace(message);
	check_mirror(message);
	if (rtmessage_interface(message, &interface))
		must(interface.index && *interface.name && strnlen(interface.name, IFNAMSIZ) < IFNAMSIZ &&
		     strnlen(interface.kind, sizeof(interface.kind)) < sizeof(interface.kind));
	if (rtmessage_address(message, &address))
		check_prefix(&address.prefix);
	if (rtmessage_route(message, &route))
		must(rtmessage_hops(&route, check_route, NULL) == 0);
	if (flow_message_parse(message, &flow))
		check_flow(&flow);
	if (drop_message_parse(message, &drop))
		must(drop.length > 0 && strnlen(drop.reason, sizeof(drop.reason)) < sizeof(drop.reason));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = (size + 7) / 8 * 8;
	int left = (int)size;
	struct nlmsghdr *messages, *message;

	if (size == 0 || size > 65536)
		return 0;
	messages = calloc(1, room);
	if (!messages)
		return 0;
	memcpy(messages, data, size);
	for (message = messages; nlmessage_fits(message, left); message = mnl_nlmsg_next(message, &left))
		check_message(message);
	free(messages);
	return 0;
}
