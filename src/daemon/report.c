/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/message.h"
#include "api/server.h"
#include "daemon/daemon.h"
#include "kernel/feature.h"
#include "ruleset/compile.h"
#include "verdict/changes.h"

static const char *const protection_names[] = {
	[NFT_PERSIST] = "persist", [NFT_COPIES] = "copies", [NFT_PLAIN] = "plain"
};

static json_t *interfaces_with(const struct model *model, enum role role)
{
	json_t *list = json_array();

	for (size_t i = 0; i < model->n_roles; i++)
		if (model->roles[i].role == role)
			json_array_append_new(list, json_text(model->roles[i].interface->name));
	return list;
}

static json_t *engine_to_json(const struct daemon *daemon)
{
	static const char *const states[] = {
		[ENGINE_ABSENT] = "absent", [ENGINE_RETRYING] = "retrying", [ENGINE_CONNECTED] = "connected"
	};

	if (!daemon->engine)
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:s}", "name", engine_name(daemon->engine), "socket",
			 engine_socket(daemon->engine), "state", states[engine_state(daemon->engine)], "version",
			 engine_version(daemon->engine));
}

static json_t *counts(const struct daemon *daemon)
{
	size_t n_rules = 0;

	for (size_t i = 0; i < daemon->policy->n_members; i++)
		n_rules += daemon->policy->members[i].kind == MEMBER_RULE;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "containers", (json_int_t)daemon->inventory->n_containers,
			 "networks", (json_int_t)daemon->inventory->n_networks, "rules", (json_int_t)n_rules, "groups",
			 (json_int_t)daemon->policy->n_groups, "interfaces", (json_int_t)daemon->model->n_roles,
			 "classes", (json_int_t)daemon->model->n_classes);
}

static void add_drop(const char *chain, uint64_t packets, uint64_t bytes, void *data)
{
	if (packets)
		json_array_append_new(data, json_pack("{s:s, s:I}", "reason", chain + strlen(DROP_CHAIN_PREFIX),
						      "packets", (json_int_t)packets));
}

static void note_networks(const struct daemon *daemon, json_t *notes)
{
	bool bridge_netfilter = feature_bridge_netfilter();

	if (!bridge_netfilter && daemon->inventory->n_networks)
		sentence_add(notes,
			     "bridge-nf-call-iptables is off: what passes inside one container network is not seen, "
			     "block and disabled do not hold there");
	for (size_t i = 0; i < daemon->inventory->n_networks; i++) {
		const struct network *network = &daemon->inventory->networks[i];
		const struct member *entry = policy_member(daemon->policy, MEMBER_NETWORK, network->name);

		if (strcmp(network->driver, "macvlan") == 0 || strcmp(network->driver, "ipvlan") == 0)
			sentence_add(
				notes,
				"network %s is %s: its traffic does not pass this machine's rules, spr cannot judge it",
				network->name, network->driver);
		if (entry && entry->isolate > 0 && !bridge_netfilter)
			sentence_add(
				notes,
				"network %s is to be isolated, but bridge-nf-call-iptables is off: inside one bridge "
				"its containers still reach each other",
				network->name);
	}
}

/* What Docker drops in its own rules nobody can accept: since version 28 what is sent to a container's own address. */
static void note_docker(const struct daemon *daemon, json_t *notes)
{
	const char *version = daemon->engine ? engine_version(daemon->engine) : "";

	if (atoi(version) >= 28)
		sentence_add(
			notes,
			"Docker %s itself drops what other interfaces send to a container's own address: a group or "
			"an allow then reaches it by a published port only, or on a network with the option "
			"com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected (and _ipv6)",
			version);
}

static void note_model(const struct daemon *daemon, json_t *notes)
{
	for (size_t i = 0; i < daemon->model->n_clauses; i++) {
		const struct clause *clause = &daemon->model->clauses[i];
		struct error error;

		if (clause->kind == CAUSE_PUBLISH)
			continue;
		if (selector_ambiguous(daemon->model, &clause->grant->from, &error) < 0 ||
		    selector_ambiguous(daemon->model, &clause->grant->to, &error) < 0)
			sentence_add(notes, "%s: %s%s", clause->meaning, error.text,
				     clause->kind == CAUSE_ALLOW ? "; until then it opens nothing" :
								   "; until then both are blocked");
	}
}

/* What is not as it must be. */
static json_t *problems(const struct daemon *daemon)
{
	json_t *list = json_array();

	if (daemon->problem[0])
		sentence_add(list, "the kernel does not hold what it should: %s", daemon->problem);
	if (store_problem(daemon->store)[0])
		sentence_add(list, "%s", store_problem(daemon->store));
	if (daemon->unwritten)
		sentence_add(list, "revision %lld is taken back, but that could not be written down yet",
			     (long long)daemon->revision);
	if (daemon->file_problem[0])
		sentence_add(list, "%s", daemon->file_problem);
	review_failing_tests(daemon, list);
	proof_problems(daemon, list);
	return list;
}

json_t *report_notes(const struct daemon *daemon)
{
	json_t *notes = json_array();

	if (daemon->confirm_until)
		sentence_add(notes, "revision %lld is taken back in %lld seconds, unless somebody says `spr confirm`",
			     (long long)daemon->revision, (long long)(daemon->confirm_until - time(NULL)));
	if (daemon->options.policy_file)
		sentence_add(notes, "the policy is kept in %s: change it there, then say `spr apply`",
			     daemon->options.policy_file);
	if (!daemon->active)
		sentence_add(notes, "not enforcing: `spr up` closes the container networks");
	else if (nft_protection(daemon->nft) == NFT_COPIES)
		sentence_add(notes,
			     "this kernel has no persistent tables (Linux 6.9 has): the rules stand twice instead, "
			     "one copy against a flush by others, one against the end of sprd");
	else if (nft_protection(daemon->nft) == NFT_PLAIN)
		sentence_add(notes,
			     "the table is not protected from other programs: what they change is put right at once");
	sentence_add(notes, "containers of one network can still forge each other's addresses: spr sees which bridge a "
			    "packet comes from, not yet which port of it");
	fast_notes(daemon, notes);
	confine_notes(daemon, notes);
	note_networks(daemon, notes);
	note_docker(daemon, notes);
	note_model(daemon, notes);
	if (daemon->policy->settings.labels == LABELS_TRUST)
		sentence_add(notes, "labels: trust: %zu containers without an entry have what their own labels ask for",
			     daemon->model->n_labelled);
	for (size_t i = 0; i < daemon->model->n_notes; i++)
		sentence_add(notes, "%s", daemon->model->notes[i]);
	if (daemon->engine && engine_problem(daemon->engine)[0])
		sentence_add(notes, "%s: %s", engine_name(daemon->engine), engine_problem(daemon->engine));
	return notes;
}

CALL(call_status)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_json_ json_t *drops = json_array();
	char resolver[ADDR_TEXT_MAX];
	int r = 0;

	if (daemon->active)
		r = nft_counters(daemon->nft, DROP_CHAIN_PREFIX, add_drop, drops, error);
	if (r < 0)
		return r;
	*ret_result = json_pack(
		"{s:o, s:I, s:s, s:b, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:O, s:o}", "problems",
		problems(daemon), "revision", (json_int_t)daemon->revision, "version", SPR_VERSION, "active",
		daemon->active, "protection", daemon->active ? protection_names[nft_protection(daemon->nft)] : "none",
		"since", (json_int_t)daemon->since, "engine", engine_to_json(daemon), "counts", counts(daemon),
		"waiting", interfaces_with(daemon->model, ROLE_NONE), "uplinks",
		interfaces_with(daemon->model, ROLE_UPLINK), "lans", interfaces_with(daemon->model, ROLE_LAN),
		"overlays", interfaces_with(daemon->model, ROLE_OVERLAY), "resolver",
		daemon->inventory->resolver.family ? addr_text(&daemon->inventory->resolver, resolver) : NULL, "drops",
		drops, "notes", report_notes(daemon));
	if (*ret_result) {
		json_object_set_new(*ret_result, "sandbox", confine_layers(daemon));
		json_object_set_new(*ret_result, "proof", proof_json(daemon));
		json_object_set_new(*ret_result, "fast_path", fast_json(daemon));
		json_object_set_new(*ret_result, "pending", json_integer(pending_count(daemon)));
	}
	return *ret_result ? 0 : error_memory(error);
}
