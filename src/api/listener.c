/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "api/server.h"

static int another_is_running(const char *path, struct error *error)
{
	return error_set(error, EADDRINUSE, "another sprd is running: it holds %s", path);
}

/* Two daemons that start at once must not both take the socket for stale: the lock decides, and dies with its owner. */
static int take_lock(const char *path, int *ret, struct error *error)
{
	_cleanup_close_ int fd = -1;
	char name[sizeof(((struct socket_file *)NULL)->path) + 8];

	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(error, errno, "cannot open %s: %s", name, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? another_is_running(path, error) :
					      error_set(error, errno, "cannot lock %s: %s", name, strerror(errno));
	*ret = fd;
	fd = -1;
	return 0;
}

static int remove_stale(const struct sockaddr_un *address, struct error *error)
{
	_cleanup_close_ int fd = -1;
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : error_set(error, errno, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(error, EEXIST, "%s exists and is not a socket: move it away, or choose another path",
				 path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(error, errno, "cannot make a socket: %s", strerror(errno));
	/* Nobody listens when the connection is refused; a full queue (EAGAIN) is somebody. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
		return another_is_running(path, error);
	if (unlink(path) < 0)
		return error_set(error, errno, "cannot remove the old socket %s: %s", path, strerror(errno));
	return 0;
}

static int make_directory(const char *path, struct error *error)
{
	char directory[sizeof(((struct socket_file *)NULL)->path)];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return 0;
	*slash = '\0';
	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return error_set(error, errno, "cannot make the directory %s: %s", directory, strerror(errno));
	return 0;
}

static bool find_group(gid_t *ret)
{
	char text[16384];
	struct group entry, *found = NULL;

	if (getgrnam_r(API_GROUP, &entry, text, sizeof(text), &found) != 0 || !found)
		return false;
	*ret = found->gr_gid;
	return true;
}

/* Mode and owner are set between bind and listen, so nobody can connect under any others. */
static int bind_socket(const struct sockaddr_un *address, struct socket_file *file, struct error *error)
{
	const char *path = address->sun_path;

	file->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (file->fd < 0)
		return error_set(error, errno, "cannot make a socket: %s", strerror(errno));
	if (bind(file->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return error_set(error, errno, "cannot make the socket %s: %s", path, strerror(errno));
	memcpy(file->path, path, sizeof(file->path));
	if (file->has_group && geteuid() == 0 && lchown(path, 0, file->group) < 0)
		return error_set(error, errno, "cannot give %s to the group " API_GROUP ": %s", path, strerror(errno));
	if (chmod(path, 0660) < 0)
		return error_set(error, errno, "cannot set the mode of %s: %s", path, strerror(errno));
	return 0;
}

int socket_file_make(const char *path, struct socket_file *ret, struct error *error)
{
	struct socket_file file = { .fd = -1, .lock = -1 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(error, ENAMETOOLONG, "the socket's path is longer than %zu bytes: %s",
				 sizeof(address.sun_path) - 1, path);
	strcpy(address.sun_path, path);
	file.has_group = find_group(&file.group);
	r = make_directory(path, error);
	if (r == 0)
		r = take_lock(path, &file.lock, error);
	if (r == 0)
		r = remove_stale(&address, error);
	if (r == 0)
		r = bind_socket(&address, &file, error);
	if (r < 0) {
		socket_file_close(&file);
		return r;
	}
	*ret = file;
	return 0;
}

void socket_file_close(struct socket_file *file)
{
	if (file->path[0])
		unlink(file->path);
	file->path[0] = '\0';
	closep(&file->fd);
	closep(&file->lock);
	file->fd = file->lock = -1;
}

int socket_peer(int fd, struct api_peer *ret)
{
	struct ucred ucred;
	socklen_t size = sizeof(ucred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
		return -errno;
	*ret = (struct api_peer){ .pid = ucred.pid, .uid = ucred.uid, .gid = ucred.gid };
	return 0;
}

/* The groups the process had when it connected: what the kernel enforces, not what the group file says by now. */
static bool peer_has_group(int fd, gid_t group)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

bool socket_peer_allowed(int fd, const struct api_peer *peer, const struct socket_file *file)
{
	if (peer->uid == 0 || peer->uid == geteuid())
		return true;
	return file->has_group && (peer->gid == file->group || peer_has_group(fd, file->group));
}
