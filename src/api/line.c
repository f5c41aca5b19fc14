/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE (64u << 10)

int line_buffer_reserve(struct line_buffer *buffer, char **ret, size_t *ret_size)
{
	if (buffer->start > 0) {
		memmove(buffer->data, buffer->data + buffer->start, buffer->used - buffer->start);
		buffer->used -= buffer->start;
		buffer->scanned -= buffer->start;
		buffer->start = 0;
	}
	if (buffer->used == 0 && buffer->room > READ_SIZE)
		line_buffer_clear(buffer);
	if (buffer->used == buffer->room) {
		/* A line is refused as soon as API_LINE_MAX + 1 bytes of it are here, so this ends near twice that. */
		size_t room = buffer->room ? buffer->room * 2 : READ_SIZE;
		char *grown = realloc(buffer->data, room);

		if (!grown)
			return -ENOMEM;
		buffer->data = grown;
		buffer->room = room;
	}
	*ret = buffer->data + buffer->used;
	*ret_size = buffer->room - buffer->used;
	return 0;
}

void line_buffer_added(struct line_buffer *buffer, size_t n)
{
	buffer->used += n;
}

int line_buffer_next(struct line_buffer *buffer, char **ret_line, size_t *ret_length)
{
	char *newline;
	size_t length;

	if (buffer->scanned == buffer->used)
		return 0;
	newline = memchr(buffer->data + buffer->scanned, '\n', buffer->used - buffer->scanned);
	length = (newline ? (size_t)(newline - buffer->data) : buffer->used) - buffer->start;
	if (length > API_LINE_MAX)
		return -EMSGSIZE;
	if (!newline) {
		buffer->scanned = buffer->used;
		return 0;
	}
	*newline = '\0';
	*ret_line = buffer->data + buffer->start;
	*ret_length = length;
	buffer->start += length + 1;
	buffer->scanned = buffer->start;
	return 1;
}

void line_buffer_clear(struct line_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct line_buffer){ 0 };
}
