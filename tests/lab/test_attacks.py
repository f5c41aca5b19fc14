# SPDX-License-Identifier: GPL-2.0-or-later
"""Every attack: open on plain Docker, closed with spr, and its control open again with spr."""

import contextlib
import socket
import time

import pytest

from attacks import ATTACKS, BY_ID
from probes import CLOSED_WAIT, OPEN_WAIT, SLOW, token, udp_socket
from scene import HOST4, INTERNET4

# The catalogue's attacks that need no life cycle of their own (those are in test_lifecycle.py).
CATALOGUE = """
IN-01 IN-02 IN-03 IN-04 IN-05 IN-06 IN-07 IN-08 IN-09 IN-10 IN-12 IN-13 IN-14 IN-16 IN-26 IN-27 SP-02 SP-03 SP-10
OUT-01 OUT-02 OUT-03 OUT-04 OUT-07 OUT-08 OUT-09 OUT-10 OUT-13 OUT-16 LAT-01 LAT-02 LAT-03 LAT-05 LAT-16 LAT-17 LAT-18
LAT-25 LAT-28 V6-01 V6-02 V6-03 V6-04 V6-13 V6-15 V6-16 V6-17 DB-02 DB-03 DB-04 DB-05 DB-06 HS-01 HS-02 HS-03 HS-04
HS-05 HS-07 HS-11 HS-12 HS-14 HS-15 HS-16
""".split()


def test_nothing_is_forgotten():
    assert [number for number in CATALOGUE if number not in BY_ID] == []
    assert len(BY_ID) == len(ATTACKS)


def on_plain(attack, stage):
    """What the attack does on plain Docker, tried once."""
    if attack.id not in stage.seen:
        stage.plain()
        stage.seen[attack.id] = attack.run(stage.scene, OPEN_WAIT if attack.plain == "open" else CLOSED_WAIT)
    return stage.seen[attack.id]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_plain(attack, stage):
    assert on_plain(attack, stage) == (attack.plain == "open"), attack.title


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_closed(attack, stage, built):
    opened = on_plain(attack, stage)
    assert opened or attack.plain == "closed", f"the probe itself does not work: {attack.title}"
    stage.closed(attack.policy)
    assert stage.is_closed(attack.run), f"got through: {attack.title}"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_control(attack, stage, built):
    control = attack.control
    stage.closed(attack.policy)
    stage.grant(*control.commands)
    assert stage.is_open(control.run or attack.run), f"stayed closed in spite of {control.commands}: {attack.title}"
    if control.still:
        assert stage.is_closed(control.still), f"got through beside {control.commands}: {attack.title}"
    stage.closed(attack.policy)
    if control.commands:
        assert stage.is_closed(control.still or control.run or attack.run), f"still open after {control.commands} was taken back"


@pytest.mark.parametrize("number", ["SP-20", "SP-20+"])
def test_flow_from_before(number, stage, built):
    """A flow that had a service's port before spr was up loses it, and goes on from another."""
    attack = BY_ID[number]
    stage.closed()
    stage.plain()
    stage.scene.router.run("conntrack", "-F")
    assert attack.run(stage.scene, OPEN_WAIT)
    stage.closed()
    assert stage.is_closed(attack.run)
    assert stage.is_open(attack.control.run)


def test_service_from_later(stage, built):
    """A flow of a container loses its port to a service of this machine that starts later; another flow keeps its own."""
    scene, far_port = stage.scene, 4500
    stage.closed()

    def seen(sock, far):
        sock.send(b"a flow")
        return far.recvfrom(100)[1][1]

    def answered(sock, far, port):
        word = token()
        far.sendto(word, (HOST4, port))
        with contextlib.suppress(OSError):
            return sock.recv(100) == word
        return False

    with scene.internet.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, \
            udp_socket(scene.pub, INTERNET4, far_port, 45001) as loses, udp_socket(scene.pub, INTERNET4, far_port, 45002) as keeps:
        far.bind(("", far_port))
        for sock in (far, loses, keeps):
            sock.settimeout(CLOSED_WAIT)
        lost, kept = seen(loses, far), seen(keeps, far)
        assert lost != kept and answered(loses, far, lost) and answered(keeps, far, kept)
        scene.serve(scene.router, "late", f"udp:0.0.0.0:{lost}")
        until = time.monotonic() + 30 * SLOW
        while seen(loses, far) == lost:
            assert time.monotonic() < until, f"port {lost} is a service's, and still the flow's"
            assert seen(keeps, far) == kept
            time.sleep(0.5)
        assert not answered(loses, far, lost), "what is for the service reaches the container"
        assert answered(loses, far, seen(loses, far)), "the flow does not go on from another port"
        assert seen(keeps, far) == kept and answered(keeps, far, kept), "the other flow lost its port too"


INTERNAL_GRANTS = [
    ["allow", "container:bob", "container:inner:80/tcp"],
    ["allow", "container:inner", "internet"],
    ["publish", "pub", "--port", "8080/tcp", "--to", "container:inner"],
    ["grant", "inner", "wan"],
    ["allow", "upstream", "container:inner:80/tcp"],
]


@pytest.mark.parametrize("command", INTERNAL_GRANTS, ids=" ".join)
def test_internal_network_takes_no_grant(command, stage, built):
    stage.closed()
    done = stage.spr.command(*command, check=False)
    assert done.returncode == 1
    assert "internal" in done.stderr.lower()
