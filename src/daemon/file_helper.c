/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/helper.h"
#include "engine/docker_file.h"
#include "kernel/resolv.h"

#define ROOT_MAX 1024
#define ID_LENGTH 64
#define WAIT 5000 /* ms: a helper that takes longer does not run any more */

enum question { ASK_RESOLVER, ASK_DOCKER };

struct request {
	uint32_t serial;
	uint32_t question;
	char root[ROOT_MAX], id[ID_LENGTH + 1];
};

/* With a descriptor beside it, when it answers ASK_DOCKER well. */
struct answer {
	uint32_t serial;
	int32_t result;
	struct addr addr;
};

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static bool request_valid(const struct request *request)
{
	if (strnlen(request->root, ROOT_MAX) == ROOT_MAX || strnlen(request->id, ID_LENGTH + 1) != ID_LENGTH)
		return false;
	return request->root[0] == '/' && !strstr(request->root, "/..") &&
	       strspn(request->id, "0123456789abcdef") == ID_LENGTH;
}

static void answer_send(int fd, struct answer *answer, int file)
{
	union control control = { 0 };
	struct iovec vector = { .iov_base = answer, .iov_len = sizeof(*answer) };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1 };
	struct cmsghdr *part;

	if (file >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(file));
		memcpy(CMSG_DATA(part), &file, sizeof(file));
	}
	(void)sendmsg(fd, &header, MSG_NOSIGNAL);
}

static void answer(int fd, const void *message, size_t length, const char *argument)
{
	struct request request;
	struct answer answer = { .result = -EINVAL };
	_cleanup_close_ int file = -1;

	if (length != sizeof(request))
		return;
	memcpy(&request, message, sizeof(request));
	answer.serial = request.serial;
	if (request.question == ASK_RESOLVER) {
		answer.result = resolv_read(argument, &answer.addr);
	} else if (request.question == ASK_DOCKER && request_valid(&request)) {
		file = docker_file_open(request.root, request.id);
		answer.result = file < 0 ? file : 0;
	}
	answer_send(fd, &answer, file);
}

static const struct sandbox_path paths[] = { { "/", SANDBOX_READ } };

const struct helper_kind file_helper = {
	.name = "sprd-files",
	.profile = { .paths = paths, .n_paths = ELEMENTSOF(paths) },
	.answer = answer,
	.message_max = sizeof(struct request),
};

/* The daemon's side. */

static int received_file(struct msghdr *header)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(header);
	int file = -1;

	if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
	    part->cmsg_len == CMSG_LEN(sizeof(file)))
		memcpy(&file, CMSG_DATA(part), sizeof(file));
	return file;
}

static int receive(int fd, struct answer *ret, int *ret_file)
{
	union control control = { 0 };
	struct iovec vector = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr header = { .msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes) };
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	ssize_t length;
	int r;

	do
		r = poll(&poll_fd, 1, WAIT);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return -EPIPE;
	length = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (length != sizeof(*ret))
		return -EPIPE;
	*ret_file = received_file(&header);
	return 0;
}

static int ask(struct helper *helper, struct request *request, struct answer *ret, int *ret_file)
{
	static uint32_t serial;
	int r;

	if (helper->pid <= 0)
		return -EPIPE;
	request->serial = ++serial;
	r = send(helper->fd, request, sizeof(*request), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -EPIPE : 0;
	if (r == 0)
		r = receive(helper->fd, ret, ret_file);
	if (r == 0 && ret->serial != serial)
		r = -EPIPE;
	if (r < 0)
		helper_close(helper);
	return r;
}

int file_helper_resolver(struct helper *helper, struct addr *ret)
{
	struct request request = { .question = ASK_RESOLVER };
	_cleanup_close_ int file = -1;
	struct answer answer;
	int r = ask(helper, &request, &answer, &file);

	if (r < 0 || answer.result < 0)
		return r < 0 ? r : answer.result;
	*ret = answer.addr;
	return 0;
}

int file_helper_docker(struct helper *helper, const char *root, const char *id)
{
	struct request request = { .question = ASK_DOCKER };
	struct answer answer;
	int file = -1, r;

	if (strlen(root) >= sizeof(request.root) || strlen(id) >= sizeof(request.id))
		return -ENAMETOOLONG;
	strcpy(request.root, root);
	strcpy(request.id, id);
	r = ask(helper, &request, &answer, &file);
	if (r < 0 || answer.result < 0)
		return r < 0 ? r : answer.result;
	return file >= 0 ? file : -EIO;
}
