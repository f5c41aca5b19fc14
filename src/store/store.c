/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define POLICY_FILE "policy.yaml"
#define ACTIVE_FILE "active"
#define LOCK_FILE "lock"
#define READ_MAX (17u << 20)

struct store {
	int folder, lock;
	char *policy_path;
};

static int make_folders(const char *folder)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s", folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int store_open(const char *folder, struct store **ret, struct error *error)
{
	struct store *store;
	int r = make_folders(folder);

	if (r < 0)
		return error_set(error, -r, "%s: %s: the state folder cannot be made", folder, strerror(-r));
	store = calloc(1, sizeof(*store));
	if (!store)
		return error_memory(error);
	store->lock = -1;
	store->folder = open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (store->folder >= 0)
		store->lock = openat(store->folder, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock < 0)
		r = error_set(error, errno, "%s: %s", folder, strerror(errno));
	else if (flock(store->lock, LOCK_EX | LOCK_NB) < 0)
		r = error_set(error, EBUSY, "another sprd is running with the state folder %s", folder);
	else if (asprintf(&store->policy_path, "%s/" POLICY_FILE, folder) < 0)
		r = error_memory(error);
	if (r < 0) {
		store_close(store);
		return r;
	}
	*ret = store;
	return 0;
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	closep(&store->lock);
	closep(&store->folder);
	free(store->policy_path);
	free(store);
	return NULL;
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

int store_read_policy(struct store *store, char **ret, size_t *ret_length, struct error *error)
{
	_cleanup_close_ int fd = openat(store->folder, POLICY_FILE, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, ret, ret_length);

	if (r < 0)
		return error_set(error, -r, "%s: %s", store->policy_path, strerror(-r));
	return 0;
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

/* A new file beside the old one takes its name when it is whole on the disk. */
static int replace_file(struct store *store, const char *name, const char *text)
{
	char new_name[64];
	int fd, r;

	snprintf(new_name, sizeof(new_name), "%s.new", name);
	fd = openat(store->folder, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(store->folder, new_name, store->folder, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(store->folder, new_name, 0);
		return r;
	}
	return fsync(store->folder) < 0 ? -errno : 0;
}

int store_write_policy(struct store *store, const char *text, struct error *error)
{
	int r = replace_file(store, POLICY_FILE, text);

	if (r < 0)
		return error_set(error, -r, "%s: %s: the policy was not saved and not changed", store->policy_path,
				 strerror(-r));
	return 0;
}

bool store_active(const struct store *store)
{
	return faccessat(store->folder, ACTIVE_FILE, F_OK, 0) == 0;
}

int store_set_active(struct store *store, bool active, struct error *error)
{
	int r = 0;

	if (active)
		r = replace_file(store, ACTIVE_FILE, "The policy beside this file is enforced: see sprd(8).\n");
	else if (unlinkat(store->folder, ACTIVE_FILE, 0) < 0 && errno != ENOENT)
		r = -errno;
	else if (fsync(store->folder) < 0)
		r = -errno;
	return r < 0 ? error_set(error, -r, "the state folder cannot be written: %s", strerror(-r)) : 0;
}

const char *store_policy_path(const struct store *store)
{
	return store->policy_path;
}
