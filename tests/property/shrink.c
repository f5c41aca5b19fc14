/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "property.h"

/* Makes a story small: what the disagreement about its last packet does not need is taken out, piece by piece. */

#define ROUNDS 4
#define AT_ONCE 64 /* a power of 4 */
#define SECONDS 240 /* then what is left is good enough */

static bool (*const cuts[])(struct story *story, size_t n) = {
	cut_records, cut_epochs, cut_lists, cut_entries, cut_engines, cut_details, cut_nics,
};

struct shrink {
	struct rig rig;
	bool open;
	const struct shot *seen;
	double end;
};

static bool is_same(const struct shot *shot, const struct shot *seen)
{
	return !agrees(shot) && shot->fate == seen->fate && shot->expected.accept == seen->expected.accept &&
	       shot->expected.reason == seen->expected.reason && strcmp(shot->reason, seen->reason) == 0;
}

static bool play(struct shrink *shrink, const struct story *story, void (*before_last)(void), struct shot *ret)
{
	if (shrink->open && !rig_fits(&shrink->rig, story)) {
		rig_close(&shrink->rig);
		shrink->open = false;
	}
	if (!shrink->open)
		rig_open(&shrink->rig, story);
	shrink->open = true;
	return rig_play(&shrink->rig, story, shrink->seen, before_last, ret) && is_same(ret, shrink->seen);
}

/* Cuts `n_cuts` things from the n-th on, or as many as there are, where the disagreement stays: 1, 0, or -1 at the end. */
static int shrink_at(struct shrink *shrink, struct story *story, bool (*cut)(struct story *, size_t), size_t n,
		     size_t n_cuts)
{
	struct story less;
	struct shot shot;
	size_t done = 0;

	story_copy(story, &less);
	while (done < n_cuts && cut(&less, n))
		done++;
	if (done > 0 && play(shrink, &less, NULL, &shot)) {
		story_clear(story);
		*story = less;
		return 1;
	}
	story_clear(&less);
	return done > 0 ? 0 : -1;
}

/* One kind of cut, as often as it goes, many at once first; returns whether it did. */
static bool shrink_by(struct shrink *shrink, struct story *story, bool (*cut)(struct story *, size_t))
{
	bool any = false;

	for (size_t n_cuts = AT_ONCE; n_cuts > 0; n_cuts /= 4)
		for (size_t n = 0; now() < shrink->end;) {
			int r = shrink_at(shrink, story, cut, n, n_cuts);

			if (r < 0)
				break;
			any |= r > 0;
			n += r > 0 ? 0 : n_cuts;
		}
	return any;
}

static size_t print_policy(const struct policy *policy, FILE *file)
{
	char *text = policy_print(policy);
	size_t lines = 0;

	MUST(text);
	fprintf(file, "policy:\n%s", text);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	free(text);
	return lines;
}

static void print_record(const struct story *story, const struct record *record, FILE *file)
{
	char text[ADDR_TEXT_MAX];

	if (record->local)
		fprintf(file, "this machine sends a datagram to %s:53\n",
			addr_text(&record->shot.packet.dialled, text));
	else
		shot_print(&record->shot, file);
}

/* What is left, in the order in which it happened. */
static void print_story(struct shrink *shrink, const struct story *story, FILE *file, struct gist *ret)
{
	size_t epoch = SIZE_MAX;
	struct shot last;

	*ret = (struct gist){ .packets = story->n_records };
	for (size_t i = 0; i < story->n_records; i++) {
		const struct record *record = &story->records[i];

		if (record->epoch != epoch)
			ret->lines += print_policy(story->epochs[record->epoch].policy, file);
		epoch = record->epoch;
		if (i + 1 < story->n_records)
			print_record(story, record, file);
	}
	if (!play(shrink, story, trace_start, &last))
		fprintf(file, "it does not come again every time\n");
	scene_print(&shrink->rig.scene, file);
	shot_print(&last, file);
	trace_print(file, ret->chain, sizeof(ret->chain));
}

bool story_shrink(struct story *story, const struct shot *seen, FILE *file, struct gist *ret)
{
	struct shrink shrink = { .seen = seen, .end = now() + SECONDS };
	struct shot shot;
	bool again = play(&shrink, story, NULL, &shot), more = again;

	for (int i = 0; i < ROUNDS && more; i++) {
		more = false;
		for (size_t k = 0; k < ELEMENTSOF(cuts); k++)
			more |= shrink_by(&shrink, story, cuts[k]);
	}
	if (again)
		print_story(&shrink, story, file, ret);
	if (shrink.open)
		rig_close(&shrink.rig);
	return again;
}
