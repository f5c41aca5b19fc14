/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/neighbour.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "kernel/nlsocket.h"

#define REQUEST_SIZE 128

static struct nlmsghdr *request(char *buffer, uint16_t type, unsigned interface, const struct addr *addr)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct ndmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST;
	message->ndm_family = addr->family;
	message->ndm_ifindex = (int)interface;
	mnl_attr_put(header, NDA_DST, addr_size(addr->family), addr->bytes);
	return header;
}

static int keep_state(const struct nlmsghdr *header, void *data)
{
	const struct ndmsg *message = mnl_nlmsg_get_payload(header);

	if (header->nlmsg_type == RTM_NEWNEIGH && mnl_nlmsg_get_payload_len(header) >= sizeof(*message))
		*(uint16_t *)data = message->ndm_state;
	return 0;
}

int neighbour_forget(struct nlsocket *socket, unsigned interface, const struct addr *addr, struct error *error)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8))), text[ADDR_TEXT_MAX];
	uint16_t state = NUD_NONE;
	int r = nlsocket_query(socket, request(buffer, RTM_GETNEIGH, interface, addr), keep_state, &state);

	if (r >= 0 && !(state & (NUD_PERMANENT | NUD_NOARP)))
		r = nlsocket_query(socket, request(buffer, RTM_DELNEIGH, interface, addr), NULL, NULL);
	if (r >= 0 || r == -ENOENT || r == -ENXIO || r == -ENODEV)
		return 0;
	return error_set(error, -r, "cannot forget the neighbour %s: %s", addr_text(addr, text), strerror(-r));
}
