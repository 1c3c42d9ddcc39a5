"""The settings of who sends mail."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from entrypoints.settings_part import PEM, Authorities, Part
from entrypoints.settings_variables import Refused, Server, Variable, mail_address, server_of, server_url


class LogMailer(Part):
    """Writes each mail to the log instead of sending it."""

    backend: Literal["log"] = "log"


class MemoryMailer(Part):
    """Keeps what was sent; for test suites."""

    backend: Literal["memory"] = "memory"


def _smtp(value: SecretStr) -> SecretStr:
    parts = urlsplit(server_url(value.get_secret_value(), "smtp", "smtps"))
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise Refused("has more than a user, a password, a host and a port")
    if bool(parts.username) != bool(parts.password):
        raise Refused("has a user without a password, or the other way round")
    return value


class SmtpMailer(Part):
    """A mail server."""

    backend: Literal["smtp"] = "smtp"
    url: Annotated[
        SecretStr,
        Variable(
            "SMTP_URL",
            "the mail server; smtps is TLS from the first byte, smtp changes to TLS when it is offered",
            "smtp://user:password@host:port or smtps://…",
            sensitive=True,
        ),
        AfterValidator(_smtp),
    ] = SecretStr("smtp://localhost:25")
    sender: Annotated[
        str,
        Variable("MAIL_FROM", "the address that mails come from", "an address, or Name <address>", public=True),
        AfterValidator(mail_address),
    ] = "crossdock@localhost"
    ca_file: Annotated[
        Authorities, Variable("SMTP_SSL_CAFILE", "who vouches for the server; without, the system's own list", PEM)
    ] = None

    @property
    def server(self) -> Server:
        """Where the mail server is, and who we are to it."""
        return server_of(self.url.get_secret_value(), {"smtp": 25, "smtps": 465})
