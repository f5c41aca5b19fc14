# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in the calls of a running sprd: the other end of tests/fault/faults.c, which see."""

import errno
import mmap
import struct

from spr import BUILD

LIBRARY = f"{BUILD}/tests/fault/faults.so"
KINDS = ["none", "send", "receive", "lost", "cut", "memory", "socket", "accept", "sync"]
FOREVER = 1 << 30
OTHERS = {"DIE": 9999, "SLOW": 9998}
SIZE = 4 * (4 + len(KINDS) + 2)


class Faults:
    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(SIZE)
            self.map = mmap.mmap(file.fileno(), SIZE)

    def prefix(self):
        """Before sprd's own command line."""
        return ["env", f"LD_PRELOAD={LIBRARY}", f"SPR_FAULTS={self.path}"]

    def _put(self, at, *numbers):
        struct.pack_into(f"={len(numbers)}I", self.map, 4 * at, *numbers)

    def arm(self, kind, code="ENOBUFS", at=1, times=1):
        """The call number `at` of this kind fails, and `times` - 1 that follow; at 0 only counts. With the code DIE the
        process ends there, as by SIGKILL; with SLOW the call takes a second."""
        self._put(2, 0)
        self._put(4, *[0] * (len(KINDS) + 1))
        self._put(0, KINDS.index(kind), OTHERS.get(code) or getattr(errno, code))
        self._put(3, times)
        self._put(2, at)

    def disarm(self):
        """How many calls failed."""
        self._put(2, 0)
        return struct.unpack_from("=I", self.map, SIZE - 8)[0]

    def calls(self, kind):
        return struct.unpack_from("=I", self.map, 4 * (4 + KINDS.index(kind)))[0]

    def clock(self, seconds):
        """The clock of the process jumps: it is wrong by so much from now on."""
        struct.pack_into("=i", self.map, SIZE - 4, seconds)
