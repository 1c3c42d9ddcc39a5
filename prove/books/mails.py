"""A mail server that accepts everything and keeps who got what."""

import asyncio
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from typing import Self

from tools.services.ports import HOST


@dataclass(frozen=True, slots=True)
class Mail:
    """One that was accepted."""

    id: str
    to: str
    subject: str


class Mailbox:
    """Speaks as much of RFC 5321 as it takes to be given a mail."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.Task[None], StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._talks.values():
            writer.transport.abort()
        await asyncio.gather(*self._talks)

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"smtp://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks[talk] = writer
        try:
            await self._session(reader, writer)
        except (OSError, EOFError):
            pass  # whoever wrote was killed
        finally:
            del self._talks[talk]
            writer.transport.abort()

    async def _session(self, reader: StreamReader, writer: StreamWriter) -> None:
        to: list[str] = []
        writer.write(b"220 prove\r\n")
        while line := (await reader.readline()).decode(errors="replace").strip():
            verb = line[:4].upper()
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                content = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
                message = message_from_bytes(content.replace(b"\r\n..", b"\r\n."), policy=default)
                self.mails += [Mail(str(message["Message-ID"]), one, str(message["Subject"])) for one in to]
            elif verb == "RCPT":
                to.append(line.partition("<")[2].partition(">")[0])
            elif verb in {"MAIL", "RSET"}:
                to = []
            writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 OK\r\n")
            await writer.drain()
            if verb == "QUIT":
                return
