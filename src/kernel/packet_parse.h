/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_PACKET_PARSE_H
#define SPR_KERNEL_PACKET_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* What the start of a packet says. Ports and ICMP type are 0 where there are none, or they were cut off. */
struct packet {
	struct addr from, to;
	uint8_t proto; /* IPv6: after the extension headers, as far as they are there */
	bool has_ports, has_icmp;
	uint16_t from_port, to_port; /* host order */
	uint8_t icmp_type, icmp_code;
	uint8_t tcp_flags; /* 0 where they were cut off: no packet has none */
};

/*
 * Reads a packet from its network header on: IPv4 with options (RFC 791), IPv6 with extension headers (RFC 8200). It
 * may be cut off anywhere behind the addresses; a fragment other than the first has no ports. -EINVAL for what is
 * neither, is cut before, or contradicts itself.
 */
int packet_parse(const uint8_t *data, size_t length, struct packet *ret);

#endif
