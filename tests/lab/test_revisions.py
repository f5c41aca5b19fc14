# SPDX-License-Identifier: GPL-2.0-or-later
"""Every change is a revision: seen before, confirmed, taken back, and none opened by a crash or a broken disk."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import threading
import time

import pytest
import yaml

from attacks import PUB4, connect
from probes import OPEN_WAIT, tcp_open
from scene import LAN4, TRUSTED4
from spr import SprError, merged

DIRECT = connect("neighbour", PUB4, 9999, "pub")
ALLOW = ["allow", "upstream", "container:pub:9999/tcp"]
ALLOWED = {"allow": [{"from": "upstream", "to": "container:pub", "ports": ["9999/tcp"]}]}


@pytest.fixture
def up(stage, built):
    stage.closed()
    yield stage.scene
    stage.document = None


def newest(stage):
    return stage.spr.call("history", limit=1)["revisions"][0]


def test_history(stage, up):
    """Each change is kept with who made it, why, and what it did; what changes nothing is none."""
    before = stage.spr.status()["revision"]
    stage.spr.command(*ALLOW, "--comment", "for the backup", environment={"SUDO_USER": "alice"})
    row = newest(stage)
    assert (row["number"], row["state"], row["author"], row["comment"]) == (before + 1, "current", "alice (root)", "for the backup")
    assert "9999/tcp" in row["summary"]
    assert abs(row["time"] - time.time()) < 10
    stage.spr.command(*ALLOW)
    assert newest(stage)["number"] in (before + 1, before + 2)  # the grant's comment is gone: that is a change
    stage.spr.command(*ALLOW)
    number = newest(stage)["number"]
    stage.spr.command(*ALLOW)
    assert newest(stage)["number"] == number
    assert "alice (root)" in stage.spr.command("history").stdout
    stage.spr.command(*ALLOW, "--remove")
    diff = stage.spr.command("diff", str(number)).stdout
    assert "-allow:" in diff and "9999/tcp" in diff and "closes: " in diff


def test_dry_run(stage, up):
    """What would be is said, and nothing is done."""
    before = stage.spr.status()["revision"]
    done = stage.spr.command(*ALLOW, "--dry-run")
    assert done.stdout.startswith("would be done: opens ") and "9999/tcp" in done.stdout
    assert stage.is_closed(DIRECT)
    plan = stage.spr.command("plan", "-f", "-", text=yaml.safe_dump(merged(ALLOWED)))
    assert "opens: " in plan.stdout and "pub: 9999/tcp" in plan.stdout
    assert stage.is_closed(DIRECT) and stage.spr.status()["revision"] == before
    stage.spr.command(*ALLOW)
    assert stage.is_open(DIRECT)
    assert "closes" in stage.spr.command(*ALLOW, "--remove", "-n").stdout
    assert stage.is_open(DIRECT)


def test_dry_run_of_up_and_down(stage, up):
    assert "gone" in stage.spr.command("down", "--dry-run").stdout
    assert stage.spr.status()["active"] and stage.is_closed(DIRECT)
    stage.plain()
    done = stage.spr.command("up", "--dry-run", "--force").stdout
    assert "would be done" in done and "spr publish pub --port 8080/tcp" in done
    assert not stage.spr.status()["active"] and stage.is_open(DIRECT)


def test_confirmed(stage, up):
    stage.spr.command(*ALLOW, "--confirm", "3s")
    assert stage.is_open(DIRECT) and newest(stage)["state"] == "unconfirmed"
    assert "spr confirm" in " ".join(stage.spr.status()["notes"])
    done = stage.spr.command("block", "container:pub", "internet", check=False)
    assert done.returncode == 1 and "confirm" in done.stderr
    stage.spr.command("confirm")
    assert newest(stage)["state"] == "current"
    time.sleep(3.5)
    assert stage.is_open(DIRECT)
    assert stage.spr.command("confirm", check=False).returncode == 1


def test_unconfirmed(stage, up):
    """Without a confirmation it is taken back, and what it had opened is cut."""
    stage.spr.command(*ALLOW, "--confirm", "2s")
    number = newest(stage)["number"]
    assert stage.is_open(DIRECT)
    time.sleep(2.5)
    assert stage.is_closed(DIRECT)
    row = newest(stage)
    assert (row["number"], row["author"], row["comment"]) == (number + 1, "sprd", f"revision {number} was not confirmed")
    stage.spr.command("rollback")  # a moment late: what was taken back does not come again
    assert stage.is_closed(DIRECT)
    assert [row["state"] for row in stage.spr.call("history")["revisions"] if row["number"] == number] == ["withdrawn"]
    stage.spr.command(*ALLOW, "--confirm", "1h")
    stage.spr.command("rollback")
    assert stage.is_closed(DIRECT)
    stage.spr.command(*ALLOW)
    assert stage.is_open(DIRECT)


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("pause, still", [(0, True), (4, False)], ids=["in-time", "too-late"])
def test_daemon_dies_unconfirmed(pause, still, stage, up):
    """The time goes on while no daemon runs; whoever starts too late begins with the revision before."""
    stage.spr.command(*ALLOW, "--confirm", "4s")
    assert stage.is_open(DIRECT)
    stage.spr.stop(signal.SIGKILL)
    time.sleep(pause)
    stage.spr.start()
    if still:
        assert stage.is_open(DIRECT)
        time.sleep(4.5)
    assert stage.is_closed(DIRECT)
    assert "was not confirmed" in newest(stage)["comment"]


def test_rollback(stage, up):
    before = stage.spr.status()["revision"]
    stage.spr.command(*ALLOW)
    stage.spr.command("block", "container:pub", "internet")
    assert stage.is_open(DIRECT)
    done = stage.spr.command("rollback", str(before), "--dry-run")
    assert "would be done" in done.stdout and stage.is_open(DIRECT)
    stage.spr.command("rollback", str(before))
    assert stage.is_closed(DIRECT)
    assert newest(stage)["comment"] == f"back to revision {before}"
    assert stage.spr.command("rollback", "999999", check=False).returncode == 1
    assert "they say the same" in stage.spr.command("diff", str(before)).stdout


def test_tests_of_the_policy(stage, up):
    """A policy that contradicts its own tests is refused, by whatever verb it would come about."""
    stage.spr.apply(merged({"tests": [{"from": "upstream", "to": "container:pub:9999", "expect": "drop"},
                                      {"from": "container:pub", "to": "internet:443/tcp", "expect": "accept"}]}))
    done = stage.spr.command(*ALLOW, check=False)
    assert done.returncode == 1 and "test" in done.stderr and "upstream -> pub:9999" in done.stderr.replace("container:", "")
    assert stage.is_closed(DIRECT)
    done = stage.spr.command("revoke", "container:pub", "wan", check=False)
    assert done.returncode == 1 and "internet:443/tcp" in done.stderr
    with pytest.raises(SprError, match="lab.yaml:.*test|test.*fails"):
        stage.spr.apply(merged(ALLOWED, {"tests": [{"from": "upstream", "to": "container:pub:9999", "expect": "drop"}]}))
    stage.spr.apply(merged({"tests": [{"from": "container:later", "to": "internet", "expect": "accept"}]}))
    assert stage.spr.call("apply", text=yaml.safe_dump(merged()), name="x", force=True)["changed"]


def test_changes_of_many_at_once(stage, up):
    """Changes that come together are made one after the other, and none is lost."""
    before = stage.spr.status()["revision"]
    errors = []

    def change(number):
        try:
            stage.spr.call("allow", **{"from": "upstream", "to": "container:pub", "ports": [f"{7000 + number}/tcp"]})
            stage.spr.call("history")
        except (SprError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    policy = yaml.safe_load(stage.spr.call("export")["yaml"])
    assert {port for grant in policy["allow"] for port in grant["ports"]} >= {f"{7000 + number}/tcp" for number in range(20)}
    assert stage.spr.status()["revision"] == before + 20


def test_stale_base(stage, up):
    """An edit of what somebody else changed meanwhile is refused."""
    base = stage.spr.call("export")["revision"]
    stage.spr.command(*ALLOW)
    with pytest.raises(SprError, match="meanwhile"):
        stage.spr.call("apply", text=yaml.safe_dump(merged()), name="x", base=base, force=True)


def edit(stage, script, **options):
    path = f"{stage.scene.folder}/editor"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{script}\n")
    os.chmod(path, 0o755)
    return stage.spr.command("edit", "--force", environment={"VISUAL": "", "EDITOR": path}, **options)


def test_edit(stage, up):
    """What was saved in the editor becomes the policy; what is refused is kept, with the reason in it."""
    assert "nothing changed" in edit(stage, "true").stdout
    text = "allow: [{from: upstream, to: container:pub, ports: [9999/tcp]}]"
    assert "opens" in edit(stage, f'echo "{text}" >>"$1"').stdout
    assert stage.is_open(DIRECT)
    number = stage.spr.status()["revision"]
    done = edit(stage, 'echo "bluck: [{from: lan, to: host}]" >>"$1"', check=False)
    path = re.search(r"/tmp/spr-edit-\w+/policy\.yaml", done.stderr).group()
    assert done.returncode == 1 and "did you mean 'block'" in done.stderr
    with open(path, encoding="utf-8") as file:
        kept = file.read()
    shutil.rmtree(os.path.dirname(path))
    assert kept.startswith("#! policy:") and kept.endswith("bluck: [{from: lan, to: host}]\n") and "9999/tcp" in kept
    assert stage.spr.status()["revision"] == number and stage.is_open(DIRECT)
    done = edit(stage, 'exit 3', check=False)
    assert done.returncode == 1
    shutil.rmtree(os.path.dirname(re.search(r"/tmp/spr-edit-\w+/policy\.yaml", done.stderr).group()))
    other = f"{stage.spr.arguments()[0].replace('sprd', 'spr')} --socket {stage.spr.socket} block container:bob internet"
    done = edit(stage, f'{other} >/dev/null; echo "groups: [{{name: x}}]" >>"$1"', check=False)
    assert done.returncode == 1 and "meanwhile" in done.stderr
    shutil.rmtree(os.path.dirname(re.search(r"/tmp/spr-edit-\w+/policy\.yaml", done.stderr).group()))


# --- crashes and disks -------------------------------------------------------------------------------------------

@contextlib.contextmanager
def database(stage):
    with contextlib.closing(sqlite3.connect(f"{stage.spr.state}/spr.db")) as db, db:
        yield db


def add_intent(stage, document, opens):
    with database(stage) as db:
        db.execute("INSERT INTO revision(time, author, comment, summary, yaml, state, opens, confirm_by)"
                   " VALUES(?, 'root', NULL, 'an intent', ?, 0, ?, 0)", (int(time.time()), yaml.safe_dump(document), opens))


@pytest.mark.daemon_may_die
def test_intents_after_a_crash(stage, up):
    """What a crash left as an intent: one that opens is not carried out, one that only closes is."""
    stage.spr.stop(signal.SIGKILL)
    add_intent(stage, merged(ALLOWED), 1)
    stage.spr.start()
    assert stage.is_closed(DIRECT) and newest(stage)["state"] == "failed"
    stage.spr.apply(merged(ALLOWED))
    assert stage.is_open(DIRECT)
    stage.spr.stop(signal.SIGKILL)
    add_intent(stage, merged(), 0)
    stage.spr.start()
    assert stage.is_closed(DIRECT) and newest(stage)["state"] == "current"


def damage(path, how):
    if how == "garbage":
        with open(path, "r+b") as file:
            file.write(os.urandom(3000))
    elif how == "empty-pages":
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(b"\0" * 8192)
    elif how == "gone":
        os.unlink(path)


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("how", ["garbage", "empty-pages", "gone"])
def test_damaged_database(how, stage, up):
    """It is kept aside; what was in force is enforced from its plain copy, and status says so."""
    stage.spr.apply(merged(ALLOWED))
    stage.spr.stop()
    damage(f"{stage.spr.state}/spr.db", how)
    stage.spr.start()
    assert stage.is_open(DIRECT)
    if how != "gone":
        assert "aside" in stage.spr.status()["problems"][0]
        assert [name for name in os.listdir(stage.spr.state) if name.startswith("spr.db.damaged-")]
    stage.spr.apply(merged())
    assert stage.is_closed(DIRECT)
    for name in os.listdir(stage.spr.state):
        if "damaged" in name:
            os.unlink(f"{stage.spr.state}/{name}")
    stage.spr.restart()
    assert stage.spr.status()["problems"] == []


@pytest.mark.daemon_may_die
def test_newest_revision_unreadable(stage, up):
    """The last good one is enforced."""
    stage.spr.apply(merged(ALLOWED))
    good = stage.spr.status()["revision"]
    stage.spr.apply(merged())
    stage.spr.stop()
    with database(stage) as db:
        db.execute("UPDATE revision SET yaml = 'interfaces: [' WHERE number > ?", (good,))
    stage.spr.start()
    assert stage.is_open(DIRECT)
    assert f"revision {good}, before it, is enforced" in stage.spr.status()["problems"][0]


@pytest.mark.daemon_may_die
def test_newer_database(stage, up):
    """One of a later version is left alone: its plain copy is enforced, and changes are refused."""
    stage.spr.apply(merged(ALLOWED))
    stage.spr.stop()
    with database(stage) as db:
        db.execute("PRAGMA user_version = 99")
    stage.spr.start()
    assert stage.is_open(DIRECT)
    assert "newer" in stage.spr.status()["problems"][0]
    with pytest.raises(SprError, match="newer"):
        stage.spr.apply(merged())
    stage.spr.stop()
    with database(stage) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
        db.execute("PRAGMA user_version = 1")
    stage.spr.start()


@contextlib.contextmanager
def own_disk(stage, command="true"):
    """The state folder on a small disk, with what is in it; the command is run before sprd starts there."""
    machine, state = stage.scene.machine, stage.spr.state
    stage.spr.stop()
    machine.run("sh", "-c", f"cp -a {state} {state}.copy; mount -t tmpfs -o size=256k tmpfs {state}; "
                            f"cp -a {state}.copy/. {state}/; rm -rf {state}.copy")
    try:
        machine.run("sh", "-c", command, check=False)
        stage.spr.start()
        yield machine
    finally:
        stage.spr.stop()
        machine.run("umount", state)
        stage.spr.start()


@pytest.mark.daemon_may_die
def test_full_disk(stage, up):
    """A change that cannot be written down is not made; when there is room again, it is."""
    with own_disk(stage) as machine:
        stage.spr.apply(merged(ALLOWED))
        machine.run("sh", "-c", f"cat /dev/zero >{stage.spr.state}/filler", check=False)
        with pytest.raises(SprError, match="nothing was changed"):
            for number in range(60):
                stage.spr.call("allow", **{"from": "upstream", "to": "container:pub", "ports": [f"{7000 + number}/tcp"]})
        exported = stage.spr.call("export")["yaml"]
        assert stage.is_open(DIRECT)
        stage.spr.restart(signal.SIGKILL)
        assert stage.is_open(DIRECT) and stage.spr.call("export")["yaml"] == exported
        machine.run("rm", f"{stage.spr.state}/filler")
        stage.spr.apply(merged())
        assert stage.is_closed(DIRECT)


@pytest.mark.daemon_may_die
def test_full_disk_unconfirmed(stage, up):
    """What nobody confirmed is taken back, whether that can be written down or not, and a start does so too."""
    with own_disk(stage) as machine:
        stage.spr.command(*ALLOW, "--confirm", "5s")
        tried = newest(stage)["number"]
        machine.run("sh", "-c", f"cat /dev/zero >{stage.spr.state}/filler", check=False)
        assert stage.is_open(DIRECT)
        time.sleep(6)
        assert stage.is_closed(DIRECT)
        # what was left of the disk may do for it; where not, that stays a problem, also when less than a row can be written
        for _ in range(12):
            status = stage.spr.status()
            assert status["revision"] > tried or any("could not be written down" in one for one in status["problems"])
            time.sleep(1)
        machine.run("rm", f"{stage.spr.state}/filler")
        stage.spr.wait_for(lambda status: status["revision"] > tried and not status["problems"])
        assert newest(stage)["comment"] == f"revision {tried} was not confirmed"
        assert {row["number"]: row["state"] for row in stage.spr.call("history", limit=5)["revisions"]}[tried] == "withdrawn"
        machine.run("sh", "-c", f"cat /dev/zero >{stage.spr.state}/filler", check=False)
        stage.spr.restart(signal.SIGKILL)
        assert stage.is_closed(DIRECT)
        machine.run("rm", f"{stage.spr.state}/filler")
        stage.spr.command("block", "container:bob", "internet")
        assert stage.is_closed(DIRECT)


@pytest.mark.daemon_may_die
def test_read_only_disk(stage, up):
    """The daemon starts, enforces what was in force, and refuses changes."""
    stage.spr.apply(merged(ALLOWED))
    with own_disk(stage, f"mount -o remount,ro {stage.spr.state}") as machine:
        assert stage.is_open(DIRECT)
        assert stage.spr.status()["problems"]
        with pytest.raises(SprError, match="nothing was changed"):
            stage.spr.apply(merged())
        assert stage.is_open(DIRECT)
        machine.run("mount", "-o", "remount,rw", stage.spr.state)
        stage.spr.apply(merged())
        assert stage.is_closed(DIRECT)
        assert stage.spr.status()["problems"] == []


# --- the policy in a file ----------------------------------------------------------------------------------------

def write(path, document):
    with open(path, "w", encoding="utf-8") as file:
        file.write(document if isinstance(document, str) else yaml.safe_dump(document))


@pytest.mark.daemon_may_die
def test_policy_file(stage, up):
    """A file is the truth: verbs say so, `spr apply` reads it, and one that cannot be read changes nothing."""
    spr, path = stage.spr, f"{stage.scene.folder}/policy.yaml"
    spr.stop()
    write(path, merged(ALLOWED))
    spr.start("--policy-file", path)
    try:
        assert stage.is_open(DIRECT)
        done = spr.command("block", "container:pub", "internet", check=False)
        assert done.returncode == 1 and path in done.stderr
        assert "would be done" in spr.command("block", "container:pub", "internet", "--dry-run").stdout
        write(path, merged())
        spr.command("apply", "--force")
        assert stage.is_closed(DIRECT)
        write(path, "allow: [{from: upstream, too: container:pub}]\n")
        done = spr.command("apply", check=False)
        assert done.returncode == 1 and f"{path}:1:" in done.stderr
        spr.restart(signal.SIGKILL, ["--policy-file", path])
        assert stage.is_closed(DIRECT) and path in spr.status()["problems"][0]
        write(path, merged(ALLOWED))
        os.kill(spr.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert stage.is_open(DIRECT) and spr.status()["problems"] == []
    finally:
        spr.restart()


@pytest.mark.daemon_may_die
def test_policy_file_unconfirmed(stage, up):
    """What a file said and nobody confirmed does not come back by a restart; a corrected file ends the waiting."""
    spr, path = stage.spr, f"{stage.scene.folder}/policy.yaml"
    spr.stop()
    write(path, merged())
    spr.start("--policy-file", path)
    try:
        write(path, merged(ALLOWED))
        spr.command("apply", "--force", "--confirm", "2s")
        assert stage.is_open(DIRECT)
        time.sleep(2.5)
        assert stage.is_closed(DIRECT)
        spr.restart(options=["--policy-file", path])
        assert stage.is_closed(DIRECT) and "taken back" in spr.status()["problems"][0]
        spr.command("apply", "--force", "--confirm", "1h")
        write(path, merged())
        spr.command("apply", "--force")
        assert stage.is_closed(DIRECT) and newest(stage)["state"] == "current"
        write(path, merged(ALLOWED))
        spr.command("apply", "--force", "--confirm", "1h")
        spr.command("rollback", "--force")
        assert stage.is_closed(DIRECT)
    finally:
        spr.restart()


def test_lock_out_by_a_container(stage, up):
    """A session that comes out of a container, a proxy or a terminal: the connections into that container count too."""
    session = {"SSH_CONNECTION": "172.30.1.10 40022 172.30.1.1 22"}
    publish = ["publish", "pub", "--port", "8080/tcp", "--to"]
    stage.grant([*publish, "rule:trusted"], ["allow", "container:pub", "host:22/tcp"])
    sock, _ = tcp_open(up.trusted, LAN4, 8080, OPEN_WAIT)
    with sock:
        done = stage.spr.command(*publish, "rule:trusted", "--remove", check=False, environment=session)
        assert done.returncode == 1 and "container pub" in done.stderr and TRUSTED4 in done.stderr
        stage.spr.command(*publish, "upstream", environment=session)
        stage.spr.command(*publish, "rule:trusted", "--remove", "--force", environment=session)
    assert stage.is_closed(connect("trusted", LAN4, 8080, "pub"))
