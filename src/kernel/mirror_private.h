/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_MIRROR_PRIVATE_H
#define SPR_KERNEL_MIRROR_PRIVATE_H

#include "kernel/mirror_message.h"

/* Messages, each with memory of its own. */
struct mirror_list {
	struct nlmsghdr **items;
	size_t n;
};

struct mirror {
	struct mirror_link *links;
	size_t n_links;
	struct mirror_list parts[_MIRROR_PART_MAX]; /* links as told, the rest as mirror_message_make() has them */
};

void mirror_list_clear(struct mirror_list *list);
/* Adds all that the kernel tells of a part. */
int mirror_list_read(struct nlsocket *socket, enum mirror_part part, struct mirror_list *list);

#endif
