# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the lab. Each module stands up its own scene once; sprd is started in it when a test asks for it."""

import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from probes import CLOSED_WAIT, OPEN_WAIT  # noqa: E402
from scene import Scene, die_on_signals  # noqa: E402
from spr import SANDBOXES, Spr, merged, missing  # noqa: E402

NEEDED = ["dockerd", "docker", "containerd", "runc", "nft", "iptables", "conntrack", "nsenter", "unshare", "setpriv", "cc"]


def pytest_configure(config):
    config.addinivalue_line("markers", "smoke: the short list that runs again in every mode")
    config.addinivalue_line("markers", "daemon_may_die: the test ends sprd itself")


def pytest_sessionstart(session):
    die_on_signals()


def pytest_terminal_summary(terminalreporter):
    for said in sorted(SANDBOXES):
        terminalreporter.write_line(said)


def pytest_collection_modifyitems(config, items):
    reason = None
    if os.geteuid() != 0:
        reason = "the lab needs root, to make network namespaces"
    lacking = [name for name in NEEDED if not shutil.which(name)]
    if lacking:
        reason = f"the lab needs {', '.join(lacking)}"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


class Stage:
    """The scene in one of two states: plain Docker, or with spr up and a policy in force."""

    def __init__(self, scene, *options):
        self.scene = scene
        self.spr = Spr(scene, *options)
        self.active = False
        self.document = None
        self.seen = {}

    def plain(self):
        if self.active:
            self.spr.down()
            self.active = False

    def closed(self, *parts, base=None):
        """spr is up with the base policy and these parts, nothing else."""
        wanted = merged(*parts, base=base)
        if not self.spr.alive():
            self.spr.start()
        if not self.active:
            self.spr.apply(wanted)
            self.spr.up()
            self.active = True
            self.document = wanted
            self.spr.wait_for(lambda status: status["active"] and (not self.scene.docker or status["engine"]["state"] == "connected"))
        elif self.document != wanted:
            self.spr.apply(wanted)
            self.document = wanted
        return self.spr

    def grant(self, *commands):
        """Changes by the spr command; the next closed() takes them back."""
        self.document = None
        for command in commands:
            self.spr.command(*command)

    def is_open(self, run):
        return run(self.scene, OPEN_WAIT)

    def is_closed(self, run):
        return not run(self.scene, CLOSED_WAIT)


@pytest.fixture(scope="module")
def scene():
    with Scene() as standing:
        yield standing


@pytest.fixture(scope="module")
def stage(scene):
    made = Stage(scene)
    yield made
    made.spr.stop()


@pytest.fixture(scope="module")
def machine(scene):
    """The scene's machine, with an ear at the outer end of each interface."""
    from twin import Machine  # pylint: disable=import-outside-toplevel  # scapy takes seconds to load

    made = Machine(scene)
    made.prepare()
    yield made
    made.close()


@pytest.fixture(scope="session")
def built():
    reason = missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def daemon_lives(request):
    """A daemon that died during a test fails that test, unless the test killed it itself and says so."""
    yield
    stage = request.node.funcargs.get("stage")
    if stage and stage.spr.process and not stage.spr.alive() and not request.node.get_closest_marker("daemon_may_die"):
        code = stage.spr.process.returncode
        stage.spr.process = None
        stage.active = False
        stage.document = None
        pytest.fail(f"sprd ended with {code}:\n{stage.spr.read_log()[-2000:]}")
