/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/proposals.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"

struct list {
	const struct model *model;
	struct proposal *items;
	size_t n;
};

const char *proposal_kind_name(enum proposal_kind kind)
{
	return kind == PROPOSAL_LABEL ? "label" : "unknown";
}

static void proposal_clear(struct proposal *proposal)
{
	free(proposal->who);
	asked_clear(&proposal->asked);
	free(proposal->what);
	free(proposal->missing);
	free(proposal->refused);
	*proposal = (struct proposal){ 0 };
}

struct proposal *proposals_free(struct proposal *proposals, size_t n)
{
	for (size_t i = 0; i < n; i++)
		proposal_clear(&proposals[i]);
	free(proposals);
	return NULL;
}

static bool name_fits(const struct container *container, const char *name)
{
	return strcmp(name, "?") != 0 && member_name_check(name, NULL) == 0 && container_named(container, name);
}

/* The entry that there is; else the service, which outlives its containers; else the container's own name. */
static char *who_of(const struct model *model, const struct container *container)
{
	const struct member *entry = container_entry(model, container);
	char *name;

	if (entry)
		return strdup(entry->name);
	if (container->project && container->service && !container->image_labels) {
		if (asprintf(&name, "%s/%s", container->project, container->service) < 0)
			return NULL;
		if (name_fits(container, name))
			return name;
		free(name);
	}
	return strdup(container->name);
}

/* FNV-1a. It tells requests apart and sees that one has changed; it is no seal. */
static void id_make(struct proposal *proposal)
{
	const char *parts[] = { proposal_kind_name(proposal->kind), proposal->image ? "image" : "own", proposal->who,
				proposal->what };
	uint64_t value = 0xcbf29ce484222325u;

	for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
		for (const char *at = parts[i]; *at; at++)
			value = (value ^ (uint8_t)*at) * 0x100000001b3u;
		value = (value ^ '\n') * 0x100000001b3u;
	}
	snprintf(proposal->id, sizeof(proposal->id), "%08x", (uint32_t)(value ^ value >> 32));
}

static bool is_dismissed(const struct policy *policy, const char *id)
{
	for (size_t i = 0; i < policy->n_dismissed; i++)
		if (strcmp(policy->dismissed[i].id, id) == 0)
			return true;
	return false;
}

/* Takes what the proposal points to. Containers of one service ask once. */
static int list_add(struct list *list, struct proposal *proposal)
{
	struct proposal *slot;

	id_make(proposal);
	proposal->dismissed = is_dismissed(list->model->policy, proposal->id);
	for (size_t i = 0; i < list->n; i++) {
		struct proposal *other = &list->items[i];

		if (other->image == proposal->image && strcmp(other->who, proposal->who) == 0 &&
		    strcmp(other->what, proposal->what) == 0) {
			if (proposal->since && proposal->since < other->since)
				other->since = proposal->since;
			proposal_clear(proposal);
			return 0;
		}
	}
	slot = ARRAY_ADD(list->items, list->n);
	if (!slot) {
		proposal_clear(proposal);
		return -ENOMEM;
	}
	*slot = *proposal;
	return 0;
}

/* `said` NULL: the container as a whole. */
static int add_refused(struct list *list, const struct container *container, const struct request *said, bool image,
		       const char *why)
{
	struct proposal proposal = { .image = image, .since = container->created };
	int r;

	proposal.who = who_of(list->model, container);
	proposal.refused = strdup(why);
	proposal.missing = strdup("");
	r = said ? asprintf(&proposal.what, LABEL_PREFIX "%s=%s", said->key, said->text ? said->text : "?") :
		   asprintf(&proposal.what, "labels");
	if (r < 0)
		proposal.what = NULL;
	if (!proposal.who || !proposal.refused || !proposal.missing || !proposal.what) {
		proposal_clear(&proposal);
		return -ENOMEM;
	}
	return list_add(list, &proposal);
}

/* What a container without an entry may do now; false where it has no place, or not the same in all of them. */
static int rights_now(const struct model *model, const struct container *container, struct member *ret)
{
	const struct location *first = NULL;
	const char **groups = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < model->n_singles; i++) {
		const struct location *location = &model->locations[i];

		if (location->container != container)
			continue;
		if (first && location_policies(model, location) != ret->policies)
			return 0;
		first = first ? first : location;
		ret->policies = location_policies(model, first);
	}
	if (!first)
		return 0;
	if (first->labelled)
		r = policy_member_merge(ret, &(struct member){ .tags = first->entry->tags,
							       .n_tags = first->entry->n_tags,
							       .publish = first->entry->publish,
							       .n_publish = first->entry->n_publish });
	if (r >= 0)
		r = location_groups(model, first, &groups, &n);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = policy_word_add(&ret->groups, &ret->n_groups, groups[i]);
	free(groups);
	return r < 0 ? r : 1;
}

/*
 * What accepting would change. An entry that is there gets what it lacks. One that is not there is made as the labels
 * say it, which can be less than what the networks give.
 */
static int find_missing(const struct list *list, const struct container *container, const struct proposal *proposal,
			struct asked *ret, bool *ret_changes)
{
	const struct member *entry = container_entry(list->model, container);
	const struct asked *asked = &proposal->asked;
	struct member now = { .kind = MEMBER_CONTAINER };
	int known = entry ? 1 : rights_now(list->model, container, &now), r;

	r = known < 0 ? known : asked_missing(asked, entry ? entry : &now, ret);
	*ret_changes = r > 0 || !known ||
		       (!entry && ((asked->has_policies && asked->entry.policies != now.policies) ||
				   (asked->entry.has_groups && asked->entry.n_groups != now.n_groups)));
	policy_member_clear(&now);
	return r;
}

/* One proposal of all labels that can be read and that the container itself, or its image, brings along. */
static int add_asked(struct list *list, const struct container *container, struct asked *asked, bool image)
{
	struct proposal proposal = { .image = image, .asked = *asked, .since = container->created };
	_cleanup_(asked_clear) struct asked missing = { 0 };
	bool changes = false;
	int r = find_missing(list, container, &proposal, &missing, &changes);

	*asked = (struct asked){ 0 };
	if (r < 0 || !changes) {
		proposal_clear(&proposal);
		return r < 0 ? r : 0;
	}
	proposal.who = who_of(list->model, container);
	proposal.what = asked_print(&proposal.asked);
	proposal.missing = asked_print(&missing);
	if (!proposal.who || !proposal.what || !proposal.missing) {
		proposal_clear(&proposal);
		return -ENOMEM;
	}
	return list_add(list, &proposal);
}

static int add_requests(struct list *list, const struct container *container, bool image)
{
	_cleanup_(asked_clear) struct asked asked = { 0 };
	struct error error;
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < container->n_requests && r >= 0; i++) {
		const struct request *request = &container->requests[i];

		if (request->image != image)
			continue;
		r = label_read(request->key, request->text, &asked, &error);
		any = any || r >= 0;
		if (r == -EINVAL)
			r = add_refused(list, container, request, image, error.text);
	}
	return r >= 0 && any ? add_asked(list, container, &asked, image) : r;
}

static int add_container(struct list *list, const struct container *container)
{
	_cleanup_free_ char *who = NULL;
	int r;

	if (!container->n_requests)
		return 0;
	if (container->host_network)
		return add_refused(list, container, NULL, false,
				   "the container is on the machine's own network: it can be given nothing");
	who = who_of(list->model, container);
	if (!who)
		return -ENOMEM;
	if (strcmp(who, "?") == 0 || member_name_check(who, NULL) < 0)
		return add_refused(list, container, NULL, false,
				   "the container has a name that a policy cannot say: it can be given nothing");
	r = add_requests(list, container, false);
	return r < 0 ? r : add_requests(list, container, true);
}

int proposals_list(const struct model *model, struct proposal **ret, size_t *ret_n)
{
	const struct inventory *inventory = model->inventory;
	struct list list = { .model = model };

	for (size_t i = 0; i < inventory->n_containers && list.n < PROPOSALS_MAX; i++)
		if (add_container(&list, &inventory->containers[i]) < 0) {
			proposals_free(list.items, list.n);
			return -ENOMEM;
		}
	*ret = list.items;
	*ret_n = list.n;
	return 0;
}
