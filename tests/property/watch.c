/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/droplog.h"
#include "property.h"
#include "ruleset/compile.h"

#define GROUP_PASSED 5392
#define GROUP_LEFT 5393
#define PATIENCE 400 /* ms without news: what is missing then was dropped by the kernel itself */

struct watch {
	struct droplog *drops, *passes, *lefts;
	struct shot *shots; /* of this volley; the number of the first one is `base` */
	size_t n_shots, n_known;
	uint32_t base;
};

/* Numbers start anew at each volley, from 1; those of the one before are another's. */
static struct shot *shot_of(struct watch *watch, const struct drop *drop)
{
	const uint8_t *at = drop->payload;
	uint32_t number;

	if (drop->length < 20)
		return NULL;
	number = at[0] >> 4 == 4 ? (uint32_t)(at[4] << 8 | at[5]) :
				   (uint32_t)((at[1] & 0xf) << 16 | at[2] << 8 | at[3]);
	if (number < watch->base || number - watch->base >= watch->n_shots)
		return NULL;
	return &watch->shots[number - watch->base];
}

static void note(struct watch *watch, const struct drop *drop, enum fate fate)
{
	struct shot *shot = shot_of(watch, drop);

	if (!shot)
		return;
	if (shot->fate == FATE_NONE)
		watch->n_known++;
	else if (shot->fate == fate && !shot->nic->bridge)
		fprintf(stderr, "one packet was seen twice\n");
	shot->fate = fate;
	shot->out = drop->out;
	snprintf(shot->reason, sizeof(shot->reason), "%s", drop->reason);
}

static void on_drop(const struct drop *drop, void *data)
{
	note(data, drop, FATE_DROPPED);
}

static void on_pass(const struct drop *drop, void *data)
{
	note(data, drop, FATE_PASSED);
}

static void on_left(const struct drop *drop, void *data)
{
	struct shot *shot = shot_of(data, drop);

	if (!shot)
		return;
	shot->left_from = drop->from;
	shot->left_port = drop->from_port;
}

struct watch *watch_open(void)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	struct error error = { 0 };

	MUST(watch);
	watch->base = 1;
	if (droplog_open(LOG_GROUP, on_drop, watch, &watch->drops, &error) < 0 ||
	    droplog_open(GROUP_PASSED, on_pass, watch, &watch->passes, &error) < 0 ||
	    droplog_open(GROUP_LEFT, on_left, watch, &watch->lefts, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		exit(2);
	}
	return watch;
}

void watch_close(struct watch *watch)
{
	droplog_close(watch->drops);
	droplog_close(watch->passes);
	droplog_close(watch->lefts);
	free(watch);
}

static size_t missing(const struct watch *watch)
{
	size_t n = 0;

	for (size_t i = 0; i < watch->n_shots; i++)
		n += watch->shots[i].fate == FATE_NONE && !watch->shots[i].lost;
	return n;
}

/* Reads until every packet's fate is known, or nothing comes any more. What may be lost is not waited for long. */
static void collect(struct watch *watch)
{
	struct pollfd polls[] = { { droplog_fd(watch->drops), POLLIN, 0 }, { droplog_fd(watch->passes), POLLIN, 0 } };
	size_t known = 0;

	while (watch->n_known < watch->n_shots) {
		int ready = poll(polls, 2, missing(watch) > 0 ? PATIENCE : 60);

		MUST(droplog_read(watch->drops) == 0 && droplog_read(watch->passes) == 0);
		if (ready == 0 && known == watch->n_known)
			return;
		known = watch->n_known;
	}
}

/* What passed leaves a moment later. */
static void collect_lefts(struct watch *watch)
{
	struct pollfd left = { droplog_fd(watch->lefts), POLLIN, 0 };

	do
		MUST(droplog_read(watch->lefts) == 0);
	while (poll(&left, 1, 10) > 0);
}

void watch_volley(struct watch *watch, const struct scene *scene, struct shot *shots, size_t n)
{
	uint8_t frame[FRAME_MAX];

	watch->shots = shots;
	watch->n_shots = n;
	watch->n_known = 0;
	for (size_t i = 0; i < n; i++) {
		size_t length;

		shots[i].number = watch->base + (uint32_t)i;
		shots[i].fate = FATE_NONE;
		shots[i].left_from = (struct addr){ 0 };
		length = frame_build(&shots[i], frame);
		MUST(send(shots[i].nic->socket, frame, length, 0) == (ssize_t)length);
	}
	collect(watch);
	collect_lefts(watch);
	watch->base += (uint32_t)n;
	if (watch->base + VOLLEY_MAX > UINT16_MAX)
		watch->base = 1;
}
