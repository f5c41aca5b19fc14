# SPDX-License-Identifier: GPL-2.0-or-later
"""
The firewalls that are measured, as rules for a town (see towns.py). Those of Docker are made here in the shape that
dockerd gives them, since Docker itself would take too long to start a thousand containers; tests/lab/test_bench.py
compares them with what dockerd writes, and with the fixtures of the lab.
"""

DOCKER_BRIDGE = ("docker0", "172.30.0.0/24")
IPTABLES = ["iptables-nft-restore"]
NFT = ["nft", "-f", "-"]


class Four:
    """How Docker's rules say it in IPv4."""
    table, restore, bits, forward, loopback, loopback_network = "ip", IPTABLES, 32, "DROP", "127.0.0.0/8", "127.0.0.0/8"

    @staticmethod
    def bridges(town):
        """(bridge, subnet), Docker's own first."""
        return [DOCKER_BRIDGE] + [(network.bridge, network.subnet) for network in town.networks]

    @staticmethod
    def address(container):
        return container.ip4

    @staticmethod
    def place(container, port):
        return f"{container.ip4}:{port.inner}"


class Six:
    """And in IPv6, which Docker's own network has not."""
    table, restore, bits, forward, loopback, loopback_network = "ip6", ["ip6tables-nft-restore"], 128, "ACCEPT", "::1", "::1/128"

    @staticmethod
    def bridges(town):
        return [(network.bridge, network.subnet6) for network in town.networks]

    @staticmethod
    def address(container):
        return container.ip6

    @staticmethod
    def place(container, port):
        return f"[{container.ip6}]:{port.inner}"


def families(town):
    return [Four, Six] if town.six else [Four]


def published(town):
    return [(container, port) for container in town.containers for port in container.ports]


def table(name, chains, rules):
    return [f"*{name}", *(f":{chain}" for chain in chains), *rules, "COMMIT"]


def docker_nat(town, hairpin, family=Four):
    named = family.bridges(town)
    latest = [f"-A POSTROUTING -s {subnet} ! -o {bridge} -j MASQUERADE" for bridge, subnet in reversed(named)]
    if hairpin:
        latest += [f"-A POSTROUTING -s {c.ip4}/32 -d {c.ip4}/32 -p {p.proto} -m {p.proto} --dport {p.inner} -j MASQUERADE"
                   for c, p in published(town)]
        latest += [f"-A DOCKER -i {bridge} -j RETURN" for bridge, _ in reversed(named)]
    dnat = [f"-A DOCKER ! -i {c.network.bridge} -p {p.proto} -m {p.proto} --dport {p.outer} -j DNAT "
            f"--to-destination {family.place(c, p)}" for c, p in published(town)]
    jumps = ["-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
             f"-A OUTPUT ! -d {family.loopback_network} -m addrtype --dst-type LOCAL -j DOCKER"]
    chains = ["PREROUTING ACCEPT", "INPUT ACCEPT", "OUTPUT ACCEPT", "POSTROUTING ACCEPT", "DOCKER -"]
    return table("nat", chains, jumps + latest + dnat)


def docker_accepts(town, family=Four):
    return [f"-A DOCKER -d {family.address(c)}/{family.bits} ! -i {c.network.bridge} -o {c.network.bridge} -p {p.proto} -m {p.proto} "
            f"--dport {p.inner} -j ACCEPT" for c, p in published(town)]


def docker20_filter(town, user, user_chains):
    names = [bridge for bridge, _ in reversed(Four.bridges(town))]
    rules = ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1"]
    for name in names:
        rules += [f"-A FORWARD -o {name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                  f"-A FORWARD -o {name} -j DOCKER",
                  f"-A FORWARD -i {name} ! -o {name} -j ACCEPT", f"-A FORWARD -i {name} -o {name} -j ACCEPT"]
    rules += docker_accepts(town)
    rules += [f"-A DOCKER-ISOLATION-STAGE-1 -i {name} ! -o {name} -j DOCKER-ISOLATION-STAGE-2" for name in names]
    rules += ["-A DOCKER-ISOLATION-STAGE-1 -j RETURN"]
    rules += [f"-A DOCKER-ISOLATION-STAGE-2 -o {name} -j DROP" for name in names]
    rules += ["-A DOCKER-ISOLATION-STAGE-2 -j RETURN", *user, "-A DOCKER-USER -j RETURN"]
    chains = ["INPUT ACCEPT", "FORWARD DROP", "OUTPUT ACCEPT", "DOCKER -", "DOCKER-ISOLATION-STAGE-1 -",
              "DOCKER-ISOLATION-STAGE-2 -", "DOCKER-USER -", *user_chains]
    return table("filter", chains, rules)


def docker20(town, user=(), user_chains=()):
    """Docker 20.10 by iptables-nft."""
    return [(IPTABLES, docker20_filter(town, user, user_chains) + docker_nat(town, True))]


def docker28_family(town, family):
    raw = [f"-A PREROUTING -d {family.address(c)}/{family.bits} ! -i {c.network.bridge} -j DROP" for c in town.containers]
    rules = ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD", "-A DOCKER-FORWARD -j DOCKER-CT",
             "-A DOCKER-FORWARD -j DOCKER-INTERNAL", "-A DOCKER-FORWARD -j DOCKER-BRIDGE"]
    named = family.bridges(town)
    rules += [f"-A DOCKER-FORWARD -i {name} -j ACCEPT" for name, _ in named]
    rules += [f"-A DOCKER-CT -o {name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" for name, _ in named]
    rules += [f"-A DOCKER-BRIDGE -o {name} -j DOCKER" for name, _ in named]
    rules += docker_accepts(town, family)
    rules += [f"-A DOCKER ! -i {name} -o {name} -j DROP" for name, _ in named]
    chains = ["INPUT ACCEPT", f"FORWARD {family.forward}", "OUTPUT ACCEPT", "DOCKER -", "DOCKER-BRIDGE -", "DOCKER-CT -",
              "DOCKER-FORWARD -", "DOCKER-INTERNAL -", "DOCKER-USER -"]
    return (family.restore, table("raw", ["PREROUTING ACCEPT", "OUTPUT ACCEPT"], raw) + table("filter", chains, rules) +
            docker_nat(town, False, family))


def docker28(town):
    """Docker 28 by iptables-nft: it drops direct access to each container in raw."""
    return [docker28_family(town, family) for family in families(town)]


def docker29_bridge(town, name, subnet, family):
    ip = family.table
    accepts = [f'{ip} daddr {family.address(c)} {p.proto} dport {p.inner} counter accept'
               for c, p in published(town) if c.network.bridge == name]
    return [f"chain filter-forward-in__{name} {{", "ct state established,related counter accept",
            f'iifname "{name}" counter accept comment "ICC"', *accepts,
            'counter drop comment "UNPUBLISHED PORT DROP"', "}",
            f"chain filter-forward-out__{name} {{", "ct state established,related counter accept",
            'counter accept comment "OUTGOING"', "}",
            f"chain nat-postrouting-in__{name} {{",
            'fib saddr type local counter masquerade comment "MASQ TO OWN"', "}",
            f"chain nat-postrouting-out__{name} {{",
            f'oifname != "{name}" {ip} saddr {subnet} counter masquerade comment "MASQUERADE"', "}"]


def docker29_family(town, family):
    ip = family.table
    lines = [f"table {ip} docker-bridges {{"]
    for name, subnet in family.bridges(town):
        lines += docker29_bridge(town, name, subnet, family)
    for kind in ("filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out"):
        jumps = ", ".join(f'"{name}" : jump {kind}__{name}' for name, _ in family.bridges(town))
        lines += [f"map {kind}-jumps {{", "type ifname : verdict", f"elements = {{ {jumps} }}", "}"]
    lines += ["chain filter-FORWARD {", "type filter hook forward priority filter; policy accept;",
              "oifname vmap @filter-forward-in-jumps", "iifname vmap @filter-forward-out-jumps", "}"]
    lines += ["chain nat-prerouting-and-output {"]
    lines += [f'iifname != "{c.network.bridge}" {p.proto} dport {p.outer} counter dnat to {family.place(c, p)} comment "DNAT"'
              for c, p in published(town)]
    lines += ["}", "chain nat-OUTPUT {", "type nat hook output priority -100; policy accept;",
              f"{ip} daddr != {family.loopback} fib daddr type local counter jump nat-prerouting-and-output", "}",
              "chain nat-POSTROUTING {", "type nat hook postrouting priority srcnat; policy accept;",
              "iifname vmap @nat-postrouting-out-jumps", "oifname vmap @nat-postrouting-in-jumps", "}",
              "chain nat-PREROUTING {", "type nat hook prerouting priority dstnat; policy accept;",
              "fib daddr type local counter jump nat-prerouting-and-output", "}",
              "chain raw-PREROUTING {", "type filter hook prerouting priority raw; policy accept;"]
    lines += [f'{ip} daddr {family.address(c)} iifname != "{c.network.bridge}" counter drop comment "DROP DIRECT ACCESS"'
              for c in town.containers]
    return (NFT, lines + ["}", "}"])


def docker29(town):
    """Docker 29 by nftables."""
    return [docker29_family(town, family) for family in families(town)]


def docker_user(town):
    """Docker 20.10, and in DOCKER-USER what people write to close it: a rule for each port that is to be open."""
    rules = ["-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]
    rules += [f"-A DOCKER-USER -i lan0 -p {p.proto} -m conntrack --ctorigdstport {p.outer} --ctdir ORIGINAL -j RETURN"
              for _, p in published(town)]
    rules += [f"-A DOCKER-USER -i {network.bridge} -o eth0 -j RETURN" for network in town.networks]
    return docker20(town, rules + ["-A DOCKER-USER -j DROP"])


def ufw_docker(town):
    """Docker 20.10 with rules of the shape that ufw-docker adds; each published port was allowed by a route rule."""
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
    rules = ["-A DOCKER-USER -j ufw-user-forward"]
    rules += [f"-A DOCKER-USER -s {subnet} -j RETURN" for subnet in private]
    rules += ["-A DOCKER-USER -p udp -m udp --sport 53 --dport 1024:65535 -j RETURN"]
    for match in ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "-p udp -m udp --dport 0:32767"):
        rules += [f"-A DOCKER-USER -d {subnet} {match} -j ufw-docker-logging-deny" for subnet in reversed(private)]
    rules += [f"-A ufw-user-forward -d {c.ip4}/32 -p {p.proto} -m {p.proto} --dport {p.inner} -j ACCEPT"
              for c, p in published(town)]
    rules += ["-A ufw-docker-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix \"[UFW DOCKER BLOCK] \"",
              "-A ufw-docker-logging-deny -j DROP"]
    return docker20(town, rules, ["ufw-user-forward -", "ufw-docker-logging-deny -"])


def nat_only(town):
    """No filter: the NAT that such a machine cannot be without, by maps of nftables."""
    lines = ["table ip plain-nat {", "chain out {", "type nat hook postrouting priority srcnat;",
             'oifname "eth0" ip saddr 10.0.0.0/8 masquerade', "}", "chain in {",
             "type nat hook prerouting priority dstnat;"]
    for proto in ("tcp", "udp"):
        to = ", ".join(f"{p.outer} : {c.ip4} . {p.inner}" for c, p in published(town) if p.proto == proto)
        if to:
            lines.append(f'iifname "lan0" fib daddr type local dnat ip addr . port to {proto} dport map {{ {to} }}')
    return [(NFT, [*lines, "}", "}"])]


def nothing(_town):
    return []


def beside_docker(town):
    """What is beside spr: Docker 20.10, and the rule that spr has in DOCKER-USER."""
    return docker20(town, ["-A DOCKER-USER -m mark --mark 0x8000000/0x8000000 -j ACCEPT"])


# name: (in words, rules beside, how spr is there)
FIREWALLS = {
    "none": ("no firewall, no NAT", nothing, None),
    "nat": ("NAT alone", nat_only, None),
    "docker20": ("Docker 20.10 alone", docker20, None),
    "docker28": ("Docker 28 shape", docker28, None),
    "docker29": ("Docker 29 shape (nftables)", docker29, None),
    "docker-user": ("Docker 20.10 + DOCKER-USER default-deny", docker_user, None),
    "ufw-docker": ("Docker 20.10 + ufw-docker shape", ufw_docker, None),
    "spr": ("spr alone", nothing, "write"),
    "spr-fast": ("spr alone, fast path", nothing, "fast"),
    "spr-nat": ("spr + NAT alone", nat_only, "write"),
    "spr-docker20": ("spr + Docker 20.10", beside_docker, "write"),
    "spr-docker20-fast": ("spr + Docker 20.10, fast path", beside_docker, "fast"),
    "spr-docker28": ("spr + Docker 28 shape", docker28, "write"),
    "spr-copies": ("spr + Docker 20.10, rules twice (Linux before 6.9)", beside_docker, "hold"),
}
