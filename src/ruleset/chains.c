/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "ruleset/compile.h"
#include "ruleset/stmt.h"
#include "verdict/model.h"

/*
 * The way of a packet:
 *
 *   guard    prerouting -310  who sent it: loopback, source routes, reverse path, a container's bridge and address
 *   arrival  prerouting -150  strong host: only at the address of the interface it came in by
 *   forward  forward -10      judged by class, what the opener sends and what comes back, by what is granted now
 *   input    input -10        the same for this machine and for what the engine's proxy publishes on it
 *   leave    postrouting -310 local users; the accept bit is cleared
 *   source-ports  at postrouting 90, before Docker's NAT: source ports clear of the services of this machine
 *
 * meta priority carries a class number inside our own chains only, and is what it was when a packet leaves them. The accept
 * bit says there that a packet comes back, from who answers to who opened the flow.
 */

#define PRIORITY_GUARD -310
#define PRIORITY_ARRIVAL -150
#define PRIORITY_JUDGE -10
#define PRIORITY_LEAVE -310
#define PRIORITY_NAT 90

#define PASSED_MAX 65536 /* connections that are known as let through; others are judged each time */

#define LOG_RATE 100 /* a second, of one reason */
#define LOG_RATE_SOURCE 5 /* of these, of one source */
#define LOG_RATE_REST 20 /* of sources for which there is no room */

#define NO_SYN_MASK 0x17 /* fin, syn, rst, ack */
#define SYN 0x02
#define DIALLED(set, address) PRIORITY_MAP(set, OIFNAME, address, L4PROTO, TH_DPORT, CT_PROTO_DST)
#define DIALLED_BACK(set, address) PRIORITY_MAP(set, IIFNAME, address, L4PROTO, TH_SPORT, CT_PROTO_DST)
#define CT_INVALID 1
#define CT_ESTABLISHED 2
#define CT_RELATED 4
#define CT_NEW 8
#define CT_REPLY 1
#define CT_ORIGINAL 0
#define NONE 0

static const struct chain_text {
	const char *chain;
	struct stmt stmts[8];
} texts[] = {
	{ "guard", { NAME(IIFNAME, "lo"), ACCEPT } },
	{ "guard", { IPV4, NET4(IP_DADDR, 127, 8), GOTO("drop-loopback") } },
	{ "guard", { IPV4, NET4(IP_SADDR, 127, 8), GOTO("drop-loopback") } },
	{ "guard", { IPV4, MASKED_NOT(IP_VIHL, 0x0f, 5), JUMP("guard-options") } },
	{ "guard", { IPV6, JUMP("guard-ipv6") } },
	{ "guard", { VMAP("entrances", IIFNAME) } },
	{ "guard", { GOTO("guard-other") } },

	{ "guard-options", { IPV4, IS(IP_LSRR, 1), GOTO("drop-source-route") } },
	{ "guard-options", { IPV4, IS(IP_SSRR, 1), GOTO("drop-source-route") } },

	/* what a host sends before it has an address, and what never leaves its link */
	{ "guard-unaddressed",
	  { IPV4, ANY4(IP_SADDR), PROTO(IPPROTO_UDP), IS(TH_SPORT, 68), IS(TH_DPORT, 67), ACCEPT } },

	{ "guard-ipv6", { IPV6, LOOPBACK6(IP6_DADDR), GOTO("drop-loopback") } },
	{ "guard-ipv6", { IPV6, LOOPBACK6(IP6_SADDR), GOTO("drop-loopback") } },
	{ "guard-ipv6", { IPV6, IS(RT_TYPE, 0), GOTO("drop-source-route") } },
	{ "guard-ipv6", { IPV6, ANY6(IP6_SADDR), PROTO(IPPROTO_ICMPV6), IN("unaddressed", ICMPV6_TYPE), ACCEPT } },
	{ "guard-ipv6", { IPV6, LINK_LOCAL6(IP6_SADDR), ACCEPT } },

	{ "guard-uplink", { IPV4, ANY4(IP_SADDR), JUMP("guard-unaddressed") } },
	{ "guard-uplink", { NOT_IN("uplinks", FIB_SADDR_OIF), GOTO("drop-spoofed") } },
	{ "guard-uplink", { ACCEPT } },

	{ "guard-other", { IPV4, ANY4(IP_SADDR), JUMP("guard-unaddressed") } },
	{ "guard-other", { IS(FIB_SADDR_IIF_OIF, 0), GOTO("drop-spoofed") } },
	{ "guard-other", { ACCEPT } },

	{ "guard-container", { IPV4, PRIORITY_MAP("id4", IIFNAME, IP_SADDR), GOTO("guard-known") } },
	{ "guard-container", { IPV6, PRIORITY_MAP("id6", IIFNAME, IP6_SADDR), GOTO("guard-known") } },
	{ "guard-container", { JUMP("source") } },
	{ "guard-container", { IS(PRIORITY, NONE), GOTO("drop-unknown-source") } },
	{ "guard-container", { GOTO("guard-known") } },

	{ "guard-known", { VMAP("muted", PRIORITY) } },
	{ "guard-known", { SET_PRIORITY(NONE), ACCEPT } },

	{ "guard-muted", { IPV4, ANY4(IP_SADDR), JUMP("guard-unaddressed") } },
	{ "guard-muted", { JUMP("guard-mute") } },
	{ "guard-muted", { IN("uplink_names", IIFNAME), GOTO("guard-uplink") } },
	{ "guard-muted", { GOTO("guard-other") } },

	{ "guard-mute", { JUMP("source") } },
	{ "guard-mute", { VMAP("muted", PRIORITY) } },
	{ "guard-mute", { SET_PRIORITY(NONE) } },

	/* back to the caller: where it comes from is still to be looked at */
	{ "guard-quarantine", { SET_PRIORITY(NONE) } },
	{ "guard-quarantine",
	  { IPV4, IN("resolver4", IP_DADDR), IN("dns_protos", L4PROTO), IS(TH_DPORT, 53), RETURN } },
	{ "guard-quarantine",
	  { IPV6, IN("resolver6", IP6_DADDR), IN("dns_protos", L4PROTO), IS(TH_DPORT, 53), RETURN } },
	{ "guard-quarantine", { GOTO("drop-disabled") } },

	{ "arrival", { BITS(CT_STATE, CT_ESTABLISHED), IS(CT_DIRECTION, CT_REPLY), ACCEPT } },
	{ "arrival", { VMAP("arrivals", FIB_DADDR_TYPE) } },
	{ "arrival", { ACCEPT } },

	{ "arrival-broadcast", { NAME(IIFNAME, "lo"), ACCEPT } },
	{ "arrival-broadcast", { IS(FIB_DADDR_IIF_TYPE, FIB_BROADCAST), ACCEPT } },
	{ "arrival-broadcast", { GOTO("drop-broadcast") } },

	{ "arrival-local", { NAME(IIFNAME, "lo"), ACCEPT } },
	{ "arrival-local", { BITS(CT_STATE, CT_RELATED), JUMP("errors") } },
	{ "arrival-local", { IS(FIB_DADDR_IIF_TYPE, FIB_LOCAL), ACCEPT } },
	{ "arrival-local",
	  { NOT_IN("uplink_names", IIFNAME), IPV4, IN("resolver4", IP_DADDR), IN("dns_protos", L4PROTO),
	    IS(TH_DPORT, 53), ACCEPT } },
	{ "arrival-local",
	  { NOT_IN("uplink_names", IIFNAME), IPV6, IN("resolver6", IP6_DADDR), IN("dns_protos", L4PROTO),
	    IS(TH_DPORT, 53), ACCEPT } },
	{ "arrival-local", { IPV4, IN("published4", L4PROTO, TH_DPORT), ACCEPT } },
	{ "arrival-local", { IPV6, IN("published6", L4PROTO, TH_DPORT), ACCEPT } },
	{ "arrival-local", { GOTO("drop-other-interface") } },

	/* errors about a flow that is known */
	{ "errors", { PROTO(IPPROTO_ICMP), IN("icmp_errors", ICMP_TYPE), ACCEPT } },
	{ "errors", { PROTO(IPPROTO_ICMPV6), IN("icmpv6_errors", ICMPV6_TYPE), ACCEPT } },

	{ "forward", { BITS(CT_STATE, CT_ESTABLISHED), GOTO("forward-known") } },
	{ "forward", { BITS(CT_STATE, CT_RELATED), JUMP("forward-errors") } },
	{ "forward", { GOTO("forward-judge") } },

	{ "forward-judge", { IN("kept", IIFNAME), IN("kept", OIFNAME), GOTO("left-alone") } },
	{ "forward-judge", { IN("alike", IIFNAME, OIFNAME), GOTO("left-alone") } },
	{ "forward-judge", { IPV6, PROTO(IPPROTO_ICMPV6), JUMP("forward-icmpv6") } },
	{ "forward-judge", { GOTO("judge") } },

	/* what comes back is judged as what it answers */
	{ "forward-back", { IN("kept", IIFNAME), IN("kept", OIFNAME), GOTO("left-alone") } },
	{ "forward-back", { IN("alike", IIFNAME, OIFNAME), GOTO("left-alone") } },
	{ "forward-back", { SET_MARK, JUMP("destination") } },
	{ "forward-back", { GOTO("judge-class") } },

	{ "left-alone", { BITS(MARK, ACCEPT_BIT), CLEAR_MARK } },
	{ "left-alone", { ACCEPT } },

	{ "forward-errors", { PROTO(IPPROTO_ICMP), IN("icmp_errors", ICMP_TYPE), GOTO("let-through") } },
	{ "forward-errors", { PROTO(IPPROTO_ICMPV6), IN("icmpv6_errors", ICMPV6_TYPE), GOTO("let-through") } },

	{ "forward-icmpv6",
	  { IPV6, PROTO(IPPROTO_ICMPV6), IN("neighbour", ICMPV6_TYPE), IN("same", IIFNAME, OIFNAME),
	    GOTO("left-alone") } },
	{ "forward-icmpv6",
	  { IPV6, PROTO(IPPROTO_ICMPV6), IN("listener", ICMPV6_TYPE), IN("same", IIFNAME, OIFNAME),
	    GOTO("left-alone") } },

	{ "input", { NAME(IIFNAME, "lo"), ACCEPT } },
	/* this machine is never judged: what it still sends in an ended flow must not make it one of its own */
	{ "input",
	  { IPV4, IN(SET_CUT4, IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT, TH_DPORT),
	    RENEW(SET_CUT4, ENDED_SECONDS, IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT, TH_DPORT), GOTO("drop-ended") } },
	{ "input",
	  { IPV6, IN(SET_CUT6, IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT, TH_DPORT),
	    RENEW(SET_CUT6, ENDED_SECONDS, IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT, TH_DPORT), GOTO("drop-ended") } },
	{ "input", { BITS(CT_STATE, CT_ESTABLISHED), IS(CT_DIRECTION, CT_REPLY), ACCEPT } },
	{ "input", { BITS(CT_STATE, CT_RELATED), JUMP("errors") } },
	{ "input", { IN("kept", IIFNAME), JUMP("input-kept") } },
	{ "input", { PROTO(IPPROTO_ICMPV6), IPV6, IS(IP6_HOPLIMIT, 255), IN("neighbour", ICMPV6_TYPE), ACCEPT } },
	{ "input", { PROTO(IPPROTO_ICMPV6), IN("listener", ICMPV6_TYPE), ACCEPT } },
	{ "input", { IN("uplink_names", IIFNAME), JUMP("input-uplink") } },
	{ "input", { IN("lans", IIFNAME), JUMP("input-lan") } },
	{ "input", { GOTO("judge") } },

	/* the machine's own input rules decide, but for what the engine's proxy publishes */
	{ "input-kept", { JUMP("front") } },
	{ "input-kept", { IS(PRIORITY, NONE), ACCEPT } },
	{ "input-kept", { SET_PRIORITY(NONE) } },

	{ "input-uplink",
	  { PROTO(IPPROTO_ICMPV6), IPV6, IS(IP6_HOPLIMIT, 255), IS(ICMPV6_TYPE, ND_ROUTER_ADVERT), ACCEPT } },
	{ "input-uplink", { IPV4, PROTO(IPPROTO_UDP), IS(TH_SPORT, 67), IS(TH_DPORT, 68), ACCEPT } },
	{ "input-uplink",
	  { IPV6, LINK_LOCAL6(IP6_SADDR), PROTO(IPPROTO_UDP), IS(TH_SPORT, 547), IS(TH_DPORT, 546), ACCEPT } },

	{ "input-lan", { PROTO(IPPROTO_UDP), IN("dhcp_servers", TH_DPORT), ACCEPT } },
	{ "input-lan", { PROTO(IPPROTO_ICMP), IS(ICMP_TYPE, ICMP_ECHO), ACCEPT } },
	{ "input-lan", { PROTO(IPPROTO_ICMPV6), IS(ICMPV6_TYPE, ICMP6_ECHO_REQUEST), ACCEPT } },
	{ "input-lan",
	  { PROTO(IPPROTO_ICMPV6), IPV6, IS(IP6_HOPLIMIT, 255), IS(ICMPV6_TYPE, ND_ROUTER_SOLICIT), ACCEPT } },
	{ "input-lan", { PROTO(IPPROTO_IGMP), ACCEPT } },

	{ "judge", { BITS(MARK, ACCEPT_BIT), CLEAR_MARK } }, /* whoever set it before us */
	/* the other side of a flow that was ended would open it again: its packets are original ones now */
	{ "judge",
	  { IPV4, IN(SET_ENDED4, IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT),
	    RENEW(SET_ENDED4, ENDED_SECONDS, IP_SADDR, IP_DADDR, L4PROTO, TH_SPORT), GOTO("drop-ended") } },
	{ "judge",
	  { IPV6, IN(SET_ENDED6, IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT),
	    RENEW(SET_ENDED6, ENDED_SECONDS, IP6_SADDR, IP6_DADDR, L4PROTO, TH_SPORT), GOTO("drop-ended") } },
	{ "judge", { BITS(CT_STATE, CT_INVALID | CT_NEW), JUMP("judge-first") } },
	{ "judge", { IPV4, PRIORITY_MAP("id4", IIFNAME, IP_SADDR), GOTO("judge-class") } },
	{ "judge", { IPV6, PRIORITY_MAP("id6", IIFNAME, IP6_SADDR), GOTO("judge-class") } },
	{ "judge", { JUMP("source") } },
	{ "judge", { GOTO("judge-class") } },

	{ "judge-class", { VMAP("classes", PRIORITY) } },
	{ "judge-class", { GOTO("drop-unknown-source") } },

	{ "judge-first", { BITS(CT_STATE, CT_INVALID), GOTO("drop-invalid") } },
	{ "judge-first",
	  { BITS(CT_STATE, CT_NEW), PROTO(IPPROTO_TCP), MASKED_NOT(TCP_FLAGS, NO_SYN_MASK, SYN),
	    NOT_IN("grace", L4PROTO), GOTO("drop-no-flow") } },

	/* the class of who sent it: 0 when nobody known */
	{ "source", { SET_PRIORITY(NONE) } },
	{ "source", { IPV4, PRIORITY_MAP("id4", IIFNAME, IP_SADDR), RETURN } },
	{ "source", { IPV6, PRIORITY_MAP("id6", IIFNAME, IP6_SADDR), RETURN } },
	{ "source", { VMAP("sources", IIFNAME) } },

	/* the class of who gets it */
	{ "destination", { SET_PRIORITY(NONE) } },
	{ "destination", { IPV4, PRIORITY_MAP("id4", OIFNAME, IP_DADDR), RETURN } },
	{ "destination", { IPV6, PRIORITY_MAP("id6", OIFNAME, IP6_DADDR), RETURN } },
	{ "destination", { VMAP("targets", OIFNAME) } },

	/* the class of who the flow is for: of what comes back, who sent it */
	{ "target", { IS(OIF, 0), GOTO("target-host") } },
	{ "target", { BACK, GOTO("source") } },
	{ "target", { GOTO("destination") } },

	{ "target-host", { JUMP("front") } },
	{ "target-host", { NOT(PRIORITY, NONE), RETURN } },
	{ "target-host", { IPV4, PRIORITY_MAP("here4", IP_DADDR), RETURN } },
	{ "target-host", { IPV6, PRIORITY_MAP("here6", IP6_DADDR), RETURN } },

	/* the published ports of the container that the engine's proxy here leads to: 0 when it is no such port */
	{ "front", { SET_PRIORITY(NONE) } },
	{ "front", { IPV4, PRIORITY_MAP("bound4", IP_DADDR, L4PROTO, TH_DPORT), RETURN } },
	{ "front", { IPV6, PRIORITY_MAP("bound6", IP6_DADDR, L4PROTO, TH_DPORT), RETURN } },
	{ "front", { IPV4, PRIORITY_MAP("wild4", L4PROTO, TH_DPORT) } },
	{ "front", { IPV6, PRIORITY_MAP("wild6", L4PROTO, TH_DPORT) } },

	/*
	 * The front of the published port that NAT led to a container's own; the class stays where it is no such port:
	 * somebody else's NAT is nobody's right. A rule for each protocol, since nft knows what a port is only where it
	 * has read the protocol.
	 */
	{ "dialled", { BACK, GOTO("dialled-back") } },
	{ "dialled", { IPV4, PROTO(IPPROTO_TCP), DIALLED("dialled4", IP_DADDR), RETURN } },
	{ "dialled", { IPV6, PROTO(IPPROTO_TCP), DIALLED("dialled6", IP6_DADDR), RETURN } },
	{ "dialled", { IPV4, PROTO(IPPROTO_UDP), DIALLED("dialled4", IP_DADDR), RETURN } },
	{ "dialled", { IPV6, PROTO(IPPROTO_UDP), DIALLED("dialled6", IP6_DADDR), RETURN } },
	{ "dialled", { IPV4, PROTO(IPPROTO_SCTP), DIALLED("dialled4", IP_DADDR), RETURN } },
	{ "dialled", { IPV6, PROTO(IPPROTO_SCTP), DIALLED("dialled6", IP6_DADDR), RETURN } },

	{ "dialled-back", { IPV4, PROTO(IPPROTO_TCP), DIALLED_BACK("dialled4", IP_SADDR), RETURN } },
	{ "dialled-back", { IPV6, PROTO(IPPROTO_TCP), DIALLED_BACK("dialled6", IP6_SADDR), RETURN } },
	{ "dialled-back", { IPV4, PROTO(IPPROTO_UDP), DIALLED_BACK("dialled4", IP_SADDR), RETURN } },
	{ "dialled-back", { IPV6, PROTO(IPPROTO_UDP), DIALLED_BACK("dialled6", IP6_SADDR), RETURN } },
	{ "dialled-back", { IPV4, PROTO(IPPROTO_SCTP), DIALLED_BACK("dialled4", IP_SADDR), RETURN } },
	{ "dialled-back", { IPV6, PROTO(IPPROTO_SCTP), DIALLED_BACK("dialled6", IP6_SADDR), RETURN } },

	/* to where everything may be opened but port 53, which is the resolver's */
	{ "zone", { NOT_IN("dns_protos", L4PROTO), GOTO("accepted") } },
	{ "zone", { BACK, GOTO("zone-back") } },
	{ "zone", { NOT(TH_DPORT, 53), GOTO("accepted") } },

	{ "zone-back", { NOT(TH_SPORT, 53), GOTO("accepted") } },

	{ "let-through", { SET_MARK, ACCEPT } },

	/* what the kernel's forwarding set before us: rt_tos2priority() of net/ipv4/route.c, 0 but for these */
	{ "restore", { IPV4, MASKED(IP_DS, 0x18, 0x08), SET_PRIORITY(2) } },
	{ "restore", { IPV4, MASKED(IP_DS, 0x18, 0x10), SET_PRIORITY(6) } },
	{ "restore", { IPV4, MASKED(IP_DS, 0x18, 0x18), SET_PRIORITY(4) } },

	{ "leave", { BITS(MARK, ACCEPT_BIT), CLEAR_MARK } },
};

static const struct {
	const char *name;
	enum hook hook;
	int priority;
	bool drop, nat;
} chains[] = {
	{ "guard", HOOK_PREROUTING, PRIORITY_GUARD, false },
	{ "arrival", HOOK_PREROUTING, PRIORITY_ARRIVAL, false },
	{ "forward", HOOK_FORWARD, PRIORITY_JUDGE, true },
	{ "input", HOOK_INPUT, PRIORITY_JUDGE, true },
	{ "leave", HOOK_POSTROUTING, PRIORITY_LEAVE, false },
	{ "source-ports", HOOK_POSTROUTING, PRIORITY_NAT, false, true },
	{ "guard-options", HOOK_NONE, 0, false },
	{ "guard-ipv6", HOOK_NONE, 0, false },
	{ "guard-unaddressed", HOOK_NONE, 0, false },
	{ "guard-uplink", HOOK_NONE, 0, false },
	{ "guard-other", HOOK_NONE, 0, false },
	{ "guard-container", HOOK_NONE, 0, false },
	{ "guard-known", HOOK_NONE, 0, false },
	{ "guard-muted", HOOK_NONE, 0, false },
	{ "guard-mute", HOOK_NONE, 0, false },
	{ "guard-quarantine", HOOK_NONE, 0, false },
	{ "arrival-broadcast", HOOK_NONE, 0, false },
	{ "arrival-local", HOOK_NONE, 0, false },
	{ "errors", HOOK_NONE, 0, false },
	{ "forward-known", HOOK_NONE, 0, false },
	{ "forward-known-back", HOOK_NONE, 0, false },
	{ "forward-back", HOOK_NONE, 0, false },
	{ "forward-judge", HOOK_NONE, 0, false },
	{ "forward-errors", HOOK_NONE, 0, false },
	{ "forward-icmpv6", HOOK_NONE, 0, false },
	{ "input-kept", HOOK_NONE, 0, false },
	{ "input-uplink", HOOK_NONE, 0, false },
	{ "input-lan", HOOK_NONE, 0, false },
	{ "judge", HOOK_NONE, 0, false },
	{ "judge-first", HOOK_NONE, 0, false },
	{ "judge-class", HOOK_NONE, 0, false },
	{ "source", HOOK_NONE, 0, false },
	{ "destination", HOOK_NONE, 0, false },
	{ "target", HOOK_NONE, 0, false },
	{ "target-host", HOOK_NONE, 0, false },
	{ "front", HOOK_NONE, 0, false },
	{ "dialled", HOOK_NONE, 0, false },
	{ "dialled-back", HOOK_NONE, 0, false },
	{ "zone", HOOK_NONE, 0, false },
	{ "zone-back", HOOK_NONE, 0, false },
	{ "accepted", HOOK_NONE, 0, false },
	{ "count", HOOK_NONE, 0, false },
	{ "left-alone", HOOK_NONE, 0, false },
	{ "let-through", HOOK_NONE, 0, false },
	{ "restore", HOOK_NONE, 0, false },
};

static int add(struct ruleset *ruleset, const char *chain, const struct stmt *stmts)
{
	size_t n = 0;

	while (n < STMTS_MAX && (stmts[n].kind != STMT_COMPARE || stmts[n].n_fields))
		n++;
	return chain_add_rule(ruleset_chain(ruleset, chain), stmts, n);
}

#define RULE(...)                                                                                                      \
	(struct stmt[STMTS_MAX])                                                                                       \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
	}

/*
 * One that sends a lot does not take the others' place in the log. Whoever sends from more addresses than there is room
 * for shares what is left with all who come after.
 */
static int add_log(struct ruleset *ruleset, const char *chain, const char *prefix)
{
	const struct stmt rules[][STMTS_MAX] = {
		{ IPV4, METER("logged4", LOG_RATE_SOURCE, IIFNAME, IP_SADDR), LIMIT(LOG_RATE), LOG(prefix) },
		{ IPV4, NOT_IN("logged4", IIFNAME, IP_SADDR), LIMIT(LOG_RATE_REST), LOG(prefix) },
		{ IPV6, METER("logged6", LOG_RATE_SOURCE, IIFNAME, IP6_SADDR), LIMIT(LOG_RATE), LOG(prefix) },
		{ IPV6, NOT_IN("logged6", IIFNAME, IP6_SADDR), LIMIT(LOG_RATE_REST), LOG(prefix) },
	};
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(rules) && r >= 0; i++)
		r = add(ruleset, chain, rules[i]);
	return r;
}

static bool is_of_judge(enum reason reason)
{
	return reason == REASON_UNKNOWN_SOURCE || reason == REASON_UNKNOWN_TARGET || reason == REASON_BLOCKED ||
	       reason == REASON_NO_GRANT;
}

/* A chain for each reason: log within limits, count, drop. */
static int add_drops(struct ruleset *ruleset, const struct compile_options *options)
{
	for (int i = REASON_NONE + 1; i < _REASON_MAX; i++) {
		const char *id = reason_info((enum reason)i)->id;
		const char *name = ruleset_string(ruleset, DROP_CHAIN_PREFIX "%s", id);
		const char *prefix = ruleset_string(ruleset, LOG_PREFIX "%s", id);
		int r;

		if (!name || !prefix || !ruleset_add_chain(ruleset, name, HOOK_NONE, 0, false))
			return -ENOMEM;
		/* what comes back opens nothing: its flow was let through once, or came by another way */
		if (is_of_judge((enum reason)i) &&
		    add(ruleset, name, RULE(BITS(CT_STATE, CT_ESTABLISHED), BACK, GOTO("drop-ended"))) < 0)
			return -ENOMEM;
		r = options->log_all ? add(ruleset, name, RULE(LOG(prefix))) : add_log(ruleset, name, prefix);
		if (r < 0 || add(ruleset, name, RULE(COUNTER, DROP)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The first packet of a flow decides. What is DNATed to a container is not concerned: it comes from elsewhere. */
static int add_source_ports(struct ruleset *ruleset, const struct model *model)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	int r = 0;

	for (size_t i = 0; model->nat_first && i < ELEMENTSOF(protos) && r >= 0; i++)
		r = add(ruleset, "source-ports",
			RULE(IPV4, IN("masqueraded", IIFNAME, IP_SADDR), NOT_IN("bridges", OIFNAME), PROTO(protos[i]),
			     MASQUERADE(model->nat_first, model->nat_last)));
	return r;
}

/*
 * Containers and what is behind lan interfaces do not take each other's room: a range may have more addresses than there
 * is room for. A container's own are known, and fit.
 */
static int add_flow_limit(struct ruleset *ruleset, unsigned connections)
{
	const struct stmt rules[][STMTS_MAX] = {
		{ NOT_IN("bridges", IIFNAME), IPV4, COUNT_OVER("lan_flows4", IP_SADDR, connections),
		  GOTO("drop-flow-limit") },
		{ NOT_IN("bridges", IIFNAME), IPV6, COUNT_OVER("lan_flows6", IP6_SADDR, connections),
		  GOTO("drop-flow-limit") },
		{ NOT_IN("bridges", IIFNAME), RETURN },
		{ IPV4, COUNT_OVER("flows4", IP_SADDR, connections), GOTO("drop-flow-limit") },
		{ IPV6, COUNT_OVER("flows6", IP6_SADDR, connections), GOTO("drop-flow-limit") },
	};
	int r = add(ruleset, "accepted", RULE(BITS(CT_STATE, CT_NEW), IN("limited", IIFNAME), JUMP("count")));

	for (size_t i = 0; i < ELEMENTSOF(rules) && r >= 0; i++)
		r = add(ruleset, "count", rules[i]);
	return r;
}

/* What processes of this machine may not open where only root may. */
static int add_local_users(struct ruleset *ruleset, const struct model *model)
{
	if (model->policy->settings.local_users != LOCAL_USERS_ROOT)
		return 0;
	if (add(ruleset, "leave",
		RULE(IN("guarded_bridges", OIFNAME), NOT(SKUID, 0), IS(CT_DIRECTION, CT_ORIGINAL),
		     GOTO("drop-local-user"))) < 0)
		return -ENOMEM;
	return add(ruleset, "leave",
		   RULE(NAME(OIFNAME, "lo"), IN("guarded_ports", L4PROTO, TH_DPORT), NOT(SKUID, 0),
			IS(CT_DIRECTION, CT_ORIGINAL), GOTO("drop-local-user")));
}

/*
 * A connection that was judged and let through is known for a minute, or until anything is taken away: the set's name
 * is another one then, in the same transaction. What a packet adds by the rules from before goes into the old set.
 * TCP and UDP only: what connection tracking knows no ports of is one connection for all of them, and behind an IPv6
 * authentication header it sees another protocol than nft. What comes back has the interfaces the other way round.
 */
static int add_passed(struct ruleset *ruleset, const struct compile_options *options)
{
	static const enum field key[] = { FIELD_CT_ID, FIELD_IIFNAME, FIELD_OIFNAME };
	const char *name = ruleset_string(ruleset, PASSED_NAME, options->epoch);
	const struct {
		const char *chain;
		struct stmt stmts[STMTS_MAX];
	} rules[] = {
		{ "forward-known", { IS(CT_DIRECTION, CT_REPLY), GOTO("forward-known-back") } },
		{ "forward-known", { PROTO(IPPROTO_TCP), IN(name, CT_ID, IIFNAME, OIFNAME), GOTO("let-through") } },
		{ "forward-known", { PROTO(IPPROTO_UDP), IN(name, CT_ID, IIFNAME, OIFNAME), GOTO("let-through") } },
		{ "forward-known", { GOTO("forward-judge") } },
		{ "forward-known-back",
		  { PROTO(IPPROTO_TCP), IN(name, CT_ID, OIFNAME, IIFNAME), GOTO("let-through") } },
		{ "forward-known-back",
		  { PROTO(IPPROTO_UDP), IN(name, CT_ID, OIFNAME, IIFNAME), GOTO("let-through") } },
		{ "forward-known-back", { GOTO("forward-back") } },
		{ "accepted",
		  { BITS(CT_STATE, CT_ESTABLISHED), NOT(OIF, 0), IN("dns_protos", L4PROTO), NOT_BACK,
		    RENEW(name, PASSED_SECONDS, CT_ID, IIFNAME, OIFNAME) } },
		{ "accepted",
		  { BACK, IN("dns_protos", L4PROTO), RENEW(name, PASSED_SECONDS, CT_ID, OIFNAME, IIFNAME) } },
	};
	struct set *set = name ? ruleset_add_set(ruleset, name, DATA_NONE, key, ELEMENTSOF(key)) : NULL;
	int r = 0;

	if (!set)
		return -ENOMEM;
	set->dynamic = set->timeout = true;
	set->size = PASSED_MAX;
	for (size_t i = 0; i < ELEMENTSOF(rules) && r >= 0; i++)
		r = add(ruleset, rules[i].chain, rules[i].stmts);
	return r;
}

/* What depends on a number of this machine: the limit of flows, and the class of the machine itself. */
static int add_numbers(struct ruleset *ruleset, const struct model *model, const struct compile_options *options)
{
	unsigned connections = model->policy->settings.connections;
	int r = add_source_ports(ruleset, model);

	if (r >= 0)
		r = add_local_users(ruleset, model);
	if (connections && r >= 0)
		r = add_flow_limit(ruleset, connections);
	if (r >= 0)
		r = add_passed(ruleset, options);
	if (r >= 0)
		r = add(ruleset, "accepted", RULE(SET_PRIORITY(NONE)));
	if (r >= 0)
		r = add(ruleset, "accepted", RULE(IPV4, MASKED_NOT(IP_DS, 0x18, 0), JUMP("restore")));
	if (r >= 0)
		r = add(ruleset, "accepted", RULE(NOT(OIF, 0), SET_MARK, ACCEPT));
	if (r >= 0)
		r = add(ruleset, "accepted", RULE(ACCEPT));
	if (r >= 0)
		r = add(ruleset, "target-host", RULE(SET_PRIORITY(model->classes[model->host].number)));
	return r;
}

int chains_fill(struct ruleset *ruleset, const struct model *model, const struct compile_options *options)
{
	for (size_t i = 0; i < ELEMENTSOF(chains); i++) {
		struct chain *chain =
			ruleset_add_chain(ruleset, chains[i].name, chains[i].hook, chains[i].priority, chains[i].drop);

		if (!chain)
			return -ENOMEM;
		chain->nat = chains[i].nat;
	}
	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		if (add(ruleset, texts[i].chain, texts[i].stmts) < 0)
			return -ENOMEM;
	if (add_numbers(ruleset, model, options) < 0)
		return -ENOMEM;
	return add_drops(ruleset, options);
}
