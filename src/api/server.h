/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_API_SERVER_H
#define SPR_API_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"

struct api;
struct api_request;

struct api_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/*
 * A call of the control API. `run` gets the whole request as `arguments` (borrowed) and returns 0 with a new reference
 * in *ret_result (none stands for {}), or a negative errno with the message for the caller, or API_LATER: it has taken
 * api_request_keep() and answers by api_request_finish().
 */
struct api_call {
	const char *name;
	bool changes; /* takes "force" and "ssh": their types are checked before `run` */
	int (*run)(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error);
	bool waits; /* is not run while the api is held, but after it */
};

#define API_CONNECTIONS_MAX 64
#define API_CONNECTIONS_ROOT 8 /* of these, kept for root */
#define API_QUEUE_MAX (4u << 20) /* bytes a subscriber may leave unread */
#define API_INPUT_MAX (128u << 20) /* bytes that unfinished requests hold in all */
#define API_INPUT_ROOT (64u << 20) /* beside these, kept for root */
#define API_GROUP "spr"

/*
 * Listens on a socket file, mode 0660, group spr where that group exists; the last directory of the path is made when
 * it is missing. What a dead daemon left is replaced. Served are root, the daemon's own user and members of the group.
 * The table of calls stays the caller's and must outlive the api. Each connection is answered in order, one request at
 * a time, and is not read while an answer is on its way. What all of them have sent and not finished is bounded: over
 * that, one that goes on sending is told so and disconnected. SIGPIPE is ignored from here on, unless it has a handler.
 * -EADDRINUSE: another sprd is running; -EEXIST: the path is something else than a socket; -ENAMETOOLONG.
 */
int api_listen(uv_loop_t *loop, const char *path, const struct api_call *calls, size_t n, void *data, struct api **ret,
	       struct error *error);

/* The same in two steps: one makes the socket file, when nobody is served yet; the other needs no right to files. */
int api_open(uv_loop_t *loop, const char *path, const struct api_call *calls, size_t n, void *data, struct api **ret,
	     struct error *error);
int api_start(struct api *api, struct error *error);

/*
 * Sends {"event": event} to each subscriber that `wants` it (NULL: to all). One that would have more than
 * API_QUEUE_MAX unread is disconnected instead.
 */
void api_broadcast(struct api *api, json_t *event, bool (*wants)(const json_t *subscription, const json_t *event));

/* Whether anybody would hear an event, so that it need not be made. */
bool api_has_subscribers(const struct api *api);

/* While it is held, calls that wait are kept back; then they run one after the other,
 * those of root first, then in the order in which they came. */
void api_hold(struct api *api, bool hold);

/* Removes the socket file and hangs up. Memory goes when the loop has closed the handles. NULL is fine. */
struct api *api_close(struct api *api);

/* For `run`: the data of api_listen(), and who calls. */
void *api_request_data(const struct api_request *request);
const struct api_peer *api_request_peer(const struct api_request *request);

#define API_LATER 1

/*
 * For a `run` that returns API_LATER: the request, to be finished once, when its answer is known (`r` and `error` as of
 * `run`; takes the reference). The connection runs nothing else meanwhile. That it was closed does not matter.
 */
struct api_request *api_request_keep(struct api_request *request);
void api_request_finish(struct api_request *request, int r, json_t *result, struct error *error);

/* Makes the connection a subscriber once the call has succeeded; `subscription` is what `wants` will get. Returns 0. */
int api_request_subscribe(struct api_request *request, json_t *subscription);

#endif
