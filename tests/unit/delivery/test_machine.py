"""Delivery as a whole, while anything fails at any moment: whatever happened, in the end everything has happened once.

Hypothesis invents the histories, and prints the shortest one that breaks a promise with what is needed to repeat it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid5

from hypothesis import HealthCheck, register_random, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from domain.delivery import attempts
from domain.delivery.dead_letters import DeadLetterNotFound
from domain.delivery.failures import together
from domain.delivery.unit_of_work import Recording
from domain.model import tasks
from domain.model.events import OrderConfirmed, OrderCreated
from domain.model.order import Order
from domain.model.user import User
from domain.services.confirm_order import ConfirmOrder
from domain.services.send_order_confirmation import SendOrderConfirmation
from domain.services.send_welcome_email import SendWelcomeEmail
from ports.deliveries import Delivery, Lane, State
from ports.errors import PortError, Rejected, Unavailable, Unknown
from ports.event_broker import Outcome
from ports.message import Message, read_event
from ports.persistence import Record, UnitOfWork, Write
from tests.builders import a_line, a_user, an_email, an_order
from tests.unit.delivery.builders import GROUP, TOPICS, CountedIds, FlakyBroker, FlakyPersistence, Process, World, away

ROUNDS_MOST = 300
register_random(attempts._dice)  # delays are jittered by it: the same history, the same delays
numbers = st.integers(0, 10**6)  # chooses one of what there is
components = st.sampled_from(["event_relay", "task_relay", "perform", "receive", "retry", "renew"])
failures = st.sampled_from([away(), ValueError("no"), Rejected("never"), asyncio.CancelledError()])


class Member:
    """One process, with connections that fail when they are told to."""

    def __init__(self, machine: "Delivering") -> None:
        self._machine = machine
        world = machine.world
        self.store = FlakyPersistence(world.store)
        self.broker = FlakyBroker(world.broker)
        self.store.before_commit = self.may_freeze
        self.broker.judge = machine.judge
        self.broker.meanwhile = self.may_freeze
        self.awake = asyncio.Event()
        self.awake.set()
        self._confirm = ConfirmOrder(world.clock, world.ids)
        self._welcome = SendWelcomeEmail(self.store.users, world.mailer)
        self._confirmation = SendOrderConfirmation(self.store.users, self.store.orders, world.mailer)
        self.process = Process(
            world,
            store=self.store,
            broker=self.broker,
            reactions={OrderCreated: self.react},
            work={tasks.SendWelcomeEmail: self.welcome, tasks.SendOrderConfirmation: self.confirmation},
            performs_here=machine.performs_here,
        )

    async def may_freeze(self, _writes: Sequence[Write] = ()) -> None:
        await asyncio.sleep(0)
        await self.awake.wait()

    async def react(self, event: OrderCreated, work: UnitOfWork) -> None:
        await asyncio.sleep(0)
        self._machine.fail_handler()
        if event.order_id in self._machine.counted:
            work.enqueue(tasks.SendOrderConfirmation(id=effect_of(str(event.id)), order_id=event.order_id))
        else:
            await self._confirm(event, work)

    async def welcome(self, task: tasks.SendWelcomeEmail) -> None:
        await asyncio.sleep(0)
        self._machine.fail_mailer()
        await self._welcome(task)

    async def confirmation(self, task: tasks.SendOrderConfirmation) -> None:
        await asyncio.sleep(0)
        self._machine.fail_mailer()
        if task.order_id not in self._machine.counted:
            await self._confirmation(task)

    async def step(self, component: str) -> None:
        """Let one part do what there is to do; what a loop would survive is survived."""
        process = self.process
        steps: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "event_relay": process.event_relay.step,
            "task_relay": process.task_relay.step,
            "perform": process.memory_queue.perform_all,
            "receive": self._receive,
            "retry": process.retry.step,
            "renew": process.perform.renew,
        }
        with suppress(PortError):  # and tried again after a while
            await steps[component]()

    async def _receive(self) -> None:
        if not await self.broker.backlog(TOPICS, GROUP):
            return
        subscription = self.broker.subscribe(TOPICS, GROUP)
        try:
            await asyncio.sleep(0)  # another may join
            if await self.broker.backlog(TOPICS, GROUP):
                receiving = asyncio.ensure_future(subscription.receive(limit=3))
                await asyncio.sleep(0)
                batches = await receiving if receiving.done() else []
                receiving.cancel()
                for batch in batches:
                    await self.process.receive.handle(batch, first=True)
                await subscription.acknowledge(batches)
        finally:
            await subscription.close()


class Delivering(RuleBasedStateMachine):
    performs_here = True

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = self.do(World.begin(CountedIds()))
        self._note_what_is_committed()
        self.handler_failures: list[BaseException] = []
        self.mailer_failures: list[BaseException] = []
        self.outcomes: list[tuple[Outcome, bool]] = []  # of the next messages, and whether they arrive nevertheless
        self.arrived: list[Message] = []  # at any broker, in this order
        self.recorded: defaultdict[str, list[str]] = defaultdict(list)  # event ids by subject, as committed
        self.counted: set[UUID] = set()  # orders that are only subjects of many events
        self.effects: defaultdict[str, list[str]] = defaultdict(list)  # task ids by subject, as committed
        self.given_up: set[str] = set()  # what was discarded, and what follows from it
        self.members: list[Member] = []
        self.start_process()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def timed(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do it, and let as much time pass as it takes."""
        return self.do(self.world.clock.run(work))

    def member(self, number: int) -> Member:
        return self.members[number % len(self.members)]

    # What the members call

    def _note_what_is_committed(self) -> None:
        store = self.world.store._store
        apply = store.apply

        def apply_and_note(unit: Sequence[Write]) -> None:
            apply(unit)
            for write in unit:
                if isinstance(write, Record) and write.delivery.lane is not Lane.RECEIVED:
                    delivery = write.delivery
                    log = self.recorded if delivery.lane is Lane.EVENT else self.effects
                    log[f"{delivery.topic}/{delivery.subject}"].append(delivery.id)

        store.apply = apply_and_note

    def judge(self, message: Message, batch: Sequence[Message]) -> Outcome:
        outcome, arrives = self.outcomes.pop() if self.outcomes else (None, True)
        if isinstance(outcome, Rejected) and len(batch) > 1:
            self.outcomes.append((outcome, arrives))  # for when it is sent alone
        if arrives:
            self.arrived.append(message)
            if outcome is not None:
                self.world.broker._publish(message)
        return outcome

    def fail_handler(self) -> None:
        if self.handler_failures:
            raise self.handler_failures.pop()

    def fail_mailer(self) -> None:
        if self.mailer_failures:
            raise self.mailer_failures.pop()

    # Work

    @initialize()
    def something_is_there(self) -> None:
        for _ in range(2):
            self.counted.add(self.world.ids.new())
        self.register(0)
        self.place_order(0, 0)
        for subject in range(2):
            self.record_many_of_one_subject(0, subject, many=3, is_kept=True)

    @rule(number=numbers)
    def register(self, number: int) -> None:
        self.timed(self._attempt(self.member(number).process.register_user(an_email(), "Ann")))

    @rule(number=numbers, user=numbers)
    def place_order(self, number: int, user: int) -> None:
        users = self._users()
        if users:
            create = self.member(number).process.create_order
            self.timed(self._attempt(create(users[user % len(users)].id, "EUR", (a_line(),))))

    @rule(number=numbers, subject=numbers, many=st.integers(1, 4), is_kept=st.booleans())
    def record_many_of_one_subject(self, number: int, subject: int, many: int, is_kept: bool) -> None:
        order_id = sorted(self.counted)[subject % len(self.counted)]
        recording = self.member(number).process.recording
        self.timed(self._attempt(self._record_many(recording, order_id, many, is_kept=is_kept)))

    async def _record_many(self, recording: Recording, order_id: UUID, many: int, *, is_kept: bool) -> None:
        order = an_order(user=a_user())
        object.__setattr__(order, "id", order_id)
        for _ in range(many):
            created = OrderCreated.of(order, id=self.world.ids.new())
            confirmed = OrderConfirmed.of(order.confirm(order.created_at), id=self.world.ids.new())
            work = recording()
            work.publish(created if is_kept else confirmed)
            await work.commit()

    async def _attempt(self, work: Coroutine[Any, Any, object]) -> None:
        with suppress(Unavailable, Unknown):  # the client is told; what is true stands in the store
            await work

    # Steps

    @rule(number=numbers, component=components)
    def step(self, number: int, component: str) -> None:
        self.timed(self.member(number).step(component))

    @rule(number=numbers, first=components, second=components)
    def two_processes_step_at_once(self, number: int, first: str, second: str) -> None:
        if len(self.members) > 1:
            both = (self.member(number).step(first), self.member(number + 1).step(second))
            self.timed(together(both))

    @rule(number=numbers)
    def everything_steps(self, number: int) -> None:
        self.relay(number, 1)
        self.receive(number)
        self.perform(number)

    @rule(number=numbers, times=st.integers(1, 3))
    def relay(self, number: int, times: int) -> None:
        for _ in range(times):
            self.step(number, "event_relay")

    @rule(number=numbers)
    def receive(self, number: int) -> None:
        self.step(number, "receive")
        self.step(number, "retry")

    @rule(number=numbers)
    def perform(self, number: int) -> None:
        self.step(number, "task_relay")
        self.step(number, "perform")

    @rule(seconds=st.sampled_from([0.3, 1.5, 7, 20, 76]))
    def time_passes(self, seconds: float) -> None:
        self.do(self.world.clock.advance(seconds))

    @rule(number=numbers, times=st.integers(1, 5))
    def somebody_publishes_again(self, number: int, times: int) -> None:
        """What this broker has taken, and so never something before what it comes after."""
        published = self.world.broker.published
        if published:
            again = [published[(number + each) % len(published)] for each in range(times)]
            self.arrived += again
            self.do(self.world.broker.publish(again))

    # Faults

    @rule(
        number=numbers,
        error=st.sampled_from([away(), Unknown("perhaps")]),
        is_done=st.booleans(),
        after=st.integers(0, 3),
    )
    def a_commit_will_fail(self, number: int, error: PortError, is_done: bool, after: int) -> None:
        store = self.member(number).store
        store.failures += [(None, True)] * after
        store.fail_next(error, is_done=is_done and isinstance(error, Unknown))

    @rule(outcome=st.sampled_from([away(), Rejected("no such format")]), arrives=st.booleans(), times=st.integers(1, 3))
    def the_broker_will_not_take_it(self, outcome: Outcome, arrives: bool, times: int) -> None:
        self.outcomes += [(outcome, arrives and isinstance(outcome, Unavailable))] * times

    @rule(error=failures, times=st.integers(1, 4))
    def handlers_will_fail(self, error: BaseException, times: int) -> None:
        self.handler_failures += [error] * times

    @rule(error=failures, times=st.integers(1, 4))
    def the_mailer_will_fail(self, error: BaseException, times: int) -> None:
        self.mailer_failures += [error] * times

    @rule()
    def the_broker_is_lost(self) -> None:
        self.do(self.world.lose_the_broker())
        for member in self.members:
            member.broker.inner = self.world.broker

    @rule(number=numbers, follows=st.booleans())
    def processes_come_and_go(self, number: int, follows: bool) -> None:
        if len(self.members) < 3:
            self.start_process()
        else:
            self.end_process(self.member(number), follows=follows)

    def start_process(self) -> None:
        member = Member(self)
        self.do(member.process.queue.start())
        self.members.append(member)

    def end_process(self, member: Member, *, follows: bool) -> None:
        member.store.raised = away("this process is dead")
        self.members.remove(member)
        if follows or not self.members:
            self.start_process()

    @rule(number=numbers, component=components, seconds=st.sampled_from([1, 8, 20, 70]))
    def a_process_freezes_in_the_middle(self, number: int, component: str, seconds: float) -> None:
        """Before its next commit, or while it publishes; another goes on, and then it wakes."""
        member = self.member(number)

        async def freeze() -> None:
            member.awake.clear()
            stepping = asyncio.ensure_future(member.step(component))
            await self.world.clock.advance(seconds)
            other = next((each for each in self.members if each is not member), None)
            if other is not None:
                for each in ("event_relay", "event_relay", "receive", "retry", "task_relay", "perform"):
                    await self.world.clock.run(other.step(each))
            member.awake.set()
            await self.world.clock.run(settled(stepping))

        self.do(freeze())

    @rule(number=numbers, component=components, moments=st.integers(0, 40))
    def a_process_dies_in_the_middle(self, number: int, component: str, moments: int) -> None:
        member = self.member(number)

        async def die() -> None:
            stepping = asyncio.ensure_future(member.step(component))
            for _ in range(moments):
                await asyncio.sleep(0)
            member.store.raised = away("this process is dead")
            stepping.cancel()
            await asyncio.gather(stepping, return_exceptions=True)

        self.do(die())
        self.end_process(member, follows=True)

    # The desk

    @rule(number=numbers, discards=st.booleans())
    def a_person_looks_at_the_desk(self, number: int, discards: bool) -> None:
        desk = self.do(self.world.desk())
        if not desk:
            return
        dead: Delivery = desk[number % len(desk)]
        dead_letters = self.member(number).process.dead_letters
        if discards:
            self.given_up |= {dead.id, dead.attributes.get("id", ""), dead.subject or ""}
        action = dead_letters.discard if discards else dead_letters.replay
        self.timed(self._attempt(action(dead.id)))

    # In the end

    def teardown(self) -> None:
        try:
            self.do(self._drain())
            self.do(self._check())
        finally:
            self.runner.close()

    async def _drain(self) -> None:
        """All faults are cured, and a person replays whatever has died."""
        for faults in (self.handler_failures, self.mailer_failures, self.outcomes):
            faults.clear()
        for member in self.members:
            member.store.failures.clear()
        for _ in range(ROUNDS_MOST):
            for member in self.members:
                for component in ("event_relay", "receive", "task_relay", "perform", "retry"):
                    await self.world.clock.run(member.step(component))
            for dead in await self.world.desk():
                try:
                    await self.members[0].process.dead_letters.replay(dead.id)
                except DeadLetterNotFound:
                    continue
            if not await self._pending():
                return
            await self.world.clock.advance(5)
        raise AssertionError(f"still pending: {await self._pending()}")

    async def _pending(self) -> Counter[str]:
        counts = await self.world.store.ledger.counts()
        pending = Counter({f"{lane} {state}": n for (lane, state), n in counts.items() if state is not State.DISCARDED})
        if backlog := await self.world.broker.backlog(TOPICS, GROUP):
            pending["backlog"] = backlog
        return pending

    async def _check(self) -> None:
        arrived: dict[str, Message] = {}
        for message in self.arrived:
            arrived.setdefault(message.attributes["id"], message)
        for ids in self.recorded.values():
            reached = [event_id for event_id in arrived if event_id in set(ids)]
            assert reached == [event_id for event_id in ids if event_id in arrived], "disorder"
            assert set(ids) - set(reached) <= self.given_up, "lost"
        of_orders = [event for each in arrived.values() if (event := read_event(each)) is not None]
        for order in self._orders():
            self._check_order(order, [event for event in of_orders if event.subject == str(order.id)])
        for order_id in self.counted:
            self._check_effects(str(order_id), arrived)
        mailed = [mail.message_id for mail in self.world.mailer.sent]
        for user in self._users():
            (welcome,) = self.effects[f"/{user.id}"]
            assert welcome in self.given_up or f"<{welcome}@crossdock>" in mailed, "no welcome"

    def _check_order(self, order: Order, events: Sequence[object]) -> None:
        subject = str(order.id)
        if subject in self.given_up:
            return
        created = [event for event in events if isinstance(event, OrderCreated)]
        confirmed = [event for event in events if isinstance(event, OrderConfirmed)]
        assert (len(created), len(confirmed), order.version) == (1, 1, 2)
        (confirmation,) = self.effects[f"/{subject}"]
        assert f"<{confirmation}@crossdock>" in [mail.message_id for mail in self.world.mailer.sent]

    def _check_effects(self, subject: str, arrived: dict[str, Message]) -> None:
        """Each message that was handled was so once, and in the order of its subject."""
        kept = [
            event_id
            for event_id in self.recorded[f"order_events/{subject}"]
            if event_id in arrived and arrived[event_id].attributes["type"] == OrderCreated.type
        ]
        effects = self.effects[f"/{subject}"]
        assert len(set(effects)) == len(effects), "twice"
        assert effects == [str(effect_of(each)) for each in kept if str(effect_of(each)) in effects], "disorder"
        assert {each for each in kept if str(effect_of(each)) not in effects} <= self.given_up, "without effect"

    def _users(self) -> list[User]:
        return list(self.world.store._store.users.values())

    def _orders(self) -> list[Order]:
        return list(self.world.store._store.orders.values())


class DeliveringThroughAQueue(Delivering):
    """The relay hands every task over, as to a queue of another process."""

    performs_here = False


async def settled(work: "asyncio.Future[None]") -> None:
    await work


def effect_of(event_id: str) -> UUID:
    """The id of the one task that a counted event asks for."""
    return uuid5(UUID(event_id), "effect")


_BOUNDED = settings(
    max_examples=40, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestDelivering = Delivering.TestCase
TestDelivering.settings = _BOUNDED
TestDeliveringThroughAQueue = DeliveringThroughAQueue.TestCase
TestDeliveringThroughAQueue.settings = _BOUNDED
