/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_REACH_H
#define SPR_VERDICT_REACH_H

#include "base/lines.h"
#include "verdict/trial.h"

/* Everybody who can send something. Zeroed is none; they point into the model. -ENOMEM. */
struct senders {
	struct end *ends;
	size_t n;
};

int senders_find(const struct model *model, struct senders *ret);
void senders_clear(struct senders *senders);

/*
 * Who of them may use a published port of the container at a location, as verdict() says, others on its own network left
 * out: they reach it anyway. Adds their names to what is there, each once. -ENOMEM.
 */
int port_reachers(const struct model *model, const struct senders *senders, const struct location *container,
		  const struct port_binding *port, struct lines *ret);

#endif
