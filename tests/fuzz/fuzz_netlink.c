/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/drop_message.h"
#include "kernel/droplog.h"
#include "kernel/flow_message.h"
#include "kernel/nlsocket.h"
#include "kernel/rtmessage.h"

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

static void check_message(const struct nlmsghdr *message)
{
	struct interface interface;
	struct interface_address address;
	struct route_message route;
	struct flow flow;
	struct drop drop;

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
