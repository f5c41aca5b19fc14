/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_AUDIT_PRIVATE_H
#define SPR_AUDIT_PRIVATE_H

#include "audit/audit.h"
#include "doctor/doctor.h"
#include "inventory/inventory.h"
#include "kernel/sessions.h"
#include "twin/twin.h"
#include "verdict/model.h"

/* Where somebody is who may want something. */
enum origin_kind {
	ORIGIN_INTERNET, /* far away, by an uplink */
	ORIGIN_NEIGHBOUR, /* on an uplink's own network */
	ORIGIN_LAN, /* on another network of this machine */
	ORIGIN_OVERLAY,
	ORIGIN_CONTAINER,
};

enum { FOUR, SIX, FAMILIES };

struct origin {
	enum origin_kind kind;
	const struct interface *interface;
	const struct network *network; /* of a container */
	struct addr at[FAMILIES]; /* family 0: none */
	uint8_t mac[6];
	char name[100]; /* "a neighbour on eth0" */
};

/* A packet to try. */
struct probe {
	struct addr to;
	uint8_t proto;
	uint16_t port, from_port; /* from_port 0: any */
	bool stray; /* TCP that belongs to no flow */
	const struct addr *from; /* NULL: the origin's own */
	const char *note; /* why just this one; or NULL */
	const uint8_t *to_mac; /* NULL: this machine's there */
	const struct addr *hop; /* a source route by way of the machine to there; or NULL */
};

struct answer {
	bool local; /* it arrived at this machine */
	const struct interface *out; /* it left there (a bridge rather than its port), or NULL */
	struct packet packet; /* as it left */
};

/* An address of this machine. */
struct own {
	struct addr addr;
	struct prefix prefix;
	const struct interface *interface;
};

struct accept;

struct audit {
	struct inventory *inventory;
	const struct interface **interfaces; /* the same, by name */
	const struct network **networks;
	const struct endpoint **endpoints; /* by address */
	const struct container **containers;
	bool docker_whole; /* Docker answered all */
	struct policy *policy; /* an empty one: for the roles of interfaces */
	struct class_book *book;
	struct model *model;
	struct twin *twin;
	struct origin *origins;
	size_t n_origins;
	struct own *owns;
	size_t n_owns;
	struct listener *listeners;
	size_t n_listeners;
	json_t *findings[_SEVERITY_MAX];
	json_t *notes;
	struct twin_result last; /* of the last packet */
	struct accept *accepts; /* rules of others that accepted a packet of a finding */
	size_t n_accepts;
	size_t packets, since_forgotten;
	uint32_t number; /* of the last packet */
	bool no_memory;
};

/* A finding that is there as soon as a packet proves it. */
struct hole {
	struct audit *audit;
	const struct origin *origin;
	const char *id;
	enum severity severity;
	const char *fix;
	bool story; /* of more than one packet: the last one is not the one that is shown */
	json_t *packets;
	json_t *things; /* what is reached, each once */
};

/* A sentence about what was not looked at. */
void audit_note(struct audit *audit, const char *format, ...) _printf_(2, 3);

/* What is there: inventory, origins, addresses, sockets. */
int world_read(struct audit *audit, const struct audit_options *options, struct error *error);
void world_clear(struct audit *audit);

/* Sends it into the twin. False when it came nowhere. */
bool probe_try(struct audit *audit, const struct origin *origin, const struct probe *probe, struct answer *ret);
/* Somebody on the network of an interface's address; family 0 where there is no room. */
struct addr somebody_on(const struct audit *audit, const struct prefix *prefix);
bool is_special(const struct addr *addr); /* never the internet */
struct addr far_away(int family);

/* `thing` is what is reached, for people; NULL where the finding is of one thing only. */
void hole_proof(struct hole *hole, const struct probe *probe, const char *thing);
/* With a text for people when there was a proof, and the things behind it; the hole is empty afterwards. */
void hole_end(struct hole *hole, const char *format, ...) _printf_(2, 3);

/* The packet for people; the caller's. NULL without memory. */
json_t *packet_json(const struct origin *origin, const struct probe *probe, const char *thing);
const char *origin_zone(const struct origin *origin);
/* Adds what is reached, once. */
void things_add(struct audit *audit, json_t *things, const char *thing);
/* "text: one, two, three and 4 more" */
void add_things(char *text, size_t size, const json_t *things);
void finding_add(struct audit *audit, enum severity severity, json_t *finding);

/* The packet that was tried last is of a finding: whose rules let it through is kept. */
void accepts_keep(struct hole *hole, const struct probe *probe, const char *thing);
/* What those rules do: each is taken out of a twin, and the packets are sent again. */
int accepts_judge(struct audit *audit, struct error *error);
void accepts_clear(struct audit *audit);

/* Fills in what a service of this machine takes on the origin's network, by the source that the probe has; false: none. */
bool reaches_service(struct audit *audit, const struct origin *origin, struct probe *probe);

/* Each makes its part of the findings for one origin. */
void check_containers(struct audit *audit, const struct origin *origin);
void check_forged(struct audit *audit, const struct origin *origin);
void check_published(struct audit *audit, const struct origin *origin);
void check_services(struct audit *audit, const struct origin *origin);
void check_loopback(struct audit *audit, const struct origin *origin);
void check_devices(struct audit *audit, const struct origin *origin);
void check_upstream(struct audit *audit, const struct origin *origin);
void check_shadow(struct audit *audit, const struct origin *origin);
void check_flood(struct audit *audit, const struct origin *origin);
void check_neighbours(struct audit *audit, const struct origin *origin);
void check_source_routed(struct audit *audit, const struct origin *origin);

static inline int family_index(const struct addr *addr)
{
	return addr->family == AF_INET6 ? SIX : FOUR;
}

static inline bool from_outside(const struct origin *origin)
{
	return origin->kind == ORIGIN_INTERNET || origin->kind == ORIGIN_NEIGHBOUR;
}

#endif
