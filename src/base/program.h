/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_PROGRAM_H
#define SPR_BASE_PROGRAM_H

#include <stddef.h>

/*
 * Runs a program of the system: no shell, nothing of our environment, bounded in time and in what it says; it ends when we
 * do. The output is the caller's to free. -ENOENT: not installed; -EIO: it failed; -E2BIG, -ETIMEDOUT.
 */
int program_run(const char *const *arguments, char **ret, size_t *ret_length);

/*
 * As above, with `input` as its standard input (NULL: nothing). Whatever it returns, *ret_said is the first line of what
 * the program said to standard error, "" without any; it may be NULL.
 */
#define PROGRAM_SAID_MAX 240
int program_feed(const char *const *arguments, const char *input, char **ret, size_t *ret_length,
		 char ret_said[PROGRAM_SAID_MAX]);

#endif
