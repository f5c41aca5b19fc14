/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/*
 * Who is behind the ports that an engine's proxy listens on. The proxy of a container listens before the engine tells
 * of it, so that what a container is to publish counts from its making on: as its own once it has a place in a network,
 * and until then, and while it is stopped, as a port of nobody. What is published now goes before.
 */

enum rank { RANK_PUBLISHED, RANK_PLACED, RANK_NOBODY };

struct taken {
	struct {
		struct addr host;
		uint8_t proto;
		uint16_t port;
	} key;
	enum rank rank;
	size_t front;
	UT_hash_handle hh;
};

struct fill {
	struct model *model;
	struct taken *taken;
};

static const struct taken *taken_at(const struct fill *fill, const struct port_binding *binding, bool wild)
{
	struct taken probe = { 0 }, *found;

	probe.key.host.family = binding->host.family;
	if (!wild)
		probe.key.host = binding->host;
	probe.key.proto = binding->proto;
	probe.key.port = binding->host_port;
	HASH_FIND(hh, fill->taken, &probe.key, sizeof(probe.key), found);
	return found;
}

static int take(struct fill *fill, const struct port_binding *binding, enum rank rank)
{
	struct taken *taken = calloc(1, sizeof(*taken));

	if (!taken)
		return -ENOMEM;
	taken->key.host = binding->host;
	taken->key.proto = binding->proto;
	taken->key.port = binding->host_port;
	taken->rank = rank;
	taken->front = fill->model->n_fronts - 1;
	HASH_ADD(hh, fill->taken, key, sizeof(taken->key), taken);
	if (!taken->hh.tbl) {
		free(taken);
		return -ENOMEM;
	}
	return 0;
}

/* Where two could be behind a port, nobody is. */
static int add_front(struct fill *fill, const struct port_binding *binding, const struct container *container,
		     uint32_t class, enum rank rank)
{
	const struct taken *same = taken_at(fill, binding, false), *wild = taken_at(fill, binding, true);
	struct port_front *front;

	if ((same && same->rank < rank) || (wild && wild->rank < rank))
		return 0;
	if (same) {
		front = &fill->model->fronts[same->front];
		if (front->class != class)
			front->class = FRONT_NOBODY;
		return 0;
	}
	front = ARRAY_ADD(fill->model->fronts, fill->model->n_fronts);
	if (!front)
		return -ENOMEM;
	*front = (struct port_front){ *binding, class, container };
	return take(fill, binding, rank);
}

/* The proxy connects to the network that the engine takes as the container's gateway: the first by name. */
static const struct location *front_location(const struct model *model, const struct container *container)
{
	const struct location *best = NULL;

	for (size_t i = 0; i < model->n_locations && model->locations[i].single; i++) {
		const struct location *location = &model->locations[i];

		if (location->container != container || location->network->internal)
			continue;
		if (!best || strcmp(location->network->name, best->network->name) < 0)
			best = location;
	}
	return best;
}

static int add_container(struct fill *fill, const struct container *container, enum rank rank)
{
	bool published = rank == RANK_PUBLISHED;
	const struct port_binding *ports = published ? container->ports : container->bindings;
	size_t n = published ? container->n_ports : container->n_bindings;
	const struct location *location = n ? front_location(fill->model, container) : NULL;
	int r = 0;

	if ((rank == RANK_NOBODY) != !location)
		return 0;
	for (size_t i = 0; i < n && r >= 0; i++)
		r = add_front(fill, &ports[i], container, location ? location->class : FRONT_NOBODY, rank);
	return r;
}

int fronts_fill(struct model *model)
{
	struct fill fill = { .model = model };
	struct taken *taken, *next;
	int r = 0;

	for (enum rank rank = RANK_PUBLISHED; rank <= RANK_NOBODY; rank++)
		for (size_t i = 0; i < model->inventory->n_containers && r >= 0; i++)
			r = add_container(&fill, &model->inventory->containers[i], rank);
	HASH_ITER(hh, fill.taken, taken, next) {
		HASH_DEL(fill.taken, taken);
		free(taken);
	}
	return r;
}

#define NAT_PORT_LOWEST 1024
#define NAT_PORTS_MIN 4096 /* fewer run out: better somebody else's choice than no connection */

/*
 * The longest run of ports that nobody waits on and nothing is published at. What leaves a container network gets its
 * source port from there: a container that chose a service's port would else be sent the answers for that service.
 */
void nat_ports_fill(struct model *model)
{
	struct port_bits busy = model->inventory->busy;
	unsigned first = NAT_PORT_LOWEST, best = 0, length = NAT_PORTS_MIN - 1;

	if (model->inventory->own_last)
		port_bits_add(&busy, model->inventory->own_first, model->inventory->own_last);
	for (size_t i = 0; i < model->n_fronts; i++)
		port_bits_add(&busy, model->fronts[i].binding.host_port, model->fronts[i].binding.host_port);
	for (unsigned port = NAT_PORT_LOWEST; port <= 65536; port++) {
		if (port < 65536 && !port_bits_has(&busy, (uint16_t)port))
			continue;
		if (port - first > length) {
			best = first;
			length = port - first;
		}
		first = port + 1;
	}
	model->nat_first = (uint16_t)best;
	model->nat_last = (uint16_t)(best ? best + length - 1 : 0);
}
