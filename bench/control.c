/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a change costs in the engine: from a new inventory or policy to the kernel's answer. Writes to the tables of the
 * network namespace it is started in: `unshare -n build/bench/control WORLD YAML TIMES`, the first two as bench/rules takes
 * them. Every other change of a kind takes the one before it back. One JSON object.
 */
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "given.h"
#include "kernel/nft.h"
#include "ruleset/compile.h"

#define TIMES_MAX 1000
#define PORT 2000 /* and those after it: nobody has them */

struct engine {
	struct world world;
	struct class_book *book;
	struct ruleset *ruleset;
	struct nft *nft;
	size_t n; /* containers at first */
	unsigned times; /* that each change is made */
	double model_ms, compile_ms, write_ms; /* of the last change */
};

static double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void refresh(struct engine *engine)
{
	static const struct compile_options options;
	struct error error = { 0 };
	struct model *model;
	struct ruleset *ruleset;
	double began = now_ms();

	must(model_new(engine->world.policy, engine->world.inventory, engine->book, time(NULL), &model, &error),
	     &error);
	engine->model_ms = now_ms() - began;
	began = now_ms();
	must(ruleset_compile(model, &options, &ruleset, &error), &error);
	if (engine->ruleset) {
		ruleset_keep_room(ruleset, engine->ruleset);
		ruleset_tightens(engine->ruleset, ruleset);
	}
	engine->compile_ms = now_ms() - began;
	began = now_ms();
	must(nft_apply(engine->nft, engine->ruleset, ruleset, &error), &error);
	engine->write_ms = now_ms() - began;
	model_free(engine->world.model);
	ruleset_free(engine->ruleset);
	engine->world.model = model;
	engine->ruleset = ruleset;
}

static void need(bool there)
{
	must(there ? 0 : -1, &(struct error){ .text = "out of memory, or of containers" });
}

/* One that was there from the start, the last of them first. */
static const struct container *container_at(const struct engine *engine, unsigned i)
{
	return &engine->world.inventory->containers[engine->n - 1 - i % engine->n];
}

/* Its entry in the policy; a new one has the rights that its network gives. */
static struct member *entry_at(struct engine *engine, unsigned i)
{
	const char *name = container_at(engine, i)->name;
	struct member *member = policy_member(engine->world.policy, MEMBER_CONTAINER, name);

	if (member)
		return member;
	member = policy_member_add(engine->world.policy, MEMBER_CONTAINER, name);
	need(member);
	member->policies = POLICY_WAN | POLICY_DNS;
	return member;
}

/* A container more, behind the last address of its network, and gone again. */
static void start(struct engine *engine, unsigned i)
{
	struct inventory *inventory = engine->world.inventory;
	const struct endpoint *last = &inventory->endpoints[inventory->n_endpoints - 1];
	struct container container = { .engine = "docker", .id = strdup("more"), .name = strdup("more") };
	struct endpoint endpoint = {
		.container = strdup("more"), .name = strdup("more"), .ip4 = last->ip4, .ip6 = last->ip6
	};

	endpoint.network = strdup(last->network);
	if (i % 2) {
		inventory_drop_endpoints(inventory, endpoint.network, "more");
		inventory_drop_container(inventory, "docker", "more");
		endpoint_clear(&endpoint);
		container_clear(&container);
		return;
	}
	container.running = true;
	container.image = strdup("image");
	need(addr_next(&endpoint.ip4) && (!endpoint.ip6.family || addr_next(&endpoint.ip6)));
	need(inventory_put_container(inventory, &container) == 0 && inventory_put_endpoint(inventory, &endpoint) == 0);
}

static void grant(struct engine *engine, unsigned i)
{
	entry_at(engine, i / 2)->policies ^= POLICY_LAN;
}

static void join(struct engine *engine, unsigned i)
{
	struct member *member = entry_at(engine, i / 2);

	member->has_groups = true;
	if (i % 2) {
		need(policy_word_cut(member->groups, &member->n_groups, "more"));
		return;
	}
	need(policy_group(engine->world.policy, "more") || policy_group_add(engine->world.policy, "more"));
	need(policy_word_add(&member->groups, &member->n_groups, "more") > 0);
}

/* The first container publishes a port to the lan: to the internet as well. */
static void publish(struct engine *engine, unsigned i)
{
	const struct container *first = &engine->world.inventory->containers[0];
	struct member *member = policy_member(engine->world.policy, MEMBER_CONTAINER, first->name);
	struct publish *publish;
	struct selector *to;

	need(first->n_ports && member && member->n_publish);
	publish = &member->publish[0];
	if (i % 2) {
		selector_clear(&publish->to[publish->n_to - 1]);
		ARRAY_CUT(publish->to, publish->n_to, publish->n_to - 1);
		return;
	}
	to = ARRAY_ADD(publish->to, publish->n_to);
	need(to && selector_parse("internet", to, NULL) == 0);
}

/* From the lan to one container at one port. */
static void change_grants(struct engine *engine, struct grant **grants, size_t *n, unsigned i)
{
	_cleanup_free_ char *name = NULL;
	struct grant *grant;

	if (i % 2) {
		policy_grant_clear(&(*grants)[*n - 1]);
		array_cut(*grants, n, sizeof(**grants), *n - 1);
		return;
	}
	grant = array_grow((void **)grants, n, sizeof(**grants));
	need(grant && asprintf(&name, "container:%s", container_at(engine, i / 2)->name) > 0);
	need(selector_parse("lan", &grant->from, NULL) == 0 && selector_parse(name, &grant->to, NULL) == 0);
	grant->ports = ARRAY_ADD(grant->ports, grant->n_ports);
	need(grant->ports);
	*grant->ports = (struct port_range){ .proto = IPPROTO_TCP, .first = PORT, .last = PORT };
}

static void allow(struct engine *engine, unsigned i)
{
	change_grants(engine, &engine->world.policy->allow, &engine->world.policy->n_allow, i);
}

static void block(struct engine *engine, unsigned i)
{
	change_grants(engine, &engine->world.policy->block, &engine->world.policy->n_block, i);
}

static const struct {
	const char *name;
	void (*make)(struct engine *engine, unsigned i);
} changes[] = {
	{ "container", start }, { "join", join },   { "grant", grant },
	{ "publish", publish }, { "allow", allow }, { "block", block },
};

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

static long resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (!file || fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * 4;
}

static void measure(struct engine *engine, size_t which)
{
	double all[TIMES_MAX], model = 0, compile = 0, write = 0;

	for (unsigned i = 0; i < engine->times; i++) {
		double began = now_ms();

		changes[which].make(engine, i);
		refresh(engine);
		all[i] = now_ms() - began;
		model += engine->model_ms / engine->times;
		compile += engine->compile_ms / engine->times;
		write += engine->write_ms / engine->times;
	}
	qsort(all, engine->times, sizeof(all[0]), compare);
	printf(", \"%s\": {\"p50\": %.3f, \"p99\": %.3f, \"model\": %.3f, \"compile\": %.3f, \"write\": %.3f}",
	       changes[which].name, all[engine->times / 2], all[(engine->times - 1) * 99 / 100], model, compile, write);
}

int main(int argc, char **argv)
{
	struct engine engine = { 0 };
	struct error error = { 0 };
	size_t elements = 0;
	double began;

	engine.times = argc == 4 ? (unsigned)atoi(argv[3]) : 0;
	if (engine.times == 0 || engine.times > TIMES_MAX) {
		fprintf(stderr, "usage: control WORLD YAML TIMES\n");
		return 2;
	}
	engine.world = given_world(argv[1], argv[2]);
	engine.n = engine.world.inventory->n_containers;
	engine.book = class_book_new(0);
	must(nft_open(NFT_PERSIST, &engine.nft, &error), &error);
	began = now_ms();
	refresh(&engine);
	for (size_t i = 0; i < engine.ruleset->n_sets; i++)
		elements += engine.ruleset->sets[i].n_elements;
	printf("{\"classes\": %zu, \"elements\": %zu", engine.world.model->n_classes, elements);
	printf(", \"full\": {\"ms\": %.3f, \"model\": %.3f, \"compile\": %.3f, \"write\": %.3f}", now_ms() - began,
	       engine.model_ms, engine.compile_ms, engine.write_ms);
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	printf(", \"resident_kb\": %ld", resident_kb());
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		measure(&engine, i);
	printf("}\n");
	must(nft_remove(engine.nft, &error), &error);
	return 0;
}
