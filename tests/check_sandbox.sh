#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With the capabilities of the unit file and no others, on a system that cannot be written, the daemon can do all it has to:
# its tables, its socket, and the rule in DOCKER-USER by both kinds of iptables. check_sandbox.sh SPRD SPR UNIT
set -u

if [ "$(id -u)" != 0 ]; then
	echo "root is needed, to make namespaces"
	exit 77
fi
for program in unshare setpriv nft ip xtables-legacy-multi xtables-nft-multi; do
	if ! command -v "$program" >/dev/null; then
		echo "$program is needed"
		exit 77
	fi
done
if [ "${4-}" != inside ]; then
	exec unshare --net --mount --pid --fork --kill-child=KILL --mount-proc bash "$0" "$1" "$2" "$3" inside
fi

sprd=$1
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
	$spr down >/dev/null || complain "down: $(cat /run/log)"
	rules 0
	kill "$daemon"
	wait "$daemon" || complain "sprd ended with $?"
done
exit $failed
