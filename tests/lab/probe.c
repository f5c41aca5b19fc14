/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lab's small tool, linked statically so that it runs in an empty container:
 *
 *   probe init                         waits for orphans for ever: process 1 of the lab's machine
 *   probe serve NAME SPEC...           answers on tcp:ADDR:PORT, udp:ADDR:PORT, dns:ADDR:PORT, talk:ADDR:PORT
 *   probe flood ADDR PORT USEC [FROM]  sends numbered UDP packets until standard input ends, then prints how many
 *   probe count ADDR PORT              counts UDP packets until standard input ends, then prints how many
 *   probe insist ADDR PORT MSEC TIMES  connects every MSEC, TIMES times, and prints "open" or "closed" for each
 *   probe sleep                        does nothing
 *
 * A tcp or udp service says "NAME ADDRESS PORT\n" of its client first and then sends back what it hears. A talk service
 * keeps sending to the last client that spoke to it, every 5 ms. A dns service answers every A question with 50.0.0.10
 * and every AAAA question with 2600:50::10.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS_MAX 512
#define TALK_MSEC 5

enum kind { KIND_TCP, KIND_UDP, KIND_DNS_UDP, KIND_DNS_TCP, KIND_TALK, KIND_CLIENT, KIND_DNS_CLIENT };

struct service {
	enum kind kind;
	struct sockaddr_storage peer;
	socklen_t peer_length;
};

static struct pollfd polls[SOCKETS_MAX];
static struct service services[SOCKETS_MAX];
static size_t n_services;
static const char *own_name;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static socklen_t address_parse(const char *host, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)atoi(port));
		return sizeof(*in6);
	}
	fprintf(stderr, "probe: no address: %s\n", host);
	exit(2);
}

static int describe(const struct sockaddr_storage *peer, char *buffer, size_t size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;
	char text[INET6_ADDRSTRLEN] = "";

	if (peer->ss_family == AF_INET)
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
	return snprintf(buffer, size, "%s %s %u\n", own_name, text,
			ntohs(peer->ss_family == AF_INET ? in->sin_port : in6->sin6_port));
}

static void service_add(int fd, enum kind kind)
{
	if (n_services == SOCKETS_MAX) {
		close(fd);
		return;
	}
	services[n_services] = (struct service){ .kind = kind };
	polls[n_services++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void service_drop(size_t i)
{
	close(polls[i].fd);
	n_services--;
	polls[i] = polls[n_services];
	services[i] = services[n_services];
}

static void service_listen(const char *host, const char *port, int type, enum kind kind)
{
	struct sockaddr_storage address;
	socklen_t length = address_parse(host, port, &address);
	int fd = socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (address.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		fail(port);
	if (type == SOCK_STREAM && listen(fd, 128) < 0)
		fail("listen");
	service_add(fd, kind);
}

static void service_parse(char *spec)
{
	char *host = strchr(spec, ':'), *port = strrchr(spec, ':');

	if (!host || host == port) {
		fprintf(stderr, "probe: not KIND:ADDR:PORT: %s\n", spec);
		exit(2);
	}
	*host++ = '\0';
	*port++ = '\0';
	if (*host == '[' && port[-2] == ']') {
		host++;
		port[-2] = '\0';
	}
	if (!strcmp(spec, "tcp")) {
		service_listen(host, port, SOCK_STREAM, KIND_TCP);
	} else if (!strcmp(spec, "udp")) {
		service_listen(host, port, SOCK_DGRAM, KIND_UDP);
	} else if (!strcmp(spec, "talk")) {
		service_listen(host, port, SOCK_DGRAM, KIND_TALK);
	} else {
		service_listen(host, port, SOCK_DGRAM, KIND_DNS_UDP);
		service_listen(host, port, SOCK_STREAM, KIND_DNS_TCP);
	}
}

/* Turns a question into its answer in place; the new length, or 0 for what is no question. */
static size_t dns_answer(unsigned char *message, size_t length, size_t size)
{
	static const unsigned char a[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 50, 0, 0, 10 };
	static const unsigned char aaaa[] = { 0xc0, 12,	  0, 28, 0, 1, 0, 0, 0, 1, 0, 16, 0x26, 0,
					      0,    0x50, 0, 0,	 0, 0, 0, 0, 0, 0, 0, 0,  0,	0x10 };
	size_t end = 12;
	bool six;

	if (length < 17 || message[2] & 0x80)
		return 0;
	while (end < length && message[end])
		end += message[end] + 1u;
	if (end + 5 > length || end + 5 + sizeof(aaaa) > size)
		return 0;
	six = message[end + 2] == 28;
	end += 5;
	message[2] = 0x81;
	message[3] = 0x80;
	memset(message + 6, 0, 6);
	message[7] = 1;
	memcpy(message + end, six ? aaaa : a, six ? sizeof(aaaa) : sizeof(a));
	return end + (six ? sizeof(aaaa) : sizeof(a));
}

static void serve_accept(size_t i)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	bool dns = services[i].kind == KIND_DNS_TCP;
	char banner[128];
	int fd = accept4(polls[i].fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (!dns && write(fd, banner, (size_t)describe(&peer, banner, sizeof(banner))) < 0) {
		close(fd);
		return;
	}
	service_add(fd, dns ? KIND_DNS_CLIENT : KIND_CLIENT);
}

static void serve_stream(size_t i)
{
	unsigned char buffer[4096];
	ssize_t n = read(polls[i].fd, buffer, sizeof(buffer));
	size_t m;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		service_drop(i);
		return;
	}
	if (services[i].kind == KIND_DNS_CLIENT) {
		m = n > 2 ? dns_answer(buffer + 2, (size_t)n - 2, sizeof(buffer) - 2) : 0;
		buffer[0] = (unsigned char)(m >> 8);
		buffer[1] = (unsigned char)m;
		n = m ? (ssize_t)m + 2 : 0;
	}
	if (n && write(polls[i].fd, buffer, (size_t)n) < 0)
		service_drop(i);
}

static void serve_datagram(size_t i)
{
	unsigned char buffer[4096];
	struct service *service = &services[i];
	size_t prefix = 0, length;
	ssize_t n;

	service->peer_length = sizeof(service->peer);
	n = recvfrom(polls[i].fd, buffer + 128, sizeof(buffer) - 512, 0, (struct sockaddr *)&service->peer,
		     &service->peer_length);
	if (n < 0)
		return;
	length = (size_t)n;
	if (service->kind == KIND_DNS_UDP) {
		length = dns_answer(buffer + 128, length, sizeof(buffer) - 128);
		if (!length)
			return;
	} else {
		char text[128];

		prefix = (size_t)describe(&service->peer, text, sizeof(text));
		memcpy(buffer + 128 - prefix, text, prefix);
	}
	sendto(polls[i].fd, buffer + 128 - prefix, length + prefix, 0, (struct sockaddr *)&service->peer,
	       service->peer_length);
}

/* Returns whether there is anybody to talk to. */
static bool serve_talk(void)
{
	bool any = false;

	for (size_t i = 0; i < n_services; i++) {
		if (services[i].kind != KIND_TALK || !services[i].peer_length)
			continue;
		any = true;
		sendto(polls[i].fd, "talk\n", 5, 0, (struct sockaddr *)&services[i].peer, services[i].peer_length);
	}
	return any;
}

static _Noreturn void serve(int argc, char **argv)
{
	own_name = argv[0];
	for (int i = 1; i < argc; i++)
		service_parse(argv[i]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		bool talking = serve_talk();

		if (poll(polls, n_services, talking ? TALK_MSEC : -1) < 0)
			continue;
		for (size_t i = n_services; i-- > 0;) {
			if (!polls[i].revents)
				continue;
			if (services[i].kind == KIND_TCP || services[i].kind == KIND_DNS_TCP)
				serve_accept(i);
			else if (services[i].kind == KIND_CLIENT || services[i].kind == KIND_DNS_CLIENT)
				serve_stream(i);
			else
				serve_datagram(i);
		}
	}
}

static bool input_ended(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	char byte;

	return poll(&input, 1, 0) > 0 && read(0, &byte, 1) <= 0;
}

static int flood(int argc, char **argv)
{
	struct sockaddr_storage address;
	socklen_t length = address_parse(argv[0], argv[1], &address);
	long pause = atol(argv[2]) * 1000, sent = 0, failed = 0;
	long said[2] = { 0 }; /* shorter ones never go the fast way by IPv4 */
	int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timespec next;

	prctl(PR_SET_TIMERSLACK, 1);
	if (argc > 3) {
		struct sockaddr_storage from;
		socklen_t n = address_parse(address.ss_family == AF_INET ? "0.0.0.0" : "::", argv[3], &from);

		if (bind(fd, (struct sockaddr *)&from, n) < 0)
			fail("bind");
	}
	puts("ready");
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;; sent++) {
		said[0] = sent;
		if (sendto(fd, said, sizeof(said), MSG_DONTWAIT, (struct sockaddr *)&address, length) < 0)
			failed++;
		if (!(sent & 63) && input_ended())
			break;
		next.tv_nsec += pause;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	printf("%ld %ld\n", sent + 1, failed);
	return 0;
}

static int count(char **argv)
{
	struct pollfd input[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };
	struct sockaddr_storage address;
	socklen_t length = address_parse(argv[0], argv[1], &address);
	long number, got = 0, first = -1, last = -1;

	input[1].fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(input[1].fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){ 8 << 20 }, sizeof(int));
	setsockopt(input[1].fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(input[1].fd, (struct sockaddr *)&address, length) < 0)
		fail("bind");
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(input, 2, -1) < 0)
			continue;
		while (recv(input[1].fd, &number, sizeof(number), 0) > 0) {
			first = first < 0 ? number : first;
			last = number;
			got++;
		}
		if (input[0].revents)
			break;
	}
	printf("%ld %ld %ld\n", got, first, last);
	return 0;
}

static bool connect_once(const struct sockaddr_storage *address, socklen_t length, int msec)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char byte;
	bool open;

	connect(fd, (const struct sockaddr *)address, length);
	open = poll(&wait, 1, msec) > 0 && read(fd, &byte, 1) == 1;
	close(fd);
	return open;
}

static int insist(char **argv)
{
	struct sockaddr_storage address;
	socklen_t length = address_parse(argv[0], argv[1], &address);
	int msec = atoi(argv[2]);

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = atoi(argv[3]); i > 0; i--) {
		struct timespec pause = { .tv_nsec = msec * 1000000L };
		bool open = connect_once(&address, length, msec);

		puts(open ? "open" : "closed");
		if (open)
			nanosleep(&pause, NULL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(verb, "init")) {
		puts("ready");
		fflush(stdout);
		for (;;)
			if (wait(NULL) < 0)
				usleep(50000);
	}
	if (!strcmp(verb, "serve") && argc > 3)
		serve(argc - 2, argv + 2);
	if (!strcmp(verb, "flood") && argc > 4)
		return flood(argc - 2, argv + 2);
	if (!strcmp(verb, "count") && argc > 3)
		return count(argv + 2);
	if (!strcmp(verb, "insist") && argc > 5)
		return insist(argv + 2);
	if (!strcmp(verb, "sleep"))
		for (;;)
			pause();
	fprintf(stderr, "usage: probe init | serve | flood | count | insist | sleep\n");
	return 2;
}
