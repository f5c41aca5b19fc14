/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/helper.h"
#include "ruleset/docker_user.h"

/* The rule is written with the same iptables as Docker's: the one in PATH. */

#define CHAIN DOCKER_USER_CHAIN
#define LISTING_MAX 65536
#define SILENCE 30000 /* ms; iptables itself waits for others' lock for 5 s */
#define ROUNDS 16

const char *const iptables_programs[2] = { "iptables", "ip6tables" };

/* What is said is read to the end; -ETIMEDOUT when nothing comes for long. */
static int read_listing(int fd, char *listing)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	size_t length = 0;
	int r = 0;

	while (r == 0) {
		ssize_t n;

		if (poll(&poll_fd, 1, SILENCE) == 0) {
			r = -ETIMEDOUT;
			break;
		}
		n = read(fd, listing + length, LISTING_MAX - 1 - length);
		if (n > 0)
			length += (size_t)n;
		else if (n == 0)
			break;
		else if (errno != EINTR)
			r = -errno;
		if (length == LISTING_MAX - 1)
			r = -EFBIG;
	}
	listing[length] = '\0';
	return r;
}

/* A program with its output in *ret_fd, and nothing else of ours: signals we ignore are not ignored there. */
static int start(char *const arguments[], pid_t *ret_pid, int *ret_fd)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t usual;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	sigemptyset(&usual);
	sigaddset(&usual, SIGINT);
	sigaddset(&usual, SIGTERM);
	sigaddset(&usual, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &usual);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	r = posix_spawnp(ret_pid, arguments[0], &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (r != 0) {
		close(fds[0]);
		return -r;
	}
	*ret_fd = fds[0];
	return 0;
}

/* 0: it ended well; 1: it ended otherwise; negative: it could not be run. */
static int run(char *const arguments[], char *listing)
{
	int status = 0, fd = -1, r;
	pid_t pid = 0;

	r = start(arguments, &pid, &fd);
	if (r < 0)
		return r;
	r = read_listing(fd, listing);
	close(fd);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : status != 0;
}

/* Lists, takes out what is in the wrong place, puts in what is missing; without such a chain there is nothing to do. */
static int ensure(char *program, bool present)
{
	char listing[LISTING_MAX], mark[DOCKER_USER_MARK_MAX], at[16];
	char *list[] = { program, "-w", "5", "-S", CHAIN, NULL };
	char *insert[] = { program, "-w", "5", "-I", CHAIN, at, "-m", "mark", "--mark", mark, "-j", "ACCEPT", NULL };
	char *delete[] = { program, "-w", "5", "-D", CHAIN, at, NULL };
	int r = 0;

	docker_user_mark(mark);
	for (unsigned i = 0; i < ROUNDS && r == 0; i++) {
		struct docker_user_place place;

		r = run(list, listing);
		if (r != 0)
			break;
		place = docker_user_find(listing);
		if (!place.ours && !present)
			break;
		if (place.ours && present && place.right)
			break;
		snprintf(at, sizeof(at), "%u", place.ours ? place.ours : place.end);
		r = run(place.ours ? delete : insert, listing);
		if (!place.ours)
			break;
	}
	return r < 0 ? r : 0;
}

static void answer(int fd, const void *message, size_t length, const char *argument)
{
	struct iptables_answer answer = { .error = EINVAL };

	if (length != sizeof(answer.request))
		return;
	memcpy(&answer.request, message, sizeof(answer.request));
	if (answer.request.program < ELEMENTSOF(iptables_programs) && answer.request.present <= 1)
		answer.error = -ensure((char *)iptables_programs[answer.request.program], answer.request.present);
	(void)send(fd, &answer, sizeof(answer), MSG_NOSIGNAL);
}

static const int capabilities[] = { CAP_NET_ADMIN, CAP_NET_RAW };

/* The lock is that of all iptables on this machine; /dev/null is where messages go. */
static const struct sandbox_path paths[] = {
	{ "/", SANDBOX_READ | SANDBOX_EXECUTE },
	{ "/dev/null", SANDBOX_WRITE },
	{ "/run", SANDBOX_WRITE | SANDBOX_CREATE },
};

const struct helper_kind iptables_helper = {
	.name = "sprd-iptables",
	.profile = { .capabilities = capabilities,
		     .n_capabilities = ELEMENTSOF(capabilities),
		     .paths = paths,
		     .n_paths = ELEMENTSOF(paths),
		     .starts_programs = true },
	.answer = answer,
	.message_max = sizeof(struct iptables_request) + 1, /* one that is too long is seen */
};
