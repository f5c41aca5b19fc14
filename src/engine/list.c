/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/engine.h"

#define WAIT_MS 5000
#define LOOK_MS 20

/* An engine that is followed for a moment, by a loop of its own. */
struct listing {
	uv_loop_t loop;
	uv_timer_t timer;
	struct engine *engine;
	unsigned looks;
};

/* Its list may lack what an event came about meanwhile: so until nothing is open any more. */
static void on_look(uv_timer_t *timer)
{
	struct listing *listing = timer->data;

	if (engine_settled(listing->engine) || ++listing->looks * LOOK_MS >= WAIT_MS)
		uv_stop(&listing->loop);
}

static void on_changed(void *data)
{
}

int engine_list(const struct engine_ops *ops, const char *socket, struct inventory *inventory, bool *ret_whole,
		struct error *error)
{
	struct listing listing = { 0 };
	bool whole = false;
	int r = uv_loop_init(&listing.loop);

	if (r < 0)
		return error_set(error, -r, "event loop: %s", uv_strerror(r));
	uv_timer_init(&listing.loop, &listing.timer);
	listing.timer.data = &listing;
	r = engine_start(ops, &listing.loop, socket, inventory, on_changed, &listing, &listing.engine, error);
	if (r >= 0) {
		uv_timer_start(&listing.timer, on_look, LOOK_MS, LOOK_MS);
		uv_run(&listing.loop, UV_RUN_DEFAULT);
		whole = engine_settled(listing.engine);
		engine_stop(listing.engine);
	}
	uv_close((uv_handle_t *)&listing.timer, NULL);
	uv_run(&listing.loop, UV_RUN_DEFAULT);
	uv_loop_close(&listing.loop);
	if (r < 0)
		return r;
	*ret_whole = whole;
	return 0;
}
