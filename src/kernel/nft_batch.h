/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NFT_BATCH_H
#define SPR_KERNEL_NFT_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/nft.h"
#include "kernel/nft_written.h"
#include "kernel/nlsocket.h"

#define NFT_TABLE_STANDIN "spr-standin" /* there only while a table is rebuilt */

/* Table flags; the headers of Debian 12 have no name for the second (linux 6.9). */
#define NFT_FLAG_DORMANT 1u
#define NFT_FLAG_OWNER 2u
#define NFT_FLAG_PERSIST 4u

struct nft {
	struct nlsocket *socket;
	uint32_t port; /* the kernel's name for our socket */
	uint32_t sequence;
	int room; /* what was asked for as send buffer */
	enum nft_protection protection;
	struct nft_written written;
	struct nft_watch *watch; /* who follows what others do, or NULL */
};

/* A table that is to be there, and its flags. Returns how many. */
struct nft_table {
	const char *name;
	uint32_t flags;
};
size_t nft_tables(const struct nft *nft, const struct nft_table **ret);

/*
 * Around a large transaction of our own, of which the kernel would otherwise make a message for each element, just to throw
 * it away. What others did between the two is known by the numbers of the transactions: nft_watch_missed().
 */
void nft_watch_pause(struct nft_watch *watch);
void nft_watch_resume(struct nft_watch *watch, bool committed);

/* One transaction: messages that take effect together or not at all. */
struct nft_batch;

/* With a generation, the kernel takes it only while no other transaction came after that one; 0: whenever. */
struct nft_batch *nft_batch_new(struct nft *nft, uint32_t generation);
struct nft_batch *nft_batch_free(struct nft_batch *batch);
DEFINE_CLEANUP(struct nft_batch *, nft_batch_free)

/* What a message is about, to tell where an error belongs. The strings must live as long as the batch. */
struct nft_note {
	const char *what; /* "rule", "set" ... */
	const char *name; /* of the chain, set or table */
	const char *table;
	unsigned number; /* of a rule, from 1 */
};

/*
 * Starts a message of family inet, with room for what one rule or 60,000 bytes of attributes need; it is part of the
 * batch after nft_batch_end(). NULL without memory.
 */
struct nlmsghdr *nft_batch_begin(struct nft_batch *batch, int type, int flags, const struct nft_note *note);
void nft_batch_end(struct nft_batch *batch, const struct nlmsghdr *message);
bool nft_batch_is_empty(const struct nft_batch *batch);
/* A number for a new set, unique in the batch. */
uint32_t nft_batch_set_id(struct nft_batch *batch);

/*
 * Commits. -ERESTART: the generation is past. -EEXIST, -EBUSY (owned by another process), and what else the kernel
 * says, each with the object it was about. On any error nothing has changed.
 */
int nft_batch_send(struct nft_batch *batch, struct error *error);

/* Whether a generation is still the last one, and all who listen have heard of it. */
bool nft_batch_settled(struct nft *nft, uint32_t generation);

#endif
