/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/nearest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 64 /* longer words are not compared */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int lower(char c)
{
	return tolower((unsigned char)c);
}

/* The edits that make b of a; three rows of the table are enough. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	size_t rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= n_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *twice = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			size_t same = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;

			row[j] = least(above[j - 1] + same, least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
				row[j] = least(row[j], twice[j - 2] + 1);
		}
	}
	return rows[n_a % 3][n_b];
}

const char *nearest(const char *word, const char *const *words, size_t n)
{
	size_t length = strlen(word), best = WORD_MAX;
	const char *found = NULL;

	if (length == 0 || length > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = words[i] ? strlen(words[i]) : 0, far;

		if (other == 0 || other > WORD_MAX)
			continue;
		far = distance(word, length, words[i], other);
		if (far < best && far * 3 <= (length > other ? length : other)) {
			best = far;
			found = words[i];
		}
	}
	return found;
}
