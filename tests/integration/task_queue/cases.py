"""The cases of the contract, written for Celery: what its worker was brought stands in a file."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.task_queue.celery import CeleryTaskQueue
from ports.task_queue import TaskQueue
from tests.contracts.task_queue import TaskQueueCases
from tests.integration.task_queue.recording_worker import RecordingWorker


class CeleryCases(TaskQueueCases):
    """A subclass has a fixture ``worker``."""

    patience = 60

    @pytest.fixture
    def worker(self) -> RecordingWorker:
        raise NotImplementedError

    @pytest.fixture
    async def queue(self, performed: list[str], worker: RecordingWorker) -> AsyncIterator[TaskQueue]:
        queue = CeleryTaskQueue(worker.broker_url, queue=worker.queue)
        await queue.start()
        await worker.catch_up(queue)
        self.in_use, self.listed = worker, performed
        yield queue
        await queue.stop()

    async def let_perform(self, queue: TaskQueue, performed: Sequence[str], number: int) -> None:  # noqa: ARG002
        async with asyncio.timeout(self.patience):
            while len(self.listed) < number:
                self.listed[:] = self.in_use.ids
                await asyncio.sleep(0.01)
