/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "daemon/daemon.h"
#include "kernel/nft.h"
#include "ruleset/compile.h"
#include "verdict/changes.h"
#include "verdict/trial.h"

/* What a change opens and closes, as packets and as rules: somebody with more rights than we have tries it in twins. */

#define RULES_MAX (6u << 20) /* bytes of one ruleset: two, as JSON, and the rest are one answer */

struct buffer {
	char *bytes;
	size_t used;
};

/* Not open_memstream(), which drops a piece without a word when there is no memory for it. */
static ssize_t buffer_write(void *cookie, const char *bytes, size_t n)
{
	struct buffer *buffer = cookie;
	size_t room = buffer->used + n;
	char *grown = room > RULES_MAX ? NULL : realloc(buffer->bytes, room + room / 2);

	if (!grown)
		return 0;
	buffer->bytes = grown;
	memcpy(grown + buffer->used, bytes, n);
	buffer->used = room;
	return (ssize_t)n;
}

static int print_rules(const struct ruleset *ruleset, struct buffer *buffer)
{
	FILE *file = fopencookie(buffer, "w", (cookie_io_functions_t){ .write = buffer_write });
	int r;

	if (!file)
		return -ENOMEM;
	r = ruleset_print(ruleset, NFT_TABLE, file);
	return fclose(file) != 0 || r < 0 ? -EFBIG : 0;
}

/* The rules of a model as nft text; -EFBIG. */
static int rules_text(const struct model *model, json_t **ret)
{
	static const struct compile_options options;
	_cleanup_(ruleset_freep) struct ruleset *ruleset = NULL;
	struct buffer buffer = { 0 };
	struct error error;
	int r;

	if (!model)
		return (*ret = json_string("")) ? 0 : -ENOMEM;
	r = ruleset_compile(model, &options, &ruleset, &error);
	if (r >= 0)
		r = print_rules(ruleset, &buffer);
	if (r >= 0 && !(*ret = json_stringn(buffer.bytes, buffer.used)))
		r = -ENOMEM;
	free(buffer.bytes);
	return r;
}

static json_t *end_name(const struct end *end)
{
	_cleanup_free_ char *label = location_label(end->location);

	return json_text(label ? label : "?");
}

/* What is not asked is null: there are no rules of ours that could say anything. */
static json_t *said(bool known, bool accept)
{
	return known ? json_string(accept ? "accept" : "drop") : json_null();
}

static int add_trial(json_t *list, const struct trial *trial, const struct model *before, const struct model *after)
{
	char proto[16], port[40];

	proto_name(trial->packet.proto, proto);
	if (trial->packet.dialled_port)
		snprintf(port, sizeof(port), "%u/%s%s", trial->packet.dialled_port, proto,
			 trial->published ? " as published" : "");
	else
		snprintf(port, sizeof(port), "%s", proto);
	return json_array_append_new(
		list, json_pack("{s:o, s:o, s:s, s:o, s:o, s:s, s:o}", "from", end_name(&trial->from), "to",
				end_name(&trial->to), "port", port, "before", said(before, trial->before), "after",
				said(after, trial->after), "reason", reason_info(trial->reason)->id, "packet",
				packet_json(after ? after : before, &trial->packet, &trial->from, &trial->to)));
}

static int find(const struct model *before, const struct model *after, struct trials *ret)
{
	return before && after ? trials_changed(before, after, ret) : trials_all(before ? before : after, true, ret);
}

json_t *trial_json(const struct daemon *daemon, const struct model *before, const struct model *after)
{
	_cleanup_json_ json_t *packets = json_array(), *rules_before = NULL, *rules_after = NULL;
	struct trials trials = { 0 };
	json_t *json = NULL;
	int r = packets ? find(before, after, &trials) : -ENOMEM;

	for (size_t i = 0; i < trials.n && r >= 0; i++)
		r = add_trial(packets, &trials.items[i], before, after);
	if (r >= 0 && before && daemon->active)
		rules_before = json_null(); /* the kernel has them */
	else if (r >= 0)
		r = rules_text(before, &rules_before);
	if (r >= 0)
		r = rules_text(after, &rules_after);
	if (r >= 0)
		json = json_pack("{s:O, s:O, s:O, s:I, s:I, s:I}", "rules_before", rules_before, "rules_after",
				 rules_after, "packets", packets, "found", (json_int_t)trials.found, "pairs",
				 (json_int_t)trials.pairs, "of", (json_int_t)trials.pairs_found);
	else
		json = json_pack("{s:s}", "why",
				 r == -EFBIG || r == -E2BIG ? "the rules are too many to be sent" :
							      "there is not enough memory");
	trials_clear(&trials);
	return json;
}
