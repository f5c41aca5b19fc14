# SPDX-License-Identifier: GPL-2.0-or-later
"""spr audit: on plain Docker it lists every hole that the attacks find, and no other; with spr up, none."""

import contextlib
import fcntl
import json
import os
import socket
import struct
from dataclasses import dataclass

import pytest

from attacks import ATTACKS, LOCALNET, PUB4, SIX6, SOURCE_ROUTE, connect, shadow, sysctl
from netns import link
from probes import CLOSED_WAIT, OPEN_WAIT, Ear
from scene import GATEWAY4, GATEWAY6, HOST4, HOST6, INTERNET4, LAN4, LAN6, PRIVATE4, PRIVATE6, SPECIAL4, SPECIAL6
from spr import SPR
from twin import HOP_LIMIT, Shot, scapy

NEIGHBOUR, INTERNET, LAN = ("neighbour", "eth0"), ("internet", "eth0"), ("lan", "br-lan")
A, B, I, SIX = (("container", bridge) for bridge in ("br-a", "br-b", "br-i", "br-6"))
DIRECT, OPEN, ELSEWHERE, SERVICE = "container-direct", "published-open", "published-elsewhere", "host-service"
PROXY = "published-proxy"
FORGED, OTHER, UPSTREAM = "forged-source", "other-network", "upstream"

# What the finding is that an attack belongs to: from where, its id, and what is in one of its packets.
EXPECTED = {
    "IN-01": (NEIGHBOUR, DIRECT, {"to": PUB4, "proto": "tcp", "port": 80}),
    "IN-02": (NEIGHBOUR, DIRECT, {"to": "172.30.1.12", "proto": "tcp", "port": 80}),
    "IN-03": (NEIGHBOUR, DIRECT, {"to": "172.30.1.11", "proto": "tcp", "port": 80}),
    "IN-04": (NEIGHBOUR, DIRECT, {"to": PUB4, "proto": "tcp", "port": 9999}),
    "IN-04/6": (NEIGHBOUR, DIRECT, {"to": SIX6, "proto": "tcp", "port": 9999}),
    "IN-07": (NEIGHBOUR, OPEN, {"to": HOST4, "proto": "tcp", "port": 8080}),
    "IN-08": (INTERNET, OPEN, {"to": HOST4, "proto": "tcp", "port": 8080}),
    "IN-08/6": (INTERNET, PROXY, {"to": HOST6, "proto": "tcp", "port": 8080}),
    "IN-09": (NEIGHBOUR, OPEN, {"to": HOST4, "proto": "udp", "port": 9053}),
    "IN-10": (NEIGHBOUR, ELSEWHERE, {"to": LAN4, "proto": "tcp", "port": 8081}),
    "IN-13": (NEIGHBOUR, DIRECT, {"to": PUB4, "proto": "icmp"}),
    "IN-13/6": (NEIGHBOUR, DIRECT, {"to": SIX6, "proto": "icmpv6"}),
    "IN-14": (NEIGHBOUR, DIRECT, {"to": PUB4, "proto": "tcp", "note": "without a connection"}),
    "IN-14/6": (NEIGHBOUR, DIRECT, {"to": SIX6, "proto": "tcp", "note": "without a connection"}),
    "IN-26": (NEIGHBOUR, DIRECT, {"to": PUB4, "proto": "udp", "note": "any port, published or not"}),
    "IN-26/6": (NEIGHBOUR, DIRECT, {"to": SIX6, "proto": "udp", "note": "any port, published or not"}),
    "IN-27": (NEIGHBOUR, ELSEWHERE, {"to": "127.0.0.1", "proto": "tcp", "port": 8082}),
    "SP-02": (NEIGHBOUR, FORGED, {"thing": "br-a"}),
    "SP-02/6": (NEIGHBOUR, FORGED, {"thing": "br-6", "to": ":"}),
    "SP-03/6": (NEIGHBOUR, FORGED, {"thing": "br-lan", "to": ":"}),
    "SP-20": (A, "port-shadow", {"port": 1194}),
    "SP-20+": (B, "port-shadow", {"port": 9053}),
    "OUT-01": (A, UPSTREAM, {"to": PRIVATE4, "proto": "tcp"}),
    "OUT-01/6": (SIX, UPSTREAM, {"to": PRIVATE6, "proto": "tcp"}),
    "OUT-02": (A, UPSTREAM, {"note": "a neighbour of the uplink", "proto": "tcp"}),
    "OUT-03": (A, UPSTREAM, {"to": GATEWAY4, "proto": "tcp"}),
    "OUT-03/6": (SIX, UPSTREAM, {"to": GATEWAY6, "proto": "tcp"}),
    "OUT-04": (A, OTHER, {"thing": "br-lan", "proto": "tcp"}),
    "OUT-07": (A, UPSTREAM, {"to": SPECIAL4, "proto": "tcp"}),
    "OUT-07/6": (SIX, UPSTREAM, {"to": SPECIAL6, "proto": "tcp"}),
    "OUT-09": (A, UPSTREAM, {"to": PRIVATE4, "proto": "gre"}),
    "OUT-09/6": (SIX, UPSTREAM, {"to": PRIVATE6, "proto": "gre"}),
    "OUT-10": (None, "connection-limit", {"proto": "udp"}),
    "OUT-13": (A, UPSTREAM, {"to": PRIVATE4, "proto": "icmp"}),
    "OUT-13/6": (SIX, UPSTREAM, {"to": PRIVATE6, "proto": "icmpv6"}),
    "OUT-16": (A, OTHER, {"thing": "guest0", "proto": "icmp"}),
    "OUT-16/6": (SIX, OTHER, {"thing": "guest0", "proto": "icmpv6"}),
    "LAT-02": (B, OPEN, {"to": "172.30.2.1", "proto": "tcp", "port": 8080}),
    "LAT-02/6": (SIX, PROXY, {"to": "2600:d0::1", "proto": "tcp", "port": 8080}),
    "LAT-03": (B, OPEN, {"to": HOST4, "proto": "tcp", "port": 8080}),
    "LAT-03/6": (SIX, PROXY, {"to": HOST6, "proto": "tcp", "port": 8080}),
    "LAT-16": (LAN, OPEN, {"to": LAN4, "proto": "tcp", "port": 8080}),
    "LAT-16/6": (LAN, PROXY, {"to": LAN6, "proto": "tcp", "port": 8080}),
    "LAT-17": (LAN, DIRECT, {"to": "172.30.1.12", "proto": "tcp", "port": 80}),
    "LAT-18": (LAN, DIRECT, {"to": PUB4, "proto": "tcp", "port": 9999}),
    "LAT-18/6": (LAN, DIRECT, {"to": SIX6, "proto": "tcp", "port": 9999}),
    "LAT-25": (B, OPEN, {"to": "172.30.2.255", "proto": "udp", "port": 9053}),
    "LAT-28": (LAN, OPEN, {"to": HOST4, "proto": "tcp", "port": 8080}),
    "LAT-28/6": (LAN, PROXY, {"to": HOST6, "proto": "tcp", "port": 8080}),
    "V6-01": (INTERNET, DIRECT, {"to": SIX6, "proto": "tcp", "port": 9999}),
    "V6-02": (NEIGHBOUR, PROXY, {"to": HOST6, "proto": "tcp", "port": 8080}),
    "V6-03": (NEIGHBOUR, PROXY, {"to": "fe80:", "proto": "tcp", "port": 8080}),
    "V6-04": (NEIGHBOUR, SERVICE, {"to": "fe80:", "proto": "tcp", "port": 22}),
    "V6-13": (SIX, OTHER, {"thing": "br-lan", "proto": "tcp", "to": ":"}),
    "V6-15": (NEIGHBOUR, FORGED, {"thing": "br-lan", "to": ":"}),
    "V6-16": (SIX, UPSTREAM, {"note": "a neighbour of the uplink", "proto": "tcp", "to": ":"}),
    "V6-17": (SIX, SERVICE, {"to": "2600:d0::1", "proto": "tcp", "port": 22}),
    "DB-02": (LAN, DIRECT, {"to": "172.30.1.12", "proto": "tcp", "port": 80}),
    "DB-03": (LAN, DIRECT, {"to": PUB4, "proto": "tcp", "port": 9999}),
    "DB-03/6": (LAN, DIRECT, {"to": SIX6, "proto": "tcp", "port": 9999}),
    "DB-04": (LAN, SERVICE, {"to": HOST4, "proto": "tcp", "port": 22}),
    "DB-04/6": (LAN, SERVICE, {"to": HOST6, "proto": "tcp", "port": 22}),
    "HS-01": (A, SERVICE, {"to": "172.30.1.1", "proto": "tcp", "port": 22}),
    "HS-02": (A, SERVICE, {"to": HOST4, "proto": "tcp", "port": 22}),
    "HS-02/6": (SIX, SERVICE, {"to": HOST6, "proto": "tcp", "port": 22}),
    "HS-03": (A, SERVICE, {"to": LAN4, "proto": "tcp", "port": 8022}),
    "HS-04": (I, SERVICE, {"to": "172.30.9.1", "proto": "tcp", "port": 22}),
    "HS-07": (B, SERVICE, {"to": "172.30.2.1", "proto": "udp", "port": 5353}),
    "HS-07/6": (SIX, SERVICE, {"to": "2600:d0::1", "proto": "udp", "port": 5353}),
    "HS-11": (NEIGHBOUR, SERVICE, {"to": HOST4, "proto": "tcp", "port": 7070}),
    "HS-11/6": (NEIGHBOUR, SERVICE, {"to": HOST6, "proto": "tcp", "port": 7070}),
    "HS-12": (B, SERVICE, {"to": "172.30.2.1", "proto": "tcp", "port": 7070}),
    "HS-12/6": (SIX, SERVICE, {"to": "2600:d0::1", "proto": "tcp", "port": 7070}),
    "HS-14": (LAN, SERVICE, {"to": "172.30.1.1", "proto": "tcp", "port": 22}),
    "HS-14/6": (LAN, SERVICE, {"to": "2600:d0::1", "proto": "tcp", "port": 22}),
    "HS-15": (B, SERVICE, {"to": "172.30.2.1", "proto": "udp", "port": 67}),
    "HS-16": (NEIGHBOUR, SERVICE, {"to": "172.30.1.1", "proto": "tcp", "port": 22}),
    "HS-16/6": (NEIGHBOUR, SERVICE, {"to": "2600:d0::1", "proto": "tcp", "port": 22}),
}
# Not by packets from outside: users of the machine itself; and what needs a setting first, see test_settings().
ELSEWHERE_TESTED = {"DB-05", "DB-05/6", "DB-06", "DB-06/6", "IN-06", "IN-16+"}

# Findings that take more than one packet.
STORIES = {"port-shadow", "connection-limit"}
ACCEPTS = {"other-accept", "tailscale-accept"}
SENDERS = {("neighbour", "eth0"): "neighbour", ("internet", "eth0"): "upstream", ("lan", "br-lan"): "trusted", ("lan", "guest0"): "guest",
           ("container", "br-a"): "pub", ("container", "br-b"): "bob", ("container", "br-6"): "six", ("container", "br-i"): "inner",
           ("container", "docker0"): "d1", ("overlay", "tailscale0"): "tailscale0"}


def shown(report):
    """(place, packet) of each packet of a finding: rules are not at one place, so their packets have it."""
    for finding in report["findings"]:
        if finding["id"] not in STORIES:
            for packet in finding["packets"]:
                place = finding.get("from", packet)
                yield (place["zone"], place["interface"]), packet


def audit(scene, *options):
    done = scene.machine.run(SPR, "audit", "--docker", scene.docker.socket, *options, check=False)
    assert done.stderr == ""
    return done


@contextlib.contextmanager
def ears(scene):
    """The services of the machine that the attacks open themselves."""
    with Ear(scene.router, "0.0.0.0", 5353), Ear(scene.router, "::", 5353), Ear(scene.router, "0.0.0.0", 67):
        yield


@pytest.fixture(scope="module")
def report(scene):
    with ears(scene):
        done = audit(scene, "--json")
    assert done.returncode == 6
    return json.loads(done.stdout)


def packets(report, place, number):
    return [packet for finding in report["findings"] if finding["id"] == number for packet in finding["packets"]
            if place is None or (finding["from"]["zone"], finding["from"]["interface"]) == place]


def fits(packet, wanted):
    """The start of an address is enough, ":" means any of IPv6."""
    for key, value in wanted.items():
        if key == "to" and value == ":":
            if ":" not in packet["to"]:
                return False
        elif key == "to" and value.endswith(":"):
            if not packet["to"].startswith(value):
                return False
        elif packet.get(key) != value:
            return False
    return True


def test_every_attack_has_its_finding():
    opened = {attack.id for attack in ATTACKS if attack.plain == "open"}
    assert opened == set(EXPECTED) | ELSEWHERE_TESTED


@pytest.mark.parametrize("number", EXPECTED)
def test_hole_is_found(number, report, built):
    place, finding, wanted = EXPECTED[number]
    found = packets(report, place, finding)
    assert any(fits(packet, wanted) for packet in found), f"{finding} from {place}: {found}"


def test_twin_lacks_nothing(report, built):
    assert report["notes"] == []


def layer_of(packet, number):
    inet, inet6, _ = scapy()
    port, proto = packet["port"], packet["proto"]
    if proto == "tcp":
        flags = "A" if packet.get("note") == "without a connection" else "S"
        return inet.TCP(sport=20000 + number, dport=port, flags=flags, seq=1000), ("ports", 20000 + number)
    if proto == "udp":
        return inet.UDP(sport=20000 + number, dport=port) / b"shot", ("ports", 20000 + number)
    if proto == "icmpv6":
        return inet6.ICMPv6EchoRequest(id=number), ("echoes", number)
    return (inet.ICMP(id=number) if proto == "icmp" else bytes(16)), ("ids", number)


def shot_of(scene, place, packet, number):
    """The very packet that a finding names, from a place where somebody could send it."""
    inet, inet6, l2 = scapy()
    sender = SENDERS[place]
    layer, key = layer_of(packet, number)
    mac = "ff:ff:ff:ff:ff:ff" if packet.get("note") == "a broadcast" else link(scene.router, place[1]).get("address")
    ether = l2.Ether() if place[0] == "overlay" else l2.Ether(src=getattr(scene, sender).mac("eth0"), dst=mac)
    gre = {47: {"proto": 47}, 0: {}}[47 if packet["proto"] == "gre" else 0]
    if ":" in packet["to"]:
        head = inet6.IPv6(src=packet["from"], dst=packet["to"], fl=number, hlim=HOP_LIMIT, **({"nh": 47} if gre else {}))
    else:
        head = inet.IP(src=packet["from"], dst=packet["to"], id=number, ttl=HOP_LIMIT, **gre)
    return Shot(number, sender, bytes(ether / head / layer), f"{place} {packet}", key)


def know(scene, packet, number, known={}):  # pylint: disable=dangerous-default-value
    """The machine takes the stranger that the packet is for to be there."""
    if known.setdefault(packet["to"], number) != number:
        return
    six = ":" in packet["to"]
    route = json.loads(scene.router.run("ip", "-json", *(["-6"] if six else []), "route", "get", packet["to"], check=False) or "[]")
    if route and "gateway" not in route[0] and route[0].get("dev") not in (None, "lo"):
        mac = f"02:98:00:00:{number >> 8:02x}:{number & 255:02x}"
        there = scene.router.run("ip", "neigh", "show", packet["to"], "dev", route[0]["dev"])
        if "lladdr" not in there:
            scene.router.run("ip", "neigh", "replace", packet["to"], "lladdr", mac, "dev", route[0]["dev"], "nud", "permanent")


class Overlay:
    """The program behind the tun of the machine: what a peer sends, and what is sent to one. Frames have no MAC there."""

    def __init__(self, fd):
        self.fd = fd

    def send(self, frame):
        os.write(self.fd, frame[14:])

    def fileno(self):
        return self.fd

    def recvfrom(self, size):
        packet = os.read(self.fd, size)
        return bytes(12) + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet, ("tailscale0", 0, 0)

    def close(self):
        """Whoever made the interface closes it."""


def in_groups(wanted):
    """Up to a hundred at a time, with their numbers; GRE from one place at a time: two by one translated address collide."""
    groups = {}
    for number, (place, packet) in enumerate(wanted, 1):
        groups.setdefault(place if packet["proto"] == "gre" else number // 100, []).append((number, (place, packet)))
    return groups.values()


def really_sent(scene, machine, wanted):
    """Those of the packets that do not get through on the machine itself."""
    for name in sorted({SENDERS[place] for place, _ in wanted} - set(machine.guns)):
        machine.guns[name] = getattr(scene, name).socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        machine.guns[name].bind(("eth0", 0))
    def shoot(shots):
        scene.router.run("conntrack", "-F", check=False)  # two GRE flows by one translated address are in each other's way
        scene.router.run("nft", "flush set inet heard ports; flush set inet heard ids; flush set inet heard echoes")
        fates = machine.shoot(shots)
        return [shot for shot in shots if not fates[shot.number]]

    lost = []
    for group in in_groups(wanted):
        shots = []
        for number, (place, packet) in group:
            know(scene, packet, number)
            shots.append(shot_of(scene, place, packet, number))
        lost += shoot(shoot(shots))
    return lost


def test_no_other(scene, report, machine, built):
    """Each packet that the audit shows gets through on the machine itself, when it is really sent."""
    wanted = list(shown(report))
    lost = really_sent(scene, machine, wanted)
    assert len(wanted) > 300
    assert lost == [], "\n".join(map(str, lost))


def test_same_again(scene, report, built):
    """The same machine has the same report."""
    with ears(scene):
        again = json.loads(audit(scene, "--json").stdout)
    assert again["findings"] == report["findings"]
    assert again["settings"] == report["settings"]


def test_plain_docker_accepts_nothing_for_others(report, built):
    assert [finding for finding in report["findings"] if finding["id"] in ACCEPTS] == []


TAILSCALE = """
ip addr add 100.64.0.1/32 dev tailscale0
ip addr add fd7a:115c:a1e0::1/128 dev tailscale0
ip link set tailscale0 up
ip route add 100.64.0.9/32 dev tailscale0 table 52
ip route add fd7a:115c:a1e0::/48 dev tailscale0 table 52
ip rule add lookup 52 pref 5270
ip -6 rule add lookup 52 pref 5270
iptables -N ts-forward
iptables -A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
iptables -A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
iptables -A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP
iptables -A ts-forward -o tailscale0 -j ACCEPT
iptables -I FORWARD -j ts-forward
"""


@dataclass
class Accepted:
    load: str  # what is put into the machine
    without: str  # and what takes the rule out again
    rules: tuple = ()  # that are named
    packet: dict = None  # one that the first of them lets through
    id: str = "other-accept"
    undo: str = "true"  # the rest


ACCEPTED = {
    "DOCKER-USER": Accepted("iptables -I DOCKER-USER -j ACCEPT", "iptables -D DOCKER-USER -j ACCEPT", ("-A DOCKER-USER -j ACCEPT",),
                            {"zone": "container", "interface": "br-b", "thing": "pub", "proto": "tcp"}),
    "FORWARD": Accepted("iptables -I FORWARD -i br-b -j ACCEPT", "iptables -D FORWARD -i br-b -j ACCEPT",
                        ("-A FORWARD -i br-b -j ACCEPT",), {"zone": "container", "interface": "br-b", "to": PUB4, "proto": "tcp"}),
    "to an internal network": Accepted("iptables -I DOCKER-USER -o br-i -j ACCEPT", "iptables -D DOCKER-USER -o br-i -j ACCEPT",
                                       ("-A DOCKER-USER -o br-i -j ACCEPT",), {"zone": "neighbour", "to": "172.30.9.10", "proto": "tcp"}),
    "Tailscale": Accepted(TAILSCALE, "iptables -D FORWARD -j ts-forward",
                          ("-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT", "-A ts-forward -o tailscale0 -j ACCEPT"),
                          {"zone": "overlay", "interface": "tailscale0", "to": "172.30.9.10", "proto": "tcp"}, "tailscale-accept",
                          "ip rule del pref 5270; ip -6 rule del pref 5270; iptables -F ts-forward; iptables -X ts-forward"),
    # accepts that open nothing: the policy of FORWARD accepts anyway here, and what Docker drops they do not meet
    "behind Docker's": Accepted("iptables -A FORWARD -j ACCEPT", "iptables -D FORWARD -j ACCEPT"),
    "before routing": Accepted("iptables -t mangle -I PREROUTING -j ACCEPT", "iptables -t mangle -D PREROUTING -j ACCEPT"),
}


@contextlib.contextmanager
def tailscale0(scene):
    """An interface of kind tun, and the program that has it open."""
    with scene.router.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"tailscale0", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
    try:
        yield Overlay(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(scene, machine, name, built):
    """A rule of others is named for the packets that do get through by it, and do not without it."""
    case = ACCEPTED[name]
    with tailscale0(scene) as overlay:
        machine.guns["tailscale0"] = overlay
        machine.names[overlay] = "tailscale0"
        scene.router.run("sh", "-e", "-c", case.load)
        try:
            found = json.loads(audit(scene, "--json").stdout)
            named = sorted((finding for finding in found["findings"] if finding["id"] in ACCEPTS), key=lambda one: one["rule"]["text"])
            wanted = list(shown({"findings": named}))
            lost = really_sent(scene, machine, wanted)
            scene.router.run("sh", "-e", "-c", case.without)
            closed = really_sent(scene, machine, wanted)
        finally:
            scene.router.run("sh", "-c", f"{case.without}; {case.undo}", check=False)
            del machine.guns["tailscale0"], machine.names[overlay]
    assert [finding["rule"]["text"] for finding in named] == list(case.rules)
    assert lost == []
    assert len(closed) == len(wanted)
    for finding in named:
        assert (finding["id"], finding["severity"]) == (case.id, "warning") and finding["fix"]
    if case.packet:
        assert any(fits(shot, case.packet) for shot in named[0]["packets"]), named[0]["packets"]


def test_networks(scene, built):
    """A network with nat-unprotected is named, whatever this Docker makes of it; one without is not."""
    scene.docker.network("br-open", ["172.30.77.0/24"], options={"com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected"})
    try:
        found = json.loads(audit(scene, "--json").stdout)
    finally:
        scene.docker.call("DELETE", "/networks/br-open")
    named = [finding for finding in found["settings"] if finding["id"] == "docker-networks"]
    assert [finding["text"].split(":")[0] for finding in named] == ["network br-open"]
    assert "docker-networks" not in {finding["id"] for finding in json.loads(audit(scene, "--json").stdout)["settings"]}


def test_isolation(scene, built):
    """Containers that are to be kept apart are not, where rules do not see what passes on a bridge."""
    scene.docker.network("br-n", ["172.30.78.0/24"], icc=False)
    for name, address in (("apart", "172.30.78.10"), ("away", "172.30.78.11")):
        scene.container(name, "br-n", address)
    try:
        for br_netfilter in (False, True):
            scene.set_br_netfilter(br_netfilter)
            found = packets(json.loads(audit(scene, "--json").stdout), ("container", "br-n"), "isolated-network")
            assert bool(found) != br_netfilter
            assert connect("apart", "172.30.78.11", 80, "away")(scene, CLOSED_WAIT) != br_netfilter
    finally:
        scene.set_br_netfilter(True)
        scene.remove("apart")
        scene.remove("away")
        scene.docker.call("DELETE", "/networks/br-n")


def test_shadow_of_a_device(scene, report, built):
    """Devices behind this machine's NAT take ports of its services too: good to know, since that NAT is its own."""
    assert packets(report, LAN, "port-shadow")
    assert shadow("trusted", "internet", INTERNET4, 1194, "trusted")(scene, OPEN_WAIT)


def test_settings(scene, report, built):
    """Holes that a setting makes."""
    with sysctl(scene.router, 1, *LOCALNET), sysctl(scene.router, 1, *SOURCE_ROUTE), Ear(scene.router, "127.0.0.1", 6061):
        found = json.loads(audit(scene, "--json").stdout)
    assert {"to": "127.0.0.1", "proto": "udp", "port": 6061} in [
        {key: packet[key] for key in ("to", "proto", "port")} for packet in packets(found, NEIGHBOUR, "host-loopback")]
    assert {"route-localnet", "source-route"} <= {finding["id"] for finding in found["settings"]}
    assert any(fits(packet, {"to": HOST4, "note": "a source route", "thing": "pub"}) for packet in packets(found, NEIGHBOUR, "source-routed"))
    assert packets(report, None, "source-routed") == []


def test_text_and_sarif(scene, report, built):
    text = audit(scene)
    assert text.returncode == 6
    assert "critical: a neighbour on eth0 reaches containers by their own addresses" in text.stdout
    assert "to do: spr up" in text.stdout
    done = audit(scene, "--sarif")
    sarif = json.loads(done.stdout)
    assert done.returncode == 6 and sarif["version"] == "2.1.0"
    results = sarif["runs"][0]["results"]
    assert len(results) == len(report["findings"]) + len(report["settings"])
    assert {result["ruleId"] for result in results} == {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
    assert {result["level"] for result in results} == {"error", "warning", "note"}


def test_without_docker_socket(scene, built):
    """Without names there are interfaces and addresses."""
    done = scene.machine.run(SPR, "audit", "--docker", "/nowhere", "--json", check=False)
    assert done.returncode == 6
    assert packets(json.loads(done.stdout), NEIGHBOUR, OTHER)
    assert [note for note in json.loads(done.stdout)["notes"] if "there is no Docker at /nowhere" in note]


def test_needs_root(scene, built):
    done = scene.machine.run("setpriv", "--reuid=65534", "--clear-groups", SPR, "audit", check=False)
    assert done.returncode == 1
    assert "needs root" in done.stderr


def test_nothing_with_spr(stage, built):
    """The same machine with spr up, its policy closed: no hole is left."""
    stage.closed()
    with ears(stage.scene):
        done = stage.spr.command("audit", "--docker", stage.scene.docker.socket, "--json", check=False)
    stage.plain()
    found = json.loads(done.stdout)
    # what this machine's own NAT of its LAN does is its own, and is said
    assert {(finding["id"], finding["severity"], finding["from"]["zone"]) for finding in found["findings"]} <= {("port-shadow", "notice", "lan")}
    assert found["notes"] == []
    assert done.returncode == 0
