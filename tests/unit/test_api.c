/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/client.h"
#include "api/line.h"
#include "api/message.h"
#include "api/server.h"

/* The server runs on its own loop in a thread; the test is the client. "tick" broadcasts, "stop" ends the loop. */
struct fixture {
	char directory[32], path[64];
	uv_loop_t loop;
	struct api *api;
	pthread_t thread;
	struct api_peer peer;
	unsigned runs;
	char order[16]; /* what "after" said, one letter each */
	bool stopped; /* by the test */
};

static int run_echo(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	struct fixture *fixture = api_request_data(request);

	(void)error;
	fixture->peer = *api_request_peer(request);
	fixture->runs++;
	*ret_result = json_pack("{s:O?}", "text", json_object_get(arguments, "text"));
	return 0;
}

static int run_fail(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	(void)request;
	(void)arguments;
	(void)ret_result;
	return error_set(error, ENOENT, "no such thing: \xff");
}

static int run_silent(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	(void)request;
	(void)arguments;
	(void)ret_result;
	(void)error;
	return -EPERM;
}

static int run_huge(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	size_t size = (size_t)json_integer_value(json_object_get(arguments, "size"));
	_cleanup_free_ char *text = calloc(1, size + 1);

	(void)request;
	if (!text)
		return error_memory(error);
	memset(text, 'x', size);
	*ret_result = json_pack("{s:s}", "text", text);
	return 0;
}

static int run_log(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	(void)ret_result;
	(void)error;
	return api_request_subscribe(request, arguments);
}

static bool wants(const json_t *subscription, const json_t *event)
{
	const json_t *member = json_object_get(subscription, "member");

	return !member || json_equal(member, json_object_get(event, "member"));
}

static int run_tick(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	struct fixture *fixture = api_request_data(request);
	_cleanup_free_ char *bulk = calloc(1, 65537);
	_cleanup_json_ json_t *event = NULL;
	json_int_t count = json_integer_value(json_object_get(arguments, "count"));

	if (!bulk)
		return error_memory(error);
	memset(bulk, 'e', json_is_true(json_object_get(arguments, "bulk")) ? 65536 : 1);
	event = json_pack("{s:O, s:s}", "member", json_object_get(arguments, "member"), "bulk", bulk);
	for (json_int_t i = 0; i < count; i++)
		api_broadcast(fixture->api, event, wants);
	*ret_result = json_pack("{s:b}", "heard", api_has_subscribers(fixture->api));
	return 0;
}

static int run_stop(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	struct fixture *fixture = api_request_data(request);

	(void)arguments;
	(void)ret_result;
	(void)error;
	fixture->api = api_close(fixture->api);
	return 0;
}

/* Answers later, and holds the others meanwhile. */
struct later {
	uv_timer_t timer;
	struct api *api;
	struct api_request *request;
	bool fails;
};

static void on_later_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_later(uv_timer_t *timer)
{
	struct later *later = timer->data;
	struct error error = { 0 };
	int r = later->fails ? error_set(&error, EPERM, "not now") : 0;

	api_request_finish(later->request, r, later->fails ? NULL : json_string("done"), &error);
	api_hold(later->api, false);
	uv_close((uv_handle_t *)timer, on_later_closed);
}

static int run_later(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	struct fixture *fixture = api_request_data(request);
	struct later *later = calloc(1, sizeof(*later));

	(void)ret_result;
	(void)error;
	later->api = fixture->api;
	later->fails = json_is_true(json_object_get(arguments, "fails"));
	later->request = api_request_keep(request);
	uv_timer_init(&fixture->loop, &later->timer);
	later->timer.data = later;
	uv_timer_start(&later->timer, on_later, (uint64_t)json_integer_value(json_object_get(arguments, "ms")), 0);
	api_hold(fixture->api, true);
	return API_LATER;
}

static int run_after(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	struct fixture *fixture = api_request_data(request);

	strncat(fixture->order, json_string_value(json_object_get(arguments, "text")), 1);
	return run_echo(request, arguments, ret_result, error);
}

#define NOBODY 65534

/* Of this thread only, which is why it is not done by libc. */
static int become(uid_t user)
{
	return syscall(SYS_setresuid, -1, user, -1) < 0 ? -errno : 0;
}

/* Whoever the server is may call, as root may. */
static int run_become(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	(void)request;
	(void)ret_result;
	(void)error;
	return become((uid_t)json_integer_value(json_object_get(arguments, "user")));
}

static const struct api_call calls[] = {
	{ "become", false, run_become }, { "later", false, run_later, true }, { "after", false, run_after, true },
	{ "echo", false, run_echo },	 { "fail", false, run_fail },	      { "silent", false, run_silent },
	{ "huge", false, run_huge },	 { "log", false, run_log },	      { "tick", false, run_tick },
	{ "stop", false, run_stop },	 { "set", true, run_echo },
};

static void *serve(void *data)
{
	struct fixture *fixture = data;

	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error error = { 0 };

	strcpy(fixture->directory, "/tmp/spr-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof(fixture->path), "%s/run/sock", fixture->directory);
	assert_int_equal(uv_loop_init(&fixture->loop), 0);
	assert_int_equal(
		api_listen(&fixture->loop, fixture->path, calls, ELEMENTSOF(calls), fixture, &fixture->api, &error), 0);
	assert_int_equal(pthread_create(&fixture->thread, NULL, serve, fixture), 0);
	*state = fixture;
	return 0;
}

static int dial(const struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, fixture->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

static struct api_client *client_new(const struct fixture *fixture)
{
	struct api_client *client = NULL;
	struct error error = { 0 };

	assert_int_equal(api_client_connect(fixture->path, &client, &error), 0);
	return client;
}

/* Sends text as it is. */
static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads one line, or "" at the end of the stream. */
static const char *hear(int fd)
{
	static char line[4096];
	size_t used = 0;

	while (used < sizeof(line) - 1) {
		ssize_t n = recv(fd, line + used, 1, 0);

		if (n < 0 && errno == EAGAIN)
			fail_msg("the server is silent");
		if (n <= 0 || line[used] == '\n')
			break;
		used++;
	}
	line[used] = '\0';
	return line;
}

static void assert_hears(int fd, const char *expected)
{
	assert_string_equal(hear(fd), expected);
}

static void assert_says_error(int fd, const char *code, const char *part)
{
	const char *line = hear(fd);
	char start[64];

	snprintf(start, sizeof(start), "{\"error\":{\"code\":\"%s\",\"message\":\"", code);
	if (strncmp(line, start, strlen(start)) != 0 || !strstr(line, part))
		fail_msg("expected %s ... %s, got %s", start, part, line);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char lock[80];

	if (!fixture->stopped) {
		int fd = dial(fixture);

		say(fd, "{\"call\":\"stop\"}\n");
		assert_hears(fd, "");
		close(fd);
	}
	pthread_join(fixture->thread, NULL);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	assert_int_equal(access(fixture->path, F_OK), -1);
	snprintf(lock, sizeof(lock), "%s.lock", fixture->path);
	unlink(lock);
	strrchr(lock, '/')[0] = '\0';
	assert_int_equal(rmdir(lock), 0);
	assert_int_equal(rmdir(fixture->directory), 0);
	free(fixture);
	return 0;
}

static void test_call(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(api_client_closep) struct api_client *client = client_new(fixture);
	_cleanup_json_ json_t *request = json_pack("{s:s, s:s}", "call", "echo", "text", "hall\xc3\xb6\n");
	_cleanup_json_ json_t *result = NULL;
	struct error error = { 0 };

	assert_int_equal(api_client_call(client, request, &result, &error), 0);
	assert_string_equal(json_string_value(json_object_get(result, "text")), "hall\xc3\xb6\n");
	assert_int_equal(fixture->peer.pid, getpid());
	assert_int_equal(fixture->peer.uid, getuid());
	assert_int_equal(fixture->peer.gid, getgid());
}

static void test_file(void **state)
{
	struct fixture *fixture = *state;
	struct stat st;

	assert_int_equal(lstat(fixture->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0660);
}

static void test_errors(void **state)
{
	int fd = dial(*state);

	say(fd, "{\"call\":\"fail\"}\n");
	assert_says_error(fd, "ENOENT", "no such thing: ?");
	say(fd, "{\"call\":\"silent\"}\n");
	assert_says_error(fd, "EPERM", "Operation not permitted");
	say(fd, "{\"call\":\"ecoh\"}\n");
	assert_says_error(fd, "ENOSYS", "did you mean \\\"echo\\\"?");
	say(fd, "{\"call\":\"zzzzzzzz\"}\n");
	assert_says_error(fd, "ENOSYS", "there is no call \\\"zzzzzzzz\\\"");
	say(fd, "{\"call\":\"set\",\"force\":1}\n");
	assert_says_error(fd, "EINVAL", "force");
	say(fd, "{\"call\":\"set\",\"ssh\":1}\n");
	assert_says_error(fd, "EINVAL", "ssh");
	say(fd, "{\"call\":\"set\",\"force\":true,\"ssh\":\"10.0.0.1 1 10.0.0.2 22\"}\n");
	assert_hears(fd, "{\"result\":{\"text\":null}}");
	close(fd);
}

static void test_garbage(void **state)
{
	static const char *const lines[] = {
		"\n",
		"{\n",
		"[]\n",
		"null\n",
		"\"call\"\n",
		"{}\n",
		"{\"call\":1}\n",
		"{\"call\":\"echo\"} x\n",
		"{\"call\":\"echo\",\"call\":\"echo\"}\n",
		"{\"call\":\"\xff\"}\n",
		"{\"call\":\"a\\u0000\"}\n",
		"\x01\x02\r\n",
	};
	struct fixture *fixture = *state;
	int fd = dial(fixture);

	for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
		say(fd, lines[i]);
		assert_says_error(fd, "EINVAL", "request");
	}
	assert_int_equal(send(fd, "{\"call\":\0\"echo\"}\n", 17, 0), 17);
	assert_says_error(fd, "EINVAL", "request");
	assert_int_equal(fixture->runs, 0);
	say(fd, "{\"call\":\"echo\",\"text\":\"still here\"}\n");
	assert_hears(fd, "{\"result\":{\"text\":\"still here\"}}");
	close(fd);
}

static void test_too_many_values(void **state)
{
	_cleanup_free_ char *line = malloc(3 * API_VALUES_MAX + 64);
	int fd = dial(*state);

	strcpy(line, "{\"call\":\"echo\",\"text\":[");
	for (size_t i = 0; i <= API_VALUES_MAX; i++)
		strcpy(line + 23 + 2 * i, "1,");
	strcat(line, "1]}\n");
	say(fd, line);
	assert_says_error(fd, "E2BIG", "values");
	/* The same commas inside a string are text. */
	memcpy(line + 22, "\"", 1);
	strcpy(line + strlen(line) - 3, "\"}\n");
	say(fd, line);
	close(fd);
}

static void test_split_and_pipelined(void **state)
{
	static const char text[] = "{\"call\":\"echo\",\"text\":1}\n{\"call\":\"echo\",\"text\":2}\r\n"
				   "{\"call\":\"nothing\"}\n{\"call\":\"echo\",\"text\":3}\n";
	int fd = dial(*state);

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(send(fd, text + i, 1, 0), 1);
		if (i % 7 == 0)
			usleep(200);
	}
	say(fd, text);
	for (size_t i = 0; i < 2; i++) {
		assert_hears(fd, "{\"result\":{\"text\":1}}");
		assert_hears(fd, "{\"result\":{\"text\":2}}");
		assert_says_error(fd, "ENOSYS", "nothing");
		assert_hears(fd, "{\"result\":{\"text\":3}}");
	}
	close(fd);
}

static void test_half_close(void **state)
{
	struct fixture *fixture = *state;
	int fd = dial(fixture);

	say(fd, "{\"call\":\"echo\",\"text\":1}\n{\"call\":\"echo\",\"text\":2}\n{\"call\":\"echo\",\"text\":3}");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_hears(fd, "{\"result\":{\"text\":1}}");
	assert_hears(fd, "{\"result\":{\"text\":2}}");
	assert_hears(fd, ""); /* what has no newline may be cut short: it is not run */
	assert_int_equal(fixture->runs, 2);
	close(fd);
}

static void test_oversize(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(api_client_closep) struct api_client *client = client_new(fixture);
	_cleanup_free_ char *text = malloc(1u << 20);
	_cleanup_json_ json_t *big = NULL;
	_cleanup_json_ json_t *result = NULL;
	struct error error = { 0 };
	int fd = dial(fixture), r = 0;

	memset(text, 'x', 1u << 20);
	for (size_t i = 0; i < 40 && r >= 0; i++)
		r = (int)send(fd, text, 1u << 20, MSG_NOSIGNAL);
	assert_int_equal(r, -1);
	assert_says_error(fd, "EMSGSIZE", "17 MiB");
	assert_hears(fd, "");
	close(fd);

	text[(1u << 20) - 1] = '\0';
	big = json_pack("{s:s, s:[]}", "call", "echo", "text");
	for (size_t i = 0; i < 18; i++)
		json_array_append_new(json_object_get(big, "text"), json_string(text));
	assert_int_equal(api_client_call(client, big, &result, &error), -EMSGSIZE);
	json_array_clear(json_object_get(big, "text"));
	assert_int_equal(api_client_call(client, big, &result, &error), 0);
}

static void test_large(void **state)
{
	_cleanup_(api_client_closep) struct api_client *client = client_new(*state);
	_cleanup_json_ json_t *request = json_pack("{s:s, s:i}", "call", "huge", "size", 16 << 20);
	_cleanup_json_ json_t *result = NULL;
	struct error error = { 0 };

	assert_int_equal(api_client_call(client, request, &result, &error), 0);
	assert_int_equal(json_string_length(json_object_get(result, "text")), 16 << 20);
	json_object_set_new(request, "size", json_integer(18 << 20));
	json_decref(TAKE_PTR(result));
	assert_int_equal(api_client_call(client, request, &result, &error), -EMSGSIZE);
	json_object_set_new(request, "call", json_string("fail"));
	assert_int_equal(api_client_call(client, request, &result, &error), -ENOENT);
	assert_string_equal(error.text, "no such thing: ?");
}

/* An answer that is not read stops the reading, and nothing is lost. */
static void test_back_pressure(void **state)
{
	struct fixture *fixture = *state;
	int fd = dial(fixture), sent = 0;
	char *line;
	struct line_buffer input = { 0 };
	size_t length;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (sent < 100000 && send(fd, "{\"call\":\"huge\",\"size\":1000000}\n", 31, MSG_NOSIGNAL) == 31)
		sent++;
	assert_in_range(sent, 1, 99999);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	for (int heard = 0; heard < (sent < 50 ? sent : 50);) {
		char *room;
		size_t size;
		ssize_t n;

		assert_int_equal(line_buffer_reserve(&input, &room, &size), 0);
		n = recv(fd, room, size, 0);
		assert_true(n > 0);
		line_buffer_added(&input, (size_t)n);
		while (line_buffer_next(&input, &line, &length) > 0) {
			assert_int_equal(length, 1000000 + strlen("{\"result\":{\"text\":\"\"}}"));
			heard++;
		}
	}
	line_buffer_clear(&input);
	close(fd);
}

static void test_events(void **state)
{
	struct fixture *fixture = *state;
	int all = dial(fixture), tv = dial(fixture), other = dial(fixture);

	say(all, "{\"call\":\"log\"}\n");
	assert_hears(all, "{\"result\":{}}");
	say(tv, "{\"call\":\"log\",\"member\":\"tv\"}\n");
	assert_hears(tv, "{\"result\":{}}");
	say(other, "{\"call\":\"tick\",\"count\":1,\"member\":\"nas\"}\n");
	assert_hears(other, "{\"result\":{\"heard\":true}}");
	say(other, "{\"call\":\"tick\",\"count\":1,\"member\":\"tv\"}\n");
	assert_hears(other, "{\"result\":{\"heard\":true}}");
	assert_hears(all, "{\"event\":{\"member\":\"nas\",\"bulk\":\"e\"}}");
	assert_hears(all, "{\"event\":{\"member\":\"tv\",\"bulk\":\"e\"}}");
	assert_hears(tv, "{\"event\":{\"member\":\"tv\",\"bulk\":\"e\"}}");
	/* A subscriber may go on calling, and subscribe to something else. */
	say(tv, "{\"call\":\"log\",\"member\":\"nas\"}\n");
	assert_hears(tv, "{\"result\":{}}");
	say(tv, "{\"call\":\"tick\",\"count\":1,\"member\":\"nas\"}\n");
	assert_hears(tv, "{\"event\":{\"member\":\"nas\",\"bulk\":\"e\"}}");
	assert_hears(tv, "{\"result\":{\"heard\":true}}");
	close(tv);
	close(all);
	close(other);
}

static void test_client_events(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(api_client_closep) struct api_client *client = client_new(fixture);
	_cleanup_json_ json_t *request = json_pack("{s:s}", "call", "log");
	_cleanup_json_ json_t *result = NULL;
	_cleanup_json_ json_t *event = NULL;
	struct error error = { 0 };
	int fd = dial(fixture);

	assert_int_equal(api_client_call(client, request, &result, &error), 0);
	say(fd, "{\"call\":\"tick\",\"count\":1,\"member\":\"tv\"}\n");
	assert_int_equal(api_client_next_event(client, &event, &error), 0);
	assert_string_equal(json_string_value(json_object_get(event, "member")), "tv");
	say(fd, "{\"call\":\"stop\"}\n");
	fixture->stopped = true;
	assert_int_equal(api_client_next_event(client, &event, &error), -ECONNRESET);
	close(fd);
}

static void test_slow_subscriber(void **state)
{
	struct fixture *fixture = *state;
	int slow = dial(fixture), fd = dial(fixture);
	char buffer[65536];
	size_t total = 0;
	ssize_t n;

	say(slow, "{\"call\":\"log\"}\n");
	assert_hears(slow, "{\"result\":{}}");
	say(fd, "{\"call\":\"tick\",\"count\":200,\"bulk\":true,\"member\":1}\n");
	assert_hears(fd, "{\"result\":{\"heard\":false}}");
	while ((n = recv(slow, buffer, sizeof(buffer), 0)) > 0)
		total += (size_t)n;
	assert_true(total < API_QUEUE_MAX + (2u << 20));
	close(slow);
	close(fd);
}

static void test_many_connections(void **state)
{
	struct fixture *fixture = *state;
	int fds[API_CONNECTIONS_MAX + 1];

	if (getuid() != 0)
		skip(); /* the last ones are root's */
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		fds[i] = dial(fixture);
		say(fds[i], "{\"call\":\"echo\",\"text\":1}\n");
		assert_hears(fds[i], "{\"result\":{\"text\":1}}");
	}
	fds[API_CONNECTIONS_MAX] = dial(fixture);
	assert_says_error(fds[API_CONNECTIONS_MAX], "EBUSY", "too many connections");
	assert_hears(fds[API_CONNECTIONS_MAX], "");
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		close(fds[i]);
	for (int i = 0; i < 200; i++) { /* the server sees them go soon */
		int fd = dial(fixture);
		bool answered;

		(void)!send(fd, "{\"call\":\"echo\",\"text\":1}\n", 25, MSG_NOSIGNAL);
		answered = strcmp(hear(fd), "{\"result\":{\"text\":1}}") == 0;
		close(fd);
		if (answered)
			return;
		usleep(10000);
	}
	fail_msg("connections that were closed still count");
}

/* Many large requests that are never finished: bounded together, not only each. */
static void test_large_together(void **state)
{
	enum { CLIENTS = (API_INPUT_MAX + API_INPUT_ROOT) / (API_LINE_MAX + 1) + 1 };
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = malloc(API_LINE_MAX);
	int fds[CLIENTS], refused = 0, first;

	memset(text, ' ', API_LINE_MAX);
	for (int i = 0; i < CLIENTS; i++) {
		size_t sent = 0;

		fds[i] = dial(fixture);
		while (sent < API_LINE_MAX) {
			ssize_t n = send(fds[i], text + sent, API_LINE_MAX - sent, MSG_NOSIGNAL);

			if (n < 0)
				break;
			sent += (size_t)n;
		}
		if (sent == API_LINE_MAX)
			continue;
		refused++;
		assert_says_error(fds[i], "EBUSY", "at once");
		assert_hears(fds[i], "");
	}
	assert_in_range(refused, 1, CLIENTS - 3);
	/* Small ones are served meanwhile; and large ones again, when the others are gone. */
	first = dial(fixture);
	say(first, "{\"call\":\"echo\",\"text\":1}\n");
	assert_hears(first, "{\"result\":{\"text\":1}}");
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	say(first, "{\"call\":\"echo\",\"text\":1}\n");
	assert_hears(first, "{\"result\":{\"text\":1}}");
	text[0] = '\0';
	for (size_t left = API_LINE_MAX; left > 0; left -= 1 << 20) {
		memset(text, ' ', 1 << 20);
		assert_int_equal(send(first, text, 1 << 20, MSG_NOSIGNAL), 1 << 20);
	}
	say(first, "\n");
	assert_says_error(first, "EINVAL", "not JSON");
	close(first);
}

/* As somebody else, where the mode of the file does not keep him out already. */
static void test_strangers(void **state)
{
	struct fixture *fixture = *state;
	int fd, status = 0;
	pid_t child;

	if (getuid() != 0)
		skip();
	assert_int_equal(chmod(fixture->directory, 0755), 0);
	child = fork();
	if (child == 0) {
		struct api_client *client;

		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(api_client_connect(fixture->path, &client, NULL) == -EACCES ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	assert_int_equal(chmod(fixture->path, 0666), 0);
	fd = dial(fixture);
	close(fd);
	child = fork();
	if (child == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		strcpy(address.sun_path, fixture->path);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			_exit(2);
		(void)!send(fd, "{\"call\":\"echo\"}\n", 16, MSG_NOSIGNAL); /* it may have hung up already */
		_exit(strstr(hear(fd), "EPERM") && strcmp(hear(fd), "") == 0 ? 0 : 4);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(fixture->runs, 0);
}

static void test_second_listener(void **state)
{
	struct fixture *fixture = *state;
	struct error error = { 0 };
	struct api *api = NULL;
	uv_loop_t loop;
	char lock[80];

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(api_listen(&loop, fixture->path, calls, 1, NULL, &api, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, "another sprd is running"));
	/* Also when somebody removed the lock. */
	snprintf(lock, sizeof(lock), "%s.lock", fixture->path);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(api_listen(&loop, fixture->path, calls, 1, NULL, &api, &error), -EADDRINUSE);
	assert_int_equal(access(fixture->path, F_OK), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_paths(void **state)
{
	char directory[] = "/tmp/spr-test-XXXXXX", path[64], lock[80], longer[200];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error error = { 0 };
	struct api *api = NULL;
	uv_loop_t loop;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sock", directory);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	assert_int_equal(uv_loop_init(&loop), 0);

	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(api_listen(&loop, path, calls, 1, NULL, &api, &error), -EEXIST);
	assert_int_equal(unlink(path), 0); /* it was left alone */

	/* What a daemon that was killed leaves. */
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
	assert_int_equal(api_listen(&loop, path, calls, 1, NULL, &api, &error), 0);
	api = api_close(api);
	assert_null(api);
	uv_run(&loop, UV_RUN_DEFAULT);

	snprintf(longer, sizeof(longer), "%s/%0120d", directory, 1);
	assert_int_equal(api_listen(&loop, longer, calls, 1, NULL, &api, &error), -ENAMETOOLONG);
	snprintf(longer, sizeof(longer), "%s/no/such/place", directory);
	assert_int_equal(api_listen(&loop, longer, calls, 1, NULL, &api, &error), -ENOENT);
	assert_int_equal(uv_loop_close(&loop), 0);
	unlink(lock);
	assert_int_equal(rmdir(directory), 0);
}

static void test_no_daemon(void **state)
{
	struct api_client *client = NULL;
	struct error error = { 0 };

	(void)state;
	assert_int_equal(api_client_connect("/tmp/spr-no-such-socket", &client, &error), -ENOENT);
	assert_null(client);
}

static void test_line_buffer(void **state)
{
	struct line_buffer buffer = { 0 };
	char *room, *line;
	size_t size, length, sent = 0;

	(void)state;
	assert_int_equal(line_buffer_next(&buffer, &line, &length), 0);
	/* A line of exactly the limit is taken, one byte more is not; both without their newline at first. */
	for (size_t over = 0; over < 2; over++, sent = 0) {
		while (sent < API_LINE_MAX + over) {
			assert_int_equal(line_buffer_next(&buffer, &line, &length), 0);
			assert_int_equal(line_buffer_reserve(&buffer, &room, &size), 0);
			size = size < API_LINE_MAX + over - sent ? size : API_LINE_MAX + over - sent;
			memset(room, 'x', size);
			line_buffer_added(&buffer, size);
			sent += size;
		}
		if (over)
			break;
		assert_int_equal(line_buffer_next(&buffer, &line, &length), 0);
		assert_int_equal(line_buffer_reserve(&buffer, &room, &size), 0);
		room[0] = '\n';
		line_buffer_added(&buffer, 1);
		assert_int_equal(line_buffer_next(&buffer, &line, &length), 1);
		assert_int_equal(length, API_LINE_MAX);
		assert_int_equal(strlen(line), API_LINE_MAX);
	}
	assert_int_equal(line_buffer_next(&buffer, &line, &length), -EMSGSIZE);
	line_buffer_clear(&buffer);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Calls that wait run one after the other; others do not wait; who has gone is no harm. */
static void test_later(void **state)
{
	struct fixture *fixture = *state;
	int first = dial(fixture), second = dial(fixture), third = dial(fixture), gone = dial(fixture);

	say(first, "{\"call\": \"later\", \"ms\": 300}\n{\"call\": \"after\", \"text\": \"1\"}\n");
	usleep(50000);
	say(second, "{\"call\": \"later\", \"ms\": 100, \"fails\": true}\n");
	say(third, "{\"call\": \"echo\", \"text\": \"3\"}\n");
	assert_non_null(strstr(hear(third), "\"text\":\"3\""));
	say(gone, "{\"call\": \"later\", \"ms\": 50}\n");
	close(gone);
	say(third, "{\"call\": \"after\", \"text\": \"4\"}\n");
	assert_hears(first, "{\"result\":\"done\"}");
	assert_non_null(strstr(hear(first), "\"text\":\"1\""));
	assert_non_null(strstr(hear(second), "not now"));
	assert_non_null(strstr(hear(third), "\"text\":\"4\""));
	say(first, "{\"call\": \"later\", \"ms\": 100}\n");
	usleep(30000);
	close(first); /* before its answer */
	say(second, "{\"call\": \"after\", \"text\": \"5\"}\n");
	assert_non_null(strstr(hear(second), "\"text\":\"5\""));
	close(second);
	close(third);
}

/* Root's calls go first, then who came first; when they dialled does not matter. */
static void test_order(void **state)
{
	struct fixture *fixture = *state;
	int root = dial(fixture), one, other, late;

	if (getuid() != 0)
		skip();
	assert_int_equal(chmod(fixture->directory, 0755), 0);
	assert_int_equal(chmod(fixture->path, 0666), 0);
	say(root, "{\"call\": \"become\", \"user\": 65534}\n");
	assert_hears(root, "{\"result\":{}}");
	assert_int_equal(become(NOBODY), 0);
	one = dial(fixture);
	other = dial(fixture);
	assert_int_equal(become(0), 0);
	late = dial(fixture);
	say(root, "{\"call\": \"later\", \"ms\": 400}\n");
	usleep(50000);
	say(other, "{\"call\": \"after\", \"text\": \"b\"}\n");
	usleep(50000);
	say(one, "{\"call\": \"after\", \"text\": \"c\"}\n");
	usleep(50000);
	say(late, "{\"call\": \"after\", \"text\": \"a\"}\n");
	assert_hears(root, "{\"result\":\"done\"}");
	assert_non_null(strstr(hear(one), "\"text\":\"c\""));
	assert_non_null(strstr(hear(other), "\"text\":\"b\""));
	assert_non_null(strstr(hear(late), "\"text\":\"a\""));
	say(root, "{\"call\": \"become\", \"user\": 0}\n");
	assert_hears(root, "{\"result\":{}}");
	assert_string_equal(fixture->order, "abc");
	close(root);
	close(one);
	close(other);
	close(late);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_SERVER(test_call),
		WITH_SERVER(test_file),
		WITH_SERVER(test_errors),
		WITH_SERVER(test_garbage),
		WITH_SERVER(test_too_many_values),
		WITH_SERVER(test_split_and_pipelined),
		WITH_SERVER(test_half_close),
		WITH_SERVER(test_oversize),
		WITH_SERVER(test_large),
		WITH_SERVER(test_back_pressure),
		WITH_SERVER(test_events),
		WITH_SERVER(test_client_events),
		WITH_SERVER(test_slow_subscriber),
		WITH_SERVER(test_many_connections),
		WITH_SERVER(test_large_together),
		WITH_SERVER(test_strangers),
		WITH_SERVER(test_second_listener),
		WITH_SERVER(test_later),
		WITH_SERVER(test_order),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_line_buffer),
	};

	return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
