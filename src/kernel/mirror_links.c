/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kernel/mirror_private.h"
#include "kernel/nlsocket.h"

#define WAIT_STEPS 400 /* of 5 ms: the kernel tells of a carrier in its own time */

/* What a bridge is set to, as far as it decides about frames. Spanning tree is not run: ports would be shut for seconds. */
static const uint16_t bridge_settings[] = {
	IFLA_BR_GROUP_FWD_MASK,	   IFLA_BR_NF_CALL_IPTABLES, IFLA_BR_NF_CALL_IP6TABLES,
	IFLA_BR_NF_CALL_ARPTABLES, IFLA_BR_MCAST_SNOOPING,
};

/* Likewise of a port. It does not learn: what one packet teaches must not change where the next one goes. */
static const uint16_t port_settings[] = {
	IFLA_BRPORT_MODE,     IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_BCAST_FLOOD,
	IFLA_BRPORT_PROXYARP, IFLA_BRPORT_PROXYARP_WIFI, IFLA_BRPORT_ISOLATED,	  IFLA_BRPORT_NEIGH_SUPPRESS,
};

static void put_some(struct nlmsghdr *request, const struct nlattr *from, const uint16_t *wanted, size_t n)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, from)
		for (size_t i = 0; i < n; i++)
			if (mnl_attr_get_type(attribute) == wanted[i])
				mnl_attr_put(request, wanted[i], mnl_attr_get_payload_len(attribute),
					     mnl_attr_get_payload(attribute));
}

static struct nlmsghdr *link_request(char *buffer, const struct mirror_link *link, uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	request->nlmsg_type = RTM_NEWLINK;
	request->nlmsg_flags = flags;
	*info = (struct ifinfomsg){ .ifi_family = AF_UNSPEC, .ifi_index = (int)link->index };
	return request;
}

static int make_bridge(struct nlsocket *socket, const struct mirror_link *link)
{
	char buffer[MIRROR_MESSAGE_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request = link_request(buffer, link, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data;

	mnl_attr_put_strz(request, IFLA_IFNAME, link->name);
	mnl_attr_put(request, IFLA_ADDRESS, sizeof(link->mac), link->mac);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "bridge");
	if (link->settings) {
		data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
		put_some(request, link->settings, bridge_settings, ELEMENTSOF(bridge_settings));
		mnl_attr_nest_end(request, data);
	}
	mnl_attr_nest_end(request, info);
	return nlsocket_query(socket, request, NULL, NULL);
}

/* MAC and size; lo has none that could be set. */
static int dress(struct nlsocket *socket, const struct mirror_link *link)
{
	char buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *request = link_request(buffer, link, 0);

	if (link->ethernet)
		mnl_attr_put(request, IFLA_ADDRESS, sizeof(link->mac), link->mac);
	mnl_attr_put_u32(request, IFLA_MTU, link->mtu);
	return nlsocket_query(socket, request, NULL, NULL);
}

static int enslave(struct nlsocket *socket, const struct mirror_link *link)
{
	char buffer[MIRROR_MESSAGE_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request = link_request(buffer, link, 0);
	struct nlattr *info, *data;
	int r;

	mnl_attr_put_u32(request, IFLA_MASTER, link->master);
	r = nlsocket_query(socket, request, NULL, NULL);
	if (r < 0)
		return r;
	request = link_request(buffer, link, 0);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(request, IFLA_INFO_SLAVE_DATA);
	if (link->port)
		put_some(request, link->port, port_settings, ELEMENTSOF(port_settings));
	mnl_attr_put_u8(request, IFLA_BRPORT_LEARNING, 0);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	return nlsocket_query(socket, request, NULL, NULL);
}

static int set_up(struct nlsocket *socket, const struct mirror_link *link)
{
	char buffer[128] __attribute__((aligned(8)));
	struct nlmsghdr *request = link_request(buffer, link, 0);
	struct ifinfomsg *info = mnl_nlmsg_get_payload(request);

	info->ifi_flags = info->ifi_change = IFF_UP;
	return nlsocket_query(socket, request, NULL, NULL);
}

static bool is_bridge(const struct mirror_link *link)
{
	return strcmp(link->kind, "bridge") == 0;
}

static bool in_bridge(const struct mirror *mirror, const struct mirror_link *link)
{
	const struct mirror_link *master = link->master ? mirror_link(mirror, link->master) : NULL;

	return master && is_bridge(master);
}

/* Ports of bridges forward, and what had a carrier has it again. */
static bool runs(const struct mirror *mirror, const struct mirror_list *have)
{
	for (size_t i = 0; i < have->n; i++) {
		const struct mirror_link *wanted;
		const struct nlattr *attribute;
		struct mirror_link link;

		if (!mirror_link_parse(have->items[i], &link))
			continue;
		wanted = mirror_link(mirror, link.index);
		if (!wanted || !wanted->up || !wanted->carrier)
			continue;
		if (!link.carrier)
			return false;
		if (link.port)
			mnl_attr_for_each_nested(attribute, link.port)
				if (mnl_attr_get_type(attribute) == IFLA_BRPORT_STATE &&
				    mnl_attr_get_u8(attribute) != BR_STATE_FORWARDING)
					return false;
	}
	return true;
}

static int wait_until_it_runs(struct nlsocket *socket, const struct mirror *mirror, mirror_note note, void *data)
{
	for (int i = 0; i < WAIT_STEPS; i++) {
		struct timespec step = { .tv_nsec = 5000000 };
		struct mirror_list have = { 0 };
		int r = mirror_list_read(socket, MIRROR_LINKS, &have);
		bool done = r >= 0 && runs(mirror, &have);

		mirror_list_clear(&have);
		if (r < 0 || done)
			return r;
		nanosleep(&step, NULL);
	}
	note(data, "not every interface that runs on this machine runs in the twin");
	return 0;
}

/* Calls make() for those of the links that it is for. */
static int each_link(const struct mirror *mirror, struct nlsocket *socket,
		     bool (*fits)(const struct mirror *mirror, const struct mirror_link *link),
		     int (*make)(struct nlsocket *socket, const struct mirror_link *link), struct error *error)
{
	for (size_t i = 0; i < mirror->n_links; i++) {
		const struct mirror_link *link = &mirror->links[i];
		int r = fits(mirror, link) ? make(socket, link) : 0;

		if (r < 0)
			return error_set(error, -r, "cannot make %s as it is: %s%s%s", link->name, strerror(-r),
					 *nlsocket_message(socket) ? ": " : "", nlsocket_message(socket));
	}
	return 0;
}

static bool fits_bridge(const struct mirror *mirror, const struct mirror_link *link)
{
	return is_bridge(link);
}

static bool fits_dress(const struct mirror *mirror, const struct mirror_link *link)
{
	return !link->loopback;
}

static bool fits_port(const struct mirror *mirror, const struct mirror_link *link)
{
	return link->up && !is_bridge(link);
}

static bool fits_up_bridge(const struct mirror *mirror, const struct mirror_link *link)
{
	return link->up && is_bridge(link);
}

static bool filters_vlans(const struct mirror_link *link)
{
	const struct nlattr *attribute;

	if (link->settings)
		mnl_attr_for_each_nested(attribute, link->settings)
			if (mnl_attr_get_type(attribute) == IFLA_BR_VLAN_FILTERING && mnl_attr_get_u8(attribute))
				return true;
	return false;
}

/* What is another thing in the twin than on the machine. */
static void note_differences(const struct mirror *mirror, mirror_note note, void *data)
{
	char text[160];

	for (size_t i = 0; i < mirror->n_links; i++) {
		const struct mirror_link *link = &mirror->links[i], *master = mirror_link(mirror, link->master);

		if (filters_vlans(link)) {
			snprintf(text, sizeof(text), "%s filters VLANs: in the twin it takes frames of all",
				 link->name);
			note(data, text);
		}
		if (link->xdp || link->tc) {
			snprintf(text, sizeof(text), "what %s does to packets at %s is not in the twin",
				 link->xdp ? "a program of XDP" : "tc, with its filters and programs,", link->name);
			note(data, text);
		}
		if (master && !is_bridge(master)) {
			snprintf(text, sizeof(text), "%s is a part of %s: in the twin, each stands alone", link->name,
				 master->name);
			note(data, text);
		}
	}
}

int mirror_write_links(const struct mirror *mirror, mirror_note note, void *data, struct error *error)
{
	static const struct {
		bool (*fits)(const struct mirror *mirror, const struct mirror_link *link);
		int (*make)(struct nlsocket *socket, const struct mirror_link *link);
	} steps[] = {
		{ fits_bridge, make_bridge }, { fits_dress, dress },	  { in_bridge, enslave },
		{ fits_port, set_up },	      { fits_up_bridge, set_up },
	};
	_cleanup_(nlsocket_closep) struct nlsocket *socket = NULL;
	int r = nlsocket_open(NETLINK_ROUTE, &socket);

	if (r < 0)
		return error_set(error, -r, "cannot open a netlink socket: %s", strerror(-r));
	for (size_t i = 0; i < ELEMENTSOF(steps) && r >= 0; i++)
		r = each_link(mirror, socket, steps[i].fits, steps[i].make, error);
	if (r < 0)
		return r;
	note_differences(mirror, note, data);
	r = wait_until_it_runs(socket, mirror, note, data);
	return r < 0 ? error_set(error, -r, "cannot list the interfaces of the twin: %s", strerror(-r)) : 0;
}
