/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/program.h"
#include "doctor/doctor.h"
#include "doctor/exam.h"
#include "inventory/inventory.h"

/*
 * A machine on which every check finds nothing, made of files and of answers; and what a case changes of it.
 */

#define CHANGES_MAX 8
#define STATE "/var/lib/spr"
#define NOW 1767225600 /* 2026 */

struct machine {
	const char *nft, *legacy, *compat; /* what programs print; NULL: not installed */
	int nft_error;
	struct nft_seen spr, owned;
	int look_error;
	struct scratch scratch;
	int scratch_error;
	time_t now;
	bool synchronised;
	struct statfs space;
	struct network network; /* the one that Docker has */
	bool silent; /* Docker does not answer */
};

#define UP                                                                                                                    \
	"{'active': true, 'resolver': '10.0.0.1', 'engine': {'name': 'docker', 'state': 'connected', 'version': '20.10.24', " \
	"'socket': '/var/run/docker.sock'}, 'counts': {'networks': 1}}"
#define DOWN "{'active': false, 'resolver': '10.0.0.1', 'engine': null, 'counts': {'networks': 0}}"

static const struct machine well = {
	.nft = "{'nftables': [{'metainfo': {}}]}",
	.spr = { .there = true, .owned = true, .persistent = true },
	.scratch = { .protection = NFT_PERSIST },
	.now = NOW,
	.synchronised = true,
	.network = { .name = "media", .id = "1", .driver = "bridge" },
	.space = { .f_type = EXT4_SUPER_MAGIC, .f_bsize = 4096, .f_bavail = 1 << 20, .f_files = 1000, .f_ffree = 900 },
};

/* A path that ends in '/' is a folder; a text "-> x" is a symbolic link. */
struct file {
	const char *path, *text;
};

static const struct file well_files[] = {
	{ STATE "/active", "" },
	{ STATE "/policy.yaml", "{}\n" },
	{ "/run/systemd/system/", NULL },
	{ "/etc/systemd/system/multi-user.target.wants/sprd.service", "-> /lib/systemd/system/sprd.service" },
	{ "/lib/systemd/system/sprd.service", "[Unit]\nBefore=docker.service podman.service\n" },
	{ "/proc/1/comm", "systemd\n" },
	{ "/proc/77/comm", "dockerd\n" },
	{ "/proc/77/environ", "" },
	{ "/proc/77/cmdline", "/usr/sbin/dockerd" },
	{ "/proc/sys/net/ipv4/ip_forward", "1\n" },
	{ "/proc/sys/net/ipv4/conf/all/route_localnet", "0\n" },
	{ "/proc/sys/net/ipv4/conf/eth0/route_localnet", "0\n" },
	{ "/proc/sys/net/ipv4/conf/all/accept_redirects", "0\n" },
	{ "/proc/sys/net/ipv4/conf/eth0/accept_redirects", "1\n" },
	{ "/proc/sys/net/ipv4/conf/all/accept_source_route", "0\n" },
	{ "/proc/sys/net/ipv4/conf/eth0/accept_source_route", "1\n" },
	{ "/proc/sys/net/ipv4/conf/all/rp_filter", "0\n" },
	{ "/proc/sys/net/ipv6/conf/eth0/accept_ra", "2\n" },
	{ "/proc/sys/net/ipv6/conf/br0/accept_ra", "1\n" },
	{ "/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n" },
	{ "/proc/sys/net/netfilter/nf_conntrack_max", "65536\n" },
	{ "/proc/sys/net/netfilter/nf_conntrack_count", "100\n" },
	{ "/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "1\n" },
	{ "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "0\n" },
	{ "/sys/class/net/br0/bridge/", NULL },
	{ "/etc/resolv.conf", "nameserver 10.0.0.1\n" },
};

static struct machine machine;
static char root[64];

static char *quoted(const char *text)
{
	char *copy = strdup(text);

	for (char *c = copy; c && *c; c++)
		if (*c == '\'')
			*c = '"';
	return copy;
}

static int fake_run(const char *const *arguments, char **ret, size_t *ret_length)
{
	const char *text = strcmp(arguments[0], "nft") == 0		     ? machine.nft :
			   strcmp(arguments[0], "iptables-legacy-save") == 0 ? machine.legacy :
			   strcmp(arguments[0], "iptables-nft-save") == 0    ? machine.compat :
									       NULL;

	if (strcmp(arguments[0], "nft") == 0 && machine.nft_error)
		return machine.nft_error;
	if (!text)
		return -ENOENT;
	*ret = arguments[1] ? quoted(text) : strdup(text);
	*ret_length = strlen(text);
	return *ret ? 0 : -ENOMEM;
}

static int fake_look(struct nft_seen *ret_spr, struct nft_seen *ret_owned, struct error *error)
{
	*ret_spr = machine.spr;
	*ret_owned = machine.owned;
	return machine.look_error;
}

static int fake_scratch(struct scratch *ret, struct error *error)
{
	*ret = machine.scratch;
	return machine.scratch_error;
}

static int fake_clock(time_t *ret_now, bool *ret_synchronised)
{
	*ret_now = machine.now;
	*ret_synchronised = machine.synchronised;
	return 0;
}

static int fake_space(const char *path, struct statfs *ret)
{
	*ret = machine.space;
	return 0;
}

static const struct doctor_system fake_system = {
	.run = fake_run, .look = fake_look, .scratch = fake_scratch, .clock = fake_clock, .space = fake_space
};

static void put(const struct file *file)
{
	const char *text = file->text ? file->text : "";
	char path[512];
	FILE *stream;

	snprintf(path, sizeof(path), "%s%s", root, file->path);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	if (path[strlen(path) - 1] == '/')
		return;
	unlink(path);
	if (strncmp(text, "-> ", 3) == 0) {
		assert_int_equal(symlink(text + 3, path), 0);
		return;
	}
	stream = fopen(path, "w");
	assert_non_null(stream);
	for (const char *c = text; *c; c++)
		fputc(*c == '|' ? '\0' : *c, stream); /* for the files of /proc */
	fclose(stream);
	chmod(path, 0600);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
	return remove(path);
}

static void sweep(void)
{
	if (*root)
		nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_machine(void)
{
	sweep();
	strcpy(root, "/tmp/spr-test-doctor-XXXXXX");
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < ELEMENTSOF(well_files); i++)
		put(&well_files[i]);
	machine = well;
}

static json_t *examine(const char *status_text, int status_error, bool privileged)
{
	_cleanup_free_ char *text = status_text ? quoted(status_text) : NULL;
	_cleanup_(json_decrefp) json_t *status = text ? json_loads(text, 0, NULL) : NULL;
	struct inventory inventory = { .networks = &machine.network, .n_networks = 1 };
	struct doctor doctor = { .root = root,
				 .state_folder = STATE,
				 .socket = "/run/spr/spr.sock",
				 .privileged = privileged,
				 .status = status,
				 .status_error = status_error,
				 .inventory = machine.silent ? NULL : &inventory,
				 .system = &fake_system };
	struct error error = { 0 };
	json_t *report = NULL;

	assert_true(!status_text || status);
	assert_int_equal(doctor_run(&doctor, &report, &error), 0);
	return report;
}

static const char *text_of(const json_t *finding, const char *key)
{
	const char *text = json_string_value(json_object_get(finding, key));

	return text ? text : "";
}

/* The worst finding of a check. */
static const json_t *finding_of(const json_t *report, const char *id)
{
	json_t *finding;
	size_t i;

	json_array_foreach(json_object_get(report, "findings"), i, finding)
		if (strcmp(text_of(finding, "id"), id) == 0)
			return finding;
	return NULL;
}

/* On a machine that is well, every check is ok. */
static void test_well(void **state)
{
	_cleanup_(json_decrefp) json_t *report = NULL;
	json_t *finding;
	size_t i;

	make_machine();
	report = examine(UP, 0, true);
	assert_true(json_array_size(json_object_get(report, "findings")) > 30);
	json_array_foreach(json_object_get(report, "findings"), i, finding) {
		if (geteuid() != 0 && strcmp(text_of(finding, "id"), "state-folder") == 0)
			continue; /* its files are not root's here */
		if (strcmp(text_of(finding, "severity"), "ok") != 0)
			fail_msg("%s: %s: %s", text_of(finding, "id"), text_of(finding, "severity"),
				 text_of(finding, "text"));
	}
}

static void no_status(void)
{
	machine.spr.there = true;
}
static void not_active(void)
{
	machine.spr = (struct nft_seen){ 0 };
}
static void no_table(void)
{
	machine.spr = (struct nft_seen){ 0 };
}
static void dormant(void)
{
	machine.spr.dormant = true;
}
static void plain(void)
{
	machine.spr = (struct nft_seen){ .there = true };
}
static void copies(void)
{
	plain();
	machine.owned = (struct nft_seen){ .there = true, .owned = true };
}
static void old_copies(void)
{
	copies();
	machine.scratch.protection = NFT_COPIES;
}
static void orphaned(void)
{
	machine.spr = (struct nft_seen){ .there = true, .persistent = true };
}
static void not_up_old(void)
{
	machine.spr = (struct nft_seen){ 0 };
	machine.scratch.protection = NFT_COPIES;
}
static void old_plain(void)
{
	plain();
	machine.scratch.protection = NFT_PLAIN;
}
static void no_nftables(void)
{
	error_set(&machine.scratch.parts[SCRATCH_NFTABLES], EOPNOTSUPP, "no nftables here");
	error_set(&machine.scratch.parts[SCRATCH_RULES], EOPNOTSUPP, "there is no nftables");
}
static void no_fib(void)
{
	error_set(&machine.scratch.parts[SCRATCH_RULES], EOPNOTSUPP, "rule 5 of chain guard");
}
static void no_flows(void)
{
	error_set(&machine.scratch.parts[SCRATCH_CONNTRACK], EOPNOTSUPP, "no conntrack");
}
static void no_log(void)
{
	error_set(&machine.scratch.parts[SCRATCH_LOG], EOPNOTSUPP, "no log");
}
static void no_scratch(void)
{
	machine.scratch_error = -EPERM;
}
static void no_look(void)
{
	machine.look_error = -EPERM;
}

/* clang-format off */
#define CHAIN(family, table, name, hook) \
	"{'chain': {'family': '" family "', 'table': '" table "', 'name': '" name "', 'hook': '" hook "', 'prio': -300}}, "
#define RULE(family, table, chain, expr) \
	"{'rule': {'family': '" family "', 'table': '" table "', 'chain': '" chain "', " \
	"'expr': [{'counter': null}, " expr "]}}, "
#define LIST(entries) "{'nftables': [" entries "{'metainfo': {}}]}"
/* clang-format on */

static void notrack(void)
{
	machine.nft = LIST(CHAIN("inet", "fast", "pre", "prerouting") RULE("inet", "fast", "pre", "{'notrack': null}")
				   RULE("inet", "fast", "pre", "{'notrack': null}"));
}
static void notrack_jumped_to(void)
{
	machine.nft = LIST(CHAIN("ip", "fast", "pre", "prerouting") RULE("ip", "fast", "sub", "{'notrack': null}"));
}
static void notrack_outgoing(void)
{
	machine.nft = LIST(CHAIN("inet", "fast", "out", "output") RULE("inet", "fast", "out", "{'notrack': null}")
				   RULE("inet", "fast", "sub", "{'notrack': null}"));
}
static void notrack_of_ours(void)
{
	machine.nft =
		LIST(CHAIN("inet", "spr", "guard", "prerouting") RULE("inet", "spr", "guard", "{'notrack': null}"));
}
static void forwarded_early(void)
{
	machine.nft = LIST(CHAIN("netdev", "t", "in", "ingress") RULE("netdev", "t", "in", "{'fwd': {'dev': 'eth1'}}"));
}
static void copied_early(void)
{
	machine.nft = LIST(CHAIN("netdev", "t", "in", "ingress") RULE("netdev", "t", "in", "{'dup': {'dev': 'eth1'}}"));
}
static void rewritten(void)
{
	machine.nft = LIST(CHAIN("ip", "t", "pre", "prerouting")
				   RULE("ip", "t", "pre", "{'mangle': {'key': {'payload': {'field': 'daddr'}}}}"));
}
static void marked(void)
{
	machine.nft = LIST(CHAIN("ip", "t", "pre", "prerouting") RULE("ip", "t", "pre",
								      "{'mangle': {'key': {'meta': {'key': 'mark'}}}}")
				   RULE("ip", "t", "pre", "{'mangle': {'key': {'payload': {'field': 'dscp'}}}}"));
}
static void offloaded(void)
{
	machine.nft = LIST(CHAIN("inet", "t", "fw", "forward")
				   RULE("inet", "t", "fw", "{'flow': {'op': 'add', 'flowtable': '@f'}}"));
}
static void no_nft(void)
{
	machine.nft_error = -ENOENT;
}
static void odd_nft(void)
{
	machine.nft = LIST("7, null, [], {'rule': 5}, {'rule': {'expr': 3}}, {'chain': []}, "
			   "{'chain': {'hook': 'prerouting'}}, {'chain': {'hook': 9}}, " RULE(
				   "inet", "t", "c",
				   "5, []") "{'rule': {'expr': [{'notrack': null}], 'table': 7, 'chain': {}}}, ");
}
static void no_json(void)
{
	machine.nft = "Error: cannot";
}

static void legacy_notrack(void)
{
	machine.legacy = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j CT --notrack\nCOMMIT\n";
}
static void nft_notrack(void)
{
	machine.compat = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n";
}
static void output_notrack(void)
{
	machine.compat = "*raw\n-A OUTPUT -j CT --notrack\nCOMMIT\n";
}
static void both_kinds(void)
{
	machine.legacy = "*filter\n-A FORWARD -j DROP\nCOMMIT\n";
	machine.compat = "*filter\n-A FORWARD -j DROP\nCOMMIT\n";
}
static void legacy_empty(void)
{
	machine.legacy = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n";
	machine.compat = "*filter\n-A FORWARD -j DROP\nCOMMIT\n";
}
static void docker_user_bare(void)
{
	machine.compat = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\nCOMMIT\n";
}
static void docker_user_missing(void)
{
	machine.compat = "*filter\n:DOCKER - [0:0]\n:DOCKER-ISOLATION-STAGE-1 - [0:0]\n-A DOCKER-ISOLATION-STAGE-1 -j "
			 "RETURN\nCOMMIT\n";
}
static void docker_user_ours(void)
{
	machine.compat =
		"*filter\n:DOCKER-USER - [0:0]\n:DOCKER-ISOLATION-STAGE-1 - [0:0]\n-A DOCKER-USER -m mark --mark "
		"0x8000000/0x8000000 -j ACCEPT\n"
		"-A DOCKER-USER -j RETURN\nCOMMIT\n";
}

static void wrong_clock(void)
{
	machine.now = 1000000;
}
static void free_clock(void)
{
	machine.synchronised = false;
}
static void in_memory(void)
{
	machine.space.f_type = TMPFS_MAGIC;
}
static void disk_full(void)
{
	machine.space.f_bavail = 100;
}
static void no_nodes(void)
{
	machine.space.f_ffree = 3;
}
static void no_nodes_counted(void)
{
	machine.space.f_files = machine.space.f_ffree = 0;
}
static void read_only(void)
{
	machine.space.f_flags = ST_RDONLY;
}

static void change_mode(const char *path, mode_t mode)
{
	char full[300];

	snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(chmod(full, mode), 0);
}
static void change_owner(const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(chown(full, 65534, 0), 0);
}
static void take_away(const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(remove(full), 0);
}
static void unprotected(void)
{
	machine.network.gateway4 = GATEWAY_UNPROTECTED;
}
static void unprotected_six(void)
{
	machine.network.gateway6 = GATEWAY_UNPROTECTED;
}
static void routed(void)
{
	machine.network.gateway6 = GATEWAY_ROUTED;
}
static void isolated(void)
{
	machine.network.gateway4 = machine.network.gateway6 = GATEWAY_ISOLATED;
}
static void trusting(void)
{
	machine.network.trusts = true;
}
static void docker_silent(void)
{
	machine.silent = true;
}
static void no_docker(void)
{
	machine.silent = true;
	take_away("/proc/77/comm");
}

static void state_writable(void)
{
	change_mode(STATE, 0770);
}
static void state_readable(void)
{
	change_mode(STATE, 0750);
}
static void policy_writable(void)
{
	change_mode(STATE "/policy.yaml", 0620);
}
static void policy_of_nobody(void)
{
	change_owner(STATE "/policy.yaml");
}
static void no_state(void)
{
	take_away(STATE "/active");
	take_away(STATE "/policy.yaml");
	take_away(STATE);
}
static void left_off(void)
{
	take_away(STATE "/active");
}
static void socket_open(void)
{
	put(&(struct file){ "/run/spr/spr.sock", "" });
	change_mode("/run/spr/spr.sock", 0666);
}
static void socket_closed(void)
{
	put(&(struct file){ "/run/spr/spr.sock", "" });
	change_mode("/run/spr/spr.sock", 0660);
}
static void docker_socket_open(void)
{
	put(&(struct file){ "/run/docker.sock", "" });
	change_mode("/run/docker.sock", 0666);
}
static void docker_socket_closed(void)
{
	put(&(struct file){ "/run/docker.sock", "" });
	change_mode("/run/docker.sock", 0660);
}
static void not_enabled(void)
{
	take_away("/etc/systemd/system/multi-user.target.wants/sprd.service");
}
static void no_unit(void)
{
	take_away("/lib/systemd/system/sprd.service");
}
static void no_systemd(void)
{
	take_away("/run/systemd/system");
}
static void no_bridge_netfilter(void)
{
	take_away("/proc/sys/net/bridge/bridge-nf-call-iptables");
}

struct scene {
	const char *id; /* of the check */
	const char *severity; /* of its worst finding */
	const char *says; /* part of its text, "" where it is ok */
	void (*change)(void);
	const char *status; /* instead of UP; "" for none */
	int status_error;
	bool root_only; /* cannot be made by others */
	struct file files[CHANGES_MAX];
};

#define JSON "/etc/docker/daemon.json"
#define CMDLINE "/proc/77/cmdline"
#define NFTABLES "/etc/nftables.conf"
#define ENABLED "/etc/systemd/system/sysinit.target.wants/nftables.service"

/* clang-format off */
static const struct scene scenes[] = {
	{ "daemon", "warning", "not running: what is closed", NULL, "", -ENOENT },
	{ "daemon", "warning", "not running: what is closed", NULL, "", -ECONNREFUSED },
	{ "daemon", "notice", "not running", left_off, "", -ENOENT },
	{ "daemon", "warning", "runs, but does not answer", NULL, "", -EAGAIN },
	{ "daemon", "warning", "does not answer as it should", NULL, "", -EPROTO },
	{ "daemon", "not checked", "the group spr", NULL, "", -EACCES },
	{ "active", "warning", "closes nothing", not_active, DOWN },
	{ "active", "warning", "closes nothing", left_off, "", -ENOENT },
	{ "active", "ok", "", NULL, "", -ENOENT },
	{ "enforced", "critical", "rule 7", NULL, "{'active': true, 'resolver': '10.0.0.1', 'problems': ['rule 7 differs']}" },
	{ "enforced", "not checked", "did not answer", no_status, "", -ENOENT },
	{ "table", "critical", "nothing is closed", no_table },
	{ "table", "critical", "nothing is closed", no_table, "", -ENOENT },
	{ "table", "critical", "dormant", dormant },
	{ "table", "warning", "although spr is not up", NULL, DOWN },
	{ "table", "ok", "", not_active, DOWN },
	{ "table", "not checked", "cannot be read", no_look },
	{ "protection", "warning", "is plain, and this kernel can do persist", plain },
	{ "protection", "warning", "is copies, and this kernel can do persist", copies },
	{ "protection", "notice", "both at once", old_copies },
	{ "protection", "warning", "until sprd puts it back", old_plain },
	{ "protection", "warning", "nobody owns the table", orphaned, "", -ENOENT },
	{ "protection", "critical", "it is not the daemon's", orphaned },
	{ "protection", "warning", "nobody owns the table", plain, "", -ENOENT },
	{ "protection", "notice", "will be copies", not_up_old, DOWN },
	{ "protection", "not checked", "no network namespace", no_scratch },
	{ "kernel", "critical", "no nftables here", no_nftables },
	{ "kernel", "critical", "rule 5 of chain guard", no_fib },
	{ "kernel", "critical", "does not list connections", no_flows },
	{ "kernel", "warning", "spr log stays empty", no_log },
	{ "kernel", "not checked", "no network namespace", no_scratch },
	{ "engine", "warning", "cannot speak to docker", NULL,
	  "{'active': true, 'resolver': '10.0.0.1', 'engine': {'name': 'docker', 'state': 'retrying', 'version': ''}}" },
	{ "control-socket", "critical", "/run/spr/spr.sock", socket_open },
	{ "control-socket", "ok", "", socket_closed },

	{ "early-rules", "warning", "table inet fast, chain pre takes packets out", notrack },
	{ "early-rules", "warning", "table ip fast, chain sub takes packets out", notrack_jumped_to },
	{ "early-rules", "ok", "", notrack_outgoing },
	{ "early-rules", "ok", "", notrack_of_ours },
	{ "early-rules", "warning", "(fwd)", forwarded_early },
	{ "early-rules", "warning", "(dup)", copied_early },
	{ "early-rules", "warning", "rewrites addresses", rewritten },
	{ "early-rules", "ok", "", marked },
	{ "early-rules", "not checked", "nft is not installed", no_nft },
	{ "early-rules", "not checked", "something else than JSON", no_json },
	{ "early-rules", "warning", "table ? ?, chain ?", odd_nft },
	{ "flowtable", "warning", "inet t fw", offloaded },
	{ "flowtable", "not checked", "nft is not installed", no_nft },
	{ "iptables-notrack", "warning", "iptables-legacy-save): -A PREROUTING -p udp -j CT", legacy_notrack,
	  .files = { { "/proc/net/ip_tables_names", "raw\n" } } },
	{ "iptables-notrack", "ok", "", legacy_notrack }, /* nothing legacy in the kernel: it is not even asked */
	{ "iptables-notrack", "warning", "iptables-nft-save): -A PREROUTING -j NOTRACK", nft_notrack },
	{ "iptables-notrack", "ok", "", output_notrack },
	{ "iptables-notrack", "not checked", "iptables-legacy-save: not installed", NULL,
	  .files = { { "/proc/net/ip_tables_names", "raw\n" } } },
	{ "iptables-both", "notice", "both hold", both_kinds, .files = { { "/proc/net/ip_tables_names", "filter\n" } } },
	{ "iptables-both", "ok", "", legacy_empty, .files = { { "/proc/net/ip_tables_names", "filter\n" } } },
	{ "docker-user", "warning", "lacks the rule", docker_user_bare },
	{ "docker-user", "warning", "without its chain", docker_user_missing },
	{ "docker-user", "ok", "", docker_user_missing, DOWN },
	{ "docker-user", "ok", "", docker_user_ours },

	{ "boot-rules", "warning", "/etc/nftables.conf holds a table of spr", NULL,
	  .files = { { NFTABLES, "table inet filter {\n}\ntable inet spr { # progname sprd\n}\n" } } },
	{ "boot-rules", "warning", "/etc/nftables.conf holds a table of spr", NULL,
	  .files = { { NFTABLES, "add table inet spr-owned" } } },
	{ "boot-rules", "warning", "/etc/nftables.d/saved.nft holds", NULL,
	  .files = { { NFTABLES, "flush ruleset\ninclude \"/etc/nftables.d/*.nft\"\n" },
		     { "/etc/nftables.d/a.nft", "table ip a {}\n" },
		     { "/etc/nftables.d/saved.nft", "table inet spr {}\n" } } },
	{ "boot-rules", "warning", "/etc/more holds", NULL,
	  .files = { { NFTABLES, "include 'more'" }, { "/etc/more", "include \"more\"; table spr {}" } } },
	{ "boot-rules", "ok", "", NULL,
	  .files = { { NFTABLES, "#!/usr/sbin/nft -f\n# table inet spr\ndelete table inet spr\nflush ruleset\n"
		       "table inet sprint { chain spr { comment \"table inet spr\"; } }\ndefine table = spr\n"
		       "include \"/nowhere/x\"\n" } } },
	{ "boot-rules", "warning", "flushes the whole ruleset", old_plain,
	  .files = { { NFTABLES, "flush  ruleset;" }, { ENABLED, "-> x" } } },
	{ "boot-rules", "notice", "flushes the whole ruleset", old_plain, .files = { { NFTABLES, "flush  ruleset;" } } },
	{ "boot-rules", "notice", "the plain one of the two copies", old_copies,
	  .files = { { NFTABLES, "flush ruleset" } } },
	{ "boot-rules", "ok", "", old_plain, .files = { { NFTABLES, "flush table inet mine\n# flush ruleset\n" } } },
	{ "boot-rules", "not checked", "/etc/nftables.conf", NULL, .files = { { NFTABLES "/", NULL } } },
	{ "other-firewall", "notice", "nftables", NULL, .files = { { ENABLED, "-> /lib/systemd/system/nftables.service" } } },
	{ "other-firewall", "notice", "firewalld", NULL,
	  .files = { { "/run/systemd/units/invocation:firewalld.service", "-> 0123" } } },
	{ "other-firewall", "notice", "ufw", NULL,
	  .files = { { "/etc/systemd/system/multi-user.target.wants/ufw.service", "-> x" },
		     { "/etc/ufw/ufw.conf", "# x\nENABLED=yes\n" } } },
	{ "other-firewall", "ok", "", NULL,
	  .files = { { "/etc/systemd/system/multi-user.target.wants/ufw.service", "-> x" },
		     { "/etc/ufw/ufw.conf", "ENABLED=no\n" } } },

	{ "docker-settings", "notice", "iptables: false", NULL, .files = { { JSON, "{\"iptables\": false}" } } },
	{ "docker-settings", "notice", "ip6tables: false", NULL, .files = { { CMDLINE, "dockerd|--ip6tables=false|" } } },
	{ "docker-settings", "notice", "userland-proxy", NULL, .files = { { JSON, "{\"userland-proxy\": false}" } } },
	{ "docker-settings", "notice", "allow-direct-routing", NULL,
	  .files = { { CMDLINE, "dockerd|--allow-direct-routing|--debug|" } } },
	{ "docker-settings", "notice", "ip-forward-no-drop", NULL,
	  .files = { { JSON, "{\"ip-forward-no-drop\": true}" } } },
	{ "docker-settings", "notice", "iptables: false", NULL,
	  .files = { { CMDLINE, "dockerd|--config-file|/etc/other.json|" }, { "/etc/other.json", "{\"iptables\": false}" } } },
	{ "docker-settings", "ok", "", NULL,
	  .files = { { JSON, "{\"iptables\": true, \"ip6tables\": \"\", \"userland-proxy\": [7]}" } } },
	{ "docker-settings", "not checked", "not a JSON object", NULL, .files = { { JSON, "[1" } } },
	{ "docker-settings", "not checked", "not a JSON object", NULL, .files = { { JSON, "" } } },
	{ "docker-backend", "warning", "what you open stays closed", NULL,
	  .files = { { JSON, "{\"firewall-backend\": \"nftables\"}" } } },
	{ "docker-backend", "ok", "", NULL,
	  .files = { { JSON, "{\"firewall-backend\": \"nftables\", \"bridge-accept-fwmark\": \"0x8000000/0x8000000\"}" } } },
	{ "docker-raw", "notice", "DOCKER_INSECURE", NULL,
	  .files = { { "/proc/77/environ", "A=1|DOCKER_INSECURE_NO_IPTABLES_RAW=1|B=2|" } } },
	{ "docker-raw", "notice", "DOCKER_INSECURE", NULL,
	  .files = { { "/etc/systemd/system/docker.service.d/raw.conf",
		       "[Service]\nEnvironment=DOCKER_INSECURE_NO_IPTABLES_RAW=1\n" } } },
	{ "docker-raw", "ok", "", NULL, /* that Docker is in a container */
	  .files = { { "/proc/77/environ", "DOCKER_INSECURE_NO_IPTABLES_RAW=1|" }, { "/proc/77/ns/net", "-> net:[2]" },
		     { "/proc/self/ns/net", "-> net:[1]" } } },
	{ "docker-raw", "notice", "", NULL,
	  .files = { { "/proc/77/environ", "DOCKER_INSECURE_NO_IPTABLES_RAW=1|" }, { "/proc/77/ns/net", "-> net:[1]" },
		     { "/proc/self/ns/net", "-> net:[1]" } } },
	{ "docker-raw", "ok", "", NULL,
	  .files = { { "/proc/77/environ", "XDOCKER_INSECURE_NO_IPTABLES_RAW=1|DOCKER_INSECURE_NO_IPTABLES_RAW=0|" } } },
	{ "docker-networks", "notice", "network media: Docker closes nothing there", unprotected },
	{ "docker-networks", "notice", "network media: Docker closes nothing there", unprotected_six },
	{ "docker-networks", "notice", "media: Docker lets others reach published ports there", routed },
	{ "docker-networks", "notice", "media: Docker lets interfaces that are named as trusted", trusting },
	{ "docker-networks", "ok", "", isolated },
	{ "docker-networks", "notice", "(every new one: default-network-opts): Docker closes nothing there", NULL,
	  .files = { { JSON, "{\"default-network-opts\":{\"bridge\":{\"com.docker.network.bridge.gateway_mode_ipv6\":"
			     "\"nat-unprotected\"}}}" } } },
	{ "docker-networks", "notice", "default-network-opts): Docker lets interfaces", NULL,
	  .files = { { JSON, "{\"default-network-opts\":{\"bridge\":{"
			     "\"com.docker.network.bridge.trusted_host_interfaces\":\"eth1\"}}}" } } },
	{ "docker-networks", "ok", "", NULL,
	  .files = { { JSON, "{\"default-network-opts\":{\"bridge\":{\"com.docker.network.bridge.gateway_mode_ipv6\":"
			     "\"nat\"},\"x\":7}}" } } },
	{ "docker-networks", "not checked", "not a JSON object", NULL, .files = { { JSON, "{\"default-network-opts\":" } } },
	{ "docker-networks", "not checked", "did not answer", docker_silent },
	{ "docker-networks", "ok", "", no_docker },
	{ "docker-tcp", "critical", "tcp://0.0.0.0:2375", NULL,
	  .files = { { JSON, "{\"hosts\": [\"unix:///run/docker.sock\", \"tcp://0.0.0.0:2375\", 7]}" } } },
	{ "docker-tcp", "warning", "tcp://127.0.0.1:2375", NULL,
	  .files = { { CMDLINE, "dockerd|-H|fd://|-H|tcp://127.0.0.1:2375" } } },
	{ "docker-tcp", "critical", "tcp://:2375", NULL, .files = { { CMDLINE, "dockerd|--host=tcp://:2375|" } } },
	{ "docker-tcp", "ok", "", NULL, .files = { { CMDLINE, "dockerd|--tlsverify|--host=tcp://:2376|" } } },
	{ "docker-socket", "critical", "/run/docker.sock", docker_socket_open },
	{ "docker-socket", "ok", "", docker_socket_closed },
	{ "docker-version", "notice", "Docker 28.1.0 drops", NULL,
	  "{'active': true, 'resolver': '10.0.0.1', 'engine': {'name': 'docker', 'state': 'connected', 'version': '28.1.0'}}" },
	{ "docker-version", "not checked", "did not answer", no_status, "", -ENOENT },

	{ "forwarding", "notice", "forwards no IPv4", NULL, .files = { { "/proc/sys/net/ipv4/ip_forward", "0\n" } } },
	{ "route-localnet", "warning", "for all interfaces", NULL,
	  .files = { { "/proc/sys/net/ipv4/conf/all/route_localnet", "1\n" } } },
	{ "route-localnet", "notice", "on for eth0", NULL,
	  .files = { { "/proc/sys/net/ipv4/conf/eth0/route_localnet", "1\n" } } },
	{ "route-localnet", "ok", "", NULL, .files = { { "/proc/sys/net/ipv4/conf/eth0/route_localnet", "nonsense" } } },
	{ "redirects", "notice", "from eth0", NULL,
	  .files = { { "/proc/sys/net/ipv4/conf/all/accept_redirects", "1\n" } } },
	{ "source-route", "notice", "from eth0", NULL,
	  .files = { { "/proc/sys/net/ipv4/conf/all/accept_source_route", "1\n" } } },
	{ "reverse-path", "notice", "rp_filter is off", not_active, DOWN },
	{ "router-adverts", "warning", "bridge br0", NULL,
	  .files = { { "/proc/sys/net/ipv6/conf/br0/accept_ra", "2\n" } } },
	{ "bridge-netfilter", "notice", "inside one container network", NULL,
	  .files = { { "/proc/sys/net/bridge/bridge-nf-call-iptables", "0\n" } } },
	{ "bridge-netfilter", "notice", "inside one container network", no_bridge_netfilter },
	{ "tcp-tracking", "notice", "be_liberal", NULL,
	  .files = { { "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "1\n" } } },
	{ "tcp-tracking", "notice", "tcp_loose", not_active, DOWN },
	{ "conntrack-room", "warning", "60000 of 65536", NULL,
	  .files = { { "/proc/sys/net/netfilter/nf_conntrack_count", "60000\n" } } },
	{ "conntrack-room", "notice", "room for 4096", NULL,
	  .files = { { "/proc/sys/net/netfilter/nf_conntrack_max", "4096\n" } } },

	{ "state-folder", "critical", "can write", state_writable },
	{ "state-folder", "warning", "can read", state_readable, .root_only = true },
	{ "state-folder", "critical", "policy.yaml", policy_writable },
	{ "state-folder", "critical", "belongs to user 65534", policy_of_nobody, .root_only = true },
	{ "state-folder", "warning", "in memory only", in_memory, .root_only = true },
	{ "state-folder", "warning", "no state folder", no_state },
	{ "state-room", "warning", "is full", disk_full },
	{ "state-room", "warning", "more files", no_nodes },
	{ "state-room", "ok", "", no_nodes_counted },
	{ "state-room", "warning", "cannot be written", read_only },
	{ "clock", "critical", "before 2024", wrong_clock },
	{ "clock", "notice", "not synchronised", free_clock },
	{ "boot", "warning", "is not enabled", not_enabled },
	{ "boot", "warning", "there is no sprd.service", no_unit },
	{ "boot", "not checked", "systemd does not run here", no_systemd },
	{ "boot", "warning", "is masked", NULL, .files = { { "/etc/systemd/system/sprd.service", "-> /dev/null" } } },
	{ "boot", "warning", "not started before Docker", NULL,
	  .files = { { "/lib/systemd/system/sprd.service", "[Unit]\nAfter=docker.service\n" } } },
	{ "boot", "ok", "", NULL,
	  .files = { { "/lib/systemd/system/sprd.service", "[Unit]\n" },
		     { "/etc/systemd/system/sprd.service.d/order.conf", "[Unit]\nBefore=docker.service\n" } } },
	{ "resolver", "notice", "no resolver is known", NULL, "{'active': true, 'resolver': null}" },
	{ "resolver", "notice", "no resolver is known", NULL, "", -ENOENT,
	  .files = { { "/etc/resolv.conf", "nameserver 127.0.0.53\n" } } },
	{ "resolver", "ok", "", NULL, "", -ENOENT,
	  .files = { { "/etc/resolv.conf", "nameserver 127.0.0.53\n" },
		     { "/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\n" } } },
	{ "dhcp-client", "notice", "dhclient runs", NULL, .files = { { "/proc/500/comm", "dhclient\n" } } },
};
/* clang-format on */

static void check_scene(const struct scene *scene, size_t number)
{
	_cleanup_(json_decrefp) json_t *report = NULL;
	const char *status = scene->status ? *scene->status ? scene->status : NULL : UP;
	const json_t *finding;

	if (scene->root_only && geteuid() != 0)
		return;
	make_machine();
	for (size_t i = 0; i < CHANGES_MAX && scene->files[i].path; i++) {
		if (scene->files[i].path[strlen(scene->files[i].path) - 1] != '/')
			put(&scene->files[i]);
		else
			put(&(struct file){ scene->files[i].path, NULL });
	}
	if (scene->change)
		scene->change();
	report = examine(status, scene->status_error, true);
	finding = finding_of(report, scene->id);
	assert_non_null(finding);
	if (strcmp(text_of(finding, "severity"), scene->severity) != 0 ||
	    (*scene->says && !strstr(text_of(finding, "text"), scene->says)))
		fail_msg("scene %zu: %s: %s: %s", number, scene->id, text_of(finding, "severity"),
			 text_of(finding, "text"));
}

static void test_scenes(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(scenes); i++)
		check_scene(&scenes[i], i);
}

/* Every check has a scene in which it finds something; that it is ok on a machine that is well, test_well() says. */
static void test_every_check_has_a_scene(void **state)
{
	_cleanup_(json_decrefp) json_t *report = NULL;
	json_t *finding;
	size_t i;

	make_machine();
	report = examine(UP, 0, true);
	json_array_foreach(json_object_get(report, "findings"), i, finding) {
		bool fires = false;

		for (size_t k = 0; k < ELEMENTSOF(scenes); k++)
			fires |= strcmp(scenes[k].id, text_of(finding, "id")) == 0 &&
				 strcmp(scenes[k].severity, "ok") != 0 &&
				 strcmp(scenes[k].severity, "not checked") != 0;
		if (!fires)
			fail_msg("no scene lets %s find something", text_of(finding, "id"));
	}
}

/* The manual names every check. */
static void test_manual(void **state)
{
	FILE *file = fopen(TEST_SOURCE_ROOT "/docs/man/spr.1", "re");
	_cleanup_(json_decrefp) json_t *report = NULL;
	static char manual[1 << 20];
	char item[100];
	json_t *finding;
	size_t i;

	assert_non_null(file);
	assert_true(fread(manual, 1, sizeof(manual) - 1, file) > 0);
	fclose(file);
	make_machine();
	report = examine(UP, 0, true);
	json_array_foreach(json_object_get(report, "findings"), i, finding) {
		snprintf(item, sizeof(item), " %s", text_of(finding, "id"));
		if (!strstr(manual, item))
			fail_msg("spr.1 does not name %s", text_of(finding, "id"));
	}
}

static json_int_t count_of(const json_t *report, const char *severity)
{
	return json_integer_value(json_object_get(json_object_get(report, "counts"), severity));
}

/* Who is not root is told what was not looked at; nothing that needs root is guessed. */
static void test_not_root(void **state)
{
	_cleanup_(json_decrefp) json_t *report = NULL;

	make_machine();
	report = examine(NULL, -EACCES, false);
	assert_string_equal(text_of(finding_of(report, "table"), "severity"), "not checked");
	assert_string_equal(text_of(finding_of(report, "state-folder"), "severity"), "not checked");
	assert_string_equal(text_of(finding_of(report, "active"), "severity"), "not checked");
	assert_string_equal(text_of(finding_of(report, "reverse-path"), "severity"), "ok");
	assert_true(count_of(report, "not checked") > 10);
	assert_int_equal(count_of(report, "critical"), 0);
}

/* The worst comes first, and the counts are right. */
static void test_order(void **state)
{
	static const char *const order[] = { "critical", "warning", "not checked", "notice", "ok" };
	_cleanup_(json_decrefp) json_t *report = NULL;
	json_int_t counts[ELEMENTSOF(order)] = { 0 };
	size_t i, at = 0;
	json_t *finding;

	make_machine();
	plain();
	free_clock();
	no_systemd();
	docker_socket_open();
	report = examine(UP, 0, true);
	json_array_foreach(json_object_get(report, "findings"), i, finding) {
		while (at < ELEMENTSOF(order) && strcmp(order[at], text_of(finding, "severity")) != 0)
			at++;
		assert_true(at < ELEMENTSOF(order));
		counts[at]++;
	}
	for (i = 0; i < ELEMENTSOF(order); i++) {
		assert_true(counts[i] > 0);
		assert_int_equal(counts[i], count_of(report, order[i]));
	}
}

/* What is no UTF-8, endless, a pipe or a folder harms nothing. */
static void test_hostile_files(void **state)
{
	_cleanup_(json_decrefp) json_t *report = NULL;
	_cleanup_free_ char *huge = malloc((2 << 20) + 1);
	char path[200];

	make_machine();
	memset(huge, 'x', 2 << 20);
	huge[2 << 20] = '\0';
	put(&(struct file){ JSON, huge });
	put(&(struct file){ CMDLINE, "dockerd|-H|tcp://\xff\xfe\x1b[31m:2375|" });
	put(&(struct file){ "/etc/resolv.conf", huge });
	put(&(struct file){ "/proc/sys/net/ipv4/ip_forward", huge });
	put(&(struct file){ "/etc/nftables.conf",
			    "include \"/etc/nftables.conf\" include \"*\" include \" include ' \"" });
	put(&(struct file){ "/etc/ufw/ufw.conf/", NULL });
	snprintf(path, sizeof(path), "%s/etc/iptables", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/etc/iptables/rules.v4", root);
	assert_int_equal(mkfifo(path, 0600), 0);
	report = examine(UP, 0, true);
	assert_non_null(strstr(text_of(finding_of(report, "docker-settings"), "text"), "too large"));
	assert_string_equal(text_of(finding_of(report, "docker-tcp"), "severity"), "critical");
	assert_non_null(strstr(text_of(finding_of(report, "docker-tcp"), "text"), "tcp://??"));
	assert_string_equal(text_of(finding_of(report, "boot-rules"), "severity"), "not checked");
}

/* A status with other types than the daemon's. */
static void test_hostile_status(void **state)
{
	static const char *const statuses[] = {
		"{}",
		"[]",
		"{'active': 'yes', 'engine': [], 'counts': 5, 'problems': {}, 'resolver': {}}",
		"{'active': true, 'engine': {'name': 5, 'state': {}, 'version': 28, 'socket': []}, 'counts': [1]}",
	};

	for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
		_cleanup_(json_decrefp) json_t *report = NULL;

		make_machine();
		report = examine(statuses[i], 0, true);
		assert_true(json_array_size(json_object_get(report, "findings")) > 30);
	}
}

static void test_programs(void **state)
{
	static const char *const true_command[] = { "true", NULL }, *const false_command[] = { "false", NULL },
				 *const none[] = { "spr-no-such-program", NULL }, *const env[] = { "env", NULL },
				 *const endless[] = { "yes", NULL };
	_cleanup_free_ char *nothing = NULL, *environment = NULL, *untouched = NULL;
	size_t length = 99;

	setenv("NFT_TRACE", "evil", 1);
	assert_int_equal(program_run(true_command, &nothing, &length), 0);
	assert_int_equal(length, 0);
	assert_string_equal(nothing, "");
	assert_int_equal(program_run(false_command, &untouched, &length), -EIO);
	assert_int_equal(program_run(none, &untouched, &length), -ENOENT);
	assert_int_equal(program_run(endless, &untouched, &length), -E2BIG);
	assert_null(untouched);
	assert_int_equal(program_run(env, &environment, &length), 0);
	assert_string_equal(environment, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n");
}

/* What the kernel says in a namespace of its own: this one's tables are untouched. */
static void test_scratch(void **state)
{
	struct scratch scratch;
	struct error error = { 0 };

	if (geteuid() != 0)
		skip();
	assert_int_equal(scratch_ask(&scratch, &error), 0);
	for (int i = 0; i < _SCRATCH_MAX; i++)
		if (scratch.parts[i].code)
			print_message("part %d: %s\n", i, scratch.parts[i].text);
	assert_int_equal(scratch.parts[SCRATCH_NFTABLES].code, 0);
	assert_int_equal(scratch.parts[SCRATCH_RULES].code, 0);
}

static int end(void **state)
{
	sweep();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well),
		cmocka_unit_test(test_scenes),
		cmocka_unit_test(test_every_check_has_a_scene),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_not_root),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_hostile_status),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_scratch),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
