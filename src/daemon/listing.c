/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "daemon/daemon.h"
#include "verdict/changes.h"

#define FLOWS_MAX 10000

static void join(char *buffer, size_t size, const char *word)
{
	size_t used = strlen(buffer);

	snprintf(buffer + used, size - used, "%s%s", used ? " " : "", word);
}

static void policies_text(unsigned policies, char *buffer, size_t size)
{
	buffer[0] = '\0';
	for (unsigned bit = 1; bit <= POLICY_QUARANTINE; bit <<= 1)
		if (policies & bit)
			join(buffer, size, policy_bit_name((enum policy_bit)bit));
}

static void groups_text(const struct daemon *daemon, const struct location *location, char *buffer, size_t size)
{
	_cleanup_free_ const char **groups = NULL;
	size_t n = 0;

	buffer[0] = '\0';
	if (location_groups(daemon->model, location, &groups, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		join(buffer, size, groups[i]);
}

static void ports_text(const struct container *container, char *buffer, size_t size)
{
	buffer[0] = '\0';
	for (size_t i = 0; i < container->n_ports; i++) {
		const struct port_binding *port = &container->ports[i];
		char host[ADDR_TEXT_MAX], proto[16], text[100];

		snprintf(text, sizeof(text), "%s:%u->%u/%s", addr_text(&port->host, host), port->host_port,
			 port->container_port, proto_name(port->proto, proto));
		join(buffer, size, text);
	}
}

static void list_container(struct daemon *daemon, const struct container *container, json_t *rows)
{
	char addresses[500] = "", networks[500] = "", policies[100] = "", groups[500] = "", ports[2000];

	for (size_t i = 0; i < daemon->model->n_locations; i++) {
		const struct location *location = &daemon->model->locations[i];
		char address[ADDR_TEXT_MAX];

		if (location->container != container)
			continue;
		join(addresses, sizeof(addresses), addr_text(&location->range.first, address));
		if (location->range.first.family == AF_INET || !networks[0])
			join(networks, sizeof(networks), location->network->name);
		policies_text(location_policies(daemon->model, location), policies, sizeof(policies));
		groups_text(daemon, location, groups, sizeof(groups));
	}
	ports_text(container, ports, sizeof(ports));
	json_array_append_new(rows, json_pack("{s:o, s:s, s:o, s:s, s:s, s:o, s:s}", "name", json_text(container->name),
					      "state", container->running ? "running" : "stopped", "networks",
					      json_text(networks), "addresses", addresses, "policies", policies,
					      "groups", json_text(groups), "ports", ports));
}

static int list_containers(struct daemon *daemon, json_t *rows, struct error *error)
{
	for (size_t i = 0; i < daemon->inventory->n_containers; i++)
		list_container(daemon, &daemon->inventory->containers[i], rows);
	return 0;
}

static int list_networks(struct daemon *daemon, json_t *rows, struct error *error)
{
	for (size_t i = 0; i < daemon->inventory->n_networks; i++) {
		const struct network *network = &daemon->inventory->networks[i];
		const struct location like = { .network = network,
					       .entry = policy_member(daemon->policy, MEMBER_NETWORK, network->name) };
		char subnets[500] = "", policies[100], groups[500], prefix[PREFIX_TEXT_MAX];
		bool isolate = like.entry && like.entry->isolate >= 0 ? like.entry->isolate : !network->icc;

		for (size_t k = 0; k < network->n_subnets; k++)
			join(subnets, sizeof(subnets), prefix_text(&network->subnets[k], prefix));
		policies_text(network->internal ? 0 : location_policies(daemon->model, &like), policies,
			      sizeof(policies));
		groups_text(daemon, &like, groups, sizeof(groups));
		json_array_append_new(rows,
				      json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:s}", "name", json_text(network->name),
						"driver", network->driver, "bridge", network->bridge, "subnets",
						subnets, "policies", policies, "groups", json_text(groups), "kind",
						network->internal ? "internal" :
						isolate		  ? "isolated" :
								    ""));
	}
	return 0;
}

static int list_interfaces(struct daemon *daemon, json_t *rows, struct error *error)
{
	for (size_t i = 0; i < daemon->model->n_roles; i++) {
		const struct interface_role *role = &daemon->model->roles[i];
		char addresses[1000] = "", prefix[PREFIX_TEXT_MAX];

		for (size_t k = 0; k < role->interface->n_addresses; k++)
			join(addresses, sizeof(addresses), prefix_text(&role->interface->addresses[k], prefix));
		json_array_append_new(rows,
				      json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", role->interface->name, "role",
						role->role == ROLE_NONE ? "none: closed" : role_name(role->role),
						"state", role->interface->up ? "up" : "down", "addresses", addresses,
						"network", json_text(role->network ? role->network->name : "")));
	}
	return 0;
}

/* A name and how often: a service on two networks is one member. */
static void add_member(json_t *members, const struct location *location)
{
	_cleanup_free_ char *label = location_label(location);

	if (label)
		json_object_set_new(members, label, json_true());
}

static int list_groups(struct daemon *daemon, json_t *rows, struct error *error)
{
	for (size_t i = 0; i < daemon->policy->n_groups; i++) {
		const struct selector selector = { .kind = SELECT_GROUP, .name = daemon->policy->groups[i].name };
		_cleanup_json_ json_t *members = json_object();
		char text[4000] = "";
		const char *name;
		json_t *value;

		for (size_t k = 0; k < daemon->model->n_locations; k++)
			if (selector_fits(daemon->model, &selector, &daemon->model->locations[k], false))
				add_member(members, &daemon->model->locations[k]);
		json_object_foreach(members, name, value)
			join(text, sizeof(text), name);
		json_array_append_new(rows, json_pack("{s:s, s:o}", "name", selector.name, "members", json_text(text)));
	}
	return 0;
}

static int list_rules(struct daemon *daemon, json_t *rows, struct error *error)
{
	for (size_t i = 0; i < daemon->policy->n_members; i++) {
		const struct member *member = &daemon->policy->members[i];
		const struct location like = { .entry = member };
		char source[2000] = "", policies[100], groups[500], route[ADDR_TEXT_MAX] = "", prefix[PREFIX_TEXT_MAX];

		if (member->kind != MEMBER_RULE)
			continue;
		for (size_t k = 0; k < member->n_source; k++)
			join(source, sizeof(source), prefix_text(&member->source[k], prefix));
		if (member->route_dst.family)
			addr_text(&member->route_dst, route);
		policies_text(member->policies, policies, sizeof(policies));
		groups_text(daemon, &like, groups, sizeof(groups));
		json_array_append_new(rows, json_pack("{s:o, s:s, s:s, s:s, s:s, s:o}", "name", json_text(member->name),
						      "interface", member->interface, "source", source, "route_dst",
						      route, "policies", policies, "groups", json_text(groups)));
	}
	return 0;
}

struct flow_list {
	struct daemon *daemon;
	json_t *rows;
};

static json_t *end_text(const struct daemon *daemon, const char *interface, const struct addr *addr, uint16_t port)
{
	_cleanup_free_ char *name = location_name(daemon->model, model_location(daemon->model, interface, addr), addr);
	_cleanup_free_ char *text = NULL;

	if (asprintf(&text, "%s:%u", name ? name : "", port) < 0)
		text = NULL;
	return json_text(text ? text : "");
}

static int list_flow(const struct flow *flow, void *data)
{
	struct flow_list *list = data;
	struct packet packet = { .in = "", .out = "" };
	char proto[16];

	if (json_array_size(list->rows) >= FLOWS_MAX)
		return -ENOBUFS;
	if (!flow_packet(list->daemon, flow, &packet))
		packet.in = "";
	json_array_append_new(list->rows,
			      json_pack("{s:s, s:o, s:o, s:s, s:s}", "proto", proto_name(flow->proto, proto), "from",
					end_text(list->daemon, packet.in, &flow->from, flow->from_port), "to",
					end_text(list->daemon, packet.out, &flow->reply_from, flow->to_port), "in",
					packet.in, "out", packet.out));
	return 0;
}

static int list_flows(struct daemon *daemon, json_t *rows, struct error *error)
{
	struct flow_list list = { daemon, rows };
	int r = conntrack_each(daemon->conntrack, list_flow, &list, error);

	return r == -ENOBUFS ? 0 : r;
}

static const struct {
	const char *what;
	const char *columns[8];
	int (*fill)(struct daemon *daemon, json_t *rows, struct error *error);
} lists[] = {
	{ "containers", { "name", "state", "networks", "addresses", "policies", "groups", "ports" }, list_containers },
	{ "networks", { "name", "driver", "bridge", "subnets", "policies", "groups", "kind" }, list_networks },
	{ "interfaces", { "name", "role", "state", "addresses", "network" }, list_interfaces },
	{ "groups", { "name", "members" }, list_groups },
	{ "rules", { "name", "interface", "source", "route_dst", "policies", "groups" }, list_rules },
	{ "flows", { "proto", "from", "to", "in", "out" }, list_flows },
};

CALL(call_list)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_json_ json_t *rows = json_array(), *columns = json_array();
	const char *what = "";
	int r = argument_text(arguments, "what", &what, error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
		if (strcmp(lists[i].what, what) != 0)
			continue;
		for (size_t k = 0; k < ELEMENTSOF(lists[i].columns) && lists[i].columns[k]; k++)
			json_array_append_new(columns, json_string(lists[i].columns[k]));
		r = lists[i].fill(daemon, rows, error);
		if (r < 0)
			return r;
		*ret_result = json_pack("{s:O, s:O}", "columns", columns, "rows", rows);
		return *ret_result ? 0 : error_memory(error);
	}
	return error_set(error, EINVAL,
			 "'%s' cannot be listed: containers, networks, interfaces, groups, rules and flows can", what);
}
