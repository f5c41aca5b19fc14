/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "daemon/daemon.h"

/*
 * Our drop is final, our accept is not: Docker's own forward rules come after it. One rule in DOCKER-USER, the chain
 * that Docker leaves to its users, accepts what carries our bit. A helper writes it, iptables_helper.c; here is when.
 */

/* One at a time for each program; a wish that came meanwhile is sent when it ends. */
static struct state {
	bool running, again, present;
	int error; /* told once, not each time */
} states[ELEMENTSOF(iptables_programs)];

static void lost(struct daemon *daemon)
{
	log_error("docker", "the process that keeps the rule in DOCKER-USER ended: restart sprd");
	uv_close((uv_handle_t *)&daemon->docker_user_poll, NULL);
	helper_close(&daemon->docker_user);
}

static void wish(struct daemon *daemon, size_t program)
{
	struct state *state = &states[program];
	struct iptables_request request = { .program = (uint8_t)program, .present = state->present };

	state->again = false;
	state->running = send(daemon->docker_user.fd, &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) ==
			 sizeof(request);
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
	struct daemon *daemon = poll->data;
	struct iptables_answer answer;
	ssize_t length = recv(daemon->docker_user.fd, &answer, sizeof(answer), MSG_DONTWAIT);
	struct state *state;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length != sizeof(answer) || answer.request.program >= ELEMENTSOF(states)) {
		lost(daemon);
		return;
	}
	state = &states[answer.request.program];
	state->running = false;
	if (answer.error != state->error && answer.error != 0 && answer.error != ENOENT)
		log_warning("docker", "%s: %s", iptables_programs[answer.request.program], strerror(answer.error));
	state->error = answer.error;
	if (state->again)
		wish(daemon, answer.request.program);
}

int docker_user_start(struct daemon *daemon, struct error *error)
{
	int r = helper_start(&iptables_helper, daemon->options.no_sandbox, NULL, &daemon->docker_user, error);

	if (r < 0)
		return r;
	r = uv_poll_init(&daemon->loop, &daemon->docker_user_poll, daemon->docker_user.fd);
	daemon->docker_user_poll.data = daemon;
	if (r >= 0)
		r = uv_poll_start(&daemon->docker_user_poll, UV_READABLE, on_answer);
	return r < 0 ? error_set(error, -r, "event loop: %s", uv_strerror(r)) : 0;
}

void docker_user_stop(struct daemon *daemon)
{
	uv_handle_t *handle = (uv_handle_t *)&daemon->docker_user_poll;

	if (handle->loop && !uv_is_closing(handle))
		uv_close(handle, NULL);
	helper_close(&daemon->docker_user);
}

void docker_user_ensure(struct daemon *daemon, bool present)
{
	for (size_t i = 0; i < ELEMENTSOF(states); i++) {
		states[i].present = present;
		if (states[i].running)
			states[i].again = true;
		else if (daemon->docker_user.pid > 0)
			wish(daemon, i);
	}
}
