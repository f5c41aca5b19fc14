# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input never opens anything: it is refused with a sentence that says what, where and what to do, and all goes on."""

import contextlib
import json
import os
import socket
import threading
import time

import pytest
import yaml

from attacks import PUB4, connect
from engine import EngineError
from probes import OPEN_WAIT
from scene import HOST4, INTERNET4
from spr import SPR, Spr, SprError, merged

INTERNET = connect("pub", INTERNET4, 80, "internet")
ATTACK = connect("neighbour", PUB4, 9999, "pub")

# What is wrong, and what the message must name.
BAD_POLICIES = {
    "unknown section": ("intrefaces: []\n", ["lab.yaml:1", "intrefaces", "interfaces"]),
    "unknown key": ("containers:\n  - name: web\n    polices: [wan]\n", ["lab.yaml:3", "polices", "policies"]),
    "unknown key of a rule": ("rules:\n  - {name: a, interfce: br-lan, source: 10.0.0.0/8}\n", ["lab.yaml:2", "interfce", "interface"]),
    "unknown policy": ("containers: [{name: web, policies: [wam]}]\n", ["lab.yaml:1", "wam", "wan"]),
    "unknown group": ("groups: [{name: media}]\ncontainers: [{name: web, groups: [medai]}]\n", ["lab.yaml:2", "medai", "media"]),
    "unknown group in allow": ("groups: [{name: family}]\nallow: [{from: 'group:famly', to: host}]\n", ["lab.yaml:2", "famly", "family"]),
    "unknown role": ("interfaces: [{name: eth0, role: uplnik}]\n", ["lab.yaml:1", "uplnik", "uplink"]),
    "unknown protocol": ("allow: [{from: upstream, to: host, ports: [22/tpc]}]\n", ["lab.yaml:1", "tpc", "tcp"]),
    "port out of range": ("allow: [{from: upstream, to: host, ports: [70000/tcp]}]\n", ["lab.yaml:1", "70000"]),
    "port zero": ("allow: [{from: upstream, to: host, ports: [0/tcp]}]\n", ["lab.yaml:1"]),
    "range backwards": ("allow: [{from: upstream, to: host, ports: [90-80/tcp]}]\n", ["lab.yaml:1", "90-80"]),
    "no address": ("rules: [{name: a, interface: br-lan, source: 192.168.77.300/24}]\n", ["lab.yaml:1", "192.168.77.300"]),
    "host bits": ("rules: [{name: a, interface: br-lan, source: 192.168.77.5/24}]\n", ["lab.yaml:1", "192.168.77.0/24"]),
    "prefix too long": ("rules: [{name: a, interface: br-lan, source: 192.168.77.0/33}]\n", ["lab.yaml:1", "33"]),
    "interface name too long": ("interfaces: [{name: abcdefghijklmnopq, role: lan}]\n", ["lab.yaml:1", "abcdefghijklmnopq"]),
    "interface name with a slash": ("interfaces: [{name: 'a/b', role: lan}]\n", ["lab.yaml:1", "a/b"]),
    "interface name with a space": ("interfaces: [{name: 'a b', role: lan}]\n", ["lab.yaml:1", "a b"]),
    "rule without source": ("rules: [{name: a, interface: br-lan}]\n", ["lab.yaml:1", "source"]),
    "equal ranges in two rules": ("rules:\n  - {name: a, interface: br-lan, source: 192.168.77.0/24}\n"
                                  "  - {name: b, interface: br-lan, source: 192.168.77.0/24}\n", ["192.168.77.0/24", "a", "b"]),
    "two entries of one thing": ("containers: [{name: web}, {name: web}]\n", ["web"]),
    "duplicate key": ("containers: [{name: web, policies: [wan], policies: [lan]}]\n", ["policies"]),
    "duplicate section": ("groups: [{name: a}]\ngroups: [{name: b}]\n", ["lab.yaml:2", "groups"]),
    "text for a list": ("containers: web\n", ["lab.yaml:1", "containers"]),
    "list for text": ("containers: [{name: [web]}]\n", ["lab.yaml:1", "name"]),
    "wrong setting": ("settings: {local_users: rot}\n", ["lab.yaml:1", "rot", "root"]),
    "negative count": ("settings: {connections: -1}\n", ["lab.yaml:1", "-1"]),
    "expiry that is none": ("allow: [{from: upstream, to: host, expires: tomorrow}]\n", ["lab.yaml:1", "tomorrow"]),
    "section of a later version": ("devices: [{name: tv, mac: '02:00:00:00:00:05'}]\n", ["lab.yaml:1", "devices"]),
    "another section of a later version": ("forwards: []\n", ["lab.yaml:1", "forwards"]),
    "broken YAML": ("containers: [\n  {name: web\n", ["lab.yaml:"]),
    "tab as indent": ("containers:\n\t- name: web\n", ["lab.yaml:2"]),
    "anchor bomb": ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                    "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ncontainers: *d\n", ["lab.yaml:"]),
    "two documents": ("groups: []\n---\ngroups: []\n", ["lab.yaml:"]),
    "not UTF-8": ("containers: [{name: \"\\xff\\u0000web\"}]\n", ["lab.yaml:1"]),
    "control characters in a name": ("containers: [{name: \"we\\nb\\e[31m\"}]\n", ["lab.yaml:1"]),
    "name too long": ("groups: [{name: " + "x" * 300 + "}]\n", ["lab.yaml:1"]),
    "deep nesting": ("containers: " + "[" * 5000 + "]" * 5000 + "\n", ["lab.yaml:"]),
}


@pytest.fixture
def up(stage, built):
    stage.closed()
    return stage.scene


def unharmed(stage):
    """The running policy is what it was."""
    assert stage.spr.alive()
    assert stage.is_open(INTERNET)
    assert stage.is_closed(ATTACK)


@pytest.mark.parametrize("name", BAD_POLICIES)
def test_bad_policy(name, stage, up):
    text, wanted = BAD_POLICIES[name]
    before = stage.spr.call("export")
    with pytest.raises(SprError) as refused:
        stage.spr.apply(text)
    missing = [word for word in wanted if word not in refused.value.message]
    assert not missing, f"{missing} not in: {refused.value.message}"
    assert len(refused.value.message) < 1000 and "\033" not in refused.value.message
    assert stage.spr.call("export") == before
    unharmed(stage)


def test_bad_policy_by_the_command(stage, up, tmp_path):
    """The command says file and line, on stderr, with exit code 1."""
    path = tmp_path / "mine.yaml"
    path.write_text("containers:\n  - name: web\n    polices: [wan]\n")
    done = stage.spr.command("apply", "-f", str(path), check=False)
    assert done.returncode == 1
    assert "mine.yaml:3" in done.stderr and "policies" in done.stderr and not done.stdout
    assert stage.spr.command("apply", "-f", str(tmp_path / "nothing"), check=False).returncode in (1, 2)


# Whether a word is wrong usage (2) or refused (1) is the command's to say; that it is one of them, and why, is tested.
@pytest.mark.parametrize("words, wanted", [
    (["grant", "pub", "wam"], ["wam", "wan"]),
    (["join", "pub"], []),
    (["allow", "upstream", "container:pub:99999/tcp"], ["99999"]),
    (["allow", "upstream", "container:pub:80/tpc"], ["tpc", "tcp"]),
    (["allow", "group:nobody", "host:22/tcp"], ["nobody"]),
    (["publish", "pub", "--port", "8081/tcp", "--to", "upstream", "--for", "1h"], ["for"]),
    (["alow", "upstream", "host"], ["alow", "allow"]),
    (["role", "eth0", "uplnik"], ["uplnik", "uplink"]),
    (["role", "eth0/../x", "lan"], []),
    (["allow", "upstream", "host:22/tcp", "--for", "soon"], ["soon"]),
    (["status", "--jsn"], ["jsn"]),
    (["list", "contaners"], ["contaners", "containers"]),
    ([], []),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_command(words, wanted, stage, up):
    done = stage.spr.command(*words, check=False)
    assert done.returncode in (1, 2), done.stderr
    missing = [word for word in wanted if word not in done.stderr]
    assert not missing, f"{missing} not in: {done.stderr}"
    unharmed(stage)


def test_no_daemon(stage, up):
    done = stage.scene.machine.run(SPR, "--socket", "/nonexistent/spr.sock", "status", check=False)
    assert done.returncode == 3 and "sprd" in done.stderr


@pytest.mark.parametrize("line", [
    b"", b"{", b"[]", b"null", b'"status"', b"{}", b'{"call":1}', b'{"call":"nothing"}', b'{"call":"status","call":"down"}',
    b'{"call":"list","what":"secrets"}', b'{"call":"list"}', b'{"call":"apply"}', b'{"call":"apply","text":5}',
    b'{"call":"allow","from":"upstream"}', b'{"call":"allow","from":5,"to":[],"ports":{}}',
    b'{"call":"allow","from":"upstream","to":"host","ports":["22/tcp"],"for":-5}',
    b'{"call":"allow","from":"upstream","to":"host","ports":["22/tcp"],"for":1e300}',
    b'{"call":"grant","member":"container:pub","policies":[]}', b'{"call":"grant","member":"","policies":["wan"]}',
    b'{"call":"grant","member":"container:","policies":["wan"]}', b'{"call":"join","member":"pub","groups":[""]}',
    b'{"call":"publish","member":"pub","port":"8080/tcp","to":[]}', b'{"call":"role","interface":"","role":"lan"}',
    b'{"call":"role","interface":"eth0\\u0000x","role":"lan"}', b"\xff\xfe\x00", b"GET / HTTP/1.1", b"[" * 100000,
    b'{"call":"up","ssh":5}', b'{"call":"explain","from":"x"}',
], ids=lambda line: line[:40].decode(errors="replace"))
def test_bad_request(line, stage, up):
    """An error or a hang-up, never silence, and never a change."""
    before = stage.spr.call("export")
    answer = stage.spr.send(line)
    assert answer is None or "error" in json.loads(answer), answer
    assert stage.spr.call("export") == before
    assert stage.spr.status()["active"]


def test_half_requests_and_many_clients(stage, up):
    """Clients that stop in the middle, or never read, do not hold up others."""
    with contextlib.ExitStack() as stack:
        for number in range(60):
            sock = stack.enter_context(stage.spr.connect())
            sock.sendall(b'{"call":"sta' if number % 2 else b'{"call":"status"}\n' * 20)
        began = time.monotonic()
        assert stage.spr.status()["active"]
        assert time.monotonic() - began < 2
    unharmed(stage)


@pytest.mark.parametrize("size", [17, 100])
def test_huge_policy(size, stage, up):
    """A policy of many megabytes is refused quickly and without eating the machine."""
    line = b'{"call":"apply","name":"lab.yaml","text":"' + b"#" * (size << 20) + b'"}\n'
    began = time.monotonic()
    answer = b""
    with stage.spr.connect() as sock:
        with contextlib.suppress(OSError):
            sock.sendall(line)
        with contextlib.suppress(OSError):
            answer = sock.recv(65536)
    assert not answer or b'"error"' in answer
    assert time.monotonic() - began < 10
    with open(f"/proc/{stage.scene.machine.init}/root/proc/{inside_pid(stage)}/status", encoding="ascii") as status:
        resident = next(int(row.split()[1]) for row in status if row.startswith("VmRSS"))
    assert resident < 120 << 10, f"{resident} KiB resident"
    unharmed(stage)


def inside_pid(stage):
    with open(f"/proc/{stage.spr.pid}/status", encoding="ascii") as status:
        return next(row.split()[-1] for row in status if row.startswith("NSpid"))


def test_huge_file_by_the_command(stage, up, tmp_path):
    path = tmp_path / "huge.yaml"
    with open(path, "wb") as file:
        file.truncate(100 << 20)
    done = stage.spr.command("apply", "-f", str(path), check=False)
    assert done.returncode == 1 and "huge.yaml" in done.stderr
    assert stage.spr.command("apply", "-f", "/dev/zero", check=False).returncode == 1
    unharmed(stage)


HOSTILE = ["../../etc/passwd", "a b", "a;drop", "\"quoted\"", "a\nb", "{x}", "-rf", "x" * 250, "naïve", "a\x1b[31mred", "group:x",
           "internet", "host"]


@pytest.mark.parametrize("label", HOSTILE, ids=repr)
def test_hostile_labels(label, stage, up):
    """Compose labels and network names are free text: they show up harmlessly, and mean nothing."""
    scene = stage.scene
    scene.container("odd", "br-b", "172.30.2.60", labels={"com.docker.compose.project": label, "com.docker.compose.service": label,
                                                          "spr.policies": "lan_upstream", "spr.groups": label})
    try:
        done = stage.spr.command("list", "containers")
        assert "odd" in done.stdout and "\x1b" not in done.stdout and "a\nb" not in done.stdout
        json.loads(stage.spr.command("--json", "list", "containers").stdout)
        assert stage.is_open(connect("odd", INTERNET4, 80, "internet"))
        assert stage.is_closed(connect("odd", "192.168.50.10", 80, "private"))
        yaml.safe_load(stage.spr.call("export")["yaml"])
        unharmed(stage)
    finally:
        scene.remove("odd")


@pytest.mark.parametrize("name", ["a b;c", "naïve net", "x" * 200, "a'\"b", "internet", "net\x1b[31m"], ids=repr)
def test_hostile_network_names(name, stage, up):
    scene = stage.scene
    try:
        made = scene.docker.network(name, ["172.30.8.0/24"], bridge="br-odd")
    except EngineError as refused:
        assert "name" in str(refused)
        unharmed(stage)
        return
    try:
        scene.container("odd", made, "172.30.8.10")
        assert "\x1b" not in stage.spr.command("list", "networks").stdout
        assert stage.is_open(connect("odd", INTERNET4, 80, "internet"))
        assert stage.is_closed(connect("neighbour", "172.30.8.10", 80, "odd"))
    finally:
        with contextlib.suppress(Exception):
            scene.remove("odd")
        scene.docker.call("DELETE", f"/networks/{made}")


def test_second_daemon(stage, up):
    """A second sprd on the same socket or state is refused, and harms nothing."""
    done = stage.scene.machine.run(*stage.spr.arguments(), check=False, timeout=10)
    assert done.returncode != 0 and "another sprd" in done.stderr
    unharmed(stage)


def test_second_daemon_of_the_same_machine(stage, up):
    """With a socket and a state of its own it is refused too: at its start, or at the latest when it is to close."""
    other = Spr(stage.scene)
    other.socket, other.state, other.log = (f"{stage.scene.folder}/other{suffix}" for suffix in (".sock", "-state", ".log"))
    try:
        other.start()
    except RuntimeError as refused:
        assert "another" in str(refused)
    else:
        with pytest.raises(SprError):
            other.up()
        assert not other.status()["active"]
    finally:
        other.stop()
    unharmed(stage)


def test_not_root(stage, up, tmp_path):
    """Without rights: a sentence, no traceback of errnos; and the command says who may ask."""
    def as_nobody(*words):
        return stage.scene.machine.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words, check=False, timeout=10)

    folder = tmp_path / "open"
    folder.mkdir()
    os.chmod(folder, 0o777)
    for above in list(folder.parents)[:3]:
        os.chmod(above, 0o755)
    done = as_nobody(stage.spr.arguments()[0], "--socket", f"{folder}/s", "--state-dir", f"{folder}/state", "--no-docker")
    assert done.returncode != 0 and "root" in done.stderr
    os.chmod(stage.scene.folder, 0o755)
    done = as_nobody(SPR, "--socket", stage.spr.socket, "status")
    assert done.returncode in (1, 3) and "group" in done.stderr
    unharmed(stage)


class Garbage:
    """A Docker socket that answers with nonsense."""

    def __init__(self, path, answer):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(8)
        self.answer = answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.sock.accept()[0]
                threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client):
        with client, contextlib.suppress(OSError):
            client.settimeout(20)
            client.recv(65536)
            for piece in self.answer:
                client.sendall(piece)


def http_answer(body, kind=b"application/json"):
    return [b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body]


GARBAGE = {
    "hangs up": [],
    "noise": [os.urandom(4096)],
    "not JSON": http_answer(b"{{{{"),
    "null": http_answer(b"null"),
    "wrong types": http_answer(json.dumps([{"Id": 5, "Name": [], "IPAM": "x", "Containers": [1], "NetworkSettings": 7}]).encode()),
    "deep": http_answer(b"[" * 200000),
    "endless": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] + [b"10000\r\n" + b"[" * 0x10000 + b"\r\n"] * 4000,
    "bad addresses": http_answer(json.dumps([{
        "Id": "x" * 64, "Name": "evil", "Driver": "bridge", "Options": {"com.docker.network.bridge.name": "../../eth0"},
        "IPAM": {"Config": [{"Subnet": "0.0.0.0/0", "Gateway": "10.99.0.2"}]},
        "Containers": {"y" * 64: {"Name": "evil", "IPv4Address": "0.0.0.0/0", "MacAddress": "zz"}}}]).encode()),
    "error": [b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"],
}


@pytest.mark.parametrize("name", GARBAGE)
def test_docker_socket_garbage(name, stage, built):
    """Whatever the engine's socket says: the daemon lives, stays bounded, and what was closed stays closed."""
    path = f"{stage.scene.folder}/garbage-{len(name)}-{abs(hash(name))}.sock"
    garbage = Garbage(path, GARBAGE[name])
    stage.closed()
    try:
        stage.spr.stop()
        stage.spr.start("--docker", path)
        time.sleep(1.0)
        assert stage.spr.status()["engine"]["state"] in ("retrying", "connected", "absent")
        assert stage.is_closed(ATTACK)
        assert stage.is_closed(connect("neighbour", HOST4, 8080, "pub"))
        assert stage.is_closed(connect("pub", "192.168.50.10", 80, "private"))
        assert stage.is_open(connect("router", INTERNET4, 80, "internet"))
        with open(f"/proc/{stage.spr.pid}/status", encoding="ascii") as status:
            assert next(int(row.split()[1]) for row in status if row.startswith("VmRSS")) < 150 << 10
    finally:
        garbage.sock.close()
        stage.spr.stop()
        stage.spr.start()
        stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")


def test_broken_state(stage, up):
    """Nothing on disk can be read: the daemon says so, what the kernel has stays closed, and nothing is lost of the files."""
    path, database = f"{stage.spr.state}/policy.yaml", f"{stage.spr.state}/spr.db"
    stage.spr.stop()
    with open(path, encoding="utf-8") as file:
        good = file.read()
    broken = good + "\nnonsense: [\n"
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(broken)
        os.unlink(database)
        offset = os.path.getsize(stage.spr.log)
        with contextlib.suppress(RuntimeError):
            stage.spr.start()
        assert "policy.yaml" in stage.spr.read_log(offset)
        assert stage.is_closed(ATTACK)
        assert stage.is_closed(connect("neighbour", HOST4, 8080, "pub"))
        assert not stage.spr.alive()
        kept = [open(entry.path, encoding="utf-8", errors="replace").read() for entry in os.scandir(stage.spr.state) if entry.is_file()]
        assert broken in kept, "the broken file was thrown away"
    finally:
        stage.spr.stop()
        with open(path, "w", encoding="utf-8") as file:
            file.write(good)
        stage.spr.start()
    assert stage.is_open(INTERNET)


def test_broken_state_at_boot(stage, up):
    """The same where the kernel holds nothing yet: what an empty policy closes is closed, and status says so."""
    path, database = f"{stage.spr.state}/policy.yaml", f"{stage.spr.state}/spr.db"
    good = stage.spr.call("export")["yaml"]
    stage.spr.stop()
    stage.scene.router.run("nft", "flush", "ruleset")
    stage.scene.router.run("nft", "delete", "table", "inet", "spr", check=False)
    try:
        os.unlink(database)
        with open(path, "w", encoding="utf-8") as file:
            file.write("nonsense: [\n")
        stage.spr.start()
        assert "empty policy" in stage.spr.status()["problems"][0]
        assert stage.is_closed(ATTACK)
    finally:
        stage.spr.apply(good)
        stage.scene.docker.restart()
        stage.scene.home_nat()
        stage.spr.restart()
    assert stage.spr.status()["problems"] == []
    assert stage.is_open(INTERNET)


def test_good_after_all_that(stage, up):
    stage.spr.apply(merged({"allow": [{"from": "upstream", "to": "container:pub", "ports": ["9999/tcp"]}]}))
    stage.document = None
    assert ATTACK(stage.scene, OPEN_WAIT)
