/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include <linux/netfilter.h>

#include "kernel/mirror.h"
#include "kernel/nlsocket.h"
#include "twin/twin_private.h"

#define ETHERNET 14
#define PREROUTING_BEGIN "prerouting-begin"
#define PREROUTING_END "prerouting-end"
#define MTU_MAX 65536
#define EVENTS_MAX 64
#define ROUNDS_MAX 16 /* a packet that waits for one neighbour after the other */
#define LATE_MS 200 /* where the kernel takes a frame later than at once */

/* One frame on its way. */
struct flight {
	struct twin *twin;
	struct twin_result *result;
	unsigned in; /* the interface it was put in at */
	uint32_t number; /* that its header carries */
	bool seen; /* a step of it, or itself */
	bool through; /* it has been through prerouting */
	struct addr asked[4]; /* neighbours that were found for it */
	size_t n_asked;
	size_t out_of; /* frames read in this round */
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* IPv4 identification, or IPv6 flow label, of what follows an Ethernet header. */
static bool number_of(uint16_t ethertype, const uint8_t *packet, size_t length, uint32_t *ret)
{
	if (ethertype == 0x0800 && length >= 20)
		*ret = get16(packet + 4);
	else if (ethertype == 0x86dd && length >= 40)
		*ret = (uint32_t)((packet[1] & 15) << 16) | get16(packet + 2);
	else
		return false;
	return true;
}

static uint16_t ethertype_of(const struct tap *tap, const uint8_t *frame)
{
	if (tap->ethernet)
		return get16(frame + 12);
	return frame[0] >> 4 == 6 ? 0x86dd : 0x0800;
}

static struct addr address_of(uint8_t family, const uint8_t *bytes)
{
	struct addr addr = { .family = family };

	memcpy(addr.bytes, bytes, addr_size(family));
	return addr;
}

/* Whether a frame asks for a neighbour, by ARP or neighbour solicitation. */
static bool asks(uint16_t ethertype, const uint8_t *packet, size_t length, struct addr *ret)
{
	if (ethertype == 0x0806 && length >= 28 && get16(packet + 6) == 1)
		*ret = address_of(AF_INET, packet + 24);
	else if (ethertype == 0x86dd && length >= 64 && packet[6] == IPPROTO_ICMPV6 && packet[40] == 135)
		*ret = address_of(AF_INET6, packet + 48);
	else
		return false;
	return true;
}

/* A MAC for a host that nobody knows, the same each time. */
static void make_mac(const struct addr *addr, uint8_t mac[6])
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < addr_size(addr->family); i++)
		hash = (hash ^ addr->bytes[i]) * 16777619u;
	memcpy(mac,
	       (uint8_t[]){ 0x02, 0x53, (uint8_t)(hash >> 24), (uint8_t)(hash >> 16), (uint8_t)(hash >> 8),
			    (uint8_t)hash },
	       6);
}

/* The neighbour is there, behind the interface that asked; the kernel then sends what waited for it. */
static void answer(struct flight *flight, const struct tap *tap, const struct addr *addr)
{
	struct twin *twin = flight->twin;
	uint8_t mac[6];

	for (size_t i = 0; i < flight->n_asked; i++)
		if (addr_compare(&flight->asked[i], addr) == 0)
			return;
	if (flight->n_asked >= ELEMENTSOF(flight->asked))
		return;
	flight->asked[flight->n_asked++] = *addr;
	make_mac(addr, mac);
	if (tap->master)
		mirror_put_port(twin->neighbours, tap->index, mac);
	mirror_put_neighbour(twin->neighbours, tap->master ? tap->master : tap->index, addr, mac);
}

static void take_frame(struct flight *flight, const struct tap *tap, const uint8_t *frame, size_t length)
{
	struct twin_result *result = flight->result;
	size_t start = tap->ethernet ? ETHERNET : 0;
	uint16_t ethertype;
	struct addr addr;
	uint32_t number;

	if (length <= start)
		return;
	ethertype = ethertype_of(tap, frame);
	if (asks(ethertype, frame + start, length - start, &addr)) {
		answer(flight, tap, &addr);
		return;
	}
	if (!number_of(ethertype, frame + start, length - start, &number) || number != flight->number ||
	    result->n_exits >= TWIN_EXITS_MAX)
		return;
	if (packet_parse(frame + start, length - start, &result->exits[result->n_exits].packet) < 0)
		return;
	result->exits[result->n_exits++].interface = tap->index;
	flight->seen = true;
}

/* iptables-legacy tells no verdict: its text has it. */
static bool accepts(const struct twin *twin, const struct trace_step *step)
{
	static const char target[] = " -j ACCEPT";
	const struct rule_text *text;
	size_t length;

	if (!step->legacy || step->kind != TRACE_RULE)
		return step->accept && strcmp(step->table, TWIN_TABLE) != 0;
	text = rule_text_find(twin->texts, twin->n_texts, step);
	length = text ? strlen(text->text) : 0;
	return length >= strlen(target) && strcmp(text->text + length - strlen(target), target) == 0;
}

static void take_step(const struct trace_step *step, void *data)
{
	struct flight *flight = data;
	struct twin_result *result = flight->result;

	flight->seen = true;
	result->step = *step;
	if (result->n_accepts < TWIN_ACCEPTS_MAX && accepts(flight->twin, step))
		result->accepts[result->n_accepts++] = *step;
	if (strcmp(step->table, TWIN_TABLE) != 0 || step->family == NFPROTO_BRIDGE)
		return;
	if (strcmp(step->chain, TWIN_LOCAL) == 0)
		result->local = true;
	if (strcmp(step->chain, PREROUTING_END) == 0)
		flight->through = true;
	/* What br_netfilter has sent through prerouting does not go through a second time: ip_sabotage_in(). */
	if (flight->through && strcmp(step->chain, PREROUTING_BEGIN) == 0)
		memcpy(result->step.chain, PREROUTING_END, sizeof(PREROUTING_END));
}

static void read_tap(struct flight *flight, const struct tap *tap)
{
	static uint8_t frame[MTU_MAX];
	ssize_t length;

	while ((length = read(tap->fd, frame, sizeof(frame))) > 0) {
		take_frame(flight, tap, frame, (size_t)length);
		flight->out_of++;
	}
}

/* Everything that is there now; false when there was nothing. */
static bool read_round(struct flight *flight)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	flight->out_of = 0;
	if (trace_read(flight->twin->trace, take_step, flight) == -ENOBUFS)
		flight->result->lost = true;
	n = epoll_wait(flight->twin->poll, events, EVENTS_MAX, 0);
	for (int i = 0; i < n; i++)
		read_tap(flight, &flight->twin->taps[events[i].data.u64]);
	return flight->out_of > 0;
}

static void collect(struct flight *flight)
{
	struct pollfd late = { trace_fd(flight->twin->trace), POLLIN, 0 };

	for (int i = 0; i < ROUNDS_MAX && read_round(flight); i++)
		;
	if (flight->seen)
		return;
	poll(&late, 1, LATE_MS);
	for (int i = 0; i < ROUNDS_MAX && read_round(flight); i++)
		;
}

static const struct tap *tap_of(const struct twin *twin, unsigned interface, const uint8_t *source)
{
	unsigned behind = mirror_port_of(twin->mirror, source);
	const struct tap *port = NULL;

	for (size_t i = 0; i < twin->n_taps; i++) {
		const struct tap *tap = &twin->taps[i];

		if (tap->index == interface || (tap->master == interface && tap->index == behind))
			return tap;
		if (tap->master == interface && !port)
			port = tap;
	}
	return port;
}

static void drain(struct twin *twin)
{
	struct twin_result ignored = { 0 };
	struct flight flight = { .twin = twin, .result = &ignored, .number = UINT32_MAX };

	for (int i = 0; i < ROUNDS_MAX && read_round(&flight); i++)
		;
}

int twin_shoot(struct twin *twin, unsigned interface, const uint8_t *frame, size_t length, struct twin_result *ret)
{
	const struct tap *tap = length > ETHERNET ? tap_of(twin, interface, frame + 6) : NULL;
	struct flight flight = { .twin = twin, .result = ret };
	size_t start;

	if (!tap)
		return -EINVAL;
	*ret = (struct twin_result){ 0 };
	if (!number_of(get16(frame + 12), frame + ETHERNET, length - ETHERNET, &flight.number))
		flight.number = UINT32_MAX;
	drain(twin);
	start = tap->ethernet ? 0 : ETHERNET;
	if (write(tap->fd, frame + start, length - start) < 0) {
		ret->end = TWIN_DOWN;
		return 0;
	}
	collect(&flight);
	if (ret->local || ret->n_exits > 0)
		ret->end = TWIN_PASSED;
	else if (ret->step.drop || ret->step.legacy)
		ret->end = TWIN_RULE;
	else
		ret->end = TWIN_KERNEL;
	return 0;
}

const char *twin_family_name(uint8_t family)
{
	static const char *const names[] = {
		[NFPROTO_INET] = "inet",     [NFPROTO_IPV4] = "ip",	  [NFPROTO_ARP] = "arp",
		[NFPROTO_NETDEV] = "netdev", [NFPROTO_BRIDGE] = "bridge", [NFPROTO_IPV6] = "ip6",
	};

	return family < ELEMENTSOF(names) && names[family] ? names[family] : "?";
}

bool twin_rule_of(const struct twin *twin, const struct trace_step *step, struct twin_rule *ret)
{
	const struct rule_text *text = step->kind == TRACE_RULE ? rule_text_find(twin->texts, twin->n_texts, step) :
								  NULL;

	if (!text)
		return false;
	*ret = (struct twin_rule){ text->family, text->table, text->chain, text->text, text->legacy };
	return true;
}

/* What the kernel itself does between the ends of our checkpoints. */
static const char *kernel_reason(const struct twin_result *result)
{
	static const struct {
		const char *chain, *reason;
	} reasons[] = {
		{ "ingress", "the kernel: it is for another MAC, or damaged" },
		{ PREROUTING_BEGIN, "the kernel, at connection tracking" },
		{ PREROUTING_END,
		  "the kernel's routing: there is no route, this machine does not forward, or its source cannot be there" },
		{ "forward-end", "the kernel: it is too large for the way out" },
		{ "postrouting-end", "nobody is there: the way out does not run, or has no neighbour" },
	};

	for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
		if (strcmp(result->step.table, TWIN_TABLE) == 0 && strcmp(result->step.chain, reasons[i].chain) == 0)
			return reasons[i].reason;
	return "the kernel";
}

char *twin_say_end(const struct twin *twin, const struct twin_result *result)
{
	const struct trace_step *step = &result->step;
	struct twin_rule rule;
	bool known = twin_rule_of(twin, step, &rule);
	const char *text = known ? rule.text : step->kind == TRACE_RULE ? "a rule" : "its policy";
	char *said = NULL;

	switch (result->end) {
	case TWIN_PASSED:
		return strdup("nobody: it passed");
	case TWIN_DOWN:
		return strdup("the interface does not run");
	case TWIN_KERNEL:
		return strdup(kernel_reason(result));
	case TWIN_RULE:
		if (asprintf(&said, "%stable %s %s, chain %s: %s", step->legacy ? "iptables-legacy, " : "",
			     twin_family_name(step->family), step->table, step->chain, text) < 0)
			return NULL;
		return said;
	}
	return NULL;
}
