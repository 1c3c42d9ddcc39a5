"""What is done to a service under load, from its first request until nothing is broken any more."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ports.crash_points import CrashPoint
from prove import faults
from prove.points import die_at
from prove.servers import wipe
from prove.world import Choice, World

ROLES = ("api", "relay", "consumer")
BREATH_SECONDS = 3.0  # of load after the last cure
DOWN_SECONDS = 30.0
RATE_SECONDS = 5.0
PENDING, UNREAD = 2_000, 500


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, what happens, and for which choices it makes sense."""

    name: str
    run: Callable[[World], Awaitable[None]]
    fits: Callable[[Choice], bool] = lambda _: True


async def short(world: World) -> None:
    """One of nearly everything, in less than a minute."""
    await world.begin()
    async with world.load.at_rate(world.rate), world.walking(seconds=8):
        if world.choice.queue == "celery":
            await faults.flush_redis(world)
        frozen = asyncio.create_task(faults.freeze_role(world, "relay", faults.LEASE_SECONDS + 2))
        await faults.kill_role(world, "consumer")
        await faults.kill_role(world, "api")
        await faults.end_role(world, "consumer")
        await frozen
        for point in (CrashPoint.RELAY_AFTER_PUBLISH, CrashPoint.CONSUMER_AFTER_EFFECT, CrashPoint.TASK_AFTER_WORK):
            await die_at(world, point)
    world.fleet.excused = True
    async with world.load.at_rate(world.rate):
        await faults.kill_server(world, world.broker)
        await faults.kill_server(world, world.servers.postgresql)
        await asyncio.sleep(BREATH_SECONDS)


async def every_step(world: World) -> None:
    """A process dies at each named step of a message's life."""
    await world.begin()
    async with world.load.at_rate(world.rate):
        for point in CrashPoint:
            await die_at(world, point)
        await asyncio.sleep(BREATH_SECONDS)
        world.cured()


async def roles(world: World) -> None:
    """Each role is killed, frozen past its lease, told to end, while subjects of many events go through."""
    await world.begin()
    async with world.load.at_rate(world.rate), world.walking(seconds=60):
        for role in world_roles(world):
            await faults.kill_role(world, role)
            await faults.end_role(world, role)
            if role != "api":
                patience = faults.CLAIM_SECONDS if role == "worker" else faults.LEASE_SECONDS
                await faults.freeze_role(world, role, patience + 3)
        if world.choice.queue == "celery":
            for _ in range(3):
                await faults.kill_child(world)
                await asyncio.sleep(1)


async def coming_and_going(world: World) -> None:
    """Three more relays and another consumer join and leave, some by kill -9, amid subjects of many events."""
    await world.begin()
    fleet = world.fleet
    guests = {f"relay-{number}": "relay" for number in (3, 4, 5)} | {"consumer-3": "consumer"}
    fleet.commands.update(guests)
    async with world.load.at_rate(world.rate), world.walking(seconds=40):
        for _ in range(3):
            await fleet.start(guests)
            world.tell("five relays, three consumers")
            await asyncio.sleep(BREATH_SECONDS)
            for name in world.dice.sample(list(guests), len(guests)):
                if world.dice.random() < 0.5:
                    await fleet.retire([name])
                else:
                    await fleet.end([name])
            world.tell("two relays, two consumers")
    world.cured()


async def all_told_to_end(world: World) -> None:
    """SIGTERM to everything at once under load, twice; then with broker and queue out of reach."""
    await world.begin()
    everyone = list(world.fleet.commands)
    async with world.load.at_rate(world.rate):
        for _ in range(2):
            await asyncio.sleep(BREATH_SECONDS)
            world.tell("SIGTERM to everything")
            await world.fleet.end(everyone, again=True)
        away = [world.broker, world.servers.redis]
        world.tell("broker and Redis are killed")
        for server in away:
            await asyncio.to_thread(server.kill)
        await asyncio.sleep(BREATH_SECONDS)
        world.tell("SIGTERM to everything")
        await world.fleet.end(everyone)
        for server in away:
            await asyncio.to_thread(server.start)
        await world.fleet.start(everyone)
        world.tell("all are back")
        world.cured()
        await asyncio.sleep(BREATH_SECONDS)


async def broker_away(world: World) -> None:
    """The broker is down at the start, killed, away for half a minute, and silent, under load."""
    await asyncio.to_thread(world.broker.kill)
    world.tell("the broker is down")
    await world.begin()
    async with world.load.at_rate(world.rate):
        await asyncio.sleep(BREATH_SECONDS)
        await asyncio.to_thread(world.broker.start)
        world.tell("the broker is up")
        await asyncio.sleep(2 * BREATH_SECONDS)
        await faults.kill_server(world, world.broker)
        await asyncio.sleep(BREATH_SECONDS)
        await faults.kill_server(world, world.broker, away=DOWN_SECONDS)
        await asyncio.sleep(BREATH_SECONDS)
        await faults.freeze_server(world, world.broker, 12)
        await asyncio.sleep(BREATH_SECONDS)


async def rate_without_broker(world: World) -> None:
    """How many orders are taken while the broker is away, against as many as before."""
    await world.begin()
    await world.load.rate(2)  # warm
    usual = await world.load.rate(RATE_SECONDS)
    await asyncio.to_thread(world.broker.kill)
    without = await world.load.rate(RATE_SECONDS)
    await asyncio.to_thread(world.broker.start)
    world.cured()
    world.notes.append(f"{usual:.0f} orders/s with the broker, {without:.0f} without: {without / usual:.2f}")


async def database_away(world: World) -> None:
    """PostgreSQL is killed, restarted and silent, under load."""
    server = world.servers.postgresql
    await world.begin()
    world.fleet.excused = True
    async with world.load.at_rate(world.rate):
        await faults.kill_server(world, server)
        await asyncio.sleep(BREATH_SECONDS)
        await faults.restart_server(world, server)
        await asyncio.sleep(BREATH_SECONDS)
        await faults.kill_server(world, server, away=8)
        await asyncio.sleep(BREATH_SECONDS)
        await faults.freeze_server(world, server, 12)
        await asyncio.sleep(2 * BREATH_SECONDS)


async def redis_away(world: World) -> None:
    """Redis is restarted five times in a row, emptied, and killed for a while, under load."""
    await world.begin()
    async with world.load.at_rate(world.rate):
        for _ in range(5):
            await faults.kill_server(world, world.servers.redis)
        await asyncio.sleep(BREATH_SECONDS)
        for _ in range(3):
            await faults.flush_redis(world)
            await asyncio.sleep(1)
        await faults.kill_server(world, world.servers.redis, away=10)
        await asyncio.sleep(BREATH_SECONDS)


async def other_broker(world: World) -> None:
    """Another broker by one variable, with much pending and unread on the old one, which is wiped; and back again."""
    await world.begin()
    old, new = world.choice.broker, "rabbitmq" if world.choice.broker == "kafka" else "kafka"
    await _change_broker(world, new, pending=PENDING, unread=UNREAD)
    await world.load.orders(100)
    await _change_broker(world, old, pending=PENDING // 10, unread=UNREAD // 10)
    async with world.load.at_rate(world.rate):
        await asyncio.sleep(BREATH_SECONDS)
    world.cured()


async def _change_broker(world: World, new: str, *, pending: int, unread: int) -> None:
    fleet, old = world.fleet, world.broker
    await fleet.retire(fleet.of("consumer"))
    await world.load.orders(unread)
    while await world.books.ready_events():  # noqa: ASYNC110 - other processes publish them
        await asyncio.sleep(0.1)
    await fleet.retire(fleet.of("relay"))
    await world.load.orders(pending)
    world.tell(f"{await world.books.pending()} when the broker is changed to {new}")
    await fleet.retire(list(fleet.commands))
    world.earlier.append(await world.published())
    world.choose(broker=new)
    await asyncio.to_thread(wipe, old)
    if old is world.servers.rabbitmq:
        await asyncio.to_thread(world.audit.bind)
    await fleet.start()
    world.cured()
    world.tell(f"everything is on {new}, and {old.name} is empty")


async def wiped(world: World) -> None:
    """The broker loses everything under the same name while events in it are unread."""
    await world.begin()
    fleet, broker = world.fleet, world.broker
    await fleet.retire(fleet.of("consumer"))
    await world.load.orders(UNREAD)
    while await world.books.ready_events():  # noqa: ASYNC110 - other processes publish them
        await asyncio.sleep(0.1)
    world.earlier.append(await world.published())
    await asyncio.to_thread(wipe, broker)
    if broker is world.servers.rabbitmq:
        await asyncio.to_thread(world.audit.bind)
    await fleet.start(fleet.of("consumer"))
    world.tell(f"{broker.name} is empty")
    async with world.load.at_rate(world.rate):
        # It is noticed when our group is caught up and has not handled an event for a minute.
        await asyncio.sleep(60)
    world.cured()


def by_chance(minutes: float) -> Callable[[World], Awaitable[None]]:
    """Random faults, one after the other, until the time is over."""

    async def run(world: World) -> None:
        await world.begin()
        world.fleet.excused = True
        ends = asyncio.get_running_loop().time() + minutes * 60
        async with world.load.at_rate(world.rate):
            while asyncio.get_running_loop().time() < ends:
                await _any(world)
                await asyncio.sleep(world.dice.uniform(0.5, 8.0))
            await asyncio.sleep(BREATH_SECONDS)

    return run


async def _any(world: World) -> None:
    dice, role = world.dice, world.dice.choice(world_roles(world))
    seconds = dice.uniform(1.0, 20.0)
    queue = [world.servers.redis] if world.choice.queue == "celery" else []
    server = dice.choice([world.broker, world.broker, world.servers.postgresql, *queue])
    happenings: list[Callable[[], Awaitable[None]]] = [
        lambda: faults.kill_role(world, role),
        lambda: faults.kill_role(world, role),
        lambda: faults.end_role(world, role),
        lambda: faults.freeze_role(world, role, seconds),
        lambda: faults.kill_server(world, server, away=dice.choice([0, 0, seconds])),
        lambda: faults.freeze_server(world, server, min(seconds, 12)),
    ]
    if queue:
        happenings += [lambda: faults.flush_redis(world), lambda: faults.kill_child(world)]
    await dice.choice(happenings)()


def world_roles(world: World) -> tuple[str, ...]:
    """Those that play."""
    return (*ROLES, "worker") if world.choice.queue == "celery" else ROLES


def on_redis(choice: Choice) -> bool:
    """Whether Redis carries the tasks."""
    return choice.queue == "celery" and choice.carrier == "redis"


SHORT = Scenario("short", short)
LONG = (
    Scenario("every-step", every_step),
    Scenario("roles", roles),
    Scenario("coming-and-going", coming_and_going),
    Scenario("all-told-to-end", all_told_to_end),
    Scenario("broker-away", broker_away),
    Scenario("rate-without-broker", rate_without_broker),
    Scenario("database-away", database_away),
    Scenario("redis-away", redis_away, fits=on_redis),
    Scenario("other-broker", other_broker, fits=lambda choice: choice.queue == "celery"),
    Scenario("wiped", wiped, fits=lambda choice: choice.queue == "background"),
)
