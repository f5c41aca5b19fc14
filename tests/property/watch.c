/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/droplog.h"
#include "property.h"
#include "twin/frame.h"
#include "ruleset/compile.h"

#define PATIENCE 60000 /* ms without news: something is wrong */

struct watch {
	struct droplog *drops, *passes, *lefts;
	struct shot *shots; /* of this volley; the number of the first one is `base` */
	size_t n_shots;
	size_t ends; /* groups that told of the last packet */
	uint32_t base;
};

/* Numbers start anew at each volley, from 1; those of the one before are another's. */
static struct shot *shot_of(struct watch *watch, const struct drop *drop)
{
	const uint8_t *at = drop->payload;
	uint32_t number;

	watch->ends += drop->proto == END_PROTO;
	if (drop->length < 20 || drop->proto == END_PROTO)
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
	if (shot->fate == fate && !shot->nic->bridge)
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

/*
 * Reads until the last packet is there, which the probe's table logs to all groups and has their batches sent: packets
 * stay in order, so what nobody has told of by then was dropped by the kernel itself.
 */
static void collect(struct watch *watch)
{
	struct pollfd polls[] = { { droplog_fd(watch->drops), POLLIN, 0 },
				  { droplog_fd(watch->passes), POLLIN, 0 },
				  { droplog_fd(watch->lefts), POLLIN, 0 } };

	while (watch->ends < ELEMENTSOF(polls)) {
		MUST(poll(polls, ELEMENTSOF(polls), PATIENCE) > 0);
		MUST(droplog_read(watch->drops) == 0 && droplog_read(watch->passes) == 0 &&
		     droplog_read(watch->lefts) == 0);
	}
}

static void send_shot(const struct shot *shot)
{
	uint8_t frame[FRAME_MAX];
	size_t length = shot_frame(shot, frame);

	MUST(send(shot->nic->socket, frame, length, 0) == (ssize_t)length);
}

static void send_end(const struct scene *scene)
{
	struct shot end = { .nic = &scene->nics[0] };

	end.packet.from = end.packet.dialled = address("203.0.113.250");
	end.packet.proto = END_PROTO;
	send_shot(&end);
}

void watch_volley(struct watch *watch, const struct scene *scene, struct shot *shots, size_t n)
{
	watch->shots = shots;
	watch->n_shots = n;
	watch->ends = 0;
	for (size_t i = 0; i < n; i++) {
		shots[i].number = watch->base + (uint32_t)i;
		shots[i].fate = FATE_NONE;
		shots[i].left_from = (struct addr){ 0 };
		send_shot(&shots[i]);
	}
	send_end(scene);
	collect(watch);
	watch->base += (uint32_t)n;
	if (watch->base + VOLLEY_MAX > UINT16_MAX)
		watch->base = 1;
}
