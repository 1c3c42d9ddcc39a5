"""The desk: what waits for a person, of all three lanes."""

from collections.abc import Callable
from datetime import datetime

from domain.delivery.unit_of_work import Listener, tell
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Lane, State
from ports.errors import Conflict
from ports.persistence import ALL, Advance, DeskPage, LaneState, Persistence, Replace, Sought, Unblock, Write


class DeadLetterNotFound(Exception):
    """Nothing of this id waits at the desk; it may have been replayed or discarded meanwhile."""

    def __init__(self, id: str) -> None:
        super().__init__(f"There is no dead letter {id}: it may have been replayed or discarded meanwhile.")


class DeadLetters:
    """Lists, shows, replays and discards what is dead.

    Replaying gives all attempts back and keeps the place in the order: what waits behind goes on only after it. Both
    replay and discard leave a line in the story.
    """

    def __init__(self, persistence: Persistence, clock: Clock) -> None:
        self._persistence = persistence
        self._clock = clock
        self.listeners: list[Listener] = []

    async def page(self, *, after: int = 0, limit: int = 100, sought: Sought = ALL) -> DeskPage:
        """Dead deliveries, oldest first, after the position ``after``."""
        return await self._persistence.ledger.dead(after=after, limit=limit, sought=sought)

    async def count(self, sought: Sought = ALL) -> int:
        """How many there are."""
        return await self._persistence.ledger.count_dead(sought)

    async def get(self, id: str) -> Delivery:
        """One delivery with its body and story, also when it was discarded; `DeadLetterNotFound`."""
        delivery = await self._persistence.ledger.get(id)
        if delivery is None or delivery.state not in {State.DEAD, State.DISCARDED}:
            raise DeadLetterNotFound(id)
        return delivery

    async def replay(self, id: str) -> None:
        """Try it again from the start; `DeadLetterNotFound` when it is not dead (any more)."""
        await self._change(id, Delivery.replayed)

    async def discard(self, id: str) -> None:
        """Give it up, so that what waits behind it goes on; `DeadLetterNotFound` when it is not dead (any more)."""
        await self._change(id, Delivery.discarded)

    async def _change(self, id: str, change: Callable[[Delivery, datetime], Delivery]) -> None:
        while True:
            delivery = await self._persistence.ledger.get(id)
            if delivery is None or delivery.state is not State.DEAD:
                raise DeadLetterNotFound(id)
            changed = change(delivery, self._clock.now())
            writes = [Replace(changed, delivery.token), *await self._lane_of(delivery)]
            reached(CrashPoint.DESK_MID_REPLAY)
            try:
                await self._persistence.commit(writes)
            except Conflict:
                continue  # its lane has moved on, or another desk was first: look again
            await tell(self.listeners, [changed])
            return

    async def _lane_of(self, delivery: Delivery) -> list[Write]:
        writes: list[Write] = []
        if delivery.lane is Lane.RECEIVED and delivery.subject is not None:
            group, topic, subject = delivery.group, delivery.topic, delivery.subject
            survey = await self._persistence.ledger.survey(group, topic, [(subject, "", "")])
            version = survey.lanes.get(subject, LaneState()).version
            writes.append(Advance(group, topic, subject, version, self._clock.now()))
        if delivery.ordering_key is not None:
            writes.append(Unblock(delivery.ordering_key))
        return writes
