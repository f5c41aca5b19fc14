/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_RULESET_RULESET_H
#define SPR_RULESET_RULESET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/cleanup.h"

/*
 * One table of family inet as plain data: chains of rules, sets of elements. It prints as nft text and is written to
 * the kernel by kernel/nft.c; both read the field table below.
 */

/* What a rule can load from a packet; a row of field_info() each. */
enum field {
	FIELD_NFPROTO,
	FIELD_L4PROTO,
	FIELD_IIFNAME,
	FIELD_OIFNAME,
	FIELD_OIF, /* 0 where there is none: the packet is for this machine */
	FIELD_PRIORITY,
	FIELD_MARK,
	FIELD_SKUID,
	FIELD_IP_SADDR,
	FIELD_IP_DADDR,
	FIELD_IP6_SADDR,
	FIELD_IP6_DADDR,
	FIELD_IP_VIHL, /* the first byte of the IPv4 header: version and length */
	FIELD_IP_DS, /* the second */
	FIELD_IP6_HOPLIMIT,
	FIELD_TH_SPORT,
	FIELD_TH_DPORT,
	FIELD_TCP_FLAGS,
	FIELD_ICMP_TYPE,
	FIELD_ICMPV6_TYPE,
	FIELD_CT_STATE,
	FIELD_CT_DIRECTION,
	FIELD_CT_STATUS,
	FIELD_CT_PROTO_DST, /* of the original direction */
	FIELD_CT_ID, /* of a connection, as long as it lives */
	FIELD_FIB_SADDR_OIF, /* index of the interface that leads back to the source, 0 without */
	FIELD_FIB_SADDR_IIF_OIF, /* 1 when the way back to the source is the interface it came in by */
	FIELD_FIB_SADDR_TYPE,
	FIELD_FIB_DADDR_TYPE,
	FIELD_FIB_DADDR_IIF_TYPE,
	FIELD_IP_LSRR, /* 1 when the option is there */
	FIELD_IP_SSRR,
	FIELD_RT_TYPE,
	_FIELD_MAX,
};

enum load { LOAD_META, LOAD_PAYLOAD, LOAD_CT, LOAD_FIB, LOAD_EXTHDR };

struct field_info {
	const char *text; /* as nft writes it in a rule */
	const char *type; /* nft's name of its data type, NULL without one: a set says "typeof" then */
	uint32_t type_id; /* nft's number of that type, 0 where no set may have it */
	uint8_t size; /* bytes */
	bool host_order; /* integers of the machine's byte order */
	enum load load;
	uint32_t a, b, c; /* meta key | payload base, offset | ct key, direction (or UINT32_MAX) | fib flags, result |
			     exthdr type, op, flags (offset in the upper 16 bits of flags) */
};

const struct field_info *field_info(enum field field);

enum stmt_kind {
	STMT_COMPARE, /* (field & mask) == or != value */
	STMT_IN, /* field . field ... is, or is not, in a set */
	STMT_VMAP, /* field . field ... vmap @set */
	STMT_PRIORITY, /* meta priority set value */
	STMT_PRIORITY_MAP, /* meta priority set field . field ... map @set; on a miss the rule ends */
	STMT_MARK, /* meta mark set mark & mask | value */
	STMT_COUNT_OVER, /* add @set { field ct count over value } : true above it */
	STMT_RENEW, /* update @set { field . field ... timeout `value` seconds } */
	STMT_METER, /* update @set { field . field ... timeout 1m limit rate value/second ... } : true within it */
	STMT_LIMIT, /* limit rate value/second burst 5 * value: true within it */
	STMT_LOG, /* log prefix "text" group value snaplen 128 */
	STMT_COUNTER,
	STMT_MASQUERADE, /* to ports from value to mask */
	STMT_VERDICT,
};

enum verdict_code { CODE_ACCEPT, CODE_DROP, CODE_RETURN, CODE_JUMP, CODE_GOTO };

#define STMT_FIELDS_MAX 5
#define LIMIT_BURST 5 /* times the rate */
#define METER_SECONDS 60 /* who was quiet for so long is forgotten */

struct stmt {
	enum stmt_kind kind;
	bool negate; /* != */
	uint8_t n_fields;
	enum field fields[STMT_FIELDS_MAX];
	const char *name; /* set, chain or log prefix; static or owned by the ruleset's string table */
	uint64_t value; /* a number in host order; unused when bytes are given */
	uint64_t mask; /* 0: whole field */
	uint8_t bytes[16]; /* COMPARE of an address or interface name: as in the packet, zero padded */
	uint8_t n_bytes; /* 0: compare with value */
	uint8_t prefix; /* COMPARE of an address: bits compared, 0: all */
	enum verdict_code code;
};

struct rule {
	struct stmt *stmts;
	size_t n_stmts;
};

enum hook { HOOK_NONE, HOOK_PREROUTING, HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING };

#define CHAIN_MAX 32

struct chain {
	char name[CHAIN_MAX];
	enum hook hook; /* HOOK_NONE: not a base chain */
	int priority;
	bool policy_drop;
	bool nat; /* of type nat; else of type filter */
	struct rule *rules;
	size_t n_rules;
};

enum set_data { DATA_NONE, DATA_PRIORITY /* u32 */, DATA_VERDICT /* goto chain */ };

#define KEY_MAX 44

/*
 * Key bytes as the kernel compares them: each field padded to a multiple of 4, in the order of the set's fields. A host
 * order field is in host order, but in big-endian in a set with intervals. There are many elements: each is as long as its
 * set needs, and what only some sets have comes behind the key, see element_key_end(), element_end() and element_chain().
 */
struct element {
	uint32_t data; /* DATA_PRIORITY */
	uint8_t key[];
};

struct set {
	char name[32];
	enum field fields[STMT_FIELDS_MAX];
	uint8_t n_fields;
	uint8_t key_size; /* bytes used of a key */
	enum set_data data;
	bool interval;
	bool timeout; /* elements come and go at run time and are no part of the ruleset */
	bool dynamic; /* rules add to it, or renew what is there: likewise */
	uint32_t size; /* elements that there may be; 0: not said */
	void *elements; /* set_element(); sorted by key after ruleset_finish() */
	size_t n_elements;
};

struct ruleset {
	struct chain *chains; /* in an order in which a jump's target may come later */
	size_t n_chains;
	struct set *sets;
	size_t n_sets;
	char **strings; /* what stmts and elements point to, where it is not static */
	size_t n_strings;
	struct ruleset_name *set_names, *chain_names; /* in order, after ruleset_finish(); or NULL */
	size_t n_set_names, n_chain_names;
};

struct ruleset *ruleset_new(void);
struct ruleset *ruleset_free(struct ruleset *ruleset);
DEFINE_CLEANUP(struct ruleset *, ruleset_free)

struct chain *ruleset_chain(const struct ruleset *ruleset, const char *name); /* or NULL */
struct set *ruleset_set(const struct ruleset *ruleset, const char *name); /* or NULL */

/* Each returns NULL without memory. A pointer is good until the next add of its kind. */
struct chain *ruleset_add_chain(struct ruleset *ruleset, const char *name, enum hook hook, int priority, bool drop);
struct set *ruleset_add_set(struct ruleset *ruleset, const char *name, enum set_data data, const enum field *fields,
			    size_t n_fields);
const char *ruleset_string(struct ruleset *ruleset, const char *format, ...) _printf_(2, 3);

/* Copies the statements. -ENOMEM. */
int chain_add_rule(struct chain *chain, const struct stmt *stmts, size_t n_stmts);

/*
 * A new element, zeroed; then key_put_*() fill it field by field, i counting from 0. NULL without memory. What kind of set it
 * is (interval, data) does not change once there is one.
 */
struct element *set_add(struct set *set);
/* One without elements, which takes such as this one has. */
struct set set_like(const struct set *set);
void key_put_name(const struct set *set, uint8_t *key, size_t i, const char *name);
void key_put_addr(const struct set *set, uint8_t *key, size_t i, const struct addr *addr);
void key_put_number(const struct set *set, uint8_t *key, size_t i, uint32_t value); /* any integer field */

/* A range of addresses in a set with intervals of one field; no two may overlap. -ENOMEM. */
int set_add_range(struct set *set, const struct range *range, uint32_t data);
/* Intervals of one field: a tree in the kernel. */
static inline bool set_is_tree(const struct set *set)
{
	return set->interval && set->n_fields == 1;
}

/* Intervals of more than one field. */
static inline bool set_has_key_ends(const struct set *set)
{
	return set->interval && set->n_fields > 1;
}

/* Bytes of a key in an element. */
static inline size_t set_key_room(const struct set *set)
{
	return (set->key_size + 3u) & ~3u;
}

/* Bytes of an element before its chain, and of all of it. */
static inline size_t set_chain_offset(const struct set *set)
{
	return sizeof(struct element) + set_key_room(set) * (set_has_key_ends(set) ? 2 : 1) +
	       (set_is_tree(set) ? sizeof(uint32_t) : 0);
}

static inline size_t set_stride(const struct set *set)
{
	return set_chain_offset(set) + (set->data == DATA_VERDICT ? CHAIN_MAX : 0);
}

static inline struct element *set_element(const struct set *set, size_t i)
{
	return (struct element *)((char *)set->elements + i * set_stride(set));
}

/* Where set_has_key_ends(): the last key, inside. */
static inline uint8_t *element_key_end(const struct set *set, const struct element *element)
{
	return (uint8_t *)element->key + set_key_room(set);
}

/* Where set_is_tree(): not 0 where a range that began before it ends. */
static inline uint8_t *element_end(const struct set *set, const struct element *element)
{
	return (uint8_t *)element->key + set_key_room(set);
}

/* In a tree an end, and no element of its own. */
static inline bool element_is_end(const struct set *set, const struct element *element)
{
	return set_is_tree(set) && *element_end(set, element);
}

/* DATA_VERDICT: goto; CHAIN_MAX bytes. */
static inline char *element_chain(const struct set *set, const struct element *element)
{
	return (char *)element + set_chain_offset(set);
}

/* Where field i starts in a key. */
size_t key_offset(const struct set *set, size_t i);

/*
 * Says how many elements there may be, with room for more than there are. The kernel makes its table for so many at once; one
 * that has to grow while it is filled takes twice as long.
 */
void set_give_room(struct set *set);
/* Whether that was said of it. */
static inline bool set_has_room(const struct set *set)
{
	return set->size && !set->timeout && !set->dynamic;
}
/* Sets that had more room keep it: one that gets another is made anew, with all that is in it. */
void ruleset_keep_room(struct ruleset *to, const struct ruleset *from);

/* Joins port ranges that touch or overlap in a set of (something . port): the kernel wants them disjoint. */
void set_join_ports(struct set *set);

/* Sorts elements and removes doubles. */
void set_sort(struct set *set);

/* The element of a sorted set with the key of this one, which is of a set like it; whatever its data. Or NULL. */
const struct element *set_find(const struct set *set, const struct element *element);

/* The same for each set, and notes where names are; a ruleset is compared and written only after it. */
void ruleset_finish(struct ruleset *ruleset);

#define PASSED_NAME "passed-%08x"
#define PASSED_PREFIX (sizeof("passed-") - 1)

/*
 * The set of connections that were let through gets another name, in the rules too: nothing that is in the kernel's counts any
 * more. For a ruleset that takes something away, before it is written. Costs nothing that grows with the members.
 */
void ruleset_renew(struct ruleset *ruleset, uint32_t epoch);

/* Whether nft has a name for the type of each field; else it knows them by the fields themselves. */
bool set_has_types(const struct set *set);

/* Whether it is that set, of whatever epoch. */
bool set_is_passed(const struct set *set);

/* As nft text that `nft -f` reads: "table inet NAME { ... }". */
int ruleset_print(const struct ruleset *ruleset, const char *table, FILE *file);

bool rule_equal(const struct rule *a, const struct rule *b);
bool chain_equal_rules(const struct chain *a, const struct chain *b);
bool set_equal_type(const struct set *a, const struct set *b);

/* Whether two say the same: the kernel would not be changed from one to the other. */
bool ruleset_equal(const struct ruleset *a, const struct ruleset *b);

/*
 * Elements to take out and to put in to make `to` of `from` (a set with the same type, or NULL for an empty one). A
 * changed data is both. The callbacks' negative return ends it.
 */
int set_diff(const struct set *from, const struct set *to,
	     int (*change)(bool add, const struct element *element, void *data), void *data);

/* False only when `to` takes nothing away that `from` let through: elements were merely added to granting sets. */
bool ruleset_tightens(const struct ruleset *from, const struct ruleset *to);

/*
 * Whose flows may be what `to` takes away: 1 where these addresses are an end of each (the array is the caller's, the same
 * address may be there twice), 0 where it may be anybody's. -ENOMEM.
 */
int ruleset_losers(const struct ruleset *from, const struct ruleset *to, struct addr **ret, size_t *ret_n);

#endif
