/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "verdict/model.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct page {
	uint32_t number;
	UT_hash_handle hh; /* by meaning */
	UT_hash_handle by_number;
	char meaning[];
};

struct class_book {
	struct page *pages, *numbers;
	uint32_t next;
};

struct class_book *class_book_new(uint32_t first)
{
	struct class_book *book = calloc(1, sizeof(*book));

	if (book)
		book->next = first;
	return book;
}

struct class_book *class_book_free(struct class_book *book)
{
	struct page *page, *next;

	if (!book)
		return NULL;
	HASH_CLEAR(by_number, book->numbers);
	HASH_ITER(hh, book->pages, page, next) {
		HASH_DEL(book->pages, page);
		free(page);
	}
	free(book);
	return NULL;
}

/* FNV-1a. What matters is that it is the same in every run. */
static uint32_t hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325u;

	for (; *text; text++)
		value = (value ^ (uint8_t)*text) * 0x100000001b3u;
	return (uint32_t)(value ^ value >> 32);
}

static bool is_taken(const struct class_book *book, uint32_t number)
{
	struct page *page;

	HASH_FIND(by_number, book->numbers, &number, sizeof(number), page);
	return page;
}

/* Above the small numbers that mean something else, and of nobody else. */
static uint32_t number_of(struct class_book *book, const char *meaning)
{
	uint32_t number;

	if (book->next)
		return book->next++;
	for (number = hash(meaning); (number &= 0x7fffffff) < 0x10000 || is_taken(book, number); number++)
		;
	return number;
}

uint32_t class_book_number(struct class_book *book, const char *meaning)
{
	struct page *page;
	size_t length = strlen(meaning);

	HASH_FIND(hh, book->pages, meaning, length, page);
	if (page)
		return page->number;
	page = malloc(sizeof(*page) + length + 1);
	if (!page)
		return 0;
	memcpy(page->meaning, meaning, length + 1);
	page->number = number_of(book, meaning);
	HASH_ADD_KEYPTR(hh, book->pages, page->meaning, length, page);
	if (!page->hh.tbl) {
		free(page);
		return 0;
	}
	HASH_ADD(by_number, book->numbers, number, sizeof(page->number), page);
	if (!page->by_number.tbl) {
		HASH_DEL(book->pages, page);
		free(page);
		return 0;
	}
	return page->number;
}
