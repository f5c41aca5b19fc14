/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_TEXT_H
#define SPR_BASE_TEXT_H

#include <stdbool.h>

#include "base/cleanup.h"

/*
 * Text that is put together piece by piece. Zeroed is empty. In place of open_memstream(), which drops a piece without a
 * word when there is no memory for it (glibc: neither ferror() nor fclose() tell).
 */
struct text {
	char *bytes;
	size_t used, room;
	bool failed; /* a piece is missing; nothing is added any more */
};

void text_add(struct text *text, const char *format, ...) _printf_(2, 3);
/* The whole text, the caller's to free; NULL when a piece is missing or nothing was added. It is empty afterwards. */
char *text_take(struct text *text);

#endif
