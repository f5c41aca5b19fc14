# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine under test: network, process and mount namespaces of its own. When its process 1 dies, all of it goes."""

import contextlib
import ctypes
import glob
import os
import signal
import subprocess
import time

from netns import Namespace
from probes import SLOW

_libc = ctypes.CDLL(None, use_errno=True)

SETUP = """
set -e
mount --make-rprivate /
mkdir -p "$D/cgroup"
mount --rbind /sys/fs/cgroup "$D/cgroup"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount --rbind "$D/cgroup" /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
mount --bind "$D/resolv.conf" /etc/resolv.conf
exec "$D/probe" init
"""


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


def only_child(pid):
    """The one child of a process, when it has come."""
    until = time.monotonic() + 10 * SLOW
    while time.monotonic() < until:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            found = children.read().split()
            if found:
                return int(found[0])
        time.sleep(0.002)
    raise RuntimeError(f"process {pid} has no child")


class Machine:
    """`folder` holds the static probe and resolv.conf already."""

    def __init__(self, folder, name="router"):
        self.folder = folder
        self.net = Namespace.new(name)
        self.cgroup = f"/{os.path.basename(folder)}"
        with open(f"{folder}/machine.log", "w+", encoding="utf-8") as log:
            self.outer = subprocess.Popen(
                ["nsenter", f"--net={self.net.path}", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL",
                 "sh", "-c", SETUP], env=dict(os.environ, D=folder), stdout=subprocess.PIPE, stderr=log,
                preexec_fn=_die_with_parent)
            if self.outer.stdout.readline() != b"ready\n":
                log.seek(0)
                raise RuntimeError(f"the machine's process 1 did not start: {log.read()}")
        self.init = only_child(self.outer.pid)

    def command(self, *words):
        return ["nsenter", "-t", str(self.init), "--mount", "--net", "--pid", *words]

    def start(self, *words, **options):
        """(process to wait for, pid to signal) of a program inside."""
        process = subprocess.Popen(self.command(*words), **options)
        return process, only_child(process.pid)

    def run(self, *words, check=True, text=None, timeout=60, environment=None):
        process = subprocess.Popen(self.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=dict(os.environ, **(environment or {})))
        try:
            out, error = process.communicate(text or "", timeout * SLOW)
        except subprocess.TimeoutExpired:
            os.kill(only_child(process.pid), signal.SIGKILL)
            process.communicate()
            raise
        if check and process.returncode:
            raise RuntimeError(f"{' '.join(words)}: {error.strip() or out.strip()}")
        return subprocess.CompletedProcess(words, process.returncode, out, error)

    def namespace_of(self, pid, name):
        """The network namespace of a process by its number inside."""
        return Namespace.of(name, f"/proc/{self.init}/root/proc/{pid}/ns/net")

    def close(self):
        if self.outer.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
            self.outer.wait(20)
        self.outer.stdout.close()
        self.net.close()
        drop_cgroups(self.cgroup)


def drop_cgroups(name):
    """The empty groups that containers leave behind."""
    for top in glob.glob(f"/sys/fs/cgroup/*{name}"):
        for folder, _, _ in os.walk(top, topdown=False):
            for _ in range(50):
                try:
                    os.rmdir(folder)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)
