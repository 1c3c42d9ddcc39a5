"""A queue of RabbitMQ's that does not answer, while the server does, holds up nobody but itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, suppress

import pytest
from pika import ConnectionParameters  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq import publisher, subscription
from adapters.event_broker.rabbitmq.broker import RabbitMqEventBroker
from adapters.event_broker.rabbitmq.connection import Connection
from ports.errors import Unavailable
from ports.event_broker import Subscription
from ports.message import Message, partition_of
from tests.builders import a_message
from tests.integration.event_broker.rabbitmq import Environment, stopped, unanswering
from tests.services import private
from tools.services.rabbitmq import RabbitMQ

GROUP = "ours"
PARTITIONS = 4
PATIENCE = 30.0
SUBJECTS = [f"subject-{number}" for number in range(40)]
DEAD = 0  # the partition whose queue does not answer

Ill = Callable[[RabbitMQ, str], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitMQ]:
    with private(RabbitMQ) as server:
        server.start()
        yield server


@pytest.fixture
async def environment(server: RabbitMQ) -> AsyncIterator[Environment]:
    environment = Environment(server.address, server.management, partitions=PARTITIONS)
    await environment.start()
    yield environment
    await asyncio.to_thread(environment.remove)


@pytest.fixture
async def broker(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RabbitMqEventBroker]:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 2.0)
    monkeypatch.setattr(subscription, "OPEN_SECONDS", 2.0)
    monkeypatch.setattr(subscription, "AGAIN_SECONDS", 0.5)
    async with environment.started() as broker:
        await broker.declare(["t"], GROUP)
        yield broker


def a_batch() -> list[Message]:
    """One message of each subject; those of the dead partition first and last, and as many as in a batch of a relay."""
    ordered = sorted(SUBJECTS, key=lambda subject: partition_of(subject, PARTITIONS) != DEAD)
    return [a_message(topic="t", subject=subject) for subject in (*ordered, *reversed(ordered))]


def is_dead(message: Message) -> bool:
    assert message.subject is not None
    return partition_of(message.subject, PARTITIONS) == DEAD


class Story:
    """What a member receives and acknowledges, all the while."""

    def __init__(self, member: Subscription) -> None:
        self.seen: list[Message] = []
        self._member = member
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            with suppress(Unavailable):
                batches = await self._member.receive(limit=100)
                self.seen += [message for batch in batches for message in batch.messages]
                await self._member.acknowledge(batches)

    async def has(self, messages: list[Message]) -> None:
        async with asyncio.timeout(PATIENCE):
            while any(message not in self.seen for message in messages):  # noqa: ASYNC110 - a server has to bring it
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._member.close()


async def confirmed(broker: RabbitMqEventBroker, messages: list[Message]) -> list[Message]:
    """Publish, and those again that were not taken, until all are; as the relay does."""
    waiting = messages
    async with asyncio.timeout(PATIENCE):
        while waiting:
            outcomes = await broker.publish(waiting)
            waiting = [message for message, outcome in zip(waiting, outcomes, strict=True) if outcome is not None]
            await asyncio.sleep(0.05)
    return messages


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():  # noqa: ASYNC110 - a server has to answer, or not to
            await asyncio.sleep(0.02)


async def test_an_attempt_to_connect_that_is_given_up_leaves_no_error_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that takes connections and says nothing, as one that is frozen."""
    ended = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError):
            await Connection.open(ConnectionParameters("127.0.0.1", port), seconds=0.1)
        for _ in range(10):
            await asyncio.sleep(0)
        ended.set()

    assert "AssertionError" not in caplog.text


@pytest.mark.parametrize("known", [True, False], ids=["used_before", "never_used"])
async def test_what_is_published_to_other_queues_is_confirmed(
    environment: Environment, server: RabbitMQ, broker: RabbitMqEventBroker, *, known: bool
) -> None:
    """One batch may wait for what does not answer, and then none does; all are taken when it answers again."""
    queue = f"{environment.prefix}{GROUP}.t.{DEAD}"
    if known:
        await confirmed(broker, a_batch())
    batch = a_batch()

    with unanswering(server, queue):
        await broker.publish(batch)
        others = await confirmed(broker, [message for message in batch if not is_dead(message)])
        began = time.monotonic()
        outcomes = await broker.publish(batch)
        seconds = time.monotonic() - began

        assert [outcome is None for outcome in outcomes] == [message in others for message in batch]
        assert seconds < 1

    await confirmed(broker, batch)


async def test_a_queue_that_takes_nothing_is_named_until_it_answers(
    environment: Environment, server: RabbitMQ, broker: RabbitMqEventBroker
) -> None:
    queue = f"{environment.prefix}{GROUP}.t.{DEAD}"
    dead = next(message for message in a_batch() if is_dead(message))

    with unanswering(server, queue):
        await broker.publish([dead])
        (outcome,) = await broker.publish([dead])
        await until(lambda: broker.trouble is not None)

        assert isinstance(outcome, Unavailable)
        assert f"'t.{DEAD}'" in str(outcome)
        assert broker.trouble == f"the queue {queue} does not answer; the others go on"

    await confirmed(broker, [dead])
    assert broker.trouble is None


@pytest.mark.parametrize("ill", [unanswering, stopped])
async def test_what_other_queues_have_is_received(
    environment: Environment, server: RabbitMQ, broker: RabbitMqEventBroker, ill: Ill
) -> None:
    """A member begins while one of its queues does not answer, and receives from that too once it does."""
    queue = f"{environment.prefix}{GROUP}.t.{DEAD}"
    before = await confirmed(broker, a_batch())

    with ill(server, queue):
        story = Story(broker.subscribe(["t"], GROUP))
        await story.has([message for message in before if not is_dead(message)])
        await until(lambda: broker.trouble is not None)
        since = [message for message in a_batch() if not is_dead(message)]
        await confirmed(broker, since)
        await story.has(since)

        assert broker.trouble == f"the queue {queue} does not answer; the others go on"

    await story.has(before)
    await until(lambda: broker.trouble is None)
    await story.end()
    first_seen = list(dict.fromkeys(message.attributes["id"] for message in story.seen))
    for subject in SUBJECTS:
        ours = [message.attributes["id"] for message in (*before, *since) if message.subject == subject]
        assert [id_ for id_ in first_seen if id_ in ours] == ours
