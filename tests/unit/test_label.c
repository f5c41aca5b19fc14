/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Labels of containers: what they may say, in which words, and what an entry lacks of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/label.h"

static void assert_print(const struct asked *asked, const char *expected)
{
	_cleanup_free_ char *text = asked_print(asked);

	assert_string_equal(text, expected);
}

static void test_read(void **state)
{
	static const struct {
		const char *key, *text, *print;
	} rows[] = {
		{ "policies", "wan,dns", "policies wan, dns" },
		{ "policies", " dns , wan ", "policies wan, dns" },
		{ "policies", "wan,wan", "policies wan" },
		{ "policies", "disabled", "policies disabled" },
		{ "policies", "quarantine,dns", "policies dns, quarantine" },
		{ "policies", "", "policies none" },
		{ "policies", "  ", "policies none" },
		{ "groups", "media,proxy,media", "groups media, proxy" },
		{ "groups", "", "groups none" },
		{ "tags", "a,b", "tags a, b" },
		{ "tags", "", "" },
		{ "publish", "8096/tcp:lan", "publish 8096/tcp to lan" },
		{ "publish", "8096/tcp:group:family+internet", "publish 8096/tcp to group:family, internet" },
		{ "publish", "53:lan+host, 8000-8100/udp : tag:tv + container:a/b + nas",
		  "publish 53 to lan, host; publish 8000-8100/udp to tag:tv, container:a/b, nas" },
		{ "publish", "", "" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(asked_clear) struct asked asked = { 0 };
		struct error error = { 0 };

		if (label_read(rows[i].key, rows[i].text, &asked, &error) < 0)
			fail_msg("%s=%s: %s", rows[i].key, rows[i].text, error.text);
		assert_print(&asked, rows[i].print);
		assert_int_equal(asked.has_policies, strcmp(rows[i].key, "policies") == 0);
		assert_int_equal(asked.entry.has_groups, strcmp(rows[i].key, "groups") == 0);
	}
}

/* Refused whole, with a sentence that may be shown; nothing of it is in the entry. */
static void test_refused(void **state)
{
	static const struct {
		const char *key, *text, *message;
	} rows[] = {
		{ "policies", "wan,dsn", "the label spr.policies: unknown policy 'dsn'; did you mean 'dns'?" },
		{ "policies", "wan,", "the label spr.policies: unknown policy ''; it can be one of: " },
		{ "policies", "internet", "the label spr.policies: unknown policy 'internet'; did you mean 'wan'?" },
		{ "policies", "wan,disabled", "the label spr.policies: the policy disabled stands alone" },
		{ "policies", "api,noapi", "the label spr.policies: the policies api and noapi contradict each other" },
		{ "groups", "a,b c", "the label spr.groups: the name 'b c' may have only letters" },
		{ "groups", ",", "the label spr.groups: the name cannot be empty" },
		{ "groups", "a\x1b[31m", "the label spr.groups: the name 'a?[31m' holds the character U+001B" },
		{ "groups", "\xff", "the label spr.groups: the name '?' is not UTF-8 text" },
		{ "tags", "group:a", "the label spr.tags: the name 'group:a' may have only letters" },
		{ "publish", "8096/tcp", "the label spr.publish: '8096/tcp' does not say to whom" },
		{ "publish", "8096/tcp:", "the label spr.publish: the name cannot be empty" },
		{ "publish", "8096/tcp:lan+", "the label spr.publish: the name cannot be empty" },
		{ "publish", "8096/tcp:lan,", "the label spr.publish: '' does not say to whom" },
		{ "publish", "0/tcp:lan", "the label spr.publish: port 0 does not exist" },
		{ "publish", "70000:lan", "the label spr.publish: port 70000 does not exist" },
		{ "publish", "icmp:lan", "the label spr.publish: 'icmp' is a whole protocol" },
		{ "publish", "proto:47:lan", "the label spr.publish: unknown protocol 'proto'" },
		{ "publish", "80/tcp:lan,80/tcp:internet", "the label spr.publish: the port 80/tcp is here twice" },
		{ "publish", "80/tcp:10.0.0.1", "the label spr.publish: the address '10.0.0.1' cannot stand here" },
		{ "publish", "80/tcp:peer:x", "the label spr.publish: unknown kind 'peer'" },
		{ "polices", "wan", "a label of spr: unknown label 'polices'; did you mean 'policies'?" },
		{ "?", "wan", "a label of spr: unknown label '?'; it can be one of: policies, groups, tags, publish" },
		{ "a\x1b", "wan", "a label of spr: unknown label 'a?'; it can be one of: " },
		{ "groups", NULL, "the label spr.groups is longer than 1024 bytes, or no text that can be shown" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(asked_clear) struct asked asked = { 0 };
		struct error error = { 0 };

		assert_int_equal(label_read(rows[i].key, rows[i].text, &asked, &error), -EINVAL);
		if (strncmp(error.text, rows[i].message, strlen(rows[i].message)) != 0)
			fail_msg("'%s' instead of '%s'", error.text, rows[i].message);
		for (const char *at = error.text; *at; at++)
			assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
		assert_print(&asked, "");
		assert_false(asked.has_policies || asked.entry.has_groups);
	}
}

static void test_long(void **state)
{
	_cleanup_(asked_clear) struct asked asked = { 0 };
	char text[LABEL_TEXT_MAX + 2];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? ',' : 'a';
	text[LABEL_TEXT_MAX + 1] = '\0';
	assert_int_equal(label_read("groups", text, &asked, NULL), -EINVAL);
	text[LABEL_TEXT_MAX - 1] = '\0';
	assert_int_equal(label_read("groups", text, &asked, NULL), 0);
	assert_int_equal(asked.entry.n_groups, 1);
}

static void read_all(struct asked *asked, const char *policies, const char *groups, const char *tags,
		     const char *publish)
{
	const char *texts[] = { policies, groups, tags, publish };

	for (size_t i = 0; i < n_label_keys; i++)
		if (texts[i])
			assert_int_equal(label_read(label_keys[i], texts[i], asked, NULL), 0);
}

/* What an entry lacks, and that it lacks nothing once that was added. */
static void test_missing(void **state)
{
	_cleanup_(asked_clear) struct asked have = { 0 }, asked = { 0 }, missing = { 0 }, none = { 0 };

	read_all(&have, "dns,lan", "media", NULL, "80/tcp:lan");
	read_all(&asked, "wan,dns", "media,proxy", "tv", "80/tcp:lan+group:media,443/tcp:internet");
	assert_int_equal(asked_missing(&asked, &have.entry, &missing), 1);
	assert_print(&missing, "policies wan; groups proxy; tags tv; publish 80/tcp to group:media; "
			       "publish 443/tcp to internet");
	assert_int_equal(policy_member_merge(&have.entry, &missing.entry), 0);
	assert_print(&have, "policies wan, dns, lan; groups media, proxy; tags tv; publish 80/tcp to lan, group:media; "
			    "publish 443/tcp to internet");
	assert_int_equal(asked_missing(&asked, &have.entry, &none), 0);
	assert_print(&none, "");
}

static void test_merge_closes(void **state)
{
	_cleanup_(asked_clear) struct asked have = { 0 }, asked = { 0 };

	read_all(&have, "wan,dns,lan", NULL, NULL, NULL);
	read_all(&asked, "quarantine,dns", NULL, NULL, NULL);
	assert_int_equal(policy_member_merge(&have.entry, &asked.entry), 0);
	assert_print(&have, "policies dns, quarantine");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),	cmocka_unit_test(test_refused),	     cmocka_unit_test(test_long),
		cmocka_unit_test(test_missing), cmocka_unit_test(test_merge_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
