/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"
#include "policy/nearest.h"

static const char *const things[] = { "containers", "networks", "interfaces", "groups", "rules", "flows" };

int list_build(const struct command *command, json_t *request, struct error *error)
{
	const char *word = command->words[0], *near;

	for (size_t i = 0; i < ELEMENTSOF(things); i++)
		if (strcmp(word, things[i]) == 0)
			return request_set_text(request, "what", word, error);
	near = nearest(word, things, ELEMENTSOF(things));
	if (near)
		return error_set(error, EINVAL, "spr cannot list '%s': did you mean '%s'?", word, near);
	return error_set(error, EINVAL, "spr cannot list '%s'", word);
}

void list_show(const struct command *command, const json_t *result)
{
	const json_t *rows = json_object_get(result, "rows");

	if (json_array_size(rows) == 0)
		fprintf(stderr, "no %s\n", command->words[0]);
	else
		print_table(json_object_get(result, "columns"), rows);
}
