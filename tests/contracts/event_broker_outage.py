"""What every event broker promises when its server goes away and comes back.

A subclass of `EventBrokerOutageContract` whose name starts with ``Test`` proves one adapter, with a server that is its
own: it defines the fixture ``broker`` and fills `take_away` and `bring_back`. The cases are the same for each adapter.

- ``broker``: an adapter that is started, on a server that runs; each case finds a server that runs.
- `take_away`: the server is killed, as by ``kill -9``, with what it had on its disk left as it is.
- `bring_back`: the same server with the same disk is started again. Returns when it could be reached by a new client;
  the adapter has to find out by itself.
- `anew`: the adapter as another process would start it. Override it where one cannot be started after it was stopped.
- ``in_time``: seconds in which each call has to end while nobody is there: the driver's own deadline, and a little.
- ``patience``, `a_moment`, ``partitions``: as in `EventBrokerContract`.

Messages are published one at a time until each is confirmed, since what is `Unavailable` may be sent again; some come
twice by that, and the cases allow for it. What they do not allow for is a message that is lost, or one that overtakes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import ClassVar

import pytest

from ports.errors import Unavailable
from ports.event_broker import EventBroker, Subscription
from ports.message import Message
from tests.builders import a_message, an_id
from tests.contracts.event_broker import EventBrokerCases, by_id


class EventBrokerOutageContract(EventBrokerCases):
    """All of it."""

    in_time: ClassVar[float] = 15

    @pytest.fixture
    def broker(self) -> AsyncIterator[EventBroker] | EventBroker:
        """A started adapter on a running server."""
        raise NotImplementedError

    async def take_away(self, broker: EventBroker) -> None:
        """Kill the server."""
        raise NotImplementedError(f"kill the server of {broker}")

    async def bring_back(self, broker: EventBroker) -> None:
        """Start the server again, with what it had."""
        raise NotImplementedError(f"start the server of {broker} again")

    async def anew(self, broker: EventBroker) -> EventBroker:
        """Stop this adapter and start one for the same server, which may be gone."""
        await broker.stop()
        await broker.start()
        return broker

    # While it is gone

    async def test_what_is_published_meanwhile_is_unavailable_in_time(self, broker: EventBroker, topic: str) -> None:
        await self.take_away(broker)

        async with asyncio.timeout(self.in_time):
            outcomes = await broker.publish([a_message(topic=topic) for _ in range(3)])

        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3

    async def test_who_receives_meanwhile_is_told_in_time(self, broker: EventBroker, topic: str, group: str) -> None:
        async with self.member(broker, group, topic) as member:
            await self.take_away(broker)

            async with asyncio.timeout(self.in_time):
                with pytest.raises(Unavailable):
                    await member.receive(limit=1)

    async def test_what_cannot_be_known_meanwhile_is_not_made_up(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        await self.take_away(broker)

        async with asyncio.timeout(self.in_time):
            with pytest.raises(Unavailable):
                await broker.backlog([topic], group)
        async with asyncio.timeout(self.in_time):
            with pytest.raises(Unavailable):
                await broker.declare([f"topic-{an_id().hex}"], group)

    async def test_an_acknowledgement_meanwhile_ends_in_time_and_loses_nothing(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        """Whether it is `Unavailable` or went unnoticed into the void: it may come again, and nothing is skipped."""
        first, second = self.two_of_one_subject(topic)
        await self.confirmed_at_last(broker, first, second)
        async with self.member(broker, group, topic) as member:
            batches = await member.receive(limit=1)
            await self.take_away(broker)

            async with asyncio.timeout(self.in_time):
                with suppress(Unavailable):
                    await member.acknowledge(batches)
            await self.bring_back(broker)

        async with self.member(broker, group, topic) as member:
            assert await self.received_until(member, second) in ([second], [first, second])

    async def test_leaving_and_stopping_meanwhile_end_in_time(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        member = broker.subscribe([topic], group)
        waiting = asyncio.create_task(member.receive(limit=1))
        await self.a_moment()
        await self.take_away(broker)

        async with asyncio.timeout(self.in_time):
            await member.close()
        async with asyncio.timeout(self.in_time):
            await broker.stop()

        async with asyncio.timeout(self.in_time):
            (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
        assert outcome == [] or isinstance(outcome, Unavailable)

    # When it is back

    async def test_what_was_confirmed_before_arrives_afterwards(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        """Confirmed is durable: killed right after it, the server still has it."""
        messages = [a_message(topic=topic) for _ in range(20)]
        outcomes = await broker.publish(messages)
        confirmed = [message for message, outcome in zip(messages, outcomes, strict=True) if outcome is None]
        assert confirmed == messages

        await self.take_away(broker)
        await self.bring_back(broker)

        async with self.member(broker, group, topic) as member:
            assert by_id(await self.received_at_last(member, 20)) == by_id(messages)

    async def test_publishing_goes_on_by_itself(self, broker: EventBroker, topic: str, group: str) -> None:
        message = a_message(topic=topic)
        await self.take_away(broker)
        await broker.publish([a_message(topic=topic)])
        await self.bring_back(broker)

        await self.confirmed_at_last(broker, message)

        async with self.member(broker, group, topic) as member:
            assert message in await self.received_until(member, message)

    async def test_receiving_goes_on_by_itself(self, broker: EventBroker, topic: str, group: str) -> None:
        """The same member, which was told while the server was gone, and asks again."""
        async with self.member(broker, group, topic) as member:
            await self.take_away(broker)
            with suppress(Unavailable):
                async with asyncio.timeout(self.in_time):
                    await member.receive(limit=1)
            await self.bring_back(broker)
            message = a_message(topic=topic)

            await self.confirmed_at_last(broker, message)

            assert await self.received_at_last(member, 1) == [message]

    async def test_who_waited_all_the_while_receives_afterwards(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        async with self.member(broker, group, topic) as member:
            waiting = asyncio.create_task(self.received_at_last(member, 1))
            await self.a_moment()
            await self.take_away(broker)
            await self.a_moment()
            await self.bring_back(broker)
            message = a_message(topic=topic)

            await self.confirmed_at_last(broker, message)

            assert await waiting == [message]

    async def test_what_was_in_hand_and_not_acknowledged_comes_again(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        messages = self.two_of_one_subject(topic)
        await self.confirmed_at_last(broker, *messages)
        async with self.member(broker, group, topic) as member:
            await self.in_hand(member, 1)
            await self.take_away(broker)
            await self.bring_back(broker)

        async with self.member(broker, group, topic) as member:
            assert await self.received_at_last(member, 2) == messages

    async def test_what_was_acknowledged_before_does_not_come_again(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        """Once the server has taken note of it, as the backlog shows."""
        first, second = self.two_of_one_subject(topic)
        await self.confirmed_at_last(broker, first)
        async with self.member(broker, group, topic) as member:
            await self.received(member, 1)

            assert await self.becomes(0, lambda: broker.backlog([topic], group))

        await self.take_away(broker)
        await self.bring_back(broker)

        await self.confirmed_at_last(broker, second)
        async with self.member(broker, group, topic) as member:
            assert await self.received_until(member, second) == [second]

    async def test_no_message_overtakes_another_of_its_subject(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        """Published one at a time, each until it is confirmed, while the server goes and comes."""
        subject = self.subject_in(0)
        messages = [a_message(topic=topic, subject=subject, sequence=str(number)) for number in range(1, 31)]
        async with self.member(broker, group, topic) as member:
            receiving = asyncio.create_task(self.received_at_last(member, 30, limit=7))
            await self.confirmed_at_last(broker, *messages[:10])
            publishing = asyncio.create_task(self.confirmed_at_last(broker, *messages[10:]))
            await self.a_moment()
            await self.take_away(broker)
            await self.a_moment()
            await self.bring_back(broker)
            await publishing

            assert await receiving == messages

    async def test_it_is_the_same_broker_when_nothing_was_lost(self, broker: EventBroker) -> None:
        """Another identity has everything sent again that our own group has not handled."""
        before = await broker.identity()
        await self.take_away(broker)
        await self.bring_back(broker)

        assert await self.becomes(before, lambda: self.identity_or_none(broker))

    async def test_it_starts_without_a_server_and_works_when_there_is_one(
        self, broker: EventBroker, topic: str, group: str
    ) -> None:
        await self.take_away(broker)
        async with asyncio.timeout(self.in_time):
            broker = await self.anew(broker)
        await self.bring_back(broker)
        message = a_message(topic=topic)

        await self.confirmed_at_last(broker, message)

        async with self.member(broker, group, topic) as member:
            assert await self.received_at_last(member, 1) == [message]

    # What the cases are written with

    def two_of_one_subject(self, topic: str) -> list[Message]:
        subject = self.subject_in(0)
        return [a_message(topic=topic, subject=subject) for _ in range(2)]

    async def received_until(self, subscription: Subscription, last: Message) -> list[Message]:
        """Receive and acknowledge until this message has come; all that came, each once, in their order."""
        seen: list[Message] = []
        while last not in seen:
            seen += [message for message in await self.received_at_last(subscription, 1) if message not in seen]
        return seen

    async def identity_or_none(self, broker: EventBroker) -> str | None:
        with suppress(Unavailable):
            return await broker.identity()
        return None
