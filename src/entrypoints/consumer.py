"""The consumer role: receives events, and handles again what it had to keep."""

from datetime import timedelta

from domain.delivery.loop import Loop
from domain.delivery.receive import REMEMBERED
from entrypoints.container import Container

FORGET_SECONDS = 600.0
FORGET_AT_ONCE = 1_000


def retry_loop(container: Container) -> Loop:
    """Handles again what failed before."""
    retry = container.retry()
    return Loop("retry", retry.step, container.clock(), pace=container.pace(), part=retry)


def housekeeping_loop(container: Container) -> Loop:
    """Forgets what the inbox need not remember any more, and answers that were kept long enough, in small bites."""
    clock, persistence = container.clock(), container.persistence()
    keep = timedelta(seconds=container.settings().server.idempotency_keep)

    async def step() -> bool:
        now = clock.now()
        before = now - REMEMBERED - timedelta(days=1)  # never younger than what a late message may be
        forgotten = await persistence.ledger.forget(before=before, limit=FORGET_AT_ONCE)
        answers = await persistence.answers.forget(before=now - keep, limit=FORGET_AT_ONCE)
        return bool(forgotten or answers)

    return Loop("housekeeping", step, clock, poll_seconds=FORGET_SECONDS)
