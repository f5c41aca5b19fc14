/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int tap_open(const char *name, unsigned index, bool ethernet, int *ret, struct error *error)
{
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq request = { 0 };

	if (fd < 0)
		return error_set(error, errno, "cannot open /dev/net/tun: %s", strerror(errno));
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	request.ifr_flags = (short)((ethernet ? IFF_TAP : IFF_TUN) | IFF_NO_PI);
	if (ioctl(fd, TUNSETIFINDEX, &index) < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		return error_set(error, errno, "cannot make an interface %s with the number %u: %s", name, index,
				 strerror(errno));
	*ret = fd;
	fd = -1;
	return 0;
}

int tap_set_carrier(int tap, bool on)
{
	int value = on;

	return ioctl(tap, TUNSETCARRIER, &value) < 0 ? -errno : 0;
}
