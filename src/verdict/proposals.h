/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_PROPOSALS_H
#define SPR_VERDICT_PROPOSALS_H

#include "verdict/model.h"

/* What is asked for and not given: what `spr pending` shows, and `spr accept` makes policy. */

#define PROPOSAL_ID_SIZE 9 /* 8 hex digits */
#define PROPOSALS_MAX 1000 /* more are not listed */

enum proposal_kind {
	PROPOSAL_LABEL, /* labels of a container */
	_PROPOSAL_KIND_MAX,
};

struct proposal {
	char id[PROPOSAL_ID_SIZE]; /* a hash of all that is asked: it says something else when that changes */
	enum proposal_kind kind;
	char *who; /* the container's entry, or the one that accepting makes */
	bool image; /* the image says it, or may have: not the maker of the container */
	struct asked asked; /* all that is asked for */
	char *what; /* the same as text; of a refused one the label, as it may be shown */
	char *missing; /* what the policy does not give yet; "" where it gives more than is asked for */
	char *refused; /* why it cannot be accepted, or NULL */
	bool dismissed;
	int64_t since; /* when the container was made, 0 where it is not known */
};

/*
 * Those of all containers, what is asked in the same words for the same entry once. The result is the caller's.
 * -ENOMEM.
 */
int proposals_list(const struct model *model, struct proposal **ret, size_t *ret_n);
struct proposal *proposals_free(struct proposal *proposals, size_t n);

const char *proposal_kind_name(enum proposal_kind kind);

#endif
