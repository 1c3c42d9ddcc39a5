"""A broker that goes away at the very moment of an acknowledgement.

Nothing is lost by an acknowledgement that does not arrive: the message comes again, and its row tells that it is done.
But a worker that waited for it would take no other message for ever.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import redis.exceptions
from kombu.asynchronous.hub import Hub

from adapters.task_queue import celery
from adapters.task_queue.celery import CeleryTaskQueue
from tests.builders import a_task
from tests.integration.task_queue.cutting_proxy import CuttingProxy
from tests.integration.task_queue.recording_worker import RecordingWorker, forget_queue

PATIENCE_SECONDS = 40


def a_queue_name() -> str:
    return f"test-{secrets.token_hex(4)}.crossdock.tasks"


def in_an_empty_database(redis_url: str) -> str:
    """Where nobody has left messages that a worker restores, by the same command as an acknowledgement."""
    url = urlsplit(redis_url)._replace(path="/7").geturl()
    with redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.mark.parametrize(
    ("broker", "ack", "words"),
    [
        ("redis_url", b"HDEL", "Couldn't ack"),
        ("rabbitmq_url", b"\x00\x3c\x00\x50", "Connection to broker lost"),
    ],
    ids=["redis", "rabbitmq"],
)
async def test_a_worker_whose_acknowledgement_does_not_arrive_goes_on(
    broker: str, ack: bytes, words: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    broker_url = request.getfixturevalue(broker)
    if broker == "redis_url":
        broker_url = await asyncio.to_thread(in_an_empty_database, broker_url)
    name = a_queue_name()
    queue = CeleryTaskQueue(broker_url, queue=name)
    await queue.start()
    tasks = [a_task() for _ in range(5)]
    try:
        async with CuttingProxy(broker_url, ack) as proxy, asyncio.timeout(PATIENCE_SECONDS):
            with RecordingWorker(proxy.url, name, tmp_path) as worker:
                await queue.enqueue(tasks[:1])
                while words not in worker.log:  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.02)
                proxy.is_cutting = False

                await queue.enqueue(tasks[1:])

                while not {task.id for task in tasks} <= set(worker.ids):  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0.02)
    finally:
        await queue.stop()
        await asyncio.to_thread(forget_queue, broker_url, name)


def test_who_is_brought_nothing_though_something_waits_connects_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The net below it, whatever the reason."""
    monkeypatch.setattr(celery, "_NOTHING_CAME_SECONDS", 0.05)
    queue = a_queue_name()
    app = CeleryTaskQueue(redis_url, queue=queue).worker_app(lambda _: None)
    hub: Any = Hub()  # type: ignore[no-untyped-call]
    with app.connection_for_read() as connection:
        try:
            connection.transport.register_with_event_loop(connection.connection, hub)
            hub.propagate_errors = connection.connection_errors
            channel = connection.default_channel
            channel.basic_qos(0, 1, False)
            consumer = app.amqp.TaskConsumer(connection)
            consumer.on_message = lambda _: None  # keeps it for ever
            consumer.consume()
            for _ in range(2):
                app.send_task("whatever", ignore_result=True, connection=connection)

            with pytest.raises(redis.exceptions.ConnectionError, match="nothing came"):
                hub.run_forever()
        finally:
            hub.close()
            channel.queue_delete(queue)
