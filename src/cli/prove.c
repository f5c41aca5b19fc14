/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "policy/policy.h"
#include "twin/twin.h"

/* What policy says of packets, and what the kernel's rules do with them. */

#define FORGET_AFTER 400 /* packets: limits to connections are not to be reached by trying */

struct proof {
	struct twin *twin;
	json_t *differences;
	size_t packets, passed, nowhere;
};

static int add_difference(struct proof *proof, const json_t *packet, const struct twin_result *result, bool passed)
{
	_cleanup_free_ char *end = twin_say_end(proof->twin, result);
	char proto[12];
	json_t *difference;

	if (!end)
		return -1;
	difference = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "in", json_text_of(packet, "in"), "from",
			       json_text_of(packet, "from"), "to", json_text_of(packet, "to"), "proto",
			       proto_name((uint8_t)json_integer_value(json_object_get(packet, "proto")), proto), "port",
			       json_integer_value(json_object_get(packet, "port")), "policy",
			       passed ? "drop" : "accept", "kernel", passed ? "accept" : "drop", "where",
			       passed ? json_text_of(packet, "reason") : end);
	return json_array_append_new(proof->differences, difference);
}

/* What the kernel cannot deliver at all says nothing about rules. */
static int try_packet(struct proof *proof, const json_t *packet, struct error *error)
{
	bool wanted = json_is_true(json_object_get(packet, "accept")), passed;
	struct twin_result result;
	int r;

	if (proof->packets % FORGET_AFTER == FORGET_AFTER - 1)
		twin_forget(proof->twin, NULL);
	r = packet_shoot(proof->twin, packet, (unsigned)proof->packets++, &result, error);
	if (r < 0)
		return r;
	passed = result.end == TWIN_PASSED;
	proof->passed += passed;
	if (wanted && !passed && result.end != TWIN_RULE)
		proof->nowhere++;
	else if (wanted != passed && add_difference(proof, packet, &result, passed) < 0)
		return error_memory(error);
	return 0;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int put_result(const struct proof *proof, double seconds, json_t *result)
{
	const char *const *notes;
	size_t n = twin_notes(proof->twin, &notes);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_text(notes[i]));
	return json_object_set(result, "differences", proof->differences) < 0 ||
			       json_object_set_new(result, "notes", list) < 0 ||
			       json_object_set_new(result, "packets", json_integer((json_int_t)proof->packets)) < 0 ||
			       json_object_set_new(result, "passed", json_integer((json_int_t)proof->passed)) < 0 ||
			       json_object_set_new(result, "nowhere", json_integer((json_int_t)proof->nowhere)) < 0 ||
			       json_object_set_new(result, "seconds", json_real(seconds)) < 0 ?
		       -1 :
		       0;
}

int prove_twin(const struct command *command, json_t *result, struct error *error)
{
	static const struct twin_options as_it_is;
	_cleanup_(twin_closep) struct twin *twin = NULL;
	_cleanup_(json_decrefp) json_t *packets = json_incref(json_object_get(result, "packets"));
	_cleanup_(json_decrefp) json_t *differences = json_array();
	struct proof proof = { .differences = differences };
	struct timespec start;
	json_t *packet;
	size_t i;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &start);
	r = twin_open(&as_it_is, &twin, error);
	proof.twin = twin;
	if (r >= 0)
		json_array_foreach(packets, i, packet) {
			r = try_packet(&proof, packet, error);
			if (r < 0)
				break;
		}
	if (r < 0)
		return r;
	return put_result(&proof, seconds_since(&start), result) < 0 ? error_memory(error) : 0;
}

void prove_show(const struct command *command, const json_t *result)
{
	const json_t *differences = json_object_get(result, "differences");
	json_t *one;
	size_t i;

	json_array_foreach(differences, i, one) {
		printf("policy: %s, kernel: %s: by %s, %s -> %s %s %" JSON_INTEGER_FORMAT " (",
		       json_text_of(one, "policy"), json_text_of(one, "kernel"), json_text_of(one, "in"),
		       json_text_of(one, "from"), json_text_of(one, "to"), json_text_of(one, "proto"),
		       json_number_of(one, "port"));
		print_text(stdout, json_text_of(one, "where"));
		printf(")\n");
	}
	print_list("not as on the machine", json_object_get(result, "notes"));
	if (json_is_true(json_object_get(result, "outdated")))
		printf("note: the rules changed meanwhile: say it again\n");
	printf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " pairs, %" JSON_INTEGER_FORMAT
	       " packets, %" JSON_INTEGER_FORMAT " came through, %zu differ, %.1f s\n",
	       json_number_of(result, "pairs"), json_number_of(result, "of"), json_number_of(result, "packets"),
	       json_number_of(result, "passed"), json_array_size(differences),
	       json_real_value(json_object_get(result, "seconds")));
}

/* Critical is what policy forbids and the kernel lets through. */
enum status prove_status(const json_t *result)
{
	enum status status = STATUS_DONE;
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(result, "differences"), i, one) {
		if (strcmp(json_text_of(one, "kernel"), "accept") == 0)
			return STATUS_CRITICAL;
		status = STATUS_WARNING;
	}
	return status;
}
