/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DAEMON_HELPER_H
#define SPR_DAEMON_HELPER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/error.h"
#include "daemon/sandbox.h"

/*
 * A process of its own for what the daemon's sandbox does not allow: forked before anything is opened, with a narrow
 * sandbox that fits its one purpose. It takes enumerated requests over a pair of sockets that keep messages whole, and
 * ends when the other end is closed, by whatever cause. It is not started again: the daemon may start nothing by then.
 */
struct helper {
	pid_t pid; /* 0: none */
	int fd; /* -1: none */
};

struct helper_kind {
	const char *name; /* of the process, at most 15 characters */
	struct sandbox_profile profile;
	void (*answer)(int fd, const void *message, size_t length, const char *argument);
	size_t message_max;
};

/*
 * `skip` is sandbox_enter()'s; `argument` is handed to each answer. When this returns, the process is in its sandbox.
 * -ECHILD: it could not enter it, and has said why on standard error.
 */
int helper_start(const struct helper_kind *kind, unsigned skip, const char *argument, struct helper *ret,
		 struct error *error);

/* Closes this end, and does not wait. */
void helper_close(struct helper *helper);

/* Keeps the one rule in DOCKER-USER, by running iptables and ip6tables: see docker_user.c. */
extern const struct helper_kind iptables_helper;

struct iptables_request {
	uint8_t program; /* 0 iptables, 1 ip6tables */
	uint8_t present; /* 1 the rule is to be there, 0 it is not */
};

struct iptables_answer {
	struct iptables_request request;
	int32_t error; /* positive errno: the program cannot be run; ENOENT is there is none */
};

extern const char *const iptables_programs[2];

/*
 * Reads the two things that no list of paths can name beforehand: the resolver configuration, which others replace by
 * renaming, and Docker's own file of a container's ports, below a folder that Docker names when it is there. The
 * argument is the path of the resolver configuration.
 */
extern const struct helper_kind file_helper;

/* For the daemon: as resolv_read() and docker_file_open(). -EPIPE when the helper is gone: it is closed then. */
int file_helper_resolver(struct helper *helper, struct addr *ret);
int file_helper_docker(struct helper *helper, const char *root, const char *id);

#endif
