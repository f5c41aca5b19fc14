/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_ADDR_H
#define SPR_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv4 or IPv6 address; family 0 is "none". IPv4 uses the first four bytes, the rest are zero. */
struct addr {
	uint8_t family; /* AF_INET, AF_INET6 or 0 */
	uint8_t bytes[16]; /* network order */
};

struct prefix {
	struct addr addr; /* host bits may be set, as in an interface address */
	uint8_t length; /* 0 to 32 or 128 */
};

/* Both ends are inside, and of one family. */
struct range {
	struct addr first, last;
};

#define ADDR_TEXT_MAX 48
#define PREFIX_TEXT_MAX 52

static inline size_t addr_size(uint8_t family)
{
	return family == AF_INET6 ? 16 : 4;
}
static inline uint8_t addr_bits(uint8_t family)
{
	return family == AF_INET6 ? 128 : 32;
}

/* Text to address; 0 or -EINVAL. No names, no zone, no leading zeros. */
int addr_parse(const char *text, struct addr *ret);

/* As addr_parse() with an optional /length; without one the length is the whole address. */
int prefix_parse(const char *text, struct prefix *ret);

/* Writes to buffer of ADDR_TEXT_MAX / PREFIX_TEXT_MAX bytes and returns it. */
const char *addr_text(const struct addr *addr, char *buffer);
const char *prefix_text(const struct prefix *prefix, char *buffer);

/* Order by family, then by value. */
int addr_compare(const struct addr *a, const struct addr *b);
bool addr_is_loopback(const struct addr *addr);
bool addr_is_link_local(const struct addr *addr);
bool addr_is_any(const struct addr *addr);
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);
struct range prefix_range(const struct prefix *prefix);
bool range_contains(const struct range *range, const struct addr *addr);

/* The address one above / below; false where there is none (all ones, all zeros). */
bool addr_next(struct addr *addr);
bool addr_previous(struct addr *addr);

#endif
