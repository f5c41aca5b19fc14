# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for spr(1); tests/check_man_cli.sh compares it with the command.

function __spr_names
    spr list $argv[1] 2>/dev/null | awk -F'\t' 'NR > 1 { print $1 }' | grep -E '^[A-Za-z0-9_][A-Za-z0-9_./-]*$'
end

function __spr_members
    __spr_names containers
    __spr_names networks | sed 's/^/network:/'
    __spr_names rules | sed 's/^/rule:/'
end

function __spr_selectors
    __spr_members
    __spr_names groups | sed 's/^/group:/'
    printf '%s\n' internet upstream lan host
end

function __spr_pending
    spr pending 2>/dev/null | awk -F'\t' 'NR > 1 { print $1 }' | grep -E '^[0-9a-f]{8}$'
end

function __spr_on
    __fish_seen_subcommand_from $argv
end

set -l verbs up down status list join leave grant revoke allow block publish role pending accept dismiss apply plan edit confirm history diff rollback export explain prove log doctor audit help

complete -c spr -f
complete -c spr -l json -d 'print the answer as JSON'
complete -c spr -l socket -r -F -d 'control socket'
complete -c spr -s h -l help -d 'say how to use it'
complete -c spr -n "not __spr_on $verbs" -s V -l version -d 'print the version'

complete -c spr -n "not __spr_on $verbs" -a up -d 'close everything that policy does not open'
complete -c spr -n "not __spr_on $verbs" -a down -d 'remove every rule of spr'
complete -c spr -n "not __spr_on $verbs" -a status -d 'what is enforced'
complete -c spr -n "not __spr_on $verbs" -a list -d 'what is there'
complete -c spr -n "not __spr_on $verbs" -a join -d 'add a member to groups'
complete -c spr -n "not __spr_on $verbs" -a leave -d 'take a member out of groups'
complete -c spr -n "not __spr_on $verbs" -a grant -d 'give a member policies'
complete -c spr -n "not __spr_on $verbs" -a revoke -d 'take policies from a member'
complete -c spr -n "not __spr_on $verbs" -a allow -d 'open one way'
complete -c spr -n "not __spr_on $verbs" -a block -d 'close one way'
complete -c spr -n "not __spr_on $verbs" -a publish -d 'say who may use published ports'
complete -c spr -n "not __spr_on $verbs" -a role -d 'say what an interface is'
complete -c spr -n "not __spr_on $verbs" -a pending -d 'what waits for a decision'
complete -c spr -n "not __spr_on $verbs" -a accept -d 'make requests part of the policy'
complete -c spr -n "not __spr_on $verbs" -a dismiss -d 'do not show requests again'
complete -c spr -n "not __spr_on $verbs" -a apply -d 'make the policy what a file says'
complete -c spr -n "not __spr_on $verbs" -a plan -d 'say what a policy or a compose file would open'
complete -c spr -n "not __spr_on $verbs" -a edit -d 'change the policy in an editor'
complete -c spr -n "not __spr_on $verbs" -a confirm -d 'keep what was changed with --confirm'
complete -c spr -n "not __spr_on $verbs" -a history -d 'the last revisions of the policy'
complete -c spr -n "not __spr_on $verbs" -a diff -d 'what is another in a later revision'
complete -c spr -n "not __spr_on $verbs" -a rollback -d 'go back to a revision'
complete -c spr -n "not __spr_on $verbs" -a export -d 'print the policy'
complete -c spr -n "not __spr_on $verbs" -a explain -d 'say whether something may pass, and why'
complete -c spr -n "not __spr_on $verbs" -a prove -d 'try what policy says in a twin of this machine'
complete -c spr -n "not __spr_on $verbs" -a log -d 'show what is dropped'
complete -c spr -n "not __spr_on $verbs" -a doctor -d 'check what weakens the protection'
complete -c spr -n "not __spr_on $verbs" -a audit -d 'say who can reach what on this machine'
complete -c spr -n "not __spr_on $verbs" -a help -d 'say how to use it'

complete -c spr -n '__spr_on up down join leave grant revoke allow block publish role pending accept dismiss apply plan edit rollback' -l force -d 'also when it cuts your own session'
complete -c spr -n '__spr_on allow block publish' -l remove -d 'take it away'
complete -c spr -n '__spr_on allow block' -l for -x -d 'how long: 30m, 2h, 7d'
complete -c spr -n '__spr_on up down join leave grant revoke allow block publish role accept dismiss apply rollback' -s n -l dry-run -d 'only say what would be done'
complete -c spr -n '__spr_on join leave grant revoke allow block publish role accept dismiss apply edit rollback' -l comment -x -d why
complete -c spr -n '__spr_on join leave grant revoke allow block publish role accept dismiss apply edit rollback' -l confirm -x -d 'taken back after: 60s, 5m'
complete -c spr -n '__spr_on publish' -l port -x -d 'one published port'
complete -c spr -n '__spr_on publish' -l to -x -a '(__spr_selectors)' -d 'who may use it'
complete -c spr -n '__spr_on apply plan' -s f -l file -r -F -d 'the policy'
complete -c spr -n '__spr_on plan' -l compose -r -F -d 'a compose file'
complete -c spr -n '__spr_on plan' -s p -l project -r -d 'its project'
complete -c spr -n '__spr_on log' -s f -l follow -d 'as it happens'
complete -c spr -n '__spr_on log' -l member -x -a '(__spr_members)' -d 'only of one'
complete -c spr -n '__spr_on doctor' -l all -d 'what is in order too'
complete -c spr -n '__spr_on doctor' -l state-dir -r -F -d 'of sprd'
complete -c spr -n '__spr_on explain' -l twin -d 'send it, in a twin of this machine'
complete -c spr -n '__spr_on audit' -l all -d 'every packet'
complete -c spr -n '__spr_on audit' -l sarif -d 'for tools that collect findings'
complete -c spr -n '__spr_on audit' -l docker -r -F -d 'the socket of Docker'

complete -c spr -n '__spr_on list' -a 'containers networks interfaces groups rules flows'
complete -c spr -n '__spr_on join leave' -a '(__spr_members) (__spr_names groups)'
complete -c spr -n '__spr_on grant revoke' -a '(__spr_members) wan dns lan lan_upstream api noapi disabled quarantine'
complete -c spr -n '__spr_on allow block explain' -a '(__spr_selectors)'
complete -c spr -n '__spr_on publish' -a '(__spr_names containers)'
complete -c spr -n '__spr_on accept dismiss' -a '(__spr_pending)'
complete -c spr -n '__spr_on role' -a '(__spr_names interfaces) uplink lan container overlay other'
complete -c spr -n '__spr_on help' -a "$verbs"
