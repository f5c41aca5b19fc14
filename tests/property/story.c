/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "property.h"

/* What was sent into a scene, and sending it once more. */

static void *twin(const void *from, size_t n, size_t size)
{
	void *copy = n ? malloc(n * size) : NULL;

	MUST(!n || copy);
	if (n)
		memcpy(copy, from, n * size);
	return copy;
}
#define TWIN(from, n) twin(from, n, sizeof(*(from)))

static char *text_twin(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	MUST(!text || copy);
	return copy;
}

static void container_copy(const struct container *from, struct inventory *to)
{
	struct container copy = *from;

	copy.id = text_twin(from->id);
	copy.name = text_twin(from->name);
	copy.image = text_twin(from->image);
	copy.project = text_twin(from->project);
	copy.service = text_twin(from->service);
	copy.requests = TWIN(from->requests, from->n_requests);
	for (size_t i = 0; i < copy.n_requests; i++) {
		copy.requests[i].key = text_twin(from->requests[i].key);
		copy.requests[i].text = text_twin(from->requests[i].text);
	}
	copy.ports = TWIN(from->ports, from->n_ports);
	copy.bindings = TWIN(from->bindings, from->n_bindings);
	MUST(inventory_put_container(to, &copy) == 0);
}

void engine_copy(const struct inventory *from, struct inventory *to)
{
	inventory_drop_network(to, "docker", NULL);
	inventory_drop_container(to, "docker", NULL);
	to->resolver = from->resolver;
	for (size_t i = 0; i < from->n_networks; i++) {
		struct network copy = from->networks[i];

		copy.id = text_twin(copy.id);
		copy.name = text_twin(copy.name);
		copy.driver = text_twin(copy.driver);
		copy.subnets = TWIN(copy.subnets, copy.n_subnets);
		copy.gateways = TWIN(copy.gateways, copy.n_gateways);
		MUST(inventory_put_network(to, &copy) == 0);
	}
	for (size_t i = 0; i < from->n_containers; i++)
		container_copy(&from->containers[i], to);
	for (size_t i = 0; i < from->n_endpoints; i++) {
		struct endpoint copy = from->endpoints[i];

		copy.network = text_twin(copy.network);
		copy.container = text_twin(copy.container);
		copy.name = text_twin(copy.name);
		MUST(inventory_put_endpoint(to, &copy) == 0);
	}
}

void story_begin(struct story *story, const struct scene *scene)
{
	*story = (struct story){ .n_nics = scene->n_nics, .bridge_calls = scene->bridge_calls };
	memcpy(story->nics, scene->nics, sizeof(story->nics));
}

static void epoch_add(struct story *story, const struct policy *policy, const struct inventory *engine,
		      const struct forward *forwards, size_t n_forwards)
{
	struct epoch *epoch = ARRAY_ADD(story->epochs, story->n_epochs);

	MUST(epoch);
	*epoch = (struct epoch){ policy_copy(policy), inventory_new(), TWIN(forwards, n_forwards), n_forwards };
	MUST(epoch->policy && epoch->engine);
	engine_copy(engine, epoch->engine);
}

void story_epoch(struct story *story, const struct scene *scene, const struct policy *policy)
{
	epoch_add(story, policy, scene->inventory, scene->forwards, scene->n_forwards);
}

static struct record *record_add(struct story *story)
{
	struct record *record = ARRAY_ADD(story->records, story->n_records);

	MUST(record);
	*record = (struct record){ .id = story->n_records - 1, .epoch = story->n_epochs - 1, .opener = NO_FLOW };
	return record;
}

void story_add(struct story *story, struct shot *shot, const struct flows *flows)
{
	struct record *record = record_add(story);

	shot->id = record->id;
	if (shot->flow != NO_FLOW)
		record->opener = flows->flows[shot->flow].opener;
	snprintf(record->nic, sizeof(record->nic), "%s", shot->nic->name);
	record->shot = *shot;
}

void story_add_local(struct story *story, const struct addr *to, struct flows *flows)
{
	struct record *record = record_add(story);

	record->local = true;
	record->shot.packet.dialled = *to;
	flows->flows[flows->n_flows - 1].opener = record->id;
}

/* Of the records from on, which it takes over, and the epochs that they need. */
static void story_fill(const struct story *from, struct record *records, size_t n, struct story *to)
{
	*to = *from;
	to->epochs = NULL;
	to->n_epochs = 0;
	to->records = records;
	to->n_records = n;
	for (size_t i = 0, last = SIZE_MAX; i < n; i++) {
		const struct epoch *epoch = &from->epochs[records[i].epoch];

		if (records[i].epoch != last)
			epoch_add(to, epoch->policy, epoch->engine, epoch->forwards, epoch->n_forwards);
		last = records[i].epoch;
		records[i].epoch = to->n_epochs - 1;
	}
}

void story_copy(const struct story *from, struct story *to)
{
	story_fill(from, TWIN(from->records, from->n_records), from->n_records, to);
}

void story_pick(const struct story *from, size_t i, bool flow, struct story *to)
{
	size_t opener = from->records[i].opener, n = 0;
	struct record *records = TWIN(from->records, i + 1);

	for (size_t k = 0; k <= i; k++)
		if (!flow || k == i || (opener != NO_FLOW && (k == opener || from->records[k].opener == opener)))
			records[n++] = from->records[k];
	story_fill(from, records, n, to);
}

void story_clear(struct story *story)
{
	for (size_t i = 0; i < story->n_epochs; i++) {
		policy_free(story->epochs[i].policy);
		inventory_free(story->epochs[i].engine);
		free(story->epochs[i].forwards);
	}
	free(story->epochs);
	free(story->records);
	*story = (struct story){ 0 };
}

bool open_local(const struct scene *scene, struct flows *flows, const struct addr *to)
{
	struct addr own = { AF_INET, { 0 } };
	const char *out = scene_route(scene, to, "");
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53) };
	socklen_t length = sizeof(at);
	struct flow *flow = NULL;
	int mark = 0x77, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0);
	memcpy(&at.sin_addr, to->bytes, 4);
	if (out && out[0] && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && send(fd, "?", 1, 0) == 1) {
		MUST(getsockname(fd, (struct sockaddr *)&at, &length) == 0);
		memcpy(own.bytes, &at.sin_addr, 4);
		flow = ARRAY_ADD(flows->flows, flows->n_flows);
		MUST(flow);
		*flow = (struct flow){ .local = true, .born = now(), .used = flows->volley };
		flow->first = (struct packet){ .in = "",
					       .out = out,
					       .from = own,
					       .dialled = *to,
					       .to = *to,
					       .proto = IPPROTO_UDP,
					       .from_port = ntohs(at.sin_port),
					       .dialled_port = 53,
					       .to_port = 53,
					       .hop_limit = 64 };
		flow->wire_from = own;
		flow->wire_port = flow->first.from_port;
	}
	close(fd);
	return flow != NULL;
}

void rig_open(struct rig *rig, const struct story *story)
{
	*rig = (struct rig){ .scene = { .n_nics = story->n_nics, .bridge_calls = story->bridge_calls } };
	memcpy(rig->scene.nics, story->nics, sizeof(story->nics));
	scene_open(&rig->scene);
	force_open(&rig->force);
	rig->watch = watch_open();
}

void rig_close(struct rig *rig)
{
	watch_close(rig->watch);
	force_close(&rig->force);
	scene_close(&rig->scene);
	free(rig->flows.flows);
	free(rig->flows.odd);
}

bool rig_fits(const struct rig *rig, const struct story *story)
{
	bool same = rig->scene.n_nics == story->n_nics;

	for (size_t i = 0; i < story->n_nics && same; i++)
		same = strcmp(rig->scene.nics[i].name, story->nics[i].name) == 0;
	return same;
}

/* Nothing is left of an earlier try. */
static void rig_forget(struct rig *rig)
{
	connections_forget();
	rig->force.forget = true;
	rig->flows.n_flows = 0;
	rig->flows.n_odd = 0;
}

static bool rig_turn(struct rig *rig, const struct epoch *epoch)
{
	struct error error = { 0 };
	struct scene *scene = &rig->scene;
	struct policy *policy = policy_copy(epoch->policy);

	MUST(policy);
	engine_copy(epoch->engine, scene->inventory);
	free(scene->forwards);
	scene->forwards = TWIN(epoch->forwards, epoch->n_forwards);
	scene->n_forwards = epoch->n_forwards;
	scene_nat(scene);
	return force_change(&rig->force, scene->inventory, policy, &error) == 0;
}

/* What verdict() would say of a story of one packet, without the kernel: much faster. */
static bool rig_guess(struct rig *rig, const struct story *story, const struct shot *seen)
{
	const struct epoch *epoch = &story->epochs[story->records[0].epoch];
	struct scene scene = rig->scene;
	struct shot shot = story->records[0].shot;
	struct error error = { 0 };
	struct model *model;

	if (shot.later || policy_check(epoch->policy, &error) < 0)
		return false; /* a later packet needs the one that opened its flow */
	engine_copy(epoch->engine, scene.inventory);
	scene.forwards = epoch->forwards;
	scene.n_forwards = epoch->n_forwards;
	if (!shot_again(&shot, &scene, &rig->flows, story->records[0].nic) ||
	    model_new(epoch->policy, scene.inventory, rig->force.book, time(NULL), &model, &error) < 0)
		return false;
	judge(model, &shot);
	model_free(model);
	return shot.expected.accept == seen->expected.accept && shot.expected.reason == seen->expected.reason;
}

/* The flow of this try that a record opened. */
static size_t flow_of(const struct flows *flows, size_t opener)
{
	for (size_t i = 0; i < flows->n_flows; i++)
		if (flows->flows[i].opener == opener)
			return i;
	return NO_FLOW;
}

static bool rig_send(struct rig *rig, const struct record *record, struct shot *shot)
{
	*shot = record->shot;
	if (record->local) {
		if (open_local(&rig->scene, &rig->flows, &record->shot.packet.dialled))
			rig->flows.flows[rig->flows.n_flows - 1].opener = record->id;
		return true;
	}
	shot->flow = record->opener == NO_FLOW ? NO_FLOW : flow_of(&rig->flows, record->opener);
	if ((shot->later && shot->flow == NO_FLOW) || !shot_again(shot, &rig->scene, &rig->flows, record->nic))
		return false;
	judge(rig->force.model, shot);
	watch_volley(rig->watch, &rig->scene, shot, 1);
	if (shot->fate == FATE_PASSED)
		flows_note(&rig->flows, &rig->scene, shot);
	return true;
}

bool rig_play(struct rig *rig, const struct story *story, const struct shot *seen, void (*before_last)(void),
	      struct shot *ret)
{
	size_t epoch = SIZE_MAX;

	if (story->n_records == 1 && !rig_guess(rig, story, seen))
		return false;
	rig_forget(rig);
	for (size_t i = 0; i < story->n_records; i++) {
		bool last = i + 1 == story->n_records;

		if (story->records[i].epoch != epoch && !rig_turn(rig, &story->epochs[story->records[i].epoch]))
			return false;
		epoch = story->records[i].epoch;
		if (last && before_last)
			before_last();
		if (!rig_send(rig, &story->records[i], ret) && last)
			return false;
	}
	return true;
}
