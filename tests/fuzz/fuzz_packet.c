/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/packet_parse.h"

/* What is read from the start of a packet holds for the whole: seeing more of it changes nothing that was known. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
	if (!condition)
		abort();
}

static void check(const struct packet *packet, const uint8_t *data, size_t size)
{
	bool v4 = data[0] >> 4 == 4;

	must(size >= (v4 ? 20u : 40u));
	must(packet->from.family == (v4 ? AF_INET : AF_INET6));
	must(packet->to.family == packet->from.family);
	must(memcmp(packet->from.bytes, data + (v4 ? 12 : 8), addr_size(packet->from.family)) == 0);
	must(packet->has_ports || (packet->from_port == 0 && packet->to_port == 0));
	must(packet->has_icmp || (packet->icmp_type == 0 && packet->icmp_code == 0));
	must(!packet->has_ports || !packet->has_icmp);
	must(!packet->has_icmp || packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet whole, part;

	if (packet_parse(data, size, &whole) < 0)
		return 0;
	check(&whole, data, size);
	for (size_t length = size < 160 ? size : 160; length-- > 0;) {
		if (packet_parse(data, length, &part) < 0)
			continue;
		check(&part, data, length);
		if (part.has_ports)
			must(whole.has_ports && part.proto == whole.proto && part.from_port == whole.from_port &&
			     part.to_port == whole.to_port);
		if (part.has_icmp)
			must(whole.has_icmp && part.icmp_type == whole.icmp_type && part.icmp_code == whole.icmp_code);
	}
	return 0;
}
