/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/label.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "policy/words.h"

/* The next item of a list, without the spaces around it; *text moves behind the separator, to NULL after the last. */
static char *next_item(char **text, char separator)
{
	char *item = *text + strspn(*text, " "), *end = strchr(item, separator);

	*text = end ? end + 1 : NULL;
	if (!end)
		end = item + strlen(item);
	while (end > item && end[-1] == ' ')
		end--;
	*end = '\0';
	return item;
}

static int read_policies(char *text, struct asked *asked, struct error *error)
{
	unsigned policies = 0;

	while (text) {
		int bit = policy_bit_parse(next_item(&text, ','), error);

		if (bit < 0)
			return bit;
		policies |= (unsigned)bit;
	}
	asked->entry.policies = policies;
	return policies_check(policies, error);
}

static int read_words(char *text, char ***words, size_t *n, struct error *error)
{
	while (text) {
		const char *word = next_item(&text, ',');
		int r = group_name_check(word, error);

		if (r < 0)
			return r;
		if (policy_word_add(words, n, word) < 0)
			return error_memory(error);
	}
	return 0;
}

static int read_groups(char *text, struct asked *asked, struct error *error)
{
	return read_words(text, &asked->entry.groups, &asked->entry.n_groups, error);
}

static int read_tags(char *text, struct asked *asked, struct error *error)
{
	return read_words(text, &asked->entry.tags, &asked->entry.n_tags, error);
}

static int read_to(char *text, struct publish *publish, struct error *error)
{
	while (text) {
		struct selector selector, *slot;
		int r = selector_parse(next_item(&text, '+'), &selector, error);

		if (r < 0)
			return r;
		slot = ARRAY_ADD(publish->to, publish->n_to);
		if (!slot) {
			selector_clear(&selector);
			return error_memory(error);
		}
		*slot = selector;
	}
	return 0;
}

/* "8096/tcp:group:family+internet": a port has no colon, so the first one ends it. */
static int read_port(char *text, struct publish *publish, struct error *error)
{
	const char *port = next_item(&text, ':');
	char shown[WORD_SHOW_MAX];
	int r;

	if (!text)
		return error_set(error, EINVAL, "'%s' does not say to whom: write 8096/tcp:lan or 8096/tcp:group:a+lan",
				 word_show(port, shown));
	r = port_range_parse(port, &publish->port, error);
	if (r >= 0 && publish->port.any_port)
		r = error_set(error, EINVAL, "'%s' is a whole protocol: write a port, such as 8096/tcp", port);
	return r < 0 ? r : read_to(text, publish, error);
}

static int read_publish(char *text, struct asked *asked, struct error *error)
{
	struct member *entry = &asked->entry;

	while (text) {
		struct publish *publish = ARRAY_ADD(entry->publish, entry->n_publish);
		char *item = next_item(&text, ','), port[24];
		int r = publish ? read_port(item, publish, error) : error_memory(error);

		if (r < 0)
			return r;
		for (size_t i = 0; i + 1 < entry->n_publish; i++)
			if (memcmp(&entry->publish[i].port, &publish->port, sizeof(publish->port)) == 0)
				return error_set(error, EINVAL, "the port %s is here twice",
						 port_range_print(&publish->port, port));
	}
	return 0;
}

const char *const label_keys[] = { "policies", "groups", "tags", "publish" };
const size_t n_label_keys = ELEMENTSOF(label_keys);

/* In the order of label_keys. */
static int (*const readers[])(char *text, struct asked *asked, struct error *error) = {
	read_policies,
	read_groups,
	read_tags,
	read_publish,
};

int label_read(const char *key, const char *text, struct asked *asked, struct error *error)
{
	_cleanup_(asked_clear) struct asked said = { 0 };
	_cleanup_free_ char *copy = NULL;
	int which = word_index(key, "label", label_keys, n_label_keys, error), r = 0;

	if (which < 0)
		return error_wrap(error, "a label of spr");
	if (!text || strlen(text) > LABEL_TEXT_MAX)
		return error_set(error, EINVAL,
				 "the label " LABEL_PREFIX "%s is longer than %d bytes, or no text that can be shown",
				 label_keys[which], LABEL_TEXT_MAX);
	copy = strdup(text);
	if (!copy)
		return error_memory(error);
	if (text[strspn(text, " ")])
		r = readers[which](copy, &said, error);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return error_wrap(error, "the label " LABEL_PREFIX "%s", label_keys[which]);
	said.has_policies = readers[which] == read_policies;
	said.entry.has_groups = readers[which] == read_groups;
	asked->has_policies |= said.has_policies;
	return policy_member_merge(&asked->entry, &said.entry) < 0 ? error_memory(error) : 0;
}

static bool has_word(char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

static int missing_words(char *const *want, size_t n_want, char *const *have, size_t n_have, char ***ret, size_t *ret_n)
{
	for (size_t i = 0; i < n_want; i++)
		if (!has_word(have, n_have, want[i]) && policy_word_add(ret, ret_n, want[i]) < 0)
			return -ENOMEM;
	return 0;
}

static bool is_published(const struct member *have, const struct port_range *port, const struct selector *to)
{
	for (size_t i = 0; i < have->n_publish; i++)
		for (size_t k = 0; k < have->publish[i].n_to; k++)
			if (memcmp(&have->publish[i].port, port, sizeof(*port)) == 0 &&
			    selector_equal(&have->publish[i].to[k], to))
				return true;
	return false;
}

static int missing_publish(const struct publish *want, const struct member *have, struct member *ret)
{
	struct publish *publish = NULL;

	for (size_t i = 0; i < want->n_to; i++) {
		struct selector *slot;

		if (is_published(have, &want->port, &want->to[i]))
			continue;
		if (!publish) {
			publish = ARRAY_ADD(ret->publish, ret->n_publish);
			if (!publish)
				return -ENOMEM;
			publish->port = want->port;
		}
		slot = ARRAY_ADD(publish->to, publish->n_to);
		if (!slot || selector_copy(&want->to[i], slot) < 0)
			return -ENOMEM;
	}
	return 0;
}

int asked_missing(const struct asked *asked, const struct member *have, struct asked *ret)
{
	const struct member *want = &asked->entry;
	_cleanup_(asked_clear) struct asked missing = { 0 };
	struct member *lacks = &missing.entry;
	int r;

	lacks->policies = want->policies & ~have->policies;
	missing.has_policies = lacks->policies != 0;
	r = missing_words(want->groups, want->n_groups, have->groups, have->n_groups, &lacks->groups, &lacks->n_groups);
	if (r >= 0)
		r = missing_words(want->tags, want->n_tags, have->tags, have->n_tags, &lacks->tags, &lacks->n_tags);
	for (size_t i = 0; i < want->n_publish && r >= 0; i++)
		r = missing_publish(&want->publish[i], have, lacks);
	if (r < 0)
		return r;
	lacks->has_groups = lacks->n_groups > 0;
	r = lacks->policies || lacks->n_groups || lacks->n_tags || lacks->n_publish;
	*ret = missing;
	missing = (struct asked){ 0 };
	return r;
}

static void print_words(FILE *out, const char *what, char *const *words, size_t n)
{
	fprintf(out, "%s%s", ftell(out) > 0 ? "; " : "", what);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? ", " : " ", words[i]);
	if (n == 0)
		fprintf(out, " none");
}

static void print_policies(FILE *out, unsigned policies)
{
	const char *before = "policies ";

	for (unsigned bit = 1; bit <= POLICY_QUARANTINE; bit <<= 1) {
		if (!(policies & bit))
			continue;
		fprintf(out, "%s%s", before, policy_bit_name((enum policy_bit)bit));
		before = ", ";
	}
	if (!policies)
		fprintf(out, "policies none");
}

static void print_publish(FILE *out, const struct publish *publish)
{
	char port[24];

	fprintf(out, "%spublish %s to", ftell(out) > 0 ? "; " : "", port_range_print(&publish->port, port));
	for (size_t i = 0; i < publish->n_to; i++) {
		_cleanup_free_ char *to = selector_print(&publish->to[i]);

		fprintf(out, "%s%s", i ? ", " : " ", to ? to : "?");
	}
}

char *asked_print(const struct asked *asked)
{
	const struct member *entry = &asked->entry;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (asked->has_policies)
		print_policies(out, entry->policies);
	if (entry->has_groups)
		print_words(out, "groups", entry->groups, entry->n_groups);
	if (entry->n_tags)
		print_words(out, "tags", entry->tags, entry->n_tags);
	for (size_t i = 0; i < entry->n_publish; i++)
		print_publish(out, &entry->publish[i]);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

void asked_clear(struct asked *asked)
{
	asked->entry.kind = MEMBER_CONTAINER;
	policy_member_clear(&asked->entry);
	asked->has_policies = false;
}
