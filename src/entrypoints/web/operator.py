"""The operator's API: the desk of what could not be delivered, and how everything is."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from domain.delivery.dead_letters import DeadLetterNotFound
from domain.delivery.whereabouts import Progress, Way
from domain.model.times import to_rfc3339
from entrypoints.settings_report import SettingDocument, settings_document
from entrypoints.web.bodies import read_json
from entrypoints.web.cursors import CURSOR_MOST, position_cursor, position_of
from entrypoints.web.dependencies import DeadLetters, Parts, Whereabouts
from entrypoints.web.fields import STRICT, Instant, Limit, to_json
from entrypoints.web.openapi import Page, answered, link, problems, request_body
from entrypoints.web.operator_access import as_operator
from entrypoints.web.operator_status import StatusDocument, whole_status
from entrypoints.web.reading import refuse_doubled
from ports.deliveries import Delivery, Lane, State
from ports.persistence import Sought

TEXT_MOST = 500  # characters that are looked for
ID_MOST = 1000
CHOSEN_MOST = 100  # at once: they are done one after the other while the caller waits

router = APIRouter(prefix="/operator/api", tags=["operator"], dependencies=[Depends(as_operator)])


def _contained(what: str) -> Any:
    return Field(max_length=TEXT_MOST, description=f"Only those whose {what} has this in it, as written.")


class DeskQuery(BaseModel):
    """Which of what waits, and which page of it."""

    model_config = ConfigDict(extra="forbid")

    lane: Annotated[Lane | None, Field(description="Only those of this lane.")] = None
    name: Annotated[str, _contained("name")] = ""
    subject: Annotated[str, _contained("subject")] = ""
    reason: Annotated[str, _contained("reason")] = ""
    limit: Limit = 20
    cursor: Annotated[str | None, Field(max_length=CURSOR_MOST, description="`next_cursor` of the page before.")] = None

    @property
    def sought(self) -> Sought:
        """What is looked for."""
        return Sought(lane=self.lane, name=self.name, subject=self.subject, reason=self.reason)

    @property
    def after(self) -> int:
        """The position that the page starts after."""
        return 0 if self.cursor is None else position_of(self.cursor)


class Chosen(BaseModel):
    """Some of what waits."""

    model_config = STRICT

    ids: Annotated[list[Annotated[str, Field(max_length=ID_MOST)]], Field(min_length=1, max_length=CHOSEN_MOST)]


class WayQuery(BaseModel):
    """About what."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[
        str, Field(min_length=1, max_length=TEXT_MOST, description="The id of an order or a user, or any subject.")
    ]


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
    """What waits, oldest first; `total` is how many there are on all pages."""

    items: list[DeadLetterDocument]
    total: int


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


class OutcomesDocument(TypedDict):
    """What became of each; `not-found`: it did not wait any more."""

    items: list[OutcomeDocument]


class StepDocument(TypedDict):
    """One step on the way; `at` is when it was done, or since when it is so, null where nobody knows.

    `id` is that of the row that tells so.
    """

    what: Annotated[str, Field(examples=["publish"])]
    name: str
    progress: Progress
    at: Instant | None
    detail: str
    id: str | None


class WayDocument(TypedDict):
    """How far something has come; no steps: nothing is known of it."""

    subject: str
    kind: Annotated[str, Field(examples=["order"])]
    steps: list[StepDocument]
    more: bool


class SettingsDocument(TypedDict):
    """Settings by their names."""

    settings: dict[str, SettingDocument]


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


def way_document(way: Way) -> WayDocument:
    """How far something has come."""
    return {
        "subject": way.subject,
        "kind": way.kind,
        "steps": [
            {
                "what": step.what,
                "name": step.name,
                "progress": step.progress,
                "at": None if step.at is None else to_rfc3339(step.at),
                "detail": step.detail,
                "id": None if step.delivery is None else step.delivery.id,
            }
            for step in way.steps
        ],
        "more": way.more,
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
    page, total = await asyncio.gather(
        desk.page(after=query.after, limit=query.limit, sought=query.sought), desk.count(query.sought)
    )
    document: DeadLetterPageDocument = {
        "items": [dead_letter_document(delivery) for delivery in page.items],
        "total": total,
        "next_cursor": None if page.next_after is None else position_cursor(page.next_after),
    }
    return Response(to_json(document), media_type="application/json")


@router.post(
    "/dead-letters/replay",
    operation_id="replayDeadLetters",
    response_model=OutcomesDocument,
    responses=problems("invalid-token", "cross-site-request", "storage-unavailable", body=True),
    openapi_extra=request_body(Chosen),
)
async def replay_dead_letters(request: Request, desk: DeadLetters) -> Response:
    """Try several again, one after the other; those that do not wait any more are passed over."""
    return await _each(request, desk.replay, "replayed")


@router.post(
    "/dead-letters/discard",
    operation_id="discardDeadLetters",
    response_model=OutcomesDocument,
    responses=problems("invalid-token", "cross-site-request", "storage-unavailable", body=True),
    openapi_extra=request_body(Chosen),
)
async def discard_dead_letters(request: Request, desk: DeadLetters) -> Response:
    """Give several up, one after the other; those that do not wait any more are passed over."""
    return await _each(request, desk.discard, "discarded")


async def _each(request: Request, change: Callable[[str], Awaitable[None]], outcome: str) -> Response:
    chosen = await read_json(request, Chosen)
    items: list[OutcomeDocument] = []
    for id_ in dict.fromkeys(chosen.ids):
        try:
            await change(id_)
        except DeadLetterNotFound:
            items.append({"id": id_, "outcome": "not-found"})
        else:
            items.append({"id": id_, "outcome": outcome})
    return Response(to_json({"items": items}), media_type="application/json")


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
async def get_status(parts: Parts) -> Response:
    """How everything is, and how much is still to be delivered."""
    return Response(to_json(await whole_status(parts)), media_type="application/json")


@router.get(
    "/timeline",
    operation_id="getTimeline",
    response_model=WayDocument,
    responses=problems("invalid-token", "invalid-request", "storage-unavailable"),
)
async def get_timeline(request: Request, query: Annotated[WayQuery, Query()], whereabouts: Whereabouts) -> Response:
    """Where an order, a user or another subject is, from what the database knows."""
    refuse_doubled(request)
    return Response(to_json(way_document(await whereabouts(query.subject))), media_type="application/json")


@router.get(
    "/settings",
    operation_id="getSettings",
    response_model=SettingsDocument,
    responses=problems("invalid-token"),
)
async def get_settings(parts: Parts) -> Response:
    """The settings in effect in the process that answers, and where each comes from; secrets are masked."""
    document: SettingsDocument = {"settings": settings_document(parts.settings().lines)}
    return Response(to_json(document), media_type="application/json")
