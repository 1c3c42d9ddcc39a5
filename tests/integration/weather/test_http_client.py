"""The one HTTP client: its bounds, and its silence about secrets."""

import asyncio
import gc
import random
import traceback
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from pydantic import SecretStr

from adapters.http_client import Answer, HttpClient
from adapters.http_connections import IDLE_SECONDS
from adapters.weather.openweather import OpenWeather
from domain.model.weather import City
from ports.errors import Rejected, Unavailable
from tests.certificates import NOBODY_TRUSTED, Authority
from tests.clock import ManualClock
from tests.stand_ins.weather_faults import FAULTS
from tests.stand_ins.weather_server import (
    WeatherServer,
    answers,
    as_the_providers_do,
    hangs,
    slowly,
)

CANARY = "canary-5f3a9c"


@pytest.fixture
async def narrow(clock: ManualClock) -> AsyncIterator[HttpClient]:
    """A client of two connections."""
    client = HttpClient(
        clock, connections=2, connect_seconds=0.5, wait_seconds=0.6, call_seconds=0.8, tls=NOBODY_TRUSTED
    )
    await client.start()
    yield client
    await client.stop()


async def ask(http: HttpClient, server: WeatherServer) -> Answer:
    return await http.get(server.openweather_url, {"q": "Berlin"}, secrets={"appid": SecretStr(CANARY)})


async def until_closed(server: WeatherServer) -> None:
    async with asyncio.timeout(5):
        while server.open_connections:  # noqa: ASYNC110 - the other end has to see it
            await asyncio.sleep(0)


# What it sends


async def test_it_names_itself_and_asks_for_json_that_is_not_compressed(
    http: HttpClient, server: WeatherServer
) -> None:
    await ask(http, server)

    headers = server.asked[0].headers
    assert headers["user-agent"] == "crossdock"
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert "cookie" not in headers


async def test_it_keeps_no_cookies(http: HttpClient, server: WeatherServer) -> None:
    server.next(answers({}, headers={"Set-Cookie": "track=me; Path=/"}))

    await ask(http, server)
    await ask(http, server)

    assert "cookie" not in server.asked[1].headers


async def test_it_uses_no_proxy_of_the_environment(
    server: WeatherServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = HttpClient(clock)
    await client.start()

    try:
        assert (await ask(client, server)).status == 200
    finally:
        await client.stop()


async def test_one_connection_serves_one_call_after_another(http: HttpClient, server: WeatherServer) -> None:
    for _ in range(5):
        await ask(http, server)

    assert server.connections == 1


async def test_a_connection_that_the_server_has_closed_is_not_used_again(
    http: HttpClient, server: WeatherServer
) -> None:
    server.next(answers({}, headers={"Connection": "close"}))

    await ask(http, server)
    await ask(http, server)

    assert server.connections == 2


async def test_it_speaks_tls_with_whom_it_trusts(clock: ManualClock) -> None:
    authority = Authority()
    client = HttpClient(clock, tls=authority.trusted())
    await client.start()

    try:
        async with WeatherServer(tls=authority.server()) as server:
            assert (await ask(client, server)).status == 200
    finally:
        await client.stop()


# Its bounds


async def test_it_opens_no_more_connections_than_it_may(server: WeatherServer, clock: ManualClock) -> None:
    client = HttpClient(clock, connections=2)
    await client.start()

    try:
        answered = await asyncio.gather(*(ask(client, server) for _ in range(40)))
    finally:
        await client.stop()

    assert len(answered) == 40
    assert server.connections <= 2


async def test_connections_to_several_servers_are_no_more_than_it_may_open(
    narrow: HttpClient, server: WeatherServer
) -> None:
    """What is kept of one makes room for another, and is kept as long as there is room."""
    async with WeatherServer() as second, WeatherServer() as third:
        for each in (server, second, server, second, third):
            await ask(narrow, each)
        await until_closed(server)

        assert (server.connections, second.connections, third.connections) == (1, 1, 1)
        assert second.open_connections + third.open_connections == 2


async def test_calls_at_once_share_out_the_connections_that_are_there(server: WeatherServer, http: HttpClient) -> None:
    for _ in range(5):
        await asyncio.gather(*(ask(http, server) for _ in range(2)))

    assert server.connections == 2


async def test_a_connection_that_is_not_used_for_long_is_closed(
    narrow: HttpClient, server: WeatherServer, clock: ManualClock
) -> None:
    async with WeatherServer() as other:
        await ask(narrow, other)
        await clock.advance(IDLE_SECONDS + 1)

        await ask(narrow, server)

        await until_closed(other)


async def test_a_call_that_gets_no_connection_ends_in_time(hasty: HttpClient, server: WeatherServer) -> None:
    server.always(hangs)
    began = monotonic()

    errors = await asyncio.gather(*(ask(hasty, server) for _ in range(10)), return_exceptions=True)

    assert all(isinstance(error, Unavailable) for error in errors)
    assert monotonic() - began < 2


async def test_a_body_of_just_the_bytes_allowed_is_read(server: WeatherServer, clock: ManualClock) -> None:
    client = HttpClient(clock, bytes_most=1000)
    await client.start()
    server.next(answers(b"x" * 1000), answers(b"x" * 1001))

    try:
        assert len((await ask(client, server)).body) == 1000
        with pytest.raises(Rejected, match="more than 1000 bytes"):
            await ask(client, server)
    finally:
        await client.stop()


async def test_a_compressed_answer_is_refused_before_it_is_read(http: HttpClient, server: WeatherServer) -> None:
    server.always(answers(b"anything", headers={"Content-Encoding": "br"}))

    with pytest.raises(Rejected, match="compressed"):
        await ask(http, server)


async def test_an_answer_may_say_that_it_is_not_compressed(http: HttpClient, server: WeatherServer) -> None:
    server.always(answers({}, headers={"Content-Encoding": "identity"}))

    assert (await ask(http, server)).body == b"{}"


@pytest.mark.parametrize("seed", range(5))
async def test_callers_that_leave_at_any_moment_cost_no_connection(
    narrow: HttpClient, server: WeatherServer, seed: int
) -> None:
    """Calls are cancelled while they wait, connect, send and read; afterwards all connections are there."""
    chance = random.Random(seed)
    server.always(slowly({}, seconds=0))

    async def impatient() -> None:
        call = asyncio.create_task(ask(narrow, server))
        for _ in range(chance.randrange(60)):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    for _ in range(5):
        await asyncio.gather(*(impatient() for _ in range(20)))
    server.always(as_the_providers_do)

    for _ in range(3):
        answered = await asyncio.gather(*(ask(narrow, server) for _ in range(2)))
        assert [answer.status for answer in answered] == [200, 200]


async def test_calls_that_wait_in_vain_for_a_connection_cost_none(server: WeatherServer, clock: ManualClock) -> None:
    client = HttpClient(clock, connections=2, wait_seconds=0.02, call_seconds=0.05, tls=NOBODY_TRUSTED)
    await client.start()
    server.always(slowly({}, seconds=0, headers={"Connection": "close"}))

    try:
        for _ in range(15):
            await asyncio.gather(*(ask(client, server) for _ in range(40)), return_exceptions=True)
        server.always(as_the_providers_do)
        at_last = [
            await asyncio.gather(*(ask(client, server) for _ in range(2)), return_exceptions=True) for _ in range(10)
        ]
    finally:
        await client.stop()

    assert any(all(isinstance(answer, Answer) for answer in pair) for pair in at_last)


@pytest.mark.parametrize(
    "fault",
    [
        "hang",
        "hang in the body",
        "a byte at a time",
        "headers without end",
        "chunk without end",
        "reset",
        "an outage",
        "a refusal",
        "redirect inward",
        "gzip bomb",
        "body without end",
    ],
)
async def test_calls_that_end_badly_cost_no_connection(narrow: HttpClient, server: WeatherServer, fault: str) -> None:
    server.always(FAULTS[fault])
    await asyncio.gather(*(ask(narrow, server) for _ in range(6)), return_exceptions=True)
    server.always(as_the_providers_do)

    answered = await asyncio.gather(*(ask(narrow, server) for _ in range(2)))

    assert [answer.status for answer in answered] == [200, 200]


async def test_a_call_that_was_left_while_it_connected_asks_nothing(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A gate before the server holds the TLS handshake back until the caller has gone."""
    authority = Authority()
    connected, left, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    client = HttpClient(clock, tls=authority.trusted())
    await client.start()

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
        sink.close()

    async def gate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await left.wait()
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pipe(reader, onward_writer), pipe(onward_reader, writer))
        closed.set()

    async with WeatherServer(tls=authority.server()) as server, await asyncio.start_server(gate, "127.0.0.1") as front:
        address = f"https://127.0.0.1:{front.sockets[0].getsockname()[1]}/"
        call = asyncio.create_task(client.get(address, {"q": "Berlin"}))
        await connected.wait()

        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        left.set()
        await asyncio.wait_for(closed.wait(), 5)

        assert server.connections == 1  # hands were shaken
        assert server.asked == []
    await client.stop()
    del call
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_stopping_ends_the_calls_in_flight(server: WeatherServer, clock: ManualClock) -> None:
    client = HttpClient(clock, connections=2)
    await client.start()
    server.always(hangs)
    calls = [asyncio.create_task(ask(client, server)) for _ in range(5)]
    await server.until_asked(2)
    began = monotonic()

    await client.stop()

    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in errors)
    assert monotonic() - began < 2


async def test_it_can_be_started_again_and_stopped_twice(server: WeatherServer, clock: ManualClock) -> None:
    client = HttpClient(clock)

    for _ in range(2):
        await client.start()
        assert (await ask(client, server)).status == 200
        await client.stop()
        await client.stop()


async def test_without_a_start_it_does_not_pretend(server: WeatherServer, clock: ManualClock) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await ask(HttpClient(clock), server)


@pytest.mark.parametrize("url", ["http://[::", "ftp://127.0.0.1/", "weather", "", "http://127.0.0.1:99999999/"])
async def test_an_address_that_is_none_is_rejected(http: HttpClient, url: str) -> None:
    with pytest.raises(Rejected):
        await http.get(url, {})


# Its silence, of which test_secrets.py has more


async def test_an_answer_that_quotes_the_key_is_not_quoted(
    http: HttpClient, server: WeatherServer, clock: ManualClock
) -> None:
    weather = OpenWeather(url=server.openweather_url, api_key=CANARY, http=http, clock=clock)
    server.always(answers({"name": CANARY, "main": CANARY, CANARY: CANARY}))

    with pytest.raises(Rejected) as raised:
        await weather.current(City("Berlin"))

    assert CANARY not in "".join(traceback.format_exception(raised.value))


async def test_an_error_of_the_network_says_what_to_look_at(http: HttpClient) -> None:
    with pytest.raises(Unavailable, match=r"^127\.0\.0\.1 could not be asked: Connection refused$") as raised:
        await http.get("http://127.0.0.1:1/", {})

    assert raised.value.__cause__ is not None
    assert str(raised.value.__cause__) == "All connection attempts failed"


async def test_what_is_called_before_anything_is_sent_may_prevent_it(http: HttpClient, server: WeatherServer) -> None:
    """And costs no connection: more are prevented than there may be at once."""

    async def not_now() -> None:
        raise Unavailable("not now")

    for _ in range(30):
        with pytest.raises(Unavailable, match=r"^not now$"):
            await http.get(server.openweather_url, {"q": "Berlin"}, before_sending=not_now)
    assert server.asked == []

    answer = await http.get(server.openweather_url, {"q": "Berlin", "appid": "any"})

    assert answer.status == 200
    assert len(server.asked) == 1
