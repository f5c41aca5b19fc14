/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/link_dump.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/array.h"
#include "kernel/nlsocket.h"
#include "kernel/rtmessage.h"

/* Far above what a machine has; a limit all the same. */
#define INTERFACES_MAX 16384
#define ADDRESSES_MAX 65536
#define ROUTES_MAX 262144

#define REQUEST_SIZE 128
#define TRIES 5 /* a list that does not stand still */

/* What a dump listed. */
struct list {
	struct interface *interfaces; /* without addresses */
	size_t n_interfaces;
	struct interface_address *addresses;
	size_t n_addresses;
	struct route *routes;
	size_t n_routes;
};

static void list_clear(struct list *list)
{
	free(list->interfaces);
	free(list->addresses);
	free(list->routes);
	memset(list, 0, sizeof(*list));
}

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int interface_order(const void *one, const void *other)
{
	const struct interface *a = one, *b = other;

	return order(a->index, b->index);
}

static int prefix_order(const void *one, const void *other)
{
	const struct prefix *a = one, *b = other;
	int r = addr_compare(&a->addr, &b->addr);

	return r ? r : order(a->length, b->length);
}

static int address_order(const void *one, const void *other)
{
	const struct interface_address *a = one, *b = other;
	int r = order(a->interface, b->interface);

	return r ? r : prefix_order(&a->prefix, &b->prefix);
}

static int route_order(const void *one, const void *other)
{
	const struct route *a = one, *b = other;
	int r = order(a->table, b->table);

	if (r == 0)
		r = prefix_order(&a->destination, &b->destination);
	if (r == 0)
		r = order(a->interface, b->interface);
	return r ? r : addr_compare(&a->gateway, &b->gateway);
}

/* Sorts, and keeps one of those that are equal. */
static void sort_unique(void *items, size_t *n, size_t size, int (*compare)(const void *a, const void *b))
{
	char *base = items;
	size_t kept = 0;

	if (*n == 0)
		return;
	qsort(items, *n, size, compare);
	for (size_t i = 1; i < *n; i++)
		if (compare(base + kept * size, base + i * size) != 0)
			memmove(base + ++kept * size, base + i * size, size);
	*n = kept + 1;
}

static int take_interface(const struct nlmsghdr *message, void *data)
{
	struct list *list = data;
	struct interface interface, *slot;

	if (message->nlmsg_type != RTM_NEWLINK || !rtmessage_interface(message, &interface))
		return 0;
	if (list->n_interfaces >= INTERFACES_MAX)
		return -E2BIG;
	slot = ARRAY_ADD(list->interfaces, list->n_interfaces);
	if (!slot)
		return -ENOMEM;
	*slot = interface;
	return 0;
}

static int take_address(const struct nlmsghdr *message, void *data)
{
	struct list *list = data;
	struct interface_address address, *slot;

	if (message->nlmsg_type != RTM_NEWADDR || !rtmessage_address(message, &address))
		return 0;
	if (list->n_addresses >= ADDRESSES_MAX)
		return -E2BIG;
	slot = ARRAY_ADD(list->addresses, list->n_addresses);
	if (!slot)
		return -ENOMEM;
	*slot = address;
	return 0;
}

static int take_route(const struct route *route, void *data)
{
	struct list *list = data;
	struct route *slot;

	if (list->n_routes >= ROUTES_MAX)
		return -E2BIG;
	slot = ARRAY_ADD(list->routes, list->n_routes);
	if (!slot)
		return -ENOMEM;
	*slot = *route;
	return 0;
}

static int take_routes(const struct nlmsghdr *message, void *data)
{
	struct route_message route;

	if (message->nlmsg_type != RTM_NEWROUTE || !rtmessage_route(message, &route) || !rtmessage_route_counts(&route))
		return 0;
	return rtmessage_hops(&route, take_route, data);
}

/* A dump request. Strict checking wants each type's own header; all of them start with the family. */
static struct nlmsghdr *dump_request(char *buffer, uint16_t type, uint8_t family)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	size_t size = type == RTM_GETLINK ? sizeof(struct ifinfomsg) :
		      type == RTM_GETADDR ? sizeof(struct ifaddrmsg) :
					    sizeof(struct rtmsg);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	*(uint8_t *)mnl_nlmsg_put_extra_header(request, size) = family;
	if (type == RTM_GETLINK)
		mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (type == RTM_GETROUTE) /* older kernels send all; we look at it anyway */
		((struct rtmsg *)mnl_nlmsg_get_payload(request))->rtm_type = RTN_UNICAST;
	return request;
}

static int dump_family(struct nlsocket *socket, uint16_t type, uint8_t family, struct list *list)
{
	static int (*const take[])(const struct nlmsghdr *message, void *data) = {
		[RTM_GETLINK] = take_interface,
		[RTM_GETADDR] = take_address,
		[RTM_GETROUTE] = take_routes,
	};
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));

	return nlsocket_query(socket, dump_request(buffer, type, family), take[type], list);
}

/* Both families, as often as it takes; the list is complete, or empty. */
static int dump(struct nlsocket *socket, uint16_t type, struct list *list)
{
	int r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR; i++) {
		list_clear(list);
		if (type == RTM_GETLINK) {
			r = dump_family(socket, type, AF_UNSPEC, list);
			continue;
		}
		r = dump_family(socket, type, AF_INET, list);
		if (r == 0)
			r = dump_family(socket, type, AF_INET6, list);
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
			r = 0; /* no IPv6 here */
	}
	if (r < 0)
		list_clear(list);
	return r;
}

int link_update(struct inventory *inventory, const struct interface *interface, struct link_result *result)
{
	struct interface *old = inventory_interface(inventory, interface->index), new = *interface;

	if (!old) {
		if (inventory->n_interfaces >= INTERFACES_MAX)
			return -E2BIG;
		result->changed = true;
		return inventory_put_interface(inventory, &new);
	}
	if (strcmp(old->name, new.name) == 0 && strcmp(old->kind, new.kind) == 0 && old->master == new.master &&
	    old->up == new.up && old->loopback == new.loopback && old->ethernet == new.ethernet &&
	    old->bridge_rules == new.bridge_rules)
		return 0;
	if (old->up != new.up || old->master != new.master)
		result->stale |= LINK_DUMP_ROUTES; /* IPv4 routes go without a word */
	new.addresses = old->addresses;
	new.n_addresses = old->n_addresses;
	*old = new;
	result->changed = true;
	return 0;
}

void link_remove(struct inventory *inventory, unsigned index, struct link_result *result)
{
	if (!inventory_interface(inventory, index))
		return;
	inventory_drop_interface(inventory, index);
	result->changed = true;
	result->stale |= LINK_DUMP_ROUTES;
}

int link_address_add(struct inventory *inventory, const struct interface_address *address, struct link_result *result)
{
	struct interface *interface = inventory_interface(inventory, address->interface);
	struct prefix *slot;

	if (!interface) {
		result->stale |= LINK_DUMP_LINKS | LINK_DUMP_ADDRESSES;
		return 0;
	}
	for (size_t i = 0; i < interface->n_addresses; i++)
		if (prefix_order(&interface->addresses[i], &address->prefix) == 0)
			return 0;
	if (interface->n_addresses >= ADDRESSES_MAX)
		return -E2BIG;
	slot = ARRAY_ADD(interface->addresses, interface->n_addresses);
	if (!slot)
		return -ENOMEM;
	*slot = address->prefix;
	qsort(interface->addresses, interface->n_addresses, sizeof(*slot), prefix_order);
	result->changed = true;
	return 0;
}

static int merge_interfaces(struct list *list, struct inventory *inventory, struct link_result *result)
{
	sort_unique(list->interfaces, &list->n_interfaces, sizeof(*list->interfaces), interface_order);
	for (size_t i = inventory->n_interfaces; i-- > 0;)
		if (!list->n_interfaces || !bsearch(&inventory->interfaces[i], list->interfaces, list->n_interfaces,
						    sizeof(*list->interfaces), interface_order))
			link_remove(inventory, inventory->interfaces[i].index, result);
	for (size_t i = 0; i < list->n_interfaces; i++) {
		int r = link_update(inventory, &list->interfaces[i], result);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Gives an interface the n addresses that were listed for it. */
static int merge_interface_addresses(struct interface *interface, const struct interface_address *addresses, size_t n,
				     struct link_result *result)
{
	struct prefix *new = NULL, *slot;
	size_t n_new = 0;
	bool same = n == interface->n_addresses;

	for (size_t i = 0; same && i < n; i++)
		same = prefix_order(&interface->addresses[i], &addresses[i].prefix) == 0;
	if (same)
		return 0;
	for (size_t i = 0; i < n; i++) {
		slot = ARRAY_ADD(new, n_new);
		if (!slot) {
			free(new);
			return -ENOMEM;
		}
		*slot = addresses[i].prefix;
	}
	free(interface->addresses);
	interface->addresses = new;
	interface->n_addresses = n_new;
	result->changed = true;
	return 0;
}

static int merge_addresses(struct list *list, struct inventory *inventory, struct link_result *result)
{
	size_t n = list->n_addresses;

	sort_unique(list->addresses, &n, sizeof(*list->addresses), address_order);
	for (size_t i = 0; i < inventory->n_interfaces; i++) {
		struct interface *interface = &inventory->interfaces[i];
		size_t low = 0, high = n, end;
		int r;

		while (low < high) { /* the first that is not of an interface before it */
			size_t middle = low + (high - low) / 2;

			if (list->addresses[middle].interface < interface->index)
				low = middle + 1;
			else
				high = middle;
		}
		for (end = low; end < n && list->addresses[end].interface == interface->index; end++)
			;
		r = merge_interface_addresses(interface, list->addresses + low, end - low, result);
		if (r < 0)
			return r;
	}
	return 0;
}

static int merge_routes(struct list *list, struct inventory *inventory, struct link_result *result)
{
	bool same;

	sort_unique(list->routes, &list->n_routes, sizeof(*list->routes), route_order);
	same = list->n_routes == inventory->n_routes;
	for (size_t i = 0; same && i < list->n_routes; i++)
		same = route_order(&list->routes[i], &inventory->routes[i]) == 0;
	if (same)
		return 0;
	free(inventory->routes);
	inventory->routes = TAKE_PTR(list->routes);
	inventory->n_routes = list->n_routes;
	list->n_routes = 0;
	result->changed = true;
	return 0;
}

int link_dump(struct nlsocket *socket, unsigned parts, struct inventory *inventory, struct link_result *result,
	      struct error *error)
{
	static const struct {
		unsigned part;
		uint16_t type;
		int (*merge)(struct list *list, struct inventory *inventory, struct link_result *result);
		const char *what;
	} table[] = {
		{ LINK_DUMP_LINKS, RTM_GETLINK, merge_interfaces, "interfaces" },
		{ LINK_DUMP_ADDRESSES, RTM_GETADDR, merge_addresses, "addresses" },
		{ LINK_DUMP_ROUTES, RTM_GETROUTE, merge_routes, "routes" },
	};
	struct list list = { 0 };

	for (size_t i = 0; i < ELEMENTSOF(table); i++) {
		int r;

		if (!(parts & table[i].part))
			continue;
		r = dump(socket, table[i].type, &list);
		if (r == 0)
			r = table[i].merge(&list, inventory, result);
		list_clear(&list);
		if (r == -E2BIG)
			return error_set(error, E2BIG, "this machine has more %s than spr can hold", table[i].what);
		if (r < 0)
			return error_set(error, -r, "cannot read the %s of this machine: %s", table[i].what,
					 r == -EINTR ? "they keep changing" : strerror(-r));
	}
	return 0;
}
