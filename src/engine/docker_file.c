/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/docker_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILE_MAX (16U << 20)

#define HEAD "{\"Id\":\"%s\",\"HostConfig\":"
#define TAIL "}"

static int read_all(int fd, char *buffer, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t n = read(fd, buffer + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		used += (size_t)n;
	}
	return 0;
}

static int read_wrapped(int fd, const char *id, char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = NULL;
	struct stat status;
	size_t size, head;
	int r;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size <= 0 || status.st_size > FILE_MAX)
		return -EFBIG;
	size = (size_t)status.st_size;
	text = malloc(strlen(id) + sizeof(HEAD) + size + sizeof(TAIL));
	if (!text)
		return -ENOMEM;
	head = (size_t)sprintf(text, HEAD, id);
	r = read_all(fd, text + head, size);
	if (r < 0)
		return r;
	strcpy(text + head + size, TAIL);
	*ret_length = head + size + strlen(TAIL);
	*ret = TAKE_PTR(text);
	return 0;
}

int docker_file_open(const char *root, const char *id)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/containers/%s/hostconfig.json", root, id) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int (*docker_file_opener)(const char *root, const char *id) = docker_file_open;

int docker_file_bindings(const char *root, const char *id, char **ret, size_t *ret_length)
{
	int fd = docker_file_opener(root, id), r;

	if (fd < 0)
		return fd;
	r = read_wrapped(fd, id, ret, ret_length);
	close(fd);
	return r;
}
