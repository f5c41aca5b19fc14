/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_POLICY_NEAREST_H
#define SPR_POLICY_NEAREST_H

#include <stddef.h>

/*
 * The word of the list that `word` was most likely meant to be, or NULL when none is near: at most a third of the
 * letters differ. Case does not count. Swapped neighbours are one mistake (Damerau's distance, restricted).
 */
const char *nearest(const char *word, const char *const *words, size_t n);

#endif
