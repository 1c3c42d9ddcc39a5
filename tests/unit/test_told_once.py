"""Trouble that lasts is a few lines, however many attempts it takes."""

import logging

import pytest

from ports.told_once import KEYS_MOST, QUIET_SECONDS, REASONS_MOST, ToldOnce

log = logging.getLogger("crossdock.told")


class Time:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def told(time: Time, caplog: pytest.LogCaptureFixture) -> ToldOnce:
    caplog.set_level(logging.INFO, "crossdock")
    return ToldOnce(log, "it works again", now=time)


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_thousand_attempts_are_two_lines(told: ToldOnce, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1000):
        time.now += 5
        told.trouble("it waits: %s", "away", why=f"{number} of 1000 failed")
    told.over()
    told.over()

    assert texts(caplog) == ["it waits: away", "it works again, after 1000 failed attempts in 4995.0 s"]


def test_another_reason_is_told_and_one_of_before_is_not(told: ToldOnce, caplog: pytest.LogCaptureFixture) -> None:
    for why in ("refused", "timed out", "refused", "timed out"):
        told.trouble("%s", why, why=why)

    assert texts(caplog) == ["refused", "timed out"]


def test_what_comes_again_is_told_again(told: ToldOnce, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    told.trouble("away", why="away")
    told.over()
    time.now += QUIET_SECONDS
    told.trouble("away", why="away")

    assert texts(caplog) == ["away", "it works again, after 1 failed attempts in 0.0 s", "away"]


def test_what_comes_and_goes_is_told_now_and_then(told: ToldOnce, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        told.trouble("away", why="away")
        told.over()
        time.now += 1

    assert texts(caplog).count("away") == 100 / QUIET_SECONDS


def test_an_outage_that_began_in_silence_and_lasts_is_told(
    told: ToldOnce, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    told.trouble("away", why="away")
    told.over()
    for _ in range(20):
        told.trouble("away", why="away")
        time.now += 1

    assert texts(caplog).count("away") == 2


def test_it_is_over_when_nobody_is_in_trouble(told: ToldOnce, caplog: pytest.LogCaptureFixture) -> None:
    told.trouble("away", why="away", key=1)
    told.trouble("away", why="away", key=2)
    told.over(1)
    assert texts(caplog) == ["away"]

    told.over(2)

    assert len(caplog.records) == 2


def test_a_mistake_of_ours_is_told_with_its_traceback_once(told: ToldOnce, caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("a bug")
    for _ in range(3):
        told.trouble("it failed", why=error, level=logging.ERROR)

    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_who_does_not_know_when_it_is_over_tells_again_after_a_while_without_trouble(
    time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    told = ToldOnce(log, forgets=True, now=time)
    for _ in range(30):
        told.trouble("away", why="away")
        time.now += 1
    time.now += QUIET_SECONDS
    told.trouble("away", why="away")

    assert texts(caplog) == ["away", "away"]


def test_what_is_remembered_is_bounded(told: ToldOnce) -> None:
    for number in range(3 * KEYS_MOST):
        told.trouble("away", why="x" * (number % 1000), key=number)

    assert len(told._told) <= REASONS_MOST
    assert len(told._troubled) <= KEYS_MOST


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_without_words_is_told_as_well(told: ToldOnce, caplog: pytest.LogCaptureFixture) -> None:
    told.trouble("it failed", why=Mute(), level=logging.WARNING)

    assert texts(caplog) == ["it failed"]
