# SPDX-License-Identifier: GPL-2.0-or-later
"""
Connections that are known as let through, and so are not judged in full: each way to make one stand for something else, by real
packets, with what has to pass beside what must not.
"""

import contextlib
import ipaddress
import re
import socket
import struct
import time

import pytest

from attacks import PUB4, SIX6
from netns import Namespace, veth
from probes import CLOSED_WAIT, OPEN_WAIT, Flood, talk, tcp_open, udp_arrived
from scene import INTERNET4, INTERNET6, NEIGHBOUR4, NEIGHBOUR6
from test_lifecycle import container

AH, DCCP = 51, 33
BOTH = pytest.mark.parametrize("who, address", [("pub", PUB4), ("six", SIX6)])


@pytest.fixture
def up(stage, built):
    stage.closed()
    return stage.scene


def let_through(scene):
    """The set of them: its name, and how many are in it."""
    text = scene.router.run("nft", "list", "table", "inet", "spr")
    name, body = re.search(r"set (passed-\w+) \{\n(.*?)\n\t\}", text, re.S).groups()
    return name, body.count("expires")


def known(scene):
    """Waits until there is one."""
    until = time.monotonic() + OPEN_WAIT
    while let_through(scene)[1] == 0:
        assert time.monotonic() < until, "an answered flow is not known"


def arrive(space, seconds=0.2):
    """How many UDP packets arrive meanwhile."""
    before = udp_arrived(space)
    time.sleep(seconds)
    return udp_arrived(space) - before


@BOTH
def test_judged_again(who, address, stage, up):
    """Once anything is taken away from anybody, nobody is known any more; who lost nothing is, with the next packet."""
    stage.grant(["allow", "upstream", f"container:{who}:9999/tcp"])
    sock, _ = tcp_open(up.neighbour, address, 9999, OPEN_WAIT)
    with sock:
        assert talk(sock, OPEN_WAIT)
        name, number = let_through(up)
        assert number > 0
        with container(up, "later"):
            assert let_through(up) == (name, number), "who starts takes nothing away"
        renewed, number = let_through(up)
        assert renewed != name and number == 0
        assert talk(sock, OPEN_WAIT)
        assert let_through(up) == (renewed, 1)


@BOTH
def test_ends_with_the_grant(who, address, stage, up):
    """No packet arrives once the call that took the right away has returned."""
    grant = ["allow", "upstream", f"container:{who}:9053/udp"]
    for _ in range(5):
        stage.grant(grant)
        with Flood(up, "neighbour", address, 9053, 20) as flood:
            known(up)
            assert arrive(getattr(up, who)) > 0, "the control: granted packets arrive"
            stage.grant([*grant, "--remove"])
            assert arrive(getattr(up, who)) == 0
            assert flood.stop() > 1000


@contextlib.contextmanager
def guest_of(scene, bridge, address, gateway, bits):
    """Somebody on a container network of whom the engine knows nothing."""
    with contextlib.ExitStack() as stack:
        space = scene.spaces["unlisted"] = Namespace.new("unlisted")
        stack.callback(space.close)
        stack.callback(scene.spaces.pop, "unlisted")
        veth(scene.router, "vm0", space, "eth0")
        stack.callback(scene.router.ip, "link del vm0")
        scene.router.ip(f"link set vm0 master {bridge}")
        space.sysctl(ipv6__conf__eth0__accept_dad=0)
        space.ip(f"addr add {address}/{bits} dev eth0", f"route add default via {gateway}")
        yield space


@pytest.mark.parametrize("network, address, fixed, source, far", [
    ("br-a", "172.30.1.77", {"ip4": "172.30.1.77"}, "172.30.1.64/26", INTERNET4),
    ("br-6", "2600:d0::4d", {"ip4": "172.30.6.77", "ip6": "2600:d0::4d"}, "2600:d0::40/122", INTERNET6),
], ids=["IPv4", "IPv6"])
def test_address_taken_out_of_a_range(network, address, fixed, source, far, stage, up):
    """A container in the middle of a rule's range has rights of its own from its start on, and not those of the range."""
    stage.closed({"rules": [{"name": "vms", "interface": network, "source": [source], "policies": []}],
                  "containers": [{"name": "owner", "policies": []}],
                  "allow": [{"from": "rule:vms", "to": "internet", "ports": ["80/udp"]}]})
    gateway, bits = ("172.30.1.1", 24) if network == "br-a" else ("2600:d0::1", 64)
    with guest_of(up, network, address, gateway, bits), Flood(up, "unlisted", far, 80, 50) as flood:
        known(up)
        assert arrive(up.internet) > 0, "the control: the range may"
        with container(up, "owner", network, **fixed):
            assert arrive(up.internet, 0.5) == 0
        assert flood.stop() > 1000


def six(address):
    return ipaddress.ip_address(address).version == 6


class Raw:
    """
    Sends and hears packets of a protocol to and from one address; their checksums are not looked at, but for UDP. It is not
    connected, and so hears of no ICMP errors.
    """

    def __init__(self, space, peer, proto):
        self.peer = peer
        self.sock = space.socket(socket.AF_INET6 if six(peer) else socket.AF_INET, socket.SOCK_RAW, proto)
        if six(peer) and proto == socket.IPPROTO_UDP:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)

    def send(self, data):
        self.sock.sendto(data, (self.peer, 0))

    def ports(self, skip=0):
        """The target ports of all that arrives until it is quiet, so many bytes behind the IP header."""
        ports, until = [], time.monotonic() + CLOSED_WAIT
        while time.monotonic() < until:
            self.sock.settimeout(CLOSED_WAIT / 4)
            with contextlib.suppress(TimeoutError):
                packet, source = self.sock.recvfrom(2048)
                header = 0 if six(self.peer) else (packet[0] & 15) * 4
                if source[0] == self.peer:
                    ports.append(struct.unpack_from("!H", packet, header + skip + 2)[0])
        return ports

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def answers(server, client):
    """Of three tries: what is lost on a busy machine was not dropped."""
    for _ in range(3):
        server.send(struct.pack("!HH12x", 5001, 4000))
        if client.ports():
            return True
    return False


@pytest.mark.parametrize("who, address, near", [("pub", PUB4, NEIGHBOUR4), ("six", SIX6, NEIGHBOUR6)])
def test_one_port_is_not_another(who, address, near, stage, up):
    """Of a protocol of which connection tracking may know no ports all ports are one connection: each packet is judged."""
    stage.grant(["allow", "upstream", f"container:{who}:5001/dccp"])
    with Raw(up.neighbour, address, DCCP) as client, Raw(getattr(up, who), near, DCCP) as server:
        for port in (22, 5001):
            client.send(struct.pack("!HH12x", 4000, port))
        assert server.ports() == [5001]
        assert answers(server, client), "the control: it is answered"
        stage.grant(["allow", "lan", "container:bob:4999/udp"])
        stage.grant(["allow", "lan", "container:bob:4999/udp", "--remove"])
        time.sleep(0.5)
        assert answers(server, client), "what somebody else loses is not this one's"
        for port in (5001, 5001, 22, 9999, 5001):
            client.send(struct.pack("!HH12x", 4000, port))
        assert server.ports() == [5001, 5001, 5001]
        stage.grant(["allow", "upstream", f"container:{who}:5001/dccp", "--remove"])
        assert not answers(server, client), "the entry is still there, and opens nothing"
        client.send(struct.pack("!HH12x", 4000, 5001))
        assert server.ports() == []
        assert not answers(server, client)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def authenticated(source, target, port):
    """An authentication header (RFC 4302), and UDP behind it."""
    udp = struct.pack("!HHHH4s", 4000, port, 12, 0, b"spr?")
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    sums = checksum(ends + struct.pack("!II", len(udp), socket.IPPROTO_UDP) + udp)
    return struct.pack("!BBHII12x", socket.IPPROTO_UDP, 4, 0, 1, 1) + udp[:6] + struct.pack("!H", sums) + udp[8:]


def ended(stage):
    """Packets that were dropped as of a flow that policy does not allow."""
    return sum(drop["packets"] for drop in stage.spr.status()["drops"] if drop["reason"] == "ended")


@pytest.mark.parametrize("who, near, far", [("pub", PUB4, INTERNET4), ("six", SIX6, INTERNET6)], ids=["IPv4", "IPv6"])
def test_behind_an_authentication_header(who, near, far, stage, up):
    """
    Connection tracking looks behind an authentication header of IPv6, the rules do not: what may pass as another protocol opens
    no way for DNS past the resolver, which `wan` has not in it. By IPv4 it looks behind none, and NAT has no answer for it.
    """
    space = getattr(up, who)
    seen_as = near if six(far) else "10.99.0.2"
    with Raw(space, far, AH) as wrapped, Raw(space, far, socket.IPPROTO_UDP) as plain, \
            Raw(up.internet, seen_as, AH) as wrapped_far, Raw(up.internet, seen_as, socket.IPPROTO_UDP) as plain_far:
        def ask(port):
            plain.send(struct.pack("!HHHH4s", 4000, port, 12, 0, b"spr?"))

        before = ended(stage)
        ask(53)
        assert plain_far.ports() == []
        ask(54)
        assert plain_far.ports() != [], "the control: wan opens other ports"
        for _ in range(3):
            wrapped.send(authenticated(near, far, 53))
            assert wrapped_far.ports(24) == [53], "the control: wan is every protocol"
            plain_far.send(struct.pack("!HHHH4s", 53, 4000, 12, 0, b"spr!"))
            assert 4000 not in plain.ports()  # by IPv6 connection tracking takes it for an answer: that is judged as well
            ask(53)
            assert plain_far.ports() == []
        assert (ended(stage) > before) == six(far), "the control: connection tracking takes it for an answer"
