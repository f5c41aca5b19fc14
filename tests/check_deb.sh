#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian package, built twice and looked at by lintian, then installed, upgraded, removed and purged in a fresh Debian
# with a network, process and mount namespace of its own. That comes from the archive that this machine's apt knows.
# check_deb.sh
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

skip()
{
	echo "$*"
	exit 77
}

failed=0

complain()
{
	echo "FAILED: $*" >&2
	failed=1
}

# --- Outside: the packages and the Debian to try them in.

outside()
{
	[ "$(id -u)" = 0 ] || skip "root is needed, to make namespaces"
	for program in dpkg-buildpackage dh mmdebstrap apt-get; do
		command -v "$program" >/dev/null || skip "$program is needed: tools/install-deps deb-test"
	done
	archive=$(apt-get indextargets --format "deb \$(SITE) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' 'Origin: Debian' |
		sort -u)
	[ -n "$archive" ] || skip "this machine's apt knows no Debian archive, or has not been updated"
	directory=$(mktemp -d)
	trap 'wait; rm -rf --one-file-system "$directory"' EXIT
	trap 'exit 1' HUP INT TERM
	root=$directory/root

	# What the package depends on, of several ways the first, and what this test looks with.
	build first '' || return
	version=$(dpkg-deb -f "$directory"/first/spr_*.deb Version)
	DEB_BUILD_OPTIONS=noopt build second "$version+1" & # another program, and sooner there
	second=$!
	wanted=$(dpkg-deb -f "$directory"/first/spr_*.deb Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/ //g')
	mmdebstrap --quiet --variant=minbase --include="$wanted,nftables,iproute2" '' "$root" - <<<"$archive" \
		>"$directory/mmdebstrap.log" 2>&1 ||
		skip "no Debian from the archive: $(grep -v '^I: ' "$directory/mmdebstrap.log" | tail -n 1)"
	inspect
	wait "$second" || exit 1

	mkdir "$root/try"
	cp "$0" "$root/try/"
	for which in first second; do
		cp "$directory/$which"/spr_*.deb "$root/try/$which.deb"
	done
	unshare --net --mount --pid --fork --kill-child=KILL --root="$root" --wd=/ \
		/bin/bash /try/check_deb.sh inside || failed=1
	# The exit keeps process 1 outside.
	# shellcheck disable=SC2016
	unshare --net --mount --pid --fork --kill-child=KILL bash -c \
		'mount -t proc proc "$1/proc" && chroot "$1" /bin/bash /try/check_deb.sh chrooted; exit' sh "$root" || failed=1
}

# build FOLDER VERSION
build()
{
	make --no-print-directory deb BUILD="$directory/$1" DEB_VERSION="$2" >"$directory/$1.log" 2>&1 || {
		complain "make deb"
		tail -n 30 "$directory/$1.log"
		return 1
	}
	mv "$directory/$1"/deb/* "$directory/$1"
}

inspect()
{
	grep -q "^  version: '$version'" meson.build || complain "debian/changelog: $version is not the version of meson.build"
	if command -v lintian >/dev/null; then
		lintian --allow-root --fail-on error,warning "$directory"/first/spr_*.changes || complain "lintian"
	else
		echo "lintian is not installed: not asked"
	fi
}

# --- Inside: the new Debian is all there is.

inside()
{
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t tmpfs tmpfs /run
	ip link set lo up
	ip link add eth0 type veth peer name other
	ip link set eth0 up
	ip link set other up
	ip addr add 192.0.2.2/24 dev eth0
	ip route add default via 192.0.2.1

	files >/try/before
	getent group | sort >/try/groups
	without_systemd
	without_daemon
	with_systemd
}

# What there is but for logs, copies that tools keep of what they change, and what dpkg keeps of all packages.
files()
{
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /try \
		-o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path '/etc/*-' -o -path /etc/.pwd.lock \) -prune \
		-o -print | sort
}

# left PATTERN: of all that was not there before, no path is anything else
left()
{
	local more
	more=$(files | comm -13 /try/before - | grep -vxE "$1")
	[ -z "$more" ] || complain "$step: left behind:" "$more"
}

# run WORDS...: must succeed
run()
{
	step=$*
	echo "-- $*"
	"$@" >/try/output 2>&1 || {
		complain "$*"
		cat /try/output
	}
}

tables()
{
	nft list tables | grep spr
}

# All rules, with the kernel's numbers for them: what was made anew has others. But not who owns a table, nor who was let
# through, which each run begins anew.
rules()
{
	nft -s -a list ruleset | sed '/^\t\(set passed-\|chain accepted\|chain forward-known\)/,/^\t}/d' | sed 's/packets [0-9]* bytes [0-9]*//; s/ progname .*//; /^\tflags /d'
}

daemon()
{
	for process in /proc/[0-9]*; do
		case $(readlink "$process/exe") in
		/usr/sbin/sprd | /usr/sbin/sprd\ \(deleted\)) echo "${process#/proc/}" ;;
		esac
	done
}

start()
{
	setsid sprd </dev/null >>/run/sprd.log 2>&1 &
	for _ in $(seq 100); do
		spr status >/dev/null 2>&1 && return
		sleep 0.1
	done
	complain "$step: sprd does not answer: $(cat /run/sprd.log)"
}

stop()
{
	local pid
	for pid in $(daemon); do
		kill "$pid"
		while kill -0 "$pid" 2>/dev/null; do
			sleep 0.1
		done
	done
}

check_installed()
{
	local file unit
	for file in /usr/sbin/sprd /usr/bin/spr /usr/share/bash-completion/completions/spr \
		/usr/share/zsh/vendor-completions/_spr /usr/share/fish/vendor_completions.d/spr.fish \
		/usr/share/man/man1/spr.1.gz /usr/share/man/man5/spr-policy.5.gz /usr/share/man/man8/sprd.8.gz \
		/usr/share/doc/spr/copyright; do
		[ -f "$file" ] || complain "not installed: $file"
	done
	for unit in sprd spr-boot; do
		[ "$(/bin/systemctl is-enabled $unit.service)" = enabled ] || complain "$unit.service is not enabled"
	done
	# With the target it finds cycles in the order of the units too. What it finds it says, and is content.
	if systemd-analyze verify --man=no sprd.service spr-boot.service multi-user.target 2>&1 | grep -F -e spr >&2; then
		complain "the units"
	fi
	[ -L /etc/systemd/system/sysinit.target.wants/spr-boot.service ] || complain "spr-boot.service: not before sysinit.target"
	getent group spr >/dev/null || complain "no group spr"
	ldd /usr/sbin/sprd | grep 'not found' && complain "a library is not among what the package depends on"
}

# adopted NEW OLD: the kernel holds the very rules of /try/rules, and another daemon has taken them over
adopted()
{
	rules | diff /try/rules - >&2 || complain "$step: other rules"
	spr status | grep -q 'active since' || complain "$step: $(spr status)"
	[ "${1:-$2}" != "$2" ] || complain "$step: the daemon was $2, is $1"
	# That it is the daemon's: a change of policy gets into the kernel.
	spr block internet host >/dev/null || complain "$step: no change is possible"
	rules | diff -q /try/rules - >/dev/null && complain "$step: a change is not in the kernel"
}

# Where no service manager runs, the administrator starts and stops the daemon.
without_systemd()
{
	local old
	run dpkg -i /try/first.deb
	check_installed
	[ -z "$(daemon)" ] || complain "$step: started sprd without systemd"
	start
	[ "$(stat -c '%a %G' /run/spr/spr.sock)" = "660 spr" ] || complain "the socket: $(stat -c '%a %G' /run/spr/spr.sock)"
	spr status | grep -q 'not active' || complain "$step: active without spr up"
	! tables || complain "$step: tables without spr up"
	run spr up
	rules >/try/rules
	grep -q 'table inet spr' /try/rules || complain "$step: no table in the kernel"

	old=$(daemon)
	run dpkg -i /try/second.deb
	rules | diff /try/rules - >&2 || complain "$step: other rules"
	[ "$(daemon)" = "$old" ] || complain "$step: another daemon"
	stop
	rules | diff /try/rules - >&2 || complain "$step: other rules without the daemon"
	start
	adopted "$(daemon)" "$old"

	run dpkg -r spr
	! tables || complain "$step: tables stay"
	stop
	left '/var/lib/spr(/.*)?|/etc/systemd/system/(sysinit|multi-user)\.target\.wants/spr.*|/var/lib/systemd/deb-systemd-helper-.*'
	[ -f /var/lib/spr/policy.yaml ] || complain "$step: the policy is gone"
	[ ! -e /var/lib/spr/active ] || complain "$step: would be active when installed again"

	run dpkg -P spr
	left ''
	[ "$(getent group | sort | comm -13 /try/groups - | cut -d: -f1)" = spr ] || complain "$step: groups: $(getent group)"
}

# The rules go by the removal where no daemon runs; where none can be started, the package stays, and says why.
without_daemon()
{
	run dpkg -i /try/first.deb
	start
	run spr up
	stop
	tables >/dev/null || complain "$step: no tables without the daemon"
	# the database has the last policy that did, and a daemon would start with it
	mkdir /try/kept
	mv /var/lib/spr/policy.yaml /var/lib/spr/spr.db* /try/kept/
	echo 'groups: [{name: }' >/var/lib/spr/policy.yaml
	step='dpkg -r spr, with a policy that does not parse'
	echo "-- $step"
	! dpkg -r spr >/try/output 2>&1 || complain "$step: removed"
	grep -q '/var/lib/spr/policy.yaml' /try/output || { complain "$step: does not say why"; cat /try/output; }
	tables >/dev/null || complain "$step: the tables are gone"
	[ -x /usr/sbin/sprd ] || complain "$step: the programs are gone"
	[ -z "$(daemon)" ] || complain "$step: a daemon stays"
	rm -f /var/lib/spr/spr.db*
	mv /try/kept/* /var/lib/spr/
	rmdir /try/kept
	run dpkg -r spr
	! tables || complain "$step: tables stay"
	[ -z "$(daemon)" ] || complain "$step: a daemon stays"
	run dpkg -P spr
	left ''
}

# Something that does what systemd would be asked to do, and notes it.
stand_in()
{
	mkdir -p /run/systemd/system
	cat >/usr/local/bin/systemctl <<-'END'
		#!/bin/bash
		echo "$*" >>/run/asked
		pid=$(cat /run/pid 2>/dev/null)
		stop() { [ -z "$pid" ] || { kill "$pid"; while kill -0 "$pid"; do sleep 0.1; done; rm /run/pid; } 2>/dev/null; }
		start() { setsid sprd </dev/null >>/run/sprd.log 2>&1 & echo $! >/run/pid; until spr status; do sleep 0.1; done >/dev/null 2>&1; }
		case " $* " in
		*' is-enabled '* | *' preset '*) exec /bin/systemctl --root=/ "$@" ;;
		*' is-active '*) kill -0 "$pid" 2>/dev/null ;;
		*' stop sprd.service '*) stop ;;
		*' start sprd.service '*) start ;;
		*' restart sprd.service '*) stop; start ;;
		*' daemon-reload '*) ;;
		*) exit 1 ;;
		esac
	END
	chmod 755 /usr/local/bin/systemctl
	hash -r
}

# asked PATTERN...: of starting and stopping, what the last step asked the service manager for
asked()
{
	local got
	got=$(grep -vE 'is-enabled|is-active|preset|daemon-reload' /run/asked | sed 's/--[a-z]* //g' | tr '\n' ' ')
	[ "$got" = "$* " ] || complain "$step: asked systemd for: $got"
	rm -f /run/asked
}

with_systemd()
{
	local old
	stand_in
	run dpkg -i /try/first.deb
	asked start sprd.service
	[ -n "$(daemon)" ] || complain "$step: sprd was not started"
	run spr up
	rules >/try/rules
	old=$(daemon)
	run dpkg -i /try/second.deb
	asked restart sprd.service
	adopted "$(daemon)" "$old"
	run dpkg -r spr
	asked stop sprd.service
	! tables || complain "$step: tables stay"
	[ -z "$(daemon)" ] || complain "$step: sprd runs"
	run dpkg -P spr
	rm -f /usr/local/bin/systemctl
	left ''
}

# Seen from a system that was not booted the kernel is somebody else's: no daemon writes to it, as one that opens the state
# folder would.
chrooted()
{
	run dpkg -i /try/first.deb
	mkdir /var/lib/spr
	touch /var/lib/spr/active
	run dpkg -r spr
	[ ! -e /var/lib/spr/lock ] || complain "$step: a daemon was started in a chroot"
	[ ! -e /var/lib/spr/active ] || complain "$step: would be active when installed again"
	run dpkg -P spr
}

case ${1-} in
inside) inside ;;
chrooted) chrooted ;;
*) outside ;;
esac
exit $failed
