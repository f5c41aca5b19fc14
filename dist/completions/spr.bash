# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for spr(1); tests/check_man_cli.sh compares it with the command.

# Names the daemon knows, one a line. They come from containers: only harmless ones are offered.
_spr_names()
{
	spr list "$1" 2>/dev/null | awk -F'\t' 'NR > 1 { print $1 }' | grep -E '^[A-Za-z0-9_][A-Za-z0-9_./-]*$'
}

_spr_members()
{
	_spr_names containers
	_spr_names networks | sed 's/^/network:/'
	_spr_names rules | sed 's/^/rule:/'
}

_spr_selectors()
{
	_spr_members
	_spr_names groups | sed 's/^/group:/'
	printf '%s\n' internet upstream lan host
}

_spr_options()
{
	case $1 in
	up | down) echo '--force --dry-run' ;;
	join | leave | grant | revoke | role | accept | dismiss | rollback) echo '--force --dry-run --comment --confirm' ;;
	allow | block) echo '--force --dry-run --comment --confirm --remove --for' ;;
	publish) echo '--force --dry-run --comment --confirm --remove --port --to' ;;
	apply) echo '--force --dry-run --comment --confirm --file' ;;
	edit) echo '--force --comment --confirm' ;;
	plan) echo '--force --file --compose --project' ;;
	log) echo '--follow --member' ;;
	explain) echo '--twin' ;;
	doctor) echo '--all --state-dir' ;;
	audit) echo '--all --sarif --docker' ;;
	esac
	echo '--json --socket --help'
}

_spr_words()
{
	case $1:$2 in
	list:0) echo 'containers networks interfaces groups rules flows' ;;
	join:0 | leave:0 | grant:0 | revoke:0) _spr_members ;;
	join:* | leave:*) _spr_names groups ;;
	grant:* | revoke:*) echo 'wan dns lan lan_upstream api noapi disabled quarantine' ;;
	allow:[01] | block:[01] | explain:[01]) _spr_selectors ;;
	publish:0) _spr_names containers ;;
	accept:* | dismiss:*) spr pending 2>/dev/null | awk -F'\t' 'NR > 1 { print $1 }' | grep -E '^[0-9a-f]{8}$' ;;
	role:0) _spr_names interfaces ;;
	role:1) echo 'uplink lan container overlay other' ;;
	esac
}

_spr()
{
	local cur prev verb='' count=0 word i choices=''
	local verbs='up down status list join leave grant revoke allow block publish role pending accept dismiss apply plan edit confirm history diff rollback export explain prove log doctor audit help'

	# Taken from the line itself: bash splits words at ':', spr does not.
	local line=${COMP_LINE:0:COMP_POINT}
	local -a words
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=('')
	cur=${words[${#words[@]} - 1]}
	prev=${words[${#words[@]} - 2]}
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		word=${words[i]}
		case $word in
		--socket | --for | --comment | --confirm | --port | --to | --file | --member | --state-dir | --compose | --project | -p) ((i++)) ;;
		-f) [[ $verb == apply || $verb == plan ]] && ((i++)) ;;
		-*) ;;
		*) if [[ -z $verb ]]; then verb=$word; else ((count++)); fi ;;
		esac
	done

	case $prev in
	--socket | --file | --state-dir | --compose) compopt -o default; return ;;
	-f) [[ $verb == apply || $verb == plan ]] && { compopt -o default; return; } ;;
	--for | --comment | --confirm | --port | --project | -p) return ;;
	--to) choices=$(_spr_selectors) ;;
	--member) choices=$(_spr_members) ;;
	esac
	if [[ -z $choices ]]; then
		case $verb:$cur in
		:-*) choices='--json --socket --help --version' ;;
		:*) choices=$verbs ;;
		help:*) choices=$verbs ;;
		*:-*) choices=$(_spr_options "$verb") ;;
		*) choices=$(_spr_words "$verb" "$count") ;;
		esac
	fi
	# compgen -W expands its list: everything in it is a fixed word or passed the filter above.
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
	# What bash takes for the word starts after the last ':'.
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
	fi
}

complete -F _spr spr
