/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/conntrack.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

#include "base/array.h"
#include "kernel/flow_message.h"
#include "kernel/nlsocket.h"

#define REQUEST_SIZE 256
#define FIRST_SECONDS 120 /* until the first packet of it is seen; from then on the kernel counts */
#define DELETES_MAX 64 /* in one message: their errors fit into the socket's room */
#define TRIES 3
#define WALK_FLOWS 4000 /* what going through the table costs, in flows that are listed */

struct conntrack {
	struct nlsocket *socket;
	bool walking; /* in conntrack_each(): deletions are kept for after it */
	struct flow *deletions;
	size_t n_deletions;
};

struct walk {
	const struct addr *addresses; /* NULL: every flow */
	size_t n;
	int (*each)(const struct flow *flow, void *data);
	void *data;
};

DEFINE_CLEANUP(struct conntrack *, conntrack_close)

int conntrack_open(struct conntrack **ret, struct error *error)
{
	_cleanup_(conntrack_closep) struct conntrack *conntrack = calloc(1, sizeof(*conntrack));
	int r;

	if (!conntrack)
		return error_memory(error);
	r = nlsocket_open(NETLINK_NETFILTER, &conntrack->socket);
	if (r < 0)
		return error_set(error, -r, "cannot open a netfilter socket: %s", strerror(-r));
	*ret = TAKE_PTR(conntrack);
	return 0;
}

struct conntrack *conntrack_close(struct conntrack *conntrack)
{
	if (!conntrack)
		return NULL;
	nlsocket_close(conntrack->socket);
	free(conntrack->deletions);
	free(conntrack);
	return NULL;
}

static bool is_meant(const struct walk *walk, const struct flow *flow)
{
	for (size_t i = 0; i < walk->n; i++)
		if (addr_compare(&flow->from, &walk->addresses[i]) == 0 ||
		    addr_compare(&flow->reply_from, &walk->addresses[i]) == 0)
			return true;
	return !walk->addresses;
}

static int conntrack_take(const struct nlmsghdr *message, void *data)
{
	struct walk *walk = data;
	struct flow flow;

	return flow_message_parse(message, &flow) && is_meant(walk, &flow) ? walk->each(&flow, walk->data) : 0;
}

static int take_count(const struct nlmsghdr *message, void *data)
{
	flow_message_parse_count(message, data);
	return 0;
}

/* UINT32_MAX where the kernel does not say. */
static uint32_t conntrack_count(struct conntrack *conntrack)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	uint32_t count = UINT32_MAX;

	nlsocket_query(conntrack->socket, flow_message_count(buffer), take_count, &count);
	return count;
}

static int conntrack_send_deletions(struct conntrack *conntrack, const struct flow *flows, size_t n,
				    struct error *error)
{
	char buffer[DELETES_MAX * REQUEST_SIZE] __attribute__((aligned(8)));
	size_t used = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		used += flow_message_delete(buffer + used, &flows[i]);
	r = nlsocket_send_all(conntrack->socket, buffer, used, ENOENT);
	return r < 0 ? error_set(error, -r, "cannot end connections: %s", strerror(-r)) : 0;
}

/* Sends what was kept. The first error is told, the rest is sent all the same. */
static int conntrack_flush(struct conntrack *conntrack, struct error *error)
{
	int result = 0;

	for (size_t i = 0; i < conntrack->n_deletions; i += DELETES_MAX) {
		size_t left = conntrack->n_deletions - i;
		int r = conntrack_send_deletions(conntrack, &conntrack->deletions[i],
						 left < DELETES_MAX ? left : DELETES_MAX, result ? NULL : error);

		if (result == 0)
			result = r;
	}
	free(conntrack->deletions);
	conntrack->deletions = NULL;
	conntrack->n_deletions = 0;
	return result;
}

/* One list. That it did not stand still means again: a flow may be seen twice, none may be missed. */
static int conntrack_list(struct conntrack *conntrack, struct nlmsghdr *request, struct walk *walk)
{
	int r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR; i++)
		r = nlsocket_query(conntrack->socket, request, conntrack_take, walk);
	return r == -EINTR ? 0 : r;
}

/* The kernel goes through all buckets of its table each time, whatever it is asked for. */
static bool is_picking_worth_it(struct conntrack *conntrack, const struct walk *walk)
{
	size_t walks = 0;
	bool six = false;

	for (size_t i = 0; i < walk->n; i++) {
		walks += walk->addresses[i].family == AF_INET ? 2 : !six;
		six = six || walk->addresses[i].family == AF_INET6;
	}
	return walk->addresses && conntrack_count(conntrack) > (walks - 1) * WALK_FLOWS;
}

static int conntrack_pick(struct conntrack *conntrack, struct walk *walk)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	bool six = false;
	int r = 0;

	for (size_t i = 0; i < walk->n && r == 0; i++) {
		const struct addr *address = &walk->addresses[i];

		six = six || address->family == AF_INET6;
		if (address->family != AF_INET)
			continue;
		r = conntrack_list(conntrack, flow_message_list_of(buffer, address, false), walk);
		if (r == 0)
			r = conntrack_list(conntrack, flow_message_list_of(buffer, address, true), walk);
	}
	return six && r == 0 ? conntrack_list(conntrack, flow_message_list(buffer, AF_INET6), walk) : r;
}

static int conntrack_walk(struct conntrack *conntrack, struct walk *walk, struct error *error)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	int r, deleted;

	conntrack->walking = true;
	if (is_picking_worth_it(conntrack, walk))
		r = conntrack_pick(conntrack, walk);
	else
		r = conntrack_list(conntrack, flow_message_list(buffer, AF_UNSPEC), walk);
	conntrack->walking = false;
	deleted = conntrack_flush(conntrack, r < 0 ? NULL : error);
	if (r < 0)
		return error_set(error, -r, "cannot go through the connections: %s", strerror(-r));
	return deleted;
}

int conntrack_each(struct conntrack *conntrack, int (*each)(const struct flow *flow, void *data), void *data,
		   struct error *error)
{
	struct walk walk = { .each = each, .data = data };

	return conntrack_walk(conntrack, &walk, error);
}

int conntrack_each_of(struct conntrack *conntrack, const struct addr *addresses, size_t n,
		      int (*each)(const struct flow *flow, void *data), void *data, struct error *error)
{
	struct walk walk = { .addresses = addresses, .n = n, .each = each, .data = data };

	for (size_t i = 0; i < n; i++)
		if (addresses[i].family != AF_INET && addresses[i].family != AF_INET6)
			return error_set(error, EINVAL, "connections of no address were asked for");
	return n ? conntrack_walk(conntrack, &walk, error) : 0;
}

int conntrack_delete(struct conntrack *conntrack, const struct flow *flow, struct error *error)
{
	struct flow *slot;

	if (!conntrack->walking)
		return conntrack_send_deletions(conntrack, flow, 1, error);
	slot = ARRAY_ADD(conntrack->deletions, conntrack->n_deletions);
	if (!slot)
		return error_memory(error);
	*slot = *flow;
	return 0;
}

int conntrack_delete_all(struct conntrack *conntrack, struct error *error)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	int r = nlsocket_query(conntrack->socket, flow_message_delete_all(buffer), NULL, NULL);

	return r < 0 ? error_set(error, -r, "cannot end all connections: %s", strerror(-r)) : 0;
}

int conntrack_create_tcp(struct conntrack *conntrack, const struct flow *flow, struct error *error)
{
	char buffer[2 * REQUEST_SIZE] __attribute__((aligned(8)));
	int r = nlsocket_send_all(conntrack->socket, buffer, flow_message_create(buffer, flow, FIRST_SECONDS), EEXIST);

	return r < 0 ? error_set(error, -r, "cannot make a connection known: %s", strerror(-r)) : 0;
}

int conntrack_make_liberal(struct conntrack *conntrack, const struct flow *flow, struct error *error)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	int r = nlsocket_send_all(conntrack->socket, buffer, flow_message_liberal(buffer, flow), ENOENT);

	return r < 0 ? error_set(error, -r, "cannot change a connection: %s", strerror(-r)) : 0;
}
