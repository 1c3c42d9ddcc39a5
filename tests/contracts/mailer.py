"""What every mailer promises, whatever delivers the mail."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ports.mailer import Mail, Mailer
from tests.builders import a_mail, an_email, an_id


class MailerContract:
    """All of it; a subclass whose name starts with ``Test`` proves one adapter.

    It defines the fixture ``mailer`` and `mailbox`.
    """

    @pytest.fixture
    def mailer(self) -> AsyncIterator[Mailer] | Mailer:
        """The adapter."""
        raise NotImplementedError

    async def mailbox(self, mailer: Mailer, *sent: Mail) -> Sequence[Mail]:
        """What has arrived, once there are as many as were sent."""
        raise NotImplementedError(f"{mailer} has sent {len(sent)}")

    async def test_a_mail_arrives_as_written(self, mailer: Mailer) -> None:
        mail = a_mail()

        await mailer.send(mail)

        assert list(await self.mailbox(mailer, mail)) == [mail]

    @pytest.mark.parametrize(
        ("subject", "text"),
        [
            ("Bestellung bestätigt – 漢字 🎉", "Zoë,\n\ndanke für 漢字 👩‍🚀.\n"),
            ("A long subject " * 20 + "ends", "A long line " * 500 + "ends\n"),
            ("W" * 300, "W" * 3_000 + "\n"),
            ("Dots", ".\n..\n.hidden\nFrom here\n.\n"),
            ("=?utf-8?q?not_encoded?=", "=3D=20\n"),
            ("Two  spaces ", " \n  indented \t\n\n\n"),
            ("No last line end", "and that is it"),
            ("漢字" * 100, "漢字" * 1_000),
        ],
        ids=["characters", "lengths", "words", "dots", "encoded already", "spaces", "end", "wide"],
    )
    async def test_any_text_arrives_unchanged(self, mailer: Mailer, subject: str, text: str) -> None:
        mail = a_mail(subject=subject, text=text)

        await mailer.send(mail)

        assert list(await self.mailbox(mailer, mail)) == [mail]

    async def test_a_mail_to_an_international_domain_arrives(self, mailer: Mailer) -> None:
        mail = a_mail(to=an_email(f"zoe.{an_id().hex}@bücher.example"))

        await mailer.send(mail)

        assert list(await self.mailbox(mailer, mail)) == [mail]

    async def test_a_mail_to_the_longest_address_arrives(self, mailer: Mailer) -> None:
        mail = a_mail(to=an_email(f"{an_id().hex * 2}@{'.'.join(['b' * 61] * 2 + ['c' * 57])}.example"))

        await mailer.send(mail)

        assert len(mail.to.address) == 254
        assert list(await self.mailbox(mailer, mail)) == [mail]

    async def test_a_second_attempt_bears_the_same_message_id(self, mailer: Mailer) -> None:
        """So that a mailbox that gets it twice can tell."""
        mail = a_mail()

        await mailer.send(mail)
        await mailer.send(mail)

        assert [arrived.message_id for arrived in await self.mailbox(mailer, mail, mail)] == [mail.message_id] * 2

    async def test_many_may_send_at_once(self, mailer: Mailer) -> None:
        mails = [a_mail() for _ in range(20)]

        await asyncio.gather(*(mailer.send(mail) for mail in mails))

        arrived = await self.mailbox(mailer, *mails)
        assert len(arrived) == 20
        assert {mail.message_id: mail for mail in arrived} == {mail.message_id: mail for mail in mails}
