/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "api/client.h"
#include "cli/cli.h"
#include "cli/output.h"

#define GLOBAL                                                                                                         \
	(OPTION_BIT(OPTION_SOCKET) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HELP) | OPTION_BIT(OPTION_VERSION) |  \
	 OPTION_BIT(OPTION_LIST_VERBS))

static void print_usage(FILE *stream)
{
	fputs("usage: spr [--socket PATH] [--json] VERB ...\n\n", stream);
	for (size_t i = 0; i < n_verbs; i++)
		fprintf(stream, "  %-9s %s\n", verbs[i].name, verbs[i].help);
	fputs("\nspr help VERB says more about one; spr(1) about all.\n", stream);
}

static void print_verb_usage(const struct verb *verb, FILE *stream)
{
	fprintf(stream, "usage: spr %s%s%s\n", verb->name, *verb->usage ? " " : "", verb->usage);
}

static enum status wrong_usage(const struct verb *verb, const struct error *error)
{
	print_failure(error->text);
	if (verb)
		print_verb_usage(verb, stderr);
	return STATUS_USAGE;
}

static enum status help(int argc, char **argv)
{
	const struct verb *verb = argc > 1 ? verb_find(argv[1]) : NULL;

	if (verb) {
		print_verb_usage(verb, stdout);
		printf("       %s\n", verb->help);
		if (verb->changes)
			printf("--force makes a change that would cut your own session.\n");
		return STATUS_DONE;
	}
	print_usage(argc > 1 ? stderr : stdout);
	return argc > 1 ? STATUS_USAGE : STATUS_DONE;
}

static enum status cannot_connect(const char *path, const struct error *error)
{
	switch (error->code) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		fputs("spr: sprd is not running: nothing listens on ", stderr);
		print_text(stderr, path);
		fputs(".\nStart it: systemctl start sprd (in the source tree: sudo make up)\n", stderr);
		return STATUS_NO_DAEMON;
	case EACCES:
		fputs("spr: you may not talk to sprd. Use sudo, or become a member of the group spr: "
		      "usermod -aG spr NAME, then log in again\n",
		      stderr);
		return STATUS_REFUSED;
	default:
		print_failure(error->text);
		return STATUS_REFUSED;
	}
}

static enum status answer(const struct command *command, const json_t *result)
{
	const struct verb *verb = command->verb;

	if (command->options[OPTION_JSON])
		print_json(result, JSON_INDENT(2));
	else
		verb->show(command, result);
	return verb->status ? verb->status(result) : STATUS_DONE;
}

static enum status perform_here(const struct command *command)
{
	_cleanup_(json_decrefp) json_t *result = NULL;
	struct error error = { 0 };
	int r = command->verb->local(command, &result, &error);

	if (r == -EINVAL)
		return wrong_usage(command->verb, &error);
	if (r < 0) {
		print_failure(error.text);
		return STATUS_REFUSED;
	}
	return answer(command, result);
}

static enum status perform(const struct command *command, json_t *request)
{
	const struct verb *verb = command->verb;
	_cleanup_(api_client_closep) struct api_client *client = NULL;
	_cleanup_(json_decrefp) json_t *result = NULL;
	const char *path = command->options[OPTION_SOCKET];
	struct error error = { 0 };

	if (api_client_connect(path, &client, &error) < 0)
		return cannot_connect(path, &error);
	if (api_client_call(client, request, &result, &error) < 0) {
		print_failure(error.text);
		return STATUS_REFUSED;
	}
	if (verb->after && verb->after(command, result, &error) < 0) {
		print_failure(error.text);
		return STATUS_REFUSED;
	}
	if (verb->follow && command->options[OPTION_FOLLOW])
		return verb->follow(command, client);
	return answer(command, result);
}

static enum status run(int argc, char **argv)
{
	_cleanup_(json_decrefp) json_t *request = NULL;
	struct command command = { .options = { [OPTION_SOCKET] = NULL } };
	struct error error = { 0 };
	int first, r;

	if (options_parse(argc, argv, GLOBAL, true, command.options, &first, &error) < 0)
		return wrong_usage(NULL, &error);
	argc -= first;
	argv += first;
	if (command.options[OPTION_VERSION]) {
		printf("spr %s\n", SPR_VERSION);
		return STATUS_DONE;
	}
	if (command.options[OPTION_LIST_VERBS]) {
		options_list();
		return STATUS_DONE;
	}
	if (command.options[OPTION_HELP])
		return help(0, argv);
	if (argc == 0) {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[0], "help") == 0)
		return help(argc, argv);
	if (command_parse(argc, argv, &command, &error) < 0)
		return wrong_usage(verb_find(argv[0]), &error);
	if (command.options[OPTION_HELP])
		return help(2, (char *[]){ argv[0], argv[0] });
	if (!command.options[OPTION_SOCKET])
		command.options[OPTION_SOCKET] = getenv("SPR_SOCKET");
	if (!command.options[OPTION_SOCKET] || !*command.options[OPTION_SOCKET])
		command.options[OPTION_SOCKET] = API_SOCKET;
	if (command.verb->local)
		return perform_here(&command);
	r = command_request(&command, &request, &error);
	if (r == -EINVAL)
		return wrong_usage(command.verb, &error);
	if (r < 0) {
		print_failure(error.text);
		return STATUS_REFUSED;
	}
	return perform(&command, request);
}

int main(int argc, char **argv)
{
	enum status status;

	setlocale(LC_ALL, "");
	status = run(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "spr: cannot write the output: %s\n", strerror(errno));
		return status == STATUS_DONE ? STATUS_REFUSED : (int)status;
	}
	return (int)status;
}
