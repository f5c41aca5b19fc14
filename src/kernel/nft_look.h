/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NFT_LOOK_H
#define SPR_KERNEL_NFT_LOOK_H

#include <stdbool.h>

#include "base/error.h"

/* What a bystander sees of one of our tables. */
struct nft_seen {
	bool there;
	bool owned; /* others cannot change it */
	bool persistent; /* it outlives its owner */
	bool dormant; /* it does nothing */
};

/* The tables "spr" and "spr-owned" of this network namespace. Reads only. -EPERM without CAP_NET_ADMIN. */
int nft_look(struct nft_seen *ret_spr, struct nft_seen *ret_owned, struct error *error);

#endif
