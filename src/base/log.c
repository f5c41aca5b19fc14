/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static int log_level = 6;

void log_set_level(int level)
{
	log_level = level;
}

void log_write(int level, const char *area, const char *format, ...)
{
	char line[2000];
	va_list args;

	if (level > log_level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s: %s\n", level, area, line);
	else
		fprintf(stderr, "%s: %s\n", area, line);
}
