/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DAEMON_DAEMON_H
#define SPR_DAEMON_DAEMON_H

#include <jansson.h>
#include <time.h>
#include <uv.h>

#include "api/server.h"
#include "daemon/helper.h"
#include "daemon/sandbox.h"
#include "engine/engine.h"
#include "inventory/inventory.h"
#include "kernel/conntrack.h"
#include "kernel/droplog.h"
#include "kernel/fastpath.h"
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
	bool boot; /* closes, and ends: what it closed stays */
	const char *resolv_conf;
	const char *policy_file; /* the policy is kept there, and verbs do not change it; NULL: it is not */
	enum nft_protection protection; /* at most */
	unsigned no_sandbox; /* layers of the sandbox that are left out, bits 1 << SANDBOX_... */
};

/* A route that a rule asked for and we made. */
struct made_route {
	struct prefix destination;
	struct addr gateway;
	unsigned interface;
};

#define RECENT_DROPS_MAX 256

struct daemon {
	struct options options;
	uv_loop_t loop;
	uv_signal_t sigterm, sigint, sighup;
	uv_check_t check; /* after each turn of the loop: brings the kernel up to date when `dirty` */
	uv_timer_t clock; /* expiries, and what must be looked at now and then */
	uv_idle_t cut_idle; /* judges listed connections, some in each turn */
	uv_timer_t cut_later; /* the connections of what lost its right are listed then */
	uv_timer_t confirm; /* ends the time in which a revision must be confirmed */
	uv_poll_t links_poll, nft_poll, droplog_poll, fast_poll;

	struct inventory *inventory;
	struct store *store;
	struct policy *policy;
	int64_t revision; /* the number of the policy; 0: none was saved yet */
	struct change *change; /* under way, or NULL */
	time_t confirm_until; /* the revision is taken back then; 0: nothing waits */
	bool unwritten; /* it is taken back, which could not be written down yet */
	struct class_book *book;
	struct model *model;
	struct model *next_model; /* of policy and inventory as they are just now, already made; or NULL */
	uint64_t n_models; /* that were made so far */
	struct ruleset *ruleset; /* what the kernel holds; NULL when inactive */

	struct links *links;
	struct nft *nft;
	struct nft_watch *watch;
	struct conntrack *conntrack;
	struct droplog *droplog;
	struct fastpath *fastpath; /* NULL: not wanted when we started, or it cannot be */
	struct engine *engine;
	enum engine_state engine_seen; /* when it last told something */
	bool listed; /* all that there is, and what that leaves to do is not done yet */
	struct api *api;
	struct helper files, docker_user; /* processes outside the sandbox */
	uv_poll_t docker_user_poll;
	struct sandbox_report sandbox;

	bool active;
	bool read_again; /* the policy file, as soon as it can be */
	bool dirty; /* inventory or policy changed since the ruleset was made */
	bool repair; /* somebody changed our tables */
	time_t since;
	time_t grace_until; /* 0: there is none */
	unsigned grace_turns; /* connections that may still be turned round */
	time_t clock_seen; /* when expiries were last looked at */
	time_t slow_seen; /* what tells nobody of its changes, likewise */
	struct port_bits ports_seen; /* busy ones, at the last look */
	bool cut_again; /* ending flows failed in part */
	struct flow_walk *walk; /* under way, or NULL */
	struct conntrack *walk_conntrack; /* what it lists with, between two walks */
	bool cut_wanted; /* another one after it, of */
	struct addr *cut_addrs; /* these; NULL: everybody's */
	size_t n_cut_addrs;
	uint32_t epoch; /* of what is known as let through: another one after each transaction that takes something away */
	uint64_t fast_held; /* when the fast path last stopped for a change, by the loop's clock */
	bool fast_settled; /* it is attached to the interfaces that are there */
	bool fast_bridge_rules; /* bridges are left out */
	char fast_problem[1100]; /* why it does not work, or not everywhere */
	bool waiting; /* for the engine's first list: until then the kernel keeps what an earlier run left */
	bool ending; /* a signal came */
	struct flow *ended; /* flows that were ended: their other end is not heard, unless policy accepts it again */
	size_t n_ended;
	struct made_route *routes;
	size_t n_routes;
	json_t *recent[RECENT_DROPS_MAX]; /* a ring */
	size_t n_recent;
	int64_t rules; /* a number for what is enforced: another one each time that changes */
	struct proof *proof; /* what is known of it */
	char file_problem[1000]; /* why the policy file is not what is enforced; "" when it is, or there is none */
	bool leftover; /* inactive, but our tables could not be taken away */
	char problem[1000]; /* why the kernel does not hold what it should; "" when it does */
};

/* enforce.c: model and ruleset from policy and inventory, into the kernel; then the flows that lost their right end. */
int daemon_refresh(struct daemon *daemon, struct error *error);

/* The same for what engines and links told: flows that lost their right end a fifth of a second later, not soon. */
int daemon_follow(struct daemon *daemon, struct error *error);
int daemon_activate(struct daemon *daemon, struct error *error);
int daemon_deactivate(struct daemon *daemon, struct error *error);
/*
 * Reads back, and puts right what is not as it should be. `others`: they are known to have written to our tables; else what
 * we wrote ourselves is enough, where nobody else can.
 */
int daemon_repair(struct daemon *daemon, bool others, struct error *error);
bool policy_expiring(const struct policy *policy, time_t from, time_t to);

/*
 * flows.c: ends every flow that the model does not accept, and those of containers that have a service's source port; with
 * addresses, of the former those that one of them is an end of, and no others. They are listed by a thread first: `walk` is
 * there until it is done. It begins in some milliseconds (`soon`), or a fifth of a second. A failure is logged, and tried again by
 * the clock.
 */
void flows_start(struct daemon *daemon);
void flows_stop(struct daemon *daemon); /* once the loop has ended */
void flows_cut(struct daemon *daemon, const struct addr *addrs, size_t n, bool soon);
/* Ends the sessions at this machine that the model does not accept: the connection table may not know them yet. */
int flows_cut_sessions(struct daemon *daemon, struct error *error);
/* Hears the ended flows again that the model accepts now. */
int flows_restore(struct daemon *daemon, struct error *error);
/* The packet that a flow's opener sends, as verdict() judges it; false when this machine opened it. */
bool flow_packet(const struct daemon *daemon, const struct flow *flow, struct packet *ret);

/* grace.c: sessions from before connection tracking was. Begins at activation; hears what was dropped. */
void grace_prepare(struct daemon *daemon); /* before the rules, which start connection tracking */
int grace_start(struct daemon *daemon, struct error *error);
void grace_heard(struct daemon *daemon, const struct drop *drop);
/*
 * fast.c: the fast path of kernel/fastpath.h. Opened, if the policy wants it, before the sandbox is entered. fast_hold():
 * before each transaction that takes something away; from there on every packet is judged, and for some seconds after.
 */
void fast_prepare(struct daemon *daemon);
/* Before rules are written: what a daemon that was killed has left may still run. */
void fast_sweep(const struct daemon *daemon);
void fast_hold(struct daemon *daemon);
void fast_tick(struct daemon *daemon); /* each second */
void fast_asked(struct daemon *daemon); /* its fd is readable */
json_t *fast_json(const struct daemon *daemon); /* for the status; null where it is not wanted */
void fast_notes(const struct daemon *daemon, json_t *notes);

/* confine.c: what needs more than the sandbox gives is started first, and then the daemon enters it. */
int confine_prepare(struct daemon *daemon, struct error *error);
int confine_enter(struct daemon *daemon, struct error *error);
/* For the status: the layers in force, and a sentence for each that is not, and for a helper that ended. */
json_t *confine_layers(const struct daemon *daemon);
void confine_notes(const struct daemon *daemon, json_t *notes);

/* docker_user.c: the one rule in Docker's DOCKER-USER chain; asynchronous, harmless where there is no such chain. */
int docker_user_start(struct daemon *daemon, struct error *error);
void docker_user_stop(struct daemon *daemon);
void docker_user_ensure(struct daemon *daemon, bool present);

/* routes.c: the routes of rules with route_dst. */
void routes_update(struct daemon *daemon);
void routes_remove(struct daemon *daemon);

/* drops.c: a dropped packet as an event. */
void drop_seen(const struct drop *drop, void *data);

/*
 * change.c: a new policy, which is its own from then on, also on an error. Returns API_LATER where the answer comes when
 * the change is made, else as `run` of an api_call. One at a time: the api is held meanwhile.
 */
enum change_flag {
	CHANGE_FROM_FILE = 1 << 0, /* it says what the policy file says */
	CHANGE_UNCONFIRMED = 1 << 1, /* it ends the waiting for a confirmation */
	CHANGE_ACCEPTED_BEFORE = 1 << 2, /* it goes back to what was in force: no review */
};
int daemon_change(struct api_request *request, struct policy *policy, json_t *arguments, json_t **ret_result,
		  struct error *error);
int daemon_change_flags(struct api_request *request, struct policy *policy, unsigned flags, json_t *arguments,
			json_t **ret_result, struct error *error);
/* With activation; the answer is what `describe_up` makes then. */
int daemon_change_up(struct api_request *request, struct policy *policy, json_t *arguments,
		     json_t *(*describe_up)(const struct daemon *daemon), json_t **ret_result, struct error *error);
/* Without anybody who asked for it; only while no change is under way. */
int daemon_change_own(struct daemon *daemon, struct policy *policy, unsigned flags, const char *comment,
		      struct error *error);
int daemon_confirm(struct api_request *request, struct error *error);

/* review.c: whether a policy may be, by what is there now. `enforced`: it is, or will be with this change. */
int review(const struct daemon *daemon, const struct model *model, bool enforced, json_t *arguments,
	   struct error *error);
/* Sentences: what is named and not there; what of the policy's own tests does not hold any more. */
void review_absent(const struct model *model, json_t *notes);
void review_failing_tests(const struct daemon *daemon, json_t *notes);

/* confirm.c: waits for `spr confirm` until a time, 0: not at all; then the revision is taken back. */
void confirm_start(struct daemon *daemon, time_t until);
void confirm_stop(struct daemon *daemon);
/* Now; again, where it is enforced and could not be written down. A failure is logged. */
void confirm_take_back(struct daemon *daemon);

/* load.c: the policy to begin with, from the store and the policy file; and the file again, when it changed. */
int load_policy(struct daemon *daemon, struct error *error);
int load_file(const struct daemon *daemon, struct policy **ret, struct error *error);
void load_again(struct daemon *daemon);

/*
 * proof.c: the last result of `spr prove`, which somebody with more rights than we have tells us, for the rules by their
 * number. Outdated by each change of them.
 */
int proof_init(struct daemon *daemon);
void proof_free(struct daemon *daemon);
void proof_outdate(struct daemon *daemon);
json_t *proof_json(const struct daemon *daemon); /* for the status; null while nothing is enforced */
/* Sentences, where the last result for these rules says that they do not do what policy says. */
void proof_problems(const struct daemon *daemon, json_t *problems);

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
CALL(call_pending);
CALL(call_accept);
CALL(call_dismiss);
CALL(call_apply);
CALL(call_export);
CALL(call_history);
CALL(call_diff);
CALL(call_rollback);
CALL(call_confirm);
CALL(call_explain);
CALL(call_prove);
CALL(call_proved);
CALL(call_compose);
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

/* edit.c: what a new entry starts with, and what its first group adds to: the rights that the member has now. -ENOMEM. */
int member_take_default(const struct daemon *daemon, struct member *member);
int member_take_groups(const struct daemon *daemon, struct member *member);

/* pending.c: how many requests wait. */
json_int_t pending_count(const struct daemon *daemon);

/* report.c: what status and up say besides numbers. */
json_t *report_notes(const struct daemon *daemon);

/*
 * trial.c: for somebody who tries a change in twins: packets with what is said of them before and after, and the rules of
 * both as nft text (null: the kernel has them; "": none of ours). A model is NULL where nothing of ours is in force.
 */
json_t *trial_json(const struct daemon *daemon, const struct model *before, const struct model *after);

/* The very packet that was judged, for who wants to send it: within a network it goes to the other's own MAC. */
struct end;
struct packet;
json_t *packet_json(const struct model *model, const struct packet *packet, const struct end *from,
		    const struct end *to);

#endif
