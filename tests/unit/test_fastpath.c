/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the fast path is put at interfaces and taken away, in a network namespace of this test's own; what it does with packets
 * is for the lab. Ends with 77 (skipped) and the reason where that cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "kernel/fastpath.h"
#include "shell.h"

DEFINE_CLEANUP(struct fastpath *, fastpath_close)

static struct fastpath *opened(void)
{
	struct fastpath *fastpath = NULL;
	struct error error = { 0 };

	if (fastpath_open(&fastpath, &error) < 0)
		fail_msg("%s", error.text);
	return fastpath;
}

static int clean(void **state)
{
	sh("ip link del one 2>/dev/null; ip link add one type veth peer name two && ip link set one up");
	return 0;
}

static void attach(struct fastpath *fastpath, const char *name)
{
	struct error error = { 0 };

	if (fastpath_attach(fastpath, if_nametoindex(name), &error) < 0)
		fail_msg("%s: %s", name, error.text);
}

static void test_comes_and_goes(void **state)
{
	struct fastpath *fastpath = opened();

	attach(fastpath, "one");
	attach(fastpath, "one");
	attach(fastpath, "two");
	assert_int_equal(fastpath_interfaces(fastpath), 2);
	sh("tc filter show dev one ingress | grep -q spr_fastpath_in && tc filter show dev one egress | grep -q spr_fastpath_out");
	fastpath_detach_all(fastpath);
	assert_int_equal(fastpath_interfaces(fastpath), 0);
	sh("! tc qdisc show | grep clsact");
	attach(fastpath, "one");
	assert_null(fastpath_close(fastpath));
	sh("! tc qdisc show dev one | grep clsact");
}

/* One who was killed has left his programs: they are replaced. */
static void test_replaces_what_was_left(void **state)
{
	struct fastpath *first = opened(), *second = opened();

	attach(first, "one");
	attach(second, "one");
	sh("[ $(tc filter show dev one ingress | grep -c spr_fastpath) = 1 ]");
	fastpath_close(second);
	sh("! tc filter show dev one ingress | grep spr_fastpath");
	fastpath_close(first);
}

static void test_beside_others(void **state)
{
	_cleanup_(fastpath_closep) struct fastpath *fastpath = opened();
	struct error error = { 0 };

	sh("tc qdisc add dev one clsact && tc qdisc add dev two ingress");
	attach(fastpath, "one");
	sh("tc filter add dev one ingress protocol ip pref 7 u32 match ip dport 9 0xffff classid 1:1");
	assert_int_equal(fastpath_attach(fastpath, if_nametoindex("two"), &error), -EEXIST);
	assert_non_null(strstr(error.text, "cannot be attached"));
	assert_int_equal(fastpath_interfaces(fastpath), 1);
	fastpath_detach_all(fastpath);
	sh("tc filter show dev one ingress | grep -q 'pref 7' && ! tc filter show dev one ingress | grep spr_fastpath &&"
	   "tc qdisc show dev two | grep -q ingress");
	/* where the place is ours, and somebody has come into it */
	sh("tc qdisc del dev one clsact");
	attach(fastpath, "one");
	sh("tc filter add dev one egress protocol ip pref 7 u32 match ip dport 9 0xffff classid 1:1");
	fastpath_detach_all(fastpath);
	sh("tc filter show dev one egress | grep -q 'pref 7'");
}

static bool never(unsigned interface, const void *data)
{
	return false;
}

static void test_interfaces_that_go(void **state)
{
	_cleanup_(fastpath_closep) struct fastpath *fastpath = opened();
	struct error error = { 0 };

	attach(fastpath, "one");
	sh("ip link del one");
	fastpath_forget(fastpath, never, NULL);
	assert_int_equal(fastpath_interfaces(fastpath), 0);
	assert_int_equal(fastpath_attach(fastpath, 999, &error), -ENODEV);
	assert_int_equal(fastpath_interfaces(fastpath), 0);
}

static void test_runs_for_a_while(void **state)
{
	_cleanup_(fastpath_closep) struct fastpath *fastpath = opened();

	assert_false(fastpath_runs(fastpath));
	fastpath_run(fastpath, 60000);
	assert_true(fastpath_runs(fastpath));
	fastpath_stop(fastpath);
	assert_false(fastpath_runs(fastpath));
	fastpath_run(fastpath, 0);
	assert_false(fastpath_runs(fastpath));
	assert_int_equal(fastpath_packets(fastpath), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_comes_and_goes),     TEST(test_replaces_what_was_left), TEST(test_beside_others),
		TEST(test_interfaces_that_go), TEST(test_runs_for_a_while),
	};
	_cleanup_(fastpath_closep) struct fastpath *fastpath = NULL;
	struct error error = { 0 };

	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "skipped: cannot make a namespace: %s\n", strerror(errno));
		return 77;
	}
	if (fastpath_open(&fastpath, &error) < 0) {
		fprintf(stderr, "skipped: no fast path: %s\n", error.text);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
