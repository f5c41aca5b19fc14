/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TWIN_TWIN_H
#define SPR_TWIN_TWIN_H

#include "base/error.h"
#include "kernel/packet_parse.h"
#include "kernel/trace.h"

/*
 * The twin: a network namespace without a name that is like the one that the caller is in, with its interfaces, addresses,
 * routes, neighbours, settings and everybody's rules. Frames are put in at the outside of an interface, and come out
 * where they would come out of the machine. Nothing of the machine is changed. The twin lives in descriptors of this
 * process and ends with it, however that ends. Connections that are open on the machine are not in it.
 */
struct twin;

/* What it has of our own tables: those that the machine has, none, or others. */
struct twin_options {
	bool without_spr;
	const char *candidate; /* a table of ours as nft text, instead of the machine's; with our rule in DOCKER-USER */
};

/*
 * For a process with one thread: while the twin is made, the caller is in it. -EPERM without root. A twin that lacks
 * something says so in its notes.
 */
int twin_open(const struct twin_options *options, struct twin **ret, struct error *error);
struct twin *twin_close(struct twin *twin);
DEFINE_CLEANUP(struct twin *, twin_close)

/* Sentences about what is another on the machine than here. */
size_t twin_notes(const struct twin *twin, const char *const **ret);

/* Where a frame came out. */
struct twin_exit {
	unsigned interface;
	struct packet packet; /* as it was then: after NAT */
};

#define TWIN_EXITS_MAX 16
#define TWIN_ACCEPTS_MAX 16

enum twin_end {
	TWIN_PASSED, /* it came out, or arrived at this machine */
	TWIN_RULE, /* a rule or the policy of a chain took it: `step` */
	TWIN_KERNEL, /* the kernel itself, after `step`: no route, a source that cannot be, no such neighbour ... */
	TWIN_DOWN, /* the interface does not run */
};

struct twin_result {
	enum twin_end end;
	bool local; /* it arrived at this machine, behind all rules */
	struct twin_exit exits[TWIN_EXITS_MAX];
	size_t n_exits;
	struct trace_step step; /* the last one that is known; chain "" for none */
	struct trace_step
		accepts[TWIN_ACCEPTS_MAX]; /* rules that accepted it, each the rest of a base chain, in its order */
	size_t n_accepts;
	bool lost; /* steps are missing: the kernel had no room for them */
};

/*
 * Puts a frame (with its Ethernet header, also where the interface has none) in at an interface, or, at a bridge, at the
 * port behind which its source is, or the first. A neighbour that nobody has asked for yet is taken to be there. -EINVAL: no such interface.
 */
int twin_shoot(struct twin *twin, unsigned interface, const uint8_t *frame, size_t length, struct twin_result *ret);

/* Forgets all connections, so that the next frame begins anew. */
int twin_forget(struct twin *twin, struct error *error);

/*
 * Where a dropped packet ended, for people: "table ip filter, chain FORWARD, rule 3: -A FORWARD ... -j DROP", or what the
 * kernel did. The caller's to free, NULL without memory.
 */
char *twin_say_end(const struct twin *twin, const struct twin_result *result);

/* A rule, as the tool of its table shows it. Borrowed from the twin, until a rule is taken out. */
struct twin_rule {
	const char *family, *table, *chain; /* "ip", "filter", "FORWARD" */
	const char *text; /* "-A FORWARD -i eth0 -j ACCEPT", or as nft lists it */
	bool legacy; /* of iptables-legacy */
};
/* False for a step that is no rule, or one whose text is not known. */
bool twin_rule_of(const struct twin *twin, const struct trace_step *step, struct twin_rule *ret);

/* Takes a rule out of the twin, so that the next frame shows what it did. The machine keeps it. */
int twin_take_out(struct twin *twin, const struct trace_step *step, struct error *error);

/* The name of an interface of the machine; "?" for none. */
const char *twin_interface_name(const struct twin *twin, unsigned interface);
/* Its MAC, to send to; false where there is no such interface. */
bool twin_interface_mac(const struct twin *twin, unsigned interface, uint8_t ret[6]);

#endif
