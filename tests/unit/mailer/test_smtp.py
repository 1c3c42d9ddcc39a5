"""What needs no server: the table of errors, and what is refused before anybody is asked."""

import inspect
import ssl

import aiosmtplib
import pytest

from adapters.mailer.smtp import ERRORS, SmtpMailer, port_error
from ports.errors import PortError, Rejected, Unavailable
from tests.builders import a_mail
from tests.clock import ManualClock

EXCEPTIONS = [kind for _, kind in inspect.getmembers(aiosmtplib, inspect.isclass) if issubclass(kind, Exception)]
SENDER = "Crossdock <post@crossdock.example>"


def a_mailer(sender: str = SENDER, password: str | None = None) -> SmtpMailer:
    """Of a server that is not there."""
    return SmtpMailer(host="127.0.0.1", port=1, sender=sender, clock=ManualClock(), username="shop", password=password)


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_every_exception_of_aiosmtplib_has_its_own_row(kind: type[Exception]) -> None:
    assert ERRORS[kind] in {Unavailable, Rejected}


def test_the_walk_over_aiosmtplib_has_seen_what_it_should() -> None:
    assert {aiosmtplib.SMTPDataError, aiosmtplib.SMTPReadTimeoutError} <= set(EXCEPTIONS)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), TimeoutError(), ssl.SSLCertVerificationError(), OSError(), UnicodeError()]
)
def test_what_the_network_does_is_unavailable(error: Exception) -> None:
    assert port_error(error) is Unavailable


def test_an_exception_that_aiosmtplib_adds_later_is_treated_like_its_parent() -> None:
    class SMTPQuotaError(aiosmtplib.SMTPDataError):
        pass

    assert port_error(SMTPQuotaError(550, "full")) is Rejected
    assert port_error(SMTPQuotaError(450, "busy")) is Unavailable


ABOUT_THE_MAIL = [550, 551, 552, 553, 554, 555, 556, 521, 541, 571]
BETWEEN_US = [500, 502, 503, 504, 530, 534, 535, 538]
FOR_NOW = [421, 450, 451, 452, 454, 455]
NONSENSE = [-1, 99, 211, 220, 251, 334, 354, 600, 999]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [(ABOUT_THE_MAIL, Rejected), (BETWEEN_US, Unavailable), (FOR_NOW, Unavailable), (NONSENSE, Unavailable)],
    ids=["about the mail", "between us", "for now", "nonsense"],
)
def test_every_answer_to_recipient_and_content_has_one_meaning(codes: list[int], expected: type[PortError]) -> None:
    found = {port_error(aiosmtplib.SMTPRecipientRefused(code, "no", "ann@example.com")) for code in codes}
    found |= {port_error(aiosmtplib.SMTPDataError(code, "no")) for code in codes}

    assert found == {expected}


@pytest.mark.parametrize("code", [*ABOUT_THE_MAIL, *BETWEEN_US, *FOR_NOW, *NONSENSE])
def test_what_is_wrong_with_us_is_no_fault_of_the_mail(code: int) -> None:
    """A wrong password or sender would be wrong for every mail: they wait until it is put right."""
    errors = [
        aiosmtplib.SMTPConnectResponseError(code, "no"),
        aiosmtplib.SMTPHeloError(code, "no"),
        aiosmtplib.SMTPResponseException(code, "no"),
        aiosmtplib.SMTPAuthenticationError(code, "no"),
        aiosmtplib.SMTPSenderRefused(code, "no", "post@crossdock.example"),
    ]

    rejected = [type(error) for error in errors if port_error(error) is Rejected]

    # The size is told with the sender.
    assert rejected == ([aiosmtplib.SMTPSenderRefused] if code == 552 else [])


# --- refused before anybody is asked ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\0", "\x0b", "\x1b", "\x7f", "\x85", "\u2028", "\ud800"])
async def test_a_header_cannot_be_smuggled_in(mark: str) -> None:
    forged = f"x{mark}Bcc: eve@example.com"
    mails = [a_mail(subject=forged), a_mail(message_id=f"<{forged}@crossdock>"), a_mail(message_id=forged)]

    for mail in mails:
        with pytest.raises(Rejected):
            await a_mailer().send(mail)


@pytest.mark.parametrize(
    "address", ["a@b.example\r\nRCPT TO:<eve@c.example>", "a b@c.example", "<a@b.example>", "", "a"]
)
async def test_a_recipient_cannot_add_commands(address: str) -> None:
    """The domain's `Email` lets none of these pass; the mailer does not rely on it."""
    mail = a_mail()
    object.__setattr__(mail.to, "address", address)

    with pytest.raises(Rejected):
        await a_mailer().send(mail)


async def test_a_text_that_no_encoding_takes_is_rejected() -> None:
    with pytest.raises(Rejected):
        await a_mailer().send(a_mail(text="half a pair: \ud800"))


async def test_a_mailer_that_is_not_started_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await a_mailer().send(a_mail())


@pytest.mark.parametrize(
    "sender", ["", "crossdock", "a@b\r\nBcc: eve@c", "a b@c", "<>", "@c", "a@", "A\n<a@b.example>", "a@b@c", "a@..ü"]
)
def test_a_sender_that_is_no_address_is_refused_at_once(sender: str) -> None:
    with pytest.raises(ValueError, match="sender"):
        a_mailer(sender)


@pytest.mark.parametrize(
    "sender", ["a@b.example", "Ann & Co <a@b.example>", "root@localhost", "Zoë <zoë@bücher.example>"]
)
def test_a_sender_is_an_address_with_or_without_a_name(sender: str) -> None:
    a_mailer(sender)


def test_it_does_not_show_its_password() -> None:
    mailer = a_mailer(password="canary-5f3a9c")

    assert "canary" not in f"{mailer!r} {mailer}"
