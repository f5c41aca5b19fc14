/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "kernel/resolv.h"

/* What resolv_read() says of a file with this text: an address, or the error's name. */
static const char *resolver_of(const char *text, char *buffer)
{
	char path[] = "/tmp/spr-test-resolv-XXXXXX";
	int fd = mkstemp(path), r;
	size_t length = strlen(text);
	struct addr addr = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	r = resolv_read(path, &addr);
	unlink(path);
	if (r == -ENOENT)
		return "none";
	assert_int_equal(r, 0);
	return addr_text(&addr, buffer);
}

static void test_files(void **state)
{
	static const struct {
		const char *text, *resolver;
	} cases[] = {
		{ "nameserver 192.168.1.1\n", "192.168.1.1" },
		{ "nameserver 192.168.1.1", "192.168.1.1" },
		{ "# a comment\n; nameserver 9.9.9.9\n#nameserver 9.9.9.9\nsearch lan\nnameserver\t10.0.0.1  # first\n"
		  "nameserver 10.0.0.2\n",
		  "10.0.0.1" },
		{ "  nameserver 10.0.0.1\r\n", "10.0.0.1" },
		{ "nameserver 127.0.0.53\nnameserver ::1\nnameserver 2600:50::53\n", "2600:50::53" },
		{ "nameserver fe80::1%eth0\n", "fe80::1" },
		{ "nameserver ::ffff:10.0.0.1\n", "10.0.0.1" },
		{ "nameserver ::ffff:127.0.0.1\n", "none" },
		{ "nameserver 0.0.0.0\nnameserver ::\n", "none" },
		{ "nameserver 127.0.0.53\noptions edns0\n", "none" },
		{ "nameserver\nnameserver dns.example\nnameserver 1.2.3\nnameserver 1.2.3.4.5\nnameservers 1.2.3.4\n",
		  "none" },
		{ "", "none" },
		{ "nameserver 300.1.1.1\nnameserver 10.0.0.1\n", "10.0.0.1" },
	};
	char buffer[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(resolver_of(cases[i].text, buffer), cases[i].resolver);
}

static void test_a_long_line(void **state)
{
	char text[3000], buffer[ADDR_TEXT_MAX];

	(void)state;
	/* What comes later in a line is not a line of its own, wherever the reading buffer ends. */
	for (int before = 480; before < 540; before++) {
		memset(text, ' ', sizeof(text));
		memcpy(text, "search x", 8);
		strcpy(text + before, "nameserver 9.9.9.9\nnameserver 10.0.0.1\n");
		assert_string_equal(resolver_of(text, buffer), "10.0.0.1");
	}
}

static void test_no_file(void **state)
{
	struct addr addr = { .family = 77 };
	char path[] = "/tmp/spr-test-resolv-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_true(resolv_read(path, &addr) < 0); /* a directory */
	rmdir(path);
	assert_int_equal(resolv_read(path, &addr), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(resolv_read(path, &addr), -ENOENT); /* does not hang */
	unlink(path);
	assert_int_equal(addr.family, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_a_long_line),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
