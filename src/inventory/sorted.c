/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "inventory/inventory.h"

/* What was seen comes in the order of answers and events; a report is to be the same each time. */

static int text_order(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int interface_order(const void *one, const void *other)
{
	const struct interface *a = *(const struct interface *const *)one, *b = *(const struct interface *const *)other;

	return strcmp(a->name, b->name);
}

static int network_order(const void *one, const void *other)
{
	const struct network *a = *(const struct network *const *)one, *b = *(const struct network *const *)other;
	int r = text_order(a->name, b->name);

	return r ? r : text_order(a->id, b->id);
}

static int endpoint_order(const void *one, const void *other)
{
	const struct endpoint *a = *(const struct endpoint *const *)one, *b = *(const struct endpoint *const *)other;
	int r = addr_compare(&a->ip4, &b->ip4);

	if (r == 0)
		r = addr_compare(&a->ip6, &b->ip6);
	if (r == 0)
		r = text_order(a->name, b->name);
	return r ? r : text_order(a->network, b->network);
}

static int container_order(const void *one, const void *other)
{
	const struct container *a = *(const struct container *const *)one, *b = *(const struct container *const *)other;
	int r = text_order(a->name, b->name);

	return r ? r : text_order(a->id, b->id);
}

static void *sorted(const void *items, size_t n, size_t size, int (*order)(const void *one, const void *other))
{
	const char **pointers = calloc(n + 1, sizeof(*pointers));

	for (size_t i = 0; pointers && i < n; i++)
		pointers[i] = (const char *)items + i * size;
	if (pointers && n > 1)
		qsort(pointers, n, sizeof(*pointers), order);
	return pointers;
}

#define SORTED(inventory, thing)                                                                                       \
	sorted((inventory)->thing##s, (inventory)->n_##thing##s, sizeof(struct thing), thing##_order)

const struct interface **inventory_interfaces_sorted(const struct inventory *inventory)
{
	return SORTED(inventory, interface);
}

const struct network **inventory_networks_sorted(const struct inventory *inventory)
{
	return SORTED(inventory, network);
}

const struct endpoint **inventory_endpoints_sorted(const struct inventory *inventory)
{
	return SORTED(inventory, endpoint);
}

const struct container **inventory_containers_sorted(const struct inventory *inventory)
{
	return SORTED(inventory, container);
}
