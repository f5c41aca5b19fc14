/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_DROPLOG_H
#define SPR_KERNEL_DROPLOG_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/addr.h"
#include "base/error.h"

struct droplog;

/* A packet that was dropped, as the kernel logged it. */
struct drop {
	struct timespec time;
	char reason[32]; /* the log prefix without "spr:" */
	unsigned in, out; /* interface indexes; 0 for none */
	struct addr from, to;
	uint8_t proto;
	bool has_ports;
	uint16_t from_port, to_port;
	uint8_t icmp_type; /* of ICMP and ICMPv6 */
	uint8_t tcp_flags; /* of TCP, where they were not cut off */
	const uint8_t *payload; /* the packet from its network header, for tests; valid in the callback */
	size_t length;
};

/* Binds to an NFLOG group; `each` is called from droplog_read(). Packets that do not parse are skipped. */
int droplog_open(uint16_t group, void (*each)(const struct drop *drop, void *data), void *data, struct droplog **ret,
		 struct error *error);
int droplog_fd(const struct droplog *droplog);
int droplog_read(struct droplog *droplog);
struct droplog *droplog_close(struct droplog *droplog);

#endif
