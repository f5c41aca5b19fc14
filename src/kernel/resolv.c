/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/resolv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_REAL "/run/systemd/resolve/resolv.conf"
#define LINES_MAX 10000
#define LINE_SIZE 512
#define SPACE " \t\r\n"

static void closefp(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* "nameserver ADDRESS[%zone]" */
static bool line_parse(char *line, struct addr *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char *rest, *word = strtok_r(line, SPACE, &rest);
	struct addr addr;

	if (!word || strcmp(word, "nameserver") != 0)
		return false;
	word = strtok_r(NULL, SPACE, &rest);
	if (!word)
		return false;
	word[strcspn(word, "%")] = '\0';
	if (addr_parse(word, &addr) < 0)
		return false;
	if (addr.family == AF_INET6 && memcmp(addr.bytes, mapped, sizeof(mapped)) == 0) {
		*ret = (struct addr){ .family = AF_INET };
		memcpy(ret->bytes, addr.bytes + sizeof(mapped), 4);
	} else
		*ret = addr;
	return true;
}

/* The first that is another machine; *ret_local whether there are local ones. */
static int file_read(const char *path, struct addr *ret, bool *ret_local)
{
	_cleanup_(closefp) FILE *file = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char line[LINE_SIZE];
	bool whole = true, local = false;

	if (fd < 0)
		return -errno;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	for (int i = 0; i < LINES_MAX && fgets(line, sizeof(line), file); i++) {
		bool start = whole;
		struct addr addr;

		whole = strchr(line, '\n');
		if (!start || !line_parse(line, &addr)) /* the rest of a line that is too long says nothing */
			continue;
		if (addr_is_loopback(&addr) || addr_is_any(&addr)) {
			local = true;
			continue;
		}
		*ret = addr;
		return 0;
	}
	*ret_local = local;
	return ferror(file) ? -EIO : -ENOENT;
}

int resolv_read(const char *path, struct addr *ret)
{
	bool local = false, ignored;
	int r = file_read(path, ret, &local);

	if (r == -ENOENT && local && strcmp(path, RESOLV_CONF) == 0)
		r = file_read(RESOLV_CONF_REAL, ret, &ignored);
	return r;
}
