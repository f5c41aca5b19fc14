/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DAEMON_DAEMON_H
#define SPR_DAEMON_DAEMON_H

#include <jansson.h>
#include <time.h>
#include <uv.h>

#include "api/server.h"
#include "engine/engine.h"
#include "inventory/inventory.h"
#include "kernel/conntrack.h"
#include "kernel/droplog.h"
#include "kernel/links.h"
#include "kernel/nft.h"
#include "policy/policy.h"
#include "store/store.h"
#include "verdict/verdict.h"

struct options {
	const char *socket;
	const char *state_folder;
	const char *docker; /* NULL: the usual place */
	bool no_docker;
	const char *resolv_conf;
	enum nft_protection protection; /* at most */
};

/* A route that a rule asked for and we made. */
struct made_route {
	struct prefix destination;
	struct addr gateway;
	unsigned interface;
};

/* A flow with this machine that was ended: its other end is not heard, unless policy accepts it again. */
struct ended_flow {
	struct flow flow;
	time_t until;
};

#define RECENT_DROPS_MAX 256

struct daemon {
	struct options options;
	uv_loop_t loop;
	uv_signal_t sigterm, sigint;
	uv_check_t check; /* after each turn of the loop: brings the kernel up to date when `dirty` */
	uv_timer_t clock; /* expiries, and what must be looked at now and then */
	uv_poll_t links_poll, nft_poll, droplog_poll;

	struct inventory *inventory;
	struct store *store;
	struct policy *policy;
	struct class_book *book;
	struct model *model;
	struct ruleset *ruleset; /* what the kernel holds; NULL when inactive */

	struct links *links;
	struct nft *nft;
	struct nft_watch *watch;
	struct conntrack *conntrack;
	struct droplog *droplog;
	struct engine *engine;
	struct api *api;

	bool active;
	bool dirty; /* inventory or policy changed since the ruleset was made */
	bool repair; /* somebody changed our tables */
	time_t since;
	time_t clock_seen; /* when expiries were last looked at */
	bool cut_again; /* ending flows failed in part */
	bool waiting; /* for the engine's first list: until then the kernel keeps what an earlier run left */
	bool ending; /* a signal came */
	struct ended_flow *ended;
	size_t n_ended;
	struct made_route *routes;
	size_t n_routes;
	json_t *recent[RECENT_DROPS_MAX]; /* a ring */
	size_t n_recent;
	bool leftover; /* inactive, but our tables could not be taken away */
	char problem[1000]; /* why the kernel does not hold what it should; "" when it does */
};

/* enforce.c: model and ruleset from policy and inventory, into the kernel; then the flows that lost their right end. */
int daemon_refresh(struct daemon *daemon, struct error *error);
int daemon_activate(struct daemon *daemon, struct error *error);
int daemon_deactivate(struct daemon *daemon, struct error *error);
/* Reads back, and puts right what others changed. */
int daemon_repair(struct daemon *daemon, struct error *error);
bool policy_expiring(const struct policy *policy, time_t from, time_t to);

/* flows.c: ends every flow that the model does not accept. Returns how many, or a negative errno. */
int flows_cut(struct daemon *daemon, struct error *error);
/* Ends the sessions at this machine that the model does not accept: the connection table may not know them yet. */
int flows_cut_sessions(struct daemon *daemon, struct error *error);
/* Hears the ended flows again that the model accepts now. */
int flows_restore(struct daemon *daemon, struct error *error);
/* The packet that a flow's opener sends, as verdict() judges it; false when this machine opened it. */
bool flow_packet(const struct daemon *daemon, const struct flow *flow, struct packet *ret);

/* docker_user.c: the one rule in Docker's DOCKER-USER chain; asynchronous, harmless where there is no such chain. */
void docker_user_ensure(struct daemon *daemon, bool present);

/* routes.c: the routes of rules with route_dst. */
void routes_update(struct daemon *daemon);
void routes_remove(struct daemon *daemon);

/* drops.c: a dropped packet as an event. */
void drop_seen(const struct drop *drop, void *data);

/* change.c: takes a new policy (and owns it from then on, also on an error). `active` false makes no ruleset. */
int daemon_change(struct daemon *daemon, struct policy *policy, json_t *arguments, json_t **ret_result,
		  struct error *error);
/* Refuses a model that would cut the caller's own session: "ssh" of the arguments, unless "force". */
int lockout_check(const struct model *model, json_t *arguments, struct error *error);

/* calls.c */
extern const struct api_call daemon_calls[];
extern const size_t n_daemon_calls;

#define CALL(name) int name(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
CALL(call_status);
CALL(call_up);
CALL(call_down);
CALL(call_list);
CALL(call_join);
CALL(call_leave);
CALL(call_grant);
CALL(call_revoke);
CALL(call_allow);
CALL(call_block);
CALL(call_publish);
CALL(call_role);
CALL(call_apply);
CALL(call_export);
CALL(call_explain);
CALL(call_log);

/* The daemon behind a request, with its model brought up to date: it points into the inventory. */
struct daemon *daemon_of(struct api_request *request);
void daemon_sync(struct daemon *daemon);

/* Arguments of calls: each returns 0 or -EINVAL with a message; a missing optional one leaves *ret as it is. */
int argument_text(json_t *arguments, const char *key, const char **ret, struct error *error);
int argument_texts(json_t *arguments, const char *key, json_t **ret_list, struct error *error);
bool argument_flag(json_t *arguments, const char *key);

/* Appends a sentence to a JSON list. */
void sentence_add(json_t *list, const char *format, ...) _printf_(2, 3);

/* report.c: what status and up say besides numbers. */
json_t *report_notes(const struct daemon *daemon);

#endif
