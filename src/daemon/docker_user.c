/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "ruleset/compile.h"

/*
 * Our drop is final, our accept is not: Docker's own forward rules come after it. One rule in DOCKER-USER, the chain
 * that Docker leaves to its users, accepts what carries our bit. It is written with the same iptables as Docker's: the
 * one in PATH. It stands behind the rules that the chain's users put there, and before the RETURN that Docker puts last:
 * what they drop stays dropped.
 */

enum step { STEP_LIST, STEP_INSERT, STEP_DELETE };

static const char *const programs[] = { "iptables", "ip6tables" };

#define CHAIN "DOCKER-USER"
#define ADDED "-A " CHAIN " "
#define LISTING_MAX 65536

struct job {
	uv_process_t process;
	uv_pipe_t output;
	size_t which;
	enum step step;
	unsigned open; /* handles not closed yet */
	int64_t status;
	size_t length;
	char listing[LISTING_MAX];
};

/* One at a time for each program; a wish that came meanwhile is started when it ends. */
static struct state {
	bool running, again, present;
} states[ELEMENTSOF(programs)];

struct place_in_chain {
	unsigned ours; /* number of our rule, 0 without */
	unsigned end; /* where it belongs: before the first bare RETURN, or behind the last rule */
	bool right; /* it is there */
};

static const char *mark_text(char buffer[32])
{
	snprintf(buffer, 32, "0x%x/0x%x", ACCEPT_BIT, ACCEPT_BIT);
	return buffer;
}

static struct place_in_chain find_place(char *listing)
{
	struct place_in_chain place = { 0 };
	char mark[32], *save = NULL;
	unsigned n = 0;

	mark_text(mark);
	for (char *line = strtok_r(listing, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, ADDED, strlen(ADDED)) != 0)
			continue;
		n++;
		if (strstr(line, mark) && strstr(line, "-j ACCEPT"))
			place.ours = n;
		else if (!place.end && strcmp(line, ADDED "-j RETURN") == 0)
			place.end = n;
	}
	if (!place.end)
		place.end = n + 1;
	place.right = place.ours && place.ours + 1 == place.end;
	return place;
}

static void run(uv_loop_t *loop, size_t which, enum step step, unsigned number);

static void next(uv_loop_t *loop, struct job *job)
{
	struct state *state = &states[job->which];
	struct place_in_chain place = { 0 };

	state->running = false;
	if (job->step == STEP_LIST && job->status == 0) {
		place = find_place(job->listing);
		if (place.ours && (!state->present || !place.right)) {
			run(loop, job->which, STEP_DELETE, place.ours);
			return;
		}
		if (!place.ours && state->present) {
			run(loop, job->which, STEP_INSERT, place.end);
			return;
		}
	}
	if (state->again || (job->step == STEP_DELETE && job->status == 0))
		run(loop, job->which, STEP_LIST, 0);
}

/* The process has ended, and all that it said was read. */
static void on_job_close(uv_handle_t *handle)
{
	struct job *job = handle->data;

	if (--job->open)
		return;
	next(handle->loop, job);
	free(job);
}

static void on_job_exit(uv_process_t *process, int64_t status, int signal)
{
	((struct job *)process->data)->status = signal ? -1 : status;
	uv_close((uv_handle_t *)process, on_job_close);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct job *job = handle->data;

	*ret = uv_buf_init(job->listing + job->length, (unsigned)(sizeof(job->listing) - 1 - job->length));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct job *job = stream->data;

	if (n > 0)
		job->length += (size_t)n;
	else if (n < 0)
		uv_close((uv_handle_t *)stream, on_job_close);
}

static void run(uv_loop_t *loop, size_t which, enum step step, unsigned number)
{
	char mark[32], at[16], *program = (char *)programs[which];
	char *list[] = { program, "-w", "5", "-S", CHAIN, NULL };
	char *insert[] = { program, "-w", "5", "-I", CHAIN, at, "-m", "mark", "--mark", mark, "-j", "ACCEPT", NULL };
	char *delete[] = { program, "-w", "5", "-D", CHAIN, at, NULL };
	char **arguments[] = { [STEP_LIST] = list, [STEP_INSERT] = insert, [STEP_DELETE] = delete };
	struct job *job = calloc(1, sizeof(*job));
	uv_stdio_container_t stdio[2] = { { .flags = UV_IGNORE }, { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE } };
	uv_process_options_t options = {
		.exit_cb = on_job_exit, .file = program, .args = arguments[step], .stdio = stdio, .stdio_count = 2
	};
	int r;

	states[which].again = false;
	if (!job)
		return;
	mark_text(mark);
	snprintf(at, sizeof(at), "%u", number);
	job->which = which;
	job->step = step;
	job->open = 2;
	job->status = -1;
	job->process.data = job->output.data = job;
	uv_pipe_init(loop, &job->output, 0);
	stdio[1].data.stream = (uv_stream_t *)&job->output;
	states[which].running = true;
	r = uv_spawn(loop, &job->process, &options);
	if (r >= 0)
		r = uv_read_start((uv_stream_t *)&job->output, on_room, on_output);
	if (r >= 0)
		return;
	if (r != UV_ENOENT)
		log_warning("docker", "%s: %s", programs[which], uv_strerror(r));
	uv_close((uv_handle_t *)&job->process, on_job_close);
	uv_close((uv_handle_t *)&job->output, on_job_close);
}

void docker_user_ensure(struct daemon *daemon, bool present)
{
	for (size_t i = 0; i < ELEMENTSOF(programs); i++) {
		states[i].present = present;
		if (states[i].running)
			states[i].again = true;
		else
			run(&daemon->loop, i, STEP_LIST, 0);
	}
}
