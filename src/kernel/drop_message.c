/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/drop_message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "kernel/droplog.h"
#include "kernel/packet_parse.h"

#define PREFIX "spr:"

static void drop_reason(const struct nlattr *attribute, struct drop *drop)
{
	const char *text = attribute ? mnl_attr_get_payload(attribute) : "";
	size_t length = attribute ? strnlen(text, mnl_attr_get_payload_len(attribute)) : 0;

	if (length >= strlen(PREFIX) && memcmp(text, PREFIX, strlen(PREFIX)) == 0) {
		text += strlen(PREFIX);
		length -= strlen(PREFIX);
	}
	while (length > 0 && text[length - 1] == ' ')
		length--;
	if (length >= sizeof(drop->reason))
		length = sizeof(drop->reason) - 1;
	memcpy(drop->reason, text, length);
	drop->reason[length] = '\0';
}

static void drop_time(const struct nlattr *attribute, struct drop *drop)
{
	struct nfulnl_msg_packet_timestamp stamp;

	if (!attribute || mnl_attr_get_payload_len(attribute) < sizeof(stamp)) {
		clock_gettime(CLOCK_REALTIME, &drop->time);
		return;
	}
	memcpy(&stamp, mnl_attr_get_payload(attribute), sizeof(stamp));
	drop->time.tv_sec = (time_t)be64toh(stamp.sec);
	drop->time.tv_nsec = (long)(be64toh(stamp.usec) % 1000000 * 1000);
}

static unsigned drop_interface(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= 4 ? ntohl(mnl_attr_get_u32(attribute)) : 0;
}

bool drop_message_parse(const struct nlmsghdr *message, struct drop *ret)
{
	const struct nlattr *table[NFULA_MAX + 1] = { NULL }, *attribute;
	struct packet packet;
	struct drop drop = { 0 };

	if (message->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return false;
	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attribute) < ELEMENTSOF(table))
			table[mnl_attr_get_type(attribute)] = attribute;
	if (!table[NFULA_PAYLOAD])
		return false;
	drop.payload = mnl_attr_get_payload(table[NFULA_PAYLOAD]);
	drop.length = mnl_attr_get_payload_len(table[NFULA_PAYLOAD]);
	if (packet_parse(drop.payload, drop.length, &packet) < 0)
		return false;

	drop_reason(table[NFULA_PREFIX], &drop);
	drop_time(table[NFULA_TIMESTAMP], &drop);
	drop.in = drop_interface(table[NFULA_IFINDEX_INDEV]);
	drop.out = drop_interface(table[NFULA_IFINDEX_OUTDEV]);
	drop.from = packet.from;
	drop.to = packet.to;
	drop.proto = packet.proto;
	drop.has_ports = packet.has_ports;
	drop.from_port = packet.from_port;
	drop.to_port = packet.to_port;
	drop.icmp_type = packet.icmp_type;
	drop.tcp_flags = packet.tcp_flags;
	*ret = drop;
	return true;
}
