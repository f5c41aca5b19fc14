# SPDX-License-Identifier: GPL-2.0-or-later
"""
Tables, and the document they are written to. A part of the bench has a section of its own between two marks, so that a
run of some parts leaves the others' figures, with the date and machine they were measured on.
"""

import os
import platform
import re
import statistics
import time

HEAD = """# Figures

Written by `make bench`; each section says when, where and with which options. Ratios are of the same run, against what
was measured next to it: absolute times are of that machine, with whatever else it did, and are for orientation only.
"""


class Table:
    """`columns` and `rows` are words; the first column is what the row is about."""

    def __init__(self, title, columns, rows, text=""):
        self.title, self.columns, self.rows, self.text = title, columns, rows, text

    def markdown(self):
        lines = [f"### {self.title}", ""]
        if self.text:
            lines += [self.text, ""]
        lines += ["| " + " | ".join(self.columns) + " |", "| --- |" + " ---: |" * (len(self.columns) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"


def processor():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return f"{found.group(1) if found else platform.machine()}, {os.cpu_count()} processors"


def section(name, title, text, options, tables):
    about = (f"{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {processor()}, load "
             f"{os.getloadavg()[0]:.1f}; options: {options}.")
    body = "\n".join(table.markdown() for table in tables)
    return f"<!-- {name} -->\n## {title}\n\n{about}\n\n{text.strip()}\n\n{body}<!-- end {name} -->\n"


def write(path, name, new):
    """Puts a section in the place of the one of the same name, or behind the others."""
    old = HEAD
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            old = file.read()
    mark = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- end {re.escape(name)} -->\n", re.DOTALL)
    text = mark.sub(lambda _: new, old) if mark.search(old) else f"{old.rstrip()}\n\n{new}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def spread(values, form="{:.2f}"):
    """The median, and the quarters below and above it."""
    ordered = sorted(values)
    quarters = ordered[len(ordered) // 4], ordered[len(ordered) * 3 // 4]
    low, high = (form.format(value) for value in quarters)
    return f"{form.format(statistics.median(ordered))} ({low}–{high})"
