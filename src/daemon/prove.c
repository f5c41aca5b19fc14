/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "daemon/daemon.h"
#include "verdict/trial.h"

/* What policy says about packets between all classes, for somebody who may try them in a twin. */

static int add_packet(json_t *packets, const struct model *model, const struct trial *trial)
{
	json_t *json = packet_json(model, &trial->packet, &trial->from, &trial->to);

	if (!json || json_object_set_new(json, "accept", json_boolean(trial->after)) < 0 ||
	    json_object_set_new(json, "reason", json_string(reason_info(trial->reason)->id)) < 0) {
		json_decref(json);
		return -ENOMEM;
	}
	return json_array_append_new(packets, json) < 0 ? -ENOMEM : 0;
}

CALL(call_prove)
{
	const struct daemon *daemon = daemon_of(request);
	const struct model *model = daemon->model;
	json_t *packets = json_array();
	struct trials trials = { 0 };
	int r = packets ? trials_all(model, false, &trials) : -ENOMEM;

	for (size_t i = 0; i < trials.n && r >= 0; i++)
		r = add_packet(packets, model, &trials.items[i]);
	if (r >= 0)
		*ret_result = json_pack("{s:I, s:I, s:I, s:O}", "rules", (json_int_t)daemon->rules, "pairs",
					(json_int_t)trials.pairs, "of", (json_int_t)trials.pairs_found, "packets",
					packets);
	trials_clear(&trials);
	json_decref(packets);
	return r >= 0 && *ret_result ? 0 : error_memory(error);
}
