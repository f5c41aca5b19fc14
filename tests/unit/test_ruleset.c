/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rulesets as data: keys, sets, differences, and which change takes something away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ruleset/compile.h"
#include "world.h"

#define NOW 1800000000

static void test_keys(void **state)
{
	static const enum field fields[] = { FIELD_IIFNAME, FIELD_IP_SADDR, FIELD_L4PROTO, FIELD_TH_DPORT };
	static const uint8_t right[] = { 'b', 'r', '-', 'a', 0, 0, 0,  0, 0, 0, 0, 0,	 0, 0,
					 0,   0,   10,	9,   8, 7, 17, 0, 0, 0, 1, 0xbb, 0, 0 };
	_cleanup_(ruleset_freep) struct ruleset *ruleset = ruleset_new();
	struct set *set = ruleset_add_set(ruleset, "s", DATA_NONE, fields, 4);
	struct addr addr = { AF_INET, { 10, 9, 8, 7 } };
	struct element *element;

	assert_int_equal(set->key_size, sizeof(right));
	element = set_add(set);
	key_put_name(set, element->key, 0, "br-a");
	key_put_addr(set, element->key, 1, &addr);
	key_put_number(set, element->key, 2, 17);
	key_put_number(set, element->key, 3, 443);
	assert_memory_equal(element->key, right, sizeof(right));
	assert_int_equal(key_offset(set, 1), 16);
	assert_int_equal(key_offset(set, 3), 24);
}

/* A number of the machine's byte order is big-endian where the kernel compares for order. */
static void test_byte_order(void **state)
{
	static const enum field field[] = { FIELD_PRIORITY };
	_cleanup_(ruleset_freep) struct ruleset *ruleset = ruleset_new();
	struct set *set = ruleset_add_set(ruleset, "s", DATA_NONE, field, 1);
	uint8_t key[KEY_MAX] = { 0 };
	uint32_t value = 0x01020304;

	key_put_number(set, key, 0, value);
	assert_memory_equal(key, &value, 4);
	set->interval = true;
	key_put_number(set, key, 0, value);
	assert_memory_equal(key, ((uint8_t[]){ 1, 2, 3, 4 }), 4);
}

/* Every field is of a size that keys can hold, and has a text. */
static void test_fields(void **state)
{
	for (int i = 0; i < _FIELD_MAX; i++) {
		const struct field_info *info = field_info((enum field)i);

		assert_non_null(info->text);
		assert_true(info->size == 1 || info->size == 2 || info->size == 4 || info->size == 16);
		assert_true(!info->type || info->type_id);
	}
}

struct span {
	uint32_t class;
	uint8_t proto;
	uint16_t first, last;
};

static struct set *ports_set(struct ruleset *ruleset)
{
	static const enum field fields[] = { FIELD_PRIORITY, FIELD_L4PROTO, FIELD_TH_DPORT };
	struct set *set = ruleset_add_set(ruleset, "ports", DATA_NONE, fields, 3);

	set->interval = true;
	return set;
}

static void put_span(struct set *set, const struct span *span)
{
	struct element *element = set_add(set);

	key_put_number(set, element->key, 0, span->class);
	key_put_number(set, element->key, 1, span->proto);
	memcpy(element_key_end(set, element), element->key, set_key_room(set));
	key_put_number(set, element->key, 2, span->first);
	key_put_number(set, element_key_end(set, element), 2, span->last);
}

static void test_room(void **state)
{
	static const enum field fields[] = { FIELD_IP_SADDR };
	static const struct {
		size_t n;
		uint32_t room;
	} rows[] = { { 0, 1024 }, { 819, 1024 }, { 820, 4096 }, { 3276, 4096 }, { 100000, 262144 } };
	_cleanup_(ruleset_freep) struct ruleset *before = ruleset_new(), *after = ruleset_new();
	struct set *had = ruleset_add_set(before, "id4", DATA_NONE, fields, 1);
	struct set *has = ruleset_add_set(after, "id4", DATA_NONE, fields, 1);

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct set set = { .n_elements = rows[i].n };

		set_give_room(&set);
		assert_int_equal(set.size, rows[i].room);
	}
	had->size = 4096;
	ruleset_keep_room(after, before);
	assert_int_equal(has->size, 0); /* no room was ever said */
	has->size = 1024;
	ruleset_keep_room(after, before);
	assert_int_equal(has->size, 4096);
	has->size = 16384;
	ruleset_keep_room(after, before);
	assert_int_equal(has->size, 16384);
}

static void test_join(void **state)
{
	static const struct {
		struct span in[5], out[5];
	} rows[] = {
		{ { { 1, 6, 80, 80 } }, { { 1, 6, 80, 80 } } },
		{ { { 1, 6, 80, 80 }, { 1, 6, 80, 80 } }, { { 1, 6, 80, 80 } } },
		{ { { 1, 6, 80, 80 }, { 1, 6, 81, 90 } }, { { 1, 6, 80, 90 } } }, /* touching */
		{ { { 1, 6, 80, 80 }, { 1, 6, 82, 90 } }, { { 1, 6, 80, 80 }, { 1, 6, 82, 90 } } },
		{ { { 1, 6, 1, 65535 }, { 1, 6, 80, 90 } }, { { 1, 6, 1, 65535 } } }, /* inside */
		{ { { 1, 6, 65535, 65535 }, { 1, 6, 1, 65534 } }, { { 1, 6, 1, 65535 } } },
		{ { { 1, 6, 80, 90 }, { 1, 6, 85, 100 }, { 1, 6, 95, 110 } }, { { 1, 6, 80, 110 } } },
		{ { { 1, 17, 80, 90 }, { 1, 6, 85, 100 } }, { { 1, 6, 85, 100 }, { 1, 17, 80, 90 } } },
		{ { { 2, 6, 80, 90 }, { 1, 6, 85, 100 } }, { { 1, 6, 85, 100 }, { 2, 6, 80, 90 } } },
		{ { { 256, 6, 1, 2 }, { 1, 6, 3, 4 } }, { { 1, 6, 3, 4 }, { 256, 6, 1, 2 } } },
		{ { { 0 } }, { { 0 } } },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(ruleset_freep) struct ruleset *ruleset = ruleset_new();
		_cleanup_(ruleset_freep) struct ruleset *other = ruleset_new();
		struct set *set = ports_set(ruleset), *right = ports_set(other);

		for (size_t k = 0; k < 5 && rows[i].in[k].class; k++)
			put_span(set, &rows[i].in[k]);
		for (size_t k = 0; k < 5 && rows[i].out[k].class; k++)
			put_span(right, &rows[i].out[k]);
		set_join_ports(set);
		assert_int_equal(set->n_elements, right->n_elements);
		assert_memory_equal(set->elements, right->elements, set->n_elements * set_stride(set));
	}
}

/* A key of which so many bytes may differ from those of others, each in a few ways. */
static void put_some(struct set *set, unsigned *random, unsigned bytes)
{
	struct element *element = set_add(set);

	for (size_t k = 0; k < set->key_size; k++)
		element->key[k] = (uint8_t)(k * 7);
	for (unsigned i = 0; i < bytes && i < 16; i++) {
		*random = *random * 1103515245 + 12345;
		element->key[i] = (uint8_t)((*random >> 16) % 3 * 127);
	}
	if (set_is_tree(set))
		*element_end(set, element) = *random >> 24 & 1;
	if (set_has_key_ends(set))
		element_key_end(set, element)[3] = (uint8_t)(*random >> 20);
}

static int whole_compare(const void *a, const void *b, void *data)
{
	const struct element *left = a, *right = b;
	const struct set *set = data;
	size_t room = set_key_room(set);
	int order = memcmp(left->key, right->key, room);

	if (order == 0 && set_is_tree(set))
		order = *element_end(set, right) - *element_end(set, left);
	if (order == 0 && set_has_key_ends(set))
		order = memcmp(element_key_end(set, left), element_key_end(set, right), room);
	return order;
}

/* Few and many elements, whose keys differ in few and in many bytes: in order, each once, and none is lost. */
static void test_sort(void **state)
{
	static const enum field fields[] = { FIELD_IP6_SADDR, FIELD_L4PROTO };
	static const struct {
		size_t n_fields;
		bool interval;
	} kinds[] = { { 2, false }, { 2, true }, { 1, true }, { 1, false } };
	static const size_t counts[] = { 0, 1, 2, 50, 999, 1000, 3000 };
	unsigned random = 5;

	for (size_t i = 0; i < ELEMENTSOF(kinds) * ELEMENTSOF(counts) * 6; i++) {
		_cleanup_(ruleset_freep) struct ruleset *ruleset = ruleset_new();
		size_t kind = i % ELEMENTSOF(kinds), n = counts[i / ELEMENTSOF(kinds) % ELEMENTSOF(counts)], kept = 0;
		struct set *set = ruleset_add_set(ruleset, "s", DATA_NONE, fields, kinds[kind].n_fields), all;
		size_t stride;

		set->interval = kinds[kind].interval;
		stride = set_stride(set);
		for (size_t k = 0; k < n; k++)
			put_some(set, &random, 1u << i % 6);
		all = *set;
		all.elements = malloc(n * stride + 1);
		memcpy(all.elements, set->elements ? set->elements : "", n * stride);
		qsort_r(all.elements, n, stride, whole_compare, &all);
		for (size_t k = 0; k < n; k++)
			if (k == 0 || whole_compare(set_element(&all, kept - 1), set_element(&all, k), &all) != 0)
				memmove(set_element(&all, kept++), set_element(&all, k), stride);
		set_sort(set);
		assert_int_equal(set->n_elements, kept);
		if (kept)
			assert_memory_equal(set->elements, all.elements, kept * stride);
		for (size_t k = 0; k < kept; k++)
			assert_ptr_equal(set_find(set, set_element(&all, k)), set_element(set, k));
		free(all.elements);
	}
}

static struct ruleset *numbers(const char *name, const char *text, enum set_data data)
{
	static const enum field field[] = { FIELD_PRIORITY };
	struct ruleset *ruleset = ruleset_new();
	struct set *set = ruleset_add_set(ruleset, name, data, field, 1);

	for (; *text; text++) {
		struct element *element = set_add(set);

		key_put_number(set, element->key, 0, (uint8_t)(*text | 0x20));
		element->data = *text & 0x20; /* a capital letter: the same key, other data */
	}
	ruleset_finish(ruleset);
	return ruleset;
}

static int write_change(bool add, const struct element *element, void *data)
{
	char *text = data;

	snprintf(text + strlen(text), 64 - strlen(text), "%c%c", add ? '+' : '-', element->key[0]);
	return 0;
}

static int refuse_change(bool add, const struct element *element, void *data)
{
	return -EIO;
}

static void test_diff(void **state)
{
	static const struct {
		const char *from, *to, *changes;
	} rows[] = {
		{ "", "", "" },	      { "abc", "abc", "" },	 { "cba", "abc", "" },	   { "aab", "abb", "" },
		{ "", "ab", "+a+b" }, { "ab", "", "-a-b" },	 { "abc", "bcd", "-a+d" }, { "ac", "abc", "+b" },
		{ "a", "A", "-a+a" }, { "ab", "aBc", "-b+b+c" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(ruleset_freep) struct ruleset *from = numbers("s", rows[i].from, DATA_PRIORITY);
		_cleanup_(ruleset_freep) struct ruleset *to = numbers("s", rows[i].to, DATA_PRIORITY);
		char text[64] = "";

		assert_int_equal(set_diff(&from->sets[0], &to->sets[0], write_change, text), 0);
		assert_string_equal(text, rows[i].changes);
		text[0] = '\0';
		assert_int_equal(set_diff(NULL, &to->sets[0], write_change, text), 0);
		assert_int_equal(strlen(text), 2 * to->sets[0].n_elements);
		assert_int_equal(set_diff(&from->sets[0], &to->sets[0], refuse_change, NULL),
				 rows[i].changes[0] ? -EIO : 0);
	}
}

static struct ruleset *compiled(const char *yaml, struct class_book *book)
{
	static const char machine[] = "interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\n"
				      "bridge br-m 172.30.1.1/24\nnetwork media br-m 172.30.1.0/24\n"
				      "container jelly media 172.30.1.10 port=0.0.0.0:8096:80/tcp\n"
				      "container web media 172.30.1.11\nresolver 192.168.1.1\n";
	struct world world = world_new(machine, yaml, book, NOW);
	struct compile_options options = { 0 };
	struct error error = { 0 };
	struct ruleset *ruleset;

	assert_int_equal(ruleset_compile(world.model, &options, &ruleset, &error), 0);
	world_free(&world); /* the ruleset stands alone */
	return ruleset;
}

#define PUBLISH(to) "containers: [{name: jelly, policies: [wan, dns], publish: [{port: 8096/tcp, to: [" to "]}]}]\n"

/* "true" may be said too often, "false" never wrongly: what is taken away has to be looked for in the connections. */
static void test_tightens(void **state)
{
	static const struct {
		const char *from, *to;
		bool tightens;
	} rows[] = {
		{ "", "", false },
		{ PUBLISH("lan"), PUBLISH("lan"), false },
		{ PUBLISH("lan"), "", true },
		{ PUBLISH("lan, internet"), PUBLISH("lan"), true },
		{ "", PUBLISH("lan"), true }, /* what it may open was nothing: another class */
		{ "allow: [{from: lan, to: jelly}]", "", true },
		{ "allow: [{from: lan, to: jelly}]", "allow: [{from: lan, to: jelly, ports: [80/tcp]}]", true },
		{ "", "block: [{from: jelly, to: internet, ports: [25/tcp]}]", true },
		{ "block: [{from: jelly, to: internet, ports: [25/tcp]}]",
		  "block: [{from: jelly, to: internet, ports: [25-26/tcp]}]", true },
		{ "", "containers: [{name: jelly, policies: [disabled]}]", true },
		{ "", "containers: [{name: jelly, policies: [quarantine]}]", true },
		{ "", "networks: [{name: media, policies: [wan, dns], isolate: true}]", true },
		{ "", "settings: {connections: 100}", true },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
		_cleanup_(ruleset_freep) struct ruleset *from = compiled(rows[i].from, book);
		_cleanup_(ruleset_freep) struct ruleset *to = compiled(rows[i].to, book);

		if (ruleset_tightens(from, to) != rows[i].tightens)
			fail_msg("'%s' to '%s'", rows[i].from, rows[i].to);
	}
}

/* An element more in a set that denies tightens, in one that grants it does not. */
static void test_tightens_sets(void **state)
{
	static const struct {
		const char *set, *from, *to;
		bool tightens;
	} rows[] = {
		{ "all-1", "a", "ab", false },	 { "all-1", "ab", "a", true },	 { "no-all-1", "a", "ab", true },
		{ "no-all-1", "ab", "a", true }, { "no-all-1", "a", "b", true }, { "muted", "", "a", true },
		{ "classes", "a", "ab", false },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(ruleset_freep) struct ruleset *from = numbers(rows[i].set, rows[i].from, DATA_NONE);
		_cleanup_(ruleset_freep) struct ruleset *to = numbers(rows[i].set, rows[i].to, DATA_NONE);

		assert_int_equal(ruleset_tightens(from, to), rows[i].tightens);
	}
}

/* Another epoch is another set, and the rules that fill and ask it; everything else is as it was. */
static void test_renew(void **state)
{
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
	_cleanup_(ruleset_freep) struct ruleset *from = compiled(PUBLISH("lan"), book);
	_cleanup_(ruleset_freep) struct ruleset *to = compiled(PUBLISH("lan"), book);
	size_t n = 0;

	assert_false(ruleset_tightens(from, to));
	ruleset_renew(to, 0xabcdef01);
	assert_non_null(ruleset_set(from, "passed-00000000"));
	assert_null(ruleset_set(to, "passed-00000000"));
	assert_true(set_is_passed(ruleset_set(to, "passed-abcdef01")));
	assert_true(ruleset_tightens(from, to));
	for (size_t i = 0; i < from->n_chains; i++) {
		const struct chain *chain = &from->chains[i], *now = ruleset_chain(to, chain->name);

		assert_non_null(now);
		if (chain_equal_rules(chain, now))
			continue;
		assert_true(strncmp(chain->name, "forward-known", 13) == 0 || strcmp(chain->name, "accepted") == 0);
		n++;
	}
	assert_int_equal(n, 3);
}

/* Every chain that is jumped to is there, every set that is looked up too, with the fields of the look-up. */
static void test_whole(void **state)
{
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
	_cleanup_(ruleset_freep) struct ruleset *ruleset = compiled(
		PUBLISH("lan") "block: [{from: jelly, to: internet, ports: [25/tcp, gre]}, {from: web, to: jelly}]\n"
			       "allow: [{from: web, to: internet, ports: [icmp]}]",
		book);

	for (size_t i = 0; i < ruleset->n_chains; i++)
		for (size_t k = 0; k < ruleset->chains[i].n_rules; k++)
			for (size_t s = 0; s < ruleset->chains[i].rules[k].n_stmts; s++) {
				const struct stmt *stmt = &ruleset->chains[i].rules[k].stmts[s];
				bool jump = stmt->kind == STMT_VERDICT &&
					    (stmt->code == CODE_JUMP || stmt->code == CODE_GOTO);
				bool look = stmt->kind == STMT_IN || stmt->kind == STMT_VMAP ||
					    stmt->kind == STMT_PRIORITY_MAP || stmt->kind == STMT_COUNT_OVER;
				const struct set *set = look ? ruleset_set(ruleset, stmt->name) : NULL;

				if (jump)
					assert_non_null(ruleset_chain(ruleset, stmt->name));
				if (!look)
					continue;
				assert_non_null(set);
				assert_int_equal(set->n_fields, stmt->n_fields);
				for (size_t f = 0; f < set->n_fields;
				     f++) /* "iif" and "oif", "sport" and "dport" alike */
					assert_int_equal(field_info(set->fields[f])->type_id,
							 field_info(stmt->fields[f])->type_id);
			}
}

static size_t elements_with(const struct ruleset *ruleset, const char *name, uint32_t data)
{
	const struct set *set = ruleset_set(ruleset, name);
	size_t n = 0;

	for (size_t i = 0; i < set->n_elements; i++)
		n += set_element(set, i)->data == data;
	return n;
}

/* A port of nobody is a target that no class may open, and no exception to the strong host. */
static void test_ports_of_nobody(void **state)
{
	static const char machine[] = "interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\n"
				      "stopped old bind=0.0.0.0:81:80/tcp bind=192.168.1.5:82:80/tcp\n"
				      "stopped older bind=0.0.0.0:81:80/tcp\n";
	struct world world = world_new(machine, "", NULL, NOW);
	_cleanup_(ruleset_freep) struct ruleset *ruleset = NULL;
	struct compile_options options = { 0 };
	struct error error = { 0 };

	assert_int_equal(ruleset_compile(world.model, &options, &ruleset, &error), 0);
	assert_int_equal(ruleset_set(ruleset, "wild4")->n_elements, 1);
	assert_int_equal(ruleset_set(ruleset, "bound4")->n_elements, 1);
	assert_int_equal(elements_with(ruleset, "wild4", 0xffff), 1);
	assert_int_equal(elements_with(ruleset, "bound4", 0xffff), 1);
	assert_int_equal(ruleset_set(ruleset, "published4")->n_elements, 0);
	assert_int_equal(ruleset_set(ruleset, "dialled4")->n_elements, 0);
	world_free(&world);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),  cmocka_unit_test(test_byte_order), cmocka_unit_test(test_fields),
		cmocka_unit_test(test_room),  cmocka_unit_test(test_join),	 cmocka_unit_test(test_sort),
		cmocka_unit_test(test_diff),  cmocka_unit_test(test_tightens),	 cmocka_unit_test(test_tightens_sets),
		cmocka_unit_test(test_renew), cmocka_unit_test(test_whole),	 cmocka_unit_test(test_ports_of_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
