/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_ENGINE_DOCKER_PARSE_H
#define SPR_ENGINE_DOCKER_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "inventory/inventory.h"

/*
 * Docker's answers and events (Engine API 1.41 and later) as inventory. Pure, and for hostile input: names and labels
 * are whatever somebody wrote into an image. What is of the wrong type is skipped; a name that is too long or has
 * control characters becomes "?", so that the thing is there and fits no policy. Text that is not JSON of the expected
 * outer form is -EINVAL, no memory is -ENOMEM.
 */

#define DOCKER_ID_MAX 128 /* an id: letters, digits, '_', '-', '.' */
#define DOCKER_NAME_MAX 255
#define DOCKER_REQUESTS_MAX 16 /* labels of spr that a container can have; unknown ones beyond that are not there */
#define DOCKER_THINGS_MAX 262144 /* networks, containers, endpoints of a network, ports of a container */

/* Of GET /networks/ID. */
struct docker_network {
	struct network network;
	struct endpoint *endpoints; /* `container` is the key's text when it looks like a container's id, else "" */
	size_t n_endpoints;
};

/* Of GET /containers/json. */
struct docker_container {
	struct container container;
	char *image_id; /* NULL when it is not said; fit for a URL */
};

/* Of GET /containers/ID/json: the host ports that are fixed; Docker chooses the others at each start. */
struct docker_bindings {
	char id[DOCKER_ID_MAX + 1];
	struct port_binding *ports;
	size_t n_ports;
};

struct docker_labels {
	char *project, *service; /* of compose; NULL without */
	struct request *requests; /* of spr, in the order of their keys */
	size_t n_requests;
};

enum docker_action {
	DOCKER_OTHER,
	DOCKER_CREATE,
	DOCKER_CONNECT,
	DOCKER_DISCONNECT,
	DOCKER_START,
	DOCKER_DIE, /* comes before every stop */
	DOCKER_UPDATE, /* renamed, or something else is new */
	DOCKER_DESTROY,
};

struct docker_event {
	bool network; /* of a network; else of a container */
	enum docker_action action;
	char id[DOCKER_ID_MAX + 1]; /* of what it is about */
	char container[DOCKER_ID_MAX + 1]; /* connect and disconnect: of the container; may be "" */
};

int docker_parse_version(const char *text, size_t length, char **ret, struct error *error);

/* Docker's folder, of GET /info: an absolute path. */
int docker_parse_root(const char *text, size_t length, char **ret, struct error *error);

/* The ids of GET /networks. */
int docker_parse_networks(const char *text, size_t length, char ***ret, size_t *ret_n, struct error *error);
int docker_parse_network(const char *text, size_t length, struct docker_network *ret, struct error *error);
int docker_parse_containers(const char *text, size_t length, struct docker_container **ret, size_t *ret_n,
			    struct error *error);

int docker_parse_bindings(const char *text, size_t length, struct docker_bindings *ret, struct error *error);

/* The labels that an image brings along, of GET /images/ID/json. */
int docker_parse_image(const char *text, size_t length, struct docker_labels *ret, struct error *error);

/* One line of GET /events. An event that changes nothing here is DOCKER_OTHER. */
int docker_parse_event(const char *text, size_t length, struct docker_event *ret, struct error *error);

void docker_network_clear(struct docker_network *network);
void docker_container_clear(struct docker_container *container);
void docker_bindings_clear(struct docker_bindings *bindings);
void docker_labels_clear(struct docker_labels *labels);
char **docker_ids_free(char **ids, size_t n);
struct docker_container *docker_containers_free(struct docker_container *containers, size_t n);

#endif
