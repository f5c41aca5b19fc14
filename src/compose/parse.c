/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "compose/compose.h"
#include "policy/label.h"
#include "policy/tree.h"
#include "policy/words.h"

#define MERGED_MAX 8 /* "<<" inside what "<<" brings */
#define WORK_MAX 400000 /* looks at something: aliases make much of little, and sprd has other things to do */
#define WORK_BYTES 64 /* of a text, for one look */

struct reader {
	const struct tree *tree;
	const char *name;
	const struct compose_options *options;
	struct compose *compose;
	json_t *root;
	size_t n_ports; /* of all services */
	size_t *work; /* looks until now; above WORK_MAX nothing is found any more */
	struct error *error;
};

static int fail(const struct reader *reader, const json_t *node, const char *format, ...) _printf_(3, 4);
static int fail(const struct reader *reader, const json_t *node, const char *format, ...)
{
	struct place place = tree_place(reader->tree, node);
	char text[700];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set(reader->error, EINVAL, "%.200s:%u:%u: %s", reader->name, place.line, place.column, text);
}

int compose_note(struct compose *compose, const char *format, ...)
{
	char **slot = ARRAY_ADD(compose->notes, compose->n_notes);
	va_list args;
	int r;

	if (!slot)
		return -ENOMEM;
	va_start(args, format);
	r = vasprintf(slot, format, args);
	va_end(args);
	if (r >= 0)
		return 0;
	compose->n_notes--;
	return -ENOMEM;
}

static int note(const struct reader *reader, const char *who, const char *format, const char *what)
{
	char shown[WORD_SHOW_MAX], text[600];

	snprintf(text, sizeof(text), format, word_show(what, shown));
	return compose_note(reader->compose, "%s%s%s", who, *who ? ": " : "", text) < 0 ? error_memory(reader->error) :
											  0;
}

static bool has_worked_enough(const struct reader *reader, size_t work)
{
	*reader->work += work;
	return *reader->work > WORK_MAX;
}

static int work_error(const struct reader *reader)
{
	return error_set(reader->error, E2BIG, "%.200s: aliases and \"<<\" make more of this file than is looked at",
			 reader->name);
}

/* A key of a mapping, or what "<<" brings of others: one, or a list of them. */
static json_t *get_merged(const struct reader *reader, const json_t *map, const char *key, unsigned depth)
{
	json_t *value = json_object_get(map, key), *merged, *one;
	size_t i;

	if (has_worked_enough(reader, 1))
		return NULL;
	if (value || depth >= MERGED_MAX)
		return value;
	merged = json_object_get(map, "<<");
	if (json_is_object(merged))
		return get_merged(reader, merged, key, depth + 1);
	json_array_foreach(merged, i, one) {
		value = json_is_object(one) ? get_merged(reader, one, key, depth + 1) : NULL;
		if (value || has_worked_enough(reader, 1))
			return value;
	}
	return NULL;
}

static json_t *get(const struct reader *reader, const json_t *map, const char *key)
{
	json_t *value = get_merged(reader, map, key, 0);

	return value && tree_is_null(reader->tree, value) ? NULL : value;
}

/* A text with its variables filled in; the caller's. */
static int text_of(const struct reader *reader, const json_t *node, char **ret)
{
	_cleanup_free_ char *filled = NULL, *unset = NULL;
	struct error error = { 0 };
	int r;

	if (!json_is_string(node))
		return fail(reader, node, "this has to be a text");
	if (has_worked_enough(reader, 1 + json_string_length(node) / WORK_BYTES))
		return work_error(reader);
	r = compose_fill(json_string_value(node), reader->options->variables, &filled, &unset, &error);
	if (r == -ENOMEM)
		return error_memory(reader->error);
	if (r < 0)
		return fail(reader, node, "%s", error.text);
	if (unset) {
		struct place place = tree_place(reader->tree, node);

		if (compose_note(reader->compose, "line %u: the variable %s is not set: taken for nothing", place.line,
				 unset) < 0)
			return error_memory(reader->error);
	}
	*ret = TAKE_PTR(filled);
	return 0;
}

static int flag_of(const struct reader *reader, const json_t *node, bool *ret)
{
	static const char *const words[] = { "false", "no", "off", "n", "true", "yes", "on", "y" };
	_cleanup_free_ char *text = NULL;
	int r = node ? text_of(reader, node, &text) : 0;

	if (!node || r < 0)
		return r;
	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcasecmp(words[i], text) == 0) {
			*ret = i >= ELEMENTSOF(words) / 2;
			return 0;
		}
	return fail(reader, node, "this has to be true or false");
}

static int optional_text(const struct reader *reader, const json_t *map, const char *key, char **ret)
{
	json_t *node = get(reader, map, key);

	return node ? text_of(reader, node, ret) : 0;
}

/* Networks */

static int read_subnets(const struct reader *reader, const json_t *entry, struct compose_network *network)
{
	json_t *ipam = get(reader, entry, "ipam"), *configs = json_is_object(ipam) ? get(reader, ipam, "config") : NULL;
	json_t *config;
	size_t i;

	json_array_foreach(configs, i, config) {
		_cleanup_free_ char *text = NULL;
		struct prefix *slot, subnet;
		json_t *node = json_is_object(config) ? get(reader, config, "subnet") : NULL;
		int r = node ? text_of(reader, node, &text) : 0;

		if (!node)
			continue;
		if (r < 0)
			return r;
		if (prefix_parse(text, &subnet) < 0)
			return fail(reader, node, "this has to be a subnet, such as 172.30.0.0/24");
		subnet.addr = prefix_range(&subnet).first;
		slot = ARRAY_ADD(network->subnets, network->n_subnets);
		if (!slot)
			return error_memory(reader->error);
		*slot = subnet;
	}
	return 0;
}

/* "external: true", or as older files have it with the name below. */
static int read_external(const struct reader *reader, const json_t *entry, struct compose_network *network)
{
	json_t *node = get(reader, entry, "external");

	if (!json_is_object(node))
		return flag_of(reader, node, &network->external);
	network->external = true;
	return network->name ? 0 : optional_text(reader, node, "name", &network->name);
}

static int read_network(const struct reader *reader, const json_t *entry, struct compose_network *network)
{
	json_t *options = get(reader, entry, "driver_opts");
	json_t *icc = json_is_object(options) ? get(reader, options, "com.docker.network.bridge.enable_icc") : NULL;
	int r = optional_text(reader, entry, "name", &network->name);

	if (r >= 0)
		r = optional_text(reader, entry, "driver", &network->driver);
	if (r >= 0)
		r = read_external(reader, entry, network);
	if (r >= 0)
		r = flag_of(reader, get(reader, entry, "internal"), &network->internal);
	if (r >= 0)
		r = flag_of(reader, icc, &network->icc);
	return r < 0 ? r : read_subnets(reader, entry, network);
}

static int name_network(const struct reader *reader, struct compose_network *network)
{
	if (network->name && *network->name)
		return 0;
	free(network->name);
	network->name = NULL;
	if (network->external)
		network->name = strdup(network->key);
	else if (asprintf(&network->name, "%s_%s", reader->compose->project, network->key) < 0)
		network->name = NULL;
	return network->name ? 0 : error_memory(reader->error);
}

/* The index of a network by its key; it is read when a service first names it. */
static int use_network(const struct reader *reader, const char *key, const json_t *where, size_t *ret)
{
	struct compose *compose = reader->compose;
	json_t *networks = get(reader, reader->root, "networks");
	json_t *entry = json_is_object(networks) ? get_merged(reader, networks, key, 0) : NULL;
	struct compose_network *network;
	char shown[WORD_SHOW_MAX];
	int r = 0;

	for (size_t i = 0; i < compose->n_networks; i++)
		if (strcmp(compose->networks[i].key, key) == 0) {
			*ret = i;
			return 0;
		}
	if (!entry && strcmp(key, "default") != 0)
		return fail(reader, where, "there is no network '%s' below networks: add it there",
			    word_show(key, shown));
	if (compose->n_networks >= COMPOSE_NETWORKS_MAX)
		return fail(reader, where, "more than %d networks", COMPOSE_NETWORKS_MAX);
	network = ARRAY_ADD(compose->networks, compose->n_networks);
	if (!network)
		return error_memory(reader->error);
	network->icc = true;
	network->key = strdup(key);
	if (!network->key)
		return error_memory(reader->error);
	if (entry && !tree_is_null(reader->tree, entry)) {
		if (!json_is_object(entry))
			return fail(reader, entry, "a network has to be a mapping");
		r = read_network(reader, entry, network);
	}
	if (r >= 0)
		r = name_network(reader, network);
	*ret = compose->n_networks - 1;
	return r;
}

static int join_network(const struct reader *reader, struct compose_service *service, const char *key,
			const json_t *where)
{
	size_t index = 0, *slot;
	int r = use_network(reader, key, where, &index);

	if (r < 0)
		return r;
	if (has_worked_enough(reader, 1 + reader->compose->n_networks + service->n_networks))
		return work_error(reader);
	for (size_t i = 0; i < service->n_networks; i++)
		if (service->networks[i] == index)
			return 0;
	slot = ARRAY_ADD(service->networks, service->n_networks);
	if (!slot)
		return error_memory(reader->error);
	*slot = index;
	return 0;
}

/* A list of keys, or a mapping from them. */
static int join_networks(struct reader *reader, struct compose_service *service, const json_t *node, unsigned depth)
{
	const char *key;
	json_t *item;
	size_t i;
	int r = 0;

	if (!json_is_array(node) && !json_is_object(node))
		return fail(reader, node, "networks has to be a list or a mapping");
	json_array_foreach((json_t *)node, i, item) {
		_cleanup_free_ char *text = NULL;

		r = text_of(reader, item, &text);
		if (r >= 0)
			r = join_network(reader, service, text, item);
		if (r < 0)
			return r;
	}
	json_object_foreach((json_t *)node, key, item) {
		if (strcmp(key, "<<") == 0)
			r = json_is_object(item) && depth < MERGED_MAX ?
				    join_networks(reader, service, item, depth + 1) :
				    0;
		else
			r = join_network(reader, service, key, node);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_networks(struct reader *reader, struct compose_service *service, const json_t *node)
{
	return join_networks(reader, service, node, 0);
}

/* Ports */

static int add_ports(struct reader *reader, struct compose_service *service, const json_t *node, const char *text)
{
	size_t before = service->n_ports;
	struct error error = { 0 };
	int r = compose_ports_parse(text, tree_place(reader->tree, node), &service->ports, &service->n_ports, &error);

	if (r == -ENOMEM)
		return error_memory(reader->error);
	if (r < 0)
		return fail(reader, node, "%s", error.text);
	reader->n_ports += service->n_ports - before;
	if (reader->n_ports > COMPOSE_PORTS_MAX)
		return fail(reader, node, "more than %d ports are published", COMPOSE_PORTS_MAX);
	return 0;
}

/* The long form says the same as the short one, with names. */
static int read_long_port(struct reader *reader, struct compose_service *service, const json_t *node)
{
	static const char *const keys[] = {
		"target", "published", "host_ip", "protocol", "mode", "name", "app_protocol"
	};
	char *values[ELEMENTSOF(keys)] = { 0 };
	_cleanup_free_ char *text = NULL;
	json_t *item;
	const char *key;
	int r = 0;

	json_object_foreach((json_t *)node, key, item) {
		int index = strcmp(key, "<<") == 0 ?
				    0 :
				    word_index(key, "key of a port", keys, ELEMENTSOF(keys), reader->error);

		if (index < 0)
			return fail(reader, item, "%s", reader->error->text);
	}
	for (size_t i = 0; i < ELEMENTSOF(keys) && r >= 0; i++)
		r = optional_text(reader, node, keys[i], &values[i]);
	if (r >= 0 && !values[0])
		r = fail(reader, node, "a port needs a target: the container's port");
	if (r >= 0 && asprintf(&text, "%s%s%s%s%s%s%s%s%s", values[2] && strchr(values[2], ':') ? "[" : "",
			       values[2] ? values[2] : "", values[2] && strchr(values[2], ':') ? "]" : "",
			       values[2] ? ":" : "", values[1] ? values[1] : "", values[1] || values[2] ? ":" : "",
			       values[0], values[3] ? "/" : "", values[3] ? values[3] : "") < 0) {
		text = NULL;
		r = error_memory(reader->error);
	}
	if (r >= 0)
		r = add_ports(reader, service, node, text);
	for (size_t i = 0; i < ELEMENTSOF(keys); i++)
		free(values[i]);
	return r;
}

static int read_ports(struct reader *reader, struct compose_service *service, const json_t *node)
{
	json_t *item;
	size_t i;

	if (!json_is_array(node))
		return fail(reader, node, "ports has to be a list");
	json_array_foreach((json_t *)node, i, item) {
		_cleanup_free_ char *text = NULL;
		int r = json_is_object(item) ? read_long_port(reader, service, item) : text_of(reader, item, &text);

		if (r >= 0 && text)
			r = add_ports(reader, service, item, text);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The rest of a service */

static int read_container_name(struct reader *reader, struct compose_service *service, const json_t *node)
{
	free(service->container);
	service->container = NULL;
	return text_of(reader, node, &service->container);
}

static int read_mode(struct reader *reader, struct compose_service *service, const json_t *node)
{
	return text_of(reader, node, &service->mode);
}

/* Comma-separated names, as COMPOSE_PROFILES has them. */
static bool is_on(const char *list, const char *profile)
{
	size_t length = strlen(profile);

	for (const char *at = list; at && *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
		size_t n = strcspn(at, ",");

		if ((n == length && strncmp(at, profile, n) == 0) || (n == 1 && *at == '*'))
			return true;
	}
	return false;
}

static int read_profiles(struct reader *reader, struct compose_service *service, const json_t *node)
{
	const struct compose_variables *variables = reader->options->variables;
	const char *on = variables->find("COMPOSE_PROFILES", variables->data);
	json_t *item;
	size_t i;

	service->off = json_array_size(node) > 0;
	json_array_foreach((json_t *)node, i, item) {
		_cleanup_free_ char *text = NULL;
		int r = text_of(reader, item, &text);

		if (r < 0)
			return r;
		service->off = service->off && !is_on(on, text);
	}
	return service->off ? note(reader, service->name, "left out: none of its profiles is on%s", "") : 0;
}

static int add_label(const struct reader *reader, struct compose_service *service, const char *key, const char *text)
{
	struct request *request;

	if (strncmp(key, LABEL_PREFIX, strlen(LABEL_PREFIX)) != 0)
		return 0;
	request = ARRAY_ADD(service->requests, service->n_requests);
	if (!request)
		return error_memory(reader->error);
	request->key = strdup(key + strlen(LABEL_PREFIX));
	request->text = strlen(text) <= LABEL_TEXT_MAX ? strdup(text) : NULL;
	return request->key && (request->text || strlen(text) > LABEL_TEXT_MAX) ? 0 : error_memory(reader->error);
}

/* A mapping, or a list of "key=value". */
static int read_labels(struct reader *reader, struct compose_service *service, const json_t *node)
{
	const char *key;
	json_t *item;
	size_t i;
	int r = 0;

	json_object_foreach((json_t *)node, key, item) {
		_cleanup_free_ char *text = NULL;

		if (has_worked_enough(reader, 1))
			return work_error(reader);
		if (strncmp(key, LABEL_PREFIX, strlen(LABEL_PREFIX)) != 0)
			continue;
		r = text_of(reader, item, &text);
		if (r < 0 || !text)
			return r;
		r = add_label(reader, service, key, text);
		if (r < 0)
			return r;
	}
	json_array_foreach((json_t *)node, i, item) {
		_cleanup_free_ char *text = NULL;
		char *equals;

		if (has_worked_enough(reader, 1))
			return work_error(reader);
		if (strncmp(json_is_string(item) ? json_string_value(item) : "", LABEL_PREFIX, strlen(LABEL_PREFIX)) !=
		    0)
			continue;
		r = text_of(reader, item, &text);
		if (r < 0 || !text)
			return r;
		equals = strchr(text, '=');
		if (equals)
			*equals = '\0';
		r = add_label(reader, service, text, equals ? equals + 1 : "");
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_scale(struct reader *reader, struct compose_service *service, const json_t *node)
{
	_cleanup_free_ char *text = NULL;
	json_t *replicas = json_is_object(node) ? get(reader, node, "replicas") : (json_t *)node;
	int r = replicas ? text_of(reader, replicas, &text) : 0;

	if (r < 0 || !text || strcmp(text, "1") == 0)
		return r;
	return note(reader, service->name, "%s containers of it: the first is looked at, the others are like it", text);
}

static int say_extends(struct reader *reader, struct compose_service *service, const json_t *node)
{
	(void)node;
	return note(reader, service->name, "extends is not followed: ports and networks of there are missing here%s",
		    "");
}

static int say_provider(struct reader *reader, struct compose_service *service, const json_t *node)
{
	(void)node;
	service->off = true;
	return note(reader, service->name, "left out: it is run by a provider, not as a container%s", "");
}

/* What matters of a service; the rest says nothing about who reaches it. */
static const struct {
	const char *key;
	int (*read)(struct reader *reader, struct compose_service *service, const json_t *node);
} fields[] = {
	{ "container_name", read_container_name },
	{ "network_mode", read_mode },
	{ "networks", read_networks },
	{ "ports", read_ports },
	{ "profiles", read_profiles },
	{ "labels", read_labels },
	{ "scale", read_scale },
	{ "deploy", read_scale },
	{ "extends", say_extends },
	{ "provider", say_provider },
};

static int finish_service(struct reader *reader, struct compose_service *service, const json_t *node)
{
	if (!service->container &&
	    asprintf(&service->container, "%s-%s-1", reader->compose->project, service->name) < 0) {
		service->container = NULL;
		return error_memory(reader->error);
	}
	if (service->mode && service->n_networks)
		return fail(reader, node, "network_mode and networks cannot both be said");
	if (service->mode || service->n_networks)
		return 0;
	return join_network(reader, service, "default", node);
}

static int read_service(struct reader *reader, const char *name, json_t *node)
{
	struct compose *compose = reader->compose;
	struct compose_service *service;
	int r = 0;

	if (!json_is_object(node))
		return fail(reader, node, "a service has to be a mapping");
	if (compose->n_services >= COMPOSE_SERVICES_MAX)
		return fail(reader, node, "more than %d services", COMPOSE_SERVICES_MAX);
	service = ARRAY_ADD(compose->services, compose->n_services);
	if (!service)
		return error_memory(reader->error);
	service->place = tree_key_place(reader->tree, node);
	service->name = strdup(name);
	if (!service->name)
		return error_memory(reader->error);
	for (size_t i = 0; i < ELEMENTSOF(fields) && r >= 0; i++) {
		json_t *value = get(reader, node, fields[i].key);

		if (value)
			r = fields[i].read(reader, service, value);
	}
	return r < 0 ? r : finish_service(reader, service, node);
}

/* What an engine takes for a name, so that it can stand in a policy. */
static bool is_name(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return isalnum((unsigned char)*text) && !text[n] && n <= 200;
}

static int read_services(struct reader *reader)
{
	json_t *services = get(reader, reader->root, "services"), *item;
	const char *name;
	int r = 0;

	if (!services)
		return fail(reader, reader->root, "there are no services here: is it a compose file?");
	if (!json_is_object(services))
		return fail(reader, services, "services has to be a mapping");
	json_object_foreach(services, name, item) {
		char shown[WORD_SHOW_MAX];

		if (strcmp(name, "<<") == 0 || strncmp(name, "x-", 2) == 0)
			continue;
		if (!is_name(name))
			return fail(reader, item, "'%s' is no name of a service", word_show(name, shown));
		r = read_service(reader, name, item);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Lower case, and of letters, digits, '-' and '_' only, as compose makes it of a folder's name. */
static char *project_of(const char *folder)
{
	char *name = calloc(1, strlen(folder) + 1);
	size_t n = 0;

	for (const char *c = folder; name && *c; c++) {
		char lower = (char)tolower((unsigned char)*c);

		if (isalnum((unsigned char)lower) || (n > 0 && (lower == '-' || lower == '_')))
			name[n++] = lower;
	}
	return name;
}

static int read_project(struct reader *reader)
{
	const char *given = reader->options->project, *folder = reader->options->folder;
	json_t *node = given ? NULL : get(reader, reader->root, "name");
	_cleanup_free_ char *name = NULL, *same = NULL;
	int r = node ? text_of(reader, node, &name) : 0;

	if (r < 0)
		return r;
	if (!node)
		name = given ? strdup(given) : project_of(folder ? folder : "");
	same = name ? project_of(name) : NULL;
	if (!same)
		return error_memory(reader->error);
	if (!*name && !node)
		return error_set(reader->error, EINVAL, "%.200s: the project has no name: give it one with --project",
				 reader->name);
	if (strcmp(same, name) != 0 || !*name)
		return fail(reader, node ? node : reader->root,
			    "'%.60s' is no name of a project: lower case letters, digits, '-' and '_'", name);
	reader->compose->project = TAKE_PTR(name);
	return 0;
}

/* Keys of the file itself: those that say nothing about networks, and those that do and are not followed. */
static int check_keys(const struct reader *reader)
{
	static const char *const known[] = { "version", "name",	   "services", "networks",
					     "volumes", "configs", "secrets",  "<<" };
	const char *key;
	json_t *item;
	int r = 0;

	json_object_foreach(reader->root, key, item) {
		bool found = strncmp(key, "x-", 2) == 0;

		for (size_t i = 0; i < ELEMENTSOF(known); i++)
			found = found || strcmp(key, known[i]) == 0;
		if (strcmp(key, "include") == 0)
			r = note(reader, "", "include is not followed: services of other files are missing here%s", "");
		else if (!found)
			r = note(reader, "", "'%s' is not understood, and left out", key);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_file(struct reader *reader)
{
	int r;

	reader->root = tree_root(reader->tree);
	if (!json_is_object(reader->root))
		return error_set(reader->error, EINVAL, "%.200s:1:1: a compose file is a mapping with services",
				 reader->name);
	r = check_keys(reader);
	if (r >= 0)
		r = read_project(reader);
	return r < 0 ? r : read_services(reader);
}

int compose_parse(const char *text, size_t length, const char *name, const struct compose_options *options,
		  struct compose **ret, struct error *error)
{
	_cleanup_(compose_freep) struct compose *compose = calloc(1, sizeof(*compose));
	_cleanup_(tree_freep) struct tree *tree = NULL;
	struct error own = { 0 };
	size_t work = 0;
	struct reader reader = {
		.name = name, .options = options, .compose = compose, .work = &work, .error = error ? error : &own
	};
	int r;

	if (!compose)
		return error_memory(error);
	if (length > COMPOSE_TEXT_MAX)
		return error_set(reader.error, E2BIG, "%.200s: the file has %zu bytes; at most %u are read", name,
				 length, COMPOSE_TEXT_MAX);
	r = tree_parse_aliases(text, length, name, &tree, reader.error);
	reader.tree = tree;
	if (r >= 0)
		r = read_file(&reader);
	if (work > WORK_MAX && r != -ENOMEM) /* what was not found may be there */
		return work_error(&reader);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(compose);
	return 0;
}

static void service_clear(struct compose_service *service)
{
	free(service->name);
	free(service->container);
	free(service->mode);
	free(service->networks);
	free(service->ports);
	requests_free(service->requests, service->n_requests);
}

struct compose *compose_free(struct compose *compose)
{
	if (!compose)
		return NULL;
	for (size_t i = 0; i < compose->n_services; i++)
		service_clear(&compose->services[i]);
	for (size_t i = 0; i < compose->n_networks; i++) {
		free(compose->networks[i].key);
		free(compose->networks[i].name);
		free(compose->networks[i].driver);
		free(compose->networks[i].subnets);
	}
	for (size_t i = 0; i < compose->n_notes; i++)
		free(compose->notes[i]);
	free(compose->services);
	free(compose->networks);
	free(compose->notes);
	free(compose->project);
	free(compose);
	return NULL;
}
