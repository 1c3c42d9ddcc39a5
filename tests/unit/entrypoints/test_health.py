"""What `/readyz` says of a process, and what is written down about it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from entrypoints.cures import cure
from entrypoints.health import (
    AFTER_SECONDS,
    ANSWER_SECONDS,
    FRESH_SECONDS,
    LOOK_SECONDS,
    TOLD_SECONDS,
    Found,
    Health,
    HealthCheck,
)
from ports.errors import Rejected, Unavailable, Unknown
from ports.trouble import Cause, Trouble
from tests.clock import ManualClock
from tests.logged import logging_restored

MINUTE = 60
HOUR = 3600


class Part:
    """In the trouble that a test gives it, or in none."""

    name = "part"

    def __init__(self, trouble: str | None = None) -> None:
        self.trouble = trouble


class Server:
    """Answers, or fails as it is told; counts how often it was asked."""

    def __init__(self, *, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def check(clock: ManualClock) -> HealthCheck:
    return HealthCheck(clock)


@pytest.fixture
def log() -> Iterator[list[MutableMapping[str, Any]]]:
    """The lines that are written."""
    with logging_restored(), capture_logs() as lines:
        yield lines


@asynccontextmanager
async def running(check: HealthCheck) -> AsyncIterator[None]:
    task = asyncio.create_task(check.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def told(check: HealthCheck, name: str = "part") -> tuple[str, str]:
    """Status and cause of one check."""
    found = (await check.check()).checks[name]
    return found["status"], found["cause"]


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_a_process_that_gets_on_is_ready_and_names_no_cause(check: HealthCheck) -> None:
    check.ask("storage", Server().ping, otherwise="unavailable")
    check.watch("part", Part())

    health = await check.check()

    assert health.status == "ready"
    assert set(health.checks) == {"storage", "part", "event_loop"}
    assert {each["cause"] for each in health.checks.values()} == {""}


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (Unavailable("away"), Cause.OUT_OF_REACH),
        (Unavailable("no space is left", cause=Cause.FULL), Cause.FULL),
        (Unknown("perhaps"), Cause.OUT_OF_REACH),
        (Rejected("never"), Cause.REFUSED),
        (ValueError("a secret: 123"), Cause.FAILED),
    ],
    ids=repr,
)
async def test_what_is_asked_and_fails_is_told_with_its_cause(
    check: HealthCheck, failure: Exception, cause: Cause
) -> None:
    check.ask("part", Server(failure=failure).ping, otherwise="unavailable")

    health = await check.check()

    assert health.status == "unavailable"
    assert health.checks["part"]["cause"] == cause
    assert "123" not in str(health)


async def test_a_part_that_is_in_trouble_leaves_the_process_of_use(check: HealthCheck) -> None:
    check.watch("part", Part("the cache is away"))

    health = await check.check()

    assert health.status == "degraded"
    assert health.checks["part"] == {
        "status": "degraded",
        "cause": "out_of_reach",
        "detail": "the cache is away",
        "cure": cure("part", Cause.OUT_OF_REACH),
        "since": "2026-11-23T05:00:00.000000Z",
    }


async def test_a_look_that_fails_is_told_and_ends_neither_the_looking_nor_the_others(
    clock: ManualClock, check: HealthCheck
) -> None:
    """Whatever fault it has: nobody would be told any more whether this process gets on."""

    async def has_a_fault() -> Found:
        raise ValueError("a secret: 123")

    check.add("part", has_a_fault)
    check.watch("cache", cache := Part())
    async with running(check):
        await clock.advance(LOOK_SECONDS)
        cache.trouble = "the cache is away"
        await clock.advance(LOOK_SECONDS)

        health = await check.check()

    assert (health.checks["part"]["status"], health.checks["part"]["cause"]) == ("degraded", "failed")
    assert health.checks["cache"]["status"] == "degraded"
    assert "123" not in str(health)


async def test_what_answers_and_cannot_be_written_to_is_degraded(check: HealthCheck) -> None:
    check.ask("storage", Server().ping, otherwise="unavailable", part=Part(Trouble(Cause.FULL, "the disk is full")))

    assert await told(check, "storage") == ("degraded", "full")


async def test_a_process_none_of_whose_purposes_gets_on_is_not_ready(check: HealthCheck) -> None:
    events, tasks, other = Part("away"), Part(), Part("away")
    events.name, tasks.name, other.name = "events", "tasks", "other"
    check.work(events, is_purpose=True)
    check.work(tasks, is_purpose=True)
    check.work(other)

    half = (await check.check()).status
    tasks.trouble = "away as well"
    none = (await check.check()).status

    assert (half, none) == ("degraded", "unavailable")


async def test_words_of_others_are_cut(check: HealthCheck) -> None:
    check.watch("part", Part("x" * 10_000))

    assert len((await check.check()).checks["part"]["detail"]) < 400


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_says_what_to_do(cause: Cause) -> None:
    assert cure("part", cause).endswith((".", "list`."))


# --- when it looks ----------------------------------------------------------------------------------------------------


async def test_a_server_that_never_answers_holds_up_nobody_for_long() -> None:
    """On the real clock, since it is asyncio that gives up."""
    check = HealthCheck(ManualClock())
    check.ask("part", asyncio.Event().wait, otherwise="unavailable")

    async with asyncio.timeout(ANSWER_SECONDS + 1):
        health = await check.check()

    assert health.checks["part"]["detail"] == "no answer within 2 seconds"


async def test_many_probes_make_one_look(check: HealthCheck) -> None:
    server = Server()
    check.ask("part", server.ping, otherwise="unavailable")

    await asyncio.gather(*(check.check() for _ in range(100)))

    assert server.asked == 1


async def test_while_it_looks_by_itself_probes_ask_nobody(check: HealthCheck, clock: ManualClock) -> None:
    server = Server()
    check.ask("part", server.ping, otherwise="unavailable")

    async with running(check):
        await clock.advance(10 * LOOK_SECONDS)
        for _ in range(100):
            await check.check()

    assert server.asked == 11


async def test_who_waits_for_a_look_when_the_looking_ends_is_answered(check: HealthCheck, clock: ManualClock) -> None:
    check.ask("part", asyncio.Event().wait, otherwise="unavailable")
    async with running(check):
        await clock.settle()
        probe = asyncio.create_task(check.check())
        await clock.settle()

    assert (await probe).status == "unavailable"


async def test_a_look_that_is_old_is_no_answer(check: HealthCheck, clock: ManualClock) -> None:
    """As when the one who looks has hung: a probe looks itself."""
    part = Part()
    check.watch("part", part)
    async with running(check):
        await clock.settle()
        part.trouble = "away"
        clock._elapsed += FRESH_SECONDS + 1

        found = await told(check)

    assert found == ("degraded", "out_of_reach")


async def test_trouble_is_seen_and_passes_within_two_looks(check: HealthCheck, clock: ManualClock) -> None:
    server = Server()
    check.ask("part", server.ping, otherwise="unavailable")
    async with running(check):
        await clock.advance(MINUTE)
        server.failure = Unavailable("away")
        await clock.advance(LOOK_SECONDS)
        away = await told(check)
        server.failure = None
        await clock.advance(LOOK_SECONDS)
        back = await told(check)

    assert (away, back) == (("unavailable", "out_of_reach"), ("ready", ""))


# --- what is written down ---------------------------------------------------------------------------------------------


async def test_a_change_is_one_line_however_long_it_lasts(
    check: HealthCheck, clock: ManualClock, log: list[MutableMapping[str, Any]]
) -> None:
    part = Part()
    check.watch("part", part)
    async with running(check):
        await clock.advance(MINUTE)
        part.trouble = Trouble(Cause.FULL, "the disk is full")
        await clock.advance(MINUTE)
        part.trouble = "it is away"
        await clock.advance(MINUTE)
        part.trouble = None
        await clock.advance(MINUTE)

    assert [(line["log_level"], line["event"], line["check"], line["cause"]) for line in log] == [
        ("warning", "check is in trouble", "part", "full"),
        ("warning", "check is in trouble", "part", "out_of_reach"),
        ("info", "check is well again", "part", "out_of_reach"),
    ]
    assert log[0]["detail"] == "the disk is full"
    assert log[0]["cure"] == cure("part", Cause.FULL)
    assert log[2]["seconds"] == 2 * MINUTE


async def test_a_quiet_hour_writes_nothing(
    check: HealthCheck, clock: ManualClock, log: list[MutableMapping[str, Any]]
) -> None:
    check.ask("storage", Server().ping, otherwise="unavailable")
    check.watch("part", Part())

    async with running(check):
        await clock.advance(HOUR)

    assert log == []


async def test_a_check_with_a_fault_is_told_once_with_where_it_was_raised(
    check: HealthCheck, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def has_a_fault() -> Found:
        raise ValueError("a mistake")

    check.add("part", has_a_fault)
    check.ask("server", Server(failure=ValueError("another")).ping, otherwise="degraded")
    async with running(check):
        await clock.advance(HOUR)

    told_of = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage() for record in told_of] == [
        "the health check part failed",
        "the health check server failed",
    ]


# --- one fault, one cause ---------------------------------------------------------------------------------------------


async def test_what_rests_on_another_check_tells_of_its_cause_and_writes_nothing(
    check: HealthCheck, clock: ManualClock, log: list[MutableMapping[str, Any]]
) -> None:
    storage, stage = Part(), Part()
    check.watch("storage", storage)
    check.watch("handling", stage)
    async with running(check):
        storage.trouble = Trouble(Cause.FULL, "the disk is full")
        stage.trouble = Trouble(Cause.BEHIND, "event 1 waits")
        await clock.advance(MINUTE)
        handling = (await check.check()).checks["handling"]
        storage.trouble = stage.trouble = None
        await clock.advance(MINUTE)

    assert handling["cause"] == "full"
    assert handling["detail"] == "storage is in trouble: event 1 waits"
    assert handling["cure"] == cure("storage", Cause.FULL)
    assert [(line["check"], line["cause"]) for line in log] == [("storage", "full")] * 2


async def test_what_rests_on_a_check_that_was_well_a_moment_ago_is_given_its_time(
    check: HealthCheck, clock: ManualClock, log: list[MutableMapping[str, Any]]
) -> None:
    broker, consumer = Part("away"), Part("away")
    check.watch("event_broker", broker)
    check.watch("consumer", consumer)
    async with running(check):
        await clock.advance(MINUTE)
        broker.trouble = None
        await clock.advance(AFTER_SECONDS - LOOK_SECONDS)
        given_time = [(line["log_level"], line["check"]) for line in log]
        await clock.advance(3 * LOOK_SECONDS)

    assert given_time == [("warning", "event_broker"), ("info", "event_broker")]
    assert [(line["log_level"], line["check"]) for line in log[2:]] == [("warning", "consumer")]


async def test_a_trouble_of_its_own_that_was_told_is_told_to_be_over_whatever_came_between(
    check: HealthCheck, clock: ManualClock, log: list[MutableMapping[str, Any]]
) -> None:
    broker, consumer = Part(), Part(Trouble(Cause.STUCK, "no share"))
    check.watch("event_broker", broker)
    check.watch("consumer", consumer)
    async with running(check):
        await clock.advance(MINUTE)
        broker.trouble = "away"
        await clock.advance(MINUTE)
        broker.trouble = consumer.trouble = None
        await clock.advance(MINUTE)

    assert [(line["log_level"], line["check"]) for line in log] == [
        ("warning", "consumer"),
        ("warning", "event_broker"),
        ("info", "event_broker"),
        ("info", "consumer"),
    ]


async def test_a_queue_that_does_not_answer_explains_nothing_else(check: HealthCheck) -> None:
    """The server answers, and what belongs to other queues goes on: other trouble has another cause."""
    broker, stage = Part(Trouble(Cause.STUCK, "the queue a does not answer")), Part(Trouble(Cause.BEHIND, "1 waits"))
    check.ask("event_broker", Server().ping, otherwise="unavailable", part=broker)
    check.watch("handling", stage)

    assert await told(check, "event_broker") == ("degraded", "stuck")
    assert await told(check, "handling") == ("degraded", "behind")


@pytest.mark.parametrize("stage", ["handling", "retrying"])
async def test_a_stage_that_waits_for_a_reaction_that_hangs_has_its_cause(check: HealthCheck, stage: str) -> None:
    check.watch("reactions", Part(Trouble(Cause.STUCK, "message 1 has not ended")))
    check.watch(stage, Part(Trouble(Cause.BEHIND, "1 waits")))

    assert await told(check, stage) == ("degraded", "stuck")


# --- the event loop ---------------------------------------------------------------------------------------------------


class LateClock(ManualClock):
    """Lets whoever sleeps next wake too late, as an event loop does that something has kept."""

    late = 0.0

    async def sleep(self, seconds: float) -> None:
        late, self.late = self.late, 0.0
        await super().sleep(seconds + late)


async def test_an_event_loop_that_stood_still_is_told_for_a_while() -> None:
    clock, states = LateClock(), list[Health]()
    check = HealthCheck(clock)
    clock.late = 3.2
    async with running(check):
        await clock.advance(LOOK_SECONDS + 3.2)
        states.append(await check.check())
        await clock.advance(TOLD_SECONDS + LOOK_SECONDS)
        states.append(await check.check())

    assert [state.checks["event_loop"]["cause"] for state in states] == ["blocked", ""]
    assert "3.2 s" in states[0].checks["event_loop"]["detail"]
