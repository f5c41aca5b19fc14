/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_KERNEL_FEATURE_H
#define SPR_KERNEL_FEATURE_H

#include <stdbool.h>

/* What this kernel has, in this network namespace, now. Cheap enough to ask each time. */

/* Whether traffic inside bridges also passes the inet hooks (bridge-nf-call-iptables or -ip6tables). */
bool feature_bridge_netfilter(void);

/* Whether connections are tracked here at all. */
bool feature_conntrack(void);

/* Whether there is IPv6. */
bool feature_ipv6(void);

#endif
