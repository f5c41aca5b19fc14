/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NLSOCKET_H
#define SPR_KERNEL_NLSOCKET_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * A netlink socket: close-on-exec, non-blocking, and deaf to everyone but the kernel. Results are 0 or a negative
 * errno.
 */
struct nlsocket;

int nlsocket_open(int bus, struct nlsocket **ret);
struct nlsocket *nlsocket_close(struct nlsocket *socket);
DEFINE_CLEANUP(struct nlsocket *, nlsocket_close)
int nlsocket_fd(const struct nlsocket *socket);

int nlsocket_join(struct nlsocket *socket, unsigned group);
int nlsocket_leave(struct nlsocket *socket, unsigned group);
/* Room for what arrives before it is read; beyond the system's limit where we may. */
void nlsocket_room(struct nlsocket *socket, int bytes);

/*
 * The next datagram, valid until the next call. -EAGAIN: there is none. -ENOBUFS: some were lost before it, or it was
 * cut.
 */
int nlsocket_receive(struct nlsocket *socket, const struct nlmsghdr **ret, int *ret_length);

/*
 * Sends a request (NLM_F_DUMP or not) and waits for its end, at most some seconds (-ETIMEDOUT). `each` sees every
 * message of the answer and may be NULL; after its first negative return it is not called again, and that is the
 * result. -EINTR: what was listed changed meanwhile, the list may be incomplete.
 */
int nlsocket_query(struct nlsocket *socket, struct nlmsghdr *request,
		   int (*each)(const struct nlmsghdr *message, void *data), void *data);

/*
 * Sends requests that lie one after the other, NLMSG_ALIGNed, and waits for the last one's end. All are tried; the
 * first error other than -ignore is the result.
 */
int nlsocket_send_all(struct nlsocket *socket, void *requests, size_t length, int ignore);

/* Whether a whole message lies in the bytes that are left. (mnl_nlmsg_ok() takes lengths over 2 GiB for negative.) */
static inline bool nlmessage_fits(const struct nlmsghdr *message, int left)
{
	return left >= (int)sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
	       message->nlmsg_len <= (unsigned)left;
}

/* What the kernel said to the last error; "" where it said nothing. */
const char *nlsocket_message(const struct nlsocket *socket);

#endif
