/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/sessions.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "inventory/inventory.h"
#include "kernel/conntrack.h"
#include "kernel/sysctl.h"

/* A row of /proc/net/tcp or udp. */
struct row {
	struct addr local, remote;
	unsigned local_port, remote_port, state;
};

static const char *const tcp[] = { "/proc/net/tcp", "/proc/net/tcp6" };
static const char *const udp[] = { "/proc/net/udp", "/proc/net/udp6" };

/* Words of 32 bits in the machine's order; an IPv4 address in an IPv6 socket is an IPv4 address. */
static bool parse_addr(const char *hex, struct addr *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	size_t n = strlen(hex) / 8;
	struct addr addr = { .family = n == 4 ? AF_INET6 : AF_INET };

	if (n != 1 && n != 4)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned word;

		if (sscanf(hex + i * 8, "%8x", &word) != 1)
			return false;
		memcpy(addr.bytes + i * 4, &word, 4);
	}
	*ret = addr;
	if (n == 4 && memcmp(addr.bytes, mapped, sizeof(mapped)) == 0) {
		*ret = (struct addr){ .family = AF_INET };
		memcpy(ret->bytes, addr.bytes + 12, 4);
	}
	return true;
}

static bool parse_row(const char *line, struct row *ret)
{
	char local[33], remote[33];

	return sscanf(line, " %*u: %32[0-9A-F]:%4x %32[0-9A-F]:%4x %2x", local, &ret->local_port, remote,
		      &ret->remote_port, &ret->state) == 5 &&
	       parse_addr(local, &ret->local) && parse_addr(remote, &ret->remote);
}

static int each_row(const char *path, int (*each)(const struct row *row, void *data), void *data)
{
	FILE *file = fopen(path, "re");
	char line[512];
	int r = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno; /* no IPv6 */
	while (r >= 0 && fgets(line, sizeof(line), file)) {
		struct row row;

		if (parse_row(line, &row))
			r = each(&row, data);
	}
	fclose(file);
	return r;
}

static int note_listening(const struct row *row, void *data)
{
	if (row->state == TCP_LISTEN)
		port_bits_add(data, (uint16_t)row->local_port, (uint16_t)row->local_port);
	return 0;
}

/* A UDP socket without another end hears everybody. */
static int note_waiting(const struct row *row, void *data)
{
	if (row->state != TCP_ESTABLISHED)
		port_bits_add(data, (uint16_t)row->local_port, (uint16_t)row->local_port);
	return 0;
}

struct walk {
	struct port_bits listening;
	int (*each)(const struct flow *flow, void *data);
	void *data;
};

static int pass_session(const struct row *row, void *data)
{
	const struct walk *walk = data;
	struct flow flow = { .proto = IPPROTO_TCP };

	if (row->state != TCP_ESTABLISHED || !port_bits_has(&walk->listening, (uint16_t)row->local_port))
		return 0;
	flow.from = flow.reply_to = row->remote;
	flow.to = flow.reply_from = row->local;
	flow.from_port = flow.reply_to_port = (uint16_t)row->remote_port;
	flow.to_port = flow.reply_from_port = (uint16_t)row->local_port;
	return walk->each(&flow, walk->data);
}

int sessions_each(int (*each)(const struct flow *flow, void *data), void *data, struct error *error)
{
	struct walk walk = { .each = each, .data = data };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(tcp) && r >= 0; i++)
		r = each_row(tcp[i], note_listening, &walk.listening);
	for (size_t i = 0; i < ELEMENTSOF(tcp) && r >= 0; i++)
		r = each_row(tcp[i], pass_session, &walk);
	return r < 0 ? error_set(error, -r, "open sessions: %s", strerror(-r)) : 0;
}

static int match_any(const struct row *row, void *data)
{
	return row->state == TCP_ESTABLISHED && !addr_is_loopback(&row->remote) && !addr_is_loopback(&row->local) ?
		       -EEXIST :
		       0;
}

bool sessions_any(void)
{
	bool found = false;

	for (size_t i = 0; i < ELEMENTSOF(tcp) && !found; i++)
		found = each_row(tcp[i], match_any, NULL) == -EEXIST;
	return found;
}

static int match_session(const struct row *row, void *data)
{
	const struct flow *flow = data;

	return row->state == TCP_ESTABLISHED && row->local_port == flow->from_port &&
			       row->remote_port == flow->to_port && addr_compare(&row->local, &flow->from) == 0 &&
			       addr_compare(&row->remote, &flow->to) == 0 ?
		       -EEXIST :
		       0;
}

bool sessions_have(const struct flow *flow)
{
	struct flow wanted = *flow;
	bool found = false;

	for (size_t i = 0; i < ELEMENTSOF(tcp) && !found; i++)
		found = each_row(tcp[i], match_session, &wanted) == -EEXIST;
	return found;
}

void sessions_own_ports(uint16_t *ret_first, uint16_t *ret_last)
{
	unsigned first, last;
	char text[64];

	*ret_first = 32768; /* ip-sysctl.rst */
	*ret_last = 60999;
	if (sysctl_read("net.ipv4.ip_local_port_range", text, sizeof(text)) < 0 ||
	    sscanf(text, "%u %u", &first, &last) != 2 || first > last || last > 65535)
		return;
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
}

struct listening {
	uint8_t proto;
	int (*each)(const struct listener *listener, void *data);
	void *data;
};

static int pass_listener(const struct row *row, void *data)
{
	const struct listening *listening = data;
	struct listener listener = { listening->proto, row->local, (uint16_t)row->local_port };
	bool waits = listening->proto == IPPROTO_TCP ? row->state == TCP_LISTEN : row->state != TCP_ESTABLISHED;

	return waits ? listening->each(&listener, listening->data) : 0;
}

int sessions_listeners(int (*each)(const struct listener *listener, void *data), void *data, struct error *error)
{
	struct listening listening = { IPPROTO_TCP, each, data };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(tcp) && r >= 0; i++)
		r = each_row(tcp[i], pass_listener, &listening);
	listening.proto = IPPROTO_UDP;
	for (size_t i = 0; i < ELEMENTSOF(udp) && r >= 0; i++)
		r = each_row(udp[i], pass_listener, &listening);
	return r < 0 ? error_set(error, -r, "sockets of this machine: %s", strerror(-r)) : 0;
}

int sessions_ports(struct port_bits *ret, struct error *error)
{
	struct port_bits ports = { 0 };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(tcp) && r >= 0; i++)
		r = each_row(tcp[i], note_listening, &ports);
	for (size_t i = 0; i < ELEMENTSOF(udp) && r >= 0; i++)
		r = each_row(udp[i], note_waiting, &ports);
	if (r < 0)
		return error_set(error, -r, "ports of this machine: %s", strerror(-r));
	*ret = ports;
	return 0;
}
