"""One HTTP client for every adapter that asks an outside API.

Whatever the other side decides is bounded: connections, time, bytes. Redirects are not followed, compressed answers not
unpacked, the environment's proxies not used. No error, log line or traceback shows a parameter that was called secret.

It stands on httpx's transport, not on its client: the client keeps cookies, builds the next request of a redirect even
when it is not to follow it, and logs every address with its query.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypedDict, TypeVar, Unpack

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from adapters.http_connections import Connections
from adapters.reasons import reason
from ports.clock import Clock
from ports.errors import PortError, Rejected, Unavailable
from ports.trouble import Cause

RETRY_AFTER_MOST: Final = 60.0  # seconds; whoever asks for more patience is asked again sooner
# Of an answer in JSON: 256 KB of `{},{},…` fit into the limit of bytes and cost 300 MB and a second of the event loop
# to be told what is wrong with each. The weather of a city has about 60 parts.
PARTS_MOST: Final = 2_000
_TOLD_MOST: Final = 100  # faults in an answer; of more only their number is told

# Every exception of httpx has its row. What a network or a server may cure by itself is Unavailable.
ERRORS: Final[Mapping[type[Exception], type[PortError]]] = {
    httpx.HTTPError: Unavailable,
    httpx.RequestError: Unavailable,
    httpx.TransportError: Unavailable,
    httpx.TimeoutException: Unavailable,
    httpx.ConnectTimeout: Unavailable,
    httpx.ReadTimeout: Unavailable,
    httpx.WriteTimeout: Unavailable,
    httpx.PoolTimeout: Unavailable,
    httpx.NetworkError: Unavailable,
    httpx.ConnectError: Unavailable,  # a TLS handshake that failed, too
    httpx.ReadError: Unavailable,
    httpx.WriteError: Unavailable,
    httpx.CloseError: Unavailable,
    httpx.ProxyError: Unavailable,
    httpx.ProtocolError: Unavailable,
    httpx.RemoteProtocolError: Unavailable,  # mostly an answer that was cut off
    httpx.LocalProtocolError: Rejected,
    httpx.UnsupportedProtocol: Rejected,
    httpx.DecodingError: Rejected,
    httpx.TooManyRedirects: Rejected,
    httpx.HTTPStatusError: Rejected,
    httpx.InvalidURL: Rejected,
    httpx.CookieConflict: Rejected,
    httpx.StreamError: Rejected,
    httpx.StreamConsumed: Rejected,
    httpx.StreamClosed: Rejected,
    httpx.ResponseNotRead: Rejected,
    httpx.RequestNotRead: Rejected,
    OSError: Unavailable,  # should one get past httpx
}

WORDS: Final[Mapping[type[Exception], str]] = {
    httpx.HTTPError: "the question could not be put",
    httpx.ConnectTimeout: "no connection in time",
    httpx.TimeoutException: "no answer in time",
    httpx.ConnectError: "no connection",
    httpx.NetworkError: "the connection broke",
    httpx.ProxyError: "its proxy failed",
    httpx.RemoteProtocolError: "its answer was cut off, or is no HTTP",
    httpx.LocalProtocolError: "the question would not have been HTTP",
    httpx.UnsupportedProtocol: "its address is none of HTTP",
    httpx.InvalidURL: "its address is none of HTTP",
    httpx.DecodingError: "its answer cannot be unpacked",
}

_UNAVAILABLE_STATUSES: Final = frozenset({408, 425, 429, *range(500, 600)})
_KEY_STATUSES: Final = frozenset({401, 403})
_SECONDS: Final = re.compile(r"[0-9]+")
_DIGITS_MOST: Final = 12  # of a number of seconds that means anything
# Their lines of DEBUG show headers and broken status lines, and both may repeat the query.
_TALKATIVE_LOGGERS: Final = tuple(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))

Shape = TypeVar("Shape", bound=BaseModel)


def error_for(error: BaseException) -> type[PortError] | None:
    """The port's word for an exception, or for the nearest of its parents that has one; None when none has."""
    return next((ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS), None)


def error_for_status(status: int) -> type[PortError]:
    """The port's word for a status that nobody asked for."""
    return Unavailable if status in _UNAVAILABLE_STATUSES else Rejected


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that a ``Retry-After`` asks for (RFC 9110 §10.2.3: a number or a date), at most `RETRY_AFTER_MOST`.

    None when there is none, or one without meaning.
    """
    if value is None:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return min(float(value), RETRY_AFTER_MOST)
    try:
        date = parsedate_to_datetime(value)
        seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MOST)


def max_age(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer may be kept for (RFC 9111 §5.2.2); None when it does not say, or says nonsense."""
    found: float | None = None
    for directive in headers.get("Cache-Control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name in {"no-store", "no-cache"}:
            return 0.0
        if name == "max-age" and _SECONDS.fullmatch(value.strip('"')) and len(value) <= _DIGITS_MOST:
            found = float(value.strip('"'))
    age = headers.get("Age", "")
    if found is not None and _SECONDS.fullmatch(age) and len(age) <= _DIGITS_MOST:
        found = max(found - float(age), 0.0)
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, with a status that was expected."""

    host: str
    status: int
    body: bytes = field(repr=False)  # it may quote the question, and locals are shown in reports of errors
    max_age: float | None = None  # seconds that the other side lets it be kept for; None when it does not say

    def read(self, shape: type[Shape]) -> Shape:
        """The body as JSON of this shape; `Rejected` when it is anything else."""
        if sum(map(self.body.count, (b",", b"[", b"{"))) > PARTS_MOST:
            raise Rejected(f"{self.host} sent an answer that cannot be used: it has more than {PARTS_MOST} parts")
        try:
            return shape.model_validate_json(self.body)
        except ValidationError as error:
            places = _places(error)
        # Out here, since the error, its words and its frames quote the answer, and an answer may quote the question.
        raise Rejected(f"{self.host} sent an answer that cannot be used: {places}")


class Details(TypedDict, total=False):
    """How something is asked, beside its address: see `HttpClient.get`."""

    secrets: Mapping[str, SecretStr]
    expect: Collection[int]


class Sending(Details, total=False):
    """The same, for whoever wants to be asked once more before anything is sent."""

    before_sending: Callable[[], Awaitable[None]]


class HttpClient:
    """Asks once.

    ``connections`` bounds the calls on the wire at once; the seconds are for making a connection, for one wait for
    bytes to come or go, and for a whole call; ``bytes_most`` is for a body. ``tls`` says whose certificates to trust;
    without it, those that come with httpx.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        connections: int = 20,
        connect_seconds: float = 2.0,
        wait_seconds: float = 3.0,
        call_seconds: float = 5.0,
        bytes_most: int = 256 * 1024,
        user_agent: str = "crossdock",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._most = connections
        self._timeout = httpx.Timeout(wait_seconds, connect=connect_seconds)
        self._call_seconds = call_seconds
        self._bytes_most = bytes_most
        self._headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._tls = tls
        self._open: Connections | None = None
        self._calls: set[_Call] = set()

    @property
    def pools(self) -> Mapping[str, tuple[int, int]]:
        """How many connections are used or waited for, and how many there may be."""
        return {"http": (len(self._calls), self._most)}

    async def start(self) -> None:
        """Load the trusted certificates and make the pool; nothing is connected yet."""
        for name in _TALKATIVE_LOGGERS:
            logging.getLogger(name).addFilter(_nothing)
        tls = self._tls or httpx.create_ssl_context(trust_env=False)
        self._open = Connections(self._clock, most=self._most, tls=tls)

    async def stop(self) -> None:
        """End the calls in flight and close every connection; takes no longer than connections take to be made."""
        connections, self._open = self._open, None
        if connections is None:
            return
        calls = list(self._calls)
        for call in calls:
            call.leave()
        for call in calls:
            await call.ended()
        await connections.close()

    async def get(self, url: str, parameters: Mapping[str, str], **details: Unpack[Sending]) -> Answer:
        """Ask ``url`` with these query parameters; ``secrets`` are further ones, seen by nobody but the other side.

        Statuses in ``expect`` are answers; all else is `Unavailable` or `Rejected`, within the seconds of a call.
        ``before_sending`` is called when there is a connection, and may raise what a port may to send nothing.
        """
        if self._open is None:
            raise RuntimeError("the HTTP client is not started")
        address = _address(url)
        if address is None:
            raise Rejected("the address of an outside API is no URL of HTTP")
        question = _Question(address, parameters, details.get("secrets", {}), details.get("expect", (200,)))
        call = _Call(details.get("before_sending"))
        task = call.begin(self._exchange(self._open, question, call))
        self._calls.add(call)
        task.add_done_callback(lambda _: self._calls.discard(call))
        try:
            await asyncio.wait({task}, timeout=self._call_seconds)
        finally:
            call.leave()
        return _outcome(task, question.address.host)

    async def _exchange(self, connections: Connections, question: "_Question", call: "_Call") -> Answer:
        async with connections.one(question.origin) as transport:
            call.connecting()
            request = httpx.Request(
                "GET",
                question.whole_address(),
                headers=self._headers,
                extensions={"timeout": self._timeout.as_dict(), "trace": call.trace},
            )
            response = await transport.handle_async_request(request)
            try:
                return await self._read(question, response)
            finally:
                await response.aclose()

    async def _read(self, question: "_Question", response: httpx.Response) -> Answer:
        host, status = question.address.host, response.status_code
        if status not in question.expect:
            if error_for_status(status) is Unavailable:
                wait = retry_after(response.headers.get("Retry-After"), self._clock.now())
                cause = Cause.LIMITED if status == 429 or wait else Cause.OUT_OF_REACH
                raise Unavailable(f"{host} answered {status}", retry_after=wait, cause=cause)
            if status in _KEY_STATUSES and question.secrets:
                raise Rejected(f"{host} refuses our key: it answered {status}")
            raise Rejected(f"{host} answered {status}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Rejected(f"{host} sent a compressed answer that was not asked for")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > self._bytes_most:
                raise Rejected(f"{host} sent more than {self._bytes_most} bytes")
        return Answer(host, status, bytes(body), max_age(response.headers))


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, with its secrets under cover."""

    address: httpx.URL
    parameters: Mapping[str, str]
    secrets: Mapping[str, SecretStr]
    expect: Collection[int]

    @property
    def origin(self) -> str:
        """Where its connection goes to."""
        return f"{self.address.scheme}://{self.address.netloc.decode()}"

    def whole_address(self) -> httpx.URL:
        """The address with every parameter, to be held by nobody for longer than it takes to ask."""
        secrets = {name: secret.get_secret_value() for name, secret in self.secrets.items()}
        return self.address.copy_merge_params({**self.parameters, **secrets})


class _Call:
    """The task of one call, which is only ever ended where that is safe.

    A cancellation that reaches httpx while it opens a connection leaves that open, and nobody has it any more. So a
    call that was left by its caller is cancelled only while it waits for a connection to be free or moves bytes on one;
    between the two it gives up by itself before it sends anything.
    """

    def __init__(self, before_sending: Callable[[], Awaitable[None]] | None = None) -> None:
        self._before_sending = before_sending
        self._task: asyncio.Task[Answer] | None = None
        self._left = False
        self._may_be_cancelled = True

    def begin(self, exchange: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        """Run ``exchange`` in a task that outlives the cancellation of whoever waits for it."""
        self._task = asyncio.create_task(exchange)
        self._task.add_done_callback(_look_at_the_error)
        return self._task

    def connecting(self) -> None:
        """From here on httpx must not be disturbed, until `trace` hears that the connection is there."""
        self._may_be_cancelled = False

    async def trace(self, step: str, _: object) -> None:
        """Follow the steps of httpx (its ``trace`` extension)."""
        if step == "http11.send_request_headers.started":
            if self._before_sending is not None and not self._left:
                await self._before_sending()
            if self._left:
                raise httpx.TimeoutException("nobody waits for this answer any more")
            self._may_be_cancelled = True
        elif step == "http11.response_closed.started":
            self._may_be_cancelled = False

    def leave(self) -> None:
        """Nobody waits any more: end the task now if it may be, else as soon as it may."""
        self._left = True
        if self._may_be_cancelled and self._task is not None:
            self._may_be_cancelled = False
            self._task.cancel()

    async def ended(self) -> None:
        """Return when the task has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})


def _address(url: str) -> httpx.URL | None:
    try:
        address = httpx.URL(url)
        host = address.host  # is decoded only now
    except (httpx.InvalidURL, UnicodeError):
        return None
    return address if address.scheme in {"http", "https"} and host and (address.port or 0) < 0x10000 else None


def _places(error: ValidationError) -> str:
    """Where an answer is wrong, in short."""
    if error.error_count() > _TOLD_MOST:
        return f"{error.error_count()} faults"
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(sorted({".".join(map(str, fault["loc"])) or "body" for fault in faults})[:5])


def _outcome(task: asyncio.Task[Answer], host: str) -> Answer:
    if not task.done() or task.cancelled():
        raise Unavailable(f"{host} did not answer in time")
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, PortError):
        raise error.with_traceback(None)  # its frames hold the whole address
    kind = error_for(error)
    if kind is None:
        raise error
    raise kind(f"{host} could not be asked: {reason(error, WORDS)}") from _covered(error)


def _covered(error: BaseException) -> BaseException:
    """The error without what may show the request: its frames, its own causes, and words that quote the other side.

    The words of the network and of time-outs come from this machine and tell the operator what to look at.
    """
    if not isinstance(error, (httpx.NetworkError, httpx.TimeoutException)):
        error.args = ()
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _look_at_the_error(task: asyncio.Task[Answer]) -> None:
    """Or asyncio complains about the error of a call that was left."""
    if not task.cancelled():
        task.exception()


def _nothing(_: logging.LogRecord) -> bool:
    return False
