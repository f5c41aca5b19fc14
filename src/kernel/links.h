/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_LINKS_H
#define SPR_KERNEL_LINKS_H

#include <stdbool.h>

#include "base/error.h"

struct inventory;
struct prefix;
struct addr;
struct links;

/*
 * Interfaces, addresses and routes by rtnetlink: reads all of them into the inventory, then follows changes. After
 * links_open() the inventory is complete. The fd is for polling; links_read() takes what is there and says in
 * *ret_changed whether the inventory changed. A lost message (ENOBUFS) makes it read everything again.
 */
int links_open(struct inventory *inventory, struct links **ret, struct error *error);
int links_fd(const struct links *links);
int links_read(struct links *links, bool *ret_changed, struct error *error);
struct links *links_close(struct links *links);

/* A route of ours (protocol ROUTE_PROTOCOL_SPR, table main). -EEXIST when one of somebody else's is there. */
int links_route_add(struct links *links, const struct prefix *destination, const struct addr *gateway,
		    unsigned interface, struct error *error);
int links_route_remove(struct links *links, const struct prefix *destination, const struct addr *gateway,
		       unsigned interface, struct error *error);

/* See kernel/neighbour.h. */
int links_forget_neighbour(struct links *links, unsigned interface, const struct addr *addr, struct error *error);

#define ROUTE_PROTOCOL_SPR 157

#endif
