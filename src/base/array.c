/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool array_reserve(void **items, size_t n, size_t size)
{
	size_t room = n ? n * 2 : 1;
	void *grown;

	if ((n & (n - 1)) != 0) /* 0, 1, 2, 4, 8 ...: full */
		return true;
	if (room > SIZE_MAX / size)
		return false;
	grown = realloc(*items, room * size);
	if (grown)
		*items = grown;
	return grown != NULL;
}

void *array_grow(void **items, size_t *n, size_t size)
{
	char *slot;

	if (!array_reserve(items, *n, size))
		return NULL;
	slot = (char *)*items + *n * size;
	memset(slot, 0, size);
	(*n)++;
	return slot;
}

void array_cut(void *items, size_t *n, size_t size, size_t i)
{
	char *slot = (char *)items + i * size;

	memmove(slot, slot + size, (*n - i - 1) * size);
	(*n)--;
	/*
	 * array_grow() takes a count that is a power of two for a full array and reallocates to twice the count:
	 * after a cut that is never less than what is used, so shrinking needs no more than this.
	 */
}
