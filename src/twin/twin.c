/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "twin/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/program.h"
#include "base/text.h"
#include "kernel/conntrack.h"
#include "kernel/nlsocket.h"
#include "kernel/tap.h"
#include "kernel/trace.h"
#include "ruleset/docker_user.h"
#include "twin/twin_private.h"

#define NAMESPACE "/proc/self/ns/net"
#define FIRST "-2147483648" /* before and behind everybody */
#define LAST "2147483647"

/* How far a packet came: a chain at both ends of each hook. What the twin itself would say to the world is kept in it. */
static const char checkpoints[] =
	"table inet " TWIN_TABLE " {\n"
	" chain prerouting-begin {\n  type filter hook prerouting priority " FIRST "\n  meta nftrace set 1\n }\n"
	" chain prerouting-end {\n  type filter hook prerouting priority " LAST "\n }\n"
	" chain input-begin {\n  type filter hook input priority " FIRST "\n }\n"
	" chain " TWIN_LOCAL " {\n  type filter hook input priority " LAST "\n }\n"
	" chain forward-begin {\n  type filter hook forward priority " FIRST "\n }\n"
	" chain forward-end {\n  type filter hook forward priority " LAST "\n }\n"
	" chain postrouting-begin {\n  type filter hook postrouting priority " FIRST "\n }\n"
	" chain postrouting-end {\n  type filter hook postrouting priority " LAST "\n }\n"
	" chain output {\n  type filter hook output priority " FIRST "\n"
	"  icmpv6 type { 135, 136 } accept\n  drop\n }\n"
	"}\n"
	"table bridge " TWIN_TABLE " {\n"
	" chain prerouting-begin {\n  type filter hook prerouting priority " FIRST "\n  meta nftrace set 1\n }\n"
	" chain input-end {\n  type filter hook input priority " LAST "\n }\n"
	" chain forward-begin {\n  type filter hook forward priority " FIRST "\n }\n"
	" chain forward-end {\n  type filter hook forward priority " LAST "\n }\n"
	" chain postrouting-end {\n  type filter hook postrouting priority " LAST "\n }\n"
	"}\n";

void twin_note(void *data, const char *text)
{
	struct twin *twin = data;
	char **slot = ARRAY_ADD(twin->notes, twin->n_notes);

	if (slot)
		*slot = strdup(text);
	if (slot && !*slot)
		twin->n_notes--;
}

size_t twin_notes(const struct twin *twin, const char *const **ret)
{
	*ret = (const char *const *)twin->notes;
	return twin->n_notes;
}

static bool is_bridge(const struct mirror_link *link)
{
	return strcmp(link->kind, "bridge") == 0;
}

static int open_tap(struct twin *twin, const struct mirror_link *link, struct error *error)
{
	struct tap *tap = ARRAY_ADD(twin->taps, twin->n_taps);
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	if (!tap)
		return error_memory(error);
	*tap = (struct tap){ .index = link->index, .master = link->master, .ethernet = link->ethernet, .fd = -1 };
	r = tap_open(link->name, link->index, link->ethernet, &tap->fd, error);
	if (r == -EBUSY)
		return error_set(
			error, EBUSY,
			"cannot make %s in the twin: the kernel puts an interface of its own (sit0, tunl0 ...) into each "
			"network namespace, with the same name or number; sysctl net.core.fb_tunnels_only_for_init_net=1 "
			"ends that",
			link->name);
	if (r < 0)
		return r;
	if (link->up && !link->carrier)
		tap_set_carrier(tap->fd, false);
	event.data.u64 = twin->n_taps - 1;
	if (epoll_ctl(twin->poll, EPOLL_CTL_ADD, tap->fd, &event) < 0)
		return error_set(error, errno, "cannot watch %s: %s", link->name, strerror(errno));
	return 0;
}

static int open_taps(struct twin *twin, struct error *error)
{
	const struct mirror_link *links;
	size_t n = mirror_links(twin->mirror, &links);
	int r = 0;

	twin->poll = epoll_create1(EPOLL_CLOEXEC);
	if (twin->poll < 0)
		return error_set(error, errno, "epoll: %s", strerror(errno));
	for (size_t i = 0; i < n && r >= 0; i++)
		if (!links[i].loopback && !is_bridge(&links[i]))
			r = open_tap(twin, &links[i], error);
	return r;
}

static int load(const char *text, struct error *error)
{
	static const char *const arguments[] = { "nft", "-f", "-", NULL };
	_cleanup_free_ char *out = NULL;
	char said[PROGRAM_SAID_MAX];
	size_t length;
	int r = program_feed(arguments, text, &out, &length, said);

	return r < 0 ? error_set(error, -r, "nft: %s", *said ? said : strerror(-r)) : 0;
}

/* Quotes cannot be written in a text of nft, and a star stands for more than itself. */
static bool nft_can_write(const char *name)
{
	return !strpbrk(name, "\"\\*");
}

/* Tracing from the first hook on, so that rules of family netdev are seen too. Not every kernel has that hook. */
static int load_ingress(struct twin *twin, struct error *error)
{
	struct text text = { 0 };
	_cleanup_free_ char *all = NULL;
	struct error ignored;
	size_t n = 0;

	text_add(&text, "table netdev " TWIN_TABLE " {\n chain ingress {\n  type filter hook ingress devices = {");
	for (size_t i = 0; i < twin->n_taps; i++) {
		const char *name = twin_interface_name(twin, twin->taps[i].index);

		if (nft_can_write(name))
			text_add(&text, "%s \"%s\"", n++ ? "," : "", name);
	}
	if (n < twin->n_taps)
		twin_note(twin,
			  "nft cannot write the name of every interface: what rules of family netdev drop there is not "
			  "named");
	if (n == 0) {
		free(text_take(&text));
		return 0;
	}
	text_add(&text, " } priority " FIRST "\n  meta nftrace set 1\n }\n}\n");
	all = text_take(&text);
	if (!all)
		return error_memory(error);
	if (load(all, &ignored) < 0)
		twin_note(
			twin,
			"this kernel has no hook at an interface's ingress: what rules of family netdev drop is not named");
	return 0;
}

/* As on the machine, what is accepted gets past Docker's own rules; where there is no such chain nothing is in its way. */
static void let_past_docker(struct twin *twin)
{
	static const char *const programs[] = { "iptables", "ip6tables" };

	for (size_t i = 0; i < ELEMENTSOF(programs); i++) {
		const char *list[] = { programs[i], "-w", "5", "-S", DOCKER_USER_CHAIN, NULL };
		char mark[DOCKER_USER_MARK_MAX], at[16], said[PROGRAM_SAID_MAX];
		const char *insert[] = { programs[i], "-w",	"5",	"-I",	  DOCKER_USER_CHAIN,
					 at,	      "-m",	"mark", "--mark", docker_user_mark(mark),
					 "-j",	      "ACCEPT", NULL };
		_cleanup_free_ char *listing = NULL, *out = NULL;
		struct docker_user_place place;
		size_t length;

		if (program_feed(list, NULL, &listing, &length, said) < 0)
			continue;
		place = docker_user_find(listing);
		if (place.ours)
			continue;
		snprintf(at, sizeof(at), "%u", place.end);
		if (program_feed(insert, NULL, &out, &length, said) < 0)
			twin_note(twin, "the rule of spr in DOCKER-USER is not in the twin");
	}
}

/* The caller is in the new namespace. */
static int build(struct twin *twin, const struct twin_options *options, const struct rules *rules,
		 const struct mirror_settings *settings, struct error *error)
{
	int r = open_taps(twin, error);

	if (r >= 0) {
		mirror_settings_write(settings, NULL, NULL); /* before there are addresses that the kernel makes */
		r = mirror_write_links(twin->mirror, twin_note, twin, error);
	}
	if (r >= 0) {
		mirror_settings_write(settings, twin_note, twin);
		r = mirror_write_rest(twin->mirror, twin_note, twin, error);
	}
	if (r < 0)
		return r;
	rules_load(rules, twin_note, twin);
	if (options->candidate) {
		let_past_docker(twin);
		r = load(options->candidate, error);
	}
	if (r >= 0)
		r = load(checkpoints, error);
	if (r >= 0)
		r = load_ingress(twin, error);
	if (r >= 0)
		r = rule_texts_read(rules, &twin->texts, &twin->n_texts, error);
	if (r >= 0)
		r = trace_open(&twin->trace, error);
	if (r >= 0)
		r = conntrack_open(&twin->conntrack, error);
	if (r >= 0 && nlsocket_open(NETLINK_ROUTE, &twin->neighbours) < 0)
		r = error_memory(error);
	return r;
}

/* Into a new namespace; not a word is written before it is certain that it is another one. */
static int enter_new(int home, int *ret_space, struct error *error)
{
	struct stat before, after;

	if (unshare(CLONE_NEWNET) < 0)
		return error_set(error, errno, "cannot make a network namespace: %s", strerror(errno));
	if (fstat(home, &before) < 0 || stat(NAMESPACE, &after) < 0)
		return error_set(error, errno, "cannot tell network namespaces apart: %s", strerror(errno));
	if (before.st_ino == after.st_ino)
		return error_set(error, ENOTUNIQ, "the new network namespace is the old one");
	*ret_space = open(NAMESPACE, O_RDONLY | O_CLOEXEC);
	if (*ret_space < 0)
		return error_set(error, errno, "cannot open " NAMESPACE ": %s", strerror(errno));
	return 0;
}

int twin_open(const struct twin_options *options, struct twin **ret, struct error *error)
{
	_cleanup_(twin_closep) struct twin *twin = calloc(1, sizeof(*twin));
	_cleanup_(mirror_settings_freep) struct mirror_settings *settings = NULL;
	_cleanup_(rules_freep) struct rules *rules = NULL;
	_cleanup_close_ int home = open(NAMESPACE, O_RDONLY | O_CLOEXEC);
	int r;

	if (!twin)
		return error_memory(error);
	twin->poll = twin->space = -1;
	if (geteuid() != 0)
		return error_set(error, EPERM,
				 "a twin of this machine needs root: it reads all rules and makes a network namespace");
	if (home < 0)
		return error_set(error, errno, "cannot open " NAMESPACE ": %s", strerror(errno));
	r = mirror_read(&twin->mirror, error);
	if (r >= 0)
		r = mirror_settings_read(twin->mirror, &settings, error);
	if (r >= 0)
		r = rules_read(options, &rules, error);
	if (r >= 0)
		r = enter_new(home, &twin->space, error);
	if (r >= 0)
		r = build(twin, options, rules, settings, error);
	if (setns(home, CLONE_NEWNET) < 0)
		return error_set(error, errno, "cannot come back from the twin: %s", strerror(errno));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(twin);
	return 0;
}

struct twin *twin_close(struct twin *twin)
{
	if (!twin)
		return NULL;
	for (size_t i = 0; i < twin->n_taps; i++)
		if (twin->taps[i].fd >= 0)
			close(twin->taps[i].fd);
	if (twin->poll >= 0)
		close(twin->poll);
	if (twin->space >= 0)
		close(twin->space);
	for (size_t i = 0; i < twin->n_notes; i++)
		free(twin->notes[i]);
	trace_close(twin->trace);
	conntrack_close(twin->conntrack);
	nlsocket_close(twin->neighbours);
	rule_texts_free(twin->texts, twin->n_texts);
	mirror_free(twin->mirror);
	free(twin->taps);
	free(twin->notes);
	free(twin);
	return NULL;
}

int twin_forget(struct twin *twin, struct error *error)
{
	return conntrack_delete_all(twin->conntrack, error);
}

/* The caller is in the twin. */
static int delete_rule(const struct rule_text *text, struct error *error)
{
	bool six = strcmp(text->family, "ip6") == 0;
	char number[24], said[PROGRAM_SAID_MAX];
	const char *const by_nft[] = { "nft",	    "delete", "rule", text->family, text->table,
				       text->chain, "handle", number, NULL };
	const char *const by_legacy[] = {
		six ? "ip6tables-legacy" : "iptables-legacy", "-t", text->table, "-D", text->chain, number, NULL
	};
	_cleanup_free_ char *out = NULL;
	size_t length;
	int r;

	snprintf(number, sizeof(number), "%" PRIu64, text->rule);
	r = program_feed(text->legacy ? by_legacy : by_nft, NULL, &out, &length, said);
	if (r < 0)
		return error_set(error, -r, "cannot take the rule %s out of the twin: %s", text->text,
				 *said ? said : strerror(-r));
	return 0;
}

int twin_take_out(struct twin *twin, const struct trace_step *step, struct error *error)
{
	struct rule_text *text = rule_text_find(twin->texts, twin->n_texts, step);
	_cleanup_close_ int home = open(NAMESPACE, O_RDONLY | O_CLOEXEC);
	int r;

	if (step->kind != TRACE_RULE || !text)
		return error_set(error, ENOENT, "there is no such rule in the twin");
	if (home < 0 || setns(twin->space, CLONE_NEWNET) < 0)
		return error_set(error, errno, "cannot enter the twin: %s", strerror(errno));
	r = delete_rule(text, error);
	if (setns(home, CLONE_NEWNET) < 0)
		return error_set(error, errno, "cannot come back from the twin: %s", strerror(errno));
	if (r >= 0)
		rule_texts_cut(twin->texts, &twin->n_texts, text);
	return r;
}

const char *twin_interface_name(const struct twin *twin, unsigned interface)
{
	const struct mirror_link *link = mirror_link(twin->mirror, interface);

	return link ? link->name : "?";
}

bool twin_interface_mac(const struct twin *twin, unsigned interface, uint8_t ret[6])
{
	const struct mirror_link *link = mirror_link(twin->mirror, interface);

	if (link)
		memcpy(ret, link->mac, 6);
	return link;
}
