/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "api/message.h"
#include "base/log.h"
#include "daemon/daemon.h"

/*
 * Nothing of what is told here decides anything: it is shown. It is bounded and checked all the same, and only root may
 * tell it: who may read the status is not to be told by others that all is well.
 */

#define COUNT_MAX 100000000

struct result {
	int64_t rules; /* 0: nothing was told yet */
	uint64_t told_at; /* the loop's clock */
	json_t *numbers; /* pairs, of, packets, passed, nowhere, lets_through, drops */
	json_t *sentences;
	char *failed; /* why it could not be tried, or NULL */
};

struct proof {
	struct result last;
	struct result before; /* one that found differences in rules that have changed since */
};

static const char *const counts[] = { "pairs", "of", "packets", "passed", "nowhere", "lets_through", "drops" };

static void result_clear(struct result *result)
{
	json_decref(result->numbers);
	json_decref(result->sentences);
	free(result->failed);
	*result = (struct result){ 0 };
}

static json_int_t count_of(const struct result *result, const char *name)
{
	return json_integer_value(json_object_get(result->numbers, name));
}

static bool differs(const struct result *result)
{
	return count_of(result, "lets_through") || count_of(result, "drops");
}

static bool is_current(const struct daemon *daemon)
{
	return daemon->proof->last.rules && daemon->proof->last.rules == daemon->rules;
}

/* Numbers of another run mean nothing in this one. */
int proof_init(struct daemon *daemon)
{
	daemon->proof = calloc(1, sizeof(*daemon->proof));
	daemon->rules = (int64_t)time(NULL) << 20;
	return daemon->proof ? 0 : -ENOMEM;
}

void proof_free(struct daemon *daemon)
{
	if (!daemon->proof)
		return;
	result_clear(&daemon->proof->last);
	result_clear(&daemon->proof->before);
	free(daemon->proof);
	daemon->proof = NULL;
}

void proof_outdate(struct daemon *daemon)
{
	struct proof *proof = daemon->proof;

	if (is_current(daemon) && differs(&proof->last)) {
		result_clear(&proof->before);
		proof->before = proof->last;
		proof->last = (struct result){ 0 };
	}
	daemon->rules++;
}

static json_t *result_json(const struct daemon *daemon, const struct result *result)
{
	json_t *json;

	if (!result->rules)
		return json_null();
	json = json_pack("{s:I, s:I, s:s?, s:O}", "rules", (json_int_t)result->rules, "age",
			 (json_int_t)((uv_now(&daemon->loop) - result->told_at) / 1000), "failed", result->failed,
			 "sentences", result->sentences);
	if (json && result->numbers)
		json_object_update(json, result->numbers);
	return json;
}

json_t *proof_json(const struct daemon *daemon)
{
	if (!daemon->active)
		return json_null();
	return json_pack("{s:I, s:b, s:o, s:o}", "rules", (json_int_t)daemon->rules, "current", is_current(daemon),
			 "last", result_json(daemon, &daemon->proof->last), "before",
			 result_json(daemon, &daemon->proof->before));
}

void proof_problems(const struct daemon *daemon, json_t *problems)
{
	const struct result *last = &daemon->proof->last;
	json_int_t through = count_of(last, "lets_through"), drops = count_of(last, "drops");

	if (!daemon->active || !is_current(daemon))
		return;
	if (through)
		sentence_add(
			problems,
			"the kernel lets through what policy forbids, %lld of %lld packets that were tried: spr prove "
			"names them",
			(long long)through, (long long)count_of(last, "packets"));
	if (drops)
		sentence_add(
			problems,
			"the kernel drops what policy accepts, %lld of %lld packets that were tried: spr prove names "
			"them",
			(long long)drops, (long long)count_of(last, "packets"));
}

static int read_counts(json_t *arguments, json_t **ret, struct error *error)
{
	_cleanup_json_ json_t *numbers = json_object();

	for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
		json_t *value = json_object_get(arguments, counts[i]);

		if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > COUNT_MAX)
			return error_set(error, EINVAL, "\"%s\" has to be a count", counts[i]);
		if (json_object_set(numbers, counts[i], value) < 0)
			return error_memory(error);
	}
	*ret = TAKE_PTR(numbers);
	return 0;
}

static int check_sentence(const json_t *json, struct error *error)
{
	if (json_is_string(json) && json_string_length(json) <= API_PROOF_SENTENCE_MAX)
		return 0;
	return error_set(error, EINVAL, "a sentence has to be a text of at most %d bytes", API_PROOF_SENTENCE_MAX);
}

static int read_sentences(json_t *arguments, json_t **ret, struct error *error)
{
	json_t *list = json_object_get(arguments, "sentences"), *sentence;
	size_t i;
	int r = 0;

	if (!json_is_array(list) || json_array_size(list) > API_PROOF_SENTENCES_MAX)
		return error_set(error, EINVAL, "\"sentences\" has to be a list of at most %d",
				 API_PROOF_SENTENCES_MAX);
	json_array_foreach(list, i, sentence) {
		r = check_sentence(sentence, error);
		if (r < 0)
			return r;
	}
	*ret = json_incref(list);
	return 0;
}

static int read_result(json_t *arguments, struct result *ret, struct error *error)
{
	json_t *rules = json_object_get(arguments, "rules"), *failed = json_object_get(arguments, "failed");
	int r = 0;

	if (!json_is_integer(rules) || json_integer_value(rules) <= 0)
		return error_set(error, EINVAL, "\"rules\" has to be the number that `prove` gave");
	ret->rules = json_integer_value(rules);
	if (failed) {
		r = check_sentence(failed, error);
		if (r < 0)
			return r;
		ret->failed = strdup(json_string_value(failed));
		ret->sentences = json_array();
		return ret->failed && ret->sentences ? 0 : error_memory(error);
	}
	r = read_counts(arguments, &ret->numbers, error);
	return r < 0 ? r : read_sentences(arguments, &ret->sentences, error);
}

CALL(call_proved)
{
	struct daemon *daemon = daemon_of(request);
	struct result result = { .told_at = uv_now(&daemon->loop) };
	struct result *place;
	bool current;
	int r;

	if (api_request_peer(request)->uid != 0)
		return error_set(error, EPERM, "only root can have tried it");
	r = read_result(arguments, &result, error);
	if (r < 0) {
		result_clear(&result);
		return r;
	}
	if (result.rules > daemon->rules) {
		result_clear(&result);
		return error_set(error, EINVAL, "there were no such rules yet");
	}
	current = daemon->active && result.rules == daemon->rules;
	place = current ? &daemon->proof->last : daemon->active && differs(&result) ? &daemon->proof->before : NULL;
	if (current && differs(&result))
		log_warning("proof", "kernel and policy differ: `spr prove` names what");
	if (current && !result.failed)
		result_clear(&daemon->proof->before);
	if (place) {
		result_clear(place);
		*place = result;
	} else {
		result_clear(&result);
	}
	*ret_result = json_pack("{s:b, s:I}", "taken", current, "rules", (json_int_t)daemon->rules);
	return *ret_result ? 0 : error_memory(error);
}
