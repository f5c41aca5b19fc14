/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_CLI_TARGET_H
#define SPR_CLI_TARGET_H

#include <jansson.h>

#include "base/error.h"

/*
 * Takes "nas", "nas:445/tcp", "container:web:80/tcp,443/tcp" or "group:family" apart: what follows the last ':' is a
 * port, unless what is before it is a word for a kind ("group:53" is the group 53). The selector is the caller's to
 * free; the ports are a JSON array of text, empty without any. -EINVAL where the end is no port.
 */
int target_split(const char *text, char **ret_selector, json_t **ret_ports, struct error *error);

/* "a,b" as a JSON array of text; `what` is for the message. -EINVAL on an empty part, -EILSEQ on text not UTF-8. */
int list_split(const char *text, const char *what, json_t **ret, struct error *error);

/* Sets request[key] to a text from the command line. -EILSEQ when it is not UTF-8. */
int request_set_text(json_t *request, const char *key, const char *text, struct error *error);

#endif
