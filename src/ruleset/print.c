/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/ruleset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

static const char *const hook_names[] = {
	[HOOK_PREROUTING] = "prerouting",   [HOOK_INPUT] = "input",
	[HOOK_FORWARD] = "forward",	    [HOOK_OUTPUT] = "output",
	[HOOK_POSTROUTING] = "postrouting",
};

static const char *const verdict_names[] = {
	[CODE_ACCEPT] = "accept", [CODE_DROP] = "drop", [CODE_RETURN] = "return",
	[CODE_JUMP] = "jump",	  [CODE_GOTO] = "goto",
};

/* Numbers that nft wants, or shows, as words. */
static const struct word {
	enum field field;
	uint64_t value;
	const char *text;
} words[] = {
	{ FIELD_NFPROTO, 2, "ipv4" },
	{ FIELD_NFPROTO, 10, "ipv6" },
	{ FIELD_CT_STATE, 1, "invalid" },
	{ FIELD_CT_STATE, 2, "established" },
	{ FIELD_CT_STATE, 4, "related" },
	{ FIELD_CT_STATE, 8, "new" },
	{ FIELD_CT_DIRECTION, 0, "original" },
	{ FIELD_CT_DIRECTION, 1, "reply" },
	{ FIELD_CT_STATUS, 0x20, "dnat" },
	{ FIELD_FIB_DADDR_TYPE, 2, "local" },
	{ FIELD_FIB_DADDR_IIF_TYPE, 2, "local" },
	{ FIELD_FIB_DADDR_TYPE, 3, "broadcast" },
	{ FIELD_FIB_DADDR_IIF_TYPE, 3, "broadcast" },
	{ FIELD_FIB_SADDR_TYPE, 2, "local" },
	{ FIELD_FIB_SADDR_IIF_OIF, 0, "missing" },
	{ FIELD_FIB_SADDR_IIF_OIF, 1, "exists" },
	{ FIELD_IP_LSRR, 1, "exists" },
	{ FIELD_IP_SSRR, 1, "exists" },
};

static const char *word_of(enum field field, uint64_t value)
{
	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (words[i].field == field && words[i].value == value)
			return words[i].text;
	return NULL;
}

static void print_number(FILE *file, enum field field, uint64_t value)
{
	const char *word = word_of(field, value);

	if (word)
		fputs(word, file);
	else if (field == FIELD_PRIORITY)
		fprintf(file, "%" PRIx64 ":%" PRIx64, value >> 16, value & 0xffff);
	else if (field == FIELD_MARK || field == FIELD_TCP_FLAGS || field == FIELD_IP_DS || field == FIELD_IP_VIHL)
		fprintf(file, "0x%" PRIx64, value);
	else
		fprintf(file, "%" PRIu64, value);
}

static void print_addr(FILE *file, const uint8_t *bytes, size_t size, unsigned prefix)
{
	char text[INET6_ADDRSTRLEN];

	fputs(inet_ntop(size == 16 ? AF_INET6 : AF_INET, bytes, text, sizeof(text)), file);
	if (prefix)
		fprintf(file, "/%u", prefix);
}

static bool is_name(enum field field)
{
	return field == FIELD_IIFNAME || field == FIELD_OIFNAME;
}

static bool is_addr(enum field field)
{
	return field >= FIELD_IP_SADDR && field <= FIELD_IP6_DADDR;
}

static void print_fields(FILE *file, const struct stmt *stmt)
{
	for (size_t i = 0; i < stmt->n_fields; i++)
		fprintf(file, "%s%s", i ? " . " : "", field_info(stmt->fields[i])->text);
}

/* Conntrack's states and statuses are bits: a test is (field & mask) != 0, which nft writes as the bit's name. */
static bool is_bits(enum field field)
{
	return field == FIELD_CT_STATE || field == FIELD_CT_STATUS;
}

static void print_compare(FILE *file, const struct stmt *stmt)
{
	enum field field = stmt->fields[0];

	fputs(field_info(field)->text, file);
	if (is_bits(field)) {
		fputs(stmt->negate ? " " : " != ", file);
		print_number(file, field, stmt->mask);
		return;
	}
	if (stmt->mask)
		fprintf(file, " & 0x%" PRIx64, stmt->mask);
	fputs(stmt->negate ? " != " : " ", file);
	if (is_name(field))
		fprintf(file, "\"%s\"", (const char *)stmt->bytes);
	else if (is_addr(field))
		print_addr(file, stmt->bytes, stmt->n_bytes, stmt->prefix);
	else
		print_number(file, field, stmt->value);
}

static void print_stmt(FILE *file, const struct stmt *stmt)
{
	switch (stmt->kind) {
	case STMT_COMPARE:
		print_compare(file, stmt);
		break;
	case STMT_IN:
		print_fields(file, stmt);
		fprintf(file, " %s@%s", stmt->negate ? "!= " : "", stmt->name);
		break;
	case STMT_VMAP:
		print_fields(file, stmt);
		fprintf(file, " vmap @%s", stmt->name);
		break;
	case STMT_PRIORITY:
		fputs("meta priority set ", file);
		print_number(file, FIELD_PRIORITY, stmt->value);
		break;
	case STMT_PRIORITY_MAP:
		fputs("meta priority set ", file);
		print_fields(file, stmt);
		fprintf(file, " map @%s", stmt->name);
		break;
	case STMT_MARK:
		fprintf(file, "meta mark set meta mark & 0x%08" PRIx64, stmt->mask);
		if (stmt->value)
			fprintf(file, " | 0x%08" PRIx64, stmt->value);
		break;
	case STMT_COUNT_OVER:
		fprintf(file, "add @%s { %s ct count over %" PRIu64 " }", stmt->name, field_info(stmt->fields[0])->text,
			stmt->value);
		break;
	case STMT_RENEW:
		fprintf(file, "update @%s { ", stmt->name);
		print_fields(file, stmt);
		fprintf(file, " timeout %" PRIu64 "s }", stmt->value);
		break;
	case STMT_METER:
		fprintf(file, "update @%s { ", stmt->name);
		print_fields(file, stmt);
		fprintf(file, " timeout %us limit rate %" PRIu64 "/second burst %" PRIu64 " packets }", METER_SECONDS,
			stmt->value, stmt->value * LIMIT_BURST);
		break;
	case STMT_MASQUERADE:
		fprintf(file, "masquerade to :%" PRIu64 "-%" PRIu64, stmt->value, stmt->mask);
		break;
	case STMT_LIMIT:
		fprintf(file, "limit rate %" PRIu64 "/second burst %" PRIu64 " packets", stmt->value,
			stmt->value * LIMIT_BURST);
		break;
	case STMT_LOG:
		fprintf(file, "log prefix \"%s\" group %" PRIu64 " snaplen 128", stmt->name, stmt->value);
		break;
	case STMT_COUNTER:
		fputs("counter", file);
		break;
	case STMT_VERDICT:
		fputs(verdict_names[stmt->code], file);
		if (stmt->code == CODE_JUMP || stmt->code == CODE_GOTO)
			fprintf(file, " %s", stmt->name);
		break;
	}
}

static void print_key_part(FILE *file, const struct set *set, const uint8_t *key, size_t i)
{
	enum field field = set->fields[i];
	const struct field_info *info = field_info(field);
	const uint8_t *at = key + key_offset(set, i);
	uint32_t value = *at;

	if (is_name(field)) {
		fprintf(file, "\"%.*s\"", IFNAMSIZ, (const char *)at);
		return;
	}
	if (is_addr(field)) {
		print_addr(file, at, info->size, 0);
		return;
	}
	if (info->size == 2)
		value = (uint32_t)at[0] << 8 | at[1];
	if (info->size == 4) {
		memcpy(&value, at, 4);
		if (!info->host_order || set->interval)
			value = ntohl(value);
	}
	print_number(file, field, value);
}

static struct addr key_addr(const struct set *set, const struct element *element)
{
	size_t size = field_info(set->fields[0])->size;
	struct addr addr = { .family = size == 4 ? AF_INET : AF_INET6 };

	memcpy(addr.bytes, element->key, size);
	return addr;
}

/* How many bits the addresses of a range have in common, when it is all that have them; else -1. */
static int range_length(const struct range *range)
{
	for (unsigned length = 0; length <= addr_bits(range->first.family); length++) {
		struct prefix prefix = { range->first, (uint8_t)length };
		struct range whole = prefix_range(&prefix);

		if (addr_compare(&whole.first, &range->first) == 0 && addr_compare(&whole.last, &range->last) == 0)
			return (int)length;
	}
	return -1;
}

/* Up to its end, which comes next, or to the last address there is. */
static void print_range(FILE *file, const struct set *set, size_t i)
{
	struct range range = { .first = key_addr(set, set_element(set, i)) };
	size_t size = addr_size(range.first.family);
	int length;

	if (i + 1 < set->n_elements) {
		range.last = key_addr(set, set_element(set, i + 1));
		addr_previous(&range.last);
	} else {
		range.last.family = range.first.family;
		memset(range.last.bytes, 0xff, size);
	}
	length = range_length(&range);
	print_addr(file, range.first.bytes, size,
		   length < 0 || length == (int)addr_bits(range.first.family) ? 0 : (unsigned)length);
	if (length == 0)
		fputs("/0", file);
	if (length >= 0)
		return;
	fputc('-', file);
	print_addr(file, range.last.bytes, size, 0);
}

static void print_key(FILE *file, const struct set *set, const struct element *element)
{
	for (size_t i = 0; i < set->n_fields; i++) {
		const uint8_t *end = set->interval ? element_key_end(set, element) : element->key;
		size_t at = key_offset(set, i);

		fputs(i ? " . " : "", file);
		print_key_part(file, set, element->key, i);
		if (memcmp(element->key + at, end + at, field_info(set->fields[i])->size) != 0) {
			fputc('-', file);
			print_key_part(file, set, end, i);
		}
	}
}

static void print_element(FILE *file, const struct set *set, size_t i)
{
	const struct element *element = set_element(set, i);

	if (set_is_tree(set))
		print_range(file, set, i);
	else
		print_key(file, set, element);
	if (set->data == DATA_PRIORITY) {
		fputs(" : ", file);
		print_number(file, FIELD_PRIORITY, element->data);
	} else if (set->data == DATA_VERDICT) {
		fprintf(file, " : goto %s", element_chain(set, element));
	}
}

static void print_set(FILE *file, const struct set *set)
{
	static const char *const data_types[] = { "", " : classid", " : verdict" };

	bool named = set_has_types(set);

	fprintf(file, "\t%s %s {\n\t\t%s ", set->data == DATA_NONE ? "set" : "map", set->name,
		named ? "type" : "typeof");
	for (size_t i = 0; i < set->n_fields; i++)
		fprintf(file, "%s%s", i ? " . " : "",
			named ? field_info(set->fields[i])->type : field_info(set->fields[i])->text);
	fprintf(file, "%s\n", data_types[set->data]);
	if (set->size)
		fprintf(file, "\t\tsize %u\n", set->size);
	if (set->interval || set->timeout || set->dynamic)
		fprintf(file, "\t\tflags %s%s%s\n",
			set->interval ? "interval" :
			set->dynamic  ? "dynamic" :
					"",
			set->dynamic && set->timeout ? "," : "", set->timeout ? "timeout" : "");
	for (size_t i = 0; i < set->n_elements; i++) {
		if (element_is_end(set, set_element(set, i)))
			continue;
		fputs(i ? ",\n\t\t\t     " : "\t\telements = { ", file);
		print_element(file, set, i);
	}
	fputs(set->n_elements ? " }\n\t}\n\n" : "\t}\n\n", file);
}

static void print_chain(FILE *file, const struct chain *chain)
{
	fprintf(file, "\tchain %s {\n", chain->name);
	if (chain->hook != HOOK_NONE)
		fprintf(file, "\t\ttype %s hook %s priority %d; policy %s;\n", chain->nat ? "nat" : "filter",
			hook_names[chain->hook], chain->priority, chain->policy_drop ? "drop" : "accept");
	for (size_t i = 0; i < chain->n_rules; i++) {
		const struct rule *rule = &chain->rules[i];

		for (size_t k = 0; k < rule->n_stmts; k++) {
			fputs(k ? " " : "\t\t", file);
			print_stmt(file, &rule->stmts[k]);
		}
		fputc('\n', file);
	}
	fputs("\t}\n\n", file);
}

int ruleset_print(const struct ruleset *ruleset, const char *table, FILE *file)
{
	fprintf(file, "table inet %s {\n", table);
	for (size_t i = 0; i < ruleset->n_sets; i++)
		print_set(file, &ruleset->sets[i]);
	for (size_t i = 0; i < ruleset->n_chains; i++)
		print_chain(file, &ruleset->chains[i]);
	fputs("}\n", file);
	return ferror(file) ? -EIO : 0;
}
