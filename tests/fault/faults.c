/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * To be preloaded into sprd: counts its calls to netlink, to malloc() and for descriptors, and lets the chosen ones fail.
 * The test chooses, while sprd runs, by a file that both have mapped.
 */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static struct faults *faults;
static pid_t owner; /* a child that has not become another program yet is left alone */

__attribute__((constructor)) static void faults_map(void)
{
	const char *path = getenv("SPR_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = MAP_FAILED;

	if (fd >= 0) {
		map = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	owner = getpid();
	/* what sprd starts is not meant */
	unsetenv("LD_PRELOAD");
	if (map != MAP_FAILED)
		faults = map;
}

/* Counts a call, and says whether it is to fail. errno is set then. */
static bool fails(enum fault fault)
{
	uint32_t call;

	if (!faults || owner != getpid())
		return false;
	call = ++faults->calls[fault];
	if (faults->fault != fault || !faults->at || call < faults->at || call - faults->at >= faults->times)
		return false;
	faults->failed++;
	if (faults->error == FAULT_DIE)
		_exit(128 + SIGKILL);
	if (faults->error == FAULT_SLOW) {
		sleep(1);
		return false;
	}
	errno = (int)faults->error;
	return true;
}

static bool is_netlink(int fd)
{
	int family = 0;
	socklen_t length = sizeof(family);

	return faults && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family == AF_NETLINK;
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

ssize_t sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to, socklen_t length)
{
	static __typeof__(&sendto) next;

	if (!next)
		next = NEXT(sendto);
	return is_netlink(fd) && fails(FAULT_SEND) ? -1 : next(fd, bytes, n, flags, to, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	static __typeof__(&sendmsg) next;

	if (!next)
		next = NEXT(sendmsg);
	return is_netlink(fd) && fails(FAULT_SEND) ? -1 : next(fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	static __typeof__(&recvmsg) next;
	ssize_t n;

	if (!next)
		next = NEXT(recvmsg);
	if (!is_netlink(fd))
		return next(fd, message, flags);
	if (fails(FAULT_RECEIVE))
		return -1;
	n = next(fd, message, flags);
	if (n <= 0)
		return n; /* there was none: nothing can be lost of it */
	if (fails(FAULT_LOST))
		return -1;
	if (fails(FAULT_CUT)) {
		message->msg_flags |= MSG_TRUNC;
		return n / 2;
	}
	return n;
}

void *malloc(size_t size)
{
	return fails(FAULT_MEMORY) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails(FAULT_MEMORY) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return fails(FAULT_MEMORY) ? NULL : __libc_realloc(old, size);
}

int socket(int family, int type, int protocol)
{
	static __typeof__(&socket) next;

	if (!next)
		next = NEXT(socket);
	return fails(FAULT_SOCKET) ? -1 : next(family, type, protocol);
}

int accept4(int fd, struct sockaddr *from, socklen_t *length, int flags)
{
	static __typeof__(&accept4) next;

	if (!next)
		next = NEXT(accept4);
	return fails(FAULT_ACCEPT) ? -1 : next(fd, from, length, flags);
}

int accept(int fd, struct sockaddr *from, socklen_t *length)
{
	static __typeof__(&accept) next;

	if (!next)
		next = NEXT(accept);
	return fails(FAULT_ACCEPT) ? -1 : next(fd, from, length);
}

int fsync(int fd)
{
	static __typeof__(&fsync) next;

	if (!next)
		next = NEXT(fsync);
	return fails(FAULT_SYNC) ? -1 : next(fd);
}

int fdatasync(int fd)
{
	static __typeof__(&fdatasync) next;

	if (!next)
		next = NEXT(fdatasync);
	return fails(FAULT_SYNC) ? -1 : next(fd);
}

/* Only the clock that people set: the one that timers run by does not jump. */
int clock_gettime(clockid_t clock, struct timespec *at)
{
	static __typeof__(&clock_gettime) next;
	int r;

	if (!next)
		next = NEXT(clock_gettime);
	r = next(clock, at);
	if (r == 0 && clock == CLOCK_REALTIME && faults)
		at->tv_sec += faults->clock;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	if (ret)
		*ret = at.tv_sec;
	return at.tv_sec;
}
