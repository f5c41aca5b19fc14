/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* glibc's own, and those of the sanitizers, whose names are weak for programs that bring their own. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *old);
void *__interceptor_malloc(size_t size) __attribute__((weak));
void *__interceptor_calloc(size_t n, size_t size) __attribute__((weak));
void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
void __interceptor_free(void *old) __attribute__((weak));

/* What libnftnl loses by itself, the leak sanitizer need not tell: test_fault.c counts it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libnftnl.so\n";
}

static struct {
	bool armed, on;
	unsigned at, calls, failed;
	long held;
} memory;

static bool fails(void)
{
	if (!memory.armed)
		return false;
	memory.calls++;
	if (!memory.at || memory.calls < memory.at || (memory.calls > memory.at && !memory.on))
		return false;
	memory.failed++;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	void *new = fails() ? NULL : __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);

	memory.held += new != NULL;
	return new;
}

void *calloc(size_t n, size_t size)
{
	void *new = fails() ? NULL : __interceptor_calloc ? __interceptor_calloc(n, size) : __libc_calloc(n, size);

	memory.held += new != NULL;
	return new;
}

void *realloc(void *old, size_t size)
{
	void *new = fails()		  ? NULL :
		    __interceptor_realloc ? __interceptor_realloc(old, size) :
					    __libc_realloc(old, size);

	memory.held += new && !old;
	return new;
}

void free(void *old)
{
	memory.held -= old != NULL;
	if (__interceptor_free)
		__interceptor_free(old);
	else
		__libc_free(old);
}

/* The sanitizers' copies of these would not come by here. */

static char *copy(const char *text, size_t length)
{
	char *new = malloc(length + 1);

	if (!new)
		return NULL;
	memcpy(new, text, length);
	new[length] = '\0';
	return new;
}

char *strdup(const char *text)
{
	return copy(text, strlen(text));
}

char *strndup(const char *text, size_t length)
{
	return copy(text, strnlen(text, length));
}

void memory_arm(unsigned at, bool on)
{
	memory.at = at;
	memory.on = on;
	memory.calls = memory.failed = 0;
	memory.armed = true;
}

unsigned memory_disarm(unsigned *ret_failed)
{
	memory.armed = false;
	if (ret_failed)
		*ret_failed = memory.failed;
	return memory.calls;
}

void memory_pause(void)
{
	memory.armed = false;
}

void memory_resume(void)
{
	memory.armed = true;
}

long memory_held(void)
{
	return memory.held;
}
