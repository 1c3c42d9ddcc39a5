"""What every mailer promises, whatever delivers the mail."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ports.mailer import Mail, Mailer
from tests.builders import a_mail, an_email


class MailerContract:
    """All of it; a subclass whose name starts with ``Test`` proves one adapter.

    It defines the fixture ``mailer`` and `mailbox`.
    """

    @pytest.fixture
    def mailer(self) -> AsyncIterator[Mailer] | Mailer:
        """The adapter."""
        raise NotImplementedError

    async def mailbox(self, mailer: Mailer, number: int) -> Sequence[Mail]:
        """What has arrived, once so many have."""
        raise NotImplementedError(f"{mailer} has sent {number}")

    async def test_a_mail_arrives_as_written(self, mailer: Mailer) -> None:
        mail = a_mail()

        await mailer.send(mail)

        assert list(await self.mailbox(mailer, 1)) == [mail]

    @pytest.mark.parametrize(
        ("subject", "text"),
        [
            ("Bestellung bestätigt – 漢字 🎉", "Zoë,\n\ndanke für 漢字 👩‍🚀.\n"),
            ("A long subject " * 20 + "ends", "A long line " * 500 + "ends\n"),
            ("Dots", ".\n..\n.hidden\nFrom here\n"),
        ],
        ids=["characters", "lengths", "dots"],
    )
    async def test_any_text_arrives_unchanged(self, mailer: Mailer, subject: str, text: str) -> None:
        mail = a_mail(subject=subject, text=text)

        await mailer.send(mail)

        assert list(await self.mailbox(mailer, 1)) == [mail]

    async def test_a_mail_to_an_international_domain_arrives(self, mailer: Mailer) -> None:
        mail = a_mail(to=an_email("zoe@bücher.example"))

        await mailer.send(mail)

        assert list(await self.mailbox(mailer, 1)) == [mail]

    async def test_a_second_attempt_bears_the_same_message_id(self, mailer: Mailer) -> None:
        """So that a mailbox that gets it twice can tell."""
        mail = a_mail()

        await mailer.send(mail)
        await mailer.send(mail)

        assert [arrived.message_id for arrived in await self.mailbox(mailer, 2)] == [mail.message_id] * 2

    async def test_many_may_send_at_once(self, mailer: Mailer) -> None:
        mails = [a_mail() for _ in range(20)]

        await asyncio.gather(*(mailer.send(mail) for mail in mails))

        arrived = await self.mailbox(mailer, 20)
        assert {mail.message_id: mail for mail in arrived} == {mail.message_id: mail for mail in mails}
