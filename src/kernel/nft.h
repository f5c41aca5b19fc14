/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_NFT_H
#define SPR_KERNEL_NFT_H

#include "base/error.h"
#include "ruleset/ruleset.h"

/*
 * The only writer to nf_tables. It holds one netlink socket for as long as it lives (close-on-exec, never inherited):
 * with owner tables, the kernel knows us by it.
 */
struct nft;

/* How the tables are protected from others and from our own end. */
enum nft_protection {
	NFT_PERSIST, /* one table, owned and persistent: nobody else can change it, it outlives us */
	NFT_COPIES, /* the same rules twice: "spr" plain (outlives us), "spr-owned" owned (survives a flush) */
	NFT_PLAIN, /* one plain table: repaired when others change it */
};

#define NFT_TABLE "spr"
#define NFT_TABLE_OWNED "spr-owned"

/*
 * Opens the socket and finds the best protection this kernel has; `at_most` limits it (NFT_PERSIST: no limit).
 * -EPERM without CAP_NET_ADMIN, -EOPNOTSUPP without nf_tables, each with a message that says what to do.
 */
int nft_open(enum nft_protection at_most, struct nft **ret, struct error *error);
struct nft *nft_close(struct nft *nft); /* NFT_PERSIST and plain tables stay */
enum nft_protection nft_protection(const struct nft *nft);

/*
 * Brings the kernel from `from` (what it holds, NULL: nothing of ours) to `to` in one transaction, in every copy of the
 * table, but for new trees, which are made before it and which nothing leads to yet. Base chains that are in both are kept,
 * their rules replaced; sets that are in both are changed element by element. -EEXIST when a table is there that
 * `from` does not know. On any error nothing was changed.
 */
int nft_apply(struct nft *nft, const struct ruleset *from, const struct ruleset *to, struct error *error);

/*
 * Makes the kernel hold `to` whatever it holds of ours now: reads back, adopts what an earlier run left, and in one
 * transaction writes what differs. Used at start, and when others changed something. *ret_changed says whether anything
 * had to be written.
 */
int nft_repair(struct nft *nft, const struct ruleset *to, bool *ret_changed, struct error *error);

/*
 * Reads back and compares with what should be there: 0 when it is, -ENOTUNIQ with a message naming the first
 * difference when not.
 */
int nft_compare(struct nft *nft, const struct ruleset *expected, struct error *error);

/*
 * The same, of rules and elements only for what was written since the last comparison, where nobody else can change the
 * tables. Which chains and sets there are is compared in any case.
 */
int nft_compare_written(struct nft *nft, const struct ruleset *expected, struct error *error);

/* The epoch (ruleset_renew()) of what an earlier run left, the highest there is. -ENOENT: there is nothing of ours, or nothing that has one. */
int nft_epoch(struct nft *nft, uint32_t *ret, struct error *error);

/* Removes every table of ours. */
int nft_remove(struct nft *nft, struct error *error);

/*
 * Adds elements to a set whose elements live only at run time, each for `seconds` (one that is there is renewed): those of
 * `set`, which is of its name and type (set_like()), and is sorted.
 */
int nft_set_add(struct nft *nft, struct set *set, unsigned seconds, struct error *error);
/* Takes all elements out of such a set. */
int nft_set_flush(struct nft *nft, const struct set *set, struct error *error);

/* Calls `each` with the packets and bytes counted by the first counter of every chain whose name starts with prefix. */
int nft_counters(struct nft *nft, const char *prefix,
		 void (*each)(const char *chain, uint64_t packets, uint64_t bytes, void *data), void *data,
		 struct error *error);

/*
 * Follows what others do to tables: the fd is for polling; nft_watch_read() takes what is there and says whether
 * somebody else changed a table of ours, or anything was lost (ENOBUFS): then nft_repair() is due. *ret_docker_user tells of
 * changes to a chain DOCKER-USER, in whatever table.
 */
struct nft_watch;
int nft_watch_open(struct nft *nft, struct nft_watch **ret, struct error *error);
int nft_watch_fd(const struct nft_watch *watch);
bool nft_watch_missed(const struct nft_watch *watch); /* nft_watch_read() has something to say, whatever the fd does */
int nft_watch_read(struct nft_watch *watch, bool *ret_ours, bool *ret_docker_user, struct error *error);
struct nft_watch *nft_watch_close(struct nft_watch *watch);

#endif
