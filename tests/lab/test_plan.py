# SPDX-License-Identifier: GPL-2.0-or-later
"""Dry runs: what a change opens and closes is tried in twins before it is made, and real packets agree afterwards."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from attacks import PUB4, connect
from scene import HOST4
from spr import SPR, Relay, merged

BOB_PUB = connect("bob", PUB4, 80, "pub")
DIRECT = connect("neighbour", PUB4, 9999, "pub")
PUBLISHED = connect("neighbour", HOST4, 8080, "pub")

# what is done, and what then opens (True) or closes (False)
CHANGES = [
    (["join", "container:bob", "shared"], None),
    (["join", "container:pub", "shared"], [(BOB_PUB, True)]),
    (["block", "container:bob", "container:pub"], [(BOB_PUB, False)]),
    (["block", "container:bob", "container:pub", "--remove"], [(BOB_PUB, True)]),
    (["leave", "container:bob", "shared"], [(BOB_PUB, False)]),
    (["allow", "upstream", "container:pub:9999/tcp"], [(DIRECT, True)]),
    (["publish", "container:pub", "--port", "8080/tcp", "--to", "upstream"], [(PUBLISHED, True)]),
    (["publish", "container:pub", "--port", "8080/tcp", "--remove"], [(PUBLISHED, False)]),
    (["revoke", "container:pub", "wan"], []),
    (["grant", "container:pub", "lan_upstream"], []),
]


def dry(stage, *words, text=None):
    """The dry run's exit code and what the twins say."""
    flags = [] if words[0] == "plan" else ["--dry-run"]
    done = stage.spr.command(*words, *flags, "--json", check=False, text=text)
    assert done.returncode in (0, 5, 6), done.stdout + done.stderr
    result = json.loads(done.stdout)
    return done.returncode, result.get("twin"), result


def tables(stage):
    """All that is in the kernel's tables: each table, chain, set and rule has its number."""
    listing = stage.scene.router.run("nft", "-a", "-s", "list", "ruleset")
    return [line.strip() for line in listing.splitlines() if "# handle" in line]


def namespaces(stage):
    """Network namespaces that a process of the machine is in."""
    machine = os.readlink(f"/proc/{stage.spr.pid}/ns/pid")
    seen = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") == machine:
                    seen.add(os.readlink(f"/proc/{entry}/ns/net"))
            except OSError:
                pass
    return seen


@pytest.fixture
def up(stage, built):
    stage.closed()
    yield stage
    stage.document = None


def test_a_change_is_confirmed(up):
    """Each change as a dry run: confirmed, and nothing is done; then it is made, and real packets say the same."""
    up.grant(["join", "container:mate", "other"])
    for words, effects in CHANGES:
        before, spaces, revision = tables(up), namespaces(up), up.spr.status()["revision"]
        code, twin, result = dry(up, *words)
        assert code == 0, (words, twin)
        if effects is None:  # the first of a group: nothing opens
            assert twin["confirmed"] is None or twin["confirmed"], (words, twin)
        else:
            assert twin["confirmed"] is True and twin["agree"] == twin["compared"] > 0, (words, twin)
            assert twin["differences"] == [] and "trial" not in result
            assert all(packet["before"] != packet["after"] for packet in twin["packets"])
        assert tables(up) == before and namespaces(up) == spaces, words
        assert up.spr.status()["revision"] == revision
        for run, opens in effects or []:
            assert (up.is_closed if opens else up.is_open)(run), words
        up.spr.command(*words)
        for run, opens in effects or []:
            assert (up.is_open if opens else up.is_closed)(run), words


def test_a_plan_is_confirmed(up):
    """A whole document; for a person the count is in the last line."""
    document = json.dumps(merged({"allow": [{"from": "upstream", "to": "container:pub", "ports": ["9999/tcp"]}],
                                  "block": [{"from": "rule:iot", "to": "internet"}]}))
    code, twin, _ = dry(up, "plan", "-f", "-", text=document)
    assert code == 0 and twin["confirmed"] is True
    ends = {(packet["from"], packet["to"], packet["port"], packet["before"], packet["after"]) for packet in twin["packets"]}
    assert ("upstream", "pub", "9999/tcp", "drop", "accept") in ends
    assert any(end[0] == "rule:iot" and end[1] == "internet" and end[3:] == ("accept", "drop") for end in ends), (ends, twin["pairs"], twin["of"])
    said = up.spr.command("plan", "-f", "-", text=document).stdout.splitlines()
    assert re.fullmatch(r"confirmed in the twin: (\d+) of \1", said[-1]), said


def test_a_rule_of_others_is_named(up):
    """What policy would open and another program drops is a difference: who it is, and an exit code."""
    words = ["allow", "upstream", "container:pub:9999/tcp"]
    assert dry(up, *words)[0] == 0
    up.scene.nft("table inet meddler { chain c { type filter hook forward priority 5; ip daddr 172.30.1.10 tcp dport 9999 drop; }; }")
    try:
        code, twin, _ = dry(up, *words)
        assert code == 5 and twin["confirmed"] is False
        assert [(one["when"], one["policy"], one["kernel"]) for one in twin["differences"]] == [("after", "accept", "drop")]
        assert "table inet meddler, chain c: ip daddr 172.30.1.10 tcp dport 9999 drop" in twin["differences"][0]["where"]
        done = up.spr.command(*words, "--dry-run", check=False)
        assert done.returncode == 5 and "meddler" in done.stdout and "not confirmed in the twin: " in done.stdout
        up.spr.command(*words)
        assert up.is_closed(DIRECT)  # and so it is
    finally:
        up.scene.nft("delete table inet meddler")
    assert up.is_open(DIRECT)


def test_what_is_wrong_already(up):
    """A rule of others that drops what policy accepts now is one of the rules that there are, not the change's."""
    up.grant(["allow", "upstream", "container:pub:9999/tcp"])
    up.scene.nft("table inet meddler { chain c { type filter hook forward priority 5; ip daddr 172.30.1.10 tcp dport 9999 drop; }; }")
    try:
        code, twin, _ = dry(up, "allow", "upstream", "container:pub:9999/tcp", "--remove")
        assert code == 5 and [one["when"] for one in twin["differences"]] == ["before"]
    finally:
        up.scene.nft("delete table inet meddler")


def ends_of(packets, before, after):
    return {(packet["from"], packet["to"], packet["port"]) for packet in packets
            if packet["kernel_before"] == before and packet["kernel_after"] == after}


def test_up_and_down(up):
    """What `up` closes is what the kernel lets through now; `down` opens it again."""
    published = ("upstream", "pub", "8080/tcp as published")
    code, twin, _ = dry(up, "down")
    assert code == 0 and twin["confirmed"] is True and published in ends_of(twin["packets"], "drop", "accept")
    up.plain()
    assert up.is_open(PUBLISHED)
    code, twin, result = dry(up, "up", "--force")
    assert code == 0 and twin["confirmed"] is True, twin["differences"]
    assert published in ends_of(twin["packets"], "accept", "drop") and result["dry_run"]
    said = up.spr.command("up", "--force", "--dry-run").stdout
    assert "closes: " in said and "confirmed in the twin: " in said
    code, twin, _ = dry(up, "publish", "container:pub", "--port", "8080/tcp", "--to", "upstream")
    assert code == 0 and twin["confirmed"] is True and twin["compared"] > 0
    assert not up.spr.status()["active"] and up.is_open(PUBLISHED)
    up.closed()
    assert up.is_closed(PUBLISHED)


def test_not_here(up):
    """Nobody is here whom it is about: that is said, and is no failure."""
    code, twin, _ = dry(up, "allow", "container:nobody", "container:none")
    assert code == 0 and (twin is None or twin["confirmed"] is None)


def test_without_root(up):
    """Who is not root is told that nothing was tried, and nothing is."""
    with Relay(up.spr) as relay:
        done = relay.command("allow", "upstream", "container:pub:9999/tcp", "--dry-run")
    assert done.returncode == 0 and "opens upstream -> pub: 9999/tcp" in done.stdout
    assert "not confirmed in the twin: only root can make twins" in done.stdout


def test_killed(up):
    """A plan that is killed leaves no namespace and no rule behind."""
    before, spaces = tables(up), namespaces(up)
    for delay in (0.05, 0.2, 0.5):
        process, pid = up.scene.machine.start(SPR, "--socket", up.spr.socket, "allow", "upstream", "container:pub:9999/tcp", "-n",
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(20)
    until = time.monotonic() + 5
    while namespaces(up) != spaces and time.monotonic() < until:
        time.sleep(0.05)
    assert namespaces(up) == spaces and tables(up) == before

