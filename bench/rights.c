/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says when an address gets rights in the kernel and when it loses them, in the network namespace it is started in, until
 * standard input ends: a line "NANOSECONDS add|del INTERFACE ADDRESS" for each element of the maps id4 and id6 of our
 * table, by the monotonic clock. The kernel tells of a transaction right after the packets see it. A line "lost" is for
 * what there was no room for.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/addr.h"
#include "kernel/nft.h"
#include "kernel/nlsocket.h"

#define ROOM (64 << 20)

struct change {
	unsigned long long when;
	const char *word;
	uint8_t family; /* of the map's addresses */
};

static void put_element(const struct change *change, const struct nlattr *element)
{
	const struct nlattr *part, *value;

	mnl_attr_for_each_nested(part, element) {
		char text[ADDR_TEXT_MAX], interface[IFNAMSIZ] = "";
		struct addr addr = { .family = change->family };
		const char *key;

		if (mnl_attr_get_type(part) != NFTA_SET_ELEM_KEY)
			continue;
		value = mnl_attr_get_payload(part);
		if (mnl_attr_get_payload_len(value) < IFNAMSIZ + addr_size(addr.family))
			continue;
		key = mnl_attr_get_payload(value);
		memcpy(interface, key, IFNAMSIZ - 1);
		memcpy(addr.bytes, key + IFNAMSIZ, addr_size(addr.family));
		printf("%llu %s %s %s\n", change->when, change->word, interface, addr_text(&addr, text));
	}
}

static void take(const struct nlmsghdr *message, unsigned long long when)
{
	const struct nlattr *attr, *element, *elements = NULL;
	const char *table = "", *set = "";
	struct change change = { .when = when };

	if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
		change.word = "add";
	else if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM))
		change.word = "del";
	else
		return;
	mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_TABLE)
			table = mnl_attr_get_str(attr);
		else if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_SET)
			set = mnl_attr_get_str(attr);
		else if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_ELEMENTS)
			elements = attr;
	}
	if (!elements || strcmp(table, NFT_TABLE) != 0 || (strcmp(set, "id4") != 0 && strcmp(set, "id6") != 0))
		return;
	change.family = strcmp(set, "id4") == 0 ? AF_INET : AF_INET6;
	mnl_attr_for_each_nested(element, elements)
		put_element(&change, element);
}

static int take_all(struct nlsocket *socket)
{
	const struct nlmsghdr *message;
	struct timespec time;
	int length, r;

	while ((r = nlsocket_receive(socket, &message, &length)) == 0) {
		clock_gettime(CLOCK_MONOTONIC, &time);
		for (; nlmessage_fits(message, length); message = mnl_nlmsg_next(message, &length))
			take(message, (unsigned long long)time.tv_sec * 1000000000u + (unsigned long long)time.tv_nsec);
	}
	if (r == -ENOBUFS)
		puts("lost");
	fflush(stdout);
	return r == -EAGAIN || r == -ENOBUFS ? 0 : r;
}

int main(void)
{
	struct pollfd fds[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };
	struct nlsocket *socket;
	int r = nlsocket_open(NETLINK_NETFILTER, &socket);

	if (r == 0) {
		nlsocket_room(socket, ROOM);
		r = nlsocket_join(socket, NFNLGRP_NFTABLES);
	}
	if (r < 0) {
		fprintf(stderr, "rights: %s\n", strerror(-r));
		return 2;
	}
	/* the moment is to be the kernel's, not that of our turn */
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 2 });
	puts("ready");
	fflush(stdout);
	fds[1].fd = nlsocket_fd(socket);
	while (r == 0 && poll(fds, 2, -1) >= 0 && !fds[0].revents)
		r = take_all(socket);
	nlsocket_close(socket);
	return r < 0 ? 2 : 0;
}
