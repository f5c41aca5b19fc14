/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "kernel/mirror_private.h"
#include "kernel/sysctl.h"

/* Settings that decide about packets, in the order in which they are to be written: some set others back. */
static const char *const machine_settings[] = {
	"net/ipv4/ip_forward",
	"net/ipv6/conf/all/disable_ipv6",
	"net/ipv6/conf/all/forwarding",
	"net/ipv4/ip_forward_use_pmtu",
	"net/ipv4/ip_nonlocal_bind",
	"net/ipv4/fib_multipath_use_neigh",
	"net/ipv4/fib_multipath_hash_policy",
	"net/ipv4/icmp_echo_ignore_all",
	"net/ipv4/icmp_echo_ignore_broadcasts",
	"net/ipv6/icmp/echo_ignore_all",
	"net/ipv6/flowlabel_reflect",
	"net/bridge/bridge-nf-call-iptables",
	"net/bridge/bridge-nf-call-ip6tables",
	"net/bridge/bridge-nf-call-arptables",
	"net/bridge/bridge-nf-filter-vlan-tagged",
	"net/bridge/bridge-nf-filter-pppoe-tagged",
	"net/bridge/bridge-nf-pass-vlan-input-dev",
	"net/netfilter/nf_conntrack_tcp_loose",
	"net/netfilter/nf_conntrack_tcp_be_liberal",
	"net/netfilter/nf_conntrack_checksum",
	"net/netfilter/nf_conntrack_helper",
};

static const char *const interface_settings4[] = {
	"forwarding",
	"rp_filter",
	"route_localnet",
	"accept_local",
	"accept_source_route",
	"src_valid_mark",
	"bc_forwarding",
	"mc_forwarding",
	"proxy_arp",
	"arp_ignore",
	"arp_filter",
	"arp_accept",
	"disable_xfrm",
	"disable_policy",
	"send_redirects",
	"secure_redirects",
	"accept_redirects",
	"shared_media",
	"drop_gratuitous_arp",
	"drop_unicast_in_l2_multicast",
	"ignore_routes_with_linkdown",
	"medium_id",
};

static const char *const interface_settings6[] = {
	"disable_ipv6",	    "forwarding",     "accept_source_route",	     "proxy_ndp",
	"accept_redirects", "disable_policy", "ignore_routes_with_linkdown", "drop_unicast_in_l2_multicast",
	"seg6_enabled",
};

/* What a machine does by itself, and a twin shall not: ask for routers, make addresses, wait until they are its own. */
static const char *const quiet[][2] = {
	{ "autoconf", "0" },	  { "accept_ra", "0" }, { "accept_dad", "0" }, { "router_solicitations", "0" },
	{ "addr_gen_mode", "1" },
};

struct setting {
	char path[120], value[40];
};

struct mirror_settings {
	struct setting *items;
	size_t n;
};

static int keep(struct mirror_settings *settings, const char *path, const char *value)
{
	struct setting *slot = ARRAY_ADD(settings->items, settings->n);

	if (!slot)
		return -ENOMEM;
	snprintf(slot->path, sizeof(slot->path), "%s", path);
	snprintf(slot->value, sizeof(slot->value), "%s", value);
	return 0;
}

static int read_one(struct mirror_settings *settings, const char *path)
{
	char value[40];

	return sysctl_read(path, value, sizeof(value)) < 0 ? 0 : keep(settings, path, value);
}

static int read_interface(struct mirror_settings *settings, const char *name)
{
	char path[120];
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(interface_settings4) && r >= 0; i++) {
		snprintf(path, sizeof(path), "net/ipv4/conf/%s/%s", name, interface_settings4[i]);
		r = read_one(settings, path);
	}
	for (size_t i = 0; i < ELEMENTSOF(quiet) && r >= 0; i++) {
		snprintf(path, sizeof(path), "net/ipv6/conf/%s/%s", name, quiet[i][0]);
		r = keep(settings, path, quiet[i][1]);
	}
	for (size_t i = 0; i < ELEMENTSOF(interface_settings6) && r >= 0; i++) {
		snprintf(path, sizeof(path), "net/ipv6/conf/%s/%s", name, interface_settings6[i]);
		r = read_one(settings, path);
	}
	return r;
}

int mirror_settings_read(const struct mirror *mirror, struct mirror_settings **ret, struct error *error)
{
	_cleanup_(mirror_settings_freep) struct mirror_settings *settings = calloc(1, sizeof(*settings));
	int r = settings ? 0 : -ENOMEM;

	for (size_t i = 0; i < ELEMENTSOF(machine_settings) && r >= 0; i++)
		r = read_one(settings, machine_settings[i]);
	if (r >= 0)
		r = read_interface(settings, "all");
	if (r >= 0)
		r = read_interface(settings, "default");
	for (size_t i = 0; i < mirror->n_links && r >= 0; i++)
		r = read_interface(settings, mirror->links[i].name);
	if (r < 0)
		return error_memory(error);
	*ret = TAKE_PTR(settings);
	return 0;
}

/* Interfaces that are not there yet are passed over: it is called again when they are. */
int mirror_settings_write(const struct mirror_settings *settings, mirror_note note, void *data)
{
	for (size_t i = 0; i < settings->n; i++) {
		const struct setting *setting = &settings->items[i];
		char value[40], text[240];
		int r;

		if (sysctl_read(setting->path, value, sizeof(value)) < 0 || strcmp(value, setting->value) == 0)
			continue;
		r = sysctl_write(setting->path, setting->value);
		if (r >= 0 || !note)
			continue;
		snprintf(text, sizeof(text), "%s cannot be set to %s: %s", setting->path, setting->value, strerror(-r));
		note(data, text);
	}
	return 0;
}

struct mirror_settings *mirror_settings_free(struct mirror_settings *settings)
{
	if (!settings)
		return NULL;
	free(settings->items);
	free(settings);
	return NULL;
}
