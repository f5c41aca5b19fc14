/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "daemon/sandbox_private.h"

#if defined(__x86_64__) || defined(__aarch64__)
#define KNOWN_MACHINE true
#else
#define KNOWN_MACHINE false
#endif

/*
 * What the daemon and its libraries call once it runs. What is in neither list fails with EPERM, what is in `deadly`
 * ends the process: no part of us calls it, so it is not us who does. The names are those of x86-64 and of arm64.
 */
static const char *const allowed[] = {
	/* memory: mmap and mprotect are below */
	"brk", "madvise", "mremap", "munmap",
	/* descriptors; also SQLite's: locks, shared memory, and what is durable */
	"close", "close_range", "dup", "dup2", "dup3", "fadvise64", "fallocate", "fcntl", "fdatasync", "flock", "fstat",
	"fstatfs", "fsync", "ftruncate", "lseek", "newfstatat", "pread64", "preadv", "preadv2", "pwrite64", "pwritev",
	"pwritev2", "read", "readv", "sync_file_range", "write", "writev",
	/* paths, within landlock; no chmod or chown by path, which landlock does not hold */
	"access", "faccessat", "faccessat2", "fchmod", "fchown", "getcwd", "getdents64", "lstat", "mkdir", "mkdirat",
	"open", "openat", "readlink", "readlinkat", "rename", "renameat", "renameat2", "rmdir", "stat", "statfs",
	"statx", "umask", "unlink", "unlinkat", "utimensat",
	/* waiting */
	"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "inotify_add_watch",
	"inotify_init1", "inotify_rm_watch", "pipe", "pipe2", "poll", "ppoll", "pselect6", "select", "signalfd4",
	"timerfd_create", "timerfd_gettime", "timerfd_settime",
	/* sockets that are there: socket and socketpair are below */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recvfrom",
	"recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
	/* time and chance */
	"clock_getres", "clock_gettime", "clock_nanosleep", "getrandom", "gettimeofday", "nanosleep", "time",
	/* this process and its threads: clone is below */
	"exit", "exit_group", "futex", "get_robust_list", "getegid", "geteuid", "getgid", "getgroups", "getpid",
	"getppid", "getresgid", "getresuid", "getrusage", "gettid", "getuid", "membarrier", "restart_syscall", "rseq",
	"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sched_getaffinity",
	"sched_yield", "set_robust_list", "set_tid_address", "sigaltstack", "sysinfo", "uname", "wait4", "waitid"
};

static const char *const deadly[] = { "add_key",
				      "bpf",
				      "chroot",
				      "delete_module",
				      "execve",
				      "execveat",
				      "finit_module",
				      "fsconfig",
				      "fsmount",
				      "fsopen",
				      "fspick",
				      "init_module",
				      "ioperm",
				      "iopl",
				      "kexec_file_load",
				      "kexec_load",
				      "keyctl",
				      "mount",
				      "mount_setattr",
				      "move_mount",
				      "open_by_handle_at",
				      "open_tree",
				      "perf_event_open",
				      "pivot_root",
				      "process_vm_readv",
				      "process_vm_writev",
				      "ptrace",
				      "quotactl",
				      "reboot",
				      "request_key",
				      "setns",
				      "swapoff",
				      "swapon",
				      "umount2",
				      "unshare",
				      "userfaultfd" };

/* Allowed when one argument, under the mask, is the value. Several rows of one call: one of them is enough. */
static const struct condition {
	const char *name;
	unsigned argument;
	uint64_t mask, value;
} conditions[] = {
	{ "socket", 0, UINT32_MAX, AF_UNIX },
	{ "socket", 0, UINT32_MAX, AF_NETLINK },
	{ "socketpair", 0, UINT32_MAX, AF_UNIX },
	{ "clone", 0, CLONE_THREAD, CLONE_THREAD }, /* a thread, never a process */
	{ "mmap", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	{ "prctl", 0, UINT32_MAX, PR_SET_NAME },
	{ "ioctl", 1, UINT32_MAX, FIONBIO },
	{ "ioctl", 1, UINT32_MAX, FIOCLEX },
	{ "ioctl", 1, UINT32_MAX, FIONREAD },
	{ "ioctl", 1, UINT32_MAX, TCGETS },
};

static int add(scmp_filter_ctx filter, uint32_t action, const char *name, const struct scmp_arg_cmp *compare)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR)
		return 0; /* newer than libseccomp: falls to what is done by default */
	return compare ? seccomp_rule_add_array(filter, action, number, 1, compare) :
			 seccomp_rule_add_array(filter, action, number, 0, NULL);
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const names[], size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = add(filter, action, names[i], NULL);
	return r;
}

static int add_conditions(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp self = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid() };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(conditions) && r >= 0; i++) {
		const struct condition *condition = &conditions[i];
		struct scmp_arg_cmp compare = { .arg = condition->argument,
						.op = SCMP_CMP_MASKED_EQ,
						.datum_a = condition->mask,
						.datum_b = condition->value };

		r = add(filter, SCMP_ACT_ALLOW, condition->name, &compare);
	}
	if (r >= 0) /* abort() */
		r = add(filter, SCMP_ACT_ALLOW, "tgkill", &self);
	if (r >= 0) /* a limit is read, not set */
		r = add(filter, SCMP_ACT_ALLOW, "prlimit64",
			&(struct scmp_arg_cmp){ .arg = 2, .op = SCMP_CMP_EQ, .datum_a = 0 });
	if (r >= 0) /* its flags are in memory and cannot be looked at: glibc then takes clone */
		r = add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL);
	return r;
}

static int fill(scmp_filter_ctx filter, const struct sandbox_profile *profile)
{
	int r;

	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list, where it can */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r >= 0 && !profile->starts_programs)
		r = add_all(filter, SCMP_ACT_KILL_PROCESS, deadly, ELEMENTSOF(deadly));
	for (size_t i = 0; profile->starts_programs && i < ELEMENTSOF(deadly) && r >= 0; i++)
		if (strncmp(deadly[i], "execve", strlen("execve")) != 0)
			r = add(filter, SCMP_ACT_ERRNO(EPERM), deadly[i], NULL);
	if (r < 0 || profile->starts_programs)
		return r;
	r = add_all(filter, SCMP_ACT_ALLOW, allowed, ELEMENTSOF(allowed));
	return r < 0 ? r : add_conditions(filter);
}

int sandbox_seccomp(const struct sandbox_profile *profile, struct error *error)
{
	scmp_filter_ctx filter = seccomp_init(profile->starts_programs ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return error_memory(error);
	if (!KNOWN_MACHINE && !profile->starts_programs) {
		seccomp_release(filter);
		return error_set(error, EOPNOTSUPP, "there is no list of system calls for this kind of machine yet");
	}
	r = fill(filter, profile);
	if (r >= 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	if (r < 0)
		return error_set(error, -r, "this kernel does not take the filter: %s", strerror(-r));
	return 0;
}
