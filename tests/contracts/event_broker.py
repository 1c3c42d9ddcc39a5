"""What every event broker promises, whatever carries it.

A subclass of `EventBrokerContract` whose name starts with ``Test`` proves one adapter: it defines the fixture
``broker`` and fills `audit`. Each case has topics and groups of its own, so cases may share one server. Where news
needs real time to arrive, the subclass overrides `a_moment`; where a member can vanish without leaving, `abandon`.
What is promised when the server itself goes away stands in `event_broker_outage`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import ClassVar

import pytest

from ports.errors import Rejected, Unavailable
from ports.event_broker import Batch, EventBroker, Subscription
from ports.message import BODY_MOST, Message, partition_of
from tests.builders import a_message, an_id


class EventBrokerCases:
    """What cases are written with, and what an adapter gives to them."""

    partitions: ClassVar[int] = 4  # of each topic, as the adapter was told
    patience: ClassVar[float] = 30  # seconds until a case gives up waiting for what was promised
    at_once: ClassVar[float] = 5  # seconds that nothing takes that has nothing to wait for, however slow the machine

    @pytest.fixture
    def broker(self) -> AsyncIterator[EventBroker] | EventBroker:
        """A started adapter; a case may stop it."""
        raise NotImplementedError

    @pytest.fixture
    async def topic(self, broker: EventBroker, group: str) -> str:
        """A topic of its own, declared for ``group``."""
        topic = f"topic-{an_id().hex}"
        await broker.declare([topic], group)
        return topic

    @pytest.fixture
    def group(self) -> str:
        return f"group-{an_id().hex}"

    async def a_moment(self) -> None:
        """Let others do something, before looking again."""
        await asyncio.sleep(0)

    async def abandon(self, broker: EventBroker, member: Subscription) -> None:  # noqa: ARG002 - for who overrides it
        """Let a member vanish as the member of a killed process does: its connections break, and it says nothing.

        Inside one process nobody can vanish without the broker, so there the member leaves.
        """
        await member.close()

    @asynccontextmanager
    async def audit(self, broker: EventBroker, topic: str) -> AsyncIterator[Callable[[], Awaitable[list[Message]]]]:
        """Look at a topic from here on with another client than the adapter's own.

        What is given returns every message that is in the broker, duplicates too, those of one subject in their order.
        """
        raise NotImplementedError(f"read {topic} of {broker} independently")
        yield  # this is a generator

    # What the cases are written with

    @asynccontextmanager
    async def member(self, broker: EventBroker, group: str, *topics: str) -> AsyncIterator[Subscription]:
        """A member of the group, which leaves in the end."""
        subscription = broker.subscribe(topics, group)
        try:
            async with asyncio.timeout(self.patience):
                yield subscription
        finally:
            async with asyncio.timeout(self.patience):
                await subscription.close()

    async def received(self, subscription: Subscription, number: int, *, limit: int = 100) -> list[Message]:
        """Receive and acknowledge until so many messages have come."""
        messages: list[Message] = []
        while len(messages) < number:
            batches = await subscription.receive(limit=limit)
            messages += in_order(batches)
            await subscription.acknowledge(batches)
            await asyncio.sleep(0)  # an adapter that never waits shall not keep time from running out
        return messages

    async def in_hand(self, subscription: Subscription, number: int) -> list[Batch]:
        """Receive until so many messages have come, and acknowledge nothing.

        A partition gives one batch, which may be less than what waits there: ask for one message of each at most.
        """
        batches: list[Batch] = []
        while len(in_order(batches)) < number:
            batches += await subscription.receive(limit=100)
            await asyncio.sleep(0)
        return batches

    async def becomes(self, wanted: object, look: Callable[[], Awaitable[object]]) -> bool:
        """Whether what is looked at becomes what is wanted; false when patience ends."""
        try:
            async with asyncio.timeout(self.patience):
                while await look() != wanted:
                    await self.a_moment()
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def beside(self, *work: Coroutine[object, object, None]) -> AsyncIterator[None]:
        """Let this go on beside the rest of a case, and end with it."""
        tasks = [asyncio.create_task(part) for part in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def subject_in(self, partition: int) -> str:
        """A new subject whose messages go to this partition."""
        subjects = (f"subject-{an_id()}" for _ in count())
        return next(subject for subject in subjects if partition_of(subject, self.partitions) == partition)

    async def received_at_last(self, subscription: Subscription, number: int, *, limit: int = 100) -> list[Message]:
        """Receive and acknowledge until so many different messages have come, in the order in which each came first.

        For where the server may be gone for a while, and some come twice.
        """
        seen: dict[str, Message] = {}
        while len(seen) < number:
            try:
                batches = await subscription.receive(limit=limit)
                for message in in_order(batches):
                    seen.setdefault(message.attributes["id"], message)
                await subscription.acknowledge(batches)
                await asyncio.sleep(0)
            except Unavailable:
                await self.a_moment()
        return list(seen.values())

    async def confirmed_at_last(self, broker: EventBroker, *messages: Message) -> None:
        """Publish these one after the other, each again and again until it is confirmed."""
        for message in messages:

            async def outcome(message: Message = message) -> object:
                (outcome,) = await broker.publish([message])
                return outcome

            assert await self.becomes(None, outcome)
            await asyncio.sleep(0)


class EventBrokerContract(EventBrokerCases):
    """All of it."""

    # Publishing

    async def test_nothing_becomes_of_no_messages(self, broker: EventBroker) -> None:
        assert list(await broker.publish([])) == []

    async def test_each_message_has_its_own_outcome_in_order(self, broker: EventBroker, topic: str) -> None:
        too_large = a_message(b"x" * (BODY_MOST + 1), topic=topic)

        outcomes = await broker.publish([a_message(topic=topic), too_large, *[a_message(topic=topic)] * 2])

        assert len(outcomes) == 4
        first, second, *others = outcomes
        assert (first, others) == (None, [None, None])
        assert isinstance(second, Rejected)

    async def test_the_largest_message_is_carried(self, broker: EventBroker, topic: str, group: str) -> None:
        message = a_message(bytes(range(256)) * (BODY_MOST // 256), topic=topic)

        assert list(await broker.publish([message])) == [None]

        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 1) == [message]

    async def test_many_may_publish_at_once(self, broker: EventBroker, topic: str, group: str) -> None:
        batches = [[a_message(topic=topic) for _ in range(10)] for _ in range(30)]

        outcomes = await asyncio.gather(*(broker.publish(batch) for batch in batches))

        assert [list(outcome) for outcome in outcomes] == [[None] * 10] * 30
        async with self.member(broker, group, topic) as member:
            messages = await self.received(member, 300)
        assert by_id(messages) == by_id(message for batch in batches for message in batch)

    async def test_what_nobody_has_declared_is_unavailable(self, broker: EventBroker) -> None:
        """Confirmed means kept for somebody; before the first declaration nobody would get it."""
        (outcome,) = await broker.publish([a_message(topic=f"topic-{an_id().hex}")])

        assert isinstance(outcome, Unavailable)

    async def test_a_stopped_broker_is_unavailable(self, broker: EventBroker, topic: str) -> None:
        await broker.stop()
        await broker.stop()

        (outcome,) = await broker.publish([a_message(topic=topic)])

        assert isinstance(outcome, Unavailable)

    async def test_stopping_leaves_no_publisher_waiting(self, broker: EventBroker, topic: str) -> None:
        publishing = [asyncio.create_task(broker.publish([a_message(topic=topic)])) for _ in range(50)]
        await asyncio.sleep(0)

        async with asyncio.timeout(self.patience):
            await broker.stop()
            outcomes = await asyncio.gather(*publishing)

        assert all(outcome is None or isinstance(outcome, Unavailable) for (outcome,) in outcomes)

    @pytest.mark.parametrize("rounds", range(3))
    async def test_a_cancelled_publication_ends_at_once_and_disturbs_nobody(
        self, broker: EventBroker, topic: str, group: str, rounds: int
    ) -> None:
        """Whether its message arrives is open; those that come after it do, in their order."""
        subject = self.subject_in(0)
        dropped, *others = (a_message(topic=topic, subject=subject) for _ in range(4))
        publishing = asyncio.create_task(broker.publish([dropped]))
        for _ in range(rounds):
            await asyncio.sleep(0)

        publishing.cancel()

        async with asyncio.timeout(self.at_once):
            await asyncio.wait({publishing})
        async with asyncio.timeout(self.patience):
            for message in others:
                assert list(await broker.publish([message])) == [None]
        async with self.member(broker, group, topic) as member:
            messages: list[Message] = []
            while others[-1] not in messages:
                messages += await self.received(member, 1)
        assert [message for message in messages if message != dropped] == others

    # What another client sees

    async def test_what_is_confirmed_is_in_the_broker(self, broker: EventBroker, topic: str) -> None:
        messages = [a_message(topic=topic) for _ in range(50)]
        async with self.audit(broker, topic) as look:
            outcomes = await broker.publish(messages)

            async def seen() -> object:
                return by_id(await look())

            assert list(outcomes) == [None] * 50
            assert await self.becomes(by_id(messages), seen)

    @pytest.mark.parametrize("size", [BODY_MOST - 1, BODY_MOST, BODY_MOST + 1], ids=["below", "at", "above"])
    async def test_a_body_is_carried_up_to_the_limit_and_nothing_of_it_beyond(
        self, broker: EventBroker, topic: str, size: int
    ) -> None:
        message = a_message(b"x" * size, topic=topic)
        after_it = a_message(topic=topic, subject=message.attributes["subject"])
        fits = size <= BODY_MOST
        async with self.audit(broker, topic) as look:
            (outcome,) = await broker.publish([message])
            await broker.publish([after_it])

            assert outcome is None if fits else isinstance(outcome, Rejected)
            assert await self.becomes([message, after_it] if fits else [after_it], look)

    # What arrives

    @pytest.mark.parametrize(
        "body", [b"", b"{}", bytes(range(256)), "👩‍🚀 漢字 \x00".encode()], ids=["empty", "json", "bytes", "text"]
    )
    async def test_bytes_and_attributes_arrive_unchanged(
        self, broker: EventBroker, topic: str, group: str, body: bytes
    ) -> None:
        message = a_message(
            body,
            topic=topic,
            time="2026-11-23T05:13:57.123456Z",
            sequence="7",
            datacontenttype="application/json",
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            note="Zoë 漢字 🎉 = ; , \"quoted\" 'too'",
        )

        await broker.publish([message])

        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 1) == [message]

    async def test_a_message_without_attributes_arrives(self, broker: EventBroker, topic: str, group: str) -> None:
        """What others send may lack any of them, and what is made of it is not the driver's to decide."""
        bare = Message(topic=topic, attributes={}, body=b"{}")

        assert list(await broker.publish([bare])) == [None]

        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 1) == [bare]

    async def test_messages_without_a_subject_all_arrive(self, broker: EventBroker, topic: str, group: str) -> None:
        messages = [a_message(topic=topic, subject="") for _ in range(20)]

        await broker.publish(messages)

        async with self.member(broker, group, topic) as member:
            assert by_id(await self.received(member, 20)) == by_id(messages)

    async def test_what_was_published_cannot_be_changed_afterwards(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        attributes = {"id": "m-1", "type": "one"}
        await broker.publish([Message(topic=topic, attributes=attributes, body=b"")])

        attributes["type"] = "two"

        async with self.member(broker, group, topic) as member:
            (message,) = await self.received(member, 1)
        assert message.attributes["type"] == "one"

    async def test_messages_of_one_subject_arrive_in_order(self, broker: EventBroker, topic: str, group: str) -> None:
        subjects = [f"subject-{an_id()}" for _ in range(5)]
        async with self.member(broker, group, topic) as member:
            for number in range(10):
                batch = [a_message(topic=topic, subject=subject, sequence=str(number)) for subject in subjects]
                await broker.publish(batch)

            messages = await self.received(member, 50, limit=7)

        for subject in subjects:
            sequences = [message.attributes["sequence"] for message in messages if message.subject == subject]
            assert sequences == [str(number) for number in range(10)]

    async def test_no_more_than_the_limit_comes_of_a_partition(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        subject = self.subject_in(0)
        messages = [a_message(topic=topic, subject=subject) for _ in range(5)]
        for message in messages:
            await broker.publish([message])
        seen: list[Message] = []

        async with self.member(broker, group, topic) as member:
            while len(seen) < 5:
                batches = await member.receive(limit=2)
                assert max(Counter(batch.partition for batch in batches for _ in batch.messages).values()) <= 2
                seen += in_order(batches)
                await member.acknowledge(batches)

        assert seen == messages

    async def test_a_batch_says_where_it_comes_from(self, broker: EventBroker, topic: str, group: str) -> None:
        messages = [a_message(topic=topic, subject=self.subject_in(partition)) for partition in range(self.partitions)]
        await broker.publish(messages)

        async with self.member(broker, group, topic) as member:
            batches = await self.in_hand(member, self.partitions)

        found = {(batch.topic, batch.partition): list(batch.messages) for batch in batches}
        assert found == {(topic, partition): [message] for partition, message in enumerate(messages)}

    async def test_a_member_receives_from_several_topics(self, broker: EventBroker, topic: str, group: str) -> None:
        other = f"topic-{an_id().hex}"
        await broker.declare([topic, other], group)
        messages = [a_message(topic=topic), a_message(topic=other)]
        await broker.publish(messages)

        async with self.member(broker, group, topic, other) as member:
            assert by_id(await self.received(member, 2)) == by_id(messages)

    async def test_who_waits_receives_what_is_published_then(self, broker: EventBroker, topic: str, group: str) -> None:
        async with self.member(broker, group, topic) as member:
            waiting = asyncio.create_task(self.received(member, 1))
            await self.a_moment()
            message = a_message(topic=topic)

            await broker.publish([message])

            assert await waiting == [message]

    async def test_who_receives_waits_while_there_is_nothing(self, broker: EventBroker, topic: str, group: str) -> None:
        async with self.member(broker, group, topic) as member:
            waiting = asyncio.create_task(member.receive(limit=1))

            for _ in range(5):
                await self.a_moment()

            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})

    # Groups

    async def test_each_group_gets_each_message(self, broker: EventBroker, topic: str, group: str) -> None:
        other = f"{group}-other"
        await broker.declare([topic], other)
        messages = [a_message(topic=topic) for _ in range(20)]

        await broker.publish(messages)

        for name in (group, other):
            async with self.member(broker, name, topic) as member:
                assert by_id(await self.received(member, 20)) == by_id(messages)

    async def test_members_of_a_group_share_its_messages(self, broker: EventBroker, topic: str, group: str) -> None:
        """How fast they come to share is the broker's; so messages are published until both have had some."""
        async with self.member(broker, group, topic) as one, self.member(broker, group, topic) as other:
            seen: dict[Subscription, list[Message]] = {one: [], other: []}

            async def keep_receiving(member: Subscription) -> None:
                while True:
                    seen[member] += await self.received(member, 1)

            async def ids_seen() -> object:
                return by_id([*seen[one], *seen[other]]).keys()

            published: list[Message] = []
            async with self.beside(keep_receiving(one), keep_receiving(other)):
                while not (seen[one] and seen[other]):
                    batch = [a_message(topic=topic) for _ in range(20)]
                    assert list(await broker.publish(batch)) == [None] * 20
                    published += batch
                    await self.a_moment()

                assert await self.becomes(by_id(published).keys(), ids_seen)

    async def test_no_message_is_given_to_two_members_that_have_settled(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        """While members come and go one may come twice; some time after that, none does."""
        async with self.member(broker, group, topic) as one, self.member(broker, group, topic) as other:
            given: dict[Subscription, list[str]] = {one: [], other: []}

            async def keep_receiving(member: Subscription) -> None:
                while True:
                    ids = by_id(await self.received(member, 1))
                    given[member] += ids  # only now, since the lists are new ones each round

            async def is_shared() -> bool:
                given[one], given[other] = [], []
                batch = [a_message(topic=topic) for _ in range(20)]
                await broker.publish(batch)
                await self.becomes(True, lambda: all_came(by_id(batch)))
                return all(given.values()) and sorted([*given[one], *given[other]]) == sorted(by_id(batch))

            async def all_came(batch: dict[str, Message]) -> bool:
                return batch.keys() <= {*given[one], *given[other]}

            async with self.beside(keep_receiving(one), keep_receiving(other)):
                assert await self.becomes(True, is_shared)

    async def test_a_group_receives_from_its_declaration_on(self, broker: EventBroker, topic: str, group: str) -> None:
        subject = self.subject_in(1)
        earlier, later = (a_message(topic=topic, subject=subject) for _ in range(2))
        await broker.publish([earlier])
        late = f"{group}-late"
        await broker.declare([topic], late)

        await broker.publish([later])

        async with self.member(broker, late, topic) as member:
            assert await self.received(member, 1) == [later]
        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 2) == [earlier, later]

    async def test_messages_are_kept_for_a_group_without_members(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        messages = [a_message(topic=topic) for _ in range(10)]
        await broker.publish(messages)
        async with self.member(broker, group, topic) as member:
            await self.received(member, 10)
        more = [a_message(topic=topic) for _ in range(10)]

        await broker.publish(more)

        async with self.member(broker, group, topic) as member:
            assert by_id(await self.received(member, 10)) == by_id(more)

    async def test_to_declare_again_changes_nothing(self, broker: EventBroker, topic: str, group: str) -> None:
        subject = self.subject_in(0)
        first, second = (a_message(topic=topic, subject=subject) for _ in range(2))
        await broker.publish([first])

        await broker.declare([topic], group)

        await broker.publish([second])
        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 2) == [first, second]

    # Acknowledging

    async def test_what_was_not_acknowledged_comes_again_when_the_member_has_left(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        subject = self.subject_in(0)
        messages = [a_message(topic=topic, subject=subject) for _ in range(3)]
        for message in messages:
            await broker.publish([message])
        async with self.member(broker, group, topic) as member:
            await self.in_hand(member, 1)

        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 3) == messages

    async def test_what_was_not_acknowledged_comes_again_when_the_member_has_vanished(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        subject = self.subject_in(0)
        messages = [a_message(topic=topic, subject=subject) for _ in range(3)]
        for message in messages:
            await broker.publish([message])
        async with self.member(broker, group, topic) as member:
            await self.in_hand(member, 1)

            await self.abandon(broker, member)

            async with self.member(broker, group, topic) as another:
                assert await self.received_at_last(another, 3) == messages

    async def test_what_was_acknowledged_does_not_come_again(self, broker: EventBroker, topic: str, group: str) -> None:
        subject = self.subject_in(0)
        await broker.publish([a_message(topic=topic, subject=subject)])
        async with self.member(broker, group, topic) as member:
            await self.received(member, 1)
        later = a_message(topic=topic, subject=subject)

        await broker.publish([later])

        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 1) == [later]

    async def test_a_partition_gives_nothing_further_before_its_batch_is_acknowledged(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        subject = self.subject_in(0)
        first, second = (a_message(topic=topic, subject=subject) for _ in range(2))
        elsewhere = a_message(topic=topic, subject=self.subject_in(1))
        async with self.member(broker, group, topic) as member:
            await broker.publish([first])
            batches = await self.in_hand(member, 1)

            await broker.publish([second])
            await broker.publish([elsewhere])

            others = await self.in_hand(member, 1)
            assert in_order(others) == [elsewhere]
            await member.acknowledge(batches)
            assert await self.received(member, 1) == [second]

    async def test_to_acknowledge_what_another_member_has_now_is_harmless(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        message = a_message(topic=topic)
        await broker.publish([message])
        async with self.member(broker, group, topic) as former:
            batches = await self.in_hand(former, 1)
            await former.close()

            async with self.member(broker, group, topic) as member:
                again = await self.in_hand(member, 1)
                await former.acknowledge(batches)

        async with self.member(broker, group, topic) as member:
            assert in_order(again) == [message]
            assert await self.received(member, 1) == [message]

    async def test_to_acknowledge_one_batch_acknowledges_no_other(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        here, elsewhere = (a_message(topic=topic, subject=self.subject_in(partition)) for partition in (0, 1))
        await broker.publish([here, elsewhere])
        async with self.member(broker, group, topic) as member:
            batches = await self.in_hand(member, 2)
            await member.acknowledge([batch for batch in batches if batch.partition == 0])

        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 1) == [elsewhere]

    async def test_to_acknowledge_twice_is_harmless(self, broker: EventBroker, topic: str, group: str) -> None:
        subject = self.subject_in(0)
        first, second = (a_message(topic=topic, subject=subject) for _ in range(2))
        await broker.publish([first])
        async with self.member(broker, group, topic) as member:
            batches = await self.in_hand(member, 1)

            await member.acknowledge(batches)
            await member.acknowledge(batches)
            await member.acknowledge([])

            await broker.publish([second])
            assert await self.received(member, 1) == [second]

    async def test_the_backlog_is_what_is_not_acknowledged(self, broker: EventBroker, topic: str, group: str) -> None:
        async def backlog() -> int:
            return await broker.backlog([topic], group)

        assert await self.becomes(0, backlog)
        await broker.publish([a_message(topic=topic) for _ in range(7)])
        assert await self.becomes(7, backlog)

        async with self.member(broker, group, topic) as member:
            batches = await self.in_hand(member, 1)
            assert await self.becomes(7, backlog)
            await member.acknowledge(batches)
            assert await self.becomes(7 - len(in_order(batches)), backlog)
            await self.received(member, 7 - len(in_order(batches)))
            assert await self.becomes(0, backlog)

    async def test_the_backlog_is_that_of_one_group_in_all_of_the_topics(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        other_topic, other_group = f"topic-{an_id().hex}", f"{group}-other"
        await broker.declare([other_topic], group)
        await broker.declare([topic], other_group)
        await broker.publish([a_message(topic=name) for name in [topic] * 3 + [other_topic] * 2])

        async with self.member(broker, other_group, topic) as member:
            await self.received(member, 3)

        assert await self.becomes(5, lambda: broker.backlog([topic, other_topic], group))
        assert await self.becomes(2, lambda: broker.backlog([other_topic], group))
        assert await self.becomes(0, lambda: broker.backlog([topic], other_group))

    # Leaving

    async def test_who_has_left_receives_nothing_more(self, broker: EventBroker, topic: str, group: str) -> None:
        message = a_message(topic=topic)
        await broker.publish([message])
        async with self.member(broker, group, topic) as former:
            await former.close()

            assert list(await former.receive(limit=1)) == []

        async with self.member(broker, group, topic) as member:
            assert await self.received(member, 1) == [message]

    async def test_a_member_may_leave_twice(self, broker: EventBroker, topic: str, group: str) -> None:
        member = broker.subscribe([topic], group)

        await member.close()
        await member.close()

        assert list(await member.receive(limit=1)) == []

    async def test_leaving_ends_the_wait_of_another_task(self, broker: EventBroker, topic: str, group: str) -> None:
        async with self.member(broker, group, topic) as member:
            waiting = asyncio.create_task(member.receive(limit=1))
            await self.a_moment()

            await member.close()

            assert list(await waiting) == []

    async def test_stopping_ends_every_wait(self, broker: EventBroker, topic: str, group: str) -> None:
        async with self.member(broker, group, topic) as member:
            waiting = asyncio.create_task(member.receive(limit=1))
            await self.a_moment()

            await broker.stop()

            (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
            assert outcome == [] or isinstance(outcome, Unavailable)

    async def test_a_cancelled_wait_ends_at_once(self, broker: EventBroker, topic: str, group: str) -> None:
        async with self.member(broker, group, topic) as member:
            waiting = asyncio.create_task(member.receive(limit=1))
            await self.a_moment()

            waiting.cancel()

            async with asyncio.timeout(self.at_once):
                await asyncio.wait({waiting})
            assert waiting.cancelled()

    @pytest.mark.parametrize("rounds", range(6))
    async def test_a_cancelled_wait_loses_nothing(
        self, broker: EventBroker, topic: str, group: str, rounds: int
    ) -> None:
        """Whenever the cancellation comes: before, while or after a message arrives."""
        message = a_message(topic=topic)
        async with self.member(broker, group, topic) as member:
            waiting = asyncio.create_task(member.receive(limit=1))
            await self.a_moment()
            publishing = asyncio.create_task(broker.publish([message]))
            for _ in range(rounds):
                await self.a_moment()

            waiting.cancel()

            (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
            await publishing
            batches = await self.in_hand(member, 1) if isinstance(outcome, BaseException) else outcome
            assert in_order(batches) == [message]

    # Which broker it is

    async def test_it_says_which_broker_it_is(self, broker: EventBroker) -> None:
        identity = await broker.identity()

        assert identity
        assert await broker.identity() == identity


def in_order(batches: Sequence[Batch]) -> list[Message]:
    return [message for batch in batches for message in batch.messages]


def by_id(messages: Iterable[Message]) -> dict[str, Message]:
    return {message.attributes["id"]: message for message in messages}
