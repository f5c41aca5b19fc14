/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/zones.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "inventory/inventory.h"
#include "policy/policy.h"

#define INTERNET (1u << ZONE_INTERNET)
#define UPSTREAM (1u << ZONE_UPSTREAM)
#define LAN (1u << ZONE_LAN)

/*
 * The IANA special-purpose registries (RFC 6890 and its updates): never the internet. IPv6 starts from what is not
 * global unicast at all. An exception inside (a globally reachable anycast) is not worth an opening.
 */
static const struct {
	const char *prefix;
	unsigned zones;
} special[] = {
	{ "0.0.0.0/0", INTERNET },	 { "0.0.0.0/8", UPSTREAM },
	{ "10.0.0.0/8", UPSTREAM },	 { "100.64.0.0/10", UPSTREAM },
	{ "127.0.0.0/8", UPSTREAM },	 { "169.254.0.0/16", UPSTREAM },
	{ "172.16.0.0/12", UPSTREAM },	 { "192.0.0.0/24", UPSTREAM },
	{ "192.0.2.0/24", UPSTREAM },	 { "192.88.99.0/24", UPSTREAM },
	{ "192.168.0.0/16", UPSTREAM },	 { "198.18.0.0/15", UPSTREAM },
	{ "198.51.100.0/24", UPSTREAM }, { "203.0.113.0/24", UPSTREAM },
	{ "224.0.0.0/3", UPSTREAM },	 { "::/0", UPSTREAM },
	{ "2000::/3", INTERNET },	 { "2001::/23", UPSTREAM },
	{ "2001:db8::/32", UPSTREAM },	 { "2002::/16", UPSTREAM },
	{ "3fff::/20", UPSTREAM },
};

static int add(struct layer **layers, size_t *n, const struct prefix *prefix, unsigned zones)
{
	struct layer *layer = ARRAY_ADD(*layers, *n);

	if (!layer)
		return -ENOMEM;
	layer->kind = LAYER_ZONES;
	layer->prefix = (struct prefix){ prefix_range(prefix).first, prefix->length };
	layer->zones = zones;
	return 0;
}

/* Own ranges: whatever is routed anywhere by this machine, gateway or not, is somebody's private place. */
static int add_routes(const struct inventory *inventory, const struct interface *only, unsigned zones,
		      struct layer **layers, size_t *n)
{
	int r = 0;

	for (size_t i = 0; i < inventory->n_routes && r >= 0; i++) {
		const struct route *route = &inventory->routes[i];

		if (route->destination.length > ROUTE_DEFAULT_MAX && (!only || route->interface == only->index))
			r = add(layers, n, &route->destination, zones);
	}
	return r;
}

static int add_on_link(const struct interface *interface, unsigned zones, struct layer **layers, size_t *n)
{
	int r = 0;

	for (size_t i = 0; i < interface->n_addresses && r >= 0; i++) {
		const struct prefix *prefix = &interface->addresses[i];

		if (!addr_is_link_local(&prefix->addr) && prefix->length < addr_bits(prefix->addr.family))
			r = add(layers, n, prefix, zones);
	}
	return r;
}

static int add_gateways(const struct inventory *inventory, const struct interface *interface, struct layer **layers,
			size_t *n)
{
	int r = 0;

	for (size_t i = 0; i < inventory->n_routes && r >= 0; i++) {
		const struct route *route = &inventory->routes[i];
		struct prefix host = { route->gateway, addr_bits(route->gateway.family) };

		if (route->interface == interface->index && route->gateway.family)
			r = add(layers, n, &host, UPSTREAM);
	}
	return r;
}

int zones_of_uplink(const struct inventory *inventory, const struct interface *interface, bool lan_too,
		    struct layer **layers, size_t *n)
{
	struct prefix prefix;
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(special) && r >= 0; i++) {
		r = prefix_parse(special[i].prefix, &prefix);
		if (r >= 0)
			r = add(layers, n, &prefix, special[i].zones);
	}
	if (r >= 0)
		r = add_routes(inventory, NULL, UPSTREAM, layers, n);
	if (r >= 0)
		r = add_on_link(interface, lan_too ? UPSTREAM | LAN : UPSTREAM, layers, n);
	if (r >= 0)
		r = add_gateways(inventory, interface, layers, n);
	return r;
}

int zones_of_lan(const struct inventory *inventory, const struct interface *interface, struct layer **layers, size_t *n)
{
	int r = add_on_link(interface, LAN, layers, n);

	return r < 0 ? r : add_routes(inventory, interface, LAN, layers, n);
}

static int layer_compare(const void *a, const void *b)
{
	const struct layer *left = a, *right = b;
	int order = addr_compare(&left->prefix.addr, &right->prefix.addr);

	if (order)
		return order;
	if (left->prefix.length != right->prefix.length)
		return left->prefix.length < right->prefix.length ? -1 : 1;
	return (int)left->kind - (int)right->kind;
}

/* A layer on the way down, with what holds inside it. */
struct open_layer {
	struct range range;
	struct slice inside;
};

struct slicer {
	struct slice *slices;
	size_t n_slices;
	struct open_layer *stack;
	size_t n_stack;
	struct addr next; /* the first address not sliced yet, in the innermost open layer */
	bool done; /* there is none */
};

static int emit_to(struct slicer *slicer, const struct addr *last)
{
	struct slice *slice;

	if (slicer->done || addr_compare(&slicer->next, last) > 0)
		return 0;
	slice = ARRAY_ADD(slicer->slices, slicer->n_slices);
	if (!slice)
		return -ENOMEM;
	*slice = slicer->stack[slicer->n_stack - 1].inside;
	slice->range = (struct range){ slicer->next, *last };
	slicer->next = *last;
	slicer->done = !addr_next(&slicer->next);
	return 0;
}

/* Closes the open layers that end before `first` (NULL: all). */
static int close_before(struct slicer *slicer, const struct addr *first)
{
	while (slicer->n_stack > 0) {
		struct open_layer *top = &slicer->stack[slicer->n_stack - 1];

		if (first && range_contains(&top->range, first))
			return 0;
		if (emit_to(slicer, &top->range.last) < 0)
			return -ENOMEM;
		slicer->n_stack--;
	}
	return 0;
}

static int open_layer(struct slicer *slicer, const struct layer *layer)
{
	struct range range = prefix_range(&layer->prefix);
	struct slice inside = { 0 };
	struct open_layer *top = NULL;

	if (slicer->n_stack > 0) {
		struct addr before = range.first;

		inside = slicer->stack[slicer->n_stack - 1].inside;
		if (addr_previous(&before) && emit_to(slicer, &before) < 0)
			return -ENOMEM;
		top = &slicer->stack[slicer->n_stack - 1];
	}
	slicer->next = range.first;
	slicer->done = false;
	if (layer->kind == LAYER_MEMBER)
		inside.member = layer->member;
	else if (layer->kind == LAYER_RESOLVER)
		inside.resolver = true;
	else if (top && addr_compare(&top->range.first, &range.first) == 0 &&
		 addr_compare(&top->range.last, &range.last) == 0)
		inside.zones |= layer->zones & ~INTERNET; /* the same prefix said twice: both hold */
	else
		inside.zones = layer->zones;
	if (inside.zones & (UPSTREAM | LAN))
		inside.zones &= ~INTERNET;
	top = ARRAY_ADD(slicer->stack, slicer->n_stack);
	if (!top)
		return -ENOMEM;
	*top = (struct open_layer){ range, inside };
	return 0;
}

int layers_slice(struct layer *layers, size_t n, struct slice **ret, size_t *ret_n)
{
	struct slicer slicer = { 0 };
	int r = 0;

	if (n > 0)
		qsort(layers, n, sizeof(*layers), layer_compare);
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = close_before(&slicer, &layers[i].prefix.addr);
		if (r >= 0)
			r = open_layer(&slicer, &layers[i]);
	}
	if (r >= 0)
		r = close_before(&slicer, NULL);
	free(slicer.stack);
	if (r < 0) {
		free(slicer.slices);
		return r;
	}
	*ret = slicer.slices;
	*ret_n = slicer.n_slices;
	return 0;
}
