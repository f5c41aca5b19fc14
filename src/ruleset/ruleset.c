/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/ruleset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct ruleset *ruleset_new(void)
{
	return calloc(1, sizeof(struct ruleset));
}

static void chain_clear(struct chain *chain)
{
	for (size_t i = 0; i < chain->n_rules; i++)
		free(chain->rules[i].stmts);
	free(chain->rules);
}

struct ruleset *ruleset_free(struct ruleset *ruleset)
{
	if (!ruleset)
		return NULL;
	for (size_t i = 0; i < ruleset->n_chains; i++)
		chain_clear(&ruleset->chains[i]);
	for (size_t i = 0; i < ruleset->n_sets; i++)
		free(ruleset->sets[i].elements);
	for (size_t i = 0; i < ruleset->n_strings; i++)
		free(ruleset->strings[i]);
	free(ruleset->set_names);
	free(ruleset->chain_names);
	free(ruleset->chains);
	free(ruleset->sets);
	free(ruleset->strings);
	free(ruleset);
	return NULL;
}

/* Where a name is in an array; good while nothing is added to it. */
struct ruleset_name {
	const char *name;
	size_t at;
};

static int name_compare(const void *a, const void *b)
{
	const struct ruleset_name *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : left->at < right->at ? -1 : left->at > right->at;
}

static const struct ruleset_name *name_find(const struct ruleset_name *names, size_t n, const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && strcmp(names[low].name, name) == 0 ? &names[low] : NULL;
}

struct chain *ruleset_chain(const struct ruleset *ruleset, const char *name)
{
	if (ruleset->chain_names && ruleset->n_chain_names == ruleset->n_chains) {
		const struct ruleset_name *found = name_find(ruleset->chain_names, ruleset->n_chains, name);

		return found ? &ruleset->chains[found->at] : NULL;
	}
	for (size_t i = 0; i < ruleset->n_chains; i++)
		if (strcmp(ruleset->chains[i].name, name) == 0)
			return &ruleset->chains[i];
	return NULL;
}

struct set *ruleset_set(const struct ruleset *ruleset, const char *name)
{
	if (ruleset->set_names && ruleset->n_set_names == ruleset->n_sets) {
		const struct ruleset_name *found = name_find(ruleset->set_names, ruleset->n_sets, name);

		return found ? &ruleset->sets[found->at] : NULL;
	}
	for (size_t i = 0; i < ruleset->n_sets; i++)
		if (strcmp(ruleset->sets[i].name, name) == 0)
			return &ruleset->sets[i];
	return NULL;
}

/* Without memory there is no list, and names are searched for. */
static void names_note(struct ruleset *ruleset)
{
	free(ruleset->set_names);
	free(ruleset->chain_names);
	ruleset->set_names = calloc(ruleset->n_sets + 1, sizeof(*ruleset->set_names));
	ruleset->chain_names = calloc(ruleset->n_chains + 1, sizeof(*ruleset->chain_names));
	ruleset->n_set_names = ruleset->n_sets;
	ruleset->n_chain_names = ruleset->n_chains;
	for (size_t i = 0; ruleset->set_names && i < ruleset->n_sets; i++)
		ruleset->set_names[i] = (struct ruleset_name){ ruleset->sets[i].name, i };
	for (size_t i = 0; ruleset->chain_names && i < ruleset->n_chains; i++)
		ruleset->chain_names[i] = (struct ruleset_name){ ruleset->chains[i].name, i };
	if (ruleset->set_names && ruleset->n_sets)
		qsort(ruleset->set_names, ruleset->n_sets, sizeof(*ruleset->set_names), name_compare);
	if (ruleset->chain_names && ruleset->n_chains)
		qsort(ruleset->chain_names, ruleset->n_chains, sizeof(*ruleset->chain_names), name_compare);
}

struct chain *ruleset_add_chain(struct ruleset *ruleset, const char *name, enum hook hook, int priority, bool drop)
{
	struct chain *chain = ARRAY_ADD(ruleset->chains, ruleset->n_chains);

	if (!chain)
		return NULL;
	snprintf(chain->name, sizeof(chain->name), "%s", name);
	chain->hook = hook;
	chain->priority = priority;
	chain->policy_drop = drop;
	return chain;
}

struct set *ruleset_add_set(struct ruleset *ruleset, const char *name, enum set_data data, const enum field *fields,
			    size_t n_fields)
{
	struct set *set = ARRAY_ADD(ruleset->sets, ruleset->n_sets);

	if (!set)
		return NULL;
	snprintf(set->name, sizeof(set->name), "%s", name);
	set->data = data;
	memcpy(set->fields, fields, n_fields * sizeof(*fields));
	set->n_fields = (uint8_t)n_fields;
	set->key_size = n_fields == 1 ? field_info(fields[0])->size : (uint8_t)key_offset(set, n_fields);
	return set;
}

const char *ruleset_string(struct ruleset *ruleset, const char *format, ...)
{
	char **slot, *text;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		return NULL;
	slot = ARRAY_ADD(ruleset->strings, ruleset->n_strings);
	if (!slot) {
		free(text);
		return NULL;
	}
	*slot = text;
	return text;
}

int chain_add_rule(struct chain *chain, const struct stmt *stmts, size_t n_stmts)
{
	struct rule *rule = ARRAY_ADD(chain->rules, chain->n_rules);

	if (!rule)
		return -ENOMEM;
	rule->stmts = malloc(n_stmts * sizeof(*stmts));
	if (!rule->stmts) {
		chain->n_rules--;
		return -ENOMEM;
	}
	memcpy(rule->stmts, stmts, n_stmts * sizeof(*stmts));
	rule->n_stmts = n_stmts;
	return 0;
}

struct element *set_add(struct set *set)
{
	return array_grow(&set->elements, &set->n_elements, set_stride(set));
}

struct set set_like(const struct set *set)
{
	struct set like = *set;

	like.elements = NULL;
	like.n_elements = 0;
	return like;
}

size_t key_offset(const struct set *set, size_t i)
{
	size_t offset = 0;

	for (size_t k = 0; k < i; k++)
		offset += (field_info(set->fields[k])->size + 3u) & ~3u;
	return offset;
}

void key_put_name(const struct set *set, uint8_t *key, size_t i, const char *name)
{
	strncpy((char *)key + key_offset(set, i), name, IFNAMSIZ);
}

void key_put_addr(const struct set *set, uint8_t *key, size_t i, const struct addr *addr)
{
	memcpy(key + key_offset(set, i), addr->bytes, addr_size(addr->family));
}

void key_put_number(const struct set *set, uint8_t *key, size_t i, uint32_t value)
{
	const struct field_info *info = field_info(set->fields[i]);
	uint8_t *at = key + key_offset(set, i);

	if (info->size == 4) {
		if (!info->host_order || set->interval)
			value = htonl(value);
		memcpy(at, &value, 4);
	} else if (info->size == 2) {
		uint16_t half = htons((uint16_t)value);

		memcpy(at, &half, 2);
	} else {
		*at = (uint8_t)value;
	}
}

/* Bytes of the key, or of its first and last. */
static size_t set_compared(const struct set *set)
{
	return set_key_room(set) * (set_has_key_ends(set) ? 2 : 1);
}

/* An end comes before what begins at the same key. */
static int element_compare(const void *a, const void *b, void *data)
{
	const struct element *left = a, *right = b;
	const struct set *set = data;
	int order = memcmp(left->key, right->key, set_compared(set));

	return order || !set_is_tree(set) ? order : *element_end(set, right) - *element_end(set, left);
}

/* Where an element is, and of its key the bytes in which there are differences. */
struct ranked {
	uint64_t key;
	size_t at;
};

/* By one byte, and where that is the same in the order in which they are. */
static void rank_by_byte(const struct ranked *from, struct ranked *to, size_t n, unsigned shift)
{
	size_t first[UINT8_MAX + 2] = { 0 };

	for (size_t i = 0; i < n; i++)
		first[(from[i].key >> shift & UINT8_MAX) + 1]++;
	for (size_t i = 1; i <= UINT8_MAX; i++)
		first[i] += first[i - 1];
	for (size_t i = 0; i < n; i++)
		to[first[from[i].key >> shift & UINT8_MAX]++] = from[i];
}

/* Where keys differ; SIZE_MAX: in more bytes than a rank has. */
static size_t differing_bytes(const struct set *set, size_t size, uint8_t ret[sizeof(uint64_t)])
{
	const uint32_t *first = (const uint32_t *)set_element(set, 0)->key, *key = first;
	size_t stride = set_stride(set) / sizeof(*key), n = 0;
	uint32_t differ[2 * KEY_MAX / sizeof(*key)] = { 0 };

	for (size_t i = 0; i < set->n_elements; i++, key += stride)
		for (size_t k = 0; k < size / sizeof(*key); k++)
			differ[k] |= key[k] ^ first[k];
	for (size_t k = 0; k < size; k++) {
		if (!((const uint8_t *)differ)[k])
			continue;
		if (n == sizeof(uint64_t))
			return SIZE_MAX;
		ret[n++] = (uint8_t)k;
	}
	return n;
}

/*
 * Many keys differ in few bytes: to go through all once for each of these takes a fifth of the time that comparing takes. False
 * without memory, or where the order is another.
 */
static bool sort_by_rank(struct set *set)
{
	size_t n = set->n_elements, stride = set_stride(set);
	uint8_t bytes[sizeof(uint64_t)];
	size_t n_bytes = set_is_tree(set) ? SIZE_MAX : differing_bytes(set, set_compared(set), bytes);
	_cleanup_free_ struct ranked *ranked = n_bytes == SIZE_MAX ? NULL : calloc(n, 2 * sizeof(*ranked));
	_cleanup_free_ char *copy = ranked ? malloc(n * stride) : NULL;
	struct ranked *from, *to, *spare;

	if (!copy)
		return false;
	from = ranked;
	to = ranked + n;
	for (size_t i = 0; i < n; i++) {
		from[i].at = i;
		for (size_t k = 0; k < n_bytes; k++)
			from[i].key = from[i].key << 8 | set_element(set, i)->key[bytes[k]];
	}
	for (unsigned k = 0; k < n_bytes; k++) {
		rank_by_byte(from, to, n, 8 * k);
		spare = from;
		from = to;
		to = spare;
	}
	memcpy(copy, set->elements, n * stride);
	for (size_t i = 0; i < n; i++)
		memcpy(set_element(set, i), copy + from[i].at * stride, stride);
	return true;
}

#define MANY 1000

static void sort(struct set *set)
{
	if (set->n_elements > 1 && (set->n_elements < MANY || !sort_by_rank(set)))
		qsort_r(set->elements, set->n_elements, set_stride(set), element_compare, set);
}

int set_add_range(struct set *set, const struct range *range, uint32_t data)
{
	struct addr after = range->last;
	struct element *element = set_add(set);

	if (!element)
		return -ENOMEM;
	key_put_addr(set, element->key, 0, &range->first);
	element->data = data;
	if (!addr_next(&after))
		return 0;
	element = set_add(set);
	if (!element)
		return -ENOMEM;
	key_put_addr(set, element->key, 0, &after);
	*element_end(set, element) = true;
	return 0;
}

#define ROOM_MIN 1024

void set_give_room(struct set *set)
{
	size_t room = ROOM_MIN;

	while (room < set->n_elements + set->n_elements / 4)
		room *= 4;
	set->size = (uint32_t)room;
}

void ruleset_keep_room(struct ruleset *to, const struct ruleset *from)
{
	for (size_t i = 0; i < to->n_sets; i++) {
		const struct set *before = set_has_room(&to->sets[i]) ? ruleset_set(from, to->sets[i].name) : NULL;

		if (before && set_has_room(before) && before->size > to->sets[i].size)
			to->sets[i].size = before->size;
	}
}

static uint32_t port_at(const uint8_t *key, size_t at)
{
	return (uint32_t)key[at] << 8 | key[at + 1];
}

void set_join_ports(struct set *set)
{
	size_t at = key_offset(set, set->n_fields - 1u), stride = set_stride(set), kept = 0;

	sort(set);
	for (size_t i = 1; i < set->n_elements; i++) {
		struct element *last = set_element(set, kept), *next = set_element(set, i);
		uint8_t *last_end = element_key_end(set, last), *next_end = element_key_end(set, next);

		if (memcmp(last->key, next->key, at) != 0 || port_at(next->key, at) > port_at(last_end, at) + 1)
			memmove(set_element(set, ++kept), next, stride);
		else if (port_at(next_end, at) > port_at(last_end, at))
			memcpy(last_end, next_end, set_key_room(set));
	}
	set->n_elements = set->n_elements ? kept + 1 : 0;
}

static int compare_at(struct set *set, size_t i, size_t k)
{
	return element_compare(set_element(set, i), set_element(set, k), set);
}

void set_sort(struct set *set)
{
	size_t stride = set_stride(set), kept = 0, sorted = 1;

	while (sorted < set->n_elements && compare_at(set, sorted - 1, sorted) < 0)
		sorted++;
	if (sorted >= set->n_elements)
		return;
	sort(set);
	for (size_t i = 1; i < set->n_elements; i++)
		if (compare_at(set, kept, i) != 0)
			memmove(set_element(set, ++kept), set_element(set, i), stride);
	set->n_elements = kept + 1;
}

const struct element *set_find(const struct set *set, const struct element *element)
{
	size_t low = 0, high = set->n_elements;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct element *found = set_element(set, middle);
		int order = element_compare(found, element, (void *)set);

		if (order == 0)
			return found;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void ruleset_finish(struct ruleset *ruleset)
{
	names_note(ruleset);
	for (size_t i = 0; i < ruleset->n_sets; i++)
		set_sort(&ruleset->sets[i]);
}

/* The name keeps its length and its place in the order, and rules have it from one string of the ruleset's. */
void ruleset_renew(struct ruleset *ruleset, uint32_t epoch)
{
	for (size_t i = 0; i < ruleset->n_sets; i++)
		if (set_is_passed(&ruleset->sets[i]))
			snprintf(ruleset->sets[i].name, sizeof(ruleset->sets[i].name), PASSED_NAME, epoch);
	for (size_t i = 0; i < ruleset->n_strings; i++)
		if (strncmp(ruleset->strings[i], PASSED_NAME, PASSED_PREFIX) == 0)
			snprintf(ruleset->strings[i], strlen(ruleset->strings[i]) + 1, PASSED_NAME, epoch);
}

bool set_has_types(const struct set *set)
{
	for (size_t i = 0; i < set->n_fields; i++)
		if (!field_info(set->fields[i])->type)
			return false;
	return true;
}

bool set_is_passed(const struct set *set)
{
	return set->dynamic && strncmp(set->name, PASSED_NAME, PASSED_PREFIX) == 0;
}

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool stmt_equal(const struct stmt *a, const struct stmt *b)
{
	return a->kind == b->kind && a->negate == b->negate && a->n_fields == b->n_fields &&
	       memcmp(a->fields, b->fields, a->n_fields * sizeof(a->fields[0])) == 0 && same_name(a->name, b->name) &&
	       a->value == b->value && a->mask == b->mask && a->n_bytes == b->n_bytes && a->prefix == b->prefix &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 && a->code == b->code;
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
	if (a->n_stmts != b->n_stmts)
		return false;
	for (size_t i = 0; i < a->n_stmts; i++)
		if (!stmt_equal(&a->stmts[i], &b->stmts[i]))
			return false;
	return true;
}

bool chain_equal_rules(const struct chain *a, const struct chain *b)
{
	if (a->n_rules != b->n_rules)
		return false;
	for (size_t i = 0; i < a->n_rules; i++)
		if (!rule_equal(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

/* Whether the elements of both are of one form. */
static bool set_equal_elements(const struct set *a, const struct set *b)
{
	return a->n_fields == b->n_fields && memcmp(a->fields, b->fields, a->n_fields * sizeof(a->fields[0])) == 0 &&
	       a->data == b->data && a->interval == b->interval;
}

bool set_equal_type(const struct set *a, const struct set *b)
{
	return set_equal_elements(a, b) && a->timeout == b->timeout && a->dynamic == b->dynamic && a->size == b->size;
}

static bool element_same_data(const struct set *set, const struct element *a, const struct element *b)
{
	return a->data == b->data &&
	       (set->data != DATA_VERDICT || strcmp(element_chain(set, a), element_chain(set, b)) == 0);
}

int set_diff(const struct set *from, const struct set *to,
	     int (*change)(bool add, const struct element *element, void *data), void *data)
{
	size_t n_from = from ? from->n_elements : 0, i = 0, k = 0;
	bool comparable = from && set_equal_elements(from, to);
	int r = 0;

	while (r >= 0 && (i < n_from || k < to->n_elements)) {
		const struct element *old = i < n_from ? set_element(from, i) : NULL;
		const struct element *new = k < to->n_elements ? set_element(to, k) : NULL;
		int order = !old ? 1 : !new || !comparable ? -1 : element_compare(old, new, (void *)to);

		if (order == 0 && element_same_data(to, old, new)) {
			i++, k++;
			continue;
		}
		if (order <= 0) {
			r = change(false, old, data);
			i++;
		}
		if (r >= 0 && order >= 0) {
			r = change(true, new, data);
			k++;
		}
	}
	return r < 0 ? r : 0;
}

static int differs(bool add, const struct element *element, void *data)
{
	(void)add;
	(void)element;
	(void)data;
	return -ENOTUNIQ;
}

static bool chain_equal(const struct chain *a, const struct chain *b)
{
	return b && a->hook == b->hook && a->priority == b->priority && a->policy_drop == b->policy_drop &&
	       a->nat == b->nat && chain_equal_rules(a, b);
}

bool ruleset_equal(const struct ruleset *a, const struct ruleset *b)
{
	if (a->n_chains != b->n_chains || a->n_sets != b->n_sets)
		return false;
	for (size_t i = 0; i < a->n_chains; i++)
		if (!chain_equal(&a->chains[i], ruleset_chain(b, a->chains[i].name)))
			return false;
	for (size_t i = 0; i < a->n_sets; i++) {
		const struct set *set = ruleset_set(b, a->sets[i].name);

		if (!set || !set_equal_type(&a->sets[i], set) || set_diff(&a->sets[i], set, differs, NULL) < 0)
			return false;
	}
	return true;
}
