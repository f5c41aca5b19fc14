/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The product's fast path at interfaces of the network namespace it is started in, as sprd keeps it there: fast INTERFACE...
 * Prints a line when it runs, ends when standard input does, and prints how many packets went the fast way.
 */
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>

#include "given.h"
#include "kernel/fastpath.h"

#define TURN_MS 500

static void make_liberal(const struct flow *flow, void *data)
{
	struct error error = { 0 };

	must(conntrack_make_liberal(data, flow, &error), &error);
}

int main(int argc, char **argv)
{
	struct pollfd polled[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };
	struct conntrack *conntrack;
	struct fastpath *fastpath;
	struct error error = { 0 };

	must(fastpath_open(&fastpath, &error), &error);
	must(conntrack_open(&conntrack, &error), &error);
	for (int i = 1; i < argc; i++)
		must(fastpath_attach(fastpath, if_nametoindex(argv[i]), &error), &error);
	polled[1].fd = fastpath_fd(fastpath);
	fastpath_run(fastpath, 6 * TURN_MS);
	puts("runs");
	fflush(stdout);
	while (!polled[0].revents) {
		poll(polled, 2, TURN_MS);
		fastpath_run(fastpath, 6 * TURN_MS);
		fastpath_read(fastpath, make_liberal, conntrack);
	}
	printf("%" PRIu64 " packets\n", fastpath_packets(fastpath));
	fastpath_close(fastpath);
	conntrack_close(conntrack);
	return 0;
}
