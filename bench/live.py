# SPDX-License-Identifier: GPL-2.0-or-later
"""
A real sprd on the lab's machine, in namespaces, under a Docker that is played (tests/lab/fake_docker.py) and has as many
containers as wanted; and when what becomes of it is in the kernel.
"""

import bisect
import collections
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time

import yaml

import spr
from fake_docker import IMAGE, SUBNET6, FakeDocker, mac_of, six_of
from netns import Namespace
from probes import SLOW, Flood, udp_arrived
from scene import HOST6, TRUSTED4, TRUSTED6, Scene
from towns import LAN_HOST, LAN_HOST6, Town

BRIDGE, SUBNET = "br-live", "172.30.45.0/24"
ADDRESSES = [f"172.30.45.{number}" for number in range(10, 250)]
PORT = 9999
# In memory: what the disk takes to write a revision is the disk's figure.
STATE = "/run/spr-state"
SMALL = Town(10, 2, 1, six=True)


class TownDocker(FakeDocker):
    """
    Its own network, whose containers start and stop, and those of a town, which are only there: answers that were written
    beforehand, a bridge with one port for each network, and the files in which Docker keeps what a container is to publish.
    """

    def __init__(self, scene, town, root):
        super().__init__(scene, BRIDGE, SUBNET)
        self.town, self.root = town, root
        self.moments = {}  # (what, container): when it was last told, in nanoseconds
        self.answers = {}
        self.listed = b""
        self.far = None  # where the cables of the town end

    def __enter__(self):
        self._write()
        self.far = Namespace.new("town")
        for number, net in enumerate(self.town.networks):
            self.scene.router.ip(f"link add {net.bridge} type bridge", f"addr add {net.gateway}/{32 - self.town.bits} dev {net.bridge}",
                                 f"addr add {net.gateway6}/64 dev {net.bridge} nodad",
                                 f"link add name t{number} type veth peer name t{number} netns {self.far.path}",
                                 f"link set t{number} master {net.bridge}", f"link set t{number} up", f"link set {net.bridge} up")
            self.far.ip(f"link set t{number} up")
        return super().__enter__()

    def __exit__(self, *what):
        super().__exit__(*what)
        self.far.close()

    def _write(self):
        of = collections.defaultdict(dict)
        summaries = []
        for number, one in enumerate(self.town.containers):
            name = f"{number:064x}"
            of[one.network.name][name] = {"Name": one.name, "EndpointID": name, "MacAddress": mac_of(one.ip4),
                                          "IPv4Address": f"{one.ip4}/{32 - self.town.bits}", "IPv6Address": f"{one.ip6}/64"}
            ports = [{"IP": "0.0.0.0", "PrivatePort": port.inner, "PublicPort": port.outer, "Type": port.proto} for port in one.ports]
            summaries.append({"Id": name, "Names": [f"/{one.name}"], "Image": "lab", "ImageID": IMAGE, "Created": 1, "Labels": {},
                              "Ports": ports, "State": "running", "HostConfig": {"NetworkMode": one.network.name},
                              "NetworkSettings": {"Networks": {one.network.name: {"IPAddress": one.ip4}}}})
            bindings = {f"{port.inner}/{port.proto}": [{"HostIp": "", "HostPort": str(port.outer)}] for port in one.ports}
            os.makedirs(f"{self.root}/containers/{name}")
            with open(f"{self.root}/containers/{name}/hostconfig.json", "w", encoding="ascii") as file:
                json.dump({"NetworkMode": one.network.name, "PortBindings": bindings}, file)
        self.listed = json.dumps(summaries)[1:-1].encode()
        for net in self.town.networks:
            self.answers[f"/networks/{net.name}"] = json.dumps({
                "Name": net.name, "Id": net.name, "Driver": "bridge", "Internal": False, "EnableIPv6": True,
                "IPAM": {"Config": [{"Subnet": net.subnet, "Gateway": net.gateway}, {"Subnet": net.subnet6, "Gateway": net.gateway6}]},
                "Containers": of[net.name], "Options": {"com.docker.network.bridge.name": net.bridge}}).encode()
        self.answers["/info"] = json.dumps({"DockerRootDir": self.root}).encode()

    def answer(self, path, filters):
        if path == "/networks":
            return [{"Id": name} for name in (self.network, *(net.name for net in self.town.networks))]
        if path == "/containers/json" and "id" not in filters:
            own = json.dumps(super().answer(path, filters))[1:-1].encode()
            return b"[" + b", ".join(part for part in (own, self.listed) if part) + b"]"
        return self.answers.get(path) or super().answer(path, filters)

    def tell(self, kind, action, container):
        self.moments[action, container.name] = time.monotonic_ns()
        super().tell(kind, action, container)


class Rights:
    """When addresses got rights in the kernel, and when they lost them: what bench/rights says."""

    def __init__(self, build, space):
        self.process = space.start(f"{build}/bench/rights", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("bench/rights did not start")
        self.seen = collections.defaultdict(list)  # by word and address, moments in ascending order
        self.lost = False
        self.news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            words = line.split()
            with self.news:
                if words[0] == "lost":
                    self.lost = True
                else:
                    self.seen[words[1], words[3]].append(int(words[0]))
                self.news.notify_all()

    def after(self, word, address, moment, seconds=5):
        """The first time after a moment."""
        with self.news:
            def found():
                times = self.seen[word, address]
                at = bisect.bisect_right(times, moment)
                return times[at] if at < len(times) else None

            if not self.news.wait_for(found, seconds * SLOW):
                raise RuntimeError(f"the kernel did not {word} {address}")
            if self.lost:
                raise RuntimeError("bench/rights had no room for all that happened")
            return found()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)


class Live:
    """`daemon` is the lab's Spr, `engine` the Docker that is played, `scene` the machine and what is around it."""

    def __init__(self, options, scene, engine):
        self.options, self.scene, self.engine = options, scene, engine
        spr.SPRD, spr.SPR = f"{options.build}/src/sprd", f"{options.build}/src/spr"
        self.daemon = spr.Spr(scene, "--docker", engine.socket)
        self.daemon.state = STATE

    def up(self, *parts):
        town = yaml.load(self.engine.town.policy(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for rule in town["rules"]:
            rule["interface"] = "br-lan"
        del town["interfaces"]
        self.daemon.start()
        self.daemon.apply(spr.merged(town, *parts))
        self.daemon.up()
        self.connected()

    def connected(self, seconds=60):
        self.daemon.wait_for(lambda status: status["active"] and status["engine"]["state"] == "connected", seconds)

    def status_of_process(self, name):
        """A number of /proc/PID/status, in kilobytes."""
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:"))

    def cpu(self):
        """Nanoseconds that the daemon's own thread has run."""
        with open(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])


@contextlib.contextmanager
def standing(options, town=None):
    """A Live without sprd, which up() starts."""
    town = town or SMALL
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="spr-bench-", dir="/dev/shm"))  # a disk is slow at small files
        scene = stack.enter_context(Scene(docker=False))
        engine = stack.enter_context(TownDocker(scene, town, root))
        live = Live(options, scene, engine)
        scene.neighbour.ip(f"route replace {SUBNET6} via {HOST6}")
        # where the town's ranges and its desk are: what the machine's routes lead elsewhere is not behind this interface
        scene.router.ip(f"route add 100.64.0.0/10 via {TRUSTED4}", f"route add {LAN_HOST}/32 via {TRUSTED4}",
                        f"route add {LAN_HOST6}/128 via {TRUSTED6}")
        try:
            yield live
        finally:
            live.daemon.stop()


def life(live, rights, name, seconds):
    """A container starts, runs, and stops: milliseconds from `network connect` to its rights, and from `die` to their end."""
    address = live.engine.containers[name].address
    moments, found = live.engine.moments, []
    for what, word, run in (("connect", "add", live.engine.start), ("die", "del", live.engine.stop)):
        before = time.monotonic_ns()
        run(name)
        found.append((rights.after(word, address, before) - moments[what, name]) / 1e6)
        time.sleep(seconds)
    return found


def must_be_rights(live, rights):
    """The control: what the kernel is said to hold decides over packets. One container may be reached, the other not."""
    names = ("open", "closed")
    for name, address in zip(names, ADDRESSES[-2:]):
        live.engine.create(name, address)
        with Flood(live.scene, "neighbour", address, PORT, 200):
            before = udp_arrived(live.engine.spaces[name])
            life(live, rights, name, 0.3)
            arrived = udp_arrived(live.engine.spaces[name]) - before
        if (arrived > 0) != (name == "open"):
            raise RuntimeError(f"{arrived} packets reached the container that is {name}")


GRANT_OPEN = {"allow": [{"from": "upstream", "to": "container:open", "ports": [f"{PORT}/udp"]}]}


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def p50_p99(values, form="{:.1f}"):
    return [form.format(percentile(values, percent)) for percent in (50, 99)]


__all__ = ["ADDRESSES", "BRIDGE", "SUBNET", "SUBNET6", "GRANT_OPEN", "PORT", "SMALL", "Rights", "life", "must_be_rights", "p50_p99", "six_of", "standing"]
