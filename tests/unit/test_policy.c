/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "policy/nearest.h"
#include "policy/policy.h"
#include "policy/schema.h"
#include "policy_refused.h"

/*
 * Allocation failure: these stand in for the C library's, so that its strdup() and the libraries use them too.
 * Sanitizers bring their own, and go without this part.
 */
#if defined(__SANITIZE_ADDRESS__)
#define CAN_FAIL_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define CAN_FAIL_MALLOC 0
#endif
#endif
#ifndef CAN_FAIL_MALLOC
#define CAN_FAIL_MALLOC 1
#endif

#if CAN_FAIL_MALLOC
static long allocations_left = -1; /* -1: no limit */
static bool fails_once; /* or from there on */
static long allocations_live;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static bool allocation_fails(void)
{
	if (allocations_left < 0)
		return false;
	if (allocations_left > 0 && --allocations_left > 0)
		return false;
	if (fails_once)
		allocations_left = -1;
	return true;
}

void *malloc(size_t size)
{
	void *p = allocation_fails() ? NULL : __libc_malloc(size);

	allocations_live += p ? 1 : 0;
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = allocation_fails() ? NULL : __libc_calloc(n, size);

	allocations_live += p ? 1 : 0;
	return p;
}

void *realloc(void *old, size_t size)
{
	void *p = allocation_fails() ? NULL : __libc_realloc(old, size);

	allocations_live += p && !old ? 1 : 0;
	return p;
}

void free(void *p)
{
	allocations_live -= p ? 1 : 0;
	__libc_free(p);
}
#endif

static struct policy *parse(const char *text)
{
	struct policy *policy = NULL;
	struct error error = { 0 };

	if (policy_parse(text, strlen(text), "p", &policy, &error) < 0)
		fail_msg("%s\n%s", error.text, text);
	return policy;
}

/* The policy printed, parsed, and the same again. */
static void assert_round_trip(const struct policy *policy)
{
	_cleanup_(policy_freep) struct policy *back = NULL, *copy = policy_copy(policy);
	_cleanup_free_ char *text = policy_print(policy), *again = NULL;

	assert_non_null(text);
	assert_non_null(copy);
	assert_true(policy_equal(policy, copy));
	back = parse(text);
	if (!policy_equal(policy, back))
		fail_msg("says something else:\n%s", text);
	again = policy_print(back);
	assert_string_equal(text, again);
}

static void test_whole_document(void **state)
{
	static const char text[] =
		"interfaces: [{name: eth0, role: uplink}, {name: br-lan, role: lan}]\n"
		"networks:   [{name: media_default, policies: [dns], groups: [media], isolate: true}]\n"
		"containers: [{name: jellyfin, policies: [wan, dns], groups: [media], tags: [tv, 4k],\n"
		"              publish: [{port: 8096/tcp, to: [group:family, lan]}, {port: 53, to: internet}]}]\n"
		"rules:\n"
		"  - name: tailscale-out\n"
		"    interface: spr-tailscale\n"
		"    source: 100.64.0.0/10\n"
		"    route_dst: 172.30.0.2\n"
		"    groups: []\n"
		"groups:     [{name: media}, {name: family}]\n"
		"allow:      [{from: \"group:family\", to: nas, ports: [445/tcp, 8000-8100/udp, 53, icmp, proto:200],\n"
		"              expires: 2027-01-01, comment: \"shares: the big disk\"}]\n"
		"block:      [{from: rule:tailscale-out, to: internet}]\n"
		"settings:   {local_users: root, connections: 100}\n";
	_cleanup_(policy_freep) struct policy *policy = parse(text);
	const struct member *network = policy_member(policy, MEMBER_NETWORK, "media_default");
	const struct member *container = policy_member(policy, MEMBER_CONTAINER, "jellyfin");
	const struct member *rule = policy_member(policy, MEMBER_RULE, "tailscale-out");
	const struct grant *grant = policy->allow;
	char buffer[PREFIX_TEXT_MAX];

	assert_int_equal(policy->n_interfaces, 2);
	assert_string_equal(policy->interfaces[1].name, "br-lan");
	assert_int_equal(policy->interfaces[1].role, ROLE_LAN);
	assert_int_equal(policy->n_members, 3);
	assert_int_equal(network->policies, POLICY_DNS);
	assert_int_equal(network->isolate, 1);
	assert_true(network->has_groups);
	assert_int_equal(container->isolate, -1);
	assert_int_equal(container->policies, POLICY_WAN | POLICY_DNS);
	assert_int_equal(container->n_tags, 2);
	assert_string_equal(container->tags[1], "4k");
	assert_int_equal(container->n_publish, 2);
	assert_int_equal(container->publish[0].port.first, 8096);
	assert_int_equal(container->publish[0].port.proto, 6);
	assert_int_equal(container->publish[0].n_to, 2);
	assert_int_equal(container->publish[0].to[0].kind, SELECT_GROUP);
	assert_int_equal(container->publish[0].to[1].zone, ZONE_LAN);
	assert_int_equal(container->publish[1].n_to, 1);
	assert_int_equal(container->place.line, 3);
	assert_int_equal(container->place.column, 14);
	assert_int_equal(rule->n_source, 1);
	assert_string_equal(prefix_text(&rule->source[0], buffer), "100.64.0.0/10");
	assert_string_equal(addr_text(&rule->route_dst, buffer), "172.30.0.2");
	assert_true(rule->has_groups);
	assert_int_equal(rule->n_groups, 0);
	assert_int_equal(grant->to.kind, SELECT_NAME);
	assert_int_equal(grant->n_ports, 5);
	assert_true(grant->ports[3].any_port);
	assert_int_equal(grant->ports[4].proto, 200);
	assert_int_equal(grant->expires, 1798761600);
	assert_int_equal(policy->block[0].from.member_kind, MEMBER_RULE);
	assert_int_equal(policy->settings.local_users, LOCAL_USERS_ROOT);
	assert_int_equal(policy->settings.connections, 100);
	assert_round_trip(policy);
}

/* Style and order do not matter for what is said. */
static void test_styles(void **state)
{
	_cleanup_(policy_freep) struct policy *flow =
		parse("containers: [{name: a, policies: [dns, wan]}]\n"
		      "networks: [{name: b}]\n"
		      "rules: [{name: r, interface: wg0, source: [10.9.0.0/24]}]");
	_cleanup_(policy_freep) struct policy *block = parse("\xef\xbb\xbf# a comment\r\n"
							     "---\r\n"
							     "networks:\r\n"
							     "- name: 'b'\r\n"
							     "  tags: []\r\n"
							     "rules:\r\n"
							     "- {source: 10.9.0.0/24, name: r, interface: wg0}\r\n"
							     "containers:\r\n"
							     "- policies:\r\n"
							     "  - wan\r\n"
							     "  - \"dns\"\r\n"
							     "  name: \"\\x61\"\r\n"
							     "...\r\n");
	_cleanup_(policy_freep) struct policy *other = parse("containers: [{name: a, policies: [dns]}]");

	assert_true(policy_equal(flow, block));
	assert_false(policy_equal(flow, other));
	assert_int_equal(block->members[0].kind, MEMBER_NETWORK);
}

static void test_empty(void **state)
{
	static const char *const texts[] = { "",   "\n\n", "# nothing\n", "---\n",
					     "{}", "null", "~",		  "groups: []\nsettings: {}\n" };
	_cleanup_(policy_freep) struct policy *empty = policy_new();

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_(policy_freep) struct policy *policy = parse(texts[i]);

		assert_true(policy_equal(policy, empty));
	}
	assert_round_trip(empty);
}

/* The defaults of the schema are those of an empty policy. */
static void test_defaults(void **state)
{
	_cleanup_(policy_freep) struct policy *empty = policy_new();
	const struct schema_keys *keys = schema_section("settings")->keys;

	for (size_t i = 0; i < keys->n_keys; i++) {
		_cleanup_(policy_freep) struct policy *policy = NULL;
		char text[100];

		snprintf(text, sizeof(text), "settings: {%s: %s}", keys->keys[i].name, keys->keys[i].standard);
		policy = parse(text);
		assert_true(policy_equal(policy, empty));
	}
}

/* Every key of the schema has its help, and every section its keys. */
static void test_schema(void **state)
{
	for (size_t i = 0; i < n_schema_sections; i++) {
		const struct schema_section *section = &schema_sections[i];

		assert_non_null(section->help);
		assert_in_range(section->keys->n_keys, 1, 16);
		for (size_t j = 0; j < section->keys->n_keys; j++) {
			assert_non_null(section->keys->keys[j].help);
			assert_non_null(value_forms[section->keys->keys[j].type].sentence);
			assert_int_not_equal(value_forms[section->keys->keys[j].type].size, 0);
		}
	}
}

/* Each with its exact place and sentence. */
static void test_refused(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
		struct policy *policy = NULL;
		struct error error = { 0 };

		if (policy_parse(refused[i].text, refused[i].length, "p", &policy, &error) != -EINVAL)
			fail_msg("not refused: %s", refused[i].text);
		assert_null(policy);
		assert_int_equal(error.code, EINVAL);
		assert_string_equal(error.text, refused[i].message);
		assert_int_equal(policy_parse(refused[i].text, refused[i].length, "p", &policy, NULL), -EINVAL);
	}
}

/* What may look wrong and is not. */
static void test_accepted(void **state)
{
	static const char *const texts[] = {
		"allow: [{from: a, to: b, expires: 1999-12-31}]",
		"allow: [{from: container:later, to: network:later_default}]",
		"allow: [{from: tag:nowhere, to: ghost}]",
		"containers: [{name: internnet}]\nblock: [{from: a, to: internnet}]",
		"containers: [{name: project/service, policies: [quarantine, dns]}]",
		"containers: [{name: x}]\nnetworks: [{name: x}]",
		"rules: [{name: a, interface: x, source: 10.0.0.0/8}, {name: b, interface: x, source: 10.0.0.0/9}]",
		"rules: [{name: a, interface: x, source: 10.0.0.0/8}, {name: b, interface: y, source: 10.0.0.0/8}]",
		"rules: [{name: a, interface: x, source: [0.0.0.0/0, '::/0']}]",
		"containers: [{name: x, publish: [{port: 80/tcp, to: []}, {port: 80/udp, to: lan}]}]",
		"allow: [{from: a, to: b, ports: [1-65535/tcp, proto:255, proto:6, gre]}]",
		"settings: {connections: 16777216}",
		"containers: [{name: 'a: b # c, [d] {e} & * ! | > % @'}, {name: '-'}, {name: '?'}, {name: '#'}]",
		"containers: [{name: 'null'}, {name: \"~\"}, {name: 'true'}, {name: '1e3'}, {name: '0x1f'}, {name: "
		"'1:30'}]",
		"containers: [{name: 010}, {name: 1_000}, {name: .inf}, {name: .5}, {name: +1}, {name: '---'}, {name: "
		"'...'}]",
		"containers: [{name: gr\xc3\xb6\xc3\x9f"
		"e}, {name: \xe9\xa0\x85\xe7\x9b\xae}, {name: \xf0\x9f\x90\x8b}]",
		"containers: [{name: 'a\\b'}, {name: 'a  b'}, {name: \"\\u00a0\"}]",
		"block: [{from: 'container:a: b', to: 'rule:::1'}]\nrules: [{name: '::1', interface: x, source: "
		"'::1'}]",
	};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_(policy_freep) struct policy *policy = parse(texts[i]);

		assert_round_trip(policy);
	}
}

/* Short entries take one line, long ones a line for each key. */
static void test_print(void **state)
{
	static const char text[] =
		"interfaces:\n"
		"- {name: br-lan, role: lan}\n"
		"containers:\n"
		"- {name: jellyfin, policies: [wan, dns], groups: [media], publish: [{port: 8096/tcp, to: [lan]}]}\n"
		"- name: nextcloud-with-a-long-name\n"
		"  policies: [wan, dns]\n"
		"  groups: [media]\n"
		"  publish:\n"
		"  - {port: 443/tcp, to: [lan, internet]}\n"
		"  comment: a long line of text that makes the entry too wide\n"
		"- {name: \"010\", groups: []}\n"
		"groups:\n"
		"- {name: media}\n"
		"allow:\n"
		"- {from: 'group:media', to: nas, ports: [445/tcp, 53], expires: 2027-01-01}\n"
		"tests:\n"
		"- {from: lan, to: 'nas:445/tcp', expect: drop, comment: for once and all}\n"
		"- {from: 'group:media', to: internet, expect: accept}\n"
		"settings: {connections: 100}\n";
	_cleanup_(policy_freep) struct policy *policy = parse(text);
	_cleanup_free_ char *printed = policy_print(policy);

	assert_string_equal(printed, text);
}

/* What only one of two documents says; the order is nothing. */
static void test_diff(void **state)
{
	static const struct {
		const char *from, *to, *diff;
	} rows[] = {
		{ "", "", "" },
		{ "groups: [{name: a}, {name: b}]", "groups: [{name: b}, {name: a}]", "" },
		{ "groups: [{name: a}]", "groups: [{name: a}, {name: b}]", "+groups:\n+- {name: b}\n" },
		{ "allow: [{from: lan, to: nas}, {from: lan, to: nas}]", "allow: [{from: lan, to: nas}]",
		  "-allow:\n-- {from: lan, to: nas}\n" },
		{ "containers: [{name: a, policies: [wan]}]\nsettings: {connections: 5}",
		  "containers: [{name: a, policies: [dns]}]\nsettings: {connections: 5, local_users: root}",
		  "-containers:\n-- {name: a, policies: [wan]}\n+containers:\n+- {name: a, policies: [dns]}\n"
		  "+settings: {local_users: root}\n" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(policy_freep) struct policy *from = parse(rows[i].from), *to = parse(rows[i].to);
		_cleanup_free_ char *text = NULL;

		assert_int_equal(policy_diff(from, to, &text), 0);
		assert_string_equal(text, rows[i].diff);
	}
}

/* Only what cannot open anything, now or later, tightens. */
static void test_only_tightens(void **state)
{
	static const struct {
		const char *from, *to;
		bool tightens;
	} rows[] = {
		{ "", "", true },
		{ "containers: [{name: a, policies: [wan, dns]}]", "containers: [{name: a, policies: [dns]}]", true },
		{ "containers: [{name: a, policies: [dns]}]", "containers: [{name: a, policies: [wan, dns]}]", false },
		{ "containers: [{name: a, policies: [dns]}]", "", false }, /* its network's default may be more */
		{ "", "containers: [{name: a, policies: []}]", false },
		{ "containers: [{name: a, policies: [wan]}]", "containers: [{name: a, policies: [disabled]}]", true },
		{ "containers: [{name: a, policies: [disabled]}]", "containers: [{name: a, policies: []}]", false },
		{ "networks: [{name: a, isolate: true}]", "networks: [{name: a, isolate: false}]", false },
		{ "settings: {local_users: root}", "", false },
		{ "interfaces: [{name: a, role: lan}]", "interfaces: [{name: a, role: other}]", false },
		{ "allow: [{from: lan, to: nas}]", "", true },
		{ "", "allow: [{from: lan, to: nas}]", false },
		{ "block: [{from: lan, to: nas}]", "", false },
		{ "", "block: [{from: lan, to: nas}]", true },
		{ "allow: [{from: lan, to: nas, ports: [80]}]", "allow: [{from: lan, to: nas}]", false },
		{ "groups: [{name: g}]\ncontainers: [{name: a, groups: [g]}]",
		  "groups: [{name: g}]\ncontainers: [{name: a, groups: []}]", true },
		{ "groups: [{name: g}]\ncontainers: [{name: a, groups: []}]",
		  "groups: [{name: g}]\ncontainers: [{name: a, groups: [g]}]", false },
		{ "groups: [{name: g}]\ncontainers: [{name: a, groups: [g]}]",
		  "groups: [{name: g}]\ncontainers: [{name: a}]", false }, /* its network's groups may be others */
		{ "containers: [{name: a, publish: [{port: 80/tcp, to: lan}, {port: 81/tcp, to: lan}]}]",
		  "containers: [{name: a, publish: [{port: 81/tcp, to: lan}]}]", true },
		{ "containers: [{name: a, publish: [{port: 80/tcp, to: lan}]}]",
		  "containers: [{name: a, publish: [{port: 80/tcp, to: [lan, internet]}]}]", false },
		{ "containers: [{name: a, tags: [t]}]", "containers: [{name: a}]", false }, /* a block may hang on it */
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(policy_freep) struct policy *from = parse(rows[i].from), *to = parse(rows[i].to);

		if (policy_only_tightens(from, to) != rows[i].tightens)
			fail_msg("row %zu", i);
	}
}

/* A small generator, so that a failure can be repeated. */
static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

/* Every printable character that is not a quotation mark may be in a name. */
static char *random_name(bool word)
{
	static const char plain[] = "abcXYZ019_.-", odd[] = " :#,[]{}&*!|>%@?-~=<+\\/$^();.0e";
	static const char *const wide[] = { "\xc3\xa9", "\xc2\xa0", "\xe2\x82\xac", "\xf0\x9f\x90\x8b",
					    "\xee\x80\x80" };
	char name[64] = "";
	size_t used = 0;

	for (unsigned i = pick(8) + 1; i > 0; i--) {
		unsigned kind = word ? 0 : pick(4);

		if (kind == 3)
			used += (size_t)snprintf(name + used, sizeof(name) - used, "%s", wide[pick(ELEMENTSOF(wide))]);
		else
			name[used++] = kind == 2 ? odd[pick(sizeof(odd) - 1)] : plain[pick(sizeof(plain) - 1)];
	}
	if (name[0] == ' ')
		name[0] = '-';
	if (name[used - 1] == ' ')
		name[used - 1] = '#';
	return strdup(name);
}

static void random_words(char ***words, size_t *n, struct policy *groups)
{
	for (unsigned i = pick(4); i > 0; i--) {
		_cleanup_free_ char *word = random_name(true);

		assert_true(policy_word_add(words, n, word) >= 0);
		if (groups)
			assert_non_null(policy_group_add(groups, word));
	}
}

static struct selector random_selector(struct policy *policy)
{
	struct selector selector = { .kind = (enum selector_kind)pick(5) };

	if (selector.kind == SELECT_ZONE)
		selector.zone = (enum zone)pick(_ZONE_MAX);
	else
		selector.name = random_name(selector.kind != SELECT_MEMBER);
	if (selector.kind == SELECT_MEMBER)
		selector.member_kind = pick(2) ? MEMBER_CONTAINER : MEMBER_NETWORK;
	if (selector.kind == SELECT_GROUP)
		assert_non_null(policy_group_add(policy, selector.name));
	return selector;
}

static struct port_range random_port(bool any)
{
	static const uint8_t protocols[] = { 0, 6, 17, 132 };
	struct port_range port = { .any_port = any && pick(3) == 0 };

	if (port.any_port) {
		port.proto = (uint8_t)(pick(255) + 1);
		return port;
	}
	port.proto = protocols[pick(ELEMENTSOF(protocols))];
	port.first = (uint16_t)(pick(65535) + 1);
	port.last = pick(2) ? port.first : (uint16_t)(port.first + pick(65536u - port.first));
	return port;
}

static void random_rule(struct member *rule, unsigned number)
{
	struct prefix *prefix = ARRAY_ADD(rule->source, rule->n_source);
	char text[PREFIX_TEXT_MAX];

	rule->kind = MEMBER_RULE;
	rule->interface = strdup(pick(2) ? "br-lan" : "wg0");
	snprintf(text, sizeof(text), pick(2) ? "10.%u.0.0/16" : "fd00:%u::/32", number);
	assert_int_equal(prefix_parse(text, prefix), 0);
	if (pick(2))
		assert_int_equal(addr_parse(prefix->addr.family == AF_INET ? "10.0.0.1" : "fe80::1", &rule->route_dst),
				 0);
}

static void random_test(struct policy *policy)
{
	struct test *test = ARRAY_ADD(policy->tests, policy->n_tests);

	test->from = random_selector(policy);
	test->to.selector = random_selector(policy);
	test->expect = pick(2) ? EXPECT_DROP : EXPECT_ACCEPT;
	test->to.has_port = pick(3) > 0 || (test->to.selector.name && strchr(test->to.selector.name, ':'));
	if (test->to.has_port) {
		test->to.port = random_port(true);
		test->to.port.last = test->to.port.first;
	}
}

static void random_member(struct policy *policy, unsigned number)
{
	static const unsigned policies[] = { 0,
					     POLICY_WAN,
					     POLICY_WAN | POLICY_DNS | POLICY_LAN,
					     POLICY_DISABLED,
					     POLICY_QUARANTINE | POLICY_DNS,
					     POLICY_API | POLICY_LAN_UPSTREAM,
					     POLICY_NOAPI };
	struct member *member = ARRAY_ADD(policy->members, policy->n_members);

	*member = (struct member){ .kind = (enum member_kind)pick(_MEMBER_KIND_MAX),
				   .name = random_name(false),
				   .isolate = -1 };
	member->policies = policies[pick(ELEMENTSOF(policies))];
	member->has_groups = pick(2);
	if (member->has_groups)
		random_words(&member->groups, &member->n_groups, policy);
	random_words(&member->tags, &member->n_tags, NULL);
	if (pick(3) == 0)
		member->comment = random_name(false);
	if (member->kind == MEMBER_NETWORK)
		member->isolate = (int)pick(3) - 1;
	if (member->kind == MEMBER_RULE)
		random_rule(member, number);
	for (unsigned i = member->kind == MEMBER_CONTAINER ? pick(3) : 0; i > 0; i--) {
		struct publish *publish = ARRAY_ADD(member->publish, member->n_publish);

		publish->port = random_port(false);
		for (unsigned j = pick(3); j > 0; j--) {
			struct selector selector = random_selector(policy);

			*ARRAY_ADD(publish->to, publish->n_to) = selector;
		}
	}
}

static void random_grant(struct policy *policy, struct grant *grant)
{
	*grant = (struct grant){ .from = random_selector(policy), .to = random_selector(policy) };
	for (unsigned i = pick(4); i > 0; i--)
		*ARRAY_ADD(grant->ports, grant->n_ports) = random_port(true);
	grant->expires = pick(3) == 0 ? (time_t)pick(1u << 31) * 100 + 1 :
			 pick(3) == 0 ? 86400 * (time_t)(pick(20000) + 1) :
					0;
	if (pick(3) == 0)
		grant->comment = random_name(false);
}

static struct policy *random_policy(void)
{
	struct policy *policy = policy_new();

	for (unsigned i = pick(4); i > 0; i--) {
		struct interface_entry *entry = ARRAY_ADD(policy->interfaces, policy->n_interfaces);

		entry->name = random_name(true);
		entry->role = (enum role)(pick(_ROLE_MAX - 1) + 1);
	}
	for (unsigned i = pick(6); i > 0; i--)
		random_member(policy, i);
	for (unsigned i = pick(4); i > 0; i--)
		random_grant(policy, ARRAY_ADD(policy->allow, policy->n_allow));
	for (unsigned i = pick(4); i > 0; i--)
		random_grant(policy, ARRAY_ADD(policy->block, policy->n_block));
	for (unsigned i = pick(4); i > 0; i--)
		random_test(policy);
	policy->settings.local_users = pick(2) ? LOCAL_USERS_ROOT : LOCAL_USERS_ALL;
	policy->settings.connections = pick(3) ? 4096 : pick(CONNECTIONS_MAX);
	policy->settings.labels = pick(2) ? LABELS_TRUST : LABELS_ASK;
	policy->settings.fast_path = (int)pick(2);
	for (unsigned i = pick(3); i > 0; i--) {
		struct dismissal *dismissal = ARRAY_ADD(policy->dismissed, policy->n_dismissed);

		if (asprintf(&dismissal->id, "%08x", pick(1u << 31)) < 0)
			abort();
		dismissal->comment = pick(2) ? random_name(false) : NULL;
	}
	return policy;
}

/* Whatever passes the check can be printed and read back; what does not is refused with a sentence. */
static void test_random(void **state)
{
	unsigned good = 0;

	for (unsigned i = 0; i < 5000; i++) {
		_cleanup_(policy_freep) struct policy *policy = NULL;
		struct error error = { 0 };

		seed = i;
		policy = random_policy();
		if (policy_check(policy, &error) < 0) {
			assert_int_equal(error.code, EINVAL);
			assert_int_not_equal(strlen(error.text), 0);
			continue;
		}
		good++;
		assert_round_trip(policy);
	}
	assert_true(good > 2500);
}

/* What code puts in by hand and no document could say. */
static void test_check_form(void **state)
{
	_cleanup_(policy_freep) struct policy *policy =
		parse("containers: [{name: web}]\nallow: [{from: web, to: lan}]");
	struct member *member = policy->members;
	struct grant *grant = policy->allow;
	struct error error = { 0 };

	assert_int_equal(policy_check(policy, &error), 0);
	assert_int_equal(policy_check(policy, NULL), 0);

	member->policies = POLICY_API | POLICY_NOAPI;
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	assert_string_equal(error.text,
			    "1:14: container 'web': the policies api and noapi contradict each other: keep one");
	member->policies = 1u << 20;
	assert_int_equal(policy_check(policy, NULL), -EINVAL);
	member->policies = 0;

	member->name[0] = '\n';
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	assert_string_equal(
		error.text,
		"1:14: container '?eb': the name '?eb' holds the character U+000A, which cannot be printed");
	member->name[0] = 'w';

	grant->expires = EXPIRES_MAX + (time_t)1;
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	assert_string_equal(error.text, "2:9: allow: the end is not between 1970 and the year 9999");
	grant->expires = EXPIRES_MAX;
	assert_round_trip(policy);
	grant->place.line = 0;
	memcpy(grant->from.name, "lan", 4);
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	assert_string_equal(error.text,
			    "allow: the name 'lan' means something else when it stands alone: use KIND:NAME");
	memcpy(grant->from.name, "a:b", 4);
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	assert_string_equal(error.text,
			    "allow: unknown kind 'a'; it can be one of: container, network, rule, group, tag");
	memcpy(grant->from.name, "web", 4);
	*ARRAY_ADD(grant->ports, grant->n_ports) = (struct port_range){ .first = 9, .last = 8 };
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	grant->n_ports = 0;
	policy->settings.connections = CONNECTIONS_MAX + 1;
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	policy->settings.connections = 0;
	assert_int_equal(policy_check(policy, &error), 0);
	policy_member_add(policy, MEMBER_CONTAINER, "x")->kind = MEMBER_RULE;
	assert_int_equal(policy_check(policy, &error), -EINVAL);
	assert_string_equal(error.text, "rule 'x': a rule needs an interface and at least one source");
}

static void test_edit(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new(), *copy = NULL;
	struct member *member = policy_member_add(policy, MEMBER_CONTAINER, "web");

	assert_ptr_equal(policy_member_add(policy, MEMBER_CONTAINER, "web"), member);
	assert_null(policy_member(policy, MEMBER_NETWORK, "web"));
	assert_null(policy_member_add(policy, MEMBER_RULE, "web"));
	assert_int_equal(member->isolate, -1);
	assert_int_equal(policy_word_add(&member->groups, &member->n_groups, "media"), 1);
	assert_int_equal(policy_word_add(&member->groups, &member->n_groups, "media"), 0);
	assert_int_equal(policy_word_add(&member->groups, &member->n_groups, "family"), 1);
	member->has_groups = true;
	assert_int_equal(policy_check(policy, NULL), -EINVAL);
	assert_non_null(policy_group_add(policy, "media"));
	assert_ptr_equal(policy_group_add(policy, "media"), policy_group(policy, "media"));
	assert_non_null(policy_group_add(policy, "family"));
	assert_int_equal(policy_check(policy, NULL), 0);
	copy = policy_copy(policy);
	assert_true(policy_word_cut(member->groups, &member->n_groups, "media"));
	assert_false(policy_word_cut(member->groups, &member->n_groups, "media"));
	assert_false(policy_equal(policy, copy));
	assert_round_trip(policy);
	random_grant(policy, ARRAY_ADD(policy->allow, policy->n_allow));
	policy_grant_clear(policy->allow);
	ARRAY_CUT(policy->allow, policy->n_allow, 0);
	ARRAY_ADD(member->publish, member->n_publish)->port = (struct port_range){ 6, false, 80, 80 };
	*ARRAY_ADD(member->publish->to, member->publish->n_to) = random_selector(policy);
	policy_publish_clear(member->publish);
	ARRAY_CUT(member->publish, member->n_publish, 0);
	policy_member_clear(member);
	ARRAY_CUT(policy->members, policy->n_members, 0);
	assert_round_trip(policy);
	assert_null(policy_free(NULL));
}

/* Each key of each section makes a difference, and places make none. */
static void test_equal(void **state)
{
	static const char *const texts[] = {
		"interfaces: [{name: a, role: lan}]",
		"interfaces: [{name: b, role: lan}]",
		"interfaces: [{name: a, role: other}]",
		"networks: [{name: a}]",
		"networks: [{name: a, isolate: true}]",
		"networks: [{name: a, isolate: false}]",
		"networks: [{name: a, comment: x}]",
		"containers: [{name: a}]",
		"containers: [{name: a, groups: []}]",
		"containers: [{name: a, tags: [b]}]",
		"containers: [{name: a, tags: [b, c]}]",
		"containers: [{name: a, tags: [c, b]}]",
		"containers: [{name: a, policies: [dns]}]",
		"containers: [{name: a, publish: [{port: 1, to: lan}]}]",
		"containers: [{name: a, publish: [{port: 1, to: host}]}]",
		"containers: [{name: a, publish: [{port: 1, to: container:host}]}]",
		"containers: [{name: a, publish: [{port: 1, to: network:host}]}]",
		"containers: [{name: a, publish: [{port: 1, to: tag:host}]}]",
		"containers: [{name: a, publish: [{port: 1/tcp, to: lan}]}]",
		"containers: [{name: a, publish: [{port: 1-2/tcp, to: lan}]}]",
		"containers: [{name: a}, {name: b}]",
		"containers: [{name: b}, {name: a}]",
		"rules: [{name: a, interface: x, source: 10.0.0.0/8}]",
		"rules: [{name: a, interface: y, source: 10.0.0.0/8}]",
		"rules: [{name: a, interface: x, source: 10.0.0.0/9}]",
		"rules: [{name: a, interface: x, source: 10.0.0.0/8, route_dst: 10.0.0.1}]",
		"groups: [{name: a}]",
		"allow: [{from: a, to: b}]",
		"block: [{from: a, to: b}]",
		"allow: [{from: a, to: b, ports: [1]}]",
		"allow: [{from: a, to: b, ports: [icmp]}]",
		"allow: [{from: a, to: b, expires: 2027-01-01}]",
		"allow: [{from: a, to: b, comment: x}]",
		"settings: {local_users: root}",
		"settings: {connections: 0}",
		"settings: {labels: trust}",
		"settings: {fast_path: true}",
		"dismissed: [{id: 0a1b2c3d}]",
		"dismissed: [{id: '12345678'}]",
		"dismissed: [{id: 0a1b2c3d, comment: x}]",
	};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_(policy_freep) struct policy *one = parse(texts[i]);

		for (size_t j = 0; j < ELEMENTSOF(texts); j++) {
			char text[200];
			_cleanup_(policy_freep) struct policy *two = NULL;

			snprintf(text, sizeof(text), "\n\n# lower\n%s\n", texts[j]);
			two = parse(text);
			assert_int_equal(policy_equal(one, two), i == j);
		}
		assert_round_trip(one);
	}
}

static void test_selectors(void **state)
{
	static const char *const texts[] = { "internet",      "upstream",
					     "lan",	      "host",
					     "nas",	      "group:family",
					     "tag:x",	      "container:jellyfin",
					     "container:a/b", "network:media_default",
					     "rule:home",     "container:lan",
					     "rule:a:b" };

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		struct selector selector, copy;
		_cleanup_free_ char *text = NULL;

		assert_int_equal(selector_parse(texts[i], &selector, NULL), 0);
		text = selector_print(&selector);
		assert_string_equal(text, texts[i]);
		assert_int_equal(selector_copy(&selector, &copy), 0);
		selector_clear(&selector);
		selector_clear(&copy);
		selector_clear(&copy);
	}
}

static void test_ports(void **state)
{
	static const struct {
		const char *text, *printed;
		struct port_range range;
	} ports[] = {
		{ "445/tcp", "445/tcp", { 6, false, 445, 445 } },
		{ "8000-8100/udp", "8000-8100/udp", { 17, false, 8000, 8100 } },
		{ "53", "53", { 0, false, 53, 53 } },
		{ "1-65535", "1-65535", { 0, false, 1, 65535 } },
		{ "80-80/tcp", "80/tcp", { 6, false, 80, 80 } },
		{ "10000-65535/udplite", "10000-65535/udplite", { 136, false, 10000, 65535 } },
		{ "7/proto:132", "7/sctp", { 132, false, 7, 7 } },
		{ "icmp", "icmp", { 1, true, 0, 0 } },
		{ "gre", "gre", { 47, true, 0, 0 } },
		{ "tcp", "tcp", { 6, true, 0, 0 } },
		{ "proto:47", "gre", { 47, true, 0, 0 } },
		{ "proto:255", "proto:255", { 255, true, 0, 0 } },
	};
	struct error error;

	for (size_t i = 0; i < ELEMENTSOF(ports); i++) {
		struct port_range range;
		char buffer[24];

		assert_int_equal(port_range_parse(ports[i].text, &range, &error), 0);
		assert_memory_equal(&range, &ports[i].range, sizeof(range));
		assert_string_equal(port_range_print(&range, buffer), ports[i].printed);
	}
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		time_t seconds;
	} durations[] = { { "90s", 90 },    { "5m", 300 },    { "2h", 7200 },
			  { "3d", 259200 }, { "1w", 604800 }, { "36500d", DURATION_MAX } };
	static const char *const bad[] = { "",	    "5",   "h",	 "0s",	   "-1h",
					   "1h30m", "1 h", "1y", "36501d", "99999999999999999999s",
					   "1H" };
	static const char *const times[] = { "2027-01-01", "2024-02-29",	   "2027-01-01T10:00:00Z",
					     "1970-01-02", "9999-12-31T23:59:59Z", "1970-01-01T00:00:01Z" };
	char buffer[24];
	time_t seconds;

	for (size_t i = 0; i < ELEMENTSOF(durations); i++) {
		assert_int_equal(duration_parse(durations[i].text, &seconds, NULL), 0);
		assert_int_equal(seconds, durations[i].seconds);
	}
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_int_equal(duration_parse(bad[i], &seconds, NULL), -EINVAL);
	for (size_t i = 0; i < ELEMENTSOF(times); i++) {
		assert_int_equal(expiry_parse(times[i], &seconds, NULL), 0);
		assert_string_equal(expiry_print(seconds, buffer), times[i]);
	}
	assert_int_equal(seconds, 1);
	assert_int_equal(expiry_parse("9999-12-31T23:59:59Z", &seconds, NULL), 0);
	assert_int_equal(seconds, EXPIRES_MAX);
}

static void test_words(void **state)
{
	char buffer[12];

	for (int bit = POLICY_WAN; bit <= POLICY_QUARANTINE; bit <<= 1)
		assert_int_equal(policy_bit_parse(policy_bit_name((enum policy_bit)bit), NULL), bit);
	for (int role = ROLE_UPLINK; role < _ROLE_MAX; role++)
		assert_int_equal(role_parse(role_name((enum role)role), NULL), role);
	assert_int_equal(role_parse("none", NULL), -EINVAL);
	assert_string_equal(role_name(ROLE_NONE), "none");
	assert_string_equal(member_kind_name(MEMBER_RULE), "rule");
	assert_string_equal(member_kind_name(_MEMBER_KIND_INVALID), "unknown");
	assert_string_equal(zone_name(ZONE_UPSTREAM), "upstream");
	assert_string_equal(zone_name(_ZONE_MAX), "unknown");
	assert_string_equal(proto_name(6, buffer), "tcp");
	assert_string_equal(proto_name(254, buffer), "proto:254");
}

/* Names from elsewhere than a document, where YAML has not looked at them before. */
static void test_names(void **state)
{
	static const char *const bad[] = { "\xff",
					   "a\x80",
					   "\xc3",
					   "\xe2\x82",
					   "\xf0\x9f\x90",
					   "\xc0\x80",
					   "\xed\xa0\x80",
					   "\xf4\x90\x80\x80",
					   "\xe0\x80\xaf",
					   "\x7f",
					   "\xef\xbf\xbf",
					   "",
					   " ",
					   "`a`" };
	struct error error = { 0 };

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		assert_int_equal(member_name_check(bad[i], &error), -EINVAL);
		assert_int_equal(group_name_check(bad[i], NULL), -EINVAL);
		assert_int_equal(interface_name_check(bad[i], NULL), -EINVAL);
	}
	assert_int_equal(member_name_check("caf\xc3\xa9\xff", &error), -EINVAL);
	assert_string_equal(error.text, "the name 'caf\xc3\xa9?' is not UTF-8 text");
	assert_int_equal(comment_check("it's \"fine\"", &error), 0);
	assert_int_equal(interface_name_check("br-0123456789ab", &error), 0);
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "internet", "upstream", NULL, "lan", "lan_upstream", "host", "" };
	static const struct {
		const char *word, *near;
	} cases[] = { { "internet", "internet" },
		      { "Internt", "internet" },
		      { "intrenet", "internet" },
		      { "nal", NULL },
		      { "LAN", "lan" },
		      { "lna", "lan" },
		      { "hots", "host" },
		      { "lanupstream", "lan_upstream" },
		      { "upstraem", "upstream" },
		      { "", NULL },
		      { "x", NULL },
		      { "quarantine", NULL } };
	char huge[1000];

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		const char *near = nearest(cases[i].word, words, ELEMENTSOF(words));

		if (cases[i].near)
			assert_string_equal(near, cases[i].near);
		else
			assert_null(near);
	}
	memset(huge, 'x', sizeof(huge));
	huge[sizeof(huge) - 1] = '\0';
	assert_null(nearest(huge, words, ELEMENTSOF(words)));
	assert_null(nearest("x", NULL, 0));
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Text of the size, of one part after the other; refused in a time that grows with the size only. */
static void assert_refused_fast(const char *start, const char *part, size_t size, int code)
{
	char *text = malloc(size + strlen(start) + strlen(part));
	size_t length = strlen(start);
	struct policy *policy = NULL;
	struct error error = { 0 };
	double begin;

	assert_non_null(text);
	strcpy(text, start);
	for (; length < size; length += strlen(part))
		memcpy(text + length, part, strlen(part));
	begin = now();
	assert_int_equal(policy_parse(text, length, "p", &policy, &error), -code);
	assert_null(policy);
	if (now() - begin > 30) /* seconds; one or two without sanitizers */
		fail_msg("%s...: %.1f seconds", part, now() - begin);
	free(text);
}

static void test_limits(void **state)
{
	size_t size = POLICY_TEXT_MAX - 100;

	assert_refused_fast("", "x", 100u << 20, E2BIG);
	assert_refused_fast("", "[", size, EINVAL);
	assert_refused_fast("", "{", size, EINVAL);
	assert_refused_fast("", "- ", size, EINVAL);
	assert_refused_fast("", "? ", size, EINVAL);
	assert_refused_fast("groups: [", "[],", size, EINVAL);
	assert_refused_fast("groups: [", "a,", size, EINVAL);
	assert_refused_fast("groups: [", "{name: a},", size / 2, EINVAL);
	assert_refused_fast("groups: [", "a: b, ", size, EINVAL);
	assert_refused_fast("a: \"", "\\x41", size, EINVAL);
	assert_refused_fast("a: '", "b\n", size, EINVAL);
	assert_refused_fast("", ":", size, EINVAL);
	assert_refused_fast("", "%TAG !a! b\n", size, EINVAL);
}

/* Anchors are refused, so nothing can grow. */
static void test_laughs(void **state)
{
	static const char text[] = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
				   "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
				   "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
				   "groups: *c\n";
	struct policy *policy = NULL;
	struct error error = { 0 };

	assert_int_equal(policy_parse(text, strlen(text), "p", &policy, &error), -EINVAL);
	assert_string_equal(error.text, "p:1:4: anchors (&name) are not used here: take it out");
}

/* Many members go through in time that grows with their number only. */
static void test_many(void **state)
{
	enum { N = 20000 };
	size_t room = N * 120, used = 0;
	_cleanup_free_ char *text = malloc(room);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	double begin = now();

	used += (size_t)sprintf(text, "groups:\n");
	for (int i = 0; i < N; i++)
		used += (size_t)sprintf(text + used, "- {name: g%d}\n", i);
	used += (size_t)sprintf(text + used, "containers:\n");
	for (int i = 0; i < N; i++)
		used += (size_t)sprintf(text + used, "- {name: c%d, policies: [wan], groups: [g%d, g%d]}\n", i, i,
					(i + 7) % N);
	assert_true(used < room);
	policy = parse(text);
	assert_int_equal(policy->n_members, N);
	assert_round_trip(policy);
	assert_true(now() - begin < 30);
}

#if CAN_FAIL_MALLOC
/* Everything once, with the n-th allocation failing. True when there were not so many. */
static bool run_without_memory(const char *text, const struct policy *whole, long n)
{
	struct policy *policy = NULL, *copy = NULL;
	struct error error = { 0 };
	char *printed = NULL;
	bool done;
	int r;

	allocations_left = n;
	r = policy_parse(text, strlen(text), "p", &policy, &error);
	copy = r < 0 ? NULL : policy_copy(policy);
	printed = copy ? policy_print(copy) : NULL;
	done = allocations_left > 0;
	allocations_left = -1;
	if (r < 0) {
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(error.code, ENOMEM);
		assert_null(policy);
	}
	if (copy)
		assert_true(policy_equal(copy, whole));
	if (printed) {
		_cleanup_(policy_freep) struct policy *back = parse(printed);

		assert_true(policy_equal(back, whole));
	}
	if (done)
		assert_non_null(printed);
	policy_free(policy);
	policy_free(copy);
	free(printed);
	return done;
}

/* Edits either happen or leave everything as it was. */
static bool edit_without_memory(long n)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct member *member = NULL;
	struct group *group;
	bool done;
	int r = 0;

	allocations_left = n;
	group = policy_group_add(policy, "media");
	member = policy_member_add(policy, MEMBER_NETWORK, "web");
	if (member)
		r = policy_word_add(&member->tags, &member->n_tags, "media");
	done = allocations_left > 0;
	allocations_left = -1;
	assert_int_equal(policy->n_groups, group ? 1 : 0);
	assert_int_equal(policy->n_members, member ? 1 : 0);
	if (member)
		assert_int_equal(member->n_tags, r == 1 ? 1 : 0);
	assert_int_equal(policy_check(policy, NULL), 0);
	return done;
}

/* For every n: no crash, no leak, and -ENOMEM or the right answer. */
static void test_no_memory(void **state)
{
	static const char text[] =
		"interfaces: [{name: a, role: lan}]\n"
		"containers: [{name: x, groups: [g, h], tags: [t, u], comment: c,\n"
		"  publish: [{port: 1, to: [lan, 'group:g']}, {port: 2, to: []}]}, {name: 'null'}]\n"
		"rules: [{name: r, interface: a, source: [10.0.0.0/8, 'fd00::/8'], policies: [wan]}]\n"
		"groups: [{name: g}, {name: h}]\n"
		"allow: [{from: rule:r, to: internet, ports: [1, 2-3/tcp]}]\n";
	_cleanup_(policy_freep) struct policy *whole = parse(text);

	for (int once = 0; once < 2; once++) {
		bool done = false;

		fails_once = once;
		for (long n = 1; !done; n++) {
			long before = allocations_live;

			done = run_without_memory(text, whole, n);
			if (allocations_live != before)
				fail_msg("allocation %ld: %ld are not freed", n, allocations_live - before);
		}
		for (long n = 1; !edit_without_memory(n); n++)
			;
	}
}
#endif

#ifndef TEST_SOURCE_ROOT
#define TEST_SOURCE_ROOT "."
#endif

static char *read_manual(void)
{
	char *text = calloc(1, 1 << 20);
	FILE *file = fopen(TEST_SOURCE_ROOT "/docs/man/spr-policy.5", "re");

	assert_non_null(text);
	assert_non_null(file);
	assert_in_range(fread(text, 1, (1 << 20) - 1, file), 1000, (1 << 20) - 2);
	fclose(file);
	return text;
}

/* Between ".Ss section" and the next heading, is there ".It Ic key"? */
static bool manual_has(const char *manual, const char *section, const char *key)
{
	char heading[64], item[64];
	const char *start, *subsection, *chapter, *found;

	snprintf(heading, sizeof(heading), "\n.Ss %s\n", section);
	snprintf(item, sizeof(item), "\n.It Ic %s\n", key);
	start = strstr(manual, heading);
	if (!start)
		return false;
	start += 2;
	subsection = strstr(start, "\n.Ss ");
	chapter = strstr(start, "\n.Sh ");
	found = strstr(start, item);
	return found && (!subsection || found < subsection) && (!chapter || found < chapter);
}

/* The manual has every key, with its default, and all of its examples parse. */
static void test_manual(void **state)
{
	_cleanup_free_ char *manual = read_manual();
	char *example = manual;
	int examples = 0;

	for (size_t i = 0; i < n_schema_sections; i++) {
		const struct schema_keys *keys = schema_sections[i].keys;

		for (size_t j = 0; j < keys->n_keys; j++) {
			if (!manual_has(manual, schema_sections[i].name, keys->keys[j].name))
				fail_msg("not in the manual: %s, %s", schema_sections[i].name, keys->keys[j].name);
			for (size_t k = 0; keys->keys[j].keys && k < keys->keys[j].keys->n_keys; k++)
				assert_true(manual_has(manual, "publish", keys->keys[j].keys->keys[k].name));
		}
	}
	while ((example = strstr(example, "\n.Bd -literal"))) {
		char *text = strchr(example + 1, '\n') + 1, *end = strstr(text, "\n.Ed");

		assert_non_null(end);
		end[1] = '\0';
		policy_free(parse(text));
		example = end + 2;
		examples++;
	}
	assert_true(examples >= 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_only_tightens),
		cmocka_unit_test(test_whole_document),
		cmocka_unit_test(test_styles),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_check_form),
		cmocka_unit_test(test_edit),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_laughs),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_manual),
#if CAN_FAIL_MALLOC
		cmocka_unit_test(test_no_memory),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
