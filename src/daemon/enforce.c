/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "ruleset/compile.h"

bool policy_expiring(const struct policy *policy, time_t from, time_t to)
{
	const struct grant *lists[] = { policy->allow, policy->block };
	size_t counts[] = { policy->n_allow, policy->n_block };

	for (size_t k = 0; k < ELEMENTSOF(lists); k++)
		for (size_t i = 0; i < counts[k]; i++)
			if (lists[k][i].expires > from && lists[k][i].expires <= to)
				return true;
	return from > to; /* the clock went back: look at everything again */
}

/* What was let through until now counts no more, in the rules and outside. */
static void begin_epoch(struct daemon *daemon, struct ruleset *ruleset)
{
	fast_hold(daemon);
	ruleset_renew(ruleset, ++daemon->epoch);
}

/* Writes the difference; what the kernel is not sure to hold is read back first, and what it let through counts no more. */
static int write_ruleset(struct daemon *daemon, struct ruleset *ruleset, struct error *error)
{
	bool changed;

	if (daemon->ruleset && !daemon->problem[0]) {
		int r = nft_apply(daemon->nft, daemon->ruleset, ruleset, error);

		if (r >= 0)
			return r;
		log_warning("enforce", "%s; reading back", error->text);
	}
	begin_epoch(daemon, ruleset);
	return nft_repair(daemon->nft, ruleset, &changed, error);
}

static void note_problem(struct daemon *daemon, int r, const struct error *error)
{
	snprintf(daemon->problem, sizeof(daemon->problem), "%s", r < 0 ? error->text : "");
}

/* The model points into policy and inventory: a new one takes its place whatever becomes of the ruleset. */
static int renew_model(struct daemon *daemon, struct error *error)
{
	struct model *model = TAKE_PTR(daemon->next_model);
	int r = model ? 0 : model_new(daemon->policy, daemon->inventory, daemon->book, time(NULL), &model, error);

	daemon->n_models++;
	daemon->dirty = r < 0;
	if (r < 0)
		return r;
	model_free(daemon->model);
	daemon->model = model;
	return 0;
}

/* Whose flows to look at after a change. */
struct losers {
	bool any; /* nobody lost anything: none */
	struct addr *addrs; /* NULL: everybody's */
	size_t n;
};

static void losers_find(struct losers *losers, const struct ruleset *from, const struct ruleset *to)
{
	losers->any = !from || ruleset_tightens(from, to);
	if (from && losers->any)
		ruleset_losers(from, to, &losers->addrs, &losers->n);
}

/* The rules hold already, for every packet of who opened a flow: what fails here is tried again, and fails no change. */
static void end_and_restore(struct daemon *daemon, const struct losers *losers, bool soon)
{
	struct error error = { 0 };

	if (losers->any || daemon->cut_again) {
		bool some = losers->any && !daemon->cut_again;

		daemon->cut_again = false;
		flows_cut(daemon, some ? losers->addrs : NULL, some ? losers->n : 0, soon);
	}
	if (daemon->n_ended && flows_restore(daemon, &error) < 0)
		log_warning("flows", "%s", error.text);
}

struct forget {
	struct daemon *daemon;
	const struct set *set;
};

static int forget_neighbour(bool add, const struct element *element, void *data)
{
	const struct forget *forget = data;
	bool six = forget->set->fields[1] == FIELD_IP6_SADDR;
	const struct interface *interface;
	struct addr addr = { .family = six ? AF_INET6 : AF_INET };
	struct error error = { 0 };
	char name[IFNAMSIZ] = "";

	memcpy(name, element->key, IFNAMSIZ - 1);
	memcpy(addr.bytes, element->key + key_offset(forget->set, 1), addr_size(addr.family));
	interface = add ? NULL : inventory_interface_named(forget->daemon->inventory, name);
	if (interface && links_forget_neighbour(forget->daemon->links, interface->index, &addr, &error) < 0)
		log_warning("enforce", "%s", error.text);
	return 0;
}

/*
 * What was accepted for a container and waits until somebody answers for its address would be sent to the next one that has
 * the address: the kernel keeps such packets for seconds.
 */
static void forget_neighbours(struct daemon *daemon, const struct ruleset *from, const struct ruleset *to)
{
	static const char *const names[] = { "id4", "id6" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		struct forget forget = { daemon, ruleset_set(from, names[i]) };

		set_diff(forget.set, ruleset_set(to, names[i]), forget_neighbour, &forget);
	}
}

static int refresh(struct daemon *daemon, bool soon, struct error *error)
{
	const struct compile_options options = { .epoch = daemon->epoch };
	_cleanup_(ruleset_freep) struct ruleset *ruleset = NULL;
	struct losers losers = { 0 };
	int r = renew_model(daemon, error);

	if (r < 0 || !daemon->active || daemon->waiting)
		return r;
	r = ruleset_compile(daemon->model, &options, &ruleset, error);
	if (r >= 0) {
		if (daemon->ruleset)
			ruleset_keep_room(ruleset, daemon->ruleset);
		losers_find(&losers, daemon->ruleset, ruleset);
		if (daemon->ruleset && losers.any)
			begin_epoch(daemon, ruleset);
		r = write_ruleset(daemon, ruleset, error);
		uv_update_time(&daemon->loop);
		if (losers.any)
			fast_hold(daemon); /* the pause begins with the end of the transaction */
	}
	note_problem(daemon, r, error);
	if (r < 0) {
		free(losers.addrs);
		return error_wrap(error, "the kernel keeps the rules from before");
	}
	if (!daemon->ruleset || !ruleset_equal(daemon->ruleset, ruleset))
		proof_outdate(daemon);
	if (losers.any && daemon->ruleset)
		forget_neighbours(daemon, daemon->ruleset, ruleset);
	ruleset_free(daemon->ruleset);
	daemon->ruleset = TAKE_PTR(ruleset);
	routes_update(daemon);
	end_and_restore(daemon, &losers, soon);
	free(losers.addrs);
	return 0;
}

int daemon_refresh(struct daemon *daemon, struct error *error)
{
	return refresh(daemon, true, error);
}

int daemon_follow(struct daemon *daemon, struct error *error)
{
	return refresh(daemon, false, error);
}

/* Takes our tables out of the kernel. While they are still there, that is a problem, and tried again. */
static int take_away(struct daemon *daemon, struct error *error)
{
	int r = nft_remove(daemon->nft, error);

	daemon->leftover = r < 0;
	note_problem(daemon, r, error);
	return r;
}

int daemon_repair(struct daemon *daemon, bool others, struct error *error)
{
	struct error difference = { 0 };
	bool changed;
	int r, found;

	daemon->repair = false;
	if (!daemon->active)
		return daemon->leftover ? take_away(daemon, error) : 0;
	if (daemon->waiting)
		return 0;
	if (!daemon->ruleset || daemon->problem[0])
		return daemon_refresh(daemon, error);
	found = others ? nft_compare(daemon->nft, daemon->ruleset, &difference) :
			 nft_compare_written(daemon->nft, daemon->ruleset, &difference);
	if (found >= 0 && !others)
		return 0;
	/* Also where it is put right already: others may have opened something and closed it again. */
	begin_epoch(daemon, daemon->ruleset);
	r = nft_repair(daemon->nft, daemon->ruleset, &changed, error);
	fast_hold(daemon);
	note_problem(daemon, r, error);
	if (r >= 0 && found == -ENOTUNIQ)
		log_warning("repair", "another program changed the tables of spr (%s): put right", difference.text);
	else if (r >= 0 && found < 0)
		log_warning("repair", "%s: the tables of spr are written anew", difference.text);
	if (r >= 0)
		proof_outdate(daemon);
	return r;
}

int daemon_activate(struct daemon *daemon, struct error *error)
{
	int r;

	if (daemon->active)
		return 0;
	grace_prepare(daemon);
	daemon->active = true;
	r = daemon_refresh(daemon, error);
	if (r >= 0)
		r = flows_cut_sessions(daemon, error);
	if (r >= 0)
		r = grace_start(daemon, error);
	if (r >= 0)
		r = store_set_active(daemon->store, true, error);
	if (r < 0) {
		struct error second = { 0 };

		daemon->ruleset = ruleset_free(daemon->ruleset);
		daemon->active = false;
		if (take_away(daemon, &second) < 0)
			log_error("enforce", "%s: trying again", second.text);
		return r;
	}
	docker_user_ensure(daemon, true);
	return 0;
}

int daemon_deactivate(struct daemon *daemon, struct error *error)
{
	struct error second = { 0 };
	int r;

	if (!daemon->active)
		return take_away(daemon, error); /* an earlier run may have left some */
	r = store_set_active(daemon->store, false, error);
	if (r < 0)
		return r;
	r = take_away(daemon, error);
	if (r < 0) {
		/* Still up, then: and nobody knows what the kernel holds now. */
		daemon->leftover = false;
		daemon->repair = true;
		if (store_set_active(daemon->store, true, &second) < 0)
			log_error("enforce", "%s", second.text);
		return r;
	}
	daemon->active = false;
	daemon->ruleset = ruleset_free(daemon->ruleset);
	routes_remove(daemon);
	docker_user_ensure(daemon, false);
	return 0;
}
