/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/engine_private.h"

#include <string.h>

int engine_start(const struct engine_ops *ops, uv_loop_t *loop, const char *socket, struct inventory *inventory,
		 void (*changed)(void *data), void *data, struct engine **ret, struct error *error)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int r;

	if (engine)
		engine->socket = strdup(socket ? socket : ops->socket);
	if (!engine || !engine->socket) {
		free(engine);
		return error_memory(error);
	}
	engine->ops = ops;
	engine->loop = loop;
	engine->inventory = inventory;
	engine->changed = changed;
	engine->data = data;
	r = ops->start(engine, error);
	if (r < 0) {
		engine_free(engine);
		return r;
	}
	*ret = engine;
	return 0;
}

void engine_stop(struct engine *engine)
{
	if (!engine)
		return;
	engine->changed = NULL;
	engine->ops->stop(engine);
}

void engine_free(struct engine *engine)
{
	free(engine->socket);
	free(engine);
}

void engine_refresh(struct engine *engine, const char *bridge)
{
	if (engine->ops->refresh)
		engine->ops->refresh(engine, bridge);
}

bool engine_settled(const struct engine *engine)
{
	return engine->state == ENGINE_CONNECTED && engine->ops->idle(engine);
}

void engine_set_state(struct engine *engine, enum engine_state state, const struct error *problem)
{
	bool changed = engine->state != state;

	engine->state = state;
	engine->problem = problem ? *problem : (struct error){ 0 };
	if (changed)
		engine_changed(engine);
}

void engine_changed(struct engine *engine)
{
	if (engine->changed)
		engine->changed(engine->data);
}

const char *engine_name(const struct engine *engine)
{
	return engine->ops->name;
}

const char *engine_socket(const struct engine *engine)
{
	return engine->socket;
}

enum engine_state engine_state(const struct engine *engine)
{
	return engine->state;
}

const char *engine_version(const struct engine *engine)
{
	return engine->version;
}

const char *engine_problem(const struct engine *engine)
{
	return engine->problem.text;
}
