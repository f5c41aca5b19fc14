/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_POLICY_WORDS_H
#define SPR_POLICY_WORDS_H

#include "policy/policy.h"

/* Words and small texts, for the files of this layer; what others need of them is in policy.h. */

#define WORD_SHOW_MAX 80

/* A word from outside as it may be shown to a person: short, without control characters. Returns buffer. */
const char *word_show(const char *word, char buffer[WORD_SHOW_MAX]);

/* -EINVAL: "unknown WHAT 'WORD'", with the nearest of the words or else with all of them. */
int word_unknown(struct error *error, const char *what, const char *word, const char *const *words, size_t n);

/* The index of the word, or -EINVAL as word_unknown(). Holes in the table are NULL. */
int word_index(const char *word, const char *what, const char *const *words, size_t n, struct error *error);

int zone_parse(const char *text); /* the zone or -EINVAL; no message */
int local_users_parse(const char *text, struct error *error);
const char *local_users_name(enum local_users who);
int expect_parse(const char *text, struct error *error);
const char *expect_name(enum expect expect);
int labels_parse(const char *text, struct error *error);
const char *labels_name(enum labels labels);

/* 0 to max, decimal, nothing before or after. */
int count_parse(const char *text, unsigned max, unsigned *ret, struct error *error);

/* A range of source addresses: no host bits set, not an IPv4 range in IPv6 clothes. */
int source_parse(const char *text, struct prefix *ret, struct error *error);

#endif
