/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor/exam.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"

#define FOUND_MAX 20 /* findings of one check: the rest is counted */
#define ENTRIES_MAX 65536 /* of one folder */

static void keep(struct exam *exam, enum severity severity, const char *text, const char *fix)
{
	json_t *finding = json_object();

	if (!finding || json_object_set_new(finding, "id", json_string(exam->check->id)) < 0 ||
	    json_object_set_new(finding, "severity", json_string(severity_name(severity))) < 0 ||
	    json_object_set_new(finding, "text", json_text(text)) < 0 ||
	    json_object_set_new(finding, "fix", json_text(fix)) < 0) {
		json_decref(finding);
		exam->no_memory = true;
		return;
	}
	exam->n_found++;
	if (json_array_append_new(exam->lists[severity], finding) < 0)
		exam->no_memory = true;
}

void found(struct exam *exam, enum severity severity, const char *fix, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list arguments;
	int r;

	assert(severity <= exam->check->worst);
	if (exam->n_found >= FOUND_MAX)
		return;
	if (exam->n_found == FOUND_MAX - 1) {
		keep(exam, severity, "and more of the kind", fix);
		return;
	}
	va_start(arguments, format);
	r = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (r < 0) {
		text = NULL;
		exam->no_memory = true;
		return;
	}
	keep(exam, severity, text, fix);
}

void unchecked(struct exam *exam, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (r < 0) {
		text = NULL;
		exam->no_memory = true;
		return;
	}
	keep(exam, SEVERITY_UNCHECKED, text, NULL);
}

const char *exam_path(const struct exam *exam, const char *path, char *buffer)
{
	if (snprintf(buffer, EXAM_PATH_MAX, "%s%s", exam->doctor->root, path) >= EXAM_PATH_MAX)
		*buffer = '\0';
	return buffer;
}

bool exam_exists(const struct exam *exam, const char *path)
{
	char full[EXAM_PATH_MAX];
	struct stat status;

	return lstat(exam_path(exam, path, full), &status) == 0;
}

static int read_bounded(int fd, char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = NULL;
	size_t used = 0, room = 0;

	for (;;) { /* files of /proc have no size */
		ssize_t n;

		if (used == room) {
			char *grown = realloc(text, (room ? room * 2 : 4096) + 1);

			if (!grown)
				return -ENOMEM;
			text = grown;
			room = room ? room * 2 : 4096;
		}
		n = read(fd, text + used, room - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > EXAM_FILE_MAX)
			return -EFBIG;
	}
	text[used] = '\0';
	*ret = TAKE_PTR(text);
	if (ret_length)
		*ret_length = used;
	return 0;
}

int exam_read(const struct exam *exam, const char *path, char **ret, size_t *ret_length)
{
	_cleanup_close_ int fd = -1;
	char full[EXAM_PATH_MAX];
	struct stat status;

	fd = open(exam_path(exam, path, full), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	return read_bounded(fd, ret, ret_length);
}

long exam_sysctl(const struct exam *exam, const char *path)
{
	_cleanup_free_ char *text = NULL;
	char full[EXAM_PATH_MAX], *end;
	long value;

	if (snprintf(full, sizeof(full), "/proc/sys/%s", path) >= (int)sizeof(full) ||
	    exam_read(exam, full, &text, NULL) < 0 || !text)
		return -1;
	errno = 0;
	value = strtol(text, &end, 10);
	return end == text || errno || value < 0 ? -1 : value;
}

void exam_each(struct exam *exam, const char *folder, void (*each)(struct exam *exam, const char *name, void *data),
	       void *data)
{
	char full[EXAM_PATH_MAX];
	DIR *open_folder = opendir(exam_path(exam, folder, full));
	struct dirent *entry;

	for (size_t i = 0; open_folder && i < ENTRIES_MAX && (entry = readdir(open_folder)); i++)
		if (entry->d_name[0] != '.')
			each(exam, entry->d_name, data);
	if (open_folder)
		closedir(open_folder);
}

void names_add(struct names *names, const char *name)
{
	size_t used = strlen(names->text);

	names->n++;
	if (used + strlen(name) + 8 < sizeof(names->text))
		snprintf(names->text + used, sizeof(names->text) - used, "%s%s", used ? ", " : "", name);
	else if (used >= 3 && strcmp(names->text + used - 3, "...") != 0)
		snprintf(names->text + used, sizeof(names->text) - used, ", ...");
}

/* Whether a process lives in another network than we do: a Docker within a container, say. */
static bool lives_elsewhere(const struct exam *exam, long number)
{
	char path[64], full[EXAM_PATH_MAX], theirs[64], ours[64];
	ssize_t length, own = readlink(exam_path(exam, "/proc/self/ns/net", full), ours, sizeof(ours));

	snprintf(path, sizeof(path), "/proc/%ld/ns/net", number);
	length = readlink(exam_path(exam, path, full), theirs, sizeof(theirs));
	return own > 0 && length > 0 && (own != length || memcmp(ours, theirs, (size_t)own) != 0);
}

struct wanted_process {
	const char *command;
	long number;
};

static void match_process(struct exam *exam, const char *name, void *data)
{
	struct wanted_process *wanted = data;
	_cleanup_free_ char *command = NULL;
	char path[300], *end;
	long number = strtol(name, &end, 10);

	if (wanted->number || *end || number <= 0)
		return;
	snprintf(path, sizeof(path), "/proc/%ld/comm", number);
	if (exam_read(exam, path, &command, NULL) < 0 || !command)
		return;
	command[strcspn(command, "\n")] = '\0';
	if (strcmp(command, wanted->command) == 0 && !lives_elsewhere(exam, number))
		wanted->number = number;
}

long exam_process(struct exam *exam, const char *command)
{
	struct wanted_process wanted = { command, 0 };

	exam_each(exam, "/proc", match_process, &wanted);
	return wanted.number;
}

struct wanted_link {
	const char *service;
	bool there;
};

static void match_link(struct exam *exam, const char *name, void *data)
{
	struct wanted_link *wanted = data;
	const char *dot = strrchr(name, '.');
	char path[600];

	if (!dot || (strcmp(dot, ".wants") != 0 && strcmp(dot, ".requires") != 0))
		return;
	snprintf(path, sizeof(path), "/etc/systemd/system/%s/%s.service", name, wanted->service);
	wanted->there = wanted->there || exam_exists(exam, path);
}

bool exam_enabled(struct exam *exam, const char *service)
{
	struct wanted_link wanted = { service, false };

	exam_each(exam, "/etc/systemd/system", match_link, &wanted);
	return wanted.there;
}

static bool look_known(struct exam *exam)
{
	struct error error = { 0 };

	if (exam->have_look == 0) {
		int r = exam->doctor->system->look(&exam->spr, &exam->owned, &error);

		exam->have_look = r < 0 ? r : 1;
	}
	return exam->have_look > 0;
}

bool exam_look(struct exam *exam)
{
	if (look_known(exam))
		return true;
	unchecked(exam, "the tables in the kernel cannot be read: %s", strerror(-exam->have_look));
	return false;
}

static bool scratch_known(struct exam *exam)
{
	struct error error = { 0 };

	if (exam->have_scratch == 0) {
		int r = exam->doctor->system->scratch(&exam->scratch, &error);

		exam->have_scratch = r < 0 ? r : 1;
	}
	return exam->have_scratch > 0;
}

bool exam_scratch(struct exam *exam)
{
	if (scratch_known(exam))
		return true;
	unchecked(exam, "no network namespace to try the kernel in: %s", strerror(-exam->have_scratch));
	return false;
}

static int ask_nft(struct exam *exam)
{
	static const char *const command[] = { "nft", "-j", "-t", "list", "ruleset", NULL };
	_cleanup_free_ char *text = NULL;
	_cleanup_(json_decrefp) json_t *json = NULL;
	json_error_t problem;
	size_t length;
	int r = exam->doctor->system->run(command, &text, &length);

	if (r < 0) {
		snprintf(exam->nft_problem, sizeof(exam->nft_problem), "nft list ruleset: %s",
			 r == -ENOENT ? "nft is not installed" :
			 r == -EIO    ? "it failed" :
					strerror(-r));
		return r;
	}
	json = json_loadb(text, length, 0, &problem);
	exam->nft = json_incref(json_object_get(json, "nftables"));
	if (json_is_array(exam->nft))
		return 1;
	snprintf(exam->nft_problem, sizeof(exam->nft_problem), "nft list ruleset printed something else than JSON");
	return -EPROTO;
}

const json_t *exam_nft(struct exam *exam)
{
	if (exam->have_nft == 0)
		exam->have_nft = ask_nft(exam);
	if (exam->have_nft > 0)
		return exam->nft;
	unchecked(exam, "%s", exam->nft_problem);
	return NULL;
}

bool exam_active(const struct exam *exam)
{
	char path[EXAM_PATH_MAX];

	if (exam->doctor->status)
		return json_is_true(json_object_get(exam->doctor->status, "active"));
	return snprintf(path, sizeof(path), "%s/active", exam->doctor->state_folder) < (int)sizeof(path) &&
	       exam_exists(exam, path);
}

bool exam_inactive(const struct exam *exam)
{
	return (exam->doctor->status || exam->doctor->privileged) && !exam_active(exam);
}

int exam_protection(struct exam *exam, enum nft_protection *ret)
{
	if (!exam->doctor->privileged)
		return -ENODATA;
	if (look_known(exam) && (exam->spr.there || exam->owned.there)) {
		*ret = exam->spr.persistent ? NFT_PERSIST : exam->owned.there ? NFT_COPIES : NFT_PLAIN;
		return 0;
	}
	if (!scratch_known(exam) || exam->scratch.parts[SCRATCH_NFTABLES].code)
		return -ENODATA;
	*ret = exam->scratch.protection;
	return 0;
}
