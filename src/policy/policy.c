/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/policy.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "policy/schema.h"

/* Values that own memory; all others are plain bytes without gaps. */
static bool type_is_selector(enum value_type type)
{
	return type == VALUE_SELECTOR || type == VALUE_SELECTORS || type == VALUE_TARGET;
}

static void entry_clear(const struct schema_keys *keys, void *entry);
static int entry_copy(const struct schema_keys *keys, const void *from, void *to);
static bool entry_equal(const struct schema_keys *keys, const void *a, const void *b);

static void item_clear(const struct schema_key *key, void *item)
{
	if (key->keys)
		entry_clear(key->keys, item);
	else if (type_is_selector(key->type))
		selector_clear(item);
	else if (value_forms[key->type].text)
		free(*(char **)item);
}

static int target_copy(const struct target *from, struct target *to)
{
	struct target copy = *from;
	int r = selector_copy(&from->selector, &copy.selector);

	if (r >= 0)
		*to = copy;
	return r;
}

static int item_copy(const struct schema_key *key, const void *from, void *to)
{
	const char *text;

	if (key->keys)
		return entry_copy(key->keys, from, to);
	if (key->type == VALUE_TARGET)
		return target_copy(from, to);
	if (type_is_selector(key->type))
		return selector_copy(from, to);
	if (!value_forms[key->type].text) {
		memcpy(to, from, value_forms[key->type].size);
		return 0;
	}
	text = *(char *const *)from;
	*(char **)to = text ? strdup(text) : NULL;
	return text && !*(char **)to ? -ENOMEM : 0;
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool selector_equal(const struct selector *a, const struct selector *b)
{
	if (a->kind != b->kind || !text_equal(a->name, b->name))
		return false;
	return a->kind == SELECT_ZONE	? a->zone == b->zone :
	       a->kind == SELECT_MEMBER ? a->member_kind == b->member_kind :
					  true;
}

static bool target_equal(const struct target *a, const struct target *b)
{
	return selector_equal(&a->selector, &b->selector) && a->has_port == b->has_port &&
	       a->port.proto == b->port.proto && a->port.any_port == b->port.any_port &&
	       a->port.first == b->port.first && a->port.last == b->port.last;
}

static bool item_equal(const struct schema_key *key, const void *a, const void *b)
{
	if (key->keys)
		return entry_equal(key->keys, a, b);
	if (key->type == VALUE_TARGET)
		return target_equal(a, b);
	if (type_is_selector(key->type))
		return selector_equal(a, b);
	if (value_forms[key->type].text)
		return text_equal(*(char *const *)a, *(char *const *)b);
	return memcmp(a, b, value_forms[key->type].size) == 0;
}

static void entry_clear(const struct schema_keys *keys, void *entry)
{
	for (size_t i = 0; i < keys->n_keys; i++) {
		const struct schema_key *key = &keys->keys[i];
		size_t size = value_forms[key->type].size;
		char *items = SCHEMA_AT(char, entry, key->offset);

		if (!value_forms[key->type].list) {
			item_clear(key, items);
			continue;
		}
		items = *(char **)items;
		for (size_t j = 0; j < *SCHEMA_AT(size_t, entry, key->count); j++)
			item_clear(key, items + j * size);
		free(items);
	}
}

static int list_copy(const struct schema_key *key, const void *from, void *to)
{
	const char *items = *SCHEMA_AT(char *const, from, key->offset);
	size_t n = *SCHEMA_AT(const size_t, from, key->count), size = value_forms[key->type].size;
	void **copies = SCHEMA_AT(void *, to, key->offset);

	for (size_t i = 0; i < n; i++) {
		void *slot = array_grow(copies, SCHEMA_AT(size_t, to, key->count), size);
		int r = slot ? item_copy(key, items + i * size, slot) : -ENOMEM;

		if (r < 0)
			return r;
	}
	return 0;
}

/* `to` is zero before; what was copied before a failure stays in it. */
static int entry_copy(const struct schema_keys *keys, const void *from, void *to)
{
	for (size_t i = 0; i < keys->n_keys; i++) {
		const struct schema_key *key = &keys->keys[i];
		int r;

		if (key->said)
			*SCHEMA_AT(bool, to, key->said) = *SCHEMA_AT(const bool, from, key->said);
		if (value_forms[key->type].list)
			r = list_copy(key, from, to);
		else
			r = item_copy(key, SCHEMA_AT(const void, from, key->offset), SCHEMA_AT(void, to, key->offset));
		if (r < 0)
			return r;
	}
	return 0;
}

static bool list_equal(const struct schema_key *key, const void *a, const void *b)
{
	const char *one = *SCHEMA_AT(char *const, a, key->offset), *two = *SCHEMA_AT(char *const, b, key->offset);
	size_t n = *SCHEMA_AT(const size_t, a, key->count), size = value_forms[key->type].size;

	if (n != *SCHEMA_AT(const size_t, b, key->count))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!item_equal(key, one + i * size, two + i * size))
			return false;
	return true;
}

static bool entry_equal(const struct schema_keys *keys, const void *a, const void *b)
{
	for (size_t i = 0; i < keys->n_keys; i++) {
		const struct schema_key *key = &keys->keys[i];

		if (key->said && *SCHEMA_AT(const bool, a, key->said) != *SCHEMA_AT(const bool, b, key->said))
			return false;
		if (value_forms[key->type].list && !list_equal(key, a, b))
			return false;
		if (!value_forms[key->type].list &&
		    !item_equal(key, SCHEMA_AT(const void, a, key->offset), SCHEMA_AT(const void, b, key->offset)))
			return false;
	}
	return true;
}

/* Is entry i of the section's array one of this section? Members of all kinds share an array. */
static void *section_entry(const struct schema_section *section, const struct policy *policy, size_t i)
{
	char *entry = *SCHEMA_AT(char *const, policy, section->offset) + i * section->size;

	return section->kind < 0 || ((struct member *)entry)->kind == (enum member_kind)section->kind ? entry : NULL;
}

static size_t section_count(const struct schema_section *section, const struct policy *policy)
{
	return *SCHEMA_AT(const size_t, policy, section->count);
}

struct policy *policy_new(void)
{
	struct policy *policy = calloc(1, sizeof(*policy));

	if (policy)
		policy->settings = (struct settings){ .local_users = LOCAL_USERS_ALL, .connections = 4096 };
	return policy;
}

struct policy *policy_free(struct policy *policy)
{
	if (!policy)
		return NULL;
	for (size_t i = 0; i < n_schema_sections; i++) {
		const struct schema_section *section = &schema_sections[i];

		for (size_t j = 0; section->list && j < section_count(section, policy); j++)
			if (section_entry(section, policy, j))
				entry_clear(section->keys, section_entry(section, policy, j));
	}
	free(policy->interfaces);
	free(policy->members);
	free(policy->groups);
	free(policy->allow);
	free(policy->block);
	free(policy->tests);
	free(policy->dismissed);
	free(policy);
	return NULL;
}

/* Appends copies of all entries of the section's array, whatever their kind. */
static int entries_copy(const struct schema_section *section, const struct policy *from, struct policy *to)
{
	for (size_t i = 0; i < section_count(section, from); i++) {
		const char *entry = *SCHEMA_AT(char *const, from, section->offset) + i * section->size;
		const struct schema_keys *keys = section->keys;
		void *slot = array_grow(SCHEMA_AT(void *, to, section->offset), SCHEMA_AT(size_t, to, section->count),
					section->size);
		int r;

		if (!slot)
			return -ENOMEM;
		if (section->kind >= 0) {
			const struct member *member = (const struct member *)entry;

			((struct member *)slot)->kind = member->kind;
			((struct member *)slot)->isolate = member->isolate;
			keys = schema_member_keys(member->kind);
		}
		*SCHEMA_AT(struct place, slot, section->place) = *SCHEMA_AT(const struct place, entry, section->place);
		r = entry_copy(keys, entry, slot);
		if (r < 0)
			return r;
	}
	return 0;
}

struct policy *policy_copy(const struct policy *policy)
{
	_cleanup_(policy_freep) struct policy *copy = policy_new();

	if (!copy)
		return NULL;
	copy->settings = policy->settings;
	for (size_t i = 0; i < n_schema_sections; i++) {
		const struct schema_section *section = &schema_sections[i];
		bool first = true; /* of those that share an array */

		for (size_t j = 0; j < i; j++)
			first = first && schema_sections[j].offset != section->offset;
		if (section->list && first && entries_copy(section, policy, copy) < 0)
			return NULL;
	}
	return TAKE_PTR(copy);
}

/* The next entry of the section at or after *i, which is moved behind it. */
static const void *next_entry(const struct schema_section *section, const struct policy *policy, size_t *i)
{
	while (*i < section_count(section, policy)) {
		const void *entry = section_entry(section, policy, (*i)++);

		if (entry)
			return entry;
	}
	return NULL;
}

static bool section_equal(const struct schema_section *section, const struct policy *a, const struct policy *b)
{
	size_t i = 0, j = 0;

	if (!section->list)
		return entry_equal(section->keys, SCHEMA_AT(const void, a, section->offset),
				   SCHEMA_AT(const void, b, section->offset));
	for (;;) {
		const void *one = next_entry(section, a, &i), *two = next_entry(section, b, &j);

		if (!one || !two)
			return one == two;
		if (!entry_equal(section->keys, one, two))
			return false;
	}
}

bool policy_equal(const struct policy *a, const struct policy *b)
{
	for (size_t i = 0; i < n_schema_sections; i++)
		if (!section_equal(&schema_sections[i], a, b))
			return false;
	return true;
}

static bool has_word(char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

static bool publish_in(const struct member *member, const struct publish *publish)
{
	for (size_t i = 0; i < member->n_publish; i++)
		if (entry_equal(&schema_publish_keys, &member->publish[i], publish))
			return true;
	return false;
}

#define POLICIES_THAT_CLOSE (POLICY_NOAPI | POLICY_DISABLED | POLICY_QUARANTINE)

/* The same entry, with fewer policies that open and no fewer that close, fewer groups and publish items. */
static bool member_says_less(const struct member *from, const struct member *to)
{
	struct member rest = *to;

	if ((to->policies & ~from->policies & ~(unsigned)POLICIES_THAT_CLOSE) ||
	    (from->policies & ~to->policies & POLICIES_THAT_CLOSE) || from->has_groups != to->has_groups)
		return false;
	for (size_t i = 0; i < to->n_groups; i++)
		if (!has_word(from->groups, from->n_groups, to->groups[i]))
			return false;
	for (size_t i = 0; i < to->n_publish; i++)
		if (!publish_in(from, &to->publish[i]))
			return false;
	rest.policies = from->policies;
	rest.groups = from->groups;
	rest.n_groups = from->n_groups;
	rest.publish = from->publish;
	rest.n_publish = from->n_publish;
	return entry_equal(schema_member_keys(from->kind), from, &rest);
}

/* Each of `some` is one of `all`: most often the one behind the last, as what both have is in the same order. */
static bool grants_in(const struct grant *some, size_t n_some, const struct grant *all, size_t n_all)
{
	for (size_t i = 0, next = 0; i < n_some; i++) {
		size_t k = 0;

		while (k < n_all && !entry_equal(&schema_grant_keys, &some[i], &all[(next + k) % n_all]))
			k++;
		if (k == n_all)
			return false;
		next += k + 1;
	}
	return true;
}

bool policy_only_tightens(const struct policy *from, const struct policy *to)
{
	if (!section_equal(schema_section("interfaces"), from, to) ||
	    !section_equal(schema_section("settings"), from, to) ||
	    !grants_in(to->allow, to->n_allow, from->allow, from->n_allow) ||
	    !grants_in(from->block, from->n_block, to->block, to->n_block) || from->n_members != to->n_members)
		return false;
	for (size_t i = 0; i < to->n_members; i++) {
		const struct member *now = &to->members[i], *before = &from->members[i];

		if (before->kind != now->kind || strcmp(before->name, now->name) != 0)
			before = policy_member(from, now->kind, now->name);
		if (!before || !member_says_less(before, now))
			return false;
	}
	return true;
}

struct member *policy_member(const struct policy *policy, enum member_kind kind, const char *name)
{
	for (size_t i = 0; i < policy->n_members; i++)
		if (policy->members[i].kind == kind && strcmp(policy->members[i].name, name) == 0)
			return &policy->members[i];
	return NULL;
}

struct member *policy_member_add(struct policy *policy, enum member_kind kind, const char *name)
{
	struct member *member = policy_member(policy, kind, name);
	char *copy;

	if (member || kind == MEMBER_RULE)
		return member;
	copy = strdup(name);
	if (!copy)
		return NULL;
	member = ARRAY_ADD(policy->members, policy->n_members);
	if (!member) {
		free(copy);
		return NULL;
	}
	*member = (struct member){ .kind = kind, .name = copy, .isolate = -1 };
	return member;
}

struct group *policy_group(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_groups; i++)
		if (strcmp(policy->groups[i].name, name) == 0)
			return &policy->groups[i];
	return NULL;
}

struct group *policy_group_add(struct policy *policy, const char *name)
{
	struct group *group = policy_group(policy, name);
	char *copy;

	if (group)
		return group;
	copy = strdup(name);
	if (!copy)
		return NULL;
	group = ARRAY_ADD(policy->groups, policy->n_groups);
	if (!group) {
		free(copy);
		return NULL;
	}
	group->name = copy;
	return group;
}

int policy_word_add(char ***words, size_t *n, const char *word)
{
	char *copy, **slot;

	for (size_t i = 0; i < *n; i++)
		if (strcmp((*words)[i], word) == 0)
			return 0;
	copy = strdup(word);
	if (!copy)
		return -ENOMEM;
	slot = ARRAY_ADD(*words, *n);
	if (!slot) {
		free(copy);
		return -ENOMEM;
	}
	*slot = copy;
	return 1;
}

bool policy_word_cut(char **words, size_t *n, const char *word)
{
	for (size_t i = 0; i < *n; i++) {
		if (strcmp(words[i], word) != 0)
			continue;
		free(words[i]);
		ARRAY_CUT(words, *n, i);
		return true;
	}
	return false;
}

static int publish_merge(struct member *member, const struct publish *more)
{
	struct publish *publish = NULL;

	for (size_t i = 0; i < member->n_publish; i++)
		if (memcmp(&member->publish[i].port, &more->port, sizeof(more->port)) == 0)
			publish = &member->publish[i];
	if (!publish) {
		publish = ARRAY_ADD(member->publish, member->n_publish);
		if (!publish)
			return -ENOMEM;
		publish->port = more->port;
	}
	for (size_t i = 0; i < more->n_to; i++) {
		struct selector *slot;
		bool there = false;

		for (size_t k = 0; k < publish->n_to; k++)
			there = there || selector_equal(&publish->to[k], &more->to[i]);
		if (there)
			continue;
		slot = ARRAY_ADD(publish->to, publish->n_to);
		if (!slot || selector_copy(&more->to[i], slot) < 0)
			return -ENOMEM;
	}
	return 0;
}

int policy_member_merge(struct member *member, const struct member *more)
{
	int r = 0;

	if (more->policies & (POLICY_DISABLED | POLICY_QUARANTINE))
		member->policies = more->policies;
	else
		member->policies |= more->policies;
	member->has_groups |= more->has_groups;
	for (size_t i = 0; i < more->n_groups && r >= 0; i++)
		r = policy_word_add(&member->groups, &member->n_groups, more->groups[i]);
	for (size_t i = 0; i < more->n_tags && r >= 0; i++)
		r = policy_word_add(&member->tags, &member->n_tags, more->tags[i]);
	for (size_t i = 0; i < more->n_publish && r >= 0; i++)
		r = publish_merge(member, &more->publish[i]);
	return r < 0 ? r : 0;
}

void policy_member_clear(struct member *member)
{
	entry_clear(schema_member_keys(member->kind), member);
	*member = (struct member){ 0 };
}

void policy_grant_clear(struct grant *grant)
{
	entry_clear(&schema_grant_keys, grant);
	*grant = (struct grant){ 0 };
}

void policy_publish_clear(struct publish *publish)
{
	entry_clear(&schema_publish_keys, publish);
	*publish = (struct publish){ 0 };
}
