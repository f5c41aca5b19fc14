/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/spots.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

void spots_clear(struct spots *spots)
{
	free(spots->items);
	*spots = (struct spots){ 0 };
}

struct spot *spots_find(const struct spots *spots, uint32_t hash, const struct spot *after)
{
	size_t i = after ? (size_t)(after - spots->items) + 1 : hash;
	struct spot *spot;

	if (!spots->room)
		return NULL;
	do
		spot = &spots->items[i++ & (spots->room - 1)];
	while (spot->slot != SPOT_NOWHERE && spot->hash != hash);
	return spot->slot != SPOT_NOWHERE ? spot : NULL;
}

/* Where there is room. */
static void set(struct spots *spots, struct spot spot)
{
	size_t i = spot.hash, mask = spots->room - 1;

	while (spots->items[i & mask].slot != SPOT_NOWHERE)
		i++;
	spots->items[i & mask] = spot;
	spots->n++;
}

/* Makes room for one more. */
static bool reserve(struct spots *spots)
{
	struct spots wider = { .room = spots->room ? 2 * spots->room : 8 };

	if (3 * (spots->n + 1) <= 2 * spots->room)
		return true;
	wider.items = malloc(wider.room * sizeof(*wider.items));
	if (!wider.items)
		return false;
	for (size_t i = 0; i < wider.room; i++)
		wider.items[i].slot = SPOT_NOWHERE;
	for (size_t i = 0; i < spots->room; i++)
		if (spots->items[i].slot != SPOT_NOWHERE)
			set(&wider, spots->items[i]);
	free(spots->items);
	*spots = wider;
	return true;
}

bool spots_add(struct spots *spots, uint32_t hash, uint32_t slot)
{
	if (slot == SPOT_NOWHERE || !reserve(spots))
		return false;
	set(spots, (struct spot){ slot, hash });
	return true;
}

/* Those behind it move up, so that none has a gap before it; but none to before its hash. */
void spots_cut(struct spots *spots, struct spot *spot)
{
	size_t mask = spots->room - 1, gap = (size_t)(spot - spots->items);

	for (size_t i = (gap + 1) & mask; spots->items[i].slot != SPOT_NOWHERE; i = (i + 1) & mask) {
		if (((i - spots->items[i].hash) & mask) < ((i - gap) & mask))
			continue;
		spots->items[gap] = spots->items[i];
		gap = i;
	}
	spots->items[gap].slot = SPOT_NOWHERE;
	spots->n--;
}

uint32_t spots_hash(const void *key, size_t length)
{
	unsigned hash;

	HASH_VALUE(key, length, hash);
	return hash;
}
