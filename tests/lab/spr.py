# SPDX-License-Identifier: GPL-2.0-or-later
"""sprd inside the scene's machine, and the command and the control socket of it."""

import copy
import json
import os
import select
import signal
import socket
import tempfile
import threading
import time

import yaml

from probes import SLOW
from scene import IOT4, IOT6, ROOT, TRUSTED4, TRUSTED6

BUILD = os.environ.get("SPR_BUILD", f"{ROOT}/build")
SPRD = os.environ.get("SPRD", f"{BUILD}/src/sprd")
SPR = os.environ.get("SPR", f"{BUILD}/src/spr")
SANDBOXES = set()  # of the daemons of this run: what they said that they lack

# A home router: two LANs, and the devices on them that matter here.
BASE = {
    "interfaces": [{"name": "eth0", "role": "uplink"}, {"name": "br-lan", "role": "lan"}, {"name": "guest0", "role": "lan"}],
    "rules": [
        {"name": "trusted", "interface": "br-lan", "source": [f"{TRUSTED4}/32", f"{TRUSTED6}/128"], "policies": ["wan", "dns"]},
        {"name": "iot", "interface": "br-lan", "source": [f"{IOT4}/32", f"{IOT6}/128"], "policies": ["wan", "dns"]},
        {"name": "guest", "interface": "guest0", "source": ["192.168.78.0/24", "2600:78::/64"], "policies": ["wan", "dns"]},
    ],
}


class SprError(RuntimeError):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def missing():
    """Why sprd cannot be tested, or None."""
    for path in (SPRD, SPR):
        if not os.access(path, os.X_OK):
            return f"{path} is not built"
    return None


def merged(*parts, base=None):
    """A policy document: lists are joined, the rest replaced."""
    document = copy.deepcopy(BASE if base is None else base)
    for part in parts:
        for key, value in part.items():
            if isinstance(value, list):
                document[key] = document.get(key, []) + copy.deepcopy(value)
            else:
                document[key] = copy.deepcopy(value)
    return document


class Spr:
    def __init__(self, scene, *options):
        self.scene = scene
        self.machine = scene.machine
        self.options = list(options)
        self.prefix = []  # before the program: what starts it
        self.socket = f"{scene.folder}/spr.sock"
        self.state = f"{scene.folder}/state"
        self.log = f"{scene.folder}/sprd.log"
        self.process = None
        self.pid = None

    def arguments(self, *options):
        chosen = [*self.options, *options]
        engine = ["--docker", self.scene.docker.socket] if self.scene.docker else ["--no-docker"]
        if "--docker" in chosen or "--no-docker" in chosen:
            engine = []
        return [*self.prefix, SPRD, "--socket", self.socket, "--state-dir", self.state, *engine, *chosen]

    def start(self, *options, ready=True):
        with open(self.log, "ab") as log:
            offset = log.tell()
            self.process, self.pid = self.machine.start(*self.arguments(*options), stdout=log, stderr=log)
        if ready:
            self.wait_ready(offset)

    def wait_ready(self, offset=0, seconds=15):
        until = time.monotonic() + seconds * SLOW
        while time.monotonic() < until:
            said = self.read_log(offset)
            if "sprd: ready" in said:
                lacking = [line for line in said.splitlines() if line.startswith("sandbox: no ")]
                SANDBOXES.add("; ".join(lacking) or "sandbox: all layers")
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise RuntimeError(f"sprd is not ready:\n{self.read_log(offset)}")

    def read_log(self, offset=0):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(offset)
            return log.read()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        if self.alive():
            os.kill(self.pid, how)
            self.process.wait(20)

    def restart(self, how=signal.SIGTERM, options=()):
        self.stop(how)
        self.start(*options)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30 * SLOW)
        sock.connect(self.socket)
        return sock

    def send(self, line):
        """The answer to one line of bytes; None when the daemon hangs up."""
        with self.connect() as sock:
            sock.sendall(line + b"\n")
            return read_line(sock)

    def call(self, call, **arguments):
        answer = json.loads(self.send(json.dumps({"call": call, **arguments}).encode()))
        if "error" in answer:
            raise SprError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    def command(self, *words, check=True, text=None, environment=None):
        """The spr command, run on the machine."""
        done = self.machine.run(SPR, "--socket", self.socket, *words, check=False, text=text, environment=environment)
        if check:
            assert done.returncode == 0, f"spr {' '.join(words)}: exit {done.returncode}\n{done.stderr}{done.stdout}"
        return done

    def apply(self, document, force=True):
        return self.call("apply", text=document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False),
                         name="lab.yaml", force=force)

    def up(self, force=True):
        return self.call("up", force=force)

    def down(self):
        return self.call("down")

    def status(self):
        return self.call("status")

    def wait_for(self, what, seconds=10):
        """Waits until `what(status)` is true."""
        until = time.monotonic() + seconds * SLOW
        while time.monotonic() < until:
            status = self.status()
            if what(status):
                return status
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {status}")


def read_line(sock):
    line = b""
    while not line.endswith(b"\n"):
        piece = sock.recv(65536)
        if not piece:
            return None if not line else line
        line += piece
    return line


class Relay:
    """A socket that anybody may use, to ask sprd through: the command is nobody's then, the calls are root's."""

    def __init__(self, spr):
        self.spr = spr
        self.path = f"{tempfile.gettempdir()}/spr-lab-relay-{os.getpid()}.sock"
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.sock.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            with client:
                line = read_line(client)
                if line:
                    client.sendall(self.spr.send(line.rstrip(b"\n")))

    def command(self, *words):
        """The spr command as nobody."""
        return self.spr.machine.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SPR, "--socket", self.path, *words,
                                    check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        os.unlink(self.path)


class Follow:
    """`spr log` of the socket: events as they come."""

    def __init__(self, spr, member=None):
        self.sock = spr.connect()
        self.sock.sendall(json.dumps({"call": "log", **({"member": member} if member else {})}).encode() + b"\n")
        self.rest = b""
        assert "result" in json.loads(self._line(10))

    def _line(self, seconds):
        until = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            piece = self.sock.recv(65536)
            if not piece:
                return None
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def event(self, wanted, seconds=3):
        """The first event for which `wanted(event)` is true, or None."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            line = self._line(until - time.monotonic())
            if line is None:
                return None
            event = json.loads(line).get("event", {})
            if wanted(event):
                return event
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
