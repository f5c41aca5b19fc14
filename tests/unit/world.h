/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TESTS_WORLD_H
#define SPR_TESTS_WORLD_H

#include "inventory/inventory.h"
#include "verdict/verdict.h"

/*
 * Machines, policies and packets from a few words of text, for tests. Whatever cannot be read ends the program with a
 * message.
 *
 * A machine, line by line; '#' begins a comment:
 *
 *   interface eth0 10.99.0.2/24 2600:99::2/64     also: bridge, wireguard, tun
 *   route default eth0 10.99.0.1                  the gateway may be left out; networks of interfaces are routed anyway
 *   network media br-a 172.30.1.0/24 internal noicc routed
 *   container web media 172.30.1.10 fd00::10 service=proj/app port=0.0.0.0:8080:80/tcp port=[::]:8080:80/tcp
 *   container web second 172.30.2.10              a second network of the same container
 *   container odd media 172.30.1.12 labels=image  its image claims to be somebody's service
 *   container new media 172.30.1.13 bind=0.0.0.0:8081:80/tcp    to be published, not told of yet
 *   stopped old bind=0.0.0.0:8082:80/tcp          in no network
 *   container sly media 172.30.1.14 spr.policies=wan,dns image.groups=proxy      labels, its own and its image's
 *   container net media 172.30.1.15 mode=host
 *   build media 172.30.1.99 name=job              an endpoint without a container; the name may be left out
 *   resolver 10.99.0.1
 *   busy 32768-60999               ports of the machine's own sockets
 */
struct inventory *world_inventory(const char *text);

struct world {
	struct inventory *inventory;
	struct policy *policy;
	struct model *model;
};

/* Model of a machine and a YAML policy. `book` NULL: a new one that is thrown away; `now` as in model_new(). */
struct world world_new(const char *machine, const char *yaml, struct class_book *book, time_t now);
void world_free(struct world *world);

/*
 * A packet: "br-a 172.30.1.10 > 1.1.1.1 tcp 443". More words may follow:
 *
 *   from=PORT  type=ICMP TYPE  hop=LIMIT  flags=TCP FLAGS  routed
 *   nat=ADDRESS:PORT           where NAT leads it
 *   opened=ADDRESS:PORT        of a reply: what was dialled, when that is not where it comes from
 *   out=INTERFACE              else it is found by the routes
 *   later reply error invalid  its place in its flow
 */
struct packet world_packet(const struct inventory *inventory, const char *text);

/* What verdict() says: "accept", "alone" (left alone) or the reason's id. */
const char *world_verdict(const struct world *world, const char *packet);

#endif
