/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "inventory/inventory.h"
#include "kernel/link_dump.h"
#include "kernel/neighbour.h"
#include "kernel/nlsocket.h"
#include "kernel/route.h"
#include "kernel/rtmessage.h"

/*
 * Two sockets, so that answers and news do not get into each other's way. News about links and new addresses go
 * straight into the inventory. Of routes the kernel does not tell everything (IPv4 routes that go with their interface
 * or address), and a message does not say which of two equal ones went: they are read again as a whole, like
 * everything after a loss. The timer is for what has to wait a little.
 */

#define EVENT_ROOM (4 << 20)
#define DATAGRAMS_MAX 4096 /* in one links_read(); the fd stays readable when there are more */
#define OPEN_TRIES 20

#define MILLISECOND 1000000ll /* in ns */
#define DUMP_QUICK (4 * MILLISECOND) /* a dump that takes less may follow at once on the one before */
#define DUMP_PACE 4 /* one that takes longer: after four times as long */
#define WAIT_MAX (1000 * MILLISECOND)
#define WAIT_RESTLESS (20 * MILLISECOND) /* before the next try, when the lists do not stand still */
#define WAIT_FAILED (500 * MILLISECOND)

struct links {
	struct inventory *inventory;
	struct nlsocket *query, *events;
	int epoll, timer;
	struct link_result pending; /* not told yet; not read again yet */
	long long not_before; /* the next dump, ns of the monotonic clock */
};

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 * MILLISECOND + time.tv_nsec;
}

static void links_wake_in(struct links *links, long long wait)
{
	struct itimerspec timer = { .it_value = { wait / (1000 * MILLISECOND), wait % (1000 * MILLISECOND) } };

	timerfd_settime(links->timer, 0, &timer, NULL);
}

static int links_news_address(struct links *links, const struct nlmsghdr *message)
{
	struct interface_address address;

	if (!rtmessage_address(message, &address))
		return 0;
	if (message->nlmsg_type == RTM_NEWADDR)
		return link_address_add(links->inventory, &address, &links->pending);
	links->pending.stale |= LINK_DUMP_ADDRESSES | LINK_DUMP_ROUTES;
	return 0;
}

static int links_news(struct links *links, const struct nlmsghdr *message)
{
	struct interface interface;
	struct route_message route;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
		if (!rtmessage_interface(message, &interface))
			return 0;
		return link_update(links->inventory, &interface, &links->pending);
	case RTM_DELLINK:
		if (rtmessage_interface(message, &interface))
			link_remove(links->inventory, interface.index, &links->pending);
		return 0;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return links_news_address(links, message);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (rtmessage_route(message, &route) && rtmessage_route_counts(&route))
			links->pending.stale |= LINK_DUMP_ROUTES;
		return 0;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		links->pending.stale |= LINK_DUMP_ROUTES;
		return 0;
	}
	return 0;
}

/*
 * Takes the news that are there; 1 when there are more. What cannot be taken in is read again later. After a loss the
 * queue still holds older news, and the kernel throws away newer ones until it was emptied: they are passed over, and
 * nothing may be read again before the end of the queue.
 */
static int links_take_news(struct links *links)
{
	for (int i = 0; i < DATAGRAMS_MAX; i++) {
		const struct nlmsghdr *message;
		int length, r;

		r = nlsocket_receive(links->events, &message, &length);
		if (r == -EAGAIN)
			return 0;
		if (r == -ENOBUFS) {
			links->pending.stale = LINK_DUMP_ALL;
			continue;
		}
		if (r < 0)
			return r;
		if (links->pending.stale == LINK_DUMP_ALL)
			continue; /* it will be read anyway */
		for (; nlmessage_fits(message, length); message = mnl_nlmsg_next(message, &length))
			if (links_news(links, message) < 0)
				links->pending.stale = LINK_DUMP_ALL;
	}
	return 1;
}

/* Reads again what is out of date, unless it is too early for that. */
static int links_catch_up(struct links *links, struct error *error)
{
	long long start = now(), cost;
	int r = 0;

	if (!links->pending.stale)
		return 0;
	if (start < links->not_before) {
		links_wake_in(links, links->not_before - start);
		return 0;
	}
	/* A round may show that more is out of date: an interface that went took its routes along. */
	for (int i = 0; i < 3 && r == 0 && links->pending.stale; i++) {
		unsigned parts = links->pending.stale;

		links->pending.stale = 0;
		r = link_dump(links->query, parts, links->inventory, &links->pending, error);
		if (r < 0)
			links->pending.stale |= parts;
		else if (parts & LINK_DUMP_ROUTES)
			links->pending.stale &= ~(unsigned)LINK_DUMP_ROUTES; /* they were read last */
	}
	cost = now() - start;
	if (cost > DUMP_QUICK)
		links->not_before = start + cost + (cost * DUMP_PACE < WAIT_MAX ? cost * DUMP_PACE : WAIT_MAX);
	if (links->pending.stale)
		links_wake_in(links, r == 0 || r == -EINTR ? WAIT_RESTLESS : WAIT_FAILED);
	return r;
}

static int links_subscribe(struct links *links, struct error *error)
{
	static const unsigned groups[] = {
		RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
	};
	int r = nlsocket_open(NETLINK_ROUTE, &links->query);

	if (r == 0)
		r = nlsocket_open(NETLINK_ROUTE, &links->events);
	if (r == 0)
		nlsocket_room(links->events, EVENT_ROOM);
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(groups); i++)
		r = nlsocket_join(links->events, groups[i]);
	if (r < 0)
		return error_set(error, -r, "cannot follow the interfaces of this machine by netlink: %s",
				 strerror(-r));
	nlsocket_join(links->events, RTNLGRP_NEXTHOP); /* Linux 5.3 */
	return 0;
}

static int links_make_fd(struct links *links, struct error *error)
{
	struct epoll_event event = { .events = EPOLLIN };

	links->epoll = epoll_create1(EPOLL_CLOEXEC);
	links->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (links->epoll < 0 || links->timer < 0 || epoll_ctl(links->epoll, EPOLL_CTL_ADD, links->timer, &event) < 0 ||
	    epoll_ctl(links->epoll, EPOLL_CTL_ADD, nlsocket_fd(links->events), &event) < 0)
		return error_set(error, errno, "cannot wait for changes of interfaces: %s", strerror(errno));
	return 0;
}

DEFINE_CLEANUP(struct links *, links_close)

int links_open(struct inventory *inventory, struct links **ret, struct error *error)
{
	_cleanup_(links_closep) struct links *links = calloc(1, sizeof(*links));
	int r;

	if (!links)
		return error_memory(error);
	links->inventory = inventory;
	links->epoll = links->timer = -1;
	r = links_subscribe(links, error);
	if (r == 0)
		r = links_make_fd(links, error);
	if (r < 0)
		return r;

	links->pending.stale = LINK_DUMP_ALL;
	for (int i = 0; i < OPEN_TRIES && links->pending.stale; i++) {
		links->not_before = 0;
		r = links_catch_up(links, error);
		if (r < 0 && r != -EINTR)
			return r;
	}
	if (r < 0)
		return r;
	links->pending.changed = false;
	*ret = TAKE_PTR(links);
	return 0;
}

int links_fd(const struct links *links)
{
	return links->epoll;
}

int links_read(struct links *links, bool *ret_changed, struct error *error)
{
	uint64_t expirations;
	int r;

	if (read(links->timer, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return error_set(error, errno, "cannot read a timer: %s", strerror(errno));
	r = links_take_news(links);
	if (r < 0)
		return error_set(error, -r, "cannot read changes of interfaces: %s", strerror(-r));
	if (r == 0)
		r = links_catch_up(links, error);
	if (r < 0 && r != -EINTR) /* lists that do not stand still are tried again */
		return r;
	*ret_changed = links->pending.changed;
	links->pending.changed = false;
	return 0;
}

struct links *links_close(struct links *links)
{
	if (!links)
		return NULL;
	nlsocket_close(links->events);
	nlsocket_close(links->query);
	if (links->epoll >= 0)
		close(links->epoll);
	if (links->timer >= 0)
		close(links->timer);
	free(links);
	return NULL;
}

static struct route links_route(const struct prefix *destination, const struct addr *gateway, unsigned interface)
{
	struct route route = {
		.destination = { prefix_range(destination).first, destination->length },
		.interface = interface,
		.table = RT_TABLE_MAIN,
	};

	if (gateway)
		route.gateway = *gateway;
	return route;
}

int links_route_add(struct links *links, const struct prefix *destination, const struct addr *gateway,
		    unsigned interface, struct error *error)
{
	struct route route = links_route(destination, gateway, interface);

	return route_add(links->query, &route, error);
}

int links_route_remove(struct links *links, const struct prefix *destination, const struct addr *gateway,
		       unsigned interface, struct error *error)
{
	struct route route = links_route(destination, gateway, interface);

	return route_remove(links->query, &route, error);
}

int links_forget_neighbour(struct links *links, unsigned interface, const struct addr *addr, struct error *error)
{
	return neighbour_forget(links->query, interface, addr, error);
}
