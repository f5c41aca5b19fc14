# SPDX-License-Identifier: GPL-2.0-or-later
"""settings.fast_path: what was let through a moment ago is sent on past the rules, and nothing else ever is."""

import contextlib
import hashlib
import re
import signal
import socket
import struct
import threading
import time

import pytest

from attacks import PUB4, SIX6
from probes import OPEN_WAIT, SLOW, Flood, Watch, _checksum, family_of, send_frame, talk, tcp_open, token, udp_arrived, udp_socket
from scene import GUEST4, GUEST6, HOST4, INTERNET4, INTERNET6, NEIGHBOUR4, NEIGHBOUR6, TRUSTED4, TRUSTED6, Scene
from test_passed import arrive

LIFE = 1.0  # seconds for which what was seen to pass counts
PAUSE = 5.0  # seconds after a change that takes something away, in which nothing goes the fast way
FAST = {"settings": {"fast_path": True},
        "containers": [{"name": "pub", "policies": ["wan", "dns"], "publish": [{"port": "9053/udp", "to": ["upstream"]}]}],
        "allow": [{"from": "upstream", "to": "container:pub", "ports": ["9053/udp", "9999/tcp"]},
                  {"from": "upstream", "to": "container:six", "ports": ["9053/udp", "9999/tcp"]},
                  {"from": "rule:trusted", "to": "rule:guest"}]}
FORWARD = """
table inet {0} {{
	chain forward {{
		type filter hook forward priority 0
		ip daddr 50.0.0.10 {1}
		ip6 daddr 2600:50::10 {1}
	}}
}}
"""
# who opens, to where, by TCP: a container with NAT, a LAN with NAT, routed in, a published port, IPv6
FLOWS = {
    "out": ("pub", INTERNET4, 80), "lan": ("trusted", INTERNET4, 80), "in": ("neighbour", PUB4, 9999),
    "out6": ("six", INTERNET6, 80), "in6": ("neighbour", SIX6, 9999),
}
FAMILIES = ["IPv4", "IPv6"]
FAR = pytest.mark.parametrize("far", [INTERNET4, INTERNET6], ids=FAMILIES)


@pytest.fixture(scope="module")
def scene():
    with Scene(br_netfilter=False) as standing:
        yield standing


@pytest.fixture
def up(stage, built):
    """The fast path is on, and runs."""
    stage.closed(FAST)
    if stage.spr.status()["fast_path"]["interfaces"] == 0 and not fast_notes(stage):
        stage.spr.wait_for(lambda status: status["fast_path"]["interfaces"] > 0)
    if any("next start" in note for note in fast_notes(stage)):
        stage.spr.restart()
    if any("without it" in note for note in fast_notes(stage)):
        pytest.skip("this spr was built without the fast path")
    running(stage)
    return stage.scene


def fast_notes(stage):
    return [note for note in stage.spr.status()["notes"] if "fast" in note]


def running(stage):
    stage.spr.wait_for(lambda status: status["fast_path"]["running"], 2 * PAUSE)


def packets(stage):
    return stage.spr.status()["fast_path"]["packets"]


def goes_fast(stage, sock, seconds=5):
    """Keeps a flow busy until its packets go the fast way, both ways."""
    until = time.monotonic() + seconds * SLOW
    while time.monotonic() < until:
        before = packets(stage)
        for _ in range(20):
            assert talk(sock, OPEN_WAIT)
        if packets(stage) - before > 30:
            return
        time.sleep(0.05)
    raise AssertionError("it goes the long way")


def opened(scene, who, address, port, kind="tcp"):
    space = getattr(scene, who)
    if kind == "udp":
        return udp_socket(space, address, port)
    return tcp_open(space, address, port, OPEN_WAIT)[0]


def connections(scene, far, proto, *match):
    """What the connection table has of them, as text."""
    return scene.router.run("conntrack", "-L", "-f", "ipv6" if ":" in far else "ipv4", "-p", proto, *match)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("flow", FLOWS)
def test_goes_fast(flow, kind, stage, up):
    who, address, port = FLOWS[flow]
    with opened(up, who, address, 9053 if kind == "udp" and port == 9999 else port, kind) as sock:
        goes_fast(stage, sock)


def test_published_port(stage, up):
    """By Docker's NAT, which the neighbour does not see: the container is dialled at the machine's address, and answers from it."""
    with opened(up, "neighbour", HOST4, 9053, "udp") as sock, Watch(up.neighbour, "eth0") as watch:
        goes_fast(stage, sock)
        assert talk(sock, OPEN_WAIT)
        assert not watch.saw(socket.inet_aton(PUB4), 0.2), "an address of the inside was seen outside"


@pytest.mark.parametrize("far, level, hops, errors, place", [
    (INTERNET4, socket.IPPROTO_IP, socket.IP_TTL, 11, 8),  # IP_RECVERR
    (INTERNET6, socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 25, 7),  # IPV6_RECVERR
], ids=FAMILIES)
def test_one_hop_less(far, level, hops, errors, place, stage, up):
    """As by the long way: a packet has one hop less to live, and one that has none left gets an answer."""
    with opened(up, "trusted", far, 80, "udp") as sock:
        goes_fast(stage, sock)
        sock.setsockopt(level, errors, 1)
        sock.setsockopt(level, hops, 1)
        sock.send(b"?")
        time.sleep(0.3)
        with pytest.raises(OSError, match="No route"):
            sock.recv(100)
    with opened(up, "trusted", far, 80, "udp") as sock, Watch(up.internet, "eth0") as watch:
        goes_fast(stage, sock)
        before = packets(stage)
        sock.setsockopt(level, hops, 9)
        sock.settimeout(OPEN_WAIT)
        for _ in range(10):
            word = token()
            sock.send(word)
            assert watch.packet(word, OPEN_WAIT)[14 + place] == 7, "two routers"
            assert word in sock.recv(100)
        assert packets(stage) - before > 12, "only the answers go the fast way"


@pytest.mark.parametrize("who, address", [("pub", PUB4), ("six", SIX6)], ids=FAMILIES)
def test_revoke(who, address, stage, up):
    """Not one packet arrives once the call that took the right away has returned."""
    grant = ["allow", "upstream", f"container:{who}:80/udp"]
    stage.grant(grant)
    for _ in range(2):
        running(stage)
        with Flood(up, "neighbour", address, 80, 20) as flood:
            before = packets(stage)
            assert arrive(getattr(up, who), 1) > 100, "the control: granted packets arrive"
            assert packets(stage) - before > 100, "they go the long way"
            stage.grant([*grant, "--remove"])
            assert arrive(getattr(up, who)) == 0
            assert flood.stop() > 1000
        stage.grant(grant)


def test_revoke_both_sides(stage, up):
    """A server that goes on talking is not heard any more, either; and the pause after a change ends."""
    stage.grant(["allow", "upstream", "container:six:9999/udp"])
    running(stage)
    stop = threading.Event()
    with up.six.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server, opened(up, "neighbour", SIX6, 9999, "udp") as client:
        server.bind(("::", 9999))
        client.send(b"hello")
        peer = server.recvfrom(100)[1]

        def go_on():
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    server.sendto(b"more", peer)
                time.sleep(0.0002)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            before = packets(stage)
            time.sleep(1)
            assert packets(stage) - before > 500, "it goes the long way"
            assert arrive(up.neighbour) > 100, "the control: it is heard"
            stage.grant(["allow", "upstream", "container:six:9999/udp", "--remove"])
            assert arrive(up.neighbour) == 0
        finally:
            stop.set()
            thread.join()
    assert not stage.spr.status()["fast_path"]["running"]
    running(stage)


def forged(sock, source, target, device):
    """A packet of somebody else's flow, as a frame of whoever is at `device`."""
    data = b"forged by somebody"  # by IPv4 a shorter one would go the long way in any case
    sport, dport = sock.getsockname()[1], sock.getpeername()[1]
    family = family_of(source)
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    udp = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    if family == socket.AF_INET6:
        udp = udp[:6] + struct.pack("!H", _checksum(ends + struct.pack("!II", len(udp), socket.IPPROTO_UDP) + udp)) + udp[8:]
        packet = struct.pack("!IHBB", 6 << 28, len(udp), socket.IPPROTO_UDP, 64) + ends + udp
    else:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0) + ends
        packet = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:] + udp
    space, gateway = device
    macs = bytes.fromhex((gateway + space.mac("eth0")).replace(":", ""))
    return macs + (b"\x86\xdd" if family == socket.AF_INET6 else b"\x08\x00") + packet


@pytest.mark.parametrize("source, far, inside, bridge", [(TRUSTED4, INTERNET4, "pub", "br-a"), (TRUSTED6, INTERNET6, "six", "br-6")],
                         ids=FAMILIES)
def test_forged(source, far, inside, bridge, stage, up):
    """Somebody on another network has no part in a flow whose numbers he knows; who has it, has."""
    with opened(up, "trusted", far, 80, "udp") as sock, Watch(up.internet, "eth0") as watch:
        goes_fast(stage, sock)
        for who, device in (("guest", "guest0"), (inside, bridge), ("neighbour", "eth0")):
            space = getattr(up, who)
            frame = forged(sock, source, far, (space, up.router.mac(device)))
            assert talk(sock, OPEN_WAIT)
            for _ in range(5):
                send_frame(space, "eth0", frame)
            assert not watch.saw(b"forged", 0.3), who
            goes_fast(stage, sock)
        before = packets(stage)
        for _ in range(10):
            send_frame(up.trusted, "eth0", forged(sock, source, far, (up.trusted, up.router.mac("br-lan"))))
            assert watch.saw(b"forged", OPEN_WAIT), "the control"
        assert talk(sock, OPEN_WAIT)
        assert packets(stage) - before > 14, "only the answers go the fast way"


@pytest.mark.parametrize("far, size", [(INTERNET4, 64 << 20), (INTERNET6, 16 << 20)], ids=FAMILIES)
def test_much(far, size, stage, up):
    """Megabytes by TCP, both ways at once, by IPv4 with NAT: what arrives is what was sent."""
    with up.internet.socket(family_of(far), socket.SOCK_STREAM) as listener:
        listener.bind((far, 7777))
        listener.listen()
        with up.trusted.socket(family_of(far), socket.SOCK_STREAM) as client:
            client.connect((far, 7777))
            server = listener.accept()[0]
            with server:
                until = time.monotonic() + 1.5  # from then on it is worth asking for
                while time.monotonic() < until:
                    client.send(b"x")
                    assert server.recv(1) == b"x"
                    time.sleep(0.1)
                before = packets(stage)
                sums = {}

                def send(sock, seed):
                    piece, digest, left = hashlib.sha256(seed).digest() * 2048, hashlib.sha256(), size
                    while left:
                        sock.sendall(piece)
                        digest.update(piece)
                        left -= len(piece)
                    sock.shutdown(socket.SHUT_WR)
                    sums[seed, "sent"] = digest.hexdigest()

                def hear(sock, seed):
                    digest = hashlib.sha256()
                    while piece := sock.recv(1 << 20):
                        digest.update(piece)
                    sums[seed, "heard"] = digest.hexdigest()

                threads = [threading.Thread(target=work) for work in (
                    lambda: send(client, b"a"), lambda: hear(server, b"a"), lambda: send(server, b"b"), lambda: hear(client, b"b"))]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert sums[b"a", "sent"] == sums[b"a", "heard"] and sums[b"b", "sent"] == sums[b"b", "heard"]
                assert packets(stage) - before > 100
    states = connections(up, far, "tcp", "--orig-port-dst", "7777")
    assert "ESTABLISHED" not in states and re.search("TIME_WAIT|LAST_ACK|CLOSE", states), f"the end was not seen: {states}"


@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize("address, level, discover, mtu", [
    (GUEST4, socket.IPPROTO_IP, 10, 14),  # IP_MTU_DISCOVER, IP_MTU
    (GUEST6, socket.IPPROTO_IPV6, 23, 24),  # IPV6_MTU_DISCOVER, IPV6_MTU
], ids=FAMILIES)
def test_too_big(address, level, discover, mtu, kind, stage, up):
    """A packet that the next link does not carry is answered, not lost."""
    up.router.ip("link set guest0 mtu 1300")
    try:
        running(stage)
        with opened(up, "trusted", address, 80, kind) as sock:
            assert sock.getsockopt(level, mtu) == 1500
            goes_fast(stage, sock)
            if kind == "tcp":
                sock.settimeout(OPEN_WAIT)
                sock.sendall(b"y" * 100000)
                heard = 0
                while heard < 100000:
                    heard += len(sock.recv(65536))
            else:
                sock.setsockopt(level, discover, 2)  # IP_PMTUDISC_DO
                sock.send(b"y" * 1400)
                time.sleep(0.3)
                with pytest.raises(OSError, match="too long"):
                    sock.send(b"y" * 1400)
                with contextlib.suppress(OSError):
                    sock.send(b"")  # tells what is still to be told
            assert sock.getsockopt(level, mtu) == 1300
            goes_fast(stage, sock)
    finally:
        up.router.ip("link set guest0 mtu 1500")
        for family in ("-4", "-6"):  # what the device has learned of the way
            up.trusted.run("ip", family, "route", "flush", "cache")


@FAR
def test_connection_stays_known(far, stage, up):
    """The connection table hears of a flow often enough to keep it, and forgets it when it is silent."""
    up.router.sysctl(netfilter__nf_conntrack_udp_timeout_stream=4, netfilter__nf_conntrack_udp_timeout=4)
    try:
        with opened(up, "trusted", far, 80, "udp") as sock:
            until = time.monotonic() + 6
            goes_fast(stage, sock)
            port = str(sock.getsockname()[1])
            while time.monotonic() < until:
                assert talk(sock, OPEN_WAIT)
                assert port in connections(up, far, "udp", "--orig-port-src", port)
                time.sleep(0.02)
            time.sleep(5)
            assert port not in connections(up, far, "udp", "--orig-port-src", port)
    finally:
        up.router.sysctl(netfilter__nf_conntrack_udp_timeout_stream=120, netfilter__nf_conntrack_udp_timeout=30)


@FAR
def test_rules_of_others(far, stage, up):
    """What other rules drop stops within a second."""
    with opened(up, "trusted", far, 80, "udp") as sock:
        goes_fast(stage, sock)
        before = packets(stage)
        up.nft(FORWARD.format("other", "drop"))
        try:
            until = time.monotonic() + LIFE + 0.2
            while time.monotonic() < until:
                sock.send(token())
                with contextlib.suppress(BlockingIOError):  # a full buffer would lose the answers that count
                    sock.recv(100, socket.MSG_DONTWAIT)
                time.sleep(0.001)
            assert packets(stage) - before > 100, "the control: what was let through before goes on"
            before = udp_arrived(up.internet)
            for _ in range(100):
                sock.send(token())
            time.sleep(0.1)
            assert udp_arrived(up.internet) == before
        finally:
            up.router.run("nft", "delete", "table", "inet", "other")
        goes_fast(stage, sock)


def filters(scene, device):
    return [scene.router.run("tc", "filter", "show", "dev", device, side) for side in ("ingress", "egress")]


def test_leaves_nothing(stage, up):
    """Where it was there is nothing after `spr down`, and what others have there stays."""
    up.router.run("tc", "qdisc", "add", "dev", "guest0", "clsact", check=False)
    up.router.run("tc", "filter", "add", "dev", "guest0", "ingress", "protocol", "ip", "pref", "7", "u32", "match", "ip", "dport", "9",
                  "0xffff", "classid", "1:1")
    assert all("spr_fastpath" in text for text in filters(up, "eth0") + filters(up, "guest0"))
    stage.spr.down()
    stage.active = False
    stage.spr.wait_for(lambda status: not status["fast_path"]["interfaces"])
    assert "spr" not in "".join(filters(up, "guest0") + filters(up, "eth0"))
    assert "pref 7" in filters(up, "guest0")[0]
    assert "clsact" not in up.router.run("tc", "qdisc", "show", "dev", "eth0")
    up.router.run("tc", "qdisc", "del", "dev", "guest0", "clsact")


def forwarded(scene):
    """By a rule of somebody else, FORWARD."""
    return int(re.search(r"packets (\d+)", scene.router.run("nft", "list", "table", "inet", "count"))[1])


@pytest.mark.daemon_may_die
def test_daemon_killed(stage, up):
    """Without a daemon every packet goes the long way after three seconds; the next one begins anew, and at once."""
    with opened(up, "trusted", INTERNET4, 80, "udp") as sock:
        goes_fast(stage, sock)
        up.nft(FORWARD.format("count", "counter"))
        try:
            before = forwarded(up)
            for _ in range(100):
                assert talk(sock, OPEN_WAIT)
            assert forwarded(up) - before < 50
            stage.spr.stop(signal.SIGKILL)
            time.sleep(3.1)
            before = forwarded(up)
            for _ in range(100):
                assert talk(sock, OPEN_WAIT)
            assert forwarded(up) - before == 100
            stage.spr.start()
            running(stage)
            goes_fast(stage, sock)
            stage.spr.stop(signal.SIGKILL)
            stage.spr.start()
            before = forwarded(up)
            for _ in range(100):
                assert talk(sock, OPEN_WAIT)
            assert forwarded(up) - before == 100, "what was left still runs beside the next one's rules"
        finally:
            up.router.run("nft", "delete", "table", "inet", "count")


def test_new_interface(stage, up):
    """A container network that is made later takes part; one that goes leaves nothing behind that hurts."""
    up.docker.network("br-new", ["172.30.44.0/24"], False)
    try:
        up.container("fresh", "br-new", "172.30.44.10")
        stage.grant(["grant", "fresh", "wan"])
        running(stage)
        with opened(up, "fresh", INTERNET4, 80, "udp") as sock:
            goes_fast(stage, sock)
        up.remove("fresh")
    finally:
        up.docker.cli("network", "rm", "br-new")
    running(stage)
    with opened(up, "trusted", INTERNET4, 80, "udp") as sock:
        goes_fast(stage, sock)


def test_switched_off_and_on(stage, up):
    """By the policy: off within a second; on again, as the programs are loaded."""
    with opened(up, "trusted", INTERNET4, 80, "udp") as sock:
        goes_fast(stage, sock)
        off = {**FAST, "settings": {"fast_path": False}}
        stage.closed(off)
        until = time.monotonic() + 5
        while any("spr_fastpath" in text for text in filters(up, "eth0")):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert stage.spr.status()["fast_path"] is None
        assert talk(sock, OPEN_WAIT)
        stage.closed(FAST)
        running(stage)
        goes_fast(stage, sock)


def test_bridges_with_rules(stage, up):
    """Where rules look at the ports of bridges, what comes by one has had its NAT already: bridges are left out."""
    up.set_br_netfilter(True)
    try:
        stage.spr.wait_for(lambda status: any("leaves bridges out" in note for note in status["notes"]))
        assert "spr_fastpath" not in "".join(filters(up, "br-a") + filters(up, "br-6") + filters(up, "br-lan"))
        assert "spr_fastpath" in "".join(filters(up, "eth0"))
        running(stage)
        for inside, far in ((PUB4, INTERNET4), (SIX6, INTERNET6)):
            with opened(up, "guest", far, 80, "udp") as control, opened(up, "neighbour", inside, 9053, "udp") as sock:
                goes_fast(stage, control)
                before = packets(stage)
                for _ in range(50):
                    assert talk(sock, OPEN_WAIT)
                assert packets(stage) == before, inside
    finally:
        up.set_br_netfilter(False)
    stage.spr.wait_for(lambda status: not fast_notes(stage))
    up.router.ip("link set br-a type bridge nf_call_iptables 1", "link set br-6 type bridge nf_call_ip6tables 1")
    try:
        until = time.monotonic() + 5
        while "spr_fastpath" in "".join(filters(up, "br-a") + filters(up, "br-6")):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert "spr_fastpath" in "".join(filters(up, "br-lan"))
    finally:
        up.router.ip("link set br-a type bridge nf_call_iptables 0", "link set br-6 type bridge nf_call_ip6tables 0")
    until = time.monotonic() + 5
    while not all("spr_fastpath" in text for text in filters(up, "br-a") + filters(up, "br-6")):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("far, family, gateway, forwards", [
    (INTERNET4, "-4", NEIGHBOUR4, "ipv4__ip_forward"), (INTERNET6, "-6", NEIGHBOUR6, "ipv6__conf__all__forwarding"),
], ids=FAMILIES)
def test_other_gateway(far, family, gateway, forwards, stage, up):
    """What somebody's mark sends by another gateway on the same link goes on by that."""
    up.neighbour.sysctl(**{forwards: 1}, ipv4__conf__all__send_redirects=0, ipv4__conf__eth0__send_redirects=0)
    up.router.run("ip", family, "route", "add", "default", "via", gateway, "table", "77")
    up.router.run("ip", family, "rule", "add", "pref", "100", "fwmark", "7", "lookup", "77")
    up.nft("""
table inet marks {
	chain prerouting {
		type filter hook prerouting priority mangle
		iifname "br-lan" udp dport 80 meta mark set 7
	}
}
""")
    try:
        time.sleep(0.5)  # the routes are read, and that is a change
        running(stage)
        with opened(up, "trusted", far, 80, "udp") as sock, opened(up, "trusted", far, 80) as other:
            goes_fast(stage, other)
            assert talk(sock, OPEN_WAIT)
            with Watch(up.neighbour, "eth0") as watch:
                until = time.monotonic() + 2
                while time.monotonic() < until:
                    word = token()
                    sock.send(word)
                    assert watch.saw(word, OPEN_WAIT), "it went by the default route"
    finally:
        up.router.run("nft", "delete", "table", "inet", "marks")
        up.router.run("ip", family, "rule", "del", "pref", "100")
        up.router.run("ip", family, "route", "flush", "table", "77")
        up.neighbour.sysctl(**{forwards: 0})


@pytest.mark.parametrize("source, far", [(TRUSTED4, INTERNET4), (TRUSTED6, INTERNET6)], ids=FAMILIES)
def test_ports_again(source, far, stage, up):
    """A connection that has the ports of one that was reset a moment ago is another one."""
    port = 43210
    for _ in range(3):
        sock = up.trusted.socket(family_of(source), socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.settimeout(OPEN_WAIT)
        sock.bind((source, port))
        sock.connect((far, 80))
        assert sock.recv(100)
        goes_fast(stage, sock)
        states = connections(up, far, "tcp", "--orig-port-src", str(port))
        assert "ESTABLISHED" in states, states
        sock.close()


def test_beside_ipsec(stage, up):
    """Where there are policies of IPsec, which look at what a packet came out of, every packet goes the long way."""
    policy = ["dir", "fwd", "src", "192.0.2.1", "dst", "192.0.2.2"]
    if "Error" in up.router.run("sh", "-c", f"ip xfrm policy add {' '.join(policy)} action block 2>&1 || echo Error"):
        pytest.skip("this kernel has no IPsec policies")
    try:
        with opened(up, "trusted", INTERNET4, 80, "udp") as sock:
            time.sleep(1.1)
            before = packets(stage)
            for _ in range(50):
                assert talk(sock, OPEN_WAIT)
            assert packets(stage) == before
            up.router.run("ip", "xfrm", "policy", "delete", *policy)
            goes_fast(stage, sock)
    finally:
        up.router.run("ip", "xfrm", "policy", "delete", *policy, check=False)
