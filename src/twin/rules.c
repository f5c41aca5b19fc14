/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/program.h"
#include "kernel/nft.h"
#include "twin/twin_private.h"

/*
 * Tables of iptables hold expressions that nft cannot read again, and iptables saves others than its own wrongly or not at
 * all. So a table of iptables goes by iptables, then by nft, the rest by nft; and whichever way it went, nft must list the
 * same of it in the twin as on the machine. Else it is said.
 */

#define NAMES_MAX 6

/* Tools that keep their rules in tables of nf_tables with these names. */
static const struct saver {
	const char *family;
	const char *names[NAMES_MAX];
	const char *save, *restore;
} savers[] = {
	{ "ip", { "raw", "mangle", "nat", "filter", "security" }, "iptables-nft-save", "iptables-nft-restore" },
	{ "ip6", { "raw", "mangle", "nat", "filter", "security" }, "ip6tables-nft-save", "ip6tables-nft-restore" },
};

/* Those that have a part of the kernel of their own; the file names the tables that are there. */
static const struct {
	const char *file, *family, *save, *restore;
} legacies[] = {
	{ "/proc/net/ip_tables_names", "ip", "iptables-legacy-save", "iptables-legacy-restore" },
	{ "/proc/net/ip6_tables_names", "ip6", "ip6tables-legacy-save", "ip6tables-legacy-restore" },
};

/* Something to be given to a program. */
struct piece {
	char *what; /* "table inet filter" */
	const char *arguments[4];
	char *text;
	const char *family; /* of what iptables saved; NULL elsewhere */
	bool legacy;
	char *listing; /* as nft lists it; NULL for what is no table of nf_tables */
};

struct rules {
	struct piece *pieces; /* in the order in which they are to be loaded */
	size_t n_pieces;
	char **notes;
	size_t n_notes;
};

static int add_note(struct rules *rules, const char *format, const char *what, const char *why)
{
	char **slot = ARRAY_ADD(rules->notes, rules->n_notes);

	return slot && asprintf(slot, format, what, why) >= 0 ? 0 : -ENOMEM;
}

/* Takes over the text, also when it fails. */
static int add_piece(struct rules *rules, const char *what, const struct piece *piece)
{
	struct piece *slot = ARRAY_ADD(rules->pieces, rules->n_pieces);

	if (!slot) {
		free(piece->text);
		free(piece->listing);
		return -ENOMEM;
	}
	*slot = *piece;
	slot->what = strdup(what);
	return slot->what ? 0 : -ENOMEM;
}

static const struct saver *saver_of(const char *family, const char *table)
{
	for (size_t i = 0; i < ELEMENTSOF(savers); i++)
		for (size_t k = 0; k < NAMES_MAX && savers[i].names[k]; k++)
			if (strcmp(savers[i].family, family) == 0 && strcmp(savers[i].names[k], table) == 0)
				return &savers[i];
	return NULL;
}

/* What iptables makes of the table. NULL when it does not know it for its own; -ENOMEM. */
static int read_by_saver(const struct saver *saver, const char *table, char **ret)
{
	const char *arguments[] = { saver->save, "-t", table, NULL };
	_cleanup_free_ char *text = NULL;
	size_t length;
	int r = program_run(arguments, &text, &length);

	*ret = r >= 0 && !strstr(text, "incompatible") && strstr(text, "COMMIT") ? TAKE_PTR(text) : NULL;
	return r == -ENOMEM ? r : 0;
}

/* The table's flags are of its owner and his socket. A table that is off ("dormant") stays so. */
static void drop_flags(char *text)
{
	char *line = strstr(text, "\n\tflags "), *end = line ? strchr(line + 1, '\n') : NULL;
	const char *chain = strstr(text, "\n\tchain "), *set = strstr(text, "\n\tset "),
		   *map = strstr(text, "\n\tmap ");

	if (!end || (chain && chain < line) || (set && set < line) || (map && map < line))
		return;
	for (char *at = line + 1; at < end; at++)
		if (strncmp(at, "dormant", 7) == 0) {
			memset(line + 1, ' ', (size_t)(end - line - 1));
			memcpy(line + 1, "flags dormant", (size_t)(end - line - 1) < 13 ? 0 : 13);
			return;
		}
	memset(line + 1, ' ', (size_t)(end - line - 1));
}

static int list_table(const char *family, const char *table, char **ret, char said[PROGRAM_SAID_MAX])
{
	const char *arguments[] = { "nft", "-n", "-s", "list", "table", family, table, NULL };
	size_t length;

	return program_feed(arguments, NULL, ret, &length, said);
}

static bool is_ours(const char *family, const char *table)
{
	return strcmp(family, "inet") == 0 && (strcmp(table, NFT_TABLE) == 0 || strcmp(table, NFT_TABLE_OWNED) == 0);
}

static int read_table(struct rules *rules, const struct twin_options *options, const char *family, const char *table)
{
	const struct saver *saver = saver_of(family, table);
	struct piece piece = { .arguments = { "nft", "-f", "-", NULL } };
	_cleanup_free_ char *what = NULL, *listing = NULL;
	char said[PROGRAM_SAID_MAX];
	int r;

	if (is_ours(family, table) && (options->without_spr || options->candidate))
		return 0;
	if (asprintf(&what, "table %s %s", family, table) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	r = list_table(family, table, &listing, said);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return add_note(rules, "%s is not in the twin: nft cannot list it: %s", what,
				*said ? said : strerror(-r));
	drop_flags(listing);
	r = saver ? read_by_saver(saver, table, &piece.text) : 0;
	if (r >= 0 && piece.text) {
		piece.arguments[0] = saver->restore;
		piece.arguments[1] = NULL;
		piece.family = saver->family;
	}
	if (r >= 0 && !piece.text)
		piece.text = strdup(listing);
	if (!piece.text)
		return -ENOMEM;
	piece.listing = TAKE_PTR(listing);
	return add_piece(rules, what, &piece);
}

static int read_tables(struct rules *rules, const struct twin_options *options, struct error *error)
{
	static const char *const list[] = { "nft", "list", "tables", NULL };
	_cleanup_free_ char *text = NULL;
	char *at, *line, said[PROGRAM_SAID_MAX];
	size_t length;
	int r = program_feed(list, NULL, &text, &length, said);

	if (r == -ENOENT)
		return error_set(error, ENOENT, "the program nft is missing: install the package nftables");
	if (r < 0)
		return error_set(error, -r, "nft cannot list the tables of this machine: %s",
				 *said ? said : strerror(-r));
	for (at = text; (line = strsep(&at, "\n"));) {
		char family[16], table[256];

		if (sscanf(line, "table %15s %255s", family, table) != 2)
			continue;
		r = read_table(rules, options, family, table);
		if (r < 0)
			return error_memory(error);
	}
	return 0;
}

static int read_legacy(struct rules *rules, size_t i)
{
	const char *arguments[] = { legacies[i].save, NULL };
	struct piece piece = { .arguments = { legacies[i].restore, NULL },
			       .family = legacies[i].family,
			       .legacy = true };
	FILE *file = fopen(legacies[i].file, "re");
	int first = file ? fgetc(file) : EOF;
	size_t length;
	int r;

	if (file)
		fclose(file);
	if (first == EOF)
		return 0;
	r = program_run(arguments, &piece.text, &length);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return add_note(rules, "the rules of iptables-legacy are not in the twin: %s: %s", legacies[i].save,
				strerror(-r));
	return add_piece(rules, legacies[i].save, &piece);
}

/* Before the rules that name them. */
static int read_ipsets(struct rules *rules)
{
	static const char *const arguments[] = { "ipset", "save", NULL };
	struct piece piece = { .arguments = { "ipset", "restore", NULL } };
	bool wanted = false;
	size_t length;
	int r;

	for (size_t i = 0; i < rules->n_pieces; i++)
		wanted |= strstr(rules->pieces[i].text, "--match-set") != NULL;
	if (!wanted)
		return 0;
	r = program_run(arguments, &piece.text, &length);
	if (r < 0)
		return add_note(rules, "%s are not in the twin: %s", "sets of ipset", strerror(-r));
	r = add_piece(rules, "sets of ipset", &piece);
	if (r < 0)
		return r;
	piece = rules->pieces[rules->n_pieces - 1];
	memmove(rules->pieces + 1, rules->pieces, (rules->n_pieces - 1) * sizeof(piece));
	rules->pieces[0] = piece;
	return 0;
}

int rules_read(const struct twin_options *options, struct rules **ret, struct error *error)
{
	_cleanup_(rules_freep) struct rules *rules = calloc(1, sizeof(*rules));
	int r;

	if (!rules)
		return error_memory(error);
	r = read_tables(rules, options, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ELEMENTSOF(legacies) && r >= 0; i++)
		r = read_legacy(rules, i);
	if (r >= 0)
		r = read_ipsets(rules);
	if (r < 0)
		return error_memory(error);
	*ret = TAKE_PTR(rules);
	return 0;
}

struct rules *rules_free(struct rules *rules)
{
	if (!rules)
		return NULL;
	for (size_t i = 0; i < rules->n_pieces; i++) {
		free(rules->pieces[i].what);
		free(rules->pieces[i].text);
		free(rules->pieces[i].listing);
	}
	for (size_t i = 0; i < rules->n_notes; i++)
		free(rules->notes[i]);
	free(rules->pieces);
	free(rules->notes);
	free(rules);
	return NULL;
}

/* The order of texts, but for braces and spaces: nft reads "{ 1-9 }" and lists "1-9". */
static int compare_texts(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "{} \t");
		b += strspn(b, "{} \t");
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	}
}

static int text_order(const void *one, const void *other)
{
	return compare_texts(*(char *const *)one, *(char *const *)other);
}

/* The chains, sets and maps of a listing, each as a text; in order. The texts are cut out of the listing. */
static int blocks_of(char *listing, char ***ret, size_t *ret_n)
{
	char **blocks = NULL, *at = listing, *end;
	size_t n = 0;

	while ((at = strstr(at, "\n\t")) && (end = strstr(at, "\n\t}"))) {
		char **slot = ARRAY_ADD(blocks, n);

		if (!slot) {
			free(blocks);
			return -ENOMEM;
		}
		at += strspn(at, "\n");
		*slot = at;
		end[1] = '\0';
		at = end + 2;
	}
	if (n > 0)
		qsort(blocks, n, sizeof(*blocks), text_order);
	*ret = blocks;
	*ret_n = n;
	return 0;
}

/* iptables makes all chains of a table, also those that were not there: without a rule, and accepting. */
static bool is_idle(const char *block)
{
	const char *policy = strstr(block, "policy accept;");

	return policy && !strchr(policy, '\n')[1];
}

static bool same_blocks(char **wanted, size_t n_wanted, char **have, size_t n_have)
{
	size_t k = 0;

	for (size_t i = 0; i < n_have; i++) {
		if (k < n_wanted && compare_texts(wanted[k], have[i]) == 0)
			k++;
		else if (!is_idle(have[i]))
			return false;
	}
	return k == n_wanted;
}

/* Whether nft lists the same of a table; -ENOMEM. */
static int same_table(const char *wanted, const char *have)
{
	_cleanup_free_ char *one = strdup(wanted), *other = strdup(have);
	_cleanup_free_ char **one_blocks = NULL, **other_blocks = NULL;
	size_t n_one, n_other;

	if (!one || !other || blocks_of(one, &one_blocks, &n_one) < 0 || blocks_of(other, &other_blocks, &n_other) < 0)
		return -ENOMEM;
	return same_blocks(one_blocks, n_one, other_blocks, n_other);
}

/* Gives the text to the program: 0, or -EIO with the reason. */
static int feed(const char *const *arguments, const char *text, char said[PROGRAM_SAID_MAX])
{
	_cleanup_free_ char *out = NULL;
	size_t length;
	int r = program_feed(arguments, text, &out, &length, said);

	if (r < 0 && !*said)
		snprintf(said, PROGRAM_SAID_MAX, "%s", strerror(-r));
	return r;
}

/* Whether the table is there as it is on the machine; else *said has why not. */
static int check_table(const struct piece *piece, char said[PROGRAM_SAID_MAX])
{
	_cleanup_free_ char *have = NULL;
	char family[16], table[256];
	int r;

	if (sscanf(piece->what, "table %15s %255s", family, table) != 2)
		return -EINVAL;
	r = list_table(family, table, &have, said);
	if (r >= 0)
		r = same_table(piece->listing, have);
	if (r == 0)
		snprintf(said, PROGRAM_SAID_MAX, "nft lists another one there");
	return r == 0 ? -EIO : r < 0 ? r : 0;
}

static void drop_table(const struct piece *piece)
{
	char line[300], said[PROGRAM_SAID_MAX];
	static const char *const arguments[] = { "nft", "-f", "-", NULL };

	snprintf(line, sizeof(line), "delete %s\n", piece->what);
	feed(arguments, line, said);
}

static int load_piece(const struct piece *piece, char said[PROGRAM_SAID_MAX])
{
	static const char *const by_nft[] = { "nft", "-f", "-", NULL };
	int r = feed(piece->arguments, piece->text, said);
	char again[PROGRAM_SAID_MAX];

	if (r >= 0 && piece->listing)
		r = check_table(piece, said);
	if (r >= 0 || !piece->listing || !piece->family)
		return r;
	drop_table(piece);
	if (feed(by_nft, piece->listing, again) >= 0 && check_table(piece, again) >= 0)
		return 0;
	drop_table(piece); /* the better of the two, and it is said */
	feed(piece->arguments, piece->text, again);
	return r;
}

void rules_load(const struct rules *rules, mirror_note note, void *data)
{
	for (size_t i = 0; i < rules->n_notes; i++)
		note(data, rules->notes[i]);
	for (size_t i = 0; i < rules->n_pieces; i++) {
		const struct piece *piece = &rules->pieces[i];
		char said[PROGRAM_SAID_MAX] = "", text[PROGRAM_SAID_MAX + 300];

		if (load_piece(piece, said) >= 0)
			continue;
		snprintf(text, sizeof(text), "%s is another one in the twin, or is not there: %s: %s", piece->what,
			 piece->arguments[0], said);
		note(data, text);
	}
}

size_t rules_saved(const struct rules *rules, size_t i, const char **ret_text, const char **ret_family,
		   bool *ret_legacy)
{
	for (; i < rules->n_pieces; i++)
		if (rules->pieces[i].family) {
			*ret_text = rules->pieces[i].text;
			*ret_family = rules->pieces[i].family;
			*ret_legacy = rules->pieces[i].legacy;
			return i + 1;
		}
	return 0;
}
