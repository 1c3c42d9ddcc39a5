"""Whatever is logged while a message or a task is handled can say which one it was."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from domain.model.events import OrderCreated
from domain.model.tasks import SendWelcomeEmail
from ports.log_context import Handled, handled
from ports.persistence import Record
from tests.builders import a_task, a_user, an_id, an_order
from tests.unit.delivery.builders import World, a_batch, created


class Asked:
    """A reaction and a work that note what is being handled, and fail."""

    def __init__(self) -> None:
        self.seen: list[Handled | None] = []

    async def __call__(self, *_: Any) -> None:
        self.seen.append(handled())
        raise ValueError("no")


class Records(logging.Handler):
    """Notes for each line what was being handled."""

    def __init__(self) -> None:
        super().__init__()
        self.about: dict[str, Handled | None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.about[record.getMessage().split(",")[0]] = handled()


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def records() -> Iterator[Records]:
    records, logger = Records(), logging.getLogger("crossdock")
    logger.addHandler(records)
    yield records
    logger.removeHandler(records)


async def test_a_reaction_is_about_its_message_at_first_and_again(world: World, asked: Asked, records: Records) -> None:
    process = await world.process(reactions={OrderCreated: asked})
    message = created(an_order(user=a_user()))
    about = Handled(message.attributes["id"], message.subject, message.topic)

    await process.receive.handle(a_batch(message), first=False)
    await world.clock.advance(2)
    await process.retry.step()

    assert asked.seen == [about, about]
    assert set(records.about.values()) == {about}
    assert len(records.about) == 2
    assert handled() is None


async def test_a_work_is_about_its_task(world: World, asked: Asked, records: Records) -> None:
    process = await world.process(work={SendWelcomeEmail: asked})
    now = world.clock.now()
    task = a_task(
        id=str(an_id()), body=b'{"user_id":"01a2070d-5c23-7264-90cc-ae83321b2d38"}', recorded_at=now, due_at=now
    )
    await world.store.commit([Record(task)])
    about = Handled(task.id, task.subject)

    await process.perform(task)

    assert asked.seen == [about]
    assert set(records.about.values()) == {about}
    assert handled() is None


async def test_a_task_whose_process_ended_is_named(world: World, asked: Asked, records: Records) -> None:
    process = await world.process(work={SendWelcomeEmail: asked})
    now = world.clock.now()
    task = a_task(id=str(an_id()), recorded_at=now, due_at=now).claimed("gone", now + timedelta(seconds=1))
    await world.store.commit([Record(task)])

    await world.clock.advance(5)
    await process.task_relay.step()

    assert set(records.about.values()) == {Handled(task.id, task.subject)}
