# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces without names: they live as long as this process holds them, so that nothing is ever left behind."""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


class Namespace:
    """A network namespace held by a file descriptor."""

    def __init__(self, name, fd):
        self.name = name
        self.fd = fd

    @classmethod
    def new(cls, name):
        made = []

        def make():
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        space = cls(name, made[0])
        space.ip("link set lo up")
        return space

    @classmethod
    def of(cls, name, path):
        return cls(name, os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextlib.contextmanager
    def entered(self, uid=0):
        """The calling thread is inside, with the rights of `uid` for what it opens."""
        _check(_libc.setns(self.fd, CLONE_NEWNET), f"setns {self.name}")
        if uid:
            _libc.setfsuid(uid)
        try:
            yield
        finally:
            if uid:
                _libc.setfsuid(0)
            _check(_libc.setns(_home, CLONE_NEWNET), "setns home")

    def socket(self, family, kind, protocol=0, uid=0):
        with self.entered(uid):
            return socket.socket(family, kind, protocol)

    def command(self, *words):
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self.path}", *words]

    def run(self, *words, check=True, text=None):
        done = subprocess.run(["nsenter", f"--net={self.path}", *words], input=text, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}\n{text or ''}")
        return done.stdout

    def start(self, *words, **options):
        """A process inside; it dies with this one."""
        return subprocess.Popen(self.command(*words), **options)

    def ip(self, *lines):
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def sysctl(self, **values):
        """net sysctls with dots as double underscores: net.ipv4.ip_forward is ipv4__ip_forward."""
        with self.entered():
            for name, value in values.items():
                write_sysctl(name.replace("__", "/"), value)

    def mac(self, interface):
        return link(self, interface)["address"]

    def link_local(self, interface):
        for address in link(self, interface)["addr_info"]:
            if address["family"] == "inet6" and address["scope"] == "link":
                return address["local"]
        raise RuntimeError(f"{self.name}: {interface} has no link-local address")


class Spaces:
    """Namespaces by name, in `spaces`, which close() ends; a space is an attribute too."""

    def __exit__(self, *_):
        self.close()

    def __getattr__(self, name):
        spaces = self.__dict__.get("spaces", {})
        if name in spaces:
            return spaces[name]
        raise AttributeError(name)


def write_sysctl(path, value):
    with open(f"/proc/sys/net/{path}", "w", encoding="ascii") as file:
        file.write(f"{value}\n")


def link(space, interface):
    return json.loads(space.run("ip", "-json", "addr", "show", "dev", interface))[0]


def veth(a, a_name, b, b_name):
    """A cable between two namespaces."""
    a.ip(f"link add name {a_name} type veth peer name {b_name} netns {b.path}")
    a.ip(f"link set {a_name} up")
    b.ip(f"link set {b_name} up")
