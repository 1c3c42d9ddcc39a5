import io
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from adapters.mailer.log import LogMailer
from domain.model.email import Email
from ports.mailer import Mail, Mailer
from tests.builders import a_mail
from tests.contracts.mailer import MailerContract

FORGING = "Hello\r\n2026-11-23 error the shop is closed\x1b[2J\x85\u2028\x00\x0b\x0c end"


class TestLogMailer(MailerContract):
    @pytest.fixture(autouse=True)
    def lines(self) -> Iterator[list[EventDict]]:
        with capture_logs() as lines:
            self.captured = lines
            yield lines

    @pytest.fixture
    def mailer(self) -> Mailer:
        return LogMailer()

    async def mailbox(self, mailer: Mailer, *sent: Mail) -> Sequence[Mail]:  # noqa: ARG002 - the log has no owner
        assert len(self.captured) == len(sent)
        return [
            Mail(
                message_id=line["mail_id"],
                to=Email(line["mail_to"]),
                subject=line["mail_subject"],
                text=line["mail_text"],
            )
            for line in self.captured
        ]


async def test_a_mail_is_one_line_at_info() -> None:
    mail = a_mail()

    with capture_logs() as lines:
        await LogMailer().send(mail)

    assert lines == [
        {
            "event": "mail",
            "log_level": "info",
            "mail_id": mail.message_id,
            "mail_to": mail.to.address,
            "mail_subject": "Welcome",
            "mail_text": "Hello Ann,\n\ngood to see you.\n",
        }
    ]


async def test_a_mail_cannot_forge_lines_of_a_plain_log() -> None:
    out = io.StringIO()
    logger = logging.Logger("mail", logging.INFO)  # noqa: LOG001 - nobody else shall find its handler
    logger.addHandler(logging.StreamHandler(out))

    await LogMailer(logger).send(a_mail(subject=FORGING, text=FORGING))

    line = out.getvalue()
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert line[:-1].isprintable()
    assert line.count("the shop is closed") == 2


async def test_a_mail_cannot_forge_lines_of_a_json_log() -> None:
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )

    await LogMailer(logger).send(a_mail(subject=FORGING, text=FORGING))

    assert len(out.getvalue().splitlines()) == 1
    assert out.getvalue()[:-1].isprintable()


async def test_the_readme_shows_mails_with_the_names_that_the_log_has() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    shown = [line for line in readme.splitlines() if " mail [crossdock.mail] " in line]

    with capture_logs() as lines:
        await LogMailer().send(a_mail())

    assert shown
    for line in shown:
        names = re.findall(r"(\w+)=", line)
        assert names == [name for name in lines[0] if name in names]
