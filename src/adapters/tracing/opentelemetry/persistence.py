"""A store whose commits are traced."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from opentelemetry.trace import SpanKind

from adapters.tracing.opentelemetry.spans import Spans
from ports.deliveries import Lane
from ports.persistence import Persistence, Traffic, Write
from ports.trace_context import current
from ports.trouble import Trouble


class _Listener(Protocol):
    def __call__(self, lanes: Collection[Lane], /) -> None: ...


class TracedPersistence(Persistence):
    """Each commit that belongs to a trace gets a span; the others, of bookkeeping, are nobody's."""

    def __init__(self, persistence: Persistence, spans: Spans, *, system: str) -> None:
        self._persistence = persistence
        self._spans = spans
        self._system = system
        self.users = persistence.users
        self.orders = persistence.orders
        self.ledger = persistence.ledger
        self.leases = persistence.leases
        self.answers = persistence.answers

    @property
    def pools(self) -> Mapping[str, tuple[int, int]]:
        return getattr(self._persistence, "pools", {})

    async def start(self) -> None:
        await self._persistence.start()

    async def stop(self) -> None:
        await self._persistence.stop()

    @property
    def trouble(self) -> Trouble | None:
        return self._persistence.trouble

    async def ping(self) -> None:
        await self._persistence.ping()

    def announce(self, lanes: Collection[Lane]) -> None:
        self._persistence.announce(lanes)

    def listen(self, listener: _Listener) -> None:
        self._persistence.listen(listener)

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        place = current()
        if place is None or not self._spans.tells(place):
            await self._persistence.commit(writes, traffic=traffic, seconds=seconds)
            return
        attributes: dict[str, str | int] = {
            "db.system.name": self._system,
            "db.operation.name": "COMMIT",
            "db.operation.batch.size": len(writes),
        }
        with self._spans.span("COMMIT", SpanKind.CLIENT, attributes):
            await self._persistence.commit(writes, traffic=traffic, seconds=seconds)
