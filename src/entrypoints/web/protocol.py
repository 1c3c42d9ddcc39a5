"""HTTP/1.1 with bounds that the server leaves open: how large and how slow the head of a request may be."""

import asyncio
import logging
import re
import sys
from http import HTTPStatus
from uuid import uuid4

from httptools import HttpParserInvalidMethodError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from entrypoints.web.bodies import BODY_SECONDS, WHOLE
from entrypoints.web.errors import REQUEST_ID, Problem
from entrypoints.web.middleware import completed
from entrypoints.web.problem_types import PROBLEM_TYPES

HEAD_MOST = 128 * 1024  # bytes of request line and headers: a token that is far too large is refused as a token
HEAD_SECONDS = 20.0  # from the first byte, or from the connection, to the end of the headers
MESSAGE_SECONDS = BODY_SECONDS + 5  # from its headers to its end, also of a body that nobody reads

_END_OF_HEAD = b"\r\n\r\n"
# RFC 9112 §3, of any method: whole, and what may still become one. Each piece has the latter looked at again, so it is
# bounded.
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.[01]\r\n")
_BEGINNING = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,80}( ([!-~]{1,8000}( (H(T(T(P(/(1(\.([01]\r?)?)?)?)?)?)?)?)?)?)?)?"
)
_log = logging.getLogger("crossdock.http")


class BoundedProtocol(HttpToolsProtocol):
    """A connection that cannot be used to hold the service up.

    A head without end is collected in quadratic time, and a connection that sends nothing is kept for ever, unless
    somebody counts. What cannot be read as HTTP is refused with a problem document like everything else.
    """

    _head = 0  # bytes of it that have come, of the request that is being received
    _tail = b""  # the last of them: the end of the head may come in pieces
    _in_head = True
    _line = b""  # the request line, until it has come whole
    _patience: asyncio.TimerHandle | None = None
    _body_patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_waiting_for_body()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            joined = self._tail + data
            end = joined.find(_END_OF_HEAD)
            if self._line or not self._head:
                self._line += data
            self._head += len(data) if end < 0 else end - len(self._tail)
            self._tail = joined[-len(_END_OF_HEAD) + 1 :]
            if self._head > HEAD_MOST:
                self._refuse("headers-too-large", f"Request line and headers have at most {HEAD_MOST:,} bytes.")
                return
        super().data_received(data)
        if self._line and b"\n" in self._line:
            self._line = b""
        if self._in_head and self._head and self._patience is None:
            self._wait_for_head()  # most heads come in one piece and need no clock
        if not self._in_head and self._body_patience is None:
            # Whoever reads the body has a clock of its own, and refuses. An answer that does not want it leaves nobody
            # to read it, and each byte of it starts the server's clock of idle connections anew.
            self._body_patience = self.loop.call_later(MESSAGE_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        # Where what follows in the same piece begins is not known, and a connection that waits keeps nothing.
        self._in_head, self._head, self._tail, self._line = False, 0, b"", b""
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._stop_waiting_for_body()
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - told as a problem document
        # The parser knows the methods that are registered and gives up at any other. We are called while it does so, as
        # soon as it can tell, and again with each further piece.
        is_method = isinstance(sys.exception(), HttpParserInvalidMethodError)
        if is_method and _REQUEST_LINE.match(self._line):
            self._refuse("method-not-implemented", PROBLEM_TYPES["method-not-implemented"].cause)
        elif not (is_method and _BEGINNING.fullmatch(self._line)):
            self._refuse("malformed-request", "What was sent is not an HTTP/1.1 request.")

    def _wait_for_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _stop_waiting_for_body(self) -> None:
        if self._body_patience is not None:
            self._body_patience.cancel()
            self._body_patience = None

    def _lose_patience(self) -> None:
        if self._head:
            self._refuse("request-timeout", f"The headers did not come within {HEAD_SECONDS:g} seconds.")
        else:
            self.transport.close()  # it never asked for anything

    def _refuse(self, code: str, detail: str) -> None:
        """Answer without the application, which has no request to answer, and close."""
        self._stop_waiting()
        request_id = str(uuid4())
        answer = Problem(code, detail).response({"type": "http", "path": "/", REQUEST_ID: request_id})
        _log.warning("connection refused: %s", detail, extra={"request_id": request_id})
        status = HTTPStatus(answer.status_code)
        head = [f"HTTP/1.1 {status} {status.phrase}\r\n".encode(), b"connection: close\r\n"]
        headers = completed(answer.raw_headers, request_id.encode())
        head += [name + b": " + value + b"\r\n" for name, value in headers]
        head.append(b"\r\n")
        self.transport.write(b"".join(head) + bytes(answer.body))
        self.transport.close()
