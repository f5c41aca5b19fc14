/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_ROUTE_H
#define SPR_KERNEL_ROUTE_H

#include "base/error.h"

struct nlsocket;
struct route;

/*
 * The routes we make ourselves (protocol ROUTE_PROTOCOL_SPR) in route->table; the destination's host bits are zero.
 * Adding one that is there is no error; one of ours by another way is moved. -EEXIST: somebody else has a route to this
 * destination, whatever its metric.
 */
int route_add(struct nlsocket *socket, const struct route *route, struct error *error);

/* Removes only what we made; that it is gone already is no error. */
int route_remove(struct nlsocket *socket, const struct route *route, struct error *error);

#endif
