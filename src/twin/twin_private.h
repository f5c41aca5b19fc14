/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_TWIN_PRIVATE_H
#define SPR_TWIN_PRIVATE_H

#include "kernel/mirror.h"
#include "twin/twin.h"

struct conntrack;
struct nlsocket;

#define TWIN_TABLE "spr-twin" /* of our own, in the twin: it switches tracing on, and says how far a packet came */
#define TWIN_LOCAL "input-end"

/* The outside of an interface. */
struct tap {
	unsigned index;
	unsigned master;
	bool ethernet;
	int fd;
};

/* A rule as its table's own tool shows it. */
struct rule_text {
	char *family; /* "ip", "inet" */
	bool legacy;
	char *table, *chain;
	uint64_t rule; /* handle; legacy: number in the chain */
	char *text;
};

struct twin {
	struct mirror *mirror;
	struct tap *taps;
	size_t n_taps;
	int poll; /* epoll of all taps */
	int space; /* the namespace itself */
	struct trace *trace;
	struct nlsocket *neighbours;
	struct conntrack *conntrack;
	struct rule_text *texts;
	size_t n_texts;
	char **notes;
	size_t n_notes;
};

/* A sentence for twin_notes(); `data` is the twin. */
void twin_note(void *data, const char *text);

/* Everybody's rules, as text that their own tools read. */
struct rules;
int rules_read(const struct twin_options *options, struct rules **ret, struct error *error);
struct rules *rules_free(struct rules *rules);
DEFINE_CLEANUP(struct rules *, rules_free)
/* Into the namespace that the caller is in; what does not go becomes a note. */
void rules_load(const struct rules *rules, mirror_note note, void *data);

/* "ip" for NFPROTO_IPV4; "?" for what is none. */
const char *twin_family_name(uint8_t family);

/* Reads what the rules of the namespace that the caller is in look like. */
int rule_texts_read(const struct rules *rules, struct rule_text **ret, size_t *ret_n, struct error *error);
void rule_texts_free(struct rule_text *texts, size_t n);
/* The text of a rule; NULL where it is not known. */
struct rule_text *rule_text_find(struct rule_text *texts, size_t n, const struct trace_step *step);
/* The rule is there no more: those behind it in a chain of iptables-legacy have other numbers then. */
void rule_texts_cut(struct rule_text *texts, size_t *n, struct rule_text *text);

/* What tools say, taken apart; for rule_texts_read() and its tests. -ENOMEM. */
int rule_texts_of_nft(const char *listing, struct rule_text **texts, size_t *n);
int rule_texts_of_iptables(const char *saved, const char *family, bool legacy, struct rule_text **texts, size_t *n);

/* The texts of iptables' tables, by what they are to be read with. */
size_t rules_saved(const struct rules *rules, size_t i, const char **ret_text, const char **ret_family,
		   bool *ret_legacy);

#endif
