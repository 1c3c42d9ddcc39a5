"""Tell the weather of a city."""

from domain.model.weather import City, Weather
from ports.weather import WeatherProvider


class GetWeather:
    """What it is like in a city now."""

    def __init__(self, weather: WeatherProvider) -> None:
        self._weather = weather

    async def __call__(self, city: City) -> Weather:
        """The latest observation; raises what the port raises."""
        return await self._weather.current(city)
