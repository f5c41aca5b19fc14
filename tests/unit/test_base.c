/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/array.h"
#include "base/error.h"

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static struct prefix prefix(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix;
}

/* What is read is written again; the second column, where it is there, says how. */
static void test_addr_text(void **state)
{
	static const char *const texts[][2] = {
		{ "0.0.0.0" },
		{ "255.255.255.255" },
		{ "10.0.0.1" },
		{ "::" },
		{ "::1" },
		{ "fe80::1" },
		{ "2001:DB8:0:0::1", "2001:db8::1" },
		{ "::ffff:10.0.0.1" },
	};
	char buffer[ADDR_TEXT_MAX];

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		struct addr addr = address(texts[i][0]);

		assert_string_equal(addr_text(&addr, buffer), texts[i][1] ? texts[i][1] : texts[i][0]);
	}
	assert_string_equal(addr_text(&(struct addr){ 0 }, buffer), "-");
}

static void test_addr_refused(void **state)
{
	static const char *const texts[] = {
		"",	     "1",	  "1.2.3",	  "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ",  " 1.2.3.4",
		"1.2.3.4/8", "localhost", "fe80::1%eth0", ":::",       "1::2::3",   "::g",	"0x1.2.3.4", "1.2.3.-4",
	};
	struct addr addr = { .family = 99 };

	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		assert_int_equal(addr_parse(texts[i], &addr), -EINVAL);
	assert_int_equal(addr.family, 99); /* untouched */
}

static void test_prefix_text(void **state)
{
	static const char *const texts[][2] = {
		{ "10.0.0.0/8" }, { "192.168.1.5/24" }, { "1.2.3.4/32", "1.2.3.4" },  { "1.2.3.4" },
		{ "0.0.0.0/0" },  { "::/0" },		{ "fd00::1/128", "fd00::1" }, { "2600::/3" },
	};
	static const char *const refused[] = {
		"10.0.0.0/33",
		"10.0.0.0/",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/ 8",
		"10.0.0.0/8x",
		"::/129",
		"/8",
		"10.0.0.0//8",
		"10.0.0.0/4294967304",
		"1111111111111111111111111111111111111111111111111111111111111111/8",
	};
	struct prefix untouched = { .length = 77 };
	char buffer[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		struct prefix it = prefix(texts[i][0]);

		assert_string_equal(prefix_text(&it, buffer), texts[i][1] ? texts[i][1] : texts[i][0]);
	}
	for (size_t i = 0; i < ELEMENTSOF(refused); i++)
		assert_int_equal(prefix_parse(refused[i], &untouched), -EINVAL);
	assert_int_equal(untouched.length, 77);
}

static void test_prefix_range(void **state)
{
	static const struct {
		const char *prefix, *first, *last, *below, *above;
	} rows[] = {
		{ "192.168.1.5/24", "192.168.1.0", "192.168.1.255", "192.168.0.255", "192.168.2.0" },
		{ "10.1.2.3/9", "10.0.0.0", "10.127.255.255", "9.255.255.255", "10.128.0.0" },
		{ "1.2.3.4", "1.2.3.4", "1.2.3.4", "1.2.3.3", "1.2.3.5" },
		{ "1.2.3.5/31", "1.2.3.4", "1.2.3.5", "1.2.3.3", "1.2.3.6" },
		{ "fd00:1::7/64", "fd00:1::", "fd00:1::ffff:ffff:ffff:ffff", "fd00:0:ffff:ffff:ffff:ffff:ffff:ffff",
		  "fd00:1:0:1::" },
		{ "2600::/3", "2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct prefix it = prefix(rows[i].prefix);
		struct range range = prefix_range(&it);
		struct addr first = address(rows[i].first), last = address(rows[i].last);
		struct addr below = address(rows[i].below), above = address(rows[i].above);

		assert_int_equal(addr_compare(&range.first, &first), 0);
		assert_int_equal(addr_compare(&range.last, &last), 0);
		assert_true(prefix_contains(&it, &first) && prefix_contains(&it, &last));
		assert_false(prefix_contains(&it, &below) || prefix_contains(&it, &above));
		assert_true(addr_next(&below) && addr_compare(&below, &first) == 0);
		assert_true(addr_previous(&above) && addr_compare(&above, &last) == 0);
	}
}

/* The whole of a family, and nothing of the other one. */
static void test_everywhere(void **state)
{
	struct prefix all4 = prefix("0.0.0.0/0"), all6 = prefix("::/0");
	struct addr ends[] = { address("0.0.0.0"), address("255.255.255.255"), address("::"),
			       address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") };

	for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
		assert_int_equal(prefix_contains(&all4, &ends[i]), i < 2);
		assert_int_equal(prefix_contains(&all6, &ends[i]), i >= 2);
	}
	assert_false(addr_previous(&ends[0]) || addr_next(&ends[1]) || addr_previous(&ends[2]) || addr_next(&ends[3]));
	assert_true(addr_is_any(&ends[0]) && addr_is_any(&ends[2]));
	assert_int_equal(ends[1].bytes[3], 255); /* as it was */
}

static void test_kinds(void **state)
{
	static const struct {
		const char *text;
		bool loopback, link_local;
	} rows[] = {
		{ "127.0.0.1", true, false },	 { "127.255.255.255", true, false },
		{ "128.0.0.1", false, false },	 { "::1", true, false },
		{ "::2", false, false },	 { "169.254.9.9", false, true },
		{ "169.253.9.9", false, false }, { "fe80::1", false, true },
		{ "febf::1", false, true },	 { "fec0::1", false, false },
		{ "fe7f::1", false, false },	 { "0.0.0.1", false, false },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct addr addr = address(rows[i].text);

		assert_int_equal(addr_is_loopback(&addr), rows[i].loopback);
		assert_int_equal(addr_is_link_local(&addr), rows[i].link_local);
	}
}

static void test_order(void **state)
{
	static const char *const sorted[] = {
		"0.0.0.0", "9.255.255.255", "10.0.0.0", "255.0.0.0", "::", "::1", "fd00::"
	};

	for (size_t i = 0; i < ELEMENTSOF(sorted); i++)
		for (size_t k = 0; k < ELEMENTSOF(sorted); k++) {
			struct addr a = address(sorted[i]), b = address(sorted[k]);
			int order = addr_compare(&a, &b);

			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
		}
}

/* Grows and shrinks against a plain array. */
static void test_array(void **state)
{
	unsigned random = 7, plain[400];
	uint32_t *items = NULL;
	size_t n = 0, n_plain = 0;

	for (unsigned step = 0; step < 20000; step++) {
		random = random * 1103515245 + 12345;
		if (n_plain < 400 && (n_plain == 0 || random >> 16 & 1)) {
			uint32_t *slot = ARRAY_ADD(items, n);

			assert_non_null(slot);
			assert_int_equal(*slot, 0);
			*slot = plain[n_plain++] = step;
		} else {
			size_t i = (random >> 17) % n_plain;

			ARRAY_CUT(items, n, i);
			memmove(plain + i, plain + i + 1, (--n_plain - i) * sizeof(*plain));
		}
		assert_int_equal(n, n_plain);
		for (size_t i = 0; i < n; i += 17)
			assert_int_equal(items[i], plain[i]);
	}
	free(items);
}

static void test_array_limits(void **state)
{
	void *items = NULL;
	size_t n = (size_t)1 << 62;

	assert_null(array_grow(&items, &n, 64));
	assert_true(n == (size_t)1 << 62);
	assert_null(items);
}

static void test_error(void **state)
{
	struct error error = { 0 };
	char big[2000];

	assert_int_equal(error_set(&error, EINVAL, "no %s here", "thing"), -EINVAL);
	assert_int_equal(error.code, EINVAL);
	assert_string_equal(error.text, "no thing here");
	assert_int_equal(error_wrap(&error, "line %d", 3), -EINVAL);
	assert_string_equal(error.text, "line 3: no thing here");
	assert_int_equal(error_memory(&error), -ENOMEM);
	assert_int_equal(error.code, ENOMEM);
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(error_set(&error, EIO, "%s", big), -EIO);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_int_equal(error_wrap(&error, "%s", big), -EIO);
	assert_true(strlen(error.text) < sizeof(error.text));
	/* nobody listens */
	assert_int_equal(error_set(NULL, EIO, "x"), -EIO);
	assert_int_equal(error_memory(NULL), -ENOMEM);
	assert_true(error_wrap(NULL, "x") < 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr_text),    cmocka_unit_test(test_addr_refused),
		cmocka_unit_test(test_prefix_text),  cmocka_unit_test(test_prefix_range),
		cmocka_unit_test(test_everywhere),   cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_array),
		cmocka_unit_test(test_array_limits), cmocka_unit_test(test_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
