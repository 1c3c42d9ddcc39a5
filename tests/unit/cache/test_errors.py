"""Every error of a cache's library has its word of the port, and what is told of it is ours."""

import asyncio
import inspect
import socket
import ssl

import pytest
import redis.exceptions

from adapters import http_client, redis_client
from adapters.cache import memcached
from adapters.reasons import reason
from ports.errors import Rejected, Unavailable

OF_REDIS = [kind for _, kind in inspect.getmembers(redis.exceptions, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", OF_REDIS, ids=lambda kind: kind.__name__)
def test_every_exception_of_redis_has_its_own_row(kind: type[Exception]) -> None:
    assert redis_client.ERRORS[kind] in {Unavailable, Rejected}


def test_the_walk_over_redis_has_seen_what_it_should() -> None:
    assert {redis.exceptions.BusyLoadingError, redis.exceptions.OutOfMemoryError} <= set(OF_REDIS)


@pytest.mark.parametrize("table", [redis_client.ERRORS, memcached.ERRORS], ids=["redis", "memcached"])
@pytest.mark.parametrize(
    "kind",
    [ConnectionResetError, TimeoutError, ssl.SSLError, socket.gaierror, asyncio.IncompleteReadError, UnicodeError],
)
def test_what_the_network_does_is_unavailable(table: dict[type[Exception], type], kind: type[Exception]) -> None:
    assert next(table[parent] for parent in kind.__mro__ if parent in table) is Unavailable


def test_what_a_server_says_is_never_repeated() -> None:
    """An old Redis, or what stands before one, repeats a command that it does not know: AUTH, with the password."""
    said = redis.exceptions.ResponseError("unknown command `AUTH`, with args beginning with: `canary`")

    assert reason(said, redis_client.WORDS) == "it did not do what it was told"
    assert reason(ConnectionRefusedError(111, "Connect call failed ('canary', 1)"), {}) == "Connection refused"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        *((redis_client.WORDS, kind) for kind in redis_client.ERRORS),
        *((memcached.WORDS, kind) for kind in memcached.ERRORS),
        *((http_client.WORDS, kind) for kind in http_client.ERRORS),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_told_in_words_for_people(words: dict[type[Exception], str], kind: type[Exception]) -> None:
    """Never by the name of a class."""
    told = reason(kind.__new__(kind), words)

    assert " " in told
    assert kind.__name__ not in told
