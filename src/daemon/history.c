/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "daemon/daemon.h"
#include "verdict/changes.h"

/* What was in force before: to look at, and to go back to. */

#define LIST_STANDARD 20

static const char *state_name(const struct daemon *daemon, const struct revision *revision)
{
	static const char *const names[] = {
		[REVISION_INTENT] = "unsettled", [REVISION_TAKEN] = "past", [REVISION_FAILED] = "failed"
	};

	if (revision->number == daemon->revision && !daemon->unwritten)
		return daemon->confirm_until ? "unconfirmed" : "current";
	if (revision->confirm_by && revision->state == REVISION_TAKEN)
		return "withdrawn";
	return revision->state >= 0 && revision->state < _REVISION_STATE_MAX ? names[revision->state] : "unknown";
}

static json_t *revision_to_json(const struct daemon *daemon, const struct revision *revision)
{
	return json_pack("{s:I, s:I, s:o, s:o, s:o, s:s}", "number", (json_int_t)revision->number, "time",
			 (json_int_t)revision->time, "author", json_text(revision->author), "comment",
			 revision->comment ? json_text(revision->comment) : json_null(), "summary",
			 json_text(revision->summary), "state", state_name(daemon, revision));
}

/* A number of a revision; *ret stays where the key is not there. */
static int argument_number(json_t *arguments, const char *key, int64_t *ret, struct error *error)
{
	json_t *value = json_object_get(arguments, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) <= 0)
		return error_set(error, EINVAL, "\"%s\" has to be a number above 0", key);
	*ret = json_integer_value(value);
	return 0;
}

CALL(call_history)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_json_ json_t *list = json_array();
	struct revision *revisions = NULL;
	int64_t limit = LIST_STANDARD;
	size_t n = 0;
	int r = argument_number(arguments, "limit", &limit, error);

	if (r >= 0)
		r = store_list(daemon->store, (size_t)limit, &revisions, &n, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(list, revision_to_json(daemon, &revisions[i]));
		revision_clear(&revisions[i]);
	}
	free(revisions);
	*ret_result = json_pack("{s:O}", "revisions", list);
	return *ret_result ? 0 : error_memory(error);
}

static int policy_of(struct daemon *daemon, int64_t number, struct policy **ret, struct error *error)
{
	_cleanup_(revision_clear) struct revision revision = { 0 };
	char name[40];
	int r = store_revision(daemon->store, number, &revision, error);

	snprintf(name, sizeof(name), "revision %lld", (long long)number);
	return r < 0 ? r : policy_parse(revision.yaml, strlen(revision.yaml), name, ret, error);
}

/* What is open and closed depends on what is there: it is now. */
static int changes_between(const struct daemon *daemon, const struct policy *from, const struct policy *to,
			   struct changes *ret, struct error *error)
{
	_cleanup_(model_freep) struct model *before = NULL, *after = NULL;
	int r = model_new(from, daemon->inventory, daemon->book, time(NULL), &before, error);

	if (r >= 0)
		r = model_new(to, daemon->inventory, daemon->book, time(NULL), &after, error);
	if (r < 0)
		return r;
	return model_changes(before, after, ret) < 0 ? error_memory(error) : 0;
}

static json_t *texts(char **list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_text(list[i]));
	return array;
}

CALL(call_diff)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *from = NULL, *to = NULL;
	_cleanup_free_ char *text = NULL;
	struct changes changes = { 0 };
	int64_t first = 0, second = daemon->revision;
	int r = argument_number(arguments, "from", &first, error);

	if (r >= 0)
		r = argument_number(arguments, "to", &second, error);
	if (r >= 0)
		r = policy_of(daemon, first, &from, error);
	if (r >= 0)
		r = policy_of(daemon, second, &to, error);
	if (r >= 0 && policy_diff(from, to, &text) < 0)
		r = error_memory(error);
	if (r >= 0)
		r = changes_between(daemon, from, to, &changes, error);
	if (r < 0)
		return r;
	*ret_result = json_pack("{s:I, s:I, s:o, s:o, s:o}", "from", (json_int_t)first, "to", (json_int_t)second,
				"diff", json_text(text), "opens", texts(changes.opens, changes.n_opens), "closes",
				texts(changes.closes, changes.n_closes));
	changes_clear(&changes);
	return *ret_result ? 0 : error_memory(error);
}

/* Without a number to the one before. */
CALL(call_rollback)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(revision_clear) struct revision before = { 0 };
	struct policy *policy = NULL;
	int64_t number = 0;
	char comment[60];
	int r = argument_number(arguments, "number", &number, error);

	if (r >= 0 && !number)
		r = store_before(daemon->store, daemon->revision, &before, error);
	if (r >= 0)
		r = policy_of(daemon, number ? number : before.number, &policy, error);
	if (r < 0)
		return r;
	snprintf(comment, sizeof(comment), "back to revision %lld", (long long)(number ? number : before.number));
	if (!json_is_string(json_object_get(arguments, "comment")))
		json_object_set_new(arguments, "comment", json_string(comment));
	return daemon_change_flags(request, policy, CHANGE_UNCONFIRMED, arguments, ret_result, error);
}

CALL(call_confirm)
{
	return daemon_confirm(request, error);
}
