/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_BASE_JSON_H
#define SPR_BASE_JSON_H

#include <jansson.h>

/*
 * As json_loadb(), but safe when memory runs out: -ENOMEM, which json_loadb() may answer with another text or by writing
 * where it must not; -EINVAL with *where filled.
 */
int json_read(const char *text, size_t length, size_t flags, json_t **ret, json_error_t *where);

/* As json_dumps(): the caller's to free. NULL without memory, and never a text that lacks something. */
char *json_write(const json_t *json, size_t flags);

/* A text from outside, which may be no UTF-8: what is none becomes "?". null for NULL; NULL without memory. */
json_t *json_text(const char *text);

#endif
