/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_AUDIT_AUDIT_H
#define SPR_AUDIT_AUDIT_H

#include <jansson.h>

#include "base/error.h"

struct audit_options {
	const char *docker; /* its socket; NULL: the usual place. Without an answer there are no names */
	const json_t *status; /* what sprd says of itself; NULL when it did not answer, and then */
	int status_error; /* why: a negative errno */
};

/*
 * Who can reach what on this machine as it is now, by packets in its twin. Nothing is changed. The report is the caller's:
 * {"findings": [{"id", "severity", "text", "fix", "from": {"zone", "interface"}, "packets": [{"from", "to", "proto", "port",
 * "note"}]}], "settings": [as of the doctor], "counts": {SEVERITY: NUMBER}, "notes": [TEXT], "packets": NUMBER}, the worst
 * first. Errors: -EPERM without root, -ENOMEM, and what hinders a twin.
 */
int audit_run(const struct audit_options *options, json_t **ret_report, struct error *error);

/* The report as SARIF 2.1.0 (OASIS), for tools that collect such. NULL without memory. */
json_t *audit_sarif(const json_t *report);

#endif
