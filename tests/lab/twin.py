# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames into the twin of the scene's machine, and the same frames into the machine itself."""

import json
import random
import select
import socket
import struct
import subprocess
import time

from netns import link
from probes import ETH_P_ALL, SLOW
from scene import (GUEST4, GUEST6, HOST4, HOST6, INTERNET4, INTERNET6, IOT4, IOT6, LAN4, LAN6, NEIGHBOUR4, NEIGHBOUR6, PRIVATE4,
                   TRUSTED4, TRUSTED6)
from spr import BUILD

SHOTS = f"{BUILD}/tests/twin/shots"
OUTGOING = 4
HOP_LIMIT = 77  # nobody else's packets have it
VOLLEY = 40

# Where frames are sent from: the interface of the machine, the addresses that are at home there.
PLACES = {
    "neighbour": ("eth0", NEIGHBOUR4, NEIGHBOUR6), "trusted": ("br-lan", TRUSTED4, TRUSTED6), "iot": ("br-lan", IOT4, IOT6),
    "guest": ("guest0", GUEST4, GUEST6), "pub": ("br-a", "172.30.1.10", None), "mate": ("br-a", "172.30.1.13", None),
    "bob": ("br-b", "172.30.2.10", None), "inner": ("br-i", "172.30.9.10", None), "six": ("br-6", "172.30.6.10", "2600:d0::10"),
    "sixmate": ("br-6", "172.30.6.11", "2600:d0::11"),
}
TARGETS4 = [HOST4, LAN4, "192.168.78.1", "172.30.1.1", "172.30.2.1", "172.30.9.1", "172.30.6.1", "127.0.0.1", "255.255.255.255",
            "172.30.1.255", "192.168.77.255", INTERNET4, PRIVATE4, "10.99.0.1", "198.18.0.10", "8.8.4.4", "172.30.1.11",
            "172.30.1.12", "172.30.1.14", "192.168.77.99", "172.30.2.77"]
TARGETS6 = [HOST6, LAN6, "2600:78::1", "2600:d0::1", "::1", INTERNET6, "2600:d0::77", "2600:77::99", "2600:99::1", "fd50::10"]
PORTS = [22, 53, 80, 80, 137, 445, 1194, 7070, 8022, 8066, 8080, 8081, 8082, 8084, 8443, 9053, 9999]
# Nobody is there, and the machine thinks that somebody is.
GHOSTS = {"192.168.77.99": "br-lan", "172.30.2.77": "br-b", "2600:77::99": "br-lan", "2600:d0::77": "br-6"}

# Which packets came through to the machine itself, by what is another in each.
HEARD = """
table inet heard {
	set ports { type inet_service; size 65535; flags dynamic; }
	set ids { typeof ip id; size 65535; flags dynamic; }
	set echoes { typeof icmpv6 id; size 65535; flags dynamic; }
	chain heard {
		type filter hook input priority 2147483646; policy accept;
		meta l4proto { tcp, udp } th sport >= 20000 add @ports { th sport }
		ip protocol { icmp, gre } add @ids { ip id }
		icmpv6 type echo-request add @echoes { icmpv6 id }
	}
}
"""


def scapy():
    from scapy.layers import inet, inet6, l2  # pylint: disable=import-outside-toplevel
    return inet, inet6, l2


class Shot:
    def __init__(self, number, place, frame, title, key):
        self.number, self.place, self.frame, self.title, self.key = number, place, frame, title, key

    def __repr__(self):
        return f"{self.number}: {self.place} {self.title}"


class Gunner:
    """Makes random frames of the scene; each has a number of its own in its header, and a source port of its own."""

    def __init__(self, scene, seed):
        self.random = random.Random(seed)
        self.scene = scene
        self.macs = {name: getattr(scene, name).mac("eth0") for name in PLACES}
        self.inside = {interface: scene.router.mac(interface) for interface, _, _ in PLACES.values()}
        self.number = 0

    def _addresses(self, six):
        return [place[2 if six else 1] for place in PLACES.values() if place[2 if six else 1]]

    def _layer(self, six):
        inet, inet6, _ = scapy()
        sport, dport = 20000 + self.number, self.random.choice(PORTS)
        kind = self.random.choice(["tcp", "tcp", "tcp", "udp", "udp", "echo", "stray", "gre"])
        if kind in ("tcp", "stray"):
            return inet.TCP(sport=sport, dport=dport, flags="S" if kind == "tcp" else "A", seq=1000), f"{kind} {dport}", ("ports", sport)
        if kind == "udp":
            return inet.UDP(sport=sport, dport=dport) / b"shot", f"udp {dport}", ("ports", sport)
        if six:
            return inet6.ICMPv6EchoRequest(id=self.number), "echo", ("echoes", self.number)
        if kind == "gre":
            return b"\0\0\x08\0", "gre", ("ids", self.number)
        return inet.ICMP(id=self.number), "echo", ("ids", self.number)

    def shot(self):
        inet, inet6, l2 = scapy()
        place = self.random.choice([*PLACES])
        interface, own4, own6 = PLACES[place]
        six = bool(own6) and self.random.random() < 0.4
        self.number += 1
        homes = self._addresses(six)
        source = (own6 if six else own4) if self.random.random() < 0.7 else self.random.choice(homes + [TARGETS6, TARGETS4][not six][:6])
        target = self.random.choice(homes * 2 + (TARGETS6 if six else TARGETS4))
        mac = self.inside[interface]
        for name, (other, at4, at6) in PLACES.items():
            if other == interface and target in (at4, at6) and name != place:
                mac = self.macs[name]
        if target == "255.255.255.255":
            mac = "ff:ff:ff:ff:ff:ff"
        layer, title, key = self._layer(six)
        ether = l2.Ether(src=self.macs[place], dst=mac)
        if six:
            frame = ether / inet6.IPv6(src=source, dst=target, fl=self.number, hlim=HOP_LIMIT) / layer
        else:
            proto = {"proto": 47} if title == "gre" else {}
            frame = ether / inet.IP(src=source, dst=target, id=self.number, ttl=HOP_LIMIT, **proto) / layer
        return Shot(self.number, place, bytes(frame), f"{source} -> {target} {title}", key)


class Machine:
    """The machine itself: where frames come out is seen at the outer end of each of its interfaces."""

    def __init__(self, scene):
        self.scene = scene
        self.names = {}  # socket: interface of the machine
        indexes = {entry["ifindex"]: entry["ifname"] for entry in json.loads(scene.router.run("ip", "-json", "link"))}
        self._listen(scene.segment, "machine", "eth0")
        for name in [*PLACES, "lanpub", "loopub", "gwpub", "inmate", "d1", "d2"]:
            if name != "neighbour":
                space = getattr(scene, name)
                self._listen(space, "eth0", indexes[link(space, "eth0")["link_index"]])
        self.guns = {name: getattr(scene, name).socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for name in PLACES}
        for gun in self.guns.values():
            gun.bind(("eth0", 0))

    def _listen(self, space, device, name):
        sock = space.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        sock.bind((device, ETH_P_ALL))
        self.names[sock] = name

    def close(self):
        for sock in [*self.names, *self.guns.values()]:
            sock.close()

    def prepare(self):
        """Everybody is known to the machine for good, ghosts too, and the bridges know where."""
        router = self.scene.router
        lines = []
        for name, (interface, own4, own6) in PLACES.items():
            mac = getattr(self.scene, name).mac("eth0")
            lines += [f"neigh replace {address} lladdr {mac} dev {interface} nud permanent" for address in (own4, own6) if address]
        for name in ("lanpub", "loopub", "gwpub"):
            lines.append(f"neigh replace {self.scene.address(name)} lladdr {getattr(self.scene, name).mac('eth0')} dev br-a nud permanent")
        for number, (address, interface) in enumerate(GHOSTS.items()):
            lines.append(f"neigh replace {address} lladdr 02:99:00:00:00:{number:02x} dev {interface} nud permanent")
        upstream = self.scene.upstream.mac("eth0")
        lines += [f"neigh replace {address} lladdr {upstream} dev eth0 nud permanent" for address in ("10.99.0.1", "2600:99::1")]
        router.ip(*lines)
        for sock, name in self.names.items():  # a frame of each teaches its bridge
            if name != "eth0":
                with_mac = sock.getsockname()[4]
                sock.send(b"\xff" * 6 + with_mac + struct.pack("!H", 0x88B5) + b"here")
        mac = bytes.fromhex("029900000000")
        for number, (address, interface) in enumerate(GHOSTS.items()):
            behind = {"br-lan": "iot", "br-b": "bob", "br-6": "sixmate"}[interface]
            self.guns[behind].send(b"\xff" * 6 + mac[:5] + bytes([number]) + struct.pack("!H", 0x88B5) + b"here" + address.encode())
        router.run("nft", "-f", "-", text=HEARD)

    @staticmethod
    def _number(packet):
        """The shot that a frame is of, or None."""
        kind = packet[12:14]
        if kind == b"\x08\x00" and packet[22] in (HOP_LIMIT, HOP_LIMIT - 1):
            return int.from_bytes(packet[18:20], "big")
        if kind == b"\x86\xdd" and packet[21] in (HOP_LIMIT, HOP_LIMIT - 1):
            return int.from_bytes(packet[15:18], "big") & 0xFFFFF
        return None

    def _read(self, fates, wait):
        until = time.monotonic() + wait
        while True:
            ready = select.select([*self.names], [], [], max(0, until - time.monotonic()))[0]
            if not ready:
                return
            for sock in ready:
                packet, where = sock.recvfrom(2048)
                number = self._number(packet) if where[2] != OUTGOING else None
                if number in fates:
                    fates[number].add(self.names[sock])

    def _local(self, shots, fates):
        heard = {}
        for name in ("ports", "ids", "echoes"):
            listed = json.loads(self.scene.router.run("nft", "-j", "list", "set", "inet", "heard", name))
            heard[name] = set(listed["nftables"][1]["set"].get("elem", []))
        for shot in shots:
            if shot.key[1] in heard[shot.key[0]]:
                fates[shot.number].add("local")

    def shoot(self, shots):
        fates = {shot.number: set() for shot in shots}
        for start in range(0, len(shots), VOLLEY):
            for shot in shots[start:start + VOLLEY]:
                self.guns[shot.place].send(shot.frame)
            self._read(fates, 0.03 * SLOW)
        self._read(fates, 0.3 * SLOW)
        self._local(shots, fates)
        return fates


class Twin:
    """A twin of the scene's machine, as it is when this is made."""

    def __init__(self, scene):
        self.process = subprocess.Popen(scene.router.command(SHOTS), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.notes = self._answer()["notes"]
        self.answers = {}

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, f"the twin ended with {self.process.wait()}"
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def shoot(self, shots):
        fates = {}
        for shot in shots:
            self.process.stdin.write(f"{PLACES[shot.place][0]} {shot.frame.hex()}\n")
            self.process.stdin.flush()
            answer = self._answer()
            self.answers[shot.number] = answer
            fates[shot.number] = {out["interface"] for out in answer["exits"]} | ({"local"} if answer["local"] else set())
        return fates
