/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "store/folder.h"

#define POLICY_FILE "policy.yaml"
#define DATABASE_FILE "spr.db"
#define ACTIVE_FILE "active"
#define LOCK_FILE "lock"
#define SCHEMA_VERSION 1

struct store {
	int folder, lock;
	char *policy_path, *database_path;
	sqlite3 *db; /* NULL while it cannot be used */
	char problem[500]; /* of reading it; until it is opened anew */
	char trouble[500]; /* of the last change that could not be written; until one can */
	int64_t unsettled; /* the number of one that could not be settled; 0: none */
	bool unsettled_taken;
};

static const char schema[] = "BEGIN;"
			     "CREATE TABLE revision(number INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
			     " author TEXT NOT NULL, comment TEXT, summary TEXT NOT NULL, yaml TEXT NOT NULL,"
			     " state INTEGER NOT NULL, opens INTEGER NOT NULL, confirm_by INTEGER NOT NULL);"
			     "PRAGMA user_version=1;"
			     "COMMIT;";

/* Locking for good saves the file of shared memory; a commit is on the disk when it returns. */
static const char settings[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			       "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;";

#define COLUMNS "number, time, author, comment, summary, state, opens, confirm_by"

void revision_clear(struct revision *revision)
{
	free(revision->author);
	free(revision->comment);
	free(revision->summary);
	free(revision->yaml);
	*revision = (struct revision){ 0 };
}

static void statement_finalize(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}
#define _cleanup_statement_ _cleanup_(statement_finalize)

static int code_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	default:
		return -EIO;
	}
}

/* The error of the last call. */
static int database_error(const struct store *store, const char *what, struct error *error)
{
	return error_set(error, -code_errno(sqlite3_extended_errcode(store->db)), "%s: %s: %s", store->database_path,
			 what, sqlite3_errmsg(store->db));
}

static int database_run(struct store *store, const char *sql, struct error *error)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	database_error(store, "cannot be written", error);
	sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* nothing to do for one that began none */
	return error ? -error->code : -EIO;
}

static int prepare(struct store *store, const char *sql, sqlite3_stmt **ret, struct error *error)
{
	if (sqlite3_prepare_v2(store->db, sql, -1, ret, NULL) != SQLITE_OK)
		return database_error(store, "cannot be read", error);
	return 0;
}

static char *column_text(sqlite3_stmt *statement, int i)
{
	const char *text = (const char *)sqlite3_column_text(statement, i);

	return text ? strdup(text) : NULL;
}

/* Of a statement that selects COLUMNS, and then maybe the text. */
static int read_row(sqlite3_stmt *statement, struct revision *ret)
{
	struct revision revision = {
		.number = sqlite3_column_int64(statement, 0),
		.time = (time_t)sqlite3_column_int64(statement, 1),
		.author = column_text(statement, 2),
		.comment = column_text(statement, 3),
		.summary = column_text(statement, 4),
		.state = (enum revision_state)sqlite3_column_int(statement, 5),
		.opens = sqlite3_column_int(statement, 6),
		.confirm_by = (time_t)sqlite3_column_int64(statement, 7),
	};
	bool text = sqlite3_column_count(statement) > 8;

	if (text)
		revision.yaml = column_text(statement, 8);
	if (!revision.author || !revision.summary || (text && !revision.yaml)) {
		revision_clear(&revision);
		return -ENOMEM;
	}
	*ret = revision;
	return 0;
}

/* The first row of a statement with one parameter. -ENOENT without one. */
static int read_one(struct store *store, const char *sql, int64_t number, struct revision *ret, struct error *error)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = prepare(store, sql, &statement, error);

	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, number);
	r = sqlite3_step(statement);
	if (r == SQLITE_DONE)
		return error_set(error, ENOENT, "there is no such revision: `spr history` lists them");
	if (r != SQLITE_ROW)
		return database_error(store, "cannot be read", error);
	return read_row(statement, ret) < 0 ? error_memory(error) : 0;
}

static int number_of(struct store *store, const char *sql, int64_t *ret, struct error *error)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = prepare(store, sql, &statement, error);

	if (r < 0)
		return r;
	if (sqlite3_step(statement) != SQLITE_ROW)
		return database_error(store, "cannot be read", error);
	*ret = sqlite3_column_int64(statement, 0);
	return 0;
}

static int check_whole(struct store *store, struct error *error)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	const char *answer;
	int r = prepare(store, "PRAGMA quick_check(1)", &statement, error);

	if (r < 0)
		return r;
	if (sqlite3_step(statement) != SQLITE_ROW)
		return database_error(store, "cannot be read", error);
	answer = (const char *)sqlite3_column_text(statement, 0);
	if (!answer || strcmp(answer, "ok") != 0)
		return error_set(error, EUCLEAN, "%s: %s", store->database_path, answer ? answer : "damaged");
	return 0;
}

static int set_up(struct store *store, struct error *error)
{
	int64_t version = 0;
	int r = database_run(store, settings, error);

	if (r >= 0)
		r = check_whole(store, error);
	if (r >= 0)
		r = number_of(store, "PRAGMA user_version", &version, error);
	if (r < 0)
		return r;
	if (version > SCHEMA_VERSION)
		return error_set(error, EPROTONOSUPPORT, "%s was written by a newer spr", store->database_path);
	return version < SCHEMA_VERSION ? database_run(store, schema, error) : 0;
}

static void database_close(struct store *store)
{
	sqlite3_close(store->db);
	store->db = NULL;
}

static int database_open(struct store *store, struct error *error)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
	int r;

	if (store->db)
		return 0;
	if (sqlite3_open_v2(store->database_path, &store->db, flags, NULL) == SQLITE_OK)
		r = set_up(store, error);
	else if (store->db)
		r = database_error(store, "cannot be opened", error);
	else
		r = error_memory(error);
	if (r < 0)
		database_close(store);
	else
		store->problem[0] = '\0';
	return r;
}

/* For whoever can mend it. What is left of it is not read again. */
static void put_aside(struct store *store)
{
	static const char *const files[] = { DATABASE_FILE, DATABASE_FILE "-wal" };
	char name[100];

	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		snprintf(name, sizeof(name), "%s.damaged-%lld", files[i], (long long)time(NULL));
		renameat(store->folder, files[i], store->folder, name);
	}
	fsync(store->folder);
}

/* A database that cannot be used is no reason to enforce nothing: the plain file is there too. */
static void open_or_note(struct store *store)
{
	struct error error = { 0 };
	struct error damage = { 0 };
	int r = database_open(store, &error);

	if (r == -EUCLEAN) {
		damage = error;
		put_aside(store);
		r = database_open(store, &error);
	}
	if (r >= 0 && damage.text[0])
		snprintf(store->problem, sizeof(store->problem),
			 "%.300s: it is kept aside in the state folder, and the history begins anew", damage.text);
	if (r < 0)
		snprintf(store->problem, sizeof(store->problem),
			 "%.300s: what is enforced stays, and no change is accepted until it can be written",
			 error.text);
}

int store_open(const char *folder, struct store **ret, struct error *error)
{
	_cleanup_(store_closep) struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return error_memory(error);
	store->lock = -1;
	store->folder = folder_open(folder);
	if (store->folder < 0)
		return error_set(error, -store->folder, "%s: %s: the state folder cannot be made", folder,
				 strerror(-store->folder));
	store->lock = folder_lock(store->folder, LOCK_FILE);
	if (store->lock == -EBUSY)
		return error_set(error, EBUSY, "another sprd is running with the state folder %s", folder);
	if (store->lock < 0)
		return error_set(error, -store->lock, "%s: %s", folder, strerror(-store->lock));
	if (asprintf(&store->policy_path, "%s/" POLICY_FILE, folder) < 0 ||
	    asprintf(&store->database_path, "%s/" DATABASE_FILE, folder) < 0)
		return error_memory(error);
	open_or_note(store);
	*ret = TAKE_PTR(store);
	return 0;
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	database_close(store);
	closep(&store->lock);
	closep(&store->folder);
	free(store->policy_path);
	free(store->database_path);
	free(store);
	return NULL;
}

/* One that closes only may have reached the kernel or not: to carry it out is safe. One that opens was never promised. */
static int settle_intents(struct store *store, struct error *error)
{
	return database_run(store, "UPDATE revision SET state = CASE opens WHEN 0 THEN 1 ELSE 2 END WHERE state = 0",
			    error);
}

static int load_newest(struct store *store, bool (*usable)(const char *yaml, void *data), void *data,
		       struct revision *ret, struct error *error)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int64_t unusable = 0;
	int r = prepare(store, "SELECT " COLUMNS ", yaml FROM revision WHERE state = 1 ORDER BY number DESC",
			&statement, error);

	if (r < 0)
		return r;
	while ((r = sqlite3_step(statement)) == SQLITE_ROW) {
		struct revision revision;

		if (read_row(statement, &revision) < 0)
			return error_memory(error);
		if (usable(revision.yaml, data)) {
			if (unusable)
				snprintf(store->problem, sizeof(store->problem),
					 "revision %lld cannot be read any more: revision %lld, before it, is enforced",
					 (long long)unusable, (long long)revision.number);
			*ret = revision;
			return 0;
		}
		unusable = unusable ? unusable : revision.number;
		revision_clear(&revision);
	}
	if (r != SQLITE_DONE)
		return database_error(store, "cannot be read", error);
	return unusable ? error_set(error, EINVAL, "%s: no revision in it can be read", store->database_path) : -ENOENT;
}

static int load_file(struct store *store, bool (*usable)(const char *yaml, void *data), void *data,
		     struct revision *ret, struct error *error)
{
	_cleanup_(revision_clear) struct revision revision = { .state = REVISION_TAKEN, .time = time(NULL) };
	size_t length = 0;
	int r = folder_read(store->folder, POLICY_FILE, &revision.yaml, &length);

	if (r == -ENOENT)
		return r;
	if (r < 0)
		return error_set(error, -r, "%s: %s", store->policy_path, strerror(-r));
	if (strlen(revision.yaml) != length || !usable(revision.yaml, data))
		return error_set(error, EINVAL, "%s cannot be read", store->policy_path);
	revision.author = strdup("sprd");
	revision.summary = strdup("as found in " POLICY_FILE);
	if (!revision.author || !revision.summary)
		return error_memory(error);
	if (store->db && (store_intend(store, &revision, &revision.number, error) < 0 ||
			  store_settle(store, revision.number, true, error) < 0))
		snprintf(store->problem, sizeof(store->problem), "%.400s", error->text);
	*ret = revision;
	revision = (struct revision){ 0 };
	return 0;
}

int store_load(struct store *store, bool (*usable)(const char *yaml, void *data), void *data, struct revision *ret,
	       struct error *error)
{
	int r = -ENOENT;

	if (store->db)
		r = settle_intents(store, error);
	if (store->db && r >= 0)
		r = load_newest(store, usable, data, ret, error);
	if (r == 0 && !store->problem[0])
		folder_replace(store->folder, POLICY_FILE, ret->yaml);
	return r == 0 ? 0 : load_file(store, usable, data, ret, error);
}

static void bind_text(sqlite3_stmt *statement, int i, const char *text)
{
	if (text)
		sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, i);
}

static int insert(struct store *store, const struct revision *revision, struct error *error)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = database_open(store, error);

	if (r >= 0)
		r = prepare(store,
			    "INSERT INTO revision(time, author, comment, summary, yaml, state, opens, confirm_by)"
			    " VALUES(?, ?, ?, ?, ?, 0, ?, ?)",
			    &statement, error);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, revision->time);
	bind_text(statement, 2, revision->author);
	bind_text(statement, 3, revision->comment);
	bind_text(statement, 4, revision->summary);
	bind_text(statement, 5, revision->yaml);
	sqlite3_bind_int(statement, 6, revision->opens);
	sqlite3_bind_int64(statement, 7, revision->confirm_by);
	return sqlite3_step(statement) == SQLITE_DONE ? 0 : database_error(store, "cannot be written", error);
}

int store_intend(struct store *store, const struct revision *revision, int64_t *ret_number, struct error *error)
{
	struct error local = { 0 };
	int r = store_catch_up(store, &local);

	if (r >= 0)
		r = insert(store, revision, &local);

	snprintf(store->trouble, sizeof(store->trouble), "%.450s", local.text);
	if (r < 0)
		return error_set(error, -r, "nothing was changed: %.900s", local.text);
	*ret_number = sqlite3_last_insert_rowid(store->db);
	return 0;
}

static int update(struct store *store, const char *sql, int64_t first, int64_t second, struct error *error)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = database_open(store, error);

	if (r >= 0)
		r = prepare(store, sql, &statement, error);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, first);
	sqlite3_bind_int64(statement, 2, second);
	return sqlite3_step(statement) == SQLITE_DONE ? 0 : database_error(store, "cannot be written", error);
}

/* Room that a deleted row had is used again, and never given back to the file. */
static int is_full(struct store *store, bool *ret, struct error *error)
{
	int64_t size = 0, pages = 0, free_pages = 0;
	int r = number_of(store, "PRAGMA page_size", &size, error);

	if (r >= 0)
		r = number_of(store, "PRAGMA page_count", &pages, error);
	if (r >= 0)
		r = number_of(store, "PRAGMA freelist_count", &free_pages, error);
	*ret = (pages - free_pages) * size > REVISIONS_BYTES;
	return r;
}

static int forget_old(struct store *store, int64_t number, struct error *error)
{
	int64_t oldest = 0;
	bool full = true;
	int r = update(store, "DELETE FROM revision WHERE number <= ? - ?", number, REVISIONS_KEPT, error);

	while (r >= 0) {
		r = is_full(store, &full, error);
		if (r >= 0 && full)
			r = number_of(store, "SELECT min(number) FROM revision", &oldest, error);
		if (r < 0 || !full || oldest + REVISIONS_LEAST > number)
			break;
		r = update(store, "DELETE FROM revision WHERE number = ? AND number < ?", oldest, number, error);
	}
	return r;
}

static int settle(struct store *store, int64_t number, bool taken, struct error *error)
{
	_cleanup_(revision_clear) struct revision revision = { 0 };
	int r = update(store, "UPDATE revision SET state = ? WHERE number = ?",
		       taken ? REVISION_TAKEN : REVISION_FAILED, number, error);

	if (r < 0 || !taken)
		return r;
	r = forget_old(store, number, error);
	if (r >= 0)
		r = store_revision(store, number, &revision, error);
	if (r < 0)
		return r;
	r = folder_replace(store->folder, POLICY_FILE, revision.yaml);
	return r < 0 ? error_set(error, -r, "%s: %s", store->policy_path, strerror(-r)) : 0;
}

int store_settle(struct store *store, int64_t number, bool taken, struct error *error)
{
	struct error local = { 0 };
	int r = settle(store, number, taken, &local);

	snprintf(store->trouble, sizeof(store->trouble), "%.450s", local.text);
	store->unsettled = r < 0 ? number : 0;
	store->unsettled_taken = taken;
	return r < 0 ? error_set(error, -r, "%s", local.text) : 0;
}

int store_catch_up(struct store *store, struct error *error)
{
	int r;

	if (store->unsettled)
		return store_settle(store, store->unsettled, store->unsettled_taken, error);
	if (!store->trouble[0])
		return 0;
	/* something that changes nothing, and has to be written all the same */
	r = update(store,
		   "UPDATE revision SET state = ? WHERE state = 1 AND number = (SELECT max(number) FROM revision) + ?",
		   REVISION_TAKEN, 0, error);
	if (r >= 0)
		store->trouble[0] = '\0';
	return r;
}

int store_confirm(struct store *store, int64_t number, struct error *error)
{
	return update(store, "UPDATE revision SET confirm_by = ? WHERE number = ?", 0, number, error);
}

int store_revision(struct store *store, int64_t number, struct revision *ret, struct error *error)
{
	int r = database_open(store, error);

	return r < 0 ? r :
		       read_one(store, "SELECT " COLUMNS ", yaml FROM revision WHERE number = ?", number, ret, error);
}

int store_before(struct store *store, int64_t number, struct revision *ret, struct error *error)
{
	int r = database_open(store, error);

	return r < 0 ? r :
		       read_one(store,
				"SELECT " COLUMNS ", yaml FROM revision WHERE state = 1 AND confirm_by = 0"
				" AND number < ? ORDER BY number DESC LIMIT 1",
				number, ret, error);
}

int store_withdrawn(struct store *store, struct revision *ret, struct error *error)
{
	int r = database_open(store, error);

	return r < 0 ? r :
		       read_one(store,
				"SELECT " COLUMNS ", yaml FROM revision WHERE state = 1 AND confirm_by > ?"
				" ORDER BY number DESC LIMIT 1",
				0, ret, error);
}

int store_list(struct store *store, size_t limit, struct revision **ret, size_t *ret_n, struct error *error)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	struct revision *list = NULL, *slot;
	size_t n = 0;
	int r = database_open(store, error);

	if (r >= 0)
		r = prepare(store, "SELECT " COLUMNS " FROM revision ORDER BY number DESC LIMIT ?", &statement, error);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, (int64_t)limit);
	while ((r = sqlite3_step(statement)) == SQLITE_ROW) {
		slot = ARRAY_ADD(list, n);
		r = slot ? read_row(statement, slot) : -ENOMEM;
		if (r < 0)
			break;
	}
	if (r != SQLITE_DONE) {
		r = r < 0 ? error_memory(error) : database_error(store, "cannot be read", error);
		while (n > 0)
			revision_clear(&list[--n]);
		free(list);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

bool store_active(const struct store *store)
{
	return faccessat(store->folder, ACTIVE_FILE, F_OK, 0) == 0;
}

bool store_is_active(const char *folder)
{
	char path[4096];

	return snprintf(path, sizeof(path), "%s/" ACTIVE_FILE, folder) < (int)sizeof(path) && access(path, F_OK) == 0;
}

int store_set_active(struct store *store, bool active, struct error *error)
{
	int r;

	if (active)
		r = folder_replace(store->folder, ACTIVE_FILE,
				   "The policy beside this file is enforced: see sprd(8).\n");
	else
		r = folder_remove(store->folder, ACTIVE_FILE);
	return r < 0 ? error_set(error, -r, "the state folder cannot be written: %s", strerror(-r)) : 0;
}

const char *store_policy_path(const struct store *store)
{
	return store->policy_path;
}

const char *store_problem(const struct store *store)
{
	return store->problem[0] ? store->problem : store->trouble;
}
