# SPDX-License-Identifier: GPL-2.0-or-later
"""
Shows what spr is for: a home router with a real Docker in network namespaces, the attacks of the article against it, and
the same attacks after `spr up`. Nothing outside the namespaces is touched, and nothing is left behind.
"""

import os
import sys
import tempfile

import yaml

from attacks import BY_ID
from probes import CLOSED_WAIT
from scene import Scene, die_on_signals
from spr import BASE, Spr, missing
from paths import PATHS

ATTACKS = [
    ("A neighbour one hop away reaches ...", [
        ("a container by its own address", "IN-01"),
        ("a port of it that was never published", "IN-04"),
        ("a container published on 127.0.0.1 only", "IN-02"),
        ("a container published on the LAN address only", "IN-03"),
        ("127.0.0.1:8082 of this machine, by one forged frame", "IN-27"),
        ("a published port, past every INPUT rule", "IN-07"),
        ("an IPv4 container over IPv6, by docker-proxy", "V6-02"),
        ("an IPv6 container's unpublished port", "V6-01"),
        ("ssh of the machine, by a bridge's address", "HS-16"),
    ]),
    ("A container reaches ...", [
        ("the LAN", "OUT-04"),
        ("the network upstream of the router", "OUT-01"),
        ("the upstream router's own page", "OUT-03"),
        ("ssh of this machine", "HS-01"),
        ("a page of this machine that is for the LAN only", "HS-03"),
        ("another network's container, by the front door", "LAT-02"),
    ]),
    ("A web page in a browser on the LAN reaches ...", [
        ("an unpublished port of a container", "DB-03"),
        ("a container published on 127.0.0.1 only", "DB-02"),
        ("ssh of the router by its outside address", "DB-04"),
    ]),
    ("An IoT device reaches ...", [
        ("a published port", "LAT-16"),
        ("an unpublished port of a container", "LAT-18"),
    ]),
]

WORKS = ["container to internet, TCP", "container to internet, TCP over IPv6", "container to resolver, UDP",
         "members of one network by name", "LAN client to internet", "host to container", "host to port published on 127.0.0.1"]

WIDTH = 58


def colour(text, number):
    return f"\033[{number}m{text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


def cell(value, good):
    words = {None: "-", True: "reached", False: "closed"} if not good else {None: "-", True: "works", False: "broken"}
    text = f"{words[value]:14}"
    return text if value is None else colour(text, 32 if value == good else 31)


def measure(scene, runs):
    return [run(scene, 1.5 if good else CLOSED_WAIT + 0.2) for run, good in runs]


def apply(scene):
    spr = Spr(scene)
    spr.start()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=scene.folder) as file:
        yaml.safe_dump(BASE, file, sort_keys=False)
        file.flush()
        spr.command("apply", "-f", file.name)
        spr.command("up")
    spr.wait_for(lambda status: status["active"] and status["engine"]["state"] == "connected")
    return spr


def main():
    die_on_signals()
    if os.geteuid() != 0:
        sys.exit("demo: needs root, to make network namespaces (nothing outside them is touched)")
    reason = missing()
    lines = []
    for title, rows in ATTACKS:
        lines.append((title, None, False))
        lines += [(f"  {text}", BY_ID[number].run, False) for text, number in rows]
    lines.append(("And what must work:", None, True))
    lines += [(f"  {name}", PATHS[name], True) for name in WORKS]
    runs = [(run, good) for _, run, good in lines if run]

    print("Building a home router with Docker in network namespaces ...", flush=True)
    with Scene() as scene:
        before = measure(scene, runs)
        after = [None] * len(runs)
        if not reason:
            spr = apply(scene)
            after = measure(scene, runs)
            spr.stop()
        print(f"\n{'':{WIDTH}}{'plain Docker':14}with spr")
        number = 0
        for text, run, good in lines:
            if not run:
                print(f"\n{text}")
                continue
            print(f"{text:{WIDTH}}{cell(before[number], good)}{cell(after[number], good)}")
            number += 1
    if reason:
        sys.exit(f"\ndemo: {reason}; only the column without spr was measured")
    wrong = [text for (text, run, good), got in zip([line for line in lines if line[1]], after) if got != good]
    if wrong:
        sys.exit(f"\ndemo: not as it should be with spr: {', '.join(text.strip() for text in wrong)}")


if __name__ == "__main__":
    main()
