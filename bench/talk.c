/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UDP flow both of whose ends keep talking, and when each of them was no longer heard:
 *
 *   talk CLIENT SERVER ADDRESS PORT MICROSECONDS
 *
 * CLIENT and SERVER are the files of network namespaces; every so many microseconds both ends send a numbered packet, the
 * server to whom it heard last. It is told by standard input, and answers each line with one:
 *
 *   open      a new flow, from a new port of the client: "open", once both ends have heard each other, or "closed"
 *   alive     "alive FROM-CLIENT FROM-SERVER": how many packets arrived in the next 20 ms
 *   silent    waits until both ends have heard nothing for 60 ms, and ends the flow: "silent FROM-CLIENT FROM-SERVER", of
 *             each the moment, in nanoseconds of the monotonic clock, when the first packet was sent that did not arrive; or
 *             "talking"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SENT_MAX (1u << 16) /* remembered moments: seconds of them */
#define OPEN_NS 3000000000u
#define ALIVE_NS 20000000u
#define SILENT_NS 60000000u
#define SILENT_WAIT_NS 5000000000u

/* One direction: numbers start at 1, 0 is nothing yet. */
struct way {
	int from, to;
	uint64_t flow, sent, heard; /* which flow it is of; the last numbers */
	uint64_t heard_at, n_heard;
	uint64_t moments[SENT_MAX]; /* when a number was sent */
};

struct packet {
	uint64_t flow, number;
};

static struct way ways[2]; /* from the client, from the server */
static struct sockaddr_storage server, peer;
static socklen_t server_length, peer_length;
static char client_space[128];
static long pause_ns;

#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "talk: %s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));     \
			exit(2);                                                                                       \
		}                                                                                                      \
	} while (0)

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && setns(fd, CLONE_NEWNET) == 0);
	close(fd);
}

static int new_socket(void)
{
	int fd = socket(server.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	MUST(fd >= 0);
	return fd;
}

static void read_address(const char *text, const char *port)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&server;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&server;

	server_length = strchr(text, ':') ? sizeof(*six) : sizeof(*four);
	server.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	four->sin_port = htons((uint16_t)atoi(port)); /* at the same place in both */
	MUST(inet_pton(server.ss_family, text,
		       server.ss_family == AF_INET6 ? (void *)&six->sin6_addr : (void *)&four->sin_addr) == 1);
}

static void say(struct way *way, const struct sockaddr_storage *to, socklen_t length)
{
	struct packet packet = { way->flow, way->sent + 1 };

	if (length == 0)
		return;
	way->moments[++way->sent % SENT_MAX] = now();
	sendto(way->from, &packet, sizeof(packet), MSG_DONTWAIT, (const struct sockaddr *)to, length);
}

/* What comes late is of its number all the same. */
static void hear(struct way *way, bool is_server)
{
	struct sockaddr_storage from;
	struct packet packet;

	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t n = recvfrom(way->to, &packet, sizeof(packet), 0, (struct sockaddr *)&from, &length);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n != sizeof(packet) || packet.flow != way->flow)
			continue;
		if (packet.number > way->heard)
			way->heard = packet.number;
		way->heard_at = now();
		way->n_heard++;
		if (is_server) {
			peer = from;
			peer_length = length;
		}
	}
}

/* One turn of both; then a pause. */
static void turn(struct timespec *next)
{
	say(&ways[0], &server, server_length);
	hear(&ways[0], true);
	say(&ways[1], &peer, peer_length);
	hear(&ways[1], false);
	next->tv_nsec += pause_ns;
	if (next->tv_nsec >= 1000000000) {
		next->tv_nsec -= 1000000000;
		next->tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}

static bool both_heard(void)
{
	return ways[0].heard && ways[1].heard;
}

static bool both_silent(void)
{
	uint64_t last = ways[0].heard_at > ways[1].heard_at ? ways[0].heard_at : ways[1].heard_at;

	return now() > last + SILENT_NS;
}

static bool never(void)
{
	return false;
}

/* Talks until something is so; false when it was not in time. */
static bool talk_until(bool (*so)(void), uint64_t nanoseconds)
{
	uint64_t end = now() + nanoseconds;
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!so()) {
		if (now() > end)
			return false;
		turn(&next);
	}
	return true;
}

static void open_flow(void)
{
	static uint64_t flow;

	if (ways[0].from > 0)
		close(ways[0].from);
	enter(client_space);
	ways[0].from = ways[1].to = new_socket();
	peer_length = 0;
	flow++;
	for (size_t i = 0; i < 2; i++) {
		ways[i].flow = flow;
		ways[i].sent = ways[i].heard = ways[i].heard_at = 0;
	}
	puts(talk_until(both_heard, OPEN_NS) ? "open" : "closed");
}

static void say_alive(void)
{
	ways[0].n_heard = ways[1].n_heard = 0;
	talk_until(never, ALIVE_NS);
	printf("alive %llu %llu\n", (unsigned long long)ways[0].n_heard, (unsigned long long)ways[1].n_heard);
}

static void say_silent(void)
{
	unsigned long long moments[2];

	if (!talk_until(both_silent, SILENT_WAIT_NS)) {
		puts("talking");
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		MUST(ways[i].sent > ways[i].heard && ways[i].sent - ways[i].heard < SENT_MAX);
		moments[i] = ways[i].moments[(ways[i].heard + 1) % SENT_MAX];
	}
	printf("silent %llu %llu\n", moments[0], moments[1]);
	close(ways[0].from);
	ways[0].from = 0;
}

static const struct {
	const char *word;
	void (*run)(void);
} verbs[] = { { "open\n", open_flow }, { "alive\n", say_alive }, { "silent\n", say_silent } };

/* While nobody says anything, they go on talking. */
static void serve(void)
{
	struct timespec next;
	char line[32];

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		if (ways[0].from > 0)
			turn(&next);
		if (poll(&(struct pollfd){ .fd = 0, .events = POLLIN }, 1, ways[0].from > 0 ? 0 : -1) <= 0)
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return;
		for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
			if (strcmp(line, verbs[i].word) == 0)
				verbs[i].run();
		fflush(stdout);
		clock_gettime(CLOCK_MONOTONIC, &next);
	}
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: talk CLIENT SERVER ADDRESS PORT MICROSECONDS\n");
		return 2;
	}
	snprintf(client_space, sizeof(client_space), "%s", argv[1]);
	pause_ns = atol(argv[5]) * 1000;
	read_address(argv[3], argv[4]);
	enter(argv[2]);
	ways[0].to = ways[1].from = new_socket();
	MUST(bind(ways[1].from, (struct sockaddr *)&server, server_length) == 0);
	prctl(PR_SET_TIMERSLACK, 1);
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 });
	setvbuf(stdin, NULL, _IONBF, 0);
	serve();
	return 0;
}
