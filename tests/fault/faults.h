/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TESTS_FAULTS_H
#define SPR_TESTS_FAULTS_H

#include <stdint.h>

/* The calls of sprd that can fail, in the order of tests/lab/faults.py. */
enum fault {
	FAULT_NONE,
	FAULT_SEND, /* to netlink: nothing was sent */
	FAULT_RECEIVE, /* from netlink: nothing was taken */
	FAULT_LOST, /* from netlink: the datagram is taken and thrown away, as when there was no room for it */
	FAULT_CUT, /* from netlink: the second half is missing */
	FAULT_MEMORY, /* malloc() and its kin */
	FAULT_SOCKET, /* socket(): no descriptor */
	FAULT_ACCEPT,
	FAULT_SYNC, /* fsync() and fdatasync() */
	_FAULT_MAX,
};

#define FAULT_DIE 9999 /* in place of an errno: the process ends at that call, as by SIGKILL */
#define FAULT_SLOW 9998 /* the call takes a second, and is made */

/* The file that SPR_FAULTS names, shared with the test. Numbers of 32 bits, those of the test first. */
struct faults {
	uint32_t fault; /* which calls */
	uint32_t error; /* errno */
	uint32_t at; /* the first of them that fails, counted from 1; 0: none */
	uint32_t times; /* how many fail, from that on */
	uint32_t calls[_FAULT_MAX]; /* how many there were, of each kind, since the test set them to 0 */
	uint32_t failed; /* how many failed */
	int32_t clock; /* seconds that the clock is wrong by */
};

#endif
