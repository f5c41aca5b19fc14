/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_POLICY_CHECK_H
#define SPR_POLICY_CHECK_H

#include "policy/policy.h"

/* Where a check failed: the entry, and the word in it that is wrong ("" when it is the whole entry). */
struct fault {
	struct place place;
	char word[POLICY_NAME_MAX + 16];
	unsigned skip; /* so many times the word stands in the entry before */
};

/* policy_check() without the place in the message; fault is written on -EINVAL. */
int policy_find_fault(const struct policy *policy, struct fault *fault, struct error *error);

#endif
