/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <string.h>

#include "kernel/drop_message.h"
#include "kernel/droplog.h"
#include "kernel/packet_parse.h"

/* Bytes that a packet is made of. */
struct bytes {
	uint8_t data[512];
	size_t length;
};

#define ADD(bytes, ...) add(bytes, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void add(struct bytes *bytes, const uint8_t *data, size_t length)
{
	assert_true(bytes->length + length <= sizeof(bytes->data));
	memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

/* 192.0.2.1 -> 198.51.100.2; total length, fragment field and options as given. */
static struct bytes ipv4(uint8_t proto, size_t payload, uint16_t fragment, uint8_t options)
{
	struct bytes bytes = { 0 };
	uint16_t total = (uint16_t)(20 + options + payload);

	ADD(&bytes, (uint8_t)(0x45 + options / 4), 0, (uint8_t)(total >> 8), (uint8_t)total);
	ADD(&bytes, 0x12, 0x34, (uint8_t)(fragment >> 8), (uint8_t)fragment, 64, proto, 0, 0);
	ADD(&bytes, 192, 0, 2, 1, 198, 51, 100, 2);
	for (int i = 0; i < options; i++)
		ADD(&bytes, 1); /* no operation */
	return bytes;
}

/* 2001:db8::1 -> 2001:db8::2 */
static struct bytes ipv6(uint8_t next, size_t payload)
{
	struct bytes bytes = { 0 };

	ADD(&bytes, 0x60, 0, 0, 0, (uint8_t)(payload >> 8), (uint8_t)payload, next, 64);
	ADD(&bytes, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
	ADD(&bytes, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
	return bytes;
}

#define PORTS 0x30, 0x39, 0x00, 0x50, 0, 8, 0, 0 /* 12345 -> 80 */

static struct packet parsed(const struct bytes *bytes)
{
	/* A copy of the exact size, so that a sanitizer sees a step too far. */
	uint8_t *copy = malloc(bytes->length ? bytes->length : 1);
	struct packet packet;

	memcpy(copy, bytes->data, bytes->length);
	assert_int_equal(packet_parse(copy, bytes->length, &packet), 0);
	free(copy);
	return packet;
}

static void assert_refused(const struct bytes *bytes, size_t length)
{
	uint8_t *copy = malloc(length ? length : 1);
	struct packet packet = { .proto = 99 };

	memcpy(copy, bytes->data, length);
	assert_int_equal(packet_parse(copy, length, &packet), -EINVAL);
	assert_int_equal(packet.proto, 99); /* untouched */
	free(copy);
}

static void assert_ports(const struct packet *packet, uint8_t proto, bool has)
{
	assert_int_equal(packet->proto, proto);
	assert_int_equal(packet->has_ports, has);
	assert_int_equal(packet->from_port, has ? 12345 : 0);
	assert_int_equal(packet->to_port, has ? 80 : 0);
}

static void test_ipv4(void **state)
{
	static const uint8_t with_ports[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_SCTP, IPPROTO_DCCP };
	char text[ADDR_TEXT_MAX];
	struct packet packet;
	struct bytes bytes;

	(void)state;
	for (size_t i = 0; i < ELEMENTSOF(with_ports); i++) {
		bytes = ipv4(with_ports[i], 8, 0, 0);
		ADD(&bytes, PORTS);
		packet = parsed(&bytes);
		assert_ports(&packet, with_ports[i], true);
	}
	assert_string_equal(addr_text(&packet.from, text), "192.0.2.1");
	assert_string_equal(addr_text(&packet.to, text), "198.51.100.2");

	bytes = ipv4(IPPROTO_ICMP, 8, 0, 0);
	ADD(&bytes, 3, 4, 0, 0, 0, 0, 0, 0);
	packet = parsed(&bytes);
	assert_true(packet.has_icmp);
	assert_int_equal(packet.icmp_type, 3);
	assert_int_equal(packet.icmp_code, 4);
	assert_ports(&packet, IPPROTO_ICMP, false);

	bytes = ipv4(IPPROTO_GRE, 8, 0, 0);
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_GRE, false);
}

static void test_ipv4_options(void **state)
{
	struct bytes bytes;
	struct packet packet;

	(void)state;
	for (uint8_t options = 4; options <= 40; options += 4) {
		bytes = ipv4(IPPROTO_UDP, 8, 0, options);
		ADD(&bytes, PORTS);
		packet = parsed(&bytes);
		assert_ports(&packet, IPPROTO_UDP, true);
	}
	bytes.data[0] = 0x44; /* a header shorter than any */
	assert_refused(&bytes, bytes.length);
	bytes.data[0] = 0x4f;
	bytes.data[3] = 59; /* a packet shorter than its header */
	assert_refused(&bytes, bytes.length);
}

static void test_ipv4_fragments(void **state)
{
	struct bytes bytes = ipv4(IPPROTO_UDP, 8, 0x2000, 0); /* the first of several */
	struct packet packet;

	(void)state;
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_UDP, true);
	bytes = ipv4(IPPROTO_UDP, 8, 0x2001, 0);
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_UDP, false);
	bytes = ipv4(IPPROTO_ICMP, 8, 0x00b9, 0); /* the last */
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_false(packet.has_icmp);
}

static void test_ipv4_cut_off(void **state)
{
	struct bytes bytes = ipv4(IPPROTO_TCP, 8, 0, 8), cut;
	struct packet packet;

	(void)state;
	ADD(&bytes, PORTS);
	for (size_t length = 0; length <= bytes.length; length++) {
		cut = bytes;
		cut.length = length;
		if (length < 20) {
			assert_refused(&cut, length);
			continue;
		}
		packet = parsed(&cut);
		assert_ports(&packet, IPPROTO_TCP, length >= 32);
	}
	/* Padding of a short frame is not the packet. */
	bytes = ipv4(IPPROTO_TCP, 2, 0, 0);
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_TCP, false);
}

static void test_ipv6(void **state)
{
	struct bytes bytes = ipv6(IPPROTO_TCP, 8);
	char text[ADDR_TEXT_MAX];
	struct packet packet;

	(void)state;
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_TCP, true);
	assert_string_equal(addr_text(&packet.from, text), "2001:db8::1");
	assert_string_equal(addr_text(&packet.to, text), "2001:db8::2");
	bytes = ipv6(IPPROTO_ICMPV6, 4);
	ADD(&bytes, 135, 0, 0, 0);
	packet = parsed(&bytes);
	assert_true(packet.has_icmp);
	assert_int_equal(packet.icmp_type, 135);
	bytes = ipv6(IPPROTO_NONE, 0);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_NONE, false);
	bytes = ipv6(IPPROTO_ESP, 8);
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_ESP, false);
}

static struct bytes ipv6_with_extensions(void)
{
	struct bytes bytes = ipv6(IPPROTO_HOPOPTS, 8 + 16 + 24 + 8 + 12 + 8);

	ADD(&bytes, IPPROTO_DSTOPTS, 0, 5, 2, 0, 0, 1, 0);
	ADD(&bytes, IPPROTO_ROUTING, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	ADD(&bytes, IPPROTO_FRAGMENT, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
	ADD(&bytes, IPPROTO_AH, 0, 0x00, 0x01, 0, 0, 0, 7); /* the first fragment */
	ADD(&bytes, IPPROTO_UDP, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1);
	ADD(&bytes, PORTS);
	return bytes;
}

static void test_ipv6_extension_headers(void **state)
{
	static const struct {
		size_t from;
		uint8_t proto;
	} steps[] = { { 40, IPPROTO_HOPOPTS },	{ 48, IPPROTO_DSTOPTS }, { 64, IPPROTO_ROUTING },
		      { 88, IPPROTO_FRAGMENT }, { 96, IPPROTO_AH },	 { 108, IPPROTO_UDP } };
	struct bytes bytes = ipv6_with_extensions(), cut;
	struct packet packet = parsed(&bytes);

	(void)state;
	assert_ports(&packet, IPPROTO_UDP, true);
	for (size_t length = 0; length <= bytes.length; length++) {
		uint8_t proto = 0;

		cut = bytes;
		cut.length = length;
		if (length < 40) {
			assert_refused(&cut, length);
			continue;
		}
		packet = parsed(&cut);
		for (size_t i = 0; i < ELEMENTSOF(steps); i++)
			if (length >= steps[i].from)
				proto = steps[i].proto;
		assert_ports(&packet, proto, length >= 112);
	}
	bytes.data[90] = 0x01; /* of the fragment header: not the first */
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_AH, false);
}

static void test_ipv6_lengths(void **state)
{
	struct bytes bytes = ipv6(IPPROTO_UDP, 0); /* a jumbogram says 0 */
	struct packet packet;

	(void)state;
	ADD(&bytes, PORTS);
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_UDP, true);
	bytes.data[5] = 3; /* the rest is padding */
	packet = parsed(&bytes);
	assert_ports(&packet, IPPROTO_UDP, false);
}

static void test_other_packets(void **state)
{
	struct bytes bytes = { .data = { 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01 }, .length = 28 }; /* ARP */

	(void)state;
	assert_refused(&bytes, 0);
	assert_refused(&bytes, bytes.length);
	for (int version = 0; version < 16; version++) {
		if (version == 4 || version == 6)
			continue;
		memset(bytes.data, version << 4 | 5, 64);
		assert_refused(&bytes, 64);
	}
}

/* A log message as the kernel makes it. */
static struct nlmsghdr *message_begin(char *buffer)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	mnl_nlmsg_put_extra_header(message, sizeof(struct nfgenmsg));
	return message;
}

static void test_message(void **state)
{
	struct nfulnl_msg_packet_timestamp stamp = { htobe64(1700000000), htobe64(123456) };
	char buffer[1024] __attribute__((aligned(8)));
	struct nlmsghdr *message = message_begin(buffer);
	struct bytes bytes = ipv4(IPPROTO_UDP, 8, 0, 0);
	struct drop drop;

	(void)state;
	ADD(&bytes, PORTS);
	assert_false(drop_message_parse(message, &drop)); /* no packet in it */
	mnl_attr_put_u32(message, NFULA_IFINDEX_INDEV, htonl(7));
	mnl_attr_put_u32(message, NFULA_IFINDEX_OUTDEV, htonl(70000));
	mnl_attr_put_strz(message, NFULA_PREFIX, "spr:spoofed ");
	mnl_attr_put(message, NFULA_TIMESTAMP, sizeof(stamp), &stamp);
	mnl_attr_put(message, NFULA_PAYLOAD, bytes.length, bytes.data);
	assert_true(drop_message_parse(message, &drop));
	assert_string_equal(drop.reason, "spoofed");
	assert_int_equal(drop.in, 7);
	assert_int_equal(drop.out, 70000);
	assert_int_equal(drop.time.tv_sec, 1700000000);
	assert_int_equal(drop.time.tv_nsec, 123456000);
	assert_int_equal(drop.proto, IPPROTO_UDP);
	assert_int_equal(drop.to_port, 80);
	assert_int_equal(drop.length, bytes.length);
	assert_memory_equal(drop.payload, bytes.data, bytes.length);
	message->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	assert_false(drop_message_parse(message, &drop));
}

static void test_message_with_odd_attributes(void **state)
{
	char buffer[1024] __attribute__((aligned(8)));
	struct nlmsghdr *message = message_begin(buffer);
	struct bytes bytes = ipv6(IPPROTO_TCP, 8);
	struct drop drop;

	(void)state;
	ADD(&bytes, PORTS);
	mnl_attr_put(message, NFULA_PREFIX, 3, "abc"); /* no NUL, not ours */
	mnl_attr_put_u8(message, NFULA_IFINDEX_INDEV, 1); /* too short */
	mnl_attr_put_u8(message, NFULA_TIMESTAMP, 1);
	mnl_attr_put(message, NFULA_MAX + 1, 3, "new");
	mnl_attr_put(message, NFULA_PAYLOAD, bytes.length, bytes.data);
	assert_true(drop_message_parse(message, &drop));
	assert_string_equal(drop.reason, "abc");
	assert_int_equal(drop.in, 0);
	assert_true(drop.time.tv_sec > 1500000000);
	message->nlmsg_len -= 4; /* the last attribute goes beyond the end */
	assert_false(drop_message_parse(message, &drop));
	message->nlmsg_len = NLMSG_HDRLEN;
	assert_false(drop_message_parse(message, &drop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),	       cmocka_unit_test(test_ipv4_options),
		cmocka_unit_test(test_ipv4_fragments), cmocka_unit_test(test_ipv4_cut_off),
		cmocka_unit_test(test_ipv6),	       cmocka_unit_test(test_ipv6_extension_headers),
		cmocka_unit_test(test_ipv6_lengths),   cmocka_unit_test(test_other_packets),
		cmocka_unit_test(test_message),	       cmocka_unit_test(test_message_with_odd_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
