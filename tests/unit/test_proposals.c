/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What labels of containers ask for: the proposals made of it, and what it means under labels: trust. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ruleset/compile.h"
#include "verdict/changes.h"
#include "verdict/proposals.h"
#include "world.h"

#define NOW 1800000000

#define MACHINE                                                                                                        \
	"interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\nbridge br-m 172.30.1.1/24\n"                   \
	"bridge br-b 172.30.2.1/24\nnetwork media br-m 172.30.1.0/24\nnetwork back br-b 172.30.2.0/24\n"               \
	"container other back 172.30.2.10\nresolver 192.168.1.1\n"
#define WEB "container web media 172.30.1.10 port=0.0.0.0:8080:80/tcp "

struct seen {
	struct world world;
	struct proposal *items;
	size_t n;
};

static struct seen see(const char *machine, const char *yaml)
{
	struct seen seen = { .world = world_new(machine, yaml, NULL, NOW) };

	assert_int_equal(proposals_list(seen.world.model, &seen.items, &seen.n), 0);
	return seen;
}

static void seen_clear(struct seen *seen)
{
	proposals_free(seen->items, seen->n);
	world_free(&seen->world);
}

/* All proposals as one text. */
static char *seen_text(const struct seen *seen)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < seen->n; i++) {
		const struct proposal *proposal = &seen->items[i];

		fprintf(out, "%s%s%s: %s [%s]%s", i ? " | " : "", proposal->image ? "image of " : "", proposal->who,
			proposal->what, proposal->missing, proposal->dismissed ? " dismissed" : "");
		if (proposal->refused)
			fprintf(out, " refused");
	}
	fclose(out);
	return text;
}

static void test_list(void **state)
{
	static const struct {
		const char *about, *machine, *yaml, *text;
	} rows[] = {
		{ "nothing asked", WEB, "", "" },
		{ "no entry yet", WEB "spr.groups=shop spr.publish=8080/tcp:lan", "groups: [{name: shop}]",
		  "web: groups shop; publish 8080/tcp to lan [groups shop; publish 8080/tcp to lan]" },
		{ "what it has anyway", WEB "spr.policies=dns,wan", "", "" },
		{ "less than it has", WEB "spr.policies=dns", "", "web: policies dns []" },
		{ "more than its network gives", WEB "spr.policies=dns,wan",
		  "networks: [{name: media, policies: [dns]}]", "web: policies wan, dns [policies wan]" },
		{ "an entry that gives a part", WEB "spr.policies=dns,lan spr.groups=shop,tv",
		  "containers: [{name: web, policies: [dns], groups: [tv]}]\ngroups: [{name: tv}]",
		  "web: policies dns, lan; groups shop, tv [policies lan; groups shop]" },
		{ "an entry that gives all", WEB "spr.policies=dns spr.tags=a spr.publish=8080/tcp:lan",
		  "containers: [{name: web, policies: [wan, dns], tags: [a], publish: [{port: 8080/tcp, to: [lan, internet]}]}]",
		  "" },
		{ "the entry of its service", WEB "service=shop/web spr.policies=lan",
		  "containers: [{name: shop/web, policies: [dns]}]", "shop/web: policies lan [policies lan]" },
		{ "the service without an entry", WEB "service=shop/web spr.groups=a", "",
		  "shop/web: groups a [groups a]" },
		{ "a service that proves nothing", WEB "service=?/? labels=image spr.groups=a", "",
		  "web: groups a [groups a]" },
		{ "containers of one service ask once",
		  WEB "service=shop/web spr.groups=a\ncontainer web2 media 172.30.1.11 service=shop/web spr.groups=a",
		  "", "shop/web: groups a [groups a]" },
		{ "the image's apart", WEB "spr.groups=a image.policies=wan,lan", "",
		  "web: groups a [groups a] | image of web: policies wan, lan [policies lan]" },
		{ "a label that does not parse, beside one that does", WEB "spr.policies=dsn spr.groups=a", "",
		  "web: spr.policies=dsn [] refused | web: groups a [groups a]" },
		{ "a label that nobody may see", WEB "spr.policies=~", "", "web: spr.policies=? [] refused" },
		{ "a label that is none", WEB "spr.group=a", "", "web: spr.group=a [] refused" },
		{ "of an image", WEB "image.policies=dsn", "", "image of web: spr.policies=dsn [] refused" },
		{ "on the machine's own network", WEB "mode=host spr.policies=wan", "", "web: labels [] refused" },
		{ "a name that is none", "container ? media 172.30.1.10 spr.policies=wan", "", "?: labels [] refused" },
		{ "a stopped one", "stopped web spr.policies=wan,dns", "",
		  "web: policies wan, dns [policies wan, dns]" },
		{ "closing words", WEB "spr.policies=disabled", "", "web: policies disabled [policies disabled]" },
		{ "trusted: it has them", WEB "spr.groups=shop spr.policies=lan spr.publish=8080/tcp:lan spr.tags=x",
		  "settings: {labels: trust}\ngroups: [{name: shop}]", "" },
		{ "trusted: not an image", WEB "image.policies=lan", "settings: {labels: trust}",
		  "image of web: policies lan [policies lan]" },
		{ "trusted: not a group that nobody made", WEB "spr.groups=shop,tv",
		  "settings: {labels: trust}\ngroups: [{name: tv}]", "web: groups shop, tv [groups shop]" },
		{ "trusted: not an entry", WEB "spr.policies=lan",
		  "settings: {labels: trust}\ncontainers: [{name: web, policies: [dns]}]",
		  "web: policies lan [policies lan]" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		char machine[1000];
		_cleanup_(seen_clear) struct seen seen = { 0 };
		_cleanup_free_ char *text = NULL;

		snprintf(machine, sizeof(machine), MACHINE "%s\n", rows[i].machine);
		seen = see(machine, rows[i].yaml);
		text = seen_text(&seen);
		if (strcmp(text, rows[i].text) != 0)
			fail_msg("%s: '%s' instead of '%s'", rows[i].about, text, rows[i].text);
	}
}

/* The same request has the same id, whatever else there is; any other has another. */
static void test_ids(void **state)
{
	static const char *const others[] = {
		WEB "spr.groups=a", WEB "image.groups=b",  WEB "spr.groups=b,c",	   WEB "spr.tags=b",
		WEB "spr.group=b",  WEB "spr.policies=no", WEB "service=a/b spr.groups=b",
	};
	_cleanup_(seen_clear) struct seen one = see(MACHINE WEB "spr.groups=b\n", "");
	_cleanup_(seen_clear) struct seen same =
		see(MACHINE "container a media 172.30.1.9 spr.tags=a\n" WEB "spr.groups=b\n", "groups: [{name: x}]");

	assert_int_equal(one.n, 1);
	assert_int_equal(same.n, 2);
	assert_int_equal(strlen(one.items[0].id), 8);
	assert_string_equal(one.items[0].id, same.items[1].id);
	for (size_t i = 0; i < ELEMENTSOF(others); i++) {
		char machine[1000];
		_cleanup_(seen_clear) struct seen seen = { 0 };

		snprintf(machine, sizeof(machine), MACHINE "%s\n", others[i]);
		seen = see(machine, "");
		assert_int_equal(seen.n, 1);
		assert_string_not_equal(seen.items[0].id, one.items[0].id);
	}
}

static void test_dismissed(void **state)
{
	_cleanup_(seen_clear) struct seen seen = see(MACHINE WEB "spr.groups=b\n", ""), again = { 0 }, other = { 0 };
	char yaml[200];

	assert_false(seen.items[0].dismissed);
	snprintf(yaml, sizeof(yaml), "dismissed: [{id: '%s', comment: no}]", seen.items[0].id);
	again = see(MACHINE WEB "spr.groups=b\n", yaml);
	assert_true(again.items[0].dismissed);
	other = see(MACHINE WEB "spr.groups=b,c\n", yaml);
	assert_false(other.items[0].dismissed);
}

static void test_many(void **state)
{
	_cleanup_free_ char *machine = malloc(400000);
	_cleanup_(seen_clear) struct seen seen = { 0 };
	size_t used;

	assert_non_null(machine);
	used = (size_t)sprintf(machine, MACHINE);
	for (int i = 0; i < 2000; i++)
		used += (size_t)sprintf(machine + used, "stopped many%d spr.groups=a%d image.groups=b spr.x=y\n", i, i);
	seen = see(machine, "");
	assert_in_range(seen.n, PROPOSALS_MAX, PROPOSALS_MAX + 2 * 16);
}

/* Packets under trust: what labels ask for holds as an entry would. */
static void test_trust(void **state)
{
	static const char lan[] = "eth0 192.168.1.7 > 192.168.1.5 tcp 8080 nat=172.30.1.10:80";
	static const char wan[] = "br-m 172.30.1.10 > 1.1.1.1 tcp 443";
	static const char dns[] = "br-m 172.30.1.10 > 192.168.1.1 udp 53";
	static const char upstream[] = "br-m 172.30.1.10 > 192.168.1.9 tcp 80";
	static const char over[] = "br-b 172.30.2.10 > 172.30.1.10 tcp 80";
	static const struct {
		const char *about, *labels, *yaml, *packet, *verdict;
	} rows[] = {
		{ "publish", "spr.publish=8080/tcp:lan", "", lan, "accept" },
		{ "publish of another port", "spr.publish=8081/tcp:lan", "", lan, "no-grant" },
		{ "publish to others", "spr.publish=8080/tcp:internet", "", lan, "no-grant" },
		{ "an image publishes nothing", "image.publish=8080/tcp:lan", "", lan, "no-grant" },
		{ "beside one of its own", "image.publish=8080/tcp:lan spr.policies=wan", "", lan, "no-grant" },
		{ "no policies said: the default", "spr.publish=8080/tcp:lan", "", wan, "accept" },
		{ "the default is the network's", "spr.tags=x", "networks: [{name: media, policies: []}]", wan,
		  "no-grant" },
		{ "policies said: those", "spr.policies=dns", "", wan, "no-grant" },
		{ "and those", "spr.policies=dns", "", dns, "accept" },
		{ "more", "spr.policies=lan_upstream", "", upstream, "accept" },
		{ "none", "spr.policies=", "", dns, "no-grant" },
		{ "unreadable policies are none", "spr.policies=wan,dsn", "", wan, "no-grant" },
		{ "unreadable others leave the default", "spr.groups=;", "", wan, "accept" },
		{ "disabled", "spr.policies=disabled", "", wan, "disabled" },
		{ "an image says disabled", "image.policies=disabled", "", wan, "accept" },
		{ "no label opens a closed network", "spr.policies=wan",
		  "networks: [{name: media, policies: [disabled]}]", wan, "disabled" },
		{ "a group", "spr.groups=shop", "groups: [{name: shop}]\ncontainers: [{name: other, groups: [shop]}]",
		  over, "accept" },
		{ "a group that nobody made", "spr.groups=shop", "containers: [{name: other}]", over, "no-grant" },
		{ "its network's groups", "spr.tags=x",
		  "groups: [{name: g}]\nnetworks: [{name: media, groups: [g]}, {name: back, groups: [g]}]", over,
		  "accept" },
		{ "unreadable groups are none", "spr.groups=;",
		  "groups: [{name: g}]\nnetworks: [{name: media, groups: [g]}, {name: back, groups: [g]}]", over,
		  "no-grant" },
		{ "instead of its network's groups", "spr.groups=",
		  "groups: [{name: g}]\nnetworks: [{name: media, groups: [g]}, {name: back, groups: [g]}]", over,
		  "no-grant" },
		{ "a tag", "spr.tags=x", "allow: [{from: other, to: tag:x}]", over, "accept" },
		{ "its network's tags stay", "spr.tags=x",
		  "networks: [{name: media, policies: [wan], tags: [bad]}]\nblock: [{from: tag:bad, to: internet}]",
		  wan, "blocked" },
		{ "an entry is not changed", "spr.publish=8080/tcp:lan", "containers: [{name: web}]", lan, "no-grant" },
		{ "nor one of its service", "service=a/b spr.policies=wan", "containers: [{name: a/b}]", wan,
		  "no-grant" },
		{ "nor what its image claims to be", "service=?/? labels=image spr.policies=wan", "", wan, "no-grant" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		char machine[1000], yaml[1000];
		struct world world;
		const char *said;

		snprintf(machine, sizeof(machine), MACHINE WEB "%s\n", rows[i].labels);
		snprintf(yaml, sizeof(yaml), "settings: {labels: trust}\n%s", rows[i].yaml);
		world = world_new(machine, yaml, NULL, NOW);
		said = world_verdict(&world, rows[i].packet);
		if (strcmp(said, rows[i].verdict) != 0)
			fail_msg("%s: %s instead of %s", rows[i].about, said, rows[i].verdict);
		world_free(&world);
	}
}

/* Without trust labels make no difference at all, neither to the ruleset nor to the numbers of classes. */
static void test_ask(void **state)
{
	static const char *const machines[] = {
		MACHINE WEB "\n",
		MACHINE WEB "spr.policies=lan spr.groups=g spr.tags=t spr.publish=8080/tcp:internet image.tags=x\n",
	};
	static const char yaml[] = "groups: [{name: g}]\nallow: [{from: lan, to: tag:t}]\n"
				   "containers: [{name: other, groups: [g]}]\n";
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
	static const struct compile_options options;
	char *text[2] = { 0 };

	for (size_t i = 0; i < ELEMENTSOF(machines); i++) {
		struct world world = world_new(machines[i], yaml, book, NOW);
		struct ruleset *ruleset;
		size_t size;
		FILE *out = open_memstream(&text[i], &size);

		assert_int_equal(ruleset_compile(world.model, &options, &ruleset, NULL), 0);
		assert_int_equal(ruleset_print(ruleset, "spr", out), 0);
		fclose(out);
		ruleset_free(ruleset);
		world_free(&world);
	}
	assert_string_equal(text[0], text[1]);
	free(text[0]);
	free(text[1]);
}

/* Trust on and off is a change of classes like any other, and says what it opens and closes. */
static void test_change(void **state)
{
	static const char machine[] = MACHINE WEB "spr.policies=dns,wan,lan_upstream\n";
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
	struct world ask = world_new(machine, "", book, NOW);
	struct world trust = world_new(machine, "settings: {labels: trust}", book, NOW);
	struct changes changes;

	assert_int_equal(model_changes(ask.model, trust.model, &changes), 0);
	assert_int_equal(changes.n_opens, 3);
	assert_int_equal(changes.n_closes, 0);
	assert_string_equal(changes.opens[0], "web -> lan: everything but port 53");
	changes_clear(&changes);
	assert_int_equal(model_changes(trust.model, ask.model, &changes), 0);
	assert_int_equal(changes.n_opens, 0);
	assert_int_equal(changes.n_closes, 3);
	changes_clear(&changes);
	world_free(&ask);
	world_free(&trust);
}

static void test_notes(void **state)
{
	_cleanup_(seen_clear) struct seen seen = see(MACHINE WEB "spr.groups=a,g spr.policies=dsn image.tags=;\n",
						     "settings: {labels: trust}\ngroups: [{name: g}]");

	assert_int_equal(seen.world.model->n_notes, 2);
	assert_string_equal(seen.world.model->notes[0],
			    "web: the label spr.policies: unknown policy 'dsn'; did you mean 'dns'?");
	assert_string_equal(seen.world.model->notes[1],
			    "web: its label asks for the group a, which the policy does not know: it does nothing");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),   cmocka_unit_test(test_ids),   cmocka_unit_test(test_dismissed),
		cmocka_unit_test(test_many),   cmocka_unit_test(test_trust), cmocka_unit_test(test_ask),
		cmocka_unit_test(test_change), cmocka_unit_test(test_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
