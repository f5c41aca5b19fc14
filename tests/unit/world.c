/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "classed.h"

#define WORDS_MAX 256
#define LINE_MAX_ 8192

#define NEED(condition, text)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: cannot read '%s'\n", __FILE__, __LINE__, (text));                      \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

struct words {
	char line[LINE_MAX_];
	char *word[WORDS_MAX + 1];
	size_t n;
};

static void words_split(struct words *words, const char *text, size_t length)
{
	char *save = NULL;

	NEED(length < sizeof(words->line), text);
	memcpy(words->line, text, length);
	words->line[length] = '\0';
	words->line[strcspn(words->line, "#")] = '\0';
	words->n = 0;
	for (char *word = strtok_r(words->line, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		NEED(words->n < WORDS_MAX, text);
		words->word[words->n++] = word;
	}
	words->word[words->n] = NULL;
}

static struct addr addr_of(const char *text)
{
	struct addr addr;

	NEED(addr_parse(text, &addr) == 0, text);
	return addr;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	NEED(prefix_parse(text, &prefix) == 0, text);
	return prefix;
}

static void add_route(struct inventory *inventory, const struct prefix *prefix, const char *name, const char *gateway)
{
	const struct interface *interface = inventory_interface_named(inventory, name);
	struct route *route;

	NEED(interface, name);
	route = ARRAY_ADD(inventory->routes, inventory->n_routes);
	NEED(route, name);
	route->destination = (struct prefix){ prefix_range(prefix).first, prefix->length };
	route->interface = interface->index;
	route->table = 254;
	if (gateway)
		route->gateway = addr_of(gateway);
}

static void read_interface(struct inventory *inventory, const struct words *words)
{
	struct interface interface = { .index = (unsigned)inventory->n_interfaces + 2, .up = true };

	NEED(words->n >= 2, words->line);
	snprintf(interface.name, sizeof(interface.name), "%s", words->word[1]);
	if (strcmp(words->word[0], "interface") != 0)
		snprintf(interface.kind, sizeof(interface.kind), "%s", words->word[0]);
	for (size_t i = 2; i < words->n; i++) {
		struct prefix *prefix = ARRAY_ADD(interface.addresses, interface.n_addresses);

		NEED(prefix, words->word[i]);
		*prefix = prefix_of(words->word[i]);
	}
	NEED(inventory_put_interface(inventory, &interface) == 0, words->line);
	for (size_t i = 2; i < words->n; i++) {
		struct prefix prefix = prefix_of(words->word[i]);

		if (prefix.length < addr_bits(prefix.addr.family))
			add_route(inventory, &prefix, words->word[1], NULL);
	}
}

static void read_route(struct inventory *inventory, const struct words *words)
{
	const char *gateway = words->n > 3 ? words->word[3] : NULL;
	struct prefix prefix;

	NEED(words->n >= 3, words->line);
	if (strcmp(words->word[1], "default") == 0)
		prefix = prefix_of(gateway && strchr(gateway, ':') ? "::/0" : "0.0.0.0/0");
	else
		prefix = prefix_of(words->word[1]);
	add_route(inventory, &prefix, words->word[2], gateway);
}

static char *id_of(const char *name)
{
	char *id;

	NEED(asprintf(&id, "id-%s", name) > 0, name);
	return id;
}

static void read_network(struct inventory *inventory, const struct words *words)
{
	struct network network = { .icc = true, .masquerade = true };

	NEED(words->n >= 3, words->line);
	network.engine = "docker";
	network.id = id_of(words->word[1]);
	network.name = strdup(words->word[1]);
	network.driver = strdup("bridge");
	snprintf(network.bridge, sizeof(network.bridge), "%s", words->word[2]);
	for (size_t i = 3; i < words->n; i++) {
		if (strcmp(words->word[i], "internal") == 0)
			network.internal = true;
		else if (strcmp(words->word[i], "noicc") == 0)
			network.icc = false;
		else if (strcmp(words->word[i], "routed") == 0)
			network.masquerade = false;
		else
			*ARRAY_ADD(network.subnets, network.n_subnets) = prefix_of(words->word[i]);
	}
	network.masquerade &= !network.internal;
	NEED(inventory_put_network(inventory, &network) == 0, words->line);
}

/* "0.0.0.0:8080:80/tcp", "[::]:8080:80/udp" */
static struct port_binding binding_of(const char *text)
{
	struct port_binding binding = { 0 };
	char host[64], proto[8];
	unsigned outer, inner;

	NEED(sscanf(text, "[%63[^]]]:%u:%u/%7s", host, &outer, &inner, proto) == 4 ||
		     sscanf(text, "%63[^:]:%u:%u/%7s", host, &outer, &inner, proto) == 4,
	     text);
	binding.host = addr_of(host);
	binding.host_port = (uint16_t)outer;
	binding.container_port = (uint16_t)inner;
	binding.proto = strcmp(proto, "tcp") == 0 ? IPPROTO_TCP :
			strcmp(proto, "udp") == 0 ? IPPROTO_UDP :
						    IPPROTO_SCTP;
	return binding;
}

/* The part after "key=", or NULL. */
static const char *value_of(const char *word, const char *key)
{
	size_t length = strlen(key);

	return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

/* "spr.policies=wan" is a label of its own, "image.policies=wan" one of its image; "~" stands for what nobody may see. */
static void read_request(struct container *container, const char *word)
{
	bool image = strncmp(word, "image.", 6) == 0;
	const char *key = strchr(word, '.');
	size_t length = key ? strcspn(key + 1, "=") : 0;
	struct request *request;

	if (!image && strncmp(word, "spr.", 4) != 0)
		return;
	request = ARRAY_ADD(container->requests, container->n_requests);
	request->image = image;
	request->key = strndup(key + 1, length);
	request->text = strcmp(key + 1 + length, "=~") != 0 ? strdup(key + 2 + length) : NULL;
}

static void read_container(struct inventory *inventory, const struct words *words, const char *id)
{
	struct container container = { .running = true, .id = strdup(id), .engine = "docker" };

	container.name = strdup(words->word[1]);
	container.image = strdup("image");
	for (size_t i = 2; i < words->n; i++) {
		const char *service = value_of(words->word[i], "service"), *port = value_of(words->word[i], "port");
		const char *bind = value_of(words->word[i], "bind");

		if (service) {
			NEED(strchr(service, '/'), service);
			container.project = strndup(service, (size_t)(strchr(service, '/') - service));
			container.service = strdup(strchr(service, '/') + 1);
		}
		if (port)
			*ARRAY_ADD(container.ports, container.n_ports) = binding_of(port);
		if (bind)
			*ARRAY_ADD(container.bindings, container.n_bindings) = binding_of(bind);
		read_request(&container, words->word[i]);
		container.host_network |= value_of(words->word[i], "mode") != NULL;
		container.image_labels |= value_of(words->word[i], "labels") != NULL;
	}
	container.running = strcmp(words->word[0], "stopped") != 0;
	NEED(inventory_put_container(inventory, &container) == 0, words->line);
}

static void read_stopped(struct inventory *inventory, const struct words *words)
{
	_cleanup_free_ char *id = NULL;

	NEED(words->n > 1, words->line);
	id = id_of(words->word[1]);
	read_container(inventory, words, id);
}

/* "container NAME NETWORK ADDRESS..." or "build NETWORK ADDRESS... name=NAME". */
static void read_endpoint(struct inventory *inventory, const struct words *words)
{
	bool build = strcmp(words->word[0], "build") == 0;
	_cleanup_free_ char *id = build ? strdup("") : id_of(words->word[1]);
	struct endpoint endpoint = { 0 };

	NEED(words->n > 2, words->line);
	if (!build && !inventory_container(inventory, id))
		read_container(inventory, words, id);
	endpoint.network = id_of(words->word[build ? 1 : 2]);
	NEED(inventory_network(inventory, endpoint.network), words->word[2]);
	endpoint.container = strdup(id);
	endpoint.name = strdup(build ? "" : words->word[1]);
	for (size_t i = build ? 2 : 3; i < words->n; i++) {
		const char *name = build ? value_of(words->word[i], "name") : NULL;

		if (name) {
			free(endpoint.name);
			endpoint.name = strdup(name);
		}
		if (strchr(words->word[i], '='))
			continue;
		*(strchr(words->word[i], ':') ? &endpoint.ip6 : &endpoint.ip4) = addr_of(words->word[i]);
	}
	NEED(inventory_put_endpoint(inventory, &endpoint) == 0, words->line);
}

static void read_resolver(struct inventory *inventory, const struct words *words)
{
	NEED(words->n == 2, words->line);
	inventory->resolver = addr_of(words->word[1]);
}

static void read_busy(struct inventory *inventory, const struct words *words)
{
	unsigned first, last;

	NEED(words->n == 2 && sscanf(words->word[1], "%u-%u", &first, &last) == 2, words->line);
	port_bits_add(&inventory->busy, (uint16_t)first, (uint16_t)last);
}

static const struct {
	const char *word;
	void (*read)(struct inventory *inventory, const struct words *words);
} readers[] = {
	{ "interface", read_interface }, { "bridge", read_interface }, { "tun", read_interface },
	{ "wireguard", read_interface }, { "route", read_route },      { "network", read_network },
	{ "container", read_endpoint },	 { "build", read_endpoint },   { "stopped", read_stopped },
	{ "resolver", read_resolver },	 { "busy", read_busy },
};

static void read_line(struct inventory *inventory, const struct words *words)
{
	for (size_t i = 0; i < ELEMENTSOF(readers); i++)
		if (strcmp(readers[i].word, words->word[0]) == 0) {
			readers[i].read(inventory, words);
			return;
		}
	NEED(false, words->word[0]);
}

struct inventory *world_inventory(const char *text)
{
	struct inventory *inventory = inventory_new();
	struct interface lo = { .name = "lo", .index = 1, .up = true, .loopback = true };

	NEED(inventory && inventory_put_interface(inventory, &lo) == 0, "lo");
	while (*text) {
		size_t length = strcspn(text, "\n");
		struct words words;

		words_split(&words, text, length);
		if (words.n > 0)
			read_line(inventory, &words);
		text += length + (text[length] == '\n');
	}
	return inventory;
}

struct world world_new(const char *machine, const char *yaml, struct class_book *book, time_t now)
{
	struct world world = { .inventory = world_inventory(machine) };
	_cleanup_(class_book_freep) struct class_book *own = book ? NULL : class_book_new(1);
	struct error error = { 0 };

	if (policy_parse(yaml, strlen(yaml), "policy", &world.policy, &error) < 0 ||
	    model_new(world.policy, world.inventory, book ? book : own, now, &world.model, &error) < 0)
		NEED(false, error.text);
	NEED(!misclassed(world.model), "a class that is another's");
	NEED(!misplaced(world.model), "a place that another is found for");
	return world;
}

void world_free(struct world *world)
{
	model_free(world->model);
	policy_free(world->policy);
	inventory_free(world->inventory);
	*world = (struct world){ 0 };
}

static uint8_t proto_of(const char *word)
{
	static const struct {
		const char *word;
		uint8_t proto;
	} protos[] = { { "tcp", 6 }, { "udp", 17 }, { "icmp", 1 }, { "icmpv6", 58 }, { "gre", 47 }, { "igmp", 2 } };

	for (size_t i = 0; i < ELEMENTSOF(protos); i++)
		if (strcmp(protos[i].word, word) == 0)
			return protos[i].proto;
	NEED(atoi(word) > 0, word);
	return (uint8_t)atoi(word);
}

static void read_place(const char *value, struct addr *ret, uint16_t *ret_port)
{
	char host[64];
	unsigned port;

	NEED(sscanf(value, "[%63[^]]]:%u", host, &port) == 2 || sscanf(value, "%63[^:]:%u", host, &port) == 2, value);
	*ret = addr_of(host);
	*ret_port = (uint16_t)port;
}

static void read_option(struct packet *packet, const char *word)
{
	static const char *const states[] = { "new", "later", "reply", "error", "invalid" };
	const char *value;

	for (size_t i = 0; i < ELEMENTSOF(states); i++)
		if (strcmp(states[i], word) == 0) {
			packet->flow = (enum flow_state)i;
			return;
		}
	if (strcmp(word, "routed") == 0)
		packet->source_routed = true;
	else if ((value = value_of(word, "from")))
		packet->from_port = (uint16_t)atoi(value);
	else if ((value = value_of(word, "type")))
		packet->icmp_type = (uint8_t)atoi(value);
	else if ((value = value_of(word, "hop")))
		packet->hop_limit = (uint8_t)atoi(value);
	else if ((value = value_of(word, "flags")))
		packet->tcp_flags = (uint8_t)strtoul(value, NULL, 16);
	else if ((value = value_of(word, "nat")))
		read_place(value, &packet->to, &packet->to_port);
	else if ((value = value_of(word, "opened")))
		read_place(value, &packet->opened, &packet->opened_port);
	else
		NEED(value_of(word, "out") || atoi(word) > 0, word);
}

/* Where the machine would send it: "" is to itself. The result stands in the inventory. */
static const char *route_of(const struct inventory *inventory, const struct packet *packet)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < inventory->n_interfaces; i++)
		for (size_t k = 0; k < inventory->interfaces[i].n_addresses; k++) {
			struct range range = prefix_range(&inventory->interfaces[i].addresses[k]);

			if (addr_compare(&inventory->interfaces[i].addresses[k].addr, &packet->to) == 0 ||
			    (packet->to.family == AF_INET && addr_compare(&range.last, &packet->to) == 0))
				return "";
		}
	if (packet->to.bytes[0] == 0xff || (packet->to.family == AF_INET && packet->to.bytes[0] >= 224))
		return "";
	for (size_t i = 0; i < inventory->n_routes; i++)
		if (prefix_contains(&inventory->routes[i].destination, &packet->to) &&
		    (!best || inventory->routes[i].destination.length > best->destination.length))
			best = &inventory->routes[i];
	return best ? inventory_interface(inventory, best->interface)->name : "";
}

struct packet world_packet(const struct inventory *inventory, const char *text)
{
	static char in[IFNAMSIZ], out[IFNAMSIZ];
	struct packet packet = { .tcp_flags = 0x02, .hop_limit = 64, .from_port = 40000 };
	struct words words;

	words_split(&words, text, strlen(text));
	NEED(words.n >= 5 && strcmp(words.word[2], ">") == 0, text);
	snprintf(in, sizeof(in), "%s", words.word[0]);
	packet.in = in;
	packet.from = addr_of(words.word[1]);
	packet.dialled = packet.to = addr_of(words.word[3]);
	packet.proto = proto_of(words.word[4]);
	if (words.n > 5 && atoi(words.word[5]) > 0)
		packet.dialled_port = packet.to_port = (uint16_t)atoi(words.word[5]);
	if (packet.dialled_port == 0)
		packet.from_port = 0;
	for (size_t i = 5; i < words.n; i++)
		read_option(&packet, words.word[i]);
	if (!packet.opened.family) {
		packet.opened = packet.from;
		packet.opened_port = packet.from_port;
	}
	snprintf(out, sizeof(out), "%s", route_of(inventory, &packet));
	for (size_t i = 5; i < words.n; i++)
		if (value_of(words.word[i], "out"))
			snprintf(out, sizeof(out), "%s", value_of(words.word[i], "out"));
	packet.out = out;
	return packet;
}

const char *world_verdict(const struct world *world, const char *text)
{
	struct packet packet = world_packet(world->inventory, text);
	struct decision decision;

	verdict(world->model, &packet, &decision);
	if (decision.left_alone)
		return "alone";
	return reason_info(decision.reason)->id;
}
