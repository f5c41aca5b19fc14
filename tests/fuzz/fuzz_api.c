/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the control socket reads: bytes in pieces of any size, cut into lines, each parsed as a request. The first byte
 * of the input chooses the size of the pieces.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/line.h"
#include "api/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
	if (!condition)
		abort();
}

/* An answer that quotes the request must be a line that the other side can read back. */
static void answer(const struct error *error)
{
	_cleanup_json_ json_t *json = error_to_json(error);
	_cleanup_json_ json_t *back = NULL;
	_cleanup_free_ char *text = NULL;
	struct error again = { 0 };
	size_t length;

	demand(json != NULL);
	demand(message_print("error", json, &text, &length) == 0);
	demand(text[length - 1] == '\n' && memchr(text, '\n', length - 1) == NULL);
	back = json_loadb(text, length, 0, NULL);
	demand(back != NULL);
	demand(error_from_json(json_object_get(back, "error"), &again) == -error->code);
}

static void run(const char *line, size_t length)
{
	_cleanup_json_ json_t *request = NULL;
	struct error error = { 0 };
	int r = request_parse(line, length, &request, &error);

	if (r < 0) {
		demand(!request && error.code == -r && error.text[0]);
		answer(&error);
		return;
	}
	demand(json_is_string(json_object_get(request, "call")));
	if (request_check_change(request, &error) < 0)
		answer(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line_buffer buffer = { 0 };
	size_t piece = size > 0 ? data[0] + 1u : 1, lines = 0, newlines = 0;

	for (size_t at = 1; at < size;) {
		char *room, *line;
		size_t space, length;

		demand(line_buffer_reserve(&buffer, &room, &space) == 0 && space > 0);
		space = space < piece ? space : piece;
		space = space < size - at ? space : size - at;
		memcpy(room, data + at, space);
		line_buffer_added(&buffer, space);
		at += space;
		while (line_buffer_next(&buffer, &line, &length) > 0) {
			demand(line[length] == '\0' && memchr(line, '\n', length) == NULL);
			run(line, length);
			lines++;
		}
	}
	for (size_t at = 1; at < size; at++)
		newlines += data[at] == '\n';
	demand(lines == newlines);
	line_buffer_clear(&buffer);
	return 0;
}
