/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Docker's answers and events: the first byte says which, the rest is the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/docker_parse.h"
#include "policy/label.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
	if (!condition)
		abort();
}

static void demand_name(const char *name)
{
	demand(name && name[0] && strlen(name) <= DOCKER_NAME_MAX);
	for (; *name; name++)
		demand((unsigned char)*name >= 0x20 && *name != 0x7f);
}

static void demand_id(const char *id)
{
	demand(id && id[0] && strlen(id) <= DOCKER_ID_MAX && !strpbrk(id, "/?#% &\"\\"));
}

/* What a label says is bounded and can be shown; what it asks for, or the sentence about it, too. */
static void run_requests(const struct request *requests, size_t n)
{
	struct asked asked = { 0 };

	demand(n <= DOCKER_REQUESTS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct error error = { 0 };

		demand_name(requests[i].key);
		demand(!requests[i].text || strlen(requests[i].text) <= LABEL_TEXT_MAX);
		if (requests[i].text && requests[i].text[0])
			for (const char *at = requests[i].text; *at; at++)
				demand((unsigned char)*at >= 0x20 && *at != 0x7f);
		if (label_read(requests[i].key, requests[i].text, &asked, &error) < 0)
			demand(error.text[0]);
	}
	free(asked_print(&asked));
	asked_clear(&asked);
}

static void run_network(const char *text, size_t size)
{
	struct docker_network network, again;

	if (docker_parse_network(text, size, &network, NULL) < 0)
		return;
	demand_id(network.network.id);
	demand_name(network.network.name);
	demand_name(network.network.driver);
	demand(strlen(network.network.bridge) < IFNAMSIZ && !strpbrk(network.network.bridge, "/ \"\n"));
	for (size_t i = 0; i < network.network.n_subnets; i++)
		demand(network.network.subnets[i].length > 0);
	for (size_t i = 0; i < network.n_endpoints; i++) {
		const struct endpoint *endpoint = &network.endpoints[i];

		demand(endpoint->ip4.family || endpoint->ip6.family);
		demand(endpoint->ip4.family == 0 || endpoint->ip4.family == AF_INET);
		demand(endpoint->ip6.family == 0 || endpoint->ip6.family == AF_INET6);
		demand(endpoint->container[0] == '\0' || strlen(endpoint->container) == 64);
		demand(endpoint->name[0] == '\0' || strlen(endpoint->name) <= DOCKER_NAME_MAX);
	}
	demand(docker_parse_network(text, size, &again, NULL) == 0);
	demand(network_equal(&network.network, &again.network) && network.n_endpoints == again.n_endpoints);
	docker_network_clear(&network);
	docker_network_clear(&again);
}

static void run_containers(const char *text, size_t size)
{
	struct docker_container *containers;
	size_t n;

	if (docker_parse_containers(text, size, &containers, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct container *container = &containers[i].container;

		demand_id(container->id);
		demand_name(container->name);
		demand_name(container->image);
		if (container->project)
			demand_name(container->project);
		if (containers[i].image_id)
			demand(!strpbrk(containers[i].image_id, "/?#% &\"\\"));
		run_requests(container->requests, container->n_requests);
		demand(container->running || !container->n_ports);
		for (size_t j = 0; j < container->n_ports; j++)
			demand(container->ports[j].host.family && container->ports[j].host_port &&
			       container->ports[j].container_port);
	}
	docker_containers_free(containers, n);
}

static void run_small(uint8_t which, const char *text, size_t size)
{
	struct docker_bindings bindings;
	struct docker_labels labels;
	struct docker_event event;
	char *version, **ids;
	size_t n;

	if (which == 2 && docker_parse_event(text, size, &event, NULL) == 0 && event.action != DOCKER_OTHER)
		demand_id(event.id);
	if (which == 3 && docker_parse_networks(text, size, &ids, &n, NULL) == 0) {
		for (size_t i = 0; i < n; i++)
			demand_id(ids[i]);
		docker_ids_free(ids, n);
	}
	if (which == 5 && docker_parse_bindings(text, size, &bindings, NULL) == 0) {
		demand_id(bindings.id);
		for (size_t i = 0; i < bindings.n_ports; i++)
			demand(bindings.ports[i].host.family && bindings.ports[i].host_port &&
			       bindings.ports[i].container_port && bindings.ports[i].proto);
		docker_bindings_clear(&bindings);
	}
	if (which == 4 && docker_parse_image(text, size, &labels, NULL) == 0) {
		run_requests(labels.requests, labels.n_requests);
		docker_labels_clear(&labels);
	}
	if (which == 5 && docker_parse_version(text, size, &version, NULL) == 0) {
		demand_name(version);
		free(version);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = malloc(size); /* no NUL after it */
	demand(text != NULL);
	memcpy(text, data + 1, size - 1);
	if (data[0] % 6 == 0)
		run_network(text, size - 1);
	else if (data[0] % 6 == 1)
		run_containers(text, size - 1);
	else
		run_small(data[0] % 6, text, size - 1);
	free(text);
	return 0;
}
