/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compose files: every form of ports and variables, networks and names, what is refused where; and who would reach what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "compose/compose.h"
#include "verdict/reach.h"
#include "world.h"

#define NOW 1800000000

/* "NAME=value" texts, ending with NULL. */
static const char *find_in(const char *name, void *data)
{
	size_t length = strlen(name);

	for (const char *const *at = data; *at; at++)
		if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
			return *at + length + 1;
	return NULL;
}

static const char *const set[] = { "PORT=8080", "HOST=127.0.0.1", "EMPTY=", "A_1=x", "COMPOSE_PROFILES=debug,extra",
				   NULL };
static const struct compose_variables variables = { find_in, (void *)set };

static int parse(const char *text, struct compose **ret, struct error *error)
{
	const struct compose_options options = { .folder = "My.Shop_1", .variables = &variables };

	return compose_parse(text, strlen(text), "c.yaml", &options, ret, error);
}

static void print_port(FILE *out, const struct compose_port *port)
{
	char host[ADDR_TEXT_MAX], proto[16];

	if (port->host.family)
		fprintf(out, "%s ", addr_text(&port->host, host));
	fprintf(out, "%u", port->host_port);
	if (port->host_last > port->host_port)
		fprintf(out, "-%u", port->host_last);
	fprintf(out, ":%u/%s", port->container_port, proto_name(port->proto, proto));
}

static char *ports_text(const struct compose_port *ports, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s", i ? ", " : "");
		print_port(out, &ports[i]);
	}
	fclose(out);
	return text;
}

static void test_ports(void **state)
{
	static const struct {
		const char *form, *ports; /* NULL: refused */
	} rows[] = {
		{ "3000", "0:3000/tcp" },
		{ "3000/udp", "0:3000/udp" },
		{ "3000-3002", "0:3000/tcp, 0:3001/tcp, 0:3002/tcp" },
		{ "8000:8000", "8000:8000/tcp" },
		{ "8080:80", "8080:80/tcp" },
		{ "9090-9091:8080-8081", "9090:8080/tcp, 9091:8081/tcp" },
		{ "49100-49200:22", "49100-49200:22/tcp" },
		{ "127.0.0.1:8001:8001", "127.0.0.1 8001:8001/tcp" },
		{ "127.0.0.1:5000-5001:5000-5001", "127.0.0.1 5000:5000/tcp, 127.0.0.1 5001:5001/tcp" },
		{ "127.0.0.1::5000", "127.0.0.1 0:5000/tcp" },
		{ "6060:6060/udp", "6060:6060/udp" },
		{ "53:53/UDP", "53:53/udp" },
		{ "132:132/sctp", "132:132/sctp" },
		{ "[::1]:8080:80", "::1 8080:80/tcp" },
		{ "::1:8080:80", "::1 8080:80/tcp" },
		{ "[::]:8080:80", ":: 8080:80/tcp" },
		{ ":80", "0:80/tcp" },
		{ "0.0.0.0:80:80", "0.0.0.0 80:80/tcp" },
		{ "65535", "0:65535/tcp" },
		{ "", NULL },
		{ "0", NULL },
		{ "65536", NULL },
		{ "http", NULL },
		{ "80:", NULL },
		{ "80/icmp", NULL },
		{ "80/", NULL },
		{ "3-1", NULL },
		{ "1-3:1-2", NULL },
		{ "-1", NULL },
		{ " 80", NULL },
		{ "80 ", NULL },
		{ "host:80:80", NULL },
		{ "127.0.0:80:80", NULL },
		{ "80:80:80:80", NULL },
		{ "1-65535", NULL }, /* over the limit */
		{ "+80", NULL },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct compose_port *ports = NULL;
		_cleanup_free_ char *text = NULL;
		struct error error = { 0 };
		size_t n = 0;
		int r = compose_ports_parse(rows[i].form, (struct place){ 0 }, &ports, &n, &error);

		text = ports_text(ports, n);
		if (rows[i].ports && (r < 0 || strcmp(text, rows[i].ports) != 0))
			fail_msg("'%s': '%s' (%s) instead of '%s'", rows[i].form, text, error.text, rows[i].ports);
		if (!rows[i].ports && (r >= 0 || !*error.text))
			fail_msg("'%s' is taken: '%s'", rows[i].form, text);
		free(ports);
	}
}

static void test_variables(void **state)
{
	static const struct {
		const char *text, *filled, *unset; /* filled NULL: refused */
	} rows[] = {
		{ "plain", "plain", NULL },
		{ "", "", NULL },
		{ "$PORT:80", "8080:80", NULL },
		{ "${PORT}:80", "8080:80", NULL },
		{ "${HOST}:${PORT}:$A_1", "127.0.0.1:8080:x", NULL },
		{ "${NONE:-9}", "9", NULL },
		{ "${NONE-9}", "9", NULL },
		{ "${EMPTY:-9}", "9", NULL },
		{ "${EMPTY-9}", "", NULL },
		{ "${PORT:-9}", "8080", NULL },
		{ "${NONE:-}", "", NULL },
		{ "${NONE:-${PORT}}", "8080", NULL },
		{ "${NONE:-${ALSO:-7}}0", "70", NULL },
		{ "${PORT:+on}", "on", NULL },
		{ "${EMPTY:+on}", "", NULL },
		{ "${EMPTY+on}", "on", NULL },
		{ "${NONE+on}", "", NULL },
		{ "${PORT:?say it}", "8080", NULL },
		{ "${NONE:?say it}", NULL, NULL },
		{ "${EMPTY:?}", NULL, NULL },
		{ "${EMPTY?}", "", NULL },
		{ "$$PORT", "$PORT", NULL },
		{ "$$$PORT", "$8080", NULL },
		{ "a$NONE.b", "a.b", "NONE" },
		{ "${NONE}", "", "NONE" },
		{ "${NONE", NULL, NULL },
		{ "${}", NULL, NULL },
		{ "$", NULL, NULL },
		{ "$1", NULL, NULL },
		{ "${PORT!x}", NULL, NULL },
		{ "${PORT:x}", NULL, NULL },
		{ "${PORT:}", NULL, NULL },
		{ "${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-1}}}}}}}}}}}}}}}}}}",
		  NULL, NULL },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *filled = NULL, *unset = NULL;
		struct error error = { 0 };
		int r = compose_fill(rows[i].text, &variables, &filled, &unset, &error);

		if (!rows[i].filled) {
			if (r >= 0 || !*error.text)
				fail_msg("'%s' is taken: '%s'", rows[i].text, filled);
			continue;
		}
		if (r < 0 || strcmp(filled, rows[i].filled) != 0)
			fail_msg("'%s': '%s' (%s)", rows[i].text, filled ? filled : "", error.text);
		if ((unset != NULL) != (rows[i].unset != NULL) || (unset && strcmp(unset, rows[i].unset) != 0))
			fail_msg("'%s': not set: %s", rows[i].text, unset ? unset : "nothing");
	}
}

static void test_env(void **state)
{
	static const char text[] =
		"# a comment\n\nA=1\r\nexport B = two words # why\nC='x # y'\nD=\"z\"\nE=\n  F=a#b\nA=3";
	static const char *const expected[] = { "A=1", "B=two words", "C=x # y", "D=z", "E=", "F=a#b", "A=3" };
	struct compose_variable *got = NULL;
	struct error error = { 0 };
	size_t n = 0;

	assert_int_equal(compose_env_parse(text, strlen(text), ".env", &got, &n, &error), 0);
	assert_int_equal(n, ELEMENTSOF(expected));
	for (size_t i = 0; i < n; i++) {
		char line[100];

		snprintf(line, sizeof(line), "%s=%s", got[i].name, got[i].value);
		assert_string_equal(line, expected[i]);
	}
	compose_env_free(got, n);
	assert_int_equal(compose_env_parse("A=1\n1=2", 7, ".env", &got, &n, &error), -EINVAL);
	assert_string_equal(error.text, ".env:2:1: a line has to be NAME=value");
}

/* All of a file as one text. */
static char *compose_text(const struct compose *compose)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "%s:", compose->project);
	for (size_t i = 0; i < compose->n_services; i++) {
		const struct compose_service *service = &compose->services[i];
		_cleanup_free_ char *ports = ports_text(service->ports, service->n_ports);

		fprintf(out, " %s=%s%s", service->name, service->container, service->off ? " off" : "");
		if (service->mode)
			fprintf(out, " mode %s", service->mode);
		for (size_t k = 0; k < service->n_networks; k++) {
			const struct compose_network *network = &compose->networks[service->networks[k]];

			fprintf(out, " on %s%s%s%s", network->name, network->internal ? "!" : "",
				network->external ? "*" : "", network->icc ? "" : "/");
			for (size_t s = 0; s < network->n_subnets; s++) {
				char subnet[PREFIX_TEXT_MAX];

				fprintf(out, " %s", prefix_text(&network->subnets[s], subnet));
			}
		}
		for (size_t k = 0; k < service->n_requests; k++)
			fprintf(out, " %s=%s", service->requests[k].key, service->requests[k].text);
		fprintf(out, "%s%s;", *ports ? " " : "", ports);
	}
	for (size_t i = 0; i < compose->n_notes; i++)
		fprintf(out, " [%s]", compose->notes[i]);
	fclose(out);
	return text;
}

static void test_files(void **state)
{
	static const struct {
		const char *about, *yaml, *text;
	} rows[] = {
		{ "the least", "services: {web: {image: x}}", "myshop_1: web=myshop_1-web-1 on myshop_1_default;" },
		{ "a name, a container's name", "name: shop\nservices: {web: {container_name: front}}",
		  "shop: web=front on shop_default;" },
		{ "a name by a variable", "name: ${NAME:-shop}\nservices: {web: {}}",
		  "shop: web=shop-web-1 on shop_default;" },
		{ "short ports",
		  "name: p\nservices:\n  a:\n    ports:\n    - \"8080:80\"\n    - 3000\n    - ${HOST}:$PORT:1/udp",
		  "p: a=p-a-1 on p_default 8080:80/tcp, 0:3000/tcp, 127.0.0.1 8080:1/udp;" },
		{ "long ports",
		  "name: p\nservices:\n  a:\n    ports:\n    - {target: 80, published: \"8080\", host_ip: 127.0.0.1, protocol: udp, mode: host}\n"
		  "    - {target: 81}\n    - {target: 82, host_ip: \"::1\"}\n    - {target: 83, published: 9000-9002}\n"
		  "    - {name: w, app_protocol: http, target: 84, published: 84}",
		  "p: a=p-a-1 on p_default 127.0.0.1 8080:80/udp, 0:81/tcp, ::1 0:82/tcp, 9000-9002:83/tcp, 84:84/tcp;" },
		{ "networks in a list and in a mapping",
		  "name: p\nservices:\n  a: {networks: [x, default]}\n  b: {networks: {x: {aliases: [q]}, y: }}\n"
		  "networks:\n  x: {internal: true}\n  y: {external: true}\n",
		  "p: a=p-a-1 on p_x! on p_default; b=p-b-1 on p_x! on y*;" },
		{ "names and subnets of networks",
		  "name: p\nservices: {a: {networks: [x, y]}}\nnetworks:\n  x: {name: mine, ipam: {config: [{subnet: 10.1.2.0/24}, "
		  "{subnet: \"fd00::/64\"}]}}\n  y: {external: {name: theirs}}\n",
		  "p: a=p-a-1 on mine 10.1.2.0/24 fd00::/64 on theirs*;" },
		{ "the default network said",
		  "name: p\nservices: {a: {}}\nnetworks: {default: {driver_opts: {com.docker.network.bridge.enable_icc: \"false\"}}}",
		  "p: a=p-a-1 on p_default/;" },
		{ "the host's network",
		  "name: p\nservices: {a: {network_mode: host}, b: {network_mode: \"service:a\"}}",
		  "p: a=p-a-1 mode host; b=p-b-1 mode service:a;" },
		{ "profiles", "name: p\nservices: {a: {profiles: [debug]}, b: {profiles: [other]}, c: {profiles: []}}",
		  "p: a=p-a-1 on p_default; b=p-b-1 off on p_default; c=p-c-1 on p_default; [b: left out: none of its profiles is on]" },
		{ "labels for spr",
		  "name: p\nservices: {a: {labels: {spr.groups: media, x: y}}, b: {labels: [\"spr.policies=wan\", z=1]}}",
		  "p: a=p-a-1 on p_default groups=media; b=p-b-1 on p_default policies=wan;" },
		{ "anchors and merged keys",
		  "name: p\nx-base: &base\n  ports: [\"1:1\"]\n  networks: [x]\nnetworks: {x: }\nservices:\n  a: {<<: *base}\n"
		  "  b: {<<: [*base], ports: [\"2:2\"]}\n",
		  "p: a=p-a-1 on p_x 1:1/tcp; b=p-b-1 on p_x 2:2/tcp;" },
		{ "what is not followed",
		  "name: p\ninclude: [x.yaml]\nmodels: {m: {}}\nservices: {a: {extends: {service: b}, deploy: {replicas: 3}}, b: {provider: {type: q}}}",
		  "p: a=p-a-1 on p_default; b=p-b-1 off on p_default; [include is not followed: services of other files are missing here] "
		  "['models' is not understood, and left out] [a: 3 containers of it: the first is looked at, the others are like it] "
		  "[a: extends is not followed: ports and networks of there are missing here] "
		  "[b: left out: it is run by a provider, not as a container]" },
		{ "a variable that is not set", "name: p\nservices:\n  a:\n    ports: [\"${NO}80\"]",
		  "p: a=p-a-1 on p_default 0:80/tcp; [line 4: the variable NO is not set: taken for nothing]" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(compose_freep) struct compose *compose = NULL;
		_cleanup_free_ char *text = NULL;
		struct error error = { 0 };

		if (parse(rows[i].yaml, &compose, &error) < 0)
			fail_msg("%s: %s", rows[i].about, error.text);
		text = compose_text(compose);
		if (strcmp(text, rows[i].text) != 0)
			fail_msg("%s:\n%s\ninstead of\n%s", rows[i].about, text, rows[i].text);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *yaml, *part;
	} rows[] = {
		{ "", "c.yaml:1:1: a compose file is a mapping with services" },
		{ "[1]", "c.yaml:1:1: " },
		{ "volumes: {}", "there are no services here" },
		{ "services: [a]", "c.yaml:1:11: services has to be a mapping" },
		{ "services: {a: 3}", "c.yaml:1:15: a service has to be a mapping" },
		{ "services:\n  a:\n    ports: 80", "c.yaml:3:12: ports has to be a list" },
		{ "services:\n  a:\n    ports:\n    - \"80:http\"", "c.yaml:4:7: '80:http' is no published port" },
		{ "services:\n  a:\n    ports: [{published: 80}]", "c.yaml:3:13: a port needs a target" },
		{ "services:\n  a:\n    ports: [{target: 80, publish: 80}]", "did you mean 'published'?" },
		{ "services:\n  a:\n    ports: [{target: 80, published: [80]}]", "c.yaml:3:37: this has to be a text" },
		{ "services:\n  a:\n    ports: [\"${X:?no port}\"]",
		  "c.yaml:3:13: the variable X has to be set: no port" },
		{ "services:\n  a:\n    ports: [\"${X\"]", "c.yaml:3:13: '${X' is no variable" },
		{ "services:\n  a: {networks: [x]}", "c.yaml:2:18: there is no network 'x' below networks" },
		{ "services: {a: {networks: [x]}}\nnetworks: {x: 3}", "c.yaml:2:15: a network has to be a mapping" },
		{ "services: {a: {networks: [x]}}\nnetworks: {x: {internal: maybe}}",
		  "c.yaml:2:26: this has to be true or false" },
		{ "services: {a: {networks: [x]}}\nnetworks: {x: {ipam: {config: [{subnet: ten}]}}}",
		  "c.yaml:2:41: this has to be a subnet" },
		{ "services: {a: {network_mode: host, networks: [default]}}", "cannot both be said" },
		{ "services: {\"a b\": {}}", "'a b' is no name of a service" },
		{ "name: Shop\nservices: {a: {}}", "c.yaml:1:7: 'Shop' is no name of a project" },
		{ "name: \"\"\nservices: {a: {}}", "is no name of a project" },
		{ "services:\n\ta: {}", "c.yaml:2:1: a tab cannot indent YAML" },
		{ "services: {a: {}, a: {}}", "c.yaml:1:19: the key 'a' is here twice" },
		{ "services: {a: *x}", "c.yaml:1:15: there is no anchor &x before this alias" },
		{ "services: &s {a: *s}", "there is no anchor &s" },
		{ "services: {a: !reset {}}", "tags (!name) are not used here" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(compose_freep) struct compose *compose = NULL;
		struct error error = { 0 };

		if (parse(rows[i].yaml, &compose, &error) >= 0)
			fail_msg("taken: %s", rows[i].yaml);
		if (!strstr(error.text, rows[i].part))
			fail_msg("%s:\n'%s' instead of '%s'", rows[i].yaml, error.text, rows[i].part);
	}
}

static const char machine[] = "interface eth0 192.168.1.5/24\nroute default eth0 192.168.1.1\n"
			      "bridge br-m 172.30.1.1/24\nnetwork media br-m 172.30.1.0/24\n"
			      "container db media 172.30.1.10 port=0.0.0.0:5432:5432/tcp\n"
			      "container shop-old-1 media 172.30.1.11 service=shop/old port=0.0.0.0:8080:80/tcp\n"
			      "resolver 9.9.9.9\n";

/* Who reaches the ports of service `i`: "8080: internet, upstream; 81: " */
static char *who(const char *yaml, const char *policy, size_t i, char **ret_notes)
{
	struct world world = world_new(machine, policy, NULL, NOW);
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_copy(world.inventory);
	_cleanup_(class_book_freep) struct class_book *book = class_book_new(1);
	_cleanup_(compose_freep) struct compose *compose = NULL;
	_cleanup_(model_freep) struct model *model = NULL;
	const struct container *container;
	struct senders senders = { 0 };
	char *text = NULL, id[32];
	struct error error = { 0 };
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (parse(yaml, &compose, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(compose_place(compose, inventory), 0);
	assert_int_equal(model_new(world.policy, inventory, book, NOW, &model, &error), 0);
	snprintf(id, sizeof(id), COMPOSE_ID "%zu", i);
	container = inventory_container(inventory, id);
	assert_non_null(container);
	assert_int_equal(senders_find(model, &senders), 0);
	for (size_t k = 0; k < container->n_ports; k++) {
		struct lines reachers = { 0 };

		if (container->ports[k].host.family != AF_INET)
			continue;
		for (size_t l = 0; l < model->n_locations; l++)
			if (model->locations[l].container == container)
				assert_int_equal(port_reachers(model, &senders, &model->locations[l],
							       &container->ports[k], &reachers),
						 0);
		fprintf(out, "%s%u:", k ? "; " : "", container->ports[k].host_port);
		for (size_t n = 0; n < reachers.n; n++)
			fprintf(out, "%s %s", n ? "," : "", reachers.text[n]);
		lines_clear(&reachers);
	}
	senders_clear(&senders);
	fclose(out);
	*ret_notes = strdup(compose->n_notes ? compose->notes[0] : "");
	world_free(&world);
	return text;
}

static void test_who(void **state)
{
#define WEB "name: shop\nservices:\n  web:\n    ports: "
	static const struct {
		const char *about, *yaml, *policy, *who, *note;
	} rows[] = {
		{ "closed", WEB "[\"8081:80\"]", "", "8081:", "" },
		{ "published by its service", WEB "[\"8081:80\"]",
		  "containers: [{name: shop/web, policies: [], publish: [{port: 8081/tcp, to: [internet, db]}]}]",
		  "8081: db, internet", "" },
		{ "published by the container's name", WEB "[\"8081:80\"]",
		  "containers: [{name: shop-web-1, policies: [], publish: [{port: 8081/tcp, to: [lan]}]}]", "8081: lan",
		  "" },
		{ "another port", WEB "[\"8081:80\"]",
		  "containers: [{name: shop/web, policies: [], publish: [{port: 8082/tcp, to: [internet]}]}]",
		  "8081:", "" },
		{ "a group of its network", WEB "[\"8081:80\"]",
		  "groups: [{name: g}]\nnetworks: [{name: shop_default, groups: [g]}]\ncontainers: [{name: db, policies: [], groups: [g]}]",
		  "8081: db", "" },
		{ "an allow for the container's port", WEB "[\"8081:80\", \"8082:81\"]",
		  "allow: [{from: internet, to: \"container:shop/web\", ports: [80/tcp]}]",
		  "8081: internet; 8082:", "" },
		{ "bound to this machine", WEB "[\"127.0.0.1:8081:80\"]",
		  "containers: [{name: shop/web, policies: [], publish: [{port: 8081/tcp, to: [internet]}]}]",
		  "8081:", "" },
		{ "bound to an interface's address", WEB "[\"192.168.1.5:8081:80\"]",
		  "containers: [{name: shop/web, policies: [], publish: [{port: 8081/tcp, to: [internet, db]}]}]",
		  "8081: internet", "" },
		{ "labels alone are requests", WEB "[\"8081:80\"]\n    labels: {spr.publish: \"8081/tcp:internet\"}",
		  "", "8081:", "" },
		{ "labels that are trusted", WEB "[\"8081:80\"]\n    labels: {spr.publish: \"8081/tcp:internet\"}",
		  "settings: {labels: trust}", "8081: internet", "" },
		{ "an internal network", WEB "[\"8081:80\"]\nnetworks: {default: {internal: true}}",
		  "containers: [{name: shop/web, policies: [], publish: [{port: 8081/tcp, to: [internet]}]}]",
		  "8081:", "" },
		{ "on a network that is here",
		  WEB "[\"8081:80\"]\n    networks: [m]\nnetworks: {m: {external: true, name: media}}",
		  "containers: [{name: shop/web, policies: [], publish: [{port: 8081/tcp, to: [internet]}]}]",
		  "8081: internet", "" },
		{ "on one that is not", WEB "[\"8081:80\"]\n    networks: [m]\nnetworks: {m: {external: true}}", "",
		  "8081:", "network m is external, and not here: it has to be made first; taken as an ordinary one" },
		{ "a port that somebody has", WEB "[\"5432:80\"]", "",
		  "5432:", "line 4: web: port 5432 is published by db: it will not start" },
		{ "what is made anew", "name: shop\nservices:\n  old:\n    ports: [\"8080:80\"]",
		  "containers: [{name: shop/old, policies: [], publish: [{port: 8080/tcp, to: [internet]}]}]",
		  "8080: internet", "" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *note = NULL, *text = who(rows[i].yaml, rows[i].policy, 0, &note);

		if (strcmp(text, rows[i].who) != 0)
			fail_msg("%s: '%s' instead of '%s'", rows[i].about, text, rows[i].who);
		if (strcmp(note, rows[i].note) != 0)
			fail_msg("%s: '%s' instead of '%s'", rows[i].about, note, rows[i].note);
	}
}

/* A copy says the same, and grows on its own. */
static void test_copy(void **state)
{
	_cleanup_(inventory_freep) struct inventory *one = world_inventory(machine), *copy = inventory_copy(one);
	struct compose *compose = NULL;
	struct error error = { 0 };

	assert_int_equal(copy->n_interfaces, one->n_interfaces);
	assert_int_equal(copy->n_routes, one->n_routes);
	assert_int_equal(copy->n_endpoints, one->n_endpoints);
	assert_int_equal(copy->n_containers, 2);
	for (size_t i = 0; i < one->n_networks; i++)
		assert_true(network_equal(&one->networks[i], &copy->networks[i]));
	for (size_t i = 0; i < one->n_endpoints; i++)
		assert_true(endpoint_equal(&one->endpoints[i], &copy->endpoints[i]));
	for (size_t i = 0; i < one->n_containers; i++)
		assert_true(container_equal(&one->containers[i], &copy->containers[i]));
	assert_int_equal(addr_compare(&copy->resolver, &one->resolver), 0);
	assert_int_equal(parse("name: shop\nservices: {old: {}, new: {}}", &compose, &error), 0);
	assert_int_equal(compose_place(compose, copy), 0);
	compose_free(compose);
	assert_int_equal(copy->n_containers, 3);
	assert_int_equal(copy->n_networks, 2);
	assert_int_equal(one->n_containers, 2);
	assert_int_equal(one->n_networks, 1);
}

/* Little text of which aliases make much: it is refused, and soon. */
struct bomb {
	const char *part; /* of the sentence */
	void (*write)(FILE *out);
};

/* Each level brings the one below nine times: of the lowest, 9 to the power of 8. */
static void write_merges(FILE *out)
{
	fputs("x-0: &m0 {a: b}\n", out);
	for (int i = 1; i < 12; i++) {
		fprintf(out, "x-%d: &m%d {\"<<\": [", i, i);
		for (int k = 0; k < 9; k++)
			fprintf(out, "*m%d,", i - 1);
		fputs("]}\n", out);
	}
	fputs("services: {web: *m11}\n", out);
}

/* Each anchor holds the one before. */
static void write_chain(FILE *out)
{
	fputs("x-0: &a0 {}\n", out);
	for (int i = 1; i < 20000; i++)
		fprintf(out, "x-%d: &a%d {\"<<\": *a%d}\n", i, i, i - 1);
	fputs("services: {web: {networks: *a19999}}\n", out);
}

static void write_anchors(FILE *out)
{
	fputs("x-l: [", out);
	for (int i = 0; i < 20000; i++)
		fprintf(out, "&a%d x, ", i);
	fputs("]\nservices: {web: {}}\n", out);
}

/* A thousand services with one list of many labels, each of them empty. */
static void write_lists(FILE *out)
{
	fputs("x-l: &l [", out);
	for (int i = 0; i < 100000; i++)
		fputs("a,", out);
	fputs("]\nservices:\n", out);
	for (int i = 0; i < 900; i++)
		fprintf(out, "  s%d: {labels: *l}\n", i);
}

static void write_long(FILE *out)
{
	fputs("services: {web: {}}\n#", out);
	for (int i = 0; i < 1 << 20; i++)
		fputc('x', out);
}

static void write_networks(FILE *out)
{
	fputs("services:\n  web:\n    networks: [", out);
	for (int i = 0; i < 5000; i++)
		fprintf(out, "n%d,", i);
	fputs("]\nnetworks:\n", out);
	for (int i = 0; i < 5000; i++)
		fprintf(out, "  n%d: {}\n", i);
}

static void test_bombs(void **state)
{
	static const struct bomb bombs[] = {
		{ "make more of this file", write_merges }, { "more than 32 deep", write_chain },
		{ "more than 500 anchors", write_anchors }, { "make more of this file", write_lists },
		{ "at most 1048576 are read", write_long }, { "more than 500 networks", write_networks },
	};

	for (size_t i = 0; i < ELEMENTSOF(bombs); i++) {
		_cleanup_(compose_freep) struct compose *compose = NULL;
		_cleanup_free_ char *text = NULL;
		struct error error = { 0 };
		size_t size;
		FILE *out = open_memstream(&text, &size);
		clock_t start = clock();

		bombs[i].write(out);
		fclose(out);
		if (parse(text, &compose, &error) >= 0 || !strstr(error.text, bombs[i].part))
			fail_msg("%zu: %s", i, error.text);
		if (clock() - start > 5 * CLOCKS_PER_SEC)
			fail_msg("%zu: takes long", i);
	}
}

/* The same network twice is one. */
static void test_network_once(void **state)
{
	_cleanup_(compose_freep) struct compose *compose = NULL;
	struct error error = { 0 };

	assert_int_equal(parse("services: {web: {networks: [a, b, a, a]}}\nnetworks: {a: {}, b: {}}", &compose, &error),
			 0);
	assert_int_equal(compose->services[0].n_networks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),	cmocka_unit_test(test_variables),    cmocka_unit_test(test_env),
		cmocka_unit_test(test_bombs),	cmocka_unit_test(test_network_once), cmocka_unit_test(test_files),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_who),	     cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
