/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "api/message.h"
#include "api/server.h"
#include "daemon/daemon.h"

static const char *interface_name(const struct daemon *daemon, unsigned index)
{
	const struct interface *interface = index ? inventory_interface(daemon->inventory, index) : NULL;

	return interface ? interface->name : "";
}

/* The name as it is at this moment: the address may be somebody else's later. */
static json_t *name_of(const struct daemon *daemon, const char *interface, const struct addr *addr)
{
	const struct location *location = model_location(daemon->model, interface, addr);
	_cleanup_free_ char *name = location_name(daemon->model, location, addr);

	return json_text(name ? name : "");
}

static json_t *text_of(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return json_string(addr_text(addr, text));
}

static json_t *drop_to_json(const struct daemon *daemon, const struct drop *drop)
{
	const char *in = interface_name(daemon, drop->in), *out = interface_name(daemon, drop->out);
	double time = (double)drop->time.tv_sec + (double)drop->time.tv_nsec / 1e9;
	char proto[16];
	json_t *event = json_pack("{s:f, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:s?}", "time", time, "reason",
				  drop->reason, "from", name_of(daemon, in, &drop->from), "from_addr",
				  text_of(&drop->from), "to", name_of(daemon, out, &drop->to), "to_addr",
				  text_of(&drop->to), "proto", proto_name(drop->proto, proto), "in", in, "out",
				  out[0] ? out : NULL);

	if (event && drop->has_ports) {
		json_object_set_new(event, "from_port", json_integer(drop->from_port));
		json_object_set_new(event, "to_port", json_integer(drop->to_port));
	}
	return event;
}

static bool names_member(const json_t *event, const char *key, const char *member)
{
	const char *name = json_string_value(json_object_get(event, key));
	const char *colon = name ? strchr(name, ':') : NULL;

	return name && (strcmp(name, member) == 0 || (colon && strcmp(colon + 1, member) == 0));
}

static bool wants(const json_t *subscription, const json_t *event)
{
	const char *member = json_string_value(json_object_get(subscription, "member"));

	if (!member)
		return true;
	if (strncmp(member, "container:", 10) == 0)
		member += 10;
	return names_member(event, "from", member) || names_member(event, "to", member) ||
	       names_member(event, "from_addr", member) || names_member(event, "to_addr", member);
}

void drop_seen(const struct drop *drop, void *data)
{
	struct daemon *daemon = data;
	size_t slot = daemon->n_recent++ % RECENT_DROPS_MAX;
	json_t *event;

	daemon_sync(daemon);
	grace_heard(daemon, drop);
	event = drop_to_json(daemon, drop);
	if (!event)
		return;
	json_decref(daemon->recent[slot]);
	daemon->recent[slot] = event;
	if (daemon->api)
		api_broadcast(daemon->api, event, wants);
}

CALL(call_log)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_json_ json_t *recent = json_array();
	size_t first = daemon->n_recent > RECENT_DROPS_MAX ? daemon->n_recent - RECENT_DROPS_MAX : 0;
	const char *member = NULL;
	int r = argument_text(arguments, "member", &member, error);

	if (r < 0)
		return r;
	for (size_t i = first; i < daemon->n_recent; i++) {
		json_t *event = daemon->recent[i % RECENT_DROPS_MAX];

		if (event && wants(arguments, event))
			json_array_append(recent, event);
	}
	*ret_result = json_pack("{s:O}", "recent", recent);
	return *ret_result ? api_request_subscribe(request, arguments) : error_memory(error);
}
