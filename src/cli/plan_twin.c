/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "twin/twin.h"

/*
 * What a change would open and close, tried in two twins of this machine: with the rules from before, and with those that
 * would come. Each packet has what policy says of it; where that is null, only the kernel is asked.
 */

#define FORGET_AFTER 400 /* packets: limits to connections are not to be reached by trying */
#define SHOWN_MAX 20

struct plan {
	json_t *packets; /* of the daemon; what the kernel did is added to each */
	json_t *differences, *notes;
	size_t compared, agree, nowhere;
};

static int put_text(json_t *object, const char *key, const char *text)
{
	return json_object_set_new(object, key, json_text(text));
}

/* What is another than policy says; who did it is known for drops only. */
static int add_difference(struct plan *plan, const json_t *item, const char *side, const char *kernel)
{
	json_t *difference =
		json_pack("{s:O, s:O, s:O, s:s, s:O, s:s, s:O?, s:O}", "from", json_object_get(item, "from"), "to",
			  json_object_get(item, "to"), "port", json_object_get(item, "port"), "when", side, "policy",
			  json_object_get(item, side), "kernel", kernel, "where",
			  json_object_get(item, strcmp(side, "before") == 0 ? "where_before" : "where_after"), "packet",
			  json_object_get(item, "packet"));

	return json_array_append_new(plan->differences, difference);
}

/* A packet that the kernel itself cannot deliver says nothing about rules. */
static int judge(struct plan *plan, json_t *item, const char *side, const struct twin_result *shot)
{
	const char *wanted = json_text_of(item, side), *kernel = shot->end == TWIN_PASSED ? "accept" : "drop";
	bool nowhere = shot->end == TWIN_KERNEL || shot->end == TWIN_DOWN;

	if (!*wanted)
		return 0;
	if (nowhere && strcmp(wanted, "accept") == 0) {
		plan->nowhere++;
		return 0;
	}
	plan->compared++;
	if (strcmp(wanted, kernel) == 0)
		plan->agree++;
	else if (add_difference(plan, item, side, kernel) < 0)
		return -1;
	return 0;
}

static int try_packet(struct plan *plan, struct twin *twin, json_t *item, const char *side, unsigned n,
		      struct error *error)
{
	bool before = strcmp(side, "before") == 0;
	_cleanup_free_ char *where = NULL;
	struct twin_result shot;
	int r = packet_shoot(twin, json_object_get(item, "packet"), n, &shot, error);

	if (r < 0)
		return r;
	where = shot.end == TWIN_PASSED ? NULL : twin_say_end(twin, &shot);
	if (where)
		put_text(item, before ? "where_before" : "where_after", where);
	if (put_text(item, before ? "kernel_before" : "kernel_after",
		     shot.end == TWIN_PASSED ? "accept" :
		     shot.end == TWIN_RULE   ? "drop" :
					       "nowhere") < 0 ||
	    judge(plan, item, side, &shot) < 0)
		return error_memory(error);
	return 0;
}

/* The same for both twins: once is enough. */
static void add_notes(struct plan *plan, const struct twin *twin)
{
	const char *const *notes;
	size_t n = twin_notes(twin, &notes), i;

	for (size_t k = 0; k < n; k++) {
		json_t *note;
		bool there = false;

		json_array_foreach(plan->notes, i, note)
			there = there || strcmp(json_string_value(note), notes[k]) == 0;
		if (!there)
			json_array_append_new(plan->notes, json_text(notes[k]));
	}
}

/* `rules`: null for those that the machine has, "" for none of ours. */
static int try_side(struct plan *plan, const char *side, const json_t *rules, struct error *error)
{
	const char *text = json_string_value(rules);
	const struct twin_options options = { .without_spr = text && !*text, .candidate = text && *text ? text : NULL };
	_cleanup_(twin_closep) struct twin *twin = NULL;
	json_t *item;
	size_t i;
	int r = twin_open(&options, &twin, error);

	if (r < 0)
		return r;
	json_array_foreach(plan->packets, i, item) {
		if (i % FORGET_AFTER == FORGET_AFTER - 1)
			twin_forget(twin, NULL);
		r = try_packet(plan, twin, item, side, (unsigned)i, error);
		if (r < 0)
			return r;
	}
	add_notes(plan, twin);
	return 0;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static json_t *unconfirmed(const char *why)
{
	return json_pack("{s:n, s:s}", "confirmed", "why", why);
}

static int try_both(const json_t *trial, json_t **ret, struct error *error)
{
	_cleanup_(json_decrefp) json_t *differences = json_array(), *notes = json_array();
	struct plan plan = { .packets = json_object_get(trial, "packets"), .differences = differences, .notes = notes };
	struct timespec start;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &start);
	r = try_side(&plan, "before", json_object_get(trial, "rules_before"), error);
	if (r >= 0)
		r = try_side(&plan, "after", json_object_get(trial, "rules_after"), error);
	if (r < 0)
		return r;
	*ret = json_pack("{s:b, s:I, s:I, s:I, s:O, s:O, s:O, s:O, s:O, s:O, s:f}", "confirmed",
			 json_array_size(differences) == 0, "compared", (json_int_t)plan.compared, "agree",
			 (json_int_t)plan.agree, "nowhere", (json_int_t)plan.nowhere, "found",
			 json_object_get(trial, "found"), "pairs", json_object_get(trial, "pairs"), "of",
			 json_object_get(trial, "of"), "differences", differences, "packets", plan.packets, "notes",
			 notes, "seconds", seconds_since(&start));
	return *ret ? 0 : error_memory(error);
}

int plan_twin(const struct command *command, json_t *result, struct error *error)
{
	_cleanup_(json_decrefp) json_t *trial = json_incref(json_object_get(result, "trial"));
	json_t *twin = NULL;
	int r;

	(void)command;
	json_object_del(result, "trial"); /* two whole rulesets: nothing for a person, nor for a script */
	if (!json_is_true(json_object_get(result, "dry_run")))
		return 0;
	if (!trial && geteuid() == 0)
		return 0; /* nothing would change */
	if (!trial)
		twin = unconfirmed("only root can make twins of this machine");
	else if (json_object_get(trial, "why"))
		twin = unconfirmed(json_text_of(trial, "why"));
	else if (json_array_size(json_object_get(trial, "packets")) == 0)
		twin = unconfirmed("there is no packet that it could be told by: who it is about is not here now");
	else if ((r = try_both(trial, &twin, error)) == -ENOMEM)
		return r;
	else if (r < 0)
		twin = unconfirmed(error->text);
	if (!twin || json_object_set_new(result, "twin", twin) < 0)
		return error_memory(error);
	return 0;
}

static void print_end(const json_t *item)
{
	print_text(stdout, json_text_of(item, "from"));
	printf(" -> ");
	print_text(stdout, json_text_of(item, "to"));
	printf(": ");
	print_text(stdout, json_text_of(item, "port"));
}

static void print_difference(const json_t *difference)
{
	bool before = strcmp(json_text_of(difference, "when"), "before") == 0;
	bool lets = strcmp(json_text_of(difference, "kernel"), "accept") == 0;

	printf("%s: ", before ? "differs already" : "differs");
	print_end(difference);
	if (lets) {
		printf(": the kernel lets through what policy closes\n");
		return;
	}
	printf(": policy opens it, and it is dropped by ");
	print_line(json_text_of(difference, "where"));
}

/* What becomes another by the kernel alone: what `up` closes and `down` opens, that no policy spoke of. */
static void print_turned(const json_t *packets, const char *title, const char *from, const char *to)
{
	size_t shown = 0, more = 0, i;
	json_t *item;

	json_array_foreach((json_t *)packets, i, item) {
		if (!json_is_null(json_object_get(item, "before")) && !json_is_null(json_object_get(item, "after")))
			continue;
		if (strcmp(json_text_of(item, "kernel_before"), from) != 0 ||
		    strcmp(json_text_of(item, "kernel_after"), to) != 0)
			continue;
		if (shown == SHOWN_MAX) {
			more++;
			continue;
		}
		shown++;
		printf("%s: ", title);
		print_end(item);
		putchar('\n');
	}
	if (more)
		printf("%s: %zu more, see --json\n", title, more);
}

static void print_count(const json_t *twin)
{
	bool all = json_is_true(json_object_get(twin, "confirmed"));
	json_int_t packets = (json_int_t)json_array_size(json_object_get(twin, "packets"));
	json_int_t found = json_number_of(twin, "found"), pairs = json_number_of(twin, "pairs"),
		   of = json_number_of(twin, "of");

	printf("%s in the twin: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT, all ? "confirmed" : "not confirmed",
	       json_number_of(twin, "agree"), json_number_of(twin, "compared"));
	if (packets < found || pairs < of)
		printf(", of some packets for many: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		       " pairs, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " packets",
		       pairs, of, packets, found);
	if (json_number_of(twin, "nowhere"))
		printf("; %" JSON_INTEGER_FORMAT " the kernel has no way for", json_number_of(twin, "nowhere"));
	putchar('\n');
}

void plan_show(const json_t *result)
{
	const json_t *twin = json_object_get(result, "twin"), *packets = json_object_get(twin, "packets");
	const json_t *differences = json_object_get(twin, "differences");
	json_t *difference;
	size_t i;

	if (!twin)
		return;
	if (json_is_null(json_object_get(twin, "confirmed"))) {
		printf("not confirmed in the twin: ");
		print_line(json_text_of(twin, "why"));
		return;
	}
	print_turned(packets, "closes", "accept", "drop");
	print_turned(packets, "opens", "drop", "accept");
	json_array_foreach((json_t *)differences, i, difference)
		if (i < SHOWN_MAX)
			print_difference(difference);
	if (json_array_size(differences) > SHOWN_MAX)
		printf("differ: %zu more, see --json\n", json_array_size(differences) - SHOWN_MAX);
	print_list("not as on the machine", json_object_get(twin, "notes"));
	print_count(twin);
}

/* Critical is what policy forbids and the kernel lets through. */
enum status plan_status(const json_t *result)
{
	return prove_status(json_object_get(result, "twin"));
}
