/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The twin of a small machine, in a network namespace of this test's own. Needs root, ip, nft and iptables; ends with 77
 * (skipped) and the reason where it may not make namespaces. tests/lab/test_twin.py compares it with a real machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/program.h"
#include "shell.h"
#include "twin/frame.h"
#include "twin/twin.h"
#include "twin/twin_private.h"

static const char machine[] =
	"set -e\n"
	"ip link set lo up\n"
	"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 "
	"net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0\n"
	"ip link add name br-x type bridge\n"
	"ip link set br-x up\n"
	"for n in 1 2; do ip link add va$n type veth peer name vb$n; ip link set va$n master br-x; ip link set va$n up; ip link set vb$n up; done\n"
	"ip link add name up0 index 77 address 02:00:00:00:00:07 type veth peer name up1\n"
	"ip link set up0 up; ip link set up1 up\n"
	"ip addr add 10.9.0.1/24 dev up0; ip addr add 172.20.0.1/16 dev br-x\n"
	"ip addr add 2600:2::1/64 dev up0 nodad; ip addr add 2600:1::1/64 dev br-x nodad\n"
	"ip route add default via 10.9.0.254\n"
	"ip rule add from 172.20.0.9 lookup 77; ip route add unreachable default table 77\n"
	"bridge fdb add 02:00:00:00:00:22 dev va2 master static\n"
	"ip neigh add 172.20.0.2 lladdr 02:00:00:00:00:22 dev br-x nud permanent\n"
	"iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to 172.20.0.2:80\n"
	"iptables-nft -t nat -A POSTROUTING -s 172.20.0.0/16 ! -o br-x -j MASQUERADE\n"
	"iptables-nft -A FORWARD -p udp -m udp --dport 96 -m recent --set --name x -j DROP\n"
	"nft 'add table inet q; add chain inet q f { type filter hook forward priority 5; }'\n"
	"nft 'add rule inet q f udp dport 98 counter drop comment \"bad\"'\n"
	"nft 'add chain inet q in { type filter hook input priority 5; policy drop; }; add rule inet q in tcp dport 22 accept'\n"
	"nft 'add table bridge b; add chain bridge b f { type filter hook forward priority 0; }; add rule bridge b f ether daddr 02:00:00:00:00:44 drop'\n"
	"sleep 0.5\n"; /* until the interfaces run */

static char *output_of(const char *script)
{
	const char *const arguments[] = { "sh", "-c", script, NULL };
	char *out = NULL;
	size_t length;

	assert_int_equal(program_run(arguments, &out, &length), 0);
	return out;
}

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static struct twin *open_twin(void)
{
	static const struct twin_options options;
	struct error error = { 0 };
	struct twin *twin = NULL;
	const char *const *notes;

	if (twin_open(&options, &twin, &error) < 0)
		fail_msg("%s", error.text);
	if (twin_notes(twin, &notes) > 0)
		fail_msg("%s", notes[0]);
	return twin;
}

/* A packet to an interface's own MAC. */
static struct frame packet(const char *from, const char *to, uint8_t proto, uint16_t port)
{
	static uint32_t number = 99;

	number++;
	return (struct frame){ .from_mac = { 2, 9, 0, 0, 0, 9 },
			       .from = address(from),
			       .to = address(to),
			       .proto = proto,
			       .hop_limit = 64,
			       .from_port = (uint16_t)(20000 + number),
			       .to_port = port,
			       .tcp_flags = FRAME_SYN,
			       .number = number };
}

static struct twin_result shoot(struct twin *twin, const char *name, struct frame frame)
{
	unsigned interface = if_nametoindex(name);
	uint8_t buffer[FRAME_MAX];
	struct twin_result result;

	if (frame.to_mac[0] == 0)
		assert_true(twin_interface_mac(twin, interface, frame.to_mac));
	assert_int_equal(twin_shoot(twin, interface, buffer, frame_build(&frame, buffer), &result), 0);
	assert_false(result.lost);
	return result;
}

#define assert_ends(...) assert_ends_at(__LINE__, __VA_ARGS__)
static void assert_ends_at(int line, const struct twin *twin, const struct twin_result *result, enum twin_end end,
			   const char *said)
{
	_cleanup_free_ char *text = twin_say_end(twin, result);

	if (result->end != end || !strstr(text, said))
		fail_msg("line %d: it ended with: %s", line, text);
}

static void assert_comes_out(const struct twin *twin, const struct twin_result *result, const char *name,
			     const char *from, const char *to, uint16_t port)
{
	struct addr wanted_from = address(from), wanted_to = address(to);

	if (result->n_exits != 1)
		assert_ends(twin, result, TWIN_PASSED, "one way out");
	assert_string_equal(twin_interface_name(twin, result->exits[0].interface), name);
	assert_int_equal(addr_compare(&result->exits[0].packet.from, &wanted_from), 0);
	assert_int_equal(addr_compare(&result->exits[0].packet.to, &wanted_to), 0);
	assert_int_equal(result->exits[0].packet.to_port, port);
}

static void test_passes(void **state)
{
	_cleanup_(twin_closep) struct twin *twin = open_twin();
	struct twin_result result;
	struct frame inside;

	result = shoot(twin, "up0", packet("10.9.0.9", "10.9.0.1", IPPROTO_TCP, 22));
	assert_true(result.local);
	assert_int_equal(result.n_exits, 0);
	result = shoot(twin, "up0", packet("10.9.0.9", "10.9.0.1", IPPROTO_TCP, 8080));
	assert_false(result.local);
	assert_comes_out(twin, &result, "va2", "10.9.0.9", "172.20.0.2", 80);
	result = shoot(twin, "br-x", packet("172.20.0.2", "1.1.1.1", IPPROTO_UDP, 97));
	assert_comes_out(twin, &result, "up0", "10.9.0.1", "1.1.1.1", 97);
	result = shoot(twin, "up0", packet("2600:2::9", "2600:1::7", IPPROTO_UDP, 97)); /* nobody knows where that is */
	assert_int_equal(result.n_exits, 1);
	inside = packet("172.20.0.3", "172.20.0.2", IPPROTO_UDP, 97);
	memcpy(inside.to_mac, (uint8_t[]){ 2, 0, 0, 0, 0, 0x22 }, 6);
	result = shoot(twin, "va1", inside);
	assert_comes_out(twin, &result, "va2", "172.20.0.3", "172.20.0.2", 97);
}

static void test_drops_are_named(void **state)
{
	_cleanup_(twin_closep) struct twin *twin = open_twin();
	struct twin_result result;
	struct frame other;

	result = shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, 98));
	assert_ends(twin, &result, TWIN_RULE, "table inet q, chain f: udp dport 98 counter drop comment \"bad\"");
	result = shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, 96));
	assert_ends(twin, &result, TWIN_RULE,
		    "table ip filter, chain FORWARD: -A FORWARD -p udp -m udp --dport 96 -m recent");
	result = shoot(twin, "up0", packet("10.9.0.9", "10.9.0.1", IPPROTO_TCP, 23));
	assert_ends(twin, &result, TWIN_RULE, "table inet q, chain in: its policy");
	other = packet("172.20.0.3", "172.20.0.4", IPPROTO_UDP, 97);
	memcpy(other.to_mac, (uint8_t[]){ 2, 0, 0, 0, 0, 0x44 }, 6);
	result = shoot(twin, "va1", other);
	assert_ends(twin, &result, TWIN_RULE, "table bridge b, chain f: ether daddr 02:00:00:00:00:44 drop");
	result = shoot(twin, "up0", packet("10.9.0.1", "172.20.0.2", IPPROTO_UDP, 97)); /* its own address */
	assert_ends(twin, &result, TWIN_KERNEL, "routing");
	result = shoot(twin, "br-x", packet("172.20.0.9", "1.1.1.1", IPPROTO_UDP, 97)); /* by a rule: no route */
	assert_ends(twin, &result, TWIN_KERNEL, "routing");
	other = packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, 97);
	memcpy(other.to_mac, (uint8_t[]){ 2, 0, 0, 0, 0, 0x55 }, 6);
	result = shoot(twin, "up0", other);
	assert_ends(twin, &result, TWIN_KERNEL, "another MAC");
}

static void test_connections(void **state)
{
	_cleanup_(twin_closep) struct twin *twin = open_twin();
	struct frame first = packet("172.20.0.2", "1.1.1.1", IPPROTO_UDP, 99), reply;
	struct twin_result result = shoot(twin, "br-x", first);
	struct error error = { 0 };

	reply = packet("1.1.1.1", "10.9.0.1", IPPROTO_UDP, first.from_port);
	reply.from_port = 99;
	result = shoot(twin, "up0", reply);
	assert_comes_out(twin, &result, "va2", "1.1.1.1", "172.20.0.2", first.from_port);
	assert_int_equal(twin_forget(twin, &error), 0);
	result = shoot(twin, "up0", reply);
	assert_ends(twin, &result, TWIN_RULE, "chain in: its policy");
}

static void test_lower_layer(void **state)
{
	_cleanup_(twin_closep) struct twin *twin = NULL;
	struct twin_result result;

	sh("iptables-legacy -N odd; iptables-legacy -A odd -p tcp -j RETURN; iptables-legacy -A odd -p udp --dport 95 -j DROP; "
	   "iptables-legacy -A FORWARD -j odd; iptables-legacy -P FORWARD ACCEPT");
	twin = open_twin();
	result = shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, 95));
	sh("iptables-legacy -F; iptables-legacy -X");
	assert_ends(twin, &result, TWIN_RULE,
		    "iptables-legacy, table ip filter, chain odd: -A odd -p udp -m udp --dport 95 -j DROP");
	result = shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, 94));
	assert_int_equal(result.end, TWIN_PASSED);
}

static bool accepted_by(const struct twin *twin, const struct twin_result *result, const char *text, size_t *ret)
{
	struct twin_rule rule;

	for (size_t i = 0; i < result->n_accepts; i++)
		if (twin_rule_of(twin, &result->accepts[i], &rule) && strcmp(rule.text, text) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

/* Who let a packet through is told, and what happens without him. */
static void test_who_accepted(void **state)
{
	static const struct {
		const char *before, *rule, *after, *then;
	} cases[] = {
		{ "iptables-nft -I FORWARD 1 -p udp -m udp --dport 96 -j ACCEPT",
		  "-A FORWARD -p udp -m udp --dport 96 -j ACCEPT", "iptables-nft -D FORWARD 1",
		  "table ip filter, chain FORWARD: -A FORWARD -p udp -m udp --dport 96 -m recent" },
		{ "iptables-legacy -A FORWARD -p udp --dport 97 -j ACCEPT; iptables-legacy -A FORWARD -p udp --dport 96 -j RETURN; "
		  "iptables-legacy -A FORWARD -p udp --dport 97 -j REJECT; iptables-nft -I FORWARD 1 -p udp --dport 96 -j ACCEPT",
		  "-A FORWARD -p udp -m udp --dport 97 -j ACCEPT", "iptables-legacy -F; iptables-nft -D FORWARD 1",
		  "iptables-legacy, table ip filter, chain FORWARD: -A FORWARD -p udp -m udp --dport 97 -j REJECT" },
		{ "nft 'insert rule inet q f udp dport 98 counter accept'", "udp dport 98 counter accept",
		  "nft flush chain inet q f; nft 'add rule inet q f udp dport 98 counter drop comment \"bad\"'",
		  "table inet q, chain f: udp dport 98 counter drop" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		uint16_t port = (uint16_t[]){ 96, 97, 98 }[i];
		_cleanup_(twin_closep) struct twin *twin = NULL;
		struct twin_result result;
		struct error error = { 0 };
		size_t which = 0;

		sh(cases[i].before);
		twin = open_twin();
		sh(cases[i].after);
		result = shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, port));
		assert_int_equal(result.end, TWIN_PASSED);
		assert_true(accepted_by(twin, &result, cases[i].rule, &which));
		assert_int_equal(twin_take_out(twin, &result.accepts[which], &error), 0);
		result = shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, port));
		assert_ends(twin, &result, TWIN_RULE, cases[i].then);
		result = shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, 93));
		assert_int_equal(result.end, TWIN_PASSED);
		assert_false(accepted_by(twin, &result, cases[i].rule, &which));
		assert_int_equal(twin_take_out(twin, &result.step, &error), -ENOENT);
	}
}

static void test_machine_stays_as_it_is(void **state)
{
	static const char look[] =
		"ip link; ip addr; ip route show table all; ip -6 route show table all; ip rule; ip neigh; "
		"bridge fdb; sysctl net.ipv4 net.ipv6 2>&1 | grep conf; nft list ruleset";
	_cleanup_free_ char *before = output_of(look), *after = NULL;
	_cleanup_(twin_closep) struct twin *twin = open_twin();

	shoot(twin, "up0", packet("10.9.0.9", "10.9.0.1", IPPROTO_TCP, 8080));
	after = output_of(look);
	assert_string_equal(before, after);
}

static void test_lacks_are_told(void **state)
{
	static const struct twin_options options;
	_cleanup_(twin_closep) struct twin *twin = NULL;
	struct error error = { 0 };
	const char *const *notes;

	sh("nft 'add table inet odd; add chain inet odd c { type filter hook input priority 7; }'; "
	   "iptables-nft -t security -A INPUT -m recent --set --name y; nft 'add chain ip security extra { type filter hook input priority 9; }'; "
	   "nft 'add rule ip security extra ip saddr 9.9.9.9 drop'");
	assert_int_equal(twin_open(&options, &twin, &error), 0);
	sh("nft 'delete table inet odd; delete table ip security'");
	assert_int_equal(twin_notes(twin, &notes), 1);
	assert_non_null(strstr(notes[0], "table ip security is another one in the twin, or is not there: nft: "));
}

/* Other rules of ours in place of the machine's, and past Docker's own by the rule that the daemon would put there. */
static void test_candidate(void **state)
{
	static const char candidate[] =
		"table inet spr {\n chain f {\n  type filter hook forward priority -10; policy accept;\n"
		"  udp dport 94 drop\n  udp dport 93 meta mark set meta mark | 0x08000000\n }\n}\n";
	static const struct {
		struct twin_options options;
		bool passes[4]; /* ports 92 to 95 */
	} rows[] = {
		{ { 0 }, { false, false, true, false } },
		{ { .without_spr = true }, { false, false, true, true } },
		{ { .candidate = candidate }, { false, true, false, true } },
	};

	sh("nft 'add table inet spr; add chain inet spr f { type filter hook forward priority -10; }'\n"
	   "nft 'add rule inet spr f udp dport 95 drop'\n"
	   "iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -I FORWARD -j DOCKER-USER\n"
	   "iptables -A FORWARD -p udp --dport 92:93 -j DROP\n");
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(twin_closep) struct twin *twin = NULL;
		struct error error = { 0 };

		if (twin_open(&rows[i].options, &twin, &error) < 0)
			fail_msg("%s", error.text);
		for (uint16_t port = 92; port <= 95; port++) {
			struct twin_result result =
				shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, port));

			if ((result.end == TWIN_PASSED) != rows[i].passes[port - 92])
				fail_msg("row %zu: port %u", i, port);
		}
	}
	sh("nft delete table inet spr; iptables -D FORWARD -j DOCKER-USER; iptables -F DOCKER-USER; iptables -X DOCKER-USER\n"
	   "iptables -D FORWARD -p udp --dport 92:93 -j DROP\n");
}

static void test_candidate_that_is_none(void **state)
{
	static const struct twin_options options = { .candidate = "table inet spr { chain f { nonsense } }\n" };
	struct twin *twin = NULL;
	struct error error = { 0 };

	assert_true(twin_open(&options, &twin, &error) < 0);
	assert_non_null(strstr(error.text, "nft: "));
}

static void test_needs_root(void **state)
{
	static const struct twin_options options;
	struct error error = { 0 };
	struct twin *twin = NULL;

	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(twin_open(&options, &twin, &error), -EPERM);
	assert_int_equal(seteuid(0), 0);
	assert_null(twin);
	assert_non_null(strstr(error.text, "needs root"));
}

/* How many processes of a session there are; those in another network namespace than this one are counted apart. */
static size_t session_size(pid_t session, size_t *elsewhere)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	struct stat own, other;
	size_t n = 0;

	assert_non_null(folder);
	assert_int_equal(stat("/proc/self/ns/net", &own), 0);
	while ((entry = readdir(folder))) {
		char path[300];

		if (atoi(entry->d_name) <= 0 || getsid(atoi(entry->d_name)) != session)
			continue;
		n++;
		snprintf(path, sizeof(path), "/proc/%s/ns/net", entry->d_name);
		*elsewhere += stat(path, &other) == 0 && other.st_ino != own.st_ino;
	}
	closedir(folder);
	return n;
}

static void test_killed_leaves_nothing(void **state)
{
	size_t seen = 0;

	for (int i = 0; i < 20; i++) {
		struct timespec moment = { .tv_nsec = 20000000 + i * 8000000L }, after = { .tv_nsec = 20000000 };
		pid_t child = fork();

		if (child == 0) {
			setsid();
			for (;;)
				twin_close(open_twin());
		}
		nanosleep(&moment, NULL);
		session_size(child, &seen);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		for (int tries = 0; tries < 100 && session_size(child, &(size_t){ 0 }) > 0; tries++)
			nanosleep(&after, NULL);
		assert_int_equal(session_size(child, &(size_t){ 0 }), 0);
	}
	assert_int_not_equal(seen, 0); /* else it was never killed while in the twin */
}

static void test_fast(void **state)
{
	_cleanup_(twin_closep) struct twin *twin = open_twin();
	struct timespec start, end;
	double took;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 4000; i++)
		shoot(twin, "up0", packet("10.9.0.9", "172.20.0.2", IPPROTO_UDP, (uint16_t)(1000 + i)));
	clock_gettime(CLOCK_MONOTONIC, &end);
	took = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("4000 packets in %.2f s\n", took);
	assert_true(took < 5);
}

static void test_listing_of_nft(void **state)
{
	static const char listing[] =
		"table inet q { # handle 3\n\tset s { # handle 9\n\t\ttype ipv4_addr\n\t}\n\n"
		"\tchain f { # handle 1\n\t\ttype filter hook forward priority 5; policy accept;\n"
		"\t\tip saddr { 1.1.1.1, 2.2.2.2,\n\t\t\t     3.3.3.3 } drop # handle 12\n"
		"\t\tdrop comment \"# handle 7\" # handle 13\n\t}\n}\n";
	struct rule_text *texts = NULL;
	size_t n = 0;

	assert_int_equal(rule_texts_of_nft(listing, &texts, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(texts[0].family, "inet");
	assert_string_equal(texts[0].chain, "f");
	assert_string_equal(texts[0].text, "ip saddr { 1.1.1.1, 2.2.2.2, 3.3.3.3 } drop");
	assert_int_equal(texts[0].rule, 12);
	assert_int_equal(texts[1].rule, 13);
	rule_texts_free(texts, n);
}

static int enter(void **state)
{
	sh(machine);
	return 0;
}

/* A wrong UDP checksum is never the 0 that stands for none. */
static void test_bad_sum(void **state)
{
	uint8_t buffer[FRAME_MAX];
	bool met = false;

	for (unsigned port = 0; port <= UINT16_MAX; port++) {
		struct frame frame = packet("10.0.0.1", "10.0.0.2", IPPROTO_UDP, (uint16_t)port);
		const uint8_t *sum = buffer + 14 + 20 + 6;

		frame_build(&frame, buffer);
		met = met || (sum[0] == 0x5a && sum[1] == 0);
		frame.bad_sum = true;
		frame_build(&frame, buffer);
		assert_true(sum[0] || sum[1]);
	}
	assert_true(met);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_sum),
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_drops_are_named),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_lower_layer),
		cmocka_unit_test(test_who_accepted),
		cmocka_unit_test(test_machine_stays_as_it_is),
		cmocka_unit_test(test_lacks_are_told),
		cmocka_unit_test(test_candidate),
		cmocka_unit_test(test_candidate_that_is_none),
		cmocka_unit_test(test_needs_root),
		cmocka_unit_test(test_killed_leaves_nothing),
		cmocka_unit_test(test_fast),
		cmocka_unit_test(test_listing_of_nft),
	};

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		printf("1..0 # SKIP cannot make a network namespace: %s\n", strerror(errno));
		return 77;
	}
	mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return cmocka_run_group_tests(tests, enter, NULL);
}
