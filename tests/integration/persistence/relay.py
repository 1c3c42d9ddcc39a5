"""Stands between a client and a server, and loses what it is told to lose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Passes bytes on, both ways; each fault is for the next connection that says something."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.lose_question = False  # the connection breaks before the next thing asked has arrived
        self.lose_answer = False  # it breaks when the next answer is on its way
        self.silent = False  # nothing passes any more, and nothing breaks
        self.lost = 0
        self._is_away = False
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port to talk to instead."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def go_away(self) -> None:
        """Break every connection, and let nobody in until `come_back`."""
        self._is_away = True
        for task in self._tasks:
            task.cancel()

    def come_back(self) -> None:
        """Let everybody in again."""
        self._is_away = False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_away:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
            writers.append(up_writer)
            both = [
                asyncio.create_task(self._pass(reader, up_writer, asking=True)),
                asyncio.create_task(self._pass(up_reader, writer, asking=False)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        finally:
            for each in writers:
                each.transport.abort()
            for each in writers:
                with suppress(OSError):
                    await each.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asking: bool) -> None:
        while data := await reader.read(65_536):
            if self.silent:
                await asyncio.Event().wait()
            if self.lose_question and asking:
                self.lose_question = False
                self.lost += 1
                return
            if self.lose_answer and not asking:
                self.lose_answer = False
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()
