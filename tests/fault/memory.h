/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TESTS_MEMORY_H
#define SPR_TESTS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Takes the place of malloc() and its kin for the whole program, libraries and libc included, and lets a chosen call
 * fail. What the sanitizers and libc have is used underneath. For one thread.
 */

/* From now on calls are counted, and the call number `at` (from 1) fails; `on`: and all after it. 0: none. */
void memory_arm(unsigned at, bool on);
/* Ends that. Returns how many calls there were; *ret_failed, when not NULL, how many of them failed. */
unsigned memory_disarm(unsigned *ret_failed);
/* In between: neither counted nor failing. */
void memory_pause(void);
void memory_resume(void);
/* How many pieces of memory are held now. */
long memory_held(void);

#endif
