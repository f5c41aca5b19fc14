/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <utlist.h>

#include "engine/docker_file.h"
#include "engine/docker_track.h"
#include "engine/engine_private.h"
#include "engine/http.h"

/*
 * Docker over its socket: version, then the event stream, then a full list, then what events ask for. Any trouble with
 * the first three, or with the stream, ends the connection and tries again. Docker's `network connect` comes 200 ms
 * before the container's process runs, and GET /networks/ID answers within 2 ms of it. GET /containers/ID/json does
 * not answer before a start is over: it is asked for bindings only, where Docker's own file of them cannot be read, and
 * nothing waits for it.
 */

#define ANSWER_MAX (64U << 20)
#define LIST_MAX (256U << 20) /* of containers: two kilobytes or so for each */
#define EVENT_MAX (4U << 20)
#define TIMEOUT 10000 /* ms, for everything here */
#define START_TIMEOUT 30000 /* a Docker that starts takes connections at once, and answers when it is ready */
#define START_SLOW 3000
#define LIST_TIMEOUT 60000
#define EVENTS_BEFORE 2 /* s: Docker answers the stream's head before it follows */
#define LIST_SETTLED 2000 /* the first list counts then, whatever is still asked */
#define STREAM_WAIT 1000 /* for the stream's head; a list without it is safe too, by `since` */
#define PING_PAUSE 15000
#define LIST_PAUSE 300000 /* a full list now and then, should an event be lost */
#define LINE_PAUSE 1000 /* between lists for lines that could not be read */
#define SOCKET_PAUSE 50 /* from the socket's file to a try */
#define RETRY_FIRST 1000
#define RETRY_MAX 10000
#define FLIGHT_MAX 16 /* questions at a time */
#define BULK_MAX 4 /* of a list */
#define BINDINGS_MAX 16 /* beside them: they may take as long as a start */

/* filters={"type":["container","network"],"event":[what docker_parse_event() knows]} */
#define EVENTS                                                                                                         \
	"/events?since=%lld&filters=%%7B%%22type%%22%%3A%%5B%%22container%%22%%2C%%22network%%22%%5D%%2C"              \
	"%%22event%%22%%3A%%5B%%22create%%22%%2C%%22connect%%22%%2C%%22disconnect%%22%%2C%%22start%%22%%2C"            \
	"%%22restart%%22%%2C%%22die%%22%%2C%%22stop%%22%%2C%%22rename%%22%%2C%%22update%%22%%2C%%22destroy%%22%%2C"    \
	"%%22remove%%22%%5D%%7D"

enum docker_timer {
	TIMER_RETRY, /* connect */
	TIMER_SLOW, /* say that there is no answer */
	TIMER_STREAM, /* do not wait for its head any longer */
	TIMER_PING,
	TIMER_LIST,
	TIMER_TRACK, /* something is due to be asked */
	_TIMER_MAX,
};

/* A question under way. */
struct flight {
	struct docker *docker;
	struct docker_question question;
	struct flight *prev, *next;
};

struct docker {
	struct engine *engine;
	struct docker_track *track;
	struct http *http; /* NULL: not connected, TIMER_RETRY runs */
	struct flight *flights;
	unsigned n_flights, n_bulk, n_bindings;
	uv_timer_t timers[_TIMER_MAX];
	uv_fs_event_t watch; /* of the socket's directory, while there is no connection */
	unsigned open_handles;
	unsigned tries;
	char *root; /* Docker's folder; NULL when it is not known */
	bool root_asked; /* bindings wait for the answer */
	bool following; /* the stream is open: questions may be asked */
	bool listed; /* the first list is there */
	uint64_t listing_since; /* the loop's clock */
};

static void docker_connect(struct docker *docker);

static void on_retry(uv_timer_t *timer)
{
	docker_connect(timer->data);
}

static unsigned retry_pause(struct docker *docker)
{
	unsigned pause = RETRY_FIRST << (docker->tries < 4 ? docker->tries : 4);

	docker->tries++;
	pause = pause < RETRY_MAX ? pause : RETRY_MAX;
	return pause - (unsigned)(uv_hrtime() / 1000 % (pause / 4)); /* not in step with others */
}

static void on_socket_file(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct docker *docker = watch->data;
	const char *slash = strrchr(docker->engine->socket, '/');

	if (!docker->http && name && slash && strcmp(name, slash + 1) == 0)
		uv_timer_start(&docker->timers[TIMER_RETRY], on_retry, SOCKET_PAUSE, 0);
}

/* Where the directory cannot be watched, the retry timer alone has to do. */
static void watch_directory(struct docker *docker)
{
	char directory[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char *slash;

	strcpy(directory, docker->engine->socket);
	slash = strrchr(directory, '/');
	if (!slash)
		return;
	slash[slash == directory ? 1 : 0] = '\0';
	uv_fs_event_stop(&docker->watch);
	uv_fs_event_start(&docker->watch, on_socket_file, directory, 0);
}

/* Nothing comes back from what is under way. */
static void docker_disconnect(struct docker *docker)
{
	struct flight *flight, *next;

	http_close(TAKE_PTR(docker->http));
	DL_FOREACH_SAFE(docker->flights, flight, next)
		free(flight);
	docker->flights = NULL;
	docker->n_flights = docker->n_bulk = docker->n_bindings = 0;
	docker->following = docker->listed = docker->root_asked = false;
	for (size_t i = 0; i < _TIMER_MAX; i++)
		uv_timer_stop(&docker->timers[i]);
	docker_track_reset(docker->track);
}

/* Ends the connection and plans another. */
static void docker_fail(struct docker *docker, const struct error *problem)
{
	struct stat status;
	bool there = stat(docker->engine->socket, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);

	docker_disconnect(docker);
	watch_directory(docker);
	uv_timer_start(&docker->timers[TIMER_RETRY], on_retry, retry_pause(docker), 0);
	if (docker_track_changed(docker->track))
		engine_changed(docker->engine);
	engine_set_state(docker->engine, there ? ENGINE_RETRYING : ENGINE_ABSENT, problem);
}

static void docker_fail_memory(struct docker *docker)
{
	struct error error = { 0 };

	error_memory(&error);
	docker_fail(docker, &error);
}

/* Whether an answer is what was asked for; else the connection is over. */
static bool docker_accept(struct docker *docker, const struct http_answer *answer, const char *what)
{
	struct error error = answer->error;

	if (!error.code && answer->status == 200)
		return true;
	if (!error.code)
		error_set(&error, EPROTO, "%s: status %d for %s", docker->engine->socket, answer->status, what);
	docker_fail(docker, &error);
	return false;
}

/* Tells the engine's owner what changed, and that the first list is there. */
static void docker_tell(struct docker *docker)
{
	bool changed = docker_track_changed(docker->track);

	/* What events overtook is asked again, and missing until then. */
	if (!docker->listed && !docker_track_listing(docker->track) &&
	    (docker_track_idle(docker->track) || uv_now(docker->engine->loop) > docker->listing_since + LIST_SETTLED)) {
		docker->listed = true;
		docker->tries = 0;
		engine_set_state(docker->engine, ENGINE_CONNECTED, NULL);
		return;
	}
	if (changed)
		engine_changed(docker->engine);
}

static void docker_pump(struct docker *docker);

static void on_track(uv_timer_t *timer)
{
	docker_pump(timer->data);
}

static void docker_count(struct docker *docker, const struct docker_question *question, int step)
{
	if (question->ask == DOCKER_ASK_BINDINGS) {
		docker->n_bindings += (unsigned)step;
		return;
	}
	docker->n_flights += (unsigned)step;
	if (!question->urgent)
		docker->n_bulk += (unsigned)step;
}

static void on_answer(void *data, const struct http_answer *answer)
{
	struct flight *flight = data;
	struct docker *docker = flight->docker;
	struct docker_question question = flight->question;
	struct error error = { 0 };
	int r;

	DL_DELETE(docker->flights, flight);
	free(flight);
	docker_count(docker, &question, -1);
	r = docker_track_answer(docker->track, &question, answer->error.code ? 0 : answer->status, answer->body,
				answer->length, &error);
	if (r < 0)
		docker_fail(docker, answer->error.code ? &answer->error : &error);
	else
		docker_pump(docker);
}

/* Ids are letters, digits, '_', '-', '.', and the ':' of an image: nothing to encode. */
static void question_path(const struct docker_question *question, char *path, size_t size)
{
	static const char *const paths[] = {
		[DOCKER_ASK_NETWORKS] = "/networks",
		[DOCKER_ASK_CONTAINERS] = "/containers/json?all=1",
		[DOCKER_ASK_NETWORK] = "/networks/",
		[DOCKER_ASK_CONTAINER] = "/containers/json?all=1&filters=%7B%22id%22%3A%5B%22",
		[DOCKER_ASK_IMAGE] = "/images/",
		[DOCKER_ASK_BINDINGS] = "/containers/",
	};
	static const char *const ends[] = {
		[DOCKER_ASK_CONTAINER] = "%22%5D%7D",
		[DOCKER_ASK_IMAGE] = "/json",
		[DOCKER_ASK_BINDINGS] = "/json",
	};
	const char *end = question->ask < ELEMENTSOF(ends) ? ends[question->ask] : NULL;

	snprintf(path, size, "%s%s%s", paths[question->ask], question->id, end ? end : "");
}

static int docker_ask(struct docker *docker, const struct docker_question *question)
{
	struct flight *flight = calloc(1, sizeof(*flight));
	bool list = question->ask == DOCKER_ASK_NETWORKS || question->ask == DOCKER_ASK_CONTAINERS;
	char path[512];

	if (!flight)
		return -ENOMEM;
	flight->docker = docker;
	flight->question = *question;
	question_path(question, path, sizeof(path));
	if (http_get(docker->http, path, question->ask == DOCKER_ASK_CONTAINERS ? LIST_MAX : ANSWER_MAX,
		     list ? LIST_TIMEOUT : TIMEOUT, on_answer, flight, NULL) < 0) {
		free(flight);
		return -ENOMEM;
	}
	DL_APPEND(docker->flights, flight);
	docker_count(docker, question, 1);
	return 0;
}

/* The answer to a question for bindings from Docker's file; false: Docker has to be asked. */
static bool docker_read_file(struct docker *docker, const struct docker_question *question)
{
	_cleanup_free_ char *text = NULL;
	size_t length;

	if (question->ask != DOCKER_ASK_BINDINGS || !docker->root ||
	    docker_file_bindings(docker->root, question->id, &text, &length) < 0)
		return false;
	docker_track_answer(docker->track, question, 200, text, length, NULL);
	return true;
}

static bool docker_next(struct docker *docker, struct docker_question *ret)
{
	if (!docker->root_asked && docker->n_bindings < BINDINGS_MAX && docker_track_next_bindings(docker->track, ret))
		return true;
	return docker->n_flights < FLIGHT_MAX && docker_track_next(docker->track, docker->n_bulk >= BULK_MAX, ret);
}

/* Sends what there is to ask, within bounds, and tells what has changed. Last in every callback. */
static void docker_pump(struct docker *docker)
{
	struct docker_question question;
	int due;

	if (!docker->following)
		return;
	due = docker_track_time(docker->track, uv_now(docker->engine->loop));
	while (docker_next(docker, &question)) {
		if (!docker_read_file(docker, &question) && docker_ask(docker, &question) < 0) {
			docker_fail_memory(docker);
			return;
		}
	}
	if (due >= 0)
		uv_timer_start(&docker->timers[TIMER_TRACK], on_track, (uint64_t)due, 0);
	docker_tell(docker);
}

static void on_list(uv_timer_t *timer)
{
	struct docker *docker = timer->data;

	/* A list that is under way may have begun before what this one is for. */
	uv_timer_start(timer, on_list, docker_track_listing(docker->track) ? LINE_PAUSE : LIST_PAUSE, 0);
	docker_track_list(docker->track);
	docker_pump(docker);
}

/* Nothing depends on it: without it, Docker is asked for bindings too. */
static void on_info(void *data, const struct http_answer *answer)
{
	struct docker *docker = data;

	docker->root_asked = false;
	free(TAKE_PTR(docker->root));
	if (!answer->error.code && answer->status == 200)
		docker_parse_root(answer->body, answer->length, &docker->root, NULL);
	docker_pump(docker);
}

static void docker_ask_root(struct docker *docker)
{
	docker->root_asked = http_get(docker->http, "/info", ANSWER_MAX, TIMEOUT, on_info, docker, NULL) >= 0;
}

static void on_ping_answer(void *data, const struct http_answer *answer)
{
	docker_accept(data, answer, "/_ping");
}

static void on_ping(uv_timer_t *timer)
{
	struct docker *docker = timer->data;

	if (http_get(docker->http, "/_ping", ANSWER_MAX, TIMEOUT, on_ping_answer, docker, NULL) < 0)
		docker_fail_memory(docker);
}

/* From here on no event is missed: now the list. */
static void docker_follow(struct docker *docker)
{
	if (docker->following)
		return;
	docker->following = true;
	uv_fs_event_stop(&docker->watch);
	uv_timer_stop(&docker->timers[TIMER_STREAM]);
	uv_timer_start(&docker->timers[TIMER_PING], on_ping, PING_PAUSE, PING_PAUSE);
	uv_timer_start(&docker->timers[TIMER_LIST], on_list, LIST_PAUSE, 0);
	docker_ask_root(docker);
	docker->listing_since = uv_now(docker->engine->loop);
	docker_track_list(docker->track);
	docker_pump(docker);
}

static void on_stream_open(void *data)
{
	docker_follow(data);
}

static void on_stream_wait(uv_timer_t *timer)
{
	docker_follow(timer->data);
}

/* What cannot be read may have been anything: a list tells. */
static void docker_list_soon(struct docker *docker)
{
	if (uv_timer_get_due_in(&docker->timers[TIMER_LIST]) > LINE_PAUSE)
		uv_timer_start(&docker->timers[TIMER_LIST], on_list, LINE_PAUSE, 0);
}

static void on_stream_line(void *data, const char *line, size_t length)
{
	struct docker *docker = data;
	struct docker_event event;

	docker_follow(docker);
	if (length && line[length - 1] == '\r')
		length--;
	if (!length && line)
		return;
	if (!line || docker_parse_event(line, length, &event, NULL) < 0) {
		docker_list_soon(docker);
		return;
	}
	docker_track_time(docker->track, uv_now(docker->engine->loop));
	if (docker_track_event(docker->track, &event) < 0)
		docker_fail_memory(docker);
	else
		docker_pump(docker);
}

static void on_stream_end(void *data, const struct http_answer *answer)
{
	struct docker *docker = data;
	struct error error = { 0 };

	if (!docker_accept(docker, answer, "/events"))
		return;
	error_set(&error, EPIPE, "%s: hung up", docker->engine->socket);
	docker_fail(docker, &error);
}

static void on_version(void *data, const struct http_answer *answer)
{
	static const struct http_stream_ops ops = { on_stream_open, on_stream_line, on_stream_end };
	struct docker *docker = data;
	_cleanup_free_ char *version = NULL;
	struct error error = { 0 };
	char path[512];

	uv_timer_stop(&docker->timers[TIMER_SLOW]);
	if (answer->error.code == ETIMEDOUT)
		docker->tries = 0; /* that was pause enough */
	if (!docker_accept(docker, answer, "/version"))
		return;
	if (docker_parse_version(answer->body, answer->length, &version, &error) < 0) {
		error_wrap(&error, "%s", docker->engine->socket);
		docker_fail(docker, &error);
		return;
	}
	snprintf(docker->engine->version, sizeof(docker->engine->version), "%s", version);
	snprintf(path, sizeof(path), EVENTS, (long long)time(NULL) - EVENTS_BEFORE);
	if (http_stream(docker->http, path, EVENT_MAX, &ops, docker, NULL) < 0)
		docker_fail_memory(docker);
	else
		uv_timer_start(&docker->timers[TIMER_STREAM], on_stream_wait, STREAM_WAIT, 0);
}

static void on_slow(uv_timer_t *timer)
{
	struct docker *docker = timer->data;
	struct error error = { 0 };

	error_set(&error, ETIMEDOUT, "%s: takes connections, but does not answer", docker->engine->socket);
	engine_set_state(docker->engine, ENGINE_RETRYING, &error);
}

static void docker_connect(struct docker *docker)
{
	struct error error = { 0 };
	struct stat status;

	if (stat(docker->engine->socket, &status) < 0) {
		error_set(&error, errno, "%s: %s", docker->engine->socket, strerror(errno));
		docker_fail(docker, &error);
		return;
	}
	if (http_new(docker->engine->loop, docker->engine->socket, &docker->http, &error) < 0)
		docker_fail(docker, &error);
	else if (http_get(docker->http, "/version", ANSWER_MAX, START_TIMEOUT, on_version, docker, NULL) < 0)
		docker_fail_memory(docker);
	else
		uv_timer_start(&docker->timers[TIMER_SLOW], on_slow, START_SLOW, 0);
}

static int docker_start(struct engine *engine, struct error *error)
{
	struct docker *docker;

	if (strlen(engine->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return error_set(error, ENAMETOOLONG, "%s: too long for a socket's path (at most 107 characters)",
				 engine->socket);
	docker = calloc(1, sizeof(*docker));
	if (docker)
		docker->track = docker_track_new(engine->inventory);
	if (!docker || !docker->track) {
		free(docker);
		return error_memory(error);
	}
	docker->engine = engine;
	engine->own = docker;
	for (size_t i = 0; i < _TIMER_MAX; i++) {
		uv_timer_init(engine->loop, &docker->timers[i]);
		docker->timers[i].data = docker;
	}
	uv_fs_event_init(engine->loop, &docker->watch);
	docker->watch.data = docker;
	docker->open_handles = _TIMER_MAX + 1;
	uv_timer_start(&docker->timers[TIMER_RETRY], on_retry, 0, 0);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct docker *docker = handle->data;

	if (--docker->open_handles)
		return;
	docker_track_free(docker->track);
	free(docker->root);
	engine_free(docker->engine);
	free(docker);
}

static void docker_stop(struct engine *engine)
{
	struct docker *docker = engine->own;

	docker_disconnect(docker);
	for (size_t i = 0; i < _TIMER_MAX; i++)
		uv_close((uv_handle_t *)&docker->timers[i], on_closed);
	uv_close((uv_handle_t *)&docker->watch, on_closed);
}

static void docker_refresh(struct engine *engine, const char *bridge)
{
	struct docker *docker = engine->own;

	if (!docker->following)
		return;
	docker_track_time(docker->track, uv_now(engine->loop));
	docker_track_refresh(docker->track, bridge);
	docker_pump(docker);
}

static bool docker_idle(const struct engine *engine)
{
	const struct docker *docker = engine->own;

	return docker_track_idle(docker->track);
}

const struct engine_ops docker_engine = {
	.name = "docker",
	.socket = "/var/run/docker.sock",
	.start = docker_start,
	.stop = docker_stop,
	.refresh = docker_refresh,
	.idle = docker_idle,
};
