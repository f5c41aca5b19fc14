/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sandbox, from inside: each test enters it in a child and tries things there. Needs root; a layer that this kernel
 * or this build lacks is skipped with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/helper.h"
#include "daemon/sandbox.h"
#include "daemon/sandbox_private.h"

#define KILLED (-1000) /* by SIGSYS */
#define ALL ((1U << _SANDBOX_MAX) - 1)
#define BUT(layer) (ALL & ~(1U << (layer)))

static char folder[] = "/tmp/spr-sandbox-XXXXXX";
static char inside[64], outside[64];

static const int net_admin[] = { CAP_NET_ADMIN };

/* As the daemon's: one folder to write, one of /proc to read. */
static int enter(unsigned skip, struct sandbox_report *report)
{
	const struct sandbox_path paths[] = {
		{ inside, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CREATE },
		{ "/proc/sys/net", SANDBOX_READ },
		{ "/nowhere", SANDBOX_READ },
	};
	const struct sandbox_profile profile = {
		.capabilities = net_admin, .n_capabilities = 1, .paths = paths, .n_paths = ELEMENTSOF(paths)
	};
	struct error error;

	return sandbox_enter(&profile, skip, report, &error);
}

/* What `try` returns in the sandbox: 0 or more, a negative errno, or KILLED. */
static int in_sandbox(unsigned skip, int (*try)(void))
{
	int pipes[2], status, result = -EPIPE;
	struct sandbox_report report;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		result = enter(skip, &report);
		if (result == 0)
			result = try();
		_exit(write(pipes[1], &result, sizeof(result)) != sizeof(result));
	}
	close(pipes[1]);
	if (read(pipes[0], &result, sizeof(result)) != sizeof(result))
		result = -EPIPE;
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? KILLED : result;
}

static int code(long r)
{
	return r < 0 ? -errno : (int)r;
}

/* A layer that cannot be had here is skipped, with the reason. */
static struct sandbox_report here;

static bool has(enum sandbox_layer layer)
{
	if (here.why[layer][0])
		print_message("# without %s: %s\n", sandbox_layer_names[layer], here.why[layer]);
	return !here.why[layer][0];
}

#define NEEDS(layer)                                                                                                   \
	do {                                                                                                           \
		if (!has(layer))                                                                                       \
			skip();                                                                                        \
	} while (0)

/* Files. */

static int open_shadow(void)
{
	return code(open("/etc/shadow", O_RDONLY)) >= 0 ? 0 : -errno;
}

static int read_sysctl(void)
{
	char text[8];
	int fd = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY);

	return fd < 0 ? -errno : code(read(fd, text, sizeof(text))) > 0 ? 0 : -EIO;
}

static int read_other_sysctl(void)
{
	return code(open("/proc/sys/kernel/ostype", O_RDONLY)) >= 0 ? 0 : -errno;
}

static int write_outside(void)
{
	return code(open(outside, O_WRONLY | O_CREAT, 0600)) >= 0 ? 0 : -errno;
}

/* What the store does, and SQLite. */
static int use_folder(void)
{
	char path[80], other[80];
	int fd, r = 0;
	void *memory;

	snprintf(path, sizeof(path), "%s/file.new", inside);
	snprintf(other, sizeof(other), "%s/file", inside);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0640) < 0 || fchown(fd, 0, 0) < 0)
		return -errno;
	r = fcntl(fd, F_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 });
	if (r < 0 || pwrite(fd, "abcd", 4, 0) != 4 || ftruncate(fd, 8192) < 0 || fdatasync(fd) < 0)
		return -errno;
	memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED || munmap(memory, 8192) < 0)
		return -errno;
	return rename(path, other) < 0 || unlink(other) < 0 ? -errno : 0;
}

/* Every version that a kernel may have, by what the versions up to it can do. */
static int older_landlock;

static int enter_older(void)
{
	const struct sandbox_path paths[] = { { inside, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CREATE } };
	const struct sandbox_profile profile = { .paths = paths, .n_paths = 1 };
	struct error error;
	int r = sandbox_landlock(&profile, older_landlock, &error);

	if (r >= 0 && open_shadow() != -EACCES)
		return -EEXIST;
	return r < 0 ? r : use_folder();
}

static void test_landlock_versions(void **state)
{
	NEEDS(SANDBOX_LANDLOCK);
	for (older_landlock = 1; older_landlock < 8; older_landlock++)
		assert_int_equal(in_sandbox(BUT(SANDBOX_CAPABILITIES), enter_older), 0);
}

static int signal_parent(void)
{
	return code(kill(getppid(), 0));
}

static void test_landlock(void **state)
{
	unsigned only = BUT(SANDBOX_LANDLOCK);

	NEEDS(SANDBOX_LANDLOCK);
	assert_int_equal(open_shadow(), 0);
	assert_int_equal(in_sandbox(only, open_shadow), -EACCES);
	assert_int_equal(in_sandbox(only, write_outside), -EACCES);
	assert_int_equal(in_sandbox(only, read_other_sysctl), -EACCES);
	assert_int_equal(in_sandbox(only, read_sysctl), 0);
	/* all layers together */
	assert_int_equal(in_sandbox(0, open_shadow), -EACCES);
	assert_int_equal(in_sandbox(0, use_folder), 0);
	assert_int_equal(in_sandbox(0, read_sysctl), 0);
	assert_int_equal(in_sandbox(0, signal_parent), -EPERM);
}

static int drop_caches = -1;

static int read_after_drop(void)
{
	return write(drop_caches, "2", 1) < 0 ? -errno : read_sysctl();
}

/* A rule holds for a folder in /proc also when the kernel has let go of all that nobody uses. */
static void test_proc_forgotten(void **state)
{
	NEEDS(SANDBOX_LANDLOCK);
	drop_caches = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (drop_caches < 0)
		skip();
	assert_int_equal(in_sandbox(0, read_after_drop), 0);
	close(drop_caches);
}

/* System calls. */

static int forbidden_execve(void)
{
	char *arguments[] = { "true", NULL };

	return code(execve("/bin/true", arguments, arguments + 1));
}

static int forbidden_mount(void)
{
	return code(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int forbidden_ptrace(void)
{
	return code(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int forbidden_unshare(void)
{
	return code(syscall(SYS_unshare, 0));
}

static int forbidden_bpf(void)
{
	return code(syscall(SYS_bpf, 0, NULL, 0));
}

static int forbidden_keyctl(void)
{
	return code(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int forbidden_userfaultfd(void)
{
	return code(syscall(SYS_userfaultfd, 0));
}

static int forbidden_module(void)
{
	return code(syscall(SYS_finit_module, -1, "", 0));
}

static int forbidden_kexec(void)
{
	return code(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static int refused_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return code(pid);
}

static int refused_vfork(void)
{
	return code(syscall(SYS_clone, SIGCHLD | CLONE_VM, NULL, NULL, NULL, NULL));
}

static int refused_inet(void)
{
	return code(socket(AF_INET, SOCK_STREAM, 0));
}

static int refused_packet(void)
{
	return code(socket(AF_PACKET, SOCK_RAW, 0));
}

/* The upper half of the register is not the kernel's to look at: it must not hide a domain. */
static int refused_wide(void)
{
	return code(syscall(SYS_socket, (1UL << 32) | AF_INET, SOCK_STREAM, 0));
}

static int refused_chmod(void)
{
	return code(chmod(folder, 0755));
}

static int refused_chown(void)
{
	return code(lchown(folder, 0, 0));
}

static int refused_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ?
		       -errno :
		       0;
}

static int refused_later_code(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? -EIO : code(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static int refused_terminal(void)
{
	return code(syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"));
}

static int refused_uring(void)
{
	return code(syscall(SYS_io_uring_setup, 1, NULL));
}

static int refused_kill(void)
{
	return code(kill(getppid(), 0));
}

static void *thread(void *data)
{
	char *memory = malloc(1 << 20);

	memset(memory, 1, 1 << 20);
	free(memory);
	*(int *)data = refused_inet(); /* a thread of the inside is inside */
	return NULL;
}

static int used_thread(void)
{
	int result = 1;
	pthread_t id;

	if (pthread_create(&id, NULL, thread, &result) != 0 || pthread_join(id, NULL) != 0)
		return -EAGAIN;
	return result;
}

static int used_sockets(void)
{
	int fds[2];

	if (socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -errno;
	return socket(AF_NETLINK, SOCK_RAW, 12) < 0 ? -errno : 0;
}

static const struct attempt {
	const char *name;
	int (*try)(void);
	int result;
} attempts[] = {
	{ "execve", forbidden_execve, KILLED },
	{ "mount", forbidden_mount, KILLED },
	{ "ptrace", forbidden_ptrace, KILLED },
	{ "unshare", forbidden_unshare, KILLED },
	{ "bpf", forbidden_bpf, KILLED },
	{ "keyctl", forbidden_keyctl, KILLED },
	{ "userfaultfd", forbidden_userfaultfd, KILLED },
	{ "finit_module", forbidden_module, KILLED },
	{ "kexec_load", forbidden_kexec, KILLED },
	{ "fork", refused_fork, -EPERM },
	{ "vfork", refused_vfork, -EPERM },
	{ "socket AF_INET", refused_inet, -EPERM },
	{ "socket AF_PACKET", refused_packet, -EPERM },
	{ "socket, wide", refused_wide, -EPERM },
	{ "chmod", refused_chmod, -EPERM },
	{ "lchown", refused_chown, -EPERM },
	{ "mmap of code", refused_code, -EPERM },
	{ "mprotect of code", refused_later_code, -EPERM },
	{ "TIOCSTI", refused_terminal, -EPERM },
	{ "io_uring_setup", refused_uring, -EPERM },
	{ "kill", refused_kill, -EPERM },
	{ "socket in a thread", used_thread, -EPERM },
	{ "sockets in use", used_sockets, 0 },
	{ "the state folder", use_folder, 0 },
	{ "a sysctl", read_sysctl, 0 },
};

static void test_seccomp(void **state)
{
	NEEDS(SANDBOX_SECCOMP);
	for (size_t i = 0; i < ELEMENTSOF(attempts); i++) {
		int result = in_sandbox(BUT(SANDBOX_SECCOMP), attempts[i].try), all = in_sandbox(0, attempts[i].try);

		if (result != attempts[i].result || all != result)
			fail_msg("%s: %d, and %d with all layers, not %d", attempts[i].name, result, all,
				 attempts[i].result);
	}
}

/* Capabilities. */

static unsigned long long status_number(const char *key, int base)
{
	char text[8192];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t length = read(fd, text, sizeof(text) - 1);
	char *line;

	close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	line = strstr(text, key);
	return line ? strtoull(line + strlen(key) + 1, NULL, base) : ~0ULL;
}

static int count_capabilities(void)
{
	static const char *const sets[] = { "CapPrm", "CapEff", "CapBnd" };

	for (size_t i = 0; i < ELEMENTSOF(sets); i++)
		if (status_number(sets[i], 16) != 1ULL << CAP_NET_ADMIN)
			return -(int)i - 1;
	if (status_number("CapInh", 16) || status_number("CapAmb", 16))
		return -10;
	return status_number("NoNewPrivs", 10) == 1 ? 0 : -11;
}

static int bind_low(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(1) };

	return code(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof(address)));
}

static void test_capabilities(void **state)
{
	unsigned long long needed = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_SETPCAP;

	if ((status_number("CapEff", 16) & needed) != needed) {
		print_message("# without CAP_NET_ADMIN or CAP_SETPCAP\n");
		skip();
	}
	assert_int_equal(in_sandbox(BUT(SANDBOX_CAPABILITIES), count_capabilities), 0);
	assert_int_equal(in_sandbox(BUT(SANDBOX_CAPABILITIES), bind_low), -EACCES);
	assert_int_equal(in_sandbox(BUT(SANDBOX_CAPABILITIES), refused_chown), 0); /* its own: no capability needed */
}

/* Kernels without. */

static int enter_without(const char *call, int argument, int error, struct sandbox_report *ret)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp compare = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)argument };
	int r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(error), seccomp_syscall_resolve_name(call), argument >= 0,
				       &compare);

	if (r >= 0 && argument >= 0) /* the older way to the same */
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), SCMP_SYS(prctl), 1,
				     SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
	if (r >= 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? r : enter(0, ret);
}

static int no_landlock(void)
{
	struct sandbox_report report;

	if (enter_without("landlock_create_ruleset", -1, ENOSYS, &report) < 0)
		return -1;
	if (!report.why[SANDBOX_LANDLOCK][0] || report.why[SANDBOX_CAPABILITIES][0] || report.why[SANDBOX_SECCOMP][0])
		return -2;
	return strstr(report.why[SANDBOX_LANDLOCK], "5.13") ? refused_inet() : -3;
}

static int disabled_landlock(void)
{
	struct sandbox_report report;

	if (enter_without("landlock_create_ruleset", -1, EOPNOTSUPP, &report) < 0)
		return -1;
	return strstr(report.why[SANDBOX_LANDLOCK], "lsm=") ? refused_inet() : -3;
}

static int no_seccomp(void)
{
	struct sandbox_report report;

	if (enter_without("seccomp", 1 /* SECCOMP_SET_MODE_FILTER */, EINVAL, &report) < 0)
		return -1;
	if (!report.why[SANDBOX_SECCOMP][0] || report.why[SANDBOX_CAPABILITIES][0] || report.why[SANDBOX_LANDLOCK][0])
		return -2;
	return open_shadow();
}

static void test_older_kernels(void **state)
{
	NEEDS(SANDBOX_SECCOMP);
	assert_int_equal(in_sandbox(ALL, no_landlock), -EPERM);
	assert_int_equal(in_sandbox(ALL, disabled_landlock), -EPERM);
	NEEDS(SANDBOX_LANDLOCK);
	assert_int_equal(in_sandbox(ALL, no_seccomp), -EACCES);
}

static void *wait_forever(void *data)
{
	pause();
	return data;
}

static int enter_with_thread(void)
{
	struct sandbox_report report;
	pthread_t id;

	return pthread_create(&id, NULL, wait_forever, NULL) != 0 ? -1 : enter(0, &report);
}

static void test_threads_refused(void **state)
{
	assert_int_equal(in_sandbox(ALL, enter_with_thread), -EBUSY);
}

static void test_layers(void **state)
{
	unsigned layers = 0;

	assert_int_equal(sandbox_parse_layers(NULL, &layers), 0);
	assert_int_equal(layers, ALL);
	assert_int_equal(sandbox_parse_layers("landlock,seccomp", &layers), 0);
	assert_int_equal(layers, 1U << SANDBOX_LANDLOCK | 1U << SANDBOX_SECCOMP);
	assert_int_equal(sandbox_parse_layers("", &layers), -EINVAL);
	assert_int_equal(sandbox_parse_layers("land", &layers), -EINVAL);
	assert_int_equal(sandbox_parse_layers("landlock,,seccomp", &layers), -EINVAL);
}

/* Helpers. */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void assert_ended(struct helper *helper)
{
	pid_t pid = helper->pid;
	int status;

	close(helper->fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_file_helper(void **state)
{
	char path[200], root[100], text[16] = "";
	struct helper helper = { 0 };
	struct addr addr;
	int fd;

	snprintf(root, sizeof(root), "%s/docker", folder);
	assert_int_equal(mkdir(root, 0700), 0);
	snprintf(path, sizeof(path), "%s/containers", root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/containers/" ID, root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/containers/" ID "/hostconfig.json", root);
	write_file(path, "{}");
	snprintf(path, sizeof(path), "%s/resolv.conf", folder);
	assert_int_equal(helper_start(&file_helper, 0, path, &helper, NULL), 0);

	assert_int_equal(file_helper_resolver(&helper, &addr), -ENOENT);
	write_file(path, "nameserver 192.0.2.53\n");
	assert_int_equal(file_helper_resolver(&helper, &addr), 0);
	assert_int_equal(addr.bytes[3], 53);
	fd = file_helper_docker(&helper, root, ID);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 2);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);

	/* nothing but such a file */
	assert_int_equal(file_helper_docker(&helper, root, "../" ID), -ENAMETOOLONG);
	assert_int_equal(file_helper_docker(&helper, root, "../../etc"), -EINVAL);
	assert_int_equal(file_helper_docker(&helper, "docker", ID), -EINVAL);
	snprintf(text, sizeof(text), "/tmp/../tmp");
	assert_int_equal(file_helper_docker(&helper, text, ID), -EINVAL);
	assert_int_equal(file_helper_docker(&helper, "/tmp", ID), -ENOENT);
	snprintf(path, sizeof(path), "%s/containers/" ID "/hostconfig.json", root);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/shadow", path), 0);
	assert_int_equal(file_helper_docker(&helper, root, ID), -ELOOP);
	assert_int_equal(unlink(path), 0);

	/* one that has ended is not waited for */
	assert_int_equal(kill(helper.pid, SIGKILL), 0);
	assert_int_equal(file_helper_docker(&helper, root, ID), -EPIPE);
	assert_int_equal(file_helper_resolver(&helper, &addr), -EPIPE);
	assert_int_equal(helper.pid, 0);
}

/* A program that says what it was asked, and lists what the file `rules` holds. */
static void make_iptables(const char *name)
{
	char path[100], text[1000];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(text, sizeof(text),
		 "#!/bin/sh\n"
		 "echo \"$*\" >>%s/asked\n"
		 "case $3 in\n"
		 "-S) cat %s/rules ;;\n"
		 "-D) sed -i \"$(($5 + 1))d\" %s/rules ;;\n"
		 "-I) sed -i \"$5a -A DOCKER-USER -m mark --mark $9 -j ACCEPT\" %s/rules ;;\n"
		 "esac\n",
		 folder, folder, folder, folder);
	write_file(path, text);
	assert_int_equal(chmod(path, 0755), 0);
}

static void ask_iptables(const struct helper *helper, unsigned program, unsigned present, int error)
{
	struct iptables_request request = { .program = (uint8_t)program, .present = (uint8_t)present };
	struct iptables_answer answer = { .error = -1 };

	assert_int_equal(send(helper->fd, &request, sizeof(request), 0), sizeof(request));
	assert_int_equal(recv(helper->fd, &answer, sizeof(answer), 0), sizeof(answer));
	assert_memory_equal(&answer.request, &request, sizeof(request));
	assert_int_equal(answer.error, error);
}

#define CHAIN_HEAD "-N DOCKER-USER\n"
#define USERS "-A DOCKER-USER -s 192.0.2.1/32 -j DROP\n"
#define OURS "-A DOCKER-USER -m mark --mark 0x8000000/0x8000000 -j ACCEPT\n"
#define LAST "-A DOCKER-USER -j RETURN\n"

static void assert_rules(const struct helper *helper, const char *before, unsigned present, const char *after)
{
	char path[100], text[1000] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/rules", folder);
	write_file(path, before);
	ask_iptables(helper, 0, present, 0);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_string_equal(text, after);
}

static void test_iptables_helper(void **state)
{
	struct helper helper = { 0 };
	char path[PATH_MAX], *before = strdup(getenv("PATH"));

	make_iptables("iptables");
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", folder);
	setenv("PATH", path, 1);
	assert_int_equal(helper_start(&iptables_helper, ALL, NULL, &helper, NULL), 0);
	assert_rules(&helper, CHAIN_HEAD LAST, 1, CHAIN_HEAD OURS LAST);
	assert_rules(&helper, CHAIN_HEAD USERS LAST, 1, CHAIN_HEAD USERS OURS LAST);
	assert_rules(&helper, CHAIN_HEAD OURS USERS LAST, 1, CHAIN_HEAD USERS OURS LAST);
	assert_rules(&helper, CHAIN_HEAD USERS OURS LAST, 1, CHAIN_HEAD USERS OURS LAST);
	assert_rules(&helper, CHAIN_HEAD USERS OURS LAST, 0, CHAIN_HEAD USERS LAST);
	assert_rules(&helper, CHAIN_HEAD USERS OURS OURS LAST OURS, 0, CHAIN_HEAD USERS LAST);
	assert_rules(&helper, CHAIN_HEAD USERS, 0, CHAIN_HEAD USERS);

	/* nothing but the four requests; a signal for the group leaves it running */
	assert_int_equal(kill(helper.pid, SIGTERM), 0);
	ask_iptables(&helper, 2, 1, EINVAL);
	ask_iptables(&helper, 0, 2, EINVAL);
	assert_int_equal(send(helper.fd, "abc", 3, 0), 3);
	assert_int_equal(send(helper.fd, "a", 1, 0), 1);
	ask_iptables(&helper, 1, 1, ENOENT); /* and those got no answer */
	assert_ended(&helper);
	setenv("PATH", before, 1);
	free(before);
}

/* The parent's descriptors would keep what hangs on them: an owned table, a lock. */
static void test_helper_holds_nothing(void **state)
{
	struct helper helper = { 0 };
	struct pollfd end = { .events = POLLIN };
	int fds[2];

	assert_int_equal(pipe(fds), 0); /* not close-on-exec, too */
	assert_int_equal(helper_start(&file_helper, 0, "/nowhere", &helper, NULL), 0);
	assert_int_equal(file_helper_resolver(&helper, &(struct addr){ 0 }), -ENOENT);
	close(fds[1]);
	end.fd = fds[0];
	assert_int_equal(poll(&end, 1, 5000), 1); /* hung up: nobody else has the other end */
	assert_true(end.revents & POLLHUP);
	close(fds[0]);
	assert_ended(&helper);
}

/* Which layers can be had here: the report of a child, in memory that both see. */
static void learn(void)
{
	struct sandbox_report *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();

	if (pid == 0) {
		struct sandbox_report report;

		if (enter(0, &report) == 0)
			*shared = report;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	here = *shared;
	munmap(shared, sizeof(*shared));
}

static int set_up(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(inside, sizeof(inside), "%s/in", folder);
	snprintf(outside, sizeof(outside), "%s/outside", folder);
	if (mkdir(inside, 0700) < 0)
		return -1;
	learn();
	return 0;
}

static int tear_down(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_proc_forgotten),
		cmocka_unit_test(test_landlock_versions),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_older_kernels),
		cmocka_unit_test(test_threads_refused),
		cmocka_unit_test(test_file_helper),
		cmocka_unit_test(test_iptables_helper),
		cmocka_unit_test(test_helper_holds_nothing),
	};

	if (geteuid() != 0) {
		puts("root is needed, to give up capabilities");
		return 77;
	}
	return cmocka_run_group_tests_name("sandbox", tests, set_up, tear_down);
}
