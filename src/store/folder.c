/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define READ_MAX (17u << 20)

static int make_folders(const char *folder)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s", folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST && errno != EROFS ? -errno : 0;
}

int folder_open(const char *path)
{
	int fd, r = make_folders(path);

	if (r < 0)
		return r;
	fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A folder that cannot be written can be locked as well: the lock is on the folder itself then. */
int folder_lock(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EROFS || errno == ENOSPC || errno == EDQUOT || errno == EACCES))
		fd = openat(folder, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

static int read_all(int fd, char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = NULL;
	struct stat status;
	size_t length = 0;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size > READ_MAX)
		return -E2BIG;
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (length < (size_t)status.st_size) {
		ssize_t n = read(fd, text + length, (size_t)status.st_size - length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		if (n > 0)
			length += (size_t)n;
	}
	text[length] = '\0';
	*ret = TAKE_PTR(text);
	*ret_length = length;
	return 0;
}

int folder_read(int folder, const char *name, char **ret, size_t *ret_length)
{
	_cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : read_all(fd, ret, ret_length);
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			length -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int folder_replace(int folder, const char *name, const char *text)
{
	char new_name[64];
	int fd, r;

	snprintf(new_name, sizeof(new_name), "%s.new", name);
	fd = openat(folder, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(folder, new_name, folder, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(folder, new_name, 0);
		return r;
	}
	return fsync(folder) < 0 ? -errno : 0;
}

int folder_remove(int folder, const char *name)
{
	if (unlinkat(folder, name, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return fsync(folder) < 0 ? -errno : 0;
}
