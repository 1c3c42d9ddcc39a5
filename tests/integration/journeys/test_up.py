"""`crossdock up` as its users meet it: one process, real HTTP, a real file."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.integration.crashes.ledger import check, drain
from tests.integration.crashes.service import Promised, Service
from tests.stand_ins.weather_server import WeatherServer

KEY = "canary-key-4711"


async def test_the_whole_journey_ends_with_both_mails_in_the_log(tmp_path: Path) -> None:
    promised = Promised()
    with Service(tmp_path) as service:
        await promised.load(service, clients=1, orders=1)
        (order,) = promised.orders
        await asyncio.to_thread(drain, service, tmp_path / "crossdock.db")

        async with httpx.AsyncClient(base_url=service.url) as client:
            confirmed = (await client.get(f"/orders/{order}")).json()

        assert confirmed["status"] == "confirmed"
        assert {subject for _, subject in service.mails} == {"Welcome", f"Your order {order} is confirmed"}


@pytest.mark.parametrize("provider", ["openweather", "open_meteo"])
async def test_each_real_provider_answers_through_its_stand_in(provider: str, tmp_path: Path) -> None:
    async with WeatherServer() as stand_in:
        settings = {
            "CROSSDOCK_WEATHER": provider,
            "OPEN_WEATHER_API_KEY": KEY,
            "OPEN_WEATHER_URL": stand_in.openweather_url,
            "OPEN_METEO_GEOCODING_URL": stand_in.geocoding_url,
            "OPEN_METEO_FORECAST_URL": stand_in.forecast_url,
        }
        with Service(tmp_path, **settings) as service:
            async with httpx.AsyncClient(base_url=service.url) as client:
                answers = [await client.get("/weather/Berlin") for _ in range(2)]
        asked = len(stand_in.asked)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["provider"] for answer in answers} == {provider}
    assert answers[0].json()["city"] == "Berlin"
    assert asked == {"openweather": 1, "open_meteo": 2}[provider], "the second answer was not remembered"
    assert KEY not in service.log


async def test_told_to_end_under_load_it_loses_nothing_and_ends_in_time(tmp_path: Path) -> None:
    promised = Promised()
    with Service(tmp_path) as service:
        load = asyncio.create_task(promised.load(service))
        await promised.until(orders=50)
        began = time.monotonic()

        code = await asyncio.to_thread(service.end)

        assert code == 0, service.log[-2000:]
        assert time.monotonic() - began < 10
        await load
    with Service(tmp_path) as service:
        await asyncio.to_thread(drain, service, tmp_path / "crossdock.db")
        print(check(service, tmp_path / "crossdock.db", promised))


async def test_a_second_signal_does_not_wait_for_requests(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        _, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
        writer.write(
            b"POST /orders/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        await writer.drain()
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGTERM)

        code = await asyncio.to_thread(service.process.wait, 15)

        assert code == 0, service.log[-2000:]
        writer.close()


async def test_two_services_on_one_file_share_the_work(tmp_path: Path) -> None:
    promised = Promised()
    with Service(tmp_path) as one, Service(tmp_path) as other:
        await asyncio.gather(*(promised.load(service, clients=2, orders=40) for service in (one, other)))
        await asyncio.to_thread(drain, one, tmp_path / "crossdock.db")
        print(check(one, tmp_path / "crossdock.db", promised))
