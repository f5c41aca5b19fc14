# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live daemon takes to start and to answer, with a growing machine."""

import os
import time

import live
import towns
from document import Table

TEXT = """
A real sprd under the played Docker of the lab, which lists so many containers, a hundredth of the members being ranges behind a
LAN interface; networks of at most a thousand. The policy says what the containers of a network may, or has an entry for each
container. Each change is a call on the control socket, from the request to the answer, by turns made and taken back, a tenth of a
second apart. sprd's state is in memory, so that the disk's syncs are not in it; all else is: the model before and after, the
sentence of what changes, the revision, the transaction, reading back what the kernel then holds. "Processor" is what sprd's own
thread ran for it, which other programs on the machine do not disturb. What of it model, ruleset and transaction cost is in the
section "What a change costs". A container that starts or stops is from Docker's word to the kernel, as in the section on containers.
The daemon takes a list of 256 MB, at most 262,144 containers, and 16,384 ranges.

The first start is with an empty kernel, until the last container's rights are in it: what the played Docker takes to list its
containers is in that, and beside it what sprd's own thread ran. The second finds its rules in the kernel, and ends when it says
that it is ready; whether the last container had its rights then is said too."""

# members, networks, an entry for each, times
SIZES = [(10, 2, False, 40), (1000, 5, False, 30), (1000, 5, True, 30), (10000, 10, False, 20), (10000, 10, True, 10),
         (100000, 100, False, 5)]
LONG = [(10000, 500, False, 10), (100000, 500, False, 5)]
SETTLED = 3  # seconds until what a list leaves to do is done
READY = 0.01  # seconds between two looks
APART = 0.1  # seconds between two changes: what one leaves to be done after its answer is not the next one's


def member(machine, number):
    """Another container for each change, none that publishes a port."""
    there = machine.engine.town.containers
    return f"container:{there[-1 - number % (len(there) - 1)].name}"


def between(machine, number):
    return {"from": "lan", "to": member(machine, number), "ports": ["2000/tcp"]}


def opened(_machine, _number):
    return {"member": "container:c0", "port": f"{towns.FIRST_PORT}/tcp", "to": ["internet"]}


# what: the call that makes it, the one that takes it back, and their arguments
CHANGES = {
    "join": ({"call": "join"}, {"call": "leave"}, lambda machine, number: {"member": member(machine, number), "groups": ["more"]}),
    "grant": ({"call": "grant"}, {"call": "revoke"}, lambda machine, number: {"member": member(machine, number), "policies": ["lan"]}),
    "publish": ({"call": "publish"}, {"call": "publish", "remove": True}, opened),
    "allow": ({"call": "allow"}, {"call": "allow", "remove": True}, between),
    "block": ({"call": "block"}, {"call": "block", "remove": True}, between),
}


def one(machine, how, arguments):
    """Milliseconds to the answer, and of the daemon's processor time."""
    time.sleep(APART)
    cpu, began = machine.cpu(), time.monotonic_ns()
    answer = machine.daemon.call(**how, **arguments)
    took = time.monotonic_ns() - began
    if not answer["changed"]:
        raise RuntimeError(f"{how} {arguments} changed nothing")
    return took / 1e6, (machine.cpu() - cpu) / 1e6


def change(machine, what, times):
    """Cells of a row: of making it and of taking it back."""
    make, back, arguments = CHANGES[what]
    found = []
    for number in range(times):
        found.append((one(machine, make, arguments(machine, number)), one(machine, back, arguments(machine, number))))
    cells = []
    for side in zip(*found):
        took, cpu = zip(*side)
        cells += [*live.p50_p99(took), live.p50_p99(cpu)[0]]
    return cells


def containers(machine, times):
    with live.Rights(machine.options.build, machine.scene.router) as rights:
        live.must_be_rights(machine, rights)
        machine.engine.create("lane", live.ADDRESSES[0])
        cells = []
        for side, cpu in zip(*lives(machine, rights, times)):
            cells += [*live.p50_p99(side), live.p50_p99(cpu)[0]]
    return cells


def lives(machine, rights, times):
    """Two columns each: milliseconds, and of processor time of a start and a stop together, halved."""
    found, cpus = [], []
    for _ in range(times):
        before = machine.cpu()
        found.append(live.life(machine, rights, "lane", 0.1))
        cpus.append((machine.cpu() - before) / 2e6)
    return zip(*found), (cpus, cpus)


def in_kernel(machine, container):
    """Whether the kernel has a container's rights."""
    element = f'{{ "{container.network.bridge}" . {container.ip4} }}'
    done = machine.scene.machine.run("nft", "get", "element", "inet", "spr", "id4", element, check=False)
    return done.returncode == 0


def start_empty(machine):
    """Seconds until the last container's rights are in a kernel that had none of ours, and of processor time until then."""
    last = machine.engine.town.containers[-1]
    machine.daemon.down()
    machine.daemon.stop()
    if in_kernel(machine, last):
        raise RuntimeError("the kernel has the rules already")
    machine.scene.machine.run("touch", f"{live.STATE}/active")
    began = time.monotonic()
    machine.daemon.start(ready=False)
    while not in_kernel(machine, last):
        if time.monotonic() - began > 120 or not machine.daemon.alive():
            raise RuntimeError(f"sprd does not come up:\n{machine.daemon.read_log()[-1000:]}")
        time.sleep(READY)
    return time.monotonic() - began, machine.cpu() / 1e9


def start_adopting(machine):
    """
    Seconds until it is ready, where the kernel has its rules; of processor time; and whether it took away what the last container
    has, as it does where the engine has not listed it after five seconds.
    """
    last = machine.engine.town.containers[-1]
    machine.daemon.stop()
    if not in_kernel(machine, last):
        raise RuntimeError("the rules did not outlive the daemon")
    began, said = time.monotonic(), os.path.getsize(machine.daemon.log)
    machine.daemon.start(ready=False)
    machine.daemon.wait_ready(said, 120)
    return time.monotonic() - began, machine.cpu() / 1e9, not in_kernel(machine, last)


def starts(machine):
    """Cells of a row."""
    cells = [f"{value:.2f}" for value in start_empty(machine)]
    machine.connected()
    took, cpu, away = start_adopting(machine)
    cells += [f"{took:.2f}", f"{cpu:.2f}", "yes" if away else "no"]
    machine.connected()
    time.sleep(SETTLED)
    return cells + [f"{machine.status_of_process(name) / 1024:.0f}" for name in ("VmRSS", "VmHWM")]


def size_text(size):
    members, networks, entries, _ = size
    return f"{members:,} members, {networks} networks{', an entry for each' if entries else ''}"


def run(options, size):
    """{what: cells} of a size."""
    members, networks, entries, times = size
    options.say(f"  {size_text(size)}")
    with live.standing(options, towns.Town(members, networks, 1, six=True, entries=entries)) as machine:
        machine.up(live.GRANT_OPEN)
        found = {"start": starts(machine)}
        for what in CHANGES:
            found[what] = change(machine, what, times)
        found["container"] = containers(machine, times)
    return found


NAMES = {
    "join": "A container joins a group; it leaves it",
    "grant": "A container is granted a policy; it is revoked",
    "publish": "A published port is opened to the internet; it is closed",
    "allow": "A port of a container is allowed to the LAN; it no longer is",
    "block": "A port of a container is blocked for the LAN; it no longer is",
    "container": "A container starts; it stops",
}


def measure(options, sizes=None):
    if os.geteuid() != 0:
        raise SystemExit("bench/run: needs root")
    found = {size_text(size): run(options, size) for size in sizes or (SIZES + (LONG if options.long else []))}
    tables = [Table("Start", ["size", "empty kernel, s", "of it processor", "rules are there, s", "of it processor", "rights away meanwhile",
                              "MB resident", "MB at most"], [[size, *rows["start"]] for size, rows in found.items()])]
    for what, title in NAMES.items():
        tables.append(Table(f"{title}, ms", ["size", "p50", "p99", "processor", "back p50", "p99", "processor"],
                            [[size, *rows[what]] for size, rows in found.items()]))
    return tables


PARTS = {"api": ("A daemon with many members", TEXT, measure)}
