/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_CLI_CLI_H
#define SPR_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct api_client;

/* Exit codes, a promise of spr(1). */
enum status {
	STATUS_DONE = 0,
	STATUS_REFUSED = 1, /* or failed */
	STATUS_USAGE = 2,
	STATUS_NO_DAEMON = 3,
	STATUS_DROP = 4, /* explain */
	STATUS_WARNING = 5, /* doctor, audit, prove, dry runs, status */
	STATUS_CRITICAL = 6,
};

enum option_index {
	OPTION_SOCKET,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_LIST_VERBS,
	OPTION_FORCE,
	OPTION_REMOVE,
	OPTION_FOR,
	OPTION_COMMENT,
	OPTION_PORT,
	OPTION_TO,
	OPTION_FILE,
	OPTION_FOLLOW,
	OPTION_MEMBER,
	OPTION_DRY_RUN,
	OPTION_CONFIRM,
	OPTION_ALL,
	OPTION_STATE_DIR,
	OPTION_DOCKER,
	OPTION_SARIF,
	OPTION_TWIN,
	OPTION_COMPOSE,
	OPTION_PROJECT,
	_OPTION_MAX,
};

#define OPTION_BIT(index) (1u << (index))

/* A command line, taken apart. */
struct command {
	const struct verb *verb;
	char **words; /* what follows the verb and is no option */
	size_t n_words;
	const char *options[_OPTION_MAX]; /* the value, "" for one without; NULL when it was not given */
};

struct verb {
	const char *name;
	const char *usage; /* what follows the name */
	const char *help; /* one line */
	unsigned options; /* OPTION_BIT()s, besides the common ones */
	size_t min_words, max_words;
	bool changes; /* sends "force" and "ssh" */
	/* Adds the arguments to {"call": NAME}. -EINVAL is wrong usage, anything else is a failure. May be NULL. */
	int (*build)(const struct command *command, json_t *request, struct error *error);
	/* Prints the result for a person. */
	void (*show)(const struct command *command, const json_t *result);
	/* The exit code where it depends on the result; NULL: STATUS_DONE. */
	enum status (*status)(const json_t *result);
	/* With --follow: goes on after the answer, instead of showing it. */
	enum status (*follow)(const struct command *command, struct api_client *client);
	const char *call; /* what the daemon calls it, where that is another word */
	/* Makes the result itself: the verb works without the daemon, and may ask it by the socket. NULL: it is called. */
	int (*local)(const struct command *command, json_t **ret_result, struct error *error);
	/* Adds to the daemon's result what this side knows. May be NULL. */
	int (*after)(const struct command *command, json_t *result, struct error *error);
};

extern const struct verb verbs[];
extern const size_t n_verbs;

const struct verb *verb_find(const char *name); /* NULL when there is none */
int verb_unknown(const char *name, struct error *error); /* -EINVAL, with the nearest */

/*
 * Parses options of the mask from argv[1] on, into `values` (_OPTION_MAX of them); the rest of argv is moved to its
 * end, from *ret_first on. With `stop` the first word that is no option ends it. -EINVAL.
 */
int options_parse(int argc, char **argv, unsigned mask, bool stop, const char **values, int *ret_first,
		  struct error *error);

/* Prints "--list-verbs": for each verb a line with its name and options, for the checks of manual and completions. */
void options_list(void);

/* Parses what follows the options before the verb: argv[0] is the verb. The command points into argv. -EINVAL. */
int command_parse(int argc, char **argv, struct command *ret, struct error *error);

/* The request of a command, with force and ssh where the verb changes things. The result is the caller's. */
int command_request(const struct command *command, json_t **ret, struct error *error);

/* The files of verbs. */
int change_build(const struct command *command, json_t *request, struct error *error);
void change_show(const struct command *command, const json_t *result);
void up_show(const struct command *command, const json_t *result);
void down_show(const struct command *command, const json_t *result);
void status_show(const struct command *command, const json_t *result);
int list_build(const struct command *command, json_t *request, struct error *error);
void list_show(const struct command *command, const json_t *result);
void pending_show(const struct command *command, const json_t *result);
int apply_build(const struct command *command, json_t *request, struct error *error);
/* A whole file, or standard input for "-"; the caller's. -E2BIG over what a policy may have. */
int document_read(const char *path, char **ret, size_t *ret_length, struct error *error);
int edit_local(const struct command *command, json_t **ret_result, struct error *error);
int plan_build(const struct command *command, json_t *request, struct error *error);
void plan_or_compose_show(const struct command *command, const json_t *result);
/* The call for a compose file, and its answer. */
int compose_build(const struct command *command, json_t *request, struct error *error);
void compose_show(const json_t *result);
void export_show(const struct command *command, const json_t *result);
int history_build(const struct command *command, json_t *request, struct error *error);
void history_show(const struct command *command, const json_t *result);
int diff_build(const struct command *command, json_t *request, struct error *error);
void diff_show(const struct command *command, const json_t *result);
int rollback_build(const struct command *command, json_t *request, struct error *error);
int explain_build(const struct command *command, json_t *request, struct error *error);
void explain_show(const struct command *command, const json_t *result);
enum status explain_status(const json_t *result);
/* Sends a packet that the daemon described into a twin; `n` makes each of them a connection of its own. */
struct twin;
struct twin_result;
int packet_shoot(struct twin *twin, const json_t *packet, unsigned n, struct twin_result *ret, struct error *error);
/* A dry run tried in twins: adds "twin" to the daemon's answer. */
int plan_twin(const struct command *command, json_t *result, struct error *error);
void plan_show(const json_t *result);
enum status plan_status(const json_t *result);
void prove_show(const struct command *command, const json_t *result);
enum status prove_status(const json_t *result);
int prove_twin(const struct command *command, json_t *result, struct error *error);
/* The same, told to sprd; and for `status`: tried in the background, where it is due and nobody is at it. */
int prove_and_tell(const struct command *command, json_t *result, struct error *error);
int status_prove(const struct command *command, json_t *result, struct error *error);
void proof_show(const json_t *proof);
enum status status_status(const json_t *result);
int explain_twin(const struct command *command, json_t *result, struct error *error);
int log_build(const struct command *command, json_t *request, struct error *error);
void log_show(const struct command *command, const json_t *result);
enum status log_status(const json_t *result);
enum status log_follow(const struct command *command, struct api_client *client);
/* What sprd says of itself, or why it does not: 0 or a negative errno. */
int status_ask(const char *socket, json_t **ret);
int doctor_local(const struct command *command, json_t **ret_result, struct error *error);
void doctor_show(const struct command *command, const json_t *result);
enum status doctor_status(const json_t *result);
int audit_local(const struct command *command, json_t **ret_result, struct error *error);
void audit_show(const struct command *command, const json_t *result);
enum status audit_status(const json_t *result);

#endif
