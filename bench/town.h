/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BENCH_TOWN_H
#define SPR_BENCH_TOWN_H

#include "inventory/inventory.h"
#include "policy/policy.h"

/*
 * A router of any size: an uplink, a lan, and networks full of containers. Each network is in a group of its own, so that
 * there are as many classes as networks; the first containers publish a port each, to the lan. What cannot be made ends
 * the program.
 */
struct town {
	unsigned members; /* containers, each with an IPv4 and an IPv6 address */
	unsigned networks;
	unsigned published;
};

struct inventory *town_inventory(const struct town *town);
struct policy *town_policy(const struct town *town);

/* Container `i`, below or beyond `members`: it starts and gets its place, or is stopped and loses it. */
void town_start(struct inventory *inventory, const struct town *town, unsigned i);
void town_stop(struct inventory *inventory, const struct town *town, unsigned i);

#endif
