/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_LINK_DUMP_H
#define SPR_KERNEL_LINK_DUMP_H

#include <stdbool.h>

#include "base/error.h"

struct inventory;
struct interface;
struct interface_address;
struct nlsocket;

/* Parts of the machine's network that are read as a whole; bits, so that what is out of date can be noted. */
enum {
	LINK_DUMP_LINKS = 1,
	LINK_DUMP_ADDRESSES = 2,
	LINK_DUMP_ROUTES = 4,
	LINK_DUMP_ALL = 7,
};

/* What came of taking something into the inventory. */
struct link_result {
	bool changed; /* the inventory is another one than before */
	unsigned stale; /* LINK_DUMP_* that may be out of date because of it, and that the kernel tells nothing about */
};

/*
 * Reads the parts and makes the inventory say the same; what is the same stays untouched. 0, or -EINTR when the lists of
 * the kernel did not stand still (each part read before that is in), or another error with its message. *result is
 * added to.
 */
int link_dump(struct nlsocket *socket, unsigned parts, struct inventory *inventory, struct link_result *result,
	      struct error *error);

/* Single pieces of news. 0, -ENOMEM, or -E2BIG when there is more than the inventory is meant to hold. */
int link_update(struct inventory *inventory, const struct interface *interface, struct link_result *result);
void link_remove(struct inventory *inventory, unsigned index, struct link_result *result);
int link_address_add(struct inventory *inventory, const struct interface_address *address, struct link_result *result);

#endif
