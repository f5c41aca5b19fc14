/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/sessions.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "kernel/conntrack.h"

struct listening {
	uint8_t ports[65536 / 8];
};

struct tcp_row {
	struct addr local, remote;
	unsigned local_port, remote_port, state;
};

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

static bool parse_row(const char *line, struct tcp_row *ret)
{
	char local[33], remote[33];

	return sscanf(line, " %*u: %32[0-9A-F]:%4x %32[0-9A-F]:%4x %2x", local, &ret->local_port, remote,
		      &ret->remote_port, &ret->state) == 5 &&
	       parse_addr(local, &ret->local) && parse_addr(remote, &ret->remote);
}

static int each_row(const char *path, int (*each)(const struct tcp_row *row, void *data), void *data)
{
	FILE *file = fopen(path, "re");
	char line[512];
	int r = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno; /* no IPv6 */
	while (r >= 0 && fgets(line, sizeof(line), file)) {
		struct tcp_row row;

		if (parse_row(line, &row))
			r = each(&row, data);
	}
	fclose(file);
	return r;
}

static int note_listening(const struct tcp_row *row, void *data)
{
	struct listening *listening = data;

	if (row->state == TCP_LISTEN)
		listening->ports[row->local_port / 8] |= (uint8_t)(1 << row->local_port % 8);
	return 0;
}

struct walk {
	struct listening listening;
	int (*each)(const struct flow *flow, void *data);
	void *data;
};

static int pass_session(const struct tcp_row *row, void *data)
{
	const struct walk *walk = data;
	struct flow flow = { .proto = IPPROTO_TCP };

	if (row->state != TCP_ESTABLISHED || !(walk->listening.ports[row->local_port / 8] & 1 << row->local_port % 8))
		return 0;
	flow.from = flow.reply_to = row->remote;
	flow.to = flow.reply_from = row->local;
	flow.from_port = flow.reply_to_port = (uint16_t)row->remote_port;
	flow.to_port = flow.reply_from_port = (uint16_t)row->local_port;
	return walk->each(&flow, walk->data);
}

int sessions_each(int (*each)(const struct flow *flow, void *data), void *data, struct error *error)
{
	static const char *const paths[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	struct walk walk = { .each = each, .data = data };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(paths) && r >= 0; i++)
		r = each_row(paths[i], note_listening, &walk.listening);
	for (size_t i = 0; i < ELEMENTSOF(paths) && r >= 0; i++)
		r = each_row(paths[i], pass_session, &walk);
	return r < 0 ? error_set(error, -r, "open sessions: %s", strerror(-r)) : 0;
}
