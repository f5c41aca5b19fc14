/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory runs out at the first call of malloc(), at the second, at the third, until a run needs no more: once for that
 * call alone, once for it and all that follow. Each time the function either fails, leaves its outputs alone and holds
 * no memory, or succeeds with the result that it always has. FAULT_ALL=1 tries every call where that takes long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../unit/world.h"
#include "api/line.h"
#include "api/message.h"
#include "base/array.h"
#include "engine/docker_parse.h"
#include "engine/docker_track.h"
#include "kernel/nft.h"
#include "memory.h"
#include "policy/policy.h"
#include "ruleset/compile.h"
#include "verdict/changes.h"

#define NOW 1800000000
#define GOLDEN TEST_SOURCE_ROOT "/tests/golden/"
#define SEEDS TEST_SOURCE_ROOT "/tests/fuzz/seeds/"
#define CALLS_MAX 1500 /* of these every one fails in turn; of more, as many, spread evenly */
#define TABLES_MAX 40 /* the same, where the kernel has its part */

/* What is done, again and again: a negative errno, or 0 with a text that says what came out. */
struct subject {
	const char *name;
	int (*run)(const void *data, char **ret_text);
	const void *data;
	long forgotten; /* pieces that a library loses by itself, at most */
	unsigned calls_max; /* as CALLS_MAX, where a run takes long; 0: that */
};

#define NEED(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			memory_disarm(NULL);                                                                           \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, #condition);                                         \
		}                                                                                                      \
	} while (0)

/* An output that must not be written to by a call that fails. */
#define UNTOUCHED ((void *)(uintptr_t)0x5a5a)

static char *format(const char *text, ...) _printf_(1, 2);
static char *format(const char *text, ...)
{
	char *made = NULL;
	va_list args;

	va_start(args, text);
	NEED(vasprintf(&made, text, args) >= 0);
	va_end(args);
	return made;
}

static char *read_file(const char *path, size_t *ret_length)
{
	FILE *file = fopen(path, "r");
	char *text;
	long length;

	NEED(file && fseek(file, 0, SEEK_END) == 0);
	length = ftell(file);
	rewind(file);
	text = malloc((size_t)length + 1);
	NEED(text && fread(text, 1, (size_t)length, file) == (size_t)length);
	text[length] = '\0';
	fclose(file);
	if (ret_length)
		*ret_length = (size_t)length;
	return text;
}

/* One run with a fault. Returns how many calls failed. */
static unsigned run_once(const struct subject *subject, unsigned at, bool on, int expected, const char *text)
{
	long held = memory_held();
	unsigned failed;
	char *now = NULL;
	int r;

	memory_arm(at, on);
	r = subject->run(subject->data, &now);
	memory_disarm(&failed);
	if (r != expected && (r >= 0 || !failed))
		fail_msg("%s: %d instead of %d with a fault at call %u", subject->name, r, expected, at);
	if (r == 0 && strcmp(now, text) != 0)
		fail_msg("%s: another result with a fault at call %u%s:\n%s\ninstead of\n%s", subject->name, at,
			 on ? " and after" : "", now, text);
	if (r < 0 && now)
		fail_msg("%s: failed, and has a result", subject->name);
	free(now);
	if (memory_held() < held || memory_held() > held + (failed ? subject->forgotten : 0))
		fail_msg("%s: %ld pieces of memory lost with a fault at call %u%s", subject->name, memory_held() - held,
			 at, on ? " and after" : "");
	return failed;
}

static void try_all(const struct subject *subject)
{
	_cleanup_free_ char *text = NULL, *again = NULL;
	int expected = subject->run(subject->data, &text), r;
	unsigned calls, step;

	memory_arm(0, false);
	r = subject->run(subject->data, &again);
	calls = memory_disarm(NULL);
	if (r != expected || (text && strcmp(text, again) != 0))
		fail_msg("%s: not the same twice: %d, %d\n%s\n%s", subject->name, expected, r, text, again);
	step = getenv("FAULT_ALL") ? 1 : calls / (subject->calls_max ? subject->calls_max : CALLS_MAX) + 1;
	for (unsigned at = 1; at <= calls; at += step)
		for (int on = 0; on < 2; on++)
			NEED(run_once(subject, at, on, expected, text) > 0);
	NEED(run_once(subject, calls + 1000, false, expected, text) == 0);
	print_message("%s: %u calls, each %u.\n", subject->name, calls, step);
}

/* --- policy ------------------------------------------------------------------------------------------------------ */

struct document {
	char *text;
	size_t length;
};

static int run_parse(const void *data, char **ret_text)
{
	const struct document *document = data;
	struct policy *policy = UNTOUCHED;
	struct error error = { 0 };
	int r = policy_parse(document->text, document->length, "file", &policy, &error);

	if (r < 0) {
		NEED(policy == UNTOUCHED && error.code == -r && error.text[0]);
		return r;
	}
	memory_pause();
	*ret_text = policy_print(policy);
	policy_free(policy);
	return 0;
}

static int run_copy(const void *data, char **ret_text)
{
	struct policy *copy = policy_copy(data);

	if (!copy)
		return -ENOMEM;
	memory_pause();
	NEED(policy_equal(data, copy));
	*ret_text = policy_print(copy);
	policy_free(copy);
	return 0;
}

static int run_print(const void *data, char **ret_text)
{
	*ret_text = policy_print(data);
	return *ret_text ? 0 : -ENOMEM;
}

static int run_check(const void *data, char **ret_text)
{
	struct error error = { 0 };
	int r = policy_check(data, &error);

	NEED(r == 0 || (error.code == -r && error.text[0]));
	if (r < 0)
		return r;
	memory_pause();
	*ret_text = format("fine");
	return 0;
}

/* What the commands do to a policy: on a copy made beforehand, so that only the edits fail. */
static int edit(struct policy *policy)
{
	struct member *member = policy_member_add(policy, MEMBER_CONTAINER, "fresh");
	struct selector selector = { 0 }, copy = { 0 };
	_cleanup_free_ char *text = NULL;
	int r;

	if (!member || !policy_group_add(policy, "fresh"))
		return -ENOMEM;
	r = policy_word_add(&member->groups, &member->n_groups, "fresh");
	if (r < 0)
		return r;
	member->has_groups = true;
	r = selector_parse("container:fresh", &selector, NULL);
	if (r == 0)
		r = selector_copy(&selector, &copy);
	if (r == 0)
		text = selector_print(&copy);
	selector_clear(&selector);
	selector_clear(&copy);
	return r < 0 ? r : text ? 0 : -ENOMEM;
}

static int run_edit(const void *data, char **ret_text)
{
	struct policy *policy;
	int r;

	memory_pause();
	policy = policy_copy(data);
	memory_resume();
	r = edit(policy);
	memory_pause();
	if (r == 0)
		*ret_text = policy_print(policy);
	policy_free(policy);
	return r;
}

/* --- inventory, model, ruleset ----------------------------------------------------------------------------------- */

static char *print_ruleset(const struct ruleset *ruleset)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	NEED(out && ruleset_print(ruleset, NFT_TABLE, out) == 0 && fclose(out) == 0);
	return text;
}

/* Everything about a model that matters, numbers of classes included. */
static char *print_model(const struct model *model)
{
	static const struct compile_options options;
	struct ruleset *ruleset = NULL;
	char *text;

	NEED(ruleset_compile(model, &options, &ruleset, NULL) == 0);
	text = print_ruleset(ruleset);
	ruleset_free(ruleset);
	return text;
}

/* The numbers are made from the meanings, as in the daemon. After a failure the same book is as good as new. */
static int run_model(const void *data, char **ret_text)
{
	const struct world *world = data;
	struct class_book *book = class_book_new(0);
	struct model *model = UNTOUCHED;
	struct error error = { 0 };
	int r = book ? model_new(world->policy, world->inventory, book, NOW, &model, &error) : -ENOMEM;

	memory_pause();
	if (r < 0) {
		NEED(model == UNTOUCHED);
		NEED(!book || error.code == ENOMEM);
	}
	if (r < 0 && book) {
		_cleanup_free_ char *before = print_model(world->model), *after = NULL;
		struct model *second = NULL;

		NEED(model_new(world->policy, world->inventory, book, NOW, &second, NULL) == 0);
		after = print_model(second);
		model_free(second);
		NEED(strcmp(before, after) == 0);
	}
	if (r == 0) {
		*ret_text = print_model(model);
		model_free(model);
	}
	class_book_free(book);
	return r;
}

static int run_compile(const void *data, char **ret_text)
{
	static const struct compile_options options;
	const struct world *world = data;
	struct ruleset *ruleset = UNTOUCHED;
	struct error error = { 0 };
	int r = ruleset_compile(world->model, &options, &ruleset, &error);

	if (r < 0) {
		NEED(ruleset == UNTOUCHED && error.code == -r);
		return r;
	}
	memory_pause();
	*ret_text = print_ruleset(ruleset);
	ruleset_free(ruleset);
	return 0;
}

static int run_changes(const void *data, char **ret_text)
{
	const struct world *world = data;
	struct changes changes = { .n_opens = 77 };
	int r = model_changes(NULL, world->model, &changes);
	FILE *out;
	size_t size;

	if (r < 0) {
		NEED(changes.n_opens == 77 && !changes.opens);
		return r;
	}
	memory_pause();
	out = open_memstream(ret_text, &size);
	for (size_t i = 0; i < changes.n_opens; i++)
		fprintf(out, "%s\n", changes.opens[i]);
	for (size_t i = 0; i < changes.n_closes; i++)
		fprintf(out, "closes %s\n", changes.closes[i]);
	fclose(out);
	changes_clear(&changes);
	return 0;
}

/* A model and itself: nothing is told, after all has been compared. */
static int run_no_changes(const void *data, char **ret_text)
{
	const struct model *model = ((const struct world *)data)->model;
	struct changes changes = { .n_opens = 77 };
	int r = model_changes(model, model, &changes);

	if (r < 0) {
		NEED(changes.n_opens == 77 && !changes.opens);
		return r;
	}
	memory_pause();
	NEED(changes.n_opens == 0 && changes.n_closes == 0);
	*ret_text = strdup("nothing");
	changes_clear(&changes);
	return 0;
}

/* The names of every place and the words of every right. */
static int run_names(const void *data, char **ret_text)
{
	const struct model *model = ((const struct world *)data)->model;

	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];
		_cleanup_free_ char *label = location_label(location);
		_cleanup_free_ char *name = location_name(model, location, &location->range.first);
		const char **groups = UNTOUCHED;
		size_t n;

		if (!label || !name)
			return -ENOMEM;
		if (location_groups(model, location, &groups, &n) < 0) {
			NEED(groups == UNTOUCHED);
			return -ENOMEM;
		}
		free(groups);
	}
	for (size_t i = 0; i < model->n_classes; i++)
		for (size_t k = 0; k < model->classes[i].n_rights; k++) {
			_cleanup_free_ char *text = right_text(&model->classes[i].rights[k]);

			if (!text)
				return -ENOMEM;
		}
	memory_pause();
	*ret_text = format("named");
	return 0;
}

static char *text_copy(const char *text)
{
	return text ? format("%s", text) : NULL;
}

static void *bytes_copy(const void *bytes, size_t size)
{
	void *copy = size ? malloc(size) : NULL;

	return copy ? memcpy(copy, bytes, size) : NULL;
}

static struct network copy_network(const struct network *from)
{
	struct network to = *from;

	to.id = text_copy(from->id);
	to.name = text_copy(from->name);
	to.driver = text_copy(from->driver);
	to.subnets = bytes_copy(from->subnets, from->n_subnets * sizeof(*from->subnets));
	to.gateways = bytes_copy(from->gateways, from->n_gateways * sizeof(*from->gateways));
	return to;
}

static struct endpoint copy_endpoint(const struct endpoint *from)
{
	struct endpoint to = *from;

	to.network = text_copy(from->network);
	to.container = text_copy(from->container);
	to.name = text_copy(from->name);
	return to;
}

static struct container copy_container(const struct container *from)
{
	struct container to = *from;

	to.id = text_copy(from->id);
	to.name = text_copy(from->name);
	to.image = text_copy(from->image);
	to.project = text_copy(from->project);
	to.service = text_copy(from->service);
	to.ports = bytes_copy(from->ports, from->n_ports * sizeof(*from->ports));
	to.bindings = bytes_copy(from->bindings, from->n_bindings * sizeof(*from->bindings));
	return to;
}

/* Puts everything in twice, and takes some of it out: what is made for a put is made before memory can fail. */
static int fill(struct inventory *inventory, const struct inventory *from)
{
	int r = 0;

	for (size_t i = 0; i < from->n_networks && r == 0; i++) {
		struct network network;

		memory_pause();
		network = copy_network(&from->networks[i]);
		memory_resume();
		r = inventory_put_network(inventory, &network);
		NEED(!network.id && !network.subnets);
	}
	for (size_t i = 0; i < from->n_containers && r == 0; i++) {
		struct container container;

		memory_pause();
		container = copy_container(&from->containers[i]);
		memory_resume();
		r = inventory_put_container(inventory, &container);
		NEED(!container.id && !container.ports);
	}
	for (size_t i = 0; i < from->n_endpoints && r == 0; i++) {
		struct endpoint endpoint;

		memory_pause();
		endpoint = copy_endpoint(&from->endpoints[i]);
		memory_resume();
		r = inventory_put_endpoint(inventory, &endpoint);
		NEED(!endpoint.network && !endpoint.container);
		inventory_endpoint(inventory, from->endpoints[i].network, &from->endpoints[i].ip4);
	}
	return r;
}

static int run_inventory(const void *data, char **ret_text)
{
	const struct inventory *from = ((const struct world *)data)->inventory;
	struct inventory *inventory = inventory_new();
	int r;

	if (!inventory)
		return -ENOMEM;
	r = fill(inventory, from);
	if (r == 0)
		r = fill(inventory, from);
	if (r == 0) {
		NEED(inventory->n_networks == from->n_networks && inventory->n_containers == from->n_containers &&
		     inventory->n_endpoints == from->n_endpoints);
		for (size_t i = 0; i < from->n_containers; i++)
			NEED(inventory_container(inventory, from->containers[i].id));
		if (from->n_networks)
			inventory_drop_endpoints(inventory, from->networks[0].id, NULL);
		for (size_t i = 0; i < from->n_networks; i++)
			NEED(inventory_network(inventory, from->networks[i].id));
		memory_pause();
		*ret_text = format("%zu endpoints", inventory->n_endpoints);
	}
	memory_pause();
	inventory_free(inventory);
	return r;
}

/* --- the kernel's tables ------------------------------------------------------------------------------------------ */

struct tables {
	struct nft *nft;
	struct ruleset *from, *to;
};

#define HOLDS(tables, ruleset)                                                                                         \
	do {                                                                                                           \
		struct error error_ = { 0 };                                                                           \
		if (nft_compare((tables)->nft, (ruleset), &error_) < 0)                                                \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, error_.text);                                        \
	} while (0)

/* A change: what fails has changed nothing, what succeeds all. Then back. */
static int run_apply(const void *data, char **ret_text)
{
	const struct tables *tables = data;
	struct error error = { 0 };
	bool changed = false;
	int r = nft_apply(tables->nft, tables->from, tables->to, &error);

	memory_pause();
	NEED(r == 0 || (error.code == -r && error.text[0]));
	HOLDS(tables, r < 0 ? tables->from : tables->to);
	NEED(nft_repair(tables->nft, tables->from, &changed, &error) == 0 && changed == (r == 0));
	if (r == 0)
		*ret_text = format("changed");
	return r;
}

/* A repair that fails leaves what was there. */
static int run_repair(const void *data, char **ret_text)
{
	const struct tables *tables = data;
	struct error error = { 0 };
	bool changed = false;
	int r = nft_repair(tables->nft, tables->to, &changed, &error);

	memory_pause();
	NEED(r == 0 || (error.code == -r && error.text[0] && !changed));
	NEED(r < 0 || changed);
	HOLDS(tables, r < 0 ? tables->from : tables->to);
	NEED(nft_repair(tables->nft, tables->from, &changed, &error) == 0);
	if (r == 0)
		*ret_text = format("repaired");
	return r;
}

/* A comparison that cannot be made is not one that fits. */
static int run_compare(const void *data, char **ret_text)
{
	const struct tables *tables = data;
	struct error error = { 0 };
	int r = nft_compare(tables->nft, tables->to, &error);

	memory_pause();
	NEED(r == -ENOTUNIQ || r == -ENOMEM);
	return r;
}

static int run_same(const void *data, char **ret_text)
{
	const struct tables *tables = data;
	struct error error = { 0 };
	int r = nft_compare(tables->nft, tables->from, &error);

	memory_pause();
	if (r == 0)
		*ret_text = format("the same");
	return r;
}

static void count_chain(const char *chain, uint64_t packets, uint64_t bytes, void *data)
{
	++*(unsigned *)data;
}

static int run_counters(const void *data, char **ret_text)
{
	const struct tables *tables = data;
	unsigned n = 0;
	int r = nft_counters(tables->nft, DROP_CHAIN_PREFIX, count_chain, &n, NULL);

	memory_pause();
	if (r == 0)
		*ret_text = format("%u", n);
	return r;
}

static int run_run_time(const void *data, char **ret_text)
{
	const struct tables *tables = data;
	struct set set = set_like(ruleset_set(tables->from, SET_GRACE));
	struct element *element = set_add(&set);
	int r = element ? 0 : -ENOMEM;

	if (element)
		key_put_number(&set, element->key, 0, IPPROTO_TCP);
	if (r == 0)
		r = nft_set_add(tables->nft, &set, 600, NULL);
	if (r == 0)
		r = nft_set_flush(tables->nft, &set, NULL);
	free(set.elements);
	memory_pause();
	if (r == 0)
		*ret_text = format("added");
	return r;
}

static const struct protection {
	const char *name;
	enum nft_protection at_most;
} protections[] = { { "as good as it can be", NFT_PERSIST }, { "plain", NFT_PLAIN } };

static void test_tables(void **state)
{
	const struct protection *protection = *state;
	static const struct compile_options options;
	_cleanup_free_ char *nas = read_file(GOLDEN "nas.world", NULL), *policy = read_file(GOLDEN "nas.yaml", NULL);
	_cleanup_free_ char *router = read_file(GOLDEN "router.world", NULL);
	_cleanup_free_ char *other = read_file(GOLDEN "router.yaml", NULL);
	struct world before = world_new(nas, policy, NULL, NOW), after = world_new(router, other, NULL, NOW);
	struct tables tables = { 0 };
	bool changed = false;
	struct error error = { 0 };

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: needs root, to make a network namespace\n");
		skip();
	}
	assert_int_equal(nft_open(protection->at_most, &tables.nft, &error), 0);
	assert_int_equal(ruleset_compile(before.model, &options, &tables.from, &error), 0);
	assert_int_equal(ruleset_compile(after.model, &options, &tables.to, &error), 0);
	assert_int_equal(nft_repair(tables.nft, tables.from, &changed, &error), 0);
	try_all(&(struct subject){ "apply", run_apply, &tables, 0, TABLES_MAX });
	/* libnftnl 1.2.4 forgets the name of the set when it reads an expression within a dynset and has no memory for it */
	try_all(&(struct subject){ "repair", run_repair, &tables, 1, TABLES_MAX });
	try_all(&(struct subject){ "compare", run_compare, &tables, 1, TABLES_MAX });
	try_all(&(struct subject){ "the same", run_same, &tables, 1, TABLES_MAX });
	try_all(&(struct subject){ "counters", run_counters, &tables, 1, TABLES_MAX });
	try_all(&(struct subject){ "run-time sets", run_run_time, &tables, 0, TABLES_MAX });
	assert_int_equal(nft_remove(tables.nft, &error), 0);
	ruleset_free(tables.from);
	ruleset_free(tables.to);
	nft_close(tables.nft);
	world_free(&before);
	world_free(&after);
}

/* --- Docker ------------------------------------------------------------------------------------------------------- */

/* By the first byte of a seed, as the fuzzer reads it. */
static int run_docker(const void *data, char **ret_text)
{
	const struct document *seed = data;
	const char *text = seed->text + 1;
	size_t length = seed->length - 1, n = 0;
	union {
		struct docker_network network;
		struct docker_container *containers;
		struct docker_bindings bindings;
		struct docker_labels labels;
		struct docker_event event;
		char *version, **ids;
	} out, same;
	struct error error = { 0 };
	int which = (uint8_t)seed->text[0] % 6, r;

	memset(&out, 0x5a, sizeof(out));
	memset(&same, 0x5a, sizeof(same));
	r = which == 0 ? docker_parse_network(text, length, &out.network, &error) :
	    which == 1 ? docker_parse_containers(text, length, &out.containers, &n, &error) :
	    which == 2 ? docker_parse_event(text, length, &out.event, &error) :
	    which == 3 ? docker_parse_networks(text, length, &out.ids, &n, &error) :
	    which == 4 ? docker_parse_image(text, length, &out.labels, &error) :
			 docker_parse_version(text, length, &out.version, &error);
	if (r < 0) {
		NEED(error.code == -r && error.text[0] && memcmp(&out, &same, sizeof(out)) == 0);
		return r;
	}
	memory_pause();
	if (which == 0) {
		n = out.network.n_endpoints * 100 + out.network.network.n_subnets;
		*ret_text = format("%s %s %zu", out.network.network.name, out.network.network.bridge, n);
		docker_network_clear(&out.network);
	} else if (which == 1) {
		*ret_text = format("%zu %s %zu", n, n ? out.containers[0].container.name : "",
				   n ? out.containers[0].container.n_ports : 0);
		docker_containers_free(out.containers, n);
	} else if (which == 2) {
		*ret_text = format("%d %s %s", out.event.action, out.event.id, out.event.container);
	} else if (which == 3) {
		*ret_text = format("%zu", n);
		docker_ids_free(out.ids, n);
	} else if (which == 4) {
		*ret_text = format("%s %s", out.labels.project, out.labels.service ? out.labels.service : "");
		docker_labels_clear(&out.labels);
	} else {
		*ret_text = out.version;
	}
	return 0;
}

#define ID(letter) letter letter letter letter letter letter letter letter
#define C1 ID("11111111")
#define C2 ID("22222222")
#define N1 ID("aaaaaaaa")
#define N2 ID("bbbbbbbb")

/* What Docker would answer: two networks and two containers, one of each image kind. */
static const struct said {
	enum docker_ask ask;
	const char *id, *text;
} said[] = {
	{ DOCKER_ASK_NETWORKS, "", "[{\"Id\":\"" N1 "\"},{\"Id\":\"" N2 "\"}]" },
	{ DOCKER_ASK_CONTAINERS, "",
	  "[{\"Id\":\"" C1 "\",\"Names\":[\"/web\"],\"Image\":\"i\",\"ImageID\":\"sha256:7\",\"State\":\"running\","
	  "\"Labels\":{\"com.docker.compose.project\":\"p\",\"com.docker.compose.service\":\"s\"},"
	  "\"Ports\":[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"}]},"
	  "{\"Id\":\"" C2 "\",\"Names\":[\"/db\"],\"Image\":\"j\",\"ImageID\":\"sha256:8\",\"State\":\"running\"}]" },
	{ DOCKER_ASK_NETWORK, N1,
	  "{\"Name\":\"front\",\"Id\":\"" N1 "\",\"Driver\":\"bridge\",\"IPAM\":{\"Config\":[{\"Subnet\":"
	  "\"172.18.0.0/16\",\"Gateway\":\"172.18.0.1\"}]},\"Containers\":{\"" C1 "\":{\"Name\":\"web\","
	  "\"IPv4Address\":\"172.18.0.2/16\"}}}" },
	{ DOCKER_ASK_NETWORK, N2,
	  "{\"Name\":\"back\",\"Id\":\"" N2 "\",\"Driver\":\"bridge\",\"Internal\":true,\"Containers\":{\"" C1
	  "\":{\"Name\":\"web\",\"IPv4Address\":\"172.19.0.2/16\"},\"" C2
	  "\":{\"Name\":\"db\",\"IPv4Address\":\"172.19.0.3/16\"}}}" },
	{ DOCKER_ASK_CONTAINER, C1,
	  "[{\"Id\":\"" C1 "\",\"Names\":[\"/web\"],\"Image\":\"i\",\"ImageID\":\"sha256:7\",\"State\":\"running\","
	  "\"Labels\":{\"com.docker.compose.project\":\"p\",\"com.docker.compose.service\":\"s\"},"
	  "\"Ports\":[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"}]}]" },
	{ DOCKER_ASK_CONTAINER, C2,
	  "[{\"Id\":\"" C2 "\",\"Names\":[\"/db\"],\"Image\":\"j\",\"ImageID\":\"sha256:8\",\"State\":\"running\"}]" },
	{ DOCKER_ASK_IMAGE, "sha256:7", "{\"Id\":\"sha256:7\",\"Config\":{\"Labels\":{}}}" },
	{ DOCKER_ASK_IMAGE, "sha256:8", "{\"Id\":\"sha256:8\",\"Config\":{\"Labels\":null}}" },
	{ DOCKER_ASK_BINDINGS, C1,
	  "{\"Id\":\"" C1
	  "\",\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}}}" },
	{ DOCKER_ASK_BINDINGS, C2, "{\"Id\":\"" C2 "\",\"HostConfig\":{\"PortBindings\":{}}}" },
};

static int give(struct docker_track *track, const struct docker_question *question)
{
	for (size_t i = 0; i < ELEMENTSOF(said); i++)
		if (said[i].ask == question->ask && strcmp(said[i].id, question->id) == 0)
			return docker_track_answer(track, question, 200, said[i].text, strlen(said[i].text), NULL);
	NEED(!"a question that Docker cannot answer");
	return 0;
}

static int answer_all(struct docker_track *track)
{
	struct docker_question question;

	while (docker_track_next(track, false, &question) || docker_track_next_bindings(track, &question)) {
		int r = give(track, &question);

		if (r < 0)
			return r;
	}
	return 0;
}

static int act(struct docker_track *track)
{
	struct docker_event die = { .action = DOCKER_DIE, .id = C1 }, start = { .action = DOCKER_START, .id = C1 };
	struct docker_event create = { .action = DOCKER_CREATE, .id = C1 };
	struct docker_event connect = { .network = true, .action = DOCKER_CONNECT, .id = N1, .container = C1 };
	const struct docker_event *events[] = { &die, &create, &connect, &start };
	int r;

	docker_track_time(track, 100000);
	docker_track_list(track);
	r = answer_all(track);
	for (size_t i = 0; i < ELEMENTSOF(events) && r == 0; i++)
		r = docker_track_event(track, events[i]);
	return r < 0 ? r : answer_all(track);
}

static char *print_inventory(const struct inventory *inventory)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	/* in an order of their own: after a failure things may come in another one */
	for (size_t i = 0; i < ELEMENTSOF(said); i++) {
		const struct container *container = inventory_container(inventory, said[i].id);
		const struct network *network = inventory_network(inventory, said[i].id);

		if (container)
			fprintf(out, "%s %s %s %d %zu %zu %d\n", container->name, container->project,
				container->service, container->running, container->n_ports, container->n_bindings,
				container->image_labels);
		if (network)
			fprintf(out, "%s %s %d %zu\n", network->name, network->bridge, network->internal,
				network->n_subnets);
	}
	fprintf(out, "%zu %zu %zu\n", inventory->n_containers, inventory->n_networks, inventory->n_endpoints);
	fclose(out);
	return text;
}

/*
 * A list and events. An endpoint is never there before its container, whatever failed; and after a failure a new list
 * brings everything.
 */
static int run_track(const void *data, char **ret_text)
{
	struct inventory *inventory = inventory_new();
	struct docker_track *track = inventory ? docker_track_new(inventory) : NULL;
	int r = track ? act(track) : -ENOMEM;
	struct docker_question question;

	memory_pause();
	for (size_t i = 0; inventory && i < inventory->n_endpoints; i++)
		NEED(inventory_container(inventory, inventory->endpoints[i].container));
	if (r < 0 && track) {
		_cleanup_free_ char *again = NULL, *fresh = NULL;
		int second;

		docker_track_reset(track);
		second = act(track);
		NEED(second == 0);
		again = print_inventory(inventory);
		run_track(data, &fresh);
		if (strcmp(again, fresh) != 0)
			fail_msg("after a failure:\n%s\ninstead of\n%s", again, fresh);
	}
	/* What could not be remembered for lack of memory is asked for again later; here that is now. */
	if (r == 0) {
		docker_track_time(track, 200000);
		while (docker_track_next(track, false, &question) || docker_track_next_bindings(track, &question))
			NEED(give(track, &question) == 0);
		*ret_text = print_inventory(inventory);
	}
	docker_track_free(track);
	inventory_free(inventory);
	return r;
}

/* --- the control socket -------------------------------------------------------------------------------------------- */

static int run_request(const void *data, char **ret_text)
{
	const char *line = ((const struct document *)data)->text + 1; /* the first byte is for the fuzzer */
	struct error error = { 0 };
	json_t *request = UNTOUCHED;
	char *text = UNTOUCHED;
	size_t length;
	int r = request_parse(line, strcspn(line, "\n"), &request, &error);

	if (r < 0) {
		json_t *told = error_to_json(&error);

		NEED(request == UNTOUCHED && error.code == -r && error.text[0]);
		json_decref(told);
		return r;
	}
	r = message_print("result", request, &text, &length);
	NEED(r == 0 || text == UNTOUCHED);
	json_decref(request);
	if (r == 0)
		*ret_text = text;
	return r;
}

static int run_lines(const void *data, char **ret_text)
{
	const struct document *line = data;
	struct line_buffer buffer = { 0 };
	size_t at = 0, lines = 0;
	int r = 0;

	while (at < line->length && r == 0) {
		char *room = UNTOUCHED, *one;
		size_t space, length;

		r = line_buffer_reserve(&buffer, &room, &space);
		if (r < 0) {
			NEED(room == UNTOUCHED);
			break;
		}
		space = space < line->length - at ? space : line->length - at;
		memcpy(room, line->text + at, space);
		line_buffer_added(&buffer, space);
		at += space;
		while (line_buffer_next(&buffer, &one, &length) > 0)
			lines++;
	}
	line_buffer_clear(&buffer);
	memory_pause();
	if (r == 0)
		*ret_text = format("%zu lines", lines);
	return r;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static void test_world(void **state)
{
	const char *name = *state;
	_cleanup_free_ char *machine = format(GOLDEN "%s.world", name), *yaml = format(GOLDEN "%s.yaml", name);
	_cleanup_free_ char *there = read_file(machine, NULL);
	struct document document;
	struct class_book *book = class_book_new(0);
	struct world world;

	document.text = read_file(yaml, &document.length);
	world = world_new(there, document.text, book, NOW);
	try_all(&(struct subject){ "parse", run_parse, &document });
	try_all(&(struct subject){ "check", run_check, world.policy });
	try_all(&(struct subject){ "copy", run_copy, world.policy });
	try_all(&(struct subject){ "print", run_print, world.policy });
	try_all(&(struct subject){ "edit", run_edit, world.policy });
	try_all(&(struct subject){ "inventory", run_inventory, &world });
	try_all(&(struct subject){ "model", run_model, &world });
	try_all(&(struct subject){ "compile", run_compile, &world });
	try_all(&(struct subject){ "changes", run_changes, &world });
	try_all(&(struct subject){ "no changes", run_no_changes, &world });
	try_all(&(struct subject){ "names", run_names, &world });
	world_free(&world);
	class_book_free(book);
	free(document.text);
}

static void test_seeds(void **state)
{
	static const struct {
		const char *folder;
		int (*run)(const void *data, char **ret_text);
	} kinds[] = { { "policy", run_parse }, { "docker", run_docker }, { "api", run_request }, { "api", run_lines } };
	unsigned n = 0;

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		_cleanup_free_ char *folder = format(SEEDS "%s", kinds[i].folder);
		DIR *list = opendir(folder);

		assert_non_null(list);
		for (const struct dirent *file = readdir(list); file; file = readdir(list)) {
			_cleanup_free_ char *path = format("%s/%s", folder, file->d_name);
			struct document document;

			if (file->d_name[0] == '.')
				continue;
			document.text = read_file(path, &document.length);
			try_all(&(struct subject){ file->d_name, kinds[i].run, &document });
			free(document.text);
			n++;
		}
		closedir(list);
	}
	assert_true(n > 20);
}

static void test_track(void **state)
{
	try_all(&(struct subject){ "track", run_track, NULL });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "empty", test_world, NULL, NULL, (char *)"empty" },
		{ "nas", test_world, NULL, NULL, (char *)"nas" },
		{ "router", test_world, NULL, NULL, (char *)"router" },
		{ "seeds", test_seeds, NULL, NULL, NULL },
		{ "track", test_track, NULL, NULL, NULL },
		{ "tables", test_tables, NULL, NULL, (void *)&protections[0] },
		{ "plain tables", test_tables, NULL, NULL, (void *)&protections[1] },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
