/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_API_MESSAGE_H
#define SPR_API_MESSAGE_H

#include <jansson.h>

#include "base/error.h"
#include "base/json.h"

#define _cleanup_json_ _cleanup_(json_decrefp)

/* JSON values in one request: what a line can make the reader allocate is bounded by this, not by its length alone. */
#define API_VALUES_MAX 65536

#define API_PROOF_SENTENCES_MAX 5 /* of the call "proved" */
#define API_PROOF_SENTENCE_MAX 400 /* bytes */

/*
 * Parses a request line: an object with a string "call". The result is the caller's.
 * -EINVAL: not JSON, no object, no call; -E2BIG: more than API_VALUES_MAX values.
 */
int request_parse(const char *line, size_t length, json_t **ret, struct error *error);

/* What every changing call takes: "force" is true or false, "ssh" is text. -EINVAL otherwise. */
int request_check_change(const json_t *request, struct error *error);

/*
 * One line, newline included, with {"KEY": value}; the caller's to free. -EMSGSIZE when it is longer than a reader
 * takes, -ENOMEM.
 */
int message_print(const char *key, json_t *value, char **ret, size_t *ret_length);

/* {"code": "EINVAL", "message": "..."}; NULL without memory. */
json_t *error_to_json(const struct error *error);

/* The error in such an object; fills *error and returns its negative code, never 0. */
int error_from_json(const json_t *json, struct error *error);

#endif
