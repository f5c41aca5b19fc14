/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_RULESET_STMT_H
#define SPR_RULESET_STMT_H

/* Short words for statements, so that a table of rules reads like one. For .c files that write rules only. */

#define STMTS_MAX 8

#define FIB_LOCAL 2 /* RTN_LOCAL */
#define FIB_BROADCAST 3 /* RTN_BROADCAST */

/* clang-format off */
#define N_ARGS_(a, b, c, d, e, n, ...) n
#define N_ARGS(...) N_ARGS_(__VA_ARGS__, 5, 4, 3, 2, 1)
#define F1(a) FIELD_##a
#define F2(a, b) FIELD_##a, FIELD_##b
#define F3(a, b, c) FIELD_##a, FIELD_##b, FIELD_##c
#define F4(a, b, c, d) FIELD_##a, FIELD_##b, FIELD_##c, FIELD_##d
#define F5(a, b, c, d, e) FIELD_##a, FIELD_##b, FIELD_##c, FIELD_##d, FIELD_##e
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define FIELDS(...) .n_fields = N_ARGS(__VA_ARGS__), .fields = { PASTE(F, N_ARGS(__VA_ARGS__))(__VA_ARGS__) }

#define COMPARE(field, ...) { .kind = STMT_COMPARE, FIELDS(field), __VA_ARGS__ }
#define IS(field, number) COMPARE(field, .value = (number))
#define NOT(field, number) COMPARE(field, .value = (number), .negate = true)
#define BITS(field, bits) COMPARE(field, .mask = (bits), .negate = true) /* any of them is set */
#define MASKED(field, bits, number) COMPARE(field, .mask = (bits), .value = (number))
#define MASKED_NOT(field, bits, number) COMPARE(field, .mask = (bits), .value = (number), .negate = true)
#define NAME(field, name) COMPARE(field, .bytes = name, .n_bytes = 16)
#define NET4(field, first, length) COMPARE(field, .bytes = { first }, .n_bytes = 4, .prefix = (length))
#define ANY4(field) COMPARE(field, .n_bytes = 4)
#define ANY6(field) COMPARE(field, .n_bytes = 16)
#define LOOPBACK6(field) COMPARE(field, .bytes = { [15] = 1 }, .n_bytes = 16)
#define LINK_LOCAL6(field) COMPARE(field, .bytes = { 0xfe, 0x80 }, .n_bytes = 16, .prefix = 10)
#define IPV4 IS(NFPROTO, 2)
#define IPV6 IS(NFPROTO, 10)
#define BACK BITS(MARK, ACCEPT_BIT) /* it answers, or else somebody set our bit */
#define NOT_BACK MASKED(MARK, ACCEPT_BIT, 0)
#define PROTO(number) IS(L4PROTO, number)

#define IN(set, ...) { .kind = STMT_IN, .name = (set), FIELDS(__VA_ARGS__) }
#define NOT_IN(set, ...) { .kind = STMT_IN, .name = (set), .negate = true, FIELDS(__VA_ARGS__) }
#define VMAP(set, ...) { .kind = STMT_VMAP, .name = (set), FIELDS(__VA_ARGS__) }
#define PRIORITY_MAP(set, ...) { .kind = STMT_PRIORITY_MAP, .name = (set), FIELDS(__VA_ARGS__) }
#define SET_PRIORITY(number) { .kind = STMT_PRIORITY, .value = (number) }
#define SET_MARK { .kind = STMT_MARK, .mask = (uint32_t)~ACCEPT_BIT, .value = ACCEPT_BIT }
#define CLEAR_MARK { .kind = STMT_MARK, .mask = (uint32_t)~ACCEPT_BIT }
#define COUNT_OVER(set, field, number) { .kind = STMT_COUNT_OVER, .name = (set), FIELDS(field), .value = (number) }
#define RENEW(set, seconds, ...) { .kind = STMT_RENEW, .name = (set), FIELDS(__VA_ARGS__), .value = (seconds) }
#define METER(set, rate, ...) { .kind = STMT_METER, .name = (set), FIELDS(__VA_ARGS__), .value = (rate) }
#define LIMIT(rate) { .kind = STMT_LIMIT, .value = (rate) }
#define LOG(prefix) { .kind = STMT_LOG, .name = (prefix), .value = LOG_GROUP }
#define COUNTER { .kind = STMT_COUNTER }
#define MASQUERADE(first, last) { .kind = STMT_MASQUERADE, .value = (first), .mask = (last) }
#define VERDICT(what) { .kind = STMT_VERDICT, .code = (what) }
#define ACCEPT VERDICT(CODE_ACCEPT)
#define DROP VERDICT(CODE_DROP)
#define RETURN VERDICT(CODE_RETURN)
#define GOTO(chain) { .kind = STMT_VERDICT, .code = CODE_GOTO, .name = (chain) }
#define JUMP(chain) { .kind = STMT_VERDICT, .code = CODE_JUMP, .name = (chain) }
/* clang-format on */

#endif
