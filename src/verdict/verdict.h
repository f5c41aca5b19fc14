/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_VERDICT_H
#define SPR_VERDICT_VERDICT_H

#include "verdict/model.h"

/* Where a packet stands in the connection table. */
enum flow_state {
	FLOW_NONE, /* the first of its flow */
	FLOW_ORIGINAL, /* a later one, of the side that opened it */
	FLOW_REPLY, /* of the other side */
	FLOW_ERROR, /* an ICMP error about a flow */
	FLOW_INVALID,
};

struct packet {
	const char *in; /* interface */
	const char *out; /* interface; "" for this machine */
	struct addr from;
	struct addr dialled; /* destination on the wire */
	struct addr to; /* destination after DNAT; the same without */
	uint8_t proto;
	uint16_t from_port;
	uint16_t dialled_port; /* 0 where the protocol has no ports */
	uint16_t to_port;
	uint8_t icmp_type;
	uint8_t hop_limit;
	uint8_t tcp_flags;
	bool source_routed;
	enum flow_state flow;
	/* of FLOW_REPLY: what the flow's first packet dialled */
	struct addr opened;
	uint16_t opened_port;
};

struct decision {
	bool accept;
	enum reason reason; /* REASON_NONE when accepted */
	const struct right *right; /* what decided, where a right or a block did; in the model */
	const struct location *from, *to; /* where known */
	const struct member *publisher; /* the entry that publishes it, where that decided */
	bool left_alone; /* accepted because it is none of spr's business: the machine's own rules decide */
};

/*
 * The pure truth: what the kernel does with this packet under the model's ruleset. Reverse path and local addresses are
 * taken from the inventory's main routing table. Limits, ended flows and the grace of the first activation are not part
 * of it.
 */
void verdict(const struct model *model, const struct packet *packet, struct decision *ret);

/* The right between two classes for a port, denials first; NULL when there is none. */
const struct right *class_right(const struct model *model, uint32_t from, uint32_t target, uint8_t proto,
				uint16_t port);

/* The right of a class to a front, NULL when there is none. */
const struct right *front_right(const struct model *model, uint32_t from, uint32_t front);

/* True when the right covers the port; what it leads to is not asked. */
bool right_covers(const struct right *right, uint8_t proto, uint16_t port);

#endif
