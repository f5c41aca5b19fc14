/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_LINES_H
#define SPR_BASE_LINES_H

#include "base/cleanup.h"

/* Texts of its own. Zeroed is empty. */
struct lines {
	char **text;
	size_t n;
};

/* Takes the text over, also when it fails; NULL is one that there was no memory for. -ENOMEM. */
int lines_add(struct lines *lines, char *text);
/* In the order of strcmp(), each once. */
void lines_sort(struct lines *lines);
void lines_clear(struct lines *lines);

#endif
