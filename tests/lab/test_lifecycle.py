# SPDX-License-Identifier: GPL-2.0-or-later
"""
What happens between two steady states: starts, stops, crashes, flushes, restarts, re-used addresses, revoked grants.
Most tests let forbidden packets run against the machine every 50 us meanwhile, and count those that reach a container.
"""

import contextlib
import json
import signal
import socket
import struct
import time

import pytest

from attacks import PUB4, SIX6, connect, stray
from probes import CLOSED_WAIT, OPEN_WAIT, Flood, _receive, ping, talk, tcp_open, udp, udp_arrived, udp_socket
from spr import Follow
from scene import (HOST4, HOST6, INTERNET4, INTERNET6, LAN4, NEIGHBOUR4, PRIVATE4, PRIVATE6, TRUSTED4)

SERVICES = ["tcp:0.0.0.0:80", "tcp:0.0.0.0:9999", "udp:0.0.0.0:9999"]
NEW4 = "172.30.1.77"
CUT = 1.0  # seconds within which a flow that lost its right is dead for both sides


@contextlib.contextmanager
def container(scene, name, network="br-a", ip4=NEW4, **options):
    options.setdefault("services", SERVICES)
    scene.container(name, network, ip4, **options)
    try:
        yield getattr(scene, name)
    finally:
        scene.remove(name)


@contextlib.contextmanager
def under_fire(scene, *shots, victims=("pub", "six")):
    """Floods of (source, address, port) while the block runs; yields a dict that then tells what reached each victim."""
    before = {name: udp_arrived(getattr(scene, name)) for name in victims}
    result = {}
    with contextlib.ExitStack() as stack:
        floods = [stack.enter_context(Flood(scene, *shot)) for shot in shots]
        yield result
        result["sent"] = [flood.stop() for flood in floods]
    time.sleep(0.1)
    result["got"] = {name: udp_arrived(getattr(scene, name)) - before[name] for name in victims}


FIRE = [("neighbour", PUB4, 9999, 50), ("neighbour", SIX6, 9999, 100), ("iot", PUB4, 9999, 100), ("neighbour", HOST4, 9053, 100)]
NOTHING = {"pub": 0, "six": 0}


def assert_no_leak(result):
    assert min(result["sent"]) > 100, f"the floods did not run: {result['sent']}"
    assert result["got"] == NOTHING, f"{result['got']} of {result['sent']} forbidden packets arrived"


@pytest.fixture
def up(stage, built):
    stage.closed()
    return stage.scene


# The machine has asked in vain who has the address, and asks again after a second: nothing is sent before.
ARP = 1.5


def test_fire_hits_on_plain(stage):
    """The floods of this file do reach their victims when nothing stops them."""
    stage.plain()
    for shot in FIRE:
        with under_fire(stage.scene, shot) as result:
            time.sleep(0.2)
        assert sum(result["got"].values()) > 100, shot


def dead(sock):
    """A flow is cut: nothing there and back, tried until it must be."""
    until = time.monotonic() + CUT
    while time.monotonic() < until:
        if not talk(sock, CLOSED_WAIT):
            return True
    return False


@pytest.mark.parametrize("source, address, port, who, publish", [
    ("neighbour", HOST4, 8080, "pub", ("pub", "8080/tcp", "upstream")),
    ("internet", HOST4, 8080, "pub", ("pub", "8080/tcp", "internet")),
    ("neighbour", HOST6, 8080, "pub", ("pub", "8080/tcp", "upstream")),
    ("neighbour", PUB4, 9999, "pub", None),
    ("neighbour", SIX6, 9999, "six", None),
    ("iot", LAN4, 8080, "pub", ("pub", "8080/tcp", "rule:iot")),
    ("pub", PRIVATE4, 80, "private", None),
    ("six", PRIVATE6, 80, "private", None),
    ("bob", "172.30.2.1", 8080, "pub", ("pub", "8080/tcp", "container:bob")),
])
def test_lc01_flow_from_before(source, address, port, who, publish, stage, built):
    """LC-01: a flow that was open before `spr up` is cut without a grant, and goes on with one."""
    stage.plain()
    sock, _ = tcp_open(getattr(stage.scene, source), address, port, OPEN_WAIT)
    with sock:
        assert talk(sock, OPEN_WAIT)
        stage.closed()
        assert dead(sock)
    if not publish:
        return
    stage.plain()
    sock, _ = tcp_open(getattr(stage.scene, source), address, port, OPEN_WAIT)
    with sock:
        stage.closed({"containers": [{"name": publish[0], "policies": ["wan", "dns"],
                                      "publish": [{"port": publish[1], "to": [publish[2]]}]}]})
        assert talk(sock, OPEN_WAIT)


def test_lc03_new_container(stage, up):
    """LC-03: nothing reaches a container that is just being started; with a grant made beforehand, what it grants does."""
    shots = [("neighbour", NEW4, 9999, 50), ("iot", NEW4, 9999, 100), ("bob", "172.30.2.1", 9077, 100), ("neighbour", HOST4, 9077, 100)]
    ports = ["9077:9999/udp"]

    def arrivals():
        with contextlib.ExitStack() as stack:
            floods = [stack.enter_context(Flood(up, *shot)) for shot in shots]
            with container(up, "fresh", ports=ports) as space:
                time.sleep(ARP)
                sent = [flood.stop() for flood in floods]
                assert min(sent) > 500, sent
                return udp_arrived(space)

    assert arrivals() == 0
    stage.grant(["allow", "upstream", "container:fresh:9999/udp"])
    assert arrivals() > 100
    stage.plain()
    assert arrivals() > 100


def test_lc04_new_network(stage, up):
    """LC-04: a network that is just being made is closed, and its containers have their default at once."""
    shots = [("neighbour", "172.30.5.10", 9999, 50), ("iot", "172.30.5.10", 9999, 100)]

    def arrivals():
        with contextlib.ExitStack() as stack:
            floods = [stack.enter_context(Flood(up, *shot)) for shot in shots]
            up.docker.network("br-n", ["172.30.5.0/24"])
            stack.callback(up.docker.call, "DELETE", "/networks/br-n")
            with container(up, "fresh", "br-n", "172.30.5.10") as space:
                time.sleep(ARP)
                sent = [flood.stop() for flood in floods]
                assert min(sent) > 500, sent
                got = udp_arrived(space)
                assert stage.is_open(connect("fresh", INTERNET4, 80, "internet"))
                return got

    assert arrivals() == 0
    stage.plain()
    assert arrivals() > 100


def said(scene, name, seconds=20):
    """What a container printed until it ended."""
    until = time.monotonic() + seconds
    while scene.docker.inspect(name)["State"]["Running"] and time.monotonic() < until:
        time.sleep(0.05)
    return scene.docker.logs(name).split()


def test_lc03_on_a_machine_without_lan(stage, up):
    """LC-03 where the machine's own services are its own business: docker-proxy listens before Docker tells of the port."""
    stage.closed(base={})
    for number in range(3):
        with Flood(up, "neighbour", HOST4, 9077, 50) as flood, container(up, f"fresh{number}", ports=["9077:9999/udp"]) as space:
            time.sleep(0.5)
            assert flood.stop() > 500
            assert udp_arrived(space) == 0


@contextlib.contextmanager
def entry_point(scene, name, network, *command, **options):
    scene.docker.run(name, network, ["/probe", *command], **options)
    try:
        yield
    finally:
        scene.docker.remove(name)


@pytest.mark.parametrize("network, allowed, forbidden", [
    ("br-a", INTERNET4, PRIVATE4), ("br-6", INTERNET6, PRIVATE6), ("bridge", INTERNET4, NEIGHBOUR4)])
def test_lc05_first_packets(network, allowed, forbidden, stage, up):
    """LC-05: what a container may do works with its very first packet; what it may not is closed from the first on."""
    for number in range(4):
        with entry_point(up, f"first{number}", network, "insist", allowed, "80", "900", "1"):
            assert said(up, f"first{number}") == ["open"], "the first SYN was lost"
    with entry_point(up, "eager", network, "insist", forbidden, "80", "30", "50"):
        assert said(up, "eager") == ["closed"] * 50
    stage.plain()
    with entry_point(up, "eager", network, "insist", forbidden, "80", "30", "50"):
        assert "open" in said(up, "eager")


def test_lc06_address_reuse(stage, up):
    """LC-06: the next owner of an address inherits nothing; the grant comes back with its container."""
    stage.grant(["allow", "upstream", "container:first:9999/udp"], ["allow", "upstream", "container:first:9999/tcp"])
    attack = connect("neighbour", NEW4, 9999, "first")
    with container(up, "first"):
        assert stage.is_open(attack)
    with Flood(up, "neighbour", NEW4, 9999, 50) as flood:
        with container(up, "second") as space:
            time.sleep(0.5)
            assert flood.stop() > 500
            assert udp_arrived(space) == 0
            assert stage.is_closed(connect("neighbour", NEW4, 9999, "second"))
    with container(up, "first"):
        assert stage.is_open(attack)


def test_lc06_stopped_container(stage, up):
    """A stopped container's address has no rights: not even its own host name may be asked for by somebody else there."""
    stage.grant(["grant", "container:first", "wan", "dns", "lan_upstream"])
    with container(up, "first"):
        assert stage.is_open(connect("first", PRIVATE4, 80, "private"))
    with container(up, "second"):
        assert stage.is_closed(connect("second", PRIVATE4, 80, "private"))
        assert stage.is_open(connect("second", INTERNET4, 80, "internet"))


def test_lc07_stale_udp_flow(stage, up):
    """LC-07: a UDP flow to a container that is gone does not reach the next one at its address."""
    stage.grant(["publish", "container:first", "--port", "9078/udp", "--to", "upstream"])
    with udp_socket(up.neighbour, HOST4, 9078, source_port=40078) as client:
        with container(up, "first", ports=["9078:9999/udp"]):
            assert any(talk(client, CLOSED_WAIT) for _ in range(8)), "the control: a granted port, by the same socket"
        with container(up, "second", ports=["9078:9999/udp"]) as space:
            for _ in range(20):
                with contextlib.suppress(OSError):
                    client.send(b"still me")
                time.sleep(0.01)
            time.sleep(0.2)
            assert udp_arrived(space) == 0


def test_lc08_rule_order(stage, up):
    """LC-08: Docker puts rules of its own on top when networks and containers come and go."""
    with under_fire(up, *FIRE) as result:
        up.docker.network("br-n", ["172.30.5.0/24"])
        with container(up, "fresh", "br-n", "172.30.5.10", ports=["8099:80"]):
            time.sleep(0.2)
        up.docker.call("DELETE", "/networks/br-n")
    assert_no_leak(result)


def test_lc10_revoked_tcp(stage, up):
    """LC-10: a revoked grant cuts the flow it carried; others live."""
    stage.grant(["publish", "pub", "--port", "8080/tcp", "--to", "upstream"], ["publish", "pub", "--port", "8080/tcp", "--to", "internet"])
    near, _ = tcp_open(up.neighbour, HOST4, 8080, OPEN_WAIT)
    far, _ = tcp_open(up.internet, HOST4, 8080, OPEN_WAIT)
    with near, far:
        assert talk(near, OPEN_WAIT) and talk(far, OPEN_WAIT)
        stage.grant(["publish", "pub", "--port", "8080/tcp", "--to", "upstream", "--remove"])
        assert dead(near)
        assert talk(far, OPEN_WAIT)


@pytest.mark.parametrize("source, address, port, grant, revoke", [
    ("neighbour", PUB4, 9999, ["allow", "upstream", "container:pub:9999/tcp"],
     ["allow", "upstream", "container:pub:9999/tcp", "--remove"]),
    ("neighbour", SIX6, 9999, ["allow", "upstream", "container:six:9999/tcp"],
     ["allow", "upstream", "container:six:9999/tcp", "--remove"]),
    ("pub", PRIVATE4, 80, ["grant", "pub", "lan_upstream"], ["revoke", "pub", "lan_upstream"]),
    ("six", PRIVATE6, 80, ["grant", "six", "lan_upstream"], ["revoke", "six", "lan_upstream"]),
    ("neighbour", HOST6, 8080, ["publish", "pub", "--port", "8080/tcp", "--to", "upstream"],
     ["publish", "pub", "--port", "8080/tcp", "--to", "upstream", "--remove"]),
    ("trusted", LAN4, 22, ["allow", "rule:trusted", "host:22/tcp"], ["allow", "rule:trusted", "host:22/tcp", "--remove"]),
    ("trusted", INTERNET4, 80, None, ["revoke", "rule:trusted", "wan", "--force"]),
    ("trusted", INTERNET6, 80, None, ["revoke", "rule:trusted", "wan", "--force"]),
    ("pub", INTERNET4, 80, None, ["block", "container:pub", "internet"]),
], ids=["direct", "direct-6", "upstream", "upstream-6", "proxy-6", "host", "wan", "wan-6", "block"])
def test_lc10_revoked_flow(source, address, port, grant, revoke, stage, up):
    """LC-10 for every kind of grant."""
    if grant:
        stage.grant(grant)
    sock, _ = tcp_open(getattr(up, source), address, port, OPEN_WAIT)
    with sock:
        assert talk(sock, OPEN_WAIT)
        stage.grant(revoke)
        assert dead(sock)


def listen_to(sock, seconds):
    """How many datagrams come in."""
    until, got = time.monotonic() + seconds, 0
    while _receive(sock, until):
        got += 1
    return got


def drain(sock):
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while sock.recv(65535):
            pass


def drain_stream(sock):
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.recv(65536)


@pytest.mark.parametrize("inward", [True, False], ids=["into-container", "out-of-container"])
def test_lc10_revoked_udp_with_talking_server(inward, stage, up):
    """LC-10: a UDP server that keeps talking does not keep the flow open after its grant is gone."""
    if inward:
        grant = ["allow", "upstream", "container:chatty:7000/udp"]
    else:
        up.serve(up.private, "chatty-private", "talk:0.0.0.0:7000")
        grant = ["allow", "container:chatty", "upstream:7000/udp"]
    with container(up, "chatty", services=["talk:0.0.0.0:7000"]) as space:
        stage.grant(grant)
        source, address = (up.neighbour, NEW4) if inward else (space, PRIVATE4)
        with udp_socket(source, address, 7000) as client:
            client.send(b"talk to me")
            assert listen_to(client, 0.5) > 20, "the server does not talk"
            stage.grant([*grant, "--remove"])
            time.sleep(0.1)
            drain(client)
            assert listen_to(client, 1.0) == 0, "the flow goes on from the server's side"
            client.send(b"talk to me again")
            assert listen_to(client, 0.5) == 0


def seconds_left(scene, name):
    """Of each element of a set with timeouts."""
    listing = json.loads(scene.router.run("nft", "-j", "list", "set", "inet", "spr", name))["nftables"]
    elements = next(item["set"] for item in listing if "set" in item).get("elem", [])
    return [element["elem"]["expires"] for element in elements]


def test_ended_flow_stays_ended_while_its_server_talks(stage, up):
    """The time for which an ended flow is silenced begins anew with each packet that tries."""
    with container(up, "chatty", services=["talk:0.0.0.0:7000"]):
        stage.grant(["allow", "upstream", "container:chatty:7000/udp"])
        with udp_socket(up.neighbour, NEW4, 7000) as client:
            client.send(b"talk to me")
            assert listen_to(client, 0.5) > 20, "the server does not talk"
            stage.grant(["allow", "upstream", "container:chatty:7000/udp", "--remove"])
            time.sleep(3)
            assert max(seconds_left(up, "ended4")) >= 3598
            stage.grant(["allow", "upstream", "container:chatty:7000/udp"])
            drain(client)
            client.send(b"talk to me again")
            assert listen_to(client, 0.5) > 20, "allowed again, and still silent"
    time.sleep(2)
    assert not [left for left in seconds_left(up, "ended4") if left >= 3599], "renewed by nobody"


def test_one_member_does_not_fill_the_log(stage, up):
    """Of who sends a lot only some stands in the log; who sends one packet is found there."""
    with Follow(stage.spr, "container:bob") as log, Flood(up, "pub", PRIVATE4, 80, 200) as flood:
        time.sleep(2)
        for _ in range(3):
            with udp_socket(up.bob, PRIVATE4, 8099) as sock:
                sock.send(b"once")
            assert log.event(lambda event: event["from"] == "bob" and event.get("to_port") == 8099, 3)
        assert flood.stop() > 2000
    recent = stage.spr.call("log", member="pub")["recent"]
    assert 5 < len(recent) < 100, f"{len(recent)} of one flood in the log"


def from_many(space, first, target):
    """A UDP packet from each of 70,000 addresses, made by hand."""
    start, = struct.unpack(">I", socket.inet_aton(first))
    with space.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for number in range(70000):
            head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0, struct.pack(">I", start + number),
                               socket.inet_aton(target))
            raw.sendto(head + struct.pack(">HHHH", 5000, 80, 8, 0), (target, 0))


def test_who_has_many_addresses(stage, up):
    """A range with more addresses than can be counted takes nothing from containers, nor the others' place in the log."""
    stage.closed({"rules": [{"name": "many", "interface": "br-lan", "source": ["10.44.0.0/15"], "policies": ["wan"]}]})
    up.router.ip("route add 10.44.0.0/15 via " + TRUSTED4)
    try:
        from_many(up.trusted, "10.44.0.1", INTERNET4)
        assert stage.is_open(connect("pub", INTERNET4, 80, "internet"))
        from_many(up.neighbour, "60.1.0.1", HOST4)
        with Follow(stage.spr, "rule:guest") as log, udp_socket(up.guest, PRIVATE4, 8099) as sock:
            for _ in range(5):
                sock.send(b"once")
                time.sleep(0.3)
            assert log.event(lambda event: event.get("to_port") == 8099, 3)
    finally:
        up.router.ip("route del 10.44.0.0/15")
        up.router.run("conntrack", "-F", check=False)


def test_nobody_opens_by_a_reply_that_was_not_asked_for(stage, up):
    """Where connections are tracked, packets in the middle of one that is not there open nothing, also right after `up`."""
    stage.plain()
    stage.closed()
    for _ in range(3):
        assert stage.is_closed(stray("neighbour", "eth0", "60.7.7.7", PUB4, 9999, "pub", sport=45000))
    assert "60.7.7.7" not in up.router.run("conntrack", "-L")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_lc11_dockerd_restart(how, stage, up):
    """LC-11: around a restart of dockerd nothing opens."""
    with under_fire(up, *FIRE) as result:
        up.docker.stop(how)
        up.docker.start()
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
        time.sleep(0.2)
    assert_no_leak(result)
    assert stage.is_open(connect("pub", INTERNET4, 80, "internet"))


def flush_iptables(scene):
    for tool in ("iptables", "ip6tables"):
        for table in ("filter", "nat", "mangle", "raw"):
            scene.router.run(tool, "-t", table, "-F", check=False)
        for chain in ("INPUT", "FORWARD", "OUTPUT"):
            scene.router.run(tool, "-P", chain, "ACCEPT", check=False)


def repair(scene):
    """Docker's own rules again, after somebody threw them away."""
    scene.docker.restart()
    scene.home_nat()


def test_lc12_iptables_flush(stage, up):
    """LC-12: what firewalld and others do at a reload opens nothing."""
    try:
        with under_fire(up, *FIRE) as result:
            for _ in range(3):
                flush_iptables(up)
                time.sleep(0.1)
        assert_no_leak(result)
        assert stage.is_closed(connect("neighbour", PUB4, 80, "pub"))
    finally:
        repair(up)


def test_lc13_flush_ruleset(stage, up):
    """LC-13: `nft flush ruleset` by others."""
    try:
        with under_fire(up, *FIRE) as result:
            for _ in range(5):
                up.router.run("nft", "flush", "ruleset")
                time.sleep(0.05)
        assert_no_leak(result)
        assert stage.spr.status()["active"]
        assert "inet spr" in up.router.run("nft", "list", "tables")
    finally:
        repair(up)
    stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
    assert stage.is_open(connect("pub", INTERNET4, 80, "internet"))


def test_lc13_delete_tables(stage, up):
    """The same by hand, table by table: refused, or repaired without a packet through."""
    with under_fire(up, *FIRE) as result:
        for table in up.router.run("nft", "list", "tables").splitlines():
            if table.split()[-1].startswith("spr"):
                up.router.run("nft", "delete", table, check=False)
        time.sleep(0.2)
    if stage.spr.status()["protection"] == "persist":
        assert_no_leak(result)
    else:
        pytest.skip("no owned tables on this kernel: a table deleted by hand is repaired, not kept")


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("at_once", [False, True], ids=["settled", "before-docker-answered"])
def test_lc14_daemon_crash(at_once, stage, up):
    """LC-14: kill -9 opens nothing; what was granted goes on, and the next daemon takes over. Also when it dies again at
    once, before it has heard from Docker."""
    stage.closed({"containers": [{"name": "pub", "policies": ["wan", "dns"], "publish": [{"port": "8080/tcp", "to": ["upstream"]}]}]})
    granted, _ = tcp_open(up.neighbour, HOST4, 8080, OPEN_WAIT)
    with granted, under_fire(up, *FIRE) as result:
        for number in range(4):
            stage.spr.stop(signal.SIGKILL)
            time.sleep(0.2)
            assert talk(granted, OPEN_WAIT), f"a granted flow did not live through crash {number + 1}"
            stage.spr.start()
            if not at_once:
                stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
        assert talk(granted, OPEN_WAIT)
    assert_no_leak(result)
    assert stage.spr.status()["active"], "active was forgotten"
    assert stage.is_open(connect("neighbour", HOST4, 8080, "pub"))
    assert stage.is_closed(connect("neighbour", PUB4, 9999, "pub"))


@pytest.mark.daemon_may_die
def test_lc14_flush_while_dead(stage, up):
    """
    A crash and then a flush: nobody owns the tables in between and the kernel lets them go; the next daemon closes before
    it is ready.
    """
    stage.spr.stop(signal.SIGKILL)
    up.router.run("nft", "flush", "ruleset", check=False)
    try:
        stage.spr.start()
        with under_fire(up, *FIRE) as result:
            time.sleep(0.3)
        assert_no_leak(result)
    finally:
        repair(up)


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_restart_loses_nothing(how, stage, up):
    """What is granted does not lose a packet while the daemon is away and comes back, nor its reply side."""
    stage.closed({"allow": [{"from": "upstream", "to": "container:bob", "ports": ["80/udp"]}]})
    with udp_socket(up.neighbour, "172.30.2.10", 80) as client:
        assert talk(client, OPEN_WAIT)
        with under_fire(up, ("neighbour", "172.30.2.10", 80, 500), victims=("bob",)) as granted:
            stage.spr.restart(how)
            stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
            time.sleep(0.3)
        drain(client)
        assert talk(client, OPEN_WAIT), "the flow's replies stay away after the restart"
    lost = granted["sent"][0] - granted["got"]["bob"]
    assert lost == 0, f"{lost} of {granted['sent'][0]} granted packets lost"


def test_grant_again(stage, up):
    """A right that is taken and given back works at once, for the same flow too."""
    stage.grant(["grant", "pub", "wan", "dns"])
    with udp_socket(up.pub, INTERNET4, 80) as client:
        assert talk(client, OPEN_WAIT) and ping(up.pub, INTERNET4, OPEN_WAIT)
        stage.grant(["revoke", "pub", "wan"])
        assert not talk(client, CLOSED_WAIT) and not ping(up.pub, INTERNET4, CLOSED_WAIT)
        stage.grant(["grant", "pub", "wan"])
        drain(client)
        assert stage.is_open(connect("pub", INTERNET4, 80, "internet"))
        assert ping(up.pub, INTERNET4, OPEN_WAIT)
        assert udp(up.pub, INTERNET4, 80, OPEN_WAIT), "a new UDP flow"
        assert talk(client, OPEN_WAIT), "the old UDP flow"


@pytest.mark.daemon_may_die
def test_lc14_container_while_dead(stage, up):
    """A container that is started while no daemon runs is closed, and has its rights once the daemon is back."""
    stage.spr.stop(signal.SIGKILL)
    with Flood(up, "neighbour", NEW4, 9999, 50) as flood, container(up, "fresh") as space:
        assert stage.is_closed(connect("fresh", PRIVATE4, 80, "private"))
        assert stage.is_closed(connect("neighbour", NEW4, 9999, "fresh"))
        stage.spr.start()
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
        assert stage.is_open(connect("fresh", INTERNET4, 80, "internet"))
        assert flood.stop() > 500
        assert udp_arrived(space) == 0


@pytest.mark.daemon_may_die
def test_lc14_stop_leaves_closed(stage, up):
    """SIGTERM ends the daemon and leaves the tables; `down` takes them away."""
    with under_fire(up, *FIRE) as result:
        for _ in range(3):
            stage.spr.restart()
            time.sleep(0.1)
    assert_no_leak(result)
    stage.spr.stop()
    assert stage.is_closed(connect("neighbour", PUB4, 9999, "pub"))
    stage.spr.start()
    assert stage.spr.status()["active"]


def test_lc15_reapply(stage, up):
    """LC-15: applying policies opens nothing in between, and what is granted in all of them loses no packet."""
    keep = {"allow": [{"from": "upstream", "to": "container:bob", "ports": ["80/udp"]}]}
    other = {"containers": [{"name": "mate", "policies": ["wan", "lan", "lan_upstream"], "groups": ["x"]}], "groups": [{"name": "x"}],
             "rules": [{"name": "other", "interface": "br-lan", "source": ["192.168.77.128/25"], "policies": ["wan"]}],
             "block": [{"from": "container:six", "to": "internet"}]}
    stage.closed(keep)
    with under_fire(up, *FIRE) as result, under_fire(up, ("neighbour", "172.30.2.10", 80, 500), victims=("bob",)) as granted:
        for _ in range(10):
            stage.closed(keep, other)
            stage.closed(keep)
            stage.spr.apply(stage.document)
    assert_no_leak(result)
    lost = granted["sent"][0] - granted["got"]["bob"]
    assert granted["sent"][0] > 100 and lost == 0, f"{lost} of {granted['sent'][0]} granted packets lost"


def test_down_opens_again_and_leaves_nothing(stage, up):
    before = set(up.router.run("nft", "list", "tables").splitlines())
    assert any(line.split()[-1].startswith("spr") for line in before)
    stage.plain()
    after = up.router.run("nft", "list", "tables").splitlines()
    assert not [line for line in after if line.split()[-1].startswith("spr")]
    assert "spr" not in up.router.run("iptables-save")
    assert stage.is_open(connect("neighbour", PUB4, 9999, "pub"))
    assert stage.spr.down()["changed"] is False


def test_up_names_what_it_closes(stage, built):
    """`spr up` lists every published port with the line that opens it again, and the line does."""
    stage.plain()
    if not stage.spr.alive():
        stage.spr.start()
    stage.closed()
    stage.plain()
    told = stage.spr.up()
    stage.active, stage.document = True, None
    lines = {(port["container"], port["port"]): port["line"] for port in told["ports"]}
    assert {("pub", "8080/tcp"), ("pub", "9053/udp"), ("lanpub", "8081/tcp"), ("six", "8066/tcp")} <= set(lines)
    attack = connect("neighbour", HOST4, 8080, "pub")
    assert stage.is_closed(attack)
    words = lines["pub", "8080/tcp"].split()
    assert words[:2] == ["spr", "publish"]
    stage.grant(words[1:])
    assert stage.is_open(connect("internet", HOST4, 8080, "pub"))
    assert stage.is_open(connect("trusted", LAN4, 8080, "pub"))
    assert stage.spr.up()["changed"] is False


def test_lock_out_guard(stage, up):
    """A change that would cut the caller's own session is refused without --force."""
    session = {"SSH_CONNECTION": f"{TRUSTED4} 40022 {LAN4} 22"}
    stage.grant(["allow", "rule:trusted", "host:22/tcp"])
    done = stage.spr.command("allow", "rule:trusted", "host:22/tcp", "--remove", check=False, environment=session)
    assert done.returncode == 1 and "--force" in done.stderr
    assert stage.is_open(connect("trusted", LAN4, 22, "router"))
    stage.spr.command("allow", "rule:trusted", "host:22/tcp", "--remove", "--force", environment=session)
    assert stage.is_closed(connect("trusted", LAN4, 22, "router"))
    stage.plain()
    done = stage.spr.command("up", check=False, environment=session)
    stage.active = stage.spr.status()["active"]
    assert done.returncode == 1 and not stage.active
    stage.spr.command("up", "--force", environment=session)
    stage.active, stage.document = True, None


def test_expiry(stage, up):
    """A grant with an end closes by itself, and cuts the flow it carried."""
    stage.grant(["allow", "upstream", "container:pub:9999/tcp", "--for", "2s"])
    sock, _ = tcp_open(up.neighbour, PUB4, 9999, OPEN_WAIT)
    with sock:
        assert talk(sock, OPEN_WAIT)
        time.sleep(2.2)
        assert dead(sock)
    assert stage.is_closed(connect("neighbour", PUB4, 9999, "pub"))


def test_second_daemon_is_refused(stage, up):
    """A second start with the first still there is refused, and the first goes on."""
    done = stage.scene.machine.run(*stage.spr.arguments(), check=False, timeout=10)
    assert done.returncode != 0 and done.stderr
    assert stage.spr.status()["active"]
