# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules that the bench makes in Docker's stead are those that Docker makes."""

import os
import re
import sys

from scene import ROOT, Scene

sys.path.insert(0, f"{ROOT}/bench")

import firewalls  # noqa: E402
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
    line = re.sub(r"\d+\.\d+\.\d+\.\d+", "ADDRESS", line)
    line = re.sub(r"(dport|ADDRESS:|ADDRESS/)( ?)\d+", r"\1\2N", line)
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


def test_docker28_rules_have_the_shape_of_the_fixture():
    (_, lines), = firewalls.docker28(towns.Town(12, 3, 4))
    ours = {(table, shape(rule)) for table, rule in rules(lines)}
    theirs = {(table, shape(rule)) for table, rule in rules(fixture("docker28.v4.rules").splitlines())
              if not any(word in rule for word in ELSEWHERE)}
    assert len(theirs) > 15
    assert ours == theirs


def test_docker29_rules_have_the_shape_of_the_fixture():
    (_, lines), = firewalls.docker29(towns.Town(12, 3, 4))
    theirs = shapes(fixture("docker29.nft").split("table ip6")[0].splitlines())
    assert len(theirs) > 40
    assert shapes(lines) == theirs
