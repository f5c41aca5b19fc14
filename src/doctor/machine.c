/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include "base/addr.h"
#include "base/program.h"
#include "doctor/exam.h"
#include "kernel/resolv.h"

/* The machine: where the state is kept, the clock, the start at boot, names. */

#define BYTES_WANTED (16ull << 20)
#define NODES_WANTED 64
#define YEAR_2024 1704067200 /* seconds */
#define UNIT "sprd.service"

static void check_mode(struct exam *exam, const char *path, const struct stat *status)
{
	if (status->st_uid != 0)
		found(exam, SEVERITY_CRITICAL, "chown root on it", "%s belongs to user %u, who can change the policy",
		      path, status->st_uid);
	if (status->st_mode & 0022)
		found(exam, SEVERITY_CRITICAL, "chmod go= on it", "others than root can write %s", path);
	else if (status->st_mode & 0055)
		found(exam, SEVERITY_WARNING, "chmod go= on it", "others than root can read %s", path);
}

void check_state_folder(struct exam *exam)
{
	const char *folder = exam->doctor->state_folder;
	char path[EXAM_PATH_MAX], policy[EXAM_PATH_MAX];
	struct stat status;
	struct statfs space;

	exam_path(exam, folder, path);
	if (stat(path, &status) < 0) {
		if (errno != ENOENT)
			unchecked(exam, "%s: %s", folder, strerror(errno));
		else if (exam_active(exam))
			found(exam, SEVERITY_WARNING, "spr doctor --state-dir FOLDER, where sprd was given another one",
			      "there is no state folder %s: the policy is lost at the next start", folder);
		return;
	}
	check_mode(exam, folder, &status);
	if (snprintf(policy, sizeof(policy), "%s/policy.yaml", path) < (int)sizeof(policy) &&
	    stat(policy, &status) == 0)
		check_mode(exam, policy + strlen(exam->doctor->root), &status);
	if (exam->doctor->system->space(path, &space) == 0 &&
	    (space.f_type == TMPFS_MAGIC || space.f_type == RAMFS_MAGIC))
		found(exam, SEVERITY_WARNING, "put it on a disk: sprd --state-dir",
		      "%s is in memory only: after a reboot there is no policy, and spr is not up", folder);
}

void check_state_room(struct exam *exam)
{
	const char *folder = exam->doctor->state_folder;
	struct statfs space;
	char path[EXAM_PATH_MAX];
	int r;

	if (!exam_exists(exam, folder))
		return;
	r = exam->doctor->system->space(exam_path(exam, folder, path), &space);
	if (r < 0)
		unchecked(exam, "%s: %s", folder, strerror(-r));
	else if (space.f_flags & ST_RDONLY)
		found(exam, SEVERITY_WARNING, "mount it writable",
		      "%s cannot be written: every change of the policy fails", folder);
	else if ((unsigned long long)space.f_bavail * (unsigned long long)space.f_bsize < BYTES_WANTED)
		found(exam, SEVERITY_WARNING, "make room",
		      "the disk of %s is full: changes of the policy cannot be saved, and fail", folder);
	else if (space.f_files && space.f_ffree < NODES_WANTED)
		found(exam, SEVERITY_WARNING, "remove small files",
		      "the file system of %s has no room for more files: changes of the policy fail", folder);
}

void check_clock(struct exam *exam)
{
	bool synchronised = false;
	time_t now = 0;
	int r = exam->doctor->system->clock(&now, &synchronised);

	if (r < 0)
		unchecked(exam, "the clock: %s", strerror(-r));
	else if (now < YEAR_2024)
		found(exam, SEVERITY_CRITICAL, "set the clock, and let systemd-timesyncd or chrony keep it",
		      "the clock is wrong, before 2024: what was opened for a time stays open too long");
	else if (!synchronised)
		found(exam, SEVERITY_NOTICE, "systemd-timesyncd or chrony",
		      "the clock is not synchronised: what is opened for a time ends by it");
}

/* The text of the unit and of its drop-ins says "Before=... docker.service". */
struct unit {
	const char *folder;
	bool there, masked, before;
};

static void read_unit(struct exam *exam, struct unit *unit, const char *path)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	if (exam_read(exam, path, &text, NULL) < 0)
		return;
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (strncmp(line, "Before=", 7) == 0 && strstr(line, "docker.service"))
			unit->before = true;
}

static void read_unit_drop_in(struct exam *exam, const char *name, void *data)
{
	struct unit *unit = data;
	char path[600];

	snprintf(path, sizeof(path), "%s/" UNIT ".d/%s", unit->folder, name);
	read_unit(exam, unit, path);
}

static struct unit find_unit(struct exam *exam)
{
	static const char *const folders[] = { "/etc/systemd/system", "/run/systemd/system",
					       "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
					       "/lib/systemd/system" };
	struct unit unit = { 0 };
	char path[300], full[EXAM_PATH_MAX], target[32];

	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		ssize_t length;

		snprintf(path, sizeof(path), "%s/" UNIT ".d", folders[i]);
		unit.folder = folders[i];
		exam_each(exam, path, read_unit_drop_in, &unit);
		snprintf(path, sizeof(path), "%s/" UNIT, folders[i]);
		if (unit.there || !exam_exists(exam, path))
			continue;
		unit.there = true;
		length = readlink(exam_path(exam, path, full), target, sizeof(target));
		unit.masked = length == (ssize_t)strlen("/dev/null") &&
			      memcmp(target, "/dev/null", (size_t)length) == 0;
		read_unit(exam, &unit, path);
	}
	return unit;
}

void check_boot(struct exam *exam)
{
	struct unit unit;

	if (!exam_exists(exam, "/run/systemd/system")) {
		unchecked(exam, "systemd does not run here: see to it that sprd is started before Docker");
		return;
	}
	unit = find_unit(exam);
	if (!unit.there)
		found(exam, SEVERITY_WARNING, "make up installs " UNIT,
		      "there is no " UNIT ": sprd is not started at boot, and nothing is closed then");
	else if (unit.masked)
		found(exam, SEVERITY_WARNING, "systemctl unmask sprd; systemctl enable --now sprd",
		      UNIT " is masked: it is not started at boot, and nothing is closed then");
	else if (!exam_enabled(exam, "sprd"))
		found(exam, SEVERITY_WARNING, "systemctl enable sprd",
		      UNIT " is not enabled: after the next boot nothing is closed");
	else if (!unit.before)
		found(exam, SEVERITY_WARNING, "Before=docker.service in " UNIT ", as the one of spr has it",
		      UNIT " is not started before Docker: at boot containers may be open for a moment");
}

static bool resolver_found(struct exam *exam)
{
	static const char *const files[] = { "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf" };
	char path[EXAM_PATH_MAX];
	struct addr addr;

	if (exam->doctor->status)
		return json_is_string(json_object_get(exam->doctor->status, "resolver"));
	for (size_t i = 0; i < ELEMENTSOF(files); i++)
		if (resolv_read(exam_path(exam, files[i], path), &addr) == 0)
			return true;
	return false;
}

void check_resolver(struct exam *exam)
{
	if (!resolver_found(exam))
		found(exam, SEVERITY_NOTICE,
		      "name one in /etc/resolv.conf that containers can reach; 127.0.0.1 is not, and sprd reads no other "
		      "file than that and systemd-resolved's",
		      "no resolver is known but this machine's own loopback: `dns` opens nothing to containers");
}

void check_dhcp_client(struct exam *exam)
{
	if (exam_process(exam, "dhclient"))
		found(exam, SEVERITY_NOTICE, "systemd-networkd, dhcpcd or udhcpc",
		      "ISC dhclient runs: it reads every frame of its interface before any firewall does, and is no longer "
		      "maintained");
}

static int clock_ask(time_t *ret_now, bool *ret_synchronised)
{
	struct timex state = { .modes = 0 }; /* asks only */
	int r = adjtimex(&state);

	*ret_now = time(NULL);
	if (r < 0)
		return -errno;
	*ret_synchronised = r != TIME_ERROR && !(state.status & STA_UNSYNC);
	return 0;
}

static int space_ask(const char *path, struct statfs *ret)
{
	return statfs(path, ret) < 0 ? -errno : 0;
}

const struct doctor_system doctor_system = {
	.run = program_run, .look = nft_look, .scratch = scratch_ask, .clock = clock_ask, .space = space_ask
};
