"""`crossdock api --workers N`: processes that share a port, and their parent."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
NOBODY = "127.0.0.1:1"  # a port that nobody listens on: answering needs no broker

Start = Callable[..., "Api"]


class Api:
    """The processes, told of by what they print."""

    def __init__(self, url: str, folder: Path, *arguments: str, **environ: str) -> None:
        self._log = folder / "api.log"
        settings = {
            "DATABASE_URL": url,
            "CROSSDOCK_EVENT_BROKER": "kafka",
            "KAFKA_BOOTSTRAP_SERVERS": NOBODY,
            "CROSSDOCK_WEATHER": "sample",
            "CROSSDOCK_LOG_FORMAT": "console",
            "PORT": "0",
        }
        with self._log.open("wb") as log:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.cli", "api", *arguments],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **settings, **environ},
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """Everything that was printed."""
        return self._log.read_text()

    @property
    def children(self) -> list[int]:
        """The processes that answer, as the system knows them."""
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    @property
    def address(self) -> str:
        """Where they answer."""
        found = re.search(r"answers at (http://\S+)", self.log)
        return found[1] if found else "http://127.0.0.1:1"

    def answers(self) -> bool:
        """Whether any of them does."""
        try:
            return httpx.get(f"{self.address}/livez", timeout=1).is_success
        except httpx.HTTPError:
            return False


def becomes(look: Callable[[], bool]) -> bool:
    """Whether it becomes true before patience ends."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if look():
            return True
        time.sleep(0.05)
    return False


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def migrated(database_url: str) -> str:
    migrate = [sys.executable, "-m", "entrypoints.cli", "migrate"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "DATABASE_URL": database_url}
    subprocess.run(migrate, env=environ, check=True, capture_output=True, timeout=PATIENCE)
    return database_url


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Api] = []

    def begin(url: str, *arguments: str, **environ: str) -> Api:
        started.append(Api(url, tmp_path, *arguments, **environ))
        return started[-1]

    yield begin
    for api in started:
        for pid in api.children:
            os.kill(pid, signal.SIGKILL)
        api.parent.kill()
        api.parent.wait()


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
