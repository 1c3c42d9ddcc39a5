"""Mail by SMTP.

Privacy: beyond loopback TLS is used whenever the server has it, certificates are always verified, and a user name and
password never leave this machine in the clear: a server without TLS is not logged in to. Without a password a server
that offers no STARTTLS is spoken to as it is, as relays inside of private networks want it. On loopback plain text
does, unless a file of certificates says whom to trust there.

Faults: what concerns this mail alone (its recipient, its content) is `Rejected`. What is wrong between the server and
us, be it the network, our password or our sender, is `Unavailable`: it would be wrong for every mail, and none of them
shall be given up for that; they wait, the log says why, and all go once it is put right.
"""

import asyncio
import base64
import quopri
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr, parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from ports.clock import Clock
from ports.errors import PortError, Rejected, Unavailable
from ports.mailer import Mail, Mailer

# Every exception of aiosmtplib has its row. A row of Rejected counts only for an answer that is final and about the
# mail, see `port_error`.
ERRORS: Final[Mapping[type[Exception], type[PortError]]] = {
    aiosmtplib.SMTPException: Unavailable,
    aiosmtplib.SMTPServerDisconnected: Unavailable,  # after the content, too: it is sent again with the same id
    aiosmtplib.SMTPConnectError: Unavailable,
    aiosmtplib.SMTPConnectTimeoutError: Unavailable,
    aiosmtplib.SMTPConnectResponseError: Unavailable,
    aiosmtplib.SMTPTimeoutError: Unavailable,
    aiosmtplib.SMTPReadTimeoutError: Unavailable,
    aiosmtplib.SMTPResponseException: Unavailable,  # STARTTLS refused
    aiosmtplib.SMTPHeloError: Unavailable,
    aiosmtplib.SMTPAuthenticationError: Unavailable,
    aiosmtplib.SMTPSenderRefused: Unavailable,
    aiosmtplib.SMTPRecipientRefused: Rejected,
    aiosmtplib.SMTPRecipientsRefused: Rejected,
    aiosmtplib.SMTPDataError: Rejected,
    aiosmtplib.SMTPNotSupported: Rejected,  # an address beyond ASCII, for a server that knows only ASCII
    OSError: Unavailable,  # TLS and time-outs, too
    UnicodeError: Unavailable,  # a host name that is none
}

_WORDS: Final[Mapping[type[SMTPException], str]] = {
    aiosmtplib.SMTPConnectResponseError: "does not welcome us",
    aiosmtplib.SMTPHeloError: "does not welcome us",
    aiosmtplib.SMTPAuthenticationError: "refuses our user name and password",
    aiosmtplib.SMTPSenderRefused: "refuses our sender",
    aiosmtplib.SMTPRecipientRefused: "refuses the recipient",
    aiosmtplib.SMTPDataError: "refuses the mail",
}
# The server did not understand the command or wants another one first: whatever the mail, we two do not fit.
_BETWEEN_US: Final = frozenset({500, 502, 503, 504, 530, 534, 535, 538})
_TOO_LARGE: Final = 552
_WORDS_MOST = 200
_REFUSED_SECONDS: Final = 30.0  # without a login after one was refused: servers lock accounts that try too often
_FAREWELL_SECONDS = 1.0

_ADDRESS: Final = re.compile(r"[^\s\x00-\x20\x7f@\"(),:;<>\[\\\]]{1,64}@[A-Za-z0-9.-]{1,253}")
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,240}>")  # visible ASCII without angle brackets


@dataclass(frozen=True, slots=True)
class _Letter:
    """A mail as it is handed to the server."""

    sender: str
    recipient: str
    content: bytes

    @property
    def encoding(self) -> str:
        """Of the addresses."""
        return "ascii" if self.sender.isascii() and self.recipient.isascii() else "utf-8"


class SmtpMailer(Mailer):
    """Hands mail to one server, over a few connections that are kept between mails.

    ``sender`` is ``address`` or ``Name <address>``. ``implicit_tls`` is for ports that speak nothing but TLS (465);
    elsewhere STARTTLS is used. ``ca_file`` holds the certificates to trust instead of the system's. ``deadline`` bounds
    a whole call and ``step_seconds`` one answer of the server, except the one to the content, which may take long.
    ``trust_loopback`` accepts plain text on loopback.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        sender: str,
        clock: Clock,
        username: str | None = None,
        password: str | None = None,
        implicit_tls: bool = False,
        ca_file: Path | None = None,
        trust_loopback: bool = True,
        connections: int = 4,
        deadline: float = 30.0,
        step_seconds: float = 10.0,
        idle_seconds: float = 30.0,
    ) -> None:
        self._host = host
        self._port = port
        self._sender, self._from = _sender(sender)
        self._clock = clock
        self._username = username
        self._password = password or ""
        self._implicit_tls = implicit_tls
        self._ca_file = ca_file
        self._trust_loopback = trust_loopback and ca_file is None
        self._connections = connections
        self._deadline = deadline
        self._step_seconds = step_seconds
        self._idle_seconds = idle_seconds
        self._where = f"the SMTP server {host}:{port}"
        self._tls: ssl.SSLContext | None = None
        self._slots: asyncio.Semaphore | None = None  # while it is started
        self._busy: set[SMTP] = set()
        self._idle: dict[SMTP, asyncio.TimerHandle] = {}
        self._no_login_until = float("-inf")

    async def start(self) -> None:
        """Load the trusted certificates; nothing is connected yet. `Unavailable` when they cannot be read."""
        try:
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file)
        except OSError as error:
            raise Unavailable(f"the certificates in {self._ca_file} cannot be used: {error}") from error
        self._slots = asyncio.Semaphore(self._connections)

    async def stop(self) -> None:
        """Take leave of the server; what is being sent is cut off. May be called twice."""
        self._slots = None
        for client in list(self._busy):
            _cut(client)
        leaving = list(self._idle)
        for timer in self._idle.values():
            timer.cancel()
        self._idle.clear()
        await asyncio.gather(*(_quit(client) for client in leaving))
        await asyncio.sleep(0)  # for what was cut to notice

    async def ping(self) -> None:
        if self._slots is None:
            raise Unavailable("the mailer is not started")
        with self._telling():
            async with asyncio.timeout(self._deadline), self._slots:
                self._keep(self._take() or await self._connect())

    async def send(self, mail: Mail) -> None:
        letter = self._letter(mail)
        if self._slots is None:
            raise Unavailable("the mailer is not started")
        with self._telling():
            async with asyncio.timeout(self._deadline), self._slots:
                await self._post(letter)

    async def _post(self, letter: _Letter) -> None:
        kept = self._take()
        client = kept or await self._connect()
        is_sound = False
        try:
            try:
                await self._announce(client, letter)
            except SMTPException:
                if kept is None or client.is_connected:
                    raise
                # It went stale while it lay idle, and nothing of the mail was sent yet.
                self._let_go(client)
                client = await self._connect()
                await self._announce(client, letter)
            await client.rcpt(letter.recipient, encoding=letter.encoding)
            # A bound of its own: up to Python 3.11 `wait_for` may swallow the end of the deadline in a step before.
            await client.data(letter.content, timeout=self._deadline)
            is_sound = True
        except SMTPResponseException:
            is_sound = await _is_reset(client)
            raise
        finally:
            self._keep(client) if is_sound else self._let_go(client)

    async def _announce(self, client: SMTP, letter: _Letter) -> None:
        options = [f"SIZE={len(letter.content)}"] if client.supports_extension("size") else []
        if letter.encoding != "ascii":
            if not client.supports_extension("smtputf8"):
                raise aiosmtplib.SMTPNotSupported("takes only addresses in ASCII")
            options.append("SMTPUTF8")
        await client.mail(letter.sender, options=options, encoding=letter.encoding)

    # --- connections --------------------------------------------------------------------------------------------------

    async def _connect(self) -> SMTP:
        client = SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._implicit_tls,
            start_tls=False,
            tls_context=self._tls,
            local_hostname="localhost",  # until our address is known; looking our name up may take long
            timeout=self._step_seconds,
        )
        self._busy.add(client)
        try:
            await client.connect()
            client.local_hostname = _as_literal(client.get_transport_info("sockname")[0])
            await _greet(client)
            is_private = self._implicit_tls or await self._is_made_private(client)
            if self._username is not None:
                await self._login(client, self._username, is_private=is_private)
        except BaseException:
            self._let_go(client)
            raise
        return client

    async def _is_made_private(self, client: SMTP) -> bool:
        """Whether nobody between the server and us can listen, once this has returned."""
        if self._trust_loopback and ip_address(client.get_transport_info("peername")[0]).is_loopback:
            return True
        if not client.supports_extension("starttls"):
            return False
        await client.starttls()
        await _greet(client)
        return True

    async def _login(self, client: SMTP, username: str, *, is_private: bool) -> None:
        if not is_private:
            raise Unavailable(
                f"{self._where} offers no STARTTLS, and a password is not sent in the clear: use smtps:// and its port"
            )
        rest = self._no_login_until - self._clock.monotonic()
        if rest > 0:
            raise Unavailable(f"{self._where} refused our user name and password a moment ago", retry_after=rest)
        try:
            await client.login(username, self._password)
        except aiosmtplib.SMTPAuthenticationError as error:
            if 500 <= error.code < 600:
                self._no_login_until = self._clock.monotonic() + _REFUSED_SECONDS
            raise

    def _take(self) -> SMTP | None:
        """The connection that was kept last, if there is one."""
        while self._idle:
            client, timer = self._idle.popitem()
            timer.cancel()
            if client.is_connected:
                self._busy.add(client)
                return client
        return None

    def _keep(self, client: SMTP) -> None:
        if self._slots is None:
            self._let_go(client)
            return
        self._busy.discard(client)
        loop = asyncio.get_running_loop()
        self._idle[client] = loop.call_later(self._idle_seconds, self._let_go, client)

    def _let_go(self, client: SMTP) -> None:
        self._busy.discard(client)
        self._idle.pop(client, None)
        _cut(client)

    # --- words --------------------------------------------------------------------------------------------------------

    def _letter(self, mail: Mail) -> _Letter:
        recipient = mail.to.address
        if not _ADDRESS.fullmatch(recipient):
            raise Rejected("the recipient's address cannot be written in a mail")
        if not _MESSAGE_ID.fullmatch(mail.message_id):
            raise Rejected("the id cannot be written in a mail")
        if any(not one.isprintable() and one != " " for one in mail.subject):
            raise Rejected("the subject is not one line of printable text")
        try:
            return _Letter(self._sender, recipient, _content(mail, self._from, self._clock.now()))
        except UnicodeEncodeError as error:
            raise Rejected("the text cannot be written in UTF-8") from error

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (SMTPException, OSError, UnicodeError) as error:
            told = port_error(error)(f"{self._where} {self._words(error)}")
            raise told from _covered(error)

    def _words(self, error: Exception) -> str:
        if isinstance(error, SMTPResponseException):
            words = f"{_WORDS.get(type(error), 'refuses')}: {error.code}"
            # What it says to a password may well repeat the password.
            is_quotable = not isinstance(error, aiosmtplib.SMTPAuthenticationError)
            return f"{words} {self._quoted(error.message)}" if is_quotable else words
        if isinstance(error, TimeoutError) and not isinstance(error, SMTPException):
            return f"did not take the mail within {self._deadline:g} s"
        return f"cannot take it: {self._quoted(str(error) or type(error).__name__)}"

    def _quoted(self, words: str) -> str:
        words = " ".join("".join(one if one.isprintable() else " " for one in words).split())
        for secret in _forms(self._username or "", self._password):
            words = words.replace(secret, "***")
        return words[:_WORDS_MOST]


def port_error(error: Exception) -> type[PortError]:
    """The port's word for an exception of aiosmtplib or of the network."""
    kind = next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)
    if not isinstance(error, SMTPResponseException):
        return kind
    if isinstance(error, aiosmtplib.SMTPSenderRefused) and error.code == _TOO_LARGE:
        return Rejected  # it was told the size with the sender
    is_final = 500 <= error.code < 600 and error.code not in _BETWEEN_US
    return kind if is_final else Unavailable


def _covered(error: BaseException) -> BaseException:
    """The error without what may show the password: its frames, its own causes, and the words of the server."""
    if isinstance(error, SMTPResponseException):
        error.args, error.message = (error.code,), ""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _forms(username: str, password: str) -> Iterator[str]:
    """The password as a server may have seen it."""
    if not password:
        return
    yield base64.b64encode(f"\0{username}\0{password}".encode()).decode("ascii")
    yield base64.b64encode(password.encode()).decode("ascii")
    yield password


# --- the conversation -------------------------------------------------------------------------------------------------


async def _greet(client: SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


async def _is_reset(client: SMTP) -> bool:
    """Whether the connection is ready for another mail."""
    if client.is_connected:
        with suppress(SMTPException):
            await client.rset()
            return True
    return False


async def _quit(client: SMTP) -> None:
    with suppress(SMTPException, OSError):
        await client.quit(timeout=_FAREWELL_SECONDS)
    _cut(client)


def _cut(client: SMTP) -> None:
    transport: Any = client.transport
    client.close()
    if transport is not None:
        transport.abort()  # a server that does not read any more would keep it open for ever


def _as_literal(address: str) -> str:
    """Our own address as a greeting (RFC 5321 §4.1.4), for hosts whose name nobody knows."""
    address = address.partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


# --- the letter -------------------------------------------------------------------------------------------------------


def _sender(sender: str) -> tuple[str, str]:
    """The address for the envelope, and the line for the letter."""
    name, address = parseaddr(sender)
    local, _, domain = address.rpartition("@")
    with suppress(UnicodeError):
        address = f"{local}@{domain.encode('idna').decode('ascii')}"
    if not _ADDRESS.fullmatch(address) or not sender.isprintable():
        raise ValueError("the sender of mails is neither an address nor of the form: Name <address>")
    if address.isascii():
        return address, formataddr((name, address))
    return address, f"{Header(name, 'utf-8').encode()} <{address}>" if name else address


def _content(mail: Mail, sender: str, now: datetime) -> bytes:
    # Written by hand, since the standard library's folding breaks long addresses and ids.
    head = (
        f"Date: {format_datetime(now)}",
        f"From: {sender}",
        f"To: {mail.to.address}",
        f"Message-ID: {mail.message_id}",
        f"Subject: {_subject(mail.subject)}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Transfer-Encoding: quoted-printable",
    )
    body = quopri.encodestring("\n".join(re.split("\r\n|\r|\n", mail.text)).encode())
    if not body.endswith(b"\n"):
        body += b"=\n"  # a line has to end; this one ends for nobody but the server
    return "\r\n".join((*head, "", "")).encode() + body.replace(b"\n", b"\r\n")


def _subject(subject: str) -> str:
    is_plain = subject.isascii() and len(subject) <= 60 and subject == subject.strip() and "=?" not in subject
    if is_plain:
        return subject
    return Header(subject, "utf-8", header_name="Subject", maxlinelen=76).encode(linesep="\r\n")
