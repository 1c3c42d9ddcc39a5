"""All parts together: quick, honest and within bounds, whatever the provider does.

Answers are fresh here for 100 seconds and may be given for 300 more.
"""

import asyncio
import logging

import pytest

from adapters.cache.memory import MemoryCache
from adapters.outside.recalling import TRIES_MOST
from adapters.outside.resilient import Resilient
from ports.errors import Rejected, Unavailable
from ports.outside import BreakerState, Outcome, OutsideCounts, Recall
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Said, SaidCodec, Scripted

AWAY = Unavailable("away")


@pytest.fixture
def cache(clock: ManualClock) -> MemoryCache:
    return MemoryCache(clock)


@pytest.fixture
def ask(clock: ManualClock) -> Scripted:
    return Scripted(clock)


@pytest.fixture
def words(ask: Scripted, cache: MemoryCache, clock: ManualClock, counts: OutsideCounts) -> Resilient[str, Said]:
    return resilient({"one": ask}, cache, clock, counts)


def resilient(
    asks: dict[str, Scripted], cache: MemoryCache, clock: ManualClock, counts: OutsideCounts, *, stale: float = 300
) -> Resilient[str, Said]:
    return Resilient(
        asks,
        SaidCodec(),
        api="words",
        cache=cache,
        clock=clock,
        counts=counts,
        fresh_seconds=100,
        stale_seconds=stale,
        deadline_seconds=8,
        attempts=3,
    )


async def at_once(words: Resilient[str, Said], question: str = "hour") -> Said:
    """The answer, of which it is seen that nobody waited for it."""
    asking = words(question)
    with pytest.raises(StopIteration) as ended:
        asking.send(None)
    said: Said = ended.value.value
    return said


# Fresh answers, fetched ahead


async def test_what_is_hot_is_answered_without_waiting_and_without_a_task(
    words: Resilient[str, Said], clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(79)

    answer = await at_once(words)

    assert not answer.stale
    assert len(asyncio.all_tasks()) == 1


async def test_what_is_asked_for_often_is_fetched_anew_before_it_is_old(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock, counts: OutsideCounts
) -> None:
    """Nobody ever waits, although the provider takes two seconds."""
    await words("hour")
    ask.seconds = 2

    for _ in range(1000):
        await clock.advance(1)
        answer = await at_once(words)
        assert not answer.stale
        assert (clock.now() - answer.asked_at).total_seconds() < 84

    assert 10 <= len(ask.calls) <= 13
    assert counts.recalls == {("words", Recall.MISS): 1, ("words", Recall.FRESH): 1000}


async def test_a_thousand_who_come_late_in_its_freshness_make_one_call(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(90)
    ask.seconds = 1

    answers = [await at_once(words) for _ in range(1000)]
    await clock.advance(1)

    assert not any(answer.stale for answer in answers)
    assert len(ask.calls) == 2


async def test_another_process_that_has_just_fetched_it_spares_us_the_call(
    words: Resilient[str, Said], ask: Scripted, cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    other = Scripted(clock)
    await words("hour")
    await clock.advance(90)
    await at_once(words)
    await clock.settle()

    await resilient({"one": other}, cache, clock, counts)("hour")
    await clock.settle()

    assert len(ask.calls) == 2
    assert other.calls == []


async def test_a_failed_fetch_ahead_is_not_tried_again_with_each_request(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(90)
    ask.always = Rejected("no")

    for _ in range(100):
        assert not (await at_once(words)).stale
        await clock.advance(0.01)

    assert len(ask.calls) == 2


# Stale answers while the provider is down


async def test_an_old_answer_is_given_when_the_provider_is_down(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock, counts: OutsideCounts
) -> None:
    first = await words("hour")
    ask.always = AWAY
    await clock.advance(399)

    answer = await clock.run(words("hour"))

    assert answer == Said("hour", first.asked_at, stale=True)
    assert counts.recalls["words", Recall.STALE] == 1


async def test_past_its_time_there_is_no_old_answer(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    ask.always = AWAY
    await clock.advance(400)

    with pytest.raises(Unavailable):
        await clock.run(words("hour"))


async def test_without_any_time_for_it_there_is_no_stale_answer(
    ask: Scripted, cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    words = resilient({"one": ask}, cache, clock, counts, stale=0)
    await words("hour")
    ask.always = AWAY
    await clock.advance(100)

    with pytest.raises(Unavailable):
        await clock.run(words("hour"))


async def test_a_provider_that_answers_in_time_is_waited_for(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(100)
    ask.seconds = 0.9

    answer = await clock.run(words("hour"))

    assert not answer.stale
    assert answer.asked_at.timestamp() == clock.now().timestamp() - 0.9


async def test_one_that_hangs_is_waited_for_by_nobody_longer_than_a_second(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(100)
    ask.seconds = 3600
    first = asyncio.create_task(words("hour"))
    await clock.advance(0.6)
    second = asyncio.create_task(words("hour"))
    await clock.advance(0.4)
    assert first.result().stale
    assert second.result().stale

    answers = []
    for _ in range(7000):
        answers.append(await at_once(words))
        await clock.advance(0.001)

    assert all(answer.stale for answer in answers)


async def test_what_comes_after_all_is_remembered(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(100)
    ask.seconds = 3
    await clock.run(words("hour"))

    await clock.advance(2)

    assert not (await at_once(words)).stale
    assert len(ask.calls) == 2


async def test_after_a_failed_try_stale_answers_are_as_quick_as_fresh_ones(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(100)
    ask.always = Rejected("no")
    await clock.run(words("hour"))

    for _ in range(100):
        assert (await at_once(words)).stale

    assert len(ask.calls) == 2


async def test_answers_of_no_use_give_the_old_one_too_and_are_told_to_the_operator_once(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await words("hour")
    await clock.advance(100)
    ask.always = Rejected("not JSON")

    answers = []
    for _ in range(10):
        answers.append(await words("hour"))
        await clock.advance(3)
    with pytest.raises(Rejected):
        await words("minute")

    assert all(answer.stale for answer in answers)
    assert len(ask.calls) == 12
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "one gives answers of no use: not JSON")
    ]
    assert words.trouble is not None
    assert "one gives answers of no use since" in words.trouble


async def test_what_ceased_to_exist_is_not_hidden_behind_an_old_answer(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await words("hour")
    await clock.advance(100)
    ask.errors.append(NoSuchWord())

    for _ in range(2):
        with pytest.raises(NoSuchWord):
            await words("hour")

    assert len(ask.calls) == 2


async def test_a_mistake_of_ours_is_not_hidden_either(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await words("hour")
    await clock.advance(100)
    ask.errors.append(KeyError("a bug"))

    with caplog.at_level(logging.ERROR), pytest.raises(KeyError):
        await words("hour")

    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_the_open_breaker_gives_stale_answers_to_all_without_asking(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    questions = [f"hour {number}" for number in range(50)]
    for question in questions:
        await words(question)
    await clock.advance(100)
    ask.always = AWAY
    for question in questions[:10]:
        await clock.run(words(question))
    before = len(ask.calls)
    await words(questions[10])

    answers = [await at_once(words, question) for question in questions for _ in range(10)]

    assert all(answer.stale for answer in answers)
    assert len(ask.calls) <= before + 1
    assert words.trouble is not None
    assert "one does not answer" in words.trouble


@pytest.mark.parametrize("hang", [0, 5, 3600])
async def test_fresh_answers_are_back_ten_seconds_after_the_faults_end(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock, hang: float
) -> None:
    """Whatever the faults were, with somebody asking ten times a second."""
    await words("hour")
    await clock.advance(100)
    ask.always = AWAY
    ask.seconds = hang
    for _ in range(300):
        asking = asyncio.create_task(words("hour"))
        await clock.advance(0.1)
    ask.always = None
    ask.seconds = 0

    for _ in range(100):
        asking = asyncio.create_task(words("hour"))
        await clock.advance(0.1)
        if asking.done() and not asking.result().stale:
            break

    assert not asking.result().stale
    await clock.advance(2)
    assert words.trouble is None


async def test_the_provider_is_asked_now_and_then_while_it_is_down(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    """A minute of outage costs a probe every two seconds or more, however many ask."""
    await words("hour")
    await clock.advance(100)
    ask.always = AWAY

    for _ in range(600):
        asyncio.create_task(words("hour"))  # noqa: RUF006 - it ends with the clock
        await clock.advance(0.1)

    assert 20 <= len(ask.calls) <= 50


# A cache that is away, or asked by too many at once


class Narrow(MemoryCache):
    """Has one line: whoever finds it taken is told nothing, as is everybody when it is cut."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.cut = False
        self.asked = 0
        self._taken = False

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        if self._taken or self.cut:
            return None
        self._taken = True
        try:
            await asyncio.sleep(0)
            return await super().get(key)
        finally:
            self._taken = False


@pytest.fixture
def narrow(clock: ManualClock) -> Narrow:
    return Narrow(clock)


@pytest.fixture
def over_narrow(ask: Scripted, narrow: Narrow, clock: ManualClock, counts: OutsideCounts) -> Resilient[str, Said]:
    return resilient({"one": ask}, narrow, clock, counts)


@pytest.mark.parametrize("error", [AWAY, Rejected("no")])
async def test_the_old_answer_is_given_when_cache_and_provider_are_both_away(
    ask: Scripted, narrow: Narrow, clock: ManualClock, counts: OutsideCounts, error: Exception
) -> None:
    words = resilient({"one": ask}, narrow, clock, counts)
    first = await words("hour")
    narrow.cut = True
    ask.always = error

    for seconds in (50, 50, 290):
        await clock.advance(seconds)
        assert await clock.run(words("hour")) == Said("hour", first.asked_at, stale=True)

    assert counts.recalls == {("words", Recall.MISS): 1, ("words", Recall.STALE): 3}


async def test_a_fresh_one_is_fetched_when_only_the_cache_is_away(
    over_narrow: Resilient[str, Said], narrow: Narrow, clock: ManualClock, counts: OutsideCounts
) -> None:
    await over_narrow("hour")
    narrow.cut = True
    await clock.advance(50)

    answer = await over_narrow("hour")

    assert not answer.stale
    assert answer.asked_at == clock.now()
    assert counts.recalls == {("words", Recall.MISS): 2}


async def test_past_its_time_it_is_not_given_without_the_cache_either(
    over_narrow: Resilient[str, Said], narrow: Narrow, ask: Scripted, clock: ManualClock
) -> None:
    await over_narrow("hour")
    narrow.cut = True
    ask.always = AWAY
    await clock.advance(400)

    with pytest.raises(Unavailable):
        await clock.run(over_narrow("hour"))


async def test_what_ceased_to_exist_is_not_given_without_the_cache_either(
    over_narrow: Resilient[str, Said], narrow: Narrow, ask: Scripted, clock: ManualClock
) -> None:
    await over_narrow("hour")
    await clock.advance(100)
    ask.errors.append(NoSuchWord())
    with pytest.raises(NoSuchWord):
        await over_narrow("hour")
    narrow.cut = True
    ask.always = AWAY

    with pytest.raises(Unavailable):
        await clock.run(over_narrow("hour"))


async def test_a_thousand_at_once_get_the_old_answer_over_one_line(
    over_narrow: Resilient[str, Said], narrow: Narrow, ask: Scripted, clock: ManualClock
) -> None:
    await over_narrow("hour")
    await clock.advance(100)
    ask.always = AWAY
    narrow.asked = 0

    callers = [asyncio.create_task(over_narrow("hour")) for _ in range(1000)]
    await clock.advance(8)

    assert all(caller.result().stale for caller in callers)
    assert narrow.asked == 2  # for all who ask, and once more before the provider is asked


# Bounds


async def test_tries_in_the_background_are_bounded_and_what_is_beyond_is_stale_at_once(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    questions = [f"hour {number}" for number in range(TRIES_MOST + 50)]
    for question in questions:
        await words(question)
    await clock.advance(100)
    ask.seconds = 0.5

    askers = [asyncio.create_task(words(question)) for question in questions]
    await clock.settle()
    at_once = [asker for asker in askers if asker.done()]
    await clock.advance(0.5)

    assert len(at_once) == 50
    assert all(asker.result().stale is (asker in at_once) for asker in askers)
    assert len(ask.calls) == len(questions) + TRIES_MOST


async def test_what_was_tried_long_ago_is_forgotten(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.outside.recalling._RESTS_MOST", 10)
    for number in range(50):
        await words(f"hour {number}")
    await clock.advance(100)
    ask.always = Rejected("no")

    for number in range(50):
        assert (await words(f"hour {number}")).stale

    assert len(words._recalling._rests) == 10


async def test_nothing_is_left_behind_by_what_is_over(words: Resilient[str, Said], clock: ManualClock) -> None:
    await words("hour")
    for _ in range(5):
        await clock.advance(90)
        await words("hour")
        await clock.settle()

    assert words._recalling._tries == {}
    assert words._flights._flights == {}
    assert clock.sleepers == 0


async def test_stopping_ends_all_that_goes_on_in_the_background(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    for question in ("hour", "day"):
        await words(question)
    await clock.advance(100)
    ask.seconds = 3600
    waiting = asyncio.create_task(words("hour"))
    cold = asyncio.create_task(words("week"))
    await clock.settle()

    await words.stop()
    await clock.settle()

    assert waiting.result().stale
    assert isinstance(cold.exception(), Unavailable)
    assert (await words("day")).stale  # from memory, without a try
    assert clock.sleepers == 0
    assert len(asyncio.all_tasks()) == 1


# One deadline, several providers


async def test_the_total_deadline_holds_for_all_providers_together(
    cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    asks = {name: Scripted(clock, seconds=3600) for name in ("one", "two", "three")}

    with pytest.raises(Unavailable):
        await clock.run(resilient(asks, cache, clock, counts)("hour"))

    assert clock.monotonic() == pytest.approx(8)
    assert [len(ask.calls) for ask in asks.values()] == [1, 1, 1]


async def test_the_second_answers_at_once_while_the_breaker_of_the_first_is_open(
    cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    first, second = Scripted(clock), Scripted(clock, name=" of two")
    first.always = AWAY
    words = resilient({"one": first, "two": second}, cache, clock, counts)
    for number in range(10):
        await clock.run(words(f"hour {number}"))
    assert counts.breakers == {"one": BreakerState.OPEN, "two": BreakerState.CLOSED}
    before = clock.monotonic()

    answer = await words("day")

    assert answer.words == "day of two"
    assert clock.monotonic() == before
    assert counts.calls["one", Outcome.BREAKER_OPEN] >= 1


async def test_a_first_that_hangs_costs_nobody_a_moment_once_its_breaker_is_open(
    cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    """Who happens to ask when it is to be seen whether it is back, is answered by the second like everybody else."""
    first, second = Scripted(clock, seconds=3600), Scripted(clock, name=" of two")
    words = resilient({"one": first, "two": second}, cache, clock, counts)
    for number in range(5):
        await clock.run(words(f"hour {number}"))
    assert counts.breakers == {"one": BreakerState.OPEN, "two": BreakerState.CLOSED}
    before = len(first.calls)

    for number in range(60):
        assert (await words(f"day {number}")).words.endswith(" of two")
        await clock.advance(1)

    assert 5 <= len(first.calls) - before <= 7, "one after the other, each until its deadline"
    first.seconds = 0
    await clock.advance(10)
    await words("week")
    await clock.settle()
    assert counts.breakers == {"one": BreakerState.CLOSED, "two": BreakerState.CLOSED}
    await words.stop()
    assert clock.sleepers == 0


async def test_an_old_answer_is_given_at_once_while_it_is_seen_whether_the_only_one_is_back(
    words: Resilient[str, Said], ask: Scripted, clock: ManualClock, counts: OutsideCounts
) -> None:
    for number in range(20):
        await words(f"hour {number}")
    await clock.advance(100)
    ask.seconds = 3600
    for number in range(5):
        asyncio.create_task(words(f"hour {number}"))  # noqa: RUF006 - it ends with the clock
    await clock.advance(8)
    assert counts.breakers["one"] is BreakerState.OPEN

    for number in range(5, 20):
        answer = await at_once(words, f"hour {number}")
        assert answer.stale
        await clock.advance(1)


async def test_what_a_provider_wants_is_heeded_by_all_questions_and_the_second_answers(
    cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    first, second = Scripted(clock, Unavailable("429", retry_after=30)), Scripted(clock, name=" of two")
    words = resilient({"one": first, "two": second}, cache, clock, counts)

    for number in range(29):
        assert (await clock.run(words(f"hour {number}"))).words.endswith(" of two")
        await clock.advance(1)
    assert len(first.calls) == 1
    assert words.trouble == "one is not asked: it wants to be left alone, for 1 seconds more"
    assert counts.calls["one", Outcome.TOLD_TO_WAIT] == 28
    await clock.advance(1)

    assert (await words("day")).words == "day"
    assert words.trouble is None


async def test_answers_of_one_list_of_providers_are_not_those_of_another(
    cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    one, two = Scripted(clock), Scripted(clock)
    await resilient({"one": one}, cache, clock, counts)("hour")

    await resilient({"one": one, "two": two}, cache, clock, counts)("hour")

    assert len(one.calls) == 2


async def test_random_faults_never_cost_more_than_the_deadline(
    cache: MemoryCache, clock: ManualClock, counts: OutsideCounts
) -> None:
    """Each question ends in time, with an answer or a word of the port, and nothing grows."""
    faults = [Unavailable("503"), Unavailable("429", retry_after=2), Rejected("nonsense"), NoSuchWord()]
    first, second = Scripted(clock), Scripted(clock)
    words = resilient({"one": first, "two": second}, cache, clock, counts)
    took: list[float] = []

    async def asking(number: int) -> None:
        began = clock.monotonic()
        try:
            await words(f"hour {number % 20}")
        except (Unavailable, Rejected, NoSuchWord):
            pass
        finally:
            took.append(clock.monotonic() - began)

    tasks = []
    for number in range(2000):
        for ask, shift in ((first, 0), (second, 3)):
            ask.seconds = (0, 0.2, 9, 0.01, 3, 0, 0)[(number + shift) % 7]
            if (number + shift) % 3 == 0:
                ask.errors[:] = [faults[(number // 3 + shift) % len(faults)]]
        tasks.append(asyncio.create_task(asking(number)))
        await clock.advance(0.25)
    await clock.advance(20)

    assert all(task.done() and task.exception() is None for task in tasks)
    assert max(took) <= 8.001
    assert words._flights._flights == {}
    assert clock.sleepers == 0
