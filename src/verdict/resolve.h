/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_RESOLVE_H
#define SPR_VERDICT_RESOLVE_H

#include "verdict/model.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* The steps of model_new(), in their order. Each returns 0 or a negative errno. */
int roles_fill(struct model *model);
int names_fill(struct model *model);
int labelled_fill(struct model *model);
int clauses_fill(struct model *model, time_t now);
int names_meet(struct model *model); /* what there is by the names that the clauses select by */
int locations_fill(struct model *model);
int classes_fill(struct model *model, struct class_book *book);
int model_index(struct model *model);
int fronts_fill(struct model *model, struct class_book *book);
int rights_fill(struct model *model);
void nat_ports_fill(struct model *model);

/* A name that the policy knows, or that a clause selects by. */
struct name {
	const char *text;
	const struct member *entries[_MEMBER_KIND_MAX];
	unsigned kinds; /* what is called so: 1 << enum member_kind */
	bool selected; /* by a clause */
	UT_hash_handle hh;
};

/* NULL: nobody speaks of it. */
const struct name *names_find(const struct model *model, const char *text);
/* As container_entry(), and whether a clause speaks of the container by one of its names. */
const struct member *names_of_container(const struct model *model, const struct container *container,
					bool *ret_selected);
/* The entry of a network of the model's inventory, or NULL. */
const struct member *names_of_network(const struct model *model, const struct network *network);
/* A clause selects by it. */
int names_select(struct model *model, const struct selector *selector);
struct names *names_free(struct names *names);
struct taken *taken_free(struct taken *taken);

/* To whom a publish list publishes, as text, the caller's to free (NULL without memory); and the clause of that meaning. */
char *publish_meaning(const struct publish *publish);
size_t clause_of_publish(const struct model *model, const char *meaning); /* SIZE_MAX: none */

/* What labels make of a container's entry, or NULL. */
const struct labelled *labelled_of(const struct model *model, const struct container *container);

/* It has ports that are published, or will be. */
static inline bool container_publishes(const struct container *container)
{
	return container->n_ports || container->n_bindings;
}

/* True when a container's entry goes by this name: its name, or project/service of compose. */
bool container_named(const struct container *container, const char *name);

#endif
