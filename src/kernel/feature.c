/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/feature.h"

#include <string.h>

#include "kernel/sysctl.h"

static bool sysctl_on(const char *path)
{
	char value[32];

	return sysctl_read(path, value, sizeof(value)) == 0 && strcmp(value, "0") != 0;
}

static bool sysctl_there(const char *path)
{
	char value[32];

	return sysctl_read(path, value, sizeof(value)) == 0;
}

bool feature_bridge_netfilter(void)
{
	return sysctl_on("net/bridge/bridge-nf-call-iptables") || sysctl_on("net/bridge/bridge-nf-call-ip6tables");
}

bool feature_conntrack(void)
{
	return sysctl_there("net/netfilter/nf_conntrack_max");
}

bool feature_ipv6(void)
{
	return sysctl_there("net/ipv6/conf/all/forwarding");
}
