# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures places side by side, and compares each with the first in the same round."""

import statistics

import places

SLOW = {"connect": 4, "ping": 4} # of these there are few in a turn: so many times longer ones
PACKETS = ("udp", "frames", "oneway", "ping") # kinds whose operations are packets, which must all arrive


class Lost(RuntimeError):
    """What was sent did not all arrive: a rate would mean nothing."""


class Outcome:
    """Of one test: a place's cost of an operation in each round."""

    def __init__(self, names, results):
        self.names = names
        self.rounds = 1 + max(result["round"] for result in results)
        self.cost = {name: [0.0] * self.rounds for name in names}
        self.p50 = {name: [0] * self.rounds for name in names}
        self.p99 = {name: [0] * self.rounds for name in names}
        for result in results:
            name, number = names[result["job"]], result["round"]
            self.cost[name][number] = result["cpu"] / result["operations"]
            self.p50[name][number], self.p99[name][number] = result["p50"], result["p99"]

    def ratios(self, name, base=None):
        """How much of the base's rate it reaches, round by round."""
        return [other / own for own, other in zip(self.cost[name], self.cost[base or self.names[0]])]

    def added(self, name, base=None):
        """Nanoseconds that an operation costs more than at the base, round by round."""
        return [own - other for own, other in zip(self.cost[name], self.cost[base or self.names[0]])]

    def nanoseconds(self, name):
        return statistics.median(self.cost[name])


def measure(options, standing, way, kind, size=18, flows=1, sources=1):
    """`standing`: {name: place}, the base first."""
    jobs = [places.job(place, way, kind, size, flows, sources) for place in standing.values()]
    results = places.run_traffic(options.build, jobs, options.rounds, options.milliseconds * SLOW.get(kind, 1),
                                 options.cpu)
    names = list(standing)
    for result in results:
        if kind in PACKETS and result["delivered"] < 0.99 * result["operations"]:
            raise Lost(f"{names[result['job']]}, {way} {kind}: of {result['operations']} packets {result['delivered']} arrived")
    return Outcome(names, results)


def must_be_closed(options, place, ways=("out", "in")):
    """The control: where nothing is granted, the same traffic does not pass. Else what was measured was an accident."""
    for way in ways:
        for kind in ("udp", "connect") if way.startswith("in") else ("udp",):
            try:
                places.run_traffic(options.build, [places.job(place, way, kind)], 1, 1, options.cpu)
            except places.Closed:
                continue
            raise RuntimeError(f"without a grant, {way} {kind} passes")
