/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft_look.h"

#include <errno.h>
#include <string.h>

#include "kernel/nft_batch.h"
#include "kernel/nft_read.h"

static struct nft_seen seen(const struct nft_have *have)
{
	return (struct nft_seen){ .there = have->there,
				  .owned = have->flags & NFT_FLAG_OWNER,
				  .persistent = have->flags & NFT_FLAG_PERSIST,
				  .dormant = have->flags & NFT_FLAG_DORMANT };
}

int nft_look(struct nft_seen *ret_spr, struct nft_seen *ret_owned, struct error *error)
{
	_cleanup_(nlsocket_closep) struct nlsocket *socket = NULL;
	struct nft_have haves[] = { { .table = NFT_TABLE }, { .table = NFT_TABLE_OWNED } };
	struct nft nft = { 0 };
	uint32_t generation;
	int r = nlsocket_open(NETLINK_NETFILTER, &socket);

	if (r < 0)
		return error_set(error, -r, "no netlink socket to nftables: %s", strerror(-r));
	nft.socket = socket;
	r = nft_read(&nft, NULL, NULL, haves, ELEMENTSOF(haves), &generation, error);
	if (r == 0) {
		*ret_spr = seen(&haves[0]);
		*ret_owned = seen(&haves[1]);
	}
	for (size_t i = 0; i < ELEMENTSOF(haves); i++)
		nft_have_clear(&haves[i]);
	return r;
}
