#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The command from its outside: exit codes, what it prints, what it sends. check_cli.sh SPR FAKE_SPRD
set -u

[ -x "$1" ] && [ -x "$2" ] || exit 2
spr=$(realpath "$1")
fake=$(realpath "$2")
source=$(realpath "$(dirname "$0")/../..")
directory=$(mktemp -d)
export SPR_SOCKET=$directory/sock LC_ALL=C.UTF-8
unset SSH_CONNECTION
failed=0
daemon=

# shellcheck disable=SC2317
clean_up()
{
	[ -n "$daemon" ] && kill "$daemon" 2>/dev/null
	rm -rf "$directory"
}
trap clean_up EXIT

complain()
{
	echo "FAILED: $*" >&2
	failed=1
}

# expect CODE PATTERN WORDS...: the exit code, and what is printed on either stream
expect()
{
	local code=$1 pattern=$2 output got
	shift 2
	output=$("$spr" "$@" 2>&1 </dev/null)
	got=$?
	[ "$got" = "$code" ] || complain "spr $*: exit code $got, not $code"
	grep -qE -- "$pattern" <<<"$output" || complain "spr $*: printed '$output', not '$pattern'"
	if grep -qP '[\x00-\x08\x0b-\x1f\x7f]' <<<"$output"; then
		complain "spr $*: printed a control character"
	fi
}

expect 3 'sprd is not running.*' status
expect 3 'systemctl start sprd' up
expect 3 'nothing listens on /nowhere/sock' --socket /nowhere/sock up

"$fake" "$SPR_SOCKET" >"$directory/requests" &
daemon=$!
for _ in $(seq 100); do
	grep -q ready "$directory/requests" 2>/dev/null && break
	sleep 0.05
done

expect 0 'spr publish web --port 8080/tcp --to internet,lan' up
expect 0 'spr publish jellyfin' up --force
expect 0 'removed the tables' down
expect 5 'protection persist' status
expect 5 'proved     12 s ago: 214 pairs, 3 differ: see spr prove' status
# shellcheck disable=SC2016
printf 'services: {web: {ports: ["8080:80", "127.0.0.1::${NO}81"]}}\n' >"$directory/compose.yml"
expect 0 'web .shop-web-1. on shop_default.x1b.1m .internal.' plan --compose "$directory/compose.yml" -p shop
expect 0 '8080/tcp on every address -> 80/tcp: lan and 2 more' plan --compose "$directory/compose.yml" -p shop
expect 0 'a port that the engine chooses on 127.0.0.1 -> 81/tcp: this machine only' plan --compose "$directory/compose.yml" -p shop
printf 'services: {web: {ports: [x]}}\n' >"$directory/compose.yml"
expect 1 "compose.yml:1:26: 'x' is no published port" plan --compose "$directory/compose.yml"
expect 2 'not with -f' plan --compose "$directory/compose.yml" -f x
expect 0 '^jellyfin	media,family' list containers
expect 0 'evil.x1b.0;x.x07.u202e.n' list containers
expect 0 'opens tv to nas' allow tv nas:445/tcp
expect 0 'note: nas does not exist yet' block tv nas
expect 0 'opens' publish web --to lan
expect 0 'opens' publish web --remove
expect 0 'opens' role br-lan lan
expect 0 '3fa9c1d2.shop/web.container.2026-.*policies wan, dns; groups shop.new: groups shop' pending
expect 0 '00c0ffee.tv.image.-.spr.polices=wan.x1b.31m.cannot be accepted: unknown label' pending
expect 0 'opens tv to nas' accept 3fa9c1d2
expect 0 'opens tv to nas' dismiss 00c0ffee
expect 0 'opens: tv to nas' apply -f "$source/tests/cli/check_cli.sh"
expect 0 'name: media' export
expect 4 'to change that: spr allow phone nas:445/tcp' explain phone nas:445
expect 4 '"verdict": "drop"' explain phone nas:445 --json
expect 1 "no member 'nobody'.x1b" join nobody media
expect 1 'No such file' apply -f "$directory/none"
expect 2 "did you mean 'allow'" alow a b
expect 2 'usage: spr allow' allow a
expect 2 'unknown option --frob' --frob
expect 2 'usage: spr'
expect 0 '  no-grant  tcp  tv ' log
expect 2 'log -f' log --member old
expect 2 "'state' does not begin with" doctor --state-dir state
expect 2 'does not know what to do' doctor tv
expect 0 'usage: spr allow' help allow
expect 0 'usage: spr allow' allow --help
expect 0 'publish' help
expect 0 '^spr [0-9]' --version

[ "$("$spr" --json list groups | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["rows"][1]["name"][4])' |
	od -An -tx1 | tr -d ' \n')" = 1b0a ] || complain "--json does not give the result as it is"
grep -q '^{"call":"up","force":true}$' "$directory/requests" || complain "up --force sent something else"
SSH_CONNECTION='10.0.0.1 1 10.0.0.2 22' "$spr" down >/dev/null
grep -q '"ssh":"10.0.0.1 1 10.0.0.2 22"' "$directory/requests" || complain "the session was not sent"
echo 'groups: []' | "$spr" apply -f - >/dev/null
grep -q '"name":"standard input","text":"groups: \[\]\\n"' "$directory/requests" ||
	complain "apply -f - sent something else"

# log -f ends at an interrupt with 0. A job of this shell ignores SIGINT, so a child shell starts it.
code=$(bash -mc "'$spr' log -f >'$directory/log' & sleep 0.6; kill -INT \$!; wait \$!; echo \$?" 2>/dev/null)
[ "$code" = 0 ] || complain "log -f: exit code $code after an interrupt"
grep -q 'no-grant  tcp  tv (192.168.77.5:50000) -> \[2001:db8::1\]:443  in br-lan' "$directory/log" ||
	complain "log -f printed: $(cat "$directory/log")"
if "$spr" status >/dev/full 2>/dev/null; then
	complain "output that could not be written went unnoticed"
fi

# Completion, where the daemon answers.
PATH=$(dirname "$spr"):$PATH
# shellcheck source=/dev/null
. "$source/dist/completions/spr.bash"
complete_line()
{
	COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
	_spr 2>/dev/null
	echo "${COMPREPLY[*]}"
}
if [ "$(basename "$spr")" = spr ]; then
	[ "$(complete_line 'spr expl')" = explain ] || complain "completion of a verb"
	[ "$(complete_line 'spr list con')" = containers ] || complain "completion of a word"
	[ "$(complete_line 'spr publish ')" = jellyfin ] || complain "completion of names: $(complete_line 'spr publish ')"
	[ "$(complete_line 'spr allow group:je')" = jellyfin ] || complain "completion after a colon"
	[ "$(complete_line 'spr allow tv nas --re')" = --remove ] || complain "completion of an option"
	[ "$(complete_line 'spr publish web --to inter')" = internet ] || complain "completion of an option's value"
fi

kill "$daemon"
wait "$daemon" 2>/dev/null
daemon=
expect 3 'sprd is not running' status # the socket file is still there
[ -S "$SPR_SOCKET" ] || complain "the test meant to leave a dead socket"
exit $failed
