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
	char names[2][_LIST_MAX][32]; /* "" until there is an element */
	uint32_t number;
};

static struct set *list_set(struct ruleset *ruleset, struct class_sets *sets, bool deny, enum list list)
{
	char *name = sets->names[deny][list];
	struct set *set;

	if (name[0])
		return ruleset_set(ruleset, name);
	snprintf(name, sizeof(sets->names[0][0]), list_names[deny][list], sets->number);
	set = ruleset_add_set(ruleset, name, DATA_NONE, list_fields, list_n_fields[list]);
	if (set)
		set->interval = list == LIST_PORTS;
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
		memcpy(element->key_end, element->key, sizeof(element->key));
		key_put_number(set, element->key, 2, right->first);
		key_put_number(set, element->key_end, 2, right->last);
	}
	return 0;
}

/* A right to a container's own ports holds for the published ports that lead to them. */
static int put_front_of(struct ruleset *ruleset, struct class_sets *sets, const struct right *right,
			const struct class *target)
{
	struct right front = *right;
	int r = 0;

	if (!target->front)
		return 0;
	if (right->front || right->all)
		return put(ruleset, sets, right, target->front);
	front.any_port = false;
	for (size_t i = 0; i < target->n_ports && r >= 0; i++) {
		const struct port_binding *port = &target->ports[i];

		if (!right_covers(right, target, true, port->proto, port->host_port))
			continue;
		front.first = front.last = port->host_port;
		r = put(ruleset, sets, &front, target->front);
	}
	return r;
}

static int put_rights(struct ruleset *ruleset, const struct model *model, const struct class *class,
		      struct class_sets *sets)
{
	int r = 0;

	for (size_t i = 0; i < class->n_rights && r >= 0; i++) {
		const struct right *right = &class->rights[i];
		const struct class *target = &model->classes[right->target];

		if (!right->front)
			r = put(ruleset, sets, right, target->number);
		if (r >= 0)
			r = put_front_of(ruleset, sets, right, target);
	}
	for (size_t deny = 0; deny < 2; deny++)
		if (sets->names[deny][LIST_PORTS][0])
			set_join_ports(ruleset_set(ruleset, sets->names[deny][LIST_PORTS]));
	return r;
}

#define RULE(...) (struct stmt[]){ __VA_ARGS__ }, sizeof((struct stmt[]){ __VA_ARGS__ }) / sizeof(struct stmt)

static int add_list_rules(struct ruleset *ruleset, struct chain *chain, const struct class_sets *sets, bool deny)
{
	const char *verdict = deny ? "drop-blocked" : "accepted";
	const char *all = ruleset_string(ruleset, "%s", sets->names[deny][LIST_ALL]);
	const char *protos = ruleset_string(ruleset, "%s", sets->names[deny][LIST_PROTOS]);
	const char *ports = ruleset_string(ruleset, "%s", sets->names[deny][LIST_PORTS]);
	int r = 0;

	if (!all || !protos || !ports)
		return -ENOMEM;
	if (all[0])
		r = chain_add_rule(chain, RULE(IN(all, PRIORITY), GOTO(verdict)));
	if (protos[0] && r >= 0)
		r = chain_add_rule(chain, RULE(IN(protos, PRIORITY, L4PROTO), GOTO(verdict)));
	if (ports[0] && r >= 0)
		r = chain_add_rule(chain, RULE(IN(ports, PRIORITY, L4PROTO, TH_DPORT), GOTO(verdict)));
	return r;
}

#define CT_STATUS_DNAT 0x20 /* IPS_DST_NAT */

static bool has_proto(const struct set *set, uint8_t proto)
{
	size_t at = key_offset(set, 1);

	for (size_t i = 0; i < set->n_elements; i++)
		if (set->elements[i].key[at] == proto)
			return true;
	return false;
}

/*
 * What came by a published port is judged by that port too: the one its client dialled. One rule, that ends where the
 * target publishes nothing: a port that somebody else's NAT was dialled at is not the target's own. A rule for each
 * protocol, since nft knows what a port is only where it has read the protocol.
 */
static int add_front_rules(struct ruleset *ruleset, struct chain *chain, const struct class_sets *sets)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	const char *ports = ruleset_string(ruleset, "%s", sets->names[false][LIST_PORTS]);
	int r = 0;

	if (!ports)
		return -ENOMEM;
	if (!ports[0])
		return 0;
	for (size_t i = 0; i < ELEMENTSOF(protos) && r >= 0; i++)
		if (has_proto(ruleset_set(ruleset, ports), protos[i]))
			r = chain_add_rule(chain, RULE(PROTO(protos[i]), BITS(CT_STATUS, CT_STATUS_DNAT),
						       PRIORITY_MAP("fronts", PRIORITY),
						       IN(ports, PRIORITY, L4PROTO, CT_PROTO_DST), GOTO("accepted")));
	return r;
}

static int add_zone_rules(struct ruleset *ruleset, struct chain *chain, const struct class_sets *sets)
{
	const char *zones = ruleset_string(ruleset, "%s", sets->names[false][LIST_ZONES]);
	int r = 0;

	if (!zones)
		return -ENOMEM;
	if (!zones[0])
		return 0;
	r = chain_add_rule(chain, RULE(NOT_IN("dns_protos", L4PROTO), IN(zones, PRIORITY), GOTO("accepted")));
	if (r >= 0)
		r = chain_add_rule(chain, RULE(IN("dns_protos", L4PROTO), NOT(TH_DPORT, 53), IN(zones, PRIORITY),
					       GOTO("accepted")));
	return r;
}

static int add_class_chain(struct ruleset *ruleset, const char *name, const struct class_sets *sets)
{
	struct chain *chain = ruleset_add_chain(ruleset, name, HOOK_NONE, 0, false);

	if (!chain || chain_add_rule(chain, RULE(JUMP("target"))) < 0 ||
	    add_list_rules(ruleset, chain, sets, true) < 0 ||
	    chain_add_rule(chain, RULE(IN("same", IIFNAME, OIFNAME), GOTO("accepted"))) < 0 ||
	    add_list_rules(ruleset, chain, sets, false) < 0 || add_zone_rules(ruleset, chain, sets) < 0 ||
	    chain_add_rule(chain, RULE(IS(PRIORITY, 0), GOTO("drop-unknown-target"))) < 0 ||
	    add_front_rules(ruleset, chain, sets) < 0 || chain_add_rule(chain, RULE(GOTO("drop-no-grant"))) < 0)
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
		snprintf(element->chain, sizeof(element->chain), "%s", chain);
	return 0;
}

static int put_class(struct ruleset *ruleset, const struct model *model, const struct class *class)
{
	struct class_sets sets = { .number = class->number };
	char name[32];

	if (class->zones & 1u << ZONE_HOST)
		return 0; /* never a source */
	if (class->policies & POLICY_DISABLED && put_class_number(ruleset, "disabled", class->number, NULL) < 0)
		return -ENOMEM;
	if (class->policies & POLICY_QUARANTINE && put_class_number(ruleset, "quarantined", class->number, NULL) < 0)
		return -ENOMEM;
	snprintf(name, sizeof(name), "from-%u", class->number);
	if (put_rights(ruleset, model, class, &sets) < 0 || add_class_chain(ruleset, name, &sets) < 0)
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
