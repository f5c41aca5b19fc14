/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "kernel/links.h"
#include "property.h"
#include "ruleset/compile.h"

struct addr address(const char *text)
{
	struct addr addr;

	MUST(addr_parse(text, &addr) == 0);
	return addr;
}

static void sysctl_put(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	MUST(fd >= 0 && write(fd, value, strlen(value)) > 0);
	close(fd);
}

/* A table for what may be there: how often, in percent; whether as a bridge. %zu is the nic's number. */
static const struct kind {
	const char *name;
	unsigned percent, bridge_percent;
	const char *subnets4[2], *subnets6[2];
	const char *routes[3];
} kinds[] = {
	{ "up0", 100, 20, { "10.99.0.2/24", "60.1.0.2/24" }, { "2600:99::2/64", "fd00:99::2/64" }, { "default" } },
	{ "up1", 30, 0, { "10.98.0.2/24", "60.2.0.2/24" }, { "2600:98::2/64", "2600:98::2/64" }, { "default" } },
	{ "lan0",
	  75,
	  50,
	  { "192.168.77.1/24", "60.7.0.1/25" },
	  { "2600:77::1/64", "fd00:77::1/64" },
	  { "192.168.79.0/24", "2600:79::/48", "61.0.0.0/16" } },
	{ "lan1", 30, 50, { "192.168.78.1/24", "192.168.78.1/24" }, { "2600:78::1/64", "" }, { NULL } },
	{ "oth0", 60, 50, { "192.168.122.1/24", "192.168.122.1/24" }, { "fd00:122::1/64", "" }, { "62.0.0.0/24" } },
	{ "unk0", 60, 30, { "10.77.0.1/24", "10.77.0.1/24" }, { "2600:88::1/64", "" }, { "10.88.0.0/16" } },
	{ "ovl0",
	  50,
	  0,
	  { "100.100.0.1/24", "100.100.0.1/32" },
	  { "fd00:100::1/64", "fd00:100::1/128" },
	  { "100.64.0.0/10", "10.123.0.0/16", "fd7a::/32" } },
	{ "br-a", 100, 100, { "172.30.1.1/24", "172.30.1.1/24" }, { "fd00:30:1::1/64", "2600:d0:1::1/64" }, { NULL } },
	{ "br-b", 100, 100, { "172.30.2.1/24", "172.30.2.1/24" }, { "fd00:30:2::1/64", "" }, { NULL } },
	{ "br-c", 60, 100, { "172.30.3.1/24", "65.3.0.1/24" }, { "2600:d0:3::1/64", "" }, { NULL } },
	{ "br-d", 40, 100, { "172.30.4.1/24", "172.30.4.1/24" }, { "fd00:30:4::1/64", "" }, { NULL } },
};

static void nics_choose(struct scene *scene)
{
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		struct nic *nic = &scene->nics[scene->n_nics];

		if (!random_percent(kinds[i].percent))
			continue;
		snprintf(nic->name, sizeof(nic->name), "%s", kinds[i].name);
		snprintf(nic->subnet4, sizeof(nic->subnet4), "%s", RANDOM_OF(kinds[i].subnets4));
		snprintf(nic->subnet6, sizeof(nic->subnet6), "%s", RANDOM_OF(kinds[i].subnets6));
		nic->bridge = random_percent(kinds[i].bridge_percent);
		memcpy(nic->mac, (uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)(i + 1) }, 6);
		scene->n_nics++;
	}
}

static FILE *batch_open(void)
{
	FILE *file = popen("ip -batch -", "w");

	MUST(file);
	return file;
}

static void make_links(const struct scene *scene)
{
	FILE *ip = batch_open();

	fputs("link set lo up\n", ip);
	for (size_t i = 0; i < scene->n_nics; i++) {
		const struct nic *nic = &scene->nics[i];
		const char *veth = nic->bridge ? "-p" : "", *name = nic->name;

		fprintf(ip, "link add %s%s type veth peer name %s-o netns /proc/%d/fd/%d\n", name, veth, name, getpid(),
			scene->outside);
		if (nic->bridge) {
			fprintf(ip, "link add %s type bridge mcast_snooping 0\n", name);
			fprintf(ip, "link set %s-p master %s\nlink set %s-p up\n", name, name, name);
		}
		fprintf(ip, "link set %s address 02:00:00:00:00:%02x arp off\nlink set %s up\n", name, nic->mac[5],
			name);
	}
	MUST(pclose(ip) == 0);
}

static void make_addresses(const struct scene *scene)
{
	FILE *ip = batch_open();

	for (size_t i = 0; i < scene->n_nics; i++) {
		const struct nic *nic = &scene->nics[i];

		fprintf(ip, "addr add %s dev %s\n", nic->subnet4, nic->name);
		fprintf(ip, "addr add fe80::%x/64 dev %s nodad\n", nic->mac[5], nic->name);
		if (nic->subnet6[0])
			fprintf(ip, "addr add %s dev %s nodad\n", nic->subnet6, nic->name);
	}
	for (size_t i = 0; i < scene->n_nics; i++)
		for (size_t k = 0; k < ELEMENTSOF(kinds); k++)
			for (size_t r = 0; r < 3 && kinds[k].routes[r]; r++) {
				const char *name = scene->nics[i].name, *route = kinds[k].routes[r];
				unsigned metric = strcmp(name, "up0") == 0 ? 100 : 200;

				if (strcmp(name, kinds[k].name) != 0)
					continue;
				fprintf(ip, "route add %s dev %s metric %u\n", route, name, metric);
				if (strcmp(route, "default") == 0)
					fprintf(ip, "route add ::/0 dev %s metric %u\n", name, metric);
			}
	MUST(pclose(ip) == 0);
}

/* The far ends: up, silent, with a socket each. */
static void make_outside(struct scene *scene)
{
	FILE *ip;

	MUST(setns(scene->outside, CLONE_NEWNET) == 0);
	sysctl_put("ipv6/conf/all/disable_ipv6", "1");
	ip = batch_open();
	for (size_t i = 0; i < scene->n_nics; i++)
		fprintf(ip, "link set %s-o arp off up\n", scene->nics[i].name);
	MUST(pclose(ip) == 0);
	for (size_t i = 0; i < scene->n_nics; i++) {
		struct nic *nic = &scene->nics[i];
		struct sockaddr_ll at = { .sll_family = AF_PACKET };
		char name[IFNAMSIZ + 2];

		snprintf(name, sizeof(name), "%s-o", nic->name);
		at.sll_ifindex = (int)if_nametoindex(name);
		nic->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		MUST(nic->socket >= 0 && bind(nic->socket, (struct sockaddr *)&at, sizeof(at)) == 0);
	}
	MUST(setns(scene->inside, CLONE_NEWNET) == 0);
}

static void make_namespaces(struct scene *scene)
{
	MUST(unshare(CLONE_NEWNET) == 0);
	scene->outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	MUST(unshare(CLONE_NEWNET) == 0);
	scene->inside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	MUST(scene->outside >= 0 && scene->inside >= 0);
	sysctl_put("ipv4/ip_forward", "1");
	sysctl_put("ipv6/conf/all/forwarding", "1");
	sysctl_put("ipv6/conf/default/addr_gen_mode", "1");
	sysctl_put("ipv4/conf/all/rp_filter", "0");
	sysctl_put("ipv4/conf/default/rp_filter", "0");
	sysctl_put("netfilter/nf_conntrack_udp_timeout", "600");
	sysctl_put("netfilter/nf_conntrack_icmp_timeout", "600");
	sysctl_put("netfilter/nf_conntrack_icmpv6_timeout", "600");
	if (access("/proc/sys/net/bridge", F_OK) == 0 || scene->bridge_calls) { /* else br_netfilter is not loaded */
		sysctl_put("bridge/bridge-nf-call-iptables", scene->bridge_calls ? "1" : "0");
		sysctl_put("bridge/bridge-nf-call-ip6tables", scene->bridge_calls ? "1" : "0");
	}
}

/* Who passed our chains is logged behind them; this machine itself says nothing, but for what the test sends from it. */
static const char probe[] =
	"table inet probe {\n"
	"chain end { type filter hook prerouting priority -400;\n"
	" ip protocol %d log prefix \"spr:end\" group %d queue-threshold 1"
	" log group %d queue-threshold 1 log group %d queue-threshold 1 drop\n }\n"
	"chain raw { type filter hook output priority -300; policy drop;\n meta mark 0x77 accept\n }\n"
	"chain forward { type filter hook forward priority 100;\n"
	" log prefix \"pass\" group %d snaplen 128\n }\n"
	"chain leave { type filter hook postrouting priority 300;\n"
	" log prefix \"left\" group %d snaplen 128\n }\n"
	"chain input { type filter hook input priority 100;\n"
	" log prefix \"pass\" group %d snaplen 128\n }\n"
	"}\n";

static void make_probe(void)
{
	FILE *nft = popen("nft -f -", "w");

	MUST(nft);
	fprintf(nft, probe, END_PROTO, LOG_GROUP, GROUP_PASSED, GROUP_LEFT, GROUP_PASSED, GROUP_LEFT, GROUP_PASSED);
	MUST(pclose(nft) == 0);
}

void scene_choose(struct scene *scene)
{
	*scene = (struct scene){ 0 };
	scene->bridge_calls = access("/proc/sys/net/bridge", F_OK) == 0 && random_percent(30);
	nics_choose(scene);
}

void scene_open(struct scene *scene)
{
	struct error error = { 0 };
	struct links *links;

	make_namespaces(scene);
	make_links(scene);
	make_outside(scene);
	make_addresses(scene);
	make_probe();
	scene->inventory = inventory_new();
	MUST(scene->inventory);
	if (links_open(scene->inventory, &links, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		exit(2);
	}
	links_close(links);
	for (size_t i = 0; i < scene->n_nics; i++)
		scene->nics[i].index = if_nametoindex(scene->nics[i].name);
}

void scene_close(struct scene *scene)
{
	for (size_t i = 0; i < scene->n_nics; i++)
		close(scene->nics[i].socket);
	close(scene->inside);
	close(scene->outside);
	scene->inventory = inventory_free(scene->inventory);
	free(scene->forwards);
	scene->forwards = NULL;
	scene->n_forwards = 0;
}

const struct nic *scene_nic(const struct scene *scene, const char *name)
{
	for (size_t i = 0; i < scene->n_nics; i++)
		if (strcmp(scene->nics[i].name, name) == 0)
			return &scene->nics[i];
	return NULL;
}

static const char *longest_route(const struct scene *scene, const struct addr *to)
{
	const struct inventory *inventory = scene->inventory;
	const struct interface *interface;
	const struct route *best = NULL;

	for (size_t i = 0; i < inventory->n_routes; i++) {
		const struct route *route = &inventory->routes[i];
		bool first = route->interface == scene->nics[0].index; /* up0 has the best default route */

		if (!prefix_contains(&route->destination, to))
			continue;
		if (!best || route->destination.length > best->destination.length ||
		    (route->destination.length == best->destination.length && first))
			best = route;
	}
	interface = best ? inventory_interface(inventory, best->interface) : NULL;
	return interface ? interface->name : NULL;
}

static bool is_multicast(const struct addr *addr)
{
	return addr->family == AF_INET ? addr->bytes[0] >> 4 == 14 : addr->bytes[0] == 0xff;
}

/* An address of an interface, its broadcast address, or (IPv6) the first of its prefix: any of its routers. */
static bool is_for(const struct prefix *prefix, const struct addr *to)
{
	struct range range;

	if (addr_compare(&prefix->addr, to) == 0)
		return true;
	if (!prefix_contains(prefix, to))
		return false;
	range = prefix_range(prefix);
	if (prefix->addr.family == AF_INET6)
		return prefix->length < 127 && !addr_is_link_local(to) && addr_compare(&range.first, to) == 0;
	return prefix->length < 31 && addr_compare(&range.last, to) == 0;
}

const char *scene_route(const struct scene *scene, const struct addr *to, const char *in)
{
	const struct inventory *inventory = scene->inventory;
	bool near = addr_is_link_local(to) && to->family == AF_INET6;
	struct addr all4 = address("224.0.0.1"), all6 = address("ff02::1"), all = address("255.255.255.255");

	if (addr_compare(to, &all4) == 0 || addr_compare(to, &all6) == 0 || addr_compare(to, &all) == 0)
		return "";
	if (is_multicast(to) || addr_is_loopback(to) || (to->family == AF_INET && addr_is_any(to)))
		return NULL;
	for (size_t i = 0; i < inventory->n_interfaces; i++)
		for (size_t k = 0; k < inventory->interfaces[i].n_addresses; k++)
			if (is_for(&inventory->interfaces[i].addresses[k], to) &&
			    (!near || strcmp(inventory->interfaces[i].name, in) == 0))
				return "";
	return near ? in : longest_route(scene, to);
}

struct addr scene_addr(const struct scene *scene, uint8_t family)
{
	for (;;) {
		const struct addr *addr = &scene->pool[random_below((uint32_t)scene->n_pool)];

		if (addr->family == family)
			return *addr;
	}
}
