/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "kernel/nlsocket.h"
#include "kernel/sysctl.h"
#include "kernel/trace_message.h"

#define ROOM (16 << 20) /* one packet may have some hundred steps */
#define LEGACY_GROUP 0 /* where the kernel sends the steps of iptables-legacy */
#define LEGACY_LOGGER "nfnetlink_log"

/* Both kinds of messages by one socket, so that their order is that of the packet's way. */
struct trace {
	struct nlsocket *socket;
	bool legacy;
};

DEFINE_CLEANUP(struct trace *, trace_close)

/* nfnetlink_log shall hand over each message at once, without the packet. */
static int bind_legacy(struct nlsocket *socket)
{
	char buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	struct nfulnl_msg_config_cmd command = { .command = NFULNL_CFG_CMD_BIND };
	struct nfulnl_msg_config_mode mode = { .copy_mode = NFULNL_COPY_META };

	header->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	info->nfgen_family = AF_UNSPEC;
	info->version = NFNETLINK_V0;
	info->res_id = htons(LEGACY_GROUP);
	mnl_attr_put(header, NFULA_CFG_CMD, sizeof(command), &command);
	mnl_attr_put(header, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(header, NFULA_CFG_QTHRESH, htonl(1));
	return nlsocket_query(socket, header, NULL, NULL);
}

int trace_open(struct trace **ret, struct error *error)
{
	_cleanup_(trace_closep) struct trace *trace = calloc(1, sizeof(*trace));
	int r;

	if (!trace)
		return error_memory(error);
	r = nlsocket_open(NETLINK_NETFILTER, &trace->socket);
	if (r >= 0)
		r = nlsocket_join(trace->socket, NFNLGRP_NFTRACE);
	if (r < 0)
		return error_set(error, -r, "cannot trace packets: %s", strerror(-r));
	nlsocket_room(trace->socket, ROOM);
	trace->legacy = bind_legacy(trace->socket) >= 0 && sysctl_write("net/netfilter/nf_log/2", LEGACY_LOGGER) >= 0;
	if (trace->legacy)
		sysctl_write("net/netfilter/nf_log/10", LEGACY_LOGGER);
	*ret = TAKE_PTR(trace);
	return 0;
}

struct trace *trace_close(struct trace *trace)
{
	if (!trace)
		return NULL;
	nlsocket_close(trace->socket);
	free(trace);
	return NULL;
}

int trace_fd(const struct trace *trace)
{
	return nlsocket_fd(trace->socket);
}

bool trace_has_legacy(const struct trace *trace)
{
	return trace->legacy;
}

int trace_read(struct trace *trace, void (*each)(const struct trace_step *step, void *data), void *data)
{
	for (;;) {
		const struct nlmsghdr *message;
		struct trace_step step;
		int length, r;

		r = nlsocket_receive(trace->socket, &message, &length);
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		for (; nlmessage_fits(message, length); message = mnl_nlmsg_next(message, &length))
			if (trace_message_parse(message, &step))
				each(&step, data);
	}
}
