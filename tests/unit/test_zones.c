/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slices of the address space: disjoint, complete, the deepest layer of a kind decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "policy/policy.h"
#include "verdict/zones.h"
#include "world.h"

#define INTERNET (1u << ZONE_INTERNET)
#define UPSTREAM (1u << ZONE_UPSTREAM)
#define LAN (1u << ZONE_LAN)

static uint64_t seed = 88172645463325252u;

static unsigned random_below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 20) % n;
}

/* What holds at an address, by looking at every layer: the longest of a kind; equal ones together. */
static struct slice slow(const struct layer *layers, size_t n, const struct addr *addr)
{
	struct slice found = { 0 };
	int member = -1, zones = -1;

	for (size_t i = 0; i < n; i++) {
		int length = layers[i].prefix.length;

		if (!prefix_contains(&layers[i].prefix, addr))
			continue;
		if (layers[i].kind == LAYER_MEMBER && length > member) {
			member = length;
			found.member = layers[i].member;
		} else if (layers[i].kind == LAYER_RESOLVER) {
			found.resolver = true;
		} else if (layers[i].kind == LAYER_ZONES && length > zones) {
			zones = length;
			found.zones = layers[i].zones;
		} else if (layers[i].kind == LAYER_ZONES && length == zones) {
			found.zones |= layers[i].zones;
		}
	}
	if (found.zones & (UPSTREAM | LAN))
		found.zones &= ~INTERNET;
	return found;
}

static const struct slice *slice_at(const struct slice *slices, size_t n, const struct addr *addr)
{
	const struct slice *found = NULL;

	for (size_t i = 0; i < n; i++)
		if (range_contains(&slices[i].range, addr)) {
			assert_null(found); /* disjoint */
			found = &slices[i];
		}
	return found;
}

static void check_at(const struct layer *layers, size_t n, const struct slice *slices, size_t n_slices,
		     const struct addr *addr)
{
	static const struct slice nothing;
	struct slice right = slow(layers, n, addr);
	const struct slice *found = slice_at(slices, n_slices, addr);

	if (!found)
		found = &nothing;
	assert_int_equal(found->zones, right.zones);
	assert_ptr_equal(found->member, right.member);
	assert_int_equal(found->resolver, right.resolver);
}

/* At the ends of every layer and slice, and one beside. */
static void check_all(struct layer *layers, size_t n)
{
	struct slice *slices = NULL;
	size_t n_slices = 0;

	assert_int_equal(layers_slice(layers, n, &slices, &n_slices), 0);
	for (size_t i = 0; i < n + n_slices; i++) {
		struct range range = i < n ? prefix_range(&layers[i].prefix) : slices[i - n].range;
		struct addr below = range.first, above = range.last;

		assert_true(addr_compare(&range.first, &range.last) <= 0);
		check_at(layers, n, slices, n_slices, &range.first);
		check_at(layers, n, slices, n_slices, &range.last);
		if (addr_previous(&below))
			check_at(layers, n, slices, n_slices, &below);
		if (addr_next(&above))
			check_at(layers, n, slices, n_slices, &above);
	}
	for (size_t i = 1; i < n_slices; i++)
		assert_true(addr_compare(&slices[i - 1].range.last, &slices[i].range.first) < 0);
	free(slices);
}

static const struct member members[4];

/* Small corners of the address space, so that layers meet; now and then its very ends. */
static struct layer random_layer(void)
{
	static const unsigned zones[] = { INTERNET, UPSTREAM, LAN, UPSTREAM | LAN };
	struct layer layer = { .prefix.addr.family = random_below(2) ? AF_INET : AF_INET6 };
	uint8_t bits = addr_bits(layer.prefix.addr.family);
	size_t size = addr_size(layer.prefix.addr.family);

	for (size_t i = 0; i < size; i++)
		layer.prefix.addr.bytes[i] = random_below(3) == 0 ? 0xff : 0;
	layer.prefix.addr.bytes[size - 1] = (uint8_t)random_below(256);
	layer.prefix.length = random_below(3) ? (uint8_t)(bits - random_below(9)) : (uint8_t)random_below(bits + 1u);
	layer.kind = random_below(10) < 6 ? LAYER_ZONES : random_below(5) ? LAYER_MEMBER : LAYER_RESOLVER;
	layer.prefix.addr = prefix_range(&layer.prefix).first;
	layer.zones = layer.kind == LAYER_ZONES ? zones[random_below(4)] : 0;
	layer.member = layer.kind == LAYER_MEMBER ? &members[random_below(4)] : NULL;
	return layer;
}

/* Two members never have the same range; the resolver is one address. */
static bool is_legal(const struct layer *layers, size_t n, const struct layer *layer)
{
	if (layer->kind == LAYER_RESOLVER && layer->prefix.length != addr_bits(layer->prefix.addr.family))
		return false;
	for (size_t i = 0; i < n; i++)
		if (layer->kind == LAYER_MEMBER && layers[i].kind == LAYER_MEMBER &&
		    layers[i].prefix.length == layer->prefix.length &&
		    addr_compare(&layers[i].prefix.addr, &layer->prefix.addr) == 0)
			return false;
	return true;
}

static void test_random(void **state)
{
	for (unsigned round = 0; round < 3000; round++) {
		struct layer layers[24];
		size_t n = 0, wanted = random_below(24);

		while (n < wanted) {
			layers[n] = random_layer();
			if (is_legal(layers, n, &layers[n]))
				n++;
		}
		check_all(layers, n);
	}
}

static void test_nothing(void **state)
{
	struct slice *slices = NULL;
	size_t n = 1;

	assert_int_equal(layers_slice(NULL, 0, &slices, &n), 0);
	assert_int_equal(n, 0);
	free(slices);
}

static unsigned zones_at(struct layer *layers, size_t n, const char *text)
{
	struct slice *slices = NULL;
	const struct slice *slice;
	size_t n_slices = 0;
	struct addr addr;
	unsigned zones;

	assert_int_equal(addr_parse(text, &addr), 0);
	assert_int_equal(layers_slice(layers, n, &slices, &n_slices), 0);
	slice = slice_at(slices, n_slices, &addr);
	zones = slice ? slice->zones : 0;
	free(slices);
	return zones;
}

static const char machine[] = "interface eth0 60.1.0.2/24 2600:99::2/64 169.254.7.7/16\n"
			      "route default eth0 60.1.0.1\n"
			      "interface lan0 192.168.77.1/24 61.0.0.1/24\n"
			      "route 63.0.0.0/8 lan0\n"
			      "route 0.0.0.0/1 tun0\n";

struct zone_row {
	const char *addr;
	unsigned plain, with_lan;
};

static void test_uplink(void **state)
{
	static const struct zone_row rows[] = {
		{ "8.8.8.8", INTERNET, INTERNET },
		{ "60.1.0.7", UPSTREAM, UPSTREAM | LAN },
		{ "60.1.0.1", UPSTREAM, UPSTREAM },
		{ "60.1.1.1", INTERNET, INTERNET },
		{ "61.0.0.7", UPSTREAM, UPSTREAM },
		{ "63.1.1.1", UPSTREAM, UPSTREAM },
		{ "64.0.0.0", INTERNET, INTERNET },
		{ "10.0.0.1", UPSTREAM, UPSTREAM },
		{ "11.0.0.1", INTERNET, INTERNET },
		{ "100.64.0.0", UPSTREAM, UPSTREAM },
		{ "100.63.255.255", INTERNET, INTERNET },
		{ "100.128.0.0", INTERNET, INTERNET },
		{ "172.32.0.0", INTERNET, INTERNET },
		{ "224.0.0.1", UPSTREAM, UPSTREAM },
		{ "255.255.255.255", UPSTREAM, UPSTREAM },
		{ "223.255.255.255", INTERNET, INTERNET },
		{ "0.0.0.0", UPSTREAM, UPSTREAM },
		{ "169.254.1.1", UPSTREAM, UPSTREAM },
		{ "2600:99::7", UPSTREAM, UPSTREAM | LAN },
		{ "2600:98::7", INTERNET, INTERNET },
		{ "2001::1", UPSTREAM, UPSTREAM },
		{ "2001:200::1", INTERNET, INTERNET },
		{ "2002::1", UPSTREAM, UPSTREAM },
		{ "fd00::1", UPSTREAM, UPSTREAM },
		{ "::1", UPSTREAM, UPSTREAM },
		{ "4000::", UPSTREAM, UPSTREAM },
		{ "3ffe::1", INTERNET, INTERNET },
		{ "64:ff9b::1", UPSTREAM, UPSTREAM },
	};
	_cleanup_(inventory_freep) struct inventory *inventory = NULL;
	char text[512];

	/* the tun is only there for its short route, which is nobody's own range */
	snprintf(text, sizeof(text), "interface tun0\n%s", machine);
	inventory = world_inventory(text);
	for (int lan_too = 0; lan_too < 2; lan_too++) {
		struct layer *layers = NULL;
		size_t n = 0;

		assert_int_equal(zones_of_uplink(inventory, inventory_interface_named(inventory, "eth0"), lan_too,
						 &layers, &n),
				 0);
		check_all(layers, n);
		for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
			unsigned right = lan_too ? rows[i].with_lan : rows[i].plain;
			unsigned zones = zones_at(layers, n, rows[i].addr);

			if (zones != right)
				fail_msg("%s: %x, not %x", rows[i].addr, zones, right);
		}
		free(layers);
	}
}

static void test_lan(void **state)
{
	static const struct {
		const char *addr;
		unsigned zones;
	} rows[] = { { "192.168.77.9", LAN }, { "61.0.0.9", LAN }, { "63.9.9.9", LAN },
		     { "192.168.78.9", 0 },   { "8.8.8.8", 0 },	   { "fd00::1", 0 } };
	_cleanup_(inventory_freep) struct inventory *inventory = NULL;
	_cleanup_free_ struct layer *layers = NULL;
	char text[512];
	size_t n = 0;

	snprintf(text, sizeof(text), "interface tun0\n%s", machine);
	inventory = world_inventory(text);
	assert_int_equal(zones_of_lan(inventory, inventory_interface_named(inventory, "lan0"), &layers, &n), 0);
	for (size_t i = 0; i < ELEMENTSOF(rows); i++)
		assert_int_equal(zones_at(layers, n, rows[i].addr), rows[i].zones);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_uplink),
		cmocka_unit_test(test_lan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
