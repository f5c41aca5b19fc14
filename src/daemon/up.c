/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "base/array.h"
#include "daemon/daemon.h"

static bool is_said(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_interfaces; i++)
		if (strcmp(policy->interfaces[i].name, name) == 0)
			return true;
	return false;
}

/* A bridge of an engine that has not told of its networks yet must not be taken for one of the machine's own. */
static bool may_be_engine_bridge(const struct daemon *daemon, const struct interface *interface)
{
	static const char *const others[] = { "virbr", "lxcbr", "lxdbr", "incusbr" }; /* libvirt, LXC, LXD, Incus */
	static const char *const engines[] = { "br-", "docker", "podman", "cni", "spr-" };
	bool connected = daemon->engine && engine_state(daemon->engine) == ENGINE_CONNECTED;

	if (strcmp(interface->kind, "bridge") != 0)
		return false;
	for (size_t i = 0; i < ELEMENTSOF(engines); i++)
		if (strncmp(interface->name, engines[i], strlen(engines[i])) == 0)
			return true;
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		if (strncmp(interface->name, others[i], strlen(others[i])) == 0)
			return false;
	return !connected;
}

/*
 * At the first `up` the interfaces that are there get the role they have: what works on them goes on. What comes later
 * is closed until it is given one.
 */
static int name_interfaces(const struct daemon *daemon, struct policy *policy)
{
	const struct model *model = daemon->model;

	for (size_t i = 0; i < model->n_roles; i++) {
		const struct interface_role *role = &model->roles[i];
		struct interface_entry *entry;

		if (role->role == ROLE_CONTAINER || is_said(policy, role->interface->name) ||
		    (role->role == ROLE_NONE && may_be_engine_bridge(daemon, role->interface)))
			continue;
		entry = ARRAY_ADD(policy->interfaces, policy->n_interfaces);
		if (!entry)
			return -ENOMEM;
		entry->name = strdup(role->interface->name);
		if (!entry->name)
			return -ENOMEM;
		entry->role = role->role == ROLE_NONE ? ROLE_OTHER : role->role;
	}
	return 0;
}

static json_t *found(const struct daemon *daemon)
{
	json_t *list = json_array();
	size_t n_running = 0;

	for (size_t i = 0; i < daemon->model->n_roles; i++) {
		const struct interface_role *role = &daemon->model->roles[i];

		if (role->role == ROLE_CONTAINER)
			sentence_add(list, "%s: network %s", role->interface->name, role->network->name);
		else
			sentence_add(list, "%s: %s", role->interface->name,
				     role->role == ROLE_NONE ? "no role yet, closed" : role_name(role->role));
	}
	for (size_t i = 0; i < daemon->inventory->n_containers; i++)
		n_running += daemon->inventory->containers[i].running;
	if (!daemon->engine || engine_state(daemon->engine) != ENGINE_CONNECTED)
		sentence_add(list, "no Docker now: waiting for one at %s",
			     daemon->engine ? engine_socket(daemon->engine) : "its socket");
	else
		sentence_add(list, "Docker %s with %zu networks and %zu running containers",
			     engine_version(daemon->engine), daemon->inventory->n_networks, n_running);
	return list;
}

static json_t *closed(const struct daemon *daemon)
{
	json_t *list = json_array();

	sentence_add(list, "containers are reached by nobody but this machine and their own network");
	sentence_add(
		list,
		"containers reach the internet and the resolver, and nothing private: no LAN, no upstream network, no service of this machine");
	sentence_add(list, "the addresses of other interfaces, 127.0.0.0/8 and forged sources from outside");
	if (daemon->model->router)
		sentence_add(list, "this machine and the way through it, but for what the policy says");
	return list;
}

static json_t *left_alone(const struct daemon *daemon)
{
	json_t *list = json_array();

	if (daemon->model->router)
		return list;
	for (size_t i = 0; i < daemon->model->n_roles; i++) {
		enum role role = daemon->model->roles[i].role;

		if (role == ROLE_UPLINK || role == ROLE_OTHER)
			sentence_add(
				list,
				"what comes to this machine by %s, and what passes between such interfaces: its own rules decide",
				daemon->model->roles[i].interface->name);
	}
	return list;
}

/* A published port that everybody could reach before, and now only who is granted it. */
static bool is_open_to_someone(const struct daemon *daemon, const struct port_front *front)
{
	for (size_t i = 0; i < daemon->model->n_classes; i++) {
		const struct right *right = front_right(daemon->model, (uint32_t)i, front->front);

		if (!daemon->model->classes[i].container && right && !right->deny)
			return true;
	}
	return false;
}

static json_t *closed_ports(const struct daemon *daemon)
{
	json_t *list = json_array();

	for (size_t i = 0; i < daemon->model->n_port_fronts; i++) {
		const struct port_front *front = &daemon->model->port_fronts[i];
		char bind[ADDR_TEXT_MAX], proto[16], port[32], line[600];

		if (front->front == FRONT_NOBODY || addr_is_loopback(&front->binding.host) ||
		    is_open_to_someone(daemon, front))
			continue;
		snprintf(port, sizeof(port), "%u/%s", front->binding.host_port,
			 proto_name(front->binding.proto, proto));
		snprintf(line, sizeof(line), "spr publish %s --port %s --to %s", front->container->name, port,
			 daemon->model->router ? "lan,internet" : "lan,upstream,internet");
		json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:s}", "container",
						      json_text(front->container->name), "port", port, "bind",
						      addr_text(&front->binding.host, bind), "line", line));
	}
	return list;
}

static json_t *next_steps(const struct daemon *daemon)
{
	json_t *list = json_array();

	sentence_add(list, "spr status: what is enforced, and what is not");
	sentence_add(list, "spr log -f: what is dropped, and why");
	sentence_add(list, "spr join CONTAINER GROUP: members of a group reach each other");
	for (size_t i = 0; i < daemon->model->n_roles; i++)
		if (daemon->model->roles[i].role == ROLE_NONE)
			sentence_add(list, "spr role %s lan|uplink|overlay|other: until then it is closed",
				     daemon->model->roles[i].interface->name);
	return list;
}

static json_t *describe_state(const struct daemon *daemon, bool changed)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "changed", changed, "found", found(daemon), "closed",
			 closed(daemon), "ports", closed_ports(daemon), "left_alone", left_alone(daemon), "next",
			 next_steps(daemon));
}

static json_t *describe_up(const struct daemon *daemon)
{
	return describe_state(daemon, true);
}

CALL(call_up)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_json_ json_t *reviewed = NULL;
	bool dry = argument_flag(arguments, "dry_run") && !daemon->active;
	int r;

	if (!daemon->active) {
		policy = policy_copy(daemon->policy);
		/* where the policy is kept in a file, it says what it says */
		if (!policy || (!daemon->options.policy_file && name_interfaces(daemon, policy) < 0))
			return error_memory(error);
		r = daemon_change_up(request, TAKE_PTR(policy), arguments, describe_up, dry ? &reviewed : ret_result,
				     error);
		if (r < 0 || !dry)
			return r;
	}
	*ret_result = describe_state(daemon, false);
	json_object_set_new(*ret_result, "dry_run", json_boolean(dry));
	if (json_object_get(reviewed, "trial") &&
	    json_object_set(*ret_result, "trial", json_object_get(reviewed, "trial")) < 0)
		return error_memory(error);
	return *ret_result ? 0 : error_set(error, ENOMEM, "it is up; there is not enough memory for the answer");
}
