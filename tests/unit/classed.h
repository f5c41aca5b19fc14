/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TESTS_CLASSED_H
#define SPR_TESTS_CLASSED_H

#include "verdict/model.h"

/* The first place whose class says something else than the place by itself does, or NULL. */
const struct location *misclassed(const struct model *model);
/* The first place that is not found by an address in it, or is by one beside it, as going through all would; or NULL. */
const struct location *misplaced(const struct model *model);

#endif
