/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor/exam.h"

/* spr itself: the daemon, and what it keeps in the kernel. */

static const char start_it[] = "systemctl start sprd (in the source tree: sudo make up)";

static bool daemon_refuses(const struct exam *exam)
{
	return exam->doctor->status_error == -EACCES;
}

void check_daemon(struct exam *exam)
{
	if (exam->doctor->status)
		return;
	if (daemon_refuses(exam))
		unchecked(exam, "only root and the group spr may ask sprd: run this with sudo");
	else if (exam->doctor->status_error == -EAGAIN)
		found(exam, SEVERITY_WARNING, "systemctl restart sprd; its rules stay meanwhile",
		      "sprd runs, but does not answer: nobody follows what changes");
	else if (exam->doctor->status_error != -ENOENT && exam->doctor->status_error != -ECONNREFUSED)
		found(exam, SEVERITY_WARNING, "look at its log: journalctl -u sprd",
		      "sprd does not answer as it should: %s", strerror(-exam->doctor->status_error));
	else if (exam_active(exam))
		found(exam, SEVERITY_WARNING, start_it,
		      "sprd is not running: what is closed in the kernel stays closed, but no new container gets its "
		      "rights, nothing expires, and nobody puts right what others change");
	else
		found(exam, SEVERITY_NOTICE, start_it, "sprd is not running");
}

void check_active(struct exam *exam)
{
	if (!exam->doctor->status && !exam->doctor->privileged)
		unchecked(exam, "only root can see whether spr is up");
	else if (exam_inactive(exam))
		found(exam, SEVERITY_WARNING, "spr up", "spr is not up: it closes nothing");
}

void check_problem(struct exam *exam)
{
	json_t *problem;
	size_t i;

	if (!exam->doctor->status)
		unchecked(exam, "sprd did not answer");
	json_array_foreach(json_object_get(exam->doctor->status, "problems"), i, problem)
		if (json_is_string(problem))
			found(exam, SEVERITY_CRITICAL,
			      "journalctl -u sprd says more; systemctl restart sprd tries again", "%s",
			      json_string_value(problem));
}

void check_table(struct exam *exam)
{
	bool active = exam_active(exam);

	if (!exam_look(exam))
		return;
	if (active && !exam->spr.there && !exam->owned.there)
		found(exam, SEVERITY_CRITICAL, "systemctl restart sprd",
		      "spr is up, but its table is not in the kernel of this network namespace: nothing is closed");
	else if (!active && (exam->spr.there || exam->owned.there))
		found(exam, SEVERITY_WARNING, "spr up, to keep it; spr up and spr down, to be rid of it",
		      "there is a table of spr in the kernel although spr is not up: somebody else's, or one that was "
		      "left behind");
	if (exam->spr.dormant || exam->owned.dormant)
		found(exam, SEVERITY_CRITICAL, "systemctl restart sprd",
		      "a table of spr is dormant: it is there and closes nothing");
}

static const char *const protection_names[] = {
	[NFT_PERSIST] = "persist", [NFT_COPIES] = "copies", [NFT_PLAIN] = "plain"
};

void check_protection(struct exam *exam)
{
	enum nft_protection best, have;

	if (!exam_look(exam) || !exam_scratch(exam) || exam->scratch.parts[SCRATCH_NFTABLES].code)
		return;
	best = exam->scratch.protection;
	if (!exam->spr.there && !exam->owned.there) {
		if (best != NFT_PERSIST)
			found(exam, SEVERITY_NOTICE, "Linux 6.9 or newer",
			      "this kernel has no tables that outlive their owner: the protection will be %s",
			      protection_names[best]);
		return;
	}
	if (!exam->spr.owned && !exam->owned.owned && !exam->doctor->status) {
		found(exam, SEVERITY_WARNING, start_it,
		      "nobody owns the table of spr, since sprd does not run: who flushes or changes it now opens what it "
		      "closes");
		return;
	}
	if (exam_protection(exam, &have) < 0)
		return;
	if (have > best)
		found(exam, SEVERITY_WARNING, "start sprd without --protection",
		      "the protection is %s, and this kernel can do %s: other programs can change or flush the rules",
		      protection_names[have], protection_names[best]);
	else if (have == NFT_COPIES)
		found(exam, SEVERITY_NOTICE, "Linux 6.9 or newer",
		      "the protection is copies: a flush by others and the end of sprd open nothing, both at once do");
	else if (have == NFT_PLAIN)
		found(exam, SEVERITY_WARNING, "Linux 5.12 or newer, better 6.9",
		      "the protection is plain: what others flush is open until sprd puts it back");
	else if (!exam->spr.owned)
		found(exam, SEVERITY_CRITICAL, "systemctl restart sprd",
		      "sprd runs, but nobody owns the table of spr in this network namespace: it is not the daemon's");
}

void check_kernel(struct exam *exam)
{
	static const struct {
		const char *what, *fix;
	} parts[_SCRATCH_MAX] = {
		[SCRATCH_NFTABLES] = { "has no nftables", "load the module nf_tables, or use a kernel that has it" },
		[SCRATCH_RULES] = { "does not take the rules of spr",
				    "load the modules nf_tables, nft_fib_inet, nft_ct, nft_log, nft_limit and "
				    "nft_connlimit, or use a kernel that has them" },
		[SCRATCH_CONNTRACK] = { "does not list connections: flows that lose their right cannot be ended",
					"load the module nf_conntrack_netlink" },
		[SCRATCH_LOG] = { "does not pass on what is dropped: spr log stays empty",
				  "load the module nfnetlink_log" },
	};

	if (!exam_scratch(exam))
		return;
	for (int i = 0; i < _SCRATCH_MAX; i++) {
		const struct error *error = &exam->scratch.parts[i];

		if (error->code && (i != SCRATCH_RULES || !exam->scratch.parts[SCRATCH_NFTABLES].code))
			found(exam, i == SCRATCH_LOG ? SEVERITY_WARNING : SEVERITY_CRITICAL, parts[i].fix,
			      "this kernel %s: %s", parts[i].what, error->text);
	}
}

void check_engine(struct exam *exam)
{
	const json_t *engine = json_object_get(exam->doctor->status, "engine");
	const char *name = json_string_value(json_object_get(engine, "name"));
	const char *state = json_string_value(json_object_get(engine, "state"));

	if (!exam->doctor->status)
		unchecked(exam, "sprd did not answer");
	else if (name && state && strcmp(state, "retrying") == 0)
		found(exam, SEVERITY_WARNING, "spr status says what is wrong with it",
		      "sprd cannot speak to %s: new containers stay closed, and ended ones keep their rights", name);
}

void check_control_socket(struct exam *exam)
{
	char path[EXAM_PATH_MAX];
	struct stat status;

	if (stat(exam_path(exam, exam->doctor->socket, path), &status) < 0)
		return;
	if (status.st_mode & 0007)
		found(exam, SEVERITY_CRITICAL, "chmod o= on it; sprd makes it with mode 0660",
		      "everybody on this machine may talk to sprd by %s, and open what they like",
		      exam->doctor->socket);
}
