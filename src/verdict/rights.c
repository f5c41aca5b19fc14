/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"
#include "verdict/verdict.h"

/* Rights are written clause by clause, group by group, over the classes they concern: never pair by pair. */

static int right_add(struct model *model, size_t from, size_t to, const struct right *right)
{
	struct class *class = &model->classes[from];
	struct right *slot;

	if (class->zones & 1u << ZONE_HOST)
		return 0; /* this machine is never judged as a source */
	slot = ARRAY_ADD(class->rights, class->n_rights);
	if (!slot)
		return -ENOMEM;
	*slot = *right;
	slot->target = (uint32_t)to;
	return 0;
}

static bool is_out(const struct class *class)
{
	return class->policies & (POLICY_DISABLED | POLICY_QUARANTINE);
}

static bool same_network(const struct class *a, const struct class *b)
{
	return a->container && b->container && strcmp(a->network, b->network) == 0;
}

/* Whether anything but a block may be said between the two. */
static bool eligible(const struct class *from, const struct class *to)
{
	if (is_out(from) || is_out(to))
		return false;
	return (!from->internal && !to->internal) || same_network(from, to);
}

static int add_networks(struct model *model)
{
	int r = 0;

	for (size_t i = 0; i < model->n_classes; i++)
		for (size_t k = 0; k < model->n_classes && r >= 0; k++) {
			const struct class *from = &model->classes[i], *to = &model->classes[k];

			if (same_network(from, to) && !from->isolate && eligible(from, to))
				r = right_add(model, i, k,
					      &(struct right){ .all = true,
							       .cause = { CAUSE_NETWORK, 0, from->network } });
		}
	return r;
}

static const char *common_group(const struct class *a, const struct class *b)
{
	for (size_t i = 0, k = 0; i < a->n_groups && k < b->n_groups;) {
		int order = strcmp(a->groups[i], b->groups[k]);

		if (order == 0)
			return a->groups[i];
		if (order < 0)
			i++;
		else
			k++;
	}
	return NULL;
}

static int add_groups(struct model *model)
{
	int r = 0;

	for (size_t i = 0; i < model->n_classes; i++)
		for (size_t k = 0; model->classes[i].n_groups && k < model->n_classes && r >= 0; k++) {
			const struct class *from = &model->classes[i], *to = &model->classes[k];
			const char *group = eligible(from, to) ? common_group(from, to) : NULL;

			if (group)
				r = right_add(model, i, k,
					      &(struct right){ .all = true, .cause = { CAUSE_GROUP, 0, group } });
		}
	return r;
}

static const struct {
	enum policy_bit bit;
	enum zone zone;
} zone_policies[] = {
	{ POLICY_WAN, ZONE_INTERNET },
	{ POLICY_LAN, ZONE_LAN },
	{ POLICY_LAN_UPSTREAM, ZONE_UPSTREAM },
};

static int add_zone_policies(struct model *model, size_t from, size_t to)
{
	const struct class *source = &model->classes[from], *target = &model->classes[to];
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(zone_policies) && r >= 0; i++)
		if (source->policies & zone_policies[i].bit && target->zones & 1u << zone_policies[i].zone)
			r = right_add(model, from, to,
				      &(struct right){ .all = true,
						       .but_dns = true,
						       .cause = { CAUSE_POLICY, zone_policies[i].bit, NULL } });
	return r;
}

static int add_dns(struct model *model, size_t from, size_t to)
{
	static const uint8_t protos[] = { IPPROTO_UDP, IPPROTO_TCP };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(protos) && r >= 0; i++)
		r = right_add(model, from, to,
			      &(struct right){ .proto = protos[i],
					       .first = 53,
					       .last = 53,
					       .cause = { CAUSE_POLICY, POLICY_DNS, NULL } });
	return r;
}

static int add_policies(struct model *model)
{
	int r = 0;

	for (size_t i = 0; i < model->n_classes; i++) {
		unsigned policies = model->classes[i].policies;

		for (size_t k = 0; policies && k < model->n_classes && r >= 0; k++) {
			const struct class *from = &model->classes[i], *to = &model->classes[k];

			if (eligible(from, to))
				r = add_zone_policies(model, i, k);
			if (r >= 0 && to->resolver && !from->internal && !is_out(to) &&
			    (policies & POLICY_QUARANTINE || (policies & POLICY_DNS && !is_out(from))))
				r = add_dns(model, i, k);
		}
	}
	return r;
}

/* What a protocol of the policy stands for: "53" means tcp and udp, "icmp" means that of either family. */
static size_t protos_of(uint8_t proto, uint8_t ret[2])
{
	ret[0] = proto ? proto : IPPROTO_TCP;
	ret[1] = proto ? IPPROTO_ICMPV6 : IPPROTO_UDP;
	return proto == 0 || proto == IPPROTO_ICMP ? 2 : 1;
}

static int add_port(struct model *model, size_t from, size_t to, const struct right *base,
		    const struct port_range *port)
{
	struct right right = *base;
	uint8_t protos[2];
	size_t n = protos_of(port->proto, protos);
	int r = 0;

	right.any_port = port->any_port;
	right.first = port->first;
	right.last = port->last;
	for (size_t i = 0; i < n && r >= 0; i++) {
		right.proto = protos[i];
		r = right_add(model, from, to, &right);
	}
	return r;
}

static int add_clause(struct model *model, const struct clause *clause, size_t from, size_t to)
{
	struct right right = { .deny = clause->kind == CAUSE_BLOCK, .cause = { clause->kind, clause->index, NULL } };
	int r = 0;

	if (clause->kind == CAUSE_PUBLISH) {
		right.front = true;
		right.cause.name = clause->publisher->name;
		return add_port(model, from, to, &right, &clause->publish->port);
	}
	if (clause->grant->n_ports == 0) {
		right.all = true;
		return right_add(model, from, to, &right);
	}
	for (size_t i = 0; i < clause->grant->n_ports && r >= 0; i++)
		r = add_port(model, from, to, &right, &clause->grant->ports[i]);
	return r;
}

static int add_clauses(struct model *model)
{
	int r = 0;

	for (size_t c = 0; c < model->n_clauses; c++)
		for (size_t i = 0; i < model->n_classes; i++)
			for (size_t k = 0; model->classes[i].selected[c] & CLAUSE_FROM && k < model->n_classes; k++) {
				const struct class *from = &model->classes[i], *to = &model->classes[k];

				if (!(to->selected[c] & CLAUSE_TO))
					continue;
				if (model->clauses[c].kind != CAUSE_BLOCK && !eligible(from, to))
					continue;
				r = add_clause(model, &model->clauses[c], i, k);
				if (r < 0)
					return r;
			}
	return 0;
}

static int right_compare(const void *a, const void *b)
{
	const struct right *left = a, *right = b;

	if (left->target != right->target)
		return left->target < right->target ? -1 : 1;
	if (left->deny != right->deny)
		return left->deny ? -1 : 1;
	if (left->cause.kind != right->cause.kind)
		return (int)left->cause.kind - (int)right->cause.kind;
	if (left->cause.index != right->cause.index)
		return left->cause.index < right->cause.index ? -1 : 1;
	if (left->proto != right->proto)
		return left->proto - right->proto;
	return left->first - right->first;
}

int rights_fill(struct model *model, struct error *error)
{
	if (add_networks(model) < 0 || add_groups(model) < 0 || add_policies(model) < 0 || add_clauses(model) < 0)
		return error_memory(error);
	for (size_t i = 0; i < model->n_classes; i++)
		if (model->classes[i].n_rights)
			qsort(model->classes[i].rights, model->classes[i].n_rights, sizeof(struct right),
			      right_compare);
	return 0;
}

static bool port_within(const struct right *right, uint8_t proto, uint16_t port)
{
	return right->proto == proto && (right->any_port || (port >= right->first && port <= right->last));
}

bool right_covers(const struct right *right, const struct class *target, bool front, uint8_t proto, uint16_t port)
{
	if (right->front && !front)
		return false;
	if (right->all)
		return !right->but_dns || port != 53 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP);
	if (right->front == front)
		return port_within(right, proto, port);
	for (size_t i = 0; i < target->n_ports; i++)
		if (target->ports[i].proto == proto && target->ports[i].host_port == port &&
		    port_within(right, proto, target->ports[i].container_port))
			return true;
	return false;
}

static const struct right *rights_of(const struct class *from, uint32_t target)
{
	size_t low = 0, high = from->n_rights;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (from->rights[middle].target < target)
			low = middle + 1;
		else
			high = middle;
	}
	return low < from->n_rights && from->rights[low].target == target ? &from->rights[low] : NULL;
}

const struct right *class_right(const struct model *model, uint32_t from, uint32_t target, bool front, uint8_t proto,
				uint16_t port)
{
	const struct class *class = &model->classes[from];
	const struct right *right = rights_of(class, target);

	for (; right && right < class->rights + class->n_rights && right->target == target; right++)
		if (right_covers(right, &model->classes[target], front, proto, port))
			return right;
	return NULL;
}
