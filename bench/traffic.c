/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends traffic through several routers by turns and measures what it costs: traffic CPU ROUNDS MILLISECONDS <JOBS
 *
 * A job is a line:
 *
 *   KIND SOURCE TARGET MAC FROM-ADDRESS SOURCES TO-ADDRESS TO-PORT STEP COUNT AT-ADDRESS AT-PORT SIZE FLOWS
 *
 * SOURCE and TARGET are the files of network namespaces; MAC is the router's on the source's eth0. It sends from SOURCES
 * addresses to COUNT ports TO-PORT, TO-PORT + STEP ..., and a socket in TARGET at AT-ADDRESS and AT-PORT gets it. All
 * jobs are open at the same time; in every round each has its turn of some milliseconds, and prints a line:
 *
 *   JOB ROUND OPERATIONS CPU-NANOSECONDS DELIVERED P50 P99
 *
 * One thread, pinned to one processor, is sender and receiver. A veth pair hands packets over within the sender's
 * system call, so that the thread's processor time holds all of their way: sending, the router, the receiving stack. What
 * other programs do meanwhile is not in it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64
#define FLOWS_MAX 1024
#define BURST 32 /* operations between two looks at the clock */
#define FIRST_SOURCE_PORT 40000
#define SAMPLES_MAX 65536
#define STREAM_AGE 13 /* tenths of a second */
#define STREAM_PIECE (64 << 10)
#define FRAME_MAX 1600
#define SETTLE_MS 2000

/* IPv4 and IPv6; the port is at the same place in both. */
union address {
	struct sockaddr sa;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

struct job;

struct kind {
	const char *name;
	void (*open)(struct job *job);
	uint64_t (*burst)(struct job *job); /* does a few operations, returns how many */
};

struct job {
	const struct kind *kind;
	char source[128], target[128], from[64], to[64], at[64];
	uint8_t mac[6];
	uint16_t to_port, step, count, at_port;
	unsigned size, flows, sources, turn;
	int senders[FLOWS_MAX]; /* sockets of the source, one a flow */
	int receiver; /* of the target */
	int wire; /* frames leave by it */
	int seen; /* the target's /proc/net/dev */
	struct sockaddr_ll out;
	uint8_t (*frames)[FRAME_MAX];
	size_t frame_size;
};

static struct job *jobs[JOBS_MAX];
static uint32_t samples[SAMPLES_MAX]; /* nanoseconds, of this turn */
static size_t n_samples;

#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "traffic: %s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));  \
			exit(2);                                                                                       \
		}                                                                                                      \
	} while (0)

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && setns(fd, CLONE_NEWNET) == 0);
	close(fd);
}

static union address place(const char *text, unsigned port)
{
	union address address = { .six = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) } };

	if (strchr(text, ':')) {
		MUST(inet_pton(AF_INET6, text, &address.six.sin6_addr) == 1);
		return address;
	}
	address.sa.sa_family = AF_INET;
	MUST(inet_pton(AF_INET, text, &address.four.sin_addr) == 1);
	return address;
}

static socklen_t length_of(const union address *address)
{
	return address->sa.sa_family == AF_INET6 ? sizeof(address->six) : sizeof(address->four);
}

/* The address so many further on. */
static void move_on(union address *address, uint32_t by)
{
	uint32_t *last = address->sa.sa_family == AF_INET6 ? &address->six.sin6_addr.s6_addr32[3] :
							     &address->four.sin_addr.s_addr;

	*last = htonl(ntohl(*last) + by);
}

/* Nothing gets there: whoever started us may have wanted that. */
static void closed(const struct job *job)
{
	for (size_t i = 0; i < JOBS_MAX; i++)
		if (jobs[i] == job)
			printf("closed %zu\n", i);
	fflush(stdout);
	exit(1);
}

/* By turns: the ports of the job. */
static uint16_t next_port(struct job *job)
{
	return (uint16_t)(job->to_port + job->step * (job->turn++ % job->count));
}

static int listen_at(struct job *job, int type)
{
	union address at = place(job->at, job->at_port);
	int fd, one = 1;

	enter(job->target);
	fd = socket(at.sa.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	MUST(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	MUST(bind(fd, &at.sa, length_of(&at)) == 0);
	if (type == SOCK_STREAM)
		MUST(listen(fd, 1024) == 0);
	job->seen = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
	MUST(job->seen >= 0);
	return fd;
}

/* Packets that the target's eth0 received. */
static uint64_t count_seen(const struct job *job)
{
	char text[4096], *line;
	ssize_t n = pread(job->seen, text, sizeof(text) - 1, 0);
	unsigned long long packets = 0;

	MUST(n > 0);
	text[n] = '\0';
	line = strstr(text, "eth0:");
	MUST(line && sscanf(line, "eth0: %*u %llu", &packets) == 1);
	return packets;
}

/* Packets that go through the router in the sender's own time are there when send() returns; one that is late is waited for. */
static ssize_t receive(int fd, void *data, size_t size, union address *from)
{
	socklen_t length = sizeof(*from);
	ssize_t n;

	for (int i = 0; i < 50; i++) {
		n = recvfrom(fd, data, size, MSG_DONTWAIT, &from->sa, &length);
		if (n >= 0 || errno != EAGAIN)
			return n;
		poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 20);
	}
	return -1;
}

static void open_sender(struct job *job, unsigned flow)
{
	union address own = place(job->from, FIRST_SOURCE_PORT + flow), to = place(job->to, next_port(job));
	int fd = socket(own.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	move_on(&own, flow % job->sources);
	MUST(fd >= 0 && bind(fd, &own.sa, length_of(&own)) == 0);
	MUST(connect(fd, &to.sa, length_of(&to)) == 0);
	job->senders[flow] = fd;
}

/* One packet there and one back, so that the flow is known to both sides. False when it does not get there. */
static bool prime(struct job *job, unsigned flow)
{
	union address from;
	char data[2048];

	for (int i = 0; i < 3; i++) {
		MUST(send(job->senders[flow], data, 18, 0) == 18);
		if (receive(job->receiver, data, sizeof(data), &from) >= 0 &&
		    sendto(job->receiver, data, 18, 0, &from.sa, length_of(&from)) == 18 &&
		    receive(job->senders[flow], data, sizeof(data), &from) >= 0)
			return true;
		if (job->flows == 1 && i == 0)
			break;
	}
	return false;
}

static void open_flows(struct job *job, bool both)
{
	int small = 1;

	job->receiver = listen_at(job, SOCK_DGRAM);
	enter(job->source);
	for (unsigned i = 0; i < job->flows; i++)
		open_sender(job, i);
	for (unsigned i = 0; both && i < job->flows; i++)
		if (!prime(job, i)) {
			closed(job);
		}
	/* it is not read from now on: what it has no room for ends there, the same for all */
	MUST(setsockopt(job->receiver, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
}

static void udp_open(struct job *job)
{
	open_flows(job, true);
}

static void oneway_open(struct job *job)
{
	open_flows(job, false);
}

static uint64_t udp_burst(struct job *job)
{
	static const char data[2048];
	uint64_t n = 0;

	for (; n < BURST; n++)
		if (send(job->senders[job->turn++ % job->flows], data, job->size, 0) < 0)
			MUST(errno == ECONNREFUSED);
	return n;
}

/* `sum` is what was added up before. */
static uint16_t checksum(const void *data, size_t size, uint32_t sum)
{
	const uint16_t *words = data;

	for (size_t i = 0; i < size / 2; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Each returns where UDP begins. */
static uint8_t *fill_four(uint8_t *at, const union address *own, const union address *to, uint16_t size)
{
	struct iphdr *ip = (struct iphdr *)at;

	*ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	ip->tot_len = htons((uint16_t)(sizeof(*ip) + size));
	ip->saddr = own->four.sin_addr.s_addr;
	ip->daddr = to->four.sin_addr.s_addr;
	ip->check = checksum(ip, sizeof(*ip), 0);
	return (uint8_t *)(ip + 1);
}

static uint8_t *fill_six(uint8_t *at, const union address *own, const union address *to, uint16_t size)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)at;

	*ip = (struct ip6_hdr){ .ip6_src = own->six.sin6_addr, .ip6_dst = to->six.sin6_addr };
	ip->ip6_flow = htonl(6u << 28);
	ip->ip6_plen = htons(size);
	ip->ip6_nxt = IPPROTO_UDP;
	ip->ip6_hlim = 64;
	return (uint8_t *)(ip + 1);
}

/* IPv6 has no UDP without a checksum; what it is of lies before the UDP header. */
static uint16_t udp_check(const uint8_t *udp, uint16_t size)
{
	uint32_t sum = htons(size) + htons(IPPROTO_UDP);
	uint16_t check = checksum(udp - 2 * sizeof(struct in6_addr), size + 2 * sizeof(struct in6_addr), sum);

	return check ? check : 0xffff;
}

static void fill_frame(struct job *job, unsigned flow, uint8_t *frame)
{
	struct ethhdr *ether = (struct ethhdr *)frame;
	uint16_t size = (uint16_t)(sizeof(struct udphdr) + job->size);
	union address own, to;
	socklen_t length = sizeof(own);
	struct udphdr *udp;
	bool six;

	MUST(getsockname(job->senders[flow], &own.sa, &length) == 0);
	MUST(getpeername(job->senders[flow], &to.sa, &length) == 0);
	six = own.sa.sa_family == AF_INET6;
	memcpy(ether->h_dest, job->mac, ETH_ALEN);
	ether->h_source[0] = 2;
	ether->h_proto = htons(six ? ETH_P_IPV6 : ETH_P_IP);
	udp = (struct udphdr *)(six ? fill_six : fill_four)(frame + sizeof(*ether), &own, &to, size);
	*udp = (struct udphdr){ .source = own.four.sin_port, .dest = to.four.sin_port };
	udp->len = htons(size);
	udp->check = six ? udp_check((const uint8_t *)udp, size) : 0;
	job->frame_size = (size_t)((uint8_t *)udp - frame) + size;
}

static void frame_open(struct job *job)
{
	int one = 1;

	open_flows(job, true);
	job->frames = calloc(job->flows, sizeof(*job->frames));
	job->wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	MUST(job->frames && job->wire >= 0);
	MUST(setsockopt(job->wire, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) == 0);
	job->out = (struct sockaddr_ll){ .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0") };
	for (unsigned i = 0; i < job->flows; i++)
		fill_frame(job, i, job->frames[i]);
}

static uint64_t frame_burst(struct job *job)
{
	struct mmsghdr messages[BURST] = { 0 };
	struct iovec pieces[BURST];
	int n;

	for (unsigned i = 0; i < BURST; i++) {
		pieces[i] = (struct iovec){ job->frames[job->turn++ % job->flows], job->frame_size };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &job->out, .msg_namelen = sizeof(job->out), .msg_iov = &pieces[i], .msg_iovlen = 1
		};
	}
	n = sendmmsg(job->wire, messages, BURST, 0);
	MUST(n > 0);
	return (uint64_t)n;
}

/* A TCP connection, taken at the other end; false when it does not come about. */
static bool dial(struct job *job, int *ret_near, int *ret_far)
{
	union address to = place(job->to, next_port(job));
	int near = socket(to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), far = -1;

	MUST(near >= 0);
	if (connect(near, &to.sa, length_of(&to)) < 0)
		MUST(errno == EINPROGRESS);
	for (int i = 0; i < SETTLE_MS / 20 && far < 0; i++) {
		far = accept4(job->receiver, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (far < 0)
			poll(&(struct pollfd){ job->receiver, POLLIN, 0 }, 1, 20);
	}
	*ret_near = near;
	*ret_far = far;
	return far >= 0;
}

/* Ends it at once, on both sides: no waiting state is left behind. */
static void hang_up(int near, int far)
{
	struct linger linger = { .l_onoff = 1 };

	MUST(setsockopt(near, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	close(near);
	close(far);
}

static void connect_open(struct job *job)
{
	int near, far;

	job->receiver = listen_at(job, SOCK_STREAM);
	enter(job->source);
	if (!dial(job, &near, &far)) {
		closed(job);
	}
	hang_up(near, far);
}

static uint64_t connect_burst(struct job *job)
{
	int near, far;

	MUST(dial(job, &near, &far));
	hang_up(near, far);
	return 1;
}

/* An operation is a kilobyte that arrived. */
static uint64_t stream_burst(struct job *job)
{
	static const char data[STREAM_PIECE];
	uint64_t bytes = 0;

	for (unsigned i = 0; i < 8; i++) {
		ssize_t sent, got;

		sent = send(job->senders[0], data, sizeof(data), 0);
		while ((got = recv(job->receiver, NULL, 1 << 20, MSG_TRUNC)) > 0)
			bytes += (uint64_t)got;
		if (sent < 0 && bytes == 0)
			poll(&(struct pollfd){ job->senders[0], POLLOUT, 0 }, 1, 1);
	}
	return bytes / 1024;
}

static void stream_open(struct job *job)
{
	int listener = listen_at(job, SOCK_STREAM);

	job->receiver = listener;
	enter(job->source);
	if (!dial(job, &job->senders[0], &job->receiver))
		closed(job);
	close(listener);
	/* it is measured as one that lasts: some rules are about how old it is */
	for (unsigned i = 0; i < STREAM_AGE; i++) {
		stream_burst(job);
		usleep(100000);
	}
}

static void ping_open(struct job *job)
{
	open_flows(job, true);
}

/* There and back. */
static uint64_t ping_burst(struct job *job)
{
	union address from;
	char data[64];
	uint64_t began = now(CLOCK_MONOTONIC);

	MUST(send(job->senders[0], data, job->size, 0) == (ssize_t)job->size);
	if (receive(job->receiver, data, sizeof(data), &from) >= 0)
		MUST(sendto(job->receiver, data, job->size, 0, &from.sa, length_of(&from)) > 0);
	MUST(receive(job->senders[0], data, sizeof(data), &from) >= 0);
	if (n_samples < SAMPLES_MAX)
		samples[n_samples++] = (uint32_t)(now(CLOCK_MONOTONIC) - began);
	return 1;
}

static const struct kind kinds[] = {
	{ "udp", udp_open, udp_burst },
	{ "oneway", oneway_open, udp_burst },
	{ "frames", frame_open, frame_burst },
	{ "stream", stream_open, stream_burst },
	{ "connect", connect_open, connect_burst },
	{ "ping", ping_open, ping_burst },
};

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void turn(struct job *job, size_t number, unsigned round, uint64_t nanoseconds)
{
	uint64_t seen, began, spent, operations = 0;

	enter(job->source); /* sockets that are made on the way belong there */
	job->kind->burst(job); /* it finds the caches as the one before left them */
	n_samples = 0;
	seen = count_seen(job);
	began = now(CLOCK_THREAD_CPUTIME_ID);
	do {
		operations += job->kind->burst(job);
		spent = now(CLOCK_THREAD_CPUTIME_ID) - began;
	} while (spent < nanoseconds);
	qsort(samples, n_samples, sizeof(samples[0]), compare);
	printf("%zu %u %llu %llu %llu %u %u\n", number, round, (unsigned long long)operations,
	       (unsigned long long)spent, (unsigned long long)(count_seen(job) - seen),
	       n_samples ? samples[n_samples / 2] : 0, n_samples ? samples[n_samples * 99 / 100] : 0);
}

static bool read_job(struct job *job, FILE *file)
{
	char kind[16], mac[24];
	int n = fscanf(file, "%15s %127s %127s %23s %63s %u", kind, job->source, job->target, mac, job->from,
		       &job->sources);

	if (n == EOF)
		return false;
	MUST(n == 6 && fscanf(file, "%63s %hu %hu %hu", job->to, &job->to_port, &job->step, &job->count) == 4);
	MUST(fscanf(file, "%63s %hu %u %u", job->at, &job->at_port, &job->size, &job->flows) == 4);
	MUST(sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &job->mac[0], &job->mac[1], &job->mac[2], &job->mac[3],
		    &job->mac[4], &job->mac[5]) == 6);
	MUST(job->flows >= 1 && job->flows <= FLOWS_MAX && job->count >= 1 && job->sources >= 1 && job->size <= 1472);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			job->kind = &kinds[i];
	MUST(job->kind);
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	unsigned rounds = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
	size_t n = 0;
	cpu_set_t cpus;

	if (argc != 4) {
		fprintf(stderr, "usage: traffic CPU ROUNDS MILLISECONDS <JOBS\n");
		return 2;
	}
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[1]), &cpus);
	MUST(sched_setaffinity(0, sizeof(cpus), &cpus) == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0);
	files.rlim_cur = files.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &files) == 0);
	for (struct job *job; n < JOBS_MAX && (job = calloc(1, sizeof(*job))) && read_job(job, stdin); n++)
		jobs[n] = job;
	for (size_t i = 0; i < n; i++)
		jobs[i]->kind->open(jobs[i]);
	/* each goes first as often as the others, and there and back again */
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < n; i++) {
			size_t at = round % 2 ? n - 1 - i : i;

			at = (at + round / 2) % n;
			turn(jobs[at], at, round, (uint64_t)atoi(argv[3]) * 1000000);
		}
	return 0;
}
