/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "api/message.h"
#include "base/array.h"
#include "daemon/daemon.h"
#include "policy/nearest.h"
#include "verdict/resolve.h"

/* The verbs that change the policy: each edits a copy and hands it to daemon_change(). */

static int required(json_t *arguments, const char *key, const char **ret, struct error *error)
{
	const char *text = NULL;
	int r = argument_text(arguments, key, &text, error);

	if (r < 0)
		return r;
	if (!text)
		return error_set(error, EINVAL, "\"%s\" is missing", key);
	*ret = text;
	return 0;
}

static bool is_known(const struct daemon *daemon, enum member_kind kind, const char *name)
{
	const struct inventory *inventory = daemon->inventory;

	if (policy_member(daemon->policy, kind, name))
		return true;
	for (size_t i = 0; kind == MEMBER_NETWORK && i < inventory->n_networks; i++)
		if (strcmp(inventory->networks[i].name, name) == 0)
			return true;
	for (size_t i = 0; kind == MEMBER_CONTAINER && i < inventory->n_containers; i++)
		if (container_named(&inventory->containers[i], name))
			return true;
	return false;
}

static int unknown_member(const struct daemon *daemon, const char *name, struct error *error)
{
	const struct inventory *inventory = daemon->inventory;
	const char **names = NULL, *near;
	size_t n = 0;

	for (size_t i = 0; i < inventory->n_containers; i++) {
		const char **slot = ARRAY_ADD(names, n);

		if (slot)
			*slot = inventory->containers[i].name;
	}
	for (size_t i = 0; i < inventory->n_networks; i++) {
		const char **slot = ARRAY_ADD(names, n);

		if (slot)
			*slot = inventory->networks[i].name;
	}
	near = nearest(name, names, n);
	free(names);
	return error_set(
		error, ENOENT,
		"there is no container, network or rule '%s'%s%s%s; for a container that comes later write container:%s",
		name, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "", name);
}

/* Which member a text means: "kind:name", or a bare name that fits one. */
static int find_member(const struct daemon *daemon, const char *text, enum member_kind *ret_kind, char **ret_name,
		       struct error *error)
{
	struct selector selector = { 0 };
	int found = 0, r = selector_parse(text, &selector, error);

	if (r < 0)
		return r;
	*ret_kind = selector.member_kind;
	for (int kind = 0; selector.kind == SELECT_NAME && kind < _MEMBER_KIND_MAX; kind++)
		if (is_known(daemon, (enum member_kind)kind, selector.name)) {
			*ret_kind = (enum member_kind)kind;
			found++;
		}
	if (selector.kind == SELECT_NAME && found == 0)
		r = unknown_member(daemon, selector.name, error);
	else if (found > 1)
		r = selector_ambiguous(daemon->model, &selector, error);
	else if (selector.kind != SELECT_NAME && selector.kind != SELECT_MEMBER)
		r = error_set(error, EINVAL, "'%s' is no container, network or rule", text);
	if (r >= 0 && *ret_kind == MEMBER_RULE && !policy_member(daemon->policy, MEMBER_RULE, selector.name))
		r = error_set(error, ENOENT, "there is no rule '%s': rules are made with `spr apply`", selector.name);
	if (r >= 0)
		*ret_name = TAKE_PTR(selector.name);
	selector_clear(&selector);
	return r;
}

/* A new entry replaces a default: it starts with the rights the member has now, so that nothing else changes. */
int member_take_default(const struct daemon *daemon, struct member *member)
{
	bool first = true;
	int r = 0;

	member->policies = POLICY_WAN | POLICY_DNS;
	for (size_t i = 0; member->kind == MEMBER_CONTAINER && i < daemon->model->n_locations && r >= 0; i++) {
		const struct location *location = &daemon->model->locations[i];
		const struct member *network;

		if (!location->container || !container_named(location->container, member->name))
			continue;
		if (location->labelled && first)
			r = policy_member_merge(member, location->entry);
		if (first)
			member->policies = location_policies(daemon->model, location);
		first = false;
		/* Tags too: a block may hang on one. */
		network = policy_member(daemon->policy, MEMBER_NETWORK, location->network->name);
		for (size_t k = 0; network && k < network->n_tags && r >= 0; k++)
			r = policy_word_add(&member->tags, &member->n_tags, network->tags[k]);
	}
	return r < 0 ? r : 0;
}

int member_take_groups(const struct daemon *daemon, struct member *member)
{
	int r = 0;

	if (member->kind != MEMBER_CONTAINER || member->has_groups)
		return 0;
	member->has_groups = true;
	for (size_t i = 0; i < daemon->model->n_locations && r >= 0; i++) {
		const struct location *location = &daemon->model->locations[i];
		_cleanup_free_ const char **groups = NULL;
		size_t n = 0;

		if (!location->container || !container_named(location->container, member->name))
			continue;
		r = location_groups(daemon->model, location, &groups, &n);
		for (size_t k = 0; k < n && r >= 0; k++)
			r = policy_word_add(&member->groups, &member->n_groups, groups[k]);
	}
	return r < 0 ? r : 0;
}

/* A copy of the policy and in it the member's entry, made when there is none. */
static int edit_member(struct daemon *daemon, json_t *arguments, struct policy **ret_policy, struct member **ret,
		       struct error *error)
{
	_cleanup_(policy_freep) struct policy *policy = policy_copy(daemon->policy);
	_cleanup_free_ char *name = NULL;
	const char *text = "";
	enum member_kind kind;
	struct member *member;
	int r = required(arguments, "member", &text, error);

	if (r >= 0)
		r = find_member(daemon, text, &kind, &name, error);
	if (r < 0)
		return r;
	if (!policy)
		return error_memory(error);
	member = policy_member(policy, kind, name);
	if (!member) {
		member = policy_member_add(policy, kind, name);
		if (!member)
			return error_memory(error);
		if (member_take_default(daemon, member) < 0)
			return error_memory(error);
	}
	*ret_policy = TAKE_PTR(policy);
	*ret = member;
	return 0;
}

static int edit_groups(struct api_request *request, json_t *arguments, bool join, json_t **ret_result,
		       struct error *error)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	struct member *member;
	json_t *groups, *item;
	size_t i;
	int r = argument_texts(arguments, "groups", &groups, error);

	if (r >= 0 && json_array_size(groups) == 0)
		r = error_set(error, EINVAL, "say which group");
	if (r >= 0)
		r = edit_member(daemon, arguments, &policy, &member, error);
	if (r < 0)
		return r;
	if (member_take_groups(daemon, member) < 0)
		return error_memory(error);
	json_array_foreach(groups, i, item) {
		const char *group = json_string_value(item);

		r = group_name_check(group, error);
		if (r < 0)
			return r;
		if (!join) {
			if (!policy_word_cut(member->groups, &member->n_groups, group))
				return error_set(error, ENOENT, "%s is not in group %s", member->name, group);
			continue;
		}
		if ((!policy_group(policy, group) && !policy_group_add(policy, group)) ||
		    policy_word_add(&member->groups, &member->n_groups, group) < 0)
			return error_memory(error);
	}
	return daemon_change(request, TAKE_PTR(policy), arguments, ret_result, error);
}

CALL(call_join)
{
	return edit_groups(request, arguments, true, ret_result, error);
}

CALL(call_leave)
{
	return edit_groups(request, arguments, false, ret_result, error);
}

static int edit_policies(struct api_request *request, json_t *arguments, bool grant, json_t **ret_result,
			 struct error *error)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	struct member *member;
	json_t *words, *item;
	unsigned bits = 0;
	size_t i;
	int r = argument_texts(arguments, "policies", &words, error);

	if (r >= 0 && json_array_size(words) == 0)
		r = error_set(error, EINVAL, "say which policy: wan, dns, lan, lan_upstream, disabled, quarantine");
	if (r < 0)
		return r;
	json_array_foreach(words, i, item) {
		r = policy_bit_parse(json_string_value(item), error);
		if (r < 0)
			return r;
		bits |= (unsigned)r;
	}
	r = edit_member(daemon, arguments, &policy, &member, error);
	if (r < 0)
		return r;
	if (!grant)
		member->policies &= ~bits;
	else if (bits & (POLICY_DISABLED | POLICY_QUARANTINE))
		member->policies = bits; /* these stand alone */
	else
		member->policies |= bits;
	return daemon_change(request, TAKE_PTR(policy), arguments, ret_result, error);
}

CALL(call_grant)
{
	return edit_policies(request, arguments, true, ret_result, error);
}

CALL(call_revoke)
{
	return edit_policies(request, arguments, false, ret_result, error);
}

static int parse_ports(json_t *arguments, struct grant *grant, struct error *error)
{
	json_t *ports = json_object_get(arguments, "ports"), *item;
	size_t i;
	int r = 0;

	if (!ports || json_is_null(ports))
		return 0;
	r = argument_texts(arguments, "ports", &ports, error);
	if (r < 0)
		return r;
	json_array_foreach(ports, i, item) {
		struct port_range *port = ARRAY_ADD(grant->ports, grant->n_ports);

		if (!port)
			return error_memory(error);
		r = port_range_parse(json_string_value(item), port, error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_grant(json_t *arguments, struct grant *ret, struct error *error)
{
	const char *from = "", *to = "", *comment = NULL;
	json_t *seconds = json_object_get(arguments, "for");
	int r = required(arguments, "from", &from, error);

	if (r >= 0)
		r = required(arguments, "to", &to, error);
	if (r >= 0)
		r = argument_text(arguments, "comment", &comment, error);
	if (r >= 0)
		r = selector_parse(from, &ret->from, error);
	if (r >= 0)
		r = selector_parse(to, &ret->to, error);
	if (r >= 0)
		r = parse_ports(arguments, ret, error);
	if (r < 0)
		return r;
	if (seconds && !json_is_null(seconds)) {
		if (!json_is_integer(seconds) || json_integer_value(seconds) <= 0)
			return error_set(error, EINVAL, "\"for\" has to be a number of seconds above 0");
		ret->expires = time(NULL) + (time_t)json_integer_value(seconds);
	}
	ret->comment = comment ? strdup(comment) : NULL;
	return comment && !ret->comment ? error_memory(error) : 0;
}

static bool same_selector(const struct selector *a, const struct selector *b)
{
	return a->kind == b->kind && (a->kind != SELECT_ZONE || a->zone == b->zone) &&
	       (a->kind != SELECT_MEMBER || a->member_kind == b->member_kind) &&
	       (a->name == b->name || (a->name && b->name && strcmp(a->name, b->name) == 0));
}

static bool same_ports(const struct port_range *a, size_t n_a, const struct port_range *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (a[i].proto != b[i].proto || a[i].any_port != b[i].any_port || a[i].first != b[i].first ||
		    a[i].last != b[i].last)
			return false;
	return true;
}

/* Removing without ports (`any_ports`) removes every grant between the two. */
static size_t remove_grants(struct grant *grants, size_t *n, const struct grant *like, bool any_ports)
{
	size_t removed = 0;

	for (size_t i = *n; i-- > 0;) {
		if (!same_selector(&grants[i].from, &like->from) || !same_selector(&grants[i].to, &like->to))
			continue;
		if (!any_ports && !same_ports(grants[i].ports, grants[i].n_ports, like->ports, like->n_ports))
			continue;
		policy_grant_clear(&grants[i]);
		array_cut(grants, n, sizeof(*grants), i);
		removed++;
	}
	return removed;
}

static int edit_grants(struct api_request *request, json_t *arguments, bool block, json_t **ret_result,
		       struct error *error)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = policy_copy(daemon->policy);
	struct grant grant = { 0 }, **list, *slot;
	size_t *n;
	int r;

	if (!policy)
		return error_memory(error);
	list = block ? &policy->block : &policy->allow;
	n = block ? &policy->n_block : &policy->n_allow;
	r = parse_grant(arguments, &grant, error);
	if (r >= 0 && argument_flag(arguments, "remove")) {
		if (remove_grants(*list, n, &grant, grant.n_ports == 0) == 0)
			r = error_set(error, ENOENT, "there is no such %s: `spr export` shows them",
				      block ? "block" : "allow");
		policy_grant_clear(&grant);
	} else if (r >= 0) {
		remove_grants(*list, n, &grant, false); /* said again: the new expiry and comment hold */
		slot = array_grow((void **)list, n, sizeof(**list));
		if (slot)
			*slot = grant;
		else
			r = error_memory(error);
	}
	if (r < 0) {
		policy_grant_clear(&grant);
		return r;
	}
	return daemon_change(request, TAKE_PTR(policy), arguments, ret_result, error);
}

CALL(call_allow)
{
	return edit_grants(request, arguments, false, ret_result, error);
}

CALL(call_block)
{
	return edit_grants(request, arguments, true, ret_result, error);
}

static struct publish *find_publish(struct member *member, const struct port_range *port)
{
	for (size_t i = 0; i < member->n_publish; i++)
		if (same_ports(&member->publish[i].port, 1, port, 1))
			return &member->publish[i];
	return NULL;
}

static int add_publish(struct member *member, const struct port_range *port, json_t *to, struct error *error)
{
	struct publish *publish = find_publish(member, port);
	json_t *item;
	size_t i;

	if (!publish) {
		publish = ARRAY_ADD(member->publish, member->n_publish);
		if (!publish)
			return error_memory(error);
		publish->port = *port;
	}
	json_array_foreach(to, i, item) {
		struct selector selector = { 0 }, *slot;
		bool there = false;
		int r = selector_parse(json_string_value(item), &selector, error);

		if (r < 0)
			return r;
		for (size_t k = 0; k < publish->n_to; k++)
			there = there || same_selector(&publish->to[k], &selector);
		slot = there ? NULL : ARRAY_ADD(publish->to, publish->n_to);
		if (slot)
			*slot = selector;
		else
			selector_clear(&selector);
		if (!there && !slot)
			return error_memory(error);
	}
	return 0;
}

static int cut_selectors(struct publish *publish, json_t *to, struct error *error)
{
	json_t *item;
	size_t i;

	json_array_foreach(to, i, item) {
		struct selector selector = { 0 };
		int r = selector_parse(json_string_value(item), &selector, error);

		if (r < 0)
			return r;
		for (size_t k = publish->n_to; k-- > 0;)
			if (same_selector(&publish->to[k], &selector)) {
				selector_clear(&publish->to[k]);
				ARRAY_CUT(publish->to, publish->n_to, k);
			}
		selector_clear(&selector);
	}
	return 0;
}

/* `port` NULL: of every port. An empty `to` takes the whole item away. */
static int cut_publish(struct member *member, const struct port_range *port, json_t *to, struct error *error)
{
	size_t cut = 0;

	for (size_t i = member->n_publish; i-- > 0;) {
		struct publish *publish = &member->publish[i];
		size_t before = publish->n_to;

		if (port && !same_ports(&publish->port, 1, port, 1))
			continue;
		if (json_array_size(to) > 0 && cut_selectors(publish, to, error) < 0)
			return -EINVAL;
		cut += json_array_size(to) == 0 || publish->n_to != before;
		if (json_array_size(to) == 0 || publish->n_to == 0) {
			policy_publish_clear(publish);
			ARRAY_CUT(member->publish, member->n_publish, i);
		}
	}
	return cut ? 0 : error_set(error, ENOENT, "%s has no such publish: `spr export` shows them", member->name);
}

/* Every port that the containers of this name publish now. */
static int publish_all(const struct daemon *daemon, struct member *member, json_t *to, struct error *error)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < daemon->inventory->n_containers && r >= 0; i++) {
		const struct container *container = &daemon->inventory->containers[i];

		if (!container_named(container, member->name))
			continue;
		for (size_t k = 0; k < container->n_ports && r >= 0; k++) {
			struct port_range port = { .proto = container->ports[k].proto,
						   .first = container->ports[k].host_port,
						   .last = container->ports[k].host_port };

			any = true;
			r = add_publish(member, &port, to, error);
		}
	}
	if (r >= 0 && !any)
		return error_set(error, ENOENT, "%s publishes no port now: say which with --port", member->name);
	return r;
}

CALL(call_publish)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_json_ json_t *none = json_array();
	json_t *to = json_object_get(arguments, "to") ? NULL : none;
	bool remove = argument_flag(arguments, "remove");
	struct port_range port = { 0 };
	struct member *member;
	const char *text = NULL;
	int r = to ? 0 : argument_texts(arguments, "to", &to, error);

	if (r >= 0)
		r = argument_text(arguments, "port", &text, error);
	if (r >= 0 && text)
		r = port_range_parse(text, &port, error);
	if (r >= 0)
		r = edit_member(daemon, arguments, &policy, &member, error);
	if (r < 0)
		return r;
	if (member->kind != MEMBER_CONTAINER)
		return error_set(error, EINVAL, "only a container publishes ports: %s is a %s", member->name,
				 member_kind_name(member->kind));
	if (!remove && json_array_size(to) == 0)
		return error_set(error, EINVAL, "say to whom: --to group:family, --to internet");
	if (remove)
		r = cut_publish(member, text ? &port : NULL, to, error);
	else
		r = text ? add_publish(member, &port, to, error) : publish_all(daemon, member, to, error);
	return r < 0 ? r : daemon_change(request, TAKE_PTR(policy), arguments, ret_result, error);
}

CALL(call_role)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = policy_copy(daemon->policy);
	struct interface_entry *entry = NULL;
	const char *name = "", *word = "";
	int role, r = required(arguments, "interface", &name, error);

	if (r >= 0)
		r = required(arguments, "role", &word, error);
	if (r < 0)
		return r;
	role = role_parse(word, error);
	if (role < 0)
		return role;
	for (size_t i = 0; policy && i < policy->n_interfaces; i++)
		if (strcmp(policy->interfaces[i].name, name) == 0)
			entry = &policy->interfaces[i];
	if (policy && !entry) {
		entry = ARRAY_ADD(policy->interfaces, policy->n_interfaces);
		if (entry)
			entry->name = strdup(name);
	}
	if (!entry || !entry->name)
		return error_memory(error);
	entry->role = (enum role)role;
	return daemon_change(request, TAKE_PTR(policy), arguments, ret_result, error);
}
