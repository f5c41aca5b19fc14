/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>

#include "base/array.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "kernel/sessions.h"
#include "ruleset/compile.h"

#define CUT_ADDRS_MAX 8 /* of more, listing everybody's is faster */
#define CUT_AT_ONCE 300 /* connections, a millisecond */
#define CUT_LATER 200 /* ms: what happens meanwhile is one walk */
#define CUT_SOON 5 /* ms: the answer is not to wait for a thread that keeps a processor busy */
#define ENDED_MAX 4096 /* remembered: each is looked at again at every change */

static bool is_local(const struct inventory *inventory, const struct addr *addr)
{
	return addr_is_loopback(addr) || inventory_interface_with(inventory, addr);
}

/* The interface that leads to an address, "" without one. */
static const char *interface_to(const struct inventory *inventory, const struct addr *addr)
{
	const struct route *best = NULL;
	const struct interface *interface;

	for (size_t i = 0; i < inventory->n_routes; i++) {
		const struct route *route = &inventory->routes[i];

		if (prefix_contains(&route->destination, addr) &&
		    (!best || route->destination.length > best->destination.length))
			best = route;
	}
	interface = best ? inventory_interface(inventory, best->interface) : NULL;
	return interface ? interface->name : "";
}

bool flow_packet(const struct daemon *daemon, const struct flow *flow, struct packet *ret)
{
	const struct inventory *inventory = daemon->inventory;

	if (is_local(inventory, &flow->from))
		return false;
	*ret = (struct packet){
		.in = interface_to(inventory, &flow->from),
		.out = is_local(inventory, &flow->reply_from) ? "" : interface_to(inventory, &flow->reply_from),
		.from = flow->from,
		.dialled = flow->to,
		.to = flow->reply_from,
		.proto = flow->proto,
		.from_port = flow->from_port,
		.dialled_port = flow->to_port,
		.to_port = flow->reply_from_port,
		.flow = FLOW_ORIGINAL,
	};
	/* Without a way there, nothing passes. */
	return ret->in[0] && (ret->out[0] || is_local(inventory, &flow->reply_from));
}

struct search {
	const struct daemon *daemon;
	struct flow *flows;
	size_t n_flows;
	struct port_bits taken; /* by services of this machine and published ports */
};

static int search_add(struct search *search, const struct flow *flow)
{
	struct flow *slot = ARRAY_ADD(search->flows, search->n_flows);

	if (!slot)
		return -ENOMEM;
	*slot = *flow;
	return 0;
}

/*
 * Connection tracking may know no ports of SCTP, DCCP and UDP-Lite. Then one entry is for all ports, of which some may be allowed;
 * what is forwarded is judged packet by packet anyway.
 */
static bool is_of_all_ports(const struct flow *flow, const struct packet *packet)
{
	return packet->out[0] && !flow->from_port && !flow->to_port && proto_has_ports(flow->proto);
}

static int look_at(const struct flow *flow, void *data)
{
	struct search *search = data;
	struct decision decision;
	struct packet packet;

	if (!flow_packet(search->daemon, flow, &packet) || is_of_all_ports(flow, &packet))
		return 0;
	verdict(search->daemon->model, &packet, &decision);
	return decision.accept ? 0 : search_add(search, flow);
}

static bool is_masqueraded(const struct inventory *inventory, const struct addr *addr)
{
	for (size_t i = 0; i < inventory->n_networks; i++)
		for (size_t k = 0; inventory->networks[i].masquerade && k < inventory->networks[i].n_subnets; k++)
			if (prefix_contains(&inventory->networks[i].subnets[k], addr))
				return true;
	return false;
}

/* A container's flow that has a service's port at this machine: what is sent to the service would reach the container. */
static int look_for_shadow(const struct flow *flow, void *data)
{
	struct search *search = data;
	const struct inventory *inventory = search->daemon->inventory;

	if ((flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP) ||
	    !port_bits_has(&search->taken, flow->reply_to_port) || addr_compare(&flow->reply_to, &flow->from) == 0 ||
	    !is_local(inventory, &flow->reply_to) || !is_masqueraded(inventory, &flow->from))
		return 0;
	return search_add(search, flow);
}

/* A server that keeps talking would open the flow again from its side. */
static void ended_key(const struct set *set, const struct flow *flow, uint8_t *key)
{
	key_put_addr(set, key, 0, &flow->reply_from);
	key_put_addr(set, key, 1, &flow->from);
	key_put_number(set, key, 2, flow->proto);
	key_put_number(set, key, 3, flow->reply_from_port);
}

/* What the other end of a flow with this machine sends: an answer, once this machine has sent again. */
static void cut_key(const struct set *set, const struct flow *flow, uint8_t *key)
{
	key_put_addr(set, key, 0, &flow->from);
	key_put_addr(set, key, 1, &flow->reply_from);
	key_put_number(set, key, 2, flow->proto);
	key_put_number(set, key, 3, flow->from_port);
	key_put_number(set, key, 4, flow->reply_from_port);
}

static const struct run_time_set {
	const char *name;
	uint8_t family;
	bool local; /* of flows with this machine only */
	void (*key)(const struct set *set, const struct flow *flow, uint8_t *key);
} sets[] = {
	{ SET_ENDED4, AF_INET, false, ended_key },
	{ SET_ENDED6, AF_INET6, false, ended_key },
	{ SET_CUT4, AF_INET, true, cut_key },
	{ SET_CUT6, AF_INET6, true, cut_key },
};

/* Where nobody answers nothing has to be silenced: whoever forges sources shall not fill the sets. */
static bool is_answered(const struct flow *flow)
{
	return !flow->status || flow->status & IPS_SEEN_REPLY; /* 0: a session, not read from the connection table */
}

static int put_flows(struct daemon *daemon, const struct run_time_set *row, const struct flow *flows, size_t n,
		     struct error *error)
{
	struct set set = set_like(ruleset_set(daemon->ruleset, row->name));
	int r = 0;

	for (size_t i = 0; i < n && set.n_elements < set.size / 2 && r >= 0; i++) {
		struct element *element;

		if (!is_answered(&flows[i]))
			continue;
		if (flows[i].from.family != row->family ||
		    row->local != is_local(daemon->inventory, &flows[i].reply_from))
			continue;
		element = set_add(&set);
		if (element)
			row->key(&set, &flows[i], element->key);
		else
			r = error_memory(error);
	}
	if (set.n_elements && r >= 0)
		r = nft_set_add(daemon->nft, &set, ENDED_SECONDS, error);
	free(set.elements);
	return r;
}

/*
 * So that it is heard again when policy accepts it again. The kernel counts its time anew with each packet that tries,
 * so the oldest leaves when there are too many, whatever its age: it then stays silent as long as it goes on trying.
 */
static void remember(struct daemon *daemon, const struct flow *flow)
{
	struct flow *slot;

	if (daemon->n_ended == ENDED_MAX)
		array_cut(daemon->ended, &daemon->n_ended, sizeof(*daemon->ended), 0);
	slot = ARRAY_ADD(daemon->ended, daemon->n_ended);
	if (slot)
		*slot = *flow;
}

/*
 * Both ends are silenced before the connection table forgets the flow: in between it could not be opened again. Where
 * that fails, forgetting is still worth it: the first error is told, and nothing stops at it.
 */
static int end_flows(struct daemon *daemon, const struct flow *flows, size_t n, bool tracked, struct error *error)
{
	struct error later, *tell = error;
	int result = 0;

	for (size_t i = 0; i < ELEMENTSOF(sets); i++) {
		int r = put_flows(daemon, &sets[i], flows, n, tell);

		if (r < 0 && result == 0) {
			result = r;
			tell = &later;
		}
	}
	for (size_t i = 0; i < n; i++) {
		int r = tracked ? conntrack_delete(daemon->conntrack, &flows[i], tell) : 0;

		if (is_answered(&flows[i]))
			remember(daemon, &flows[i]);
		if (r < 0 && result == 0) {
			result = r;
			tell = &later;
		}
	}
	return result;
}

static struct port_bits taken_ports(const struct daemon *daemon)
{
	const struct model *model = daemon->model;
	struct port_bits taken = daemon->inventory->busy;

	for (size_t i = 0; i < model->n_port_fronts; i++)
		port_bits_add(&taken, model->port_fronts[i].binding.host_port, model->port_fronts[i].binding.host_port);
	return taken;
}

/*
 * A port that is published or waited on anew is anybody's loss. Flows that have such a port come from before our source ports
 * were in force, or before the service was; sent on, they get another port.
 */
static int forget_shadows(struct daemon *daemon, const struct flow *flows, size_t n, struct error *error)
{
	struct search shadows = { .daemon = daemon, .taken = taken_ports(daemon) };
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = look_for_shadow(&flows[i], &shadows);
	for (size_t i = 0; i < shadows.n_flows && r >= 0; i++)
		r = conntrack_delete(daemon->conntrack, &shadows.flows[i], error);
	free(shadows.flows);
	return r == -ENOMEM ? error_memory(error) : r;
}

/* Ends those of them that the model does not accept. */
static int cut(struct daemon *daemon, const struct flow *flows, size_t n, struct error *error)
{
	struct search lost = { .daemon = daemon };
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = look_at(&flows[i], &lost);
	r = r < 0 ? error_memory(error) : end_flows(daemon, lost.flows, lost.n_flows, true, error);
	free(lost.flows);
	return r;
}

/*
 * Listing the connections takes long where there are many, and even where there are none: a thread of its own does that. They are
 * judged here, some in each turn of the loop: a change must not wait for a hundred thousand of them.
 */
struct flow_walk {
	struct daemon *daemon;
	uv_work_t work;
	struct conntrack *conntrack; /* nobody else's meanwhile */
	struct addr *addrs; /* whose; NULL: everybody's */
	size_t n_addrs;
	struct flow *flows;
	size_t n_flows, n_judged;
	struct search lost;
	int r;
	struct error error;
};

static void walk_free(struct flow_walk *walk)
{
	free(walk->addrs);
	free(walk->flows);
	free(walk->lost.flows);
	free(walk);
}

static int walk_add(const struct flow *flow, void *data)
{
	struct flow_walk *walk = data;
	struct flow *slot = ARRAY_ADD(walk->flows, walk->n_flows);

	if (!slot)
		return -ENOMEM;
	*slot = *flow;
	return 0;
}

/*
 * The socket is kept for the next one: when a socket of netfilter's is closed, the kernel lets nobody write rules until what
 * was deleted is gone, 10 to 30 ms.
 */
static void walk_work(uv_work_t *work)
{
	struct flow_walk *walk = work->data;

	walk->r = walk->conntrack ? 0 : conntrack_open(&walk->conntrack, &walk->error);
	if (walk->r < 0)
		return;
	if (walk->addrs)
		walk->r = conntrack_each_of(walk->conntrack, walk->addrs, walk->n_addrs, walk_add, walk, &walk->error);
	else
		walk->r = conntrack_each(walk->conntrack, walk_add, walk, &walk->error);
	if (walk->r < 0)
		walk->conntrack = conntrack_close(walk->conntrack);
}

static void walk_next(struct daemon *daemon);

/* Those that were lost are judged again: the policy may be another one by now. */
static void walk_end(struct flow_walk *walk)
{
	struct daemon *daemon = walk->daemon;

	uv_idle_stop(&daemon->cut_idle);
	if (walk->r >= 0 && daemon->active && daemon->ruleset) {
		walk->r = cut(daemon, walk->lost.flows, walk->lost.n_flows, &walk->error);
		if (walk->r >= 0 && !walk->addrs && daemon->model->nat_first)
			walk->r = forget_shadows(daemon, walk->flows, walk->n_flows, &walk->error);
	}
	if (walk->r < 0) {
		log_warning("flows", "%s: trying again", walk->error.text);
		daemon->cut_again = true;
	}
	daemon->walk_conntrack = walk->conntrack;
	walk_free(walk);
	daemon->walk = NULL;
	if (daemon->cut_wanted && !uv_is_active((uv_handle_t *)&daemon->cut_later))
		walk_next(daemon);
}

static void walk_judge(uv_idle_t *handle)
{
	struct daemon *daemon = handle->data;
	struct flow_walk *walk = daemon->walk;

	for (size_t i = 0; i < CUT_AT_ONCE && walk->n_judged < walk->n_flows && walk->r >= 0; i++) {
		walk->r = look_at(&walk->flows[walk->n_judged++], &walk->lost);
		if (walk->r < 0)
			error_memory(&walk->error);
	}
	if (walk->r < 0 || walk->n_judged == walk->n_flows)
		walk_end(walk);
}

static void walk_done(uv_work_t *work, int status)
{
	struct flow_walk *walk = work->data;
	struct daemon *daemon = walk->daemon;

	if (walk->r < 0 || daemon->ending || !daemon->active || walk->n_flows == 0)
		walk_end(walk);
	else
		uv_idle_start(&daemon->cut_idle, walk_judge);
}

static void walk_next(struct daemon *daemon)
{
	struct flow_walk *walk = calloc(1, sizeof(*walk));

	if (!walk) {
		daemon->cut_again = true; /* by the clock */
		return;
	}
	*walk = (struct flow_walk){ .daemon = daemon,
				    .work.data = walk,
				    .conntrack = TAKE_PTR(daemon->walk_conntrack),
				    .lost.daemon = daemon,
				    .addrs = TAKE_PTR(daemon->cut_addrs),
				    .n_addrs = daemon->n_cut_addrs };
	daemon->n_cut_addrs = 0;
	daemon->cut_wanted = false;
	daemon->walk = walk;
	if (uv_queue_work(&daemon->loop, &walk->work, walk_work, walk_done) >= 0)
		return;
	walk_work(&walk->work); /* better late than never */
	walk_done(&walk->work, 0);
}

/* Adds to what is to be looked at next; without addresses, or without memory for them, that is everybody's. */
static void want(struct daemon *daemon, const struct addr *addrs, size_t n)
{
	bool everybody = !addrs || (daemon->cut_wanted && !daemon->cut_addrs) ||
			 daemon->n_cut_addrs + n > CUT_ADDRS_MAX;

	for (size_t i = 0; i < n && !everybody; i++) {
		struct addr *slot = ARRAY_ADD(daemon->cut_addrs, daemon->n_cut_addrs);

		if (slot)
			*slot = addrs[i];
		everybody = !slot;
	}
	daemon->cut_wanted = true;
	if (!everybody)
		return;
	free(daemon->cut_addrs);
	daemon->cut_addrs = NULL;
	daemon->n_cut_addrs = 0;
}

void flows_start(struct daemon *daemon)
{
	uv_timer_init(&daemon->loop, &daemon->cut_later);
	uv_idle_init(&daemon->loop, &daemon->cut_idle);
	daemon->cut_later.data = daemon->cut_idle.data = daemon;
}

void flows_stop(struct daemon *daemon)
{
	if (daemon->walk) {
		conntrack_close(daemon->walk->conntrack);
		walk_free(daemon->walk);
	}
	conntrack_close(daemon->walk_conntrack);
	free(daemon->cut_addrs);
	free(daemon->ended);
}

static void on_later(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	if (!daemon->walk)
		walk_next(daemon);
}

void flows_cut(struct daemon *daemon, const struct addr *addrs, size_t n, bool soon)
{
	uint64_t wait = soon ? CUT_SOON : CUT_LATER;

	want(daemon, addrs, n);
	if (!uv_is_active((uv_handle_t *)&daemon->cut_later) || uv_timer_get_due_in(&daemon->cut_later) > wait)
		uv_timer_start(&daemon->cut_later, on_later, wait, 0);
}

int flows_cut_sessions(struct daemon *daemon, struct error *error)
{
	struct search search = { .daemon = daemon };
	int r = sessions_each(look_at, &search, error);

	if (r >= 0)
		r = end_flows(daemon, search.flows, search.n_flows, false, error);
	free(search.flows);
	return r;
}

int flows_restore(struct daemon *daemon, struct error *error)
{
	struct search search = { .daemon = daemon };
	size_t before = daemon->n_ended;
	int r = 0;

	for (size_t i = daemon->n_ended; i-- > 0;) {
		size_t n = search.n_flows;

		if (look_at(&daemon->ended[i], &search) < 0)
			break;
		if (search.n_flows == n)
			ARRAY_CUT(daemon->ended, daemon->n_ended, i);
	}
	for (size_t i = 0; daemon->n_ended < before && i < ELEMENTSOF(sets) && r >= 0; i++) {
		r = nft_set_flush(daemon->nft, ruleset_set(daemon->ruleset, sets[i].name), error);
		if (r >= 0)
			r = put_flows(daemon, &sets[i], search.flows, search.n_flows, error);
	}
	free(search.flows);
	return r;
}
