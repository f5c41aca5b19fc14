/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "verdict/changes.h"

#define SENTENCES_MAX 50

/*
 * The life of a change, one at a time: reviewed; written down as an intent, by a worker thread; in the kernel, and read
 * back; settled, by a worker thread; answered. Meanwhile the calls of others that change something wait.
 */
struct change {
	struct daemon *daemon;
	struct api_request *request; /* NULL: the daemon's own */
	struct policy *policy;
	struct model *model; /* that was reviewed */
	time_t reviewed;
	uint64_t n_models; /* the daemon's, then */
	json_t *(*describe)(const struct daemon *daemon); /* what `up` answers; NULL: `result` is the answer */
	json_t *result;
	unsigned flags; /* of enum change_flag */
	bool activate;
	struct revision revision;
	uv_work_t work;
	bool settling, confirming;
	bool taken; /* the kernel has it */
	bool unwritten; /* going back goes before writing: it is enforced without a row of its own */
	int r, work_r;
	struct error error, work_error;
};

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

static struct change *change_free(struct change *change)
{
	if (!change)
		return NULL;
	model_free(change->model);
	policy_free(change->policy);
	json_decref(change->result);
	revision_clear(&change->revision);
	free(change);
	return NULL;
}
DEFINE_CLEANUP(struct change *, change_free)

static void change_end(struct change *change)
{
	struct daemon *daemon = change->daemon;
	json_t *result = change->r < 0 ? NULL : TAKE_PTR(change->result);

	daemon->change = NULL;
	if (change->request)
		api_request_finish(change->request, change->r, result, &change->error);
	else if (change->r < 0)
		log_error("change", "%s", change->error.text);
	change_free(change);
	if (daemon->api)
		api_hold(daemon->api, false);
}

/*
 * What is in the kernel is read back before it counts as taken, and put right. Where it cannot be read the kernel's word
 * for the transaction has to do: that is a problem, of which status tells, and it is tried again.
 */
static int enforce(struct change *change)
{
	struct daemon *daemon = change->daemon;
	struct error unread = { 0 };
	int r = change->activate ? daemon_activate(daemon, &change->error) : daemon_refresh(daemon, &change->error);

	if (r >= 0 && daemon->active && daemon_repair(daemon, false, &unread) < 0) {
		log_error("change", "%s", unread.text);
		sentence_add(json_object_get(change->result, "notes"), "it could not be read back yet: %s",
			     unread.text);
	}
	return r;
}

/* Whether a model that is made now would say the same as the one that was reviewed. */
static bool is_fresh(const struct change *change)
{
	const struct daemon *daemon = change->daemon;

	return !daemon->dirty && daemon->n_models == change->n_models &&
	       !policy_expiring(change->policy, change->reviewed, time(NULL));
}

static void carry_out(struct change *change)
{
	struct daemon *daemon = change->daemon;
	struct policy *before = daemon->policy;
	struct error second;

	if (daemon->ending) {
		change->r = error_set(&change->error, ECANCELED, "sprd is ending: nothing was changed");
		return;
	}
	daemon->policy = change->policy;
	if (is_fresh(change))
		daemon->next_model = TAKE_PTR(change->model);
	change->r = enforce(change);
	daemon->next_model = model_free(daemon->next_model);
	if (change->r >= 0) {
		change->policy = before; /* freed with the change */
		change->taken = true;
		return;
	}
	error_wrap(&change->error, "the change was taken back");
	daemon->policy = before;
	daemon->dirty = true; /* the model is of the policy that is there */
	if (daemon_refresh(daemon, &second) < 0)
		log_error("change", "while going back: %s", second.text);
	if (daemon->model && daemon->model->policy == change->policy)
		change->policy = NULL; /* there was no memory for another model: what this one points to has to stay */
}

static void work(uv_work_t *request)
{
	struct change *change = request->data;
	struct store *store = change->daemon->store;

	if (change->confirming)
		change->work_r = store_confirm(store, change->revision.number, &change->work_error);
	else if (change->settling)
		change->work_r = store_settle(store, change->revision.number, change->taken, &change->work_error);
	else
		change->work_r = store_intend(store, &change->revision, &change->revision.number, &change->work_error);
}

static void after_work(uv_work_t *request, int status);

static void start_work(struct change *change)
{
	change->work.data = change;
	if (uv_queue_work(&change->daemon->loop, &change->work, work, after_work) >= 0)
		return;
	work(&change->work); /* better late than never */
	after_work(&change->work, 0);
}

/* It is enforced all the same: after a crash an intent that opens is not carried out, and that is all. */
static void settled(struct change *change)
{
	struct daemon *daemon = change->daemon;
	json_t *notes = json_object_get(change->result, "notes");

	if (change->work_r < 0) {
		log_error("change", "%s", change->work_error.text);
		sentence_add(notes, "it is enforced, but not written down as such: %s", change->work_error.text);
	}
	if (change->taken) {
		daemon->unwritten = change->unwritten;
		if (!change->unwritten)
			daemon->revision = change->revision.number;
		json_object_set_new(change->result, "revision", json_integer(change->revision.number));
		confirm_start(daemon, change->revision.confirm_by);
	}
	if (change->taken && change->describe) {
		daemon_sync(
			daemon); /* meanwhile others may have told something, of which the model does not know yet */
		json_decref(change->result);
		change->result = change->describe(daemon);
	}
	change_end(change);
}

static void after_work(uv_work_t *request, int status)
{
	struct change *change = request->data;

	if (change->settling) {
		settled(change);
		return;
	}
	change->unwritten = change->work_r < 0 && change->flags & CHANGE_ACCEPTED_BEFORE;
	if (change->unwritten) {
		log_error("change", "%s: going back all the same", change->work_error.text);
		carry_out(change);
		settled(change);
		return;
	}
	if (change->work_r < 0 || change->confirming) {
		change->r = change->work_r;
		change->error = change->work_error;
		if (change->r >= 0)
			confirm_stop(change->daemon);
		change_end(change);
		return;
	}
	carry_out(change);
	change->settling = true;
	start_work(change);
}

/* Takes the change over. For a request its answer comes later. */
static int change_begin(struct change *given, struct api_request *request, struct error *error)
{
	_cleanup_(change_freep) struct change *change = given;
	struct daemon *daemon = change->daemon;

	if (request) {
		change->request = api_request_keep(request);
		if (!change->request)
			return error_memory(error);
	}
	daemon->change = change;
	if (daemon->api)
		api_hold(daemon->api, true);
	start_work(TAKE_PTR(change));
	return API_LATER;
}

/* Who calls: the name is the caller's word, the number the kernel's. */
static char *author_of(struct api_request *request, json_t *arguments)
{
	const char *user = json_string_value(json_object_get(arguments, "user"));
	const struct api_peer *peer = request ? api_request_peer(request) : NULL;
	char *author;
	int r;

	if (!peer)
		return strdup("sprd");
	if (user && (member_name_check(user, NULL) < 0 || strcmp(user, "root") == 0))
		user = NULL;
	if (peer->uid == 0)
		r = asprintf(&author, "%s%s", user ? user : "root", user ? " (root)" : "");
	else
		r = asprintf(&author, "%s%suid %u%s", user ? user : "", user ? " (" : "", (unsigned)peer->uid,
			     user ? ")" : "");
	return r < 0 ? NULL : author;
}

static int argument_seconds(json_t *arguments, const char *key, time_t *ret, struct error *error)
{
	json_t *value = json_object_get(arguments, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) <= 0 || json_integer_value(value) > DURATION_MAX)
		return error_set(error, EINVAL, "\"%s\" has to be a number of seconds above 0", key);
	*ret = (time_t)json_integer_value(value);
	return 0;
}

static int fill_revision(struct change *change, json_t *arguments, bool opens, struct error *error)
{
	struct revision *revision = &change->revision;
	const char *comment = NULL;
	time_t seconds = 0;
	int r = argument_text(arguments, "comment", &comment, error);

	if (r >= 0 && comment)
		r = comment_check(comment, error);
	if (r >= 0)
		r = argument_seconds(arguments, "confirm", &seconds, error);
	if (r < 0)
		return r;
	revision->time = time(NULL);
	revision->opens = opens;
	revision->confirm_by = seconds ? revision->time + seconds : 0;
	revision->comment = comment ? strdup(comment) : NULL;
	revision->yaml = policy_print(change->policy);
	revision->summary = strdup(json_string_value(json_object_get(change->result, "line")));
	if ((comment && !revision->comment) || !revision->yaml || !revision->summary || !revision->author)
		return error_memory(error);
	return 0;
}

/* Verbs that would lose what they did at the next reading of the file. */
static int check_managed(const struct change *change, struct error *error)
{
	const struct daemon *daemon = change->daemon;

	if (!daemon->options.policy_file || (daemon->confirm_until && change->flags & CHANGE_UNCONFIRMED))
		return 0;
	return error_set(error, EPERM, "the policy is kept in %s: change it there, then say `spr apply`",
			 daemon->options.policy_file);
}

/* The caller has seen an older policy than there is: what others did since would be lost. */
static int check_base(const struct daemon *daemon, json_t *arguments, struct error *error)
{
	json_t *base = json_object_get(arguments, "base");

	if (!base || json_is_null(base) || json_integer_value(base) == daemon->revision)
		return 0;
	return error_set(error, EBUSY, "the policy was changed meanwhile: revision %lld is in force now",
			 (long long)daemon->revision);
}

static int check_unconfirmed(const struct daemon *daemon, struct error *error)
{
	if (!daemon->confirm_until)
		return 0;
	return error_set(error, EBUSY,
			 "revision %lld waits to be confirmed: say `spr confirm`, or `spr rollback` to take it back",
			 (long long)daemon->revision);
}

/* Models before and after; what changes is the answer. */
static int compare(struct change *change, json_t *arguments, bool *ret_changed, bool *ret_opens, struct error *error)
{
	struct daemon *daemon = change->daemon;
	struct model *model = NULL;
	struct changes changes = { 0 };
	bool changed = !policy_equal(daemon->policy, change->policy);
	int r = policy_check(change->policy, error);

	change->reviewed = time(NULL);
	change->n_models = daemon->n_models;
	if (r >= 0)
		r = model_new(change->policy, daemon->inventory, daemon->book, change->reviewed, &model, error);
	change->model = model;
	if (r >= 0 && !(change->flags & CHANGE_ACCEPTED_BEFORE))
		r = review(daemon, model, daemon->active || change->activate, arguments, error);
	if (r >= 0 && model_changes(daemon->model, model, &changes) < 0)
		r = error_memory(error);
	if (r < 0)
		return r;
	change->result = describe(changed, &changes);
	*ret_changed = changed;
	*ret_opens = changes.n_opens || changes.too_many || !policy_only_tightens(daemon->policy, change->policy);
	changes_clear(&changes);
	if (!change->result)
		return error_memory(error);
	if (argument_flag(arguments, "dry_run") && argument_flag(arguments, "trial") && (changed || change->activate) &&
	    json_object_set_new(change->result, "trial",
				trial_json(daemon, change->activate ? NULL : daemon->model, model)) < 0)
		return error_memory(error);
	review_absent(model, json_object_get(change->result, "notes"));
	if (!daemon->active && !change->activate)
		sentence_add(json_object_get(change->result, "notes"),
			     "spr is not enforcing: the policy is kept for `spr up`");
	return 0;
}

static int change_run(struct change *given, struct api_request *request, json_t *arguments, json_t **ret_result,
		      struct error *error)
{
	_cleanup_(change_freep) struct change *change = given;
	bool dry = argument_flag(arguments, "dry_run"), changed, opens;
	int r = check_base(change->daemon, arguments, error);

	if (r >= 0 && !dry && !(change->flags & CHANGE_FROM_FILE))
		r = check_managed(change, error);
	if (r >= 0 && !dry && !(change->flags & CHANGE_UNCONFIRMED))
		r = check_unconfirmed(change->daemon, error);
	if (r >= 0)
		r = compare(change, arguments, &changed, &opens, error);
	if (r < 0)
		return r;
	changed = changed || change->daemon->unwritten; /* from what is written down */
	json_object_set_new(change->result, "dry_run", json_boolean(dry));
	if (!dry && !changed && change->flags & CHANGE_UNCONFIRMED)
		confirm_stop(change->daemon); /* what was to be taken back says the same */
	if (dry || (!changed && !change->activate)) {
		*ret_result = TAKE_PTR(change->result);
		return 0;
	}
	change->revision.author = author_of(request, arguments);
	if (!changed)
		json_object_del(arguments, "confirm"); /* there is nothing that could be taken back */
	r = fill_revision(change, arguments, opens || change->activate, error);
	return r < 0 ? r : change_begin(TAKE_PTR(change), request, error);
}

static struct change *change_new(struct daemon *daemon, struct policy *policy, unsigned flags)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		policy_free(policy);
		return NULL;
	}
	change->daemon = daemon;
	change->policy = policy;
	change->flags = flags;
	return change;
}

int daemon_change_flags(struct api_request *request, struct policy *policy, unsigned flags, json_t *arguments,
			json_t **ret_result, struct error *error)
{
	struct change *change = change_new(api_request_data(request), policy, flags);

	return change ? change_run(change, request, arguments, ret_result, error) : error_memory(error);
}

int daemon_change(struct api_request *request, struct policy *policy, json_t *arguments, json_t **ret_result,
		  struct error *error)
{
	return daemon_change_flags(request, policy, 0, arguments, ret_result, error);
}

int daemon_change_up(struct api_request *request, struct policy *policy, json_t *arguments,
		     json_t *(*describe_up)(const struct daemon *daemon), json_t **ret_result, struct error *error)
{
	struct change *change = change_new(api_request_data(request), policy, CHANGE_FROM_FILE);

	if (!change)
		return error_memory(error);
	change->activate = true;
	change->describe = describe_up;
	return change_run(change, request, arguments, ret_result, error);
}

int daemon_change_own(struct daemon *daemon, struct policy *policy, unsigned flags, const char *comment,
		      struct error *error)
{
	_cleanup_json_ json_t *arguments = json_pack("{s:s, s:b}", "comment", comment, "force", 1);
	_cleanup_json_ json_t *result = NULL;
	struct change *change = change_new(daemon, policy, flags);
	int r;

	if (!change || !arguments) {
		change_free(change);
		return error_memory(error);
	}
	r = change_run(change, NULL, arguments, &result, error);
	return r < 0 ? r : 0;
}

int daemon_confirm(struct api_request *request, struct error *error)
{
	struct daemon *daemon = api_request_data(request);
	struct change *change;

	if (!daemon->confirm_until)
		return error_set(error, ENOENT, "nothing waits to be confirmed");
	change = change_new(daemon, NULL, 0);
	if (!change)
		return error_memory(error);
	change->confirming = true;
	change->revision.number = daemon->revision;
	change->result = json_pack("{s:b, s:I, s:s}", "changed", 1, "revision", (json_int_t)daemon->revision, "line",
				   "confirmed");
	return change_begin(change, request, error);
}
