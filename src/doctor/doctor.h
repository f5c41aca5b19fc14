/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DOCTOR_DOCTOR_H
#define SPR_DOCTOR_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/error.h"
#include "kernel/nft.h"

struct inventory;
struct nft_seen;

/* How bad a finding is; the order is that of the report, from its end. */
enum severity {
	SEVERITY_OK,
	SEVERITY_NOTICE, /* good to know: nothing is weaker while spr is up */
	SEVERITY_UNCHECKED, /* nobody knows */
	SEVERITY_WARNING, /* something is weaker than it could be */
	SEVERITY_CRITICAL, /* something is open, or will be at the next start */
	_SEVERITY_MAX,
};

/* "ok", "notice", "not checked", "warning", "critical" */
const char *severity_name(enum severity severity);

/* What a scratch network namespace says about this kernel. */
enum scratch_part { SCRATCH_NFTABLES, SCRATCH_RULES, SCRATCH_CONNTRACK, SCRATCH_LOG, _SCRATCH_MAX };
struct scratch {
	enum nft_protection protection; /* the best one */
	struct error parts[_SCRATCH_MAX]; /* code 0: it works */
};

/* What asks the running system and not a file. Tests have their own. Results are 0 or a negative errno. */
struct doctor_system {
	/* The output of a program; -ENOENT: not installed; -EIO: it failed; -E2BIG, -ETIMEDOUT. The caller's to free. */
	int (*run)(const char *const *arguments, char **ret, size_t *ret_length);
	int (*look)(struct nft_seen *ret_spr, struct nft_seen *ret_owned, struct error *error);
	int (*scratch)(struct scratch *ret, struct error *error);
	int (*clock)(time_t *ret_now, bool *ret_synchronised);
	int (*space)(const char *path, struct statfs *ret);
};
extern const struct doctor_system doctor_system;

struct doctor {
	const char *root; /* before every path that is read; "" for this machine */
	const char *state_folder;
	const char *socket;
	bool privileged; /* root: else what needs it is "not checked" */
	const json_t *status; /* what sprd says of itself; NULL when it did not answer, and then */
	int status_error; /* why: a negative errno */
	const struct inventory
		*inventory; /* what Docker says of its networks; NULL where it was not asked, or did not answer */
	const struct doctor_system *system;
};

/* Whether a rule, as iptables saves it or as nft lists it, is the one that accepts what spr accepted. */
bool doctor_accepts_ours(const char *rule);

/*
 * Makes all checks; nothing is written or changed anywhere. The report is the caller's: {"findings": [{"id", "severity",
 * "text", "fix"}], "counts": {SEVERITY: NUMBER}}, the worst first; a check that finds nothing has one finding that is
 * ok. -ENOMEM.
 */
int doctor_run(const struct doctor *doctor, json_t **ret_report, struct error *error);

#endif
