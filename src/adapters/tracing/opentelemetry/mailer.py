"""A mailer whose mails are traced."""

from opentelemetry.trace import SpanKind

from adapters.tracing.opentelemetry.spans import Spans
from ports.mailer import Mail, Mailer


class TracedMailer(Mailer):
    """Each attempt gets a span, which says nothing of the mail itself."""

    def __init__(self, mailer: Mailer, spans: Spans) -> None:
        self._mailer = mailer
        self._spans = spans

    async def ping(self) -> None:
        await self._mailer.ping()

    async def send(self, mail: Mail) -> None:
        with self._spans.span("send mail", SpanKind.CLIENT, {}):
            await self._mailer.send(mail)
