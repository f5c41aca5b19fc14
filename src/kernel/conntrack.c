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

struct conntrack {
	struct nlsocket *socket;
	bool walking; /* in conntrack_each(): deletions are kept for after it */
	struct flow *deletions;
	size_t n_deletions;
};

struct walk {
	const struct addr *address; /* NULL: every flow */
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

static int conntrack_take(const struct nlmsghdr *message, void *data)
{
	struct walk *walk = data;
	struct flow flow;

	if (!flow_message_parse(message, &flow))
		return 0;
	if (walk->address && addr_compare(&flow.from, walk->address) != 0 &&
	    addr_compare(&flow.reply_from, walk->address) != 0)
		return 0;
	return walk->each(&flow, walk->data);
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

static int conntrack_walk(struct conntrack *conntrack, struct walk *walk, struct error *error)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	int r, deleted;

	conntrack->walking = true;
	if (walk->address && walk->address->family == AF_INET) {
		r = conntrack_list(conntrack, flow_message_list_of(buffer, walk->address, false), walk);
		if (r == 0)
			r = conntrack_list(conntrack, flow_message_list_of(buffer, walk->address, true), walk);
	} else
		r = conntrack_list(conntrack, flow_message_list(buffer, walk->address ? AF_INET6 : AF_UNSPEC), walk);
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

int conntrack_each_of(struct conntrack *conntrack, const struct addr *address,
		      int (*each)(const struct flow *flow, void *data), void *data, struct error *error)
{
	struct walk walk = { .address = address, .each = each, .data = data };

	if (address->family != AF_INET && address->family != AF_INET6)
		return error_set(error, EINVAL, "connections of no address were asked for");
	return conntrack_walk(conntrack, &walk, error);
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
