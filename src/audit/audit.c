/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "audit/audit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_private.h"
#include "base/json.h"
#include "policy/policy.h"
#include "twin/frame.h"

#define FORGET_AFTER 400 /* packets: limits that rules set to connections are not to be reached by looking */
#define NUMBER_MAX 0xffff
#define FIRST_PORT 20000

/* What is looked at, by everybody who may want something. */
static void (*const checks[])(struct audit *audit, const struct origin *origin) = {
	check_containers, check_source_routed, check_neighbours, check_published, check_forged, check_services,
	check_loopback,	  check_devices,       check_upstream,	 check_shadow,	  check_flood,
};

static void fill_frame(struct audit *audit, const struct origin *origin, const struct probe *probe, struct frame *frame)
{
	audit->number = audit->number >= NUMBER_MAX ? 1 : audit->number + 1;
	*frame = (struct frame){
		.from = probe->from ? *probe->from : origin->at[family_index(&probe->to)],
		.to = probe->to,
		.proto = probe->proto,
		.hop_limit = 64,
		.from_port = probe->from_port ? probe->from_port : (uint16_t)(FIRST_PORT + audit->number % 20000),
		.to_port = probe->port,
		.icmp_type = probe->proto == IPPROTO_ICMPV6 ? 128 : 8,
		.icmp_id = (uint16_t)audit->number,
		.tcp_flags = probe->stray ? FRAME_ACK : FRAME_SYN,
		.number = audit->number,
		.source_routed = probe->hop != NULL,
		.hop = probe->hop ? *probe->hop : (struct addr){ 0 },
	};
	memcpy(frame->from_mac, origin->mac, 6);
	if (probe->to_mac)
		memcpy(frame->to_mac, probe->to_mac, 6);
	else
		twin_interface_mac(audit->twin, origin->interface->index, frame->to_mac);
}

bool probe_try(struct audit *audit, const struct origin *origin, const struct probe *probe, struct answer *ret)
{
	struct twin_result *result = &audit->last;
	uint8_t buffer[FRAME_MAX];
	struct frame frame;

	*ret = (struct answer){ 0 };
	fill_frame(audit, origin, probe, &frame);
	if (!frame.from.family || frame.from.family != frame.to.family)
		return false;
	audit->packets++;
	if (!probe->from_port && audit->since_forgotten++ >= FORGET_AFTER) {
		twin_forget(audit->twin, NULL);
		audit->since_forgotten = 0;
	}
	if (twin_shoot(audit->twin, origin->interface->index, buffer, frame_build(&frame, buffer), result) < 0)
		return false;
	ret->local = result->local;
	if (result->n_exits > 0) {
		ret->out = inventory_interface(audit->inventory, result->exits[0].interface);
		ret->packet = result->exits[0].packet;
		if (ret->out && ret->out->master)
			ret->out = inventory_interface(audit->inventory, ret->out->master);
	}
	return ret->local || ret->out;
}

static bool has_text(const json_t *list, const char *text)
{
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
		if (strcmp(json_string_value(entry), text) == 0)
			return true;
	return false;
}

const char *origin_zone(const struct origin *origin)
{
	static const char *const zones[] = { "internet", "neighbour", "lan", "overlay", "container" };

	return zones[origin->kind];
}

json_t *packet_json(const struct origin *origin, const struct probe *probe, const char *thing)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], proto[12];
	const struct addr *source = probe->from ? probe->from : &origin->at[family_index(&probe->to)];
	json_t *packet = json_pack("{s:s, s:s, s:s, s:i, s:s*}", "from", addr_text(source, from), "to",
				   addr_text(&probe->to, to), "proto", proto_name(probe->proto, proto), "port",
				   probe->port, "note", probe->note);

	if (packet && thing)
		json_object_set_new(packet, "thing", json_text(thing));
	return packet;
}

void things_add(struct audit *audit, json_t *things, const char *thing)
{
	_cleanup_(json_decrefp) json_t *name = json_text(thing);

	if (!name || (!has_text(things, json_string_value(name)) && json_array_append(things, name) < 0))
		audit->no_memory = true;
}

void hole_proof(struct hole *hole, const struct probe *probe, const char *thing)
{
	if (!hole->packets) {
		hole->packets = json_array();
		hole->things = json_array();
	}
	if (json_array_append_new(hole->packets, packet_json(hole->origin, probe, thing)) < 0)
		hole->audit->no_memory = true;
	if (thing)
		things_add(hole->audit, hole->things, thing);
	if (!hole->story)
		accepts_keep(hole, probe, thing);
}

void add_things(char *text, size_t size, const json_t *things)
{
	size_t used = strlen(text), n = json_array_size(things);

	for (size_t i = 0; i < n; i++) {
		const char *thing = json_string_value(json_array_get(things, i));

		if (used + strlen(thing) + 24 >= size) {
			snprintf(text + used, size - used, " and %zu more", n - i);
			return;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : ": ", thing);
	}
}

void finding_add(struct audit *audit, enum severity severity, json_t *finding)
{
	if (!finding || json_array_append_new(audit->findings[severity], finding) < 0)
		audit->no_memory = true;
}

void hole_end(struct hole *hole, const char *format, ...)
{
	char text[600];
	va_list list;

	if (!hole->packets)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text) / 2, format, list);
	va_end(list);
	add_things(text, sizeof(text), hole->things);
	finding_add(hole->audit, hole->severity,
		    json_pack("{s:s, s:s, s:o, s:s, s:{s:s, s:o}, s:o, s:o}", "id", hole->id, "severity",
			      severity_name(hole->severity), "text", json_text(text), "fix", hole->fix, "from", "zone",
			      origin_zone(hole->origin), "interface", json_text(hole->origin->interface->name),
			      "things", hole->things, "packets", hole->packets));
	hole->packets = hole->things = NULL;
}

void audit_note(struct audit *audit, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list list;
	int r;

	va_start(list, format);
	r = vasprintf(&text, format, list);
	va_end(list);
	if (r < 0)
		text = NULL;
	if (!text || json_array_append_new(audit->notes, json_text(text)) < 0)
		audit->no_memory = true;
}

/* What the doctor says about settings that weaken a machine, spr or not. */
static json_t *settings_of(const struct audit *audit, const struct audit_options *options, struct error *error)
{
	static const char *const ids[] = {
		"docker-settings", "docker-raw",     "docker-networks",	 "docker-tcp",	  "docker-socket",
		"route-localnet",  "source-route",   "reverse-path",	 "redirects",	  "bridge-netfilter",
		"router-adverts",  "conntrack-room", "iptables-notrack", "iptables-both", "early-rules",
		"flowtable",	   "dhcp-client",
	};
	struct doctor doctor = { .root = "",
				 .state_folder = "/var/lib/spr",
				 .socket = "",
				 .privileged = true,
				 .status = options->status,
				 .status_error = options->status_error,
				 .inventory = audit->docker_whole ? audit->inventory : NULL,
				 .system = &doctor_system };
	json_t *settings = json_array(), *report = NULL, *finding;
	size_t i;

	if (!settings || doctor_run(&doctor, &report, error) < 0) {
		json_decref(settings);
		return NULL;
	}
	json_array_foreach(json_object_get(report, "findings"), i, finding) {
		const char *id = json_string_value(json_object_get(finding, "id"));
		const char *severity = json_string_value(json_object_get(finding, "severity"));

		for (size_t k = 0; k < ELEMENTSOF(ids); k++)
			if (strcmp(id, ids[k]) == 0 && strcmp(severity, severity_name(SEVERITY_OK)) != 0)
				json_array_append(settings, finding);
	}
	json_decref(report);
	return settings;
}

static void take_notes(struct audit *audit)
{
	const char *const *notes;
	size_t n = twin_notes(audit->twin, &notes);

	for (size_t i = 0; i < n; i++)
		audit_note(audit, "%s", notes[i]);
}

static void count(json_t *counts, const json_t *list)
{
	json_t *finding;
	size_t i;

	json_array_foreach(list, i, finding) {
		const char *severity = json_string_value(json_object_get(finding, "severity"));

		json_object_set_new(counts, severity,
				    json_integer(json_integer_value(json_object_get(counts, severity)) + 1));
	}
}

static int report_make(struct audit *audit, const struct audit_options *options, json_t **ret, struct error *error)
{
	json_t *findings = json_array(), *counts = json_object(), *settings = settings_of(audit, options, error);

	for (int i = _SEVERITY_MAX - 1; i >= 0; i--)
		json_array_extend(findings, audit->findings[i]);
	count(counts, findings);
	count(counts, settings);
	*ret = json_pack("{s:o, s:o, s:o, s:o, s:I}", "findings", findings, "settings", settings, "counts", counts,
			 "notes", json_incref(audit->notes), "packets", (json_int_t)audit->packets);
	return *ret && !audit->no_memory ? 0 : error_memory(error);
}

static int run(struct audit *audit, const struct audit_options *options, json_t **ret, struct error *error)
{
	static const struct twin_options as_it_is;
	int r = twin_open(&as_it_is, &audit->twin, error);

	audit->notes = json_array();
	for (size_t i = 0; i < _SEVERITY_MAX; i++)
		audit->findings[i] = json_array();
	if (r >= 0)
		r = world_read(audit, options, error);
	if (r < 0)
		return r;
	take_notes(audit);
	for (size_t i = 0; i < audit->n_origins; i++)
		for (size_t k = 0; k < ELEMENTSOF(checks); k++)
			checks[k](audit, &audit->origins[i]);
	r = accepts_judge(audit, error);
	return r < 0 ? r : report_make(audit, options, ret, error);
}

int audit_run(const struct audit_options *options, json_t **ret_report, struct error *error)
{
	struct audit audit = { 0 };
	json_t *report = NULL;
	int r = run(&audit, options, &report, error);

	for (size_t i = 0; i < _SEVERITY_MAX; i++)
		json_decref(audit.findings[i]);
	json_decref(audit.notes);
	accepts_clear(&audit);
	world_clear(&audit);
	twin_close(audit.twin);
	if (r < 0) {
		json_decref(report);
		return r;
	}
	*ret_report = report;
	return 0;
}
