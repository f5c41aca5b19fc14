/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"

/* What to know before it is accepted. */
static json_t *remark(const json_t *proposal)
{
	const char *refused = json_text_of(proposal, "refused"), *missing = json_text_of(proposal, "missing");

	if (*refused)
		return json_sprintf("cannot be accepted: %s", refused);
	if (strcmp(missing, json_text_of(proposal, "what")) == 0)
		return json_string("");
	return *missing ? json_sprintf("new: %s", missing) : json_string("less than it has now");
}

/* The first columns are the short ones, so that a narrow terminal cuts the last. */
static json_t *row_of(const json_t *proposal)
{
	char since[32];

	time_text(json_number_value(json_object_get(proposal, "since")), since);
	return json_pack("{s:O, s:O, s:O, s:s, s:O, s:o}", "id", json_object_get(proposal, "id"), "who",
			 json_object_get(proposal, "who"), "from", json_object_get(proposal, "from"), "since", since,
			 "asks for", json_object_get(proposal, "what"), "remark", remark(proposal));
}

void pending_show(const struct command *command, const json_t *result)
{
	_cleanup_(json_decrefp)
		json_t *columns = json_pack("[s, s, s, s, s, s]", "id", "who", "from", "since", "asks for", "remark");
	_cleanup_(json_decrefp) json_t *rows = json_array();
	json_t *proposal;
	size_t i;

	(void)command;
	json_array_foreach(json_object_get(result, "proposals"), i, proposal) {
		json_t *row = row_of(proposal);

		if (row)
			json_array_append_new(rows, row);
	}
	if (json_array_size(rows) == 0)
		fprintf(stderr, "nothing waits\n");
	else
		print_table(columns, rows);
}
