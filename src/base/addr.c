/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int addr_parse(const char *text, struct addr *ret)
{
	struct addr addr = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(addr.family, text, addr.bytes) != 1)
		return -EINVAL;
	*ret = addr;
	return 0;
}

int prefix_parse(const char *text, struct prefix *ret)
{
	char host[ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	struct prefix prefix;

	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';
	if (addr_parse(host, &prefix.addr) < 0)
		return -EINVAL;
	prefix.length = addr_bits(prefix.addr.family);
	if (slash) {
		char *end;
		unsigned long bits;

		if (slash[1] < '0' || slash[1] > '9')
			return -EINVAL;
		bits = strtoul(slash + 1, &end, 10);
		if (*end || bits > prefix.length)
			return -EINVAL;
		prefix.length = (uint8_t)bits;
	}
	*ret = prefix;
	return 0;
}

const char *addr_text(const struct addr *addr, char *buffer)
{
	if (!addr->family || !inet_ntop(addr->family, addr->bytes, buffer, ADDR_TEXT_MAX))
		strcpy(buffer, "-");
	return buffer;
}

const char *prefix_text(const struct prefix *prefix, char *buffer)
{
	addr_text(&prefix->addr, buffer);
	if (prefix->length != addr_bits(prefix->addr.family))
		snprintf(buffer + strlen(buffer), 5, "/%u", prefix->length);
	return buffer;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool addr_is_loopback(const struct addr *addr)
{
	static const uint8_t one[16] = { [15] = 1 };

	return addr->family == AF_INET ? addr->bytes[0] == 127 : memcmp(addr->bytes, one, 16) == 0;
}

bool addr_is_link_local(const struct addr *addr)
{
	if (addr->family == AF_INET)
		return addr->bytes[0] == 169 && addr->bytes[1] == 254;
	return addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

bool addr_is_any(const struct addr *addr)
{
	static const uint8_t zero[16];

	return memcmp(addr->bytes, zero, 16) == 0;
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	size_t whole = prefix->length / 8;
	unsigned rest = prefix->length % 8;

	if (prefix->addr.family != addr->family || memcmp(prefix->addr.bytes, addr->bytes, whole) != 0)
		return false;
	return rest == 0 || (uint8_t)(prefix->addr.bytes[whole] ^ addr->bytes[whole]) >> (8 - rest) == 0;
}

struct range prefix_range(const struct prefix *prefix)
{
	struct range range = { prefix->addr, prefix->addr };
	size_t size = addr_size(prefix->addr.family);

	for (size_t i = 0; i < size; i++) {
		int bits = (int)prefix->length - (int)i * 8;
		uint8_t mask = bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits));

		range.first.bytes[i] &= mask;
		range.last.bytes[i] |= (uint8_t)~mask;
	}
	return range;
}

bool range_contains(const struct range *range, const struct addr *addr)
{
	return addr->family == range->first.family && addr_compare(&range->first, addr) <= 0 &&
	       addr_compare(addr, &range->last) <= 0;
}

bool addr_next(struct addr *addr)
{
	for (size_t i = addr_size(addr->family); i-- > 0;)
		if (++addr->bytes[i] != 0)
			return true;
	memset(addr->bytes, 0xff, addr_size(addr->family));
	return false;
}

bool addr_previous(struct addr *addr)
{
	for (size_t i = addr_size(addr->family); i-- > 0;)
		if (addr->bytes[i]-- != 0)
			return true;
	memset(addr->bytes, 0, addr_size(addr->family));
	return false;
}
