"""A mailer for development: the log is the mailbox."""

import logging

import structlog
from structlog.typing import FilteringBoundLogger

from ports.mailer import Mail, Mailer


class LogMailer(Mailer):
    """Writes one line for each mail, with its recipient and its text, and sends nothing.

    The default logger leaves it to the configured renderer to escape what could break a line; a logger of the standard
    library has none, so values are escaped for it here.
    """

    def __init__(self, logger: FilteringBoundLogger | logging.Logger | None = None) -> None:
        self._logger = structlog.get_logger("crossdock.mail") if logger is None else logger

    async def send(self, mail: Mail) -> None:
        values = {"message_id": mail.message_id, "to": mail.to.address, "subject": mail.subject, "text": mail.text}
        if isinstance(self._logger, logging.Logger):
            self._logger.info("mail message_id=%(message_id)r to=%(to)r subject=%(subject)r text=%(text)r", values)
        else:
            self._logger.info("mail", **values)
