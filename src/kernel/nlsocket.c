/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nlsocket.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_SIZE 65536 /* the kernel's dump messages are 32 KiB at most */
#define ANSWER_TIMEOUT 5000 /* ms, of silence */
#define DRAIN_MAX 65536 /* datagrams */

struct nlsocket {
	struct mnl_socket *mnl;
	uint32_t sequence;
	char message[200];
	char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
};

/* The answer to the requests first to last, as far as it has come. */
struct answer {
	uint32_t first, last;
	int ignore;
	int result;
	bool done, interrupted;
	int (*each)(const struct nlmsghdr *message, void *data);
	void *data;
};

int nlsocket_open(int bus, struct nlsocket **ret)
{
	_cleanup_(nlsocket_closep) struct nlsocket *socket = calloc(1, sizeof(*socket));
	int on = 1;

	if (!socket)
		return -ENOMEM;
	socket->mnl = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!socket->mnl || mnl_socket_bind(socket->mnl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* All three are for comfort; a kernel without them is served as well. */
	mnl_socket_setsockopt(socket->mnl, NETLINK_CAP_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(socket->mnl, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(socket->mnl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*ret = TAKE_PTR(socket);
	return 0;
}

struct nlsocket *nlsocket_close(struct nlsocket *socket)
{
	if (!socket)
		return NULL;
	if (socket->mnl)
		mnl_socket_close(socket->mnl);
	free(socket);
	return NULL;
}

int nlsocket_fd(const struct nlsocket *socket)
{
	return mnl_socket_get_fd(socket->mnl);
}

static int membership(struct nlsocket *socket, int option, unsigned group)
{
	int number = (int)group;

	return mnl_socket_setsockopt(socket->mnl, option, &number, sizeof(number)) < 0 ? -errno : 0;
}

int nlsocket_join(struct nlsocket *socket, unsigned group)
{
	return membership(socket, NETLINK_ADD_MEMBERSHIP, group);
}

int nlsocket_leave(struct nlsocket *socket, unsigned group)
{
	return membership(socket, NETLINK_DROP_MEMBERSHIP, group);
}

void nlsocket_room(struct nlsocket *socket, int bytes)
{
	int fd = nlsocket_fd(socket);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

const char *nlsocket_message(const struct nlsocket *socket)
{
	return socket->message;
}

int nlsocket_receive(struct nlsocket *socket, const struct nlmsghdr **ret, int *ret_length)
{
	struct sockaddr_nl from = { 0 };
	struct iovec vector = { .iov_base = socket->buffer, .iov_len = sizeof(socket->buffer) };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1, .msg_name = &from };
	ssize_t length;

	do {
		header.msg_namelen = sizeof(from);
		length = recvmsg(nlsocket_fd(socket), &header, MSG_DONTWAIT);
		if (length < 0 && errno != EINTR)
			return -errno;
	} while (length < 0 || header.msg_namelen != sizeof(from) || from.nl_pid != 0);

	if (header.msg_flags & MSG_TRUNC)
		return -ENOBUFS;
	*ret = (const struct nlmsghdr *)socket->buffer;
	*ret_length = (int)length;
	return 0;
}

static int nlsocket_wait(struct nlsocket *socket)
{
	struct pollfd poll_fd = { .fd = nlsocket_fd(socket), .events = POLLIN };
	int r;

	do
		r = poll(&poll_fd, 1, ANSWER_TIMEOUT);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

/* Keeps the sentence that comes with an error. */
static void nlsocket_keep_message(struct nlsocket *socket, const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	size_t offset = sizeof(*error);
	const struct nlattr *attribute;

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(message->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len > sizeof(error->msg))
		offset += NLMSG_ALIGN(error->msg.nlmsg_len - sizeof(error->msg));
	if (offset > mnl_nlmsg_get_payload_len(message))
		return;
	mnl_attr_for_each(attribute, message, offset) {
		size_t length = mnl_attr_get_payload_len(attribute);

		if (mnl_attr_get_type(attribute) != NLMSGERR_ATTR_MSG || length >= sizeof(socket->message))
			continue;
		memcpy(socket->message, mnl_attr_get_payload(attribute), length);
		socket->message[length] = '\0';
	}
}

static void answer_fail(struct answer *answer, int result)
{
	if (answer->result == 0 && result != -answer->ignore)
		answer->result = result;
}

/* One message of an answer. */
static void nlsocket_take(struct nlsocket *socket, const struct nlmsghdr *message, struct answer *answer)
{
	int code = 0;

	if (message->nlmsg_seq - answer->first > answer->last - answer->first)
		return; /* late, of a request that was given up */
	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->interrupted = true;

	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		if (mnl_nlmsg_get_payload_len(message) >= sizeof(code))
			memcpy(&code, mnl_nlmsg_get_payload(message), sizeof(code));
		if (code < 0)
			answer_fail(answer, code);
		if (message->nlmsg_type == NLMSG_ERROR && mnl_nlmsg_get_payload_len(message) >= sizeof(struct nlmsgerr))
			nlsocket_keep_message(socket, message);
		answer->done = answer->done || message->nlmsg_seq == answer->last;
		return;
	}
	if (message->nlmsg_type >= NLMSG_MIN_TYPE && answer->each && answer->result == 0)
		answer_fail(answer, answer->each(message, answer->data));
}

/* A list that is given up goes on in the kernel until it is read to its end, and lets no other begin: EBUSY. */
static void nlsocket_drain(struct nlsocket *socket)
{
	const struct nlmsghdr *message;
	int length;

	for (int i = 0; i < DRAIN_MAX; i++)
		if (nlsocket_receive(socket, &message, &length) == -EAGAIN)
			return;
}

static int nlsocket_finish(struct nlsocket *socket, struct answer *answer)
{
	while (!answer->done) {
		const struct nlmsghdr *message;
		int length, r;

		r = nlsocket_wait(socket);
		if (r == 0)
			r = nlsocket_receive(socket, &message, &length);
		if (r == -EAGAIN)
			continue;
		if (r < 0) {
			nlsocket_drain(socket);
			return r;
		}
		for (; nlmessage_fits(message, length); message = mnl_nlmsg_next(message, &length))
			nlsocket_take(socket, message, answer);
	}
	return answer->result == 0 && answer->interrupted ? -EINTR : answer->result;
}

int nlsocket_query(struct nlsocket *socket, struct nlmsghdr *request,
		   int (*each)(const struct nlmsghdr *message, void *data), void *data)
{
	bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	struct answer answer = { .each = each, .data = data };

	request->nlmsg_seq = ++socket->sequence;
	request->nlmsg_flags |= NLM_F_REQUEST | (dump ? 0 : NLM_F_ACK);
	answer.first = answer.last = socket->sequence;
	socket->message[0] = '\0';
	if (mnl_socket_sendto(socket->mnl, request, request->nlmsg_len) < 0)
		return -errno;
	return nlsocket_finish(socket, &answer);
}

int nlsocket_send_all(struct nlsocket *socket, void *requests, size_t length, int ignore)
{
	struct answer answer = { .first = socket->sequence + 1, .ignore = ignore };
	struct nlmsghdr *request = requests, *last = NULL;
	int left = (int)length;

	for (; nlmessage_fits(request, left); request = mnl_nlmsg_next(request, &left)) {
		request->nlmsg_seq = ++socket->sequence;
		request->nlmsg_flags |= NLM_F_REQUEST;
		last = request;
	}
	if (!last)
		return 0;
	last->nlmsg_flags |= NLM_F_ACK; /* errors are told without asking, and come before this */
	answer.last = socket->sequence;
	socket->message[0] = '\0';
	if (mnl_socket_sendto(socket->mnl, requests, length) < 0)
		return -errno;
	return nlsocket_finish(socket, &answer);
}
