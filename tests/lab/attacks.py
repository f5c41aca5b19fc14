# SPDX-License-Identifier: GPL-2.0-or-later
"""
The attacks: one row each, with what it does on plain Docker, and the control that proves that the same path can work.

A row's `run(scene, wait)` sends real packets and says whether they got through within `wait` seconds. A control is a
list of spr commands, and what must then work: the attack itself when no other probe is named. `still` is what must stay
closed in spite of the control's grants. `policy` is what the closed state needs beside the base policy.
"""

import contextlib
import functools
import os
import random
import struct
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

from probes import Ear, Watch, family_of, ping, raw_say, send_frame, sockaddr, tcp, token, udp, udp_say
from scene import (GATEWAY4, GATEWAY6, GUEST4, GUEST6, HOST4, HOST6, INTERNET4, INTERNET6, LAN4, LAN6, NEIGHBOUR4,
                   NEIGHBOUR6, PRIVATE4, PRIVATE6, SPECIAL4, SPECIAL6, TRUSTED4, TRUSTED6)

Run = Callable[[object, float], bool]

PUB4, SIX6 = "172.30.1.10", "2600:d0::10"


@dataclass
class Control:
    commands: list = field(default_factory=list)
    run: Optional[Run] = None
    still: Optional[Run] = None


@dataclass
class Attack:
    id: str
    title: str
    run: Run
    control: Control
    plain: str = "open"  # or "closed": by the kernel or by Docker itself
    why: str = ""  # who closes it on plain Docker, or what differs from the catalogue
    policy: dict = field(default_factory=dict)


# --- what a packet does -------------------------------------------------------------------------------------------

def connect(source, address, port, who, uid=0):
    """TCP, until the banner of the expected server."""
    def run(scene, wait):
        banner = tcp(getattr(scene, source), _resolve(scene, source, address), port, wait, uid=uid)
        assert not banner or banner.startswith(f"{who} "), f"{address}:{port} was answered by {banner!r}, not {who}"
        return bool(banner)
    return run


def ask(source, address, port, source_port=0):
    """UDP, there and back."""
    return lambda scene, wait: bool(udp(getattr(scene, source), _resolve(scene, source, address), port, wait, source_port))


def echo(source, address):
    return lambda scene, wait: ping(getattr(scene, source), address, wait)


def _resolve(scene, source, address):
    """"link-local" is the machine's link-local address on the sender's segment."""
    return f"{scene.router.link_local('eth0')}%eth0" if address == "link-local" else address


def protocol(source, address, number, target):
    """A packet of an IP protocol, seen by the target."""
    def run(scene, wait):
        word = token()
        with Watch(getattr(scene, target)) as watch:
            raw_say(getattr(scene, source), address, number, word)
            return watch.saw(word, wait)
    return run


def say(source, address, port, target, source_port=0):
    """One datagram, seen by the target container."""
    def run(scene, wait):
        word = token()
        with Watch(getattr(scene, target)) as watch:
            udp_say(getattr(scene, source), address, port, word, source_port)
            return watch.saw(word, wait)
    return run


def shadow(source, far, address, port, target):
    """A container's flow from a service's source port; what its far end then sends to that service, seen by the container."""
    def run(scene, wait):
        word = token()
        with Watch(getattr(scene, target)) as watch:
            udp_say(getattr(scene, source), address, port, b"a flow", source_port=port)
            time.sleep(0.05)
            udp_say(getattr(scene, far), HOST4, port, word, source_port=port)
            return watch.saw(word, wait)
    return run


def say_host(source, address, port, bind="0.0.0.0", group=None, interface=None):
    """One datagram, heard by a host service."""
    def run(scene, wait):
        word = token()
        with Ear(scene.router, bind, port, group, interface) as ear:
            udp_say(getattr(scene, source), address, port, word)
            return ear.heard(word, wait)
    return run


@functools.lru_cache(maxsize=None)
def _scapy():
    from scapy.layers import inet, inet6, l2  # pylint: disable=import-outside-toplevel
    return inet, inet6, l2


def packet(source_address, address, layer, payload=b"", extension=None, options=None):
    inet, inet6, _ = _scapy()
    if ":" in address:
        head = inet6.IPv6(src=source_address, dst=address)
        return head / extension / layer / payload if extension else head / layer / payload
    return inet.IP(src=source_address, dst=address, options=options or []) / layer / payload


def frame_udp(source, via, source_address, address, port, source_port=5353, **extra):
    """(interface's frame maker) of a UDP datagram sent to the machine's MAC on that segment."""
    def make(scene, word):
        inet, _, l2 = _scapy()
        ether = l2.Ether(dst=scene.router.mac(via), src=getattr(scene, source).mac("eth0"))
        return ether / packet(source_address, address, inet.UDP(sport=source_port, dport=port), word,
                              **{key: value() for key, value in extra.items()})
    return make


def forged(source, via, source_address, address, port, target, **extra):
    """A hand-made UDP frame to the machine's MAC; seen by the target container."""
    make = frame_udp(source, via, source_address, address, port, **extra)

    def run(scene, wait):
        word = token()
        with Watch(getattr(scene, target)) as watch:
            send_frame(getattr(scene, source), "eth0", make(scene, word))
            return watch.saw(word, wait)
    return run


def forged_host(source, via, source_address, address, port, bind):
    """A hand-made UDP frame; heard by a host service."""
    make = frame_udp(source, via, source_address, address, port)

    def run(scene, wait):
        word = token()
        with Ear(scene.router, bind, port) as ear:
            send_frame(getattr(scene, source), "eth0", make(scene, word))
            return ear.heard(word, wait)
    return run


def stray(source, via, source_address, address, port, target, sport=None):
    """TCP PSH+ACK with a payload that belongs to no flow."""
    def run(scene, wait):
        inet, _, l2 = _scapy()
        word = token()
        layer = inet.TCP(sport=sport or random.randrange(20000, 60000), dport=port, flags="PA", seq=1000, ack=1000)
        ether = l2.Ether(dst=scene.router.mac(via), src=getattr(scene, source).mac("eth0"))
        with Watch(getattr(scene, target)) as watch:
            send_frame(getattr(scene, source), "eth0", ether / packet(source_address, address, layer, word))
            return watch.saw(word, wait)
    return run


def syn(source, via, source_address, address, port, target):
    """A SYN by hand, seen by the target container."""
    def run(scene, wait):
        inet, _, l2 = _scapy()
        number = os.urandom(4)
        layer = inet.TCP(sport=random.randrange(20000, 60000), dport=port, flags="S", seq=struct.unpack("!I", number)[0])
        ether = l2.Ether(dst=scene.router.mac(via), src=getattr(scene, source).mac("eth0"))
        with Watch(getattr(scene, target)) as watch:
            send_frame(getattr(scene, source), "eth0", ether / packet(source_address, address, layer))
            return watch.saw(number + bytes(4), wait)
    return run


def discover(source, via):
    """A DHCP DISCOVER, heard by the DHCP server's socket."""
    def run(scene, wait):
        inet, _, l2 = _scapy()
        word = token()
        space = getattr(scene, source)
        ether = l2.Ether(dst="ff:ff:ff:ff:ff:ff", src=space.mac("eth0"))
        frame = ether / packet("0.0.0.0", "255.255.255.255", inet.UDP(sport=68, dport=67), word)
        with Ear(scene.router, "0.0.0.0", 67, interface=via) as ear:
            send_frame(space, "eth0", frame)
            return ear.heard(word, wait)
    return run


def mdns6(source, via):
    def run(scene, wait):
        import socket  # pylint: disable=import-outside-toplevel

        word = token()
        with Ear(scene.router, "::", 5353) as ear:
            with scene.router.entered():
                index = socket.if_nametoindex(via)
            ear.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                socket.inet_pton(socket.AF_INET6, "ff02::fb") + struct.pack("@i", index))
            udp_say(getattr(scene, source), "ff02::fb%eth0", 5353, word)
            return ear.heard(word, wait)
    return run


@contextlib.contextmanager
def sysctl(space, value, *names):
    """Sets sysctls of a namespace for a while."""
    with space.entered():
        before = {}
        for name in names:
            with open(f"/proc/sys/net/{name}", encoding="ascii") as file:
                before[name] = file.read().strip()
    space.sysctl(**{name.replace("/", "__"): value for name in names})
    try:
        yield
    finally:
        for name, old in before.items():
            space.sysctl(**{name.replace("/", "__"): old})


def with_sysctl(run, value, *names):
    def wrapped(scene, wait):
        with sysctl(scene.router, value, *names):
            return run(scene, wait)
    return wrapped


def flows_of(scene, address):
    listed = scene.router.run("conntrack", "-L", "-f", "ipv6" if ":" in address else "ipv4", "-s", address, check=False)
    return listed.count(f"src={address} ")


def forget(scene, address):
    scene.router.run("conntrack", "-D", "-f", "ipv6" if ":" in address else "ipv4", "-s", address, check=False)


def fill(source, source_address, address, flows=30000, limit=5000):
    """Many UDP flows; got through when the machine tracks more than a member's fair share."""
    def run(scene, _wait):
        import socket  # pylint: disable=import-outside-toplevel

        space = getattr(scene, source)
        forget(scene, source_address)
        with space.socket(family_of(address), socket.SOCK_DGRAM) as sock:
            for port in range(1024, 1024 + flows):
                with contextlib.suppress(OSError):
                    sock.sendto(b"x", sockaddr(space, address, port))
        return flows_of(scene, source_address) > limit
    return run


def both(*runs):
    return lambda scene, wait: all(run(scene, wait) for run in runs)


# --- shorthands of controls ---------------------------------------------------------------------------------------

def allow(source, target, run=None, still=None):
    return Control([["allow", source, target]], run, still)


def grant(member, policy, run=None, still=None):
    return Control([["grant", member, policy]], run, still)


def publish(member, port, to, run=None, still=None):
    return Control([["publish", member, "--port", port, "--to", to]], run, still)


def works(*runs):
    """Nothing granted: what works beside the attack all the same."""
    return Control([], both(*runs))


def rsource(*words):
    """An IPv6 type 0 routing header."""
    def make():
        _, inet6, _ = _scapy()
        return inet6.IPv6ExtHdrRouting(type=0, addresses=list(words), segleft=len(words))
    return make


def lsrr(*words):
    def make():
        inet, _, _ = _scapy()
        return [inet.IPOption_LSRR(routers=list(words))]
    return make


HOST_LOOP = connect("router", "127.0.0.1", 8082, "loopub")
INNER_MATES = connect("inmate", "172.30.9.10", 80, "inner")
LAN_PUBLISHED = publish("lanpub", "8081/tcp", "rule:trusted", connect("trusted", LAN4, 8081, "lanpub"))
LOOP_EAR = say_host("router", "127.0.0.1", 6061, bind="127.0.0.1")
LOOP_EAR6 = say_host("router", "::1", 6061, bind="::1")
LOCALNET = ("ipv4/conf/all/route_localnet", "ipv4/conf/eth0/route_localnet")
SOURCE_ROUTE = ("ipv4/conf/all/accept_source_route", "ipv4/conf/eth0/accept_source_route")
ROOT_ONLY = {"settings": {"local_users": "root"}}
ISOLATION = "Docker's isolation chains"


def row(number, title, run, control, plain="open", why="", policy=None):
    return Attack(number, title, run, control, plain, why, policy or {})


INBOUND = [
    row("IN-01", "neighbour -> container by its address", connect("neighbour", PUB4, 80, "pub"),
        publish("pub", "8080/tcp", "upstream", connect("neighbour", HOST4, 8080, "pub"))),
    row("IN-02", "neighbour -> container published on 127.0.0.1", connect("neighbour", "172.30.1.12", 80, "loopub"),
        works(HOST_LOOP)),
    row("IN-03", "neighbour -> container published on the LAN", connect("neighbour", "172.30.1.11", 80, "lanpub"),
        LAN_PUBLISHED),
    row("IN-04", "neighbour -> unpublished port of a container", connect("neighbour", PUB4, 9999, "pub"),
        allow("upstream", "container:pub:9999/tcp")),
    row("IN-04/6", "the same over IPv6", connect("neighbour", SIX6, 9999, "six"), allow("upstream", "container:six:9999/tcp")),
    row("IN-05", "neighbour -> loopback service of the host",
        forged_host("neighbour", "eth0", NEIGHBOUR4, "127.0.0.1", 6061, "127.0.0.1"), works(LOOP_EAR), "closed",
        "the kernel's martian check"),
    row("IN-05/6", "the same for ::1", forged_host("neighbour", "eth0", NEIGHBOUR6, "::1", 6061, "::1"), works(LOOP_EAR6),
        "closed", "the kernel's address check"),
    row("IN-06", "the same with route_localnet=1",
        with_sysctl(forged_host("neighbour", "eth0", NEIGHBOUR4, "127.0.0.1", 6061, "127.0.0.1"), 1, *LOCALNET),
        works(LOOP_EAR)),
    row("IN-07", "neighbour -> published port", connect("neighbour", HOST4, 8080, "pub"),
        publish("pub", "8080/tcp", "upstream")),
    row("IN-08", "internet -> published port", connect("internet", HOST4, 8080, "pub"), publish("pub", "8080/tcp", "internet")),
    row("IN-08/6", "internet -> published port by IPv6 (docker-proxy)", connect("internet", HOST6, 8080, "pub"),
        publish("pub", "8080/tcp", "internet")),
    row("IN-09", "neighbour -> published UDP port", ask("neighbour", HOST4, 9053), publish("pub", "9053/udp", "upstream")),
    row("IN-10", "neighbour -> port published on the LAN address, routed", connect("neighbour", LAN4, 8081, "lanpub"),
        LAN_PUBLISHED),
    row("IN-12", "neighbour -> container of an --internal network", connect("neighbour", "172.30.9.10", 80, "inner"),
        works(INNER_MATES), "closed", ISOLATION),
    row("IN-13", "neighbour -> container by ping", echo("neighbour", PUB4), allow("upstream", "container:pub:icmp")),
    row("IN-13/6", "the same over IPv6", echo("neighbour", SIX6), allow("upstream", "container:six:icmpv6")),
    row("IN-14", "neighbour -> container, TCP without a flow", stray("neighbour", "eth0", NEIGHBOUR4, PUB4, 9999, "pub"),
        allow("upstream", "container:pub:9999/tcp", connect("neighbour", PUB4, 9999, "pub"))),
    row("IN-14/6", "the same over IPv6", stray("neighbour", "eth0", NEIGHBOUR6, SIX6, 9999, "six"),
        allow("upstream", "container:six:9999/tcp", connect("neighbour", SIX6, 9999, "six"))),
    row("IN-16", "neighbour -> container by source routing",
        forged("neighbour", "eth0", NEIGHBOUR4, HOST4, 9055, "pub", options=lsrr(PUB4)),
        allow("upstream", "container:pub:9055/udp", say("neighbour", PUB4, 9055, "pub")), "closed",
        "the kernel: it takes no source route"),
    row("IN-16+", "the same with accept_source_route=1",
        with_sysctl(forged("neighbour", "eth0", NEIGHBOUR4, HOST4, 9055, "pub", options=lsrr(PUB4)), 1, *SOURCE_ROUTE),
        Control([["allow", "upstream", "container:pub:9055/udp"]], say("neighbour", PUB4, 9055, "pub"),
                with_sysctl(forged("neighbour", "eth0", NEIGHBOUR4, HOST4, 9055, "pub", options=lsrr(PUB4)), 1,
                            *SOURCE_ROUTE))),
    row("IN-16/6", "neighbour -> container by a type 0 routing header",
        forged("neighbour", "eth0", NEIGHBOUR6, HOST6, 9055, "six", extension=rsource(SIX6)),
        allow("upstream", "container:six:9055/udp", say("neighbour", SIX6, 9055, "six")), "closed",
        "the kernel knows no type 0 header any more"),
    row("IN-26", "neighbour -> container from source port 53", ask("neighbour", PUB4, 80, source_port=53),
        allow("upstream", "container:pub:80/udp")),
    row("IN-26/6", "the same over IPv6", ask("neighbour", SIX6, 80, source_port=53),
        allow("upstream", "container:six:80/udp")),
    row("IN-27", "neighbour -> 127.0.0.1:8082 by a hand-made SYN",
        syn("neighbour", "eth0", NEIGHBOUR4, "127.0.0.1", 8082, "loopub"), works(HOST_LOOP)),
]

SPOOFED = [
    row("SP-02", "neighbour with a container's address -> container",
        forged("neighbour", "eth0", "172.30.1.50", PUB4, 9053, "pub"),
        allow("upstream", "container:pub:9053/udp", say("neighbour", PUB4, 9053, "pub"),
              forged("neighbour", "eth0", "172.30.1.50", PUB4, 9053, "pub"))),
    row("SP-02/6", "the same over IPv6", forged("neighbour", "eth0", "2600:d0::50", SIX6, 9053, "six"),
        allow("upstream", "container:six:9053/udp", say("neighbour", SIX6, 9053, "six"),
              forged("neighbour", "eth0", "2600:d0::50", SIX6, 9053, "six"))),
    row("SP-03", "neighbour with the router's own LAN address -> container",
        forged("neighbour", "eth0", LAN4, PUB4, 9053, "pub"),
        allow("upstream", "container:pub:9053/udp", say("neighbour", PUB4, 9053, "pub"),
              forged("neighbour", "eth0", LAN4, PUB4, 9053, "pub")), "closed", "the kernel: the source is its own"),
    row("SP-03/6", "the same over IPv6", forged("neighbour", "eth0", LAN6, SIX6, 9053, "six"),
        allow("upstream", "container:six:9053/udp", say("neighbour", SIX6, 9053, "six"),
              forged("neighbour", "eth0", LAN6, SIX6, 9053, "six"))),
    row("SP-10", "container with a LAN address -> container of another bridge",
        forged("bob", "br-b", TRUSTED4, PUB4, 9053, "pub"),
        allow("container:bob", "container:pub:9053/udp", say("bob", PUB4, 9053, "pub"),
              forged("bob", "br-b", TRUSTED4, PUB4, 9053, "pub")), "closed", ISOLATION),
    row("SP-20", "container -> what is sent to the machine's own service, by a flow from that port",
        shadow("pub", "internet", INTERNET4, 1194, "pub"), works(ask("pub", INTERNET4, 80, source_port=1194))),
    row("SP-20+", "container -> what is sent to another's published port, by a flow from that port",
        shadow("bob", "internet", INTERNET4, 9053, "bob"), works(ask("bob", INTERNET4, 80, source_port=9053))),
]

OUTBOUND = [
    row("OUT-01", "container -> private upstream host", connect("pub", PRIVATE4, 80, "private"), grant("pub", "lan_upstream")),
    row("OUT-01/6", "the same over IPv6", connect("six", PRIVATE6, 80, "private"), grant("six", "lan_upstream")),
    row("OUT-02", "container -> neighbour of the uplink", connect("pub", NEIGHBOUR4, 80, "neighbour"),
        grant("pub", "lan_upstream")),
    row("OUT-03", "container -> the upstream router's own page", connect("pub", GATEWAY4, 80, "upstream"),
        grant("pub", "lan_upstream")),
    row("OUT-03/6", "the same over IPv6", connect("six", GATEWAY6, 80, "upstream"), grant("six", "lan_upstream")),
    row("OUT-04", "container -> LAN client", connect("pub", TRUSTED4, 80, "trusted"), grant("pub", "lan")),
    row("OUT-07", "container -> special range 198.18.0.0/15", connect("pub", SPECIAL4, 80, "internet"),
        grant("pub", "lan_upstream")),
    row("OUT-07/6", "container -> a private address by NAT64 prefix", connect("six", SPECIAL6, 80, "internet"),
        grant("six", "lan_upstream")),
    row("OUT-08", "internal container -> internet", connect("inner", INTERNET4, 80, "internet"),
        works(INNER_MATES, connect("pub", INTERNET4, 80, "internet")), "closed", ISOLATION),
    row("OUT-09", "container -> private upstream host by GRE", protocol("pub", PRIVATE4, 47, "private"),
        grant("pub", "lan_upstream")),
    row("OUT-09/6", "the same over IPv6", protocol("six", PRIVATE6, 47, "private"), grant("six", "lan_upstream")),
    row("OUT-10", "container -> the host's connection table", fill("mate", "172.30.1.13", INTERNET4),
        works(connect("pub", INTERNET4, 80, "internet"), fill("bob", "172.30.2.10", INTERNET4, 1000, 900))),
    row("OUT-10/6", "the same over IPv6", fill("sixmate", "2600:d0::11", INTERNET6),
        works(connect("six", INTERNET6, 80, "internet"), fill("six", SIX6, INTERNET6, 1000, 900)), "closed",
        "nothing tracks IPv6 while Docker's ip6tables is off; with spr it is tracked"),
    row("OUT-13", "container -> private upstream host by ping", echo("pub", PRIVATE4), grant("pub", "lan_upstream")),
    row("OUT-13/6", "the same over IPv6", echo("six", PRIVATE6), grant("six", "lan_upstream")),
    row("OUT-16", "container -> guest host by ping", echo("pub", GUEST4), grant("pub", "lan")),
    row("OUT-16/6", "the same over IPv6", echo("six", GUEST6), grant("six", "lan")),
]

SIDEWAYS = [
    row("LAT-01", "container -> container of another bridge", connect("bob", PUB4, 80, "pub"),
        allow("container:bob", "container:pub:80/tcp"), "closed", ISOLATION),
    row("LAT-02", "container -> another bridge's published port by its own gateway", connect("bob", "172.30.2.1", 8080, "pub"),
        publish("pub", "8080/tcp", "container:bob")),
    row("LAT-02/6", "the same over IPv6", connect("six", "2600:d0::1", 8080, "pub"), publish("pub", "8080/tcp", "container:six")),
    row("LAT-03", "container -> another bridge's published port by the uplink address", connect("bob", HOST4, 8080, "pub"),
        publish("pub", "8080/tcp", "container:bob")),
    row("LAT-03/6", "the same over IPv6", connect("six", HOST6, 8080, "pub"), publish("pub", "8080/tcp", "container:six")),
    row("LAT-05", "internal container -> published port", connect("inner", "172.30.9.1", 8080, "pub"), works(INNER_MATES),
        "closed", "Docker, by accident: DNAT, then isolation"),
    row("LAT-16", "IoT device -> published port", connect("iot", LAN4, 8080, "pub"), publish("pub", "8080/tcp", "rule:iot")),
    row("LAT-16/6", "the same over IPv6", connect("iot", LAN6, 8080, "pub"), publish("pub", "8080/tcp", "rule:iot")),
    row("LAT-17", "IoT device -> container published on 127.0.0.1", connect("iot", "172.30.1.12", 80, "loopub"),
        works(HOST_LOOP)),
    row("LAT-18", "IoT device -> unpublished port of a container", connect("iot", PUB4, 9999, "pub"),
        allow("rule:iot", "container:pub:9999/tcp")),
    row("LAT-18/6", "the same over IPv6", connect("iot", SIX6, 9999, "six"), allow("rule:iot", "container:six:9999/tcp")),
    row("LAT-25", "container -> another bridge's published UDP port by broadcast", say("bob", "172.30.2.255", 9053, "pub"),
        publish("pub", "9053/udp", "container:bob", say("bob", "172.30.2.1", 9053, "pub"))),
    row("LAT-28", "IoT device -> published port by the uplink address", connect("iot", HOST4, 8080, "pub"),
        publish("pub", "8080/tcp", "rule:iot")),
    row("LAT-28/6", "the same over IPv6", connect("iot", HOST6, 8080, "pub"), publish("pub", "8080/tcp", "rule:iot")),
]

IPV6 = [
    row("V6-01", "internet -> IPv6 container", connect("internet", SIX6, 9999, "six"), allow("internet", "container:six:9999/tcp")),
    row("V6-02", "neighbour -> IPv4 container by docker-proxy on [::]", connect("neighbour", HOST6, 8080, "pub"),
        publish("pub", "8080/tcp", "upstream")),
    row("V6-03", "the same by link-local", connect("neighbour", "link-local", 8080, "pub"),
        publish("pub", "8080/tcp", "upstream")),
    row("V6-04", "neighbour -> ssh by link-local", connect("neighbour", "link-local", 22, "router"), allow("upstream", "host:22/tcp")),
    row("V6-13", "IPv6 container -> LAN client", connect("six", TRUSTED6, 80, "trusted"), grant("six", "lan")),
    row("V6-15", "neighbour with a LAN address -> IPv6 container", forged("neighbour", "eth0", TRUSTED6, SIX6, 9053, "six"),
        allow("upstream", "container:six:9053/udp", say("neighbour", SIX6, 9053, "six"),
              forged("neighbour", "eth0", TRUSTED6, SIX6, 9053, "six"))),
    row("V6-16", "IPv6 container -> neighbour of the uplink", connect("six", NEIGHBOUR6, 80, "neighbour"),
        grant("six", "lan_upstream")),
    row("V6-17", "container -> ssh by its IPv6 gateway", connect("six", "2600:d0::1", 22, "router"),
        allow("container:six", "host:22/tcp")),
]

BROWSERS = [
    row("DB-02", "web page -> container by a browser on the LAN", connect("trusted", "172.30.1.12", 80, "loopub"),
        works(HOST_LOOP)),
    row("DB-03", "web page -> unpublished port of a container", connect("trusted", PUB4, 9999, "pub"),
        allow("rule:trusted", "container:pub:9999/tcp")),
    row("DB-03/6", "the same over IPv6", connect("trusted", SIX6, 9999, "six"), allow("rule:trusted", "container:six:9999/tcp")),
    row("DB-04", "web page -> the router's ssh by its uplink address", connect("trusted", HOST4, 22, "router"),
        allow("rule:trusted", "host:22/tcp", connect("trusted", LAN4, 22, "router"))),
    row("DB-04/6", "the same over IPv6", connect("trusted", HOST6, 22, "router"),
        allow("rule:trusted", "host:22/tcp", connect("trusted", LAN6, 22, "router"))),
    row("DB-05", "unprivileged process of the host -> port published on 127.0.0.1",
        connect("router", "0.0.0.0", 8082, "loopub", uid=65534), works(connect("router", "0.0.0.0", 8082, "loopub")),
        policy=ROOT_ONLY),
    row("DB-05/6", "the same over IPv6", connect("router", "::1", 8083, "six", uid=65534),
        works(connect("router", "::1", 8083, "six")), policy=ROOT_ONLY),
    row("DB-06", "unprivileged process of the host -> container", connect("router", PUB4, 9999, "pub", uid=65534),
        works(connect("router", PUB4, 9999, "pub")), policy=ROOT_ONLY),
    row("DB-06/6", "the same over IPv6", connect("router", SIX6, 9999, "six", uid=65534),
        works(connect("router", SIX6, 9999, "six")), policy=ROOT_ONLY),
]

SERVICES = [
    row("HS-01", "container -> ssh", connect("pub", "172.30.1.1", 22, "router"), allow("container:pub", "host:22/tcp")),
    row("HS-02", "container -> ssh by the uplink address", connect("pub", HOST4, 22, "router"),
        allow("container:pub", "host:22/tcp", connect("pub", "172.30.1.1", 22, "router"))),
    row("HS-02/6", "the same over IPv6", connect("six", HOST6, 22, "router"),
        allow("container:six", "host:22/tcp", connect("six", "2600:d0::1", 22, "router"))),
    row("HS-03", "container -> page of the router for the LAN only", connect("pub", LAN4, 8022, "router"),
        allow("rule:trusted", "host:8022/tcp", connect("trusted", LAN4, 8022, "router"))),
    row("HS-04", "internal container -> ssh", connect("inner", "172.30.9.1", 22, "router"), works(INNER_MATES)),
    row("HS-05", "container -> loopback service of the host",
        forged_host("pub", "br-a", PUB4, "127.0.0.1", 6061, "127.0.0.1"), works(LOOP_EAR), "closed", "the kernel's martian check"),
    row("HS-05/6", "the same for ::1", forged_host("six", "br-6", SIX6, "::1", 6061, "::1"), works(LOOP_EAR6), "closed",
        "the kernel's address check"),
    row("HS-07", "container -> mDNS responder", say_host("bob", "224.0.0.251", 5353, group="224.0.0.251", interface="br-b"),
        allow("container:bob", "host:5353/udp", say_host("bob", "172.30.2.1", 5353))),
    row("HS-07/6", "the same over IPv6", mdns6("six", "br-6"),
        allow("container:six", "host:5353/udp", say_host("six", "2600:d0::1", 5353, bind="::"))),
    row("HS-11", "neighbour -> container on the host's network", connect("neighbour", HOST4, 7070, "hostnet"),
        allow("upstream", "host:7070/tcp")),
    row("HS-11/6", "the same over IPv6", connect("neighbour", HOST6, 7070, "hostnet"), allow("upstream", "host:7070/tcp")),
    row("HS-12", "container -> container on the host's network", connect("bob", "172.30.2.1", 7070, "hostnet"),
        allow("container:bob", "host:7070/tcp")),
    row("HS-12/6", "the same over IPv6", connect("six", "2600:d0::1", 7070, "hostnet"), allow("container:six", "host:7070/tcp")),
    row("HS-14", "IoT device -> ssh by a bridge's gateway address", connect("iot", "172.30.1.1", 22, "router"),
        allow("rule:iot", "host:22/tcp", connect("iot", LAN4, 22, "router"))),
    row("HS-14/6", "the same over IPv6", connect("iot", "2600:d0::1", 22, "router"),
        allow("rule:iot", "host:22/tcp", connect("iot", LAN6, 22, "router"))),
    row("HS-15", "container -> the LAN's DHCP server", discover("bob", "br-b"), works(discover("iot", "br-lan")),
        why="the stand-in answers on every interface, a careful DHCP server does not"),
    row("HS-16", "neighbour -> ssh by a bridge's gateway address", connect("neighbour", "172.30.1.1", 22, "router"),
        allow("upstream", "host:22/tcp", connect("neighbour", HOST4, 22, "router"))),
    row("HS-16/6", "the same over IPv6", connect("neighbour", "2600:d0::1", 22, "router"),
        allow("upstream", "host:22/tcp", connect("neighbour", HOST6, 22, "router"))),
]

ATTACKS = INBOUND + SPOOFED + OUTBOUND + SIDEWAYS + IPV6 + BROWSERS + SERVICES
BY_ID = {attack.id: attack for attack in ATTACKS}

# A cut through all of it, for the modes that are many.
SMOKE = ["IN-01", "IN-02", "IN-04", "IN-04/6", "IN-07", "IN-09", "IN-10", "IN-14", "IN-27", "SP-02", "SP-10", "OUT-01",
         "OUT-04", "OUT-09", "LAT-01", "LAT-02", "LAT-16", "LAT-18", "LAT-25", "V6-01", "V6-02", "V6-13", "HS-01", "HS-02",
         "HS-12", "HS-16"]
