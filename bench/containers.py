# SPDX-License-Identifier: GPL-2.0-or-later
"""From Docker's word that a container starts or stops to what the kernel does."""

import itertools
import random
import threading
import time

import live
import towns
from document import Table

TEXT = """
A real sprd, the played Docker of the lab, and containers that are network namespaces. From the moment at which `network connect`
is sent to the one at which the kernel has the container's rights, and from `die` to the one at which it no longer has them:
`bench/rights` hears what the kernel tells of each transaction, right after packets see it. What sprd asks Docker in between, and
how long that takes to answer, is in it. The control: before it is measured, a container that may be reached is, and one that may
not is not, under packets every 200 µs; and each start and each stop has to be seen in the kernel, or the run fails.

"One after the other" leaves 100 ms between the two. The others start and stop at random moments, so many a second of each.
"Members" are who is there besides, a hundredth of them ranges of addresses, in networks of at most a thousand. Where a change
takes longer than the next one waits, several are made at once."""

ALONE = 100
CROWDS = [(300, 10), (1000, 20)]  # how many start and stop, and how many a second of each
LARGE = {(1000, 5): 1000, (10000, 10): 1000, (100000, 100): 200}  # members and networks: how many start and stop, 20 a second
LANES = 24  # containers that take turns
LIFE = (0.1, 0.4)  # seconds that one runs


class Lane(threading.Thread):
    """A container that starts at its times, and what was found."""

    def __init__(self, machine, rights, name, times):
        super().__init__(daemon=True)
        self.machine, self.rights, self.name_of, self.times = machine, rights, name, times
        self.found, self.failure = [], None
        self.chance = random.Random(name)

    def run(self):
        try:
            for moment in self.times:
                time.sleep(max(0, moment - time.monotonic()))
                self.found.append(live.life(self.machine, self.rights, self.name_of, self.chance.uniform(*LIFE)))
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure


def crowd(machine, rights, lives, rate):
    """(what was found, how many a second of each it became)"""
    chance, began = random.Random(rate), time.monotonic() + 0.2
    times = [began + (number + chance.random()) / rate for number in range(lives)]
    lanes = [Lane(machine, rights, name, times[number::LANES]) for number, name in enumerate(names(machine))]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    failures = [lane.failure for lane in lanes if lane.failure]
    if failures:
        raise failures[0]
    return list(itertools.chain(*(lane.found for lane in lanes))), lives / (time.monotonic() - began)


def names(machine):
    made = [f"lane{number}" for number in range(LANES)]
    for name, address in zip(made, live.ADDRESSES):
        if name not in machine.engine.containers:
            machine.engine.create(name, address)
    return made


def row(title, members, rate, found):
    starts, stops = zip(*found)
    return [title, f"{members:,}", f"{len(found):,}", rate, *live.p50_p99(starts), *live.p50_p99(stops)]


def crowd_row(options, machine, rights, lives, rate):
    members = machine.engine.town.members
    options.say(f"  {lives} lives, {rate} a second, {members} members")
    found, reached = crowd(machine, rights, lives, rate)
    return row(f"{rate} starts and {rate} stops a second", members, f"{reached:.1f}", found)


def rows_of(options, town, alone, crowds):
    rows = []
    with live.standing(options, town) as machine:
        machine.up(live.GRANT_OPEN)
        with live.Rights(options.build, machine.scene.router) as rights:
            live.must_be_rights(machine, rights)
            name = names(machine)[0]
            if alone:
                options.say("  one after the other")
                found = [live.life(machine, rights, name, 0.1) for _ in range(alone)]
                rows.append(row("one after the other", town.members, "", found))
            rows += [crowd_row(options, machine, rights, *how) for how in crowds]
    return rows


def measure(options, alone=ALONE, crowds=None, large=None):
    rows = rows_of(options, live.SMALL, alone, crowds or CROWDS)
    for size, lives in (LARGE if large is None else large).items():
        rows += rows_of(options, towns.Town(*size, 1, six=True), 0, [(lives, 20)])
    return [Table("Milliseconds from Docker's word to the kernel", [
        "how", "members", "containers", "a second, reached", "connect to rights p50", "p99", "die to no rights p50", "p99"], rows)]


PARTS = {"containers": ("Containers that start and stop", TEXT, measure)}
