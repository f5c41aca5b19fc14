/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DAEMON_WATCH_H
#define SPR_DAEMON_WATCH_H

#include "base/error.h"

struct daemon;

/* The handles of the loop that follow the kernel, the clock and signals. */
int watch_start(struct daemon *daemon, struct error *error);
void watch_stop(struct daemon *daemon);

#endif
