/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DAEMON_SANDBOX_PRIVATE_H
#define SPR_DAEMON_SANDBOX_PRIVATE_H

#include "daemon/sandbox.h"

/* Each returns 0, or a negative errno with the reason; -EOPNOTSUPP when the kernel has no such thing. */
int sandbox_landlock(const struct sandbox_profile *profile, struct error *error);
int sandbox_seccomp(const struct sandbox_profile *profile, struct error *error);

#endif
