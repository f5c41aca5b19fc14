/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/question.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"

#define TCP_SYN 0x02

struct addr location_address(const struct location *location)
{
	static const struct addr known[] = {
		{ AF_INET, { 1, 1, 1, 1 } },
		{ AF_INET6, { 0x26, 0x06, 0x47, 0, 0x47, 0, [15] = 0x11 } },
	};

	for (size_t i = 0; i < ELEMENTSOF(known); i++)
		if (range_contains(&location->range, &known[i]))
			return known[i];
	return location->range.first;
}

static struct addr own_address(const struct model *model, const char *in, uint8_t family)
{
	const struct interface *interface = inventory_interface_named(model->inventory, in);

	for (size_t i = 0; interface && i < interface->n_addresses; i++)
		if (interface->addresses[i].addr.family == family && !addr_is_link_local(&interface->addresses[i].addr))
			return interface->addresses[i].addr;
	return (struct addr){ .family = family };
}

void question_packet(const struct model *model, const struct end *from, const struct end *to,
		     const struct port_range *port, struct packet *ret)
{
	struct addr addr = to->addr;
	struct packet packet = {
		.in = from->location ? from->location->interface : "",
		.out = to->location ? to->location->interface : "",
		.from = from->addr,
		.proto = port->proto ? port->proto : IPPROTO_TCP,
		.tcp_flags = TCP_SYN,
		.from_port = 40000,
		.dialled_port = port->first,
		.to_port = port->first,
	};

	if (to->location && !to->location->interface[0] && !to->location->single)
		addr = own_address(model, packet.in, from->addr.family);
	packet.dialled = packet.to = addr;
	*ret = packet;
}

/* Locations that a test can tell apart: of each class, interface and family one. */
struct ends {
	struct end *ends;
	size_t n;
};

static bool has_alike(const struct ends *ends, const struct location *location)
{
	for (size_t i = 0; i < ends->n; i++)
		if (ends->ends[i].location->class == location->class &&
		    ends->ends[i].addr.family == location->range.first.family &&
		    strcmp(ends->ends[i].location->interface, location->interface) == 0)
			return true;
	return false;
}

/* What the machine knows for no address of anybody is nobody's: a range that is no part of a zone. */
static int find_ends(const struct model *model, const struct selector *selector, bool source, struct ends *ret)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];
		struct end *end;

		if (!selector_fits(model, selector, location, true) || has_alike(ret, location))
			continue;
		if (source && !location->interface[0])
			continue; /* this machine is never judged as a source */
		end = ARRAY_ADD(ret->ends, ret->n);
		if (!end)
			return -ENOMEM;
		*end = (struct end){ location, location_address(location) };
	}
	return 0;
}

static void try_pairs(const struct model *model, const struct test *test, const struct ends *from,
		      const struct ends *to, struct test_result *ret)
{
	const struct port_range any = { .proto = IPPROTO_TCP };
	const struct port_range *port = test->to.has_port ? &test->to.port : &any;

	for (size_t i = 0; i < from->n; i++)
		for (size_t k = 0; k < to->n; k++) {
			struct packet packet;
			struct decision decision;

			if (from->ends[i].addr.family != to->ends[k].addr.family ||
			    from->ends[i].location == to->ends[k].location)
				continue;
			question_packet(model, &from->ends[i], &to->ends[k], port, &packet);
			verdict(model, &packet, &decision);
			ret->n_pairs++;
			if (decision.accept == (test->expect == EXPECT_ACCEPT))
				continue;
			ret->failed = true;
			ret->from = from->ends[i];
			ret->to = to->ends[k];
			ret->decision = decision;
			return;
		}
}

int model_test(const struct model *model, const struct test *test, struct test_result *ret)
{
	struct test_result result = { 0 };
	struct ends from = { 0 }, to = { 0 };
	int r = find_ends(model, &test->from, true, &from);

	if (r >= 0)
		r = find_ends(model, &test->to.selector, false, &to);
	if (r >= 0) {
		try_pairs(model, test, &from, &to, &result);
		*ret = result;
	}
	free(from.ends);
	free(to.ends);
	return r;
}
