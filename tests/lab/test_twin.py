# SPDX-License-Identifier: GPL-2.0-or-later
"""The twin says what the machine does: the same random frames into both, under the rules of many tools."""

import os
import time
from dataclasses import dataclass

import pytest

from conftest import Stage
from paths import GRANTS
from scene import HERE, Scene
from twin import HEARD, SHOTS, Gunner, Twin

SHOTS_EACH = int(os.environ.get("SPR_TWIN_SHOTS", "1200"))
SEED = int(os.environ.get("SEED", "1"))


@dataclass
class Rules:
    load: tuple = ()  # commands and the fixtures they read
    docker: bool = False  # Docker's own, as it makes them
    spr: bool = False  # and spr is up
    more: str = ""  # a script


LEGACY = """
iptables-legacy -t raw -A PREROUTING -s 192.168.78.0/24 -p udp --dport 9999 -j DROP
iptables-legacy -t mangle -A PREROUTING -i eth0 -p tcp --dport 8443 -j MARK --set-mark 5
iptables-legacy -A INPUT -p tcp -m mark --mark 5 -j REJECT --reject-with tcp-reset
iptables-legacy -A INPUT -i eth0 -p tcp -m multiport --dports 22,7070 -m conntrack --ctstate NEW -j DROP
iptables-legacy -A FORWARD -m iprange --dst-range 192.168.77.10-192.168.77.20 ! -i br-lan -j REJECT
"""

RULES = {
    "docker": Rules(docker=True),
    "spr": Rules(docker=True, spr=True),
    "docker-28": Rules((("iptables-restore", "docker28.v4.rules"), ("ip6tables-restore", "docker28.v6.rules"))),
    "docker-29": Rules((("nft -f -", "docker29.nft"),)),
    "ufw": Rules((("iptables-restore", "ufw.v4.rules"), ("ip6tables-restore", "ufw.v6.rules"))),
    "firewalld": Rules((("nft -f -", "firewalld.nft"),)),
    "legacy": Rules((("iptables-legacy-restore", "docker28.v4.rules"), ("ip6tables-legacy-restore", "docker28.v6.rules")), more=LEGACY),
}


def fixture(name):
    with open(f"{HERE}/fixtures/{name}", encoding="ascii") as file:
        return file.read()


@pytest.fixture(scope="module")
def scene(request):
    """With Docker's own rules, or without any."""
    with Scene(docker_arguments=() if request.param else ("--iptables=false",)) as standing:
        yield standing


@pytest.fixture
def rules(request, scene):
    """The machine with the rules of one tool."""
    wanted = RULES[request.param]
    stage = Stage(scene)
    for command, name in wanted.load:
        scene.router.run(*command.split(), text=fixture(name))
    if wanted.more:
        scene.router.run("sh", "-e", "-c", wanted.more)
    if wanted.spr:
        stage.closed(GRANTS)
    yield request.param
    if wanted.spr:
        stage.plain()
        stage.spr.stop()
    if not wanted.docker:
        scene.router.run("sh", "-c", "nft flush ruleset; for t in raw mangle nat filter; do "
                         "iptables-legacy -t $t -F; iptables-legacy -t $t -X; ip6tables-legacy -t $t -F; ip6tables-legacy -t $t -X; done")
        scene.router.run("nft", "-f", "-", text=HEARD)
        scene.home_nat()


@pytest.mark.parametrize("scene, rules", [(RULES[name].docker, name) for name in RULES], indirect=True, ids=RULES)
@pytest.mark.parametrize("br_netfilter", [True, False], ids=["br_netfilter", "br_netfilter-off"])
def test_twin_is_the_machine(scene, rules, br_netfilter, machine, built):
    assert os.access(SHOTS, os.X_OK), f"{SHOTS} is not built"
    scene.set_br_netfilter(br_netfilter)
    scene.router.run("nft", "flush set inet heard ports; flush set inet heard ids; flush set inet heard echoes")
    scene.router.run("conntrack", "-F", check=False)
    gunner = Gunner(scene, f"{SEED} {rules} {br_netfilter}")
    shots = [gunner.shot() for _ in range(SHOTS_EACH)]
    with Twin(scene) as twin:
        assert twin.notes == []
        began = time.monotonic()
        said = twin.shoot(shots)
        took = time.monotonic() - began
        seen = machine.shoot(shots)
        differ = [shot for shot in shots if said[shot.number] != seen[shot.number]]
        assert len(differ) <= len(shots) // 100, differ[:20]
        # the machine has other packets too, of its own: what is the rules' doing is there again
        for shot in differ:
            scene.router.run("nft", "flush set inet heard ports; flush set inet heard ids; flush set inet heard echoes")
            said.update(twin.shoot([shot]))
            seen.update(machine.shoot([shot]))
        wrong = [f"{shot}: the twin says {sorted(said[shot.number])}, the machine {sorted(seen[shot.number])}; "
                 f"{twin.answers[shot.number]['where']}" for shot in differ if said[shot.number] != seen[shot.number]]
    passed = sum(1 for fate in seen.values() if fate)
    print(f"{rules}: {len(shots)} packets, {passed} came through, {len(wrong)} differ, {took:.2f} s in the twin")
    assert wrong == [], "\n".join(wrong[:20])
    assert SHOTS_EACH // 20 < passed < SHOTS_EACH - SHOTS_EACH // 20
    assert sum(1 for answer in twin.answers.values() if answer["end"] == "rule") > 0
