/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "api/server.h"
#include "base/log.h"
#include "daemon/daemon.h"

/* clang-format off */
const struct api_call daemon_calls[] = {
	{ "status", false, call_status },
	{ "up", true, call_up, true },
	{ "down", true, call_down, true },
	{ "list", false, call_list },
	{ "join", true, call_join, true },
	{ "leave", true, call_leave, true },
	{ "grant", true, call_grant, true },
	{ "revoke", true, call_revoke, true },
	{ "allow", true, call_allow, true },
	{ "block", true, call_block, true },
	{ "publish", true, call_publish, true },
	{ "role", true, call_role, true },
	{ "pending", false, call_pending },
	{ "accept", true, call_accept, true },
	{ "dismiss", true, call_dismiss, true },
	{ "apply", true, call_apply, true },
	{ "export", false, call_export },
	{ "history", false, call_history, true },
	{ "diff", false, call_diff, true },
	{ "rollback", true, call_rollback, true },
	{ "confirm", false, call_confirm, true },
	{ "explain", false, call_explain },
	{ "prove", false, call_prove },
	{ "proved", false, call_proved },
	{ "compose", false, call_compose },
	{ "log", false, call_log },
};
/* clang-format on */
const size_t n_daemon_calls = ELEMENTSOF(daemon_calls);

void daemon_sync(struct daemon *daemon)
{
	struct error error = { 0 };

	if (daemon->dirty && daemon_refresh(daemon, &error) < 0)
		log_error("enforce", "%s", error.text);
	if (!daemon->dirty)
		return;
	log_error("sprd", "there is no model to answer from: ending, the tables stay closed");
	abort();
}

struct daemon *daemon_of(struct api_request *request)
{
	struct daemon *daemon = api_request_data(request);

	daemon_sync(daemon);
	return daemon;
}

int argument_text(json_t *arguments, const char *key, const char **ret, struct error *error)
{
	json_t *value = json_object_get(arguments, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return error_set(error, EINVAL, "\"%s\" has to be a text", key);
	*ret = json_string_value(value);
	return 0;
}

int argument_texts(json_t *arguments, const char *key, json_t **ret_list, struct error *error)
{
	json_t *list = json_object_get(arguments, key), *item;
	size_t i;

	if (!json_is_array(list))
		return error_set(error, EINVAL, "\"%s\" has to be a list of texts", key);
	json_array_foreach(list, i, item)
		if (!json_is_string(item))
			return error_set(error, EINVAL, "\"%s\" has to be a list of texts", key);
	*ret_list = list;
	return 0;
}

bool argument_flag(json_t *arguments, const char *key)
{
	return json_is_true(json_object_get(arguments, key));
}

void sentence_add(json_t *list, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		json_array_append_new(list, json_text(text));
}

CALL(call_export)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_free_ char *yaml = policy_print(daemon->policy);

	*ret_result = yaml ? json_pack("{s:s, s:I}", "yaml", yaml, "revision", (json_int_t)daemon->revision) : NULL;
	return *ret_result ? 0 : error_memory(error);
}

CALL(call_apply)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	json_t *text = json_object_get(arguments, "text");
	const char *name = "policy";
	int r = argument_text(arguments, "name", &name, error);

	if (r < 0)
		return r;
	if (!text && daemon->options.policy_file) {
		r = load_file(daemon, &policy, error);
		return r < 0 ? r :
			       daemon_change_flags(request, TAKE_PTR(policy), CHANGE_FROM_FILE | CHANGE_UNCONFIRMED,
						   arguments, ret_result, error);
	}
	if (!text)
		return error_set(error, EINVAL, "apply which file? -f policy.yaml, or -f - for standard input");
	if (!json_is_string(text))
		return error_set(error, EINVAL, "\"text\" has to hold the policy as YAML");
	r = policy_parse(json_string_value(text), json_string_length(text), name, &policy, error);
	return r < 0 ? r : daemon_change(request, TAKE_PTR(policy), arguments, ret_result, error);
}

CALL(call_down)
{
	struct daemon *daemon = daemon_of(request);
	_cleanup_json_ json_t *did = json_array();
	bool was_active = daemon->active, dry = argument_flag(arguments, "dry_run");
	int r = dry ? 0 : daemon_deactivate(daemon, error);

	if (r < 0)
		return r;
	if (was_active) {
		sentence_add(did,
			     "the tables of spr and its rule in DOCKER-USER are gone: the machine is as it was before");
		sentence_add(did, "the policy is kept in %s for the next `spr up`", store_policy_path(daemon->store));
	}
	*ret_result = json_pack("{s:b, s:O, s:b}", "changed", was_active && !dry, "did", did, "dry_run", dry);
	if (dry && was_active && argument_flag(arguments, "trial") &&
	    json_object_set_new(*ret_result, "trial", trial_json(daemon, daemon->model, NULL)) < 0)
		return error_memory(error);
	return *ret_result ? 0 : error_set(error, ENOMEM, "it is down; there is not enough memory for the answer");
}
