/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_VERDICT_RESOLVE_H
#define SPR_VERDICT_RESOLVE_H

#include "verdict/model.h"

/* The steps of model_new(), in their order. Each returns 0 or a negative errno. */
int roles_fill(struct model *model);
int labelled_fill(struct model *model);
int clauses_fill(struct model *model, time_t now, struct error *error);
int locations_fill(struct model *model);
int classes_fill(struct model *model, struct class_book *book);
int model_index(struct model *model);
int fronts_fill(struct model *model);
void nat_ports_fill(struct model *model);

/* What labels make of a container's entry, or NULL. */
const struct labelled *labelled_of(const struct model *model, const struct container *container);

/* True when a container's entry goes by this name: its name, or project/service of compose. */
bool container_named(const struct container *container, const char *name);

#endif
