/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/compile.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "ruleset/stmt.h"
#include "verdict/verdict.h"

/* clang-format off */
#define ONE(a) 1, { FIELD_##a }
#define TWO(a, b) 2, { FIELD_##a, FIELD_##b }
#define THREE(a, b, c) 3, { FIELD_##a, FIELD_##b, FIELD_##c }
#define FIVE(a, b, c, d, e) 5, { FIELD_##a, FIELD_##b, FIELD_##c, FIELD_##d, FIELD_##e }
#define FOUR(a, b, c, d) 4, { FIELD_##a, FIELD_##b, FIELD_##c, FIELD_##d }
/* clang-format on */

#define NOBODY 0xffff /* the target of a port that nobody may reach: no class has this number */

enum set_flag { PLAIN, INTERVAL, TIMEOUT, DYNAMIC, RENEWED };

/* The sets that are the same on every machine; those of a class are made with it. */
static const struct set_row {
	const char *name;
	enum set_data data;
	enum set_flag flag;
	uint32_t size;
	size_t n_fields;
	enum field fields[STMT_FIELDS_MAX];
} rows[] = {
	/* interfaces */
	{ "entrances", DATA_VERDICT, PLAIN, 0, ONE(IIFNAME) }, /* how who sent it is known there */
	{ "arrivals", DATA_VERDICT, PLAIN, 0, ONE(FIB_DADDR_TYPE) },
	{ "bridges", DATA_NONE, PLAIN, 0, ONE(IIFNAME) }, /* of container networks */
	{ "uplink_names", DATA_NONE, PLAIN, 0, ONE(IIFNAME) },
	{ "uplinks", DATA_NONE, PLAIN, 0, ONE(FIB_SADDR_OIF) },
	{ "lans", DATA_NONE, PLAIN, 0, ONE(IIFNAME) },
	{ "kept", DATA_NONE, PLAIN, 0, ONE(IIFNAME) }, /* the machine's own rules decide there */
	{ "alike", DATA_NONE, PLAIN, 0, TWO(IIFNAME, OIFNAME) }, /* inside a bridge that is no engine's */
	{ "same", DATA_NONE, PLAIN, 0, TWO(IIFNAME, OIFNAME) }, /* inside a container network that lets them talk */
	{ "limited", DATA_NONE, PLAIN, 0, ONE(IIFNAME) },
	{ "masqueraded", DATA_NONE, INTERVAL, 0, TWO(IIFNAME, IP_SADDR) },
	/* who is where */
	{ "id4", DATA_PRIORITY, PLAIN, 0, TWO(IIFNAME, IP_SADDR) },
	{ "id6", DATA_PRIORITY, PLAIN, 0, TWO(IIFNAME, IP6_SADDR) },
	{ "sources", DATA_VERDICT, PLAIN, 0, ONE(IIFNAME) }, /* the ranges behind an interface */
	{ "targets", DATA_VERDICT, PLAIN, 0, ONE(OIFNAME) },
	{ "here4", DATA_PRIORITY, PLAIN, 0, ONE(IP_DADDR) },
	{ "here6", DATA_PRIORITY, PLAIN, 0, ONE(IP6_DADDR) },
	{ "resolver4", DATA_NONE, PLAIN, 0, ONE(IP_DADDR) },
	{ "resolver6", DATA_NONE, PLAIN, 0, ONE(IP6_DADDR) },
	/* published ports */
	{ "published4", DATA_NONE, PLAIN, 0, TWO(L4PROTO, TH_DPORT) },
	{ "published6", DATA_NONE, PLAIN, 0, TWO(L4PROTO, TH_DPORT) },
	{ "wild4", DATA_PRIORITY, PLAIN, 0, TWO(L4PROTO, TH_DPORT) },
	{ "wild6", DATA_PRIORITY, PLAIN, 0, TWO(L4PROTO, TH_DPORT) },
	{ "bound4", DATA_PRIORITY, PLAIN, 0, THREE(IP_DADDR, L4PROTO, TH_DPORT) },
	{ "bound6", DATA_PRIORITY, PLAIN, 0, THREE(IP6_DADDR, L4PROTO, TH_DPORT) },
	{ "dialled4", DATA_PRIORITY, PLAIN, 0, FIVE(OIFNAME, IP_DADDR, L4PROTO, TH_DPORT, CT_PROTO_DST) },
	{ "dialled6", DATA_PRIORITY, PLAIN, 0, FIVE(OIFNAME, IP6_DADDR, L4PROTO, TH_DPORT, CT_PROTO_DST) },
	/* classes */
	{ "classes", DATA_VERDICT, PLAIN, 0, ONE(PRIORITY) },
	{ "muted", DATA_VERDICT, PLAIN, 0, ONE(PRIORITY) }, /* disabled, or in quarantine */
	/* local users */
	{ "guarded_bridges", DATA_NONE, PLAIN, 0, ONE(OIFNAME) },
	{ "guarded_ports", DATA_NONE, PLAIN, 0, TWO(L4PROTO, TH_DPORT) },
	/* run time */
	{ SET_ENDED4, DATA_NONE, RENEWED, 65536, FOUR(IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT) },
	{ SET_ENDED6, DATA_NONE, RENEWED, 65536, FOUR(IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT) },
	{ SET_CUT4, DATA_NONE, RENEWED, 65536, FIVE(IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT, TH_DPORT) },
	{ SET_CUT6, DATA_NONE, RENEWED, 65536, FIVE(IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT, TH_DPORT) },
	{ SET_GRACE, DATA_NONE, TIMEOUT, 8, ONE(L4PROTO) },
	{ "flows4", DATA_NONE, DYNAMIC, 65536, ONE(IP_SADDR) },
	{ "flows6", DATA_NONE, DYNAMIC, 65536, ONE(IP6_SADDR) },
	{ "lan_flows4", DATA_NONE, DYNAMIC, 65536, ONE(IP_SADDR) },
	{ "lan_flows6", DATA_NONE, DYNAMIC, 65536, ONE(IP6_SADDR) },
	{ "logged4", DATA_NONE, RENEWED, 65536, TWO(IIFNAME, IP_SADDR) }, /* how much of each stands in the log */
	{ "logged6", DATA_NONE, RENEWED, 65536, TWO(IIFNAME, IP6_SADDR) },
	/* constants */
	{ "dns_protos", DATA_NONE, PLAIN, 0, ONE(L4PROTO) },
	{ "unaddressed", DATA_NONE, PLAIN, 0, ONE(ICMPV6_TYPE) },
	{ "neighbour", DATA_NONE, PLAIN, 0, ONE(ICMPV6_TYPE) },
	{ "listener", DATA_NONE, PLAIN, 0, ONE(ICMPV6_TYPE) },
	{ "icmp_errors", DATA_NONE, PLAIN, 0, ONE(ICMP_TYPE) },
	{ "icmpv6_errors", DATA_NONE, PLAIN, 0, ONE(ICMPV6_TYPE) },
	{ "dhcp_servers", DATA_NONE, PLAIN, 0, ONE(TH_DPORT) },
};

/* clang-format off */
static const struct {
	const char *set;
	uint32_t number;
} constants[] = {
	{ "dns_protos", IPPROTO_TCP },
	{ "dns_protos", IPPROTO_UDP },
	{ "unaddressed", 131 }, /* listener report, RFC 2710 */
	{ "unaddressed", 133 }, /* router solicitation, RFC 4861 */
	{ "unaddressed", 135 }, /* neighbour solicitation */
	{ "unaddressed", 143 }, /* listener report, RFC 3810 */
	{ "neighbour", 135 },
	{ "neighbour", 136 },
	{ "listener", 130 },
	{ "listener", 131 },
	{ "listener", 132 },
	{ "listener", 143 },
	{ "icmp_errors", 3 },
	{ "icmp_errors", 11 },
	{ "icmp_errors", 12 },
	{ "icmpv6_errors", 1 },
	{ "icmpv6_errors", 2 },
	{ "icmpv6_errors", 3 },
	{ "icmpv6_errors", 4 },
	{ "dhcp_servers", 67 },
	{ "dhcp_servers", 547 },
};
/* clang-format on */

static int add_sets(struct ruleset *ruleset)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct set *set =
			ruleset_add_set(ruleset, rows[i].name, rows[i].data, rows[i].fields, rows[i].n_fields);

		if (!set)
			return -ENOMEM;
		set->interval = rows[i].flag == INTERVAL;
		set->timeout = rows[i].flag == TIMEOUT || rows[i].flag == RENEWED;
		set->dynamic = rows[i].flag == DYNAMIC || rows[i].flag == RENEWED;
		set->size = rows[i].size;
	}
	return 0;
}

static int put_number(struct ruleset *ruleset, const char *name, uint32_t number)
{
	struct set *set = ruleset_set(ruleset, name);
	struct element *element = set_add(set);

	if (!element)
		return -ENOMEM;
	key_put_number(set, element->key, 0, number);
	return 0;
}

static int put_name(struct ruleset *ruleset, const char *name, const char *interface)
{
	struct set *set = ruleset_set(ruleset, name);
	struct element *element = set_add(set);

	if (!element)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_fields; i++)
		key_put_name(set, element->key, i, interface);
	return 0;
}

static int put_entrance(struct ruleset *ruleset, const char *interface, const char *chain)
{
	struct set *set = ruleset_set(ruleset, "entrances");
	struct element *element = set_add(set);

	if (!element)
		return -ENOMEM;
	key_put_name(set, element->key, 0, interface);
	snprintf(element_chain(set, element), CHAIN_MAX, "%s", chain);
	return 0;
}

static int put_addr(struct ruleset *ruleset, const char *name, const struct addr *addr, uint32_t data)
{
	struct set *set = ruleset_set(ruleset, name);
	struct element *element = set_add(set);

	if (!element)
		return -ENOMEM;
	key_put_addr(set, element->key, 0, addr);
	element->data = data;
	return 0;
}

/* `addr` NULL: a wildcard's set, which has no address. */
static int put_port(struct ruleset *ruleset, const char *name, const struct addr *addr, uint8_t proto, uint16_t port,
		    uint32_t data)
{
	struct set *set = ruleset_set(ruleset, name);
	struct element *element = set_add(set);
	size_t i = 0;

	if (!element)
		return -ENOMEM;
	if (addr)
		key_put_addr(set, element->key, i++, addr);
	key_put_number(set, element->key, i++, proto);
	key_put_number(set, element->key, i, port);
	element->data = data;
	return 0;
}

static int put_masqueraded(struct ruleset *ruleset, const struct network *network)
{
	struct set *set = ruleset_set(ruleset, "masqueraded");

	for (size_t i = 0; network->masquerade && i < network->n_subnets; i++) {
		struct range range = prefix_range(&network->subnets[i]);
		struct element *element;

		if (range.first.family != AF_INET)
			continue;
		element = set_add(set);
		if (!element)
			return -ENOMEM;
		key_put_name(set, element->key, 0, network->bridge);
		key_put_addr(set, element->key, 1, &range.first);
		key_put_name(set, element_key_end(set, element), 0, network->bridge);
		key_put_addr(set, element_key_end(set, element), 1, &range.last);
	}
	return 0;
}

static int put_bridge(struct ruleset *ruleset, const struct model *model, const struct network *network)
{
	const struct member *entry = model_entry(model, MEMBER_NETWORK, network->name);
	bool isolate = entry && entry->isolate >= 0 ? entry->isolate : !network->icc;
	int r = put_name(ruleset, "bridges", network->bridge);

	if (r >= 0)
		r = put_entrance(ruleset, network->bridge, "guard-container");
	if (r >= 0)
		r = put_name(ruleset, "limited", network->bridge);
	if (r >= 0)
		r = put_masqueraded(ruleset, network);
	if (r >= 0 && !isolate)
		r = put_name(ruleset, "same", network->bridge);
	if (r >= 0 && model->policy->settings.local_users == LOCAL_USERS_ROOT)
		r = put_name(ruleset, "guarded_bridges", network->bridge);
	return r;
}

static int put_role(struct ruleset *ruleset, const struct model *model, const struct interface_role *role)
{
	const char *name = role->interface->name;
	int r = 0;

	switch (role->role) {
	case ROLE_UPLINK:
		r = put_name(ruleset, "uplink_names", name);
		if (r >= 0)
			r = put_number(ruleset, "uplinks", role->interface->index);
		if (r >= 0 && !role->network)
			r = put_entrance(ruleset, name, "guard-uplink");
		break;
	case ROLE_LAN:
		r = put_name(ruleset, "lans", name);
		if (r >= 0)
			r = put_name(ruleset, "limited", name);
		break;
	default:
		break;
	}
	if (r >= 0 && !model->router && (role->role == ROLE_UPLINK || role->role == ROLE_OTHER))
		r = put_name(ruleset, "kept", name);
	if (r >= 0 && role->role != ROLE_NONE && role->role != ROLE_CONTAINER &&
	    strcmp(role->interface->kind, "bridge") == 0)
		r = put_name(ruleset, "alike", name);
	return r;
}

static int put_interfaces(struct ruleset *ruleset, const struct model *model)
{
	const struct inventory *inventory = model->inventory;
	int r = 0;

	for (size_t i = 0; i < inventory->n_networks && r >= 0; i++)
		if (inventory->networks[i].bridge[0])
			r = put_bridge(ruleset, model, &inventory->networks[i]);
	for (size_t i = 0; i < model->n_roles && r >= 0; i++)
		r = put_role(ruleset, model, &model->roles[i]);
	return r;
}

static int put_location(struct ruleset *ruleset, const struct model *model, const struct location *location,
			struct set *id4, struct set *id6)
{
	bool six = location->range.first.family == AF_INET6;
	uint32_t number = model->classes[location->class].number;
	struct set *set = six ? id6 : id4;
	struct element *element;

	if (!location->interface[0]) /* this machine: target-host names its class */
		return put_addr(ruleset, six ? "here6" : "here4", &location->range.first, number);
	element = set_add(set);
	if (!element)
		return -ENOMEM;
	key_put_name(set, element->key, 0, location->interface);
	key_put_addr(set, element->key, 1, &location->range.first);
	element->data = number;
	return 0;
}

static int put_locations(struct ruleset *ruleset, const struct model *model, struct error *error)
{
	struct set *id4 = ruleset_set(ruleset, "id4"), *id6 = ruleset_set(ruleset, "id6");
	size_t n_ranges = model->n_locations - model->n_singles;

	for (size_t i = 0; i < model->n_singles; i++)
		if (put_location(ruleset, model, &model->locations[i], id4, id6) < 0)
			return error_memory(error);
	set_give_room(id4);
	set_give_room(id6);
	if (put_ranges(ruleset, model) < 0)
		return error_memory(error);
	if (n_ranges > COMPILE_RANGES_MAX)
		return error_set(error, E2BIG,
				 "rules and routes make %zu address ranges, more than %d: use fewer or larger sources",
				 n_ranges, COMPILE_RANGES_MAX);
	return 0;
}

static int put_resolver(struct ruleset *ruleset, const struct model *model)
{
	const struct addr *resolver = &model->resolver;

	if (!resolver->family)
		return 0;
	return put_addr(ruleset, resolver->family == AF_INET6 ? "resolver6" : "resolver4", resolver, 0);
}

/* A port that the engine publishes: where its proxy listens, and who is behind it. */
static int put_front(struct ruleset *ruleset, const struct model *model, const struct port_front *front)
{
	const struct port_binding *port = &front->binding;
	bool six = port->host.family == AF_INET6;
	bool nobody = front->front == FRONT_NOBODY;
	uint32_t number = nobody ? NOBODY : model->fronts[front->front].number;
	bool guarded = model->policy->settings.local_users == LOCAL_USERS_ROOT;
	int r;

	if (addr_is_any(&port->host)) {
		r = put_port(ruleset, six ? "wild6" : "wild4", NULL, port->proto, port->host_port, number);
		if (r >= 0 && !nobody)
			r = put_port(ruleset, six ? "published6" : "published4", NULL, port->proto, port->host_port, 0);
	} else {
		r = put_port(ruleset, six ? "bound6" : "bound4", &port->host, port->proto, port->host_port, number);
	}
	if (r >= 0 && guarded && (addr_is_any(&port->host) || addr_is_loopback(&port->host)))
		r = put_port(ruleset, "guarded_ports", NULL, port->proto, port->host_port, 0);
	return r;
}

/* Where NAT leads what was dialled at a published port. */
static int put_dialled(struct ruleset *ruleset, const struct model *model, const struct location *location)
{
	bool six = location->range.first.family == AF_INET6;
	struct set *set = ruleset_set(ruleset, six ? "dialled6" : "dialled4");

	for (size_t i = 0; i < location->n_published; i++) {
		const struct published_port *published = &model->published[location->first_published + i];
		struct element *element = set_add(set);

		if (!element)
			return -ENOMEM;
		key_put_name(set, element->key, 0, location->interface);
		key_put_addr(set, element->key, 1, &location->range.first);
		key_put_number(set, element->key, 2, published->binding.proto);
		key_put_number(set, element->key, 3, published->binding.container_port);
		key_put_number(set, element->key, 4, published->binding.host_port);
		element->data = model->fronts[published->front].number;
	}
	return 0;
}

static int put_fronts(struct ruleset *ruleset, const struct model *model)
{
	int r = 0;

	for (size_t i = 0; i < model->n_port_fronts && r >= 0; i++)
		r = put_front(ruleset, model, &model->port_fronts[i]);
	for (size_t i = 0; i < model->n_publishing && r >= 0; i++)
		r = put_dialled(ruleset, model, &model->locations[model->publishing[i]]);
	return r;
}

/* What is for an address of this machine, and what is for everybody on a link. */
static int put_arrivals(struct ruleset *ruleset)
{
	static const struct {
		uint32_t type;
		const char *chain;
	} arrivals[] = { { FIB_LOCAL, "arrival-local" }, { FIB_BROADCAST, "arrival-broadcast" } };
	struct set *set = ruleset_set(ruleset, "arrivals");

	for (size_t i = 0; i < ELEMENTSOF(arrivals); i++) {
		struct element *element = set_add(set);

		if (!element)
			return -ENOMEM;
		key_put_number(set, element->key, 0, arrivals[i].type);
		snprintf(element_chain(set, element), CHAIN_MAX, "%s", arrivals[i].chain);
	}
	return 0;
}

static int put_constants(struct ruleset *ruleset)
{
	int r = put_arrivals(ruleset);

	for (size_t i = 0; i < ELEMENTSOF(constants) && r >= 0; i++)
		r = put_number(ruleset, constants[i].set, constants[i].number);
	return r;
}

int ruleset_compile(const struct model *model, const struct compile_options *options, struct ruleset **ret,
		    struct error *error)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = ruleset_new();
	int r;

	if (!ruleset || add_sets(ruleset) < 0 || put_constants(ruleset) < 0 ||
	    chains_fill(ruleset, model, options) < 0 || put_interfaces(ruleset, model) < 0 ||
	    put_resolver(ruleset, model) < 0 || put_fronts(ruleset, model) < 0 || put_classes(ruleset, model) < 0)
		return error_memory(error);
	r = put_locations(ruleset, model, error);
	if (r < 0)
		return r;
	ruleset_finish(ruleset);
	*ret = TAKE_PTR(ruleset);
	return 0;
}
