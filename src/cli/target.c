/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/target.h"

#include <errno.h>
#include <string.h>

#include "policy/policy.h"

static int not_utf8(struct error *error)
{
	return error_set(error, EILSEQ, "an argument is not UTF-8 text");
}

int request_set_text(json_t *request, const char *key, const char *text, struct error *error)
{
	json_t *json = json_string(text);

	if (!json)
		return not_utf8(error);
	return json_object_set_new(request, key, json) < 0 ? error_memory(error) : 0;
}

int list_split(const char *text, const char *what, json_t **ret, struct error *error)
{
	_cleanup_(json_decrefp) json_t *list = json_array();

	if (!list)
		return error_memory(error);
	for (const char *part = text;; part++) {
		size_t length = strcspn(part, ",");
		json_t *json;

		if (length == 0)
			return error_set(error, EINVAL, "an empty %s in '%s'", what, text);
		json = json_stringn(part, length);
		if (!json)
			return not_utf8(error);
		if (json_array_append_new(list, json) < 0)
			return error_memory(error);
		part += length;
		if (!*part)
			break;
	}
	*ret = TAKE_PTR(list);
	return 0;
}

int target_split(const char *text, char **ret_selector, json_t **ret_ports, struct error *error)
{
	const char *colon = target_colon(text);
	_cleanup_free_ char *selector = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
	_cleanup_(json_decrefp) json_t *ports = NULL;
	json_t *port;
	size_t i;
	int r = 0;

	if (!selector)
		return error_memory(error);
	if (!*selector)
		return error_set(error, EINVAL, "there is no name before the port in '%s'", text);
	if (!colon && strchr(text, ','))
		return error_set(error, EINVAL, "'%s' is more than one: give one rule for each", text);
	if (colon)
		r = list_split(colon + 1, "port", &ports, error);
	else if (!(ports = json_array()))
		r = error_memory(error);
	if (r < 0)
		return r;
	json_array_foreach(ports, i, port) {
		struct port_range range;

		r = port_range_parse(json_string_value(port), &range, error);
		if (r < 0)
			return error_wrap(error, "in '%s'", text);
	}
	*ret_selector = TAKE_PTR(selector);
	*ret_ports = TAKE_PTR(ports);
	return 0;
}
