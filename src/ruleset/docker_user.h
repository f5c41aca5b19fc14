/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_RULESET_DOCKER_USER_H
#define SPR_RULESET_DOCKER_USER_H

#include <stdbool.h>

/*
 * Our rule in Docker's chain DOCKER-USER: it accepts what has our mark. It stands behind those that the chain's users put
 * there, and before the RETURN that Docker puts last: what they drop stays dropped.
 */
#define DOCKER_USER_CHAIN "DOCKER-USER"
#define DOCKER_USER_MARK_MAX 32

struct docker_user_place {
	unsigned ours; /* number of our rule, 0 without */
	unsigned end; /* where it belongs: before the first bare RETURN, or behind the last rule */
	bool right; /* it is there */
};

/* As iptables lists it: "0x8000000/0x8000000". Returns the buffer. */
const char *docker_user_mark(char buffer[DOCKER_USER_MARK_MAX]);

/* From what `iptables -S DOCKER-USER` says; the text is cut to pieces. */
struct docker_user_place docker_user_find(char *listing);

#endif
