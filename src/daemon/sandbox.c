/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sandbox.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "daemon/sandbox_private.h"

/* Sanitizers write reports where they like, and one of them traces its own process. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SANITIZED)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

const char *const sandbox_layer_names[_SANDBOX_MAX] = {
	[SANDBOX_CAPABILITIES] = "capabilities",
	[SANDBOX_SECCOMP] = "seccomp",
	[SANDBOX_LANDLOCK] = "landlock",
};

int sandbox_parse_layers(const char *text, unsigned *ret)
{
	unsigned layers = 0;

	if (!text) {
		*ret = (1U << _SANDBOX_MAX) - 1;
		return 0;
	}
	while (*text) {
		size_t length = strcspn(text, ","), i = 0;

		while (i < _SANDBOX_MAX &&
		       (strlen(sandbox_layer_names[i]) != length || strncmp(sandbox_layer_names[i], text, length) != 0))
			i++;
		if (i == _SANDBOX_MAX)
			return -EINVAL;
		layers |= 1U << i;
		text += length + (text[length] == ',');
	}
	*ret = layers;
	return layers ? 0 : -EINVAL;
}

/* Capabilities, seccomp and landlock are a thread's: one that is there already would keep what it has. */
static int check_alone(struct error *error)
{
	DIR *folder = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned n = 0;

	if (!folder)
		return error_set(error, errno, "sandbox: /proc/self/task: %s: is /proc mounted?", strerror(errno));
	while ((entry = readdir(folder)))
		n += entry->d_name[0] != '.';
	closedir(folder);
	if (n > 1)
		return error_set(error, EBUSY, "sandbox: %u threads run already: they would not be inside", n);
	return 0;
}

/*
 * The bounding set can be lowered by CAP_SETPCAP only. Where a service manager has not given that, it has lowered the
 * set itself; and nothing is gained over it, with no_new_privs.
 */
static int drop_capabilities(const struct sandbox_profile *profile, struct error *error)
{
	uint64_t held = 0;
	bool bounds;

	if (capng_get_caps_process() < 0)
		return error_set(error, EIO, "sandbox: this process's capabilities cannot be read");
	bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (size_t i = 0; i < profile->n_capabilities; i++)
		if (capng_have_capability(CAPNG_PERMITTED, (unsigned)profile->capabilities[i]))
			held |= 1ULL << profile->capabilities[i];
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < profile->n_capabilities; i++) {
		unsigned number = (unsigned)profile->capabilities[i];

		capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, number);
		if (held & 1ULL << number)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, number);
	}
	/* An ambient capability is an inheritable one as well, and goes with it. */
	if (capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0)
		return error_set(error, EPERM, "sandbox: capabilities cannot be given up: %s", strerror(errno));
	return 0;
}

static int newest_landlock(const struct sandbox_profile *profile, struct error *error)
{
	return sandbox_landlock(profile, INT_MAX, error);
}

int sandbox_enter(const struct sandbox_profile *profile, unsigned skip, struct sandbox_report *ret, struct error *error)
{
	static int (*const layers[_SANDBOX_MAX])(const struct sandbox_profile *profile, struct error *error) = {
		[SANDBOX_SECCOMP] = sandbox_seccomp,
		[SANDBOX_LANDLOCK] = newest_landlock,
	};
	/* Landlock first: seccomp does not allow it. */
	static const enum sandbox_layer order[] = { SANDBOX_LANDLOCK, SANDBOX_SECCOMP };
	struct sandbox_report report = { 0 };
	bool nothing = skip == (1U << _SANDBOX_MAX) - 1;
	int r = nothing ? 0 : check_alone(error);

	for (size_t i = 0; i < _SANDBOX_MAX; i++)
		if (skip & 1U << i)
			snprintf(report.why[i], sizeof(report.why[i]), "switched off by --no-sandbox");
	if (r >= 0 && !report.why[SANDBOX_CAPABILITIES][0])
		r = drop_capabilities(profile, error);
	if (r >= 0 && !nothing && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = error_set(error, errno, "sandbox: no_new_privs: %s", strerror(errno));
	if (r < 0)
		return r;
	for (size_t i = 0; i < ELEMENTSOF(order); i++) {
		char *why = report.why[order[i]];
		struct error reason;

		if (why[0])
			continue;
		if (SANITIZED)
			snprintf(why, sizeof(report.why[0]), "this is a build with sanitizers");
		else if (layers[order[i]](profile, &reason) < 0)
			snprintf(why, sizeof(report.why[0]), "%.150s", reason.text);
	}
	*ret = report;
	return 0;
}
