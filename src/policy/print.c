/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/text.h"
#include "policy/schema.h"
#include "policy/words.h"

#define LINE_MAX_COLUMNS 110

/* Values as JSON: NULL only without memory, json_null() for what is not said. */

static json_t *say_text(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *say_policies(unsigned policies)
{
	json_t *list = json_array();

	for (unsigned bit = 1; list && bit <= POLICY_QUARANTINE; bit <<= 1) {
		if ((policies & bit) && json_array_append_new(list, json_string(policy_bit_name(bit))) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *say_selector(const struct selector *selector)
{
	_cleanup_free_ char *text = selector_print(selector);

	return text ? json_string(text) : NULL;
}

static json_t *say_port(const struct port_range *port)
{
	char text[24];

	port_range_print(port, text);
	if (!port->any_port && !port->proto && port->first == port->last)
		return json_integer(port->first);
	return json_string(text);
}

static json_t *say_time(time_t expires)
{
	char text[24];

	return expires ? json_string(expiry_print(expires, text)) : json_null();
}

static json_t *say_address(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return addr->family ? json_string(addr_text(addr, text)) : json_null();
}

static json_t *say_target(const struct target *target)
{
	_cleanup_free_ char *text = target_print(target);

	return text ? json_string(text) : NULL;
}

static json_t *say_prefix(const struct prefix *prefix)
{
	char text[PREFIX_TEXT_MAX];

	return json_string(prefix_text(prefix, text));
}

static json_t *say_bool(int value)
{
	return value < 0 ? json_null() : json_boolean(value);
}

static json_t *say_role(enum role role)
{
	return role == ROLE_NONE ? json_null() : json_string(role_name(role));
}

static json_t *say_entry(const struct schema_keys *keys, const void *entry);

static json_t *say_item(const struct schema_key *key, const void *item)
{
	switch (key->type) {
	case VALUE_POLICIES:
		return say_policies(*(const unsigned *)item);
	case VALUE_ROLE:
		return say_role(*(const enum role *)item);
	case VALUE_BOOL:
		return say_bool(*(const int *)item);
	case VALUE_SOURCES:
		return say_prefix(item);
	case VALUE_ADDRESS:
		return say_address(item);
	case VALUE_SELECTOR:
	case VALUE_SELECTORS:
		return say_selector(item);
	case VALUE_TARGET:
		return say_target(item);
	case VALUE_EXPECT:
		return json_string(expect_name(*(const enum expect *)item));
	case VALUE_PORT:
	case VALUE_PORTS:
		return say_port(item);
	case VALUE_TIME:
		return say_time(*(const time_t *)item);
	case VALUE_LOCAL_USERS:
		return json_string(local_users_name(*(const enum local_users *)item));
	case VALUE_LABELS:
		return json_string(labels_name(*(const enum labels *)item));
	case VALUE_COUNT:
		return json_integer(*(const unsigned *)item);
	case VALUE_PUBLISH:
		return say_entry(key->keys, item);
	default:
		return say_text(*(char *const *)item);
	}
}

static json_t *say_list(const struct schema_key *key, const void *entry)
{
	const char *items = *SCHEMA_AT(char *const, entry, key->offset);
	size_t n = *SCHEMA_AT(const size_t, entry, key->count);
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++) {
		if (json_array_append_new(list, say_item(key, items + i * value_forms[key->type].size)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Is this what holds when the key is not there? */
static bool is_standard(const struct schema_key *key, const void *entry, const json_t *value)
{
	char text[16];

	if (key->said && *SCHEMA_AT(const bool, entry, key->said))
		return false;
	if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
		return !key->required;
	if (!key->standard)
		return false;
	if (json_is_boolean(value))
		return strcmp(key->standard, json_is_true(value) ? "true" : "false") == 0;
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return strcmp(key->standard, json_is_string(value) ? json_string_value(value) : text) == 0;
}

static json_t *say_entry(const struct schema_keys *keys, const void *entry)
{
	json_t *map = json_object();

	for (size_t i = 0; map && i < keys->n_keys; i++) {
		const struct schema_key *key = &keys->keys[i];
		json_t *value = value_forms[key->type].list ? say_list(key, entry) :
							      say_item(key, SCHEMA_AT(const void, entry, key->offset));

		if (value && is_standard(key, entry, value)) {
			json_decref(value);
		} else if (json_object_set_new(map, key->name, value) < 0) {
			json_decref(map);
			return NULL;
		}
	}
	return map;
}

static json_t *say_section(const struct schema_section *section, const struct policy *policy)
{
	json_t *list;
	size_t n;

	if (!section->list)
		return say_entry(section->keys, SCHEMA_AT(const void, policy, section->offset));
	list = json_array();
	n = *SCHEMA_AT(const size_t, policy, section->count);
	for (size_t i = 0; list && i < n; i++) {
		const char *entry = *SCHEMA_AT(char *const, policy, section->offset) + i * section->size;

		if (section->kind >= 0 && ((const struct member *)entry)->kind != (enum member_kind)section->kind)
			continue;
		if (json_array_append_new(list, say_entry(section->keys, entry)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* The document; sections without anything to say are left out. */
static json_t *say_policy(const struct policy *policy)
{
	json_t *root = json_object();

	for (size_t i = 0; root && i < n_schema_sections; i++) {
		json_t *section = say_section(&schema_sections[i], policy);
		bool empty = section && json_array_size(section) + json_object_size(section) == 0;

		if (empty) {
			json_decref(section);
		} else if (json_object_set_new(root, schema_sections[i].name, section) < 0) {
			json_decref(root);
			return NULL;
		}
	}
	return root;
}

/* Would YAML, ours or another's, take this text for something else than text? */
static bool is_ambiguous(const char *text)
{
	static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n", "~" };
	char *end;

	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	if (!*text || isspace((unsigned char)*text))
		return true;
	(void)strtod(text, &end);
	return !*end || (isdigit((unsigned char)*text) && !text[strspn(text, "0123456789_:")]);
}

struct out {
	yaml_emitter_t emitter;
	char *text;
	size_t length, room;
};

static int out_write(void *data, unsigned char *bytes, size_t n)
{
	struct out *out = data;

	if (n >= out->room - out->length) {
		size_t room = out->room * 2 + n + 1;
		char *text = realloc(out->text, room);

		if (!text)
			return 0;
		out->text = text;
		out->room = room;
	}
	memcpy(out->text + out->length, bytes, n);
	out->length += n;
	out->text[out->length] = '\0';
	return 1;
}

static bool emit_scalar(struct out *out, const char *text, bool quoted)
{
	yaml_event_t event;

	return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1,
					    quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE) &&
	       yaml_emitter_emit(&out->emitter, &event);
}

/* Columns that the node takes in flow style, about. */
static size_t flow_width(const json_t *node)
{
	size_t width = 0, i; /* the last ", " makes up for the brackets */
	const char *key;
	json_t *item;

	if (json_is_string(node))
		return json_string_length(node) + (is_ambiguous(json_string_value(node)) ? 2 : 0);
	if (!json_is_object(node) && !json_is_array(node))
		return 5;
	json_array_foreach(node, i, item)
		width += flow_width(item) + 2;
	json_object_foreach((json_t *)node, key, item)
		width += strlen(key) + 2 + flow_width(item) + 2;
	return width;
}

static bool emit_node(struct out *out, const json_t *node);

static bool emit_list(struct out *out, const json_t *node, bool flow)
{
	yaml_event_t event;
	bool ok = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						       flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE) &&
		  yaml_emitter_emit(&out->emitter, &event);
	json_t *item;
	size_t i;

	json_array_foreach(node, i, item)
		ok = ok && emit_node(out, item);
	return ok && yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(&out->emitter, &event);
}

static bool emit_map(struct out *out, const json_t *node, bool flow)
{
	yaml_event_t event;
	bool ok = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
						      flow ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE) &&
		  yaml_emitter_emit(&out->emitter, &event);
	const char *key;
	json_t *item;

	json_object_foreach((json_t *)node, key, item)
		ok = ok && emit_scalar(out, key, false) && emit_node(out, item);
	return ok && yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(&out->emitter, &event);
}

static bool emit_node(struct out *out, const json_t *node)
{
	char text[24];

	if (json_is_array(node))
		return emit_list(out, node,
				 flow_width(node) + 6 <= LINE_MAX_COLUMNS && !json_is_object(json_array_get(node, 0)));
	if (json_is_object(node))
		return emit_map(out, node, flow_width(node) + 2 <= LINE_MAX_COLUMNS);
	if (json_is_string(node))
		return emit_scalar(out, json_string_value(node), is_ambiguous(json_string_value(node)));
	if (json_is_boolean(node))
		return emit_scalar(out, json_is_true(node) ? "true" : "false", false);
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(node));
	return emit_scalar(out, text, false);
}

/* The sections one below the other, their entries in the style that fits. */
static bool emit_document(struct out *out, const json_t *root)
{
	yaml_event_t event;
	const char *name;
	json_t *section;
	bool ok;

	ok = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
	     yaml_emitter_emit(&out->emitter, &event) &&
	     yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
	     yaml_emitter_emit(&out->emitter, &event) &&
	     yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) &&
	     yaml_emitter_emit(&out->emitter, &event);
	json_object_foreach((json_t *)root, name, section)
		ok = ok && emit_scalar(out, name, false) && emit_node(out, section);
	return ok && yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(&out->emitter, &event) &&
	       yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&out->emitter, &event) &&
	       yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&out->emitter, &event);
}

static char *print_document(const json_t *root)
{
	struct out out = { 0 };
	bool ok;

	if (!yaml_emitter_initialize(&out.emitter))
		return NULL;
	yaml_emitter_set_output(&out.emitter, out_write, &out);
	yaml_emitter_set_width(&out.emitter, -1);
	yaml_emitter_set_unicode(&out.emitter, 1);
	ok = emit_document(&out, root);
	yaml_emitter_delete(&out.emitter);
	if (!ok) {
		free(out.text);
		return NULL;
	}
	return out.text;
}

char *policy_print(const struct policy *policy)
{
	json_t *root = say_policy(policy);
	char *text = root ? print_document(root) : NULL;

	json_decref(root);
	return text;
}

/* Takes out of both lists what is in both. */
static void cut_common_items(json_t *one, json_t *two)
{
	for (size_t i = json_array_size(one); i-- > 0;)
		for (size_t k = json_array_size(two); k-- > 0;)
			if (json_equal(json_array_get(one, i), json_array_get(two, k))) {
				json_array_remove(one, i);
				json_array_remove(two, k);
				break;
			}
}

static void cut_common_keys(json_t *one, json_t *two)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(one, next, key, value) if (json_equal(value, json_object_get(two, key)))
	{
		json_object_del(two, key);
		json_object_del(one, key);
	}
}

static void cut_common(json_t *one, json_t *two)
{
	for (size_t i = 0; i < n_schema_sections; i++) {
		const char *name = schema_sections[i].name;
		json_t *a = json_object_get(one, name), *b = json_object_get(two, name);

		if (schema_sections[i].list)
			cut_common_items(a, b);
		else
			cut_common_keys(a, b);
		if (json_array_size(a) + json_object_size(a) == 0)
			json_object_del(one, name);
		if (json_array_size(b) + json_object_size(b) == 0)
			json_object_del(two, name);
	}
}

static void put_lines(struct text *out, char sign, const json_t *root)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;

	if (json_object_size(root) == 0)
		return;
	text = print_document(root);
	if (!text) {
		out->failed = true;
		return;
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		text_add(out, "%c%s\n", sign, line);
}

int policy_diff(const struct policy *from, const struct policy *to, char **ret)
{
	json_t *one = say_policy(from), *two = say_policy(to);
	struct text out = { 0 };
	char *text;

	text_add(&out, "%s", ""); /* nothing is a text too */
	out.failed |= !one || !two;
	if (!out.failed) {
		cut_common(one, two);
		put_lines(&out, '-', one);
		put_lines(&out, '+', two);
	}
	json_decref(one);
	json_decref(two);
	text = text_take(&out);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}
