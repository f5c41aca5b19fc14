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

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
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
	{ "forward", { BITS(CT_STATE, 8), PROTO(IPPROTO_TCP), MASKED_NOT(TCP_FLAGS, 0x17, 2),
		       NOT_IN("grace", L4PROTO), GOTO("drop-x") } },
	{ "forward", { IPV4, IN("ended4", IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT), GOTO("drop-x") } },
	{ "forward", { IPV6, IN("ended6", IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT), GOTO("drop-x") } },
	{ "forward", { SET_PRIORITY(0) } },
	{ "forward", { IPV4, PRIORITY_MAP("id4", IIFNAME, IP_SADDR) } },
	{ "forward", { IPV4, IS(PRIORITY, 0), PRIORITY_MAP("range4", IIFNAME, IP_SADDR) } },
	{ "forward", { IPV6, IS(PRIORITY, 0), PRIORITY_MAP("range6", IIFNAME, IP6_SADDR) } },
	{ "forward", { VMAP("classes", PRIORITY) } },
	{ "forward", { GOTO("drop-x") } },
	{ "leave", { IN("names", OIFNAME), NOT(SKUID, 0), IS(CT_DIRECTION, 0), GOTO("drop-x") } },
	{ "drop-x", { LIMIT(10), LOG("spr:x") } },
	{ "drop-x", { COUNTER, DROP } },
	{ "target", { SET_PRIORITY(0) } },
	{ "target", { IPV4, PRIORITY_MAP("id4", OIFNAME, IP_DADDR), RETURN } },
	{ "ok", { BITS(CT_STATE, 8), IS(CT_DIRECTION, 0), IPV4, COUNT_OVER("conns4", IP_SADDR, 2000), GOTO("drop-x") } },
	{ "ok", { SET_MARK } },
	{ "ok", { ACCEPT } },
	{ "from_5", { JUMP("target") } },
	{ "from_5", { IN("nat_protos", L4PROTO), IN("all_5", PRIORITY), GOTO("ok") } },
	{ "from_5", { IN("ports_5", PRIORITY, L4PROTO, TH_DPORT), GOTO("ok") } },
	{ "from_5", { BITS(CT_STATUS, 0x20), PROTO(IPPROTO_TCP),
		      IN("ports_5", PRIORITY, L4PROTO, CT_PROTO_DST), GOTO("ok") } },
	{ "from_5", { GOTO("drop-x") } },
};

static const struct {
	const char *name;
	enum hook hook;
	int priority;
	bool drop;
} sample_chains[] = {
	/* base chains last, as they are made: nft shows them in that order */
	{ "drop-x", HOOK_NONE, 0, false },	    { "target", HOOK_NONE, 0, false },
	{ "ok", HOOK_NONE, 0, false },		    { "from_5", HOOK_NONE, 0, false },
	{ "guard", HOOK_PREROUTING, -310, false },  { "forward", HOOK_FORWARD, -10, true },
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
	key_put_name(set, element->key_end, 0, "eth0");
	key_put_addr(set, element->key_end, 1, &range.last);
	element->data = class;
}

static void add_ports(struct ruleset *ruleset, uint32_t class, uint32_t proto, uint32_t first, uint32_t last)
{
	const struct set *set = ruleset_set(ruleset, "ports_5");
	struct element *element = add(ruleset, "ports_5");
	uint32_t from[] = { class, proto, first }, to[] = { class, proto, last };

	for (size_t i = 0; i < 3; i++) {
		key_put_number(set, element->key, i, from[i]);
		key_put_number(set, element->key_end, i, to[i]);
	}
}

static void add_class(struct ruleset *ruleset, uint32_t class, const char *chain)
{
	struct element *element = add(ruleset, "classes");

	key_put_number(ruleset_set(ruleset, "classes"), element->key, 0, class);
	snprintf(element->chain, sizeof(element->chain), "%s", chain);
}

static void sample_elements(struct ruleset *ruleset)
{
	struct element *element;

	add_id4(ruleset, "br-a", 0xac1e010a, 5);
	add_id4(ruleset, "br-a", 0xac1e010b, 0x10006);
	add_range(ruleset, "range4", "8.0.0.0/8", 2);
	add_range(ruleset, "range4", "11.0.0.0/15", 2);
	add_range(ruleset, "range6", "2000::/3", 2);
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

/* The sample with another class, other elements, other rules, a set less and one more. */
static struct ruleset *sample_changed(void)
{
	static const struct stmt from_6[] = { IN("all_6", PRIORITY), GOTO("ok") };
	static const struct stmt odd[] = { IS(L4PROTO, 47), ACCEPT };
	struct ruleset *ruleset = sample();
	struct set *set = ruleset_set(ruleset, "id4");
	struct chain *chain;

	set->elements[0].data = 7; /* a changed class */
	set = ruleset_set(ruleset, "range4");
	ARRAY_CUT(set->elements, set->n_elements, 0);
	add_range(ruleset, "range4", "12.0.0.0/8", 3);
	add_range(ruleset, "range4", "8.0.0.0/9", 3); /* inside what goes */
	snprintf(ruleset_chain(ruleset, "from_5")->name, sizeof(ruleset->chains[0].name), "from_6");
	assert_non_null(ruleset_add_set(ruleset, "all_6", DATA_NONE, (enum field[]){ FIELD_PRIORITY }, 1));
	add_number(ruleset, "all_6", 9);
	chain = ruleset_chain(ruleset, "from_6");
	while (chain->n_rules)
		free(chain->rules[--chain->n_rules].stmts);
	add_rule(ruleset, "from_6", from_6, ELEMENTSOF(from_6));
	set = ruleset_set(ruleset, "classes");
	snprintf(set->elements[0].chain, sizeof(set->elements[0].chain), "from_6"); /* 5 leads elsewhere; its old chain and sets go */
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

static struct ruleset *sample_large(size_t n) __attribute__((unused));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_round_trip, new_namespace),
		cmocka_unit_test_setup(test_same_as_text, new_namespace),
	};

	if (unshare(CLONE_NEWNET) < 0 || run("nft list ruleset >/dev/null 2>&1") != 0) {
		printf("skipped: no network namespaces, or no nft: %s\n", strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
