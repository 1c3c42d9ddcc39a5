"""Tells whether a task queue has lost what it was given. It may be slow, which is no reason to give it more."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from domain.delivery.failures import together
from ports.clock import Clock
from ports.deliveries import Delivery
from ports.persistence import Persistence

RESEND_SECONDS = 20.0  # longer than what was given earlier may take longer to be claimed than what was given later
RESEND_MOST = 600.0
LOOK_SECONDS = 5.0
MARK_SECONDS = 1.0
MARKS_MOST = 100

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class QueueWatch:
    """Counts what is unclaimed, and looks now and then how far the claims have come among some that it remembers."""

    def __init__(self, persistence: Persistence, clock: Clock) -> None:
        self._persistence = persistence
        self._clock = clock
        self._marks: deque[Delivery] = deque(maxlen=MARKS_MOST)
        self._claimed_up_to = NEVER
        self._moved_at = self._looked_at = clock.monotonic()
        self._marked_at = float("-inf")
        self._unclaimed = 0
        self._patience = RESEND_SECONDS

    def handed(self, tasks: Sequence[Delivery], *, again: bool) -> None:
        """A queue was given these just now; ``again`` says that it was given lost ones as well."""
        self._unclaimed += len(tasks)
        now = self._clock.monotonic()
        if tasks and now - self._marked_at >= MARK_SECONDS:
            self._marked_at = now
            self._marks.append(tasks[-1])
        if again:  # longer this time
            self._moved_at = now
            self._patience = min(2 * self._patience, RESEND_MOST)

    async def lost_before(self, unclaimed: int) -> datetime:
        """What a queue was given before this, and nobody has claimed, is lost; so many there are now."""
        now = self._clock.monotonic()
        if unclaimed < self._unclaimed:
            self._moved_at, self._patience = now, RESEND_SECONDS
        self._unclaimed = unclaimed
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            if await self._has_moved():
                self._moved_at, self._patience = now, RESEND_SECONDS
        passed_by = self._claimed_up_to - timedelta(seconds=RESEND_SECONDS) if self._claimed_up_to > NEVER else NEVER
        if now - self._moved_at < self._patience:
            return passed_by
        # Nothing was claimed for a while: all of it may be lost, or nobody is there to claim it.
        return max(passed_by, self._clock.now() - timedelta(seconds=self._patience))

    async def _has_moved(self) -> bool:
        """Whether any of the marked tasks has been claimed since."""
        marks = list(self._marks)
        rows = await together(self._persistence.ledger.get(mark.id) for mark in marks)
        claimed = [
            mark.sent_at
            for mark, row in zip(marks, rows, strict=True)
            if mark.sent_at is not None and (row is None or not row.is_handed_over)
        ]
        self._claimed_up_to = max([self._claimed_up_to, *claimed])
        waiting = [mark for mark, row in zip(marks, rows, strict=True) if row is not None and row.token == mark.token]
        self._marks = deque(waiting, MARKS_MOST)
        return bool(claimed)
