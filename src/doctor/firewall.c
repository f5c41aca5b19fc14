/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "doctor/exam.h"

/* Other firewalls: what they load at boot, and that they are there. */

#define DEPTH_MAX 8
#define FILES_MAX 64
#define WORD_MAX 256

struct boot_file {
	const char *path; /* the one that is loaded */
	const char *service; /* by whom */
	size_t files; /* read for it, what it includes too */
	bool own, flush;
	char own_path[WORD_MAX], flush_path[WORD_MAX];
};

/* The next word of an nft file, "" at its end. Comments are left out; a quoted text is one word. */
static const char *next_word(const char **text, char word[WORD_MAX])
{
	static const char separators[] = " \t\r\n;{},";
	const char *at = *text;
	size_t length = 0;

	for (;;) {
		at += strspn(at, separators);
		if (*at != '#')
			break;
		at += strcspn(at, "\n");
	}
	if (*at == '"' || *at == '\'') {
		const char *end = strchr(at + 1, *at);

		length = end ? (size_t)(end - at) + 1 : strlen(at);
	} else {
		length = strcspn(at, " \t\r\n;{},#\"'");
	}
	*text = at + length;
	snprintf(word, WORD_MAX, "%.*s", (int)(length < WORD_MAX ? length : WORD_MAX - 1), at);
	return word;
}

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

static void read_rules(struct exam *exam, struct boot_file *file, const char *path, unsigned depth);

/* include "/etc/nftables.d/\*.nft": with wildcards, and below /etc when it is no absolute path */
static void read_included(struct exam *exam, struct boot_file *file, const char *quoted, unsigned depth)
{
	char name[WORD_MAX], full[EXAM_PATH_MAX];
	size_t length = strlen(quoted), root = strlen(exam->doctor->root);
	glob_t paths;

	if (length < 3 || depth >= DEPTH_MAX)
		return;
	snprintf(name, sizeof(name), "%s%.*s", quoted[1] == '/' ? "" : "/etc/",
		 (int)(length - 2 < WORD_MAX / 2 ? length - 2 : WORD_MAX / 2), quoted + 1);
	if (glob(exam_path(exam, name, full), GLOB_NOSORT, NULL, &paths) == 0)
		for (size_t i = 0; i < paths.gl_pathc; i++)
			read_rules(exam, file, paths.gl_pathv[i] + root, depth + 1);
	globfree(&paths);
}

/* "table inet spr", but for what takes one away */
static bool names_ours(const char *before, const char **text)
{
	static const char *const families[] = { "ip", "ip6", "inet", "arp", "bridge", "netdev", NULL };
	static const char *const away[] = { "delete", "destroy", "flush", "list", NULL };
	static const char *const ours[] = { NFT_TABLE, NFT_TABLE_OWNED, NULL };
	const char *rest = *text;
	char word[WORD_MAX];

	if (is_one_of(before, away))
		return false;
	if (is_one_of(next_word(&rest, word), families))
		next_word(&rest, word);
	return is_one_of(word, ours);
}

static void read_rules(struct exam *exam, struct boot_file *file, const char *path, unsigned depth)
{
	_cleanup_free_ char *text = NULL;
	char word[WORD_MAX], before[WORD_MAX] = "";
	const char *rest;
	int r;

	if (file->files++ >= FILES_MAX)
		return;
	r = exam_read(exam, path, &text, NULL);
	if (r < 0) {
		if (r != -ENOENT)
			unchecked(exam, "%s: %s", path, strerror(-r));
		return;
	}
	for (rest = text; *next_word(&rest, word); strcpy(before, word)) {
		if (strcmp(word, "table") == 0 && !file->own && names_ours(before, &rest)) {
			file->own = true;
			snprintf(file->own_path, sizeof(file->own_path), "%s", path);
		} else if (strcmp(word, "ruleset") == 0 && strcmp(before, "flush") == 0 && !file->flush) {
			file->flush = true;
			snprintf(file->flush_path, sizeof(file->flush_path), "%s", path);
		} else if (strcmp(before, "include") == 0 && (*word == '"' || *word == '\'')) {
			read_included(exam, file, word, depth);
		}
	}
}

static void report_boot_file(struct exam *exam, const struct boot_file *file)
{
	enum nft_protection protection = NFT_PERSIST;
	bool enabled = exam_enabled(exam, file->service);
	int r;

	if (file->own)
		found(exam, SEVERITY_WARNING,
		      "take the tables spr and spr-owned out of it: sprd writes them itself. To save your own: nft list "
		      "table FAMILY NAME",
		      "%s holds a table of spr: while spr is up it cannot be loaded, and fails as a whole, your own rules "
		      "with it; at boot it brings back what spr had then, until sprd is ready",
		      file->own_path);
	if (!file->flush)
		return;
	r = exam_protection(exam, &protection);
	if (r == 0 && protection == NFT_PERSIST)
		return;
	found(exam, r == 0 && protection == NFT_PLAIN && enabled ? SEVERITY_WARNING : SEVERITY_NOTICE,
	      "name the tables it is about: `table FAMILY NAME`, `delete table FAMILY NAME`",
	      "%s flushes the whole ruleset each time it is loaded%s", file->flush_path,
	      r < 0		       ? "; before Linux 6.9 that takes tables of spr away" :
	      protection == NFT_COPIES ? ", the plain one of the two copies too, until sprd puts it back" :
					 ": the rules of spr are gone until sprd puts them back");
}

void check_boot_rules(struct exam *exam)
{
	static const struct {
		const char *path, *service;
	} files[] = {
		{ "/etc/nftables.conf", "nftables" },
		{ "/etc/sysconfig/nftables.conf", "nftables" },
		{ "/etc/iptables/rules.v4", "netfilter-persistent" },
		{ "/etc/iptables/rules.v6", "netfilter-persistent" },
		{ "/etc/nftables.nft", "nftables" }, /* Alpine */
	};

	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		struct boot_file file = { .path = files[i].path, .service = files[i].service };

		if (!exam_exists(exam, file.path))
			continue;
		read_rules(exam, &file, file.path, 0);
		report_boot_file(exam, &file);
	}
}

/* ENABLED=yes */
static bool says_yes(struct exam *exam, const char *path, const char *key)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	if (exam_read(exam, path, &text, NULL) < 0)
		return false;
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (strncasecmp(line, key, strlen(key)) == 0 && strncasecmp(line + strlen(key), "=yes", 4) == 0)
			return true;
	return false;
}

void check_other_firewall(struct exam *exam)
{
	static const struct {
		const char *service;
		const char *file, *key; /* whether it does anything, where the service runs always */
	} others[] = {
		{ "nftables" },	 { "netfilter-persistent" },
		{ "iptables" },	 { "ip6tables" },
		{ "firewalld" }, { "ufw", "/etc/ufw/ufw.conf", "ENABLED" },
		{ "shorewall" }, { "shorewall6" },
		{ "ferm" },	 { "firehol" },
	};
	struct names names = { 0 };
	char active[300];

	for (size_t i = 0; i < ELEMENTSOF(others); i++) {
		snprintf(active, sizeof(active), "/run/systemd/units/invocation:%s.service", others[i].service);
		if (!exam_enabled(exam, others[i].service) && !exam_exists(exam, active))
			continue;
		if (!others[i].file || says_yes(exam, others[i].file, others[i].key))
			names_add(&names, others[i].service);
	}
	if (names.n)
		found(exam, SEVERITY_NOTICE,
		      "nothing to do: but look there too when something stays closed that spr opens",
		      "another firewall is enabled: %s. What it drops stays dropped; what it accepts is still judged by "
		      "spr",
		      names.text);
}
