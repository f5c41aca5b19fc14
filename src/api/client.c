/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "api/line.h"
#include "base/json.h"
#include "api/message.h"

struct api_client {
	int fd;
	struct line_buffer input;
};

int api_client_connect(const char *path, struct api_client **ret, struct error *error)
{
	_cleanup_(api_client_closep) struct api_client *client = NULL;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(error, ENAMETOOLONG, "the socket's path is longer than %zu bytes: %s",
				 sizeof(address.sun_path) - 1, path);
	strcpy(address.sun_path, path);
	client = calloc(1, sizeof(*client));
	if (!client)
		return error_memory(error);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return error_set(error, errno, "cannot make a socket: %s", strerror(errno));
	if (connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set(error, errno, "cannot connect to %s: %s", path, strerror(errno));
	*ret = TAKE_PTR(client);
	return 0;
}

void api_client_limit(struct api_client *client, unsigned seconds)
{
	struct timeval limit = { .tv_sec = seconds };

	(void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* A daemon that refuses hangs up early, after saying why: a broken pipe is not the end, its answer may be there. */
static int send_line(struct api_client *client, const char *text, size_t length, struct error *error)
{
	while (length > 0) {
		ssize_t n = send(client->fd, text, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0)
			return error_set(error, errno, "cannot write to sprd: %s", strerror(errno));
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

static int read_line(struct api_client *client, char **ret_line, size_t *ret_length, struct error *error)
{
	for (;;) {
		char *room;
		size_t size;
		ssize_t n;
		int r = line_buffer_next(&client->input, ret_line, ret_length);

		if (r > 0)
			return 0;
		if (r < 0)
			return error_set(error, EPROTO, "the answer of sprd is longer than %u MiB", API_LINE_MAX >> 20);
		if (line_buffer_reserve(&client->input, &room, &size) < 0)
			return error_memory(error);
		n = recv(client->fd, room, size, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return error_set(error, ECONNRESET, "sprd hung up");
		if (n < 0 && errno != EINTR)
			return error_set(error, errno, "cannot read from sprd: %s", strerror(errno));
		if (n > 0)
			line_buffer_added(&client->input, (size_t)n);
	}
}

static int read_message(struct api_client *client, json_t **ret, struct error *error)
{
	json_t *message = NULL;
	json_error_t where;
	char *line;
	size_t length;
	int r = read_line(client, &line, &length, error);

	if (r < 0)
		return r;
	r = json_read(line, length, 0, &message, &where);
	if (r == -ENOMEM)
		return error_memory(error);
	if (r < 0 || !json_is_object(message)) {
		json_decref(message);
		return error_set(error, EPROTO, "sprd sent something that is no answer; is this another program's?");
	}
	*ret = message;
	return 0;
}

/* The text without its braces goes into the line as it is: {"call": ...} is what message_print() would wrap. */
static int print_request(json_t *request, char **ret, size_t *ret_length, struct error *error)
{
	_cleanup_free_ char *text = json_write(request, JSON_COMPACT);
	size_t length;
	char *line;

	if (!text)
		return error_memory(error);
	length = strlen(text);
	if (length > API_LINE_MAX)
		return error_set(error, EMSGSIZE, "the request is %zu MiB long; sprd takes %u MiB", (length >> 20) + 1,
				 API_LINE_MAX >> 20);
	line = realloc(text, length + 2);
	if (!line)
		return error_memory(error);
	TAKE_PTR(text);
	strcpy(line + length, "\n");
	*ret = line;
	*ret_length = length + 1;
	return 0;
}

int api_client_call(struct api_client *client, json_t *request, json_t **ret_result, struct error *error)
{
	_cleanup_free_ char *line = NULL;
	size_t length = 0;
	int r = print_request(request, &line, &length, error);

	if (r == 0)
		r = send_line(client, line, length, error);
	while (r == 0) {
		_cleanup_json_ json_t *message = NULL;
		json_t *part;

		r = read_message(client, &message, error);
		if (r < 0)
			break;
		if ((part = json_object_get(message, "result"))) {
			*ret_result = json_incref(part);
			return 0;
		}
		if ((part = json_object_get(message, "error")))
			return error_from_json(part, error);
		if (!json_object_get(message, "event"))
			return error_set(error, EPROTO, "sprd sent an answer without a result");
	}
	return r;
}

int api_client_next_event(struct api_client *client, json_t **ret_event, struct error *error)
{
	_cleanup_json_ json_t *message = NULL;
	json_t *part;
	int r = read_message(client, &message, error);

	if (r < 0)
		return r;
	if ((part = json_object_get(message, "error")))
		return error_from_json(part, error);
	part = json_object_get(message, "event");
	if (!part)
		return error_set(error, EPROTO, "sprd sent something that is no event");
	*ret_event = json_incref(part);
	return 0;
}

struct api_client *api_client_close(struct api_client *client)
{
	if (!client)
		return NULL;
	closep(&client->fd);
	line_buffer_clear(&client->input);
	free(client);
	return NULL;
}
