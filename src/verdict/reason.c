/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/reason.h"

#include <string.h>

static const struct reason_info reasons[_REASON_MAX] = {
	[REASON_NONE] = { "accept", "The policy allows it.", NULL },
	[REASON_LOOPBACK] = { "loopback", "A loopback address came in from outside this machine.", NULL },
	[REASON_SOURCE_ROUTE] = { "source-route", "The packet carries a source route.", NULL },
	[REASON_BROADCAST] = { "broadcast", "It is a broadcast to the network of another interface.", NULL },
	[REASON_SPOOFED] = { "spoofed", "The way back to its source is another interface.",
			     "see `ip route get FROM`; give the interface that leads there a role" },
	[REASON_UNKNOWN_SOURCE] = { "unknown-source", "Nothing that spr knows has this address on this interface.",
				    "`spr list containers` shows what is known; `spr list interfaces` what has a role" },
	[REASON_DISABLED] = { "disabled", "Its source or target is disabled or in quarantine.",
			      "spr revoke FROM disabled quarantine" },
	[REASON_OTHER_INTERFACE] = { "other-interface",
				     "The address belongs to another interface of this machine than the one it came in by.",
				     "use the address of the interface the client is behind" },
	[REASON_ENDED] = { "ended", "It belongs to a flow that the policy does not allow, or no longer does.", NULL },
	[REASON_INVALID] = { "invalid", "It belongs to no flow and opens none.", NULL },
	[REASON_NO_FLOW] = { "no-flow", "TCP in the middle of a connection that was never opened here.", NULL },
	[REASON_UNKNOWN_TARGET] = { "unknown-target", "Nothing that spr knows has the target address there.",
				    "`spr list containers` shows what is known" },
	[REASON_BLOCKED] = { "blocked", "A block rule names it.", "spr block FROM TO --remove" },
	[REASON_NO_GRANT] = { "no-grant", "No group, policy, allow or publish opens it.", "spr allow FROM TO:PORT" },
	[REASON_FLOW_LIMIT] = { "flow-limit", "Its source has as many flows open as the settings allow.",
				"raise settings.connections in the policy" },
	[REASON_LOCAL_USER] = { "local-user", "Only root of this machine may reach containers (local_users: root).",
				"set settings.local_users to all in the policy" },
};

const struct reason_info *reason_info(enum reason reason)
{
	return &reasons[reason];
}

enum reason reason_from_id(const char *id)
{
	for (int i = 0; i < _REASON_MAX; i++)
		if (strcmp(reasons[i].id, id) == 0)
			return (enum reason)i;
	return _REASON_INVALID;
}
