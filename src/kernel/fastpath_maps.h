/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_FASTPATH_MAPS_H
#define SPR_KERNEL_FASTPATH_MAPS_H

#include <linux/types.h>

/* What fastpath.bpf.c in the kernel and fastpath.c share. Times are nanoseconds of CLOCK_MONOTONIC. */

/* The fast path takes packets before `until`, of connections that were seen to pass since `since`. */
struct fastpath_lease {
	__u64 since, until;
};

/* Of one processor, in a line of the cache of its own. */
struct fastpath_count {
	__u64 packets, learned;
	__u64 unused[6];
};

/* One direction of a connection as its packets arrive: addresses and ports in network order. */
struct fastpath_key {
	__u32 interface;
	__u8 family, proto; /* 4 or 6; TCP or UDP */
	__u16 unused;
	__u16 source_port, target_port;
	__u32 source[4], target[4];
};

#define FASTPATH_FLOWS 65536 /* directions that are known; the longest unused makes room */
#define FASTPATH_ASKS 65536 /* bytes of the ring */

#endif
