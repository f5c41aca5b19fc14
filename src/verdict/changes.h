/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_CHANGES_H
#define SPR_VERDICT_CHANGES_H

#include "verdict/model.h"

/* What a change opens and closes, as sentences: "web -> internet: everything". */
struct changes {
	char **opens, **closes;
	size_t n_opens, n_closes;
	bool too_many; /* more than CHANGES_MAX: not listed */
};

#define CHANGES_MAX 100000

/*
 * Compares what may be opened in two models (NULL: nothing), whose inventory has not changed since. The result's lists are the
 * caller's: changes_clear().
 */
int model_changes(const struct model *from, const struct model *to, struct changes *ret);
void changes_clear(struct changes *changes);

/* A name for what is at a location, for people; the caller's to free. Unlike location_name() a zone has its name. */
char *location_label(const struct location *location);

/* "445/tcp", "everything", "8080/tcp as published"; the caller's to free. */
char *right_text(const struct right *right);

#endif
