/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/trace_message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/trace.h"

#define LEGACY "TRACE: " /* TABLE:CHAIN:rule|return|policy:NUMBER, see net/ipv4/netfilter/ip_tables.c of the kernel */
#define ATTRIBUTES_MAX 32

static void attributes(const struct nlmsghdr *message, const struct nlattr **table)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attribute) < ATTRIBUTES_MAX)
			table[mnl_attr_get_type(attribute)] = attribute;
}

/* At most `length` bytes of text, cut to what a name has. */
static void take_name(const char *text, size_t length, char name[TRACE_NAME_MAX])
{
	length = strnlen(text, length);
	if (length >= TRACE_NAME_MAX)
		length = TRACE_NAME_MAX - 1;
	memcpy(name, text, length);
	memset(name + length, 0, TRACE_NAME_MAX - length);
}

static bool take_attribute_name(const struct nlattr *attribute, char name[TRACE_NAME_MAX])
{
	if (!attribute)
		return false;
	take_name(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute), name);
	return true;
}

/* -1 where there is none. */
static int64_t number_of(const struct nlattr *attribute)
{
	uint32_t value;

	if (!attribute || mnl_attr_get_payload_len(attribute) < sizeof(value))
		return -1;
	memcpy(&value, mnl_attr_get_payload(attribute), sizeof(value));
	return ntohl(value);
}

static int64_t verdict_of(const struct nlattr *verdict)
{
	const struct nlattr *attribute;
	int64_t code = -1;

	if (verdict)
		mnl_attr_for_each_nested(attribute, verdict)
			if (mnl_attr_get_type(attribute) == NFTA_VERDICT_CODE)
				code = number_of(attribute);
	return code;
}

static bool parse_nft(const struct nlmsghdr *message, struct trace_step *ret)
{
	static const int kinds[] = {
		[NFT_TRACETYPE_POLICY] = TRACE_POLICY, [NFT_TRACETYPE_RETURN] = TRACE_RETURN, [NFT_TRACETYPE_RULE] = TRACE_RULE
	};
	const struct nfgenmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[ATTRIBUTES_MAX] = { NULL };
	struct trace_step step = { .family = info->nfgen_family };
	int64_t type, verdict;

	attributes(message, table);
	type = number_of(table[NFTA_TRACE_TYPE]);
	if (type < NFT_TRACETYPE_POLICY || type > NFT_TRACETYPE_RULE ||
	    !take_attribute_name(table[NFTA_TRACE_TABLE], step.table) ||
	    !take_attribute_name(table[NFTA_TRACE_CHAIN], step.chain))
		return false;
	step.kind = (enum trace_kind)kinds[type];
	if (table[NFTA_TRACE_RULE_HANDLE] &&
	    mnl_attr_get_payload_len(table[NFTA_TRACE_RULE_HANDLE]) >= sizeof(step.rule)) {
		memcpy(&step.rule, mnl_attr_get_payload(table[NFTA_TRACE_RULE_HANDLE]), sizeof(step.rule));
		step.rule = be64toh(step.rule);
	}
	verdict = step.kind == TRACE_POLICY ? number_of(table[NFTA_TRACE_POLICY]) :
					      verdict_of(table[NFTA_TRACE_VERDICT]);
	step.drop = verdict == NF_DROP;
	step.accept = step.kind == TRACE_RULE && verdict == NF_ACCEPT;
	*ret = step;
	return true;
}

static bool parse_legacy_text(const char *text, size_t length, struct trace_step *step)
{
	static const char *const kinds[] = {
		[TRACE_RULE] = "rule", [TRACE_RETURN] = "return", [TRACE_POLICY] = "policy"
	};
	char line[256], *parts[4], *at = line;

	length = strnlen(text, length);
	if (length >= sizeof(line) || length < strlen(LEGACY) || memcmp(text, LEGACY, strlen(LEGACY)) != 0)
		return false;
	memcpy(line, text + strlen(LEGACY), length - strlen(LEGACY));
	line[length - strlen(LEGACY)] = '\0';
	for (size_t i = 0; i < ELEMENTSOF(parts); i++)
		parts[i] = strsep(&at, ":");
	if (!parts[3])
		return false;
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		if (strcmp(parts[2], kinds[i]) == 0) {
			step->kind = (enum trace_kind)i;
			take_name(parts[0], strlen(parts[0]), step->table);
			take_name(parts[1], strlen(parts[1]), step->chain);
			step->rule = strtoul(parts[3], NULL, 10);
			return true;
		}
	return false;
}

static bool parse_legacy(const struct nlmsghdr *message, struct trace_step *ret)
{
	const struct nfgenmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[ATTRIBUTES_MAX] = { NULL }, *prefix;
	struct trace_step step = { .family = info->nfgen_family, .legacy = true };

	attributes(message, table);
	prefix = table[NFULA_PREFIX];
	if (!prefix || !parse_legacy_text(mnl_attr_get_payload(prefix), mnl_attr_get_payload_len(prefix), &step))
		return false;
	*ret = step;
	return true;
}

bool trace_message_parse(const struct nlmsghdr *message, struct trace_step *ret)
{
	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return false;
	if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE))
		return parse_nft(message, ret);
	if (message->nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
		return parse_legacy(message, ret);
	return false;
}
