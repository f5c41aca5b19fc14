/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rulesets against their golden text: tests/golden/NAME.world and NAME.yaml make NAME.nft. With SPR_GOLDEN_WRITE=1 the
 * text is written anew, for a person to read the difference. As root, in namespaces of its own: nft takes the text, and
 * lists the same whether it loaded the text or nft_apply() wrote the ruleset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/nft.h"
#include "ruleset/compile.h"
#include "world.h"

#define NOW 1800000000
#define FOLDER TEST_SOURCE_ROOT "/tests/golden/"

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r"), *out;
	char *text = NULL;
	size_t size;
	int c;

	if (!file)
		return NULL;
	out = open_memstream(&text, &size);
	while ((c = fgetc(file)) != EOF)
		fputc(c, out);
	fclose(out);
	fclose(file);
	return text;
}

static char *read_golden(const char *name, const char *suffix)
{
	char path[512];

	snprintf(path, sizeof(path), FOLDER "%s.%s", name, suffix);
	return read_file(path);
}

static struct ruleset *compile(const char *name)
{
	_cleanup_free_ char *machine = read_golden(name, "world"), *yaml = read_golden(name, "yaml");
	struct compile_options options = { 0 };
	struct error error = { 0 };
	struct ruleset *ruleset;
	struct world world;

	assert_non_null(machine);
	assert_non_null(yaml);
	world = world_new(machine, yaml, NULL, NOW);
	assert_int_equal(ruleset_compile(world.model, &options, &ruleset, &error), 0);
	world_free(&world);
	return ruleset;
}

static char *print(const struct ruleset *ruleset)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(ruleset_print(ruleset, NFT_TABLE, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void first_difference(const char *a, const char *b)
{
	size_t line = 1, i = 0;

	for (; a[i] && a[i] == b[i]; i++)
		line += a[i] == '\n';
	while (i > 0 && a[i - 1] != '\n')
		i--;
	print_error("line %zu:\n  %.*s\n  %.*s\n", line, (int)strcspn(a + i, "\n"), a + i, (int)strcspn(b + i, "\n"),
		    b + i);
}

static void test_text(void **state)
{
	const char *name = *state;
	_cleanup_(ruleset_freep) struct ruleset *ruleset = compile(name);
	_cleanup_free_ char *text = print(ruleset), *golden = NULL;
	char path[512];

	snprintf(path, sizeof(path), FOLDER "%s.nft", name);
	if (getenv("SPR_GOLDEN_WRITE")) {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		fputs(text, file);
		assert_int_equal(fclose(file), 0);
	}
	golden = read_file(path);
	assert_non_null(golden);
	if (strcmp(golden, text) == 0)
		return;
	first_difference(golden, text);
	fail_msg("%s is not as it was: SPR_GOLDEN_WRITE=1 writes it anew", path);
}

/* Leaves the process in a new namespace; false where it may not. */
static bool enter_namespace(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && system("nft list ruleset >/dev/null 2>&1") == 0;
}

/* What nft lists here: set by set and chain by chain, in an order that does not depend on who was made first. */
static void list_to(const char *path)
{
	char command[600];

	snprintf(command, sizeof(command),
		 "set -o pipefail; nft list ruleset | grep -v '^table\\|^}\\|^\tflags ' | sed 's/ # progname.*//' |"
		 " awk 'BEGIN { RS = \"\"; ORS = \"\\0\" } { print }' | sort -z | tr '\\0' '\\n' >%s",
		 path);
	if (execlp("bash", "bash", "-c", command, NULL) < 0)
		_exit(3);
}

enum way { WAY_TEXT, WAY_NETLINK };

static void load_and_list(enum way way, const char *name, const char *listing)
{
	char command[600];

	if (way == WAY_TEXT) {
		snprintf(command, sizeof(command), "nft -c -f " FOLDER "%s.nft && nft -f " FOLDER "%s.nft", name, name);
		if (system(command) != 0)
			_exit(2);
	} else {
		_cleanup_(ruleset_freep) struct ruleset *ruleset = compile(name);
		struct error error = { 0 };
		struct nft *nft;

		if (nft_open(NFT_PLAIN, &nft, &error) < 0 || nft_apply(nft, NULL, ruleset, &error) < 0) {
			print_error("%s\n", error.text);
			_exit(2);
		}
	}
	list_to(listing); /* ends the process: with nft's own end, if that is bad */
}

/* A child in a namespace of its own. False where there may be none. */
static bool in_namespace(enum way way, const char *name, const char *listing)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (!enter_namespace())
			_exit(77);
		load_and_list(way, name, listing);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status)); /* nft did not abort, and neither did we */
	if (WEXITSTATUS(status) == 77)
		return false;
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

static void test_kernel(void **state)
{
	const char *name = *state;
	char folder[] = "/tmp/spr-golden-XXXXXX", paths[2][64];
	_cleanup_free_ char *text = NULL, *netlink = NULL;
	bool able;

	assert_non_null(mkdtemp(folder));
	snprintf(paths[0], sizeof(paths[0]), "%s/text", folder);
	snprintf(paths[1], sizeof(paths[1]), "%s/netlink", folder);
	able = in_namespace(WAY_TEXT, name, paths[0]) && in_namespace(WAY_NETLINK, name, paths[1]);
	if (able) {
		text = read_file(paths[0]);
		netlink = read_file(paths[1]);
	}
	unlink(paths[0]);
	unlink(paths[1]);
	rmdir(folder);
	if (!able) {
		print_message("skipped: needs root, to make network namespaces, and nft\n");
		skip();
	}
	assert_true(text && netlink && strlen(text) > 1000);
	if (strcmp(text, netlink) == 0)
		return;
	first_difference(text, netlink);
	fail_msg("nft lists something else for the text than for what was written");
}

int main(void)
{
	static char *const names[] = { "empty", "labels", "nas", "router" };
	struct CMUnitTest tests[2 * ELEMENTSOF(names)];

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		tests[2 * i] =
			(struct CMUnitTest){ .name = names[i], .test_func = test_text, .initial_state = names[i] };
		tests[2 * i + 1] =
			(struct CMUnitTest){ .name = names[i], .test_func = test_kernel, .initial_state = names[i] };
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
