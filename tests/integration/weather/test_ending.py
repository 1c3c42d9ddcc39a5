"""A process that is told to end while a provider keeps its callers waiting."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import httpx

from tests.integration.weather.running import service
from tests.stand_ins.weather_server import WeatherServer, hangs


async def test_who_still_waits_for_a_provider_when_the_process_ends_is_told_so(
    server: WeatherServer, tmp_path: Path
) -> None:
    """Sooner than the question's own deadline, and not by a broken connection or an error of ours."""
    server.always(hangs)
    with service(tmp_path, server, "openweather", CROSSDOCK_GRACE="4") as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
            asking = [asyncio.create_task(client.get(f"/weather/City {number}")) for number in range(10)]
            await server.until_asked(5)

            running.process.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*asking)

        code = await asyncio.to_thread(running.process.wait, 20)
        log = running.log

    assert Counter(answer.status_code for answer in answers) == {503: 10}
    assert code == 0
    assert "Traceback" not in log
