/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "town.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"

#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
			exit(2);                                                                                       \
		}                                                                                                      \
	} while (0)

#define FIRST_PORT 1024

static char *print(const char *format, ...) _printf_(1, 2);
static char *print(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	MUST(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}

static struct prefix prefix(const char *text)
{
	struct prefix parsed;

	MUST(prefix_parse(text, &parsed) == 0);
	return parsed;
}

static void add_interface(struct inventory *inventory, unsigned index, char *name, const char *kind,
			  const char *const *addresses)
{
	struct interface interface = { .index = index, .up = true };

	snprintf(interface.name, sizeof(interface.name), "%s", name);
	snprintf(interface.kind, sizeof(interface.kind), "%s", kind);
	free(name);
	for (; *addresses; addresses++) {
		struct prefix *own = ARRAY_ADD(interface.addresses, interface.n_addresses);
		struct route *route = ARRAY_ADD(inventory->routes, inventory->n_routes);

		MUST(own && route);
		*own = prefix(*addresses);
		*route = (struct route){ .destination = *own, .interface = index, .table = 254 };
		route->destination.addr = prefix_range(own).first;
	}
	MUST(inventory_put_interface(inventory, &interface) == 0);
}

/* 4,096 addresses of 10.0.0.0/8 for each, or 65,536 where there are few. */
static unsigned network_bits(const struct town *town)
{
	return town->networks > 200 ? 12 : 16;
}

static struct addr member_addr(const struct town *town, uint8_t family, unsigned network, unsigned number)
{
	struct addr addr = { .family = family };
	uint32_t four = 10u << 24 | network << network_bits(town) | number;

	if (family == AF_INET6) {
		addr.bytes[0] = 0xfd;
		addr.bytes[5] = 1;
		memcpy(addr.bytes + 12, &(uint32_t){ htonl(number) }, 4);
		memcpy(addr.bytes + 6, &(uint16_t){ htons((uint16_t)network) }, 2);
	} else {
		memcpy(addr.bytes, &(uint32_t){ htonl(four) }, 4);
	}
	return addr;
}

static void add_network(struct inventory *inventory, const struct town *town, unsigned i)
{
	struct addr first4 = member_addr(town, AF_INET, i, 1), first6 = member_addr(town, AF_INET6, i, 1);
	char four[ADDR_TEXT_MAX], six[ADDR_TEXT_MAX];
	_cleanup_free_ char *own4 = print("%s/%u", addr_text(&first4, four), 32 - network_bits(town));
	_cleanup_free_ char *own6 = print("%s/64", addr_text(&first6, six));
	struct network network = { .engine = print("docker"),
				   .id = print("network-%u", i),
				   .name = print("net%u", i),
				   .driver = print("bridge"),
				   .icc = true,
				   .masquerade = true };
	const char *const texts[] = { own4, own6 };

	snprintf(network.bridge, sizeof(network.bridge), "br-%u", i);
	for (size_t k = 0; k < ELEMENTSOF(texts); k++) {
		struct prefix own = prefix(texts[k]);
		struct addr *gateway = ARRAY_ADD(network.gateways, network.n_gateways);
		struct prefix *subnet = ARRAY_ADD(network.subnets, network.n_subnets);

		MUST(gateway && subnet);
		*gateway = own.addr;
		*subnet = (struct prefix){ prefix_range(&own).first, own.length };
	}
	add_interface(inventory, 100 + i, print("br-%u", i), "bridge", (const char *const[]){ own4, own6, NULL });
	MUST(inventory_put_network(inventory, &network) == 0);
}

static void publish(struct container *container, uint16_t port)
{
	struct port_binding *binding = ARRAY_ADD(container->ports, container->n_ports);

	MUST(binding);
	*binding = (struct port_binding){ IPPROTO_TCP, { .family = AF_INET }, port, 80 };
}

void town_start(struct inventory *inventory, const struct town *town, unsigned i)
{
	unsigned network = i % town->networks, number = 2 + i / town->networks;
	struct container container = { .engine = print("docker"),
				       .id = print("%064u", i),
				       .name = print("c%u", i),
				       .image = print("image"),
				       .running = true };
	struct endpoint endpoint = { .network = print("network-%u", network),
				     .container = print("%064u", i),
				     .name = print("c%u", i),
				     .ip4 = member_addr(town, AF_INET, network, number),
				     .ip6 = member_addr(town, AF_INET6, network, number) };

	MUST(number < 1u << network_bits(town));
	if (i < town->published)
		publish(&container, (uint16_t)(FIRST_PORT + i));
	MUST(inventory_put_container(inventory, &container) == 0);
	MUST(inventory_put_endpoint(inventory, &endpoint) == 0);
}

void town_stop(struct inventory *inventory, const struct town *town, unsigned i)
{
	_cleanup_free_ char *network = print("network-%u", i % town->networks), *id = print("%064u", i);

	inventory_drop_endpoints(inventory, network, id);
	inventory_drop_container(inventory, "docker", id);
}

struct inventory *town_inventory(const struct town *town)
{
	struct inventory *inventory = inventory_new();
	struct route *way_out;

	MUST(inventory);
	add_interface(inventory, 1, print("lo"), "", (const char *const[]){ "127.0.0.1/8", NULL });
	add_interface(inventory, 2, print("eth0"), "", (const char *const[]){ "198.18.0.2/24", "2600:99::2/64", NULL });
	add_interface(inventory, 3, print("lan0"), "", (const char *const[]){ "192.168.8.1/24", "2600:8::1/64", NULL });
	way_out = ARRAY_ADD(inventory->routes, inventory->n_routes);
	MUST(way_out);
	*way_out = (struct route){ .destination = prefix("0.0.0.0/0"), .interface = 2, .table = 254 };
	way_out->gateway = prefix("198.18.0.1/32").addr;
	for (unsigned i = 0; i < town->networks; i++)
		add_network(inventory, town, i);
	for (unsigned i = 0; i < town->members; i++)
		town_start(inventory, town, i);
	return inventory;
}

struct policy *town_policy(const struct town *town)
{
	struct text out = { 0 };
	struct error error = { 0 };
	struct policy *policy;
	_cleanup_free_ char *yaml = NULL;

	text_add(&out, "interfaces: [{name: eth0, role: uplink}, {name: lan0, role: lan}]\ngroups:\n");
	for (unsigned i = 0; i < town->networks; i++)
		text_add(&out, "- name: g%u\n", i);
	text_add(&out, "networks:\n");
	for (unsigned i = 0; i < town->networks; i++)
		text_add(&out, "- {name: net%u, policies: [wan, dns], groups: [g%u]}\n", i, i);
	if (town->published)
		text_add(&out, "containers:\n");
	for (unsigned i = 0; i < town->published; i++)
		text_add(&out, "- {name: c%u, policies: [wan, dns], publish: [{port: %u/tcp, to: [lan]}]}\n", i,
			 FIRST_PORT + i);
	text_add(&out, "allow: [{from: lan, to: \"group:g0\", ports: [22/tcp]}]\n");
	yaml = text_take(&out);
	MUST(yaml);
	if (policy_parse(yaml, strlen(yaml), "town", &policy, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		exit(2);
	}
	return policy;
}
