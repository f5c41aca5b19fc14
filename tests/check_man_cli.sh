#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every verb and option of the command is in its manual and in each completion. check_man_cli.sh SPR [SOURCE]
set -eu

spr=$1
source=${2:-$(dirname "$0")/..}
bad=0

complain()
{
	echo "$*" >&2
	bad=1
}

# What the manual says about one verb: from its item to the next.
section()
{
	awk -v verb="$1" '
		/^\.It Ic / { on = ($3 == verb) }
		item && /^\.Ic / { on = ($2 == verb) }
		/^\.S[hs] / { on = 0 }
		{ item = /^\.It Xo$/ }
		on' "$source/docs/man/spr.1"
}

# What the manual says about the options that all verbs take which change the policy.
common()
{
	awk '/^\.Sh VERBS/ { on = 1 } /^\.It Ic / { on = 0 } on && /^\.It Fl /' "$source/docs/man/spr.1"
}

has_verb()
{
	case $1 in
	*.fish) grep -q -- "-a $2 -d" "$1" ;;
	*_spr) grep -q -- "'$2:" "$1" ;;
	*) grep -Eq "verbs='([a-z]+ )*$2( |')" "$1" ;;
	esac
}

has_option()
{
	case $1 in
	*.fish) grep -Eq -- "__spr_on [a-z ]*\b$2\b.* -l ${3#--} " "$1" ;;
	*_spr) grep -q -- "$3[]=}[]" "$1" ;;
	*) grep -Eq -- "^	[a-z |]*\b$2\b[a-z |]*\) echo '.*$3( .*)?'" "$1" ;;
	esac
}

verbs=$("$spr" --list-verbs)
[ -n "$verbs" ] || complain "$spr lists no verbs"
while read -r verb options; do
	text=$(section "$verb")
	[ -n "$text" ] || complain "spr.1: nothing about the verb $verb"
	for option in $options; do
		{ printf '%s\n' "$text"; [ "$verb" = up ] || [ "$verb" = down ] || [ "$verb" = plan ] || common; } |
			grep -Eq -- "Fl ([a-z] , )?-${option#--}\b" || complain "spr.1: $verb: nothing about $option"
	done
	for file in spr.bash _spr spr.fish; do
		file=$source/dist/completions/$file
		has_verb "$file" "$verb" || complain "$file: no verb $verb"
		for option in $options; do
			has_option "$file" "$verb" "$option" || complain "$file: $verb: no option $option"
		done
	done
done <<EOF
$verbs
EOF

if command -v mandoc >/dev/null; then
	for page in "$source"/docs/man/spr.1 "$source"/docs/man/sprd.8; do
		mandoc -Tlint -Wwarning "$page" || bad=1
	done
fi
if command -v bash >/dev/null; then
	bash -n "$source/dist/completions/spr.bash" || bad=1
fi
exit $bad
