/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The product's ruleset for a machine and a policy given as files, in the network namespace it is started in:
 *
 *   rules write WORLD YAML    into the kernel, one table
 *   rules hold WORLD YAML     twice, as on kernels before 6.9, until standard input ends
 *   rules print WORLD YAML    as nft text
 *   rules pure WORLD YAML     parse, model, compile, compare with one container more and one grant; nothing is written
 *
 * Prints what it made as a JSON object, except with print.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "given.h"
#include "kernel/nft.h"
#include "ruleset/compile.h"
#include "verdict/changes.h"

#define NOW 1800000000

/* What a count of instructions depends on, besides the code. */
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define BUILT "not as it is installed"
#else
#define BUILT __VERSION__
#endif

/* The rules that know an uplink by its number would else be about another interface. */
static void check_indexes(const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_interfaces; i++) {
		const struct interface *interface = &inventory->interfaces[i];
		unsigned real = if_nametoindex(interface->name);

		if (real == 0 || real == interface->index)
			continue;
		fprintf(stderr, "rules: %s has number %u here, and is taken for number %u\n", interface->name, real,
			interface->index);
		exit(2);
	}
}

static struct ruleset *compile(const struct model *model)
{
	static const struct compile_options options;
	struct error error = { 0 };
	struct ruleset *ruleset;

	must(ruleset_compile(model, &options, &ruleset, &error), &error);
	return ruleset;
}

static int count_change(bool add, const struct element *element, void *data)
{
	++*(size_t *)data;
	return 0;
}

/* The pure part of a change: one container more. */
static size_t one_more(struct world *world, struct class_book *book, const struct ruleset *before)
{
	const struct endpoint *last = &world->inventory->endpoints[world->inventory->n_endpoints - 1];
	struct endpoint more = {
		.network = strdup(last->network), .container = strdup(""), .name = strdup("one-more"), .ip4 = last->ip4
	};
	_cleanup_(ruleset_freep) struct ruleset *after = NULL;
	struct error error = { 0 };
	size_t changes = 0;

	more.ip4.bytes[3] = 251;
	must(inventory_put_endpoint(world->inventory, &more), &error);
	model_free(world->model);
	must(model_new(world->policy, world->inventory, book, NOW, &world->model, &error), &error);
	after = compile(world->model);
	for (size_t i = 0; i < after->n_sets; i++)
		set_diff(ruleset_set(before, after->sets[i].name), &after->sets[i], count_change, &changes);
	return changes;
}

/* What a call says of a change: a port of the last container is allowed to the lan. How many sentences. */
static size_t one_grant(struct world *world, struct class_book *book)
{
	const struct inventory *inventory = world->inventory;
	_cleanup_(policy_freep) struct policy *policy = policy_copy(world->policy);
	_cleanup_(model_freep) struct model *after = NULL;
	struct grant *grant = policy ? ARRAY_ADD(policy->allow, policy->n_allow) : NULL;
	struct changes changes = { 0 };
	struct error error = { .text = "out of memory" };
	size_t n;

	must(grant ? 0 : -1, &error);
	must(selector_parse("lan", &grant->from, &error), &error);
	must(selector_parse(inventory->containers[inventory->n_containers - 1].name, &grant->to, &error), &error);
	must(model_new(policy, inventory, book, NOW, &after, &error), &error);
	must(model_changes(world->model, after, &changes), &error);
	n = changes.n_opens;
	changes_clear(&changes);
	return n;
}

static void write_rules(const struct ruleset *ruleset, bool hold)
{
	struct error error = { 0 };
	struct nft *nft;

	must(nft_open(hold ? NFT_COPIES : NFT_PLAIN, &nft, &error), &error);
	must(nft_apply(nft, NULL, ruleset, &error), &error);
	if (!hold)
		nft_close(nft);
}

static size_t count_elements(const struct ruleset *ruleset)
{
	size_t n = 0;

	for (size_t i = 0; i < ruleset->n_sets; i++)
		n += ruleset->sets[i].n_elements;
	return n;
}

int main(int argc, char **argv)
{
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(0);
	_cleanup_(ruleset_freep) struct ruleset *ruleset = NULL;
	struct error error = { 0 };
	struct world world;
	const char *how = argc == 4 ? argv[1] : "";
	size_t changes = 0;
	bool hold = strcmp(how, "hold") == 0;

	if (argc != 4) {
		fprintf(stderr, "usage: rules write|hold|print|pure WORLD YAML\n");
		return 2;
	}
	world = given_world(argv[2], argv[3]);
	must(model_new(world.policy, world.inventory, book, NOW, &world.model, &error), &error);
	ruleset = compile(world.model);
	if (strcmp(how, "print") == 0)
		return ruleset_print(ruleset, NFT_TABLE, stdout) < 0;
	if (strcmp(how, "pure") == 0) {
		changes = one_more(&world, book, ruleset) + one_grant(&world, book);
	} else {
		check_indexes(world.inventory);
		write_rules(ruleset, hold);
	}
	printf("{\"built\": \"%s\", \"locations\": %zu, \"classes\": %zu, \"elements\": %zu, \"changes\": %zu}\n",
	       BUILT, world.model->n_locations, world.model->n_classes, count_elements(ruleset), changes);
	fflush(stdout);
	while (hold && getchar() != EOF)
		;
	world_free(&world);
	return 0;
}
