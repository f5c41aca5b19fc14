/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_STORE_STORE_H
#define SPR_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"

/*
 * What outlives the daemon, in one folder: the revisions of the policy (spr.db, SQLite), the one in force once more as a
 * plain file (policy.yaml), and whether it is enforced (active).
 *
 * A change is written twice: as an intent before the kernel changes, and as taken or not after it. Calls wait for the
 * disk; they may come from any thread, but one at a time.
 */
struct store;

enum revision_state {
	REVISION_INTENT, /* written down; whether the kernel has it is not known */
	REVISION_TAKEN, /* it is, or was, in force */
	REVISION_FAILED, /* it never was */
	_REVISION_STATE_MAX,
};

/* One accepted state of the whole policy. Text is the revision's own. */
struct revision {
	int64_t number; /* from 1 */
	time_t time;
	char *author;
	char *comment; /* or NULL */
	char *summary; /* what it opens and closes, in one line */
	char *yaml; /* NULL in lists */
	enum revision_state state;
	bool opens; /* it opens something: after a crash such an intent is not carried out */
	time_t confirm_by; /* taken back when nobody confirms it until then; 0: no need, or it is confirmed */
};
void revision_clear(struct revision *revision);

/* Makes the folder (mode 0700) when it is missing, and locks it: -EBUSY when another sprd has it. */
int store_open(const char *folder, struct store **ret, struct error *error);
struct store *store_close(struct store *store);
DEFINE_CLEANUP(struct store *, store_close)

/*
 * The revision to enforce. Intents that a crash left are settled before: one that only closes is taken, the others
 * failed. Where the database cannot be read it is kept aside under another name, and the plain file counts as revision 1
 * of a new one. `usable` says whether a text can be a policy: the newest taken revision with one that can is it.
 * -ENOENT: none was ever saved.
 */
int store_load(struct store *store, bool (*usable)(const char *yaml, void *data), void *data, struct revision *ret,
	       struct error *error);

/* Writes an intent; its number and state are the store's to give. Durable when it returns 0. */
int store_intend(struct store *store, const struct revision *revision, int64_t *ret_number, struct error *error);
/* The kernel has it, or not. Taken, it is the current one, and its text goes into the plain file. */
int store_settle(struct store *store, int64_t number, bool taken, struct error *error);
/*
 * What could not be settled is settled now, and whether it can be written is tried where it could not be; 0 also where
 * nothing was left. store_intend() does so by itself.
 */
int store_catch_up(struct store *store, struct error *error);
/* It is confirmed, or need not be any more. */
int store_confirm(struct store *store, int64_t number, struct error *error);

/* -ENOENT: there is no such revision. The result is the caller's to clear. */
int store_revision(struct store *store, int64_t number, struct revision *ret, struct error *error);
/* The one before this one that was in force, and did not wait to be confirmed in vain. -ENOENT. */
int store_before(struct store *store, int64_t number, struct revision *ret, struct error *error);
/* The newest `limit` of them, the newest first, without their texts; the array is the caller's. */
int store_list(struct store *store, size_t limit, struct revision **ret, size_t *ret_n, struct error *error);

/* The newest one that was taken back since nobody confirmed it. -ENOENT. */
int store_withdrawn(struct store *store, struct revision *ret, struct error *error);

bool store_active(const struct store *store);
/* The same without opening it: nothing is made where nothing is. */
bool store_is_active(const char *folder);
int store_set_active(struct store *store, bool active, struct error *error);

/* Where the policy is, for messages. */
const char *store_policy_path(const struct store *store);
/* What is wrong with the store: a sentence for status, "" when nothing is. */
const char *store_problem(const struct store *store);

/* The newest ones are kept, as many as there is room for; the last few in any case. */
#define REVISIONS_KEPT 1000
#define REVISIONS_BYTES (64 << 20)
#define REVISIONS_LEAST 10

#endif
