# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets and connections out of any namespace, and whether they arrived."""

import contextlib
import ipaddress
import os
import select
import socket
import struct
import subprocess
import time

ETH_P_ALL = 3
SLOW = int(os.environ.get("SPR_SLOW", "1"))
CLOSED_WAIT = 0.4 * SLOW  # seconds after which nothing means closed
OPEN_WAIT = 3.0 * SLOW  # seconds within which something that is open must answer, one lost SYN included


def token():
    """Bytes that no other packet of this run carries."""
    return b"spr-lab-" + os.urandom(8).hex().encode()


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sockaddr(space, address, port):
    if "%" in address:
        address, interface = address.split("%")
        with space.entered():
            return (address, port, 0, socket.if_nametoindex(interface))
    return (address, port)


def _receive(sock, until, size=65535):
    left = until - time.monotonic()
    if left <= 0 or not select.select([sock], [], [], left)[0]:
        return None
    try:
        return sock.recv(size)
    except OSError:
        return None


def tcp_open(space, address, port, wait, source=None, uid=0):
    """A connection whose server has said its banner: (socket, banner), or None. docker-proxy accepts without a server
    behind it, so that a finished handshake proves nothing."""
    until = time.monotonic() + wait
    sock = space.socket(family_of(address), socket.SOCK_STREAM, uid=uid)
    sock.setblocking(False)
    try:
        if source:
            sock.bind((source, 0))
        sock.connect_ex(sockaddr(space, address, port))
        banner = _receive(sock, until)
    except OSError:
        banner = None
    if not banner:
        sock.close()
        return None
    return sock, banner.decode(errors="replace").strip()


def tcp(space, address, port, wait, source=None, uid=0):
    """The banner of the TCP service, or None."""
    opened = tcp_open(space, address, port, wait, source, uid)
    if not opened:
        return None
    opened[0].close()
    return opened[1]


def talk(sock, wait):
    """Whether a flow carries a message there and back now."""
    word = token()
    until = time.monotonic() + wait
    try:
        sock.send(word)
    except OSError:
        return False
    heard = b""
    while word not in heard:
        piece = _receive(sock, until)
        if not piece:
            return False
        heard += piece
    return True


def udp_socket(space, address, port, source_port=0, uid=0):
    sock = space.socket(family_of(address), socket.SOCK_DGRAM, uid=uid)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind(("", source_port))
    sock.connect(sockaddr(space, address, port))
    return sock


def udp(space, address, port, wait, source_port=0, uid=0):
    """What the UDP service answered, or None; asked anew every 0.3 s."""
    word = token()
    end = time.monotonic() + wait
    try:
        with udp_socket(space, address, port, source_port, uid) as sock:
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    sock.send(word)
                answer = _receive(sock, min(end, time.monotonic() + 0.3))
                if answer and word in answer:
                    return answer.decode(errors="replace")
    except OSError:
        pass
    return None


def udp_say(space, address, port, word, source_port=0, source=None):
    """One datagram, no answer expected."""
    with space.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        sock.bind((source or "", source_port))
        with contextlib.suppress(OSError):
            sock.sendto(word, sockaddr(space, address, port))


def raw_say(space, address, protocol, word):
    """One packet of an IP protocol."""
    with space.socket(family_of(address), socket.SOCK_RAW, protocol) as sock:
        with contextlib.suppress(OSError):
            sock.sendto(word, sockaddr(space, address, 0))


def _checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(space, address, wait, size=0, dont_fragment=False):
    """Whether an ICMP echo is answered; `size` bytes beside the token."""
    six = ":" in address
    word = token() + b"x" * size
    number = struct.unpack("!H", os.urandom(2))[0]
    head = struct.pack("!BBHHH", 128 if six else 8, 0, 0, number, 1)
    if not six:
        head = struct.pack("!BBHHH", 8, 0, _checksum(head + word), number, 1)
    end = time.monotonic() + wait
    with space.socket(family_of(address), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as sock:
        if dont_fragment and not six:
            sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                sock.sendto(head + word, sockaddr(space, address, 0))
            again = min(end, time.monotonic() + 0.5)
            while True:
                answer = _receive(sock, again)
                if answer is None:
                    break
                body = answer if six else answer[(answer[0] & 15) * 4:]
                if body[0] == (129 if six else 0) and word in body:
                    return True
    return False


def dns_question(name, kind=1):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return os.urandom(2) + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def dns(space, server, name, wait, stream=False):
    """The address that the DNS server gives for a name, or None."""
    question = dns_question(name)
    end = time.monotonic() + wait
    if stream:
        with space.socket(family_of(server), socket.SOCK_STREAM) as sock:
            sock.settimeout(wait)
            try:
                sock.connect((server, 53))
                sock.send(struct.pack("!H", len(question)) + question)
                answer = sock.recv(4096)[2:]
            except OSError:
                return None
            return _dns_address(question, answer)
    with udp_socket(space, server, 53) as sock:
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                sock.send(question)
            answer = _receive(sock, min(end, time.monotonic() + 1))
            if answer:
                return _dns_address(question, answer)
    return None


def _dns_address(question, answer):
    if len(answer) < 16 or answer[:2] != question[:2] or answer[3] & 15 or not answer[7]:
        return None
    return str(ipaddress.IPv4Address(answer[-4:]))


def send_frame(space, interface, frame):
    with space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((interface, 0))
        sock.send(bytes(frame))


class Watch:
    """Listens at the far end: saw(word) tells whether a packet that carries the bytes came by."""

    def __init__(self, space, interface=None):
        self.sock = space.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if interface:
            self.sock.bind((interface, ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def packet(self, word, wait):
        """The frame that carries the bytes, or None."""
        until = time.monotonic() + wait
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            frame = self.sock.recv(65535)
            if word in frame:
                return frame

    def saw(self, word, wait):
        return self.packet(word, wait) is not None


class Ear:
    """A UDP socket of a host service, to tell whether a one-way packet came through to it."""

    def __init__(self, space, address, port, group=None, interface=None):
        self.sock = space.socket(family_of(address), socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if group:
            with space.entered():
                index = socket.if_nametoindex(interface)
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                 socket.inet_aton(group) + socket.inet_aton("0.0.0.0") + struct.pack("@i", index))
        self.sock.bind((address, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def heard(self, word, wait):
        until = time.monotonic() + wait
        while True:
            message = _receive(self.sock, until)
            if message is None:
                return False
            if word in message:
                return True


class Flood:
    """Forbidden (or granted) UDP packets in a tight loop, while something else happens."""

    def __init__(self, scene, source, address, port, usec=50):
        self.process = getattr(scene, source).start(scene.probe, "flood", address, str(port), str(usec),
                                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def stop(self):
        """How many were sent, those that the sender's own kernel refused not counted."""
        out, _ = self.process.communicate()
        sent, failed = out.split()
        return int(sent) - int(failed)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def udp_arrived(space):
    """How many UDP packets a namespace's stack has been given, with or without somebody listening, both families."""
    counters = {}
    with space.entered(), open("/proc/thread-self/net/snmp", encoding="ascii") as four, \
            open("/proc/thread-self/net/snmp6", encoding="ascii") as six:
        names, values = [line.split()[1:] for line in four if line.startswith("Udp:")]
        counters.update(zip(names, map(int, values)))
        counters.update((name, int(value)) for name, value in map(str.split, six) if name.startswith("Udp6"))
    wanted = ("InDatagrams", "NoPorts", "InErrors", "Udp6InDatagrams", "Udp6NoPorts", "Udp6InErrors")
    return sum(counters[name] for name in wanted)
