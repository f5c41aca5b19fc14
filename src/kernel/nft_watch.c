/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "kernel/nft_read.h"
#include "ruleset/docker_user.h"

#define ROOM (8 << 20)
#define PAUSE_TRIES 3

struct nft_watch {
	struct nft *nft;
	struct nlsocket *socket;
	uint32_t port; /* of the socket whose changes are ours */
	uint32_t generation; /* when it was paused */
	bool deaf; /* not in the group: paused, or it failed to go on */
	bool missed; /* somebody may have changed anything, unheard */
};

/*
 * Our own transactions are not even queued: a large one would fill the buffer. The kernel packs several messages into
 * one datagram only where they are of one transaction, and the sender's port of a message is in its header.
 */
static int watch_filter(struct nft_watch *watch)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(watch->port), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	const struct sock_fprog program = { .len = ELEMENTSOF(code), .filter = code };

	return setsockopt(nlsocket_fd(watch->socket), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ?
		       -errno :
		       0;
}

int nft_watch_open(struct nft *nft, struct nft_watch **ret, struct error *error)
{
	struct nft_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return error_memory(error);
	watch->port = nft->port;
	r = nlsocket_open(NETLINK_NETFILTER, &watch->socket);
	if (r == 0) {
		nlsocket_room(watch->socket, ROOM);
		r = watch_filter(watch);
	}
	if (r == 0)
		r = nlsocket_join(watch->socket, NFNLGRP_NFTABLES);
	if (r < 0) {
		nft_watch_close(watch);
		return error_set(error, -r, "cannot follow changes of nftables: %s", strerror(-r));
	}
	watch->nft = nft;
	nft->watch = watch;
	*ret = watch;
	return 0;
}

struct nft_watch *nft_watch_close(struct nft_watch *watch)
{
	if (!watch)
		return NULL;
	if (watch->nft)
		watch->nft->watch = NULL;
	nlsocket_close(watch->socket);
	free(watch);
	return NULL;
}

int nft_watch_fd(const struct nft_watch *watch)
{
	return nlsocket_fd(watch->socket);
}

static void watch_listen(struct nft_watch *watch)
{
	if (watch->deaf && nlsocket_join(watch->socket, NFNLGRP_NFTABLES) == 0)
		watch->deaf = false;
}

/*
 * A transaction has its number before anybody hears what is in it: who asks for the number meanwhile, and leaves, would take
 * for heard what he has not heard. While others write all the time, it just goes on to listen.
 */
void nft_watch_pause(struct nft_watch *watch)
{
	bool settled = false;

	for (int i = 0; i < PAUSE_TRIES && !settled; i++)
		settled = nft_generation(watch->nft, &watch->generation) == 0 &&
			  nft_batch_settled(watch->nft, watch->generation);
	if (settled && nlsocket_leave(watch->socket, NFNLGRP_NFTABLES) == 0)
		watch->deaf = true;
}

void nft_watch_resume(struct nft_watch *watch, bool committed)
{
	uint32_t generation;

	if (!watch->deaf)
		return;
	watch_listen(watch);
	if (watch->deaf || nft_generation(watch->nft, &generation) < 0 || generation != watch->generation + committed)
		watch->missed = true;
}

bool nft_watch_missed(const struct nft_watch *watch)
{
	return watch->missed && !watch->deaf;
}

static bool is_ours(const struct nlmsghdr *message, const char *table)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);

	return head->nfgen_family == NFPROTO_INET &&
	       (strcmp(table, NFT_TABLE) == 0 || strcmp(table, NFT_TABLE_OWNED) == 0 ||
		strcmp(table, NFT_TABLE_STANDIN) == 0);
}

/* What a message is about, as far as it says so; messages about no table name none. */
struct about {
	const char *table, *chain;
	uint16_t chain_type; /* of the attribute with the chain's name; 0: it is about no chain */
};

/* The table's name has the same number for every kind of object. */
static int take_name(const struct nlattr *attr, void *data)
{
	struct about *about = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type != NFTA_TABLE_NAME && type != about->chain_type)
		return MNL_CB_OK;
	if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0)
		return MNL_CB_ERROR;
	if (type == NFTA_TABLE_NAME)
		about->table = mnl_attr_get_str(attr);
	else
		about->chain = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static uint16_t chain_attribute(int type)
{
	switch (type) {
	case NFT_MSG_NEWRULE:
	case NFT_MSG_DELRULE:
		return NFTA_RULE_CHAIN;
	case NFT_MSG_NEWCHAIN:
	case NFT_MSG_DELCHAIN:
		return NFTA_CHAIN_NAME;
	default:
		return 0;
	}
}

static void watch_take(const struct nft_watch *watch, const struct nlmsghdr *message, bool *ours, bool *docker_user)
{
	struct about about = { .chain_type = chain_attribute(NFNL_MSG_TYPE(message->nlmsg_type)) };

	if (message->nlmsg_pid == watch->port || NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    NFNL_MSG_TYPE(message->nlmsg_type) == NFT_MSG_NEWGEN ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return;
	mnl_attr_parse(message, sizeof(struct nfgenmsg), take_name, &about);
	if (about.table && is_ours(message, about.table))
		*ours = true;
	else if (about.chain && strcmp(about.chain, DOCKER_USER_CHAIN) == 0)
		*docker_user = true;
}

int nft_watch_read(struct nft_watch *watch, bool *ret_ours, bool *ret_docker_user, struct error *error)
{
	bool ours = false, docker_user = false;

	watch_listen(watch);
	for (;;) {
		const struct nlmsghdr *message;
		int length, r = nlsocket_receive(watch->socket, &message, &length);

		if (r == -EAGAIN)
			break;
		if (r == -ENOBUFS) { /* what is lost may have been about anything */
			ours = docker_user = true;
			continue;
		}
		if (r < 0)
			return error_set(error, -r, "cannot follow changes of nftables: %s", strerror(-r));
		for (; mnl_nlmsg_ok(message, length); message = mnl_nlmsg_next(message, &length))
			watch_take(watch, message, &ours, &docker_user);
	}
	/* What one table is that only we may change, nobody else has changed. */
	*ret_ours = ours || (watch->missed && nft_protection(watch->nft) != NFT_PERSIST);
	*ret_docker_user = docker_user || watch->missed;
	watch->missed = watch->deaf;
	return 0;
}
