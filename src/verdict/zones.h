/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_ZONES_H
#define SPR_VERDICT_ZONES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

struct inventory;
struct interface;
struct member;

/* A prefix behind an interface, and what it says about the addresses in it. Layers lie on one another; the deepest
 * (longest) one of its kind decides. */
struct layer {
	struct prefix prefix; /* host bits zero */
	enum { LAYER_ZONES, LAYER_MEMBER, LAYER_RESOLVER } kind;
	unsigned zones; /* LAYER_ZONES: 1 << enum zone */
	const struct member *member; /* LAYER_MEMBER */
};

/* A part of the address space in which every address is alike. */
struct slice {
	struct range range;
	unsigned zones;
	const struct member *member;
	bool resolver;
};

/* The layers of an uplink: internet, upstream, and (lan_too) lan for its on-link neighbours. -ENOMEM. */
int zones_of_uplink(const struct inventory *inventory, const struct interface *interface, bool lan_too,
		    struct layer **layers, size_t *n);
/* The layers of a lan interface: what is on-link or routed there. -ENOMEM. */
int zones_of_lan(const struct inventory *inventory, const struct interface *interface, struct layer **layers,
		 size_t *n);

/* Cuts the layers into disjoint slices in order of address; parts that no layer covers are left out. -ENOMEM. */
int layers_slice(struct layer *layers, size_t n, struct slice **ret, size_t *ret_n);

/* A route this short is a way to everywhere: an uplink's, and nobody's own range. */
#define ROUTE_DEFAULT_MAX 3

#endif
