/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

/* What parses also passes the check, prints, and reads back as the same policy. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, const char *text, const struct error *error)
{
	fprintf(stderr, "%s: %s\n%s\n", what, error->text, text);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(policy_freep) struct policy *policy = NULL, *copy = NULL, *back = NULL;
	_cleanup_free_ char *text = NULL, *again = NULL;
	struct error error = { 0 };

	if (policy_parse((const char *)data, size, "fuzz", &policy, &error) < 0) {
		if (error.code == 0 || !*error.text)
			abort();
		return 0;
	}
	if (policy_check(policy, &error) < 0)
		fail("what was parsed does not pass the check", "", &error);
	copy = policy_copy(policy);
	text = policy_print(policy);
	if (!copy || !text || !policy_equal(policy, copy))
		fail("no copy or no text", "", &error);
	if (policy_parse(text, strlen(text), "printed", &back, &error) < 0)
		fail("what was printed does not parse", text, &error);
	if (!policy_equal(policy, back))
		fail("what was printed says something else", text, &error);
	again = policy_print(back);
	if (!again || strcmp(text, again) != 0)
		fail("printed differently the second time", text, &error);
	return 0;
}
