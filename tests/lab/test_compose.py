# SPDX-License-Identifier: GPL-2.0-or-later
"""spr plan --compose: what it says of a file before anything is started is what packets meet once it is."""

import json
import os

import pytest

from attacks import connect
from scene import HOST4

FILE = """
x-common: &common
  networks: [default]
services:
  web:
    <<: *common
    image: lab
    ports: ["${WEB_PORT:-18080}:80", "127.0.0.1:18081:80"]
  api:
    image: lab
    container_name: the-api
    networks: [default, back]
    ports:
      - {target: 80, published: "18082", protocol: tcp, mode: host}
  db:
    image: lab
    networks: {back: }
    ports: ["18083:80"]
  lone:
    image: lab
    network_mode: host
  off:
    image: lab
    profiles: [debug]
networks:
  back: {internal: true}
"""

POLICY = {
    "containers": [{"name": "shop/web", "policies": ["dns"], "publish": [{"port": "18080/tcp", "to": ["upstream"]}]},
                   {"name": "the-api", "policies": ["wan"], "publish": [{"port": "18082/tcp", "to": ["rule:trusted"]}]}],
}
WHO = {"neighbour": "upstream", "internet": "internet", "trusted": "rule:trusted", "iot": "rule:iot", "bob": "bob"}
DIALLED = {"neighbour": HOST4, "internet": HOST4, "trusted": "192.168.77.1", "iot": "192.168.77.1", "bob": "172.30.2.1"}


@pytest.fixture
def folder(stage, built):
    path = f"{stage.scene.folder}/Shop"
    os.makedirs(path, exist_ok=True)
    with open(f"{path}/docker-compose.yml", "w", encoding="ascii") as file:
        file.write(FILE)
    yield path
    stage.document = None


def plan(stage, folder, *words, **options):
    done = stage.spr.command("plan", "--compose", f"{folder}/docker-compose.yml", *words, check=False, **options)
    return done


def answer(stage, folder):
    done = plan(stage, folder, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    return result, {service["service"]: service for service in result["services"]}


def start(scene):
    """What compose would do, by the engine's API."""
    docker = scene.docker
    project = {"com.docker.compose.project": "shop"}
    docker.network("shop_default", ["172.29.1.0/24"], bridge="br-shop", labels=project)
    docker.network("shop_back", ["172.29.2.0/24"], internal=True, bridge="br-shopback", labels=project)
    for name, service, network, ports in (
            ("shop-web-1", "web", "shop_default", ["0.0.0.0:18080:80", "127.0.0.1:18081:80"]),
            ("the-api", "api", "shop_default", ["0.0.0.0:18082:80"]),
            ("shop-db-1", "db", "shop_back", ["0.0.0.0:18083:80"])):
        docker.create(name, network, ["/probe", "serve", name, "tcp:0.0.0.0:80"], ports=ports,
                      labels={**project, "com.docker.compose.service": service})
        if name == "the-api":
            docker.call("POST", "/networks/shop_back/connect", {"Container": name})
        docker.start_container(name)


def stop(scene):
    for name in ("shop-web-1", "the-api", "shop-db-1"):
        scene.docker.remove(name)
    for name in ("shop_default", "shop_back"):
        scene.docker.call("DELETE", f"/networks/{name}")


def test_said_and_done(stage, folder):
    """Who is named reaches the port once the containers run, and nobody else does; the line that opens it, opens it."""
    stage.closed(POLICY)
    result, services = answer(stage, folder)
    assert result["project"] == "shop" and set(services) == {"web", "api", "db", "lone"}
    assert services["web"]["container"] == "shop-web-1" and services["api"]["container"] == "the-api"
    assert [network["name"] for network in services["api"]["networks"]] == ["shop_default", "shop_back"]
    assert services["db"]["networks"] == [{"name": "shop_back", "internal": True}]
    assert services["web"]["policies"] == ["dns"] and services["db"]["policies"] == []  # an internal network gives none
    ports = {port["port"]: port for service in services.values() for port in service["ports"]}
    assert set(ports) == {"18080/tcp", "18081/tcp", "18082/tcp", "18083/tcp"}
    assert ports["18080/tcp"]["to"] == ["upstream"] and ports["18082/tcp"]["to"] == ["rule:trusted"]
    assert ports["18081/tcp"]["host_only"] and ports["18083/tcp"]["to"] == []
    assert any("network_mode host" in note for note in result["notes"]) and any("profiles" in note for note in result["notes"])
    assert not [network for network in stage.spr.call("list", what="networks")["rows"] if network["name"].startswith("shop")]
    start(stage.scene)
    try:
        stage.spr.wait_for(lambda status: status["counts"]["networks"] >= 7)
        for number, owner in (("18080", "shop-web-1"), ("18082", "the-api")):
            for source, who in WHO.items():
                run = connect(source, DIALLED[source], int(number), owner)
                named = who in ports[f"{number}/tcp"]["to"]
                assert (stage.is_open if named else stage.is_closed)(run), (number, source)
        _, again = answer(stage, folder)
        assert again["web"]["ports"][0]["to"] == ["upstream"]  # the same of what runs already
        line = ports["18080/tcp"]["line"].split()
        assert line[:2] == ["spr", "publish"]
        stage.spr.command(*line[1:])
        for source in ("internet", "trusted"):
            assert stage.is_open(connect(source, DIALLED[source], 18080, "shop-web-1"))
        assert stage.is_closed(connect("bob", DIALLED["bob"], 18080, "shop-web-1"))
        _, opened = answer(stage, folder)
        assert {"internet", "lan", "rule:trusted"} <= set(opened["web"]["ports"][0]["to"]) | {"lan"}
    finally:
        stop(stage.scene)


def test_for_a_person(stage, folder):
    """Text, variables of the environment and of .env, and the project by an option."""
    stage.closed(POLICY)
    said = plan(stage, folder).stdout
    assert "project shop\n" in said and "18080/tcp on every address -> 80/tcp: upstream\n" in said
    assert "18081/tcp on 127.0.0.1 -> 80/tcp: this machine only\n" in said
    assert "    spr publish container:shop/db --port 18083/tcp --to lan,internet\n" in said
    with open(f"{folder}/.env", "w", encoding="ascii") as file:
        file.write("WEB_PORT=19000\n")
    try:
        assert "19000/tcp on every address -> 80/tcp: nobody but this machine\n" in plan(stage, folder).stdout
        assert "19001/tcp on" in plan(stage, folder, environment={"WEB_PORT": "19001"}).stdout
    finally:
        os.unlink(f"{folder}/.env")
    assert "project other\n" in plan(stage, folder, "-p", "other").stdout


def test_same_port_of_two_addresses(stage, folder):
    """Each has its own: what reaches the one is not said of the other."""
    stage.closed(POLICY)
    with open(f"{folder}/docker-compose.yml", "w", encoding="ascii") as file:
        file.write(f'services: {{web: {{image: lab, ports: ["127.0.0.1:18080:80", "{HOST4}:18080:80", "18080:80/udp"]}}}}\n')
    _, services = answer(stage, folder)
    ports = [(port["bind"], port["port"], port["to"]) for port in services["web"]["ports"]]
    assert ports == [("127.0.0.1", "18080/tcp", []), (HOST4, "18080/tcp", ["upstream"]), ("", "18080/udp", [])]


def test_what_is_wrong_is_refused(stage, folder):
    stage.closed()
    with open(f"{folder}/docker-compose.yml", "w", encoding="ascii") as file:
        file.write("services:\n  a:\n    ports: ['80:http']\n")
    done = plan(stage, folder)
    assert done.returncode == 1 and "docker-compose.yml:3:13: '80:http' is no published port" in done.stderr
    done = stage.spr.command("plan", "--compose", "/nonexistent/x.yml", check=False)
    assert done.returncode == 1 and "/nonexistent/x.yml" in done.stderr
