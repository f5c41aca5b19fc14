# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: however it ends, nothing of it is left on the machine."""

import glob
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from scene import HERE, PREFIX


def processes(folder):
    """Process ids whose command line or root names the folder of a run."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if folder.encode() in file.read():
                    found.append(path.split("/")[2])
        except OSError:
            continue
    return found


@pytest.fixture
def short():
    """A folder for temporary files with a short path: sockets' paths are limited."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        yield folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left(number, short):
    named_before = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    process = subprocess.Popen([sys.executable, f"{HERE}/scene.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=str(short)), text=True,
                               # what a shell starts in the background ignores it, and so would its children
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for line in process.stdout:
        if line.startswith("built"):
            break
    folder = glob.glob(f"{short}/{PREFIX}*")[0]
    assert processes(folder), "the check itself finds nothing"
    process.send_signal(number)
    process.wait(120)
    process.stdin.close()
    process.stdout.close()
    until = time.monotonic() + 5
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes(folder) == []
    with open("/proc/mounts", encoding="utf-8") as mounts:
        assert folder not in mounts.read()
    assert (os.listdir("/run/netns") if os.path.isdir("/run/netns") else []) == named_before
    if number != signal.SIGKILL:
        assert not os.path.exists(folder)
        assert glob.glob(f"/sys/fs/cgroup/*/{os.path.basename(folder)}") == []
        return
    again = subprocess.run([sys.executable, "-c", "import scene; scene.sweep()"], cwd=HERE, check=True,
                           env=dict(os.environ, TMPDIR=str(short)))
    assert again.returncode == 0 and not os.path.exists(folder), "the next run did not sweep up"
