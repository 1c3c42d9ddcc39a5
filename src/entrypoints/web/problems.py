"""The pages that the ``type`` of a problem leads to."""

from html import escape

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from entrypoints.web.errors import Problem
from entrypoints.web.pages import page
from entrypoints.web.problem_types import PROBLEM_TYPES

router = APIRouter(include_in_schema=False)


@router.get("/problems")
async def problem_list() -> HTMLResponse:
    """All of them, each with the way to its page."""
    rows = "\n".join(
        f'<li>{kind.status} <a href="/problems/{escape(kind.code)}"><code>{escape(kind.code)}</code></a>: '
        f"{escape(kind.title)}</li>"
        for kind in PROBLEM_TYPES.values()
    )
    return page("Problems", f"<h1>Problems</h1>\n<ul>\n{rows}\n</ul>", headers={"Cache-Control": "max-age=3600"})


@router.get("/problems/{code}")
async def problem_page(code: str) -> HTMLResponse:
    """What a problem means and what to do about it."""
    kind = PROBLEM_TYPES.get(code)
    if kind is None:
        raise Problem("not-found", "There is no problem of this name.")
    return page(
        kind.title,
        f"<h1>{escape(kind.title)}</h1>\n"
        f"<p><code>{escape(kind.code)}</code>, HTTP status {kind.status}</p>\n"
        f"<h2>Cause</h2>\n<p>{escape(kind.cause)}</p>\n"
        f"<h2>Cure</h2>\n<p>{escape(kind.cure)}</p>",
        headers={"Cache-Control": "max-age=3600"},
    )
