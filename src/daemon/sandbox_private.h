/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DAEMON_SANDBOX_PRIVATE_H
#define SPR_DAEMON_SANDBOX_PRIVATE_H

#include "daemon/sandbox.h"

/*
 * Each returns 0, or a negative errno with the reason; -EOPNOTSUPP when there is no such thing here. `most` is the version of landlock above which nothing is used, for tests: 1 is that of Linux 5.13.
 */
int sandbox_landlock(const struct sandbox_profile *profile, int most, struct error *error);
int sandbox_seccomp(const struct sandbox_profile *profile, struct error *error);

#endif
