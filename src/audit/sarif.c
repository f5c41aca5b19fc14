/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"

/* SARIF knows three levels. */
static const char *level_of(const char *severity)
{
	if (strcmp(severity, severity_name(SEVERITY_CRITICAL)) == 0)
		return "error";
	return strcmp(severity, severity_name(SEVERITY_WARNING)) == 0 ? "warning" : "note";
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A machine has no lines: the place is the interface that the packet comes by. */
static json_t *result_of(const json_t *finding)
{
	const char *interface = text_of(json_object_get(finding, "from"), "interface");
	json_t *packets = json_object_get(finding, "packets");
	json_t *result = json_pack("{s:s, s:s, s:{s:s}}", "ruleId", text_of(finding, "id"), "level",
				   level_of(text_of(finding, "severity")), "message", "text", text_of(finding, "text"));

	if (result && *interface)
		json_object_set_new(result, "locations",
				    json_pack("[{s:[{s:s, s:s}]}]", "logicalLocations", "name", interface, "kind",
					      "resource"));
	if (result && packets)
		json_object_set_new(result, "properties",
				    json_pack("{s:O, s:s}", "packets", packets, "fix", text_of(finding, "fix")));
	return result;
}

static void add_rule(json_t *rules, json_t *seen, const json_t *finding)
{
	const char *id = text_of(finding, "id"), *fix = text_of(finding, "fix");

	if (json_object_get(seen, id))
		return;
	json_object_set_new(seen, id, json_true());
	json_array_append_new(rules, json_pack("{s:s, s:{s:s}}", "id", id, "help", "text", *fix ? fix : id));
}

json_t *audit_sarif(const json_t *report)
{
	static const char *const lists[] = { "findings", "settings" };
	_cleanup_(json_decrefp) json_t *seen = json_object();
	json_t *rules = json_array(), *results = json_array(), *finding;
	size_t i;

	for (size_t k = 0; k < ELEMENTSOF(lists); k++)
		json_array_foreach(json_object_get(report, lists[k]), i, finding) {
			add_rule(rules, seen, finding);
			json_array_append_new(results, result_of(finding));
		}
	return json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:o}]}", "$schema",
			 "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs", "tool", "driver",
			 "name", "spr", "version", SPR_VERSION, "rules", rules, "results", results);
}
