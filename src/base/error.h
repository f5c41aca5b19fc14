/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_ERROR_H
#define SPR_BASE_ERROR_H

#include "base/cleanup.h"

/*
 * An error that reaches a person: what was wrong, where, what to do. Functions return a negative errno and fill the
 * struct they were given, which may be NULL.
 */
struct error {
	int code; /* errno, positive */
	char text[1000];
};

/* Sets the message and returns -code, so that `return error_set(...)` reads well. */
int error_set(struct error *error, int code, const char *format, ...) _printf_(3, 4);

/* Puts "context: " before the message and returns -error->code. */
int error_wrap(struct error *error, const char *format, ...) _printf_(2, 3);

/* -ENOMEM with its message. */
int error_memory(struct error *error);

#endif
