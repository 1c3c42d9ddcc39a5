"""Servers as child processes, which never outlive the block that they were started in."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
CROSSDOCK = Path(sys.executable).with_name("crossdock")
START_SECONDS = 30.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.002
# Nothing that is set on this machine may change what is measured.
_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")


class DidNotStart(Exception):
    """A server did not answer in time; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A server that answers on ``port`` of 127.0.0.1."""

    pid: int
    port: int
    seconds_to_first_answer: float
    resident_mib: float  # after the first answer; zero where this system does not say

    def cpu_seconds(self) -> float:
        """What all its threads have used so far; zero where this system does not say."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def post(self, path: str, value: object, *, token: str = "") -> Any:
        """The JSON of a 201."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return self._asked("POST", path, 201, json.dumps(value), headers)

    def get(self, path: str) -> Any:
        """The JSON of a 200."""
        return self._asked("GET", path, 200)

    def read(self, path: str) -> str:
        """The text of a 200."""
        return self._text("GET", path, 200, None, {})

    def _asked(
        self, method: str, path: str, status: int, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        return json.loads(self._text(method, path, status, body, headers or {}))

    def _text(self, method: str, path: str, status: int, body: str | None, headers: Mapping[str, str]) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != status:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:500]}")
        return text


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of this repository."""
    return [sys.executable, "-m", name, *arguments]


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works and answers nobody."""

    pid: int
    seconds_to_ready: float
    resident_mib: float  # of it and all its children


@contextmanager
def serving(
    command: Sequence[str], *, folder: Path, port: int, environ: Mapping[str, str] | None = None, path: str = "/livez"
) -> Iterator[Child]:
    """Run a server until the end of the block; it is up when ``path`` answers 200.

    It works in ``folder``, where its log goes too.
    """
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        began = time.perf_counter()
        process = _spawned(command, folder, environ, out)
        try:
            _until_answered(process, port, path, began + START_SECONDS, log)
            yield Child(process.pid, port, time.perf_counter() - began, _resident_mib(process.pid))
        finally:
            _end(process)


@contextmanager
def working(
    command: Sequence[str], *, folder: Path, ready: bytes, environ: Mapping[str, str] | None = None
) -> Iterator[Worker]:
    """Run a process until the end of the block; it is at work when its log has ``ready``."""
    log = folder / f"{free_port()}.log"
    with log.open("wb") as out:
        began = time.perf_counter()
        process = _spawned(command, folder, environ, out)
        try:
            _until_said(process, ready, began + START_SECONDS, log)
            taken = time.perf_counter() - began
            yield Worker(process.pid, taken, sum(map(_resident_mib, family(process.pid))))
        finally:
            _end(process)


def family(pid: int) -> list[int]:
    """This process and all that descend from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        children = []
    return [pid, *(each for child in children for each in family(int(child)))]


def _spawned(
    command: Sequence[str], folder: Path, environ: Mapping[str, str] | None, out: IO[bytes]
) -> "subprocess.Popen[bytes]":
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    of_here = {} if command[0] == str(CROSSDOCK) else {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env={**kept, **of_here, **(environ or {})}, stdout=out, stderr=out)


def _until_said(process: "subprocess.Popen[bytes]", ready: bytes, deadline: float, log: Path) -> None:
    while ready not in log.read_bytes():
        if process.poll() is not None or time.perf_counter() > deadline:
            raise DidNotStart(f"{process.args!r} did not say {ready!r}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(POLL_SECONDS)


def _until_answered(process: "subprocess.Popen[bytes]", port: int, path: str, deadline: float, log: Path) -> None:
    while True:
        try:
            if _status(port, path) == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        if process.poll() is not None or time.perf_counter() > deadline:
            raise DidNotStart(f"{process.args!r} did not answer {path}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(POLL_SECONDS)


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def _resident_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
