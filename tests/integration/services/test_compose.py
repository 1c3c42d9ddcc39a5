"""`compose.yaml` and the native servers are one set: the same addresses, the same certificates, the same settings."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from entrypoints.roles import Role, check
from entrypoints.settings import Settings
from tools.services.addresses import PORTS, SHIFT
from tools.services.kafka import CLUSTER, SCRAM_USER
from tools.services.server import Server
from tools.services.standing import KINDS

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
NOT_PUBLISHED = {"controller", "epmd", "nodes"}  # nobody outside a container has business there


def _published() -> dict[str, set[tuple[str, int]]]:
    """For each service what it publishes, as address and port."""
    found: dict[str, set[tuple[str, int]]] = defaultdict(set)
    service = ""
    for line in COMPOSE.splitlines():
        if name := re.fullmatch(r"  ([a-z]+):", line):
            service = name[1]
        elif port := re.fullmatch(r'      - "([\d.]*):?(\d+):\d+"', line):
            found[service].add((port[1], int(port[2])))
    return found


@pytest.mark.skipif(SHIFT != 0, reason="the ports of containers are fixed")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_container_has_the_ports_of_the_native_server_on_loopback(kind: type[Server]) -> None:
    wanted = {("127.0.0.1", port) for use, port in PORTS[kind.name].items() if use not in NOT_PUBLISHED}

    assert _published()[kind.name] == wanted


def test_nothing_is_published_beyond_loopback() -> None:
    ports = COMPOSE.count("    ports:\n")
    published = _published()

    assert len(published) == ports, "each list of ports was understood"
    assert {address for each in published.values() for address, _ in each} == {"127.0.0.1"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_server_has_a_profile_and_a_health_check(kind: type[Server]) -> None:
    services = COMPOSE.partition("\nservices:\n")[2].partition("\nconfigs:\n")[0]
    [block] = re.findall(rf"^  {kind.name}:\n((?:    .*\n|\n)+)", services, re.MULTILINE)

    assert re.search(rf"profiles: \[{kind.name}\b", block)
    assert "healthcheck:" in block
    assert re.search(r"image: \S+:\d", block), "its version is pinned"


def test_kafka_is_formatted_alike() -> None:
    assert f"--cluster-id {CLUSTER} " in COMPOSE
    assert f"--add-scram '{SCRAM_USER}'" in COMPOSE


def test_each_file_that_is_mounted_is_there() -> None:
    mounted = re.findall(r"- (\./tools/\S+?):", COMPOSE)

    assert mounted
    assert [file for file in mounted if not (ROOT / file).is_file()] == []


def test_the_containers_of_the_service_have_settings_that_it_takes() -> None:
    block = COMPOSE.partition("x-app: &app")[2].partition("  depends_on:")[0].partition("  environment:\n")[2]
    environ = dict(re.findall(r"^    ([A-Z_]+): (\S+)$", block, re.MULTILINE))

    settings = Settings.load(environ, None)

    for role in (Role.API, Role.RELAY, Role.CONSUMER, Role.WORKER):
        check(role, settings)
