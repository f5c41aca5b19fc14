# SPDX-License-Identifier: GPL-2.0-or-later
"""How long `spr prove` takes."""

import ipaddress
import json
import time

import live
import towns
from document import Table

TEXT = """
`spr prove` on the lab's machine, with sprd under the played Docker: a packet from each class to each other one, both families, at
four ports, of at most a thousand pairs. Each network is a class, and may reach one port of every other network. "Seconds" is what it says itself: making the twin, with this machine's interfaces, routes
and all rules in it, and sending each packet through; "all of it" is the command, with the daemon's answer before. Where the kernel
does anything else than policy says, but for what stays on one bridge, or all came through or none, the run fails."""

# members, networks
SIZES = [(100, 5), (1000, 40), (10000, 40)]
TIMES = 3


def stays_on_bridge(machine, difference):
    """The machine's inet rules do not see it: br_netfilter is off."""
    subnets = [subnet for net in machine.engine.town.networks if net.bridge == difference["in"] for subnet in (net.subnet, net.subnet6)]
    subnets += [live.SUBNET, str(live.SUBNET6)] if difference["in"] == live.BRIDGE else []
    target = ipaddress.ip_address(difference["to"])
    return any(target in ipaddress.ip_network(subnet) for subnet in subnets)


def prove(machine):
    began = time.monotonic()
    done = machine.daemon.command("prove", "--json", check=False)
    took = time.monotonic() - began
    if not done.stdout:
        raise RuntimeError(f"spr prove: {done.returncode}: {done.stderr}")
    proof = json.loads(done.stdout)
    differences = [one for one in proof["differences"] if not stays_on_bridge(machine, one)]
    if differences or proof["notes"]:
        raise RuntimeError(f"spr prove: {done.returncode}, {differences[:3]}, {proof['notes']}")
    if not 0 < proof["passed"] < proof["packets"] or proof["nowhere"] > proof["packets"] // 20:
        raise RuntimeError(f"of {proof['packets']} packets {proof['passed']} came through, {proof['nowhere']} had no way")
    return {**proof, "all": took}


def every_other(networks):
    """Half of the networks may reach a port of the other half: so that something is to come through."""
    return [{"from": f"group:g{a}", "to": f"group:g{b}", "ports": ["80/tcp"]}
            for a in range(networks) for b in range(networks) if (a + b) % 2]


def run(options, size, times):
    members, networks = size
    options.say(f"  {members} members, {networks} networks")
    with live.standing(options, towns.Town(members, networks, six=True)) as machine:
        machine.up({"allow": every_other(networks)})
        proofs = [prove(machine) for _ in range(times)]
    last = proofs[-1]
    return [f"{members:,} members, {networks} networks", f"{last['pairs']:,} of {last['of']:,}",
            *(f"{last[name]:,}" for name in ("packets", "passed", "nowhere")),
            *(cell for name in ("seconds", "all") for cell in seconds(proofs, name))]


def seconds(proofs, name):
    taken = sorted(proof[name] for proof in proofs)
    return f"{taken[len(taken) // 2]:.2f}", f"{taken[-1]:.2f}"


def measure(options, sizes=None, times=TIMES):
    rows = [run(options, size, times) for size in sizes or SIZES]
    return [Table(f"Of {times} runs", ["size", "pairs", "packets", "came through", "no way there", "seconds, median", "most",
                                       "all of it, median", "most"], rows)]


PARTS = {"prove": ("spr prove", TEXT, measure)}
