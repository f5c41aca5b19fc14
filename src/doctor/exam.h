/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_DOCTOR_EXAM_H
#define SPR_DOCTOR_EXAM_H

#include <stdint.h>

#include "doctor/doctor.h"
#include "kernel/nft_look.h"

/* What the checks share. */

struct exam;

#define CHECK_ROOT 1u /* makes no sense without root */

struct check {
	const char *id; /* stable */
	const char *good; /* the sentence when it finds nothing */
	enum severity worst; /* that it may find */
	unsigned needs;
	void (*run)(struct exam *exam);
};

struct exam {
	const struct doctor *doctor;
	const struct check *check; /* the one that runs */
	json_t *lists[_SEVERITY_MAX]; /* findings */
	size_t n_found; /* of this check */
	bool no_memory;

	/* asked once, by the first check that wants to know; each with 1 or a negative errno once it was asked */
	int have_look, have_scratch, have_nft;
	struct nft_seen spr, owned;
	struct scratch scratch;
	json_t *nft;
	char nft_problem[200];
};

/* A finding of the check that runs. `fix` says what to do, and may be NULL. */
void found(struct exam *exam, enum severity severity, const char *fix, const char *format, ...) _printf_(4, 5);
/* It could not be looked at, and why. */
void unchecked(struct exam *exam, const char *format, ...) _printf_(2, 3);

#define EXAM_PATH_MAX 4096

/* The path below the root; buffer has EXAM_PATH_MAX. "" when it is too long. */
const char *exam_path(const struct exam *exam, const char *path, char *buffer);
bool exam_exists(const struct exam *exam, const char *path); /* symbolic links that lead nowhere exist */

/*
 * A regular file as text, NUL at its end, the caller's to free; *ret_length may be NULL. -EFBIG when it is larger than
 * EXAM_FILE_MAX, -EINVAL when it is no regular file.
 */
#define EXAM_FILE_MAX (1u << 20)
int exam_read(const struct exam *exam, const char *path, char **ret, size_t *ret_length);

/* A sysctl as "net/ipv4/ip_forward": its number, or -1 where there is none. */
long exam_sysctl(const struct exam *exam, const char *path);

/* Calls `each` with the names in a folder, at most some thousands, but for those with a dot in front. */
void exam_each(struct exam *exam, const char *folder, void (*each)(struct exam *exam, const char *name, void *data),
	       void *data);

/* Names, joined for a sentence: at most some of them. */
struct names {
	char text[400];
	size_t n;
};
void names_add(struct names *names, const char *name);

/* The number of a process with this command name in this network namespace; 0: there is none. */
long exam_process(struct exam *exam, const char *command);

/* Whether a service of systemd is enabled, by its links. */
bool exam_enabled(struct exam *exam, const char *service);

/* Our tables, as anyone sees them; false where that cannot be known (then it is said). */
bool exam_look(struct exam *exam);
/* As above; what this kernel can do. */
bool exam_scratch(struct exam *exam);
/* The rules of everyone but us: the array "nftables" of nft's JSON. NULL where that cannot be known (then it is said). */
const json_t *exam_nft(struct exam *exam);

/* Whether spr is to enforce: sprd says so, or, where it does not run, its state folder does. */
bool exam_active(const struct exam *exam);
bool exam_inactive(const struct exam *exam); /* the contrary is known */

/* How our tables are protected: by what they are, or, without any, by what the kernel could do. -ENODATA: not known. */
int exam_protection(struct exam *exam, enum nft_protection *ret);

/* The checks, by file. */
void check_daemon(struct exam *exam);
void check_active(struct exam *exam);
void check_problem(struct exam *exam);
void check_table(struct exam *exam);
void check_protection(struct exam *exam);
void check_kernel(struct exam *exam);
void check_engine(struct exam *exam);
void check_control_socket(struct exam *exam);

void check_early_rules(struct exam *exam);
void check_flowtables(struct exam *exam);
void check_iptables_notrack(struct exam *exam);
void check_iptables_both(struct exam *exam);
void check_docker_user(struct exam *exam);

void check_boot_rules(struct exam *exam);
void check_other_firewall(struct exam *exam);

void check_docker_settings(struct exam *exam);
void check_docker_backend(struct exam *exam);
void check_docker_raw(struct exam *exam);
void check_docker_networks(struct exam *exam);
void check_docker_tcp(struct exam *exam);
void check_docker_socket(struct exam *exam);
void check_docker_version(struct exam *exam);

void check_forwarding(struct exam *exam);
void check_route_localnet(struct exam *exam);
void check_redirects(struct exam *exam);
void check_source_route(struct exam *exam);
void check_reverse_path(struct exam *exam);
void check_router_adverts(struct exam *exam);
void check_bridge_netfilter(struct exam *exam);
void check_tcp_tracking(struct exam *exam);
void check_conntrack_room(struct exam *exam);

void check_state_folder(struct exam *exam);
void check_state_room(struct exam *exam);
void check_clock(struct exam *exam);
void check_boot(struct exam *exam);
void check_resolver(struct exam *exam);
void check_dhcp_client(struct exam *exam);

/* The parts of doctor_system that are not one call. */
int scratch_ask(struct scratch *ret, struct error *error);

#endif
