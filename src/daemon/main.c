/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "api/server.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/watch.h"
#include "ruleset/compile.h"

#define ENGINE_WAIT_MS 5000
#define ENGINE_ABSENT_MS 2000
#define PRIORITY -10 /* as nice takes it */

static const char usage[] =
	"usage: sprd [--socket PATH] [--state-dir FOLDER] [--docker PATH | --no-docker] [--resolv-conf PATH]\n"
	"            [--policy-file PATH] [--protection auto|copies|plain] [--no-sandbox[=LAYER,...]] [--log-level 0-7]\n"
	"            [--boot] [--version]\n";

static int parse_protection(const char *text, enum nft_protection *ret)
{
	static const char *const names[] = { [NFT_PERSIST] = "auto", [NFT_COPIES] = "copies", [NFT_PLAIN] = "plain" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(names[i], text) == 0) {
			*ret = (enum nft_protection)i;
			return 0;
		}
	return -EINVAL;
}

/* 1: go on; 0: done; negative: wrong usage. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "state-dir", required_argument, NULL, 'd' },
		{ "docker", required_argument, NULL, 'D' },
		{ "no-docker", no_argument, NULL, 'n' },
		{ "resolv-conf", required_argument, NULL, 'r' },
		{ "policy-file", required_argument, NULL, 'P' },
		{ "protection", required_argument, NULL, 'p' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "no-sandbox", optional_argument, NULL, 'S' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "boot", no_argument, NULL, 'b' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	*options = (struct options){ .socket = "/run/spr/spr.sock",
				     .state_folder = "/var/lib/spr",
				     .resolv_conf = "/etc/resolv.conf" };
	while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		switch (option) {
		case 's':
			options->socket = optarg;
			break;
		case 'd':
			options->state_folder = optarg;
			break;
		case 'D':
			options->docker = optarg;
			break;
		case 'n':
			options->no_docker = true;
			break;
		case 'r':
			options->resolv_conf = optarg;
			break;
		case 'P':
			options->policy_file = optarg;
			break;
		case 'p':
			if (parse_protection(optarg, &options->protection) < 0)
				return -EINVAL;
			break;
		case 'l':
			log_set_level(atoi(optarg));
			break;
		case 'S':
			if (sandbox_parse_layers(optarg, &options->no_sandbox) < 0)
				return -EINVAL;
			break;
		case 'f':
			break;
		case 'b':
			options->boot = true;
			break;
		case 'v':
			puts("sprd " SPR_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return -EINVAL;
		}
	}
	return optind == argc ? 1 : -EINVAL;
}

/* sd_notify(3) without the library: one datagram. */
static void tell_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = path ? strlen(path) : 0;
	int fd;

	fputs("sprd: ready\n", stderr);
	if (length == 0 || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

/* Its chain may be new when it has come. Later on nf_tables tells of changes, and the clock asks now and then. */
static void engine_changed(void *data)
{
	struct daemon *daemon = data;
	enum engine_state before = daemon->engine_seen;

	daemon->dirty = true;
	if (!daemon->engine)
		return;
	daemon->engine_seen = engine_state(daemon->engine);
	if (before == ENGINE_CONNECTED || daemon->engine_seen != ENGINE_CONNECTED)
		return;
	daemon->listed = true;
	if (daemon->active)
		docker_user_ensure(daemon, true);
}

static void count_table(const char *chain, uint64_t packets, uint64_t bytes, void *data)
{
	*(bool *)data = true;
}

static bool kernel_holds_rules(const struct daemon *daemon)
{
	bool there = false;

	nft_counters(daemon->nft, DROP_CHAIN_PREFIX, count_table, &there, NULL);
	return there;
}

/*
 * Where there is a policy that cannot be read, what the kernel holds stays and nothing starts. A kernel that holds nothing
 * gets what an empty policy closes: better than nothing, and status says so.
 */
static int begin_with_policy(struct daemon *daemon, struct error *error)
{
	int r = load_policy(daemon, error);

	if (r >= 0 || !daemon->active || kernel_holds_rules(daemon))
		return r;
	log_error("policy", "%s: closing by an empty policy", error->text);
	snprintf(daemon->file_problem, sizeof(daemon->file_problem), "%.900s: an empty policy is enforced instead",
		 error->text);
	daemon->policy = policy_new();
	return daemon->policy ? 0 : error_memory(error);
}

/* Not up, and yet closed: an earlier run ended in the middle. Whoever asks is told; nothing is opened unasked. */
static void note_tables(struct daemon *daemon)
{
	if (!daemon->active && kernel_holds_rules(daemon))
		snprintf(daemon->problem, sizeof(daemon->problem),
			 "an earlier run left its tables: `spr down` takes them away, `spr up` puts them right");
}

/*
 * What an earlier run left in the kernel knows the containers; we do not before the engine has answered. Until then, or
 * until it is clear that there is none, it stays.
 */
static void wait_for_engine(struct daemon *daemon)
{
	uint64_t start = uv_now(&daemon->loop), waited = 0;

	daemon->waiting = daemon->active && daemon->engine && kernel_holds_rules(daemon);
	while (daemon->waiting && !daemon->ending) {
		enum engine_state state = engine_state(daemon->engine);

		if (state == ENGINE_CONNECTED || waited > ENGINE_WAIT_MS ||
		    (state == ENGINE_ABSENT && waited > ENGINE_ABSENT_MS))
			daemon->waiting = false;
		else
			uv_run(&daemon->loop, UV_RUN_ONCE);
		waited = uv_now(&daemon->loop) - start;
	}
}

static int start(struct daemon *daemon, struct error *error)
{
	const struct options *options = &daemon->options;
	int r;

	if (options->boot && !store_is_active(options->state_folder))
		return 0;
	r = confine_prepare(daemon, error);
	if (r < 0)
		return r;
	r = store_open(options->state_folder, &daemon->store, error);
	if (r < 0)
		return r;
	daemon->active = store_active(daemon->store);
	r = nft_open(options->protection, &daemon->nft, error);
	if (r < 0)
		return r;
	r = nft_epoch(daemon->nft, &daemon->epoch, error);
	if (r < 0 && r != -ENOENT)
		return r;
	r = begin_with_policy(daemon, error);
	if (r < 0)
		return r;
	fast_prepare(daemon);
	r = links_open(daemon->inventory, &daemon->links, error);
	if (r < 0)
		return r;
	fast_sweep(daemon);
	r = conntrack_open(&daemon->conntrack, error);
	if (r < 0)
		return r;
	r = watch_start(daemon, error);
	if (r < 0)
		return r;
	if (!options->boot)
		r = api_open(&daemon->loop, options->socket, daemon_calls, n_daemon_calls, daemon, &daemon->api, error);
	if (r < 0)
		return r;
	r = confine_enter(daemon, error); /* from here on nothing but what sandbox.c allows */
	if (r < 0)
		return r;
	if (!options->no_docker && !options->boot)
		r = engine_start(&docker_engine, &daemon->loop, options->docker, daemon->inventory, engine_changed,
				 daemon, &daemon->engine, error);
	if (r < 0)
		return r;
	wait_for_engine(daemon);
	if (options->boot && kernel_holds_rules(daemon))
		return 0;
	note_tables(daemon);
	r = daemon_refresh(daemon, error);
	if (r < 0 || options->boot)
		return r;
	return api_start(daemon->api, error);
}

static void stop(struct daemon *daemon)
{
	daemon->api = api_close(daemon->api);
	if (daemon->engine)
		engine_stop(daemon->engine);
	watch_stop(daemon);
	docker_user_stop(daemon);
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
	uv_loop_close(&daemon->loop);
	fastpath_close(daemon->fastpath);
	droplog_close(daemon->droplog);
	nft_watch_close(daemon->watch);
	conntrack_close(daemon->conntrack);
	links_close(daemon->links);
	nft_close(daemon->nft);
	model_free(daemon->model);
	ruleset_free(daemon->ruleset);
	class_book_free(daemon->book);
	policy_free(daemon->policy);
	store_close(daemon->store);
	inventory_free(daemon->inventory);
	free(daemon->routes);
	flows_stop(daemon);
	proof_free(daemon);
	helper_close(&daemon->files);
	for (size_t i = 0; i < RECENT_DROPS_MAX; i++)
		json_decref(daemon->recent[i]);
}

int main(int argc, char **argv)
{
	static struct daemon daemon;
	struct error error = { 0 };
	int r = parse_options(argc, argv, &daemon.options);

	if (r <= 0) {
		if (r < 0)
			fputs(usage, stderr);
		return r < 0 ? 2 : 0;
	}
	/* Rights end in time on a busy machine too; helpers are waited for. Under systemd this is the unit's, and refused. */
	setpriority(PRIO_PROCESS, 0, PRIORITY);
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&daemon.loop);
	uv_timer_init(&daemon.loop, &daemon.confirm);
	daemon.confirm.data = &daemon;
	daemon.since = time(NULL);
	daemon.inventory = inventory_new();
	daemon.book = class_book_new(0);
	if (daemon.inventory && daemon.book && proof_init(&daemon) >= 0)
		r = start(&daemon, &error);
	else
		r = error_memory(&error);
	if (r < 0) {
		log_error("sprd", "%s", error.text);
	} else if (!daemon.options.boot) {
		tell_ready();
		if (!daemon.ending)
			uv_run(&daemon.loop, UV_RUN_DEFAULT);
	}
	stop(&daemon);
	return r < 0 ? 1 : 0;
}
