/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define ROOT "/proc/sys/"
#define FIRST "net/"
#define PATH_SIZE 256

/* No part of a path is empty or made of dots, and all begin with net/. */
static bool path_valid(const char *path)
{
	if (strncmp(path, FIRST, strlen(FIRST)) != 0)
		return false;
	while (*path) {
		size_t length = strcspn(path, "/");

		if (length == 0 || strspn(path, ".") >= length)
			return false;
		path += length;
		if (*path == '/' && *++path == '\0')
			return false;
	}
	return true;
}

static int sysctl_open(const char *path, int flags)
{
	char full[sizeof(ROOT) + PATH_SIZE] = ROOT, *own = full + strlen(ROOT);
	int fd;

	if (strlen(path) >= PATH_SIZE)
		return -EINVAL;
	strcpy(own, path);
	for (char *c = own; !strchr(path, '/') && *c; c++)
		if (*c == '.')
			*c = '/';
	if (!path_valid(own))
		return -EINVAL;
	fd = open(full, flags | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int sysctl_read(const char *path, char *value, size_t size)
{
	_cleanup_close_ int fd = sysctl_open(path, O_RDONLY);
	char buffer[1024];
	ssize_t length;

	if (fd < 0)
		return fd;
	length = read(fd, buffer, sizeof(buffer));
	if (length < 0)
		return -errno;
	while (length > 0 && buffer[length - 1] == '\n')
		length--;
	if ((size_t)length >= sizeof(buffer) || (size_t)length >= size)
		return -ENOBUFS;
	memcpy(value, buffer, (size_t)length);
	value[length] = '\0';
	return 0;
}

int sysctl_write(const char *path, const char *value)
{
	_cleanup_close_ int fd = sysctl_open(path, O_WRONLY);
	size_t length = strlen(value);
	ssize_t written;

	if (fd < 0)
		return fd;
	written = write(fd, value, length); /* at once: a setting is taken from the start only */
	if (written < 0)
		return -errno;
	return (size_t)written == length ? 0 : -EIO;
}
