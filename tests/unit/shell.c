/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/program.h"
#include "shell.h"

void sh(const char *script)
{
	const char *const arguments[] = { "sh", "-c", script, NULL };
	_cleanup_free_ char *out = NULL;
	char said[PROGRAM_SAID_MAX];
	size_t length;

	if (program_feed(arguments, NULL, &out, &length, said) < 0)
		fail_msg("%s: %s", script, said);
}
