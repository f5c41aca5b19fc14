/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "policy/nearest.h"

#define FORCE OPTION_BIT(OPTION_FORCE)
#define REMOVE OPTION_BIT(OPTION_REMOVE)
#define CHANGE (FORCE | OPTION_BIT(OPTION_DRY_RUN) | OPTION_BIT(OPTION_COMMENT) | OPTION_BIT(OPTION_CONFIRM))
#define RULE (CHANGE | REMOVE | OPTION_BIT(OPTION_FOR))
#define PUBLISH (CHANGE | REMOVE | OPTION_BIT(OPTION_PORT) | OPTION_BIT(OPTION_TO))
#define APPLY (CHANGE | OPTION_BIT(OPTION_FILE))
#define PLAN (FORCE | OPTION_BIT(OPTION_FILE) | OPTION_BIT(OPTION_COMPOSE) | OPTION_BIT(OPTION_PROJECT))
#define LOG (OPTION_BIT(OPTION_FOLLOW) | OPTION_BIT(OPTION_MEMBER))
#define DOCTOR (OPTION_BIT(OPTION_ALL) | OPTION_BIT(OPTION_STATE_DIR))
#define AUDIT (OPTION_BIT(OPTION_ALL) | OPTION_BIT(OPTION_DOCKER) | OPTION_BIT(OPTION_SARIF))
#define MANY 64
#define CONFIRMED plan_status, NULL, NULL, NULL, plan_twin /* a dry run is tried in twins */

/* What a verb is: spr(1), the completions and `spr help` follow this table. */
/* clang-format off */
const struct verb verbs[] = {
	{ "up", "[--force] [--dry-run]", "close everything that policy does not open, now and at each start",
	  FORCE | OPTION_BIT(OPTION_DRY_RUN), 0, 0, true, NULL, up_show, CONFIRMED },
	{ "down", "[--force] [--dry-run]", "remove every rule of spr; nothing is closed any more",
	  FORCE | OPTION_BIT(OPTION_DRY_RUN), 0, 0, true, NULL, down_show, CONFIRMED },
	{ "status", "", "what is enforced, and what needs attention",
	  0, 0, 0, false, NULL, status_show, status_status, NULL, NULL, NULL, status_prove },
	{ "list", "containers|networks|interfaces|groups|rules|flows", "what is there",
	  0, 1, 1, false, list_build, list_show, NULL, NULL },
	{ "join", "MEMBER GROUP...", "let a member and the members of groups reach each other",
	  CHANGE, 2, MANY, true, change_build, change_show, CONFIRMED },
	{ "leave", "MEMBER GROUP...", "take a member out of groups",
	  CHANGE, 2, MANY, true, change_build, change_show, CONFIRMED },
	{ "grant", "MEMBER POLICY...", "give a member policies: wan, dns, lan ...",
	  CHANGE, 2, MANY, true, change_build, change_show, CONFIRMED },
	{ "revoke", "MEMBER POLICY...", "take policies from a member",
	  CHANGE, 2, MANY, true, change_build, change_show, CONFIRMED },
	{ "allow", "FROM TO[:PORT[,PORT...]] [--for TIME] [--remove]",
	  "open one way, from one to another",
	  RULE, 2, 2, true, change_build, change_show, CONFIRMED },
	{ "block", "FROM TO[:PORT[,PORT...]] [--for TIME] [--remove]",
	  "close one way, whatever else opens it",
	  RULE, 2, 2, true, change_build, change_show, CONFIRMED },
	{ "publish", "CONTAINER [--port PORT] --to WHO[,WHO...] | CONTAINER --remove [--port PORT] [--to WHO]",
	  "say who may use the published ports of a container",
	  PUBLISH, 1, 1, true, change_build, change_show, CONFIRMED },
	{ "role", "INTERFACE uplink|lan|container|overlay|other", "say what an interface is",
	  CHANGE, 2, 2, true, change_build, change_show, CONFIRMED },
	{ "pending", "", "what waits for a decision: what labels of containers ask for",
	  0, 0, 0, false, NULL, pending_show, NULL, NULL },
	{ "accept", "ID...", "make requests part of the policy",
	  CHANGE, 1, MANY, true, change_build, change_show, CONFIRMED },
	{ "dismiss", "ID...", "do not show requests again",
	  CHANGE, 1, MANY, true, change_build, change_show, CONFIRMED },
	{ "apply", "[-f FILE]", "make the policy what a file says",
	  APPLY, 0, 0, true, apply_build, change_show, CONFIRMED },
	{ "plan", "-f FILE | --compose FILE [--project NAME]", "say what a policy would open and close, or a compose file",
	  PLAN, 0, 0, true, plan_build, plan_or_compose_show, plan_status, NULL, "apply", NULL, plan_twin },
	{ "edit", "", "change the policy in an editor",
	  FORCE | OPTION_BIT(OPTION_COMMENT) | OPTION_BIT(OPTION_CONFIRM), 0, 0, true, NULL, change_show, NULL, NULL,
	  "apply", edit_local },
	{ "confirm", "", "keep what was changed with --confirm",
	  0, 0, 0, false, NULL, change_show, NULL, NULL },
	{ "history", "[COUNT]", "the last revisions of the policy",
	  0, 0, 1, false, history_build, history_show, NULL, NULL },
	{ "diff", "NUMBER [NUMBER]", "what is another in a later revision, or in the current one",
	  0, 1, 2, false, diff_build, diff_show, NULL, NULL },
	{ "rollback", "[NUMBER]", "go back to a revision, or to the one before",
	  CHANGE, 0, 1, true, rollback_build, change_show, CONFIRMED },
	{ "export", "", "print the policy as YAML",
	  0, 0, 0, false, NULL, export_show, NULL, NULL },
	{ "explain", "FROM TO[:PORT] [--twin]", "say whether something may pass, and why",
	  OPTION_BIT(OPTION_TWIN), 2, 2, false, explain_build, explain_show, explain_status, NULL, NULL, NULL, explain_twin },
	{ "prove", "", "try what policy says on the kernel's rules, in a twin of this machine",
	  0, 0, 0, false, NULL, prove_show, prove_status, NULL, NULL, NULL, prove_and_tell },
	{ "log", "[-f] [--member NAME]", "show what was dropped lately, or with -f as it happens",
	  LOG, 0, 0, false, log_build, log_show, log_status, log_follow },
	{ "doctor", "[--all] [--state-dir FOLDER]", "check what undoes or weakens the protection",
	  DOCTOR, 0, 0, false, NULL, doctor_show, doctor_status, NULL, NULL, doctor_local },
	{ "audit", "[--all] [--sarif] [--docker SOCKET]", "say who can reach what on this machine, with or without spr",
	  AUDIT, 0, 0, false, NULL, audit_show, audit_status, NULL, NULL, audit_local },
};
/* clang-format on */
const size_t n_verbs = ELEMENTSOF(verbs);

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < n_verbs; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

int verb_unknown(const char *name, struct error *error)
{
	const char *names[ELEMENTSOF(verbs) + 1] = { "help" }, *near;

	for (size_t i = 0; i < n_verbs; i++)
		names[i + 1] = verbs[i].name;
	near = nearest(name, names, ELEMENTSOF(names));
	if (near)
		return error_set(error, EINVAL, "unknown verb '%s': did you mean '%s'?", name, near);
	return error_set(error, EINVAL, "unknown verb '%s'; spr help lists them", name);
}
