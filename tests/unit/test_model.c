/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is who: roles, locations, classes and their numbers, and what a change of the policy opens and closes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ruleset/compile.h"
#include "verdict/changes.h"
#include "verdict/question.h"
#include "world.h"

#define NOW 1800000000

static const char machine[] = "interface eth0 192.168.1.5/24 2600:99::2/64\n"
			      "route default eth0 192.168.1.1\n"
			      "wireguard wg0 10.8.0.1/24\n"
			      "tun tailscale0 100.100.0.1/32\n"
			      "tun tun7 10.9.0.1/24\n"
			      "interface spare0\n"
			      "bridge br-m 172.30.1.1/24\n"
			      "bridge br-b 172.30.2.1/24\n"
			      "network media br-m 172.30.1.0/24\n"
			      "network back br-b 172.30.2.0/24\n"
			      "container jelly media 172.30.1.10 port=0.0.0.0:8096:80/tcp\n"
			      "container web media 172.30.1.11\n"
			      "container web back 172.30.2.11\n"
			      "container db back 172.30.2.10\n"
			      "resolver 192.168.1.1\n";

static const struct location *at(const struct world *world, const char *interface, const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return model_location(world->model, interface, &addr);
}

static uint32_t number_at(const struct world *world, const char *interface, const char *text)
{
	const struct location *location = at(world, interface, text);

	assert_non_null(location);
	return world->model->classes[location->class].number;
}

static void test_roles(void **state)
{
	static const struct {
		const char *yaml, *interface;
		enum role role;
	} rows[] = {
		{ "", "eth0", ROLE_UPLINK },
		{ "", "wg0", ROLE_OVERLAY },
		{ "", "tailscale0", ROLE_OVERLAY },
		{ "", "tun7", ROLE_NONE },
		{ "", "spare0", ROLE_NONE },
		{ "", "br-m", ROLE_CONTAINER },
		{ "", "lo", ROLE_NONE },
		{ "", "gone0", ROLE_NONE },
		{ "interfaces: [{name: br-m, role: lan}]", "br-m", ROLE_CONTAINER }, /* an engine's bridge stays so */
		{ "interfaces: [{name: eth0, role: lan}]", "eth0", ROLE_LAN },
		{ "interfaces: [{name: wg0, role: lan}]", "wg0", ROLE_LAN },
		{ "interfaces: [{name: spare0, role: other}]", "spare0", ROLE_OTHER },
		{ "interfaces: [{name: tun7, role: overlay}]", "tun7", ROLE_OVERLAY },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct world world = world_new(machine, rows[i].yaml, NULL, NOW);

		assert_int_equal(model_role(world.model, rows[i].interface), rows[i].role);
		assert_int_equal(world.model->router, strstr(rows[i].yaml, "role: lan") && i != 8);
		world_free(&world);
	}
}

static void test_locations(void **state)
{
	static const char yaml[] =
		"rules:\n- {name: vpn, interface: wg0, source: 10.8.0.0/24}\n"
		"- {name: me, interface: wg0, source: 10.8.0.7}\n- {name: far, interface: gone0, source: 10.5.0.0/16}\n";
	static const struct {
		const char *interface, *addr, *name;
	} rows[] = {
		{ "br-m", "172.30.1.10", "jelly" },
		{ "br-m", "172.30.1.12", NULL },
		{ "br-b", "172.30.2.11", "web" },
		{ "br-b", "172.30.1.10", NULL },
		{ "eth0", "192.168.1.1", "192.168.1.1" },
		{ "eth0", "8.8.8.8", "8.8.8.8" },
		{ "wg0", "10.8.0.6", "rule:vpn" },
		{ "wg0", "10.8.0.7", "rule:me" },
		{ "wg0", "10.8.0.8", "rule:vpn" },
		{ "wg0", "10.8.1.0", NULL },
		{ "gone0", "10.5.5.5", "rule:far" },
		{ "", "192.168.1.5", "host" },
		{ "", "2600:99::2", "host" },
		{ "spare0", "10.8.0.7", NULL },
	};
	struct world world = world_new(machine, yaml, NULL, NOW);

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		const struct location *location = at(&world, rows[i].interface, rows[i].addr);
		_cleanup_free_ char *name = NULL;
		struct addr addr;

		assert_int_equal(!location, !rows[i].name);
		if (!location)
			continue;
		assert_int_equal(addr_parse(rows[i].addr, &addr), 0);
		name = location_name(world.model, location, &addr);
		assert_string_equal(name, rows[i].name);
	}
	assert_true(at(&world, "eth0", "192.168.1.1")->resolver);
	assert_false(at(&world, "eth0", "192.168.1.2")->resolver);
	assert_false(world.model->resolver_local);
	world_free(&world);
}

/* A number means one thing, in every model made with the book, whatever the order; what is gone and back has it again. */
static void test_numbers(void **state)
{
	static const char *const policies[] = {
		"",
		"containers: [{name: jelly, policies: [dns]}]",
		"containers: [{name: jelly, policies: [disabled]}, {name: db, policies: [disabled]}]",
		"groups: [{name: g}]\nnetworks: [{name: media, policies: [wan, dns], groups: [g]}]",
		"allow: [{from: lan, to: jelly}]",
		"allow: [{from: lan, to: jelly, ports: [80/tcp]}]",
		"allow: [{from: lan, to: jelly, expires: 2026-01-01}]",
	};
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
	uint32_t jelly[ELEMENTSOF(policies)], web[ELEMENTSOF(policies)], db[ELEMENTSOF(policies)];

	for (size_t round = 0; round < 2; round++)
		for (size_t k = 0; k < ELEMENTSOF(policies); k++) {
			size_t i = round ? ELEMENTSOF(policies) - 1 - k : k;
			struct world world = world_new(machine, policies[i], book, NOW);
			uint32_t numbers[] = { number_at(&world, "br-m", "172.30.1.10"),
					       number_at(&world, "br-m", "172.30.1.11"),
					       number_at(&world, "br-b", "172.30.2.10") };

			if (round) {
				assert_int_equal(numbers[0], jelly[i]);
				assert_int_equal(numbers[1], web[i]);
				assert_int_equal(numbers[2], db[i]);
			}
			jelly[i] = numbers[0];
			web[i] = numbers[1];
			db[i] = numbers[2];
			world_free(&world);
		}
	assert_int_equal(jelly[0], jelly[6]); /* an allow that has ended is none */
	assert_int_equal(web[0], web[1]); /* what does not concern it does not change it */
	assert_int_equal(db[0], db[1]);
	for (size_t i = 1; i < 6; i++)
		assert_int_not_equal(jelly[0], jelly[i]);
	assert_int_not_equal(jelly[4], jelly[5]);
	assert_int_not_equal(jelly[2], db[2]); /* different networks */
}

/* Two containers that only their names tell apart are one class; a front's number is nobody else's. */
static void test_classes(void **state)
{
	char text[4096] =
		"interface eth0 192.168.1.5/24\nbridge br-m 172.30.0.1/16\nnetwork media br-m 172.30.0.0/16\n";
	struct world world;

	for (int i = 10; i < 60; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "container c%d media 172.30.1.%d\n", i, i);
	world = world_new(text, "", NULL, NOW);
	for (int i = 11; i < 60; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "172.30.1.%d", i);
		assert_int_equal(number_at(&world, "br-m", addr), number_at(&world, "br-m", "172.30.1.10"));
	}
	world_free(&world);
	world = world_new(machine, "", NULL, NOW);
	for (size_t i = 0; i < world.model->n_classes; i++) {
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(world.model->classes[i].number, world.model->classes[k].number);
		for (size_t k = 0; k < world.model->n_fronts; k++)
			assert_int_not_equal(world.model->classes[i].number, world.model->fronts[k].number);
	}
	world_free(&world);
}

/* An entry for each container: those that say the same make one class, whatever else they say. */
static void test_alike_entries(void **state)
{
	static const char *const policies[] = { "[wan]", "[wan, lan]", "[quarantine]" };
	static const char *const groups[] = { "", ", groups: []", ", groups: [a]", ", groups: [a, b]",
					      ", groups: [c]" };
	static const char *const tags[] = { "", ", tags: [x]", ", tags: [y]" };
	static char machine_text[65536], yaml[65536];
	size_t n = ELEMENTSOF(policies) * ELEMENTSOF(groups) * ELEMENTSOF(tags);
	struct world world;

	snprintf(machine_text, sizeof(machine_text),
		 "interface eth0 192.168.1.5/24\nbridge br-m 172.30.0.1/16\n"
		 "network media br-m 172.30.0.0/16\n");
	snprintf(yaml, sizeof(yaml),
		 "groups: [{name: a}, {name: b}, {name: c}]\nnetworks: [{name: media, groups: [b]}]\n"
		 "allow: [{from: 'tag:x', to: lan}, {from: 'group:c', to: lan}, {from: 'container:c3', to: upstream}]\n"
		 "block: [{from: 'container:proj/app', to: internet}]\ncontainers:\n");
	for (size_t i = 0; i < 2 * n; i++) { /* each twice */
		snprintf(machine_text + strlen(machine_text), sizeof(machine_text) - strlen(machine_text),
			 "container c%zu media 172.30.%zu.%zu%s\n", i, i / 200, i % 200 + 2,
			 i == 4 ? " service=proj/app" : "");
		snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml),
			 "- {name: c%zu, policies: %s%s%s, comment: number %zu}\n", i, policies[i % 3],
			 groups[i / 3 % 5], tags[i / 15 % 3], i);
	}
	world = world_new(machine_text, yaml, NULL, NOW);
	for (size_t i = 0; i < 2 * n; i++)
		for (size_t k = 0; k < i; k++) {
			bool named = i == 3 || k == 3 || i == 4 || k == 4;
			bool tagged[] = { i / 15 % 3 == 1, k / 15 % 3 == 1 }; /* of y nobody speaks */
			bool alike = !named && i % 15 == k % 15 && tagged[0] == tagged[1];

			assert_int_equal(world.model->locations[i].class == world.model->locations[k].class, alike);
		}
	world_free(&world);
}

/* Of an endpoint without a container a clause speaks by its name too: what it opens to or takes from it is nobody else's. */
static void test_named_endpoint(void **state)
{
	static const char yaml[] =
		"containers: [{name: job, policies: [dns]}, {name: web, policies: [dns]}]\n"
		"allow: [{from: 'container:job', to: lan}]\nblock: [{from: 'container:job', to: internet}]";
	static const char head[] =
		"interface eth0 192.168.1.5/24\nbridge br-m 172.30.0.1/16\nnetwork media br-m 172.30.0.0/16\n";
	static const char job[] = "build media 172.30.1.20 name=job\n", web[] = "container web media 172.30.1.10\n";

	for (int first = 0; first < 2; first++) {
		struct world world;
		char text[1024];

		snprintf(text, sizeof(text), "%s%s%s", head, first ? job : web, first ? web : job);
		world = world_new(text, yaml, NULL, NOW);
		assert_int_not_equal(number_at(&world, "br-m", "172.30.1.10"),
				     number_at(&world, "br-m", "172.30.1.20"));
		world_free(&world);
	}
}

/* Rights may not change when the engine tells of the ports that were known: the first packet counts. */
static void test_ports_before_start(void **state)
{
#define PLACE "interface eth0 192.168.1.5/24\nnetwork media br-m 172.30.1.0/24\ncontainer web media 172.30.1.10 "
#define BIND " bind=0.0.0.0:80:80/tcp bind=[::]:80:80/tcp"
	static const char *const machines[] = {
		PLACE BIND,
		PLACE BIND " port=0.0.0.0:80:80/tcp",
		PLACE " port=0.0.0.0:80:80/tcp port=[::]:80:80/tcp",
	};
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
	uint32_t number = 0, front = 0;

	for (size_t i = 0; i < ELEMENTSOF(machines); i++) {
		struct world world = world_new(machines[i], "", book, 0);
		const struct class *class = &world.model->classes[world.model->locations[0].class];

		assert_int_equal(world.model->n_port_fronts, 2);
		assert_int_equal(world.model->port_fronts[0].front, 0);
		assert_int_equal(world.model->port_fronts[1].front, 0);
		assert_int_equal(world.model->n_fronts, 1);
		assert_int_equal(world.model->fronts[0].class, world.model->locations[0].class);
		number = number ? number : class->number;
		front = front ? front : world.model->fronts[0].number;
		assert_int_equal(class->number, number);
		assert_int_equal(world.model->fronts[0].number, front);
		world_free(&world);
	}
}

static void test_ambiguous(void **state)
{
	static const struct {
		const char *selector;
		bool ambiguous;
	} rows[] = {
		{ "jelly", false },	    { "media", true },	   { "container:media", false },
		{ "network:media", false }, { "internet", false }, { "nobody", false },
		{ "back", true },	    { "web", false },
	};
	struct world world = world_new(
		machine, "containers: [{name: media}]\nrules: [{name: back, interface: wg0, source: 10.8.0.0/24}]",
		NULL, NOW);

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct error error = { 0 };
		struct selector selector;

		assert_int_equal(selector_parse(rows[i].selector, &selector, &error), 0);
		assert_int_equal(selector_ambiguous(world.model, &selector, &error), rows[i].ambiguous ? -ENOTUNIQ : 0);
		assert_int_equal(strstr(error.text, ":") != NULL, rows[i].ambiguous);
		selector_clear(&selector);
	}
	world_free(&world);
}

static bool has_line(char *const *lines, size_t n, const char *line)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(lines[i], line) == 0)
			return true;
	return false;
}

static void test_changes(void **state)
{
	static const struct {
		const char *from, *to;
		const char *opens, *closes; /* one of the lines; NULL: there are none */
	} rows[] = {
		{ "", "", NULL, NULL },
		{ "", "containers: [{name: jelly, policies: [wan, dns]}]", NULL, NULL }, /* as by default */
		{ "", "containers: [{name: jelly, policies: [dns]}]", NULL,
		  "jelly -> internet: everything but port 53" },
		{ "containers: [{name: jelly, policies: []}]", "containers: [{name: jelly, policies: [wan]}]",
		  "jelly -> internet: everything but port 53", NULL },
		{ "", "allow: [{from: lan, to: jelly, ports: [80/tcp]}]", "lan -> jelly: 80/tcp", NULL },
		{ "allow: [{from: lan, to: jelly, ports: [80-90/udp]}]", "", NULL, "lan -> jelly: 80-90/udp" },
		{ "", "allow: [{from: lan, to: jelly, ports: [gre]}]", "lan -> jelly: gre", NULL },
		{ "", "containers: [{name: jelly, policies: [wan, dns], publish: [{port: 8096/tcp, to: [internet]}]}]",
		  "internet -> jelly: 8096/tcp as published", NULL },
		{ "", "block: [{from: jelly, to: internet}]", NULL, "jelly -> internet: everything" },
		{ "block: [{from: jelly, to: internet}]", "", "jelly -> internet: everything", NULL },
		{ "", "block: [{from: jelly, to: internet, ports: [25/tcp]}]", NULL, "jelly -> internet: 25/tcp" },
		{ "", "networks: [{name: media, policies: [wan, dns], isolate: true}]", NULL,
		  "jelly -> web: everything" },
		{ "", "allow: [{from: lan, to: jelly, expires: 2026-01-01}]", NULL, NULL },
		{ "", "settings: {local_users: root}", NULL, "users of this machine -> containers: everything" },
		{ "settings: {local_users: root}", "", "users of this machine -> containers: everything", NULL },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct world from = world_new(machine, rows[i].from, NULL, NOW);
		struct world to = world_new(machine, rows[i].to, NULL, NOW);
		struct changes changes;

		assert_int_equal(model_changes(from.model, to.model, &changes), 0);
		if (!rows[i].opens != !changes.n_opens || !rows[i].closes != !changes.n_closes ||
		    (rows[i].opens && !has_line(changes.opens, changes.n_opens, rows[i].opens)) ||
		    (rows[i].closes && !has_line(changes.closes, changes.n_closes, rows[i].closes)))
			fail_msg("row %zu: opens %zu '%s', closes %zu '%s'", i, changes.n_opens,
				 changes.n_opens ? changes.opens[0] : "", changes.n_closes,
				 changes.n_closes ? changes.closes[0] : "");
		assert_false(changes.too_many);
		changes_clear(&changes);
		world_free(&from);
		world_free(&to);
	}
}

/* From nothing, everything that may be is opened; to nothing, it closes. */
static void test_changes_of_all(void **state)
{
	struct world world = world_new(machine, "", NULL, NOW);
	struct changes opens, closes;

	assert_int_equal(model_changes(NULL, world.model, &opens), 0);
	assert_int_equal(model_changes(world.model, NULL, &closes), 0);
	assert_true(opens.n_opens > 0 && opens.n_closes == 0);
	assert_true(closes.n_closes == opens.n_opens && closes.n_opens == 0);
	assert_true(has_line(opens.opens, opens.n_opens, "db -> internet: everything but port 53"));
	changes_clear(&opens);
	changes_clear(&closes);
	world_free(&world);
}

/* A test of the policy is tried with everybody it names. */
static void test_tests(void **state)
{
	static const struct {
		const char *yaml; /* before the test */
		const char *test;
		bool failed, empty;
	} rows[] = {
		{ "", "{from: db, to: internet, expect: accept}", false, false },
		{ "", "{from: db, to: internet, expect: drop}", true, false },
		{ "", "{from: internet, to: \"jelly:80\", expect: drop}", false, false },
		{ "allow: [{from: lan, to: jelly, ports: [80/tcp]}]\n",
		  "{from: internet, to: \"jelly:80\", expect: drop}", false, false },
		{ "allow: [{from: lan, to: jelly, ports: [80/tcp]}]\n",
		  "{from: lan, to: \"jelly:80/tcp\", expect: accept}", false, false },
		{ "allow: [{from: lan, to: jelly, ports: [80/tcp]}]\n",
		  "{from: lan, to: \"jelly:81/tcp\", expect: accept}", true, false },
		{ "allow: [{from: lan, to: jelly, ports: [80/tcp]}]\n",
		  "{from: upstream, to: \"jelly:80\", expect: drop}", true, false },
		{ "", "{from: \"network:media\", to: \"network:back\", expect: drop}", false, false },
		{ "block: [{from: web, to: internet}]\n", "{from: web, to: \"internet:443\", expect: drop}", false,
		  false },
		{ "block: [{from: web, to: internet}]\n",
		  "{from: \"network:back\", to: \"internet:443\", expect: accept}", true, false },
		{ "", "{from: \"container:later\", to: internet, expect: accept}", false, true },
		{ "", "{from: host, to: internet, expect: drop}", false, true }, /* never judged as a source */
		{ "", "{from: db, to: \"internet:icmp\", expect: accept}", false, false },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *yaml = NULL;
		struct test_result result;
		struct world world;

		assert_true(asprintf(&yaml, "%stests: [%s]\n", rows[i].yaml, rows[i].test) > 0);
		world = world_new(machine, yaml, NULL, NOW);
		assert_int_equal(model_test(world.model, &world.policy->tests[0], &result), 0);
		if (result.failed != rows[i].failed || (result.n_pairs == 0) != rows[i].empty)
			fail_msg("row %zu: failed %d, %zu pairs", i, result.failed, result.n_pairs);
		world_free(&world);
	}
}

/* Source ports for containers' flows: the longest run that nobody waits on and nothing is published at. */
static void test_nat_ports(void **state)
{
	static const struct {
		const char *busy;
		uint16_t first, last;
	} rows[] = {
		{ "", 8097, 65535 }, /* 8096 is published */
		{ "busy 32768-60999\n", 8097, 32767 },
		{ "busy 32768-60999\nbusy 9000-9000\nbusy 32400-32400\n", 9001, 32399 },
		{ "busy 9000-60000\n", 1024, 8095 },
		{ "busy 1024-65535\n", 0, 0 },
		{ "busy 2000-4000\nbusy 5000-8090\nbusy 8098-62000\n", 0, 0 }, /* the longest is too short */
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *text = NULL;
		struct world world;

		assert_true(asprintf(&text, "%s%s", machine, rows[i].busy) > 0);
		world = world_new(text, "", NULL, NOW);
		assert_int_equal(world.model->nat_first, rows[i].first);
		assert_int_equal(world.model->nat_last, rows[i].last);
		world_free(&world);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),	      cmocka_unit_test(test_locations),
		cmocka_unit_test(test_numbers),	      cmocka_unit_test(test_classes),
		cmocka_unit_test(test_alike_entries), cmocka_unit_test(test_named_endpoint),
		cmocka_unit_test(test_ambiguous),     cmocka_unit_test(test_ports_before_start),
		cmocka_unit_test(test_changes),	      cmocka_unit_test(test_changes_of_all),
		cmocka_unit_test(test_nat_ports),     cmocka_unit_test(test_tests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
