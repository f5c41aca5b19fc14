# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of README.md, run as they stand there: compose file, policies, commands, and the lines they print."""

import os
import re
import shlex

import pytest
import yaml

from scene import ROOT, Scene
from spr import Spr

SUBNETS = {"front": "172.18.0.0/16", "back": "172.19.0.0/16"}
PROJECT = "shop"


def blocks():
    """(language, text) of each fenced block of the part with the examples."""
    with open(f"{ROOT}/README.md", encoding="utf-8") as file:
        text = file.read()
    part = text[text.index("## First steps"):text.index("## What it does not do")]
    return re.findall(r"^```(\w+)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


def commands(text):
    """[(command, [lines it prints])]"""
    result = []
    for line in text.splitlines():
        if line.startswith("$ "):
            result.append((line[2:], []))
        else:
            result[-1][1].append(line)
    return result


def compose_up(scene, document):
    """What compose would make of it, with services that answer instead of the images."""
    for name, network in document["networks"].items():
        scene.docker.network(f"{PROJECT}_{name}", [SUBNETS[name]],
                             bridge=network["driver_opts"]["com.docker.network.bridge.name"])
    for name, service in document["services"].items():
        scene.container(f"{PROJECT}-{name}-1", f"{PROJECT}_{service['networks'][0]}", ports=service.get("ports", []),
                        services=["tcp:0.0.0.0:80", "tcp:0.0.0.0:5432"],
                        labels={"com.docker.compose.project": PROJECT, "com.docker.compose.service": name})


@pytest.fixture(scope="module")
def machine():
    with Scene(docker="later") as scene:
        scene.docker.start()
        scene.docker.image("lab", {"/probe": scene.probe, "/bin/busybox": "/bin/busybox"}, [("/bin/sh", "busybox")])
        yield scene


def test_examples(machine, built):
    spr = Spr(machine)
    spr.start()
    ran = 0
    for language, text in blocks():
        if language == "yaml":
            name = os.path.basename(re.match(r"# (\S+)", text)[1])
            with open(f"{machine.folder}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
            if name == "compose.yaml":
                compose_up(machine, yaml.safe_load(text))
                spr.wait_for(lambda status: status["counts"]["containers"] == 2)
                spr.command("up", "--force")
            continue
        for command, printed in commands(text):
            words = [f"{machine.folder}/{word}" if word.endswith(".yaml") else word for word in shlex.split(command)]
            assert words[0] == "spr", command
            done = spr.command(*words[1:], check=False)
            dropped = any(line.startswith("drop:") for line in printed)
            assert done.returncode == (4 if dropped else 0), f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
            for line in printed:
                assert line in done.stdout.splitlines(), f"{command}:\n{done.stdout}"
            ran += 1
    assert ran > 15
    assert machine.docker.cli("ps", "-q").stdout.count("\n") == 2
    spr.command("down")
    spr.stop()
