/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/trial.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"

#define PORTS_MAX 16 /* of a pair */
#define PUBLISHED_MIN 64 /* of a container that are looked at for each pair; of more, some, where pairs are many */
#define PUBLISHED_WORK 200000 /* for all pairs */
#define SPOTS_MAX 2000 /* of more, some: pairs grow with the square of them */

static const struct port_range usual[] = {
	{ .proto = IPPROTO_TCP, .first = 22, .last = 22 },
	{ .proto = IPPROTO_TCP, .first = 80, .last = 80 },
	{ .proto = IPPROTO_UDP, .first = 53, .last = 53 },
};

/* What a model says of an address; the numbers mean the same in both models. */
struct standing {
	uint32_t class; /* number, 0 for nobody known */
	uint32_t fronts; /* of all numbers of its published ports */
	enum role role; /* of the interface */
	bool router;
};

struct spot {
	struct end end;
	struct standing before, after;
	bool changed; /* it stands another way */
	size_t rank;
};

struct spots {
	struct spot *items;
	size_t n;
};

/* What is compared, and what came of it. */
struct comparison {
	const struct model *before, *after; /* the same one, where all is asked for */
	bool all, published;
	struct trials *trials;
	size_t stride; /* of what is found, one of so many is kept */
	size_t most_published; /* of a container, for a pair */
};

/* Addresses that the kernel itself takes from nobody prove nothing. */
static bool is_nobody(const struct addr *addr)
{
	if (addr->family == AF_INET)
		return addr->bytes[0] == 0 || addr->bytes[0] == 127 || addr->bytes[0] >= 224;
	return addr->bytes[0] == 0 || addr->bytes[0] == 0xff || addr_is_link_local(addr);
}

/* Where rules of others are asked for as well, each published port is one of its own. */
static uint32_t bindings_number(const struct container *container)
{
	uint32_t number = 0;

	for (size_t i = 0; container && i < container->n_ports; i++) {
		const struct port_binding *port = &container->ports[i];

		number = (number * 31 + port->proto) * 31 + port->host_port;
		for (size_t k = 0; k < sizeof(port->host.bytes); k++)
			number = number * 31 + port->host.bytes[k];
	}
	return number;
}

static struct standing standing_of(const struct comparison *comparison, const struct model *model,
				   const struct end *end)
{
	const struct location *location = model_location(model, end->location->interface, &end->addr);
	struct standing standing = { .role = model_role(model, end->location->interface), .router = model->router };
	uint32_t last = 0;

	if (!location)
		return standing;
	standing.class = model->classes[location->class].number;
	if (comparison->all && comparison->published)
		standing.fronts = bindings_number(location->container);
	if (comparison->all)
		return standing;
	for (size_t i = 0; comparison->published && i < location->n_published; i++) {
		uint32_t front = model->fronts[model->published[location->first_published + i].front].number;

		standing.fronts = front == last ? standing.fronts : standing.fronts * 31 + front;
		last = front;
	}
	return standing;
}

static int number_order(uint32_t one, uint32_t other)
{
	return (one > other) - (one < other);
}

static int standing_order(const struct standing *one, const struct standing *other)
{
	int order = number_order(one->class, other->class);

	if (order == 0)
		order = number_order(one->fronts, other->fronts);
	if (order == 0)
		order = (int)one->role - (int)other->role;
	return order ? order : one->router - other->router;
}

bool location_end(const struct model *model, const struct location *location, struct end *ret)
{
	struct end end = { location, location_address(location) };

	if (addr_compare(&location->range.first, &location->range.last) != 0 &&
	    addr_compare(&end.addr, &location->range.first) == 0)
		addr_next(&end.addr); /* not the network's own */
	/* this machine's address on a network is none of the devices there */
	while (location->interface[0] && inventory_interface_with(model->inventory, &end.addr) && addr_next(&end.addr))
		;
	if (is_nobody(&end.addr) || !range_contains(&location->range, &end.addr))
		return false;
	*ret = end;
	return true;
}

static int add_spots(const struct comparison *comparison, const struct model *model, struct spots *ret)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		struct spot *spot;
		struct end end;

		if (!location_end(model, &model->locations[i], &end))
			continue;
		spot = ARRAY_ADD(ret->items, ret->n);
		if (!spot)
			return -ENOMEM;
		*spot = (struct spot){ .end = end,
				       .before = standing_of(comparison, comparison->before, &end),
				       .after = standing_of(comparison, comparison->after, &end),
				       .rank = ret->n };
		spot->changed = standing_order(&spot->before, &spot->after) != 0;
	}
	return 0;
}

static int spot_alike(const struct spot *one, const struct spot *other)
{
	int order = strcmp(one->end.location->interface, other->end.location->interface);

	if (order == 0)
		order = one->end.addr.family - other->end.addr.family;
	if (order == 0)
		order = standing_order(&one->before, &other->before);
	return order ? order : standing_order(&one->after, &other->after);
}

static int spot_order(const void *one, const void *other)
{
	const struct spot *a = one, *b = other;
	int order = spot_alike(a, b);

	return order ? order : (a->rank > b->rank) - (a->rank < b->rank);
}

static int spot_rank(const void *one, const void *other)
{
	const struct spot *a = one, *b = other;

	return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Of those alike the first; in the order of the model. */
static int find_spots(const struct comparison *comparison, struct spots *ret)
{
	int r = add_spots(comparison, comparison->after, ret);
	size_t kept = 0;

	if (r >= 0 && comparison->before != comparison->after)
		r = add_spots(comparison, comparison->before, ret);
	if (r < 0 || ret->n == 0)
		return r;
	qsort(ret->items, ret->n, sizeof(*ret->items), spot_order);
	for (size_t i = 1; i < ret->n; i++)
		if (spot_alike(&ret->items[kept], &ret->items[i]) != 0)
			ret->items[++kept] = ret->items[i];
	ret->n = kept + 1;
	qsort(ret->items, ret->n, sizeof(*ret->items), spot_rank);
	return 0;
}

bool question_published(const struct model *model, const struct end *from, const struct end *to,
			const struct port_binding *port, struct packet *ret)
{
	const struct port_range own = { .proto = port->proto,
					.first = port->container_port,
					.last = port->container_port };
	const struct end host = { .location = &(struct location){ .range = { port->host, port->host } },
				  .addr = port->host };
	struct packet packet, dialled;

	if (port->host.family != to->addr.family || addr_is_loopback(&port->host))
		return false;
	question_packet(model, from, to, &own, &packet);
	question_packet(model, from, &host, &own, &dialled);
	packet.dialled = addr_is_any(&port->host) ? dialled.dialled : port->host;
	packet.dialled_port = port->host_port;
	if (addr_is_any(&packet.dialled))
		return false;
	/* Docker's NAT leaves out what comes from the container's own bridge: that is its proxy's. */
	if (strcmp(packet.in, packet.out) == 0) {
		packet.out = "";
		packet.to = packet.dialled;
		packet.to_port = packet.dialled_port;
	}
	*ret = packet;
	return true;
}

/* Item `i` of `all` counted from 1 is one of `wanted` that are evenly spread. */
static bool is_chosen(size_t i, size_t wanted, size_t all)
{
	return all <= wanted || i * wanted / all != (i - 1) * wanted / all;
}

static void keep_some(struct trials *trials, size_t most)
{
	size_t kept = 0;

	for (size_t i = 0; i < trials->n; i++)
		if (is_chosen(i + 1, most, trials->n))
			trials->items[kept++] = trials->items[i];
	trials->n = kept;
}

static size_t most_trials(const struct comparison *comparison)
{
	return comparison->all ? TRIALS_ALL_MAX : TRIALS_MAX;
}

static int keep_trial(struct comparison *comparison, const struct trial *trial)
{
	struct trials *trials = comparison->trials;
	struct trial *slot;

	if (trials->found++ % comparison->stride != 0)
		return 0;
	slot = ARRAY_ADD(trials->items, trials->n);
	if (!slot)
		return -ENOMEM;
	*slot = *trial;
	if (trials->n < 8 * most_trials(comparison))
		return 0;
	keep_some(trials, trials->n / 2);
	comparison->stride *= 2;
	return 0;
}

static int try_packet(struct comparison *comparison, const struct spot *from, const struct spot *to,
		      const struct packet *packet, bool published)
{
	struct trial trial = { .from = from->end, .to = to->end, .packet = *packet, .published = published };
	struct decision before, after;

	verdict(comparison->after, packet, &after);
	before = after;
	if (comparison->before != comparison->after)
		verdict(comparison->before, packet, &before);
	if (!comparison->all && before.accept == after.accept)
		return 0;
	trial.before = before.accept;
	trial.after = after.accept;
	trial.reason = after.accept ? before.reason : after.reason;
	return keep_trial(comparison, &trial);
}

/* A port of its own, where the target has one. */
static struct port_range own_port(const struct spot *to)
{
	const struct container *container = to->end.location->container;
	struct port_range port = { .proto = IPPROTO_TCP, .first = 443, .last = 443 };

	if (container && container->n_ports > 0) {
		port.proto = container->ports[0].proto;
		port.first = port.last = container->ports[0].container_port;
	}
	return port;
}

static void add_port(struct port_range *ports, size_t *n, const struct port_range *port, uint8_t family)
{
	if ((port->proto == IPPROTO_ICMP && family != AF_INET) || (port->proto == IPPROTO_ICMPV6 && family != AF_INET6))
		return;
	for (size_t i = 0; i < *n; i++)
		if (ports[i].proto == port->proto && ports[i].first == port->first)
			return;
	if (*n < PORTS_MAX)
		ports[(*n)++] = *port;
}

/* The ports that rights of one to the other are about. */
static void add_ports_of(struct port_range *ports, size_t *n, const struct model *model, const struct spot *from,
			 const struct spot *to)
{
	const struct location *source = model_location(model, from->end.location->interface, &from->end.addr);
	const struct location *target = model_location(model, to->end.location->interface, &to->end.addr);
	const struct class *class = source ? &model->classes[source->class] : NULL;

	for (size_t i = 0; class && target && i < class->n_rights; i++) {
		const struct right *right = &class->rights[i];
		struct port_range port = { .proto = right->proto,
					   .first = right->any_port ? 0 : right->first,
					   .last = right->any_port ? 0 : right->first };

		if (right->target == target->class && !right->all)
			add_port(ports, n, &port, to->end.addr.family);
	}
}

static void ask(const struct model *model, const struct spot *from, const struct spot *to,
		const struct port_range *port, struct packet *ret)
{
	question_packet(model, &from->end, &to->end, port, ret);
	if (ret->proto == IPPROTO_ICMP)
		ret->icmp_type = 8;
	else if (ret->proto == IPPROTO_ICMPV6)
		ret->icmp_type = 128;
}

static int try_published(struct comparison *comparison, const struct spot *from, const struct spot *to)
{
	const struct container *container = to->end.location->container;
	struct packet packet;
	int r = 0;

	for (size_t i = 0; container && i < container->n_ports && r >= 0; i++)
		if (is_chosen(i + 1, comparison->most_published, container->n_ports) &&
		    question_published(comparison->after, &from->end, &to->end, &container->ports[i], &packet))
			r = try_packet(comparison, from, to, &packet, true);
	return r;
}

static int try_pair(struct comparison *comparison, const struct spot *from, const struct spot *to)
{
	struct port_range ports[PORTS_MAX] = { own_port(to) };
	size_t n = 1;
	int r = 0;

	if (comparison->all)
		for (size_t i = 0; i < ELEMENTSOF(usual); i++)
			add_port(ports, &n, &usual[i], to->end.addr.family);
	if (!comparison->all) {
		add_ports_of(ports, &n, comparison->before, from, to);
		add_ports_of(ports, &n, comparison->after, from, to);
	}
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct packet packet;

		ask(comparison->after, from, to, &ports[i], &packet);
		r = try_packet(comparison, from, to, &packet, false);
	}
	return r >= 0 && comparison->published ? try_published(comparison, from, to) : r;
}

/* Between two that stand as before, nothing is opened or closed. */
static bool is_pair(const struct comparison *comparison, const struct spot *from, const struct spot *to)
{
	return (comparison->all || from->changed || to->changed) && from->end.location->interface[0] &&
	       from->end.addr.family == to->end.addr.family && addr_compare(&from->end.addr, &to->end.addr) != 0;
}

static size_t count_pairs(const struct comparison *comparison, const struct spots *spots)
{
	size_t n = 0;

	for (size_t i = 0; i < spots->n; i++)
		for (size_t k = 0; k < spots->n; k++)
			n += is_pair(comparison, &spots->items[i], &spots->items[k]);
	return n;
}

static size_t count_spots(const struct spots *spots, uint8_t family, bool changed)
{
	size_t n = 0;

	for (size_t i = 0; i < spots->n; i++)
		n += spots->items[i].end.addr.family == family && (!changed || spots->items[i].changed);
	return n;
}

/* As count_pairs(), without going through them: nobody but itself has an address. */
static size_t reckon_pairs(const struct comparison *comparison, const struct spots *spots)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	size_t n = 0;

	for (size_t f = 0; f < ELEMENTSOF(families); f++) {
		size_t all = count_spots(spots, families[f], false), changed = count_spots(spots, families[f], true);

		for (size_t i = 0; i < spots->n; i++) {
			const struct spot *from = &spots->items[i];

			if (from->end.addr.family == families[f] && from->end.location->interface[0])
				n += comparison->all || from->changed ? all - 1 : changed;
		}
	}
	return n;
}

/* Half of those that are left are of what changed, where there are so many. */
static void thin(struct spots *spots)
{
	size_t seen[2] = { 0 }, all[2] = { 0 }, kept = 0;

	for (size_t i = 0; i < spots->n; i++)
		all[spots->items[i].changed ? 1 : 0]++;
	for (size_t i = 0; i < spots->n; i++) {
		size_t kind = spots->items[i].changed ? 1 : 0;

		if (is_chosen(++seen[kind], SPOTS_MAX / 2, all[kind]))
			spots->items[kept++] = spots->items[i];
	}
	spots->n = kept;
}

static int try_pairs(struct comparison *comparison, struct spots *spots)
{
	struct trials *trials = comparison->trials;
	size_t seen = 0, n, reckoned = reckon_pairs(comparison, spots);
	size_t most = comparison->all ? TRIAL_PAIRS_MAX : CHANGED_PAIRS_MAX;
	bool many = spots->n > SPOTS_MAX;
	int r = 0;

	if (many)
		thin(spots);
	n = count_pairs(comparison, spots);
	trials->pairs_found = many ? reckoned : n;
	comparison->most_published = PUBLISHED_WORK / ((n < most ? n : most) + 1);
	if (comparison->most_published < PUBLISHED_MIN)
		comparison->most_published = PUBLISHED_MIN;
	for (size_t i = 0; i < spots->n && r >= 0; i++)
		for (size_t k = 0; k < spots->n && r >= 0; k++) {
			if (!is_pair(comparison, &spots->items[i], &spots->items[k]) || !is_chosen(++seen, most, n))
				continue;
			r = try_pair(comparison, &spots->items[i], &spots->items[k]);
			trials->pairs++;
		}
	return r;
}

static int compare(struct comparison *comparison, struct trials *ret)
{
	struct spots spots = { 0 };
	struct trials trials = { 0 };
	int r = find_spots(comparison, &spots);

	comparison->trials = &trials;
	comparison->stride = 1;
	if (r >= 0)
		r = try_pairs(comparison, &spots);
	comparison->trials = NULL;
	free(spots.items);
	if (r < 0) {
		trials_clear(&trials);
		return r;
	}
	keep_some(&trials, most_trials(comparison));
	*ret = trials;
	return 0;
}

int trials_all(const struct model *model, bool published, struct trials *ret)
{
	struct comparison comparison = { .before = model, .after = model, .all = true, .published = published };

	return compare(&comparison, ret);
}

int trials_changed(const struct model *before, const struct model *after, struct trials *ret)
{
	struct comparison comparison = { .before = before, .after = after, .published = true };

	return compare(&comparison, ret);
}

void trials_clear(struct trials *trials)
{
	free(trials->items);
	*trials = (struct trials){ 0 };
}
