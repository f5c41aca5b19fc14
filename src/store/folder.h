/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_STORE_FOLDER_H
#define SPR_STORE_FOLDER_H

#include <stddef.h>

#include "base/error.h"

/* Files of a folder that is held open. Results are 0 or a negative errno. */

/* Makes the folder, mode 0700, and those above it, mode 0755; opens it. The descriptor, or a negative errno. */
int folder_open(const char *path);
/* -EBUSY: somebody else has the lock. The descriptor that holds it, or a negative errno. */
int folder_lock(int folder, const char *name);

/* The whole file with a NUL after it; the caller's. -E2BIG over 17 MiB. */
int folder_read(int folder, const char *name, char **ret, size_t *ret_length);
/* A new file beside the old one takes its name when it is whole on the disk. */
int folder_replace(int folder, const char *name, const char *text);
/* That it is not there is no error. Durable when it returns 0. */
int folder_remove(int folder, const char *name);

#endif
