"""A request that comes again is answered as the first time (draft-ietf-httpapi-idempotency-key-header).

What it was answered is kept in the transaction of what it did, so there are both or neither, however a process ends.
Until somebody sends a key twice, that is one more row of the same commit, and nothing is looked up.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from starlette.background import BackgroundTasks

from entrypoints.web.dependencies import container_of
from entrypoints.web.errors import Problem, retry_after
from entrypoints.web.fields import to_json
from entrypoints.web.security import Caller
from ports.clock import Clock
from ports.errors import Conflict, Precondition
from ports.persistence import Answer

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
KEY_MOST = 255
WAIT_SECONDS = 0.8  # for a request with the same key; with a commit after it, a caller is answered within 5
PROBLEMS: Final = ("invalid-idempotency-key", "idempotency-key-in-use", "idempotency-key-reused")

# A string of structured fields (RFC 9651), where \" and \\ stand for one character; or the key as it is.
_QUOTED = rf'"(?:[!#-\[\]-~]|\\["\\]){{1,{KEY_MOST}}}"'
_BARE = rf"[!#-~][!-~]{{0,{KEY_MOST - 1}}}"
_QUOTED_KEY = re.compile(_QUOTED)
_BARE_KEY = re.compile(_BARE)
_ESCAPED = re.compile(r"\\(.)")

PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": f"1 to {KEY_MOST} visible ASCII characters that this caller sends with no other request here; "
    "quoted or bare is the same key. Once a request with it has succeeded, the same request is answered the same, "
    f"with `{REPLAYED}: true`, and nothing is done twice. A request that was refused does not use up its key.",
    "schema": {"type": "string", "pattern": f"^(?:{_QUOTED}|{_BARE})$"},
    "example": '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
}

Made = TypeVar("Made")
Keeping = Callable[[Made], Answer]


class KeysInUse:
    """Which keys belong to requests that this process is at, and what these are answered in the end."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        # A future only where somebody waits for it, which is nearly never.
        self._running: dict[str, asyncio.Future[Answer | None] | None] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._running

    def begin(self, id: str) -> None:
        """From here on others who ask for the same wait."""
        self._running[id] = None

    def end(self, id: str, answer: Answer | None) -> None:
        """Tell them what it is answered; None when it was refused."""
        waited_for = self._running.pop(id)
        if waited_for is not None:
            waited_for.set_result(answer)

    async def wait(self, id: str) -> Answer | None:
        """Return when nobody is at it: with the answer of the last one, if that was no refusal.

        A `Problem` when it takes longer than a moment.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + WAIT_SECONDS
        while id in self._running:
            running = self._running[id]
            if running is None:
                running = self._running[id] = loop.create_future()
            await asyncio.wait({running}, timeout=until - loop.time())
            if not running.done():
                raise _in_use("A request with this key is still running.")
            if (answer := running.result()) is not None:
                return answer
        return None


def answer_created(body: object, location: str, background: BackgroundTasks | None = None) -> Response:
    """The answer to a request that came without a key."""
    return _response(201, location, to_json(body), background)


def key_of(request: Request) -> str | None:
    """The key of the request; None when it has none. A `Problem` when it is none, or not clear which."""
    found: list[bytes] = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not found:
        return None
    if len(found) > 1:
        raise _invalid("There is more than one of them.")
    text = found[0].decode("latin-1").strip(" \t")
    if _BARE_KEY.fullmatch(text):
        return text
    if _QUOTED_KEY.fullmatch(text):
        return _ESCAPED.sub(r"\1", text[1:-1])
    raise _invalid("It cannot be read as a key." if text.strip('"') else "It is empty.")


async def created_once(
    request: Request,
    caller: Caller,
    key: str,
    *,
    operation: str,
    asked: object,
    make: Callable[[Keeping[Made]], Awaitable[object]],
    told: Callable[[Made], tuple[object, str]],
    background: BackgroundTasks | None = None,
) -> Response:
    """Make what is ``asked`` for, unless that has been done under this key; the answer to it in either case.

    A key belongs to a caller and an ``operation``; ``asked`` is what counts as the same request, in its normal form.
    ``make`` commits what it makes together with the answer to it; ``told`` gives the body and the location of that.
    """
    keys: KeysInUse = request.app.state.keys_in_use
    owner = [] if caller is None else [caller.issuer, caller.subject]
    id_, fingerprint = _digest([operation, *owner, key]), _digest(asked)
    given = ours = None

    def answer(made: Made) -> Answer:
        nonlocal ours
        body, location = told(made)
        ours = Answer(id_, fingerprint, 201, location, to_json(body), keys.now())
        return ours

    if id_ in keys:
        given = await keys.wait(id_)
    if given is None:
        keys.begin(id_)
        try:
            await make(answer)
            given = ours
        except Conflict as conflict:
            given = await _stored(request, id_, conflict)
        finally:
            keys.end(id_, given)
    assert given is not None  # noqa: S101 - what was made was answered
    if given.fingerprint != fingerprint:
        raise Problem("idempotency-key-reused", "Another request of yours had this key, and asked for something else.")
    response = _response(given.status, given.location, given.body, background)
    if given is not ours:
        response.headers[REPLAYED] = "true"
    return response


async def _stored(request: Request, id: str, conflict: Conflict) -> Answer:
    if conflict.precondition is not Precondition.KEY_IS_NEW:
        raise conflict
    stored = await container_of(request).persistence().answers.get(id)
    if stored is None:  # forgotten since
        raise _in_use("What became of the request with this key is not known yet.") from conflict
    return stored


def _response(status: int, location: str, body: bytes, background: BackgroundTasks | None) -> Response:
    return Response(body, status, headers={"Location": location}, media_type="application/json", background=background)


def _digest(value: object) -> str:
    return blake2b(to_json(value), digest_size=32).hexdigest()


def _invalid(why: str) -> Problem:
    return Problem(
        "invalid-idempotency-key",
        f"{why} The {HEADER} header is 1 to {KEY_MOST} visible ASCII characters, quoted or bare, and stands once.",
    )


def _in_use(why: str) -> Problem:
    return Problem("idempotency-key-in-use", f"{why} Send it again in a moment.", headers=retry_after(1))
