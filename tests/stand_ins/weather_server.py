"""A local stand-in for both weather providers, which can also misbehave in every way that a server can.

For a demonstration: ``python -m tests.stand_ins.weather_server --port 8099 --provider open_meteo --fault hang``.
"""

import argparse
import asyncio
import contextlib
import http
import itertools
import json
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self
from urllib.parse import parse_qsl

OPENWEATHER_PATH: Final = "/data/2.5/weather"
GEOCODING_PATH: Final = "/v1/search"
FORECAST_PATH: Final = "/v1/forecast"
UNKNOWN_CITY: Final = "Nowhere"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived, with nothing mended."""

    method: str
    target: str
    headers: Mapping[str, str]
    at: float  # on the monotonic clock

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(
            self.target.partition("?")[2],
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
        )

    def parameter(self, name: str) -> str:
        return dict(self.query)[name]


Script = Callable[[Asked, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class WeatherServer:
    """Answers on a free port of 127.0.0.1 and keeps what it was asked.

    It answers as the providers do, unless it was told what comes `next`, or what comes `always`.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.port = port
        self._tls = tls
        self._always: Script = as_the_providers_do
        self._next: list[Script] = []
        self._news = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def next(self, *scripts: Script) -> None:
        """The next answers, one each."""
        self._next.extend(scripts)

    def always(self, script: Script) -> None:
        """Every answer that is not one of the `next`."""
        self._always = script

    async def until_asked(self, times: int) -> None:
        """Return when so many requests have arrived."""
        while len(self.asked) < times:
            self._news.clear()
            await self._news.wait()

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._serving)

    @property
    def origin(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def openweather_url(self) -> str:
        return self.origin + OPENWEATHER_PATH

    @property
    def geocoding_url(self) -> str:
        return self.origin + GEOCODING_PATH

    @property
    def forecast_url(self) -> str:
        return self.origin + FORECAST_PATH

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                self._news.set()
                script = self._next.pop(0) if self._next else self._always
                if script is as_the_providers_do:
                    await script(asked, writer)
                else:
                    await _until_the_client_leaves(reader, script(asked, writer))
                await writer.drain()
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")  # as servers answer to a TLS hello
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client has gone
        except asyncio.CancelledError:
            writer.transport.abort()  # the server closes, and waits for no farewell
        finally:
            self._serving.discard(task)
            writer.close()


async def _until_the_client_leaves(reader: asyncio.StreamReader, answering: Coroutine[Any, Any, None]) -> None:
    """An answer without end ends with the connection; a client says nothing more before it is answered."""
    answer, leaves = asyncio.create_task(answering), asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait({answer, leaves}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ConnectionResetError("the client has gone")
        await answer
    finally:
        for task in (answer, leaves):
            task.cancel()
        await asyncio.gather(answer, leaves, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    first = await reader.readexactly(1)
    if first == b"\x16":  # a TLS hello
        return None
    lines = (first + await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    method, target, _ = lines[0].split(" ")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    return Asked(method, target, {name.lower(): value for name, value in headers.items()}, monotonic())


# What the providers say


def observation(city: str) -> dict[str, object]:
    """The answer of OpenWeatherMap."""
    return {
        "coord": {"lon": 13.41, "lat": 52.52},
        "weather": [{"id": 501, "main": "Rain", "description": "moderate rain", "icon": "10d"}],
        "base": "stations",
        "main": {
            "temp": 11.3,
            "feels_like": 10.6,
            "temp_min": 10.1,
            "temp_max": 12.4,
            "pressure": 1015,
            "humidity": 81,
        },
        "visibility": 10000,
        "wind": {"speed": 3.6, "deg": 240, "gust": 6.2},
        "rain": {"1h": 1.2},
        "clouds": {"all": 100},
        "dt": 1795392000,
        "sys": {"country": "DE", "sunrise": 1795330000, "sunset": 1795360000},
        "timezone": 3600,
        "id": 2950159,
        "name": city,
        "cod": 200,
    }


def places(city: str) -> dict[str, object]:
    """The answer of Open-Meteo's geocoding."""
    if city.casefold() == UNKNOWN_CITY.casefold():
        return {"generationtime_ms": 0.6}
    place = {
        "id": 2950159,
        "name": city,
        "latitude": 52.52437,
        "longitude": 13.41053,
        "elevation": 74.0,
        "country_code": "DE",
        "country": "Germany",
        "timezone": "Europe/Berlin",
        "population": 3426354,
        "admin1": "Berlin",
    }
    return {"results": [place], "generationtime_ms": 0.6}


def forecast(
    *, code: int = 61, units: Mapping[str, str] | None = None, current: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The answer of Open-Meteo's forecast."""
    return {
        "latitude": 52.52,
        "longitude": 13.419998,
        "generationtime_ms": 0.05,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 38.0,
        "current_units": {
            "time": "iso8601",
            "interval": "seconds",
            "temperature_2m": "°C",
            "apparent_temperature": "°C",
            "relative_humidity_2m": "%",
            "pressure_msl": "hPa",
            "wind_speed_10m": "m/s",
            "weather_code": "wmo code",
            **(units or {}),
        },
        "current": {
            "time": "2026-11-23T03:15",
            "interval": 900,
            "temperature_2m": 11.3,
            "apparent_temperature": 9.8,
            "relative_humidity_2m": 81,
            "pressure_msl": 1015.2,
            "wind_speed_10m": 3.6,
            "weather_code": code,
            **(current or {}),
        },
    }


def right_answer(asked: Asked) -> tuple[int, object]:
    """The status and the document that the providers would answer."""
    match asked.path:
        case "/data/2.5/weather" if not dict(asked.query).get("appid"):
            return 401, {"cod": 401, "message": "Invalid API key."}
        case "/data/2.5/weather" if asked.parameter("q").casefold() == UNKNOWN_CITY.casefold():
            return 404, {"cod": "404", "message": "city not found"}
        case "/data/2.5/weather":
            return 200, observation(asked.parameter("q"))
        case "/v1/search":
            return 200, places(asked.parameter("name"))
        case "/v1/forecast":
            return 200, forecast()
        case _:
            return 421, {"error": "no such path"}


async def as_the_providers_do(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """The right answer to every request."""
    status, document = right_answer(asked)
    await answers(document, status=status)(asked, writer)


# What any server may say


def answers(content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Script:
    """JSON, or the bytes as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, {"Content-Length": str(len(body)), **(headers or {})}) + body)

    return script


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and headers."""
    with contextlib.suppress(ValueError):
        reason = http.HTTPStatus(status).phrase
        lines = [
            f"HTTP/1.1 {status} {reason}",
            "Content-Type: application/json",
            *(f"{n}: {v}" for n, v in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    return f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode()


def sends(*pieces: bytes) -> Script:
    """These bytes, and then the end of the connection."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.writelines(pieces)
        await writer.drain()
        writer.close()

    return script


def only(path: str, script: Script) -> Script:
    """``script`` where this path is asked for, else the right answer."""

    async def chosen(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (script if asked.path == path else as_the_providers_do)(asked, writer)

    return chosen


def floods(start: bytes, piece: bytes, *, most: int | None = None) -> Script:
    """``start``, and then the same piece again and again as fast as it is read, so often or for ever."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        for _number in itertools.count() if most is None else range(most):
            writer.write(piece)
            await writer.drain()

    return script


def drips(start: bytes, drop: bytes, *, seconds: float) -> Script:
    """``start`` at once, and then a drop at a time, for ever."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(seconds)

    return script


def slowly(content: object, *, seconds: float, headers: Mapping[str, str] | None = None) -> Script:
    """A right answer, one byte at a time."""
    body = json.dumps(content).encode()

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        for byte in head(200, {"Content-Length": str(len(body)), **(headers or {})}) + body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)

    return script


async def hangs(_: Asked, writer: asyncio.StreamWriter) -> None:
    """Nothing, for ever."""
    await writer.drain()
    await asyncio.get_running_loop().create_future()


async def resets(_: Asked, writer: asyncio.StreamWriter) -> None:
    """A reset of the connection (RST) instead of an answer."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _serve(port: int, provider: str, script: Script) -> None:
    async with WeatherServer(port=port) as server:
        server.always(script)
        addresses = {
            "openweather": [f"OPEN_WEATHER_URL={server.openweather_url}", "OPEN_WEATHER_API_KEY=any"],
            "open_meteo": [
                f"OPEN_METEO_GEOCODING_URL={server.geocoding_url}",
                f"OPEN_METEO_FORECAST_URL={server.forecast_url}",
            ],
        }
        sys.stdout.write("\n".join([f"CROSSDOCK_WEATHER={provider}", *addresses[provider], ""]))
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


def main() -> None:
    """Serve until interrupted; prints the settings that point the service here."""
    # The faults stand on this module, which is not `__main__` for them.
    from tests.stand_ins.weather_faults import FAULTS  # noqa: PLC0415

    parser = argparse.ArgumentParser(description="A stand-in for the weather providers on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--provider", choices=["openweather", "open_meteo"], default="openweather")
    parser.add_argument("--fault", metavar="NAME", help="how it fails, such as hang; list names them all")
    chosen = parser.parse_args()
    if chosen.fault == "list":
        sys.stdout.write("".join(f"{name}\n" for name in FAULTS))
        return
    if chosen.fault not in {None, *FAULTS}:
        parser.error(f"no fault is called {chosen.fault!r}; there are: {', '.join(FAULTS)}")
    script = as_the_providers_do if chosen.fault is None else FAULTS[chosen.fault]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen.port, chosen.provider, script))


if __name__ == "__main__":
    main()
