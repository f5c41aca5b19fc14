/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TESTS_PROPERTY_H
#define SPR_TESTS_PROPERTY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "inventory/inventory.h"
#include "ruleset/ruleset.h"
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

void scene_choose(struct scene *scene); /* random interfaces and settings */
void scene_open(struct scene *scene); /* makes them in namespaces that are new; they go with the last process there */
void scene_close(struct scene *scene);
void scene_add_engine(struct scene *scene); /* networks, containers, published ports and their NAT */
void scene_change(struct scene *scene); /* some containers stop, others start */
void scene_nat(const struct scene *scene); /* the engine's NAT as the forwards are now; flows keep theirs */
/* Puts a copy of what engines know, and of the resolver, in the place of what is there. */
void engine_copy(const struct inventory *from, struct inventory *to);
void scene_print(const struct scene *scene, FILE *file);
const struct nic *scene_nic(const struct scene *scene, const char *name);
struct addr scene_addr(const struct scene *scene, uint8_t family); /* a random one */

/* Where the kernel sends a packet that came in by `in`: an interface, "" for this machine, NULL for nowhere. */
const char *scene_route(const struct scene *scene, const struct addr *to, const char *in);

/* A random policy document; the caller's to free. */
char *wish_write(const struct scene *scene);

/* A later packet of a flow: of the side that opened it, of the other one, an ICMP error about the one or the other. */
enum later { LATER_NONE, LATER_ORIGINAL, LATER_REPLY, LATER_ERROR, LATER_ERROR_BACK };

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
	size_t id; /* of its record */
	size_t flow; /* the flow it belongs to, or NO_FLOW */
	enum later later;
	uint8_t error_type; /* of an ICMP error */
	struct addr stray; /* of an ICMP error that somebody on the way sends */
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
/* The frame of a shot; returns its length. */
size_t shot_frame(const struct shot *shot, uint8_t *buffer); /* of FRAME_MAX bytes: see twin/frame.h */

/* A connection that the kernel let through. */
struct flow {
	struct packet first;
	struct addr wire_from; /* the source that the far end sees */
	uint16_t wire_port;
	uint16_t icmp_id;
	uint32_t sequence;
	bool replied;
	bool local; /* this machine opened it */
	size_t opener; /* id of the record that opened it */
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
/* The same packet in another scene, or under another policy: false where it cannot be sent there. */
bool shot_again(struct shot *shot, const struct scene *scene, const struct flows *flows, const char *nic);
/* Remembers what passed. */
void flows_note(struct flows *flows, const struct scene *scene, const struct shot *shot);
void connections_forget(void); /* of the kernel */
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

/* A fault of the test's own, by which it shows that it finds, shrinks and names one: --break. */
enum fault { FAULT_NONE, FAULT_ELEMENT, FAULT_RULE, FAULT_EPOCH, FAULT_BLOCK, FAULT_REVOKE, FAULT_BACK, _FAULT_MAX };
extern enum fault fault;
const char *fault_name(enum fault which);
void fault_ruleset(struct ruleset *ruleset);
void fault_decision(const struct packet *packet, struct decision *decision);

/* What is in force. */
struct force {
	struct nft *nft;
	struct class_book *book;
	struct policy *policy;
	struct model *model;
	struct ruleset *ruleset;
	uint32_t epoch;
	bool forget; /* the next change makes what was let through unknown, whatever it is */
};

void force_open(struct force *force);
/* A policy, whose owner it becomes, takes the place of the one before, as the daemon does it. */
int force_change(struct force *force, const struct inventory *inventory, struct policy *policy, struct error *error);
void force_close(struct force *force);

/* What was in force when packets were sent. */
struct epoch {
	struct policy *policy;
	struct inventory *engine;
	struct forward *forwards;
	size_t n_forwards;
};

struct record {
	size_t id, epoch;
	size_t opener; /* id of the record that opened its flow, or NO_FLOW */
	bool local; /* this machine opens a flow to packet.dialled */
	char nic[IFNAMSIZ];
	struct shot shot;
};

/* All that is needed to send packets once more; the last one is what it is about. */
struct story {
	struct nic nics[NICS_MAX];
	size_t n_nics;
	bool bridge_calls;
	struct epoch *epochs;
	size_t n_epochs;
	struct record *records;
	size_t n_records;
};

void story_begin(struct story *story, const struct scene *scene);
void story_epoch(struct story *story, const struct scene *scene, const struct policy *policy);
void story_add(struct story *story, struct shot *shot, const struct flows *flows);
void story_add_local(struct story *story, const struct addr *to, struct flows *flows);
/* Its packets up to record i; `flow`: only those of the same flow. */
void story_copy(const struct story *from, struct story *to);
void story_pick(const struct story *from, size_t i, bool flow, struct story *to);
void story_clear(struct story *story);

/* A machine to send packets into. */
struct rig {
	struct scene scene;
	struct force force;
	struct watch *watch;
	struct flows flows;
};

void rig_open(struct rig *rig, const struct story *story);
void rig_close(struct rig *rig);
bool rig_fits(const struct rig *rig, const struct story *story); /* the same interfaces */
/*
 * Sends all of a story, one packet after the other; false where that cannot be, or where verdict() says of a single
 * packet another thing than of the one that was seen. `before_last`: may be NULL.
 */
bool rig_play(struct rig *rig, const struct story *story, const struct shot *seen, void (*before_last)(void),
	      struct shot *ret);

bool agrees(const struct shot *shot);
/* The verdict() of the test: what the product says, but for the fault. */
void judge(const struct model *model, struct shot *shot);
/* A flow that this machine opens to an IPv4 address: answers to it have to come in. */
bool open_local(const struct scene *scene, struct flows *flows, const struct addr *to);

/* Each takes the n-th thing of a kind out of a story; false when there is none. See cut.c. */
bool cut_records(struct story *story, size_t n);
bool cut_epochs(struct story *story, size_t n);
bool cut_lists(struct story *story, size_t n);
bool cut_entries(struct story *story, size_t n);
bool cut_details(struct story *story, size_t n);
bool cut_engines(struct story *story, size_t n);
bool cut_nics(struct story *story, size_t n);

/* What is left of a story. */
struct gist {
	size_t lines; /* of policy */
	size_t packets;
	char chain[64]; /* in which the kernel decided */
};

/* Takes out of a story what the disagreement about its last packet does not need, and prints the rest. False when it
 * does not come again. */
bool story_shrink(struct story *story, const struct shot *seen, FILE *file, struct gist *ret);

/* Follows the next packet through the rules: trace_start(), the packet, trace_print(). */
void trace_start(void);
void trace_print(FILE *file, char *ret_chain, size_t size);

#endif
