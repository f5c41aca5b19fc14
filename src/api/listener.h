/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_API_LISTENER_H
#define SPR_API_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct api_peer;

/* The socket file and the lock beside it, PATH.lock, which lives as long as the daemon. */
struct socket_file {
	char path[108]; /* "" when there is none */
	int fd; /* bound, not listening; -1 once handed over */
	int lock;
	bool has_group;
	gid_t group; /* of the group spr */
};

/* Errors as api_listen(). The result is the caller's to close. */
int socket_file_make(const char *path, struct socket_file *ret, struct error *error);
void socket_file_close(struct socket_file *file);

/* Who is at the other end. */
int socket_peer(int fd, struct api_peer *ret);

/* True for root, this process's own user, and members of the group as the kernel knows them. */
bool socket_peer_allowed(int fd, const struct api_peer *peer, const struct socket_file *file);

#endif
