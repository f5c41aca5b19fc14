/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"
#include "daemon/daemon.h"
#include "verdict/question.h"

/*
 * What policy says about packets between all classes, for somebody who may try them in a twin: one packet of each class,
 * interface and family to each other one, at some ports.
 */

#define PAIRS_MAX 1000 /* of more, some: evenly spread */

static const struct port_range usual[] = {
	{ .proto = IPPROTO_TCP, .first = 22, .last = 22 },
	{ .proto = IPPROTO_TCP, .first = 80, .last = 80 },
	{ .proto = IPPROTO_UDP, .first = 53, .last = 53 },
};

struct ends {
	struct end *items;
	size_t n;
};

static bool has_alike(const struct ends *ends, const struct location *location, uint8_t family)
{
	for (size_t i = 0; i < ends->n; i++)
		if (ends->items[i].location->class == location->class && ends->items[i].addr.family == family &&
		    strcmp(ends->items[i].location->interface, location->interface) == 0)
			return true;
	return false;
}

/* Addresses that the kernel itself takes from nobody prove nothing. */
static bool is_nobody(const struct addr *addr)
{
	if (addr->family == AF_INET)
		return addr->bytes[0] == 0 || addr->bytes[0] == 127 || addr->bytes[0] >= 224;
	return addr->bytes[0] == 0 || addr->bytes[0] == 0xff || addr_is_link_local(addr);
}

/* This machine's address on a network is none of the devices there. */
static bool is_own(const struct model *model, const struct addr *addr)
{
	for (size_t i = 0; i < model->inventory->n_interfaces; i++)
		for (size_t k = 0; k < model->inventory->interfaces[i].n_addresses; k++)
			if (addr_compare(&model->inventory->interfaces[i].addresses[k].addr, addr) == 0)
				return true;
	return false;
}

static int find_ends(const struct model *model, struct ends *ret)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];
		struct addr addr = location_address(location);
		struct end *end;

		if (!location->single && addr_compare(&addr, &location->range.first) == 0)
			addr_next(&addr); /* not the network's own */
		while (location->interface[0] && is_own(model, &addr) && addr_next(&addr))
			;
		if (is_nobody(&addr) || !range_contains(&location->range, &addr) ||
		    has_alike(ret, location, addr.family))
			continue;
		end = ARRAY_ADD(ret->items, ret->n);
		if (!end)
			return -ENOMEM;
		*end = (struct end){ location, addr };
	}
	return 0;
}

/* A port of its own, where the target has one. */
static struct port_range own_port(const struct end *to)
{
	const struct container *container = to->location->container;
	struct port_range port = { .proto = IPPROTO_TCP, .first = 443, .last = 443 };

	if (container && container->n_ports > 0) {
		port.proto = container->ports[0].proto;
		port.first = port.last = container->ports[0].container_port;
	}
	return port;
}

static int add_packet(json_t *packets, const struct model *model, const struct end *from, const struct end *to,
		      const struct port_range *port)
{
	struct packet packet;
	struct decision decision;
	json_t *json;

	question_packet(model, from, to, port, &packet);
	verdict(model, &packet, &decision);
	json = packet_json(model, &packet, from, to);
	if (!json || json_object_set_new(json, "accept", json_boolean(decision.accept)) < 0 ||
	    json_object_set_new(json, "reason", json_string(reason_info(decision.reason)->id)) < 0) {
		json_decref(json);
		return -ENOMEM;
	}
	return json_array_append_new(packets, json) < 0 ? -ENOMEM : 0;
}

static bool is_pair(const struct end *from, const struct end *to)
{
	return from->location->interface[0] && from->addr.family == to->addr.family && from->location != to->location;
}

static int add_pair(json_t *packets, const struct model *model, const struct end *from, const struct end *to)
{
	struct port_range own = own_port(to);
	int r = add_packet(packets, model, from, to, &own);

	for (size_t i = 0; i < ELEMENTSOF(usual) && r >= 0; i++)
		r = add_packet(packets, model, from, to, &usual[i]);
	return r;
}

static size_t count_pairs(const struct ends *ends)
{
	size_t n = 0;

	for (size_t i = 0; i < ends->n; i++)
		for (size_t k = 0; k < ends->n; k++)
			n += is_pair(&ends->items[i], &ends->items[k]);
	return n;
}

CALL(call_prove)
{
	const struct model *model = daemon_of(request)->model;
	json_t *packets = json_array();
	struct ends ends = { 0 };
	size_t all, tried = 0, seen = 0;
	int r = packets ? find_ends(model, &ends) : -ENOMEM;

	all = count_pairs(&ends);
	for (size_t i = 0; i < ends.n && r >= 0; i++)
		for (size_t k = 0; k < ends.n && r >= 0; k++) {
			if (!is_pair(&ends.items[i], &ends.items[k]))
				continue;
			seen++;
			if (all > PAIRS_MAX && seen * PAIRS_MAX / all == (seen - 1) * PAIRS_MAX / all)
				continue;
			r = add_pair(packets, model, &ends.items[i], &ends.items[k]);
			tried++;
		}
	free(ends.items);
	if (r >= 0)
		*ret_result = json_pack("{s:I, s:I, s:O}", "pairs", (json_int_t)tried, "of", (json_int_t)all, "packets",
					packets);
	json_decref(packets);
	return r >= 0 && *ret_result ? 0 : error_memory(error);
}
