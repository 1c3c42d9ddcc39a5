"""A broker of events.

A driver moves bytes and says what became of them; when something is tried again, in which order, and when it is dead is
decided above, once. There is no nack, no requeue and no dead letter here: brokers disagree about these, so nobody above
needs them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from domain.model.value import value
from ports.errors import Rejected, Unavailable
from ports.message import Message
from ports.trouble import Trouble

# What became of one message: None, confirmed durably by the broker; Unavailable, not known to have arrived and may be
# sent again; Rejected, never will be accepted as it stands.
Outcome = Unavailable | Rejected | None


@value
class Batch:
    """Messages of one partition, in the order of each subject.

    ``mark`` is the driver's own, and opaque.
    """

    topic: str
    partition: int
    messages: Sequence[Message]
    mark: object


class Subscription(ABC):
    """One member of a group, receiving from topics."""

    @property
    def trouble(self) -> Trouble | None:
        """Why nothing can come now, though `receive` only waits; None when all is well, or the driver cannot tell."""
        return None

    @abstractmethod
    async def receive(self, *, limit: int) -> Sequence[Batch]:
        """Wait until there are messages and return them, at most ``limit`` a partition.

        A partition whose last batch is not acknowledged gives nothing further; it may while that is on its way. What
        was received and not acknowledged when a member leaves, or dies, comes again, to it or to another member.
        Cancelling loses nothing. Raises `Unavailable` when the broker is out of reach; the next call tries again.
        """

    @abstractmethod
    async def acknowledge(self, batches: Sequence[Batch]) -> None:
        """Say that these batches, whole, need not come again.

        Harmless for a batch that meanwhile belongs to another member. `Unavailable`: they may come again.
        """

    @abstractmethod
    async def close(self) -> None:
        """Leave the group. May be called twice, and while another task waits in `receive`, which then ends."""


class EventBroker(ABC):
    """Carries messages from publishers to groups of consumers."""

    @property
    def trouble(self) -> Trouble | None:
        """What does not get on though the broker answers; None when all is well, or the driver cannot tell."""
        return None

    @abstractmethod
    async def start(self) -> None:
        """Get ready. Does not fail for a broker that is away: it may come back."""

    @abstractmethod
    async def stop(self) -> None:
        """Let go of everything within a bound. May be called twice."""

    @abstractmethod
    async def identity(self) -> str:
        """Which broker this is: another string when it lost what it had been given. `Unavailable` if not known now."""

    @abstractmethod
    async def declare(self, topics: Sequence[str], group: str) -> None:
        """Make sure that what is published on ``topics`` from now on is kept for ``group``, members or not."""

    async def missing(self, topics: Sequence[str], group: str) -> Sequence[str]:  # noqa: ARG002
        """What `declare` would make; changes nothing.

        `Rejected` when something is there and is not as it has to be.
        """
        return ()

    @abstractmethod
    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send a batch and return one outcome for each message, in their order, within the driver's own deadline.

        Messages of one subject in one batch are not promised to keep their order when one fails: send one of each at a
        time. May be called by many at once.
        """

    @abstractmethod
    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        """Become a member of ``group``; members share the partitions of the topics, one member a partition."""

    @abstractmethod
    async def backlog(self, topics: Sequence[str], group: str) -> int:
        """How many messages the group has not acknowledged; `Unavailable` when not known now."""
