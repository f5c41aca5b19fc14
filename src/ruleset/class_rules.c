/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "ruleset/compile.h"
#include "ruleset/stmt.h"
#include "verdict/verdict.h"

/*
 * A chain "from-N" for each class that may open anything, with sets of target classes beside it:
 *
 *   all-N     whatever it may open in full        protos-N  class . protocol
 *   ports-N   class . protocol . port range       no-...    the same for what is blocked
 *   zones-N   whatever it may open but for port 53, which is the resolver's
 */

enum list { LIST_ALL, LIST_PROTOS, LIST_PORTS, LIST_ZONES, _LIST_MAX };

static const char *const list_names[2][_LIST_MAX] = {
	{ "all-%u", "protos-%u", "ports-%u", "zones-%u" },
	{ "no-all-%u", "no-protos-%u", "no-ports-%u", NULL },
};

static const size_t list_n_fields[_LIST_MAX] = { 1, 2, 3, 1 };

static const enum field list_fields[] = { FIELD_PRIORITY, FIELD_L4PROTO, FIELD_TH_DPORT };

struct class_sets {
	size_t sets[2][_LIST_MAX]; /* index + 1; 0 until there is an element */
	uint32_t number;
};

static struct set *set_of(struct ruleset *ruleset, const struct class_sets *sets, bool deny, enum list list)
{
	return sets->sets[deny][list] ? &ruleset->sets[sets->sets[deny][list] - 1] : NULL;
}

static struct set *list_set(struct ruleset *ruleset, struct class_sets *sets, bool deny, enum list list)
{
	struct set *set = set_of(ruleset, sets, deny, list);
	char name[sizeof(set->name)];

	if (set)
		return set;
	snprintf(name, sizeof(name), list_names[deny][list], sets->number);
	set = ruleset_add_set(ruleset, name, DATA_NONE, list_fields, list_n_fields[list]);
	if (!set)
		return NULL;
	set->interval = list == LIST_PORTS;
	sets->sets[deny][list] = ruleset->n_sets;
	return set;
}

static int put(struct ruleset *ruleset, struct class_sets *sets, const struct right *right, uint32_t target)
{
	enum list list = right->but_dns	 ? LIST_ZONES :
			 right->all	 ? LIST_ALL :
			 right->any_port ? LIST_PROTOS :
					   LIST_PORTS;
	struct set *set = list_set(ruleset, sets, right->deny, list);
	struct element *element = set ? set_add(set) : NULL;

	if (!element)
		return -ENOMEM;
	key_put_number(set, element->key, 0, target);
	if (list_n_fields[list] > 1)
		key_put_number(set, element->key, 1, right->proto);
	if (list == LIST_PORTS) {
		memcpy(element_key_end(set, element), element->key, set_key_room(set));
		key_put_number(set, element->key, 2, right->first);
		key_put_number(set, element_key_end(set, element), 2, right->last);
	}
	return 0;
}

/* Containers of one network need no word: the rule that looks at the interfaces says it. */
static int put_rights(struct ruleset *ruleset, const struct model *model, const struct class *class,
		      struct class_sets *sets)
{
	int r = 0;

	for (size_t i = 0; i < class->n_rights && r >= 0; i++)
		if (class->rights[i].cause.kind != CAUSE_NETWORK)
			r = put(ruleset, sets, &class->rights[i], model->classes[class->rights[i].target].number);
	for (size_t i = 0; i < class->n_front_rights && r >= 0; i++)
		r = put(ruleset, sets, &class->front_rights[i], model->fronts[class->front_rights[i].target].number);
	for (size_t deny = 0; deny < 2; deny++)
		if (sets->sets[deny][LIST_PORTS])
			set_join_ports(set_of(ruleset, sets, deny, LIST_PORTS));
	return r;
}

#define RULE(...) (struct stmt[]){ __VA_ARGS__ }, sizeof((struct stmt[]){ __VA_ARGS__ }) / sizeof(struct stmt)

static int add_list(struct ruleset *ruleset, struct chain *chain, const struct class_sets *sets, bool deny,
		    enum list list)
{
	const char *verdict = deny ? "drop-blocked" : "accepted";
	const struct set *set = set_of(ruleset, sets, deny, list);
	const char *name = set ? ruleset_string(ruleset, "%s", set->name) : NULL;

	if (!set)
		return 0;
	if (!name)
		return -ENOMEM;
	switch (list) {
	case LIST_ALL:
		return chain_add_rule(chain, RULE(IN(name, PRIORITY), GOTO(verdict)));
	case LIST_ZONES:
		return chain_add_rule(chain, RULE(IN(name, PRIORITY), JUMP("zone")));
	case LIST_PROTOS:
		return chain_add_rule(chain, RULE(IN(name, PRIORITY, L4PROTO), GOTO(verdict)));
	default:
		/* of what comes back, the port that the flow is for is the one it comes from */
		if (chain_add_rule(chain, RULE(NOT_BACK, IN(name, PRIORITY, L4PROTO, TH_DPORT), GOTO(verdict))) < 0)
			return -ENOMEM;
		return chain_add_rule(chain, RULE(BACK, IN(name, PRIORITY, L4PROTO, TH_SPORT), GOTO(verdict)));
	}
}

/* Those by hash first: a set of port ranges costs several times as much. */
static int add_list_rules(struct ruleset *ruleset, struct chain *chain, const struct class_sets *sets, bool deny)
{
	static const enum list order[] = { LIST_ALL, LIST_ZONES, LIST_PROTOS, LIST_PORTS };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(order) && r >= 0; i++)
		r = add_list(ruleset, chain, sets, deny, order[i]);
	return r;
}

#define CT_STATUS_DNAT 0x20 /* IPS_DST_NAT */

/* What came by a published port is judged by that port too: the one its client dialled. */
static int add_front_rules(struct ruleset *ruleset, struct chain *chain, const struct class *class,
			   const struct class_sets *sets)
{
	bool any = false;

	for (size_t i = 0; i < class->n_front_rights; i++)
		any = any || !class->front_rights[i].deny;
	if (!any)
		return 0;
	if (chain_add_rule(chain, RULE(BITS(CT_STATUS, CT_STATUS_DNAT), JUMP("dialled"))) < 0)
		return -ENOMEM;
	return add_list(ruleset, chain, sets, false, LIST_ALL);
}

static int add_class_chain(struct ruleset *ruleset, const char *name, const struct class *class,
			   const struct class_sets *sets)
{
	struct chain *chain = ruleset_add_chain(ruleset, name, HOOK_NONE, 0, false);

	if (!chain || chain_add_rule(chain, RULE(JUMP("target"))) < 0 ||
	    add_list_rules(ruleset, chain, sets, true) < 0 || add_list_rules(ruleset, chain, sets, false) < 0 ||
	    chain_add_rule(chain, RULE(IN("same", IIFNAME, OIFNAME), GOTO("accepted"))) < 0 ||
	    chain_add_rule(chain, RULE(IS(PRIORITY, 0), GOTO("drop-unknown-target"))) < 0 ||
	    add_front_rules(ruleset, chain, class, sets) < 0 || chain_add_rule(chain, RULE(GOTO("drop-no-grant"))) < 0)
		return -ENOMEM;
	return 0;
}

static int put_class_number(struct ruleset *ruleset, const char *name, uint32_t number, const char *chain)
{
	struct set *set = ruleset_set(ruleset, name);
	struct element *element = set_add(set);

	if (!element)
		return -ENOMEM;
	key_put_number(set, element->key, 0, number);
	if (chain)
		snprintf(element_chain(set, element), CHAIN_MAX, "%s", chain);
	return 0;
}

static int put_class(struct ruleset *ruleset, const struct model *model, const struct class *class)
{
	struct class_sets sets = { .number = class->number };
	char name[32];

	if (class->zones & 1u << ZONE_HOST)
		return 0; /* never a source */
	if (class->policies & (POLICY_DISABLED | POLICY_QUARANTINE) &&
	    put_class_number(ruleset, "muted", class->number,
			     class->policies & POLICY_DISABLED ? "drop-disabled" : "guard-quarantine") < 0)
		return -ENOMEM;
	snprintf(name, sizeof(name), "from-%u", class->number);
	if (put_rights(ruleset, model, class, &sets) < 0 || add_class_chain(ruleset, name, class, &sets) < 0)
		return -ENOMEM;
	return put_class_number(ruleset, "classes", class->number, name);
}

int put_classes(struct ruleset *ruleset, const struct model *model)
{
	int r = 0;

	for (size_t i = 0; i < model->n_classes && r >= 0; i++)
		r = put_class(ruleset, model, &model->classes[i]);
	return r;
}
