/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_POLICY_LABEL_H
#define SPR_POLICY_LABEL_H

#include "policy/policy.h"

/*
 * What a container asks for by labels: spr.policies, spr.groups, spr.tags and spr.publish are the keys of its entry, in
 * the words of the document. spr-policy(5) has their form. Pure, and for hostile input.
 */

#define LABEL_PREFIX "spr."
#define LABEL_TEXT_MAX 1024 /* bytes in the value of a label */

/* The keys that there are, without the prefix. */
extern const char *const label_keys[];
extern const size_t n_label_keys;

/* An entry as labels ask for it. */
struct asked {
	struct member entry; /* of a container; the name is the reader's to set */
	bool has_policies; /* the label was there; without it the container keeps the policies of its networks */
};

/*
 * Reads one label into an entry that does not say this key yet; `text` NULL stands for one that is too long or cannot
 * be printed. -EINVAL with a message that may be shown, or -ENOMEM; the entry is as before then.
 */
int label_read(const char *key, const char *text, struct asked *asked, struct error *error);

/* What an entry lacks of it goes to *ret, which is the caller's to clear. True when there is something; or -ENOMEM. */
int asked_missing(const struct asked *asked, const struct member *have, struct asked *ret);

/* "policies wan, dns; groups media; publish 8096/tcp to lan"; the caller's to free. NULL without memory. */
char *asked_print(const struct asked *asked);

void asked_clear(struct asked *asked);

#endif
