# SPDX-License-Identifier: GPL-2.0-or-later
"""
A Docker Engine that is played: the questions that sprd asks and the events that it follows, before containers of which far
more start and stop in a second than a real one manages. A container is a network namespace whose cable is put into the
bridge and pulled out. What happens in which order, and before which event, is what a real dockerd showed; only the pauses
are shorter. Each address is in the hands of one thread:

    start: cable into the bridge, listed in the network, `network connect`, carrier, `start`
    stop:  `die`, no carrier, cable gone, no longer listed, `network disconnect`, `stop`; and `destroy`

From the moment an endpoint is not listed its address is free, and the next container's `network connect` may come before
the `network disconnect` of the last one.
"""

import contextlib
import http.server
import ipaddress
import json
import os
import socketserver
import subprocess
import threading
import time
import urllib.parse

from netns import Namespace, veth

CONNECT_PAUSE = 0.012  # from `network connect` to the carrier: there it is 200 ms and more
DIE_PAUSE = 0.014  # from `die` to the end of the carrier: as there
IMAGE = "sha256:" + "5" * 64
SUBNET6 = ipaddress.ip_network("2600:d5::/64")


def pause(seconds):
    """In steps of some milliseconds, so that on a busy machine it takes longer, as all that a dockerd does would."""
    steps = max(1, round(seconds / 0.004))
    for _ in range(steps):
        time.sleep(seconds / steps)


def six_of(address):
    """The IPv6 address of whoever has this one."""
    return str(SUBNET6[int(address.rsplit(".", 1)[1])])


def mac_of(address):
    """Docker's own way to make one."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in ipaddress.ip_address(address).packed)


class Commands:
    """An ip command that goes on running: what it is told is done a thousandth of a second later."""

    def __init__(self, space):
        self.lock = threading.Lock()
        self.process = space.start("ip", "-oneline", "-batch", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, *lines):
        with self.lock:
            self.process.stdin.write(("\n".join([*lines, "link show dev lo"]) + "\n").encode())
            self.process.stdin.flush()
            if not self.process.stdout.readline():
                raise RuntimeError(f"ip failed at one of: {'; '.join(lines)}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Container:
    def __init__(self, name, address, cable):
        self.name, self.address, self.cable = name, address, cable
        self.id = os.urandom(32).hex()
        self.state, self.listed = "created", False
        self.known = True  # else its network has it, by name, and nobody knows the container
        self.started = threading.Event()
        self.started.set()

    def endpoint(self):
        return {"Name": self.name, "EndpointID": self.id, "MacAddress": mac_of(self.address), "IPv4Address": f"{self.address}/24",
                "IPv6Address": f"{six_of(self.address)}/64"}

    def summary(self, network):
        return {"Id": self.id, "Names": [f"/{self.name}"], "Image": "lab", "ImageID": IMAGE, "Created": 1, "Labels": {},
                "Ports": [], "State": self.state, "HostConfig": {"NetworkMode": network},
                "NetworkSettings": {"Networks": {network: {"IPAddress": self.address if self.listed else ""}}}}

    def inspection(self, network):
        self.started.wait(10)  # Docker does not answer before a start is over
        return {"Id": self.id, "HostConfig": {"NetworkMode": network, "PortBindings": {}}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        path, _, text = self.path.partition("?")
        query = {key: values[0] for key, values in urllib.parse.parse_qs(text).items()}
        filters = json.loads(query.get("filters", "{}"))
        if path == "/events":
            self.follow(filters)
            return
        answer = self.server.fake.answer(path, filters)
        body = answer if isinstance(answer, bytes) else json.dumps(answer if answer is not None else {"message": "no such thing"}).encode()
        self.send_response(200 if answer is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def follow(self, filters):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with self.server.fake.follower(self.wfile, filters) as ended:
            ended.wait()
        self.close_connection = True

    def handle(self):
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


class FakeDocker:
    """One network, of the name of its bridge on the machine of a scene; .1 of its addresses is the bridge's."""

    def __init__(self, scene, bridge, subnet):
        self.scene, self.bridge, self.subnet = scene, bridge, ipaddress.ip_network(subnet)
        self.gateway = str(self.subnet[1])
        self.network = os.urandom(32).hex()
        self.socket = f"{scene.folder}/fake.sock"
        self.lock, self.voice = threading.Lock(), threading.Lock()
        self.containers, self.spaces, self.commands = {}, {}, {}
        self.followers = []
        self.kept = {}  # by address, events that come after its next `network connect`

    def __enter__(self):
        router = self.scene.router
        router.ip(f"link add {self.bridge} address 02:42:00:00:00:01 type bridge", f"addr add {self.gateway}/{self.subnet.prefixlen} dev {self.bridge}",
                  f"addr add {SUBNET6[1]}/64 dev {self.bridge} nodad", f"link set {self.bridge} up")
        self.commands[""] = Commands(router)
        self.server = Server(self.socket, Handler)
        self.server.fake = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        for _, _, ended in list(self.followers):
            ended.set()
        os.unlink(self.socket)
        for command in self.commands.values():
            command.close()
        self.scene.router.ip(*(f"link del {self.cable(name)}" for name in self.spaces), f"link del {self.bridge}")
        for space in self.spaces.values():
            space.close()

    # --- what sprd sees ---

    @contextlib.contextmanager
    def follower(self, stream, filters):
        mine = (stream, filters, threading.Event())
        self.followers.append(mine)
        try:
            yield mine[2]
        finally:
            self.followers.remove(mine)

    def tell(self, kind, action, container):
        """It is sent when this returns: no thread that comes late is between what happens and what is told."""
        attributes = {"name": container.name} if kind == "container" else \
            {"container": container.id, "name": self.bridge, "type": "bridge"}
        event = {"Type": kind, "Action": action, "scope": "local", "time": int(time.time()), "timeNano": time.time_ns(),
                 "Actor": {"ID": container.id if kind == "container" else self.network, "Attributes": attributes}}
        line = json.dumps(event).encode() + b"\n"
        for stream, filters, ended in list(self.followers):
            if kind in filters["type"] and action in filters["event"]:
                try:
                    with self.voice:
                        stream.write(b"%x\r\n%s\r\n" % (len(line), line))
                except OSError:
                    ended.set()

    def answer(self, path, filters):
        """The answer to a question, as bytes or as what becomes JSON, or None: 404."""
        fixed = {"/_ping": b"OK", "/version": {"Version": "0-lab"}, "/info": {"DockerRootDir": f"{self.scene.folder}/none"},
                 "/networks": [{"Id": self.network}]}
        with self.lock:
            known = list(self.containers.values())
            if path == f"/networks/{self.network}":
                return {"Name": self.bridge, "Id": self.network, "Driver": "bridge", "Internal": False, "EnableIPv6": True,
                        "IPAM": {"Config": [{"Subnet": str(self.subnet), "Gateway": self.gateway},
                                            {"Subnet": str(SUBNET6), "Gateway": str(SUBNET6[1])}]},
                        "Containers": {one.id if one.known else f"ep-{one.id}": one.endpoint() for one in known if one.listed},
                        "Options": {"com.docker.network.bridge.name": self.bridge}}
            if path == "/containers/json":
                return [one.summary(self.bridge) for one in known if one.known and one.id in filters.get("id", [one.id])]
        if path == f"/images/{IMAGE}/json":
            return {"Id": IMAGE, "Config": {"Labels": None}}
        for one in known:
            if one.known and path == f"/containers/{one.id}/json":
                return one.inspection(self.bridge)
        return fixed.get(path)

    # --- what happens ---

    @staticmethod
    def cable(name):
        return f"c-{name}"

    def space(self, name, address):
        """The namespace of all containers of a name: its cable hangs down as long as none of them runs."""
        if name not in self.spaces:
            space = self.spaces[name] = Namespace.new(name)
            veth(self.scene.router, self.cable(name), space, "eth0")
            mac = Container(name, address, "").endpoint()["MacAddress"]
            # as if just asked for: the kernel asks once a second for an address that nobody has
            self.scene.router.ip(f"neigh replace {address} lladdr {mac} dev {self.bridge} nud permanent")
            space.sysctl(ipv6__conf__eth0__keep_addr_on_down=1, ipv6__conf__eth0__accept_dad=0)
            space.ip("link set eth0 down", f"link set eth0 address {mac}", f"addr add {address}/{self.subnet.prefixlen} dev eth0",
                     f"addr add {six_of(address)}/64 dev eth0 nodad")
            self.commands[name] = Commands(space)
        return self.spaces[name]

    def create(self, name, address):
        self.space(name, address)
        container = Container(name, address, self.cable(name))
        with self.lock:
            self.containers[name] = container
        self.tell("container", "create", container)

    def start(self, name):
        container = self.containers[name]
        container.started.clear()
        self.commands[""](f"link set {container.cable} master {self.bridge}", f"link set {container.cable} up")
        with self.lock:
            container.listed = True
        self.tell("network", "connect", container)
        self.tell_kept(container)
        pause(CONNECT_PAUSE)
        self.commands[name]("link set eth0 up", f"route add default via {self.gateway}", f"route replace default via {SUBNET6[1]}")
        with self.lock:
            container.state = "running"
        container.started.set()
        self.tell("container", "start", container)

    def stop(self, name, remove=False, late=False):
        """`late`: what is told once the address is free is told after the next `network connect`."""
        container = self.containers[name]
        with self.lock:
            container.state = "exited"
        self.tell("container", "kill", container)
        self.tell("container", "die", container)
        pause(DIE_PAUSE)
        self.commands[name]("link set eth0 down")
        self.commands[""](f"link set {container.cable} nomaster", f"link set {container.cable} down")
        with self.lock:
            container.listed = False
            if remove:
                del self.containers[name]
        self.kept[container.address] = [("network", "disconnect", container),
                                        ("container", "destroy" if remove else "stop", container)]
        if not late:
            self.tell_kept(container)

    def tell_kept(self, container):
        for event in self.kept.pop(container.address, []):
            self.tell(*event)
