/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "property.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define ECE 0x40

double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static bool is_six(const struct packet *packet)
{
	return packet->from.family == AF_INET6;
}

/* What the connection table makes of a first packet: see nf_conntrack_proto_{tcp,icmp,icmpv6}.c of the kernel. */
static enum flow_state first_state(const struct shot *shot)
{
	uint8_t type = shot->packet.icmp_type, flags = shot->tcp_flags & (FIN | SYN | RST | ACK);

	if (shot->bad_sum)
		return FLOW_INVALID;
	switch (shot->packet.proto) {
	case IPPROTO_TCP:
		return flags == SYN || flags == ACK ? FLOW_NONE : FLOW_INVALID;
	case IPPROTO_ICMP:
		return type == 8 || type == 13 || type == 15 || type == 17 ? FLOW_NONE : FLOW_INVALID;
	case IPPROTO_ICMPV6:
		return type == 128 || (type >= 130 && type <= 136) || type == 143 ? FLOW_NONE : FLOW_INVALID;
	default:
		return FLOW_NONE;
	}
}

static bool is_own(const struct scene *scene, const struct addr *addr)
{
	for (size_t i = 0; i < scene->inventory->n_interfaces; i++)
		for (size_t k = 0; k < scene->inventory->interfaces[i].n_addresses; k++)
			if (addr_compare(&scene->inventory->interfaces[i].addresses[k].addr, addr) == 0)
				return true;
	return false;
}

/* The engine's NAT. A link-local address of another interface is none of ours on this link. */
static void translate(const struct scene *scene, struct packet *packet)
{
	const char *out = scene_route(scene, &packet->dialled, packet->in);
	bool local = has_ports(packet->proto) && out && !out[0] && is_own(scene, &packet->dialled);

	for (size_t i = 0; i < scene->n_forwards && local; i++) {
		const struct forward *forward = &scene->forwards[i];

		if (forward->binding.proto != packet->proto || forward->binding.host_port != packet->dialled_port ||
		    forward->binding.host.family != packet->dialled.family || strcmp(forward->bridge, packet->in) == 0)
			continue;
		if (!addr_is_any(&forward->binding.host) && addr_compare(&forward->binding.host, &packet->dialled) != 0)
			continue;
		packet->to = forward->to;
		packet->to_port = forward->binding.container_port;
		return;
	}
}

static bool is_broadcast(const struct scene *scene, const struct addr *addr)
{
	for (size_t i = 0; i < scene->n_nics; i++) {
		struct prefix prefix;
		struct range range;

		MUST(prefix_parse(scene->nics[i].subnet4, &prefix) == 0);
		range = prefix_range(&prefix);
		if (prefix.length < 31 && addr_compare(&range.last, addr) == 0)
			return true;
	}
	return false;
}

/* Whether the kernel may drop it without asking us: between our first chains and the later ones, or before any. */
static bool is_refused(const struct scene *scene, const struct packet *packet, const char *out)
{
	const struct addr *from = &packet->from, *to = &packet->dialled;

	if (!out || addr_is_loopback(to) || addr_is_loopback(from))
		return true;
	if (!is_six(packet))
		return addr_is_any(from) || from->bytes[0] >> 4 == 14 || from->bytes[0] == 255 ||
		       is_broadcast(scene, from) || is_own(scene, from);
	if (from->bytes[0] == 0xff)
		return true;
	return out[0] && (addr_is_any(from) || addr_is_link_local(from)); /* RFC 4291, 2.5.2 and 2.5.6 */
}

/* Fills in what follows from the packet itself. */
static void finish(struct shot *shot, const struct scene *scene)
{
	struct packet *packet = &shot->packet;
	const char *out = scene_route(scene, &packet->to, packet->in);

	packet->tcp_flags = shot->tcp_flags;
	shot->lost = is_refused(scene, packet, out);
	packet->out = out ? out : "";
}

static uint16_t random_port(const struct scene *scene)
{
	static const uint16_t some[] = { 22, 53, 53, 67, 68, 80, 443, 546, 547, 8080, 8001, 445, 9999 };
	const struct forward *forward;

	if (scene->n_forwards == 0 || random_percent(45))
		return RANDOM_OF(some);
	if (random_percent(20))
		return (uint16_t)(8000 + random_below(80));
	forward = &scene->forwards[random_below((uint32_t)scene->n_forwards)];
	return random_percent(60) ? forward->binding.host_port : forward->binding.container_port;
}

/* Somebody who is where the packet comes in. */
static struct addr neighbour(const struct scene *scene, const struct nic *nic, uint8_t family)
{
	struct addr addr = scene_addr(scene, family);

	for (int i = 0; i < 60; i++) {
		const char *way = scene_route(scene, &addr, nic->name);

		if (way && strcmp(way, nic->name) == 0)
			break;
		addr = scene_addr(scene, family);
	}
	return addr;
}

static uint16_t fresh(void)
{
	static uint16_t last = 1024;

	last = last == UINT16_MAX ? 1025 : (uint16_t)(last + 1);
	return last;
}

static void choose_proto(struct shot *shot, const struct scene *scene)
{
	static const uint8_t protos[] = { 47, 50, 99, 2, 4 };
	static const uint8_t flags[] = { ACK, ACK | PSH, SYN | ACK, FIN | ACK, RST, 0, SYN | FIN, SYN | ECE, FIN };
	static const uint8_t types4[] = { 8, 8, 8, 8, 0, 3, 4, 5, 11, 12, 13, 17, 40 };
	static const uint8_t types6[] = { 128, 128, 128, 128, 129, 1,	2,   4,	  130,
					  131, 132, 133, 134, 135, 136, 137, 143, 200 };
	struct packet *packet = &shot->packet;
	unsigned choice = random_below(100);

	packet->proto = choice < 45 ? IPPROTO_TCP : choice < 78 ? IPPROTO_UDP : RANDOM_OF(protos);
	if (choice >= 78 && choice < 93)
		packet->proto = is_six(packet) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	if (packet->proto == IPPROTO_ICMP)
		packet->icmp_type = RANDOM_OF(types4);
	else if (packet->proto == IPPROTO_ICMPV6)
		packet->icmp_type = RANDOM_OF(types6);
	else if (packet->proto == IPPROTO_TCP)
		shot->tcp_flags = random_percent(80) ? SYN : RANDOM_OF(flags);
	shot->icmp_id = fresh();
	shot->sequence = random_below(UINT32_MAX);
	if (has_ports(packet->proto)) {
		shot->packet.from_port = fresh();
		shot->packet.dialled_port = random_port(scene);
	}
}

/* What goes without unique ports. */
static void choose_odd(struct shot *shot)
{
	struct packet *packet = &shot->packet;

	switch (random_below(5)) {
	case 0:
		if (!is_six(packet)) {
			packet->from = address(random_percent(50) ? "0.0.0.0" : "10.5.6.7");
			packet->dialled = address("255.255.255.255");
		}
		packet->proto = IPPROTO_UDP;
		packet->from_port = is_six(packet) ? 546 : 68;
		packet->dialled_port = is_six(packet) ? 547 : 67;
		break;
	case 1:
		packet->proto = IPPROTO_UDP;
		packet->from_port = is_six(packet) ? 547 : 67;
		packet->dialled_port = is_six(packet) ? 546 : 68;
		break;
	case 2:
		packet->dialled = is_six(packet) ? address("ff02::1") : address("224.0.0.1");
		break;
	case 3:
		packet->source_routed = true;
		break;
	case 4:
		shot->bad_sum = has_ports(packet->proto) || packet->proto == IPPROTO_ICMP ||
				packet->proto == IPPROTO_ICMPV6;
		break;
	}
}

/* Whether an earlier packet shares everything that the connection table knows this one by, either way round. */
static bool is_known(const struct packet *packet, const struct packet *other)
{
	bool same = addr_compare(&packet->from, &other->from) == 0 &&
		    addr_compare(&packet->dialled, &other->dialled) == 0;
	bool back = addr_compare(&packet->from, &other->to) == 0 && addr_compare(&packet->dialled, &other->from) == 0;

	return packet->proto == other->proto && (same || back);
}

static bool is_fresh(const struct packet *packet, const struct flows *flows)
{
	if (has_ports(packet->proto) && packet->from_port > 1024)
		return true;
	if (packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6)
		return true;
	for (size_t i = 0; i < flows->n_odd; i++)
		if (is_known(packet, &flows->odd[i]))
			return false;
	return true;
}

/* The machine's address where the packet comes in. */
static struct addr own_addr(const struct nic *nic, uint8_t family)
{
	struct prefix own;

	if (family == AF_INET6 && !nic->subnet6[0])
		return (struct addr){ AF_INET6, { 0xfe, 0x80, [15] = nic->mac[5] } };
	MUST(prefix_parse(family == AF_INET6 ? nic->subnet6 : nic->subnet4, &own) == 0);
	return own.addr;
}

static bool make_first(struct shot *shot, const struct scene *scene, struct flows *flows)
{
	const struct nic *nic = &scene->nics[random_below((uint32_t)scene->n_nics)];
	uint8_t family = random_percent(55) ? AF_INET : AF_INET6;
	struct packet *packet = &shot->packet;

	*shot = (struct shot){ .nic = nic, .flow = NO_FLOW };
	packet->in = nic->name;
	packet->from = random_percent(75) ? neighbour(scene, nic, family) : scene_addr(scene, family);
	packet->dialled = random_percent(15) ? own_addr(nic, family) : scene_addr(scene, family);
	packet->hop_limit = random_percent(50) ? 255 : 64;
	choose_proto(shot, scene);
	if (random_percent(8))
		choose_odd(shot);
	packet->to = packet->dialled;
	packet->to_port = packet->dialled_port;
	if (!is_fresh(packet, flows) || addr_compare(&packet->from, &packet->dialled) == 0)
		return false;
	packet->flow = first_state(shot);
	if (packet->flow == FLOW_NONE)
		translate(scene, packet);
	finish(shot, scene);
	if (!has_ports(packet->proto) || packet->from_port <= 1024) {
		struct packet *odd = ARRAY_ADD(flows->odd, flows->n_odd);

		MUST(odd);
		*odd = *packet;
	}
	return true;
}

static void make_original(struct shot *shot, const struct scene *scene, const struct flow *flow)
{
	shot->packet = flow->first;
	shot->packet.flow = FLOW_ORIGINAL;
	shot->nic = scene_nic(scene, flow->first.in);
	shot->icmp_id = flow->icmp_id;
	shot->tcp_flags = flow->replied ? ACK : SYN;
	shot->sequence = flow->sequence + flow->replied;
	shot->acknowledged = flow->replied ? flow->sequence + 1000001 : 0;
}

static void make_reply(struct shot *shot, const struct scene *scene, const struct flow *flow)
{
	const struct packet *first = &flow->first;
	struct packet *packet = &shot->packet;

	*packet = *first;
	shot->nic = scene_nic(scene, first->out);
	packet->from = first->to;
	packet->dialled = flow->wire_from;
	packet->to = first->from;
	packet->from_port = first->to_port;
	packet->dialled_port = flow->wire_port;
	packet->to_port = first->from_port;
	packet->icmp_type = packet->proto == IPPROTO_ICMP ? 0 : packet->proto == IPPROTO_ICMPV6 ? 129 : 0;
	packet->flow = FLOW_REPLY;
	packet->opened = first->dialled;
	packet->opened_port = first->dialled_port;
	shot->icmp_id = flow->icmp_id;
	shot->tcp_flags = flow->replied ? ACK : SYN | ACK;
	shot->sequence = flow->sequence + 1000000 + flow->replied;
	shot->acknowledged = flow->sequence + 1;
	shot->reply = true;
}

/* An ICMP error about the flow's first side, or about its replies. */
static void make_error(struct shot *shot, const struct scene *scene, const struct flow *flow)
{
	bool about_reply = shot->later == LATER_ERROR_BACK;
	const struct packet *first = &flow->first;
	static struct packet quotes[VOLLEY_MAX];
	static size_t last;
	struct packet *packet = &shot->packet, *quote = &quotes[last = (last + 1) % VOLLEY_MAX];

	*packet = *quote = *first;
	shot->nic = scene_nic(scene, about_reply ? first->in : first->out);
	shot->about_icmp_id = flow->icmp_id;
	shot->about = quote;
	if (about_reply) {
		quote->from = first->dialled;
		quote->from_port = first->dialled_port;
		quote->dialled = first->from;
		quote->dialled_port = first->from_port;
		quote->icmp_type = first->proto == IPPROTO_ICMP ? 0 : 129;
		packet->from = first->from;
	} else {
		quote->from = flow->wire_from;
		quote->from_port = flow->wire_port;
		quote->dialled = first->to;
		quote->dialled_port = first->to_port;
		packet->from = first->to;
		packet->dialled = flow->wire_from;
		packet->to = first->from;
	}
	packet->proto = is_six(first) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	packet->icmp_type = shot->error_type;
	packet->from_port = packet->dialled_port = packet->to_port = 0;
	packet->flow = FLOW_ERROR;
}

static void choose_error(struct shot *shot, const struct scene *scene, const struct flow *flow)
{
	static const uint8_t types4[] = { 3, 3, 11, 12, 4, 5 }, types6[] = { 1, 2, 3, 4 };
	const char *in = shot->later == LATER_ERROR_BACK ? flow->first.in : flow->first.out;

	shot->error_type = is_six(&flow->first) ? RANDOM_OF(types6) : RANDOM_OF(types4);
	if (random_percent(30))
		shot->stray = neighbour(scene, scene_nic(scene, in), flow->first.from.family);
}

/* A later packet of a flow from what was chosen about it; `nic`: by another way than its own. */
static void later_fill(struct shot *shot, const struct scene *scene, const struct flow *flow, const struct nic *nic)
{
	uint8_t hop_limit = shot->packet.hop_limit;

	if (shot->later == LATER_ORIGINAL)
		make_original(shot, scene, flow);
	else if (shot->later == LATER_REPLY)
		make_reply(shot, scene, flow);
	else
		make_error(shot, scene, flow);
	if (shot->stray.family)
		shot->packet.from = shot->stray;
	if (nic)
		shot->nic = nic;
	shot->packet.in = shot->nic->name;
	shot->packet.hop_limit = hop_limit;
	finish(shot, scene);
	/* the kernel's NAT refuses redirects of what it translated: nf_nat_icmp_reply_translation() */
	shot->lost |= shot->packet.icmp_type == 5 && (addr_compare(&flow->first.dialled, &flow->first.to) != 0 ||
						      addr_compare(&flow->first.from, &flow->wire_from) != 0);
}

static bool make_later(struct shot *shot, const struct scene *scene, struct flows *flows)
{
	size_t i = flows->n_flows ? random_below((uint32_t)flows->n_flows) : 0;
	struct flow *flow = flows->n_flows ? &flows->flows[i] : NULL;
	bool outside = flow && flow->first.out[0];
	unsigned choice = random_below(100);

	if (!flow || flow->used == flows->volley || now() - flow->born > 60)
		return false;
	*shot = (struct shot){ .flow = i };
	if (choice < 45 && outside)
		shot->later = LATER_REPLY;
	else if (choice < 60 && outside)
		shot->later = LATER_ERROR;
	else if (choice < 75 && flow->replied && !flow->local)
		shot->later = LATER_ERROR_BACK;
	else if (!flow->local)
		shot->later = LATER_ORIGINAL;
	else
		return false;
	if (shot->later == LATER_ERROR || shot->later == LATER_ERROR_BACK)
		choose_error(shot, scene, flow);
	shot->packet.hop_limit = random_percent(50) ? 255 : 64;
	later_fill(shot, scene, flow, random_percent(8) ? &scene->nics[random_below((uint32_t)scene->n_nics)] : NULL);
	flow->used = flows->volley;
	return true;
}

bool shot_again(struct shot *shot, const struct scene *scene, const struct flows *flows, const char *nic)
{
	shot->nic = scene_nic(scene, nic);
	if (!shot->nic)
		return false;
	if (shot->later) {
		const struct flow *flow = &flows->flows[shot->flow];

		if (!scene_nic(scene, flow->first.in) && !flow->local)
			return false;
		if (shot->later != LATER_ORIGINAL && shot->later != LATER_ERROR_BACK &&
		    !scene_nic(scene, flow->first.out))
			return false;
		later_fill(shot, scene, flow, shot->nic);
		return true;
	}
	shot->packet.in = shot->nic->name;
	shot->packet.to = shot->packet.dialled;
	shot->packet.to_port = shot->packet.dialled_port;
	if (shot->packet.flow == FLOW_NONE)
		translate(scene, &shot->packet);
	finish(shot, scene);
	return true;
}

void shot_make(struct shot *shot, const struct scene *scene, struct flows *flows)
{
	if (random_percent(30) && make_later(shot, scene, flows))
		return;
	while (!make_first(shot, scene, flows))
		;
}

/* Remembers what made an entry in the connection table that later packets can be of. */
void flows_note(struct flows *flows, const struct scene *scene, const struct shot *shot)
{
	const struct packet *packet = &shot->packet;
	bool icmp = packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6;
	struct flow *flow;

	if (shot->flow != NO_FLOW) {
		if (shot->reply)
			flows->flows[shot->flow].replied = true;
		return;
	}
	if (packet->flow != FLOW_NONE || (icmp && packet->icmp_type != 8 && packet->icmp_type != 128) ||
	    (packet->proto == IPPROTO_TCP && shot->tcp_flags != SYN) ||
	    (!packet->out[0] && !is_own(scene, &packet->to)))
		return;
	flow = ARRAY_ADD(flows->flows, flows->n_flows);
	MUST(flow);
	*flow = (struct flow){ .first = *packet, .icmp_id = shot->icmp_id, .sequence = shot->sequence, .born = now() };
	flow->wire_from = shot->left_from.family ? shot->left_from : packet->from;
	flow->wire_port = shot->left_from.family ? shot->left_port : packet->from_port;
	flow->used = flows->volley;
	flow->opener = shot->id;
}

void shot_print(const struct shot *shot, FILE *file)
{
	static const char *const states[] = { "none", "original", "reply", "error", "invalid" };
	char from[ADDR_TEXT_MAX], dialled[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
	const struct packet *packet = &shot->packet;

	fprintf(file, "packet: %s -> '%s' proto %u, %s:%u -> %s:%u (after NAT %s:%u)\n", packet->in, packet->out,
		packet->proto, addr_text(&packet->from, from), packet->from_port, addr_text(&packet->dialled, dialled),
		packet->dialled_port, addr_text(&packet->to, to), packet->to_port);
	fprintf(file, "  flow %s, tcp flags %02x, icmp type %u, hop limit %u%s%s%s\n", states[packet->flow],
		shot->tcp_flags, packet->icmp_type, packet->hop_limit, packet->source_routed ? ", source-routed" : "",
		shot->bad_sum ? ", bad checksum" : "", shot->lost ? ", may be lost" : "");
	fprintf(file, "  kernel: %s %s (out %u)\n",
		shot->fate == FATE_PASSED  ? "passed" :
		shot->fate == FATE_DROPPED ? "dropped" :
					     "vanished",
		shot->reason, shot->out);
	fprintf(file, "  verdict: %s %s%s\n", shot->expected.accept ? "accept" : "drop",
		reason_info(shot->expected.reason)->id, shot->expected.left_alone ? ", left alone" : "");
}
