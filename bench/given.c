/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "given.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void must(int r, const struct error *error)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench: %s\n", error->text);
	exit(2);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!file || getdelim(&text, &size, '\0', file) < 0) {
		perror(path);
		exit(2);
	}
	fclose(file);
	return text;
}

struct world given_world(const char *machine, const char *yaml)
{
	_cleanup_free_ char *lines = read_file(machine), *text = read_file(yaml);
	struct world world = { .inventory = world_inventory(lines) };
	struct error error = { 0 };

	must(policy_parse(text, strlen(text), "policy", &world.policy, &error), &error);
	return world;
}
