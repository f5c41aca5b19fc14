/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_REACH_H
#define SPR_VERDICT_REACH_H

#include "verdict/trial.h"

/* Names of who may do something: sorted, each once, the caller's. */
struct reachers {
	char **names;
	size_t n;
};

/*
 * Who may use a published port of the container at a location, as verdict() says, others on its own network left out: they
 * reach it anyway. Adds to what is there. -ENOMEM.
 */
int port_reachers(const struct model *model, const struct location *container, const struct port_binding *port,
		  struct reachers *ret);
void reachers_clear(struct reachers *reachers);

#endif
