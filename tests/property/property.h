/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TESTS_PROPERTY_H
#define SPR_TESTS_PROPERTY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "inventory/inventory.h"
#include "verdict/verdict.h"

/*
 * verdict() against the kernel: random machines, policies and packets. A scene is a machine in a network namespace of
 * its own, with the far ends of its interfaces in another one; a shot is a packet sent into it, with what verdict() and
 * the kernel make of it.
 */

void random_seed(uint64_t seed);
uint32_t random_below(uint32_t n); /* 0 to n - 1; n > 0 */
bool random_percent(unsigned percent);
#define RANDOM_OF(items) ((items)[random_below(ELEMENTSOF(items))])

/* Ends the program when a call of the test's own fails. */
#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #condition);                            \
			exit(2);                                                                                       \
		}                                                                                                      \
	} while (0)

struct addr address(const char *text);

/* An interface of the machine; `socket` sends frames into it from outside. */
struct nic {
	char name[IFNAMSIZ];
	unsigned index;
	uint8_t mac[6];
	int socket;
	bool bridge;
	char subnet4[24], subnet6[40]; /* its own address with length; "" for none */
};

#define NICS_MAX 16
#define POOL_MAX 1024

/* How the engine forwards a published port by NAT; else its proxy listens. */
struct forward {
	struct port_binding binding;
	struct addr to;
	char bridge[IFNAMSIZ];
};

struct scene {
	struct nic nics[NICS_MAX];
	size_t n_nics;
	struct inventory *inventory;
	struct forward *forwards;
	size_t n_forwards;
	struct addr pool[POOL_MAX]; /* addresses worth a try */
	size_t n_pool;
	int inside, outside; /* network namespaces; the process is inside after scene_open() */
	bool bridge_calls; /* net.bridge.bridge-nf-call-iptables */
};

void scene_open(struct scene *scene);
void scene_add_engine(struct scene *scene); /* networks, containers, published ports and their NAT */
void scene_print(const struct scene *scene, FILE *file);
const struct nic *scene_nic(const struct scene *scene, const char *name);
struct addr scene_addr(const struct scene *scene, uint8_t family); /* a random one */

/* Where the kernel sends a packet that came in by `in`: an interface, "" for this machine, NULL for nowhere. */
const char *scene_route(const struct scene *scene, const struct addr *to, const char *in);

/* A random policy document; the caller's to free. */
char *wish_write(const struct scene *scene);

enum fate { FATE_NONE, FATE_PASSED, FATE_DROPPED };

struct shot {
	struct packet packet;
	const struct nic *nic; /* where it is sent in */
	uint32_t number; /* in the header: IPv4 identification, IPv6 flow label */
	uint16_t icmp_id;
	uint32_t sequence, acknowledged; /* TCP */
	uint8_t tcp_flags;
	bool bad_sum;
	const struct packet *about; /* what an ICMP error quotes: addresses and ports as the packet had them */
	uint16_t about_icmp_id;
	const uint8_t *mac; /* of another container, inside a bridge */
	size_t flow; /* the flow it belongs to, or NO_FLOW */
	bool reply;
	bool lost; /* the kernel itself drops it after our first chains */
	struct decision expected;
	enum fate fate;
	char reason[32];
	unsigned out;
	struct addr
		left_from; /* its source when it left the machine: another than it came with where that was translated */
	uint16_t left_port;
};

#define NO_FLOW SIZE_MAX
#define FRAME_MAX 512

/* The frame of a shot; returns its length. */
size_t frame_build(const struct shot *shot, uint8_t *frame);

/* A connection that the kernel let through. */
struct flow {
	struct packet first;
	struct addr wire_from; /* the source that the far end sees */
	uint16_t wire_port;
	uint16_t icmp_id;
	uint32_t sequence;
	bool replied;
	bool local; /* this machine opened it */
	double born; /* in seconds of the monotonic clock */
	unsigned used; /* the last volley that had a packet of it */
};

struct flows {
	struct flow *flows;
	size_t n_flows;
	struct packet *odd; /* all that had no ports of its own */
	size_t n_odd;
	unsigned volley;
};

/* The next packet: of a new flow, or of one that is there. */
void shot_make(struct shot *shot, const struct scene *scene, struct flows *flows);
void shot_print(const struct shot *shot, FILE *file);
/* Remembers what passed. */
void flows_note(struct flows *flows, const struct scene *scene, const struct shot *shot);
double now(void);

/* Groups of the packet log for what passed and what left, and the protocol of the packet that ends a volley. */
#define GROUP_PASSED 5392
#define GROUP_LEFT 5393
#define END_PROTO 254

/* Sends packets and learns what became of each: at most VOLLEY_MAX at a time. */
#define VOLLEY_MAX 500
struct watch;
struct watch *watch_open(void);
void watch_volley(struct watch *watch, const struct scene *scene, struct shot *shots, size_t n);
void watch_close(struct watch *watch);

#endif
