"""Lines of JSON about requests: as the chain of processors makes them, for a fraction of what it costs.

Each request has a line, and most of it is the same for all requests on one route that come to the same: the chain makes
that part once. What differs is known to be harmless, or the line is left to the chain.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from structlog.typing import EventDict, Processor

from entrypoints.log_fields import now, writer
from ports.log_context import CURRENT_REQUEST_ID, handled
from ports.trace_context import CURRENT_TRACE

LOGGER: Final = "crossdock.access"
KINDS_MOST: Final = 1024  # of lines that are remembered

_HARMLESS: Final = re.compile(r"[A-Za-z0-9._~:/+-]{1,128}")  # there is nothing in it to mask or to escape
_MARK: Final = '"ecs.version": '  # before it stands what lines begin with; quotes inside of values are escaped


class RequestLines:
    """Writes them, for as long as ``chain`` begins as it does now: somebody may put another there to see all lines.

    ``render`` is what the chain does with a finished event, ``hidden`` what a finished line passes last.
    """

    def __init__(
        self,
        chain: Sequence[Processor],
        *,
        render: Callable[[EventDict], str],
        hidden: Callable[[str], str],
        write: Callable[[str], None],
    ) -> None:
        self._chain = chain
        self._first = chain[0]
        self._render = render
        self._hidden = hidden
        self._write = write
        self._same: dict[tuple[str, str, int, str | None], tuple[str, str]] = {}
        self._writer = writer()

    def tell(self, method: str, route: str, status: int, problem: str | None, seconds: float) -> bool:
        """Write the line; False if that is for the chain to do."""
        request_id = CURRENT_REQUEST_ID.get()
        if self._first not in self._chain or request_id is None:
            return False
        if not _HARMLESS.fullmatch(request_id) or handled() is not None:
            return False
        if self._writer is not writer():
            self._writer = writer()
            self._same.clear()
        kind = (method, route, status, problem)
        same = self._same.get(kind) or self._remembered(kind)
        place = CURRENT_TRACE.get()
        trace = "" if place is None else f'"trace.id": "{place.trace_id}", "span.id": "{place.span_id}", '
        line = (
            f'{{"@timestamp": "{now()}", {same[0]}"event.duration": {round(seconds * 1_000_000) * 1000}, '
            f'"http.request.id": "{request_id}", {trace}{same[1]}'
        )
        self._write(self._hidden(line))
        return True

    def _remembered(self, kind: tuple[str, str, int, str | None]) -> tuple[str, str]:
        method, route, status, problem = kind
        event: EventDict = {"event": "request", "method": method, "path": route, "status": status}
        if problem is not None:
            event["problem"] = problem
        line = self._render({**event, "level": "info", "logger": LOGGER})
        head, mark, tail = line.partition(", ")[2].partition(_MARK)
        if len(self._same) >= KINDS_MOST:
            self._same.clear()
        self._same[kind] = head, mark + tail
        return self._same[kind]


class _Chosen:
    lines: RequestLines | None = None


def use(lines: RequestLines | None) -> None:
    """Let these be written so from now on; with None, the chain writes all of them."""
    _Chosen.lines = lines


def chosen() -> RequestLines | None:
    """What writes them, if it is not the chain."""
    return _Chosen.lines
