/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_TRIAL_H
#define SPR_VERDICT_TRIAL_H

#include "verdict/question.h"

/*
 * Packets that stand for many: one of each class, interface and family to each other one, at some ports, with what
 * verdict() says of each. Somebody may try them on the kernel's rules.
 */

struct trial {
	struct end from, to; /* `to` is the container, where its published port is dialled */
	struct packet packet; /* points into the model */
	bool published; /* the port is a published one, dialled at this machine */
	bool before, after; /* accepted */
	enum reason reason; /* why not, after or else before */
};

struct trials {
	struct trial *items;
	size_t n;
	size_t found; /* of these the items are some, evenly spread; else as many */
	size_t pairs, pairs_found; /* that were tried, evenly spread over those that there are */
};

#define TRIAL_PAIRS_MAX 1000 /* of trials_all() */
#define TRIALS_ALL_MAX 8000 /* that it keeps */
#define CHANGED_PAIRS_MAX 20000 /* of trials_changed() */
#define TRIALS_MAX 1000 /* that it keeps */

/* Between all classes; `published`: also at the ports that containers publish. -ENOMEM. */
int trials_all(const struct model *model, bool published, struct trials *ret);

/*
 * Those of which two models of one inventory say different things, at ports that the rights are about. The results point
 * into both models. -ENOMEM.
 */
int trials_changed(const struct model *before, const struct model *after, struct trials *ret);

void trials_clear(struct trials *trials);

/* Somebody at a location whom the kernel can hear of; false for none. */
bool location_end(const struct model *model, const struct location *location, struct end *ret);

/*
 * The first packet from one end to a container's published port, by the way that the engine's NAT leads it. False where
 * nobody can send it: the port is for this machine alone, or there is no address to dial.
 */
bool question_published(const struct model *model, const struct end *from, const struct end *to,
			const struct port_binding *port, struct packet *ret);

#endif
