/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "kernel/fastpath.h"

/* Where clang or libbpf is missing when spr is built: there is no fast path, and whoever asks for it is told. */

int fastpath_open(struct fastpath **ret, struct error *error)
{
	return error_set(error, EOPNOTSUPP, "this spr was built without it: that takes clang and libbpf");
}

struct fastpath *fastpath_close(struct fastpath *fastpath)
{
	return NULL;
}

int fastpath_attach(struct fastpath *fastpath, unsigned interface, struct error *error)
{
	return error_set(error, EOPNOTSUPP, "there is no fast path");
}

void fastpath_detach(struct fastpath *fastpath, unsigned interface)
{
}

void fastpath_detach_all(struct fastpath *fastpath)
{
}

void fastpath_forget(struct fastpath *fastpath, bool (*there)(unsigned interface, const void *data), const void *data)
{
}

size_t fastpath_interfaces(const struct fastpath *fastpath)
{
	return 0;
}

void fastpath_stop(struct fastpath *fastpath)
{
}

void fastpath_run(struct fastpath *fastpath, unsigned milliseconds)
{
}

bool fastpath_runs(const struct fastpath *fastpath)
{
	return false;
}

uint64_t fastpath_packets(const struct fastpath *fastpath)
{
	return 0;
}

int fastpath_fd(const struct fastpath *fastpath)
{
	return -1;
}

void fastpath_read(struct fastpath *fastpath, void (*each)(const struct flow *flow, void *data), void *data)
{
}
