/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"
#include "policy/policy.h"

enum field_kind {
	FIELD_WORD, /* one word, as text */
	FIELD_REST, /* this word and all that follow, as a list */
	FIELD_TARGET, /* one word, as a selector; its ports become "ports" */
	FIELD_PORT, /* an option's text, checked to be one port; left out when it was not given */
	FIELD_TIME, /* the same, as seconds */
	FIELD_LIST, /* an option's text with commas, as a list; empty when it was not given */
	FIELD_FLAG, /* true or false */
};

/* Which argument of the call comes from where on the command line. */
static const struct field {
	const char *verb, *key;
	enum field_kind kind;
	unsigned from; /* index of the word, or the option */
} fields[] = {
	{ "join", "member", FIELD_WORD, 0 },	    { "join", "groups", FIELD_REST, 1 },
	{ "leave", "member", FIELD_WORD, 0 },	    { "leave", "groups", FIELD_REST, 1 },
	{ "grant", "member", FIELD_WORD, 0 },	    { "grant", "policies", FIELD_REST, 1 },
	{ "revoke", "member", FIELD_WORD, 0 },	    { "revoke", "policies", FIELD_REST, 1 },
	{ "allow", "from", FIELD_WORD, 0 },	    { "allow", "to", FIELD_TARGET, 1 },
	{ "allow", "for", FIELD_TIME, OPTION_FOR }, { "allow", "remove", FIELD_FLAG, OPTION_REMOVE },
	{ "block", "from", FIELD_WORD, 0 },	    { "block", "to", FIELD_TARGET, 1 },
	{ "block", "for", FIELD_TIME, OPTION_FOR }, { "block", "remove", FIELD_FLAG, OPTION_REMOVE },
	{ "publish", "member", FIELD_WORD, 0 },	    { "publish", "port", FIELD_PORT, OPTION_PORT },
	{ "publish", "to", FIELD_LIST, OPTION_TO }, { "publish", "remove", FIELD_FLAG, OPTION_REMOVE },
	{ "accept", "ids", FIELD_REST, 0 },	    { "dismiss", "ids", FIELD_REST, 0 },
	{ "role", "interface", FIELD_WORD, 0 },	    { "role", "role", FIELD_WORD, 1 },
};

static int set(json_t *request, const char *key, json_t *value, struct error *error)
{
	return json_object_set_new(request, key, value) < 0 ? error_memory(error) : 0;
}

/* "spr join tv media,family" means what "spr join tv media family" does. */
static int add_rest(const struct command *command, const struct field *field, json_t *request, struct error *error)
{
	_cleanup_(json_decrefp) json_t *list = json_array();

	for (size_t i = field->from; i < command->n_words; i++) {
		_cleanup_(json_decrefp) json_t *part = NULL;
		int r = list_split(command->words[i], "name", &part, error);

		if (r < 0)
			return r;
		if (json_array_extend(list, part) < 0)
			return error_memory(error);
	}
	return set(request, field->key, TAKE_PTR(list), error);
}

static int add_target(const char *text, const char *key, json_t *request, struct error *error)
{
	_cleanup_free_ char *selector = NULL;
	json_t *ports;
	int r = target_split(text, &selector, &ports, error);

	if (r < 0)
		return r;
	r = set(request, "ports", ports, error);
	return r < 0 ? r : request_set_text(request, key, selector, error);
}

static int add_option(const char *text, const struct field *field, json_t *request, struct error *error)
{
	struct port_range range;
	time_t seconds;
	json_t *list;
	int r;

	switch (field->kind) {
	case FIELD_TIME:
		r = duration_parse(text, &seconds, error);
		return r < 0 ? error_wrap(error, "--for") : set(request, field->key, json_integer(seconds), error);
	case FIELD_PORT:
		r = port_range_parse(text, &range, error);
		return r < 0 ? error_wrap(error, "--port") : request_set_text(request, field->key, text, error);
	case FIELD_LIST:
		r = list_split(text, "name", &list, error);
		return r < 0 ? r : set(request, field->key, list, error);
	default:
		return request_set_text(request, field->key, text, error);
	}
}

static int add_field(const struct command *command, const struct field *field, json_t *request, struct error *error)
{
	const char *option;

	switch (field->kind) {
	case FIELD_WORD:
		return request_set_text(request, field->key, command->words[field->from], error);
	case FIELD_REST:
		return add_rest(command, field, request, error);
	case FIELD_TARGET:
		return add_target(command->words[field->from], field->key, request, error);
	case FIELD_FLAG:
		return set(request, field->key, json_boolean(command->options[field->from]), error);
	default:
		option = command->options[field->from];
		if (option)
			return add_option(option, field, request, error);
		return field->kind == FIELD_LIST ? set(request, field->key, json_array(), error) : 0;
	}
}

/* What the fields cannot say. */
static int check_options(const struct command *command, struct error *error)
{
	const char *const *options = command->options;

	if (options[OPTION_REMOVE] && options[OPTION_FOR])
		return error_set(error, EINVAL, "--remove takes a rule away: --for says nothing then");
	if (strcmp(command->verb->name, "publish") == 0 && !options[OPTION_REMOVE] && !options[OPTION_TO])
		return error_set(error, EINVAL,
				 "publish to whom? Add --to WHO (internet, lan, a group or a member), "
				 "or --remove to close");
	return 0;
}

int change_build(const struct command *command, json_t *request, struct error *error)
{
	int r = check_options(command, error);

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(fields); i++)
		if (strcmp(fields[i].verb, command->verb->name) == 0)
			r = add_field(command, &fields[i], request, error);
	return r;
}

/* Verbs that can change anything: one line does not say it. */
static bool is_whole(const struct verb *verb)
{
	static const char *const names[] = { "apply", "plan", "rollback", "edit" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(verb->name, names[i]) == 0)
			return true;
	return false;
}

void change_show(const struct command *command, const json_t *result)
{
	const char *line = json_string_value(json_object_get(result, "line"));
	bool changed = json_is_true(json_object_get(result, "changed"));

	if (json_is_true(json_object_get(result, "dry_run")))
		printf("would be done: ");
	print_line(line ? line : changed ? "done" : "nothing to change");
	if (command->options[OPTION_CONFIRM] && changed && !json_is_true(json_object_get(result, "dry_run")))
		print_line("taken back in that time, unless you say: spr confirm");
	if (is_whole(command->verb) && changed) {
		print_list("opens", json_object_get(result, "opens"));
		print_list("closes", json_object_get(result, "closes"));
	}
	print_list("note", json_object_get(result, "notes"));
	plan_show(result);
}
