/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "kernel/sessions.h"
#include "ruleset/compile.h"

/*
 * Connections that were open before connection tracking was may go on after the first activation, if the policy accepts
 * them. The kernel takes whoever it hears first for the one who opened it. Where that is the server, its packets are
 * judged as if it had opened the connection, and drop. We hear of that, and turn the connection round: TCP sends again.
 */

#define GRACE_SECONDS 600
#define TURNED_MAX 4096 /* connections, in all of that time */
#define TH_SYN 0x02
#define TH_RST 0x04

static int stop_at_first(const struct flow *flow, void *data)
{
	return -ECANCELED;
}

/*
 * Only where nothing was tracked before: else who opened a connection is known, and whoever forges packets of connections
 * that are not there would be believed. An empty table may be one of a quiet moment; that there are connections which it
 * does not know is the proof.
 */
void grace_prepare(struct daemon *daemon)
{
	bool empty = conntrack_each(daemon->conntrack, stop_at_first, NULL, NULL) == 0;

	daemon->grace_turns = empty && sessions_any() ? TURNED_MAX : 0;
}

int grace_start(struct daemon *daemon, struct error *error)
{
	struct set set = set_like(ruleset_set(daemon->ruleset, SET_GRACE));
	struct element *element = set_add(&set);
	int r;

	daemon->grace_until = time(NULL) + GRACE_SECONDS;
	if (!element)
		return error_memory(error);
	key_put_number(&set, element->key, 0, IPPROTO_TCP);
	r = nft_set_add(daemon->nft, &set, GRACE_SECONDS, error);
	free(set.elements);
	return r;
}

/* The connection as its client opened it, if what was dropped came from its server. */
static struct flow turned(const struct drop *drop)
{
	return (struct flow){
		.proto = IPPROTO_TCP,
		.from = drop->to,
		.to = drop->from,
		.from_port = drop->to_port,
		.to_port = drop->from_port,
		.reply_from = drop->from,
		.reply_to = drop->to,
		.reply_from_port = drop->from_port,
		.reply_to_port = drop->to_port,
	};
}

/* This machine is never judged; but nobody may claim a connection with it that it does not have. */
static bool is_accepted(const struct daemon *daemon, const struct flow *flow)
{
	struct decision decision;
	struct packet packet;

	if (!flow_packet(daemon, flow, &packet))
		return sessions_have(flow);
	verdict(daemon->model, &packet, &decision);
	return decision.accept && !decision.left_alone;
}

void grace_heard(struct daemon *daemon, const struct drop *drop)
{
	struct error error = { 0 };
	struct flow flow;

	if (!daemon->grace_turns || time(NULL) >= daemon->grace_until || !daemon->active ||
	    drop->proto != IPPROTO_TCP || !drop->has_ports)
		return;
	if (!drop->tcp_flags || drop->tcp_flags & (TH_SYN | TH_RST) ||
	    strcmp(drop->reason, reason_info(REASON_NO_GRANT)->id) != 0)
		return;
	flow = turned(drop);
	if (!is_accepted(daemon, &flow))
		return;
	daemon->grace_turns--;
	if (conntrack_create_tcp(daemon->conntrack, &flow, &error) < 0)
		log_warning("flows", "%s", error.text);
}
