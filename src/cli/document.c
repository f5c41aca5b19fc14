/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"
#include "policy/policy.h"

static int read_stream(FILE *stream, const char *name, char **ret, size_t *ret_length, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t used = 0, room = 0;

	do {
		char *grown;

		room = room ? room * 2 : 65536;
		grown = realloc(text, room);
		if (!grown)
			return error_memory(error);
		text = grown;
		used += fread(text + used, 1, room - used, stream);
		if (ferror(stream))
			return error_set(error, EIO, "cannot read %s: %s", name, strerror(errno));
		if (used > POLICY_TEXT_MAX)
			return error_set(error, E2BIG, "%s is larger than %u MiB", name, POLICY_TEXT_MAX >> 20);
	} while (used == room);
	*ret = TAKE_PTR(text);
	*ret_length = used;
	return 0;
}

int document_read(const char *path, char **ret, size_t *ret_length, struct error *error)
{
	FILE *file;
	int r;

	if (strcmp(path, "-") == 0)
		return read_stream(stdin, "standard input", ret, ret_length, error);
	file = fopen(path, "re");
	if (!file) {
		r = errno == EINVAL ? EIO : errno;
		return error_set(error, r, "cannot open %s: %s", path, strerror(r));
	}
	r = read_stream(file, path, ret, ret_length, error);
	fclose(file);
	return r;
}

static int add_file(const char *path, json_t *request, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t length;
	json_t *json;
	int r = document_read(path, &text, &length, error);

	if (r < 0)
		return r;
	if (memchr(text, '\0', length) || !(json = json_stringn(text, length)))
		return error_set(error, EILSEQ, "%s is not UTF-8 text", path);
	if (json_object_set_new(request, "text", json) < 0)
		return error_memory(error);
	return request_set_text(request, "name", strcmp(path, "-") == 0 ? "standard input" : path, error);
}

/* Without a file: the one that the daemon keeps the policy in. */
int apply_build(const struct command *command, json_t *request, struct error *error)
{
	const char *path = command->options[OPTION_FILE];

	return path ? add_file(path, request, error) : 0;
}

int plan_build(const struct command *command, json_t *request, struct error *error)
{
	const char *path = command->options[OPTION_FILE];

	if (command->options[OPTION_COMPOSE] && path)
		return error_set(error, EINVAL, "--compose is looked at under the policy in force: not with -f");
	if (command->options[OPTION_COMPOSE])
		return compose_build(command, request, error);
	if (!path)
		return error_set(error, EINVAL,
				 "plan which file? -f policy.yaml, or -f - for standard input; or --compose FILE");
	if (command->options[OPTION_PROJECT])
		return error_set(error, EINVAL, "--project belongs to --compose");
	if (json_object_set_new(request, "dry_run", json_true()) < 0)
		return error_memory(error);
	return add_file(path, request, error);
}

void plan_or_compose_show(const struct command *command, const json_t *result)
{
	if (command->options[OPTION_COMPOSE])
		compose_show(result);
	else
		change_show(command, result);
}

/* For a file the document is as the daemon gives it; a terminal gets every line made harmless. */
void export_show(const struct command *command, const json_t *result)
{
	const char *yaml = json_string_value(json_object_get(result, "yaml"));

	(void)command;
	if (!yaml)
		return;
	if (!isatty(STDOUT_FILENO)) {
		fputs(yaml, stdout);
		return;
	}
	while (*yaml) {
		size_t length = strcspn(yaml, "\n");
		_cleanup_free_ char *line = strndup(yaml, length);

		print_line(line ? line : "?");
		yaml += length + (yaml[length] == '\n');
	}
}
