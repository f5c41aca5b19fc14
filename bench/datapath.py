# SPDX-License-Identifier: GPL-2.0-or-later
"""What a packet costs: against no firewall, against others, at growing sizes, and what of spr costs how much."""

import contextlib
import tempfile

import firewalls
import places
import rounds
import towns
import ways
from document import Table, spread

METHOD = """
A packet's way: a LAN host or a container, a router, a container or a host on the internet, in network namespaces joined by
veth pairs. One thread, pinned to one processor, sends and receives; a veth pair hands a packet over within the sender's
system call, so that the thread's processor time is that of the packet's whole way: sender, router, receiving stack. What is
compared is processor time for an operation, which other programs on the machine disturb little, and its inverse, the rate
that one processor would reach. All firewalls stand side by side, each in a router of its own; they have their turns of a few
milliseconds round by round, in changing order, and a ratio is of two turns of the same round. A cell is the median of
these ratios with the quarters below and above it. 1 is the rate of the base; above 1 is faster.

"frames" are sent by a packet socket past the sender's own stack, which leaves little but the router in the figure; "sockets"
are sent by UDP sockets, so that sending is in it, as for a service. Each flow was answered once before. Every packet has to
arrive, or the run fails; and where the policy grants nothing the same traffic must not pass, or it fails too. Each published
port is a rule in Docker's chains, and the one that is measured stands in their middle. A TCP connection that carries bulk is a
second old when it is measured.

"fast path" is settings.fast_path, with the programs that sprd loads and the lease that it keeps, without sprd.
"""

# title, way, kind, size of the payload, flows, sources
FORWARDING = [
    ("out, 64 B frames", "out", "frames", 18, 1, 1),
    ("out, 64 B sockets", "out", "udp", 18, 1, 1),
    ("out, 1,000 flows", "out", "frames", 18, 1000, 1),
    ("out, 1500 B", "out", "frames", 1472, 1, 1),
    ("out, nobody answers", "out", "oneway", 18, 1, 1),
    ("out, TCP bulk", "out", "stream", 0, 1, 1),
    ("in, 64 B frames", "in", "frames", 18, 1, 1),
    ("in, 1,000 flows", "in", "frames", 18, 1000, 1),
]
# by IPv6, of those firewalls that have rules for it, beside the same by IPv4
FORWARDING6 = [
    ("out, 64 B frames", "out", "frames", 18, 1, 1),
    ("IPv6", "out6", "frames", 18, 1, 1),
    ("out, 1,000 flows", "out", "frames", 18, 1000, 1),
    ("IPv6", "out6", "frames", 18, 1000, 1),
    ("out, 1500 B", "out", "frames", 1472, 1, 1),
    ("IPv6", "out6", "frames", 1452, 1, 1),
]
FIREWALLS6 = ("none", "docker28", "docker29", "spr", "spr-fast", "spr-docker28", "spr-copies")
GROWTH = [
    ("out, 64 B", "out", "frames", 18, 1, 1),
    ("IPv6", "out6", "frames", 18, 1, 1),
    ("out, of up to 1,000 members", "out", "frames", 18, 1000, 1000),
    ("IPv6", "out6", "frames", 18, 1000, 1000),
    ("in, 64 B", "in", "frames", 18, 1, 1),
    ("IPv6", "in6", "frames", 18, 1, 1),
    ("new connections", "in", "connect", 0, 1, 1),
    ("IPv6", "in6", "connect", 0, 1, 1),
]
BOTH = ("out", "in", "out6", "in6") # what must be closed without a grant, where nobody translates addresses
ROUTED = ("none", "spr", "spr-fast")


def tables_of(options, standing, tests, base, titles):
    """A row for each place, a column for each test."""
    outcomes = []
    for title, *test in tests:
        options.say(f"  {title}")
        outcomes.append(rounds.measure(options, standing, *test))
    rows = [[titles[name], *(spread(outcome.ratios(name, base)) for outcome in outcomes)] for name in standing]
    return rows, outcomes


@contextlib.contextmanager
def standing_firewalls(options, members, published):
    with contextlib.ExitStack() as stack:
        standing = {}
        for name, (title, rules, how) in firewalls.FIREWALLS.items():
            if how == "fast" and not places.has_fast_path(options.build):
                options.say(f"  without {title}: it is not built")
                continue
            town = towns.Town(members, 5, published, routed=name in ROUTED, six=name in FIREWALLS6)
            if how:
                with places.Place(options.build, town, rules(town), how, granted=False) as closed:
                    rounds.must_be_closed(options, closed, BOTH if town.six and town.routed else ("out", "in"))
            standing[name] = stack.enter_context(places.Place(options.build, town, rules(town), how))
        yield standing


def compare_firewalls(options):
    titles = {name: row[0] for name, row in firewalls.FIREWALLS.items()}
    made = []
    for published in (1, 1000):
        options.say(f"firewalls, {published} published")
        with standing_firewalls(options, 2000, published) as standing:
            rows, outcomes = tables_of(options, standing, FORWARDING, "none", titles)
            half = len(FORWARDING) - 2
            for part, start, end in (("from a container to the internet", 0, half), ("from the LAN to a published port", half, None)):
                made.append(Table(f"Forwarding, {part}, {published:,} published, 2,000 members; ratio to no firewall",
                                  ["firewall", *(test[0] for test in FORWARDING[start:end])],
                                  [[row[0], *row[1:][start:end]] for row in rows]))
            nanoseconds = outcomes[0]
            made += [six_beside_four(options, standing, titles, published)] if published == 1 else []
            options.say("  connections, answers")
            made += [connections(options, standing, titles, published), answers(options, standing, titles, published, nanoseconds)]
    return made


def six_beside_four(options, standing, titles, published):
    """Of each pair of columns the second is by IPv6, to no firewall by IPv6."""
    rows, _ = tables_of(options, {name: standing[name] for name in FIREWALLS6 if name in standing}, FORWARDING6, "none", titles)
    return Table(f"IPv6 beside IPv4, from a container to the internet, {published:,} published, 2,000 members; ratio to no firewall",
                 ["firewall", *(test[0] for test in FORWARDING6)], rows,
                 "Measured by turns. Each column's 1 is no firewall in the same family. Docker 20.10 has no rules for IPv6.")


def connections(options, standing, titles, published):
    """Where there is no NAT the LAN dials the container itself."""
    outcome = rounds.measure(options, standing, "in", "connect")
    rows = [[titles[name], spread(outcome.ratios(name, "none")), spread(outcome.ratios(name, "nat")),
             spread(outcome.ratios(name, "docker20")), f"{1e9 / outcome.nanoseconds(name):,.0f}"] for name in standing]
    return Table(f"New TCP connections from the LAN to a published port, {published:,} published", [
        "firewall", "to no firewall", "to NAT alone", "to Docker 20.10 alone", "a second, one processor"], rows,
        "Opened and reset at once; with 1,000 published, to 200 of them by turns.")


def answers(options, standing, titles, published, forwarding):
    outcome = rounds.measure(options, standing, "in", "ping")
    rows = []
    for name in standing:
        ratios = [own / base for own, base in zip(outcome.p50[name], outcome.p50["none"])]
        rows.append([titles[name], spread([value / 1000 for value in outcome.p50[name]], "{:.1f}"),
                     spread([value / 1000 for value in outcome.p99[name]], "{:.1f}"), spread(ratios),
                     spread(forwarding.added(name), "{:,.0f}")])
    return Table(f"A question and its answer, and what a packet costs more, {published:,} published", [
        "firewall", "p50 µs", "p99 µs", "p50 to no firewall (above 1 is slower)", "ns added to a 64 B frame out"], rows,
        "UDP from the LAN to a published port and back, by the wall clock: p99 has the machine's other programs in it.")


def grow(options):
    sizes = [(10, 5, "write"), (1000, 5, "write"), (10000, 5, "write"), (100000, 5, "write"), (10000, 500, "write")]
    if options.long:
        sizes += [(100000, 500, "write")]
    if places.has_fast_path(options.build):
        sizes += [(10, 5, "fast"), (100000, 5, "fast")]
    titles = {"none": "no firewall"}
    with contextlib.ExitStack() as stack:
        standing = {"none": stack.enter_context(places.Place(options.build, towns.Town(2000, 5, 1, six=True)))}
        for members, networks, how in sizes:
            options.say(f"growth, {members} members, {networks} networks, {how}")
            town = towns.Town(members, networks, 1, six=True)
            name = f"{members}/{networks}" + "/fast" * (how == "fast")
            standing[name] = stack.enter_context(places.Place(options.build, town, how=how))
            made = standing[name].made
            titles[name] = f"{members:,} members, {networks} networks: " + (
                "fast path" if how == "fast" else f"{made['classes']} classes, {made['elements']:,} elements")
        with places.Place(options.build, towns.Town(10000, 5, 1, six=True), how="write", granted=False) as closed:
            rounds.must_be_closed(options, closed, BOTH)
        rows, outcomes = tables_of(options, standing, GROWTH, "none", titles)
    grown = [[titles[name], *(spread(outcome.ratios(name, "10/5"), "{:.3f}") for outcome in outcomes)]
             for name in standing if name != "none"]
    columns = ["spr alone", *(test[0] for test in GROWTH)]
    return [Table("Ratio to no firewall", columns, rows), Table("Ratio to 10 members", columns, grown)]


def compare_ways(options):
    ways.check_files()
    made = []
    for members in (10000, 100000) if options.long else (10000,):
        town = towns.Town(members, 5, 0)
        with contextlib.ExitStack() as stack:
            standing = {"none": stack.enter_context(places.Place(options.build, town))}
            for way in ways.WAYS:
                options.say(f"ways, {members} members: {way}")
                standing[way] = stack.enter_context(places.Place(options.build, town, [(firewalls.NFT, ways.definitions(town, way))]))
            titles = {"none": "no firewall", **ways.WAYS}
            tests = [("64 B frames", "out", "frames", 18, 1, 1), ("of 1,000 members", "out", "frames", 18, 1000, 1000)]
            rows, outcomes = tables_of(options, standing, tests, "none", titles)
        for row, name in zip(rows, standing):
            row += [spread(outcomes[0].added(name, "established"), "{:,.0f}")]
        made.append(Table(f"{members:,} members, 5 classes", ["way", *(f"{test[0]}, to no firewall" for test in tests),
                                                              "ns more than one rule"], rows))
    return made


# what of the ruleset is cut short
CUTS = [("nothing: all of it", []), ("guard", ["guard"]), ("arrival", ["arrival"]), ("forward", ["forward"]),
        ("leave", ["leave"]), ("source-ports", ["source-ports"]),
        ("all: hooks and connection tracking remain", ["guard", "arrival", "forward", "leave", "source-ports"])]


def cut_short(text, chains):
    """The ruleset's text, with an accept as the first rule of some chains."""
    lines, chain = [], None
    for line in text.splitlines():
        lines.append(line)
        if line.startswith("\tchain "):
            chain = line.split()[1]
        if line.startswith("\t\ttype ") and " hook " in line and chain in chains:
            lines.append("\t\taccept")
    if sum(line == "\t\taccept" for line in lines) - sum(line == "\t\taccept" for line in text.splitlines()) != len(chains):
        raise RuntimeError(f"the ruleset has not all of the chains {', '.join(chains)}")
    return lines


def compare_costs(options):
    town = towns.Town(1000, 5, 1)
    with tempfile.TemporaryDirectory(prefix="spr-bench-") as folder, places.Place(options.build, town) as place:
        text = place.router.run(f"{options.build}/bench/rules", "print", *places.write_town(folder, town))
    with contextlib.ExitStack() as stack:
        standing = {"none": stack.enter_context(places.Place(options.build, town))}
        for title, chains in CUTS:
            standing[title] = stack.enter_context(places.Place(options.build, town, [(firewalls.NFT, cut_short(text, chains))]))
        options.say("costs")
        out = rounds.measure(options, standing, "out", "frames")
        into = rounds.measure(options, standing, "in", "frames")
    whole = CUTS[0][0]
    rows = [[title, *(cell for outcome in (out, into) for cell in (
        spread(outcome.added(title), "{:,.0f}"), spread(outcome.added(whole, title), "{:,.0f}")))]
            for title, _ in CUTS]
    return [Table("Nanoseconds for a 64 B frame, 1,000 members", [
        "without", "out, more than no firewall", "out, saved", "in, more than no firewall", "in, saved"], rows)]


# name: (title, text, what makes the tables)
PARTS = {
    "firewalls": ("Beside other firewalls", METHOD, compare_firewalls),
    "growth": ("With growing size", """
spr alone, on a router whose containers need no NAT. A hundredth of the members are ranges of addresses, the rest containers;
those that send and receive are among them. Every container network is a class of its own. A column "IPv6" is the same as the one
before it, by IPv6, to no firewall by IPv6.""", grow),
    "ways": ("Other ways to match", """
The files of bench/ways, as small as they can be: only who may reach whom, none of the other checks. From containers to one of
five addresses on the internet; (c) and (d) list the five, the others have the whole of it in ranges.""", compare_ways),
    "costs": ("What costs how much", """
spr's own ruleset, with an accept put in front of one of its base chains. What is saved is what the chain costs.""", compare_costs),
}
