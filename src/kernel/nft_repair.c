/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes the kernel hold what it should, whatever it holds. */
#include <errno.h>
#include <string.h>

#include <linux/netlink.h>

#include "kernel/nft_plan.h"

#define REPAIR_TRIES 20
#define TABLES_MAX 3 /* the last is the stand-in */

static const struct nft_table *table_wanted(const struct nft *nft, const char *name)
{
	const struct nft_table *tables;
	size_t n = nft_tables(nft, &tables);

	for (size_t i = 0; i < n; i++)
		if (strcmp(tables[i].name, name) == 0)
			return &tables[i];
	return NULL;
}

/* Every name of ours, whether it should be there or not. */
static void haves_init(struct nft_have haves[TABLES_MAX])
{
	static const char *const names[TABLES_MAX] = { NFT_TABLE, NFT_TABLE_OWNED, NFT_TABLE_STANDIN };

	for (size_t i = 0; i < TABLES_MAX; i++)
		haves[i] = (struct nft_have){ .table = names[i] };
}

static void haves_clear(struct nft_have (*haves)[TABLES_MAX])
{
	for (size_t i = 0; i < TABLES_MAX; i++)
		nft_have_clear(&(*haves)[i]);
}
#define _cleanup_haves_ _cleanup_(haves_clear)

static int haves_check_owner(const struct nft *nft, const struct nft_have haves[TABLES_MAX], struct error *error)
{
	for (size_t i = 0; i < TABLES_MAX; i++)
		if (haves[i].there && haves[i].flags & NFT_FLAG_OWNER && haves[i].owner != nft->port)
			return error_set(
				error, EBUSY,
				"table inet %s belongs to another process (netlink port %u): is another sprd running?",
				haves[i].table, haves[i].owner);
	return 0;
}

/* What to do with a table that is there with these flags. */
enum flags_fit { FLAGS_FIT, FLAGS_SET, FLAGS_REBUILD };

static enum flags_fit flags_fit(const struct nft_have *have, uint32_t wanted)
{
	uint32_t there = have->flags & ~NFT_FLAG_DORMANT;

	/* One that was owned by an earlier run does as a plain one, and only such a one can be adopted. */
	if (there == wanted || (there == NFT_FLAG_PERSIST && !(wanted & NFT_FLAG_OWNER)))
		return have->flags & NFT_FLAG_DORMANT ? FLAGS_SET : FLAGS_FIT;
	return there == NFT_FLAG_PERSIST && wanted & NFT_FLAG_PERSIST ? FLAGS_SET : FLAGS_REBUILD;
}

/* One pass of a repair. */
struct repair {
	struct nft *nft;
	const struct ruleset *to;
	struct nft_batch *batch; /* of this pass */
	bool standin; /* one that we made is there */
	bool standin_due, rebuilt; /* in this pass: make one; it was needed */
};

static int write_whole(struct repair *repair, const char *table, uint32_t flags, struct error *error)
{
	_cleanup_plan_ struct nft_plan plan = { 0 };
	int r = nft_plan_new(repair->to, &plan, error);

	if (r == 0)
		r = nft_write_table(repair->batch, table, flags, NLM_F_EXCL, error);
	return r < 0 ? r : nft_plan_write(&plan, table, repair->batch, error);
}

/*
 * A table that cannot be changed into what it should be is made anew. Between the old and the new one the kernel lets
 * packets through, so a stand-in with the same rules is there before, and goes after.
 */
static int rebuild_table(struct repair *repair, const struct nft_have *have, const struct nft_table *wanted,
			 struct error *error)
{
	int r;

	if (!repair->standin) {
		repair->standin_due = true;
		return 0;
	}
	repair->rebuilt = true;
	r = nft_write_table_gone(repair->batch, have->table, error);
	return r < 0 ? r : write_whole(repair, wanted->name, wanted->flags, error);
}

static int repair_table(struct repair *repair, const struct nft_have *have, struct error *error)
{
	const struct nft_table *wanted = table_wanted(repair->nft, have->table);
	_cleanup_plan_ struct nft_plan plan = { 0 };
	enum flags_fit fit;
	int r;

	if (!wanted)
		return have->there ? nft_write_table_gone(repair->batch, have->table, error) : 0;
	if (!have->there)
		return write_whole(repair, wanted->name, wanted->flags, error);

	r = nft_plan_repair(have, repair->to, &plan, error);
	if (r < 0)
		return r;
	fit = flags_fit(have, wanted->flags);
	if (fit == FLAGS_REBUILD || plan.rebuild)
		return rebuild_table(repair, have, wanted, error);
	if (fit == FLAGS_SET)
		r = nft_write_table(repair->batch, have->table,
				    wanted->flags & NFT_FLAG_OWNER ? wanted->flags : have->flags & ~NFT_FLAG_DORMANT, 0,
				    error);
	return r < 0 || !plan.difference[0] ? r : nft_plan_write(&plan, have->table, repair->batch, error);
}

static int repair_standin(struct repair *repair, const struct nft_have *have, struct error *error)
{
	uint32_t flags = repair->nft->protection == NFT_PLAIN ? 0 : NFT_FLAG_OWNER;
	int r = 0;

	if (have->there && !repair->rebuilt)
		r = nft_write_table_gone(repair->batch, have->table, error);
	return r < 0 || !repair->standin_due ? r : write_whole(repair, NFT_TABLE_STANDIN, flags, error);
}

enum repair_state { REPAIR_NOTHING, REPAIR_DONE, REPAIR_AGAIN };

/* Reads, and writes what differs. A rebuild takes two more passes. */
static int repair_once(struct repair *repair, enum repair_state *ret_state, struct error *error)
{
	_cleanup_haves_ struct nft_have haves[TABLES_MAX];
	_cleanup_(nft_batch_freep) struct nft_batch *batch = NULL;
	struct nft_have *standin = &haves[TABLES_MAX - 1];
	uint32_t generation;
	int r;

	haves_init(haves);
	r = nft_read(repair->nft, repair->to, NULL, haves, TABLES_MAX, &generation, error);
	if (r == 0)
		r = haves_check_owner(repair->nft, haves, error);
	if (r < 0)
		return r;
	batch = nft_batch_new(repair->nft, generation);
	if (!batch)
		return error_memory(error);
	repair->batch = batch;
	repair->standin = repair->standin && standin->there;
	repair->standin_due = repair->rebuilt = false;
	for (size_t i = 0; i < TABLES_MAX - 1 && r == 0; i++)
		r = repair_table(repair, &haves[i], error);
	if (r == 0)
		r = repair_standin(repair, standin, error);
	if (r == 0)
		r = nft_batch_send(batch, error);
	if (r < 0)
		return r;
	repair->standin = repair->standin_due || repair->rebuilt;
	*ret_state = repair->standin ? REPAIR_AGAIN : nft_batch_is_empty(batch) ? REPAIR_NOTHING : REPAIR_DONE;
	return 0;
}

int nft_repair(struct nft *nft, const struct ruleset *to, bool *ret_changed, struct error *error)
{
	struct repair repair = { .nft = nft, .to = to };
	bool changed = false;

	nft_written_clear(&nft->written, true);
	for (int i = 0; i < REPAIR_TRIES; i++) {
		enum repair_state state = REPAIR_NOTHING;
		int r = repair_once(&repair, &state, error);

		if (r == -ERESTART)
			continue;
		if (r < 0)
			return r;
		changed = changed || state != REPAIR_NOTHING;
		if (state != REPAIR_AGAIN) {
			nft_written_clear(&nft->written, state != REPAIR_NOTHING);
			*ret_changed = changed;
			return 0;
		}
	}
	return error_set(error, EAGAIN, "others change nftables faster than it can be repaired");
}

static int compare_table(const struct nft *nft, const struct nft_have *have, const struct ruleset *expected,
			 struct error *error)
{
	const struct nft_table *wanted = table_wanted(nft, have->table);
	_cleanup_plan_ struct nft_plan plan = { 0 };
	int r;

	if (!wanted)
		return have->there ? error_set(error, ENOTUNIQ, "there is a table inet %s", have->table) : 0;
	if (!have->there)
		return error_set(error, ENOTUNIQ, "table inet %s is gone", have->table);
	if (flags_fit(have, wanted->flags) != FLAGS_FIT)
		return error_set(error, ENOTUNIQ, "table inet %s has other flags (0x%x)", have->table, have->flags);
	r = nft_plan_repair(have, expected, &plan, error);
	if (r < 0 || !plan.difference[0])
		return r;
	return error_set(error, ENOTUNIQ, "table inet %s: %s", have->table, plan.difference);
}

static int compare(struct nft *nft, const struct ruleset *expected, const struct nft_written *only, struct error *error)
{
	_cleanup_haves_ struct nft_have haves[TABLES_MAX];
	uint32_t generation;
	int r;

	haves_init(haves);
	r = nft_read(nft, expected, only, haves, TABLES_MAX, &generation, error);
	if (r == 0)
		r = haves_check_owner(nft, haves, error);
	for (size_t i = 0; i < TABLES_MAX && r == 0; i++)
		r = compare_table(nft, &haves[i], expected, error);
	nft_written_clear(&nft->written, r < 0);
	return r;
}

int nft_compare(struct nft *nft, const struct ruleset *expected, struct error *error)
{
	return compare(nft, expected, NULL, error);
}

int nft_compare_written(struct nft *nft, const struct ruleset *expected, struct error *error)
{
	return compare(nft, expected, nft->written.all ? NULL : &nft->written, error);
}

int nft_epoch(struct nft *nft, uint32_t *ret, struct error *error)
{
	_cleanup_(ruleset_freep) struct ruleset *nothing = ruleset_new(); /* so no elements are read */
	_cleanup_haves_ struct nft_have haves[TABLES_MAX];
	uint32_t generation, epoch, highest = 0;
	bool any = false;
	int r;

	haves_init(haves);
	if (!nothing)
		return error_memory(error);
	r = nft_read(nft, nothing, NULL, haves, TABLES_MAX, &generation, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < TABLES_MAX; i++)
		for (size_t k = 0; k < haves[i].n_sets; k++)
			if (sscanf(haves[i].sets[k].name, PASSED_NAME, &epoch) == 1) {
				highest = epoch > highest ? epoch : highest;
				any = true;
			}
	if (!any)
		return error_set(error, ENOENT, "there is no set of what was let through");
	*ret = highest;
	return 0;
}
