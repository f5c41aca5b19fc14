/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/classifier.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>

#define REQUEST_SIZE 256
#define PREFERENCE 0x5350 /* of all that are there the lowest comes first */
#define HANDLE 1

static struct nlmsghdr *request(void *buffer, uint16_t type, uint16_t flags, unsigned interface, uint32_t parent)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct tcmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	message->tcm_ifindex = (int)interface;
	message->tcm_parent = parent;
	return header;
}

static uint32_t place(enum classifier_side side)
{
	return TC_H_MAKE(TC_H_CLSACT, side == CLASSIFIER_ARRIVING ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

static struct nlmsghdr *filter_request(void *buffer, uint16_t type, uint16_t flags, unsigned interface,
				       enum classifier_side side)
{
	struct nlmsghdr *header = request(buffer, type, flags, interface, place(side));
	struct tcmsg *message = mnl_nlmsg_get_payload(header);

	message->tcm_handle = HANDLE;
	message->tcm_info = TC_H_MAKE((uint32_t)PREFERENCE << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(header, TCA_KIND, "bpf");
	return header;
}

static struct nlmsghdr *qdisc_request(void *buffer, uint16_t type, uint16_t flags, unsigned interface)
{
	struct nlmsghdr *header = request(buffer, type, flags, interface, TC_H_CLSACT);
	struct tcmsg *message = mnl_nlmsg_get_payload(header);

	message->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	mnl_attr_put_strz(header, TCA_KIND, "clsact");
	return header;
}

static int look_at_kind(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct tcmsg))
		if (mnl_attr_get_type(attribute) == TCA_KIND && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
			*(bool *)data = strcmp(mnl_attr_get_str(attribute), "clsact") == 0;
	return 0;
}

int classifier_prepare(struct nlsocket *socket, unsigned interface, bool *ret_made)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	struct tcmsg *message;
	bool clsact = false;
	int r = nlsocket_query(socket, qdisc_request(buffer, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, interface), NULL,
			       NULL);

	*ret_made = r >= 0;
	if (r != -EEXIST)
		return r;
	request(buffer, RTM_GETQDISC, NLM_F_ECHO, interface, TC_H_CLSACT);
	message = mnl_nlmsg_get_payload((struct nlmsghdr *)buffer);
	message->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	r = nlsocket_query(socket, (struct nlmsghdr *)buffer, look_at_kind, &clsact);
	return r < 0 ? r : clsact ? 0 : -EEXIST;
}

int classifier_attach(struct nlsocket *socket, unsigned interface, enum classifier_side side, int program,
		      const char *name)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *header = filter_request(buffer, RTM_NEWTFILTER, NLM_F_CREATE, interface, side);
	struct nlattr *options = mnl_attr_nest_start(header, TCA_OPTIONS);

	mnl_attr_put_u32(header, TCA_BPF_FD, (uint32_t)program);
	mnl_attr_put_strz(header, TCA_BPF_NAME, name);
	mnl_attr_put_u32(header, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(header, options);
	return nlsocket_query(socket, header, NULL, NULL);
}

/* Without the interface, its qdisc or the filter, or all of tc. */
static bool is_gone(int r)
{
	return r == -ENODEV || r == -ENOENT || r == -EINVAL || r == -EOPNOTSUPP;
}

int classifier_detach(struct nlsocket *socket, unsigned interface, enum classifier_side side)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	int r = nlsocket_query(socket, filter_request(buffer, RTM_DELTFILTER, 0, interface, side), NULL, NULL);

	return is_gone(r) ? 0 : r < 0 ? r : 1;
}

static int count_filter(const struct nlmsghdr *message, void *data)
{
	*(bool *)data = *(bool *)data || message->nlmsg_type == RTM_NEWTFILTER;
	return 0;
}

int classifier_clear(struct nlsocket *socket, unsigned interface)
{
	static const enum classifier_side sides[] = { CLASSIFIER_ARRIVING, CLASSIFIER_LEAVING };
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	bool used = false;
	int r = 0;

	for (size_t i = 0; i < 2 && r >= 0; i++)
		r = nlsocket_query(socket, request(buffer, RTM_GETTFILTER, NLM_F_DUMP, interface, place(sides[i])),
				   count_filter, &used);
	if (r >= 0 && !used)
		r = nlsocket_query(socket, qdisc_request(buffer, RTM_DELQDISC, 0, interface), NULL, NULL);
	return is_gone(r) ? 0 : r;
}

int classifier_sweep(struct nlsocket *socket, unsigned interface)
{
	int arriving = classifier_detach(socket, interface, CLASSIFIER_ARRIVING);
	int leaving = classifier_detach(socket, interface, CLASSIFIER_LEAVING);

	if (arriving < 0 || leaving < 0)
		return arriving < 0 ? arriving : leaving;
	return arriving || leaving ? classifier_clear(socket, interface) : 0;
}
