# SPDX-License-Identifier: GPL-2.0-or-later
"""
A router of any size, as words: for spr an inventory (in the words of tests/unit/world.c) and a policy, for the other
firewalls the same networks and containers.

    desk 192.168.8.10 --- lan0 192.168.8.1  the router  192.168.99.2 eth0 --- 192.168.99.1, 50.0.0.1 on the internet
                 containers on br-0 10.0.0.0/16, br-1 10.1.0.0/16 ... ; only br-0 is there in truth

With IPv6: 2600:8::/64 on lan0, 2600:99::/64 on eth0, 2600:50::1 on the internet, 2600:10:0::/64, 2600:10:1::/64 ... on the bridges.
"""

import collections
import ipaddress

LAN_ROUTER, LAN_HOST = "192.168.8.1", "192.168.8.10"
UP_ROUTER, UP_GATEWAY, INTERNET = "192.168.99.2", "192.168.99.1", "50.0.0.1"
LAN_ROUTER6, LAN_HOST6 = "2600:8::1", "2600:8::10"
UP_ROUTER6, UP_GATEWAY6, INTERNET6 = "2600:99::2", "2600:99::1", "2600:50::1"
FIRST_PORT = 1024
INNER_PORT = 80
SOURCES_MAX = 1000
SPARE = 9 # addresses of a network before its containers': spr prove takes one of them for what no container has

Network = collections.namedtuple("Network", "name bridge subnet gateway subnet6 gateway6")
Container = collections.namedtuple("Container", "name network ip4 ip6 ports")
Port = collections.namedtuple("Port", "proto outer inner")


class Town:
    """
    `members` in all: the LAN host, containers, and for each hundred one range of addresses behind lan0. `networks` are as
    many classes of containers. The first `published` containers publish a TCP port each, to the LAN. `routed`: no NAT
    for what the containers send. `six`: IPv6 as well. `entries`: the policy has an entry for each container.
    """

    def __init__(self, members, networks=5, published=0, routed=True, six=False, entries=False):
        self.members, self.routed, self.six, self.entries = members, routed, six, entries
        self.bits = 16 if networks <= 200 else 12
        self.networks = [self._network(i) for i in range(networks)]
        self.ranges = members // 100
        self.published = published
        count = max(members - self.ranges - 1, published + 2 * networks)
        # in the middle of those that publish, and on the network that is there in truth
        self.target = published // 2 // networks * networks
        self.containers = [self._container(i) for i in range(count)]
        first = -(-published // networks) * networks
        self.source = self.containers[first]
        # of the same network, address after address
        self.sources = self.containers[first::networks][:SOURCES_MAX]

    def _network(self, i):
        subnet = ipaddress.ip_network(f"{ipaddress.ip_address((10 << 24) + (i << self.bits))}/{32 - self.bits}")
        return Network(f"net{i}", f"br-{i}", str(subnet), str(subnet[1]), f"2600:10:{i:x}::/64", f"2600:10:{i:x}::1")

    def _container(self, i):
        network = self.networks[i % len(self.networks)]
        number = SPARE + i // len(self.networks)
        ports = [Port("tcp", FIRST_PORT + i, INNER_PORT)] if i < self.published else []
        if self.published and i == self.target:
            ports.append(Port("udp", FIRST_PORT + i, INNER_PORT))
        return Container(f"c{i}", network, str(ipaddress.ip_address(network.gateway) + number),
                         f"{network.gateway6[:-1]}{1 + number:x}", ports)

    def present(self):
        """The containers that the traffic needs, the sources first: all are on br-0."""
        return self.sources + [container for container in self.containers[:self.published]
                               if container.network is self.networks[0]]

    def world(self):
        def both(four, six):
            return f"{four} {six}" if self.six else four

        lines = [f"interface lan0 {both(f'{LAN_ROUTER}/24', f'{LAN_ROUTER6}/64')}",
                 f"interface eth0 {both(f'{UP_ROUTER}/24', f'{UP_ROUTER6}/64')}"]
        lines += [f"bridge {net.bridge} {both(f'{net.gateway}/{32 - self.bits}', f'{net.gateway6}/64')}" for net in self.networks]
        lines += [f"route default eth0 {gateway}" for gateway in both(UP_GATEWAY, UP_GATEWAY6).split()]
        lines += ["route 100.64.0.0/10 lan0 192.168.8.254", "resolver 9.9.9.9"]
        mode = "routed" if self.routed else ""
        lines += [f"network {net.name} {net.bridge} {both(net.subnet, net.subnet6)} {mode}" for net in self.networks]
        for container in self.containers:
            ports = " ".join(f"port=0.0.0.0:{port.outer}:{port.inner}/{port.proto}" for port in container.ports)
            lines.append(f"container {container.name} {container.network.name} {both(container.ip4, container.ip6)} {ports}")
        return "\n".join(lines) + "\n"

    def policy(self, granted=True):
        """Without the grants, the traffic that is measured must not pass: the control of the bench."""
        policies = "[wan, dns]" if granted else "[dns]"
        lines = ["interfaces: [{name: eth0, role: uplink}, {name: lan0, role: lan}]", "groups:"]
        lines += [f"- {{name: g{i}}}" for i in range(len(self.networks))]
        lines.append("networks:")
        lines += [f"- {{name: {net.name}, policies: {policies}, groups: [g{i}]}}" for i, net in enumerate(self.networks)]
        published = [container for container in self.containers if container.ports]
        others = [container for container in self.containers if not container.ports] if self.entries else []
        if published or others:
            lines.append("containers:")
        lines += [f"- {{name: {container.name}, policies: {policies}}}" for container in others]
        for container in published:
            items = ", ".join(f"{{port: {port.outer}/{port.proto}, to: [{'lan' if granted else 'upstream'}]}}"
                              for port in container.ports)
            lines.append(f"- {{name: {container.name}, policies: [wan, dns], publish: [{items}]}}")
        desk = f"[{LAN_HOST}, '{LAN_HOST6}']" if self.six else LAN_HOST
        lines += ["rules:", f"- {{name: desk, interface: lan0, source: {desk}, policies: {policies}}}"]
        first = ipaddress.ip_address("100.64.0.0")
        lines += [f"- {{name: r{i}, interface: lan0, source: {first + 32 * i}/28, policies: [dns]}}"
                  for i in range(self.ranges)]
        if granted and published and self.routed: # nobody dials a published port there
            ports = f"{INNER_PORT}/tcp, {INNER_PORT}/udp"
            lines += ["allow:", f"- {{from: 'rule:desk', to: 'container:{self.containers[self.target].name}', ports: [{ports}]}}"]
        return "\n".join(lines) + "\n"
