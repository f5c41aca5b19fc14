/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_ENGINE_DOCKER_TRACK_H
#define SPR_ENGINE_DOCKER_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/docker_parse.h"

/*
 * Keeps the inventory in step with Docker: takes events and answers, says what to ask. No I/O, no clock of its own.
 *
 * Events and answers come over different connections, so an answer can be older than an event that came before it.
 * Events and questions are numbered in one row. An event after the question overtakes the answer for what it is about:
 * that part of the answer is not used, and asked again.
 */
struct docker_track;

enum docker_ask {
	DOCKER_ASK_NETWORKS,
	DOCKER_ASK_CONTAINERS,
	DOCKER_ASK_NETWORK,
	DOCKER_ASK_CONTAINER,
	DOCKER_ASK_IMAGE,
	DOCKER_ASK_BINDINGS, /* GET /containers/ID/json: no answer while the container is being started */
};

struct docker_question {
	enum docker_ask ask;
	bool urgent; /* rights wait for it; else part of a list */
	uint64_t asked;
	char id[DOCKER_ID_MAX + 1];
};

struct docker_track *docker_track_new(struct inventory *inventory);
struct docker_track *docker_track_free(struct docker_track *track);

/* Milliseconds of any clock, before other calls. What is due is asked; the result is the time to the next, or -1. */
int docker_track_time(struct docker_track *track, uint64_t now);

/* Begins a full list, or does nothing while one is under way. The inventory changes when all of it is there. */
void docker_track_list(struct docker_track *track);
bool docker_track_listing(const struct docker_track *track);
/*
 * Nothing is asked, or to be asked, but for DOCKER_ASK_BINDINGS: a list may end before, when an event overtook a part of
 * it.
 */
bool docker_track_idle(const struct docker_track *track);

/* The connection is gone: no answer will come. The inventory stays as it is. A list has to follow. */
void docker_track_reset(struct docker_track *track);

/* -ENOMEM: a list has to follow. */
int docker_track_event(struct docker_track *track, const struct docker_event *event);

/* A bridge got or lost a port. */
void docker_track_refresh(struct docker_track *track, const char *bridge);

/* The next thing to ask; false when there is none. `urgent`: only what is urgent. Each gets one answer or a reset. */
bool docker_track_next(struct docker_track *track, bool urgent, struct docker_question *ret);

/* The same for DOCKER_ASK_BINDINGS, which nothing else may wait for. */
bool docker_track_next_bindings(struct docker_track *track, struct docker_question *ret);

/* Status 0: there was no answer. An error means that the list failed: to be started again, after a pause. */
int docker_track_answer(struct docker_track *track, const struct docker_question *question, int status,
			const char *body, size_t length, struct error *error);

/* Whether the inventory changed since the last call. */
bool docker_track_changed(struct docker_track *track);

#endif
