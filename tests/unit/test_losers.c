/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose flows a change may have to end: whoever loses something by verdict() is on the list, and the list is short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "ruleset/compile.h"
#include "verdict/question.h"
#include "world.h"

#define NOW 1800000000
#define NETS                                                                                                           \
	"interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\nbridge br-m 172.30.1.1/24\n"                   \
	"network media br-m 172.30.1.0/24\nbridge br-b 172.30.2.1/24\nnetwork back br-b 172.30.2.0/24 noicc\n"         \
	"resolver 192.168.1.1\n"
#define JELLY "container jelly media 172.30.1.10 port=0.0.0.0:8096:80/tcp\n"
#define WEB "container web media 172.30.1.11\n"
#define DB "container db back 172.30.2.10\ncontainer job back 172.30.2.11\n"

static const char *const machines[] = {
	NETS JELLY WEB DB,
	NETS WEB DB,
	NETS JELLY DB,
	NETS JELLY WEB,
	NETS JELLY WEB DB "container new back 172.30.2.12\n",
	NETS "container jelly media 172.30.1.10 port=0.0.0.0:8096:81/tcp\n" WEB DB,
};

static const char *const policies[] = {
	"",
	"containers: [{name: web, policies: [wan]}]",
	"containers: [{name: web, policies: [wan], groups: [g]}, {name: db, policies: [], groups: [g]}]\ngroups: [{name: g}]",
	"containers: [{name: web, policies: [wan], groups: [g]}, {name: db, policies: []}]\ngroups: [{name: g}]",
	"containers: [{name: db, policies: [disabled]}]",
	"containers: [{name: jelly, policies: [wan], publish: [{port: 8096/tcp, to: [lan]}]}]",
	"containers: [{name: jelly, policies: [wan], publish: [{port: 8096/tcp, to: [internet]}]}]",
	"allow: [{from: lan, to: web, ports: [80/tcp]}, {from: db, to: web}]",
	"allow: [{from: lan, to: web}, {from: lan, to: db}]",
	"allow: [{from: lan, to: web}]\nblock: [{from: lan, to: web, ports: [80/tcp]}]",
	"block: [{from: db, to: internet}]",
	"networks: [{name: media, policies: [wan], isolate: true}]",
	"networks: [{name: back, policies: [lan_upstream]}]",
	"rules: [{name: far, interface: eth0, source: 10.1.0.0/16, groups: [g]}]\ngroups: [{name: g}]\ncontainers: [{name: db, policies: [], groups: [g]}]",
	/* a range within a container network, out of which a container takes its address */
	"networks: [{name: back, policies: []}]\nrules: [{name: vms, interface: br-b, source: 172.30.2.0/24, policies: []}]\nallow: [{from: 'rule:vms', to: web, ports: [80/tcp]}, {from: jelly, to: 'rule:vms', ports: [443/tcp]}]",
};

static bool accepts(const struct world *world, const struct location *from, const struct location *to, uint16_t port)
{
	struct end ends[2] = { { .addr = location_address(from) }, { .addr = location_address(to) } };
	struct port_range range = { .proto = IPPROTO_TCP, .first = port, .last = port };
	struct decision decision;
	struct packet packet;

	if (ends[0].addr.family != ends[1].addr.family)
		return false;
	ends[0].location = model_location(world->model, from->interface, &ends[0].addr);
	ends[1].location = model_location(world->model, to->interface, &ends[1].addr);
	if (!ends[0].location || !ends[1].location)
		return false;
	question_packet(world->model, &ends[0], &ends[1], &range, &packet);
	verdict(world->model, &packet, &decision);
	return decision.accept;
}

static bool is_listed(const struct location *location, const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (location->single && addr_compare(&location->range.first, &addrs[i]) == 0)
			return true;
	return false;
}

struct tally {
	size_t changes, lost, listed; /* changes; packets that were accepted; changes with a list */
};

/* Between all places that one of the two models, `model`, has. */
static void check(const struct world *before, const struct world *after, const struct model *model,
		  const struct addr *addrs, size_t n, struct tally *tally)
{
	static const uint16_t ports[] = { 80, 443, 8096 };

	for (size_t i = 0; i < model->n_locations; i++)
		for (size_t k = 0; k < model->n_locations * ELEMENTSOF(ports); k++) {
			const struct location *from = &model->locations[i];
			const struct location *to = &model->locations[k / ELEMENTSOF(ports)];
			uint16_t port = ports[k % ELEMENTSOF(ports)];

			if (!from->interface[0] || !accepts(before, from, to, port) || accepts(after, from, to, port))
				continue;
			tally->lost++;
			if (addrs && !is_listed(from, addrs, n) && !is_listed(to, addrs, n))
				fail_msg("%s to %s lost port %u, and neither is listed", from->interface, to->interface,
					 port);
		}
}

static void look_at(const char *const machine[2], const char *const policy[2], struct tally *tally)
{
	static const struct compile_options options;
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(0);
	struct ruleset *rulesets[2];
	struct world worlds[2];
	struct addr *addrs = NULL;
	struct error error = { 0 };
	size_t n = 0;
	int r;

	for (size_t i = 0; i < 2; i++) {
		worlds[i] = world_new(machine[i], policy[i], book, NOW);
		assert_int_equal(ruleset_compile(worlds[i].model, &options, &rulesets[i], &error), 0);
	}
	assert_int_equal(ruleset_equal(rulesets[0], rulesets[1]), machine[0] == machine[1] && policy[0] == policy[1]);
	assert_true(ruleset_equal(rulesets[0], rulesets[0]));
	r = ruleset_losers(rulesets[0], rulesets[1], &addrs, &n);
	assert_true(r >= 0);
	tally->changes++;
	tally->listed += r;
	if (!ruleset_tightens(rulesets[0], rulesets[1])) {
		size_t before = tally->lost;

		assert_int_equal(n, 0);
		for (size_t i = 0; i < 2; i++)
			check(&worlds[0], &worlds[1], worlds[i].model, NULL, 0, tally);
		assert_int_equal(tally->lost, before);
	}
	for (size_t i = 0; i < 2 && r; i++)
		check(&worlds[0], &worlds[1], worlds[i].model, addrs ? addrs : &(struct addr){ 0 }, n, tally);
	free(addrs);
	for (size_t i = 0; i < 2; i++) {
		ruleset_free(rulesets[i]);
		world_free(&worlds[i]);
	}
}

static void test_all_changes(void **state)
{
	struct tally tally = { 0 };

	for (size_t i = 0; i < ELEMENTSOF(policies); i++)
		for (size_t k = 0; k < ELEMENTSOF(policies); k++)
			look_at((const char *const[]){ machines[0], machines[0] },
				(const char *const[]){ policies[i], policies[k] }, &tally);
	for (size_t i = 0; i < ELEMENTSOF(machines); i++)
		for (size_t k = 0; k < ELEMENTSOF(machines) * ELEMENTSOF(policies); k++)
			look_at((const char *const[]){ machines[i], machines[k / ELEMENTSOF(policies)] },
				(const char *const[]){ policies[k % ELEMENTSOF(policies)],
						       policies[k % ELEMENTSOF(policies)] },
				&tally);
	print_message("%zu changes, %zu of them with a list, %zu packets lost their way\n", tally.changes, tally.listed,
		      tally.lost);
	assert_true(tally.listed > tally.changes / 3 && tally.lost > 1000);
}

/* What people do most: one address is to be looked for, not all connections. */
static void test_short_lists(void **state)
{
	static const struct {
		const char *machine[2];
		size_t policy[2]; /* of policies[] */
		int r;
		size_t n;
	} rows[] = {
		{ { NETS JELLY WEB DB, NETS JELLY DB }, { 0, 0 }, 1, 1 }, /* a container stops */
		{ { NETS JELLY WEB DB, NETS JELLY WEB DB }, { 1, 4 }, 1, 2 },
		{ { NETS JELLY WEB DB, NETS JELLY WEB DB }, { 2, 3 }, 1, 1 }, /* db leaves g */
		{ { NETS JELLY WEB DB, NETS JELLY WEB DB }, { 7, 0 }, 0, 0 }, /* all of lan loses */
		{ { NETS JELLY WEB DB, NETS JELLY WEB DB }, { 0, 10 }, 0, 0 }, /* nor does all of internet reach db */
		{ { NETS JELLY WEB DB, NETS JELLY WEB DB }, { 13, 3 }, 0, 0 }, /* a range goes */
		{ { NETS JELLY WEB DB, NETS JELLY WEB DB }, { 0, 11 }, 0, 0 },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		static const struct compile_options options;
		_cleanup_(class_book_freep) struct class_book *book = class_book_new(0);
		struct ruleset *rulesets[2];
		struct addr *addrs = NULL;
		struct error error = { 0 };
		size_t n = 0;
		int r;

		for (size_t k = 0; k < 2; k++) {
			struct world world = world_new(rows[i].machine[k], policies[rows[i].policy[k]], book, NOW);

			assert_int_equal(ruleset_compile(world.model, &options, &rulesets[k], &error), 0);
			world_free(&world);
		}
		r = ruleset_losers(rulesets[0], rulesets[1], &addrs, &n);
		if (r != rows[i].r || n != rows[i].n)
			fail_msg("row %zu: %d, %zu addresses", i, r, n);
		free(addrs);
		ruleset_free(rulesets[0]);
		ruleset_free(rulesets[1]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_changes),
		cmocka_unit_test(test_short_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
