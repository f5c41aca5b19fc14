/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_FASTPATH_H
#define SPR_KERNEL_FASTPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/conntrack.h"

/*
 * The fast path: packets of connections that the whole firewall let through within the last second are sent on where they
 * arrive, past it (fastpath.bpf.c). It works while fastpath_run() is called again and again: a program that has ended, or
 * hangs, leaves none. What is attached by fastpath_attach() stays in the kernel without effect then.
 */
struct fastpath;

/*
 * Loads the programs, which needs CAP_BPF and CAP_PERFMON, or root; nothing else here does. -EOPNOTSUPP where it was not
 * built; else what the kernel, or libbpf, has against it.
 */
int fastpath_open(struct fastpath **ret, struct error *error);
/* Detaches it from all interfaces. */
struct fastpath *fastpath_close(struct fastpath *fastpath);

/* At an Ethernet interface; again is no error. -EEXIST where the place is another program's. */
int fastpath_attach(struct fastpath *fastpath, unsigned interface, struct error *error);
void fastpath_detach(struct fastpath *fastpath, unsigned interface); /* that it was not there is no error */
void fastpath_detach_all(struct fastpath *fastpath);
/* Those that `there` does not know are gone. */
void fastpath_forget(struct fastpath *fastpath, bool (*there)(unsigned interface, const void *data), const void *data);
size_t fastpath_interfaces(const struct fastpath *fastpath); /* how many it is attached to */

/*
 * fastpath_stop(): from now on every packet goes the long way, and what was seen to pass counts no more. fastpath_run():
 * for so many milliseconds from now, packets may go the fast way. What is seen to pass counts from the first call after a
 * stop on.
 */
void fastpath_stop(struct fastpath *fastpath);
void fastpath_run(struct fastpath *fastpath, unsigned milliseconds);
bool fastpath_runs(const struct fastpath *fastpath);

uint64_t fastpath_packets(const struct fastpath *fastpath); /* that went the fast way, since fastpath_open() */

/*
 * TCP connections that could go it if their windows were not checked, see conntrack_make_liberal(). The fd is for polling;
 * fastpath_read() calls `each`, with what identifies the flow.
 */
int fastpath_fd(const struct fastpath *fastpath);
void fastpath_read(struct fastpath *fastpath, void (*each)(const struct flow *flow, void *data), void *data);

#endif
