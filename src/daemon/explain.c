/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "api/message.h"
#include "daemon/daemon.h"
#include "verdict/changes.h"
#include "verdict/question.h"

/* One end of the question, with what the caller called it. */
struct named_end {
	struct end end;
	char *label;
};

static int find_addr(const struct model *model, const char *text, struct named_end *ret)
{
	struct addr addr;

	if (addr_parse(text, &addr) < 0)
		return -ENOENT;
	for (size_t i = 0; i < model->n_locations; i++)
		if (model->locations[i].interface[0] && range_contains(&model->locations[i].range, &addr) &&
		    (!ret->end.location || model->locations[i].single))
			ret->end.location = &model->locations[i];
	ret->end.addr = addr;
	ret->label = strdup(text);
	return ret->label ? 0 : -ENOMEM;
}

static bool better(const struct location *now, const struct location *before, uint8_t family)
{
	struct addr typical_now, typical_before;

	if (family && now->range.first.family != family)
		return false;
	if (!before)
		return true;
	if (now->single != before->single)
		return now->single;
	typical_now = location_address(now);
	typical_before = location_address(before);
	return addr_compare(&typical_now, &now->range.first) != 0 &&
	       addr_compare(&typical_before, &before->range.first) == 0 &&
	       now->range.first.family == before->range.first.family;
}

/* `family` 0: whichever there is, IPv4 first. */
static int find_end(const struct model *model, const char *text, uint8_t family, struct named_end *ret,
		    struct error *error)
{
	struct selector selector;
	int r = find_addr(model, text, ret);

	if (r != -ENOENT)
		return r;
	r = selector_parse(text, &selector, error);
	if (r < 0)
		return r;
	r = selector_ambiguous(model, &selector, error);
	for (size_t i = 0; r >= 0 && i < model->n_locations; i++)
		if (selector_fits(model, &selector, &model->locations[i], true) &&
		    better(&model->locations[i], ret->end.location, family))
			ret->end.location = &model->locations[i];
	selector_clear(&selector);
	if (r < 0)
		return r;
	if (!ret->end.location)
		return error_set(error, ENOENT, "nothing that is here now is called '%s'", text);
	ret->end.addr = location_address(ret->end.location);
	ret->label = strdup(text);
	return ret->label ? 0 : -ENOMEM;
}

static const char *cause_text(const struct decision *decision, char *buffer, size_t size)
{
	const struct cause *cause = &decision->right->cause;

	switch (cause->kind) {
	case CAUSE_NETWORK:
		snprintf(buffer, size, "they are on the same network");
		break;
	case CAUSE_GROUP:
		snprintf(buffer, size, "both are in group %s", cause->name);
		break;
	case CAUSE_POLICY:
		snprintf(buffer, size, "policy %s of the source", policy_bit_name((enum policy_bit)cause->index));
		break;
	case CAUSE_PUBLISH:
		snprintf(buffer, size, "publish of %s", decision->publisher ? decision->publisher->name : "?");
		break;
	default:
		snprintf(buffer, size, "%s number %zu of the policy", cause->kind == CAUSE_BLOCK ? "block" : "allow",
			 cause->index + 1);
		break;
	}
	return buffer;
}

static void describe_end(const struct model *model, json_t *path, const char *side, const struct named_end *end)
{
	char addr[ADDR_TEXT_MAX];
	_cleanup_free_ char *label = end->end.location ? location_label(end->end.location) : NULL;
	const struct class *class = end->end.location ? &model->classes[end->end.location->class] : NULL;

	sentence_add(path, "%s: %s, %s%s%s, class %u", side, label ? label : "nobody known",
		     addr_text(&end->end.addr, addr),
		     end->end.location && end->end.location->interface[0] ? " behind " : "",
		     end->end.location ? end->end.location->interface : "", class ? class->number : 0);
}

static void replace_word(char *text, size_t size, const char *word, const char *by)
{
	_cleanup_free_ char *before = strdup(text);
	char *at = before ? strstr(before, word) : NULL;

	if (!at)
		return;
	*at = '\0';
	snprintf(text, size, "%s%s%s", before, by, at + strlen(word));
}

static json_t *fix_for(const struct reason_info *info, const struct named_end *from, const struct named_end *to,
		       const char *port)
{
	char fix[1000];

	if (!info->fix)
		return json_null();
	snprintf(fix, sizeof(fix), "%s", info->fix);
	replace_word(fix, sizeof(fix), "FROM", from->label);
	if (port)
		replace_word(fix, sizeof(fix), "PORT", port);
	else
		replace_word(fix, sizeof(fix), ":PORT", "");
	replace_word(fix, sizeof(fix), "TO", to->label);
	return json_text(fix);
}

static void add_mac(const struct model *model, json_t *packet, const char *key, const struct end *end)
{
	const struct network *network = end->location ? end->location->network : NULL;
	const struct endpoint *endpoint = network ? inventory_endpoint(model->inventory, network->id, &end->addr) :
						    NULL;
	char text[20];

	if (!endpoint)
		return;
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", endpoint->mac[0], endpoint->mac[1],
		 endpoint->mac[2], endpoint->mac[3], endpoint->mac[4], endpoint->mac[5]);
	json_object_set_new(packet, key, json_string(text));
}

json_t *packet_json(const struct model *model, const struct packet *packet, const struct end *from,
		    const struct end *to)
{
	char source[ADDR_TEXT_MAX], target[ADDR_TEXT_MAX];
	json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i}", "in", packet->in, "from",
				 addr_text(&packet->from, source), "to", addr_text(&packet->dialled, target), "proto",
				 packet->proto, "port", packet->dialled_port, "icmp_type", packet->icmp_type);

	if (!json)
		return NULL;
	add_mac(model, json, "from_mac", from);
	if (strcmp(packet->in, packet->out) == 0)
		add_mac(model, json, "to_mac", to);
	return json;
}

static json_t *answer(const struct model *model, const struct packet *packet, const struct named_end *from,
		      const struct named_end *to, const char *port)
{
	json_t *path = json_array();
	const struct reason_info *info;
	struct decision decision;
	char cause[300];

	verdict(model, packet, &decision);
	info = reason_info(decision.reason);
	describe_end(model, path, "from", from);
	describe_end(model, path, "to", to);
	if (decision.left_alone)
		sentence_add(path, "none of spr's business: this machine's own rules decide");
	else if (decision.right)
		sentence_add(path, "%s", cause_text(&decision, cause, sizeof(cause)));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "verdict", decision.accept ? "accept" : "drop", "reason",
			 info->id, "sentence", info->sentence, "path", path, "fix", fix_for(info, from, to, port),
			 "packet", packet_json(model, packet, &from->end, &to->end));
}

static int find_ends(const struct model *model, const char *from_text, const char *to_text, struct named_end *from,
		     struct named_end *to, struct error *error)
{
	int r = find_end(model, from_text, 0, from, error);

	if (r >= 0 && from->end.location && !from->end.location->interface[0])
		r = error_set(error, EINVAL, "this machine is never judged as a source: it reaches everything");
	if (r >= 0)
		r = find_end(model, to_text, from->end.addr.family, to, error);
	if (r >= 0 && !to->label)
		r = error_memory(error);
	return r;
}

CALL(call_explain)
{
	struct daemon *daemon = daemon_of(request);
	struct port_range port = { .proto = IPPROTO_TCP };
	struct named_end from = { 0 }, to = { 0 };
	const char *from_text = "", *to_text = "", *port_text = NULL;
	struct packet packet = { 0 };
	int r = argument_text(arguments, "from", &from_text, error);

	if (r >= 0)
		r = argument_text(arguments, "to", &to_text, error);
	if (r >= 0)
		r = argument_text(arguments, "port", &port_text, error);
	if (r >= 0 && port_text)
		r = port_range_parse(port_text, &port, error);
	if (r >= 0)
		r = find_ends(daemon->model, from_text, to_text, &from, &to, error);
	if (r >= 0) {
		question_packet(daemon->model, &from.end, &to.end, &port, &packet);
		*ret_result = answer(daemon->model, &packet, &from, &to, port_text);
		r = *ret_result ? 0 : error_memory(error);
	}
	free(from.label);
	free(to.label);
	return r;
}
