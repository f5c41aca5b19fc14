/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/helper.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"

#define MESSAGE_MAX 8192

/* What the parent had open, but for the messages' end and standard error. */
static void close_others(int fd)
{
	if (fd > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
}

/* The daemon's end decides how long this lives: a signal for the whole group or service is for the daemon. */
static void enter(const struct helper_kind *kind, unsigned skip)
{
	struct sandbox_report report;
	struct error error = { 0 };

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_NAME, kind->name);
	if (sandbox_enter(&kind->profile, skip, &report, &error) < 0) {
		log_error(kind->name, "%s", error.text);
		_exit(1);
	}
}

/* The parent waits for this: from here on nothing is done but within the sandbox. */
static void tell_ready(int fd)
{
	(void)send(fd, "", 1, MSG_NOSIGNAL);
}

static bool wait_ready(int fd)
{
	ssize_t length;
	char byte;

	do
		length = recv(fd, &byte, 1, 0);
	while (length < 0 && errno == EINTR);
	return length == 1;
}

static void serve(const struct helper_kind *kind, int fd, const char *argument)
{
	char message[MESSAGE_MAX];

	for (;;) {
		ssize_t length = recv(fd, message, kind->message_max, 0);

		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			_exit(0);
		kind->answer(fd, message, (size_t)length, argument);
	}
}

int helper_start(const struct helper_kind *kind, unsigned skip, const char *argument, struct helper *ret,
		 struct error *error)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(error, errno, "%s: %s", kind->name, strerror(errno));
	pid = fork();
	if (pid < 0) {
		int code = errno;

		close(fds[0]);
		close(fds[1]);
		return error_set(error, code, "%s: no process can be made: %s", kind->name, strerror(code));
	}
	if (pid == 0) {
		close_others(fds[1]);
		enter(kind, skip);
		tell_ready(fds[1]);
		serve(kind, fds[1], argument);
	}
	close(fds[1]);
	if (!wait_ready(fds[0])) {
		close(fds[0]);
		waitpid(pid, NULL, 0);
		return error_set(error, ECHILD, "%s: it ended at its start", kind->name);
	}
	*ret = (struct helper){ .pid = pid, .fd = fds[0] };
	return 0;
}

void helper_close(struct helper *helper)
{
	if (helper->pid > 0) {
		close(helper->fd);
		waitpid(helper->pid, NULL, WNOHANG);
	}
	*helper = (struct helper){ .fd = -1 };
}
