/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "property.h"
#include "twin/frame.h"

/* Frames of shots. The number of a shot stands in its IP header, whatever the rest is. */

static struct frame frame_of(const struct packet *packet)
{
	return (struct frame){
		.from = packet->from,
		.to = packet->dialled,
		.proto = packet->proto,
		.hop_limit = packet->hop_limit,
		.from_port = packet->from_port,
		.to_port = packet->dialled_port,
		.icmp_type = packet->icmp_type,
		.source_routed = packet->source_routed,
	};
}

size_t shot_frame(const struct shot *shot, uint8_t *buffer)
{
	static const uint8_t outside[6] = { 2, 9, 0, 0, 0, 1 };
	struct frame frame = frame_of(&shot->packet), about;

	frame.icmp_id = shot->icmp_id;
	frame.sequence = shot->sequence;
	frame.acknowledged = shot->acknowledged;
	frame.tcp_flags = shot->tcp_flags;
	frame.number = shot->number;
	frame.bad_sum = shot->bad_sum;
	memcpy(frame.to_mac, shot->mac ? shot->mac : shot->nic->mac, sizeof(frame.to_mac));
	memcpy(frame.from_mac, outside, sizeof(frame.from_mac));
	if (shot->about) {
		about = frame_of(shot->about);
		about.icmp_id = shot->about_icmp_id;
		frame.about = &about;
	}
	return frame_build(&frame, buffer);
}
