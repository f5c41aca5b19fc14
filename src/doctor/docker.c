/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor/exam.h"
#include "inventory/inventory.h"
#include "ruleset/compile.h"

/* How Docker is set up: its file, its command line, its environment. */

#define DAEMON_JSON "/etc/docker/daemon.json"
#define RAW_VARIABLE "DOCKER_INSECURE_NO_IPTABLES_RAW"
#define HOSTS_MAX 16

struct docker {
	long process; /* of dockerd; 0: it does not run */
	char *arguments; /* one after the other, NUL after each */
	size_t length;
	json_t *file; /* daemon.json, or NULL */
};

static void docker_clear(struct docker *docker)
{
	free(docker->arguments);
	json_decref(docker->file);
}
#define _cleanup_docker_ _cleanup_(docker_clear)

static const char *next_argument(const struct docker *docker, const char *argument)
{
	const char *next = argument ? argument + strlen(argument) + 1 : docker->arguments;

	return next && next < docker->arguments + docker->length ? next : NULL;
}

/* The value of "--name=value" or "--name value" ("true" where there is none) after `from`; NULL without. */
static const char *argument_value(const struct docker *docker, const char *name, const char **from)
{
	const char *argument = *from;

	while ((argument = next_argument(docker, argument))) {
		size_t length = strlen(name);
		const char *next;

		if (strncmp(argument, name, length) != 0 || (argument[length] && argument[length] != '='))
			continue;
		*from = argument;
		if (argument[length] == '=')
			return argument + length + 1;
		next = next_argument(docker, argument);
		return next && *next != '-' ? next : "true";
	}
	return NULL;
}

static void docker_read(struct exam *exam, struct docker *ret)
{
	_cleanup_free_ char *text = NULL;
	const char *path = NULL, *from = NULL;
	json_error_t problem;
	char name[64];
	size_t length;
	int r;

	*ret = (struct docker){ .process = exam_process(exam, "dockerd") };
	snprintf(name, sizeof(name), "/proc/%ld/cmdline", ret->process);
	if (ret->process && exam_read(exam, name, &ret->arguments, &ret->length) < 0)
		ret->arguments = NULL;
	path = argument_value(ret, "--config-file", &from);
	path = path ? path : DAEMON_JSON;
	r = exam_read(exam, path, &text, &length);
	if (r == -ENOENT)
		return;
	if (r == 0)
		ret->file = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
	if (!json_is_object(ret->file))
		unchecked(exam, "%s: %s", path, r < 0 ? strerror(-r) : "not a JSON object");
}

/* A setting as Docker has it: "true", "false" or a text; NULL where it is not set. */
static const char *docker_setting(const struct docker *docker, const char *key)
{
	char option[64];
	const char *from = NULL, *value;
	const json_t *json;

	snprintf(option, sizeof(option), "--%s", key);
	value = argument_value(docker, option, &from);
	if (value)
		return value;
	json = json_object_get(docker->file, key);
	return json_is_boolean(json) ? (json_is_true(json) ? "true" : "false") : json_string_value(json);
}

void check_docker_settings(struct exam *exam)
{
	static const struct {
		const char *key, *value, *text, *fix;
	} settings[] = {
		{ "iptables", "false",
		  "Docker makes no rules (iptables: false): no masquerade, published ports by docker-proxy only, and while "
		  "spr is down nothing closes anything",
		  "remove it from Docker's settings, unless other rules do all of that" },
		{ "ip6tables", "false",
		  "Docker makes no IPv6 rules (ip6tables: false): while spr is down, IPv6 of containers is open to the "
		  "outside",
		  "remove it from Docker's settings" },
		{ "userland-proxy", "false",
		  "Docker does without docker-proxy (userland-proxy: false): it sets route_localnet on its bridges; what "
		  "others send to 127.0.0.0/8 is then stopped by spr and Docker's rules only",
		  "remove it from Docker's settings" },
		{ "allow-direct-routing", "true",
		  "Docker lets others reach containers' own addresses (allow-direct-routing): while spr is down, nothing "
		  "closes them",
		  "nothing to do while spr is up: it makes groups across networks and `allow` work" },
		{ "ip-forward-no-drop", "true",
		  "Docker leaves the policy of FORWARD at accept (ip-forward-no-drop): while spr is down, this machine "
		  "forwards between all its interfaces",
		  "remove it from Docker's settings" },
	};
	_cleanup_docker_ struct docker docker = { 0 };

	docker_read(exam, &docker);
	for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
		const char *value = docker_setting(&docker, settings[i].key);

		if (value && strcmp(value, settings[i].value) == 0)
			found(exam, SEVERITY_NOTICE, settings[i].fix, "%s", settings[i].text);
	}
}

void check_docker_backend(struct exam *exam)
{
	_cleanup_docker_ struct docker docker = { 0 };
	_cleanup_free_ char *fix = NULL;
	const char *backend, *mark;

	docker_read(exam, &docker);
	backend = docker_setting(&docker, "firewall-backend");
	mark = docker_setting(&docker, "bridge-accept-fwmark");
	if (!backend || strcmp(backend, "nftables") != 0 || mark)
		return;
	if (asprintf(&fix, "\"bridge-accept-fwmark\": \"0x%x/0x%x\" in " DAEMON_JSON, ACCEPT_BIT, ACCEPT_BIT) < 0)
		fix = NULL;
	found(exam, SEVERITY_WARNING, fix,
	      "Docker makes its rules with nftables, where there is no DOCKER-USER, and is not told to accept what spr "
	      "accepts: what you open stays closed by Docker");
}

/* Whether a list of NAME=VALUE, each with its NUL, has the variable as Docker wants it. */
static bool raw_is_off(const char *list, size_t length)
{
	for (const char *entry = list; entry < list + length; entry += strlen(entry) + 1)
		if (strcmp(entry, RAW_VARIABLE "=1") == 0)
			return true;
	return false;
}

static void read_drop_in(struct exam *exam, const char *name, void *data)
{
	_cleanup_free_ char *text = NULL;
	char path[600];
	const char *at;

	snprintf(path, sizeof(path), "/etc/systemd/system/docker.service.d/%s", name);
	if (exam_read(exam, path, &text, NULL) < 0)
		return;
	at = strstr(text, RAW_VARIABLE "=");
	*(bool *)data |= at && at[strlen(RAW_VARIABLE) + 1] == '1';
}

void check_docker_raw(struct exam *exam)
{
	long process = exam_process(exam, "dockerd");
	_cleanup_free_ char *environment = NULL;
	bool off = false;
	char path[64];
	size_t length;
	int r;

	exam_each(exam, "/etc/systemd/system/docker.service.d", read_drop_in, &off);
	snprintf(path, sizeof(path), "/proc/%ld/environ", process);
	if (process && !off) {
		r = exam_read(exam, path, &environment, &length);
		if (r < 0)
			unchecked(exam, "the environment of dockerd: %s", strerror(-r));
		else
			off = raw_is_off(environment, length);
	}
	if (off)
		found(exam, SEVERITY_NOTICE, "take " RAW_VARIABLE " out of Docker's environment",
		      RAW_VARIABLE
		      " is set: Docker's own rules against direct access to containers are off; while spr is "
		      "down, nothing closes them");
}

/* Options of a network by which Docker's own rules leave it open. */
#define GATEWAY_MODE "com.docker.network.bridge.gateway_mode_ipv"
#define TRUSTED "com.docker.network.bridge.trusted_host_interfaces"

static bool is_unprotected(const struct network *network)
{
	return network->gateway4 == GATEWAY_UNPROTECTED || network->gateway6 == GATEWAY_UNPROTECTED;
}

static bool is_routed(const struct network *network)
{
	return network->gateway4 == GATEWAY_ROUTED || network->gateway6 == GATEWAY_ROUTED;
}

static bool trusts_somebody(const struct network *network)
{
	return network->trusts;
}

static const struct network_option {
	bool (*has)(const struct network *network);
	const char *keys[2], *value; /* as in default-network-opts; NULL: any value */
	const char *text, *fix;
} network_options[] = {
	{ is_unprotected,
	  { GATEWAY_MODE "4", GATEWAY_MODE "6" },
	  "nat-unprotected",
	  "Docker closes nothing there (gateway mode nat-unprotected): whoever finds a way reaches all ports of the "
	  "containers, published or not; while spr is down, nothing closes them",
	  "make the network again without " GATEWAY_MODE "4 and 6=nat-unprotected" },
	{ is_routed,
	  { GATEWAY_MODE "4", GATEWAY_MODE "6" },
	  "routed",
	  "Docker lets others reach published ports there by the containers' own addresses, and ping them (gateway mode "
	  "routed): while spr is down, nothing closes them",
	  "nothing to do while spr is up; else make the network again without " GATEWAY_MODE "4 and 6=routed" },
	{ trusts_somebody,
	  { TRUSTED, TRUSTED },
	  NULL,
	  "Docker lets interfaces that are named as trusted reach the containers there by their own addresses: while spr is "
	  "down, nothing closes them",
	  "make the network again without " TRUSTED },
};

/* Whether networks that are made from now on will have it. */
static bool is_default(const struct docker *docker, const struct network_option *option)
{
	const json_t *defaults = json_object_get(json_object_get(docker->file, "default-network-opts"), "bridge");

	for (size_t i = 0; i < ELEMENTSOF(option->keys); i++) {
		const char *value = json_string_value(json_object_get(defaults, option->keys[i]));

		if (value && *value && (!option->value || strcmp(value, option->value) == 0))
			return true;
	}
	return false;
}

void check_docker_networks(struct exam *exam)
{
	const struct inventory *inventory = exam->doctor->inventory;
	_cleanup_free_ const struct network **networks = inventory ? inventory_networks_sorted(inventory) : NULL;
	_cleanup_docker_ struct docker docker = { 0 };

	docker_read(exam, &docker);
	if (!networks && docker.process)
		unchecked(exam, "Docker, which knows the options of its networks, did not answer");
	for (size_t i = 0; i < ELEMENTSOF(network_options); i++) {
		const struct network_option *option = &network_options[i];
		struct names names = { 0 };

		for (size_t k = 0; networks && k < inventory->n_networks; k++)
			if (option->has(networks[k]))
				names_add(&names, networks[k]->name);
		if (is_default(&docker, option))
			names_add(&names, "(every new one: default-network-opts)");
		if (names.n)
			found(exam, SEVERITY_NOTICE, option->fix, "network %s: %s", names.text, option->text);
	}
}

static bool is_loopback(const char *host)
{
	return strncmp(host, "tcp://127.", 10) == 0 || strncmp(host, "tcp://localhost", 15) == 0 ||
	       strncmp(host, "tcp://[::1]", 11) == 0;
}

static void report_host(struct exam *exam, const char *host)
{
	bool loopback;

	if (!host || strncmp(host, "tcp://", 6) != 0)
		return;
	loopback = is_loopback(host);
	found(exam, loopback ? SEVERITY_WARNING : SEVERITY_CRITICAL,
	      "remove it, or demand certificates: tlsverify in Docker's settings",
	      "Docker listens on %s without asking who is there: %s", host,
	      loopback ? "every user of this machine, and every container on its network, is root" :
			 "whoever reaches that port is root on this machine");
}

void check_docker_tcp(struct exam *exam)
{
	_cleanup_docker_ struct docker docker = { 0 };
	const char *from, *host, *verify;
	json_t *entry;
	size_t i;

	docker_read(exam, &docker);
	verify = docker_setting(&docker, "tlsverify");
	if (verify && strcmp(verify, "true") == 0)
		return;
	json_array_foreach(json_object_get(docker.file, "hosts"), i, entry)
		report_host(exam, json_string_value(entry));
	for (from = NULL; (host = argument_value(&docker, "-H", &from));)
		report_host(exam, host);
	for (from = NULL; (host = argument_value(&docker, "--host", &from));)
		report_host(exam, host);
}

void check_docker_socket(struct exam *exam)
{
	const char *told =
		json_string_value(json_object_get(json_object_get(exam->doctor->status, "engine"), "socket"));
	const char *sockets[] = { "/run/docker.sock", told };
	char path[EXAM_PATH_MAX];
	struct stat status;

	for (size_t i = 0; i < ELEMENTSOF(sockets); i++)
		if (sockets[i] && (i == 0 || strcmp(sockets[i], "/var/run/docker.sock") != 0) &&
		    (i == 0 || strcmp(sockets[i], sockets[0]) != 0) &&
		    stat(exam_path(exam, sockets[i], path), &status) == 0 && (status.st_mode & 0002))
			found(exam, SEVERITY_CRITICAL, "chmod o= on it: the group docker is for those who may",
			      "everybody on this machine may use Docker's socket %s, and is root by that", sockets[i]);
}

void check_docker_version(struct exam *exam)
{
	const json_t *engine = json_object_get(exam->doctor->status, "engine");
	const char *version = json_string_value(json_object_get(engine, "version"));
	_cleanup_docker_ struct docker docker = { 0 };
	const char *direct;

	if (!exam->doctor->status) {
		unchecked(exam, "sprd, which asks Docker, did not answer");
		return;
	}
	if (!version || atoi(version) < 28)
		return;
	docker_read(exam, &docker);
	direct = docker_setting(&docker, "allow-direct-routing");
	if (!direct || strcmp(direct, "true") != 0)
		found(exam, SEVERITY_NOTICE,
		      "\"allow-direct-routing\": true in " DAEMON_JSON ", if spr is to decide that",
		      "Docker %s drops what other interfaces send to a container's own address, whatever spr opens; "
		      "published ports are not concerned",
		      version);
}
