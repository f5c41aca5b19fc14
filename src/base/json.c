/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

/*
 * Jansson's reader does not look whether there was memory for the next character of a text: it loses that one, and may
 * then miss the closing quote and write behind its buffer; its writer loses keys (2.14). So they never see that there is
 * no memory: they are left from within, and what they hold is freed here.
 */
struct task {
	jmp_buf out;
	void **held;
	size_t n_held;
};

static __thread struct task *task; /* the one under way */

static bool task_hold(void *room)
{
	void **slot = room ? ARRAY_ADD(task->held, task->n_held) : NULL;

	if (slot)
		*slot = room;
	return slot != NULL;
}

static void *json_room(size_t size)
{
	void *room = malloc(size);

	if (task && !task_hold(room)) {
		free(room);
		longjmp(task->out, 1);
	}
	return room;
}

/* Most of what is freed meanwhile is from a moment ago. */
static void json_release(void *room)
{
	for (size_t i = task && room ? task->n_held : 0; i-- > 0;)
		if (task->held[i] == room) {
			task->held[i] = task->held[--task->n_held];
			break;
		}
	free(room);
}

static void task_end(struct task *done, bool whole)
{
	task = NULL;
	for (size_t i = 0; i < done->n_held && !whole; i++)
		free(done->held[i]);
	free(done->held);
}

int json_read(const char *text, size_t length, size_t flags, json_t **ret, json_error_t *where)
{
	struct task this = { 0 };
	json_t *json;

	json_set_alloc_funcs(json_room, json_release);
	if (setjmp(this.out) != 0) {
		task_end(&this, false);
		return -ENOMEM;
	}
	task = &this;
	json = json_loadb(text, length, flags, where);
	task_end(&this, true);
	if (!json)
		return -EINVAL;
	*ret = json;
	return 0;
}

char *json_write(const json_t *json, size_t flags)
{
	struct task this = { 0 };
	char *text;

	json_set_alloc_funcs(json_room, json_release);
	if (setjmp(this.out) != 0) {
		task_end(&this, false);
		return NULL;
	}
	task = &this;
	text = json_dumps(json, flags);
	task_end(&this, true);
	return text;
}

json_t *json_text(const char *text)
{
	json_t *json = text ? json_string(text) : json_null();
	_cleanup_free_ char *copy = NULL;

	if (json || !text)
		return json;
	copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if (*c & 0x80)
			*c = '?';
	return copy ? json_string(copy) : NULL;
}
