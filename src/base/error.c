/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list args;

	if (!error)
		return -code;
	error->code = code;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -code;
}

int error_wrap(struct error *error, const char *format, ...)
{
	char before[sizeof(error->text)];
	size_t used;
	va_list args;

	if (!error)
		return -EINVAL;
	memcpy(before, error->text, sizeof(before));
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	used = strlen(error->text);
	snprintf(error->text + used, sizeof(error->text) - used, ": %.*s", (int)(sizeof(before) - 1), before);
	return -error->code;
}

int error_memory(struct error *error)
{
	return error_set(error, ENOMEM, "not enough memory");
}
