/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"
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

/* Classes by a word of theirs, so that those with the same one stand together. */
struct worded {
	const char *word;
	uint32_t class;
};

struct words {
	struct worded *items;
	size_t n;
};

static int word_add(struct words *words, const char *word, size_t class)
{
	struct worded *slot = ARRAY_ADD(words->items, words->n);

	if (!slot)
		return -ENOMEM;
	*slot = (struct worded){ word, (uint32_t) class };
	return 0;
}

static int worded_compare(const void *a, const void *b)
{
	const struct worded *left = a, *right = b;
	int order = strcmp(left->word, right->word);

	return order ? order : left->class < right->class ? -1 : left->class > right->class;
}

/* Calls `pair` with each two classes that have a word in common, also one with itself. */
static int words_pair(struct model *model, struct words *words,
		      int (*pair)(struct model *model, size_t from, size_t to, const char *word))
{
	size_t first = 0;
	int r = 0;

	if (words->n)
		qsort(words->items, words->n, sizeof(*words->items), worded_compare);
	for (size_t i = 0; i < words->n && r >= 0; i++) {
		if (strcmp(words->items[first].word, words->items[i].word) != 0)
			first = i;
		for (size_t k = first; k < words->n && r >= 0; k++) {
			if (strcmp(words->items[k].word, words->items[i].word) != 0)
				break;
			r = pair(model, words->items[i].class, words->items[k].class, words->items[i].word);
		}
	}
	free(words->items);
	return r;
}

static int pair_network(struct model *model, size_t from, size_t to, const char *network)
{
	if (!eligible(&model->classes[from], &model->classes[to]))
		return 0;
	return right_add(model, from, to, &(struct right){ .all = true, .cause = { CAUSE_NETWORK, 0, network } });
}

static int add_networks(struct model *model)
{
	struct words words = { 0 };

	for (size_t i = 0; i < model->n_classes; i++)
		if (model->classes[i].container && !model->classes[i].isolate &&
		    word_add(&words, model->classes[i].network, i) < 0) {
			free(words.items);
			return -ENOMEM;
		}
	return words_pair(model, &words, pair_network);
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

/* Two that share more than one group have one right. */
static int pair_group(struct model *model, size_t from, size_t to, const char *group)
{
	const struct class *left = &model->classes[from], *right = &model->classes[to];

	if (!eligible(left, right) || strcmp(common_group(left, right), group) != 0)
		return 0;
	return right_add(model, from, to, &(struct right){ .all = true, .cause = { CAUSE_GROUP, 0, group } });
}

static int add_groups(struct model *model)
{
	struct words words = { 0 };

	for (size_t i = 0; i < model->n_classes; i++)
		for (size_t k = 0; k < model->classes[i].n_groups; k++)
			if (word_add(&words, model->classes[i].groups[k], i) < 0) {
				free(words.items);
				return -ENOMEM;
			}
	return words_pair(model, &words, pair_group);
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

static int add_policies_to(struct model *model, size_t to)
{
	const struct class *target = &model->classes[to];
	int r = 0;

	for (size_t i = 0; i < model->n_classes && r >= 0; i++) {
		const struct class *from = &model->classes[i];

		if (!from->policies)
			continue;
		if (eligible(from, target))
			r = add_zone_policies(model, i, to);
		if (r >= 0 && target->resolver && !from->internal && !is_out(target) &&
		    (from->policies & POLICY_QUARANTINE || (from->policies & POLICY_DNS && !is_out(from))))
			r = add_dns(model, i, to);
	}
	return r;
}

/* Few are in a zone. */
static int add_policies(struct model *model)
{
	int r = 0;

	for (size_t i = 0; i < model->n_classes && r >= 0; i++)
		if (model->classes[i].zones || model->classes[i].resolver)
			r = add_policies_to(model, i);
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
	for (size_t c = 0; c < model->n_clauses && model->clauses[c].grant; c++)
		for (size_t i = 0; i < model->n_classes; i++)
			for (size_t k = 0; model->classes[i].selected[c] & CLAUSE_FROM && k < model->n_classes; k++) {
				const struct class *from = &model->classes[i], *to = &model->classes[k];

				if (!(to->selected[c] & CLAUSE_TO))
					continue;
				if (model->clauses[c].kind != CAUSE_BLOCK && !eligible(from, to))
					continue;
				if (add_clause(model, &model->clauses[c], i, k) < 0)
					return -ENOMEM;
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

bool right_covers(const struct right *right, uint8_t proto, uint16_t port)
{
	if (right->all)
		return !right->but_dns || port != 53 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP);
	return right->proto == proto && (right->any_port || (port >= right->first && port <= right->last));
}

static const struct right *rights_of(const struct right *rights, size_t n, uint32_t target)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (rights[middle].target < target)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && rights[low].target == target ? &rights[low] : NULL;
}

const struct right *class_right(const struct model *model, uint32_t from, uint32_t target, uint8_t proto, uint16_t port)
{
	const struct class *class = &model->classes[from];
	const struct right *right = rights_of(class->rights, class->n_rights, target);

	for (; right && right < class->rights + class->n_rights && right->target == target; right++)
		if (right_covers(right, proto, port))
			return right;
	return NULL;
}

const struct right *front_right(const struct model *model, uint32_t from, uint32_t front)
{
	return rights_of(model->classes[from].front_rights, model->classes[from].n_front_rights, front);
}

/* The clause that publishes the front to the class, or NULL. */
static const struct clause *publish_of(const struct model *model, const struct class *from, const struct front *front)
{
	if (!eligible(from, &model->classes[front->class]))
		return NULL;
	for (size_t c = model->n_clauses; c-- > 0 && !model->clauses[c].grant;)
		if (front->published[c] && from->selected[c] & CLAUSE_FROM)
			return &model->clauses[c];
	return NULL;
}

/* What holds for a container's own port holds for the published ports that lead to it. */
static int add_front(struct model *model, size_t from, size_t to)
{
	const struct front *front = &model->fronts[to];
	struct class *class = &model->classes[from];
	const struct right *own =
		class_right(model, (uint32_t)from, front->class, front->port.proto, front->port.container_port);
	const struct clause *clause = own ? NULL : publish_of(model, class, front);
	struct right *slot;

	if (!own && !clause)
		return 0;
	slot = ARRAY_ADD(class->front_rights, class->n_front_rights);
	if (!slot)
		return -ENOMEM;
	*slot = (struct right){ .target = (uint32_t)to, .all = true, .cause = { CAUSE_PUBLISH, 0, NULL } };
	if (own) {
		slot->deny = own->deny;
		slot->cause = own->cause;
	}
	return 0;
}

static int add_fronts(struct model *model)
{
	int r = 0;

	for (size_t i = 0; i < model->n_classes; i++)
		for (size_t k = 0; !(model->classes[i].zones & 1u << ZONE_HOST) && k < model->n_fronts && r >= 0; k++)
			r = add_front(model, i, k);
	return r;
}

int rights_fill(struct model *model)
{
	if (add_networks(model) < 0 || add_groups(model) < 0 || add_policies(model) < 0 || add_clauses(model) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_classes; i++)
		if (model->classes[i].n_rights)
			qsort(model->classes[i].rights, model->classes[i].n_rights, sizeof(struct right),
			      right_compare);
	return add_fronts(model);
}
