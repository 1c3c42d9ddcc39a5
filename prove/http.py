"""A client of few lines: one request at a time on a connection, each bounded, and no answer is an answer too."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

# More than the product may take for any request while its database is away.
ANSWER_SECONDS = 20.0


class NoAnswer(Exception):
    """Whether the request was carried out is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and its JSON; ``replayed``, when it is said to have been given before."""

    status: int
    body: Any
    replayed: bool = False


class Connection:
    """Keeps alive what the server keeps alive, and is made again after each failure."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, value: object = None, *, key: str) -> Answer:
        """`NoAnswer` when the connection ends or the time is over before the answer is complete."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._ask(method, path, value, key)
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
            self.close()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _ask(self, method: str, path: str, value: object, key: str) -> Answer:
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = b"" if value is None else json.dumps(value).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        head += f'Idempotency-Key: "{key}"\r\n'
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:])}
        content = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").lower() == "close":
            self.close()
        replayed = headers.get("idempotency-replayed") == "true"
        return Answer(int(lines[0].split()[1]), json.loads(content), replayed)
