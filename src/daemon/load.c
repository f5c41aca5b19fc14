/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "store/folder.h"

/* The policy to begin with. One that cannot be read is never replaced by an empty one. */

static bool is_usable(const char *yaml, void *data)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;
	struct error *error = data;

	return policy_parse(yaml, strlen(yaml), "policy", &policy, error) >= 0 && policy_check(policy, error) >= 0;
}

int load_file(const struct daemon *daemon, struct policy **ret, struct error *error)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_free_ char *text = NULL;
	const char *path = daemon->options.policy_file;
	size_t length = 0;
	int r = folder_read(AT_FDCWD, path, &text, &length);

	if (r < 0)
		return error_set(error, -r, "%s: %s", path, strerror(-r));
	r = policy_parse(text, length, path, &policy, error);
	if (r >= 0)
		r = policy_check(policy, error);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(policy);
	return 0;
}

static void note_file(struct daemon *daemon, int r, const struct error *error)
{
	snprintf(daemon->file_problem, sizeof(daemon->file_problem), "%s", r < 0 ? error->text : "");
	if (r < 0)
		log_error("policy", "%s: what was enforced before stays", error->text);
}

/* What was tried, and not confirmed, does not come back by a restart. */
static bool is_withdrawn(const struct daemon *daemon, const struct policy *policy)
{
	_cleanup_(policy_freep) struct policy *withdrawn = NULL;
	_cleanup_(revision_clear) struct revision revision = { 0 };

	return store_withdrawn(daemon->store, &revision, NULL) >= 0 &&
	       policy_parse(revision.yaml, strlen(revision.yaml), "a revision", &withdrawn, NULL) >= 0 &&
	       policy_equal(withdrawn, policy);
}

/* Before anything is enforced: the file goes before what is stored, and is a revision too. */
static int take_file(struct daemon *daemon, struct error *error)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_free_ char *yaml = NULL;
	struct revision revision = { .author = (char *)"sprd", .summary = (char *)"as found in the policy file" };
	int r = load_file(daemon, &policy, error);

	if (r < 0 || (daemon->policy && policy_equal(daemon->policy, policy)))
		return r;
	if (is_withdrawn(daemon, policy))
		return error_set(error, EPERM,
				 "%s says what was taken back, since nobody confirmed it: `spr apply` it again",
				 daemon->options.policy_file);
	confirm_stop(daemon);
	yaml = policy_print(policy);
	if (!yaml)
		return error_memory(error);
	revision.time = time(NULL);
	revision.yaml = yaml;
	revision.opens = true;
	r = store_intend(daemon->store, &revision, &daemon->revision, error);
	if (r >= 0)
		r = store_settle(daemon->store, daemon->revision, true, error);
	if (r < 0)
		log_warning("policy", "%s", error->text); /* the file is the truth, written down or not */
	policy_free(daemon->policy);
	daemon->policy = TAKE_PTR(policy);
	return 0;
}

/* Nobody confirmed it while no daemon ran: the one before is the policy, and a revision of its own. */
static int take_back(struct daemon *daemon, struct revision *revision, struct error *error)
{
	_cleanup_(revision_clear) struct revision before = { 0 };
	int r = store_before(daemon->store, revision->number, &before, error);

	if (r == -ENOENT) { /* it was the first */
		before.yaml = strdup("{}\n");
		before.summary = strdup("the empty policy");
		r = before.yaml && before.summary ? 0 : error_memory(error);
	}
	if (r < 0)
		return r;
	free(before.author);
	before.author = strdup("sprd");
	free(before.comment);
	if (asprintf(&before.comment, "revision %lld was not confirmed", (long long)revision->number) < 0)
		before.comment = NULL;
	before.time = time(NULL);
	before.opens = false;
	before.confirm_by = 0;
	if (!before.author || !before.comment)
		return error_memory(error);
	log_warning("change", "%s: back to revision %lld", before.comment, (long long)before.number);
	r = store_intend(daemon->store, &before, &before.number, error);
	if (r >= 0)
		r = store_settle(daemon->store, before.number, true, error);
	if (r < 0)
		log_error("change", "%s: going back all the same", error->text);
	revision_clear(revision);
	*revision = before;
	before = (struct revision){ 0 };
	return 0;
}

/* A clock that was set back must not make the time longer than it was to be. */
static time_t time_left(const struct revision *revision)
{
	time_t now = time(NULL), whole = revision->confirm_by - revision->time;

	if (!revision->confirm_by || revision->confirm_by <= now)
		return 0;
	return revision->confirm_by - now < whole ? revision->confirm_by - now : whole;
}

int load_policy(struct daemon *daemon, struct error *error)
{
	_cleanup_(revision_clear) struct revision revision = { 0 };
	struct error unusable = { 0 };
	int r = store_load(daemon->store, is_usable, &unusable, &revision, error);

	if (r == -EINVAL && unusable.text[0])
		error_set(error, EINVAL, "%s: %s", store_policy_path(daemon->store), unusable.text);
	if (r >= 0 && revision.confirm_by && !time_left(&revision))
		r = take_back(daemon, &revision, error);
	if (r >= 0)
		r = policy_parse(revision.yaml, strlen(revision.yaml), store_policy_path(daemon->store),
				 &daemon->policy, error);
	if (r >= 0) {
		daemon->revision = revision.number;
		confirm_start(daemon, revision.confirm_by ? time(NULL) + time_left(&revision) : 0);
	}
	if (daemon->options.policy_file && (r >= 0 || r == -ENOENT)) {
		int file = take_file(daemon, error);

		note_file(daemon, file, error);
		r = daemon->policy ? 0 : r;
	}
	if (r != -ENOENT)
		return r;
	daemon->policy = policy_new();
	return daemon->policy ? 0 : error_memory(error);
}

void load_again(struct daemon *daemon)
{
	struct policy *policy = NULL;
	struct error error = { 0 };
	int r;

	daemon->read_again = daemon->change || daemon->confirm_until; /* then on the clock */
	if (daemon->read_again)
		return;
	r = load_file(daemon, &policy, &error);
	if (r >= 0) {
		daemon_sync(daemon);
		r = daemon_change_own(daemon, policy, CHANGE_FROM_FILE, "read from the policy file", &error);
	}
	note_file(daemon, r, &error);
}
