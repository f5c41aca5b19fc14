/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "api/line.h"
#include "base/json.h"

/* Counts what separates values, outside of strings. It runs before the parser does, on text that may not be JSON. */
static bool values_are_bounded(const char *line, size_t length)
{
	size_t values = 0;
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		char c = line[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == ',' || c == '[' || c == '{') && ++values > API_VALUES_MAX)
			return false;
	}
	return true;
}

int request_parse(const char *line, size_t length, json_t **ret, struct error *error)
{
	_cleanup_json_ json_t *request = NULL;
	json_error_t where;
	int r;

	if (!values_are_bounded(line, length))
		return error_set(error, E2BIG, "the request has more than %d values", API_VALUES_MAX);
	r = json_read(line, length, JSON_REJECT_DUPLICATES, &request, &where);
	if (r == -ENOMEM)
		return error_memory(error);
	if (r < 0)
		return error_set(error, EINVAL, "the request is not JSON: %s, at byte %d", where.text, where.position);
	if (!json_is_object(request))
		return error_set(error, EINVAL, "the request is not an object: send {\"call\": \"NAME\", ...}");
	if (!json_is_string(json_object_get(request, "call")))
		return error_set(error, EINVAL, "the request has no \"call\": send {\"call\": \"NAME\", ...}");
	*ret = TAKE_PTR(request);
	return 0;
}

int request_check_change(const json_t *request, struct error *error)
{
	const json_t *force = json_object_get(request, "force"), *ssh = json_object_get(request, "ssh");

	if (force && !json_is_boolean(force))
		return error_set(error, EINVAL, "\"force\" is not true or false");
	if (ssh && !json_is_string(ssh))
		return error_set(error, EINVAL, "\"ssh\" is not text: send what SSH_CONNECTION holds, or leave it out");
	return 0;
}

int message_print(const char *key, json_t *value, char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = json_write(value, JSON_COMPACT | JSON_ENCODE_ANY);
	char *line;
	size_t room;
	int length;

	if (!text)
		return -ENOMEM;
	room = strlen(text) + strlen(key) + sizeof("{\"\":}\n");
	if (room > API_LINE_MAX)
		return -EMSGSIZE;
	line = malloc(room);
	if (!line)
		return -ENOMEM;
	length = snprintf(line, room, "{\"%s\":%s}\n", key, text);
	*ret = line;
	*ret_length = (size_t)length;
	return 0;
}

json_t *error_to_json(const struct error *error)
{
	const char *code = strerrorname_np(error->code);
	const char *text = error->text[0] ? error->text : strerrordesc_np(error->code);

	return json_pack("{s:s, s:o}", "code", code ? code : "EIO", "message", json_text(text ? text : "it failed"));
}

int error_from_json(const json_t *json, struct error *error)
{
	const char *name = json_string_value(json_object_get(json, "code"));
	const char *text = json_string_value(json_object_get(json, "message"));
	int code = EIO;

	for (int i = 1; name && i < 256; i++) {
		const char *known = strerrorname_np(i);

		if (known && strcmp(known, name) == 0) {
			code = i;
			break;
		}
	}
	return error_set(error, code, "%s", text ? text : "sprd gave an error without a message");
}
