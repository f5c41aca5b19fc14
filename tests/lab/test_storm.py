# SPDX-License-Identifier: GPL-2.0-or-later
"""
What can go wrong on a machine, each under forbidden packets every 20 us and beside a flow that is allowed: none of the
packets arrives, and the flow lives. With owned tables that persist, and as on kernels without them. `make soak` does each
more often, and writes the results to docs/faults.md.
"""

import contextlib
import json
import os
import shutil
import signal
import threading
import time

import pytest

from attacks import PUB4, SIX6, connect
from conftest import Stage
from fake_docker import SUBNET6, FakeDocker, pause, six_of
from faults import LIBRARY, Faults
from probes import OPEN_WAIT, SLOW, Flood, talk, tcp_open, udp_arrived
from scene import HOST4, HOST6, INTERNET4, Scene
from spr import SPRD, SprError, merged
from test_faults import difference, in_kernel
from test_lifecycle import flush_iptables, repair
from test_revisions import damage, own_disk

SOAK = bool(os.environ.get("SPR_SOAK"))
TABLE = os.environ.get("SPR_FAULTS_TABLE")
TIMES = 10 if SOAK else 1
MODES = {"persist": [], "copies": ["--protection", "copies"]}
SHOTS = [("neighbour", PUB4, 9999, 20), ("neighbour", SIX6, 9999, 100), ("neighbour", HOST4, 9053, 100)]
NEW4 = "172.30.1.77"
REUSED4 = "172.30.45.10"
LANES = [f"172.30.45.{number}" for number in range(20, 32)]  # addresses that change hands beside it
LIFE, GAP = 0.12, 0.4  # seconds that a container runs, and until the next has its address: some 700 ms with a real dockerd here
results = []


@pytest.fixture(scope="module", params=MODES)
def storm(request, built):
    """A scene with sprd up, its calls in our hands."""
    with Scene() as scene:
        stage = Stage(scene, *MODES[request.param])
        faults = Faults(f"{scene.folder}/faults") if os.path.exists(LIBRARY) else None
        if faults:
            stage.spr.prefix = faults.prefix()
        stage.closed()
        yield Storm(request.param, stage, faults)
        stage.spr.stop()


class Storm:
    def __init__(self, mode, stage, faults):
        self.mode, self.stage, self.scene, self.spr, self.faults = mode, stage, stage.scene, stage.spr, faults
        self.note = ""  # beside the fault, in the table

    def connected(self):
        self.spr.wait_for(lambda status: status["engine"]["state"] == "connected", 30)

    def calm(self):
        """As it was: alive, enforcing, and nothing is a problem."""
        if not self.spr.alive():
            self.spr.start()
        self.connected()
        self.spr.wait_for(lambda status: status["active"] and not status["problems"])
        self.stage.document = None
        self.stage.closed()


# --- what goes wrong ---------------------------------------------------------------------------------------------

def killed(storm):
    for _ in range(2 * TIMES):
        storm.spr.stop(signal.SIGKILL)
        time.sleep(0.1)
        storm.spr.start()


def upgraded(storm):
    """Another binary takes over."""
    other = f"{storm.scene.folder}/sprd-other"
    shutil.copy(SPRD, other)
    with open(other, "ab") as file:
        file.write(b"another")
    for _ in range(TIMES):
        storm.spr.stop()
        offset = os.path.getsize(storm.spr.log)
        arguments = [other if word == SPRD else word for word in storm.spr.arguments()]
        with open(storm.spr.log, "ab") as log:
            storm.spr.process, storm.spr.pid = storm.scene.machine.start(*arguments, stdout=log, stderr=log)
        storm.spr.wait_ready(offset)


def flushed(storm):
    for _ in range(3 * TIMES):
        storm.scene.router.run("nft", "flush", "ruleset")
        time.sleep(0.05)
    repair(storm.scene)


def deleted(storm):
    """Table by table, by hand: what may be deleted on such a kernel."""
    for _ in range(3 * TIMES):
        storm.scene.router.run("nft", "delete", "table", "inet", "spr", check=False)
        time.sleep(0.1)


def iptables_flushed(storm):
    for _ in range(3 * TIMES):
        flush_iptables(storm.scene)
        time.sleep(0.05)
    repair(storm.scene)


FIREWALLD = """
table inet firewalld {}
delete table inet firewalld
table inet firewalld {
	chain prerouting { type filter hook prerouting priority -290; policy accept; }
	chain forward { type filter hook forward priority filter + 10; policy accept; ct state established,related accept; accept; }
	chain input { type filter hook input priority filter + 10; policy accept; ct state established,related accept; accept; }
}
"""


def firewalld_reloaded(storm):
    """Everything of others away, then a table that accepts all."""
    for _ in range(3 * TIMES):
        flush_iptables(storm.scene)
        storm.scene.nft(FIREWALLD)
        time.sleep(0.05)
    storm.scene.router.run("nft", "delete", "table", "inet", "firewalld")
    repair(storm.scene)


def docker_restarted(storm):
    for how in (signal.SIGTERM, signal.SIGKILL):
        storm.scene.docker.stop(how)
        storm.scene.docker.start()
        storm.connected()


def docker_hangs(storm):
    """It takes connections and answers nothing; meanwhile the policy changes and sprd is started anew."""
    os.kill(storm.scene.docker.pid, signal.SIGSTOP)
    try:
        storm.spr.apply(merged({"block": [{"from": "container:pub", "to": "internet"}]}))
        storm.spr.restart(signal.SIGKILL)
        time.sleep(1)
        storm.spr.apply(merged())
    finally:
        os.kill(storm.scene.docker.pid, signal.SIGCONT)
        os.kill(storm.scene.docker.process.pid, signal.SIGCONT)  # nsenter stops with its child
    storm.connected()


def address_reused(storm):
    """A container stops and another takes its address, again and again; only the first has a grant."""
    storm.spr.call("allow", **{"from": "upstream", "to": "container:first", "ports": ["9999/udp"]})
    scene = storm.scene
    with Flood(scene, "neighbour", NEW4, 9999, 20) as flood:
        for number in range(6 * TIMES):
            for name in ("first", "second"):
                space = scene.container(name, "br-a", NEW4, services=["tcp:0.0.0.0:80"])
                arrived = udp_arrived(space)
                if name == "second":
                    assert arrived == 0, f"round {number}: {arrived} packets for the one before"
                scene.remove(name)
        assert flood.stop() > 500


def one_life(fake, name, reached=False, **how):
    """A container starts, runs, if need be until it is reached, and stops. How many packets arrived at it."""
    before = udp_arrived(fake.spaces[name])
    fake.start(name)
    pause(LIFE)
    until = time.monotonic() + OPEN_WAIT
    while reached and udp_arrived(fake.spaces[name]) == before and time.monotonic() < until:
        pause(0.01)
    fake.stop(name, **how)
    pause(GAP)
    return udp_arrived(fake.spaces[name]) - before


def same_as_fresh(storm):
    """What is in the kernel is what a daemon would write that knows nothing of before."""
    before = in_kernel(storm.scene)
    storm.spr.restart()
    storm.connected()
    after = in_kernel(storm.scene)
    assert REUSED4 in after and before == after, difference(after, before)


class Lane(threading.Thread):
    """An address that two containers have by turns, to nobody's notice."""

    def __init__(self, fake, address):
        super().__init__(daemon=True)
        self.fake, self.address, self.lives, self.ended = fake, address, 0, threading.Event()
        self.names = [f"{side}{address.rsplit('.', 1)[1]}" for side in ("left", "right")]
        for name in self.names:
            fake.create(name, address)

    def run(self):
        while not self.ended.is_set():
            for name in self.names:
                one_life(self.fake, name, remove=self.lives % 4 > 1)
                self.lives += 1
                if (self.lives - 1) % 4 > 1:
                    self.fake.create(name, self.address)


@contextlib.contextmanager
def busy_lanes(fake):
    lanes = [Lane(fake, address) for address in LANES]
    for lane in lanes:
        lane.start()
    try:
        yield lanes
    finally:
        for lane in lanes:
            lane.ended.set()
        for lane in lanes:
            lane.join(30)


def reuse(fake):
    """What arrived at the first and at the second, round by round, and the starts and stops a second of all together."""
    counts, began = {"first": [], "second": []}, time.monotonic()
    with busy_lanes(fake) as lanes:
        for number in range(20 * TIMES):
            remove, late = number // 5 % 2 == 1, number % 2 == 1
            for name, got in counts.items():
                got.append(one_life(fake, name, reached=name == "first", remove=remove, late=late))
                if remove:
                    fake.create(name, REUSED4)
        lives = sum(lane.lives for lane in lanes) + 2 * len(counts["first"])
        seconds = time.monotonic() - began
    return counts["first"], counts["second"], 2 * lives / seconds


def address_reused_quickly(storm):
    """The same among so many as no dockerd here manages: the engine is played. Stopped and started, and removed and made anew."""
    scene, spr = storm.scene, storm.spr
    grants = [{"from": "upstream", "to": f"container:{name}", "ports": ["9999/udp"]} for name in ("first", "second")]
    with FakeDocker(scene, "br-r", "172.30.45.0/24") as fake, Flood(scene, "neighbour", REUSED4, 9999, 20) as flood:
        spr.options, options = [*spr.options, "--docker", fake.socket], spr.options
        for name in ("first", "second"):
            fake.create(name, REUSED4)
            scene.serve(fake.spaces[name], name, "talk:0.0.0.0:9999")
        spr.apply(merged({"allow": grants}))
        spr.restart()
        storm.connected()
        for name in ("first", "second"):
            assert one_life(fake, name, reached=True) > 0, f"the control: {name} may be reached, and is not"
        spr.apply(merged({"allow": grants[:1]}))
        first, second, rate = reuse(fake)
        fake.start("first")
        time.sleep(2)
        same_as_fresh(storm)
        fake.stop("first")
        assert flood.stop() > 1000
        spr.options = options
        spr.restart()
    storm.note = f"{rate:.0f} starts and stops a second; {sum(first)} packets arrived at the one who may"
    assert sum(second) == 0, f"packets for the one before, by rounds: {second}"
    assert all(first), f"who may be reached was not: {first}"
    assert rate >= 20 / SLOW, storm.note


def many_changes(storm):
    """Ten a second."""
    for number in range(20 * TIMES):
        parts = [{"allow": [{"from": "upstream", "to": "container:bob", "ports": [f"{7000 + number}/tcp"]}]},
                 {"containers": [{"name": "mate", "policies": ["wan", "lan"], "groups": ["x"]}], "groups": [{"name": "x"}]}, {}]
        storm.spr.apply(merged(parts[number % 3]))
        time.sleep(0.05)


def interface_renamed(storm):
    """The guests' interface under another name, and back."""
    ip = storm.scene.router.ip
    for _ in range(2 * TIMES):
        ip("link set guest0 down", "link set guest0 name guest9", "link set guest9 up")
        time.sleep(0.1)
        ip("link set guest9 down", "link set guest9 name guest0", "link set guest0 up")
        time.sleep(0.1)


def interface_of_another_kind(storm):
    """A container network's bridge is taken away, and something else of its name and address comes up."""
    scene, docker = storm.scene, storm.scene.docker
    for kind in ("bridge", "tun"):
        docker.network("br-x", ["172.30.44.0/24"])
        with Flood(scene, "neighbour", "172.30.44.10", 9999, 20):
            scene.router.ip("link del br-x")
            if kind == "tun":
                scene.router.ip("tuntap add br-x mode tap")
            else:
                scene.router.ip("link add br-x type bridge")
            scene.router.ip("addr add 172.30.44.1/24 dev br-x", "link set br-x up")
            time.sleep(0.3)
            drops = storm.spr.status()["drops"]
            assert drops
            scene.router.ip("link del br-x")
        docker.call("DELETE", "/networks/br-x")


def clock_jumps(storm):
    """Back and forth by a year: what has an end stays closed after it, and nothing else opens."""
    storm.spr.call("allow", **{"from": "upstream", "to": "container:mate", "ports": ["9999/tcp"], "for": 3600})
    for seconds in (-86400 * 365, 86400 * 365, 0, 7200, -7200, 0):
        storm.faults.clock(seconds)
        time.sleep(1.2)
    storm.faults.clock(7200)
    time.sleep(1.2)
    assert storm.stage.is_closed(connect("neighbour", "172.30.1.13", 9999, "mate"))
    storm.faults.clock(0)
    time.sleep(1.2)


def changed_in_vain(storm):
    """A change that cannot be written down is refused, and a start after it finds what was in force."""
    probe = connect("neighbour", "172.30.2.10", 80, "bob")
    for how in (signal.SIGTERM, signal.SIGKILL):
        with pytest.raises(SprError, match="nothing was changed"):
            for number in range(60):
                storm.spr.call("allow", **{"from": "upstream", "to": "container:bob", "ports": ["80/tcp", f"{7000 + number}/tcp"]})
                assert storm.stage.is_open(probe)
                storm.spr.apply(merged())
        storm.spr.restart(how)
        storm.connected()


def disk_full(storm):
    with own_disk(storm, f"cat /dev/zero >{storm.spr.state}/filler"):
        changed_in_vain(storm)
        assert storm.spr.status()["active"]


def disk_read_only(storm):
    with own_disk(storm, f"mount -o remount,ro {storm.spr.state}"):
        changed_in_vain(storm)
        assert storm.spr.status()["problems"]


def database_damaged(storm):
    for how in ("garbage", "empty-pages", "gone"):
        storm.spr.stop()
        damage(f"{storm.spr.state}/spr.db", how)
        storm.spr.start()
        storm.connected()
        assert storm.spr.status()["active"] and (how == "gone" or "aside" in storm.spr.status()["problems"][0])
        for name in os.listdir(storm.spr.state):
            if "damaged" in name:
                os.unlink(f"{storm.spr.state}/{name}")
        storm.spr.restart()


def crashes_within_a_change(storm):
    """sprd ends at each step of a change that opens, and is started again: it is made or it is not, and never in part."""
    opens = {"allow": [{"from": "upstream", "to": "container:bob", "ports": ["80/tcp"]}]}
    probe = connect("neighbour", "172.30.2.10", 80, "bob")
    storm.spr.restart()
    for kind, numbers in (("sync", range(1, 9)), ("send", range(1, 9, 1 if SOAK else 2)), ("receive", range(1, 9, 1 if SOAK else 3))):
        for at in numbers:
            storm.spr.apply(merged())
            storm.faults.arm(kind, "DIE", at)
            answered = False
            with contextlib.suppress(OSError, TypeError, ValueError):
                storm.spr.apply(merged(opens))
                answered = True
            died = storm.faults.disarm() > 0
            if died:
                storm.spr.process.wait(10)
                storm.spr.start()
            made = "allow:" in storm.spr.call("export")["yaml"]
            assert made or not answered, f"{kind} {at}: answered, and lost"
            assert storm.stage.is_open(probe) if made else storm.stage.is_closed(probe), f"{kind} {at}: made {made}"
            states = [row["state"] for row in storm.spr.call("history", limit=100)["revisions"]]
            assert "unsettled" not in states and states.count("current") == 1, states


FAULTS = {
    "sprd is killed and started again": killed,
    "sprd is replaced by another binary": upgraded,
    "sprd ends at each step of a change": crashes_within_a_change,
    "`nft flush ruleset`": flushed,
    "`nft delete table inet spr`": deleted,
    "`iptables -F` in all tables, policies ACCEPT": iptables_flushed,
    "a reload in the manner of firewalld": firewalld_reloaded,
    "Docker is restarted, and killed": docker_restarted,
    "Docker's socket hangs": docker_hangs,
    "an address goes from one container to another": address_reused,
    "addresses go from one container to another, 20 starts and stops a second": address_reused_quickly,
    "ten policy changes a second": many_changes,
    "an interface is renamed": interface_renamed,
    "a bridge comes back as something else": interface_of_another_kind,
    "the clock jumps": clock_jumps,
    "the disk is full": disk_full,
    "the disk is read-only": disk_read_only,
    "the database is damaged, and gone": database_damaged,
}
IN_HAND = (crashes_within_a_change, clock_jumps)
OWN_FLOOD = (address_reused_quickly,)  # every 20 us at the address itself, in place of one of the others


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("name", FAULTS)
def test_storm(name, storm):
    fault = FAULTS[name]
    if fault in IN_HAND and not storm.faults:
        pytest.skip(f"{LIBRARY} is not built")
    if fault is deleted and storm.mode != "persist":
        pytest.skip("no owned tables: what is deleted by hand is repaired, not kept")
    scene = storm.scene
    victims = {who: udp_arrived(getattr(scene, who)) for who in ("pub", "six")}
    alive, _ = tcp_open(scene.trusted, INTERNET4, 80, OPEN_WAIT)
    began, storm.note = time.monotonic(), ""
    with alive, contextlib.ExitStack() as stack:
        floods = [stack.enter_context(Flood(scene, *shot)) for shot in SHOTS if fault not in OWN_FLOOD or shot[3] > 20]
        fault(storm)
        sent = sum(flood.stop() for flood in floods)
        time.sleep(0.1)
        arrived = sum(udp_arrived(getattr(scene, who)) - before for who, before in victims.items())
        lives = talk(alive, OPEN_WAIT)
    storm.calm()
    results.append({"mode": storm.mode, "fault": name, "sent": sent, "arrived": arrived, "lives": lives, "note": storm.note,
                    "seconds": round(time.monotonic() - began, 1)})
    assert sent > 1000 and arrived == 0, f"{arrived} of {sent} forbidden packets arrived"
    assert lives, "the allowed flow was cut"


def waited_for(scene, fake, name, address):
    """How many packets for the first container, sent while it does not answer, arrive at this one that comes then."""
    scene.router.ip(f"neigh flush {address} dev br-r")
    fake.commands["first"]("link set eth0 down")
    time.sleep(0.5)
    with Flood(scene, "neighbour", address, 9999, 500):
        time.sleep(0.3)
    before = udp_arrived(fake.spaces[name])
    if name == "first":
        fake.commands["first"]("link set eth0 up")
    else:
        fake.stop("first")
        time.sleep(0.2)
        fake.start(name)
    time.sleep(2.5)
    return udp_arrived(fake.spaces[name]) - before


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("address", [REUSED4, six_of(REUSED4)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("stops", [False, True], ids=["control", "stopped"])
def test_nothing_waits_for_the_next_owner(storm, stops, address):
    """Packets that were accepted for a container, and wait since nobody answers for its address, are not the next one's."""
    scene, spr = storm.scene, storm.spr
    scene.neighbour.ip(f"route replace {SUBNET6} via {HOST6}")
    with FakeDocker(scene, "br-r", "172.30.45.0/24") as fake:
        spr.options, options = [*spr.options, "--docker", fake.socket], spr.options
        for name in ("first", "second"):
            fake.create(name, REUSED4)
        scene.router.ip(f"neigh del {REUSED4} dev br-r")
        spr.apply(merged({"allow": [{"from": "upstream", "to": "container:first", "ports": ["9999/udp"]}]}))
        spr.restart()
        storm.connected()
        fake.start("first")
        for _ in range(1 if stops else 3):  # the kernel keeps them for 3 s, which a busy machine may need for this
            arrived = waited_for(scene, fake, "second" if stops else "first", address)
            if arrived:
                break
        fake.stop("second" if stops else "first")
        spr.options = options
        spr.restart()
    storm.calm()
    assert (arrived == 0) == stops, f"{arrived} packets arrived"


@pytest.mark.parametrize("order", [("web", "job"), ("job", "web")], ids="-".join)
def test_what_is_granted_to_an_endpoint_is_no_others(storm, order):
    """An endpoint whose container nobody knows is meant by its name: not so one whose entry says the same."""
    scene, spr = storm.scene, storm.spr
    addresses = {"web": "172.30.45.20", "job": "172.30.45.21"}
    policy = {"containers": [{"name": name, "policies": ["dns"]} for name in addresses],
              "allow": [{"from": "upstream", "to": "container:job", "ports": ["9999/udp"]}]}
    scene.neighbour.ip(f"route replace {SUBNET6} via {HOST6}")
    arrived = {}
    with FakeDocker(scene, "br-r", "172.30.45.0/24") as fake:
        spr.options, options = [*spr.options, "--docker", fake.socket], spr.options
        for name, address in addresses.items():
            fake.create(name, address)
        fake.containers["job"].known = False
        spr.apply(merged(policy))
        spr.restart()
        storm.connected()
        for name in order:
            fake.start(name)
            time.sleep(0.5)
        for name, address in addresses.items():
            for to in (address, six_of(address)):
                before = udp_arrived(fake.spaces[name])
                with Flood(scene, "neighbour", to, 9999, 100):
                    time.sleep(0.5)
                arrived[name, to == address] = udp_arrived(fake.spaces[name]) - before
        spr.options = options
        spr.restart()
    storm.calm()
    assert arrived["web", True] == arrived["web", False] == 0, arrived
    assert arrived["job", True] > 10 and arrived["job", False] > 10, f"the control: {arrived}"


def runs_of_iptables(spr):
    """Grows with each run of iptables by sprd's helper: page faults of its children that have ended."""
    children = [pid for pid in os.listdir("/proc") if pid.isdigit() and stat_of(pid)[3:4] == [str(spr.pid)]]
    return sum(int(stat_of(pid)[10]) for pid in children if stat_of(pid)[1] == "sprd-iptables")


def stat_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().replace("(", "").replace(")", "").split()
    return []


def test_starts_run_no_iptables(storm):
    """When a program that wrote rules ends, the kernel lets nobody write any for a while: sprd runs none for each container."""
    scene, spr = storm.scene, storm.spr
    rule = ("DOCKER-USER", "-s", "172.30.2.99", "-j", "DROP")
    with FakeDocker(scene, "br-r", "172.30.45.0/24") as fake:
        spr.options, options = [*spr.options, "--docker", fake.socket], spr.options
        fake.create("first", REUSED4)
        spr.restart()
        storm.connected()
        time.sleep(1)
        before = runs_of_iptables(spr)
        scene.router.run("iptables", "-I", *rule)
        time.sleep(1)
        scene.router.run("iptables", "-D", *rule)
        time.sleep(1)
        asked = runs_of_iptables(spr) - before
        for _ in range(20):
            fake.start("first")
            time.sleep(0.1)
            fake.stop("first")
            time.sleep(0.1)
        started = runs_of_iptables(spr) - before - asked
        spr.options = options
        spr.restart()
    storm.calm()
    assert asked > 0, "the control: what others do to DOCKER-USER is looked at"
    assert started < 2 * asked, f"20 starts: {started}, two changes of DOCKER-USER: {asked}"


HEAD = """# Faults

Written by `tests/lab/test_storm.py`, with `SPR_FAULTS_TABLE`: each fault under forbidden packets every 20 us, beside a
flow that is allowed. `make soak` does each ten times as often. A run of some leaves the others' rows.

| fault | tables | forbidden packets sent | arrived | allowed flow |
| --- | --- | --- | --- | --- |
"""


def table_row(row):
    note = f" ({row['note']})" if row["note"] else ""
    return f"| {row['fault']}{note} | {row['mode']} | {row['sent']} | {row['arrived']} | {'lives' if row['lives'] else 'cut'} |"


def rows_before(path):
    """By fault and tables, what an earlier run wrote."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.startswith("| ") and "---" not in line]
    cells = [(line.split(" | "), line) for line in lines[1:]]
    return {(words[0][2:].split(" (")[0], words[1]): line for words, line in cells}


def test_table():
    """The results as a table, where somebody asked for it."""
    if not TABLE:
        pytest.skip("SPR_FAULTS_TABLE names no file: `make soak` writes docs/faults.md")
    rows = {**rows_before(TABLE), **{(row["fault"], row["mode"]): table_row(row) for row in results}}
    known = [rows[fault, mode] for mode in MODES for fault in FAULTS if (fault, mode) in rows]
    with open(TABLE, "w", encoding="utf-8") as file:
        file.write(HEAD + "\n".join(known) + "\n")
    assert results, json.dumps(results)
