/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/schema.h"

#include <stddef.h>
#include <string.h>

const struct value_form value_forms[_VALUE_TYPE_MAX] = {
	[VALUE_MEMBER_NAME] = { sizeof(char *), .text = true, .sentence = "a name" },
	[VALUE_GROUP_NAME] = { sizeof(char *), .text = true, .sentence = "a name" },
	[VALUE_INTERFACE] = { sizeof(char *), .text = true, .sentence = "the name of an interface" },
	[VALUE_COMMENT] = { sizeof(char *), .text = true, .sentence = "one line of text" },
	[VALUE_ROLE] = { sizeof(enum role), .sentence = "a role, such as lan" },
	[VALUE_POLICIES] = { sizeof(unsigned), .sentence = "a list of policies, such as [wan, dns]" },
	[VALUE_WORDS] = { sizeof(char *), .list = true, .text = true, .sentence = "a list of names, such as [media]" },
	[VALUE_BOOL] = { sizeof(int), .sentence = "true or false, without quotation marks" },
	[VALUE_SOURCES] = { sizeof(struct prefix), .list = true, .single = true,
			    .sentence = "a range of addresses such as 192.168.77.0/24, or a list of them" },
	[VALUE_ADDRESS] = { sizeof(struct addr), .sentence = "an address, such as 172.30.0.2" },
	[VALUE_SELECTOR] = { sizeof(struct selector), .sentence = "one selector, such as group:family" },
	[VALUE_SELECTORS] = { sizeof(struct selector), .list = true, .single = true,
			      .sentence = "a selector such as group:family, or a list of them" },
	[VALUE_TARGET] = { sizeof(struct target), .sentence = "one selector, and a port if need be, such as nas:445" },
	[VALUE_EXPECT] = { sizeof(enum expect), .sentence = "accept or drop" },
	[VALUE_PORT] = { sizeof(struct port_range), .sentence = "a port, such as 8096/tcp" },
	[VALUE_PORTS] = { sizeof(struct port_range), .list = true, .sentence = "a list of ports, such as [445/tcp]" },
	[VALUE_TIME] = { sizeof(time_t), .sentence = "a day or a time, such as 2027-01-01" },
	[VALUE_LOCAL_USERS] = { sizeof(enum local_users), .sentence = "all or root" },
	[VALUE_LABELS] = { sizeof(enum labels), .sentence = "ask or trust" },
	[VALUE_COUNT] = { sizeof(unsigned), .sentence = "a whole number" },
	[VALUE_PUBLISH] = { sizeof(struct publish), .list = true,
			    .sentence = "a list of entries, such as [{port: 8096/tcp, to: [group:family]}]" },
};

#define ROW(s, f, key, value_type) .name = (key), .type = (value_type), .offset = offsetof(struct s, f)
#define LIST(s, f, key, value_type) ROW(s, f, key, value_type), .count = offsetof(struct s, n_##f)

static const struct schema_key interface_rows[] = {
	{ ROW(interface_entry, name, "name", VALUE_INTERFACE), .required = true,
	  .help = "The interface, as the kernel names it. It need not exist yet." },
	{ ROW(interface_entry, role, "role", VALUE_ROLE), .required = true,
	  .help = "What the interface is for: uplink, lan, container, overlay or other." },
};

static const struct schema_key publish_rows[] = {
	{ ROW(publish, port, "port", VALUE_PORT), .required = true,
	  .help = "The published port: the number on this machine, not the one inside the container." },
	{ LIST(publish, to, "to", VALUE_SELECTORS), .required = true,
	  .help = "Who may use it: one selector or a list of them." },
};
const struct schema_keys schema_publish_keys = { "an entry of publish", publish_rows, ELEMENTSOF(publish_rows) };

/* What members of all kinds have. */
#define POLICIES_ROW ROW(member, policies, "policies", VALUE_POLICIES), .help = policies_help
#define GROUPS_ROW                                                                                                     \
	LIST(member, groups, "groups", VALUE_WORDS), .said = offsetof(struct member, has_groups), .help = groups_help
#define TAGS_ROW LIST(member, tags, "tags", VALUE_WORDS), .help = tags_help
#define COMMENT_ROW(s) ROW(s, comment, "comment", VALUE_COMMENT), .help = comment_help

static const char policies_help[] =
	"What the member may do: wan, dns, lan, lan_upstream, api, noapi, disabled, quarantine.";
static const char groups_help[] = "Groups that the member is in. Each has an entry in the section groups.";
static const char tags_help[] = "Labels to select the member by, as tag:NAME.";
static const char comment_help[] = "A line for people.";

static const struct schema_key network_rows[] = {
	{ ROW(member, name, "name", VALUE_MEMBER_NAME), .required = true,
	  .help = "The container network, as its engine names it. It need not exist yet." },
	{ POLICIES_ROW },
	{ GROUPS_ROW },
	{ TAGS_ROW },
	{ ROW(member, isolate, "isolate", VALUE_BOOL),
	  .help = "true: containers of this network may not talk to each other by being in it. Default: as the engine "
		  "has it." },
	{ COMMENT_ROW(member) },
};

static const struct schema_key container_rows[] = {
	{ ROW(member, name, "name", VALUE_MEMBER_NAME), .required = true,
	  .help = "The container's name, or PROJECT/SERVICE of compose. It need not exist yet." },
	{ POLICIES_ROW },
	{ GROUPS_ROW },
	{ TAGS_ROW },
	{ LIST(member, publish, "publish", VALUE_PUBLISH), .keys = &schema_publish_keys,
	  .help = "Who may use the container's published ports." },
	{ COMMENT_ROW(member) },
};

static const struct schema_key rule_rows[] = {
	{ ROW(member, name, "name", VALUE_MEMBER_NAME), .required = true,
	  .help = "The name that rule:NAME refers to." },
	{ ROW(member, interface, "interface", VALUE_INTERFACE), .required = true,
	  .help = "The interface that its packets come in by." },
	{ LIST(member, source, "source", VALUE_SOURCES), .required = true,
	  .help = "The addresses it has there: one range or a list of them." },
	{ ROW(member, route_dst, "route_dst", VALUE_ADDRESS), .help = "The address behind which the ranges are." },
	{ POLICIES_ROW },
	{ GROUPS_ROW },
	{ TAGS_ROW },
	{ COMMENT_ROW(member) },
};

static const struct schema_key group_rows[] = {
	{ ROW(group, name, "name", VALUE_GROUP_NAME), .required = true, .help = "The group's name." },
};

static const struct schema_key grant_rows[] = {
	{ ROW(grant, from, "from", VALUE_SELECTOR), .required = true, .help = "Who opens the connection." },
	{ ROW(grant, to, "to", VALUE_SELECTOR), .required = true, .help = "Whom it is opened to." },
	{ LIST(grant, ports, "ports", VALUE_PORTS), .help = "Ports and protocols. Without them: everything." },
	{ ROW(grant, expires, "expires", VALUE_TIME), .help = "When the entry ends. Without it: never." },
	{ COMMENT_ROW(grant) },
};

static const struct schema_key test_rows[] = {
	{ ROW(test, from, "from", VALUE_SELECTOR), .required = true, .help = "Who would open the connection." },
	{ ROW(test, to, "to", VALUE_TARGET), .required = true,
	  .help = "Whom it would be opened to, as WHO or WHO:PORT." },
	{ ROW(test, expect, "expect", VALUE_EXPECT), .required = true,
	  .help = "accept or drop: what the policy has to say to it." },
	{ COMMENT_ROW(test) },
};

static const struct schema_key settings_rows[] = {
	{ ROW(settings, local_users, "local_users", VALUE_LOCAL_USERS), .standard = "all",
	  .help = "Which users of this machine may reach container networks and ports published to loopback." },
	{ ROW(settings, connections, "connections", VALUE_COUNT), .standard = "4096",
	  .help = "How many connections one member may have open; 0 is no limit." },
	{ ROW(settings, labels, "labels", VALUE_LABELS), .standard = "ask",
	  .help = "ask: what labels of containers ask for has to be accepted; trust: their own labels hold." },
	{ ROW(settings, fast_path, "fast_path", VALUE_BOOL), .standard = "false",
	  .help = "Whether packets of connections that were let through within the last second are sent on past all rules." },
};

static const struct schema_key dismissal_rows[] = {
	{ ROW(dismissal, id, "id", VALUE_GROUP_NAME), .required = true, .help = "The request, as spr pending has it." },
	{ COMMENT_ROW(dismissal) },
};

#define KEYS(rows, what) what, rows, ELEMENTSOF(rows)

static const struct schema_keys interface_keys = { KEYS(interface_rows, "an entry of interfaces") };
static const struct schema_keys network_keys = { KEYS(network_rows, "an entry of networks") };
static const struct schema_keys container_keys = { KEYS(container_rows, "an entry of containers") };
static const struct schema_keys rule_keys = { KEYS(rule_rows, "an entry of rules") };
static const struct schema_keys group_keys = { KEYS(group_rows, "an entry of groups") };
const struct schema_keys schema_grant_keys = { KEYS(grant_rows, "an entry of allow or block") };
static const struct schema_keys test_keys = { KEYS(test_rows, "an entry of tests") };
static const struct schema_keys dismissal_keys = { KEYS(dismissal_rows, "an entry of dismissed") };
static const struct schema_keys settings_keys = { KEYS(settings_rows, "settings") };

#define ENTRIES(s, field)                                                                                              \
	.list = true, .size = sizeof(struct s), .offset = offsetof(struct policy, field),                              \
	.count = offsetof(struct policy, n_##field), .place = offsetof(struct s, place)

const struct schema_section schema_sections[] = {
	{ "interfaces", "Roles of interfaces.", &interface_keys, .kind = -1, ENTRIES(interface_entry, interfaces) },
	{ "networks", "Container networks: the default of their containers.", &network_keys, .kind = MEMBER_NETWORK,
	  ENTRIES(member, members) },
	{ "containers", "Containers.", &container_keys, .kind = MEMBER_CONTAINER, ENTRIES(member, members) },
	{ "rules", "Whoever has an address of a range, behind an interface.", &rule_keys, .kind = MEMBER_RULE,
	  ENTRIES(member, members) },
	{ "groups", "Groups of members that may talk to each other.", &group_keys, .kind = -1, ENTRIES(group, groups) },
	{ "allow", "Connections that are let through.", &schema_grant_keys, .kind = -1, ENTRIES(grant, allow) },
	{ "block", "Connections that are stopped, whatever else allows them.", &schema_grant_keys, .kind = -1,
	  ENTRIES(grant, block) },
	{ "tests", "What must hold: a policy whose tests fail is refused.", &test_keys, .kind = -1,
	  ENTRIES(test, tests) },
	{ "dismissed", "Requests that are not wanted.", &dismissal_keys, .kind = -1, ENTRIES(dismissal, dismissed) },
	{ "settings", "Settings of the whole machine.", &settings_keys, .kind = -1, .size = sizeof(struct settings),
	  .offset = offsetof(struct policy, settings) },
};
const size_t n_schema_sections = ELEMENTSOF(schema_sections);

const char *const schema_reserved[] = { "devices", "forwards", "peers" };
const size_t n_schema_reserved = ELEMENTSOF(schema_reserved);

const struct schema_section *schema_section(const char *name)
{
	for (size_t i = 0; i < n_schema_sections; i++)
		if (strcmp(schema_sections[i].name, name) == 0)
			return &schema_sections[i];
	return NULL;
}

const struct schema_keys *schema_member_keys(enum member_kind kind)
{
	for (size_t i = 0; i < n_schema_sections; i++)
		if (schema_sections[i].kind == (int)kind)
			return schema_sections[i].keys;
	return NULL;
}
