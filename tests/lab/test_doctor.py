# SPDX-License-Identifier: GPL-2.0-or-later
"""spr doctor on a machine that is well, and on one where something real is wrong: it names that, and nothing else."""

import contextlib
import json
import os
import signal
import subprocess
import time
from difflib import unified_diff

import pytest

from netns import write_sysctl
from spr import SPR
from test_lifecycle import repair

UNIT = "/etc/systemd/system/sprd.service"
NOTRACK = "add table inet fast; add chain inet fast pre { type filter hook prerouting priority raw; }; " \
    "add rule inet fast pre udp dport 9 notrack"
REWRITE = "add table ip odd; add chain ip odd pre { type filter hook prerouting priority -400; }; " \
    "add rule ip odd pre ip daddr 10.99.0.77 ip daddr set 10.99.0.78"


@pytest.fixture(scope="module")
def well(stage, built):
    """The scene's machine with an /etc of its own, and what an installation leaves there."""
    scene = stage.scene
    etc = f"{scene.folder}/etc"
    scene.machine.run("sh", "-c", f"""
        set -e
        mkdir {etc}
        cp -a /etc/. {etc}/
        mount --bind {etc} /etc
        rm -rf /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/iptables /etc/docker /etc/systemd/system/*.wants
        mkdir -p /run/systemd/system /etc/systemd/system/multi-user.target.wants
        printf '[Unit]\\nBefore=docker.service\\n' >{UNIT}
        ln -s {UNIT} /etc/systemd/system/multi-user.target.wants/sprd.service""")
    return etc


def examine(stage, *options):
    """(exit code, the report)"""
    done = stage.spr.command("doctor", "--json", "--state-dir", stage.spr.state, *options, check=False)
    return done.returncode, json.loads(done.stdout)


def in_memory(stage):
    return subprocess.run(["stat", "-f", "-c", "%T", stage.scene.folder], capture_output=True, text=True).stdout.strip() == "tmpfs"


def named(stage):
    """(exit code, {id: severity}) of what is worse than a notice."""
    code, report = examine(stage)
    bad = {}
    for finding in report["findings"]:
        if in_memory(stage) and finding["id"] == "state-folder" and finding["severity"] == "warning":
            continue
        if finding["severity"] in ("critical", "warning", "not checked"):
            bad.setdefault(finding["id"], finding["severity"])
    return code, bad


def well_again(stage):
    """After a while: sprd puts its rule into Docker's chain by itself."""
    until = time.monotonic() + 10
    while named(stage)[1] and time.monotonic() < until:
        time.sleep(0.1)
    assert named(stage)[1] == {}


def test_well(stage, well):
    stage.closed()
    code, bad = named(stage)
    assert bad == {}
    assert code == (5 if in_memory(stage) else 0)


def test_changes_nothing(stage, well):
    """Not a rule, not a table, not even a new generation of the ruleset, nor a setting."""
    stage.closed()
    stage.scene.nft(NOTRACK)

    def state():
        settings = stage.scene.machine.run("sh", "-c", "cd /proc/sys/net; grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward bridge || true").stdout
        return stage.scene.router.run("nft", "-a", "-s", "-t", "list", "ruleset") + settings

    monitor = stage.scene.router.start("nft", "monitor", stdout=subprocess.PIPE, text=True)
    try:
        before = state()
        examine(stage)
        after = state()
        stage.scene.nft("add table inet last")
        seen = []
        for line in monitor.stdout:
            seen.append(line)
            if "last" in line:
                break
        assert [line for line in seen if not line.startswith(("# new generation", "add table inet last"))
                and "element" not in line] == [], seen  # the daemon's own sets may change meanwhile
        assert list(unified_diff(*(part.splitlines() for part in (before, after)), n=0)) == []
    finally:
        monitor.kill()
        monitor.wait()
        monitor.stdout.close()
        stage.scene.nft("add table inet last; delete table inet last; delete table inet fast")


@contextlib.contextmanager
def rules(stage, text, undo):
    stage.scene.nft(text)
    try:
        yield
    finally:
        stage.scene.nft(undo)


@contextlib.contextmanager
def iptables_rule(stage, *rule):
    stage.scene.router.run("iptables", "-t", "raw", "-A", *rule)
    try:
        yield
    finally:
        stage.scene.router.run("iptables", "-t", "raw", "-D", *rule)


@contextlib.contextmanager
def sysctl(stage, path, value):
    with stage.scene.router.entered():
        with open(f"/proc/sys/net/{path}", encoding="ascii") as file:
            before = file.read().strip()
        write_sysctl(path, value)
    try:
        yield
    finally:
        with stage.scene.router.entered():
            write_sysctl(path, before)


@contextlib.contextmanager
def file(stage, path, text):
    stage.scene.machine.run("sh", "-c", f"mkdir -p $(dirname {path}) && cat >{path}", text=text)
    try:
        yield
    finally:
        stage.scene.machine.run("rm", path)


@contextlib.contextmanager
def mode(path, value):
    before = os.stat(path).st_mode & 0o7777
    os.chmod(path, value)
    try:
        yield
    finally:
        os.chmod(path, before)


def saved(stage):
    return "flush ruleset\n" + stage.scene.router.run("nft", "list", "ruleset")


WRONG = {
    "notrack": (lambda stage: rules(stage, NOTRACK, "delete table inet fast"), {"early-rules": "warning"}),
    "rewritten before spr": (lambda stage: rules(stage, REWRITE, "delete table ip odd"), {"early-rules": "warning"}),
    "notrack by iptables": (lambda stage: iptables_rule(stage, "PREROUTING", "-p", "udp", "--dport", "9", "-j", "CT", "--notrack"),
                            {"iptables-notrack": "warning"}),
    "route_localnet": (lambda stage: sysctl(stage, "ipv4/conf/all/route_localnet", 1), {"route-localnet": "warning"}),
    "router advertisements": (lambda stage: sysctl(stage, "ipv6/conf/br-a/accept_ra", 2), {"router-adverts": "warning"}),
    "saved ruleset": (lambda stage: file(stage, "/etc/nftables.conf", saved(stage)), {"boot-rules": "warning"}),
    "Docker on TCP": (lambda stage: file(stage, "/etc/docker/daemon.json", '{"hosts": ["tcp://0.0.0.0:2375"]}'),
                      {"docker-tcp": "critical"}),
    "Docker's socket": (lambda stage: mode(stage.scene.docker.socket, 0o666), {"docker-socket": "critical"}),
    "control socket": (lambda stage: mode(stage.spr.socket, 0o666), {"control-socket": "critical"}),
    "state folder": (lambda stage: mode(stage.spr.state, 0o777), {"state-folder": "critical"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name, stage, well):
    plant, expected = WRONG[name]
    stage.closed()
    with plant(stage):
        code, bad = named(stage)
        assert bad == expected
        assert code == (6 if "critical" in expected.values() else 5)
    assert named(stage)[1] == {}


def test_all_at_once(stage, well):
    """Several, and the daemon stopped: just these. What only sprd knows is not checked, and said to be."""
    stage.closed()
    text = saved(stage)
    stage.spr.stop()
    try:
        with rules(stage, NOTRACK, "delete table inet fast"), file(stage, "/etc/nftables.conf", text), \
                sysctl(stage, "ipv4/conf/all/route_localnet", 1):
            code, bad = named(stage)
        assert code == 5
        unknown = {name: "not checked" for name in ("enforced", "engine", "docker-networks", "docker-version")}
        assert bad == {"daemon": "warning", "protection": "warning", "early-rules": "warning", "boot-rules": "warning",
                       "route-localnet": "warning", **unknown}
    finally:
        stage.spr.start()
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")


@pytest.mark.daemon_may_die
def test_flushed_while_dead(stage, well):
    """
    The worst: up, but nothing in the kernel. And what is left of it: this Docker does not make DOCKER-USER again before it
    makes a network; what the doctor says to do about that, helps.
    """
    stage.closed()
    stage.spr.stop(signal.SIGKILL)
    stage.scene.router.run("nft", "flush", "ruleset")
    try:
        code, bad = named(stage)
        assert code == 6
        assert bad["table"] == "critical" and bad["daemon"] == "warning"
    finally:
        stage.spr.start()
        repair(stage.scene)
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
    assert named(stage)[1] in ({"docker-user": "warning"}, {})
    made = stage.scene.docker.network("again", ["172.30.7.0/24"], bridge="br-again")
    stage.scene.docker.call("DELETE", f"/networks/{made}")
    well_again(stage)


def test_daemon_hangs(stage, well):
    """A daemon that does not answer is a finding, and holds nobody up."""
    stage.closed()
    os.kill(stage.spr.pid, signal.SIGSTOP)
    try:
        code, bad = named(stage)
    finally:
        os.kill(stage.spr.pid, signal.SIGCONT)
        os.kill(stage.spr.process.pid, signal.SIGCONT)  # nsenter stops with what it runs
    assert (code, bad["daemon"]) == (5, "warning")


def test_docker_user(stage, well):
    """Our rule in Docker's chain is gone, and sprd is not there to put it back."""
    stage.closed()
    stage.spr.stop()
    try:
        listing = stage.scene.router.run("iptables", "-S", "DOCKER-USER")
        ours = [line.split()[1:] for line in listing.splitlines() if "ACCEPT" in line]
        assert len(ours) == 1
        stage.scene.router.run("iptables", "-D", *ours[0])
        assert named(stage)[1]["docker-user"] == "warning"
    finally:
        stage.spr.start()
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
    well_again(stage)


@pytest.mark.parametrize("protection, expected", [("copies", {"protection": "warning"}),
                                                  ("plain", {"protection": "warning", "boot-rules": "warning"})])
def test_lower_protection(protection, expected, stage, well):
    """A mode that is lower than what the kernel can do; a flush at boot matters then."""
    stage.closed()
    if stage.spr.status()["protection"] != "persist":
        pytest.skip("this kernel has no persistent tables")
    stage.spr.down()
    try:
        stage.spr.restart(options=("--protection", protection))
        stage.spr.up()
        with file(stage, "/etc/nftables.conf", "flush ruleset\n"), \
                file(stage, "/etc/systemd/system/sysinit.target.wants/nftables.service", ""):
            assert named(stage)[1] == expected
    finally:
        stage.spr.down()
        stage.spr.restart()
        stage.spr.up()
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
    assert named(stage)[1] == {}


def test_down(stage, well):
    stage.plain()
    code, bad = named(stage)
    assert (code, bad) == (5, {"active": "warning"})


def test_not_root(stage, well):
    """Who is not root learns what was not looked at."""
    stage.closed()
    os.chmod(stage.scene.folder, 0o755)
    done = stage.scene.machine.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SPR, "--socket", stage.spr.socket,
                                   "doctor", check=False)
    assert done.returncode == 0
    assert "not checked: needs root" in done.stdout and "(daemon)" in done.stdout
    assert "not checked" in done.stdout.splitlines()[-1]


def test_for_people(stage, well):
    """One line a finding, what to do under it, the counts last."""
    stage.closed()
    with sysctl(stage, "ipv4/conf/all/route_localnet", 1):
        lines = stage.spr.command("doctor", "--state-dir", stage.spr.state, check=False).stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("(route-localnet)"))
    assert lines[at].startswith("warning: ") and lines[at + 1].startswith("  sysctl -w")
    assert not [line for line in lines if line.startswith("ok: ")]
    assert " ok" in lines[-1]
    assert "ok: spr is up (active)" in stage.spr.command("doctor", "--all", "--state-dir", stage.spr.state, check=False).stdout
