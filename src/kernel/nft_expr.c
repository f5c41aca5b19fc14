/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A rule's statements as expressions. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include "kernel/nft_build.h"

#define KEY_WORDS_MAX 16 /* registers of 4 bytes */

/* A rule that is being built. */
struct builder {
	struct nftnl_rule *rule;
	const struct ruleset *ruleset;
	const struct nft_index *sets;
};

/* A new expression at the end of the rule, or NULL. */
static struct nftnl_expr *add_expr(struct builder *builder, const char *kind)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(kind);

	if (expr)
		nftnl_rule_add_expr(builder->rule, expr);
	return expr;
}

/* The register that starts `word` words of 4 bytes after the first. */
static uint32_t register_at(size_t word)
{
	return (uint32_t)(word % 4 ? NFT_REG32_00 + word : NFT_REG_1 + word / 4);
}

/* Of routing, even a yes or no is compared as a whole number. */
static uint32_t field_size(const struct field_info *info)
{
	return info->load == LOAD_FIB ? sizeof(uint32_t) : info->size;
}

static int load_meta(struct builder *builder, const struct field_info *info, uint32_t reg, uint32_t size)
{
	struct nftnl_expr *expr = add_expr(builder, "meta");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, info->a);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, reg);
	return 0;
}

static int load_payload(struct builder *builder, const struct field_info *info, uint32_t reg, uint32_t size)
{
	struct nftnl_expr *expr = add_expr(builder, "payload");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, reg);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, info->a);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, info->b);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, size);
	return 0;
}

static int load_ct(struct builder *builder, const struct field_info *info, uint32_t reg, uint32_t size)
{
	struct nftnl_expr *expr = add_expr(builder, "ct");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_KEY, info->a);
	if (info->b != UINT32_MAX)
		nftnl_expr_set_u8(expr, NFTNL_EXPR_CT_DIR, (uint8_t)info->b);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_DREG, reg);
	return 0;
}

static int load_fib(struct builder *builder, const struct field_info *info, uint32_t reg, uint32_t size)
{
	struct nftnl_expr *expr = add_expr(builder, "fib");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_FLAGS, info->a);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_RESULT, info->b);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_DREG, reg);
	return 0;
}

static int load_exthdr(struct builder *builder, const struct field_info *info, uint32_t reg, uint32_t size)
{
	struct nftnl_expr *expr = add_expr(builder, "exthdr");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_EXTHDR_DREG, reg);
	nftnl_expr_set_u8(expr, NFTNL_EXPR_EXTHDR_TYPE, (uint8_t)info->a);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_EXTHDR_OFFSET, info->c >> 16);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_EXTHDR_LEN, size);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_EXTHDR_OP, info->b);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_EXTHDR_FLAGS, info->c & 0xffff);
	return 0;
}

/* Loads the first `size` bytes of a field. */
static int load_field(struct builder *builder, const struct field_info *info, uint32_t reg, uint32_t size)
{
	static int (*const loads[])(struct builder *, const struct field_info *, uint32_t, uint32_t) = {
		[LOAD_META] = load_meta, [LOAD_PAYLOAD] = load_payload, [LOAD_CT] = load_ct,
		[LOAD_FIB] = load_fib,	 [LOAD_EXTHDR] = load_exthdr,
	};

	return loads[info->load](builder, info, reg, size);
}

/*
 * Intervals are compared byte by byte from the first, so numbers in host order are turned. nft does so for single bytes
 * too where they are not read from the packet itself, with a size of 2, which changes nothing.
 */
static int turn_field(struct builder *builder, const struct field_info *info, uint32_t reg)
{
	bool single = info->size == 1 && (info->load == LOAD_META || info->load == LOAD_CT);
	struct nftnl_expr *expr;

	if (!info->host_order && !single)
		return 0;
	expr = add_expr(builder, "byteorder");
	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_SREG, reg);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_DREG, reg);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_LEN, info->size);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_SIZE, info->size % 4 == 0 ? 4 : 2);
	return 0;
}

/* Loads all fields of a statement, one after the other, as keys of its set. */
static int load_key(struct builder *builder, const struct stmt *stmt)
{
	ssize_t at = nft_index_find(builder->sets, stmt->name);
	size_t word = 0;
	bool turn;

	if (at < 0 || stmt->n_fields == 0 || stmt->n_fields > STMT_FIELDS_MAX)
		return -EINVAL;
	turn = builder->ruleset->sets[at].interval;
	for (size_t i = 0; i < stmt->n_fields; i++) {
		const struct field_info *info = field_info(stmt->fields[i]);
		uint32_t reg = register_at(word);
		int r;

		word += (field_size(info) + 3) / 4;
		if (word > KEY_WORDS_MAX)
			return -EINVAL;
		r = load_field(builder, info, reg, info->size);
		if (r == 0 && turn)
			r = turn_field(builder, info, reg);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A number as the packet or the kernel has it. */
static void put_number(const struct field_info *info, uint64_t value, uint8_t *ret)
{
	uint32_t number = (uint32_t)value, size = field_size(info);

	if (info->host_order && size == 4) {
		memcpy(ret, &number, 4);
		return;
	}
	for (size_t i = size; i-- > 0; value >>= 8)
		ret[i] = (uint8_t)value;
}

static int add_bitwise(struct builder *builder, uint32_t size, const uint8_t *mask, const uint8_t *flip)
{
	struct nftnl_expr *expr = add_expr(builder, "bitwise");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, size);
	nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, mask, size);
	nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, flip, size);
	return 0;
}

static int add_compare(struct builder *builder, bool negate, const uint8_t *value, uint32_t size)
{
	struct nftnl_expr *expr = add_expr(builder, "cmp");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, negate ? NFT_CMP_NEQ : NFT_CMP_EQ);
	nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, value, size);
	return 0;
}

static void put_prefix_mask(unsigned prefix, uint8_t ret[16])
{
	for (unsigned i = 0; i < prefix; i++)
		ret[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static int build_compare(struct builder *builder, const struct stmt *stmt)
{
	static const uint8_t zero[16];
	const struct field_info *info = field_info(stmt->fields[0]);
	uint8_t value[16] = { 0 }, mask[16] = { 0 };
	bool masked = stmt->mask != 0;
	uint32_t size = field_size(info);
	int r;

	if (size > 16 || stmt->prefix > size * 8)
		return -EINVAL;
	if (stmt->n_bytes)
		memcpy(value, stmt->bytes, size);
	else
		put_number(info, stmt->value, value);
	put_number(info, stmt->mask, mask);
	if (stmt->prefix && stmt->prefix < size * 8) {
		memset(mask, 0, sizeof(mask));
		put_prefix_mask(stmt->prefix, mask);
		for (size_t i = 0; i < size; i++)
			value[i] &= mask[i];
		masked = stmt->prefix % 8 != 0 || info->load != LOAD_PAYLOAD;
		if (!masked)
			size = stmt->prefix / 8;
	}

	r = load_field(builder, info, NFT_REG_1, size);
	if (r == 0 && masked)
		r = add_bitwise(builder, size, mask, zero);
	return r < 0 ? r : add_compare(builder, stmt->negate, value, size);
}

static struct nftnl_expr *add_lookup(struct builder *builder, const char *set)
{
	struct nftnl_expr *expr = add_expr(builder, "lookup");

	if (!expr)
		return NULL;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	return nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, set) < 0 ? NULL : expr;
}

static int build_in(struct builder *builder, const struct stmt *stmt)
{
	int r = load_key(builder, stmt);
	struct nftnl_expr *expr;

	if (r < 0)
		return r;
	expr = add_lookup(builder, stmt->name);
	if (!expr)
		return -ENOMEM;
	if (stmt->negate)
		nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	return 0;
}

static int build_map(struct builder *builder, const struct stmt *stmt, uint32_t result)
{
	int r = load_key(builder, stmt);
	struct nftnl_expr *expr;

	if (r < 0)
		return r;
	expr = add_lookup(builder, stmt->name);
	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_DREG, result);
	return 0;
}

static int build_vmap(struct builder *builder, const struct stmt *stmt)
{
	return build_map(builder, stmt, NFT_REG_VERDICT);
}

static int add_meta_set(struct builder *builder, uint32_t key)
{
	struct nftnl_expr *expr = add_expr(builder, "meta");

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_SREG, NFT_REG_1);
	return 0;
}

static int build_priority(struct builder *builder, const struct stmt *stmt)
{
	struct nftnl_expr *expr = add_expr(builder, "immediate");
	uint32_t value = (uint32_t)stmt->value;

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
	nftnl_expr_set(expr, NFTNL_EXPR_IMM_DATA, &value, sizeof(value));
	return add_meta_set(builder, NFT_META_PRIORITY);
}

static int build_priority_map(struct builder *builder, const struct stmt *stmt)
{
	int r = build_map(builder, stmt, NFT_REG_1);

	return r < 0 ? r : add_meta_set(builder, NFT_META_PRIORITY);
}

static int build_mark(struct builder *builder, const struct stmt *stmt)
{
	const struct field_info *info = field_info(FIELD_MARK);
	uint8_t mask[4], flip[4];
	int r;

	put_number(info, stmt->mask & ~stmt->value, mask);
	put_number(info, stmt->value, flip);
	r = load_field(builder, info, NFT_REG_1, info->size);
	if (r == 0)
		r = add_bitwise(builder, info->size, mask, flip);
	return r < 0 ? r : add_meta_set(builder, NFT_META_MARK);
}

/* Puts the key into the statement's set, or finds it there. */
static struct nftnl_expr *add_dynset(struct builder *builder, const struct stmt *stmt, uint32_t op, uint64_t seconds)
{
	struct nftnl_expr *expr = load_key(builder, stmt) < 0 ? NULL : add_expr(builder, "dynset");

	if (!expr || nftnl_expr_set_str(expr, NFTNL_EXPR_DYNSET_SET_NAME, stmt->name) < 0)
		return NULL;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_DYNSET_OP, op);
	if (seconds)
		nftnl_expr_set_u64(expr, NFTNL_EXPR_DYNSET_TIMEOUT, seconds * 1000);
	return expr;
}

static int build_count_over(struct builder *builder, const struct stmt *stmt)
{
	struct nftnl_expr *expr = add_dynset(builder, stmt, NFT_DYNSET_OP_ADD, 0);
	struct nftnl_expr *limit = expr ? nftnl_expr_alloc("connlimit") : NULL;

	if (!limit)
		return -ENOMEM;
	nftnl_expr_set_u32(limit, NFTNL_EXPR_CONNLIMIT_COUNT, (uint32_t)stmt->value);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
	nftnl_expr_add_expr(expr, NFTNL_EXPR_DYNSET_EXPR, limit);
	return 0;
}

static int build_renew(struct builder *builder, const struct stmt *stmt)
{
	return add_dynset(builder, stmt, NFT_DYNSET_OP_UPDATE, stmt->value) ? 0 : -ENOMEM;
}

static void limit_fill(struct nftnl_expr *expr, uint64_t rate)
{
	nftnl_expr_set_u64(expr, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(expr, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LIMIT_BURST, (uint32_t)rate * LIMIT_BURST);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LIMIT_FLAGS, 0);
}

static int build_meter(struct builder *builder, const struct stmt *stmt)
{
	struct nftnl_expr *expr = add_dynset(builder, stmt, NFT_DYNSET_OP_UPDATE, METER_SECONDS);
	struct nftnl_expr *limit = expr ? nftnl_expr_alloc("limit") : NULL;

	if (!limit)
		return -ENOMEM;
	limit_fill(limit, stmt->value);
	nftnl_expr_add_expr(expr, NFTNL_EXPR_DYNSET_EXPR, limit);
	return 0;
}

static int build_limit(struct builder *builder, const struct stmt *stmt)
{
	struct nftnl_expr *expr = add_expr(builder, "limit");

	if (!expr)
		return -ENOMEM;
	limit_fill(expr, stmt->value);
	return 0;
}

static int load_port(struct builder *builder, uint32_t reg, uint64_t port)
{
	struct nftnl_expr *expr = add_expr(builder, "immediate");
	uint16_t value = htons((uint16_t)port);

	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, reg);
	nftnl_expr_set(expr, NFTNL_EXPR_IMM_DATA, &value, sizeof(value));
	return 0;
}

static int build_masquerade(struct builder *builder, const struct stmt *stmt)
{
	struct nftnl_expr *expr;

	if (load_port(builder, NFT_REG_1, stmt->value) < 0 || load_port(builder, NFT_REG_2, stmt->mask) < 0)
		return -ENOMEM;
	expr = add_expr(builder, "masq");
	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_MASQ_REG_PROTO_MIN, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_MASQ_REG_PROTO_MAX, NFT_REG_2);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	return 0;
}

static int build_log(struct builder *builder, const struct stmt *stmt)
{
	struct nftnl_expr *expr = add_expr(builder, "log");

	if (!expr || nftnl_expr_set_str(expr, NFTNL_EXPR_LOG_PREFIX, stmt->name) < 0)
		return -ENOMEM;
	nftnl_expr_set_u16(expr, NFTNL_EXPR_LOG_GROUP, (uint16_t)stmt->value);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOG_SNAPLEN, 128);
	return 0;
}

static int build_counter(struct builder *builder, const struct stmt *stmt)
{
	return add_expr(builder, "counter") ? 0 : -ENOMEM;
}

static int build_verdict(struct builder *builder, const struct stmt *stmt)
{
	static const uint32_t codes[] = {
		[CODE_ACCEPT] = NF_ACCEPT,
		[CODE_DROP] = NF_DROP,
		[CODE_RETURN] = (uint32_t)NFT_RETURN,
		[CODE_JUMP] = (uint32_t)NFT_JUMP,
		[CODE_GOTO] = (uint32_t)NFT_GOTO,
	};
	bool named = stmt->code == CODE_JUMP || stmt->code == CODE_GOTO;
	struct nftnl_expr *expr;

	if (named && !stmt->name)
		return -EINVAL;
	expr = add_expr(builder, "immediate");
	if (!expr)
		return -ENOMEM;
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, codes[stmt->code]);
	return named && nftnl_expr_set_str(expr, NFTNL_EXPR_IMM_CHAIN, stmt->name) < 0 ? -ENOMEM : 0;
}

static int (*const builds[])(struct builder *, const struct stmt *) = {
	[STMT_COMPARE] = build_compare,
	[STMT_IN] = build_in,
	[STMT_VMAP] = build_vmap,
	[STMT_PRIORITY] = build_priority,
	[STMT_PRIORITY_MAP] = build_priority_map,
	[STMT_MARK] = build_mark,
	[STMT_COUNT_OVER] = build_count_over,
	[STMT_RENEW] = build_renew,
	[STMT_METER] = build_meter,
	[STMT_LIMIT] = build_limit,
	[STMT_LOG] = build_log,
	[STMT_COUNTER] = build_counter,
	[STMT_MASQUERADE] = build_masquerade,
	[STMT_VERDICT] = build_verdict,
};

int nft_build_rule(const char *table, const char *chain, const struct rule *rule, const struct ruleset *ruleset,
		   const struct nft_index *sets, struct nftnl_rule **ret)
{
	struct builder builder = { nftnl_rule_alloc(), ruleset, sets };
	int r = 0;

	if (!builder.rule)
		return -ENOMEM;
	nftnl_rule_set_u32(builder.rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	if (nftnl_rule_set_str(builder.rule, NFTNL_RULE_TABLE, table) < 0 ||
	    nftnl_rule_set_str(builder.rule, NFTNL_RULE_CHAIN, chain) < 0)
		r = -ENOMEM;
	for (size_t i = 0; i < rule->n_stmts && r == 0; i++)
		r = builds[rule->stmts[i].kind](&builder, &rule->stmts[i]);
	if (r < 0) {
		nftnl_rule_free(builder.rule);
		return r;
	}
	*ret = builder.rule;
	return 0;
}
