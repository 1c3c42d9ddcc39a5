"""A task queue whose handing over is traced."""

from collections.abc import Sequence

from opentelemetry.trace import INVALID_SPAN, SpanKind

from adapters.tracing.opentelemetry.spans import Spans, fail
from ports.deliveries import Delivery
from ports.event_broker import Outcome
from ports.task_queue import TaskQueue


class TracedTaskQueue(TaskQueue):
    """Each task that is handed over gets a span below what recorded it. It is performed below that as well.

    What a queue carries is the id of a row, and the row carries the trace: so it goes on whatever the queue forgets.
    """

    def __init__(self, queue: TaskQueue, spans: Spans, *, system: str) -> None:
        self._queue = queue
        self._spans = spans
        self._system = system

    async def start(self) -> None:
        await self._queue.start()

    async def stop(self) -> None:
        await self._queue.stop()

    def room(self) -> int:
        return self._queue.room()

    async def ping(self) -> None:
        await self._queue.ping()

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        spans = [
            self._spans.begin(f"send {task.name}", SpanKind.PRODUCER, self._attributes(task), below=task.trace)
            if self._spans.tells(task.trace)
            else INVALID_SPAN
            for task in tasks
        ]
        try:
            outcomes = await self._queue.enqueue(tasks)
            for span, outcome in zip(spans, outcomes, strict=True):
                if outcome is not None:
                    fail(span, outcome)
        except BaseException as error:
            for span in spans:
                fail(span, error)
            raise
        finally:
            for span in spans:
                span.end()
        return outcomes

    def _attributes(self, task: Delivery) -> dict[str, str | int]:
        return {
            "messaging.system": self._system,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": task.name,
            "messaging.message.id": task.id,
        }
