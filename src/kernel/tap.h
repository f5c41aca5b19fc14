/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_TAP_H
#define SPR_KERNEL_TAP_H

#include <stdbool.h>

#include "base/error.h"

/*
 * An interface whose outside is a file descriptor: what is written to it arrives there, what leaves there is read from
 * it, at once and in the caller's own time. It goes with the descriptor (close-on-exec, non-blocking). `ethernet`: with
 * frames; else with packets alone. The number is the interface's index. -EBUSY: name or number are taken.
 */
int tap_open(const char *name, unsigned index, bool ethernet, int *ret, struct error *error);

/* Whether the other end of the cable is up. */
int tap_set_carrier(int tap, bool on);

#endif
