# SPDX-License-Identifier: GPL-2.0-or-later
"""
Calls of sprd to the kernel, to malloc() and for descriptors fail, at the first, the second, the third ... of a change, of
`spr up` and of a start. Meanwhile forbidden packets run against the machine, and a flow that is allowed goes on. Each
time sprd says that it failed and holds what it held, or has done it; it may end for lack of memory and of nothing else.
By default some of the calls fail; with SPR_SOAK=1 all, of malloc() 300 spread evenly.
"""

import contextlib
import difflib
import os
import re
import threading
import time

import pytest

from faults import FOREVER, KINDS, LIBRARY, Faults
from probes import OPEN_WAIT, talk, tcp_open
from scene import INTERNET4, TRUSTED4
from spr import SprError, merged
from test_lifecycle import FIRE, assert_no_leak, under_fire

SOAK = bool(os.environ.get("SPR_SOAK"))
SOAK_CALLS = 300  # of more calls, as many, spread evenly
SETTLE = 8  # seconds within which it is as it should be again

A = {"allow": [{"from": "upstream", "to": "container:bob", "ports": ["80/udp"]}]}
B = {"containers": [{"name": "mate", "policies": ["wan", "lan", "lan_upstream"], "groups": ["x"]}], "groups": [{"name": "x"}],
     "block": [{"from": "container:six", "to": "internet"}]}

KERNEL = [("send", "ENOBUFS", 1), ("send", "EINTR", 1), ("send", "EPERM", 1), ("send", "ENOMEM", FOREVER),
          ("receive", "ENOBUFS", 1), ("receive", "EINTR", 1), ("receive", "ENOMEM", 1), ("receive", "ENOBUFS", 20),
          ("lost", "ENOBUFS", 1), ("cut", "ENOBUFS", 1)]
SLOW = [("lost", "EAGAIN", 1)]  # an answer that never comes is waited for
MEMORY = [("memory", "ENOMEM", 1), ("memory", "ENOMEM", FOREVER)]


def some(calls, wanted):
    """Numbers of calls, from the first to the last."""
    if SOAK and calls <= SOAK_CALLS:
        return range(1, calls + 1)
    wanted = min(calls, SOAK_CALLS if SOAK else wanted)
    return [1] if wanted == 1 else sorted({1 + round(i * (calls - 1) / (wanted - 1)) for i in range(wanted)})


def sort_elements(match):
    """Elements in an order that does not depend on what was there before."""
    return "elements = {" + ",\n".join(sorted(element.strip() for element in match[1].split(","))) + "}"


def in_kernel(scene):
    """What the tables of spr say, without what comes and goes; "" without any."""
    texts = []
    for table in scene.router.run("nft", "list", "tables").splitlines():
        if not table.split()[-1].startswith("spr"):
            continue
        text = re.sub(r"counter packets \d+ bytes \d+", "counter", scene.router.run("nft", "list", *table.split()))
        text = re.sub(r"(?m)^table .*$|\s*# progname.*$|^\}$", "", re.sub(r"passed-\w+", "passed", text))
        blocks = [re.sub(r"\s*elements = \{[^}]*\}", "", block) if re.search(r"flags .*(timeout|dynamic)", block) else block
                  for block in text.split("\n\n")]
        texts.append("\n\n".join(sorted(re.sub(r"elements = \{([^}]*)\}", sort_elements, block).strip("\n ") for block in blocks)))
    return "\n\n".join(texts)


def difference(wanted, there):
    return "\n".join(list(difflib.unified_diff(wanted.splitlines(), there.splitlines(), "wanted", "there", lineterm="", n=1))[:40])


class Daemon:
    """sprd with faults, its two policies, and what the kernel holds for each."""

    def __init__(self, stage):
        self.stage, self.scene, self.spr = stage, stage.scene, stage.spr
        self.faults = Faults(f"{self.scene.folder}/faults")
        self.spr.prefix = self.faults.prefix()
        self.tables = {}
        for part in (A, B, A):
            stage.closed(part)
            self.tables[self.spr.call("export")["yaml"]] = in_kernel(self.scene)
        assert len(set(self.tables.values())) == 2

    def now(self):
        return self.spr.call("export")["yaml"]

    def settled(self):
        """Waits until the kernel holds what status says that it should."""
        until = time.monotonic() + SETTLE
        while True:
            status = self.spr.status()
            problem = status["problems"]
            wanted = self.tables[self.now()] if status["active"] else ""
            there = in_kernel(self.scene)
            if not problem and there == wanted:
                return status
            assert time.monotonic() < until, f"active {status['active']}, {problem}, {difference(wanted, there)}"
            time.sleep(0.1)

    def attempt(self, change):
        """Whether the change was made; None when sprd ended over it. Any other end is a failure."""
        try:
            change()
            return True
        except SprError as error:
            return None if "for the answer" in error.message else False
        except (OSError, TypeError, ValueError):  # no answer, or none that is whole
            return None

    def revive(self, memory):
        """sprd after a fault: alive, or started anew where memory ran out."""
        time.sleep(0.05)
        if self.spr.alive():
            return
        assert memory, f"sprd ended with {self.spr.process.returncode}:\n{self.spr.read_log()[-1500:]}"
        self.spr.start()
        self.spr.wait_for(lambda status: status["engine"]["state"] == "connected")

    def served(self):
        """Waits until callers are served again."""
        until = time.monotonic() + SETTLE
        while self.attempt(self.spr.status) is not True:
            assert self.spr.alive() and time.monotonic() < until
            time.sleep(0.05)

    def counted(self, change):
        """How many calls of each kind a change takes."""
        self.faults.arm("none", at=0)
        change()
        self.faults.disarm()
        return {kind: self.faults.calls(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def daemon(stage, built):
    if not os.path.exists(LIBRARY):
        pytest.skip(f"{LIBRARY} is not built")
    return Daemon(stage)


@contextlib.contextmanager
def fire_and_flow(scene):
    """No forbidden packet arrives, and the flow that is allowed lives."""
    sock, _ = tcp_open(scene.trusted, INTERNET4, 80, OPEN_WAIT)
    with sock:
        assert talk(sock, OPEN_WAIT)
        with under_fire(scene, *FIRE) as result:
            yield sock
        assert talk(sock, OPEN_WAIT), "the allowed flow was cut"
    assert_no_leak(result)


def other(daemon):
    return B if "bob" in daemon.now() else A


def apply(daemon, part):
    daemon.spr.apply(merged(part))


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("faults, wanted", [(KERNEL if SOAK else KERNEL[::3], 2), (SLOW, 1), (MEMORY, 8)], ids=["kernel", "silence", "memory"])
def test_change(faults, wanted, stage, daemon):
    """A change of policy is made, or refused and not made."""
    done = {True: 0, False: 0, None: 0}
    with fire_and_flow(daemon.scene) as sock:
        calls = daemon.counted(lambda: apply(daemon, other(daemon)))
        for kind, code, times in faults:
            for at in some(calls[kind], wanted):
                before, part = daemon.now(), other(daemon)
                daemon.faults.arm(kind, code, at, times)
                made = daemon.attempt(lambda part=part: apply(daemon, part))
                failed = daemon.faults.disarm()
                daemon.revive(kind == "memory")
                where = f"{kind} {code} at call {at}"
                if made is not None:
                    assert (daemon.now() != before) == made, f"{where}: the answer is not what happened"
                try:
                    daemon.settled()
                except AssertionError as error:
                    raise AssertionError(f"{where}, {failed} failed: {error}") from error
                assert talk(sock, OPEN_WAIT), f"{where}: the allowed flow was cut"
                done[made] += failed > 0
    assert sum(done.values()) > 0 and (faults is MEMORY or not done[None]), done
    assert faults is SLOW or done[False] > 0, done


@pytest.mark.daemon_may_die
def test_end_within_a_change(daemon):
    """sprd is told to end while a change is being written down, and another waits for it: what is freed by then is not used."""
    daemon.spr.prefix = ["env", "MALLOC_PERTURB_=165", *daemon.faults.prefix()]  # what is freed holds garbage at once
    daemon.spr.restart()
    daemon.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
    parts, answers = [other(daemon), A, B], []
    daemon.faults.arm("sync", "SLOW")
    try:
        callers = [threading.Thread(target=lambda part=part: answers.append(daemon.attempt(lambda: apply(daemon, part)))) for part in parts]
        for caller in callers:
            caller.start()
            time.sleep(0.1)
        daemon.spr.stop()
        for caller in callers:
            caller.join()
        assert daemon.faults.disarm() == 1, "nothing was slow"
    finally:
        daemon.faults.disarm()
        daemon.spr.prefix = daemon.faults.prefix()
    assert answers == [None] * len(parts), "a call was answered before the end"
    assert daemon.spr.process.returncode == 0, daemon.spr.read_log()[-1500:]
    daemon.spr.start()
    daemon.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
    daemon.settled()


def test_news_within_a_change(daemon):
    """A network that appears behind the LAN while a change is written down counts, though it was not there at the review."""
    route = f"10.77.0.0/16 via {TRUSTED4}"
    changed = []
    assert "10.77.0.0" not in in_kernel(daemon.scene)
    daemon.faults.arm("sync", "SLOW")
    try:
        caller = threading.Thread(target=lambda: changed.append(daemon.attempt(lambda: apply(daemon, other(daemon)))))
        caller.start()
        time.sleep(0.4)
        daemon.scene.router.ip(f"route add {route}")
        caller.join()
        assert daemon.faults.disarm() == 1, "nothing was slow"
        assert changed == [True] and "10.77.0.0" in in_kernel(daemon.scene)
    finally:
        daemon.faults.disarm()
        daemon.scene.router.ip(f"route del {route}")
    daemon.settled()


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("faults, wanted", [(KERNEL if SOAK else KERNEL[::3], 2), (MEMORY, 3)], ids=["kernel", "memory"])
def test_up(faults, wanted, daemon):
    """`spr up` enforces, or fails and leaves nothing behind; `spr down` takes away, or fails and leaves all."""
    for verb in ("up", "down"):
        getattr(daemon.spr, "down" if verb == "up" else "up")()
        calls = daemon.counted(getattr(daemon.spr, verb))
        for kind, code, times in faults:
            for at in some(calls[kind], wanted):
                getattr(daemon.spr, "down" if verb == "up" else "up")()
                daemon.faults.arm(kind, code, at, times)
                made = daemon.attempt(getattr(daemon.spr, verb))
                daemon.faults.disarm()
                daemon.revive(kind == "memory")
                if made is None:
                    getattr(daemon.spr, verb)()  # whatever became of it, it can be said again
                where = f"{verb}, {kind} {code} at call {at}"
                try:
                    status = daemon.settled()
                except AssertionError as error:
                    raise AssertionError(f"{where}: {error}") from error
                assert made is None or status["active"] == (made == (verb == "up")), f"{where}: the answer is not what happened"
    daemon.spr.up()


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("faults, wanted", [(KERNEL if SOAK else KERNEL[::4], 2), (MEMORY[:1], 3)], ids=["kernel", "memory"])
def test_start(faults, wanted, daemon):
    """A start succeeds, or fails with a sentence and leaves everything closed; the next one succeeds."""
    daemon.spr.up()
    with fire_and_flow(daemon.scene):
        calls = daemon.counted(daemon.spr.restart)
        for kind, code, times in faults:
            for at in some(calls[kind], wanted):
                daemon.spr.stop()
                daemon.faults.arm(kind, code, at, times)
                said = len(daemon.spr.read_log())
                with contextlib.suppress(RuntimeError):
                    daemon.spr.start()
                daemon.faults.disarm()
                if not daemon.spr.alive():
                    assert "sprd: " in daemon.spr.read_log()[said:] or kind == "memory", f"{kind} {code} at {at}: no word"
                    daemon.spr.start()
                try:
                    daemon.settled()
                except AssertionError as error:
                    raise AssertionError(f"{kind} {code} at call {at}: {error}") from error


@pytest.fixture
def under_probes(daemon):
    with fire_and_flow(daemon.scene):
        yield


def test_accept_without_descriptors(daemon, under_probes):
    """A caller that cannot be taken in waits or is hung up on; the next one is served."""
    for code in ("EMFILE", "ENFILE", "ECONNABORTED"):
        daemon.faults.arm("accept", code, 1, 3)
        for _ in range(6):
            daemon.attempt(daemon.spr.status)
        daemon.faults.disarm()
        daemon.served()


def test_change_without_descriptors(daemon, under_probes):
    daemon.faults.arm("socket", "EMFILE", 1, FOREVER)
    made = daemon.attempt(lambda: apply(daemon, other(daemon)))
    daemon.faults.disarm()
    assert made is not None
    daemon.settled()


def test_many_descriptors(daemon, under_probes):
    """With 2,000 descriptors open before its own, and more callers than it takes."""
    plain = daemon.spr.prefix
    daemon.spr.stop()
    daemon.spr.prefix = ["bash", "-c", 'ulimit -n 4096; for i in $(seq 2000); do exec {fd}</dev/null; done; exec "$@"', "bash", *plain]
    try:
        daemon.spr.start()
        daemon.settled()
        folder = f"/proc/{daemon.spr.pid}/fd"
        before = len(os.listdir(folder))
        assert before > 2000
        apply(daemon, other(daemon))
        daemon.settled()
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                with contextlib.suppress(BlockingIOError):  # the queue before it is full
                    stack.enter_context(daemon.spr.connect())
            time.sleep(0.5)
            assert len(os.listdir(folder)) <= before + 70
        daemon.served()
        daemon.settled()
    finally:
        daemon.spr.stop()
        daemon.spr.prefix = plain
        daemon.spr.start()
