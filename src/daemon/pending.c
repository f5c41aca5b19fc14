/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "api/message.h"
#include "base/array.h"
#include "daemon/daemon.h"
#include "verdict/proposals.h"

/* What waits for a decision: pending lists it, accept makes it policy, dismiss remembers that it is not wanted. */

struct pending {
	struct proposal *items;
	size_t n;
};

static void pending_clear(struct pending *pending)
{
	proposals_free(pending->items, pending->n);
}

static int pending_read(const struct daemon *daemon, struct pending *ret, struct error *error)
{
	return proposals_list(daemon->model, &ret->items, &ret->n) < 0 ? error_memory(error) : 0;
}

json_int_t pending_count(const struct daemon *daemon)
{
	_cleanup_(pending_clear) struct pending pending = { 0 };
	json_int_t count = 0;

	if (pending_read(daemon, &pending, NULL) < 0)
		return 0;
	for (size_t i = 0; i < pending.n; i++)
		count += !pending.items[i].dismissed;
	return count;
}

static json_t *proposal_to_json(const struct proposal *proposal)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:I}", "id", proposal->id, "kind",
			 proposal_kind_name(proposal->kind), "who", json_text(proposal->who), "what",
			 json_text(proposal->what), "missing", json_text(proposal->missing), "from",
			 proposal->image ? "image" : "container", "refused",
			 proposal->refused ? json_text(proposal->refused) : json_null(), "since",
			 (json_int_t)proposal->since);
}

CALL(call_pending)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(pending_clear) struct pending pending = { 0 };
	_cleanup_json_ json_t *list = json_array();
	int r = pending_read(daemon, &pending, error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < pending.n; i++)
		if (!pending.items[i].dismissed)
			json_array_append_new(list, proposal_to_json(&pending.items[i]));
	*ret_result = json_pack("{s:O}", "proposals", list);
	return *ret_result ? 0 : error_memory(error);
}

static int pending_find(const struct pending *pending, const char *id, const struct proposal **ret, struct error *error)
{
	const struct proposal *found = NULL;

	for (size_t i = 0; i < pending->n; i++) {
		if (strcmp(pending->items[i].id, id) != 0)
			continue;
		if (found)
			return error_set(
				error, ENOTUNIQ,
				"two requests have the id '%s', of %s and of %s: use spr join, grant and publish", id,
				found->who, pending->items[i].who);
		found = &pending->items[i];
	}
	if (!found)
		return error_set(error, ENOENT, "nothing that waits has the id '%s': spr pending lists what does", id);
	*ret = found;
	return 0;
}

static void forget_dismissal(struct policy *policy, const char *id)
{
	for (size_t i = policy->n_dismissed; i-- > 0;) {
		if (strcmp(policy->dismissed[i].id, id) != 0)
			continue;
		free(policy->dismissed[i].id);
		free(policy->dismissed[i].comment);
		ARRAY_CUT(policy->dismissed, policy->n_dismissed, i);
	}
}

/* The entry gets what is asked for; where there is none yet, one is made as the labels say it. */
static int accept_proposal(const struct daemon *daemon, struct policy *policy, const struct proposal *proposal,
			   struct error *error)
{
	const struct member *asked = &proposal->asked.entry;
	struct member *member = policy_member(policy, MEMBER_CONTAINER, proposal->who);
	bool made = !member;

	if (proposal->refused)
		return error_set(error, EINVAL, "%s cannot be accepted: %s", proposal->id, proposal->refused);
	member = policy_member_add(policy, MEMBER_CONTAINER, proposal->who);
	if (!member || (made && member_take_default(daemon, member) < 0) ||
	    (!made && asked->has_groups && member_take_groups(daemon, member) < 0))
		return error_memory(error);
	if (made && proposal->asked.has_policies)
		member->policies = 0;
	if (policy_member_merge(member, asked) < 0)
		return error_memory(error);
	for (size_t i = 0; i < asked->n_groups; i++)
		if (!policy_group_add(policy, asked->groups[i]))
			return error_memory(error);
	forget_dismissal(policy, proposal->id);
	return 0;
}

static int dismiss_proposal(const struct daemon *daemon, struct policy *policy, const struct proposal *proposal,
			    struct error *error)
{
	struct dismissal *slot;
	char comment[POLICY_COMMENT_MAX + 1];

	if (proposal->dismissed)
		return 0;
	slot = ARRAY_ADD(policy->dismissed, policy->n_dismissed);
	if (slot)
		slot->id = strdup(proposal->id);
	if (!slot || !slot->id)
		return error_memory(error);
	/* For whoever reads the document. Not everything that a label can say may stand in one. */
	snprintf(comment, sizeof(comment), "%s: %s", proposal->who, proposal->what);
	if (comment_check(comment, NULL) < 0)
		return 0;
	slot->comment = strdup(comment);
	return slot->comment ? 0 : error_memory(error);
}

static bool said_before(json_t *ids, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (json_equal(json_array_get(ids, k), json_array_get(ids, i)))
			return true;
	return false;
}

/* All of them in one change, or none. */
static int edit_pending(struct api_request *request, json_t *arguments,
			int (*edit)(const struct daemon *daemon, struct policy *policy, const struct proposal *proposal,
				    struct error *error),
			json_t **ret_result, struct error *error)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = policy_copy(daemon->policy);
	_cleanup_(pending_clear) struct pending pending = { 0 };
	const struct proposal *proposal = NULL;
	json_t *ids, *id;
	size_t i;
	int r = argument_texts(arguments, "ids", &ids, error);

	if (r >= 0 && json_array_size(ids) == 0)
		r = error_set(error, EINVAL, "say which: spr pending lists the ids");
	if (r >= 0 && !policy)
		r = error_memory(error);
	if (r >= 0)
		r = pending_read(daemon, &pending, error);
	if (r < 0)
		return r;
	json_array_foreach(ids, i, id) {
		if (said_before(ids, i))
			continue;
		r = pending_find(&pending, json_string_value(id), &proposal, error);
		if (r >= 0)
			r = edit(daemon, policy, proposal, error);
		if (r < 0)
			return r;
	}
	return daemon_change(request, TAKE_PTR(policy), arguments, ret_result, error);
}

CALL(call_accept)
{
	return edit_pending(request, arguments, accept_proposal, ret_result, error);
}

CALL(call_dismiss)
{
	return edit_pending(request, arguments, dismiss_proposal, ret_result, error);
}
