#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a new user types, in a machine of its own (network, process and mount namespace): make up, again, with another
# program, after a crash, down, uninstall. check_up.sh
set -u
cd "$(dirname "$0")/.." || exit 1

if [ "$(id -u)" != 0 ]; then
	echo "root is needed, to make namespaces"
	exit 77
fi
if [ "${1-}" != inside ]; then
	directory=$(mktemp -d)
	trap 'rm -rf "$directory"' EXIT
	trap 'exit 1' HUP INT TERM
	unshare --net --mount --pid --fork --kill-child=KILL --mount-proc bash "$0" inside "$directory"
	exit
fi

directory=$2
set -e
mkdir "$directory/etc"
cp -a /etc/. "$directory/etc/"
mount --bind "$directory/etc" /etc # a group is made
mount -t tmpfs tmpfs /run
if getent group spr >/dev/null; then
	groupdel spr
fi
ip link set lo up
ip link add eth0 type veth peer name other
ip link set eth0 up
ip link set other up
ip addr add 192.0.2.2/24 dev eth0
ip route add default via 192.0.2.1
set +e

failed=0
prefix=$directory/usr
variables=(BUILD="$directory/build" PREFIX="$prefix" STATE="$directory/state" LOG="$directory/sprd.log"
	SPRD_FLAGS="--no-docker")
spr=$prefix/bin/spr

complain()
{
	echo "FAILED: $*" >&2
	failed=1
}

# target WORDS...: make, which must succeed
target()
{
	echo "-- make $*"
	make --no-print-directory "$@" "${variables[@]}" >"$directory/output" 2>&1 || {
		complain "make $*"
		cat "$directory/output" "$directory/sprd.log"
	}
}

# says PATTERN: what the last make printed
says()
{
	grep -qE -- "$1" "$directory/output" || {
		complain "not printed: $1"
		cat "$directory/output"
	}
}

daemon()
{
	tools/lock-holder "$directory/state/lock"
}

rules()
{
	nft -s list ruleset | sed 's/packets [0-9]* bytes [0-9]*//'
}

target up
says '^spr is up: what policy does not open is closed'
"$spr" status | grep -q 'active since' || complain "not active"
nft list tables | grep -q 'table inet spr' || complain "no table in the kernel"
[ "$(stat -c '%a %G' /run/spr/spr.sock)" = "660 spr" ] || complain "the socket: $(stat -c '%a %G' /run/spr/spr.sock)"
first=$(daemon)
[ -n "$first" ] || complain "no daemon holds the state folder"
rules >"$directory/before"
installed=$(find "$prefix" -type f -printf '%p %T@\n' | sort)

target up
says '^spr was up already'
[ "$(daemon)" = "$first" ] || complain "the same program was restarted"
rules | diff "$directory/before" - || complain "the second make up changed rules"
[ "$(find "$prefix" -type f -printf '%p %T@\n' | sort)" = "$installed" ] || { complain "installed again"; cat "$directory/output"; find "$prefix" -type f -printf "%p %T@\n" | sort | diff - <(echo "$installed"); }

cp "$prefix/sbin/sprd" "$prefix/sbin/sprd.new"
printf 'another program' >>"$prefix/sbin/sprd.new"
mv "$prefix/sbin/sprd.new" "$prefix/sbin/sprd"
target up
second=$(daemon)
[ "${second:-$first}" != "$first" ] || complain "another program was not started: $first, $second"
says '^spr was up already'

kill -KILL "$second"
target up
says '^spr was up already'
[ -n "$(daemon)" ] || complain "not started after a crash"

for file in sbin/sprd bin/spr share/man/man1/spr.1 share/man/man5/spr-policy.5 share/man/man8/sprd.8 \
	share/bash-completion/completions/spr share/zsh/site-functions/_spr share/fish/vendor_completions.d/spr.fish \
	share/doc/spr/examples/fast-path.conf \
	lib/systemd/system/sprd.service lib/systemd/system/spr-boot.service; do
	[ -f "$prefix/$file" ] || complain "not installed: $file"
done
if command -v systemd-analyze >/dev/null; then
	# It speaks of other units as well, and is content whatever it finds.
	if systemd-analyze verify --man=no "$prefix"/lib/systemd/system/spr*.service 2>&1 | grep -F -e spr >&2; then
		complain "the units"
	fi
fi

target down
[ -z "$(daemon)" ] || complain "a daemon runs after make down"
! nft list tables | grep -q spr || complain "after make down: $(nft list tables)"

target up
says '^spr is up'
target uninstall
[ -z "$(daemon)" ] || complain "a daemon runs after make uninstall"
[ -z "$(find "$prefix" -type f)" ] || complain "after make uninstall: $(find "$prefix" -type f)"

# A helper of sprd has the root folder open: the lock is not looked for in all that is below.
cp "$(command -v sleep)" "$directory/sprd"
"$directory/sprd" 60 4</ &
sleep 1 # until it is another program than this one
timeout 10 tools/lock-holder "$directory/output" >"$directory/holder" || complain "nobody has the file open: no answer"
"$directory/sprd" 60 4</ 5<"$directory/output" &
sleep 1
[ "$(timeout 10 tools/lock-holder "$directory/output")" = $! ] || complain "the one that has the file open was not found"
[ ! -s "$directory/holder" ] || complain "nobody has the file open, but $(cat "$directory/holder")"
exit $failed
