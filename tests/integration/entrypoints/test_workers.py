"""`crossdock api --workers N`: processes that share a port, and their parent."""

import os
import re
import signal
from pathlib import Path

import httpx

from tests.integration.entrypoints.api import PATIENCE, becomes, is_alive
from tests.integration.entrypoints.conftest import Start


def test_several_processes_share_a_port_and_one_that_dies_is_replaced(migrated: str, start: Start) -> None:
    api = start(migrated, "--workers", "2")
    assert becomes(api.answers), api.log
    first = api.children
    assert len(first) == 2

    os.kill(first[0], signal.SIGKILL)

    assert becomes(lambda: len(api.children) == 2 and first[0] not in api.children), api.log
    assert first[1] in api.children
    assert api.answers()


def test_all_of_them_end_when_the_parent_is_told_to(migrated: str, start: Start) -> None:
    api = start(migrated, "--workers", "2")
    assert becomes(api.answers), api.log
    children = api.children

    api.parent.send_signal(signal.SIGTERM)

    assert api.parent.wait(PATIENCE) == 0, api.log
    assert not any(map(is_alive, children))


def test_none_of_them_outlives_a_parent_that_was_killed(migrated: str, start: Start) -> None:
    """Else they would keep the port, and answer with yesterday's program."""
    api = start(migrated, "--workers", "2")
    assert becomes(api.answers), api.log
    children = api.children

    api.parent.kill()
    api.parent.wait(PATIENCE)

    assert becomes(lambda: not any(map(is_alive, children)))


def test_the_operators_token_is_the_same_for_all_of_them(migrated: str, start: Start) -> None:
    api = start(migrated, "--workers", "2")
    assert becomes(api.answers), api.log
    token = re.search(r"token=(\S+)", api.log)
    assert token is not None

    answers = [
        httpx.get(f"{api.address}/operator/api/status", headers={"Authorization": f"Bearer {token[1]}"}, timeout=10)
        for _ in range(10)
    ]

    assert {answer.status_code for answer in answers} == {200}


def test_processes_that_cannot_start_end_all_with_their_reason(database_url: str, start: Start) -> None:
    """An empty database: each would say the same again and again."""
    api = start(database_url, "--workers", "2")

    assert api.parent.wait(PATIENCE) == 1
    assert "crossdock migrate" in api.log


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for this signal already, which would end it otherwise."""
    try:
        caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return False
    return caught is not None and bool(int(caught[1], 16) & 1 << number - 1)


def test_debugging_is_switched_on_in_all_processes_at_once_and_off_again(migrated: str, start: Start) -> None:
    """In one that takes the place of another, too."""
    api = start(migrated, "--workers", "2")

    def ready() -> bool:
        pids = [api.parent.pid, *api.children]
        return len(pids) == 3 and all(catches(pid, signal.SIGUSR2) for pid in pids)

    def said(level: str) -> int:
        return api.log.count(f"at least {level} is logged")

    assert becomes(ready), api.log
    api.parent.send_signal(signal.SIGUSR2)
    assert becomes(lambda: said("debug") == 3), api.log

    os.kill(api.children[0], signal.SIGKILL)
    assert becomes(lambda: said("debug") == 4 and ready()), api.log

    api.parent.send_signal(signal.SIGUSR2)
    assert becomes(lambda: said("info") == 3), api.log
    assert becomes(api.answers), api.log


def test_metrics_are_of_all_of_them_whoever_is_asked(migrated: str, start: Start) -> None:
    api = start(migrated, "--workers", "2")
    assert becomes(api.answers), api.log
    for _ in range(40):  # each on a connection of its own: any of them may get it
        httpx.get(f"{api.address}/orders/", timeout=10)

    assert becomes(lambda: _told_by_each(api.address) == {"0", "1"}), api.log
    scrapes = [httpx.get(f"{api.address}/metrics", timeout=10).text for _ in range(6)]

    for text in scrapes:
        assert text.count("crossdock_worker_up{") == 2
        assert _sum(text, 'crossdock_http_requests_total{method="GET",route="/orders/",') == 40


def _told_by_each(address: str) -> set[str]:
    text = httpx.get(f"{address}/metrics", timeout=10).text
    return set(re.findall(r'crossdock_build_info\{[^}]*worker="(\d)"', text))


def _sum(text: str, series: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(series))
