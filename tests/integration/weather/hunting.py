"""Looks for a secret everywhere that people or programs may look: each hunt gives the places where it was found."""

import asyncio
import gc
import io
import logging
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import CellType, FrameType, FunctionType, ModuleType
from typing import Any

import rich.console
import rich.traceback
import structlog
from pydantic import SecretStr

from adapters.cache.memory import MemoryCache
from entrypoints.observability import LogFormat, configure_logging
from tests.logged import logging_restored

CANARY = "canary0f5a9c7e1b3d"

# --- errors -----------------------------------------------------------------------------------------------------------


def family_of(error: BaseException) -> list[BaseException]:
    """It and all that led to it, also what a `from None` hides."""
    found, left = list[BaseException](), [error]
    while left:
        one = left.pop()
        if one not in found:
            found.append(one)
            left += [other for other in (one.__cause__, one.__context__) if other is not None]
            left += getattr(one, "exceptions", ())
    return found


def shown_by(error: BaseException) -> Iterator[tuple[str, str]]:
    """What logs, error reports and debuggers show of an error, with the values of local variables, and who shows it."""
    for one in family_of(error):
        name = type(one).__name__
        yield f"{name} itself", f"{one} {one!r} {one.args!r} {vars(one)!r} {getattr(one, '__notes__', '')}"
        plain = traceback.TracebackException.from_exception(one, capture_locals=True, lookup_lines=True)
        yield f"{name} in plain text", "".join(plain.format(chain=False))
        pretty = rich.traceback.Traceback.from_exception(
            *(type(one), one, one.__traceback__),
            show_locals=True,
            locals_max_length=1_000,
            locals_max_string=100_000,
            locals_hide_dunder=False,
            max_frames=0,
        )
        console = rich.console.Console(file=io.StringIO(), width=100_000)
        console.print(pretty)
        yield f"{name} by rich", console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO
        structured = structlog.tracebacks.ExceptionDictTransformer(
            show_locals=True, locals_max_length=1_000, locals_max_string=100_000, max_frames=1_000
        )
        yield f"{name} by structlog", str(structured((type(one), one, one.__traceback__)))


def in_error(error: BaseException) -> list[str]:
    return [where for where, text in shown_by(error) if CANARY in text]


# --- logs -------------------------------------------------------------------------------------------------------------


class Logged:
    """Everything that anybody logs, in our format without the last mask, and raw."""

    def __init__(self) -> None:
        self.formatted = io.StringIO()
        self.raw = io.StringIO()

    @property
    def canaries(self) -> list[str]:
        texts = {"formatted": self.formatted.getvalue(), "raw": self.raw.getvalue()}
        return [f"{name}: {line}" for name, text in texts.items() for line in text.splitlines() if CANARY in line]


class _Raw(logging.Handler):
    def __init__(self, out: io.StringIO) -> None:
        super().__init__(1)
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        told = {name: value for name, value in vars(record).items() if name != "exc_info"}
        self._out.write(f"{record.getMessage()} {told!r}\n")
        if record.exc_info and record.exc_info[1]:
            self._out.writelines(f"{where}: {text}\n" for where, text in shown_by(record.exc_info[1]))


@contextmanager
def everything_logged(format: LogFormat) -> Iterator[Logged]:
    """All loggers at their most talkative; without the product's last resort, the mask over finished lines."""
    root = logging.getLogger()
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    levels = {one: one.level for one in (root, *loggers)}
    logged = Logged()
    with logging_restored():
        configure_logging(format, "debug", secrets=(), stream=logged.formatted)
        root.addHandler(_Raw(logged.raw))
        for one in levels:
            one.setLevel(1)
        try:
            yield logged
        finally:
            for one, level in levels.items():
                one.setLevel(level)


# --- objects ----------------------------------------------------------------------------------------------------------

_PASSED_BY = (ModuleType, type, FrameType, SecretStr, asyncio.AbstractEventLoop, asyncio.Future, logging.Logger)
_OURS = ("adapters.", "domain.", "entrypoints.", "ports.", "httpx", "httpcore", "h11", "anyio", "tenacity")


def in_objects(*roots: object) -> list[str]:
    """Every object that can be reached and is the secret or says it; `SecretStr` may hold it, and nobody else."""
    found: list[str] = []
    seen: dict[int, object] = {}
    left: list[tuple[object, str]] = [(root, type(root).__name__) for root in roots]
    while left:
        one, path = left.pop()
        if id(one) in seen or isinstance(one, _PASSED_BY):
            continue
        seen[id(one)] = one
        if isinstance(one, (str, bytes, bytearray)):
            text = one if isinstance(one, str) else bytes(one).decode("latin-1")
            found += [path] if CANARY in text else []
            continue
        if type(one).__module__.startswith(_OURS):
            found += [f"{path}, its repr"] if CANARY in f"{one!r}" else []
        left += [(other, f"{path} > {type(other).__name__}") for other in _held_by(one)]
    return found


def _held_by(one: object) -> Iterable[object]:
    if isinstance(one, FunctionType):  # what it was given, and not the module around it
        return [*(one.__closure__ or ()), *(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
    if isinstance(one, CellType):
        try:
            return [one.cell_contents]
        except ValueError:  # empty
            return []
    return gc.get_referents(one)


class NotedCache(MemoryCache):
    """Remembers every key and value that it ever saw."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[str] = []

    async def get(self, key: str) -> bytes | None:
        self.seen.append(key)
        return await super().get(key)

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        self.seen += [key, value.decode("latin-1")]
        await super().put(key, value, seconds=seconds)

    @property
    def canaries(self) -> list[str]:
        return [text for text in self.seen if CANARY in text]
