"""What was recorded and is still to be done: events to publish, tasks to perform, received messages to handle again.

All three are rows of one ledger and live by the same rules; the lane says which of the three a row is. A row is changed
only by who holds its present token, so whoever wakes up late changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.model.value import value
from ports.log_context import Handled
from ports.message import Message
from ports.trace_context import TraceContext, trace_of

STORY_MOST = 20
REASON_MOST = 500


class Lane(StrEnum):
    """What kind of thing is delivered."""

    EVENT = "event"
    TASK = "task"
    RECEIVED = "received"


class State(StrEnum):
    """Where a delivery stands. What is done has no row."""

    READY = "ready"  # may go when it is due and nothing of its ordering key is before it
    SENT = "sent"  # an event that a broker holds and our own group has not handled yet
    BLOCKED = "blocked"  # waits behind a dead one of its ordering key
    DEAD = "dead"  # waits for a person
    DISCARDED = "discarded"  # given up by a person; kept for the record


def ordering_key(topic: str, subject: str, group: str = "") -> str:
    """Of what a group keeps of a subject; without a group, of what is published about it."""
    return f"{group}/{topic}/{subject}"


@value
class Happening:
    """One line of a delivery's story."""

    at: datetime
    what: str
    why: str = ""


@value(kw_only=True)
class Delivery:
    """One thing to deliver, with its story.

    ``token`` grows with every change. ``due_at`` is when it may be taken: for a task that is claimed, the end of the
    claim. ``attempts`` counts what failed by its own fault, or was claimed and never finished. ``position`` is the
    order of recording, given by the store.
    """

    id: str
    lane: Lane
    name: str  # the type of an event, the name of a task
    topic: str = ""
    subject: str | None = None
    group: str = ""  # of consumers, for what was received
    partition: int = 0
    attributes: Mapping[str, str]
    body: bytes
    recorded_at: datetime
    due_at: datetime
    state: State = State.READY
    token: int = 1
    attempts: int = 0
    holder: str | None = None  # the process that has claimed a task
    sent_to: str | None = None  # the identity of the broker that took it
    sent_at: datetime | None = None  # when that was; of a task, when a queue was given it
    reason: str | None = None
    first_failed_at: datetime | None = None
    last_failed_at: datetime | None = None
    story: tuple[Happening, ...] = ()
    position: int = 0

    @property
    def ordering_key(self) -> str | None:
        """Deliveries of one key go one after the other; None waits for nobody."""
        if self.lane is Lane.TASK or self.subject is None:
            return None
        return ordering_key(self.topic, self.subject, self.group)

    @property
    def handled(self) -> Handled:
        """What lines that are written meanwhile say it is."""
        return Handled(self.attributes.get("id") or self.id, self.subject, self.topic or None, self.trace)

    @property
    def is_handed_over(self) -> bool:
        """Whether it is a task that a queue was given and nobody has claimed."""
        return self.lane is Lane.TASK and self.state is State.READY and self.holder is None and self.sent_at is not None

    @property
    def trace(self) -> TraceContext | None:
        """The place in a trace that it was recorded at."""
        return trace_of(self.attributes)

    @property
    def message(self) -> Message:
        """What a broker is given, or gave us."""
        return Message(topic=self.topic, attributes=self.attributes, body=self.body)

    def sent(self, to: str, at: datetime) -> "Delivery":
        """A broker has confirmed it."""
        return self._changed(state=State.SENT, sent_to=to, sent_at=at)

    def claimed(self, holder: str, until: datetime) -> "Delivery":
        """A performer takes it; the attempt counts from here, so that work which kills its process is counted too."""
        return self._changed(holder=holder, sent_at=None, due_at=until, attempts=self.attempts + 1)

    def born_claimed(self, holder: str, seconds: float) -> "Delivery":
        """Recorded by the process that will perform it: for so long nobody else takes it. Not an attempt yet."""
        return replace(self, holder=holder, due_at=self.recorded_at + timedelta(seconds=seconds))

    def ready_again(self, at: datetime) -> "Delivery":
        """The broker that took it is gone, or never brought it."""
        return self._changed(state=State.READY, due_at=at, sent_to=None, sent_at=None)

    def handed_over(self, at: datetime) -> "Delivery":
        """A queue is given it. It stays due: who hands tasks over knows by ``sent_at`` what to leave to the queue."""
        return self._changed(holder=None, sent_at=at)

    def due(self, at: datetime) -> "Delivery":
        """It may be taken again at this time."""
        return self._changed(due_at=at)

    def released(self, at: datetime) -> "Delivery":
        """Nobody could work on it: the claim costs no attempt."""
        return self._changed(holder=None, sent_at=None, due_at=at, attempts=max(0, self.attempts - 1))

    def failed(self, why: str, at: datetime, *, attempts: int, due_at: datetime) -> "Delivery":
        """It failed by its own fault and is tried again."""
        return self._failure("failed", why, at, attempts=attempts, due_at=due_at, holder=None)

    def died(self, why: str, at: datetime, *, attempts: int) -> "Delivery":
        """It waits for a person from here on."""
        return self._failure("dead", why, at, attempts=attempts, state=State.DEAD, holder=None)

    def replayed(self, at: datetime) -> "Delivery":
        """A person wants it tried again, with all its attempts before it."""
        return self._changed(
            state=State.READY, due_at=at, attempts=0, holder=None, story=self._told(Happening(at, "replayed"))
        )

    def discarded(self, at: datetime) -> "Delivery":
        """A person has given it up."""
        return self._changed(state=State.DISCARDED, due_at=at, story=self._told(Happening(at, "discarded")))

    def _failure(self, what: str, why: str, at: datetime, **changes: object) -> "Delivery":
        why = why[:REASON_MOST]
        return self._changed(
            reason=why,
            first_failed_at=self.first_failed_at or at,
            last_failed_at=at,
            sent_at=None,
            story=self._told(Happening(at, what, why)),
            **changes,
        )

    def _told(self, happening: Happening) -> tuple[Happening, ...]:
        # The first line says where it came from and is kept; of the rest the newest are.
        story = (*self.story, happening)
        return story if len(story) <= STORY_MOST else (story[0], *story[-STORY_MOST + 1 :])

    def _changed(self, **changes: object) -> "Delivery":
        return replace(self, token=self.token + 1, **changes)  # type: ignore[arg-type]
