/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each word of a policy means: machines, policies and packets, and what verdict() says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "world.h"

#define NOW 1800000000 /* January 2027 */

#define ENGINE                                                                                                         \
	"bridge br-m 172.30.1.1/24 fd00:1::1/64\n"                                                                     \
	"bridge br-b 172.30.2.1/24 2600:d0::1/64\n"                                                                    \
	"bridge br-i 172.30.9.1/24\n"                                                                                  \
	"bridge br-n 172.30.5.1/24\n"                                                                                  \
	"network media br-m 172.30.1.0/24 fd00:1::/64\n"                                                               \
	"network back br-b 172.30.2.0/24 2600:d0::/64\n"                                                               \
	"network dark br-i 172.30.9.0/24 internal\n"                                                                   \
	"network noicc br-n 172.30.5.0/24 noicc\n"                                                                     \
	"container jelly media 172.30.1.10 fd00:1::10 port=0.0.0.0:8096:8096/tcp port=[::]:8096:8096/tcp\n"            \
	"container web media 172.30.1.11 port=0.0.0.0:8080:80/tcp port=192.168.1.5:8443:443/tcp\n"                     \
	"container db back 172.30.2.10 2600:d0::10 service=shop/db port=172.30.2.1:5432:5432/tcp\n"                    \
	"container db2 back 172.30.2.11 service=shop/db\n"                                                             \
	"container safe dark 172.30.9.10\n"                                                                            \
	"container safe2 dark 172.30.9.11\n"                                                                           \
	"container n1 noicc 172.30.5.10\n"                                                                             \
	"container n2 noicc 172.30.5.11\n"                                                                             \
	"build media 172.30.1.99\n"

static const char nas[] = "interface eth0 192.168.1.5/24 2600:99::2/64\n"
			  "route default eth0 192.168.1.1\n"
			  "route default eth0 2600:99::1\n"
			  "interface virbr0 192.168.122.1/24\n"
			  "interface new0 10.77.0.1/24\n"
			  "tun tailscale0 100.100.0.1/32\n"
			  "route 100.64.0.0/10 tailscale0\n" ENGINE "resolver 9.9.9.9\n";

/* What is published is told late, or not at all while a container is stopped; and whose turn a port is. */
static const char starting[] = "interface eth0 192.168.1.5/24 2600:99::2/64\n"
			       "route default eth0 192.168.1.1\n"
			       "route default eth0 2600:99::1\n"
			       "interface dmz0 10.5.0.1/24\n"
			       "bridge br-m 172.30.1.1/24\n"
			       "network media br-m 172.30.1.0/24\n"
			       "container web media 172.30.1.10 port=0.0.0.0:80:80/tcp bind=0.0.0.0:80:80/tcp\n"
			       "container new media 172.30.1.11 bind=0.0.0.0:81:80/tcp bind=[::]:81:80/tcp\n"
			       "stopped old bind=0.0.0.0:80:80/tcp bind=0.0.0.0:81:80/tcp bind=192.168.1.5:80:80/tcp\n"
			       "stopped gone bind=0.0.0.0:82:80/tcp bind=192.168.1.5:83:80/udp\n"
			       "container odd media 172.30.1.12 service=?/? labels=image\n"
			       "container named media 172.30.1.13 service=?/? labels=image\n"
			       "container one media 172.30.1.14 bind=0.0.0.0:90:90/tcp\n"
			       "container two media 172.30.1.15 bind=0.0.0.0:90:90/tcp\n";

static const char router[] = "interface eth0 10.99.0.2/24 2600:99::2/64\n"
			     "route default eth0 10.99.0.1\n"
			     "route default eth0 2600:99::1\n"
			     "bridge br-lan 192.168.77.1/24 2600:77::1/64\n"
			     "interface guest0 192.168.78.1/24\n"
			     "route 192.168.79.0/24 br-lan 192.168.77.254\n"
			     "interface new0 10.77.0.1/24\n" ENGINE "resolver 192.168.77.1\n";

#define ROUTER_ROLES                                                                                                   \
	"interfaces: [{name: br-lan, role: lan}, {name: guest0, role: lan}]\n"                                         \
	"rules: [{name: home, interface: br-lan, source: 192.168.77.0/24, policies: [wan, dns]}]\n"

struct row {
	const char *packet, *verdict;
};

struct scene {
	const char *name, *machine, *yaml;
	struct row rows[40];
};

static const struct scene scenes[] = {
	{ "without a policy",
	  nas,
	  "",
	  {
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 443", "accept" },
		  { "br-m 172.30.1.10 > 1.1.1.1 gre", "accept" },
		  { "br-m 172.30.1.10 > 1.1.1.1 icmp type=8", "accept" },
		  { "br-m fd00:1::10 > 2620:fe::fe tcp 443", "accept" },
		  { "br-m 172.30.1.99 > 1.1.1.1 tcp 443", "accept" }, /* a build */
		  { "br-m 172.30.1.98 > 1.1.1.1 tcp 443", "unknown-source" },
		  { "br-m 172.30.1.10 > 9.9.9.9 udp 443", "accept" },
		  { "br-m 172.30.1.10 > 172.30.1.11 tcp 9999 out=br-m", "accept" },
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 80", "no-grant" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 8096", "no-grant" },
		  { "eth0 50.0.0.7 > 172.30.1.10 tcp 8096", "no-grant" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8096 nat=172.30.1.10:8096", "no-grant" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8096", "no-grant" }, /* the engine's proxy */
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 22", "alone" },
		  { "br-m 172.30.1.10 > 172.30.1.1 tcp 22", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.1.5 tcp 22", "other-interface" },
		  { "br-i 172.30.9.10 > 1.1.1.1 tcp 443", "no-grant" },
		  { "br-i 172.30.9.10 > 172.30.9.11 tcp 443", "accept" },
		  { "eth0 1.1.1.1 > 172.30.1.10 tcp 40000 reply from=443", "accept" },
	  } },
	{ "wan is never upstream",
	  nas,
	  "containers: [{name: jelly, policies: [wan]}, {name: db, policies: [wan]}]",
	  {
		  { "br-m 172.30.1.10 > 8.8.8.8 tcp 443", "accept" },
		  { "br-m 172.30.1.10 > 0.1.2.3 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 10.1.2.3 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 169.254.1.1 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 172.31.0.1 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 192.0.0.8 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.50.10 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.50.10 gre", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.50.10 icmp type=8", "no-grant" },
		  { "br-m 172.30.1.10 > 198.18.0.10 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 198.19.255.255 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 198.20.0.0 tcp 443", "accept" },
		  { "br-m 172.30.1.10 > 240.0.0.4 tcp 443 out=eth0", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.1.1 tcp 80", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 80", "no-grant" },
		  { "br-m 172.30.1.10 > 9.9.9.9 udp 53", "no-grant" }, /* that is dns */
		  { "br-m 172.30.1.10 > 8.8.8.8 udp 53", "no-grant" },
		  { "br-m 172.30.1.10 > 8.8.8.8 tcp 53", "no-grant" },
		  { "br-m 172.30.1.10 > 8.8.8.8 tcp 853", "accept" },
		  { "br-m fd00:1::10 > fd12::1 tcp 443", "no-grant" },
		  { "br-m fd00:1::10 > 2002:a00:1::1 tcp 443", "no-grant" },
		  { "br-m fd00:1::10 > 64:ff9b::a00:1 tcp 443", "no-grant" },
		  { "br-m fd00:1::10 > ::ffff:10.0.0.1 tcp 443", "no-grant" },
		  { "br-m fd00:1::10 > 2001:db8::1 tcp 443", "no-grant" },
		  { "br-m fd00:1::10 > 2600:99::66 tcp 443", "no-grant" }, /* a global prefix on-link */
		  { "br-m fd00:1::10 > 2600:9a::66 tcp 443", "accept" },
		  { "br-m fd00:1::10 > 2600:d0::10 tcp 443", "no-grant" }, /* a global prefix of containers */
		  { "br-m 172.30.1.10 > 100.64.0.9 tcp 443", "unknown-target" }, /* routed to the overlay */
		  { "br-m 172.30.1.10 > 100.64.0.9 tcp 443 out=eth0", "no-grant" },
		  { "eth0 8.8.8.8 > 172.30.1.10 tcp 443", "no-grant" },
	  } },
	{ "own networks count wherever they are",
	  "interface eth0 60.1.0.2/24\nroute default eth0 60.1.0.1\n"
	  "interface lan0 61.2.0.1/24\nroute 62.0.0.0/16 lan0 61.2.0.9\n" ENGINE,
	  "containers: [{name: jelly, policies: [wan]}]",
	  {
		  { "br-m 172.30.1.10 > 60.1.0.7 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 60.1.1.7 tcp 443", "accept" },
		  { "br-m 172.30.1.10 > 61.2.0.7 tcp 443 out=eth0", "no-grant" },
		  { "br-m 172.30.1.10 > 62.0.5.7 tcp 443 out=eth0", "no-grant" },
		  { "br-m 172.30.1.10 > 61.2.0.7 tcp 443", "unknown-target" },
	  } },
	{ "dns is the resolver and nothing else",
	  nas,
	  "networks: [{name: media, policies: [dns]}]",
	  {
		  { "br-m 172.30.1.10 > 9.9.9.9 udp 53", "accept" },
		  { "br-m 172.30.1.10 > 9.9.9.9 tcp 53", "accept" },
		  { "br-m 172.30.1.10 > 9.9.9.9 tcp 853", "no-grant" },
		  { "br-m 172.30.1.10 > 9.9.9.9 icmp type=8", "no-grant" },
		  { "br-m 172.30.1.10 > 8.8.8.8 udp 53", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.1.1 udp 53", "no-grant" },
		  { "br-b 172.30.2.10 > 9.9.9.9 udp 53", "accept" },
		  { "br-i 172.30.9.10 > 9.9.9.9 udp 53", "no-grant" },
	  } },
	{ "port 53 elsewhere by an allow or a group",
	  nas,
	  "groups: [{name: g}]\ncontainers: [{name: jelly, policies: [wan, lan], groups: [g]}, {name: db, groups: [g]}]\n"
	  "allow: [{from: jelly, to: internet, ports: [53/udp]}]",
	  {
		  { "br-m 172.30.1.10 > 8.8.8.8 udp 53", "accept" },
		  { "br-m 172.30.1.10 > 8.8.8.8 tcp 53", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.1.7 udp 53", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.1.7 udp 54", "accept" },
		  { "br-m 172.30.1.10 > 172.30.2.10 udp 53", "accept" },
		  { "br-m 172.30.1.10 > 172.30.1.11 udp 53", "accept" }, /* the same network */
	  } },
	{ "dns to a resolver on this machine",
	  router,
	  ROUTER_ROLES,
	  {
		  { "br-m 172.30.1.10 > 192.168.77.1 udp 53", "accept" }, /* though it is another interface's address */
		  { "br-m 172.30.1.10 > 192.168.77.1 tcp 80", "other-interface" },
		  { "br-m 172.30.1.10 > 172.30.1.1 udp 53", "no-grant" },
		  { "br-lan 192.168.77.10 > 192.168.77.1 udp 53", "accept" },
		  { "br-lan 192.168.77.10 > 192.168.77.1 tcp 22", "no-grant" },
		  { "eth0 1.1.1.1 > 192.168.77.1 udp 53", "other-interface" },
		  { "eth0 1.1.1.1 > 10.99.0.2 udp 53", "no-grant" },
	  } },
	{ "lan and lan_upstream without a lan interface",
	  nas,
	  "containers: [{name: jelly, policies: [lan]}, {name: web, policies: [lan_upstream]}, {name: db, policies: []}]",
	  {
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 445", "accept" },
		  { "br-m 172.30.1.10 > 192.168.1.1 tcp 80", "no-grant" }, /* the gateway is upstream only */
		  { "br-m 172.30.1.10 > 192.168.50.10 tcp 80", "no-grant" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 80", "no-grant" },
		  { "br-m fd00:1::10 > 2600:99::66 tcp 80", "accept" },
		  { "br-m 172.30.1.11 > 192.168.1.1 tcp 80", "accept" },
		  { "br-m 172.30.1.11 > 192.168.1.7 tcp 80", "accept" },
		  { "br-m 172.30.1.11 > 192.168.50.10 gre", "accept" },
		  { "br-m 172.30.1.11 > 1.1.1.1 tcp 80", "no-grant" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 445", "no-grant" }, /* not the other way round */
		  { "br-b 172.30.2.10 > 1.1.1.1 tcp 80", "no-grant" },
	  } },
	{ "lan on a router",
	  router,
	  ROUTER_ROLES "containers: [{name: jelly, policies: [lan]}, {name: web, policies: [lan_upstream]}]",
	  {
		  { "br-m 172.30.1.10 > 192.168.77.10 tcp 445", "accept" },
		  { "br-m 172.30.1.10 > 192.168.78.10 tcp 445", "accept" },
		  { "br-m 172.30.1.10 > 192.168.79.10 tcp 445", "accept" }, /* routed behind the lan */
		  { "br-m fd00:1::10 > 2600:77::10 tcp 445", "accept" },
		  { "br-m 172.30.1.10 > 10.99.0.66 tcp 445", "no-grant" }, /* the uplink's neighbours are upstream */
		  { "br-m 172.30.1.11 > 10.99.0.66 tcp 445", "accept" },
		  { "br-m 172.30.1.11 > 192.168.77.10 tcp 445", "no-grant" },
		  { "br-lan 192.168.77.10 > 172.30.1.10 tcp 445", "no-grant" },
	  } },
	{ "a router is closed",
	  router,
	  ROUTER_ROLES,
	  {
		  { "br-lan 192.168.77.10 > 1.1.1.1 tcp 443", "accept" },
		  { "br-lan 192.168.77.10 > 10.99.0.66 tcp 443", "no-grant" },
		  { "br-lan 192.168.77.10 > 192.168.78.10 tcp 443", "no-grant" },
		  { "br-lan 2600:77::10 > 2606:4700::1 tcp 443", "no-grant" }, /* the rule has no IPv6 range */
		  { "guest0 192.168.78.10 > 1.1.1.1 tcp 443", "no-grant" },
		  { "guest0 192.168.77.10 > 1.1.1.1 tcp 443", "spoofed" },
		  { "eth0 192.168.77.10 > 192.168.78.1 tcp 22", "spoofed" },
		  { "eth0 1.1.1.1 > 192.168.77.10 tcp 22", "no-grant" },
		  { "eth0 1.1.1.1 > 10.99.0.2 tcp 22", "no-grant" },
		  { "eth0 1.1.1.1 > 192.168.77.1 tcp 22", "other-interface" },
		  { "br-lan 192.168.77.10 > 10.99.0.2 tcp 22", "other-interface" },
		  { "br-lan 192.168.77.10 > 192.168.77.1 icmp type=8", "accept" },
		  { "br-lan 0.0.0.0 > 255.255.255.255 udp 67 from=68", "accept" },
		  { "eth0 10.99.0.1 > 10.99.0.2 udp 68 from=67", "accept" },
		  { "eth0 10.99.0.1 > 10.99.0.2 udp 67 from=68", "no-grant" },
		  { "br-m 172.30.1.10 > 172.30.1.1 icmp type=8", "no-grant" },
		  { "br-lan 192.168.77.10 > 192.168.77.11 tcp 80 out=br-lan", "alone" }, /* inside a bridge of others */
		  { "new0 10.77.0.7 > 1.1.1.1 tcp 80", "unknown-source" },
		  { "new0 10.77.0.7 > 10.77.0.1 tcp 22", "unknown-source" },
		  { "br-lan 192.168.77.10 > 10.77.0.7 tcp 80", "unknown-target" },
		  { "br-lan 192.168.77.10 > 192.168.78.255 udp 9", "broadcast" },
	  } },
	{ "services of the link",
	  router,
	  ROUTER_ROLES,
	  {
		  { "br-lan fe80::7 > fe80::1 icmpv6 type=135 hop=255 out=", "accept" },
		  { "br-lan fe80::7 > fe80::1 icmpv6 type=135 hop=64 out=", "unknown-source" },
		  { "br-lan :: > ff02::1 icmpv6 type=135 hop=255", "accept" },
		  { "br-lan fe80::7 > ff02::2 icmpv6 type=133 hop=255", "accept" },
		  { "eth0 fe80::7 > ff02::2 icmpv6 type=133 hop=255", "no-grant" },
		  { "eth0 fe80::7 > ff02::1 icmpv6 type=134 hop=255", "accept" },
		  { "br-lan fe80::7 > ff02::1 icmpv6 type=134 hop=255", "unknown-source" },
		  { "br-m fe80::7 > ff02::1 icmpv6 type=134 hop=255", "unknown-source" },
		  { "br-m fe80::7 > ff02::16 icmpv6 type=143 hop=1", "accept" },
		  { "br-m fe80::7 > ff02::1 icmpv6 type=136 hop=255", "accept" },
		  { "br-lan fe80::7 > fe80::1 icmpv6 type=137 hop=255 invalid out=", "invalid" },
		  { "eth0 fe80::7 > fe80::1 udp 546 from=547 out=", "accept" },
		  { "eth0 2600:99::9 > 2600:99::2 udp 546 from=547", "no-grant" },
	  } },
	{ "a machine with one card keeps its own rules",
	  nas,
	  "interfaces: [{name: virbr0, role: other}]\nrules: [{name: tail, interface: tailscale0, source: 100.64.0.0/10}]",
	  {
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 22", "alone" },
		  { "eth0 1.1.1.1 > 192.168.1.5 udp 51820", "alone" },
		  { "virbr0 192.168.122.7 > 1.1.1.1 tcp 443", "alone" },
		  { "eth0 192.168.1.7 > 192.168.122.7 tcp 22", "alone" },
		  { "virbr0 192.168.122.7 > 192.168.122.1 udp 53", "alone" },
		  { "virbr0 192.168.122.7 > 172.30.1.10 tcp 80", "unknown-source" },
		  { "eth0 192.168.1.7 > 172.30.1.1 tcp 22", "other-interface" },
		  { "eth0 192.168.1.7 > 192.168.122.1 tcp 22", "other-interface" },
		  { "virbr0 192.168.122.7 > 192.168.1.5 tcp 22", "other-interface" },
		  { "tailscale0 100.64.0.9 > 100.100.0.1 tcp 22", "no-grant" },
		  { "tailscale0 100.64.0.9 > 192.168.1.7 tcp 22", "no-grant" },
		  { "new0 10.77.0.7 > 10.77.0.1 tcp 22", "unknown-source" },
		  { "new0 10.77.0.7 > 192.168.1.7 tcp 22", "unknown-source" },
		  { "eth0 192.168.1.7 > 10.77.0.7 tcp 22", "unknown-target" },
		  { "eth0 192.168.1.7 > 100.64.0.9 tcp 22", "no-grant" },
		  { "eth0 172.30.1.10 > 192.168.1.5 tcp 22", "spoofed" },
		  { "eth0 192.168.1.7 > 127.0.0.1 tcp 22 out=", "loopback" },
		  { "br-m 127.0.0.1 > 172.30.1.1 tcp 22", "loopback" },
		  { "eth0 ::1 > 2600:99::2 tcp 22", "loopback" },
		  { "eth0 192.168.1.7 > 192.168.1.5 udp 22 routed", "source-route" },
		  { "eth0 192.168.1.7 > 172.30.1.255 udp 9053", "broadcast" },
		  { "eth0 192.168.1.7 > 192.168.1.255 udp 137", "alone" },
		  { "lo 127.0.0.1 > 127.0.0.1 tcp 22 out=", "alone" },
	  } },
	{ "ports before a start, and of what is stopped",
	  starting,
	  "interfaces: [{name: dmz0, role: other}]\ncontainers: [{name: web, publish: [{port: 80/tcp, to: [upstream]}]},\n"
	  " {name: new, publish: [{port: 81/tcp, to: [upstream]}]}, {name: old, publish: [{port: 82/tcp, to: [upstream]}]},\n"
	  " {name: gone, publish: [{port: 82/tcp, to: [upstream]}]}, {name: one, publish: [{port: 90/tcp, to: [upstream]}]}]\n",
	  {
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 80", "accept" }, /* whoever else was to have it */
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 81", "accept" }, /* its first packet */
		  { "eth0 192.168.1.7 > 192.168.1.5 udp 81", "alone" },
		  { "eth0 50.0.0.7 > 192.168.1.5 tcp 81", "no-grant" },
		  { "eth0 2600:99::7 > 2600:99::2 tcp 81", "accept" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8081 nat=172.30.1.11:80", "no-grant" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 82", "no-grant" }, /* of nobody, whatever is granted */
		  { "eth0 192.168.1.7 > 192.168.1.5 udp 83", "no-grant" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 83", "alone" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 90", "no-grant" }, /* one of two */
		  { "eth0 192.168.1.7 > 10.5.0.1 tcp 81", "accept" },
		  { "eth0 192.168.1.7 > 10.5.0.1 tcp 82", "other-interface" },
		  { "br-m 172.30.1.10 > 172.30.1.1 tcp 82", "no-grant" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 22", "alone" },
	  } },
	{ "labels of an image prove nothing, not even who is not in the policy",
	  starting,
	  "groups: [{name: g}]\nnetworks: [{name: media, policies: [wan], groups: [g]}]\ncontainers: [{name: named, policies: [wan]}]\n"
	  "allow: [{from: 'network:media', to: upstream, ports: [53/tcp]}]\nblock: [{from: 'network:media', to: internet, ports: [25]}]",
	  {
		  { "br-m 172.30.1.11 > 1.1.1.1 tcp 443", "accept" },
		  { "br-m 172.30.1.11 > 192.168.1.7 tcp 53", "accept" },
		  { "br-m 172.30.1.12 > 1.1.1.1 tcp 443", "no-grant" },
		  { "br-m 172.30.1.12 > 192.168.1.7 tcp 53", "no-grant" },
		  { "br-m 172.30.1.12 > 1.1.1.1 tcp 25", "blocked" },
		  { "br-m 172.30.1.12 > 172.30.1.11 tcp 80", "accept" }, /* its own network */
		  { "br-m 172.30.1.13 > 1.1.1.1 tcp 443", "accept" }, /* by its own name */
	  } },
	{ "groups",
	  nas,
	  "groups: [{name: media}, {name: other}]\nnetworks: [{name: back, groups: [media]}]\n"
	  "containers: [{name: jelly, groups: [media]}, {name: web, groups: [other]}]\n"
	  "rules: [{name: tail, interface: tailscale0, source: 100.64.0.0/10, groups: [media]}]",
	  {
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 5432", "accept" },
		  { "br-m 172.30.1.10 > 172.30.2.10 gre", "accept" },
		  { "br-b 172.30.2.10 > 172.30.1.10 udp 99", "accept" },
		  { "br-b 172.30.2.10 > 172.30.1.11 udp 99", "no-grant" },
		  { "br-b 2600:d0::10 > fd00:1::10 tcp 99", "accept" },
		  { "tailscale0 100.64.0.9 > 172.30.1.10 tcp 9999", "accept" },
		  { "br-m 172.30.1.10 > 100.64.0.9 tcp 22", "accept" },
		  { "tailscale0 100.64.0.9 > 172.30.1.11 tcp 80", "no-grant" },
		  /* a published port by the machine's address too: to the proxy, and by NAT */
		  { "tailscale0 100.64.0.9 > 100.100.0.1 tcp 8096", "accept" },
		  { "tailscale0 100.64.0.9 > 100.100.0.1 tcp 8096 nat=172.30.1.10:8096", "accept" },
		  { "tailscale0 100.64.0.9 > 192.168.1.5 tcp 8096", "accept" },
		  { "tailscale0 100.64.0.9 > 100.100.0.1 tcp 8080", "no-grant" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 8096", "no-grant" },
	  } },
	{ "an entry of a container replaces its network's, but for the groups",
	  nas,
	  "groups: [{name: g}]\nnetworks: [{name: media, policies: [wan, lan], groups: [g]}, {name: back, groups: [g]}]\n"
	  "containers: [{name: jelly, policies: [dns]}, {name: web, policies: [], groups: []}]",
	  {
		  { "br-m 172.30.1.99 > 1.1.1.1 tcp 443", "accept" },
		  { "br-m 172.30.1.99 > 192.168.1.7 tcp 443", "accept" },
		  { "br-m 172.30.1.99 > 172.30.2.10 tcp 443", "accept" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 443", "no-grant" },
		  { "br-m 172.30.1.10 > 9.9.9.9 udp 53", "accept" },
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 443", "accept" }, /* groups are inherited */
		  { "br-m 172.30.1.11 > 172.30.2.10 tcp 443", "no-grant" }, /* groups: [] is an answer too */
		  { "br-m 172.30.1.11 > 172.30.1.10 tcp 443", "accept" }, /* the same network */
		  { "br-b 172.30.2.10 > 1.1.1.1 tcp 443", "no-grant" }, /* an entry without policies: none */
	  } },
	{ "internal networks",
	  nas,
	  "groups: [{name: g}]\nnetworks: [{name: dark, policies: [wan, dns], groups: [g]}, {name: media, groups: [g]}]\n"
	  "containers: [{name: safe2, policies: [wan, lan, lan_upstream, dns]}]\n"
	  "allow: [{from: safe, to: internet}, {from: jelly, to: safe}, {from: safe, to: host}]",
	  {
		  { "br-i 172.30.9.10 > 1.1.1.1 tcp 443", "no-grant" },
		  { "br-i 172.30.9.11 > 1.1.1.1 tcp 443", "no-grant" },
		  { "br-i 172.30.9.11 > 192.168.1.7 tcp 443", "no-grant" },
		  { "br-i 172.30.9.11 > 9.9.9.9 udp 53", "no-grant" },
		  { "br-m 172.30.1.10 > 172.30.9.10 tcp 443", "no-grant" },
		  { "br-i 172.30.9.10 > 172.30.1.10 tcp 443", "no-grant" },
		  { "br-i 172.30.9.10 > 172.30.9.11 tcp 443", "accept" },
		  { "br-i 172.30.9.10 > 172.30.9.1 tcp 22", "no-grant" },
		  { "br-i 172.30.9.10 > 172.30.9.1 tcp 50000 reply from=80", "accept" },
	  } },
	{ "isolate",
	  nas,
	  "groups: [{name: g}]\nnetworks: [{name: media, isolate: true}, {name: noicc, isolate: false}]\n"
	  "containers: [{name: jelly, groups: [g]}, {name: n1, policies: []}]\nallow: [{from: jelly, to: web, ports: [80/tcp]}]",
	  {
		  { "br-m 172.30.1.10 > 172.30.1.11 tcp 80", "accept" },
		  { "br-m 172.30.1.10 > 172.30.1.11 tcp 81", "no-grant" },
		  { "br-m 172.30.1.11 > 172.30.1.10 tcp 80", "no-grant" },
		  { "br-m 172.30.1.11 > 172.30.1.10 tcp 40000 reply from=80", "accept" },
		  { "br-n 172.30.5.10 > 172.30.5.11 tcp 80", "accept" },
		  { "br-b 172.30.2.10 > 172.30.2.11 tcp 80", "accept" },
	  } },
	{ "the engine's icc=false",
	  nas,
	  "groups: [{name: g}]\ncontainers: [{name: n1, groups: [g]}]",
	  {
		  { "br-n 172.30.5.10 > 172.30.5.11 tcp 80", "no-grant" },
		  { "br-n 172.30.5.11 > 172.30.5.10 tcp 80", "no-grant" },
	  } },
	{ "publish names the published port",
	  nas,
	  "containers:\n- {name: web, publish: [{port: 8080/tcp, to: [lan]}, {port: 8443/tcp, to: [internet, 'rule:tail']}]}\n"
	  "rules: [{name: tail, interface: tailscale0, source: 100.64.0.0/10}]",
	  {
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8080 nat=172.30.1.11:80", "accept" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8080", "accept" },
		  { "eth0 192.168.1.7 > 172.30.1.11 tcp 80", "no-grant" }, /* not past the published port */
		  { "eth0 192.168.1.7 > 172.30.1.11 tcp 8080", "no-grant" },
		  { "eth0 1.1.1.1 > 192.168.1.5 tcp 8080 nat=172.30.1.11:80", "no-grant" },
		  { "eth0 1.1.1.1 > 192.168.1.5 tcp 8443 nat=172.30.1.11:443", "accept" },
		  { "eth0 192.168.1.7 > 192.168.1.5 udp 8080", "alone" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8096 nat=172.30.1.10:8096", "no-grant" },
		  { "br-b 172.30.2.10 > 172.30.2.1 tcp 8080 nat=172.30.1.11:80", "no-grant" },
		  /* the bind address means its interface, whoever it is opened to */
		  { "tailscale0 100.64.0.9 > 192.168.1.5 tcp 8443 nat=172.30.1.11:443", "other-interface" },
	  } },
	{ "allow names the container's port",
	  nas,
	  "allow: [{from: lan, to: web, ports: [80/tcp]}, {from: db, to: 'container:jelly'}, {from: 'container:shop/db', to: host, ports: [9000]}]",
	  {
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8080 nat=172.30.1.11:80", "accept" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8080", "accept" },
		  { "eth0 192.168.1.7 > 172.30.1.11 tcp 80", "accept" },
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 8443 nat=172.30.1.11:443", "no-grant" },
		  { "eth0 192.168.1.7 > 172.30.1.11 udp 80", "no-grant" },
		  { "eth0 192.168.1.1 > 172.30.1.11 tcp 80", "no-grant" }, /* the gateway is not lan */
		  { "br-b 172.30.2.10 > 172.30.1.10 gre", "accept" },
		  { "br-b 172.30.2.11 > 172.30.1.10 gre", "no-grant" },
		  { "br-b 172.30.2.10 > 172.30.2.1 tcp 8096", "accept" }, /* by the proxy, a container as the client */
		  { "br-b 172.30.2.11 > 172.30.2.1 tcp 9000", "accept" },
		  { "br-b 172.30.2.11 > 172.30.2.1 udp 9000", "accept" },
		  { "br-b 172.30.2.11 > 192.168.1.5 tcp 9000", "other-interface" },
	  } },
	{ "bound to a bridge's address",
	  nas,
	  "containers: [{name: db, publish: [{port: 5432/tcp, to: [lan, upstream, 'container:jelly']}]}]",
	  {
		  { "eth0 192.168.1.7 > 172.30.2.1 tcp 5432 nat=172.30.2.10:5432", "other-interface" },
		  { "br-m 172.30.1.10 > 172.30.2.1 tcp 5432 nat=172.30.2.10:5432", "other-interface" },
		  { "br-b 172.30.2.11 > 172.30.2.1 tcp 5432", "accept" }, /* its own network may talk to it anyway */
	  } },
	{ "block beats all",
	  nas,
	  "groups: [{name: g}]\ncontainers: [{name: jelly, policies: [wan], groups: [g]}, {name: db, groups: [g]}]\n"
	  "allow: [{from: lan, to: jelly}]\n"
	  "block: [{from: jelly, to: db, ports: [22/tcp, icmp]}, {from: lan, to: jelly, ports: [9000-9999]},\n"
	  "        {from: 'network:media', to: internet, ports: [25/tcp]}, {from: web, to: jelly}]",
	  {
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 22", "blocked" },
		  { "br-m 172.30.1.10 > 172.30.2.10 icmp type=8", "blocked" },
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 23", "accept" },
		  { "br-b 172.30.2.10 > 172.30.1.10 tcp 22", "accept" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 8999", "accept" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 9000", "blocked" },
		  { "eth0 192.168.1.7 > 172.30.1.10 udp 9999", "blocked" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 25", "blocked" }, /* for all of the network, entry or not */
		  { "br-m 172.30.1.99 > 1.1.1.1 tcp 25", "blocked" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 26", "accept" },
		  { "br-m 172.30.1.11 > 172.30.1.10 tcp 80", "blocked" }, /* the same network too */
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 25 later flags=10", "blocked" },
	  } },
	{ "disabled and quarantine",
	  nas,
	  "groups: [{name: g}]\ncontainers:\n- {name: jelly, policies: [disabled], groups: [g]}\n- {name: web, policies: [quarantine, dns], groups: [g]}\n"
	  "- {name: db, policies: [wan], groups: [g]}\n"
	  "rules:\n- {name: tail, interface: tailscale0, source: 100.64.0.0/10}\n- {name: lost, interface: tailscale0, source: 100.64.0.66, policies: [disabled]}\n"
	  "allow: [{from: lan, to: jelly}, {from: jelly, to: lan}, {from: 'rule:lost', to: db}]",
	  {
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 80", "disabled" },
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 80", "disabled" },
		  { "br-m 172.30.1.10 > 9.9.9.9 udp 53", "disabled" },
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 40000 reply from=80", "disabled" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 80", "no-grant" },
		  { "br-b 172.30.2.10 > 172.30.1.10 tcp 80", "no-grant" },
		  { "br-m 172.30.1.11 > 9.9.9.9 udp 53", "accept" },
		  { "br-m 172.30.1.11 > 9.9.9.9 tcp 443", "disabled" },
		  { "br-m 172.30.1.11 > 172.30.2.10 tcp 443", "disabled" },
		  { "br-b 172.30.2.10 > 172.30.1.11 tcp 443", "no-grant" },
		  { "tailscale0 100.64.0.66 > 172.30.2.10 tcp 443", "disabled" },
		  { "tailscale0 100.64.0.66 > 100.100.0.1 tcp 443", "disabled" },
	  } },
	{ "expiry",
	  nas,
	  "allow: [{from: lan, to: jelly, expires: 2026-01-01}, {from: lan, to: web, expires: 2028-01-01}]\n"
	  "block: [{from: web, to: internet, expires: 2026-01-01}]",
	  {
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 80", "no-grant" },
		  { "eth0 192.168.1.7 > 172.30.1.11 tcp 80", "accept" },
		  { "br-m 172.30.1.11 > 1.1.1.1 tcp 80", "accept" },
	  } },
	{ "an address in two members is the most specific one's",
	  nas,
	  "groups: [{name: a}, {name: b}]\n"
	  "rules:\n- {name: wide, interface: tailscale0, source: 100.64.0.0/10, groups: [a]}\n"
	  "- {name: one, interface: tailscale0, source: 100.64.0.9, groups: [b]}\n"
	  "- {name: bridge, interface: br-m, source: 172.30.1.0/24, groups: [b]}\n"
	  "containers: [{name: jelly, groups: [a]}, {name: db, groups: [b]}]",
	  {
		  { "tailscale0 100.64.0.8 > 172.30.1.10 tcp 80", "accept" },
		  { "tailscale0 100.64.0.9 > 172.30.1.10 tcp 80", "no-grant" },
		  { "tailscale0 100.64.0.9 > 172.30.2.10 tcp 80", "accept" },
		  { "tailscale0 100.64.0.10 > 172.30.2.10 tcp 80", "no-grant" },
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 80", "no-grant" }, /* a container before any range */
		  { "br-m 172.30.1.77 > 172.30.2.10 tcp 80", "accept" },
	  } },
	{ "names: services of compose, and a container before its service",
	  nas,
	  "containers: [{name: shop/db, policies: [wan]}, {name: db2, policies: []}]\n"
	  "allow: [{from: 'container:shop/db', to: 'container:jelly'}]",
	  {
		  { "br-b 172.30.2.10 > 1.1.1.1 tcp 443", "accept" },
		  { "br-b 172.30.2.11 > 1.1.1.1 tcp 443", "no-grant" },
		  { "br-b 172.30.2.10 > 172.30.1.10 tcp 80", "accept" },
		  { "br-b 172.30.2.11 > 172.30.1.10 tcp 80", "accept" },
	  } },
	{ "a bare name that fits two opens nothing, and blocks both",
	  "interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\nbridge br-m 172.30.1.1/24\nnetwork web br-m 172.30.1.0/24\n"
	  "container web web 172.30.1.10\ncontainer b web 172.30.1.11\n",
	  "allow: [{from: lan, to: web, ports: [80/tcp]}, {from: lan, to: 'container:web', ports: [81/tcp]}]\nblock: [{from: web, to: internet, ports: [25/tcp]}]",
	  {
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 80", "no-grant" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 81", "accept" },
		  { "eth0 192.168.1.7 > 172.30.1.11 tcp 81", "no-grant" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 25", "blocked" },
		  { "br-m 172.30.1.11 > 1.1.1.1 tcp 25", "blocked" },
		  { "br-m 172.30.1.11 > 1.1.1.1 tcp 26", "accept" },
	  } },
	{ "tags",
	  nas,
	  "networks: [{name: back, policies: [], tags: [t]}]\ncontainers: [{name: jelly, policies: [], tags: [t]}]\nallow: [{from: 'tag:t', to: internet, ports: [443/tcp]}]",
	  {
		  { "br-b 172.30.2.10 > 1.1.1.1 tcp 443", "accept" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 443", "accept" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 80", "no-grant" },
	  } },
	{ "flows",
	  nas,
	  "",
	  {
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 443 flags=10", "no-flow" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 443 flags=12", "no-flow" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 443 flags=10 later", "accept" },
		  { "br-m 172.30.1.10 > 1.1.1.1 tcp 443 invalid", "invalid" },
		  { "br-m 172.30.1.10 > 172.30.2.10 tcp 443 later flags=10", "no-grant" }, /* judged every time */
		  { "eth0 1.1.1.1 > 172.30.1.10 tcp 40000 reply from=443", "accept" },
		  { "br-b 172.30.2.10 > 172.30.1.10 tcp 40000 reply from=443", "ended" },
		  { "eth0 172.30.2.10 > 172.30.1.10 tcp 40000 reply from=443", "spoofed" },
		  { "eth0 50.0.0.7 > 172.30.1.10 icmp type=3 error", "accept" },
		  { "eth0 50.0.0.7 > 172.30.1.10 icmp type=5 error", "no-grant" },
		  { "eth0 50.0.0.7 > 172.30.1.10 icmp type=4 error", "no-grant" },
		  { "eth0 2606:4700::1 > fd00:1::10 icmpv6 type=2 error", "accept" },
		  { "tailscale0 100.64.0.9 > 192.168.1.5 icmp type=3 error", "accept" },
		  { "tailscale0 100.64.0.9 > 192.168.1.5 icmp type=5 error", "other-interface" },
	  } },
	{ "what comes back",
	  nas,
	  "containers: [{name: jelly, policies: [wan, dns], publish: [{port: 8096/tcp, to: [upstream]}]}]\n"
	  "allow: [{from: upstream, to: web, ports: [5000-6000/tcp]}]\nblock: [{from: jelly, to: internet, ports: [25/tcp]}]",
	  {
		  { "eth0 1.1.1.1 > 172.30.1.10 tcp 40000 reply from=443", "accept" },
		  { "eth0 1.1.1.1 > 172.30.1.10 tcp 443 reply from=25", "ended" },
		  { "eth0 1.1.1.1 > 172.30.1.10 tcp 25 reply from=443",
		    "accept" }, /* the opener's own port is no matter */
		  { "eth0 1.1.1.1 > 172.30.1.10 udp 40000 reply from=53", "ended" }, /* past the resolver */
		  { "eth0 9.9.9.9 > 172.30.1.10 udp 40000 reply from=53", "accept" },
		  { "eth0 1.1.1.1 > 172.30.1.10 icmp type=0 reply", "accept" },
		  { "eth0 2606:4700::1 > fd00:1::10 tcp 40000 reply from=443", "accept" },
		  { "eth0 192.168.1.7 > 172.30.1.10 tcp 40000 reply from=443", "ended" }, /* never upstream */
		  { "br-m 172.30.1.11 > 192.168.1.7 tcp 5500 reply from=22", "ended" },
		  { "br-m 172.30.1.11 > 192.168.1.7 tcp 22 reply from=5500", "accept" },
		  { "br-m 172.30.1.11 > 192.168.1.7 tcp 22 reply from=5500 out=new0", "ended" }, /* to somebody else */
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 40000 reply from=8096 opened=192.168.1.5:8096", "accept" },
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 40000 reply from=8096 opened=192.168.1.5:8097", "ended" },
		  { "br-m 172.30.1.10 > 192.168.1.7 tcp 40000 reply from=8096",
		    "ended" }, /* not by the published port */
		  { "br-m 172.30.1.10 > 50.0.0.7 tcp 40000 reply from=8096 opened=192.168.1.5:8096", "ended" },
		  { "br-m 172.30.1.11 > 172.30.1.10 tcp 40000 reply from=80", "accept" }, /* inside one network */
	  } },
	{ "a policy for what is not there",
	  "interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\n",
	  "containers: [{name: ghost, policies: [wan]}]\nrules: [{name: vpn, interface: wg0, source: 10.8.0.0/24, policies: [lan]}]\n"
	  "allow: [{from: 'container:ghost', to: host}]",
	  {
		  { "eth0 192.168.1.7 > 192.168.1.5 tcp 22", "alone" },
	  } },
};

static void test_scene(void **state)
{
	const struct scene *scene = *state;
	struct world world = world_new(scene->machine, scene->yaml, NULL, NOW);
	bool right = true;

	for (const struct row *row = scene->rows; row->packet; row++) {
		const char *found = world_verdict(&world, row->packet);

		if (strcmp(found, row->verdict) == 0)
			continue;
		print_error("%s: '%s' is %s, not %s\n", scene->name, row->packet, found, row->verdict);
		right = false;
	}
	world_free(&world);
	assert_true(right);
}

/* Every reason has its id, which is read back, and a sentence. */
static void test_reasons(void **state)
{
	for (int i = 0; i < _REASON_MAX; i++) {
		assert_int_equal(reason_from_id(reason_info((enum reason)i)->id), i);
		assert_true(strlen(reason_info((enum reason)i)->sentence) > 10);
	}
	assert_int_equal(reason_from_id("nonsense"), _REASON_INVALID);
}

int main(void)
{
	struct CMUnitTest tests[ELEMENTSOF(scenes) + 1] = { cmocka_unit_test(test_reasons) };

	for (size_t i = 0; i < ELEMENTSOF(scenes); i++)
		tests[i + 1] = (struct CMUnitTest){ .name = scenes[i].name,
						    .test_func = test_scene,
						    .initial_state = (void *)&scenes[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
