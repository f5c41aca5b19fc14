# SPDX-License-Identifier: GPL-2.0-or-later
"""From a revoke to the end of the flows that it is about, among many others."""

import contextlib
import socket
import subprocess
import time

import live
import towns
from document import Table
from netns import write_sysctl
from scene import INTERNET4

TEXT = """
A real sprd, as many flows in the connection table as said, all of them accepted before and after, and one UDP flow both of whose
ends keep talking, the server too, every 200 µs. A right is taken away by the control socket; of each side it is measured when
the first packet was sent that did not arrive, from the moment of the request: of the side that opened the flow and of the other.
What decides about both is the transaction. The answer comes later: before it the flows that lost their right are looked for and
ended. Every packet of the flow has to arrive before, or the run fails; and a change that is about somebody else
leaves it alive. sprd's state is in memory: what a disk takes to write is not in it. "Members" are who is there besides, a
hundredth of them ranges of addresses, in networks of at most a thousand."""

FLOWS = {1000: 30, 10000: 30, 100000: 5}  # and how often a right is taken away among so many
LARGE = {(1000, 5): 30, (10000, 10): 20, (100000, 100): 5}  # members and networks: how often, among this many flows
LARGE_FLOWS = 10000
PAUSE_US = 200
HOSTS_PORTS = 50000  # flows to each address on the internet
LASTS = 3600  # seconds that a flow nobody answers stays in the table


class Talk:
    """bench/talk, which see."""

    def __init__(self, build, client, server, address):
        self.process = subprocess.Popen([f"{build}/bench/talk", client.path, server.path, address, str(live.PORT), str(PAUSE_US)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, word):
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def open(self):
        if self.ask("open") != ["open"]:
            raise RuntimeError("the flow does not come about")
        self.must_live()

    def must_live(self):
        word, *counts = self.ask("alive")
        if word != "alive" or min(map(int, counts)) < 10:
            raise RuntimeError(f"the flow does not live: {counts} packets")

    def silent(self):
        word, *moments = self.ask("silent")
        if word != "silent":
            raise RuntimeError("the flow was not cut")
        return list(map(int, moments))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def count_flows(machine):
    with machine.scene.router.entered(), open("/proc/sys/net/netfilter/nf_conntrack_count", encoding="ascii") as file:
        return int(file.read())


def fill(machine, wanted, sent):
    """As many flows as wanted, by as many packets from a device to the internet: `sent` were sent before."""
    with machine.scene.iot.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 5000))
        sock.sendto(b"x", ("60.0.0.1", 1000))
        time.sleep(0.1)  # the next hop's address is known by then
        for number in range(sent, wanted):
            sock.sendto(b"x", (f"60.0.0.{1 + number // HOSTS_PORTS}", 1024 + number % HOSTS_PORTS))
    must_be_full(machine, wanted)


def must_be_full(machine, wanted):
    there = count_flows(machine)
    if there < wanted * 0.99:
        raise RuntimeError(f"of {wanted} flows {there} are in the table")


ALLOWED = {"from": "upstream", "to": "container:first", "ports": [f"{live.PORT}/udp"]}
DEVICE = {"member": "rule:trusted", "policies": ["wan"]}
# title: who talks to whom, what takes the right away, what gives it
REVOKES = {
    "a port of a container is no longer allowed": ("neighbour", "first", ("allow", {**ALLOWED, "remove": True}), ("allow", ALLOWED)),
    "the same, by IPv6": ("neighbour", "first", ("allow", {**ALLOWED, "remove": True}), ("allow", ALLOWED)),
    "a device loses wan": ("trusted", "internet", ("revoke", DEVICE), ("grant", DEVICE)),
}


def ends(machine, title):
    source, target, *_ = REVOKES[title]
    address = INTERNET4 if target == "internet" else live.ADDRESSES[0]
    if "IPv6" in title:
        address = live.six_of(address)
    return (machine.scene.spaces[source], machine.engine.spaces.get(target) or machine.scene.spaces[target], address)


def others(machine, number):
    """A change that the flow has nothing to do with takes a right away."""
    about = {"from": "lan", "to": "container:c1", "ports": [f"{2000 + number}/tcp"]}
    machine.daemon.call("allow", **about)
    machine.daemon.call("allow", **about, remove=True)


def must_be_spared(machine, talk, title):
    """The control: what is taken from others does not end the flow."""
    again, given = REVOKES[title][3]
    machine.daemon.call(again, **given)
    talk.open()
    others(machine, 1)
    talk.must_live()


def revoke(machine, talk, title):
    """Milliseconds from the request to the end of both sides, and to the answer."""
    _, _, (verb, arguments), (again, given) = REVOKES[title]
    machine.daemon.call(again, **given)
    talk.open()
    began = time.monotonic_ns()
    machine.daemon.call(verb, **arguments)
    answered = time.monotonic_ns()
    opener, other = talk.silent()
    machine.daemon.call(again, **given)
    return [(moment - began) / 1e6 for moment in (opener, other, answered)]


def prepare(machine):
    machine.up({"settings": {"connections": 0}, "allow": [ALLOWED]})
    with machine.scene.router.entered():
        for name in ("udp_timeout", "udp_timeout_stream"):
            write_sysctl(f"netfilter/nf_conntrack_{name}", LASTS)
    machine.scene.upstream.ip("route add blackhole 60.0.0.0/8")
    machine.engine.create("first", live.ADDRESSES[0])
    machine.engine.start("first")


def rows_of(options, town, flows):
    rows, sent = [], 0
    with live.standing(options, town) as machine, contextlib.ExitStack() as stack:
        prepare(machine)
        talks = {title: stack.enter_context(Talk(options.build, *ends(machine, title))) for title in REVOKES}
        for wanted, times in flows.items():
            fill(machine, wanted, sent)
            sent = wanted
            for title, talk in talks.items():
                options.say(f"  {town.members} members, {wanted} flows, {title}")
                must_be_spared(machine, talk, title)
                found = [revoke(machine, talk, title) for _ in range(times)]
                opener, other, answered = zip(*found)
                later = [one - first for first, one in zip(opener, other)]
                rows.append([f"{wanted:,} flows, {title}", f"{town.members:,}", f"{times}", *live.p50_p99(opener),
                             *live.p50_p99(other), *live.p50_p99(later), *live.p50_p99(answered)])
            must_be_full(machine, wanted)
    return rows


def measure(options, flows=None, large=None):
    rows = rows_of(options, live.SMALL, flows or FLOWS)
    for size, times in (LARGE if large is None else large).items():
        rows += rows_of(options, towns.Town(*size, 1, six=True), {LARGE_FLOWS: times})
    return [Table("Milliseconds from the request", [
        "flows, revoke", "members", "times", "opener's side p50", "p99", "other side p50", "p99", "other after opener's p50", "p99",
        "answer p50", "p99"], rows)]


PARTS = {"revokes": ("From a revoke to the cut", TEXT, measure)}
