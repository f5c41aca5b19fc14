# SPDX-License-Identifier: GPL-2.0-or-later
"""What must keep working with spr up: a firewall that drops everything passes no test."""

import contextlib
import os
import socket
import time

import pytest

from attacks import HOST_LOOP, PUB4, SIX6, ask, both, connect, discover, echo, forget
from probes import OPEN_WAIT, dns, ping, talk, tcp, tcp_open, udp
from registry import PORT, Registry
from scene import (HOST4, HOST6, INTERNET4, INTERNET6, LAN4, LAN6, NEIGHBOUR4, NEIGHBOUR6, PRIVATE4, PRIVATE6, TRUSTED4,
                   TRUSTED6)

GRANTS = {
    "groups": [{"name": "family"}],
    "containers": [{"name": "pub", "policies": ["wan", "dns"],
                    "publish": [{"port": "8080/tcp", "to": ["rule:trusted", "internet", "upstream"]},
                                {"port": "9053/udp", "to": ["rule:trusted", "internet"]}]}],
    "allow": [{"from": "rule:trusted", "to": "host", "ports": ["22/tcp"]},
              {"from": "rule:trusted", "to": "container:six", "ports": ["9999/tcp"]}],
}


def name_server(source, server, stream=False, name="example.org", answer="50.0.0.10"):
    return lambda scene, wait: dns(getattr(scene, source), server, name, wait, stream) == answer


def by_name(source, name, address, port=80):
    """Docker's own resolver gives the address, and the service there answers."""
    return both(name_server(source, "127.0.0.11", name=name, answer=address), connect(source, address, port, name))


def sees(source, address, port, who, client):
    """The banner names the server and the client's real address."""
    return lambda scene, wait: (tcp(getattr(scene, source), address, port, wait) or "").startswith(f"{who} {client} ")


PATHS = {
    "container to internet, TCP": connect("pub", INTERNET4, 80, "internet"),
    "container to internet, UDP": ask("pub", INTERNET4, 80),
    "container to internet, ping": echo("pub", INTERNET4),
    "container to internet, TCP over IPv6": connect("six", INTERNET6, 80, "internet"),
    "container to internet, UDP over IPv6": ask("six", INTERNET6, 80),
    "container to internet, ping over IPv6": echo("six", INTERNET6),
    "container of the default bridge to internet": connect("d1", INTERNET4, 80, "internet"),
    "container of another network to internet": connect("bob", INTERNET4, 80, "internet"),
    "container to resolver, UDP": name_server("pub", LAN4),
    "container to resolver, TCP": name_server("pub", LAN4, stream=True),
    "container of the default bridge to resolver": name_server("d1", LAN4),
    "container of the IPv6 network to resolver": name_server("six", LAN4),
    "container to resolver through Docker's own": name_server("pub", "127.0.0.11"),
    "members of one network by name": by_name("pub", "mate", "172.30.1.13"),
    "members of one network, UDP": ask("pub", "172.30.1.13", 80),
    "members of one network, ping": echo("pub", "172.30.1.13"),
    "members of one network over IPv6": connect("six", "2600:d0::11", 80, "sixmate"),
    "members of one network, ping over IPv6": echo("six", "2600:d0::11"),
    "members of an internal network by name": by_name("inner", "inmate", "172.30.9.11"),
    "members of the default bridge": lambda scene, wait: connect("d1", scene.address("d2"), 9999, "d2")(scene, wait),
    "published port to the LAN, real address": sees("trusted", LAN4, 8080, "pub", TRUSTED4),
    "published port to the internet, real address": sees("internet", HOST4, 8080, "pub", INTERNET4),
    "published port to the internet over IPv6": connect("internet", HOST6, 8080, "pub"),
    "published port to an uplink client": sees("neighbour", HOST4, 8080, "pub", NEIGHBOUR4),
    "published UDP port to the internet": ask("internet", HOST4, 9053),
    "published UDP port to the LAN": ask("trusted", LAN4, 9053),
    "LAN client to internet": connect("trusted", INTERNET4, 80, "internet"),
    "LAN client to internet, UDP": ask("trusted", INTERNET4, 80),
    "LAN client to internet, ping": echo("trusted", INTERNET4),
    "LAN client to internet over IPv6": connect("trusted", INTERNET6, 80, "internet"),
    "LAN client to internet, ping over IPv6": echo("trusted", INTERNET6),
    "LAN client to resolver, UDP": name_server("trusted", LAN4),
    "LAN client to resolver, TCP": name_server("trusted", LAN4, stream=True),
    "LAN client to DHCP": discover("trusted", "br-lan"),
    "guest to DHCP": discover("guest", "guest0"),
    "LAN client pings the router": echo("trusted", LAN4),
    "LAN client pings the router over IPv6": echo("trusted", LAN6),
    "guest pings the router": echo("guest", "192.168.78.1"),
    "guest to internet": connect("guest", INTERNET4, 80, "internet"),
    "LAN client to LAN client": connect("trusted", "192.168.77.20", 80, "iot"),
    "granted device to its grant": connect("trusted", SIX6, 9999, "six"),
    "the admin's ssh": connect("trusted", LAN4, 22, "router"),
    "the admin's ssh over IPv6": connect("trusted", LAN6, 22, "router"),
    "host to container": connect("router", PUB4, 80, "pub"),
    "host to unpublished port": connect("router", PUB4, 9999, "pub"),
    "host to container, UDP": ask("router", PUB4, 9053),
    "host to container, ping": echo("router", PUB4),
    "host to container over IPv6": connect("router", SIX6, 9999, "six"),
    "host to internal container": connect("router", "172.30.9.10", 80, "inner"),
    "host to container on its own network": connect("router", "127.0.0.1", 7070, "hostnet"),
    "host to port published on 127.0.0.1": HOST_LOOP,
    "host to published port by 127.0.0.1": connect("router", "127.0.0.1", 8080, "pub"),
    "host to published port by its own address": connect("router", HOST4, 8080, "pub"),
    "host to port published on the LAN address": connect("router", LAN4, 8081, "lanpub"),
    "host to port published on the gateway": connect("router", "172.30.1.1", 8084, "gwpub"),
    "host to published port by ::1": connect("router", "::1", 8080, "pub"),
    "host to LAN client": connect("router", TRUSTED4, 80, "trusted"),
    "host to LAN client over IPv6": connect("router", TRUSTED6, 80, "trusted"),
    "host to uplink neighbour": connect("router", NEIGHBOUR4, 80, "neighbour"),
    "host to uplink neighbour over IPv6": connect("router", NEIGHBOUR6, 80, "neighbour"),
    "host to private upstream": connect("router", PRIVATE4, 80, "private"),
    "host to private upstream over IPv6": connect("router", PRIVATE6, 80, "private"),
    "host to internet": connect("router", INTERNET4, 80, "internet"),
    "host to internet, UDP": ask("router", INTERNET4, 80),
    "host to internet, ping": echo("router", INTERNET4),
    "host to internet over IPv6": connect("router", INTERNET6, 80, "internet"),
    "unprivileged user of the host to container": connect("router", PUB4, 9999, "pub", uid=65534),
}


@pytest.fixture
def granted(stage, built):
    stage.closed(GRANTS)
    return stage.scene


@pytest.mark.parametrize("name", PATHS)
def test_plain_path(name, stage):
    """The path works without spr: otherwise its test below would say nothing."""
    stage.plain()
    assert stage.is_open(PATHS[name])


@pytest.mark.parametrize("name", PATHS)
def test_path(name, stage, granted):
    assert stage.is_open(PATHS[name])


@contextlib.contextmanager
def narrow(scene, prefix, via):
    """The way to the internet has a smaller packet size behind the upstream router."""
    scene.upstream.ip(f"route change {prefix} dev eth2 proto kernel mtu lock 1300" if ":" not in prefix
                      else f"route replace {prefix} dev eth2 proto kernel metric 256 mtu lock 1300")
    try:
        yield
    finally:
        scene.upstream.ip(f"route change {prefix} dev eth2 proto kernel" if ":" not in prefix
                          else f"route replace {prefix} dev eth2 proto kernel metric 256")
        via.ip("route flush cache")


def transfer(sock, size, wait):
    """Sends bytes to an echo service and takes them back."""
    data = os.urandom(size)
    sock.settimeout(wait)
    sock.sendall(data)
    back = b""
    while len(back) < size:
        piece = sock.recv(65536)
        if not piece:
            break
        back += piece
    return back == data


@pytest.mark.parametrize("source, address, prefix, level, option", [
    ("pub", INTERNET4, "50.0.0.0/24", socket.IPPROTO_IP, 14),
    ("six", INTERNET6, "2600:50::/64", socket.IPPROTO_IPV6, 24),
    ("trusted", INTERNET4, "50.0.0.0/24", socket.IPPROTO_IP, 14),
    ("trusted", INTERNET6, "2600:50::/64", socket.IPPROTO_IPV6, 24),
], ids=["container", "container-6", "lan", "lan-6"])
def test_path_mtu_discovery(source, address, prefix, level, option, stage, granted):
    space = getattr(granted, source)
    with narrow(granted, prefix, space):
        sock, _ = tcp_open(space, address, 80, OPEN_WAIT)
        with sock:
            assert transfer(sock, 20000, 8), "large packets do not arrive"
            assert sock.getsockopt(level, option) == 1300, "the ICMP error did not arrive"


def test_port_unreachable_arrives(stage, granted):
    """An ICMP error about a flow that policy accepts reaches the container at once."""
    with granted.pub.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((INTERNET4, 4))
        sock.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(100)


@pytest.mark.parametrize("source, address, port", [
    ("pub", INTERNET4, 80), ("six", INTERNET6, 80), ("trusted", INTERNET4, 80), ("trusted", LAN4, 8080),
    ("internet", HOST4, 8080), ("internet", HOST6, 8080), ("trusted", LAN4, 22), ("router", PUB4, 80)])
def test_long_flow_over_changes(source, address, port, stage, granted):
    """A granted flow lives through a policy change, the same policy again, and a restart of the daemon."""
    sock, _ = tcp_open(getattr(granted, source), address, port, OPEN_WAIT)
    with sock:
        assert talk(sock, OPEN_WAIT)
        stage.closed(GRANTS, {"containers": [{"name": "mate", "policies": ["wan"]}]})
        assert talk(sock, OPEN_WAIT), "cut by a change that does not concern it"
        stage.closed(GRANTS)
        assert talk(sock, OPEN_WAIT)
        stage.spr.apply(stage.document)
        assert talk(sock, OPEN_WAIT), "cut by applying the same policy again"
        stage.spr.restart()
        assert talk(sock, OPEN_WAIT), "cut by a restart of the daemon"


def test_flow_over_docker_restart(stage, granted):
    """dockerd restarts with live-restore: what does not pass through docker-proxy goes on, and new flows open after it."""
    outward, _ = tcp_open(granted.pub, INTERNET4, 80, OPEN_WAIT)
    inward, _ = tcp_open(granted.internet, HOST4, 8080, OPEN_WAIT)
    with outward, inward:
        granted.docker.restart()
        assert talk(outward, OPEN_WAIT)
        assert talk(inward, OPEN_WAIT)
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
        assert stage.is_open(connect("internet", HOST4, 8080, "pub"))
        assert stage.is_open(connect("pub", INTERNET4, 80, "internet"))


def test_pull(stage, granted):
    with Registry(granted.internet, INTERNET4):
        granted.docker.stop()
        granted.docker.arguments = [f"--insecure-registry={INTERNET4}:{PORT}"]
        granted.docker.start()
        done = granted.docker.cli("pull", f"{INTERNET4}:{PORT}/hello:latest", check=False, timeout=30)
        assert done.returncode == 0, done.stderr


DOCKERFILE = f"""FROM lab
RUN [ "$(/probe insist {INTERNET4} 80 3000 1)" = open ]
RUN [ "$(/probe insist {PRIVATE4} 80 400 1)" = closed ]
"""


@pytest.mark.parametrize("version", ["1", "2"], ids=["classic", "buildkit"])
def test_build(version, stage, granted):
    """A build's steps have the default of a network: the internet, and nothing private."""
    said = granted.docker.build(DOCKERFILE, version)
    assert '"error"' not in said, said[-400:]


def test_exec_logs_and_health(stage, granted):
    docker = granted.docker
    assert "ready" in docker.cli("exec", "pub", "/bin/busybox", "echo", "ready").stdout
    assert "ready" in docker.cli("logs", "pub").stdout
    docker.cli("run", "-d", "--name", "healthy", "--network", "br-a", "--health-interval=200ms", "--health-cmd",
               "[ $(/probe insist 127.0.0.1 80 500 1) = open ]", "lab", "/probe", "serve", "healthy", "tcp:0.0.0.0:80")
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until and docker.inspect("healthy")["State"]["Health"]["Status"] != "healthy":
            time.sleep(0.1)
        assert docker.inspect("healthy")["State"]["Health"]["Status"] == "healthy"
    finally:
        docker.remove("healthy")


def test_host_keeps_flows_it_opened(stage, granted):
    """The host's own long flows into a container and out to the internet are nobody's business."""
    inside, _ = tcp_open(granted.router, PUB4, 9999, OPEN_WAIT)
    outside, _ = tcp_open(granted.router, INTERNET4, 80, OPEN_WAIT)
    with inside, outside:
        stage.spr.down()
        stage.spr.up()
        assert talk(inside, OPEN_WAIT) and talk(outside, OPEN_WAIT)


def test_neighbour_discovery_over_time(stage, granted):
    """Addresses are resolved again when the neighbour tables are empty: ARP and ND pass."""
    for space in (granted.router, granted.pub, granted.six, granted.trusted, granted.neighbour, granted.mate, granted.sixmate):
        space.run("ip", "neigh", "flush", "all")
        space.run("ip", "-6", "neigh", "flush", "all")
    for run in (connect("pub", INTERNET4, 80, "internet"), connect("six", INTERNET6, 80, "internet"),
                connect("pub", "172.30.1.13", 80, "mate"), connect("six", "2600:d0::11", 80, "sixmate"),
                connect("internet", HOST4, 8080, "pub"), connect("trusted", INTERNET6, 80, "internet"),
                connect("router", NEIGHBOUR6, 80, "neighbour")):
        assert stage.is_open(run)


def test_status_is_quiet(stage, granted):
    """Nothing of all this counts as dropped: the same paths once more, and no drop of theirs in the log."""
    forget(granted, PUB4)
    with_log = stage.spr.connect()
    with with_log:
        with_log.sendall(b'{"call":"log"}\n')
        assert b"result" in with_log.recv(65536)
        assert tcp(granted.pub, INTERNET4, 80, OPEN_WAIT) and udp(granted.pub, INTERNET4, 80, OPEN_WAIT)
        assert ping(granted.pub, INTERNET4, OPEN_WAIT)
        with_log.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                line = with_log.recv(65536)
                assert b"172.30.1.10" not in line, line
