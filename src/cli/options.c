/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/session.h"
#include "cli/target.h"
#include "policy/nearest.h"
#include "policy/policy.h"

#define COMMON (OPTION_BIT(OPTION_SOCKET) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HELP))
#define LONG_BASE 256 /* getopt's value of option i is this plus i: no letter has it */

static const struct option_row {
	const char *name;
	char letter;
	const char *value; /* what it takes; NULL: nothing */
} rows[_OPTION_MAX] = {
	[OPTION_SOCKET] = { "socket", 0, "PATH" },
	[OPTION_JSON] = { "json", 0, NULL },
	[OPTION_HELP] = { "help", 'h', NULL },
	[OPTION_VERSION] = { "version", 'V', NULL },
	[OPTION_LIST_VERBS] = { "list-verbs", 0, NULL },
	[OPTION_FORCE] = { "force", 0, NULL },
	[OPTION_REMOVE] = { "remove", 0, NULL },
	[OPTION_FOR] = { "for", 0, "TIME" },
	[OPTION_COMMENT] = { "comment", 0, "TEXT" },
	[OPTION_PORT] = { "port", 0, "PORT" },
	[OPTION_TO] = { "to", 0, "WHO" },
	[OPTION_FILE] = { "file", 'f', "FILE" },
	[OPTION_FOLLOW] = { "follow", 'f', NULL },
	[OPTION_MEMBER] = { "member", 0, "NAME" },
	[OPTION_DRY_RUN] = { "dry-run", 'n', NULL },
	[OPTION_CONFIRM] = { "confirm", 0, "TIME" },
	[OPTION_ALL] = { "all", 0, NULL },
	[OPTION_STATE_DIR] = { "state-dir", 0, "FOLDER" },
	[OPTION_DOCKER] = { "docker", 0, "SOCKET" },
	[OPTION_SARIF] = { "sarif", 0, NULL },
	[OPTION_TWIN] = { "twin", 0, NULL },
	[OPTION_COMPOSE] = { "compose", 0, "FILE" },
	[OPTION_PROJECT] = { "project", 'p', "NAME" },
};

/* What getopt wants, for the options of a mask. */
struct getopt_tables {
	struct option longs[_OPTION_MAX + 1];
	char letters[2 * _OPTION_MAX + 3];
};

static void tables_fill(struct getopt_tables *tables, unsigned mask, bool stop)
{
	size_t n = 0, l = 0;

	*tables = (struct getopt_tables){ 0 };
	if (stop)
		tables->letters[l++] = '+';
	tables->letters[l++] = ':';
	for (int i = 0; i < _OPTION_MAX; i++) {
		const struct option_row *row = &rows[i];

		if (!(mask & OPTION_BIT(i)))
			continue;
		tables->longs[n++] = (struct option){
			.name = row->name,
			.has_arg = row->value ? required_argument : no_argument,
			.val = LONG_BASE + i,
		};
		if (!row->letter)
			continue;
		tables->letters[l++] = row->letter;
		if (row->value)
			tables->letters[l++] = ':';
	}
}

static int row_of(int got, unsigned mask)
{
	if (got >= LONG_BASE)
		return got - LONG_BASE;
	for (int i = 0; i < _OPTION_MAX; i++)
		if ((mask & OPTION_BIT(i)) && rows[i].letter && rows[i].letter == got)
			return i;
	return -EINVAL;
}

static int unknown_option(const char *text, unsigned mask, struct error *error)
{
	const char *names[_OPTION_MAX], *near;
	char word[40];
	size_t n = 0;

	if (optopt >= LONG_BASE)
		return error_set(error, EINVAL, "--%s takes no value", rows[optopt - LONG_BASE].name);
	if (optopt)
		return error_set(error, EINVAL, "unknown option -%c", optopt);
	for (int i = 0; i < _OPTION_MAX; i++)
		if ((mask & OPTION_BIT(i)) && i != OPTION_LIST_VERBS)
			names[n++] = rows[i].name;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(text + 2, "="), text + 2);
	near = nearest(word, names, n);
	if (near)
		return error_set(error, EINVAL, "unknown option --%s: did you mean --%s?", word, near);
	return error_set(error, EINVAL, "unknown option --%s", word);
}

/* getopt takes "--for" for "--force" where nothing else begins like it: too near to guess. */
static bool is_in_full(char **argv, int row)
{
	const char *text = argv[optind - 1 - (optarg && optarg == argv[optind - 1])];
	size_t length = strcspn(text + 2, "=");

	return length == strlen(rows[row].name) && strncmp(text + 2, rows[row].name, length) == 0;
}

int options_parse(int argc, char **argv, unsigned mask, bool stop, const char **values, int *ret_first,
		  struct error *error)
{
	struct getopt_tables tables;
	int got;

	tables_fill(&tables, mask, stop);
	optind = 0; /* start anew */
	opterr = 0;
	while ((got = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		int row;

		if (got == '?')
			return unknown_option(argv[optind - 1], mask, error);
		if (got == ':') {
			row = row_of(optopt, mask);
			return error_set(error, EINVAL, "--%s needs a value: --%s %s", rows[row].name, rows[row].name,
					 rows[row].value);
		}
		row = row_of(got, mask);
		if (got >= LONG_BASE && !is_in_full(argv, row)) {
			optopt = 0;
			return unknown_option(argv[optind - 1 - (optarg && optarg == argv[optind - 1])], mask, error);
		}
		if (rows[row].value && values[row])
			return error_set(error, EINVAL, "--%s is given twice", rows[row].name);
		values[row] = optarg ? optarg : "";
	}
	*ret_first = optind;
	return 0;
}

void options_list(void)
{
	for (size_t v = 0; v < n_verbs; v++) {
		printf("%s", verbs[v].name);
		for (int i = 0; i < _OPTION_MAX; i++)
			if (verbs[v].options & OPTION_BIT(i))
				printf(" --%s", rows[i].name);
		printf("\n");
	}
}

static int check_words(const struct command *command, struct error *error)
{
	const struct verb *verb = command->verb;

	if (command->n_words > verb->max_words)
		return error_set(error, EINVAL, "spr %s does not know what to do with '%s'", verb->name,
				 command->words[verb->max_words]);
	if (command->n_words < verb->min_words)
		return error_set(error, EINVAL, "spr %s needs more than that", verb->name);
	for (size_t i = 0; i < command->n_words; i++)
		if (!*command->words[i])
			return error_set(error, EINVAL, "an argument of spr %s is empty", verb->name);
	return 0;
}

int command_parse(int argc, char **argv, struct command *ret, struct error *error)
{
	const struct verb *verb = verb_find(argv[0]);
	struct command command = { .verb = verb };
	int first, r;

	if (!verb)
		return verb_unknown(argv[0], error);
	memcpy(command.options, ret->options, sizeof(command.options));
	r = options_parse(argc, argv, verb->options | COMMON, false, command.options, &first, error);
	if (r < 0)
		return r;
	command.words = argv + first;
	command.n_words = (size_t)(argc - first);
	if (!command.options[OPTION_HELP])
		r = check_words(&command, error);
	if (r < 0)
		return r;
	*ret = command;
	return 0;
}

/* What every verb takes that changes something: who asks, and how. */
static int add_change(const struct command *command, json_t *request, struct error *error)
{
	const char *const *options = command->options;
	const char *user = getuid() == 0 ? getenv("SUDO_USER") : getenv("USER");
	_cleanup_free_ char *ssh = session_find();
	time_t seconds;
	int r = 0;

	if (json_object_set_new(request, "force", json_boolean(options[OPTION_FORCE])) < 0 ||
	    (ssh && json_object_set_new(request, "ssh", json_string(ssh)) < 0))
		return error_memory(error);
	if (options[OPTION_DRY_RUN] && json_object_set_new(request, "dry_run", json_true()) < 0)
		return error_memory(error);
	if (options[OPTION_CONFIRM])
		r = duration_parse(options[OPTION_CONFIRM], &seconds, error);
	if (r < 0)
		return error_wrap(error, "--confirm");
	if (options[OPTION_CONFIRM] && json_object_set_new(request, "confirm", json_integer(seconds)) < 0)
		return error_memory(error);
	if (options[OPTION_COMMENT])
		r = request_set_text(request, "comment", options[OPTION_COMMENT], error);
	return r >= 0 && user && *user ? request_set_text(request, "user", user, error) : r;
}

int command_request(const struct command *command, json_t **ret, struct error *error)
{
	const struct verb *verb = command->verb;
	_cleanup_(json_decrefp) json_t *request = json_pack("{s:s}", "call", verb->call ? verb->call : verb->name);
	int r = 0;

	if (!request)
		return error_memory(error);
	if (verb->build)
		r = verb->build(command, request, error);
	if (r >= 0 && verb->changes)
		r = add_change(command, request, error);
	/* root can try a dry run in twins, and is given what that takes */
	if (r >= 0 && verb->after && geteuid() == 0 && json_is_true(json_object_get(request, "dry_run")) &&
	    json_object_set_new(request, "trial", json_true()) < 0)
		r = error_memory(error);
	if (r >= 0)
		*ret = TAKE_PTR(request);
	return r;
}
