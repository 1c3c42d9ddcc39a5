"""A queue that carries tasks to performers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ports.deliveries import Delivery
from ports.event_broker import Outcome


class TaskQueue(ABC):
    """Carries the news that a task is due; what is done and what is not stands in our own rows alone.

    A queue that forgets what it was given loses nothing, and one that gives it twice does no harm.
    """

    @abstractmethod
    async def start(self) -> None:
        """Get ready. Does not fail for a queue that is away: it may come back."""

    @abstractmethod
    async def stop(self) -> None:
        """Let go of everything within a bound. May be called twice."""

    def room(self) -> int:
        """How many more tasks may be handed over now; a queue that cannot tell takes what one batch may have."""
        return 1_000

    async def ping(self) -> None:  # noqa: B027 - some are nowhere else
        """Return when whoever carries the tasks has answered; `Unavailable` or `Rejected` when not."""

    @abstractmethod
    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        """Hand tasks over and return one outcome for each, in their order, within the driver's own deadline."""
