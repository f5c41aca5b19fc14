/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"
#include "compose/compose.h"

/*
 * A compose file is read here, with the environment and the .env file beside it, so that what is wrong with it is said
 * by who can see both; sprd gets the text and the variables that what matters in it names, and no others.
 */

struct environment {
	struct compose_variable *file; /* of .env */
	size_t n_file;
	json_t *used;
};

static const char *find_variable(const char *name, void *data)
{
	struct environment *environment = data;
	const char *value = getenv(name);

	for (size_t i = environment->n_file; !value && i-- > 0;)
		if (strcmp(environment->file[i].name, name) == 0)
			value = environment->file[i].value;
	if (value)
		json_object_set_new(environment->used, name, json_text(value));
	return json_object_get(environment->used, name) ? value : NULL;
}

/* The folder that the file is in; the caller's. */
static char *folder_of(const char *path)
{
	_cleanup_free_ char *whole = strcmp(path, "-") == 0 ? NULL : realpath(path, NULL);

	return whole ? strdup(dirname(whole)) : realpath(".", NULL);
}

static int read_env(const char *folder, struct environment *ret, struct error *error)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	size_t length;
	int r;

	if (asprintf(&path, "%s/.env", folder) < 0) {
		path = NULL;
		return error_memory(error);
	}
	r = document_read(path, &text, &length, error);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : compose_env_parse(text, length, path, &ret->file, &ret->n_file, error);
}

/* As a call would be refused: the command line was right. */
static int refused(int r, struct error *error)
{
	if (r == -EINVAL)
		error->code = EBADMSG;
	return r == -EINVAL ? -EBADMSG : r;
}

static int build(const struct command *command, struct environment *environment, const char *folder, json_t *request,
		 struct error *error)
{
	const struct compose_variables variables = { find_variable, environment };
	const char *path = command->options[OPTION_COMPOSE], *name = strcmp(path, "-") == 0 ? "standard input" : path;
	_cleanup_(compose_freep) struct compose *compose = NULL;
	_cleanup_free_ char *text = NULL, *copy = strdup(folder);
	struct compose_options options = { .project = command->options[OPTION_PROJECT], .variables = &variables };
	size_t length;
	json_t *json;
	int r = document_read(path, &text, &length, error);

	if (r < 0)
		return r;
	if (!copy)
		return error_memory(error);
	options.folder = basename(copy);
	if (!options.project)
		options.project = find_variable("COMPOSE_PROJECT_NAME", environment);
	r = compose_parse(text, length, name, &options, &compose, error);
	if (r < 0)
		return refused(r, error);
	json = json_stringn(text, length);
	if (!json)
		return error_set(error, EILSEQ, "%s is not UTF-8 text", name);
	if (json_object_set_new(request, "text", json) < 0 ||
	    json_object_set(request, "variables", environment->used) < 0)
		return error_memory(error);
	r = request_set_text(request, "name", name, error);
	return r < 0 ? r : request_set_text(request, "project", compose->project, error);
}

int compose_build(const struct command *command, json_t *request, struct error *error)
{
	_cleanup_(json_decrefp) json_t *used = json_object();
	_cleanup_free_ char *folder = folder_of(command->options[OPTION_COMPOSE]);
	struct environment environment = { .used = used };
	int r;

	if (!used || json_object_set_new(request, "call", json_string("compose")) < 0)
		return error_memory(error);
	if (!folder)
		return error_set(error, EIO, "cannot tell the folder of %s: %s", command->options[OPTION_COMPOSE],
				 strerror(errno));
	r = refused(read_env(folder, &environment, error), error);
	if (r >= 0)
		r = build(command, &environment, folder, request, error);
	compose_env_free(environment.file, environment.n_file);
	return r;
}

/* "a, b and 3 more" */
static void print_names(const json_t *list, size_t all)
{
	json_t *name;
	size_t i;

	json_array_foreach((json_t *)list, i, name) {
		printf("%s", i ? ", " : "");
		print_text(stdout, json_string_value(name));
	}
	if (all > json_array_size(list))
		printf(" and %zu more", all - json_array_size(list));
}

static void print_port(const json_t *port)
{
	const json_t *to = json_object_get(port, "to");
	const char *number = json_text_of(port, "port"), *bind = json_text_of(port, "bind");

	if (json_is_true(json_object_get(port, "chosen")))
		printf("  a port that the engine chooses");
	else
		printf("  %s", number);
	printf(" on %s -> %s: ", *bind ? bind : "every address", json_text_of(port, "target"));
	if (json_is_true(json_object_get(port, "host_only"))) {
		printf("this machine only\n");
		return;
	}
	if (json_array_size(to) == 0)
		printf("nobody but this machine");
	else
		print_names(to, (size_t)json_integer_value(json_object_get(port, "n")));
	putchar('\n');
	printf("    %s", json_is_true(json_object_get(port, "chosen")) ? "once it runs: " : "");
	print_line(json_text_of(port, "line"));
}

static void print_service(const json_t *service)
{
	const json_t *networks = json_object_get(service, "networks"), *groups = json_object_get(service, "groups");
	json_t *item;
	size_t i;

	print_text(stdout, json_text_of(service, "service"));
	printf(" (");
	print_text(stdout, json_text_of(service, "container"));
	printf(")");
	if (*json_text_of(service, "mode")) {
		printf(" with network_mode ");
		print_text(stdout, json_text_of(service, "mode"));
	}
	json_array_foreach((json_t *)networks, i, item) {
		printf("%s", i ? ", " : " on ");
		print_text(stdout, json_text_of(item, "name"));
		printf("%s", json_is_true(json_object_get(item, "internal")) ? " (internal)" : "");
	}
	putchar('\n');
	if (json_array_size(networks) > 0) {
		printf("  policies: ");
		if (json_array_size(json_object_get(service, "policies")) == 0)
			printf("none");
		print_names(json_object_get(service, "policies"), 0);
		printf("%s", json_array_size(groups) ? "; groups: " : "");
		print_names(groups, 0);
		putchar('\n');
	}
	json_array_foreach(json_object_get(service, "ports"), i, item)
		print_port(item);
}

void compose_show(const json_t *result)
{
	json_t *service;
	size_t i;

	printf("project ");
	print_text(stdout, json_text_of(result, "project"));
	printf("%s\n", json_is_true(json_object_get(result, "active")) ?
			       "" :
			       "; spr is not up: nothing is closed, and this is what would be with it");
	json_array_foreach(json_object_get(result, "services"), i, service)
		print_service(service);
	print_list("note", json_object_get(result, "notes"));
}
