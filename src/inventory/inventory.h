/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_INVENTORY_INVENTORY_H
#define SPR_INVENTORY_INVENTORY_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/cleanup.h"

/* What is there: interfaces and routes of the machine, networks and containers of the engines. Pure data. */

struct interface {
	char name[IFNAMSIZ];
	unsigned index;
	unsigned master; /* index of its bridge, 0 without one */
	char kind[16]; /* IFLA_INFO_KIND: "bridge", "veth", "tun", "wireguard"; "" for a card */
	bool up;
	bool loopback;
	bool ethernet; /* its packets have Ethernet's header */
	bool bridge_rules; /* a bridge whose ports IPv4's or IPv6's rules look at, whatever those of the machine do */
	struct prefix *addresses; /* with host bits: 192.168.1.5/24 */
	size_t n_addresses;
};

/* A unicast route of any table; the default route has length 0. */
struct route {
	struct prefix destination; /* host bits zero */
	unsigned interface; /* index; a multipath route is one entry a next hop */
	struct addr gateway; /* family 0: on-link */
	uint32_t table;
};

/* What the engine's rules do for a network, in one family. */
enum gateway_mode {
	GATEWAY_NAT, /* it translates, and closes what is not published */
	GATEWAY_UNPROTECTED, /* it translates, and closes nothing */
	GATEWAY_ROUTED, /* it does not translate: what is published is reached by the containers' own addresses */
	GATEWAY_ISOLATED, /* this machine has no address there */
};

struct network {
	uint64_t stamp; /* each put gives another; 0: it was not put */
	const char *engine; /* "docker"; nobody's to free */
	char *id;
	char *name;
	char *driver; /* "bridge", "macvlan" ... */
	char bridge[IFNAMSIZ]; /* "" where the driver makes none */
	struct prefix *subnets; /* host bits zero */
	size_t n_subnets;
	struct addr *gateways;
	size_t n_gateways;
	bool internal;
	bool icc; /* false: the engine isolates its containers from each other */
	enum gateway_mode gateway4, gateway6;
	bool trusts; /* the engine lets some interfaces of this machine reach its containers' own addresses */
	bool masquerade; /* what leaves it by another interface gets this machine's address (IPv4) */
};

/*
 * A container's place in one network. What a container engine lists comes in an order that never opens anything: an
 * endpoint with a container enters the inventory after its container, and leaves it before.
 */
struct endpoint {
	char *network; /* the network's id */
	char *container; /* the container's id; "" for what the engine lists without one (a build) */
	char *name; /* as the engine lists it in the network; may be "" */
	struct addr ip4, ip6;
	uint8_t mac[6];
	/* Where they were last, and their stamps: hints, which who makes a model writes; a put forgets them. */
	uint32_t network_at, container_at;
	uint64_t network_stamp, container_stamp;
};

struct port_binding {
	uint8_t proto; /* IPPROTO_TCP, _UDP, _SCTP */
	struct addr host; /* never family 0; 0.0.0.0 and :: are wildcards of their family */
	uint16_t host_port, container_port;
};

/* A label of spr: what somebody asks for the container. It is nobody's right. */
struct request {
	char *key; /* "policies", without the prefix; "?" for one that cannot be shown */
	char *text; /* as found; NULL for one that is too long or cannot be shown */
	bool image; /* the image says the same, or nobody knows: the container's maker may not have said it */
};

struct container {
	uint64_t stamp; /* as a network's */
	uint32_t name_hash; /* spots_hash() of the name, where it has a stamp */
	const char *engine;
	char *id;
	char *name; /* without the leading slash */
	char *image;
	char *project, *service; /* of compose; NULL without */
	bool image_labels; /* the image brings labels of compose along: project and service prove nothing, and are "?" */
	struct request *requests; /* in the order of their keys */
	size_t n_requests;
	int64_t created; /* seconds since 1970, 0 where it is not known */
	bool running;
	bool host_network;
	struct port_binding *ports; /* as published now: none while it does not run */
	size_t n_ports;
	struct port_binding *bindings; /* to be published at fixed ports: known before it runs, and while it does not */
	size_t n_bindings;
};

#define PORTS 65536

/* A bit a port. */
struct port_bits {
	uint8_t bits[PORTS / 8];
};

struct inventory {
	struct interface *interfaces;
	size_t n_interfaces;
	struct route *routes;
	size_t n_routes;
	struct network *networks;
	size_t n_networks;
	struct endpoint *endpoints;
	size_t n_endpoints;
	struct container *containers;
	size_t n_containers;
	struct port_bits busy; /* ports that sockets of this machine wait on */
	uint16_t own_first, own_last; /* those that it takes its own from; 0: not known */
	struct addr resolver; /* the one the machine uses or serves; family 0 without */
	uint64_t stamps; /* the last one */
	struct inventory_index *index; /* of inventory.c, for the look-ups by key; NULL works too, but slower */
};

struct inventory *inventory_new(void);
struct inventory *inventory_free(struct inventory *inventory);
DEFINE_CLEANUP(struct inventory *, inventory_free)
/* One that says the same and stands alone. NULL without memory. */
struct inventory *inventory_copy(const struct inventory *inventory);

/* Look-ups: NULL when it is not there. What they return is good until the next put or drop of the same kind. */
struct interface *inventory_interface(const struct inventory *inventory, unsigned index);
struct interface *inventory_interface_named(const struct inventory *inventory, const char *name);
/* The one that has the address. */
struct interface *inventory_interface_with(const struct inventory *inventory, const struct addr *addr);
struct network *inventory_network(const struct inventory *inventory, const char *id);
struct network *inventory_network_named(const struct inventory *inventory, const char *name);
struct container *inventory_container(const struct inventory *inventory, const char *id);
struct endpoint *inventory_endpoint(const struct inventory *inventory, const char *network, const struct addr *address);
/* The endpoint's own; without a search where it has not moved since. */
struct network *inventory_network_of(const struct inventory *inventory, struct endpoint *endpoint);
struct container *inventory_container_of(const struct inventory *inventory, struct endpoint *endpoint);

/*
 * Each put replaces what has the same key (interface index; route as a whole; network id; container id; network and
 * address of an endpoint) and takes over what the argument points to, also when it fails with -ENOMEM and
 * leaves what is there; the argument is empty afterwards. An endpoint without any address replaces the one of the same network and container.
 */
int inventory_put_interface(struct inventory *inventory, struct interface *interface);
int inventory_put_network(struct inventory *inventory, struct network *network);
int inventory_put_container(struct inventory *inventory, struct container *container);
int inventory_put_endpoint(struct inventory *inventory, struct endpoint *endpoint);

/* Each drop is silent about what is not there. The order of what stays may change. */
void inventory_drop_interface(struct inventory *inventory, unsigned index);
void inventory_drop_network(struct inventory *inventory, const char *engine,
			    const char *id); /* id NULL: all of the engine; and their endpoints */
void inventory_drop_container(struct inventory *inventory, const char *engine,
			      const char *id); /* id NULL: all of the engine */
void inventory_cut_endpoint(struct inventory *inventory, size_t i); /* the last one takes its place */
void inventory_drop_endpoints(struct inventory *inventory, const char *network,
			      const char *container); /* either may be NULL: any */

/*
 * Pointers to all that there is, in an order that does not depend on when it was seen: by name; endpoints by address. For
 * the caller to free, good as long as look-ups are. NULL without memory.
 */
const struct interface **inventory_interfaces_sorted(const struct inventory *inventory);
const struct network **inventory_networks_sorted(const struct inventory *inventory);
const struct endpoint **inventory_endpoints_sorted(const struct inventory *inventory);
const struct container **inventory_containers_sorted(const struct inventory *inventory);

void interface_clear(struct interface *interface);
void network_clear(struct network *network);
void endpoint_clear(struct endpoint *endpoint);
void container_clear(struct container *container);
struct request *requests_free(struct request *requests, size_t n);

bool port_bits_has(const struct port_bits *bits, uint16_t port);
unsigned port_bits_next(const struct port_bits *bits, unsigned port); /* the first from there on; PORTS without */
void port_bits_add(struct port_bits *bits, uint16_t first, uint16_t last);

/* Whether two say the same in every field. */
bool network_equal(const struct network *a, const struct network *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
bool container_equal(const struct container *a, const struct container *b);

#endif
