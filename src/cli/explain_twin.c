/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "twin/frame.h"
#include "twin/twin.h"

/* The packet that sprd judged, sent into a twin of this machine. */

static bool mac_parse(const char *text, uint8_t mac[6])
{
	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
		      &mac[5]) == 6;
}

/* Without MACs it goes to the interface itself, and comes from a stranger. */
static int frame_of(const struct twin *twin, const json_t *packet, unsigned interface, struct frame *ret)
{
	struct frame frame = { .hop_limit = 64, .tcp_flags = FRAME_SYN, .from_mac = { 0x02, 0x53, 0, 0, 0, 1 } };

	if (addr_parse(json_text_of(packet, "from"), &frame.from) < 0 ||
	    addr_parse(json_text_of(packet, "to"), &frame.to) < 0)
		return -EINVAL;
	frame.proto = (uint8_t)json_integer_value(json_object_get(packet, "proto"));
	frame.to_port = (uint16_t)json_integer_value(json_object_get(packet, "port"));
	frame.icmp_type = (uint8_t)json_integer_value(json_object_get(packet, "icmp_type"));
	mac_parse(json_text_of(packet, "from_mac"), frame.from_mac);
	if (!mac_parse(json_text_of(packet, "to_mac"), frame.to_mac) &&
	    !twin_interface_mac(twin, interface, frame.to_mac))
		return -EINVAL;
	*ret = frame;
	return 0;
}

int packet_shoot(struct twin *twin, const json_t *packet, unsigned n, struct twin_result *ret, struct error *error)
{
	unsigned interface = if_nametoindex(json_text_of(packet, "in"));
	uint8_t buffer[FRAME_MAX];
	struct frame frame;
	int r = frame_of(twin, packet, interface, &frame);

	if (r >= 0) {
		frame.number = frame.icmp_id = (uint16_t)(n % UINT16_MAX + 1);
		frame.from_port = (uint16_t)(40000 + n % 20000);
		r = twin_shoot(twin, interface, buffer, frame_build(&frame, buffer), ret);
	}
	return r < 0 ? error_set(error, ENODEV, "nothing can be sent in at '%s' here", json_text_of(packet, "in")) : 0;
}

/* "it came to this machine", "it left by br-a, as 10.9.0.9 -> 172.20.0.2 port 80", or who took it. */
static char *say(const struct twin *twin, const struct twin_result *result)
{
	const struct twin_exit *out = &result->exits[0];
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], *text = NULL;
	_cleanup_free_ char *end = NULL;

	if (result->end != TWIN_PASSED) {
		end = twin_say_end(twin, result);
		return end && asprintf(&text, "dropped by %s", end) >= 0 ? text : NULL;
	}
	if (result->local)
		return strdup("accepted: it came to this machine");
	if (asprintf(&text, "accepted: it left by %s, as %s -> %s port %u", twin_interface_name(twin, out->interface),
		     addr_text(&out->packet.from, from), addr_text(&out->packet.to, to), out->packet.to_port) < 0)
		return NULL;
	return text;
}

static json_t *notes_of(const struct twin *twin)
{
	json_t *list = json_array();
	const char *const *notes;
	size_t n = twin_notes(twin, &notes);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_text(notes[i]));
	return list;
}

int explain_twin(const struct command *command, json_t *result, struct error *error)
{
	static const struct twin_options as_it_is;
	_cleanup_(twin_closep) struct twin *twin = NULL;
	bool wanted = strcmp(json_text_of(result, "verdict"), "accept") == 0, passed;
	_cleanup_free_ char *said = NULL;
	struct twin_result shot;
	int r;

	if (!command->options[OPTION_TWIN])
		return 0;
	r = twin_open(&as_it_is, &twin, error);
	if (r >= 0)
		r = packet_shoot(twin, json_object_get(result, "packet"), 0, &shot, error);
	if (r < 0)
		return r;
	said = say(twin, &shot);
	passed = shot.end == TWIN_PASSED;
	if (!said ||
	    json_object_set_new(result, "twin",
				json_pack("{s:s, s:s, s:b, s:o}", "verdict", passed ? "accept" : "drop", "sentence",
					  said, "agrees", passed == wanted, "notes", notes_of(twin))) < 0)
		return error_memory(error);
	return 0;
}
