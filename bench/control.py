# SPDX-License-Identifier: GPL-2.0-or-later
"""What a change costs from the inventory or the policy to the kernel's answer, at growing sizes."""

import json
import os
import subprocess

from document import Table

TEXT = """
`bench/control` makes a machine with so many containers, each with an IPv4 and an IPv6 address, and writes it whole to the tables
of a network namespace of its own; then it makes one change after the other, as the daemon does: model, ruleset, difference,
one transaction. A container starts or stops; a container gets an entry of its own in the policy. Durable writing of the
policy is not in it. Times are of this machine, the columns behind p50 and p99 their parts on average."""

SIZES = [(10, 2, 1), (1000, 5, 1), (1000, 5, 1000), (10000, 5, 1), (10000, 500, 1)]
LONG = [(10000, 5, 10000), (100000, 5, 1), (100000, 500, 1)]
KINDS = {"container": "A container starts or stops", "grant": "A container gets an entry in the policy"}


def run(options, size):
    times = 20 if size[0] > 10000 else 100
    words = ["unshare", "-n", f"{options.build}/bench/control", *map(str, size), str(times)]
    options.say(f"  {size[0]} members, {size[1]} networks, {size[2]} published")
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)


def title(row):
    return f"{row['members']:,} members, {row['networks']} networks, {row['published']:,} published: {row['classes']} classes"


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
