# SPDX-License-Identifier: GPL-2.0-or-later
"""What each kind of member and each word of a policy means, shown with packets."""

import contextlib
import time

import pytest

from attacks import PUB4, SIX6, ask, connect, discover, echo, forged, frame_udp, protocol
from netns import Namespace, veth
from probes import OPEN_WAIT, dns, send_frame, talk, tcp, tcp_open, token, udp_arrived
from scene import (GUEST4, HOST4, HOST6, INTERNET4, INTERNET6, IOT4, LAN4, LAN6, NEIGHBOUR4, NEIGHBOUR6, PRIVATE4, TRUSTED4,
                   TRUSTED6)
from spr import BASE, Follow, SprError, merged


def policies(name, *words, **more):
    return {"containers": [{"name": name, "policies": list(words), **more}]}


@pytest.fixture
def base(stage, built):
    stage.closed()
    return stage.scene


class Expect:
    """Opens and closes, as one table a test: {path: True or False}."""

    def __init__(self, stage):
        self.stage = stage

    def __call__(self, paths):
        wrong = []
        for name, (run, opened) in paths.items():
            if opened and not self.stage.is_open(run):
                wrong.append(f"{name} is closed")
            if not opened and not self.stage.is_closed(run):
                wrong.append(f"{name} is open")
        assert not wrong, "; ".join(wrong)


@pytest.fixture
def expect(stage, base):
    return Expect(stage)


INTERNET = connect("pub", INTERNET4, 80, "internet")
INTERNET_6 = connect("six", INTERNET6, 80, "internet")
PRIVATE = connect("pub", PRIVATE4, 80, "private")
LAN = connect("pub", TRUSTED4, 80, "trusted")


def resolver(source, stream=False):
    return lambda scene, wait: dns(getattr(scene, source), LAN4, "example.org", wait, stream) == "50.0.0.10"


def other_dns(source, address=INTERNET4):
    return lambda scene, wait: dns(getattr(scene, source), address, "example.org", wait) == "50.0.0.10"


# --- policies -----------------------------------------------------------------------------------------------------

# policies of pub: what its paths are then
POLICIES = {
    (): (False, False, False, False),
    ("wan",): (True, False, False, False),
    ("dns",): (False, True, False, False),
    ("lan",): (False, False, True, False),
    ("lan_upstream",): (False, False, False, True),
    ("wan", "dns", "lan", "lan_upstream"): (True, True, True, True),
    ("disabled",): (False, False, False, False),
    ("quarantine",): (False, True, False, False),
}


@pytest.mark.parametrize("words", POLICIES, ids=lambda words: "+".join(words) or "none")
def test_policy_words(words, stage, expect):
    stage.closed(policies("pub", *words))
    wan, name, lan, upstream = POLICIES[words]
    expect({
        "internet": (INTERNET, wan), "internet UDP": (ask("pub", INTERNET4, 80), wan), "internet ping": (echo("pub", INTERNET4), wan),
        "resolver UDP": (resolver("pub"), name), "resolver TCP": (resolver("pub", True), name),
        "LAN": (LAN, lan), "LAN ping": (echo("pub", IOT4), lan), "guest": (connect("pub", GUEST4, 80, "guest"), lan),
        "upstream": (PRIVATE, upstream), "neighbour": (connect("pub", NEIGHBOUR4, 80, "neighbour"), upstream),
    })


def test_disabled_closes_what_others_were_granted(stage, expect):
    """disabled beats publish, allow, group and being of one network; the host still gets in."""
    grants = {"groups": [{"name": "g"}], "allow": [{"from": "upstream", "to": "container:pub", "ports": ["9999/tcp"]}]}
    entry = {"publish": [{"port": "8080/tcp", "to": ["internet"]}], "groups": ["g"]}
    other = policies("bob", "wan", groups=["g"])
    paths = {"published": connect("internet", HOST4, 8080, "pub"), "allowed": connect("neighbour", PUB4, 9999, "pub"),
             "group": connect("bob", PUB4, 80, "pub"), "same network": connect("mate", PUB4, 80, "pub")}
    stage.closed(grants, other, policies("pub", "wan", **entry))
    expect({name: (run, True) for name, run in paths.items()})
    for word in ("disabled", "quarantine"):
        stage.closed(grants, other, policies("pub", word, **entry))
        expect({name: (run, False) for name, run in paths.items()})


def frames_heard(scene, source, address):
    """How many of 40 frames from the guests' network to port 53 of this machine its services are given."""
    make = frame_udp("guest", "guest0", source, address, 53)
    before = udp_arrived(scene.router)
    for _ in range(40):
        send_frame(scene.guest, "eth0", make(scene, token()))
    time.sleep(0.3)
    return udp_arrived(scene.router) - before


@pytest.mark.daemon_may_die
@pytest.mark.parametrize("server,honest,liar", [(LAN4, "192.168.78.66", "10.66.0.5"), (LAN6, "2600:78::66", "2600:66::5")],
                         ids=["IPv4", "IPv6"])
def test_quarantine_is_no_way_in_for_forged_addresses(server, honest, liar, stage, base):
    """The question that a quarantined member may ask has to come from where its address is."""
    ranges = [f"{address}/{128 if ':' in address else 32}" for address in (honest, liar)]
    path = f"{base.folder}/resolv.conf"
    with open(path, encoding="ascii") as file:
        kept = file.read()
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"nameserver {server}\n")
        stage.closed({"rules": [{"name": "sick", "interface": "guest0", "source": ranges, "policies": ["quarantine"]}]})
        stage.spr.restart()
        assert frames_heard(base, honest, server) >= 40, "the control: a quarantined member may ask the resolver"
        assert frames_heard(base, liar, server) < 20
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(kept)
        stage.spr.restart()


def test_entry_replaces_network_default(stage, expect):
    """A network's entry is the default of its containers; a container's own entry replaces it."""
    stage.closed({"networks": [{"name": "br-a", "policies": ["lan"]}]}, policies("mate", "wan"))
    expect({"pub has the network's": (LAN, True), "and not the built-in default": (INTERNET, False),
            "mate has its own": (connect("mate", INTERNET4, 80, "internet"), True),
            "and not the network's": (connect("mate", TRUSTED4, 80, "trusted"), False),
            "bob has the built-in default": (connect("bob", INTERNET4, 80, "internet"), True)})


def test_dns_is_the_resolver_only(stage, expect):
    """Port 53 elsewhere drops, unless an allow says otherwise."""
    expect({"resolver": (resolver("pub"), True), "LAN client's resolver": (resolver("trusted"), True)})
    stage.closed(policies("pub", "dns"))
    expect({"another": (other_dns("pub"), False), "the upstream router's": (other_dns("pub", "10.99.0.1"), False),
            "another service of the resolver's host": (connect("pub", LAN4, 8022, "router"), False)})
    stage.closed(policies("pub", "dns"), {"allow": [{"from": "container:pub", "to": "internet", "ports": ["53"]}]})
    expect({"another, allowed": (other_dns("pub"), True), "nothing else of it": (INTERNET, False)})


@pytest.mark.parametrize("source", ["pub", "trusted", "d1"])
def test_port_53_elsewhere(source, stage, expect):
    """Also for whoever has wan: port 53 is for the resolver."""
    expect({"another resolver": (other_dns(source), False), "the resolver": (resolver(source), True)})


# --- groups, allow, block -----------------------------------------------------------------------------------------

def test_group_over_all_kinds(stage, expect):
    """Members of a group, of whatever kind, open connections to each other, both ways and by every port."""
    paths = {
        "container to rule": connect("pub", TRUSTED4, 80, "trusted"), "rule to container": connect("trusted", PUB4, 9999, "pub"),
        "by the host's address": connect("trusted", LAN4, 8080, "pub"), "container to network": connect("pub", "172.30.2.10", 80, "bob"),
        "network to container": connect("bob", PUB4, 9999, "pub"), "network to rule": connect("bob", TRUSTED4, 80, "trusted"),
        "rule to network": connect("trusted", "172.30.2.10", 80, "bob"), "UDP": ask("trusted", PUB4, 9053),
        "ping": echo("bob", PUB4), "IPv6 container to rule": connect("six", TRUSTED6, 80, "trusted"),
        "rule to IPv6 container": connect("trusted", SIX6, 9999, "six"),
    }
    outside = {"iot": connect("iot", PUB4, 9999, "pub"), "mate": connect("mate", "172.30.2.10", 80, "bob"),
               "neighbour": connect("neighbour", PUB4, 9999, "pub"), "to the host": connect("pub", "172.30.1.1", 22, "router")}
    expect({name: (run, False) for name, run in paths.items()})
    document = merged({"groups": [{"name": "g"}], "containers": [
        {"name": "pub", "policies": ["wan"], "groups": ["g"]}, {"name": "six", "policies": ["wan"], "groups": ["g"]}],
        "networks": [{"name": "br-b", "policies": ["wan"], "groups": ["g"]}]})
    document["rules"][0]["groups"] = ["g"]
    stage.closed(base={}, *[document])
    expect({name: (run, True) for name, run in paths.items()} | {name: (run, False) for name, run in outside.items()})


def test_join_and_leave(stage, expect):
    path = connect("bob", PUB4, 9999, "pub")
    stage.grant(["join", "pub", "media"], ["join", "bob", "media"])
    expect({"joined": (path, True), "still the default policies": (INTERNET, True)})
    stage.grant(["leave", "bob", "media"])
    expect({"left": (path, False)})


def test_allow_is_one_way(stage, expect):
    stage.closed({"allow": [{"from": "container:bob", "to": "container:pub", "ports": ["9999/tcp", "icmp"]}]})
    expect({"this way": (connect("bob", PUB4, 9999, "pub"), True), "ping": (echo("bob", PUB4), True),
            "another port": (connect("bob", PUB4, 80, "pub"), False), "another protocol": (ask("bob", PUB4, 9053), False),
            "the other way": (connect("pub", "172.30.2.10", 80, "bob"), False), "ping back": (echo("pub", "172.30.2.10"), False)})


def test_allow_port_ranges_and_protocols(stage, expect):
    stage.closed({"allow": [{"from": "upstream", "to": "container:pub", "ports": ["79-81/tcp", "9050-9060/udp"]},
                            {"from": "container:pub", "to": "upstream", "ports": ["proto:47"]}]})
    expect({"in the range": (connect("neighbour", PUB4, 80, "pub"), True), "UDP range": (ask("neighbour", PUB4, 9053), True),
            "outside": (connect("neighbour", PUB4, 9999, "pub"), False), "tcp is not udp": (ask("neighbour", PUB4, 80), False),
            "GRE": (protocol("pub", PRIVATE4, 47, "private"), True), "ESP": (protocol("pub", PRIVATE4, 50, "private"), False),
            "TCP": (PRIVATE, False)})


def test_allow_names_the_containers_port(stage, expect):
    """A right to a container's own port holds for every way in: by its address, published, through docker-proxy."""
    stage.closed({"allow": [{"from": "upstream", "to": "container:pub", "ports": ["80/tcp"]},
                            {"from": "container:bob", "to": "container:pub", "ports": ["80/tcp"]}]})
    expect({"by its address": (connect("neighbour", PUB4, 80, "pub"), True), "published": (connect("neighbour", HOST4, 8080, "pub"), True),
            "by docker-proxy": (connect("neighbour", HOST6, 8080, "pub"), True), "another bridge": (connect("bob", PUB4, 80, "pub"), True),
            "another bridge by the gateway": (connect("bob", "172.30.2.1", 8080, "pub"), True),
            "another port": (connect("neighbour", PUB4, 9999, "pub"), False)})


def test_block_wins(stage, expect):
    """A block beats wan, allow, publish and group, and cuts both directions."""
    grants = {"groups": [{"name": "g"}], "allow": [{"from": "upstream", "to": "container:pub"}],
              "containers": [{"name": "pub", "policies": ["wan", "dns", "lan"], "groups": ["g"],
                              "publish": [{"port": "8080/tcp", "to": ["internet"]}]},
                             {"name": "bob", "policies": ["wan"], "groups": ["g"]}]}
    blocks = {
        ("container:pub", "internet"): {"wan": (INTERNET, False), "LAN": (LAN, True)},
        ("container:pub", "lan"): {"wan": (INTERNET, True), "LAN": (LAN, False)},
        ("upstream", "container:pub"): {"allow": (connect("neighbour", PUB4, 9999, "pub"), False), "wan": (INTERNET, True)},
        ("internet", "container:pub"): {"publish": (connect("internet", HOST4, 8080, "pub"), False),
                                        "publish by docker-proxy": (connect("internet", HOST6, 8080, "pub"), False)},
        ("group:g", "container:pub"): {"group": (connect("bob", PUB4, 80, "pub"), False)},
        ("container:bob", "container:pub"): {"this way": (connect("bob", PUB4, 80, "pub"), False)},
    }
    stage.closed(grants)
    expect({str(number): (run, True) for number, run in enumerate(run for rows in blocks.values() for run, _ in rows.values())})
    for (source, target), rows in blocks.items():
        stage.closed(grants, {"block": [{"from": source, "to": target}]})
        expect(rows)


def test_block_cuts_a_live_flow_of_either_side(stage, base):
    """`block` is one way, but both directions of a flow that it matches end."""
    for source, target in (("container:pub", "internet"), ("container:mate", "container:pub")):
        stage.closed()
        sock, _ = tcp_open(base.pub if source == "container:pub" else base.mate,
                           INTERNET4 if target == "internet" else PUB4, 80, OPEN_WAIT)
        with sock:
            assert talk(sock, OPEN_WAIT)
            stage.grant(["block", source, target])
            until = time.monotonic() + 1
            while talk(sock, 0.4):
                assert time.monotonic() < until, f"the flow from {source} to {target} goes on"


def test_block_removed(stage, expect):
    stage.grant(["block", "container:pub", "internet"])
    expect({"blocked": (INTERNET, False)})
    stage.grant(["block", "container:pub", "internet", "--remove"])
    expect({"unblocked": (INTERNET, True)})


def test_expired_in_the_document(stage, expect):
    stage.closed({"allow": [{"from": "upstream", "to": "container:pub", "ports": ["9999/tcp"], "expires": "2020-01-01"}]})
    expect({"expired": (connect("neighbour", PUB4, 9999, "pub"), False)})


def test_tags(stage, expect):
    stage.closed({"containers": [{"name": "pub", "policies": ["wan"], "tags": ["web"]}],
                  "allow": [{"from": "upstream", "to": "tag:web", "ports": ["9999/tcp"]}]})
    expect({"tagged": (connect("neighbour", PUB4, 9999, "pub"), True), "not tagged": (connect("neighbour", SIX6, 9999, "six"), False)})


def test_zone_selectors(stage, expect):
    """The four zones as sources and targets."""
    stage.closed({"allow": [{"from": "lan", "to": "container:pub", "ports": ["9999/tcp"]},
                            {"from": "internet", "to": "container:six", "ports": ["9999/tcp"]},
                            {"from": "container:bob", "to": "host", "ports": ["22/tcp"]},
                            {"from": "container:mate", "to": "lan", "ports": ["80/tcp"]}]})
    expect({"lan as source": (connect("trusted", PUB4, 9999, "pub"), True), "guest is lan here": (connect("guest", PUB4, 9999, "pub"), True),
            "upstream is not lan": (connect("neighbour", PUB4, 9999, "pub"), False),
            "internet as source": (connect("internet", SIX6, 9999, "six"), True),
            "upstream is not internet": (connect("neighbour", SIX6, 9999, "six"), False),
            "host as target": (connect("bob", "172.30.2.1", 22, "router"), True),
            "another port of the host": (connect("bob", "172.30.2.1", 7070, "hostnet"), False),
            "lan as target": (connect("mate", TRUSTED4, 80, "trusted"), True)})


# --- publish ------------------------------------------------------------------------------------------------------

PUBLISHED = {
    "neighbour": ("upstream", connect("neighbour", HOST4, 8080, "pub")),
    "neighbour over IPv6": ("upstream", connect("neighbour", HOST6, 8080, "pub")),
    "internet": ("internet", connect("internet", HOST4, 8080, "pub")),
    "internet over IPv6": ("internet", connect("internet", HOST6, 8080, "pub")),
    "trusted": ("rule:trusted", connect("trusted", LAN4, 8080, "pub")),
    "trusted over IPv6": ("rule:trusted", connect("trusted", LAN6, 8080, "pub")),
    "trusted by the uplink address": ("rule:trusted", connect("trusted", HOST4, 8080, "pub")),
    "iot": ("rule:iot", connect("iot", LAN4, 8080, "pub")),
    "bob": ("container:bob", connect("bob", "172.30.2.1", 8080, "pub")),
    "bob by the uplink address": ("container:bob", connect("bob", HOST4, 8080, "pub")),
    "six over IPv6": ("container:six", connect("six", "2600:d0::1", 8080, "pub")),
}


@pytest.mark.parametrize("who", sorted({who for who, _ in PUBLISHED.values()}))
def test_publish_to_each(who, stage, expect):
    """A published port is open to whom it is published, by every way in, and to nobody else."""
    stage.grant(["publish", "pub", "--port", "8080/tcp", "--to", who])
    expect({name: (run, to == who) for name, (to, run) in PUBLISHED.items()})
    expect({"another published port": (ask("neighbour", HOST4, 9053), False),
            "a port that is not published": (connect("neighbour", PUB4, 9999, "pub"), False)})


def test_publish_all_ports(stage, expect):
    stage.grant(["publish", "pub", "--to", "upstream"])
    expect({"tcp": (connect("neighbour", HOST4, 8080, "pub"), True), "udp": (ask("neighbour", HOST4, 9053), True),
            "not published": (connect("neighbour", PUB4, 9999, "pub"), False)})
    stage.grant(["publish", "pub", "--remove"])
    expect({"tcp": (connect("neighbour", HOST4, 8080, "pub"), False), "udp": (ask("neighbour", HOST4, 9053), False)})


EVERYONE = "internet,upstream,lan,container:bob,rule:trusted,rule:iot"


@pytest.mark.parametrize("name, port, inside, outside", [
    ("lanpub", "8081/tcp", connect("trusted", LAN4, 8081, "lanpub"), {
        "neighbour": connect("neighbour", LAN4, 8081, "lanpub"), "container": connect("bob", LAN4, 8081, "lanpub"),
        "guest": connect("guest", LAN4, 8081, "lanpub")}),
    ("gwpub", "8084/tcp", connect("pub", "172.30.1.1", 8084, "gwpub"), {
        "neighbour": connect("neighbour", "172.30.1.1", 8084, "gwpub"), "iot": connect("iot", "172.30.1.1", 8084, "gwpub"),
        "container of another bridge": connect("bob", "172.30.1.1", 8084, "gwpub")}),
    ("loopub", "8082/tcp", connect("router", "127.0.0.1", 8082, "loopub"), {
        "neighbour by the uplink address": connect("neighbour", HOST4, 8082, "loopub"),
        "iot by the LAN address": connect("iot", LAN4, 8082, "loopub")}),
])
def test_bind_address_means_its_interface(name, port, inside, outside, stage, expect):
    """A port that is bound to an address is reachable from its interface only, whatever it is opened to."""
    stage.grant(["publish", name, "--port", port, "--to", EVERYONE + ",container:pub"])
    expect({"its own interface": (inside, True)} | {where: (run, False) for where, run in outside.items()})


def test_client_address_is_kept(stage, base):
    """What Docker keeps of the client's address arrives: nothing of spr's is between."""
    stage.grant(["publish", "pub", "--port", "8080/tcp", "--to", "internet,rule:trusted"])
    assert tcp(base.internet, HOST4, 8080, OPEN_WAIT).split()[1] == INTERNET4
    assert tcp(base.trusted, LAN4, 8080, OPEN_WAIT).split()[1] == TRUSTED4


# --- networks -----------------------------------------------------------------------------------------------------

def test_isolate(stage, expect):
    """Containers of an isolated network do not talk to each other unless a group or an allow says so."""
    path, back = connect("bob", "172.30.2.20", 80, "rob"), connect("rob", "172.30.2.10", 80, "bob")
    base = stage.scene
    base.container("rob", "br-b", "172.30.2.20")
    try:
        expect({"by default they talk": (path, True)})
        stage.closed({"networks": [{"name": "br-b", "policies": ["wan", "dns"], "isolate": True}]})
        expect({"isolated": (path, False), "ping": (echo("bob", "172.30.2.20"), False), "back": (back, False),
                "internet": (connect("rob", INTERNET4, 80, "internet"), True)})
        stage.closed({"networks": [{"name": "br-b", "policies": ["wan"], "isolate": True}],
                      "allow": [{"from": "container:bob", "to": "container:rob", "ports": ["80/tcp"]}]})
        expect({"allowed": (path, True), "one way": (back, False)})
    finally:
        base.remove("rob")


def test_icc_false_network(stage, expect):
    """Where Docker keeps the containers of a network apart, they are apart without an entry; `isolate: false` joins them
    as far as spr is concerned."""
    base = stage.scene
    base.docker.network("br-c", ["172.30.4.0/24"], icc=False)
    try:
        base.container("c1", "br-c", "172.30.4.10")
        base.container("c2", "br-c", "172.30.4.11")
        expect({"apart": (connect("c1", "172.30.4.11", 80, "c2"), False), "internet": (connect("c1", INTERNET4, 80, "internet"), True)})
        stage.closed({"allow": [{"from": "container:c1", "to": "container:c2", "ports": ["80/tcp"]}]})
        expect({"allowed": (connect("c1", "172.30.4.11", 80, "c2"), True), "back": (connect("c2", "172.30.4.10", 80, "c1"), False)})
    finally:
        for name in ("c1", "c2"):
            with contextlib.suppress(Exception):
                base.remove(name)
        base.docker.call("DELETE", "/networks/br-c")


def test_two_networks(stage, expect):
    """A container in two networks is one member, and no bridge between them for others."""
    base = stage.scene
    base.docker.call("POST", "/networks/br-b/connect", {"Container": "mate", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "172.30.2.30"}}})
    try:
        expect({"first network": (connect("mate", PUB4, 80, "pub"), True), "second network": (connect("mate", "172.30.2.10", 80, "bob"), True),
                "reached in the second": (connect("bob", "172.30.2.30", 80, "mate"), True),
                "its address in the first, from the second": (connect("bob", "172.30.1.13", 80, "mate"), False)})
    finally:
        base.docker.call("POST", "/networks/br-b/disconnect", {"Container": "mate", "Force": True})
    expect({"gone from the second": (connect("bob", "172.30.2.30", 80, "mate"), False)})


def test_internal_network(stage, expect):
    """Members of an --internal network have each other and the host, nothing else, whatever the policy would grant."""
    expect({"each other": (connect("inner", "172.30.9.11", 80, "inmate"), True), "from the host": (connect("router", "172.30.9.10", 80, "inner"), True),
            "internet": (connect("inner", INTERNET4, 80, "internet"), False), "LAN": (connect("inner", TRUSTED4, 80, "trusted"), False),
            "another network": (connect("inner", PUB4, 80, "pub"), False), "into it": (connect("pub", "172.30.9.10", 80, "inner"), False)})


# --- rules --------------------------------------------------------------------------------------------------------

def test_rule_needs_its_interface(stage, expect):
    """A rule is interface and source: the address alone, on another interface, is nobody."""
    stage.closed({"allow": [{"from": "rule:trusted", "to": "container:pub", "ports": ["9053/udp", "9999/tcp"]}]})

    expect({"at home": (connect("trusted", PUB4, 9999, "pub"), True),
            "the same address from the guest network": (forged("guest", "guest0", TRUSTED4, PUB4, 9053, "pub"), False),
            "the same address from the uplink": (forged("neighbour", "eth0", TRUSTED4, PUB4, 9053, "pub"), False),
            "another address at home": (connect("iot", PUB4, 9999, "pub"), False)})


def test_longer_prefix_wins(stage, expect):
    """An address in two rules is the more specific one only."""
    document = {"rules": [{"name": "wide", "interface": "br-lan", "source": ["192.168.77.0/24"], "policies": ["wan", "dns"]},
                          {"name": "narrow", "interface": "br-lan", "source": ["192.168.77.20/32"], "policies": ["dns"]}],
                "interfaces": BASE["interfaces"]}
    stage.closed(document, base={})
    expect({"wide": (connect("trusted", INTERNET4, 80, "internet"), True), "narrow": (connect("iot", INTERNET4, 80, "internet"), False),
            "narrow has its own": (resolver("iot"), True)})


def test_unknown_lan_address_has_nothing(stage, expect):
    """An address of the LAN that no rule names: the router's ping and DHCP, nothing else."""
    document = {"interfaces": BASE["interfaces"], "rules": BASE["rules"][:1]}
    stage.closed(document, base={})
    expect({"internet": (connect("iot", INTERNET4, 80, "internet"), False), "resolver": (resolver("iot"), False),
            "ping the router": (echo("iot", LAN4), True), "ping the router over IPv6": (echo("iot", LAN6), True),
            "trusted": (connect("trusted", INTERNET4, 80, "internet"), True)})


def test_rule_policies(stage, expect):
    """wan of a rule is the internet, not upstream; lan_upstream is upstream."""
    expect({"wan": (connect("trusted", INTERNET4, 80, "internet"), True), "upstream": (connect("trusted", PRIVATE4, 80, "private"), False),
            "containers": (connect("trusted", PUB4, 80, "pub"), False), "guest": (connect("trusted", GUEST4, 80, "guest"), False)})
    stage.grant(["grant", "rule:trusted", "lan_upstream", "lan"])
    expect({"upstream": (connect("trusted", PRIVATE4, 80, "private"), True), "guest": (connect("trusted", GUEST4, 80, "guest"), True)})


def test_route_dst(stage, base, expect):
    """
    The article's custom interface rule, with the shape of the README's compose example: a container network with a bridge
    name of its own (15 characters at most), in it a container that is a VPN's gateway; behind it a range of addresses, as
    a member of its own.
    """
    docker = base.docker
    docker.network("compose_containernet", ["172.30.7.0/24"], bridge="spr-contnet",
                   labels={"com.docker.compose.network": "containernet", "com.docker.compose.project": "compose"})
    try:
        base.container("gateway", "compose_containernet", "172.30.7.2")
        base.container("app", "compose_containernet", "172.30.7.3")
        gateway = base.gateway
        gateway.sysctl(ipv4__ip_forward=1)
        gateway.ip("addr add 100.64.0.5/32 dev lo")
        rule = {"name": "vpn-out", "interface": "spr-contnet", "source": ["100.64.0.0/10"], "route_dst": "172.30.7.2"}
        behind = lambda scene, wait: bool(tcp(scene.gateway, INTERNET4, 80, wait, source="100.64.0.5"))  # noqa: E731
        into = connect("app", "100.64.0.5", 80, "gateway")
        across = connect("bob", "100.64.0.5", 80, "gateway")
        expect({"unknown": (behind, False), "into the unknown": (across, False)})
        stage.closed({"groups": [{"name": "tailnet"}], "rules": [{**rule, "policies": [], "groups": ["tailnet"]}],
                      "containers": [{"name": "bob", "policies": ["wan"], "groups": ["tailnet"]}]})
        assert "100.64.0.0/10 via 172.30.7.2" in base.router.run("ip", "route"), "there is no route to what is behind it"
        assert "spr-contnet" in base.router.run("ip", "route", "get", "100.64.0.5")
        expect({"group into the range": (across, True), "no wan": (behind, False)})
        with_source = lambda scene, wait: bool(tcp(scene.gateway, "172.30.2.10", 80, wait, source="100.64.0.5"))  # noqa: E731
        expect({"from the range into the group": (with_source, True)})
        stage.closed()
        assert "100.64.0.0/10" not in base.router.run("ip", "route"), "the route outlived its rule"
        expect({"closed again": (across, False)})
        assert into
    finally:
        for name in ("gateway", "app"):
            with contextlib.suppress(Exception):
                base.remove(name)
        docker.call("DELETE", "/networks/compose_containernet")


def test_compose_names(stage, expect):
    """PROJECT/SERVICE of compose names a container, whatever compose called it."""
    base = stage.scene
    base.container("shop-web-1", "br-b", "172.30.2.40", labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "web"})
    try:
        stage.closed({"containers": [{"name": "shop/web", "policies": ["lan_upstream"]}]})
        expect({"its entry": (connect("shop-web-1", PRIVATE4, 80, "private"), True),
                "instead of the default": (connect("shop-web-1", INTERNET4, 80, "internet"), False)})
        stage.closed({"allow": [{"from": "upstream", "to": "container:shop/web", "ports": ["80/tcp"]}]})
        expect({"as a target": (connect("neighbour", "172.30.2.40", 80, "shop-web-1"), True)})
    finally:
        base.remove("shop-web-1")


# --- local users, roles -------------------------------------------------------------------------------------------

def test_local_users(stage, expect):
    """local_users: root keeps other users of the machine from containers and loopback-published ports, and from nothing else."""
    def paths(uid):
        return {"container": connect("router", PUB4, 9999, "pub", uid=uid), "container over IPv6": connect("router", SIX6, 9999, "six", uid=uid),
                "published on 127.0.0.1": connect("router", "127.0.0.1", 8082, "loopub", uid=uid),
                "published, by 127.0.0.1": connect("router", "127.0.0.1", 8080, "pub", uid=uid)}

    others = {"internet": connect("router", INTERNET4, 80, "internet", uid=65534),
              "a service of the host": connect("router", "127.0.0.1", 22, "router", uid=65534)}
    expect({name: (run, True) for name, run in {**paths(65534), **others}.items()})
    stage.closed({"settings": {"local_users": "root"}})
    expect({name: (run, False) for name, run in paths(65534).items()})
    expect({name: (run, True) for name, run in {**paths(0), **others}.items()})


def test_machine_without_lan(stage, base, expect):
    """
    The empty policy: a machine with one uplink. Containers are closed; its own services towards the uplink are its own
    business; interfaces without a role are closed towards containers and this host.
    """
    stage.closed(base={})
    expect({
        "container to internet": (INTERNET, True), "container to resolver": (resolver("d1"), True),
        "members of a network": (connect("mate", PUB4, 80, "pub"), True), "host to container": (connect("router", PUB4, 80, "pub"), True),
        "container over IPv6": (INTERNET_6, True),
        "neighbour to the machine's own ssh": (connect("neighbour", HOST4, 22, "router"), True),
        "neighbour to its host-network container": (connect("neighbour", HOST4, 7070, "hostnet"), True),
        "neighbour to a published port": (connect("neighbour", HOST4, 8080, "pub"), False),
        "neighbour to a published port over IPv6": (connect("neighbour", HOST6, 8080, "pub"), False),
        "neighbour to published UDP": (ask("neighbour", HOST4, 9053), False),
        "neighbour to a container": (connect("neighbour", PUB4, 9999, "pub"), False),
        "neighbour to an IPv6 container": (connect("neighbour", SIX6, 9999, "six"), False),
        "neighbour to a bridge's gateway address": (connect("neighbour", "172.30.1.1", 22, "router"), False),
        "neighbour to another interface's address": (connect("neighbour", LAN4, 8022, "router"), False),
        "container to ssh": (connect("pub", "172.30.1.1", 22, "router"), False),
        "container to private upstream": (PRIVATE, False), "container to neighbour": (connect("pub", NEIGHBOUR4, 80, "neighbour"), False),
        "container to neighbour over IPv6": (connect("six", NEIGHBOUR6, 80, "neighbour"), False),
        "container to what is behind another interface": (LAN, False),
        "interface without a role to a container": (connect("iot", PUB4, 80, "pub"), False),
        "interface without a role to a published port": (connect("iot", LAN4, 8080, "pub"), False),
        "interface without a role to the machine": (connect("iot", LAN4, 22, "router"), False),
        "other bridge": (connect("bob", PUB4, 80, "pub"), False),
    })
    assert {"br-lan", "guest0"} <= set(stage.spr.status()["waiting"])
    stage.closed({"containers": [{"name": "pub", "policies": ["wan"], "publish": [{"port": "8080/tcp", "to": ["lan"]}]}]}, base={})
    expect({"lan is the uplink's neighbours": (connect("neighbour", HOST4, 8080, "pub"), True),
            "the internet is not": (connect("internet", HOST4, 8080, "pub"), False)})


def test_role_opens_and_closes(stage, expect):
    """An interface has nothing before it has a role, and what every LAN has with it."""
    document = {"interfaces": BASE["interfaces"][:2], "rules": BASE["rules"][:2]}
    stage.closed(document, base={})
    paths = {"ping": echo("guest", "192.168.78.1"), "DHCP": discover("guest", "guest0")}
    closed = {"internet": (connect("guest", INTERNET4, 80, "internet"), False), "ssh": (connect("guest", "192.168.78.1", 22, "router"), False)}
    expect({name: (run, False) for name, run in paths.items()} | closed)
    stage.grant(["role", "guest0", "lan"])
    expect({name: (run, True) for name, run in paths.items()} | closed)


def test_new_interface_is_closed(stage, base, expect):
    """An interface that appears later is closed until it has a role."""

    late = Namespace.new("late")
    try:
        veth(base.router, "late0", late, "eth0")
        base.router.ip("addr add 192.168.79.1/24 dev late0")
        late.ip("addr add 192.168.79.10/24 dev eth0", "route add default via 192.168.79.1")
        base.spaces["late"] = late
        paths = {"container": connect("late", PUB4, 9999, "pub"), "host": connect("late", "192.168.79.1", 22, "router"),
                 "LAN": connect("late", TRUSTED4, 80, "trusted"), "internet": connect("late", INTERNET4, 80, "internet")}
        expect({name: (run, False) for name, run in paths.items()})
        assert "late0" in stage.spr.status()["waiting"]
        stage.grant(["role", "late0", "lan"], ["allow", "lan", "container:pub:9999/tcp"], ["allow", "lan", "host:22/tcp"])
        expect({"container": (paths["container"], True), "host": (paths["host"], True), "LAN": (paths["LAN"], False)})
    finally:
        with contextlib.suppress(Exception):
            base.router.ip("link del late0")
        base.spaces.pop("late", None)
        late.close()


# --- what is said about it ----------------------------------------------------------------------------------------

EXPLAINED = [
    ("upstream", "container:pub", "9999/tcp", connect("neighbour", PUB4, 9999, "pub")),
    ("container:pub", "internet", "80/tcp", INTERNET),
    ("container:pub", "upstream", "80/tcp", PRIVATE),
    ("container:pub", "rule:trusted", "80/tcp", LAN),
    ("rule:trusted", "host", "22/tcp", connect("trusted", LAN4, 22, "router")),
    ("container:bob", "container:pub", "80/tcp", connect("bob", PUB4, 80, "pub")),
    ("container:mate", "container:pub", "80/tcp", connect("mate", PUB4, 80, "pub")),
    ("container:inner", "internet", "80/tcp", connect("inner", INTERNET4, 80, "internet")),
]


@pytest.mark.parametrize("source, target, port, run", EXPLAINED, ids=lambda value: value if isinstance(value, str) else "")
def test_explain_agrees_with_the_kernel(source, target, port, run, stage, base):
    said = stage.spr.call("explain", **{"from": source, "to": target, "port": port})
    opened = stage.is_open(run) if said["verdict"] == "accept" else not stage.is_closed(run)
    assert (said["verdict"] == "accept") == opened, said["sentence"]
    done = stage.spr.command("explain", source, f"{target}:{port}", check=False)
    assert done.returncode == (0 if opened else 4)
    assert said["sentence"].split()[0] in done.stdout


def test_log_names_the_drop(stage, base):
    """A dropped packet turns up in `spr log` with who, whom and why, at once."""

    with Follow(stage.spr) as log:
        assert not tcp(base.neighbour, PUB4, 9999, 0.3)
        event = log.event(lambda event: event["from_addr"] == NEIGHBOUR4 and event["to_port"] == 9999)
    assert event and event["to_addr"] == PUB4 and event["proto"] == "tcp" and event["in"] == "eth0" and event["reason"]
    assert "pub" in event["to"]


def test_lists(stage, base):
    call = stage.spr.call
    names = {what: json_names(call("list", what=what)) for what in ("containers", "networks", "interfaces", "rules")}
    assert {"pub", "six", "inner", "hostnet", "d1"} <= names["containers"]
    assert {"br-a", "br-i", "bridge"} <= names["networks"]
    assert {"eth0", "br-lan", "guest0"} <= names["interfaces"]
    assert {"trusted", "iot", "guest"} <= names["rules"]
    assert call("list", what="flows")["columns"]


def json_names(listed):
    return {row["name"] for row in listed["rows"]}


def test_export_and_apply_round_trip(stage, expect):
    stage.grant(["publish", "pub", "--port", "8080/tcp", "--to", "upstream"], ["allow", "upstream", "host:22/tcp", "--comment", "admin"])
    text = stage.spr.call("export")["yaml"]
    assert stage.spr.apply(text)["changed"] is False
    stage.closed()
    stage.spr.apply(text)
    stage.document = None
    expect({"published": (connect("neighbour", HOST4, 8080, "pub"), True), "ssh": (connect("neighbour", HOST4, 22, "router"), True)})


def test_ambiguous_name_is_refused(stage, base):
    """A bare name that fits two members is refused, naming both."""
    stage.closed({"rules": [{"name": "mate", "interface": "br-lan", "source": ["192.168.77.200/32"], "policies": ["wan"]}]})
    with pytest.raises(SprError) as refused:
        stage.spr.call("allow", **{"from": "mate", "to": "host", "ports": ["22/tcp"]})
    assert "container:mate" in refused.value.message and "rule:mate" in refused.value.message
    stage.document = None
    with contextlib.suppress(SprError):
        stage.spr.call("allow", **{"from": "container:mate", "to": "host", "ports": ["22/tcp"]})
    assert stage.is_open(connect("mate", "172.30.1.1", 22, "router"))


def test_policy_for_what_is_not_there_yet(stage, expect):
    """Legal, and takes effect when it appears."""
    base = stage.scene
    stage.closed({"containers": [{"name": "later", "policies": ["lan_upstream"]}]})
    base.container("later", "br-b", "172.30.2.50")
    try:
        expect({"its entry": (connect("later", PRIVATE4, 80, "private"), True), "instead of the default": (connect("later", INTERNET4, 80, "internet"), False)})
    finally:
        base.remove("later")


# --- beside the rules of others ---------------------------------------------------------------------------------------

def test_own_rules_in_docker_user_hold(stage, base, expect):
    """What the machine's owner drops in DOCKER-USER stays dropped: our accept stands behind it."""
    rule = ("DOCKER-USER", "-s", "172.30.2.10", "-j", "DROP")
    paths = {"another container": (INTERNET, True), "to the other network": (connect("pub", "172.30.2.10", 80, "bob"), True)}
    stage.closed({"groups": [{"name": "g"}]}, policies("pub", "wan", groups=["g"]), policies("bob", "wan", groups=["g"]))
    expect({"bob": (connect("bob", INTERNET4, 80, "internet"), True), **paths})
    base.router.run("iptables", "-I", *rule)
    try:
        time.sleep(1)
        rules = base.router.run("iptables", "-S", "DOCKER-USER").splitlines()
        assert [line.split()[-1] for line in rules if line.startswith("-A")] == ["DROP", "ACCEPT", "RETURN"]
        expect({"bob": (connect("bob", INTERNET4, 80, "internet"), False), "another container": paths["another container"]})
    finally:
        base.router.run("iptables", "-D", *rule)
    expect(paths)


def test_link_local_is_no_way_around(stage, base, expect):
    """Inside a network, where br_netfilter shows it to us, a block holds for link-local addresses too."""
    was = base.br_netfilter
    base.set_br_netfilter(True)
    address = base.sixmate.link_local("eth0") + "%eth0"
    try:
        paths = {"link-local": connect("six", address, 80, "sixmate"), "global": connect("six", "2600:d0::11", 80, "sixmate")}
        stage.closed({"block": [{"from": "container:six", "to": "container:sixmate"}]})
        expect({name: (run, False) for name, run in paths.items()})
        stage.closed()
        expect({"global": (paths["global"], True)})
    finally:
        base.set_br_netfilter(was)


def test_resolver_of_another_interface(stage, base, expect):
    """On a machine whose own rules decide, the resolver at an inner address is not for the neighbours outside."""
    stage.closed(base={})
    expect({"container": (resolver("pub"), True), "neighbour": (resolver("neighbour"), False),
            "neighbour at the outer address": (lambda scene, wait: dns(scene.neighbour, HOST4, "example.org", wait) == "50.0.0.10", True)})
