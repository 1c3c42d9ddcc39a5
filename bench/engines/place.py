"""Where it happens: a folder, the servers, and the parts that every cell needs."""

import itertools
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.children import CROSSDOCK, ROOT, Child, Worker, free_port, module, serving, working
from bench.engines.databases import Databases
from bench.load import Answers, Load, send
from tools.services import addresses

PEERS_PYTHON = ROOT / ".venv" / "peers" / "bin" / "python"  # the peers' libraries are none of the product's
PEER_SECONDS = 90.0


@dataclass
class Place:
    """The folder and the length of what is measured, and the standing servers."""

    folder: Path
    seconds: float
    warm_up: float
    with_debezium: bool = False
    scale: float = 1.0
    databases: Databases = field(default_factory=lambda: Databases(addresses.POSTGRESQL))
    kafka: str = addresses.KAFKA
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def count(self, usual: int) -> int:
        """How many, on the scale that was asked for."""
        return max(1, round(usual * self.scale))

    def on(self, databases: Databases) -> "Place":
        """The same with another server of databases."""
        return replace(self, databases=databases)

    def new_folder(self) -> Path:
        folder = self.folder / f"turn-{next(self.numbers)}"
        folder.mkdir()
        return folder

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """A database with our schema and nothing in it."""
        with self.databases.fresh() as url:
            self.run_ours("migrate", ours(url))
            yield url

    def run_ours(self, command: str, environ: Mapping[str, str]) -> None:
        """A command of ours that ends by itself."""
        folder = self.new_folder()
        with (folder / "log").open("wb") as log:
            done = subprocess.run(
                [str(CROSSDOCK), command],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", **environ},
                stdout=log,
                stderr=log,
                check=False,
                timeout=PEER_SECONDS,
            )
        if done.returncode:
            raise RuntimeError(
                f"crossdock {command} ended with {done.returncode}: {(folder / 'log').read_text()[-2000:]}"
            )

    def api(self, environ: Mapping[str, str]) -> AbstractContextManager[Child]:
        """Ours, answering requests."""
        port = free_port()
        environ = {**environ, "PORT": str(port)}
        return serving([str(CROSSDOCK), "api"], folder=self.new_folder(), port=port, environ=environ)

    def api_watched(self, environ: Mapping[str, str], lag: Path) -> AbstractContextManager[Child]:
        """The same, which also writes down how late its event loop is."""
        port = free_port()
        environ = {**environ, "PORT": str(port)}
        command = module("bench.engines.watched", str(lag))
        return serving(command, folder=self.new_folder(), port=port, environ=environ)

    def role(self, name: str, environ: Mapping[str, str]) -> AbstractContextManager[Worker]:
        """Ours, at work besides the requests."""
        ready = b" ready." if name == "worker" else b" works."
        return working([str(CROSSDOCK), name], folder=self.new_folder(), ready=ready, environ=environ)

    def peer_api(self, name: str, **options: Any) -> AbstractContextManager[Child]:
        """A hand-written application of ``peers``."""
        port = free_port()
        return serving(_peer(name, port=port, **options), folder=self.new_folder(), port=port)

    def peer_worker(self, name: str, **options: Any) -> AbstractContextManager[Worker]:
        """A hand-written process of ``peers`` that says when it is ready."""
        return working(_peer(name, **options), folder=self.new_folder(), ready=b"ready\n")

    def worker_without_work(self, environ: Mapping[str, str], processes: str) -> AbstractContextManager[Worker]:
        """Our Celery worker, whose tasks have no work to do."""
        command = module("bench.engines.idle_worker", processes)
        return working(command, folder=self.new_folder(), ready=b" ready", environ=environ)

    def peer_celery(self, redis: str, processes: str) -> AbstractContextManager[Worker]:
        """Celery's own worker with the peers' task."""
        celery = [str(PEERS_PYTHON), "-m", "celery", "--app", "bench.engines.peers.celery_app"]
        return working(
            [*celery, "worker", "--loglevel", "warning", "--concurrency", processes],
            folder=self.new_folder(),
            ready=b" ready",
            environ={"CELERY_BROKER_URL": redis},
        )

    def peer_run(self, name: str, **options: Any) -> dict[str, float]:
        """What a peer that measures itself has to say."""
        folder = self.new_folder()
        with (folder / "log").open("wb") as log:
            done = subprocess.run(
                _peer(name, **options),
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
                timeout=PEER_SECONDS,
            )
        if done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}: {(folder / 'log').read_text()[-2000:]}")
        said: dict[str, float] = json.loads(done.stdout)
        return said

    def load(
        self, child: Child, requests: Sequence[bytes], *, seconds: float | None = None, last_answers: float = 30.0
    ) -> Answers:
        """As many requests as it answers, over 32 connections."""
        texts = [request.decode("latin-1") for request in requests]
        return send(
            Load(
                child.port,
                texts,
                status=201,
                seconds=seconds or self.seconds,
                warm_up=self.warm_up,
                keep_ids=True,
                last_answers=last_answers,
            )
        )


def ours(database: str, **more: str) -> dict[str, str]:
    """Settings of ours; everything that is not said is as it comes."""
    return {"DATABASE_URL": database, **more}


def on_kafka(database: str, prefix: str, servers: str = addresses.KAFKA, **more: str) -> dict[str, str]:
    """The same with Kafka, on topics of its own."""
    return ours(
        database,
        CROSSDOCK_EVENT_BROKER="kafka",
        KAFKA_BOOTSTRAP_SERVERS=servers,
        CROSSDOCK_TOPIC_PREFIX=prefix,
        **more,
    )


def new_prefix() -> str:
    """Before the names of topics that nobody else has."""
    return f"bench-{uuid4().hex[:10]}-"


def _peer(name: str, **options: Any) -> list[str]:
    return [str(PEERS_PYTHON), "-m", f"bench.engines.peers.{name}", json.dumps(options, default=str)]
