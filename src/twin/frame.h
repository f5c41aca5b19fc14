/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TWIN_FRAME_H
#define SPR_TWIN_FRAME_H

#include <stdbool.h>

#include "base/addr.h"

/* A packet to be made, with all that is in its headers. */
struct frame {
	uint8_t to_mac[6], from_mac[6]; /* groups and broadcasts have their own MAC to go to */
	struct addr from, to;
	uint8_t proto, hop_limit;
	uint16_t from_port, to_port;
	uint8_t icmp_type;
	uint16_t icmp_id;
	uint32_t sequence, acknowledged; /* TCP */
	uint8_t tcp_flags;
	uint32_t number; /* in the header: IPv4 identification, IPv6 flow label. It stays when the packet is forwarded */
	bool bad_sum;
	bool source_routed; /* IPv4: an LSRR option; IPv6: a routing header of type 0 */
	struct addr hop; /* that the option names; family 0: just some one */
	const struct frame *about; /* what an ICMP error quotes: addresses and ports as that packet had them */
};

#define FRAME_MAX 512
#define FRAME_SYN 0x02
#define FRAME_ACK 0x10

/* Writes it with its Ethernet header and honest checksums; returns its length. */
size_t frame_build(const struct frame *frame, uint8_t buffer[FRAME_MAX]);

#endif
