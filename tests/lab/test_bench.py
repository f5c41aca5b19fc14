# SPDX-License-Identifier: GPL-2.0-or-later
"""
The rules that the bench makes in Docker's stead are those that Docker makes; and each part that talks to a live daemon, or is by
IPv6, measures something, with next to nothing to measure.
"""

import argparse
import os
import re
import sys

import pytest

from scene import ROOT, Scene
from spr import BUILD

sys.path.append(f"{ROOT}/bench")

import api  # noqa: E402
import containers  # noqa: E402
import control  # noqa: E402
import firewalls  # noqa: E402
import places  # noqa: E402
import proofs  # noqa: E402
import revokes  # noqa: E402
import rounds  # noqa: E402
import towns  # noqa: E402

FIXTURES = f"{ROOT}/tests/lab/fixtures"
# what no town has: an internal network, ports that are bound to an address
ELSEWHERE = ("br-i", "172.30.9.", "127.0.0.1", "192.168.77.1", "172.30.1.1/", "172.30.1.1 ", "DOCKER-INTERNAL ")


def rules(lines):
    """[(table, rule)] of iptables-save's or -restore's lines."""
    table, found = None, []
    for line in lines:
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A "):
            found.append((table, line))
    return found


def test_docker20_rules_are_those_of_docker():
    town = towns.Town(12, 3, 4)
    with Scene(docker="later", nat=False) as scene:
        scene.docker.start()
        scene.docker.image("lab", {"/probe": scene.probe})
        for network in town.networks:
            scene.docker.network(network.name, [network.subnet], bridge=network.bridge)
        for container in town.containers[:6]:
            scene.docker.run(container.name, container.network.name, ["/probe", "sleep"], ip4=container.ip4,
                             ports=[f"{port.outer}:{port.inner}/{port.proto}" for port in container.ports])
        real = rules(scene.router.run("iptables-save").splitlines())
    (_, lines), = firewalls.docker20(town)
    assert any("udp" in line for line in lines) and len(real) > 50
    assert sorted(rules(lines)) == sorted(real)
    for table, chain in {(table, rule.split()[1]) for table, rule in real}: # and in each chain in Docker's order
        def of_chain(all_rules, chain=chain, table=table):
            return [rule for where, rule in all_rules if where == table and rule.split()[1] == chain]
        assert of_chain(rules(lines)) == of_chain(real), f"{table} {chain}"


def shape(line):
    """A rule without what differs from container to container."""
    line = re.sub(r'(br-\w+|docker0)', "BRIDGE", line.strip())
    line = re.sub(r"\d+\.\d+\.\d+\.\d+|2600:[0-9a-f:]+", "ADDRESS", line)
    line = re.sub(r"(dport|ADDRESS:|ADDRESS\]:|ADDRESS/)( ?)\d+", r"\1\2N", line)
    return re.sub(r"elements = .*", "elements", line)


def shapes(lines):
    """Those of nft's lines with their chain before them."""
    chain, found = "", set()
    for line in lines:
        if re.match(r"\s*(chain|map) ", line):
            chain = shape(line)
        if line.strip() and not any(word in line for word in ELSEWHERE) and not line.lstrip().startswith(("#", '"')):
            found.add((chain, shape(line)))
    return found


def fixture(name):
    with open(os.path.join(FIXTURES, name), encoding="utf-8") as file:
        return file.read()


def by_udp(shapes_of, where):
    """The fixtures publish no UDP port by IPv6."""
    return {one for one in shapes_of if " udp " in one[1]} if "v6" in where or where.startswith("table ip6") else set()


def test_docker28_rules_have_the_shape_of_the_fixture():
    made = firewalls.docker28(towns.Town(12, 3, 4, six=True))
    for (_, lines), name in zip(made, ("docker28.v4.rules", "docker28.v6.rules"), strict=True):
        ours = {(table, shape(rule)) for table, rule in rules(lines)}
        theirs = {(table, shape(rule)) for table, rule in rules(fixture(name).splitlines())
                  if not any(word in rule for word in ELSEWHERE)}
        assert len(theirs) > 12
        assert ours - by_udp(ours, name) == theirs


def test_docker29_rules_have_the_shape_of_the_fixture():
    four, six = fixture("docker29.nft").split("table ip6")
    made = firewalls.docker29(towns.Town(12, 3, 4, six=True))
    for (_, lines), text in zip(made, (four, f"table ip6{six}"), strict=True):
        theirs, ours = shapes(text.splitlines()), shapes(lines)
        assert len(theirs) > 30
        assert ours - by_udp(ours, text) == theirs


# --- what is measured ---

@pytest.fixture(scope="module")
def options():
    if not os.access(f"{BUILD}/bench/talk", os.X_OK):
        pytest.skip(f"{BUILD}/bench is not built")
    return argparse.Namespace(build=BUILD, rounds=2, milliseconds=1, cpu=max(os.sched_getaffinity(0)), say=print, long=False)


def number(cell):
    return float(cell.replace(",", ""))


def test_six_beside_four(options):
    """What is granted passes by both families, and nothing else."""
    town = towns.Town(20, 2, 1, six=True)
    with places.Place(options.build, town) as none, places.Place(options.build, town, how="write") as spr:
        for way, kind in (("out", "frames"), ("out6", "frames"), ("in", "frames"), ("in6", "frames"), ("in6", "connect")):
            outcome = rounds.measure(options, {"none": none, "spr": spr}, way, kind, flows=1 if kind == "connect" else 4)
            assert len(outcome.ratios("spr")) == 2
    with places.Place(options.build, town, how="write", granted=False) as closed:
        rounds.must_be_closed(options, closed, ("out", "in", "out6", "in6"))
    with places.Place(options.build, town) as none, pytest.raises(RuntimeError, match="out6 udp passes"):
        rounds.must_be_closed(options, none, ("out6",))


def test_docker_by_six(options):
    """Docker's rules for IPv6 let out what they are to let out, and no one in."""
    town = towns.Town(20, 2, 1, routed=False, six=True)
    for make in (firewalls.docker28, firewalls.docker29):
        with places.Place(options.build, town, make(town)) as docker:
            assert rounds.measure(options, {"docker": docker}, "out6", "frames").nanoseconds("docker") > 0
            with pytest.raises(places.Closed):
                rounds.measure(options, {"docker": docker}, "in6", "frames")


def test_control(options):
    row = control.run(options, control.Size(10, 2, 1, 4))
    assert all(row[kind]["p50"] > 0 for kind in control.KINDS) and row["classes"] > 5


def test_containers(options):
    (table,) = containers.measure(options, 3, [(10, 10)], {(30, 3): 5})
    assert [(number(row[1]), number(row[2])) for row in table.rows] == [(10, 3), (10, 10), (30, 5)]
    assert all(-20 < number(cell) < 2000 for row in table.rows for cell in row[4:]), table.rows


def test_revokes(options):
    (table,) = revokes.measure(options, {300: 2}, {})
    assert len(table.rows) == len(revokes.REVOKES)
    assert all(0 < number(cell) < 3000 for row in table.rows for cell in row[1:7]), table.rows


def test_api(options):
    tables = api.measure(options, [(20, 2, True, 2)])
    assert len(tables) == 2 + len(api.CHANGES)
    assert all(number(cell) > 0 for table in tables[1:-1] for cell in table.rows[0][1:]), [table.rows for table in tables]


def test_prove(options):
    (table,) = proofs.measure(options, [(20, 2)], 1)
    assert number(table.rows[0][2]) > 100 and 0 < number(table.rows[0][5]) < 60
