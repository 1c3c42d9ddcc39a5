"""Runs one case of a contract suite by hand, and says whether it failed.

The suites are proven here instead of the adapters: a case that no liar fails holds nobody to anything.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import product
from typing import Any

import pytest

from ports.errors import PortError

HANG = 1.5  # seconds after which a liar's case hangs: what waits inside of a case gives up long before

# The fixtures of a case by name.
Fixtures = Mapping[str, object]
# What a case is run with: each run gets an adapter of its own.
Stage = Callable[[], AbstractAsyncContextManager[Fixtures]]


class LibraryError(Exception):
    """What some library raises, and a driver should have turned into an error of the port."""


def failure(case: Callable[..., Awaitable[None]], stage: Stage, *, seconds: float) -> BaseException | None:
    """Why the case fails, with the first of its parameters with which it does; None when it passes with all of them.

    Only what a test runner would call a failed promise counts; a liar that breaks by itself is raised.
    """
    for parameters in _parameters(case):
        try:
            asyncio.run(_run(case, stage, parameters, seconds))
        except (AssertionError, TimeoutError, PortError, LibraryError, pytest.fail.Exception) as error:
            return error
    return None


def case_of(name: str, *suites: object) -> Callable[..., Awaitable[None]]:
    """The case of this name, of the one suite that has it."""
    (case,) = [getattr(suite, name) for suite in suites if hasattr(suite, name)]
    return case  # type: ignore[no-any-return]


async def _run(
    case: Callable[..., Awaitable[None]], stage: Stage, parameters: Mapping[str, object], seconds: float
) -> None:
    async with asyncio.timeout(seconds), stage() as fixtures:
        wanted = inspect.signature(case).parameters
        given = {name: fixture for name, fixture in fixtures.items() if name in wanted}
        await case(**given, **parameters)


def _parameters(case: Callable[..., object]) -> Iterator[dict[str, object]]:
    """Every combination of what `pytest.mark.parametrize` says."""
    marks: list[pytest.Mark] = [mark for mark in getattr(case, "pytestmark", []) if mark.name == "parametrize"]
    for values in product(*(_values(*mark.args[:2]) for mark in marks)):
        yield {name: value for part in values for name, value in part.items()}


def _values(names: Any, values: Any) -> list[dict[str, object]]:
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    return [dict(zip(names, value if len(names) > 1 else [value], strict=True)) for value in values]


@asynccontextmanager
async def started(adapter: Any) -> AsyncIterator[Any]:
    """An adapter from start to stop."""
    await adapter.start()
    try:
        yield adapter
    finally:
        await adapter.stop()
