/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_ARRAY_H
#define SPR_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A growable array is a pointer and a count, `T *things; size_t n_things;`. The capacity is not stored: it is the
 * count rounded up to a power of two, so an array that only grows is reallocated at each power.
 */

/* Makes room for one more and returns it zeroed, or NULL when there is no memory; the array is untouched then. */
void *array_grow(void **items, size_t *n, size_t size);

#define ARRAY_ADD(items, n) ((__typeof__(items))array_grow((void **)&(items), &(n), sizeof(*(items))))

/* Makes room for one more behind the n that are there, and leaves the count. False without memory. */
bool array_reserve(void **items, size_t n, size_t size);

/* Takes item i out, moving those after it down. The memory stays. */
void array_cut(void *items, size_t *n, size_t size, size_t i);

#define ARRAY_CUT(items, n, i) array_cut((items), &(n), sizeof(*(items)), (i))

#endif
