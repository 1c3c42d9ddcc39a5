"""The operator's page. It can be read, and a letter replayed or discarded, without a script; one makes it live."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from entrypoints.terminal import printable
from entrypoints.web import operator_views as views
from entrypoints.web.cursors import CURSOR_MOST, position_cursor, position_of
from entrypoints.web.dependencies import Container, DeadLetters, Parts, Whereabouts
from entrypoints.web.markup import html
from entrypoints.web.operator import TEXT_MOST
from entrypoints.web.operator_access import Access, as_operator
from entrypoints.web.operator_status import status_seen
from entrypoints.web.pages import CONTENT_SECURITY_POLICY, page
from ports.deliveries import Lane
from ports.errors import PortError
from ports.persistence import DeskPage, Sought

PAGE_LIMIT = 50
OVERVIEW, WHERE, SETTINGS = "/operator/", "/operator/where", "/operator/settings"

# Our own script, which asks nobody but us.
_POLICY = f"{CONTENT_SECURITY_POLICY}; script-src 'self'; connect-src 'self'"

router = APIRouter(prefix="/operator", include_in_schema=False)


async def _sought(
    lane: Annotated[str, Query()] = "",
    name: Annotated[str, Query(max_length=TEXT_MOST)] = "",
    subject: Annotated[str, Query(max_length=TEXT_MOST)] = "",
    reason: Annotated[str, Query(max_length=TEXT_MOST)] = "",
) -> Sought:
    """What the desk is searched for; a lane that is none is every one."""
    return Sought(lane=Lane(lane) if lane in set(Lane) else None, name=name, subject=subject, reason=reason)


Searched = Annotated[Sought, Depends(_sought)]


@router.get("/")
async def overview(
    request: Request,
    access: Access,
    parts: Parts,
    sought: Searched,
    cursor: Annotated[str | None, Query(max_length=CURSOR_MOST)] = None,
) -> Response:
    """Everything at a glance, and the desk; with the token in the address, the cookie and the way here."""
    token = request.query_params.get("token")
    if token is not None and access.is_token(token):
        return access.trade(request, OVERVIEW)
    if token is not None or not access.has_cookie(request):
        return _sign_in()
    after = 0 if cursor is None else position_of(cursor)
    status, (letters, total) = await asyncio.gather(status_seen(parts), _desk(parts, after, sought))
    query = views.query_of(sought)
    later = None
    if letters is not None and letters.next_after is not None:
        later = f"{OVERVIEW}?{query}{'&' if query else ''}cursor={position_cursor(letters.next_after)}#desk"
    body = html(
        '<h1 class="hidden">Overview</h1>\n{flow}{desk}{bay}{outside}',
        flow=views.flow(status),
        desk=views.desk(letters, total, sought, later=later, now=parts.clock().now()),
        bay=views.patch_bay(status),
        outside=views.outside(status),
    )
    return _page("Overview", body, current=OVERVIEW, overall=views.overall(status))


async def _desk(parts: Container, after: int, sought: Sought) -> tuple[DeskPage | None, int]:
    desk = parts.dead_letters()
    try:
        return await asyncio.gather(desk.page(after=after, limit=PAGE_LIMIT, sought=sought), desk.count(sought))
    except PortError:
        return None, 0


@router.get("/dead-letters/{id:path}")
async def show(request: Request, access: Access, id: str, parts: Parts) -> Response:
    """One letter with its story and its body."""
    if not access.has_cookie(request):
        return _sign_in()
    letter = await parts.dead_letters().get(id)
    return _page(printable(letter.name) or "Letter", views.whole_letter(letter, parts.clock().now()))


@router.post("/dead-letters/{id:path}/replay", dependencies=[Depends(as_operator)])
async def replay(id: str, desk: DeadLetters, sought: Searched) -> Response:
    """Try it again, and show the desk."""
    await desk.replay(id)
    return _back(sought)


@router.post("/dead-letters/{id:path}/discard", dependencies=[Depends(as_operator)])
async def discard(id: str, desk: DeadLetters, sought: Searched) -> Response:
    """Give it up, and show the desk."""
    await desk.discard(id)
    return _back(sought)


@router.get("/where")
async def where(
    request: Request,
    access: Access,
    parts: Parts,
    whereabouts: Whereabouts,
    subject: Annotated[str, Query(max_length=TEXT_MOST)] = "",
) -> Response:
    """Where an order, a user or another subject is."""
    if not access.has_cookie(request):
        return _sign_in()
    subject, found, status = subject.strip(), Markup(), 200
    if subject:
        try:
            found = views.way(await whereabouts(subject), parts.clock().now())
        except PortError:
            found, status = views.AWAY, 503
    body = html("<h1>Where is…</h1>\n{form}{found}", form=views.where_form(subject), found=found)
    return _page("Where is…", body, current=WHERE, status=status)


@router.get("/settings")
async def settings(request: Request, access: Access, parts: Parts) -> Response:
    """The settings in effect."""
    if not access.has_cookie(request):
        return _sign_in()
    table = views.settings_table(parts.settings().lines)
    return _page("Settings", html("<h1>Settings</h1>\n{table}", table=table), current=SETTINGS)


def _back(sought: Sought) -> Response:
    query = views.query_of(sought)
    return RedirectResponse(f"{OVERVIEW}?{query}#desk" if query else OVERVIEW, 303)


def _page(title: str, body: Markup, *, current: str = "", overall: Markup | None = None, status: int = 200) -> Response:
    head = views.frame(current, overall or Markup())
    return page(
        title,
        body,
        before=head,
        after=views.script(),
        style="operator.css",
        status=status,
        headers={"Content-Security-Policy": _POLICY},
    )


def _sign_in() -> Response:
    return page(
        "Operator",
        "<h1>Operator</h1>\n"
        "<p>Open this page once as <code>/operator/?token=…</code> with the operator's token. The address was printed "
        "when the service started, or the token stands in <code>CROSSDOCK_OPERATOR_TOKEN</code>.</p>",
        status=401,
        headers={"WWW-Authenticate": 'Bearer realm="operator"'},
    )
