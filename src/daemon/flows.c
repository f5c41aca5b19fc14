/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"
#include "daemon/daemon.h"
#include "ruleset/compile.h"

/* How long a flow that was ended may not be opened again from the other side. */
#define ENDED_SECONDS 180

static bool is_local(const struct inventory *inventory, const struct addr *addr)
{
	if (addr_is_loopback(addr))
		return true;
	for (size_t i = 0; i < inventory->n_interfaces; i++)
		for (size_t k = 0; k < inventory->interfaces[i].n_addresses; k++)
			if (addr_compare(&inventory->interfaces[i].addresses[k].addr, addr) == 0)
				return true;
	return false;
}

/* The interface that leads to an address, "" without one. */
static const char *interface_to(const struct inventory *inventory, const struct addr *addr)
{
	const struct route *best = NULL;
	const struct interface *interface;

	for (size_t i = 0; i < inventory->n_routes; i++) {
		const struct route *route = &inventory->routes[i];

		if (prefix_contains(&route->destination, addr) &&
		    (!best || route->destination.length > best->destination.length))
			best = route;
	}
	interface = best ? inventory_interface(inventory, best->interface) : NULL;
	return interface ? interface->name : "";
}

bool flow_packet(const struct daemon *daemon, const struct flow *flow, struct packet *ret)
{
	const struct inventory *inventory = daemon->inventory;

	if (is_local(inventory, &flow->from))
		return false;
	*ret = (struct packet){
		.in = interface_to(inventory, &flow->from),
		.out = is_local(inventory, &flow->reply_from) ? "" : interface_to(inventory, &flow->reply_from),
		.from = flow->from,
		.dialled = flow->to,
		.to = flow->reply_from,
		.proto = flow->proto,
		.from_port = flow->from_port,
		.dialled_port = flow->to_port,
		.to_port = flow->reply_from_port,
		.flow = FLOW_ORIGINAL,
	};
	/* Without a way there, nothing passes. */
	return ret->in[0] && (ret->out[0] || is_local(inventory, &flow->reply_from));
}

struct cut {
	struct daemon *daemon;
	struct error *error;
	struct element *ended4, *ended6;
	size_t n_ended4, n_ended6;
	int count;
};

/* A server that keeps talking would open the flow again from its side. TCP cannot: a new one begins with SYN. */
static int remember(struct cut *cut, const struct flow *flow)
{
	bool six = flow->from.family == AF_INET6;
	const struct set *set = ruleset_set(cut->daemon->ruleset, six ? SET_ENDED6 : SET_ENDED4);
	struct element *element;

	if (flow->proto == IPPROTO_TCP)
		return 0;
	element = six ? ARRAY_ADD(cut->ended6, cut->n_ended6) : ARRAY_ADD(cut->ended4, cut->n_ended4);
	if (!element)
		return -ENOMEM;
	key_put_addr(set, element->key, 0, &flow->reply_from);
	key_put_addr(set, element->key, 1, &flow->from);
	key_put_number(set, element->key, 2, flow->proto);
	key_put_number(set, element->key, 3, flow->reply_from_port);
	return 0;
}

static int look_at(const struct flow *flow, void *data)
{
	struct cut *cut = data;
	struct decision decision;
	struct packet packet;
	int r;

	if (!flow_packet(cut->daemon, flow, &packet))
		return 0;
	verdict(cut->daemon->model, &packet, &decision);
	if (decision.accept)
		return 0;
	r = remember(cut, flow);
	if (r < 0)
		return r;
	cut->count++;
	return conntrack_delete(cut->daemon->conntrack, flow, cut->error);
}

static int add_ended(struct cut *cut, const char *name, const struct element *elements, size_t n)
{
	const struct set *set = ruleset_set(cut->daemon->ruleset, name);

	if (n > set->size / 2)
		n = set->size / 2;
	return n ? nft_set_add(cut->daemon->nft, set, elements, n, ENDED_SECONDS, cut->error) : 0;
}

int flows_cut(struct daemon *daemon, struct error *error)
{
	struct cut cut = { .daemon = daemon, .error = error };
	int r = conntrack_each(daemon->conntrack, look_at, &cut, error);

	if (r >= 0)
		r = add_ended(&cut, SET_ENDED4, cut.ended4, cut.n_ended4);
	if (r >= 0)
		r = add_ended(&cut, SET_ENDED6, cut.ended6, cut.n_ended6);
	free(cut.ended4);
	free(cut.ended6);
	return r < 0 ? r : cut.count;
}
