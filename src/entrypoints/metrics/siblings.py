"""Metrics of processes that answer on one port together.

A scrape reaches any of them. Each tells its own over a socket in a folder that only they can enter, and whoever is
scraped asks them all at that moment: between two scrapes nothing is done for it, and nothing is old. A series keeps the
place of its process as the label ``worker``; summed up here it would seem to shrink whenever one of them is replaced.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from entrypoints.metrics.family import Distribution, Family, Kind
from entrypoints.metrics.registry import Metrics

log = logging.getLogger("crossdock")

ANSWER_SECONDS: Final = 1.5  # Prometheus waits for two; longer than the backlog takes to be found out of reach
WORKER: Final = "worker"


class Siblings:
    """The processes whose sockets are in ``folder``; this one has the place ``place`` among them, or none."""

    def __init__(self, metrics: Metrics, folder: Path, place: str | None) -> None:
        self._metrics = metrics
        self._folder = folder
        self._place = place

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Tell the others, and tell of them, inside."""
        path = self._folder / f"{self._place}.sock"
        path.unlink(missing_ok=True)  # of the one that was here before
        try:
            server = await asyncio.start_unix_server(self._tell, path)
        except OSError as error:  # the path of the folder may be too long for a socket
            log.warning("each process of this port tells its own metrics: %s", error)
            yield
            return
        async with server:
            self._metrics.of_all = self.families
            yield
        path.unlink(missing_ok=True)

    async def families(self) -> list[Family]:
        """The metrics of all that answer in time; of those that do not, that they do not."""
        sockets = {path.stem: path for path in sorted(self._folder.glob("*.sock"))}
        if self._place is not None:  # who only tells of the others has no socket of its own
            sockets.setdefault(self._place, self._folder / f"{self._place}.sock")
        told = dict(zip(sockets, await asyncio.gather(*map(self._ask, sockets.items())), strict=True))
        up = Family("crossdock_worker_up", Kind.GAUGE, "Whether a process of this port answers.", (WORKER,))
        for place, families in told.items():
            up.add(place, value=families is not None)
        return [up, *merged({place: families for place, families in told.items() if families is not None})]

    async def _ask(self, sibling: tuple[str, Path]) -> list[Family] | None:
        place, path = sibling
        if place == self._place:
            return await self._metrics.families()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    return read(await reader.read(-1))
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):  # ValueError: it ended in the middle of it
            return None

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(written(await self._metrics.families()))
                await writer.drain()
        except (OSError, TimeoutError):  # whoever asked has gone, or takes nothing: it does not wait any more either
            writer.transport.abort()
        finally:
            writer.close()


def merged(told: Mapping[str, Iterable[Family]]) -> list[Family]:
    """One family of those with one name; what all have in common is taken from the first."""
    by_name: dict[str, Family] = {}
    for place, families in told.items():
        for family in families:
            if family.is_shared:
                by_name.setdefault(family.name, family)
                continue
            whole = by_name.setdefault(
                family.name, Family(family.name, family.kind, family.meaning, (*family.labels, WORKER))
            )
            whole.values.update({(*labels, place): value for labels, value in family.values.items()})
    return list(by_name.values())


def written(families: Iterable[Family]) -> bytes:
    """Metrics as bytes."""
    return json.dumps(
        [
            (
                family.name,
                family.kind,
                family.meaning,
                family.labels,
                family.is_shared,
                [
                    (labels, astuple(value) if isinstance(value, Distribution) else value)
                    for labels, value in family.values.items()
                ],
            )
            for family in families
        ]
    ).encode()


def read(text: bytes) -> list[Family]:
    """Metrics again; `ValueError` when they are not whole."""
    return [
        Family(name, Kind(kind), meaning, tuple(labels), is_shared, {tuple(of): _value(value) for of, value in values})
        for name, kind, meaning, labels, is_shared, values in json.loads(text)
    ]


def _value(written: Any) -> float | Distribution:
    if isinstance(written, list):
        bounds, buckets, total = written
        return Distribution(tuple(bounds), tuple(buckets), total)
    return float(written)
