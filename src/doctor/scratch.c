/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "doctor/exam.h"
#include "kernel/conntrack.h"
#include "kernel/droplog.h"
#include "ruleset/compile.h"
#include "verdict/model.h"

/*
 * Whether the kernel takes what spr writes: tried with the very rules of an empty policy, in a network namespace that a
 * child makes for itself and that goes with it. The machine's own is not touched.
 */

#define SECONDS_MAX 20

struct answer {
	int problem; /* negative errno: no namespace */
	struct scratch scratch;
};

static int try_rules(struct nft *nft, struct error *error)
{
	static const struct compile_options options;
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(0);
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new();
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_(model_freep) struct model *model = NULL; /* points into the two above */
	_cleanup_(ruleset_freep) struct ruleset *ruleset = NULL;
	int r = error_memory(error);

	if (book && inventory && policy)
		r = model_new(policy, inventory, book, time(NULL), &model, error);
	if (r >= 0)
		r = ruleset_compile(model, &options, &ruleset, error);
	if (r >= 0)
		r = nft_apply(nft, NULL, ruleset, error);
	if (r >= 0)
		error->code = 0;
	return r;
}

static int count_flow(const struct flow *flow, void *data)
{
	return 0;
}

static void ignore_drop(const struct drop *drop, void *data)
{
}

static void try_parts(struct scratch *scratch)
{
	struct error *errors = scratch->parts;
	struct conntrack *conntrack = NULL;
	struct droplog *droplog = NULL;
	struct nft *nft = NULL;

	if (nft_open(NFT_PERSIST, &nft, &errors[SCRATCH_NFTABLES]) >= 0) {
		scratch->protection = nft_protection(nft);
		try_rules(nft, &errors[SCRATCH_RULES]);
		nft_close(nft);
	} else {
		error_set(&errors[SCRATCH_RULES], EOPNOTSUPP, "there is no nftables");
	}
	if (conntrack_open(&conntrack, &errors[SCRATCH_CONNTRACK]) >= 0) {
		conntrack_each(conntrack, count_flow, NULL, &errors[SCRATCH_CONNTRACK]);
		conntrack_close(conntrack);
	}
	if (droplog_open(LOG_GROUP, ignore_drop, NULL, &droplog, &errors[SCRATCH_LOG]) >= 0)
		droplog_close(droplog);
}

static void answer_through(int fd)
{
	static struct answer answer;
	size_t sent = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0)
		answer.problem = -errno;
	else
		try_parts(&answer.scratch);
	while (sent < sizeof(answer)) {
		ssize_t n = write(fd, (const char *)&answer + sent, sizeof(answer) - sent);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	_exit(0);
}

static int read_answer(int fd, struct answer *ret)
{
	size_t got = 0;

	while (got < sizeof(*ret)) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&wait, 1, SECONDS_MAX * 1000) == 0)
			return -ETIMEDOUT;
		n = read(fd, (char *)ret + got, sizeof(*ret) - got);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EPIPE; /* the child died */
		got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int scratch_ask(struct scratch *ret, struct error *error)
{
	static struct answer answer;
	int ends[2], r;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(error, errno, "%s", strerror(errno));
	child = fork();
	if (child == 0)
		answer_through(ends[1]);
	r = child < 0 ? -errno : 0;
	close(ends[1]);
	if (r == 0)
		r = read_answer(ends[0], &answer);
	close(ends[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (r == 0)
		r = answer.problem;
	if (r < 0)
		return error_set(error, -r, "%s", strerror(-r));
	*ret = answer.scratch;
	return 0;
}
