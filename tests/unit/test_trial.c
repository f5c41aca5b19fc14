/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packets that a change is tried with: from two policies, which packets there are and what is said of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "verdict/changes.h"
#include "verdict/trial.h"
#include "world.h"

#define NOW 1800000000

static const char machine[] = "interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\n"
			      "bridge br-m 172.30.1.1/24\nbridge br-b 172.30.2.1/24\n"
			      "network media br-m 172.30.1.0/24\nnetwork back br-b 172.30.2.0/24\n"
			      "container web media 172.30.1.10 port=0.0.0.0:8080:80/tcp port=127.0.0.1:8081:81/tcp\n"
			      "container twin media 172.30.1.11 port=0.0.0.0:8090:80/tcp\n"
			      "container db back 172.30.2.10\nresolver 9.9.9.9\n";

struct pair {
	struct world before, after;
	struct class_book *book;
	struct trials trials;
};

static struct pair pair_new(const char *text, const char *before, const char *after)
{
	struct pair pair = { .book = class_book_new(1) };

	pair.before = world_new(text, before, pair.book, NOW);
	pair.after = world_new(text, after, pair.book, NOW);
	assert_int_equal(trials_changed(pair.before.model, pair.after.model, &pair.trials), 0);
	return pair;
}

static void pair_clear(struct pair *pair)
{
	trials_clear(&pair->trials);
	world_free(&pair->before);
	world_free(&pair->after);
	class_book_free(pair->book);
}

/* "web > db tcp 443 +": what opens, and "-" what closes; one after the other. */
static char *trials_text(const struct trials *trials)
{
	char *text = NULL, proto[16];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < trials->n; i++) {
		const struct trial *trial = &trials->items[i];
		_cleanup_free_ char *from = location_label(trial->from.location);
		_cleanup_free_ char *to = location_label(trial->to.location);

		fprintf(out, "%s%s > %s %s %u%s %s", i ? ", " : "", from, to, proto_name(trial->packet.proto, proto),
			trial->packet.dialled_port, trial->published ? " published" : "", trial->after ? "+" : "-");
		assert_int_not_equal(trial->before, trial->after);
	}
	fclose(out);
	return text;
}

static void test_changed(void **state)
{
	static const struct {
		const char *about, *before, *after, *text;
	} rows[] = {
		{ "nothing", "", "", "" },
		{ "another order is no change", "groups: [{name: a}, {name: b}]", "groups: [{name: b}, {name: a}]",
		  "" },
		{ "a port that is allowed", "", "allow: [{from: db, to: web, ports: [99/tcp]}]", "db > web tcp 99 +" },
		{ "a protocol", "", "allow: [{from: db, to: web, ports: [icmp]}]", "db > web icmp 0 +" },
		{ "the other way", "allow: [{from: db, to: web, ports: [99/tcp]}]", "", "db > web tcp 99 -" },
		{ "all, also what is published", "", "allow: [{from: db, to: web}]",
		  "db > web tcp 80 +, db > web tcp 8080 published +" },
		{ "what is published alone, to one of the same class", "",
		  "containers: [{name: twin, policies: [wan, dns], publish: [{port: 8090/tcp, to: [db]}]}]",
		  "db > twin tcp 8090 published +" },
		{ "one more port to the same",
		  "containers: [{name: twin, policies: [wan, dns], publish: [{port: 8090/tcp, to: [db]}]}]",
		  "containers: [{name: twin, policies: [wan, dns], publish: [{port: 8090/tcp, to: [db]}]}, "
		  "{name: web, policies: [wan, dns], publish: [{port: 8080/tcp, to: [db]}]}]",
		  "db > web tcp 8080 published +" },
		{ "a block", "", "block: [{from: db, to: internet}]",
		  "db > internet tcp 443 -, db > resolver tcp 443 -, db > resolver tcp 53 -, db > resolver udp 53 -" },
		{ "a rule of one address",
		  "rules: [{name: one, interface: eth0, source: 192.168.1.7/32, policies: []}]",
		  "rules: [{name: one, interface: eth0, source: 192.168.1.7/32, policies: []}]\n"
		  "allow: [{from: \"rule:one\", to: web, ports: [80/tcp]}]",
		  "rule:one > web tcp 80 +, rule:one > web tcp 8080 published +" },
		{ "disabled", "", "containers: [{name: web, policies: [disabled]}]",
		  "web > twin tcp 80 -, web > twin tcp 8090 published -, web > internet tcp 443 -, web > resolver tcp 443 -, "
		  "web > resolver tcp 53 -, web > resolver udp 53 -, "
		  "twin > web tcp 8080 published -" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(pair_clear) struct pair pair = pair_new(machine, rows[i].before, rows[i].after);
		_cleanup_free_ char *text = trials_text(&pair.trials);

		if (strcmp(text, rows[i].text) != 0)
			fail_msg("%s: '%s' instead of '%s'", rows[i].about, text, rows[i].text);
		assert_int_equal(pair.trials.n, pair.trials.found);
	}
}

/* Of many pairs some, spread over all of them, and it is known of how many. */
static void test_bounded(void **state)
{
	char text[30000], yaml[30000];
	int at = snprintf(text, sizeof(text), "%s", machine), in = snprintf(yaml, sizeof(yaml), "containers:\n");
	size_t first = 0, last = 0;

	for (int i = 0; i < 100; i++) {
		at += snprintf(text + at, sizeof(text) - (size_t)at, "container c%d media 172.30.1.%d\n", i, 100 + i);
		in += snprintf(yaml + in, sizeof(yaml) - (size_t)in,
			       "- {name: c%d, policies: [], groups: [g%d, all]}\n", i, i);
	}
	in += snprintf(yaml + in, sizeof(yaml) - (size_t)in,
		       "networks: [{name: media, isolate: true}]\ngroups:\n- name: all\n");
	for (int i = 0; i < 100; i++)
		in += snprintf(yaml + in, sizeof(yaml) - (size_t)in, "- name: g%d\n", i);
	_cleanup_(pair_clear) struct pair pair = pair_new(text, "networks: [{name: media, isolate: true}]", yaml);

	assert_true(pair.trials.pairs_found > 9000 && pair.trials.pairs == pair.trials.pairs_found);
	assert_int_equal(pair.trials.n, TRIALS_MAX);
	assert_true(pair.trials.found > 9000);
	for (size_t i = 0; i < pair.trials.n; i++) {
		first += pair.trials.items[i].from.addr.bytes[3] == 100;
		last += pair.trials.items[i].from.addr.bytes[3] == 199;
	}
	assert_true(first > 0 && last > 0);
}

/* Of thousands that all differ, the one that changed is among those that are tried, and it does not take long. */
static void test_many(void **state)
{
	char *text = NULL, *yaml = NULL, *more = NULL;
	size_t size, found = 0;
	FILE *out = open_memstream(&text, &size), *policy = open_memstream(&yaml, &size);
	struct pair pair;

	fprintf(out, "%s", machine);
	fprintf(policy, "containers:\n");
	for (int i = 0; i < 3000; i++) {
		fprintf(out, "container c%d media 172.30.%d.%d\n", i, 1 + i / 250, 2 + i % 250);
		fprintf(policy, "- {name: c%d, policies: [wan], tags: [t%d]}\n", i, i);
	}
	fprintf(policy, "allow:\n");
	for (int i = 0; i < 3000; i++)
		fprintf(policy, "- {from: \"tag:t%d\", to: db, ports: [%d/tcp]}\n", i, 1000 + i);
	fclose(out);
	fclose(policy);
	assert_true(asprintf(&more, "%s- {from: c1777, to: upstream, ports: [99/tcp]}\n", yaml) > 0);
	pair = pair_new(text, yaml, more);
	for (size_t i = 0; i < pair.trials.n; i++)
		found += pair.trials.items[i].packet.to_port == 99;
	assert_true(found > 0);
	assert_true(pair.trials.pairs_found > 5000 && pair.trials.pairs_found < 20000);
	pair_clear(&pair);
	free(text);
	free(yaml);
	free(more);
}

/* Of a container that publishes many ports: the one that changed, where pairs are few; of all, from first to last. */
static void test_many_ports(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t size, low = 0, high = 0, changed = 0;
	FILE *out = open_memstream(&text, &size);
	struct world world;
	struct trials all;

	fprintf(out, "%scontainer wide media 172.30.1.20", machine);
	for (int i = 0; i < 200; i++)
		fprintf(out, " port=0.0.0.0:%d:%d/tcp", 10000 + i, 10000 + i);
	fprintf(out, "\n");
	for (int i = 0; i < 60; i++)
		fprintf(out, "container c%d media 172.30.1.%d port=0.0.0.0:%d:80/tcp\n", i, 100 + i, 20000 + i);
	fclose(out);
	_cleanup_(pair_clear) struct pair pair =
		pair_new(text, "containers: [{name: wide, policies: []}]",
			 "containers: [{name: wide, policies: [], publish: [{port: 10137/tcp, to: [upstream]}]}]");

	for (size_t i = 0; i < pair.trials.n; i++)
		changed += pair.trials.items[i].packet.dialled_port == 10137 && pair.trials.items[i].published;
	assert_true(changed > 0);
	world = world_new(text, "", NULL, NOW);
	assert_int_equal(trials_all(world.model, true, &all), 0);
	for (size_t i = 0; i < all.n; i++) {
		uint16_t port = all.items[i].published ? all.items[i].packet.dialled_port : 0;

		low += port >= 10000 && port < 10010;
		high += port >= 10190 && port < 10200;
	}
	assert_true(low > 0 && high > 0);
	assert_true(all.n <= TRIALS_ALL_MAX && all.found >= all.n);
	trials_clear(&all);
	world_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_many_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
