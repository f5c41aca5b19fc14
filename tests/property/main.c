/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verdict() against the kernel. Needs root, ip and nft; ends with 77 (skipped) without them. Environment: PACKETS (how
 * many, default 100000), SEED (of the first scene, default 1), JOBS (processes, default 1). With --break WHAT something
 * is made wrong on purpose (force.c), or one after the other with --break all: each has to be found, to be shrunk, and
 * the rule to be named.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/nft.h"
#include "property.h"

#define POLICIES 6 /* a scene */
#define VOLLEYS 6 /* a policy */
#define SHRUNK 3 /* disagreements that are shrunk in a run */
#define JOBS_MAX 64
#define PROGRESS 20 /* seconds */

struct tally {
	size_t packets, scenes, passed, dropped, lost, later, wrong;
	size_t shrunk, lines, lasting; /* disagreements, lines of policy and packets that are left */
	size_t reasons[_REASON_MAX];
	char chain[64]; /* in which the kernel decided the last one */
};

struct run {
	struct rig rig;
	struct story story;
	struct tally *tally;
	uint64_t seed;
	bool may_shrink;
};

static void count(struct tally *tally, const struct shot *shot)
{
	tally->packets++;
	tally->later += shot->flow != NO_FLOW;
	tally->passed += shot->fate == FATE_PASSED;
	tally->dropped += shot->fate == FATE_DROPPED;
	tally->lost += shot->fate == FATE_NONE;
	if (shot->fate == FATE_DROPPED && reason_from_id(shot->reason) >= 0)
		tally->reasons[reason_from_id(shot->reason)]++;
}

/* A first packet that the first chains drop, or the kernel: most random ones are. */
static bool is_dull(const struct shot *shot)
{
	switch (shot->expected.reason) {
	case REASON_LOOPBACK:
	case REASON_SPOOFED:
	case REASON_UNKNOWN_SOURCE:
	case REASON_OTHER_INTERFACE:
		return shot->flow == NO_FLOW;
	default:
		return shot->flow == NO_FLOW && shot->lost;
	}
}

static void change(struct run *run)
{
	struct scene *scene = &run->rig.scene;
	char *text = wish_write(scene);
	struct error error = { 0 };
	struct policy *policy;
	int r = policy_parse(text, strlen(text), "wish", &policy, &error);

	if (r >= 0)
		r = force_change(&run->rig.force, scene->inventory, policy, &error);
	if (r >= 0 && !fault)
		r = nft_compare(run->rig.force.nft, run->rig.force.ruleset, &error);
	if (r < 0) {
		fprintf(stderr, "%s\n%s\n", error.text, text);
		exit(2);
	}
	free(text);
	story_epoch(&run->story, scene, run->rig.force.policy);
}

/* First with the packets of its flow only, then with all that came before it. */
static void shrink(struct run *run, const struct shot *seen)
{
	struct tally *tally = run->tally;
	bool again = false;

	fflush(stdout);
	fprintf(stderr, "DISAGREEMENT in the scene of SEED=%llu\n", (unsigned long long)run->seed);
	for (int i = 0; i < 2 && !again; i++) {
		struct story story;
		struct gist gist;

		story_pick(&run->story, seen->id, i == 0, &story);
		again = story_shrink(&story, seen, stderr, &gist);
		story_clear(&story);
		if (!again)
			continue;
		tally->shrunk++;
		tally->lines = gist.lines;
		tally->lasting = gist.packets;
		snprintf(tally->chain, sizeof(tally->chain), "%s", gist.chain);
	}
	if (again)
		return;
	fprintf(stderr, "it does not come again; as it was seen:\n");
	shot_print(seen, stderr);
}

static const struct shot *volley(struct run *run)
{
	static struct shot shots[VOLLEY_MAX];
	const struct scene *scene = &run->rig.scene;
	struct flows *flows = &run->rig.flows;
	const struct shot *wrong = NULL;

	flows->volley++;
	for (int i = 0; i < 5; i++) {
		struct addr to = scene_addr(scene, AF_INET);

		if (open_local(scene, flows, &to))
			story_add_local(&run->story, &to, flows);
	}
	for (size_t i = 0; i < VOLLEY_MAX; i++) {
		do {
			shot_make(&shots[i], scene, flows);
			judge(run->rig.force.model, &shots[i]);
		} while (is_dull(&shots[i]) && random_percent(70));
		story_add(&run->story, &shots[i], flows);
	}
	watch_volley(run->rig.watch, scene, shots, VOLLEY_MAX);
	for (size_t i = 0; i < VOLLEY_MAX; i++) {
		run->story.records[shots[i].id].shot = shots[i];
		count(run->tally, &shots[i]);
		if (!agrees(&shots[i])) {
			run->tally->wrong++;
			wrong = wrong ? wrong : &shots[i];
		}
		if (shots[i].fate == FATE_PASSED)
			flows_note(flows, scene, &shots[i]);
	}
	return wrong;
}

/* One machine, in a process of its own; the first disagreement ends it. */
static void run_scene(uint64_t seed, bool may_shrink, struct tally *tally)
{
	struct run run = { .tally = tally, .seed = seed, .may_shrink = may_shrink };
	const struct shot *wrong = NULL;

	random_seed(seed);
	scene_choose(&run.rig.scene);
	story_begin(&run.story, &run.rig.scene);
	rig_open(&run.rig, &run.story);
	scene_add_engine(&run.rig.scene);
	for (int i = 0; i < POLICIES && !wrong; i++) {
		if (i > 0)
			scene_change(&run.rig.scene);
		change(&run);
		for (int k = 0; k < VOLLEYS && !wrong; k++)
			wrong = volley(&run);
	}
	tally->scenes = 1;
	if (wrong && may_shrink)
		shrink(&run, wrong);
	else if (wrong)
		fprintf(stderr, "DISAGREEMENT in the scene of SEED=%llu, too\n", (unsigned long long)seed);
	rig_close(&run.rig);
	story_clear(&run.story);
}

struct job {
	pid_t pid;
	int fd;
};

/* Packets stay in order on one processor. */
static void pin(unsigned n)
{
	cpu_set_t all, one;
	int cpu = -1;

	MUST(sched_getaffinity(0, sizeof(all), &all) == 0);
	n %= (unsigned)CPU_COUNT(&all);
	do
		cpu++;
	while (!CPU_ISSET(cpu, &all) || n-- > 0);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void job_start(struct job *job, unsigned n, uint64_t seed, bool may_shrink)
{
	struct tally tally = { 0 };
	int fds[2];

	MUST(pipe(fds) == 0);
	job->fd = fds[0];
	job->pid = fork();
	MUST(job->pid >= 0);
	if (job->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(n);
		run_scene(seed, may_shrink, &tally);
		MUST(write(fds[1], &tally, sizeof(tally)) == sizeof(tally));
		exit(0);
	}
	close(fds[1]);
}

/* Adds the figures of a scene to the sum; false when it could not be run to its end. */
static bool job_end(struct job *job, struct tally *sum)
{
	struct tally tally;
	int status;
	bool whole = read(job->fd, &tally, sizeof(tally)) == sizeof(tally);

	close(job->fd);
	MUST(waitpid(job->pid, &status, 0) == job->pid);
	job->pid = 0;
	for (size_t i = 0; whole && i < offsetof(struct tally, chain) / sizeof(size_t); i++)
		((size_t *)sum)[i] += ((const size_t *)&tally)[i];
	if (whole && tally.shrunk)
		memcpy(sum->chain, tally.chain, sizeof(sum->chain));
	return whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void line(const struct tally *sum, double seconds)
{
	printf("%zu packets in %zu scenes: %zu disagreements; %.1f s, %.0f packets a second\n", sum->packets,
	       sum->scenes, sum->wrong, seconds, (double)sum->packets / seconds);
}

static bool is_enough(const struct tally *sum, size_t begun, size_t packets)
{
	return begun * POLICIES * VOLLEYS * VOLLEY_MAX >= packets || (fault && sum->shrunk);
}

/* Waits a second at most for jobs to end; returns how many did. */
static size_t jobs_wait(struct job *jobs, unsigned n, struct tally *sum, bool *whole)
{
	struct pollfd polls[JOBS_MAX];
	size_t ended = 0;

	for (unsigned i = 0; i < n; i++)
		polls[i] = (struct pollfd){ jobs[i].pid ? jobs[i].fd : -1, POLLIN, 0 };
	MUST(poll(polls, n, 1000) >= 0);
	for (unsigned i = 0; i < n; i++)
		if (jobs[i].pid && polls[i].revents) {
			*whole &= job_end(&jobs[i], sum);
			ended++;
		}
	return ended;
}

/* Scenes from `seed` on, several at a time, until there were enough packets or, with a fault, it was found. */
static bool run_all(size_t packets, uint64_t seed, unsigned n_jobs, struct tally *sum)
{
	struct job jobs[JOBS_MAX] = { 0 };
	double start = now(), told = start;
	size_t running = 0, begun = 0;
	bool whole = true;

	*sum = (struct tally){ 0 };
	do {
		for (unsigned i = 0; i < n_jobs && whole && !is_enough(sum, begun, packets); i++)
			if (!jobs[i].pid) {
				job_start(&jobs[i], i, seed++, sum->shrunk < SHRUNK);
				running++;
				begun++;
			}
		running -= jobs_wait(jobs, n_jobs, sum, &whole);
		if (now() - told > PROGRESS) {
			told = now();
			line(sum, told - start);
		}
	} while (running || (whole && !is_enough(sum, begun, packets)));
	return whole;
}

static unsigned long long number(const char *name, unsigned long long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* What has to be left of each fault, at most, and where the kernel decided. */
static const struct {
	size_t lines, packets;
	const char *chain;
} wanted[] = {
	[FAULT_ELEMENT] = { 2, 1, "guard-container" },
	[FAULT_RULE] = { 2, 1, "" },
	[FAULT_EPOCH] = { 8, 4, "" },
	[FAULT_BLOCK] = { 6, 1, "from-" },
	[FAULT_REVOKE] = { 8, 2, "from-" },
	[FAULT_BACK] = { 8, 2, "" },
};

static int break_it(const char *what, uint64_t seed)
{
	int failed = 0, tried = 0;

	for (int i = 1; i < _FAULT_MAX; i++) {
		struct tally sum;
		bool good;

		if (strcmp(what, "all") != 0 && strcmp(what, fault_name((enum fault)i)) != 0)
			continue;
		tried++;
		fault = (enum fault)i;
		good = run_all(1000000, seed, 1, &sum) && sum.shrunk == 1 && sum.lines <= wanted[i].lines &&
		       sum.lasting <= wanted[i].packets &&
		       strncmp(sum.chain, wanted[i].chain, strlen(wanted[i].chain)) == 0;
		failed += !good;
		printf("%s %d - %s, found after %zu packets: left are %zu lines of policy and %zu packets, decided in %s\n",
		       good ? "ok" : "not ok", tried, fault_name(fault), sum.packets, sum.lines, sum.lasting,
		       sum.chain);
	}
	if (!tried)
		fprintf(stderr, "--break: there is no %s\n", what);
	return tried && !failed ? 0 : 1;
}

int main(int argc, char **argv)
{
	unsigned long long packets = number("PACKETS", 100000), seed = number("SEED", 1), jobs = number("JOBS", 1);
	struct tally sum;
	double start = now();
	bool whole;

	if (geteuid() != 0) {
		printf("needs root, to make network namespaces\n");
		return 77;
	}
	/* Its settings are there when it is; where it is built in or modprobe is not there, the scene will tell. */
	if (access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) < 0 && system("modprobe -q nf_conntrack") != 0)
		fprintf(stderr, "nf_conntrack cannot be loaded\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && strcmp(argv[1], "--break") == 0)
		return break_it(argv[2], seed);
	whole = run_all(packets, seed, jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : (unsigned)jobs, &sum);
	for (int i = 1; i < _REASON_MAX; i++)
		printf("  %-16s %zu\n", reason_info((enum reason)i)->id, sum.reasons[i]);
	printf("  %zu passed, %zu dropped, %zu lost in the kernel; %zu of flows\n", sum.passed, sum.dropped, sum.lost,
	       sum.later);
	line(&sum, now() - start);
	return whole && sum.wrong == 0 ? 0 : 1;
}
