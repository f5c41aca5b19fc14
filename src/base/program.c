/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"

#define OUTPUT_MAX (64u << 20)
#define SECONDS_MAX 20
#define EXIT_NOT_FOUND 127

/* The ends that a program is given. */
struct ends {
	int input, output, said;
};

static void become(const char *const *arguments, const struct ends *ends)
{
	static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin" };
	char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	char path[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(ends->input, STDIN_FILENO) < 0 || dup2(ends->output, STDOUT_FILENO) < 0 ||
	    dup2(ends->said, STDERR_FILENO) < 0)
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

/* A file in memory with this text, to be read from its start. */
static int file_of(const char *text)
{
	_cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);
	size_t length = strlen(text), done = 0;
	int result;

	while (fd >= 0 && done < length) {
		ssize_t n = write(fd, text + done, length - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	result = fd;
	fd = -1;
	return result;
}

static void read_said(int fd, char said[PROGRAM_SAID_MAX])
{
	ssize_t n = pread(fd, said, PROGRAM_SAID_MAX - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
}

static int run_with(const char *const *arguments, const struct ends *given, int listen, char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = NULL;
	struct ends ends = *given;
	int status, r = 0;
	size_t length = 0;
	pid_t child = fork();

	if (child == 0)
		become(arguments, &ends);
	close(ends.output);
	if (child < 0)
		return -errno;
	r = read_output(listen, &text, &length);
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

int program_feed(const char *const *arguments, const char *input, char **ret, size_t *ret_length,
		 char ret_said[PROGRAM_SAID_MAX])
{
	_cleanup_close_ int in = file_of(input ? input : ""), said = file_of("");
	int pipes[2], r;

	if (ret_said)
		ret_said[0] = '\0';
	if (in < 0 || said < 0)
		return in < 0 ? in : said;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	r = run_with(arguments, &(struct ends){ in, pipes[1], said }, pipes[0], ret, ret_length);
	close(pipes[0]);
	if (ret_said)
		read_said(said, ret_said);
	return r;
}

int program_run(const char *const *arguments, char **ret, size_t *ret_length)
{
	return program_feed(arguments, NULL, ret, ret_length, NULL);
}
