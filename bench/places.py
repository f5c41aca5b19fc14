# SPDX-License-Identifier: GPL-2.0-or-later
"""Four network namespaces for each firewall that is measured: a LAN host, the router, a container, the internet."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, f"{ROOT}/tests/lab")

from netns import Namespace, Spaces  # noqa: E402

import towns  # noqa: E402

# as tests/unit/world.c counts the interfaces of Town.world()
NUMBERS = {"lan0": 3, "eth0": 4, "br-0": 5}


class Place(Spaces):
    """
    A context manager. `rules` are (command, lines) of others; `how` is what bench/rules does, None without spr; "fast" is "write",
    with the fast path.
    """

    def __init__(self, build, town, rules=(), how=None, granted=True):
        self.build, self.town, self.rules, self.how, self.granted = build, town, rules, how, granted
        self.spaces = {}
        self.holder = self.fast = None
        self.made = {}
        self.folder = None

    def __enter__(self):
        try:
            for name in ("lan", "router", "container", "internet"):
                self.spaces[name] = Namespace.new(name)
            self._wire()
            self._address()
            if self.town.six:
                self._address_six()
            for command, lines in self.rules:
                self._load(command, lines)
            if self.how:
                self._write_rules()
            if self.how == "fast":
                self._start_fast()
        except BaseException:
            self.close()
            raise
        return self

    def _wire(self):
        off = int(not self.town.six)
        for space in self.spaces.values():
            space.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0, ipv6__conf__all__disable_ipv6=off,
                         ipv6__conf__default__disable_ipv6=off, ipv6__conf__default__accept_dad=0,
                         ipv6__conf__default__router_solicitations=0)
            with contextlib.suppress(OSError):
                space.sysctl(**{"bridge__bridge-nf-call-iptables": 0, "bridge__bridge-nf-call-ip6tables": 0})
        self.router.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1 - off)
        self.router.ip(f"link add name lan0 index {NUMBERS['lan0']} type veth peer name eth0 netns {self.lan.path}",
                       f"link add name eth0 index {NUMBERS['eth0']} type veth peer name eth0 netns {self.internet.path}",
                       f"link add name br-0 index {NUMBERS['br-0']} type bridge forward_delay 0",
                       f"link add name port0 type veth peer name eth0 netns {self.container.path}",
                       "link set port0 master br-0", *(f"link set {name} up" for name in ("lan0", "eth0", "br-0", "port0")))
        for space in (self.lan, self.internet, self.container):
            space.ip("link set eth0 up")

    def _address(self):
        town = self.town
        gateway, bits = town.networks[0].gateway, 32 - town.bits
        self.router.ip(f"addr add {towns.LAN_ROUTER}/24 dev lan0", f"addr add {towns.UP_ROUTER}/24 dev eth0",
                       f"addr add {gateway}/{bits} dev br-0", f"route add default via {towns.UP_GATEWAY}")
        self.lan.ip(f"addr add {towns.LAN_HOST}/24 dev eth0", f"route add default via {towns.LAN_ROUTER}")
        self.internet.ip(f"addr add {towns.UP_GATEWAY}/24 dev eth0", f"addr add {towns.INTERNET}/32 dev lo",
                         f"route add default via {towns.UP_ROUTER}")
        here = town.present()
        self.container.ip(*(f"addr add {container.ip4}/{bits} dev eth0" for container in here),
                          f"route add default via {gateway} src {town.source.ip4}")
        self._neighbours(here)

    def _address_six(self):
        gateway, here = self.town.networks[0].gateway6, self.town.present()
        self.router.ip(f"addr add {towns.LAN_ROUTER6}/64 dev lan0 nodad", f"addr add {towns.UP_ROUTER6}/64 dev eth0 nodad",
                       f"addr add {gateway}/64 dev br-0 nodad", f"route add default via {towns.UP_GATEWAY6}")
        self.lan.ip(f"addr add {towns.LAN_HOST6}/64 dev eth0 nodad", f"route add default via {towns.LAN_ROUTER6}")
        self.internet.ip(f"addr add {towns.UP_GATEWAY6}/64 dev eth0 nodad", f"addr add {towns.INTERNET6}/128 dev lo nodad",
                         f"route add default via {towns.UP_ROUTER6}")
        self.container.ip(*(f"addr add {container.ip6}/64 dev eth0 nodad" for container in here),
                          f"route add default via {gateway} src {self.town.source.ip6}")
        macs = {space: space.mac("eth0") for space in (self.lan, self.internet, self.container)}
        self.router.ip(f"neigh replace {towns.LAN_HOST6} lladdr {macs[self.lan]} dev lan0",
                       f"neigh replace {towns.UP_GATEWAY6} lladdr {macs[self.internet]} dev eth0",
                       *(f"neigh replace {container.ip6} lladdr {macs[self.container]} dev br-0" for container in here))
        for space, there, device in ((self.lan, towns.LAN_ROUTER6, "lan0"), (self.internet, towns.UP_ROUTER6, "eth0"),
                                     (self.container, gateway, "br-0")):
            space.ip(f"neigh replace {there} lladdr {self.router.mac(device)} dev eth0")

    def _neighbours(self, here):
        """Nobody asks for addresses while it is measured."""
        macs = {space: space.mac("eth0") for space in (self.lan, self.internet, self.container)}
        self.router.ip(f"neigh replace {towns.LAN_HOST} lladdr {macs[self.lan]} dev lan0",
                       f"neigh replace {towns.UP_GATEWAY} lladdr {macs[self.internet]} dev eth0",
                       *(f"neigh replace {container.ip4} lladdr {macs[self.container]} dev br-0" for container in here))
        for space, there, device in ((self.lan, towns.LAN_ROUTER, "lan0"), (self.internet, towns.UP_ROUTER, "eth0"),
                                     (self.container, self.town.networks[0].gateway, "br-0")):
            space.ip(f"neigh replace {there} lladdr {self.router.mac(device)} dev eth0")

    def _load(self, command, lines):
        try:
            self.router.run(*command, text="\n".join(lines) + "\n")
        except RuntimeError as error: # it has all of the text in it, which may be megabytes
            raise RuntimeError(str(error)[:500]) from None

    def _write_rules(self):
        with tempfile.TemporaryDirectory(prefix="spr-bench-") as folder:
            paths = write_town(folder, self.town, self.granted)
            self.holder = self.router.start(f"{self.build}/bench/rules", "hold" if self.how == "hold" else "write", *paths, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True)
            line = self.holder.stdout.readline()
            if not line:
                raise RuntimeError(f"bench/rules ended with {self.holder.wait()}")
            self.made = json.loads(line)

    def _start_fast(self):
        self.fast = self.router.start(f"{self.build}/bench/fast", "lan0", "eth0", "br-0", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.fast.stdout.readline():
            raise RuntimeError(f"bench/fast ended with {self.fast.wait()}")

    def close(self):
        for process in (self.fast, self.holder):
            if process:
                process.stdin.close()
                process.stdout.close()
                process.wait()
        self.fast = self.holder = None
        for space in self.spaces.values():
            space.close()
        self.spaces.clear()


def has_fast_path(build):
    return os.path.exists(f"{build}/bench/fast")


def write_town(folder, town, granted=True):
    """The town as the two files that bench/rules reads."""
    paths = [f"{folder}/machine.world", f"{folder}/policy.yaml"]
    for path, text in zip(paths, (town.world(), town.policy(granted))):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    return paths


def job(place, way, kind, size=18, flows=1, sources=1):
    """
    A line for bench/traffic. `way` "out" is from a container, or several, to the internet; "in" from the LAN to a
    published port or, where nobody translates addresses, to the container's own. "out6" and "in6" are the same by IPv6, always
    without a published port.
    """
    town, router = place.town, place.router
    container = town.containers[town.target]
    if way.startswith("out"):
        source, internet = (town.source.ip6, towns.INTERNET6) if way == "out6" else (town.source.ip4, towns.INTERNET)
        senders = min(sources, len(town.sources))
        return _line(kind, place.container, place.internet, router.mac("br-0"), source, senders, internet, 9000, 1, 1, internet,
                     9000, size, flows)
    if way == "in6":
        return _line(kind, place.lan, place.container, router.mac("lan0"), towns.LAN_HOST6, 1, container.ip6, towns.INNER_PORT, 1,
                     1, container.ip6, towns.INNER_PORT, size, flows)
    at = "0.0.0.0" if kind in ("connect", "stream") else container.ip4
    to, first, step, count = container.ip4, towns.INNER_PORT, 1, 1
    if not town.routed:
        to, first = towns.LAN_ROUTER, towns.FIRST_PORT + town.target
    if kind == "connect" and not town.routed: # by turns to each of those that are there
        first, step = towns.FIRST_PORT, len(town.networks)
        count = len([one for one in town.present() if one.ports])
    return _line(kind, place.lan, place.container, router.mac("lan0"), towns.LAN_HOST, 1, to, first, step, count, at,
                 towns.INNER_PORT, size, flows)


def _line(kind, source, target, mac, *rest):
    return " ".join(str(word) for word in (kind, source.path, target.path, mac, *rest))


class Closed(RuntimeError):
    """Traffic did not get there."""


def run_traffic(build, jobs, rounds, milliseconds, cpu=None):
    """[{job, round, operations, cpu, delivered, p50, p99}]"""
    cpu = max(os.sched_getaffinity(0)) if cpu is None else cpu
    done = subprocess.run([f"{build}/bench/traffic", str(cpu), str(rounds), str(milliseconds)], input="\n".join(jobs) + "\n",
                          capture_output=True, text=True, check=False)
    if done.returncode == 1 and done.stdout.startswith("closed"):
        raise Closed(done.stdout)
    if done.returncode:
        raise RuntimeError(f"bench/traffic: {done.stderr.strip()}")
    names = ("job", "round", "operations", "cpu", "delivered", "p50", "p99")
    return [dict(zip(names, map(int, line.split()))) for line in done.stdout.splitlines()]
