/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/client.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"

/* The policy in an editor, until it is accepted, given up, or kept in a file: what was typed is not lost. */

#define REFUSED_MARK "#! " /* lines that say why; they are taken out before the text is sent */

struct editing {
	const struct command *command;
	char folder[64], path[80];
	char *before; /* as it was exported */
	json_int_t revision;
};

static int ask(const struct command *command, json_t *request, json_t **ret, struct error *error)
{
	_cleanup_(api_client_closep) struct api_client *client = NULL;
	int r = api_client_connect(command->options[OPTION_SOCKET], &client, error);

	return r < 0 ? r : api_client_call(client, request, ret, error);
}

/* What was there stays until the new text is whole. */
static int write_text(const char *path, const char *head, const char *text, struct error *error)
{
	char new_path[96];
	FILE *file;
	bool whole;

	snprintf(new_path, sizeof(new_path), "%s.new", path);
	file = fopen(new_path, "we");
	if (!file)
		return error_set(error, errno, "cannot write %s: %s", new_path, strerror(errno));
	while (head && *head) {
		size_t length = strcspn(head, "\n");

		fprintf(file, REFUSED_MARK "%.*s\n", (int)length, head);
		head += length + (head[length] == '\n');
	}
	fputs(text, file);
	whole = !ferror(file);
	if (fclose(file) == 0 && whole && rename(new_path, path) == 0)
		return 0;
	error_set(error, EIO, "cannot write %s: %s", path, strerror(errno));
	unlink(new_path);
	return -EIO;
}

/* In a folder of our own: whatever an editor does with the file, nobody else can put one in its place. */
static int make_file(struct editing *editing, struct error *error)
{
	snprintf(editing->folder, sizeof(editing->folder), "/tmp/spr-edit-XXXXXX");
	if (!mkdtemp(editing->folder))
		return error_set(error, errno, "cannot make a folder in /tmp: %s", strerror(errno));
	snprintf(editing->path, sizeof(editing->path), "%s/policy.yaml", editing->folder);
	return write_text(editing->path, NULL, editing->before, error);
}

static int start(struct editing *editing, struct error *error)
{
	_cleanup_(json_decrefp) json_t *request = json_pack("{s:s}", "call", "export");
	_cleanup_(json_decrefp) json_t *result = NULL;
	const char *yaml;
	int r = request ? ask(editing->command, request, &result, error) : error_memory(error);

	if (r < 0)
		return r;
	yaml = json_string_value(json_object_get(result, "yaml"));
	editing->before = strdup(yaml ? yaml : "");
	editing->revision = json_integer_value(json_object_get(result, "revision"));
	return editing->before ? make_file(editing, error) : error_memory(error);
}

static const char *editor(void)
{
	const char *const names[] = { getenv("VISUAL"), getenv("EDITOR"), "editor" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (names[i] && *names[i])
			return names[i];
	return "vi";
}

/* As crontab(1) and git do: the variable may hold a command with options, so a shell takes it apart. */
static int run_editor(const char *path, struct error *error)
{
	const char *program = editor();
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return error_set(error, errno, "cannot start %s: %s", program, strerror(errno));
	if (pid == 0) {
		_cleanup_free_ char *line = NULL;

		if (asprintf(&line, "%s \"$1\"", program) >= 0)
			execl("/bin/sh", "sh", "-c", line, "sh", path, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(error, ECANCELED, "%s did not end well: nothing was changed, and %s is kept", program, path);
}

/* Without the lines that said why it was refused. */
static int read_edited(const struct editing *editing, char **ret, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t length, kept = 0;
	int r = document_read(editing->path, &text, &length, error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < length;) {
		char *end = memchr(text + i, '\n', length - i);
		size_t size = end ? (size_t)(end - text) + 1 - i : length - i;

		if (size < strlen(REFUSED_MARK) || memcmp(text + i, REFUSED_MARK, strlen(REFUSED_MARK)) != 0) {
			memmove(text + kept, text + i, size);
			kept += size;
		}
		i += size;
	}
	text[kept] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

static int send_edited(const struct editing *editing, const char *text, json_t **ret, struct error *error)
{
	_cleanup_(json_decrefp) json_t *request = NULL;
	int r = command_request(editing->command, &request, error);

	if (r >= 0)
		r = request_set_text(request, "text", text, error);
	if (r >= 0)
		r = request_set_text(request, "name", "policy", error);
	if (r >= 0 && json_object_set_new(request, "base", json_integer(editing->revision)) < 0)
		r = error_memory(error);
	return r < 0 ? r : ask(editing->command, request, ret, error);
}

static bool ask_again(void)
{
	char answer[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	fputs("Edit again? [Y/n] ", stderr);
	return fgets(answer, sizeof(answer), stdin) && *answer != 'n' && *answer != 'N';
}

/* 1: once more. */
static int edit_once(struct editing *editing, json_t **ret_result, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	int r = run_editor(editing->path, error);

	if (r >= 0)
		r = read_edited(editing, &text, error);
	if (r < 0)
		return r;
	if (strcmp(text, editing->before) == 0) {
		*ret_result = json_pack("{s:b, s:s}", "changed", 0, "line", "nothing changed");
		return *ret_result ? 0 : error_memory(error);
	}
	r = send_edited(editing, text, ret_result, error);
	if (r >= 0)
		return 0;
	if (error->code != EINVAL && error->code != EPERM)
		return error_wrap(error, "not accepted; what you wrote is in %s", editing->path);
	print_failure(error->text);
	if (write_text(editing->path, error->text, text, NULL) >= 0 && ask_again())
		return 1;
	error->code = ECANCELED; /* the usage was right */
	return error_wrap(error, "what you wrote is in %s; not accepted", editing->path);
}

int edit_local(const struct command *command, json_t **ret_result, struct error *error)
{
	struct editing editing = { .command = command };
	int r = start(&editing, error);

	if (r >= 0)
		do
			r = edit_once(&editing, ret_result, error);
		while (r > 0);
	if (r == 0) {
		unlink(editing.path);
		rmdir(editing.folder);
	}
	free(editing.before);
	return r;
}
