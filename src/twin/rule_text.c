/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/program.h"
#include "base/text.h"
#include "twin/twin_private.h"

/* What rules look like: nft lists them with their handles; tables of iptables are shown as iptables saves them. */

#define NAME_SIZE 256
#define HANDLE "# handle "

void rule_texts_free(struct rule_text *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(texts[i].family);
		free(texts[i].table);
		free(texts[i].chain);
		free(texts[i].text);
	}
	free(texts);
}

static int add(struct rule_text **texts, size_t *n, const struct rule_text *like)
{
	struct rule_text *slot = ARRAY_ADD(*texts, *n);

	if (!slot)
		return -ENOMEM;
	*slot = (struct rule_text){ strdup(like->family), like->legacy, strdup(like->table),
				    strdup(like->chain),  like->rule,	strdup(like->text) };
	return slot->family && slot->table && slot->chain && slot->text ? 0 : -ENOMEM;
}

/* Where in nft's listing we are. */
struct place {
	char family[16], table[NAME_SIZE], chain[NAME_SIZE];
	bool in_chain;
	struct text rule; /* what came of one so far: long ones have several lines */
};

/* A line within a chain: a rule, a part of one, or what the chain is. */
static int take_rule_line(struct place *place, const char *line, struct rule_text **texts, size_t *n)
{
	const char *handle = strstr(line, HANDLE), *next;
	_cleanup_free_ char *text = NULL;

	while (handle && (next = strstr(handle + 1, HANDLE)))
		handle = next;
	if (!place->rule.used && strncmp(line, "type ", 5) == 0 && strstr(line, " hook "))
		return 0;
	text_add(&place->rule, "%s%.*s", place->rule.used ? " " : "", handle ? (int)(handle - line) : (int)strlen(line),
		 line);
	if (!handle)
		return 0;
	text = text_take(&place->rule);
	if (!text)
		return -ENOMEM;
	for (size_t k = strlen(text); k > 0 && text[k - 1] == ' '; k--)
		text[k - 1] = '\0';
	return add(texts, n,
		   &(struct rule_text){ place->family, false, place->table, place->chain,
					strtoull(handle + strlen(HANDLE), NULL, 10), text });
}

static int take_line(struct place *place, char *line, struct rule_text **texts, size_t *n)
{
	size_t depth = strspn(line, "\t");
	char *text = line + strspn(line, "\t ");

	if (depth == 0) {
		if (sscanf(line, "table %15s %255s", place->family, place->table) == 2)
			place->in_chain = false;
		return 0;
	}
	if (depth == 1) {
		place->in_chain = sscanf(text, "chain %255s {", place->chain) == 1;
		free(text_take(&place->rule));
		return 0;
	}
	return place->in_chain && *text ? take_rule_line(place, text, texts, n) : 0;
}

int rule_texts_of_nft(const char *listing, struct rule_text **texts, size_t *n)
{
	_cleanup_free_ char *copy = strdup(listing);
	struct place place = { 0 };
	char *at = copy, *line;
	int r = copy ? 0 : -ENOMEM;

	while (r >= 0 && (line = strsep(&at, "\n")))
		r = take_line(&place, line, texts, n);
	free(text_take(&place.rule));
	return r;
}

static bool same_chain(const struct rule_text *a, const char *family, const char *table, const char *chain)
{
	return strcmp(a->family, family) == 0 && strcmp(a->table, table) == 0 && strcmp(a->chain, chain) == 0;
}

/* The number-th rule of a chain of nf_tables is shown as iptables has it. */
static int put_text(const struct rule_text *saved, uint64_t number, struct rule_text *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *text;

		if (texts[i].legacy || !same_chain(&texts[i], saved->family, saved->table, saved->chain) ||
		    --number > 0)
			continue;
		text = strdup(saved->text);
		if (!text)
			return -ENOMEM;
		free(texts[i].text);
		texts[i].text = text;
		return 0;
	}
	return 0;
}

int rule_texts_of_iptables(const char *saved, const char *family, bool legacy, struct rule_text **texts, size_t *n)
{
	_cleanup_free_ char *copy = strdup(saved);
	char *at = copy, *line, table[NAME_SIZE] = "", chain[NAME_SIZE] = "", last[NAME_SIZE] = "";
	uint64_t number = 0;
	int r = copy ? 0 : -ENOMEM;

	while (r >= 0 && (line = strsep(&at, "\n"))) {
		struct rule_text one = { (char *)family, legacy, table, chain, 0, line };

		if (*line == '*')
			snprintf(table, sizeof(table), "%s", line + 1);
		if (*line == '*')
			last[0] = '\0';
		if (sscanf(line, "-A %255s", chain) != 1)
			continue;
		number = strcmp(chain, last) == 0 ? number + 1 : 1;
		memcpy(last, chain, sizeof(last));
		one.rule = number;
		r = legacy ? add(texts, n, &one) : put_text(&one, number, *texts, *n);
	}
	return r;
}

struct rule_text *rule_text_find(struct rule_text *texts, size_t n, const struct trace_step *step)
{
	for (size_t i = 0; i < n; i++)
		if (texts[i].rule == step->rule && texts[i].legacy == step->legacy &&
		    same_chain(&texts[i], twin_family_name(step->family), step->table, step->chain))
			return &texts[i];
	return NULL;
}

void rule_texts_cut(struct rule_text *texts, size_t *n, struct rule_text *text)
{
	struct rule_text gone = *text;

	ARRAY_CUT(texts, *n, (size_t)(text - texts));
	for (size_t i = 0; i < *n && gone.legacy; i++)
		if (texts[i].legacy && texts[i].rule > gone.rule &&
		    same_chain(&texts[i], gone.family, gone.table, gone.chain))
			texts[i].rule--;
	free(gone.family);
	free(gone.table);
	free(gone.chain);
	free(gone.text);
}

int rule_texts_read(const struct rules *rules, struct rule_text **ret, size_t *ret_n, struct error *error)
{
	static const char *const list[] = { "nft", "-a", "-n", "-s", "-t", "list", "ruleset", NULL };
	_cleanup_free_ char *listing = NULL;
	struct rule_text *texts = NULL;
	const char *saved, *family;
	size_t n = 0, length, i = 0;
	bool legacy;
	int r = program_run(list, &listing, &length);

	if (r < 0)
		return error_set(error, -r, "nft cannot list the rules of the twin: %s", strerror(-r));
	r = rule_texts_of_nft(listing, &texts, &n);
	while (r >= 0 && (i = rules_saved(rules, i, &saved, &family, &legacy)) > 0)
		r = rule_texts_of_iptables(saved, family, legacy, &texts, &n);
	if (r < 0) {
		rule_texts_free(texts, n);
		return error_memory(error);
	}
	*ret = texts;
	*ret_n = n;
	return 0;
}
