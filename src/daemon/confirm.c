/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"

/*
 * A change that is taken back by itself unless its maker confirms it: who cut himself off does not. The time is written
 * down with the revision, so that it goes on while no daemon runs; within a run a clock that jumps does not matter.
 */

#define AGAIN_MS 1000

static void on_time(uv_timer_t *timer);

static int take_back(struct daemon *daemon, struct error *error)
{
	_cleanup_(revision_clear) struct revision before = { 0 };
	struct policy *policy = NULL;
	char comment[100];
	int r = store_before(daemon->store, daemon->revision, &before, error);

	if (r == -ENOENT) { /* it was the first: before it there was an empty policy */
		policy = policy_new();
		r = policy ? 0 : error_memory(error);
	} else if (r >= 0) {
		r = policy_parse(before.yaml, strlen(before.yaml), "the revision before", &policy, error);
	}
	if (r < 0)
		return error_wrap(error, "revision %lld was not confirmed, and cannot be taken back",
				  (long long)daemon->revision);
	snprintf(comment, sizeof(comment), "revision %lld was not confirmed", (long long)daemon->revision);
	log_warning("change", "%s: back to revision %lld", comment, (long long)before.number);
	return daemon_change_own(daemon, policy, CHANGE_ACCEPTED_BEFORE | CHANGE_UNCONFIRMED | CHANGE_FROM_FILE,
				 comment, error);
}

void confirm_take_back(struct daemon *daemon)
{
	struct error error = { 0 };

	if (daemon->change)
		return;
	daemon_sync(daemon);
	if (take_back(daemon, &error) < 0)
		log_error("change", "%s", error.text);
}

static void on_time(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	confirm_take_back(daemon);
	if (daemon->confirm_until)
		uv_timer_start(timer, on_time, AGAIN_MS, 0); /* until it is done: then the time is over */
}

void confirm_start(struct daemon *daemon, time_t until)
{
	time_t now = time(NULL);

	confirm_stop(daemon);
	if (!until)
		return;
	daemon->confirm_until = until;
	uv_timer_start(&daemon->confirm, on_time, until > now ? (uint64_t)(until - now) * 1000 : 0, 0);
}

void confirm_stop(struct daemon *daemon)
{
	daemon->confirm_until = 0;
	uv_timer_stop(&daemon->confirm);
}
