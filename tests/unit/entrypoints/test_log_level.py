"""Debugging is switched on and off in a process that works."""

import io
import logging
import os
import signal
import threading
from collections.abc import Iterator

import pytest
import structlog

from entrypoints import log_level
from entrypoints.observability import configure_logging

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture
def said() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    return stream


@pytest.fixture
def handler_as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR2)
    yield
    signal.signal(signal.SIGUSR2, before)


def say() -> None:
    structlog.get_logger("crossdock.switch").debug("ours")
    logging.getLogger("crossdock.delivery").debug("the inside's")
    logging.getLogger("celery.anything").debug("theirs")
    logging.getLogger("aiokafka").debug("a driver's")


def test_debugging_is_switched_on_for_all_loggers_and_off_again(said: io.StringIO) -> None:
    say()
    assert said.getvalue() == ""

    log_level.switch()
    say()

    assert all(word in said.getvalue() for word in ("ours", "the inside's", "theirs", "a driver's", "at least debug"))

    log_level.switch()
    before = said.getvalue()
    say()

    assert "at least info" in before
    assert said.getvalue() == before


def test_where_debugging_was_chosen_the_switch_turns_it_off(said: io.StringIO) -> None:
    log_level.set_level("debug")

    log_level.switch()
    before = said.getvalue()
    say()

    assert said.getvalue() == before


@pytest.mark.usefixtures("handler_as_it_was")
def test_the_signal_switches_this_process_and_those_that_belong_to_it(said: io.StringIO) -> None:
    """Those that have ended meanwhile hinder nobody."""
    asked = threading.Event()

    def others() -> list[int]:
        asked.set()
        return [2**22 + 1]  # no process has this id

    log_level.switch_on_signal(others)
    os.kill(os.getpid(), signal.SIGUSR2)

    assert asked.wait(10)
    assert log_level.is_switched()
    assert "at least debug" in said.getvalue()


@pytest.mark.usefixtures("handler_as_it_was", "said")
def test_a_process_that_takes_the_place_of_another_is_switched_as_the_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(log_level.SWITCHED, "1")

    log_level.switch_on_signal()

    assert log_level.is_switched()
    assert log_level.SWITCHED not in os.environ
