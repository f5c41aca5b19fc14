/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_RULESET_COMPILE_H
#define SPR_RULESET_COMPILE_H

#include "base/error.h"
#include "ruleset/ruleset.h"

struct model;

struct compile_options {
	uint32_t epoch; /* of the set of connections that were let through, see ruleset_renew() */
	bool log_all; /* tests: no limit on the log of drops */
};

/* Makes the ruleset that enforces the model. The result stands alone. -ENOMEM; -E2BIG over COMPILE_RANGES_MAX ranges. */
int ruleset_compile(const struct model *model, const struct compile_options *options, struct ruleset **ret,
		    struct error *error);

/* The chains that are the same on every machine; used by ruleset_compile(). */
int chains_fill(struct ruleset *ruleset, const struct model *model, const struct compile_options *options);

/* The chains and sets of each class, and those of the ranges behind each interface. */
int put_classes(struct ruleset *ruleset, const struct model *model);
int put_ranges(struct ruleset *ruleset, const struct model *model);

/*
 * Run-time sets: who may not open an ended flow from its other side (addresses, protocol, source port); ended flows with
 * this machine itself (both ports too), whose answers would open them again; protocols in their first grace.
 */
#define SET_CUT4 "cut4"
#define SET_CUT6 "cut6"
#define SET_ENDED4 "ended4"
#define SET_ENDED6 "ended6"
#define SET_GRACE "grace"

/* How long an ended flow stays silent: counted anew with each packet that tries. */
#define ENDED_SECONDS 3600
/* How long a connection is known as let through, before it is judged in full again. */
#define PASSED_SECONDS 60

#define LOG_GROUP 5391
#define LOG_PREFIX "spr:"
#define DROP_CHAIN_PREFIX "drop-"

/*
 * The bit of the packet mark that tells Docker's forward chain that spr accepted, from our forward hook to
 * postrouting, where it is cleared again.
 */
#define ACCEPT_BIT 0x08000000u

#define COMPILE_RANGES_MAX 16384

#endif
