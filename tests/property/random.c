/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "property.h"

/* xorshift64*, S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2014). */
static uint64_t state = 1;

void random_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15u + 0x1234567;
	for (int i = 0; i < 8; i++)
		random_below(2);
}

uint32_t random_below(uint32_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1du) >> 32) % n;
}

bool random_percent(unsigned percent)
{
	return random_below(100) < percent;
}
