/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/sandbox_private.h"

/*
 * Landlock by system call: see landlock(7) and Documentation/userspace-api/landlock.rst of the kernel. The headers of
 * Debian 12 know the first two versions; the numbers of the later ones are part of the kernel's interface.
 */
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

/* A kernel takes a longer one than it knows, when the rest is zero. */
struct ruleset {
	uint64_t fs, net, scope;
};

/* What a version handles; what is handled and not allowed is forbidden. */
static const struct {
	int version;
	struct ruleset handled;
} versions[] = {
	{ 1, { .fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 } },
	{ 2, { .fs = LANDLOCK_ACCESS_FS_REFER } },
	{ 3, { .fs = FS_TRUNCATE } },
	{ 4, { .net = NET_BIND_TCP | NET_CONNECT_TCP } },
	{ 5, { .fs = FS_IOCTL_DEV } },
	{ 6, { .scope = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL } },
};

static const struct {
	unsigned access;
	uint64_t rights;
} meanings[] = {
	{ SANDBOX_READ, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR },
	{ SANDBOX_WRITE, LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE },
	{ SANDBOX_CREATE, LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE },
	{ SANDBOX_REMOVE, LANDLOCK_ACCESS_FS_REMOVE_FILE },
	{ SANDBOX_EXECUTE, LANDLOCK_ACCESS_FS_EXECUTE },
};

#define FILE_RIGHTS                                                                                                    \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | FS_TRUNCATE)

/*
 * The descriptor stays open while the process lives: a rule is about an inode, and in /proc a folder that nobody holds
 * may get another one.
 */
static int allow(int ruleset, const struct sandbox_path *path, uint64_t handled)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = open(path->path, O_PATH | O_CLOEXEC) };
	struct stat status;

	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fstat(rule.parent_fd, &status) < 0)
		return -errno;
	for (size_t i = 0; i < ELEMENTSOF(meanings); i++)
		if (path->access & meanings[i].access)
			rule.allowed_access |= meanings[i].rights;
	rule.allowed_access &= handled & (S_ISDIR(status.st_mode) ? UINT64_MAX : FILE_RIGHTS);
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

static struct ruleset handled_by(int version)
{
	const char *notify = getenv("NOTIFY_SOCKET");
	struct ruleset handled = { 0 };

	for (size_t i = 0; i < ELEMENTSOF(versions) && versions[i].version <= version; i++) {
		handled.fs |= versions[i].handled.fs;
		handled.net |= versions[i].handled.net;
		handled.scope |= versions[i].handled.scope;
	}
	if (notify && notify[0] == '@') /* the service manager's socket is an abstract one */
		handled.scope &= ~SCOPE_ABSTRACT_UNIX_SOCKET;
	return handled;
}

static int none(const char *what, struct error *error)
{
	if (errno == ENOSYS || errno == EOPNOTSUPP)
		return error_set(error, EOPNOTSUPP, "%s",
				 errno == ENOSYS ? "this kernel has none (Linux 5.13 has)" :
						   "this kernel was started without it (lsm=)");
	return error_set(error, errno, "%s: %s", what, strerror(errno));
}

int sandbox_landlock(const struct sandbox_profile *profile, int most, struct error *error)
{
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_close_ int ruleset = -1;
	struct ruleset handled;

	if (version < 1)
		return none("its version", error);
	handled = handled_by(version < most ? version : most);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (ruleset < 0)
		return none("a new ruleset", error);
	for (size_t i = 0; i < profile->n_paths; i++) {
		int r = allow(ruleset, &profile->paths[i], handled.fs);

		if (r < 0)
			return error_set(error, -r, "%s: %s", profile->paths[i].path, strerror(-r));
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return none("entering", error);
	return 0;
}
