/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"

static int add_number(const char *text, const char *key, json_t *request, struct error *error)
{
	char *end;
	long long number = strtoll(text, &end, 10);

	if (*end || end == text || number <= 0)
		return error_set(error, EINVAL, "'%s' is no number of a revision: `spr history` lists them", text);
	return json_object_set_new(request, key, json_integer(number)) < 0 ? error_memory(error) : 0;
}

int history_build(const struct command *command, json_t *request, struct error *error)
{
	return command->n_words ? add_number(command->words[0], "limit", request, error) : 0;
}

static json_t *row_of(const json_t *revision)
{
	json_t *comment = json_object_get(revision, "comment");
	char time[32];

	time_text(json_number_value(json_object_get(revision, "time")), time);
	return json_pack("{s:O, s:s, s:O, s:O, s:O}", "number", json_object_get(revision, "number"), "time", time,
			 "state", json_object_get(revision, "state"), "author", json_object_get(revision, "author"),
			 "change", json_is_string(comment) ? comment : json_object_get(revision, "summary"));
}

void history_show(const struct command *command, const json_t *result)
{
	_cleanup_(json_decrefp)
		json_t *columns = json_pack("[s, s, s, s, s]", "number", "time", "state", "author", "change");
	_cleanup_(json_decrefp) json_t *rows = json_array();
	json_t *revision;
	size_t i;

	json_array_foreach(json_object_get(result, "revisions"), i, revision) {
		json_t *row = row_of(revision);

		if (row)
			json_array_append_new(rows, row);
	}
	if (json_array_size(rows) == 0)
		fprintf(stderr, "nothing was changed yet\n");
	else
		print_table(columns, rows);
}

int diff_build(const struct command *command, json_t *request, struct error *error)
{
	int r = add_number(command->words[0], "from", request, error);

	return r >= 0 && command->n_words > 1 ? add_number(command->words[1], "to", request, error) : r;
}

void diff_show(const struct command *command, const json_t *result)
{
	const char *diff = json_string_value(json_object_get(result, "diff"));

	if (!diff || !*diff)
		print_line("they say the same");
	while (diff && *diff) {
		size_t length = strcspn(diff, "\n");
		_cleanup_free_ char *line = strndup(diff, length);

		print_line(line ? line : "?");
		diff += length + (diff[length] == '\n');
	}
	print_list("opens", json_object_get(result, "opens"));
	print_list("closes", json_object_get(result, "closes"));
}

int rollback_build(const struct command *command, json_t *request, struct error *error)
{
	return command->n_words ? add_number(command->words[0], "number", request, error) : 0;
}
