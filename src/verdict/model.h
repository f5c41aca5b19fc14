/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_MODEL_H
#define SPR_VERDICT_MODEL_H

#include <stdio.h>

#include "inventory/inventory.h"
#include "policy/label.h"
#include "policy/policy.h"
#include "verdict/reason.h"

/*
 * The model is policy and inventory brought together: who is where, and what each identity class may open to which.
 * The ruleset is compiled from it and verdict() judges by it.
 */

/* What stands behind a right, for explanations. */
enum cause_kind { CAUSE_NETWORK, CAUSE_GROUP, CAUSE_POLICY, CAUSE_ALLOW, CAUSE_PUBLISH, CAUSE_BLOCK };

struct cause {
	enum cause_kind kind;
	size_t index; /* of the policy's allow or block, or the enum policy_bit */
	const char *name; /* group or network; owned by policy, inventory or model */
};

/* What one class may, or must not, open to another, or to a front. */
struct right {
	uint32_t target; /* index of the class; of the front, which it opens as a whole */
	bool deny;
	bool all; /* every protocol and port */
	bool but_dns; /* with all: but for port 53, which is the resolver's */
	uint8_t proto;
	bool any_port;
	uint16_t first, last;
	struct cause cause;
};

/* All identities with exactly the same rights. */
/* clang-format off */
struct class {
	uint32_t number; /* in the kernel; the same number never means anything else */
	unsigned policies;
	unsigned zones; /* 1 << enum zone */
	bool resolver;
	bool internal; /* in an --internal network: no rights beyond it */
	bool container;
	const char *network; /* bridge of the container network; "" elsewhere */
	bool isolate; /* its network keeps its containers apart */
	const char **groups; /* sorted; owned by policy or model */
	size_t n_groups;
	uint8_t *selected; /* a byte for each clause of the model: CLAUSE_FROM, CLAUSE_TO */
	struct right *rights; /* as a source, sorted by target, denials first */
	size_t n_rights;
	struct right *front_rights; /* likewise, one for each front that it may, or must not, open */
	size_t n_front_rights;
};

/*
 * Published ports that the same may reach: a target of its own, beside the class of the containers behind it. A container
 * that publishes a port is no other class for it.
 */
struct front {
	uint32_t number; /* as those of classes, and of no class */
	uint32_t class; /* index: of what is behind it */
	struct port_binding port; /* one of them: rights by port do not tell them apart */
	uint8_t *published; /* a byte for each clause of the model: 1 where the clause publishes them */
};
/* clang-format on */

/* The entry that a container's own labels make where the policy has none for it, under `labels: trust`. */
struct labelled {
	const struct container *container;
	struct asked asked; /* of groups, those that the policy knows */
};

/* Who is at an address: a container's endpoint, a rule's range, or just a part of a zone. */
struct location {
	char interface[IFNAMSIZ]; /* "" is this machine itself */
	struct range range;
	bool single; /* one address, of a container: beats any range */
	bool selected; /* a clause speaks of the container, or of the endpoint, by its name */
	bool resolver; /* the resolver that the policy word dns means */
	bool image_labels; /* the container's, see there */
	uint32_t class; /* index */
	unsigned zones; /* 1 << enum zone */
	const struct member *entry; /* its entry in the policy, or what labels make of one; or NULL */
	const struct labelled *labelled; /* whose entry that is, or NULL */
	const struct container *container; /* or NULL */
	const struct network *network; /* of a container, or NULL */
	uint32_t first_published, n_published; /* its ports in the model's list */
};

#define FRONT_NOBODY UINT32_MAX

/* A port of a location that is published, or will be: once for whatever addresses of this machine. */
struct published_port {
	struct port_binding binding;
	uint32_t front; /* index */
};

/* A port of this machine that an engine's proxy listens on, or will. Each is there once. */
struct port_front {
	struct port_binding binding;
	uint32_t front; /* index; FRONT_NOBODY: it may not be reached by anybody */
	const struct container *container;
	const struct location *location; /* where the proxy connects to; NULL: nowhere yet */
};

/* An allow, a block, or what all items of publish lists have in common that publish to the same. */
struct clause {
	enum cause_kind kind; /* CAUSE_ALLOW, CAUSE_BLOCK, CAUSE_PUBLISH */
	const struct grant *grant; /* allow, block */
	const struct publish *publish; /* the first of them */
	bool labelled; /* publish: by labels only, not by the policy */
	size_t index; /* in its list of the policy */
	char *meaning; /* what it says, as text */
};

#define CLAUSE_FROM 1
#define CLAUSE_TO 2

struct interface_role {
	const struct interface *interface;
	enum role role; /* ROLE_NONE: closed until it has one */
	const struct network *network; /* of a container bridge */
};

struct model {
	const struct policy *policy; /* borrowed: both must outlive the model */
	const struct inventory *inventory;
	bool router; /* an interface is lan */
	struct interface_role *roles;
	size_t n_roles;
	struct class *classes;
	size_t n_classes;
	struct location *locations; /* single addresses first, then the ranges of one interface after the other */
	size_t n_locations, n_singles;
	size_t *publishing; /* which of them have ports, or will */
	size_t n_publishing;
	struct labelled *labelled; /* in the order of their containers */
	size_t n_labelled;
	struct clause *clauses;
	size_t n_clauses;
	struct front *fronts;
	size_t n_fronts;
	struct published_port *published; /* of the locations, one after the other */
	size_t n_published;
	struct port_front *port_fronts; /* published ports of this machine, with the container behind each */
	size_t n_port_fronts;
	struct addr resolver;
	bool resolver_local;
	uint32_t host; /* index of this machine's class */
	uint16_t nat_first, nat_last; /* source ports for what leaves a masqueraded network; 0: there are too few */
	char **notes; /* sentences for status: names that fit two things, grants that can do nothing */
	size_t n_notes;
	struct names *names; /* look-up of what the policy names */
	struct taken *taken; /* of published ports */
	struct location_index *index; /* of interfaces and locations */
};

/* Numbers of classes by what they mean, kept from one model to the next: a number is never used for anything else. */
struct class_book;
/* `first` 0: numbers are made from the meanings and the same in every run; else they are counted from it on. */
struct class_book *class_book_new(uint32_t first);
struct class_book *class_book_free(struct class_book *book);
DEFINE_CLEANUP(struct class_book *, class_book_free)
/* The number of a meaning, new when it has none yet; 0 without memory. */
uint32_t class_book_number(struct class_book *book, const char *meaning);

/* Errors: -ENOMEM. */
int model_new(const struct policy *policy, const struct inventory *inventory, struct class_book *book, time_t now,
	      struct model **ret, struct error *error);
struct model *model_free(struct model *model);
DEFINE_CLEANUP(struct model *, model_free)

/* The role of an interface by name; ROLE_NONE for an unknown one. */
enum role model_role(const struct model *model, const char *interface);
/* The network whose bridge it is, or NULL. */
const struct network *model_network(const struct model *model, const char *interface);

/* The published port of this machine that an engine's proxy listens on at an address (its own or a wildcard), or NULL. */
const struct port_front *model_port_front(const struct model *model, const struct addr *addr, uint8_t proto,
					  uint16_t port);

/* Who is at an address behind an interface ("" for this machine), or NULL. */
const struct location *model_location(const struct model *model, const char *interface, const struct addr *addr);

/* A name for people: "jellyfin", "rule:home", "internet", "10.0.0.7". The caller's to free. */
char *location_name(const struct model *model, const struct location *location, const struct addr *addr);

/* True when the selector means this location. `block`: as a block reads it, see spr-policy(5). */
bool selector_fits(const struct model *model, const struct selector *selector, const struct location *location,
		   bool block);

/* -ENOTUNIQ with a sentence naming both when a bare name fits two members; else 0. */
int selector_ambiguous(const struct model *model, const struct selector *selector, struct error *error);

/* The policy's entry for a container of the model's inventory: that of its own name before that of its service, or NULL. */
const struct member *container_entry(const struct model *model, const struct container *container);

/* The policy's entry of a kind and name, or NULL: policy_member() without a search. */
const struct member *model_entry(const struct model *model, enum member_kind kind, const char *name);

/* The groups a location is in: sorted, borrowed names; the array is the caller's. -ENOMEM. */
int location_groups(const struct model *model, const struct location *location, const char ***ret, size_t *ret_n);
unsigned location_policies(const struct model *model, const struct location *location);

#endif
