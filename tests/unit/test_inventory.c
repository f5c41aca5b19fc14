/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/spots.h"
#include "inventory/inventory.h"

static char *number_text(const char *prefix, unsigned number)
{
	char text[80];

	snprintf(text, sizeof(text), "%s-%060u", prefix, number);
	return strdup(text);
}

static struct addr address4(unsigned number)
{
	return (struct addr){ AF_INET, { 10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number } };
}

static struct addr address6(unsigned number)
{
	return (struct addr){ AF_INET6, { 0xfd, [14] = (uint8_t)(number >> 8), [15] = (uint8_t)number } };
}

static void put_network(struct inventory *inventory, const char *engine, unsigned number)
{
	struct network network = { .engine = engine, .id = number_text("net", number) };

	network.name = strdup("name");
	network.driver = strdup("bridge");
	assert_int_equal(inventory_put_network(inventory, &network), 0);
	assert_null(network.id);
}

static void put_container(struct inventory *inventory, unsigned number, const char *name)
{
	struct container container = { .engine = "docker", .id = number_text("con", number) };

	container.name = strdup(name);
	container.image = strdup("image");
	assert_int_equal(inventory_put_container(inventory, &container), 0);
}

static void put_endpoint(struct inventory *inventory, unsigned network, unsigned container, unsigned v4, unsigned v6)
{
	struct endpoint endpoint = { .network = number_text("net", network),
				     .container = number_text("con", container) };

	endpoint.name = strdup("");
	if (v4)
		endpoint.ip4 = address4(v4);
	if (v6)
		endpoint.ip6 = address6(v6);
	assert_int_equal(inventory_put_endpoint(inventory, &endpoint), 0);
	assert_null(endpoint.network);
}

static struct endpoint *find_endpoint(const struct inventory *inventory, unsigned network, struct addr address)
{
	_cleanup_free_ char *id = number_text("net", network);

	return inventory_endpoint(inventory, id, &address);
}

static void puts_replace(void **state)
{
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	struct interface interface = { .name = "eth0", .index = 2 };
	_cleanup_free_ char *id = number_text("con", 7);

	assert_int_equal(inventory_put_interface(inventory, &interface), 0);
	interface = (struct interface){ .name = "wan0", .index = 2, .up = true };
	assert_int_equal(inventory_put_interface(inventory, &interface), 0);
	assert_int_equal(inventory->n_interfaces, 1);
	assert_true(inventory_interface(inventory, 2)->up);
	assert_null(inventory_interface(inventory, 3));
	assert_ptr_equal(inventory_interface_named(inventory, "wan0"), inventory_interface(inventory, 2));
	assert_null(inventory_interface_named(inventory, "eth0"));
	inventory_drop_interface(inventory, 3);
	inventory_drop_interface(inventory, 2);
	assert_int_equal(inventory->n_interfaces, 0);

	put_container(inventory, 7, "old");
	put_container(inventory, 8, "other");
	put_container(inventory, 7, "new");
	assert_int_equal(inventory->n_containers, 2);
	assert_string_equal(inventory_container(inventory, id)->name, "new");
	inventory_drop_container(inventory, "podman", id);
	assert_non_null(inventory_container(inventory, id));
	inventory_drop_container(inventory, "docker", id);
	assert_null(inventory_container(inventory, id));
	inventory_drop_container(inventory, "docker", NULL);
	assert_int_equal(inventory->n_containers, 0);
}

static void endpoint_keys_are_addresses(void **state)
{
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	_cleanup_free_ char *net = number_text("net", 1), *con = number_text("con", 1);

	put_endpoint(inventory, 1, 1, 11, 0);
	put_endpoint(inventory, 1, 2, 12, 12);
	put_endpoint(inventory, 2, 1, 11, 0); /* the same address in another network */
	assert_int_equal(inventory->n_endpoints, 3);
	put_endpoint(inventory, 1, 3, 11, 12); /* takes over from two */
	assert_int_equal(inventory->n_endpoints, 2);
	assert_ptr_equal(find_endpoint(inventory, 1, address4(11)), find_endpoint(inventory, 1, address6(12)));
	assert_null(find_endpoint(inventory, 1, address4(12)));
	put_endpoint(inventory, 1, 4, 0, 0);
	put_endpoint(inventory, 1, 4, 0, 0); /* without an address: the same container */
	put_endpoint(inventory, 1, 5, 0, 0);
	assert_int_equal(inventory->n_endpoints, 4);
	assert_null(find_endpoint(inventory, 1, (struct addr){ 0 }));
	inventory_drop_endpoints(inventory, net, con);
	assert_int_equal(inventory->n_endpoints, 4);
	inventory_drop_endpoints(inventory, NULL, con);
	assert_int_equal(inventory->n_endpoints, 3);
	inventory_drop_endpoints(inventory, net, NULL);
	assert_int_equal(inventory->n_endpoints, 0);
}

static void networks_take_endpoints_along(void **state)
{
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	_cleanup_free_ char *one = number_text("net", 1);

	put_network(inventory, "docker", 1);
	put_network(inventory, "docker", 2);
	put_network(inventory, "podman", 3);
	for (unsigned i = 1; i <= 3; i++)
		put_endpoint(inventory, i, i, i, 0);
	inventory_drop_network(inventory, "podman", one);
	assert_int_equal(inventory->n_networks, 3);
	inventory_drop_network(inventory, "docker", one);
	assert_int_equal(inventory->n_networks, 2);
	assert_int_equal(inventory->n_endpoints, 2);
	inventory_drop_network(inventory, "docker", NULL);
	assert_int_equal(inventory->n_networks, 1);
	assert_int_equal(inventory->n_endpoints, 1);
	assert_non_null(find_endpoint(inventory, 3, address4(3)));
}

/* Arrays that others filled, and an inventory without an index, are looked up all the same. */
static void other_hands(void **state)
{
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	_cleanup_free_ char *id = number_text("con", 1);
	struct interface *interface;
	struct inventory bare = { 0 };

	assert_null(inventory_interface(inventory, 5));
	interface = ARRAY_ADD(inventory->interfaces, inventory->n_interfaces);
	*interface = (struct interface){ .index = 5 };
	assert_ptr_equal(inventory_interface(inventory, 5), interface);
	inventory->n_interfaces = 0;
	assert_null(inventory_interface(inventory, 5));

	put_container(&bare, 1, "a");
	put_container(&bare, 1, "b");
	assert_int_equal(bare.n_containers, 1);
	assert_string_equal(inventory_container(&bare, id)->name, "b");
	inventory_drop_container(&bare, "docker", id);
	assert_int_equal(bare.n_containers, 0);
	free(bare.containers);
}

/* By their ids, one after the other. */
static const struct container *walk_container(const struct inventory *inventory, const char *id)
{
	for (size_t i = 0; i < inventory->n_containers; i++)
		if (strcmp(inventory->containers[i].id, id) == 0)
			return &inventory->containers[i];
	return NULL;
}

static const struct network *walk_network(const struct inventory *inventory, const char *id)
{
	for (size_t i = 0; i < inventory->n_networks; i++)
		if (strcmp(inventory->networks[i].id, id) == 0)
			return &inventory->networks[i];
	return NULL;
}

static void check_hints(const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_endpoints; i++) {
		struct endpoint *endpoint = &inventory->endpoints[i];

		assert_ptr_equal(inventory_container_of(inventory, endpoint),
				 walk_container(inventory, endpoint->container));
		assert_ptr_equal(inventory_network_of(inventory, endpoint), walk_network(inventory, endpoint->network));
	}
	for (size_t i = 0; i < inventory->n_containers; i++) {
		const char *name = inventory->containers[i].name;

		assert_int_equal(inventory->containers[i].name_hash, spots_hash(name, strlen(name)));
	}
}

/* Whatever comes, goes, is renamed or gets another's place: an endpoint's hints lead to its own container and network. */
static void hints_lead_home(void **state)
{
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();

	srand(11);
	for (unsigned step = 0; step < 20000; step++) {
		/* Now and then anew: the stamps of a copy are small numbers, as those of what it copies are then. */
		if (step % 50 == 0) {
			inventory_free(inventory);
			inventory = inventory_new();
		}
		unsigned what = (unsigned)rand() % 8, net = (unsigned)rand() % 4, con = (unsigned)rand() % 10;
		_cleanup_free_ char *net_id = number_text("net", net), *con_id = number_text("con", con);

		if (what < 3)
			put_endpoint(inventory, net, con, (unsigned)rand() % 20, (unsigned)rand() % 20);
		else if (what < 5)
			put_container(inventory, con, rand() % 2 ? "one" : "another");
		else if (what == 5)
			put_network(inventory, "docker", net);
		else if (what == 6)
			inventory_drop_container(inventory, "docker", con_id);
		else if (step % 4 == 0)
			inventory_drop_network(inventory, "docker", net_id);
		check_hints(inventory);
		if (step % 4 == 0) {
			_cleanup_(inventory_freep) struct inventory *copy = inventory_copy(inventory);

			assert_non_null(copy);
			check_hints(copy);
		}
	}
}

/* With and without an index, the same calls leave the same. */
static void index_agrees(void **state)
{
	_cleanup_(inventory_freep) struct inventory *indexed = inventory_new(), *plain = inventory_new();
	struct inventory *both[] = { indexed, plain };

	free(TAKE_PTR(plain->index));
	srand(7);
	for (unsigned step = 0; step < 4000; step++) {
		unsigned what = (unsigned)rand() % 8, net = (unsigned)rand() % 3, con = (unsigned)rand() % 12;
		unsigned v4 = (unsigned)rand() % 20, v6 = (unsigned)rand() % 20;

		for (size_t i = 0; i < 2; i++) {
			_cleanup_free_ char *net_id = number_text("net", net), *con_id = number_text("con", con);

			if (what < 6)
				put_endpoint(both[i], net, con, v4, what < 3 ? v6 : 0);
			else if (what == 6)
				inventory_drop_endpoints(both[i], net_id, con_id);
			else if (step % 16 == 0)
				inventory_drop_endpoints(both[i], net_id, NULL);
		}
		assert_int_equal(indexed->n_endpoints, plain->n_endpoints);
	}
	for (size_t i = 0; i < plain->n_endpoints; i++) {
		const struct endpoint *endpoint = &plain->endpoints[i];
		const struct addr *address = endpoint->ip4.family ? &endpoint->ip4 : &endpoint->ip6;

		if (address->family)
			assert_true(endpoint_equal(endpoint, inventory_endpoint(indexed, endpoint->network, address)));
	}
}

#define NETS 3
#define NUMBERS 60

static struct endpoint random_endpoint(void)
{
	struct endpoint endpoint = { .network = number_text("net", (unsigned)rand() % NETS),
				     .container = number_text("con", (unsigned)rand() % NUMBERS) };

	endpoint.name = strdup("");
	if (rand() % 4)
		endpoint.ip4 = address4((unsigned)rand() % NUMBERS);
	if (rand() % 2)
		endpoint.ip6 = address6((unsigned)rand() % NUMBERS);
	return endpoint;
}

/* The last one goes, or one more comes that may share a key. */
static void change_by_hand(struct inventory *inventory)
{
	struct endpoint *endpoint;

	if (inventory->n_endpoints > 0 && rand() % 2) {
		endpoint_clear(&inventory->endpoints[--inventory->n_endpoints]);
		return;
	}
	endpoint = ARRAY_ADD(inventory->endpoints, inventory->n_endpoints);
	assert_non_null(endpoint);
	*endpoint = random_endpoint();
}

static struct endpoint *walk(const struct inventory *inventory, unsigned network, struct addr address)
{
	_cleanup_free_ char *id = number_text("net", network);

	for (size_t i = inventory->n_endpoints; i-- > 0;) {
		struct endpoint *endpoint = &inventory->endpoints[i];

		if (strcmp(endpoint->network, id) == 0 &&
		    (addr_compare(&endpoint->ip4, &address) == 0 || addr_compare(&endpoint->ip6, &address) == 0))
			return endpoint;
	}
	return NULL;
}

/* Whatever came, went, moved or was replaced: a look-up finds what a walk does. */
static void look_ups_find_what_is_there(void **state)
{
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	struct endpoint endpoint;

	srand(11);
	for (unsigned step = 0; step < 6000; step++) {
		bool growing = step / 500 % 2 == 0;

		if (rand() % 40 == 0) {
			change_by_hand(inventory);
		} else if (inventory->n_endpoints == 0 || rand() % 8 < (growing ? 6 : 3)) {
			endpoint = random_endpoint();
			assert_int_equal(inventory_put_endpoint(inventory, &endpoint), 0);
		} else {
			inventory_cut_endpoint(inventory, (size_t)rand() % inventory->n_endpoints);
		}
		for (unsigned i = 0; i < (step % 16 ? 1 : NUMBERS); i++) {
			for (unsigned net = 0; net < NETS; net++) {
				assert_ptr_equal(find_endpoint(inventory, net, address4(i)),
						 walk(inventory, net, address4(i)));
				assert_ptr_equal(find_endpoint(inventory, net, address6(i)),
						 walk(inventory, net, address6(i)));
			}
		}
	}
}

#define MANY 10000

static void many_are_fast(void **state)
{
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	struct timespec start, end;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			put_container(inventory, i, "name");
			put_endpoint(inventory, i % 10, i, i + 1, round ? i + 1 : 0);
		}
	}
	for (unsigned i = 0; i < MANY; i++)
		put_endpoint(inventory, 11, i, 0, i + 1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	assert_int_equal(inventory->n_containers, MANY);
	assert_int_equal(inventory->n_endpoints, 2 * MANY);
	print_message("%d puts in %.3f s\n", 5 * MANY, seconds);
	assert_true(seconds < 5); /* quadratic takes far longer, also under a sanitizer */
	inventory_drop_container(inventory, "docker", NULL);
	inventory_drop_endpoints(inventory, NULL, NULL);
	assert_int_equal(inventory->n_containers + inventory->n_endpoints, 0);
}

static void equality(void **state)
{
	struct port_binding port = { .proto = 6, .host_port = 80, .container_port = 80 };
	struct container a = { .name = (char *)"x", .ports = &port, .n_ports = 1 }, b = a;
	struct request wan = { .key = (char *)"policies", .text = (char *)"wan" };
	struct request dns = { .key = (char *)"policies", .text = (char *)"dns" };
	struct network n = { .icc = true }, m = n;

	assert_true(container_equal(&a, &b));
	b.project = (char *)"p";
	assert_false(container_equal(&a, &b));
	b = a;
	b.image_labels = true;
	assert_false(container_equal(&a, &b));
	b = a;
	b.created = 1;
	assert_false(container_equal(&a, &b));
	b = a;
	b.requests = &wan;
	b.n_requests = 1;
	assert_false(container_equal(&a, &b));
	a.requests = &dns;
	a.n_requests = 1;
	assert_false(container_equal(&a, &b));
	wan.text = dns.text;
	assert_true(container_equal(&a, &b));
	wan.image = true;
	assert_false(container_equal(&a, &b));
	b = a;
	b.n_ports = 0;
	assert_false(container_equal(&a, &b));
	b = a;
	b.bindings = &port;
	b.n_bindings = 1;
	assert_false(container_equal(&a, &b));
	a.bindings = &port;
	a.n_bindings = 1;
	assert_true(container_equal(&a, &b));
	assert_true(network_equal(&n, &m));
	strcpy(m.bridge, "br-x");
	assert_false(network_equal(&n, &m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_replace),
		cmocka_unit_test(endpoint_keys_are_addresses),
		cmocka_unit_test(networks_take_endpoints_along),
		cmocka_unit_test(other_hands),
		cmocka_unit_test(hints_lead_home),
		cmocka_unit_test(index_agrees),
		cmocka_unit_test(look_ups_find_what_is_there),
		cmocka_unit_test(many_are_fast),
		cmocka_unit_test(equality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
