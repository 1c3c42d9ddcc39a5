"""What is kept.

Writing and reading are apart. A unit of work *collects* writes and sends them at commit, all or nothing; what must hold
is a precondition of the commit and not a lock held while reading. Whoever read stale data gets `Conflict`, reads again
and runs again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from domain.model.events import Event
from domain.model.order import Order
from domain.model.tasks import Task
from domain.model.user import Owner, User
from domain.model.value import value
from ports.deliveries import Delivery, Lane, State
from ports.trouble import Trouble

# --- what a use case works with ---------------------------------------------------------------------------------------


class Users(ABC):
    """Users, as committed."""

    @abstractmethod
    async def get(self, id: UUID) -> User | None:
        """The user, or None."""


class Orders(ABC):
    """Orders, as committed."""

    @abstractmethod
    async def get(self, id: UUID) -> Order | None:
        """The order, or None."""

    @abstractmethod
    async def page(self, *, user_id: UUID | None, before: UUID | None, limit: int) -> Sequence[Order]:
        """Orders, newest first: of one user when given, and only those placed before the order ``before``."""

    @abstractmethod
    async def page_of_owner(self, owner: Owner, *, before: UUID | None, limit: int) -> Sequence[Order]:
        """The same, of all users who belong to this owner."""


class WritableUsers(Users):
    """Users inside a unit of work; reading does not see what is not committed."""

    @abstractmethod
    def add(self, user: User) -> None:
        """Add a user whose address nobody has; else the commit raises `EmailAlreadyRegistered`."""


class WritableOrders(Orders):
    """Orders inside a unit of work; reading does not see what is not committed."""

    @abstractmethod
    def add(self, order: Order) -> None:
        """Add an order of a user who exists; else the commit raises `UnknownUser`."""

    @abstractmethod
    def save(self, order: Order) -> None:
        """Save the next version of an order; when another has saved it meanwhile, the commit raises `Conflict`."""


@value
class Answer:
    """What a request was answered, so that the same request is answered the same when it comes again.

    ``id`` says whose request it was, and under which key; ``fingerprint`` what was asked for.
    """

    id: str
    fingerprint: str
    status: int
    location: str
    body: bytes
    at: datetime


ANSWER_MOST = 256 * 1024  # bytes of a body that is kept


class Answers(ABC):
    """Answers, as committed."""

    @abstractmethod
    async def get(self, id: str) -> Answer | None:
        """The answer, or None."""

    @abstractmethod
    async def forget(self, *, before: datetime, limit: int) -> int:
        """Drop answers that are older; how many were dropped."""


class UnitOfWork(ABC):
    """State, and the events and tasks that follow from it, in one transaction.

    Leaving the block without `commit` drops everything.
    """

    users: WritableUsers
    orders: WritableOrders

    @abstractmethod
    def publish(self, event: Event) -> None:
        """Record an event; it reaches the broker after the commit. `Rejected` when it is too large for any broker."""

    @abstractmethod
    def enqueue(self, task: Task) -> None:
        """Record a task; it is performed after the commit."""

    @abstractmethod
    def keep(self, answer: Answer) -> None:
        """Keep what the request is answered; when its id is known already, the commit raises `Conflict` for that.

        Whatever else does not hold then is not told. `Rejected` when the body is too large to be kept.
        """

    @abstractmethod
    async def commit(self) -> None:
        """Write everything that was collected, or nothing.

        Raises the refusals named above, `Conflict`, `Unavailable` (nothing was written) and `Unknown`.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


UnitsOfWork = Callable[[], UnitOfWork]

# --- what a unit of work consists of ----------------------------------------------------------------------------------


@value
class AddUser:
    """Precondition: the address is new."""

    user: User


@value
class AddOrder:
    """Precondition: the user exists."""

    order: Order


@value
class SaveOrder:
    """Precondition: the stored version is the one before this."""

    order: Order


@value
class Record:
    """Add a delivery; it is stored as blocked when a dead one of its ordering key is there."""

    delivery: Delivery


@value
class Replace:
    """Store the new state of a delivery.

    Precondition: the stored token is ``token``.
    """

    delivery: Delivery
    token: int


@value
class MarkSent:
    """Note that the broker ``to`` holds an event; nothing when the event has been handled meanwhile."""

    id: str
    to: str
    at: datetime


@value
class Remove:
    """Delete a delivery that is done.

    Precondition: the stored token is ``token``. With None the row is deleted if it is still there.
    """

    id: str
    token: int | None


@value
class Block:
    """What is ready of this ordering key waits."""

    ordering_key: str


@value
class Unblock:
    """What waits of this ordering key is ready, unless a dead one is left."""

    ordering_key: str


@value
class Remember:
    """Note in the inbox that a message has been taken charge of.

    Precondition: the group has not seen this source and id.
    """

    group: str
    source: str
    message_id: str
    at: datetime


@value
class Advance:
    """Move a lane (group, topic, subject) of received messages one version on.

    Precondition: its stored version is ``version``; a lane without a row has version 0.
    """

    group: str
    topic: str
    subject: str
    version: int
    at: datetime


@value
class TakeInHand:
    """Note which messages a process is about to handle, in place of what it noted for the partition before."""

    group: str
    topic: str
    partition: int
    message_ids: Sequence[str]


@value
class HoldLease:
    """Precondition: the lease is held by ``holder`` with this fence and has not run out."""

    name: str
    holder: str
    fence: int


@value
class KeepAnswer:
    """Precondition, looked at before those of users and orders: the id of the answer is new."""

    answer: Answer


Write = (
    AddUser
    | AddOrder
    | SaveOrder
    | Record
    | Replace
    | MarkSent
    | Remove
    | Block
    | Unblock
    | Remember
    | Advance
    | TakeInHand
    | HoldLease
    | KeepAnswer
)


class Traffic(StrEnum):
    """Who commits. The three do not wait in one queue, so that none can hold up another."""

    REQUEST = "request"
    CONSUMER = "consumer"
    BOOKKEEPING = "bookkeeping"  # of deliveries: what a crash of the store itself loses of it is only done again


# --- what delivery reads ----------------------------------------------------------------------------------------------


@value
class LaneState:
    """Where a lane of received messages stands: its version, and whether messages of it are kept by us."""

    version: int = 0
    occupied: bool = False


@value
class Survey:
    """What is known of some received messages."""

    seen: frozenset[tuple[str, str]]  # source, id
    lanes: Mapping[str, LaneState]  # by subject; absent: untouched


@value(kw_only=True)
class Sought:
    """Which of the dead; without anything said, all. A text is found anywhere in what it is compared with, as it is."""

    lane: Lane | None = None
    name: str = ""
    subject: str = ""
    reason: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """What is looked for in names, subjects and reasons."""
        return (self.name, self.subject, self.reason)


ALL: Final = Sought()


@value
class DeskPage:
    """Dead deliveries, oldest first; ``after`` of the next page is the position of the last, when there are more."""

    items: Sequence[Delivery]
    next_after: int | None


SUBJECT_AMONG: Final = 100_000  # deliveries that are not done, the newest, among which those of a subject are found


@value
class Flow:
    """What moves, over all processes.

    ``sent_since`` is when the first of the events was sent that a broker holds and our group has not handled; None:
    there is none. ``recorded`` grows by one with each delivery, now and then by more; ``handled`` are messages that
    groups have taken charge of.
    """

    sent_since: datetime | None
    recorded: int
    handled: int


class Ledger(ABC):
    """Deliveries, as committed."""

    @abstractmethod
    async def ready_events(self, *, partitions: Sequence[int], limit: int, after: int = 0) -> Sequence[Delivery]:
        """Events to publish, in the order of recording; several of one ordering key may be among them.

        Only those whose position is greater than ``after``.
        """

    @abstractmethod
    async def sent_events(self, *, to_other_than: str, before: datetime | None, limit: int) -> Sequence[Delivery]:
        """Events that wait for our group and were taken by another broker, or by any before ``before``."""

    @abstractmethod
    async def first_sent(self) -> Sequence[Delivery]:
        """Of the events that wait for our group, the one that was sent first to its broker; none when none waits.

        Events of one broker; which one, when there are several, is the store's to say.
        """

    @abstractmethod
    async def due(
        self, lane: Lane, *, now: datetime, limit: int, group: str = "", handed_before: datetime | None = None
    ) -> Sequence[Delivery]:
        """Tasks, or received messages of one group, that are due and have nothing of their ordering key before them.

        With ``handed_before``, tasks that a queue was given later than that, and that nobody has claimed, are left out.
        """

    @abstractmethod
    async def handed_over(self) -> int:
        """How many tasks a queue was given that nobody has claimed yet."""

    @abstractmethod
    async def get(self, id: str) -> Delivery | None:
        """One delivery in any state, or None."""

    @abstractmethod
    async def dead(self, *, after: int, limit: int, sought: Sought = ALL) -> DeskPage:
        """Those that wait for a person."""

    @abstractmethod
    async def count_dead(self, sought: Sought) -> int:
        """How many wait for a person."""

    @abstractmethod
    async def of_subject(self, subject: str, *, limit: int) -> Sequence[Delivery]:
        """What is not done about a subject, of every lane, state and group, oldest first.

        Looked for among the newest `SUBJECT_AMONG` deliveries that are not done.
        """

    @abstractmethod
    async def flow(self, *, handled_since: datetime) -> Flow:
        """What moves; ``handled`` counts from this time on."""

    @abstractmethod
    async def counts(self) -> Mapping[tuple[Lane, State], int]:
        """How many there are."""

    @abstractmethod
    async def due_since(self) -> Mapping[Lane, datetime]:
        """When the first in line of what is ready came, or comes, due; without the lanes in which nothing is ready.

        Of events the first recorded is first in line, of the others the longest due.
        """

    @abstractmethod
    async def survey(self, group: str, topic: str, messages: Sequence[tuple[str | None, str, str]]) -> Survey:
        """What is known of messages of one topic, each given as subject, source and id."""

    @abstractmethod
    async def in_hand(self, group: str, topic: str, partition: int) -> Sequence[str]:
        """The message ids that were noted last by `TakeInHand`."""

    @abstractmethod
    async def forget(self, *, before: datetime, limit: int) -> int:
        """Drop inbox entries, untouched lanes and discarded deliveries that are older; how many were dropped."""


class Leases(ABC):
    """Names that one holder at a time may act for, by the store's own clock."""

    @abstractmethod
    async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
        """Take what is free, renew what is ours, and return the fence of each that we hold now.

        A fence grows whenever the holder changes.
        """

    @abstractmethod
    async def release(self, names: Sequence[str], *, holder: str) -> None:
        """Let go of what is ours."""

    @abstractmethod
    async def holders(self, prefix: str) -> Sequence[str]:
        """Who holds leases whose name starts with ``prefix`` now, each once, sorted."""


class Persistence(ABC):
    """Everything that outlives a process."""

    users: Users
    orders: Orders
    ledger: Ledger
    leases: Leases
    answers: Answers

    @abstractmethod
    async def start(self) -> None:
        """Open. Raises `Unavailable` when it cannot, and `Rejected` when its schema is older than this program."""

    @abstractmethod
    async def stop(self) -> None:
        """Finish what was accepted, within a bound, and close. May be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return when a read has been answered; `Unavailable` otherwise."""

    @property
    def trouble(self) -> Trouble | None:
        """Why what was to be written a moment ago could not be; None when it could, or nothing was. Asks nobody."""
        return None

    def announce(self, lanes: Collection[Lane]) -> None:  # noqa: B027 - nobody to tell is the usual case
        """Let other processes that listen know that something of these lanes was recorded.

        A hint: it is sent when there is time, many in one, and may be lost; whoever waits for it looks now and then as
        well. A store that one process has for itself has nobody to tell.
        """

    def listen(self, listener: Callable[[Collection[Lane]], None]) -> None:  # noqa: B027 - the same
        """Call ``listener``, which must not wait, with what other processes announce from now on."""

    @abstractmethod
    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        """Write all or nothing, durably, within ``seconds``.

        No two writes of one unit are about the same row. Units that wait at the same moment are committed together; one
        whose precondition fails fails alone, with `Conflict`. A caller that goes away does not take back what it gave.
        Raises `Unavailable` when nothing was written, `Unknown` when that cannot be told.
        """
