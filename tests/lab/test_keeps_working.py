# SPDX-License-Identifier: GPL-2.0-or-later
"""What must keep working with spr up: a firewall that drops everything passes no test."""

import contextlib
import os
import socket
import time

import pytest

from attacks import PUB4, connect, forget
from paths import GRANTS, PATHS
from probes import OPEN_WAIT, ping, talk, tcp, tcp_open, udp
from registry import PORT, Registry
from scene import HOST4, HOST6, INTERNET4, INTERNET6, LAN4, NEIGHBOUR6, PRIVATE4

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
