/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_POLICY_POLICY_H
#define SPR_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/addr.h"
#include "base/error.h"

/* The policy document as a structure: what is wanted. spr-policy(5) says what each part means. */

enum role {
	ROLE_NONE, /* not said */
	ROLE_UPLINK,
	ROLE_LAN,
	ROLE_CONTAINER,
	ROLE_OVERLAY,
	ROLE_OTHER,
	_ROLE_MAX,
	_ROLE_INVALID = -22, /* -EINVAL */
};

enum member_kind {
	MEMBER_CONTAINER,
	MEMBER_NETWORK,
	MEMBER_RULE,
	_MEMBER_KIND_MAX,
	_MEMBER_KIND_INVALID = -22,
};

enum policy_bit {
	POLICY_WAN = 1 << 0,
	POLICY_DNS = 1 << 1,
	POLICY_LAN = 1 << 2,
	POLICY_LAN_UPSTREAM = 1 << 3,
	POLICY_API = 1 << 4,
	POLICY_NOAPI = 1 << 5,
	POLICY_DISABLED = 1 << 6,
	POLICY_QUARANTINE = 1 << 7,
	_POLICY_INVALID = -22,
};

enum zone {
	ZONE_INTERNET,
	ZONE_UPSTREAM,
	ZONE_LAN,
	ZONE_HOST,
	_ZONE_MAX,
	_ZONE_INVALID = -22,
};

/* What a rule names: "kind:name", "group:name", "tag:name", a zone, or a bare name that fits one member. */
enum selector_kind {
	SELECT_ZONE,
	SELECT_GROUP,
	SELECT_TAG,
	SELECT_MEMBER, /* with its kind */
	SELECT_NAME, /* bare: resolved later, since a container may not exist yet */
};

struct selector {
	enum selector_kind kind;
	enum zone zone;
	enum member_kind member_kind;
	char *name;
};

/* "445/tcp", "8000-8100/udp", "53" (tcp and udp), "icmp", "gre", "47" as "proto:47". */
struct port_range {
	uint8_t proto; /* 0: tcp and udp (only with ports) */
	bool any_port; /* the whole protocol */
	uint16_t first, last; /* 1 to 65535, first <= last */
};

/* "nas", "nas:445/tcp": a selector, and a port of it. */
struct target {
	struct selector selector;
	bool has_port;
	struct port_range port;
};

struct publish {
	struct port_range port; /* the published port */
	struct selector *to;
	size_t n_to;
};

/* Where an entry stands in the document; line 0: it was not read from one. Not part of what it says. */
struct place {
	unsigned line, column; /* from 1 */
};

/* A container, network or rule entry. */
struct member {
	enum member_kind kind;
	char *name; /* container: its name, or project/service of compose */
	unsigned policies; /* of enum policy_bit */
	char **groups;
	size_t n_groups;
	bool has_groups; /* the key was there, if only as [] */
	char **tags;
	size_t n_tags;
	struct publish *publish; /* containers */
	size_t n_publish;
	int isolate; /* networks: 1, 0, or -1 not said */
	char *interface; /* rules */
	struct prefix *source; /* rules: one or more; host bits zero */
	size_t n_source;
	struct addr route_dst; /* rules: family 0 when not given */
	char *comment; /* or NULL */
	struct place place;
};

struct group {
	char *name;
	struct place place;
};

/* allow and block */
struct grant {
	struct selector from, to;
	struct port_range *ports; /* none: everything */
	size_t n_ports;
	time_t expires; /* 0: never */
	char *comment; /* or NULL */
	struct place place;
};

/* What must hold, or else the policy is refused. */
enum expect { EXPECT_ACCEPT, EXPECT_DROP };

struct test {
	struct selector from;
	struct target to; /* without a port: TCP, any */
	enum expect expect;
	char *comment; /* or NULL */
	struct place place;
};

struct interface_entry {
	char *name;
	enum role role;
	struct place place;
};

enum local_users { LOCAL_USERS_ALL, LOCAL_USERS_ROOT };
enum labels { LABELS_ASK, LABELS_TRUST };

struct settings {
	enum local_users local_users;
	unsigned connections; /* flows one member may have open, 0: no limit; default 4096 */
	enum labels labels; /* what labels of containers are worth */
	int fast_path; /* whether what was let through a moment ago is sent past the rules */
};

/* A request that is not wanted. */
struct dismissal {
	char *id; /* as `spr pending` shows it */
	char *comment; /* or NULL */
	struct place place;
};

struct policy {
	struct interface_entry *interfaces;
	size_t n_interfaces;
	struct member *members; /* of all kinds, in the order of the document */
	size_t n_members;
	struct group *groups;
	size_t n_groups;
	struct grant *allow, *block;
	size_t n_allow, n_block;
	struct test *tests;
	size_t n_tests;
	struct dismissal *dismissed;
	size_t n_dismissed;
	struct settings settings;
};

/*
 * Parses and checks a YAML document. `name` is the file's name for messages. The result is new and the caller's.
 * Errors: -EINVAL with file:line:column, a sentence and the nearest valid spelling; -E2BIG over POLICY_TEXT_MAX.
 */
int policy_parse(const char *text, size_t length, const char *name, struct policy **ret, struct error *error);

/*
 * Checks what a document cannot say by its form: unknown groups, equal ranges, two entries of one thing; and the form
 * of what was put in by hand since: a policy that passes can be printed and parsed. -EINVAL with "line:column: " before
 * the sentence when the place is known, or -ENOMEM.
 */
int policy_check(const struct policy *policy, struct error *error);

/* An empty policy: the defaults. NULL without memory. */
struct policy *policy_new(void);
struct policy *policy_copy(const struct policy *policy);
struct policy *policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, policy_free)

/* YAML text that policy_parse() reads back to the same policy; the caller's to free. NULL without memory. */
char *policy_print(const struct policy *policy);

/*
 * What only `from` says, as lines of YAML with '-' before each, and what only `to` says, with '+'; "" when both say the
 * same in whatever order. The caller's to free. -ENOMEM.
 */
int policy_diff(const struct policy *from, const struct policy *to, char **ret);

/*
 * True only when nothing that `to` says can open what `from` leaves closed, now or when something appears: entries that
 * are left out or say less, blocks that are new. False where in doubt.
 */
bool policy_only_tightens(const struct policy *from, const struct policy *to);

/* True when both say the same, each section in the same order. */
bool policy_equal(const struct policy *a, const struct policy *b);

/* The entry of a member, or NULL. */
struct member *policy_member(const struct policy *policy, enum member_kind kind, const char *name);
/* The same, made when it is not there (a container or network; a rule needs more and is never made). */
struct member *policy_member_add(struct policy *policy, enum member_kind kind, const char *name);
struct group *policy_group(const struct policy *policy, const char *name);
struct group *policy_group_add(struct policy *policy, const char *name);

/* For edits. A word goes into a list of groups or tags once: 1 when it is new, 0 when it was there, -ENOMEM. */
int policy_word_add(char ***words, size_t *n, const char *word);
bool policy_word_cut(char **words, size_t *n, const char *word); /* false when it was not there */
/*
 * Adds what another entry says: policies (disabled and quarantine take the place of all), groups, tags, publish. On
 * -ENOMEM a part of it is there.
 */
int policy_member_merge(struct member *member, const struct member *more);
/* These free what an entry points to; the entry is then zero, to be cut out of its array. */
void policy_member_clear(struct member *member);
void policy_grant_clear(struct grant *grant);
void policy_publish_clear(struct publish *publish);

/* The parts of text that commands share with the document; all return 0 or a negative errno with a message. */
int selector_parse(const char *text, struct selector *ret, struct error *error);
int port_range_parse(const char *text, struct port_range *ret, struct error *error);
/*
 * Where the ':' before the ports of "nas:445/tcp,53" is, or NULL: the last one, unless what is before it is a word for a
 * kind ("group:53" is the group 53) or the port holds one itself ("nas:proto:47").
 */
const char *target_colon(const char *text);
int target_parse(const char *text, struct target *ret, struct error *error);
int policy_bit_parse(const char *text, struct error *error); /* the bit */
int role_parse(const char *text, struct error *error); /* the role */
int duration_parse(const char *text, time_t *ret_seconds, struct error *error); /* 90s 5m 2h 3d 1w */
int expiry_parse(const char *text, time_t *ret, struct error *error); /* 2027-01-01, 2027-01-01T10:00:00Z */
const char *expiry_print(time_t expires, char buffer[24]); /* as expiry_parse() reads it; 0 < expires <= EXPIRES_MAX */

/* What may be in a name: all return 0 or -EINVAL with a message. */
int group_name_check(const char *name, struct error *error); /* tags too */
int member_name_check(const char *name, struct error *error);
int interface_name_check(const char *name, struct error *error);
int comment_check(const char *text, struct error *error);
int policies_check(unsigned policies, struct error *error); /* refuses bits that contradict each other */

char *selector_print(const struct selector *selector); /* the caller's to free */
char *target_print(const struct target *target); /* likewise */
const char *port_range_print(const struct port_range *range, char buffer[24]);
void selector_clear(struct selector *selector);
bool selector_equal(const struct selector *a, const struct selector *b);
int selector_copy(const struct selector *from, struct selector *ret);

const char *role_name(enum role role);
const char *member_kind_name(enum member_kind kind);
const char *zone_name(enum zone zone);
const char *policy_bit_name(enum policy_bit bit);
const char *proto_name(uint8_t proto, char buffer[12]); /* "tcp", or "proto:99" */
bool proto_has_ports(uint8_t proto);

#define POLICY_TEXT_MAX (16u << 20)
#define POLICY_NAME_MAX 128 /* bytes in the name of a member or group */
#define POLICY_COMMENT_MAX 256 /* bytes in a comment */
#define CONNECTIONS_MAX 16777216 /* the most that settings.connections takes */
#define DURATION_MAX 3153600000u /* seconds, 100 years */
#define EXPIRES_MAX 253402300799 /* 9999-12-31T23:59:59Z */

#endif
