# SPDX-License-Identifier: GPL-2.0-or-later
"""The short list again on other machines: br_netfilter off, kernels without owned tables, the rules of newer Dockers."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from attacks import BY_ID, SMOKE
from conftest import Stage
from paths import GRANTS, PATHS
from probes import CLOSED_WAIT, OPEN_WAIT
from scene import HERE, Scene
from test_lifecycle import FIRE, assert_no_leak, repair, under_fire

pytestmark = pytest.mark.smoke

NO_IPTABLES = {"docker_arguments": ("--iptables=false",)}


@dataclass
class Mode:
    options: list = field(default_factory=list)  # of sprd
    scene: dict = field(default_factory=dict)
    load: tuple = ()  # commands and the rules they read
    protection: str = ""
    base: dict = None  # the policy, when it is not the usual one

    @property
    def newer_docker(self):
        return bool(self.load)


MODES = {
    "br_netfilter-off": Mode(scene={"br_netfilter": False}),
    "copies": Mode(["--protection", "copies"], protection="copies"),
    "copies-br_netfilter-off": Mode(["--protection", "copies"], {"br_netfilter": False}, protection="copies"),
    "plain": Mode(["--protection", "plain"], protection="plain"),
    "docker-28": Mode(scene=NO_IPTABLES, load=(("iptables-restore", "docker28.v4.rules"), ("ip6tables-restore", "docker28.v6.rules"))),
    "docker-29": Mode(scene=NO_IPTABLES, load=(("nft -f -", "docker29.nft"),)),
    "docker-without-rules": Mode(scene=NO_IPTABLES),
}

# Closed by Docker 28 and 29 themselves, grant or no grant: access to a container's own address from elsewhere.
DIRECT = {"IN-01", "IN-02", "IN-04", "IN-04/6", "IN-14", "IN-27", "SP-02", "SP-10", "LAT-01", "LAT-18", "V6-01"}
KEEP = ["container to internet, TCP", "container to internet, UDP", "container to internet, TCP over IPv6",
        "container to internet, ping over IPv6", "container to resolver, UDP", "members of one network, UDP",
        "members of one network over IPv6", "published port to the LAN, real address", "published port to the internet, real address",
        "published port to the internet over IPv6", "published UDP port to the internet", "LAN client to internet",
        "LAN client to internet over IPv6", "LAN client to DHCP", "the admin's ssh", "host to container",
        "host to port published on 127.0.0.1", "host to internal container", "host to private upstream"]


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return MODES[request.param]


@pytest.fixture(scope="module")
def stage(mode):
    with Scene(**mode.scene) as scene:
        for command, name in mode.load:
            with open(f"{HERE}/fixtures/{name}", encoding="ascii") as file:
                scene.router.run(*command.split(), text=file.read())
        made = Stage(scene, *mode.options)
        yield made
        made.spr.stop()


def without_rules(mode):
    """dockerd that makes no rules: no DNAT, no masquerade; docker-proxy alone."""
    return mode.scene == NO_IPTABLES and not mode.load


def applicable(mode, name):
    return not (without_rules(mode) and name in ("IN-27", "IN-09", "LAT-25"))


def attempt(stage, names, wait):
    """Who of them gets through; all at once."""
    with ThreadPoolExecutor(6) as pool:
        return [name for name, got in zip(names, pool.map(lambda name: BY_ID[name].run(stage.scene, wait), names)) if got]


def test_plain(mode, stage):
    """What the short list does there without spr: open, but for what this Docker closes itself."""
    stage.plain()
    names = [name for name in SMOKE if BY_ID[name].plain == "open" and applicable(mode, name)]
    if mode.newer_docker:
        names = [name for name in names if name not in DIRECT]
    if without_rules(mode):
        names = [name for name in names if not name.startswith("OUT") or "/6" in name]
    assert set(names) - set(attempt(stage, names, OPEN_WAIT)) == set()


def test_closed(mode, stage, built):
    stage.closed()
    if mode.protection:
        assert stage.spr.status()["protection"] == mode.protection
    assert attempt(stage, SMOKE, CLOSED_WAIT) == []


@pytest.mark.parametrize("name", SMOKE)
def test_control(name, mode, stage, built):
    control = BY_ID[name].control
    if mode.newer_docker and name in DIRECT and control.commands and name != "IN-01":
        pytest.skip("this Docker drops direct access in raw: nobody's accept can overrule that")
    if without_rules(mode):
        pytest.skip("without Docker's rules nothing is translated: its published ports and its masquerade are not there")
    stage.closed()
    stage.grant(*control.commands)
    assert stage.is_open(control.run or BY_ID[name].run), f"stayed closed in spite of {control.commands}"
    if control.still:
        assert stage.is_closed(control.still)


def test_works(mode, stage, built):
    stage.closed(GRANTS)
    names = [name for name in KEEP if not without_rules(mode) or "container" not in name and "published" not in name]
    assert [name for name in names if not stage.is_open(PATHS[name])] == []


@pytest.mark.daemon_may_die
def test_crash(mode, stage, built):
    stage.closed()
    with under_fire(stage.scene, *FIRE) as result:
        stage.spr.stop(signal.SIGKILL)
        time.sleep(0.3)
        stage.spr.start()
    assert_no_leak(result)
    assert attempt(stage, SMOKE, CLOSED_WAIT) == []


def test_flush(mode, stage, built):
    """Somebody flushes the ruleset: not a packet through, or closed again at once where the kernel can do no better."""
    if mode.newer_docker:
        pytest.skip("the flush would take the fixture's rules with it, and dockerd does not know them")
    stage.closed()
    try:
        with under_fire(stage.scene, *FIRE) as result:
            for _ in range(3):
                stage.scene.router.run("nft", "flush", "ruleset")
                time.sleep(0.1)
        if mode.protection != "plain":
            assert_no_leak(result)
        assert attempt(stage, SMOKE, CLOSED_WAIT) == []
    finally:
        repair(stage.scene)


def test_down(mode, stage, built):
    stage.closed()
    stage.plain()
    tables = stage.scene.router.run("nft", "list", "tables").splitlines()
    assert not [line for line in tables if line.split()[-1].startswith("spr")]
