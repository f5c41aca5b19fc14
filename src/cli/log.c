/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "api/client.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"

static const char *event_text(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

/* "nas (172.17.0.2:445)", or the address alone where it has no name. */
static void print_end(const json_t *event, const char *name_key, const char *addr_key, const char *port_key)
{
	const char *name = event_text(event, name_key), *addr = event_text(event, addr_key);
	json_int_t port = json_integer_value(json_object_get(event, port_key));
	bool named = *name && strcmp(name, addr) != 0;

	if (named) {
		print_text(stdout, name);
		printf(" (");
	}
	if (port > 0 && strchr(addr, ':')) {
		printf("[");
		print_text(stdout, addr);
		printf("]");
	} else {
		print_text(stdout, *addr ? addr : "?");
	}
	if (port > 0)
		printf(":%" JSON_INTEGER_FORMAT, port);
	if (named)
		printf(")");
}

static void print_event(const json_t *event)
{
	double epoch = json_number_value(json_object_get(event, "time"));
	const char *in = event_text(event, "in"), *out = event_text(event, "out");
	char buffer[32];

	printf("%s.%03d  ", time_text(epoch, buffer), (int)((epoch - (double)(long long)epoch) * 1000));
	print_text(stdout, event_text(event, "reason"));
	printf("  ");
	print_text(stdout, event_text(event, "proto"));
	printf("  ");
	print_end(event, "from", "from_addr", "from_port");
	printf(" -> ");
	print_end(event, "to", "to_addr", "to_port");
	if (*in) {
		printf("  in ");
		print_text(stdout, in);
	}
	if (*out) {
		printf("  out ");
		print_text(stdout, out);
	}
	putchar('\n');
}

int log_build(const struct command *command, json_t *request, struct error *error)
{
	const char *member = command->options[OPTION_MEMBER];

	return member ? request_set_text(request, "member", member, error) : 0;
}

void log_show(const struct command *command, const json_t *result)
{
	const json_t *recent = json_object_get(result, "recent");
	json_t *event;
	size_t i;

	(void)command;
	json_array_foreach((json_t *)recent, i, event)
		print_event(event);
	if (!recent)
		print_failure("this sprd keeps no past drops: spr log -f shows them as they happen");
	else if (json_array_size(recent) == 0)
		fputs("nothing was dropped lately; spr log -f waits for what will be\n", stderr);
}

enum status log_status(const json_t *result)
{
	return json_is_array(json_object_get(result, "recent")) ? STATUS_DONE : STATUS_USAGE;
}

/* The handler ends the program itself: a flag that is looked at between two reads could come too late. */
static void on_interrupt(int number)
{
	(void)number;
	_exit(STATUS_DONE);
}

enum status log_follow(const struct command *command, struct api_client *client)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	struct error error = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (!ferror(stdout)) {
		_cleanup_(json_decrefp) json_t *event = NULL;

		if (api_client_next_event(client, &event, &error) < 0) {
			print_failure(error.text);
			return STATUS_REFUSED;
		}
		if (command->options[OPTION_JSON])
			print_json(event, JSON_COMPACT);
		else
			print_event(event);
	}
	return STATUS_REFUSED;
}
