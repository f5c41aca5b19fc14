/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "api/line.h"
#include "api/listener.h"
#include "api/message.h"
#include "policy/nearest.h"

struct api {
	uv_pipe_t listener;
	struct socket_file file;
	const struct api_call *calls;
	size_t n_calls;
	void *data;
	struct connection *connections;
	struct connection *spare; /* memory for the next one: without any, the listener would never be ready again */
	size_t n_connections, n_subscribers;
	bool waiting; /* a connection that found no spare */
	bool held;
	uint64_t tickets;
	bool closing, listener_closed;
};

struct connection {
	uv_pipe_t pipe;
	struct api *api;
	struct connection *prev, *next;
	struct line_buffer input;
	struct api_peer peer;
	json_t *subscription;
	struct api_request *kept; /* to be answered later: nothing is read or run meanwhile */
	json_t *waiting; /* a request that came while the api was held: likewise */
	uint64_t ticket; /* its place among those that wait */
	bool answering; /* an answer is on its way: likewise */
	bool ending; /* closes once the answer is written */
	bool ended; /* the other side sends no more */
};

struct api_request {
	struct connection *connection; /* NULL: it was closed */
	json_t *subscription;
};

struct outgoing {
	uv_write_t write;
	struct connection *connection;
	char *text;
	bool answer;
};

static void connection_serve(struct connection *connection);
static void connection_take(struct api *api);

static void api_free_when_closed(struct api *api)
{
	if (api->closing && api->listener_closed && !api->connections) {
		free(api->spare);
		free(api);
	}
}

static void on_connection_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	struct api *api = connection->api;

	DL_DELETE(api->connections, connection);
	api->n_connections--;
	line_buffer_clear(&connection->input);
	if (api->spare) {
		free(connection);
	} else {
		api->spare = connection;
		if (api->waiting && !api->closing)
			connection_take(api);
	}
	api_free_when_closed(api);
}

static void connection_close(struct connection *connection)
{
	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	if (connection->subscription) {
		json_decref(TAKE_PTR(connection->subscription));
		connection->api->n_subscribers--;
	}
	json_decref(TAKE_PTR(connection->waiting));
	if (connection->kept)
		TAKE_PTR(connection->kept)->connection = NULL;
	uv_close((uv_handle_t *)&connection->pipe, on_connection_closed);
}

static void on_written(uv_write_t *write, int status)
{
	struct outgoing *outgoing = write->data;
	struct connection *connection = outgoing->connection;
	bool answer = outgoing->answer;

	free(outgoing->text);
	free(outgoing);
	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	if (status < 0 || (answer && connection->ending)) {
		connection_close(connection);
		return;
	}
	if (answer) {
		connection->answering = false;
		connection_serve(connection);
	}
}

/* Takes the text over. What cannot be sent closes the connection. */
static void connection_send(struct connection *connection, char *text, size_t length, bool answer)
{
	struct outgoing *outgoing = malloc(sizeof(*outgoing));
	uv_buf_t buffer = uv_buf_init(text, (unsigned)length);

	if (!outgoing) {
		free(text);
		connection_close(connection);
		return;
	}
	*outgoing = (struct outgoing){ .connection = connection, .text = text, .answer = answer };
	outgoing->write.data = outgoing;
	if (uv_write(&outgoing->write, (uv_stream_t *)&connection->pipe, &buffer, 1, on_written) < 0) {
		free(text);
		free(outgoing);
		connection_close(connection);
		return;
	}
	if (answer)
		connection->answering = true;
}

static void connection_answer_error(struct connection *connection, const struct error *error)
{
	_cleanup_json_ json_t *json = error_to_json(error);
	char *text;
	size_t length;

	if (!json || message_print("error", json, &text, &length) < 0)
		connection_close(connection);
	else
		connection_send(connection, text, length, true);
}

static void connection_answer(struct connection *connection, json_t *result)
{
	struct error error;
	char *text;
	size_t length;
	int r = message_print("result", result, &text, &length);

	if (r == 0) {
		connection_send(connection, text, length, true);
		return;
	}
	error_set(&error, -r,
		  r == -EMSGSIZE ? "the answer is longer than one line of the control socket can be" :
				   "not enough memory for the answer");
	connection_answer_error(connection, &error);
}

static int call_unknown(const struct api *api, const char *name, struct error *error)
{
	_cleanup_free_ const char **names = calloc(api->n_calls + 1, sizeof(*names));
	const char *near;

	if (!names)
		return error_memory(error);
	for (size_t i = 0; i < api->n_calls; i++)
		names[i] = api->calls[i].name;
	near = nearest(name, names, api->n_calls);
	if (near)
		return error_set(error, ENOSYS, "there is no call \"%.64s\": did you mean \"%s\"?", name, near);
	return error_set(error, ENOSYS, "there is no call \"%.64s\"", name);
}

static const struct api_call *call_find(const struct api *api, const json_t *arguments)
{
	const char *name = json_string_value(json_object_get(arguments, "call"));

	for (size_t i = 0; i < api->n_calls; i++)
		if (strcmp(api->calls[i].name, name) == 0)
			return &api->calls[i];
	return NULL;
}

static int call_run(const struct api_call *call, struct api_request *request, json_t *arguments, json_t **ret_result,
		    struct error *error)
{
	int r;

	if (!call)
		return call_unknown(request->connection->api, json_string_value(json_object_get(arguments, "call")),
				    error);
	r = call->changes ? request_check_change(arguments, error) : 0;
	return r < 0 ? r : call->run(request, arguments, ret_result, error);
}

static void connection_subscribe(struct connection *connection, json_t *subscription)
{
	/* After the answer, which an event must not overtake. */
	if (connection->subscription)
		json_decref(connection->subscription);
	else
		connection->api->n_subscribers++;
	connection->subscription = subscription;
}

/* Answers with what `run` returned. */
static void request_answer(struct api_request *request, int r, json_t *result, struct error *error)
{
	struct connection *connection = request->connection;
	_cleanup_json_ json_t *subscription = TAKE_PTR(request->subscription);
	_cleanup_json_ json_t *empty = r == 0 && !result ? json_object() : NULL;

	if (!connection || uv_is_closing((uv_handle_t *)&connection->pipe))
		return; /* or the call closed the api */
	if (r == 0 && !result && !empty)
		r = error_memory(error);
	if (r < 0 && error->code == 0)
		error->code = -r;
	if (r < 0)
		connection_answer_error(connection, error);
	else
		connection_answer(connection, result ? result : empty);
	if (r == 0 && subscription && !uv_is_closing((uv_handle_t *)&connection->pipe))
		connection_subscribe(connection, TAKE_PTR(subscription));
}

static void connection_run(struct connection *connection, json_t *arguments)
{
	_cleanup_json_ json_t *result = NULL;
	struct api_request request = { .connection = connection };
	struct api *api = connection->api;
	const struct api_call *call = call_find(api, arguments);
	struct error error = { 0 };
	int r;

	if (call && call->waits && api->held) {
		connection->waiting = json_incref(arguments);
		connection->ticket = ++api->tickets;
		return;
	}
	r = call_run(call, &request, arguments, &result, &error);
	if (r != API_LATER)
		request_answer(&request, r, result, &error);
}

static void connection_take_line(struct connection *connection, const char *line, size_t length)
{
	_cleanup_json_ json_t *arguments = NULL;
	struct error error = { 0 };

	if (request_parse(line, length, &arguments, &error) < 0)
		connection_answer_error(connection, &error);
	else
		connection_run(connection, arguments);
}

struct api_request *api_request_keep(struct api_request *request)
{
	struct api_request *kept = malloc(sizeof(*kept));

	if (!kept)
		return NULL;
	*kept = *request;
	kept->connection->kept = kept;
	return kept;
}

void api_request_finish(struct api_request *request, int r, json_t *result, struct error *error)
{
	if (request->connection)
		request->connection->kept = NULL;
	request_answer(request, r, result, error);
	json_decref(result);
	free(request);
}

/* Root first, so that nobody keeps it from taking a change back; then who came first. */
static struct connection *next_waiting(const struct api *api)
{
	struct connection *connection, *first = NULL;

	DL_FOREACH(api->connections, connection) {
		if (!connection->waiting)
			continue;
		if (!first || (connection->peer.uid == 0) > (first->peer.uid == 0) ||
		    ((connection->peer.uid == 0) == (first->peer.uid == 0) && connection->ticket < first->ticket))
			first = connection;
	}
	return first;
}

/* Those that waited run one after the other, as long as none of them makes the others wait again. */
void api_hold(struct api *api, bool hold)
{
	struct connection *connection;

	api->held = hold;
	while (!api->held && (connection = next_waiting(api))) {
		_cleanup_json_ json_t *arguments = TAKE_PTR(connection->waiting);

		connection_run(connection, arguments);
	}
}

#define INPUT_SMALL (1u << 20) /* one such is always taken */

/* Whether the room for a request may double: each is bounded, and so are all of them together. */
static bool input_may_grow(const struct connection *connection)
{
	const struct line_buffer *input = &connection->input;
	size_t limit = API_INPUT_MAX + (connection->peer.uid == 0 ? API_INPUT_ROOT : 0), sum = input->room;
	const struct connection *other;

	if (input->used < input->room || input->room < INPUT_SMALL)
		return true;
	DL_FOREACH(connection->api->connections, other)
		sum += other->input.room;
	return sum <= limit;
}

/* The last answer of a connection. */
static void connection_refuse(struct connection *connection, const struct error *error)
{
	uv_read_stop((uv_stream_t *)&connection->pipe);
	connection->ending = true;
	connection_answer_error(connection, error);
}

static void on_room_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct connection *connection = handle->data;
	char *room = NULL;
	size_t size = 0;

	(void)suggested;
	if (!input_may_grow(connection) || line_buffer_reserve(&connection->input, &room, &size) < 0)
		size = 0; /* on_read() gets UV_ENOBUFS */
	*buffer = uv_buf_init(room, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct connection *connection = stream->data;
	struct error error;

	(void)buffer;
	if (n > 0) {
		line_buffer_added(&connection->input, (size_t)n);
		connection_serve(connection);
	} else if (n == UV_EOF && !connection->subscription) {
		connection->ended = true;
		connection_serve(connection);
	} else if (n == UV_ENOBUFS) {
		error_set(&error, EBUSY, "too much is being sent to sprd at once: try again");
		connection_refuse(connection, &error);
	} else if (n < 0) {
		connection_close(connection);
	}
}

/* Runs the next whole request, or reads on. What follows the last newline when the stream ends is no request. */
static void connection_serve(struct connection *connection)
{
	uv_stream_t *stream = (uv_stream_t *)&connection->pipe;
	struct error error;
	char *line;
	size_t length;
	int r = line_buffer_next(&connection->input, &line, &length);

	if (r == 0 && connection->ended) {
		connection_close(connection);
	} else if (r == 0) {
		r = uv_read_start(stream, on_room_wanted, on_read);
		if (r < 0 && r != UV_EALREADY)
			connection_close(connection);
	} else if (r > 0) {
		uv_read_stop(stream);
		connection_take_line(connection, line, length);
	} else {
		error_set(&error, EMSGSIZE, "the request is longer than %u MiB", API_LINE_MAX >> 20);
		connection_refuse(connection, &error);
	}
}

static int connection_check(struct connection *connection, struct error *error)
{
	const struct api *api = connection->api;
	uv_os_fd_t fd;
	int r = uv_fileno((uv_handle_t *)&connection->pipe, &fd);

	if (r == 0)
		r = socket_peer(fd, &connection->peer);
	if (r < 0)
		return error_set(error, -r, "cannot tell who is calling");
	if (!socket_peer_allowed(fd, &connection->peer, &api->file))
		return error_set(error, EPERM, "only root and members of the group " API_GROUP " may talk to sprd");
	if (api->n_connections > API_CONNECTIONS_MAX ||
	    (connection->peer.uid != 0 && api->n_connections > API_CONNECTIONS_MAX - API_CONNECTIONS_ROOT))
		return error_set(error, EBUSY, "too many connections to sprd: close one of them");
	return 0;
}

static void connection_take(struct api *api)
{
	uv_stream_t *listener = (uv_stream_t *)&api->listener;
	struct connection *connection = TAKE_PTR(api->spare);
	struct error error = { 0 };

	api->waiting = !connection;
	if (!connection)
		return;
	api->spare = calloc(1, sizeof(*api->spare));
	*connection = (struct connection){ .api = api };
	uv_pipe_init(listener->loop, &connection->pipe, 0);
	connection->pipe.data = connection;
	DL_APPEND(api->connections, connection);
	api->n_connections++;
	if (uv_accept(listener, (uv_stream_t *)&connection->pipe) < 0 || !api->spare) {
		connection_close(connection);
	} else if (connection_check(connection, &error) < 0) {
		connection->ending = true;
		connection_answer_error(connection, &error);
	} else {
		connection_serve(connection);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	if (status == 0)
		connection_take(listener->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct api *api = handle->data;

	api->listener_closed = true;
	api_free_when_closed(api);
}

/* libuv writes without MSG_NOSIGNAL: a client that hangs up early would end the daemon. */
static void ignore_sigpipe(void)
{
	struct sigaction action;

	if (sigaction(SIGPIPE, NULL, &action) < 0 || action.sa_handler != SIG_DFL)
		return;
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

int api_open(uv_loop_t *loop, const char *path, const struct api_call *calls, size_t n, void *data, struct api **ret,
	     struct error *error)
{
	struct api *api = calloc(1, sizeof(*api));
	int r;

	if (!api || !(api->spare = calloc(1, sizeof(*api->spare)))) {
		free(api);
		return error_memory(error);
	}
	api->calls = calls;
	api->n_calls = n;
	api->data = data;
	r = socket_file_make(path, &api->file, error);
	if (r < 0) {
		free(api->spare);
		free(api);
		return r;
	}
	ignore_sigpipe();
	uv_pipe_init(loop, &api->listener, 0);
	api->listener.data = api;
	r = uv_pipe_open(&api->listener, api->file.fd);
	if (r < 0) {
		api_close(api);
		return error_set(error, -r, "cannot listen on %s: %s", path, uv_strerror(r));
	}
	api->file.fd = -1; /* the handle's now */
	*ret = api;
	return 0;
}

int api_start(struct api *api, struct error *error)
{
	int r = uv_listen((uv_stream_t *)&api->listener, API_CONNECTIONS_MAX, on_connection);

	return r < 0 ? error_set(error, -r, "cannot listen on %s: %s", api->file.path, uv_strerror(r)) : 0;
}

int api_listen(uv_loop_t *loop, const char *path, const struct api_call *calls, size_t n, void *data, struct api **ret,
	       struct error *error)
{
	struct api *api = NULL;
	int r = api_open(loop, path, calls, n, data, &api, error);

	if (r == 0)
		r = api_start(api, error);
	if (r < 0) {
		api_close(api);
		return r;
	}
	*ret = api;
	return 0;
}

struct api *api_close(struct api *api)
{
	struct connection *connection;

	if (!api || api->closing)
		return NULL;
	api->closing = true;
	socket_file_close(&api->file);
	DL_FOREACH(api->connections, connection)
		connection_close(connection);
	uv_close((uv_handle_t *)&api->listener, on_listener_closed);
	return NULL;
}

void api_broadcast(struct api *api, json_t *event, bool (*wants)(const json_t *subscription, const json_t *event))
{
	_cleanup_free_ char *text = NULL;
	struct connection *connection;
	size_t length;

	if (!api_has_subscribers(api) || message_print("event", event, &text, &length) < 0)
		return;
	DL_FOREACH(api->connections, connection) {
		const uv_stream_t *stream = (uv_stream_t *)&connection->pipe;
		char *copy;

		if (!connection->subscription || (wants && !wants(connection->subscription, event)))
			continue;
		copy = uv_stream_get_write_queue_size(stream) + length > API_QUEUE_MAX ? NULL : strdup(text);
		if (copy)
			connection_send(connection, copy, length, false);
		else
			connection_close(connection);
	}
}

bool api_has_subscribers(const struct api *api)
{
	return api && api->n_subscribers > 0;
}

void *api_request_data(const struct api_request *request)
{
	return request->connection->api->data;
}

const struct api_peer *api_request_peer(const struct api_request *request)
{
	return &request->connection->peer;
}

int api_request_subscribe(struct api_request *request, json_t *subscription)
{
	json_decref(request->subscription);
	request->subscription = json_incref(subscription);
	return 0;
}
