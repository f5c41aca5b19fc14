/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "inventory/inventory.h"

/* False where there is no memory; NULL stays NULL. */
static bool text_again(char **text)
{
	char *copy = *text ? strdup(*text) : NULL;
	bool whole = copy || !*text;

	*text = copy;
	return whole;
}

/* With the room that an array of so many has, see base/array.h. */
static bool bytes_again(void *items, size_t n, size_t size)
{
	size_t room = 1;
	void *copy = NULL;

	while (room < n)
		room *= 2;
	if (n > 0) {
		copy = malloc(room * size);
		if (copy)
			memcpy(copy, *(void **)items, n * size);
	}
	*(void **)items = copy;
	return copy || n == 0;
}

static bool requests_again(struct container *container)
{
	bool whole = bytes_again(&container->requests, container->n_requests, sizeof(*container->requests));

	if (!whole)
		container->n_requests = 0;
	for (size_t i = 0; i < container->n_requests; i++) {
		bool key = text_again(&container->requests[i].key), text = text_again(&container->requests[i].text);

		whole = whole && key && text;
	}
	return whole;
}

/* Each is a shallow copy whose own parts are made anew; whatever fails, what is there is its own or NULL. */
static bool network_again(struct network *network)
{
	bool whole[] = {
		text_again(&network->id),
		text_again(&network->name),
		text_again(&network->driver),
		bytes_again(&network->subnets, network->n_subnets, sizeof(*network->subnets)),
		bytes_again(&network->gateways, network->n_gateways, sizeof(*network->gateways)),
	};

	return whole[0] && whole[1] && whole[2] && whole[3] && whole[4];
}

static bool endpoint_again(struct endpoint *endpoint)
{
	bool whole[] = { text_again(&endpoint->network), text_again(&endpoint->container),
			 text_again(&endpoint->name) };

	return whole[0] && whole[1] && whole[2];
}

static bool container_again(struct container *container)
{
	char **texts[] = { &container->id, &container->name, &container->image, &container->project,
			   &container->service };
	bool whole = requests_again(container);

	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		whole = text_again(texts[i]) && whole;
	whole = bytes_again(&container->ports, container->n_ports, sizeof(*container->ports)) && whole;
	return bytes_again(&container->bindings, container->n_bindings, sizeof(*container->bindings)) && whole;
}

static bool put_interfaces(struct inventory *copy, const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_interfaces; i++) {
		struct interface item = inventory->interfaces[i];

		if (!bytes_again(&item.addresses, item.n_addresses, sizeof(*item.addresses)) ||
		    inventory_put_interface(copy, &item) < 0)
			return false;
	}
	return true;
}

static bool put_networks(struct inventory *copy, const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_networks; i++) {
		struct network item = inventory->networks[i];

		if (!network_again(&item)) {
			network_clear(&item);
			return false;
		}
		if (inventory_put_network(copy, &item) < 0)
			return false;
	}
	return true;
}

static bool put_containers(struct inventory *copy, const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_containers; i++) {
		struct container item = inventory->containers[i];

		if (!container_again(&item)) {
			container_clear(&item);
			return false;
		}
		if (inventory_put_container(copy, &item) < 0)
			return false;
	}
	for (size_t i = 0; i < inventory->n_endpoints; i++) {
		struct endpoint item = inventory->endpoints[i];

		if (!endpoint_again(&item)) {
			endpoint_clear(&item);
			return false;
		}
		if (inventory_put_endpoint(copy, &item) < 0)
			return false;
	}
	return true;
}

struct inventory *inventory_copy(const struct inventory *inventory)
{
	_cleanup_(inventory_freep) struct inventory *copy = inventory_new();

	if (!copy)
		return NULL;
	copy->routes = inventory->routes;
	if (!bytes_again(&copy->routes, inventory->n_routes, sizeof(*copy->routes)))
		return NULL;
	copy->n_routes = inventory->n_routes;
	copy->busy = inventory->busy;
	copy->own_first = inventory->own_first;
	copy->own_last = inventory->own_last;
	copy->resolver = inventory->resolver;
	if (!put_interfaces(copy, inventory) || !put_networks(copy, inventory) || !put_containers(copy, inventory))
		return NULL;
	return TAKE_PTR(copy);
}
