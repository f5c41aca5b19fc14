/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DAEMON_SANDBOX_H
#define SPR_DAEMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum sandbox_layer { SANDBOX_CAPABILITIES, SANDBOX_SECCOMP, SANDBOX_LANDLOCK, _SANDBOX_MAX };

/* What may be done below a path. */
enum sandbox_access {
	SANDBOX_READ = 1 << 0, /* files and lists of folders */
	SANDBOX_WRITE = 1 << 1, /* files that are there */
	SANDBOX_CREATE = 1 << 2, /* files that are not: make, rename, remove */
	SANDBOX_REMOVE = 1 << 3,
	SANDBOX_EXECUTE = 1 << 4,
};

struct sandbox_path {
	const char *path; /* one that is not there is left out */
	unsigned access; /* of SANDBOX_READ ... */
};

/* What a process needs; all else is taken from it. */
struct sandbox_profile {
	const int *capabilities; /* numbers of capabilities(7); one that the process has not is not missed */
	size_t n_capabilities;
	const struct sandbox_path *paths;
	size_t n_paths;
	bool starts_programs; /* a short list of forbidden system calls instead of a list of allowed ones */
};

/* For each layer: in force when `why` is "", else why it is not. */
struct sandbox_report {
	char why[_SANDBOX_MAX][160];
};

extern const char *const sandbox_layer_names[_SANDBOX_MAX];

/*
 * Takes from this process, for good, all that the profile does not name; no_new_privs too. Of the layers in `skip`
 * (bits 1 << SANDBOX_...) nothing is done. What this kernel cannot do is written to *ret and is no error: the daemon is
 * of more use without a layer than not at all. -EBUSY: the process has more than one thread, which would keep its
 * rights; other errors: capabilities could not be given up.
 */
int sandbox_enter(const struct sandbox_profile *profile, unsigned skip, struct sandbox_report *ret,
		  struct error *error);

/* The layers of "seccomp,landlock", or all for NULL; -EINVAL. */
int sandbox_parse_layers(const char *text, unsigned *ret);

#endif
