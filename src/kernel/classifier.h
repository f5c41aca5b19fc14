/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_CLASSIFIER_H
#define SPR_KERNEL_CLASSIFIER_H

#include <stdbool.h>

#include "kernel/nlsocket.h"

/*
 * A BPF program at an interface, by tc: clsact, where packets arrive or leave. Beside those of others, and after them;
 * one that is there by the same place is replaced. `socket` is of NETLINK_ROUTE. Results are 0 or a negative errno.
 */
enum classifier_side { CLASSIFIER_ARRIVING, CLASSIFIER_LEAVING };

/* Makes room for programs; *ret_made says whether there was none. -EEXIST: another queueing discipline has the place. */
int classifier_prepare(struct nlsocket *socket, unsigned interface, bool *ret_made);
int classifier_attach(struct nlsocket *socket, unsigned interface, enum classifier_side side, int program,
		      const char *name);
/* Whether there was one; that there is none, or no interface, is no error. */
int classifier_detach(struct nlsocket *socket, unsigned interface, enum classifier_side side);
/* Both sides, and the room where it holds nothing else then: what somebody who was killed has left. */
int classifier_sweep(struct nlsocket *socket, unsigned interface);
/* Takes the room away, unless it holds programs of others. */
int classifier_clear(struct nlsocket *socket, unsigned interface);

#endif
