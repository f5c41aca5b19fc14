/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verdict() against the kernel. Needs root, ip and nft; ends with 77 (skipped) without them. Environment: PACKETS (how
 * many, default 100000), SEED (default 1).
 */
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "kernel/nft.h"
#include "property.h"
#include "ruleset/compile.h"

#define POLICIES 4 /* a scene */
#define VOLLEYS 4 /* a policy */
#define SHOWN 2 /* disagreements of a kind that are printed for a scene */

/* What is in force. */
struct force {
	struct nft *nft;
	struct class_book *book;
	char *text;
	struct policy *policy;
	struct model *model;
	struct ruleset *ruleset;
};

struct tally {
	size_t packets, passed, dropped, lost, later, wrong;
	size_t reasons[_REASON_MAX];
};

static void check(int r, const struct error *error, const char *text)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s\n%s\n", error->text, text);
	exit(2);
}

static void force_clear(struct force *force)
{
	ruleset_free(force->ruleset);
	model_free(force->model);
	policy_free(force->policy);
	free(force->text);
}

/* A new policy takes the place of the one before, as the daemon does it. */
static void force_change(struct force *force, const struct scene *scene)
{
	struct force next = { .nft = force->nft, .book = force->book, .text = wish_write(scene) };
	struct compile_options options = { .log_all = true };
	struct error error = { 0 };

	check(policy_parse(next.text, strlen(next.text), "wish", &next.policy, &error), &error, next.text);
	check(model_new(next.policy, scene->inventory, next.book, time(NULL), &next.model, &error), &error, next.text);
	check(ruleset_compile(next.model, &options, &next.ruleset, &error), &error, next.text);
	check(nft_apply(next.nft, force->ruleset, next.ruleset, &error), &error, next.text);
	check(nft_compare(next.nft, next.ruleset, &error), &error, next.text);
	force_clear(force);
	*force = next;
}

static bool agrees(const struct shot *shot)
{
	if (shot->fate == FATE_NONE)
		return shot->lost;
	if (shot->expected.accept)
		return shot->fate == FATE_PASSED;
	return shot->fate == FATE_DROPPED && reason_from_id(shot->reason) == shot->expected.reason;
}

static void show(const struct shot *shot, const struct scene *scene, const struct force *force, struct tally *tally)
{
	static unsigned shown[_REASON_MAX][_REASON_MAX + 1][FLOW_INVALID + 1]; /* of each kind */
	int known = reason_from_id(shot->reason), given = known < 0 ? _REASON_MAX : known;

	if (tally->wrong == 0) {
		fprintf(stderr, "---- policy:\n%s", force->text);
		scene_print(scene, stderr);
	}
	tally->wrong++;
	if (shown[shot->expected.reason][given][shot->packet.flow]++ >= SHOWN)
		return;
	fprintf(stderr, "DISAGREEMENT\n");
	shot_print(shot, stderr);
}

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

/* A flow that this machine opens: answers to it have to come in. */
static void open_local(const struct scene *scene, struct flows *flows)
{
	struct addr to = scene_addr(scene, AF_INET), own = { AF_INET, { 0 } };
	const char *out = scene_route(scene, &to, "");
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53) };
	socklen_t length = sizeof(at);
	struct flow *flow;
	int mark = 0x77, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0);
	memcpy(&at.sin_addr, to.bytes, 4);
	if (out && out[0] && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && send(fd, "?", 1, 0) == 1) {
		MUST(getsockname(fd, (struct sockaddr *)&at, &length) == 0);
		memcpy(own.bytes, &at.sin_addr, 4);
		flow = ARRAY_ADD(flows->flows, flows->n_flows);
		MUST(flow);
		*flow = (struct flow){ .local = true, .born = now(), .used = flows->volley };
		flow->first = (struct packet){ .in = "",
					       .out = out,
					       .from = own,
					       .dialled = to,
					       .to = to,
					       .proto = IPPROTO_UDP,
					       .from_port = ntohs(at.sin_port),
					       .dialled_port = 53,
					       .to_port = 53,
					       .hop_limit = 64 };
		flow->wire_from = own;
		flow->wire_port = flow->first.from_port;
	}
	close(fd);
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

static void volley(const struct scene *scene, const struct force *force, struct watch *watch, struct flows *flows,
		   struct tally *tally)
{
	static struct shot shots[VOLLEY_MAX];

	flows->volley++;
	for (int i = 0; i < 5; i++)
		open_local(scene, flows);
	for (size_t i = 0; i < VOLLEY_MAX; i++)
		do {
			shot_make(&shots[i], scene, flows);
			verdict(force->model, &shots[i].packet, &shots[i].expected);
		} while (is_dull(&shots[i]) && random_percent(70));
	watch_volley(watch, scene, shots, VOLLEY_MAX);
	for (size_t i = 0; i < VOLLEY_MAX; i++) {
		count(tally, &shots[i]);
		if (!agrees(&shots[i]))
			show(&shots[i], scene, force, tally);
		if (shots[i].fate == FATE_PASSED)
			flows_note(flows, scene, &shots[i]);
	}
}

/* One machine, in a process of its own. */
static void run_scene(uint64_t seed, struct tally *tally)
{
	struct scene scene = { 0 };
	struct force force = { 0 };
	struct flows flows = { 0 };
	struct error error = { 0 };
	struct watch *watch;

	random_seed(seed);
	scene_open(&scene);
	scene_add_engine(&scene);
	force.book = class_book_new(1);
	check(nft_open(NFT_PLAIN, &force.nft, &error), &error, "");
	watch = watch_open();
	for (int i = 0; i < POLICIES; i++) {
		force_change(&force, &scene);
		for (int k = 0; k < VOLLEYS; k++)
			volley(&scene, &force, watch, &flows, tally);
	}
	if (tally->wrong)
		fprintf(stderr, "---- SEED=%llu: %zu of %zu packets\n", (unsigned long long)seed, tally->wrong,
			tally->packets);
	watch_close(watch);
	force_clear(&force);
	nft_close(force.nft);
	class_book_free(force.book);
	inventory_free(scene.inventory);
	free(scene.forwards);
	free(flows.flows);
	free(flows.odd);
}

/* Runs a scene and adds its figures to the sum; false when it could not be run to its end. */
static bool child(uint64_t seed, struct tally *sum)
{
	struct tally tally = { 0 };
	int status, fds[2];
	pid_t pid;

	MUST(pipe(fds) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		run_scene(seed, &tally);
		MUST(write(fds[1], &tally, sizeof(tally)) == sizeof(tally));
		exit(0);
	}
	close(fds[1]);
	if (read(fds[0], &tally, sizeof(tally)) != sizeof(tally))
		memset(&tally, 0, sizeof(tally));
	close(fds[0]);
	MUST(waitpid(pid, &status, 0) == pid);
	for (size_t i = 0; i < sizeof(tally) / sizeof(size_t); i++)
		((size_t *)sum)[i] += ((const size_t *)&tally)[i];
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static unsigned long long number(const char *name, unsigned long long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void report(const struct tally *sum, double seconds)
{
	printf("%zu packets in %.1f s: %zu passed, %zu dropped, %zu lost in the kernel, %zu of flows; %zu disagreements\n",
	       sum->packets, seconds, sum->passed, sum->dropped, sum->lost, sum->later, sum->wrong);
	for (int i = 1; i < _REASON_MAX; i++)
		printf("  %-16s %zu\n", reason_info((enum reason)i)->id, sum->reasons[i]);
}

int main(void)
{
	unsigned long long packets = number("PACKETS", 100000), seed = number("SEED", 1);
	struct tally sum = { 0 };
	double start = now();
	cpu_set_t one;
	bool whole = true;

	if (geteuid() != 0) {
		printf("needs root, to make network namespaces\n");
		return 77;
	}
	/* Its settings are there when it is; where it is built in or modprobe is not there, the scene will tell. */
	if (access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) < 0 && system("modprobe -q nf_conntrack") != 0)
		fprintf(stderr, "nf_conntrack cannot be loaded\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one); /* packets stay in order */
	for (; whole && sum.packets < packets; seed++)
		whole = child(seed, &sum);
	report(&sum, now() - start);
	return whole && sum.wrong == 0 ? 0 : 1;
}
