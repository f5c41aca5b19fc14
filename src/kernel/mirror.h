/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_MIRROR_H
#define SPR_KERNEL_MIRROR_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

struct mirror;
struct nlattr;

struct mirror_link {
	char name[IFNAMSIZ];
	char kind[16]; /* as struct interface has it */
	unsigned index, master;
	bool up, carrier, loopback;
	bool ethernet; /* it has frames with MACs */
	bool xdp; /* a program of XDP takes its frames first */
	bool tc; /* tc has a place for filters and programs there, which see them before rules do, or after */
	uint8_t mac[6];
	uint32_t mtu;
	const struct nlattr *settings, *port; /* of a bridge; of a bridge's port; into what the mirror holds, or NULL */
};

/* Reads all about the network of the namespace that the caller is in: links, addresses, routes, rules, neighbours. */
int mirror_read(struct mirror **ret, struct error *error);
struct mirror *mirror_free(struct mirror *mirror);
DEFINE_CLEANUP(struct mirror *, mirror_free)

size_t mirror_links(const struct mirror *mirror, const struct mirror_link **ret);
const struct mirror_link *mirror_link(const struct mirror *mirror, unsigned index); /* NULL: none */

/*
 * Both write to the namespace that the caller is in, which must be another one. The first makes the bridges, sets up the
 * interfaces (those that are no bridge must be there, with the same numbers), and waits until they run; the second makes
 * the rest the same, and takes out what the kernel made by itself. `note` is called with a sentence for each thing that
 * could not be made.
 */
typedef void (*mirror_note)(void *data, const char *text);
int mirror_write_links(const struct mirror *mirror, mirror_note note, void *data, struct error *error);
int mirror_write_rest(const struct mirror *mirror, mirror_note note, void *data, struct error *error);

/* The settings below /proc/sys/net that decide about packets: of the machine, and of each interface. */
struct mirror_settings;
int mirror_settings_read(const struct mirror *mirror, struct mirror_settings **ret, struct error *error);
int mirror_settings_write(const struct mirror_settings *settings, mirror_note note, void *data);
struct mirror_settings *mirror_settings_free(struct mirror_settings *settings);
DEFINE_CLEANUP(struct mirror_settings *, mirror_settings_free)

/*
 * Says who is where in the namespace that the caller is in: a neighbour for good, and, where `port` is not 0, the port of
 * the bridge that it is behind. For hosts that nobody asked for yet.
 */
struct nlsocket;
int mirror_put_neighbour(struct nlsocket *socket, unsigned interface, const struct addr *address, const uint8_t mac[6]);
int mirror_put_port(struct nlsocket *socket, unsigned port, const uint8_t mac[6]);
/* The port of a bridge behind which a MAC is, as far as it was known when the mirror was read; 0: not known. */
unsigned mirror_port_of(const struct mirror *mirror, const uint8_t mac[6]);

#endif
