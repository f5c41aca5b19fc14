/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "inventory/inventory.h"
#include "kernel/links.h"
#include "kernel/nlsocket.h"
#include "kernel/rtmessage.h"

#define REQUEST_SIZE 256 /* a route's attributes take 80 at most */

/* What is there for a destination. */
struct found {
	const struct route *wanted;
	bool same; /* ours, by the same way */
	bool ours; /* ours, by another way */
	bool theirs;
};

static struct rtmsg *route_request(char *buffer, uint16_t type, uint16_t flags, const struct route *route)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	message->rtm_family = route->destination.addr.family;
	message->rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_UNSPEC;
	return message;
}

static void route_request_attributes(struct nlmsghdr *header, const struct route *route)
{
	size_t size = addr_size(route->destination.addr.family);

	mnl_attr_put_u32(header, RTA_TABLE, route->table);
	mnl_attr_put_u32(header, RTA_OIF, route->interface);
	if (route->destination.length)
		mnl_attr_put(header, RTA_DST, size, route->destination.addr.bytes);
	if (route->gateway.family)
		mnl_attr_put(header, RTA_GATEWAY, size, route->gateway.bytes);
}

/* Any type of route counts as theirs: an unreachable or blackhole one was put there on purpose, too. */
static int route_look(const struct nlmsghdr *header, void *data)
{
	struct found *found = data;
	const struct route *wanted = found->wanted, *route;
	struct route_message message;

	if (!rtmessage_route(header, &message))
		return 0;
	route = &message.route;
	if (route->table != wanted->table || route->destination.length != wanted->destination.length ||
	    addr_compare(&route->destination.addr, &wanted->destination.addr) != 0)
		return 0;
	if (message.protocol != ROUTE_PROTOCOL_SPR)
		found->theirs = true;
	else if (!message.hops && route->interface == wanted->interface &&
		 addr_compare(&route->gateway, &wanted->gateway) == 0)
		found->same = true;
	else
		found->ours = true;
	return 0;
}

static int route_find(struct nlsocket *socket, struct found *found)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	int r = 0;

	for (int i = 0; i < 20; i++) {
		found->same = found->ours = found->theirs = false;
		route_request(buffer, RTM_GETROUTE, NLM_F_DUMP, found->wanted);
		r = nlsocket_query(socket, (struct nlmsghdr *)buffer, route_look, found);
		if (r != -EINTR)
			break;
	}
	return r == -ENOENT ? 0 : r; /* no such table yet */
}

static int route_fail(struct nlsocket *socket, const struct route *route, const char *what, int r, struct error *error)
{
	char text[PREFIX_TEXT_MAX];
	const char *said = nlsocket_message(socket);

	return error_set(error, -r, "cannot %s the route to %s: %s%s%s", what, prefix_text(&route->destination, text),
			 strerror(-r), *said ? ", the kernel says: " : "", said);
}

static int route_check(const struct route *route, struct error *error)
{
	uint8_t family = route->destination.addr.family;

	if ((family != AF_INET && family != AF_INET6) || route->destination.length > addr_bits(family) ||
	    route->interface == 0)
		return error_set(error, EINVAL, "a route needs a destination and an interface");
	if (route->gateway.family && route->gateway.family != family)
		return error_set(error, EINVAL, "a route's gateway and its destination must be of one family");
	return 0;
}

int route_add(struct nlsocket *socket, const struct route *route, struct error *error)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8))), text[PREFIX_TEXT_MAX];
	struct found found = { .wanted = route };
	struct rtmsg *message;
	int r = route_check(route, error);

	if (r < 0)
		return r;
	r = route_find(socket, &found);
	if (r < 0)
		return route_fail(socket, route, "look for", r, error);
	if (!found.theirs && found.same)
		return 0;

	message = route_request(buffer, RTM_NEWROUTE, NLM_F_CREATE | (found.ours ? NLM_F_REPLACE : NLM_F_EXCL), route);
	message->rtm_dst_len = route->destination.length;
	message->rtm_protocol = ROUTE_PROTOCOL_SPR;
	message->rtm_scope = route->gateway.family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	message->rtm_type = RTN_UNICAST;
	route_request_attributes((struct nlmsghdr *)buffer, route);
	r = found.theirs ? -EEXIST : nlsocket_query(socket, (struct nlmsghdr *)buffer, NULL, NULL);
	if (r == -EEXIST)
		return error_set(error, EEXIST,
				 "a route to %s is there that is not spr's: remove it, or take another range",
				 prefix_text(&route->destination, text));
	return r < 0 ? route_fail(socket, route, "add", r, error) : 0;
}

int route_remove(struct nlsocket *socket, const struct route *route, struct error *error)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	struct rtmsg *message;
	int r = route_check(route, error);

	if (r < 0)
		return r;
	message = route_request(buffer, RTM_DELROUTE, 0, route);
	message->rtm_dst_len = route->destination.length;
	message->rtm_protocol = ROUTE_PROTOCOL_SPR;
	message->rtm_scope = RT_SCOPE_NOWHERE;
	route_request_attributes((struct nlmsghdr *)buffer, route);
	r = nlsocket_query(socket, (struct nlmsghdr *)buffer, NULL, NULL);
	return r < 0 && r != -ESRCH ? route_fail(socket, route, "remove", r, error) : 0;
}
