#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With the capabilities of the unit file and no others, on a system that cannot be written, the daemon can do all it has to:
# its tables, its socket, and the rule in DOCKER-USER by both kinds of iptables. And it has given up what it does not need:
# itself, and the processes it started before. check_sandbox.sh SPRD SPR UNIT
set -u

if [ "$(id -u)" != 0 ]; then
	echo "root is needed, to make namespaces"
	exit 77
fi
for program in unshare setpriv pgrep nft ip xtables-legacy-multi xtables-nft-multi; do
	if ! command -v "$program" >/dev/null; then
		echo "$program is needed"
		exit 77
	fi
done
if [ "${4-}" != inside ]; then
	exec unshare --net --mount --pid --fork --kill-child=KILL --mount-proc bash "$0" "$1" "$2" "$3" inside
fi

sprd=$1
spr_only=$2
spr="$2 --socket /run/spr/spr.sock"
capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$3" | tr ' ' '\n' | sed 's/^CAP_/+/' | tr 'A-Z\n' 'a-z,')
failed=0

complain()
{
	echo "FAILED: $*" >&2
	failed=1
}

ip link set lo up
mount -t tmpfs tmpfs /run
mkdir /run/spr /run/state

# kind NAME: iptables of that kind comes first in PATH
kind()
{
	mkdir "/run/$1"
	ln -s "$(command -v "xtables-$1-multi")" "/run/$1/iptables"
	ln -s "$(command -v "xtables-$1-multi")" "/run/$1/ip6tables"
	PATH=/run/$1:$system_path
}

# Both rules are there, or none: rules NUMBER
rules()
{
	local number
	for _ in $(seq 50); do
		number=$({ iptables -S DOCKER-USER && ip6tables -S DOCKER-USER; } 2>/dev/null | grep -c -- '-j ACCEPT')
		[ "$number" = "$1" ] && return
		sleep 0.1
	done
	complain "$PATH: $number rules in DOCKER-USER, not $1"
}

# status_of PID KEY: a number of /proc/PID/status
status_of()
{
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

# child NAME: the process that the daemon started under this name
child()
{
	local pid
	for pid in $(pgrep -P "$daemon"); do
		[ "$(cat "/proc/$pid/comm")" = "$1" ] && echo "$pid"
	done
}

# holds PID CAPABILITIES BOUNDS SECCOMP: what that process may at most
holds()
{
	local found
	found="$(status_of "$1" CapEff) $(status_of "$1" CapPrm) $(status_of "$1" CapInh) $(status_of "$1" CapAmb)"
	[ "$found" = "$2 $2 $none $none" ] || complain "$(cat "/proc/$1/comm"): capabilities $found"
	[ "$(status_of "$1" CapBnd)" = "$3" ] || complain "$(cat "/proc/$1/comm"): bounds $(status_of "$1" CapBnd)"
	[ "$(status_of "$1" NoNewPrivs) $(status_of "$1" Seccomp)" = "1 $4" ] ||
		complain "$(cat "/proc/$1/comm"): no_new_privs $(status_of "$1" NoNewPrivs), seccomp $(status_of "$1" Seccomp)"
}

# says PATTERN: a line of the status
says()
{
	$spr status | grep -qE -- "$1" || complain "the status does not say $1: $($spr status)"
}

wait_for()
{
	for _ in $(seq 100); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	complain "not within 10 s: $*"
}

# shellcheck disable=SC2317
gone()
{
	[ ! -e "/proc/$1" ] || [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat")" = Z ]
}

none=0000000000000000 net_admin=0000000000001000 net_both=0000000000003000 unit_bounds=0000000000003001
system_path=$PATH
for name in legacy nft; do
	kind "$name"
	touch /run/xtables.lock
	if ! iptables -N DOCKER-USER || ! ip6tables -N DOCKER-USER; then
		echo "this kernel has no iptables-$name"
		exit 77
	fi
	# shellcheck disable=SC2016
	unshare --mount sh -c 'for place in /run/spr /run/state /run/xtables.lock; do mount --bind "$place" "$place"; done
		mount -o remount,ro,bind / && mount -o remount,ro,bind /proc || exit 1
		exec setpriv --no-new-privs --bounding-set "$1" "$2" --no-docker --socket /run/spr/spr.sock --state-dir /run/state' \
		sh "-all,${capabilities%,}" "$sprd" >/run/log 2>&1 &
	daemon=$!
	for _ in $(seq 100); do
		$spr status >/dev/null 2>&1 && break
		sleep 0.1
	done
	$spr up >/dev/null || complain "up: $(cat /run/log)"
	nft list table inet spr >/dev/null || complain "no table"
	rules 2
	seccomp=2 layers=capabilities,seccomp,landlock
	if $spr status | grep -q 'build with sanitizers'; then
		seccomp=0 layers=capabilities
	elif $spr status | grep -q 'without landlock: this kernel'; then
		layers=capabilities,seccomp
	fi
	says "^sandbox +$layers\$"
	holds "$daemon" $net_admin $unit_bounds "$seccomp"
	holds "$(child sprd-files)" $none $unit_bounds "$seccomp"
	holds "$(child sprd-iptables)" $net_both $unit_bounds "$seccomp"
	$spr down >/dev/null || complain "down: $(cat /run/log)"
	rules 0
	kill "$daemon"
	wait "$daemon" || complain "sprd ended with $?"
done
PATH=$system_path

# by_hand OPTIONS...: started without a unit
by_hand()
{
	"$sprd" --no-docker --socket /run/spr/spr.sock --state-dir /run/state "$@" >/run/log 2>&1 &
	daemon=$!
	wait_for "$spr_only" --socket /run/spr/spr.sock status
}

by_hand
holds "$daemon" $net_admin $net_admin "$seccomp"
holds "$(child sprd-files)" $none $none "$seccomp"
holds "$(child sprd-iptables)" $net_both $net_both "$seccomp"
[ "$seccomp" = 0 ] || [ -n "$(find "/proc/$daemon/fd" -lname /proc/sys/net)" ] || complain "a folder of /proc is not held"

# The resolver configuration is a file that others replace by renaming another one.
kill "$daemon"
wait "$daemon"
mkdir /run/etc
echo nameserver 192.0.2.1 >/run/etc/resolv.conf
by_hand --resolv-conf /run/etc/resolv.conf
says '^resolver +192.0.2.1$'
echo nameserver 192.0.2.2 >/run/etc/new
mv /run/etc/new /run/etc/resolv.conf
wait_for sh -c "$spr status | grep -q '192.0.2.2'"

# A process that it started ends: said, and all else goes on.
$spr up >/dev/null || complain "up: $(cat /run/log)"
kill -KILL "$(child sprd-iptables)"
wait_for grep -q 'keeps the rule in DOCKER-USER ended' /run/log
says 'keeps the rule in DOCKER-USER has ended'
$spr down >/dev/null || complain "down without a helper: $(cat /run/log)"
kill -KILL "$(child sprd-files)"
wait_for sh -c "$spr status | grep -q 'changes of the resolver are not seen'"

# The daemon ends: so do they.
kill "$daemon"
wait "$daemon" || complain "sprd ended with $?"
by_hand
helpers="$(child sprd-files) $(child sprd-iptables)"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
for pid in $helpers; do
	wait_for gone "$pid"
done

# Without, when told so; and that is said.
by_hand --no-sandbox=landlock
[ "$seccomp" = 0 ] || says '^sandbox +capabilities,seccomp$'
says 'without landlock: switched off by --no-sandbox'
kill "$daemon"
wait "$daemon"
by_hand --no-sandbox
says '^sandbox +none$'
[ "$(status_of "$daemon" NoNewPrivs) $(status_of "$daemon" Seccomp)" = "0 0" ] || complain "--no-sandbox is one"
kill "$daemon"
wait "$daemon"
"$sprd" --no-sandbox=nothing 2>/dev/null && complain "a layer that is none was taken"

# The unit's filter lets through what the daemon closes itself in with; @system-service alone does not.
for call in capset lchown prlimit64 seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self; do
	grep '^SystemCallFilter=[^~]' "$3" | grep -qw "$call" || complain "the unit forbids $call"
done
exit $failed
