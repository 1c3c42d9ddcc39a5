"""A worker of Celery that writes down what it is brought, in the order it came."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from kombu.connection import Connection

from adapters.task_queue.celery import CeleryTaskQueue
from tests.builders import a_task

ROOT: Final = Path(__file__).parents[3]
START_SECONDS: Final = 60.0
_BROKER, _QUEUE, _FILE = "RECORDING_BROKER", "RECORDING_QUEUE", "RECORDING_FILE"


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    return CeleryTaskQueue(os.environ[_BROKER], queue=os.environ[_QUEUE]).worker_app(_record)


def _record(ids: Sequence[tuple[str, int]]) -> None:
    lines = "".join(f"{task_id} {token}\n" for task_id, token in ids)
    with Path(os.environ[_FILE]).open("a") as file:
        file.write(f"{lines}\n")  # an empty line after each message


def forget_queue(broker_url: str, queue: str) -> None:
    """Leave no queue behind on a broker that others use as well."""
    with Connection(broker_url, connect_timeout=5) as connection:  # type: ignore[no-untyped-call]
        connection.default_channel.queue_delete(queue)


class RecordingWorker:
    """The process, on one queue of one broker, from the start of a test module to its end."""

    def __init__(self, broker_url: str, queue: str, folder: Path) -> None:
        self.broker_url, self.queue = broker_url, queue
        self._file = folder / "recorded"
        self._log = folder / "log"
        self._before = 0
        self._old: set[str] = set()  # a broker that was killed may bring again what it had brought before

    def __enter__(self) -> Self:
        self._file.touch()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", __name__, "worker", "--pool", "solo"),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
                ],
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                    _BROKER: self.broker_url,
                    _QUEUE: self.queue,
                    _FILE: str(self._file),
                },
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    @property
    def ids(self) -> list[str]:
        """Of what was performed since it was last caught up with."""
        return [task_id for message in self.messages for task_id in message]

    @property
    def messages(self) -> list[list[str]]:
        """The same, together as they were brought."""
        groups = [self._ids(group) for group in self._file.read_text()[self._before :].split("\n\n")]
        return [group for group in groups if group and not self._old.intersection(group)]

    @staticmethod
    def _ids(text: str) -> list[str]:
        return [line.split()[0] for line in text.splitlines() if line]

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text()

    async def catch_up(self, queue: CeleryTaskQueue) -> None:
        """Return when everything from before is performed, and forget it: it takes one message after the other."""
        marker = a_task()
        async with asyncio.timeout(START_SECONDS):
            while list(await queue.enqueue([marker])) != [None]:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)
            while marker.id not in self.ids:
                assert self._process.poll() is None, self.log
                await asyncio.sleep(0.02)
        recorded = self._file.read_text()
        self._before = len(recorded)
        self._old.update(self._ids(recorded))
