/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/watch.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "kernel/sessions.h"
#include "ruleset/compile.h"

#define CLOCK_MS 1000
#define CATCH_UP_SECONDS 5
#define SLOW_SECONDS 10 /* iptables-legacy tells nobody of its changes, nor does a socket */

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;

	daemon->ending = true;
	uv_stop(handle->loop);
}

/* Which interfaces are ports of which bridges, in order of index. */
struct ports {
	struct port {
		unsigned index, master;
	} * ports;
	size_t n_ports;
};

static int port_compare(const void *a, const void *b)
{
	const struct port *left = a, *right = b;

	return left->index < right->index ? -1 : left->index > right->index;
}

/* Without memory it is empty: then every port counts as new, or as gone. */
static struct ports ports_of(const struct inventory *inventory)
{
	struct ports ports = { 0 };

	for (size_t i = 0; i < inventory->n_interfaces; i++) {
		const struct interface *interface = &inventory->interfaces[i];
		struct port *port = interface->master ? ARRAY_ADD(ports.ports, ports.n_ports) : NULL;

		if (port)
			*port = (struct port){ interface->index, interface->master };
	}
	if (ports.n_ports)
		qsort(ports.ports, ports.n_ports, sizeof(*ports.ports), port_compare);
	return ports;
}

static void tell_bridge(struct daemon *daemon, unsigned index)
{
	const struct interface *bridge = inventory_interface(daemon->inventory, index);

	if (bridge)
		engine_refresh(daemon->engine, bridge->name);
}

/* The bridges of the ports that are in one and not in the other. */
static void tell_difference(struct daemon *daemon, const struct ports *ports, const struct ports *other)
{
	for (size_t i = 0; i < ports->n_ports; i++) {
		const struct port *port = &ports->ports[i], *same = NULL;

		if (other->n_ports)
			same = bsearch(port, other->ports, other->n_ports, sizeof(*port), port_compare);
		if (!same || same->master != port->master)
			tell_bridge(daemon, port->master);
	}
}

/* A new port on a bridge may be a container that the engine has not told of yet: ask it; and when one went. */
static void tell_engine(struct daemon *daemon, const struct ports *before)
{
	struct ports after = ports_of(daemon->inventory);

	if (daemon->engine) {
		tell_difference(daemon, &after, before);
		tell_difference(daemon, before, &after);
	}
	free(after.ports);
}

static void on_links(uv_poll_t *handle, int status, int events)
{
	struct daemon *daemon = handle->data;
	struct error error = { 0 };
	struct ports before = ports_of(daemon->inventory);
	bool changed = false;

	if (links_read(daemon->links, &changed, &error) < 0) {
		log_error("links", "%s", error.text);
		changed = true; /* in part, it may be: and the model points into the inventory */
	}
	if (changed) {
		daemon->dirty = true;
		daemon->fast_settled = false;
		tell_engine(daemon, &before);
	}
	free(before.ports);
}

static void read_nft(struct daemon *daemon)
{
	struct error error = { 0 };
	bool ours = false, docker_user = false;

	if (nft_watch_read(daemon->watch, &ours, &docker_user, &error) < 0)
		log_error("nft", "%s", error.text);
	if (!daemon->active)
		return;
	if (ours)
		daemon->repair = true;
	if (docker_user)
		docker_user_ensure(daemon, true);
}

static void on_nft(uv_poll_t *handle, int status, int events)
{
	read_nft(handle->data);
}

static void on_droplog(uv_poll_t *handle, int status, int events)
{
	struct daemon *daemon = handle->data;

	droplog_read(daemon->droplog);
}

static void on_fast(uv_poll_t *handle, int status, int events)
{
	fast_asked(handle->data);
}

static void read_resolver(struct daemon *daemon)
{
	struct addr resolver = { 0 };
	int r = file_helper_resolver(&daemon->files, &resolver);

	if (r == -EPIPE) /* nobody reads it any more: it stays what it was */
		return;
	if (r < 0)
		resolver.family = 0;
	if (memcmp(&resolver, &daemon->inventory->resolver, sizeof(resolver)) == 0)
		return;
	daemon->inventory->resolver = resolver;
	daemon->dirty = true;
}

/* A socket that is seen twice is there to stay: resolvers open one a question. */
static void read_ports(struct daemon *daemon)
{
	struct inventory *inventory = daemon->inventory;
	uint16_t first, last;
	struct port_bits ports, busy;
	struct error error = { 0 };

	sessions_own_ports(&first, &last);
	if (sessions_ports(&ports, &error) < 0) {
		log_warning("ports", "%s", error.text);
		return;
	}
	busy = ports;
	for (size_t i = 0; i < sizeof(busy.bits); i++)
		busy.bits[i] &= daemon->ports_seen.bits[i];
	daemon->ports_seen = ports;
	if (memcmp(&busy, &inventory->busy, sizeof(busy)) == 0 && first == inventory->own_first &&
	    last == inventory->own_last)
		return;
	inventory->busy = busy;
	inventory->own_first = first;
	inventory->own_last = last;
	daemon->dirty = daemon->cut_again = true; /* a new service ends what has its port */
	fast_hold(daemon);
}

static void on_hangup(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;

	if (daemon->options.policy_file)
		load_again(daemon);
}

/*
 * Once an engine has told all: what was written for it is read back, so that the next change does not wait for that. A list is
 * some kilobytes of text for each container, and stands beside what is made of it for a while: that memory is given back.
 */
static void after_list(struct daemon *daemon)
{
	struct error error = { 0 };

	if (!daemon->listed || daemon->waiting || daemon->dirty)
		return;
	daemon->listed = false;
	if (daemon->active && daemon_repair(daemon, false, &error) < 0)
		log_error("repair", "%s", error.text);
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static void on_clock(uv_timer_t *handle)
{
	struct daemon *daemon = handle->data;
	struct error error = { 0 };
	time_t now = time(NULL);

	read_resolver(daemon);
	if (policy_expiring(daemon->policy, daemon->clock_seen, now))
		daemon->dirty = true;
	daemon->clock_seen = now;
	if (daemon->read_again)
		load_again(daemon);
	if (!daemon->change && now % CATCH_UP_SECONDS == 0) {
		if (store_catch_up(daemon->store, &error) < 0)
			log_error("store", "%s", error.text);
		else if (daemon->unwritten)
			confirm_take_back(daemon);
	}
	if (daemon->active && (now < daemon->slow_seen || now - daemon->slow_seen >= SLOW_SECONDS)) {
		daemon->slow_seen = now;
		docker_user_ensure(daemon, true);
		read_ports(daemon);
	}
	if (daemon->active && daemon->cut_again)
		daemon->dirty = true;
	if ((daemon->active && daemon->problem[0]) || daemon->leftover)
		daemon->repair = true; /* what failed is tried again */
	read_nft(daemon);
	fast_tick(daemon);
	after_list(daemon);
}

/* After each turn of the loop: however many things changed in it, the kernel is written once. */
static void on_check(uv_check_t *handle)
{
	struct daemon *daemon = handle->data;
	struct error error = { 0 };

	if (daemon->dirty && daemon_follow(daemon, &error) < 0)
		log_error("enforce", "%s", error.text);
	if (nft_watch_missed(daemon->watch))
		read_nft(daemon);
	if (daemon->repair && daemon_repair(daemon, true, &error) < 0)
		log_error("repair", "%s", error.text);
}

static int poll_start(struct daemon *daemon, uv_poll_t *poll, int fd, uv_poll_cb callback)
{
	int r = uv_poll_init(&daemon->loop, poll, fd);

	poll->data = daemon;
	return r < 0 ? r : uv_poll_start(poll, UV_READABLE, callback);
}

static int signal_start(struct daemon *daemon, uv_signal_t *handle, uv_signal_cb callback, int number)
{
	int r = uv_signal_init(&daemon->loop, handle);

	handle->data = daemon;
	return r < 0 ? r : uv_signal_start(handle, callback, number);
}

int watch_start(struct daemon *daemon, struct error *error)
{
	int r = nft_watch_open(daemon->nft, &daemon->watch, error);

	if (r < 0)
		return r;
	if (droplog_open(LOG_GROUP, drop_seen, daemon, &daemon->droplog, error) < 0) {
		/* no log is no reason to stay open */
		log_warning("log", "%s: `spr log` will show nothing", error->text);
		daemon->droplog = NULL;
	}
	memset(&daemon->ports_seen, 0xff, sizeof(daemon->ports_seen));
	read_ports(daemon);
	read_resolver(daemon);
	daemon->clock_seen = daemon->slow_seen = time(NULL);
	uv_check_init(&daemon->loop, &daemon->check);
	daemon->check.data = daemon;
	uv_timer_init(&daemon->loop, &daemon->clock);
	daemon->clock.data = daemon;
	flows_start(daemon);
	r = uv_check_start(&daemon->check, on_check);
	if (r >= 0)
		r = uv_timer_start(&daemon->clock, on_clock, CLOCK_MS, CLOCK_MS);
	if (r >= 0)
		r = signal_start(daemon, &daemon->sigterm, on_signal, SIGTERM);
	if (r >= 0)
		r = signal_start(daemon, &daemon->sigint, on_signal, SIGINT);
	if (r >= 0)
		r = signal_start(daemon, &daemon->sighup, on_hangup, SIGHUP);
	if (r >= 0)
		r = poll_start(daemon, &daemon->links_poll, links_fd(daemon->links), on_links);
	if (r >= 0)
		r = poll_start(daemon, &daemon->nft_poll, nft_watch_fd(daemon->watch), on_nft);
	if (r >= 0 && daemon->droplog)
		r = poll_start(daemon, &daemon->droplog_poll, droplog_fd(daemon->droplog), on_droplog);
	if (r >= 0 && daemon->fastpath)
		r = poll_start(daemon, &daemon->fast_poll, fastpath_fd(daemon->fastpath), on_fast);
	return r < 0 ? error_set(error, -r, "event loop: %s", uv_strerror(r)) : 0;
}

void watch_stop(struct daemon *daemon)
{
	uv_handle_t *handles[] = {
		(uv_handle_t *)&daemon->check,	      (uv_handle_t *)&daemon->clock,
		(uv_handle_t *)&daemon->sigterm,      (uv_handle_t *)&daemon->sigint,
		(uv_handle_t *)&daemon->nft_poll,     (uv_handle_t *)&daemon->links_poll,
		(uv_handle_t *)&daemon->droplog_poll, (uv_handle_t *)&daemon->sighup,
		(uv_handle_t *)&daemon->confirm,      (uv_handle_t *)&daemon->fast_poll,
		(uv_handle_t *)&daemon->cut_later,    (uv_handle_t *)&daemon->cut_idle,
	};

	for (size_t i = 0; i < ELEMENTSOF(handles); i++)
		if (handles[i]->loop && !uv_is_closing(handles[i]))
			uv_close(handles[i], NULL);
}
