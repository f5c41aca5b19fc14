/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "policy/check.h"
#include "policy/schema.h"
#include "policy/tree.h"
#include "policy/words.h"

#define KEYS_MAX 16 /* rows in a table of the schema */

struct parse {
	const struct tree *tree;
	const char *name;
	struct error *error;
};

/* Puts the place before the message that is there. */
static int wrap_place(const struct parse *p, struct place place)
{
	if (p->error->code == ENOMEM)
		return -ENOMEM;
	return error_wrap(p->error, "%.200s:%u:%u", p->name, place.line, place.column);
}

static int wrap_node(const struct parse *p, const json_t *node)
{
	return wrap_place(p, tree_place(p->tree, node));
}

/* The readers of one word: what it says goes to *item, which is zero before. */

static int read_copy(const char *text, void *item, int checked, struct error *error)
{
	char *copy;

	if (checked < 0)
		return checked;
	copy = strdup(text);
	if (!copy)
		return error_memory(error);
	*(char **)item = copy;
	return 0;
}

static int read_member_name(const char *text, void *item, struct error *error)
{
	return read_copy(text, item, member_name_check(text, error), error);
}

static int read_group_name(const char *text, void *item, struct error *error)
{
	return read_copy(text, item, group_name_check(text, error), error);
}

static int read_interface(const char *text, void *item, struct error *error)
{
	return read_copy(text, item, interface_name_check(text, error), error);
}

static int read_comment(const char *text, void *item, struct error *error)
{
	return read_copy(text, item, comment_check(text, error), error);
}

static int read_role(const char *text, void *item, struct error *error)
{
	int role = role_parse(text, error);

	if (role < 0)
		return role;
	*(enum role *)item = (enum role)role;
	return 0;
}

/* One of the list: adds its bit. */
static int read_policy(const char *text, void *item, struct error *error)
{
	unsigned *policies = item;
	int bit = policy_bit_parse(text, error);

	if (bit < 0)
		return bit;
	if (*policies & (unsigned)bit)
		return error_set(error, EINVAL, "the policy '%s' is here twice", text);
	*policies |= (unsigned)bit;
	return 0;
}

static int read_bool(const char *text, void *item, struct error *error)
{
	char shown[WORD_SHOW_MAX];

	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return error_set(error, EINVAL, "'%s' is neither true nor false", word_show(text, shown));
	*(int *)item = *text == 't';
	return 0;
}

static int read_source(const char *text, void *item, struct error *error)
{
	return source_parse(text, item, error);
}

static int read_address(const char *text, void *item, struct error *error)
{
	char shown[WORD_SHOW_MAX];

	if (addr_parse(text, item) < 0)
		return error_set(error, EINVAL, "'%s' is not an address such as 172.30.0.2 or fd00::2",
				 word_show(text, shown));
	return 0;
}

static int read_selector(const char *text, void *item, struct error *error)
{
	return selector_parse(text, item, error);
}

static int read_target(const char *text, void *item, struct error *error)
{
	return target_parse(text, item, error);
}

static int read_expect(const char *text, void *item, struct error *error)
{
	int expect = expect_parse(text, error);

	if (expect < 0)
		return expect;
	*(enum expect *)item = (enum expect)expect;
	return 0;
}

static int read_port(const char *text, void *item, struct error *error)
{
	return port_range_parse(text, item, error);
}

static int read_time(const char *text, void *item, struct error *error)
{
	return expiry_parse(text, item, error);
}

static int read_local_users(const char *text, void *item, struct error *error)
{
	int who = local_users_parse(text, error);

	if (who < 0)
		return who;
	*(enum local_users *)item = (enum local_users)who;
	return 0;
}

static int read_labels(const char *text, void *item, struct error *error)
{
	int labels = labels_parse(text, error);

	if (labels < 0)
		return labels;
	*(enum labels *)item = (enum labels)labels;
	return 0;
}

static int read_count(const char *text, void *item, struct error *error)
{
	return count_parse(text, CONNECTIONS_MAX, item, error);
}

static int (*const readers[_VALUE_TYPE_MAX])(const char *text, void *item, struct error *error) = {
	[VALUE_MEMBER_NAME] = read_member_name,
	[VALUE_GROUP_NAME] = read_group_name,
	[VALUE_INTERFACE] = read_interface,
	[VALUE_COMMENT] = read_comment,
	[VALUE_ROLE] = read_role,
	[VALUE_POLICIES] = read_policy,
	[VALUE_WORDS] = read_group_name,
	[VALUE_BOOL] = read_bool,
	[VALUE_SOURCES] = read_source,
	[VALUE_ADDRESS] = read_address,
	[VALUE_SELECTOR] = read_selector,
	[VALUE_SELECTORS] = read_selector,
	[VALUE_TARGET] = read_target,
	[VALUE_EXPECT] = read_expect,
	[VALUE_PORT] = read_port,
	[VALUE_PORTS] = read_port,
	[VALUE_TIME] = read_time,
	[VALUE_LOCAL_USERS] = read_local_users,
	[VALUE_LABELS] = read_labels,
	[VALUE_COUNT] = read_count,
};

static int form_error(const struct parse *p, const struct schema_key *key, const json_t *node)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "a mapping", [JSON_ARRAY] = "a list", [JSON_STRING] = "a word"
	};

	error_set(p->error, EINVAL, "'%s' takes %s; here is %s", key->name, value_forms[key->type].sentence,
		  names[json_typeof(node)]);
	return wrap_node(p, node);
}

static int parse_entry(const struct parse *p, const struct schema_keys *keys, json_t *node, void *entry);

/* A value that is one word, or an item of a list. */
static int parse_item(const struct parse *p, const struct schema_key *key, json_t *node, void *item)
{
	if (key->keys)
		return parse_entry(p, key->keys, node, item);
	if (!json_is_string(node) || (key->type == VALUE_BOOL && !tree_is_plain(p->tree, node)))
		return form_error(p, key, node);
	if (tree_is_null(p->tree, node)) {
		error_set(p->error, EINVAL,
			  "there is no value here; a name that reads like this needs quotation marks");
		return wrap_node(p, node);
	}
	return readers[key->type](json_string_value(node), item, p->error) < 0 ? wrap_node(p, node) : 0;
}

static int parse_list(const struct parse *p, const struct schema_key *key, json_t *node, void *entry)
{
	const struct value_form *form = &value_forms[key->type];
	void **items = SCHEMA_AT(void *, entry, key->offset);
	size_t *n = SCHEMA_AT(size_t, entry, key->count), i;
	bool single = form->single && json_is_string(node);
	json_t *item;
	int r = 0;

	if (!single && !json_is_array(node))
		return form_error(p, key, node);
	for (i = 0; r >= 0 && i < (single ? 1 : json_array_size(node)); i++) {
		void *slot = array_grow(items, n, form->size);

		if (!slot)
			return error_memory(p->error);
		item = single ? node : json_array_get(node, i);
		r = parse_item(p, key, item, slot);
	}
	return r;
}

static int parse_policies(const struct parse *p, const struct schema_key *key, json_t *node, unsigned *policies)
{
	json_t *item;
	size_t i;

	if (!json_is_array(node))
		return form_error(p, key, node);
	*policies = 0;
	json_array_foreach(node, i, item) {
		int r = parse_item(p, key, item, policies);

		if (r < 0)
			return r;
	}
	return policies_check(*policies, p->error) < 0 ? wrap_node(p, node) : 0;
}

static int parse_value(const struct parse *p, const struct schema_key *key, json_t *node, void *entry)
{
	if (tree_is_null(p->tree, node)) {
		error_set(p->error, EINVAL, "'%s' has no value: it takes %s, or take the key out", key->name,
			  value_forms[key->type].sentence);
		return wrap_place(p, tree_key_place(p->tree, node));
	}
	if (key->said)
		*SCHEMA_AT(bool, entry, key->said) = true;
	if (key->type == VALUE_POLICIES)
		return parse_policies(p, key, node, SCHEMA_AT(unsigned, entry, key->offset));
	if (value_forms[key->type].list)
		return parse_list(p, key, node, entry);
	return parse_item(p, key, node, SCHEMA_AT(void, entry, key->offset));
}

static int unknown_key(const struct parse *p, const struct schema_keys *keys, const char *name, const json_t *value)
{
	const char *names[KEYS_MAX];
	size_t n = 0;

	for (; n < keys->n_keys && n < KEYS_MAX; n++)
		names[n] = keys->keys[n].name;
	word_unknown(p->error, "key", name, names, n);
	return wrap_place(p, tree_key_place(p->tree, value));
}

static const struct schema_key *key_row(const struct schema_keys *keys, const char *name)
{
	for (size_t i = 0; i < keys->n_keys; i++)
		if (strcmp(keys->keys[i].name, name) == 0)
			return &keys->keys[i];
	return NULL;
}

static int parse_entry(const struct parse *p, const struct schema_keys *keys, json_t *node, void *entry)
{
	const char *name;
	json_t *value;

	if (!json_is_object(node)) {
		error_set(p->error, EINVAL, "%s has to be a mapping of keys, such as {%s: ...}", keys->what,
			  keys->keys[0].name);
		return wrap_node(p, node);
	}
	json_object_foreach(node, name, value) {
		const struct schema_key *key = key_row(keys, name);
		int r = key ? parse_value(p, key, value, entry) : unknown_key(p, keys, name, value);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < keys->n_keys; i++) {
		if (!keys->keys[i].required || json_object_get(node, keys->keys[i].name))
			continue;
		error_set(p->error, EINVAL, "%s needs the key '%s': %s", keys->what, keys->keys[i].name,
			  value_forms[keys->keys[i].type].sentence);
		return wrap_node(p, node);
	}
	return 0;
}

static int parse_entries(const struct parse *p, const struct schema_section *section, json_t *node,
			 struct policy *policy)
{
	void **items = SCHEMA_AT(void *, policy, section->offset);
	size_t *n = SCHEMA_AT(size_t, policy, section->count), i;
	json_t *item;

	if (!json_is_array(node)) {
		error_set(p->error, EINVAL, "'%s' has to be a list of entries, such as [{%s: ...}]", section->name,
			  section->keys->keys[0].name);
		return wrap_node(p, node);
	}
	json_array_foreach(node, i, item) {
		void *entry = array_grow(items, n, section->size);
		int r;

		if (!entry)
			return error_memory(p->error);
		if (section->kind >= 0) {
			((struct member *)entry)->kind = (enum member_kind)section->kind;
			((struct member *)entry)->isolate = -1;
		}
		*SCHEMA_AT(struct place, entry, section->place) = tree_place(p->tree, item);
		r = parse_entry(p, section->keys, item, entry);
		if (r < 0)
			return r;
	}
	return 0;
}

static int unknown_section(const struct parse *p, const char *name, const json_t *value)
{
	const char *names[KEYS_MAX];
	size_t n = 0;

	for (; n < n_schema_sections && n < KEYS_MAX; n++)
		names[n] = schema_sections[n].name;
	word_unknown(p->error, "section", name, names, n);
	for (size_t i = 0; i < n_schema_reserved; i++)
		if (strcmp(name, schema_reserved[i]) == 0)
			error_set(p->error, EINVAL, "the section '%s' is not known in this version of spr: take it out",
				  name);
	return wrap_place(p, tree_key_place(p->tree, value));
}

static int parse_section(const struct parse *p, const char *name, json_t *node, struct policy *policy)
{
	const struct schema_section *section = schema_section(name);

	if (!section)
		return unknown_section(p, name, node);
	if (tree_is_null(p->tree, node)) {
		error_set(p->error, EINVAL, "the section '%s' is empty: write %s, or take it out", name,
			  section->list ? "[]" : "{}");
		return wrap_place(p, tree_key_place(p->tree, node));
	}
	if (section->list)
		return parse_entries(p, section, node, policy);
	return parse_entry(p, section->keys, node, SCHEMA_AT(void, policy, section->offset));
}

static int parse_document(const struct parse *p, struct policy *policy)
{
	json_t *root = tree_root(p->tree), *node;
	struct fault fault;
	const char *name;
	int r;

	if (root && !json_is_object(root)) {
		error_set(p->error, EINVAL, "the document has to be a mapping of sections, such as 'containers:'");
		return wrap_node(p, root);
	}
	json_object_foreach(root, name, node) {
		r = parse_section(p, name, node, policy);
		if (r < 0)
			return r;
	}
	r = policy_find_fault(policy, &fault, p->error);
	return r < 0 ? wrap_place(p, tree_find(p->tree, fault.place, fault.word, fault.skip)) : 0;
}

int policy_parse(const char *text, size_t length, const char *name, struct policy **ret, struct error *error)
{
	_cleanup_(tree_freep) struct tree *tree = NULL;
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct error local = { 0 };
	struct parse p = { .name = name, .error = error ? error : &local };
	int r;

	if (!policy)
		return error_memory(p.error);
	r = tree_parse(text, length, name, &tree, p.error);
	if (r < 0)
		return r;
	p.tree = tree;
	r = parse_document(&p, policy);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(policy);
	return 0;
}
