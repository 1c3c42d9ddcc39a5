"""Our Celery worker, whose welcome mail is no work at all: what is left is what bringing a task costs."""

import os
import sys
from typing import Any

from domain.services.send_welcome_email import SendWelcomeEmail
from entrypoints.observability import configure_logging
from entrypoints.processes import run_worker
from entrypoints.settings import Settings


async def _nothing(*_: Any) -> None:
    pass


def main() -> int:
    """Work until SIGTERM."""
    SendWelcomeEmail.__call__ = _nothing  # type: ignore[method-assign, assignment] # the processes that perform are forked later
    settings = Settings.load(os.environ, None)
    configure_logging(settings.logging.format, settings.logging.level, secrets=settings.secrets)
    return run_worker(settings, concurrency=int(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
