/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "kernel/classifier.h"
#include "kernel/feature.h"

/*
 * What is let through may go the fast way while this daemon says so, each second anew: settings.fast_path. Before a
 * transaction that takes something away it no longer does; and for PAUSE_MS after it what passes is not noted either: a
 * packet that the old rules let through may wait so long for its next hop to answer, three times a second.
 */
#define RUN_MS 3000
#define PAUSE_MS 5000

static bool wanted(const struct daemon *daemon)
{
	return daemon->active && !daemon->waiting && daemon->policy->settings.fast_path;
}

void fast_prepare(struct daemon *daemon)
{
	struct error error = { 0 };

	if (!daemon->policy->settings.fast_path || daemon->options.boot ||
	    fastpath_open(&daemon->fastpath, &error) >= 0)
		return;
	snprintf(daemon->fast_problem, sizeof(daemon->fast_problem), "%s", error.text);
	log_warning("fast path", "%s", error.text);
}

void fast_sweep(const struct daemon *daemon)
{
	const struct inventory *inventory = daemon->inventory;
	_cleanup_(nlsocket_closep) struct nlsocket *socket = NULL;
	int r = nlsocket_open(NETLINK_ROUTE, &socket);

	for (size_t i = 0; i < inventory->n_interfaces && r >= 0; i++)
		r = classifier_sweep(socket, inventory->interfaces[i].index);
	if (r >= 0)
		return;
	log_warning("fast path", "cannot take away what an earlier run left: %s; waiting for its end", strerror(-r));
	uv_sleep(RUN_MS);
}

void fast_hold(struct daemon *daemon)
{
	if (!daemon->fastpath)
		return;
	fastpath_stop(daemon->fastpath);
	uv_update_time(&daemon->loop);
	daemon->fast_held = uv_now(&daemon->loop);
}

static bool is_there(unsigned interface, const void *data)
{
	return inventory_interface(data, interface) != NULL;
}

/*
 * Where packets are routed: at ports of a bridge they are not. What comes by a bridge whose ports the rules look at has had its
 * NAT already, and would be taken for something else.
 */
static bool can_be_at(const struct daemon *daemon, const struct interface *interface)
{
	if (!interface->ethernet || interface->loopback || interface->master || !interface->up)
		return false;
	return strcmp(interface->kind, "bridge") != 0 || !(daemon->fast_bridge_rules || interface->bridge_rules);
}

static void attach(struct daemon *daemon)
{
	const struct inventory *inventory = daemon->inventory;
	struct error error = { 0 };

	daemon->fast_settled = true;
	daemon->fast_problem[0] = '\0';
	fastpath_forget(daemon->fastpath, is_there, inventory);
	for (size_t i = 0; i < inventory->n_interfaces; i++) {
		const struct interface *interface = &inventory->interfaces[i];

		if (!can_be_at(daemon, interface))
			fastpath_detach(daemon->fastpath, interface->index);
		else if (fastpath_attach(daemon->fastpath, interface->index, &error) < 0)
			snprintf(daemon->fast_problem, sizeof(daemon->fast_problem), "%s: %.900s", interface->name,
				 error.text);
	}
}

void fast_tick(struct daemon *daemon)
{
	bool bridge_rules;

	if (!daemon->fastpath)
		return;
	if (!wanted(daemon)) {
		if (fastpath_interfaces(daemon->fastpath))
			fastpath_detach_all(daemon->fastpath);
		daemon->fast_settled = false;
		return;
	}
	bridge_rules = feature_bridge_netfilter();
	if (!daemon->fast_settled || bridge_rules != daemon->fast_bridge_rules) {
		daemon->fast_bridge_rules = bridge_rules;
		attach(daemon);
	}
	if (daemon->problem[0] || daemon->repair)
		fast_hold(daemon);
	if (uv_now(&daemon->loop) - daemon->fast_held >= PAUSE_MS)
		fastpath_run(daemon->fastpath, RUN_MS);
}

static void make_liberal(const struct flow *flow, void *data)
{
	struct daemon *daemon = data;
	struct error error = { 0 };

	if (conntrack_make_liberal(daemon->conntrack, flow, &error) < 0)
		snprintf(daemon->fast_problem, sizeof(daemon->fast_problem), "%s", error.text);
}

void fast_asked(struct daemon *daemon)
{
	fastpath_read(daemon->fastpath, make_liberal, daemon);
}

json_t *fast_json(const struct daemon *daemon)
{
	const struct fastpath *fastpath = daemon->fastpath;

	if (!daemon->policy->settings.fast_path)
		return json_null();
	return json_pack("{s:b, s:i, s:I}", "running", fastpath && fastpath_runs(fastpath), "interfaces",
			 fastpath ? (int)fastpath_interfaces(fastpath) : 0, "packets",
			 fastpath ? (json_int_t)fastpath_packets(fastpath) : 0);
}

void fast_notes(const struct daemon *daemon, json_t *notes)
{
	if (!daemon->policy->settings.fast_path)
		return;
	if (daemon->fast_problem[0])
		sentence_add(notes, "the fast path does not work: %s", daemon->fast_problem);
	else if (!daemon->fastpath)
		sentence_add(notes, "fast_path: true holds from the next start of sprd on");
	else if (daemon->fast_bridge_rules)
		sentence_add(notes, "the fast path leaves bridges out: rules look at their ports here "
				    "(net.bridge.bridge-nf-call-iptables, -ip6tables)");
}
