/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "property.h"

/*
 * What a story can do without, numbered from 0 in each part: a cut takes the n-th away and returns false when there
 * are not as many.
 */

struct count {
	size_t left;
	bool done;
};

static bool due(struct count *count)
{
	if (count->done || count->left-- > 0)
		return false;
	count->done = true;
	return true;
}

#define CUT_EACH(count, items, n, clear)                                                                               \
	for (size_t _i = 0; _i < (n) && !(count)->done; _i++)                                                          \
		if (due(count)) {                                                                                      \
			clear(&(items)[_i]);                                                                           \
			ARRAY_CUT(items, n, _i);                                                                       \
		}

static void text_clear(char **text)
{
	free(*text);
}

static void group_clear(struct group *group)
{
	free(group->name);
}

static void entry_clear(struct interface_entry *entry)
{
	free(entry->name);
}

static void nothing_clear(const void *item)
{
}

/* Whole lists at once. */
static void cut_list(struct count *count, struct policy *policy)
{
	if (policy->n_allow && due(count))
		while (policy->n_allow)
			policy_grant_clear(&policy->allow[--policy->n_allow]);
	if (policy->n_block && due(count))
		while (policy->n_block)
			policy_grant_clear(&policy->block[--policy->n_block]);
	if (policy->n_interfaces && due(count))
		while (policy->n_interfaces)
			entry_clear(&policy->interfaces[--policy->n_interfaces]);
	if (policy->n_members && due(count))
		while (policy->n_members)
			policy_member_clear(&policy->members[--policy->n_members]);
}

static void cut_entry(struct count *count, struct policy *policy)
{
	CUT_EACH(count, policy->members, policy->n_members, policy_member_clear)
	CUT_EACH(count, policy->allow, policy->n_allow, policy_grant_clear)
	CUT_EACH(count, policy->block, policy->n_block, policy_grant_clear)
	CUT_EACH(count, policy->interfaces, policy->n_interfaces, entry_clear)
	CUT_EACH(count, policy->groups, policy->n_groups, group_clear)
}

static void cut_member(struct count *count, struct member *member)
{
	if (member->n_publish > 1 && due(count))
		while (member->n_publish)
			policy_publish_clear(&member->publish[--member->n_publish]);
	for (unsigned bit = 1; bit <= POLICY_QUARANTINE; bit <<= 1)
		if (member->policies & bit && due(count))
			member->policies &= ~bit;
	CUT_EACH(count, member->groups, member->n_groups, text_clear)
	CUT_EACH(count, member->tags, member->n_tags, text_clear)
	CUT_EACH(count, member->publish, member->n_publish, policy_publish_clear)
	for (size_t i = 0; i < member->n_publish && !count->done; i++)
		if (member->publish[i].n_to > 1)
			CUT_EACH(count, member->publish[i].to, member->publish[i].n_to, selector_clear)
	if (member->n_source > 1)
		CUT_EACH(count, member->source, member->n_source, nothing_clear)
	if (member->isolate >= 0 && due(count))
		member->isolate = -1;
	if (member->has_groups && !member->n_groups && due(count))
		member->has_groups = false;
}

static void cut_grant(struct count *count, struct grant *grant)
{
	CUT_EACH(count, grant->ports, grant->n_ports, nothing_clear)
	if (grant->expires && due(count))
		grant->expires = 0;
}

static void cut_detail(struct count *count, struct policy *policy)
{
	struct policy *plain = policy_new();

	MUST(plain);
	for (size_t i = 0; i < policy->n_members; i++)
		cut_member(count, &policy->members[i]);
	for (size_t i = 0; i < policy->n_allow; i++)
		cut_grant(count, &policy->allow[i]);
	for (size_t i = 0; i < policy->n_block; i++)
		cut_grant(count, &policy->block[i]);
	if (policy->settings.connections != plain->settings.connections && due(count))
		policy->settings.connections = plain->settings.connections;
	if (policy->settings.local_users != plain->settings.local_users && due(count))
		policy->settings.local_users = plain->settings.local_users;
	if (policy->settings.labels != plain->settings.labels && due(count))
		policy->settings.labels = plain->settings.labels;
	policy_free(plain);
}

static bool cut_policies(struct story *story, size_t n, void (*cut)(struct count *, struct policy *))
{
	struct count count = { n, false };

	for (size_t i = 0; i < story->n_epochs && !count.done; i++)
		cut(&count, story->epochs[i].policy);
	return count.done;
}

bool cut_lists(struct story *story, size_t n)
{
	return cut_policies(story, n, cut_list);
}

bool cut_entries(struct story *story, size_t n)
{
	return cut_policies(story, n, cut_entry);
}

bool cut_details(struct story *story, size_t n)
{
	return cut_policies(story, n, cut_detail);
}

/* The n-th packet; the last one is what it is about. */
bool cut_records(struct story *story, size_t n)
{
	if (n + 1 >= story->n_records)
		return false;
	ARRAY_CUT(story->records, story->n_records, n);
	return true;
}

/* All packets under the policy and engines of a later one. */
bool cut_epochs(struct story *story, size_t n)
{
	size_t last = story->records[story->n_records - 1].epoch;

	for (size_t i = 0; i < story->n_records; i++) {
		struct record *record = &story->records[i];

		if (record->epoch == last || n-- > 0)
			continue;
		for (size_t k = i; k < story->n_records && story->records[k].epoch != last; k++)
			story->records[k].epoch = story->records[k + 1].epoch;
		return true;
	}
	return false;
}

static void drop_network(struct inventory *engine, size_t i)
{
	_cleanup_free_ char *id = strdup(engine->networks[i].id);

	MUST(id);
	inventory_drop_network(engine, "docker", id);
}

static void drop_container(struct inventory *engine, size_t i)
{
	_cleanup_free_ char *id = strdup(engine->containers[i].id);

	MUST(id);
	inventory_drop_endpoints(engine, NULL, id);
	inventory_drop_container(engine, "docker", id);
}

static void cut_container(struct count *count, struct inventory *engine, size_t i)
{
	struct container *container = &engine->containers[i];

	CUT_EACH(count, container->ports, container->n_ports, nothing_clear)
	if (container->n_requests && due(count)) {
		requests_free(container->requests, container->n_requests);
		container->requests = NULL;
		container->n_requests = 0;
	}
}

static void cut_engine(struct count *count, struct epoch *epoch)
{
	struct inventory *engine = epoch->engine;

	for (size_t i = 0; i < engine->n_networks && !count->done; i++)
		if (due(count))
			drop_network(engine, i);
	for (size_t i = 0; i < engine->n_containers && !count->done; i++)
		if (due(count))
			drop_container(engine, i);
	for (size_t i = 0; i < engine->n_endpoints && !count->done; i++)
		if (due(count))
			inventory_cut_endpoint(engine, i);
	for (size_t i = 0; i < engine->n_containers && !count->done; i++)
		cut_container(count, engine, i);
	CUT_EACH(count, epoch->forwards, epoch->n_forwards, nothing_clear)
	if (engine->resolver.family && due(count))
		engine->resolver = (struct addr){ 0 };
}

bool cut_engines(struct story *story, size_t n)
{
	struct count count = { n, false };

	for (size_t i = 0; i < story->n_epochs && !count.done; i++)
		cut_engine(&count, &story->epochs[i]);
	return count.done;
}

/* An interface, and the networks on it. */
bool cut_nics(struct story *story, size_t n)
{
	if (n >= story->n_nics || story->n_nics == 1)
		return false;
	for (size_t i = 0; i < story->n_epochs; i++) {
		struct inventory *engine = story->epochs[i].engine;

		for (size_t k = engine->n_networks; k > 0; k--)
			if (strcmp(engine->networks[k - 1].bridge, story->nics[n].name) == 0)
				drop_network(engine, k - 1);
	}
	ARRAY_CUT(story->nics, story->n_nics, n);
	return true;
}
