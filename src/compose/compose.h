/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_COMPOSE_COMPOSE_H
#define SPR_COMPOSE_COMPOSE_H

#include "base/error.h"
#include "inventory/inventory.h"
#include "policy/policy.h"

/*
 * A compose file, as far as it says what will be reachable: services, their networks and published ports. Pure; what is
 * not understood is an error with its place, or a sentence in the notes, never left out in silence.
 */

#define COMPOSE_TEXT_MAX (1u << 20) /* bytes */
#define COMPOSE_SERVICES_MAX 1000
#define COMPOSE_NETWORKS_MAX 500
#define COMPOSE_PORTS_MAX 4096 /* of the whole file, ranges counted out */

struct compose_port {
	uint8_t proto;
	struct addr host; /* family 0: every address of the machine */
	uint16_t host_port; /* 0: any that the engine chooses */
	uint16_t host_last; /* above host_port where it chooses one from there to here */
	uint16_t container_port;
	struct place place;
};

struct compose_network {
	char *key; /* in the file */
	char *name; /* as the engine will call it */
	char *driver; /* NULL: what the engine takes */
	bool external; /* it has to be there before */
	bool internal;
	bool icc;
	struct prefix *subnets; /* host bits zero */
	size_t n_subnets;
};

struct compose_service {
	char *name;
	char *container; /* what its first container will be called */
	char *mode; /* network_mode: "host", "none", "service:db" ...; NULL where it has networks */
	size_t *networks; /* indices */
	size_t n_networks;
	struct compose_port *ports;
	size_t n_ports;
	struct request *requests; /* its labels for spr */
	size_t n_requests;
	bool off; /* of profiles, none of which is on */
	struct place place;
};

struct compose {
	char *project;
	struct compose_service *services;
	size_t n_services;
	struct compose_network *networks; /* those that a service uses */
	size_t n_networks;
	char **notes;
	size_t n_notes;
};

/* Values of variables: NULL for one that is not set. */
struct compose_variables {
	const char *(*find)(const char *name, void *data);
	void *data;
};

/*
 * `project` NULL: what the file's `name` says; `folder`: else that is its name, when it has a character that a project's
 * may. -EINVAL with name:line:column; -E2BIG over one of the limits; -ENOMEM.
 */
struct compose_options {
	const char *project, *folder;
	const struct compose_variables *variables;
};
int compose_parse(const char *text, size_t length, const char *name, const struct compose_options *options,
		  struct compose **ret, struct error *error);
struct compose *compose_free(struct compose *compose);
DEFINE_CLEANUP(struct compose *, compose_free)

/* "8080:80", "127.0.0.1::5000/udp", "3000-3005": adds its ports. -EINVAL with a sentence, -E2BIG, -ENOMEM. */
int compose_ports_parse(const char *text, struct place place, struct compose_port **ports, size_t *n,
			struct error *error);

/*
 * "$NAME", "${NAME}", "${NAME:-default}" (also - :? ? :+ +) and "$$" replaced; the text is the caller's. *ret_unset: the
 * first name that is not set and has no default, the caller's too, or NULL. -EINVAL with a sentence.
 */
int compose_fill(const char *text, const struct compose_variables *variables, char **ret, char **ret_unset,
		 struct error *error);

/* A file of NAME=value lines. */
struct compose_variable {
	char *name, *value;
};
int compose_env_parse(const char *text, size_t length, const char *name, struct compose_variable **ret, size_t *ret_n,
		      struct error *error);
void compose_env_free(struct compose_variable *variables, size_t n);

/*
 * Puts the containers and networks that the file would make into an inventory, with addresses that nobody has. What is there
 * under the same name goes, as it would. Ids of containers are COMPOSE_ID and the service's number. Sentences about what
 * cannot be are added to the notes. -ENOMEM.
 */
#define COMPOSE_ID "compose-"
int compose_place(struct compose *compose, struct inventory *inventory);

int compose_note(struct compose *compose, const char *format, ...) _printf_(2, 3);

#endif
