/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "verdict/resolve.h"

/*
 * Fronts: who may reach a published port. Ports of containers of one class are one front where no clause tells them
 * apart, so that a thousand containers that publish a port to the lan are one class with one front.
 */

static int port_compare(const void *a, const void *b)
{
	const struct port_binding *left = a, *right = b;

	if (left->proto != right->proto)
		return left->proto - right->proto;
	if (left->host_port != right->host_port)
		return left->host_port - right->host_port;
	return left->container_port - right->container_port;
}

/* What it publishes and what it is to publish, each once: the same before and after its start. -ENOMEM. */
static int ports_of(const struct container *container, struct port_binding **ret, size_t *ret_n)
{
	size_t n = container->n_ports + container->n_bindings, kept = 0;
	struct port_binding *ports = malloc((n + 1) * sizeof(*ports));

	if (!ports)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ports[i] = i < container->n_ports ? container->ports[i] : container->bindings[i - container->n_ports];
	if (n > 1)
		qsort(ports, n, sizeof(*ports), port_compare);
	for (size_t i = 1; i < n; i++)
		if (port_compare(&ports[kept], &ports[i]) != 0)
			ports[++kept] = ports[i];
	*ret = ports;
	*ret_n = n ? kept + 1 : 0;
	return 0;
}

static bool port_range_has(const struct port_range *range, uint8_t proto, uint16_t port)
{
	if (range->proto ? range->proto != proto : proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return false;
	return range->any_port || (port >= range->first && port <= range->last);
}

/* Whether a rule that speaks of ports of the class means the container's one. */
static bool grant_means(const struct grant *grant, const struct port_binding *port)
{
	for (size_t i = 0; i < grant->n_ports; i++)
		if (port_range_has(&grant->ports[i], port->proto, port->container_port))
			return true;
	return false;
}

/* The clauses by which the entry publishes the port, a byte each. */
static int published_by(const struct model *model, const struct location *location, const struct port_binding *port,
			uint8_t **ret)
{
	const struct member *entry = location->entry;
	_cleanup_free_ uint8_t *published = calloc(model->n_clauses + 1, 1);

	if (!published)
		return -ENOMEM;
	for (size_t i = 0; entry && i < entry->n_publish; i++) {
		_cleanup_free_ char *meaning = NULL;

		if (!port_range_has(&entry->publish[i].port, port->proto, port->host_port))
			continue;
		meaning = publish_meaning(&entry->publish[i]);
		if (!meaning)
			return -ENOMEM;
		published[clause_of_publish(model, meaning)] = 1;
	}
	*ret = TAKE_PTR(published);
	return 0;
}

/* All that rights to it are made from, besides its class: rights by port, and what publishes it. */
static char *front_meaning(const struct model *model, const struct front *front)
{
	const struct class *class = &model->classes[front->class];
	struct text out = { 0 };

	text_add(&out, "front of %u%s", class->number,
		 class->resolver && front->port.container_port == 53 ? " dns" : "");
	for (size_t i = 0; i < model->n_clauses; i++) {
		const struct clause *clause = &model->clauses[i];

		if (front->published[i] ||
		    (clause->grant && class->selected[i] & CLAUSE_TO && grant_means(clause->grant, &front->port)))
			text_add(&out, "\n%s", clause->meaning);
	}
	return text_take(&out);
}

/* Fronts of this model by their number. */
struct known {
	uint32_t number;
	uint32_t index;
	UT_hash_handle hh;
};

/* Where the proxy connects to: the network that the engine takes as the container's gateway, the first by name. */
struct home {
	const struct container *container;
	const struct location *location;
	UT_hash_handle hh;
};

struct fill {
	struct model *model;
	struct class_book *book;
	struct known *known;
	struct home *homes;
	const struct container **publishers; /* those with ports */
	size_t n_publishers;
};

/* Takes over what the front holds. */
static int front_new(struct fill *fill, struct front *front, uint32_t *ret_index)
{
	struct known *known = calloc(1, sizeof(*known));
	struct front *slot = known ? ARRAY_ADD(fill->model->fronts, fill->model->n_fronts) : NULL;

	if (!slot) {
		free(known);
		return -ENOMEM;
	}
	*slot = *front;
	front->published = NULL;
	known->number = slot->number;
	known->index = (uint32_t)(fill->model->n_fronts - 1);
	HASH_ADD(hh, fill->known, number, sizeof(known->number), known);
	if (!known->hh.tbl) {
		free(known);
		return -ENOMEM;
	}
	*ret_index = known->index;
	return 0;
}

static int front_of(struct fill *fill, const struct location *location, const struct port_binding *port,
		    uint32_t *ret_index)
{
	struct front front = { .class = location->class, .port = *port };
	_cleanup_free_ char *meaning = NULL;
	struct known *known;
	int r = published_by(fill->model, location, port, &front.published);

	meaning = r < 0 ? NULL : front_meaning(fill->model, &front);
	front.number = meaning ? class_book_number(fill->book, meaning) : 0;
	r = front.number ? 0 : -ENOMEM;
	if (r >= 0) {
		HASH_FIND(hh, fill->known, &front.number, sizeof(front.number), known);
		if (known)
			*ret_index = known->index;
		else
			r = front_new(fill, &front, ret_index);
	}
	free(front.published);
	return r;
}

static int add_published(struct fill *fill, struct location *location)
{
	_cleanup_free_ struct port_binding *ports = NULL;
	struct model *model = fill->model;
	size_t n = 0;
	int r = ports_of(location->container, &ports, &n);

	location->first_published = (uint32_t)model->n_published;
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct published_port *published = ARRAY_ADD(model->published, model->n_published);

		if (!published)
			return -ENOMEM;
		published->binding = ports[i];
		r = front_of(fill, location, &ports[i], &published->front);
	}
	location->n_published = (uint32_t)n;
	return r;
}

static int note_home(struct fill *fill, const struct location *location)
{
	struct home *home;

	if (location->network->internal)
		return 0;
	HASH_FIND_PTR(fill->homes, &location->container, home);
	if (home) {
		if (strcmp(location->network->name, home->location->network->name) < 0)
			home->location = location;
		return 0;
	}
	home = calloc(1, sizeof(*home));
	if (!home)
		return -ENOMEM;
	home->container = location->container;
	home->location = location;
	HASH_ADD_PTR(fill->homes, container, home);
	if (!home->hh.tbl) {
		free(home);
		return -ENOMEM;
	}
	return 0;
}

static int fill_locations(struct fill *fill)
{
	struct model *model = fill->model;
	int r = 0;

	for (size_t i = 0; i < model->n_publishing && r >= 0; i++) {
		struct location *location = &model->locations[model->publishing[i]];

		r = add_published(fill, location);
		if (r >= 0)
			r = note_home(fill, location);
	}
	return r;
}

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

struct taken *taken_free(struct taken *all)
{
	struct taken *taken, *next;

	HASH_ITER(hh, all, taken, next) {
		HASH_DEL(all, taken);
		free(taken);
	}
	return NULL;
}

static const struct taken *taken_at(const struct model *model, const struct addr *host, uint8_t proto, uint16_t port)
{
	struct taken probe, *found;

	memset(&probe, 0, sizeof(probe));
	probe.key.host = *host;
	probe.key.proto = proto;
	probe.key.port = port;
	HASH_FIND(hh, model->taken, &probe.key, sizeof(probe.key), found);
	return found;
}

const struct port_front *model_port_front(const struct model *model, const struct addr *addr, uint8_t proto,
					  uint16_t port)
{
	const struct taken *taken = taken_at(model, addr, proto, port);

	if (!taken)
		taken = taken_at(model, &(struct addr){ .family = addr->family }, proto, port);
	return taken ? &model->port_fronts[taken->front] : NULL;
}

static int take(struct model *model, const struct port_binding *binding, enum rank rank)
{
	struct taken *taken = calloc(1, sizeof(*taken));

	if (!taken)
		return -ENOMEM;
	taken->key.host = binding->host;
	taken->key.proto = binding->proto;
	taken->key.port = binding->host_port;
	taken->rank = rank;
	taken->front = model->n_port_fronts - 1;
	HASH_ADD(hh, model->taken, key, sizeof(taken->key), taken);
	if (!taken->hh.tbl) {
		free(taken);
		return -ENOMEM;
	}
	return 0;
}

/* The front of one of the location's own ports. */
static uint32_t front_at(const struct model *model, const struct location *location, const struct port_binding *port)
{
	for (size_t i = 0; location && i < location->n_published; i++) {
		const struct published_port *published = &model->published[location->first_published + i];

		if (port_compare(&published->binding, port) == 0)
			return published->front;
	}
	return FRONT_NOBODY;
}

/* Where two could be behind a port, nobody is. */
static int add_port_front(struct model *model, const struct port_front *front, enum rank rank)
{
	const struct port_binding *binding = &front->binding;
	const struct taken *same = taken_at(model, &binding->host, binding->proto, binding->host_port);
	const struct taken *wild =
		taken_at(model, &(struct addr){ .family = binding->host.family }, binding->proto, binding->host_port);
	struct port_front *slot;

	if ((same && same->rank < rank) || (wild && wild->rank < rank))
		return 0;
	if (same) {
		slot = &model->port_fronts[same->front];
		if (slot->front != front->front)
			slot->front = FRONT_NOBODY;
		return 0;
	}
	slot = ARRAY_ADD(model->port_fronts, model->n_port_fronts);
	if (!slot)
		return -ENOMEM;
	*slot = *front;
	return take(model, binding, rank);
}

static int add_container(struct fill *fill, const struct container *container, enum rank rank)
{
	bool published = rank == RANK_PUBLISHED;
	const struct port_binding *ports = published ? container->ports : container->bindings;
	size_t n = published ? container->n_ports : container->n_bindings;
	struct home *home = NULL;
	int r = 0;

	if (n > 0)
		HASH_FIND_PTR(fill->homes, &container, home);
	if ((rank == RANK_NOBODY) != !home)
		return 0;
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct port_front front = { .binding = ports[i], .container = container };

		front.location = home ? home->location : NULL;
		front.front = front_at(fill->model, front.location, &ports[i]);
		r = add_port_front(fill->model, &front, rank);
	}
	return r;
}

static int find_publishers(struct fill *fill)
{
	const struct inventory *inventory = fill->model->inventory;

	for (size_t i = 0; i < inventory->n_containers; i++) {
		const struct container *container = &inventory->containers[i], **slot;

		if (!container_publishes(container))
			continue;
		slot = ARRAY_ADD(fill->publishers, fill->n_publishers);
		if (!slot)
			return -ENOMEM;
		*slot = container;
	}
	return 0;
}

static void fill_clear(struct fill *fill)
{
	struct known *known, *next_known;
	struct home *home, *next_home;

	HASH_ITER(hh, fill->known, known, next_known) {
		HASH_DEL(fill->known, known);
		free(known);
	}
	HASH_ITER(hh, fill->homes, home, next_home) {
		HASH_DEL(fill->homes, home);
		free(home);
	}
	free(fill->publishers);
}

int fronts_fill(struct model *model, struct class_book *book)
{
	struct fill fill = { .model = model, .book = book };
	int r = fill_locations(&fill);

	if (r >= 0)
		r = find_publishers(&fill);
	for (enum rank rank = RANK_PUBLISHED; rank <= RANK_NOBODY; rank++)
		for (size_t i = 0; i < fill.n_publishers && r >= 0; i++)
			r = add_container(&fill, fill.publishers[i], rank);
	fill_clear(&fill);
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
	unsigned best = 0, length = NAT_PORTS_MIN - 1;

	if (model->inventory->own_last)
		port_bits_add(&busy, model->inventory->own_first, model->inventory->own_last);
	for (size_t i = 0; i < model->n_port_fronts; i++)
		port_bits_add(&busy, model->port_fronts[i].binding.host_port, model->port_fronts[i].binding.host_port);
	for (unsigned first = NAT_PORT_LOWEST, next; first < PORTS; first = next + 1) {
		next = port_bits_next(&busy, first);
		if (next - first > length) {
			best = first;
			length = next - first;
		}
	}
	model->nat_first = (uint16_t)best;
	model->nat_last = (uint16_t)(best ? best + length - 1 : 0);
}
