/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor/doctor.h"

#include <errno.h>
#include <string.h>

#include "doctor/exam.h"

/* What is looked at; spr(1) follows this table. */
/* clang-format off */
static const struct check checks[] = {
	/* spr itself: own.c */
	{ "daemon", "sprd runs", SEVERITY_WARNING, 0, check_daemon },
	{ "active", "spr is up", SEVERITY_WARNING, 0, check_active },
	{ "enforced", "the kernel holds what policy says", SEVERITY_CRITICAL, 0, check_problem },
	{ "table", "the kernel has a table of spr where spr is up, and none where it is not", SEVERITY_CRITICAL, CHECK_ROOT, check_table },
	{ "protection", "rules are protected from others as well as this kernel can", SEVERITY_CRITICAL, CHECK_ROOT,
	  check_protection },
	{ "kernel", "the kernel has what the rules need", SEVERITY_CRITICAL, CHECK_ROOT, check_kernel },
	{ "engine", "sprd hears of containers", SEVERITY_WARNING, 0, check_engine },
	{ "control-socket", "the control socket is for root and its group", SEVERITY_CRITICAL, 0, check_control_socket },

	/* rules of others in the kernel: rules.c */
	{ "early-rules", "no rule of others keeps packets from spr", SEVERITY_WARNING, CHECK_ROOT, check_early_rules },
	{ "flowtable", "no flowtable passes spr by", SEVERITY_WARNING, CHECK_ROOT, check_flowtables },
	{ "iptables-notrack", "no rule of iptables switches connection tracking off", SEVERITY_WARNING, CHECK_ROOT,
	  check_iptables_notrack },
	{ "iptables-both", "iptables is of one kind", SEVERITY_NOTICE, CHECK_ROOT, check_iptables_both },
	{ "docker-user", "Docker's rules accept what spr accepted", SEVERITY_WARNING, CHECK_ROOT, check_docker_user },

	/* other firewalls: firewall.c */
	{ "boot-rules", "no file of rules that is loaded at boot interferes with spr", SEVERITY_WARNING, CHECK_ROOT,
	  check_boot_rules },
	{ "other-firewall", "no other firewall is enabled", SEVERITY_NOTICE, 0, check_other_firewall },

	/* Docker: docker.c */
	{ "docker-settings", "Docker's settings keep its own rules", SEVERITY_NOTICE, 0, check_docker_settings },
	{ "docker-backend", "Docker accepts what spr accepts", SEVERITY_WARNING, 0, check_docker_backend },
	{ "docker-raw", "Docker's rules in raw are on", SEVERITY_NOTICE, CHECK_ROOT, check_docker_raw },
	{ "docker-networks", "no network of Docker is left open by its options", SEVERITY_NOTICE, 0, check_docker_networks },
	{ "docker-tcp", "Docker does not listen on TCP without certificates", SEVERITY_CRITICAL, 0, check_docker_tcp },
	{ "docker-socket", "Docker's socket is for root and its group", SEVERITY_CRITICAL, 0, check_docker_socket },
	{ "docker-version", "Docker leaves to spr what spr opens", SEVERITY_NOTICE, 0, check_docker_version },

	/* the kernel's network: network.c */
	{ "forwarding", "this machine forwards for its containers", SEVERITY_NOTICE, 0, check_forwarding },
	{ "route-localnet", "127.0.0.0/8 is for this machine", SEVERITY_WARNING, 0, check_route_localnet },
	{ "redirects", "ICMP redirects are not believed", SEVERITY_NOTICE, 0, check_redirects },
	{ "source-route", "source routes are not taken", SEVERITY_NOTICE, 0, check_source_route },
	{ "reverse-path", "sources are checked", SEVERITY_NOTICE, 0, check_reverse_path },
	{ "router-adverts", "no bridge takes router advertisements", SEVERITY_WARNING, 0, check_router_adverts },
	{ "bridge-netfilter", "rules see what passes inside one network", SEVERITY_NOTICE, 0, check_bridge_netfilter },
	{ "tcp-tracking", "TCP connections are tracked strictly", SEVERITY_NOTICE, 0, check_tcp_tracking },
	{ "conntrack-room", "the table of connections has room", SEVERITY_WARNING, 0, check_conntrack_room },

	/* the machine: machine.c */
	{ "state-folder", "the state folder is root's alone, and on a disk", SEVERITY_CRITICAL, CHECK_ROOT,
	  check_state_folder },
	{ "state-room", "the policy can be saved", SEVERITY_WARNING, CHECK_ROOT, check_state_room },
	{ "clock", "the clock is right", SEVERITY_CRITICAL, 0, check_clock },
	{ "boot", "sprd is started at boot, before Docker", SEVERITY_WARNING, 0, check_boot },
	{ "resolver", "there is a resolver that containers can reach", SEVERITY_NOTICE, 0, check_resolver },
	{ "dhcp-client", "no program reads frames before the firewall", SEVERITY_NOTICE, 0, check_dhcp_client },
};
/* clang-format on */

static const char *const severity_names[_SEVERITY_MAX] = {
	[SEVERITY_OK] = "ok",		[SEVERITY_NOTICE] = "notice",	  [SEVERITY_UNCHECKED] = "not checked",
	[SEVERITY_WARNING] = "warning", [SEVERITY_CRITICAL] = "critical",
};

const char *severity_name(enum severity severity)
{
	return severity_names[severity];
}

static void run_check(struct exam *exam, const struct check *check)
{
	exam->check = check;
	exam->n_found = 0;
	if ((check->needs & CHECK_ROOT) && !exam->doctor->privileged)
		unchecked(exam, "needs root: %s?", check->good);
	else
		check->run(exam);
	if (exam->n_found == 0)
		found(exam, SEVERITY_OK, NULL, "%s", check->good);
}

/* The worst first. */
static int report_make(const struct exam *exam, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *report = json_object(), *findings = json_array(), *counts = json_object();

	for (int i = _SEVERITY_MAX - 1; i >= 0; i--) {
		json_t *count = json_integer((json_int_t)json_array_size(exam->lists[i]));

		if (json_array_extend(findings, exam->lists[i]) < 0 ||
		    json_object_set_new(counts, severity_names[i], count) < 0)
			return -ENOMEM;
	}
	if (json_object_set(report, "findings", findings) < 0 || json_object_set(report, "counts", counts) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(report);
	return 0;
}

int doctor_run(const struct doctor *doctor, json_t **ret_report, struct error *error)
{
	struct exam exam = { .doctor = doctor };
	int r = 0;

	for (int i = 0; i < _SEVERITY_MAX; i++) {
		exam.lists[i] = json_array();
		exam.no_memory |= !exam.lists[i];
	}
	for (size_t i = 0; i < ELEMENTSOF(checks) && !exam.no_memory; i++)
		run_check(&exam, &checks[i]);
	if (exam.no_memory || report_make(&exam, ret_report) < 0)
		r = error_memory(error);
	for (int i = 0; i < _SEVERITY_MAX; i++)
		json_decref(exam.lists[i]);
	json_decref(exam.nft);
	return r;
}
