# SPDX-License-Identifier: GPL-2.0-or-later
"""
The scene: a home router that runs Docker, its uplink with a neighbour, an upstream router, a private host behind that
and the internet; a LAN with a trusted device and an IoT one, and a guest network.

    internet 50.0.0.10, 198.18.0.10, 2600:50::10 --+
    private upstream host 192.168.50.10 -----------+-- upstream router 10.99.0.1
                                                             |
                              neighbour 10.99.0.66 ----------+ (one segment)
                                                             |
                                                    eth0 10.99.0.2 the machine
       trusted 192.168.77.10, iot 192.168.77.20 --- br-lan 192.168.77.1
                           guest 192.168.78.10 --- guest0 192.168.78.1
       containers on br-a 172.30.1.0/24, br-b 172.30.2.0/24, br-6 172.30.6.0/24 + 2600:d0::/64,
                     br-i (--internal) 172.30.9.0/24, docker0 172.30.0.0/24, and one on the host's network
"""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from engine import Docker, together
from machine import Machine, drop_cgroups
from netns import Namespace, Spaces, veth

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PREFIX = "spr-lab-"

HOST4, HOST6 = "10.99.0.2", "2600:99::2"
NEIGHBOUR4, NEIGHBOUR6 = "10.99.0.66", "2600:99::66"
GATEWAY4, GATEWAY6 = "10.99.0.1", "2600:99::1"
PRIVATE4, PRIVATE6 = "192.168.50.10", "fd50::10"
INTERNET4, INTERNET6 = "50.0.0.10", "2600:50::10"
SPECIAL4, SPECIAL6 = "198.18.0.10", "64:ff9b::c0a8:320a"
LAN4, LAN6 = "192.168.77.1", "2600:77::1"
TRUSTED4, TRUSTED6 = "192.168.77.10", "2600:77::10"
IOT4, IOT6 = "192.168.77.20", "2600:77::20"
GUEST4, GUEST6 = "192.168.78.10", "2600:78::10"

# name: network, fixed addresses, published ports, services
CONTAINERS = {
    "pub": ("br-a", "172.30.1.10", None, ["8080:80", "9053:9053/udp"],
            ["tcp:0.0.0.0:80", "tcp:0.0.0.0:9999", "udp:0.0.0.0:9053", "udp:0.0.0.0:80"]),
    "lanpub": ("br-a", "172.30.1.11", None, ["192.168.77.1:8081:80"], ["tcp:0.0.0.0:80"]),
    "loopub": ("br-a", "172.30.1.12", None, ["127.0.0.1:8082:80"], ["tcp:0.0.0.0:80"]),
    "mate": ("br-a", "172.30.1.13", None, [], ["tcp:0.0.0.0:80", "udp:0.0.0.0:80"]),
    "gwpub": ("br-a", "172.30.1.14", None, ["172.30.1.1:8084:80"], ["tcp:0.0.0.0:80"]),
    "bob": ("br-b", "172.30.2.10", None, [], ["tcp:0.0.0.0:80", "udp:0.0.0.0:80"]),
    "inner": ("br-i", "172.30.9.10", None, [], ["tcp:0.0.0.0:80"]),
    "inmate": ("br-i", "172.30.9.11", None, [], ["tcp:0.0.0.0:80"]),
    "six": ("br-6", "172.30.6.10", "2600:d0::10", ["8066:80", "[::1]:8083:80"],
            ["tcp:0.0.0.0:80", "tcp:[::]:80", "tcp:[::]:9999", "tcp:0.0.0.0:9999", "udp:[::]:9053", "udp:[::]:80"]),
    "sixmate": ("br-6", "172.30.6.11", "2600:d0::11", [], ["tcp:0.0.0.0:80", "tcp:[::]:80"]),
    "hostnet": ("host", None, None, [], ["tcp:0.0.0.0:7070", "tcp:[::]:7070"]),
    "d1": ("bridge", None, None, [], ["tcp:0.0.0.0:80"]),
    "d2": ("bridge", None, None, [], ["tcp:0.0.0.0:80", "tcp:0.0.0.0:9999"]),
}

NETWORKS = {
    "br-a": (["172.30.1.0/24"], False),
    "br-b": (["172.30.2.0/24"], False),
    "br-i": (["172.30.9.0/24"], True),
    "br-6": (["172.30.6.0/24", "2600:d0::/64"], False),
}

# 161, 6061, 5353 and 67 are sockets that the tests open themselves (probes.Ear)
HOST_SERVICES = ["tcp:0.0.0.0:22", "tcp:[::]:22", "tcp:192.168.77.1:8022", "dns:192.168.77.1:53",
                 "dns:192.168.78.1:53", "dns:10.99.0.2:53", "dns:[::]:53", "udp:0.0.0.0:1194"]

HOME_NAT = """
table ip home_nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth0" ip saddr { 192.168.77.0/24, 192.168.78.0/24 } masquerade
	}
}
"""


def build_probe(folder):
    path = f"{folder}/probe"
    subprocess.run(["cc", "-std=gnu17", "-O2", "-static", "-o", path, f"{HERE}/probe.c"], check=True)
    return path


def sweep():
    """Folders of runs that were killed so hard that they could not tidy up."""
    for folder in glob.glob(f"{tempfile.gettempdir()}/{PREFIX}*"):
        pid = os.path.basename(folder)[len(PREFIX):].split("-")[0]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            drop_cgroups(f"/{os.path.basename(folder)}")
            shutil.rmtree(folder, ignore_errors=True)


def die_on_signals():
    """SIGTERM ends a run like SIGINT does: by way of every `finally`."""
    def leave(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


class Scene(Spaces):
    """
    A context manager. `br_netfilter`: whether iptables and inet rules see traffic inside a bridge. `docker`: True, False,
    or "later" for start_docker(). `nat`: whether the router masquerades its LAN, which starts connection tracking.
    """

    def __init__(self, br_netfilter=True, docker=True, nat=True, docker_arguments=()):
        self.br_netfilter = br_netfilter
        self.with_docker = docker
        self.with_nat = nat
        self.docker_arguments = docker_arguments
        self.spaces = {}
        self.processes = []
        self.docker = None
        self.machine = None
        self.folder = None

    def __enter__(self):
        sweep()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def _build(self):
        self.folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
        self.probe = build_probe(self.folder)
        with open(f"{self.folder}/resolv.conf", "w", encoding="ascii") as file:
            file.write(f"nameserver {LAN4}\n")
        self.machine = Machine(self.folder)
        self.spaces["router"] = self.machine.net
        self._hosts()
        self._services()
        if self.with_docker:
            self.docker = Docker(self.machine, self.folder, self.docker_arguments)
        if self.with_docker is True:
            self.start_docker()

    def _hosts(self):
        for name in ("segment", "upstream", "private", "internet", "neighbour", "trusted", "iot", "guest"):
            self.spaces[name] = Namespace.new(name)
        for space in self.spaces.values():
            self._tune(space)
        segment, router, upstream = self.segment, self.router, self.upstream
        segment.ip("link add wire type bridge", "link set wire up")
        for space, port in ((router, "machine"), (upstream, "gateway"), (self.neighbour, "neighbour")):
            veth(segment, port, space, "eth0")
            segment.ip(f"link set {port} master wire")
        veth(upstream, "eth1", self.private, "eth0")
        veth(upstream, "eth2", self.internet, "eth0")
        router.ip("link add br-lan type bridge", "link set br-lan up")
        for port, space in (("lan1", self.trusted), ("lan2", self.iot)):
            veth(router, port, space, "eth0")
            router.ip(f"link set {port} master br-lan")
        veth(router, "guest0", self.guest, "eth0")
        self._address()
        for space in (router, upstream):
            space.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)

    @staticmethod
    def _tune(space):
        space.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0, ipv6__conf__all__disable_ipv6=0,
                     ipv6__conf__default__disable_ipv6=0, ipv6__conf__default__accept_dad=0,
                     ipv6__conf__default__router_solicitations=0, ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)
        with contextlib.suppress(OSError):
            space.sysctl(**{"bridge__bridge-nf-call-iptables": 0, "bridge__bridge-nf-call-ip6tables": 0,
                            "bridge__bridge-nf-call-arptables": 0})

    def _address(self):
        def setup(space, *places, gateways=(), routes=()):
            space.ip(*(f"addr add {address} dev {device}" for device, address in places),
                     *(f"route add default via {gateway}" for gateway in gateways),
                     *(f"route add {route}" for route in routes))

        setup(self.router, ("eth0", f"{HOST4}/24"), ("eth0", f"{HOST6}/64"), ("br-lan", f"{LAN4}/24"),
              ("br-lan", f"{LAN6}/64"), ("guest0", "192.168.78.1/24"), ("guest0", "2600:78::1/64"),
              gateways=(GATEWAY4, GATEWAY6))
        setup(self.upstream, ("eth0", f"{GATEWAY4}/24"), ("eth0", f"{GATEWAY6}/64"), ("eth1", "192.168.50.1/24"),
              ("eth1", "fd50::1/64"), ("eth2", "50.0.0.1/24"), ("eth2", "198.18.0.1/24"), ("eth2", "2600:50::1/64"),
              ("eth2", "64:ff9b::1/96"), routes=(f"2600:77::/64 via {HOST6}", f"2600:78::/64 via {HOST6}",
                                                f"2600:d0::/64 via {HOST6}"))
        setup(self.private, ("eth0", f"{PRIVATE4}/24"), ("eth0", f"{PRIVATE6}/64"), gateways=("192.168.50.1", "fd50::1"))
        setup(self.internet, ("eth0", f"{INTERNET4}/24"), ("eth0", f"{SPECIAL4}/24"), ("eth0", f"{INTERNET6}/64"),
              ("eth0", f"{SPECIAL6}/96"), gateways=("50.0.0.1", "2600:50::1"))
        setup(self.neighbour, ("eth0", f"{NEIGHBOUR4}/24"), ("eth0", f"{NEIGHBOUR6}/64"), gateways=(GATEWAY4, GATEWAY6),
              routes=(f"172.30.0.0/16 via {HOST4}", f"192.168.77.0/24 via {HOST4}", f"192.168.78.0/24 via {HOST4}",
                      f"2600:77::/64 via {HOST6}", f"2600:78::/64 via {HOST6}", f"2600:d0::/64 via {HOST6}"))
        # Its routes are its own: while a network is not there yet, the machine would tell it of a shorter way.
        self.neighbour.sysctl(ipv4__conf__all__accept_redirects=0, ipv4__conf__eth0__accept_redirects=0,
                              ipv6__conf__eth0__accept_redirects=0)
        setup(self.trusted, ("eth0", f"{TRUSTED4}/24"), ("eth0", f"{TRUSTED6}/64"), gateways=(LAN4, LAN6))
        setup(self.iot, ("eth0", f"{IOT4}/24"), ("eth0", f"{IOT6}/64"), gateways=(LAN4, LAN6))
        setup(self.guest, ("eth0", f"{GUEST4}/24"), ("eth0", f"{GUEST6}/64"), gateways=("192.168.78.1", "2600:78::1"))

    def serve(self, space, name, *specs):
        """A server process on a host of the scene."""
        process = space.start(self.probe, "serve", name, *specs, stdout=subprocess.PIPE)
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"server {name} did not start: {' '.join(specs)}")
        self.processes.append(process)
        return process

    def _services(self):
        web = ["tcp:0.0.0.0:80", "tcp:[::]:80", "udp:0.0.0.0:80", "udp:[::]:80"]
        for name in ("upstream", "private", "internet", "neighbour", "trusted", "iot", "guest"):
            extra = ["dns:0.0.0.0:53"] if name in ("upstream", "internet") else []
            self.serve(self.spaces[name], name, *web, *extra)
        self.serve(self.router, "router", *HOST_SERVICES)
        if self.with_nat:
            self.home_nat()

    def home_nat(self):
        """The router's own masquerade for its LAN: what a flush of the ruleset takes away."""
        self.router.run("nft", "-f", "-", text=HOME_NAT)

    def start_docker(self):
        self.docker.start()
        self.docker.image("lab", {"/probe": self.probe, "/bin/busybox": "/bin/busybox"}, [("/bin/sh", "busybox")])
        for name, (subnets, internal) in NETWORKS.items():
            self.docker.network(name, subnets, internal)
        self.containers(CONTAINERS)
        self.set_br_netfilter(self.br_netfilter)

    def containers(self, wanted):
        together(*(lambda name=name: self.container(name, *wanted[name]) for name in wanted))

    def container(self, name, network, ip4=None, ip6=None, ports=(), services=("tcp:0.0.0.0:80",), **options):
        """Runs a container with the probe as server; its namespace is then scene.NAME."""
        command = ["/probe", "serve", name, *services] if services else ["/probe", "sleep"]
        self.docker.run(name, network, command, ip4=ip4, ip6=ip6, ports=ports, **options)
        return self.enter(name)

    def enter(self, name):
        """(Re)opens the namespace of a container."""
        old = self.spaces.pop(name, None)
        if old:
            old.close()
        pid = self.docker.inspect(name)["State"]["Pid"]
        self.spaces[name] = self.machine.namespace_of(pid, name)
        return self.spaces[name]

    def remove(self, name):
        space = self.spaces.pop(name, None)
        if space:
            space.close()
        self.docker.remove(name)

    def address(self, name, network=None, six=False):
        networks = self.docker.inspect(name)["NetworkSettings"]["Networks"]
        place = networks[network] if network else next(iter(networks.values()))
        return place["GlobalIPv6Address" if six else "IPAddress"]

    def set_br_netfilter(self, on):
        self.router.sysctl(**{"bridge__bridge-nf-call-iptables": int(on), "bridge__bridge-nf-call-ip6tables": int(on)})
        self.br_netfilter = on

    def nft(self, text):
        self.router.run("nft", "-f", "-", text=text)

    def shells(self):
        """How a person looks inside while the scene stands."""
        lines = [f"{'machine':10} nsenter -t {self.machine.init} -m -n -p"]
        lines += [f"{name:10} nsenter --net={space.path}" for name, space in self.spaces.items()]
        if self.docker:
            lines.append(f"{'docker':10} docker -H unix://{self.docker.socket}")
        return "\n".join(lines)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()
        self.processes.clear()
        if self.machine:
            self.machine.close()
            self.machine = None
        for space in self.spaces.values():
            space.close()
        self.spaces.clear()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


def main():
    """Stands the scene up to look around in it, until Enter."""
    die_on_signals()
    began = time.monotonic()
    with Scene(br_netfilter="--no-br-netfilter" not in sys.argv) as scene:
        print(scene.shells())
        print(f"built in {time.monotonic() - began:.1f} s; Enter ends it", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
