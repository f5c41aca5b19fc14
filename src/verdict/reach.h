/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_REACH_H
#define SPR_VERDICT_REACH_H

#include "base/lines.h"
#include "verdict/trial.h"

/*
 * Who may use a published port of the container at a location, as verdict() says, others on its own network left out: they
 * reach it anyway. Adds their names to what is there, each once. -ENOMEM.
 */
int port_reachers(const struct model *model, const struct location *container, const struct port_binding *port,
		  struct lines *ret);

#endif
