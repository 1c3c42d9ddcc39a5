"""The operator's API: the desk of what could not be delivered, and how everything is."""

import base64
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from domain.model.times import to_rfc3339
from entrypoints.web.cursors import CURSOR_MOST, position_cursor, position_of
from entrypoints.web.dependencies import DeadLetters, HealthOf, Persistence
from entrypoints.web.fields import Instant, Limit, to_json
from entrypoints.web.health import CheckDocument
from entrypoints.web.openapi import Page, answered, link, problems
from entrypoints.web.operator_access import as_operator
from entrypoints.web.reading import refuse_doubled
from ports.deliveries import Delivery, Lane, State

router = APIRouter(prefix="/operator/api", tags=["operator"], dependencies=[Depends(as_operator)])


class DeskQuery(BaseModel):
    """Which page of the desk."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = 20
    cursor: Annotated[str | None, Field(max_length=CURSOR_MOST, description="`next_cursor` of the page before.")] = None

    @property
    def after(self) -> int:
        """The position that the page starts after."""
        return 0 if self.cursor is None else position_of(self.cursor)


class DeadLetterDocument(TypedDict):
    """Something that waits for a person."""

    id: str
    lane: Lane
    name: str
    subject: str | None
    reason: str | None
    attempts: int
    first_failed_at: Instant | None
    last_failed_at: Instant | None


class DeadLetterPageDocument(Page):
    """What waits, oldest first."""

    items: list[DeadLetterDocument]


class HappeningDocument(TypedDict):
    """One line of a story."""

    at: Instant
    what: str
    why: str


class WholeDeadLetterDocument(DeadLetterDocument):
    """All that is known; the body as text, or in base64 when it is none."""

    state: State
    topic: str
    group: str
    trace_id: Annotated[str | None, Field(description="Of the request that it goes back to, where that is known.")]
    attributes: dict[str, str]
    body: str
    body_encoding: Annotated[str, Field(examples=["utf-8"])]
    recorded_at: Instant
    story: list[HappeningDocument]


class OutcomeDocument(TypedDict):
    """What became of a dead letter."""

    id: str
    outcome: Annotated[str, Field(examples=["replayed"])]


class StatusDocument(TypedDict):
    """How everything is; `deliveries` are counts by lane and state."""

    version: str
    status: str
    checks: dict[str, CheckDocument]
    deliveries: dict[Lane, dict[State, int]]


def dead_letter_document(delivery: Delivery) -> DeadLetterDocument:
    """What the list tells about a delivery."""
    return {
        "id": delivery.id,
        "lane": delivery.lane,
        "name": delivery.name,
        "subject": delivery.subject,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "first_failed_at": None if delivery.first_failed_at is None else to_rfc3339(delivery.first_failed_at),
        "last_failed_at": None if delivery.last_failed_at is None else to_rfc3339(delivery.last_failed_at),
    }


def whole_dead_letter_document(delivery: Delivery) -> WholeDeadLetterDocument:
    """All that is told about a delivery."""
    body, encoding = body_text(delivery.body)
    return {
        **dead_letter_document(delivery),
        "state": delivery.state,
        "topic": delivery.topic,
        "group": delivery.group,
        "trace_id": None if delivery.trace is None else delivery.trace.trace_id,
        "attributes": dict(delivery.attributes),
        "body": body,
        "body_encoding": encoding,
        "recorded_at": to_rfc3339(delivery.recorded_at),
        "story": [{"at": to_rfc3339(line.at), "what": line.what, "why": line.why} for line in delivery.story],
    }


def body_text(body: bytes) -> tuple[str, str]:
    """A body as something to read, and how it was written down."""
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


@router.get(
    "/dead-letters",
    operation_id="listDeadLetters",
    response_model=DeadLetterPageDocument,
    responses={
        **answered(
            "What waits.",
            links={
                "letter": link("The first of them.", "getDeadLetter", id="/items/0/id"),
                "replay": link("Try the first again.", "replayDeadLetter", id="/items/0/id"),
                "discard": link("Give the first up.", "discardDeadLetter", id="/items/0/id"),
                "next": link("The next page.", "listDeadLetters", cursor="/next_cursor"),
            },
        ),
        **problems("invalid-token", "invalid-request", "storage-unavailable"),
    },
)
async def list_dead_letters(request: Request, query: Annotated[DeskQuery, Query()], desk: DeadLetters) -> Response:
    """What waits for a person, oldest first."""
    refuse_doubled(request)
    page = await desk.page(after=query.after, limit=query.limit)
    document: DeadLetterPageDocument = {
        "items": [dead_letter_document(delivery) for delivery in page.items],
        "next_cursor": None if page.next_after is None else position_cursor(page.next_after),
    }
    return Response(to_json(document), media_type="application/json")


# Ids of deliveries are our own text, and may hold a slash: hence :path.
@router.get(
    "/dead-letters/{id:path}",
    operation_id="getDeadLetter",
    response_model=WholeDeadLetterDocument,
    responses=problems("invalid-token", "dead-letter-not-found", "storage-unavailable"),
)
async def get_dead_letter(id: str, desk: DeadLetters) -> Response:
    """One of them, with its body and its story."""
    return Response(to_json(whole_dead_letter_document(await desk.get(id))), media_type="application/json")


@router.post(
    "/dead-letters/{id:path}/replay",
    operation_id="replayDeadLetter",
    response_model=OutcomeDocument,
    responses=problems("invalid-token", "cross-site-request", "dead-letter-not-found", "storage-unavailable"),
)
async def replay_dead_letter(id: str, desk: DeadLetters) -> Response:
    """Try it again, with all its attempts before it."""
    await desk.replay(id)
    return Response(to_json({"id": id, "outcome": "replayed"}), media_type="application/json")


@router.post(
    "/dead-letters/{id:path}/discard",
    operation_id="discardDeadLetter",
    response_model=OutcomeDocument,
    responses=problems("invalid-token", "cross-site-request", "dead-letter-not-found", "storage-unavailable"),
)
async def discard_dead_letter(id: str, desk: DeadLetters) -> Response:
    """Give it up; what waits behind it goes on."""
    await desk.discard(id)
    return Response(to_json({"id": id, "outcome": "discarded"}), media_type="application/json")


@router.get(
    "/status",
    operation_id="getStatus",
    response_model=StatusDocument,
    responses=problems("invalid-token", "storage-unavailable"),
)
async def get_status(health_check: HealthOf, persistence: Persistence) -> Response:
    """How everything is, and how much is still to be delivered."""
    health = await health_check.check()
    counts = await persistence.ledger.counts()
    document = {
        "version": version("crossdock"),
        "status": health.status,
        "checks": {name: dict(check) for name, check in health.checks.items()},
        "deliveries": {lane: {state: counts.get((lane, state), 0) for state in State} for lane in Lane},
    }
    return Response(to_json(document), media_type="application/json")
