/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writer to nf_tables against the kernel and against nft: each test in a network namespace of its own. Needs root and
 * nft; ends with 77 (skipped) and the reason where it may not make namespaces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "base/array.h"
#include "kernel/nft.h"
#include "ruleset/compile.h"
#include "ruleset/stmt.h"

#define MANY 100000

static int run(const char *format, ...) _printf_(1, 2);
static int run(const char *format, ...)
{
	char command[4096];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(...) assert_int_equal(run(__VA_ARGS__), 0)

/* What a command writes; the caller frees it. */
static char *output(const char *command)
{
	FILE *pipe = popen(command, "r"), *file;
	char *text = NULL;
	size_t size;
	int c;

	assert_non_null(pipe);
	file = open_memstream(&text, &size);
	while ((c = fgetc(pipe)) != EOF)
		fputc(c, file);
	fclose(file);
	assert_int_equal(pclose(pipe), 0);
	return text;
}

/* Processor time, the kernel's for us included: others at work on the machine do not count. */
static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

/* Calls that must succeed, with their message when they do not. */
#define OK(call)                                                                                                       \
	do {                                                                                                           \
		struct error e_ = { 0 }, *error = &e_;                                                                 \
		int r_ = (call);                                                                                       \
		if (r_ < 0)                                                                                            \
			fail_msg("%s: %d %s", #call, r_, e_.text);                                                     \
	} while (0)

/* Calls that must fail with a code and a message that contains `text`. */
#define FAILS(call, code, text_)                                                                                       \
	do {                                                                                                           \
		struct error e_ = { 0 }, *error = &e_;                                                                 \
		int r_ = (call);                                                                                       \
		if (r_ != -(code) || !strstr(e_.text, text_))                                                          \
			fail_msg("%s: %d %s", #call, r_, e_.text);                                                     \
	} while (0)

static struct nft *open_nft(enum nft_protection at_most)
{
	struct nft *nft = NULL;

	OK(nft_open(at_most, &nft, error));
	return nft;
}

/* A ruleset of the shape of the real one, with every kind of statement, field and set. */

static const struct sample_rule {
	const char *chain;
	struct stmt stmts[8];
} sample_rules[] = {
	{ "guard", { NAME(IIFNAME, "lo"), ACCEPT } },
	{ "guard", { IPV4, NET4(IP_DADDR, 127, 8), GOTO("drop-x") } },
	{ "guard", { IPV6, LOOPBACK6(IP6_DADDR), GOTO("drop-x") } },
	{ "guard", { IPV4, IS(IP_LSRR, 1), GOTO("drop-x") } },
	{ "guard", { IPV4, IS(IP_SSRR, 1), GOTO("drop-x") } },
	{ "guard", { IPV6, IS(RT_TYPE, 0), GOTO("drop-x") } },
	{ "guard", { IPV4, IS(FIB_DADDR_TYPE, 3), NOT(FIB_DADDR_IIF_TYPE, 3), GOTO("drop-x") } },
	{ "guard", { NOT_IN("uplinks", FIB_SADDR_OIF), GOTO("drop-x") } },
	{ "guard", { IS(FIB_SADDR_IIF_OIF, 0), GOTO("drop-x") } },
	{ "guard", { IPV4, ANY4(IP_SADDR), PROTO(IPPROTO_UDP), IS(TH_SPORT, 68), IS(TH_DPORT, 67), ACCEPT } },
	{ "guard", { IPV6, ANY6(IP6_SADDR), PROTO(IPPROTO_ICMPV6), IN("neighbour", ICMPV6_TYPE), ACCEPT } },
	{ "guard", { PROTO(IPPROTO_ICMPV6), IPV6, IS(IP6_HOPLIMIT, 255), IN("neighbour", ICMPV6_TYPE), ACCEPT } },
	{ "guard", { IPV6, LINK_LOCAL6(IP6_SADDR), ACCEPT } },
	{ "guard", { IN("names", IIFNAME), ACCEPT } },
	{ "forward", { BITS(MARK, ACCEPT_BIT), CLEAR_MARK } },
	{ "forward", { IN("same", IIFNAME, OIFNAME), ACCEPT } },
	{ "forward", { BITS(CT_STATE, 2), IS(CT_DIRECTION, 1), GOTO("ok") } },
	{ "forward", { BITS(CT_STATE, 4), IPV4, PROTO(IPPROTO_ICMP), IN("errors", ICMP_TYPE), ACCEPT } },
	{ "forward",
	  { BITS(CT_STATE, 8), PROTO(IPPROTO_TCP), MASKED_NOT(TCP_FLAGS, 0x17, 2), NOT_IN("grace", L4PROTO),
	    GOTO("drop-x") } },
	{ "forward", { IPV4, IN("ended4", IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT), GOTO("drop-x") } },
	{ "forward", { IPV6, IN("ended6", IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT), GOTO("drop-x") } },
	{ "forward", { SET_PRIORITY(0) } },
	{ "forward", { IPV4, PRIORITY_MAP("id4", IIFNAME, IP_SADDR) } },
	{ "forward", { IPV4, IS(PRIORITY, 0), PRIORITY_MAP("range4", IIFNAME, IP_SADDR) } },
	{ "forward", { IPV6, IS(PRIORITY, 0), PRIORITY_MAP("range6", IIFNAME, IP6_SADDR) } },
	{ "forward", { IPV4, PRIORITY_MAP("tree4", IP_SADDR) } },
	{ "forward", { IPV6, PRIORITY_MAP("tree6", IP6_SADDR) } },
	{ "forward", { VMAP("classes", PRIORITY) } },
	{ "forward", { GOTO("drop-x") } },
	{ "leave", { IN("names", OIFNAME), NOT(SKUID, 0), IS(CT_DIRECTION, 0), GOTO("drop-x") } },
	{ "drop-x", { LIMIT(10), LOG("spr:x") } },
	{ "drop-x", { COUNTER, DROP } },
	{ "target", { SET_PRIORITY(0) } },
	{ "target", { IPV4, PRIORITY_MAP("id4", OIFNAME, IP_DADDR), RETURN } },
	{ "ok",
	  { BITS(CT_STATE, 8), IS(CT_DIRECTION, 0), IPV4, COUNT_OVER("conns4", IP_SADDR, 2000), GOTO("drop-x") } },
	{ "ok", { SET_MARK } },
	{ "ok", { ACCEPT } },
	{ "from_5", { JUMP("target") } },
	{ "from_5", { IN("nat_protos", L4PROTO), IN("all_5", PRIORITY), GOTO("ok") } },
	{ "from_5", { IN("ports_5", PRIORITY, L4PROTO, TH_DPORT), GOTO("ok") } },
	{ "from_5",
	  { BITS(CT_STATUS, 0x20), PROTO(IPPROTO_TCP), IN("ports_5", PRIORITY, L4PROTO, CT_PROTO_DST), GOTO("ok") } },
	{ "from_5", { GOTO("drop-x") } },
};

static const struct {
	const char *name;
	enum hook hook;
	int priority;
	bool drop;
} sample_chains[] = {
	/* base chains last, as they are made: nft shows them in that order */
	{ "drop-x", HOOK_NONE, 0, false },
	{ "target", HOOK_NONE, 0, false },
	{ "ok", HOOK_NONE, 0, false },
	{ "from_5", HOOK_NONE, 0, false },
	{ "guard", HOOK_PREROUTING, -310, false },
	{ "forward", HOOK_FORWARD, -10, true },
	{ "leave", HOOK_POSTROUTING, -310, false },
};

static const struct {
	const char *name;
	enum set_data data;
	unsigned n;
	enum field fields[STMT_FIELDS_MAX];
	bool interval, timeout, dynamic;
	uint32_t size;
} sample_sets[] = {
	{ "id4", DATA_PRIORITY, 2, { F2(IIFNAME, IP_SADDR) } },
	{ "range4", DATA_PRIORITY, 2, { F2(IIFNAME, IP_SADDR) }, .interval = true },
	{ "range6", DATA_PRIORITY, 2, { F2(IIFNAME, IP6_SADDR) }, .interval = true },
	{ "tree4", DATA_PRIORITY, 1, { F1(IP_SADDR) }, .interval = true },
	{ "tree6", DATA_PRIORITY, 1, { F1(IP6_SADDR) }, .interval = true },
	{ "classes", DATA_VERDICT, 1, { F1(PRIORITY) } },
	{ "all_5", DATA_NONE, 1, { F1(PRIORITY) } },
	{ "ports_5", DATA_NONE, 3, { F3(PRIORITY, L4PROTO, TH_DPORT) }, .interval = true },
	{ "same", DATA_NONE, 2, { F2(IIFNAME, OIFNAME) } },
	{ "names", DATA_NONE, 1, { F1(IIFNAME) } },
	{ "uplinks", DATA_NONE, 1, { F1(FIB_SADDR_OIF) } },
	{ "errors", DATA_NONE, 1, { F1(ICMP_TYPE) } },
	{ "neighbour", DATA_NONE, 1, { F1(ICMPV6_TYPE) } },
	{ "nat_protos", DATA_NONE, 1, { F1(L4PROTO) } },
	{ "grace", DATA_NONE, 1, { F1(L4PROTO) }, .timeout = true },
	{ "ended4", DATA_NONE, 4, { F4(IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT) }, .timeout = true },
	{ "ended6", DATA_NONE, 4, { F4(IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT) }, .timeout = true },
	{ "conns4", DATA_NONE, 1, { F1(IP_SADDR) }, .dynamic = true, .size = 65536 },
};

static struct element *add(struct ruleset *ruleset, const char *name)
{
	struct element *element = set_add(ruleset_set(ruleset, name));

	assert_non_null(element);
	return element;
}

static void add_name(struct ruleset *ruleset, const char *name, const char *text)
{
	key_put_name(ruleset_set(ruleset, name), add(ruleset, name)->key, 0, text);
}

static void add_number(struct ruleset *ruleset, const char *name, uint32_t number)
{
	key_put_number(ruleset_set(ruleset, name), add(ruleset, name)->key, 0, number);
}

static void add_id4(struct ruleset *ruleset, const char *interface, uint32_t address, uint32_t class)
{
	const struct addr addr = { AF_INET, { address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255 } };
	const struct set *set = ruleset_set(ruleset, "id4");
	struct element *element = add(ruleset, "id4");

	key_put_name(set, element->key, 0, interface);
	key_put_addr(set, element->key, 1, &addr);
	element->data = class;
}

static void add_range(struct ruleset *ruleset, const char *name, const char *text, uint32_t class)
{
	const struct set *set = ruleset_set(ruleset, name);
	struct element *element = add(ruleset, name);
	struct prefix prefix;
	struct range range;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	range = prefix_range(&prefix);
	key_put_name(set, element->key, 0, "eth0");
	key_put_addr(set, element->key, 1, &range.first);
	key_put_name(set, element_key_end(set, element), 0, "eth0");
	key_put_addr(set, element_key_end(set, element), 1, &range.last);
	element->data = class;
}

/* Ranges that touch, with an end of the address space, and one apart. */
static void add_trees(struct ruleset *ruleset)
{
	static const char *const texts[] = { "0.0.0.0/8", "1.0.0.0/8", "7.7.7.7/32",	  "224.0.0.0/3",
					     "::/3",	  "2000::/64", "2000:0:0:1::/64", "fc00::/6" };

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		struct prefix prefix;
		struct range range;

		assert_int_equal(prefix_parse(texts[i], &prefix), 0);
		range = prefix_range(&prefix);
		assert_int_equal(
			set_add_range(ruleset_set(ruleset, i < 4 ? "tree4" : "tree6"), &range, (uint32_t)i + 2), 0);
	}
}

static void add_ports(struct ruleset *ruleset, uint32_t class, uint32_t proto, uint32_t first, uint32_t last)
{
	const struct set *set = ruleset_set(ruleset, "ports_5");
	struct element *element = add(ruleset, "ports_5");
	uint32_t from[] = { class, proto, first }, to[] = { class, proto, last };

	for (size_t i = 0; i < 3; i++) {
		key_put_number(set, element->key, i, from[i]);
		key_put_number(set, element_key_end(set, element), i, to[i]);
	}
}

static void add_class(struct ruleset *ruleset, uint32_t class, const char *chain)
{
	const struct set *set = ruleset_set(ruleset, "classes");
	struct element *element = add(ruleset, "classes");

	key_put_number(set, element->key, 0, class);
	snprintf(element_chain(set, element), CHAIN_MAX, "%s", chain);
}

static void sample_elements(struct ruleset *ruleset)
{
	struct element *element;

	add_id4(ruleset, "br-a", 0xac1e010a, 5);
	add_id4(ruleset, "br-a", 0xac1e010b, 0x10006);
	add_range(ruleset, "range4", "8.0.0.0/8", 2);
	add_range(ruleset, "range4", "11.0.0.0/15", 2);
	add_range(ruleset, "range6", "2000::/3", 2);
	add_trees(ruleset);
	add_class(ruleset, 5, "from_5");
	add_number(ruleset, "all_5", 2);
	add_ports(ruleset, 2, IPPROTO_TCP, 80, 90);
	add_ports(ruleset, 2, IPPROTO_UDP, 53, 53);
	element = add(ruleset, "same");
	key_put_name(ruleset_set(ruleset, "same"), element->key, 0, "br-a");
	key_put_name(ruleset_set(ruleset, "same"), element->key, 1, "br-a");
	add_name(ruleset, "names", "eth0");
	add_name(ruleset, "names", "a-very-long-one");
	add_number(ruleset, "uplinks", 1);
	add_number(ruleset, "errors", 3);
	add_number(ruleset, "errors", 11);
	add_number(ruleset, "neighbour", 135);
	add_number(ruleset, "neighbour", 136);
	add_number(ruleset, "nat_protos", IPPROTO_TCP);
	add_number(ruleset, "nat_protos", IPPROTO_UDP);
}

static void add_rule(struct ruleset *ruleset, const char *chain, const struct stmt *stmts, size_t max)
{
	size_t n = 0;

	/* The first kind is a comparison, which has fields: one without any is an empty place. */
	while (n < max && (stmts[n].kind != STMT_COMPARE || stmts[n].n_fields))
		n++;
	assert_int_equal(chain_add_rule(ruleset_chain(ruleset, chain), stmts, n), 0);
}

static struct ruleset *sample(void)
{
	struct ruleset *ruleset = ruleset_new();

	assert_non_null(ruleset);
	for (size_t i = 0; i < ELEMENTSOF(sample_chains); i++)
		assert_non_null(ruleset_add_chain(ruleset, sample_chains[i].name, sample_chains[i].hook,
						  sample_chains[i].priority, sample_chains[i].drop));
	for (size_t i = 0; i < ELEMENTSOF(sample_sets); i++) {
		struct set *set = ruleset_add_set(ruleset, sample_sets[i].name, sample_sets[i].data,
						  sample_sets[i].fields, sample_sets[i].n);

		assert_non_null(set);
		set->interval = sample_sets[i].interval;
		set->timeout = sample_sets[i].timeout;
		set->dynamic = sample_sets[i].dynamic;
		set->size = sample_sets[i].size;
	}
	for (size_t i = 0; i < ELEMENTSOF(sample_rules); i++)
		add_rule(ruleset, sample_rules[i].chain, sample_rules[i].stmts, ELEMENTSOF(sample_rules[i].stmts));
	sample_elements(ruleset);
	ruleset_finish(ruleset);
	return ruleset;
}

static void cut(struct set *set, size_t i)
{
	array_cut(set->elements, &set->n_elements, set_stride(set), i);
}

/* The sample with another class, other elements, other rules, a set less and one more. */
static struct ruleset *sample_changed(void)
{
	static const struct stmt from_6[] = { IN("all_6", PRIORITY), GOTO("ok") };
	static const struct stmt odd[] = { IS(L4PROTO, 47), ACCEPT };
	struct ruleset *ruleset = sample();
	struct set *set = ruleset_set(ruleset, "id4");
	struct chain *chain;

	set_element(set, 0)->data = 7; /* a changed class */
	set = ruleset_set(ruleset, "range4");
	cut(set, 0);
	add_range(ruleset, "range4", "12.0.0.0/8", 3);
	add_range(ruleset, "range4", "8.0.0.0/9", 3); /* inside what goes */
	set = ruleset_set(ruleset, "tree4");
	cut(set, 2); /* the second range, with its end */
	cut(set, 2);
	snprintf(ruleset_chain(ruleset, "from_5")->name, sizeof(ruleset->chains[0].name), "from_6");
	assert_non_null(ruleset_add_set(ruleset, "all_6", DATA_NONE, (enum field[]){ FIELD_PRIORITY }, 1));
	add_number(ruleset, "all_6", 9);
	chain = ruleset_chain(ruleset, "from_6");
	while (chain->n_rules)
		free(chain->rules[--chain->n_rules].stmts);
	add_rule(ruleset, "from_6", from_6, ELEMENTSOF(from_6));
	set = ruleset_set(ruleset, "classes");
	snprintf(element_chain(set, set_element(set, 0)), CHAIN_MAX,
		 "from_6"); /* 5 leads elsewhere; its old chain and sets go */
	for (size_t i = ruleset->n_sets; i-- > 0;)
		if (strcmp(ruleset->sets[i].name, "all_5") == 0 || strcmp(ruleset->sets[i].name, "ports_5") == 0) {
			free(ruleset->sets[i].elements);
			ARRAY_CUT(ruleset->sets, ruleset->n_sets, i);
		}
	add_rule(ruleset, "guard", odd, ELEMENTSOF(odd));
	ruleset_chain(ruleset, "leave")->policy_drop = true;
	ruleset_finish(ruleset);
	return ruleset;
}

static struct ruleset *sample_large(size_t n)
{
	struct ruleset *ruleset = sample();

	for (size_t i = 0; i < n; i++)
		add_id4(ruleset, "br-large", 0x0a000000u + (uint32_t)i, 5);
	ruleset_finish(ruleset);
	return ruleset;
}

static const enum nft_protection protections[] = { NFT_PERSIST, NFT_COPIES, NFT_PLAIN };

/* Every test starts in a new namespace, without tables. */
static int new_namespace(void **state)
{
	return unshare(CLONE_NEWNET);
}

static int line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What nft shows, an element a line: their order in a hash is by chance, so they are sorted. */
static char *listing(void)
{
	char *text = output("nft -s list ruleset | sed 's/^\t*elements = { /E /; s/^\t* \\{10,\\}/E /; /^E/s/,$//; "
			    "/^E/s/ }$//; s/ # progname.*//'");
	char *lines[4096], *sorted, *rest = text;
	size_t n = 0, size;
	FILE *file = open_memstream(&sorted, &size);

	for (char *line; n < ELEMENTSOF(lines) && (line = strsep(&rest, "\n"));)
		lines[n++] = line;
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && lines[i][0] == 'E' && lines[k][0] == 'E';)
			k++;
		qsort(lines + i, k - i, sizeof(*lines), line_compare);
		while (i < k)
			fprintf(file, "%s\n", lines[i++]);
	}
	fclose(file);
	free(text);
	return sorted;
}

/* Fails with the first line that differs. */
static void assert_same_text(const char *a, const char *b)
{
	while (*a && *b) {
		int length_a = (int)strcspn(a, "\n"), length_b = (int)strcspn(b, "\n");

		if (length_a != length_b || memcmp(a, b, (size_t)length_a) != 0)
			fail_msg("%.*s <> %.*s", length_a, a, length_b, b);
		a += length_a + (a[length_a] != 0);
		b += length_b + (b[length_b] != 0);
	}
	assert_string_equal(a, b);
}

static void test_round_trip(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_changed();

	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		bool changed;

		FAILS(nft_compare(nft, first, error), ENOTUNIQ, "is gone");
		OK(nft_apply(nft, NULL, first, error));
		OK(nft_compare(nft, first, error));
		FAILS(nft_compare(nft, second, error), ENOTUNIQ, "from_6");
		FAILS(nft_apply(nft, NULL, first, error), EEXIST, "already");
		OK(nft_apply(nft, first, second, error));
		OK(nft_compare(nft, second, error));
		OK(nft_apply(nft, second, first, error));
		OK(nft_compare(nft, first, error));
		OK(nft_apply(nft, first, first, error));

		OK(nft_repair(nft, first, &changed, error));
		assert_false(changed);
		OK(nft_repair(nft, second, &changed, error));
		assert_true(changed);
		OK(nft_compare(nft, second, error));
		OK(nft_repair(nft, first, &changed, error));
		OK(nft_compare(nft, first, error));

		OK(nft_remove(nft, error));
		OK(nft_remove(nft, error));
		RUN("test -z \"$(nft list tables)\"");
		nft_close(nft);
	}
}

/* The same ruleset as text by nft, and by us: nft shows the same. */
static void same_as_text(const struct ruleset *ruleset)
{
	FILE *file = popen("nft -f -", "w");
	struct nft *nft = NULL;
	char *by_nft, *by_us;

	assert_non_null(file);
	assert_int_equal(ruleset_print(ruleset, NFT_TABLE, file), 0);
	assert_int_equal(pclose(file), 0);
	by_nft = listing();
	RUN("nft flush ruleset");
	nft = open_nft(NFT_PLAIN);
	OK(nft_apply(nft, NULL, ruleset, error));
	by_us = listing();
	assert_same_text(by_nft, by_us);
	free(by_nft);
	free(by_us);
	nft_close(nft);
}

static void test_same_as_text(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_changed();

	same_as_text(first);
	RUN("nft flush ruleset");
	same_as_text(second);
}

/* What others do to our tables with nft, in each mode. */
static void test_foreign_flush(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = sample();

	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		enum nft_protection protection = nft_protection(nft);
		bool changed;

		OK(nft_apply(nft, NULL, ruleset, error));
		run("nft flush ruleset 2>/dev/null");
		if (protection == NFT_PERSIST) {
			assert_int_not_equal(run("nft delete table inet spr 2>/dev/null"), 0);
			assert_int_not_equal(run("nft flush chain inet spr forward 2>/dev/null"), 0);
			OK(nft_compare(nft, ruleset, error));
		} else {
			if (protection == NFT_COPIES)
				RUN("nft list table inet spr-owned >/dev/null");
			FAILS(nft_compare(nft, ruleset, error), ENOTUNIQ, "inet spr is gone");
			OK(nft_repair(nft, ruleset, &changed, error));
			assert_true(changed);
			OK(nft_compare(nft, ruleset, error));
		}
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

#define BASE_HANDLES "nft -a list chains | grep -A1 'hook\\|chain' | grep 'chain \\(guard\\|forward\\|leave\\)'"

/* Each is found, told and healed, and the base chains stay what they are. */
static const struct {
	const char *command, *told;
} changes[] = {
	{ "nft flush chain inet spr forward", "rule 1 of chain forward" },
	{ "nft flush table inet spr", "rule 1 of chain" },
	{ "nft delete rule inet spr forward handle $(nft -a list chain inet spr forward | sed -n 's/.*handle //p' | "
	  "sed -n 5p)",
	  "of chain forward" },
	{ "nft add rule inet spr forward accept", "rule 16 of chain forward" },
	{ "nft insert rule inet spr forward accept", "rule 1 of chain forward" },
	{ "nft insert rule inet spr ok ip saddr '{ 1.2.3.4, 1.2.3.5 }' tcp dport 1-5 accept", "rule 1 of chain ok" },
	{ "nft insert rule inet spr ok notrack", "rule 1 of chain ok" },
	{ "nft chain inet spr forward '{ policy accept; }'", "forward has another policy" },
	{ "nft add table inet spr '{ flags dormant; }'", "has other flags" },
	{ "nft delete element inet spr id4 '{ \"br-a\" . 172.30.1.10 }'", "set id4" },
	{ "nft add element inet spr id4 '{ \"br-b\" . 172.30.1.10 : 0:9 }'", "set id4" },
	{ "nft 'delete element inet spr id4 { \"br-a\" . 172.30.1.10 }; add element inet spr id4 { \"br-a\" . 172.30.1.10 : 1:1 }'",
	  "set id4" },
	{ "nft add element inet spr range4 '{ \"eth0\" . 44.0.0.0/8 : 0:2 }'", "set range4" },
	{ "nft delete element inet spr range4 '{ \"eth0\" . 8.0.0.0/8 }'", "set range4" },
	{ "nft add element inet spr tree4 '{ 44.0.0.0/8 : 0:2 }'", "set tree4" },
	{ "nft delete element inet spr tree4 '{ 1.0.0.0/8 : 0:3 }'", "set tree4" },
	{ "nft add element inet spr classes '{ 0:9 : accept }'", "set classes" },
	{ "nft 'delete element inet spr classes { 0:5 }; add element inet spr classes { 0:5 : jump from_5 }'",
	  "set classes" },
	{ "nft flush set inet spr names", "set names" },
	{ "nft add chain inet spr open '{ type filter hook forward priority -11; }'", "there is a chain open" },
	{ "nft 'add chain inet spr more; add rule inet spr more accept; insert rule inet spr ok jump more'",
	  "of chain ok" },
	{ "nft add set inet spr own '{ type ipv4_addr; elements = { 1.2.3.4 } }'", "there is a set own" },
	{ "nft 'add set inet spr own { type ipv4_addr; flags constant; elements = { 1.2.3.4 }; }; insert rule inet spr ok "
	  "ip saddr @own accept'",
	  "of chain ok" },
	{ "nft 'flush chain inet spr drop-x; flush chain inet spr ok; flush chain inet spr from_5; flush chain inet spr guard; "
	  "flush chain inet spr forward; flush chain inet spr leave; delete chain inet spr drop-x'",
	  "chain drop-x is gone" },
	{ "nft 'flush chain inet spr guard; delete set inet spr uplinks'", "rule 1 of chain guard" },
	{ "nft 'flush chain inet spr leave; flush chain inet spr guard; delete set inet spr names; add set inet spr names { "
	  "typeof ip saddr; }'",
	  "of chain guard" },
	{ "nft 'flush chain inet spr guard; flush chain inet spr leave; delete set inet spr names; add set inet spr names { "
	  "type ifname; counter; elements = { \"eth0\" counter, \"a-very-long-one\" counter } }'",
	  "of chain guard" },
	{ "nft 'add table inet spr-owned; add chain inet spr-owned x'", "there is a table inet spr-owned" },
};

static void test_foreign_changes(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = sample();
	struct nft *nft = open_nft(NFT_PLAIN);
	char *before, *after, *text_before, *text_after;
	bool changed;

	OK(nft_apply(nft, NULL, ruleset, error));
	before = output(BASE_HANDLES);
	text_before = listing();
	for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
		if (run("%s", changes[i].command) != 0)
			fail_msg("nft does not take: %s", changes[i].command);
		FAILS(nft_compare(nft, ruleset, error), ENOTUNIQ, changes[i].told);
		OK(nft_repair(nft, ruleset, &changed, error));
		assert_true(changed);
		OK(nft_compare(nft, ruleset, error));
		OK(nft_repair(nft, ruleset, &changed, error));
		assert_false(changed);
	}
	after = output(BASE_HANDLES);
	text_after = listing();
	assert_string_equal(before, after);
	assert_int_equal(strlen(text_before), strlen(text_after)); /* chains and sets that were made anew come later */
	free(before);
	free(after);
	free(text_before);
	free(text_after);
	nft_close(nft);
}

static void test_failure_changes_nothing(void **state)
{
	static const struct stmt nowhere[] = { GOTO("nowhere") };
	static const struct stmt loop[] = { JUMP("ok") };
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_changed(),
						*third = sample_changed(), *fourth = sample_changed();
	const struct set *range4 = ruleset_set(fourth, "range4");
	struct element *element;

	add_rule(second, "leave", nowhere, ELEMENTSOF(nowhere));
	add_rule(third, "ok", loop, ELEMENTSOF(loop));
	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);

		FAILS(nft_apply(nft, NULL, second, error), ENOENT, "rule 2 of leave");
		RUN("test -z \"$(nft list tables)\"");
		OK(nft_apply(nft, NULL, first, error));
		FAILS(nft_apply(nft, first, second, error), ENOENT, "rule 2 of leave");
		OK(nft_compare(nft, first, error));
		assert_true(nft_apply(nft, first, third, NULL) < 0); /* ELOOP or EMLINK, by the kernel's age */
		OK(nft_compare(nft, first, error));
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
	/* ranges that overlap */
	element = add(fourth, "range4");
	memcpy(element, set_element(range4, 0), set_stride(range4));
	element->key[19] += 1;
	ruleset_finish(fourth);
	struct nft *nft = open_nft(NFT_PERSIST);

	OK(nft_apply(nft, NULL, first, error));
	/* Linux 6.1 may take the second for the first, keep one and say nothing; to read back tells. */
	if (nft_apply(nft, first, fourth, NULL) == 0) {
		FAILS(nft_compare(nft, fourth, error), ENOTUNIQ, "set range4");
	} else {
		FAILS(nft_apply(nft, first, fourth, error), EEXIST, "elements of set range4");
		OK(nft_compare(nft, first, error));
	}
	nft_close(nft);
}

/* Seconds to load a ruleset into nothing, at best: on a busy machine the kernel is slow to enlarge its tables. */
static double load_time(struct nft *nft, const struct ruleset *ruleset, double limit)
{
	double best = 1e9;

	for (int i = 0; i < 5 && best > limit; i++) {
		double start;

		OK(nft_remove(nft, error));
		start = now();
		OK(nft_apply(nft, NULL, ruleset, error));
		if (now() - start < best)
			best = now() - start;
	}
	return best;
}

static void test_large(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *small = sample(), *large = sample_large(MANY);
	const char *slow = getenv("SPR_SLOW"); /* how many times slower this machine is */
	double limit = slow ? atoi(slow) : 1;

#ifdef __SANITIZE_ADDRESS__
	limit *= 5;
#endif
	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		int copies = nft_protection(nft) == NFT_COPIES ? 2 : 1;
		double load = load_time(nft, large, limit * copies), start = now(), compare, taken;
		bool changed;

		OK(nft_compare(nft, large, error));
		compare = now() - start;
		start = now();
		OK(nft_apply(nft, large, small, error));
		taken = now() - start;
		OK(nft_compare(nft, small, error));
		OK(nft_repair(nft, large, &changed, error));
		OK(nft_apply(nft, large, large, error));
		print_message("%d x %d elements: load %.3f s, compare %.3f s, take out %.3f s\n", copies, MANY, load,
			      compare, taken);
		assert_true(load < limit * copies);
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

/* One change at this size: a member comes, a member goes. */
static void test_one_change(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *large = sample_large(MANY), *more = sample_large(MANY + 1);
	struct nft *nft = open_nft(NFT_PERSIST);
	double start;

	OK(nft_apply(nft, NULL, large, error));
	start = now();
	for (int i = 0; i < 10; i++) {
		OK(nft_apply(nft, large, more, error));
		OK(nft_apply(nft, more, large, error));
	}
	print_message("one element of %d: %.3f ms\n", MANY, (now() - start) / 20 * 1e3);
	OK(nft_compare(nft, large, error));
	nft_close(nft);
}

/* A process that holds the tables until it is killed. */
static pid_t start_holder(enum nft_protection at_most, const struct ruleset *ruleset)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct nft *nft = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (nft_open(at_most, &nft, NULL) < 0 || nft_apply(nft, NULL, ruleset, NULL) < 0 ||
		    write(ready[1], "y", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_holder(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_two_processes(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = sample();

	for (size_t i = 0; i < 2; i++) {
		pid_t holder = start_holder(protections[i], ruleset);
		struct nft *nft = open_nft(protections[i]);
		bool changed;

		FAILS(nft_apply(nft, NULL, ruleset, error), nft_protection(nft) == NFT_PERSIST ? EBUSY : EEXIST,
		      "table inet spr");
		FAILS(nft_repair(nft, ruleset, &changed, error), EBUSY, "another sprd");
		FAILS(nft_compare(nft, ruleset, error), EBUSY, "another sprd");
		FAILS(nft_remove(nft, error), EBUSY, "another sprd");
		end_holder(holder);
		OK(nft_repair(nft, ruleset, &changed, error));
		assert_true(changed);
		OK(nft_compare(nft, ruleset, error));
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

/* What a killed daemon leaves is still there, closed, and is taken over as it is. */
static void test_adoption(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_changed();

	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		pid_t holder = start_holder(protections[i], first);
		struct nft *nft = NULL;
		char *before, *after;
		bool changed;

		end_holder(holder);
		RUN("nft list table inet spr >/dev/null");
		before = output("nft -a list table inet spr | grep 'chain \\(guard\\|forward\\|leave\\)'");
		nft = open_nft(protections[i]);
		OK(nft_repair(nft, second, &changed, error));
		assert_true(changed);
		OK(nft_compare(nft, second, error));
		after = output("nft -a list table inet spr | grep 'chain \\(guard\\|forward\\|leave\\)'");
		assert_string_equal(before, after);
		if (nft_protection(nft) == NFT_PERSIST) {
			assert_int_not_equal(run("nft delete table inet spr 2>/dev/null"), 0);
			run("nft flush ruleset");
			OK(nft_compare(nft, second, error));
		}
		OK(nft_remove(nft, error));
		nft_close(nft);
		free(before);
		free(after);
	}
}

/* From every mode to every mode, over an end of the process. */
static void test_change_of_mode(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_changed();

	for (size_t i = 0; i < ELEMENTSOF(protections); i++)
		for (size_t k = 0; k < ELEMENTSOF(protections); k++) {
			struct nft *nft = open_nft(protections[i]);
			bool changed;

			OK(nft_apply(nft, NULL, first, error));
			nft_close(nft);
			nft = open_nft(protections[k]);
			OK(nft_repair(nft, second, &changed, error));
			assert_true(changed);
			OK(nft_compare(nft, second, error));
			RUN("test $(nft list tables | wc -l) = %d", nft_protection(nft) == NFT_COPIES ? 2 : 1);
			OK(nft_remove(nft, error));
			nft_close(nft);
		}
}

/* Ends with this process, or when told. */
static pid_t start_command(const char *command)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		close_range(3, ~0u, 0);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	return pid;
}

/* What the shell has started is over too: it would go on changing tables. */
static void end_command(pid_t pid)
{
	assert_int_equal(kill(-pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int i = 0; i < 5000 && kill(-pid, 0) == 0; i++)
		usleep(1000);
}

/* All there is while a table is made anew. */
static void test_standin(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample();
	struct nft *nft = open_nft(NFT_PERSIST);
	char path[] = "/tmp/spr-test-nft-XXXXXX", *text;
	char command[128];
	bool changed;
	pid_t monitor;
	int fd;

	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	ruleset_chain(second, "forward")->priority = -20;
	OK(nft_apply(nft, NULL, first, error));
	snprintf(command, sizeof(command), "exec nft monitor tables >%s", path);
	monitor = start_command(command);
	for (int i = 0; i < 100 && run("grep -q probe %s", path) != 0; i++) /* until it listens */
		RUN("nft 'add table inet probe; delete table inet probe'; sleep 0.05");
	OK(nft_repair(nft, second, &changed, error));
	RUN("nft add table inet last");
	for (int i = 0; i < 100 && run("grep -q last %s", path) != 0; i++)
		RUN("sleep 0.05");
	end_command(monitor);
	snprintf(command, sizeof(command), "grep -v 'probe\\|last' %s | sed s/create/add/", path);
	text = output(command);
	assert_string_equal(text, nft_protection(nft) == NFT_COPIES ?
					  "add table inet spr-standin\ndelete table inet spr\nadd table inet spr\n"
					  "delete table inet spr-owned\nadd table inet spr-owned\n"
					  "delete table inet spr-standin\n" :
					  "add table inet spr-standin\ndelete table inet spr\nadd table inet spr\n"
					  "delete table inet spr-standin\n");
	free(text);
	unlink(path);
	nft_close(nft);
}

/* A base chain with another hook or priority: not by apply, by repair through a stand-in. */
static void test_rebuild(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_changed();

	ruleset_chain(second, "forward")->priority = -20;
	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		bool changed;

		OK(nft_apply(nft, NULL, first, error));
		FAILS(nft_apply(nft, first, second, error), EEXIST, "spr down");
		OK(nft_compare(nft, first, error));
		OK(nft_repair(nft, second, &changed, error));
		OK(nft_compare(nft, second, error));
		OK(nft_repair(nft, first, &changed, error));
		OK(nft_compare(nft, first, error));
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

static bool watched(struct nft_watch *watch, bool *ret_docker_user)
{
	struct pollfd poll_fd = { .fd = nft_watch_fd(watch), .events = POLLIN };
	bool ours = false;

	*ret_docker_user = false;
	if (nft_watch_missed(watch) || poll(&poll_fd, 1, 50) > 0)
		OK(nft_watch_read(watch, &ours, ret_docker_user, error));
	return ours;
}

static const struct {
	const char *command;
	bool ours, docker_user;
} watches[] = {
	{ "nft add table inet other", false, false },
	{ "nft add table ip spr", false, false },
	{ "nft 'add chain inet other DOCKER; add rule inet other DOCKER accept'", false, false },
	{ "nft add chain inet other DOCKER-USER", false, true },
	{ "nft add rule inet other DOCKER-USER return", false, true },
	{ "nft add rule inet other DOCKER accept", false, false },
	{ "nft flush chain inet other DOCKER-USER", false, true },
	{ "nft flush chain inet spr ok", true, false },
	{ "nft add element inet spr names '{ \"x\" }'", true, false },
	{ "nft flush ruleset", true, true },
};

static void test_watch(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_large(MANY);
	struct nft *nft = open_nft(NFT_PLAIN);
	struct nft_watch *watch = NULL;
	bool docker_user;

	OK(nft_watch_open(nft, &watch, error));
	OK(nft_apply(nft, NULL, first, error));
	OK(nft_apply(nft, first, second, error));
	assert_false(watched(watch, &docker_user));
	assert_false(docker_user);
	for (size_t i = 0; i < ELEMENTSOF(watches); i++) {
		RUN("%s", watches[i].command);
		assert_int_equal(watched(watch, &docker_user), watches[i].ours);
		assert_int_equal(docker_user, watches[i].docker_user);
		assert_false(watched(watch, &docker_user));
	}
	nft_watch_close(watch);
	nft_close(nft);
}

/* Somebody else, who changes a table of ours after so many microseconds. */
static pid_t start_other(const struct ruleset *ruleset, unsigned microseconds)
{
	struct set set = set_like(ruleset_set(ruleset, "ended4"));
	struct error error = { 0 };
	pid_t other = fork();
	struct nft *nft;
	int r;

	if (other)
		return other;
	r = nft_open(NFT_PLAIN, &nft, &error);
	if (r >= 0 && set_add(&set)) {
		usleep(microseconds);
		r = nft_set_add(nft, &set, 100, &error);
	}
	_exit(r < 0);
}

/* The watch does not hear what others do while a large change of ours is written, and says so; and only then. */
static void test_watch_beside_large(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_large(20000);
	struct nft *nft = open_nft(NFT_PLAIN);
	struct nft_watch *watch = NULL;
	bool docker_user;

	OK(nft_watch_open(nft, &watch, error));
	OK(nft_apply(nft, NULL, first, error));
	srand(7);
	for (int i = 0; i < 60; i++) {
		pid_t other = i % 4 ? start_other(first, (unsigned)rand() % 40000) : 0;
		int status = 0;

		assert_int_not_equal(other, -1);
		OK(nft_apply(nft, i % 2 ? second : first, i % 2 ? first : second, error));
		assert_true(!other || waitpid(other, &status, 0) == other);
		assert_int_equal(status, 0);
		assert_int_equal(watched(watch, &docker_user), other != 0);
	}
	nft_watch_close(watch);
	nft_close(nft);
}

/* Who listens to nf_tables and does not read: the kernel waits for him a little with each message once his buffer is full. */
static int start_listener(void)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1u << (NFNLGRP_NFTABLES - 1) };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* One transaction of somebody else: much that does not concern us, and at its end an element of ours. */
static void write_other(const char *path, unsigned n)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs("flush set inet other big\nadd element inet other big {", file);
	for (unsigned i = 0; i < n; i++)
		fprintf(file, "%s 10.%u.%u.%u", i ? "," : "", i >> 16, i >> 8 & 255, i & 255);
	fputs(" }\nflush set inet spr ended4\nadd element inet spr ended4 { 10.0.0.1 . 10.0.0.2 . udp . 53 timeout 100s }\n",
	      file);
	fclose(file);
}

/* The number of a transaction is another one before all have heard of what is in it. */
static void test_watch_beside_other_large(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample(), *second = sample_large(3000);
	char path[] = "/tmp/spr-test-other-XXXXXX";
	int listeners[4], file = mkstemp(path);
	struct nft *nft = open_nft(NFT_PLAIN);
	struct nft_watch *watch = NULL;
	bool docker_user;

	assert_true(file >= 0);
	write_other(path, 12000);
	for (size_t i = 0; i < ELEMENTSOF(listeners); i++)
		listeners[i] = start_listener();
	OK(nft_watch_open(nft, &watch, error));
	OK(nft_apply(nft, NULL, first, error));
	RUN("nft 'add table inet other; add set inet other big { type ipv4_addr; }'");
	srand(7);
	for (int i = 0; i < 60; i++) {
		pid_t other = fork();
		int status = 0;

		if (!other)
			execlp("nft", "nft", "-f", path, (char *)NULL);
		assert_true(other > 0);
		usleep((unsigned)rand() % 60000);
		OK(nft_apply(nft, i % 2 ? second : first, i % 2 ? first : second, error));
		assert_int_equal(waitpid(other, &status, 0), other);
		assert_int_equal(status, 0);
		assert_true(watched(watch, &docker_user));
		while (watched(watch, &docker_user))
			;
	}
	nft_watch_close(watch);
	nft_close(nft);
	for (size_t i = 0; i < ELEMENTSOF(listeners); i++)
		close(listeners[i]);
	close(file);
	unlink(path);
}

static void test_run_time_sets(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = sample(), *scratch = sample();
	struct set *set = ruleset_set(scratch, "ended4"), none = set_like(set);

	for (uint32_t i = 0; i < 300; i++) {
		const struct addr addr = { AF_INET, { 10, 0, (uint8_t)(i / 256), (uint8_t)i } };
		struct element *element = add(scratch, "ended4");

		key_put_addr(set, element->key, 0, &addr);
		key_put_number(set, element->key, 2, IPPROTO_UDP);
		key_put_number(set, element->key, 3, 53);
	}
	memcpy(set_element(set, 7), set_element(set, 8), set_stride(set)); /* twice the same */
	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		bool changed;

		OK(nft_apply(nft, NULL, ruleset, error));
		OK(nft_set_add(nft, set, 5, error));
		OK(nft_compare(nft, ruleset, error));
		OK(nft_set_add(nft, set, 180, error));
		RUN("test $(nft list set inet spr ended4 | grep -o 'timeout 3m' | wc -l) = 299");
		RUN("test $(nft list set inet spr ended4 | grep -o 'expires 2m' | wc -l) = 299");
		OK(nft_repair(nft, ruleset, &changed, error));
		assert_false(changed);
		if (nft_protection(nft) == NFT_COPIES)
			RUN("test $(nft list set inet spr-owned ended4 | grep -o 'timeout 3m' | wc -l) = 299");
		OK(nft_set_flush(nft, set, error));
		OK(nft_set_flush(nft, set, error));
		RUN("! nft list set inet spr ended4 | grep -q elements");
		FAILS(nft_set_add(nft, ruleset_set(ruleset, "id4"), 5, error), EINVAL, "id4");
		OK(nft_set_add(nft, &none, 5, error));
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

/* Closed on one port of the loopback, to be asked by packets. */
static struct ruleset *closed_loopback(int priority)
{
	static const struct stmt in[] = { PROTO(IPPROTO_UDP), IS(TH_DPORT, 9999), GOTO("drop-x") };
	static const struct stmt drop[] = { COUNTER, DROP };
	struct ruleset *ruleset = ruleset_new();

	assert_non_null(ruleset);
	assert_non_null(ruleset_add_chain(ruleset, "drop-x", HOOK_NONE, 0, false));
	assert_non_null(ruleset_add_chain(ruleset, "in", HOOK_INPUT, priority, false));
	add_rule(ruleset, "in", in, ELEMENTSOF(in));
	add_rule(ruleset, "drop-x", drop, ELEMENTSOF(drop));
	ruleset_finish(ruleset);
	return ruleset;
}

static int udp_socket(bool receive)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
					     .sin_port = htons(9999),
					     .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (receive)
		assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	else
		assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void keep_count(const char *chain, uint64_t packets, uint64_t bytes, void *data)
{
	uint64_t *ret = data;

	assert_string_equal(chain, "drop-x");
	assert_int_equal(bytes, packets * 29);
	*ret = packets;
}

static void test_counters(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = closed_loopback(0);
	int from, to;

	RUN("ip link set lo up");
	from = udp_socket(false);
	to = udp_socket(true);
	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		uint64_t packets = 99;
		bool changed;

		OK(nft_apply(nft, NULL, ruleset, error));
		OK(nft_counters(nft, "drop-", keep_count, &packets, error));
		assert_int_equal(packets, 0);
		for (int k = 0; k < 7; k++)
			assert_int_equal(send(from, "x", 1, 0), 1);
		OK(nft_counters(nft, "drop-", keep_count, &packets, error));
		assert_int_equal(packets, 7);
		OK(nft_repair(nft, ruleset, &changed, error)); /* a count is no difference */
		assert_false(changed);
		OK(nft_counters(nft, "nothing-", keep_count, &packets, error));
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
	close(from);
	close(to);
}

static volatile sig_atomic_t stop;

static void take_term(int signal_number)
{
	stop = 1;
}

/* Sends as fast as it can until told to stop. */
static pid_t start_sender(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(3, ~0u, 0); /* a socket that is held here owns tables */
		fd = udp_socket(false);
		signal(SIGTERM, take_term);
		while (!stop)
			send(fd, "x", 1, 0);
		_exit(0);
	}
	return pid;
}

/* Nothing of what the rules close gets through, whatever is done to the tables. */
static void test_no_gap(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = closed_loopback(0), *second = closed_loopback(5);
	struct nft *nft = open_nft(NFT_PERSIST);
	uint64_t packets = 0;
	pid_t sender;
	char byte;
	int to;

	RUN("ip link set lo up");
	to = udp_socket(true);
	OK(nft_apply(nft, NULL, first, error));
	sender = start_sender();
	while (packets == 0) /* it has let go of our socket by then */
		OK(nft_counters(nft, "drop-", keep_count, &packets, error));
	for (size_t i = 0; i < 30; i++) {
		bool changed;

		nft_close(nft);
		nft = open_nft(protections[i % ELEMENTSOF(protections)]);
		OK(nft_repair(nft, i % 2 ? first : second, &changed, error));
	}
	kill(sender, SIGTERM);
	waitpid(sender, NULL, 0);
	OK(nft_counters(nft, "drop-", keep_count, &packets, error));
	assert_int_equal(recv(to, &byte, 1, 0), -1);
	nft_close(nft);
	close(to);
}

/* Who is in a set stays in it for each packet while it is made anew with more room, or less. */
static void test_room(void **state)
{
	static const struct stmt known[] = { IN("id4", IIFNAME, IP_SADDR), ACCEPT };
	static const enum field fields[] = { FIELD_IIFNAME, FIELD_IP_SADDR };
	_cleanup_(ruleset_freep) struct ruleset *small = closed_loopback(0), *large = closed_loopback(0);
	struct ruleset *both[] = { small, large };
	char byte;
	int to;

	RUN("ip link set lo up");
	for (size_t i = 0; i < ELEMENTSOF(both); i++) {
		struct chain *in = ruleset_chain(both[i], "in");
		struct rule closed = in->rules[0];

		assert_non_null(ruleset_add_set(both[i], "id4", DATA_NONE, fields, ELEMENTSOF(fields)));
		in->n_rules = 0;
		add_rule(both[i], "in", known, ELEMENTSOF(known));
		*ARRAY_ADD(in->rules, in->n_rules) = closed;
		add_id4(both[i], "lo", 0x7f000001, 0);
		for (uint32_t k = 0; k < 900 * i; k++)
			add_id4(both[i], "br-b", 0xac1f0000 + k, 0);
		ruleset_finish(both[i]);
		set_give_room(ruleset_set(both[i], "id4"));
	}
	assert_int_equal(ruleset_set(small, "id4")->size, 1024);
	assert_int_equal(ruleset_set(large, "id4")->size, 4096);
	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		uint64_t packets = 0;
		bool changed;
		pid_t sender;

		OK(nft_apply(nft, NULL, small, error));
		to = udp_socket(true);
		sender = start_sender();
		for (int k = 0; k < 20; k++) {
			OK(nft_apply(nft, k % 2 ? large : small, k % 2 ? small : large, error));
			OK(nft_compare(nft, k % 2 ? small : large, error));
		}
		kill(sender, SIGTERM);
		waitpid(sender, NULL, 0);
		OK(nft_counters(nft, "drop-", keep_count, &packets, error));
		assert_int_equal(packets, 0);
		assert_int_equal(recv(to, &byte, 1, 0), 1);
		close(to);
		/* One that has more room than it needs is left alone. */
		ruleset_set(small, "id4")->size = 4096;
		OK(nft_repair(nft, small, &changed, error));
		assert_true(changed);
		ruleset_set(small, "id4")->size = 1024;
		OK(nft_compare(nft, small, error));
		OK(nft_repair(nft, small, &changed, error));
		assert_false(changed);
		ruleset_set(small, "id4")->size = 16384;
		FAILS(nft_compare(nft, small, error), ENOTUNIQ, "set id4");
		ruleset_set(small, "id4")->size = 1024;
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

/* While others change their tables, and ours where they can. */
/* As the daemon does it: what could not be read because others are faster is tried again. */
static int repair_in_the_end(struct nft *nft, const struct ruleset *to, struct error *error)
{
	bool changed;
	int r = -EAGAIN;

	for (int i = 0; i < 100 && r == -EAGAIN; i++)
		r = nft_repair(nft, to, &changed, error);
	return r;
}

static void test_churn(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *first = sample_large(2000), *second = sample_changed();

	for (size_t i = 0; i < ELEMENTSOF(protections); i++) {
		struct nft *nft = open_nft(protections[i]);
		const struct ruleset *from = NULL;
		bool changed;
		pid_t other;

		OK(nft_apply(nft, NULL, first, error));
		other = start_command("while nft 'add table inet other; delete table inet other'; do :; done");
		for (int k = 0; k < 40; k++) {
			from = k % 2 ? second : first;
			OK(nft_apply(nft, from, k % 2 ? first : second, error));
			OK(nft_compare(nft, k % 2 ? first : second, error));
		}
		end_command(other);
		other = start_command(
			"while :; do nft flush table inet spr; nft delete element inet spr names '{ \"eth0\" }';"
			"nft add chain inet spr own; done 2>/dev/null");
		for (int k = 0; k < 40; k++)
			OK(repair_in_the_end(nft, k % 2 ? first : second, error));
		end_command(other);
		OK(nft_repair(nft, first, &changed, error));
		OK(nft_compare(nft, first, error));
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

/* A change of one kind, and what a comparison says of it. */
static void write_element(struct ruleset *ruleset)
{
	add_id4(ruleset, "br-a", 0xac1e010c, 5);
}

static void write_data(struct ruleset *ruleset)
{
	set_element(ruleset_set(ruleset, "id4"), 0)->data = 7;
}

static void write_less(struct ruleset *ruleset)
{
	ruleset_set(ruleset, "names")->n_elements--;
}

static void write_many(struct ruleset *ruleset)
{
	for (uint32_t i = 0; i < 100; i++)
		add_id4(ruleset, "br-b", 0xac1f0000 + i, 5);
}

static void write_ports(struct ruleset *ruleset)
{
	add_ports(ruleset, 2, IPPROTO_TCP, 443, 443);
}

static void write_verdict(struct ruleset *ruleset)
{
	add_class(ruleset, 9, "from_5");
}

static void write_rule(struct ruleset *ruleset)
{
	static const struct stmt accept[] = { ACCEPT };

	add_rule(ruleset, "from_5", accept, ELEMENTSOF(accept));
}

static void write_some_chains(struct ruleset *ruleset, int first)
{
	for (int i = first; i < first + 100; i++) {
		static const struct stmt accept[] = { ACCEPT };
		char name[32];

		snprintf(name, sizeof(name), "more_%d", i);
		assert_non_null(ruleset_add_chain(ruleset, name, HOOK_NONE, 0, false));
		add_rule(ruleset, name, accept, ELEMENTSOF(accept));
	}
}

static void write_chains(struct ruleset *ruleset)
{
	write_some_chains(ruleset, 0);
}

/* More than are remembered by name. */
static void write_many_chains(struct ruleset *ruleset)
{
	for (int i = 0; i < 11; i++)
		write_some_chains(ruleset, 100 * i);
}

static void write_set(struct ruleset *ruleset)
{
	static const enum field fields[] = { FIELD_IP_SADDR };

	assert_non_null(ruleset_add_set(ruleset, "more", DATA_NONE, fields, 1));
}

static const struct {
	void (*write)(struct ruleset *ruleset);
	const char *told;
	bool listed; /* what there is is compared in any case */
} writes[] = {
	{ write_element, "set id4", false },	    { write_data, "set id4", false },
	{ write_less, "set names", false },	    { write_many, "set id4", false },
	{ write_ports, "set ports_5", false },	    { write_verdict, "set classes", false },
	{ write_rule, "of chain from_5", false },   { write_chains, "chain more_", true },
	{ write_many_chains, "chain more_", true }, { write_set, "set more", true },
};

static void test_written(void **state)
{
	for (size_t i = 0; i < 2 * ELEMENTSOF(writes); i++) {
		enum nft_protection protection = i % 2 ? NFT_PERSIST : NFT_PLAIN;
		_cleanup_(ruleset_freep) struct ruleset *ruleset = sample(), *changed = sample();
		struct nft *nft = open_nft(protection);
		const char *told = writes[i / 2].told;

		writes[i / 2].write(changed);
		ruleset_finish(changed);
		OK(nft_apply(nft, NULL, ruleset, error));
		OK(nft_compare_written(nft, ruleset, error));
		OK(nft_apply(nft, ruleset, changed, error));
		FAILS(nft_compare_written(nft, ruleset, error), ENOTUNIQ, told);
		FAILS(nft_compare_written(nft, ruleset, error), ENOTUNIQ, told); /* what was found is not forgotten */
		OK(nft_compare_written(nft, changed, error));
		OK(nft_apply(nft, changed, ruleset, error));
		FAILS(nft_compare_written(nft, changed, error), ENOTUNIQ, told);
		OK(nft_compare_written(nft, ruleset, error));
		/* Nothing was written since: what nobody else can have changed is not read again. */
		if (nft_protection(nft) == NFT_PERSIST && !writes[i / 2].listed)
			OK(nft_compare_written(nft, changed, error));
		else
			FAILS(nft_compare_written(nft, changed, error), ENOTUNIQ, told);
		OK(nft_remove(nft, error));
		nft_close(nft);
	}
}

static void test_impossible(void **state)
{
	static const struct stmt unknown[] = { IN("no-such-set", PRIORITY), ACCEPT };
	_cleanup_(ruleset_freep) struct ruleset *ruleset = sample(), *single = sample();
	struct nft *nft = open_nft(NFT_PERSIST);

	add_rule(ruleset, "ok", unknown, ELEMENTSOF(unknown));
	FAILS(nft_apply(nft, NULL, ruleset, error), EINVAL, "rule 4 of ok");
	ruleset_set(single, "uplinks")->n_fields = 0;
	FAILS(nft_apply(nft, NULL, single, error), EINVAL, "set uplinks");
	RUN("test -z \"$(nft list tables)\"");
	nft_close(nft);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_round_trip, new_namespace),
		cmocka_unit_test_setup(test_same_as_text, new_namespace),
		cmocka_unit_test_setup(test_foreign_flush, new_namespace),
		cmocka_unit_test_setup(test_foreign_changes, new_namespace),
		cmocka_unit_test_setup(test_failure_changes_nothing, new_namespace),
		cmocka_unit_test_setup(test_large, new_namespace),
		cmocka_unit_test_setup(test_one_change, new_namespace),
		cmocka_unit_test_setup(test_two_processes, new_namespace),
		cmocka_unit_test_setup(test_adoption, new_namespace),
		cmocka_unit_test_setup(test_change_of_mode, new_namespace),
		cmocka_unit_test_setup(test_rebuild, new_namespace),
		cmocka_unit_test_setup(test_standin, new_namespace),
		cmocka_unit_test_setup(test_watch, new_namespace),
		cmocka_unit_test_setup(test_watch_beside_large, new_namespace),
		cmocka_unit_test_setup(test_watch_beside_other_large, new_namespace),
		cmocka_unit_test_setup(test_run_time_sets, new_namespace),
		cmocka_unit_test_setup(test_counters, new_namespace),
		cmocka_unit_test_setup(test_no_gap, new_namespace),
		cmocka_unit_test_setup(test_room, new_namespace),
		cmocka_unit_test_setup(test_churn, new_namespace),
		cmocka_unit_test_setup(test_written, new_namespace),
		cmocka_unit_test_setup(test_impossible, new_namespace),
	};

	if (unshare(CLONE_NEWNET) < 0 || run("nft list ruleset >/dev/null 2>&1") != 0) {
		printf("skipped: no network namespaces, or no nft: %s\n", strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
