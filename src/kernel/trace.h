/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_TRACE_H
#define SPR_KERNEL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct trace;

enum trace_kind {
	TRACE_RULE, /* a rule that matched */
	TRACE_RETURN, /* the end of a chain that was jumped to */
	TRACE_POLICY, /* the end of a base chain */
};

#define TRACE_NAME_MAX 64 /* longer names are cut */

/* A place that a packet passed, or where it ended. */
struct trace_step {
	enum trace_kind kind;
	bool legacy; /* of iptables-legacy: no verdict is told */
	uint8_t family; /* NFPROTO_* of the table */
	char table[TRACE_NAME_MAX], chain[TRACE_NAME_MAX];
	uint64_t rule; /* its handle; legacy: its number in the chain, from 1 */
	bool drop; /* it ended here */
	bool accept; /* a rule let it out of its base chain; legacy: not told */
};

/*
 * Follows the packets of this network namespace that have nftrace set. The steps of one packet come in their order, and
 * those of a packet that was taken by write() or send() are there when that returns.
 */
int trace_open(struct trace **ret, struct error *error);
struct trace *trace_close(struct trace *trace);
int trace_fd(const struct trace *trace);

/* Calls `each` for all steps that are there. -ENOBUFS: some were lost. */
int trace_read(struct trace *trace, void (*each)(const struct trace_step *step, void *data), void *data);

/* Whether iptables-legacy tells its steps too. */
bool trace_has_legacy(const struct trace *trace);

#endif
