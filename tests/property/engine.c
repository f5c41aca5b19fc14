/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "property.h"

/* The engine's part of a scene: networks, containers, published ports, and the addresses worth a try. */

static void pool_add(struct scene *scene, const struct addr *addr)
{
	if (addr->family && scene->n_pool < POOL_MAX)
		scene->pool[scene->n_pool++] = *addr;
}

/* Networks on every bridge whose name says so. */
static void add_networks(struct scene *scene)
{
	for (size_t i = 0; i < scene->n_nics; i++) {
		const struct nic *nic = &scene->nics[i];
		const char *texts[] = { nic->subnet4, nic->subnet6 };
		struct network network = { 0 };

		if (strncmp(nic->name, "br-", 3) != 0)
			continue;
		network.engine = "docker";
		MUST(asprintf(&network.id, "id-net-%c", nic->name[3]) > 0);
		MUST(asprintf(&network.name, "net-%c", nic->name[3]) > 0);
		network.driver = strdup("bridge");
		snprintf(network.bridge, sizeof(network.bridge), "%s", nic->name);
		network.internal = random_percent(20);
		network.icc = random_percent(75);
		network.masquerade = !network.internal && random_percent(50);
		for (size_t k = 0; k < ELEMENTSOF(texts); k++) {
			struct prefix prefix;

			if (!texts[k][0])
				continue;
			MUST(prefix_parse(texts[k], &prefix) == 0);
			*ARRAY_ADD(network.gateways, network.n_gateways) = prefix.addr;
			prefix.addr = prefix_range(&prefix).first;
			*ARRAY_ADD(network.subnets, network.n_subnets) = prefix;
		}
		MUST(inventory_put_network(scene->inventory, &network) == 0);
	}
}

/* The n-th address of a network's subnet of a family; none when it has no such subnet. */
static struct addr network_addr(const struct network *network, uint8_t family, uint8_t n)
{
	for (size_t i = 0; i < network->n_subnets; i++)
		if (network->subnets[i].addr.family == family) {
			struct addr addr = network->subnets[i].addr;

			addr.bytes[addr_size(family) - 1] = n;
			return addr;
		}
	return (struct addr){ 0 };
}

static void add_endpoint(struct scene *scene, const char *network_id, const char *container, const char *name)
{
	const struct network *network = inventory_network(scene->inventory, network_id);
	uint8_t n = (uint8_t)(10 + scene->inventory->n_endpoints);
	struct endpoint endpoint = {
		.network = strdup(network_id),
		.container = strdup(container),
		.name = strdup(name),
		.ip4 = network_addr(network, AF_INET, n),
		.ip6 = network_addr(network, AF_INET6, n),
		.mac = { 2, 1, 0, 0, 0, n },
	};

	if (random_percent(15))
		endpoint.ip6 = (struct addr){ 0 };
	pool_add(scene, &endpoint.ip4);
	pool_add(scene, &endpoint.ip6);
	pool_add(scene, &endpoint.ip4); /* twice: more often */
	pool_add(scene, &endpoint.ip6);
	MUST(inventory_put_endpoint(scene->inventory, &endpoint) == 0);
}

static const struct network *random_network(const struct scene *scene)
{
	return &scene->inventory->networks[random_below((uint32_t)scene->inventory->n_networks)];
}

static void add_binding(struct scene *scene, struct container *container, uint8_t proto, uint16_t port, uint16_t inner,
			const struct addr *host)
{
	struct port_binding *binding = ARRAY_ADD(container->ports, container->n_ports);

	MUST(binding);
	*binding = (struct port_binding){ proto, *host, port, inner };
}

static void add_ports(struct scene *scene, struct container *container, uint16_t base)
{
	static const uint16_t inners[] = { 80, 53, 443, 8001, 8080 };
	size_t n = random_below(4);

	for (size_t i = 0; i < n; i++) {
		uint8_t proto = random_percent(60) ? IPPROTO_TCP : IPPROTO_UDP;
		uint16_t port = (uint16_t)(base + i), inner = RANDOM_OF(inners);
		const struct nic *nic = &scene->nics[random_below((uint32_t)scene->n_nics)];
		struct addr any4 = address("0.0.0.0"), any6 = address("::"), lo = address("127.0.0.1");
		struct prefix own;

		if (random_percent(10)) {
			add_binding(scene, container, proto, port, inner, &lo);
		} else if (random_percent(40)) {
			MUST(prefix_parse(random_percent(70) || !nic->subnet6[0] ? nic->subnet4 : nic->subnet6, &own) ==
			     0);
			add_binding(scene, container, proto, port, inner, &own.addr);
		} else {
			add_binding(scene, container, proto, port, inner, &any4);
			if (random_percent(70))
				add_binding(scene, container, proto, port, inner, &any6);
		}
	}
}

/* Labels of the container or its image, some of which ask for what cannot be. */
static void add_requests(struct container *container, uint16_t base)
{
	static const char *const policies[] = { "wan",	    "dns", "wan,lan", "lan_upstream,dns", "", "quarantine,dns",
						"disabled", "dsn" };
	static const char *const groups[] = { "g0", "g1,g2", "g0,nobody", "" };
	static const char *const tags[] = { "t0", "t0,t1" };
	static const char *const to[] = { "internet", "lan+upstream", "group:g1", "tag:t0+web",
					  "container:db+nothing" };
	char publish[64];

	snprintf(publish, sizeof(publish), "%u%s:%s", base + random_below(3), random_percent(50) ? "" : "/tcp",
		 RANDOM_OF(to));
	for (size_t i = 0; i < 4; i++) {
		const char *const keys[] = { "policies", "groups", "tags", "publish" };
		const char *const texts[] = { RANDOM_OF(policies), RANDOM_OF(groups), RANDOM_OF(tags), publish };
		struct request *request = random_percent(40) ? ARRAY_ADD(container->requests, container->n_requests) :
							       NULL;

		if (!request)
			continue;
		request->key = strdup(keys[i]);
		request->text = strdup(texts[i]);
		request->image = random_percent(25);
	}
}

static void add_containers(struct scene *scene)
{
	static const char *const names[] = { "web", "db", "nas", "files", "net-a", "proj-app-1", "tv", "both" };
	size_t n = 3 + random_below(ELEMENTSOF(names) - 2);

	for (size_t i = 0; i < n; i++) {
		struct container container = { .running = true };
		const char *first = random_network(scene)->id, *second = random_network(scene)->id;
		char id[32];

		snprintf(id, sizeof(id), "id-%s", names[i]);
		container.engine = "docker";
		container.id = strdup(id);
		container.name = strdup(names[i]);
		container.image = strdup("image");
		if (random_percent(50)) {
			container.project = strdup("proj");
			container.service = strdup(random_percent(50) ? "app" : "db");
		}
		add_ports(scene, &container, (uint16_t)(8000 + 10 * i));
		add_requests(&container, (uint16_t)(8000 + 10 * i));
		MUST(inventory_put_container(scene->inventory, &container) == 0);
		add_endpoint(scene, first, id, names[i]);
		if (random_percent(30) && strcmp(first, second) != 0)
			add_endpoint(scene, second, id, names[i]);
	}
	for (size_t i = random_below(3); i > 0; i--)
		add_endpoint(scene, random_network(scene)->id, "", i == 1 ? "builder" : "");
}

/* Where the engine leads a published port: the first of the container's networks by name that is not internal. */
static const struct endpoint *front_endpoint(const struct scene *scene, const struct container *container)
{
	const struct endpoint *best = NULL;

	for (size_t i = 0; i < scene->inventory->n_endpoints; i++) {
		const struct endpoint *endpoint = &scene->inventory->endpoints[i];

		if (strcmp(endpoint->container, container->id) != 0 ||
		    inventory_network(scene->inventory, endpoint->network)->internal)
			continue;
		if (!best || strcmp(endpoint->network, best->network) < 0)
			best = endpoint;
	}
	return best;
}

static void add_forwards(struct scene *scene, const struct container *container)
{
	const struct endpoint *endpoint = front_endpoint(scene, container);

	for (size_t i = 0; endpoint && i < container->n_ports; i++) {
		const struct port_binding *binding = &container->ports[i];
		const struct addr *to = binding->host.family == AF_INET ? &endpoint->ip4 : &endpoint->ip6;
		struct forward *forward;

		if (!to->family || random_percent(30))
			continue;
		forward = ARRAY_ADD(scene->forwards, scene->n_forwards);
		MUST(forward);
		*forward = (struct forward){ .binding = *binding, .to = *to };
		snprintf(forward->bridge, sizeof(forward->bridge), "%s",
			 inventory_network(scene->inventory, endpoint->network)->bridge);
	}
}

/* Somebody else's NAT: to containers, past what the engine publishes. */
static void add_foreign(struct scene *scene)
{
	for (uint16_t i = 0; i < 3; i++) {
		static const uint16_t dialled[] = { 22, 53, 80 }, ports[] = { 443, 8000, 8001, 8010, 9999 };
		const struct inventory *inventory = scene->inventory;
		const struct endpoint *endpoint = &inventory->endpoints[random_below((uint32_t)inventory->n_endpoints)];
		struct forward *forward = ARRAY_ADD(scene->forwards, scene->n_forwards);

		MUST(forward);
		*forward = (struct forward){ .to = endpoint->ip4 };
		forward->binding = (struct port_binding){ random_percent(70) ? IPPROTO_TCP : IPPROTO_UDP,
							  address("0.0.0.0"), dialled[i], RANDOM_OF(ports) };
		snprintf(forward->bridge, sizeof(forward->bridge), "%s",
			 inventory_network(inventory, endpoint->network)->bridge);
	}
}

/* As Docker's chain does it: not for the network's own bridge, and only at the address it is bound to. */
static void write_nat(const struct scene *scene, uint8_t family, FILE *nft)
{
	const char *ip = family == AF_INET ? "ip" : "ip6";
	char host[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];

	fprintf(nft, "table %s probenat {\n chain pre {\n type nat hook prerouting priority -100;\n }\n}\n", ip);
	fprintf(nft, "flush chain %s probenat pre\ntable %s probenat {\n chain pre {\n", ip, ip);
	for (size_t i = 0; i < scene->n_forwards; i++) {
		const struct forward *forward = &scene->forwards[i];
		const struct port_binding *binding = &forward->binding;

		if (binding->host.family != family)
			continue;
		fprintf(nft, "  fib daddr type local iifname != \"%s\" ", forward->bridge);
		if (!addr_is_any(&binding->host))
			fprintf(nft, "%s daddr %s ", ip, addr_text(&binding->host, host));
		fprintf(nft, family == AF_INET ? "%s dport %u dnat to %s:%u\n" : "%s dport %u dnat to [%s]:%u\n",
			binding->proto == IPPROTO_TCP ? "tcp" : "udp", binding->host_port, addr_text(&forward->to, to),
			binding->container_port);
	}
	fputs(" }\n}\n", nft);
}

void scene_nat(const struct scene *scene)
{
	FILE *nft = popen("nft -f -", "w");

	MUST(nft);
	write_nat(scene, AF_INET, nft);
	write_nat(scene, AF_INET6, nft);
	MUST(pclose(nft) == 0);
}

/* Of each of the machine's networks: its ends, its own address, somebody there. */
static void pool_add_subnet(struct scene *scene, const char *text)
{
	struct prefix prefix;
	struct range range;
	struct addr some;

	if (!text[0])
		return;
	MUST(prefix_parse(text, &prefix) == 0);
	range = prefix_range(&prefix);
	pool_add(scene, &prefix.addr);
	pool_add(scene, &prefix.addr);
	some = range.first;
	some.bytes[addr_size(some.family) - 1] |= 0x42;
	pool_add(scene, &some);
	some.bytes[addr_size(some.family) - 1] ^= 0x11;
	pool_add(scene, &some);
	if (random_percent(50))
		pool_add(scene, &range.first);
	if (random_percent(50))
		pool_add(scene, &range.last);
	if (range.last.family == AF_INET && addr_next(&range.last))
		pool_add(scene, &range.last);
}

static const char *const strangers[] = {
	"1.1.1.1",     "8.8.8.8",      "50.0.0.10",	"50.0.0.11",	   "9.9.9.9",	  "10.99.0.1",
	"10.0.0.7",    "172.16.5.5",   "192.168.50.10", "192.168.79.4",	   "61.0.3.4",	  "62.0.0.9",
	"10.88.1.1",   "100.64.9.9",   "10.123.4.5",	"198.18.0.10",	   "203.0.113.7", "169.254.3.4",
	"0.0.0.0",     "0.1.2.3",      "127.0.0.1",	"255.255.255.255", "224.0.0.1",	  "240.0.0.4",
	"2001:500::1", "2606:4700::1", "2600:50::10",	"2620:fe::fe",	   "fd12::1",	  "2600:99::1",
	"2600:79::5",  "2001:db8::1",  "2002:a00:1::1", "64:ff9b::a00:1",  "fd7a::7",	  "fe80::1:2",
	"::",	       "::1",	       "ff02::1",	"::ffff:10.0.0.1", "3fff::1",	  "fec0::1",
};

static void fill_pool(struct scene *scene)
{
	for (size_t i = 0; i < ELEMENTSOF(strangers); i++) {
		struct addr addr = address(strangers[i]);

		pool_add(scene, &addr);
		if (i < 5 || (i >= 24 && i < 28)) /* public ones: more often */
			pool_add(scene, &addr);
	}
	for (size_t i = 0; i < scene->n_nics; i++) {
		char text[24];

		pool_add_subnet(scene, scene->nics[i].subnet4);
		pool_add_subnet(scene, scene->nics[i].subnet6);
		snprintf(text, sizeof(text), "fe80::%x", scene->nics[i].mac[5]);
		if (random_percent(30))
			pool_add(scene, &(struct addr){ AF_INET6, { 0xfe, 0x80, [15] = scene->nics[i].mac[5] } });
	}
}

static void choose_resolver(struct scene *scene)
{
	static const char *const choices[] = { "10.99.0.1", "9.9.9.9", "2620:fe::fe", "192.168.50.10",
					       "192.168.77.66" };
	struct prefix own;

	if (random_percent(10))
		return;
	scene->inventory->resolver = address(RANDOM_OF(choices));
	if (random_percent(30)) {
		MUST(prefix_parse(scene->nics[random_below((uint32_t)scene->n_nics)].subnet4, &own) == 0);
		scene->inventory->resolver = own.addr;
	} else if (random_percent(20)) {
		scene->inventory->resolver =
			scene->inventory->endpoints[random_below((uint32_t)scene->inventory->n_endpoints)].ip4;
	}
	for (int i = 0; i < 4; i++)
		pool_add(scene, &scene->inventory->resolver);
}

void scene_add_engine(struct scene *scene)
{
	add_networks(scene);
	add_containers(scene);
	for (size_t i = 0; i < scene->inventory->n_containers; i++)
		add_forwards(scene, &scene->inventory->containers[i]);
	add_foreign(scene);
	scene_nat(scene);
	fill_pool(scene);
	choose_resolver(scene);
}

static void print_container(const struct scene *scene, const struct container *container, FILE *file)
{
	char text[ADDR_TEXT_MAX];

	fprintf(file, "container %s %s/%s\n", container->name, container->project ? container->project : "-",
		container->service ? container->service : "-");
	for (size_t i = 0; i < container->n_ports; i++)
		fprintf(file, "  publishes %s %u -> %u proto %u\n", addr_text(&container->ports[i].host, text),
			container->ports[i].host_port, container->ports[i].container_port, container->ports[i].proto);
}

void scene_print(const struct scene *scene, FILE *file)
{
	const struct inventory *inventory = scene->inventory;
	char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];

	for (size_t i = 0; i < scene->n_nics; i++)
		fprintf(file, "interface %s (%u) %s %s %s\n", scene->nics[i].name, scene->nics[i].index,
			scene->nics[i].bridge ? "bridge" : "veth", scene->nics[i].subnet4, scene->nics[i].subnet6);
	for (size_t i = 0; i < inventory->n_networks; i++)
		fprintf(file, "network %s on %s%s%s\n", inventory->networks[i].name, inventory->networks[i].bridge,
			inventory->networks[i].internal ? " internal" : "",
			inventory->networks[i].icc ? "" : " no-icc");
	for (size_t i = 0; i < inventory->n_containers; i++)
		print_container(scene, &inventory->containers[i], file);
	for (size_t i = 0; i < inventory->n_endpoints; i++)
		fprintf(file, "endpoint of %s (%s) in %s: %s %s\n", inventory->endpoints[i].container,
			inventory->endpoints[i].name, inventory->endpoints[i].network,
			addr_text(&inventory->endpoints[i].ip4, text), addr_text(&inventory->endpoints[i].ip6, other));
	for (size_t i = 0; i < scene->n_forwards; i++)
		fprintf(file, "nat %s port %u -> %s\n", addr_text(&scene->forwards[i].binding.host, text),
			scene->forwards[i].binding.host_port, addr_text(&scene->forwards[i].to, other));
	fprintf(file, "resolver %s\n", addr_text(&inventory->resolver, text));
}

static void take_places(struct inventory *inventory, const char *old, const struct container *other)
{
	for (size_t i = 0; i < inventory->n_endpoints; i++) {
		struct endpoint *endpoint = &inventory->endpoints[i];

		if (strcmp(endpoint->container, old) != 0)
			continue;
		free(endpoint->container);
		free(endpoint->name);
		endpoint->container = strdup(other->id);
		endpoint->name = strdup(other->name);
	}
}

/* Containers stop and others start, in their places: who gets an address next has nothing of who had it. */
void scene_change(struct scene *scene)
{
	static unsigned born;
	struct inventory *inventory = scene->inventory;

	for (size_t i = 0; i < inventory->n_containers; i++) {
		struct container other = { .running = true }, *old = &inventory->containers[i];
		_cleanup_free_ char *gone = strdup(old->id);

		if (!random_percent(25))
			continue;
		other.engine = "docker";
		MUST(asprintf(&other.id, "id-next-%u", ++born) > 0);
		other.name = strdup(random_percent(50) ? old->name : "absent");
		other.image = strdup("image");
		if (random_percent(50))
			add_ports(scene, &other, (uint16_t)(8000 + 10 * random_below(8)));
		take_places(inventory, gone, &other);
		inventory_drop_container(inventory, "docker", gone);
		MUST(inventory_put_container(inventory, &other) == 0);
	}
	scene->n_forwards = 0;
	for (size_t i = 0; i < inventory->n_containers; i++)
		add_forwards(scene, &inventory->containers[i]);
	add_foreign(scene);
	scene_nat(scene);
}
