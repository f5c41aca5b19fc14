/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_ENGINE_ENGINE_H
#define SPR_ENGINE_ENGINE_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"

struct inventory;
struct engine;

enum engine_state {
	ENGINE_ABSENT, /* no socket: waiting for one */
	ENGINE_RETRYING, /* a socket that does not answer, or hung up; tried again with back-off */
	ENGINE_CONNECTED, /* listed, and following events */
};

/*
 * Follows a container engine on the loop and keeps its part of the inventory. `changed` is called, from the loop, each
 * time the inventory changed or the state did. While an engine is not connected its last networks and containers stay
 * in the inventory (their rights outlive a restart of the engine); the first list after reconnecting replaces them.
 */
struct engine_ops {
	const char *name; /* "docker" */
	const char *socket; /* where it usually listens */
	int (*start)(struct engine *engine, struct error *error);
	void (*stop)(struct engine *engine);
	void (*refresh)(struct engine *engine, const char *bridge);
	bool (*idle)(const struct engine *engine);
};

extern const struct engine_ops docker_engine;

/* Makes and starts one. `socket` NULL means the usual place. The inventory stays the caller's and must outlive it. */
int engine_start(const struct engine_ops *ops, uv_loop_t *loop, const char *socket, struct inventory *inventory,
		 void (*changed)(void *data), void *data, struct engine **ret, struct error *error);

/* Stops it; its handles close on the loop's next turns. */
void engine_stop(struct engine *engine);

/*
 * Tells it that a port of a bridge appeared or went: when the bridge is one of the engine's networks, that network is
 * asked again, now and a few times soon after (the port is there before the engine lists it). Cheap, and coalesced.
 */
void engine_refresh(struct engine *engine, const char *bridge);

/* Whether it is connected and nothing that was asked is unanswered: then all that there is is in the inventory. */
bool engine_settled(const struct engine *engine);

/*
 * Asks an engine once, with a loop of its own, and puts what there is into the inventory. It waits some seconds at most:
 * *ret_whole says whether all was answered by then.
 */
int engine_list(const struct engine_ops *ops, const char *socket, struct inventory *inventory, bool *ret_whole,
		struct error *error);

const char *engine_name(const struct engine *engine);
const char *engine_socket(const struct engine *engine);
enum engine_state engine_state(const struct engine *engine);
const char *engine_version(const struct engine *engine); /* "20.10.24", "" before the first answer */
const char *engine_problem(const struct engine *engine); /* why it is not connected, a sentence; "" while it is */

#endif
