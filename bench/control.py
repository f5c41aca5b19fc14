# SPDX-License-Identifier: GPL-2.0-or-later
"""What a change costs from the inventory or the policy to the kernel's answer, at growing sizes."""

import collections
import json
import os
import subprocess
import tempfile

import places
import towns
from document import Table

TEXT = """
`bench/control` makes a machine with so many containers, each with an IPv4 and, unless it says otherwise, an IPv6 address, a
hundredth of them ranges, and writes it whole to the tables of a network namespace of its own; then it makes one change after the
other, as the daemon does: model, ruleset, difference, one transaction. Every other change takes the one before it back; both are
counted. Durable writing of the policy is not in it, nor is what the API does. Times are of this machine, the columns behind p50
and p99 their parts on average. Resident is what remains when free memory was given back, as the daemon does after a list."""

Size = collections.namedtuple("Size", "members networks published times entries six", defaults=(False, True))
SIZES = [Size(10, 2, 1, 100), Size(1000, 5, 1, 100), Size(1000, 5, 1000, 50), Size(1000, 5, 1, 50, entries=True), Size(10000, 5, 1, 40),
         Size(10000, 500, 1, 40), Size(10000, 5, 1, 40, entries=True), Size(100000, 5, 1, 20), Size(100000, 5, 1, 20, six=False)]
LONG = [Size(10000, 5, 10000, 40), Size(100000, 500, 1, 20)]
KINDS = {
    "container": "A container starts or stops",
    "join": "A container joins or leaves a group",
    "grant": "A container is granted or loses a policy",
    "publish": "A published port is opened or closed to the internet",
    "allow": "A port of a container is allowed to the LAN, or no longer",
    "block": "A port of a container is blocked for the LAN, or no longer",
}


def size_text(size):
    return (f"{size.members:,} members, {size.networks} networks, {size.published:,} published"
            f"{', an entry for each' if size.entries else ''}{'' if size.six else ', IPv4 only'}")


def run(options, size):
    made = towns.Town(size.members, size.networks, size.published, six=size.six, entries=size.entries)
    options.say(f"  {size_text(size)}")
    with tempfile.TemporaryDirectory(prefix="spr-bench-") as folder:
        words = ["unshare", "-n", f"{options.build}/bench/control", *places.write_town(folder, made), str(size.times)]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL)
    return {"size": size_text(size), **json.loads(done.stdout)}


def title(row):
    return f"{row['size']}: {row['classes']} classes"


def full(rows):
    columns = ["size", "elements", "ms", "model", "ruleset", "kernel", "MB resident"]
    return Table("All of it, on an empty kernel", columns,
                 [[title(row), f"{row['elements']:,}", *(f"{row['full'][part]:.1f}" for part in ("ms", "model", "compile", "write")),
                   f"{row['resident_kb'] / 1024:.0f}"] for row in rows])


def change(rows, kind):
    return Table(f"{KINDS[kind]}, ms", ["size", "p50", "p99", "model", "ruleset", "kernel"],
                 [[title(row), *(f"{row[kind][part]:.2f}" for part in ("p50", "p99", "model", "compile", "write"))] for row in rows])


def measure(options):
    if os.geteuid() != 0:
        raise SystemExit("bench/run: needs root")
    rows = [run(options, size) for size in SIZES + (LONG if options.long else [])]
    return [full(rows), *(change(rows, kind) for kind in KINDS)]


PARTS = {"control": ("What a change costs", TEXT, measure)}
