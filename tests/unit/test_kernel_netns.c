/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel layer against the kernel: in a network and mount namespace of this test's own. Needs root, ip and nft;
 * ends with 77 (skipped) and the reason where it may not make namespaces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inventory/inventory.h"
#include "kernel/conntrack.h"
#include "kernel/droplog.h"
#include "kernel/feature.h"
#include "kernel/links.h"
#include "kernel/resolv.h"
#include "kernel/sysctl.h"

#define QUIET 100 /* ms without news: nothing more comes */
#define QUIET_LONG 600 /* the same where reading takes long: it is not repeated at once then */

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
	char command[4096];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(...) assert_int_equal(run(__VA_ARGS__), 0)

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static struct prefix prefix(const char *text)
{
	struct prefix result;

	assert_int_equal(prefix_parse(text, &result), 0);
	return result;
}

/* A followed inventory. */
struct world {
	struct inventory *inventory;
	struct links *links;
};

static struct world world_open(void)
{
	struct world world = { .inventory = inventory_new() };
	struct error error = { 0 };

	assert_non_null(world.inventory);
	if (links_open(world.inventory, &world.links, &error) < 0)
		fail_msg("%s", error.text);
	return world;
}

static void world_close(struct world *world)
{
	assert_null(links_close(world->links));
	inventory_free(world->inventory);
}

/* Takes news until there are none for a while; whether they changed anything. */
static bool world_follow_for(struct world *world, int quiet)
{
	struct pollfd poll_fd = { .fd = links_fd(world->links), .events = POLLIN };
	bool any = false;

	while (poll(&poll_fd, 1, quiet) > 0) {
		struct error error = { 0 };
		bool changed = false;

		if (links_read(world->links, &changed, &error) < 0)
			fail_msg("%s", error.text);
		any = any || changed;
	}
	return any;
}

static bool world_follow(struct world *world)
{
	return world_follow_for(world, QUIET);
}

static bool has_address(const struct interface *interface, const char *text)
{
	struct prefix wanted = prefix(text);

	for (size_t i = 0; interface && i < interface->n_addresses; i++)
		if (addr_compare(&interface->addresses[i].addr, &wanted.addr) == 0 &&
		    interface->addresses[i].length == wanted.length)
			return true;
	return false;
}

static size_t count_routes(const struct inventory *inventory, const char *destination, const char *gateway,
			   const char *interface, uint32_t table)
{
	struct prefix wanted = prefix(destination);
	const struct interface *out = interface ? inventory_interface_named(inventory, interface) : NULL;
	struct addr by = { 0 };
	size_t n = 0;

	if (gateway && *gateway)
		by = address(gateway);
	for (size_t i = 0; i < inventory->n_routes; i++) {
		const struct route *route = &inventory->routes[i];

		n += route->destination.length == wanted.length &&
		     addr_compare(&route->destination.addr, &wanted.addr) == 0 && route->table == table &&
		     (!gateway || addr_compare(&route->gateway, &by) == 0) &&
		     (!interface || (out && route->interface == out->index));
	}
	return n;
}

static bool interface_equal(const struct interface *a, const struct interface *b)
{
	if (!a || !b || strcmp(a->name, b->name) != 0 || strcmp(a->kind, b->kind) != 0 || a->master != b->master ||
	    a->up != b->up || a->loopback != b->loopback || a->n_addresses != b->n_addresses)
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (addr_compare(&a->addresses[i].addr, &b->addresses[i].addr) != 0 ||
		    a->addresses[i].length != b->addresses[i].length)
			return false;
	return true;
}

static bool route_equal(const struct route *a, const struct route *b)
{
	return addr_compare(&a->destination.addr, &b->destination.addr) == 0 &&
	       a->destination.length == b->destination.length && addr_compare(&a->gateway, &b->gateway) == 0 &&
	       a->interface == b->interface && a->table == b->table;
}

static bool inventory_equal(const struct inventory *a, const struct inventory *b)
{
	if (a->n_interfaces != b->n_interfaces || a->n_routes != b->n_routes)
		return false;
	for (size_t i = 0; i < a->n_interfaces; i++)
		if (!interface_equal(&a->interfaces[i], inventory_interface(b, a->interfaces[i].index)))
			return false;
	for (size_t i = 0; i < a->n_routes; i++)
		if (!route_equal(&a->routes[i], &b->routes[i]))
			return false;
	return true;
}

/*
 * What was followed must be what a new reader sees. The kernel does some things by itself a little later (carrier,
 * duplicate address detection), so a difference must go away.
 */
static void assert_world_true(struct world *world)
{
	for (int i = 0; i < 10; i++) {
		struct world fresh = world_open();
		bool equal = inventory_equal(world->inventory, fresh.inventory);

		world_close(&fresh);
		if (equal)
			return;
		world_follow_for(world, 200);
	}
	fail_msg("what was followed is not what is there");
}

/* Removes what a test made. */
static int clean(void **state)
{
	(void)state;
	run("ip -o link | sed -n 's/^[0-9]*: \\([^:@]*\\).*/\\1/p' | grep -vE '^(lo|tunl0|sit0|gre0|gretap0|erspan0|"
	    "ip6tnl0|ip_vti0|ip6_vti0|ip6gre0)$' | sed 's/^/link del /' | ip -force -batch - 2>/dev/null");
	run("ip addr flush dev lo; ip link set lo down; ip -4 route flush table all; ip -6 route flush table all;"
	    " ip nexthop flush >/dev/null 2>&1; nft flush ruleset");
	RUN("ip link set lo up");
	return 0;
}

static void test_links_are_there_at_open(void **state)
{
	struct world world;
	struct interface *bridge, *port, *lo;

	(void)state;
	RUN("ip link add br-a type bridge && ip link add va type veth peer name vb && ip link set va master br-a &&"
	    " ip link set br-a up && ip link set va up && ip addr add 172.30.1.1/24 dev br-a &&"
	    " ip addr add 2600:d0::1/64 dev br-a");
	world = world_open();
	bridge = inventory_interface_named(world.inventory, "br-a");
	port = inventory_interface_named(world.inventory, "va");
	lo = inventory_interface_named(world.inventory, "lo");
	assert_non_null(bridge);
	assert_non_null(port);
	assert_non_null(lo);
	assert_string_equal(bridge->kind, "bridge");
	assert_string_equal(port->kind, "veth");
	assert_string_equal(lo->kind, "");
	assert_int_equal(port->master, bridge->index);
	assert_int_equal(bridge->master, 0);
	assert_true(bridge->up && !bridge->loopback && lo->loopback && bridge->ethernet && !lo->ethernet);
	assert_false(inventory_interface_named(world.inventory, "vb")->up);
	assert_true(has_address(bridge, "172.30.1.1/24"));
	assert_true(has_address(bridge, "2600:d0::1/64")); /* tentative: no carrier */
	assert_true(has_address(lo, "127.0.0.1/8"));
	assert_true(has_address(lo, "::1"));
	assert_int_equal(count_routes(world.inventory, "172.30.1.0/24", "", "br-a", 254), 1);
	assert_int_equal(count_routes(world.inventory, "2600:d0::/64", "", "br-a", 254), 1);
	assert_int_equal(count_routes(world.inventory, "172.30.1.1", NULL, NULL, 255), 0);
	world_close(&world);
}

static void test_links_are_followed(void **state)
{
	struct world world = world_open();
	struct interface *interface;
	unsigned index;

	(void)state;
	assert_false(world_follow(&world));
	RUN("ip link add v0 type veth peer name v1");
	assert_true(world_follow(&world));
	interface = inventory_interface_named(world.inventory, "v0");
	assert_non_null(interface);
	assert_false(interface->up);
	index = interface->index;

	RUN("ip link set v0 up && ip link set v1 up");
	assert_true(world_follow(&world));
	assert_true(inventory_interface(world.inventory, index)->up);

	RUN("ip addr add 10.7.0.1/24 dev v0 && ip addr add 10.7.0.2/24 dev v0 && ip addr add 2600:7::1/64 dev v0");
	assert_true(world_follow(&world));
	assert_true(has_address(inventory_interface(world.inventory, index), "10.7.0.1/24"));
	assert_true(has_address(inventory_interface(world.inventory, index), "10.7.0.2/24"));
	assert_true(has_address(inventory_interface(world.inventory, index), "2600:7::1/64"));
	assert_int_equal(count_routes(world.inventory, "10.7.0.0/24", "", "v0", 254), 1);

	RUN("ip addr del 10.7.0.1/24 dev v0"); /* takes the second along */
	assert_true(world_follow(&world));
	assert_false(has_address(inventory_interface(world.inventory, index), "10.7.0.2/24"));
	assert_int_equal(count_routes(world.inventory, "10.7.0.0/24", NULL, NULL, 254), 0);

	RUN("ip link set v0 down && ip link set v0 name renamed && ip link set renamed up");
	assert_true(world_follow(&world));
	assert_null(inventory_interface_named(world.inventory, "v0"));
	assert_string_equal(inventory_interface(world.inventory, index)->name, "renamed");
	assert_world_true(&world);

	RUN("ip link del renamed");
	assert_true(world_follow(&world));
	assert_null(inventory_interface(world.inventory, index));
	assert_null(inventory_interface_named(world.inventory, "v1"));
	assert_world_true(&world);
	world_close(&world);
}

static void test_a_port_joins_and_leaves_a_bridge(void **state)
{
	struct world world;
	unsigned bridge;

	(void)state;
	RUN("ip link add br-a type bridge && ip link add va type veth peer name vb && ip link set br-a up &&"
	    " ip link set va up && ip link set vb up");
	world = world_open();
	world_follow(&world);
	bridge = inventory_interface_named(world.inventory, "br-a")->index;
	RUN("ip link set va master br-a");
	assert_true(world_follow(&world));
	assert_int_equal(inventory_interface_named(world.inventory, "va")->master, bridge);
	RUN("ip link set va nomaster");
	assert_true(world_follow(&world));
	/* The bridge says RTM_DELLINK of its port then: the port is still an interface. */
	assert_non_null(inventory_interface_named(world.inventory, "va"));
	assert_int_equal(inventory_interface_named(world.inventory, "va")->master, 0);
	assert_world_true(&world);
	world_close(&world);
}

static void test_what_does_not_matter_is_no_change(void **state)
{
	struct world world;

	(void)state;
	RUN("ip link add br-a type bridge && ip link add va type veth peer name vb && ip link set va master br-a &&"
	    " ip link set br-a up && ip link set va up && ip link set vb up && ip addr add 10.7.0.1/24 dev br-a &&"
	    " ip addr add 2600:7::1/64 dev br-a nodad");
	world = world_open();
	world_follow(&world);
	RUN("ip link set br-a mtu 1400 && ip link set va promisc on && ip link set va alias something");
	assert_false(world_follow(&world));
	RUN("ip link set vb down && sleep 0.1 && ip link set vb up && ip link set vb down && ip link set vb up");
	world_follow(&world); /* vb itself changed */
	RUN("ip link set va type bridge_slave cost 7");
	assert_false(world_follow(&world));
	RUN("ip addr change 10.7.0.1/24 dev br-a valid_lft 1000 preferred_lft 0 &&"
	    " ip addr change 2600:7::1/64 dev br-a valid_lft 1000 preferred_lft 0"); /* deprecated */
	assert_false(world_follow(&world));
	assert_true(has_address(inventory_interface_named(world.inventory, "br-a"), "2600:7::1/64"));
	RUN("ip route add blackhole 10.66.0.0/16 && ip route add local 10.67.0.1 dev lo table local &&"
	    " ip route del blackhole 10.66.0.0/16");
	assert_false(world_follow(&world));
	assert_world_true(&world);
	world_close(&world);
}

static void test_peer_addresses(void **state)
{
	struct world world = world_open();
	struct interface *interface;

	(void)state;
	RUN("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up &&"
	    " ip addr add 10.8.0.1 peer 10.8.0.2/32 dev v0 && ip addr add 10.8.0.1 peer 10.8.0.3/32 dev v0 &&"
	    " ip addr add 10.8.1.1 peer 10.8.1.2/24 dev v0 && ip addr add 10.8.2.1 peer 10.8.3.0/24 dev v0");
	assert_true(world_follow(&world));
	interface = inventory_interface_named(world.inventory, "v0");
	assert_true(has_address(interface, "10.8.0.1"));
	assert_true(has_address(interface, "10.8.1.1/24"));
	assert_true(has_address(interface, "10.8.2.1")); /* the subnet is the peer's */
	assert_int_equal(count_routes(world.inventory, "10.8.0.3", "", "v0", 254), 1);
	assert_int_equal(count_routes(world.inventory, "10.8.3.0/24", "", "v0", 254), 1);
	RUN("ip addr del 10.8.0.1 peer 10.8.0.2/32 dev v0"); /* the address is still there, with its other peer */
	world_follow(&world);
	assert_true(has_address(inventory_interface_named(world.inventory, "v0"), "10.8.0.1"));
	assert_world_true(&world);
	world_close(&world);
}

#define TWO_LINKS                                                                                                      \
	"ip link add v0 type veth peer name v1 && ip link add v2 type veth peer name v3 &&"                            \
	" for v in v0 v1 v2 v3; do ip link set $v up; done && ip addr add 10.7.0.1/24 dev v0 &&"                       \
	" ip addr add 10.8.0.1/24 dev v2 && ip addr add 2600:7::1/64 dev v0 nodad &&"                                  \
	" ip addr add 2600:8::1/64 dev v2 nodad"

static void test_routes_of_every_shape(void **state)
{
	struct world world;
	const struct inventory *inventory;

	(void)state;
	RUN(TWO_LINKS);
	world = world_open();
	inventory = world.inventory;
	world_follow(&world);
	RUN("ip route add default via 10.7.0.254 && ip -6 route add default via 2600:7::fe &&"
	    " ip route add 50.0.0.0/8 nexthop via 10.7.0.9 dev v0 nexthop via 10.8.0.9 dev v2 &&"
	    " ip -6 route add 2600:50::/32 nexthop via 2600:7::9 dev v0 nexthop via 2600:8::9 dev v2 &&"
	    " ip route add 51.0.0.0/8 via 10.8.0.9 table 100 && ip -6 route add 2600:51::/32 dev v2 table 1000 &&"
	    " ip route add 52.0.0.0/8 via 10.8.0.9 metric 5 && ip route add 52.0.0.0/8 via 10.8.0.9 metric 6 &&"
	    " ip route add unreachable 53.0.0.0/8 && ip route add 54.0.0.0/8 via inet6 2600:7::9 dev v0");
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(inventory, "0.0.0.0/0", "10.7.0.254", "v0", 254), 1);
	assert_int_equal(count_routes(inventory, "::/0", "2600:7::fe", "v0", 254), 1);
	assert_int_equal(count_routes(inventory, "50.0.0.0/8", "10.7.0.9", "v0", 254), 1);
	assert_int_equal(count_routes(inventory, "50.0.0.0/8", "10.8.0.9", "v2", 254), 1);
	assert_int_equal(count_routes(inventory, "50.0.0.0/8", NULL, NULL, 254), 2);
	assert_int_equal(count_routes(inventory, "2600:50::/32", "2600:7::9", "v0", 254), 1);
	assert_int_equal(count_routes(inventory, "2600:50::/32", "2600:8::9", "v2", 254), 1);
	assert_int_equal(count_routes(inventory, "51.0.0.0/8", "10.8.0.9", "v2", 100), 1);
	assert_int_equal(count_routes(inventory, "2600:51::/32", "", "v2", 1000), 1);
	assert_int_equal(count_routes(inventory, "52.0.0.0/8", "10.8.0.9", "v2", 254), 1); /* once */
	assert_int_equal(count_routes(inventory, "53.0.0.0/8", NULL, NULL, 254), 0);
	assert_int_equal(count_routes(inventory, "54.0.0.0/8", "2600:7::9", "v0", 254), 1);

	RUN("ip route del 52.0.0.0/8 metric 5"); /* its twin is still there */
	assert_false(world_follow(&world));
	RUN("ip route replace default via 10.7.0.253 && ip -6 route del 2600:50::/32 via 2600:7::9 dev v0");
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(inventory, "0.0.0.0/0", NULL, NULL, 254), 1);
	assert_int_equal(count_routes(inventory, "0.0.0.0/0", "10.7.0.253", "v0", 254), 1);
	assert_int_equal(count_routes(inventory, "2600:50::/32", NULL, NULL, 254), 1);

	RUN("ip link set v0 down"); /* IPv4 routes go without news of their own */
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(inventory, "0.0.0.0/0", NULL, NULL, 254), 0);
	assert_world_true(&world);
	world_close(&world);
}

static void test_routes_by_nexthop_objects(void **state)
{
	struct world world;

	(void)state;
	RUN(TWO_LINKS);
	if (run("ip nexthop add id 1 via 10.7.0.9 dev v0 2>/dev/null") != 0) {
		print_message("this kernel or ip has no nexthop objects\n");
		skip();
	}
	world = world_open();
	world_follow(&world);
	RUN("ip nexthop add id 2 via 10.8.0.9 dev v2 && ip nexthop add id 3 group 1/2 &&"
	    " ip route add 60.0.0.0/8 nhid 1 && ip route add 61.0.0.0/8 nhid 3");
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(world.inventory, "60.0.0.0/8", "10.7.0.9", "v0", 254), 1);
	assert_int_equal(count_routes(world.inventory, "61.0.0.0/8", "10.8.0.9", "v2", 254), 1);
	assert_int_equal(count_routes(world.inventory, "61.0.0.0/8", NULL, NULL, 254), 2);
	RUN("ip nexthop replace id 1 via 10.7.0.10 dev v0");
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(world.inventory, "60.0.0.0/8", "10.7.0.10", "v0", 254), 1);
	RUN("ip nexthop del id 1");
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(world.inventory, "60.0.0.0/8", NULL, NULL, 254), 0);
	assert_world_true(&world);
	world_close(&world);
}

static void test_a_link_moves_to_another_namespace(void **state)
{
	struct world world;
	int stop[2], ready[2];
	char byte;
	pid_t child;

	(void)state;
	RUN("ip link add v0 type veth peer name v1");
	world = world_open();
	assert_int_equal(pipe(stop), 0);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		close(stop[1]);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1 || read(stop[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(stop[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	RUN("ip link set v1 netns %d", (int)child);
	assert_true(world_follow(&world));
	assert_null(inventory_interface_named(world.inventory, "v1"));
	assert_non_null(inventory_interface_named(world.inventory, "v0"));
	assert_world_true(&world);
	close(stop[1]);
	waitpid(child, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	world_close(&world);
}

/* Messages that netlink sockets of this namespace have lost. */
static unsigned long lost_messages(void)
{
	FILE *file = fopen("/proc/net/netlink", "re");
	char line[300];
	unsigned long drops, sum = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %lu", &drops) == 1)
			sum += drops;
	fclose(file);
	return sum;
}

static void test_500_links_at_once(void **state)
{
	struct world world = world_open();

	(void)state;
	RUN("for i in $(seq 500); do echo link add a$i type veth peer name b$i; echo link set a$i up;"
	    " echo link set b$i up; echo addr add 10.$((i / 250)).$((i %% 250)).1/24 dev a$i;"
	    " echo link set a$i mtu 1400; echo link set a$i mtu 1500; done | ip -batch -");
	assert_true(lost_messages() > 0); /* or this test shows nothing */
	assert_true(world_follow_for(&world, QUIET_LONG));
	assert_true(world.inventory->n_interfaces > 1000);
	assert_true(has_address(inventory_interface_named(world.inventory, "a251"), "10.1.1.1/24"));
	assert_world_true(&world);
	RUN("for i in $(seq 500); do echo link del a$i; done | ip -batch -");
	assert_true(world_follow_for(&world, QUIET_LONG));
	assert_null(inventory_interface_named(world.inventory, "a251"));
	assert_world_true(&world);
	world_close(&world);
}

static void test_links_that_come_and_go_while_read(void **state)
{
	struct world world = world_open();
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(run(
			"set -e; for n in $(seq 40); do { for i in $(seq 10); do echo link add a$i type veth peer name b$i;"
			" echo link set a$i up; echo link set b$i up; echo addr add 10.1.$i.1/24 dev a$i;"
			" echo route add 10.2.$i.0/24 via 10.1.$i.2; echo link set b$i down;"
			" echo link set b$i name c$i; done;"
			" for i in $(seq 2 10); do echo link del a$i; done; echo link del c1; } | ip -batch -; done"));
	assert_true(child > 0);
	while (waitpid(child, &status, WNOHANG) == 0)
		world_follow(&world);
	assert_int_equal(status, 0);
	world_follow_for(&world, QUIET_LONG);
	assert_world_true(&world);
	world_close(&world);
}

static void test_routes_of_ours(void **state)
{
	struct prefix v4 = prefix("100.64.9.7/24"), v6 = prefix("2600:99::/48"), taken = prefix("100.65.0.0/16");
	struct addr gateway = address("10.7.0.9"), other = address("10.7.0.10"), gateway6 = address("2600:7::9");
	struct error error = { 0 };
	struct world world;
	unsigned v0;

	(void)state;
	RUN(TWO_LINKS);
	RUN("ip route add 100.65.0.0/16 via 10.8.0.9 metric 77 && ip -6 route add 2600:98::/48 via 2600:8::9");
	world = world_open();
	v0 = inventory_interface_named(world.inventory, "v0")->index;
	assert_int_equal(links_route_add(world.links, &v4, &gateway, v0, &error), 0);
	assert_int_equal(links_route_add(world.links, &v4, &gateway, v0, &error), 0); /* is there: no error */
	assert_int_equal(links_route_add(world.links, &v6, &gateway6, v0, &error), 0);
	assert_int_equal(links_route_add(world.links, &v6, &gateway6, v0, &error), 0);
	RUN("ip route show 100.64.9.0/24 | grep -q 'via 10.7.0.9 dev v0 proto 157'");
	RUN("ip -6 route show 2600:99::/48 | grep -q 'via 2600:7::9 dev v0 proto 157'");
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(world.inventory, "100.64.9.0/24", "10.7.0.9", "v0", 254), 1);

	/* By another way: moved, not doubled. */
	assert_int_equal(links_route_add(world.links, &v4, &other, v0, &error), 0);
	assert_int_equal(links_route_add(world.links, &v6, NULL, v0, &error), 0);
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(world.inventory, "100.64.9.0/24", NULL, NULL, 254), 1);
	assert_int_equal(count_routes(world.inventory, "100.64.9.0/24", "10.7.0.10", "v0", 254), 1);
	assert_int_equal(count_routes(world.inventory, "2600:99::/48", NULL, NULL, 254), 1);
	assert_int_equal(count_routes(world.inventory, "2600:99::/48", "", "v0", 254), 1);

	/* Somebody else's stay theirs, also with another metric. */
	assert_int_equal(links_route_add(world.links, &taken, &gateway, v0, &error), -EEXIST);
	assert_non_null(strstr(error.text, "100.65.0.0/16"));
	taken = prefix("2600:98::/48");
	assert_int_equal(links_route_add(world.links, &taken, &gateway6, v0, &error), -EEXIST);
	assert_int_equal(links_route_remove(world.links, &taken, &gateway6, v0, &error), 0);
	RUN("ip -6 route show 2600:98::/48 | grep -q 'via 2600:8::9'");

	assert_int_equal(links_route_remove(world.links, &v4, &other, v0, &error), 0);
	assert_int_equal(links_route_remove(world.links, &v4, &other, v0, &error), 0); /* gone: no error */
	assert_int_equal(links_route_remove(world.links, &v6, NULL, v0, &error), 0);
	assert_true(world_follow(&world));
	assert_int_equal(count_routes(world.inventory, "100.64.9.0/24", NULL, NULL, 254), 0);
	assert_int_equal(count_routes(world.inventory, "2600:99::/48", NULL, NULL, 254), 0);

	/* Refusals come with a sentence. */
	other = address("99.0.0.1");
	assert_true(links_route_add(world.links, &v4, &other, v0, &error) < 0);
	assert_non_null(strstr(error.text, "100.64.9.0/24"));
	assert_int_equal(links_route_add(world.links, &v4, &gateway6, v0, &error), -EINVAL);
	assert_int_equal(links_route_add(world.links, &v4, &gateway, 0, &error), -EINVAL);
	assert_world_true(&world);
	world_close(&world);
}

/* Sends a datagram of an IP protocol. */
static void send_raw(const char *to, int type, int proto, uint16_t port, const void *bytes, size_t length)
{
	struct addr addr = address(to);
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
	int fd = socket(addr.family, type | SOCK_CLOEXEC, proto);

	assert_true(fd >= 0);
	storage.ss_family = addr.family;
	if (addr.family == AF_INET) {
		memcpy(&v4->sin_addr, addr.bytes, 4);
		v4->sin_port = htons(port);
	} else {
		memcpy(&v6->sin6_addr, addr.bytes, 16);
		v6->sin6_port = htons(port);
	}
	/* A drop in the output hook is told to the sender. */
	if (sendto(fd, bytes, length, 0, (struct sockaddr *)&storage,
		   addr.family == AF_INET ? sizeof(*v4) : sizeof(*v6)) < 0)
		assert_true(errno == EPERM || errno == ECONNREFUSED);
	close(fd);
}

static void send_udp(const char *to, uint16_t port)
{
	send_raw(to, SOCK_DGRAM, IPPROTO_UDP, port, "hello", 5);
}

struct seen {
	struct conntrack *conntrack;
	struct flow flows[64];
	size_t n;
	bool delete_all;
	int stop_with;
};

static int see_flow(const struct flow *flow, void *data)
{
	struct seen *seen = data;

	if (seen->n < 64)
		seen->flows[seen->n++] = *flow;
	if (seen->delete_all)
		assert_int_equal(conntrack_delete(seen->conntrack, flow, NULL), 0);
	return seen->stop_with;
}

static size_t see_all(struct seen *seen)
{
	struct error error = { 0 };

	seen->n = 0;
	if (conntrack_each(seen->conntrack, see_flow, seen, &error) < 0)
		fail_msg("%s", error.text);
	return seen->n;
}

static const struct flow *seen_flow(const struct seen *seen, uint8_t proto, const char *to, uint16_t port)
{
	struct addr addr = address(to);

	for (size_t i = 0; i < seen->n; i++)
		if (seen->flows[i].proto == proto && addr_compare(&seen->flows[i].to, &addr) == 0 &&
		    seen->flows[i].to_port == port)
			return &seen->flows[i];
	return NULL;
}

#define ECHO_REQUEST "\x08\x00\xf7\x70\x12\x34\x00\x01" /* id 0x1234, with its checksum filled in */
#define ECHO_REQUEST6 "\x80\x00\x00\x00\x12\x34\x00\x01"

static void test_conntrack(void **state)
{
	struct seen seen = { 0 };
	const struct flow *flow;
	struct flow gone;
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_port = htons(7001),
				    .sin_addr.s_addr = htonl(0x7f000001) };
	struct addr six = address("::1"), other = address("10.9.9.7");
	uint8_t echo[8];
	uint16_t checksum = htons((uint16_t) ~(0x0800 + 0x1234 + 1));
	int listener, client;

	(void)state;
	RUN("nft -f - <<'E'\n"
	    "table inet t { chain o { type filter hook output priority 0; ct state new accept\n}\n}\n"
	    "table inet z { chain r { type filter hook output priority -300; udp dport 7005 ct zone set 5\n}\n}\n"
	    "table ip n { chain o { type nat hook output priority -100; udp dport 7002 dnat to 127.0.0.1:7003\n"
	    "udp dport 7006 dnat to 10.9.9.7\n}\n}\n"
	    "E");
	RUN("ip addr add 10.9.9.9/32 dev lo && ip addr add 10.9.9.8/32 dev lo && ip addr add 10.9.9.7/32 dev lo");
	assert_int_equal(conntrack_open(&seen.conntrack, NULL), 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&here, sizeof(here)), 0);
	assert_int_equal(listen(listener, 1), 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&here, sizeof(here)), 0);
	memcpy(echo, ECHO_REQUEST, sizeof(echo));
	memcpy(echo + 2, &checksum, sizeof(checksum));
	send_raw("127.0.0.1", SOCK_RAW, IPPROTO_ICMP, 0, echo, sizeof(echo));
	send_raw("::1", SOCK_RAW, IPPROTO_ICMPV6, 0, ECHO_REQUEST6, sizeof(echo));
	send_udp("10.9.9.9", 7002);
	send_udp("10.9.9.8", 7006);
	send_udp("::1", 7004);
	send_udp("127.0.0.1", 7005);
	send_raw("127.0.0.1", SOCK_RAW, 253, 0, "hello", 5);
	send_raw("127.0.0.1", SOCK_RAW, IPPROTO_GRE, 0, "\0\0\x08\0", 4);

	assert_true(see_all(&seen) >= 8);
	flow = seen_flow(&seen, IPPROTO_TCP, "127.0.0.1", 7001);
	assert_non_null(flow);
	assert_int_equal(flow->tcp_state, 3); /* established */
	assert_true(flow->status & IPS_ASSURED || flow->status & IPS_SEEN_REPLY);
	assert_int_equal(flow->reply_from_port, 7001);
	assert_int_equal(flow->reply_to_port, flow->from_port);
	flow = seen_flow(&seen, IPPROTO_UDP, "10.9.9.9", 7002);
	assert_non_null(flow);
	assert_int_equal(flow->reply_from.bytes[0], 127);
	assert_int_equal(flow->reply_from_port, 7003);
	assert_true(flow->status & IPS_DST_NAT);
	flow = seen_flow(&seen, IPPROTO_ICMP, "127.0.0.1", 0);
	assert_non_null(flow);
	assert_int_equal(flow->icmp_id, 0x1234);
	assert_int_equal(flow->icmp_type, 8);
	assert_non_null(seen_flow(&seen, IPPROTO_ICMPV6, "::1", 0));
	assert_non_null(seen_flow(&seen, IPPROTO_UDP, "::1", 7004));
	assert_non_null(seen_flow(&seen, 253, "127.0.0.1", 0));
	assert_non_null(seen_flow(&seen, IPPROTO_GRE, "127.0.0.1", 0));
	flow = seen_flow(&seen, IPPROTO_UDP, "127.0.0.1", 7005);
	assert_non_null(flow);
	assert_int_equal(flow->zone, 5);

	/* Of one address: what it opened, and what it answers after DNAT. */
	seen.n = 0;
	assert_int_equal(conntrack_each_of(seen.conntrack, &(struct addr){ 0 }, 1, see_flow, &seen, NULL), -EINVAL);
	assert_int_equal(conntrack_each_of(seen.conntrack, &six, 1, see_flow, &seen, NULL), 0);
	assert_non_null(seen_flow(&seen, IPPROTO_UDP, "::1", 7004));
	assert_null(seen_flow(&seen, IPPROTO_TCP, "127.0.0.1", 7001));
	seen.n = 0;
	assert_int_equal(conntrack_each_of(seen.conntrack, &other, 1, see_flow, &seen, NULL), 0);
	assert_int_equal(seen.n, 1);
	assert_non_null(seen_flow(&seen, IPPROTO_UDP, "10.9.9.8", 7006));
	see_all(&seen);

	/* One goes, twice: the second time it is no error. Another flow of the same tuple would stay. */
	gone = *seen_flow(&seen, IPPROTO_UDP, "::1", 7004);
	gone.id++;
	assert_int_equal(conntrack_delete(seen.conntrack, &gone, NULL), 0);
	see_all(&seen);
	assert_non_null(seen_flow(&seen, IPPROTO_UDP, "::1", 7004));
	gone.id--;
	assert_int_equal(conntrack_delete(seen.conntrack, &gone, NULL), 0);
	assert_int_equal(conntrack_delete(seen.conntrack, &gone, NULL), 0);
	see_all(&seen);
	assert_null(seen_flow(&seen, IPPROTO_UDP, "::1", 7004));

	/* A stop is handed back, and the next walk starts afresh. */
	seen.stop_with = -ECANCELED;
	seen.n = 0;
	assert_int_equal(conntrack_each(seen.conntrack, see_flow, &seen, NULL), -ECANCELED);
	assert_int_equal(seen.n, 1);
	seen.stop_with = 0;

	/* All go, of every protocol, while they are walked. */
	seen.delete_all = true;
	assert_true(see_all(&seen) >= 7);
	seen.delete_all = false;
	assert_int_equal(see_all(&seen), 0);
	close(client);
	close(listener);
	assert_null(conntrack_close(seen.conntrack));
}

/* One from before it was tracked, made known twice. */
static void test_conntrack_create(void **state)
{
	struct seen seen = { 0 };
	const struct flow *flow;
	struct flow made;

	assert_int_equal(conntrack_open(&seen.conntrack, NULL), 0);
	made = (struct flow){ .proto = IPPROTO_TCP,
			      .from = address("10.9.9.9"),
			      .to = address("10.9.9.8"),
			      .from_port = 40001,
			      .to_port = 22 };
	assert_int_equal(conntrack_create_tcp(seen.conntrack, &made, NULL), 0);
	assert_int_equal(conntrack_create_tcp(seen.conntrack, &made, NULL), 0);
	assert_int_equal(see_all(&seen), 1);
	flow = seen_flow(&seen, IPPROTO_TCP, "10.9.9.8", 22);
	assert_non_null(flow);
	assert_int_equal(flow->tcp_state, 3);
	assert_int_equal(flow->reply_from_port, 22);
	assert_int_equal(flow->reply_to_port, 40001);
	assert_false(flow->status & IPS_ASSURED);
	made.from = address("2001:db8::1");
	made.to = address("2001:db8::2");
	assert_int_equal(conntrack_create_tcp(seen.conntrack, &made, NULL), 0);
	assert_int_equal(conntrack_make_liberal(seen.conntrack, &made, NULL), 0);
	made.from_port++; /* that one is not there */
	assert_int_equal(conntrack_make_liberal(seen.conntrack, &made, NULL), 0);
	assert_int_equal(see_all(&seen), 2);
	assert_int_equal(seen_flow(&seen, IPPROTO_TCP, "2001:db8::2", 22)->tcp_state, 3);
	assert_null(conntrack_close(seen.conntrack));
}

static int count_flow(const struct flow *flow, void *data)
{
	struct seen *seen = data;

	seen->n++;
	return seen->delete_all ? conntrack_delete(seen->conntrack, flow, NULL) : 0;
}

static void test_conntrack_of_many_flows(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	RUN("nft 'add table inet t; add chain inet t o { type filter hook output priority 0; };"
	    " add rule inet t o ct state new accept'");
	assert_int_equal(conntrack_open(&seen.conntrack, NULL), 0);
	for (int i = 0; i < 3000; i++)
		send_udp("127.0.0.1", (uint16_t)(20000 + i));
	assert_int_equal(conntrack_each(seen.conntrack, count_flow, &seen, NULL), 0);
	assert_true(seen.n >= 3000);
	seen.delete_all = true;
	assert_int_equal(conntrack_each(seen.conntrack, count_flow, &seen, NULL), 0);
	seen.delete_all = false;
	seen.n = 0;
	assert_int_equal(conntrack_each(seen.conntrack, count_flow, &seen, NULL), 0);
	assert_int_equal(seen.n, 0);
	conntrack_close(seen.conntrack);
}

struct drops {
	struct drop drops[200];
	size_t n;
};

static void see_drop(const struct drop *drop, void *data)
{
	struct drops *drops = data;

	if (drops->n < 200)
		drops->drops[drops->n++] = *drop;
}

static void follow_drops(struct droplog *droplog)
{
	struct pollfd poll_fd = { .fd = droplog_fd(droplog), .events = POLLIN };

	while (poll(&poll_fd, 1, 300) > 0)
		assert_int_equal(droplog_read(droplog), 0);
}

static void test_droplog(void **state)
{
	struct drops drops = { 0 };
	struct droplog *droplog, *second;
	struct error error = { 0 };
	const struct drop *drop = drops.drops;

	(void)state;
	RUN("nft -f - <<'E'\n"
	    "table inet t {\n"
	    "chain o { type filter hook output priority 0; udp dport 7100 log prefix \"spr:no-grant\" group 157 drop\n"
	    "meta l4proto { icmp, icmpv6 } log prefix \"spr:spoofed\" group 157 drop\n}\n"
	    "chain i { type filter hook input priority 0;\n"
	    "udp dport 7101 log prefix \"spr:a-reason-that-is-far-too-long-for-it\" group 157 drop\n}\n"
	    "}\nE");
	assert_int_equal(droplog_open(157, see_drop, &drops, &droplog, &error), 0);
	assert_int_equal(droplog_open(157, see_drop, &drops, &second, &error), -EPERM);
	assert_non_null(strstr(error.text, "157"));
	send_udp("127.0.0.1", 7100);
	send_udp("::1", 7100);
	send_raw("127.0.0.1", SOCK_RAW, IPPROTO_ICMP, 0, ECHO_REQUEST, 8);
	send_raw("::1", SOCK_RAW, IPPROTO_ICMPV6, 0, ECHO_REQUEST6, 8);
	send_udp("127.0.0.1", 7101);
	follow_drops(droplog);
	assert_int_equal(drops.n, 5);

	assert_string_equal(drop[0].reason, "no-grant");
	assert_int_equal(drop[0].out, 1);
	assert_int_equal(drop[0].in, 0);
	assert_int_equal(drop[0].from.family, AF_INET);
	assert_int_equal(drop[0].to.bytes[0], 127);
	assert_int_equal(drop[0].proto, IPPROTO_UDP);
	assert_true(drop[0].has_ports);
	assert_int_equal(drop[0].to_port, 7100);
	assert_true(drop[0].time.tv_sec > 1000000000 && drop[0].time.tv_sec - time(NULL) < 10);
	assert_int_equal(drop[1].to.family, AF_INET6);
	assert_int_equal(drop[1].to_port, 7100);
	assert_string_equal(drop[2].reason, "spoofed");
	assert_int_equal(drop[2].icmp_type, 8);
	assert_false(drop[2].has_ports);
	assert_int_equal(drop[3].proto, IPPROTO_ICMPV6);
	assert_int_equal(drop[3].icmp_type, 128);
	assert_int_equal(drop[4].in, 1);
	assert_string_equal(drop[4].reason, "a-reason-that-is-far-too-long-f");

	/* Fragments: the first one has ports, the others are seen. */
	drops.n = 0;
	RUN("nft 'flush ruleset; add table netdev n; add chain netdev n i { type filter hook ingress device lo priority 0; };"
	    " add rule netdev n i ip frag-off & 0x3fff != 0 log prefix \"spr:frag\" group 157 drop'");
	send_raw("127.0.0.1", SOCK_DGRAM, IPPROTO_UDP, 7102, memset((char[65000]){ 0 }, 1, 65000), 65000);
	follow_drops(droplog);
	assert_true(drops.n <= 1); /* loopback's MTU is 65536: one packet, or none when it is not cut */

	/* More than the socket takes: some are lost, it goes on. */
	RUN("nft 'flush ruleset; add table inet t; add chain inet t o { type filter hook output priority 0; };"
	    " add rule inet t o udp dport 7100 log prefix \"spr:flood\" group 157 drop'");
	drops.n = 0;
	for (int i = 0; i < 20000; i++)
		send_udp("127.0.0.1", 7100);
	follow_drops(droplog);
	assert_int_equal(drops.n, 200);
	drops.n = 0;
	send_udp("::1", 7100);
	follow_drops(droplog);
	assert_int_equal(drops.n, 1);
	assert_string_equal(drop[0].reason, "flood");
	assert_null(droplog_close(droplog));
	assert_int_equal(droplog_open(157, see_drop, &drops, &droplog, NULL), 0); /* the group is free again */
	droplog_close(droplog);
}

static void test_sysctl(void **state)
{
	char value[16], small[2];

	(void)state;
	assert_int_equal(sysctl_write("net/ipv4/ip_forward", "0"), 0);
	assert_int_equal(sysctl_read("net/ipv4/ip_forward", value, sizeof(value)), 0);
	assert_string_equal(value, "0");
	assert_int_equal(sysctl_write("net.ipv4.ip_forward", "1"), 0);
	assert_int_equal(sysctl_read("net.ipv4.ip_forward", value, sizeof(value)), 0);
	assert_string_equal(value, "1");
	assert_int_equal(sysctl_read("net/ipv4/tcp_rmem", small, sizeof(small)), -ENOBUFS);
	assert_int_equal(sysctl_read("net/ipv4/there_is_none", value, sizeof(value)), -ENOENT);
	assert_int_equal(sysctl_read("kernel/hostname", value, sizeof(value)), -EINVAL);
	assert_int_equal(sysctl_read("net/../kernel/hostname", value, sizeof(value)), -EINVAL);
	assert_int_equal(sysctl_read("net//ipv4/ip_forward", value, sizeof(value)), -EINVAL);
	assert_int_equal(sysctl_read("/net/ipv4/ip_forward", value, sizeof(value)), -EINVAL);
	assert_int_equal(sysctl_read("net/ipv4/", value, sizeof(value)), -EINVAL);
	assert_int_equal(sysctl_read("net/", value, sizeof(value)), -EINVAL);
	assert_int_equal(sysctl_read("net", value, sizeof(value)), -EINVAL);
	assert_int_equal(sysctl_read("", value, sizeof(value)), -EINVAL);
	RUN("ip link add a.b type veth peer name c");
	assert_int_equal(sysctl_write("net/ipv4/conf/a.b/rp_filter", "1"), 0);
	assert_int_equal(sysctl_read("net/ipv4/conf/a.b/rp_filter", value, sizeof(value)), 0);
	assert_string_equal(value, "1");
	assert_true(sysctl_write("net/ipv4/ip_forward", "many") < 0);
}

static void test_features(void **state)
{
	(void)state;
	assert_true(feature_conntrack());
	assert_true(feature_ipv6());
	if (sysctl_write("net/bridge/bridge-nf-call-iptables", "0") == -ENOENT) {
		assert_false(feature_bridge_netfilter());
		return;
	}
	sysctl_write("net/bridge/bridge-nf-call-ip6tables", "0");
	assert_false(feature_bridge_netfilter());
	sysctl_write("net/bridge/bridge-nf-call-ip6tables", "1");
	assert_true(feature_bridge_netfilter());
	sysctl_write("net/bridge/bridge-nf-call-iptables", "1");
	assert_true(feature_bridge_netfilter());
}

static void test_resolver_behind_a_stub(void **state)
{
	struct addr addr, wanted = address("192.168.1.1");

	(void)state;
	RUN("mount -t tmpfs none /mnt && echo nameserver 127.0.0.53 > /mnt/stub &&"
	    " { echo nameserver 127.0.0.1; echo nameserver 192.168.1.1; } > /mnt/real && touch /mnt/none &&"
	    " mount --bind /mnt/stub \"$(readlink -f /etc/resolv.conf)\" && mkdir -p /run/systemd &&"
	    " mount -t tmpfs none /run/systemd && mkdir -p /run/systemd/resolve");
	assert_int_equal(resolv_read("/etc/resolv.conf", &addr), -ENOENT);
	RUN("cp /mnt/real /run/systemd/resolve/resolv.conf");
	assert_int_equal(resolv_read("/etc/resolv.conf", &addr), 0);
	assert_int_equal(addr_compare(&addr, &wanted), 0);
	assert_int_equal(resolv_read("/mnt/stub", &addr), -ENOENT); /* another file is taken as it is */
	RUN("mount --bind /mnt/none \"$(readlink -f /etc/resolv.conf)\"");
	assert_int_equal(resolv_read("/etc/resolv.conf", &addr), -ENOENT);
	RUN("umount \"$(readlink -f /etc/resolv.conf)\"; umount \"$(readlink -f /etc/resolv.conf)\";"
	    " umount /run/systemd; umount /mnt");
}

static void test_descriptors_are_not_inherited(void **state)
{
	struct world world = world_open();
	struct conntrack *conntrack;
	struct droplog *droplog;
	struct drops drops = { 0 };
	struct dirent *entry;
	int found = 0;
	DIR *directory;

	(void)state;
	assert_int_equal(conntrack_open(&conntrack, NULL), 0);
	assert_int_equal(droplog_open(158, see_drop, &drops, &droplog, NULL), 0);
	directory = opendir("/proc/self/fd");
	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		char link[256] = "";

		if (readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1) < 0 ||
		    atoi(entry->d_name) < 3 || (!strstr(link, "socket:") && !strstr(link, "anon_inode:")))
			continue;
		found++;
		assert_true(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC);
	}
	closedir(directory);
	assert_true(found >= 6);
	droplog_close(droplog);
	conntrack_close(conntrack);
	world_close(&world);
}

#define TEST(name) cmocka_unit_test_setup(name, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_links_are_there_at_open),
		TEST(test_links_are_followed),
		TEST(test_a_port_joins_and_leaves_a_bridge),
		TEST(test_what_does_not_matter_is_no_change),
		TEST(test_peer_addresses),
		TEST(test_routes_of_every_shape),
		TEST(test_routes_by_nexthop_objects),
		TEST(test_a_link_moves_to_another_namespace),
		TEST(test_500_links_at_once),
		TEST(test_links_that_come_and_go_while_read),
		TEST(test_routes_of_ours),
		TEST(test_conntrack),
		TEST(test_conntrack_create),
		TEST(test_conntrack_of_many_flows),
		TEST(test_droplog),
		TEST(test_sysctl),
		TEST(test_features),
		TEST(test_resolver_behind_a_stub),
		TEST(test_descriptors_are_not_inherited),
	};

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "skipped: cannot make namespaces: %s\n", strerror(errno));
		return 77;
	}
	if (run("ip -V >/dev/null 2>&1 && nft --version >/dev/null 2>&1") != 0) {
		fprintf(stderr, "skipped: ip and nft are needed\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
