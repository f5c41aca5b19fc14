/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"
#include "inventory/inventory.h"

/* A Docker that the test plays, on the same loop as the engine. */

#define C1 "1111111111111111111111111111111111111111111111111111111111111111"
#define N1 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define EP1 "\"" C1 "\":{\"Name\":\"web\",\"IPv4Address\":\"172.18.0.2/16\"}"
#define NETWORK(endpoints)                                                                                             \
	"{\"Name\":\"neta\",\"Id\":\"" N1 "\",\"Driver\":\"bridge\",\"Containers\":{" endpoints "},\"Options\":{}}"
#define CONTAINERS "[{\"Id\":\"" C1 "\",\"Names\":[\"/web\"],\"Image\":\"bb\",\"State\":\"running\"}]"
#define EVENT(type, action, id, rest)                                                                                  \
	"{\"Type\":\"" type "\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"" id "\",\"Attributes\":{" rest "}}}\n"
#define CONNECT EVENT("network", "connect", N1, "\"container\":\"" C1 "\"")
#define DIE EVENT("container", "die", C1, "\"exitCode\":\"0\"")

#define PEERS_MAX 32

struct fake;

struct peer {
	uv_pipe_t pipe;
	struct fake *fake;
	char in[8192];
	size_t used;
	bool events, held, closed;
	char path[1024]; /* of the held request */
};

struct fake {
	uv_loop_t loop;
	uv_pipe_t server;
	bool serving;
	char directory[32], socket[64];
	struct peer *peers[PEERS_MAX];
	size_t n_peers;
	const char *network, *networks, *containers, *info, *inspect; /* answers; NULL: 500 */
	const char *hold; /* requests that contain it are answered by fake_release() */
	bool mute; /* accepts, and says nothing */
	const char *raw; /* instead of any answer */
	unsigned asked_network;
	struct engine *engine;
	struct inventory *inventory;
	unsigned changes;
};

static void on_peer_closed(uv_handle_t *handle)
{
	struct peer *peer = handle->data;
	struct fake *fake = peer->fake;

	for (size_t i = 0; i < fake->n_peers; i++)
		if (fake->peers[i] == peer)
			fake->peers[i] = fake->peers[--fake->n_peers];
	free(peer);
}

static void peer_close(struct peer *peer)
{
	if (!peer->closed)
		uv_close((uv_handle_t *)&peer->pipe, on_peer_closed);
	peer->closed = true;
}

static void on_written(uv_write_t *write, int status)
{
	free(write->data);
	free(write);
}

static void peer_write(struct peer *peer, const char *text, size_t length)
{
	uv_write_t *write = calloc(1, sizeof(*write));
	uv_buf_t buffer = uv_buf_init(malloc(length + 1), (unsigned)length);

	memcpy(buffer.base, text, length);
	write->data = buffer.base;
	uv_write(write, (uv_stream_t *)&peer->pipe, &buffer, 1, on_written);
}

static void peer_answer(struct peer *peer, int status, const char *body)
{
	char head[200];

	snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		 status, strlen(body));
	peer_write(peer, head, strlen(head));
	peer_write(peer, body, strlen(body));
}

static void peer_request(struct peer *peer, const char *path)
{
	static const char stream[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct fake *fake = peer->fake;
	const char *body = NULL;

	if (fake->mute)
		return;
	if (fake->raw) {
		peer_write(peer, fake->raw, strlen(fake->raw));
		return;
	}
	if (fake->hold && strstr(path, fake->hold)) {
		peer->held = true;
		snprintf(peer->path, sizeof(peer->path), "%s", path);
		return;
	}
	if (strncmp(path, "/events?since=", 14) == 0) {
		peer->events = true;
		peer_write(peer, stream, sizeof(stream) - 1);
		return;
	}
	if (strcmp(path, "/version") == 0)
		body = "{\"Version\":\"99.1\"}";
	else if (strcmp(path, "/_ping") == 0)
		body = "OK";
	else if (strcmp(path, "/networks") == 0)
		body = fake->networks;
	else if (strcmp(path, "/networks/" N1) == 0 && fake->asked_network++ + 1)
		body = fake->network;
	else if (strcmp(path, "/info") == 0)
		body = fake->info;
	else if (strcmp(path, "/containers/" C1 "/json") == 0)
		body = fake->inspect;
	else if (strncmp(path, "/containers/json?all=1", 22) == 0)
		body = fake->containers;
	peer_answer(peer, body ? 200 : 500, body ? body : "{\"message\":\"no\"}");
}

static void on_peer_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	struct peer *peer = handle->data;

	*ret = uv_buf_init(peer->in + peer->used, (unsigned)(sizeof(peer->in) - peer->used - 1));
}

static void on_peer_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct peer *peer = stream->data;
	char *end, path[1024];

	if (n < 0) {
		peer_close(peer);
		return;
	}
	peer->used += (size_t)n;
	peer->in[peer->used] = '\0';
	while ((end = strstr(peer->in, "\r\n\r\n"))) {
		assert_int_equal(sscanf(peer->in, "GET %1023s HTTP/1.1\r\n", path), 1);
		peer->used -= (size_t)(end + 4 - peer->in);
		memmove(peer->in, end + 4, peer->used + 1);
		peer_request(peer, path);
	}
}

static void on_connection(uv_stream_t *server, int status)
{
	struct fake *fake = server->data;
	struct peer *peer = calloc(1, sizeof(*peer));

	peer->fake = fake;
	uv_pipe_init(&fake->loop, &peer->pipe, 0);
	peer->pipe.data = peer;
	assert_int_equal(uv_accept(server, (uv_stream_t *)&peer->pipe), 0);
	assert_true(fake->n_peers < PEERS_MAX);
	fake->peers[fake->n_peers++] = peer;
	uv_read_start((uv_stream_t *)&peer->pipe, on_peer_alloc, on_peer_read);
}

static void fake_serve(struct fake *fake)
{
	uv_pipe_init(&fake->loop, &fake->server, 0);
	fake->server.data = fake;
	assert_int_equal(uv_pipe_bind(&fake->server, fake->socket), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&fake->server, 16, on_connection), 0);
	fake->serving = true;
}

static void fake_quit(struct fake *fake)
{
	uv_close((uv_handle_t *)&fake->server, NULL);
	for (size_t i = 0; i < fake->n_peers; i++)
		peer_close(fake->peers[i]);
	unlink(fake->socket);
	fake->serving = false;
}

static void on_tick(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
	uv_stop(timer->loop); /* else a timer that was due before leaves the loop waiting for something else */
}

static void wait_ms(struct fake *fake, unsigned ms)
{
	bool over = false;
	uv_timer_t timer;

	uv_timer_init(&fake->loop, &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_tick, ms, 0);
	while (!over)
		uv_run(&fake->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&fake->loop, UV_RUN_NOWAIT);
}

#define wait_for(fake, condition)                                                                                      \
	do {                                                                                                           \
		for (unsigned _i = 0; _i < 4000 && !(condition); _i++)                                                 \
			wait_ms(fake, 5);                                                                              \
		assert_true(condition);                                                                                \
	} while (0)

static struct peer *fake_stream(struct fake *fake)
{
	for (size_t i = 0; i < fake->n_peers; i++)
		if (fake->peers[i]->events && !fake->peers[i]->closed)
			return fake->peers[i];
	fail_msg("nobody follows events");
	return NULL;
}

/* A piece of the stream, as one chunk. */
static void fake_send(struct fake *fake, const char *text, size_t length)
{
	struct peer *peer = fake_stream(fake);
	char head[20];

	snprintf(head, sizeof(head), "%zx\r\n", length);
	peer_write(peer, head, strlen(head));
	peer_write(peer, text, length);
	peer_write(peer, "\r\n", 2);
}

static void fake_event(struct fake *fake, const char *text)
{
	fake_send(fake, text, strlen(text));
}

static bool fake_holds(const struct fake *fake)
{
	for (size_t i = 0; i < fake->n_peers; i++)
		if (fake->peers[i]->held)
			return true;
	return false;
}

static void fake_release(struct fake *fake, const char *body)
{
	fake->hold = NULL;
	for (size_t i = 0; i < fake->n_peers; i++) {
		struct peer *peer = fake->peers[i];

		if (!peer->held)
			continue;
		peer->held = false;
		if (body)
			peer_answer(peer, 200, body);
		else
			peer_request(peer, peer->path);
	}
}

static void on_changed(void *data)
{
	((struct fake *)data)->changes++;
}

static int setup(void **state)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	strcpy(fake->directory, "/tmp/spr-engine-XXXXXX");
	assert_non_null(mkdtemp(fake->directory));
	snprintf(fake->socket, sizeof(fake->socket), "%s/docker.sock", fake->directory);
	uv_loop_init(&fake->loop);
	fake->inventory = inventory_new();
	fake->networks = "[{\"Id\":\"" N1 "\"}]";
	fake->network = NETWORK(EP1);
	fake->containers = CONTAINERS;
	*state = fake;
	return 0;
}

static int teardown(void **state)
{
	struct fake *fake = *state;

	engine_stop(fake->engine);
	if (fake->serving)
		fake_quit(fake);
	uv_run(&fake->loop, UV_RUN_DEFAULT); /* ends: nothing is left on the loop */
	assert_int_equal(uv_loop_close(&fake->loop), 0);
	inventory_free(fake->inventory);
	rmdir(fake->directory);
	free(fake);
	return 0;
}

static void start(struct fake *fake)
{
	struct error error = { 0 };

	assert_int_equal(engine_start(&docker_engine, &fake->loop, fake->socket, fake->inventory, on_changed, fake,
				      &fake->engine, &error),
			 0);
}

static void start_connected(struct fake *fake)
{
	fake_serve(fake);
	start(fake);
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED);
}

static void connects(void **state)
{
	struct fake *fake = *state;

	assert_string_equal(docker_engine.socket, "/var/run/docker.sock");
	start_connected(fake);
	assert_string_equal(engine_name(fake->engine), "docker");
	assert_string_equal(engine_socket(fake->engine), fake->socket);
	assert_string_equal(engine_version(fake->engine), "99.1");
	assert_string_equal(engine_problem(fake->engine), "");
	assert_int_equal(fake->changes, 1); /* the whole list at once */
	assert_int_equal(fake->inventory->n_networks, 1);
	assert_int_equal(fake->inventory->n_containers, 1);
	assert_int_equal(fake->inventory->n_endpoints, 1);
}

static void follows_events(void **state)
{
	struct fake *fake = *state;

	fake->network = NETWORK("");
	start_connected(fake);
	fake->network = NETWORK(EP1);
	fake_event(fake, CONNECT);
	wait_for(fake, fake->inventory->n_endpoints == 1);
	fake_event(fake, DIE);
	wait_for(fake, fake->inventory->n_endpoints == 0);
}

/* Lines cut anywhere, several in one piece, empty ones, and ends of another kind */
static void split_lines(void **state)
{
	struct fake *fake = *state;
	static const char one[] = CONNECT, two[] = "\n\r\n" DIE CONNECT;

	fake->network = NETWORK("");
	start_connected(fake);
	fake->network = NETWORK(EP1);
	for (size_t i = 0; i < strlen(one); i += 40) {
		size_t left = strlen(one) - i;

		assert_int_equal(fake->inventory->n_endpoints, 0);
		fake_send(fake, one + i, left < 40 ? left : 40);
		wait_ms(fake, 2);
	}
	wait_for(fake, fake->inventory->n_endpoints == 1);
	fake_send(fake, two, sizeof(two) - 1);
	wait_for(fake, fake->changes >= 3);
	wait_for(fake, fake->inventory->n_endpoints == 1);
}

static void hang_up(void **state)
{
	struct fake *fake = *state;

	start_connected(fake);
	peer_write(fake_stream(fake), "500\r\n{\"Type\":\"cont", 18); /* in the middle of a chunk */
	wait_ms(fake, 10);
	peer_close(fake_stream(fake));
	wait_for(fake, engine_state(fake->engine) == ENGINE_RETRYING);
	assert_non_null(strstr(engine_problem(fake->engine), fake->socket));
	assert_int_equal(fake->inventory->n_endpoints, 1); /* rights outlive it */
	fake->network = NETWORK("");
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED);
	assert_int_equal(fake->inventory->n_endpoints, 0);
}

static void restart(void **state)
{
	struct fake *fake = *state;

	start(fake);
	wait_ms(fake, 20);
	assert_int_equal(engine_state(fake->engine), ENGINE_ABSENT);
	assert_int_equal(fake->changes, 0);
	assert_non_null(strstr(engine_problem(fake->engine), "No such file"));
	fake_serve(fake);
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED);
	fake_quit(fake);
	wait_for(fake, engine_state(fake->engine) == ENGINE_ABSENT);
	assert_int_equal(fake->inventory->n_networks, 1);
	fake->networks = fake->containers = "[]";
	fake_serve(fake);
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED);
	assert_int_equal(fake->inventory->n_networks, 0);
	assert_int_equal(fake->inventory->n_containers, 0);
	assert_int_equal(fake->inventory->n_endpoints, 0);
}

/* An answer of before the container's end that comes after it */
static void stale_answer(void **state)
{
	struct fake *fake = *state;

	start_connected(fake);
	fake->hold = "/networks/" N1;
	fake_event(fake, EVENT("network", "create", N1, ""));
	wait_for(fake, fake_holds(fake));
	fake_event(fake, DIE);
	wait_for(fake, fake->inventory->n_endpoints == 0);
	fake->network = NETWORK("");
	fake_release(fake, NETWORK(EP1));
	for (unsigned i = 0; i < 20; i++) {
		wait_ms(fake, 2);
		assert_int_equal(fake->inventory->n_endpoints, 0);
	}
	assert_true(fake->asked_network >= 2);
}

/* Events that come while the list is under way are not held up by it, nor lost. */
static void events_during_list(void **state)
{
	struct fake *fake = *state;

	fake_serve(fake);
	fake->hold = "/containers/json?all=1";
	start(fake);
	wait_for(fake, fake_holds(fake));
	wait_for(fake, fake->asked_network == 1);
	fake->hold = NULL;
	fake_event(fake, DIE);
	wait_for(fake, fake->asked_network == 1);
	wait_ms(fake, 20);
	fake_release(fake, CONTAINERS);
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED);
	assert_int_equal(fake->inventory->n_containers, 1);
	assert_int_equal(fake->inventory->n_endpoints, 0);
}

static void refresh(void **state)
{
	struct fake *fake = *state;

	fake->network = NETWORK("");
	start_connected(fake);
	fake->network = NETWORK("\"ep-1\":{\"IPv4Address\":\"172.18.0.9/16\"}");
	for (unsigned i = 0; i < 1000; i++)
		engine_refresh(fake->engine, "br-aaaaaaaaaaaa");
	engine_refresh(fake->engine, "eth0");
	wait_for(fake, fake->inventory->n_endpoints == 1);
	assert_string_equal(fake->inventory->endpoints[0].container, "");
	assert_true(fake->asked_network < 6);
}

#define HOST_CONFIG(port) "{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"10.0.0.1\",\"HostPort\":\"" port "\"}]}}"

static bool is_bound(const struct fake *fake, uint16_t port)
{
	const struct container *container = inventory_container(fake->inventory, C1);

	return container && container->n_bindings == 1 && container->bindings[0].host_port == port;
}

/* Docker does not say what a container is bound to while it starts it: nothing else waits. */
static void bindings_held(void **state)
{
	struct fake *fake = *state;

	fake->inspect = "{\"Id\":\"" C1 "\",\"HostConfig\":" HOST_CONFIG("8080") "}";
	fake->hold = C1 "/json";
	start_connected(fake);
	wait_for(fake, fake_holds(fake));
	fake->network = NETWORK("");
	fake_event(fake, DIE);
	fake_event(fake, CONNECT);
	fake->network = NETWORK(EP1);
	fake_event(fake, CONNECT);
	wait_for(fake, fake->inventory->n_endpoints == 1);
	assert_true(fake_holds(fake));
	assert_int_equal(inventory_container(fake->inventory, C1)->n_bindings, 0);
	fake_release(fake, NULL);
	wait_for(fake, is_bound(fake, 8080));
}

/* Docker's own file goes before its answer. */
static void bindings_of_file(void **state)
{
	struct fake *fake = *state;
	char containers[100], container[200], config[300], info[200];
	FILE *file;

	snprintf(containers, sizeof(containers), "%s/containers", fake->directory);
	snprintf(container, sizeof(container), "%s/" C1, containers);
	snprintf(config, sizeof(config), "%s/hostconfig.json", container);
	assert_int_equal(mkdir(containers, 0700), 0);
	assert_int_equal(mkdir(container, 0700), 0);
	file = fopen(config, "w");
	assert_non_null(file);
	fputs(HOST_CONFIG("9090") "\n", file);
	fclose(file);
	snprintf(info, sizeof(info), "{\"DockerRootDir\":\"%s\"}", fake->directory);
	fake->info = info;
	fake->inspect = "{\"Id\":\"" C1 "\",\"HostConfig\":" HOST_CONFIG("8080") "}";
	start_connected(fake);
	wait_for(fake, is_bound(fake, 9090));
	unlink(config);
	rmdir(container);
	rmdir(containers);
	fake->info = NULL;
}

/* Whatever it says: not connected, nothing taken from it, and tried again. */
static void garbage(void **state)
{
	static const char *const raw[] = {
		"\x15\x03\x01 garbage\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/version\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
	};
	struct fake *fake = *state;

	for (size_t i = 0; i < ELEMENTSOF(raw); i++) {
		fake_serve(fake);
		fake->raw = raw[i];
		start(fake);
		wait_for(fake, engine_state(fake->engine) == ENGINE_RETRYING);
		assert_true(strlen(engine_problem(fake->engine)) > strlen(fake->socket));
		assert_int_equal(fake->inventory->n_networks, 0);
		engine_stop(TAKE_PTR(fake->engine));
		fake_quit(fake);
		wait_ms(fake, 5);
	}
}

static void garbage_in_stream(void **state)
{
	struct fake *fake = *state;
	unsigned before;

	start_connected(fake);
	before = fake->asked_network;
	fake->network = NETWORK("");
	fake_event(fake, "no JSON\n\xff\xfe\n{\"Type\":\n[]\n{}\n");
	wait_for(fake, fake->asked_network > before); /* lists again: who knows what that was */
	wait_for(fake, fake->inventory->n_endpoints == 0);
	assert_int_equal(engine_state(fake->engine), ENGINE_CONNECTED);
	fake->network = NETWORK(EP1);
	fake_event(fake, CONNECT);
	wait_for(fake, fake->inventory->n_endpoints == 1);
}

/* A line over 4 MiB is skipped; the next one counts. */
static void huge_line(void **state)
{
	struct fake *fake = *state;
	char *piece = malloc(1 << 20);
	unsigned before;

	start_connected(fake);
	before = fake->asked_network;
	memset(piece, 'x', 1 << 20);
	for (unsigned i = 0; i < 6; i++) {
		fake_send(fake, piece, 1 << 20);
		wait_ms(fake, 5);
	}
	fake_event(fake, "\n" DIE);
	wait_for(fake, fake->inventory->n_endpoints == 0);
	assert_int_equal(engine_state(fake->engine), ENGINE_CONNECTED);
	fake->network = NETWORK("");
	wait_for(fake, fake->asked_network > before + 1);
	free(piece);
}

static void huge_answer(void **state)
{
	struct fake *fake = *state;
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n[";
	char *piece = malloc(1 << 20);

	memset(piece, ' ', 1 << 20);
	fake_serve(fake);
	fake->hold = "/networks";
	start(fake);
	wait_for(fake, fake_holds(fake));
	for (size_t i = 0; i < fake->n_peers; i++) {
		if (!fake->peers[i]->held)
			continue;
		peer_write(fake->peers[i], head, sizeof(head) - 1);
		for (unsigned j = 0; j < 66; j++)
			peer_write(fake->peers[i], piece, 1 << 20);
		fake->peers[i]->held = false;
	}
	wait_for(fake, engine_state(fake->engine) == ENGINE_RETRYING);
	assert_non_null(strstr(engine_problem(fake->engine), "too long"));
	free(piece);
}

/* Many networks: the list asks a few at a time, and all arrive. */
static void many_networks(void **state)
{
	enum { MANY = 300 };
	struct fake *fake = *state;
	char *list = malloc(MANY * 90 + 10), *at = list;

	at += sprintf(at, "[");
	for (unsigned i = 0; i < MANY; i++)
		at += sprintf(at, "%s{\"Id\":\"net%u\"}", i ? "," : "", i);
	sprintf(at, ",{\"Id\":\"" N1 "\"}]");
	fake->networks = list;
	fake_serve(fake);
	start(fake);
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED); /* the others fail, and hold up nothing */
	assert_int_equal(fake->inventory->n_endpoints, 1);
	assert_true(fake->n_peers < 12);
	free(list);
	fake->networks = "[]";
}

/* Takes connections and does not answer: a Docker that starts, or one that hangs. */
static void mute(void **state)
{
	struct fake *fake = *state;

	fake_serve(fake);
	fake->mute = true;
	start(fake);
	wait_for(fake, engine_state(fake->engine) == ENGINE_RETRYING);
	assert_non_null(strstr(engine_problem(fake->engine), "does not answer"));
	fake->mute = false;
	for (size_t i = 0; i < fake->n_peers; i++)
		peer_request(fake->peers[i], "/version");
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED);
	assert_string_equal(engine_problem(fake->engine), "");
}

/* Hangs in the middle of its work: found by the ping, after 25 s. */
static void hang(void **state)
{
	struct fake *fake = *state;

	if (!getenv("SPR_TEST_SLOW")) {
		print_message("skipped: takes 25 s; SPR_TEST_SLOW=1 runs it\n");
		skip();
	}
	start_connected(fake);
	fake->mute = true;
	for (unsigned i = 0; i < 40 && engine_state(fake->engine) == ENGINE_CONNECTED; i++)
		wait_ms(fake, 1000);
	assert_int_equal(engine_state(fake->engine), ENGINE_RETRYING);
	assert_int_equal(fake->inventory->n_endpoints, 1);
	fake->mute = false;
	fake_quit(fake);
	wait_ms(fake, 10);
	fake_serve(fake);
	wait_for(fake, engine_state(fake->engine) == ENGINE_CONNECTED);
}

static void stop_at_any_time(void **state)
{
	struct fake *fake = *state;

	fake_serve(fake);
	for (unsigned turns = 0; turns < 60; turns++) {
		start(fake);
		for (unsigned i = 0; i < turns; i++)
			uv_run(&fake->loop, UV_RUN_NOWAIT);
		engine_stop(TAKE_PTR(fake->engine));
		wait_ms(fake, 1);
	}
}

static void on_changed_stop(void *data)
{
	struct fake *fake = data;

	fake->changes++;
	engine_stop(TAKE_PTR(fake->engine));
}

static void stop_from_callback(void **state)
{
	struct fake *fake = *state;

	fake_serve(fake);
	assert_int_equal(engine_start(&docker_engine, &fake->loop, fake->socket, fake->inventory, on_changed_stop, fake,
				      &fake->engine, NULL),
			 0);
	wait_for(fake, fake->changes == 1);
	wait_ms(fake, 20);
	assert_int_equal(fake->changes, 1);
}

static void bad_path(void **state)
{
	struct fake *fake = *state;
	struct error error = { 0 };
	char path[200];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(engine_start(&docker_engine, &fake->loop, path, fake->inventory, on_changed, fake,
				      &fake->engine, &error),
			 -ENAMETOOLONG);
	assert_non_null(strstr(error.text, "107"));
}

#define engine_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		engine_test(connects),
		engine_test(follows_events),
		engine_test(split_lines),
		engine_test(hang_up),
		engine_test(restart),
		engine_test(stale_answer),
		engine_test(events_during_list),
		engine_test(refresh),
		engine_test(bindings_held),
		engine_test(bindings_of_file),
		engine_test(garbage),
		engine_test(garbage_in_stream),
		engine_test(huge_line),
		engine_test(huge_answer),
		engine_test(many_networks),
		engine_test(mute),
		engine_test(hang),
		engine_test(stop_at_any_time),
		engine_test(stop_from_callback),
		engine_test(bad_path),
	};

	signal(SIGPIPE, SIG_IGN); /* the fake's own writes; the engine's raise none */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
