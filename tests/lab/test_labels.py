# SPDX-License-Identifier: GPL-2.0-or-later
"""What labels of containers ask for: nothing of it holds before it is accepted, or with labels: trust, from the first packet on."""

import contextlib
import json
import time

import pytest
import yaml

from attacks import connect
from probes import CLOSED_WAIT, OPEN_WAIT, Flood, talk, tcp_open, udp_arrived
from scene import HOST4, INTERNET4, NEIGHBOUR4, PRIVATE4
from spr import SprError

ASKER4 = "172.30.2.60"
LABELS = {"spr.policies": "wan,dns,lan_upstream", "spr.publish": "9060/tcp:upstream, 9061/udp:group:shop+upstream", "spr.groups": "shop"}
PORTS = ["9060:80", "9061:9999/udp"]
SERVICES = ["tcp:0.0.0.0:80", "udp:0.0.0.0:9999"]
TRUST = {"settings": {"labels": "trust"}}

OUT = connect("asker", PRIVATE4, 80, "private")
PUBLISHED = connect("neighbour", HOST4, 9060, "asker")
GROUP = connect("pub", ASKER4, 80, "asker")
INTERNET = connect("asker", INTERNET4, 80, "internet")
SHOP = {"groups": [{"name": "shop"}], "containers": [{"name": "pub", "policies": ["wan"], "groups": ["shop"]}]}


@contextlib.contextmanager
def asker(scene, labels, **options):
    scene.container("asker", "br-b", ASKER4, ports=PORTS, services=SERVICES, labels=labels, **options)
    try:
        yield scene.asker
    finally:
        scene.remove("asker")


@pytest.fixture
def up(stage, built):
    stage.closed()
    return stage.scene


@pytest.fixture
def baked(stage, built):
    """An image with labels of its own; a container can say others."""
    stage.scene.docker.image("baked", {"/probe": stage.scene.probe},
                             labels={"spr.policies": "lan_upstream", "spr.publish": "9060/tcp:upstream"})
    stage.closed()
    return stage.scene


def pending(stage, count, seconds=5):
    """The proposals, as soon as there are so many."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        proposals = stage.spr.call("pending")["proposals"]
        if len(proposals) == count:
            return proposals
        time.sleep(0.05)
    raise AssertionError(f"not {count} proposals: {proposals}")


def assert_paths(stage, **paths):
    runs = {"out": OUT, "published": PUBLISHED, "group": GROUP, "internet": INTERNET}
    for name, is_open in paths.items():
        assert stage.is_open(runs[name]) if is_open else stage.is_closed(runs[name]), f"{name} is {'closed' if is_open else 'open'}"


def test_nothing_before_accept(stage, up):
    """A request opens nothing; `spr accept` opens what was shown, and says so."""
    stage.closed(SHOP)
    with Flood(up, "neighbour", HOST4, 9061, 50) as flood, asker(up, LABELS) as space:
        proposal, = pending(stage, 1)
        assert proposal["who"] == "asker" and proposal["from"] == "container" and proposal["refused"] is None
        assert proposal["what"] == ("policies wan, dns, lan_upstream; groups shop; publish 9060/tcp to upstream; "
                                    "publish 9061/udp to group:shop, upstream")
        assert proposal["missing"] == proposal["what"].replace("wan, dns, ", "")
        assert abs(proposal["since"] - time.time()) < 60
        assert stage.spr.status()["pending"] == 1
        assert "1, listed by: spr pending" in stage.spr.command("status").stdout
        assert_paths(stage, out=False, published=False, group=False, internet=True)
        assert udp_arrived(space) == 0, "the flood came through before anybody accepted"

        shown = stage.spr.command("pending").stdout
        assert proposal["id"] in shown and "publish 9060/tcp to upstream" in shown
        stage.document = None
        line = stage.spr.command("accept", proposal["id"]).stdout
        assert line.startswith("opens ")
        time.sleep(0.2)
        assert udp_arrived(space) > 0, "what was accepted does not hold"
        assert flood.stop() > 500
        assert_paths(stage, out=True, published=True, group=True, internet=True)
        assert not pending(stage, 0) and stage.spr.status()["pending"] == 0
        entry = {item["name"]: item for item in yaml.safe_load(stage.spr.call("export")["yaml"])["containers"]}["asker"]
        assert entry["policies"] == ["wan", "dns", "lan_upstream"] and entry["groups"] == ["shop"] and len(entry["publish"]) == 2


def test_accept_adds_to_an_entry(stage, up):
    """An entry keeps what it has and gets what it lacks; the id is of what is asked, whatever is missing of it."""
    with asker(up, LABELS):
        first, = pending(stage, 1)
        stage.closed(SHOP, {"containers": [{"name": "asker", "policies": ["lan"], "publish": [{"port": "9060/tcp", "to": ["internet"]}]}]})
        proposal, = pending(stage, 1)
        assert proposal["id"] == first["id"] and "publish 9060/tcp to upstream" in proposal["missing"]
        stage.document = None
        stage.spr.call("accept", ids=[proposal["id"]])
        entry = {item["name"]: item for item in yaml.safe_load(stage.spr.call("export")["yaml"])["containers"]}["asker"]
        assert entry["policies"] == ["wan", "dns", "lan", "lan_upstream"] and {"port": "9060/tcp", "to": ["internet", "upstream"]} in entry["publish"]
        assert_paths(stage, out=True, published=True, group=True)


def test_accepted_is_what_was_shown(stage, up):
    """Another label is another id, and what is not there cannot be accepted; a wrong id in a list changes nothing."""
    with asker(up, {"spr.policies": "wan,dns,lan"}):
        old, = pending(stage, 1)
    with asker(up, {"spr.policies": "wan,dns,lan_upstream"}):
        new, = pending(stage, 1)
        assert new["id"] != old["id"]
        for ids in ([old["id"]], [new["id"], old["id"]], ["00000000"], []):
            with pytest.raises(SprError):
                stage.spr.call("accept", ids=ids)
        assert_paths(stage, out=False)


def test_dismissed_stays_away(stage, up):
    """A request that was dismissed is not shown again, over a restart, until it says something else."""
    with asker(up, LABELS):
        proposal, = pending(stage, 1)
        stage.document = None
        stage.spr.command("dismiss", proposal["id"])
        assert not pending(stage, 0)
        assert_paths(stage, out=False, published=False)
        stage.spr.restart()
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
        assert not pending(stage, 0)
        dismissed = yaml.safe_load(stage.spr.call("export")["yaml"])["dismissed"]
        assert [item["id"] for item in dismissed] == [proposal["id"]] and dismissed[0]["comment"].startswith("asker: policies wan")
    with asker(up, {**LABELS, "spr.tags": "more"}):
        other, = pending(stage, 1)
        assert other["id"] != proposal["id"]
    with asker(up, LABELS):
        time.sleep(0.5)
        assert not pending(stage, 0)
        stage.spr.call("accept", ids=[proposal["id"]])
        assert_paths(stage, out=True)
        assert "dismissed" not in stage.spr.call("export")["yaml"]


HOSTILE = {"spr.policies": "wan\u001b]0;owned\u0007,dns", "spr.groups": "x" * 5000, "spr.publish": "9060/tcp:\u202elan", "spr.polices": "wan",
           "spr.\u001b[31m": "x", **{f"spr.zmany{number}": "x" for number in range(50)}}


@pytest.mark.parametrize("labels", ["ask", "trust"])
def test_hostile_labels(labels, stage, up):
    """What cannot be read is shown as such, harmlessly, and cannot be accepted; with trust it opens nothing."""
    stage.closed({"settings": {"labels": labels}})
    with asker(up, HOSTILE):
        proposals = pending(stage, 16)
        assert all(proposal["refused"] for proposal in proposals)
        known = {proposal["what"].split("=")[0]: proposal for proposal in proposals}
        assert "spr.policies" in known["spr.policies"]["refused"] and "did you mean 'policies'?" in known["spr.polices"]["refused"]
        for words in (["pending"], ["status"], ["accept", known["spr.groups"]["id"]]):
            done = stage.spr.command(*words, check=False)
            assert not set(done.stdout + done.stderr) & set("\u001b\u0007\u202e"), words
            assert done.returncode == (1 if words[0] == "accept" else 0)
        assert_paths(stage, out=False, published=False, group=False, internet=labels == "ask")
        stage.document = None
        stage.spr.call("dismiss", ids=[proposal["id"] for proposal in proposals])
        assert not pending(stage, 0)


def test_image_labels_are_marked(stage, baked):
    """What an image says is marked; with trust it still opens nothing, until somebody accepts it."""
    for settings in ("ask", "trust"):
        stage.closed({"settings": {"labels": settings}})
        with asker(baked, {"spr.tags": "own"}, image="baked"):
            proposals = {proposal["from"]: proposal for proposal in pending(stage, 2 if settings == "ask" else 1)}
            assert proposals["image"]["what"] == "policies lan_upstream; publish 9060/tcp to upstream"
            assert_paths(stage, out=False, published=False, internet=True)
    with asker(baked, None, image="baked"):
        proposal, = pending(stage, 1)
        assert "image" in stage.spr.command("pending").stdout
        stage.document = None
        stage.spr.call("accept", ids=[proposal["id"]])
        assert_paths(stage, out=True, published=True, internet=False)


def test_trust_own_word_beside_the_image(stage, baked):
    """A container that says something else than its image has said it itself."""
    stage.closed(TRUST)
    with asker(baked, {"spr.policies": "wan,lan_upstream"}, image="baked"):
        assert_paths(stage, out=True, published=False, internet=True)


def test_trust_from_the_first_packet(stage, up):
    """With trust, what a container's own labels say works with its very first packet."""
    stage.closed(TRUST)
    for number in range(3):
        name = f"first{number}"
        up.docker.run(name, "br-b", ["/probe", "insist", PRIVATE4, "80", "900", "1"], labels={"spr.policies": "lan_upstream"})
        try:
            until = time.monotonic() + 20
            while up.docker.inspect(name)["State"]["Running"] and time.monotonic() < until:
                time.sleep(0.05)
            assert up.docker.logs(name).split() == ["open"], "the first SYN was lost"
        finally:
            up.docker.remove(name)


def test_trust_and_back(stage, up):
    """Trust opens what labels say and no more; back to asking, it closes and what is open is cut."""
    stage.closed(SHOP, TRUST)
    with asker(up, LABELS):
        assert_paths(stage, out=True, published=True, group=True, internet=True)
        assert not pending(stage, 0)
        said = stage.spr.call("explain", **{"from": "container:asker", "to": "upstream", "port": "80/tcp"})
        assert said["verdict"] == "accept"
        sock, _ = tcp_open(up.asker, PRIVATE4, 80, OPEN_WAIT)
        with sock:
            assert talk(sock, OPEN_WAIT)
            stage.closed(SHOP)
            until = time.monotonic() + 1
            while time.monotonic() < until and talk(sock, CLOSED_WAIT):
                pass
            assert not talk(sock, CLOSED_WAIT), "the flow outlived its right"
        assert_paths(stage, out=False, published=False, group=False, internet=True)
        assert len(pending(stage, 1)) == 1


def test_trust_entry_goes_before(stage, up):
    """A container with an entry is not changed by its labels; and the first entry starts with what they gave."""
    stage.closed(SHOP, TRUST, {"containers": [{"name": "asker", "policies": ["wan"]}]})
    with asker(up, LABELS):
        assert_paths(stage, out=False, published=False, group=False, internet=True)
        stage.closed(SHOP, TRUST)
        stage.grant(["grant", "asker", "lan"])
        assert_paths(stage, out=True, published=True, group=True, internet=True)
        stage.grant(["revoke", "asker", "lan_upstream"])
        assert_paths(stage, out=False, published=True, group=True, internet=True)


def test_trust_unknown_group(stage, up):
    """A group that the policy does not know is not made by a label: status says that it does nothing."""
    stage.closed(TRUST, {"containers": [{"name": "pub", "policies": ["wan"]}]})
    with asker(up, {"spr.groups": "shop"}):
        proposal, = pending(stage, 1)
        assert proposal["missing"] == "groups shop"
        assert any("asks for the group shop, which the policy does not know" in note for note in stage.spr.status()["notes"])
        assert_paths(stage, group=False, internet=True)


def test_a_new_entry_keeps_the_tags_of_the_network(stage, up):
    """A block may hang on a tag of the network: neither a label nor the first entry takes it off."""
    tagged = {"networks": [{"name": "br-b", "policies": ["wan", "dns"], "tags": ["bad"]}], "block": [{"from": "tag:bad", "to": "upstream"}]}
    stage.closed(tagged, TRUST)
    with asker(up, {"spr.policies": "lan_upstream,wan"}):
        assert_paths(stage, out=False, internet=True)
        stage.closed(tagged)
        stage.spr.call("accept", ids=[pending(stage, 1)[0]["id"]])
        stage.document = None
        assert_paths(stage, out=False, internet=True)
    stage.closed(tagged)
    stage.grant(["grant", "bob", "lan_upstream"])
    assert stage.is_closed(connect("bob", PRIVATE4, 80, "private"))


def test_trust_refuses_no_change(stage, up):
    """What a label says about others stands in nobody's way."""
    stage.closed(TRUST)
    with asker(up, {"spr.publish": "9060/tcp:inner+pub"}):
        stage.grant(["grant", "bob", "lan"])
        assert_paths(stage, published=False)


def test_json(stage, up):
    with asker(up, LABELS):
        pending(stage, 1)
        said = json.loads(stage.spr.command("pending", "--json").stdout)
        assert set(said["proposals"][0]) == {"id", "kind", "who", "what", "missing", "from", "refused", "since"}
        assert NEIGHBOUR4 not in json.dumps(said)
