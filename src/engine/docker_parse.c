/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/docker_parse.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/json.h"
#include "policy/label.h"

#define ENGINE "docker"
#define SUBNETS_MAX 256
#define LABEL_PROJECT "com.docker.compose.project"
#define LABEL_SERVICE "com.docker.compose.service"

static void json_drop(json_t **json)
{
	json_decref(*json);
}
#define _cleanup_json_ _cleanup_(json_drop)

static int parse(const char *text, size_t length, json_type type, const char *what, json_t **ret, struct error *error)
{
	json_error_t where;
	json_t *json;
	int r = json_read(text, length, JSON_ALLOW_NUL, &json, &where);

	if (r == -ENOMEM)
		return error_memory(error);
	if (r < 0)
		return error_set(error, EINVAL, "%s: not JSON (line %d, column %d)", what, where.line, where.column);
	if (json_typeof(json) != type) {
		json_decref(json);
		return error_set(error, EINVAL, "%s: JSON of another form than Docker's", what);
	}
	*ret = json;
	return 0;
}

/* A string member without NUL inside, or NULL. */
static const char *get_text(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static bool id_ok(const char *id)
{
	size_t length = id ? strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") : 0;

	return length && length <= DOCKER_ID_MAX && !id[length] && id[0] != '.';
}

static bool container_id_ok(const char *id)
{
	return strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64;
}

/* The next character of valid UTF-8, as jansson hands it out. */
static unsigned next_character(const char **text)
{
	const unsigned char *at = (const unsigned char *)*text;
	unsigned size = *at < 0x80 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
	unsigned value = size == 1 ? *at : *at & (0x7fU >> size);

	for (unsigned i = 1; i < size; i++)
		value = value << 6 | (at[i] & 0x3fU);
	*text += size;
	return value;
}

/* What moves the cursor, hides or turns text round has no place in a name. */
static bool character_ok(unsigned c)
{
	return !(c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
		 (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
		 (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff));
}

static bool name_ok(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > DOCKER_NAME_MAX)
		return false;
	for (const char *at = name; *at;)
		if (!character_ok(next_character(&at)))
			return false;
	return true;
}

/* A copy of the name, or "?" in place of what is none. NULL without memory. */
static char *name_copy(const char *name)
{
	return strdup(name && name_ok(name) ? name : "?");
}

/* A label of compose: NULL where there is none, "?" where it is no name. */
static int label_copy(const json_t *labels, const char *key, char **ret)
{
	if (!json_object_get(labels, key))
		return 0;
	*ret = name_copy(get_text(labels, key));
	return *ret ? 0 : -ENOMEM;
}

static bool label_text_ok(const char *text)
{
	if (strlen(text) > LABEL_TEXT_MAX)
		return false;
	while (*text)
		if (!character_ok(next_character(&text)))
			return false;
	return true;
}

static int add_request(const char *key, const char *text, struct request **requests, size_t *n)
{
	struct request *request = ARRAY_ADD(*requests, *n);

	if (!request)
		return -ENOMEM;
	request->key = name_copy(key);
	if (text && label_text_ok(text))
		request->text = strdup(text);
	return request->key && (request->text || !text || !label_text_ok(text)) ? 0 : -ENOMEM;
}

static bool is_label_key(const char *key)
{
	for (size_t i = 0; i < n_label_keys; i++)
		if (strcmp(label_keys[i], key) == 0)
			return true;
	return false;
}

static int request_compare(const void *a, const void *b)
{
	return strcmp(((const struct request *)a)->key, ((const struct request *)b)->key);
}

/* The labels that spr knows, however many others there are; then some of those it does not: slips of the pen. */
static int get_requests(const json_t *labels, struct request **ret, size_t *ret_n)
{
	const size_t prefix = strlen(LABEL_PREFIX);
	char name[64];
	const char *key;
	json_t *value;
	int r = 0;

	for (size_t i = 0; i < n_label_keys && r >= 0; i++) {
		snprintf(name, sizeof(name), LABEL_PREFIX "%s", label_keys[i]);
		if (json_object_get(labels, name))
			r = add_request(label_keys[i], get_text(labels, name), ret, ret_n);
	}
	json_object_foreach((json_t *)labels, key, value)
		if (r >= 0 && *ret_n < DOCKER_REQUESTS_MAX && strncmp(key, LABEL_PREFIX, prefix) == 0 &&
		    !is_label_key(key + prefix))
			r = add_request(key + prefix, get_text(labels, key), ret, ret_n);
	if (r >= 0 && *ret_n > 1)
		qsort(*ret, *ret_n, sizeof(**ret), request_compare);
	return r;
}

/* As the kernel takes it (dev_valid_name() in net/core/dev.c), and printable. */
static bool interface_name_ok(const char *name)
{
	size_t length = strlen(name);

	if (!length || length >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < length; i++)
		if (name[i] <= 0x20 || name[i] >= 0x7f || strchr("/:\"*", name[i]))
			return false;
	return true;
}

static bool address_ok(const struct addr *addr)
{
	bool multicast = addr->family == AF_INET ? addr->bytes[0] >= 224 : addr->bytes[0] == 0xff;

	return !multicast && !addr_is_any(addr) && !addr_is_loopback(addr);
}

/* An address of one family with or without a prefix length. */
static bool get_address(const json_t *object, const char *key, int family, struct addr *ret)
{
	const char *text = get_text(object, key);
	struct prefix prefix;

	if (!text || prefix_parse(text, &prefix) < 0 || !address_ok(&prefix.addr))
		return false;
	if (family && prefix.addr.family != family)
		return false;
	*ret = prefix.addr;
	return true;
}

static void get_mac(const json_t *object, const char *key, uint8_t ret[6])
{
	const char *text = get_text(object, key);
	unsigned bytes[6];
	int end = 0;

	if (!text || strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17)
		return;
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5],
		   &end) != 6 ||
	    end != 17)
		return;
	for (size_t i = 0; i < 6; i++)
		ret[i] = (uint8_t)bytes[i];
}

static int get_pool(const json_t *pool, struct network *network)
{
	const char *text = get_text(pool, "Subnet");
	struct prefix subnet, *subnets;
	struct addr gateway, *gateways;

	if (network->n_subnets < SUBNETS_MAX && text && prefix_parse(text, &subnet) == 0 && subnet.length > 0) {
		subnets = ARRAY_ADD(network->subnets, network->n_subnets);
		if (!subnets)
			return -ENOMEM;
		subnet.addr = prefix_range(&subnet).first;
		*subnets = subnet;
	}
	if (network->n_gateways < SUBNETS_MAX && get_address(pool, "Gateway", 0, &gateway)) {
		gateways = ARRAY_ADD(network->gateways, network->n_gateways);
		if (!gateways)
			return -ENOMEM;
		*gateways = gateway;
	}
	return 0;
}

/* As Go's strconv.ParseBool(), which Docker uses; what is neither counts as false. */
static bool option_true(const char *text)
{
	static const char *const words[] = { "1", "t", "T", "TRUE", "true", "True" };

	for (size_t i = 0; text && i < ELEMENTSOF(words); i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

/*
 * Whether Docker gives what leaves the network by another interface the address of that interface. Where it is told
 * which address to take, only Docker knows.
 */
static bool is_masqueraded(const json_t *options)
{
	const json_t *masquerade = json_object_get(options, "com.docker.network.bridge.enable_ip_masquerade");
	const char *mode = get_text(options, "com.docker.network.bridge.gateway_mode_ipv4");

	if (masquerade && !option_true(json_string_value(masquerade)))
		return false;
	if (json_object_get(options, "com.docker.network.host_ipv4"))
		return false;
	return !mode || !*mode || strncmp(mode, "nat", strlen("nat")) == 0;
}

static enum gateway_mode get_gateway_mode(const json_t *options, const char *key)
{
	static const char *const modes[] = {
		[GATEWAY_NAT] = "nat",
		[GATEWAY_UNPROTECTED] = "nat-unprotected",
		[GATEWAY_ROUTED] = "routed",
		[GATEWAY_ISOLATED] = "isolated",
	};
	const char *mode = get_text(options, key);

	for (size_t i = 0; mode && i < ELEMENTSOF(modes); i++)
		if (strcmp(mode, modes[i]) == 0)
			return (enum gateway_mode)i;
	return GATEWAY_NAT;
}

static void get_bridge(const json_t *options, struct network *network)
{
	const char *name = get_text(options, "com.docker.network.bridge.name");

	if (strcmp(network->driver, "bridge") != 0)
		return;
	if (name && *name) {
		if (interface_name_ok(name))
			strcpy(network->bridge, name);
		return;
	}
	snprintf(network->bridge, sizeof(network->bridge), "br-%.12s", network->id);
}

static int get_network(const json_t *json, struct network *network)
{
	const json_t *options = json_object_get(json, "Options"), *pool;
	const json_t *pools = json_object_get(json_object_get(json, "IPAM"), "Config");
	const char *trusted;
	size_t i;

	network->engine = ENGINE;
	network->id = strdup(get_text(json, "Id"));
	network->name = name_copy(get_text(json, "Name"));
	network->driver = name_copy(get_text(json, "Driver"));
	if (!network->id || !network->name || !network->driver)
		return -ENOMEM;
	network->internal = json_is_true(json_object_get(json, "Internal"));
	network->icc = !json_object_get(options, "com.docker.network.bridge.enable_icc") ||
		       option_true(get_text(options, "com.docker.network.bridge.enable_icc"));
	network->masquerade = is_masqueraded(options) && !network->internal;
	network->gateway4 = get_gateway_mode(options, "com.docker.network.bridge.gateway_mode_ipv4");
	network->gateway6 = get_gateway_mode(options, "com.docker.network.bridge.gateway_mode_ipv6");
	trusted = get_text(options, "com.docker.network.bridge.trusted_host_interfaces");
	network->trusts = trusted && *trusted;
	get_bridge(options, network);
	json_array_foreach(pools, i, pool)
		if (get_pool(pool, network) < 0)
			return -ENOMEM;
	return 0;
}

static int get_endpoint(const char *key, const json_t *json, struct docker_network *network)
{
	struct endpoint endpoint = { 0 }, *slot;
	const char *name = get_text(json, "Name");
	bool has4 = get_address(json, "IPv4Address", AF_INET, &endpoint.ip4);
	bool has6 = get_address(json, "IPv6Address", AF_INET6, &endpoint.ip6);

	if ((!has4 && !has6) || network->n_endpoints >= DOCKER_THINGS_MAX)
		return 0;
	slot = ARRAY_ADD(network->endpoints, network->n_endpoints);
	if (!slot)
		return -ENOMEM;
	get_mac(json, "MacAddress", endpoint.mac);
	*slot = endpoint;
	slot->network = strdup(network->network.id);
	slot->container = strdup(container_id_ok(key) ? key : "");
	slot->name = name && *name ? name_copy(name) : strdup("");
	return slot->network && slot->container && slot->name ? 0 : -ENOMEM;
}

int docker_parse_network(const char *text, size_t length, struct docker_network *ret, struct error *error)
{
	_cleanup_(docker_network_clear) struct docker_network network = { 0 };
	_cleanup_json_ json_t *json = NULL;
	json_t *endpoint;
	const char *key;
	int r;

	r = parse(text, length, JSON_OBJECT, "network", &json, error);
	if (r < 0)
		return r;
	if (!id_ok(get_text(json, "Id")))
		return error_set(error, EINVAL, "network: no Id");
	if (get_network(json, &network.network) < 0)
		return error_memory(error);
	json_object_foreach(json_object_get(json, "Containers"), key, endpoint)
		if (get_endpoint(key, endpoint, &network) < 0)
			return error_memory(error);
	*ret = network;
	memset(&network, 0, sizeof(network));
	return 0;
}

int docker_parse_networks(const char *text, size_t length, char ***ret, size_t *ret_n, struct error *error)
{
	_cleanup_json_ json_t *json = NULL;
	char **ids = NULL, **slot;
	size_t n = 0, i;
	json_t *network;
	int r;

	r = parse(text, length, JSON_ARRAY, "networks", &json, error);
	if (r < 0)
		return r;
	json_array_foreach(json, i, network) {
		if (!id_ok(get_text(network, "Id")) || n >= DOCKER_THINGS_MAX)
			continue;
		slot = ARRAY_ADD(ids, n);
		if (slot)
			*slot = strdup(get_text(network, "Id"));
		if (!slot || !*slot) {
			docker_ids_free(ids, n);
			return error_memory(error);
		}
	}
	*ret = ids;
	*ret_n = n;
	return 0;
}

static uint8_t protocol_of(const char *name)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} protocols[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "sctp", IPPROTO_SCTP } };

	for (size_t i = 0; name && i < ELEMENTSOF(protocols); i++)
		if (strcmp(name, protocols[i].name) == 0)
			return protocols[i].proto;
	return 0;
}

static uint16_t get_port(const json_t *object, const char *key)
{
	json_int_t port = json_integer_value(json_object_get(object, key));

	return port > 0 && port <= 65535 ? (uint16_t)port : 0;
}

static int add_port(struct port_binding **ports, size_t *n_ports, const struct port_binding *binding, const char *host)
{
	struct port_binding *slot, port = *binding;

	if (addr_parse(host, &port.host) < 0 || *n_ports >= DOCKER_THINGS_MAX)
		return 0;
	slot = ARRAY_ADD(*ports, *n_ports);
	if (!slot)
		return -ENOMEM;
	*slot = port;
	return 0;
}

/* No address means every one. */
static int add_host_port(struct port_binding **ports, size_t *n_ports, const struct port_binding *binding,
			 const char *host)
{
	if (host && *host)
		return add_port(ports, n_ports, binding, host);
	if (add_port(ports, n_ports, binding, "0.0.0.0") < 0)
		return -ENOMEM;
	return add_port(ports, n_ports, binding, "::");
}

/* An exposed port that is not published has no PublicPort. */
static int get_binding(const json_t *json, struct container *container)
{
	struct port_binding binding = {
		.proto = protocol_of(get_text(json, "Type")),
		.host_port = get_port(json, "PublicPort"),
		.container_port = get_port(json, "PrivatePort"),
	};
	const json_t *ip = json_object_get(json, "IP");
	const char *host = get_text(json, "IP");

	if (!binding.proto || !binding.host_port || !binding.container_port || (ip && !json_is_null(ip) && !host))
		return 0;
	return add_host_port(&container->ports, &container->n_ports, &binding, host);
}

static int binding_compare(const void *one, const void *other)
{
	const struct port_binding *a = one, *b = other;

	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (a->host_port != b->host_port)
		return a->host_port < b->host_port ? -1 : 1;
	if (a->container_port != b->container_port)
		return a->container_port < b->container_port ? -1 : 1;
	return addr_compare(&a->host, &b->host);
}

/* Docker lists them in any order; sorted, so that the same is equal. Nothing can be added afterwards. */
static void sort_ports(struct port_binding *ports, size_t *n_ports)
{
	size_t kept = 0;

	if (!*n_ports)
		return;
	qsort(ports, *n_ports, sizeof(*ports), binding_compare);
	for (size_t i = 1; i < *n_ports; i++)
		if (binding_compare(&ports[kept], &ports[i]) != 0)
			ports[++kept] = ports[i];
	*n_ports = kept + 1;
}

static int get_bindings(const json_t *ports, struct container *container)
{
	json_t *port;
	size_t i;

	json_array_foreach(ports, i, port)
		if (get_binding(port, container) < 0)
			return -ENOMEM;
	sort_ports(container->ports, &container->n_ports);
	return 0;
}

/* A port in decimal and nothing else, or 0. */
static uint16_t port_of(const char *text, size_t length)
{
	unsigned port = 0;

	if (!length || length > 5 || strspn(text, "0123456789") < length)
		return 0;
	for (size_t i = 0; i < length; i++)
		port = port * 10 + (unsigned)(text[i] - '0');
	return port <= 65535 ? (uint16_t)port : 0;
}

/* The host ports of one port of the container, "80/tcp"; none and ranges are chosen at the start. */
static int get_fixed(const char *inner, const json_t *places, struct docker_bindings *bindings)
{
	size_t length = strcspn(inner, "/"), i;
	struct port_binding binding = { .container_port = port_of(inner, length) };
	const json_t *place;

	binding.proto = protocol_of(inner[length] ? inner + length + 1 : "tcp");
	if (!binding.proto || !binding.container_port)
		return 0;
	json_array_foreach(places, i, place) {
		const json_t *ip = json_object_get(place, "HostIp");
		const char *host = get_text(place, "HostIp"), *port = get_text(place, "HostPort");

		binding.host_port = port ? port_of(port, strlen(port)) : 0;
		if (!binding.host_port || (ip && !json_is_null(ip) && !host))
			continue;
		if (add_host_port(&bindings->ports, &bindings->n_ports, &binding, host) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What has no network of its own publishes nothing, whatever it says. */
static bool mode_publishes(const char *mode)
{
	return !mode ||
	       (strcmp(mode, "host") != 0 && strcmp(mode, "none") != 0 && strncmp(mode, "container:", 10) != 0);
}

int docker_parse_bindings(const char *text, size_t length, struct docker_bindings *ret, struct error *error)
{
	_cleanup_(docker_bindings_clear) struct docker_bindings bindings = { 0 };
	_cleanup_json_ json_t *json = NULL;
	const json_t *config;
	const char *inner, *id;
	json_t *places;
	int r;

	r = parse(text, length, JSON_OBJECT, "container", &json, error);
	if (r < 0)
		return r;
	id = get_text(json, "Id");
	if (!id || !container_id_ok(id))
		return error_set(error, EINVAL, "container: no Id");
	strcpy(bindings.id, id);
	config = json_object_get(json, "HostConfig");
	if (mode_publishes(get_text(config, "NetworkMode")))
		json_object_foreach(json_object_get(config, "PortBindings"), inner, places)
			if (get_fixed(inner, places, &bindings) < 0)
				return error_memory(error);
	sort_ports(bindings.ports, &bindings.n_ports);
	*ret = bindings;
	memset(&bindings, 0, sizeof(bindings));
	return 0;
}

/* "/web", and not the "/other/alias" of a link. */
static const char *get_container_name(const json_t *names)
{
	const char *text;
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name) {
		text = json_string_value(name);
		if (text && strlen(text) == json_string_length(name) && text[0] == '/' && !strchr(text + 1, '/'))
			return text + 1;
	}
	return NULL;
}

static int get_container(const json_t *json, struct docker_container *ret)
{
	const json_t *labels = json_object_get(json, "Labels");
	const json_t *networks = json_object_get(json_object_get(json, "NetworkSettings"), "Networks");
	const char *state = get_text(json, "State"), *image_id = get_text(json, "ImageID");
	const char *mode = get_text(json_object_get(json, "HostConfig"), "NetworkMode");
	struct container *container = &ret->container;

	container->engine = ENGINE;
	container->id = strdup(get_text(json, "Id"));
	container->name = name_copy(get_container_name(json_object_get(json, "Names")));
	container->image = name_copy(get_text(json, "Image"));
	if (!container->id || !container->name || !container->image)
		return -ENOMEM;
	if (label_copy(labels, LABEL_PROJECT, &container->project) < 0 ||
	    label_copy(labels, LABEL_SERVICE, &container->service) < 0 ||
	    get_requests(labels, &container->requests, &container->n_requests) < 0)
		return -ENOMEM;
	container->created = json_integer_value(json_object_get(json, "Created"));
	if (image_id && strncmp(image_id, "sha256:", 7) == 0 && id_ok(image_id + 7)) {
		ret->image_id = strdup(image_id);
		if (!ret->image_id)
			return -ENOMEM;
	}
	container->running = state && (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0);
	container->host_network = (mode && strcmp(mode, "host") == 0) || json_object_get(networks, "host");
	return container->running ? get_bindings(json_object_get(json, "Ports"), container) : 0;
}

int docker_parse_containers(const char *text, size_t length, struct docker_container **ret, size_t *ret_n,
			    struct error *error)
{
	struct docker_container *containers = NULL, *slot;
	_cleanup_json_ json_t *json = NULL;
	size_t n = 0, i;
	json_t *container;
	int r;

	r = parse(text, length, JSON_ARRAY, "containers", &json, error);
	if (r < 0)
		return r;
	json_array_foreach(json, i, container) {
		if (!get_text(container, "Id") || !container_id_ok(get_text(container, "Id")) || n >= DOCKER_THINGS_MAX)
			continue;
		slot = ARRAY_ADD(containers, n);
		if (!slot || get_container(container, slot) < 0) {
			docker_containers_free(containers, n);
			return error_memory(error);
		}
	}
	*ret = containers;
	*ret_n = n;
	return 0;
}

int docker_parse_version(const char *text, size_t length, char **ret, struct error *error)
{
	_cleanup_json_ json_t *json = NULL;
	char *version;
	int r;

	r = parse(text, length, JSON_OBJECT, "version", &json, error);
	if (r < 0)
		return r;
	if (!get_text(json, "Version"))
		return error_set(error, EINVAL, "version: no Version");
	version = name_copy(get_text(json, "Version"));
	if (!version)
		return error_memory(error);
	*ret = version;
	return 0;
}

int docker_parse_root(const char *text, size_t length, char **ret, struct error *error)
{
	_cleanup_json_ json_t *json = NULL;
	const char *root;
	char *copy;
	int r;

	r = parse(text, length, JSON_OBJECT, "info", &json, error);
	if (r < 0)
		return r;
	root = get_text(json, "DockerRootDir");
	if (!root || root[0] != '/')
		return error_set(error, EINVAL, "info: no DockerRootDir");
	copy = strdup(root);
	if (!copy)
		return error_memory(error);
	*ret = copy;
	return 0;
}

int docker_parse_image(const char *text, size_t length, struct docker_labels *ret, struct error *error)
{
	_cleanup_(docker_labels_clear) struct docker_labels labels = { 0 };
	_cleanup_json_ json_t *json = NULL;
	const json_t *object;
	int r;

	r = parse(text, length, JSON_OBJECT, "image", &json, error);
	if (r < 0)
		return r;
	object = json_object_get(json_object_get(json, "Config"), "Labels");
	if (label_copy(object, LABEL_PROJECT, &labels.project) < 0 ||
	    label_copy(object, LABEL_SERVICE, &labels.service) < 0 ||
	    get_requests(object, &labels.requests, &labels.n_requests) < 0)
		return error_memory(error);
	*ret = labels;
	memset(&labels, 0, sizeof(labels));
	return 0;
}

static enum docker_action action_of(const char *name)
{
	static const struct {
		const char *name;
		enum docker_action action;
	} actions[] = {
		{ "create", DOCKER_CREATE },   { "connect", DOCKER_CONNECT }, { "disconnect", DOCKER_DISCONNECT },
		{ "start", DOCKER_START },     { "restart", DOCKER_START },   { "die", DOCKER_DIE },
		{ "stop", DOCKER_UPDATE },     { "rename", DOCKER_UPDATE },   { "update", DOCKER_UPDATE },
		{ "destroy", DOCKER_DESTROY }, { "remove", DOCKER_DESTROY },
	};

	for (size_t i = 0; name && i < ELEMENTSOF(actions); i++)
		if (strcmp(name, actions[i].name) == 0)
			return actions[i].action;
	return DOCKER_OTHER;
}

int docker_parse_event(const char *text, size_t length, struct docker_event *ret, struct error *error)
{
	_cleanup_json_ json_t *json = NULL;
	struct docker_event event = { 0 };
	const char *type, *id, *container;
	const json_t *actor;
	int r;

	r = parse(text, length, JSON_OBJECT, "event", &json, error);
	if (r < 0)
		return r;
	actor = json_object_get(json, "Actor");
	type = get_text(json, "Type");
	id = get_text(actor, "ID");
	container = get_text(json_object_get(actor, "Attributes"), "container");
	event.network = type && strcmp(type, "network") == 0;
	if (event.network ? id_ok(id) : type && strcmp(type, "container") == 0 && id && container_id_ok(id)) {
		event.action = action_of(get_text(json, "Action"));
		strcpy(event.id, id);
	}
	if (container && container_id_ok(container))
		strcpy(event.container, container);
	*ret = event;
	return 0;
}

void docker_network_clear(struct docker_network *network)
{
	network_clear(&network->network);
	for (size_t i = 0; i < network->n_endpoints; i++)
		endpoint_clear(&network->endpoints[i]);
	free(network->endpoints);
	memset(network, 0, sizeof(*network));
}

void docker_container_clear(struct docker_container *container)
{
	container_clear(&container->container);
	free(container->image_id);
	memset(container, 0, sizeof(*container));
}

void docker_bindings_clear(struct docker_bindings *bindings)
{
	free(bindings->ports);
	memset(bindings, 0, sizeof(*bindings));
}

void docker_labels_clear(struct docker_labels *labels)
{
	free(labels->project);
	free(labels->service);
	requests_free(labels->requests, labels->n_requests);
	memset(labels, 0, sizeof(*labels));
}

char **docker_ids_free(char **ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
	return NULL;
}

struct docker_container *docker_containers_free(struct docker_container *containers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		docker_container_clear(&containers[i]);
	free(containers);
	return NULL;
}
