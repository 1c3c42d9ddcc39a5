"""Things that happen to a service, each broken and made whole again."""

import asyncio

import redis.asyncio

from prove.world import World
from tools.services.server import Server

LEASE_SECONDS = 6.0
CLAIM_SECONDS = 15.0
FORGOTTEN_SECONDS = (
    150.0  # a queue that has forgotten looks like one that is slow, and is given more only after a while
)
SERVER_SECONDS = 20.0  # within which a test may talk to a server that answers


async def kill_role(world: World, role: str) -> None:
    """kill -9 of one that plays it; a supervisor starts it again."""
    name = world.dice.choice(world.fleet.of(role))
    world.tell(f"kill -9 of {name}")
    await world.fleet.kill(name)
    await world.fleet.until_ready(name)
    world.cured()


async def end_role(world: World, role: str) -> None:
    """SIGTERM to one that plays it, and a new one in its place."""
    name = world.dice.choice(world.fleet.of(role))
    world.tell(f"SIGTERM to {name}")
    await world.fleet.end([name], again=True)
    world.cured()


async def freeze_role(world: World, role: str, seconds: float) -> None:
    """SIGSTOP until others must have taken over, then SIGCONT."""
    name = world.dice.choice(world.fleet.of(role))
    world.tell(f"SIGSTOP of {name} for {seconds:g} s")
    process = world.fleet.members[name].process
    process.freeze()
    await asyncio.sleep(seconds)
    process.thaw()
    world.tell(f"SIGCONT of {name}")
    world.cured()


async def kill_child(world: World) -> None:
    """kill -9 of a child of the Celery worker; its parent has another."""
    world.tell("kill -9 of a child of worker-1")
    world.fleet.members["worker-1"].process.kill_child()
    world.cured()


async def kill_server(world: World, server: Server, away: float = 0.0) -> None:
    """kill -9 of a server, and its next life on the same disk."""
    world.tell(f"kill -9 of {server.name}")
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(away)
    await asyncio.to_thread(server.start)
    world.tell(f"{server.name} is back")
    world.cured()


async def restart_server(world: World, server: Server) -> None:
    """As its operator would."""
    world.tell(f"restart of {server.name}")
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    world.tell(f"{server.name} is back")
    world.cured()


async def freeze_server(world: World, server: Server, seconds: float) -> None:
    """A black hole: it takes connections and says nothing."""
    world.tell(f"SIGSTOP of {server.name} for {seconds:g} s")
    await asyncio.to_thread(server.freeze)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.thaw)
    world.tell(f"SIGCONT of {server.name}")
    world.cured()


async def flush_redis(world: World) -> None:
    """FLUSHALL: whatever Celery had been given is gone."""
    world.tell("FLUSHALL")
    client = redis.asyncio.Redis.from_url(world.servers.redis.address, socket_timeout=SERVER_SECONDS)
    async with client:
        await client.flushall()
    world.patience = FORGOTTEN_SECONDS
    world.cured()
