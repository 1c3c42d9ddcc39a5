"""A mailer for test suites."""

from collections import deque

from ports.errors import Rejected, Unavailable
from ports.mailer import Mail, Mailer


class MemoryMailer(Mailer):
    """Keeps what was sent in ``sent``, oldest first."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self._failures: deque[Unavailable | Rejected] = deque()

    def fail_next(self, *errors: Unavailable | Rejected) -> None:
        """Let the next sends raise these, one each, in this order."""
        self._failures.extend(errors)

    async def send(self, mail: Mail) -> None:
        if self._failures:
            raise self._failures.popleft()
        self.sent.append(mail)
