/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "verdict/changes.h"

#define SENTENCES_MAX 50

/* "client port server port", as sshd(8) says it. */
static bool parse_ssh(const char *ssh, struct flow *ret)
{
	char client[ADDR_TEXT_MAX], server[ADDR_TEXT_MAX];
	unsigned client_port, server_port;

	*ret = (struct flow){ .proto = IPPROTO_TCP };
	if (sscanf(ssh, "%47s %u %47s %u", client, &client_port, server, &server_port) != 4 || client_port > 65535 ||
	    server_port > 65535 || addr_parse(client, &ret->from) < 0 || addr_parse(server, &ret->to) < 0)
		return false;
	ret->from_port = (uint16_t)client_port;
	ret->to_port = (uint16_t)server_port;
	ret->reply_from = ret->to;
	ret->reply_to = ret->from;
	ret->reply_from_port = ret->to_port;
	return true;
}

int lockout_check(const struct model *model, json_t *arguments, struct error *error)
{
	const char *ssh = json_string_value(json_object_get(arguments, "ssh"));
	const struct daemon daemon = { .inventory = (struct inventory *)model->inventory };
	struct decision decision;
	struct packet packet;
	struct flow flow;
	char client[ADDR_TEXT_MAX];

	if (argument_flag(arguments, "force") || !ssh || !parse_ssh(ssh, &flow) ||
	    !flow_packet(&daemon, &flow, &packet))
		return 0;
	verdict(model, &packet, &decision);
	if (decision.accept)
		return 0;
	return error_set(error, EPERM,
			 "this would cut your own session from %s (%s): allow it first, for example "
			 "`spr allow SOURCE host:%u/tcp`, or say --force",
			 addr_text(&flow.from, client), reason_info(decision.reason)->id, flow.to_port);
}

/* A bare name that fits two members is refused while it can be: at the change that says it. */
static int check_names(const struct model *model, struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < model->n_clauses && r >= 0; i++) {
		const struct clause *clause = &model->clauses[i];

		if (clause->labelled)
			continue; /* nobody's change is refused for what a label says */
		if (clause->kind != CAUSE_PUBLISH) {
			r = selector_ambiguous(model, &clause->grant->from, error);
			if (r >= 0)
				r = selector_ambiguous(model, &clause->grant->to, error);
			continue;
		}
		for (size_t k = 0; k < clause->publish->n_to && r >= 0; k++)
			r = selector_ambiguous(model, &clause->publish->to[k], error);
	}
	return r;
}

static bool may_more(const struct member *member)
{
	return member->n_groups || member->n_publish ||
	       member->policies & ~(unsigned)(POLICY_DISABLED | POLICY_QUARANTINE);
}

/* The --internal network that everything an entry stands for is in, or NULL. */
static const struct network *internal_of(const struct model *model, const struct member *member)
{
	const struct network *network = NULL;

	for (size_t i = 0; member->kind == MEMBER_NETWORK && i < model->inventory->n_networks; i++)
		if (model->inventory->networks[i].internal &&
		    strcmp(model->inventory->networks[i].name, member->name) == 0)
			return &model->inventory->networks[i];
	for (size_t i = 0; member->kind == MEMBER_CONTAINER && i < model->n_locations; i++) {
		if (model->locations[i].entry != member)
			continue;
		if (!model->locations[i].network->internal)
			return NULL;
		network = model->locations[i].network;
	}
	return network;
}

/* A member named in a grant is all in --internal networks: groups, tags and zones may have others. */
static const struct network *internal_named(const struct model *model, const struct selector *selector)
{
	const struct network *network = NULL;

	if (selector->kind != SELECT_MEMBER && selector->kind != SELECT_NAME)
		return NULL;
	for (size_t i = 0; i < model->n_locations; i++) {
		if (!selector_fits(model, selector, &model->locations[i], false))
			continue;
		if (!model->classes[model->locations[i].class].internal)
			return NULL;
		network = model->locations[i].network;
	}
	return network;
}

static const struct network *internal_in_clause(const struct model *model, const struct clause *clause)
{
	const struct network *network = NULL;

	if (clause->labelled)
		return NULL;
	if (clause->kind == CAUSE_ALLOW) {
		network = internal_named(model, &clause->grant->from);
		return network ? network : internal_named(model, &clause->grant->to);
	}
	for (size_t i = 0; clause->kind == CAUSE_PUBLISH && !network && i < clause->publish->n_to; i++)
		network = internal_named(model, &clause->publish->to[i]);
	return network;
}

/* --internal means its members and this machine, nothing else: a grant would be a promise that cannot be kept. */
static int check_internal(const struct model *model, struct error *error)
{
	for (size_t i = 0; i < model->policy->n_members; i++) {
		const struct member *member = &model->policy->members[i];
		const struct network *network = may_more(member) ? internal_of(model, member) : NULL;

		if (network)
			return error_set(
				error, EINVAL,
				"%s:%s is on the network %s, which was made with --internal: its containers and "
				"this machine reach each other and nothing else can be granted",
				member_kind_name(member->kind), member->name, network->name);
	}
	for (size_t i = 0; i < model->n_clauses; i++) {
		const struct network *network = internal_in_clause(model, &model->clauses[i]);

		if (network)
			return error_set(
				error, EINVAL,
				"'%s': the network %s was made with --internal: nothing can be granted to or from it",
				model->clauses[i].meaning, network->name);
	}
	return 0;
}

static json_t *sentences(char **list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n && i < SENTENCES_MAX; i++)
		json_array_append_new(array, json_text(list[i]));
	if (n > SENTENCES_MAX)
		sentence_add(array, "and %zu more", n - SENTENCES_MAX);
	return array;
}

static void summarise(const char *what, char **list, size_t n, char *buffer, size_t size)
{
	if (n == 0)
		snprintf(buffer, size, "%s nothing", what);
	else if (n == 1)
		snprintf(buffer, size, "%s %s", what, list[0]);
	else
		snprintf(buffer, size, "%s %s and %zu more", what, list[0], n - 1);
}

static json_t *describe(bool changed, const struct changes *changes)
{
	char opens[300], closes[300];
	_cleanup_free_ char *line = NULL;

	summarise("opens", changes->opens, changes->n_opens, opens, sizeof(opens));
	summarise("closes", changes->closes, changes->n_closes, closes, sizeof(closes));
	if (!changed)
		line = strdup("nothing changed");
	else if (changes->too_many)
		line = strdup("changed: too much to list");
	else if (asprintf(&line, "%s; %s", opens, closes) < 0)
		line = NULL;
	return json_pack("{s:b, s:o, s:o, s:o, s:o}", "changed", changed, "opens",
			 sentences(changes->opens, changes->n_opens), "closes",
			 sentences(changes->closes, changes->n_closes), "notes", json_array(), "line",
			 json_text(line ? line : ""));
}

/* A policy whose entries mean nothing yet is legal; say so, since a slip of the pen looks the same. */
static void note_absent(const struct model *model, json_t *notes)
{
	for (size_t i = 0; i < model->policy->n_members; i++) {
		const struct member *member = &model->policy->members[i];
		bool there = member->kind == MEMBER_RULE;

		for (size_t k = 0; k < model->n_locations && !there; k++)
			there = model->locations[k].entry == member;
		for (size_t k = 0; k < model->inventory->n_networks && !there; k++)
			there = member->kind == MEMBER_NETWORK &&
				strcmp(model->inventory->networks[k].name, member->name) == 0;
		if (!there)
			sentence_add(notes, "%s:%s is not there now: its entry takes effect when it appears",
				     member_kind_name(member->kind), member->name);
	}
}

static int save(struct daemon *daemon, const struct policy *policy, struct error *error)
{
	_cleanup_free_ char *text = policy_print(policy);

	return text ? store_write_policy(daemon->store, text, error) : error_memory(error);
}

/* Saved, then enforced: after a crash in between, the daemon starts with what was saved. */
static int commit(struct daemon *daemon, struct policy **policy, struct error *error)
{
	struct policy *before = daemon->policy;
	struct error second;
	int r = save(daemon, *policy, error);

	if (r < 0)
		return r;
	daemon->policy = *policy;
	r = daemon_refresh(daemon, error);
	if (r >= 0) {
		*policy = before; /* the caller frees it */
		return 0;
	}
	daemon->policy = before;
	if (save(daemon, before, &second) < 0 || daemon_refresh(daemon, &second) < 0)
		log_error("change", "while going back: %s", second.text);
	return error_wrap(error, "the change was taken back");
}

int daemon_change(struct daemon *daemon, struct policy *given, json_t *arguments, json_t **ret_result,
		  struct error *error)
{
	_cleanup_(policy_freep) struct policy *policy = given;
	_cleanup_(model_freep) struct model *model = NULL;
	_cleanup_json_ json_t *notes = json_array();
	struct changes changes = { 0 };
	bool changed = !policy_equal(daemon->policy, policy);
	int r = policy_check(policy, error);

	if (r >= 0)
		r = model_new(policy, daemon->inventory, daemon->book, time(NULL), &model, error);
	if (r >= 0)
		r = check_names(model, error);
	if (r >= 0)
		r = check_internal(model, error);
	if (r >= 0 && daemon->active)
		r = lockout_check(model, arguments, error);
	if (r >= 0 && model_changes(daemon->model, model, &changes) < 0)
		r = error_memory(error);
	if (r < 0)
		return r;
	note_absent(model, notes);
	if (!daemon->active)
		sentence_add(notes, "spr is not enforcing: the policy is kept for `spr up`");
	if (changed)
		r = commit(daemon, &policy, error);
	if (r >= 0) {
		*ret_result = describe(changed, &changes);
		json_object_set(*ret_result, "notes", notes);
	}
	changes_clear(&changes);
	return r;
}
