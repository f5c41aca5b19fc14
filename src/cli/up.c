/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/output.h"

/* "  web  8080/tcp on 0.0.0.0  spr publish web ...": the commands under each other, never cut. */
static void print_ports(const json_t *ports)
{
	size_t width = 0, i;
	json_t *port;

	if (json_array_size(ports) > 0)
		printf("Ports that were open; each line opens one again\n");
	for (int pass = 0; pass < 2; pass++) {
		json_array_foreach((json_t *)ports, i, port) {
			_cleanup_free_ char *text = NULL;
			const char *line = json_string_value(json_object_get(port, "line"));
			const char *container = json_string_value(json_object_get(port, "container"));
			const char *number = json_string_value(json_object_get(port, "port"));
			const char *bind = json_string_value(json_object_get(port, "bind"));

			if (asprintf(&text, "%s %s on %s", container ? container : "?", number ? number : "?",
				     bind ? bind : "?") < 0)
				return;
			if (pass == 0) {
				width = text_width(text) > width ? text_width(text) : width;
				continue;
			}
			printf("  ");
			print_text(stdout, text);
			printf("%*s", (int)(width - text_width(text) + 2), "");
			print_line(line ? line : "");
		}
	}
}

void up_show(const struct command *command, const json_t *result)
{
	bool changed = json_is_true(json_object_get(result, "changed"));

	(void)command;
	if (json_is_true(json_object_get(result, "dry_run")))
		printf("spr is not up. This would be done:\n");
	else
		printf("%s\n", changed ? "spr is up: what policy does not open is closed." : "spr was up already.");
	print_section("Found", json_object_get(result, "found"));
	print_section("Closed", json_object_get(result, "closed"));
	print_ports(json_object_get(result, "ports"));
	print_section("Left alone", json_object_get(result, "left_alone"));
	print_section("Next", json_object_get(result, "next"));
	plan_show(result);
}

void down_show(const struct command *command, const json_t *result)
{
	bool changed = json_is_true(json_object_get(result, "changed"));

	(void)command;
	if (json_is_true(json_object_get(result, "dry_run")))
		printf("This would be done:\n");
	else
		printf("%s\n", changed ? "spr is down: it closes nothing any more." : "spr was down already.");
	print_section("Did", json_object_get(result, "did"));
	plan_show(result);
}

static void print_field(const char *name, const json_t *value)
{
	_cleanup_free_ char *text = json_cell(value);

	printf("%-11s", name);
	print_line(text ? text : "?");
}

static void print_head(const json_t *status)
{
	_cleanup_free_ char *version = json_cell(json_object_get(status, "version"));
	_cleanup_free_ char *protection = json_cell(json_object_get(status, "protection"));
	char since[32];

	printf("spr ");
	print_text(stdout, version ? version : "?");
	if (!json_is_true(json_object_get(status, "active"))) {
		printf(": not active, nothing is closed. To close it: spr up\n");
		return;
	}
	printf(": active since %s, protection ", time_text(json_number_value(json_object_get(status, "since")), since));
	print_line(protection ? protection : "?");
}

static void print_engine(const json_t *engine)
{
	_cleanup_free_ char *name = json_cell(json_object_get(engine, "name"));
	_cleanup_free_ char *version = json_cell(json_object_get(engine, "version"));
	_cleanup_free_ char *state = json_cell(json_object_get(engine, "state"));
	_cleanup_free_ char *socket = json_cell(json_object_get(engine, "socket"));
	_cleanup_free_ char *text = NULL;

	if (!json_is_object(engine)) {
		printf("%-11snone\n", "engine");
		return;
	}
	if (!name || !version || !state || !socket ||
	    asprintf(&text, "%s%s%s, %s (%s)", name, *version ? " " : "", version, state, socket) < 0)
		return;
	printf("%-11s", "engine");
	print_line(text);
}

/* The layers that hold the daemon itself; a note tells why one is missing. */
static void print_sandbox(const json_t *layers)
{
	if (json_is_array(layers) && json_array_size(layers) == 0)
		printf("%-11snone\n", "sandbox");
	else if (layers)
		print_field("sandbox", layers);
}

static void print_fast_path(const json_t *fast)
{
	if (!json_is_object(fast))
		return;
	if (json_is_true(json_object_get(fast, "running")))
		printf("%-11son, %" JSON_INTEGER_FORMAT " packets\n", "fast path",
		       json_integer_value(json_object_get(fast, "packets")));
	else
		printf("%-11soff now\n", "fast path");
}

static void print_counts(const json_t *counts)
{
	const char *name;
	json_t *count;
	bool first = true;

	printf("%-11s", "counts");
	json_object_foreach((json_t *)counts, name, count) {
		printf("%s%" JSON_INTEGER_FORMAT " ", first ? "" : ", ", json_integer_value(count));
		print_text(stdout, name);
		first = false;
	}
	printf("\n");
}

static void print_drops(const json_t *drops)
{
	json_t *drop;
	size_t i;

	json_array_foreach((json_t *)drops, i, drop) {
		_cleanup_free_ char *reason = json_cell(json_object_get(drop, "reason"));

		printf("%-11s%10" JSON_INTEGER_FORMAT "  ", i == 0 ? "dropped" : "",
		       json_integer_value(json_object_get(drop, "packets")));
		print_line(reason ? reason : "?");
	}
}

/* What is not as it must be stands first, and in red where there are colours. */
static void print_problems(const json_t *problems)
{
	bool colour = isatty(STDOUT_FILENO);
	json_t *problem;
	size_t i;

	json_array_foreach((json_t *)problems, i, problem) {
		const char *text = json_string_value(problem);

		printf("%sPROBLEM%s    ", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "");
		print_line(text ? text : "?");
	}
}

void status_show(const struct command *command, const json_t *result)
{
	const json_t *waiting = json_object_get(result, "waiting");

	(void)command;
	print_problems(json_object_get(result, "problems"));
	print_head(result);
	print_engine(json_object_get(result, "engine"));
	print_field("uplinks", json_object_get(result, "uplinks"));
	print_field("lans", json_object_get(result, "lans"));
	print_field("resolver", json_object_get(result, "resolver"));
	print_sandbox(json_object_get(result, "sandbox"));
	print_fast_path(json_object_get(result, "fast_path"));
	print_counts(json_object_get(result, "counts"));
	if (json_array_size(waiting) > 0) {
		print_field("waiting", waiting);
		printf("%-11sclosed until they have a role: spr role INTERFACE uplink|lan|overlay|other\n", "");
	}
	if (json_integer_value(json_object_get(result, "pending")) > 0)
		printf("%-11s%" JSON_INTEGER_FORMAT ", listed by: spr pending\n", "requests",
		       json_integer_value(json_object_get(result, "pending")));
	proof_show(json_object_get(result, "proof"));
	print_drops(json_object_get(result, "drops"));
	print_list("note", json_object_get(result, "notes"));
}
