"""The tables from HTTP to the errors of a port are complete."""

import inspect

import httpx
import pytest

from adapters.http_client import ERRORS, RETRY_AFTER_MOST, error_for, error_for_status, retry_after
from ports.errors import PortError, Rejected, Unavailable
from tests.clock import ManualClock

EXCEPTIONS = [kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_has_its_own_row(kind: type[Exception]) -> None:
    assert ERRORS[kind] in {Unavailable, Rejected}


def test_the_walk_over_httpx_has_seen_what_it_should() -> None:
    assert {httpx.ReadTimeout, httpx.HTTPStatusError, httpx.InvalidURL, httpx.StreamClosed} <= set(EXCEPTIONS)


def test_an_exception_that_httpx_adds_later_is_treated_like_its_parent() -> None:
    class QuicError(httpx.NetworkError):
        pass

    assert error_for(QuicError("new")) is Unavailable
    assert error_for(ConnectionResetError()) is Unavailable
    assert error_for(KeyError()) is None


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([408, 425, 429], Unavailable),
        (range(500, 600), Unavailable),
        ([201, 202, 204, 206], Rejected),
        (range(300, 400), Rejected),
        (
            [400, 401, 402, 403, 404, 405, 406, 409, 410, 413, 414, 418, 421, 422, 423, 424, 426, 428, 431, 451],
            Rejected,
        ),
        ([600, 999], Rejected),
    ],
)
def test_every_status_has_one_meaning(statuses: list[int], expected: type[PortError]) -> None:
    assert {error_for_status(status) for status in statuses} == {expected}


# The manual clock stands at Mon, 23 Nov 2026 05:00:00 GMT.
RETRY_AFTER = [
    (None, None),
    ("0", 0),
    ("7", 7),
    (" 7 ", 7),
    ("007", 7),
    ("86400", RETRY_AFTER_MOST),
    ("9" * 1000, RETRY_AFTER_MOST),
    ("Mon, 23 Nov 2026 05:00:30 GMT", 30),
    ("Monday, 23-Nov-26 05:00:30 GMT", 30),
    ("Mon Nov 23 05:00:30 2026", 30),
    ("Mon, 23 Nov 2026 06:00:30 +0100", 30),
    ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
    ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MOST),
    ("Fri, 32 Dec 2026 23:59:59 GMT", None),
    ("Mon, 23 Nov 2026 05:00:30 +99999999", None),
    ("", None),
    ("soon", None),
    ("-5", None),
    ("1.5", None),
    ("1e3", None),
    ("inf", None),
    ("٣", None),
    ("5, 10", None),
]


@pytest.mark.parametrize(("value", "expected"), RETRY_AFTER)
def test_retry_after_is_read_in_every_form_and_capped(value: str | None, expected: float | None) -> None:
    assert retry_after(value, ManualClock().now()) == expected
