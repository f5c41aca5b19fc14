/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"

int explain_build(const struct command *command, json_t *request, struct error *error)
{
	_cleanup_free_ char *selector = NULL;
	_cleanup_(json_decrefp) json_t *ports = NULL;
	int r = request_set_text(request, "from", command->words[0], error);

	if (r == 0)
		r = target_split(command->words[1], &selector, &ports, error);
	if (r == 0)
		r = request_set_text(request, "to", selector, error);
	if (r < 0)
		return r;
	if (json_array_size(ports) > 1)
		return error_set(error, EINVAL, "explain answers for one port at a time");
	if (json_array_size(ports) == 1 && json_object_set(request, "port", json_array_get(ports, 0)) < 0)
		return error_memory(error);
	return 0;
}

/* What the kernel does with the very packet, and whether that is what policy says. */
static void show_twin(const json_t *twin)
{
	const char *sentence = json_string_value(json_object_get(twin, "sentence"));

	if (!twin)
		return;
	printf("the kernel: ");
	print_line(sentence ? sentence : "?");
	print_line(json_is_true(json_object_get(twin, "agrees")) ?
			   "kernel and policy agree" :
			   "kernel and policy do not agree: the rules above are not spr's alone, or were changed");
	print_list("not as on the machine", json_object_get(twin, "notes"));
}

void explain_show(const struct command *command, const json_t *result)
{
	const char *sentence = json_string_value(json_object_get(result, "sentence"));
	const char *fix = json_string_value(json_object_get(result, "fix"));
	const char *reason = json_string_value(json_object_get(result, "reason"));
	const char *verdict = json_string_value(json_object_get(result, "verdict"));

	print_text(stdout, verdict ? verdict : "?");
	printf(": ");
	print_text(stdout, command->words[0]);
	printf(" -> ");
	print_text(stdout, command->words[1]);
	if (reason) {
		printf(" (");
		print_text(stdout, reason);
		printf(")");
	}
	putchar('\n');
	if (sentence)
		print_line(sentence);
	print_section("path", json_object_get(result, "path"));
	show_twin(json_object_get(result, "twin"));
	if (fix) {
		printf("to change that: ");
		print_line(fix);
	}
}

enum status explain_status(const json_t *result)
{
	const char *verdict = json_string_value(json_object_get(result, "verdict"));

	return verdict && strcmp(verdict, "accept") == 0 ? STATUS_DONE : STATUS_DROP;
}
