/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/words.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "policy/nearest.h"

static const char *const role_words[_ROLE_MAX] = {
	[ROLE_UPLINK] = "uplink",   [ROLE_LAN] = "lan",	    [ROLE_CONTAINER] = "container",
	[ROLE_OVERLAY] = "overlay", [ROLE_OTHER] = "other",
};

static const char *const kind_words[_MEMBER_KIND_MAX] = {
	[MEMBER_CONTAINER] = "container",
	[MEMBER_NETWORK] = "network",
	[MEMBER_RULE] = "rule",
};

/* By bit number. */
static const char *const policy_words[] = { "wan", "dns",   "lan",	"lan_upstream",
					    "api", "noapi", "disabled", "quarantine" };

static const char *const zone_words[_ZONE_MAX] = {
	[ZONE_INTERNET] = "internet",
	[ZONE_UPSTREAM] = "upstream",
	[ZONE_LAN] = "lan",
	[ZONE_HOST] = "host",
};

static const char *const expect_words[] = { [EXPECT_ACCEPT] = "accept", [EXPECT_DROP] = "drop" };
static const char *const local_users_words[] = { [LOCAL_USERS_ALL] = "all", [LOCAL_USERS_ROOT] = "root" };

static const char *const labels_words[] = { [LABELS_ASK] = "ask", [LABELS_TRUST] = "trust" };

/* What may stand before the colon of a selector. */
static const char *const selector_words[] = { "container", "network", "rule", "group", "tag" };

static const struct protocol {
	const char *name;
	uint8_t number;
	bool ports;
} protocols[] = {
	{ "tcp", IPPROTO_TCP, true },
	{ "udp", IPPROTO_UDP, true },
	{ "sctp", IPPROTO_SCTP, true },
	{ "dccp", IPPROTO_DCCP, true },
	{ "udplite", IPPROTO_UDPLITE, true },
	{ "icmp", IPPROTO_ICMP, false },
	{ "icmpv6", IPPROTO_ICMPV6, false },
	{ "igmp", IPPROTO_IGMP, false },
	{ "gre", IPPROTO_GRE, false },
	{ "esp", IPPROTO_ESP, false },
	{ "ah", IPPROTO_AH, false },
	{ "ipip", IPPROTO_IPIP, false },
	{ "sit", IPPROTO_IPV6, false },
	{ "ospf", 89, false },
	{ "pim", IPPROTO_PIM, false },
	{ "vrrp", 112, false },
	{ "l2tp", 115, false },
};

/* The next character of UTF-8 text, moving on; -1 when it is not UTF-8 (RFC 3629). */
static long utf8_next(const char **text)
{
	const unsigned char *c = (const unsigned char *)*text;
	int more = c[0] < 0x80 ? 0 : c[0] >= 0xf0 ? 3 : c[0] >= 0xe0 ? 2 : 1;
	static const long smallest[] = { 0, 0x80, 0x800, 0x10000 };
	long value = more ? c[0] & (0x3f >> more) : c[0];

	if (c[0] >= 0xf8 || (c[0] >= 0x80 && c[0] < 0xc0))
		return -1;
	for (int i = 1; i <= more; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return -1;
		value = value << 6 | (c[i] & 0x3f);
	}
	if (value < smallest[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return -1;
	*text += more + 1;
	return value;
}

/* Control characters, line breaks, marks that turn the writing direction or show nothing, and what is no character. */
static bool is_printable(long c)
{
	return !(c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
		 c == 0x200b || c == 0x200e || c == 0x200f || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
		 (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef));
}

const char *word_show(const char *word, char buffer[WORD_SHOW_MAX])
{
	size_t used = 0;

	while (*word) {
		const char *start = word;
		long c = utf8_next(&word);
		bool bad = c < 0 || !is_printable(c);

		if (c < 0)
			word++;
		if (used + (size_t)(word - start) > WORD_SHOW_MAX - 4) {
			memcpy(buffer + used, "...", 3);
			used += 3;
			break;
		}
		if (bad) {
			buffer[used++] = '?';
			continue;
		}
		memcpy(buffer + used, start, (size_t)(word - start));
		used += (size_t)(word - start);
	}
	buffer[used] = '\0';
	return buffer;
}

int word_unknown(struct error *error, const char *what, const char *word, const char *const *words, size_t n)
{
	char shown[WORD_SHOW_MAX], all[300];
	const char *near = nearest(word, words, n);
	size_t used = 0;

	word_show(word, shown);
	if (near)
		return error_set(error, EINVAL, "unknown %s '%s'; did you mean '%s'?", what, shown, near);
	all[0] = '\0';
	for (size_t i = 0; i < n && used < sizeof(all); i++)
		if (words[i])
			used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", used ? ", " : "", words[i]);
	return error_set(error, EINVAL, "unknown %s '%s'; it can be one of: %s", what, shown, all);
}

int word_index(const char *word, const char *what, const char *const *words, size_t n, struct error *error)
{
	for (size_t i = 0; i < n; i++)
		if (words[i] && strcmp(words[i], word) == 0)
			return (int)i;
	return word_unknown(error, what, word, words, n);
}

int role_parse(const char *text, struct error *error)
{
	if (strcasecmp(text, "wan") == 0) /* the nearest word would be "lan" */
		return error_set(error, EINVAL, "unknown role '%s'; did you mean 'uplink'?", text);
	return word_index(text, "role", role_words, ELEMENTSOF(role_words), error);
}

int local_users_parse(const char *text, struct error *error)
{
	return word_index(text, "value", local_users_words, ELEMENTSOF(local_users_words), error);
}

int expect_parse(const char *text, struct error *error)
{
	return word_index(text, "value", expect_words, ELEMENTSOF(expect_words), error);
}

int labels_parse(const char *text, struct error *error)
{
	return word_index(text, "value", labels_words, ELEMENTSOF(labels_words), error);
}

int policy_bit_parse(const char *text, struct error *error)
{
	int bit;

	if (strcasecmp(text, "internet") == 0)
		return error_set(error, EINVAL, "unknown policy '%s'; did you mean 'wan'?", text);
	bit = word_index(text, "policy", policy_words, ELEMENTSOF(policy_words), error);
	return bit < 0 ? bit : 1 << bit;
}

int zone_parse(const char *text)
{
	return word_index(text, "zone", zone_words, ELEMENTSOF(zone_words), NULL);
}

const char *role_name(enum role role)
{
	return role > ROLE_NONE && role < _ROLE_MAX ? role_words[role] : "none";
}

const char *member_kind_name(enum member_kind kind)
{
	return kind >= 0 && kind < _MEMBER_KIND_MAX ? kind_words[kind] : "unknown";
}

const char *zone_name(enum zone zone)
{
	return zone >= 0 && zone < _ZONE_MAX ? zone_words[zone] : "unknown";
}

const char *local_users_name(enum local_users who)
{
	return local_users_words[who == LOCAL_USERS_ROOT ? LOCAL_USERS_ROOT : LOCAL_USERS_ALL];
}

const char *expect_name(enum expect expect)
{
	return expect_words[expect == EXPECT_DROP ? EXPECT_DROP : EXPECT_ACCEPT];
}

const char *labels_name(enum labels labels)
{
	return labels_words[labels == LABELS_TRUST ? LABELS_TRUST : LABELS_ASK];
}

const char *policy_bit_name(enum policy_bit bit)
{
	for (size_t i = 0; i < ELEMENTSOF(policy_words); i++)
		if (bit == 1 << i)
			return policy_words[i];
	return "unknown";
}

int policies_check(unsigned policies, struct error *error)
{
	if ((policies & POLICY_API) && (policies & POLICY_NOAPI))
		return error_set(error, EINVAL, "the policies api and noapi contradict each other: keep one");
	if ((policies & POLICY_DISABLED) && policies != POLICY_DISABLED)
		return error_set(error, EINVAL, "the policy disabled stands alone: take the others out, or disabled");
	if ((policies & POLICY_QUARANTINE) && (policies & ~(unsigned)(POLICY_QUARANTINE | POLICY_DNS)))
		return error_set(error, EINVAL,
				 "the policy quarantine goes with dns only: take the others out, or quarantine");
	if (policies & ~((1u << ELEMENTSOF(policy_words)) - 1))
		return error_set(error, EINVAL, "there is a policy in this set that this version does not know");
	return 0;
}

/* What all free text has in common. */
static int text_check(const char *text, size_t max, const char *what, struct error *error)
{
	char shown[WORD_SHOW_MAX];

	word_show(text, shown);
	if (!*text)
		return error_set(error, EINVAL, "%s cannot be empty", what);
	if (strlen(text) > max)
		return error_set(error, EINVAL, "%s '%s' is too long: at most %zu bytes", what, shown, max);
	for (const char *at = text; *at;) {
		long c = utf8_next(&at);

		if (c < 0)
			return error_set(error, EINVAL, "%s '%s' is not UTF-8 text", what, shown);
		if (!is_printable(c))
			return error_set(error, EINVAL, "%s '%s' holds the character U+%04lX, which cannot be printed",
					 what, shown, (unsigned long)c);
	}
	if (*text == ' ' || text[strlen(text) - 1] == ' ')
		return error_set(error, EINVAL, "%s '%s' begins or ends with a space", what, shown);
	return 0;
}

int member_name_check(const char *name, struct error *error)
{
	char shown[WORD_SHOW_MAX];
	int r = text_check(name, POLICY_NAME_MAX, "the name", error);

	if (r < 0)
		return r;
	if (strpbrk(name, "'\"`"))
		return error_set(error, EINVAL, "the name '%s' holds a quotation mark", word_show(name, shown));
	return 0;
}

int group_name_check(const char *name, struct error *error)
{
	char shown[WORD_SHOW_MAX];
	size_t good = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
	int r = text_check(name, POLICY_NAME_MAX, "the name", error);

	if (r < 0)
		return r;
	if (name[good])
		return error_set(error, EINVAL, "the name '%s' may have only letters A to Z, digits, and _ . -",
				 word_show(name, shown));
	return 0;
}

/* As the kernel has it: dev_valid_name() in net/core/dev.c. */
int interface_name_check(const char *name, struct error *error)
{
	char shown[WORD_SHOW_MAX];
	int r = text_check(name, POLICY_NAME_MAX, "the interface name", error);

	if (r < 0)
		return r;
	word_show(name, shown);
	if (strlen(name) >= IFNAMSIZ)
		return error_set(error, EINVAL, "the interface name '%s' is too long: at most %d bytes", shown,
				 IFNAMSIZ - 1);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return error_set(error, EINVAL, "'%s' cannot be the name of an interface", shown);
	if (strpbrk(name, "/: '\"`"))
		return error_set(error, EINVAL, "the interface name '%s' holds a slash, colon, space or quotation mark",
				 shown);
	return 0;
}

int comment_check(const char *text, struct error *error)
{
	return text_check(text, POLICY_COMMENT_MAX, "the comment", error);
}

int count_parse(const char *text, unsigned max, unsigned *ret, struct error *error)
{
	char shown[WORD_SHOW_MAX];
	unsigned long long value = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || text[digits] || (text[0] == '0' && digits > 1))
		return error_set(error, EINVAL, "'%s' is not a whole number", word_show(text, shown));
	for (size_t i = 0; i < digits && value <= max; i++)
		value = value * 10 + (unsigned)(text[i] - '0');
	if (value > max)
		return error_set(error, EINVAL, "%s is too large: at most %u", word_show(text, shown), max);
	*ret = (unsigned)value;
	return 0;
}

int source_parse(const char *text, struct prefix *ret, struct error *error)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char shown[WORD_SHOW_MAX], clean[PREFIX_TEXT_MAX];
	struct prefix prefix, whole;

	word_show(text, shown);
	if (prefix_parse(text, &prefix) < 0)
		return error_set(error, EINVAL, "'%s' is not an address or a range such as 192.168.77.0/24", shown);
	whole = (struct prefix){ prefix_range(&prefix).first, prefix.length };
	if (addr_compare(&whole.addr, &prefix.addr) != 0)
		return error_set(error, EINVAL, "the range '%s' has bits set after its length; did you mean '%s'?",
				 shown, prefix_text(&whole, clean));
	if (prefix.addr.family == AF_INET6 && prefix.length >= 96 && memcmp(prefix.addr.bytes, mapped, 12) == 0)
		return error_set(error, EINVAL, "'%s' is an IPv4 range: write it as one", shown);
	*ret = prefix;
	return 0;
}

bool proto_has_ports(uint8_t proto)
{
	for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
		if (protocols[i].number == proto)
			return protocols[i].ports;
	return false;
}

const char *proto_name(uint8_t proto, char buffer[12])
{
	for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
		if (protocols[i].number == proto)
			return strcpy(buffer, protocols[i].name);
	snprintf(buffer, 12, "proto:%u", proto);
	return buffer;
}

/* "tcp" or "proto:47" to its row; a number without a name gets a row of its own in *spare. */
static const struct protocol *protocol_parse(const char *text, struct protocol *spare, struct error *error)
{
	const char *names[ELEMENTSOF(protocols)];
	unsigned number;
	int r;

	if (strncmp(text, "proto:", 6) == 0) {
		if (count_parse(text + 6, 255, &number, error) < 0)
			return error_wrap(error, "protocol number"), NULL;
		if (number == 0)
			return error_set(error, EINVAL, "protocol numbers go from 1 to 255"), NULL;
		for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
			if (protocols[i].number == number)
				return &protocols[i];
		*spare = (struct protocol){ .number = (uint8_t)number };
		return spare;
	}
	for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
		names[i] = protocols[i].name;
	r = word_index(text, "protocol", names, ELEMENTSOF(names), error);
	return r < 0 ? NULL : &protocols[r];
}

static int port_parse(const char *text, uint16_t *ret, struct error *error)
{
	char shown[WORD_SHOW_MAX];
	unsigned port;

	if (!*text)
		return error_set(error, EINVAL, "a port number is missing: write 445/tcp, 8000-8100/udp or 53");
	if (text[strspn(text, "0123456789")])
		return error_set(error, EINVAL, "'%s' is not a port number", word_show(text, shown));
	if (count_parse(text, 65535, &port, error) < 0 || port == 0)
		return error_set(error, EINVAL,
				 "port %s does not exist: ports go from 1 to 65535, without leading zeros",
				 word_show(text, shown));
	*ret = (uint16_t)port;
	return 0;
}

/* "445" or "8000-8100". */
static int ports_parse(char *text, struct port_range *range, struct error *error)
{
	char *dash = strchr(text, '-');
	int r;

	if (dash)
		*dash = '\0';
	r = port_parse(text, &range->first, error);
	if (r < 0)
		return r;
	range->last = range->first;
	if (!dash)
		return 0;
	r = port_parse(dash + 1, &range->last, error);
	if (r < 0)
		return r;
	if (range->first > range->last)
		return error_set(error, EINVAL, "the ports %u-%u are the wrong way round; did you mean '%u-%u'?",
				 range->first, range->last, range->last, range->first);
	return 0;
}

int port_range_parse(const char *text, struct port_range *ret, struct error *error)
{
	char copy[32], shown[WORD_SHOW_MAX], name[12];
	const struct protocol *protocol;
	struct protocol spare;
	struct port_range range = { 0 };
	char *slash;

	if (!*text || strlen(text) >= sizeof(copy))
		return error_set(error, EINVAL, "'%s' is not a port: write 445/tcp, 8000-8100/udp, 53 or icmp",
				 word_show(text, shown));
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (slash || copy[0] < '0' || copy[0] > '9') {
		protocol = protocol_parse(slash ? slash + 1 : copy, &spare, error);
		if (!protocol)
			return -EINVAL;
		range.proto = protocol->number;
		if (slash && !protocol->ports)
			return error_set(error, EINVAL, "the protocol %s has no ports: write '%s' alone",
					 proto_name(range.proto, name), name);
	}
	if (slash)
		*slash = '\0';
	if (slash || !range.proto) {
		int r = ports_parse(copy, &range, error);

		if (r < 0)
			return r;
	} else {
		range.any_port = true;
	}
	*ret = range;
	return 0;
}

const char *port_range_print(const struct port_range *range, char buffer[24])
{
	char name[12];
	size_t used = 0;

	if (range->any_port)
		return strcpy(buffer, proto_name(range->proto, name));
	used = (size_t)snprintf(buffer, 24, "%u", range->first);
	if (range->first != range->last)
		used += (size_t)snprintf(buffer + used, 24 - used, "-%u", range->last);
	if (range->proto)
		snprintf(buffer + used, 24 - used, "/%s", proto_name(range->proto, name));
	return buffer;
}

/* The name part of "kind:name". */
static int selector_named(const char *kind, const char *name, struct selector *ret, struct error *error)
{
	struct selector selector = { 0 };
	int r = word_index(kind, "kind", selector_words, ELEMENTSOF(selector_words), error);

	if (r < 0)
		return r;
	if (strcmp(kind, "group") == 0 || strcmp(kind, "tag") == 0) {
		selector.kind = *kind == 'g' ? SELECT_GROUP : SELECT_TAG;
		r = group_name_check(name, error);
	} else {
		selector.kind = SELECT_MEMBER;
		selector.member_kind =
			(enum member_kind)word_index(kind, "kind", kind_words, ELEMENTSOF(kind_words), NULL);
		r = member_name_check(name, error);
	}
	if (r < 0)
		return r;
	selector.name = strdup(name);
	if (!selector.name)
		return error_memory(error);
	*ret = selector;
	return 0;
}

int selector_parse(const char *text, struct selector *ret, struct error *error)
{
	char kind[16], shown[WORD_SHOW_MAX];
	const char *colon = strchr(text, ':');
	struct selector selector = { .kind = SELECT_NAME };
	struct prefix prefix;
	int r;

	if (prefix_parse(text, &prefix) == 0)
		return error_set(
			error, EINVAL,
			"the address '%s' cannot stand here: give it a name by an entry in rules, then use rule:NAME",
			word_show(text, shown));
	if (colon) {
		snprintf(kind, sizeof(kind), "%.*s", (int)(colon - text), text);
		return selector_named(kind, colon + 1, ret, error);
	}
	r = zone_parse(text);
	if (r >= 0) {
		*ret = (struct selector){ .kind = SELECT_ZONE, .zone = (enum zone)r };
		return 0;
	}
	r = member_name_check(text, error);
	if (r < 0)
		return r;
	selector.name = strdup(text);
	if (!selector.name)
		return error_memory(error);
	*ret = selector;
	return 0;
}

char *selector_print(const struct selector *selector)
{
	const char *kind = selector->kind == SELECT_GROUP ? "group" :
			   selector->kind == SELECT_TAG	  ? "tag" :
							    member_kind_name(selector->member_kind);
	char *text;

	if (selector->kind == SELECT_ZONE)
		return strdup(zone_name(selector->zone));
	if (selector->kind == SELECT_NAME)
		return strdup(selector->name);
	return asprintf(&text, "%s:%s", kind, selector->name) < 0 ? NULL : text;
}

void selector_clear(struct selector *selector)
{
	free(selector->name);
	*selector = (struct selector){ 0 };
}

int selector_copy(const struct selector *from, struct selector *ret)
{
	struct selector copy = *from;

	if (from->name) {
		copy.name = strdup(from->name);
		if (!copy.name)
			return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int duration_parse(const char *text, time_t *ret_seconds, struct error *error)
{
	static const struct {
		char letter;
		unsigned seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	char shown[WORD_SHOW_MAX], number[12];
	size_t digits = strspn(text, "0123456789");
	unsigned count;

	word_show(text, shown);
	for (size_t i = 0; i < ELEMENTSOF(units) && digits > 0 && digits < sizeof(number); i++) {
		if (text[digits] != units[i].letter || text[digits + 1])
			continue;
		snprintf(number, sizeof(number), "%.*s", (int)digits, text);
		if (count_parse(number, DURATION_MAX / units[i].seconds, &count, NULL) < 0 || count == 0)
			return error_set(error, EINVAL, "the time '%s' is not between 1s and %ud", shown,
					 DURATION_MAX / 86400);
		*ret_seconds = (time_t)count * units[i].seconds;
		return 0;
	}
	return error_set(error, EINVAL, "'%s' is not a length of time: write 90s, 5m, 2h, 3d or 1w", shown);
}

/* Does the text have this shape? In it 0 stands for any digit. */
static bool has_shape(const char *text, const char *shape)
{
	for (; *shape; text++, shape++)
		if (*shape == '0' ? *text < '0' || *text > '9' : *text != *shape)
			return false;
	return !*text;
}

int expiry_parse(const char *text, time_t *ret, struct error *error)
{
	bool day = has_shape(text, "0000-00-00");
	char shown[WORD_SHOW_MAX];
	struct tm tm = { 0 }, back;
	time_t expires;

	word_show(text, shown);
	if (!day && !has_shape(text, "0000-00-00T00:00:00Z"))
		return error_set(error, EINVAL, "'%s' is not a time: write 2027-01-01 or 2027-01-01T10:00:00Z (UTC)",
				 shown);
	if (!strptime(text, day ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm))
		return error_set(error, EINVAL, "there is no such time as '%s'", shown);
	back = tm;
	expires = timegm(&back);
	if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday ||
	    back.tm_sec != tm.tm_sec || expires <= 0)
		return error_set(error, EINVAL, "there is no such time as '%s', or it is before 1970", shown);
	*ret = expires;
	return 0;
}

const char *expiry_print(time_t expires, char buffer[24])
{
	struct tm tm;

	if (!gmtime_r(&expires, &tm) || strftime(buffer, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		strcpy(buffer, "-");
	if (expires % 86400 == 0 && strlen(buffer) > 10)
		buffer[strlen(buffer) - 10] = '\0';
	return buffer;
}

/* Words that a name follows; `device` and `peer` belong to later versions and are no names either. */
static bool is_kind(const char *text, size_t length)
{
	static const char *const others[] = { "device", "peer" };

	for (size_t i = 0; i < ELEMENTSOF(selector_words); i++)
		if (strlen(selector_words[i]) == length && strncmp(text, selector_words[i], length) == 0)
			return true;
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		if (strlen(others[i]) == length && strncmp(text, others[i], length) == 0)
			return true;
	return false;
}

const char *target_colon(const char *text)
{
	size_t length = strcspn(text, ",");
	const char *colon = memrchr(text, ':', length);
	static const char proto[] = ":proto";

	if (!colon)
		return NULL;
	if (colon - text >= (ptrdiff_t)strlen(proto) && strncmp(colon - strlen(proto), proto, strlen(proto)) == 0)
		colon -= strlen(proto);
	return is_kind(text, (size_t)(colon - text)) ? NULL : colon;
}

int target_parse(const char *text, struct target *ret, struct error *error)
{
	const char *colon = target_colon(text);
	_cleanup_free_ char *name = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
	struct target target = { .has_port = colon != NULL };
	int r;

	if (!name)
		return error_memory(error);
	r = colon ? port_range_parse(colon + 1, &target.port, error) : 0;
	if (r >= 0)
		r = selector_parse(name, &target.selector, error);
	if (r < 0)
		return r;
	*ret = target;
	return 0;
}

char *target_print(const struct target *target)
{
	_cleanup_free_ char *selector = selector_print(&target->selector);
	char port[24], *text;

	if (!selector || !target->has_port)
		return TAKE_PTR(selector);
	return asprintf(&text, "%s:%s", selector, port_range_print(&target->port, port)) < 0 ? NULL : text;
}
