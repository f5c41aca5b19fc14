/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/client.h"
#include "api/message.h"
#include "cli/cli.h"
#include "cli/output.h"

/*
 * What `prove` found is told to sprd, which shows it in the status; and a status that finds it outdated starts another one
 * in the background. That one holds nothing of who started it, and a lock that ends with it.
 */

#define ANSWER_SECONDS 5
#define PROVE_SECONDS 300 /* no machine takes so long: something hangs */
#define AGAIN_SECONDS 60 /* after one that could not be done */
#define ROUNDS 3 /* when the rules change meanwhile */

static int ask(const char *socket, json_t *request, json_t **ret, struct error *error)
{
	_cleanup_(api_client_closep) struct api_client *client = NULL;
	int r = api_client_connect(socket, &client, error);

	if (r < 0)
		return r;
	api_client_limit(client, ANSWER_SECONDS);
	return api_client_call(client, request, ret, error);
}

static int add_sentence(json_t *list, const json_t *difference)
{
	char text[API_PROOF_SENTENCE_MAX];

	snprintf(text, sizeof(text), "policy: %s, kernel: %s: by %s, %s -> %s %s %lld",
		 json_text_of(difference, "policy"), json_text_of(difference, "kernel"), json_text_of(difference, "in"),
		 json_text_of(difference, "from"), json_text_of(difference, "to"), json_text_of(difference, "proto"),
		 (long long)json_number_of(difference, "port"));
	return json_array_append_new(list, json_text(text));
}

/* The call `proved` for what `prove` came to. */
static json_t *telling(const json_t *result)
{
	const json_t *differences = json_object_get(result, "differences");
	json_t *sentences = json_array(), *difference;
	size_t through = 0, i;

	json_array_foreach((json_t *)differences, i, difference) {
		through += strcmp(json_text_of(difference, "kernel"), "accept") == 0;
		if (i < API_PROOF_SENTENCES_MAX)
			add_sentence(sentences, difference);
	}
	return json_pack("{s:s, s:O, s:O, s:O, s:O, s:O, s:O, s:I, s:I, s:o}", "call", "proved", "rules",
			 json_object_get(result, "rules"), "pairs", json_object_get(result, "pairs"), "of",
			 json_object_get(result, "of"), "packets", json_object_get(result, "packets"), "passed",
			 json_object_get(result, "passed"), "nowhere", json_object_get(result, "nowhere"),
			 "lets_through", (json_int_t)through, "drops",
			 (json_int_t)(json_array_size(differences) - through), "sentences", sentences);
}

/* 1: it is of the rules in force; 0: they have changed meanwhile. */
static int tell(const char *socket, json_t *request, struct error *error)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = request ? ask(socket, request, &answer, error) : error_memory(error);

	return r < 0 ? r : json_is_true(json_object_get(answer, "taken"));
}

int prove_and_tell(const struct command *command, json_t *result, struct error *error)
{
	_cleanup_json_ json_t *request = NULL;
	struct error untold = { 0 };
	int r = prove_twin(command, result, error);

	if (r < 0)
		return r;
	request = telling(result);
	r = tell(command->options[OPTION_SOCKET], request, &untold);
	/* it was proved all the same */
	return json_object_set_new(result, "outdated", json_boolean(r == 0)) < 0 ? error_memory(error) : 0;
}

/* Once, as `spr prove` does. 0: the rules have changed meanwhile. */
static int prove_once(const struct command *command, struct error *error)
{
	_cleanup_json_ json_t *request = json_pack("{s:s}", "call", "prove"), *result = NULL, *told = NULL;
	const char *socket = command->options[OPTION_SOCKET];
	char why[API_PROOF_SENTENCE_MAX];
	int r = ask(socket, request, &result, error);

	if (r < 0)
		return r;
	if (prove_twin(command, result, error) >= 0) {
		told = telling(result);
	} else {
		snprintf(why, sizeof(why), "%.300s", error->text);
		told = json_pack("{s:s, s:O, s:o}", "call", "proved", "rules", json_object_get(result, "rules"),
				 "failed", json_text(why));
	}
	return tell(socket, told, error);
}

/* Nothing of the caller's but the lock: not the terminal, not the session, not the folder. */
static void detach(int lock)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	close_range(3, (unsigned)lock - 1, 0);
	close_range((unsigned)lock + 1, ~0u, 0);
	if (chdir("/") < 0)
		_exit(1);
	umask(022);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	setpriority(PRIO_PROCESS, 0, 19);
	alarm(PROVE_SECONDS);
}

/* A child of nobody: init takes it over. False when it could not be started. */
static bool start(const struct command *command, int lock)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		struct error error = { 0 };

		setsid();
		pid = fork();
		if (pid != 0)
			_exit(pid < 0);
		detach(lock);
		for (int i = 0; i < ROUNDS; i++)
			if (prove_once(command, &error) != 0)
				break;
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Beside the socket, root's own: who else could hold it would keep it from being done. -EBUSY: somebody is at it. */
static int take_lock(const char *socket)
{
	_cleanup_free_ char *copy = strdup(socket), *path = NULL;
	int fd;

	if (!copy || asprintf(&path, "%s/prove.lock", dirname(copy)) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fd > 2 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	close(fd);
	return -EBUSY;
}

static bool is_due(const json_t *proof)
{
	const json_t *last = json_object_get(proof, "last");

	if (!json_is_true(json_object_get(proof, "current")))
		return true;
	return json_is_string(json_object_get(last, "failed")) && json_number_of(last, "age") > AGAIN_SECONDS;
}

int status_prove(const struct command *command, json_t *result, struct error *error)
{
	_cleanup_close_ int lock = -1;
	json_t *proof = json_object_get(result, "proof");
	bool running;

	if (!json_is_object(proof) || geteuid() != 0 || !is_due(proof))
		return 0;
	lock = take_lock(command->options[OPTION_SOCKET]);
	running = lock >= 0 ? start(command, lock) : lock == -EBUSY;
	return json_object_set_new(proof, "running", json_boolean(running)) < 0 ? error_memory(error) : 0;
}

static void print_numbers(const json_t *last, const char *title)
{
	json_int_t differ = json_number_of(last, "lets_through") + json_number_of(last, "drops");

	printf("%-11s%s%" JSON_INTEGER_FORMAT " s ago: ", "proved", title, json_number_of(last, "age"));
	if (json_number_of(last, "pairs") < json_number_of(last, "of"))
		printf("%" JSON_INTEGER_FORMAT " of ", json_number_of(last, "pairs"));
	printf("%" JSON_INTEGER_FORMAT " pairs, %" JSON_INTEGER_FORMAT " differ%s\n", json_number_of(last, "of"),
	       differ, differ ? ": see spr prove" : "");
}

void proof_show(const json_t *proof)
{
	const json_t *last = json_object_get(proof, "last"), *before = json_object_get(proof, "before");

	if (!json_is_object(proof))
		return;
	if (!json_is_true(json_object_get(proof, "current"))) {
		printf("%-11snot since the last change%s\n", "proved",
		       json_is_true(json_object_get(proof, "running")) ? ", being proved" : "");
	} else if (json_is_string(json_object_get(last, "failed"))) {
		printf("%-11scannot be: ", "proved");
		print_line(json_text_of(last, "failed"));
	} else {
		print_numbers(last, "");
	}
	if (json_is_object(before))
		print_numbers(before, "before the last change, ");
}

/* What is known of the rules in force only: others are gone. */
enum status status_status(const json_t *result)
{
	const json_t *proof = json_object_get(result, "proof"), *last = json_object_get(proof, "last");

	if (!json_is_true(json_object_get(proof, "current")))
		return STATUS_DONE;
	if (json_number_of(last, "lets_through"))
		return STATUS_CRITICAL;
	return json_number_of(last, "drops") ? STATUS_WARNING : STATUS_DONE;
}
