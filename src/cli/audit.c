/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "audit/audit.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "doctor/doctor.h"

#define PACKETS_SHOWN 3

int audit_local(const struct command *command, json_t **ret_result, struct error *error)
{
	struct audit_options options = { .docker = command->options[OPTION_DOCKER] };
	_cleanup_(json_decrefp) json_t *status = NULL;

	options.status_error = status_ask(command->options[OPTION_SOCKET], &status);
	options.status = status;
	return audit_run(&options, ret_result, error);
}

static void print_packet(const json_t *packet)
{
	const char *note = json_string_value(json_object_get(packet, "note"));
	_cleanup_free_ char *from = json_cell(json_object_get(packet, "from"));
	_cleanup_free_ char *to = json_cell(json_object_get(packet, "to"));
	_cleanup_free_ char *proto = json_cell(json_object_get(packet, "proto"));
	_cleanup_free_ char *interface =
		json_cell(json_object_get(packet, "interface")); /* where the finding has none */
	json_int_t port = json_integer_value(json_object_get(packet, "port"));

	printf("  ");
	if (json_object_get(packet, "interface"))
		print_text(stdout, interface ? interface : "?");
	printf("%s%s -> %s %s", json_object_get(packet, "interface") ? ": " : "", from ? from : "?", to ? to : "?",
	       proto ? proto : "?");
	if (port)
		printf(" %" JSON_INTEGER_FORMAT, port);
	if (note)
		printf(" (%s)", note);
	printf("\n");
}

static void print_finding(const struct command *command, const json_t *finding)
{
	const json_t *packets = json_object_get(finding, "packets");
	const char *fix = json_string_value(json_object_get(finding, "fix"));
	_cleanup_free_ char *severity = json_cell(json_object_get(finding, "severity"));
	_cleanup_free_ char *text = json_cell(json_object_get(finding, "text"));
	_cleanup_free_ char *id = json_cell(json_object_get(finding, "id"));
	size_t n = json_array_size(packets);

	printf("%s: ", severity ? severity : "?");
	print_text(stdout, text ? text : "?");
	printf(" (%s)\n", id ? id : "?");
	for (size_t i = 0; i < n && (i < PACKETS_SHOWN || command->options[OPTION_ALL]); i++)
		print_packet(json_array_get(packets, i));
	if (n > PACKETS_SHOWN && !command->options[OPTION_ALL])
		printf("  and %zu more\n", n - PACKETS_SHOWN);
	if (fix) {
		printf("  to do: ");
		print_line(fix);
	}
}

static json_int_t count_of(const json_t *result, enum severity severity)
{
	return json_integer_value(json_object_get(json_object_get(result, "counts"), severity_name(severity)));
}

static void print_counts(const json_t *result)
{
	bool any = false;

	for (int i = _SEVERITY_MAX - 1; i > SEVERITY_OK; i--) {
		json_int_t count = count_of(result, (enum severity)i);

		if (count == 0)
			continue;
		printf("%s%" JSON_INTEGER_FORMAT " %s", any ? ", " : "", count, severity_name((enum severity)i));
		any = true;
	}
	printf("%s, by %" JSON_INTEGER_FORMAT " packets in a twin of this machine\n", any ? "" : "nothing found",
	       json_integer_value(json_object_get(result, "packets")));
}

void audit_show(const struct command *command, const json_t *result)
{
	json_t *finding;
	size_t i;

	if (command->options[OPTION_SARIF]) {
		_cleanup_(json_decrefp) json_t *sarif = audit_sarif(result);

		print_json(sarif, JSON_INDENT(2));
		return;
	}
	json_array_foreach(json_object_get(result, "findings"), i, finding)
		print_finding(command, finding);
	json_array_foreach(json_object_get(result, "settings"), i, finding)
		print_finding(command, finding);
	print_list("not looked at, or not as on the machine", json_object_get(result, "notes"));
	print_counts(result);
}

enum status audit_status(const json_t *result)
{
	if (count_of(result, SEVERITY_CRITICAL) > 0)
		return STATUS_CRITICAL;
	return count_of(result, SEVERITY_WARNING) > 0 ? STATUS_WARNING : STATUS_DONE;
}
