/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "engine/docker_thing.h"

/* A network that lacked a container can be told whole once that is known. */
static void wake_networks(struct docker_track *track)
{
	struct thing *thing;

	if (!track->n_waiting)
		return;
	for (thing = track->things; thing; thing = thing->hh.next) {
		if (thing->kind != THING_NETWORK || !thing->waits)
			continue;
		thing->waits = false;
		track->n_waiting--;
		thing_want(track, thing, true);
	}
}

enum place { PLACE_TAKE, PLACE_KEEP, PLACE_NONE };

/* What an answer's endpoint is worth now. */
static enum place endpoint_place(struct docker_track *track, struct thing *network, struct endpoint *endpoint,
				 uint64_t asked)
{
	struct thing *container;

	if (!endpoint->container[0])
		return PLACE_TAKE;
	container = thing_get(track, THING_CONTAINER, endpoint->container);
	if (!container || container->stopped)
		return PLACE_NONE;
	if (container->moved > asked)
		return PLACE_KEEP;
	if (inventory_container(track->inventory, endpoint->container))
		return PLACE_TAKE;
	if (container->absent) {
		endpoint->container[0] = '\0';
		return PLACE_TAKE;
	}
	if (!container->asked && !container->container)
		thing_want(track, container, true);
	track->n_waiting += !network->waits;
	network->waits = true;
	return PLACE_NONE;
}

/* The endpoint at one of the other's addresses, in another inventory. */
static struct endpoint *endpoint_in(const struct inventory *inventory, const struct endpoint *endpoint)
{
	return inventory_endpoint(inventory, endpoint->network, endpoint->ip4.family ? &endpoint->ip4 : &endpoint->ip6);
}

/* What the network's endpoints shall be, as an inventory of its own; *ret_again when events overtook a part. */
static struct inventory *network_places(struct docker_track *track, struct thing *thing, struct docker_network *answer,
					uint64_t asked, bool *ret_again)
{
	_cleanup_(inventory_freep) struct inventory *places = inventory_new();

	if (!places)
		return NULL;
	for (size_t i = 0; i < answer->n_endpoints; i++) {
		struct endpoint *endpoint = &answer->endpoints[i];
		enum place place = endpoint_place(track, thing, endpoint, asked);

		*ret_again |= place == PLACE_KEEP;
		if (place == PLACE_TAKE && !endpoint->container[0])
			thing_want_later(track, thing, PAUSE_ANONYMOUS, 0);
		if (place == PLACE_TAKE && inventory_put_endpoint(places, endpoint) < 0)
			return NULL;
	}
	return TAKE_PTR(places);
}

static int apply_places(struct docker_track *track, struct thing *thing, struct inventory *places, uint64_t asked)
{
	struct inventory *inventory = track->inventory;
	struct endpoint *old;

	for (size_t i = inventory->n_endpoints; i-- > 0;) {
		const struct endpoint *endpoint = &inventory->endpoints[i];
		const struct thing *container;

		if (strcmp(endpoint->network, thing->id) != 0)
			continue;
		container = thing_find(track, THING_CONTAINER, endpoint->container);
		old = endpoint_in(places, endpoint);
		if ((container && container->moved > asked) || (old && endpoint_equal(endpoint, old)))
			continue;
		inventory_cut_endpoint(inventory, i);
		track->changed = true;
	}
	for (size_t i = 0; i < places->n_endpoints; i++) {
		old = endpoint_in(inventory, &places->endpoints[i]);
		if (old && endpoint_equal(old, &places->endpoints[i]))
			continue;
		track->changed = true;
		if (inventory_put_endpoint(inventory, &places->endpoints[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Takes what the answer points to. */
static int apply_network(struct docker_track *track, struct thing *thing, struct docker_network *answer, uint64_t asked)
{
	_cleanup_(inventory_freep) struct inventory *places = NULL;
	struct network *old = inventory_network(track->inventory, thing->id);
	bool again = false;

	if (asked < thing->applied)
		return 0;
	if (asked < thing->moved) {
		thing_want(track, thing, true);
		return 0;
	}
	track->n_waiting -= thing->waits;
	thing->waits = false;
	thing->applied = asked;
	places = network_places(track, thing, answer, asked, &again);
	if (!places)
		return -ENOMEM;
	if (!old || !network_equal(old, &answer->network)) {
		track->changed = true;
		if (inventory_put_network(track->inventory, &answer->network) < 0)
			return -ENOMEM;
	}
	if (again || asked < thing->touched)
		thing_want(track, thing, true);
	return apply_places(track, thing, places, asked);
}

static bool label_baked(const char *container, const char *image)
{
	return container && image && strcmp(container, image) == 0;
}

/* Marks what the image says too; NULL: nobody knows what it says. */
static void mark_requests(struct container *container, const struct docker_labels *image)
{
	for (size_t i = 0; i < container->n_requests; i++) {
		struct request *request = &container->requests[i];

		request->image = !image;
		for (size_t k = 0; image && k < image->n_requests; k++) {
			const char *text = image->requests[k].text;

			if (strcmp(image->requests[k].key, request->key) == 0 &&
			    (text && request->text ? strcmp(text, request->text) == 0 : text == request->text))
				request->image = true;
		}
	}
}

static bool has_labels(const struct container *container)
{
	return container->project || container->service || container->n_requests;
}

/*
 * Labels of compose are a claim to somebody's rights. Docker shows the image's and the container's own in one: where
 * the image says the same, nobody knows who said it, and the claim does not count. Requests of spr are marked instead. False: the image has to be asked.
 */
static bool check_labels(struct docker_track *track, struct docker_container *answer, int *ret)
{
	struct container *container = &answer->container;
	struct thing *image;

	*ret = 0;
	if (!has_labels(container))
		return true;
	image = answer->image_id ? thing_get(track, THING_IMAGE, answer->image_id) : NULL;
	if (image)
		image->listed = track->list.on ? track->list.number : track->row;
	if (image && !image->known) {
		thing_want(track, image, true);
		return false;
	}
	mark_requests(container, image && !image->gone ? &image->labels : NULL);
	if (!container->project && !container->service)
		return true;
	if (image && !image->gone && !label_baked(container->project, image->labels.project) &&
	    !label_baked(container->service, image->labels.service))
		return true;
	container->image_labels = true;
	free(container->project);
	free(container->service);
	container->project = strdup("?");
	container->service = strdup("?");
	if (!container->project || !container->service)
		*ret = -ENOMEM;
	return true;
}

static int keep_container(struct docker_track *track, struct thing *thing, struct docker_container *answer,
			  uint64_t asked)
{
	struct docker_container *kept = malloc(sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	*kept = *answer;
	memset(answer, 0, sizeof(*answer));
	thing_drop_answer(thing);
	thing->container = kept;
	thing->kept = asked;
	return 0;
}

/* A copy of what is known for the container; *ret_n 0 as long as nothing is. */
static int bindings_copy(const struct thing *thing, struct port_binding **ret, size_t *ret_n)
{
	size_t n = thing ? thing->n_ports : 0;
	struct port_binding *copy = NULL;

	if (n) {
		copy = malloc(n * sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, thing->ports, n * sizeof(*copy));
	}
	*ret = copy;
	*ret_n = n;
	return 0;
}

/* Takes what the answer points to. */
static int apply_container(struct docker_track *track, struct thing *thing, struct docker_container *answer,
			   uint64_t asked)
{
	struct container *container = &answer->container, *old;
	int r;

	if (asked < thing->applied || asked < thing->touched)
		return 0;
	if (!check_labels(track, answer, &r))
		return keep_container(track, thing, answer, asked);
	if (r < 0)
		return r;
	thing->applied = asked;
	thing->absent = false;
	thing_drop_answer(thing);
	if (thing->stopped) {
		container->running = false;
		container->n_ports = 0;
		free(TAKE_PTR(container->ports));
	}
	if (track_want_bindings(track, thing->id, false) < 0 ||
	    bindings_copy(thing_find(track, THING_BINDINGS, thing->id), &container->bindings, &container->n_bindings) <
		    0)
		return -ENOMEM;
	old = inventory_container(track->inventory, thing->id);
	if (old && container_equal(old, container))
		return 0;
	track->changed = true;
	if (inventory_put_container(track->inventory, container) < 0)
		return -ENOMEM;
	if (!old)
		wake_networks(track);
	return 0;
}

static int network_answer(struct docker_track *track, struct thing *thing, const struct docker_question *question,
			  const char *body, size_t length)
{
	_cleanup_(docker_network_clear) struct docker_network answer = { 0 };
	int r;

	r = docker_parse_network(body, length, &answer, NULL);
	if (r < 0 || strcmp(answer.network.id, thing->id) != 0)
		return r < 0 ? r : -EINVAL;
	if (question->urgent || !thing->listing)
		return apply_network(track, thing, &answer, question->asked);
	thing_drop_answer(thing);
	thing->network = malloc(sizeof(*thing->network));
	if (!thing->network)
		return -ENOMEM;
	*thing->network = answer;
	thing->kept = question->asked;
	memset(&answer, 0, sizeof(answer));
	return 0;
}

static int container_answer(struct docker_track *track, struct thing *thing, const struct docker_question *question,
			    const char *body, size_t length)
{
	struct docker_container *answers;
	size_t n;
	int r;

	r = docker_parse_containers(body, length, &answers, &n, NULL);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r >= 0; i++) {
		if (strcmp(answers[i].container.id, thing->id) != 0)
			continue;
		r = apply_container(track, thing, &answers[i], question->asked);
		docker_containers_free(answers, n);
		return r;
	}
	docker_containers_free(answers, n);
	if (question->asked < thing->touched)
		return 0;
	thing->absent = true;
	track_drop_container(track, thing->id);
	wake_networks(track);
	return 0;
}

static int bindings_answer(struct docker_track *track, struct thing *thing, const char *body, size_t length)
{
	struct container *container = inventory_container(track->inventory, thing->id);
	struct docker_bindings bindings = { 0 };
	int r;

	r = docker_parse_bindings(body, length, &bindings, NULL);
	if (r >= 0 && strcmp(bindings.id, thing->id) != 0)
		r = -EINVAL;
	if (r < 0) {
		docker_bindings_clear(&bindings);
		return r;
	}
	free(thing->ports);
	thing->ports = bindings.ports;
	thing->n_ports = bindings.n_ports;
	thing->known = true;
	if (!container || (!container->n_bindings && !thing->n_ports))
		return 0;
	free(TAKE_PTR(container->bindings));
	container->n_bindings = 0;
	track->changed = true;
	return bindings_copy(thing, &container->bindings, &container->n_bindings);
}

static int image_answer(struct docker_track *track, struct thing *image, const char *body, size_t length)
{
	struct docker_labels labels = { 0 };
	int r;

	r = docker_parse_image(body, length, &labels, NULL);
	if (r < 0)
		return r;
	docker_labels_clear(&image->labels);
	image->labels = labels;
	image->known = true;
	return 0;
}

/* The containers that waited for an image's labels. */
static int wake_containers(struct docker_track *track, const struct thing *image)
{
	struct docker_container *answer;
	struct thing *thing;
	int r = 0;

	for (thing = track->things; thing; thing = thing->hh.next) {
		if (!thing->container || strcmp(thing->container->image_id, image->id) != 0)
			continue;
		answer = TAKE_PTR(thing->container);
		if (apply_container(track, thing, answer, thing->kept) < 0) {
			thing_want_later(track, thing, PAUSE_FAILED, 0);
			r = -ENOMEM;
		}
		docker_container_clear(answer);
		free(answer);
	}
	return r;
}

/* Status 404. Nobody can tell any more who said what a gone image's containers say. */
static void thing_gone(struct docker_track *track, struct thing *thing)
{
	if (thing->kind == THING_NETWORK) {
		thing_drop_answer(thing);
		track_drop_network(track, thing);
	}
	if (thing->kind == THING_IMAGE)
		thing->known = thing->gone = true;
}

static int thing_answer(struct docker_track *track, struct thing *thing, const struct docker_question *question,
			const char *body, size_t length)
{
	if (thing->kind == THING_NETWORK)
		return network_answer(track, thing, question, body, length);
	if (thing->kind == THING_CONTAINER)
		return container_answer(track, thing, question, body, length);
	if (thing->kind == THING_BINDINGS)
		return bindings_answer(track, thing, body, length);
	return image_answer(track, thing, body, length);
}

/* The list waits for an answer about it. */
static void list_want(struct docker_track *track, struct thing *thing)
{
	if (thing->listing)
		return;
	thing->listing = true;
	track->list.pending++;
	thing_want(track, thing, false);
}

static int list_networks(struct docker_track *track, const char *body, size_t length, struct error *error)
{
	struct thing *thing;
	char **ids;
	size_t n;
	int r;

	r = docker_parse_networks(body, length, &ids, &n, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		thing = thing_get(track, THING_NETWORK, ids[i]);
		if (!thing) {
			docker_ids_free(ids, n);
			return error_memory(error);
		}
		thing->listed = track->list.number;
		list_want(track, thing);
	}
	docker_ids_free(ids, n);
	track->list.networks_there = true;
	return 0;
}

static int list_containers(struct docker_track *track, const char *body, size_t length, struct error *error)
{
	int r;

	r = docker_parse_containers(body, length, &track->list.found, &track->list.n_found, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < track->list.n_found; i++) {
		const struct docker_container *found = &track->list.found[i];
		struct thing *image;

		if (!found->image_id || !has_labels(&found->container))
			continue;
		image = thing_get(track, THING_IMAGE, found->image_id);
		if (!image)
			return error_memory(error);
		if (!image->known)
			list_want(track, image);
	}
	track->list.containers_there = true;
	return 0;
}

static void list_apply_containers(struct docker_track *track)
{
	uint64_t asked = track->list.containers;

	for (size_t i = 0; i < track->list.n_found; i++) {
		struct docker_container *found = &track->list.found[i];
		struct thing *thing = thing_get(track, THING_CONTAINER, found->container.id);

		if (!thing)
			continue;
		thing->listed = track->list.number;
		if (found->container.running && thing->touched_at + STOPPED_MAX < track->now)
			thing->stopped = false;
		if (apply_container(track, thing, found, asked) < 0)
			thing_want_later(track, thing, PAUSE_FAILED, 0);
	}
	for (size_t i = track->inventory->n_containers; i-- > 0;) {
		const struct container *container = &track->inventory->containers[i];
		const struct thing *thing = thing_find(track, THING_CONTAINER, container->id);

		if (strcmp(container->engine, DOCKER_ENGINE) != 0 ||
		    (thing &&
		     (thing->listed == track->list.number || thing->touched > asked || thing->applied > asked)))
			continue;
		track_drop_container(track, container->id);
	}
}

static void list_apply_networks(struct docker_track *track)
{
	uint64_t asked = track->list.networks;
	struct docker_network *answer;
	struct thing *thing;

	for (thing = track->things; thing; thing = thing->hh.next) {
		if (!thing->network)
			continue;
		answer = TAKE_PTR(thing->network);
		if (apply_network(track, thing, answer, thing->kept) < 0)
			thing_want_later(track, thing, PAUSE_FAILED, 0);
		docker_network_clear(answer);
		free(answer);
	}
	for (size_t i = track->inventory->n_networks; i-- > 0;) {
		const struct network *network = &track->inventory->networks[i];

		if (strcmp(network->engine, DOCKER_ENGINE) != 0)
			continue;
		thing = thing_get(track, THING_NETWORK, network->id);
		if (thing && thing->listed != track->list.number && thing->touched < asked && thing->applied < asked)
			track_drop_network(track, thing);
	}
}

/* Forgets things that are neither there nor asked about. */
static void list_prune(struct docker_track *track)
{
	struct thing *thing, *next;

	HASH_ITER(hh, track->things, thing, next) {
		bool there = thing->kind == THING_NETWORK ? inventory_network(track->inventory, thing->id) != NULL :
			     thing->kind == THING_IMAGE	  ? thing->listed >= track->list.number :
							    inventory_container(track->inventory, thing->id) != NULL;

		if (!there && !thing->queued && !thing->asked && !thing->due && !thing->waits && !thing->container &&
		    thing->touched < track->list.number)
			thing_free(track, thing);
	}
}

/* Containers before the networks that they are in. */
static void list_finish(struct docker_track *track)
{
	if (!track->list.networks_there || !track->list.containers_there || track->list.pending)
		return;
	list_apply_containers(track);
	list_apply_networks(track);
	list_prune(track);
	track_list_end(track);
}

static int list_answer(struct docker_track *track, const struct docker_question *question, int status, const char *body,
		       size_t length, struct error *error)
{
	bool networks = question->ask == DOCKER_ASK_NETWORKS;
	int r;

	if (!track->list.on || question->asked != (networks ? track->list.networks : track->list.containers))
		return 0;
	if (status != 200)
		return error_set(error, EIO, "the list of %s failed with status %d",
				 networks ? "networks" : "containers", status);
	r = networks ? list_networks(track, body, length, error) : list_containers(track, body, length, error);
	if (r < 0)
		return r;
	list_finish(track);
	return 0;
}

int docker_track_answer(struct docker_track *track, const struct docker_question *question, int status,
			const char *body, size_t length, struct error *error)
{
	static const enum thing_kind kinds[] = {
		[DOCKER_ASK_NETWORK] = THING_NETWORK,
		[DOCKER_ASK_CONTAINER] = THING_CONTAINER,
		[DOCKER_ASK_IMAGE] = THING_IMAGE,
		[DOCKER_ASK_BINDINGS] = THING_BINDINGS,
	};
	struct thing *thing;
	int r = 0;

	if (question->ask == DOCKER_ASK_NETWORKS || question->ask == DOCKER_ASK_CONTAINERS)
		return list_answer(track, question, status, body, length, error);
	thing = thing_find(track, kinds[question->ask], question->id);
	if (!thing || thing->asked != question->asked)
		return 0;
	thing->asked = 0;
	if (status == 200)
		r = thing_answer(track, thing, question, body, length);
	else if (status == 404)
		thing_gone(track, thing);
	if (r < 0 || (status != 200 && status != 404))
		thing_want_later(track, thing, PAUSE_FAILED, 0);
	if (thing->kind == THING_IMAGE && thing->known)
		wake_containers(track, thing);
	if (thing->again)
		thing_want(track, thing, thing->urgent);
	if (thing->listing && question->asked > track->list.number) {
		thing->listing = false;
		track->list.pending--;
		list_finish(track);
	}
	return 0;
}
