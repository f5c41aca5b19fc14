/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "property.h"

/* The way of one packet through the rules, as nft tells it. */

#define WAIT 300000 /* us: nft has to read the ruleset first, and to write it down in the end */

static pid_t monitor;
static int output = -1;

static void nft(const char *command)
{
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		execlp("nft", "nft", command, NULL);
		_exit(127);
	}
	MUST(waitpid(pid, NULL, 0) == pid);
}

void trace_start(void)
{
	char name[] = "/tmp/spr-trace-XXXXXX";

	nft("table inet probetrace { chain pre { type filter hook prerouting priority -450; meta nftrace set 1; }; }");
	output = mkstemp(name);
	MUST(output >= 0 && unlink(name) == 0);
	monitor = fork();
	MUST(monitor >= 0);
	if (monitor == 0) {
		dup2(output, STDOUT_FILENO);
		execlp("nft", "nft", "monitor", "trace", NULL);
		_exit(127);
	}
	usleep(WAIT);
}

/* "trace id 1 inet spr CHAIN rule TEXT (verdict ...)": the chain, and where the rule's text begins. */
static const char *rule_of(char *line, char *chain, size_t size)
{
	static const char table[] = " inet spr ";
	char *at = strstr(line, table), *rule;

	if (!at || strncmp(line, "trace id ", 9) != 0)
		return NULL;
	at += strlen(table);
	rule = strstr(at, " rule ");
	if (!rule)
		rule = strstr(at, " policy ");
	if (!rule)
		return NULL;
	snprintf(chain, size, "%.*s", (int)strcspn(at, " "), at);
	return rule + 1;
}

/* Chains that only carry out what one before them decided. */
static bool is_after(const char *chain)
{
	static const char *const after[] = { "accepted",   "count", "restore",	   "let-through",
					     "left-alone", "leave", "source-ports" };

	if (strncmp(chain, "drop-", 5) == 0)
		return true;
	for (size_t i = 0; i < ELEMENTSOF(after); i++)
		if (strcmp(chain, after[i]) == 0)
			return true;
	return false;
}

void trace_print(FILE *file, char *ret_chain, size_t size)
{
	char line[1024], chain[64], decided[1024] = "";
	const char *rule;
	FILE *lines;

	usleep(WAIT);
	kill(monitor, SIGTERM);
	MUST(waitpid(monitor, NULL, 0) == monitor);
	MUST(lseek(output, 0, SEEK_SET) == 0 && (lines = fdopen(output, "r")));
	fputs("rules it met:\n", file);
	while (fgets(line, sizeof(line), lines)) {
		rule = rule_of(line, chain, sizeof(chain));
		if (!rule)
			continue;
		fprintf(file, "  %s: %s", chain, rule);
		if (is_after(chain))
			continue;
		snprintf(ret_chain, size, "%s", chain);
		snprintf(decided, sizeof(decided), "%s", rule);
	}
	fclose(lines);
	fprintf(file, "rule: table inet spr, chain %s: %s", ret_chain, decided[0] ? decided : "none of ours\n");
	nft("delete table inet probetrace");
}
