/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"

#define VARIABLE "SSH_CONNECTION="
#define ENVIRONMENT_MAX (256u << 10) /* bytes of one process's environment that are looked at */
#define PARENTS_MAX 32

bool session_text_valid(const char *text)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], end;
	unsigned from_port, to_port;
	struct addr addr;

	return sscanf(text, "%47s %5u %47s %5u%c", from, &from_port, to, &to_port, &end) == 4 &&
	       addr_parse(from, &addr) == 0 && addr_parse(to, &addr) == 0 && from_port <= 65535 && to_port <= 65535;
}

/* Reads a file of /proc, NUL at its end. */
static char *read_proc(long pid, const char *name, size_t *ret_size)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = malloc(ENVIRONMENT_MAX + 1);
	char path[64];
	size_t used = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !text)
		return NULL;
	while (used < ENVIRONMENT_MAX && (n = read(fd, text + used, ENVIRONMENT_MAX - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	*ret_size = used;
	return TAKE_PTR(text);
}

static char *session_of(long pid)
{
	size_t size = 0;
	_cleanup_free_ char *environment = read_proc(pid, "environ", &size);

	for (size_t i = 0; environment && i < size; i += strlen(environment + i) + 1) {
		const char *value = environment + i + strlen(VARIABLE);

		if (strncmp(environment + i, VARIABLE, strlen(VARIABLE)) == 0 && session_text_valid(value))
			return strdup(value);
	}
	return NULL;
}

static long parent_of(long pid)
{
	size_t size = 0;
	_cleanup_free_ char *status = read_proc(pid, "status", &size);
	const char *line = status ? strstr(status, "\nPPid:") : NULL;

	return line ? strtol(line + strlen("\nPPid:"), NULL, 10) : 0;
}

char *session_find(void)
{
	const char *own = getenv("SSH_CONNECTION");
	long pid = getppid();

	if (own && session_text_valid(own))
		return strdup(own);
	for (int i = 0; i < PARENTS_MAX && pid > 1; i++, pid = parent_of(pid)) {
		char *found = session_of(pid);

		if (found)
			return found;
	}
	return NULL;
}
