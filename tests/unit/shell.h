/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TESTS_UNIT_SHELL_H
#define SPR_TESTS_UNIT_SHELL_H

/* Runs a script; the test fails with it. */
void sh(const char *script);

#endif
