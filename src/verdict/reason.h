/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_REASON_H
#define SPR_VERDICT_REASON_H

/* Why a packet was dropped. The ids are stable: they stand in logs, answers and chain names ("drop-" + id). */
enum reason {
	REASON_NONE, /* accepted */
	REASON_LOOPBACK,
	REASON_SOURCE_ROUTE,
	REASON_BROADCAST,
	REASON_SPOOFED,
	REASON_UNKNOWN_SOURCE,
	REASON_DISABLED,
	REASON_OTHER_INTERFACE,
	REASON_ENDED,
	REASON_INVALID,
	REASON_NO_FLOW,
	REASON_UNKNOWN_TARGET,
	REASON_BLOCKED,
	REASON_NO_GRANT,
	REASON_FLOW_LIMIT,
	REASON_LOCAL_USER,
	_REASON_MAX,
	_REASON_INVALID = -22,
};

struct reason_info {
	const char *id; /* also the log prefix, after "spr:" */
	const char *sentence;
	const char *fix; /* what to type, or to look at, to let it through; may hold FROM, TO and PORT */
};

const struct reason_info *reason_info(enum reason reason);
enum reason reason_from_id(const char *id); /* _REASON_INVALID for an unknown one */

#endif
