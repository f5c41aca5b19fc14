# SPDX-License-Identifier: GPL-2.0-or-later
"""A real dockerd with folders of its own, and the small part of its API that the lab uses."""

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import tarfile
import threading
import time
import urllib.parse

from probes import SLOW

API = "/v1.40"


class EngineError(RuntimeError):
    pass


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Docker:
    """dockerd inside a machine (see scene.Machine)."""

    def __init__(self, machine, folder, arguments=()):
        self.machine = machine
        self.folder = folder
        self.socket = f"{folder}/docker.sock"
        self.log = f"{folder}/dockerd.log"
        self.arguments = list(arguments)
        self.process = None
        self.pid = None

    def start(self):
        arguments = ["dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec",
                     "-H", f"unix://{self.socket}", "--pidfile", f"{self.folder}/docker.pid",
                     "--bip", "172.30.0.1/24", "--cgroup-parent", self.machine.cgroup,
                     "--live-restore", *self.arguments]
        with open(self.log, "ab") as log:
            self.process, self.pid = self.machine.start(*arguments, stdout=log, stderr=log)
        self.wait()

    def wait(self):
        until = time.monotonic() + 60 * SLOW
        while time.monotonic() < until:
            try:
                if self.call("GET", "/_ping", timeout=5) == "OK":
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise EngineError("dockerd does not answer:\n" + "".join(log.readlines()[-15:]))

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            os.kill(self.pid, how)
            self.process.wait(30)

    def restart(self):
        self.stop()
        self.start()

    def call(self, method, path, body=None, timeout=60, kind="application/json", **query):
        connection = _Connection(self.socket, timeout * SLOW)
        if query:
            path += "?" + urllib.parse.urlencode(query)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        try:
            connection.request(method, API + path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineError(f"{method} {path}: {answer.status} {text.decode(errors='replace').strip()}")
        try:
            return json.loads(text)
        except ValueError:
            return text.decode(errors="replace")

    def cli(self, *words, check=True, timeout=120, **options):
        environment = dict(os.environ, DOCKER_HOST=f"unix://{self.socket}", HOME=self.folder, **options.pop("environment", {}))
        return subprocess.run(["docker", *words], env=environment, check=check, timeout=timeout,
                              capture_output=True, text=True, **options)

    def image(self, name, files, links=(), labels=None):
        """An image of files {path in it: path here}."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for inside, here in files.items():
                tar.add(here, inside)
            for inside, target in links:
                entry = tarfile.TarInfo(inside)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
        changes = {"changes": "LABEL " + " ".join(f"{key}={value}" for key, value in labels.items())} if labels else {}
        self.call("POST", "/images/create", packed.getvalue(), kind="application/x-tar", fromSrc="-", repo=name, tag="latest",
                  **changes)

    def build(self, dockerfile, version):
        """Builds from the text of a Dockerfile; version "1" is the classic builder, "2" BuildKit. What it said."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(dockerfile)
            tar.addfile(entry, io.BytesIO(dockerfile.encode()))
        said = self.call("POST", "/build", packed.getvalue(), kind="application/x-tar", version=version, nocache="1",
                         forcerm="1", buildid=os.urandom(8).hex())
        return said if isinstance(said, str) else json.dumps(said)

    def network(self, name, subnets, internal=False, icc=True, options=None, bridge=None, labels=None):
        """A bridge network; the id."""
        body = {"Name": name, "CheckDuplicate": True, "Driver": "bridge", "Internal": internal,
                "EnableIPv6": any(":" in subnet for subnet in subnets), "Labels": labels or {},
                "IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]},
                "Options": {"com.docker.network.bridge.name": bridge or name,
                            "com.docker.network.bridge.enable_icc": "true" if icc else "false", **(options or {})}}
        return self.call("POST", "/networks/create", body)["Id"]

    def create(self, name, network, command, ip4=None, ip6=None, ports=(), labels=None, image="lab"):
        """`ports` as docker run -p takes them, the address and both ports always said."""
        bindings = {}
        for port in ports:
            outside, inside = port.rsplit(":", 1)
            address, _, number = outside.rpartition(":")
            inside = inside if "/" in inside else f"{inside}/tcp"
            bindings.setdefault(inside, []).append({"HostIp": address.strip("[]"), "HostPort": number})
        place = {key: value for key, value in (("IPv4Address", ip4), ("IPv6Address", ip6)) if value}
        body = {"Image": image, "Cmd": command, "Labels": labels or {}, "ExposedPorts": {port: {} for port in bindings},
                "HostConfig": {"NetworkMode": network, "PortBindings": bindings},
                "StopTimeout": 0}
        if network not in ("host", "bridge", "none"):
            body["NetworkingConfig"] = {"EndpointsConfig": {network: {"IPAMConfig": place}}}
        return self.call("POST", "/containers/create", body, name=name)["Id"]

    def start_container(self, name):
        self.call("POST", f"/containers/{name}/start")

    def run(self, name, network, command, **options):
        created = self.create(name, network, command, **options)
        self.start_container(name)
        return created

    def remove(self, name):
        self.call("DELETE", f"/containers/{name}", force="1")

    def inspect(self, name):
        return self.call("GET", f"/containers/{name}/json")

    def logs(self, name):
        return self.cli("logs", name, check=False).stdout


def together(*jobs):
    """Runs functions at the same time and hands on the first failure."""
    failures = []

    def guard(job):
        try:
            job()
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)

    threads = [threading.Thread(target=guard, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
