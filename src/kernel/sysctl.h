/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_SYSCTL_H
#define SPR_KERNEL_SYSCTL_H

#include <stddef.h>

/*
 * Settings below /proc/sys/net of this network namespace, as "net/ipv4/ip_forward"; without a slash, dots separate:
 * "net.ipv4.ip_forward". -EINVAL for a path that leads elsewhere, -ENOENT for a setting this kernel does not have.
 */

/* The value without its newline. -ENOBUFS when it does not fit. */
int sysctl_read(const char *path, char *value, size_t size);
int sysctl_write(const char *path, const char *value);

#endif
