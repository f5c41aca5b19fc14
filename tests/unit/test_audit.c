/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit of a small machine, in a network namespace of this test's own: whose rules are named for what they accept, and
 * whose are not. Needs root, ip, nft and iptables; ends with 77 (skipped) and the reason where it may not make namespaces.
 * tests/lab/test_audit.py does the same before a real Docker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <linux/if.h>
#include <linux/if_tun.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "shell.h"

/* A router with an uplink, two networks and an overlay, which forwards nothing. */
static const char machine[] =
	"set -e\n"
	"ip link set lo up\n"
	"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 "
	"net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 "
	"net.ipv6.conf.default.router_solicitations=0\n"
	"for n in up lan guest; do ip link add name ${n}0 type veth peer name ${n}1; ip link set ${n}0 up; ip link set ${n}1 up; done\n"
	"ip tuntap add tailscale0 mode tun; ip link set tailscale0 up\n"
	"ip addr add 10.9.0.1/24 dev up0; ip addr add 192.168.7.1/24 dev lan0; ip addr add 192.168.8.1/24 dev guest0\n"
	"ip addr add 2600:9::1/64 dev up0 nodad; ip addr add 2600:7::1/64 dev lan0 nodad\n"
	"ip addr add 100.64.0.1/32 dev tailscale0; ip addr add fd7a:115c:a1e0::1/128 dev tailscale0\n"
	"ip route add default via 10.9.0.254; ip route add default via 2600:9::fe dev up0\n"
	"ip route add 100.64.0.9/32 dev tailscale0 table 52; ip route add 100.100.100.100/32 dev tailscale0 table 52\n"
	"ip route add fd7a:115c:a1e0::/48 dev tailscale0 table 52\n"
	"ip rule add lookup 52 pref 5270; ip -6 rule add lookup 52 pref 5270\n"
	"iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP\n"
	"sleep 0.5\n"; /* until the interfaces run */

static const char emptied[] =
	"nft flush ruleset; for t in raw mangle nat filter; do iptables-legacy -t $t -F; iptables-legacy -t $t -X; done 2>/dev/null; "
	"iptables-legacy -P FORWARD ACCEPT; iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP";

#define TAILSCALE                                                                                                      \
	"iptables-nft -N ts-forward; iptables-nft -I FORWARD -j ts-forward; "                                          \
	"iptables-nft -A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000; "                              \
	"iptables-nft -A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT; "                                       \
	"iptables-nft -A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP; "                                          \
	"iptables-nft -A ts-forward -o tailscale0 -j ACCEPT"

/* What a machine has, and what the audit says of it. */
static const struct scene {
	const char *rules;
	const char *id, *says; /* a finding and a part of its text; NULL: none of accepts */
	const char *fix;
} scenes[] = {
	{ "true", NULL },
	{ "iptables-nft -A FORWARD -j ACCEPT", "other-accept",
	  "a rule of somebody accepts what would be dropped without it, in table ip filter, chain FORWARD (-A FORWARD -j "
	  "ACCEPT)",
	  "iptables -t filter -D FORWARD -j ACCEPT;" },
	{ "ip6tables-nft -A FORWARD -j ACCEPT", "other-accept", "in table ip6 filter, chain FORWARD",
	  "ip6tables -t filter -D FORWARD -j ACCEPT;" },
	{ "iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER; iptables-nft -A DOCKER-USER -j ACCEPT",
	  "other-accept",
	  "chain DOCKER-USER (-A DOCKER-USER -j ACCEPT): ", "iptables -t filter -D DOCKER-USER -j ACCEPT;" },
	{ "iptables-nft -N ufw-user-forward; iptables-nft -A FORWARD -j ufw-user-forward; "
	  "iptables-nft -A ufw-user-forward -i guest0 -o lan0 -j ACCEPT",
	  "other-accept", "a rule of ufw accepts", "ufw status numbered" },
	{ "iptables-nft -P FORWARD ACCEPT; nft 'add table inet firewalld; add chain inet firewalld f { type filter hook forward "
	  "priority 10; policy drop; }; add rule inet firewalld f iifname \"guest0\" counter accept'",
	  "other-accept", "table inet firewalld, chain f (iifname \"guest0\" counter accept)", "firewall-cmd" },
	{ "iptables-nft -P FORWARD ACCEPT; nft 'add table inet mine; add chain inet mine f { type filter hook forward priority 10; "
	  "policy drop; }; add rule inet mine f iifname \"guest0\" accept'",
	  "other-accept", "table inet mine, chain f (iifname \"guest0\" accept)",
	  "nft -a list chain inet mine f, then nft delete rule inet mine f handle NUMBER" },
	{ "iptables-nft -P FORWARD ACCEPT; iptables-legacy -A FORWARD -i lan0 -j RETURN; iptables-legacy -A FORWARD -i guest0 -j "
	  "ACCEPT; iptables-legacy -A FORWARD -i guest0 -p udp -j ACCEPT; iptables-legacy -P FORWARD DROP",
	  "other-accept", "in iptables-legacy, table ip filter, chain FORWARD (-A FORWARD -i guest0 -j ACCEPT)",
	  "iptables-legacy -t filter -D FORWARD -i guest0 -j ACCEPT;" },
	/* in each other's shadow: neither alone would open it */
	{ "iptables-nft -A FORWARD -i guest0 -j ACCEPT; iptables-nft -A FORWARD -o lan0 -j ACCEPT", "other-accept",
	  "(-A FORWARD -i guest0 -j ACCEPT)" },
	{ "iptables-nft -A FORWARD -i guest0 -j ACCEPT; iptables-nft -A FORWARD -o lan0 -j ACCEPT", "other-accept",
	  "(-A FORWARD -o lan0 -j ACCEPT)" },
	{ TAILSCALE, "tailscale-accept",
	  "(-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT): a peer on tailscale0 ",
	  "tailscale set --netfilter-mode=nodivert" },
	{ TAILSCALE, "tailscale-accept", "(-A ts-forward -o tailscale0 -j ACCEPT): ", NULL },
	{ "nft 'add chain ip filter ts-forward; insert rule ip filter FORWARD jump ts-forward; add rule ip filter ts-forward "
	  "iifname \"tailscale0\" counter accept'",
	  "tailscale-accept", "chain ts-forward (", NULL },

	/* accepts that open nothing: it would pass without them, or does not pass with them */
	{ "iptables-nft -P FORWARD ACCEPT; iptables-nft -A FORWARD -j ACCEPT", NULL },
	{ "iptables-nft -t mangle -A PREROUTING -j ACCEPT; iptables-nft -t raw -A PREROUTING -i guest0 -j ACCEPT",
	  NULL },
	{ "nft 'add table inet mine; add chain inet mine f { type filter hook forward priority 10; policy accept; }; "
	  "add rule inet mine f accept'",
	  NULL },
	/* an engine's own, and ours */
	{ "iptables-nft -N DOCKER-FORWARD; iptables-nft -A FORWARD -j DOCKER-FORWARD; iptables-nft -A DOCKER-FORWARD -i guest0 -j "
	  "ACCEPT",
	  NULL },
	{ "iptables-nft -A FORWARD -i guest0 ! -o guest0 -j ACCEPT", NULL },
	{ "iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER; iptables-nft -t mangle -A PREROUTING -j MARK "
	  "--set-mark 0x8000000; iptables-nft -A DOCKER-USER -m mark --mark 0x8000000/0x8000000 -j ACCEPT",
	  NULL },
};

static json_t *audit(void)
{
	struct audit_options options = { .docker = "/nowhere/docker.sock", .status_error = -ENOENT };
	struct error error = { 0 };
	json_t *report = NULL;

	if (audit_run(&options, &report, &error) < 0)
		fail_msg("%s", error.text);
	return report;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static const json_t *finding_of(const json_t *report, const char *id, const char *says)
{
	json_t *finding;
	size_t i;

	json_array_foreach(json_object_get(report, "findings"), i, finding)
		if (strcmp(text_of(finding, "id"), id) == 0 && strstr(text_of(finding, "text"), says))
			return finding;
	return NULL;
}

static bool has_note(const json_t *report, const char *says)
{
	json_t *note;
	size_t i;

	json_array_foreach(json_object_get(report, "notes"), i, note)
		if (strstr(json_string_value(note), says))
			return true;
	return false;
}

static bool names_accepts(const json_t *report)
{
	return finding_of(report, "other-accept", "") || finding_of(report, "tailscale-accept", "");
}

static void test_accepts(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(scenes); i++) {
		const struct scene *scene = &scenes[i];
		_cleanup_(json_decrefp) json_t *report = NULL;
		const json_t *finding;

		sh(emptied);
		sh(scene->rules);
		report = audit();
		finding = scene->id ? finding_of(report, scene->id, scene->says) : NULL;
		if (scene->id ? !finding : names_accepts(report)) {
			json_dumpf(json_object_get(report, "findings"), stderr, JSON_INDENT(1));
			fail_msg("scene %zu: %s: %s", i, scene->rules,
				 scene->id ? scene->says : "a finding of accepts");
		}
		if (!finding)
			continue;
		assert_string_equal(text_of(finding, "severity"), "warning");
		assert_true(json_array_size(json_object_get(finding, "packets")) > 0);
		assert_true(*text_of(json_array_get(json_object_get(finding, "packets"), 0), "interface"));
		if (scene->fix && !strstr(text_of(finding, "fix"), scene->fix))
			fail_msg("%s: to do: %s", scene->rules, text_of(finding, "fix"));
	}
	sh(emptied);
}

/* What only this machine's own services are reached by is good to know. */
static void test_accept_for_a_service(void **state)
{
	_cleanup_(json_decrefp) json_t *report = NULL;
	const json_t *finding;

	sh(emptied);
	sh("iptables-nft -P INPUT DROP; iptables-nft -A INPUT -i up0 -p udp --dport 4789 -j ACCEPT; "
	   "ip link add vx0 type vxlan id 7 dstport 4789 dev up0; ip link set vx0 up");
	report = audit();
	sh("ip link del vx0; iptables-nft -P INPUT ACCEPT");
	finding = finding_of(report, "other-accept", "--dport 4789");
	assert_non_null(finding);
	assert_string_equal(text_of(finding, "severity"), "notice");
}

/* A peer of an overlay is at an address that a route leads to: its interface has a single address. */
static void test_peers(void **state)
{
	_cleanup_(json_decrefp) json_t *closed = NULL, *open = NULL;
	const json_t *finding;

	sh(emptied);
	closed = audit();
	assert_null(finding_of(closed, "overlay-exit", ""));
	sh("iptables-nft -P FORWARD ACCEPT; ip6tables-nft -P FORWARD ACCEPT");
	open = audit();
	finding = finding_of(open, "overlay-exit", "a peer on tailscale0, for whom this machine is an exit");
	assert_non_null(finding);
	assert_string_equal(text_of(json_array_get(json_object_get(finding, "packets"), 0), "from"), "100.64.0.9");
	assert_non_null(finding_of(open, "other-network", "a peer on tailscale0 reaches"));
	assert_non_null(finding_of(open, "upstream", "a device on lan0 reaches"));
	sh(emptied);
}

/* The same machine has the same report. */
static void test_same_again(void **state)
{
	_cleanup_(json_decrefp) json_t *first = NULL, *again = NULL;

	sh(emptied);
	sh("iptables-nft -P FORWARD ACCEPT; iptables-nft -A FORWARD -j ACCEPT");
	first = audit();
	again = audit();
	assert_true(json_equal(json_object_get(first, "findings"), json_object_get(again, "findings")));
	assert_true(json_array_size(json_object_get(first, "findings")) > 5);
	sh(emptied);
}

/* What a namespace cannot copy is said, and nothing is where there is nothing of the kind. */
static void test_limits_are_told(void **state)
{
	_cleanup_(json_decrefp) json_t *plain = NULL, *filtered = NULL;

	sh(emptied);
	plain = audit();
	sh("tc qdisc add dev lan0 clsact");
	filtered = audit();
	sh("tc qdisc del dev lan0 clsact");
	assert_true(has_note(plain, "there is no Docker at /nowhere/docker.sock"));
	assert_true(has_note(plain, "what the program behind tailscale0 stops by itself"));
	assert_int_equal(json_array_size(json_object_get(plain, "notes")), 2);
	assert_true(has_note(filtered,
			     "what tc, with its filters and programs, does to packets at lan0 is not in the twin"));
	assert_int_equal(json_array_size(json_object_get(filtered, "notes")), 3);
}

/* Names that nobody expects: the report is there, and is JSON. */
static void test_odd_names(void **state)
{
	_cleanup_(json_decrefp) json_t *report = NULL, *sarif = NULL;
	_cleanup_free_ char *text = NULL;

	sh(emptied);
	sh("iptables-nft -P FORWARD ACCEPT; for n in \"a'\\\"b\" '*' '$(x);' \"$(printf 'b\\377\\001d')\" '-j'; do "
	   "ip link add dev \"$n\" type dummy 2>/dev/null || ip link add name \"$n\" type veth; "
	   "ip link set dev \"$n\" up; ip addr add 172.16.$((k = k + 1)).1/24 dev \"$n\"; done");
	report = audit();
	sh("ip -o link show | grep -c 'mtu'; for k in 1 2 3 4 5 6; do "
	   "n=$(ip -o -4 addr show to 172.16.$k.1/32 | awk '{print $2}'); ip link del dev \"$n\" 2>/dev/null || true; done");
	sarif = audit_sarif(report);
	text = json_dumps(sarif, 0);
	assert_non_null(text);
	assert_non_null(finding_of(report, "other-network", "$(x);"));
	assert_true(has_note(report, "nft cannot write the name"));
	assert_false(has_note(report, "no hook at an interface's ingress"));
}

/* The program at the other end of the overlay's interface; it runs as long as somebody has that open. */
static int hold_overlay(void)
{
	struct ifreq request = { .ifr_name = "tailscale0", .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	return fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ? -1 : fd;
}

static int enter(void **state)
{
	sh(machine);
	assert_true(hold_overlay() >= 0);
	sh("sleep 0.2");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),		cmocka_unit_test(test_accept_for_a_service),
		cmocka_unit_test(test_peers),		cmocka_unit_test(test_same_again),
		cmocka_unit_test(test_limits_are_told), cmocka_unit_test(test_odd_names),
	};

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		printf("1..0 # SKIP cannot make a network namespace: %s\n", strerror(errno));
		return 77;
	}
	mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	return cmocka_run_group_tests(tests, enter, NULL);
}
