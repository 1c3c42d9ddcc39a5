"""One trace, whatever carries events and tasks.

A subclass of `TracingContract` whose name starts with ``Test`` proves one choice of technologies: it defines the
fixture ``service``. What is told is read back from a collector that speaks OTLP over HTTP.
"""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from entrypoints.container import Container
from entrypoints.testing import OPERATOR_TOKEN
from tests.builders import an_email
from tests.stand_ins.collector import Collector, Span, assert_whole

CONFIRMATION = "process send_order_confirmation"
_DESK = "/operator/api/dead-letters"
_AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
# From the mail up to the request.
WAY = [
    ("send mail", "CLIENT"),
    (CONFIRMATION, "CONSUMER"),
    ("process order_events", "CONSUMER"),
    ("send order_events", "PRODUCER"),
    ("POST /orders/", "SERVER"),
]


class TracedService(ABC):
    """The running service, told to trace."""

    client: httpx.AsyncClient
    collector: Collector

    @abstractmethod
    async def settled(self, trace_id: str, name: str, number: int = 1) -> Sequence[Span]:
        """The spans of a trace, once the collector has so many of this name and all that they belong below."""

    @abstractmethod
    def spoil_next_mails(self) -> None:
        """The mailer is unavailable for one, and rejects the next."""

    async def dead_letter(self) -> dict[str, Any]:
        """What the desk tells of the one thing that waits there, once it does."""
        async with asyncio.timeout(30):
            while not (items := (await self.client.get(_DESK, headers=_AS_OPERATOR)).json()["items"]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        (item,) = items
        document: dict[str, Any] = (await self.client.get(f"{_DESK}/{item['id']}", headers=_AS_OPERATOR)).json()
        return document

    async def replay(self, id: str) -> None:
        """As an operator would."""
        answer = await self.client.post(f"{_DESK}/{id}/replay", headers=_AS_OPERATOR)
        assert answer.status_code == 200, answer.text


async def flushed(container: Container) -> None:
    """The collector has all that was told until now."""
    telemetry = container.telemetry()
    assert telemetry is not None
    await telemetry.flush()


def a_caller() -> tuple[str, str]:
    """A trace and a place in it."""
    return secrets.token_hex(16), secrets.token_hex(8)


async def an_order(service: TracedService, before: Callable[[], None] = lambda: None) -> tuple[str, str]:
    """Place one, once the user has been greeted and ``before`` was done; the trace and the span of who asked for it."""
    trace_id, span_id = a_caller()
    user = await _post(service, "/register-user/", {"email": an_email().address}, f"00-{trace_id}-{span_id}-01")
    await service.settled(trace_id, "process send_welcome_email")
    before()
    trace_id, span_id = a_caller()
    line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}
    order = {"user_id": user["id"], "currency": "EUR", "lines": [line]}
    await _post(service, "/orders/", order, f"00-{trace_id}-{span_id}-01")
    return trace_id, span_id


async def _post(service: TracedService, path: str, body: dict[str, Any], traceparent: str) -> dict[str, Any]:
    answer = await service.client.post(path, json=body, headers={"traceparent": traceparent})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def upwards(span: Span, spans: Sequence[Span]) -> Iterator[Span]:
    """A span, and those that it is below, as far as they are among these."""
    by_id = {each.span_id: each for each in spans}
    found: Span | None = span
    while found is not None:
        yield found
        found = by_id.get(found.parent_id)


class TracingContract:
    """One trace from the request to the mail."""

    @pytest.fixture
    def service(self) -> AsyncIterator[TracedService] | TracedService:
        """The service, running."""
        raise NotImplementedError

    async def test_one_trace_leads_from_the_request_to_the_mail(self, service: TracedService) -> None:
        """Below whoever asked, and without an orphan: the parent of each span is there as well."""
        trace_id, caller = await an_order(service)

        spans = await service.settled(trace_id, CONFIRMATION)

        (mail,) = [span for span in spans if span.name == "send mail"]
        way = list(upwards(mail, spans))
        assert [(span.name, span.kind) for span in way] == WAY
        assert way[-1].parent_id == caller
        assert_whole(spans, below=caller)
        assert [span.name for span in spans if span.is_error] == []

    async def test_what_fails_stays_in_its_trace_until_it_is_done(self, service: TracedService) -> None:
        """It is tried again, waits at the desk, which names the trace, and is replayed from there."""
        trace_id, _ = await an_order(service, service.spoil_next_mails)
        await service.settled(trace_id, CONFIRMATION, 2)
        letter = await service.dead_letter()

        await service.replay(letter["id"])
        spans = await service.settled(trace_id, CONFIRMATION, 3)

        attempts = [span for span in spans if span.name == CONFIRMATION]
        assert letter["trace_id"] == trace_id
        assert [span.attributes.get("error.type") for span in attempts] == ["Unavailable", "Rejected", None]
        assert [span.is_error for span in attempts] == [True, True, False]
        assert len({span.parent_id for span in attempts}) == 1
