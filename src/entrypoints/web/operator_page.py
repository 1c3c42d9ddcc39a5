"""The operator's page: the desk for people. No script; each button is a form of its own."""

from html import escape
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from domain.model.times import to_rfc3339
from entrypoints.web.cursors import CURSOR_MOST, position_cursor, position_of
from entrypoints.web.dependencies import DeadLetters
from entrypoints.web.operator import body_text
from entrypoints.web.operator_access import Access, as_operator
from entrypoints.web.pages import page
from ports.deliveries import Delivery
from ports.persistence import DeskPage

PAGE_LIMIT = 50
BODY_SHOWN = 4000

router = APIRouter(prefix="/operator", include_in_schema=False)


@router.get("/")
async def show_desk(
    request: Request,
    access: Access,
    desk: DeadLetters,
    token: Annotated[str | None, Query()] = None,
    cursor: Annotated[str | None, Query(max_length=CURSOR_MOST)] = None,
) -> Response:
    """The desk; with the token in the address, the cookie and the way to the desk."""
    if token is not None and access.is_token(token):
        return access.trade(request, "/operator/")
    if token is not None or not access.has_cookie(request):
        return _sign_in()
    after = 0 if cursor is None else position_of(cursor)
    return page("Operator", _desk(await desk.page(after=after, limit=PAGE_LIMIT)))


@router.post("/dead-letters/{id:path}/replay", dependencies=[Depends(as_operator)])
async def replay(id: str, desk: DeadLetters) -> Response:
    """Try it again, and show the desk."""
    await desk.replay(id)
    return RedirectResponse("/operator/", 303)


@router.post("/dead-letters/{id:path}/discard", dependencies=[Depends(as_operator)])
async def discard(id: str, desk: DeadLetters) -> Response:
    """Give it up, and show the desk."""
    await desk.discard(id)
    return RedirectResponse("/operator/", 303)


def _sign_in() -> Response:
    return page(
        "Operator",
        "<h1>Operator</h1>\n"
        "<p>Open this page once as <code>/operator/?token=…</code> with the operator's token. The address was printed "
        "when the service started, or the token stands in <code>CROSSDOCK_OPERATOR_TOKEN</code>.</p>",
        status=401,
        headers={"WWW-Authenticate": 'Bearer realm="operator"'},
    )


def _desk(desk: DeskPage) -> str:
    if not desk.items:
        return "<h1>Operator</h1>\n<p>Nothing waits for you here.</p>"
    rows = "\n".join(_row(delivery) for delivery in desk.items)
    more = ""
    if desk.next_after is not None:
        more = f'\n<p><a href="/operator/?cursor={position_cursor(desk.next_after)}">Later ones</a></p>'
    return (
        "<h1>Operator</h1>\n"
        "<p>These could not be delivered. What waits behind one goes on once it is replayed or discarded.</p>\n"
        "<table>\n<thead><tr><th>What</th><th>About</th><th>Why</th><th>Attempts</th><th>Last failed</th><th></th></tr>"
        f"</thead>\n<tbody>\n{rows}\n</tbody>\n</table>{more}"
    )


def _row(delivery: Delivery) -> str:
    failed_at = "" if delivery.last_failed_at is None else f"{delivery.last_failed_at:%Y-%m-%d %H:%M:%S} UTC"
    address = f"/operator/dead-letters/{quote(delivery.id, safe='')}"
    return (
        f"<tr><td>{escape(delivery.name)}<br>"
        f'<span class="quiet">{escape(delivery.lane)} {escape(delivery.id)}</span></td>'
        f"<td>{escape(delivery.subject or '')}</td>"
        f'<td><span class="alarm">{escape(delivery.reason or "")}</span>{_story(delivery)}</td>'
        f"<td>{delivery.attempts}</td><td>{escape(failed_at)}</td>"
        f'<td><form method="post" action="{escape(address)}/replay"><button>Replay</button></form> '
        f'<form method="post" action="{escape(address)}/discard"><button>Discard</button></form></td></tr>'
    )


def _story(delivery: Delivery) -> str:
    lines = "".join(
        f"<li>{escape(to_rfc3339(line.at))} {escape(line.what)}: {escape(line.why)}</li>" for line in delivery.story
    )
    trace = "" if delivery.trace is None else f'<p class="quiet">trace {escape(delivery.trace.trace_id)}</p>'
    body, _ = body_text(delivery.body)
    shown = body if len(body) <= BODY_SHOWN else body[:BODY_SHOWN] + "…"
    return f"<details><summary>Story and body</summary><ol>{lines}</ol>{trace}<pre>{escape(shown)}</pre></details>"
