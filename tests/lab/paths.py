# SPDX-License-Identifier: GPL-2.0-or-later
"""What must keep working, as a table of probes, and the grants of the policy under which it must."""

from attacks import HOST_LOOP, PUB4, SIX6, ask, both, connect, discover, echo
from probes import dns, tcp
from scene import (HOST4, HOST6, INTERNET4, INTERNET6, LAN4, LAN6, NEIGHBOUR4, NEIGHBOUR6, PRIVATE4, PRIVATE6, TRUSTED4,
                   TRUSTED6)

GRANTS = {
    "groups": [{"name": "family"}],
    "containers": [{"name": "pub", "policies": ["wan", "dns"],
                    "publish": [{"port": "8080/tcp", "to": ["rule:trusted", "internet", "upstream"]},
                                {"port": "9053/udp", "to": ["rule:trusted", "internet"]}]}],
    "allow": [{"from": "rule:trusted", "to": "host", "ports": ["22/tcp"]},
              {"from": "rule:trusted", "to": "container:six", "ports": ["9999/tcp"]}],
}


def name_server(source, server, stream=False, name="example.org", answer="50.0.0.10"):
    return lambda scene, wait: dns(getattr(scene, source), server, name, wait, stream) == answer


def by_name(source, name, address, port=80):
    """Docker's own resolver gives the address, and the service there answers."""
    return both(name_server(source, "127.0.0.11", name=name, answer=address), connect(source, address, port, name))


def sees(source, address, port, who, client):
    """The banner names the server and the client's real address."""
    return lambda scene, wait: (tcp(getattr(scene, source), address, port, wait) or "").startswith(f"{who} {client} ")


PATHS = {
    "container to internet, TCP": connect("pub", INTERNET4, 80, "internet"),
    "container to internet, UDP": ask("pub", INTERNET4, 80),
    "container to internet, ping": echo("pub", INTERNET4),
    "container to internet, TCP over IPv6": connect("six", INTERNET6, 80, "internet"),
    "container to internet, UDP over IPv6": ask("six", INTERNET6, 80),
    "container to internet, ping over IPv6": echo("six", INTERNET6),
    "container of the default bridge to internet": connect("d1", INTERNET4, 80, "internet"),
    "container of another network to internet": connect("bob", INTERNET4, 80, "internet"),
    "container to resolver, UDP": name_server("pub", LAN4),
    "container to resolver, TCP": name_server("pub", LAN4, stream=True),
    "container of the default bridge to resolver": name_server("d1", LAN4),
    "container of the IPv6 network to resolver": name_server("six", LAN4),
    "container to resolver through Docker's own": name_server("pub", "127.0.0.11"),
    "members of one network by name": by_name("pub", "mate", "172.30.1.13"),
    "members of one network, UDP": ask("pub", "172.30.1.13", 80),
    "members of one network, ping": echo("pub", "172.30.1.13"),
    "members of one network over IPv6": connect("six", "2600:d0::11", 80, "sixmate"),
    "members of one network, ping over IPv6": echo("six", "2600:d0::11"),
    "members of an internal network by name": by_name("inner", "inmate", "172.30.9.11"),
    "members of the default bridge": lambda scene, wait: connect("d1", scene.address("d2"), 9999, "d2")(scene, wait),
    "published port to the LAN, real address": sees("trusted", LAN4, 8080, "pub", TRUSTED4),
    "published port to the internet, real address": sees("internet", HOST4, 8080, "pub", INTERNET4),
    "published port to the internet over IPv6": connect("internet", HOST6, 8080, "pub"),
    "published port to an uplink client": sees("neighbour", HOST4, 8080, "pub", NEIGHBOUR4),
    "published UDP port to the internet": ask("internet", HOST4, 9053),
    "published UDP port to the LAN": ask("trusted", LAN4, 9053),
    "LAN client to internet": connect("trusted", INTERNET4, 80, "internet"),
    "LAN client to internet, UDP": ask("trusted", INTERNET4, 80),
    "LAN client to internet, ping": echo("trusted", INTERNET4),
    "LAN client to internet over IPv6": connect("trusted", INTERNET6, 80, "internet"),
    "LAN client to internet, ping over IPv6": echo("trusted", INTERNET6),
    "LAN client to resolver, UDP": name_server("trusted", LAN4),
    "LAN client to resolver, TCP": name_server("trusted", LAN4, stream=True),
    "LAN client to DHCP": discover("trusted", "br-lan"),
    "guest to DHCP": discover("guest", "guest0"),
    "LAN client pings the router": echo("trusted", LAN4),
    "LAN client pings the router over IPv6": echo("trusted", LAN6),
    "guest pings the router": echo("guest", "192.168.78.1"),
    "guest to internet": connect("guest", INTERNET4, 80, "internet"),
    "LAN client to LAN client": connect("trusted", "192.168.77.20", 80, "iot"),
    "granted device to its grant": connect("trusted", SIX6, 9999, "six"),
    "the admin's ssh": connect("trusted", LAN4, 22, "router"),
    "the admin's ssh over IPv6": connect("trusted", LAN6, 22, "router"),
    "host to container": connect("router", PUB4, 80, "pub"),
    "host to unpublished port": connect("router", PUB4, 9999, "pub"),
    "host to container, UDP": ask("router", PUB4, 9053),
    "host to container, ping": echo("router", PUB4),
    "host to container over IPv6": connect("router", SIX6, 9999, "six"),
    "host to internal container": connect("router", "172.30.9.10", 80, "inner"),
    "host to container on its own network": connect("router", "127.0.0.1", 7070, "hostnet"),
    "host to port published on 127.0.0.1": HOST_LOOP,
    "host to published port by 127.0.0.1": connect("router", "127.0.0.1", 8080, "pub"),
    "host to published port by its own address": connect("router", HOST4, 8080, "pub"),
    "host to port published on the LAN address": connect("router", LAN4, 8081, "lanpub"),
    "host to port published on the gateway": connect("router", "172.30.1.1", 8084, "gwpub"),
    "host to published port by ::1": connect("router", "::1", 8080, "pub"),
    "host to LAN client": connect("router", TRUSTED4, 80, "trusted"),
    "host to LAN client over IPv6": connect("router", TRUSTED6, 80, "trusted"),
    "host to uplink neighbour": connect("router", NEIGHBOUR4, 80, "neighbour"),
    "host to uplink neighbour over IPv6": connect("router", NEIGHBOUR6, 80, "neighbour"),
    "host to private upstream": connect("router", PRIVATE4, 80, "private"),
    "host to private upstream over IPv6": connect("router", PRIVATE6, 80, "private"),
    "host to internet": connect("router", INTERNET4, 80, "internet"),
    "host to internet, UDP": ask("router", INTERNET4, 80),
    "host to internet, ping": echo("router", INTERNET4),
    "host to internet over IPv6": connect("router", INTERNET6, 80, "internet"),
    "unprivileged user of the host to container": connect("router", PUB4, 9999, "pub", uid=65534),
}
