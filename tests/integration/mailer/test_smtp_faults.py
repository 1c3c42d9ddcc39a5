"""A server that misbehaves at each stage of the conversation.

What is about this mail alone is rejected; all else waits, and is sent again under the same id.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator

import pytest

from adapters.mailer.smtp import SmtpMailer
from ports.errors import PortError, Rejected, Unavailable
from tests.builders import a_mail
from tests.clock import ManualClock
from tests.hurried import hurried
from tests.integration.mailer.smtp_server import PASSWORD, USER, Script, SmtpServer, Stage, answers, cuts, hangs

SENDER = "Crossdock <post@crossdock.example>"
STAGES = [Stage.GREETING, Stage.EHLO, Stage.AUTH, Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.CONTENT]
ABOUT_THE_MAIL = {Stage.RCPT, Stage.DATA, Stage.CONTENT}


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer(login=True) as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def mailer(server: SmtpServer, clock: ManualClock) -> AsyncIterator[SmtpMailer]:
    """With one connection, so that a lost one is missed at once."""
    mailer = SmtpMailer(
        host="127.0.0.1",
        port=server.port,
        sender=SENDER,
        clock=clock,
        username=USER,
        password=PASSWORD,
        connections=1,
    )
    await mailer.start()
    yield mailer
    await mailer.stop()


async def outcome(mailer: SmtpMailer) -> type[PortError] | None:
    try:
        await mailer.send(a_mail())
    except PortError as error:
        return type(error)
    return None


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("script", [hangs, cuts], ids=["hangs", "cuts"])
async def test_a_server_that_goes_silent_or_away_is_unavailable(
    server: SmtpServer, mailer: SmtpMailer, stage: Stage, script: Script
) -> None:
    server.always(stage, script)

    assert await hurried(outcome(mailer)) is Unavailable

    await server.nobody_is_connected()
    server.behave()
    assert await outcome(mailer) is None


@pytest.mark.parametrize("stage", STAGES)
async def test_what_a_server_refuses_for_now_is_unavailable(
    server: SmtpServer, mailer: SmtpMailer, stage: Stage
) -> None:
    for code in (421, 450, 451):
        server.always(stage, answers(f"{code} later"))

        assert await outcome(mailer) is Unavailable

    server.behave()
    assert await outcome(mailer) is None


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage is not Stage.AUTH])
async def test_what_a_server_refuses_for_good_is_rejected_where_it_is_about_the_mail(
    server: SmtpServer, mailer: SmtpMailer, stage: Stage
) -> None:
    server.next(stage, answers("554-5.7.1 never", "554 5.7.1 ever"))
    if stage is Stage.EHLO:
        server.next(stage, answers("554 never"))  # to HELO

    assert await outcome(mailer) is (Rejected if stage in ABOUT_THE_MAIL else Unavailable)

    assert await outcome(mailer) is None


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "lines", [("what",), ("",), ("999 odd",), ("2" * 20_000,), ("250-" + "x" * 2_000,) * 30], ids=[*"abcde"]
)
async def test_an_answer_without_meaning_is_unavailable(
    server: SmtpServer, mailer: SmtpMailer, stage: Stage, lines: tuple[str, ...]
) -> None:
    server.always(stage, answers(*lines))

    assert await hurried(outcome(mailer)) is Unavailable

    server.behave()
    assert await outcome(mailer) is None


async def test_a_mail_too_large_for_the_server_is_rejected_before_it_is_sent(
    server: SmtpServer, mailer: SmtpMailer
) -> None:
    server.next(Stage.MAIL, answers("552 5.3.4 too large"))

    assert await outcome(mailer) is Rejected

    assert not server.received


async def test_a_mail_whose_fate_is_unknown_is_sent_again_under_the_same_id(
    server: SmtpServer, mailer: SmtpMailer
) -> None:
    """It was taken, and the connection died before that was said."""
    mail = a_mail()
    server.next(Stage.CONTENT, cuts)

    with pytest.raises(Unavailable):
        await mailer.send(mail)
    await mailer.send(mail)

    assert [received.mail for received in server.received] == [mail, mail]


async def test_a_server_that_is_away_is_unavailable_until_it_is_back() -> None:
    async with SmtpServer() as elsewhere:
        free = elsewhere.port
    mailer = SmtpMailer(host="127.0.0.1", port=free, sender=SENDER, clock=ManualClock())
    await mailer.start()

    assert await outcome(mailer) is Unavailable

    back = SmtpServer()
    back.port = free
    async with back:
        assert await outcome(mailer) is None
    await mailer.stop()


async def test_a_host_that_cannot_be_is_unavailable() -> None:
    mailer = SmtpMailer(host="not..a.host", port=25, sender=SENDER, clock=ManualClock())
    await mailer.start()

    assert await outcome(mailer) is Unavailable

    await mailer.stop()


async def test_those_who_wait_for_a_connection_wait_no_longer_than_the_others(
    server: SmtpServer, mailer: SmtpMailer
) -> None:
    server.always(Stage.CONTENT, hangs)

    outcomes = await hurried(asyncio.gather(*(outcome(mailer) for _ in range(20))))

    assert outcomes == [Unavailable] * 20
    assert server.most_open == 1


async def test_whoever_leaves_takes_nothing_along(server: SmtpServer, mailer: SmtpMailer) -> None:
    """A cancelled call gives its place back, and its connection, in whose middle it was, is not used again."""
    server.next(Stage.CONTENT, hangs)
    sending = asyncio.create_task(mailer.send(a_mail()))
    await server.has_received(1)

    sending.cancel()

    await asyncio.wait({sending})
    assert sending.cancelled()
    assert await outcome(mailer) is None
    assert (server.connections, server.most_open) == (2, 1)


async def test_no_error_shows_the_password_even_when_the_server_repeats_it(
    server: SmtpServer, mailer: SmtpMailer, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for stage in STAGES:
        for script in (answers(f"554 {PASSWORD}"), answers(f"454 {PASSWORD}"), answers(PASSWORD), cuts):
            server.behave()
            server.always(stage, script)
            with pytest.raises(PortError) as caught:
                await hurried(mailer.send(a_mail()))
            told.append("".join(traceback.format_exception(caught.value)))
            assert caught.value.__cause__ is not None
            await clock.advance(60)  # past the rest after a refused login

    assert [text for text in [*told, caplog.text] if PASSWORD in text] == []


async def test_an_error_names_the_server_the_code_and_its_words_in_one_short_line(
    server: SmtpServer, mailer: SmtpMailer
) -> None:
    server.next(Stage.RCPT, answers("550-5.1.1 no\x1b[2J such", f"550 5.1.1 mailbox {'x' * 1_000}"))

    with pytest.raises(Rejected) as caught:
        await mailer.send(a_mail())

    words = str(caught.value)
    assert words.startswith(f"the SMTP server 127.0.0.1:{server.port} refuses the recipient: 550 5.1.1 no [2J such")
    assert len(words) < 300
    assert words.isprintable()
