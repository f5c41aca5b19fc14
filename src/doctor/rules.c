/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "doctor/exam.h"
#include "ruleset/compile.h"

/* Rules of others in the kernel that take packets away from ours, or change them first. */

#define PLACE_MAX 1024

/* A table or chain of nft's JSON as a key. */
static const char *key_of(const json_t *object, const char *name, char buffer[PLACE_MAX])
{
	const char *family = json_string_value(json_object_get(object, "family"));
	const char *table = json_string_value(json_object_get(object, "table"));

	snprintf(buffer, PLACE_MAX, "%s %s %s", family ? family : "?", table ? table : "?", name ? name : "");
	return buffer;
}

static bool is_ours(const json_t *object)
{
	const char *table = json_string_value(json_object_get(object, "table"));

	return table && (strcmp(table, NFT_TABLE) == 0 || strcmp(table, NFT_TABLE_OWNED) == 0);
}

static bool before_routing(const json_t *chain)
{
	const char *hook = json_string_value(json_object_get(chain, "hook"));

	return hook && (strcmp(hook, "prerouting") == 0 || strcmp(hook, "ingress") == 0);
}

/*
 * Where rules stand: each base chain by its key, and of each table whether it has a chain before routing; then a chain
 * without a hook may be reached from there.
 */
static json_t *places_of(const json_t *nft)
{
	json_t *places = json_object(), *entry;
	char key[PLACE_MAX];
	size_t i;

	json_array_foreach((json_t *)nft, i, entry) {
		json_t *chain = json_object_get(entry, "chain");

		if (!places || !json_string_value(json_object_get(chain, "hook")))
			continue;
		key_of(chain, json_string_value(json_object_get(chain, "name")), key);
		json_object_set(places, key, chain);
		if (before_routing(chain))
			json_object_set(places, key_of(chain, NULL, key), chain);
	}
	return places;
}

/* The chain that a rule runs in, or may be reached from, when that is before routing. */
static const json_t *early_place(const json_t *places, const json_t *rule)
{
	char key[PLACE_MAX];
	const json_t *base;

	key_of(rule, json_string_value(json_object_get(rule, "chain")), key);
	base = json_object_get(places, key);
	if (base)
		return before_routing(base) ? base : NULL;
	return json_object_get(places, key_of(rule, NULL, key));
}

static bool changes_address(const json_t *mangle)
{
	const json_t *payload = json_object_get(json_object_get(mangle, "key"), "payload");
	const char *field = json_string_value(json_object_get(payload, "field"));

	return json_is_object(payload) && (!field || strcmp(field, "saddr") == 0 || strcmp(field, "daddr") == 0);
}

/* What a statement does that spr does not see; NULL for the others. */
static const char *statement_deed(const json_t *statement)
{
	if (json_object_get(statement, "notrack"))
		return "takes packets out of connection tracking (notrack): replies to what spr accepts are judged as "
		       "if they were new, and flows cannot be ended or counted";
	if (json_object_get(statement, "fwd"))
		return "sends packets on (fwd) before spr has seen them";
	if (json_object_get(statement, "dup"))
		return "sends copies of packets on (dup) that spr does not judge";
	if (changes_address(json_object_get(statement, "mangle")))
		return "rewrites addresses: spr judges what they become, not who sent the packet";
	return NULL;
}

/* Each deed of a chain once. */
static void report_deed(struct exam *exam, json_t *seen, const json_t *rule, const char *deed)
{
	const char *chain = json_string_value(json_object_get(rule, "chain"));
	char place[PLACE_MAX], key[2 * PLACE_MAX];

	key_of(rule, NULL, place);
	place[strlen(place) - 1] = '\0'; /* the blank before no name */
	snprintf(key, sizeof(key), "%s %s %s", place, chain ? chain : "?", deed);
	if (json_object_get(seen, key))
		return;
	json_object_set_new(seen, key, json_true());
	found(exam, SEVERITY_WARNING, "take the rule away, or narrow it to what spr need not judge",
	      "a rule in table %s, chain %s %s", place, chain ? chain : "?", deed);
}

void check_early_rules(struct exam *exam)
{
	const json_t *nft = exam_nft(exam);
	_cleanup_(json_decrefp) json_t *places = nft ? places_of(nft) : NULL, *seen = json_object();
	json_t *entry, *statement;
	size_t i, k;

	json_array_foreach((json_t *)nft, i, entry) {
		const json_t *rule = json_object_get(entry, "rule");

		if (!rule || is_ours(rule) || !early_place(places, rule))
			continue;
		json_array_foreach(json_object_get(rule, "expr"), k, statement) {
			const char *deed = statement_deed(statement);

			if (deed)
				report_deed(exam, seen, rule, deed);
		}
	}
}

void check_flowtables(struct exam *exam)
{
	const json_t *nft = exam_nft(exam);
	struct names names = { 0 };
	json_t *entry, *statement;
	char key[PLACE_MAX];
	size_t i, k;

	json_array_foreach((json_t *)nft, i, entry) {
		const json_t *rule = json_object_get(entry, "rule");

		json_array_foreach(json_object_get(rule, "expr"), k, statement)
			if (json_object_get(statement, "flow"))
				names_add(&names, key_of(rule, json_string_value(json_object_get(rule, "chain")), key));
	}
	if (names.n)
		found(exam, SEVERITY_WARNING, "take the `flow add` rules away, or keep container networks out of them",
		      "established flows are put into a flowtable (%s): their packets pass by spr, which no longer judges "
		      "each of them",
		      names.text);
}

static const struct iptables {
	const char *save, *tables; /* tables: what the kernel lists of the legacy kind; NULL for the nft kind */
} iptables[] = {
	{ "iptables-legacy-save", "/proc/net/ip_tables_names" },
	{ "ip6tables-legacy-save", "/proc/net/ip6_tables_names" },
	{ "iptables-nft-save", NULL },
	{ "ip6tables-nft-save", NULL },
};

/* The listing of one kind: NULL when there is none, or no such rules; that it failed is said. */
static char *listing_of(struct exam *exam, const struct iptables *kind)
{
	const char *const command[] = { kind->save, NULL };
	_cleanup_free_ char *tables = NULL;
	char *text = NULL;
	size_t length;
	int r;

	if (kind->tables && (exam_read(exam, kind->tables, &tables, NULL) < 0 || !*tables))
		return NULL;
	r = exam->doctor->system->run(command, &text, &length);
	if (r == 0)
		return text;
	if (r != -ENOENT || kind->tables) /* where there are legacy tables, somebody has to list them */
		unchecked(exam, "%s: %s", kind->save,
			  r == -ENOENT ? "not installed" :
			  r == -EIO    ? "it failed" :
					 strerror(-r));
	return NULL;
}

static char *next_line(char **rest)
{
	return *rest ? strsep(rest, "\n") : NULL;
}

void check_iptables_notrack(struct exam *exam)
{
	for (size_t i = 0; i < ELEMENTSOF(iptables); i++) {
		_cleanup_free_ char *listing = listing_of(exam, &iptables[i]);
		char *rest = listing, *line;

		while ((line = next_line(&rest)))
			if (strncmp(line, "-A ", 3) == 0 && strncmp(line, "-A OUTPUT ", 10) != 0 &&
			    (strstr(line, " -j CT --notrack") || strstr(line, " -j NOTRACK"))) {
				found(exam, SEVERITY_WARNING, "take it away, or narrow it to what spr need not judge",
				      "a rule takes packets out of connection tracking, so that spr judges replies as if "
				      "they were new, and cannot end flows (%s): %s",
				      iptables[i].save, line);
				break;
			}
	}
}

static bool has_rules(const char *listing)
{
	return listing && (strncmp(listing, "-A ", 3) == 0 || strstr(listing, "\n-A "));
}

void check_iptables_both(struct exam *exam)
{
	bool rules[2] = { false, false }; /* legacy, nft */

	for (size_t i = 0; i < ELEMENTSOF(iptables); i++) {
		_cleanup_free_ char *listing = listing_of(exam, &iptables[i]);

		rules[!iptables[i].tables] |= has_rules(listing);
	}
	if (rules[0] && rules[1])
		found(exam, SEVERITY_NOTICE,
		      "decide for one: update-alternatives --set iptables /usr/sbin/iptables-nft, and restart Docker",
		      "there are rules of iptables-legacy and of iptables-nft: both hold, and `iptables -S` shows one "
		      "kind only");
}

bool doctor_accepts_ours(const char *rule)
{
	char saved[64], listed[64];

	snprintf(saved, sizeof(saved), "--mark 0x%x/0x%x", ACCEPT_BIT, ACCEPT_BIT);
	snprintf(listed, sizeof(listed), "mark & 0x%08x == 0x%08x", ACCEPT_BIT, ACCEPT_BIT);
	return (strstr(rule, saved) && strstr(rule, "-j ACCEPT")) || (strstr(rule, listed) && strstr(rule, "accept"));
}

enum docker_user { NO_DOCKER, NO_CHAIN, NO_RULE, RULE_THERE };

static enum docker_user docker_user_state(char *listing)
{
	enum docker_user state = NO_DOCKER;
	char *rest = listing, *line;

	while ((line = next_line(&rest))) {
		enum docker_user is = NO_DOCKER;

		if (strncmp(line, "-A DOCKER-USER ", 15) == 0 && doctor_accepts_ours(line))
			is = RULE_THERE;
		else if (strncmp(line, ":DOCKER-USER ", 13) == 0)
			is = NO_RULE;
		else if (strncmp(line, ":DOCKER-ISOLATION-", 18) == 0 || strncmp(line, ":DOCKER-FORWARD ", 16) == 0)
			is = NO_CHAIN;
		state = is > state ? is : state;
	}
	return state;
}

void check_docker_user(struct exam *exam)
{
	for (size_t i = 0; i < ELEMENTSOF(iptables) && exam_active(exam); i++) {
		_cleanup_free_ char *listing = listing_of(exam, &iptables[i]);
		enum docker_user state = docker_user_state(listing);

		if (state == NO_RULE)
			found(exam, SEVERITY_WARNING,
			      "systemctl restart sprd; if that does not help, iptables in the PATH of sprd is another "
			      "one than Docker's",
			      "the chain DOCKER-USER lacks the rule that accepts what spr accepted (%s): Docker's own "
			      "rules may still drop it",
			      iptables[i].save);
		else if (state == NO_CHAIN)
			found(exam, SEVERITY_WARNING, "docker network create spr-again; docker network rm spr-again",
			      "Docker's rules are there without its chain DOCKER-USER, where spr tells what it accepted "
			      "(%s): Docker may still drop it. Some versions make the chain only with a new network",
			      iptables[i].save);
	}
}
