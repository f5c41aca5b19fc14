# SPDX-License-Identifier: GPL-2.0-or-later
"""spr prove and spr explain --twin: what policy says against what the kernel's rules do, in a twin of the machine."""

import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from conftest import Stage
from probes import SLOW
from scene import NEIGHBOUR4, Scene
from spr import SPR, Relay, SprError, read_line


def explain(stage, *words):
    return json.loads(stage.spr.command("explain", *words, "--twin", "--json", check=False).stdout)


def test_explain_in_the_twin(stage, built):
    """What policy says and what the kernel does, with the rules of all."""
    stage.closed()
    closed = explain(stage, NEIGHBOUR4, "container:pub:80/tcp")
    assert closed["verdict"] == "drop" and closed["twin"]["verdict"] == "drop" and closed["twin"]["agrees"]
    assert "table inet spr, chain " in closed["twin"]["sentence"]
    stage.grant(["allow", "upstream", "container:pub:80/tcp"])
    opened = explain(stage, NEIGHBOUR4, "container:pub:80/tcp")
    assert opened["verdict"] == "accept" and opened["twin"]["verdict"] == "accept" and opened["twin"]["agrees"]
    assert "172.30.1.10 port 80" in opened["twin"]["sentence"]
    mates = explain(stage, "container:pub", "container:mate:80/tcp")
    assert mates["twin"]["agrees"] and "172.30.1.13 port 80" in mates["twin"]["sentence"]
    stage.scene.nft("table inet meddler { chain c { type filter hook forward priority 5; ip daddr 172.30.1.10 tcp dport 80 drop; }; }")
    try:
        other = explain(stage, NEIGHBOUR4, "container:pub:80/tcp")
        assert other["verdict"] == "accept" and not other["twin"]["agrees"]
        assert "table inet meddler, chain c: ip daddr 172.30.1.10 tcp dport 80 drop" in other["twin"]["sentence"]
    finally:
        stage.scene.nft("delete table inet meddler")
    stage.closed()


ALL_KINDS = {
    "groups": [{"name": "family"}],
    "containers": [{"name": "pub", "policies": ["wan", "dns", "lan_upstream"], "publish": [{"port": "8080/tcp", "to": ["internet", "upstream"]}]},
                   {"name": "bob", "policies": [], "groups": ["family"]}, {"name": "mate", "groups": ["family"], "policies": ["wan"]}],
    "allow": [{"from": "rule:trusted", "to": "container:six", "ports": ["80/tcp"]}, {"from": "upstream", "to": "host", "ports": ["22/tcp"]}],
    "block": [{"from": "rule:iot", "to": "internet"}],
}


def test_prove(stage, built):
    """The kernel does what policy says, between all classes."""
    stage.closed(ALL_KINDS)
    done = stage.spr.command("prove", "--json", check=False)
    proof = json.loads(done.stdout)
    print(f"{proof['pairs']} of {proof['of']} pairs, {proof['packets']} packets, {proof['passed']} came through, {proof['seconds']:.2f} s")
    assert proof["differences"] == [] and proof["notes"] == []
    assert done.returncode == 0
    assert proof["pairs"] > 100 and 50 < proof["passed"] < proof["packets"] - 50
    assert proof["nowhere"] < proof["packets"] // 20


def proof_of(stage):
    return stage.spr.call("status")["proof"]


def status(stage, *words):
    return stage.spr.command("status", *words, check=False)


def background(stage):
    """Processes of a proof in the background."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if stage.spr.socket.encode() in words and b"status" in words:
            found.append(int(entry))
    return found


def wait_proved(stage, seconds=30):
    until = time.monotonic() + seconds * SLOW
    while time.monotonic() < until:
        proof = proof_of(stage)
        if proof["current"]:
            return proof
        time.sleep(0.05)
    raise AssertionError(f"not proved within {seconds} s: {proof_of(stage)}")


def wait_idle(stage):
    until = time.monotonic() + 30 * SLOW
    while background(stage) and time.monotonic() < until:
        time.sleep(0.05)
    assert not background(stage)


def test_status_proves(stage, built):
    """After a change status starts a proof, the next one shows it; one at a time, and none where nothing changed."""
    stage.closed(ALL_KINDS, {"block": [{"from": "rule:guest", "to": "rule:iot"}]})
    first = status(stage)
    assert first.returncode == 0 and "proved     not since the last change, being proved\n" in first.stdout
    assert "being proved" in status(stage).stdout and len(background(stage)) == 1
    proof = wait_proved(stage)
    assert proof["last"]["packets"] > 100 and proof["last"]["lets_through"] == proof["last"]["drops"] == 0, proof
    wait_idle(stage)
    done = status(stage)
    assert done.returncode == 0 and re.search(r"^proved +\d+ s ago: \d+ pairs, 0 differ$", done.stdout, re.M), done.stdout
    assert not background(stage)
    rules = proof["rules"]
    stage.spr.command("allow", "rule:guest", "container:bob:80/tcp")
    stage.document = None
    assert proof_of(stage)["rules"] != rules and not proof_of(stage)["current"]
    shown = json.loads(status(stage, "--json").stdout)["proof"]
    assert not shown["current"] and shown["running"]
    assert wait_proved(stage)["last"]["drops"] == 0
    rules = proof_of(stage)["rules"]
    stage.spr.command("allow", "rule:guest", "container:bob:80/tcp")  # says nothing new
    assert proof_of(stage)["rules"] == rules and proof_of(stage)["current"]
    wait_idle(stage)


def test_prove_by_hand_is_shown(stage, built):
    stage.closed(ALL_KINDS, {"block": [{"from": "rule:guest", "to": "upstream"}]})
    assert stage.spr.command("prove").returncode == 0
    assert proof_of(stage)["current"] and not background(stage)
    assert "0 differ" in status(stage).stdout


def test_status_tells_of_differences(stage, built):
    """A rule of others that drops what policy accepts: a problem, and an exit code; gone, it is proved again."""
    stage.closed(ALL_KINDS, {"allow": [{"from": "upstream", "to": "container:pub", "ports": ["80/tcp"]}]})
    stage.scene.nft("table inet meddler { chain c { type filter hook forward priority 5; ip daddr 172.30.1.10 tcp dport 80 drop; }; }")
    try:
        assert stage.spr.command("prove", check=False).returncode == 5
        done = status(stage)
    finally:
        stage.scene.nft("delete table inet meddler")
    assert done.returncode == 5 and "PROBLEM    the kernel drops what policy accepts" in done.stdout
    assert re.search(r"^proved .* [1-9]\d* differ: see spr prove$", done.stdout, re.M), done.stdout
    assert stage.spr.command("prove").returncode == 0
    assert status(stage).returncode == 0


def test_status_without_root(stage, built):
    """Who is not root sees what is known, and starts nothing."""
    stage.closed(ALL_KINDS, {"block": [{"from": "rule:guest", "to": "internet"}]})
    with Relay(stage.spr) as relay:
        done = relay.command("status")
    assert done.returncode == 0 and "proved     not since the last change\n" in done.stdout
    assert not background(stage)
    with pytest.raises(SprError, match="rules"):
        stage.spr.call("proved", rules=0)
    with pytest.raises(SprError, match="count"):
        stage.spr.call("proved", rules=1, pairs=-1)
    with pytest.raises(SprError, match="no such rules"):
        stage.spr.call("proved", rules=1 << 60, failed="x")


def test_a_killed_proof_leaves_nothing(stage, built):
    """No namespace, no lock: the next status starts another one."""
    stage.closed(ALL_KINDS, {"block": [{"from": "rule:iot", "to": "upstream"}]})
    for _ in range(2):
        status(stage)
        for pid in background(stage):
            os.kill(pid, signal.SIGKILL)
        wait_idle(stage)
        assert not proof_of(stage)["current"]
    status(stage)
    assert wait_proved(stage)["last"]["lets_through"] == 0
    wait_idle(stage)


class Stand:
    """Answers the first call as sprd did, who is stopped and cannot put right what others change; hands the second on."""

    def __init__(self, spr, answer, wake):
        self.spr = spr
        self.wake = wake
        self.path = f"{spr.scene.folder}/stand.sock"
        self.answer = json.dumps({"result": answer}).encode() + b"\n"
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        client, _ = self.sock.accept()
        with client:
            read_line(client)
            client.sendall(self.answer)
        client, _ = self.sock.accept()
        with client:
            line = read_line(client)
            self.wake()
            client.sendall(self.spr.send(line.rstrip(b"\n")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        os.unlink(self.path)


def test_a_wrong_element_is_found(built):
    """Somebody gives a container the class of another one, behind the daemon's back: proved, and shown by the status."""
    with Scene() as scene:
        stage = Stage(scene, "--protection", "plain")
        stage.closed(ALL_KINDS)
        answer = stage.spr.call("prove")
        listed = scene.router.run("nft", "list", "map", "inet", "spr", "id4")
        classes = dict(re.findall(r'"br-[ab]" \. (172\.30\.[12]\.10) : (\S+?)[ ,]', listed))

        def wake():
            for pid in (stage.spr.pid, stage.spr.process.pid):  # nsenter stops with its child
                os.kill(pid, signal.SIGCONT)

        os.kill(stage.spr.pid, signal.SIGSTOP)
        try:
            scene.nft('delete element inet spr id4 { "br-b" . 172.30.2.10 }')
            scene.nft(f'add element inet spr id4 {{ "br-b" . 172.30.2.10 : {classes["172.30.1.10"]} }}')
            with Stand(stage.spr, answer, wake) as stand:
                done = scene.machine.run(SPR, "--socket", stand.path, "prove", "--json", check=False)
        finally:
            wake()
        assert done.returncode == 6, done.stdout + done.stderr
        differences = json.loads(done.stdout)["differences"]
        assert {difference["in"] for difference in differences if difference["from"] == "172.30.2.10"} == {"br-b"}
        assert any(difference["policy"] == "drop" and difference["from"] == "172.30.2.10" for difference in differences)
        assert all("172.30.2.10" in (difference["from"], difference["to"]) for difference in differences)
        stage.spr.wait_for(lambda status: not status["proof"]["current"] and status["proof"]["before"])
        shown = status(stage)  # it was put right since, and that is being proved
        assert re.search(r"^proved +before the last change, .* [1-9]\d* differ", shown.stdout, re.M), shown.stdout
        assert "being proved" in shown.stdout and shown.returncode == 0
        proof = wait_proved(stage)
        assert proof["last"]["lets_through"] == proof["last"]["drops"] == 0 and not proof["before"]
        wait_idle(stage)
        stage.spr.stop()
