/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/docker_user.h"

#include <stdio.h>
#include <string.h>

#include "ruleset/compile.h"

#define ADDED "-A " DOCKER_USER_CHAIN " "

const char *docker_user_mark(char buffer[DOCKER_USER_MARK_MAX])
{
	snprintf(buffer, DOCKER_USER_MARK_MAX, "0x%x/0x%x", ACCEPT_BIT, ACCEPT_BIT);
	return buffer;
}

struct docker_user_place docker_user_find(char *listing)
{
	struct docker_user_place place = { 0 };
	char mark[DOCKER_USER_MARK_MAX], *save = NULL;
	unsigned n = 0;

	docker_user_mark(mark);
	for (char *line = strtok_r(listing, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, ADDED, strlen(ADDED)) != 0)
			continue;
		n++;
		if (strstr(line, mark) && strstr(line, "-j ACCEPT"))
			place.ours = n;
		else if (!place.end && strcmp(line, ADDED "-j RETURN") == 0)
			place.end = n;
	}
	if (!place.end)
		place.end = n + 1;
	place.right = place.ours && place.ours + 1 == place.end;
	return place;
}
