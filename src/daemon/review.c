/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>

#include "api/message.h"
#include "daemon/daemon.h"
#include "verdict/question.h"

/* Whether a policy that could be may be: names, promises that cannot be kept, its own tests, the caller's session. */

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

/* A flow into the container that the caller's session comes out of: a proxy or a terminal, which it may go through. */
struct way_in {
	const struct daemon *daemon;
	const struct model *model;
	struct addr container;
	struct flow lost; /* one that the model would cut */
};

static int look_at_way(const struct flow *flow, void *data)
{
	struct way_in *way = data;
	struct decision decision;
	struct packet packet;

	if (addr_compare(&flow->reply_from, &way->container) != 0 || !(flow->status & IPS_SEEN_REPLY) ||
	    !flow_packet(way->daemon, flow, &packet))
		return 0;
	verdict(way->model, &packet, &decision);
	if (decision.accept)
		return 0;
	if (way->daemon->active) {
		verdict(way->daemon->model, &packet, &decision);
		if (!decision.accept)
			return 0; /* it is on its way out already */
	}
	way->lost = *flow;
	return -ECANCELED;
}

static int check_way(const struct daemon *daemon, const struct model *model, const struct container *container,
		     const struct addr *addr, struct error *error)
{
	struct way_in way = { .daemon = daemon, .model = model, .container = *addr };
	char client[ADDR_TEXT_MAX];

	if (conntrack_each_of(daemon->conntrack, addr, 1, look_at_way, &way, error) >= 0 || !way.lost.proto)
		return 0;
	return error_set(error, EPERM,
			 "your session comes out of the container %s, and this would cut a connection into it, from %s "
			 "to port %u: allow that first, or say --force",
			 container->name, addr_text(&way.lost.from, client), way.lost.to_port);
}

/* Refuses a model that would cut the caller's own session. What nobody says, nobody looks for: a console has none. */
static int check_session(const struct daemon *daemon, const struct model *model, json_t *arguments, struct error *error)
{
	const char *ssh = json_string_value(json_object_get(arguments, "ssh"));
	struct decision decision;
	struct packet packet;
	struct flow flow;
	char client[ADDR_TEXT_MAX];

	if (argument_flag(arguments, "force") || !ssh || !parse_ssh(ssh, &flow) || !flow_packet(daemon, &flow, &packet))
		return 0;
	verdict(model, &packet, &decision);
	if (!decision.accept)
		return error_set(error, EPERM,
				 "this would cut your own session from %s (%s): allow it first, for example "
				 "`spr allow SOURCE host:%u/tcp`, or say --force",
				 addr_text(&flow.from, client), reason_info(decision.reason)->id, flow.to_port);
	if (decision.from && decision.from->container)
		return check_way(daemon, model, decision.from->container, &flow.from, error);
	return 0;
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

/* Where there is what an entry of the policy stands for. */
struct whereabouts {
	bool any;
	bool outside; /* some of it is in no --internal network */
	const struct network *internal; /* or NULL */
};

/* Of each entry, in their order; the caller's to free. NULL without memory. */
static struct whereabouts *whereabouts_find(const struct model *model)
{
	const struct member *entries = model->policy->members;
	struct whereabouts *all = calloc(model->policy->n_members + 1, sizeof(*all));

	for (size_t i = 0; all && i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];
		struct whereabouts *where;

		if (!location->entry || location->labelled)
			continue;
		where = &all[location->entry - entries];
		where->any = true;
		if (location->network && location->network->internal)
			where->internal = location->network;
		else
			where->outside = true;
	}
	return all;
}

/* The --internal network that everything an entry stands for is in, or NULL. */
static const struct network *internal_of(const struct model *model, const struct member *member,
					 const struct whereabouts *where)
{
	for (size_t i = 0; member->kind == MEMBER_NETWORK && i < model->inventory->n_networks; i++)
		if (model->inventory->networks[i].internal &&
		    strcmp(model->inventory->networks[i].name, member->name) == 0)
			return &model->inventory->networks[i];
	return member->kind == MEMBER_CONTAINER && !where->outside ? where->internal : NULL;
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

static bool has_internal(const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_networks; i++)
		if (inventory->networks[i].internal)
			return true;
	return false;
}

/* --internal means its members and this machine, nothing else: a grant would be a promise that cannot be kept. */
static int check_internal(const struct model *model, struct error *error)
{
	_cleanup_free_ struct whereabouts *where = NULL;

	if (!has_internal(model->inventory))
		return 0;
	where = whereabouts_find(model);
	if (!where)
		return error_memory(error);
	for (size_t i = 0; i < model->policy->n_members; i++) {
		const struct member *member = &model->policy->members[i];
		const struct network *network = may_more(member) ? internal_of(model, member, &where[i]) : NULL;

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

/* A test is said as the policy has it: the caller's file, or the line that it was read from. */
static int check_test(const struct model *model, const struct test *test, struct error *error)
{
	_cleanup_free_ char *from = selector_print(&test->from), *to = target_print(&test->to);
	struct test_result result;
	char one[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];

	if (!from || !to || model_test(model, test, &result) < 0)
		return error_memory(error);
	if (!result.failed)
		return 0;
	error_set(error, EPERM, "a test of the policy fails: %s -> %s is to be %s, and would be %s (%s: %s to %s)%s%s",
		  from, to, test->expect == EXPECT_ACCEPT ? "accepted" : "dropped",
		  result.decision.accept ? "accepted" : "dropped", reason_info(result.decision.reason)->id,
		  addr_text(&result.from.addr, one), addr_text(&result.to.addr, other), test->comment ? "; " : "",
		  test->comment ? test->comment : "");
	return test->place.line ? error_wrap(error, "%u:%u", test->place.line, test->place.column) : -EPERM;
}

static int check_tests(const struct model *model, struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < model->policy->n_tests && r >= 0; i++)
		r = check_test(model, &model->policy->tests[i], error);
	return r;
}

int review(const struct daemon *daemon, const struct model *model, bool enforced, json_t *arguments,
	   struct error *error)
{
	int r = check_names(model, error);

	if (r >= 0)
		r = check_internal(model, error);
	if (r >= 0)
		r = check_tests(model, error);
	if (r >= 0 && enforced)
		r = check_session(daemon, model, arguments, error);
	return r;
}

void review_failing_tests(const struct daemon *daemon, json_t *notes)
{
	struct error error;

	for (size_t i = 0; i < daemon->policy->n_tests; i++)
		if (check_test(daemon->model, &daemon->policy->tests[i], &error) < 0)
			sentence_add(notes, "%s", error.text);
}

/* A policy whose entries mean nothing yet is legal; say so, since a slip of the pen looks the same. */
void review_absent(const struct model *model, json_t *notes)
{
	_cleanup_free_ struct whereabouts *where = whereabouts_find(model);

	for (size_t i = 0; where && i < model->policy->n_members; i++) {
		const struct member *member = &model->policy->members[i];
		bool there = member->kind == MEMBER_RULE || where[i].any;

		for (size_t k = 0; k < model->inventory->n_networks && !there; k++)
			there = member->kind == MEMBER_NETWORK &&
				strcmp(model->inventory->networks[k].name, member->name) == 0;
		if (!there)
			sentence_add(notes, "%s:%s is not there now: its entry takes effect when it appears",
				     member_kind_name(member->kind), member->name);
	}
	for (size_t i = 0; i < model->policy->n_tests; i++) {
		const struct test *test = &model->policy->tests[i];
		_cleanup_free_ char *from = selector_print(&test->from), *to = target_print(&test->to);
		struct test_result result;

		if (from && to && model_test(model, test, &result) >= 0 && result.n_pairs == 0)
			sentence_add(notes, "the test %s -> %s tries nothing now: nobody that it names is there", from,
				     to);
	}
}
