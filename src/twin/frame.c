/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "twin/frame.h"

#include <netinet/in.h>
#include <string.h>

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

static uint32_t sum(uint32_t start, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		start += (uint32_t)(data[i] << 8 | data[i + 1]);
	if (length % 2)
		start += (uint32_t)(data[length - 1] << 8);
	return start;
}

static uint16_t fold(uint32_t value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return (uint16_t)~value;
}

static bool is_six(const struct frame *frame)
{
	return frame->from.family == AF_INET6;
}

static uint16_t transport_sum(const struct frame *frame, const uint8_t *data, size_t length)
{
	size_t size = addr_size(frame->from.family);
	uint32_t start = 0;

	if (frame->proto != IPPROTO_ICMP) {
		start = sum(start, frame->from.bytes, size);
		start = sum(start, frame->to.bytes, size);
		start += frame->proto + (uint32_t)length;
	}
	return fold(sum(start, data, length));
}

static size_t put_tcp(const struct frame *frame, uint8_t *at)
{
	put16(at, frame->from_port);
	put16(at + 2, frame->to_port);
	put32(at + 4, frame->sequence);
	put32(at + 8, frame->acknowledged);
	at[12] = 5 << 4;
	at[13] = frame->tcp_flags;
	put16(at + 14, 8192);
	put16(at + 16, 0);
	put16(at + 18, 0);
	put16(at + 16, transport_sum(frame, at, 20));
	if (frame->bad_sum)
		at[16] ^= 0x5a;
	return 20;
}

static size_t put_udp(const struct frame *frame, uint8_t *at)
{
	uint16_t check;

	put16(at, frame->from_port);
	put16(at + 2, frame->to_port);
	put16(at + 4, 12);
	put16(at + 6, 0);
	memcpy(at + 8, (uint8_t[]){ 's', 'p', 'r', '?' }, 4);
	check = transport_sum(frame, at, 12);
	put16(at + 6, check ? check : 0xffff);
	if (frame->bad_sum) /* 0 would say that there is none, which is right too */
		put16(at + 6, check ^ (check == 0x5a00 ? 0x5b00 : 0x5a00));
	return 12;
}

static size_t put_ip(const struct frame *frame, uint32_t number, bool option, size_t length, uint8_t *at);

/* The first bytes of the packet that an ICMP error is about. */
static size_t put_quote(const struct frame *frame, uint8_t *at)
{
	const struct frame *about = frame->about;
	size_t start = put_ip(about, 77, false, 8, at);

	memset(at + start, 0, 8);
	if (about->proto == IPPROTO_ICMP || about->proto == IPPROTO_ICMPV6) {
		at[start] = about->icmp_type;
		put16(at + start + 4, about->icmp_id);
	} else {
		put16(at + start, about->from_port);
		put16(at + start + 2, about->to_port);
	}
	return start + 8;
}

static size_t put_icmp(const struct frame *frame, uint8_t *at)
{
	size_t length = 8;

	memset(at, 0, 64);
	at[0] = frame->icmp_type;
	if (frame->about) {
		length += put_quote(frame, at + 8);
	} else {
		put16(at + 4, frame->icmp_id);
		put16(at + 6, 1);
		length += 24; /* enough for the neighbour messages too */
	}
	put16(at + 2, transport_sum(frame, at, length));
	if (frame->bad_sum)
		at[2] ^= 0x5a;
	return length;
}

static size_t put_transport(const struct frame *frame, uint8_t *at)
{
	switch (frame->proto) {
	case IPPROTO_TCP:
		return put_tcp(frame, at);
	case IPPROTO_UDP:
		return put_udp(frame, at);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return put_icmp(frame, at);
	default:
		memset(at, 0, 16);
		return 16;
	}
}

#define IPOPT_LSRR 131

static size_t put_ip4(const struct frame *frame, uint32_t number, bool option, size_t length, uint8_t *at)
{
	size_t header = option ? 28 : 20;

	memset(at, 0, header);
	at[0] = (uint8_t)(0x40 | header / 4);
	put16(at + 2, (uint16_t)(header + length));
	put16(at + 4, (uint16_t)number);
	at[8] = frame->hop_limit;
	at[9] = frame->proto;
	memcpy(at + 12, frame->from.bytes, 4);
	memcpy(at + 16, frame->to.bytes, 4);
	if (option)
		memcpy(at + 20, (uint8_t[]){ IPOPT_LSRR, 7, 4, 172, 30, 1, 10, 0 }, 8);
	if (option && frame->hop.family == AF_INET)
		memcpy(at + 23, frame->hop.bytes, 4);
	put16(at + 10, fold(sum(0, at, header)));
	return header;
}

/* A routing header of type 0 with no segments left. */
static size_t put_ip6(const struct frame *frame, uint32_t number, bool option, size_t length, uint8_t *at)
{
	size_t header = option ? 48 : 40;

	memset(at, 0, header);
	put32(at, 6u << 28 | (number & 0xfffff));
	put16(at + 4, (uint16_t)(header - 40 + length));
	at[6] = option ? IPPROTO_ROUTING : frame->proto;
	at[7] = frame->hop_limit;
	memcpy(at + 8, frame->from.bytes, 16);
	memcpy(at + 24, frame->to.bytes, 16);
	if (option)
		at[40] = frame->proto;
	return header;
}

static size_t put_ip(const struct frame *frame, uint32_t number, bool option, size_t length, uint8_t *at)
{
	return (is_six(frame) ? put_ip6 : put_ip4)(frame, number, option, length, at);
}

static void put_ethernet(const struct frame *frame, uint8_t *at)
{
	const uint8_t *to = frame->to.bytes;

	memcpy(at, frame->to_mac, 6);
	if (is_six(frame) && to[0] == 0xff)
		memcpy(at, (uint8_t[]){ 0x33, 0x33, to[12], to[13], to[14], to[15] }, 6);
	else if (!is_six(frame) && to[0] == 255)
		memset(at, 0xff, 6);
	else if (!is_six(frame) && to[0] >> 4 == 14)
		memcpy(at, (uint8_t[]){ 1, 0, 0x5e, to[1] & 0x7f, to[2], to[3] }, 6);
	memcpy(at + 6, frame->from_mac, 6);
	put16(at + 12, is_six(frame) ? 0x86dd : 0x0800);
}

size_t frame_build(const struct frame *frame, uint8_t buffer[FRAME_MAX])
{
	uint8_t transport[256];
	size_t length = put_transport(frame, transport), header;

	put_ethernet(frame, buffer);
	header = put_ip(frame, frame->number, frame->source_routed, length, buffer + 14);
	memcpy(buffer + 14 + header, transport, length);
	return 14 + header + length;
}
