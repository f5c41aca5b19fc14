/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inventory/inventory.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/spots.h"

/*
 * The arrays are the truth; the index only says where in them a key is. It is made at the first look-up, follows puts
 * and drops, and is made again when an array turns out to have been changed by other hands. Without memory for it
 * there is none, and look-ups walk the array.
 */

struct index {
	struct spots spots;
	const void *items; /* the array it was made for, and its count */
	size_t n_items;
	bool bad; /* no memory, or too many items */
};

enum kind { KIND_INTERFACE, KIND_NETWORK, KIND_ENDPOINT, KIND_CONTAINER, _KIND_MAX };

struct inventory_index {
	struct index of[_KIND_MAX];
};

#define KEYS 2 /* at most, of one item */

struct kind_ops {
	size_t size, items, count; /* of an item; where the array and its count are in the inventory */
	size_t (*hashes)(const void *item, uint32_t hashes[KEYS]); /* of its keys, and how many it has */
	bool (*same)(const void *a, const void *b); /* whether they share a key, so that a put of b replaces a */
	void (*clear)(void *item);
};

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static size_t interface_hashes(const void *item, uint32_t hashes[KEYS])
{
	const struct interface *interface = item;

	hashes[0] = spots_hash(&interface->index, sizeof(interface->index));
	return 1;
}

static size_t network_hashes(const void *item, uint32_t hashes[KEYS])
{
	const struct network *network = item;

	hashes[0] = spots_hash(network->id, strlen(network->id));
	return 1;
}

static size_t container_hashes(const void *item, uint32_t hashes[KEYS])
{
	const struct container *container = item;

	hashes[0] = spots_hash(container->id, strlen(container->id));
	return 1;
}

/* The keys of an endpoint are its addresses, each with the network. */
static size_t endpoint_hashes(const void *item, uint32_t hashes[KEYS])
{
	const struct endpoint *endpoint = item;
	const struct addr *addresses[KEYS] = { &endpoint->ip4, &endpoint->ip6 };
	uint32_t network = spots_hash(endpoint->network, strlen(endpoint->network));
	char key[sizeof(network) + sizeof(struct addr)];
	size_t n = 0;

	memcpy(key, &network, sizeof(network));
	for (size_t i = 0; i < KEYS; i++) {
		if (!addresses[i]->family)
			continue;
		memcpy(key + sizeof(network), addresses[i], sizeof(struct addr));
		hashes[n++] = spots_hash(key, sizeof(key));
	}
	return n;
}

static bool interface_same(const void *a, const void *b)
{
	return ((const struct interface *)a)->index == ((const struct interface *)b)->index;
}

static bool network_same(const void *a, const void *b)
{
	return strcmp(((const struct network *)a)->id, ((const struct network *)b)->id) == 0;
}

static bool container_same(const void *a, const void *b)
{
	return strcmp(((const struct container *)a)->id, ((const struct container *)b)->id) == 0;
}

static bool address_same(const struct addr *a, const struct addr *b)
{
	return a->family && addr_compare(a, b) == 0;
}

static bool endpoint_same(const void *one, const void *other)
{
	const struct endpoint *a = one, *b = other;

	if (strcmp(a->network, b->network) != 0)
		return false;
	if (!a->ip4.family && !a->ip6.family && !b->ip4.family && !b->ip6.family)
		return strcmp(a->container, b->container) == 0;
	return address_same(&a->ip4, &b->ip4) || address_same(&a->ip6, &b->ip6);
}

static void interface_clear_item(void *item)
{
	interface_clear(item);
}

static void network_clear_item(void *item)
{
	network_clear(item);
}

static void endpoint_clear_item(void *item)
{
	endpoint_clear(item);
}

static void container_clear_item(void *item)
{
	container_clear(item);
}

#define KIND(thing, things)                                                                                            \
	{                                                                                                              \
		sizeof(struct thing), offsetof(struct inventory, things), offsetof(struct inventory, n_##things),      \
			thing##_hashes, thing##_same, thing##_clear_item                                               \
	}

static const struct kind_ops kinds[_KIND_MAX] = {
	[KIND_INTERFACE] = KIND(interface, interfaces),
	[KIND_NETWORK] = KIND(network, networks),
	[KIND_ENDPOINT] = KIND(endpoint, endpoints),
	[KIND_CONTAINER] = KIND(container, containers),
};

static void **kind_items(const struct inventory *inventory, enum kind kind)
{
	return (void **)((char *)inventory + kinds[kind].items);
}

static size_t *kind_count(const struct inventory *inventory, enum kind kind)
{
	return (size_t *)((char *)inventory + kinds[kind].count);
}

static void *kind_item(const struct inventory *inventory, enum kind kind, size_t slot)
{
	return (char *)*kind_items(inventory, kind) + slot * kinds[kind].size;
}

static void index_empty(struct index *index)
{
	spots_clear(&index->spots);
	memset(index, 0, sizeof(*index));
}

/* Notes where an item is. Items that share a key are all there; puts leave no such keys. */
static void index_note(struct index *index, enum kind kind, const void *item, size_t slot)
{
	uint32_t hashes[KEYS];
	size_t n = kinds[kind].hashes(item, hashes);

	for (size_t i = 0; i < n && !index->bad; i++)
		index->bad = slot >= SPOT_NOWHERE || !spots_add(&index->spots, hashes[i], (uint32_t)slot);
}

/* The item at slot `from` is at `to` now; SPOT_NOWHERE: it is gone. */
static void index_move(struct index *index, enum kind kind, const void *item, size_t from, size_t to)
{
	uint32_t hashes[KEYS];
	size_t n = kinds[kind].hashes(item, hashes);
	struct spot *spot;

	for (size_t i = 0; i < n; i++) {
		spot = spots_find(&index->spots, hashes[i], NULL);
		while (spot && spot->slot != from)
			spot = spots_find(&index->spots, hashes[i], spot);
		if (spot && to == SPOT_NOWHERE)
			spots_cut(&index->spots, spot);
		else if (spot)
			spot->slot = (uint32_t)to;
	}
}

/* The index of a kind, fit for use, or NULL. */
static struct index *index_ready(const struct inventory *inventory, enum kind kind)
{
	struct index *index = inventory->index ? &inventory->index->of[kind] : NULL;
	size_t n = *kind_count(inventory, kind);

	if (!index)
		return NULL;
	if (index->items == *kind_items(inventory, kind) && index->n_items == n)
		return index->bad ? NULL : index;
	index_empty(index);
	for (size_t i = 0; i < n; i++)
		index_note(index, kind, kind_item(inventory, kind, i), i);
	index->items = *kind_items(inventory, kind);
	index->n_items = n;
	return index->bad ? NULL : index;
}

/* An item that has a key of the model, with an index the last of them; NULL without. */
static void *kind_find(const struct inventory *inventory, enum kind kind, const void *model)
{
	struct index *index = index_ready(inventory, kind);
	size_t n = *kind_count(inventory, kind);
	uint32_t hashes[KEYS];
	size_t n_hashes = kinds[kind].hashes(model, hashes);
	void *found = NULL;

	for (size_t i = 0; index && i < n_hashes; i++) {
		const struct spot *spot = NULL;

		while ((spot = spots_find(&index->spots, hashes[i], spot))) {
			void *item = kind_item(inventory, kind, spot->slot);

			if (item > found && kinds[kind].same(item, model))
				found = item;
		}
	}
	if (index && n_hashes > 0)
		return found;
	for (size_t i = 0; i < n; i++)
		if (kinds[kind].same(kind_item(inventory, kind, i), model))
			return kind_item(inventory, kind, i);
	return NULL;
}

/* The last item takes the place of the one that goes, so that nothing has to move up. */
static void kind_cut(struct inventory *inventory, enum kind kind, void *item)
{
	struct index *index = index_ready(inventory, kind);
	size_t size = kinds[kind].size, last = --*kind_count(inventory, kind);
	size_t slot = (size_t)((char *)item - (char *)*kind_items(inventory, kind)) / size;
	char *moved = kind_item(inventory, kind, last);

	if (index)
		index_move(index, kind, item, slot, SPOT_NOWHERE);
	kinds[kind].clear(item);
	if (moved != item) {
		memcpy(item, moved, size);
		if (index)
			index_move(index, kind, item, last, slot);
	}
	if (inventory->index)
		inventory->index->of[kind].n_items = last;
}

/* Who makes a model finds the container of an endpoint by its stamp then, and needs neither keys nor names. */
static void stamp(struct inventory *inventory, enum kind kind, void *item)
{
	struct network *network = item;
	struct container *container = item;
	struct endpoint *endpoint = item;

	if (kind == KIND_NETWORK) {
		network->stamp = ++inventory->stamps;
	} else if (kind == KIND_CONTAINER) {
		container->stamp = ++inventory->stamps;
		container->name_hash = spots_hash(container->name, strlen(container->name));
	} else if (kind == KIND_ENDPOINT) {
		endpoint->network_stamp = endpoint->container_stamp = 0;
	}
}

/* What the item replaces goes only when there is room for the item: an endpoint never loses its container. */
static int kind_put(struct inventory *inventory, enum kind kind, void *item)
{
	struct index *index = inventory->index ? &inventory->index->of[kind] : NULL;
	void *slot, *old;

	index_ready(inventory, kind);
	if (!array_reserve(kind_items(inventory, kind), *kind_count(inventory, kind), kinds[kind].size)) {
		kinds[kind].clear(item);
		return -ENOMEM;
	}
	if (index)
		index->items = *kind_items(inventory, kind);
	while ((old = kind_find(inventory, kind, item)))
		kind_cut(inventory, kind, old);
	slot = kind_item(inventory, kind, (*kind_count(inventory, kind))++);
	memcpy(slot, item, kinds[kind].size);
	memset(item, 0, kinds[kind].size);
	stamp(inventory, kind, slot);
	if (index)
		index_note(index, kind, slot, index->n_items++);
	return 0;
}

static void kind_clear(struct inventory *inventory, enum kind kind)
{
	for (size_t i = 0; i < *kind_count(inventory, kind); i++)
		kinds[kind].clear(kind_item(inventory, kind, i));
	free(*kind_items(inventory, kind));
	if (inventory->index)
		index_empty(&inventory->index->of[kind]);
}

struct inventory *inventory_new(void)
{
	struct inventory *inventory = calloc(1, sizeof(*inventory));

	if (inventory)
		inventory->index = calloc(1, sizeof(*inventory->index)); /* none is no harm */
	return inventory;
}

struct inventory *inventory_free(struct inventory *inventory)
{
	if (!inventory)
		return NULL;
	for (enum kind kind = 0; kind < _KIND_MAX; kind++)
		kind_clear(inventory, kind);
	free(inventory->routes);
	free(inventory->index);
	free(inventory);
	return NULL;
}

struct interface *inventory_interface(const struct inventory *inventory, unsigned index)
{
	struct interface model = { .index = index };

	return kind_find(inventory, KIND_INTERFACE, &model);
}

struct interface *inventory_interface_named(const struct inventory *inventory, const char *name)
{
	for (size_t i = 0; i < inventory->n_interfaces; i++)
		if (strcmp(inventory->interfaces[i].name, name) == 0)
			return &inventory->interfaces[i];
	return NULL;
}

struct interface *inventory_interface_with(const struct inventory *inventory, const struct addr *addr)
{
	for (size_t i = 0; i < inventory->n_interfaces; i++)
		for (size_t k = 0; k < inventory->interfaces[i].n_addresses; k++)
			if (addr_compare(&inventory->interfaces[i].addresses[k].addr, addr) == 0)
				return &inventory->interfaces[i];
	return NULL;
}

struct network *inventory_network(const struct inventory *inventory, const char *id)
{
	struct network model = { .id = (char *)id };

	return kind_find(inventory, KIND_NETWORK, &model);
}

struct network *inventory_network_named(const struct inventory *inventory, const char *name)
{
	for (size_t i = 0; i < inventory->n_networks; i++)
		if (strcmp(inventory->networks[i].name, name) == 0)
			return &inventory->networks[i];
	return NULL;
}

struct container *inventory_container(const struct inventory *inventory, const char *id)
{
	struct container model = { .id = (char *)id };

	return kind_find(inventory, KIND_CONTAINER, &model);
}

struct network *inventory_network_of(const struct inventory *inventory, struct endpoint *endpoint)
{
	uint32_t at = endpoint->network_at;
	struct network *network;

	if (endpoint->network_stamp && at < inventory->n_networks &&
	    inventory->networks[at].stamp == endpoint->network_stamp)
		return &inventory->networks[at];
	network = inventory_network(inventory, endpoint->network);
	if (network) {
		endpoint->network_at = (uint32_t)(network - inventory->networks);
		endpoint->network_stamp = network->stamp;
	}
	return network;
}

struct container *inventory_container_of(const struct inventory *inventory, struct endpoint *endpoint)
{
	uint32_t at = endpoint->container_at;
	struct container *container;

	if (endpoint->container_stamp && at < inventory->n_containers &&
	    inventory->containers[at].stamp == endpoint->container_stamp)
		return &inventory->containers[at];
	container = endpoint->container[0] ? inventory_container(inventory, endpoint->container) : NULL;
	if (container) {
		endpoint->container_at = (uint32_t)(container - inventory->containers);
		endpoint->container_stamp = container->stamp;
	}
	return container;
}

struct endpoint *inventory_endpoint(const struct inventory *inventory, const char *network, const struct addr *address)
{
	struct endpoint model = { .network = (char *)network, .container = (char *)"" };

	if (!address->family)
		return NULL;
	*(address->family == AF_INET6 ? &model.ip6 : &model.ip4) = *address;
	return kind_find(inventory, KIND_ENDPOINT, &model);
}

int inventory_put_interface(struct inventory *inventory, struct interface *interface)
{
	return kind_put(inventory, KIND_INTERFACE, interface);
}

int inventory_put_network(struct inventory *inventory, struct network *network)
{
	return kind_put(inventory, KIND_NETWORK, network);
}

int inventory_put_container(struct inventory *inventory, struct container *container)
{
	return kind_put(inventory, KIND_CONTAINER, container);
}

int inventory_put_endpoint(struct inventory *inventory, struct endpoint *endpoint)
{
	return kind_put(inventory, KIND_ENDPOINT, endpoint);
}

void inventory_drop_interface(struct inventory *inventory, unsigned index)
{
	struct interface *interface = inventory_interface(inventory, index);

	if (interface)
		kind_cut(inventory, KIND_INTERFACE, interface);
}

void inventory_drop_network(struct inventory *inventory, const char *engine, const char *id)
{
	struct network *network;

	if (id) {
		network = inventory_network(inventory, id);
		if (!network || strcmp(network->engine, engine) != 0)
			return;
		inventory_drop_endpoints(inventory, network->id, NULL);
		kind_cut(inventory, KIND_NETWORK, network);
		return;
	}
	for (size_t i = inventory->n_endpoints; i-- > 0;) {
		network = inventory_network(inventory, inventory->endpoints[i].network);
		if (network && strcmp(network->engine, engine) == 0)
			kind_cut(inventory, KIND_ENDPOINT, &inventory->endpoints[i]);
	}
	for (size_t i = inventory->n_networks; i-- > 0;)
		if (strcmp(inventory->networks[i].engine, engine) == 0)
			kind_cut(inventory, KIND_NETWORK, &inventory->networks[i]);
}

void inventory_drop_container(struct inventory *inventory, const char *engine, const char *id)
{
	struct container *container = id ? inventory_container(inventory, id) : NULL;

	if (container && strcmp(container->engine, engine) == 0)
		kind_cut(inventory, KIND_CONTAINER, container);
	for (size_t i = inventory->n_containers; !id && i-- > 0;)
		if (strcmp(inventory->containers[i].engine, engine) == 0)
			kind_cut(inventory, KIND_CONTAINER, &inventory->containers[i]);
}

void inventory_cut_endpoint(struct inventory *inventory, size_t i)
{
	kind_cut(inventory, KIND_ENDPOINT, &inventory->endpoints[i]);
}

void inventory_drop_endpoints(struct inventory *inventory, const char *network, const char *container)
{
	for (size_t i = inventory->n_endpoints; i-- > 0;) {
		const struct endpoint *endpoint = &inventory->endpoints[i];

		if ((!network || strcmp(endpoint->network, network) == 0) &&
		    (!container || strcmp(endpoint->container, container) == 0))
			kind_cut(inventory, KIND_ENDPOINT, &inventory->endpoints[i]);
	}
}

void interface_clear(struct interface *interface)
{
	free(interface->addresses);
	memset(interface, 0, sizeof(*interface));
}

void network_clear(struct network *network)
{
	free(network->id);
	free(network->name);
	free(network->driver);
	free(network->subnets);
	free(network->gateways);
	memset(network, 0, sizeof(*network));
}

void endpoint_clear(struct endpoint *endpoint)
{
	free(endpoint->network);
	free(endpoint->container);
	free(endpoint->name);
	memset(endpoint, 0, sizeof(*endpoint));
}

struct request *requests_free(struct request *requests, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(requests[i].key);
		free(requests[i].text);
	}
	free(requests);
	return NULL;
}

void container_clear(struct container *container)
{
	free(container->id);
	free(container->name);
	free(container->image);
	free(container->project);
	free(container->service);
	requests_free(container->requests, container->n_requests);
	free(container->ports);
	free(container->bindings);
	memset(container, 0, sizeof(*container));
}

bool network_equal(const struct network *a, const struct network *b)
{
	if (a->n_subnets != b->n_subnets || a->n_gateways != b->n_gateways || a->internal != b->internal ||
	    a->icc != b->icc || a->masquerade != b->masquerade || a->gateway4 != b->gateway4 ||
	    a->gateway6 != b->gateway6 || a->trusts != b->trusts || strcmp(a->bridge, b->bridge) != 0)
		return false;
	for (size_t i = 0; i < a->n_subnets; i++)
		if (addr_compare(&a->subnets[i].addr, &b->subnets[i].addr) != 0 ||
		    a->subnets[i].length != b->subnets[i].length)
			return false;
	for (size_t i = 0; i < a->n_gateways; i++)
		if (addr_compare(&a->gateways[i], &b->gateways[i]) != 0)
			return false;
	return text_equal(a->engine, b->engine) && text_equal(a->id, b->id) && text_equal(a->name, b->name) &&
	       text_equal(a->driver, b->driver);
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return text_equal(a->network, b->network) && text_equal(a->container, b->container) &&
	       text_equal(a->name, b->name) && addr_compare(&a->ip4, &b->ip4) == 0 &&
	       addr_compare(&a->ip6, &b->ip6) == 0 && memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static bool bindings_equal(const struct port_binding *a, size_t n_a, const struct port_binding *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (a[i].proto != b[i].proto || a[i].host_port != b[i].host_port ||
		    a[i].container_port != b[i].container_port || addr_compare(&a[i].host, &b[i].host) != 0)
			return false;
	return true;
}

static bool requests_equal(const struct container *a, const struct container *b)
{
	if (a->n_requests != b->n_requests)
		return false;
	for (size_t i = 0; i < a->n_requests; i++)
		if (a->requests[i].image != b->requests[i].image ||
		    !text_equal(a->requests[i].key, b->requests[i].key) ||
		    !text_equal(a->requests[i].text, b->requests[i].text))
			return false;
	return true;
}

bool container_equal(const struct container *a, const struct container *b)
{
	if (a->running != b->running || a->host_network != b->host_network || a->image_labels != b->image_labels ||
	    a->created != b->created || !requests_equal(a, b) ||
	    !bindings_equal(a->ports, a->n_ports, b->ports, b->n_ports) ||
	    !bindings_equal(a->bindings, a->n_bindings, b->bindings, b->n_bindings))
		return false;
	return text_equal(a->engine, b->engine) && text_equal(a->id, b->id) && text_equal(a->name, b->name) &&
	       text_equal(a->image, b->image) && text_equal(a->project, b->project) &&
	       text_equal(a->service, b->service);
}

bool port_bits_has(const struct port_bits *bits, uint16_t port)
{
	return bits->bits[port / 8] & 1 << port % 8;
}

unsigned port_bits_next(const struct port_bits *bits, unsigned port)
{
	while (port < PORTS && !port_bits_has(bits, (uint16_t)port))
		port += port % 8 == 0 && bits->bits[port / 8] == 0 ? 8 : 1;
	return port;
}

void port_bits_add(struct port_bits *bits, uint16_t first, uint16_t last)
{
	for (unsigned port = first; port <= last; port++)
		bits->bits[port / 8] |= (uint8_t)(1 << port % 8);
}
