/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "compose/compose.h"

#define FILLED_MAX 65536
#define NESTED_MAX 16

struct filling {
	const struct compose_variables *variables;
	struct text out;
	char *unset;
	struct error *error;
};

static size_t name_length(const char *text)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*text) && *text != '_')
		return 0;
	while (isalnum((unsigned char)text[n]) || text[n] == '_')
		n++;
	return n;
}

static int bad(struct filling *filling, const char *text)
{
	return error_set(filling->error, EINVAL,
			 "'%.60s' is no variable: $NAME, ${NAME} or ${NAME:-default}; a dollar sign itself is $$",
			 text);
}

/* Where the brace that is open at `text` closes; NULL when it does not. */
static const char *brace_end(const char *text)
{
	unsigned depth = 1;

	for (; *text; text++) {
		if (text[0] == '$' && text[1] == '{')
			depth++;
		if (*text == '}' && --depth == 0)
			return text;
	}
	return NULL;
}

static int fill(struct filling *filling, const char *text, size_t length, unsigned depth);

static int put_value(struct filling *filling, const char *name, const char *value)
{
	if (value)
		text_add(&filling->out, "%s", value);
	else if (!filling->unset && !(filling->unset = strdup(name)))
		return error_memory(filling->error);
	return 0;
}

/* What stands behind the name in braces: ":-word" and its like. */
static int put_choice(struct filling *filling, const char *name, const char *choice, const char *end, unsigned depth)
{
	const char *value = filling->variables->find(name, filling->variables->data);
	bool colon = *choice == ':';
	bool have = value && (!colon || *value);
	const char *word = choice + colon + 1;

	switch (choice[colon]) {
	case '-':
		return have ? put_value(filling, name, value) : fill(filling, word, (size_t)(end - word), depth + 1);
	case '+':
		return have ? fill(filling, word, (size_t)(end - word), depth + 1) : 0;
	case '?':
		if (have)
			return put_value(filling, name, value);
		return error_set(filling->error, EINVAL, "the variable %s has to be set%s%.*s", name,
				 word < end ? ": " : "", (int)(end - word), word);
	default:
		return bad(filling, choice);
	}
}

/* From the dollar sign on; *ret_taken: how many bytes that was. */
static int put_variable(struct filling *filling, const char *text, size_t *ret_taken, unsigned depth)
{
	bool braces = text[1] == '{';
	const char *start = text + 1 + braces, *end;
	size_t n = name_length(start);
	_cleanup_free_ char *name = strndup(start, n);

	if (!name)
		return error_memory(filling->error);
	if (n == 0)
		return bad(filling, text);
	if (!braces) {
		*ret_taken = 1 + n;
		return put_value(filling, name, filling->variables->find(name, filling->variables->data));
	}
	end = brace_end(start);
	if (!end)
		return bad(filling, text);
	*ret_taken = (size_t)(end + 1 - text);
	if (start + n == end)
		return put_value(filling, name, filling->variables->find(name, filling->variables->data));
	return put_choice(filling, name, start + n, end, depth);
}

static int fill(struct filling *filling, const char *text, size_t length, unsigned depth)
{
	_cleanup_free_ char *part = strndup(text, length);
	int r = 0;

	if (!part)
		return error_memory(filling->error);
	if (depth > NESTED_MAX)
		return error_set(filling->error, EINVAL, "variables inside each other: more than %d deep", NESTED_MAX);
	for (const char *at = part; *at && r >= 0;) {
		size_t plain = strcspn(at, "$"), taken = 2;

		if (plain > 0)
			text_add(&filling->out, "%.*s", (int)plain, at);
		at += plain;
		if (!*at)
			break;
		if (at[1] == '$')
			text_add(&filling->out, "$");
		else
			r = put_variable(filling, at, &taken, depth);
		if (filling->out.used > FILLED_MAX)
			return error_set(filling->error, E2BIG, "a value is longer than %d bytes", FILLED_MAX);
		at += r < 0 ? 0 : taken;
	}
	return r;
}

int compose_fill(const char *text, const struct compose_variables *variables, char **ret, char **ret_unset,
		 struct error *error)
{
	struct filling filling = { .variables = variables, .error = error };
	char *filled;
	int r;

	text_add(&filling.out, "%s", "");
	r = fill(&filling, text, strlen(text), 0);
	filled = text_take(&filling.out);
	if (r >= 0 && !filled)
		r = error_memory(error);
	if (r < 0) {
		free(filled);
		free(filling.unset);
		return r;
	}
	*ret = filled;
	*ret_unset = filling.unset;
	return 0;
}

/* The value of a line: in quotation marks, or up to the end or a comment. */
static char *value_of(const char *text)
{
	const char quote = *text == '"' || *text == '\'' ? *text : 0;
	const char *end = quote ? strchr(text + 1, quote) : NULL;
	size_t n;

	if (end)
		return strndup(text + 1, (size_t)(end - text - 1));
	for (n = 0; text[n] && !(text[n] == '#' && (n == 0 || isblank((unsigned char)text[n - 1]))); n++)
		;
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	return strndup(text, n);
}

/* 0 also for a line that says nothing. */
static int env_line(const char *line, struct compose_variable **ret, size_t *n)
{
	struct compose_variable *variable;
	size_t length;

	line += strspn(line, " \t");
	if (strncmp(line, "export ", 7) == 0)
		line += 7 + strspn(line + 7, " \t");
	if (!*line || *line == '#')
		return 0;
	length = name_length(line);
	if (length == 0)
		return -EINVAL;
	variable = ARRAY_ADD(*ret, *n);
	if (!variable)
		return -ENOMEM;
	variable->name = strndup(line, length);
	line += length + strspn(line + length, " \t");
	if (*line != '=' && *line != '\0')
		return -EINVAL;
	line += *line == '=';
	variable->value = value_of(line + strspn(line, " \t"));
	return variable->name && variable->value ? 0 : -ENOMEM;
}

int compose_env_parse(const char *text, size_t length, const char *name, struct compose_variable **ret, size_t *ret_n,
		      struct error *error)
{
	struct compose_variable *variables = NULL;
	_cleanup_free_ char *copy = strndup(text, length);
	char *rest = copy, *line;
	unsigned number = 0;
	size_t n = 0;
	int r = copy ? 0 : -ENOMEM;

	while (r >= 0 && (line = strsep(&rest, "\n"))) {
		number++;
		line[strcspn(line, "\r")] = '\0';
		r = env_line(line, &variables, &n);
	}
	if (r >= 0) {
		*ret = variables;
		*ret_n = n;
		return 0;
	}
	compose_env_free(variables, n);
	return r == -ENOMEM ? error_memory(error) :
			      error_set(error, EINVAL, "%.200s:%u:1: a line has to be NAME=value", name, number);
}

void compose_env_free(struct compose_variable *variables, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(variables[i].name);
		free(variables[i].value);
	}
	free(variables);
}
