"""The mailer on a real mail server, read by another program."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import groupby
from urllib.parse import urlsplit

import pytest

from adapters.mailer.smtp import SmtpMailer
from ports.errors import Unavailable
from ports.mailer import Mail, Mailer
from tests.builders import a_mail
from tests.clock import ManualClock
from tests.contracts.mailer import MailerContract
from tests.integration.mailer.smtp_server import read_mail
from tests.services import MailCatcher
from tools.services import addresses

SENDER = "Crossdock <post@crossdock.example>"


class TestSmtpMailerOnGreenMail(MailerContract):
    @pytest.fixture
    async def mailer(self, mail_catcher: MailCatcher) -> AsyncIterator[Mailer]:
        server = urlsplit(mail_catcher.smtp_url)
        assert server.hostname is not None
        assert server.port is not None
        self.catcher = mail_catcher
        mailer = SmtpMailer(
            host=server.hostname,
            port=server.port,
            sender=SENDER,
            clock=ManualClock(),
            username="anybody",
            password="anything",
        )
        await mailer.start()
        yield mailer
        await mailer.stop()

    async def mailbox(self, mailer: Mailer, *sent: Mail) -> Sequence[Mail]:  # noqa: ARG002 - the server has it
        arrived = []
        for recipient, mails in groupby(sorted(sent, key=_recipient), _recipient):
            expected = list(mails)
            found = await self.catcher.arrived(recipient, len(expected))
            assert len(found) == len(expected)
            arrived += [_with_its_end(read_mail(bytes(mail)), expected[0]) for mail in found]
        return arrived


def _recipient(mail: Mail) -> str:
    return mail.to.address


def _with_its_end(mail: Mail, sent: Mail) -> Mail:
    """GreenMail shows a mail without the line ends at its end."""
    return replace(mail, text=mail.text + sent.text[len(sent.text.rstrip("\n")) :])


async def test_a_real_server_with_a_certificate_of_its_own_is_not_trusted(mail_catcher: MailCatcher) -> None:
    server = urlsplit(addresses.SMTPS)
    assert server.hostname is not None
    assert server.port is not None
    mailer = SmtpMailer(host=server.hostname, port=server.port, sender=SENDER, clock=ManualClock(), implicit_tls=True)
    await mailer.start()
    mail = a_mail()

    with pytest.raises(Unavailable, match="certificate"):
        await mailer.send(mail)

    assert mail_catcher.mails(mail.to.address) == []
    await mailer.stop()
