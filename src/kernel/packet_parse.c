/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/packet_parse.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define IPV6_FRAGMENT_HEADER 8

static uint16_t read_u16(const uint8_t *data)
{
	return (uint16_t)(data[0] << 8 | data[1]);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void addr_take(uint8_t family, const uint8_t *data, struct addr *ret)
{
	*ret = (struct addr){ .family = family };
	memcpy(ret->bytes, data, addr_size(family));
}

/* The transport header's first bytes. */
#define TCP_FLAGS_OFFSET 13 /* RFC 9293, 3.1 */

static void packet_parse_transport(const uint8_t *data, size_t length, struct packet *packet)
{
	switch (packet->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		if (length < 4)
			return;
		packet->from_port = read_u16(data);
		packet->to_port = read_u16(data + 2);
		packet->has_ports = true;
		if (packet->proto == IPPROTO_TCP && length > TCP_FLAGS_OFFSET)
			packet->tcp_flags = data[TCP_FLAGS_OFFSET];
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (length < 2)
			return;
		packet->icmp_type = data[0];
		packet->icmp_code = data[1];
		packet->has_icmp = true;
		return;
	}
}

static int packet_parse_ipv4(const uint8_t *data, size_t length, struct packet *packet)
{
	size_t header, total;

	if (length < IPV4_HEADER)
		return -EINVAL;
	header = (size_t)(data[0] & 0x0f) * 4;
	total = read_u16(data + 2);
	if (header < IPV4_HEADER || total < header)
		return -EINVAL;
	addr_take(AF_INET, data + 12, &packet->from);
	addr_take(AF_INET, data + 16, &packet->to);
	packet->proto = data[9];
	length = smaller(length, total); /* what follows is the link's padding */
	if ((read_u16(data + 6) & 0x1fff) == 0 && length > header)
		packet_parse_transport(data + header, length - header, packet);
	return 0;
}

/* Length of an extension header, 0 for what is none. */
static size_t extension_length(uint8_t proto, const uint8_t *data)
{
	switch (proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return ((size_t)data[1] + 1) * 8;
	case IPPROTO_FRAGMENT:
		return IPV6_FRAGMENT_HEADER;
	case IPPROTO_AH:
		return ((size_t)data[1] + 2) * 4;
	default:
		return 0;
	}
}

static int packet_parse_ipv6(const uint8_t *data, size_t length, struct packet *packet)
{
	size_t payload, at = IPV6_HEADER;

	if (length < IPV6_HEADER)
		return -EINVAL;
	addr_take(AF_INET6, data + 8, &packet->from);
	addr_take(AF_INET6, data + 24, &packet->to);
	packet->proto = data[6];
	payload = read_u16(data + 4);
	if (payload) /* 0: a jumbogram, or nothing follows */
		length = smaller(length, IPV6_HEADER + payload);

	while (length - at >= 8) {
		const uint8_t *header = data + at;
		size_t size = extension_length(packet->proto, header);
		bool later = packet->proto == IPPROTO_FRAGMENT && read_u16(header + 2) & 0xfff8;

		if (size == 0)
			break;
		if (size > length - at)
			return 0; /* cut off inside it: what comes next is not known */
		packet->proto = header[0];
		at += size;
		if (later)
			return 0;
	}
	packet_parse_transport(data + at, length - at, packet);
	return 0;
}

int packet_parse(const uint8_t *data, size_t length, struct packet *ret)
{
	struct packet packet = { 0 };
	int r = -EINVAL;

	if (length > 0 && data[0] >> 4 == 4)
		r = packet_parse_ipv4(data, length, &packet);
	else if (length > 0 && data[0] >> 4 == 6)
		r = packet_parse_ipv6(data, length, &packet);
	if (r < 0)
		return r;
	*ret = packet;
	return 0;
}
