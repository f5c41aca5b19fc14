# SPDX-License-Identifier: GPL-2.0-or-later
"""spr audit before the rules of newer Dockers, ufw, firewalld and iptables-legacy: what the attacks find there, and no other."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from attacks import BY_ID
from probes import CLOSED_WAIT
from scene import Scene
from test_audit import ACCEPTS, EXPECTED, STORIES, audit, ears, fits, packets, really_sent, shown
from test_twin import RULES, fixture
from twin import HEARD

# Whose rules, and what is named of them: the beginnings of rules that accept, each of which opens something.
TOOLS = {
    "docker-28": [],
    "docker-29": [],
    "ufw": ["-A ufw-before-forward -p icmp", "-A ufw-user-forward -d 172.30.1.10/32 -p tcp -m tcp --dport 80", "-A ufw-user-forward -i br-lan",
            "-A ufw-user-forward -s 172.30.0.0/16", "-A ufw-user-input -p tcp -m tcp --dport 22"],
    "firewalld": ["iifname \"br-lan\" oifname", "tcp dport 22 accept"],
    "legacy": [],
}
FEWEST = 4  # attacks that get through in spite of a firewall


@pytest.fixture(scope="module")
def scene():
    with Scene(docker_arguments=("--iptables=false",)) as standing:
        yield standing


@pytest.fixture(scope="module", params=TOOLS)
def tool(request, scene, machine):
    wanted = RULES[request.param]
    for command, name in wanted.load:
        scene.router.run(*command.split(), text=fixture(name))
    if wanted.more:
        scene.router.run("sh", "-e", "-c", wanted.more)
    yield request.param
    scene.router.run("sh", "-c", "nft flush ruleset; for t in raw mangle nat filter; do "
                     "iptables-legacy -t $t -F; iptables-legacy -t $t -X; ip6tables-legacy -t $t -F; ip6tables-legacy -t $t -X; done")
    scene.router.run("nft", "-f", "-", text=HEARD)
    scene.home_nat()


@pytest.fixture(scope="module")
def report(scene, tool, built):
    with ears(scene):
        return json.loads(audit(scene, "--json").stdout)


def test_every_hole_is_found(scene, tool, report):
    """The attacks that get through are findings."""
    names = [name for name in EXPECTED if EXPECTED[name][1] not in STORIES]
    with ThreadPoolExecutor(6) as pool:
        open_ones = [name for name, got in zip(names, pool.map(lambda name: BY_ID[name].run(scene, CLOSED_WAIT), names)) if got]
    missing = [name for name in open_ones if not any(fits(packet, EXPECTED[name][2]) for packet in packets(report, *EXPECTED[name][:2]))]
    print(f"{tool}: {len(open_ones)} of {len(names)} attacks get through: {' '.join(open_ones)}")
    assert missing == []
    assert len(open_ones) >= FEWEST


def test_no_other(scene, machine, tool, report):
    wanted = list(shown(report))
    lost = really_sent(scene, machine, wanted)
    print(f"{tool}: {len(wanted)} packets")
    assert lost == [], "\n".join(map(str, lost))


def test_notes(tool, report):
    assert report["notes"] == []


def test_who_accepts(tool, report):
    """Docker's own rules are nobody's fault; those of others that open something are named."""
    named = [finding["rule"]["text"] for finding in report["findings"] if finding["id"] in ACCEPTS]
    assert [start for start in TOOLS[tool] if not any(text.startswith(start) for text in named)] == [], named
    if not TOOLS[tool]:
        assert named == []
