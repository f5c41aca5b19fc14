# SPDX-License-Identifier: GPL-2.0-or-later
"""spr prove and spr explain --twin: what policy says against what the kernel's rules do, in a twin of the machine."""

import json
import os
import re
import signal
import socket
import threading

from conftest import Stage
from scene import NEIGHBOUR4, Scene
from spr import SPR


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


class Stand:
    """Answers one call as sprd did, who is stopped and cannot put right what others change."""

    def __init__(self, folder, answer):
        self.path = f"{folder}/stand.sock"
        self.answer = json.dumps({"result": answer}).encode() + b"\n"
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        client, _ = self.sock.accept()
        with client:
            client.recv(65536)
            client.sendall(self.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        os.unlink(self.path)


def test_a_wrong_element_is_found(built):
    """Somebody gives a container the class of another one, behind the daemon's back."""
    with Scene() as scene:
        stage = Stage(scene, "--protection", "plain")
        stage.closed(ALL_KINDS)
        answer = stage.spr.call("prove")
        listed = scene.router.run("nft", "list", "map", "inet", "spr", "id4")
        classes = dict(re.findall(r'"br-[ab]" \. (172\.30\.[12]\.10) : (\S+?)[ ,]', listed))
        os.kill(stage.spr.pid, signal.SIGSTOP)
        try:
            scene.nft('delete element inet spr id4 { "br-b" . 172.30.2.10 }')
            scene.nft(f'add element inet spr id4 {{ "br-b" . 172.30.2.10 : {classes["172.30.1.10"]} }}')
            with Stand(scene.folder, answer) as stand:
                done = scene.machine.run(SPR, "--socket", stand.path, "prove", "--json", check=False)
        finally:
            for pid in (stage.spr.pid, stage.spr.process.pid):  # nsenter stops with its child
                os.kill(pid, signal.SIGCONT)
        stage.spr.stop()
    assert done.returncode == 6, done.stdout + done.stderr
    differences = json.loads(done.stdout)["differences"]
    assert {difference["in"] for difference in differences if difference["from"] == "172.30.2.10"} == {"br-b"}
    assert any(difference["policy"] == "drop" and difference["from"] == "172.30.2.10" for difference in differences)
    assert all("172.30.2.10" in (difference["from"], difference["to"]) for difference in differences)
