/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a change costs in the engine: from a new inventory or policy to the kernel's answer. Writes to the tables of the
 * network namespace it is started in: `unshare -n build/bench/control MEMBERS NETWORKS PUBLISHED TIMES`. One JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "kernel/nft.h"
#include "ruleset/compile.h"
#include "town.h"
#include "verdict/model.h"

#define TIMES_MAX 1000

struct engine {
	struct town town;
	struct inventory *inventory;
	struct policy *policy;
	struct class_book *book;
	struct model *model;
	struct ruleset *ruleset;
	struct nft *nft;
	unsigned times; /* that each change is made */
	double model_ms, compile_ms, write_ms; /* of the last change */
};

static double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void must(int r, const struct error *error)
{
	if (r >= 0)
		return;
	fprintf(stderr, "control: %s\n", error->text);
	exit(2);
}

static void refresh(struct engine *engine)
{
	static const struct compile_options options;
	struct error error = { 0 };
	struct model *model;
	struct ruleset *ruleset;
	double began = now_ms();

	must(model_new(engine->policy, engine->inventory, engine->book, time(NULL), &model, &error), &error);
	engine->model_ms = now_ms() - began;
	began = now_ms();
	must(ruleset_compile(model, &options, &ruleset, &error), &error);
	if (engine->ruleset)
		ruleset_tightens(engine->ruleset, ruleset);
	engine->compile_ms = now_ms() - began;
	began = now_ms();
	must(nft_apply(engine->nft, engine->ruleset, ruleset, &error), &error);
	engine->write_ms = now_ms() - began;
	model_free(engine->model);
	ruleset_free(engine->ruleset);
	engine->model = model;
	engine->ruleset = ruleset;
}

static void start(struct engine *engine, unsigned i)
{
	if (i % 2)
		town_stop(engine->inventory, &engine->town, engine->town.members + i / 2);
	else
		town_start(engine->inventory, &engine->town, engine->town.members + i / 2);
}

static void grant(struct engine *engine, unsigned i)
{
	struct error error = { 0 };
	char name[32];
	struct member *member;

	snprintf(name, sizeof(name), "c%u", engine->town.published + i);
	member = policy_member_add(engine->policy, MEMBER_CONTAINER, name);
	must(member ? 0 : -1, &error);
	member->policies = POLICY_WAN;
}

static const struct {
	const char *name;
	void (*make)(struct engine *engine, unsigned i);
} changes[] = {
	{ "container", start },
	{ "grant", grant },
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

	engine.times = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
	if (engine.times == 0 || engine.times > TIMES_MAX) {
		fprintf(stderr, "usage: control MEMBERS NETWORKS PUBLISHED TIMES\n");
		return 2;
	}
	engine.town = (struct town){ (unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]) };
	engine.inventory = town_inventory(&engine.town);
	engine.policy = town_policy(&engine.town);
	engine.book = class_book_new(0);
	must(nft_open(NFT_PERSIST, &engine.nft, &error), &error);
	began = now_ms();
	refresh(&engine);
	for (size_t i = 0; i < engine.ruleset->n_sets; i++)
		elements += engine.ruleset->sets[i].n_elements;
	printf("{\"members\": %u, \"networks\": %u, \"published\": %u, \"classes\": %zu, \"elements\": %zu",
	       engine.town.members, engine.town.networks, engine.town.published, engine.model->n_classes, elements);
	printf(", \"full\": {\"ms\": %.3f, \"model\": %.3f, \"compile\": %.3f, \"write\": %.3f}", now_ms() - began,
	       engine.model_ms, engine.compile_ms, engine.write_ms);
	printf(", \"resident_kb\": %ld", resident_kb());
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		measure(&engine, i);
	printf("}\n");
	must(nft_remove(engine.nft, &error), &error);
	return 0;
}
