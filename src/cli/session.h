/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_CLI_SESSION_H
#define SPR_CLI_SESSION_H

#include <stdbool.h>

/*
 * The SSH_CONNECTION this command was typed in, for the guard against locking oneself out: from the environment, or,
 * since sudo takes it away, from the environment of the processes above this one. The caller's to free; NULL without.
 */
char *session_find(void);

/* Whether a text looks like one: two addresses, each with its port. */
bool session_text_valid(const char *text);

#endif
