/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/nearest.h"
#include "policy/words.h"

/* Pointers to the items of an array, sorted: equals are neighbours. */
struct order {
	const void **items;
	size_t n;
};

struct check {
	const struct policy *policy;
	struct order groups, members;
	const char *what, *name; /* the entry at work: "container" and its name, or "allow" and NULL */
	struct place place;
	struct fault *fault;
	struct error *error;
};

/* Of pointers to items, as struct order has them. */
typedef int (*compare_function)(const void *a, const void *b);

static int order_make(struct order *order, const void *items, size_t n, size_t size, compare_function compare)
{
	order->items = n ? calloc(n, sizeof(*order->items)) : NULL;
	if (n && !order->items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order->items[i] = (const char *)items + i * size;
	order->n = n;
	if (n)
		qsort(order->items, n, sizeof(*order->items), compare);
	return 0;
}

static void order_clear(struct order *order)
{
	free(order->items);
	*order = (struct order){ 0 };
}

/* Of two neighbours that are equal the later one, or NULL where no two are. */
static const void *order_twice(const struct order *order, compare_function compare)
{
	for (size_t i = 1; i < order->n; i++)
		if (compare(&order->items[i - 1], &order->items[i]) == 0)
			return order->items[i - 1] > order->items[i] ? order->items[i - 1] : order->items[i];
	return NULL;
}

/* The same for an array. */
static int find_twice(const void *items, size_t n, size_t size, compare_function compare, const void **ret)
{
	_cleanup_(order_clear) struct order order = { 0 };

	*ret = NULL;
	if (n < 2)
		return 0;
	if (order_make(&order, items, n, size, compare) < 0)
		return -ENOMEM;
	*ret = order_twice(&order, compare);
	return 0;
}

static int compare_groups(const void *a, const void *b)
{
	const struct group *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int compare_members(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;

	return (*x)->kind != (*y)->kind ? (int)(*x)->kind - (int)(*y)->kind : strcmp((*x)->name, (*y)->name);
}

static int compare_interfaces(const void *a, const void *b)
{
	const struct interface_entry *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int compare_dismissed(const void *a, const void *b)
{
	const struct dismissal *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

static int compare_texts(const void *a, const void *b)
{
	char *const *const *x = a, *const *const *y = b;

	return strcmp(**x, **y);
}

static int compare_publish(const void *a, const void *b)
{
	const struct publish *const *x = a, *const *y = b;

	return memcmp(&(*x)->port, &(*y)->port, sizeof((*x)->port));
}

struct source {
	const struct member *rule;
	const struct prefix *prefix;
};

static int compare_sources(const void *a, const void *b)
{
	const struct source *const *x = a, *const *y = b;
	const struct prefix *p = (*x)->prefix, *q = (*y)->prefix;
	int r = strcmp((*x)->rule->interface, (*y)->rule->interface);

	if (r == 0)
		r = addr_compare(&p->addr, &q->addr);
	return r ? r : (int)p->length - (int)q->length;
}

/* Who and where before the message that is there. */
static int fault_wrap(const struct check *c, const char *word)
{
	char shown[WORD_SHOW_MAX];

	if (c->error->code == ENOMEM)
		return -ENOMEM;
	c->fault->place = c->place;
	snprintf(c->fault->word, sizeof(c->fault->word), "%s", word);
	if (c->name)
		return error_wrap(c->error, "%s '%s'", c->what, word_show(c->name, shown));
	return error_wrap(c->error, "%s", c->what);
}

static int fault(const struct check *c, const char *word, const char *format, ...) _printf_(3, 4);
static int fault(const struct check *c, const char *word, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(c->error, EINVAL, "%s", text);
	return fault_wrap(c, word);
}

static int no_memory(const struct check *c)
{
	return error_memory(c->error);
}

/* The nearest name among the groups, or among the members of a kind; NULL without one. */
static const char *nearest_name(const struct check *c, bool group, enum member_kind kind, const char *word)
{
	const struct policy *policy = c->policy;
	size_t room = group ? policy->n_groups : policy->n_members, n = 0;
	_cleanup_free_ const char **names = room ? calloc(room, sizeof(*names)) : NULL;

	for (size_t i = 0; names && i < room; i++) {
		if (group)
			names[n++] = policy->groups[i].name;
		else if (policy->members[i].kind == kind)
			names[n++] = policy->members[i].name;
	}
	return names ? nearest(word, names, n) : NULL;
}

static bool has_member(const struct check *c, enum member_kind kind, const char *name)
{
	const struct member key = { .kind = kind, .name = (char *)name }, *pointer = &key;

	return c->members.n &&
	       bsearch(&pointer, c->members.items, c->members.n, sizeof(*c->members.items), compare_members);
}

/* `word` is what stands in the document: the name, or the selector with it. */
static int check_group(const struct check *c, const char *name, const char *word)
{
	const struct group key = { .name = (char *)name }, *pointer = &key;
	char shown[WORD_SHOW_MAX];
	const char *near;

	if (c->groups.n && bsearch(&pointer, c->groups.items, c->groups.n, sizeof(*c->groups.items), compare_groups))
		return 0;
	near = nearest_name(c, true, 0, name);
	word_show(name, shown);
	if (near)
		return fault(c, word, "the group '%s' has no entry in groups; did you mean '%s'?", shown, near);
	return fault(c, word, "the group '%s' has no entry in groups: add {name: %s} there", shown, shown);
}

static int check_rule_name(const struct check *c, const char *name, const char *word)
{
	char shown[WORD_SHOW_MAX];
	const char *near;

	if (has_member(c, MEMBER_RULE, name))
		return 0;
	near = nearest_name(c, false, MEMBER_RULE, name);
	word_show(name, shown);
	if (near)
		return fault(c, word, "the rule '%s' has no entry in rules; did you mean '%s'?", shown, near);
	return fault(c, word, "the rule '%s' has no entry in rules", shown);
}

/*
 * A bare name may belong to a container that is not there yet. One that reads like a zone would quietly select
 * nothing, which in a block opens what was to be closed.
 */
static int check_bare_name(const struct check *c, const char *name)
{
	static const char *const long_zones[] = { "internet", "upstream" };
	const char *zone = strlen(name) > 5 ? nearest(name, long_zones, ELEMENTSOF(long_zones)) : NULL;
	char shown[WORD_SHOW_MAX];

	for (int i = 0; i < _MEMBER_KIND_MAX; i++)
		if (has_member(c, (enum member_kind)i, name))
			return 0;
	if (strcasecmp(name, "wan") == 0)
		zone = zone_name(ZONE_INTERNET);
	for (int i = 0; i < _ZONE_MAX; i++)
		if (strcasecmp(name, zone_name((enum zone)i)) == 0)
			zone = zone_name((enum zone)i);
	if (!zone)
		return 0;
	word_show(name, shown);
	return fault(c, name, "nothing is called '%s'; did you mean the zone '%s'? If it is a container: container:%s",
		     shown, zone, shown);
}

/* What code put in by hand has to be something that a document can say. */
static int check_selector_form(const struct check *c, const struct selector *selector, const char *text)
{
	struct selector back;
	bool same;
	int r = selector_parse(text, &back, c->error);

	if (r < 0)
		return fault_wrap(c, text);
	same = back.kind == selector->kind && back.member_kind == selector->member_kind;
	selector_clear(&back);
	if (!same)
		return fault(c, text, "the name '%s' means something else when it stands alone: use KIND:NAME", text);
	return 0;
}

static int check_selector(const struct check *c, const struct selector *selector)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (selector->kind == SELECT_ZONE)
		return 0;
	if (!selector->name)
		return fault(c, "", "a selector without a name");
	text = selector_print(selector);
	if (!text)
		return no_memory(c);
	r = check_selector_form(c, selector, text);
	if (r < 0)
		return r;
	if (selector->kind == SELECT_GROUP)
		return check_group(c, selector->name, text);
	if (selector->kind == SELECT_MEMBER && selector->member_kind == MEMBER_RULE)
		return check_rule_name(c, selector->name, text);
	return selector->kind == SELECT_NAME ? check_bare_name(c, selector->name) : 0;
}

static int check_port(const struct check *c, const struct port_range *port)
{
	if (port->any_port ? port->proto != 0 : port->first > 0 && port->first <= port->last)
		return 0;
	return fault(c, "", "there is a port that cannot be: %u-%u", port->first, port->last);
}

/* Names of groups or tags. */
static int check_words(const struct check *c, char *const *words, size_t n)
{
	const void *twice;

	for (size_t i = 0; i < n; i++)
		if (group_name_check(words[i], c->error) < 0)
			return fault_wrap(c, words[i]);
	if (find_twice(words, n, sizeof(*words), compare_texts, &twice) < 0)
		return no_memory(c);
	if (!twice)
		return 0;
	c->fault->skip = 1;
	return fault(c, *(char *const *)twice, "'%s' is in one list twice", *(char *const *)twice);
}

static int check_publish(const struct check *c, const struct member *member)
{
	const void *twice;
	char text[24];

	for (size_t i = 0; i < member->n_publish; i++) {
		const struct publish *publish = &member->publish[i];
		int r = check_port(c, &publish->port);

		port_range_print(&publish->port, text);
		if (r >= 0 && publish->port.any_port)
			r = fault(c, text, "publish takes a port, and the protocol %s has none", text);
		for (size_t j = 0; r >= 0 && j < publish->n_to; j++)
			r = check_selector(c, &publish->to[j]);
		if (r < 0)
			return r;
	}
	if (find_twice(member->publish, member->n_publish, sizeof(*member->publish), compare_publish, &twice) < 0)
		return no_memory(c);
	if (!twice)
		return 0;
	port_range_print(&((const struct publish *)twice)->port, text);
	c->fault->skip = 1;
	return fault(c, text, "the port %s is published twice: make one entry of them", text);
}

static int check_rule(const struct check *c, const struct member *rule)
{
	char text[ADDR_TEXT_MAX], prefix[PREFIX_TEXT_MAX];

	if (!rule->interface || rule->n_source == 0)
		return fault(c, "", "a rule needs an interface and at least one source");
	if (interface_name_check(rule->interface, c->error) < 0)
		return fault_wrap(c, rule->interface);
	for (size_t i = 0; i < rule->n_source; i++) {
		prefix_text(&rule->source[i], prefix);
		addr_text(&rule->route_dst, text);
		if (rule->route_dst.family && rule->route_dst.family != rule->source[i].addr.family)
			return fault(c, text, "route_dst %s and the source %s are not both IPv4 or both IPv6", text,
				     prefix);
	}
	return 0;
}

static int check_member(struct check *c, const struct member *member)
{
	int r;

	c->what = member_kind_name(member->kind);
	c->name = member->name;
	c->place = member->place;
	if (member_name_check(member->name, c->error) < 0)
		return fault_wrap(c, member->name);
	if (member->comment && comment_check(member->comment, c->error) < 0)
		return fault_wrap(c, member->comment);
	if (policies_check(member->policies, c->error) < 0)
		return fault_wrap(c, "");
	r = check_words(c, member->groups, member->n_groups);
	for (size_t i = 0; r >= 0 && i < member->n_groups; i++)
		r = check_group(c, member->groups[i], member->groups[i]);
	if (r >= 0)
		r = check_words(c, member->tags, member->n_tags);
	if (r >= 0 && member->kind == MEMBER_CONTAINER)
		r = check_publish(c, member);
	return r >= 0 && member->kind == MEMBER_RULE ? check_rule(c, member) : r;
}

static int check_members(struct check *c)
{
	const struct member *twice = order_twice(&c->members, compare_members);

	for (size_t i = 0; i < c->policy->n_members; i++) {
		int r = check_member(c, &c->policy->members[i]);

		if (r < 0)
			return r;
	}
	if (!twice)
		return 0;
	c->what = member_kind_name(twice->kind);
	c->name = twice->name;
	c->place = twice->place;
	return fault(c, "", "there are two entries of this name: make one of them");
}

static size_t rule_sources(const struct member *member)
{
	return member->kind == MEMBER_RULE ? member->n_source : 0;
}

/* No two rules may own the same range of the same interface: an address would have two members. */
static int check_sources(struct check *c)
{
	_cleanup_free_ struct source *sources = NULL;
	const struct policy *policy = c->policy;
	const struct source *found;
	char text[PREFIX_TEXT_MAX];
	const void *twice;
	size_t n = 0, room = 0;

	for (size_t i = 0; i < policy->n_members; i++)
		room += rule_sources(&policy->members[i]);
	sources = room ? calloc(room, sizeof(*sources)) : NULL;
	if (room && !sources)
		return no_memory(c);
	for (size_t i = 0; i < policy->n_members; i++)
		for (size_t j = 0; j < rule_sources(&policy->members[i]); j++)
			sources[n++] = (struct source){ &policy->members[i], &policy->members[i].source[j] };
	if (find_twice(sources, n, sizeof(*sources), compare_sources, &twice) < 0)
		return no_memory(c);
	if (!twice)
		return 0;
	found = twice;
	c->what = "rule";
	c->name = found->rule->name;
	c->place = found->rule->place;
	prefix_text(found->prefix, text);
	for (const struct source *source = sources; source < found; source++)
		c->fault->skip += source->rule == found->rule && compare_sources(&source, &found) == 0;
	return fault(c, text, "the range %s of %s is here twice, or in two rules: one address can be one member only",
		     text, found->rule->interface);
}

static int check_interfaces(struct check *c)
{
	const struct policy *policy = c->policy;
	const struct interface_entry *entry;
	const void *twice;

	c->what = "interface";
	for (size_t i = 0; i < policy->n_interfaces; i++) {
		entry = &policy->interfaces[i];
		c->name = entry->name;
		c->place = entry->place;
		if (interface_name_check(entry->name, c->error) < 0)
			return fault_wrap(c, entry->name);
		if (entry->role <= ROLE_NONE || entry->role >= _ROLE_MAX)
			return fault(c, "", "an interface entry needs a role");
	}
	if (find_twice(policy->interfaces, policy->n_interfaces, sizeof(*entry), compare_interfaces, &twice) < 0)
		return no_memory(c);
	if (!twice)
		return 0;
	entry = twice;
	c->name = entry->name;
	c->place = entry->place;
	return fault(c, "", "there are two entries of this interface: it has one role");
}

static int check_groups(struct check *c)
{
	const struct group *twice = order_twice(&c->groups, compare_groups);

	c->what = "group";
	for (size_t i = 0; i < c->policy->n_groups; i++) {
		c->name = c->policy->groups[i].name;
		c->place = c->policy->groups[i].place;
		if (group_name_check(c->name, c->error) < 0)
			return fault_wrap(c, c->name);
	}
	if (!twice)
		return 0;
	c->name = twice->name;
	c->place = twice->place;
	return fault(c, "", "there are two entries of this name: make one of them");
}

static int check_grants(struct check *c, const char *what, const struct grant *grants, size_t n)
{
	c->what = what;
	c->name = NULL;
	for (size_t i = 0; i < n; i++) {
		const struct grant *grant = &grants[i];
		int r;

		c->place = grant->place;
		r = check_selector(c, &grant->from);
		if (r >= 0)
			r = check_selector(c, &grant->to);
		for (size_t j = 0; r >= 0 && j < grant->n_ports; j++)
			r = check_port(c, &grant->ports[j]);
		if (r < 0)
			return r;
		if (grant->comment && comment_check(grant->comment, c->error) < 0)
			return fault_wrap(c, grant->comment);
		if (grant->expires < 0 || grant->expires > EXPIRES_MAX)
			return fault(c, "", "the end is not between 1970 and the year 9999");
	}
	return 0;
}

/* "container:a:53" without a port would be read as the port 53 of container:a. */
static int check_target_form(const struct check *c, const struct target *target)
{
	_cleanup_free_ char *text = target_print(target), *again = NULL;
	struct target back = { 0 };

	if (!text)
		return no_memory(c);
	if (target_parse(text, &back, c->error) < 0)
		return fault_wrap(c, text);
	again = selector_print(&back.selector);
	selector_clear(&back.selector);
	if (back.has_port == target->has_port && again && strncmp(text, again, strlen(again)) == 0 &&
	    (target->has_port || strcmp(text, again) == 0))
		return 0;
	return fault(c, text, "'%s' reads like a name and a port: say the port that is meant", text);
}

static int check_tests(struct check *c)
{
	c->what = "test";
	c->name = NULL;
	for (size_t i = 0; i < c->policy->n_tests; i++) {
		const struct test *test = &c->policy->tests[i];
		int r;

		c->place = test->place;
		r = check_selector(c, &test->from);
		if (r >= 0)
			r = check_selector(c, &test->to.selector);
		if (r >= 0 && test->to.has_port)
			r = check_port(c, &test->to.port);
		if (r >= 0)
			r = check_target_form(c, &test->to);
		if (r >= 0 && test->to.has_port && test->to.port.first != test->to.port.last)
			r = fault(c, "", "a test asks for one port: make a test of each that matters");
		if (r < 0)
			return r;
		if (test->comment && comment_check(test->comment, c->error) < 0)
			return fault_wrap(c, test->comment);
	}
	return 0;
}

static int check_dismissed(struct check *c)
{
	const struct policy *policy = c->policy;
	const struct dismissal *entry;
	const void *twice;

	c->what = "dismissed";
	for (size_t i = 0; i < policy->n_dismissed; i++) {
		entry = &policy->dismissed[i];
		c->name = entry->id;
		c->place = entry->place;
		if (group_name_check(entry->id, c->error) < 0)
			return fault_wrap(c, entry->id);
		if (entry->comment && comment_check(entry->comment, c->error) < 0)
			return fault_wrap(c, entry->comment);
	}
	if (find_twice(policy->dismissed, policy->n_dismissed, sizeof(*entry), compare_dismissed, &twice) < 0)
		return no_memory(c);
	if (!twice)
		return 0;
	entry = twice;
	c->name = entry->id;
	c->place = entry->place;
	return fault(c, "", "this request is dismissed twice: make one entry of them");
}

static int check_all(struct check *c)
{
	const struct policy *policy = c->policy;
	int r = check_interfaces(c);

	if (r >= 0)
		r = check_groups(c);
	if (r >= 0)
		r = check_members(c);
	if (r >= 0)
		r = check_sources(c);
	if (r >= 0)
		r = check_grants(c, "allow", policy->allow, policy->n_allow);
	if (r >= 0)
		r = check_grants(c, "block", policy->block, policy->n_block);
	if (r >= 0)
		r = check_tests(c);
	if (r >= 0)
		r = check_dismissed(c);
	if (r >= 0 && policy->settings.connections > CONNECTIONS_MAX)
		r = error_set(c->error, EINVAL, "settings: connections is too large: at most %u", CONNECTIONS_MAX);
	return r;
}

int policy_find_fault(const struct policy *policy, struct fault *fault, struct error *error)
{
	struct check c = { .policy = policy, .fault = fault, .error = error };
	int r = -ENOMEM;

	*fault = (struct fault){ 0 };
	if (order_make(&c.groups, policy->groups, policy->n_groups, sizeof(*policy->groups), compare_groups) >= 0 &&
	    order_make(&c.members, policy->members, policy->n_members, sizeof(*policy->members), compare_members) >= 0)
		r = check_all(&c);
	else
		error_memory(error);
	order_clear(&c.groups);
	order_clear(&c.members);
	return r;
}

int policy_check(const struct policy *policy, struct error *error)
{
	struct error local = { 0 };
	struct fault fault;
	int r;

	if (!error)
		error = &local;
	r = policy_find_fault(policy, &fault, error);
	if (r == -EINVAL && fault.place.line > 0)
		return error_wrap(error, "%u:%u", fault.place.line, fault.place.column);
	return r;
}
