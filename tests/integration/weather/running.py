"""The service as a process beside a stand-in, and what it promises about time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.integration.crashes.service import Service
from tests.stand_ins.weather_server import WeatherServer

DEADLINE: Final = 8.0  # seconds, of all that a request leads to
SLACK: Final = 0.5
BACK_WITHIN: Final = 10.0  # from the end of faults to fresh answers


@contextmanager
def service(folder: Path, stand_in: WeatherServer, weather: str, **settings: str) -> Iterator[Service]:
    """`crossdock up` that asks this stand-in."""
    folder.mkdir(exist_ok=True)
    chosen = {
        "CROSSDOCK_WEATHER": weather,
        "OPEN_WEATHER_API_KEY": "any",
        "OPEN_WEATHER_URL": stand_in.openweather_url,
        "OPEN_METEO_GEOCODING_URL": stand_in.geocoding_url,
        "OPEN_METEO_FORECAST_URL": stand_in.forecast_url,
        "CROSSDOCK_WEATHER_QUOTA": "1000/second",
    }
    with Service(folder, **(chosen | settings)) as running:
        yield running
