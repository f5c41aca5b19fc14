/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_ENGINE_HTTP_H
#define SPR_ENGINE_HTTP_H

#include <stddef.h>
#include <uv.h>

#include "base/error.h"

/*
 * A small HTTP/1.1 client on a unix socket and the loop: GET only, no redirects, no proxy, no name look-ups. Callbacks
 * come from the loop, never from inside a call; they may send and cancel requests and close the client.
 */
struct http;
struct http_request;

struct http_answer {
	int status; /* 200, 404 ...; 0 when there was none */
	const char *body; /* with a NUL after it; the callback's only */
	size_t length;
	struct error error; /* code 0: the answer is whole. -EFBIG, -ETIMEDOUT, what connecting said, -EPROTO, -EPIPE */
};

/* The request is over and gone when it is called. */
typedef void http_done_fn(void *data, const struct http_answer *answer);

/* A line without its end; NULL: one longer than the limit was skipped. */
typedef void http_line_fn(void *data, const char *line, size_t length);

struct http_stream_ops {
	void (*open)(void *data); /* the answer's head is there, and it is 200 */
	http_line_fn *line;
	http_done_fn *end; /* hung up, or never opened; the body is empty */
};

/* -ENAMETOOLONG for a path that fits no socket address, -ENOMEM. */
int http_new(uv_loop_t *loop, const char *socket, struct http **ret, struct error *error);

/* Requests end without a callback; what the loop still holds is freed on its next turns. */
void http_close(struct http *http);

/* Asks for "/path?query", already encoded. At most `limit` bytes of body, at most `timeout` milliseconds in all. */
int http_get(struct http *http, const char *path, size_t limit, unsigned timeout, http_done_fn *done, void *data,
	     struct http_request **ret);

/* Asks for an answer that goes on until one of both hangs up. `limit` is for a line. */
int http_stream(struct http *http, const char *path, size_t limit, const struct http_stream_ops *ops, void *data,
		struct http_request **ret);

/* Ends a request without a callback. */
void http_cancel(struct http_request *request);

#endif
