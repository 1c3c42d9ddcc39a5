"""Servers that are no good: nothing listens, nobody answers, nonsense is said, and secrets are asked for."""

import asyncio
import contextlib
import logging
import socket
import struct
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import uvloop

from adapters.cache.redis import RedisCache
from adapters.clock import SystemClock
from adapters.quota.redis import RedisQuota
from adapters.redis_client import RedisClient
from ports.cache import VALUE_MOST, Cache
from tests.contracts.cache_outage import CacheOutageContract
from tests.integration.cache.servers import a_prefix, on_memcached, on_redis, started
from tests.services import private
from tools.services.redis import Redis

CANARY = "canary-7f3a9c"
IN_TIME = CacheOutageContract.in_time

Make = Callable[[int], Cache]
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["redis", "memcached"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the cache of one kind for a port of loopback; it never rests for long."""
    if request.param == "redis":
        return lambda port: on_redis(f"redis://127.0.0.1:{port}/0", rest_seconds=0.05)
    return lambda port: on_memcached(f"127.0.0.1:{port}", rest_seconds=0.05)


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[int]:
    """The port of a server that does this with each connection."""
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def is_away_in_time(cache: Cache) -> None:
    """Each call ends in time and finds nothing."""
    for _ in range(3):
        async with asyncio.timeout(IN_TIME):
            assert await cache.get("key") is None
        async with asyncio.timeout(IN_TIME):
            await cache.put("key", b"x" * 100_000, seconds=60)
        async with asyncio.timeout(IN_TIME):
            await cache.drop("key")
        await asyncio.sleep(0.06)  # until it would try again
    assert cache.trouble


async def test_where_nothing_listens(make: Make) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with started(make(free.getsockname()[1])) as cache:
            await is_away_in_time(cache)

            assert cache.trouble is not None
            assert "Connection refused" in cache.trouble


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port on which connections are not even begun, as behind a wall that swallows them."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # those that fill its queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]


async def test_where_nobody_takes_the_connection(make: Make, black_hole: int) -> None:
    async with started(make(black_hole)) as cache:
        await is_away_in_time(cache)

        async with asyncio.timeout(IN_TIME):
            assert set(await asyncio.gather(*(cache.get("key") for _ in range(100)))) == {None}


async def says_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


async def takes_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def closes_at_once(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    return


async def resets_when_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection cut off when it is closed, instead of ended."""
    with contextlib.suppress(OSError, ValueError):  # the other side was faster
        ours = writer.get_extra_info("socket")
        if ours is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def resets_in_mid_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.read(1000)
    writer.write(b"VALUE key 50384 9\r\nhal" if asked.startswith(b"get") else b"$9\r\n1hal")
    await asyncio.sleep(0.01)  # for the beginning to be read
    reset(writer)


def answers(*answers: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(1_000_000)
            writer.write(answer)
            await writer.drain()
        await asyncio.Event().wait()

    return script


async def one_byte_at_a_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    for byte in b"$1000000\r\n" + b"x" * 1000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


@pytest.mark.parametrize(
    "script",
    [
        says_nothing,
        takes_nothing,
        closes_at_once,
        resets_when_asked,
        resets_in_mid_answer,
        one_byte_at_a_time,
        endless,
        answers(*[b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"] * 9),
        answers(*[b"\x00\xff\xfe\r\n"] * 9),
        answers(*[b"\r\n"] * 9),
        answers(*[b"$-5\r\n"] * 9),
        answers(*[b"$999999999999\r\n"] * 9),
        answers(*[b"$x\r\n"] * 9),
        answers(*[b"*-7\r\n"] * 9),
        answers(*[b":one\r\n"] * 9),
        answers(*[b"VALUE other 50384 1\r\nx\r\nEND\r\n"] * 9),
        answers(*[b"VALUE\r\n"] * 9),
        answers(*[b"VALUE key 50384 -1\r\nEND\r\n"] * 9),
    ],
    ids=lambda script: getattr(script, "__name__", "answers"),
)
async def test_what_is_no_server_of_its_kind(make: Make, script: Script) -> None:
    async with serving(script) as port, started(make(port)) as cache:
        await is_away_in_time(cache)


@pytest.mark.parametrize("script", [resets_when_asked, resets_in_mid_answer, closes_at_once])
def test_on_uvloop_too_a_server_that_resets_is_away(make: Make, script: Script) -> None:
    """Which forgets the socket of a connection as soon as the other side has cut it off."""

    async def several_at_once() -> None:
        async with serving(script) as port, started(make(port)) as cache:
            for _ in range(10):
                await asyncio.sleep(0.06)  # until it would try again
                assert await asyncio.gather(*(cache.get("key") for _ in range(8))) == [None] * 8
                await cache.put("key", b"x" * 100_000, seconds=60)
            assert cache.trouble

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(several_at_once())


async def test_an_answer_that_is_cut_off_is_none(make: Make) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n")
        key = line.split()[1] if line.startswith(b"get") else b""
        writer.write(b"VALUE %b 50384 9\r\nhal" % key if key else b"$9\r\n1hal")
        await writer.drain()

    async with serving(cut) as port, started(make(port)) as cache:
        assert await cache.get("key") is None
        assert cache.trouble


async def test_an_old_answer_is_never_given_to_the_next(make: Make) -> None:
    """The server answers each question, but the first one only after its deadline."""
    late = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if not late.is_set():
                await late.wait()
            words = line.split()
            if words[:1] == [b"get"]:
                writer.write(b"VALUE %b 50384 %d\r\n%b\r\nEND\r\n" % (words[1], len(words[1]), words[1]))
            elif line.startswith(b"*4"):  # GETRANGE key 0 end
                rest = [await reader.readline() for _ in range(8)]
                key = rest[3].strip()
                writer.write(b"$%d\r\n1%b\r\n" % (len(key) + 1, key))
            elif words[:1] == [b"version"]:
                writer.write(b"VERSION 1\r\n")
            else:
                rest = [await reader.readline() for _ in range(2)]
                writer.write(b"+PONG\r\n")

    async with serving(slow) as port:
        cache = make(port)
        async with started(cache):
            assert await cache.get("first") is None
            late.set()

            async def answered() -> bool:
                return await cache.get("second") is not None

            assert await CacheOutageContract().becomes(answered)
            found = await asyncio.gather(*(cache.get(f"key:{number}") for number in range(50)))

    assert all((value or b"").endswith(f":key:{number}".encode()) for number, value in enumerate(found))


async def test_a_server_that_takes_nothing_leaves_no_socket_behind(make: Make) -> None:
    """What it did not take would else be kept for it, each time more."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(100)  # the system greets whoever comes, and nobody ever reads
        async with started(make(deaf.getsockname()[1])) as cache:
            for _ in range(5):
                await cache.put("key", b"x" * VALUE_MOST, seconds=60)
                await asyncio.sleep(0.06)

            assert cache.trouble
            assert ends_of_ours(deaf.getsockname()[1]) == []


def ends_of_ours(port: int) -> list[str]:
    """The connections to a port that the system still keeps, also those whose owner has closed them."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [state for _, _, there, state, *_ in lines if int(there.rpartition(":")[2], 16) == port]


# Secrets and TLS


def private_client(port: int, **others: Any) -> RedisClient:
    return RedisClient(host="127.0.0.1", port=port, clock=SystemClock(), rest_seconds=0.05, **others)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Redis]:
    """Redis that wants a password, and speaks TLS on a second port."""
    with private(Redis) as server:
        boss: Any = redis.Redis(port=server.port)
        boss.config_set("tls-cert-file", str(server.certificates / "server.crt"))
        boss.config_set("tls-key-file", str(server.certificates / "server.key"))
        boss.config_set("tls-ca-cert-file", str(server.certificates / "ca.pem"))
        boss.config_set("tls-auth-clients", "no")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        boss.config_set("tls-port", port)
        boss.execute_command("ACL", "SETUSER", "ann", "on", f">{CANARY}", "~*", "+@all")
        boss.config_set("requirepass", CANARY)
        boss.close()
        server.tls_port = port  # type: ignore[attr-defined]
        yield server


async def remembers(client: RedisClient) -> bool:
    async with started(RedisCache(client, prefix=a_prefix())) as cache:
        await cache.put("key", b"value", seconds=60)
        return await cache.get("key") == b"value"


@pytest.mark.parametrize("username", [None, "ann"])
@pytest.mark.parametrize("database", [0, 3])
async def test_who_has_the_password_is_served(guarded: Redis, username: str | None, database: int) -> None:
    client = private_client(guarded.port, username=username, password=CANARY, database=database)

    assert await remembers(client)


async def test_a_user_who_may_do_only_what_is_documented_is_served(guarded: Redis) -> None:
    boss: Any = redis.asyncio.Redis(port=guarded.port, password=CANARY)
    commands = ["getrange", "set", "del", "eval", "get", "time", "ping", "select"]
    rights = ["~*crossdock:*", "-@all", *(f"+{command}" for command in commands)]
    await boss.execute_command("ACL", "SETUSER", "modest", "on", f">{CANARY}", *rights)
    await boss.aclose()
    client = private_client(guarded.port, username="modest", password=CANARY, database=1, seconds=5)
    cache = RedisCache(client, prefix="staging.crossdock:cache:1:")
    quota = RedisQuota(client, "staging.crossdock:quota:1:x", 1, 60, clock=SystemClock())

    async with started(cache):
        await cache.put("key", b"value", seconds=60)
        assert await cache.get("key") == b"value"
        await cache.drop("key")
        assert [await quota.take() == 0 for _ in range(2)] == [True, False]
        assert await quota.left() == 0
        assert cache.trouble is None


async def test_tls_is_spoken_to_a_server_that_is_vouched_for(guarded: Redis) -> None:
    port = guarded.tls_port  # type: ignore[attr-defined]
    client = private_client(port, password=CANARY, tls=True, ca_file=guarded.certificates / "ca.pem", seconds=2)

    assert await remembers(client)


async def test_a_server_that_nobody_vouches_for_is_told_no_password(guarded: Redis) -> None:
    port = guarded.tls_port  # type: ignore[attr-defined]
    client = private_client(port, password=CANARY, tls=True, seconds=2)

    assert not await remembers(client)
    assert client.trouble is not None
    assert "not trusted" in client.trouble


async def test_a_wrong_password_is_an_outage_that_says_why_and_shows_it_nowhere(
    guarded: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG too, in the errors with all their causes, and by a server that repeats what it was told."""
    caplog.set_level(logging.DEBUG)
    wrong = f"{CANARY}-wrong"

    async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while told := await reader.read(1000):
            writer.write(b"-ERR unknown command, with args beginning with: " + told.replace(b"\r\n", b" ") + b"\r\n")

    async with serving(parrot) as port:
        for where in (guarded.port, port):
            client = private_client(where, username="ann", password=wrong)
            cache = RedisCache(client, prefix=a_prefix())
            async with started(cache):
                await cache.put("key", b"value", seconds=60)
                assert await cache.get("key") is None
                assert cache.trouble
                shown = [cache.trouble, repr(client), repr(cache), str(vars(cache))]
                shown += [traceback.format_exc()]
            assert not any(wrong in text for text in shown)
    assert wrong not in caplog.text
    assert caplog.records


async def test_the_loop_is_never_held_up(make: Make) -> None:
    """While nobody answers, everything else goes on."""
    async with serving(takes_nothing) as port, started(make(port)) as cache:
        longest, last = 0.0, time.monotonic()
        asking = asyncio.gather(*(cache.get(f"key:{number}") for number in range(100)))
        while not asking.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

        assert await asking == [None] * 100
        assert longest < 0.2
