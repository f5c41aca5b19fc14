/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Revisions on disk: intents and what becomes of them, damage, a store that cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

struct fixture {
	char folder[64];
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, "/tmp/spr-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	strcat(fixture->folder, "/state/spr");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char command[200];

	store_close(fixture->store);
	*strstr(fixture->folder, "/state") = '\0';
	snprintf(command, sizeof(command), "rm -rf %s", fixture->folder);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

static void open_store(struct fixture *fixture)
{
	struct error error = { 0 };

	fixture->store = store_close(fixture->store);
	if (store_open(fixture->folder, &fixture->store, &error) < 0)
		fail_msg("%s", error.text);
}

/* Whatever does not begin with "bad" can be a policy. */
static bool is_good(const char *yaml, void *data)
{
	return strncmp(yaml, "bad", 3) != 0;
}

static int64_t intend(struct fixture *fixture, const char *yaml, bool opens)
{
	struct revision revision = { .time = 1000,
				     .author = (char *)"somebody",
				     .summary = (char *)"opens a door",
				     .yaml = (char *)yaml,
				     .opens = opens };
	struct error error = { 0 };
	int64_t number = 0;

	if (store_intend(fixture->store, &revision, &number, &error) < 0)
		fail_msg("%s", error.text);
	assert_true(number > 0);
	return number;
}

static int64_t take(struct fixture *fixture, const char *yaml)
{
	int64_t number = intend(fixture, yaml, true);

	assert_int_equal(store_settle(fixture->store, number, true, NULL), 0);
	return number;
}

/* What a start would enforce. */
static void assert_loads(struct fixture *fixture, const char *yaml, int64_t number)
{
	struct revision revision = { 0 };
	struct error error = { 0 };
	int r = store_load(fixture->store, is_good, NULL, &revision, &error);

	if (!yaml) {
		assert_int_equal(r, number);
		return;
	}
	if (r < 0)
		fail_msg("%d: %s", r, error.text);
	assert_string_equal(revision.yaml, yaml);
	if (number)
		assert_int_equal(revision.number, number);
	revision_clear(&revision);
}

static void put_file(const struct fixture *fixture, const char *name, const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_empty(void **state)
{
	struct fixture *fixture = *state;
	struct store *second;
	struct error error = { 0 };
	struct stat status;

	open_store(fixture);
	assert_loads(fixture, NULL, -ENOENT);
	assert_string_equal(store_problem(fixture->store), "");
	assert_int_equal(store_open(fixture->folder, &second, &error), -EBUSY);
	assert_int_equal(stat(fixture->folder, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	assert_false(store_active(fixture->store));
	assert_false(store_is_active(fixture->folder));
	assert_int_equal(store_set_active(fixture->store, true, NULL), 0);
	assert_int_equal(store_set_active(fixture->store, true, NULL), 0);
	assert_true(store_is_active(fixture->folder));
	assert_int_equal(store_set_active(fixture->store, false, NULL), 0);
	assert_int_equal(store_set_active(fixture->store, false, NULL), 0);
	assert_false(store_active(fixture->store));
}

static void test_life(void **state)
{
	struct fixture *fixture = *state;
	struct revision *list = NULL, revision;
	size_t n = 0;
	int64_t first, failed, third;

	open_store(fixture);
	first = take(fixture, "one");
	failed = intend(fixture, "two", true);
	assert_int_equal(store_settle(fixture->store, failed, false, NULL), 0);
	third = take(fixture, "three");
	open_store(fixture);
	assert_loads(fixture, "three", third);
	assert_int_equal(store_before(fixture->store, third, &revision, NULL), 0);
	assert_int_equal(revision.number, first);
	assert_string_equal(revision.yaml, "one");
	revision_clear(&revision);
	assert_int_equal(store_before(fixture->store, first, &revision, NULL), -ENOENT);
	assert_int_equal(store_revision(fixture->store, 99, &revision, NULL), -ENOENT);
	assert_int_equal(store_list(fixture->store, 2, &list, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(list[0].number, third);
	assert_int_equal(list[0].state, REVISION_TAKEN);
	assert_int_equal(list[1].number, failed);
	assert_int_equal(list[1].state, REVISION_FAILED);
	assert_null(list[0].yaml);
	for (size_t i = 0; i < n; i++)
		revision_clear(&list[i]);
	free(list);
}

/* What a crash leaves: only what closes is carried out. */
static void test_intents(void **state)
{
	struct fixture *fixture = *state;
	int64_t number;

	open_store(fixture);
	take(fixture, "one");
	intend(fixture, "opens", true);
	open_store(fixture);
	assert_loads(fixture, "one", 0);
	number = intend(fixture, "closes", false);
	open_store(fixture);
	assert_loads(fixture, "closes", number);
	intend(fixture, "opens", true);
	open_store(fixture);
	assert_loads(fixture, "closes", number);
}

static void test_unusable(void **state)
{
	struct fixture *fixture = *state;
	int64_t number;

	open_store(fixture);
	number = take(fixture, "one");
	take(fixture, "bad");
	take(fixture, "bad too");
	open_store(fixture);
	assert_loads(fixture, "one", number);
	assert_non_null(strstr(store_problem(fixture->store), "cannot be read any more"));
}

static void test_confirm(void **state)
{
	struct fixture *fixture = *state;
	struct revision revision = {
		.time = 1000, .author = (char *)"a", .summary = (char *)"s", .yaml = (char *)"one", .confirm_by = 1060
	};
	int64_t number;

	open_store(fixture);
	assert_int_equal(store_intend(fixture->store, &revision, &number, NULL), 0);
	assert_int_equal(store_settle(fixture->store, number, true, NULL), 0);
	open_store(fixture);
	assert_int_equal(store_revision(fixture->store, number, &revision, NULL), 0);
	assert_int_equal(revision.confirm_by, 1060);
	revision_clear(&revision);
	assert_int_equal(store_confirm(fixture->store, number, NULL), 0);
	assert_int_equal(store_revision(fixture->store, number, &revision, NULL), 0);
	assert_int_equal(revision.confirm_by, 0);
	revision_clear(&revision);
}

static void test_many(void **state)
{
	struct fixture *fixture = *state;
	struct revision *list = NULL;
	size_t n = 0;

	open_store(fixture);
	for (int i = 0; i < REVISIONS_KEPT + 20; i++)
		take(fixture, "one");
	assert_int_equal(store_list(fixture->store, 100000, &list, &n, NULL), 0);
	assert_int_equal(n, REVISIONS_KEPT);
	assert_int_equal(list[0].number, REVISIONS_KEPT + 20);
	for (size_t i = 0; i < n; i++)
		revision_clear(&list[i]);
	free(list);
}

/* Large ones are fewer; the last of them are there however large. */
static void test_large(void **state)
{
	static const size_t sizes[] = { 4 << 20, REVISIONS_BYTES / 8 };
	struct fixture *fixture = *state;

	open_store(fixture);
	for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
		_cleanup_free_ char *yaml = malloc(sizes[i] + 1);
		struct revision *list = NULL;
		size_t n = 0;

		memset(yaml, 'x', sizes[i]);
		yaml[sizes[i]] = '\0';
		for (int k = 0; k < 20; k++)
			take(fixture, yaml);
		assert_int_equal(store_list(fixture->store, 100000, &list, &n, NULL), 0);
		assert_in_range(n, i == 0 ? 14 : REVISIONS_LEAST, i == 0 ? 16 : REVISIONS_LEAST);
		assert_int_equal(list[0].number, 20 * (i + 1));
		assert_int_equal(list[n - 1].number, 20 * (i + 1) - n + 1);
		for (size_t k = 0; k < n; k++)
			revision_clear(&list[k]);
		free(list);
		assert_loads(fixture, yaml, 20 * ((int64_t)i + 1));
	}
}

/* From a version without a database, and after one that is gone: the plain file is revision 1. */
static void test_plain_file(void **state)
{
	struct fixture *fixture = *state;
	char path[200];

	open_store(fixture);
	take(fixture, "one");
	fixture->store = store_close(fixture->store);
	snprintf(path, sizeof(path), "%s/spr.db", fixture->folder);
	assert_int_equal(unlink(path), 0);
	open_store(fixture);
	assert_loads(fixture, "one", 1);
	open_store(fixture);
	assert_loads(fixture, "one", 1);
	fixture->store = store_close(fixture->store);
	assert_int_equal(unlink(path), 0);
	put_file(fixture, "policy.yaml", "bad");
	open_store(fixture);
	assert_loads(fixture, NULL, -EINVAL);
}

static void damage(const struct fixture *fixture, off_t at, size_t length)
{
	_cleanup_free_ char *bytes = malloc(length);
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/spr.db", fixture->folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)(i * 131 + 7);
	assert_int_equal(pwrite(fd, bytes, length, at), length);
	close(fd);
}

static void test_damaged(void **state)
{
	static const struct {
		off_t at;
		size_t length;
	} rows[] = { { 0, 100 }, { 0, 5000 }, { 4096, 4096 }, { 20, 200 } };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		open_store(fixture);
		for (int k = 0; k < 20; k++)
			take(fixture, "one");
		fixture->store = store_close(fixture->store);
		damage(fixture, rows[i].at, rows[i].length);
		open_store(fixture);
		assert_loads(fixture, "one", 0);
		assert_non_null(strstr(store_problem(fixture->store), "aside"));
		take(fixture, "two");
		take(fixture, "one");
	}
}

/* A folder in place of the database: nothing can be written, what is in force stays known. */
static void test_not_writable(void **state)
{
	struct fixture *fixture = *state;
	struct revision revision = { .author = (char *)"a", .summary = (char *)"s", .yaml = (char *)"two" };
	struct error error = { 0 };
	char path[200];
	int64_t number;

	open_store(fixture);
	take(fixture, "one");
	fixture->store = store_close(fixture->store);
	snprintf(path, sizeof(path), "%s/spr.db", fixture->folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	open_store(fixture);
	assert_loads(fixture, "one", 0);
	assert_non_null(strstr(store_problem(fixture->store), "no change is accepted"));
	assert_true(store_intend(fixture->store, &revision, &number, &error) < 0);
	assert_non_null(strstr(error.text, "nothing was changed"));
	assert_int_equal(rmdir(path), 0);
	take(fixture, "two");
	assert_string_equal(store_problem(fixture->store), "");
	open_store(fixture);
	assert_loads(fixture, "two", 0);
}

static void test_newer(void **state)
{
	struct fixture *fixture = *state;
	struct revision revision = { .author = (char *)"a", .summary = (char *)"s", .yaml = (char *)"two" };
	struct error error = { 0 };
	char path[200];
	int64_t number;
	sqlite3 *db;

	open_store(fixture);
	take(fixture, "one");
	fixture->store = store_close(fixture->store);
	snprintf(path, sizeof(path), "%s/spr.db", fixture->folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	open_store(fixture);
	assert_loads(fixture, "one", 0);
	assert_non_null(strstr(store_problem(fixture->store), "newer"));
	assert_true(store_intend(fixture->store, &revision, &number, &error) < 0);
}

/* Where the folder is somewhere else by a link, as on a machine whose /var is on another disk. */
static void test_linked(void **state)
{
	struct fixture *fixture = *state;
	char link[80];

	open_store(fixture);
	fixture->store = store_close(fixture->store);
	snprintf(link, sizeof(link), "%s", fixture->folder);
	*strstr(link, "/state") = '\0';
	strcat(link, "/link");
	assert_int_equal(symlink("state", link), 0);
	snprintf(fixture->folder, sizeof(fixture->folder), "%.50s/spr", link);
	open_store(fixture);
	take(fixture, "one");
	assert_string_equal(store_problem(fixture->store), "");
	*strstr(fixture->folder, "/link") = '\0';
	strcat(fixture->folder, "/state/spr");
}

/* One that nobody confirmed is not what one goes back to. */
static void test_withdrawn(void **state)
{
	struct fixture *fixture = *state;
	struct revision revision = {
		.time = 1000, .author = (char *)"a", .summary = (char *)"s", .yaml = (char *)"two", .confirm_by = 1060
	};
	int64_t first, number, third;

	open_store(fixture);
	first = take(fixture, "one");
	assert_int_equal(store_withdrawn(fixture->store, &revision, NULL), -ENOENT);
	assert_int_equal(store_intend(fixture->store, &revision, &number, NULL), 0);
	assert_int_equal(store_settle(fixture->store, number, true, NULL), 0);
	third = take(fixture, "one");
	assert_int_equal(store_before(fixture->store, third, &revision, NULL), 0);
	assert_int_equal(revision.number, first);
	revision_clear(&revision);
	assert_int_equal(store_withdrawn(fixture->store, &revision, NULL), 0);
	assert_int_equal(revision.number, number);
	revision_clear(&revision);
}

/* Files may not grow, as on a full disk, or may again. */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The kernel has it and the disk was full before that could be written: as soon as it can be, it is. */
static void test_unsettled(void **state)
{
	struct fixture *fixture = *state;
	struct revision revision = { 0 };
	struct error error = { 0 };
	int64_t number;

	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	open_store(fixture);
	take(fixture, "one");
	number = intend(fixture, "two", true);
	limit_files(0);
	assert_true(store_settle(fixture->store, number, true, &error) < 0);
	assert_string_not_equal(store_problem(fixture->store), "");
	assert_true(store_catch_up(fixture->store, &error) < 0);
	limit_files(RLIM_INFINITY);
	assert_int_equal(store_catch_up(fixture->store, &error), 0);
	assert_string_equal(store_problem(fixture->store), "");
	assert_int_equal(store_revision(fixture->store, number, &revision, NULL), 0);
	assert_int_equal(revision.state, REVISION_TAKEN);
	revision_clear(&revision);
	/* The same, and the next change comes first. */
	number = intend(fixture, "three", true);
	limit_files(0);
	assert_true(store_settle(fixture->store, number, true, &error) < 0);
	limit_files(RLIM_INFINITY);
	intend(fixture, "four", true);
	open_store(fixture);
	assert_loads(fixture, "three", number);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		STORE_TEST(test_empty),	       STORE_TEST(test_life),	    STORE_TEST(test_intents),
		STORE_TEST(test_unusable),     STORE_TEST(test_confirm),    STORE_TEST(test_many),
		STORE_TEST(test_large),	       STORE_TEST(test_plain_file), STORE_TEST(test_damaged),
		STORE_TEST(test_not_writable), STORE_TEST(test_newer),	    STORE_TEST(test_linked),
		STORE_TEST(test_withdrawn),    STORE_TEST(test_unsettled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
