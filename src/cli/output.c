/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#define COLUMN_MIN 8
#define COLUMNS_MAX 32
#define GAP 2

/* Characters without a shape that change how others are shown (Unicode's format characters), first to last. */
static const uint32_t hidden[][2] = {
	{ 0x00ad, 0x00ad }, { 0x061c, 0x061c },	  { 0x115f, 0x1160 },	{ 0x180b, 0x180f }, { 0x200b, 0x200f },
	{ 0x2028, 0x202e }, { 0x2060, 0x206f },	  { 0x3164, 0x3164 },	{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
	{ 0xfff9, 0xfffb }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
};

static bool is_shown(wchar_t c)
{
	if (!iswprint((wint_t)c) || wcwidth(c) < 0)
		return false;
	for (size_t i = 0; i < ELEMENTSOF(hidden); i++)
		if ((uint32_t)c >= hidden[i][0] && (uint32_t)c <= hidden[i][1])
			return false;
	return true;
}

/* One character of a text as it is printed: up to 12 bytes, their width in columns, and how many bytes it took. */
struct glyph {
	char bytes[16];
	size_t width, taken;
};

static struct glyph glyph_next(const char *text)
{
	struct glyph glyph = { .taken = 1 };
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n = mbrtowc(&c, text, MB_CUR_MAX, &state);

	if (n == 0 || n > MB_CUR_MAX) { /* no character of this locale */
		glyph.width = (size_t)snprintf(glyph.bytes, sizeof(glyph.bytes), "\\x%02x", (unsigned char)*text);
		return glyph;
	}
	glyph.taken = n;
	if (is_shown(c)) {
		memcpy(glyph.bytes, text, n);
		glyph.width = (size_t)wcwidth(c);
	} else if (c == '\n' || c == '\t') {
		glyph.width = (size_t)snprintf(glyph.bytes, sizeof(glyph.bytes), c == '\n' ? "\\n" : "\\t");
	} else {
		glyph.width = (size_t)snprintf(glyph.bytes, sizeof(glyph.bytes),
					       c < 0x80	   ? "\\x%02x" :
					       c < 0x10000 ? "\\u%04x" :
							     "\\U%08x",
					       (unsigned)c);
	}
	return glyph;
}

void print_text(FILE *stream, const char *text)
{
	while (*text) {
		struct glyph glyph = glyph_next(text);

		fputs(glyph.bytes, stream);
		text += glyph.taken;
	}
}

size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		struct glyph glyph = glyph_next(text);

		width += glyph.width;
		text += glyph.taken;
	}
	return width;
}

void print_line(const char *text)
{
	print_text(stdout, text);
	putchar('\n');
}

void print_failure(const char *text)
{
	fflush(stdout);
	fputs("spr: ", stderr);
	print_text(stderr, text);
	fputc('\n', stderr);
}

void print_list(const char *title, const json_t *list)
{
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)list, i, entry) {
		_cleanup_free_ char *text = json_cell(entry);

		printf("%s: ", title);
		print_line(text ? text : "?");
	}
}

void print_section(const char *title, const json_t *list)
{
	json_t *entry;
	size_t i;

	if (json_array_size(list) > 0)
		printf("%s\n", title);
	json_array_foreach((json_t *)list, i, entry) {
		_cleanup_free_ char *text = json_cell(entry);

		fputs("  ", stdout);
		print_line(text ? text : "?");
	}
}

static char *array_cell(const json_t *array)
{
	_cleanup_free_ char *text = strdup("");
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)array, i, entry) {
		_cleanup_free_ char *part = json_is_array(entry) ? json_dumps(entry, JSON_COMPACT) : json_cell(entry);
		char *joined = NULL;

		if (!text || !part || asprintf(&joined, "%s%s%s", text, i > 0 ? "," : "", part) < 0)
			return NULL;
		free(text);
		text = joined;
	}
	return TAKE_PTR(text);
}

const char *json_text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t json_number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

char *json_cell(const json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return strdup(json_string_value(value));
	case JSON_TRUE:
		return strdup("yes");
	case JSON_FALSE:
		return strdup("no");
	case JSON_NULL:
		return strdup("-");
	case JSON_ARRAY:
		return json_array_size(value) > 0 ? array_cell(value) : strdup("-");
	default:
		return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	}
}

/* 0: no limit. */
static size_t terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (columns && atoi(columns) > 0)
		return (size_t)atoi(columns);
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* The widest columns give way until the table fits, or none can. */
static void widths_fit(size_t *widths, size_t n, size_t room)
{
	for (;;) {
		size_t total = GAP * (n - 1), widest = 0;

		for (size_t i = 0; i < n; i++) {
			total += widths[i];
			if (widths[i] > widths[widest])
				widest = i;
		}
		if (total <= room || widths[widest] <= COLUMN_MIN)
			return;
		widths[widest]--;
	}
}

static void print_cell(const char *text, size_t width, bool last)
{
	const char *cut = MB_CUR_MAX > 1 ? "\xe2\x80\xa6" : "~";
	size_t used = 0, whole = text_width(text);

	while (*text) {
		struct glyph glyph = glyph_next(text);

		if (whole > width && used + glyph.width > width - 1) {
			fputs(cut, stdout);
			used++;
			break;
		}
		fputs(glyph.bytes, stdout);
		used += glyph.width;
		text += glyph.taken;
	}
	if (last)
		putchar('\n');
	else
		printf("%*s", (int)(width - used + GAP), "");
}

static const json_t *cell_value(const json_t *columns, size_t column, const json_t *row)
{
	const char *name = json_string_value(json_array_get(columns, column));

	if (!row)
		return json_array_get(columns, column); /* the head */
	return name ? json_object_get(row, name) : NULL;
}

static void widths_measure(const json_t *columns, const json_t *rows, size_t *widths, size_t n)
{
	json_t *row;
	size_t i;

	for (size_t c = 0; c < n; c++) {
		_cleanup_free_ char *head = json_cell(cell_value(columns, c, NULL));

		widths[c] = head ? text_width(head) : 1;
		json_array_foreach((json_t *)rows, i, row) {
			_cleanup_free_ char *text = json_cell(cell_value(columns, c, row));
			size_t width = text ? text_width(text) : 1;

			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
}

static void print_row(const json_t *columns, const json_t *row, const size_t *widths, size_t n)
{
	for (size_t c = 0; c < n; c++) {
		_cleanup_free_ char *cell = json_cell(cell_value(columns, c, row));
		const char *text = cell ? cell : "?";

		if (widths) {
			print_cell(text, widths[c], c + 1 == n);
		} else {
			print_text(stdout, text);
			putchar(c + 1 == n ? '\n' : '\t');
		}
	}
}

void print_table(const json_t *columns, const json_t *rows)
{
	size_t widths[COLUMNS_MAX], n = json_array_size(columns), room = 0, i;
	bool aligned = isatty(STDOUT_FILENO);
	json_t *row;

	if (n == 0)
		return;
	n = n > COLUMNS_MAX ? COLUMNS_MAX : n;
	if (aligned) {
		widths_measure(columns, rows, widths, n);
		room = terminal_width();
	}
	if (room > 0)
		widths_fit(widths, n, room);
	print_row(columns, NULL, aligned ? widths : NULL, n);
	json_array_foreach((json_t *)rows, i, row)
		print_row(columns, row, aligned ? widths : NULL, n);
}

void print_json(const json_t *json, size_t flags)
{
	if (isatty(STDOUT_FILENO))
		flags |= JSON_ENSURE_ASCII;
	json_dumpf(json, stdout, flags | JSON_ENCODE_ANY);
	putchar('\n');
}

const char *time_text(double epoch, char buffer[32])
{
	time_t seconds = (time_t)epoch;
	struct tm tm;

	if (epoch <= 0 || epoch > 1e12 || !localtime_r(&seconds, &tm) || strftime(buffer, 32, "%F %T", &tm) == 0)
		strcpy(buffer, "-");
	return buffer;
}
