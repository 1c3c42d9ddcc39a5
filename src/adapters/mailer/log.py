"""A mailer for development: the log is the mailbox."""

import logging

import structlog
from structlog.typing import FilteringBoundLogger

from ports.mailer import Mail, Mailer


class LogMailer(Mailer):
    """Writes one line for each mail, with its recipient and its text, and sends nothing.

    It is a mailbox, so unlike all other lines this one tells whole addresses.

    The default logger leaves it to the configured renderer to escape what could break a line; a logger of the standard
    library has none, so values are escaped for it here.
    """

    def __init__(self, logger: FilteringBoundLogger | logging.Logger | None = None) -> None:
        self._logger = structlog.get_logger("crossdock.mail") if logger is None else logger

    async def send(self, mail: Mail) -> None:
        # Names of their own: `message_id` and `subject` are those of the task that sends it.
        values = {
            "mail_id": mail.message_id,
            "mail_to": mail.to.address,
            "mail_subject": mail.subject,
            "mail_text": mail.text,
        }
        if isinstance(self._logger, logging.Logger):
            self._logger.info(" ".join(("mail", *(f"{name}=%({name})r" for name in values))), values)
        else:
            self._logger.info("mail", **values)
