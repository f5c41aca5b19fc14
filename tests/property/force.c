/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "kernel/nft.h"
#include "../unit/classed.h"
#include "property.h"
#include "ruleset/compile.h"

enum fault fault;

/* What each makes wrong. */
static const char *const faults[] = {
	[FAULT_NONE] = "nothing",
	[FAULT_ELEMENT] = "element", /* the kernel does not hear of one container's address */
	[FAULT_RULE] = "rule", /* the rule about the way back to who sent it is missing */
	[FAULT_EPOCH] = "epoch", /* what was let through is known although something was taken away */
	[FAULT_BLOCK] = "block", /* verdict() forgets that blocks are there */
	[FAULT_REVOKE] = "revoke", /* verdict() lets flows go on that policy does not allow any more */
	[FAULT_BACK] = "back", /* and what comes back of them */
};

const char *fault_name(enum fault which)
{
	return faults[which];
}

void fault_ruleset(struct ruleset *ruleset)
{
	struct set *set = ruleset_set(ruleset, "id4");
	struct chain *guard = ruleset_chain(ruleset, "guard-other");

	if (fault == FAULT_ELEMENT && set && set->n_elements > 0)
		set->n_elements--;
	for (size_t i = 0; fault == FAULT_RULE && i < guard->n_rules; i++) {
		struct rule rule = guard->rules[i];

		if (rule.n_stmts < 2 || rule.stmts[0].fields[0] != FIELD_FIB_SADDR_IIF_OIF)
			continue;
		free(rule.stmts);
		memmove(&guard->rules[i], &guard->rules[i + 1], (--guard->n_rules - i) * sizeof(rule));
	}
}

void fault_decision(const struct packet *packet, struct decision *decision)
{
	if ((fault == FAULT_BLOCK && decision->reason == REASON_BLOCKED) ||
	    (fault == FAULT_REVOKE && packet->flow == FLOW_ORIGINAL && decision->reason == REASON_NO_GRANT) ||
	    (fault == FAULT_BACK && packet->flow == FLOW_REPLY && decision->reason == REASON_ENDED)) {
		decision->accept = true;
		decision->reason = REASON_NONE;
	}
}

void force_open(struct force *force)
{
	struct error error = { 0 };

	*force = (struct force){ .book = class_book_new(1) };
	MUST(force->book);
	if (nft_open(NFT_PLAIN, &force->nft, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		exit(2);
	}
}

static void force_clear(struct force *force)
{
	ruleset_free(force->ruleset);
	model_free(force->model);
	policy_free(force->policy);
}

int force_change(struct force *force, const struct inventory *inventory, struct policy *policy, struct error *error)
{
	struct force next = { .nft = force->nft, .book = force->book, .policy = policy, .epoch = force->epoch };
	struct compile_options options = { .log_all = true, .epoch = force->epoch };
	int r = policy_check(policy, error);

	if (r >= 0)
		r = model_new(policy, inventory, next.book, time(NULL), &next.model, error);
	if (r >= 0 && (misclassed(next.model) || misplaced(next.model))) {
		fprintf(stderr, "a place is of a class that is another's, or is found where another is\n");
		exit(1);
	}
	if (r >= 0)
		r = ruleset_compile(next.model, &options, &next.ruleset, error);
	if (r >= 0) {
		fault_ruleset(next.ruleset);
		if (force->forget || !force->ruleset ||
		    (fault != FAULT_EPOCH && ruleset_tightens(force->ruleset, next.ruleset)))
			ruleset_renew(next.ruleset, ++next.epoch);
		r = nft_apply(next.nft, force->ruleset, next.ruleset, error);
	}
	if (r < 0) {
		force_clear(&next);
		return r;
	}
	force_clear(force);
	*force = next;
	return 0;
}

void force_close(struct force *force)
{
	force_clear(force);
	nft_close(force->nft);
	class_book_free(force->book);
}

void judge(const struct model *model, struct shot *shot)
{
	verdict(model, &shot->packet, &shot->expected);
	fault_decision(&shot->packet, &shot->expected);
}

/*
 * Under br_netfilter a packet from an IPv6 multicast address gets as far as our first chains, where the kernel's own
 * routes for these lead back by every interface; then the kernel drops it whatever we say. Elsewhere it does so before.
 */
static bool is_from_many(const struct shot *shot)
{
	return shot->lost && shot->packet.from.family == AF_INET6 && shot->packet.from.bytes[0] == 0xff;
}

bool agrees(const struct shot *shot)
{
	if (is_from_many(shot))
		return shot->fate != FATE_PASSED;
	if (shot->fate == FATE_NONE)
		return shot->lost;
	if (shot->expected.accept)
		return shot->fate == FATE_PASSED;
	return shot->fate == FATE_DROPPED && reason_from_id(shot->reason) == shot->expected.reason;
}
