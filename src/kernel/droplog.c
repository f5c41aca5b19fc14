/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/droplog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "kernel/drop_message.h"
#include "kernel/nlsocket.h"

#define COPY_BYTES 128 /* of a packet: enough for addresses, some extension headers, and ports */
#define ROOM (1 << 20)
#define BATCH 32 /* packets in a datagram, at most */
#define BATCH_WAIT 5 /* for a batch to fill, in 1/100 s */
#define DATAGRAMS_MAX 64 /* in one droplog_read(), so that a flood leaves time for other things */

struct droplog {
	struct nlsocket *socket;
	uint16_t group;
	void (*each)(const struct drop *drop, void *data);
	void *data;
};

DEFINE_CLEANUP(struct droplog *, droplog_close)

/* Binds the group, with everything about it in one message. */
static int droplog_bind(struct droplog *droplog)
{
	char buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	struct nfulnl_msg_config_cmd command = { .command = NFULNL_CFG_CMD_BIND };
	struct nfulnl_msg_config_mode mode = { .copy_range = htonl(COPY_BYTES), .copy_mode = NFULNL_COPY_PACKET };

	header->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	info->nfgen_family = AF_UNSPEC;
	info->version = NFNETLINK_V0;
	info->res_id = htons(droplog->group);
	mnl_attr_put(header, NFULA_CFG_CMD, sizeof(command), &command);
	mnl_attr_put(header, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(header, NFULA_CFG_QTHRESH, htonl(BATCH));
	mnl_attr_put_u32(header, NFULA_CFG_TIMEOUT, htonl(BATCH_WAIT));
	return nlsocket_query(droplog->socket, header, NULL, NULL);
}

int droplog_open(uint16_t group, void (*each)(const struct drop *drop, void *data), void *data, struct droplog **ret,
		 struct error *error)
{
	_cleanup_(droplog_closep) struct droplog *droplog = calloc(1, sizeof(*droplog));
	int r;

	if (!droplog)
		return error_memory(error);
	droplog->group = group;
	droplog->each = each;
	droplog->data = data;
	r = nlsocket_open(NETLINK_NETFILTER, &droplog->socket);
	if (r < 0)
		return error_set(error, -r, "cannot open a netfilter socket: %s", strerror(-r));
	nlsocket_room(droplog->socket, ROOM);
	r = droplog_bind(droplog);
	if (r == -EPERM || r == -EBUSY) /* EPERM is also what the kernel says of a group that is taken */
		return error_set(
			error, -r,
			"cannot read the packet log's group %u: another program reads it, or CAP_NET_ADMIN is missing",
			group);
	if (r < 0)
		return error_set(error, -r, "cannot read the packet log's group %u: %s", group, strerror(-r));
	*ret = TAKE_PTR(droplog);
	return 0;
}

struct droplog *droplog_close(struct droplog *droplog)
{
	if (!droplog)
		return NULL;
	nlsocket_close(droplog->socket);
	free(droplog);
	return NULL;
}

int droplog_fd(const struct droplog *droplog)
{
	return nlsocket_fd(droplog->socket);
}

int droplog_read(struct droplog *droplog)
{
	for (int i = 0; i < DATAGRAMS_MAX; i++) {
		const struct nlmsghdr *message;
		struct drop drop;
		int length, r;

		r = nlsocket_receive(droplog->socket, &message, &length);
		if (r == -EAGAIN)
			return 0;
		if (r == -ENOBUFS)
			continue; /* some are missing in the log, no more than that */
		if (r < 0)
			return r;
		for (; nlmessage_fits(message, length); message = mnl_nlmsg_next(message, &length))
			if (drop_message_parse(message, &drop))
				droplog->each(&drop, droplog->data);
	}
	return 0;
}
