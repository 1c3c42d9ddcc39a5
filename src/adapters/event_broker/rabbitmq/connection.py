"""A connection to RabbitMQ that can be awaited, over pika's own for asyncio."""

import asyncio
import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika.channel  # type: ignore[import-untyped]
from pika.adapters.asyncio_connection import AsyncioConnection  # type: ignore[import-untyped]
from pika.connection import Parameters  # type: ignore[import-untyped]
from pika.exceptions import (  # type: ignore[import-untyped]
    AMQPConnectionError,
    ChannelWrongStateError,
    ConnectionWrongStateError,
    StreamLostError,
)
from pika.frame import Header  # type: ignore[import-untyped]
from pika.spec import FRAME_END, FRAME_HEADER, FRAME_HEADER_SIZE, BasicProperties  # type: ignore[import-untyped]

log = logging.getLogger("crossdock.event_broker")

CLOSE_SECONDS = 2.0
_WRITE_BYTES = 128 * 1024
_SIZE_OF_HEADER = 12  # of a message's header without its properties: class, weight and size of the body


class Connection:
    """One connection and the channels on it; once lost it stays lost."""

    def __init__(self, connection: "_PikaConnection") -> None:
        self._pika = connection
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._when_blocked: set[Callable[[], None]] = set()
        self.is_blocked = False
        self.error: BaseException | None = None
        self._server: dict[str, Any] = dict(connection.server_properties or {})
        connection.add_on_close_callback(self._on_lost)
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)

    @classmethod
    async def open(cls, parameters: Parameters, *, seconds: float) -> "Connection":
        """Connect within ``seconds``; raises what pika and the system raise."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[Connection] = loop.create_future()

        def on_open(connection: "_PikaConnection") -> None:
            if opened.done():
                connection.abort()
            else:
                opened.set_result(cls(connection))

        def on_error(_: object, error: BaseException | None) -> None:
            if not opened.done():
                opened.set_exception(error or AMQPConnectionError("the connection was not opened"))

        connection = _PikaConnection(parameters, on_open, on_error, custom_ioloop=loop)
        try:
            async with asyncio.timeout(seconds):
                return await opened
        except BaseException:
            opened.cancel()
            connection.abort()
            raise

    @property
    def is_open(self) -> bool:
        return self.error is None and bool(self._pika.is_open)

    @property
    def properties_most(self) -> int:
        """Bytes that the properties of a message may have: they share a frame with its size."""
        return int(self._pika.params.frame_max - FRAME_HEADER_SIZE - _SIZE_OF_HEADER - 1)

    @property
    def cluster(self) -> str:
        """The name that the cluster has given itself."""
        return self._told("cluster_name")

    def is_version(self, major: int) -> bool:
        """Whether this is RabbitMQ of such a version or a later one."""
        first = self._told("version").partition(".")[0]
        return self._told("product") == "RabbitMQ" and first.isdecimal() and int(first) >= major

    async def lost(self) -> None:
        """Return when the connection is lost or closed."""
        await asyncio.shield(self._lost)

    @contextmanager
    def when_blocked(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` when the server takes no more messages, for want of memory or disk."""
        self._when_blocked.add(callback)
        try:
            yield
        finally:
            self._when_blocked.discard(callback)

    async def channel(self) -> "Channel":
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_open(_: object) -> None:
            if not opened.done():
                opened.set_result(None)

        channel = Channel(self._pika.channel(on_open_callback=on_open))
        try:
            await channel.answer(opened)
        except BaseException:
            channel.close()
            raise
        return channel

    async def check(self) -> None:
        """Return when the server has answered."""
        (await self.channel()).close()

    async def close(self) -> None:
        """Say goodbye; within a bound, and else without."""
        try:
            with suppress(TimeoutError, ConnectionWrongStateError):
                if self.is_open:
                    self._pika.close()
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.lost()
        finally:
            self.abort()

    def abort(self) -> None:
        """Let go of it at once; what was not sent never is."""
        self.error = self.error or StreamLostError("the connection was given up")
        self._pika.abort()

    def _told(self, name: str) -> str:
        value = self._server.get(name, "")
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def _on_lost(self, _: object, error: BaseException | None) -> None:
        self.error = self.error or error or StreamLostError("the connection was lost")
        if not self._lost.done():
            self._lost.set_result(None)

    def _on_blocked(self, *_: object) -> None:
        self.is_blocked = True
        for callback in tuple(self._when_blocked):
            callback()

    def _on_unblocked(self, *_: object) -> None:
        self.is_blocked = False


class Channel:
    """A channel whose requests can be awaited; they fail when it is closed, whoever closes it."""

    def __init__(self, channel: Any) -> None:
        self.pika = channel
        self.error: BaseException | None = None
        self._awaited: set[asyncio.Future[Any]] = set()
        self._when_closed: list[Callable[[BaseException], None]] = []
        channel.add_on_close_callback(self._on_closed)

    @property
    def is_open(self) -> bool:
        return self.error is None and bool(self.pika.is_open)

    async def ask(self, method: str, **arguments: Any) -> Any:
        """Call this method of pika's channel and return the server's answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.error is not None:
            raise self.error

        def on_answer(frame: Any) -> None:
            if not answer.done():
                answer.set_result(frame)

        getattr(self.pika, method)(callback=on_answer, **arguments)
        return await self.answer(answer)

    async def answer(self, answer: asyncio.Future[Any]) -> Any:
        """Wait for what is set by a callback, or for the end of the channel."""
        self._awaited.add(answer)
        try:
            return await answer
        finally:
            self._awaited.discard(answer)

    def when_closed(self, callback: Callable[[BaseException], None]) -> None:
        self._when_closed.append(callback)

    def close(self) -> None:
        """Ask for its end and wait for nothing; what it has in hand goes back to its queue, in order."""
        with suppress(ChannelWrongStateError, ConnectionWrongStateError):
            self.pika.close()

    def _on_closed(self, _: object, error: BaseException) -> None:
        self.error = error
        for answer in self._awaited:
            if not answer.done():
                answer.set_exception(error)
        for callback in self._when_closed:
            callback(error)


class _PikaChannel(pika.channel.Channel):  # type: ignore[misc]
    """Closes without cancelling its consumers before.

    A consumer that is cancelled while it has messages in hand makes the next one active, and only then its messages go
    back to the queue: the next one would see them after later ones.
    """

    def close(self, reply_code: int = 0, reply_text: str = "Normal shutdown") -> None:
        self._cancelled.update(self._consumers)
        super().close(reply_code, reply_text)


class _PikaConnection(AsyncioConnection):  # type: ignore[misc]
    """Writes what is sent in one turn of the event loop together, and lives with headers that pika cannot read."""

    def __init__(self, *args: Any, custom_ioloop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        self._loop = custom_ioloop
        self._outgoing: list[bytes] = []
        self._error: BaseException | None = None
        super().__init__(*args, custom_ioloop=custom_ioloop, **kwargs)

    def abort(self) -> None:
        """Close the socket, in whatever state the connection is; may be called again."""
        if self._opened and self._transport is not None:
            self._error = self._error or StreamLostError("the connection was given up")
            self._remove_heartbeat()
            self._transport.abort()
        elif not (self.is_closed or self.is_closing):
            self.close()  # before it is open, this ends the attempt

    def _on_connection_workflow_done(self, conn_or_exc: Any) -> None:
        # Of an attempt that is given up while it logs in pika tells the class of the error, and then stumbles over it.
        super()._on_connection_workflow_done(conn_or_exc() if isinstance(conn_or_exc, type) else conn_or_exc)

    def _create_channel(self, channel_number: int, on_open_callback: Callable[..., Any] | None) -> _PikaChannel:
        return _PikaChannel(self, channel_number, on_open_callback)

    def _adapter_emit_data(self, data: bytes) -> None:
        # One system call for each frame is what pika spends most of its time with.
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self._transport is None:
            return  # whoever waits for an answer is told of the loss
        start = size = 0
        for end, data in enumerate(outgoing, start=1):
            size += len(data)
            if size >= _WRITE_BYTES or end == len(outgoing):
                self._transport.write(b"".join(outgoing[start:end]))
                start, size = end, 0

    def _read_frame(self) -> Any:
        try:
            return super()._read_frame()
        except Exception as error:  # an infinite number, a time after the year 9999: pika raises what Python does
            buffer = self._frame_buffer
            kind, channel, size = struct.unpack_from(">BHL", buffer)
            end = FRAME_HEADER_SIZE + size
            if kind != FRAME_HEADER or buffer[end] != FRAME_END:
                raise
            # The message would come again with each new connection, and end that one too.
            log.warning("a message has headers that cannot be read (%s); it is received without any", error)
            (body_size,) = struct.unpack_from(">Q", buffer, FRAME_HEADER_SIZE + 4)
            return end + 1, Header(channel, body_size, BasicProperties())
