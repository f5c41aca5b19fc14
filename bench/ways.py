# SPDX-License-Identifier: GPL-2.0-or-later
"""Other ways to match who may reach whom: the files of ways/, for the same members and the same rights."""

import glob
import ipaddress
import os

import towns

HERE = os.path.dirname(os.path.abspath(__file__))
CLASS_INTERNET = 4096
SERVERS = 5 # addresses that (c) and (d) list one by one
PORT = 9000

WAYS = {
    "established": "one rule: established or new, accept",
    "chains": "(a) class chains, target in priority (as spr)",
    "mark": "(b) mark . priority, one set",
    "products": "(c) products, one set",
    "targets": "(d) a set of targets for each class",
    "interfaces": "(e) as (a), ranges by interface",
}


def braces(elements):
    return "{ " + ", ".join(elements) + " }"


def servers():
    first = towns.INTERNET.rsplit(".", 1)
    return [f"{first[0]}.{int(first[1]) + i}" for i in range(SERVERS)]


def others(town):
    """Ranges of other members, in which nothing is sent."""
    first = ipaddress.ip_address("225.0.0.0")
    return [f"{first + 32 * i}-{first + 32 * i + 15}" for i in range(town.ranges)]


def internet():
    """The ranges that spr makes of the internet, about as many."""
    cuts = [0, 10, 11, 100, 101, 127, 128, 169, 170, 172, 173, 192, 193, 198, 199, 203, 204, 224]
    pairs = [(first, last - 1) for first, last in zip(cuts, cuts[1:])]
    return [f"{first}.0.0.0-{last}.255.255.255" for first, last in pairs]


def definitions(town, way):
    """nft's variables for a file: each member's element, and each right's, as that way has them."""
    members = [(f'"{c.network.bridge}" . {c.ip4}', 1 + town.networks.index(c.network)) for c in town.containers]
    classes = range(1, 1 + len(town.networks))
    ranges = [f"{some} : 0:{CLASS_INTERNET:x}" for some in internet()] + [f"{some} : 0:1" for some in others(town)]
    every = {
        "ids": lambda: [f"{place} : 0:{number:x}" for place, number in members],
        "marks": lambda: [f"{place} : {number}" for place, number in members],
        "jumps": lambda: [f"{place} : goto from" for place, _ in members],
        "chains": lambda: [f"0:{number:x} : goto from" for number in classes],
        "ranges": lambda: [f'"eth0" . {some}' for some in ranges],
        "plain_ranges": lambda: ranges,
        "ports": lambda: [f"0:{CLASS_INTERNET:x} . udp . {PORT}"],
        "rights": lambda: [f"{number} . 0:{CLASS_INTERNET:x} . udp . {PORT}" for number in classes],
        "targets": lambda: [f'"eth0" . {server} . udp . {PORT}' for server in servers()],
        "products": lambda: [f'{place} . "eth0" . {server} . udp . {PORT}' for place, _ in members for server in servers()],
    }
    with open(f"{HERE}/ways/{way}.nft", encoding="ascii") as file:
        text = file.read()
    return [f"define {name} = {braces(make())}" for name, make in every.items() if f"${name};" in text] + [text]


def check_files():
    """A way without a file, or a file that no way names, is an error."""
    files = {os.path.basename(path)[:-len(".nft")] for path in glob.glob(f"{HERE}/ways/*.nft")}
    if files != set(WAYS):
        raise RuntimeError(f"bench/ways: {sorted(files ^ set(WAYS))}")
