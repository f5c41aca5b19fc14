/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_API_LINE_H
#define SPR_API_LINE_H

#include <stddef.h>

#define API_LINE_MAX (17u << 20) /* bytes of a line without its newline */

/* Bytes from a stream, cut into lines of at most API_LINE_MAX. Zeroed is empty; an empty one holds no large memory. */
struct line_buffer {
	char *data;
	size_t room; /* bytes allocated */
	size_t start, used; /* what has not been taken is [start, used) */
	size_t scanned; /* no newline in [start, scanned) */
};

/* Room for the next read, 1 byte or more. It is valid until the next call; -ENOMEM. */
int line_buffer_reserve(struct line_buffer *buffer, char **ret, size_t *ret_size);

/* So many bytes were written to that room. */
void line_buffer_added(struct line_buffer *buffer, size_t n);

/*
 * Takes the next line. Returns 1 with the line, its newline replaced by NUL, valid until the next reserve; 0 when no
 * whole line is there; -EMSGSIZE when it is longer than API_LINE_MAX: the buffer is of no use then.
 */
int line_buffer_next(struct line_buffer *buffer, char **ret_line, size_t *ret_length);

void line_buffer_clear(struct line_buffer *buffer);

#endif
