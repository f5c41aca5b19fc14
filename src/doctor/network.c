/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "doctor/exam.h"

/* Settings of the kernel's network. */

/* Interfaces whose setting is a number: exam_each() over a folder of sysctls. */
struct matching {
	const char *family, *key; /* net/FAMILY/conf/NAME/KEY */
	long at_least;
	bool bridges_only;
	bool all; /* "all" has it; the interfaces are names */
	struct names names;
};

static void match_interface(struct exam *exam, const char *name, void *data)
{
	struct matching *matching = data;
	char path[600];

	snprintf(path, sizeof(path), "net/%s/conf/%s/%s", matching->family, name, matching->key);
	if (exam_sysctl(exam, path) < matching->at_least)
		return;
	if (strcmp(name, "all") == 0) {
		matching->all = true;
		return;
	}
	snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", name);
	if (strcmp(name, "default") != 0 && (!matching->bridges_only || exam_exists(exam, path)))
		names_add(&matching->names, name);
}

static void match_interfaces(struct exam *exam, struct matching *matching)
{
	char folder[64];

	snprintf(folder, sizeof(folder), "/proc/sys/net/%s/conf", matching->family);
	exam_each(exam, folder, match_interface, matching);
}

static bool has_containers(struct exam *exam)
{
	const json_t *counts = json_object_get(exam->doctor->status, "counts");

	return json_integer_value(json_object_get(counts, "networks")) > 0 || exam_process(exam, "dockerd");
}

void check_forwarding(struct exam *exam)
{
	if (exam_sysctl(exam, "net/ipv4/ip_forward") == 0 && has_containers(exam))
		found(exam, SEVERITY_NOTICE, "sysctl -w net.ipv4.ip_forward=1, if containers are to use the network",
		      "this machine forwards no IPv4: containers reach nothing but itself, whatever spr opens");
}

void check_route_localnet(struct exam *exam)
{
	struct matching matching = { .family = "ipv4", .key = "route_localnet", .at_least = 1 };

	match_interfaces(exam, &matching);
	if (matching.all)
		found(exam, SEVERITY_WARNING, "sysctl -w net.ipv4.conf.all.route_localnet=0, and from /etc/sysctl.d",
		      "route_localnet is on for all interfaces: 127.0.0.0/8 of this machine can be reached from outside "
		      "wherever no rule stops it; spr does, while it is up");
	else if (matching.names.n)
		found(exam, SEVERITY_NOTICE,
		      "sysctl -w net.ipv4.conf.INTERFACE.route_localnet=0, unless Docker needs it (userland-proxy: false)",
		      "route_localnet is on for %s: 127.0.0.0/8 of this machine can be reached from there wherever no "
		      "rule stops it; spr does, while it is up",
		      matching.names.text);
}

void check_redirects(struct exam *exam)
{
	struct matching matching = { .family = "ipv4", .key = "accept_redirects", .at_least = 1 };

	match_interfaces(exam, &matching);
	/* a machine that forwards takes them only where both "all" and the interface say so */
	if (matching.all && matching.names.n && exam_sysctl(exam, "net/ipv4/ip_forward") == 1)
		found(exam, SEVERITY_NOTICE, "sysctl -w net.ipv4.conf.all.accept_redirects=0, and in /etc/sysctl.d",
		      "this machine forwards, and believes ICMP redirects from %s: a neighbour can lead its own traffic "
		      "another way",
		      matching.names.text);
}

void check_source_route(struct exam *exam)
{
	struct matching matching = { .family = "ipv4", .key = "accept_source_route", .at_least = 1 };

	match_interfaces(exam, &matching);
	if (matching.all && matching.names.n)
		found(exam, SEVERITY_NOTICE, "sysctl -w net.ipv4.conf.all.accept_source_route=0, and in /etc/sysctl.d",
		      "source-routed packets are taken from %s; spr drops them, while it is up", matching.names.text);
}

void check_reverse_path(struct exam *exam)
{
	struct matching matching = { .family = "ipv4", .key = "rp_filter", .at_least = 1 };

	match_interfaces(exam, &matching);
	if (exam_inactive(exam) && !matching.all && !matching.names.n &&
	    exam_sysctl(exam, "net/ipv4/conf/all/rp_filter") == 0)
		found(exam, SEVERITY_NOTICE, "spr up, or sysctl -w net.ipv4.conf.all.rp_filter=2",
		      "nothing checks where packets come from: rp_filter is off, and spr is not up");
}

void check_router_adverts(struct exam *exam)
{
	struct matching matching = { .family = "ipv6", .key = "accept_ra", .at_least = 2, .bridges_only = true };

	match_interfaces(exam, &matching);
	if (matching.names.n)
		found(exam, SEVERITY_WARNING, "sysctl -w net.ipv6.conf.BRIDGE.accept_ra=0, unless it is your uplink",
		      "router advertisements are taken from the bridge %s although this machine may forward: one of its "
		      "containers can become the way to the internet; spr drops them on bridges of containers, while it "
		      "is up",
		      matching.names.text);
}

void check_bridge_netfilter(struct exam *exam)
{
	if (has_containers(exam) && exam_sysctl(exam, "net/bridge/bridge-nf-call-iptables") != 1)
		found(exam, SEVERITY_NOTICE,
		      "modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1 (and ip6tables)",
		      "rules do not see what passes inside one container network: isolate, block and disabled do not hold "
		      "there");
}

void check_tcp_tracking(struct exam *exam)
{
	if (exam_sysctl(exam, "net/netfilter/nf_conntrack_tcp_be_liberal") == 1)
		found(exam, SEVERITY_NOTICE, "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=0",
		      "TCP packets outside of their window count as part of their connection "
		      "(nf_conntrack_tcp_be_liberal): spr cannot tell forged ones");
	/* on by default; it matters only where nobody drops what is new without SYN */
	if (exam_inactive(exam) && exam_sysctl(exam, "net/netfilter/nf_conntrack_tcp_loose") > 0)
		found(exam, SEVERITY_NOTICE, "spr up",
		      "connections are taken up from the middle (nf_conntrack_tcp_loose); spr drops such packets, while it "
		      "is up");
}

#define ROOM_WANTED 16384
#define FULL_PERCENT 80

void check_conntrack_room(struct exam *exam)
{
	long room = exam_sysctl(exam, "net/netfilter/nf_conntrack_max");
	long used = exam_sysctl(exam, "net/netfilter/nf_conntrack_count");

	if (room > 0 && used / (room / 100.0) >= FULL_PERCENT)
		found(exam, SEVERITY_WARNING,
		      "sysctl -w net.netfilter.nf_conntrack_max=NUMBER, and settings: connections in the policy",
		      "the table of connections is nearly full: %ld of %ld. When it is, new connections are dropped",
		      used, room);
	else if (room > 0 && room < ROOM_WANTED)
		found(exam, SEVERITY_NOTICE, "sysctl -w net.netfilter.nf_conntrack_max=65536, and in /etc/sysctl.d",
		      "the table of connections has room for %ld only: a single container can fill it", room);
}
