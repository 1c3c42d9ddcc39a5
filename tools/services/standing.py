"""The standing servers: one of each kind, on the ports of `addresses`, for everybody who develops or tests."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from tools.services import docker, folders
from tools.services.addresses import CERTIFICATES, FOLDER, PORTS
from tools.services.certificates import make_certificates
from tools.services.failures import Failure
from tools.services.greenmail import GreenMail
from tools.services.kafka import Kafka
from tools.services.locks import Users, alone_in
from tools.services.memcached import Memcached
from tools.services.packages import install, may_install
from tools.services.ports import HOST
from tools.services.postgresql import PostgreSQL
from tools.services.programs import program
from tools.services.prometheus import Prometheus
from tools.services.rabbitmq import RabbitMQ
from tools.services.redis import Redis
from tools.services.server import Server

KINDS: Final[tuple[type[Server], ...]] = (PostgreSQL, Kafka, RabbitMQ, Redis, Memcached, GreenMail)
BESIDE: Final[tuple[type[Server], ...]] = (Prometheus,)  # what tests start for themselves is installed with the others
SERVERS: Final = {kind.name: kind(FOLDER / kind.name, PORTS[kind.name], CERTIFICATES) for kind in KINDS}

GRACE: Final = 3.0  # its data are not kept, so there is little to wait for

_users = Users(FOLDER / "runs")
Result = TypeVar("Result")

_printing = threading.Lock()


def up(names: Sequence[str]) -> dict[str, Failure]:
    """Start what does not answer yet, to stay until `down`. What could not be started, and why."""
    with _alone():
        for name in names:
            _of_a_run(name).unlink(missing_ok=True)
            if SERVERS[name].answers():
                _say(name, f"answers already on {HOST}:{SERVERS[name].port}")
        return _start(names)


def down(names: Sequence[str]) -> None:
    """Stop what was started here, and remove its data."""
    if not FOLDER.exists():
        for name in names:
            _say(name, "is not running")
        return
    with _alone():
        _in_parallel(names, _end)
        _tidy()


@contextmanager
def lent(names: Sequence[str]) -> Iterator[dict[str, Failure]]:
    """The servers as long as somebody needs them: those that had to be started for it are stopped by the last to leave.

    Gives what could not be started, and why.
    """
    with _alone():
        absent = [name for name in names if not SERVERS[name].answers()]
        ticket = _users.enter()
        try:
            failures = _start(absent)
        finally:  # also when it is broken off
            for name in absent:
                if SERVERS[name].folder.exists():
                    _of_a_run(name).touch()
    try:
        yield failures
    finally:
        with _alone():
            if _users.leave(ticket):
                _in_parallel([name for name in SERVERS if _of_a_run(name).exists()], _end_quietly)
                _tidy()


def state(name: str) -> str:
    """One line on a server."""
    server = SERVERS[name]
    if not server.answers():
        return "frozen or not ready" if server.running else "down"
    way = f"process {server.pid}" if server.running else "in Docker" if _in_docker(name).exists() else "not from here"
    return f"up on {HOST}:{server.port}, {way}"


def _start(names: Sequence[str]) -> dict[str, Failure]:
    """Start those that do not answer, all at the same time."""
    absent = [name for name in names if not SERVERS[name].answers()]
    if not absent:
        return {}
    in_docker = docker.engine_answers()
    if failed := _install(absent):  # also where Docker runs them: private servers are native
        return dict.fromkeys(absent, failed)
    folders.make(CERTIFICATES)  # in Docker too: what its root puts into a folder of ours we may remove
    if program("openssl"):  # else it is a container's work
        make_certificates(CERTIFICATES)
    try:
        outcomes = _in_parallel(absent, _begin_in_docker if in_docker else _begin)
    except BaseException:  # Ctrl-C, or another order to end: what has begun shall not stay half made
        for name in absent:
            SERVERS[name].kill()
        raise
    return {name: failure for name, failure in zip(absent, outcomes, strict=True) if failure}


def _install(names: Sequence[str]) -> Failure | None:
    kinds = [*(type(SERVERS[name]) for name in names), *BESIDE]
    packages = sorted({package for kind in kinds for package in kind.missing()})
    if not packages or not may_install():
        return None  # each server says by itself what it lacks
    _say("installing", " ".join(packages))
    try:
        install(packages)
    except Failure as failure:
        _say("installing", f"failed: {failure}")
        return failure
    return None


def _begin(name: str) -> Failure | None:
    return _timed(name, SERVERS[name].start)


def _begin_in_docker(name: str) -> Failure | None:
    folders.make(SERVERS[name].folder)
    _in_docker(name).touch()
    return _timed(name, lambda: docker.start(name))


def _timed(name: str, start: Callable[[], None]) -> Failure | None:
    _say(name, "starting…")
    begun = time.monotonic()
    try:
        start()
    except Failure as failure:
        _say(name, str(failure))
        return failure
    _say(name, f"ready in {time.monotonic() - begun:.1f} s on {HOST}:{SERVERS[name].port}")
    return None


def _end(name: str) -> None:
    ours = SERVERS[name].folder.exists()
    _end_quietly(name)
    _say(name, "stopped" if ours else "was not started from here" if SERVERS[name].answers() else "is not running")


def _end_quietly(name: str) -> None:
    if _in_docker(name).exists():
        docker.stop(name)
    server = SERVERS[name]
    server.stop(GRACE)
    server.remove()


def _tidy() -> None:
    """When no server is left, nothing is."""
    if not any(server.folder.exists() for server in SERVERS.values()):
        folders.remove(FOLDER)
        if docker.engine_answers():
            docker.tidy()


def _in_parallel(names: Sequence[str], do: Callable[[str], Result]) -> list[Result]:
    with ThreadPoolExecutor(max_workers=len(SERVERS)) as threads:
        return list(threads.map(do, names))


def _alone() -> AbstractContextManager[None]:
    return alone_in(FOLDER, lambda: _say("waiting", "for another who starts or stops servers"))


def _of_a_run(name: str) -> Path:
    return SERVERS[name].folder / "of-a-run"


def _in_docker(name: str) -> Path:
    return SERVERS[name].folder / "in-docker"


def _say(name: str, what: str) -> None:
    with _printing:
        print(f"{name:<11} {what}", flush=True)
