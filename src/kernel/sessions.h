/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_SESSIONS_H
#define SPR_KERNEL_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

struct flow;
struct port_bits;

/*
 * Calls `each` for every TCP session that this machine serves: one that is established at a port it listens on, as a
 * flow from the client. For what was open before connection tracking was. A negative return of `each` ends it and is
 * returned. Read from /proc/net/tcp and tcp6 (proc(5)) of this network namespace.
 */
int sessions_each(int (*each)(const struct flow *flow, void *data), void *data, struct error *error);

/* Whether this machine has any open TCP connection with another one. */
bool sessions_any(void);

/* Whether this machine has an open TCP connection from `from` to `to` of the flow. */
bool sessions_have(const struct flow *flow);

/* Calls `each` for every socket of this machine that waits for others: TCP and UDP. A negative return ends it. */
struct listener {
	uint8_t proto;
	struct addr addr; /* 0.0.0.0 and :: for all; the latter takes IPv4 too, as far as can be told */
	uint16_t port;
};
int sessions_listeners(int (*each)(const struct listener *listener, void *data), void *data, struct error *error);

/* The ports that this machine's sockets wait on, TCP and UDP alike. Read from /proc/net. */
int sessions_ports(struct port_bits *ret, struct error *error);

/* The range that the machine takes its own source ports from (net.ipv4.ip_local_port_range), and Docker those of `-P`. */
void sessions_own_ports(uint16_t *ret_first, uint16_t *ret_last);

#endif
