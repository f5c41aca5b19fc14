/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_CLI_OUTPUT_H
#define SPR_CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "base/cleanup.h"

/*
 * Everything a person sees goes through here. Text from outside (names of containers, comments) is printed so that a
 * terminal shows it and obeys none of it: control characters, what turns the direction of writing, and bytes that are
 * no text in this locale become \n, \x1b, \u202e. That holds for pipes too: their end may be a terminal.
 */
void print_text(FILE *stream, const char *text);

/* Columns that print_text() takes. */
size_t text_width(const char *text);

/* To standard output, with a newline. */
void print_line(const char *text);

/* "title: text" for each of a JSON array of texts; nothing for an empty or missing one. */
void print_list(const char *title, const json_t *list);

/* "Title" and the texts under it, indented; nothing for an empty or missing one. */
void print_section(const char *title, const json_t *list);

/* "spr: " and a message to standard error. */
void print_failure(const char *text);

/* What an object has by that name: "" and 0 for nothing, and for what is something else. */
const char *json_text_of(const json_t *object, const char *key);
json_int_t json_number_of(const json_t *object, const char *key);

/* A value as one text: the caller's to free; NULL without memory. */
char *json_cell(const json_t *value);

/*
 * Rows (objects) under their columns (names): aligned and cut to the terminal, or, where standard output is none,
 * whole and with a tab between columns.
 */
void print_table(const json_t *columns, const json_t *rows);

/* The result as it is; to a terminal in ASCII. `flags` are jansson's. */
void print_json(const json_t *json, size_t flags);

/* "2026-01-31 10:00:00", local time; "-" for 0. */
const char *time_text(double epoch, char buffer[32]);

#endif
