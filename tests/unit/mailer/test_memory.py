from collections.abc import Sequence

import pytest

from adapters.mailer.memory import MemoryMailer
from ports.errors import Rejected, Unavailable
from ports.mailer import Mail, Mailer
from tests.builders import a_mail
from tests.contracts.mailer import MailerContract


class TestMemoryMailer(MailerContract):
    @pytest.fixture
    def mailer(self) -> Mailer:
        return MemoryMailer()

    async def mailbox(self, mailer: Mailer, *sent: Mail) -> Sequence[Mail]:
        assert isinstance(mailer, MemoryMailer)
        assert len(mailer.sent) == len(sent)
        return mailer.sent


async def test_it_fails_as_often_as_it_was_told() -> None:
    mailer, mail = MemoryMailer(), a_mail()
    mailer.fail_next(Unavailable("try later"), Rejected("no such mailbox"))

    with pytest.raises(Unavailable):
        await mailer.send(mail)
    with pytest.raises(Rejected):
        await mailer.send(mail)
    assert mailer.sent == []
    await mailer.send(mail)

    assert mailer.sent == [mail]
