/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "compose/compose.h"
#include "daemon/daemon.h"
#include "verdict/reach.h"

/*
 * What a compose file would publish to whom, before it is started: its containers and networks in a copy of the
 * inventory, and the same model and verdict() as for those that are there.
 */

#define NAMED_MAX 20 /* of those who reach one port */
#define NOTES_MAX 200

/* What is asked of the model for one service. */
struct answer {
	const struct daemon *daemon;
	const struct model *model;
	const struct compose *compose;
	const struct senders *senders;
	const struct compose_service *service;
	const struct container *container;
};

static const char *find_variable(const char *name, void *data)
{
	return json_string_value(json_object_get(data, name));
}

/* Takes the item over, NULL too; what is left out would be taken for closed. -ENOMEM. */
static int add(json_t *list, json_t *item)
{
	return json_array_append_new(list, item) < 0 ? -ENOMEM : 0;
}

static json_t *texts(char *const *list, size_t n, size_t most)
{
	_cleanup_json_ json_t *json = json_array();

	for (size_t i = 0; i < n && i < most; i++)
		if (add(json, json_text(list[i])) < 0)
			return NULL;
	return TAKE_PTR(json);
}

/* By the entry that it has, or else as a service: it lives longer than a container's name. */
static const char *line_name(const struct answer *answer, char *buffer, size_t size)
{
	const struct member *entry = container_entry(answer->model, answer->container);

	if (entry)
		snprintf(buffer, size, "%s", entry->name);
	else
		snprintf(buffer, size, "%s/%s", answer->compose->project, answer->service->name);
	return buffer;
}

static json_t *open_line(const struct answer *answer, const char *port)
{
	const char *to = answer->model->router ? "lan,internet" : "lan,upstream,internet";
	char name[500], line[700];

	line_name(answer, name, sizeof(name));
	if (port)
		snprintf(line, sizeof(line), "spr publish container:%s --port %s --to %s", name, port, to);
	else
		snprintf(line, sizeof(line), "spr publish container:%s --to %s", name, to);
	return json_text(line);
}

/* Of the bindings that a port became. */
static int find_reachers(const struct answer *answer, const struct port_binding *bindings, size_t n, struct lines *ret)
{
	const struct model *model = answer->model;
	int r = 0;

	for (size_t i = 0; i < model->n_locations; i++) {
		if (model->locations[i].container != answer->container)
			continue;
		for (size_t k = 0; k < n && r >= 0; k++)
			r = port_reachers(model, answer->senders, &model->locations[i], &bindings[k], ret);
	}
	return r;
}

/* A port that the engine chooses has a number only in the model. */
static json_t *describe_port(const struct answer *answer, const struct compose_port *port,
			     const struct port_binding *bindings, size_t n)
{
	char proto[16], number[32] = "", target[32], bind[ADDR_TEXT_MAX] = "";
	bool loopback = port->host.family && addr_is_loopback(&port->host), chosen = !port->host_port;
	struct lines reachers = { 0 };
	json_t *json = NULL;

	proto_name(port->proto, proto);
	snprintf(target, sizeof(target), "%u/%s", port->container_port, proto);
	if (port->host_last > port->host_port)
		snprintf(number, sizeof(number), "%u-%u/%s", port->host_port, port->host_last, proto);
	else if (!chosen)
		snprintf(number, sizeof(number), "%u/%s", port->host_port, proto);
	if (port->host.family)
		addr_text(&port->host, bind);
	if (find_reachers(answer, bindings, n, &reachers) >= 0)
		json = json_pack("{s:s, s:s, s:s, s:b, s:b, s:o, s:I, s:o}", "port", number, "target", target, "bind",
				 bind, "chosen", chosen, "host_only", loopback, "to",
				 texts(reachers.text, reachers.n, NAMED_MAX), "n", (json_int_t)reachers.n, "line",
				 loopback ? json_null() : open_line(answer, chosen ? NULL : number));
	lines_clear(&reachers);
	return json;
}

static json_t *describe_ports(const struct answer *answer)
{
	const struct compose_service *service = answer->service;
	const struct container *container = answer->container;
	_cleanup_json_ json_t *list = json_array();
	size_t binding = 0;

	for (size_t i = 0; i < service->n_ports && binding < container->n_ports; i++) {
		/* each port became one binding, or one of each family */
		size_t n = service->ports[i].host.family ? 1 : 2;

		if (add(list, describe_port(answer, &service->ports[i], &container->ports[binding], n)) < 0)
			return NULL;
		binding += n;
	}
	return TAKE_PTR(list);
}

static json_t *describe_networks(const struct answer *answer)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; i < answer->service->n_networks; i++) {
		const struct compose_network *network = &answer->compose->networks[answer->service->networks[i]];
		const struct network *there = inventory_network_named(answer->model->inventory, network->name);
		bool internal = there ? there->internal : network->internal;

		if (add(list, json_pack("{s:o, s:b}", "name", json_text(network->name), "internal", internal)) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

/* What it may open, by its entry, its labels or its networks. */
static int add_rights(const struct answer *answer, json_t *json)
{
	_cleanup_json_ json_t *policies = json_array(), *groups = json_array();
	unsigned bits = 0;
	int r = 0;

	for (size_t i = 0; i < answer->model->n_locations && r >= 0; i++) {
		const struct location *location = &answer->model->locations[i];
		_cleanup_free_ const char **names = NULL;
		size_t n = 0;

		if (location->container != answer->container)
			continue;
		bits |= location_policies(answer->model, location);
		if (json_array_size(groups) == 0)
			r = location_groups(answer->model, location, &names, &n);
		for (size_t k = 0; k < n && r >= 0; k++)
			r = add(groups, json_text(names[k]));
	}
	for (unsigned bit = 0; 1u << bit <= bits && r >= 0; bit++)
		if (bits & 1u << bit)
			r = add(policies, json_string(policy_bit_name((enum policy_bit)(1u << bit))));
	if (r < 0)
		return r;
	return json_object_set(json, "policies", policies) < 0 || json_object_set(json, "groups", groups) < 0 ?
		       -ENOMEM :
		       0;
}

static json_t *describe_service(const struct answer *answer)
{
	_cleanup_json_ json_t *json = json_pack("{s:o, s:o, s:s, s:o, s:o, s:b}", "service",
						json_text(answer->service->name), "container",
						json_text(answer->service->container), "mode",
						answer->service->mode ? answer->service->mode : "", "networks",
						describe_networks(answer), "ports", describe_ports(answer), "entry",
						container_entry(answer->model, answer->container) != NULL);

	return json && add_rights(answer, json) >= 0 ? TAKE_PTR(json) : NULL;
}

static json_t *describe_services(struct answer *answer)
{
	_cleanup_json_ json_t *services = json_array();

	for (size_t i = 0; i < answer->compose->n_services; i++) {
		char id[64];

		snprintf(id, sizeof(id), COMPOSE_ID "%zu", i);
		answer->service = &answer->compose->services[i];
		answer->container = inventory_container(answer->model->inventory, id);
		if (answer->container && add(services, describe_service(answer)) < 0)
			return NULL;
	}
	return TAKE_PTR(services);
}

static json_t *describe(const struct daemon *daemon, const struct model *model, const struct compose *compose)
{
	struct senders senders = { 0 };
	struct answer answer = { .daemon = daemon, .model = model, .compose = compose, .senders = &senders };
	json_t *services = senders_find(model, &senders) >= 0 ? describe_services(&answer) : NULL;
	json_t *notes = texts(compose->notes, compose->n_notes, NOTES_MAX);

	senders_clear(&senders);
	if (compose->n_notes > NOTES_MAX)
		sentence_add(notes, "and %zu more", compose->n_notes - NOTES_MAX);
	return json_pack("{s:o, s:b, s:o, s:o}", "project", json_text(compose->project), "active", daemon->active,
			 "services", services, "notes", notes);
}

static int read_file(json_t *arguments, struct compose **ret, struct error *error)
{
	json_t *text = json_object_get(arguments, "text"), *set = json_object_get(arguments, "variables");
	const struct compose_variables variables = { find_variable, set };
	struct compose_options options = { .variables = &variables };
	const char *name = "compose file";
	int r = argument_text(arguments, "name", &name, error);

	if (r >= 0)
		r = argument_text(arguments, "project", &options.project, error);
	if (r >= 0)
		r = argument_text(arguments, "folder", &options.folder, error);
	if (r < 0)
		return r;
	if (!json_is_string(text))
		return error_set(error, EINVAL, "\"text\" has to hold the compose file");
	return compose_parse(json_string_value(text), json_string_length(text), name, &options, ret, error);
}

CALL(call_compose)
{
	const struct daemon *daemon = daemon_of(request);
	_cleanup_(inventory_freep) struct inventory *inventory = NULL;
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1); /* numbers of what never will be */
	_cleanup_(compose_freep) struct compose *compose = NULL;
	_cleanup_(model_freep) struct model *model = NULL;
	int r = read_file(arguments, &compose, error);

	if (r < 0)
		return r;
	inventory = inventory_copy(daemon->inventory);
	if (!inventory || !book || compose_place(compose, inventory) < 0)
		return error_memory(error);
	r = model_new(daemon->policy, inventory, book, time(NULL), &model, error);
	if (r < 0)
		return r;
	*ret_result = describe(daemon, model, compose);
	return *ret_result ? 0 : error_memory(error);
}
