/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_RESOLV_H
#define SPR_KERNEL_RESOLV_H

struct addr;

/*
 * The resolver this machine uses: the first nameserver of a resolv.conf that is not the machine itself. When
 * /etc/resolv.conf names only a local stub, the file that systemd-resolved keeps with the real ones is asked. A zone
 * ("%eth0") is left out. -ENOENT without one.
 */
int resolv_read(const char *path, struct addr *ret);

#endif
