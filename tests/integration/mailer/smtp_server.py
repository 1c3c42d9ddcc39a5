"""A local SMTP server that takes every mail, and can also misbehave at every stage of the conversation."""

import asyncio
import base64
import ssl
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import StrEnum
from socket import SO_LINGER, SOL_SOCKET
from typing import Final, Self

from domain.model.email import Email
from ports.mailer import Mail

USER: Final = "shop"
PASSWORD: Final = "canary-5f3a9c"


class Stage(StrEnum):
    """Where in the conversation."""

    GREETING = "greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"
    RSET = "RSET"
    QUIT = "QUIT"


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it arrived, and how."""

    sender: str
    recipient: str
    options: tuple[str, ...]
    content: bytes
    encrypted: bool
    user: str | None

    @property
    def mail(self) -> Mail:
        return read_mail(self.content)


def read_mail(content: bytes) -> Mail:
    """What a mail program would show."""
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    assert (message["MIME-Version"], message.get_content_type()) == ("1.0", "text/plain")
    return Mail(
        message_id=str(message["Message-ID"]),
        to=Email(str(message["To"])),
        subject=str(message["Subject"]),
        text=str(message.get_content()).replace("\r\n", "\n"),
    )


class Connection:
    """One conversation."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.sender = self.recipient = ""
        self.options: tuple[str, ...] = ()
        self.user: str | None = None

    async def say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()

    async def line(self) -> str:
        line = await self.reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError
        return line.decode().rstrip("\r\n")

    @property
    def encrypted(self) -> bool:
        return self.writer.get_extra_info("sslcontext") is not None


class Cut(Exception):
    """The connection is to be reset."""


Script = Callable[[Connection], Awaitable[None]]


def answers(*lines: str) -> Script:
    """These lines instead of what would be right."""

    async def script(connection: Connection) -> None:
        await connection.say(*lines)

    return script


async def hangs(connection: Connection) -> None:
    """Never answers, whatever it is told."""
    while await connection.reader.read(65_536):
        pass
    raise Cut


async def cuts(_: Connection) -> None:
    """Resets the connection."""
    raise Cut


class SmtpServer:
    """Answers on a free port of 127.0.0.1 and keeps what it received.

    It behaves, unless it was told what comes `next` at a stage, or what comes `always` there.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        extensions: tuple[str, ...] = ("SIZE 1000000", "SMTPUTF8", "8BITMIME"),
        login: bool = False,
    ) -> None:
        self.received: list[Received] = []
        self.heard: list[str] = []  # each command, and whether it came in the clear
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._tls, self._implicit = tls, implicit
        self._extensions = extensions
        self._login = login
        self._next: defaultdict[Stage, list[Script | None]] = defaultdict(list)
        self._always: dict[Stage, Script] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._news = asyncio.Condition()

    def next(self, stage: Stage, *scripts: Script | None) -> None:
        """What comes the next times at this stage, one each; None is what is right."""
        self._next[stage].extend(scripts)

    def always(self, stage: Stage, script: Script) -> None:
        self._always[stage] = script

    def behave(self) -> None:
        """As it should be, from now on."""
        self._next.clear()
        self._always.clear()

    async def nobody_is_connected(self) -> None:
        """Return when every connection is closed."""
        async with self._news:
            await self._news.wait_for(lambda: self.open == 0)

    async def has_received(self, number: int) -> None:
        """Return when so many mails have arrived."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.received) == number)

    def hang_up(self) -> None:
        """End all conversations that go on."""
        for task in self._serving:
            task.cancel()

    async def __aenter__(self) -> Self:
        tls = self._tls if self._implicit else None
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # As a task of our own: the server's own would tell the loop of what we do on purpose.
        task = asyncio.get_running_loop().create_task(self._serve(Connection(reader, writer)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, connection: Connection) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._at(Stage.GREETING, connection, answers("220 here"))
            while await self._exchange(connection):
                pass
        except (Cut, ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            _reset(connection.writer)
        finally:
            connection.writer.close()
            self.open -= 1
            await self._tell()

    async def _at(self, stage: Stage, connection: Connection, right: Script) -> None:
        scripted = self._next[stage].pop(0) if self._next[stage] else self._always.get(stage)
        await (scripted or right)(connection)

    async def _exchange(self, connection: Connection) -> bool:
        line = await connection.line()
        self.heard.append(f"{line}{'' if connection.encrypted else ' (clear)'}")
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "EHLO" | "HELO":
                await self._at(Stage.EHLO, connection, answers(*self._offers(connection)))
            case "STARTTLS":
                await self._at(Stage.STARTTLS, connection, self._start_tls)
            case "AUTH":
                await self._at(Stage.AUTH, connection, lambda connection: self._authenticate(connection, rest))
            case "MAIL":
                connection.sender, *options = rest.removeprefix("FROM:").split()
                connection.options = tuple(options)
                await self._at(Stage.MAIL, connection, answers("250 ok"))
            case "RCPT":
                connection.recipient = rest.removeprefix("TO:")
                await self._at(Stage.RCPT, connection, answers("250 ok"))
            case "DATA":
                await self._at(Stage.DATA, connection, self._take)
            case "RSET":
                await self._at(Stage.RSET, connection, answers("250 ok"))
            case "QUIT":
                await self._at(Stage.QUIT, connection, answers("221 bye"))
                return False
            case _:
                await connection.say("502 what?")
        return True

    def _offers(self, connection: Connection) -> list[str]:
        offers = ["here", *self._extensions]
        if self._tls is not None and not connection.encrypted:
            offers.append("STARTTLS")
        if self._login:
            offers.append("AUTH PLAIN LOGIN")
        return [*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}"]

    async def _start_tls(self, connection: Connection) -> None:
        assert self._tls is not None
        await connection.say("220 go on")
        await connection.writer.start_tls(self._tls)

    async def _authenticate(self, connection: Connection, rest: str) -> None:
        method, _, given = rest.partition(" ")
        if method.upper() == "LOGIN":
            await connection.say("334 UGFzc3dvcmQ6")
            user, password = (base64.b64decode(part).decode() for part in (given, await connection.line()))
        else:
            _, user, password = base64.b64decode(given).decode().split("\0")
        if (user, password) != (USER, PASSWORD):
            # Servers have been seen to repeat what they were told.
            await connection.say(f"535 5.7.8 no: {password} {given}")
            return
        connection.user = user
        await connection.say("235 welcome")

    async def _take(self, connection: Connection) -> None:
        await connection.say("354 go on")
        raw = await connection.reader.readuntil(b"\r\n.\r\n")
        lines = raw.removesuffix(b".\r\n").split(b"\r\n")
        self.received.append(
            Received(
                sender=connection.sender,
                recipient=connection.recipient,
                options=connection.options,
                content=b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines),
                encrypted=connection.encrypted,
                user=connection.user,
            )
        )
        await self._tell()
        await self._at(Stage.CONTENT, connection, answers("250 taken"))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


def _reset(writer: asyncio.StreamWriter) -> None:
    socket = writer.get_extra_info("socket")
    if socket is not None and socket.fileno() >= 0:
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
