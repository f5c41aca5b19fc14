/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NEIGHBOUR_H
#define SPR_KERNEL_NEIGHBOUR_H

#include "base/addr.h"
#include "base/error.h"

struct nlsocket;

/*
 * Forgets who has an address behind an interface, and with it the packets that wait for the answer (up to 256 on a usual
 * machine: they were judged already). What somebody set by hand stays. That nothing is known of it is no error.
 */
int neighbour_forget(struct nlsocket *socket, unsigned interface, const struct addr *addr, struct error *error);

#endif
