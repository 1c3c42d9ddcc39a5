"""Pages for people: plain HTML that loads nothing from elsewhere and runs nothing inline."""

from functools import cache
from hashlib import blake2b
from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse

from entrypoints.web.errors import Problem
from entrypoints.web.problem_types import PROBLEM_TYPES

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)

_OURS = Path(__file__).parent / "static"
_SWAGGER_UI = Path(str(files("fastapi_standalone_docs"))) / "static" / "swagger"

# The only files that are served; a name is looked up here and never joined to a path.
_FILES = {
    "pages.css": (_OURS / "pages.css", "text/css"),
    "operator.css": (_OURS / "operator.css", "text/css"),
    "operator.js": (_OURS / "operator.js", "text/javascript"),
    "docs.js": (_OURS / "docs.js", "text/javascript"),
    "signed-in.js": (_OURS / "signed-in.js", "text/javascript"),
    "swagger-ui.css": (_SWAGGER_UI / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (_SWAGGER_UI / "swagger-ui-bundle.js", "text/javascript"),
}


@cache
def static_address(name: str) -> str:
    """Where a file of ours is; another address when it is another, so that a browser keeps no old one."""
    return f"/static/{name}?v={blake2b(_FILES[name][0].read_bytes(), digest_size=6).hexdigest()}"


def page(
    title: str,
    body: str,
    *,
    before: str = "",
    after: str = "",
    style: str = "pages.css",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    """A whole page around ``body``, which is HTML already: every value in it has been escaped.

    ``before`` and ``after`` stand outside of what is the content.
    """
    document = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Crossdock</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{static_address(style)}">
</head>
<body>
{before}<main id="main">
{body}
</main>
{after}</body>
</html>
"""
    # Under no-referrer a browser would send the forms of a page with "Origin: null", which is no origin of ours.
    ours = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Referrer-Policy": "same-origin"}
    return HTMLResponse(document, status, headers={**ours, **(headers or {})})


@router.get("/static/{name}")
async def static_file(name: str) -> FileResponse:
    """One of our few files."""
    if name not in _FILES:
        raise Problem("not-found", PROBLEM_TYPES["not-found"].cause)
    path, media_type = _FILES[name]
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": "max-age=3600"})
