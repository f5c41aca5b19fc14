/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BENCH_GIVEN_H
#define SPR_BENCH_GIVEN_H

#include "../tests/unit/world.h"

/* A machine and a policy that are given as two files, still without a model. What cannot be read ends the program. */
struct world given_world(const char *machine, const char *yaml);

/* Ends the program with what went wrong. */
void must(int r, const struct error *error);

#endif
