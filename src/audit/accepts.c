/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_private.h"
#include "base/array.h"
#include "base/json.h"
#include "base/text.h"
#include "kernel/nft.h"

/*
 * Rules of others by which packets of findings came through. One is named when the packet does not come through without
 * it: it is taken out of a twin of its own, and the packet is sent again. Where another rule then accepts the packet, that
 * one goes too, and both are named.
 */

#define RULES_MAX 24 /* that are looked at: each takes a twin */
#define PASSAGES_MAX 8 /* kept for a rule, of a kind */
#define WAYS_MAX 8 /* rules in each other's shadow */
#define RULE_SHOWN 200

/* Whose a rule is, by the beginning of its table's or its chain's name; the first row that fits. */
static const struct owner {
	const char *name, *table, *chain;
	bool engine; /* an engine's own, or ours: no weakness, but how it works */
	const char *id, *fix; /* fix NULL: the rule itself is to be taken away */
} owners[] = {
	{ "spr", NFT_TABLE, NULL, true },
	{ "Docker", "docker-bridges", NULL, true },
	{ "somebody", NULL, "DOCKER-USER", false, "other-accept" },
	{ "Docker", NULL, "DOCKER", true },
	{ "Podman", "netavark", NULL, true },
	{ "Podman", NULL, "NETAVARK", true },
	{ "a container engine", NULL, "CNI-", true },
	{ "Tailscale", NULL, "ts-", false, "tailscale-accept",
	  "spr up; or tailscale set --netfilter-mode=nodivert, and accept what is meant yourself; or close it in the access "
	  "rules of the tailnet" },
	{ "ufw", NULL, "ufw", false, "other-accept",
	  "ufw status numbered, then ufw delete NUMBER, or a narrower rule; those of chains *-before-* are in /etc/ufw; or "
	  "spr up" },
	{ "firewalld", "firewalld", NULL, false, "other-accept",
	  "firewall-cmd --list-all-zones and --list-all-policies say which zone accepts it; take the interface, the service "
	  "or the forward out of it; or spr up" },
	{ "Kubernetes", NULL, "KUBE-", false, "other-accept", "a NetworkPolicy, or spr up" },
	{ "libvirt", NULL, "LIBVIRT_", false, "other-accept", "a network of libvirt without forwarding, or spr up" },
	{ "somebody", NULL, NULL, false, "other-accept" },
};

/* A packet that came through. */
struct passage {
	const struct origin *origin;
	struct probe probe;
	struct addr from; /* what the probe points to, when it is forged */
	const char *id; /* of the finding */
	unsigned out; /* the interface that it left by; 0: it arrived here */
	bool service; /* it arrived at a service of this machine */
	char *thing;
};

struct accept {
	char *family, *table, *chain, *text;
	bool legacy;
	const struct owner *owner;
	struct passage *passages;
	size_t n_passages;
	json_t *packets, *things; /* what is dropped without it */
	char from[300]; /* who sends that */
	bool beyond_services; /* not only services of this machine */
};

static bool begins(const char *text, const char *start)
{
	return !start || strncmp(text, start, strlen(start)) == 0;
}

/* Docker before version 28 says in FORWARD itself that a network's containers may send, and among each other. */
static bool is_dockers_forward(const struct twin_rule *rule)
{
	char bridge[16], shapes[2][120];

	if (strcmp(rule->chain, "FORWARD") != 0)
		return false;
	if (sscanf(rule->text, "-A FORWARD -i %15[^ ]", bridge) == 1) {
		snprintf(shapes[0], sizeof(shapes[0]), "-A FORWARD -i %s ! -o %s -j ACCEPT", bridge, bridge);
		snprintf(shapes[1], sizeof(shapes[1]), "-A FORWARD -i %s -o %s -j ACCEPT", bridge, bridge);
	} else if (sscanf(rule->text, "iifname \"%15[^\"]\"", bridge) == 1) {
		snprintf(shapes[0], sizeof(shapes[0]), "iifname \"%s\" oifname != \"%s\" counter accept", bridge,
			 bridge);
		snprintf(shapes[1], sizeof(shapes[1]), "iifname \"%s\" oifname \"%s\" counter accept", bridge, bridge);
	} else {
		return false;
	}
	return strcmp(rule->text, shapes[0]) == 0 || strcmp(rule->text, shapes[1]) == 0;
}

static const struct owner *owner_of(const struct twin_rule *rule)
{
	size_t i = 0;

	if (is_dockers_forward(rule) || doctor_accepts_ours(rule->text))
		return &owners[0];
	while (!begins(rule->table, owners[i].table) || !begins(rule->chain, owners[i].chain))
		i++;
	return &owners[i];
}

static ssize_t accept_find(const struct audit *audit, const struct twin_rule *rule)
{
	for (size_t i = 0; i < audit->n_accepts; i++) {
		const struct accept *accept = &audit->accepts[i];

		if (accept->legacy == rule->legacy && strcmp(accept->family, rule->family) == 0 &&
		    strcmp(accept->table, rule->table) == 0 && strcmp(accept->chain, rule->chain) == 0 &&
		    strcmp(accept->text, rule->text) == 0)
			return (ssize_t)i;
	}
	return -1;
}

static void accept_clear(struct accept *accept)
{
	for (size_t i = 0; i < accept->n_passages; i++)
		free(accept->passages[i].thing);
	free(accept->passages);
	free(accept->family);
	free(accept->table);
	free(accept->chain);
	free(accept->text);
	json_decref(accept->packets);
	json_decref(accept->things);
}

/* The index of a rule; -1 for those of engines, and without memory. */
static ssize_t accept_index(struct audit *audit, const struct trace_step *step)
{
	const struct owner *owner;
	struct twin_rule rule;
	struct accept *accept;
	ssize_t index;

	if (!twin_rule_of(audit->twin, step, &rule))
		return -1;
	owner = owner_of(&rule);
	index = owner->engine ? -1 : accept_find(audit, &rule);
	if (owner->engine || index >= 0)
		return index;
	accept = ARRAY_ADD(audit->accepts, audit->n_accepts);
	if (!accept) {
		audit->no_memory = true;
		return -1;
	}
	*accept = (struct accept){ .family = strdup(rule.family),
				   .table = strdup(rule.table),
				   .chain = strdup(rule.chain),
				   .text = strdup(rule.text),
				   .legacy = rule.legacy,
				   .owner = owner };
	if (accept->family && accept->table && accept->chain && accept->text)
		return (ssize_t)audit->n_accepts - 1;
	audit->no_memory = true;
	accept_clear(accept);
	audit->n_accepts--;
	return -1;
}

/* The rules of others that accepted the last packet. */
struct seen {
	size_t index[TWIN_ACCEPTS_MAX];
	struct trace_step step[TWIN_ACCEPTS_MAX];
	size_t n;
};

static void look(struct audit *audit, struct seen *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < audit->last.n_accepts; i++) {
		ssize_t index = accept_index(audit, &audit->last.accepts[i]);

		if (index < 0)
			continue;
		ret->step[ret->n] = audit->last.accepts[i];
		ret->index[ret->n++] = (size_t)index;
	}
}

static const struct trace_step *step_of(const struct seen *seen, size_t index)
{
	for (size_t i = 0; i < seen->n; i++)
		if (seen->index[i] == index)
			return &seen->step[i];
	return NULL;
}

static unsigned out_of(const struct audit *audit)
{
	return audit->last.n_exits > 0 ? audit->last.exits[0].interface : 0;
}

/* Of packets that go the same way from the same place, a few stand for all. */
static bool wants_more(const struct accept *accept, const struct hole *hole, const struct probe *probe)
{
	unsigned out = out_of(hole->audit);
	size_t n = 0;

	for (size_t i = 0; i < accept->n_passages && n < PASSAGES_MAX; i++) {
		const struct passage *passage = &accept->passages[i];

		n += passage->origin == hole->origin && passage->id == hole->id && passage->out == out &&
		     passage->probe.proto == probe->proto && passage->probe.note == probe->note;
	}
	return n < PASSAGES_MAX;
}

static void keep(struct accept *accept, const struct hole *hole, const struct probe *probe, const char *thing)
{
	struct passage *passage = ARRAY_ADD(accept->passages, accept->n_passages);

	if (!passage) {
		hole->audit->no_memory = true;
		return;
	}
	*passage = (struct passage){ .origin = hole->origin, .probe = *probe, .id = hole->id };
	passage->out = out_of(hole->audit);
	passage->service = hole->audit->last.local && !begins(hole->id, "published");
	if (probe->from)
		passage->from = *probe->from;
	passage->thing = thing ? strdup(thing) : NULL;
	hole->audit->no_memory |= thing && !passage->thing;
}

void accepts_keep(struct hole *hole, const struct probe *probe, const char *thing)
{
	struct seen seen;

	look(hole->audit, &seen);
	for (size_t i = 0; i < seen.n; i++)
		if (wants_more(&hole->audit->accepts[seen.index[i]], hole, probe))
			keep(&hole->audit->accepts[seen.index[i]], hole, probe, thing);
}

static struct probe probe_of(const struct passage *passage)
{
	struct probe probe = passage->probe;

	if (probe.from)
		probe.from = &passage->from;
	return probe;
}

/* Sends the packet again: whether it comes through, and by whom. */
static bool pass(struct audit *audit, const struct passage *passage, struct seen *ret)
{
	struct probe probe = probe_of(passage);
	struct answer answer;
	bool passes;

	twin_forget(audit->twin, NULL);
	passes = probe_try(audit, passage->origin, &probe, &answer);
	look(audit, ret);
	return passes;
}

/* Somebody's rule that accepts the packet now, and did not before; NULL: none. */
static const struct trace_step *new_step(const struct seen *now, const struct seen *before, size_t *ret_index)
{
	for (size_t i = 0; i < now->n; i++)
		if (!step_of(before, now->index[i])) {
			*ret_index = now->index[i];
			return &now->step[i];
		}
	return NULL;
}

static bool names_already(const struct accept *accept, const char *name)
{
	const char *at = accept->from;

	while ((at = strstr(at, name))) {
		at += strlen(name);
		if (!*at || *at == ';')
			return true;
	}
	return false;
}

static void add_proof(struct audit *audit, size_t index, const struct passage *passage)
{
	struct accept *accept = &audit->accepts[index];
	const struct interface *interface = passage->origin->interface;
	struct probe probe = probe_of(passage);
	json_t *packet = packet_json(passage->origin, &probe, passage->thing);
	size_t used = strlen(accept->from);

	if (!accept->packets) {
		accept->packets = json_array();
		accept->things = json_array();
	}
	json_object_set_new(packet, "zone", json_string(origin_zone(passage->origin)));
	json_object_set_new(packet, "interface", json_text(interface->name));
	if (json_array_append_new(accept->packets, packet) < 0)
		audit->no_memory = true;
	if (passage->thing)
		things_add(audit, accept->things, passage->thing);
	if (!names_already(accept, passage->origin->name))
		snprintf(accept->from + used, sizeof(accept->from) - used, "%s%s", used ? "; " : "",
			 passage->origin->name);
	accept->beyond_services |= !passage->service;
}

/* What is known of a packet before the rule is taken out, and after it. */
struct trial {
	struct seen before;
	bool passed, elsewhere; /* elsewhere: another rule accepts it then */
	size_t other; /* that one */
};

static void add_way(size_t *ways, size_t *n, size_t way)
{
	for (size_t i = 0; i < *n; i++)
		if (ways[i] == way)
			return;
	ways[(*n)++] = way;
}

/*
 * Something else accepts the packet now: that is taken out too, until nothing does. What an earlier packet took out is
 * not there any more, and is a way of this one all the same.
 */
static int judge_further(struct audit *audit, size_t accept, const struct passage *passage, const struct trial *trial,
			 struct error *error)
{
	size_t ways[WAYS_MAX] = { accept, trial->other }, n = 2, way;
	const struct trace_step *step = NULL;
	struct seen now;
	bool passes = pass(audit, passage, &now);
	int r = 0;

	while (passes && r >= 0 && n < WAYS_MAX && (step = new_step(&now, &trial->before, &way))) {
		add_way(ways, &n, way);
		r = twin_take_out(audit->twin, step, error);
		passes = pass(audit, passage, &now);
	}
	for (size_t i = 0; i < n && !passes && r >= 0; i++)
		add_proof(audit, ways[i], passage);
	return r;
}

/* The caller's twin is one of its own, and whole. */
static int judge_all(struct audit *audit, size_t accept, struct trial *trials, struct error *error)
{
	const struct passage *passages = audit->accepts[accept].passages;
	size_t n = audit->accepts[accept].n_passages;
	const struct trace_step *step = NULL;
	struct seen now;
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		trials[i].passed = pass(audit, &passages[i], &trials[i].before);
		step = step ? step : step_of(&trials[i].before, accept);
	}
	if (!step)
		return 0; /* the machine is another one by now */
	r = twin_take_out(audit->twin, step, error);
	for (size_t i = 0; i < n && r >= 0; i++) {
		if (!trials[i].passed)
			continue;
		if (!pass(audit, &passages[i], &now))
			add_proof(audit, accept, &passages[i]);
		else
			trials[i].elsewhere = new_step(&now, &trials[i].before, &trials[i].other);
	}
	for (size_t i = 0; i < n && r >= 0; i++)
		if (trials[i].elsewhere)
			r = judge_further(audit, accept, &passages[i], &trials[i], error);
	return r;
}

static int judge(struct audit *audit, size_t accept, struct error *error)
{
	static const struct twin_options as_it_is;
	_cleanup_free_ struct trial *trials = calloc(audit->accepts[accept].n_passages + 1, sizeof(*trials));
	struct twin *whole = audit->twin;
	int r = trials ? twin_open(&as_it_is, &audit->twin, error) : error_memory(error);

	if (r >= 0) {
		r = judge_all(audit, accept, trials, error);
		twin_close(audit->twin);
	}
	audit->twin = whole;
	return r;
}

static char *fix_of(const struct accept *accept)
{
	bool six = strcmp(accept->family, "ip6") == 0;
	struct text text = { 0 };

	if (accept->owner->fix)
		text_add(&text, "%s", accept->owner->fix);
	else if (begins(accept->text, "-A "))
		text_add(&text, "%s%s -t %s -D %s; or a narrower rule; or spr up", six ? "ip6tables" : "iptables",
			 accept->legacy ? "-legacy" : "", accept->table, accept->text + strlen("-A "));
	else
		text_add(
			&text,
			"nft -a list chain %s %s %s, then nft delete rule %s %s %s handle NUMBER; or a narrower rule; or spr up",
			accept->family, accept->table, accept->chain, accept->family, accept->table, accept->chain);
	return text_take(&text);
}

static void report(struct audit *audit, struct accept *accept)
{
	enum severity severity = accept->beyond_services ? SEVERITY_WARNING : SEVERITY_NOTICE;
	_cleanup_free_ char *fix = fix_of(accept);
	char text[1000];

	snprintf(text, sizeof(text) / 2 + RULE_SHOWN,
		 "a rule of %s accepts what would be dropped without it, in %stable %s %s, chain %s (%.*s): %s reaches",
		 accept->owner->name, accept->legacy ? "iptables-legacy, " : "", accept->family, accept->table,
		 accept->chain, RULE_SHOWN, accept->text, accept->from);
	add_things(text, sizeof(text), accept->things);
	finding_add(audit, severity,
		    json_pack("{s:s, s:s, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:b}, s:o, s:o}", "id", accept->owner->id,
			      "severity", severity_name(severity), "text", json_text(text), "fix", json_text(fix),
			      "rule", "family", json_text(accept->family), "table", json_text(accept->table), "chain",
			      json_text(accept->chain), "text", json_text(accept->text), "legacy", accept->legacy,
			      "things", accept->things, "packets", accept->packets));
	accept->things = accept->packets = NULL;
}

int accepts_judge(struct audit *audit, struct error *error)
{
	size_t n = audit->n_accepts < RULES_MAX ? audit->n_accepts : RULES_MAX;

	if (n < audit->n_accepts)
		audit_note(audit, "%zu more rules of others accept packets of findings: what they do is not looked at",
			   audit->n_accepts - n);
	for (size_t i = 0; i < n; i++) {
		int r = judge(audit, i, error);

		if (r == -ENOMEM)
			return r;
		if (r < 0) /* the other findings are true all the same */
			audit_note(audit, "what the rule in chain %s (%.*s) does is not known: %s",
				   audit->accepts[i].chain, RULE_SHOWN, audit->accepts[i].text, error->text);
	}
	for (size_t i = 0; i < audit->n_accepts; i++)
		if (audit->accepts[i].packets)
			report(audit, &audit->accepts[i]);
	return 0;
}

void accepts_clear(struct audit *audit)
{
	for (size_t i = 0; i < audit->n_accepts; i++)
		accept_clear(&audit->accepts[i]);
	free(audit->accepts);
}
