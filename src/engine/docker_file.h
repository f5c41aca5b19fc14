/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_ENGINE_DOCKER_FILE_H
#define SPR_ENGINE_DOCKER_FILE_H

#include <stddef.h>

/*
 * What GET /containers/ID/json would say of the host's side of a container, from the file that Docker keeps it in under
 * its root: written before the container's first event, and there while Docker itself does not answer because the
 * container is being started. Negative errno where it cannot be had; then Docker is to be asked. The text is the
 * caller's.
 */
int docker_file_bindings(const char *root, const char *id, char **ret, size_t *ret_length);

/* Opens that file: its descriptor, the caller's, or a negative errno. */
int docker_file_open(const char *root, const char *id);

/*
 * Who opens it for docker_file_bindings(): docker_file_open(), unless a program that may not open such files has
 * somebody who may.
 */
extern int (*docker_file_opener)(const char *root, const char *id);

#endif
