/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "ruleset/compile.h"

/*
 * Our drop is final, our accept is not: Docker's own forward rules come after it. One rule in DOCKER-USER, the chain
 * that Docker leaves to its users, accepts what carries our bit. It is written with the same iptables as Docker's: the
 * one in PATH.
 */

enum step { STEP_CHECK, STEP_INSERT, STEP_DELETE };

static const char *const step_options[] = { [STEP_CHECK] = "-C", [STEP_INSERT] = "-I", [STEP_DELETE] = "-D" };
static const char *const programs[] = { "iptables", "ip6tables" };

struct job {
	uv_process_t process;
	const char *program;
	enum step step;
	bool present; /* what is wanted in the end */
	struct job **slot;
};

/* One at a time for each program; a wish that came meanwhile is started when it ends. */
static struct job *running[ELEMENTSOF(programs)];
static bool again[ELEMENTSOF(programs)];
static bool wanted[ELEMENTSOF(programs)];

static void run(uv_loop_t *loop, size_t which, enum step step, bool present);

static void on_close(uv_handle_t *handle)
{
	free(handle);
}

static void on_job_exit(uv_process_t *process, int64_t status, int signal)
{
	struct job *job = (struct job *)process;
	size_t which = (size_t)(job->slot - running);
	uv_loop_t *loop = process->loop;
	enum step step = job->step;
	bool present = job->present;

	running[which] = NULL;
	uv_close((uv_handle_t *)process, on_close);
	if (step == STEP_CHECK && present && status != 0)
		run(loop, which, STEP_INSERT, true);
	else if (step == STEP_CHECK && !present && status == 0)
		run(loop, which, STEP_DELETE, false);
	else if (step == STEP_DELETE && status == 0)
		run(loop, which, STEP_CHECK, false); /* in case it stood there twice */
	else if (again[which])
		run(loop, which, STEP_CHECK, wanted[which]);
}

static void run(uv_loop_t *loop, size_t which, enum step step, bool present)
{
	char mark[32];
	char *arguments[] = { (char *)programs[which],
			      "-w",
			      "5",
			      (char *)step_options[step],
			      "DOCKER-USER",
			      "-m",
			      "mark",
			      "--mark",
			      mark,
			      "-j",
			      "ACCEPT",
			      NULL };
	uv_process_options_t options = { .exit_cb = on_job_exit, .file = programs[which], .args = arguments };
	struct job *job = calloc(1, sizeof(*job));
	int r;

	again[which] = false;
	if (!job)
		return;
	snprintf(mark, sizeof(mark), "0x%x/0x%x", ACCEPT_BIT, ACCEPT_BIT);
	job->program = programs[which];
	job->step = step;
	job->present = present;
	job->slot = &running[which];
	r = uv_spawn(loop, &job->process, &options);
	if (r < 0) {
		if (r != UV_ENOENT)
			log_warning("docker", "%s: %s", programs[which], uv_strerror(r));
		uv_close((uv_handle_t *)&job->process, on_close);
		return;
	}
	running[which] = job;
}

void docker_user_ensure(struct daemon *daemon, bool present)
{
	for (size_t i = 0; i < ELEMENTSOF(programs); i++) {
		wanted[i] = present;
		if (running[i])
			again[i] = true;
		else
			run(&daemon->loop, i, STEP_CHECK, present);
	}
}
