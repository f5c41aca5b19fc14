/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_QUESTION_H
#define SPR_VERDICT_QUESTION_H

#include "verdict/verdict.h"

/* One end of a question: who, and an address of theirs to ask with. */
struct end {
	const struct location *location; /* NULL: nobody known is there */
	struct addr addr;
};

/* An address of a location: one that people know where the whole internet is meant. */
struct addr location_address(const struct location *location);

/* The first packet of a connection from one end to the other. This machine is asked at its address on the way in. */
void question_packet(const struct model *model, const struct end *from, const struct end *to,
		     const struct port_range *port, struct packet *ret);

/* What became of a test of the policy. */
struct test_result {
	size_t n_pairs; /* that are there now and were tried: 0 says nothing */
	bool failed; /* then the rest says with which pair */
	struct end from, to;
	struct decision decision;
};

/* Tries a test with each of those it names, one of each kind. -ENOMEM. */
int model_test(const struct model *model, const struct test *test, struct test_result *ret);

#endif
