/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "kernel/conntrack.h"

void connections_forget(void);

static int end_flow(const struct flow *flow, void *data)
{
	struct error error = { 0 };

	return conntrack_delete(data, flow, &error);
}

/* Ends every flow of this network namespace. A file of its own: the test has another struct flow. */
void connections_forget(void)
{
	struct error error = { 0 };
	struct conntrack *conntrack;

	if (conntrack_open(&conntrack, &error) < 0 || conntrack_each(conntrack, end_flow, conntrack, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		exit(2);
	}
	conntrack_close(conntrack);
}
