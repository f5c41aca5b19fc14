/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_LOG_H
#define SPR_BASE_LOG_H

#include "base/cleanup.h"

/* Levels are syslog's. Program code logs, library code returns errors. */
void log_set_level(int level);

/* One line to standard error, "area: message", with the syslog prefix <N> when the journal reads it. */
void log_write(int level, const char *area, const char *format, ...) _printf_(3, 4);

#define log_error(area, ...) log_write(3, area, __VA_ARGS__)
#define log_warning(area, ...) log_write(4, area, __VA_ARGS__)
#define log_info(area, ...) log_write(6, area, __VA_ARGS__)
#define log_debug(area, ...) log_write(7, area, __VA_ARGS__)

#endif
