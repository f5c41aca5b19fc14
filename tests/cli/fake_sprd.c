/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A daemon that enforces nothing: it prints each request it gets and gives a fixed answer, so that the command can be
 * tried and tested without root. fake_sprd SOCKET
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "api/server.h"

static const struct answer {
	const char *call, *result;
} answers[] = {
	{ "status",
	  "{\"version\": \"0.1.0\", \"active\": true, \"protection\": \"persist\", \"since\": 1767225600,"
	  " \"engine\": {\"name\": \"docker\", \"socket\": \"/var/run/docker.sock\", \"state\": \"connected\","
	  " \"version\": \"20.10.24\"}, \"counts\": {\"containers\": 3, \"networks\": 2, \"rules\": 1, \"groups\": 2,"
	  " \"interfaces\": 5, \"classes\": 4}, \"waiting\": [\"virbr0\"], \"uplinks\": [\"eth0\"], \"lans\": [],"
	  " \"resolver\": \"192.168.1.1\", \"drops\": [{\"reason\": \"no-grant\", \"packets\": 41},"
	  " {\"reason\": \"spoofed\", \"packets\": 2}], \"notes\": [\"docker-proxy is on\"], \"proof\": {\"rules\": 7,"
	  " \"current\": true, \"last\": {\"rules\": 7, \"age\": 12, \"failed\": null, \"sentences\": [], \"pairs\": 214,"
	  " \"of\": 214, \"packets\": 856, \"passed\": 100, \"nowhere\": 0, \"lets_through\": 0, \"drops\": 3},"
	  " \"before\": null}}" },
	{ "compose",
	  "{\"project\": \"shop\", \"active\": true, \"services\": [{\"service\": \"web\", \"container\": \"shop-web-1\","
	  " \"mode\": \"\", \"networks\": [{\"name\": \"shop_default\\u001b[1m\", \"internal\": true}], \"policies\": [\"wan\"],"
	  " \"groups\": [], \"entry\": false, \"ports\": [{\"port\": \"8080/tcp\", \"target\": \"80/tcp\", \"bind\": \"\","
	  " \"chosen\": false, \"host_only\": false, \"to\": [\"lan\"], \"n\": 3, \"line\": \"spr publish container:shop/web\"},"
	  " {\"port\": \"\", \"target\": \"81/tcp\", \"bind\": \"127.0.0.1\", \"chosen\": true, \"host_only\": true,"
	  " \"to\": [], \"n\": 0, \"line\": null}]}], \"notes\": [\"web: a note\"]}" },
	{ "up", "{\"changed\": true, \"found\": [\"2 container networks with 3 containers\", \"1 uplink: eth0\"],"
		" \"closed\": [\"3 published ports, to everyone but this host\"], \"ports\": ["
		"{\"container\": \"web\", \"port\": \"8080/tcp\", \"bind\": \"0.0.0.0\","
		" \"line\": \"spr publish web --port 8080/tcp --to internet,lan\"},"
		"{\"container\": \"jellyfin\", \"port\": \"8096/tcp\", \"bind\": \"192.168.1.5\","
		" \"line\": \"spr publish jellyfin --port 8096/tcp --to lan\"}],"
		" \"left_alone\": [\"input rules of this machine\"], \"next\": [\"spr list containers\"]}" },
	{ "down", "{\"changed\": true, \"did\": [\"removed the tables\"]}" },
	{ "list",
	  "{\"columns\": [\"name\", \"groups\", \"ports\", \"running\", \"note\"], \"rows\": ["
	  "{\"name\": \"jellyfin\", \"groups\": [\"media\", \"family\"], \"ports\": 1, \"running\": true, \"note\": null},"
	  "{\"name\": \"evil\\u001b]0;x\\u0007\\u202e\\n\", \"groups\": [], \"ports\": 0, \"running\": false,"
	  " \"note\": \"a remark that is much too long for any terminal of eighty columns to show whole\"}]}" },
	{ "export", "{\"yaml\": \"groups:\\n  - name: media\\n\"}" },
	{ "explain",
	  "{\"verdict\": \"drop\", \"reason\": \"no-grant\", \"sentence\": \"Nothing lets phone reach nas.\","
	  " \"path\": [\"phone is in class 3\", \"nas is in class 4\"], \"fix\": \"spr allow phone nas:445/tcp\"}" },
	{ "pending",
	  "{\"proposals\": [{\"id\": \"3fa9c1d2\", \"kind\": \"label\", \"who\": \"shop/web\", \"what\":"
	  " \"policies wan, dns; groups shop\", \"missing\": \"groups shop\", \"from\": \"container\", \"refused\": null,"
	  " \"since\": 1767225600}, {\"id\": \"00c0ffee\", \"kind\": \"label\", \"who\": \"tv\", \"what\":"
	  " \"spr.polices=wan\\u001b[31m\", \"missing\": \"\", \"from\": \"image\", \"refused\": \"unknown label\","
	  " \"since\": 0}]}" },
	{ "accept", NULL },
	{ "dismiss", NULL },
	{ "join", NULL },
	{ "leave", NULL },
	{ "grant", NULL },
	{ "revoke", NULL },
	{ "allow", NULL },
	{ "block", NULL },
	{ "publish", NULL },
	{ "role", NULL },
	{ "apply", NULL },
};

static struct api_call calls[ELEMENTSOF(answers) + 2];
static const char change[] = "{\"changed\": true, \"opens\": [\"tv to nas, 445/tcp\"], \"closes\": [],"
			     " \"notes\": [\"nas does not exist yet\"], \"line\": \"opens tv to nas, 445/tcp\"}";

static int answer(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	const char *name = json_string_value(json_object_get(arguments, "call"));
	const char *member = json_string_value(json_object_get(arguments, "member"));

	(void)request;
	json_dumpf(arguments, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	printf("\n");
	fflush(stdout);
	if (member && strcmp(member, "nobody") == 0)
		return error_set(error, ENOENT, "there is no member 'nobody'\x1b[31m");
	for (size_t i = 0; i < ELEMENTSOF(answers); i++)
		if (strcmp(answers[i].call, name) == 0)
			*ret_result = json_loads(answers[i].result ? answers[i].result : change, 0, NULL);
	return *ret_result ? 0 : error_memory(error);
}

static json_t *make_event(void)
{
	return json_pack("{s:f, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:s, s:s, s:n}", "time", 1767225600.25, "reason",
			 "no-grant", "from", "tv", "from_addr", "192.168.77.5", "from_port", 50000, "to", "2001:db8::1",
			 "to_addr", "2001:db8::1", "to_port", 443, "proto", "tcp", "in", "br-lan", "out");
}

/* For the member "old", as a daemon that keeps nothing. */
static int subscribe(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	const char *member = json_string_value(json_object_get(arguments, "member"));

	(void)error;
	if (!member || strcmp(member, "old") != 0)
		*ret_result = json_pack("{s:[o]}", "recent", make_event());
	return api_request_subscribe(request, arguments);
}

static void on_tick(uv_timer_t *timer)
{
	_cleanup_json_ json_t *event = make_event();

	api_broadcast(timer->data, event, NULL);
}

static int stop(struct api_request *request, json_t *arguments, json_t **ret_result, struct error *error)
{
	uv_loop_t *loop = api_request_data(request);

	(void)arguments;
	(void)ret_result;
	(void)error;
	uv_stop(loop);
	return 0;
}

int main(int argc, char **argv)
{
	struct error error = { 0 };
	struct api *api = NULL;
	uv_loop_t loop;
	uv_timer_t timer;

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < ELEMENTSOF(answers); i++)
		calls[i] = (struct api_call){ answers[i].call, answers[i].result == NULL, answer };
	calls[ELEMENTSOF(answers)] = (struct api_call){ "log", false, subscribe };
	calls[ELEMENTSOF(answers) + 1] = (struct api_call){ "stop", false, stop };
	uv_loop_init(&loop);
	if (api_listen(&loop, argv[1], calls, ELEMENTSOF(calls), &loop, &api, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	uv_timer_init(&loop, &timer);
	timer.data = api;
	uv_timer_start(&timer, on_tick, 100, 100);
	printf("ready\n");
	fflush(stdout);
	uv_run(&loop, UV_RUN_DEFAULT);
	api_close(api);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) < 0;
}
