/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a change opens and closes is what all that one model lets through and all that the other does differ in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verdict/changes.h"
#include "world.h"

#define NOW 1800000000
#define NETS                                                                                                           \
	"interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\nbridge br-m 172.30.1.1/24\n"                   \
	"network media br-m 172.30.1.0/24\nbridge br-b 172.30.2.1/24\nnetwork back br-b 172.30.2.0/24 noicc\n"         \
	"resolver 192.168.1.1\n"
#define JELLY "container jelly media 172.30.1.10 port=0.0.0.0:8096:80/tcp\n"
#define WEB "container web media 172.30.1.11 port=0.0.0.0:8080:80/tcp\n"
#define MORE "container more media 172.30.1.12\ncontainer mate media 172.30.1.13\n"
#define DB "container db back 172.30.2.10\ncontainer job back 172.30.2.11\n"

/* Networks of which most changes say nothing, and containers that are in two. */
#define FAR                                                                                                            \
	"bridge br-f 172.30.3.1/24\nnetwork far br-f 172.30.3.0/24\ncontainer aa far 172.30.3.10\n"                    \
	"container ab far 172.30.3.11\nbridge br-g 172.30.4.1/24\nnetwork gone br-g 172.30.4.0/24\n"                   \
	"container ab gone 172.30.4.10\ncontainer ac gone 172.30.4.11\ncontainer web gone 172.30.4.12\n"               \
	"container pa far 172.30.3.12 port=0.0.0.0:81:80/tcp\ncontainer pb far 172.30.3.13 port=0.0.0.0:82:80/tcp\n"

static const char *const machines[] = {
	NETS JELLY WEB DB,
	NETS JELLY WEB MORE DB,
	NETS WEB MORE DB,
	NETS JELLY WEB MORE DB "container jelly back 172.30.2.12\n", /* of two networks, or two of one name */
	NETS,
	NETS JELLY WEB MORE DB FAR,
};

static const char *const policies[] = {
	"",
	"containers: [{name: web, policies: [wan]}]",
	"containers: [{name: web, policies: [wan], groups: [g]}, {name: db, policies: [], groups: [g]}]\ngroups: [{name: g}]",
	"containers: [{name: db, policies: [disabled]}]",
	"containers: [{name: jelly, policies: [wan], publish: [{port: 8096/tcp, to: [lan]}]}]",
	"containers: [{name: jelly, policies: [wan], publish: [{port: 8096/tcp, to: [internet]}]}]",
	"containers: [{name: web, policies: [wan], publish: [{port: 8080/tcp, to: [lan, internet]}]}]",
	"allow: [{from: lan, to: web, ports: [80/tcp]}, {from: db, to: web}]",
	"allow: [{from: lan, to: web}]\nblock: [{from: lan, to: web, ports: [80/tcp]}, {from: db, to: internet}]",
	"networks: [{name: media, policies: [wan], isolate: true}]",
	"settings: {local_users: root}\nnetworks: [{name: back, policies: [lan_upstream], isolate: false}]",
	"containers: [{name: ab, policies: [wan]}]",
	"containers: [{name: ac, policies: [wan], groups: [g]}, {name: db, policies: [], groups: [g]}]\ngroups: [{name: g}]",
	"allow: [{from: network:far, to: ac, ports: [1/tcp]}, {from: ab, to: db}]\nblock: [{from: network:gone, to: internet}]",
	"rules: [{name: far, interface: eth0, source: 10.1.0.0/16, groups: [g]}]\ngroups: [{name: g}]\nnetworks: [{name: media, groups: [g]}]",
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has(char *const *list, size_t n, char *text)
{
	return n && bsearch(&text, list, n, sizeof(*list), compare);
}

/* All that a model lets through, and what it forbids. */
static void whole(const struct model *model, struct changes *ret)
{
	assert_int_equal(model_changes(NULL, model, ret), 0);
	assert_false(ret->too_many);
	if (ret->n_opens)
		qsort(ret->opens, ret->n_opens, sizeof(*ret->opens), compare);
	if (ret->n_closes)
		qsort(ret->closes, ret->n_closes, sizeof(*ret->closes), compare);
}

/* How many of a list are not in another; each of them has to be told. */
static size_t must_tell(char *const *list, size_t n, char *const *but, size_t n_but, char **told, size_t n_told)
{
	size_t missing = 0;

	for (size_t i = 0; i < n; i++) {
		bool found = false;

		if (has(but, n_but, list[i]))
			continue;
		missing++;
		for (size_t k = 0; k < n_told && !found; k++)
			found = strcmp(told[k], list[i]) == 0;
		if (!found)
			fail_msg("not told: %s", list[i]);
	}
	return missing;
}

static size_t check(const struct model *from, const struct model *to)
{
	struct changes before, after, told;
	size_t opens, closes;

	whole(from, &before);
	whole(to, &after);
	assert_int_equal(model_changes(from, to, &told), 0);
	opens = must_tell(after.opens, after.n_opens, before.opens, before.n_opens, told.opens, told.n_opens) +
		must_tell(before.closes, before.n_closes, after.closes, after.n_closes, told.opens, told.n_opens);
	closes = must_tell(before.opens, before.n_opens, after.opens, after.n_opens, told.closes, told.n_closes) +
		 must_tell(after.closes, after.n_closes, before.closes, before.n_closes, told.closes, told.n_closes);
	assert_int_equal(told.n_opens, opens);
	assert_int_equal(told.n_closes, closes);
	changes_clear(&before);
	changes_clear(&after);
	changes_clear(&told);
	return opens + closes;
}

/* Another policy for the same machine, as a daemon compares: then most classes are passed over. */
static size_t check_of_one(const struct world *from, const struct world *to, struct class_book *book)
{
	_cleanup_(model_freep) struct model *model = NULL;
	struct error error;

	assert_int_equal(model_new(to->policy, from->inventory, book, NOW, &model, &error), 0);
	return check(from->model, model);
}

static void test_all_changes(void **state)
{
	size_t n = ELEMENTSOF(machines) * ELEMENTSOF(policies), lines = 0, of_one = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			_cleanup_(class_book_freep) struct class_book *book = class_book_new(0);
			struct world worlds[2];
			size_t at[] = { i, k };

			for (size_t w = 0; w < 2; w++)
				worlds[w] = world_new(machines[at[w] / ELEMENTSOF(policies)],
						      policies[at[w] % ELEMENTSOF(policies)], book, NOW);
			lines += check(worlds[0].model, worlds[1].model);
			if (at[0] / ELEMENTSOF(policies) == at[1] / ELEMENTSOF(policies))
				of_one += check_of_one(&worlds[0], &worlds[1], book);
			for (size_t w = 0; w < 2; w++)
				world_free(&worlds[w]);
		}
	print_message("%zu changes, %zu lines\n", n * n, lines);
	assert_true(lines > 10000 && of_one > 1000);
}

/* Two containers that are in two networks both, of which one lets them reach each other. */
#define PLACES                                                                                                         \
	"interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\nbridge br-0 172.30.0.1/24\n"                   \
	"network n0 br-0 172.30.0.0/24 noicc\nbridge br-1 172.30.1.1/24\nnetwork n1 br-1 172.30.1.0/24 internal\n"     \
	"container c0 n0 172.30.0.10\ncontainer c2 n1 172.30.1.12\ncontainer c2 n0 172.30.0.12\n"                      \
	"container c3 n0 172.30.0.13\ncontainer c3 n1 172.30.1.13\n"

/* Two trade places, so that both models have the same classes, with others in them. */
static const struct {
	const char *machine, *from, *to; /* NULL: the last of the list */
	size_t lines; /* at least, by hand */
} trades[] = {
	{ NULL, "containers: [{name: db, policies: [lan]}, {name: job, policies: []}]",
	  "containers: [{name: job, policies: [lan]}, {name: db, policies: []}]", 2 },
	{ NULL,
	  "containers: [{name: db, policies: [], groups: [g]}, {name: job, policies: []}, {name: ac, groups: [g]}]\n"
	  "groups: [{name: g}]",
	  "containers: [{name: job, policies: [], groups: [g]}, {name: db, policies: []}, {name: ac, groups: [g]}]\n"
	  "groups: [{name: g}]",
	  4 },
	{ NULL,
	  "containers: [{name: pa, policies: [wan], publish: [{port: 81/tcp, to: [ac]}]}, {name: pb, policies: [wan]}]",
	  "containers: [{name: pb, policies: [wan], publish: [{port: 82/tcp, to: [ac]}]}, {name: pa, policies: [wan]}]",
	  2 },
	{ PLACES, "allow: [{from: network:n0, to: c2}]\ncontainers: [{name: c3}]",
	  "allow: [{from: network:n0, to: c2}]", 0 },
	{ NULL,
	  "rules: [{name: one, interface: eth0, source: 10.1.0.0/16, groups: [g]}]\ngroups: [{name: g}]\n"
	  "networks: [{name: back, groups: [g]}]",
	  "rules: [{name: two, interface: eth0, source: 10.1.0.0/16, groups: [g]}]\ngroups: [{name: g}]\n"
	  "networks: [{name: back, groups: [g]}]",
	  8 },
};

static void test_trades(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(trades); i++) {
		_cleanup_(class_book_freep) struct class_book *book = class_book_new(0);
		const char *last = machines[ELEMENTSOF(machines) - 1],
			   *machine = trades[i].machine ? trades[i].machine : last;
		struct world from = world_new(machine, trades[i].from, book, NOW);
		struct world to = world_new(machine, trades[i].to, book, NOW);

		assert_true(check_of_one(&from, &to, book) >= trades[i].lines);
		assert_true(check_of_one(&to, &from, book) >= trades[i].lines);
		world_free(&from);
		world_free(&to);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_changes),
		cmocka_unit_test(test_trades),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
