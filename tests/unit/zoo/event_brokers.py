"""Event brokers that lie.

Each is an honest one that breaks one promise: most of them as a driver has really done, or would with one line wrong.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from adapters.event_broker.memory import MemoryEventBroker, _Group, _Mark
from ports.errors import Rejected, Unavailable
from ports.event_broker import Batch, EventBroker, Outcome, Subscription
from ports.message import BODY_MOST, Message
from tests.unit.zoo.judge import LibraryError


class LyingMember(Subscription):
    """Passes on what an honest member does; each liar changes one thing."""

    def __init__(self, broker: "LyingEventBroker", honest: Subscription, topics: Sequence[str], group: str) -> None:
        self.broker = broker
        self.honest = honest
        self.topics = topics
        self.group = group

    async def receive(self, *, limit: int) -> Sequence[Batch]:
        return await self.received(await self.honest.receive(limit=limit))

    async def received(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        return [replace(batch, messages=self.read(batch.messages)) for batch in batches]

    def read(self, messages: Sequence[Message]) -> Sequence[Message]:
        return messages

    async def acknowledge(self, batches: Sequence[Batch]) -> None:
        await self.honest.acknowledge(batches)

    async def close(self) -> None:
        await self.honest.close()


class LyingEventBroker(EventBroker):
    """Passes everything on to an honest broker; each liar changes one thing."""

    member: ClassVar[type[LyingMember]] = LyingMember

    def __init__(self, honest: MemoryEventBroker) -> None:
        self.honest = honest

    async def start(self) -> None:
        await self.honest.start()

    async def stop(self) -> None:
        await self.honest.stop()

    async def crash(self) -> None:
        """The server is killed."""
        await self.honest.stop()

    async def recover(self) -> None:
        """The server is started again."""
        await self.honest.start()

    async def identity(self) -> str:
        return await self.honest.identity()

    async def declare(self, topics: Sequence[str], group: str) -> None:
        await self.honest.declare(topics, group)

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return [await self.publish_one(message) for message in messages]

    async def publish_one(self, message: Message) -> Outcome:
        (outcome,) = await self.honest.publish([message])
        return outcome

    def subscribe(self, topics: Sequence[str], group: str) -> LyingMember:
        return self.member(self, self.honest.subscribe(topics, group), topics, group)

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        return await self.honest.backlog(topics, group)

    def groups(self) -> list[_Group]:
        """What the honest one knows of each topic and group, for liars that reach into it."""
        return [group for topic in self.honest._topics.values() for group in topic.groups.values()]


# --- publishing -------------------------------------------------------------------------------------------------------


class LosesEveryFiftieth(LyingEventBroker):
    """Confirms what it has thrown away."""

    count = 0

    async def publish_one(self, message: Message) -> Outcome:
        self.count += 1
        return None if self.count % 50 == 0 else await super().publish_one(message)


class ConfirmsWhatItHasNotSent(LyingEventBroker):
    """Collects a hundred before it sends them, as a buffering producer that nobody flushes."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.buffer: list[Message] = []

    async def publish_one(self, message: Message) -> Outcome:
        self.buffer.append(message)
        if len(self.buffer) == 100:
            await self.honest.publish(self.buffer)
            self.buffer.clear()
        return None


class Overtakes(LyingEventBroker):
    """Sends every second message of a subject before the first, as a retry in a pipeline does."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.held: dict[str | None, Message] = {}

    async def publish_one(self, message: Message) -> Outcome:
        before = self.held.pop(message.subject, None)
        if before is None:
            self.held[message.subject] = message
            return None
        return (await self.honest.publish([message, before]))[0]


class LosesTheKey(LyingEventBroker):
    """Spreads the messages of one subject over all partitions."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.subjects: dict[str, str] = {}

    async def publish_one(self, message: Message) -> Outcome:
        self.subjects[message.attributes["id"]] = message.attributes["subject"]
        without = {name: value for name, value in message.attributes.items() if name != "subject"}
        return await super().publish_one(replace(message, attributes=without))

    class member(LyingMember):  # noqa: N801 - stands for the attribute
        broker: "LosesTheKey"

        def read(self, messages: Sequence[Message]) -> Sequence[Message]:
            subjects = self.broker.subjects
            return [
                replace(message, attributes=dict(message.attributes) | {"subject": subjects[message.attributes["id"]]})
                for message in messages
            ]


class ForgetsHeaders(LyingEventBroker):
    """Carries the body, and of the attributes only who it is."""

    async def publish_one(self, message: Message) -> Outcome:
        kept = {name: message.attributes[name] for name in ("id", "subject") if name in message.attributes}
        return await super().publish_one(replace(message, attributes=kept))


class ForgetsTheTrace(LyingEventBroker):
    """Knows the attributes of the specification and no extension."""

    async def publish_one(self, message: Message) -> Outcome:
        kept = {name: value for name, value in message.attributes.items() if name != "traceparent"}
        return await super().publish_one(replace(message, attributes=kept))


class WritesHeadersInAscii(LyingEventBroker):
    """Replaces what it cannot encode."""

    async def publish_one(self, message: Message) -> Outcome:
        ascii_ = {name: value.encode("ascii", "replace").decode() for name, value in message.attributes.items()}
        return await super().publish_one(replace(message, attributes=ascii_))


class TakesBodiesForText(LyingEventBroker):
    """Decodes and encodes what it should not look at."""

    async def publish_one(self, message: Message) -> Outcome:
        return await super().publish_one(replace(message, body=message.body.decode("utf-8", "replace").encode()))


class TakesEmptyForNothing(LyingEventBroker):
    """Drops what has no body, as a tombstone."""

    async def publish_one(self, message: Message) -> Outcome:
        return await super().publish_one(message) if message.body else None


class DropsWhatHasNoSubject(LyingEventBroker):
    """Has no key to send it under."""

    async def publish_one(self, message: Message) -> Outcome:
        return await super().publish_one(message) if message.subject else None


class WantsAnId(LyingEventBroker):
    """Drops what others send without one."""

    async def publish_one(self, message: Message) -> Outcome:
        return await super().publish_one(message) if "id" in message.attributes else None


class KeepsWhatItWasGiven(LyingEventBroker):
    """Does not copy: what a caller changes later arrives changed."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.given: dict[str, Message] = {}

    async def publish_one(self, message: Message) -> Outcome:
        self.given[message.attributes["id"]] = message
        return await super().publish_one(message)

    class member(LyingMember):  # noqa: N801
        broker: "KeepsWhatItWasGiven"

        def read(self, messages: Sequence[Message]) -> Sequence[Message]:
            return [self.broker.given[message.attributes["id"]] for message in messages]


class SwallowsErrors(LyingEventBroker):
    """Tries, and says that all went well."""

    async def publish_one(self, message: Message) -> Outcome:
        await super().publish_one(message)
        return None


class AnswersInAnotherOrder(LyingEventBroker):
    """As confirmations come in, not as messages went out."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return list(reversed(await super().publish(messages)))


class AnswersOnlyWhatWentWrong(LyingEventBroker):
    """Too few outcomes for the messages."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return [outcome for outcome in await super().publish(messages) if outcome is not None]


class RejectsTheWholeBatch(LyingEventBroker):
    """Lets the innocent suffer for the one that is too large, as the error of a batch does."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        outcomes = await super().publish(messages)
        rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
        return [rejected[0] for _ in outcomes] if rejected else outcomes


class WantsSomethingToPublish(LyingEventBroker):
    """Does not know what to do with an empty batch."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return await super().publish(messages) if messages else [None]


class RejectsWhatIsMerelyUnavailable(LyingEventBroker):
    """Sends to the desk what would have gone through a minute later."""

    async def publish_one(self, message: Message) -> Outcome:
        outcome = await super().publish_one(message)
        return Rejected(str(outcome)) if isinstance(outcome, Unavailable) else outcome


class TakesWhatIsTooLarge(LyingEventBroker):
    """Cuts off what does not fit."""

    async def publish_one(self, message: Message) -> Outcome:
        return await super().publish_one(replace(message, body=message.body[:BODY_MOST]))


class PublishesWhatItRejects(LyingEventBroker):
    """Says no after it has sent it."""

    async def publish_one(self, message: Message) -> Outcome:
        outcome = await super().publish_one(message)
        if isinstance(outcome, Rejected):
            await super().publish_one(replace(message, body=b""))
        return outcome


class RefusesTheLargest(LyingEventBroker):
    """Off by one."""

    async def publish_one(self, message: Message) -> Outcome:
        return await super().publish_one(message) if len(message.body) < BODY_MOST else Rejected("too large")


class ConfirmsWhatNobodyGets(LyingEventBroker):
    """Publishes to an exchange without a queue."""

    async def publish_one(self, message: Message) -> Outcome:
        return await super().publish_one(message) if message.topic in self.honest._topics else None


class StopsWithPublishersWaiting(LyingEventBroker):
    """Nobody resolves what waits for a confirmation when the connection goes."""

    async def publish_one(self, message: Message) -> Outcome:
        await asyncio.sleep(0)
        outcome = await super().publish_one(message)
        return await asyncio.Future() if isinstance(outcome, Unavailable) else outcome


class HoldsItsLockWhenCancelled(LyingEventBroker):
    """A publisher that is cancelled locks out all others."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.lock = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        await self.lock.acquire()
        await asyncio.sleep(0)
        outcomes = await super().publish(messages)
        self.lock.release()
        return outcomes


# --- groups -----------------------------------------------------------------------------------------------------------


class GivesToEachMember(LyingEventBroker):
    """A queue for each member instead of one for the group."""

    members: ClassVar[Counter[str]] = Counter()

    def subscribe(self, topics: Sequence[str], group: str) -> LyingMember:
        self.members[group] += 1
        return super().subscribe(topics, f"{group}-{self.members[group]}" if self.members[group] > 1 else group)


class GivesToOneMember(LyingEventBroker):
    """The first member has all partitions as long as it lives: a single active consumer."""

    def subscribe(self, topics: Sequence[str], group: str) -> LyingMember:
        member = super().subscribe(topics, group)
        for known in self.groups():
            for place in known.places:
                if known.members:
                    place.give_to(known.members[0])
        return member


class GivesEachGroupAShare(LyingEventBroker):
    """All groups are one."""

    async def declare(self, topics: Sequence[str], group: str) -> None:  # noqa: ARG002
        await super().declare(topics, "everybody")

    def subscribe(self, topics: Sequence[str], group: str) -> LyingMember:  # noqa: ARG002
        return super().subscribe(topics, "everybody")

    async def backlog(self, topics: Sequence[str], group: str) -> int:  # noqa: ARG002
        return await super().backlog(topics, "everybody")


class StartsNewGroupsAtTheBeginning(LyingEventBroker):
    """Gives them what was published before they were declared."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.log: defaultdict[str, list[Message]] = defaultdict(list)
        self.missed: dict[tuple[str, str], list[Message]] = {}

    async def publish_one(self, message: Message) -> Outcome:
        self.log[message.topic].append(message)
        return await super().publish_one(message)

    async def declare(self, topics: Sequence[str], group: str) -> None:
        await super().declare(topics, group)
        for topic in topics:
            self.missed.setdefault((topic, group), list(self.log[topic]))

    class member(LyingMember):  # noqa: N801
        broker: "StartsNewGroupsAtTheBeginning"

        async def receive(self, *, limit: int) -> Sequence[Batch]:
            for topic in self.topics:
                missed = self.broker.missed.pop((topic, self.group), [])
                if missed:
                    return [Batch(topic, 0, missed, None)]
            return await super().receive(limit=limit)


class StartsGroupsAtTheirFirstMember(LyingEventBroker):
    """Takes the declaration for a formality."""

    async def declare(self, topics: Sequence[str], group: str) -> None:  # noqa: ARG002
        await super().declare(topics, "nobody")


class DeclaringAgainStartsAnew(LyingEventBroker):
    """Resets a group that exists already to the end."""

    async def declare(self, topics: Sequence[str], group: str) -> None:
        await super().declare(topics, group)
        for topic in topics:
            for place in self.honest._topics[topic].groups[group].places:
                place.acknowledged, place.in_hand = place.log.end, None


class HearsOneTopic(LyingEventBroker):
    """Of several that it was asked for."""

    def subscribe(self, topics: Sequence[str], group: str) -> LyingMember:
        return super().subscribe(topics[:1], group)


# --- receiving --------------------------------------------------------------------------------------------------------


class IgnoresTheLimit(LyingEventBroker):
    """Gives what it has."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:  # noqa: ARG002
            return await super().receive(limit=1_000)


class SplitsItsBatches(LyingEventBroker):
    """Keeps to the limit in each of several batches of one partition."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            batches = await super().receive(limit=1_000)
            return [
                replace(batch, messages=batch.messages[at : at + limit])
                for batch in batches
                for at in range(0, len(batch.messages), limit)
            ]


class CountsPartitionsFromOne(LyingEventBroker):
    """Names another partition than the one that a batch is from."""

    class member(LyingMember):  # noqa: N801
        async def received(self, batches: Sequence[Batch]) -> Sequence[Batch]:
            return [replace(batch, partition=batch.partition + 1) for batch in batches]


class ReversesBatches(LyingEventBroker):
    """The newest first."""

    class member(LyingMember):  # noqa: N801
        def read(self, messages: Sequence[Message]) -> Sequence[Message]:
            return messages[::-1]


class GivesEachTwice(LyingEventBroker):
    """Without any fault that would explain it."""

    class member(LyingMember):  # noqa: N801
        def read(self, messages: Sequence[Message]) -> Sequence[Message]:
            return [message for message in messages for _ in range(2)]


class NeverWaits(LyingEventBroker):
    """Answers at once that there is nothing, so that its caller turns in circles."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    return await super().receive(limit=limit)
            return []


class LosesWhatItFetchedWhenCancelled(LyingEventBroker):
    """What was on its way to a caller who has gone is in hand for ever."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            return await asyncio.shield(asyncio.ensure_future(super().receive(limit=limit)))


class SwallowsTheCancellation(LyingEventBroker):
    """Goes on waiting when it was told to stop."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            try:
                return await super().receive(limit=limit)
            except asyncio.CancelledError:
                return await super().receive(limit=limit)


# --- acknowledging ----------------------------------------------------------------------------------------------------


class AcknowledgesOnReceipt(LyingEventBroker):
    """As every client library does unless it is told not to."""

    class member(LyingMember):  # noqa: N801
        async def received(self, batches: Sequence[Batch]) -> Sequence[Batch]:
            await self.honest.acknowledge(batches)
            return batches


class AcknowledgesWhenItLeaves(LyingEventBroker):
    """Commits its position in the end, whatever became of what it gave."""

    class member(LyingMember):  # noqa: N801
        def __init__(self, broker: LyingEventBroker, honest: Subscription, topics: Sequence[str], group: str) -> None:
            super().__init__(broker, honest, topics, group)
            self.given: list[Batch] = []

        async def received(self, batches: Sequence[Batch]) -> Sequence[Batch]:
            self.given += batches
            return batches

        async def close(self) -> None:
            with suppress(Unavailable):
                await self.honest.acknowledge(self.given)
            await super().close()


class AcknowledgesEverythingInHand(AcknowledgesWhenItLeaves):
    """Commits its position in all partitions when it is told about one."""

    class member(AcknowledgesWhenItLeaves.member):  # noqa: N801
        async def acknowledge(self, batches: Sequence[Batch]) -> None:  # noqa: ARG002
            await self.honest.acknowledge(self.given)

        async def close(self) -> None:
            await self.honest.close()


class NeverAcknowledges(LyingEventBroker):
    """Gives again what was acknowledged."""

    class member(LyingMember):  # noqa: N801
        async def acknowledge(self, batches: Sequence[Batch]) -> None:
            pass


class AcknowledgesAtTheNextReceive(LyingEventBroker):
    """Keeps acknowledgements to itself until it is asked for more."""

    class member(LyingMember):  # noqa: N801
        def __init__(self, broker: LyingEventBroker, honest: Subscription, topics: Sequence[str], group: str) -> None:
            super().__init__(broker, honest, topics, group)
            self.pending: list[Batch] = []

        async def receive(self, *, limit: int) -> Sequence[Batch]:
            await self.honest.acknowledge(self.pending)
            self.pending.clear()
            return await super().receive(limit=limit)

        async def acknowledge(self, batches: Sequence[Batch]) -> None:
            self.pending += batches


class AcknowledgesForOthers(LyingEventBroker):
    """Takes the word of a member that has lost the partition."""

    class member(LyingMember):  # noqa: N801
        async def acknowledge(self, batches: Sequence[Batch]) -> None:
            for batch in batches:
                assert isinstance(batch.mark, _Mark)
                place = batch.mark.place
                place.acknowledged, place.in_hand = max(place.acknowledged, batch.mark.end), None
                place.log.drop()


class AcknowledgesTheNextTooWhenToldTwice(LyingEventBroker):
    """Moves on by the length of the batch each time it is told."""

    class member(LyingMember):  # noqa: N801
        async def acknowledge(self, batches: Sequence[Batch]) -> None:
            for batch in batches:
                assert isinstance(batch.mark, _Mark)
                place = batch.mark.place
                place.acknowledged, place.in_hand = place.acknowledged + len(batch.messages), None


class GivesMoreBeforeTheAcknowledgement(LyingEventBroker):
    """Goes on in a partition whose last batch is not done; what is not acknowledged is put back at the end."""

    class member(LyingMember):  # noqa: N801
        def __init__(self, broker: LyingEventBroker, honest: Subscription, topics: Sequence[str], group: str) -> None:
            super().__init__(broker, honest, topics, group)
            self.given: list[Batch] = []

        async def received(self, batches: Sequence[Batch]) -> Sequence[Batch]:
            await self.honest.acknowledge(batches)
            self.given += batches
            return batches

        async def acknowledge(self, batches: Sequence[Batch]) -> None:
            self.given = [batch for batch in self.given if batch not in batches]

        async def close(self) -> None:
            for batch in self.given:
                await self.broker.publish(batch.messages)
            self.given.clear()
            await super().close()


class GivesNothingWhileAnythingIsInHand(LyingEventBroker):
    """One slow partition holds up all others."""

    class member(LyingMember):  # noqa: N801
        def __init__(self, broker: LyingEventBroker, honest: Subscription, topics: Sequence[str], group: str) -> None:
            super().__init__(broker, honest, topics, group)
            self.is_free = asyncio.Event()
            self.is_free.set()

        async def receive(self, *, limit: int) -> Sequence[Batch]:
            await self.is_free.wait()
            return await super().receive(limit=limit)

        async def received(self, batches: Sequence[Batch]) -> Sequence[Batch]:
            self.is_free.clear()
            return batches

        async def acknowledge(self, batches: Sequence[Batch]) -> None:
            self.is_free.set()
            await super().acknowledge(batches)


class ForgetsWhatIsInHandInTheBacklog(LyingEventBroker):
    """Counts what waits in the queue, as RabbitMQ's ``ready`` does."""

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        places = [place for topic in topics for place in self.honest._topics[topic].groups[group].places]
        in_hand = sum(place.in_hand.end - place.acknowledged for place in places if place.in_hand)
        return await super().backlog(topics, group) - in_hand


class KnowsTheBacklogOfOneTopic(LyingEventBroker):
    """Of several that it was asked for."""

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        return await super().backlog(topics[:1], group)


class CountsWhatEverybodyHasLeft(LyingEventBroker):
    """The largest backlog of any group."""

    async def backlog(self, topics: Sequence[str], group: str) -> int:  # noqa: ARG002
        names = {name for topic in topics for name in self.honest._topics[topic].groups}
        return max([await super(CountsWhatEverybodyHasLeft, self).backlog(topics, name) for name in names])


# --- leaving and stopping ---------------------------------------------------------------------------------------------


class HangsInCloseWhileAnotherWaits(LyingEventBroker):
    """Waits for the one who waits."""

    class member(LyingMember):  # noqa: N801
        def __init__(self, broker: LyingEventBroker, honest: Subscription, topics: Sequence[str], group: str) -> None:
            super().__init__(broker, honest, topics, group)
            self.lock = asyncio.Lock()

        async def receive(self, *, limit: int) -> Sequence[Batch]:
            async with self.lock:
                return await super().receive(limit=limit)

        async def close(self) -> None:
            async with self.lock:
                await super().close()


class LeavesOnce(LyingEventBroker):
    """And breaks the second time."""

    class member(LyingMember):  # noqa: N801
        has_left = False

        async def close(self) -> None:
            if self.has_left:
                raise LibraryError("the channel is closed already")
            self.has_left = True
            await super().close()


class NeverLeaves(LyingEventBroker):
    """Receives on after it was closed."""

    class member(LyingMember):  # noqa: N801
        async def close(self) -> None:
            pass


class WaitsOnWhenItIsStopped(LyingEventBroker):
    """Nobody wakes those who receive."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            try:
                return await super().receive(limit=limit)
            except Unavailable:
                return await asyncio.Future()


class ChangesItsIdentity(LyingEventBroker):
    """Is another at each call."""

    calls = 0

    async def identity(self) -> str:
        self.calls += 1
        return f"{await super().identity()}-{self.calls}"


# --- while the server is gone -----------------------------------------------------------------------------------------


class ReportsSuccessWhenItIsDown(LyingEventBroker):
    """Fire and forget."""

    async def publish_one(self, message: Message) -> Outcome:
        outcome = await super().publish_one(message)
        return None if isinstance(outcome, Unavailable) else outcome


class RaisesItsLibrarysError(LyingEventBroker):
    """Instead of an outcome."""

    async def publish_one(self, message: Message) -> Outcome:
        outcome = await super().publish_one(message)
        if isinstance(outcome, Unavailable):
            raise LibraryError("NoBrokersAvailable")
        return outcome


class RaisesItsLibrarysErrorInReceive(LyingEventBroker):
    """Instead of the port's."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            try:
                return await super().receive(limit=limit)
            except Unavailable as error:
                raise LibraryError("ConnectionClosed") from error


class RaisesItsLibrarysErrorInAcknowledge(LyingEventBroker):
    """Instead of the port's."""

    class member(LyingMember):  # noqa: N801
        async def acknowledge(self, batches: Sequence[Batch]) -> None:
            try:
                await super().acknowledge(batches)
            except Unavailable as error:
                raise LibraryError("CommitFailed") from error


class HangsWhenItIsDown(LyingEventBroker):
    """Tries for ever."""

    async def publish_one(self, message: Message) -> Outcome:
        outcome = await super().publish_one(message)
        return await asyncio.Future() if isinstance(outcome, Unavailable) else outcome


class ReceivesNothingWhenItIsDown(WaitsOnWhenItIsStopped):
    """Is silent, so that nobody can say what is wrong."""


class MakesUpTheBacklog(LyingEventBroker):
    """Nothing to do, while nothing is known."""

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        with suppress(Unavailable):
            return await super().backlog(topics, group)
        return 0


class DeclaresNothingWhenItIsDown(LyingEventBroker):
    """And says that it has."""

    async def declare(self, topics: Sequence[str], group: str) -> None:
        with suppress(Unavailable):
            await super().declare(topics, group)


class HangsInStopWhenItIsDown(LyingEventBroker):
    """Flushes to nobody."""

    is_down = False

    async def crash(self) -> None:
        await super().crash()
        self.is_down = True

    async def stop(self) -> None:
        if self.is_down:
            self.is_down = False
            await asyncio.Future()
        await super().stop()


class KeepsItInMemory(LyingEventBroker):
    """Confirms what is on no disk."""

    async def crash(self) -> None:
        await super().crash()
        for group in self.groups():
            for place in group.places:
                place.acknowledged, place.in_hand = place.log.end, None


class AcknowledgesOnReconnect(LyingEventBroker):
    """What was in hand when the connection broke is taken for done."""

    async def crash(self) -> None:
        await super().crash()
        for group in self.groups():
            for place in group.places:
                if place.in_hand:
                    place.in_hand.acknowledge()


class ForgetsAcknowledgementsInACrash(LyingEventBroker):
    """Keeps the positions of its groups in memory."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.log: defaultdict[str, list[Message]] = defaultdict(list)

    async def publish_one(self, message: Message) -> Outcome:
        self.log[message.topic].append(message)
        return await super().publish_one(message)

    async def recover(self) -> None:
        await super().recover()
        for messages in self.log.values():
            await self.honest.publish(messages)


class NeverReconnects(LyingEventBroker):
    """What was down once stays down."""

    is_broken = False

    async def crash(self) -> None:
        await super().crash()
        self.is_broken = True

    async def publish_one(self, message: Message) -> Outcome:
        return Unavailable("not connected") if self.is_broken else await super().publish_one(message)


class NeverReconnectsItsMembers(LyingEventBroker):
    """Publishes again, and receives no more: alive, and never rejoining."""

    class member(LyingMember):  # noqa: N801
        is_broken = False

        async def receive(self, *, limit: int) -> Sequence[Batch]:
            if self.is_broken:
                raise Unavailable("not a member")
            try:
                return await super().receive(limit=limit)
            except Unavailable:
                self.is_broken = True
                raise


class SleepsThroughTheOutage(LyingEventBroker):
    """Who waited before it waits on after it, on a connection that is dead."""

    class member(LyingMember):  # noqa: N801
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            try:
                return await super().receive(limit=limit)
            except Unavailable:
                return await asyncio.Future()


class SendsLaterWhatItCouldNotSend(LyingEventBroker):
    """Confirms at once, keeps what the server did not take, and sends that after newer ones."""

    def __init__(self, honest: MemoryEventBroker) -> None:
        super().__init__(honest)
        self.kept: deque[Message] = deque()

    async def publish_one(self, message: Message) -> Outcome:
        outcome = await super().publish_one(message)
        if isinstance(outcome, Unavailable):
            self.kept.append(message)
        elif self.kept:
            await self.honest.publish([self.kept.popleft() for _ in range(len(self.kept))])
        return None


class IsAnotherAfterARestart(LyingEventBroker):
    """Names itself by its process and not by what it holds."""

    crashes = 0

    async def crash(self) -> None:
        await super().crash()
        self.crashes += 1

    async def identity(self) -> str:
        return f"{await super().identity()}-{self.crashes}"


class FailsToStartWithoutAServer(LyingEventBroker):
    """So that a service cannot start before its broker."""

    is_down = False

    async def crash(self) -> None:
        await super().crash()
        self.is_down = True

    async def start(self) -> None:
        if self.is_down:
            raise LibraryError("ConnectionRefused")
        await super().start()
