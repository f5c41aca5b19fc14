/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <utlist.h>

#define CONNECT_TIMEOUT 5000 /* ms */
#define HEAD_MAX 65536
#define IDLE_MAX 8 /* connections kept for the next request */

struct http {
	uv_loop_t *loop;
	uv_timer_t timer;
	CURLM *multi;
	char *socket;
	struct http_request *requests; /* running, or over and not yet reported */
	uint64_t serial;
	bool closed;
};

struct http_request {
	struct http *http;
	uint64_t serial; /* tells it from a later one at the same address */
	CURL *curl;
	const struct http_stream_ops *stream; /* NULL: a plain GET */
	http_done_fn *done;
	void *data;
	char *body; /* of a stream: what came after the last whole line */
	size_t length, room, limit, head;
	bool opened, told; /* stream: the head came; it was told */
	bool skipping; /* stream: inside a line over the limit */
	bool too_big;
	bool over;
	CURLcode result;
	char message[CURL_ERROR_SIZE];
	struct http_request *prev, *next;
};

struct watch {
	uv_poll_t poll;
	struct http *http;
	curl_socket_t fd;
};

static struct http_request *request_free(struct http_request *request)
{
	DL_DELETE(request->http->requests, request);
	if (request->curl) {
		curl_multi_remove_handle(request->http->multi, request->curl);
		curl_easy_cleanup(request->curl);
	}
	free(request->body);
	free(request);
	return NULL;
}

/* Room for more, and the NUL after it. */
static bool body_reserve(struct http_request *request, size_t more)
{
	size_t room = request->room ? request->room : 4096;
	char *body;

	while (room <= request->length + more)
		room *= 2;
	if (room == request->room)
		return true;
	body = realloc(request->body, room);
	if (!body)
		return false;
	request->body = body;
	request->room = room;
	return true;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
	struct http_request *request = data;

	n *= size;
	if (!request->stream && n > request->limit - request->length) {
		request->too_big = true;
		return 0;
	}
	if (!body_reserve(request, n))
		return 0;
	memcpy(request->body + request->length, bytes, n);
	request->length += n;
	return n;
}

static size_t on_head(char *bytes, size_t size, size_t n, void *data)
{
	struct http_request *request = data;
	long status = 0;

	n *= size;
	request->head += n;
	if (request->head > HEAD_MAX)
		return 0;
	if (n <= 2 && (bytes[0] == '\r' || bytes[0] == '\n')) {
		curl_easy_getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
		request->opened = status == 200;
	}
	return n;
}

/* Whether a request outlived a callback. */
static bool request_alive(const struct http *http, uint64_t serial)
{
	const struct http_request *request;

	DL_FOREACH(http->requests, request)
		if (request->serial == serial)
			return true;
	return false;
}

/* Hands over whole lines; false when the request was cancelled meanwhile. */
static bool stream_lines(struct http_request *request)
{
	const struct http *http = request->http;
	uint64_t serial = request->serial;
	size_t start = 0;
	char *end;

	while (start < request->length && (end = memchr(request->body + start, '\n', request->length - start))) {
		size_t length = (size_t)(end - request->body) - start;
		bool skip = request->skipping || length > request->limit;
		const char *line = skip ? NULL : request->body + start;

		request->skipping = false;
		start += length + 1;
		request->stream->line(request->data, line, skip ? 0 : length);
		if (!request_alive(http, serial))
			return false;
	}
	request->length -= start;
	if (request->length)
		memmove(request->body, request->body + start, request->length);
	if (request->length > request->limit) {
		request->skipping = true;
		request->length = 0;
	}
	return true;
}

static bool stream_deliver(struct http_request *request)
{
	if (!request->opened) {
		request->length = 0; /* what a refusal says is not the stream's */
		return true;
	}
	if (!request->told) {
		request->told = true;
		request->stream->open(request->data);
		return false; /* the list may be another now: from the start */
	}
	return stream_lines(request);
}

static int error_code(const struct http_request *request)
{
	long number = 0;

	switch (request->result) {
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(request->curl, CURLINFO_OS_ERRNO, &number);
		return number > 0 ? (int)number : ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return ENOMEM;
	case CURLE_WRITE_ERROR:
		return request->too_big || request->head > HEAD_MAX ? EFBIG : ENOMEM;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
		return EPROTO;
	default:
		return EPIPE;
	}
}

static const char *error_sentence(const struct http_request *request, int code)
{
	if (request->too_big || code == EFBIG)
		return "the answer is too long";
	if (request->result == CURLE_COULDNT_CONNECT || code == ENOMEM)
		return strerror(code);
	return request->message[0] ? request->message : curl_easy_strerror(request->result);
}

static void request_finish(struct http_request *request)
{
	http_done_fn *done = request->stream ? request->stream->end : request->done;
	struct http_answer answer = { .body = "" };
	void *data = request->data;
	char *body;
	long status = 0;

	curl_easy_getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
	answer.status = (int)status;
	if (request->result != CURLE_OK) {
		int code = error_code(request);

		error_set(&answer.error, code, "%s: %s", request->http->socket, error_sentence(request, code));
	}
	body = TAKE_PTR(request->body);
	if (body && !request->stream) {
		body[request->length] = '\0';
		answer.body = body;
		answer.length = request->length;
	}
	request_free(request);
	done(data, &answer);
	free(body);
}

/* One callback at a time, and then from the start: each may change the list, or close everything. */
static bool deliver_one(struct http *http)
{
	struct http_request *request;

	DL_FOREACH(http->requests, request) {
		if (request->stream && (request->length || (request->opened && !request->told)) &&
		    !stream_deliver(request))
			return true;
		if (request->over) {
			request_finish(request);
			return true;
		}
	}
	return false;
}

static void deliver(struct http *http)
{
	struct http_request *request;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
		request->result = message->data.result;
		request->over = true;
	}
	while (!http->closed && deliver_one(http))
		;
}

static void on_timer(uv_timer_t *timer)
{
	struct http *http = timer->data;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	deliver(http);
}

static int on_timeout_wanted(CURLM *multi, long timeout, void *data)
{
	struct http *http = data;

	if (http->closed)
		return 0;
	if (timeout < 0)
		uv_timer_stop(&http->timer);
	else
		uv_timer_start(&http->timer, on_timer, (uint64_t)timeout, 0);
	return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	struct http *http = watch->http;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(http->multi, watch->fd, flags, &running);
	deliver(http);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static struct watch *watch_new(struct http *http, curl_socket_t fd)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	if (uv_poll_init(http->loop, &watch->poll, fd) < 0) {
		free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	watch->http = http;
	watch->fd = fd;
	curl_multi_assign(http->multi, fd, watch);
	return watch;
}

static int on_socket_wanted(CURL *curl, curl_socket_t fd, int what, void *data, void *assigned)
{
	struct http *http = data;
	struct watch *watch = assigned;
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);

	if (what == CURL_POLL_REMOVE) {
		if (watch)
			uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
		curl_multi_assign(http->multi, fd, NULL);
		return 0;
	}
	if (!watch)
		watch = watch_new(http, fd);
	if (!watch)
		return -1;
	return uv_poll_start(&watch->poll, events, on_poll) < 0 ? -1 : 0;
}

static curl_socket_t on_socket_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
}

int http_new(uv_loop_t *loop, const char *socket, struct http **ret, struct error *error)
{
	struct http *http;

	if (strlen(socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return error_set(error, ENAMETOOLONG, "%s: too long for a socket's path (at most 107 characters)",
				 socket);
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
		return error_memory(error);
	http = calloc(1, sizeof(*http));
	if (http)
		http->socket = strdup(socket);
	if (http && http->socket)
		http->multi = curl_multi_init();
	if (!http || !http->multi) {
		if (http)
			free(http->socket);
		free(http);
		curl_global_cleanup();
		return error_memory(error);
	}
	http->loop = loop;
	uv_timer_init(loop, &http->timer);
	http->timer.data = http;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX);
	*ret = http;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct http *http = handle->data;

	free(http->socket);
	free(http);
	curl_global_cleanup();
}

void http_close(struct http *http)
{
	struct http_request *request, *next;

	if (!http)
		return;
	http->closed = true;
	DL_FOREACH_SAFE(http->requests, request, next)
		request_free(request);
	curl_multi_cleanup(http->multi);
	uv_close((uv_handle_t *)&http->timer, on_closed);
}

static int request_new(struct http *http, const char *path, void *data, struct http_request **ret)
{
	struct http_request *request = calloc(1, sizeof(*request));
	char url[2048];

	if (!request)
		return -ENOMEM;
	request->http = http;
	request->serial = ++http->serial;
	request->data = data;
	DL_APPEND(http->requests, request);
	request->curl = curl_easy_init();
	if (!request->curl || (size_t)snprintf(url, sizeof(url), "http://engine%s", path) >= sizeof(url)) {
		request_free(request);
		return -ENOMEM;
	}
	curl_easy_setopt(request->curl, CURLOPT_UNIX_SOCKET_PATH, http->socket);
	curl_easy_setopt(request->curl, CURLOPT_URL, url);
	curl_easy_setopt(request->curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(request->curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(request->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(request->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(request->curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(request->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT);
	curl_easy_setopt(request->curl, CURLOPT_OPENSOCKETFUNCTION, on_socket_open);
	curl_easy_setopt(request->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(request->curl, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(request->curl, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(request->curl, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(request->curl, CURLOPT_ERRORBUFFER, request->message);
	curl_easy_setopt(request->curl, CURLOPT_PRIVATE, request);
	*ret = request;
	return 0;
}

static int request_send(struct http_request *request, struct http_request **ret)
{
	if (curl_multi_add_handle(request->http->multi, request->curl) != CURLM_OK) {
		request_free(request);
		return -ENOMEM;
	}
	if (ret)
		*ret = request;
	return 0;
}

int http_get(struct http *http, const char *path, size_t limit, unsigned timeout, http_done_fn *done, void *data,
	     struct http_request **ret)
{
	struct http_request *request;

	if (request_new(http, path, data, &request) < 0)
		return -ENOMEM;
	request->done = done;
	request->limit = limit;
	curl_easy_setopt(request->curl, CURLOPT_TIMEOUT_MS, (long)timeout);
	return request_send(request, ret);
}

int http_stream(struct http *http, const char *path, size_t limit, const struct http_stream_ops *ops, void *data,
		struct http_request **ret)
{
	struct http_request *request;

	if (request_new(http, path, data, &request) < 0)
		return -ENOMEM;
	request->stream = ops;
	request->limit = limit;
	return request_send(request, ret);
}

void http_cancel(struct http_request *request)
{
	if (request)
		request_free(request);
}
