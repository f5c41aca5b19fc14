/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts frames into the twin of the machine it is run on. Reads lines "INTERFACE FRAME-IN-HEX", or "forget"; answers each
 * with a JSON object in a line, the first with what the twin says of itself. For the lab.
 */
#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "twin/frame.h"
#include "twin/twin.h"

#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static void say(json_t *json)
{
	MUST(json && json_dumpf(json, stdout, JSON_COMPACT) == 0);
	printf("\n");
	fflush(stdout);
	json_decref(json);
}

static size_t from_hex(const char *text, uint8_t *bytes, size_t size)
{
	unsigned byte;
	size_t n = 0;

	while (n < size && sscanf(text + 2 * n, "%2x", &byte) == 1)
		bytes[n++] = (uint8_t)byte;
	return n;
}

static json_t *exits_of(const struct twin *twin, const struct twin_result *result)
{
	json_t *exits = json_array();

	for (size_t i = 0; i < result->n_exits; i++) {
		const struct packet *packet = &result->exits[i].packet;
		char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];

		json_array_append_new(exits, json_pack("{s:s, s:s, s:s, s:i, s:i}", "interface",
						       twin_interface_name(twin, result->exits[i].interface), "from",
						       addr_text(&packet->from, from), "to", addr_text(&packet->to, to),
						       "from_port", packet->from_port, "to_port", packet->to_port));
	}
	return exits;
}

static void shoot(struct twin *twin, char *line)
{
	static const char *const ends[] = { "passed", "rule", "kernel", "down" };
	char *hex = strchr(line, ' ');
	uint8_t frame[2048];
	struct twin_result result;
	char *end;

	MUST(hex);
	*hex++ = '\0';
	MUST(twin_shoot(twin, if_nametoindex(line), frame, from_hex(hex, frame, sizeof(frame)), &result) == 0);
	end = twin_say_end(twin, &result);
	say(json_pack("{s:s, s:b, s:o, s:s, s:b}", "end", ends[result.end], "local", result.local, "exits",
		      exits_of(twin, &result), "where", end, "lost", result.lost));
	free(end);
}

int main(void)
{
	static const struct twin_options options;
	_cleanup_(twin_closep) struct twin *twin = NULL;
	struct error error = { 0 };
	const char *const *notes;
	json_t *list = json_array();
	char line[8192];
	size_t n;

	if (twin_open(&options, &twin, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	n = twin_notes(twin, &notes);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(notes[i]));
	say(json_pack("{s:o}", "notes", list));
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "forget") == 0)
			MUST(twin_forget(twin, &error) == 0);
		else
			shoot(twin, line);
	}
	return 0;
}
