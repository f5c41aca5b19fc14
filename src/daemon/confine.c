/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "engine/docker_file.h"

static struct helper *docker_files;

static int open_docker_file(const char *root, const char *id)
{
	return file_helper_docker(docker_files, root, id);
}

int confine_prepare(struct daemon *daemon, struct error *error)
{
	const struct options *options = &daemon->options;
	int r = helper_start(&file_helper, options->no_sandbox, options->resolv_conf, &daemon->files, error);

	tzset(); /* reads a file at its first use, and then no more */
	docker_files = &daemon->files;
	docker_file_opener = open_docker_file;
	return r < 0 ? r : docker_user_start(daemon, error);
}

/* The folder that a file is in. */
static void folder_of(const char *path, char *buffer, size_t size)
{
	char *slash;

	snprintf(buffer, size, "%s", path);
	slash = strrchr(buffer, '/');
	if (!slash)
		snprintf(buffer, size, ".");
	else
		slash[slash == buffer ? 1 : 0] = '\0';
}

int confine_enter(struct daemon *daemon, struct error *error)
{
	static const int capabilities[] = { CAP_NET_ADMIN };
	char socket_folder[4096], policy_folder[4096];
	const struct sandbox_path paths[] = {
		{ daemon->options.state_folder, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CREATE },
		{ socket_folder, SANDBOX_REMOVE },
		{ policy_folder, SANDBOX_READ }, /* who edits the file replaces it */
		{ "/dev/urandom", SANDBOX_READ }, /* what seeds the tables of libraries */
		{ "/proc/sys/net", SANDBOX_READ }, /* br_netfilter, connection tracking, IPv6: are they there? */
		{ "/proc/self/net", SANDBOX_READ }, /* open sessions */
	};
	const struct sandbox_profile profile = { .capabilities = capabilities,
						 .n_capabilities = ELEMENTSOF(capabilities),
						 .paths = paths,
						 .n_paths = ELEMENTSOF(paths) };
	int r;

	folder_of(daemon->options.socket, socket_folder, sizeof(socket_folder));
	folder_of(daemon->options.policy_file ? daemon->options.policy_file : daemon->options.state_folder,
		  policy_folder, sizeof(policy_folder));
	r = sandbox_enter(&profile, daemon->options.no_sandbox, &daemon->sandbox, error);
	for (size_t i = 0; i < _SANDBOX_MAX && r >= 0; i++)
		if (daemon->sandbox.why[i][0])
			log_warning("sandbox", "no %s: %s", sandbox_layer_names[i], daemon->sandbox.why[i]);
	return r;
}

json_t *confine_layers(const struct daemon *daemon)
{
	json_t *list = json_array();

	for (size_t i = 0; i < _SANDBOX_MAX; i++)
		if (!daemon->sandbox.why[i][0])
			json_array_append_new(list, json_string(sandbox_layer_names[i]));
	return list;
}

void confine_notes(const struct daemon *daemon, json_t *notes)
{
	for (size_t i = 0; i < _SANDBOX_MAX; i++)
		if (daemon->sandbox.why[i][0])
			sentence_add(notes, "sprd runs without %s: %s", sandbox_layer_names[i], daemon->sandbox.why[i]);
	if (daemon->docker_user.pid <= 0)
		sentence_add(notes,
			     "the process that keeps the rule in DOCKER-USER has ended: Docker may drop what the "
			     "policy accepts. Restart sprd");
	if (daemon->files.pid <= 0)
		sentence_add(notes, "the process that reads the resolver configuration and Docker's files has ended: "
				    "changes of the resolver are not seen. Restart sprd");
}
