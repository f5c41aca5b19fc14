/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/lines.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"

int lines_add(struct lines *lines, char *text)
{
	char **slot = text ? ARRAY_ADD(lines->text, lines->n) : NULL;

	if (!slot) {
		free(text);
		return -ENOMEM;
	}
	*slot = text;
	return 0;
}

static int line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void lines_sort(struct lines *lines)
{
	size_t kept = 0;

	if (lines->n == 0)
		return;
	qsort(lines->text, lines->n, sizeof(*lines->text), line_compare);
	for (size_t i = 1; i < lines->n; i++) {
		if (strcmp(lines->text[kept], lines->text[i]) == 0)
			free(lines->text[i]);
		else
			lines->text[++kept] = lines->text[i];
	}
	lines->n = kept + 1;
}

void lines_clear(struct lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->text[i]);
	free(lines->text);
	*lines = (struct lines){ 0 };
}
