"""The weather over HTTP."""

import logging
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field
from starlette.convertors import Convertor, register_url_convertor
from typing_extensions import TypedDict

from domain.model.times import to_rfc3339
from domain.model.weather import CITY_MOST, City, Weather
from entrypoints.web.dependencies import Clock, GetWeather
from entrypoints.web.errors import Problem, retry_after, tell_once
from entrypoints.web.fields import ONE_LINE, Instant, to_json
from entrypoints.web.lean_route import LeanRoute
from entrypoints.web.openapi import answered, problems
from entrypoints.web.security import WeatherReader
from ports.errors import Rejected, Unavailable
from ports.trouble import Cause

RETRY_AFTER = 10  # seconds, when the provider does not say

_AWAY = "No weather provider answers now."
_UNAVAILABLE = {Cause.LIMITED: "No weather provider may be asked now: a quota is spent, or a pause is wanted."}

router = APIRouter(tags=["weather"], route_class=LeanRoute)


class _AnyText(Convertor[str]):
    # Whatever stands there reaches City, which knows what a name is: a slash is fine, nothing or a line break is
    # refused with its reason. The framework's own convertors would not find the path.
    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", _AnyText())


class WeatherDocument(TypedDict):
    """One observation; `stale` when a fresher answer could not be had."""

    city: str
    country: Annotated[str | None, Field(description="ISO 3166 alpha-2.", examples=["IS"])]
    observed_at: Instant
    temperature_c: float
    feels_like_c: float
    humidity_percent: int
    pressure_hpa: float
    wind_speed_m_s: float
    conditions: str
    provider: str
    retrieved_at: Instant
    stale: bool


def weather_document(weather: Weather) -> WeatherDocument:
    """What is told about the weather."""
    return {
        "city": weather.city,
        "country": weather.country,
        "observed_at": to_rfc3339(weather.observed_at),
        "temperature_c": weather.temperature_c,
        "feels_like_c": weather.feels_like_c,
        "humidity_percent": weather.humidity_percent,
        "pressure_hpa": weather.pressure_hpa,
        "wind_speed_m_s": weather.wind_speed_m_s,
        "conditions": weather.conditions,
        "provider": weather.provider,
        "retrieved_at": to_rfc3339(weather.retrieved_at),
        "stale": weather.stale,
    }


@router.get(
    "/weather/{city:text}",
    operation_id="getWeather",
    response_model=WeatherDocument,
    responses={
        **answered("The weather.", "Age"),
        **problems(
            "city-not-found", "invalid-request", "weather-bad-answer", "weather-not-configured", "weather-unavailable"
        ),
    },
)
async def get_weather(
    _caller: WeatherReader,
    request: Request,
    city: Annotated[
        str,
        Path(json_schema_extra={"minLength": 1, "maxLength": CITY_MOST, "pattern": ONE_LINE}, examples=["Reykjavík"]),
    ],
    get: GetWeather,
    clock: Clock,
) -> Response:
    """The weather in a city now. `Age` counts from when the provider was asked."""
    try:
        weather = await get(City(city))
    except Unavailable as error:
        tell_once(request, "weather not available", error)
        headers = retry_after(error.retry_after, otherwise=RETRY_AFTER)
        raise Problem("weather-unavailable", _UNAVAILABLE.get(error.cause, _AWAY), headers=headers) from error
    except Rejected as error:
        # At the level of details: the part that counts answers of no use has told the operator of the change.
        tell_once(request, "weather provider's answer is of no use", error, level=logging.DEBUG)
        raise Problem("weather-bad-answer", "The weather provider gave an answer of no use.") from error
    # A cache takes Age off max-age by itself (RFC 9111 §4.2), so max-age is the whole time and not what is left of it.
    age = max(0, int((clock.now() - weather.retrieved_at).total_seconds()))
    max_age = 0 if weather.stale else int(request.app.state.weather_ttl)
    return Response(
        to_json(weather_document(weather)),
        headers={"Cache-Control": f"max-age={max_age}", "Age": str(age)},
        media_type="application/json",
    )
