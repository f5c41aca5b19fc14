/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_SPOTS_H
#define SPR_BASE_SPOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A table of places in an array, found by the hashes of keys that are only in the array: each place stands at its hash or,
 * where that is taken, behind it without a gap. Two may have one hash: whoever looks for a key compares it himself.
 * Empty is all zero.
 */

#define SPOT_NOWHERE UINT32_MAX

struct spot {
	uint32_t slot; /* in the array; SPOT_NOWHERE: free */
	uint32_t hash;
};

struct spots {
	struct spot *items;
	size_t room, n; /* room: a power of two, a third of it free at least */
};

void spots_clear(struct spots *spots);
/* False without memory: all stays as it is then. */
bool spots_add(struct spots *spots, uint32_t hash, uint32_t slot);
/* The first place of the hash, or the next one after another; NULL without. */
struct spot *spots_find(const struct spots *spots, uint32_t hash, const struct spot *after);
void spots_cut(struct spots *spots, struct spot *spot);

uint32_t spots_hash(const void *key, size_t length);

#endif
