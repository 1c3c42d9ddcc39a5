"""Mailers that lie: each is an honest one that breaks one promise."""

from dataclasses import replace

from domain.model.email import Email
from ports.mailer import Mail, Mailer


class LyingMailer(Mailer):
    """Passes everything on to an honest mailer; each liar changes one thing."""

    def __init__(self, honest: Mailer) -> None:
        self.honest = honest

    async def send(self, mail: Mail) -> None:
        await self.honest.send(self.written(mail))

    def written(self, mail: Mail) -> Mail:
        return mail


class SendsNothing(LyingMailer):
    """Says that it has."""

    async def send(self, mail: Mail) -> None:
        self.written(mail)


class NamesEachAttempt(LyingMailer):
    """A new ``Message-ID`` each time, so that nobody can tell that it is the same mail."""

    count = 0

    def written(self, mail: Mail) -> Mail:
        self.count += 1
        return replace(mail, message_id=f"<{self.count}.{mail.message_id[1:]}") if self.count > 1 else mail


class WritesInAscii(LyingMailer):
    """Replaces what it cannot encode."""

    def written(self, mail: Mail) -> Mail:
        return replace(mail, text=mail.text.encode("ascii", "replace").decode())


class BreaksLongLines(LyingMailer):
    """At the 998 characters that a line of SMTP may have."""

    def written(self, mail: Mail) -> Mail:
        lines = mail.text.split("\n")
        return replace(mail, text="\n".join("\n".join(_pieces(line, 998)) for line in lines))


class ForgetsAboutDots(LyingMailer):
    """A line with a dot alone ends the mail."""

    def written(self, mail: Mail) -> Mail:
        return replace(mail, text=f"\n{mail.text}".partition("\n.\n")[0][1:])


class CutsSubjects(LyingMailer):
    """After one line of a header."""

    def written(self, mail: Mail) -> Mail:
        return replace(mail, subject=mail.subject[:70])


class KnowsNoInternationalDomains(LyingMailer):
    """Writes to another domain."""

    def written(self, mail: Mail) -> Mail:
        return replace(mail, to=Email(mail.to.address.encode("ascii", "ignore").decode().replace("xn--", "")))


def _pieces(line: str, size: int) -> list[str]:
    return [line[at : at + size] for at in range(0, len(line), size)] or [""]
