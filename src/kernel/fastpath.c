/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/fastpath.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "kernel/classifier.h"
#include "kernel/fastpath_maps.h"
#include "kernel/flow_message.h"

#define SECOND 1000000000ULL

extern const unsigned char fastpath_object[]; /* fastpath.bpf.c, compiled */
extern const size_t fastpath_object_size;

struct attached {
	unsigned interface;
	bool made; /* the place for programs there is ours */
};

struct fastpath {
	struct nlsocket *socket;
	struct bpf_object *object;
	struct ring_buffer *asks;
	struct fastpath_lease *lease; /* mapped, as the counts */
	struct fastpath_count *counts;
	size_t lease_size, counts_size, n_counts;
	int arriving, leaving; /* the programs; the object's */
	struct attached *attached;
	size_t n_attached;
	void (*each)(const struct flow *flow, void *data); /* within fastpath_read() */
	void *data;
};

DEFINE_CLEANUP(struct fastpath *, fastpath_close)

/* What libbpf says goes to whoever opens: the last of it is the reason. It has one printer for the process. */
static char *said;
static size_t said_size;

static int keep_said(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level != LIBBPF_WARN || !said)
		return 0;
	vsnprintf(said, said_size, format, arguments);
	said[strcspn(said, "\n")] = '\0';
	return 0;
}

static void *map_shared(struct fastpath *fastpath, const char *name, size_t *ret_size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(fastpath->object, name);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size;
	void *memory;

	if (!map)
		return NULL;
	size = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	*ret_size = (size + page - 1) / page * page;
	memory = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static int program_fd(const struct fastpath *fastpath, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(fastpath->object, name);

	return program ? bpf_program__fd(program) : -ENOENT;
}

static int take_ask(void *context, void *data, size_t size)
{
	struct fastpath *fastpath = context;
	const struct fastpath_key *key = data;
	struct flow flow;
	uint8_t family;

	if (size < sizeof(*key) || !fastpath->each)
		return 0;
	family = key->family == 4 ? AF_INET : AF_INET6;
	flow = (struct flow){ .proto = key->proto,
			      .from.family = family,
			      .to.family = family,
			      .from_port = ntohs(key->source_port),
			      .to_port = ntohs(key->target_port) };
	memcpy(flow.from.bytes, key->source, addr_size(family));
	memcpy(flow.to.bytes, key->target, addr_size(family));
	fastpath->each(&flow, fastpath->data);
	return 0;
}

/* The programs are bound to functions of the connection table, whose module is loaded when somebody asks it something. */
static void wake_conntrack(void)
{
	_cleanup_(nlsocket_closep) struct nlsocket *socket = NULL;
	char buffer[256] __attribute__((aligned(8)));

	if (nlsocket_open(NETLINK_NETFILTER, &socket) >= 0)
		nlsocket_query(socket, flow_message_count(buffer), NULL, NULL);
}

static int load(struct fastpath *fastpath)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "spr_fastpath");
	int processors = libbpf_num_possible_cpus(), r;
	struct bpf_map *counts, *asks;

	fastpath->object = bpf_object__open_mem(fastpath_object, fastpath_object_size, &options);
	if (!fastpath->object)
		return -errno;
	counts = bpf_object__find_map_by_name(fastpath->object, "counts");
	asks = bpf_object__find_map_by_name(fastpath->object, "asks");
	if (processors < 1 || !counts || !asks)
		return -ENOENT;
	fastpath->n_counts = (size_t)processors;
	r = bpf_map__set_max_entries(counts, (unsigned)processors);
	if (r >= 0)
		r = bpf_object__load(fastpath->object);
	if (r < 0)
		return r;
	fastpath->arriving = program_fd(fastpath, "fastpath_in");
	fastpath->leaving = program_fd(fastpath, "fastpath_out");
	fastpath->lease = map_shared(fastpath, "lease", &fastpath->lease_size);
	fastpath->counts = map_shared(fastpath, "counts", &fastpath->counts_size);
	if (fastpath->arriving < 0 || fastpath->leaving < 0 || !fastpath->lease || !fastpath->counts)
		return -ENOENT;
	fastpath->asks = ring_buffer__new(bpf_map__fd(asks), take_ask, fastpath, NULL);
	return fastpath->asks ? 0 : -errno;
}

int fastpath_open(struct fastpath **ret, struct error *error)
{
	_cleanup_(fastpath_closep) struct fastpath *fastpath = calloc(1, sizeof(*fastpath));
	char reason[400] = "";
	int r;

	if (!fastpath)
		return error_memory(error);
	r = nlsocket_open(NETLINK_ROUTE, &fastpath->socket);
	if (r < 0)
		return error_set(error, -r, "cannot open a routing socket: %s", strerror(-r));
	wake_conntrack();
	said = reason;
	said_size = sizeof(reason);
	libbpf_set_print(keep_said);
	r = load(fastpath);
	said = NULL;
	if (r < 0)
		return error_set(error, -r, "the kernel takes no program for it: %s%s%s", strerror(-r),
				 reason[0] ? "; " : "", reason);
	*ret = TAKE_PTR(fastpath);
	return 0;
}

struct fastpath *fastpath_close(struct fastpath *fastpath)
{
	if (!fastpath)
		return NULL;
	fastpath_detach_all(fastpath);
	if (fastpath->lease)
		munmap(fastpath->lease, fastpath->lease_size);
	if (fastpath->counts)
		munmap(fastpath->counts, fastpath->counts_size);
	ring_buffer__free(fastpath->asks);
	bpf_object__close(fastpath->object);
	nlsocket_close(fastpath->socket);
	free(fastpath->attached);
	free(fastpath);
	return NULL;
}

static void detach(struct fastpath *fastpath, const struct attached *attached)
{
	classifier_detach(fastpath->socket, attached->interface, CLASSIFIER_ARRIVING);
	classifier_detach(fastpath->socket, attached->interface, CLASSIFIER_LEAVING);
	if (attached->made)
		classifier_clear(fastpath->socket, attached->interface);
}

int fastpath_attach(struct fastpath *fastpath, unsigned interface, struct error *error)
{
	struct attached *slot;
	int r;

	for (size_t i = 0; i < fastpath->n_attached; i++)
		if (fastpath->attached[i].interface == interface)
			return 0;
	slot = ARRAY_ADD(fastpath->attached, fastpath->n_attached);
	if (!slot)
		return error_memory(error);
	slot->interface = interface;
	r = classifier_prepare(fastpath->socket, interface, &slot->made);
	if (r >= 0)
		r = classifier_attach(fastpath->socket, interface, CLASSIFIER_LEAVING, fastpath->leaving,
				      "spr_fastpath_out");
	if (r >= 0)
		r = classifier_attach(fastpath->socket, interface, CLASSIFIER_ARRIVING, fastpath->arriving,
				      "spr_fastpath_in");
	if (r >= 0)
		return 0;
	detach(fastpath, slot);
	fastpath->n_attached--;
	return error_set(error, -r, "the fast path cannot be attached: %s", strerror(-r));
}

void fastpath_detach(struct fastpath *fastpath, unsigned interface)
{
	for (size_t i = fastpath->n_attached; i > 0; i--)
		if (fastpath->attached[i - 1].interface == interface) {
			detach(fastpath, &fastpath->attached[i - 1]);
			ARRAY_CUT(fastpath->attached, fastpath->n_attached, i - 1);
		}
}

void fastpath_detach_all(struct fastpath *fastpath)
{
	fastpath_stop(fastpath);
	for (size_t i = 0; i < fastpath->n_attached; i++)
		detach(fastpath, &fastpath->attached[i]);
	fastpath->n_attached = 0;
}

void fastpath_forget(struct fastpath *fastpath, bool (*there)(unsigned interface, const void *data), const void *data)
{
	for (size_t i = fastpath->n_attached; i > 0; i--)
		if (!there(fastpath->attached[i - 1].interface, data))
			ARRAY_CUT(fastpath->attached, fastpath->n_attached, i - 1);
}

size_t fastpath_interfaces(const struct fastpath *fastpath)
{
	return fastpath->n_attached;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

void fastpath_stop(struct fastpath *fastpath)
{
	if (fastpath->lease)
		__atomic_store_n(&fastpath->lease->until, 0, __ATOMIC_SEQ_CST);
}

void fastpath_run(struct fastpath *fastpath, unsigned milliseconds)
{
	uint64_t time = now();

	if (!fastpath_runs(fastpath))
		__atomic_store_n(&fastpath->lease->since, time, __ATOMIC_SEQ_CST);
	__atomic_store_n(&fastpath->lease->until, time + milliseconds * (SECOND / 1000), __ATOMIC_SEQ_CST);
}

bool fastpath_runs(const struct fastpath *fastpath)
{
	return now() < __atomic_load_n(&fastpath->lease->until, __ATOMIC_SEQ_CST);
}

uint64_t fastpath_packets(const struct fastpath *fastpath)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < fastpath->n_counts; i++)
		sum += __atomic_load_n(&fastpath->counts[i].packets, __ATOMIC_RELAXED);
	return sum;
}

int fastpath_fd(const struct fastpath *fastpath)
{
	return ring_buffer__epoll_fd(fastpath->asks);
}

void fastpath_read(struct fastpath *fastpath, void (*each)(const struct flow *flow, void *data), void *data)
{
	fastpath->each = each;
	fastpath->data = data;
	ring_buffer__consume(fastpath->asks);
	fastpath->each = NULL;
}
