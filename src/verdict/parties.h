/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_PARTIES_H
#define SPR_VERDICT_PARTIES_H

#include "base/lines.h"
#include "verdict/model.h"

/* Two models side by side: whose rights are the same in both, and what people call them. For model_changes(). */

/* A class or front, as people see it. Names are in order, each once. */
struct party {
	uint32_t number;
	struct party *twin; /* in the other model, of the same number or with the same in it, or NULL */
	bool told; /* a class: something may have to be told of it, or of its twin; else it has no names here */
	bool named, loud; /* it has its names; others are in it than in its twin */
	const char **names; /* of who is in it: the inventory's, or a side's; of two models one name is one pointer */
	size_t n_names;
	bool *twice; /* of each name: another party of this model has it too */
	bool *shared; /* of each name: the twin has it too, and nobody else */
	size_t *own; /* which names are not shared */
	size_t n_own;
};

/* Who is where, without what else there is to a location. */
struct members {
	const struct container **items; /* by class, in the order of their endpoints, once for each address */
	size_t *first; /* of each class: where its own begin; and one more, the end */
	const struct location **others; /* what is no container's */
	size_t n_others;
};

/* One of the two models; NULL: nothing. */
struct side {
	const struct model *model;
	struct members members;
	struct party *classes, *fronts;
	struct lines made; /* names that had to be made */
};

/* Rights of a class to classes, or to fronts, one target after the other. */
struct range_of_rights {
	const struct right *rights;
	size_t n;
	const struct right *others; /* of the class's twin; NULL without one */
	size_t n_others;
	const struct party *targets, *other_targets;
};

/* Zeroed is none. To be cleared in every case. -ENOMEM. */
int sides_pair(struct side *from, struct side *to);
void side_clear(struct side *side);

/* Those of a class to classes, or to fronts. */
void rights_of(const struct side *side, const struct side *other, size_t class, bool fronts,
	       struct range_of_rights *ret);
/* Where the rights to the target of the first one end. */
size_t rights_end(const struct right *rights, size_t n, size_t first);

/*
 * Whether those from `first` to `end`, all that there are to one target, are the same in both models. Then what they let
 * through between names that both have is the same, and is told by neither.
 */
bool rights_are_the_same(const struct range_of_rights *range, size_t first, size_t end);

/* Steps of sides_pair(): of which classes something may have to be told, where both models are of one inventory. -ENOMEM. */
int sides_tell(struct side *from, struct side *to);
/* The names of what is in each class of which something may have to be told, where it has none yet. -ENOMEM. */
int side_name_classes(struct side *side);

#endif
