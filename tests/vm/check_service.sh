#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a user of Debian 12 has: sprd as a service of systemd beside Debian's docker.service, in the machine's own network.
# For a machine that is thrown away, such as that of tests/vm/run: it is refused elsewhere. check_service.sh BUILD
# shellcheck disable=SC2317 # functions are called by check
set -u
cd "$(dirname "$0")/../.." || exit 1

build=$1
failed=0
slow=${SPR_SLOW:-1}

if [ ! -e /run/systemd/system/spr-vm.service ]; then
	echo "only in the virtual machine of tests/vm/run: it changes the machine's network"
	exit 77
fi

complain()
{
	echo "FAILED: $*"
	failed=1
}

# check WHAT COMMAND...
check()
{
	local what=$1
	shift
	if "$@" >/run/output 2>&1; then
		echo "ok: $what"
	else
		complain "$what: $(tail -n 15 /run/output)"
	fi
}

# until_true COMMAND...
until_true()
{
	for _ in $(seq $((5 * slow))); do
		"$@" && return
		sleep 0.2
	done
	return 1
}

not()
{
	! "$@"
}

# asks ADDRESS PORT: somebody upstream gets an answer of the container's web server
asks()
{
	# shellcheck disable=SC2016
	timeout "$((slow + 1))" ip netns exec outside bash -c \
		'exec 3<>"/dev/tcp/$0/$1" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$1" "$2" | grep -q 'it works'
}

tables()
{
	[ "$(nft list tables | grep -c 'inet spr')" = 2 ] && nft list table inet spr >/dev/null && nft list table inet spr-owned
}

both_tables()
{
	until_true tables
}

echo "-- the machine"
mkdir -p /var/lib/docker /etc/docker
mount -t tmpfs tmpfs /var/lib/docker
mount -t tmpfs tmpfs /etc/docker
ip netns add outside
ip link add eth0 type veth peer name eth0 netns outside
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ip addr add 2001:db8::2/64 dev eth0 nodad
ip route add default via 192.0.2.1
ip route add default via 2001:db8::1
ip -n outside link set lo up
ip -n outside link set eth0 up
ip -n outside addr add 192.0.2.1/24 dev eth0
ip -n outside addr add 2001:db8::1/64 dev eth0 nodad
printf '{"ipv6": true, "fixed-cidr-v6": "2001:db8:d::/64"}\n' >/etc/docker/daemon.json
ip -n outside route add 172.17.0.0/16 via 192.0.2.2
ip -n outside route add 2001:db8:d::/64 via 2001:db8::2
check "docker.service starts" systemctl start docker.service

mkdir -p /run/image/bin /run/image/www
cp /bin/busybox /run/image/bin/
echo 'it works' >/run/image/www/index.html
check "an image" sh -c 'tar -C /run/image -c . | docker import - web'
check "a container" docker run -d --name web -p 8080:80 web /bin/busybox httpd -f -p '[::]:80' -h /www
address=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)
address6=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.GlobalIPv6Address}}' web)
check "without spr its port is open" until_true asks 192.0.2.2 8080
check "and by IPv6" until_true asks 2001:db8::2 8080
check "and the container's address" asks "$address" 80

echo "-- up"
meson install -C "$build" --no-rebuild --only-changed --quiet || complain "meson install"
check "make up" tools/up up
cat /run/output
check "the service runs" systemctl is-active sprd.service
check "spr status" spr status
cat /run/output
check "the protection of this kernel" sh -c 'spr --json status | grep -q "\"protection\": *\"copies\""'
check "both tables" tables
check "the published port is closed" not asks 192.0.2.2 8080
check "and by IPv6" not asks 2001:db8::2 8080
check "the container's address is closed" not asks "$address" 80
check "and by IPv6" not asks "$address6" 80
check "publish" spr publish web --port 8080/tcp --to upstream
check "the published port is open" until_true asks 192.0.2.2 8080
check "and by IPv6" until_true asks 2001:db8::2 8080
check "the container's address stays closed" not asks "$address" 80

echo "-- others, and the end of the daemon"
nft flush ruleset
check "after a flush by another the container is closed" not asks "$address" 80
check "both tables are back" both_tables
systemctl kill --signal=KILL sprd.service
check "killed: the container is closed" not asks "$address" 80
check "systemd starts it again" until_true spr status
check "it has adopted both tables" both_tables
check "still closed" not asks "$address" 80
systemctl restart docker.service
check "Docker's own restart" until_true docker start web
check "opened as before" until_true asks 192.0.2.2 8080

echo "-- the fast path"
fast_path()
{
	spr status | grep "$@"
}
sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null
check "export" sh -c 'spr export >/run/policy.yaml && echo "settings: {fast_path: true}" >>/run/policy.yaml'
check "apply" spr apply -f /run/policy.yaml --force
check "it waits for a restart" fast_path 'from the next start'
check "restart" systemctl restart sprd.service
check "the unit alone does not allow it, and status says so" until_true fast_path 'the fast path does not work'
check "opened as before" asks 192.0.2.2 8080
mkdir -p /etc/systemd/system/sprd.service.d
check "the drop-in" cp /usr/local/share/doc/spr/examples/fast-path.conf /etc/systemd/system/sprd.service.d/
check "restart" sh -c 'systemctl daemon-reload && systemctl restart sprd.service'
check "it runs" until_true fast_path '^fast path *on'
check "opened as before" asks 192.0.2.2 8080
check "the container's address is closed" not asks "$address" 80

check "down" tools/up down
check "no table left" sh -c '! nft list tables | grep spr'
[ "$failed" = 0 ] || journalctl -b -o cat -u sprd -u docker | tail -n 40
exit $failed
