# SPDX-License-Identifier: GPL-2.0-or-later
"""Beginnings, each in a scene of its own: what was open before, a boot, a Docker that comes later or comes back."""

import contextlib
import socket
import time

import pytest

from attacks import PUB4, connect
from conftest import Stage
from probes import OPEN_WAIT, Flood, talk, tcp_open, udp_arrived
from scene import HOST4, HOST6, INTERNET4, INTERNET6, LAN4, LAN6, TRUSTED4, Scene
from spr import merged
from test_lifecycle import ARP, dead, drain_stream

SESSIONS = {
    "to the machine": ("trusted", LAN4, 22),
    "to the machine over IPv6": ("trusted", LAN6, 22),
    "through the machine": ("trusted", INTERNET4, 80),
    "through the machine over IPv6": ("trusted", INTERNET6, 80),
    "of the machine itself": ("router", INTERNET4, 80),
}
CUT_SESSIONS = {
    "guest to the machine": ("guest", "192.168.78.1", 22),
    "guest to the LAN": ("guest", TRUSTED4, 80),
    "neighbour to the LAN": ("neighbour", TRUSTED4, 80),
    "neighbour to the machine": ("neighbour", HOST4, 22),
}


def test_sessions_from_before_conntrack(built):
    """`spr up` where connection tracking never ran: sessions that policy accepts go on, the others end."""
    with Scene(docker=False, nat=False) as scene:
        scene.upstream.ip(f"route add 192.168.77.0/24 via {HOST4}", f"route add 192.168.78.0/24 via {HOST4}")
        stage = Stage(scene)
        with contextlib.ExitStack() as stack:
            def start(source, address, port):
                sock = stack.enter_context(tcp_open(getattr(scene, source), address, port, OPEN_WAIT)[0])
                assert talk(sock, OPEN_WAIT)
                return sock

            keep = {name: start(*where) for name, where in SESSIONS.items()}
            cut = {name: start(*where) for name, where in CUT_SESSIONS.items()}
            stage.closed({"allow": [{"from": "rule:trusted", "to": "host", "ports": ["22/tcp"]}]})
            assert [name for name, sock in keep.items() if not talk(sock, OPEN_WAIT)] == []
            assert [name for name, sock in cut.items() if not dead(sock)] == []
            assert [name for name, sock in keep.items() if not talk(sock, OPEN_WAIT)] == []
        stage.spr.stop()


def test_sessions_of_which_only_the_server_talks(built):
    """Connection tracking takes who is heard first for the client: sessions go on all the same, and only those."""
    with Scene(docker=False, nat=False) as scene, contextlib.ExitStack() as stack:
        scene.upstream.ip(f"route add 192.168.77.0/24 via {HOST4}", f"route add 192.168.78.0/24 via {HOST4}")
        stage = Stage(scene)

        def start(source, target, address, port):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(getattr(scene, target).socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen()
            client = stack.enter_context(getattr(scene, source).socket(family, socket.SOCK_STREAM))
            client.connect((address, port))
            server = stack.enter_context(listener.accept()[0])
            return client, server

        def hears(client, server):
            drain_stream(client)
            server.send(b"news")
            client.settimeout(OPEN_WAIT)
            with contextlib.suppress(OSError):
                return client.recv(4) == b"news"
            return False

        keep = {name: start(*where) for name, where in {
            "LAN to internet": ("trusted", "internet", INTERNET4, 8800),
            "LAN to internet over IPv6": ("trusted", "internet", INTERNET6, 8800),
            "the machine to internet": ("router", "internet", INTERNET4, 8801),
            "LAN to the machine": ("trusted", "router", LAN4, 8802)}.items()}
        cut = {name: start(*where) for name, where in {
            "neighbour to LAN": ("neighbour", "trusted", TRUSTED4, 8803),
            "guest to LAN": ("guest", "trusted", TRUSTED4, 8804)}.items()}
        stage.closed({"allow": [{"from": "rule:trusted", "to": "host", "ports": ["8802/tcp"]}]})
        assert [name for name, pair in keep.items() if not hears(*pair)] == []
        assert [name for name, pair in cut.items() if hears(*pair)] == []
        assert [name for name, pair in keep.items() if not hears(*pair)] == []
        stage.spr.stop()


@pytest.mark.parametrize("options", [[], ["--protection", "copies"]], ids=["auto", "copies"])
def test_boot(options, built):
    """The order of a boot: the closed rules, the network, Docker; the daemon last of all. Nothing opens in between."""
    with Scene(docker="later") as scene:
        stage = Stage(scene, *options)
        spr = stage.spr
        allowed = {"allow": [{"from": "upstream", "to": "container:pub", "ports": ["9999/tcp"]}]}
        spr.start()
        spr.apply(merged(allowed))
        spr.up()
        assert scene.machine.run(*spr.arguments("--boot"), check=False).returncode == 1, "beside a daemon that runs"
        spr.stop()
        scene.router.run("nft", "delete", "table", "inet", "spr")
        scene.router.run("nft", "flush", "ruleset")
        scene.router.ip("link set eth0 down", "link set br-lan down")
        for _ in range(2):  # the second finds the rules there, and changes nothing
            assert scene.machine.run(*spr.arguments("--boot")).returncode == 0
        assert "drop-no-grant" in scene.router.run("nft", "list", "table", "inet", "spr")
        scene.router.ip("link set eth0 up", "link set br-lan up", f"addr replace {HOST6}/64 dev eth0", f"addr replace {LAN6}/64 dev br-lan",
                        "route replace default via 10.99.0.1")
        with Flood(scene, "neighbour", PUB4, 9999, 50) as flood, Flood(scene, "neighbour", HOST4, 9053, 100) as other:
            scene.start_docker()
            time.sleep(ARP)
            spr.start()
            spr.wait_for(lambda status: status["engine"]["state"] == "connected")
            time.sleep(0.5)
            assert flood.stop() > 500 and other.stop() > 500
            assert udp_arrived(scene.pub) == 0
        assert stage.is_open(connect("neighbour", PUB4, 9999, "pub"))
        assert stage.is_open(connect("pub", INTERNET4, 80, "internet"))
        spr.down()
        spr.stop()
        assert scene.machine.run(*spr.arguments("--boot")).returncode == 0
        assert "spr" not in scene.router.run("nft", "list", "tables"), "nothing is to be closed after `spr down`"


def test_docker_restart_that_stops_containers(built):
    """Without live-restore a restart of Docker ends its containers; they come back with their rights, and with no others."""
    with Scene(docker_arguments=("--live-restore=false",)) as scene:
        stage = Stage(scene)
        stage.closed({"allow": [{"from": "upstream", "to": "container:pub", "ports": ["9999/tcp"]}]})
        attack, granted = connect("neighbour", "172.30.1.13", 80, "mate"), connect("neighbour", PUB4, 9999, "pub")
        assert stage.is_open(granted) and stage.is_closed(attack)
        with Flood(scene, "neighbour", "172.30.1.13", 9999, 50) as flood, Flood(scene, "neighbour", HOST4, 9053, 100) as other:
            scene.docker.stop()
            scene.docker.start()
            stage.spr.wait_for(lambda status: status["engine"]["state"] == "connected")
            assert stage.is_closed(granted), "its container does not run"
            for name in ("mate", "pub"):
                scene.docker.start_container(name)
                scene.enter(name)
            time.sleep(ARP)
            assert flood.stop() > 500 and other.stop() > 500
            assert udp_arrived(scene.mate) == 0 and udp_arrived(scene.pub) == 0
        assert stage.is_open(granted) and stage.is_closed(attack)
        stage.spr.stop()


def test_docker_comes_later(built):
    """`spr up` without Docker; Docker and its containers come later and are closed from the first packet on."""
    with Scene(docker="later") as scene:
        stage = Stage(scene)
        spr = stage.spr
        spr.start()
        spr.up()
        assert spr.status()["engine"]["state"] == "absent"
        with Flood(scene, "neighbour", PUB4, 9999, 50) as flood, Flood(scene, "neighbour", HOST4, 9053, 100) as other:
            scene.start_docker()
            time.sleep(0.5)
            assert flood.stop() > 500 and other.stop() > 500
            assert udp_arrived(scene.pub) == 0
        spr.wait_for(lambda status: status["engine"]["state"] == "connected")
        assert stage.is_closed(connect("neighbour", PUB4, 9999, "pub"))
        assert stage.is_closed(connect("neighbour", HOST4, 8080, "pub"))
        assert stage.is_open(connect("pub", INTERNET4, 80, "internet"))
        assert stage.is_open(connect("mate", PUB4, 80, "pub"))
        spr.stop()
