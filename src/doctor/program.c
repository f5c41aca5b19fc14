/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "doctor/exam.h"

/* Programs that only list: no shell, nothing of our environment, bounded in time and in what they say. */

#define OUTPUT_MAX (64u << 20)
#define SECONDS_MAX 20
#define EXIT_NOT_FOUND 127

static void become(const char *const *arguments, int output)
{
	static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin" };
	char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	char path[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(nothing, STDERR_FILENO) < 0)
		_exit(1);
	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], arguments[0]);
		execve(path, (char *const *)arguments, environment);
		if (errno != ENOENT && errno != ENOTDIR)
			_exit(1);
	}
	_exit(EXIT_NOT_FOUND);
}

static int left_ms(const struct timespec *start)
{
	struct timespec now;
	long passed;

	clock_gettime(CLOCK_MONOTONIC, &now);
	passed = (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
	return passed >= SECONDS_MAX * 1000L ? 0 : (int)(SECONDS_MAX * 1000L - passed);
}

static int read_output(int fd, char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = NULL;
	struct timespec start;
	size_t used = 0, room = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (used + 1 >= room) {
			char *grown = realloc(text, room ? room * 2 : 65536);

			if (!grown)
				return -ENOMEM;
			text = grown;
			room = room ? room * 2 : 65536;
		}
		if (poll(&wait, 1, left_ms(&start)) == 0)
			return -ETIMEDOUT;
		n = read(fd, text + used, room - used - 1);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0)
			break;
		used += n > 0 ? (size_t)n : 0;
		if (used > OUTPUT_MAX)
			return -E2BIG;
	}
	text[used] = '\0';
	*ret = TAKE_PTR(text);
	*ret_length = used;
	return 0;
}

int program_run(const char *const *arguments, char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = NULL;
	int ends[2], status, r;
	size_t length = 0;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		become(arguments, ends[1]);
	r = child < 0 ? -errno : 0;
	close(ends[1]);
	if (r == 0)
		r = read_output(ends[0], &text, &length);
	close(ends[0]);
	if (child < 0)
		return r;
	if (r < 0)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_FOUND ? -ENOENT : -EIO;
	*ret = TAKE_PTR(text);
	*ret_length = length;
	return 0;
}
