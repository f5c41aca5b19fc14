/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/target.h"

#define WORDS_MAX 16

/* The request of a line, words apart by one space, as JSON with sorted keys; NULL with an error. */
static char *request_of(const char *line, struct error *error)
{
	char *argv[WORDS_MAX + 1] = { NULL }, *end = NULL;
	_cleanup_free_ char *copy = strdup(line);
	_cleanup_(json_decrefp) json_t *request = NULL;
	struct command command = { 0 };
	int argc = 0;

	for (char *word = strtok_r(copy, " ", &end); word && argc < WORDS_MAX; word = strtok_r(NULL, " ", &end))
		argv[argc++] = word;
	*error = (struct error){ 0 };
	if (command_parse(argc, argv, &command, error) < 0 || command_request(&command, &request, error) < 0)
		return NULL;
	json_object_del(request, "ssh"); /* the one the tests run in */
	return json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
}

static void test_requests(void **state)
{
	static const struct {
		const char *line, *request;
	} cases[] = {
		{ "up", "{'call':'up','force':false}" },
		{ "up --force", "{'call':'up','force':true}" },
		{ "down", "{'call':'down','force':false}" },
		{ "status", "{'call':'status'}" },
		{ "status --json", "{'call':'status'}" },
		{ "list flows", "{'call':'list','what':'flows'}" },
		{ "join jellyfin media", "{'call':'join','force':false,'groups':['media'],'member':'jellyfin'}" },
		{ "leave tv a,b c", "{'call':'leave','force':false,'groups':['a','b','c'],'member':'tv'}" },
		{ "grant container:web wan dns",
		  "{'call':'grant','force':false,'member':'container:web','policies':['wan','dns']}" },
		{ "revoke web wan", "{'call':'revoke','force':false,'member':'web','policies':['wan']}" },
		{ "allow group:family nas:445/tcp --for 2h",
		  "{'call':'allow','for':7200,'force':false,'from':'group:family','ports':['445/tcp'],'remove':false,"
		  "'to':'nas'}" },
		{ "allow --remove A B", "{'call':'allow','force':false,'from':'A','ports':[],'remove':true,'to':'B'}" },
		{ "allow A --comment why B",
		  "{'call':'allow','comment':'why','force':false,'from':'A','ports':[],'remove':false,'to':'B'}" },
		{ "allow A B --dry-run",
		  "{'call':'allow','dry_run':true,'force':false,'from':'A','ports':[],'remove':false,'to':'B'TRIAL}" },
		{ "apply --confirm 60s", "{'call':'apply','confirm':60,'force':false}" },
		{ "history 7", "{'call':'history','limit':7}" },
		{ "diff 41 42", "{'call':'diff','from':41,'to':42}" },
		{ "rollback 41 --comment why", "{'call':'rollback','comment':'why','force':false,'number':41}" },
		{ "block tv internet",
		  "{'call':'block','force':false,'from':'tv','ports':[],'remove':false,'to':'internet'}" },
		{ "publish web --to group:family,internet",
		  "{'call':'publish','force':false,'member':'web','remove':false,'to':['group:family','internet']}" },
		{ "publish web --port 8080/tcp --to=lan",
		  "{'call':'publish','force':false,'member':'web','port':'8080/tcp','remove':false,'to':['lan']}" },
		{ "publish web --remove", "{'call':'publish','force':false,'member':'web','remove':true,'to':[]}" },
		{ "publish web --remove --to lan",
		  "{'call':'publish','force':false,'member':'web','remove':true,'to':['lan']}" },
		{ "role br-lan lan", "{'call':'role','force':false,'interface':'br-lan','role':'lan'}" },
		{ "pending", "{'call':'pending'}" },
		{ "accept 3fa9c1d2 00c0ffee", "{'call':'accept','force':false,'ids':['3fa9c1d2','00c0ffee']}" },
		{ "dismiss 3fa9c1d2,00c0ffee", "{'call':'dismiss','force':false,'ids':['3fa9c1d2','00c0ffee']}" },
		{ "export", "{'call':'export'}" },
		{ "explain phone nas:445/tcp", "{'call':'explain','from':'phone','port':'445/tcp','to':'nas'}" },
		{ "explain phone group:family", "{'call':'explain','from':'phone','to':'group:family'}" },
		{ "log", "{'call':'log'}" },
		{ "log -f", "{'call':'log'}" },
		{ "log -f --member tv", "{'call':'log','member':'tv'}" },
		{ "allow -- -a b", "{'call':'allow','force':false,'from':'-a','ports':[],'remove':false,'to':'b'}" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_free_ char *expected = NULL;
		_cleanup_free_ char *got = NULL;
		struct error error;
		char *trial;

		assert_true(asprintf(&expected, "%s                ", cases[i].request) > 0);
		expected[strlen(cases[i].request)] = '\0';
		for (char *c = expected; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		trial = strstr(expected, "TRIAL");
		if (trial) /* root asks for what twins are made of */
			strcpy(trial, geteuid() == 0 ? ",\"trial\":true}" : "}");
		got = request_of(cases[i].line, &error);
		if (!got)
			fail_msg("%s: %s", cases[i].line, error.text);
		assert_string_equal(got, expected);
	}
}

static void test_wrong_usage(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{ "plan", "plan which file?" },
		{ "plan -f x --compose y", "not with -f" },
		{ "plan -f /dev/null --project y", "--project belongs to --compose" },
		{ "alow a b", "did you mean 'allow'?" },
		{ "hepl", "did you mean 'help'?" },
		{ "frobnicate", "unknown verb 'frobnicate'" },
		{ "allow a", "needs more" },
		{ "accept", "needs more" },
		{ "pending x", "'x'" },
		{ "allow a b c", "'c'" },
		{ "up now", "'now'" },
		{ "allow a b --forse", "--force" },
		{ "allow a b --port 1", "unknown option --port" },
		{ "status --force", "unknown option --force" },
		{ "status -x", "unknown option -x" },
		{ "allow a b --for", "--for needs a value" },
		{ "allow a b --for 1h --for 2h", "twice" },
		{ "allow a b --remove=1", "--remove takes no value" },
		{ "allow a b --for soon", "--for" },
		{ "allow a b --remove --for 2h", "--remove" },
		{ "allow a b:http", "b:http" },
		{ "allow a b:70000", "b:70000" },
		{ "allow a b:", "empty port" },
		{ "allow a b:80,", "empty port" },
		{ "allow a :80", "no name" },
		{ "allow a b,c", "more than one" },
		{ "publish web", "--to" },
		{ "publish web --to a,,b", "empty name" },
		{ "publish web --port x --to lan", "--port" },
		{ "join tv a,", "empty name" },
		{ "list contianers", "did you mean 'containers'?" },
		{ "list x", "cannot list 'x'" },
		{ "explain a b:1,2", "one port" },
		{ "plan", "-f" },
		{ "rollback x", "no number" },
		{ "diff 1 0", "no number" },
		{ "apply -f /dev/null --confirm soon", "--confirm" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct error error;
		_cleanup_free_ char *got = request_of(cases[i].line, &error);

		if (got || error.code != EINVAL || !strstr(error.text, cases[i].part))
			fail_msg("%s: expected an error with '%s', got %s%s", cases[i].line, cases[i].part,
				 got ? got : "", error.text);
	}
}

static void test_targets(void **state)
{
	static const struct {
		const char *text, *selector, *ports;
	} cases[] = {
		{ "nas", "nas", "[]" },
		{ "nas:445/tcp", "nas", "['445/tcp']" },
		{ "nas:53", "nas", "['53']" },
		{ "nas:8000-8100/udp,53", "nas", "['8000-8100/udp','53']" },
		{ "nas:icmp", "nas", "['icmp']" },
		{ "nas:proto:47", "nas", "['proto:47']" },
		{ "nas:proto:47,80/tcp", "nas", "['proto:47','80/tcp']" },
		{ "nas:80/tcp,proto:47", "nas", "['80/tcp','proto:47']" },
		{ "container:web", "container:web", "[]" },
		{ "container:web:80/tcp", "container:web", "['80/tcp']" },
		{ "container:web:proto:47", "container:web", "['proto:47']" },
		{ "container:shop/web:80", "container:shop/web", "['80']" },
		{ "group:family", "group:family", "[]" },
		{ "group:53", "group:53", "[]" },
		{ "group:53:53", "group:53", "['53']" },
		{ "tag:icmp", "tag:icmp", "[]" },
		{ "rule:home:22/tcp", "rule:home", "['22/tcp']" },
		{ "internet:443/tcp", "internet", "['443/tcp']" },
		{ "host:22/tcp", "host", "['22/tcp']" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_free_ char *selector = NULL;
		_cleanup_free_ char *text = NULL;
		_cleanup_(json_decrefp) json_t *ports = NULL;
		struct error error = { 0 };

		if (target_split(cases[i].text, &selector, &ports, &error) < 0)
			fail_msg("%s: %s", cases[i].text, error.text);
		text = json_dumps(ports, JSON_COMPACT);
		for (char *c = text; *c; c++)
			*c = *c == '"' ? '\'' : *c;
		assert_string_equal(selector, cases[i].selector);
		assert_string_equal(text, cases[i].ports);
	}
}

static void test_not_utf8(void **state)
{
	struct error error;

	(void)state;
	assert_null(request_of("join tv\xff media", &error));
	assert_int_equal(error.code, EILSEQ);
	assert_null(request_of("publish web --to a\xff", &error));
	assert_int_equal(error.code, EILSEQ);
}

static void test_files(void **state)
{
	char path[] = "/tmp/spr-test-XXXXXX", line[64];
	struct error error;
	_cleanup_free_ char *got = NULL;
	FILE *file = fdopen(mkstemp(path), "w");

	(void)state;
	fputs("groups: [{name: \"m\"}]\n", file);
	fflush(file);
	snprintf(line, sizeof(line), "apply -f %s", path);
	got = request_of(line, &error);
	assert_non_null(got);
	assert_non_null(strstr(got, "\"text\":\"groups: [{name: \\\"m\\\"}]\\n\""));
	assert_non_null(strstr(got, path));
	putc(0, file);
	fflush(file);
	assert_null(request_of(line, &error));
	assert_int_equal(error.code, EILSEQ);
	assert_int_equal(ftruncate(fileno(file), (16 << 20) + 1), 0);
	assert_null(request_of(line, &error));
	assert_int_equal(error.code, E2BIG);
	fclose(file);
	unlink(path);
	assert_null(request_of(line, &error));
	assert_int_equal(error.code, ENOENT);
	assert_null(request_of("apply -f /", &error));
	assert_int_equal(error.code, EIO);
}

static char *printed(const char *text)
{
	char *result = NULL;
	size_t size;
	FILE *stream = open_memstream(&result, &size);

	print_text(stream, text);
	fclose(stream);
	return result;
}

static void test_hostile_text(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "plain text", "plain text" },
		{ "K\xc3\xbc"
		  "che \xe6\x97\xa5",
		  "K\xc3\xbc"
		  "che \xe6\x97\xa5" },
		{ "\x1b]0;owned\x07", "\\x1b]0;owned\\x07" },
		{ "\xc2\x9b"
		  "2J",
		  "\\u009b2J" },
		{ "a\nb\tc\r", "a\\nb\\tc\\x0d" },
		{ "\x7f", "\\x7f" },
		{ "\xe2\x80\xae"
		  "gnp.exe",
		  "\\u202egnp.exe" },
		{ "\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf", "\\u2066\\u200b\\ufeff" },
		{ "\xf3\xa0\x80\x81", "\\U000e0001" },
		{ "\xff\xc3", "\\xff\\xc3" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
		{ "back\\slash", "back\\slash" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_free_ char *shown = printed(cases[i].text);

		assert_string_equal(shown, cases[i].shown);
	}
	assert_int_equal(text_width("K\xc3\xbc"
				    "che"),
			 5);
	assert_int_equal(text_width("\xe6\x97\xa5"), 2);
	assert_int_equal(text_width("\x1b"), 4);
}

/* In a locale without UTF-8 no byte above 127 is printed as it is. */
static void test_hostile_text_ascii(void **state)
{
	_cleanup_free_ char *shown = NULL;

	(void)state;
	setlocale(LC_ALL, "C");
	shown = printed("K\xc3\xbc"
			"che\x9b");
	setlocale(LC_ALL, "C.UTF-8");
	assert_string_equal(shown, "K\\xc3\\xbcche\\x9b");
}

static void test_cells(void **state)
{
	static const struct {
		const char *json, *cell;
	} cases[] = {
		{ "\"text\"", "text" },	  { "12", "12" }, { "true", "yes" },	  { "false", "no" },
		{ "null", "-" },	  { "[]", "-" },  { "[\"a\",2]", "a,2" }, { "{\"a\":1}", "{\"a\":1}" },
		{ "[[1],[]]", "[1],[]" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(json_decrefp) json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
		_cleanup_free_ char *cell = json_cell(json);

		assert_string_equal(cell, cases[i].cell);
	}
}

static void test_session(void **state)
{
	static const char *const bad[] = {
		"", "x", "1.2.3.4 5", "1.2.3.4 5 1.2.3.4 22 6", "1.2.3.4 5 1.2.3.400 22", "1.2.3.4 70000 1.2.3.5 22"
	};
	char *found;

	(void)state;
	assert_true(session_text_valid("192.168.1.7 50000 192.168.1.1 22"));
	assert_true(session_text_valid("2001:db8::7 50000 2001:db8::1 22"));
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_false(session_text_valid(bad[i]));
	setenv("SSH_CONNECTION", "192.168.1.7 50000 192.168.1.1 22", 1);
	found = session_find();
	assert_string_equal(found, "192.168.1.7 50000 192.168.1.1 22");
	free(found);
	unsetenv("SSH_CONNECTION");
}

/* Under sudo the variable is gone; the shell above still has it. */
static void test_session_of_parent(void **state)
{
	(void)state;
	assert_int_equal(
		system("SSH_CONNECTION='10.0.0.1 1 10.0.0.2 22' sh -c 'env -u SSH_CONNECTION "
		       "\"$0\" --print-session; exit $?' \"$SPR_TEST_CLI\" | grep -qx '10.0.0.1 1 10.0.0.2 22'"),
		0);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_hostile_text_ascii),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_session_of_parent),
	};

	if (argc == 2 && strcmp(argv[1], "--print-session") == 0) {
		_cleanup_free_ char *session = session_find();

		puts(session ? session : "none");
		return 0;
	}
	setenv("SPR_TEST_CLI", argv[0], 1);
	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
