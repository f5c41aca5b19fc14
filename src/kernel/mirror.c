/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/mirror.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "kernel/mirror_private.h"
#include "kernel/nlsocket.h"

#define MESSAGES_MAX 1000000 /* of a part */
#define TRIES 5 /* a list that does not stand still */
#define PASSES_MAX 16 /* routes by way of routes */

/* How the kernel is asked for a part. */
static const struct {
	uint16_t type;
	uint8_t families[2];
	size_t header;
	const char *name;
} questions[_MIRROR_PART_MAX] = {
	[MIRROR_LINKS] = { RTM_GETLINK, { AF_UNSPEC, AF_UNSPEC }, sizeof(struct ifinfomsg), "interfaces" },
	[MIRROR_ADDRESSES] = { RTM_GETADDR, { AF_INET, AF_INET6 }, sizeof(struct ifaddrmsg), "addresses" },
	[MIRROR_ROUTES] = { RTM_GETROUTE, { AF_INET, AF_INET6 }, sizeof(struct rtmsg), "routes" },
	[MIRROR_RULES] = { RTM_GETRULE, { AF_INET, AF_INET6 }, sizeof(struct fib_rule_hdr), "routing rules" },
	[MIRROR_NEIGHBOURS] = { RTM_GETNEIGH, { AF_INET, AF_INET6 }, sizeof(struct ndmsg), "neighbours" },
	[MIRROR_PORTS] = { RTM_GETNEIGH, { AF_BRIDGE, AF_BRIDGE }, sizeof(struct ndmsg), "ports of bridges" },
};

void mirror_list_clear(struct mirror_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct mirror_list){ 0 };
}

struct reading {
	enum mirror_part part;
	struct mirror_list *list;
};

static int take_message(const struct nlmsghdr *message, void *data)
{
	char buffer[MIRROR_MESSAGE_MAX] __attribute__((aligned(8)));
	const struct reading *reading = data;
	struct nlmsghdr *made = (struct nlmsghdr *)buffer, **slot, *copy;

	if (reading->part == MIRROR_LINKS)
		made = (struct nlmsghdr *)message;
	else if (!mirror_message_make(reading->part, message, made))
		return 0;
	if (reading->list->n >= MESSAGES_MAX)
		return -E2BIG;
	copy = malloc(made->nlmsg_len);
	slot = copy ? ARRAY_ADD(reading->list->items, reading->list->n) : NULL;
	if (!slot) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, made, made->nlmsg_len);
	*slot = copy;
	return 0;
}

static int ask(struct nlsocket *socket, enum mirror_part part, uint8_t family, struct mirror_list *list)
{
	char buffer[128] __attribute__((aligned(8)));
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct reading reading = { part, list };

	request->nlmsg_type = questions[part].type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	*(uint8_t *)mnl_nlmsg_put_extra_header(request, questions[part].header) = family;
	if (part == MIRROR_LINKS)
		mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nlsocket_query(socket, request, take_message, &reading);
}

int mirror_list_read(struct nlsocket *socket, enum mirror_part part, struct mirror_list *list)
{
	const uint8_t *families = questions[part].families;
	int r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR; i++) {
		mirror_list_clear(list);
		r = ask(socket, part, families[0], list);
		if (r == 0 && families[1] != families[0])
			r = ask(socket, part, families[1], list);
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
			r = 0; /* no IPv6, or no bridges, here */
	}
	return r;
}

static int keep_links(struct mirror *mirror)
{
	const struct mirror_list *list = &mirror->parts[MIRROR_LINKS];

	for (size_t i = 0; i < list->n; i++) {
		struct mirror_link link, *slot;

		if (!mirror_link_parse(list->items[i], &link))
			continue;
		slot = ARRAY_ADD(mirror->links, mirror->n_links);
		if (!slot)
			return -ENOMEM;
		*slot = link;
	}
	return 0;
}

static int take_qdisc(const struct nlmsghdr *message, void *data)
{
	struct mirror *mirror = data;
	unsigned interface;

	for (size_t i = 0; mirror_qdisc_parse(message, &interface) && i < mirror->n_links; i++)
		mirror->links[i].tc |= mirror->links[i].index == interface;
	return 0;
}

/* That is only to be said: where it cannot be asked there is none. */
static void look_for_tc(struct nlsocket *socket, struct mirror *mirror)
{
	char buffer[128] __attribute__((aligned(8)));
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = RTM_GETQDISC;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(request, sizeof(struct tcmsg));
	nlsocket_query(socket, request, take_qdisc, mirror);
}

int mirror_read(struct mirror **ret, struct error *error)
{
	_cleanup_(mirror_freep) struct mirror *mirror = calloc(1, sizeof(*mirror));
	_cleanup_(nlsocket_closep) struct nlsocket *socket = NULL;
	int r = nlsocket_open(NETLINK_ROUTE, &socket);

	if (r < 0)
		return error_set(error, -r, "cannot open a netlink socket: %s", strerror(-r));
	if (!mirror)
		return error_memory(error);
	for (enum mirror_part part = 0; part < _MIRROR_PART_MAX && r >= 0; part++) {
		r = mirror_list_read(socket, part, &mirror->parts[part]);
		if (r < 0)
			return error_set(error, -r, "cannot list the %s of this machine: %s", questions[part].name,
					 strerror(-r));
	}
	if (keep_links(mirror) < 0)
		return error_memory(error);
	look_for_tc(socket, mirror);
	*ret = TAKE_PTR(mirror);
	return 0;
}

struct mirror *mirror_free(struct mirror *mirror)
{
	if (!mirror)
		return NULL;
	for (enum mirror_part part = 0; part < _MIRROR_PART_MAX; part++)
		mirror_list_clear(&mirror->parts[part]);
	free(mirror->links);
	free(mirror);
	return NULL;
}

size_t mirror_links(const struct mirror *mirror, const struct mirror_link **ret)
{
	*ret = mirror->links;
	return mirror->n_links;
}

const struct mirror_link *mirror_link(const struct mirror *mirror, unsigned index)
{
	for (size_t i = 0; i < mirror->n_links; i++)
		if (mirror->links[i].index == index)
			return &mirror->links[i];
	return NULL;
}

static int message_order(const void *one, const void *other)
{
	const struct nlmsghdr *a = *(struct nlmsghdr *const *)one, *b = *(struct nlmsghdr *const *)other;
	size_t shorter = a->nlmsg_len < b->nlmsg_len ? a->nlmsg_len : b->nlmsg_len;
	int r = memcmp((const char *)a + sizeof(*a), (const char *)b + sizeof(*b), shorter - sizeof(*a));

	return r ? r : (a->nlmsg_len > b->nlmsg_len) - (a->nlmsg_len < b->nlmsg_len);
}

static int request_send(struct nlsocket *socket, struct nlmsghdr *request, uint16_t type, uint16_t flags)
{
	request->nlmsg_type = type;
	request->nlmsg_flags = flags;
	return nlsocket_query(socket, request, NULL, NULL);
}

/* Takes out of the kernel what is not in the mirror; of what is in both, nothing has to be made. */
static int take_out(struct nlsocket *socket, enum mirror_part part, const struct mirror_list *wanted, bool *made)
{
	struct mirror_list have = { 0 };
	uint16_t gone = (uint16_t)(questions[part].type - 1); /* RTM_NEW, _DEL, _GET */
	int r = mirror_list_read(socket, part, &have);

	for (size_t i = 0; r >= 0 && i < have.n; i++) {
		struct nlmsghdr **found =
			bsearch(&have.items[i], wanted->items, wanted->n, sizeof(*wanted->items), message_order);

		if (found)
			made[found - wanted->items] = true;
		else
			request_send(socket, have.items[i], gone,
				     0); /* what does not go is what the kernel keeps anyway */
	}
	mirror_list_clear(&have);
	return r;
}

/* Routes may need others, so that they are tried until no more can be made. */
static void put_in(struct nlsocket *socket, enum mirror_part part, const struct mirror_list *wanted, bool *made)
{
	uint16_t new = (uint16_t)(questions[part].type - 2);

	for (int pass = 0; pass < PASSES_MAX; pass++) {
		bool any = false;

		for (size_t i = 0; i < wanted->n; i++) {
			int r = made[i] ? 0 : request_send(socket, wanted->items[i], new, NLM_F_CREATE);

			any |= !made[i] && (r >= 0 || r == -EEXIST);
			made[i] |= r >= 0 || r == -EEXIST;
		}
		if (!any)
			return;
	}
}

static void note_missing(enum mirror_part part, const struct mirror_list *wanted, const bool *made, mirror_note note,
			 void *data)
{
	size_t missing = 0;
	char text[128];

	for (size_t i = 0; i < wanted->n; i++)
		missing += !made[i];
	snprintf(text, sizeof(text), "%zu of %zu %s could not be made", missing, wanted->n, questions[part].name);
	if (missing)
		note(data, text);
}

int mirror_write_rest(const struct mirror *mirror, mirror_note note, void *data, struct error *error)
{
	_cleanup_(nlsocket_closep) struct nlsocket *socket = NULL;
	int r = nlsocket_open(NETLINK_ROUTE, &socket);

	if (r < 0)
		return error_set(error, -r, "cannot open a netlink socket: %s", strerror(-r));
	for (enum mirror_part part = MIRROR_ADDRESSES; part < _MIRROR_PART_MAX; part++) {
		const struct mirror_list *wanted = &mirror->parts[part];
		_cleanup_free_ bool *made = calloc(wanted->n + 1, sizeof(*made));

		if (!made)
			return error_memory(error);
		if (wanted->n)
			qsort(wanted->items, wanted->n, sizeof(*wanted->items), message_order);
		r = take_out(socket, part, wanted, made);
		if (r < 0)
			return error_set(error, -r, "cannot list the %s of the twin: %s", questions[part].name,
					 strerror(-r));
		put_in(socket, part, wanted, made);
		note_missing(part, wanted, made, note, data);
	}
	return 0;
}

static struct nlmsghdr *neighbour_request(char *buffer, uint8_t family, unsigned interface, const uint8_t mac[6])
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ndmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	*info = (struct ndmsg){ .ndm_family = family, .ndm_ifindex = (int)interface };
	mnl_attr_put(request, NDA_LLADDR, 6, mac);
	return request;
}

int mirror_put_neighbour(struct nlsocket *socket, unsigned interface, const struct addr *address, const uint8_t mac[6])
{
	char buffer[128] __attribute__((aligned(8)));
	struct nlmsghdr *request = neighbour_request(buffer, address->family, interface, mac);

	((struct ndmsg *)mnl_nlmsg_get_payload(request))->ndm_state = NUD_PERMANENT;
	mnl_attr_put(request, NDA_DST, addr_size(address->family), address->bytes);
	return request_send(socket, request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
}

int mirror_put_port(struct nlsocket *socket, unsigned port, const uint8_t mac[6])
{
	char buffer[128] __attribute__((aligned(8)));
	struct nlmsghdr *request = neighbour_request(buffer, AF_BRIDGE, port, mac);
	struct ndmsg *info = mnl_nlmsg_get_payload(request);

	info->ndm_state = NUD_NOARP;
	info->ndm_flags = NTF_MASTER;
	return request_send(socket, request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
}

unsigned mirror_port_of(const struct mirror *mirror, const uint8_t mac[6])
{
	const struct mirror_list *list = &mirror->parts[MIRROR_PORTS];

	for (size_t i = 0; i < list->n; i++) {
		const struct ndmsg *info = mnl_nlmsg_get_payload(list->items[i]);
		const struct nlattr *attribute;

		mnl_attr_for_each(attribute, list->items[i], sizeof(*info))
			if (mnl_attr_get_type(attribute) == NDA_LLADDR && mnl_attr_get_payload_len(attribute) == 6 &&
			    memcmp(mnl_attr_get_payload(attribute), mac, 6) == 0)
				return (unsigned)info->ndm_ifindex;
	}
	return 0;
}
