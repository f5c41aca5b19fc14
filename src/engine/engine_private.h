/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_ENGINE_ENGINE_PRIVATE_H
#define SPR_ENGINE_ENGINE_PRIVATE_H

#include "engine/engine.h"

/* For the engines' own files. */
struct engine {
	const struct engine_ops *ops;
	uv_loop_t *loop;
	char *socket;
	struct inventory *inventory;
	void (*changed)(void *data);
	void *data;
	enum engine_state state;
	char version[64];
	struct error problem;
	void *own; /* the engine's, set by ops->start */
};

/* Notes the state, and calls `changed` when it is another. `problem` may be NULL. */
void engine_set_state(struct engine *engine, enum engine_state state, const struct error *problem);
void engine_changed(struct engine *engine);

/* For the last of what ops->stop closes: nothing may use the engine any more. */
void engine_free(struct engine *engine);

#endif
