/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_API_CLIENT_H
#define SPR_API_CLIENT_H

#include <jansson.h>

#include "base/error.h"

struct api_client;

#define API_SOCKET "/run/spr/spr.sock"

/* Connects, waiting. -ENOENT or -ECONNREFUSED: no daemon listens there; -EACCES: the file's mode keeps us out. */
int api_client_connect(const char *path, struct api_client **ret, struct error *error);

/* From now on calls wait at most so long for each piece of an answer: -EAGAIN. Without it they wait for ever. */
void api_client_limit(struct api_client *client, unsigned seconds);

/*
 * Sends a request and waits for its answer; events that come before it are dropped. The result is the caller's. An
 * error of the daemon comes with its code and message. -ECONNRESET: it hung up; -EPROTO: it does not speak this
 * protocol; -EMSGSIZE: the request is too long, and was not sent.
 */
int api_client_call(struct api_client *client, json_t *request, json_t **ret_result, struct error *error);

/* Waits for the next event of a subscription; the caller's. Errors as above. */
int api_client_next_event(struct api_client *client, json_t **ret_event, struct error *error);

/* Hangs up. NULL is fine. */
struct api_client *api_client_close(struct api_client *client);
DEFINE_CLEANUP(struct api_client *, api_client_close)

#endif
