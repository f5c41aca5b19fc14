/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "engine/docker_parse.h"
#include "engine/docker_track.h"

#define C1 "1111111111111111111111111111111111111111111111111111111111111111"
#define C2 "2222222222222222222222222222222222222222222222222222222222222222"
#define N1 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define N2 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define EP1 "\"" C1 "\":{\"Name\":\"web\",\"MacAddress\":\"02:42:ac:12:00:02\",\"IPv4Address\":\"172.18.0.2/16\"}"
#define EP2 "\"" C2 "\":{\"Name\":\"db\",\"MacAddress\":\"02:42:ac:12:00:03\",\"IPv4Address\":\"172.18.0.3/16\"}"
#define BUILD "\"ep-77\":{\"Name\":\"\",\"MacAddress\":\"02:42:ac:12:00:09\",\"IPv4Address\":\"172.18.0.9/16\"}"
#define NETWORK(id, endpoints)                                                                                         \
	"{\"Name\":\"neta\",\"Id\":\"" id                                                                              \
	"\",\"Driver\":\"bridge\",\"IPAM\":{\"Config\":[{\"Subnet\":\"172.18.0.0/16\","                                \
	"\"Gateway\":\"172.18.0.1\"}]},\"Containers\":{" endpoints "},\"Options\":{}}"
#define CONTAINER(id, name, rest)                                                                                      \
	"{\"Id\":\"" id "\",\"Names\":[\"/" name                                                                       \
	"\"],\"Image\":\"bb\",\"ImageID\":\"sha256:77\",\"State\":\"running\"" rest "}"

static int parse_network(const char *text, struct docker_network *ret)
{
	return docker_parse_network(text, strlen(text), ret, NULL);
}

static void network_whole(void **state)
{
	static const char text[] =
		"{\"Name\":\"media_default\",\"Id\":\"" N1
		"\",\"Scope\":\"local\",\"Driver\":\"bridge\",\"EnableIPv6\":true,"
		"\"IPAM\":{\"Driver\":\"default\",\"Options\":null,\"Config\":[{\"Subnet\":\"172.18.5.7/16\",\"Gateway\":"
		"\"172.18.0.1\"},{\"Subnet\":\"2001:db8:5::/64\",\"Gateway\":\"2001:db8:5::1/64\"}]},\"Internal\":true,"
		"\"Containers\":{\"" C1
		"\":{\"Name\":\"web\",\"EndpointID\":\"x\",\"MacAddress\":\"02:42:AC:12:00:02\","
		"\"IPv4Address\":\"172.18.0.2/16\",\"IPv6Address\":\"2001:db8:5::2/64\"}," BUILD "},"
		"\"Options\":{\"com.docker.network.bridge.enable_icc\":\"false\",\"com.docker.network.bridge.name\":"
		"\"br-media\"},\"Labels\":{}}";
	_cleanup_(docker_network_clear) struct docker_network network = { 0 };
	const struct endpoint *endpoint;
	char buffer[PREFIX_TEXT_MAX];

	assert_int_equal(parse_network(text, &network), 0);
	assert_string_equal(network.network.engine, "docker");
	assert_string_equal(network.network.id, N1);
	assert_string_equal(network.network.name, "media_default");
	assert_string_equal(network.network.driver, "bridge");
	assert_string_equal(network.network.bridge, "br-media");
	assert_true(network.network.internal);
	assert_false(network.network.icc);
	assert_int_equal(network.network.n_subnets, 2);
	assert_string_equal(prefix_text(&network.network.subnets[0], buffer), "172.18.0.0/16");
	assert_string_equal(prefix_text(&network.network.subnets[1], buffer), "2001:db8:5::/64");
	assert_int_equal(network.network.n_gateways, 2);
	assert_string_equal(addr_text(&network.network.gateways[1], buffer), "2001:db8:5::1");
	assert_int_equal(network.n_endpoints, 2);
	for (size_t i = 0; i < 2; i++) {
		endpoint = &network.endpoints[i];
		assert_string_equal(endpoint->network, N1);
		if (endpoint->container[0]) {
			assert_string_equal(endpoint->container, C1);
			assert_string_equal(endpoint->name, "web");
			assert_string_equal(addr_text(&endpoint->ip4, buffer), "172.18.0.2");
			assert_string_equal(addr_text(&endpoint->ip6, buffer), "2001:db8:5::2");
			assert_memory_equal(endpoint->mac, "\x02\x42\xac\x12\x00\x02", 6);
		} else {
			assert_string_equal(endpoint->name, "");
			assert_string_equal(addr_text(&endpoint->ip4, buffer), "172.18.0.9");
			assert_int_equal(endpoint->ip6.family, 0);
		}
	}
}

static void network_bridge_names(void **state)
{
	static const struct {
		const char *driver, *options, *bridge;
		bool icc;
	} cases[] = {
		{ "bridge", "{}", "br-aaaaaaaaaaaa", true },
		{ "bridge", "null", "br-aaaaaaaaaaaa", true },
		{ "bridge", "{\"com.docker.network.bridge.name\":\"docker0\"}", "docker0", true },
		{ "bridge", "{\"com.docker.network.bridge.name\":\"a/b\"}", "", true },
		{ "bridge", "{\"com.docker.network.bridge.name\":\"..\"}", "", true },
		{ "bridge", "{\"com.docker.network.bridge.name\":\"a b\"}", "", true },
		{ "bridge", "{\"com.docker.network.bridge.name\":\"a\\u0000b\"}", "br-aaaaaaaaaaaa", true },
		{ "bridge", "{\"com.docker.network.bridge.name\":\"sixteen-letters-\"}", "", true },
		{ "bridge", "{\"com.docker.network.bridge.name\":7}", "br-aaaaaaaaaaaa", true },
		{ "macvlan", "{\"parent\":\"eth0\"}", "", true },
		{ "bridge", "{\"com.docker.network.bridge.enable_icc\":\"true\"}", "br-aaaaaaaaaaaa", true },
		{ "bridge", "{\"com.docker.network.bridge.enable_icc\":\"0\"}", "br-aaaaaaaaaaaa", false },
		{ "bridge", "{\"com.docker.network.bridge.enable_icc\":true}", "br-aaaaaaaaaaaa", false },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(docker_network_clear) struct docker_network network = { 0 };
		char text[500];

		snprintf(text, sizeof(text), "{\"Id\":\"" N1 "\",\"Name\":\"n\",\"Driver\":\"%s\",\"Options\":%s}",
			 cases[i].driver, cases[i].options);
		assert_int_equal(parse_network(text, &network), 0);
		assert_string_equal(network.network.bridge, cases[i].bridge);
		assert_int_equal(network.network.icc, cases[i].icc);
	}
}

/* Options by which Docker leaves a network open; what it does not know is as if it were not there. */
static void network_openness(void **state)
{
#define MODE "com.docker.network.bridge.gateway_mode_ipv"
	static const struct {
		const char *options;
		enum gateway_mode four, six;
		bool trusts;
	} cases[] = {
		{ "{}", GATEWAY_NAT, GATEWAY_NAT, false },
		{ "null", GATEWAY_NAT, GATEWAY_NAT, false },
		{ "{\"" MODE "4\":\"nat-unprotected\"}", GATEWAY_UNPROTECTED, GATEWAY_NAT, false },
		{ "{\"" MODE "6\":\"nat-unprotected\",\"" MODE "4\":\"nat\"}", GATEWAY_NAT, GATEWAY_UNPROTECTED,
		  false },
		{ "{\"" MODE "6\":\"routed\",\"" MODE "4\":\"isolated\"}", GATEWAY_ISOLATED, GATEWAY_ROUTED, false },
		{ "{\"" MODE "4\":\"NAT-UNPROTECTED\",\"" MODE "6\":7}", GATEWAY_NAT, GATEWAY_NAT, false },
		{ "{\"com.docker.network.bridge.trusted_host_interfaces\":\"eth1:eth2\"}", GATEWAY_NAT, GATEWAY_NAT,
		  true },
		{ "{\"com.docker.network.bridge.trusted_host_interfaces\":\"\"}", GATEWAY_NAT, GATEWAY_NAT, false },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(docker_network_clear) struct docker_network network = { 0 };
		char text[500];

		snprintf(text, sizeof(text), "{\"Id\":\"" N1 "\",\"Name\":\"n\",\"Driver\":\"bridge\",\"Options\":%s}",
			 cases[i].options);
		assert_int_equal(parse_network(text, &network), 0);
		assert_int_equal(network.network.gateway4, cases[i].four);
		assert_int_equal(network.network.gateway6, cases[i].six);
		assert_int_equal(network.network.trusts, cases[i].trusts);
	}
}

/* Docker's own NAT of what leaves a network: `internal` and a mode without NAT have none. */
static void network_masquerade(void **state)
{
	static const struct {
		const char *rest;
		bool masquerade;
	} cases[] = {
		{ "\"Options\":{}", true },
		{ "\"Internal\":true", false },
		{ "\"Options\":{\"com.docker.network.bridge.enable_ip_masquerade\":\"true\"}", true },
		{ "\"Options\":{\"com.docker.network.bridge.enable_ip_masquerade\":\"false\"}", false },
		{ "\"Options\":{\"com.docker.network.bridge.enable_ip_masquerade\":7}", false },
		{ "\"Options\":{\"com.docker.network.bridge.gateway_mode_ipv4\":\"nat\"}", true },
		{ "\"Options\":{\"com.docker.network.bridge.gateway_mode_ipv4\":\"nat-unprotected\"}", true },
		{ "\"Options\":{\"com.docker.network.bridge.gateway_mode_ipv4\":\"routed\"}", false },
		{ "\"Options\":{\"com.docker.network.bridge.gateway_mode_ipv4\":\"isolated\"}", false },
		{ "\"Options\":{\"com.docker.network.host_ipv4\":\"10.99.0.7\"}", false },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(docker_network_clear) struct docker_network network = { 0 };
		char text[500];

		snprintf(text, sizeof(text), "{\"Id\":\"" N1 "\",\"Name\":\"n\",\"Driver\":\"bridge\",%s}",
			 cases[i].rest);
		assert_int_equal(parse_network(text, &network), 0);
		assert_int_equal(network.network.masquerade, cases[i].masquerade);
	}
}

/* What is wrong is left out; the network itself is there. */
static void network_hostile(void **state)
{
	static const char *const texts[] = {
		"{\"Id\":\"" N1 "\"}",
		"{\"Id\":\"" N1
		"\",\"Name\":7,\"Driver\":[],\"Internal\":\"true\",\"IPAM\":[],\"Containers\":[1],\"Options\":1}",
		"{\"Id\":\"" N1 "\",\"IPAM\":{\"Config\":{\"Subnet\":\"10.0.0.0/8\"}},\"Containers\":null}",
		"{\"Id\":\"" N1 "\",\"IPAM\":{\"Config\":[1,{\"Subnet\":1,\"Gateway\":{}},{\"Subnet\":\"10.0.0.0/33\"},"
		"{\"Subnet\":\"0.0.0.0/0\"},{\"Subnet\":\"::/0\"},{\"Gateway\":\"gw.example\"},{\"Gateway\":\"127.0.0.1\"}]}}",
		"{\"Id\":\"" N1 "\",\"Containers\":{\"" C1
		"\":{\"IPv4Address\":\"\",\"IPv6Address\":\"\"},\"x\":1,\"y\":"
		"{\"IPv4Address\":\"2001:db8::1/64\",\"IPv6Address\":\"10.0.0.1\"},\"z\":{\"IPv4Address\":\"0.0.0.0/0\"},"
		"\"\":{\"IPv4Address\":\"127.0.0.1/8\"},\"m\":{\"IPv4Address\":\"224.0.0.1\",\"IPv6Address\":\"ff02::1\"},"
		"\"w\":{\"IPv4Address\":\"10.0.0.1\\u0000\"},\"v\":{\"IPv4Address\":\" 10.0.0.1\"}}}",
	};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_(docker_network_clear) struct docker_network network = { 0 };

		assert_int_equal(parse_network(texts[i], &network), 0);
		assert_string_equal(network.network.name, "?");
		assert_string_equal(network.network.driver, "?");
		assert_string_equal(network.network.bridge, "");
		assert_int_equal(network.network.n_subnets + network.network.n_gateways + network.n_endpoints, 0);
		assert_false(network.network.internal);
	}
}

static void network_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"7",
		"{",
		"{}",
		"{\"Id\":7}",
		"{\"Id\":\"\"}",
		"{\"Id\":\"../../images/x\"}",
		"{\"Id\":\"a b\"}",
		"{\"Id\":\"a\\u0000\"}",
		"{\"Id\":\"..\"}",
		"{\"Id\":\"" N1 N1 "a\"}",
		"{\"Id\":\"" N1 "\"} x",
		"{\"Id\":\"\xff\"}",
		"{\"Id\":\"a?x=1\"}",
		"{\"Id\":\"a%2f\"}",
	};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		struct docker_network network = { 0 };
		struct error error = { 0 };

		assert_int_equal(docker_parse_network(texts[i], strlen(texts[i]), &network, &error), -EINVAL);
		assert_int_equal(error.code, EINVAL);
		assert_null(network.network.id);
	}
}

static void names_checked(void **state)
{
	static const struct {
		const char *json, *name;
	} cases[] = {
		{ "web", "web" },
		{ "caf\\u00e9 \xe2\x98\x95 \xf0\x9f\x90\xb3", "caf\xc3\xa9 \xe2\x98\x95 \xf0\x9f\x90\xb3" },
		{ "", "?" },
		{ "a\\nb", "?" },
		{ "a\\u001b[2Jb", "?" },
		{ "a\\u0000b", "?" },
		{ "a\\u007f", "?" },
		{ "a\\u0085", "?" }, /* C1 */
		{ "a\\u202egnp", "?" }, /* right to left */
		{ "a\\u200bb", "?" }, /* no width */
		{ "a\\ufeffb", "?" },
		{ "\\udb40\\udc41", "?" }, /* tags */
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(docker_network_clear) struct docker_network network = { 0 };
		char text[400];

		snprintf(text, sizeof(text), "{\"Id\":\"" N1 "\",\"Name\":\"%s\"}", cases[i].json);
		assert_int_equal(parse_network(text, &network), 0);
		assert_string_equal(network.network.name, cases[i].name);
	}
	for (size_t length = DOCKER_NAME_MAX; length <= DOCKER_NAME_MAX + 1; length++) {
		_cleanup_(docker_network_clear) struct docker_network network = { 0 };
		char text[DOCKER_NAME_MAX + 200], name[DOCKER_NAME_MAX + 2];

		memset(name, 'x', length);
		name[length] = '\0';
		snprintf(text, sizeof(text), "{\"Id\":\"" N1 "\",\"Name\":\"%s\"}", name);
		assert_int_equal(parse_network(text, &network), 0);
		assert_string_equal(network.network.name, length > DOCKER_NAME_MAX ? "?" : name);
	}
}

static void macs_checked(void **state)
{
	static const char *const bad[] = { "",
					   "02:42:ac:12:00",
					   "02:42:ac:12:00:2",
					   "02-42-ac-12-00-02",
					   "02:42:ac:12:00:0g",
					   "02:42:ac:12:00:02:03",
					   "::::::::::::::::: ",
					   "0242:ac:12:00:022" };

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		_cleanup_(docker_network_clear) struct docker_network network = { 0 };
		char text[400];

		snprintf(text, sizeof(text),
			 "{\"Id\":\"" N1
			 "\",\"Containers\":{\"x\":{\"IPv4Address\":\"10.0.0.1/8\",\"MacAddress\":\"%s\"}}}",
			 bad[i]);
		assert_int_equal(parse_network(text, &network), 0);
		assert_int_equal(network.n_endpoints, 1);
		assert_memory_equal(network.endpoints[0].mac, "\0\0\0\0\0\0", 6);
	}
}

static void containers_parsed(void **state)
{
	static const char text[] = "[" CONTAINER(
		C1, "web",
		",\"Labels\":{\"com.docker.compose.project\":\"media\",\"com.docker.compose.service\":\"jelly\"},"
		"\"Ports\":[{\"IP\":\"::\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
		"{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
		"{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
		"{\"PrivatePort\":443,\"Type\":\"tcp\"},{\"IP\":\"127.0.0.1\",\"PrivatePort\":53,\"PublicPort\":53,"
		"\"Type\":\"udp\"},{\"PrivatePort\":1,\"PublicPort\":2,\"Type\":\"sctp\"}],"
		"\"HostConfig\":{\"NetworkMode\":\"neta\"}") ","
							     "{\"Id\":\"" C2
							     "\",\"Names\":[\"/other/alias\",\"/db\"],\"State\":\"exited\",\"Ports\":[{\"IP\":\"0.0.0.0\","
							     "\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"}],\"HostConfig\":{\"NetworkMode\":\"host\"}}]";
	struct docker_container *containers;
	const struct port_binding *ports;
	size_t n;

	assert_int_equal(docker_parse_containers(text, strlen(text), &containers, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_string_equal(containers[0].container.name, "web");
	assert_string_equal(containers[0].container.image, "bb");
	assert_string_equal(containers[0].container.project, "media");
	assert_string_equal(containers[0].container.service, "jelly");
	assert_string_equal(containers[0].image_id, "sha256:77");
	assert_true(containers[0].container.running);
	assert_false(containers[0].container.host_network);
	assert_int_equal(containers[0].container.n_ports, 5);
	ports = containers[0].container.ports;
	assert_int_equal(ports[0].proto, IPPROTO_TCP);
	assert_int_equal(ports[0].host.family, AF_INET);
	assert_int_equal(ports[1].host.family, AF_INET6);
	assert_int_equal(ports[2].proto, IPPROTO_UDP);
	assert_true(addr_is_loopback(&ports[2].host));
	assert_int_equal(ports[4].proto, IPPROTO_SCTP);
	assert_string_equal(containers[1].container.name, "db");
	assert_false(containers[1].container.running);
	assert_true(containers[1].container.host_network);
	assert_int_equal(containers[1].container.n_ports, 0);
	assert_null(containers[1].container.project);
	docker_containers_free(containers, n);
}

static void containers_hostile(void **state)
{
	static const char text[] =
		"[1,{},{\"Id\":\"short\"},{\"Id\":\"" C1
		"\",\"Names\":[1,\"x\",\"/\\u0007\"],\"Image\":{},\"ImageID\":\"x\","
		"\"State\":\"running\",\"Labels\":{\"com.docker.compose.project\":\"a\\nb\",\"com.docker.compose.service\":7},"
		"\"Ports\":[1,{},{\"IP\":7,\"PrivatePort\":1,\"PublicPort\":1,\"Type\":\"tcp\"},{\"IP\":\"x\",\"PrivatePort\":1,"
		"\"PublicPort\":1,\"Type\":\"tcp\"},{\"IP\":\"1.2.3.4\",\"PrivatePort\":70000,\"PublicPort\":1,\"Type\":\"tcp\"},"
		"{\"IP\":\"1.2.3.4\",\"PrivatePort\":1,\"PublicPort\":-1,\"Type\":\"tcp\"},{\"IP\":\"1.2.3.4\",\"PrivatePort\":1,"
		"\"PublicPort\":1,\"Type\":\"icmp\"}],\"HostConfig\":7,\"NetworkSettings\":{\"Networks\":{\"host\":{}}}}]";
	struct docker_container *containers;
	size_t n;

	assert_int_equal(docker_parse_containers(text, strlen(text), &containers, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(containers[0].container.name, "?");
	assert_string_equal(containers[0].container.image, "?");
	assert_string_equal(containers[0].container.project, "?");
	assert_string_equal(containers[0].container.service, "?");
	assert_null(containers[0].image_id);
	assert_true(containers[0].container.host_network);
	assert_int_equal(containers[0].container.n_ports, 0);
	docker_containers_free(containers, n);
	assert_int_equal(docker_parse_containers("{}", 2, &containers, &n, NULL), -EINVAL);
	assert_int_equal(docker_parse_containers("[]", 2, &containers, &n, NULL), 0);
	assert_int_equal(n, 0);
}

static void events_parsed(void **state)
{
	static const struct {
		const char *text;
		enum docker_action action;
		bool network;
	} cases[] = {
		{ "{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"" N1
		  "\",\"Attributes\":{\"container\":\"" C1 "\"}},\"scope\":\"local\"}",
		  DOCKER_CONNECT, true },
		{ "{\"Type\":\"network\",\"Action\":\"remove\",\"Actor\":{\"ID\":\"" N1 "\"}}", DOCKER_DESTROY, true },
		{ "{\"status\":\"die\",\"id\":\"x\",\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"" C1
		  "\"}}",
		  DOCKER_DIE, false },
		{ "{\"Type\":\"container\",\"Action\":\"rename\",\"Actor\":{\"ID\":\"" C1 "\"}}", DOCKER_UPDATE,
		  false },
		{ "{\"Type\":\"container\",\"Action\":\"exec_create: sh\",\"Actor\":{\"ID\":\"" C1 "\"}}", DOCKER_OTHER,
		  false },
		{ "{\"Type\":\"container\",\"Action\":\"kill\",\"Actor\":{\"ID\":\"" C1 "\"}}", DOCKER_OTHER, false },
		{ "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"../x\"}}", DOCKER_OTHER, false },
		{ "{\"Type\":\"network\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"a/b\"}}", DOCKER_OTHER, true },
		{ "{\"Type\":\"image\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"" C1 "\"}}", DOCKER_OTHER, false },
		{ "{\"Type\":7,\"Action\":[],\"Actor\":\"\"}", DOCKER_OTHER, false },
		{ "{}", DOCKER_OTHER, false },
	};
	struct docker_event event;

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		assert_int_equal(docker_parse_event(cases[i].text, strlen(cases[i].text), &event, NULL), 0);
		assert_int_equal(event.action, cases[i].action);
		assert_int_equal(event.network, cases[i].network);
	}
	assert_int_equal(docker_parse_event(cases[0].text, strlen(cases[0].text), &event, NULL), 0);
	assert_string_equal(event.id, N1);
	assert_string_equal(event.container, C1);
	assert_int_equal(docker_parse_event("x", 1, &event, NULL), -EINVAL);
	assert_int_equal(docker_parse_event("[]", 2, &event, NULL), -EINVAL);
}

static void bindings_parsed(void **state)
{
#define INSPECT(config) "{\"Id\":\"" C1 "\",\"HostConfig\":" config "}"
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {
		{ INSPECT("{\"PortBindings\":{}}"), 0 },
		{ INSPECT("{\"PortBindings\":null}"), 0 },
		{ INSPECT("{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}}"), 2 },
		{ INSPECT("{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"8080\"},{\"HostPort\":\"8080\"}]}}"), 2 },
		{ INSPECT("{\"PortBindings\":{\"80\":[{\"HostIp\":\"10.0.0.1\",\"HostPort\":\"8080\"}]}}"), 1 },
		{ INSPECT("{\"PortBindings\":{\"1/udp\":[{\"HostIp\":\"::\",\"HostPort\":\"1\"}],\"2/sctp\":[{\"HostIp\":"
			  "\"127.0.0.1\",\"HostPort\":\"65535\"}]}}"),
		  2 },
		/* chosen at the start */
		{ INSPECT("{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],\"81/tcp\":null}}"), 0 },
		{ INSPECT("{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000-8010\"}]}}"), 0 },
		/* nothing of its own to publish */
		{ INSPECT("{\"NetworkMode\":\"host\",\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"80\"}]}}"), 0 },
		{ INSPECT("{\"NetworkMode\":\"container:x\",\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"80\"}]}}"),
		  0 },
		{ INSPECT("{\"NetworkMode\":\"neta\",\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"80\"}]}}"), 2 },
		/* wrong */
		{ INSPECT("7"), 0 },
		{ INSPECT("{\"PortBindings\":[1]}"), 0 },
		{ INSPECT("{\"PortBindings\":{\"0/tcp\":[{\"HostPort\":\"80\"}],\"70000/tcp\":[{\"HostPort\":\"80\"}],"
			  "\"/tcp\":[{\"HostPort\":\"80\"}],\"80/quic\":[{\"HostPort\":\"80\"}],\"\":[{}]}}"),
		  0 },
		{ INSPECT("{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":80},{\"HostPort\":\"0\"},{\"HostPort\":\"65536\"},7,"
			  "{\"HostPort\":\"-1\"},{\"HostIp\":7,\"HostPort\":\"80\"},{\"HostIp\":\"x\",\"HostPort\":\"80\"}]}}"),
		  0 },
	};
	struct docker_bindings bindings = { 0 };

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		assert_int_equal(docker_parse_bindings(cases[i].text, strlen(cases[i].text), &bindings, NULL), 0);
		assert_string_equal(bindings.id, C1);
		if (bindings.n_ports != cases[i].n)
			fail_msg("%s: %zu", cases[i].text, bindings.n_ports);
		docker_bindings_clear(&bindings);
	}
	assert_int_equal(docker_parse_bindings(cases[4].text, strlen(cases[4].text), &bindings, NULL), 0);
	assert_int_equal(bindings.ports[0].proto, IPPROTO_TCP);
	assert_int_equal(bindings.ports[0].host_port, 8080);
	assert_int_equal(bindings.ports[0].container_port, 80);
	docker_bindings_clear(&bindings);
	assert_int_equal(docker_parse_bindings("{}", 2, &bindings, NULL), -EINVAL);
	assert_int_equal(docker_parse_bindings("{\"Id\":\"../x\"}", 13, &bindings, NULL), -EINVAL);
}

static void root_parsed(void **state)
{
	_cleanup_free_ char *root = NULL;
	char *untouched = NULL;

	assert_int_equal(docker_parse_root("{\"DockerRootDir\":\"/x\"}", 22, &root, NULL), 0);
	assert_string_equal(root, "/x");
	assert_int_equal(docker_parse_root("{\"DockerRootDir\":\"x\"}", 21, &untouched, NULL), -EINVAL);
	assert_int_equal(docker_parse_root("{}", 2, &untouched, NULL), -EINVAL);
	assert_null(untouched);
}

static void version_parsed(void **state)
{
	_cleanup_free_ char *version = NULL;
	char *untouched = NULL;

	assert_int_equal(docker_parse_version("{\"Version\":\"20.10.24+dfsg1\"}", 28, &version, NULL), 0);
	assert_string_equal(version, "20.10.24+dfsg1");
	assert_int_equal(docker_parse_version("{\"Version\":1}", 13, &untouched, NULL), -EINVAL);
	assert_null(untouched);
}

/* The tracker, with the test as Docker. */

struct fixture {
	struct inventory *inventory;
	struct docker_track *track;
	uint64_t now;
};

static void event(struct fixture *fixture, bool network, enum docker_action action, const char *id,
		  const char *container)
{
	struct docker_event event = { .network = network, .action = action };

	strcpy(event.id, id);
	strcpy(event.container, container);
	assert_int_equal(docker_track_event(fixture->track, &event), 0);
}

static struct docker_question next(struct fixture *fixture, enum docker_ask ask, const char *id)
{
	struct docker_question question;

	assert_true(docker_track_next(fixture->track, false, &question));
	assert_int_equal(question.ask, ask);
	assert_string_equal(question.id, id);
	return question;
}

static void no_more(struct fixture *fixture)
{
	struct docker_question question;

	assert_false(docker_track_next(fixture->track, false, &question));
}

static void answer_status(struct fixture *fixture, const struct docker_question *question, int status, const char *text)
{
	assert_int_equal(docker_track_answer(fixture->track, question, status, text, strlen(text), NULL), 0);
}

static void answer(struct fixture *fixture, const struct docker_question *question, const char *text)
{
	answer_status(fixture, question, 200, text);
}

static void ask(struct fixture *fixture, enum docker_ask ask, const char *id, const char *text)
{
	struct docker_question question = next(fixture, ask, id);

	answer(fixture, &question, text);
}

/* A network N1 with container C1, listed. */
static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->inventory = inventory_new();
	fixture->track = docker_track_new(fixture->inventory);
	fixture->now = 100000;
	docker_track_time(fixture->track, fixture->now);
	docker_track_list(fixture->track);
	ask(fixture, DOCKER_ASK_NETWORKS, "", "[{\"Id\":\"" N1 "\"}]");
	ask(fixture, DOCKER_ASK_CONTAINERS, "", "[" CONTAINER(C1, "web", "") "]");
	assert_false(docker_track_changed(fixture->track));
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1));
	assert_true(docker_track_changed(fixture->track));
	assert_false(docker_track_listing(fixture->track));
	no_more(fixture);
	assert_int_equal(fixture->inventory->n_networks, 1);
	assert_int_equal(fixture->inventory->n_containers, 1);
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	docker_track_free(fixture->track);
	inventory_free(fixture->inventory);
	free(fixture);
	return 0;
}

static void list_again(struct fixture *fixture, const char *networks, const char *containers)
{
	docker_track_list(fixture->track);
	ask(fixture, DOCKER_ASK_NETWORKS, "", networks);
	ask(fixture, DOCKER_ASK_CONTAINERS, "", containers);
}

static void list_replaces(void **state)
{
	struct fixture *fixture = *state;

	list_again(fixture, "[{\"Id\":\"" N1 "\"}]", "[" CONTAINER(C1, "web", "") "]");
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1));
	assert_false(docker_track_changed(fixture->track)); /* all the same */

	list_again(fixture, "[{\"Id\":\"" N2 "\"}]", "[" CONTAINER(C2, "db", "") "]");
	assert_false(docker_track_changed(fixture->track)); /* not before all of it is there */
	assert_non_null(inventory_network(fixture->inventory, N1));
	ask(fixture, DOCKER_ASK_NETWORK, N2, NETWORK(N2, EP2));
	assert_true(docker_track_changed(fixture->track));
	assert_null(inventory_network(fixture->inventory, N1));
	assert_null(inventory_container(fixture->inventory, C1));
	assert_int_equal(fixture->inventory->n_networks, 1);
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	assert_string_equal(fixture->inventory->endpoints[0].container, C2);

	list_again(fixture, "[]", "[]");
	assert_int_equal(fixture->inventory->n_networks, 0);
	assert_int_equal(fixture->inventory->n_containers, 0);
	assert_int_equal(fixture->inventory->n_endpoints, 0);
}

static void list_fails(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question;

	docker_track_list(fixture->track);
	question = next(fixture, DOCKER_ASK_NETWORKS, "");
	assert_int_equal(docker_track_answer(fixture->track, &question, 500, "", 0, NULL), -EIO);
	docker_track_reset(fixture->track);
	docker_track_list(fixture->track);
	question = next(fixture, DOCKER_ASK_NETWORKS, "");
	assert_int_equal(docker_track_answer(fixture->track, &question, 200, "{}", 2, NULL), -EINVAL);
	docker_track_reset(fixture->track);
	assert_int_equal(fixture->inventory->n_endpoints, 1); /* what was known stays */

	/* One network that cannot be asked holds up nothing, and keeps what it has. */
	docker_track_list(fixture->track);
	ask(fixture, DOCKER_ASK_NETWORKS, "", "[{\"Id\":\"" N1 "\"}]");
	ask(fixture, DOCKER_ASK_CONTAINERS, "", "[" CONTAINER(C1, "web", "") "]");
	question = next(fixture, DOCKER_ASK_NETWORK, N1);
	answer_status(fixture, &question, 500, "no");
	assert_false(docker_track_listing(fixture->track));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	no_more(fixture);
	assert_true(docker_track_time(fixture->track, fixture->now) > 0);
	docker_track_time(fixture->track, fixture->now + 5000);
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, ""));
	assert_int_equal(fixture->inventory->n_endpoints, 0);
}

static void start_of_a_container(void **state)
{
	struct fixture *fixture = *state;

	event(fixture, false, DOCKER_CREATE, C2, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db", "") "]");
	assert_string_equal(inventory_container(fixture->inventory, C2)->name, "db");
	event(fixture, true, DOCKER_CONNECT, N1, C2);
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1 "," EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 2);
	assert_true(docker_track_changed(fixture->track));
	no_more(fixture);
}

#define BOUND(id) "{\"Id\":\"" id "\",\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"80\"}]}}}"

/* The question for the bindings of a container; C1's, of the list, goes behind. */
static struct docker_question next_bindings(struct fixture *fixture, const char *id)
{
	struct docker_question question;

	assert_true(docker_track_next_bindings(fixture->track, &question));
	assert_int_equal(question.ask, DOCKER_ASK_BINDINGS);
	assert_string_equal(question.id, id);
	return question;
}

/* They are asked once, beside all else, and stay over a stop. */
static void bindings_stay(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question, first;

	event(fixture, false, DOCKER_CREATE, C2, "");
	question = next_bindings(fixture, C2);
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db", "") "]");
	assert_int_equal(inventory_container(fixture->inventory, C2)->n_bindings, 0);
	assert_true(docker_track_changed(fixture->track));
	answer(fixture, &question, BOUND(C2));
	assert_true(docker_track_changed(fixture->track));
	assert_int_equal(inventory_container(fixture->inventory, C2)->n_bindings, 2);

	first = next_bindings(fixture, C1);
	assert_false(docker_track_next_bindings(fixture->track, &question));
	answer(fixture, &first, BOUND(C2)); /* another's */
	assert_int_equal(inventory_container(fixture->inventory, C1)->n_bindings, 0);
	docker_track_time(fixture->track, fixture->now += 5000);
	first = next_bindings(fixture, C1);
	answer_status(fixture, &first, 0, "");
	docker_track_time(fixture->track, fixture->now += 5000);
	first = next_bindings(fixture, C1);
	answer(fixture, &first, BOUND(C1));
	assert_int_equal(inventory_container(fixture->inventory, C1)->n_bindings, 2);

	event(fixture, false, DOCKER_DIE, C2, "");
	assert_int_equal(inventory_container(fixture->inventory, C2)->n_bindings, 2);
	while (docker_track_next(fixture->track, false, &question))
		answer(fixture, &question,
		       question.ask == DOCKER_ASK_NETWORK ? NETWORK(N1, "") :
		       strcmp(question.id, C2) == 0	  ? "[" CONTAINER(C2, "db", "") "]" :
							    "[" CONTAINER(C1, "web", "") "]");
	assert_int_equal(inventory_container(fixture->inventory, C2)->n_bindings, 2);
	assert_false(docker_track_next_bindings(fixture->track, &question));
	event(fixture, false, DOCKER_DESTROY, C2, "");
	assert_null(inventory_container(fixture->inventory, C2));
}

/* An answer before the container itself is known. */
static void bindings_first(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question;

	event(fixture, false, DOCKER_CREATE, C2, "");
	question = next_bindings(fixture, C2);
	answer(fixture, &question, BOUND(C2));
	assert_null(inventory_container(fixture->inventory, C2));
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db", "") "]");
	assert_int_equal(inventory_container(fixture->inventory, C2)->n_bindings, 2);
	docker_track_reset(fixture->track);
	assert_int_equal(inventory_container(fixture->inventory, C2)->n_bindings, 2);
}

/* Its name is its rights: before it is known, its address has none. */
static void unknown_container_waits(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question network, container;

	event(fixture, true, DOCKER_CONNECT, N1, C2);
	container = next(fixture, DOCKER_ASK_CONTAINER, C2);
	network = next(fixture, DOCKER_ASK_NETWORK, N1);
	answer(fixture, &network, NETWORK(N1, EP1 "," EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	answer(fixture, &container, "[" CONTAINER(C2, "db", "") "]");
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1 "," EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 2);
	no_more(fixture);
}

static void build_is_anonymous(void **state)
{
	struct fixture *fixture = *state;

	docker_track_refresh(fixture->track, "br-aaaaaaaaaaaa");
	docker_track_refresh(fixture->track, "br-aaaaaaaaaaaa");
	docker_track_refresh(fixture->track, "eth0");
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1));
	no_more(fixture);
	assert_int_equal(docker_track_time(fixture->track, fixture->now), 25);
	fixture->now += 30;
	docker_track_time(fixture->track, fixture->now);
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1 "," BUILD));
	assert_int_equal(fixture->inventory->n_endpoints, 2);
	for (unsigned i = 0; i < 20; i++) { /* goes without an event */
		struct docker_question question;

		fixture->now += 1000;
		docker_track_time(fixture->track, fixture->now);
		while (docker_track_next(fixture->track, false, &question))
			answer(fixture, &question, NETWORK(N1, EP1));
	}
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	assert_int_equal(docker_track_time(fixture->track, fixture->now), -1);

	/* A key that looks like a container, which there is not */
	docker_track_refresh(fixture->track, "br-aaaaaaaaaaaa");
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1 "," EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[]");
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1 "," EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 2);
	assert_string_equal(
		inventory_endpoint(fixture->inventory, N1, &(struct addr){ AF_INET, { 172, 18, 0, 3 } })->container,
		"");
}

static void die_cuts_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question early, network, container;

	event(fixture, true, DOCKER_CREATE, N1, "");
	early = next(fixture, DOCKER_ASK_NETWORK, N1);
	event(fixture, false, DOCKER_DIE, C1, "");
	assert_int_equal(fixture->inventory->n_endpoints, 0);
	assert_true(docker_track_changed(fixture->track));
	assert_false(inventory_container(fixture->inventory, C1)->running);
	answer(fixture, &early, NETWORK(N1, EP1)); /* asked before, answered after */
	assert_int_equal(fixture->inventory->n_endpoints, 0);
	container = next(fixture, DOCKER_ASK_CONTAINER, C1);
	network = next(fixture, DOCKER_ASK_NETWORK, N1);
	answer(fixture, &network, NETWORK(N1, EP1)); /* Docker itself is not that far yet */
	answer(fixture, &container,
	       "[" CONTAINER(C1, "web", ",\"Ports\":[{\"PrivatePort\":1,\"PublicPort\":2,\"Type\":\"tcp\"}]") "]");
	assert_int_equal(fixture->inventory->n_endpoints, 0);
	assert_int_equal(inventory_container(fixture->inventory, C1)->n_ports, 0);
	assert_false(inventory_container(fixture->inventory, C1)->running);

	event(fixture, true, DOCKER_CONNECT, N1, C1);
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	event(fixture, false, DOCKER_START, C1, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C1,
	    "[" CONTAINER(C1, "web", ",\"Ports\":[{\"PrivatePort\":1,\"PublicPort\":2,\"Type\":\"tcp\"}]") "]");
	assert_int_equal(inventory_container(fixture->inventory, C1)->n_ports, 2);
	no_more(fixture);
}

/* An answer that an event overtook counts for the others, not for the one that left. */
static void overtaken_by_disconnect(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question;

	event(fixture, false, DOCKER_CREATE, C2, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db", "") "]");
	event(fixture, true, DOCKER_CONNECT, N1, C2);
	question = next(fixture, DOCKER_ASK_NETWORK, N1);
	event(fixture, true, DOCKER_DISCONNECT, N1, C1);
	assert_int_equal(fixture->inventory->n_endpoints, 0);
	answer(fixture, &question, NETWORK(N1, EP1 "," EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	assert_string_equal(fixture->inventory->endpoints[0].container, C2);
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	no_more(fixture);
}

/* Leaving one network does not touch the place in another, whatever is under way there. */
static void disconnect_is_of_one_network(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question one, two;

	event(fixture, true, DOCKER_CREATE, N2, "");
	ask(fixture, DOCKER_ASK_NETWORK, N2, NETWORK(N2, EP1));
	assert_int_equal(fixture->inventory->n_endpoints, 2);
	event(fixture, true, DOCKER_UPDATE, N1, "");
	one = next(fixture, DOCKER_ASK_NETWORK, N1);
	event(fixture, true, DOCKER_DISCONNECT, N2, C1);
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	answer(fixture, &one, NETWORK(N1, EP1));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	assert_string_equal(fixture->inventory->endpoints[0].network, N1);
	two = next(fixture, DOCKER_ASK_NETWORK, N2);
	answer(fixture, &two, NETWORK(N2, ""));
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	no_more(fixture);
}

static void network_destroyed(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question;

	event(fixture, true, DOCKER_UPDATE, N1, "");
	question = next(fixture, DOCKER_ASK_NETWORK, N1);
	event(fixture, true, DOCKER_DESTROY, N1, "");
	assert_int_equal(fixture->inventory->n_networks + fixture->inventory->n_endpoints, 0);
	answer(fixture, &question, NETWORK(N1, EP1));
	assert_int_equal(fixture->inventory->n_networks + fixture->inventory->n_endpoints, 0);
	question = next(fixture, DOCKER_ASK_NETWORK, N1);
	answer_status(fixture, &question, 404, "{\"message\":\"no such network\"}");
	assert_int_equal(fixture->inventory->n_networks, 0);
	no_more(fixture);
}

static void container_destroyed(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question;

	event(fixture, false, DOCKER_UPDATE, C1, "");
	question = next(fixture, DOCKER_ASK_CONTAINER, C1);
	event(fixture, false, DOCKER_DESTROY, C1, "");
	assert_int_equal(fixture->inventory->n_containers + fixture->inventory->n_endpoints, 0);
	answer(fixture, &question, "[" CONTAINER(C1, "web", "") "]");
	assert_int_equal(fixture->inventory->n_containers, 0);
	no_more(fixture);
}

/* A name is only taken from an answer that no later event overtook. */
static void rename_overtakes(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question;

	event(fixture, false, DOCKER_UPDATE, C1, "");
	question = next(fixture, DOCKER_ASK_CONTAINER, C1);
	event(fixture, false, DOCKER_UPDATE, C1, "");
	no_more(fixture); /* one at a time */
	assert_false(docker_track_idle(fixture->track));
	answer(fixture, &question, "[" CONTAINER(C1, "admin", "") "]");
	assert_string_equal(inventory_container(fixture->inventory, C1)->name, "web");
	assert_false(docker_track_idle(fixture->track)); /* no list is under way, and it is not all there */
	ask(fixture, DOCKER_ASK_CONTAINER, C1, "[" CONTAINER(C1, "web2", "") "]");
	assert_string_equal(inventory_container(fixture->inventory, C1)->name, "web2");
	assert_true(docker_track_idle(fixture->track));
	no_more(fixture);
}

/* Events while a list is under way */
static void list_overtaken(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question networks, containers, network;

	docker_track_list(fixture->track);
	networks = next(fixture, DOCKER_ASK_NETWORKS, "");
	containers = next(fixture, DOCKER_ASK_CONTAINERS, "");
	answer(fixture, &networks, "[{\"Id\":\"" N1 "\"}]");
	network = next(fixture, DOCKER_ASK_NETWORK, N1);
	answer(fixture, &network, NETWORK(N1, EP1)); /* the list keeps it */
	event(fixture, false, DOCKER_DIE, C1, "");
	assert_int_equal(fixture->inventory->n_endpoints, 0);
	event(fixture, false, DOCKER_CREATE, C2, ""); /* in neither list */
	event(fixture, true, DOCKER_CREATE, N2, "");
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1));
	ask(fixture, DOCKER_ASK_CONTAINER, C1, "[" CONTAINER(C1, "web", "") "]");
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db", "") "]");
	ask(fixture, DOCKER_ASK_NETWORK, N2, NETWORK(N2, EP2));
	assert_int_equal(fixture->inventory->n_endpoints, 1); /* did not wait for the list */
	answer(fixture, &containers, "[" CONTAINER(C1, "web", "") "]");
	assert_false(docker_track_listing(fixture->track));
	assert_int_equal(fixture->inventory->n_networks, 2);
	assert_int_equal(fixture->inventory->n_containers, 2);
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	assert_string_equal(fixture->inventory->endpoints[0].container, C2);
}

static void reset_forgets_questions(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question question;

	event(fixture, true, DOCKER_UPDATE, N1, "");
	event(fixture, false, DOCKER_DIE, C1, "");
	question = next(fixture, DOCKER_ASK_NETWORK, N1);
	docker_track_reset(fixture->track);
	no_more(fixture);
	answer(fixture, &question, NETWORK(N1, EP1));
	assert_int_equal(fixture->inventory->n_endpoints, 0);
	/* It may have been started again meanwhile. */
	list_again(fixture, "[{\"Id\":\"" N1 "\"}]", "[" CONTAINER(C1, "web", "") "]");
	ask(fixture, DOCKER_ASK_NETWORK, N1, NETWORK(N1, EP1));
	assert_int_equal(fixture->inventory->n_endpoints, 1);
	assert_true(inventory_container(fixture->inventory, C1)->running);
}

#define COMPOSE ",\"Labels\":{\"com.docker.compose.project\":\"media\",\"com.docker.compose.service\":\"jelly\"}"

static void compose_labels(void **state)
{
	struct fixture *fixture = *state;
	const struct container *container;

	event(fixture, false, DOCKER_CREATE, C2, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db", COMPOSE) "]");
	assert_null(inventory_container(fixture->inventory, C2));
	ask(fixture, DOCKER_ASK_IMAGE, "sha256:77", "{\"Config\":{\"Labels\":null}}");
	container = inventory_container(fixture->inventory, C2);
	assert_string_equal(container->project, "media");
	assert_string_equal(container->service, "jelly");
	assert_false(container->image_labels);
	event(fixture, false, DOCKER_UPDATE, C2, ""); /* the image is not asked twice */
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db2", COMPOSE) "]");
	assert_string_equal(inventory_container(fixture->inventory, C2)->name, "db2");
	no_more(fixture);
}

/* An image cannot make its containers somebody else. */
static void compose_labels_baked(void **state)
{
	struct fixture *fixture = *state;
	const struct container *container;
	struct docker_question question;

	list_again(fixture, "[]", "[" CONTAINER(C2, "evil", COMPOSE) "]");
	assert_true(docker_track_listing(fixture->track));
	ask(fixture, DOCKER_ASK_IMAGE, "sha256:77",
	    "{\"Config\":{\"Labels\":{\"com.docker.compose.service\":\"jelly\"}}}");
	assert_false(docker_track_listing(fixture->track));
	container = inventory_container(fixture->inventory, C2);
	assert_true(container->image_labels);
	assert_string_equal(container->project, "?");
	assert_string_equal(container->service, "?");

	docker_track_reset(fixture->track);
	event(fixture, false, DOCKER_CREATE, C1, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C1,
	    "[{\"Id\":\"" C1 "\",\"Names\":[\"/x\"],\"ImageID\":\"sha256:88\"" COMPOSE "}]");
	question = next(fixture, DOCKER_ASK_IMAGE, "sha256:88");
	answer_status(fixture, &question, 404, "");
	assert_true(inventory_container(fixture->inventory, C1)->image_labels);
	event(fixture, false, DOCKER_CREATE, C1, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C1, "[{\"Id\":\"" C1 "\",\"Names\":[\"/x\"]" COMPOSE "}]");
	assert_true(inventory_container(fixture->inventory, C1)->image_labels);
}

static const struct request *request_of(const struct container *container, const char *key)
{
	for (size_t i = 0; i < container->n_requests; i++)
		if (strcmp(container->requests[i].key, key) == 0)
			return &container->requests[i];
	return NULL;
}

/* What is asked for by labels, as found; bounded, and nothing that a terminal would obey. */
static void requests_parsed(void **state)
{
	char text[20000] = "[{\"Id\":\"" C1 "\",\"Names\":[\"/x\"],\"Created\":1700000000,\"Labels\":{";
	struct docker_container *containers;
	const struct container *container;
	size_t n;

	for (int i = 0; i < 50; i++)
		sprintf(text + strlen(text), "\"spr.a%02d\":\"x\",\"spr.a\\u001b%02d\":\"x\",\"other%d\":\"x\",", i, i,
			i);
	strcat(text, "\"spr.policies\":\"wan, dns\",\"spr.groups\":\"a\\u001b[31mb\",\"spr.tags\":7,"
		     "\"sprx\":\"x\",\"spr.publish\":\"");
	for (int i = 0; i < 1025; i++)
		strcat(text, "1");
	strcat(text, "\"}}]");
	assert_int_equal(docker_parse_containers(text, strlen(text), &containers, &n, NULL), 0);
	container = &containers[0].container;
	assert_int_equal(container->created, 1700000000);
	assert_int_equal(container->n_requests, DOCKER_REQUESTS_MAX);
	assert_string_equal(request_of(container, "policies")->text, "wan, dns");
	assert_null(request_of(container, "groups")->text);
	assert_null(request_of(container, "tags")->text);
	assert_null(request_of(container, "publish")->text);
	assert_string_equal(request_of(container, "a00")->text, "x");
	assert_non_null(request_of(container, "?"));
	for (size_t i = 1; i < container->n_requests; i++)
		assert_true(strcmp(container->requests[i - 1].key, container->requests[i].key) <= 0);
	docker_containers_free(containers, n);
}

#define ASKS ",\"Labels\":{\"spr.groups\":\"media\",\"spr.policies\":\"wan\"}"

/* Which of them the image says: the container waits until that is known. */
static void requests_of_images(void **state)
{
	struct fixture *fixture = *state;
	const struct container *container;
	struct docker_question question;

	event(fixture, false, DOCKER_CREATE, C2, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C2, "[" CONTAINER(C2, "db", ASKS) "]");
	assert_null(inventory_container(fixture->inventory, C2));
	ask(fixture, DOCKER_ASK_IMAGE, "sha256:77",
	    "{\"Config\":{\"Labels\":{\"spr.groups\":\"media\",\"spr.policies\":\"wan,dns\",\"spr.tags\":\"x\"}}}");
	container = inventory_container(fixture->inventory, C2);
	assert_int_equal(container->n_requests, 2);
	assert_true(request_of(container, "groups")->image);
	assert_false(request_of(container, "policies")->image);
	assert_false(container->image_labels);

	list_again(fixture, "[]", "[" CONTAINER(C2, "db", ",\"Labels\":{\"spr.groups\":\"\"}") "]");
	container = inventory_container(fixture->inventory, C2);
	assert_int_equal(container->n_requests, 1);
	assert_false(request_of(container, "groups")->image);

	docker_track_reset(fixture->track);
	event(fixture, false, DOCKER_CREATE, C1, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C1,
	    "[{\"Id\":\"" C1 "\",\"Names\":[\"/x\"],\"ImageID\":\"sha256:88\"" ASKS "}]");
	question = next(fixture, DOCKER_ASK_IMAGE, "sha256:88");
	answer_status(fixture, &question, 404, "");
	container = inventory_container(fixture->inventory, C1);
	assert_true(request_of(container, "groups")->image);
	assert_true(request_of(container, "policies")->image);
	event(fixture, false, DOCKER_CREATE, C1, "");
	ask(fixture, DOCKER_ASK_CONTAINER, C1, "[{\"Id\":\"" C1 "\",\"Names\":[\"/x\"]" ASKS "}]");
	assert_true(request_of(inventory_container(fixture->inventory, C1), "policies")->image);
}

/* Any order of events and answers: what left is not there, and when it is quiet all is as Docker says. */
static void any_order(void **state)
{
	struct fixture *fixture = *state;
	struct docker_question open[8];
	bool there[2] = { true, false }; /* C1, C2 in N1 */
	char reply[8][700];
	size_t n = 0;

	srand(3);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned what = (unsigned)rand() % 6, which = (unsigned)rand() % 2;
		const char *id = which ? C2 : C1;
		size_t i = n ? (size_t)rand() % n : 0;

		fixture->now++;
		docker_track_time(fixture->track, fixture->now);
		if (what == 0 && there[which]) {
			there[which] = false;
			event(fixture, true, DOCKER_DISCONNECT, N1, id);
		} else if (what == 1 && there[which]) {
			there[which] = false;
			event(fixture, false, DOCKER_DIE, id, "");
			event(fixture, true, DOCKER_DISCONNECT, N1, id);
		} else if (what == 2 && !there[which]) {
			there[which] = true;
			event(fixture, true, DOCKER_CONNECT, N1, id);
			event(fixture, false, DOCKER_START, id, "");
		} else if (what == 3 && n < 8 && docker_track_next(fixture->track, false, &open[n])) {
			/* Docker's answer is of now; it arrives later */
			if (open[n].ask == DOCKER_ASK_NETWORK)
				snprintf(reply[n], sizeof(reply[n]), NETWORK(N1, "%s%s%s"), there[0] ? EP1 : "",
					 there[0] && there[1] ? "," : "", there[1] ? EP2 : "");
			else
				snprintf(reply[n], sizeof(reply[n]), "[" CONTAINER("%s", "x", "") "]", open[n].id);
			n++;
		} else if (what >= 4 && n) {
			answer(fixture, &open[i], reply[i]);
			n--;
			open[i] = open[n];
			memmove(reply[i], reply[n], sizeof(reply[i]));
		}
		for (i = 0; i < fixture->inventory->n_endpoints; i++)
			assert_true(there[strcmp(fixture->inventory->endpoints[i].container, C2) == 0]);
	}
	for (unsigned i = 0; i < 50; i++) {
		while (n < 8 && docker_track_next(fixture->track, false, &open[n])) {
			if (open[n].ask == DOCKER_ASK_NETWORK)
				snprintf(reply[n], sizeof(reply[n]), NETWORK(N1, "%s%s%s"), there[0] ? EP1 : "",
					 there[0] && there[1] ? "," : "", there[1] ? EP2 : "");
			else
				snprintf(reply[n], sizeof(reply[n]), "[" CONTAINER("%s", "x", "") "]", open[n].id);
			n++;
		}
		if (n) {
			n--;
			answer(fixture, &open[n], reply[n]);
		}
	}
	assert_int_equal(fixture->inventory->n_endpoints, there[0] + there[1]);
}

#define track_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(network_whole),
		cmocka_unit_test(network_bridge_names),
		cmocka_unit_test(network_masquerade),
		cmocka_unit_test(network_openness),
		cmocka_unit_test(network_hostile),
		cmocka_unit_test(network_refused),
		cmocka_unit_test(names_checked),
		cmocka_unit_test(macs_checked),
		cmocka_unit_test(containers_parsed),
		cmocka_unit_test(containers_hostile),
		cmocka_unit_test(events_parsed),
		cmocka_unit_test(version_parsed),
		track_test(list_replaces),
		track_test(list_fails),
		track_test(start_of_a_container),
		track_test(unknown_container_waits),
		track_test(build_is_anonymous),
		track_test(die_cuts_at_once),
		track_test(overtaken_by_disconnect),
		track_test(disconnect_is_of_one_network),
		track_test(network_destroyed),
		track_test(container_destroyed),
		track_test(rename_overtakes),
		track_test(list_overtaken),
		track_test(reset_forgets_questions),
		track_test(compose_labels),
		track_test(compose_labels_baked),
		track_test(any_order),
		track_test(bindings_stay),
		track_test(bindings_first),
		cmocka_unit_test(bindings_parsed),
		cmocka_unit_test(root_parsed),
		cmocka_unit_test(requests_parsed),
		track_test(requests_of_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
