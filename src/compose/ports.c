/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "compose/compose.h"

/* The short form, as Docker reads it: [[HOST_IP:][HOST_PORT[-LAST]]:]PORT[-LAST][/PROTOCOL]. */

struct span {
	uint16_t first, last; /* 0: none */
};

static int no_port(const char *text, struct error *error)
{
	return error_set(error, EINVAL,
			 "'%.80s' is no published port: 8080:80, 127.0.0.1:8080:80, 3000, 3000-3005, 6060:6060/udp",
			 text);
}

static int port_of(const char *text, size_t length, uint16_t *ret)
{
	unsigned long port = 0;

	if (length == 0 || length > 5 || strspn(text, "0123456789") < length)
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		port = port * 10 + (unsigned long)(text[i] - '0');
	if (port == 0 || port > 65535)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

static int span_of(const char *text, size_t length, struct span *ret)
{
	const char *dash = memchr(text, '-', length);
	size_t first = dash ? (size_t)(dash - text) : length;
	struct span span = { 0 };
	int r = port_of(text, first, &span.first);

	span.last = span.first;
	if (r >= 0 && dash)
		r = port_of(dash + 1, length - first - 1, &span.last);
	if (r < 0 || span.last < span.first)
		return -EINVAL;
	*ret = span;
	return 0;
}

static int proto_of(const char *text, uint8_t *ret)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} protos[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "sctp", IPPROTO_SCTP } };

	for (size_t i = 0; i < ELEMENTSOF(protos); i++)
		if (strcasecmp(protos[i].name, text) == 0) {
			*ret = protos[i].proto;
			return 0;
		}
	return -EINVAL;
}

/* "[::1]" or "127.0.0.1"; nothing is every address. */
static int host_of(const char *text, size_t length, struct addr *ret)
{
	char copy[ADDR_TEXT_MAX];

	if (length == 0)
		return 0;
	if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (length >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return addr_parse(copy, ret);
}

static int add(struct compose_port port, struct compose_port **ports, size_t *n, struct error *error)
{
	struct compose_port *slot;

	if (*n >= COMPOSE_PORTS_MAX)
		return error_set(error, E2BIG, "more than %d ports are published", COMPOSE_PORTS_MAX);
	slot = ARRAY_ADD(*ports, *n);
	if (!slot)
		return error_memory(error);
	*slot = port;
	return 0;
}

/* Of two ranges of the same length each to its own; of more to one, any of them. */
static int add_spans(const struct compose_port *like, struct span host, struct span container,
		     struct compose_port **ports, size_t *n, struct error *error)
{
	bool choice = host.first && container.first == container.last;
	int r = 0;

	if (host.first && !choice && host.last - host.first != container.last - container.first)
		return error_set(error, EINVAL, "ports %u-%u and %u-%u: the ranges have to be of the same length",
				 host.first, host.last, container.first, container.last);
	for (unsigned i = 0; r >= 0 && i <= (unsigned)(container.last - container.first); i++) {
		struct compose_port port = *like;

		port.container_port = (uint16_t)(container.first + i);
		port.host_port = host.first ? (uint16_t)(host.first + i) : 0;
		port.host_last = choice ? host.last : port.host_port;
		r = add(port, ports, n, error);
	}
	return r;
}

int compose_ports_parse(const char *text, struct place place, struct compose_port **ports, size_t *n,
			struct error *error)
{
	const char *slash = strchr(text, '/'), *end = slash ? slash : text + strlen(text);
	const char *last = memrchr(text, ':', (size_t)(end - text));
	const char *container = last ? last + 1 : text, *first;
	struct compose_port port = { .proto = IPPROTO_TCP, .place = place };
	struct span host_ports = { 0 }, container_ports = { 0 };
	int r = span_of(container, (size_t)(end - container), &container_ports);

	if (r >= 0 && slash)
		r = proto_of(slash + 1, &port.proto);
	if (r >= 0 && last) {
		first = memrchr(text, ':', (size_t)(last - text));
		first = first ? first + 1 : text;
		if (first < last)
			r = span_of(first, (size_t)(last - first), &host_ports);
		if (r >= 0 && first > text)
			r = host_of(text, (size_t)(first - 1 - text), &port.host);
	}
	if (r < 0)
		return no_port(text, error);
	return add_spans(&port, host_ports, container_ports, ports, n, error);
}
