"""The mailer on a server in this process, where each word of the conversation can be seen."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from adapters.mailer.smtp import SmtpMailer
from domain.model.email import Email
from ports.errors import Rejected, Unavailable
from ports.mailer import Mail, Mailer
from tests.builders import a_mail
from tests.certificates import Authority
from tests.clock import ManualClock
from tests.contracts.mailer import MailerContract
from tests.hurried import hurried
from tests.integration.mailer.smtp_server import PASSWORD, USER, SmtpServer, Stage, answers, hangs

SENDER = "Crossdock <post@crossdock.example>"


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


def a_mailer(server: SmtpServer, **changes: Any) -> SmtpMailer:
    usual: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "sender": SENDER, "clock": ManualClock()}
    return SmtpMailer(**usual | changes)


@pytest.fixture
async def mailer(server: SmtpServer) -> AsyncIterator[SmtpMailer]:
    mailer = a_mailer(server)
    await mailer.start()
    yield mailer
    await mailer.stop()


class TestSmtpMailer(MailerContract):
    @pytest.fixture
    def mailer(self, mailer: SmtpMailer, server: SmtpServer) -> Mailer:
        self.server = server
        return mailer

    async def mailbox(self, mailer: Mailer, *sent: Mail) -> Sequence[Mail]:  # noqa: ARG002 - the server has it
        assert len(self.server.received) == len(sent)
        return [received.mail for received in self.server.received]


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_the_head_says_when_from_whom_and_that_nobody_need_answer(server: SmtpServer, mailer: SmtpMailer) -> None:
    await mailer.send(a_mail())

    (received,) = server.received
    head = message_from_bytes(received.content, policy=default)
    assert received.sender == "<post@crossdock.example>"
    assert head["From"] == "Crossdock <post@crossdock.example>"
    assert head["Date"].datetime == ManualClock().now().replace(microsecond=0)
    assert head["Auto-Submitted"] == "auto-generated"
    assert head.keys() == [
        *("Date", "From", "To", "Message-ID", "Subject", "Auto-Submitted"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    ]


async def test_every_line_is_short_and_ascii_whatever_the_mail(server: SmtpServer, mailer: SmtpMailer) -> None:
    await mailer.send(a_mail(subject="漢字🎉" * 60, text="漢字 – ë" * 500))

    lines = server.received[0].content.split(b"\r\n")
    assert max(map(len, lines)) <= 78
    assert server.received[0].content.isascii()


async def test_a_name_beyond_ascii_is_encoded(server: SmtpServer) -> None:
    mailer = a_mailer(server, sender="Zoë’s Bücher <post@bücher.example>")
    await mailer.start()

    await mailer.send(a_mail())

    (received,) = server.received
    assert received.sender == "<post@xn--bcher-kva.example>"
    assert message_from_bytes(received.content, policy=default)["From"].addresses[0].display_name == "Zoë’s Bücher"
    await mailer.stop()


async def test_an_address_beyond_ascii_goes_to_a_server_that_takes_it(server: SmtpServer, mailer: SmtpMailer) -> None:
    mail = a_mail(to=Email("zoë@bücher.example"))

    await mailer.send(mail)

    (received,) = server.received
    assert "SMTPUTF8" in received.options
    assert received.recipient == "<zoë@xn--bcher-kva.example>"
    assert "To: zoë@xn--bcher-kva.example\r\n".encode() in received.content


async def test_an_address_beyond_ascii_is_rejected_where_it_cannot_be_said() -> None:
    async with SmtpServer(extensions=("SIZE 1000",)) as server:
        mailer = a_mailer(server)
        await mailer.start()

        with pytest.raises(Rejected, match="ASCII"):
            await mailer.send(a_mail(to=Email("zoë@example.com")))

        await mailer.stop()


async def test_a_server_of_the_old_school_gets_its_mail() -> None:
    async with SmtpServer() as server:
        server.always(Stage.EHLO, answers("250 here"))
        server.next(Stage.EHLO, answers("502 what?"))
        mailer = a_mailer(server)
        await mailer.start()

        await mailer.send(a_mail())

        assert [line.split()[0] for line in server.heard] == ["EHLO", "HELO", "MAIL", "RCPT", "DATA"]
        assert server.received[0].options == ()
        await mailer.stop()


# --- connections ------------------------------------------------------------------------------------------------------


async def test_mails_one_after_the_other_share_a_connection(server: SmtpServer, mailer: SmtpMailer) -> None:
    for _ in range(10):
        await mailer.send(a_mail())

    assert (len(server.received), server.connections) == (10, 1)


async def test_there_are_never_more_connections_than_it_may_have(server: SmtpServer) -> None:
    mailer = a_mailer(server, connections=3)
    await mailer.start()

    await asyncio.gather(*(mailer.send(a_mail()) for _ in range(30)))

    assert (len(server.received), server.most_open) == (30, 3)
    await mailer.stop()


async def test_a_connection_that_the_server_has_closed_meanwhile_is_replaced(
    server: SmtpServer, mailer: SmtpMailer
) -> None:
    await mailer.send(a_mail())
    server.hang_up()
    await server.nobody_is_connected()

    await mailer.send(a_mail())

    assert (len(server.received), server.connections) == (2, 2)


async def test_a_connection_that_the_server_ends_with_words_is_replaced(server: SmtpServer, mailer: SmtpMailer) -> None:
    await mailer.send(a_mail())
    server.next(Stage.MAIL, answers("421 that was enough for one connection"))

    await mailer.send(a_mail())

    assert (len(server.received), server.connections) == (2, 2)


async def test_a_connection_that_does_not_answer_any_more_is_replaced(server: SmtpServer) -> None:
    mailer = a_mailer(server)
    await mailer.start()
    await mailer.send(a_mail())
    server.next(Stage.MAIL, hangs)

    await hurried(mailer.send(a_mail()))

    assert (len(server.received), server.connections) == (2, 2)
    await mailer.stop()


async def test_an_idle_connection_is_given_up_after_a_while(server: SmtpServer) -> None:
    mailer = a_mailer(server, idle_seconds=0.01)
    await mailer.start()
    await mailer.send(a_mail())

    await server.nobody_is_connected()

    await mailer.send(a_mail())
    assert server.connections == 2
    await mailer.stop()


async def test_after_a_refused_mail_the_connection_goes_on(server: SmtpServer, mailer: SmtpMailer) -> None:
    server.next(Stage.RCPT, answers("550 no such mailbox"))
    with pytest.raises(Rejected):
        await mailer.send(a_mail())

    await mailer.send(a_mail())

    assert (len(server.received), server.connections) == (1, 1)


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_stopping_takes_leave(server: SmtpServer, mailer: SmtpMailer) -> None:
    await mailer.send(a_mail())

    await mailer.stop()
    await mailer.stop()

    await server.nobody_is_connected()
    assert server.heard[-1].startswith("QUIT")
    with pytest.raises(Unavailable):
        await mailer.send(a_mail())


async def test_stopping_cuts_off_what_hangs(server: SmtpServer, mailer: SmtpMailer) -> None:
    server.next(Stage.CONTENT, hangs)
    sending = asyncio.create_task(mailer.send(a_mail()))
    await server.has_received(1)

    await mailer.stop()

    with pytest.raises(Unavailable):
        await sending


async def test_it_may_be_started_again(server: SmtpServer, mailer: SmtpMailer) -> None:
    await mailer.stop()
    await mailer.start()

    await mailer.send(a_mail())

    assert len(server.received) == 1


# --- TLS and passwords ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def ca_file(authority: Authority, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_text(authority.pem)
    return file


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "STARTTLS"])
async def test_mail_and_password_go_over_tls(implicit: bool, authority: Authority, ca_file: Path) -> None:
    async with SmtpServer(tls=authority.server(), implicit=implicit, login=True) as server:
        mailer = a_mailer(server, implicit_tls=implicit, ca_file=ca_file, username=USER, password=PASSWORD)
        await mailer.start()

        await mailer.send(a_mail())

        assert [(received.encrypted, received.user) for received in server.received] == [(True, USER)]
        clear = [line for line in server.heard if line.endswith(" (clear)")]
        assert [line.split()[0] for line in clear] == ([] if implicit else ["EHLO", "STARTTLS"])
        await mailer.stop()


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "STARTTLS"])
async def test_a_server_that_nobody_vouches_for_gets_nothing(implicit: bool, authority: Authority) -> None:
    async with SmtpServer(tls=authority.server(), implicit=implicit, login=True) as server:
        mailer = a_mailer(
            server, implicit_tls=implicit, trust_loopback=False, username=USER, password=PASSWORD, connections=1
        )
        await mailer.start()

        with pytest.raises(Unavailable, match="certificate verify failed"):
            await mailer.send(a_mail())

        assert [line for line in server.heard if not line.startswith(("EHLO", "STARTTLS"))] == []
        await mailer.stop()


async def test_a_password_is_not_sent_in_the_clear_beyond_loopback() -> None:
    async with SmtpServer(login=True) as server:
        mailer = a_mailer(server, trust_loopback=False, username=USER, password=PASSWORD)
        await mailer.start()

        with pytest.raises(Unavailable, match="smtps"):
            await mailer.send(a_mail())

        assert [line.split()[0] for line in server.heard] == ["EHLO"]
        await mailer.stop()


async def test_a_relay_without_tls_gets_mail_without_a_password() -> None:
    async with SmtpServer() as server:
        mailer = a_mailer(server, trust_loopback=False)
        await mailer.start()

        await mailer.send(a_mail())

        assert len(server.received) == 1
        await mailer.stop()


async def test_starttls_that_is_refused_is_no_reason_to_go_on_in_the_clear(authority: Authority, ca_file: Path) -> None:
    async with SmtpServer(tls=authority.server()) as server:
        server.always(Stage.STARTTLS, answers("454 not now"))
        mailer = a_mailer(server, ca_file=ca_file)
        await mailer.start()

        with pytest.raises(Unavailable, match="454"):
            await mailer.send(a_mail())

        await mailer.stop()


async def test_on_loopback_plain_text_does(authority: Authority) -> None:
    async with SmtpServer(tls=authority.server(), login=True) as server:
        mailer = a_mailer(server, username=USER, password=PASSWORD)
        await mailer.start()

        await mailer.send(a_mail())

        assert [(received.encrypted, received.user) for received in server.received] == [(False, USER)]
        await mailer.stop()


async def test_certificates_that_cannot_be_read_are_named_at_start(server: SmtpServer, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")

    for file in (tmp_path / "empty.pem", tmp_path / "absent.pem"):
        with pytest.raises(Unavailable, match=str(file)):
            await a_mailer(server, ca_file=file).start()


async def test_a_refused_password_is_not_tried_again_at_once() -> None:
    """Servers lock accounts that try too often; the mails wait meanwhile."""
    clock = ManualClock()
    async with SmtpServer(login=True) as server:
        mailer = a_mailer(server, username=USER, password="wrong", clock=clock, connections=1)
        await mailer.start()

        for _ in range(5):
            with pytest.raises(Unavailable, match="password"):
                await mailer.send(a_mail())

        tries = [line for line in server.heard if line.startswith("AUTH PLAIN")]
        assert len(tries) == 1
        await clock.advance(60)
        with pytest.raises(Unavailable, match="535"):
            await mailer.send(a_mail())
        await mailer.stop()
