/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_POLICY_SCHEMA_H
#define SPR_POLICY_SCHEMA_H

#include "policy/policy.h"

/*
 * The schema of the policy document: one row a key, with where its value goes. Parsing, printing, copying, comparing
 * and the messages all read these tables; spr-policy(5) is checked against them.
 */

enum value_type {
	VALUE_MEMBER_NAME,
	VALUE_GROUP_NAME,
	VALUE_INTERFACE,
	VALUE_COMMENT,
	VALUE_ROLE,
	VALUE_POLICIES,
	VALUE_WORDS, /* names of groups or tags */
	VALUE_BOOL, /* int: 1, 0, -1 not said */
	VALUE_SOURCES,
	VALUE_ADDRESS,
	VALUE_SELECTOR,
	VALUE_SELECTORS,
	VALUE_TARGET,
	VALUE_EXPECT,
	VALUE_PORT,
	VALUE_PORTS,
	VALUE_TIME,
	VALUE_LOCAL_USERS,
	VALUE_LABELS,
	VALUE_COUNT,
	VALUE_PUBLISH, /* a list of entries with keys of their own */
	_VALUE_TYPE_MAX,
};

/* What a value of a type looks like. */
struct value_form {
	size_t size; /* bytes of the value, or of one item of a list */
	bool list; /* `offset` holds a pointer to items, `count` their number */
	bool text; /* the value is a string of its own */
	bool single; /* a list of one may be written as one word */
	const char *sentence; /* "a list of groups, such as [media]" */
};

struct schema_key {
	const char *name;
	enum value_type type;
	bool required;
	size_t offset; /* of the value in the entry */
	size_t count; /* lists: of the number of items */
	size_t said; /* of a bool: the key was there; 0 where none is kept */
	const char *standard; /* the default, as text; NULL: nothing */
	const char *help;
	const struct schema_keys *keys; /* VALUE_PUBLISH */
};

struct schema_keys {
	const char *what; /* "an entry of containers" */
	const struct schema_key *keys;
	size_t n_keys;
};

struct schema_section {
	const char *name;
	const char *help;
	const struct schema_keys *keys;
	bool list; /* of entries; otherwise the section is one mapping */
	int kind; /* of enum member_kind, -1 for what is no member */
	size_t size; /* of one entry */
	size_t offset, count; /* in struct policy; without a list, of the struct itself */
	size_t place; /* of struct place in the entry; lists only */
};

extern const struct value_form value_forms[_VALUE_TYPE_MAX];
extern const struct schema_section schema_sections[];
extern const size_t n_schema_sections;

/* Sections that other versions have and this one does not. */
extern const char *const schema_reserved[];
extern const size_t n_schema_reserved;

const struct schema_section *schema_section(const char *name);
const struct schema_keys *schema_member_keys(enum member_kind kind);
extern const struct schema_keys schema_grant_keys, schema_publish_keys;

#define SCHEMA_AT(type, base, offset) ((type *)((char *)(base) + (offset)))

#endif
