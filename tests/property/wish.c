/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "property.h"

/* A random policy about the things of a scene, and about some that are not there. */

static const char *const groups[] = { "g0", "g1", "g2" };
static const char *const tags[] = { "t0", "t1" };
static const char *const rules[] = { "r0", "r1", "r2", "r3", "web" };
static const char *const containers[] = { "web",  "db",	      "nas",	 "files",   "net-a", "proj-app-1",
					  "both", "proj/app", "proj/db", "builder", "absent" };
static const char *const networks[] = { "net-a", "net-b", "net-c", "net-d", "net-x" };
static const char *const sources[] = {
	"100.64.0.0/10",  "100.100.0.0/24",   "192.168.77.0/24", "192.168.77.64/26", "192.168.77.66", "192.168.78.0/23",
	"50.0.0.0/24",	  "50.0.0.10/31",     "0.0.0.0/0",	 "10.0.0.0/8",	     "10.99.0.66",    "172.30.1.0/28",
	"'2600:50::/64'", "'fd00:100::/64'",  "'::/0'",		 "'2600:77::/64'",   "'fd00::/8'",    "60.0.0.0/6",
	"10.77.0.0/24",	  "192.168.122.0/24", "10.123.0.0/16",	 "'2600:88::/64'",   "128.0.0.0/1",   "'fd7a::7'",
};
static const char *const ports[] = {
	"80/tcp",   "443",  "53/udp", "8000-8100/tcp", "1-65535/udp", "8000/tcp",     "8010/tcp", "8020-8041",
	"8001/udp", "icmp", "icmpv6", "gre",	       "proto:99",    "tcp",	      "udp",	  "22/tcp",
	"8080/tcp", "53",   "8030",   "8050/tcp",      "1-79/tcp",    "81-65535/tcp",
};

/* A flow list of some of the words, each once at most. */
static void write_words(FILE *out, const char *key, const char *const *words, size_t n, unsigned percent)
{
	const char *comma = "";

	fprintf(out, ", %s: [", key);
	for (size_t i = 0; i < n; i++)
		if (random_percent(percent)) {
			fprintf(out, "%s%s", comma, words[i]);
			comma = ", ";
		}
	fputc(']', out);
}

static void write_policies(FILE *out)
{
	static const char *const words[] = { "wan", "dns", "lan", "lan_upstream", "api" };
	unsigned choice = random_below(100);

	if (choice < 6)
		fputs(", policies: [disabled]", out);
	else if (choice < 10)
		fputs(", policies: [quarantine]", out);
	else if (choice < 14)
		fputs(", policies: [quarantine, dns]", out);
	else if (choice < 85)
		write_words(out, "policies", words, ELEMENTSOF(words), 40);
}

static void write_member_words(FILE *out)
{
	write_policies(out);
	if (random_percent(60))
		write_words(out, "groups", groups, ELEMENTSOF(groups), 35);
	if (random_percent(30))
		write_words(out, "tags", tags, ELEMENTSOF(tags), 50);
}

static void write_selector(FILE *out)
{
	static const char *const zones[] = { "internet", "upstream", "lan", "host" };
	unsigned choice = random_below(100);

	if (choice < 30)
		fprintf(out, "%s", RANDOM_OF(zones));
	else if (choice < 45)
		fprintf(out, "'group:%s'", RANDOM_OF(groups));
	else if (choice < 52)
		fprintf(out, "'tag:%s'", RANDOM_OF(tags));
	else if (choice < 72)
		fprintf(out, "'container:%s'", RANDOM_OF(containers));
	else if (choice < 80)
		fprintf(out, "'network:%s'", RANDOM_OF(networks));
	else if (choice < 90)
		fprintf(out, "%s", RANDOM_OF(containers));
	else
		fprintf(out, "%s", RANDOM_OF(networks));
}

static void write_publish(FILE *out, const struct scene *scene)
{
	const char *comma = "";

	fputs(", publish: [", out);
	for (size_t i = 0; i < scene->inventory->n_containers; i++)
		for (unsigned port = 0; port < 3; port++) {
			if (!random_percent(25))
				continue;
			fprintf(out, "%s{port: %zu%s, to: [", comma, 8000 + 10 * i + port,
				random_percent(50) ? "/tcp" :
				random_percent(50) ? "/udp" :
						     "");
			write_selector(out);
			if (random_percent(40)) {
				fputs(", ", out);
				write_selector(out);
			}
			fputs("]}", out);
			comma = ", ";
		}
	fputc(']', out);
}

static void write_containers(FILE *out, const struct scene *scene)
{
	fputs("containers:\n", out);
	for (size_t i = 0; i < ELEMENTSOF(containers); i++) {
		if (!random_percent(45))
			continue;
		fprintf(out, "- {name: %s", containers[i]);
		if (random_percent(40)) /* some say the same */
			fputs(", policies: [wan]", out);
		else
			write_member_words(out);
		if (random_percent(60))
			write_publish(out, scene);
		fputs("}\n", out);
	}
	fputs("- {name: nobody}\n", out);
}

static void write_networks(FILE *out)
{
	fputs("networks:\n", out);
	for (size_t i = 0; i < ELEMENTSOF(networks); i++) {
		if (!random_percent(45))
			continue;
		fprintf(out, "- {name: %s", networks[i]);
		write_member_words(out);
		if (random_percent(40))
			fprintf(out, ", isolate: %s", random_percent(50) ? "true" : "false");
		fputs("}\n", out);
	}
	fputs("- {name: nothing}\n", out);
}

/* No two rules may have the same range on the same interface: each range is used once. */
static void write_rules(FILE *out, const struct scene *scene)
{
	uint32_t used = 0;

	fputs("rules:\n", out);
	for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
		const char *comma = "";

		if (!random_percent(50))
			continue;
		fprintf(out, "- {name: %s, interface: %s, source: [", rules[i],
			random_percent(5) ? "gone0" : scene->nics[random_below((uint32_t)scene->n_nics)].name);
		for (size_t k = 1 + random_below(3); k > 0;) {
			uint32_t source = random_below(ELEMENTSOF(sources));

			if (used & 1u << source)
				continue;
			used |= 1u << source;
			fprintf(out, "%s%s", comma, sources[source]);
			comma = ", ";
			k--;
		}
		fputc(']', out);
		write_member_words(out);
		fputs("}\n", out);
	}
	fputs("- {name: last, interface: gone1, source: 1.2.3.4}\n", out);
}

static void write_grants(FILE *out, const char *key, size_t n)
{
	fprintf(out, "%s:\n", key);
	for (size_t i = 0; i < n; i++) {
		fputs("- {from: ", out);
		write_selector(out);
		fputs(", to: ", out);
		write_selector(out);
		if (random_percent(70))
			fprintf(out, ", ports: [%s, %s]", RANDOM_OF(ports), RANDOM_OF(ports));
		if (random_percent(20))
			fprintf(out, ", expires: %s", random_percent(50) ? "2020-01-01" : "2199-01-01");
		fputs("}\n", out);
	}
	fputs("- {from: container:nobody, to: container:nobody}\n", out);
}

static void write_interfaces(FILE *out, const struct scene *scene)
{
	static const char *const roles[] = { "uplink", "lan", "overlay", "other", "container" };
	static const struct {
		const char *prefix, *role;
		unsigned percent;
	} usual[] = { { "up", "uplink", 50 },
		      { "lan", "lan", 65 },
		      { "oth", "other", 80 },
		      { "ovl", "overlay", 90 },
		      { "br-", "container", 20 } };

	fputs("interfaces:\n", out);
	for (size_t i = 0; i < scene->n_nics; i++) {
		const char *name = scene->nics[i].name;

		for (size_t k = 0; k < ELEMENTSOF(usual); k++)
			if (strncmp(name, usual[k].prefix, strlen(usual[k].prefix)) == 0 &&
			    random_percent(usual[k].percent))
				fprintf(out, "- {name: %s, role: %s}\n", name,
					random_percent(6) ? RANDOM_OF(roles) : usual[k].role);
	}
	fputs("- {name: gone9, role: other}\n", out);
}

char *wish_write(const struct scene *scene)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	MUST(out);
	write_interfaces(out, scene);
	write_networks(out);
	write_containers(out, scene);
	write_rules(out, scene);
	fputs("groups: [{name: g0}, {name: g1}, {name: g2}]\n", out);
	write_grants(out, "allow", random_below(9));
	write_grants(out, "block", random_below(7));
	fprintf(out, "settings: {connections: %s, local_users: %s, labels: %s}\n", random_percent(30) ? "0" : "1000000",
		random_percent(30) ? "root" : "all", random_percent(50) ? "trust" : "ask");
	MUST(fclose(out) == 0);
	return text;
}
