/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/docker_track.h"

#include <errno.h>
#include <string.h>

#include "engine/docker_thing.h"

#define THINGS_MAX (4 * DOCKER_THINGS_MAX)

struct thing *thing_find(const struct docker_track *track, enum thing_kind kind, const char *id)
{
	char key[DOCKER_ID_MAX + 2];
	struct thing *thing;
	size_t length = strlen(id);

	if (length > DOCKER_ID_MAX)
		return NULL;
	key[0] = (char)kind;
	memcpy(key + 1, id, length);
	HASH_FIND(hh, track->things, key, length + 1, thing);
	return thing;
}

struct thing *thing_get(struct docker_track *track, enum thing_kind kind, const char *id)
{
	struct thing *thing = thing_find(track, kind, id);
	size_t length = strlen(id);

	if (thing || length > DOCKER_ID_MAX || HASH_COUNT(track->things) >= THINGS_MAX)
		return thing;
	thing = calloc(1, sizeof(*thing) + length + 2);
	if (!thing)
		return NULL;
	thing->kind = kind;
	thing->key[0] = (char)kind;
	memcpy(thing->key + 1, id, length);
	thing->id = thing->key + 1;
	HASH_ADD_KEYPTR(hh, track->things, thing->key, length + 1, thing);
	if (!thing->hh.tbl) {
		free(thing);
		return NULL;
	}
	return thing;
}

void thing_drop_answer(struct thing *thing)
{
	if (thing->network)
		docker_network_clear(thing->network);
	if (thing->container)
		docker_container_clear(thing->container);
	free(thing->network);
	free(thing->container);
	thing->network = NULL;
	thing->container = NULL;
}

static void thing_unqueue(struct docker_track *track, struct thing *thing)
{
	if (thing->queued && thing->kind == THING_BINDINGS)
		DL_DELETE(track->bindings, thing);
	else if (thing->queued && thing->urgent)
		DL_DELETE(track->urgent, thing);
	else if (thing->queued)
		DL_DELETE(track->bulk, thing);
	thing->queued = false;
}

static void thing_not_later(struct docker_track *track, struct thing *thing)
{
	if (thing->due)
		DL_DELETE2(track->later, thing, later_prev, later_next);
	thing->due = 0;
}

void thing_free(struct docker_track *track, struct thing *thing)
{
	thing_unqueue(track, thing);
	thing_not_later(track, thing);
	HASH_DEL(track->things, thing);
	thing_drop_answer(thing);
	docker_labels_clear(&thing->labels);
	free(thing->ports);
	free(thing);
}

void thing_want(struct docker_track *track, struct thing *thing, bool urgent)
{
	if (thing->asked) {
		thing->again = true;
		thing->urgent |= urgent;
		return;
	}
	if (thing->queued && (thing->urgent || !urgent))
		return;
	thing_unqueue(track, thing);
	thing->urgent = urgent;
	thing->queued = true;
	if (thing->kind == THING_BINDINGS && urgent)
		DL_PREPEND(track->bindings, thing);
	else if (thing->kind == THING_BINDINGS)
		DL_APPEND(track->bindings, thing);
	else if (urgent)
		DL_APPEND(track->urgent, thing);
	else
		DL_APPEND(track->bulk, thing);
}

void thing_want_later(struct docker_track *track, struct thing *thing, unsigned pause, unsigned left)
{
	if (!thing->due) {
		DL_APPEND2(track->later, thing, later_prev, later_next);
		thing->left = 0;
	}
	if (!thing->due || track->now + pause < thing->due)
		thing->due = track->now + pause;
	if (!track->later->later_next || thing->due < track->first_due)
		track->first_due = thing->due;
	if (left || !thing->left)
		thing->pause = pause * 4;
	if (left)
		thing->left = left;
}

int track_want_bindings(struct docker_track *track, const char *container, bool urgent)
{
	struct thing *thing = thing_get(track, THING_BINDINGS, container);

	if (!thing)
		return -ENOMEM;
	if (!thing->known && !thing->asked)
		thing_want(track, thing, urgent);
	return 0;
}

struct docker_track *docker_track_new(struct inventory *inventory)
{
	struct docker_track *track = calloc(1, sizeof(*track));

	if (track)
		track->inventory = inventory;
	return track;
}

struct docker_track *docker_track_free(struct docker_track *track)
{
	struct thing *thing, *next;

	if (!track)
		return NULL;
	HASH_ITER(hh, track->things, thing, next)
		thing_free(track, thing);
	docker_containers_free(track->list.found, track->list.n_found);
	free(track);
	return NULL;
}

int docker_track_time(struct docker_track *track, uint64_t now)
{
	struct thing *thing, *next;
	uint64_t first = UINT64_MAX;

	track->now = now;
	if (track->later && now < track->first_due)
		return (int)(track->first_due - now);
	DL_FOREACH_SAFE2(track->later, thing, next, later_next) {
		if (thing->due <= now) {
			unsigned left = thing->left;

			thing_not_later(track, thing);
			thing_want(track, thing, true);
			if (left)
				thing_want_later(track, thing, thing->pause, left - 1);
		}
		if (thing->due && thing->due < first)
			first = thing->due;
	}
	track->first_due = first;
	return first == UINT64_MAX ? -1 : (int)(first - now);
}

bool docker_track_changed(struct docker_track *track)
{
	bool changed = track->changed;

	track->changed = false;
	return changed;
}

void track_drop_endpoints(struct docker_track *track, const char *network, const char *container)
{
	size_t before = track->inventory->n_endpoints;

	inventory_drop_endpoints(track->inventory, network, container);
	track->changed |= track->inventory->n_endpoints != before;
}

void track_drop_network(struct docker_track *track, struct thing *network)
{
	size_t before = track->inventory->n_networks;

	inventory_drop_network(track->inventory, DOCKER_ENGINE, network->id);
	track->changed |= track->inventory->n_networks != before;
	track->n_waiting -= network->waits;
	network->waits = false;
}

/* Its places go first. */
void track_drop_container(struct docker_track *track, const char *id)
{
	size_t before = track->inventory->n_containers;

	track_drop_endpoints(track, NULL, id);
	inventory_drop_container(track->inventory, DOCKER_ENGINE, id);
	track->changed |= track->inventory->n_containers != before;
}

static int network_event(struct docker_track *track, const struct docker_event *event)
{
	struct thing *network = thing_get(track, THING_NETWORK, event->id);
	struct thing *container = NULL;

	if (event->container[0])
		container = thing_get(track, THING_CONTAINER, event->container);
	if (!network || (event->container[0] && !container))
		return -ENOMEM;
	network->touched = track->row;
	network->touched_at = track->now;
	if (event->action == DOCKER_DESTROY) {
		network->moved = track->row;
		track_drop_network(track, network);
		return 0;
	}
	if (event->action == DOCKER_DISCONNECT && container) {
		container->moved = track->row;
		track_drop_endpoints(track, event->id, event->container);
	}
	if (event->action == DOCKER_CONNECT && container) {
		container->stopped = false;
		container->absent = false;
		if (!inventory_container(track->inventory, event->container))
			thing_want(track, container, true);
	}
	thing_want(track, network, true);
	thing_want_later(track, network, PAUSE_EVENT, 0);
	return 0;
}

/* No address and no port of a stopped container has any right. */
static void container_stopped(struct docker_track *track, struct thing *thing)
{
	struct container *container = inventory_container(track->inventory, thing->id);

	thing->moved = track->row;
	thing->stopped = true;
	for (size_t i = 0; i < track->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = &track->inventory->endpoints[i];
		struct thing *network;

		if (strcmp(endpoint->container, thing->id) != 0)
			continue;
		network = thing_get(track, THING_NETWORK, endpoint->network);
		if (network)
			thing_want(track, network, true);
	}
	track_drop_endpoints(track, NULL, thing->id);
	if (container && (container->running || container->n_ports)) {
		container->running = false;
		container->n_ports = 0;
		free(TAKE_PTR(container->ports));
		track->changed = true;
	}
}

static int container_event(struct docker_track *track, const struct docker_event *event)
{
	struct thing *thing = thing_get(track, THING_CONTAINER, event->id);

	if (!thing)
		return -ENOMEM;
	thing->touched = track->row;
	thing->touched_at = track->now;
	if (event->action == DOCKER_DESTROY) {
		thing->moved = track->row;
		thing->stopped = true;
		track_drop_container(track, event->id);
		return 0;
	}
	thing->absent = false;
	if (event->action == DOCKER_CREATE && track_want_bindings(track, event->id, true) < 0)
		return -ENOMEM;
	if (event->action == DOCKER_DIE)
		container_stopped(track, thing);
	if (event->action == DOCKER_START)
		thing->stopped = false;
	thing_want(track, thing, true);
	thing_want_later(track, thing, PAUSE_EVENT, 0);
	return 0;
}

int docker_track_event(struct docker_track *track, const struct docker_event *event)
{
	if (event->action == DOCKER_OTHER)
		return 0;
	track->row++;
	return event->network ? network_event(track, event) : container_event(track, event);
}

void docker_track_refresh(struct docker_track *track, const char *bridge)
{
	struct thing *thing;

	for (size_t i = 0; i < track->inventory->n_networks; i++) {
		const struct network *network = &track->inventory->networks[i];

		if (strcmp(network->bridge, bridge) != 0 || strcmp(network->engine, DOCKER_ENGINE) != 0)
			continue;
		thing = thing_get(track, THING_NETWORK, network->id);
		if (!thing)
			continue;
		thing_want(track, thing, true);
		thing_not_later(track, thing);
		thing_want_later(track, thing, PAUSE_PORT, 3);
	}
}

void docker_track_list(struct docker_track *track)
{
	if (track->list.on)
		return;
	memset(&track->list, 0, sizeof(track->list));
	track->list.on = true;
	track->list.number = ++track->row;
}

bool docker_track_listing(const struct docker_track *track)
{
	return track->list.on;
}

bool docker_track_idle(const struct docker_track *track)
{
	for (const struct thing *thing = track->things; thing; thing = thing->hh.next)
		if (thing->kind != THING_BINDINGS && (thing->queued || thing->asked || thing->again))
			return false;
	return !track->list.on;
}

void track_list_end(struct docker_track *track)
{
	docker_containers_free(track->list.found, track->list.n_found);
	memset(&track->list, 0, sizeof(track->list));
}

void docker_track_reset(struct docker_track *track)
{
	struct thing *thing;

	track_list_end(track);
	for (thing = track->things; thing; thing = thing->hh.next) {
		thing_unqueue(track, thing);
		thing_not_later(track, thing);
		thing_drop_answer(thing);
		thing->asked = 0;
		thing->urgent = thing->again = thing->listing = thing->stopped = thing->absent = thing->waits = false;
	}
	track->n_waiting = 0;
}

/* The two lists come before what they will ask for. */
static bool next_list(struct docker_track *track, struct docker_question *ret)
{
	bool networks = !track->list.networks_asked;

	if (!track->list.on || (track->list.networks_asked && track->list.containers_asked))
		return false;
	*ret = (struct docker_question){ .ask = networks ? DOCKER_ASK_NETWORKS : DOCKER_ASK_CONTAINERS };
	ret->asked = ++track->row;
	*(networks ? &track->list.networks_asked : &track->list.containers_asked) = true;
	*(networks ? &track->list.networks : &track->list.containers) = ret->asked;
	return true;
}

/* Takes it off its queue, as asked. */
static void thing_ask(struct docker_track *track, struct thing *thing, struct docker_question *ret)
{
	static const enum docker_ask asks[] = {
		[THING_NETWORK] = DOCKER_ASK_NETWORK,
		[THING_CONTAINER] = DOCKER_ASK_CONTAINER,
		[THING_IMAGE] = DOCKER_ASK_IMAGE,
		[THING_BINDINGS] = DOCKER_ASK_BINDINGS,
	};

	*ret = (struct docker_question){ .ask = asks[thing->kind], .urgent = thing->urgent };
	thing_unqueue(track, thing);
	thing->urgent = thing->again = false;
	thing->asked = ret->asked = ++track->row;
	strcpy(ret->id, thing->id);
}

bool docker_track_next_bindings(struct docker_track *track, struct docker_question *ret)
{
	if (!track->bindings)
		return false;
	thing_ask(track, track->bindings, ret);
	return true;
}

bool docker_track_next(struct docker_track *track, bool urgent, struct docker_question *ret)
{
	struct thing *thing = track->urgent;

	if (!thing && urgent)
		return false;
	if (!thing && next_list(track, ret))
		return true;
	if (!thing)
		thing = track->bulk;
	if (!thing)
		return false;
	thing_ask(track, thing, ret);
	return true;
}
