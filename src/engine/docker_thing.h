/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_ENGINE_DOCKER_THING_H
#define SPR_ENGINE_DOCKER_THING_H

#include <stdbool.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "engine/docker_parse.h"
#include "engine/docker_track.h"
#include "inventory/inventory.h"

/* What docker_track.c (events, questions) and docker_answer.c (answers, lists) share. */

#define DOCKER_ENGINE "docker"

/* Pauses in milliseconds; each following one is four times as long. */
#define PAUSE_PORT 25 /* a port is on its bridge before Docker lists it: then, and three times more */
#define PAUSE_EVENT 1600 /* once more after an event: some are sent before Docker's own list is in step */
#define PAUSE_FAILED 2000
#define PAUSE_ANONYMOUS 5000 /* what has no container sends no event when it goes */
#define STOPPED_MAX 10000 /* a list may overrule an event that is older */

enum thing_kind { THING_NETWORK = 'n', THING_CONTAINER = 'c', THING_IMAGE = 'i', THING_BINDINGS = 'p' };

/* Something that can be asked about. All numbers are of the row of events and questions, 0 is never. */
struct thing {
	enum thing_kind kind;
	const char *id;
	uint64_t touched, touched_at; /* the last event about it, and when that was */
	uint64_t moved; /* a container left a network; a network was destroyed */
	uint64_t asked; /* the question under way, 0 without */
	uint64_t applied; /* the question whose answer the inventory shows */
	uint64_t listed; /* the last list it was in */
	bool queued, urgent, again; /* to be asked; before others; once more after the answer that is under way */
	bool listing; /* the list waits for it */
	bool stopped; /* container: has no place in any network until it is connected again */
	bool absent; /* container: Docker does not know it */
	bool waits; /* network: for a container that is not known yet */
	bool known, gone; /* image: labels are there; it is there no more. bindings: are there */
	uint64_t due; /* time to ask again, 0 without */
	unsigned pause, left; /* the pause after that, and how many are left */
	struct docker_network *network; /* an answer the list keeps back */
	struct docker_container *container; /* an answer that waits for its image */
	uint64_t kept; /* the number of the question of that answer */
	struct docker_labels labels;
	struct port_binding *ports; /* bindings; they never change */
	size_t n_ports;
	struct thing *prev, *next; /* of the queue */
	struct thing *later_prev, *later_next;
	UT_hash_handle hh;
	char key[];
};

struct docker_track {
	struct inventory *inventory;
	struct thing *things;
	struct thing *urgent, *bulk, *bindings; /* queues */
	struct thing *later; /* with a due time */
	uint64_t row, now, first_due;
	size_t n_waiting; /* networks that wait for a container */
	bool changed;
	struct {
		bool on, networks_asked, containers_asked, networks_there, containers_there;
		uint64_t number, networks, containers; /* the list's, and of its questions */
		size_t pending; /* things it waits for */
		struct docker_container *found;
		size_t n_found;
	} list;
};

/* Finds it, or NULL. */
struct thing *thing_find(const struct docker_track *track, enum thing_kind kind, const char *id);

/* Finds or makes it; NULL without memory, or when there are too many. */
struct thing *thing_get(struct docker_track *track, enum thing_kind kind, const char *id);
void thing_free(struct docker_track *track, struct thing *thing);

/* Asks as soon as possible; after the answer that is under way, when there is one. */
void thing_want(struct docker_track *track, struct thing *thing, bool urgent);

/* Asks in `pause` milliseconds, and `left` times more. */
void thing_want_later(struct docker_track *track, struct thing *thing, unsigned pause, unsigned left);
void thing_drop_answer(struct thing *thing);

/* Asks for the bindings of a container, unless they are known. */
int track_want_bindings(struct docker_track *track, const char *container, bool urgent);

/* As those of the inventory; they note whether something went. */
void track_drop_endpoints(struct docker_track *track, const char *network, const char *container);
void track_drop_network(struct docker_track *track, struct thing *network);
void track_drop_container(struct docker_track *track, const char *id);

void track_list_end(struct docker_track *track);

#endif
