/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_STORE_STORE_H
#define SPR_STORE_STORE_H

#include <stdbool.h>

#include "base/error.h"

/* What outlives the daemon: the policy in force, as YAML, and whether it is enforced. Files in one folder. */
struct store;

/* Makes the folder (mode 0700) when it is missing, and locks it: -EBUSY when another sprd has it. */
int store_open(const char *folder, struct store **ret, struct error *error);
struct store *store_close(struct store *store);

/* The saved policy's text, the caller's to free; -ENOENT when none was ever saved. */
int store_read_policy(struct store *store, char **ret, size_t *ret_length, struct error *error);

/* Durable when it returns 0; on an error the one before stands. */
int store_write_policy(struct store *store, const char *text, struct error *error);

bool store_active(const struct store *store);
int store_set_active(struct store *store, bool active, struct error *error);

/* Where the policy is, for messages. */
const char *store_policy_path(const struct store *store);

#endif
