/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor/doctor.h"

#include <errno.h>
#include <string.h>

#include "api/client.h"
#include "engine/engine.h"
#include "inventory/inventory.h"
#include "cli/cli.h"
#include "cli/output.h"

#define STATUS_SECONDS 5
#define STATE_FOLDER "/var/lib/spr"

int status_ask(const char *socket, json_t **ret)
{
	_cleanup_(api_client_closep) struct api_client *client = NULL;
	_cleanup_(json_decrefp) json_t *request = json_pack("{s:s}", "call", "status");
	struct error error = { 0 };
	int r = request ? api_client_connect(socket, &client, &error) : -ENOMEM;

	if (r < 0)
		return r;
	api_client_limit(client, STATUS_SECONDS);
	return api_client_call(client, request, ret, &error);
}

/* What Docker says of its networks. Where it does not answer, that is a finding and no failure. */
static const struct inventory *ask_docker(const json_t *status, struct inventory *inventory)
{
	const char *told = json_string_value(json_object_get(json_object_get(status, "engine"), "socket"));
	const char *path = told ? told : docker_engine.socket;
	struct error error = { 0 };
	bool whole = false;

	if (!inventory || access(path, R_OK | W_OK) < 0 ||
	    engine_list(&docker_engine, path, inventory, &whole, &error) < 0)
		return NULL;
	return whole ? inventory : NULL;
}

int doctor_local(const struct command *command, json_t **ret_result, struct error *error)
{
	_cleanup_(json_decrefp) json_t *status = NULL;
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	const char *folder = command->options[OPTION_STATE_DIR];
	struct doctor doctor = { .root = "",
				 .state_folder = folder ? folder : STATE_FOLDER,
				 .socket = command->options[OPTION_SOCKET],
				 .privileged = geteuid() == 0,
				 .system = &doctor_system };

	if (folder && *folder != '/')
		return error_set(error, EINVAL, "--state-dir: '%s' does not begin with '/'", folder);
	doctor.status_error = status_ask(doctor.socket, &status);
	doctor.status = status;
	doctor.inventory = ask_docker(status, inventory);
	return doctor_run(&doctor, ret_result, error);
}

static json_int_t count_of(const json_t *result, enum severity severity)
{
	return json_integer_value(json_object_get(json_object_get(result, "counts"), severity_name(severity)));
}

static void print_finding(const json_t *finding, const char *severity)
{
	_cleanup_free_ char *id = json_cell(json_object_get(finding, "id"));
	_cleanup_free_ char *text = json_cell(json_object_get(finding, "text"));
	const char *fix = json_string_value(json_object_get(finding, "fix"));

	printf("%s: ", severity);
	print_text(stdout, text ? text : "?");
	printf(" (");
	print_text(stdout, id ? id : "?");
	printf(")\n");
	if (fix) {
		printf("  ");
		print_line(fix);
	}
}

void doctor_show(const struct command *command, const json_t *result)
{
	const char *separator = "";
	json_t *finding;
	size_t i;

	json_array_foreach(json_object_get(result, "findings"), i, finding) {
		const char *severity = json_string_value(json_object_get(finding, "severity"));

		if (severity && (command->options[OPTION_ALL] || strcmp(severity, severity_name(SEVERITY_OK)) != 0))
			print_finding(finding, severity);
	}
	for (int k = _SEVERITY_MAX - 1; k >= 0; k--) {
		json_int_t count = count_of(result, (enum severity)k);

		if (count == 0)
			continue;
		printf("%s%" JSON_INTEGER_FORMAT " %s", separator, count, severity_name((enum severity)k));
		separator = ", ";
	}
	printf("\n");
}

enum status doctor_status(const json_t *result)
{
	if (count_of(result, SEVERITY_CRITICAL) > 0)
		return STATUS_CRITICAL;
	return count_of(result, SEVERITY_WARNING) > 0 ? STATUS_WARNING : STATUS_DONE;
}
